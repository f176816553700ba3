/*
 * damage: changes the files of a vault, one change at a time, and looks whether fsck finds and names it and whether any
 * read gives wrong bytes. In one process, as thousands of processes would take an hour.
 *
 *     damage VAULT PASSPHRASE MANIFEST FLIPS SEED [OLDER…]
 *
 * MANIFEST has a line "SHA256 PATH" for each file that can be read in the vault. FLIPS is how many single bytes are
 * changed, each in a file chosen at random (vault.json, database, log, packs, segments, reserve: all are met); 0: none.
 * Then each file is truncated, zeroed in part, lengthened, deleted, its pages are swapped, files of a kind are swapped
 * with each other, strange files are added; and OLDER are copies of the same vault at an earlier time, each of whose
 * files that differ is put back alone. The vault is as before when the program ends. The exit status is 1 when
 * something was not as promised; the last lines count.
 *
 * After a change of one segment the other files must be readable, after one of the metadata all, as packs, pages and
 * anchors vouch for each other.
 *
 * What a change of a log (meta.db-wal, synclog) may do is less: its last commits look like what a crash leaves when
 * their end is bad, and nothing tells them apart unless something later says that they were durable. Then an older
 * state is right, and is counted as `older`; other bytes than the file ever had are never right.
 */
#include "backend/content.h"
#include "backend/fsck.h"
#include "backend/store.h"
#include "backend/tree.h"
#include "crypto/base/fault.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_MAX 4096
#define PAGE 4096u
#define DELETED "deleted"

struct file {
	char *name; /* below the vault */
	uint8_t *bytes;
	size_t size;
};

struct expected {
	char *path;
	uint8_t hash[32];
};

struct counts {
	unsigned trials, found, misnamed, missed, refused, older, wrong, unreadable, read, failed;
};

static struct damage {
	const char *vault;
	struct store_secret secret;
	struct file files[FILES_MAX];
	size_t file_count;
	struct expected *expected;
	size_t expected_count;
	struct counts counts;
	uint64_t random;
} d;

static uint64_t next_random(void) {
	/* splitmix64 */
	uint64_t z = (d.random += UINT64_C(0x9e3779b97f4a7c15));
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static size_t random_below(size_t bound) {
	return bound ? (size_t)(next_random() % bound) : 0;
}

static _Noreturn void fail(const char *what, const char *which) {
	fprintf(stderr, "damage: %s %s: %s\n", what, which, strerror(errno));
	exit(2);
}

/* ---- the vault's files ---- */

static uint8_t *read_whole(const char *path, size_t *ret_size) {
	struct stat about;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &about) < 0)
		fail("reading", path);
	uint8_t *bytes = malloc((size_t)about.st_size + 1);
	if (!bytes || read(fd, bytes, (size_t)about.st_size) != about.st_size)
		fail("reading", path);
	close(fd);
	*ret_size = (size_t)about.st_size;
	return bytes;
}

static void full_path(const char *name, char path[static 4096]) {
	(void)snprintf(path, 4096, "%s/%s", d.vault, name);
}

static void put(const char *name, const uint8_t *bytes, size_t size) {
	char path[4096];
	full_path(name, path);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, bytes, size) != (ssize_t)size || close(fd) < 0)
		fail("writing", path);
}

static void put_byte(const char *name, size_t at, uint8_t byte) {
	char path[4096];
	full_path(name, path);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || pwrite(fd, &byte, 1, (off_t)at) != 1 || close(fd) < 0)
		fail("writing", path);
}

static void restore(const struct file *file) {
	put(file->name, file->bytes, file->size);
}

static int gather(const char *path, const struct stat *about, int kind, struct FTW *walk) {
	(void)about;
	(void)walk;
	if (kind != FTW_F)
		return 0;
	if (d.file_count == FILES_MAX)
		fail("too many files in", d.vault);
	struct file *file = &d.files[d.file_count++];
	file->name = strdup(path + strlen(d.vault) + 1);
	file->bytes = read_whole(path, &file->size);
	return 0;
}

static void read_manifest(const char *path) {
	char line[8192];
	FILE *in = fopen(path, "r");
	if (!in)
		fail("opening", path);
	while (fgets(line, sizeof line, in)) {
		line[strcspn(line, "\n")] = '\0';
		d.expected = reallocarray(d.expected, d.expected_count + 1, sizeof *d.expected);
		struct expected *one = &d.expected[d.expected_count++];
		size_t size;
		if (strlen(line) < 66 || sodium_hex2bin(one->hash, 32, line, 64, NULL, &size, NULL) != 0)
			fail("no manifest:", path);
		one->path = strdup(line + 65);
	}
	fclose(in);
}

