/* SQLite's temporary files in memory: by their methods, and as SQLite uses them through a savepoint. */
#include "backend/memory_file.h"

#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct file {
	alignas(max_align_t) uint8_t bytes[128];
};

static sqlite3_file *opened(struct file *f, bool is_journal) {
	assert_true(memory_file_bytes() <= sizeof f->bytes);
	sqlite3_file *file = (sqlite3_file *)(void *)f->bytes;
	memory_file_open(file, is_journal);
	return file;
}

static void put(sqlite3_file *file, const char *text, sqlite3_int64 offset) {
	assert_int_equal(memory_file_write(file, text, (int)strlen(text), offset), SQLITE_OK);
}

static void what_was_written_is_read_and_gaps_and_ends_are_zeros(void **state) {
	(void)state;
	struct file f;
	char got[12];
	sqlite3_int64 size = -1;
	sqlite3_file *file = opened(&f, false);
	put(file, "words", 100000);
	put(file, "first", 0);
	assert_int_equal(memory_file_size(file, &size), SQLITE_OK);
	assert_int_equal(size, 100005);
	assert_int_equal(memory_file_read(file, got, 5, 0), SQLITE_OK);
	assert_memory_equal(got, "first", 5);
	assert_int_equal(memory_file_read(file, got, 7, 99998), SQLITE_OK);
	assert_memory_equal(got, "\0\0words", 7);
	assert_int_equal(memory_file_read(file, got, 7, 100001), SQLITE_IOERR_SHORT_READ);
	assert_memory_equal(got, "ords\0\0\0", 7);
	assert_int_equal(memory_file_read(file, got, 7, 900000), SQLITE_IOERR_SHORT_READ);
	assert_memory_equal(got, "\0\0\0\0\0\0\0", 7);
	assert_int_equal(memory_file_close(file), SQLITE_OK);
}

static void what_was_cut_off_does_not_come_back(void **state) {
	(void)state;
	struct file f;
	char got[8];
	sqlite3_file *file = opened(&f, false);
	put(file, "abcdefgh", 0);
	assert_int_equal(memory_file_truncate(file, 2), SQLITE_OK);
	assert_int_equal(memory_file_truncate(file, 900), SQLITE_OK); /* SQLite never lengthens so */
	put(file, "X", 5);
	assert_int_equal(memory_file_read(file, got, 6, 0), SQLITE_OK);
	assert_memory_equal(got, "ab\0\0\0X", 6);
	assert_int_equal(memory_file_close(file), SQLITE_OK);
}

static void a_long_journal_gives_its_memory_back_when_it_begins_anew(void **state) {
	(void)state;
	struct file f, g;
	sqlite3_file *journal = opened(&f, true), *other = opened(&g, false);
	put(journal, "end", 3 << 20);
	put(other, "end", 3 << 20);
	assert_true(memory_file_room(journal) > MEMORY_FILE_KEEP);
	put(journal, "beginning", 0);
	put(other, "beginning", 0);
	assert_true(memory_file_room(journal) <= MEMORY_FILE_KEEP);
	char got[3];
	assert_int_equal(memory_file_read(journal, got, 3, 3 << 20), SQLITE_IOERR_SHORT_READ);
	assert_int_equal(memory_file_read(other, got, 3, 3 << 20), SQLITE_OK);
	assert_memory_equal(got, "end", 3);
	assert_int_equal(memory_file_close(journal), SQLITE_OK);
	assert_int_equal(memory_file_close(other), SQLITE_OK);
	assert_int_equal(memory_file_room(journal), 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_was_written_is_read_and_gaps_and_ends_are_zeros),
	        cmocka_unit_test(what_was_cut_off_does_not_come_back),
	        cmocka_unit_test(a_long_journal_gives_its_memory_back_when_it_begins_anew),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
