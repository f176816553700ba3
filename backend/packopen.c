/*
 * Opening the checkpoint packs: which page tags are the right ones, also when some packs are damaged or gone.
 *
 *     anchor ──► number and root of the newest pack ──► its head, if it is sound
 *                                │
 *     packs, newest first: each names the one before, back to a base ──► the tags ──► their root must be that root
 *                                │ if one of them can't be read
 *     meta.db: each page that no pack behind the gap lists, as it authenticates ──► the tags ──► their root must be …
 *
 * Only the root decides. It stands in the newest pack's head and in both anchors; to have older pages taken for good,
 * all three would have to be put back together with the database: that is an older copy of the metadata as a whole.
 */
#include "backend/pack_internal.h"

#include "crypto/base/fault.h"

#include <inttypes.h>
#include <stdio.h>

static int note_damage(Packs *packs, uint64_t sequence) {
	struct pack_damage *damage = reallocarray(packs->damage, packs->damaged + 1, sizeof *damage);
	if (!damage)
		return fault(ENOMEM, "no memory for what is damaged");
	packs->damage = damage;
	damage[packs->damaged].sequence = sequence;
	(void)snprintf(damage[packs->damaged++].words, PACK_DAMAGE_BYTES, "%s", fault_message());
	return 0;
}

/* 0 with the entry; 1 when the pack can't be used, which is noted. Errors of the system are errors. */
static int try_entry(Packs *packs, uint64_t sequence, struct pack_entry *ret_entry) {
	_cleanup_(vault_file_closep) VaultFile *file = NULL;
	int rc = pack_open_file(packs, sequence, &file);
	if (rc == 0)
		rc = pack_read_entry(packs, sequence, file, ret_entry);
	if (rc != -EBADMSG)
		return rc;
	rc = note_damage(packs, sequence);
	return rc < 0 ? rc : 1;
}

/* The newest pack whose head is sound; *ret_found false if there is none. Those above it are noted. */
static int find_newest(
        Packs *packs, const struct pack_listing *listing, struct pack_entry *ret_entry, bool *ret_found) {
	*ret_found = false;
	for (size_t i = listing->count; i-- > 0;) {
		int rc = try_entry(packs, listing->numbers[i], ret_entry);
		if (rc <= 0) {
			*ret_found = rc == 0;
			return rc;
		}
	}
	return 0;
}

/* A pack newer than the anchors is what a checkpoint left that was interrupted before it wrote them, and only that. */
static int check_newer(const struct pack_head *head, const struct anchor *anchor) {
	const struct wal_position *covered = &head->covered;
	if (head->previous == anchor->pack_sequence &&
	        memcmp(head->previous_root, anchor->root, META_HASH_BYTES) == 0 && anchor->log_open &&
	        memcmp(covered->generation, anchor->log.generation, sizeof covered->generation) == 0 &&
	        covered->frames >= anchor->log.frames)
		return 0;
	return fault(EBADMSG,
	        "%s is newer than the anchors, which know of %s: an old copy of them was put back, or the pack is "
	        "one of another history",
	        pack_name(head->sequence, "").text, pack_name(anchor->pack_sequence, "").text);
}

/* Sets packs->last from the newest sound head and the anchor. */
static int choose_last(Packs *packs, const struct pack_listing *listing, const struct anchor *anchor) {
	struct pack_entry entry;
	bool found = false;
	int rc = find_newest(packs, listing, &entry, &found);
	if (rc < 0)
		return rc;
	if (!anchor) {
		if (!found || packs->damaged > 0)
			return fault(EBADMSG, "%s is damaged and nothing else tells what the newest pack was",
			        pack_name(packs->damaged ? packs->damage[0].sequence : 1, "").text);
		packs->last = entry.head;
		return 0;
	}
	if (found && entry.head.sequence > anchor->pack_sequence) {
		packs->last = entry.head;
		return check_newer(&entry.head, anchor);
	}
	if (found && entry.head.sequence == anchor->pack_sequence) {
		packs->last = entry.head;
		if (memcmp(entry.head.root, anchor->root, META_HASH_BYTES) == 0)
			return 0;
		(void)fault(EBADMSG, "%s is not the pack that the anchors know: one of another history was put there",
		        pack_name(entry.head.sequence, "").text);
		rc = note_damage(packs, entry.head.sequence);
		if (rc < 0)
			return rc;
	}
	packs->last = (struct pack_head){.sequence = anchor->pack_sequence, .pages = anchor->pages};
	memcpy(packs->last.root, anchor->root, META_HASH_BYTES);
	if (!anchor->log_open)
		packs->last.covered = anchor->log;
	return 0;
}

static bool is_noted(const Packs *packs, uint64_t sequence) {
	for (size_t i = 0; i < packs->damaged; i++)
		if (packs->damage[i].sequence == sequence)
			return true;
	return false;
}

