/* Segments that come when they are wanted: by many at once, in spite of failures, and never by halves. */
#include "backend/backup/recall.h"

#include "backend/backup/layout.h"
#include "backend/backup/origin.h"
#include "crypto/base/deadline.h"
#include "crypto/encoding.h"
#include "tests/backend/faulty_io.h"
#include "tests/backend/scratch.h"
#include "tests/backend/shelf.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEGMENTS 12
#define THREADS 8
#define EXTENT 4096u

struct world {
	struct scratch *s;
	Shelf *shelf;
	VaultIo *io;
	Recall *recall;
	struct segment_row rows[SEGMENTS];
	_Atomic int disk_rc, place_rc;
	_Atomic unsigned gets, failing_get; /* 0: none */
	recall_verify_fn *verify;
	_Atomic bool is_slow;
	pthread_mutex_t hearing;
	char notices[4096];
};

static uint8_t byte_at(uint32_t number, uint64_t at) {
	return (uint8_t)(number * 31 + at * 7 + at / 251);
}

static int disk(void *arg, enum faulty_call call, const char *name, uint64_t offset, size_t size, size_t *ret_written) {
	struct world *w = arg;
	(void)offset;
	(void)ret_written;
	(void)size;
	return call == FAULTY_WRITE && strstr(name, ".tmp") && strstr(name, "segments/") ? w->disk_rc : 0;
}

static int ask(void *arg, enum object_what what, const char *name) {
	struct world *w = arg;
	if (what == OBJECT_GET && name)
		w->gets++;
	if (w->is_slow)
		(void)usleep(2000);
	return what == OBJECT_GET && name && w->gets == w->failing_get ? -ETIMEDOUT : w->place_rc;
}

static void hear(void *arg, const char *words) {
	struct world *w = arg;
	pthread_mutex_lock(&w->hearing);
	size_t used = strlen(w->notices);
	(void)snprintf(w->notices + used, sizeof w->notices - used, "%s\n", words);
	pthread_mutex_unlock(&w->hearing);
}

static bool has_heard(struct world *w, const char *words) {
	pthread_mutex_lock(&w->hearing);
	bool has = strstr(w->notices, words) != NULL;
	pthread_mutex_unlock(&w->hearing);
	return has;
}

/* Extents that overlap, and reach beyond what is committed. */
static void put_extents(struct world *w, const struct segment_row *row) {
	uint8_t bytes[2 * EXTENT];
	for (uint32_t from = 0; from < row->bytes; from += EXTENT) {
		char name[LAYOUT_NAME_BYTES];
		uint32_t begin = from > 100 ? from - 100 : from, size = EXTENT + from - begin + 50;
		for (uint32_t i = 0; i < size; i++)
			bytes[i] = byte_at(row->number, begin + i);
		layout_extent_name(row->id, begin, begin + size, name);
		shelf_put(w->shelf, name, bytes, size);
	}
}

static void name_of(const struct segment_row *row, char ret[static SEGMENT_NAME_BYTES]) {
	char hex[HEX_TEXT_BYTES(SEGMENT_ID_BYTES)];
	hex_encode(bytes_of(row->id, SEGMENT_ID_BYTES), hex);
	(void)snprintf(ret, SEGMENT_NAME_BYTES, "segments/%.2s/%s", hex, hex);
}

static void open_recall(struct world *w) {
	VaultIo *inner = NULL;
	const struct recall_means means = {.open = shelf_open, .open_arg = w->shelf};
	assert_rc(faulty_io_open(w->s->vault, disk, w, &inner));
	assert_int_equal(recall_is_needed(inner), 1);
	assert_rc(recall_open(inner, &means, &w->io, &w->recall));
	recall_on_notice(w->recall, hear, w);
	for (size_t i = 0; i < SEGMENTS; i++)
		assert_rc(recall_expect(w->recall, &w->rows[i]));
	assert_rc(recall_ready(w->recall, w->verify, NULL));
}

static int setup(void **state) {
	struct world *w = calloc(1, sizeof *w);
	void *s = NULL;
	assert_non_null(w);
	assert_int_equal(scratch_setup(&s), 0);
	w->s = s;
	pthread_mutex_init(&w->hearing, NULL);
	w->shelf = shelf_new();
	shelf_on_request(w->shelf, ask, w);
	for (uint32_t i = 0; i < SEGMENTS; i++) {
		struct segment_row *row = &w->rows[i];
		row->number = i + 1;
		memset(row->id, (int)(200 - 7 * i), sizeof row->id);
		row->bytes = 3 * EXTENT + 1000 * i;
		put_extents(w, row);
	}
	assert_rc(origin_write(w->s->io, &(struct vault_origin){.url = SHELF_URL, .generation = 5}));
	vault_io_close(w->s->io);
	w->s->io = NULL;
	open_recall(w);
	*state = w;
	return 0;
}

