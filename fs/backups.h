/*
 * backups: the mount's Backup (backend/backup/backup.h): opened with the mount, its notices told to the log, closed
 * with it; and how its targets stand, as JSON.
 *
 *     backups_open ─ … the mount … ─ backups_close: waits a few seconds for what is committed, never for a dead server
 *                      │
 *                      └─ a notice of a thread ─► log: fails, works again, a removal was refused (enum backup_notice)
 */
#pragma once

#include "backend/backup/backup.h"
#include "backend/store.h"
#include "crypto/base/cleanup.h"

#include <jansson.h>

/* So long the end of a mount waits for what is committed by then to be shipped. */
#define BACKUPS_CLOSE_MS 4000

typedef struct Backups Backups;

/* The store must outlive it. Errors of backup_open. */
int backups_open(Store *store, Backups **ret_backups);
/* Accepts NULL. */
void backups_close(Backups *backups);
DEFINE_CLEANUP(Backups, backups_close);

/* Belongs to it. */
Backup *backups_backup(const Backups *backups);

/* All targets as they stand, allocated (NULL: there are none); the caller frees. `backup` may be NULL. -ENOMEM. */
int backups_status(Backup *backup, struct backup_status **ret_list, size_t *ret_count);

/* "starting", "idle", "shipping", "retrying", "failed", "paused". */
const char *backups_state_word(enum backup_state state);

/*
 * One target. `tells_paths`: with the prefix, which is a path of the vault (else null when there is one).
 *
 * Until the place was listed since the mount "lag_seconds", "pending", "failed", "pending_bytes" and "lag_bytes" are
 * null.
 *
 *     {"url", "state", "pending", "failed", "lag_seconds", "pending_bytes", "lag_bytes", "commit", "generation",
 *      "generations", "shipped" (RFC 3339 or null), "retry" (the same), "trouble", "endpoint", "zones": […], "prefix",
 *      "lock_days", "shipped_bytes", "shipped_objects", "stored_bytes", "retries", "refused", "lost_segments",
 *      "last_verified" (RFC 3339 or null), "last_findings" (or null), "has_credentials", "pass_trouble"}
 */
json_t *backups_target_json(const struct backup_status *status, bool tells_paths);

/* The names of a rule's zones. */
json_t *backups_zones_json(uint32_t zones);

/*
 * The worst of all targets, for `status`: null when there are none. Numbers are null while one of them is not known.
 *
 *     {"targets": COUNT, "state", "pending", "failed", "lag_seconds", "lag_bytes"}
 */
json_t *backups_summary_json(const struct backup_status *list, size_t count);
