#include "backend/job.h"

#include "backend/meta_private.h"

#include <errno.h>
#include <string.h>

#define JOB_COLUMNS                                                                                           \
	"id, kind, state, node, version, path, dataset, workflow, due_ns, attempts, verdict, superseded_by, " \
	"made_ns, done_ns, uid, gid, pid, exe"

/* Job's strings as they are given out. */
struct strings {
	char dataset[JOB_NAME_MAX + 1], workflow[JOB_NAME_MAX + 1];
};

static void copy_text(struct bytes from, char *to, size_t capacity) {
	size_t size = from.size < capacity - 1 ? from.size : capacity - 1;
	if (size)
		memcpy(to, from.data, size);
	to[size] = '\0';
}

static void job_read(sqlite3_stmt *stmt, struct job *ret, struct strings *strings) {
	*ret = (struct job){.id = column_u64(stmt, 0),
	        .kind = (uint8_t)sqlite3_column_int(stmt, 1),
	        .state = (uint8_t)sqlite3_column_int(stmt, 2),
	        .node = column_u64(stmt, 3),
	        .version = column_u64(stmt, 4),
	        .path = column_bytes(stmt, 5),
	        .dataset = strings->dataset,
	        .workflow = strings->workflow,
	        .due_ns = sqlite3_column_int64(stmt, 8),
	        .attempts = column_u32(stmt, 9),
	        .verdict = column_u64(stmt, 10),
	        .superseded_by = column_u64(stmt, 11),
	        .made_ns = sqlite3_column_int64(stmt, 12),
	        .done_ns = sqlite3_column_int64(stmt, 13),
	        .uid = column_u32(stmt, 14),
	        .gid = column_u32(stmt, 15),
	        .pid = sqlite3_column_int(stmt, 16)};
	copy_text(column_bytes(stmt, 6), strings->dataset, sizeof strings->dataset);
	copy_text(column_bytes(stmt, 7), strings->workflow, sizeof strings->workflow);
	copy_text(column_bytes(stmt, 17), ret->exe, sizeof ret->exe);
}

/* *ret_given (may be NULL): whether there was a row at all. */
static int each(Meta *m, const char *sql, const struct sql_value *values, size_t count, job_fn callback, void *arg,
        bool *ret_given) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	bool given = false;
	int rc = sql_start(m, sql, values, count, &stmt);
	while (rc == 0 && (rc = sql_step(m, stmt)) > 0) {
		struct job job;
		struct strings strings;
		job_read(stmt, &job, &strings);
		given = true;
		rc = callback(arg, &job);
	}
	if (rc >= 0 && ret_given)
		*ret_given = given;
	return rc < 0 ? rc : 0;
}

static struct bytes text_or_empty(const char *text) {
	return text ? bytes_of_string(text) : bytes_of(NULL, 0);
}

/* The queued job that a new one would take the place of. */
static int find_queued(
        Meta *m, enum job_kind kind, struct bytes path, const char *workflow, uint64_t *ret_id, uint64_t *ret_version) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	static const char sql[] = "SELECT id, version FROM job INDEXED BY job_open"
	                          " WHERE path = ? AND state < 2 AND state = 0 AND kind = ? AND workflow = ?";
	int rc = SQL_START(m, sql, &stmt, v_bytes(path), v_u64(kind), v_bytes(text_or_empty(workflow)));
	if (rc == 0)
		rc = sql_step(m, stmt);
	if (rc <= 0)
		return rc < 0 ? rc : -ENOENT;
	*ret_id = column_u64(stmt, 0);
	*ret_version = column_u64(stmt, 1);
	return 0;
}

static int supersede(Meta *m, uint64_t old, uint64_t by) {
	return SQL_RUN(m, "UPDATE job SET state = 3, superseded_by = ?2, done_ns = ?3 WHERE id = ?1", v_u64(old),
	        v_u64(by), v_i64(meta_now(m)));
}

