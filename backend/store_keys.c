/* What keys there are; a change from its beginning to its end; aliases and rotation. */
#include "backend/store_keys.h"
#include "backend/gc.h"
#include "backend/metadb.h"
#include "backend/record.h"
#include "backend/store_keys_internal.h"
#include "crypto/base/array.h"
#include "crypto/base/fault.h"
#include "crypto/secret.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Room for the record, and for what a change adds to vault.json. */
#define CHANGE_BYTES ((uint64_t)64 << 10)

int store_keys_init(Store *store, struct bytes json, size_t slot) {
	struct slot_info info;
	int rc = header_parse(json, &store->keys.header);
	if (rc == 0)
		rc = header_slot(store->keys.header, slot, &info);
	if (rc == 0)
		memcpy(store->keys.slot, info.id, sizeof store->keys.slot);
	return rc;
}

void store_keys_clear(Store *store) {
	header_free(steal_pointer(&store->keys.header));
}

const char *store_slot_words(const Store *store, char ret_words[static STORE_SLOT_WORDS_BYTES]) {
	struct slot_info info;
	(void)snprintf(ret_words, STORE_SLOT_WORDS_BYTES, "slot %s", store->keys.slot);
	for (size_t i = 0; header_slot(store->keys.header, i, &info) == 0; i++)
		if (strcmp(info.id, store->keys.slot) == 0)
			(void)snprintf(ret_words, STORE_SLOT_WORDS_BYTES, "slot %s, %s%s%.400s", info.id,
			        slot_type_name(info.type), info.kms.key ? " " : "", info.kms.key ? info.kms.key : "");
	return ret_words;
}

/* ---- changes ---- */

int key_header_copy(const VaultHeader *header, VaultHeader **ret) {
	_cleanup_(freep) char *json = NULL;
	size_t size = 0;
	int rc = header_serialize(header, &json, &size);
	return rc < 0 ? rc : header_parse(bytes_of(json, size), ret);
}

static int find_row(struct key_change *change, const char *name) {
	struct key_info info;
	Meta *m = change->store->meta;
	if (!key_find_listed(change->header, name, &info))
		return fault(ENOKEY, "there is no key alias/%s", name);
	change->name = name;
	meta_begin(m);
	return meta_end(m, key_row_get(m, name, &change->row));
}

/* vault.json is there twice while it is replaced. */
static int check_room(Store *store) {
	uint64_t size = 0;
	_cleanup_(vault_file_closep) VaultFile *file = NULL;
	int rc = vault_file_open(store->io, STORE_HEADER_NAME, VAULT_FILE_READ, &file);
	if (rc == 0)
		rc = vault_file_size(file, &size);
	return rc < 0 ? rc : store_space_check(store, size + CHANGE_BYTES);
}

int key_change_begin(Store *store, const char *name, struct key_change *ret) {
	_cleanup_(secret_key_wipe) struct secret_key key;
	*ret = (struct key_change){.store = store};
	int rc = keyring_get(store->keyring, "header", 0, key.bytes, NULL);
	if (rc == 0)
		rc = check_room(store);
	if (rc == 0)
		rc = store_audit_check(store);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&store->keys.changing);
	ret->has_lock = true;
	rc = keyring_copy(store->keyring, &ret->keyring);
	if (rc == 0)
		rc = key_header_copy(store->keys.header, &ret->header);
	if (rc == 0 && name)
		rc = find_row(ret, name);
	if (rc < 0)
		key_change_end(ret);
	return rc;
}

int key_change_write(struct key_change *change) {
	_cleanup_(freep) char *json = NULL;
	size_t size = 0;
	int rc = header_serialize(change->header, &json, &size);
	if (rc == 0)
		rc = vault_io_replace(change->store->io, STORE_HEADER_NAME, bytes_of(json, size));
	if (rc < 0)
		return fault_while(rc, "writing %s", STORE_HEADER_NAME);
	header_free(change->store->keys.header);
	change->store->keys.header = change->header;
	change->header = NULL;
	return 0;
}

