/* The log of small fsyncs by itself: what is read back after whatever happened to its file. */
#include "backend/synclog.h"
#include "backend/synclog_format.h"
#include "crypto/keyring.h"
#include "tests/backend/faulty_io.h"
#include "tests/backend/scratch.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BASE 7

static const uint8_t vault_id[SYNCLOG_VAULT_ID_BYTES] = {1, 2, 3};

struct world {
	struct scratch *scratch;
	VaultIo *io;
	Keyring *keyring;
	SyncLog *log;
	atomic_int syncs_failing;
	uint64_t ticket;
};

static int disk(void *arg, enum faulty_call call, const char *name, uint64_t offset, size_t size, size_t *ret_written) {
	struct world *w = arg;
	(void)name, (void)offset, (void)size, (void)ret_written;
	return call == FAULTY_SYNC && atomic_load(&w->syncs_failing) ? -EIO : 0;
}

static void open_log(struct world *w, uint64_t base) {
	synclog_close(w->log);
	w->log = NULL;
	assert_rc(synclog_open(w->io, w->keyring, vault_id, base, &w->log));
}

static int setup(void **state) {
	struct world *w = calloc(1, sizeof *w);
	assert_non_null(w);
	void *scratch = NULL;
	assert_int_equal(scratch_setup(&scratch), 0);
	w->scratch = scratch;
	assert_rc(faulty_io_open(w->scratch->vault, disk, w, &w->io));
	assert_rc(keyring_new_vault(&w->keyring));
	open_log(w, BASE);
	*state = w;
	return 0;
}

static int teardown(void **state) {
	struct world *w = *state;
	void *scratch = w->scratch;
	synclog_close(w->log);
	keyring_free(w->keyring);
	vault_io_close(w->io);
	(void)scratch_teardown(&scratch);
	free(w);
	return 0;
}

/* ---- writing ---- */

static struct synclog_record record_of(uint64_t node, uint64_t offset, const char *text) {
	return (struct synclog_record){.node = node,
	        .version = node + 100,
	        .size = offset + strlen(text),
	        .mtime = 5,
	        .ctime = 6,
	        .count = 1,
	        .pieces = {{.offset = offset, .data = bytes_of_string(text)}}};
}

static void put(struct world *w, uint64_t node, uint64_t offset, const char *text) {
	struct synclog_record record = record_of(node, offset, text);
	assert_rc(synclog_put(w->log, &record, &w->ticket));
}

static void put_durable(struct world *w, uint64_t node, uint64_t offset, const char *text) {
	put(w, node, offset, text);
	assert_rc(synclog_wait(w->log, w->ticket));
}

static void commit(struct world *w, uint64_t base) {
	synclog_hold(w->log);
	synclog_resume(w->log, true, base);
}

/* ---- reading ---- */

struct seen {
	char words[512];
};

static int see(void *arg, const struct synclog_record *record) {
	struct seen *seen = arg;
	size_t at = strlen(seen->words);
	for (size_t i = 0; i < record->count; i++)
		at += (size_t)snprintf(seen->words + at, sizeof seen->words - at, "%lu:%lu:%.*s ",
		        (unsigned long)record->node, (unsigned long)record->pieces[i].offset,
		        (int)record->pieces[i].data.size, (const char *)record->pieces[i].data.data);
	assert_int_equal(record->version, record->node + 100);
	assert_int_equal(record->mtime, 5);
	assert_int_equal(record->ctime, 6);
	return 0;
}

static void assert_read(struct world *w, uint64_t base, const char *words) {
	struct seen seen = {0};
	uint64_t count = 0;
	assert_rc(synclog_read(w->io, w->keyring, vault_id, base, see, &seen, &count));
	assert_string_equal(seen.words, words);
	size_t spaces = 0;
	for (const char *at = words; *at; at++)
		spaces += *at == ' ';
	assert_int_equal(count, spaces);
}

