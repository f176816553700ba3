#include "backend/alarm_row.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "backend/meta_private.h"
#include "crypto/base/fault.h"

#define DAY_NS (INT64_C(86400) * 1000000000)

const char *alarm_state_word(enum alarm_state state) {
	static const char *const words[] = {"INSUFFICIENT_DATA", "OK", "ALARM"};
	return (unsigned)state < 3 ? words[state] : "?";
}

const char *alarm_event_word(enum alarm_event_kind kind) {
	static const char *const words[] = {"StateUpdate", "Silenced", "SilenceEnded", "Test", "Notice"};
	return (unsigned)kind < 5 ? words[kind] : "?";
}

void alarm_action_id(const struct alarm_action *action, char ret_id[static ALARM_ACTION_ID_BYTES]) {
	(void)snprintf(
	        ret_id, ALARM_ACTION_ID_BYTES, "msg_%016" PRIx64 "%08" PRIx64, (uint64_t)action->event_ns, action->id);
}

/* SQLite ends the text of a TEXT column with a NUL. */
static const char *column_text(sqlite3_stmt *stmt, int column) {
	const char *text = (const char *)sqlite3_column_text(stmt, column);
	return text ? text : "";
}

static struct sql_value v_string(const char *text) {
	return v_text(text ? text : "");
}

/* ---- the alarms ---- */

#define ROW_COLUMNS "name, state, since_ns, reason, silent_until_ns, silent_reason"

static int each_row(
        Meta *m, const char *sql, const struct sql_value *values, size_t count, alarm_row_fn *each, void *arg) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int found = 0;
	if (!meta_has(m, META_SCHEMA_WATCHED))
		return 0;
	int rc = sql_start(m, sql, values, count, &stmt);
	while (rc == 0 && (rc = sql_step(m, stmt)) == 1) {
		const struct alarm_row row = {.name = column_text(stmt, 0),
		        .state = (enum alarm_state)sqlite3_column_int(stmt, 1),
		        .since_ns = sqlite3_column_int64(stmt, 2),
		        .reason = column_text(stmt, 3),
		        .silent_until_ns = sqlite3_column_int64(stmt, 4),
		        .silent_reason = column_text(stmt, 5)};
		found = 1;
		rc = each(arg, &row);
	}
	return rc < 0 ? rc : found;
}

int alarm_row_get(Meta *m, const char *name, alarm_row_fn *each, void *arg) {
	int rc = each_row(m, "SELECT " ROW_COLUMNS " FROM alarm WHERE name = ?", SQL_VALUES(v_string(name)), each, arg);
	return rc == 0 ? -ENOENT : rc < 0 ? rc : 0;
}

int alarm_row_list(Meta *m, alarm_row_fn *each, void *arg) {
	int rc = each_row(m, "SELECT " ROW_COLUMNS " FROM alarm ORDER BY name", NULL, 0, each, arg);
	return rc < 0 ? rc : 0;
}

/* ---- a change ---- */

static int check_change(const struct alarm_event *event, const char *const *targets, size_t count, const char *body) {
	bool fits = event->alarm[0] != '\0' && strlen(event->alarm) <= ALARM_NAME_MAX &&
	            strlen(event->reason) <= ALARM_REASON_MAX && (!body || strlen(body) <= ALARM_BODY_MAX);
	for (size_t i = 0; i < count; i++)
		fits = fits && body && strlen(targets[i]) <= ALARM_TARGET_MAX;
	return fits ? 0 : fault(EINVAL, "what alarm %.60s has to tell is too long", event->alarm);
}

static int put_state(Meta *m, const struct alarm_event *event) {
	static const char sql[] =
	        "INSERT INTO alarm (name, state, since_ns, reason) VALUES (?, ?, ?, ?) ON CONFLICT (name)"
	        " DO UPDATE SET state = excluded.state, since_ns = excluded.since_ns,"
	        " reason = excluded.reason";
	return SQL_RUN(
	        m, sql, v_string(event->alarm), v_u64(event->after), v_i64(event->time_ns), v_string(event->reason));
}

int alarm_row_begin(Meta *m, const char *name, int64_t now_ns) {
	static const char sql[] = "INSERT OR IGNORE INTO alarm (name, state, since_ns, reason) VALUES (?, 0, ?,"
	                          " 'Unchecked: Initial alarm creation')";
	int rc = meta_raise_schema(m, META_SCHEMA_WATCHED);
	return rc < 0 ? rc : SQL_RUN(m, sql, v_string(name), v_i64(now_ns));
}

static int put_event(Meta *m, const struct alarm_event *event, uint64_t *ret_id) {
	static const char sql[] = "INSERT INTO alarm_event (id, alarm, time_ns, kind, before, after, is_silent, reason)"
	                          " VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
	int rc = sql_number(m, "SELECT ifnull(max(id), 0) + 1 FROM alarm_event", NULL, 0, ret_id);
	if (rc < 0)
		return rc;
	return SQL_RUN(m, sql, v_u64(*ret_id), v_string(event->alarm), v_i64(event->time_ns), v_u64(event->kind),
	        v_u64(event->before), v_u64(event->after), v_u64(event->is_silent), v_string(event->reason));
}

