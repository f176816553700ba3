#include "policy/table/plain.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/policy/packed.h"
#include "tests/policy/pieces.h"

static void assert_text(const struct packed *file, const char *expected, const char *aside) {
	struct pieces pieces = {.data = file->data, .size = file->size, .step = 5};
	_cleanup_(plain_release) struct plain plain = {0};
	char text[100];
	size_t size = 0;
	assert_int_equal(plain_open(&plain, (struct table_source){.read = pieces_take, .ctx = &pieces}, NULL), 0);
	struct peek *peek = plain_peek(&plain);
	assert_int_equal(peek->size, strlen(expected));
	assert_memory_equal(peek->bytes, expected, peek->size);
	struct table_source source = peek_source(peek);
	for (int got; (got = source_take(&source, text + size, sizeof text - size)) > 0;)
		size += (size_t)got;
	assert_int_equal(size, strlen(expected));
	assert_memory_equal(text, expected, size);
	assert_string_equal(plain_aside(&plain, "b.csv.gz"), aside);
}

static void a_file_is_read_as_it_is_or_unpacked(void **state) {
	(void)state;
	static const enum packing packings[] = {PACKING_GZIP, PACKING_ZSTD};
	static Bytef name[] = "a.csv";
	_cleanup_(packed_free) struct packed as_it_is = {0}, named = {0}, nothing = {0};
	add_bytes(&as_it_is, "a,b\n", 4);
	assert_text(&as_it_is, "a,b\n", "");
	assert_text(&nothing, "", "");
	for (size_t i = 0; i < 2; i++) {
		_cleanup_(packed_free) struct packed packed = {0};
		add_packed(&packed, packings[i], "a,b\n", 4);
		assert_text(&packed, "a,b\n", "");
	}
	add_gzip(&named, &(gz_header){.name = name}, "a,b\n", 4);
	assert_text(&named, "a,b\n", "a gzip header has another name than the file's");
}

static void errors_come_through(void **state) {
	(void)state;
	struct plain plain = {0};
	_cleanup_(packed_free) struct packed packed = {0};
	assert_int_equal(plain_open(&plain, (struct table_source){.read = pieces_fail}, NULL), -EIO);
	plain_release(&plain);
	add_packed(&packed, PACKING_GZIP, "a,b\n1,2\n", 8);
	struct pieces cut = {.data = packed.data, .size = packed.size - 1};
	assert_int_equal(plain_open(&plain, (struct table_source){.read = pieces_take, .ctx = &cut}, NULL), -EBADMSG);
	plain_release(&plain);
	struct pieces all = {.data = packed.data, .size = packed.size};
	const struct unpack_limits limits = {.max_bytes = 3};
	assert_int_equal(
	        plain_open(&plain, (struct table_source){.read = pieces_take, .ctx = &all}, &limits), -EMSGSIZE);
	plain_release(&plain);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_file_is_read_as_it_is_or_unpacked),
	        cmocka_unit_test(errors_come_through),
	};
	return cmocka_run_group_tests_name("plain", tests, NULL, NULL);
}
