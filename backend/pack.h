/*
 * pack: the checkpoint packs VAULT/meta/N: what each checkpoint changed in the database, kept so that old pages put
 * back are noticed, damaged pages are repaired, and replication has something to ship. Internal to metadb.
 *
 *     0      record {head}                      512 bytes
 *     512    records {1,024 × page number, tag}  as many as needed, the last one shorter
 *     …      sealed pages, in the order of the list, as they stand in meta.db
 *
 * The file's size follows from the head and nothing else is in it. A pack's number is in the associated data of all its
 * records, so packs cannot change places. The head carries the number and root of the pack before.
 *
 * A *base* pack has all pages. When the packs since the last base are larger than the database (and than 4 MiB), the
 * next one is a base, and what is older is removed once it is durable: {base, later packs} always give the whole
 * database, and the packs never take more than about twice its size. When one of them is damaged the next is a base
 * too.
 */
#pragma once

#include "backend/anchor.h"
#include "backend/pagetags.h"
#include "backend/reserve.h"
#include "backend/vault_io.h"
#include "backend/walchain.h"

#include <stdbool.h>
#include <stdint.h>

#define PACK_DIRECTORY "meta"
#define PACK_HEAD_BYTES 512
#define PACK_LIST_ENTRIES 1024
#define PACK_ENTRY_BYTES (4 + META_TAG_BYTES)
#define PACK_BASE_MINIMUM (UINT64_C(4) << 20)

struct pack_head {
	uint32_t version;  /* of the key: head and list are under it */
	uint64_t sequence; /* from the name; what the head says must agree */
	bool is_base;
	uint32_t listed; /* pages in this pack */
	uint32_t pages;  /* pages in the database */
	uint8_t root[META_HASH_BYTES];
	uint64_t previous; /* sequence of the pack before, 0 for the first */
	uint8_t previous_root[META_HASH_BYTES];
	struct wal_position covered;
};

typedef struct Packs Packs;

/* `place` is the page, from 1, or -1. A return other than 0 ends what calls it, and is returned. */
typedef int pack_finding_fn(void *user, const char *file, int64_t place, const char *words);

/*
 * Reads the packs from the last base on, checks that they follow one another, fills in `tags` and checks the root. Of
 * damaged and missing packs it makes do with what is left, as far as the root vouches for it; `database` (NULL: it is
 * missing) then gives the tags that they had. `anchor` says which pack is the newest; without one (NULL) its head must
 * be sound. -ENOENT if there is no pack and no anchor; -EBADMSG when nothing gives the root. If not read-only, what an
 * interrupted checkpoint left is removed.
 */
int packs_open(VaultIo *io, const struct meta_keys *keys, bool read_only, const struct anchor *anchor,
        VaultFile *database, struct page_tags *tags, Packs **ret_packs);

/* Tells each damaged or missing pack that packs_open went around. */
int packs_each_damage(Packs *packs, pack_finding_fn *finding, void *user);

/* Removes, of these, the files whose number is above the newest pack's: they are none of ours. Tells each. */
int packs_remove_strays(Packs *packs, pack_finding_fn *removed, void *user);

/* For a database without packs: the next one is number 1, a base. Makes the directory. */
int packs_create(VaultIo *io, const struct meta_keys *keys, Packs **ret_packs);
void packs_close(Packs *packs);
DEFINE_CLEANUP(Packs, packs_close);

/* Where room is taken from when the disk is full; not owned, NULL for none. */
void packs_set_reserve(Packs *packs, Reserve *reserve);

/* The packs that are written from now on are under the newest of these. */
void packs_set_keys(Packs *packs, const struct meta_keys *keys);

/* The next pack is a base, if there is room for one. */
void packs_want_base(Packs *packs);
/* Whether that is still to come. */
bool packs_await_base(const Packs *packs);

/* The last pack's head; all zero before the first; only number, pages, root, covered if its file is lost. */
const struct pack_head *packs_last(const Packs *packs);

/* The number of the base that the last one rests on; 0 while what is damaged makes a new one necessary. */
uint64_t packs_base(const Packs *packs);

/* Whether what is damaged, or a wish, makes a new base necessary; and reads all packs through to know it of their
 * pages, too. */
bool packs_need_base(const Packs *packs);
int packs_look_for_damage(Packs *packs);

/*
 * Writes the next pack, durably: the dirty pages of `tags`, read from `file`, which must be synced; or all when a base
 * is due. Cleans `tags`. After an error the packs are as before.
 */
int packs_write(Packs *packs, VaultFile *file, struct page_tags *tags, const struct wal_position *covered);

/* Reads one pack through by itself, pages included. -EBADMSG: it is damaged, none of this vault's, or of another
 * history than the one whose root is `root`. */
int pack_check(VaultIo *io, const struct meta_keys *keys, uint64_t sequence, const uint8_t root[static META_HASH_BYTES],
        struct pack_head *ret_head);

/* The sealed page with this very tag, from the newest pack that has it. -ENOENT if none has. */
int packs_find_page(Packs *packs, uint32_t page, const uint8_t tag[static META_TAG_BYTES],
        uint8_t ret_sealed[static META_PAGE_BYTES]);

/* Calls `fn` for each page of each pack, oldest pack first; a later one replaces an earlier. -EBADMSG with words. */
int packs_each_page(Packs *packs, int (*fn)(void *user, uint32_t page, const uint8_t *sealed), void *user);

/* Reads all packs through, pages included, and tells what is wrong. */
int packs_verify(Packs *packs, pack_finding_fn *finding, void *user);

/* The bytes of a pack; used by the fuzz target too. Sealing and opening of head and list. A version of 0 in the head:
 * the newest. */
void pack_head_seal(
        const struct meta_keys *keys, const struct pack_head *head, uint8_t ret_block[static PACK_HEAD_BYTES]);
int pack_head_open(const struct meta_keys *keys, uint64_t sequence, const uint8_t block[static PACK_HEAD_BYTES],
        struct pack_head *ret_head);

/* Size of a whole pack file, of its list, and of a list of `entries`. */
uint64_t pack_file_bytes(const struct pack_head *head);
uint64_t pack_list_bytes(uint32_t listed);

/* How many chunks a list of `listed` pages is cut into. */
static inline uint32_t pack_list_chunks(uint32_t listed) {
	return (uint32_t)(((uint64_t)listed + PACK_LIST_ENTRIES - 1) / PACK_LIST_ENTRIES);
}
