#include "tests/fs/unit.h"

#include "crypto/base/fault.h"
#include "crypto/header.h"
#include "fs/command/passphrase.h"

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>

static char directory[64];
static char file[96];
static int warnings;

static int make_directory(void **state) {
	(void)state;
	snprintf(directory, sizeof directory, "/tmp/assayfs-passphrase-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(file, sizeof file, "%s/pass", directory);
	return 0;
}

static int remove_directory(void **state) {
	(void)state;
	(void)unlink(file);
	return rmdir(directory);
}

static void write_file(const void *data, size_t size, mode_t mode) {
	(void)unlink(file);
	int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, size), size);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void count_warning(void *context, const char *words) {
	(void)context;
	assert_non_null(strstr(words, "chmod 600"));
	warnings++;
}

static int get(const struct passphrase_source *source, const char *expected) {
	Passphrase *passphrase = NULL;
	int rc = passphrase_get(source, &passphrase);
	if (rc) {
		assert_null(passphrase);
		return rc;
	}
	struct bytes bytes = passphrase_bytes(passphrase);
	assert_int_equal(bytes.size, strlen(expected));
	assert_memory_equal(bytes.data, expected, bytes.size);
	passphrase_free(passphrase);
	return 0;
}

static int get_file(const char *expected) {
	struct passphrase_source source = {.passfile = file, .warn = count_warning};
	return get(&source, expected);
}

static void one_line_end_of_a_file_is_taken_off(void **state) {
	(void)state;
	write_file("secret\n", 7, 0600);
	assert_int_equal(get_file("secret"), 0);
	write_file("secret\r\n", 8, 0600);
	assert_int_equal(get_file("secret"), 0);
	write_file("two\nlines\n\n", 11, 0600);
	assert_int_equal(get_file("two\nlines\n"), 0);
	write_file(" blanks stay ", 13, 0600);
	assert_int_equal(get_file(" blanks stay "), 0);
}

static void a_file_that_others_can_read_is_warned_of(void **state) {
	(void)state;
	warnings = 0;
	write_file("secret", 6, 0600);
	assert_int_equal(get_file("secret"), 0);
	assert_int_equal(warnings, 0);
	write_file("secret", 6, 0640);
	assert_int_equal(get_file("secret"), 0);
	assert_int_equal(warnings, 1);
}

static void a_file_that_holds_no_passphrase_is_refused(void **state) {
	(void)state;
	write_file("\n", 1, 0600);
	assert_int_equal(get_file(""), -EINVAL);
	assert_non_null(strstr(fault_message(), file));
	write_file("a\0b", 3, 0600);
	assert_int_equal(get_file(""), -EINVAL);
	struct passphrase_source source = {.passfile = directory};
	assert_int_equal(get(&source, ""), -EISDIR);
	source.passfile = "/nonexistent/pass";
	assert_int_equal(get(&source, ""), -ENOENT);
}

static void the_longest_passphrase_is_taken_and_one_byte_more_refused(void **state) {
	(void)state;
	char text[PASSPHRASE_MAX + 3];
	memset(text, 'x', sizeof text);
	text[PASSPHRASE_MAX] = '\n';
	write_file(text, PASSPHRASE_MAX + 1, 0600);
	text[PASSPHRASE_MAX] = '\0';
	assert_int_equal(get_file(text), 0);
	text[PASSPHRASE_MAX] = 'x';
	write_file(text, PASSPHRASE_MAX + 1, 0600);
	assert_int_equal(get_file(""), -EFBIG);
}

static void all_bytes_of_a_key_file_are_taken(void **state) {
	(void)state;
	static const char bytes[] = "\0key file with a NUL and line ends\r\n";
	struct passphrase_source source = {.keyfile = file, .warn = count_warning};
	Passphrase *passphrase = NULL;
	write_file(bytes, sizeof bytes - 1, 0640);
	warnings = 0;
	assert_int_equal(passphrase_get(&source, &passphrase), 0);
	assert_int_equal(passphrase_bytes(passphrase).size, sizeof bytes - 1);
	assert_memory_equal(passphrase_bytes(passphrase).data, bytes, sizeof bytes - 1);
	assert_int_equal(warnings, 1);
	passphrase_free(passphrase);
}

