#include "fs/command/passphrase.h"

#include "crypto/base/fault.h"
#include "crypto/header.h"
#include "crypto/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

struct Passphrase {
	size_t size, room;
	uint8_t data[];
};

#define PASSPHRASE_ROOM (PASSPHRASE_MAX + 3) /* for a CR and LF, and to notice one byte too many */
#define PIPE_ROOM ((size_t)64 << 10)         /* of a key file that does not say how long it is */

struct bytes passphrase_bytes(const Passphrase *passphrase) {
	return bytes_of(passphrase->data, passphrase->size);
}

void passphrase_free(Passphrase *passphrase) {
	secret_free(passphrase);
}

static int allocate(size_t room, Passphrase **ret_passphrase) {
	Passphrase *passphrase = secret_alloc(sizeof *passphrase + (room + 15) / 16 * 16);
	if (!passphrase)
		return fault(ENOMEM, "locked memory for the passphrase is not to be had: raise the limit (ulimit -l)");
	passphrase->room = room;
	*ret_passphrase = passphrase;
	return 0;
}

/* Takes the line end off and looks whether it can be one. */
static int settle(Passphrase *passphrase, const char *from) {
	size_t size = passphrase->size;
	if (size && passphrase->data[size - 1] == '\n') {
		size--;
		if (size && passphrase->data[size - 1] == '\r')
			size--;
	}
	passphrase->size = size;
	if (size == 0)
		return fault(EINVAL, "the passphrase from %s is empty", from);
	if (size > PASSPHRASE_MAX)
		return fault(EFBIG, "the passphrase from %s is longer than %d bytes", from, PASSPHRASE_MAX);
	if (memchr(passphrase->data, '\0', size))
		return fault(EINVAL, "the passphrase from %s holds a NUL byte", from);
	return 0;
}

/* -EFBIG without words: there is more than room for. */
static int read_all(int fd, Passphrase *passphrase, const char *from) {
	passphrase->size = 0;
	while (passphrase->size < passphrase->room) {
		ssize_t got = read(fd, passphrase->data + passphrase->size, passphrase->room - passphrase->size);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fault_errno(errno, "reading %s", from);
		if (got == 0)
			return 0;
		passphrase->size += (size_t)got;
	}
	return -EFBIG;
}

static int read_to_end(int fd, Passphrase *passphrase, const char *from) {
	int rc = read_all(fd, passphrase, from);
	if (rc == -EFBIG)
		return fault(EFBIG, "the passphrase from %s is longer than %d bytes", from, PASSPHRASE_MAX);
	return rc ? rc : settle(passphrase, from);
}

/* ---- a file ---- */

/* `what` it is of: "the passphrase's file". */
static int open_file(const struct passphrase_source *source, const char *what, const char *path, int *ret_fd,
        struct stat *ret_about) {
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct stat about;
	if (fd < 0)
		return fault_errno(errno, "opening %s %s", what, path);
	if (fstat(fd, &about) < 0)
		return fault_errno(errno, "looking at %s %s", what, path);
	if (S_ISDIR(about.st_mode))
		return fault(EISDIR, "%s %s is a directory", what, path);
	if (S_ISREG(about.st_mode) && (about.st_mode & 077) && source->warn) {
		char words[512];
		snprintf(words, sizeof words, "others can read %.300s: chmod 600 it", path);
		source->warn(source->context, words);
	}
	*ret_about = about;
	*ret_fd = fd;
	fd = -1;
	return 0;
}

static int from_file(const struct passphrase_source *source, Passphrase *passphrase) {
	_cleanup_(closep) int fd = -1;
	struct stat about;
	int rc =
	        open_file(source, source->what ? source->what : "the passphrase's file", source->passfile, &fd, &about);
	return rc ? rc : read_to_end(fd, passphrase, source->passfile);
}

/* All bytes count, and there may be many more of them. */
static int from_keyfile(const struct passphrase_source *source, Passphrase **ret_passphrase) {
	_cleanup_(closep) int fd = -1;
	_cleanup_(passphrase_freep) Passphrase *passphrase = NULL;
	struct stat about;
	int rc = open_file(source, "the key file", source->keyfile, &fd, &about);
	if (rc)
		return rc;
	if (S_ISREG(about.st_mode) && about.st_size > (off_t)HEADER_KEYFILE_MAX)
		return fault(EFBIG, "the key file %s is longer than %zu bytes", source->keyfile, HEADER_KEYFILE_MAX);
	size_t room = S_ISREG(about.st_mode) ? (size_t)about.st_size + 1 : PIPE_ROOM;
	rc = allocate(room, &passphrase);
	if (rc || !passphrase)
		return rc;
	rc = read_all(fd, passphrase, source->keyfile);
	if (rc == -EFBIG)
		return S_ISREG(about.st_mode) ? fault(EFBIG, "the key file %s grows while it is read", source->keyfile)
		                              : fault(EFBIG, "the key file %s has %zu bytes or more, and is no file",
		                                        source->keyfile, PIPE_ROOM);
	if (!rc && passphrase->size < HEADER_KEYFILE_MIN)
		return fault(EINVAL,
		        "the key file %s has %zu bytes; it needs %d at least, at random ('head -c 64 /dev/urandom' "
		        "makes some)",
		        source->keyfile, passphrase->size, HEADER_KEYFILE_MIN);
	if (!rc)
		*ret_passphrase = steal_pointer(&passphrase);
	return rc;
}