static uint8_t *load(struct world *w, size_t *ret_size) {
	return scratch_read(w->scratch->vault, SYNCLOG_NAME, ret_size);
}

static void save(struct world *w, const void *bytes, size_t size) {
	scratch_write(w->scratch->vault, SYNCLOG_NAME, bytes, size);
}

static void flip(struct world *w, size_t at) {
	size_t size;
	uint8_t *bytes = load(w, &size);
	assert_true(at < size);
	bytes[at] ^= 1;
	save(w, bytes, size);
	free(bytes);
}

/* Where the record with such a number stands, all of them being one unit and one block of 64 bytes long. */
static size_t place_of(size_t number, size_t text) {
	return SYNCLOG_START + (number - 1) * synclog_room(SYNCLOG_PAYLOAD_FIXED + SYNCLOG_PIECE_BYTES + text);
}

/* ---- tests ---- */

static void what_was_waited_for_is_read_back_in_order(void **state) {
	struct world *w = *state;
	put(w, 1, 0, "one");
	put(w, 2, 9, "two");
	put_durable(w, 1, 3, "three");
	assert_read(w, BASE, "1:0:one 2:9:two 1:3:three ");
	put_durable(w, 3, 0, "four");
	assert_read(w, BASE, "1:0:one 2:9:two 1:3:three 3:0:four ");
	struct seen seen = {0};
	assert_rc(synclog_each(w->log, see, &seen));
	assert_string_equal(seen.words, "1:0:one 2:9:two 1:3:three 3:0:four ");
}

static void nothing_is_acknowledged_before_the_disk_has_it(void **state) {
	struct world *w = *state;
	put_durable(w, 1, 0, "kept");
	atomic_store(&w->syncs_failing, 1);
	put(w, 1, 4, "not");
	assert_int_equal(synclog_wait(w->log, w->ticket), -EAGAIN);
	atomic_store(&w->syncs_failing, 0);
	struct synclog_record record = record_of(1, 7, "after");
	assert_int_equal(synclog_put(w->log, &record, &w->ticket), -EAGAIN);
	assert_true(synclog_waits(w->log));
}

static void after_a_commit_only_what_stands_on_it_counts(void **state) {
	struct world *w = *state;
	put(w, 1, 0, "aaa");
	put(w, 1, 0, "bbb");
	put_durable(w, 1, 0, "ccc");
	assert_true(synclog_waits(w->log));
	commit(w, BASE + 1);
	assert_false(synclog_waits(w->log));
	assert_read(w, BASE + 1, "");
	put_durable(w, 1, 0, "ddd");
	assert_read(w, BASE + 1, "1:0:ddd ");
	assert_read(w, BASE + 2, "");
}

static void a_commit_of_nothing_leaves_the_records_as_they_are(void **state) {
	struct world *w = *state;
	put_durable(w, 1, 0, "aaa");
	commit(w, BASE);
	put_durable(w, 1, 0, "bbb");
	assert_read(w, BASE, "1:0:aaa 1:0:bbb ");
}

static void *wait_for(void *arg) {
	struct world *w = arg;
	return (void *)(intptr_t)synclog_wait(w->log, w->ticket);
}

static void who_waits_while_the_log_is_held_is_served_by_the_commit(void **state) {
	struct world *w = *state;
	struct synclog_record record = record_of(1, 0, "late");
	pthread_t waiter;
	void *rc = (void *)1;
	put(w, 1, 0, "aaa");
	synclog_hold(w->log);
	uint64_t ticket;
	assert_int_equal(synclog_put(w->log, &record, &ticket), -EAGAIN);
	assert_int_equal(pthread_create(&waiter, NULL, wait_for, w), 0);
	synclog_resume(w->log, true, BASE + 1);
	pthread_join(waiter, &rc);
	assert_int_equal((intptr_t)rc, 0);
	assert_read(w, BASE, "");
	assert_read(w, BASE + 1, "");
}

