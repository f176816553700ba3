/* Keys of folders: crashes, small fsyncs, and a thousand of them. tests: backend/store_key_own */
#include "backend/content_internal.h"
#include "backend/store_internal.h"
#include "backend/store_keys.h"
#include "crypto/base/fault.h"
#include "tests/backend/gc_fixture.h"
#include "tests/backend/key_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static const struct actor someone = {.uid = 1234, .exe = "test"};

static void what_was_synced_is_there_after_a_crash(void **state) {
	struct test_vault *v = *state;
	char name[OWN_KEY_BYTES];
	uint8_t got[8] = {0};
	size_t n = 0;
	key_fixture_own(v, "animals", name);
	uint64_t node = test_vault_create(v, NODE_LANDING, "a");
	Content *c = gc_open_content(v, node);
	content_choose_key(c, name);
	for (uint64_t i = 0; i < 4; i++) {
		assert_rc(content_write(c, i, bytes_of_string("x")));
		assert_rc(content_sync(c));
		assert_int_equal(c->log_ticket, 0); /* that log is under Landing's key alone */
	}
	content_abandon(c);
	test_vault_crash(v);
	c = gc_open_content(v, node);
	assert_rc(content_read(c, 0, got, sizeof got, &n));
	assert_int_equal(n, 4);
	assert_memory_equal(got, "xxxx", 4);
	content_close(c);
	assert_rc(store_key_disable(v->store, name, NULL));
	assert_int_equal(gc_try_file(v, node), -EKEYREVOKED);
}

/* Between vault.json and the policy the power may fail anywhere: the vault opens, and to apply again is all it takes.
 */
static int judge_making(void *user, const char *directory, uint64_t acknowledged) {
	struct test_vault v = {.options = {.reserve_bytes = 1 << 20, .gc_by_hand = true, .commit_ms = 3600 * 1000}};
	char before[OWN_KEY_BYTES] = "", after[OWN_KEY_BYTES];
	size_t *made = user;
	if (test_vault_open(directory, &v.options, &v.store) < 0) {
		print_error("%s\n", fault_message());
		return -EIO;
	}
	Meta *m = store_meta(v.store);
	meta_begin(m);
	const int known = meta_end(m, store_key_called(m, "animals", before));
	key_fixture_own(&v, "animals", after);
	uint64_t node = key_fixture_file(&v, NODE_LANDING, "a", after, 1);
	gc_expect_file(&v, node, 1);
	*made += known == 0;
	const bool is_kept = known < 0 ? acknowledged == 0 : strcmp(before, after) == 0;
	int closed = store_close(v.store);
	return is_kept ? closed : -EIO;
}

static void a_power_loss_while_a_key_is_made_keeps_nobody_from_it(void **state) {
	struct test_vault *v = *state;
	struct key_recording recording;
	size_t made = 0;
	char name[OWN_KEY_BYTES];
	key_fixture_record(v, &recording);
	key_fixture_own(v, "animals", name);
	recorder_mark(recording.recorder, 1);
	size_t shown = key_fixture_judge(v, &recording, 100, judge_making, &made);
	assert_true(shown > 20 && made > 0 && made < shown);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
}

static size_t open_descriptors(void) {
	size_t count = 0;
	for (int fd = 0; fd < 4096; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

#define MANY 1000u
static void a_thousand_keys_exhaust_nothing(void **state) {
	struct test_vault *v = *state;
	static char words[MANY][16];
	static const char *list[MANY];
	static bool is_new[MANY];
	static uint64_t nodes[MANY];
	size_t wrong = 0;
	for (size_t i = 0; i < MANY; i++) {
		(void)snprintf(words[i], sizeof words[i], "p-%zu", i);
		list[i] = words[i];
	}
	assert_rc(store_key_own(v->store, list, MANY, &someone, is_new, &wrong));
	const size_t before = open_descriptors();
	size_t most = before;
	for (size_t i = 0; i < MANY; i++) {
		char name[OWN_KEY_BYTES];
		Meta *m = store_meta(v->store);
		meta_begin(m);
		assert_rc(meta_end(m, store_key_called(m, list[i], name)));
		nodes[i] = test_vault_create(v, NODE_LANDING, words[i]);
		Content *c = gc_open_content(v, nodes[i]);
		content_choose_key(c, name);
		gc_put_blocks(c, 0, 1, (uint8_t)i);
		gc_seal(c);
		content_close(c);
		most = open_descriptors() > most ? open_descriptors() : most;
	}
	gc_commit(v);
	assert_true(most - before < 700); /* 256 not synced, and 256 kept open for reading: not 1,000 */
	const struct store_key last = key_fixture_of(v, "landing");
	assert_true(last.segments >= MANY);
	test_vault_reopen(v);
	for (size_t i = 0; i < MANY; i += 37) {
		Content *c = gc_open_content(v, nodes[i]);
		gc_expect_blocks(c, 0, 1, (uint8_t)i);
		content_close(c);
	}
	char name[OWN_KEY_BYTES];
	assert_rc(store_key_disable(v->store, key_fixture_own(v, "p-370", name), NULL));
	assert_int_equal(gc_try_file(v, nodes[370]), -EKEYREVOKED);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, gc_fixture_setup, test_vault_teardown)
	const struct CMUnitTest tests[] = {
	        TEST(what_was_synced_is_there_after_a_crash),
	        TEST(a_power_loss_while_a_key_is_made_keeps_nobody_from_it),
	        TEST(a_thousand_keys_exhaust_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
