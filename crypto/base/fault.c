#include "crypto/base/fault.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[FAULT_MESSAGE_BYTES];

static size_t append(size_t used, const char *text) {
	size_t room = sizeof message - used;
	size_t length = strnlen(text, room - 1);
	memcpy(message + used, text, length);
	message[used + length] = '\0';
	return used + length;
}

__attribute__((format(printf, 1, 0))) static size_t write_words(const char *format, va_list words) {
	char fresh[FAULT_MESSAGE_BYTES]; /* what stands in `message` may be among the words */
	if (vsnprintf(fresh, sizeof fresh, format, words) < 0)
		return append(0, format);
	return append(0, fresh);
}

int(fault)(int errnum, const char *format, ...) {
	int saved = errno;
	va_list words;
	va_start(words, format);
	write_words(format, words);
	va_end(words);
	errno = saved;
	return -errnum;
}

int(fault_errno)(int errnum, const char *format, ...) {
	int saved = errno;
	va_list words;
	va_start(words, format);
	size_t used = write_words(format, words);
	va_end(words);
	used = append(used, ": ");
	char text[128];
	append(used, strerror_r(errnum, text, sizeof text));
	errno = saved;
	return -errnum;
}

int(fault_while)(int rc, const char *format, ...) {
	if (rc >= 0)
		return rc;
	int saved = errno;
	char inner[FAULT_MESSAGE_BYTES];
	memcpy(inner, message, sizeof inner);
	va_list words;
	va_start(words, format);
	size_t used = write_words(format, words);
	va_end(words);
	if (inner[0] != '\0') {
		used = append(used, ": ");
		append(used, inner);
	}
	errno = saved;
	return rc;
}

const char *fault_message(void) {
	return message;
}

void fault_clear(void) {
	message[0] = '\0';
}
