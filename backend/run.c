#include "backend/run.h"

#include "backend/meta_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define COLUMNS                                                                                                   \
	"id, workflow, cause, state, attempt, due_ns, started_ns, ended_ns, uid, total, passed, failed, errors, " \
	"skipped, retried_by, words"

static const char *word_of(uint8_t number, const char *const words[], size_t count) {
	return number < count && words[number] ? words[number] : "?";
}

const char *run_state_word(uint8_t state) {
	static const char *const words[] = {
	        "queued", "running", "succeeded", "failed", "timed-out", "missed", "interrupted", "skipped"};
	return word_of(state, words, sizeof words / sizeof words[0]);
}

const char *run_cause_word(uint8_t cause) {
	static const char *const words[] = {NULL, "schedule", "catch-up", "by-hand", "after", "retry"};
	return word_of(cause, words, sizeof words / sizeof words[0]);
}

static bool has_runs(const Meta *m) {
	return meta_has(m, META_SCHEMA_WATCHED);
}

/* ---- reading ---- */

static void copy_text(const unsigned char *from, char *to, size_t capacity) {
	(void)snprintf(to, capacity, "%s", from ? (const char *)from : "");
}

static void read_run(sqlite3_stmt *stmt, struct run *ret) {
	*ret = (struct run){.id = column_u64(stmt, 0),
	        .cause = (uint8_t)sqlite3_column_int(stmt, 2),
	        .state = (uint8_t)sqlite3_column_int(stmt, 3),
	        .attempt = column_u32(stmt, 4),
	        .due_ns = sqlite3_column_int64(stmt, 5),
	        .started_ns = sqlite3_column_int64(stmt, 6),
	        .ended_ns = sqlite3_column_int64(stmt, 7),
	        .uid = column_u32(stmt, 8),
	        .total = column_u64(stmt, 9),
	        .passed = column_u64(stmt, 10),
	        .failed = column_u64(stmt, 11),
	        .errors = column_u64(stmt, 12),
	        .skipped = column_u64(stmt, 13),
	        .retried_by = column_u64(stmt, 14)};
	copy_text(sqlite3_column_text(stmt, 1), ret->workflow, sizeof ret->workflow);
	copy_text(sqlite3_column_text(stmt, 15), ret->words, sizeof ret->words);
}

static int each_run(
        Meta *m, const char *sql, const struct sql_value *values, size_t count, run_fn *callback, void *arg) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	if (!has_runs(m))
		return 0;
	int rc = sql_start(m, sql, values, count, &stmt);
	while (rc == 0 && (rc = sql_step(m, stmt)) > 0) {
		struct run run;
		read_run(stmt, &run);
		rc = callback(arg, &run);
	}
	return rc < 0 ? rc : 0;
}

struct one {
	struct run *run;
	bool is_there;
};

static int take_one(void *arg, const struct run *run) {
	struct one *one = arg;
	*one->run = *run;
	one->is_there = true;
	return 1;
}

static int one_run(Meta *m, const char *sql, const struct sql_value *values, size_t count, struct run *ret_run) {
	struct run run;
	struct one one = {.run = &run};
	int rc = each_run(m, sql, values, count, take_one, &one);
	if (rc < 0 || !one.is_there)
		return rc < 0 ? rc : -ENOENT;
	*ret_run = run;
	return 0;
}

int run_get(Meta *m, uint64_t id, struct run *ret_run) {
	return one_run(m, "SELECT " COLUMNS " FROM run WHERE id = ?", SQL_VALUES(v_u64(id)), ret_run);
}

int run_list(Meta *m, const char *workflow, uint64_t before, run_fn *each, void *arg) {
	int64_t below = before ? (int64_t)before : INT64_MAX;
	if (workflow)
		return each_run(m, "SELECT " COLUMNS " FROM run WHERE workflow = ? AND id < ? ORDER BY id DESC",
		        SQL_VALUES(v_text(workflow), v_i64(below)), each, arg);
	return each_run(
	        m, "SELECT " COLUMNS " FROM run WHERE id < ? ORDER BY id DESC", SQL_VALUES(v_i64(below)), each, arg);
}

