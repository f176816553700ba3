/* What the policy says of compression holds for what is written from then on, zone by zone. */
#include "fs/compression.h"

#include "policy/bundle.h"
#include "tests/backend/gc_fixture.h"

#include <string.h>

#define BLOCKS 64u

static void apply(struct test_vault *v, const char *yaml) {
	PolicyBundle *bundle = NULL;
	Policy *policy = NULL;
	assert_rc(policy_bundle_new(&bundle));
	assert_rc(policy_bundle_put(bundle, BUNDLE_POLICY, bytes_of_string(yaml)));
	assert_rc(policy_parse(bundle, &policy));
	compression_apply(v->store, policy);
	policy_free(policy);
	policy_bundle_free(bundle);
}

/* How many bytes the segments grow by a file of BLOCKS blocks, each of one byte again and again. */
static uint64_t growth_by(struct test_vault *v, const char *name, uint8_t mark) {
	uint64_t before = 0, after = 0;
	gc_close_segments(v);
	gc_files(v, &before);
	uint64_t node = test_vault_create(v, NODE_LANDING, name);
	Content *c = gc_open_content(v, node);
	gc_put_blocks(c, 0, BLOCKS, mark);
	gc_seal(c);
	content_close(c);
	gc_close_segments(v);
	gc_files(v, &after);
	return after - before;
}

static void expect(struct test_vault *v, const char *name, uint8_t mark) {
	struct node node;
	Meta *m = store_meta(v->store);
	meta_begin(m);
	assert_rc(meta_end(m, tree_lookup(m, NODE_LANDING, bytes_of_string(name), &node)));
	Content *c = gc_open_content(v, node.id);
	gc_expect_blocks(c, 0, BLOCKS, mark);
	content_close(c);
}

static void a_zone_is_compressed_while_the_policy_says_so(void **state) {
	struct test_vault *v = *state;
	const uint64_t whole = BLOCKS * SEGMENT_BLOCK_BYTES;
	assert_true(growth_by(v, "a", 'a') > whole);
	apply(v, "version: 1\ncompression: {Landing: 3}\n");
	assert_true(growth_by(v, "b", 'b') < whole / 50);
	apply(v, "version: 1\ncompression: {Raw: 3, Trusted: 19}\n");
	assert_true(growth_by(v, "c", 'c') > whole);
	apply(v, "version: 1\ncompression: {Landing: 19}\n");
	assert_true(growth_by(v, "d", 'd') < whole / 50);
	apply(v, "version: 1\n");
	assert_true(growth_by(v, "e", 'e') > whole);
	test_vault_reopen(v);
	for (uint8_t mark = 'a'; mark <= 'e'; mark++)
		expect(v, (char[]){(char)mark, '\0'}, mark);
	assert_rc(store_close(v->store));
	v->store = NULL;
	gc_expect_sound(v);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
}

/* The collector moves what is packed like all else. */
static void what_is_compressed_is_moved_and_read_on(void **state) {
	struct test_vault *v = *state;
	apply(v, "version: 1\ncompression: {Landing: 3}\n");
	uint64_t node = test_vault_create(v, NODE_LANDING, "kept"), gone = test_vault_create(v, NODE_LANDING, "gone");
	Content *c = gc_open_content(v, node), *other = gc_open_content(v, gone);
	gc_put_blocks(c, 0, BLOCKS, 'k');
	gc_seal(c);
	for (uint8_t mark = 1; mark < 200; mark++) { /* drafts that nobody has any more */
		gc_put_blocks(other, 0, BLOCKS, mark);
		assert_rc(content_flush(other));
	}
	gc_seal(other);
	content_close(other);
	content_close(c);
	for (int i = 0; i < 5; i++) {
		(void)gc_ask(store_gc(v->store));
		gc_walk_and_wait(v);
	}
	assert_true(gc_totals_of(v).removed > 0);
	expect(v, "kept", 'k');
	expect(v, "gone", 199);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(
	                a_zone_is_compressed_while_the_policy_says_so, gc_fixture_setup, test_vault_teardown),
	        cmocka_unit_test_setup_teardown(
	                what_is_compressed_is_moved_and_read_on, gc_fixture_setup, test_vault_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
