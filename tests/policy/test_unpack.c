#include "policy/table/unpack.h"

#include "crypto/base/fault.h"
#include "policy/table/table.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/policy/packed.h"
#include "tests/policy/pieces.h"

/* Of what is said of the last that was unpacked. */
static char aside[64];

/* Unpacks all, in pieces of `step` in and out; 0 and the text, or the error. */
static int unpack_all(
        const struct packed *packed, size_t step, const struct unpack_limits *limits, struct packed *ret_text) {
	struct pieces source = {.data = packed->data, .size = packed->size, .step = step};
	struct table_source below = {.read = pieces_take, .ctx = &source};
	_cleanup_(unpacker_freep) Unpacker *unpacker = NULL;
	uint8_t buffer[4096];
	assert_int_equal(unpacker_new(packing_of(bytes_of(packed->data, packed->size)), &below, limits, &unpacker), 0);
	struct table_source text = unpacker_source(unpacker);
	int got;
	while ((got = source_take(&text, buffer, step && step < sizeof buffer ? step : sizeof buffer)) > 0)
		add_bytes(ret_text, buffer, (size_t)got);
	assert_int_equal(source_take(&text, buffer, sizeof buffer), got);
	(void)snprintf(aside, sizeof aside, "%s", unpacker_aside(unpacker, "a.csv.gz"));
	return got;
}

static const enum packing packings[] = {PACKING_GZIP, PACKING_ZSTD};
static const struct unpack_limits no_limits;

static void assert_unpacks(const struct packed *packed, const char *expected) {
	static const size_t steps[] = {0, 1, 7, 1000};
	for (size_t i = 0; i < 4; i++) {
		_cleanup_(packed_free) struct packed text = {0};
		if (unpack_all(packed, steps[i], &no_limits, &text) < 0)
			fail_msg("%s", fault_message());
		assert_int_equal(text.size, strlen(expected));
		if (text.size)
			assert_memory_equal(text.data, expected, text.size);
	}
}

static void assert_fails(
        const struct packed *packed, const struct unpack_limits *limits, int errnum, const char *words) {
	_cleanup_(packed_free) struct packed text = {0};
	assert_int_equal(unpack_all(packed, 0, limits, &text), -errnum);
	if (!strstr(fault_message(), words))
		fail_msg("\"%s\" does not say \"%s\"", fault_message(), words);
}

static void what_was_packed_comes_out(void **state) {
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		_cleanup_(packed_free) struct packed packed = {0};
		add_packed(&packed, packings[i], "a,b\n1,2\n", 8);
		assert_int_equal(packing_of(bytes_of(packed.data, packed.size)), packings[i]);
		assert_unpacks(&packed, "a,b\n1,2\n");
	}
	assert_int_equal(packing_of(bytes_of_string("a,b\n")), PACKING_NONE);
}

static void members_and_frames_follow_each_other(void **state) {
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		_cleanup_(packed_free) struct packed packed = {0};
		add_packed(&packed, packings[i], "a,b\n", 4);
		add_packed(&packed, packings[i], "", 0);
		add_packed(&packed, packings[i], "1,2\n", 4);
		assert_unpacks(&packed, "a,b\n1,2\n");
	}
}

static void zeros_behind_gzip_are_padding(void **state) {
	(void)state;
	_cleanup_(packed_free) struct packed packed = {0};
	add_packed(&packed, PACKING_GZIP, "a\n", 2);
	add_bytes(&packed, "\0\0\0\0\0", 5);
	assert_unpacks(&packed, "a\n");
	add_bytes(&packed, "\x1f\x8b", 2);
	assert_fails(
	        &packed, &no_limits, EBADMSG, "the gzip stream is damaged near byte 27: something follows its padding");
}

static void every_cut_is_found(void **state) {
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		_cleanup_(packed_free) struct packed packed = {0};
		add_packed(&packed, packings[i], "a,b\n1,2\n3,4\n", 12);
		for (size_t whole = packed.size--; packed.size >= 4; packed.size--) {
			assert_fails(&packed, &no_limits, EBADMSG, "is cut off");
			assert_true(packed.size < whole);
		}
	}
}