static void after_a_commit_that_failed_nothing_is_promised(void **state) {
	struct world *w = *state;
	put(w, 1, 0, "aaa");
	synclog_hold(w->log);
	synclog_resume(w->log, false, BASE);
	assert_int_equal(synclog_wait(w->log, w->ticket), -EAGAIN);
	struct synclog_record record = record_of(1, 0, "late");
	assert_int_equal(synclog_put(w->log, &record, &w->ticket), -EAGAIN);
}

static void a_log_that_is_full_is_refused_until_a_commit(void **state) {
	struct world *w = *state;
	char *text = calloc(1, 40001);
	memset(text, 'x', 40000);
	struct synclog_record record = record_of(1, 0, text);
	size_t count = 0;
	while (synclog_put(w->log, &record, &w->ticket) == 0) {
		assert_rc(synclog_wait(w->log, w->ticket));
		assert_in_range(++count, 1, SYNCLOG_BYTES / 40000);
	}
	assert_in_range(count, SYNCLOG_BYTES / 40000 - 2, SYNCLOG_BYTES / 40000);
	uint64_t read = 0;
	assert_rc(synclog_read(w->io, w->keyring, vault_id, BASE, NULL, NULL, &read));
	assert_int_equal(read, count);
	commit(w, BASE + 1);
	put_durable(w, 2, 0, "again");
	assert_read(w, BASE + 1, "2:0:again ");
	size_t size;
	free(load(w, &size));
	assert_in_range(size, 1, SYNCLOG_BYTES);
	free(text);
}

static void so_are_more_blocks_than_there_is_room_for_at_the_next_commit(void **state) {
	struct world *w = *state;
	struct synclog_record record = record_of(1, 0, "x");
	record.blocks = 1;
	for (size_t i = 0; i < SYNCLOG_BLOCKS_ON_BASE; i++) {
		assert_rc(synclog_put(w->log, &record, &w->ticket));
		assert_rc(synclog_wait(w->log, w->ticket));
	}
	assert_int_equal(synclog_put(w->log, &record, &w->ticket), -EAGAIN);
	record.blocks = 0;
	assert_rc(synclog_put(w->log, &record, &w->ticket));
	commit(w, BASE + 1);
	record.blocks = 1;
	assert_rc(synclog_put(w->log, &record, &w->ticket));
}

static void a_record_too_large_is_refused(void **state) {
	struct world *w = *state;
	uint8_t *data = calloc(1, SYNCLOG_DATA_MAX + 1);
	struct synclog_record record = record_of(1, 0, "x");
	record.pieces[0].data = bytes_of(data, SYNCLOG_DATA_MAX + 1);
	record.size = SYNCLOG_DATA_MAX + 1;
	assert_int_equal(synclog_put(w->log, &record, &w->ticket), -EAGAIN);
	record.pieces[0].data.size = SYNCLOG_DATA_MAX;
	assert_rc(synclog_put(w->log, &record, &w->ticket));
	assert_rc(synclog_wait(w->log, w->ticket));
	free(data);
}

static void where_a_crash_cut_the_log_ends(void **state) {
	struct world *w = *state;
	size_t size;
	put_durable(w, 1, 0, "aaa");
	put(w, 1, 0, "bbb");
	put_durable(w, 1, 0, "ccc");
	uint8_t *whole = load(w, &size);
	/* The mark is behind the last; without it nothing says that the second flush ended. */
	memset(whole + place_of(4, 3), 0, SYNCLOG_HEAD_BYTES);
	save(w, whole, size);
	flip(w, place_of(3, 3) + 70);
	assert_read(w, BASE, "1:0:aaa 1:0:bbb ");
	save(w, whole, size);
	flip(w, place_of(2, 3) + 70); /* torn: the third of the same flush got through, and must not count */
	assert_read(w, BASE, "1:0:aaa ");
	save(w, whole, place_of(2, 3) + 30);
	assert_read(w, BASE, "1:0:aaa ");
	free(whole);
}

