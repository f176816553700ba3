/* A vault that is locked while it is mounted. */
#include "backend/audit.h"
#include "backend/segment_watch.h"
#include "backend/store_internal.h"
#include "backend/store_keys.h"
#include "tests/backend/gc_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct actor someone = {.uid = 1234, .exe = "test"};
static const struct store_secret right = {
        .kind = STORE_PASSPHRASE, .bytes = {(const uint8_t *)TEST_PASSPHRASE, sizeof TEST_PASSPHRASE - 1}};

static int try_read(Content *c, uint8_t *got, size_t size) {
	size_t n = 0;
	return content_read(c, 0, got, size, &n);
}

static void a_locked_vault_gives_no_content(void **state) {
	struct test_vault *v = *state;
	uint8_t got[16] = {0};
	uint64_t node = gc_file(v, NODE_LANDING, "a", 1), draft = test_vault_create(v, NODE_LANDING, "b");
	Content *open = gc_open_content(v, node), *written = gc_open_content(v, draft);
	assert_rc(try_read(open, got, 16));
	assert_rc(content_write(written, 0, bytes_of_string("a draft")));
	assert_false(store_is_locked(v->store));
	assert_rc(store_lock(v->store, &someone));
	assert_true(store_is_locked(v->store));
	assert_int_equal(open->blocks + written->blocks, 0);
	assert_int_equal(try_read(open, got, 16), -EACCES);
	assert_non_null(strstr(fault_message(), "locked"));
	assert_int_equal(try_read(written, got, 7), -EACCES);
	assert_int_equal(gc_try_file(v, node), -EACCES);
	uint8_t key[KEYRING_KEY_BYTES];
	assert_int_equal(keyring_get_any(store_keyring(v->store), "landing", 1, key), -EACCES);
	assert_int_equal(keyring_get_any(store_keyring(v->store), "trusted", 1, key), -EACCES);
	assert_rc(keyring_get_any(store_keyring(v->store), "meta", 1, key));
	/* The log, the metadata and the collector go on. */
	gc_commit(v);
	test_vault_create(v, NODE_LANDING, "c");
	gc_walk_and_wait(v);
	assert_int_equal(gc_totals_of(v).failures, 0);
	assert_rc(store_lock(v->store, &someone));
	assert_int_equal(test_vault_records(v, "lock", NULL), 1);
	assert_int_equal(store_key_rotate(v->store, "landing", &someone, NULL), -EACCES);
	assert_rc(store_key_rotate(v->store, "header", &someone, NULL));
	assert_true(store_is_locked(v->store));
	assert_rc(store_unlock(v->store, &right, &someone));
	assert_false(store_is_locked(v->store));
	assert_rc(try_read(open, got, 16));
	assert_rc(try_read(written, got, 7));
	assert_memory_equal(got, "a draft", 7);
	content_close(open);
	gc_seal(written);
	content_close(written);
	assert_rc(gc_try_file(v, draft));
	assert_int_equal(test_vault_records(v, "unlock", "ok"), 1);
	test_vault_reopen(v);
	assert_rc(gc_try_file(v, draft));
}

static void a_wrong_secret_is_refused_and_recorded(void **state) {
	struct test_vault *v = *state;
	const struct store_secret wrong = {.kind = STORE_PASSPHRASE, .bytes = bytes_of_string("wrong")};
	uint64_t node = gc_file(v, NODE_LANDING, "a", 1);
	assert_rc(store_lock(v->store, NULL));
	assert_int_equal(store_unlock(v->store, &wrong, &someone), -EKEYREJECTED);
	assert_true(store_is_locked(v->store));
	assert_int_equal(gc_try_file(v, node), -EACCES);
	assert_int_equal(test_vault_records(v, "unlock", "denied"), 1);
	assert_rc(store_unlock(v->store, &right, &someone));
	assert_rc(store_unlock(v->store, &wrong, &someone)); /* there is nothing to unlock */
	assert_rc(gc_try_file(v, node));
}

/* A mount by all keys is not unlocked by a slot for reading. */
static void a_slot_with_fewer_keys_does_not_unlock(void **state) {
	struct test_vault *v = *state;
	static const uint8_t keyfile[HEADER_KEYFILE_MIN] = "thirty-two bytes of a key file..";
	const struct store_secret less = {.kind = STORE_KEYFILE, .bytes = bytes_of(keyfile, sizeof keyfile)};
	struct store_slot_request request = {.type = SLOT_KEYFILE,
	        .label = "",
	        .secret = bytes_of(keyfile, sizeof keyfile),
	        .zones = 1u << ZONE_LANDING};
	char id[HEADER_ID_TEXT_BYTES];
	assert_rc(store_slot_add(v->store, &request, &someone, id, NULL));
	uint64_t node = gc_file(v, NODE_LANDING, "a", 1);
	assert_rc(store_lock(v->store, NULL));
	assert_int_equal(store_unlock(v->store, &less, &someone), -EPERM);
	assert_true(store_is_locked(v->store));
	assert_int_equal(gc_try_file(v, node), -EACCES);
	assert_int_equal(test_vault_records(v, "unlock", "denied"), 1);
}

