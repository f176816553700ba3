/*
 * version: the versions of a node, drafts, and the maps that say where their blocks lie.
 *
 *      node ─┬─ version 1 (sealed) ── map 0 ─► map page ◄─┐       a map page is up to 256 block references:
 *            │                        map 1 ─► map page   │       4 MiB of file at 16 KiB a block
 *            ├─ version 2 (sealed) ── map 0 ──────────────┘       shared while it is the same
 *            │                        map 1 ─► map page
 *            └─ draft ─────────────── map 0, 1 … copied on the first change
 *
 * A map page belongs to the draft that made it until that draft is sealed or shares it; from then on nobody changes it
 * (the database's triggers hold to that too). A missing page is a hole of 4 MiB. A new draft copies the base's map
 * *rows* (about 20 bytes for 4 MiB of file), never its pages; of a large file not the rows either: what has no row of
 * its own is the base's (map_base.c).
 *
 *      page hash    = BLAKE2b-256("assayfs map page 1" ‖ 0 ‖ references as stored, 32 bytes each)
 *      version hash = BLAKE2b-256("assayfs version 1" ‖ 0 ‖ size u64 ‖ (page index u64 ‖ page hash)*)    little-endian
 *
 * Block references hold the AEAD tags, so the version's hash commits to the content without reading it.
 * A node has at most one draft. All calls are made between meta_begin and meta_end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/block_ref.h"
#include "backend/meta.h"
#include "backend/zone.h"

#define MAP_PAGE_REFS 256
#define VERSION_HASH_BYTES 32
/* Highest page of a map: files of 2^63 - 1 bytes at the smallest plausible block. */
#define MAP_PAGE_MAX (UINT64_C(1) << 43)

/* In a version's mode: the node had an access ACL, so that the bits of the group are the ACL's mask and say nothing of
 * the group alone. ACLs have no history: without one by now, such a version is its owner's and root's alone. */
#define VERSION_MODE_ACL 0200000u

enum version_state {
	VERSION_DRAFT = 0,
	VERSION_SEALED = 1,
	VERSION_WITHDRAWN = 2, /* kept, not shown where it was: `at` and `versions` of Trusted leave it out */
	VERSION_ERASED = 3,    /* its map is gone by a lifecycle rule or a steward; the row stays as a witness. What its
	                          map lends to others is theirs: nothing may be read by an erased version */
};

enum origin {
	ORIGIN_WRITE = 1,     /* somebody wrote through the mount */
	ORIGIN_RECOVERED = 2, /* a fsynced draft found after a crash */
	ORIGIN_RESTORE = 3,
	ORIGIN_CAPTURE = 4, /* Landing → Raw */
	ORIGIN_PUBLISH = 5, /* → Trusted, through the gate */
};

struct version {
	uint64_t id;
	uint64_t node;
	uint64_t number; /* 1, 2, … within the node; 0: a draft */
	uint64_t size;   /* bytes of plaintext */
	uint8_t zone;    /* enum zone under whose key its blocks are sealed */
	uint8_t state;   /* enum version_state */
	uint8_t origin;  /* enum origin; 0: a draft */
	bool fsynced;    /* a draft somebody was promised; see version_drafts */
	bool has_sha256;
	int64_t mtime; /* this and the next: the node's, when it was sealed */
	uint32_t mode; /* perhaps with VERSION_MODE_ACL */
	uint32_t uid, gid;
	uint64_t born;       /* commit in which the draft was begun */
	uint64_t sealed;     /* commit in which it was sealed; 0: a draft */
	int64_t sealed_time; /* ns */
	uint64_t base;       /* the version the draft was begun on; 0: none */
	uint64_t verdict;    /* verdict row; 0: none */
	uint8_t hash[VERSION_HASH_BYTES];
	uint8_t sha256[32]; /* of the plaintext, when has_sha256 */
};

/*
 * Begins a draft of `node` (a regular file) on `base_version`, sharing its map (0: empty, size 0). The base may be a
 * version of another node (restore, clone, publication inside one zone) but must be of the same `zone`: -EXDEV, since
 * its blocks are sealed under that zone's key. -EEXIST when the node has a draft, -ENOENT no such base, -EINVAL when
 * the base is a draft of another node or erased.
 */
int version_draft(Meta *m, uint64_t node, uint64_t base_version, enum zone zone, struct version *ret_version);

/*
 * The same in two steps, for a draft that may be sealed in the operation that writes its row: version_draft_reserve
 * checks, and takes the id, which no other draft will have; version_draft_put writes the row, with *draft's size, and
 * the map of its base (-ESTALE: it was erased meanwhile). From the first on, and until version_draft_release (by any
 * thread, between operations or in one), the node counts as one that has a draft.
 */
