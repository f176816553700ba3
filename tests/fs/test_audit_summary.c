#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fs/audit_summary.h"

#define SECOND INT64_C(1000000000)
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
#define MIDNIGHT (INT64_C(1795737600) * SECOND) /* 2026-11-27 UTC */

static struct audit_entry entry_of(uint32_t uid, int64_t time_ns, const char *event, const char *path) {
	return (struct audit_entry){.time_ns = time_ns,
	        .event = {.event = event, .actor = {.uid = uid, .pid = 5, .exe = "cp"}, .path = path, .outcome = "ok"}};
}

static void add(AuditSummary *s, const struct audit_entry *entry) {
	assert_int_equal(audit_summary_add(s, entry), 0);
}

static json_int_t number(const json_t *item, const char *name) {
	assert_true(json_is_integer(json_object_get(item, name)));
	return json_integer_value(json_object_get(item, name));
}

static json_t *end(AuditSummary *s, size_t top) {
	json_t *json = audit_summary_json(s, top);
	assert_non_null(json);
	audit_summary_free(s);
	return json;
}

static json_t *nth(const json_t *json, const char *list, size_t n) {
	json_t *item = json_array_get(json_object_get(json, list), n);
	assert_non_null(item);
	return item;
}

static void each_users_doings_are_counted(void **state) {
	(void)state;
	AuditSummary *s = audit_summary_new(NULL, 0);
	static const char *const events[] = {"open", "opendir", "rename", "lookup", "create"};
	for (size_t i = 0; i < 5; i++) {
		struct audit_entry e = entry_of(1000, MIDNIGHT + (int64_t)i, events[i], "Landing/a");
		e.event.path2 = i == 2 ? "Landing/b" : NULL;
		add(s, &e);
	}
	struct audit_entry e = entry_of(1000, MIDNIGHT + 10, "close", "Landing/a");
	e.event.version = 3;
	e.event.detail = "read 4, written 30; shared";
	add(s, &e);
	e = entry_of(1000, MIDNIGHT + 11, "open", "Landing/a");
	e.event.outcome = "error";
	add(s, &e);
	e = entry_of(1000, MIDNIGHT + 12, "gc", "Landing/gone"); /* touched by nobody */
	e.event.actor.pid = 0;
	add(s, &e);
	e = entry_of(7, MIDNIGHT + 13, "open", "Landing/a");
	e.event.outcome = "denied";
	e.event.err = EACCES;
	e.event.detail = "write";
	add(s, &e);
	json_t *json = end(s, 10);
	assert_int_equal(number(json, "records"), 9);
	assert_int_equal(number(json, "first_ns"), MIDNIGHT);
	assert_int_equal(number(json, "last_ns"), MIDNIGHT + 13);
	assert_int_equal(json_array_size(json_object_get(json, "users")), 3);
	const json_t *user = nth(json, "users", 0);
	static const struct {
		const char *name;
		json_int_t want;
	} wants[] = {{"uid", 1000}, {"records", 7}, {"opens", 2}, {"changes", 3}, {"denials", 0}, {"errors", 1},
	        {"read_bytes", 4}, {"written_bytes", 30}, {"first_ns", MIDNIGHT}, {"last_ns", MIDNIGHT + 11}};
	for (size_t i = 0; i < sizeof wants / sizeof wants[0]; i++)
		assert_int_equal(number(user, wants[i].name), wants[i].want);
	assert_int_equal(number(nth(json, "users", 1), "uid"), 7);
	assert_int_equal(number(nth(json, "users", 1), "denials"), 1);
	assert_true(json_is_true(json_object_get(nth(json, "users", 2), "itself")));
	assert_string_equal(json_string_value(json_object_get(nth(json, "paths", 0), "path")), "Landing/a");
	assert_int_equal(number(nth(json, "paths", 0), "records"), 8);
	assert_int_equal(number(nth(json, "paths", 1), "records"), 1);
	const json_t *touch = nth(json, "touches", 0);
	assert_int_equal(json_array_size(json_object_get(json, "touches")), 3);
	assert_string_equal(json_string_value(json_object_get(touch, "path")), "Landing/a");
	static const struct {
		const char *name;
		json_int_t want;
	} touched[] = {{"uid", 1000}, {"records", 7}, {"over", 0}, {"changes", 3}, {"last_ns", MIDNIGHT + 11}};
	for (size_t i = 0; i < sizeof touched / sizeof touched[0]; i++)
		assert_int_equal(number(touch, touched[i].name), touched[i].want);
	assert_int_equal(number(nth(json, "touches", 1), "uid"), 7);
	assert_int_equal(number(nth(json, "touches", 2), "changes"), 1); /* the new name of the rename */
	const json_t *refusal = nth(json, "refusals", 0);
	assert_int_equal(number(refusal, "uid"), 7);
	assert_string_equal(json_string_value(json_object_get(refusal, "reason")), "Permission denied (write)");
	assert_true(json_is_true(json_object_get(json, "paths_exact")));
	json_decref(json);
}