static int teardown(void **state) {
	struct world *w = *state;
	void *s = w->s;
	vault_io_close(w->io);
	shelf_free(w->shelf);
	pthread_mutex_destroy(&w->hearing);
	free(w);
	return scratch_teardown(&s);
}

/* The whole file, through the VaultIo. */
static int read_segment(struct world *w, size_t index) {
	const struct segment_row *row = &w->rows[index];
	char name[SEGMENT_NAME_BYTES];
	_cleanup_(vault_file_closep) VaultFile *file = NULL;
	_cleanup_(freep) uint8_t *bytes = malloc(row->bytes + 100);
	size_t got = 0;
	name_of(row, name);
	int rc = vault_file_open(w->io, name, VAULT_FILE_READ, &file);
	if (rc == 0)
		rc = vault_file_read_at(file, 0, bytes, row->bytes + 100, &got);
	if (rc < 0)
		return rc;
	if (got != row->bytes)
		return -ERANGE;
	for (size_t i = 0; i < got; i++)
		if (bytes[i] != byte_at(row->number, i))
			return -EILSEQ;
	return 0;
}

static bool is_on_disk(struct world *w, size_t index, const char *suffix) {
	char name[SEGMENT_NAME_BYTES], path[256];
	name_of(&w->rows[index], name);
	(void)snprintf(path, sizeof path, "%s/%s%s", w->s->vault, name, suffix);
	return access(path, F_OK) == 0;
}

static uint64_t missing(struct world *w) {
	struct recall_status status;
	recall_status(w->recall, &status);
	return status.missing_segments;
}

/* ---- */

static void a_size_is_told_and_an_opening_sends_nothing(void **state) {
	struct world *w = *state;
	char name[SEGMENT_NAME_BYTES];
	uint64_t size = 0;
	VaultFile *file = NULL;
	name_of(&w->rows[3], name);
	assert_rc(vault_io_stat_size(w->io, name, &size));
	assert_int_equal(size, w->rows[3].bytes);
	assert_rc(vault_file_open(w->io, name, VAULT_FILE_WRITE, &file));
	assert_rc(vault_file_size(file, &size));
	assert_int_equal(size, w->rows[3].bytes);
	vault_file_expect(file, 0, 100);
	assert_rc(vault_file_sync(file));
	vault_file_close(file);
	assert_int_equal(w->gets, 0);
	assert_false(recall_is_here(w->recall, 4));
	assert_true(recall_is_here(w->recall, 99));
	assert_rc(read_segment(w, 3));
	assert_true(recall_is_here(w->recall, 4));
	assert_rc(vault_io_stat_size(w->io, name, &size));
	assert_int_equal(size, w->rows[3].bytes);
	assert_int_equal(missing(w), SEGMENTS - 1);
}

struct reader {
	struct world *w;
	pthread_t thread;
	unsigned seed;
	_Atomic int rc;
};

static void *read_one(void *arg) {
	struct reader *reader = arg;
	reader->rc = read_segment(reader->w, 0);
	return NULL;
}

static void those_that_want_one_segment_wait_for_one_fetch(void **state) {
	struct world *w = *state;
	struct reader readers[THREADS];
	w->is_slow = true;
	for (size_t i = 0; i < THREADS; i++) {
		readers[i] = (struct reader){.w = w};
		assert_int_equal(pthread_create(&readers[i].thread, NULL, read_one, &readers[i]), 0);
	}
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(readers[i].thread, NULL);
		assert_int_equal(readers[i].rc, 0);
	}
	assert_true(w->gets <= 4);
}

static void *read_all(void *arg) {
	struct reader *reader = arg;
	for (unsigned i = 0; i < SEGMENTS && reader->rc == 0; i++)
		reader->rc = read_segment(reader->w, (i * 5 + reader->seed) % SEGMENTS);
	return NULL;
}