int key_record(Store *store, struct audit_event e, const struct actor *actor) {
	if (!actor)
		return store_record_event(store, e);
	e.actor = *actor;
	return audit_record(store->meta, &e, NULL);
}

int key_change_record(struct key_change *change, const char *event, const struct actor *actor, const char *detail) {
	Store *store = change->store;
	meta_begin(store->meta);
	if (change->wants_head)
		store_head_want(store);
	int rc = change->name ? key_row_put(store->meta, change->name, &change->row) : 0;
	if (rc == 0)
		rc = key_header_note(store);
	if (rc == 0)
		rc = key_record(store, (struct audit_event){.event = event, .detail = detail}, actor);
	rc = meta_end(store->meta, rc);
	if (rc == 0)
		rc = store_commit_wait(store);
	return fault_while(rc, "recording what was changed in %s", STORE_HEADER_NAME);
}

void key_change_end(struct key_change *change) {
	keyring_free(steal_pointer(&change->keyring));
	header_free(steal_pointer(&change->header));
	if (change->has_lock)
		pthread_mutex_unlock(&change->store->keys.changing);
	change->has_lock = false;
}

int key_refuse_vital(const char *name) {
	char alias[STORE_ALIAS_BYTES];
	if (!keyring_is_vital(name))
		return 0;
	key_own_alias(name, alias);
	return fault(EPERM, "the vault cannot do without its key %s: it can only be rotated", alias);
}

/* ---- what there is ---- */

struct listing {
	Store *store;
	struct store_key *keys;
	size_t count, room;
	bool is_measured; /* the database: how much of it is under which version takes a look at each page */
	uint64_t meta_bytes, meta_old;
};

/* The highest version of each name. */
static int gather_names(struct listing *list) {
	const VaultHeader *header = list->store->keys.header;
	struct key_info info;
	for (size_t i = 0; header_key(header, i, &info) == 0; i++) {
		bool is_new = list->count == 0 || strcmp(list->keys[list->count - 1].name, info.name) != 0;
		struct store_key *grown = array_room(list->keys, &list->room, list->count + 1, sizeof *grown);
		if (!grown)
			return fault(ENOMEM, "no memory to list the keys");
		list->keys = grown;
		struct store_key *key = &grown[list->count - !is_new];
		list->count += is_new;
		*key = (struct store_key){.version = info.version,
		        .kind = info.kind,
		        .state = info.state,
		        .is_vital = keyring_is_vital(info.name),
		        .is_own = key_is_own(info.name)};
		memcpy(key->name, info.name, sizeof key->name);
	}
	return 0;
}

static void note_here(struct listing *list) {
	struct key_info info;
	for (size_t i = 0; keyring_info(list->store->keyring, i, &info) == 0; i++)
		for (size_t at = 0; at < list->count; at++)
			if (strcmp(list->keys[at].name, info.name) == 0 && info.state != KEY_DELETED)
				list->keys[at].is_here = true;
}

static int fill_in(struct listing *list, struct store_key *key) {
	const int64_t made_ns = header_created(list->store->keys.header) * INT64_C(1000000000);
	struct segment_derivations derived;
	struct key_row row;
	int rc = key_row_get(list->store->meta, key->name, &row);
	if (rc < 0)
		return rc;
	key->created_ns = made_ns;
	key->rotated_ns = row.rotated_ns;
	key->deletion_ns = key->state == KEY_PENDING_DELETION ? row.deletion_ns : 0;
	key->every_days = row.every_days;
	key->rewrap = row.rewrap;
	if (key->is_own) {
		rc = key_made_get(list->store->meta, key->name, &key->created_ns);
		segment_own_derivations(list->store->segments, key->name, &key->seals, &key->opens);
	}
	key_own_alias(key->name, key->alias);
	if (row.alias[0])
		memcpy(key->alias, row.alias, sizeof key->alias);
	segment_derivations(list->store->segments, &derived);
	const unsigned zones = key_zones(key->name);
	for (int zone = ZONE_LANDING; zone <= ZONE_STAGING; zone++)
		if (zones & 1u << zone) {
			key->seals += derived.seals[zone];
			key->opens += derived.opens[zone];
		}
	return rc;
}

