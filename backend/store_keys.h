/*
 * store_keys: the named keys and the slots of an open vault: what there is, and how it is changed while it is mounted.
 *
 *     name in the keyring      alias                id            versions, states: crypto/keyring.h
 *     landing, raw, trusted    alias/landing …      name          content: may be disabled and deleted
 *     meta                     alias/metadata       "meta"        vital: only rotated
 *     audit, verdict, header   alias/audit …        name          vital: only rotated
 *     own-RANDOM               as a policy says     name          of a folder: its content takes it beside the zone's
 *
 *     a change:  one at a time ─ keyring_copy ─ change the copy ─ header_update ─ vault.json, durable ─ keyring_take
 *                └─► ONE operation: rows kv key.…, audit record ─ commit
 *
 * So nothing is sealed under a version that no slot has on the disk, and a crash between vault.json and the record
 * leaves a change that is not in the log; the next opening notices that by the header's generation (kv
 * `header.generation`) and records it as `key-found`.
 *
 * Each change needs the key "header": -ENOKEY with words for who mounted by a limited slot. Names are those of the
 * keyring (store_key_find gives them for what people type). Every function: any thread, not between meta_begin and
 * meta_end, no content's lock held; negative errno with words; recorded with `actor` as `key-rotate`, `key-disable`,
 * `key-enable`, `key-schedule-deletion`, `key-cancel-deletion`, `key-delete`, `key-alias`, `key-rewrap`, `slot-add`,
 * `slot-remove`, `lock`, `unlock`; the record's detail names alias, version or slot.
 */
#pragma once

#include "backend/audit.h"
#include "backend/key_uses.h"
#include "backend/store.h"
#include "crypto/header.h"
#include "crypto/keyring.h"

#include <stdbool.h>
#include <stdint.h>

/* "alias/" and up to 57 of what a key's name may have. */
#define STORE_ALIAS_BYTES 64

/* ---- what there is ---- */

struct store_key {
	char name[KEYRING_NAME_MAX + 1];
	char alias[STORE_ALIAS_BYTES]; /* the one that a person gave it, else its own */
	uint32_t version;              /* the highest */
	enum key_kind kind;
	enum key_state state;   /* of that version */
	bool is_vital, is_here; /* is_here: this mount's slot holds it */
	bool is_own;            /* of a folder or dataset: its content takes it beside its zone's */
	int64_t created_ns;     /* of version 1; 0: not known, as an earlier program made it */
	int64_t rotated_ns;     /* of the highest; 0: it is the first, or not known */
	int64_t deletion_ns;    /* when it is deleted; 0: that is not scheduled */
	int64_t every_days;     /* it is rotated by itself; 0: it is not */
	uint64_t seals, opens; /* times that this mount derived a key from it, to seal and to open; not of vital ones */
	/* Segments that are sealed under it, and of these those under versions before the highest. Of "meta" only
	 * bytes: of the database. */
	uint64_t segments, bytes, old_segments, old_bytes;
	/* Segments under versions before this one are being sealed anew; 0: none were asked for. Later rotations leave
	 * old ones that are none of these. */
	uint64_t rewrap;
	bool is_rewrapping; /* there are such segments */
	/* Of "meta": it rests, as the file system has less room than the rest of it takes, which is this; 0: it does
	 * not. */
	uint64_t waits_for_bytes;
};

/* Each key that vault.json lists, by name, also those that this mount's slot has not. A result other than 0 ends it. */
typedef int store_key_fn(void *arg, const struct store_key *key);
int store_key_list(Store *store, store_key_fn *fn, void *arg);
/* The same without what is sealed of the metadata, for which each page of the database is looked at. */
int store_key_states(Store *store, store_key_fn *fn, void *arg);

/* Each slot, in order; is_ours: the one by which the vault was unlocked. `reaches` names keys as key_info, by
 * header_slot_key of the same index. */