static void readers_and_the_thread_behind_them_get_in_nobodys_way(void **state) {
	struct world *w = *state;
	struct reader readers[THREADS];
	w->is_slow = true;
	assert_rc(recall_start(w->recall));
	for (unsigned i = 0; i < THREADS; i++) {
		readers[i] = (struct reader){.w = w, .seed = i};
		assert_int_equal(pthread_create(&readers[i].thread, NULL, read_all, &readers[i]), 0);
	}
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(readers[i].thread, NULL);
		assert_int_equal(readers[i].rc, 0);
	}
	for (unsigned i = 0; i < 2000 && !has_heard(w, "of this vault is here"); i++)
		(void)usleep(5000);
	recall_stop(w->recall);
	assert_true(has_heard(w, "of this vault is here"));
	assert_int_equal(missing(w), 0);
	assert_int_equal(vault_io_stat_size(w->io, RECALL_NAME, &(uint64_t){0}), -ENOENT);
	for (unsigned i = 0; i < SEGMENTS; i++) {
		assert_rc(read_segment(w, i));
		assert_false(is_on_disk(w, i, ".tmp"));
	}
}

static void *drop_all(void *arg) {
	struct reader *reader = arg;
	for (unsigned i = 0; i < SEGMENTS; i++) {
		char name[SEGMENT_NAME_BYTES];
		name_of(&reader->w->rows[i], name);
		int rc = vault_io_unlink(reader->w->io, name);
		if (rc < 0 && rc != -ENOENT)
			reader->rc = rc;
		(void)usleep(1000);
	}
	return NULL;
}

static void what_was_removed_does_not_come_back(void **state) {
	struct world *w = *state;
	struct reader dropper = {.w = w}, reader = {.w = w};
	w->is_slow = true;
	assert_rc(recall_start(w->recall));
	assert_int_equal(pthread_create(&reader.thread, NULL, read_all, &reader), 0);
	assert_int_equal(pthread_create(&dropper.thread, NULL, drop_all, &dropper), 0);
	pthread_join(reader.thread, NULL);
	pthread_join(dropper.thread, NULL);
	assert_true(reader.rc == 0 || reader.rc == -ENOENT);
	assert_int_equal(dropper.rc, 0);
	recall_stop(w->recall);
	for (unsigned i = 0; i < SEGMENTS; i++) {
		assert_false(is_on_disk(w, i, ""));
		assert_int_equal(read_segment(w, i), -ENOENT);
	}
	uint64_t bytes = 0;
	assert_int_equal(recall_next(w->recall, &bytes), 0);
}

static void a_failure_names_the_object_and_the_next_try_works(void **state) {
	struct world *w = *state;
	struct recall_status status;
	w->place_rc = -ETIMEDOUT;
	assert_int_equal(read_segment(w, 0), -EIO);
	assert_non_null(strstr(fault_message(), SHELF_URL));
	w->place_rc = 0;
	assert_int_equal(read_segment(w, 1), -EIO); /* at once: nobody is made to wait for a place that is away */
	assert_non_null(strstr(fault_message(), "in a moment"));
	(void)usleep((RECALL_AWAY_MS + 100) * 1000);
	assert_rc(read_segment(w, 1)); /* and it is listed */
	w->place_rc = -EACCES;
	assert_int_equal(read_segment(w, 0), -EIO);
	assert_non_null(strstr(fault_message(), "object segments/"));
	recall_status(w->recall, &status);
	assert_non_null(strstr(status.trouble, "segments/"));
	assert_false(is_on_disk(w, 0, ""));
	assert_false(is_on_disk(w, 0, ".tmp"));
	w->place_rc = 0;
	assert_rc(read_segment(w, 0));
}

static void a_full_disk_leaves_nothing_and_all_else_as_it_was(void **state) {
	struct world *w = *state;
	uint64_t bytes = 0;
	assert_rc(read_segment(w, 0));
	w->disk_rc = -ENOSPC;
	assert_int_equal(read_segment(w, 1), -EIO);
	assert_int_equal(recall_next(w->recall, &bytes), -ENOSPC);
	w->disk_rc = -EIO; /* which says nothing about the place */
	assert_int_equal(recall_next(w->recall, &bytes), -EIO);
	assert_false(recall_is_lacking(w->recall, 2));
	(void)usleep((RECALL_AWAY_MS + 100) * 1000);
	assert_false(is_on_disk(w, 1, ""));
	assert_false(is_on_disk(w, 1, ".tmp"));
	assert_rc(read_segment(w, 0));
	w->disk_rc = 0;
	assert_rc(read_segment(w, 1));
}

