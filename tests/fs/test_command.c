#include "tests/fs/unit.h"

#include "fs/command/command.h"

#include <fcntl.h>
#include <sys/wait.h>

static int succeed(const struct invocation *call) {
	(void)call;
	return EXIT_DONE;
}

static const struct command sample = {
        .words = "sample",
        .operands = "A [B]",
        .least = 1,
        .most = 2,
        .summary = "a sample",
        .options = (const struct command_option[]){{"json", 0, NULL, "JSON"}, {"file", 'f', "FILE", "a file"},
                {"count", 'n', "N", "a number"}, {0}},
        .run = succeed,
};

/* Standard error of a parse that fails, in one string. */
static int parse_captured(int argc, char **argv, struct invocation *call, char *words, size_t size) {
	int ends[2], saved = dup(STDERR_FILENO);
	assert_int_equal(pipe(ends), 0);
	fflush(stderr);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	int rc = command_parse(&sample, argc, argv, call);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	ssize_t got = read(ends[0], words, size - 1);
	words[got > 0 ? got : 0] = '\0';
	close(ends[0]);
	return rc;
}

/* getopt permutes argv, so it gets an array of its own; it changes no string. */
#define PARSE(...)                                                  \
	const char *const typed[] = {__VA_ARGS__};                  \
	char *argv[sizeof typed / sizeof typed[0] + 1] = {0};       \
	for (size_t n = 0; n < sizeof typed / sizeof typed[0]; n++) \
		argv[n] = (char *)(uintptr_t)typed[n];              \
	struct invocation call;                                     \
	char words[1024];                                           \
	int rc = parse_captured((int)(sizeof typed / sizeof typed[0]), argv, &call, words, sizeof words)

static void options_and_operands_may_stand_in_any_order(void **state) {
	(void)state;
	PARSE("sample", "one", "--json", "-f", "x", "two", "--count=5");
	assert_int_equal(rc, 0);
	assert_true(command_has(&call, "json"));
	assert_string_equal(command_value(&call, "file"), "x");
	assert_string_equal(command_operand(&call, 0), "one");
	assert_string_equal(command_operand(&call, 1), "two");
	assert_null(command_operand(&call, 2));
	unsigned long long number = 0;
	assert_int_equal(command_number(&call, "count", 1, 10, &number), 0);
	assert_int_equal(number, 5);
}

static void the_last_of_repeated_options_counts(void **state) {
	(void)state;
	PARSE("sample", "-f", "x", "--file", "y", "one");
	assert_int_equal(rc, 0);
	assert_string_equal(command_value(&call, "file"), "y");
}

static void after_two_dashes_nothing_is_an_option(void **state) {
	(void)state;
	PARSE("sample", "--", "--json", "-f");
	assert_int_equal(rc, 0);
	assert_false(command_has(&call, "json"));
	assert_string_equal(command_operand(&call, 0), "--json");
}

static void an_unknown_option_is_named_in_one_line(void **state) {
	(void)state;
	PARSE("sample", "one", "--jsno");
	assert_int_equal(rc, EXIT_USAGE);
	assert_non_null(strstr(words, "assayfs sample: no such option: '--jsno'"));
	assert_non_null(strstr(words, "usage: assayfs sample [OPTION…] A [B]"));
	assert_ptr_equal(strchr(words, '\n'), words + strlen(words) - 1);
}

static void an_unknown_letter_is_named(void **state) {
	(void)state;
	PARSE("sample", "one", "-x");
	assert_int_equal(rc, EXIT_USAGE);
	assert_non_null(strstr(words, "'-x'"));
}

static void a_missing_argument_is_named(void **state) {
	(void)state;
	PARSE("sample", "one", "--file");
	assert_int_equal(rc, EXIT_USAGE);
	assert_non_null(strstr(words, "an argument is missing after '--file'"));
}

