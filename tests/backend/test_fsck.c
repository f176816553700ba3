/* Every kind of damage to a vault's files is found, and named. */
#include "backend/fsck.h"
#include "tests/backend/chance.h"
#include "tests/backend/test_vault.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct result {
	struct fsck_summary sum;
	size_t findings;
	char files[64][128], paths[64][128];
	char text[8192];
};

static int note(void *arg, const struct fsck_finding *finding) {
	struct result *r = arg;
	if (r->findings < 64) {
		(void)snprintf(r->files[r->findings], sizeof r->files[0], "%s", finding->file);
		(void)snprintf(r->paths[r->findings], sizeof r->paths[0], "%s", finding->path ? finding->path : "");
	}
	size_t used = strlen(r->text);
	(void)snprintf(r->text + used, sizeof r->text - used, "%s [%s]: %s\n", finding->file,
	        finding->path ? finding->path : "", finding->words);
	r->findings++;
	return 0;
}

static int check(struct test_vault *v, struct result *r) {
	struct store_secret secret = {.bytes = bytes_of_string(TEST_PASSPHRASE)};
	memset(r, 0, sizeof *r);
	return fsck_run(v->vault, &secret, note, r, &r->sum);
}

static bool names_path(const struct result *r, const char *path) {
	for (size_t i = 0; i < r->findings && i < 64; i++) {
		if (strcmp(r->paths[i], path) == 0)
			return true;
	}
	return false;
}

static bool names_file(const struct result *r, const char *file) {
	for (size_t i = 0; i < r->findings && i < 64; i++) {
		if (strcmp(r->files[i], file) == 0)
			return true;
	}
	return false;
}

static void put_file(struct test_vault *v, const char *name, size_t size, uint8_t byte) {
	uint8_t *data = malloc(size);
	Content *c = NULL;
	memset(data, byte, size);
	assert_rc(content_open(v->store, test_vault_create(v, NODE_LANDING, name), 0, &c));
	assert_rc(content_write(c, 0, bytes_of(data, size)));
	assert_rc(content_seal(c, ORIGIN_WRITE, 0, NULL, NULL, NULL, NULL));
	content_close(c);
	free(data);
}

/* A vault at rest, of three mounts, so that there are three segments; each file's name tells which. */
static int setup(void **state) {
	test_vault_setup(state);
	struct test_vault *v = *state;
	put_file(v, "first", 40000, 1);
	test_vault_reopen(v);
	put_file(v, "second", 20000, 2);
	put_file(v, "tiny", 10, 3);
	test_vault_reopen(v);
	put_file(v, "third", 100000, 4);
	assert_rc(store_close(v->store));
	v->store = NULL;
	return 0;
}

/* All files of the vault, below it. */
struct files {
	char names[64][128];
	size_t count;
};

static void list(const char *vault, const char *directory, struct files *files) {
	char path[512];
	(void)snprintf(path, sizeof path, "%s/%s", vault, directory);
	DIR *d = opendir(path);
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));) {
		if (e->d_name[0] == '.')
			continue;
		char name[512];
		(void)snprintf(name, sizeof name, "%s%s%s", directory, *directory ? "/" : "", e->d_name);
		if (e->d_type == DT_DIR) {
			list(vault, name, files);
		} else {
			assert_in_range(files->count, 0, 63);
			(void)snprintf(files->names[files->count++], 128, "%.127s", name);
		}
	}
	closedir(d);
}

static struct files segments_of(struct test_vault *v) {
	struct files files = {0};
	list(v->vault, "segments", &files);
	assert_int_equal(files.count, 3);
	return files;
}

static void full_path(struct test_vault *v, const char *name, char ret_path[static 512]) {
	(void)snprintf(ret_path, 512, "%s/%s", v->vault, name);
}

static void a_sound_vault_has_no_findings(void **state) {
	struct result r;
	assert_rc(check(*state, &r));
	assert_string_equal(r.text, "");
	assert_int_equal(r.sum.segments, 3);
	assert_int_equal(r.sum.versions, 4);
	assert_int_equal(r.sum.map_pages, 4);
	assert_int_equal(r.sum.references, 3 + 2 + 1 + 7);
	assert_int_equal(r.sum.blocks, 3 + 2 + 1 + 7);
	assert_false(r.sum.unclean);
}

