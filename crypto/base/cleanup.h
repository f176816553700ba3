/*
 * cleanup: attributes that give a function one exit path.
 *
 *     _cleanup_(freep) char *name = NULL;
 *     _cleanup_(closep) int fd = -1;
 *     ...
 *     *ret_name = steal_pointer(&name);
 *
 * A closer leaves errno as it was, and the variable empty.
 *
 * And one for what is large: a variable without an initialiser is cleared all the same (the build says so, lest a
 * mistake give away what lay on the stack), which for paths of 4 KiB costs more than most of what is done with them.
 *
 *     _scratch_ char path[TREE_PATH_MAX];     is not; whoever reads it has written it before
 */
#pragma once

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(closer) __attribute__((cleanup(closer)))

#if __has_attribute(uninitialized)
#define _scratch_ __attribute__((uninitialized))
#else
#define _scratch_
#endif

/* Frees what the pointer at `pointer_to_pointer` points to; NULL is fine. */
static inline void freep(void *pointer_to_pointer) {
	void **slot = pointer_to_pointer;
	int saved = errno;
	free(*slot);
	*slot = NULL;
	errno = saved;
}

/* Closes the descriptor; a negative one is none. */
static inline void closep(int *fd) {
	int saved = errno;
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
	errno = saved;
}

/* Takes the descriptor out of a cleaned-up variable, so that closep finds none. */
static inline int steal_fd(int *fd) {
	int taken = *fd;
	*fd = -1;
	return taken;
}

/* Takes the pointer out of a cleaned-up variable, so that its closer finds nothing. */
#define steal_pointer(slot)                         \
	__extension__({                             \
		__typeof__(slot) slot_ = (slot);    \
		__typeof__(*slot_) taken_ = *slot_; \
		*slot_ = NULL;                      \
		taken_;                             \
	})

/* Defines a closer `NAME##p(Type **)` for use with _cleanup_ from a function `NAME(Type *)` that accepts NULL. */
#define DEFINE_CLEANUP(Type, closer)                \
	static inline void closer##p(Type **slot) { \
		int saved_ = errno;                 \
		if (*slot)                          \
			closer(*slot);              \
		*slot = NULL;                       \
		errno = saved_;                     \
	}                                           \
	struct Type##_cleanup_needs_a_semicolon