static void the_thread_goes_on_when_the_place_is_back(void **state) {
	struct world *w = *state;
	w->place_rc = -ECONNREFUSED;
	assert_rc(recall_start(w->recall));
	for (unsigned i = 0; i < 1000 && !has_heard(w, "tried again"); i++)
		(void)usleep(5000);
	assert_true(has_heard(w, SHELF_URL));
	w->place_rc = 0;
	for (unsigned i = 0; i < 2000 && !has_heard(w, "of this vault is here"); i++)
		(void)usleep(5000);
	assert_true(has_heard(w, "of this vault is here"));
	recall_stop(w->recall);
	assert_int_equal(missing(w), 0);
}

static void a_thread_that_is_stopped_ends_at_once_and_what_it_had_is_kept(void **state) {
	struct world *w = *state;
	w->is_slow = true;
	assert_rc(recall_start(w->recall));
	(void)usleep(10000);
	recall_stop(w->recall);
	uint64_t left = missing(w);
	vault_io_close(w->io);
	open_recall(w);
	assert_int_equal(missing(w), left);
	for (unsigned i = 0; i < SEGMENTS; i++)
		assert_rc(read_segment(w, i));
}

/* One short, one cut, one that nothing is there of. */
static void of_what_is_not_whole_nothing_is_taken(void **state) {
	struct world *w = *state;
	char name[LAYOUT_NAME_BYTES];
	uint64_t bytes = 0, lacking = 0, left_out = 7;
	int rc;
	shelf_forget_versions(w->shelf);
	layout_extent_name(w->rows[2].id, EXTENT - 100, 2 * EXTENT + 50, name);
	shelf_cut(w->shelf, name, 77);
	layout_extent_name(w->rows[4].id, EXTENT - 100, 2 * EXTENT + 50, name);
	shelf_erase(w->shelf, name);
	layout_segment_prefix(w->rows[6].id, name);
	while (shelf_count(w->shelf, name) > 0) {
		char one[OBJECT_NAME_MAX + 1];
		shelf_erase(w->shelf, shelf_name(w->shelf, name, 0, one));
	}
	assert_rc(recall_survey(w->recall, &lacking, &left_out));
	assert_int_equal(left_out, 0);
	assert_int_equal(lacking, 3);
	assert_int_equal(read_segment(w, 2), -EIO);
	assert_non_null(strstr(fault_message(), "only up to byte"));
	assert_int_equal(read_segment(w, 6), -EIO);
	assert_non_null(strstr(fault_message(), "has nothing of"));
	while ((rc = recall_next(w->recall, &bytes)) == 1)
		;
	assert_int_equal(rc, -ENODATA);
	assert_int_equal(missing(w), 3);
	assert_true(
	        recall_is_lacking(w->recall, 3) && recall_is_lacking(w->recall, 5) && recall_is_lacking(w->recall, 7));
	assert_false(recall_is_lacking(w->recall, 1) || recall_is_lacking(w->recall, 99));
	vault_io_close(w->io);
	open_recall(w); /* it is known without asking */
	assert_true(recall_is_lacking(w->recall, 7) && !recall_is_lacking(w->recall, 8));
	assert_false(is_on_disk(w, 2, "") || is_on_disk(w, 4, "") || is_on_disk(w, 6, ""));
	put_extents(w, &w->rows[2]);
	put_extents(w, &w->rows[4]);
	put_extents(w, &w->rows[6]);
	(void)usleep(1100000); /* so long a listing is believed */
	assert_rc(read_segment(w, 2));
	assert_rc(read_segment(w, 6));
	assert_int_equal(recall_next(w->recall, &bytes), 1);
	assert_int_equal(recall_next(w->recall, &bytes), 0);
}

static int wait_and_fail(void *arg, enum object_what what, const char *name) {
	struct world *w = arg;
	(void)what;
	(void)name;
	for (unsigned i = 0; i < 5000 && w->is_slow; i++)
		(void)usleep(2000);
	return -ETIMEDOUT;
}