static void a_refusal_has_its_last_reason(void **state) {
	(void)state;
	AuditSummary *s = audit_summary_new(NULL, 0);
	static const char *const reasons[] = {"first", "second \xff", "third \xff"};
	for (int i = 0; i < 3; i++) {
		struct audit_entry e = entry_of(5, MIDNIGHT + i, i ? "verdict" : "open", "Trusted/caf\xe9");
		e.event.outcome = "denied";
		e.event.detail = reasons[i];
		add(s, &e);
	}
	struct audit_entry e = entry_of(6, MIDNIGHT + 9, "mount", NULL);
	e.event.outcome = "denied";
	add(s, &e);
	json_t *json = end(s, 10);
	const json_t *refusal = nth(json, "refusals", 0);
	assert_int_equal(number(refusal, "records"), 3);
	assert_int_equal(number(refusal, "last_ns"), MIDNIGHT + 2);
	assert_string_equal(json_string_value(json_object_get(refusal, "event")), "verdict");
	assert_string_equal(json_string_value(json_object_get(refusal, "reason")), "third \\xff");
	assert_true(json_is_object(json_object_get(refusal, "path"))); /* not UTF-8: in hexadecimal */
	assert_null(json_object_get(nth(json, "refusals", 1), "path"));
	json_decref(json);
}

/* Office hours for `days`, then twice at three in the morning. */
static json_t *office(size_t days, const struct audit_summary_zone *zones, size_t zone_count) {
	AuditSummary *s = audit_summary_new(zones, zone_count);
	int64_t time = MIDNIGHT;
	for (size_t day = 0; day < days; day++)
		for (int hour = 8; hour < 18; hour++)
			for (int i = 0; i < 5; i++) {
				time = MIDNIGHT + (int64_t)day * DAY + hour * HOUR + i;
				struct audit_entry e = entry_of(1000, time, "open", "Landing/a");
				add(s, &e);
			}
	for (int i = 0; i < 2; i++) {
		struct audit_entry e =
		        entry_of(1000, MIDNIGHT + (int64_t)days * DAY + 3 * HOUR + i, "open", "Landing/a");
		add(s, &e);
	}
	return end(s, 10);
}

static void assert_unusual(json_t *json, const char *basis, size_t count, json_int_t hour, json_int_t records) {
	const json_t *user = nth(json, "users", 0), *hours = json_object_get(user, "unusual");
	assert_string_equal(json_string_value(json_object_get(user, "hours")), basis);
	assert_int_equal(json_array_size(hours), count);
	if (count) {
		assert_int_equal(number(json_array_get(hours, 0), "hour"), hour);
		assert_int_equal(number(json_array_get(hours, 0), "records"), records);
	}
	json_decref(json);
}

static void an_hour_is_unusual_by_the_users_own_habit_or_at_night(void **state) {
	(void)state;
	assert_unusual(office(20, NULL, 0), "known", 1, 3, 2);
	assert_unusual(office(3, NULL, 0), "assumed", 1, 3, 2);
	/* Six hours east the nights begin at 22 of there: 16 and 17 of UTC. */
	static const struct audit_summary_zone east[] = {{0, 6 * 3600}};
	assert_unusual(office(3, east, 1), "assumed", 2, 22, 15);
	assert_unusual(office(20, east, 1), "known", 1, 9, 2);
	/* It begins only after what was done by day. */
	const struct audit_summary_zone changed[] = {{0, 0}, {MIDNIGHT / SECOND + 3 * 86400, -2 * 3600}};
	assert_unusual(office(3, changed, 2), "assumed", 1, 1, 2);
}

static void who_works_by_night_is_not_unusual_then(void **state) {
	(void)state;
	AuditSummary *s = audit_summary_new(NULL, 0);
	for (int64_t day = 0; day < 20; day++)
		for (int i = 0; i < 10; i++) {
			struct audit_entry e = entry_of(1000, MIDNIGHT + day * DAY + 2 * HOUR + i, "open", "Landing/a");
			add(s, &e);
		}
	assert_unusual(end(s, 10), "known", 0, 0, 0);
}

static void memory_is_bounded_and_the_rest_is_counted(void **state) {
	(void)state;
	AuditSummary *s = audit_summary_new(NULL, 0);
	for (uint32_t uid = 0; uid < AUDIT_SUMMARY_USERS + 10; uid++) {
		char path[64];
		snprintf(path, sizeof path, "Landing/%u", uid);
		struct audit_entry e = entry_of(uid, MIDNIGHT + uid, "open", path);
		e.event.outcome = "denied";
		add(s, &e);
		if (uid == 3)
			for (int i = 0; i < 50; i++)
				add(s, &e);
	}
	json_t *json = end(s, 2);
	assert_int_equal(json_array_size(json_object_get(json, "users")), 2);
	assert_int_equal(number(nth(json, "users", 0), "uid"), 3);
	assert_int_equal(number(json, "users_more"), AUDIT_SUMMARY_USERS - 2);
	assert_int_equal(number(json, "users_more_records"), AUDIT_SUMMARY_USERS + 10 - 2);
	assert_int_equal(number(nth(json, "paths", 0), "records"), 51);
	assert_int_equal(number(json, "paths_more"), AUDIT_SUMMARY_PATHS - 2);
	assert_true(json_is_false(json_object_get(json, "paths_exact")));
	assert_int_equal(number(nth(json, "touches", 0), "uid"), 3);
	assert_int_equal(number(json, "touches_more"), AUDIT_SUMMARY_USERS + 10 - 2);
	assert_true(json_is_true(json_object_get(json, "touches_exact")));
	assert_int_equal(number(nth(json, "refusals", 0), "uid"), 3);
	assert_int_equal(number(json, "refusals_more"), AUDIT_SUMMARY_REFUSALS - 2);
	json_decref(json);
	audit_summary_free(NULL);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(each_users_doings_are_counted),
	        cmocka_unit_test(a_refusal_has_its_last_reason),
	        cmocka_unit_test(an_hour_is_unusual_by_the_users_own_habit_or_at_night),
	        cmocka_unit_test(who_works_by_night_is_not_unusual_then),
	        cmocka_unit_test(memory_is_bounded_and_the_rest_is_counted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
