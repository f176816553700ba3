#include "tests/backend/test_vault.h"

#include "backend/audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int test_vault_init(const char *path) {
	struct store_init_options options = {.argon_memory = 8192, .argon_passes = 1};
	char recovery[STORE_RECOVERY_TEXT_BYTES];
	return store_init(path, bytes_of_string(TEST_PASSPHRASE), &options, recovery);
}

int test_vault_open(const char *path, const struct store_options *options, Store **ret_store) {
	struct store_secret secret = {.kind = STORE_PASSPHRASE, .bytes = bytes_of_string(TEST_PASSPHRASE)};
	return store_open(path, &secret, options, ret_store);
}

void test_vault_make(struct test_vault *v) {
	scratch_directory(v->path);
	(void)snprintf(v->vault, sizeof v->vault, "%s/vault", v->path);
	assert_rc(test_vault_init(v->vault));
}

int test_vault_setup(void **state) {
	struct test_vault *v = calloc(1, sizeof *v);
	assert_non_null(v);
	v->options.reserve_bytes = 8 << 20;
	test_vault_make(v);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
	*state = v;
	return 0;
}

int test_vault_teardown(void **state) {
	struct test_vault *v = *state;
	store_abandon(v->store);
	scratch_remove(v->path);
	free(v);
	return 0;
}

void test_vault_reopen(struct test_vault *v) {
	assert_rc(store_close(v->store));
	v->store = NULL;
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
}

void test_vault_crash(struct test_vault *v) {
	store_abandon(v->store);
	v->store = NULL;
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
}

uint64_t test_vault_create(struct test_vault *v, uint64_t parent, const char *name) {
	struct node attributes = {.mode = S_IFREG | 0644}, node = {0};
	Meta *m = store_meta(v->store);
	meta_begin(m);
	assert_rc(meta_end(m, tree_create(m, parent, bytes_of_string(name), &attributes, bytes_of(NULL, 0), &node)));
	return node.id;
}

static int count_entry(void *arg, const struct audit_entry *entry) {
	(void)entry;
	++*(size_t *)arg;
	return 0;
}

size_t test_vault_records(struct test_vault *v, const char *event, const char *outcome) {
	size_t count = 0;
	struct audit_filter filter = {.event = event, .outcome = outcome};
	Meta *m = store_meta(v->store);
	meta_begin(m);
	assert_rc(meta_end(m, audit_query(m, &filter, count_entry, &count)));
	return count;
}