static void assert_damaged(struct world *w) {
	uint64_t count = 99;
	struct seen seen = {0};
	assert_int_equal(synclog_read(w->io, w->keyring, vault_id, BASE, see, &seen, &count), -EBADMSG);
	assert_non_null(strstr(fault_message(), SYNCLOG_NAME));
	assert_string_equal(seen.words, "");
	assert_int_equal(count, 99);
}

static void a_record_that_was_durable_is_missed(void **state) {
	struct world *w = *state;
	size_t size, unit = place_of(2, 3) - place_of(1, 3);
	put_durable(w, 1, 0, "aaa");
	put_durable(w, 1, 0, "bbb");
	put_durable(w, 1, 0, "ccc");
	uint8_t *whole = load(w, &size);
	for (size_t at = place_of(1, 3); at < place_of(4, 3); at += 5) {
		size_t in = (at - SYNCLOG_START) % unit;
		size_t used = SYNCLOG_HEAD_BYTES + SYNCLOG_PAYLOAD_FIXED + SYNCLOG_PIECE_BYTES + 3;
		if (in >= used)
			continue; /* zeros that fill it up */
		save(w, whole, size);
		flip(w, at);
		assert_damaged(w);
	}
	free(whole);
}

static void one_of_the_two_headers_is_enough(void **state) {
	struct world *w = *state;
	size_t size;
	put_durable(w, 1, 0, "aaa");
	uint8_t *whole = load(w, &size);
	static const size_t places[] = {0, 8, 10, 12, 20, 40, 100, 500};
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		for (size_t copy = 0; copy < SYNCLOG_HEADERS; copy++) {
			save(w, whole, size);
			flip(w, copy * SYNCLOG_HEADER_BYTES + places[i]);
			assert_read(w, BASE, "1:0:aaa ");
		}
	}
	free(whole);
}

static void without_either_header_records_are_missed(void **state) {
	struct world *w = *state;
	static const uint8_t other_id[SYNCLOG_VAULT_ID_BYTES] = {9};
	put_durable(w, 1, 0, "aaa");
	assert_int_equal(synclog_read(w->io, w->keyring, other_id, BASE, NULL, NULL, NULL), -EBADMSG);
	flip(w, 40);
	flip(w, SYNCLOG_HEADER_BYTES + 500);
	assert_damaged(w);
}

static void headers_alone_were_never_waited_for(void **state) {
	struct world *w = *state;
	size_t size;
	put_durable(w, 1, 0, "aaa");
	uint8_t *whole = load(w, &size);
	memset(whole + SYNCLOG_START, 0, size - SYNCLOG_START);
	save(w, whole, size);
	flip(w, 40);
	flip(w, SYNCLOG_HEADER_BYTES + 500);
	assert_read(w, BASE, "");
	free(whole);
}

static void a_commit_number_that_comes_again_is_another_base(void **state) {
	(void)state;
	assert_int_equal(synclog_base(12, 5), synclog_base(12, 5));
	assert_int_not_equal(synclog_base(12, 5), synclog_base(12, 6));
	assert_int_not_equal(synclog_base(12, 5), synclog_base(13, 5));
}

static void a_log_of_an_earlier_mount_has_nothing(void **state) {
	struct world *w = *state;
	size_t old_size, size;
	put_durable(w, 1, 0, "old");
	uint8_t *old = load(w, &old_size);
	open_log(w, BASE);
	put_durable(w, 2, 0, "new");
	put_durable(w, 2, 0, "now");
	assert_read(w, BASE, "2:0:new 2:0:now ");
	uint8_t *new = load(w, &size);
	memcpy(new + SYNCLOG_START, old + SYNCLOG_START, 128); /* the old record, below the new header */
	memset(new + place_of(2, 3), 0, 1024);
	save(w, new, size);
	assert_read(w, BASE, "");
	free(old);
	free(new);
}

