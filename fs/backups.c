#include "fs/backups.h"

#include "backend/zone.h"
#include "crypto/base/fault.h"
#include "crypto/base/utc.h"
#include "fs/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_NS 1e9

struct Backups {
	Backup *backup;
};

/* ---- notices ---- */

/* Words name objects of a bucket, which tell nothing of files. */
static void tell(void *arg, enum backup_notice kind, const struct backup_status *status, const char *words) {
	static const enum log_message messages[] = {[BACKUP_NOTICE_FAILS] = MESSAGE_BACKUP_FAILS,
	        [BACKUP_NOTICE_WORKS] = MESSAGE_BACKUP_WORKS,
	        [BACKUP_NOTICE_REFUSED] = MESSAGE_BACKUP_REFUSED,
	        [BACKUP_NOTICE_PASS_FAILED] = MESSAGE_BACKUP_FAILS,
	        [BACKUP_NOTICE_PASS_WORKS] = MESSAGE_BACKUP_WORKS,
	        [BACKUP_NOTICE_GONE] = MESSAGE_BACKUP_FAILS,
	        [BACKUP_NOTICE_LOST] = MESSAGE_BACKUP_FAILS};
	(void)arg;
	log_message(messages[kind], "the backup to %s: %s", status->target.url, words);
}

/* ---- life ---- */

int backups_open(Store *store, Backups **ret_backups) {
	Backups *backups = calloc(1, sizeof *backups);
	if (!backups)
		return fault(ENOMEM, "starting backups: out of memory");
	const struct backup_options options = {.notice = tell};
	int rc = backup_open(store, &options, &backups->backup);
	if (rc < 0) {
		backups_close(backups);
		return rc;
	}
	*ret_backups = backups;
	return 0;
}

void backups_close(Backups *backups) {
	if (!backups)
		return;
	backup_close(backups->backup, BACKUPS_CLOSE_MS);
	free(backups);
}

Backup *backups_backup(const Backups *backups) {
	return backups->backup;
}

int backups_status(Backup *backup, struct backup_status **ret_list, size_t *ret_count) {
	*ret_list = NULL;
	*ret_count = 0;
	size_t room = backup ? backup_status(backup, NULL, 0) : 0;
	if (room == 0)
		return 0;
	_cleanup_(freep) struct backup_status *list = calloc(room, sizeof *list);
	if (!list)
		return fault(ENOMEM, "looking at backups: out of memory");
	size_t count = backup_status(backup, list, room);
	*ret_count = count < room ? count : room;
	*ret_list = steal_pointer(&list);
	return 0;
}

/* ---- JSON ---- */

const char *backups_state_word(enum backup_state state) {
	static const char *const words[] = {"starting", "idle", "shipping", "retrying", "failed", "paused"};
	return state < sizeof words / sizeof words[0] ? words[state] : "?";
}

json_t *backups_zones_json(uint32_t zones) {
	json_t *list = json_array();
	for (enum zone zone = ZONE_LANDING; zone <= ZONE_TRUSTED; zone++)
		if (zones == 0 || zones & 1u << zone)
			json_array_append_new(list, json_string(zone_name(zone)));
	return list;
}

static json_t *time_json(int64_t time_ns) {
	char text[UTC_TEXT_BYTES];
	return time_ns ? json_string(utc_stamp(time_ns, text)) : json_null();
}

static json_t *known_json(bool is_known, uint64_t number) {
	return is_known ? json_integer((json_int_t)number) : json_null();
}

static json_t *lag_json(bool is_known, int64_t lag_ns) {
	return is_known ? json_real((double)lag_ns / SECOND_NS) : json_null();
}

json_t *backups_target_json(const struct backup_status *status, bool tells_paths) {
	const struct backup_target *target = &status->target;
	bool is_known = status->is_known;
	json_t *item = json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "url", target->url, "state",
	        backups_state_word(status->state), "pending", known_json(is_known, status->pending_versions), "failed",
	        known_json(is_known, status->failed_versions), "lag_seconds", lag_json(is_known, status->lag_ns),
	        "pending_bytes", known_json(is_known, status->pending_bytes), "lag_bytes",
	        known_json(is_known, status->pending_bytes));
	_cleanup_(json_decrefp) json_t *last = json_pack("{s:I, s:o, s:o, s:b, s:s}", "lost_segments",
	        (json_int_t)status->lost_segments, "last_verified", time_json(status->verified_ns), "last_findings",
	        known_json(status->verified_ns > 0, status->verify_findings), "has_credentials",
	        (int)status->has_credentials, "pass_trouble", status->pass_trouble);
	_cleanup_(json_decrefp) json_t *rest =
	        json_pack("{s:I, s:I, s:I, s:o, s:o, s:s, s:s, s:o, s:o, s:i, s:I, s:I, s:I, s:I, s:I}", "commit",
	                (json_int_t)status->commit, "generation", (json_int_t)status->generation, "generations",
	                (json_int_t)status->generations, "shipped", time_json(status->shipped_ns), "retry",
	                time_json(status->retry_ns), "trouble", status->trouble, "endpoint", target->endpoint, "zones",
	                backups_zones_json(target->zones), "prefix",
	                *target->prefix && !tells_paths ? json_null() : json_string(target->prefix), "lock_days",
	                (int)target->lock_days, "shipped_bytes", (json_int_t)status->shipped_bytes, "shipped_objects",
	                (json_int_t)status->shipped_objects, "stored_bytes", (json_int_t)status->stored_bytes,
	                "retries", (json_int_t)status->retries, "refused", (json_int_t)status->refused);
	if (!item || !rest || !last || json_object_update(item, rest) || json_object_update(item, last)) {
		json_decref(item);
		return NULL;
	}
	return item;
}

/* How bad it is, for the worst of several. */
static int rank(enum backup_state state) {
	static const int ranks[] = {[BACKUP_IDLE] = 0,
	        [BACKUP_SHIPPING] = 1,
	        [BACKUP_STARTING] = 2,
	        [BACKUP_RETRYING] = 3,
	        [BACKUP_PAUSED] = 4,
	        [BACKUP_FAILED] = 5};
	return ranks[state];
}

static uint64_t larger(uint64_t a, uint64_t b) {
	return a > b ? a : b;
}

json_t *backups_summary_json(const struct backup_status *list, size_t count) {
	enum backup_state state = BACKUP_IDLE;
	uint64_t pending = 0, failed = 0, bytes = 0;
	int64_t lag_ns = 0;
	bool is_known = true;
	for (size_t i = 0; i < count; i++) {
		state = rank(list[i].state) > rank(state) ? list[i].state : state;
		pending = larger(pending, list[i].pending_versions);
		failed = larger(failed, list[i].failed_versions);
		bytes = larger(bytes, list[i].pending_bytes);
		lag_ns = list[i].lag_ns > lag_ns ? list[i].lag_ns : lag_ns;
		is_known = is_known && list[i].is_known;
	}
	if (count == 0)
		return json_null();
	return json_pack("{s:I, s:s, s:o, s:o, s:o, s:o}", "targets", (json_int_t)count, "state",
	        backups_state_word(state), "pending", known_json(is_known, pending), "failed",
	        known_json(is_known, failed), "lag_seconds", lag_json(is_known, lag_ns), "lag_bytes",
	        known_json(is_known, bytes));
}