static void every_flipped_byte_of_a_gzip_is_found_or_means_nothing(void **state) {
	(void)state;
	_cleanup_(packed_free) struct packed packed = {0};
	add_packed(&packed, PACKING_GZIP, "a,b\n1,2\n3,4\n", 12);
	for (size_t i = 10; i < packed.size; i++) { /* before it: the header's date and system */
		_cleanup_(packed_free) struct packed text = {0};
		packed.data[i] ^= 0x10;
		int rc = unpack_all(&packed, 0, &no_limits, &text);
		if (rc != -EBADMSG) {
			assert_int_equal(rc, 0);
			assert_int_equal(text.size, 12);
			assert_memory_equal(text.data, "a,b\n1,2\n3,4\n", 12);
		}
		packed.data[i] ^= 0x10;
	}
}

static void something_else_behind_it_is_an_error(void **state) {
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		_cleanup_(packed_free) struct packed packed = {0};
		add_packed(&packed, packings[i], "a\n", 2);
		add_bytes(&packed, "rest", 4);
		assert_fails(&packed, &no_limits, EBADMSG, "is damaged near byte");
	}
}

static void assert_aside(const struct packed *packed, const char *expected) {
	static const size_t steps[] = {0, 1, 3, 7};
	for (size_t i = 0; i < 4; i++) {
		_cleanup_(packed_free) struct packed text = {0};
		assert_int_equal(unpack_all(packed, steps[i], &no_limits, &text), 0);
		assert_int_equal(text.size, 8);
		assert_string_equal(aside, expected);
	}
}