static void a_wrong_passphrase_is_no_finding(void **state) {
	struct test_vault *v = *state;
	struct store_secret secret = {.bytes = bytes_of_string("wrong")};
	struct result r = {0};
	assert_int_equal(fsck_run(v->vault, &secret, note, &r, &r.sum), -EKEYREJECTED);
	assert_int_equal(r.findings, 0);
}

static void what_a_crash_leaves_is_no_finding(void **state) {
	struct test_vault *v = *state;
	struct result r;
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	put_file(v, "fourth", 30000, 5);
	assert_rc(store_commit_wait(v->store));
	put_file(v, "lost", 30000, 6);
	Content *c = NULL;
	struct node raw = {.mode = S_IFREG | 0644, .zone = ZONE_RAW};
	Meta *m = store_meta(v->store);
	meta_begin(m);
	assert_rc(meta_end(m, tree_create_orphan(m, &raw, &raw)));
	assert_rc(content_open(v->store, raw.id, 0, &c));
	assert_rc(content_write(c, 0, bytes_of("a segment that nothing committed names", 38)));
	assert_rc(content_flush(c));
	content_abandon(c);
	store_abandon(v->store);
	v->store = NULL;
	assert_rc(check(v, &r));
	assert_string_equal(r.text, "");
	assert_true(r.sum.unclean);
	assert_int_equal(r.sum.left_over, 1);
}

/* Single bytes all over: wherever one is, it is found and the file with it is named. */
static void every_changed_byte_is_found_and_its_file_named(void **state) {
	struct test_vault *v = *state;
	struct files files = {0};
	struct result r;
	unsigned seed = (unsigned)chance_seed();
	list(v->vault, "", &files);
	for (size_t i = 0, n = chance_count("ASSAYFS_TAMPER_ROUNDS", 200); i < n; i++) {
		const char *name = files.names[i % files.count];
		char path[512];
		full_path(v, name, path);
		FILE *file = fopen(path, "r+b");
		assert_non_null(file);
		assert_int_equal(fseek(file, 0, SEEK_END), 0);
		long size = ftell(file);
		if (size == 0) {
			fclose(file);
			continue;
		}
		long at = rand_r(&seed) % size;
		int flip = 1 << (rand_r(&seed) % 8);
		assert_int_equal(fseek(file, at, SEEK_SET), 0);
		int byte = fgetc(file);
		assert_int_equal(fseek(file, at, SEEK_SET), 0);
		assert_int_equal(fputc(byte ^ flip, file), byte ^ flip);
		assert_int_equal(fflush(file), 0);
		int rc = check(v, &r);
		/* A changed slot can't be told from a wrong passphrase. */
		bool slot = strcmp(name, "vault.json") == 0 && rc == -EKEYREJECTED;
		if (!slot && (rc != 0 || r.findings == 0 || (!names_file(&r, name) && !strstr(r.text, name))))
			fail_msg("%s, bit %d of byte %ld: %d, %zu findings: %s %s", name, flip, at, rc, r.findings,
			        r.text, rc ? fault_message() : "");
		assert_int_equal(fseek(file, at, SEEK_SET), 0);
		assert_int_equal(fputc(byte, file), byte);
		assert_int_equal(fclose(file), 0);
	}
	assert_rc(check(v, &r));
	assert_int_equal(r.findings, 0);
}

static void a_damaged_block_names_the_users_file_and_only_that(void **state) {
	struct test_vault *v = *state;
	struct result r;
	struct files files = segments_of(v);
	char path[512];
	/* The largest segment is that of "third": damage its middle. */
	for (size_t i = 0; i < 3; i++) {
		struct stat status;
		full_path(v, files.names[i], path);
		assert_int_equal(stat(path, &status), 0);
		if (status.st_size < 90000)
			continue;
		FILE *file = fopen(path, "r+b");
		assert_non_null(file);
		assert_int_equal(fseek(file, 50000, SEEK_SET), 0);
		int byte = fgetc(file);
		assert_int_equal(fseek(file, 50000, SEEK_SET), 0);
		assert_int_equal(fputc(byte ^ 1, file), byte ^ 1);
		assert_int_equal(fclose(file), 0);
	}
	assert_rc(check(v, &r));
	assert_true(names_path(&r, "Landing/third"));
	assert_false(names_path(&r, "Landing/first"));
	assert_false(names_path(&r, "Landing/second"));
}

