/* Entries for the journal: whatever stands in a value, it ends no field and begins none. */
#include "fs/journal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void expect(const struct journal_entry *entry, const void *bytes, size_t size) {
	assert_int_equal(entry->size, size);
	assert_memory_equal(entry->bytes, bytes, size);
}

static void a_line_is_a_line(void **state) {
	(void)state;
	struct journal_entry entry = {.size = 0};
	journal_put(&entry, "MESSAGE", bytes_of_string("sealing node 42"));
	journal_put(&entry, "PRIORITY", bytes_of_string(""));
	expect(&entry, "MESSAGE=sealing node 42\nPRIORITY=\n", 34);
}

static void a_newline_or_nul_in_a_value_makes_it_counted_bytes(void **state) {
	(void)state;
	struct journal_entry entry = {.size = 0};
	journal_put(&entry, "VAULT", bytes_of_string("/srv/v\nPRIORITY=0"));
	expect(&entry, "VAULT\n\x11\0\0\0\0\0\0\0/srv/v\nPRIORITY=0\n", 6 + 8 + 17 + 1);
	entry = (struct journal_entry){.size = 0};
	journal_put(&entry, "X", bytes_of("a\0b", 3));
	expect(&entry, "X\n\x03\0\0\0\0\0\0\0a\0b\n", 2 + 8 + 3 + 1);
}

static void what_does_not_fit_is_left_out_whole(void **state) {
	(void)state;
	static char large[JOURNAL_ENTRY_BYTES];
	memset(large, 'x', sizeof large);
	struct journal_entry entry = {.size = 0};
	journal_put(&entry, "A", bytes_of(large, sizeof large));
	assert_true(entry.is_full);
	assert_int_equal(entry.size, 0);
	journal_put(&entry, "B", bytes_of(large, sizeof large - 11));
	assert_int_equal(entry.size, sizeof large - 11 + 3);
}

static void nobody_listening_is_an_error_and_no_wait(void **state) {
	(void)state;
	const struct journal_entry entry = {.size = 1};
	assert_true(journal_send("/nonexistent/socket", &entry) < 0);
}

static void a_stream_is_known_by_its_device_and_inode(void **state) {
	(void)state;
	char stream[64];
	struct stat about;
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(fstat(ends[1], &about), 0);
	snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)about.st_dev, (uintmax_t)about.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	assert_true(journal_is_behind(ends[1]));
	assert_false(journal_is_behind(0));
	setenv("JOURNAL_STREAM", "rubbish", 1);
	assert_false(journal_is_behind(ends[1]));
	unsetenv("JOURNAL_STREAM");
	assert_false(journal_is_behind(ends[1]));
	close(ends[0]);
	close(ends[1]);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_line_is_a_line),
	        cmocka_unit_test(a_newline_or_nul_in_a_value_makes_it_counted_bytes),
	        cmocka_unit_test(what_does_not_fit_is_left_out_whole),
	        cmocka_unit_test(nobody_listening_is_an_error_and_no_wait),
	        cmocka_unit_test(a_stream_is_known_by_its_device_and_inode),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