static uint64_t next_below(const struct pack_listing *listing, uint64_t sequence) {
	uint64_t below = 0;
	for (size_t i = 0; i < listing->count && listing->numbers[i] < sequence; i++)
		below = listing->numbers[i];
	return below;
}

/* The chain being followed from the newest pack to a base. */
struct chain {
	uint64_t sequence;             /* the next to look at; 0: none is left */
	uint8_t root[META_HASH_BYTES]; /* that it must have, unless a gap came */
	size_t certain;                /* entries since the newest, before the first gap */
};

static int note_gap(Packs *packs, const struct pack_listing *listing, struct chain *chain, bool is_new) {
	if (!packs->is_broken)
		chain->certain = packs->count;
	packs->is_broken = true;
	int rc = is_new ? note_damage(packs, chain->sequence) : 0;
	chain->sequence = next_below(listing, chain->sequence);
	return rc;
}

/* One step down. Returns 1 at a base. */
static int follow(Packs *packs, const struct pack_listing *listing, struct chain *chain) {
	struct pack_entry entry;
	if (is_noted(packs, chain->sequence))
		return note_gap(packs, listing, chain, false);
	int rc = try_entry(packs, chain->sequence, &entry);
	if (rc != 0)
		return rc < 0 ? rc : note_gap(packs, listing, chain, false);
	const struct pack_head *head = &entry.head;
	if (!packs->is_broken && memcmp(head->root, chain->root, META_HASH_BYTES) != 0) {
		(void)fault(EBADMSG,
		        "%s is not the one that the next pack was made after: packs of two histories were mixed",
		        pack_name(head->sequence, "").text);
		return note_gap(packs, listing, chain, true);
	}
	if (!head->is_base && head->previous >= head->sequence)
		return fault(EBADMSG, "%s names no pack before it and is no base", pack_name(head->sequence, "").text);
	rc = packs_add(packs, &entry);
	if (rc < 0 || head->is_base)
		return rc < 0 ? rc : 1;
	memcpy(chain->root, head->previous_root, sizeof chain->root);
	chain->sequence = head->previous;
	return 0;
}

static void turn_around(Packs *packs) {
	for (size_t low = 0, high = packs->count; low + 1 < high; low++, high--) {
		struct pack_entry swap = packs->entries[low];
		packs->entries[low] = packs->entries[high - 1];
		packs->entries[high - 1] = swap;
	}
}

/* Fills in entries; *ret_certain: the first of them behind the last gap. */
static int read_chain(Packs *packs, const struct pack_listing *listing, size_t *ret_certain) {
	struct chain chain = {.sequence = packs->last.sequence};
	memcpy(chain.root, packs->last.root, sizeof chain.root);
	int rc = 0;
	while (rc == 0 && chain.sequence != 0)
		rc = follow(packs, listing, &chain);
	if (rc < 0)
		return rc;
	if (rc == 0 && !packs->is_broken) {
		packs->is_broken = true; /* it went down to no base */
		chain.certain = packs->count;
	}
	turn_around(packs);
	*ret_certain = packs->is_broken ? packs->count - chain.certain : 0;
	return 0;
}

static int apply_listed(void *user, uint32_t index, uint32_t page, const uint8_t *tag) {
	(void)index;
	struct page_tags *tags = user;
	if (page == 0 || page > tags->pages)
		return fault(EBADMSG, "a checkpoint pack lists page %" PRIu32 " of %" PRIu32, page, tags->pages);
	return page_tags_put(tags, page, tag);
}

/* Sets the tags of one pack on top of what the packs before it said. */
static int apply_pack(Packs *packs, size_t at, struct page_tags *tags) {
	const struct pack_entry *entry = &packs->entries[at];
	_cleanup_(vault_file_closep) VaultFile *file = NULL;
	int rc = pack_open_file(packs, entry->head.sequence, &file);
	if (rc == 0)
		rc = page_tags_resize(tags, entry->head.pages);
	if (rc == 0)
		rc = pack_each_listed(packs, entry, file, apply_listed, tags);
	return rc;
}

static int apply_all(Packs *packs, struct page_tags *tags, size_t *certain) {
	for (size_t at = 0; at < packs->count; at++) {
		int rc = apply_pack(packs, at, tags);
		if (rc == -EBADMSG) {
			packs->is_broken = true;
			if (*certain < at + 1)
				*certain = at + 1;
			rc = note_damage(packs, packs->entries[at].head.sequence);
		}
		if (rc < 0)
			return rc;
	}
	int rc = page_tags_resize(tags, packs->last.pages);
	page_tags_clean(tags);
	return rc;
}

/* Whether these tags are the newest pack's. */
static int check_root(const Packs *packs, const struct page_tags *tags) {
	uint8_t root[META_HASH_BYTES];
	int rc = page_tags_root(tags, root);
	if (rc < 0)
		return rc;
	return memcmp(root, packs->last.root, sizeof root) == 0 ? 1 : 0;
}

