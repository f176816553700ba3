/*
 * origin: the file VAULT/origin: where a vault was recovered from, as long as something of it may still be there only.
 *
 *     {"endpoint": "http://127.0.0.1:9000", "generation": 12, "is_recorded": true, "lacking": [3, 7],
 *      "prefix_mark": 0, "region": "", "time_ns": 176…, "url": "s3://bucket/prefix", "zones": 14}
 *
 * It has no credentials and no seal: what is fetched from there authenticates by the vault's keys, wherever it came
 * from. It is written before anything else of a recovery, so a vault's directory that has it and no vault.json is one
 * whose recovery did not end.
 */
#pragma once

#include "backend/vault_io.h"

#define ORIGIN_NAME "origin"
#define ORIGIN_BYTES_MAX ((size_t)16 << 10)
#define ORIGIN_TEXT_BYTES 512
#define ORIGIN_LACKING_MAX 512

struct vault_origin {
	char url[ORIGIN_TEXT_BYTES];      /* as objects_check_url takes it */
	char endpoint[ORIGIN_TEXT_BYTES]; /* "": none was given */
	char region[64];                  /* "" */
	uint64_t generation;              /* number of the superblock; 0: it was not chosen yet */
	int64_t time_ns;                  /* of its commit */
	bool is_recorded;                 /* the audit log says that the vault was recovered */
	uint32_t zones;                   /* bit of 1 << zone: those that were backed up; 0: not known */
	uint32_t prefix_mark;             /* layout_prefix_mark of the rule; 0: it had none */
	/* Numbers of segments of which the place had not all when it was last listed; the first of them. */
	uint32_t lacking[ORIGIN_LACKING_MAX];
	size_t lacking_count;
};

/* Reads its bytes. -EINVAL with words: they are none of origin_write. */
int origin_parse(struct bytes json, struct vault_origin *ret);

/* Whether it is there: 1, 0. */
int origin_is_there(VaultIo *io);

/* -ENOENT; -EINVAL; errors of reading. */
int origin_read(VaultIo *io, struct vault_origin *ret);

/* In one step, durable. -EMSGSIZE: a text does not fit; -ENOMEM; errors of writing. */
int origin_write(VaultIo *io, const struct vault_origin *origin);