/* ---- what fsck says ---- */

struct said {
	const char *file; /* that should be named; NULL: any */
	bool named;
	unsigned findings;
	char first[1024];
};

static int note(void *arg, const struct fsck_finding *finding) {
	struct said *said = arg;
	if (said->findings++ == 0)
		(void)snprintf(said->first, sizeof said->first, "%s: %s", finding->file, finding->words);
	if (!said->file || strcmp(said->file, finding->file) == 0)
		said->named = true;
	return 0;
}

/* ---- what reading gives ---- */

/* 1: right, 0: an error, -1: other bytes. */
static int read_one(Store *store, const struct expected *one) {
	static uint8_t buffer[1 << 18];
	struct node node;
	Content *c = NULL;
	Meta *m = store_meta(store);
	meta_begin(m);
	int rc = meta_end(m, tree_resolve(m, bytes_of_string(one->path), &node));
	if (rc == 0)
		rc = content_open(store, node.id, 0, &c);
	if (rc < 0)
		return 0;
	crypto_hash_sha256_state hash;
	crypto_hash_sha256_init(&hash);
	size_t got = 1;
	for (uint64_t at = 0; rc == 0 && got > 0; at += got) {
		rc = content_read(c, at, buffer, sizeof buffer, &got);
		if (rc == 0)
			crypto_hash_sha256_update(&hash, buffer, got);
	}
	content_close(c);
	uint8_t is[32];
	crypto_hash_sha256_final(&hash, is);
	return rc < 0 ? 0 : memcmp(is, one->hash, 32) == 0 ? 1 : -1;
}

struct reading {
	bool opened;
	size_t right, errors, wrong;
	const char *first_wrong;
};

static struct reading read_all(void) {
	struct store_options options = {.read_only = true};
	struct reading result = {0};
	Store *store = NULL;
	if (store_open(d.vault, &d.secret, &options, &store) < 0)
		return result;
	result.opened = true;
	for (size_t i = 0; i < d.expected_count; i++) {
		int one = read_one(store, &d.expected[i]);
		result.right += one > 0;
		result.errors += one == 0;
		result.wrong += one < 0;
		if (one < 0 && !result.first_wrong)
			result.first_wrong = d.expected[i].path;
	}
	store_abandon(store);
	return result;
}

/* ---- a trial ---- */

static bool is_log(const char *name) {
	return strcmp(name, "meta.db-wal") == 0 || strcmp(name, "synclog") == 0;
}

static void complain(const char *what, const char *name, const char *words) {
	d.counts.failed++;
	printf("FAILED: %s: %s (%s)\n", name, what, words);
}

/* What an unmounted vault that was killed may hold anyway: a tail behind what was committed, a reserve in use. */
static bool is_allowed(const char *name, const struct fsck_summary *sum, const struct reading *reading) {
	bool is_harmless = strncmp(name, "segments/", 9) == 0 || strcmp(name, "reserve") == 0;
	return is_log(name) || (sum->unclean && is_harmless && reading->right == d.expected_count);
}

/*
 * What one file of the metadata loses another has: nothing may be unreadable then. Of the log, that is so while it is
 * empty; and a database file that is gone altogether is built anew first (fsck --repair).
 */
static bool is_made_good(const char *name, const char *other, const char *words) {
	if (other || is_log(name) || strcmp(name, "vault.json") == 0 || strncmp(name, "segments/", 9) == 0)
		return false;
	return strcmp(words, DELETED) != 0 || strcmp(name, "meta.db") != 0;
}

