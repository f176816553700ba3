#include "tests/backend/backup_fixture.h"

#include "backend/backup/inventory.h"
#include "backend/pack.h"
#include "backend/record.h"
#include "crypto/digest.h"
#include "crypto/header.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- the place that fails ---- */

struct wrapped {
	Objects *inner;
	struct failing *failing;
	_Atomic bool is_stopped;
};

static void wrapped_close(void *place) {
	struct wrapped *w = place;
	objects_close(w->inner);
	free(w);
}

static int hang(struct wrapped *w) {
	static const struct timespec moment = {.tv_nsec = 1000000};
	while (w->failing->hangs && !w->is_stopped)
		nanosleep(&moment, NULL);
	return w->is_stopped ? fault(ECANCELED, "stopped") : 0;
}

/* Negative: fails before anything is done. 1: fails after it. */
static int decide(struct wrapped *w, bool puts) {
	struct failing *f = w->failing;
	int rc = hang(w);
	if (rc < 0)
		return rc;
	unsigned count = ++f->count;
	if (puts && f->fails_puts)
		return fault(-f->rc, "the place takes nothing");
	if ((f->every && count % (unsigned)f->every == 0) || (f->after >= 0 && f->done >= (unsigned)f->after))
		return fault(-f->rc, "the place fails");
	f->done++;
	return f->lose_every && count % (unsigned)f->lose_every == 0;
}

static int wrapped_do(void *place, struct object_request *requests, size_t count) {
	struct wrapped *w = place;
	for (size_t i = 0; i < count; i++) {
		int what = decide(w, requests[i].what == OBJECT_PUT);
		requests[i].rc = what < 0 ? what : objects_do(w->inner, &requests[i], 1);
		w->failing->puts += requests[i].what == OBJECT_PUT && requests[i].rc == 0;
		if (what == 1 && requests[i].rc == 0)
			requests[i].rc = fault(-w->failing->rc, "the answer is lost");
		if (requests[i].rc < 0)
			(void)snprintf(requests[i].words, sizeof requests[i].words, "%s", fault_message());
	}
	for (size_t i = 0; i < count; i++)
		if (requests[i].rc < 0)
			return fault(-requests[i].rc, "%s", requests[i].words);
	return 0;
}

static int wrapped_list(void *place, const char *prefix, object_fn *object, void *arg) {
	struct wrapped *w = place;
	int what = decide(w, false);
	return what < 0 ? what : objects_list(w->inner, prefix, object, arg);
}

static int wrapped_lock(void *place, const char *name, int64_t until_s) {
	struct wrapped *w = place;
	return objects_lock(w->inner, name, until_s);
}

static int wrapped_prepare(void *place, bool create, bool locks) {
	struct wrapped *w = place;
	int what = decide(w, false);
	return what < 0 ? what : objects_prepare(w->inner, create, locks);
}

static int wrapped_tidy(void *place, int64_t before_s) {
	struct wrapped *w = place;
	return objects_tidy(w->inner, before_s);
}

static void wrapped_stop(void *place) {
	struct wrapped *w = place;
	w->is_stopped = true;
}

int failing_open(const struct objects_place *place, Objects **ret, void *arg) {
	static const struct objects_ops ops = {.close = wrapped_close,
	        .carry_out = wrapped_do,
	        .list = wrapped_list,
	        .lock = wrapped_lock,
	        .prepare = wrapped_prepare,
	        .tidy = wrapped_tidy,
	        .stop = wrapped_stop};
	struct wrapped *w = calloc(1, sizeof *w);
	assert_non_null(w);
	w->failing = arg;
	int rc = objects_open(place, &w->inner);
	if (rc == 0)
		rc = objects_wrap(&ops, w, place->url, ret);
	if (rc < 0)
		free(w);
	return rc;
}

/* ---- the world ---- */

int backup_world_setup(void **state) {
	struct backup_world *w = calloc(1, sizeof *w);
	assert_non_null(w);
	assert_int_equal(test_vault_setup((void **)&w->v), 0);
	(void)snprintf(w->place, sizeof w->place, "%s/place", w->v->path);
	(void)snprintf(w->url, sizeof w->url, "file://%s", w->place);
	w->failing.after = -1;
	w->failing.rc = -EIO;
	w->options =
	        (struct backup_options){.rpo_ms = 20, .retry_ms = 1, .open = failing_open, .open_arg = &w->failing};
	assert_rc(backup_open(w->v->store, &w->options, &w->backup));
	*state = w;
	return 0;
}

int backup_world_teardown(void **state) {
	struct backup_world *w = *state;
	backup_close(w->backup, 0);
	assert_int_equal(test_vault_teardown((void **)&w->v), 0);
	free(w);
	return 0;
}

void backup_world_reopen(struct backup_world *w) {
	backup_close(w->backup, 0);
	assert_rc(backup_open(w->v->store, &w->options, &w->backup));
}