int version_draft_reserve(Meta *m, uint64_t node, uint64_t base_version, enum zone zone, struct version *ret_version);
int version_draft_put(Meta *m, const struct version *draft);
void version_draft_release(Meta *m, uint64_t node);

/*
 * The references of one page, as many as are stored: *ret_count <= 256, the rest are holes; 0: the page is a hole.
 * Works for drafts and sealed versions. -ENOENT no such version is not told apart from a hole (a look-up less).
 */
int version_map_get(
        Meta *m, uint64_t version, uint64_t page, struct block_ref ret_refs[static MAP_PAGE_REFS], size_t *ret_count);

/* Sets one page of a draft, count <= 256; copies it first when it is shared. Holes at the end are cut; a page of holes
 * alone is no row. -EPERM when the version is no draft, -EINVAL for count or page out of bounds. */
int version_map_put(Meta *m, uint64_t draft, uint64_t page, const struct block_ref *refs, size_t count);

/* Gets the references of each page that is put from now on, in the operation that puts it. NULL: nobody. */
typedef void map_put_fn(void *arg, const struct block_ref *refs, size_t count);
void version_watch_map(Meta *m, map_put_fn *put, void *arg);

/* Lets a page of a draft be the very page `from_page` of version `from` (a draft or sealed, of the same zone: -EXDEV;
 * not erased: -ENOENT): a clone of 4 MiB in one row. A hole there becomes a hole here. */
int version_map_share(Meta *m, uint64_t from, uint64_t from_page, uint64_t draft, uint64_t page);

/* Drops all pages of the draft from `first_page` on. */
int version_truncate_map(Meta *m, uint64_t draft, uint64_t first_page);

/* The next page at or after `page` that is not a hole (SEEK_DATA); -ENXIO when there is none. */
int version_map_next(Meta *m, uint64_t version, uint64_t page, uint64_t *ret_page);

/* Of a draft: its size in bytes; that an fsync acknowledged it, so that recovery keeps it. -EPERM for what is sealed.
 */
int version_set_size(Meta *m, uint64_t draft, uint64_t size);
int version_mark_fsynced(Meta *m, uint64_t draft);

/*
 * Seals a draft: it gets its hash, the number after the node's last, the node's present mtime, mode, uid and gid, and
 * becomes the node's current version; the node's size becomes the version's. A version of ZONE_TRUSTED needs a verdict
 * that passed and the sha256 of its plaintext, which must be that verdict's output_sha256: -EPERM otherwise. Elsewhere
 * verdict may be 0 and sha256 NULL. -EPERM too when it is no draft, or when a version sealed for another zone would
 * become current in a node of Trusted. The caller gives the node a new ino when the daemon itself made the content.
 */
int version_seal(Meta *m, uint64_t draft, enum origin origin, uint64_t verdict, const uint8_t sha256[32],
        struct version *ret_version);

/* Times of a change that the node's row does not have yet. */
struct version_times {
	int64_t mtime, ctime; /* ns */
};

/* As version_seal, the node getting `times` (NULL: none) first: in one row's update instead of two. */
int version_seal_timed(Meta *m, uint64_t draft, enum origin origin, uint64_t verdict, const uint8_t sha256[32],
        const struct version_times *times, struct version *ret_version);

/* Forgets a draft, its map and the pages only it had; the node's current version and size stay what they were before
 * it. *ret_node_size (may be NULL): that size, which is put into the node. */
int version_drop(Meta *m, uint64_t draft, uint64_t *ret_node_size);

/* Sizes of all drafts that were dropped and versions that were erased since the database was opened: a hint that blocks
 * may have become nobody's. Any thread, without the lock. */
uint64_t version_let_go(const Meta *m);
/* Counts a draft that was dropped before it had rows. */
void version_let_go_more(Meta *m, uint64_t bytes);

int version_get(Meta *m, uint64_t id, struct version *ret_version);                          /* -ENOENT */
int version_by_number(Meta *m, uint64_t node, uint64_t number, struct version *ret_version); /* -ENOENT */
int version_draft_of(Meta *m, uint64_t node, struct version *ret_version);                   /* -ENOENT */
/* The version that was current when `commit` had ended: the last one sealed by then. -ENOENT */
int version_at(Meta *m, uint64_t node, uint64_t commit, struct version *ret_version);

