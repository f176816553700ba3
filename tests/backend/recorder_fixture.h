/*
 * recorder_fixture: a recorder on a scratch directory, and a VaultIo on it.
 */
#pragma once

#include "tests/backend/recorder.h"
#include "tests/backend/scratch.h"

struct recorder_fixture {
	struct scratch *scratch;
	Recorder *recorder;
	VaultIo *io;
};

/* cmocka set-up and tear-down: *state is a struct recorder_fixture. */
int recorder_fixture_setup(void **state);
int recorder_fixture_teardown(void **state);