int backup_world_add(struct backup_world *w, struct backup_target *rule) {
	const struct actor actor = {.uid = 7, .exe = "test"};
	(void)snprintf(rule->url, sizeof rule->url, "%s", w->url);
	return backup_add(w->backup, rule, true, &actor);
}

uint64_t backup_world_file(struct backup_world *w, const char *name, size_t size, uint8_t mark) {
	uint64_t node = test_vault_create(w->v, NODE_LANDING, name);
	_cleanup_(freep) uint8_t *data = malloc(size);
	Content *c = NULL;
	assert_non_null(data);
	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)(mark + i / 7);
	assert_rc(content_open(w->v->store, node, 0, &c));
	assert_rc(content_write(c, 0, bytes_of(data, size)));
	assert_rc(content_seal(c, ORIGIN_WRITE, 0, NULL, NULL, NULL, NULL));
	content_close(c);
	assert_rc(store_commit_wait(w->v->store));
	return node;
}

void backup_world_sync(struct backup_world *w) {
	assert_rc(backup_sync(w->backup, NULL, 20000));
}

struct backup_status *backup_world_status(struct backup_world *w) {
	static struct backup_status status;
	assert_int_equal(backup_status(w->backup, &status, 1), 1);
	return &status;
}

/* ---- what is there ---- */

static void check_header(Objects *objects, const struct layout_super *super) {
	char name[LAYOUT_NAME_BYTES];
	uint8_t hash[LAYOUT_HASH_BYTES];
	_cleanup_(freep) uint8_t *bytes = NULL;
	size_t size;
	layout_header_name(super->header, super->header_hash, name);
	assert_rc(objects_get_all(objects, name, HEADER_BYTES_MAX, &bytes, &size));
	blake2b(bytes_of(bytes, size), hash);
	assert_memory_equal(hash, super->header_hash, sizeof hash);
}

static void check_packs(Objects *objects, const struct meta_keys *keys, const struct layout_super *super) {
	for (uint64_t pack = super->base; pack <= super->pack; pack++) {
		char name[LAYOUT_NAME_BYTES];
		_cleanup_(freep) uint8_t *bytes = NULL;
		size_t size;
		struct pack_head head;
		layout_part_name(pack, 0, name);
		assert_rc(objects_get_all(objects, name, LAYOUT_PART_BYTES, &bytes, &size));
		assert_true(size >= PACK_HEAD_BYTES);
		assert_rc(pack_head_open(keys, pack, bytes, &head));
		assert_int_equal(pack_file_bytes(&head), size);
		assert_int_equal(head.is_base, pack == super->base);
		if (pack == super->pack)
			assert_memory_equal(head.root, super->root, META_HASH_BYTES);
	}
}

struct extents {
	const struct inventory *there;
	uint32_t zones;
};

static int check_extent(void *arg, const struct segment_row *row) {
	const struct extents *extents = arg;
	if (extents->zones & 1u << row->zone)
		assert_true(inventory_covered(extents->there, row->id) >= row->bytes);
	return 0;
}

size_t backup_world_check(struct backup_world *w) {
	const struct objects_place place = {.url = w->url};
	_cleanup_(objects_closep) Objects *objects = NULL;
	struct inventory there = {0};
	struct store_info info;
	struct meta_keys *keys = NULL;
	store_info(w->v->store, &info);
	assert_rc(meta_keys_new(store_keyring(w->v->store), info.vault_id, &keys));
	assert_rc(objects_open(&place, &objects));
	assert_rc(inventory_read(objects, &there));
	size_t count = there.super_count;
	for (size_t i = 0; i < count; i++) {
		char name[LAYOUT_NAME_BYTES];
		_cleanup_(freep) uint8_t *bytes = NULL;
		size_t size;
		struct layout_super super;
		layout_super_name(there.supers[i], name);
		assert_rc(objects_get_all(objects, name, 1 << 20, &bytes, &size));
		assert_rc(layout_super_open(
		        store_keyring(w->v->store), info.vault_id, there.supers[i], bytes_of(bytes, size), &super));
		check_header(objects, &super);
		check_packs(objects, keys, &super);
		if (i == count - 1 && super.commit == store_durable_commit(w->v->store)) {
			struct extents extents = {.there = &there, .zones = super.zones};
			Meta *m = store_meta(w->v->store);
			meta_begin(m);
			assert_rc(meta_end(m, segment_row_list(m, check_extent, &extents)));
		}
		layout_super_clear(&super);
	}
	meta_keys_free(keys);
	inventory_clear(&there);
	return count;
}

enum backup_replication backup_world_replication(
        struct backup_world *w, enum zone zone, const char *path, uint64_t sealed) {
	const struct version version = {.zone = (uint8_t)zone, .sealed = sealed};
	return backup_of_version(w->backup, &version, path);
}