static const struct store_key *find_key(const struct listing *list, const char *name) {
	for (size_t i = 0; i < list->count; i++)
		if (strcmp(list->keys[i].name, name) == 0)
			return &list->keys[i];
	return NULL;
}

static int count_segment(void *arg, const struct segment_row *row) {
	struct listing *list = arg;
	const struct store_key *own = row->own[0] ? find_key(list, row->own) : NULL;
	const bool is_noise = own && own->state == KEY_DELETED; /* nobody seals it anew */
	for (size_t i = 0; i < list->count; i++) {
		struct store_key *key = &list->keys[i];
		const bool is_own = key == own;
		if (!is_own && strcmp(key->name, zone_key_name(row->zone)) != 0)
			continue;
		const uint32_t version = is_own ? row->own_version : row->key_version;
		bool is_old = !is_noise && version < key->version;
		key->segments++;
		key->bytes += row->bytes;
		key->old_segments += is_old;
		key->old_bytes += is_old ? row->bytes : 0;
		key->is_rewrapping |= is_old && version < key->rewrap;
	}
	return 0;
}

/* Outside of the metadata's lock. */
static int measure(struct listing *list) {
	return list->is_measured ? metadb_sealed_bytes(list->store->db, &list->meta_bytes, &list->meta_old) : 0;
}

static bool is_of_metadata(const char *name) {
	return strcmp(name, "meta") == 0;
}

static void finish(const struct listing *list, struct store_key *key) {
	if (!is_of_metadata(key->name))
		return;
	key->bytes = list->meta_bytes;
	key->old_bytes = list->meta_old;
	key->is_rewrapping = atomic_load(&list->store->reseals) != 0;
	if (key->is_rewrapping && !store_reseal_goes_on(list->store))
		key->waits_for_bytes = atomic_load(&list->store->reseal_bytes);
}

/* With the lock of changes. */
static int gather(struct listing *list) {
	Meta *m = list->store->meta;
	int rc = gather_names(list);
	if (rc == 0)
		rc = measure(list);
	if (rc < 0)
		return rc;
	note_here(list);
	meta_begin(m);
	for (size_t i = 0; i < list->count && rc == 0; i++)
		rc = fill_in(list, &list->keys[i]);
	if (rc == 0)
		rc = segment_row_list(m, count_segment, list);
	for (size_t i = 0; i < list->count; i++)
		finish(list, &list->keys[i]);
	return meta_end(m, rc);
}

static int gather_alone(struct listing *list) {
	pthread_mutex_lock(&list->store->keys.changing);
	int rc = gather(list);
	pthread_mutex_unlock(&list->store->keys.changing);
	return rc;
}

int key_list(Store *store, bool is_measured, store_key_fn *fn, void *arg) {
	struct listing list = {.store = store, .is_measured = is_measured};
	int rc = gather_alone(&list);
	for (size_t i = 0; i < list.count && rc == 0; i++)
		rc = fn(arg, &list.keys[i]);
	free(list.keys);
	return rc < 0 ? rc : 0;
}

int store_key_list(Store *store, store_key_fn *fn, void *arg) {
	return key_list(store, true, fn, arg);
}

int store_key_states(Store *store, store_key_fn *fn, void *arg) {
	return key_list(store, false, fn, arg);
}

static bool is_called(const struct store_key *key, const char *word) {
	char own[STORE_ALIAS_BYTES];
	key_own_alias(key->name, own);
	return strcmp(own + strlen("alias/"), word) == 0 || strcmp(key->name, word) == 0;
}

