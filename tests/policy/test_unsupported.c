#include "policy/table/unsupported.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define BYTES(text) bytes_of(text, sizeof(text) - 1)

static void formats_are_known_by_their_first_bytes(void **state) {
	(void)state;
	assert_string_equal(unsupported_by_bytes(BYTES("PAR1\x15")), "Parquet");
	assert_string_equal(unsupported_by_bytes(BYTES("%PDF-1.7\n")), "PDF");
	assert_string_equal(unsupported_by_bytes(BYTES("\xfd"
	                                               "7zXZ\0")),
	        "xz");
	assert_string_equal(unsupported_by_bytes(BYTES("PK\x03\x04 xl/workbook.xml")), "xlsx");
	assert_string_equal(unsupported_by_bytes(BYTES("PK\x03\x04 a.txt")), "zip");
	assert_string_equal(unsupported_by_bytes(BYTES("BZh9\x01")), "bzip2");
}

static void texts_are_none_of_them(void **state) {
	(void)state;
	assert_null(unsupported_by_bytes(BYTES("")));
	assert_null(unsupported_by_bytes(BYTES("PK")));
	assert_null(unsupported_by_bytes(BYTES("ORCID,name\n")));
	assert_null(unsupported_by_bytes(BYTES("BZh,name\n")));
	assert_null(unsupported_by_bytes(BYTES("a,%PDF-\n")));
}

static void names_say_it_too(void **state) {
	(void)state;
	assert_string_equal(unsupported_by_name("a.XLSX"), "xlsx");
	assert_null(unsupported_by_name(".xlsx"));
	assert_null(unsupported_by_name("a.csv"));
	assert_null(unsupported_by_name(NULL));
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(formats_are_known_by_their_first_bytes),
	        cmocka_unit_test(texts_are_none_of_them),
	        cmocka_unit_test(names_say_it_too),
	};
	return cmocka_run_group_tests_name("unsupported", tests, NULL, NULL);
}
