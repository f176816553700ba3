/* The hand-over of a checkpoint: what is committed is in it, and nothing is written when nothing has changed. */
#include "tests/backend/gc_fixture.h"

#include "backend/audit.h"
#include "backend/record.h"
#include "backend/vault_io.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool has_pack(struct test_vault *v, uint64_t pack) {
	char name[64];
	uint64_t size = 0;
	(void)snprintf(name, sizeof name, "meta/%lu", (unsigned long)pack);
	return vault_io_stat_size(store_io(v->store), name, &size) == 0 && size > 0;
}

static void it_has_what_is_committed_and_nothing_more_is_written(void **state) {
	struct test_vault *v = *state;
	struct store_checkpoint first = {0}, second = {0}, third = {0};
	Content *c = gc_open_content(v, test_vault_create(v, NODE_LANDING, "a"));
	gc_put_blocks(c, 0, 5, 1);
	gc_seal(c);
	content_close(c);
	assert_rc(store_checkpoint(v->store, &first));
	assert_int_equal(first.commit, store_durable_commit(v->store));
	assert_true(first.base >= 1 && first.base <= first.pack);
	for (uint64_t pack = first.base; pack <= first.pack; pack++)
		assert_true(has_pack(v, pack));
	assert_int_equal(first.segment_count, gc_rows(v));
	assert_true(first.segments[0].bytes > 5 * SEGMENT_BLOCK_BYTES);
	assert_int_equal(first.versions, 1);

	assert_rc(store_checkpoint(v->store, &second));
	assert_int_equal(second.pack, first.pack);
	assert_int_equal(second.commit, first.commit);
	assert_int_equal(second.time_ns, first.time_ns);
	assert_memory_equal(second.root, first.root, sizeof first.root);

	gc_commit(v);
	assert_rc(store_checkpoint(v->store, &third));
	assert_int_equal(third.pack, first.pack + 1);
	assert_true(third.commit > first.commit);
	assert_memory_not_equal(third.root, first.root, sizeof first.root);
	store_checkpoint_clear(&first);
	store_checkpoint_clear(&second);
	store_checkpoint_clear(&third);
	assert_null(third.segments);
}

static void a_crash_after_it_takes_nothing_of_it(void **state) {
	struct test_vault *v = *state;
	struct store_checkpoint taken = {0};
	struct segment_row row;
	int64_t time_ns = 0;
	Content *c = gc_open_content(v, test_vault_create(v, NODE_LANDING, "a"));
	gc_put_blocks(c, 0, 5, 1);
	gc_seal(c);
	content_close(c);
	assert_rc(store_checkpoint(v->store, &taken));
	test_vault_crash(v);
	Meta *m = store_meta(v->store);
	meta_begin(m);
	assert_rc(meta_commit_time(m, taken.commit, &time_ns));
	for (size_t i = 0; i < taken.segment_count; i++) {
		assert_rc(segment_row_get(m, taken.segments[i].number, &row));
		assert_true(row.bytes >= taken.segments[i].bytes);
	}
	assert_rc(meta_end(m, 0));
	assert_true(time_ns == taken.time_ns);
	store_checkpoint_clear(&taken);
}

static void a_read_only_store_has_none(void **state) {
	struct test_vault *v = *state;
	struct store_checkpoint taken = {0};
	v->options.read_only = true;
	test_vault_reopen(v);
	assert_int_equal(store_checkpoint(v->store, &taken), -EROFS);
}

struct writer {
	Store *store;
	_Atomic bool stop;
};

static void *commit_all_the_time(void *arg) {
	struct writer *writer = arg;
	while (!writer->stop) {
		struct audit_event event = {.event = "test", .actor = {.exe = "test"}};
		Meta *m = store_meta(writer->store);
		meta_begin(m);
		(void)meta_end(m, audit_record(m, &event, NULL));
		(void)store_commit_wait(writer->store);
	}
	return NULL;
}

static void others_commit_meanwhile(void **state) {
	struct test_vault *v = *state;
	struct writer writer = {.store = v->store};
	pthread_t thread;
	uint64_t last = 0;
	assert_int_equal(pthread_create(&thread, NULL, commit_all_the_time, &writer), 0);
	for (int i = 0; i < 30; i++) {
		struct store_checkpoint taken = {0};
		assert_rc(store_checkpoint(v->store, &taken));
		assert_true(taken.commit >= last);
		last = taken.commit;
		store_checkpoint_clear(&taken);
	}
	writer.stop = true;
	pthread_join(thread, NULL);
}

#define vault_test(f) cmocka_unit_test_setup_teardown(f, gc_fixture_setup, test_vault_teardown)

int main(void) {
	const struct CMUnitTest tests[] = {
	        vault_test(it_has_what_is_committed_and_nothing_more_is_written),
	        vault_test(a_crash_after_it_takes_nothing_of_it),
	        vault_test(a_read_only_store_has_none),
	        vault_test(others_commit_meanwhile),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