/* What the policy calls so; NULL: none that there is. */
static int find_called(const struct listing *list, const char *word, const struct store_key **ret) {
	Meta *m = list->store->meta;
	char called[OWN_KEY_BYTES] = "";
	meta_begin(m);
	int rc = meta_end(m, store_key_called(m, word, called));
	if (rc == 0 || rc == -ENOENT)
		*ret = find_key(list, called);
	return rc == -ENOENT ? 0 : rc;
}

/* By what the words name, without "alias/": the policy's word goes before what people call a key, and that before
 * names. NULL: none. */
static int find_by(const struct listing *list, const char *word, const struct store_key **ret) {
	int rc = find_called(list, word, ret);
	for (size_t i = 0; i < list->count && rc == 0 && !*ret; i++)
		if (strcmp(list->keys[i].alias + strlen("alias/"), word) == 0)
			*ret = &list->keys[i];
	for (size_t i = 0; i < list->count && rc == 0 && !*ret; i++)
		if (is_called(&list->keys[i], word))
			*ret = &list->keys[i];
	return rc;
}

static const char *without_prefix(const char *text) {
	return strncmp(text, "alias/", strlen("alias/")) == 0 ? text + strlen("alias/") : text;
}

static int tell_none(const struct listing *list, const char *text) {
	char names[FAULT_MESSAGE_BYTES / 2] = "";
	for (size_t i = 0; i < list->count; i++) {
		size_t used = strlen(names);
		(void)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", list->keys[i].alias);
	}
	return fault(ENOENT, "there is no key %.100s; there are %s", text, names);
}

int store_key_find(Store *store, const char *text, char ret_name[static KEYRING_NAME_MAX + 1]) {
	struct listing list = {.store = store};
	const struct store_key *key = NULL;
	int rc = gather_alone(&list);
	if (rc == 0)
		rc = find_by(&list, without_prefix(text), &key);
	if (key)
		memcpy(ret_name, key->name, KEYRING_NAME_MAX + 1);
	else if (rc == 0)
		rc = tell_none(&list, text);
	free(list.keys);
	return rc;
}

/* ---- aliases ---- */

static int check_alias(const char *word) {
	int rc = keyring_check_name(word);
	if (rc == 0 && strlen(word) > STORE_ALIAS_BYTES - sizeof "alias/")
		rc = fault(EINVAL, "\"%.100s\" is too long for an alias: it may have %zu characters", word,
		        STORE_ALIAS_BYTES - sizeof "alias/");
	return rc;
}

/* The change's lock is held. Whatever else finds a key by the word keeps it from the others: were it moved, who deletes
 * the project's key would delete another one. */
static int check_free(Store *store, const char *name, const char *word) {
	struct listing list = {.store = store};
	const struct store_key *called = NULL;
	int rc = gather(&list);
	if (rc == 0)
		rc = find_called(&list, word, &called);
	if (rc == 0 && called && strcmp(called->name, name) != 0)
		rc = fault(EEXIST, "alias/%s is what the policy calls the key %s (its id is %s)", word, called->alias,
		        called->name);
	for (size_t i = 0; i < list.count && rc == 0; i++) {
		const struct store_key *key = &list.keys[i];
		const bool is_given = strcmp(key->alias + strlen("alias/"), word) == 0;
		const bool is_its = is_given || is_called(key, word);
		if (is_its && strcmp(key->name, name) != 0)
			rc = fault(EEXIST, "alias/%s is the name of another key already%s%s", word,
			        is_given ? ", whose id is " : ", by itself; it is called ",
			        is_given ? key->name : key->alias);
	}
	if (rc == 0 && key_is_drawn(word) && strcmp(word, name) != 0)
		rc = fault(EINVAL, "alias/%s looks like the id of a key, and is none", word);
	free(list.keys);
	return rc;
}

int store_key_alias(Store *store, const char *name, const char *alias, const struct actor *actor) {
	struct key_change change = {0};
	char detail[256];
	const char *word = without_prefix(alias);
	int rc = check_alias(word);
	if (rc == 0)
		rc = key_change_begin(store, name, &change);
	if (rc < 0)
		return rc;
	rc = check_free(store, name, word);
	(void)snprintf(change.row.alias, sizeof change.row.alias, "alias/%.57s", word);
	(void)snprintf(detail, sizeof detail, "alias/%s is called %s", name, change.row.alias);
	if (rc == 0)
		rc = key_change_record(&change, "key-alias", actor, detail);
	key_change_end(&change);
	return rc;
}

