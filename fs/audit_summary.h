/*
 * audit_summary: who touched what, how often, what was refused, and at what unusual hours; from records in order, in
 * memory that does not grow with the log.
 *
 *      record ─► its user: counts, bytes, 24 hours of the day    of at most AUDIT_SUMMARY_USERS, the others in one
 *             ─► its paths                                       the most frequent: frequent.h
 *             ─► its user at each of its paths                   the same
 *             ─► user and path of a refusal, with the last one   the same
 *
 * An hour of the day is unusual for a user in whose records over at least 14 days and 100 records it has less than one
 * in a hundred; of whom less is known, an hour from 22:00 to 06:00. It is a hint of where to look, and says no more.
 * What the mount did by itself (records without a process) is counted by itself and has no unusual hours.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/audit.h"
#include "crypto/base/cleanup.h"

#define AUDIT_SUMMARY_USERS 4096
#define AUDIT_SUMMARY_PATHS 4096
#define AUDIT_SUMMARY_TOUCHES 8192
#define AUDIT_SUMMARY_REFUSALS 2048
#define AUDIT_SUMMARY_TOP_MOST 1000

/* From `from_s` (seconds since 1970) on, local time is so many seconds east of UTC. */
struct audit_summary_zone {
	int64_t from_s;
	int32_t offset_s;
};

typedef struct AuditSummary AuditSummary;

/* `zones` ascending, copied; none: UTC. NULL when memory is out. */
AuditSummary *audit_summary_new(const struct audit_summary_zone *zones, size_t zone_count);
void audit_summary_free(AuditSummary *summary);
DEFINE_CLEANUP(AuditSummary, audit_summary_free);

/* Counts a record (its line is not needed); later ones have later times. -ENOMEM. */
int audit_summary_add(AuditSummary *summary, const struct audit_entry *entry);

/*
 * What was found; at most `top` of users, paths, refusals, those with the most records first. Ends the counting. NULL
 * when memory is out. Times are ns since 1970, paths as control_wire.h has them; `over`: how many records fewer it may
 * be, where more different ones have come than are held.
 *
 *      {"records", "first_ns", "last_ns",
 *       "users": [{"uid", "itself", "records", "opens", "changes", "denials", "errors", "read_bytes", "written_bytes",
 *                  "first_ns", "last_ns", "hours": "known"|"assumed", "unusual": [{"hour", "records", "last_ns"}]}],
 *       "users_more", "users_more_records",
 *       "paths": [{"path", "records", "over"}], "paths_more", "paths_exact",
 *       "touches": [{"uid", "path", "records", "over", "changes", "last_ns"}], "touches_more", "touches_exact",
 *       "refusals": [{"uid", "path" (missing: none), "records", "over", "last_ns", "event", "reason"}],
 *       "refusals_more", "refusals_exact"}
 *
 * The mount adds "pruned" and "pruned_before" (a time), when records that were asked for are in archives only.
 */
json_t *audit_summary_json(AuditSummary *summary, size_t top);
