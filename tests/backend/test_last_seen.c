#include "backend/last_seen.h"

#include "tests/backend/test_vault.h"

#include "crypto/base/fault.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const uint8_t id[16] = {0xab, 1};
#define ID bytes_of(id, sizeof id)
#define NAME "ab010000000000000000000000000000.checkpoint"

/* A branch from that head on (0: none), whose newest one has so many records; no signature is real. */
struct sample {
	char note[CHECKPOINT_NOTE_BYTES];
	struct last_seen_branch branch;
};

static struct last_seen_branch *sample(struct sample *sample, uint64_t since, uint64_t size) {
	static const uint8_t public_key[SIGN_PUBLIC_BYTES] = {1}, signature[SIGN_SIGNATURE_BYTES] = {2};
	struct note_key key;
	struct checkpoint head = {.size = size};
	memset(head.root, (int)(size % 251), sizeof head.root);
	assert_rc(note_key_make("assayfs/ab", public_key, &key));
	checkpoint_note(&key, &head, signature, sample->note);
	sample->branch = (struct last_seen_branch){.since.size = since, .note = bytes_of_string(sample->note)};
	if (since)
		memset(sample->branch.since.root, (int)(since % 251), sizeof sample->branch.since.root);
	return &sample->branch;
}

static int remember(const char *directory, uint64_t since, uint64_t size) {
	struct sample s;
	return last_seen_remember(directory, ID, sample(&s, since, size), false);
}

struct pair {
	uint64_t since, size;
};

/* The one used last first. */
static void expect(const char *directory, size_t count, const struct pair *wanted) {
	struct last_seen seen;
	struct sample s;
	assert_rc(last_seen_read(directory, ID, &seen));
	assert_int_equal(seen.count, count);
	for (size_t i = 0; i < count; i++) {
		const struct last_seen_branch *branch = sample(&s, wanted[i].since, wanted[i].size);
		assert_int_equal(seen.branches[i].since.size, wanted[i].since);
		assert_memory_equal(seen.branches[i].since.root, branch->since.root, MERKLE_HASH_BYTES);
		assert_int_equal(seen.branches[i].note.size, branch->note.size);
		assert_memory_equal(seen.branches[i].note.data, branch->note.data, branch->note.size);
	}
	last_seen_free(&seen);
}

#define EXPECT(directory, ...) \
	expect(directory, sizeof((struct pair[]){__VA_ARGS__}) / sizeof(struct pair), (struct pair[]){__VA_ARGS__})

static void what_was_written_is_read_again(void **state) {
	(void)state;
	char top[64], directory[96], path[160];
	struct stat about;
	struct last_seen seen;
	struct sample s;
	scratch_directory(top);
	(void)snprintf(directory, sizeof directory, "%s/a/b", top);
	assert_int_equal(last_seen_read(directory, ID, &seen), -ENOENT);
	assert_rc(remember(directory, 0, 5));
	EXPECT(directory, {0, 5});
	assert_rc(last_seen_remember(directory, ID, sample(&s, 0, 7), true));
	EXPECT(directory, {0, 7});
	assert_rc(last_seen_path(directory, ID, path, sizeof path));
	assert_string_equal(path + strlen(directory), "/" NAME);
	assert_rc(stat(path, &about));
	assert_int_equal(about.st_mode & 0777, 0600);
	assert_rc(stat(directory, &about));
	assert_int_equal(about.st_mode & 0777, 0700);
	assert_rc(truncate(path, 0)); /* as a power cut may leave it */
	assert_int_equal(last_seen_read(directory, ID, &seen), -ENOENT);
	assert_rc(remember(directory, 3, 8));
	EXPECT(directory, {3, 8});
	scratch_remove(top);
}

/* As it was before there were branches, and as any verifier reads it. */
static void one_branch_without_a_beginning_is_a_note(void **state) {
	(void)state;
	char top[64];
	struct sample s;
	size_t size;
	scratch_directory(top);
	sample(&s, 0, 5);
	scratch_write(top, NAME, s.note, strlen(s.note));
	EXPECT(top, {0, 5});
	assert_rc(remember(top, 0, 6));
	sample(&s, 0, 6);
	uint8_t *file = scratch_read(top, NAME, &size);
	assert_int_equal(size, strlen(s.note));
	assert_memory_equal(file, s.note, size);
	free(file);
	scratch_remove(top);
}

static void no_branch_takes_anothers_place(void **state) {
	(void)state;
	char top[64];
	scratch_directory(top);
	assert_rc(remember(top, 0, 1000));
	assert_rc(remember(top, 903, 903));
	EXPECT(top, {903, 903}, {0, 1000});
	assert_rc(remember(top, 903, 910));
	EXPECT(top, {903, 910}, {0, 1000});
	assert_rc(remember(top, 0, 1001));
	EXPECT(top, {0, 1001}, {903, 910});
	assert_rc(remember(top, 908, 909));
	assert_rc(remember(top, 903, 911));
	EXPECT(top, {903, 911}, {908, 909}, {0, 1001});
	scratch_remove(top);
}