int run_list_open(Meta *m, uint64_t after, run_fn *each, void *arg) {
	return each_run(m, "SELECT " COLUMNS " FROM run INDEXED BY run_open WHERE ended_ns = 0 AND id > ? ORDER BY id",
	        SQL_VALUES(v_u64(after)), each, arg);
}

int run_find_open(Meta *m, const char *workflow, struct run *ret_run) {
	return one_run(m,
	        "SELECT " COLUMNS " FROM run INDEXED BY run_open WHERE ended_ns = 0 AND workflow = ? ORDER BY id",
	        SQL_VALUES(v_text(workflow)), ret_run);
}

int run_last_begun(Meta *m, const char *workflow, struct run *ret_run) {
	return one_run(m, "SELECT " COLUMNS " FROM run WHERE workflow = ? AND started_ns <> 0 ORDER BY id DESC LIMIT 1",
	        SQL_VALUES(v_text(workflow)), ret_run);
}

int run_last_due(Meta *m, const char *workflow, int64_t *ret_due_ns) {
	uint64_t due = 0;
	int rc = has_runs(m) ? SQL_NUMBER(m, "SELECT max(due_ns) FROM run WHERE workflow = ? AND cause IN (1, 2)", &due,
	                               v_text(workflow))
	                     : 0;
	if (rc == 0)
		*ret_due_ns = (int64_t)due;
	return rc;
}

int run_last_after(Meta *m, const char *workflow, struct run *ret_run) {
	return one_run(m, "SELECT " COLUMNS " FROM run WHERE workflow = ? AND cause = 4 ORDER BY id DESC LIMIT 1",
	        SQL_VALUES(v_text(workflow)), ret_run);
}

int run_facts(Meta *m, const char *workflow, int64_t since_ns, struct run_facts *ret_facts) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	*ret_facts = (struct run_facts){0};
	if (!has_runs(m))
		return 0;
	int rc = SQL_START(m,
	        "SELECT max(ended_ns) FILTER (WHERE state = 2), count(*) FILTER (WHERE state = 2 AND ended_ns > ?2),"
	        " count(*) FILTER (WHERE state IN (3, 4, 6) AND retried_by = 0 AND ended_ns > ?2),"
	        " count(*) FILTER (WHERE state = 5 AND ended_ns > ?2) FROM run WHERE workflow = ?1",
	        &stmt, v_text(workflow), v_i64(since_ns));
	if (rc == 0)
		rc = sql_step(m, stmt);
	if (rc <= 0)
		return rc;
	*ret_facts = (struct run_facts){.last_success_ns = sqlite3_column_int64(stmt, 0),
	        .succeeded = column_u64(stmt, 1),
	        .failed = column_u64(stmt, 2),
	        .missed = column_u64(stmt, 3)};
	return 0;
}

/* ---- writing ---- */

static int prune(Meta *m, const char *workflow) {
	return SQL_RUN(m,
	        "DELETE FROM run WHERE workflow = ?1 AND ended_ns <> 0 AND id <= (SELECT id FROM run WHERE"
	        " workflow = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
	        v_text(workflow), v_u64(RUN_KEEP));
}

int run_put(Meta *m, const struct run *run, uint64_t *ret_id) {
	uint64_t made = 0;
	bool is_over = run_is_over(run);
	int rc = meta_raise_schema(m, META_SCHEMA_WATCHED);
	if (rc == 0)
		rc = SQL_RUN_CHANGED(m,
		        "INSERT INTO run (workflow, cause, state, attempt, due_ns, ended_ns, uid, words)"
		        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
		        &made, v_text(run->workflow), v_u64(run->cause), v_u64(run->state), v_u64(run->attempt),
		        v_i64(run->due_ns), v_i64(is_over ? meta_now(m) : 0), v_u64(run->uid), v_text(run->words));
	if (rc == 0 && made == 0)
		return -EEXIST;
	if (rc == 0)
		rc = SQL_NUMBER(m, "SELECT max(id) FROM run WHERE workflow = ?", ret_id, v_text(run->workflow));
	return rc < 0 ? rc : prune(m, run->workflow);
}

