/*
 * expire: versions that a lifecycle rule lets go, with the words of S3's NoncurrentVersionExpiration.
 *
 *      what the rules say                     never, whatever they say
 *      ┌ noncurrent for `days`                ┌ what a name shows; drafts, and what one was begun on
 *      │   (since its successor was sealed,   │ what a version that Trusted shows came from, by its lineage
 *      │   or since its last name ended)      │ what is held in quarantine
 *      └ `keep` newer noncurrent ones of      │ what somebody has open
 *        the same name are there              └ staging, and what never had a name
 *
 *      a pass: ALL versions are looked at ─► an error anywhere: nothing is expired
 *                      │ slices of two milliseconds, each in an operation of its own
 *                      ▼
 *              those that may go ─► each is judged once more, and expired with its record, in one operation
 *
 * Expiring is version_erase: the row stays as a witness, the map goes, and the bytes go when the collector comes by
 * (gc.h): nothing must go at once, as with erase.h, and segments are not rewritten for it. What other versions share
 * stays theirs.
 *
 * Newer noncurrent versions are counted for the name: those of the same file, and those of the files that took its name
 * afterwards. A file that was given another name counts for that one. What can't be counted within some hundred rows
 * counts as not there, so that more is kept. A single version is expired in one operation, however large: its map has a
 * row for 4 MiB.
 */
#pragma once

#include "backend/audit.h"
#include "backend/meta.h"
#include "backend/tree.h"
#include "backend/version.h"
#include "backend/zone.h"

#include <stdbool.h>
#include <stdint.h>

struct expire_rule {
	const char *name;   /* stands in the records */
	enum zone zone;     /* Landing, Raw or Trusted */
	const char *prefix; /* of the path below the zone, as bytes; "": all */
	unsigned days;      /* at least 1 */
	unsigned keep;      /* newer noncurrent versions; at most EXPIRE_KEEP_MOST */
};
#define EXPIRE_KEEP_MOST 1000u

/* A version that goes. */
struct expire_found {
	uint64_t version, node, number;
	uint64_t size; /* of plaintext: what it frees is as much at most, as blocks may be shared */
	enum zone zone;
	int64_t since_ns; /* noncurrent since then */
	const struct expire_rule *rule;
	const char *path; /* with its zone; "": it is not known any more */
};

struct expire_sum {
	uint64_t looked;                             /* versions, alive */
	uint64_t versions[ZONE_STAGING + 1];         /* that go, by zone */
	uint64_t bytes[ZONE_STAGING + 1];            /* of plaintext */
	uint64_t kept_lineage, kept_held, kept_open; /* that would go by the rules alone */
	int64_t longest_ns;                          /* that one operation took */
	bool is_cut;                                 /* there are more: the next pass takes them */
};

struct expire_options {
	Meta *meta;
	const struct expire_rule *rules;
	size_t rule_count;
	int64_t now_ns;
	const struct actor *actor; /* of the records */
	bool is_dry;               /* nothing changes: `each` tells what would go */
	/* Whether somebody has the version of the node open. In an operation; may be NULL: nobody. */
	bool (*is_open)(void *arg, uint64_t node, uint64_t version);
	/* Told of each version that goes, in no operation: before anything does where is_dry, else once it was expired.
	 * May be NULL. An error ends the pass. */
	int (*each)(void *arg, const struct expire_found *found);
	/* After each slice, in no operation; an error ends the pass. May be NULL. */
	int (*rest)(void *arg, int64_t took_ns, uint64_t looked);
	void *arg;
};

/* At most so many versions go in one pass: memory has a bound. */
#define EXPIRE_AT_ONCE 262144u

/* One pass. An error leaves what was expired by then, which is nothing if it came while looking. Not between meta_begin
 * and meta_end. [measured: tests/backend/bench_expire.c] */
int expire_run(const struct expire_options *options, struct expire_sum *ret);