static void of_too_many_the_one_used_least_recently_goes(void **state) {
	(void)state;
	char top[64];
	scratch_directory(top);
	assert_rc(remember(top, 0, 5));
	for (uint64_t i = 1; i < LAST_SEEN_BRANCHES; i++)
		assert_rc(remember(top, 10 * i, 10 * i + 1));
	assert_rc(remember(top, 0, 6));
	assert_rc(remember(top, 100, 101));
	EXPECT(top, {100, 101}, {0, 6}, {70, 71}, {60, 61}, {50, 51}, {40, 41}, {30, 31}, {20, 21});
	scratch_remove(top);
}

/* Others may have put their signatures below it. */
static void what_has_no_room_goes_the_last_first(void **state) {
	(void)state;
	char top[64];
	struct sample s;
	scratch_directory(top);
	assert_rc(remember(top, 10, 11));
	char *note = malloc(LAST_SEEN_BYTES_MAX + 1), line[] = "— witness AAAA\n";
	sample(&s, 0, 20);
	size_t used = (size_t)sprintf(note, "%s", s.note);
	while (used + sizeof line < LAST_SEEN_BYTES_MAX - 100)
		used += (size_t)sprintf(note + used, "%s", line);
	const struct last_seen_branch longer = {.note = bytes_of(note, used)};
	assert_rc(last_seen_remember(top, ID, &longer, false));
	struct last_seen seen;
	assert_rc(last_seen_read(top, ID, &seen));
	assert_int_equal(seen.count, 1);
	last_seen_free(&seen);
	assert_rc(remember(top, 30, 31));
	EXPECT(top, {30, 31});
	free(note);
	scratch_remove(top);
}

static void what_cannot_be_one_is_said_to_be_none(void **state) {
	(void)state;
	char top[64], path[160], other[160];
	struct last_seen seen;
	scratch_directory(top);
	assert_rc(last_seen_path(top, ID, path, sizeof path));
	assert_int_equal(last_seen_path(top, ID, path, 20), -ENAMETOOLONG);
	assert_rc(last_seen_path(top, ID, path, sizeof path));
	FILE *file = fopen(path, "we");
	for (size_t i = 0; i <= LAST_SEEN_BYTES_MAX; i++)
		(void)fputc('x', file);
	assert_rc(fclose(file));
	assert_int_equal(last_seen_read(top, ID, &seen), -EFBIG);
	assert_rc(unlink(path));
	(void)snprintf(other, sizeof other, "%s/elsewhere", top);
	assert_rc(symlink(other, path));
	assert_int_equal(last_seen_read(top, ID, &seen), -ELOOP);
	assert_rc(remember(top, 0, 5)); /* the link is replaced, not followed */
	assert_int_equal(access(other, F_OK), -1);
	EXPECT(top, {0, 5});
	scratch_write(top, NAME, "nonsense\n", 9);
	assert_int_equal(last_seen_read(top, ID, &seen), -EBADMSG);
	assert_rc(remember(top, 0, 6));
	EXPECT(top, {0, 6});
	scratch_remove(top);
}

static void no_other_text_is_taken(void **state) {
	(void)state;
	struct last_seen seen;
	struct sample s;
	char text[1200], again[1200];
	static const char root[] = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
	static const char *const wrong[][3] = {/* before the root, behind it, behind the note */
	        {"since 0 ", "\n", ""}, {"since 09 ", "\n", ""}, {"since  9 ", "\n", ""}, {"since +9 ", "\n", ""},
	        {"since 9 ", " \n", ""}, {"since 18446744073709551616 ", "\n", ""}, {"since 9 x", "\n", ""},
	        {"since 9 ", "\n\n", ""}, {"\nsince 9 ", "\n", ""}, {"since 9 ", "\n", "\n"}};
	sample(&s, 0, 5);
	(void)snprintf(text, sizeof text, "since 9 %s\n%s", root, s.note);
	assert_rc(last_seen_parse(bytes_of_string(text), &seen));
	assert_int_equal(last_seen_format(&seen, again, sizeof again), strlen(text));
	assert_memory_equal(again, text, strlen(text));
	for (size_t cut = 0; cut < strlen(text); cut++)
		assert_int_equal(last_seen_parse(bytes_of(text, cut), &seen), -EBADMSG);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		(void)snprintf(text, sizeof text, "%s%s%s%s%s", wrong[i][0], root, wrong[i][1], s.note, wrong[i][2]);
		assert_int_equal(last_seen_parse(bytes_of_string(text), &seen), -EBADMSG);
	}
	assert_int_equal(last_seen_parse(bytes_of(s.note, strlen(s.note) + 1), &seen), -EBADMSG); /* a NUL */
}

