/* Who used which key: the table, and what the log has of it. tests: backend/key_uses, backend/store_key_uses */
#include "backend/key_uses.h"
#include "backend/store_internal.h"
#include "backend/store_keys.h"
#include "tests/backend/gc_fixture.h"

#include <stdio.h>
#include <string.h>

static struct key_use use_of(uint32_t uid, const char *exe, uint32_t version, bool seals) {
	struct key_use use = {.actor = {.uid = uid}, .version = version, .seals = seals};
	(void)snprintf(use.actor.exe, sizeof use.actor.exe, "%s", exe);
	(void)snprintf(use.key, sizeof use.key, "raw");
	return use;
}

struct told {
	size_t count;
	uint64_t more;
	int rc;
};

static int tell(void *arg, const struct key_use *use, uint64_t more) {
	struct told *told = arg;
	assert_string_equal(use->key, "raw");
	told->count++;
	told->more += more;
	return told->rc;
}

static void what_came_once_is_not_told_again(void **state) {
	(void)state;
	KeyUses *uses = NULL;
	struct told told = {0};
	const struct key_use one = use_of(1, "cat", 1, false), other = use_of(1, "cat", 1, true);
	assert_rc(key_uses_new(&uses));
	assert_false(key_uses_count(uses, &one));
	key_uses_add(uses, &one, 100);
	key_uses_add(uses, &one, 101);
	key_uses_add(uses, &other, 200);
	assert_false(key_uses_count(uses, &one)); /* its record may yet be undone */
	key_uses_settle(uses, true);
	assert_true(key_uses_count(uses, &one));
	assert_true(key_uses_count(uses, &one));
	const struct key_use unlike[] = {
	        use_of(2, "cat", 1, false), use_of(1, "cp", 1, false), use_of(1, "cat", 2, false)};
	for (size_t i = 0; i < sizeof unlike / sizeof unlike[0]; i++)
		assert_false(key_uses_count(uses, &unlike[i]));
	assert_rc(key_uses_end(uses, 99, tell, &told));
	assert_true(key_uses_count(uses, &one));
	told.rc = -EIO; /* what could not be told is kept */
	assert_int_equal(key_uses_end(uses, 100, tell, &told), -EIO);
	key_uses_settle(uses, false);
	told = (struct told){0};
	assert_rc(key_uses_end(uses, 100, tell, &told));
	key_uses_settle(uses, false); /* told, and undone */
	told = (struct told){0};
	assert_rc(key_uses_end(uses, 100, tell, &told));
	assert_int_equal(told.count, 1);
	assert_int_equal(told.more, 3);
	assert_false(key_uses_count(uses, &one));
	assert_rc(key_uses_end(uses, 200, tell, &told));
	key_uses_settle(uses, true);
	assert_int_equal(told.count, 1); /* `other` came once */
	assert_false(key_uses_count(uses, &other));
	key_uses_add(uses, &other, 300);
	key_uses_settle(uses, false); /* without a record it counts for nothing */
	assert_false(key_uses_count(uses, &other));
	key_uses_free(uses);
}

static void nobody_fills_it_for_the_others(void **state) {
	(void)state;
	KeyUses *uses = NULL;
	struct told told = {0};
	assert_rc(key_uses_new(&uses));
	size_t kept = 0;
	for (unsigned user = 1; user <= 6; user++)
		for (uint32_t version = 1; version <= 2 * KEY_USES_OF_USER; version++) {
			const struct key_use use = use_of(user, "flood", version, false);
			key_uses_add(uses, &use, user);
			key_uses_settle(uses, true);
			kept += key_uses_count(uses, &use);
		}
	assert_int_equal(kept, KEY_USES_MOST);
	const struct key_use second = use_of(2, "flood", KEY_USES_OF_USER, false),
	                     beyond = use_of(2, "flood", KEY_USES_OF_USER + 1, false);
	assert_true(key_uses_count(uses, &second));
	assert_false(key_uses_count(uses, &beyond));
	assert_rc(key_uses_end(uses, 1, tell, &told));
	const struct key_use late = use_of(6, "flood", 1, false);
	key_uses_settle(uses, true);
	key_uses_add(uses, &late, 7);
	key_uses_settle(uses, true);
	assert_true(key_uses_count(uses, &late));
	key_uses_free(uses);
}

/* ---- in the log ---- */

static const struct actor someone = {.uid = 1234, .exe = "test", .pid = 7};

static size_t seals(struct test_vault *v) {
	return test_vault_records(v, "key-generate-data-key", NULL);
}

static size_t opens(struct test_vault *v) {
	return test_vault_records(v, "key-decrypt", NULL);
}

static uint64_t write_as(struct test_vault *v, const char *name, const struct actor *actor) {
	uint64_t node = test_vault_create(v, NODE_LANDING, name);
	Content *c = gc_open_content(v, node);
	if (actor)
		content_written_by(c, actor);
	assert_rc(content_write(c, 0, bytes_of_string(name)));
	gc_seal(c);
	content_close(c);
	return node;
}