/* Each for a segment of its own or one that another waits for; the place says nothing. */
static void readers_of_a_silent_place_keep_no_more_threads_than_their_share(void **state) {
	struct world *w = *state;
	struct reader readers[RECALL_READERS + 8];
	struct recall_status status;
	size_t count = sizeof readers / sizeof *readers, refused = 0;
	int64_t begin = monotonic_ms();
	shelf_on_request(w->shelf, wait_and_fail, w);
	w->is_slow = true;
	for (size_t i = 0; i < count; i++) {
		readers[i] = (struct reader){.w = w, .seed = (unsigned)i};
		assert_int_equal(pthread_create(&readers[i].thread, NULL, read_all, &readers[i]), 0);
	}
	for (unsigned i = 0; i < 1000 && refused < 8; i++, (void)usleep(10000)) {
		refused = 0;
		for (size_t k = 0; k < count; k++)
			refused += readers[k].rc == -EIO;
	}
	assert_int_equal(refused, 8);
	assert_true(monotonic_ms() - begin < 4 * RECALL_SILENCE_MS);
	recall_status(w->recall, &status);
	assert_int_equal(status.missing_segments, SEGMENTS);
	w->is_slow = false;
	for (size_t i = 0; i < count; i++) {
		pthread_join(readers[i].thread, NULL);
		assert_int_equal(readers[i].rc, -EIO);
	}
}

static void who_waits_is_let_go_when_the_mount_ends(void **state) {
	struct world *w = *state;
	struct reader readers[THREADS];
	w->is_slow = true;
	recall_halt(w->recall, true);
	for (unsigned i = 0; i < THREADS; i++) {
		readers[i] = (struct reader){.w = w, .seed = i};
		assert_int_equal(pthread_create(&readers[i].thread, NULL, read_all, &readers[i]), 0);
	}
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(readers[i].thread, NULL);
		assert_int_equal(readers[i].rc, -EIO);
	}
	recall_halt(w->recall, false);
	assert_rc(read_segment(w, 0));
}

static int find_wrong(void *arg, uint32_t number, VaultFile *file, uint64_t *ret_at, uint64_t *ret_length) {
	(void)arg;
	(void)number;
	(void)file;
	*ret_at = 10;
	*ret_length = 20;
	return 1;
}

/* Nothing there is better than what was got first, and that can't be got once more. */
static void what_is_left_of_another_version_is_no_file(void **state) {
	struct world *w = *state;
	char name[LAYOUT_NAME_BYTES];
	uint8_t zeros[EXTENT + 50] = {0};
	w->verify = find_wrong;
	vault_io_close(w->io);
	open_recall(w);
	layout_extent_name(w->rows[0].id, 0, sizeof zeros, name);
	shelf_put(w->shelf, name, zeros, sizeof zeros);
	w->failing_get = 5; /* three extents, the earlier version, the first one again */
	assert_int_equal(read_segment(w, 0), -EIO);
	assert_int_equal(w->gets, 5);
	assert_false(is_on_disk(w, 0, "") || is_on_disk(w, 0, ".tmp"));
}

static void remove_all_of(struct world *w, size_t index) {
	char prefix[LAYOUT_NAME_BYTES], one[OBJECT_NAME_MAX + 1];
	layout_segment_prefix(w->rows[index].id, prefix);
	while (shelf_count(w->shelf, prefix) > 0)
		shelf_erase(w->shelf, shelf_name(w->shelf, prefix, 0, one));
}

/* Whoever comes back to a place that lacked something for a while finds where the rest is. */
static void the_origin_goes_only_without_what_was_never_shipped(void **state) {
	struct world *w = *state;
	struct recall_status status;
	struct vault_origin origin = {.url = SHELF_URL, .generation = 5, .zones = 1u << ZONE_RAW};
	uint64_t bytes = 0;
	int rc;
	shelf_forget_versions(w->shelf);
	w->rows[2].zone = ZONE_LANDING;
	remove_all_of(w, 2);
	remove_all_of(w, 3);
	for (size_t i = 0; i < SEGMENTS; i++)
		w->rows[i].zone = i == 2 ? ZONE_LANDING : ZONE_RAW;
	assert_rc(origin_write(w->io, &origin));
	vault_io_close(w->io);
	open_recall(w);
	while ((rc = recall_next(w->recall, &bytes)) == 1)
		;
	assert_int_equal(rc, -ENODATA);
	assert_rc(vault_io_stat_size(w->io, RECALL_NAME, &bytes));
	put_extents(w, &w->rows[3]);
	(void)usleep(1100000); /* so long a listing is believed */
	assert_int_equal(recall_next(w->recall, &bytes), 1);
	assert_int_equal(recall_next(w->recall, &bytes), 0);
	assert_int_equal(vault_io_stat_size(w->io, RECALL_NAME, &bytes), -ENOENT);
	recall_status(w->recall, &status);
	assert_int_equal(status.missing_segments, 0);
	assert_int_equal(status.absent_segments, 1);
}

