#include "backend/stale.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/backend/meta_fixture.h"

#define OP(f, call) (meta_begin((f)->m), meta_end((f)->m, (call)))

static void a_mark_keeps_its_time_and_ends(void **state) {
	struct fixture *f = *state;
	static const uint8_t digest[32] = {1};
	struct node node = make(f, NODE_LANDING, "a", S_IFREG | 0644);
	struct version version = seal_version(f, node.id, ZONE_LANDING, 10, 1);
	uint64_t first = make_verdict(f, VERDICT_FAILED, digest), second = make_verdict(f, VERDICT_FAILED, digest);
	struct stale one, two;
	uint64_t count;
	bool is_new = false;
	assert_int_equal(OP(f, stale_get(f->m, version.id, &one)), -ENOENT);
	assert_int_equal(OP(f, stale_clear(f->m, version.id)), 0);
	assert_int_equal(OP(f, stale_put(f->m, version.id, first, &is_new)), 0);
	assert_true(is_new);
	assert_int_equal(OP(f, stale_get(f->m, version.id, &one)), 0);
	assert_int_equal(OP(f, stale_put(f->m, version.id, second, &is_new)), 0);
	assert_false(is_new);
	assert_int_equal(OP(f, stale_get(f->m, version.id, &two)), 0);
	assert_int_equal(two.verdict, second);
	assert_int_equal(two.time_ns, one.time_ns);
	assert_int_equal(OP(f, stale_count(f->m, &count)), 0);
	assert_int_equal(count, 1);
	(void)seal_version(f, node.id, ZONE_LANDING, 20, 2); /* what no name shows does not count */
	assert_int_equal(OP(f, stale_count(f->m, &count)), 0);
	assert_int_equal(count, 0);
	assert_int_equal(OP(f, stale_clear(f->m, version.id)), 0);
	assert_int_equal(OP(f, stale_get(f->m, version.id, &one)), -ENOENT);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(a_mark_keeps_its_time_and_ends, fixture_setup, fixture_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