static void a_record_stands_in_its_place_only(void **state) {
	struct world *w = *state;
	size_t size, unit = place_of(2, 3) - place_of(1, 3);
	put(w, 1, 0, "aaa");
	put_durable(w, 1, 0, "bbb");
	uint8_t *whole = load(w, &size);
	memcpy(whole + place_of(1, 3), whole + place_of(2, 3), unit);
	memset(whole + place_of(2, 3), 0, 2 * unit);
	save(w, whole, size);
	assert_read(w, BASE, "");
	free(whole);
}

/* Nobody writes that; but no record may count without the one before it. */
static void a_number_left_out_ends_the_log(void **state) {
	struct world *w = *state;
	size_t size;
	uint8_t key[SYNCLOG_KEY_BYTES];
	struct synclog_header header;
	put_durable(w, 1, 0, "aaa");
	uint8_t *whole = load(w, &size);
	assert_rc(synclog_header_parse(whole, &header));
	assert_rc(keyring_get(w->keyring, "landing", header.key_version, key, NULL));
	synclog_key(key, &header, key);
	for (uint32_t number = 2; number <= 3; number++) {
		struct synclog_record record = record_of(1, 3, "bbb");
		struct synclog_head head = {.base = BASE, .number = number, .durable = 1};
		head.length = (uint32_t)synclog_payload_bytes(&record);
		synclog_payload_put(&record, whole + place_of(2, 3) + SYNCLOG_HEAD_BYTES);
		assert_rc(synclog_seal(key, place_of(2, 3), &head, whole + place_of(2, 3)));
		save(w, whole, size);
		assert_read(w, BASE, number == 2 ? "1:0:aaa 1:3:bbb " : "1:0:aaa ");
	}
	free(whole);
}

static void nothing_of_it_can_be_read_and_nothing_looks_the_same_twice(void **state) {
	struct world *w = *state;
	size_t size;
	put_durable(w, 1, 0, "SECRET THAT SECRET");
	put_durable(w, 1, 0, "SECRET THAT SECRET");
	uint8_t *whole = load(w, &size), *other = whole + place_of(2, 18);
	assert_null(memmem(whole, size, "SECRET", 6));
	assert_memory_not_equal(whole + place_of(1, 18) + 64, other + 64, SYNCLOG_PAYLOAD_FIXED);
	free(whole);
}

static void a_vault_without_it_has_no_records(void **state) {
	struct world *w = *state;
	uint64_t count = 5;
	assert_rc(synclog_read(w->io, w->keyring, vault_id, BASE, NULL, NULL, &count));
	assert_int_equal(count, 0);
	assert_rc(synclog_remove(w->io));
	put_durable(w, 1, 0, "aaa");
	assert_rc(synclog_remove(w->io));
	assert_read(w, BASE, "");
}

static void who_lacks_the_key_can_not_say_what_is_in_it(void **state) {
	struct world *w = *state;
	Keyring *empty = NULL;
	SyncLog *log = NULL;
	uint64_t count;
	assert_rc(keyring_new(&empty));
	assert_int_equal(synclog_open(w->io, empty, vault_id, BASE, &log), -ENOKEY);
	put_durable(w, 1, 0, "aaa");
	assert_int_equal(synclog_read(w->io, empty, vault_id, BASE, NULL, NULL, &count), -ENOKEY);
	keyring_free(empty);
}

static void assert_no_record(const struct synclog_record *record, size_t place, uint64_t value, size_t bytes) {
	uint8_t payload[256];
	struct synclog_record parsed = {0};
	size_t size = synclog_payload_bytes(record);
	synclog_payload_put(record, payload);
	assert_rc(synclog_payload_parse(bytes_of(payload, size), &parsed));
	assert_int_equal(parsed.count, record->count);
	if (bytes == 4)
		le32_put(payload + place, (uint32_t)value);
	else
		le64_put(payload + place, value);
	assert_int_equal(synclog_payload_parse(bytes_of(payload, size), &parsed), -EBADMSG);
}

