/* pack_internal: what pack.c (reading, checking) and packwrite.c share. */
#pragma once

#include "backend/pack.h"

struct pack_entry {
	struct pack_head head;
	uint8_t head_tag[META_TAG_BYTES]; /* ties the list to this very head */
};

struct Packs {
	VaultIo *io;
	const struct meta_keys *keys;
	bool read_only;
	Reserve *reserve;
	struct pack_entry *entries; /* from the last base on, rising */
	size_t count;
	uint64_t bytes_since_base; /* of the packs after it */
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