int store_key_every(Store *store, const char *name, unsigned days, const struct actor *actor) {
	struct key_change change = {0};
	char detail[256];
	int rc = key_change_begin(store, name, &change);
	if (rc < 0)
		return rc;
	change.row.every_days = days;
	(void)snprintf(detail, sizeof detail,
	        days ? "alias/%s is rotated each %u day%s" : "alias/%s is no more rotated by itself", name, days,
	        days == 1 ? "" : "s");
	rc = key_change_record(&change, "key-rotate", actor, detail);
	key_change_end(&change);
	return rc;
}

/* ---- rotation ---- */

/* The database seals by it from now on, its log from the checkpoint on that the next commit makes. */
static int take_for_metadata(Store *store) {
	meta_begin(store->meta);
	int rc = meta_end(store->meta, metadb_take_keys(store->db, store->keyring));
	atomic_store(&store->wants_checkpoint, true);
	return rc;
}

/* After that commit: whether it came to the checkpoint. If not, each commit tries again. */
static int check_metadata(Store *store) {
	struct store_checkpoint checkpoint = {0};
	meta_begin(store->meta);
	bool is_behind = metadb_is_behind(store->db);
	int rc = meta_end(store->meta, 0);
	if (rc == 0 && is_behind)
		rc = store_checkpoint(store, &checkpoint);
	store_checkpoint_clear(&checkpoint);
	return fault_while(rc, "the version is there, but the metadata's log is still under the one before");
}

static int rotate(struct key_change *change, const struct actor *actor, uint32_t *ret_version) {
	Store *store = change->store;
	char detail[256];
	char own[STORE_ALIAS_BYTES];
	const unsigned zones = key_zones(change->name);
	key_own_alias(change->name, own);
	int rc = keyring_rotate(change->keyring, change->name, ret_version);
	/* After an older vault.json was taken: no other key gets the number of one that was. */
	while (rc == 0 && *ret_version <= change->row.version)
		rc = keyring_rotate(change->keyring, change->name, ret_version);
	if (rc == 0)
		rc = header_update(change->header, change->keyring);
	if (rc == 0)
		rc = key_change_write(change);
	if (rc < 0)
		return rc;
	keyring_take(store->keyring, change->keyring);
	segment_keys_changed(store->segments);
	if (zones & 1u << ZONE_LANDING && store->synclog)
		atomic_store(&store->log_wish, LOG_TAKES_KEY);
	if (is_of_metadata(change->name))
		rc = take_for_metadata(store);
	change->row.version = *ret_version;
	change->row.rotated_ns = meta_now(store->meta);
	(void)snprintf(detail, sizeof detail, "%s version %u", own, *ret_version);
	change->wants_head = strcmp(change->name, AUDIT_KEY_NAME) == 0;
	store_head_name_key(store, change->name, *ret_version, detail, sizeof detail);
	int recorded = key_change_record(change, "key-rotate", actor, detail);
	rc = rc < 0 ? rc : recorded;
	return rc == 0 && is_of_metadata(change->name) ? check_metadata(store) : rc;
}

int store_key_rotate(Store *store, const char *name, const struct actor *actor, uint32_t *ret_version) {
	struct key_change change = {0};
	uint32_t version = 0;
	int rc = key_change_begin(store, name, &change);
	if (rc < 0)
		return rc;
	rc = rotate(&change, actor, &version);
	key_change_end(&change);
	if (rc == 0 && ret_version)
		*ret_version = version;
	return fault_while(rc, "rotating the key alias/%s", name);
}

/* ---- sealing anew ---- */

struct olds {
	unsigned zones;
	const char *own; /* the name of a folder's key; "": by zones */
	const VaultHeader *header;
	uint32_t version;
	uint32_t *numbers;
	size_t count, room;
};

