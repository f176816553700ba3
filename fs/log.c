#include "fs/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "crypto/base/fault.h"

#define LINE_BYTES 2048

static bool to_system;

void log_to_system(bool system) {
	to_system = system;
	if (system)
		openlog("assayfs", LOG_PID, LOG_DAEMON);
}

static void put(const char *line) {
	if (to_system)
		syslog(LOG_WARNING, "%s", line);
	else
		fprintf(stderr, "assayfs: %s\n", line);
}

void log_words(const char *format, ...) {
	char line[LINE_BYTES];
	va_list values;
	va_start(values, format);
	vsnprintf(line, sizeof line, format, values);
	va_end(values);
	put(line);
}

void log_starting(const char *words) {
	put(words);
	if (to_system)
		fprintf(stderr, "assayfs: %s\n", words);
}

void log_fault(int rc, const char *format, ...) {
	char line[LINE_BYTES], text[128];
	va_list values;
	va_start(values, format);
	int length = vsnprintf(line, sizeof line, format, values);
	va_end(values);
	const char *words = to_system ? "" : fault_message();
	if (!words[0])
		words = strerror_r(-rc, text, sizeof text);
	if (length >= 0 && (size_t)length < sizeof line)
		snprintf(line + length, sizeof line - (size_t)length, ": %s", words);
	put(line);
}
