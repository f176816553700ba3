/*
 * recover_fixture: a vault with two generations of its backup on a shelf, and what is recovered of them.
 */
#pragma once

#include "backend/backup/recover.h"
#include "backend/fsck.h"
#include "tests/backend/shelf.h"
#include "tests/backend/test_vault.h"

#define RECOVER_BLOCKS 24

struct recover_world {
	struct test_vault *v;
	Shelf *shelf;
	char target[72], state[96];
	struct objects_place place;
	struct recover_options options;
	struct recover_summary sum;
	char notices[4096];
};

/* cmocka set-up and tear-down: *state is a struct recover_world; two generations: of `a` as 'x', and of `a` as 'y' with
 * `b`. */
int recover_setup(void **state);
int recover_teardown(void **state);

/* Files of the vault that is backed up, or of a recovered one: blocks of that mark. */
void recover_write(struct test_vault *v, const char *name, uint8_t mark);
void recover_rewrite(struct test_vault *v, const char *name, uint8_t mark);

/* Recovers the vault into `target`, as `options` say. */
int recover_as(struct recover_world *w, const char *passphrase);
int recover_now(struct recover_world *w);

/* The recovered vault, open: segments come when they are wanted. */
struct test_vault recover_open(struct recover_world *w);
int recover_read(struct test_vault *v, const char *name, uint8_t *ret_first);
void recover_expect_file(struct test_vault *v, const char *name, uint8_t mark);
void recover_expect_record(struct recover_world *w, struct test_vault *v, const char *event, const char *detail);

/* fsck finds nothing; a finding into `notices`; whether the file is there. */
void recover_expect_sound(struct recover_world *w);
int recover_tell(void *arg, const struct fsck_finding *finding);
bool recover_has(struct recover_world *w, const char *name);

struct recover_generations {
	struct recover_generation list[8];
	size_t count;
};
int recover_take_generation(void *arg, const struct recover_generation *generation);
