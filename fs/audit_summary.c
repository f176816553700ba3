#include "fs/audit_summary.h"

#include "crypto/base/fault.h"
#include "fs/audit_kinds.h"
#include "fs/control_wire.h"
#include "fs/frequent.h"
#include "fs/unusual.h"
#include "fs/words.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SECOND INT64_C(1000000000)
#define REASON_BYTES 200
#define USER_SLOTS (2 * AUDIT_SUMMARY_USERS)

struct hour {
	uint64_t records;
	int64_t last_ns;
};

struct user {
	bool is_set, is_itself;
	uint32_t uid;
	uint64_t records, opens, changes, denials, errors, read, written;
	int64_t first_ns, last_ns;
	struct hour hours[UNUSUAL_HOURS];
};

/* The last refusal of a user at a path. */
struct refusal {
	int64_t last_ns;
	char event[AUDIT_EVENT_MAX + 1], reason[REASON_BYTES];
};

/* What a user did at a path. */
struct touch {
	int64_t last_ns;
	uint64_t changes;
};

/* A key: of that user and path, of the path's length. */
struct meeting {
	uint32_t uid;
	uint8_t has_path;
	char path[AUDIT_PATH_MAX + 1];
};
#define MEETING_BYTES(length) (offsetof(struct meeting, path) + (length))

struct AuditSummary {
	struct audit_summary_zone *zones;
	size_t zone_count, zone; /* the one that counts at present */
	uint64_t records;
	int64_t first_ns, last_ns;
	struct user *users; /* USER_SLOTS, open addressing */
	size_t user_count;
	uint64_t others_records;
	Frequent *paths, *touches, *refusals;
};

/* ---- life ---- */

AuditSummary *audit_summary_new(const struct audit_summary_zone *zones, size_t zone_count) {
	AuditSummary *s = calloc(1, sizeof *s);
	if (!s)
		return NULL;
	s->users = calloc(USER_SLOTS, sizeof *s->users);
	s->zones = calloc(zone_count + 1, sizeof *s->zones);
	s->paths = frequent_new(AUDIT_SUMMARY_PATHS, 0);
	s->touches = frequent_new(AUDIT_SUMMARY_TOUCHES, sizeof(struct touch));
	s->refusals = frequent_new(AUDIT_SUMMARY_REFUSALS, sizeof(struct refusal));
	if (!s->users || !s->zones || !s->paths || !s->touches || !s->refusals) {
		audit_summary_free(s);
		return NULL;
	}
	s->zone_count = zone_count;
	if (zone_count)
		memcpy(s->zones, zones, zone_count * sizeof *zones);
	return s;
}

void audit_summary_free(AuditSummary *summary) {
	if (!summary)
		return;
	frequent_free(summary->paths);
	frequent_free(summary->touches);
	frequent_free(summary->refusals);
	free(summary->users);
	free(summary->zones);
	free(summary);
}

/* ---- counting ---- */

/* Its place, or the empty one where it belongs. NULL: there are too many others. */
static struct user *user_of(AuditSummary *s, uint32_t uid, bool is_itself) {
	size_t at = (size_t)(uid * UINT64_C(0x9e3779b97f4a7c15) >> 40) % USER_SLOTS;
	for (; s->users[at].is_set; at = (at + 1) % USER_SLOTS)
		if (s->users[at].uid == uid && s->users[at].is_itself == is_itself)
			return &s->users[at];
	if (s->user_count == AUDIT_SUMMARY_USERS)
		return NULL;
	s->user_count++;
	s->users[at] = (struct user){.is_set = true, .is_itself = is_itself, .uid = uid};
	return &s->users[at];
}

static unsigned local_hour(AuditSummary *s, int64_t time_ns) {
	int64_t time_s = time_ns / SECOND;
	while (s->zone + 1 < s->zone_count && s->zones[s->zone + 1].from_s <= time_s)
		s->zone++;
	return unusual_hour_of(time_ns, s->zone_count ? s->zones[s->zone].offset_s : 0);
}

static void count_bytes(struct user *user, const struct audit_event *event) {
	uint64_t read = 0, written = 0;
	if (strcmp(event->event, "close") == 0 && audit_transfer(event->detail, &read, &written)) {
		user->read += read;
		user->written += written;
	}
}

