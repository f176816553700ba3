#include "tests/backend/key_fixture.h"

#include "backend/audit.h"
#include "tests/backend/chance.h"
#include "tests/backend/gc_fixture.h"

#include <stdio.h>
#include <string.h>

struct finding {
	const char *name;
	struct store_key key;
	size_t count;
};

static int take_key(void *arg, const struct store_key *key) {
	struct finding *finding = arg;
	if (strcmp(finding->name, key->name) == 0) {
		finding->key = *key;
		finding->count++;
	}
	return 0;
}

struct store_key key_fixture_of(struct test_vault *v, const char *name) {
	struct finding finding = {.name = name};
	assert_rc(store_key_list(v->store, take_key, &finding));
	assert_int_equal(finding.count, 1);
	return finding.key;
}

static int take_record(void *arg, const struct audit_entry *entry) {
	struct key_told *told = arg;
	told->count++;
	(void)snprintf(told->detail, sizeof told->detail, "%s", entry->event.detail ? entry->event.detail : "");
	told->uid = entry->event.actor.uid;
	return 0;
}

struct key_told key_fixture_told(Store *store, const char *event) {
	struct key_told told = {0};
	const struct audit_filter filter = {.event = event};
	Meta *m = store_meta(store);
	meta_begin(m);
	assert_rc(meta_end(m, audit_query(m, &filter, take_record, &told)));
	return told;
}

const char *key_fixture_own(struct test_vault *v, const char *word, char name[static OWN_KEY_BYTES]) {
	static const struct actor someone = {.uid = 1234, .exe = "test"};
	bool is_new;
	size_t wrong;
	assert_rc(store_key_own(v->store, &word, 1, &someone, &is_new, &wrong));
	meta_begin(store_meta(v->store));
	assert_rc(meta_end(store_meta(v->store), store_key_called(store_meta(v->store), word, name)));
	return name;
}

uint64_t key_fixture_file(struct test_vault *v, uint64_t parent, const char *name, const char *own, uint8_t mark) {
	uint64_t node = test_vault_create(v, parent, name);
	Content *c = gc_open_content(v, node);
	content_choose_key(c, own);
	gc_put_blocks(c, 0, GC_FILE_BLOCKS, mark);
	gc_seal(c);
	content_close(c);
	return node;
}

void key_fixture_record(struct test_vault *v, struct key_recording *ret) {
	assert_rc(store_close(v->store));
	v->store = NULL;
	assert_rc(recorder_open(v->vault, &ret->recorder));
	assert_rc(recorder_io(ret->recorder, &ret->io));
	v->options.io = ret->io;
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
}

size_t key_fixture_judge(struct test_vault *v, struct key_recording *recording, size_t most,
        int (*judge)(void *user, const char *directory, uint64_t acknowledged), void *user) {
	size_t shown = 0;
	assert_rc(store_close(v->store));
	v->store = NULL;
	vault_io_close(recording->io);
	v->options.io = NULL;
	int rc = recorder_each_crash_state(recording->recorder, most, chance_seed(), judge, user, &shown);
	recorder_close(recording->recorder);
	assert_int_equal(rc, 0);
	return shown;
}