typedef int (*version_fn)(void *arg, const struct version *version);
/* The sealed, withdrawn and erased versions of a node, oldest first. */
int version_list(Meta *m, uint64_t node, version_fn callback, void *arg);
/* All drafts of the vault: what a crash left. */
int version_drafts(Meta *m, version_fn callback, void *arg);
/* All versions of the vault, by id, after `after`. For fsck and GC. */
int version_list_all(Meta *m, uint64_t after, version_fn callback, void *arg);

/*
 * What the *name* showed over time, oldest first: editors and rsync put a new node in place of the old one, and the
 * person who asks for versions of a path means all of them. `ordinal` counts 1, 2, … and never changes for a version
 * once given, as nothing is taken out of the history of names. The parent is a directory of now or of the past.
 */
typedef int (*version_path_fn)(void *arg, uint64_t ordinal, const struct version *version);
int version_list_path(Meta *m, uint64_t parent, struct bytes name, version_path_fn callback, void *arg);

/* A sealed version is not to be shown any more. When it was its node's current one, `fallback` (a sealed version of the
 * same node, or 0: none) becomes current. -EPERM for drafts. */
int version_withdraw(Meta *m, uint64_t id, uint64_t fallback);

/* Takes away the map of a version that is not current (-EBUSY); the row stays, state VERSION_ERASED. Pages that no
 * other version has are removed. For lifecycle rules and a steward's audited erasure. */
int version_erase(Meta *m, uint64_t id);

/* Grows with each version that is erased, perhaps in an operation that is undone. Who finds it grown looks whether what
 * he has open still is. Any thread, without the lock. */
uint64_t version_erasures(const Meta *m);

/* Grows with each map page whose blocks were moved to other segments. Any thread, without the lock. */
uint64_t version_map_moves(const Meta *m);

/* Whether any version of the node was erased. */
int version_any_erased(Meta *m, uint64_t node, bool *ret_any);

/* Whether the node has a draft, also one without rows. */
int version_has_draft(Meta *m, uint64_t node, bool *ret_has);

/* Computes the hash of a sealed version from its pages anew. -EBADMSG with words when a page's references do not match
 * the page's hash, or the pages the version's; -EUCLEAN when rows are missing or malformed. */
int version_verify_hash(Meta *m, uint64_t id);

/*
 * The segments that the map of a version leads to, a draft's too, from *page on and of `most` pages at most that are no
 * holes; one may be told several times. 0: *page is where to go on; -ENXIO: there is no more. A result of `each` other
 * than 0 ends it and is returned.
 */
typedef int (*version_segment_fn)(void *arg, uint32_t segment);
int version_some_segments(Meta *m, uint64_t version, uint64_t *page, size_t most, version_segment_fn each, void *arg);

/* All map pages of the vault by id, after `after`: for fsck and for GC, which marks in full. hash_ok: the references
 * match the hash kept with them. `owner`: the version that made it, 0 when that was shared from a draft. */
typedef int (*map_page_fn)(
        void *arg, uint64_t page_id, uint64_t owner, const struct block_ref *refs, size_t count, bool hash_ok);
int map_page_list(Meta *m, uint64_t after, map_page_fn callback, void *arg);

/* The id of the last of them made so far; 0: there is none. */
int map_page_last(Meta *m, uint64_t *ret_page_id);

/* The map of one version in order of pages. */
typedef int (*map_fn)(void *arg, uint64_t page, uint64_t page_id);
int map_list(Meta *m, uint64_t version, map_fn callback, void *arg);

/* A version that shows the map page (the first, if several do), and where; and how many pages all the sealed versions
 * together have that show it (told up to a few times MAP_HASHES_TOLD). -ENOENT: none does. */
#define MAP_HASHES_TOLD 4096
struct map_owner {
	uint64_t node, version, page;
	uint64_t hashes;
};
int version_map_owner(Meta *m, uint64_t page_id, struct map_owner *ret_owner);

/* The next version after `after`, by id, that shows the map page; erased ones are left out. -ENOENT: none does. */
int version_map_next_user(Meta *m, uint64_t page_id, uint64_t after, uint64_t *ret_version);

/*
 * Lets `forward` replace references of a page by others that lead to the same bytes (true: it did), whoever shows it,
 * and computes the page's hash and those of all sealed versions that show it anew, which takes the time of
 * map_owner.hashes hashes. A page that is gone is none to change.
 */
typedef bool map_forward_fn(void *arg, struct block_ref *ref);
int version_map_forward(Meta *m, uint64_t page_id, map_forward_fn *forward, void *arg, bool *ret_changed);