static void a_lost_segment_is_found(void **state) {
	struct test_vault *v = *state;
	struct result r;
	struct files files = segments_of(v);
	char path[512];
	full_path(v, files.names[0], path);
	assert_int_equal(unlink(path), 0);
	assert_rc(check(v, &r));
	assert_true(names_file(&r, files.names[0]));
	assert_true(
	        names_path(&r, "Landing/first") || names_path(&r, "Landing/second") || names_path(&r, "Landing/third"));
}

static void swapped_segments_are_found(void **state) {
	struct test_vault *v = *state;
	struct result r;
	struct files files = segments_of(v);
	char a[512], b[512], c[512];
	full_path(v, files.names[0], a);
	full_path(v, files.names[1], b);
	full_path(v, "aside", c);
	assert_int_equal(rename(a, c) | rename(b, a) | rename(c, b), 0);
	assert_rc(check(v, &r));
	assert_true(names_file(&r, files.names[0]));
	assert_true(names_file(&r, files.names[1]));
}

static void truncated_lengthened_and_zeroed_segments_are_found(void **state) {
	struct test_vault *v = *state;
	struct result r;
	struct files files = segments_of(v);
	char path[512];
	struct stat status;
	full_path(v, files.names[0], path);
	assert_int_equal(stat(path, &status), 0);
	for (int i = 0; i < 3; i++) {
		size_t size;
		uint8_t *data = scratch_read(v->vault, files.names[0], &size);
		uint8_t *changed = calloc(1, size + 1);
		if (i < 2)
			memcpy(changed, data, size);
		scratch_write(v->vault, files.names[0], changed, i == 0 ? size - 1 : i == 1 ? size + 1 : size);
		assert_rc(check(v, &r));
		assert_true(names_file(&r, files.names[0]));
		scratch_write(v->vault, files.names[0], data, size);
		free(changed);
		free(data);
	}
	assert_rc(check(v, &r));
	assert_string_equal(r.text, "");
}

static void foreign_files_are_named(void **state) {
	struct test_vault *v = *state;
	struct result r;
	struct files files = segments_of(v);
	size_t size;
	char copy[128];
	scratch_write(v->vault, "note.txt", "x", 1);
	scratch_write(v->vault, "meta/note", "x", 1);
	scratch_write(v->vault, "segments/note", "x", 1);
	/* A genuine segment under another id. */
	uint8_t *data = scratch_read(v->vault, files.names[0], &size);
	(void)snprintf(copy, sizeof copy, "%s", files.names[0]);
	copy[40] = copy[40] == '0' ? '1' : '0';
	scratch_write(v->vault, copy, data, size);
	free(data);
	assert_rc(check(v, &r));
	if (r.findings != 4)
		fail_msg("%s", r.text);
	assert_true(names_file(&r, "note.txt"));
	assert_true(names_file(&r, "meta/note"));
	assert_true(names_file(&r, "segments/note"));
	assert_true(names_file(&r, copy));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, test_vault_teardown)

int main(void) {
	const struct CMUnitTest tests[] = {
	        TEST(a_sound_vault_has_no_findings),
	        TEST(a_wrong_passphrase_is_no_finding),
	        TEST(what_a_crash_leaves_is_no_finding),
	        TEST(every_changed_byte_is_found_and_its_file_named),
	        TEST(a_damaged_block_names_the_users_file_and_only_that),
	        TEST(a_lost_segment_is_found),
	        TEST(swapped_segments_are_found),
	        TEST(truncated_lengthened_and_zeroed_segments_are_found),
	        TEST(foreign_files_are_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