static int mark_certain(void *user, uint32_t index, uint32_t page, const uint8_t *tag) {
	(void)index;
	(void)tag;
	struct page_tags *tags = user;
	/* The dirty bits are not used while a database is opened. */
	return page > 0 && page <= tags->pages ? page_tags_put(tags, page, tag) : 0;
}

/* The page's own tag, if it authenticates; otherwise what the packs said stays. */
static int take_own_tag(Packs *packs, VaultFile *database, struct page_tags *tags, uint32_t page) {
	static const uint8_t none[META_PAGE_BYTES];
	uint8_t sealed[META_PAGE_BYTES], plain[META_PAGE_BYTES];
	size_t got = 0;
	int rc = vault_file_read_at(database, (uint64_t)(page - 1) * META_PAGE_BYTES, sealed, sizeof sealed, &got);
	if (rc < 0 || got < sizeof sealed)
		return rc;
	if (memcmp(sealed, none, sizeof none) != 0 && meta_page_open(packs->keys, page, sealed, plain, NULL) < 0)
		return 0;
	return page_tags_put(tags, page, sealed + META_PAGE_TAG_AT);
}

static int take_from_database(Packs *packs, VaultFile *database, struct page_tags *tags, size_t certain) {
	for (size_t at = certain; at < packs->count; at++) {
		const struct pack_entry *entry = &packs->entries[at];
		_cleanup_(vault_file_closep) VaultFile *file = NULL;
		int rc = pack_open_file(packs, entry->head.sequence, &file);
		if (rc == 0)
			rc = pack_each_listed(packs, entry, file, mark_certain, tags);
		if (rc < 0)
			return rc;
	}
	for (uint32_t page = 1; page <= tags->pages; page++) {
		int rc = page_tags_is_dirty(tags, page) ? 0 : take_own_tag(packs, database, tags, page);
		if (rc < 0)
			return rc;
	}
	page_tags_clean(tags);
	return 0;
}

static int build_tags(Packs *packs, VaultFile *database, struct page_tags *tags, size_t certain) {
	int rc = apply_all(packs, tags, &certain);
	if (rc == 0)
		rc = check_root(packs, tags);
	if (rc != 0)
		return rc < 0 ? rc : 0;
	if (packs->is_broken && database) {
		rc = take_from_database(packs, database, tags, certain);
		if (rc == 0)
			rc = check_root(packs, tags);
		if (rc != 0)
			return rc < 0 ? rc : 0;
	}
	if (packs->damaged == 0)
		return fault(EBADMSG, "the checkpoint packs up to %s do not give the root that it says",
		        pack_name(packs->last.sequence, "").text);
	return fault(EBADMSG,
	        "%s, and the database is not as checkpoint %" PRIu64
	        " left it: pages of it are damaged, or older ones were put back",
	        packs->damage[0].words, packs->last.sequence);
}

/* What stands below the base was to be removed when that became durable. What is damaged stays: it may be needed. */
static void remove_old(Packs *packs, const struct pack_listing *listing) {
	for (size_t i = 0; i < listing->count && !packs->is_broken; i++)
		if (listing->numbers[i] < packs->entries[0].head.sequence)
			(void)vault_io_unlink(packs->io, pack_name(listing->numbers[i], "").text);
	(void)vault_io_unlink(packs->io, pack_name(packs->last.sequence + 1, ".tmp").text);
	fault_clear();
}

static int open_listed(Packs *packs, const struct pack_listing *listing, const struct anchor *anchor,
        VaultFile *database, struct page_tags *tags) {
	size_t certain = 0;
	int rc = choose_last(packs, listing, anchor);
	if (rc == 0)
		rc = read_chain(packs, listing, &certain);
	if (rc == 0)
		rc = build_tags(packs, database, tags, certain);
	if (rc == 0 && !packs->read_only)
		remove_old(packs, listing);
	return rc;
}

int packs_open(VaultIo *io, const struct meta_keys *keys, bool read_only, const struct anchor *anchor,
        VaultFile *database, struct page_tags *tags, Packs **ret_packs) {
	_cleanup_(packs_closep) Packs *packs = NULL;
	struct pack_listing listing = {0};
	int rc = packs_new(io, keys, read_only, &packs);
	if (rc < 0)
		return rc;
	rc = packs_list(io, &listing);
	if (rc == -ENOENT && anchor)
		rc = 0;
	if (rc == -ENOENT || (rc == 0 && listing.count == 0 && !anchor))
		rc = fault(
		        ENOENT, "%s holds no metadata: no checkpoint pack in %s/", vault_io_path(io), PACK_DIRECTORY);
	if (rc == 0)
		rc = open_listed(packs, &listing, anchor, database, tags);
	free(listing.numbers);
	if (rc < 0)
		return rc;
	*ret_packs = steal_pointer(&packs);
	return 0;
}