static void a_payload_that_nobody_would_write_is_refused(void **state) {
	(void)state;
	struct synclog_record record = record_of(1, 2, "abc");
	assert_no_record(&record, 0, 0, 8);           /* no node */
	assert_no_record(&record, 8, 0, 8);           /* no version */
	assert_no_record(&record, 16, 4, 8);          /* a file too short for the piece */
	assert_no_record(&record, 16, UINT64_MAX, 8); /* or too long for any */
	assert_no_record(&record, 40, 2, 4);          /* a piece more */
	assert_no_record(&record, 40, 0, 4);          /* bytes of none */
	assert_no_record(&record, 40, UINT32_MAX, 4); /* far too many */
	assert_no_record(&record, 44, 1, 4);          /* not zero */
	assert_no_record(&record, 48, UINT64_MAX, 8); /* offset that overflows */
	assert_no_record(&record, 56, 0, 4);          /* an empty piece */
	assert_no_record(&record, 56, 4, 4);          /* one longer than there is */
	assert_no_record(&record, 56, 2, 4);          /* and shorter */
	assert_no_record(&record, 60, 1, 4);          /* not zero */
}

#define THREADS 6
#define ROUNDS 60

struct writer {
	struct world *w;
	uint64_t node;
	unsigned refused;
};

static void *write_some(void *arg) {
	struct writer *writer = arg;
	for (uint64_t i = 0; i < ROUNDS; i++) {
		struct synclog_record record = record_of(writer->node, i, "x");
		uint64_t ticket;
		int rc = synclog_put(writer->w->log, &record, &ticket);
		if (rc == 0)
			rc = synclog_wait(writer->w->log, ticket);
		writer->refused += rc != 0;
	}
	return NULL;
}

static int see_rising(void *arg, const struct synclog_record *record) {
	uint64_t *next = arg;
	assert_in_range(record->node, 1, THREADS);
	assert_int_equal(record->pieces[0].offset, next[record->node]++);
	return 0;
}

static void many_write_at_once(void **state) {
	struct world *w = *state;
	pthread_t threads[THREADS];
	struct writer writers[THREADS];
	uint64_t next[THREADS + 1] = {0};
	for (uint64_t i = 0; i < THREADS; i++) {
		writers[i] = (struct writer){.w = w, .node = i + 1};
		assert_int_equal(pthread_create(&threads[i], NULL, write_some, &writers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_rc(synclog_read(w->io, w->keyring, vault_id, BASE, see_rising, next, NULL));
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(writers[i].refused, 0);
		assert_int_equal(next[i + 1], ROUNDS);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
	const struct CMUnitTest tests[] = {
	        TEST(what_was_waited_for_is_read_back_in_order),
	        TEST(nothing_is_acknowledged_before_the_disk_has_it),
	        TEST(after_a_commit_only_what_stands_on_it_counts),
	        TEST(a_commit_of_nothing_leaves_the_records_as_they_are),
	        TEST(who_waits_while_the_log_is_held_is_served_by_the_commit),
	        TEST(after_a_commit_that_failed_nothing_is_promised),
	        TEST(a_log_that_is_full_is_refused_until_a_commit),
	        TEST(so_are_more_blocks_than_there_is_room_for_at_the_next_commit),
	        TEST(a_record_too_large_is_refused),
	        TEST(where_a_crash_cut_the_log_ends),
	        TEST(a_record_that_was_durable_is_missed),
	        TEST(one_of_the_two_headers_is_enough),
	        TEST(without_either_header_records_are_missed),
	        TEST(headers_alone_were_never_waited_for),
	        TEST(a_commit_number_that_comes_again_is_another_base),
	        TEST(a_log_of_an_earlier_mount_has_nothing),
	        TEST(a_record_stands_in_its_place_only),
	        TEST(a_number_left_out_ends_the_log),
	        TEST(nothing_of_it_can_be_read_and_nothing_looks_the_same_twice),
	        TEST(a_vault_without_it_has_no_records),
	        TEST(who_lacks_the_key_can_not_say_what_is_in_it),
	        TEST(a_payload_that_nobody_would_write_is_refused),
	        TEST(many_write_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