/* Something was changed in `name` (and `other`): is it found, named, and never read as something else? */
static void trial(const char *name, const char *other, const char *words) {
	struct said said = {.file = name};
	struct fsck_summary sum;
	int rc = fsck_run(d.vault, &d.secret, note, &said, &sum);
	bool is_header = rc < 0 && strcmp(name, "vault.json") == 0;
	char why[FAULT_MESSAGE_BYTES];
	memcpy(why, fault_message(), sizeof why);
	struct said again = {.file = other};
	if (other && !said.named) {
		(void)fsck_run(d.vault, &d.secret, note, &again, &sum);
		said.named = again.named;
	}
	struct reading reading = read_all();
	d.counts.trials++;
	d.counts.read += reading.opened;
	d.counts.unreadable += reading.errors > 0;
	/* vault.json's slot: the passphrase does not open it any more; or the whole file is gone. */
	bool is_refused = is_header && (rc == -EKEYREJECTED || strstr(why, "vault.json"));
	if (rc < 0)
		d.counts.refused++;
	else if (said.named)
		d.counts.found++;
	else if (said.findings > 0)
		d.counts.misnamed++;
	else if (is_allowed(name, &sum, &reading))
		d.counts.older++;
	else
		d.counts.missed++;
	if (rc < 0 && !is_refused)
		complain(why, name, words);
	else if (rc == 0 && said.findings == 0 && !is_allowed(name, &sum, &reading))
		complain("fsck does not find it", name, words);
	else if (rc == 0 && said.findings > 0 && !said.named) {
		char line[1200];
		(void)snprintf(line, sizeof line, "fsck names another: %s", said.first);
		complain(line, name, words);
	}
	if (reading.wrong > 0) {
		d.counts.wrong++;
		complain(reading.first_wrong, "WRONG BYTES", words);
	}
	if (is_made_good(name, other, words) && reading.right < d.expected_count)
		complain(reading.opened ? "not all can be read" : "the vault does not open", name, words);
	if (strncmp(name, "segments/", 9) == 0 && (!reading.opened || reading.right < d.expected_count / 4))
		complain("other files can't be read any more", name, words);
}

static void flip(unsigned number) {
	const struct file *file;
	do {
		file = &d.files[random_below(d.file_count)];
	} while (file->size == 0);
	/* Half the changes near the beginning, where headers are and any byte has its meaning. */
	size_t at = random_below(number % 2 && file->size > 512 ? 512 : file->size);
	size_t change = number % 3 ? (size_t)1 << random_below(8) : 1 + random_below(255);
	char words[128];
	(void)snprintf(words, sizeof words, "byte %zu of %zu changed by %#zx", at, file->size, change);
	put_byte(file->name, at, (uint8_t)(file->bytes[at] ^ change));
	trial(file->name, NULL, words);
	put_byte(file->name, at, file->bytes[at]);
}

/* ---- larger changes ---- */

static void changed(const struct file *file, const uint8_t *bytes, size_t size, const char *words) {
	if (size == file->size && memcmp(bytes, file->bytes, size) == 0)
		return;
	put(file->name, bytes, size);
	trial(file->name, NULL, words);
	restore(file);
}

static void truncate_zero_lengthen(const struct file *file) {
	uint8_t *copy = malloc(file->size + PAGE);
	if (!copy)
		fail("memory for", file->name);
	memset(copy + file->size, 0, PAGE);
	memcpy(copy, file->bytes, file->size);
	if (file->size > 0) {
		changed(file, file->bytes, file->size - 1, "one byte cut off");
		changed(file, file->bytes, file->size / 2, "cut in half");
		changed(file, file->bytes, 0, "cut to nothing");
		size_t at = random_below(file->size) / PAGE * PAGE,
		       end = at + PAGE < file->size ? at + PAGE : file->size;
		memset(copy + at, 0, end - at);
		changed(file, copy, file->size, "a page zeroed");
		memset(copy, 0, file->size);
		changed(file, copy, file->size, "all zeroed");
		memcpy(copy, file->bytes, file->size);
	}
	/* A log that ends in zeros is one whose tail was reserved. */
	if (!is_log(file->name))
		changed(file, copy, file->size + 1, "one byte added");
	free(copy);
}

static void swap_pages(const struct file *file) {
	size_t pages = file->size / PAGE;
	if (pages < 2)
		return;
	uint8_t *copy = malloc(file->size);
	if (!copy)
		fail("memory for", file->name);
	memcpy(copy, file->bytes, file->size);
	size_t a = random_below(pages), b = (a + 1 + random_below(pages - 1)) % pages;
	memcpy(copy + a * PAGE, file->bytes + b * PAGE, PAGE);
	memcpy(copy + b * PAGE, file->bytes + a * PAGE, PAGE);
	changed(file, copy, file->size, "two pages swapped");
	memcpy(copy + b * PAGE, file->bytes + b * PAGE, PAGE);
	changed(file, copy, file->size, "a page written over by another");
	free(copy);
}

static bool is_below(const struct file *file, const char *directory) {
	return strncmp(file->name, directory, strlen(directory)) == 0;
}