/* What is not delivered yet, or can't be, keeps its event. */
static int prune(Meta *m, const struct alarm_event *event) {
	static const char old_actions[] =
	        "DELETE FROM alarm_action WHERE state = 1 AND event IN"
	        " (SELECT id FROM alarm_event WHERE alarm = ?1 AND (time_ns < ?2 OR id <="
	        " ifnull((SELECT id FROM alarm_event WHERE alarm = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?3), 0)))";
	static const char old_events[] =
	        "DELETE FROM alarm_event WHERE alarm = ?1 AND (time_ns < ?2 OR id <="
	        " ifnull((SELECT id FROM alarm_event WHERE alarm = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?3), 0))"
	        " AND NOT EXISTS (SELECT 1 FROM alarm_action WHERE event = alarm_event.id)";
	int64_t oldest = event->time_ns - ALARM_EVENT_DAYS * DAY_NS;
	int rc = SQL_RUN(m, old_actions, v_string(event->alarm), v_i64(oldest), v_u64(ALARM_EVENTS_MAX));
	return rc < 0 ? rc : SQL_RUN(m, old_events, v_string(event->alarm), v_i64(oldest), v_u64(ALARM_EVENTS_MAX));
}

int alarm_row_change(Meta *m, const struct alarm_event *event, const char *const *targets, size_t target_count,
        const char *body, uint64_t *ret_event) {
	static const char sql[] =
	        "INSERT INTO alarm_action (event, target, state, due_ns, body) VALUES (?, ?, 0, ?, ?)";
	uint64_t id = 0;
	int rc = check_change(event, targets, target_count, body);
	if (rc == 0)
		rc = meta_raise_schema(m, META_SCHEMA_WATCHED);
	if (rc == 0 && event->kind == ALARM_EVENT_STATE)
		rc = put_state(m, event);
	if (rc == 0)
		rc = put_event(m, event, &id);
	for (size_t i = 0; rc == 0 && i < target_count; i++)
		rc = SQL_RUN(m, sql, v_u64(id), v_string(targets[i]), v_i64(event->time_ns), v_string(body));
	if (rc == 0)
		rc = prune(m, event);
	if (rc == 0 && ret_event)
		*ret_event = id;
	return rc;
}

static int not_there(const char *name) {
	return fault(ENOENT, "there is no alarm '%.100s'", name);
}

int alarm_row_silence(Meta *m, const char *name, int64_t until_ns, const char *reason) {
	static const char sql[] = "UPDATE alarm SET silent_until_ns = ?2, silent_reason = ?3 WHERE name = ?1";
	uint64_t changed = 0;
	if (!meta_has(m, META_SCHEMA_WATCHED))
		return not_there(name);
	int rc = SQL_RUN_CHANGED(m, sql, &changed, v_string(name), v_i64(until_ns), v_string(reason));
	return rc < 0 ? rc : changed ? 0 : not_there(name);
}

int alarm_row_forget(Meta *m, const char *name) {
	static const char actions[] = "DELETE FROM alarm_action WHERE state = 0 AND event IN"
	                              " (SELECT id FROM alarm_event WHERE alarm = ?1)";
	if (!meta_has(m, META_SCHEMA_WATCHED))
		return 0;
	int rc = SQL_RUN(m, "DELETE FROM alarm WHERE name = ?1", v_string(name));
	return rc < 0 ? rc : SQL_RUN(m, actions, v_string(name));
}

/* ---- history ---- */

int alarm_event_list(Meta *m, const char *name, unsigned limit, alarm_event_fn *each, void *arg) {
	static const char sql[] = "SELECT id, alarm, time_ns, kind, before, after, is_silent, reason FROM alarm_event"
	                          " WHERE ?1 = '' OR alarm = ?1 ORDER BY id DESC LIMIT ?2";
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	if (!meta_has(m, META_SCHEMA_WATCHED))
		return 0;
	int rc = SQL_START(m, sql, &stmt, v_string(name), v_u64(limit));
	while (rc == 0 && (rc = sql_step(m, stmt)) == 1) {
		const struct alarm_event event = {.id = column_u64(stmt, 0),
		        .alarm = column_text(stmt, 1),
		        .time_ns = sqlite3_column_int64(stmt, 2),
		        .kind = (enum alarm_event_kind)sqlite3_column_int(stmt, 3),
		        .before = (enum alarm_state)sqlite3_column_int(stmt, 4),
		        .after = (enum alarm_state)sqlite3_column_int(stmt, 5),
		        .is_silent = sqlite3_column_int(stmt, 6) != 0,
		        .reason = column_text(stmt, 7)};
		rc = each(arg, &event);
	}
	return rc < 0 ? rc : 0;
}

/* ---- actions ---- */

#define ACTION_SELECT                                                                                              \
	"SELECT a.id, a.event, e.alarm, e.time_ns, a.target, a.state, a.attempts, a.due_ns, a.error, a.body FROM " \
	"alarm_action a JOIN alarm_event e ON e.id = a.event "

