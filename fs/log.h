/*
 * log: words of the running daemon for its operator. Never content of files; their names in the foreground of a
 * terminal alone, where an error is about them: a system log keeps what it gets unsealed.
 *
 *     the journal is there        ─► /run/systemd/journal/socket: MESSAGE, MESSAGE_ID, PRIORITY, VAULT (fs/journal.h)
 *     it is not                   ─► syslog(3)
 *     in the foreground           ─► standard error, unless that is the journal's own (a unit of systemd); there
 * without what who mounts sees anyway: that it is mounted, that it ends and how
 */
#pragma once

#include <stdbool.h>

/*
 * Messages that an operator may want to act on. Each has a number of its own for ever: `journalctl MESSAGE_ID=…` finds
 * it, scripts/systemd/assayfs.catalog explains it (`journalctl --catalog`), docs/operations.md says what to do. Made
 * with `systemd-id128 new`; a meaning that changes takes a new one.
 */
#define LOG_MESSAGES(X)                                         \
	X(OTHER, "8d5d68572198408abd5268026dc711c9", 4)         \
	X(MOUNTED, "2ee41c76b8204d6c9bf4fd222e1cb86c", 6)       \
	X(ENDING, "7f42529c0b3e4971846ef3d0097bfc9a", 6)        \
	X(ENDED, "5b512082e2504498870e5d1951594ffd", 6)         \
	X(NOT_CLOSED, "a94247b6956f4746a3786e9f5521fb6e", 2)    \
	X(RECOVERED, "0c26bb3c865544a3aee09bd30d45fc7d", 5)     \
	X(DAMAGE, "e38c2ad4aa764b9c9f2ab273400966a4", 2)        \
	X(AUDIT_REFUSES, "024a17d42ff34dc9841cb992e5ded153", 1) \
	X(NOT_SEALED, "cc53189eb2c4417fb07ba2b48e4d6f73", 3)    \
	X(RETENTION, "412af101f604448bb8822df22d8e3934", 3)     \
	X(UNGUARDED, "a74f30653d2b403dbdd9396b697825b7", 4)     \
	X(SPILL, "a9226625f1114bbfb1e40c881cb60d99", 4)         \
	X(GRANT, "00ff375220304dc58b87db3056d738d6", 5)         \
	X(HEARTBEAT, "94a0204304224e61b5874d53010dd6b2", 1)     \
	X(BACKUP_FAILS, "67ea2a6c5f8a4bf68f46566e69731a6c", 3)  \
	X(BACKUP_WORKS, "0a2bb7d1fc684326b4e089b69f8de898", 5)  \
	X(BACKUP_REFUSED, "cf1348fa2a6a4f9b9d932d27a2e03a43", 4)

enum log_message {
#define X(name, id, priority) MESSAGE_##name,
	LOG_MESSAGES(X)
#undef X
	        LOG_MESSAGE_COUNT
};

/* To be called once, before threads. `system`: not in the foreground. */
void log_to_system(bool system);

/* For tests: where the journal listens, instead of JOURNAL_SOCKET. Before log_to_system. */
void log_journal_at(const char *path);

/* From here on each message to the journal bears VAULT= the path and, once it is known (NULL before), VAULT_ID=. Before
 * threads. */
void log_vault(const char *path, const char *id);

/* One line. Any thread. */
void log_message(enum log_message message, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "words: the thread's last fault (or rc's own text)". The fault's words may name files: a system log gets rc's own
 * text. So `format` names nodes by their number; the names belong into a record. */
void log_message_fault(enum log_message message, int rc, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same as MESSAGE_OTHER. */
void log_words(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_fault(int rc, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A message; and on standard error too, where a command that mounts still has its terminal. */
void log_starting(enum log_message message, const char *words);