static void delete_file(const struct file *file) {
	char path[4096];
	full_path(file->name, path);
	if (unlink(path) < 0)
		fail("deleting", path);
	/* An empty log is as good as none. */
	if (!(is_log(file->name) && file->size == 0))
		trial(file->name, NULL, DELETED);
	restore(file);
}

static void swap_files(const struct file *a, const struct file *b) {
	if (a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0)
		return;
	put(a->name, b->bytes, b->size);
	trial(a->name, NULL, "replaced by another of its kind");
	put(b->name, a->bytes, a->size);
	trial(a->name, b->name, "swapped with another of its kind");
	restore(a);
	restore(b);
}

static void swap_in(const char *directory) {
	const struct file *last = NULL;
	for (size_t i = 0; i < d.file_count; i++) {
		if (!is_below(&d.files[i], directory))
			continue;
		if (last)
			swap_files(last, &d.files[i]);
		last = &d.files[i];
	}
}

static void add(const char *name, const uint8_t *bytes, size_t size) {
	char path[4096];
	full_path(name, path);
	put(name, bytes, size);
	trial(name, NULL, "a strange file");
	if (unlink(path) < 0)
		fail("deleting", path);
}

static void add_strangers(void) {
	char name[4096];
	add("stray", (const uint8_t *)"x", 1);
	add("meta/999999", (const uint8_t *)"x", 1);
	add("meta/stray", (const uint8_t *)"x", 1);
	for (size_t i = 0; i < d.file_count; i++) {
		const struct file *file = &d.files[i];
		if (!is_below(file, "segments/"))
			continue;
		(void)snprintf(name, sizeof name, "%s", file->name);
		char *last = name + strlen(name) - 1;
		*last = *last == '0' ? '1' : '0';
		add(name, file->bytes, file->size);
		return;
	}
}

static void replay(const char *older) {
	for (size_t i = 0; i < d.file_count; i++) {
		const struct file *file = &d.files[i];
		char path[4096];
		(void)snprintf(path, sizeof path, "%s/%s", older, file->name);
		if (access(path, R_OK) < 0)
			continue;
		size_t size;
		uint8_t *bytes = read_whole(path, &size);
		changed(file, bytes, size, "an older copy put back");
		free(bytes);
	}
}

static void larger(int older_count, char **older) {
	for (size_t i = 0; i < d.file_count; i++) {
		truncate_zero_lengthen(&d.files[i]);
		swap_pages(&d.files[i]);
		delete_file(&d.files[i]);
	}
	swap_in("segments/");
	swap_in("meta/");
	add_strangers();
	for (int i = 0; i < older_count; i++)
		replay(older[i]);
}

static void must_be_sound(const char *when) {
	struct said said = {0};
	struct fsck_summary sum;
	int rc = fsck_run(d.vault, &d.secret, note, &said, &sum);
	struct reading reading = read_all();
	if (rc < 0 || said.findings > 0 || reading.right != d.expected_count) {
		printf("FAILED: %s: the vault is not sound: %s %zu of %zu files are right\n", when,
		        rc < 0 ? fault_message() : said.first, reading.right, d.expected_count);
		exit(1);
	}
}

int main(int argc, char **argv) {
	if (argc < 6 || sodium_init() < 0) {
		fprintf(stderr, "usage: damage VAULT PASSPHRASE MANIFEST FLIPS SEED [OLDER…]\n");
		return 2;
	}
	d.vault = argv[1];
	d.secret = (struct store_secret){.bytes = bytes_of_string(argv[2])};
	d.random = strtoull(argv[5], NULL, 10);
	read_manifest(argv[3]);
	if (nftw(d.vault, gather, 16, FTW_PHYS) < 0)
		fail("walking", d.vault);
	must_be_sound("before");
	unsigned flips = (unsigned)strtoul(argv[4], NULL, 10);
	for (unsigned i = 0; i < flips; i++)
		flip(i);
	larger(argc - 6, argv + 6);
	must_be_sound("after");
	const struct counts *c = &d.counts;
	printf("%zu files, %u single bytes, %u changes in all: %u found and named, %u found in another file, %u not "
	       "found, %u refused to open (vault.json), %u taken for what a crash leaves\n",
	        d.file_count, flips, c->trials, c->found, c->misnamed, c->missed, c->refused, c->older);
	printf("%u reads with wrong bytes; the vault opened after %u, some file could not be read after %u\n", c->wrong,
	        c->read, c->unreadable);
	return c->failed > 0;
}
