#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fs/frequent.h"
#include "tests/backend/chance.h"

static void add(Frequent *f, const char *key, size_t times) {
	for (size_t i = 0; i < times; i++)
		assert_non_null(frequent_add(f, bytes_of_string(key)));
}

static void assert_item(const struct frequent_item *item, const char *key, uint64_t count, uint64_t error) {
	assert_int_equal(item->key.size, strlen(key));
	assert_memory_equal(item->key.data, key, strlen(key));
	assert_int_equal(item->count, count);
	assert_int_equal(item->error, error);
}

static void few_keys_are_counted_exactly_and_given_in_order(void **state) {
	(void)state;
	Frequent *f = frequent_new(8, 0);
	struct frequent_item items[8];
	add(f, "b", 3);
	add(f, "a", 3);
	add(f, "", 7);
	add(f, "ab", 1);
	assert_int_equal(frequent_size(f), 4);
	assert_int_equal(frequent_driven_out(f), 0);
	assert_int_equal(frequent_top(f, 3, items), 3);
	assert_item(&items[0], "", 7, 0);
	assert_item(&items[1], "a", 3, 0);
	assert_item(&items[2], "b", 3, 0);
	assert_int_equal(frequent_top(f, 8, items), 4);
	frequent_free(f);
	frequent_free(NULL);
}

static void a_new_key_takes_the_place_of_the_rarest(void **state) {
	(void)state;
	Frequent *f = frequent_new(2, sizeof(int));
	struct frequent_item items[2];
	add(f, "a", 5);
	int *value = frequent_add(f, bytes_of_string("b"));
	*value = 9;
	assert_int_equal(*(int *)frequent_add(f, bytes_of_string("b")), 9);
	assert_int_equal(*(int *)frequent_add(f, bytes_of_string("c")), 0); /* b's place, without its value */
	assert_int_equal(frequent_driven_out(f), 1);
	assert_int_equal(frequent_top(f, 2, items), 2);
	assert_item(&items[0], "a", 5, 0);
	assert_item(&items[1], "c", 3, 2);
	frequent_free(f);
}

static void bounds_hold_in_a_long_stream(void **state) {
	(void)state;
	enum { KEYS = 2000, MOST = 100, STREAM = 200000 };
	static uint64_t real[KEYS];
	static struct frequent_item items[MOST];
	uint64_t random = chance_seed();
	Frequent *f = frequent_new(MOST, 0);
	for (size_t i = 0; i < STREAM; i++) {
		size_t key = (size_t)(chance_draw(&random, KEYS) * chance_draw(&random, KEYS) / KEYS *
		                      chance_draw(&random, KEYS) / KEYS);
		real[key]++;
		assert_non_null(frequent_add(f, bytes_of(&key, sizeof key)));
	}
	size_t count = frequent_top(f, MOST, items), frequent = 0, found = 0;
	assert_int_equal(count, MOST);
	for (size_t i = 0; i < count; i++) {
		size_t key;
		memcpy(&key, items[i].key.data, sizeof key);
		assert_true(items[i].count >= real[key] && items[i].count - items[i].error <= real[key]);
		assert_true(i == 0 || items[i - 1].count >= items[i].count);
		found += real[key] > STREAM / MOST;
	}
	for (size_t key = 0; key < KEYS; key++)
		frequent += real[key] > STREAM / MOST;
	assert_int_equal(found, frequent);
	assert_true(frequent > 0);
	frequent_free(f);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(few_keys_are_counted_exactly_and_given_in_order),
	        cmocka_unit_test(a_new_key_takes_the_place_of_the_rarest),
	        cmocka_unit_test(bounds_hold_in_a_long_stream),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