static void what_a_header_holds_besides_is_told(void **state) {
	(void)state;
	static Bytef own[] = "a.csv", other[] = "bob@example.com", extra[] = "bob";
	static const struct {
		gz_header header;
		const char *expected;
	} cases[] = {
	        {{.os = 3}, ""},
	        {{.name = own}, ""},
	        {{.name = other}, "a gzip header has another name than the file's"},
	        {{.name = own, .comment = other}, "a gzip header has a comment"},
	        {{.extra = extra, .extra_len = 3}, "a gzip header has an extra field"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		gz_header header = cases[i].header;
		_cleanup_(packed_free) struct packed alone = {0}, second = {0}, first = {0};
		add_gzip(&alone, &header, "a,b\n1,2\n", 8);
		assert_aside(&alone, cases[i].expected);
		add_gzip(&second, &(gz_header){.name = own}, "a,b\n", 4);
		add_gzip(&second, &header, "1,2\n", 4);
		assert_aside(&second, cases[i].expected);
		add_gzip(&first, &header, "a,b\n", 4);
		add_gzip(&first, NULL, "1,2\n", 4);
		assert_aside(&first, cases[i].expected);
	}
}

static void skippable_frames_are_told(void **state) {
	(void)state;
	static const char frame[] = "\x5e\x2a\x4d\x18\x0f\0\0\0"
	                            "bob@example.com";
	for (size_t where = 0; where < 3; where++) {
		_cleanup_(packed_free) struct packed packed = {0};
		add_packed(&packed, PACKING_ZSTD, "a,b\n", 4);
		if (where == 1)
			add_bytes(&packed, frame, sizeof frame - 1);
		add_packed(&packed, PACKING_ZSTD, "1,2\n", 4);
		if (where == 2)
			add_bytes(&packed, frame, sizeof frame - 1);
		assert_aside(&packed, where == 0 ? "" : "a skippable frame of zstd is in it");
	}
}

static void a_bomb_ends_at_its_limit(void **state) {
	(void)state;
	size_t size = 3u << 20;
	_cleanup_(freep) char *zeros = calloc(1, size);
	struct unpack_limits total = {.max_bytes = 1000000, .max_ratio = 100000};
	struct unpack_limits ratio = {.free_bytes = 100000, .max_ratio = 10};
	for (size_t i = 0; i < 2; i++) {
		_cleanup_(packed_free) struct packed packed = {0}, text = {0};
		add_packed(&packed, packings[i], zeros, size);
		assert_fails(&packed, &total, EMSGSIZE, "unpacks to more than 1000000 bytes, which is the limit");
		assert_fails(&packed, &ratio, EMSGSIZE, "unpacks to more than 10 times its size, which is the limit");
		assert_int_equal(unpack_all(&packed, 0, &no_limits, &text), 0);
		assert_int_equal(text.size, size);
	}
}

static void a_window_too_large_is_refused(void **state) {
	(void)state;
	/* A frame header alone: no single segment, a window of 2^(10 + 31 - 10) bytes. */
	struct packed packed = {.data = NULL};
	add_bytes(&packed, "\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00", 9);
	assert_fails(&packed, &no_limits, EMSGSIZE, "a window of more than 128 MiB");
	packed_free(&packed);
}

static void a_failed_read_comes_through(void **state) {
	(void)state;
	struct table_source below = {.read = pieces_fail};
	_cleanup_(unpacker_freep) Unpacker *unpacker = NULL;
	char buffer[10];
	assert_int_equal(unpacker_new(PACKING_GZIP, &below, &no_limits, &unpacker), 0);
	struct table_source text = unpacker_source(unpacker);
	assert_int_equal(source_take(&text, buffer, sizeof buffer), -EIO);
}

/* Reads a table from packed bytes; its words: dialect or error. */
static int open_table(const struct packed *packed, const char *name, char ret_words[static 200]) {
	struct pieces source = {.data = packed->data, .size = packed->size, .step = 3};
	struct table_options options = {.name = name};
	_cleanup_(table_closep) TableReader *reader = NULL;
	const struct table_cell *cells;
	int rc = table_open(pieces_take, &source, &options, &reader);
	while (rc >= 0 && (rc = table_next(reader, &cells)) == 1)
		;
	(void)snprintf(ret_words, 200, "%s", rc < 0 ? fault_message() : table_dialect_text(reader));
	assert_true(rc < 0 || !table_is_plain(reader));
	return rc;
}

static void tables_are_read_packed(void **state) {
	(void)state;
	char words[200];
	for (size_t i = 0; i < 2; i++) {
		_cleanup_(packed_free) struct packed csv = {0}, jsonl = {0}, parquet = {0}, nothing = {0};
		const char *word = packing_word(packings[i]);
		char expected[64];
		add_packed(&csv, packings[i], "a,b\n1,2\n", 8);
		assert_int_equal(open_table(&csv, "a.csv.gz", words), 0);
		(void)snprintf(expected, sizeof expected, "%s, delimiter ',', quote '\"', LF, header", word);
		assert_string_equal(words, expected);
		assert_int_equal(open_table(&csv, "a.xlsx.zst", words), -ENOTSUP);
		add_packed(&jsonl, packings[i], "{\"a\":1}\n", 8);
		assert_int_equal(open_table(&jsonl, "a", words), 0);
		(void)snprintf(expected, sizeof expected, "%s, JSON Lines, LF", word);
		assert_string_equal(words, expected);
		add_packed(&parquet, packings[i], "PAR1....", 8);
		assert_int_equal(open_table(&parquet, "a", words), -ENOTSUP);
		assert_non_null(strstr(words, "the file is Parquet in "));
		add_packed(&nothing, packings[i], "", 0);
		assert_int_equal(open_table(&nothing, "a", words), -ENODATA);
		_cleanup_(packed_free) struct packed twice = {0};
		add_packed(&twice, packings[i], csv.data, csv.size);
		assert_int_equal(open_table(&twice, "a", words), -ENOTSUP);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_was_packed_comes_out),
	        cmocka_unit_test(members_and_frames_follow_each_other),
	        cmocka_unit_test(zeros_behind_gzip_are_padding),
	        cmocka_unit_test(every_cut_is_found),
	        cmocka_unit_test(every_flipped_byte_of_a_gzip_is_found_or_means_nothing),
	        cmocka_unit_test(something_else_behind_it_is_an_error),
	        cmocka_unit_test(what_a_header_holds_besides_is_told),
	        cmocka_unit_test(skippable_frames_are_told),
	        cmocka_unit_test(a_bomb_ends_at_its_limit),
	        cmocka_unit_test(a_window_too_large_is_refused),
	        cmocka_unit_test(a_failed_read_comes_through),
	        cmocka_unit_test(tables_are_read_packed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
