#include "tests/fs/unit.h"

#include "fs/command/progress.h"

#include <fcntl.h>

static int64_t clock_ns;

static int64_t test_clock(void) {
	return clock_ns;
}

static size_t drain(int fd, char *text, size_t size) {
	ssize_t got = read(fd, text, size - 1);
	text[got > 0 ? got : 0] = '\0';
	return got > 0 ? (size_t)got : 0;
}

static void open_pipe(int ends[static 2]) {
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
}

static void a_bar_shows_share_rate_and_time_left(void **state) {
	(void)state;
	int ends[2];
	char text[1024];
	open_pipe(ends);
	clock_ns = 0;
	Progress *progress = progress_begin_on(ends[1], true, test_clock, "checking", PROGRESS_BYTES, 1000);
	clock_ns = INT64_C(10000000000);
	progress_set(progress, UINT64_C(1) << 30, UINT64_C(4) << 30);
	drain(ends[0], text, sizeof text);
	assert_non_null(strstr(text, "checking  [=====>"));
	assert_non_null(strstr(text, "25%  1.0 GiB of 4.0 GiB"));
	assert_non_null(strstr(text, "102 MiB/s"));
	assert_non_null(strstr(text, "30 s left"));
	progress_end(progress);
	drain(ends[0], text, sizeof text);
	assert_string_equal(text, "\r\033[K");
	close(ends[0]);
	close(ends[1]);
}

static void it_is_drawn_ten_times_a_second_at_most(void **state) {
	(void)state;
	int ends[2];
	char text[4096];
	open_pipe(ends);
	clock_ns = 0;
	Progress *progress = progress_begin_on(ends[1], true, test_clock, "x", PROGRESS_COUNT, 0);
	progress_set(progress, 1, 0);
	assert_true(drain(ends[0], text, sizeof text) > 0);
	for (uint64_t i = 0; i < 1000; i++)
		progress_set(progress, i, 0);
	assert_int_equal(drain(ends[0], text, sizeof text), 0);
	clock_ns += 100000000;
	progress_set(progress, 1001, 0);
	assert_true(drain(ends[0], text, sizeof text) > 0);
	progress_end(progress);
	close(ends[0]);
	close(ends[1]);
}

static void without_a_terminal_nothing_is_written(void **state) {
	(void)state;
	int ends[2];
	char text[64];
	open_pipe(ends);
	Progress *progress = progress_begin_on(ends[1], false, test_clock, "x", PROGRESS_COUNT, 10);
	progress_set(progress, 5, 10);
	progress_hide(progress);
	progress_end(progress);
	assert_int_equal(drain(ends[0], text, sizeof text), 0);
	close(ends[0]);
	close(ends[1]);
}

static void odd_numbers_do_no_harm(void **state) {
	(void)state;
	int ends[2];
	char text[4096];
	open_pipe(ends);
	clock_ns = 0;
	Progress *progress = progress_begin_on(ends[1], true, test_clock, "x", PROGRESS_COUNT, 10);
	clock_ns = INT64_C(5000000000);
	progress_set(progress, 20, 10);
	clock_ns = INT64_C(6000000000);
	progress_set(progress, UINT64_MAX, UINT64_MAX);
	clock_ns = INT64_C(7000000000);
	progress_set(progress, 0, UINT64_MAX);
	drain(ends[0], text, sizeof text);
	assert_non_null(strstr(text, "100%"));
	progress_end(progress);
	progress_end(NULL);
	progress_set(NULL, 1, 2);
	close(ends[0]);
	close(ends[1]);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_bar_shows_share_rate_and_time_left),
	        cmocka_unit_test(it_is_drawn_ten_times_a_second_at_most),
	        cmocka_unit_test(without_a_terminal_nothing_is_written),
	        cmocka_unit_test(odd_numbers_do_no_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
