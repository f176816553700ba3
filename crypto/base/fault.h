/*
 * fault: the one place where an error gets its words.
 *
 * Functions return 0 or a negative errno. Whoever first sees that something failed says in words what was being done
 * to which thing; callers add what they were about, outermost first:
 *
 *     return fault(EIO, "segment %s: block at %" PRIu64 " does not authenticate", name, position);
 *     ...
 *     return fault_while(rc, "reading %s", path);      // "reading a.csv: segment …: block at 42 does not authenticate"
 *
 * The words belong to the calling thread and stay until the next fault() in it. They never hold file content, keys or
 * passphrases. Thread-safe; never allocates, so it works when memory is short.
 */
#pragma once

#include <errno.h>
#include <stddef.h>

/* Longest message kept, in bytes with the final NUL; longer ones are cut at the end. */
#define FAULT_MESSAGE_BYTES 1024

/* Records the words for error `errnum` (a positive errno) and returns -errnum. Keeps errno as it was. */
int fault(int errnum, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* As fault(), with ": " and the system's text for `errnum` at the end: for failed system calls. */
int fault_errno(int errnum, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What they return is an error whatever they were given, and the compiler is to see it where they are called: it then
 * knows that a function which succeeded has set its outputs. */
#define fault(errnum, ...) FAULT_SAID_(fault, errnum, __VA_ARGS__)
#define fault_errno(errnum, ...) FAULT_SAID_(fault_errno, errnum, __VA_ARGS__)
#ifdef __clang_analyzer__ /* can't tell that the negative of an unknown positive number is negative */
#define FAULT_NEGATIVE_(errnum) (__builtin_constant_p(errnum) ? -(errnum) : -EIO)
#else
#define FAULT_NEGATIVE_(errnum) ((errnum) > 0 ? -(errnum) : -EIO)
#endif
#define FAULT_SAID_(function, errnum, ...)                    \
	__extension__({                                       \
		int fault_errnum_ = (errnum);                 \
		(void)(function)(fault_errnum_, __VA_ARGS__); \
		FAULT_NEGATIVE_(fault_errnum_);               \
	})

/* Puts "words: " before the message that stands; returns `rc` (a negative errno) unchanged. With rc >= 0 does nothing.
 */
int fault_while(int rc, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define fault_while(rc, ...)                                 \
	__extension__({                                      \
		int fault_rc_ = (rc);                        \
		(void)(fault_while)(fault_rc_, __VA_ARGS__); \
		fault_rc_;                                   \
	})

/* The calling thread's last message, "" if there is none. Valid until the thread's next fault…() call. */
const char *fault_message(void);

/* Forgets the calling thread's message. */
void fault_clear(void);