int job_put(
        Meta *m, const struct job *job, uint64_t *ret_id, uint64_t *ret_superseded, uint64_t *ret_superseded_version) {
	struct bytes dataset = text_or_empty(job->dataset), workflow = text_or_empty(job->workflow);
	if (job->kind == 0 || dataset.size > JOB_NAME_MAX || workflow.size > JOB_NAME_MAX)
		return -EINVAL;
	uint64_t id = m->state.next_job, old = 0, old_version = 0;
	int rc = find_queued(m, (enum job_kind)job->kind, job->path, job->workflow, &old, &old_version);
	if (rc == -ENOENT)
		rc = 0;
	static const char sql[] =
	        "INSERT INTO job (id, kind, state, node, version, path, dataset, workflow, due_ns, made_ns,"
	        " uid, gid, pid, exe) VALUES (?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
	if (rc == 0)
		rc = SQL_RUN(m, sql, v_u64(id), v_u64(job->kind), v_u64(job->node), v_u64(job->version),
		        v_bytes(job->path), v_bytes(dataset), v_bytes(workflow), v_i64(job->due_ns), v_i64(meta_now(m)),
		        v_u64(job->uid), v_u64(job->gid), v_i64(job->pid),
		        v_blob(job->exe, strnlen(job->exe, sizeof job->exe)));
	if (rc == 0 && old)
		rc = supersede(m, old, id);
	if (rc < 0)
		return rc;
	m->state.next_job++;
	*ret_id = id;
	if (ret_superseded)
		*ret_superseded = old;
	if (ret_superseded_version)
		*ret_superseded_version = old_version;
	return 0;
}

int job_postpone(Meta *m, enum job_kind kind, struct bytes path, const char *workflow, int64_t due_ns) {
	uint64_t id, version;
	int rc = find_queued(m, kind, path, workflow, &id, &version);
	return rc == 0 ? SQL_RUN(m, "UPDATE job SET due_ns = ?2 WHERE id = ?1", v_u64(id), v_i64(due_ns)) : rc;
}

/*
 * The earliest queued one of the kind. A job from the future was made before the clock was set back: it is due now, or
 * it would wait for as long as the clock was wrong.
 */
static int first_queued(Meta *m, enum job_kind kind, uint64_t *ret_id, int64_t *ret_due_ns) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	static const char sql[] =
	        "SELECT id, due_ns, made_ns FROM job INDEXED BY job_due WHERE state = 0 AND (?1 = 0 OR kind = ?1)"
	        " ORDER BY due_ns, id LIMIT 1";
	int rc = SQL_START(m, sql, &stmt, v_u64(kind));
	if (rc == 0)
		rc = sql_step(m, stmt);
	if (rc <= 0)
		return rc < 0 ? rc : -ENOENT;
	*ret_id = column_u64(stmt, 0);
	*ret_due_ns = sqlite3_column_int64(stmt, 1);
	if (sqlite3_column_int64(stmt, 2) > meta_now(m))
		*ret_due_ns = 0;
	return 0;
}

int job_next_due(Meta *m, enum job_kind kind, int64_t *ret_due_ns) {
	uint64_t id;
	return first_queued(m, kind, &id, ret_due_ns);
}

int job_take(Meta *m, enum job_kind kind, int64_t now, job_fn callback, void *arg) {
	uint64_t id = 0;
	int64_t due_ns = 0;
	int rc = first_queued(m, kind, &id, &due_ns);
	if (rc == 0 && due_ns > now)
		rc = -ENOENT;
	if (rc == 0)
		rc = SQL_RUN(m, "UPDATE job SET state = 1, attempts = attempts + 1 WHERE id = ?", v_u64(id));
	return rc == 0 ? job_get(m, id, callback, arg) : rc;
}

/* ---- one user after the other ---- */

int job_prepare_turns(Meta *m) {
	return sql_run(
	        m, "CREATE INDEX IF NOT EXISTS job_turn ON job (uid, due_ns, id) WHERE state = 0", NULL, 0, NULL);
}