static int change(Meta *m, const char *sql, const struct sql_value *values, size_t count) {
	uint64_t changed = 0;
	int rc = sql_run(m, sql, values, count, &changed);
	return rc == 0 && changed == 0 ? -ENOENT : rc;
}

/* Of the workflow's former runs nobody asks for the jobs any more. */
int run_begin(Meta *m, uint64_t id) {
	int rc = SQL_RUN(m,
	        "DELETE FROM run_job WHERE run IN (SELECT id FROM run WHERE id <> ?1 AND ended_ns <> 0 AND workflow ="
	        " (SELECT workflow FROM run WHERE id = ?1))",
	        v_u64(id));
	if (rc < 0)
		return rc;
	return change(m, "UPDATE run SET started_ns = ?2 WHERE id = ?1 AND state = 0",
	        SQL_VALUES(v_u64(id), v_i64(meta_now(m))));
}

int run_again(Meta *m, uint64_t id) {
	int rc = run_withdraw_jobs(m, id);
	if (rc == 0)
		rc = SQL_RUN(m, "DELETE FROM run_job WHERE run = ?", v_u64(id));
	if (rc == 0)
		rc = SQL_RUN(m,
		        "UPDATE run SET total = 0, passed = 0, failed = 0, errors = 0, skipped = 0 WHERE id = ?",
		        v_u64(id));
	return rc;
}

int run_add_job(Meta *m, uint64_t id, uint64_t job) {
	int rc = change(m, "UPDATE run SET total = total + 1 WHERE id = ? AND state = 0", SQL_VALUES(v_u64(id)));
	return rc < 0 ? rc : SQL_RUN(m, "INSERT INTO run_job (job, run) VALUES (?, ?)", v_u64(job), v_u64(id));
}

int run_queued_all(Meta *m, uint64_t id) {
	return change(m, "UPDATE run SET state = 1 WHERE id = ? AND state = 0", SQL_VALUES(v_u64(id)));
}

int run_job_given_up(Meta *m, uint64_t job) {
	if (!has_runs(m))
		return 0;
	return SQL_RUN(m,
	        "UPDATE run SET errors = errors + 1, skipped = skipped - 1 WHERE ended_ns = 0 AND id ="
	        " (SELECT run FROM run_job WHERE job = ?)",
	        v_u64(job));
}

int run_of_job(Meta *m, uint64_t job, uint64_t *ret_id) {
	*ret_id = 0;
	int rc = has_runs(m) ? SQL_NUMBER(m, "SELECT run FROM run_job WHERE job = ?", ret_id, v_u64(job)) : 0;
	return rc == -ENOENT ? 0 : rc;
}

int run_withdraw_jobs(Meta *m, uint64_t id) {
	return SQL_RUN(m,
	        "UPDATE job SET state = 3, done_ns = ?2 WHERE state < 2 AND id IN (SELECT job FROM run_job WHERE run"
	        " = ?1)",
	        v_u64(id), v_i64(meta_now(m)));
}

int run_end(Meta *m, uint64_t id, enum run_state state, const char *words) {
	return change(m, "UPDATE run SET state = ?2, ended_ns = ?3, words = ?4 WHERE id = ?1 AND ended_ns = 0",
	        SQL_VALUES(v_u64(id), v_u64(state), v_i64(meta_now(m)), v_text(words ? words : "")));
}

int run_retried(Meta *m, uint64_t id, uint64_t by) {
	return change(m, "UPDATE run SET retried_by = ?2 WHERE id = ?1", SQL_VALUES(v_u64(id), v_u64(by)));
}

int run_jobs(Meta *m, uint64_t id, uint64_t after, run_job_fn *each, void *arg) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	if (!has_runs(m))
		return 0;
	int rc = SQL_START(m, "SELECT job FROM run_job INDEXED BY run_job_run WHERE run = ? AND job > ? ORDER BY job",
	        &stmt, v_u64(id), v_u64(after));
	while (rc == 0 && (rc = sql_step(m, stmt)) > 0)
		rc = each(arg, column_u64(stmt, 0));
	return rc < 0 ? rc : 0;
}
