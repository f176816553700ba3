/*
 * store_keys_internal: what the sources of store_keys share. Nobody else includes it.
 */
#pragma once

#include "backend/content_internal.h"
#include "backend/store_internal.h"
#include "backend/store_keys.h"

/* Rows of kv. */
#define KV_GENERATION "header.generation" /* u64: of the vault.json that the log knows */
#define KV_HASH "header.hash"             /* BLAKE2b-256 of its bytes */
#define KV_KEY "key."                     /* and the name */

#define DAY_NS ((int64_t)86400 * 1000000000)

/* ---- rows (store_key_rows.c); in an operation ---- */

/* What the database knows of a key. */
struct key_row {
	int64_t rotated_ns;  /* 0: never, or not known */
	int64_t deletion_ns; /* 0: not scheduled */
	int64_t every_days;  /* 0: not rotated by itself */
	uint64_t rewrap;     /* versions below are to be sealed anew; 0: none */
	uint32_t version;    /* the highest that the log knows */
	enum key_state state;
	char alias[STORE_ALIAS_BYTES]; /* with "alias/"; "": none but its own */
};

/* Of a key without a row: what one of a new vault would have. */
int key_row_get(Meta *m, const char *name, struct key_row *ret);
int key_row_put(Meta *m, const char *name, const struct key_row *row);

/* The alias that each key has from the beginning on: "alias/metadata" of meta, else "alias/" and its name. */
void key_own_alias(const char *name, char ret_alias[static STORE_ALIAS_BYTES]);

/* Notes the vault.json that the store has as the one that the log knows. */
int key_header_note(Store *store);

/* The zones that a key's content lies in, bits of 1 << zone; 0: it is no key of content. */
unsigned key_zones(const char *name);

/* Whether it is a key of a folder's own. */
bool key_is_own(const char *name);
/* Whether it looks like a name that is drawn for one: nothing else is to be called so. */
bool key_is_drawn(const char *name);
/* When that was made; 0: not known. */
int key_made_get(Meta *m, const char *name, int64_t *ret_ns);

/* The highest version of `name` that the header lists. false: there is no such key. */
bool key_find_listed(const VaultHeader *header, const char *name, struct key_info *ret_info);

/* ---- changes (store_keys.c) ---- */

/*
 *     begin ─ (the copies are changed) ─ write: vault.json, durable ─ (keyring_take or the like) ─ record ─ end
 */
struct key_change {
	Store *store;
	Keyring *keyring;    /* a copy */
	VaultHeader *header; /* a copy */
	bool has_lock;
	const char *name; /* of the key whose row goes with the record; NULL: none */
	bool wants_head;  /* the commit of the record signs a head of the log, which hands the log's key on */
	struct key_row row;
};

/* As store_key_list(); not measured: without the bytes of the metadata, for which each page is looked at. */
int key_list(Store *store, bool is_measured, store_key_fn *fn, void *arg);

/* Locks, and copies. -ENOKEY: only a full slot may. -EROFS. `name` (may be NULL) is looked up: -ENOKEY: there is no
 * such key. */
int key_change_begin(Store *store, const char *name, struct key_change *ret);
/* Makes the header durable as vault.json, and the store's. */
int key_change_write(struct key_change *change);
/* ONE operation: the row, the header's generation, the audit record; committed. `actor` NULL: the daemon itself. */
int key_change_record(struct key_change *change, const char *event, const struct actor *actor, const char *detail);
/* Frees and unlocks. */
void key_change_end(struct key_change *change);

/* In an operation; `actor` NULL: the daemon itself. */
int key_record(Store *store, struct audit_event e, const struct actor *actor);

/* Of its own, so that the other one may change. */
int key_header_copy(const VaultHeader *header, VaultHeader **ret);

/* As keyring_is_vital(), with words. */
int key_refuse_vital(const char *name);

/* Before the keys of these zones, and a folder's own key (""), are taken away: nothing is left in memory that could not
 * be sealed any more. Between key_change_begin and the taking away. after: nothing is left in memory that was opened
 * with them, once reads under way have ended. back: they can be had again. */
int key_leaving(Store *store, unsigned zones, const char *own);
void key_left(Store *store);
void key_is_back(Store *store, unsigned zones);