static int gather_old(void *arg, const struct segment_row *row) {
	struct olds *olds = arg;
	struct key_info own;
	const bool is_old = olds->own[0] ? strcmp(row->own, olds->own) == 0 && row->own_version < olds->version
	                                 : olds->zones & 1u << row->zone && row->key_version < olds->version;
	if (!is_old || (row->own[0] && key_find_listed(olds->header, row->own, &own) && own.state == KEY_DELETED))
		return 0;
	uint32_t *grown = array_room(olds->numbers, &olds->room, olds->count + 1, sizeof *grown);
	if (!grown)
		return fault(ENOMEM, "no memory to list the segments that are to be sealed anew");
	olds->numbers = grown;
	grown[olds->count++] = row->number;
	return 0;
}

static int mark_olds(struct key_change *change, struct olds *olds) {
	Meta *m = change->store->meta;
	meta_begin(m);
	int rc = segment_row_list(m, gather_old, olds);
	for (size_t i = 0; i < olds->count && rc == 0; i++)
		rc = gc_purge_want_segment(m, olds->numbers[i]);
	return meta_end(m, rc);
}

/* The rows of what rotation closed come with a commit, so that goes first. */
static int rewrap(struct key_change *change, struct olds *olds, const struct actor *actor) {
	char detail[256];
	int rc = segment_flush(change->store->segments);
	if (rc == 0)
		rc = store_commit_wait(change->store);
	if (rc == 0)
		rc = mark_olds(change, olds);
	if (rc < 0)
		return rc;
	change->row.rewrap = olds->version;
	(void)snprintf(detail, sizeof detail, "alias/%s: %zu segment%s of versions before %u", change->name,
	        olds->count, olds->count == 1 ? "" : "s", olds->version);
	return key_change_record(change, "key-rewrap", actor, detail);
}

/* A pass over all pages, as the collector has none of them. */
static int rewrap_metadata(Store *store, const struct actor *actor) {
	struct key_change change = {0};
	struct key_info info = {0};
	char detail[256];
	int rc = key_change_begin(store, "meta", &change);
	if (rc < 0)
		return rc;
	(void)key_find_listed(change.header, "meta", &info);
	meta_begin(store->meta);
	rc = store_reseal_room(store);
	if (rc == 0)
		rc = metadb_take_keys(store->db, store->keyring); /* should that have failed when it was rotated */
	if (rc == 0)
		rc = store_reseal_begin(store, info.version);
	rc = meta_end(store->meta, rc);
	change.row.rewrap = info.version;
	(void)snprintf(detail, sizeof detail, "alias/metadata: what is under versions before %u", info.version);
	if (rc == 0)
		rc = key_change_record(&change, "key-rewrap", actor, detail);
	key_change_end(&change);
	return fault_while(rc, "sealing the metadata anew");
}

int store_key_rewrap(Store *store, const char *name, const struct actor *actor) {
	struct key_change change = {0};
	struct key_info info = {0};
	struct olds olds = {.zones = key_zones(name), .own = key_is_own(name) ? name : ""};
	_cleanup_(secret_key_wipe) struct secret_key key;
	if (is_of_metadata(name))
		return rewrap_metadata(store, actor);
	if (olds.zones == 0 && !olds.own[0])
		return fault(ENOTSUP, "the key alias/%s seals nothing: there is nothing to be sealed anew", name);
	int rc = key_change_begin(store, name, &change);
	if (rc < 0)
		return rc;
	olds.header = change.header;
	if (key_find_listed(change.header, name, &info))
		olds.version = info.version;
	rc = keyring_get(store->keyring, name, 0, key.bytes, NULL);
	if (rc == 0)
		rc = rewrap(&change, &olds, actor);
	key_change_end(&change);
	free(olds.numbers);
	if (rc == 0)
		gc_purge(store->gc);
	return fault_while(rc, "sealing anew what is under the key alias/%s", name);
}