static void an_origin_is_read_as_it_was_written_and_nothing_else_is(void **state) {
	struct world *w = *state;
	static const char *const bad[] = {"", "[]", "{}", "{\"url\":\"s3://abc/d\"}",
	        "{\"url\":\"s3://abc/"
	        "d\",\"endpoint\":\"\",\"region\":\"\",\"generation\":-1,\"time_ns\":0,\"is_recorded\":"
	        "true}",
	        "{\"url\":\"ftp://abc/"
	        "d\",\"endpoint\":\"\",\"region\":\"\",\"generation\":1,\"time_ns\":0,\"is_recorded\":"
	        "true}",
	        "{\"url\":\"s3://abc/d\",\"endpoint\":\"a\\nb\",\"region\":\"\",\"generation\":1,\"time_ns\":0,\"is_"
	        "recorded\":true}",
	        "{\"url\":\"s3://abc/"
	        "d\",\"endpoint\":\"\",\"region\":\"\",\"generation\":1,\"time_ns\":0,\"is_recorded\":1"
	        "}",
	        "{\"url\":\"s3://abc/d\",\"endpoint\":\"\",\"region\":\"\",\"generation\":1,\"time_ns\":0,\"is_"
	        "recorded\":true,\"lacking\":[-1]}",
	        "{\"url\":\"s3://abc/d\",\"endpoint\":\"\",\"region\":\"\",\"generation\":1,\"time_ns\":0,\"is_"
	        "recorded\":true,\"zones\":\"all\"}",
	        "{\"url\":\"s3://abc/d\",\"endpoint\":\"\",\"region\":\"\",\"generation\":1,\"time_ns\":0,\"is_"
	        "recorded\":true,\"prefix_mark\":-1}"};
	struct vault_origin origin = {.url = "file:///x/y",
	                            .endpoint = "http://e:1",
	                            .region = "r",
	                            .generation = 7,
	                            .time_ns = 12,
	                            .is_recorded = true,
	                            .zones = 14,
	                            .prefix_mark = 77,
	                            .lacking = {3, UINT32_MAX},
	                            .lacking_count = 2},
	                    read = {0};
	assert_rc(origin_write(w->io, &origin));
	assert_rc(origin_read(w->io, &read));
	assert_memory_equal(&origin, &read, sizeof read);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(origin_parse(bytes_of_string(bad[i]), &read), -EINVAL);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(a_size_is_told_and_an_opening_sends_nothing, setup, teardown),
	        cmocka_unit_test_setup_teardown(those_that_want_one_segment_wait_for_one_fetch, setup, teardown),
	        cmocka_unit_test_setup_teardown(readers_and_the_thread_behind_them_get_in_nobodys_way, setup, teardown),
	        cmocka_unit_test_setup_teardown(what_was_removed_does_not_come_back, setup, teardown),
	        cmocka_unit_test_setup_teardown(a_failure_names_the_object_and_the_next_try_works, setup, teardown),
	        cmocka_unit_test_setup_teardown(a_full_disk_leaves_nothing_and_all_else_as_it_was, setup, teardown),
	        cmocka_unit_test_setup_teardown(the_thread_goes_on_when_the_place_is_back, setup, teardown),
	        cmocka_unit_test_setup_teardown(
	                a_thread_that_is_stopped_ends_at_once_and_what_it_had_is_kept, setup, teardown),
	        cmocka_unit_test_setup_teardown(of_what_is_not_whole_nothing_is_taken, setup, teardown),
	        cmocka_unit_test_setup_teardown(
	                readers_of_a_silent_place_keep_no_more_threads_than_their_share, setup, teardown),
	        cmocka_unit_test_setup_teardown(who_waits_is_let_go_when_the_mount_ends, setup, teardown),
	        cmocka_unit_test_setup_teardown(the_origin_goes_only_without_what_was_never_shipped, setup, teardown),
	        cmocka_unit_test_setup_teardown(what_is_left_of_another_version_is_no_file, setup, teardown),
	        cmocka_unit_test_setup_teardown(
	                an_origin_is_read_as_it_was_written_and_nothing_else_is, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
