/*
 * gc_fixture: a vault whose collector takes its steps when the test says so, and files that lie in segments of their
 * own.
 */
#pragma once

#include "backend/gc.h"
#include "tests/backend/test_vault.h"

/* cmocka set-up: *state is a struct test_vault without the collector's thread and with a grace time of a millisecond;
 * tear-down is test_vault_teardown. */
int gc_fixture_setup(void **state);

/* Commits, although there may be nothing to commit. */
void gc_commit(struct test_vault *v);

/* Closes the segments that are written to and commits that, so that the next walk looks at them. */
void gc_close_segments(struct test_vault *v);

/* One whole walk, then a commit and more than the grace time. What it condemned the next one may remove. */
void gc_walk_and_wait(struct test_vault *v);

struct gc_totals gc_totals_of(struct test_vault *v);

/* `blocks` blocks from `first` on, each filled with `mark` and its number. */
void gc_put_blocks(Content *c, uint64_t first, uint64_t blocks, uint8_t mark);
void gc_expect_blocks(Content *c, uint64_t first, uint64_t blocks, uint8_t mark);

Content *gc_open_content(struct test_vault *v, uint64_t node);
void gc_seal(Content *c);

/* A sealed file of so many blocks, each filled with `mark` and its number; its node. */
#define GC_FILE_BLOCKS 4u
uint64_t gc_file(struct test_vault *v, uint64_t parent, const char *name, uint8_t mark);
void gc_expect_file(struct test_vault *v, uint64_t node, uint8_t mark);
/* What reading its first block gives. */
int gc_try_file(struct test_vault *v, uint64_t node);

/* Rows of segments, and files below segments/; the bytes of those files. */
size_t gc_rows(struct test_vault *v);
size_t gc_files(struct test_vault *v, uint64_t *ret_bytes);

/* fsck of the vault, which must not be open, finds nothing. */
void gc_expect_sound(struct test_vault *v);
