/*
 * meta_fixture: a Meta on an SQLite database in memory (or in a file, for what must survive a reopening), with a clock
 * that the test moves.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <sqlite3.h>

#include "backend/meta.h"
#include "backend/record.h"
#include "backend/tree.h"
#include "backend/version.h"

struct fixture {
	sqlite3 *db;
	Meta *m;
	int64_t now; /* each reading adds a microsecond */
};

/* For cmocka's set-up and tear-down: *state is a struct fixture. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* The clock to give to meta_open_handle. */
struct meta_clock fixture_clock(struct fixture *f);

/* Closes the Meta without a commit and opens it again on the same database. */
void fixture_reopen(struct fixture *f);

/* begin, nothing, commit. */
void fixture_commit(struct fixture *f);

struct bytes text(const char *text);

/* Makes a node below `parent` as an operation of its own; mode with its type. */
struct node make(struct fixture *f, uint64_t parent, const char *name, uint32_t mode);

/* Gives the file a version of `size` bytes whose map has one page with a reference made of `mark`; returns it. */
struct version seal_version(struct fixture *f, uint64_t node, enum zone zone, uint64_t size, uint32_t mark);

/* Fails the test unless all fields are equal. (Bytes between them are nobody's, so memcmp may tell either way.) */
void assert_same_node(const struct node *one, const struct node *other);
void assert_same_version(const struct version *one, const struct version *other);

struct block_ref ref_of(uint32_t mark);

/* A verdict with that outcome for output bytes of that digest; returns its id. */
uint64_t make_verdict(struct fixture *f, enum verdict_outcome outcome, const uint8_t output[static 32]);

/* Runs SQL behind the Meta's back, outside of its transaction (commit first): SQLite's result code. */
int raw_sql(struct fixture *f, const char *sql);

/* The number in the first column of the first row of what the SQL asks for; there must be one. */
uint64_t sql_value_of(struct fixture *f, const char *sql);

/* Puts the records that stand in packs as rows into `table`, which has the columns of `audit`. Commit first. */
void unpack_audit(struct fixture *f, const char *table);

/* Makes the vault one of schema version 2, or 1, as it was then, and opens it again: 2 has no map that rests on
 * another; in 1 all records are rows, and the index of the log is another. Commit first. */
void make_version_2(struct fixture *f);
void make_version_1(struct fixture *f);

/* A small generator, so that a seed is all that a run depends on. */
uint64_t random_next(uint64_t *state);
uint64_t random_below(uint64_t *state, uint64_t bound);