static void a_key_file_has_its_bounds(void **state) {
	(void)state;
	struct passphrase_source source = {.keyfile = file};
	uint8_t *bytes = calloc(1, HEADER_KEYFILE_MAX + 1);
	Passphrase *passphrase = NULL;
	assert_non_null(bytes);
	write_file(bytes, HEADER_KEYFILE_MIN - 1, 0600);
	assert_int_equal(get(&source, ""), -EINVAL);
	write_file(bytes, HEADER_KEYFILE_MIN, 0600);
	assert_int_equal(passphrase_get(&source, &passphrase), 0);
	passphrase_free(passphrase);
	write_file(bytes, HEADER_KEYFILE_MAX, 0600);
	passphrase = NULL;
	assert_int_equal(passphrase_get(&source, &passphrase), 0);
	assert_int_equal(passphrase_bytes(passphrase).size, HEADER_KEYFILE_MAX);
	passphrase_free(passphrase);
	write_file(bytes, HEADER_KEYFILE_MAX + 1, 0600);
	assert_int_equal(get(&source, ""), -EFBIG);
	source.keyfile = "/dev/zero"; /* no end, and no size */
	assert_int_equal(get(&source, ""), -EFBIG);
	source.keyfile = directory;
	assert_int_equal(get(&source, ""), -EISDIR);
	free(bytes);
}

static void a_commands_output_is_taken(void **state) {
	(void)state;
	struct passphrase_source source = {.extpass = "printf 'from %s\\n' command"};
	assert_int_equal(get(&source, "from command"), 0);
}

static void a_command_has_no_signal_blocked_or_ignored(void **state) {
	(void)state;
	sigset_t blocked, before;
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGINT);
	assert_int_equal(sigprocmask(SIG_BLOCK, &blocked, &before), 0);
	void (*handler)(int) = signal(SIGPIPE, SIG_IGN);
	/* Not with awk: gawk ignores SIGPIPE by itself. */
	struct passphrase_source source = {
	        .extpass = "sed -n 's/^Sig\\(Blk\\|Ign\\):[[:space:]]*//p' /proc/self/status | sort -u | tr -d '\\n'"};
	int rc = get(&source, "0000000000000000");
	(void)signal(SIGPIPE, handler);
	assert_int_equal(sigprocmask(SIG_SETMASK, &before, NULL), 0);
	assert_int_equal(rc, 0);
}

static void a_command_that_fails_is_told_with_its_code(void **state) {
	(void)state;
	struct passphrase_source source = {.extpass = "echo secret; exit 7"};
	assert_int_equal(get(&source, ""), -ECHILD);
	assert_non_null(strstr(fault_message(), "exit code 7"));
	assert_null(strstr(fault_message(), "secret"));
	source.extpass = "kill -9 $$";
	assert_int_equal(get(&source, ""), -ECHILD);
}

static void a_command_that_never_stops_writing_is_cut_off(void **state) {
	(void)state;
	struct passphrase_source source = {.extpass = "yes"};
	assert_int_equal(get(&source, ""), -EFBIG);
}

/* ---- at a terminal ---- */

/* The asker's exit code: 0 got `expected`, 40 + something for an error. */
static int ask_at_terminal(bool twice, const char *expected) {
	struct passphrase_source source = {.prompt = "Passphrase: ", .twice = twice};
	Passphrase *passphrase = NULL;
	int rc = passphrase_get(&source, &passphrase);
	if (rc)
		return rc == -EBADE ? 41 : rc == -EINVAL ? 42 : 43;
	struct bytes bytes = passphrase_bytes(passphrase);
	bool is_same = bytes.size == strlen(expected) && memcmp(bytes.data, expected, bytes.size) == 0;
	passphrase_free(passphrase);
	return is_same ? 0 : 44;
}

static bool has_echo(int master) {
	struct termios now;
	return tcgetattr(master, &now) == 0 && (now.c_lflag & ECHO);
}

/* An asker in a process of its own, and the other end of its terminal. */
struct terminal {
	int master;
	pid_t child;
	char seen[4096]; /* all that it has shown */
	size_t used;
};

