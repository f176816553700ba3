/* The set of nodes whose drafts are held in memory, against a plain table. */
#include "backend/draft_set.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define NODES 3000u

static void it_holds_what_was_added_and_not_removed(void **state) {
	(void)state;
	static bool there[NODES + 1];
	_cleanup_(draft_set_freep) DraftSet *set = NULL;
	assert_int_equal(draft_set_new(&set), 0);
	srand(7);
	for (unsigned i = 0; i < 60000; i++) {
		/* Neighbours and far apart, so that some share a home. */
		uint64_t node = (uint64_t)(rand() % (int)NODES) + 1, id = node % 2 ? node : node << 40;
		assert_int_equal(draft_set_has(set, id), there[node]);
		if (rand() % 2) {
			assert_int_equal(draft_set_add(set, id), there[node] ? -EEXIST : 0);
			there[node] = true;
		} else {
			draft_set_remove(set, id);
			there[node] = false;
		}
	}
	for (uint64_t node = 1; node <= NODES; node++)
		assert_int_equal(draft_set_has(set, node % 2 ? node : node << 40), there[node]);
}

int main(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(it_holds_what_was_added_and_not_removed)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