/* Whoever may write there could have the mount wait for ever, or write elsewhere. */
static void no_pipe_is_waited_for_and_nothing_else_written(void **state) {
	(void)state;
	char top[64], path[160], new[168], other[160];
	struct last_seen seen;
	size_t size;
	scratch_directory(top);
	assert_rc(last_seen_path(top, ID, path, sizeof path));
	(void)snprintf(new, sizeof new, "%s.new", path);
	assert_rc(mkfifo(path, 0600));
	assert_int_equal(last_seen_read(top, ID, &seen), -EUCLEAN);
	assert_rc(mkfifo(new, 0600));
	assert_rc(remember(top, 0, 5));
	EXPECT(top, {0, 5});
	scratch_write(top, "precious", "y", 1);
	(void)snprintf(other, sizeof other, "%s/precious", top);
	assert_rc(link(other, new));
	assert_rc(remember(top, 0, 6));
	uint8_t *data = scratch_read(top, "precious", &size);
	assert_int_equal(size, 1);
	free(data);
	scratch_remove(top);
}

static void a_place_that_is_none_is_named(void **state) {
	(void)state;
	assert_int_equal(remember("/dev/null/x", 0, 5), -ENOTDIR);
	assert_non_null(strstr(fault_message(), "/dev/null/x"));
	const uint8_t longer[33] = {0};
	char path[200];
	assert_int_equal(last_seen_path("/x", bytes_of(longer, sizeof longer), path, sizeof path), -EINVAL);
}

/* ---- several at once ---- */

#define ROUNDS 60

static void write_often(const char *directory, uint64_t since) {
	for (uint64_t i = 1; i <= ROUNDS; i++)
		if (remember(directory, since, 100 * since + i) < 0)
			_exit(1);
	_exit(0);
}

/* Each process has a branch; none loses another's, and whoever reads meanwhile reads all of a file. */
static void processes_at_once_lose_no_branch(void **state) {
	(void)state;
	char top[64];
	struct last_seen seen;
	int status;
	pid_t pids[4];
	scratch_directory(top);
	for (uint64_t i = 0; i < 4; i++)
		assert_rc(remember(top, i + 1, 100 * (i + 1)));
	for (uint64_t i = 0; i < 4; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0)
			write_often(top, i + 1);
	}
	for (int i = 0; i < 4; i++) {
		while (waitpid(pids[i], &status, WNOHANG) == 0) {
			assert_rc(last_seen_read(top, ID, &seen));
			assert_int_equal(seen.count, 4);
			last_seen_free(&seen);
		}
		assert_int_equal(status, 0);
	}
	assert_rc(last_seen_read(top, ID, &seen));
	assert_int_equal(seen.count, 4);
	for (int i = 0; i < 4; i++) {
		const struct last_seen_branch *branch = &seen.branches[i];
		assert_int_equal(strtoull(strchr((const char *)branch->note.data, '\n') + 1, NULL, 10),
		        100 * branch->since.size + ROUNDS);
	}
	last_seen_free(&seen);
	scratch_remove(top);
}

/* A process that was stopped with the lock stops nobody for long, and nothing is written past it. */
static void a_lock_that_stays_is_not_waited_for_long(void **state) {
	(void)state;
	char top[64], path[160];
	scratch_directory(top);
	assert_rc(remember(top, 0, 5));
	(void)snprintf(path, sizeof path, "%s/%s.lock", top, NAME);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_rc(flock(fd, LOCK_EX));
	assert_int_equal(remember(top, 0, 6), -EBUSY);
	assert_non_null(strstr(fault_message(), ".lock"));
	EXPECT(top, {0, 5});
	assert_rc(close(fd));
	assert_rc(remember(top, 0, 6));
	EXPECT(top, {0, 6});
	scratch_remove(top);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_was_written_is_read_again),
	        cmocka_unit_test(one_branch_without_a_beginning_is_a_note),
	        cmocka_unit_test(no_branch_takes_anothers_place),
	        cmocka_unit_test(of_too_many_the_one_used_least_recently_goes),
	        cmocka_unit_test(what_has_no_room_goes_the_last_first),
	        cmocka_unit_test(what_cannot_be_one_is_said_to_be_none),
	        cmocka_unit_test(no_other_text_is_taken),
	        cmocka_unit_test(no_pipe_is_waited_for_and_nothing_else_written),
	        cmocka_unit_test(a_place_that_is_none_is_named),
	        cmocka_unit_test(processes_at_once_lose_no_branch),
	        cmocka_unit_test(a_lock_that_stays_is_not_waited_for_long),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