static void count_user(AuditSummary *s, const struct audit_entry *entry, enum audit_kind kind) {
	const struct audit_event *event = &entry->event;
	struct user *user = user_of(s, event->actor.uid, event->actor.pid == 0);
	if (!user) {
		s->others_records++;
		return;
	}
	bool is_ok = strcmp(event->outcome, "ok") == 0, is_denied = strcmp(event->outcome, "denied") == 0;
	user->first_ns = user->records++ ? user->first_ns : entry->time_ns;
	user->last_ns = entry->time_ns;
	user->opens += is_ok && kind == AUDIT_KIND_OPEN;
	user->changes += is_ok && kind == AUDIT_KIND_CHANGE;
	user->denials += is_denied;
	user->errors += !is_ok && !is_denied;
	count_bytes(user, event);
	struct hour *hour = &user->hours[local_hour(s, entry->time_ns)];
	hour->records++;
	hour->last_ns = entry->time_ns;
}

/* The value of user and path; NULL: no memory. */
static void *meet(Frequent *frequent, uint32_t uid, const char *path) {
	struct meeting key = {.uid = uid, .has_path = path != NULL};
	size_t length = path ? strnlen(path, AUDIT_PATH_MAX) : 0;
	if (length)
		memcpy(key.path, path, length);
	return frequent_add(frequent, bytes_of(&key, MEETING_BYTES(length)));
}

static int count_refusal(AuditSummary *s, const struct audit_entry *entry) {
	const struct audit_event *event = &entry->event;
	struct refusal *refusal = meet(s->refusals, event->actor.uid, event->path);
	if (!refusal)
		return fault(ENOMEM, "summing up the log: out of memory");
	refusal->last_ns = entry->time_ns;
	snprintf(refusal->event, sizeof refusal->event, "%s", event->event);
	const char *error = event->err ? strerrordesc_np(event->err) : NULL;
	const char *words = event->detail ? event->detail : "";
	if (error && *words)
		snprintf(refusal->reason, sizeof refusal->reason, "%s (%s)", error, words);
	else
		snprintf(refusal->reason, sizeof refusal->reason, "%s", error ? error : words);
	return 0;
}

/* What the mount does by itself at a path touches it, too, but nobody did it. */
static int count_path(AuditSummary *s, const struct audit_entry *entry, const char *path, bool is_change) {
	if (!path)
		return 0;
	bool is_itself = entry->event.actor.pid == 0;
	struct touch *touch = is_itself ? NULL : meet(s->touches, entry->event.actor.uid, path);
	if (!frequent_add(s->paths, bytes_of_string(path)) || (!touch && !is_itself))
		return fault(ENOMEM, "summing up the log: out of memory");
	if (touch) {
		touch->last_ns = entry->time_ns;
		touch->changes += is_change;
	}
	return 0;
}

int audit_summary_add(AuditSummary *summary, const struct audit_entry *entry) {
	const struct audit_event *event = &entry->event;
	bool is_denied = strcmp(event->outcome, "denied") == 0, is_ok = strcmp(event->outcome, "ok") == 0;
	enum audit_kind kind = audit_record_kind(event->event, event->detail, is_denied, event->version != 0).kind;
	summary->first_ns = summary->records++ ? summary->first_ns : entry->time_ns;
	summary->last_ns = entry->time_ns;
	count_user(summary, entry, kind);
	int rc = count_path(summary, entry, event->path, is_ok && kind == AUDIT_KIND_CHANGE);
	if (rc == 0)
		rc = count_path(summary, entry, event->path2, is_ok && kind == AUDIT_KIND_CHANGE);
	return rc == 0 && is_denied ? count_refusal(summary, entry) : rc;
}

/* ---- the answer ---- */

static int compare_users(const void *one, const void *other) {
	const struct user *a = one, *b = other;
	if (a->records != b->records)
		return a->records > b->records ? -1 : 1;
	if (a->uid != b->uid)
		return a->uid < b->uid ? -1 : 1;
	return a->is_itself - b->is_itself;
}

static bool is_unusual(const struct user *user, bool is_known, unsigned hour) {
	uint64_t records = user->hours[hour].records;
	if (records == 0 || user->is_itself)
		return false;
	return unusual_is(is_known, records, user->records, hour);
}

static json_t *user_json(const struct user *user) {
	bool is_known = unusual_knows(user->records, user->last_ns - user->first_ns);
	json_t *hours = json_array();
	for (unsigned hour = 0; hour < UNUSUAL_HOURS; hour++)
		if (is_unusual(user, is_known, hour))
			(void)json_array_append_new(hours, json_pack("{s:i, s:I, s:I}", "hour", (int)hour, "records",
			                                           (json_int_t)user->hours[hour].records, "last_ns",
			                                           (json_int_t)user->hours[hour].last_ns));
	return json_pack("{s:I, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:o}", "uid",
	        (json_int_t)user->uid, "itself", user->is_itself, "records", (json_int_t)user->records, "opens",
	        (json_int_t)user->opens, "changes", (json_int_t)user->changes, "denials", (json_int_t)user->denials,
	        "errors", (json_int_t)user->errors, "read_bytes", (json_int_t)user->read, "written_bytes",
	        (json_int_t)user->written, "first_ns", (json_int_t)user->first_ns, "last_ns", (json_int_t)user->last_ns,
	        "hours", is_known ? "known" : "assumed", "unusual", hours);
}

