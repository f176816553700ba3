#include "fs/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "crypto/base/fault.h"
#include "fs/journal.h"

#define LINE_BYTES 2048

static const struct {
	const char *id;
	int priority;
} messages[] = {
#define X(name, id, priority) {id, priority},
        LOG_MESSAGES(X)
#undef X
};

static bool to_system, to_journal;
static char vault_path[LINE_BYTES], vault_id[64];
static const char *journal_path = JOURNAL_SOCKET;

void log_journal_at(const char *path) {
	journal_path = path;
}

void log_to_system(bool system) {
	to_journal = access(journal_path, W_OK) == 0;
	to_system = system || (to_journal && journal_is_behind(STDERR_FILENO));
	if (to_system)
		openlog("assayfs", LOG_PID, LOG_DAEMON);
}

void log_vault(const char *path, const char *id) {
	(void)snprintf(vault_path, sizeof vault_path, "%s", path);
	(void)snprintf(vault_id, sizeof vault_id, "%s", id ? id : "");
}

static int put_into_journal(enum log_message message, const char *line) {
	struct journal_entry entry = {.size = 0};
	char priority[2] = {(char)('0' + messages[message].priority), '\0'};
	journal_put(&entry, "MESSAGE", bytes_of_string(line));
	journal_put(&entry, "MESSAGE_ID", bytes_of_string(messages[message].id));
	journal_put(&entry, "PRIORITY", bytes_of_string(priority));
	journal_put(&entry, "SYSLOG_IDENTIFIER", bytes_of_string("assayfs"));
	if (*vault_path)
		journal_put(&entry, "VAULT", bytes_of_string(vault_path));
	if (*vault_id)
		journal_put(&entry, "VAULT_ID", bytes_of_string(vault_id));
	return journal_send(journal_path, &entry);
}

/* In the foreground the command itself says how it went. */
static bool is_for_system_alone(enum log_message message) {
	return message == MESSAGE_MOUNTED || message == MESSAGE_ENDING || message == MESSAGE_ENDED ||
	       message == MESSAGE_RECOVERED || message == MESSAGE_NOT_CLOSED;
}

static void put(enum log_message message, const char *line) {
	if (!to_system && is_for_system_alone(message))
		return;
	if (!to_system)
		fprintf(stderr, "assayfs: %s\n", line);
	else if (!to_journal || put_into_journal(message, line) < 0)
		syslog(messages[message].priority, "%s", line);
}

void log_message(enum log_message message, const char *format, ...) {
	char line[LINE_BYTES];
	va_list values;
	va_start(values, format);
	vsnprintf(line, sizeof line, format, values);
	va_end(values);
	put(message, line);
}

void log_words(const char *format, ...) {
	char line[LINE_BYTES];
	va_list values;
	va_start(values, format);
	vsnprintf(line, sizeof line, format, values);
	va_end(values);
	put(MESSAGE_OTHER, line);
}

void log_starting(enum log_message message, const char *words) {
	put(message, words);
	if (to_system)
		fprintf(stderr, "assayfs: %s\n", words);
}

__attribute__((format(printf, 3, 0))) static void put_fault(
        enum log_message message, int rc, const char *format, va_list values) {
	char line[LINE_BYTES], text[128];
	int length = vsnprintf(line, sizeof line, format, values);
	const char *words = to_system ? "" : fault_message();
	if (!words[0])
		words = strerror_r(-rc, text, sizeof text);
	if (length >= 0 && (size_t)length < sizeof line)
		snprintf(line + length, sizeof line - (size_t)length, ": %s", words);
	put(message, line);
}

void log_message_fault(enum log_message message, int rc, const char *format, ...) {
	va_list values;
	va_start(values, format);
	put_fault(message, rc, format, values);
	va_end(values);
}

void log_fault(int rc, const char *format, ...) {
	va_list values;
	va_start(values, format);
	put_fault(MESSAGE_OTHER, rc, format, values);
	va_end(values);
}