static void too_few_and_too_many_operands_are_refused(void **state) {
	(void)state;
	{
		PARSE("sample");
		assert_int_equal(rc, EXIT_USAGE);
	}
	PARSE("sample", "1", "2", "three");
	assert_int_equal(rc, EXIT_USAGE);
	assert_non_null(strstr(words, "'three'"));
}

static void help_wins_wherever_it_stands(void **state) {
	(void)state;
	PARSE("sample", "--help");
	assert_int_equal(rc, -ECANCELED);
}

static void numbers_out_of_bounds_are_refused(void **state) {
	(void)state;
	static const char *const wrong[] = {"0", "11", "-1", "5x", "", " 5", "99999999999999999999999"};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		PARSE("sample", "one", "--count", wrong[i]);
		assert_int_equal(rc, 0);
		unsigned long long number = 3;
		int saved = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		dup2(null, STDERR_FILENO);
		int code = command_number(&call, "count", 1, 10, &number);
		fflush(stderr);
		dup2(saved, STDERR_FILENO);
		close(null);
		close(saved);
		assert_int_equal(code, EXIT_USAGE);
		assert_int_equal(number, 3);
	}
}

static void words_of_two_parts_are_found(void **state) {
	(void)state;
	char words[3][8] = {"policy", "apply", "dir"};
	char *argv[] = {words[0], words[1], words[2]};
	int used = 0;
	assert_ptr_equal(command_find(3, argv, &used), &command_policy_apply);
	assert_int_equal(used, 2);
	assert_null(command_find(1, argv, &used));
}

static void a_slip_finds_its_neighbour_and_nonsense_none(void **state) {
	(void)state;
	assert_string_equal(command_nearest("mout"), "mount");
	assert_string_equal(command_nearest("unmount"), "umount");
	assert_string_equal(command_nearest("stauts"), "status");
	assert_null(command_nearest("xyzzy-plugh"));
}

static void every_row_of_the_table_is_complete(void **state) {
	(void)state;
	for (size_t i = 0; command_table[i]; i++) {
		const struct command *row = command_table[i];
		assert_non_null(row->run);
		assert_non_null(row->operands);
		assert_true(row->least <= row->most);
		assert_int_equal(row->least > 0, row->operands[0] != '\0' && row->operands[0] != '[');
		assert_true(strlen(row->summary) > 5 && row->summary[strlen(row->summary) - 1] != '.');
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(command_table[k]->words, row->words);
		for (size_t k = 0; row->options && row->options[k].name; k++)
			assert_string_not_equal(row->options[k].name, "help");
	}
}

static void errors_become_documented_exit_codes(void **state) {
	(void)state;
	assert_int_equal(command_exit_of(0), 0);
	assert_int_equal(command_exit_of(-EKEYREJECTED), 12);
	assert_int_equal(command_exit_of(-EBUSY), 4);
	assert_int_equal(command_exit_of(-ENOTCONN), 5);
	assert_int_equal(command_exit_of(-EACCES), 6);
	assert_int_equal(command_exit_of(-ENOENT), 1);
	assert_int_equal(command_exit_of(-EIO), 3);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(options_and_operands_may_stand_in_any_order),
	        cmocka_unit_test(the_last_of_repeated_options_counts),
	        cmocka_unit_test(after_two_dashes_nothing_is_an_option),
	        cmocka_unit_test(an_unknown_option_is_named_in_one_line),
	        cmocka_unit_test(an_unknown_letter_is_named),
	        cmocka_unit_test(a_missing_argument_is_named),
	        cmocka_unit_test(too_few_and_too_many_operands_are_refused),
	        cmocka_unit_test(help_wins_wherever_it_stands),
	        cmocka_unit_test(numbers_out_of_bounds_are_refused),
	        cmocka_unit_test(words_of_two_parts_are_found),
	        cmocka_unit_test(a_slip_finds_its_neighbour_and_nonsense_none),
	        cmocka_unit_test(every_row_of_the_table_is_complete),
	        cmocka_unit_test(errors_become_documented_exit_codes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