static void a_key_that_was_disabled_stays_so(void **state) {
	struct test_vault *v = *state;
	uint64_t node = gc_file(v, NODE_LANDING, "a", 1);
	assert_rc(store_key_disable(v->store, "landing", NULL));
	assert_rc(store_lock(v->store, NULL));
	assert_rc(store_unlock(v->store, &right, NULL));
	assert_int_equal(gc_try_file(v, node), -EKEYREVOKED);
	assert_rc(store_key_enable(v->store, "landing", NULL));
	assert_rc(gc_try_file(v, node));
}

static void what_was_synced_before_a_lock_survives_a_crash(void **state) {
	struct test_vault *v = *state;
	uint8_t got[2] = {0};
	uint64_t node = test_vault_create(v, NODE_LANDING, "a");
	Content *c = gc_open_content(v, node);
	assert_rc(content_write(c, 0, bytes_of_string("a")));
	assert_rc(content_sync(c));
	assert_rc(content_write(c, 1, bytes_of_string("b")));
	assert_rc(content_sync(c));
	assert_rc(store_lock(v->store, NULL));
	content_abandon(c);
	test_vault_crash(v);
	c = gc_open_content(v, node);
	assert_rc(try_read(c, got, 2));
	assert_memory_equal(got, "ab", 2);
	content_close(c);
}

/* ---- while others read and write ---- */

struct busy {
	struct test_vault *v;
	uint64_t node;
	_Atomic bool stop;
	_Atomic uint64_t good, refused, other;
};

static void *be_busy(void *arg) {
	struct busy *busy = arg;
	uint8_t got[3000];
	Content *c = gc_open_content(busy->v, busy->node);
	while (!busy->stop) {
		int rc = try_read(c, got, sizeof got);
		if (rc == 0 && got[100] == 1)
			busy->good++;
		else if (rc == -EACCES)
			busy->refused++;
		else
			busy->other++;
	}
	content_close(c);
	return NULL;
}

static void locking_under_load_lets_nothing_through(void **state) {
	struct test_vault *v = *state;
	struct busy busy = {.v = v, .node = gc_file(v, NODE_LANDING, "a", 1)};
	pthread_t threads[3];
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, be_busy, &busy), 0);
	for (int i = 0; i < 20; i++) {
		assert_rc(store_lock(v->store, NULL));
		uint64_t before = busy.good;
		assert_int_equal(gc_try_file(v, busy.node), -EACCES);
		for (uint64_t refused = busy.refused; busy.refused < refused + 50;)
			sched_yield();
		/* One for each thread may have ended by then and not been counted yet. */
		assert_true(busy.good <= before + 3);
		assert_rc(store_unlock(v->store, &right, NULL));
		for (before = busy.good; busy.good < before + 10;)
			sched_yield();
	}
	busy.stop = true;
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(busy.other, 0);
}

struct locking {
	Store *store;
	_Atomic bool is_done;
};

static void *lock_once(void *arg) {
	struct locking *locking = arg;
	assert_rc(store_lock(locking->store, NULL));
	locking->is_done = true;
	return NULL;
}

/* A read that has its key already may put what it read into memory. */
static void reads_under_way_are_waited_for(void **state) {
	static const struct timespec moment = {.tv_nsec = 100000000};
	struct test_vault *v = *state;
	struct locking locking = {.store = v->store};
	pthread_t thread;
	unsigned turn = segment_use_begin(store_segments(v->store));
	assert_int_equal(pthread_create(&thread, NULL, lock_once, &locking), 0);
	while (!store_is_locked(v->store))
		sched_yield();
	nanosleep(&moment, NULL);
	assert_false(locking.is_done);
	segment_use_end(store_segments(v->store), turn);
	pthread_join(thread, NULL);
	assert_true(locking.is_done);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, gc_fixture_setup, test_vault_teardown)
	const struct CMUnitTest tests[] = {
	        TEST(a_locked_vault_gives_no_content),
	        TEST(a_wrong_secret_is_refused_and_recorded),
	        TEST(a_slot_with_fewer_keys_does_not_unlock),
	        TEST(a_key_that_was_disabled_stays_so),
	        TEST(what_was_synced_before_a_lock_survives_a_crash),
	        TEST(reads_under_way_are_waited_for),
	        TEST(locking_under_load_lets_nothing_through),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
