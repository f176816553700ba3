#include "crypto/base/array.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void it_grows_by_doubling_and_keeps_what_is_there(void **state) {
	(void)state;
	size_t room = 0, moves = 0;
	uint32_t *items = NULL;
	for (size_t i = 0; i < 1000; i++) {
		size_t before = room;
		items = array_room(items, &room, i + 1, sizeof *items);
		assert_non_null(items);
		assert_true(room > i);
		moves += room != before;
		items[i] = (uint32_t)i;
	}
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(items[i], i);
	assert_true(moves < 10);
	items = array_room(items, &room, 5000, sizeof *items); /* many at once */
	assert_int_equal(room, 5000);
	assert_int_equal(items[999], 999);
	free(items);
}

static void the_first_has_room_for_more(void **state) {
	(void)state;
	size_t room = 0;
	uint64_t *items = array_room(NULL, &room, 3, sizeof *items);
	assert_non_null(items);
	assert_int_equal(room, ARRAY_LEAST);
	assert_ptr_equal(array_room(items, &room, ARRAY_LEAST, sizeof *items), items);
	free(items);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(it_grows_by_doubling_and_keeps_what_is_there),
	        cmocka_unit_test(the_first_has_room_for_more),
	};
	return cmocka_run_group_tests_name("array", tests, NULL, NULL);
}
