/*
 * scratch: a vault directory of a test's own, removed with it.
 */
#pragma once

#include "backend/vault_io.h"
#include "crypto/base/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct scratch {
	char path[64]; /* the directory above the vault */
	char vault[72];
	VaultIo *io;
};

/* cmocka set-up and tear-down: *state is a struct scratch. */
int scratch_setup(void **state);
int scratch_teardown(void **state);

/* Makes a directory under TMPDIR, else /tmp; ret_path is 64 bytes. Removes a directory with all that is in it. */
void scratch_directory(char ret_path[static 64]);
void scratch_remove(const char *path);

/* Copies the flat tree `from` to the new directory `to`. */
void scratch_copy(const char *from, const char *to);

/* Whole files; the caller frees. Fails the test when it cannot. */
uint8_t *scratch_read(const char *directory, const char *name, size_t *ret_size);
void scratch_write(const char *directory, const char *name, const void *data, size_t size);

void scratch_sleep_ms(long ms);

#define assert_rc(call)                                                              \
	do {                                                                         \
		int rc_ = (call);                                                    \
		if (rc_ != 0)                                                        \
			fail_msg("%s returned %d: %s", #call, rc_, fault_message()); \
	} while (0)