static void read_as(struct test_vault *v, uint64_t node, const struct actor *actor, struct content_reader *reader) {
	uint8_t got[16];
	size_t n = 0;
	Content *c = gc_open_content(v, node);
	reader->actor = actor;
	assert_rc(content_read_for(c, 0, got, sizeof got, &n, reader));
	content_close(c);
}

static void uses_are_recorded_by_actor_key_and_direction(void **state) {
	struct test_vault *v = *state;
	struct content_reader readers[3] = {0};
	uint64_t a = write_as(v, "a", &someone);
	assert_int_equal(seals(v), 1);
	write_as(v, "b", &someone);
	assert_int_equal(seals(v), 1);
	write_as(v, "c", NULL);
	assert_int_equal(seals(v), 2);
	assert_int_equal(opens(v), 0);
	read_as(v, a, &someone, &readers[0]);
	assert_true(readers[0].recorded);
	read_as(v, a, &someone, &readers[1]);
	assert_false(readers[1].recorded);
	assert_int_equal(opens(v), 1);
	assert_rc(gc_try_file(v, a)); /* by the daemon */
	assert_int_equal(opens(v), 2);
	assert_rc(store_key_rotate(v->store, "landing", NULL, NULL));
	uint64_t d = write_as(v, "d", &someone);
	assert_int_equal(seals(v), 3);
	read_as(v, d, &someone, &readers[1]); /* the same reader, another version */
	assert_true(readers[1].recorded);
	assert_int_equal(opens(v), 3);
}

static void a_use_whose_record_was_undone_is_recorded_the_next_time(void **state) {
	struct test_vault *v = *state;
	struct content_reader reader = {0};
	uint64_t a = write_as(v, "a", &someone);
	struct key_use use = {.actor = someone};
	const struct audit_event occasion = {.node = a};
	struct node node;
	Meta *m = store_meta(v->store);
	meta_begin(m);
	assert_rc(tree_get(m, a, &node));
	assert_rc(store_key_of_version(v->store, ZONE_LANDING, node.version, &use));
	assert_rc(store_key_use_record(v->store, &use, &occasion));
	assert_int_equal(meta_end(m, -ENOSPC), -ENOSPC);
	assert_int_equal(opens(v), 0);
	read_as(v, a, &someone, &reader);
	assert_int_equal(opens(v), 1);
}

static void what_was_counted_is_told_at_the_lock_and_the_end(void **state) {
	struct test_vault *v = *state;
	write_as(v, "a", &someone);
	write_as(v, "b", &someone);
	assert_rc(store_key_uses_tick(v->store));
	assert_int_equal(seals(v), 1); /* not within the hour */
	assert_rc(store_lock(v->store, &someone));
	assert_int_equal(seals(v), 2);
	const struct store_secret right = {.kind = STORE_PASSPHRASE, .bytes = bytes_of_string(TEST_PASSPHRASE)};
	assert_rc(store_unlock(v->store, &right, &someone));
	write_as(v, "c", &someone);
	write_as(v, "d", &someone);
	assert_int_equal(seals(v), 3);
	test_vault_reopen(v);
	assert_int_equal(seals(v), 4);
	test_vault_reopen(v);
	assert_int_equal(seals(v), 4);
}

/* Of a version the log has the key under which it is, and not the present one. */
static void the_key_is_that_of_the_content(void **state) {
	struct test_vault *v = *state;
	struct key_use use = {0};
	struct node node;
	uint64_t a = write_as(v, "a", &someone);
	assert_rc(store_key_rotate(v->store, "landing", NULL, NULL));
	for (int i = 0; i < 2; i++) {
		meta_begin(store_meta(v->store));
		assert_rc(tree_get(store_meta(v->store), a, &node));
		assert_rc(store_key_of_version(v->store, ZONE_LANDING, node.version, &use));
		assert_int_equal(store_key_of_version(v->store, ZONE_RAW, 999999, &use), -ENOENT);
		assert_rc(store_key_of_version(v->store, ZONE_LANDING, node.version, &use));
		assert_rc(meta_end(store_meta(v->store), 0));
		assert_string_equal(use.key, "landing");
		assert_int_equal(use.version, 1);
		write_as(v, i ? "c" : "b", &someone); /* from now on there are two versions */
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_came_once_is_not_told_again),
	        cmocka_unit_test(nobody_fills_it_for_the_others),
	        cmocka_unit_test_setup_teardown(
	                uses_are_recorded_by_actor_key_and_direction, gc_fixture_setup, test_vault_teardown),
	        cmocka_unit_test_setup_teardown(
	                what_was_counted_is_told_at_the_lock_and_the_end, gc_fixture_setup, test_vault_teardown),
	        cmocka_unit_test_setup_teardown(
	                a_use_whose_record_was_undone_is_recorded_the_next_time, gc_fixture_setup, test_vault_teardown),
	        cmocka_unit_test_setup_teardown(the_key_is_that_of_the_content, gc_fixture_setup, test_vault_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