static struct terminal start(bool twice, const char *expected) {
	struct terminal terminal = {.master = -1};
	terminal.child = forkpty(&terminal.master, NULL, NULL, NULL);
	assert_true(terminal.child >= 0);
	if (terminal.child == 0)
		_exit(ask_at_terminal(twice, expected));
	return terminal;
}

static ssize_t read_more(struct terminal *terminal) {
	ssize_t got =
	        read(terminal->master, terminal->seen + terminal->used, sizeof terminal->seen - 1 - terminal->used);
	if (got > 0)
		terminal->used += (size_t)got;
	return got;
}

/* Waits until the terminal shows `prompt`, then types. */
static void answer(struct terminal *terminal, const char *prompt, const char *typed) {
	while (!strstr(terminal->seen, prompt))
		if (read_more(terminal) <= 0)
			fail_msg("the terminal never showed '%s', only '%s'", prompt, terminal->seen);
	while (has_echo(terminal->master)) /* the prompt is written before the echo goes off */
		usleep(1000);
	assert_int_equal(write(terminal->master, typed, strlen(typed)), strlen(typed));
}

/* The asker's exit status. */
static int finish(struct terminal *terminal) {
	while (read_more(terminal) > 0)
		;
	int status;
	assert_int_equal(waitpid(terminal->child, &status, 0), terminal->child);
	close(terminal->master);
	return status;
}

static void what_is_typed_is_taken_and_not_shown(void **state) {
	(void)state;
	struct terminal terminal = start(false, "geheim");
	answer(&terminal, "Passphrase: ", "geheim\n");
	assert_int_equal(finish(&terminal), 0);
	assert_null(strstr(terminal.seen, "geheim"));
}

static void a_new_one_is_asked_for_twice(void **state) {
	(void)state;
	struct terminal terminal = start(true, "geheim");
	answer(&terminal, "Passphrase: ", "geheim\n");
	answer(&terminal, "again: ", "geheim\n");
	assert_int_equal(finish(&terminal), 0);
}

static void two_that_differ_are_refused(void **state) {
	(void)state;
	struct terminal terminal = start(true, "");
	answer(&terminal, "Passphrase: ", "geheim\n");
	answer(&terminal, "again: ", "geheimer\n");
	int status = finish(&terminal);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 41);
}

static void an_interrupt_ends_it_with_the_echo_on_again(void **state) {
	(void)state;
	char name[128];
	struct terminal terminal = start(false, "");
	assert_int_equal(ptsname_r(terminal.master, name, sizeof name), 0);
	int slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC); /* keeps the terminal's state beyond the child */
	answer(&terminal, "Passphrase: ", "gehe\003");
	int status;
	assert_int_equal(waitpid(terminal.child, &status, 0), terminal.child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
	assert_true(has_echo(slave));
	close(slave);
	close(terminal.master);
}

static void without_a_terminal_it_says_what_to_give(void **state) {
	(void)state;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		(void)setsid();
		struct passphrase_source source = {.prompt = "Passphrase: "};
		Passphrase *passphrase = NULL;
		int rc = passphrase_get(&source, &passphrase);
		_exit(rc == -ENOTTY && strstr(fault_message(), "--passfile") ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(one_line_end_of_a_file_is_taken_off),
	        cmocka_unit_test(a_file_that_others_can_read_is_warned_of),
	        cmocka_unit_test(a_file_that_holds_no_passphrase_is_refused),
	        cmocka_unit_test(the_longest_passphrase_is_taken_and_one_byte_more_refused),
	        cmocka_unit_test(all_bytes_of_a_key_file_are_taken),
	        cmocka_unit_test(a_key_file_has_its_bounds),
	        cmocka_unit_test(a_commands_output_is_taken),
	        cmocka_unit_test(a_command_has_no_signal_blocked_or_ignored),
	        cmocka_unit_test(a_command_that_fails_is_told_with_its_code),
	        cmocka_unit_test(a_command_that_never_stops_writing_is_cut_off),
	        cmocka_unit_test(what_is_typed_is_taken_and_not_shown),
	        cmocka_unit_test(a_new_one_is_asked_for_twice),
	        cmocka_unit_test(two_that_differ_are_refused),
	        cmocka_unit_test(an_interrupt_ends_it_with_the_echo_on_again),
	        cmocka_unit_test(without_a_terminal_it_says_what_to_give),
	};
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
