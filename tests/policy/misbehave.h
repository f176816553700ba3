/*
 * misbehave: a check that does what its rules say, so also what a worker must not do, and asking a spawner for it.
 *
 * A call that fails ends the test that made it.
 */
#pragma once

#include "policy/worker.h"

#include "crypto/base/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* "pass" passes with as many rows as there are bytes; what else there is, misbehave.c says. */
check_function misbehave;

/* `left` times 'x', then the error, or the end with 0. */
struct x_source {
	uint64_t left;
	int error_at_end;
};
ssize_t read_x(void *context, void *buffer, size_t size);

/* Who asks. Of this thread. */
extern _Thread_local uint32_t user_who_asks;

/* Of a file of `size` bytes; as spawner_check. */
int ask(Spawner *s, const char *what, uint64_t size, int error_at_end, struct check_outcome *ret_outcome);

/* Of a file of 100,000 bytes; `words` must be in the reason. */
void expect_error(Spawner *s, const char *what, const char *words);
void expect_pass(Spawner *s, uint64_t size);

/* For 20 s and 64 MiB a check. */
Spawner *start(void);