typedef int store_slot_fn(void *arg, const struct slot_info *slot, size_t index, bool is_ours);
int store_slot_list(Store *store, store_slot_fn *fn, void *arg);
/* The keys that slot `index` holds, by name and version. */
typedef int store_slot_key_fn(void *arg, const struct key_info *key);
int store_slot_keys(Store *store, size_t index, store_slot_key_fn *fn, void *arg);

/* The key's name for what a person types, with or without "alias/": a policy's word, else an alias that somebody gave,
 * else a name. -ENOENT: there is none, with words that list those there are. */
int store_key_find(Store *store, const char *text, char ret_name[static KEYRING_NAME_MAX + 1]);

/* ---- keys ---- */

/*
 * A new version, under which all that is sealed from the return on is sealed; segments that are being written to are
 * closed. What was sealed before stays readable. "meta": with a checkpoint, after which the database's log is under it,
 * too. "audit": the head of the log that has the record is the last one that the version before has signed
 * (audit_succession.h). -EKEYREVOKED, -EKEYEXPIRED: it is not enabled. -ENOSPC: no room for vault.json; nothing has
 * changed (or, as the words say, for the checkpoint: the version is there, and each commit tries again).
 */
int store_key_rotate(Store *store, const char *name, const struct actor *actor, uint32_t *ret_version);

/*
 * Lets all that is sealed under older versions be sealed anew, by the collector (gc.h): each segment of an older
 * version is marked as one that must go (rows gc.purge.N), which outlives a crash. Returns at once; store_key_list
 * tells how far it is. "meta": the pages of the database, by the commits of some seconds, one in an interval, and then
 * a base pack (metadb_reseal); archives of the log keep their versions. -ENOTSUP: it seals nothing.
 * -ENOSPC: there is less room than that takes, some twice the database (the words say how much); nothing is done. When
 * others take the room later, it rests until there is enough.
 */
int store_key_rewrap(Store *store, const char *name, const struct actor *actor);

/* Whether there is room for that: -ENOSPC, with words; before the rotation that it goes with. */
int store_key_rewrap_check(Store *store, const char *name);

/*
 * Keys of folders and datasets, by what a policy calls them: those that there are not are made, all in one change, and
 * recorded as `key-create`; vault.json names them at random. ret_is_new: n of them; one that comes twice is new once.
 * *ret_wrong: with which word something is wrong; n: with none. -EINVAL: the word is none, looks like a drawn
 * name that no key has, or is the alias of a key of another kind; -EKEYEXPIRED: that key was deleted.
 */
#define STORE_OWN_PREFIX "own-"
int store_key_own(Store *store, const char *const *words, size_t n, const struct actor *actor, bool *ret_is_new,
        size_t *ret_wrong);

/* In an operation: the name of the key that a policy calls so, since store_key_own() found or made it. -ENOENT. */
int store_key_called(Meta *m, const char *word, char ret_name[static OWN_KEY_BYTES]);

/* In an operation: `rc` of keyring_get() in words that name a folder's key as people do. */
int store_key_own_words(Meta *m, const char *own, int rc);

/* Neither seals nor opens until it is enabled: exactly its data can't be read (-EKEYREVOKED from all that derives from
 * it), from the return on, what is in memory too. -EPERM: it is vital. */
int store_key_disable(Store *store, const char *name, const struct actor *actor);
int store_key_enable(Store *store, const char *name, const struct actor *actor);

/* Disables it and deletes it in `days` (7 to 30, else -EINVAL), by the mount's clock; -EEXIST: it is to be already.
 * Until then it may be cancelled, after which it is disabled; -ENOENT: there is nothing to be cancelled. */
int store_key_schedule_deletion(
        Store *store, const char *name, unsigned days, const struct actor *actor, int64_t *ret_deletion_ns);
int store_key_cancel_deletion(Store *store, const char *name, const struct actor *actor);

/* Names a key: "alias/NEW" or "NEW"; the alias of its own, and the policy's word, go on to work. -EEXIST: it finds
 * another key: by its alias, its name, or as a policy calls that one (also one that was applied before). -EINVAL: it is
 * none, or looks like a name that is drawn at random. */
int store_key_alias(Store *store, const char *name, const char *alias, const struct actor *actor);