static int each_action(
        Meta *m, const char *sql, const struct sql_value *values, size_t count, alarm_action_fn *each, void *arg) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	if (!meta_has(m, META_SCHEMA_WATCHED))
		return 0;
	int rc = sql_start(m, sql, values, count, &stmt);
	while (rc == 0 && (rc = sql_step(m, stmt)) == 1) {
		const struct alarm_action action = {.id = column_u64(stmt, 0),
		        .event = column_u64(stmt, 1),
		        .alarm = column_text(stmt, 2),
		        .event_ns = sqlite3_column_int64(stmt, 3),
		        .target = column_text(stmt, 4),
		        .state = (enum alarm_action_state)sqlite3_column_int(stmt, 5),
		        .attempts = column_u32(stmt, 6),
		        .due_ns = sqlite3_column_int64(stmt, 7),
		        .error = column_text(stmt, 8),
		        .body = column_text(stmt, 9)};
		rc = each(arg, &action);
	}
	return rc < 0 ? rc : 0;
}

int alarm_action_list(Meta *m, enum alarm_action_state state, unsigned limit, alarm_action_fn *each, void *arg) {
	return each_action(m, ACTION_SELECT "WHERE a.state = ? ORDER BY a.due_ns, a.id LIMIT ?",
	        SQL_VALUES(v_u64(state), v_i64(limit ? (int64_t)limit : -1)), each, arg);
}

int alarm_action_of(Meta *m, uint64_t event, alarm_action_fn *each, void *arg) {
	return each_action(m, ACTION_SELECT "WHERE a.event = ? ORDER BY a.id", SQL_VALUES(v_u64(event)), each, arg);
}

int alarm_action_due(Meta *m, int64_t now_ns, unsigned limit, alarm_action_fn *each, void *arg, int64_t *ret_next_ns) {
	uint64_t next = INT64_MAX;
	int rc = each_action(m, ACTION_SELECT "WHERE a.state = 0 AND a.due_ns <= ? ORDER BY a.due_ns, a.id LIMIT ?",
	        SQL_VALUES(v_i64(now_ns), v_u64(limit)), each, arg);
	if (rc == 0 && meta_has(m, META_SCHEMA_WATCHED))
		rc = SQL_NUMBER(m,
		        "SELECT ifnull(min(due_ns), 9223372036854775807) FROM alarm_action WHERE state = 0 AND due_ns "
		        "> ?",
		        &next, v_i64(now_ns));
	if (rc == 0)
		*ret_next_ns = (int64_t)next;
	return rc;
}

static int bound_dead(Meta *m) {
	return SQL_RUN(m,
	        "DELETE FROM alarm_action WHERE state = 2 AND id <= ifnull((SELECT id FROM alarm_action WHERE state = 2"
	        " ORDER BY id DESC LIMIT 1 OFFSET ?), 0)",
	        v_u64(ALARM_DEAD_MAX));
}

int alarm_action_tried(
        Meta *m, uint64_t id, enum alarm_action_state state, unsigned attempts, int64_t due_ns, const char *error) {
	static const char sql[] =
	        "UPDATE alarm_action SET state = ?2, attempts = ?3, due_ns = ?4, error = ?5 WHERE id = ?1";
	int rc = SQL_RUN(m, sql, v_u64(id), v_u64(state), v_u64(attempts), v_i64(due_ns), v_string(error));
	return rc < 0 || state != ALARM_ACTION_DEAD ? rc : bound_dead(m);
}

static int change_dead(Meta *m, const char *sql, uint64_t id, int64_t now_ns, uint64_t *ret_count) {
	*ret_count = 0;
	if (!meta_has(m, META_SCHEMA_WATCHED))
		return id ? -ENOENT : 0;
	int rc = SQL_RUN_CHANGED(m, sql, ret_count, v_u64(id), v_i64(now_ns));
	if (rc == 0 && id && *ret_count == 0)
		return fault(ENOENT, "no notification %" PRIu64 " is among the undeliverable ones", id);
	return rc;
}

int alarm_action_retry(Meta *m, uint64_t id, int64_t now_ns, uint64_t *ret_count) {
	return change_dead(m,
	        "UPDATE alarm_action SET state = 0, attempts = 0, due_ns = ?2 WHERE state = 2 AND (?1 = 0 OR id = ?1)",
	        id, now_ns, ret_count);
}

int alarm_action_drop(Meta *m, uint64_t id, uint64_t *ret_count) {
	return change_dead(
	        m, "DELETE FROM alarm_action WHERE state = 2 AND (?1 = 0 OR id = ?1) AND ?2 = 0", id, 0, ret_count);
}

int alarm_action_count(Meta *m, enum alarm_action_state state, uint64_t *ret_count) {
	*ret_count = 0;
	if (!meta_has(m, META_SCHEMA_WATCHED))
		return 0;
	return SQL_NUMBER(m, "SELECT count(*) FROM alarm_action WHERE state = ?", ret_count, v_u64(state));
}
