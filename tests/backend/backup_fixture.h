/*
 * backup_fixture: a vault with a backup in a directory beside it, whose rounds and pauses are short; and a place that
 * fails when the test says so.
 */
#pragma once

#include "backend/backup/backup.h"
#include "backend/backup/layout.h"
#include "tests/backend/test_vault.h"

#include <stdatomic.h>

/* What the place does instead of what it should. */
struct failing {
	_Atomic int every;       /* each so many requests one fails; 0: none */
	_Atomic int rc;          /* with that, negative */
	_Atomic int lose_every;  /* each so many are carried out, and then said to have failed */
	_Atomic int after;       /* all fail once so many were carried out; negative: never */
	_Atomic bool fails_puts; /* all that puts fails, with rc */
	_Atomic bool hangs;      /* requests wait until objects_stop */
	_Atomic unsigned count, done, puts;
};

struct backup_world {
	struct test_vault *v;
	Backup *backup;
	struct backup_options options;
	char place[96], url[128];
	struct failing failing;
};

/* cmocka: *state is a struct backup_world, without a target yet. */
int backup_world_setup(void **state);
int backup_world_teardown(void **state);
#define backup_world_test(f) cmocka_unit_test_setup_teardown(f, backup_world_setup, backup_world_teardown)

/* Of options.open: the place behind `arg`'s struct failing. */
int failing_open(const struct objects_place *place, Objects **ret, void *arg);

/* Closes the backup and opens it again, over the same store. */
void backup_world_reopen(struct backup_world *w);

/* backup_add of the directory as the rule says (url is filled in). */
int backup_world_add(struct backup_world *w, struct backup_target *rule);

/* A file with so many bytes of a pattern in Landing, sealed and committed; its node. */
uint64_t backup_world_file(struct backup_world *w, const char *name, size_t size, uint8_t mark);

/* All is there, within 20 s. */
void backup_world_sync(struct backup_world *w);

/* Fails the test unless each superblock there opens, and has all that it needs: header, packs and, as the database of
 * the open store says for the newest one, all extents. Returns how many there are. */
size_t backup_world_check(struct backup_world *w);

/* The status of the only target. */
struct backup_status *backup_world_status(struct backup_world *w);

/* backup_of_version of one in that zone that was sealed in commit `sealed`, by that path. */
enum backup_replication backup_world_replication(
        struct backup_world *w, enum zone zone, const char *path, uint64_t sealed);
