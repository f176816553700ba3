/* pack_internal: what pack.c (reading, checking) and packwrite.c share. */
#pragma once

#include "backend/pack.h"

#define PACK_DAMAGE_BYTES 256

struct pack_entry {
	struct pack_head head;
	uint8_t head_tag[META_TAG_BYTES]; /* ties the list to this very head */
};

/* A pack that opening went around. */
struct pack_damage {
	uint64_t sequence;
	char words[PACK_DAMAGE_BYTES];
};

struct Packs {
	VaultIo *io;
	const struct meta_keys *keys;
	bool read_only;
	Reserve *reserve;
	struct pack_head last;      /* the newest, also when its file is lost and only the anchor knows of it */
	struct pack_entry *entries; /* from the last base on, rising; without those that are damaged */
	size_t count;
	uint64_t bytes_since_base; /* of the packs after it */
	struct pack_damage *damage;
	size_t damaged;
	bool wants_base;
	bool is_broken; /* {base, later packs} do not give the whole database: the next pack has to be a base */
};

struct pack_name {
	char text[40];
};

/* "meta/SEQUENCE" and the suffix. */
struct pack_name pack_name(uint64_t sequence, const char *suffix);

/* Where page `index` of the list stands in the file. */
uint64_t pack_page_offset(const struct pack_head *head, uint32_t index);

/* Seals and opens part `chunk` of the list: `entries` × {page, tag}. */
void pack_list_seal(const struct meta_keys *keys, const struct pack_entry *entry, uint32_t chunk, struct bytes plain,
        uint8_t *ret_record);

/* Appends to entries. */
int packs_add(Packs *packs, const struct pack_entry *entry);

typedef int pack_listed_fn(void *user, uint32_t index, uint32_t page, const uint8_t *tag);

/* Calls `listed` for each page of the pack, until it returns other than 0. */
int pack_each_listed(Packs *packs, const struct pack_entry *entry, VaultFile *file, pack_listed_fn *listed, void *user);

/* Opens the file of a pack; a missing one is -EBADMSG. Reads and opens its head. */
int pack_open_file(Packs *packs, uint64_t sequence, VaultFile **ret_file);
int pack_read_entry(Packs *packs, uint64_t sequence, VaultFile *file, struct pack_entry *ret_entry);

/* Whether the sealed page is the one with this tag. */
bool pack_page_is_good(const struct meta_keys *keys, uint32_t page, const uint8_t *sealed, const uint8_t *tag);

/* What the directory holds: numbers, rising; other names go to `stray`. Free `numbers`. */
struct pack_listing {
	uint64_t *numbers;
	size_t count;
	int (*stray)(void *user, const char *name);
	void *user;
};
int packs_list(VaultIo *io, struct pack_listing *listing);

/* With no pack known. */
int packs_new(VaultIo *io, const struct meta_keys *keys, bool read_only, Packs **ret_packs);
