/*
 * test_vault: a whole vault in a scratch directory, cheap to unlock.
 */
#pragma once

#include "backend/content.h"
#include "backend/store.h"
#include "backend/tree.h"
#include "tests/backend/scratch.h"

#define TEST_PASSPHRASE "correct horse battery staple"

/* cmocka set-up and tear-down: *state is a struct test_vault, its store open. */
struct test_vault {
	char path[64];  /* the directory above */
	char vault[72]; /* the vault */
	struct store_options options;
	Store *store;
};
int test_vault_setup(void **state);
int test_vault_teardown(void **state);

/* Makes a vault in `path` with the least of Argon2id; what store_init returns. */
int test_vault_init(const char *path);
/* Makes one in a directory of its own: fills path and vault. */
void test_vault_make(struct test_vault *v);
/* What store_open returns. */
int test_vault_open(const char *path, const struct store_options *options, Store **ret_store);

/* Closes cleanly, or as kill -9 would, and opens again. */
void test_vault_reopen(struct test_vault *v);
void test_vault_crash(struct test_vault *v);

/* How many records the log has of that event; with `outcome` (NULL: any) only those. */
size_t test_vault_records(struct test_vault *v, const char *event, const char *outcome);

/* A new empty file in directory `parent`; its node. */
uint64_t test_vault_create(struct test_vault *v, uint64_t parent, const char *name);