static int next_uid(Meta *m, int64_t after, int64_t *ret_uid) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int rc =
	        SQL_START(m, "SELECT uid FROM job INDEXED BY job_turn WHERE state = 0 AND uid > ? ORDER BY uid LIMIT 1",
	                &stmt, v_i64(after));
	if (rc == 0)
		rc = sql_step(m, stmt);
	if (rc <= 0)
		return rc < 0 ? rc : -ENOENT;
	*ret_uid = sqlite3_column_int64(stmt, 0);
	return 0;
}

/* The user's earliest job, if it is due. -ENOENT. */
static int first_due(Meta *m, int64_t uid, uint64_t size_below, int64_t now, uint64_t *ret_id) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	static const char sql[] = "SELECT j.id, j.due_ns, j.made_ns FROM job j INDEXED BY job_turn LEFT JOIN version v "
	                          "ON v.id = j.version"
	                          " WHERE j.state = 0 AND j.uid = ?1 AND (?2 = 0 OR coalesce(v.size, 0) < ?2)"
	                          " ORDER BY j.due_ns, j.id LIMIT 1";
	int rc = SQL_START(m, sql, &stmt, v_i64(uid), v_u64(size_below));
	if (rc == 0)
		rc = sql_step(m, stmt);
	if (rc <= 0)
		return rc < 0 ? rc : -ENOENT;
	*ret_id = column_u64(stmt, 0);
	bool is_due = sqlite3_column_int64(stmt, 1) <= now || sqlite3_column_int64(stmt, 2) > meta_now(m);
	return is_due ? 0 : -ENOENT;
}

static bool is_full(const struct job_turn *turn, int64_t uid) {
	for (size_t i = 0; i < turn->full_count; i++)
		if (turn->full_uids[i] == uid)
			return true;
	return false;
}

/* -ENOENT: nothing of this user's, or nothing that the turn lets through (*held_back). */
static int first_allowed(
        Meta *m, const struct job_turn *turn, int64_t uid, int64_t now, uint64_t *ret_id, bool *held_back) {
	uint64_t id;
	bool full = is_full(turn, uid);
	int rc = full ? -ENOENT : first_due(m, uid, turn->size_below, now, ret_id);
	if (rc != -ENOENT || (!full && turn->size_below == 0))
		return rc;
	rc = first_due(m, uid, 0, now, &id);
	*held_back = *held_back || rc == 0;
	return rc == 0 ? -ENOENT : rc;
}

int job_take_turn(Meta *m, const struct job_turn *turn, int64_t now, job_fn callback, void *arg, bool *ret_held_back) {
	int64_t uid = turn->after_uid;
	bool wrapped = false;
	uint64_t id = 0;
	int rc = -ENOENT;
	*ret_held_back = false;
	while (rc == -ENOENT) {
		rc = next_uid(m, uid, &uid);
		if (rc == -ENOENT && !wrapped) {
			wrapped = true;
			rc = next_uid(m, -1, &uid);
		}
		if (rc < 0 || (wrapped && uid > turn->after_uid))
			return rc < 0 ? rc : -ENOENT;
		rc = first_allowed(m, turn, uid, now, &id, ret_held_back);
	}
	if (rc == 0)
		rc = SQL_RUN(m, "UPDATE job SET state = 1, attempts = attempts + 1 WHERE id = ?", v_u64(id));
	return rc == 0 ? job_get(m, id, callback, arg) : rc;
}

static int change(Meta *m, const char *sql, const struct sql_value *values, size_t count) {
	uint64_t changed = 0;
	int rc = sql_run(m, sql, values, count, &changed);
	return rc == 0 && changed == 0 ? -ENOENT : rc;
}

int job_finish(Meta *m, uint64_t id, uint64_t verdict) {
	return change(m, "UPDATE job SET state = 2, verdict = ?2, done_ns = ?3 WHERE id = ?1 AND state = 1",
	        SQL_VALUES(v_u64(id), v_ref(verdict), v_i64(meta_now(m))));
}