/* The users that there are, moved to the front. */
static int put_users(AuditSummary *s, json_t *object, size_t top) {
	size_t count = 0;
	for (size_t i = 0; i < USER_SLOTS; i++)
		if (s->users[i].is_set)
			s->users[count++] = s->users[i];
	qsort(s->users, count, sizeof s->users[0], compare_users);
	json_t *users = json_array();
	uint64_t left = s->others_records;
	int rc = json_object_set_new(object, "users", users);
	for (size_t i = 0; i < count; i++) {
		if (i < top)
			rc |= json_array_append_new(users, user_json(&s->users[i]));
		else
			left += s->users[i].records;
	}
	rc |= json_object_set_new(object, "users_more", json_integer((json_int_t)(count > top ? count - top : 0)));
	return rc | json_object_set_new(object, "users_more_records", json_integer((json_int_t)left));
}

static json_t *path_json(const char *bytes, size_t size) {
	char path[AUDIT_PATH_MAX + 1];
	size = size < sizeof path ? size : sizeof path - 1;
	memcpy(path, bytes, size);
	path[size] = '\0';
	return wire_path(path);
}

static json_t *path_item(const struct frequent_item *item) {
	return json_pack("{s:o, s:I, s:I}", "path", path_json((const char *)item->key.data, item->key.size), "records",
	        (json_int_t)item->count, "over", (json_int_t)item->error);
}

static json_t *touch_item(const struct frequent_item *item) {
	const struct touch *touch = item->value;
	struct meeting key = {0};
	memcpy(&key, item->key.data, item->key.size);
	return json_pack("{s:I, s:o, s:I, s:I, s:I, s:I}", "uid", (json_int_t)key.uid, "path",
	        path_json(key.path, item->key.size - MEETING_BYTES(0)), "records", (json_int_t)item->count, "over",
	        (json_int_t)item->error, "changes", (json_int_t)touch->changes, "last_ns", (json_int_t)touch->last_ns);
}

static json_t *refusal_item(const struct frequent_item *item) {
	const struct refusal *refusal = item->value;
	struct meeting key = {0};
	memcpy(&key, item->key.data, item->key.size);
	_cleanup_(freep) char *safe = words_is_utf8(refusal->reason) ? NULL : words_safe(refusal->reason);
	json_t *object = json_pack("{s:I, s:I, s:I, s:I, s:s, s:s}", "uid", (json_int_t)key.uid, "records",
	        (json_int_t)item->count, "over", (json_int_t)item->error, "last_ns", (json_int_t)refusal->last_ns,
	        "event", refusal->event, "reason",
	        safe                             ? safe
	        : words_is_utf8(refusal->reason) ? refusal->reason
	                                         : "?");
	if (object && key.has_path)
		(void)json_object_set_new(object, "path", path_json(key.path, item->key.size - MEETING_BYTES(0)));
	return object;
}

/* `name`, `name`_more, `name`_exact. */
static int put_frequent(json_t *object, const char *name, Frequent *frequent, size_t top,
        json_t *(*render)(const struct frequent_item *)) {
	char more[32], exact[32];
	struct frequent_item *items = calloc(top + 1, sizeof *items);
	json_t *array = json_array();
	int rc = items ? 0 : -1;
	size_t count = items ? frequent_top(frequent, top, items) : 0;
	for (size_t i = 0; i < count; i++)
		rc |= json_array_append_new(array, render(&items[i]));
	free(items);
	snprintf(more, sizeof more, "%s_more", name);
	snprintf(exact, sizeof exact, "%s_exact", name);
	rc |= json_object_set_new(object, name, array);
	rc |= json_object_set_new(object, more, json_integer((json_int_t)(frequent_size(frequent) - count)));
	return rc | json_object_set_new(object, exact, json_boolean(frequent_driven_out(frequent) == 0));
}

json_t *audit_summary_json(AuditSummary *summary, size_t top) {
	json_t *object = json_pack("{s:I, s:I, s:I}", "records", (json_int_t)summary->records, "first_ns",
	        (json_int_t)summary->first_ns, "last_ns", (json_int_t)summary->last_ns);
	if (!object || put_users(summary, object, top) ||
	        put_frequent(object, "paths", summary->paths, top, path_item) ||
	        put_frequent(object, "touches", summary->touches, top, touch_item) ||
	        put_frequent(object, "refusals", summary->refusals, top, refusal_item)) {
		json_decref(object);
		return NULL;
	}
	return object;
}
