/*
 * log: words of the running daemon for its operator: standard error in the foreground, the system log otherwise. Never
 * content of files; their names in the foreground alone, where an error is about them.
 */
#pragma once

#include <stdbool.h>

/* To be called once, before threads. */
void log_to_system(bool system);

/* One line. Any thread. */
void log_words(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* "words: the thread's last fault (or rc's own text)". The fault's words may name files, and the system log keeps what
 * it gets unsealed: it gets rc's own text. So `format` names nodes by their number; the names belong into a record. */
void log_fault(int rc, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* As log_words; and on standard error too, where a command that mounts still has its terminal. */
void log_starting(const char *words);