int job_requeue(Meta *m, uint64_t id, int64_t due_ns) {
	/* Never from the future: a job that is put off again and again must wait each time. */
	return change(m,
	        "UPDATE job SET state = 0, due_ns = ?2, made_ns = min(made_ns, ?3) WHERE id = ?1 AND state = 1",
	        SQL_VALUES(v_u64(id), v_i64(due_ns), v_i64(meta_now(m))));
}

int job_put_back(Meta *m, uint64_t id, int64_t due_ns) {
	return change(m,
	        "UPDATE job SET state = 0, attempts = attempts - 1, due_ns = ?2, made_ns = min(made_ns, ?3)"
	        " WHERE id = ?1 AND state = 1",
	        SQL_VALUES(v_u64(id), v_i64(due_ns), v_i64(meta_now(m))));
}

int job_hurry(Meta *m) {
	uint64_t count;
	return SQL_RUN_CHANGED(m, "UPDATE job SET due_ns = ?1 WHERE state = 0 AND attempts > 0 AND due_ns > ?1", &count,
	        v_i64(meta_now(m)));
}

int job_requeue_running(Meta *m, uint64_t *ret_count) {
	return SQL_RUN_CHANGED(
	        m, "UPDATE job SET state = 0, due_ns = min(due_ns, ?) WHERE state = 1", ret_count, v_i64(meta_now(m)));
}

int job_cancel(Meta *m, uint64_t id) {
	return change(m, "UPDATE job SET state = 3, done_ns = ?2 WHERE id = ?1 AND state = 0",
	        SQL_VALUES(v_u64(id), v_i64(meta_now(m))));
}

int job_get(Meta *m, uint64_t id, job_fn callback, void *arg) {
	bool given = false;
	int rc = each(m, "SELECT " JOB_COLUMNS " FROM job WHERE id = ?", SQL_VALUES(v_u64(id)), callback, arg, &given);
	return rc == 0 && !given ? -ENOENT : rc;
}

int job_list_path(Meta *m, struct bytes path, job_fn callback, void *arg) {
	return each(m, "SELECT " JOB_COLUMNS " FROM job INDEXED BY job_open WHERE path = ? AND state < 2 ORDER BY id",
	        SQL_VALUES(v_bytes(path)), callback, arg, NULL);
}

int job_list(Meta *m, uint64_t after, bool only_open, job_fn callback, void *arg) {
	return each(m, "SELECT " JOB_COLUMNS " FROM job WHERE id > ? AND (? = 0 OR state < 2) ORDER BY id",
	        SQL_VALUES(v_u64(after), v_u64(only_open)), callback, arg, NULL);
}

int job_counts(Meta *m, uint64_t *ret_queued, uint64_t *ret_running) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int rc = SQL_START(m,
	        "SELECT count(*) FILTER (WHERE state = 0), count(*) FILTER (WHERE state = 1) FROM job"
	        " WHERE state < ?",
	        &stmt, v_u64(2));
	if (rc == 0)
		rc = sql_step(m, stmt);
	if (rc < 0)
		return rc;
	*ret_queued = column_u64(stmt, 0);
	*ret_running = column_u64(stmt, 1);
	return 0;
}

uint64_t job_last(Meta *m) {
	return m->state.next_job - 1;
}

/* By id, which needs no index: what was pruned before is not looked at again, but for what is open still. */
int job_prune(Meta *m, int64_t before_ns, uint64_t keep, uint64_t most, uint64_t *ret_count) {
	uint64_t last = job_last(m);
	static const char sql[] = "DELETE FROM job WHERE id IN (SELECT id FROM job WHERE id <= ?1 AND state IN (2, 3)"
	                          " AND done_ns < ?2 ORDER BY id LIMIT ?3)";
	*ret_count = 0;
	if (last <= keep)
		return 0;
	return SQL_RUN_CHANGED(m, sql, ret_count, v_u64(last - keep), v_i64(before_ns), v_u64(most));
}