/* ---- a command ---- */

static _Noreturn void become_command(const char *command, int output) {
	/* It is no part of us: what we block or ignore would make it deaf to a person's interrupt. */
	sigset_t none;
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	for (int number = 1; number < NSIG; number++)
		(void)signal(number, SIG_DFL);
	/* Its standard input stays ours, so that it may ask a person. */
	if (dup2(output, STDOUT_FILENO) < 0)
		_exit(126);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

static int wait_for(pid_t child) {
	int status;
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return fault_errno(errno, "waiting for the command of --extpass");
	if (WIFSIGNALED(status))
		return fault(ECHILD, "the command of --extpass was ended by signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status))
		return fault(ECHILD, "the command of --extpass failed with exit code %d", WEXITSTATUS(status));
	return 0;
}

static int from_command(const struct passphrase_source *source, Passphrase *passphrase) {
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return fault_errno(errno, "making a pipe for the command of --extpass");
	_cleanup_(closep) int input = ends[0];
	_cleanup_(closep) int output = ends[1];
	pid_t child = fork();
	if (child < 0)
		return fault_errno(errno, "starting the command of --extpass");
	if (child == 0)
		become_command(source->extpass, output);
	closep(&output);
	int rc = read_to_end(input, passphrase, "the command of --extpass");
	closep(&input); /* one that goes on writing gets SIGPIPE */
	int waited = wait_for(child);
	return waited < 0 && rc != -EFBIG ? waited : rc;
}

/* ---- the terminal ---- */

static const int terminal_signals[] = {SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGTSTP, SIGTTIN, SIGTTOU};
#define SIGNAL_COUNT (sizeof terminal_signals / sizeof terminal_signals[0])

static volatile sig_atomic_t caught;

static void note_signal(int number) {
	caught = number;
}

static sigset_t terminal_signal_set(void) {
	sigset_t set;
	sigemptyset(&set);
	for (size_t i = 0; i < SIGNAL_COUNT; i++)
		sigaddset(&set, terminal_signals[i]);
	return set;
}

struct signal_state {
	struct sigaction actions[SIGNAL_COUNT];
	sigset_t mask;
};

/* No SA_RESTART: read(2) shall come back, so that the terminal is restored before the signal does its work. They are
 * let through even where the caller has blocked them, as a daemon does: ^C must end the question. */
static void catch_signals(struct signal_state *before) {
	struct sigaction action = {.sa_handler = note_signal};
	const sigset_t ours = terminal_signal_set();
	caught = 0;
	for (size_t i = 0; i < SIGNAL_COUNT; i++)
		(void)sigaction(terminal_signals[i], &action, &before->actions[i]);
	(void)sigprocmask(SIG_UNBLOCK, &ours, &before->mask);
}

static void release_signals(const struct signal_state *before) {
	(void)sigprocmask(SIG_SETMASK, &before->mask, NULL);
	for (size_t i = 0; i < SIGNAL_COUNT; i++)
		(void)sigaction(terminal_signals[i], &before->actions[i], NULL);
}

/* From the background, too, where the kernel would stop us with SIGTTOU if it were not blocked. */
static void restore_terminal(int terminal, const struct termios *before) {
	sigset_t stop, mask;
	sigemptyset(&stop);
	sigaddset(&stop, SIGTTOU);
	(void)sigprocmask(SIG_BLOCK, &stop, &mask);
	(void)tcsetattr(terminal, TCSAFLUSH, before);
	(void)sigprocmask(SIG_SETMASK, &mask, NULL);
}

/* Until there is something to read. A signal that came before the wait ends it too, which read(2) alone would miss. */
static int wait_for_input(int terminal) {
	const sigset_t ours = terminal_signal_set();
	sigset_t open;
	struct pollfd input = {.fd = terminal, .events = POLLIN};
	(void)sigprocmask(SIG_BLOCK, &ours, &open);
	if (!caught)
		(void)ppoll(&input, 1, NULL, &open);
	(void)sigprocmask(SIG_SETMASK, &open, NULL);
	return caught ? -EINTR : 0;
}

static int read_line(int terminal, Passphrase *passphrase) {
	passphrase->size = 0;
	for (;;) {
		if (wait_for_input(terminal) < 0)
			return -EINTR;
		uint8_t *to = passphrase->data + passphrase->size;
		ssize_t got = read(terminal, to, 1);
		if (got < 0)
			return errno == EINTR ? -EINTR : fault_errno(errno, "reading from the terminal");
		if (got == 0)
			return passphrase->size ? 0 : fault(EINVAL, "the passphrase was not given (end of input)");
		bool is_full = passphrase->size + 1 == passphrase->room;
		if (*to == '\n' || is_full) {
			passphrase->size += !is_full || *to == '\n';
			return is_full ? fault(EFBIG, "the passphrase is longer than %d bytes", PASSPHRASE_MAX) : 0;
		}
		passphrase->size++;
	}
}

static void write_words(int terminal, const char *words) {
	ssize_t written = write(terminal, words, strlen(words));
	(void)written; /* a prompt that can't be shown does not stop who knows what to type */
}

/* One prompt with echo off. -EINTR with `caught` set when a signal came. */
static int ask_quietly(int terminal, const char *prompt, Passphrase *passphrase) {
	struct termios before, quiet;
	if (tcgetattr(terminal, &before) < 0)
		return fault_errno(errno, "asking on the terminal");
	quiet = before;
	quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
	quiet.c_lflag |= ICANON | ISIG;
	write_words(terminal, prompt);
	if (tcsetattr(terminal, TCSAFLUSH, &quiet) < 0)
		return caught ? -EINTR : fault_errno(errno, "switching the terminal's echo off");
	int rc = read_line(terminal, passphrase);
	restore_terminal(terminal, &before);
	write_words(terminal, "\n");
	return rc;
}

/* After a stop (^Z) and its end the question is put again. */
static int ask(int terminal, const char *prompt, Passphrase *passphrase) {
	for (;;) {
		struct signal_state before;
		catch_signals(&before);
		int rc = ask_quietly(terminal, prompt, passphrase);
		int signal_number = caught;
		release_signals(&before);
		if (signal_number)
			(void)raise(signal_number);
		if (rc != -EINTR)
			return rc ? rc : settle(passphrase, "the terminal");
		bool is_stop = signal_number == SIGTSTP || signal_number == SIGTTIN || signal_number == SIGTTOU;
		if (!is_stop)
			return fault(EINTR, "interrupted while asking for the passphrase");
	}
}

static int ask_again(int terminal, const Passphrase *first) {
	_cleanup_(passphrase_freep) Passphrase *second = NULL;
	int rc = allocate(PASSPHRASE_ROOM, &second);
	if (rc || !second)
		return rc;
	rc = ask(terminal, "The same again: ", second);
	if (rc)
		return rc;
	if (first->size != second->size || memcmp(first->data, second->data, first->size) != 0)
		return fault(EBADE, "the two are not the same; nothing was done");
	return 0;
}

static int from_terminal(const struct passphrase_source *source, Passphrase *passphrase) {
	_cleanup_(closep) int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (terminal < 0)
		return fault(ENOTTY, "there is no terminal to ask at: give %s",
		        source->instead ? source->instead : "--passfile FILE or --extpass COMMAND");
	int rc = ask(terminal, source->prompt, passphrase);
	if (!rc && source->twice)
		rc = ask_again(terminal, passphrase);
	return rc;
}

/* ---- */

int passphrase_from_bytes(struct bytes bytes, Passphrase **ret_passphrase) {
	_cleanup_(passphrase_freep) Passphrase *passphrase = NULL;
	int rc = allocate(PASSPHRASE_ROOM, &passphrase);
	if (rc)
		return rc;
	if (bytes.size > PASSPHRASE_MAX)
		return fault(EFBIG, "the passphrase is longer than %d bytes", PASSPHRASE_MAX);
	if (bytes.size)
		memcpy(passphrase->data, bytes.data, bytes.size);
	passphrase->size = bytes.size;
	*ret_passphrase = steal_pointer(&passphrase);
	return 0;
}

int passphrase_get(const struct passphrase_source *source, Passphrase **ret_passphrase) {
	_cleanup_(passphrase_freep) Passphrase *passphrase = NULL;
	if (source->keyfile)
		return from_keyfile(source, ret_passphrase);
	int rc = allocate(PASSPHRASE_ROOM, &passphrase);
	if (rc)
		return rc;
	if (source->passfile)
		rc = from_file(source, passphrase);
	else if (source->extpass)
		rc = from_command(source, passphrase);
	else
		rc = from_terminal(source, passphrase);
	if (rc)
		return rc;
	*ret_passphrase = steal_pointer(&passphrase);
	return 0;
}
