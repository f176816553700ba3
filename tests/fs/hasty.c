/*
 * The program, for which what a backup needs no more may go after seconds instead of an hour or a day: as many as stand
 * in the environment variable ASSAYFS_TEST_GRACE_S. How many generations are kept is as ever. The linker puts this in
 * the place of its own (--wrap), in this one program, which is never installed.
 */
#include "backend/backup/backup.h"
#include "backend/objects/objects.h"

#include <stdlib.h>
#include <time.h>

int __real_backup_open(Store *store, const struct backup_options *options, Backup **ret_backup);
int __wrap_backup_open(Store *store, const struct backup_options *options, Backup **ret_backup);
int __real_objects_tidy(Objects *objects, int64_t before_s);
int __wrap_objects_tidy(Objects *objects, int64_t before_s);

/* 0: as ever. */
static unsigned grace_s(void) {
	const char *text = getenv("ASSAYFS_TEST_GRACE_S");
	return text ? (unsigned)strtoul(text, NULL, 10) : 0;
}

int __wrap_backup_open(Store *store, const struct backup_options *options, Backup **ret_backup) {
	struct backup_options hasty = *options;
	hasty.grace_s = hasty.orphan_s = grace_s();
	return __real_backup_open(store, &hasty, ret_backup);
}

int __wrap_objects_tidy(Objects *objects, int64_t before_s) {
	unsigned grace = grace_s();
	return __real_objects_tidy(objects, grace ? (int64_t)time(NULL) - (int64_t)grace : before_s);
}
