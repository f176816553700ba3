/*
 * key_fixture: keys of a vault, what the log has of them, and a power loss while they are changed, for tests.
 */
#pragma once

#include "backend/store_keys.h"
#include "tests/backend/recorder.h"
#include "tests/backend/test_vault.h"

/* The key of this name; fails when there is none. */
struct store_key key_fixture_of(struct test_vault *v, const char *name);

/* Records of an event: how many, and what the last one says. */
struct key_told {
	size_t count;
	char detail[256];
	uint32_t uid;
};
struct key_told key_fixture_told(Store *store, const char *event);

/* The key of a folder's own that is called so; made where there is none. Returns `name`. */
const char *key_fixture_own(struct test_vault *v, const char *word, char name[static OWN_KEY_BYTES]);

/* A file of GC_FILE_BLOCKS under that key, "" for none; its node. */
uint64_t key_fixture_file(struct test_vault *v, uint64_t parent, const char *name, const char *own, uint8_t mark);

/* Closes the vault, and opens it anew by a recorder of all that is written. end: closes it, and shows up to `most`
 * states in which the power may have failed to `judge`; how many. The vault is closed then, its options as before. */
struct key_recording {
	Recorder *recorder;
	VaultIo *io;
};
void key_fixture_record(struct test_vault *v, struct key_recording *ret);
size_t key_fixture_judge(struct test_vault *v, struct key_recording *recording, size_t most,
        int (*judge)(void *user, const char *directory, uint64_t acknowledged), void *user);