/* It is rotated by itself when its highest version is so old. 0: not. */
int store_key_every(Store *store, const char *name, unsigned days, const struct actor *actor);

/* What is due at `now_ns`: deletions (vault.json without the key's boxes, its bytes wiped from memory) and rotations.
 * Called each minute by who mounts, and when the vault is opened. `is_clock_even`: else nothing is deleted. */
int store_key_tick(Store *store, int64_t now_ns, bool is_clock_even);

/* ---- who used which ---- */

/*
 * The log's events `key-decrypt` and `key-generate-data-key`: who opened or sealed content under which version of which
 * key, and what file was the occasion. Uses are gathered (key_uses.h): the first is recorded within the operation, the
 * others are counted and told of by the tick, by store_lock, and at the end of the mount. Nothing on a read-only vault.
 *
 * counts: whether no record is to be made of it; it is counted then. record: else this, in the operation; path, node
 * and version are the occasion's. of_version: the key of where the version begins; -ENOENT: nothing of it is sealed.
 */
bool store_key_use_counts(Store *store, const struct key_use *use);
int store_key_use_record(Store *store, const struct key_use *use, const struct audit_event *occasion);
int store_key_of_version(Store *store, enum zone zone, uint64_t version, struct key_use *ret_use);

/* All of it, of the key of a segment; `actor` NULL: the daemon; `node` 0: no file. In an operation; or
 * alone: 1 if a record was made, so that who is to be answered waits for it (store_audit_wait). */
int store_key_used(Store *store, const struct actor *actor, uint32_t segment, bool seals, uint64_t node);
int store_key_used_alone(Store *store, const struct actor *actor, uint32_t segment, bool seals, uint64_t node);

/* Tells of what was counted for an hour. Each minute. */
int store_key_uses_tick(Store *store);

/* ---- slots ---- */

struct store_slot_request {
	enum slot_type type;
	const char *label;            /* UTF-8; "" */
	struct bytes secret;          /* passphrase, key file's bytes */
	const struct header_kdf *kdf; /* passphrase; NULL: the default */
	const char *recipient;        /* the public text */
	const char *id;               /* kms: of header_new_slot_id */
	struct slot_kms kms;          /* kms */
	const uint8_t *kek;           /* kms: HEADER_KEK_BYTES */
	uint32_t zones;               /* bit of 1 << zone: a limited slot for reading these; 0: all keys */
	const char *const *keys;      /* of a limited slot: folders' own keys, by name, that it holds beside those */
	size_t key_count;
};

/* `ret_id` of the new slot; `ret_recovery` (for SLOT_RECOVERY, else NULL): its key's text, wipe it. A limited slot gets
 * meta, the content keys of its zones and the folders' keys that it names. -EEXIST: the passphrase or key file opens a
 * slot that is there (of passphrases the first eight slots are tried, an Argon2id each, and none that takes more than 1
 * GiB); the recipient has one. */
int store_slot_add(Store *store, const struct store_slot_request *request, const struct actor *actor,
        char ret_id[static HEADER_ID_TEXT_BYTES], char ret_recovery[RECOVERY_TEXT_BYTES]);

/* By its id or the beginning of it (4 digits at least). -EBUSY: it is the last full one. */
int store_slot_remove(Store *store, const char *id, const struct actor *actor);

/* ---- locking ---- */

/* Wipes the keys of content from memory and drops what was opened with them (segment keys, blocks); metadata and the
 * log stay. All that wants content is -EACCES until store_unlock. Drafts are committed first. 0 when it is locked
 * already. */
int store_lock(Store *store, const struct actor *actor);
/* The same, with the reason in the record; `actor` NULL: the daemon. */
int store_lock_for(Store *store, const struct actor *actor, const char *why);
/* With any secret of a slot that holds at least the keys this mount had. -EKEYREJECTED: no slot's, -EPERM: one's
 * that holds fewer (both recorded as denied). 0, and nothing is looked at, where it is not locked. */
int store_unlock(Store *store, const struct store_secret *secret, const struct actor *actor);
bool store_is_locked(Store *store);
