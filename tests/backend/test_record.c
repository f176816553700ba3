/* Jobs, verdicts, policies, quarantine, deliveries, lineage, values, segments, extended attributes. */
#include "backend/record.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include <cmocka.h>

#include "backend/job.h"
#include "backend/xattr.h"
#include "tests/backend/meta_fixture.h"

#define OP(f, call) (meta_begin((f)->m), meta_end((f)->m, (call)))

/* ---- jobs ---- */

static int copy_job(void *arg, const struct job *job) {
	struct job *to = arg;
	*to = *job;
	to->dataset = to->workflow = NULL;
	to->path = bytes_of(NULL, 0);
	return 0;
}

static uint64_t put_job(struct fixture *f, const char *path, uint64_t version, int64_t due, uint64_t *superseded) {
	struct job job = {
	        .kind = JOB_ARRIVE, .path = text(path), .version = version, .dataset = "d", .due_ns = due, .uid = 7};
	uint64_t id = 0, old_version;
	assert_int_equal(OP(f, job_put(f->m, &job, &id, superseded, &old_version)), 0);
	return id;
}

static void the_earliest_due_job_is_taken_first(void **state) {
	struct fixture *f = *state;
	struct job job;
	int64_t due;
	assert_int_equal(OP(f, job_next_due(f->m, 0, &due)), -ENOENT);
	uint64_t late = put_job(f, "b", 1, 200, NULL), early = put_job(f, "a", 1, 100, NULL);
	assert_int_equal(OP(f, job_next_due(f->m, 0, &due)), 0);
	assert_int_equal(due, 100);
	assert_int_equal(OP(f, job_take(f->m, 0, 99, copy_job, &job)), -ENOENT);
	assert_int_equal(OP(f, job_take(f->m, JOB_RECHECK, 300, copy_job, &job)), -ENOENT);
	assert_int_equal(OP(f, job_take(f->m, JOB_ARRIVE, 150, copy_job, &job)), 0);
	assert_int_equal(job.id, early);
	assert_int_equal(job.state, JOB_RUNNING);
	assert_int_equal(job.attempts, 1);
	assert_int_equal(job.uid, 7);
	assert_int_equal(OP(f, job_finish(f->m, early, 0)), 0);
	assert_int_equal(OP(f, job_finish(f->m, early, 0)), -ENOENT);
	assert_int_equal(OP(f, job_take(f->m, 0, 300, copy_job, &job)), 0);
	assert_int_equal(job.id, late);
	uint64_t queued, running;
	assert_int_equal(OP(f, job_counts(f->m, &queued, &running)), 0);
	assert_int_equal(queued, 0);
	assert_int_equal(running, 1);
}

static void a_newer_version_supersedes_a_queued_job_but_no_running_one(void **state) {
	struct fixture *f = *state;
	struct job job;
	uint64_t superseded = 99;
	uint64_t first = put_job(f, "a", 1, 100, &superseded);
	assert_int_equal(superseded, 0);
	uint64_t second = put_job(f, "a", 2, 100, &superseded);
	assert_int_equal(superseded, first);
	assert_int_equal(OP(f, job_get(f->m, first, copy_job, &job)), 0);
	assert_int_equal(job.state, JOB_SUPERSEDED);
	assert_int_equal(job.superseded_by, second);
	assert_int_equal(OP(f, job_postpone(f->m, JOB_ARRIVE, text("a"), NULL, 500)), 0);
	assert_int_equal(OP(f, job_take(f->m, 0, 499, copy_job, &job)), -ENOENT);
	assert_int_equal(OP(f, job_take(f->m, 0, 500, copy_job, &job)), 0);
	put_job(f, "a", 3, 600, &superseded);
	assert_int_equal(superseded, 0);
}

static void running_jobs_come_back_after_a_crash(void **state) {
	struct fixture *f = *state;
	struct job job;
	uint64_t id = put_job(f, "a", 1, 100, NULL), count = 0;
	assert_int_equal(OP(f, job_take(f->m, 0, 100, copy_job, &job)), 0);
	fixture_commit(f);
	fixture_reopen(f);
	assert_int_equal(OP(f, job_take(f->m, 0, 100, copy_job, &job)), -ENOENT);
	assert_int_equal(OP(f, job_requeue_running(f->m, &count)), 0);
	assert_int_equal(count, 1);
	assert_int_equal(OP(f, job_take(f->m, 0, 100, copy_job, &job)), 0);
	assert_int_equal(job.id, id);
	assert_int_equal(job.attempts, 2);
	assert_int_equal(OP(f, job_requeue(f->m, id, 900)), 0);
	assert_int_equal(OP(f, job_cancel(f->m, id)), 0);
	assert_int_equal(OP(f, job_prune(f->m, INT64_MAX, 0, 1000, &count)), 0);
	assert_int_equal(count, 1);
	assert_true(put_job(f, "a", 1, 100, NULL) > id);
}

static void ended_jobs_are_pruned_a_part_at_a_time(void **state) {
	struct fixture *f = *state;
	struct job job;
	uint64_t ids[6], count = 0;
	static const char *const paths[] = {"a", "b", "c", "d", "e", "f"};
	for (int i = 0; i < 6; i++) {
		ids[i] = put_job(f, paths[i], 1, 100, NULL);
		if (i != 1) /* which stays queued */
			assert_int_equal(OP(f, job_cancel(f->m, ids[i])), 0);
	}
	assert_int_equal(OP(f, job_prune(f->m, 0, 0, 10, &count)), 0);
	assert_int_equal(count, 0); /* none is that old */
	assert_int_equal(OP(f, job_prune(f->m, INT64_MAX, 2, 2, &count)), 0);
	assert_int_equal(count, 2);
	assert_int_equal(OP(f, job_get(f->m, ids[0], copy_job, &job)), -ENOENT);
	assert_int_equal(OP(f, job_get(f->m, ids[2], copy_job, &job)), -ENOENT);
	assert_int_equal(OP(f, job_prune(f->m, INT64_MAX, 2, 2, &count)), 0);
	assert_int_equal(count, 1);
	assert_int_equal(OP(f, job_get(f->m, ids[1], copy_job, &job)), 0);
	assert_int_equal(OP(f, job_get(f->m, ids[4], copy_job, &job)), 0);
	assert_int_equal(job_last(f->m), ids[5]);
}

static void a_job_from_before_the_clock_was_set_back_is_due(void **state) {
	struct fixture *f = *state;
	struct job job;
	int64_t due, now = f->now;
	uint64_t id = put_job(f, "a", 1, now + 1000, NULL);
	assert_int_equal(OP(f, job_take(f->m, 0, now, copy_job, &job)), -ENOENT);
	f->now = now - 1000000000;
	assert_int_equal(OP(f, job_next_due(f->m, 0, &due)), 0);
	assert_true(due <= f->now);
	assert_int_equal(OP(f, job_take(f->m, 0, f->now, copy_job, &job)), 0);
	assert_int_equal(job.id, id);
	/* put off by the clock as it is now, it waits as any other */
	assert_int_equal(OP(f, job_requeue(f->m, id, f->now + 500000)), 0);
	assert_int_equal(OP(f, job_take(f->m, 0, f->now, copy_job, &job)), -ENOENT);
	assert_int_equal(OP(f, job_take(f->m, 0, f->now + 500000, copy_job, &job)), 0);
}

static uint64_t put_job_of(struct fixture *f, uint32_t uid, const char *path, int64_t due) {
	struct job job = {.kind = JOB_ARRIVE, .path = text(path), .due_ns = due, .uid = uid};
	uint64_t id = 0;
	assert_int_equal(OP(f, job_put(f->m, &job, &id, NULL, NULL)), 0);
	return id;
}

static uint64_t take_turn(struct fixture *f, struct job_turn *turn, int64_t now, bool *held_back) {
	struct job job = {0};
	int rc = OP(f, job_take_turn(f->m, turn, now, copy_job, &job, held_back));
	assert_true(rc == 0 || rc == -ENOENT);
	if (rc == 0)
		turn->after_uid = job.uid;
	return rc == 0 ? job.id : 0;
}

static void users_have_their_jobs_taken_in_turn(void **state) {
	struct fixture *f = *state;
	bool held_back;
	assert_int_equal(OP(f, job_prepare_turns(f->m)), 0);
	assert_int_equal(OP(f, job_prepare_turns(f->m)), 0);
	struct job_turn turn = {.after_uid = -1};
	assert_int_equal(take_turn(f, &turn, 900, &held_back), 0);
	uint64_t a1 = put_job_of(f, 7, "a1", 100), a2 = put_job_of(f, 7, "a2", 101), a3 = put_job_of(f, 7, "a3", 102);
	uint64_t b1 = put_job_of(f, 0, "b1", 200), c1 = put_job_of(f, UINT32_MAX, "c1", 300);
	put_job_of(f, 9, "later", 1000);
	assert_int_equal(take_turn(f, &turn, 900, &held_back), b1);
	assert_int_equal(take_turn(f, &turn, 900, &held_back), a1);
	assert_int_equal(take_turn(f, &turn, 900, &held_back), c1);
	assert_int_equal(take_turn(f, &turn, 900, &held_back), a2);
	const uint32_t full[] = {5, 7};
	turn.full_uids = full;
	turn.full_count = 2;
	assert_int_equal(take_turn(f, &turn, 900, &held_back), 0);
	assert_true(held_back);
	turn.full_count = 1;
	assert_int_equal(take_turn(f, &turn, 900, &held_back), a3);
	assert_int_equal(take_turn(f, &turn, 900, &held_back), 0);
	assert_false(held_back); /* the one that is left is not due */
	struct job job;
	assert_int_equal(OP(f, job_put_back(f->m, a3, 1)), 0);
	assert_int_equal(OP(f, job_get(f->m, a3, copy_job, &job)), 0);
	assert_int_equal(job.attempts, 0);
}

/* ---- what the gate leaves ---- */

static int take_id(void *arg, const struct verdict_row *row) {
	*(uint64_t *)arg = row->id;
	return 0;
}

static void verdicts_are_found_by_path_version_and_input(void **state) {
	struct fixture *f = *state;
	uint8_t input[32] = {5};
	uint64_t number = 0, one = 0, two = 0, found = 0;
	struct policy_row policy = {.bundle = text("p"), .actor = text("root")};
	assert_int_equal(OP(f, policy_put(f->m, &policy, &number)), 0);
	assert_int_equal(number, 1);
	struct verdict_row row = {.path = text("Landing/a"),
	        .version = 3,
	        .outcome = VERDICT_FAILED,
	        .dataset = text("d"),
	        .policy = number,
	        .body = text("{}"),
	        .signature = text("s"),
	        .key_name = text("k")};
	memcpy(row.input_sha256, input, 32);
	assert_int_equal(OP(f, verdict_put(f->m, &row, &one)), 0);
	row.version = 4;
	row.outcome = VERDICT_PASSED;
	assert_int_equal(OP(f, verdict_put(f->m, &row, &two)), 0);
	assert_int_equal(OP(f, verdict_latest_for_path(f->m, text("Landing/a"), take_id, &found)), 0);
	assert_int_equal(found, two);
	assert_int_equal(OP(f, verdict_latest_for_version(f->m, 3, take_id, &found)), 0);
	assert_int_equal(found, one);
	assert_int_equal(OP(f, verdict_for_input(f->m, input, number, text("d"), take_id, &found)), 0);
	assert_int_equal(found, two);
	assert_int_equal(OP(f, verdict_for_input(f->m, input, number, text("e"), take_id, &found)), -ENOENT);
	assert_int_equal(OP(f, verdict_latest_for_path(f->m, text("Landing/b"), take_id, &found)), -ENOENT);
	bool has;
	assert_int_equal(OP(f, verdict_has_passed(f->m, input, text("d"), two + 1, &has)), 0);
	assert_true(has);
	assert_int_equal(OP(f, verdict_has_passed(f->m, input, text("d"), two, &has)), 0);
	assert_false(has);
	assert_int_equal(OP(f, verdict_has_passed(f->m, input, text("e"), two + 1, &has)), 0);
	assert_false(has);
	row.outcome = VERDICT_PENDING;
	assert_int_equal(OP(f, verdict_put(f->m, &row, &two)), -EINVAL);
	row.outcome = VERDICT_PASSED;
	row.signature.size = 0;
	assert_int_equal(OP(f, verdict_put(f->m, &row, &two)), -EINVAL);
}

static int take_policy(void *arg, const struct policy_row *row) {
	*(struct policy_row *)arg = *row;
	return 0;
}

static void the_last_policy_is_in_force_and_none_is_changed(void **state) {
	struct fixture *f = *state;
	struct policy_row row = {.bundle = text("one"), .actor = text("root"), .uid = 5}, got;
	uint64_t number;
	assert_int_equal(OP(f, policy_current(f->m, take_policy, &got)), -ENOENT);
	assert_int_equal(OP(f, policy_put(f->m, &row, &number)), 0);
	assert_int_equal(OP(f, policy_put(f->m, &row, &number)), 0);
	assert_int_equal(number, 2);
	assert_int_equal(OP(f, policy_current(f->m, take_policy, &got)), 0);
	assert_int_equal(got.number, 2);
	assert_int_equal(OP(f, policy_get(f->m, 1, take_policy, &got)), 0);
	assert_int_equal(got.uid, 5);
	fixture_commit(f);
	assert_int_not_equal(raw_sql(f, "UPDATE policy SET bundle = x'00'"), SQLITE_OK);
	assert_int_not_equal(raw_sql(f, "DELETE FROM policy"), SQLITE_OK);
}

static int count_held(void *arg, const struct quarantine_row *row) {
	(void)row;
	++*(size_t *)arg;
	return 0;
}

static void quarantine_is_decided_once(void **state) {
	struct fixture *f = *state;
	uint64_t verdict = make_verdict(f, VERDICT_FAILED, (uint8_t[32]){0}), id = 0;
	struct quarantine_row row = {.path = text("Trusted/a"), .verdict = verdict};
	assert_int_equal(OP(f, quarantine_put(f->m, &row, &id)), 0);
	row.verdict = 99;
	uint64_t none;
	assert_int_equal(OP(f, quarantine_put(f->m, &row, &none)), -EINVAL);
	size_t held = 0;
	struct quarantine_row got;
	char path[TREE_PATH_MAX];
	assert_int_equal(OP(f, quarantine_get(f->m, id, &got, path)), 0);
	assert_string_equal(path, "Trusted/a");
	assert_int_equal(got.id, id);
	assert_int_equal(got.verdict, verdict);
	assert_ptr_equal(got.path.data, path);
	assert_int_equal(OP(f, quarantine_get(f->m, id + 1, &got, path)), -ENOENT);
	assert_int_equal(OP(f, quarantine_list(f->m, 0, true, count_held, &held)), 0);
	assert_int_equal(held, 1);
	assert_int_equal(OP(f, quarantine_decide(f->m, id, QUARANTINE_HELD, 1)), -EINVAL);
	assert_int_equal(OP(f, quarantine_decide(f->m, id, QUARANTINE_RELEASED, 1)), 0);
	assert_int_equal(OP(f, quarantine_decide(f->m, id, QUARANTINE_DROPPED, 1)), -EALREADY);
	held = 0;
	assert_int_equal(OP(f, quarantine_list(f->m, 0, true, count_held, &held)), 0);
	assert_int_equal(held, 0);
	assert_int_equal(OP(f, quarantine_decide(f->m, 99, QUARANTINE_DROPPED, 1)), -ENOENT);
}

static int count_deliveries(void *arg, const struct delivery_row *row) {
	assert_int_equal(row->sha256[0], 9);
	++*(size_t *)arg;
	return 0;
}

static int take_lineage(void *arg, uint64_t version, uint64_t source, enum lineage_role role) {
	uint64_t *sum = arg;
	*sum = *sum * 1000 + version * 100 + source * 10 + role;
	return 0;
}

static int take_value(void *arg, int64_t time, double value, uint64_t verdict) {
	(void)time, (void)verdict;
	double *sum = arg;
	*sum = *sum * 10 + value;
	return 0;
}

static void deliveries_lineage_and_values_are_kept(void **state) {
	struct fixture *f = *state;
	struct delivery_row delivery = {.node = 5, .version = 1, .path = text("Landing/a"), .sha256 = {9}};
	uint64_t id, sum = 0;
	size_t count = 0;
	assert_int_equal(OP(f, delivery_put(f->m, &delivery, &id)), 0);
	assert_int_equal(OP(f, delivery_list(f->m, 5, count_deliveries, &count)), 0);
	assert_int_equal(count, 1);
	assert_int_equal(OP(f, lineage_put(f->m, 3, 1, LINEAGE_INPUT)), 0);
	assert_int_equal(OP(f, lineage_put(f->m, 3, 1, LINEAGE_INPUT)), 0);
	assert_int_equal(OP(f, lineage_put(f->m, 3, 2, LINEAGE_REFERENCE)), 0);
	assert_int_equal(OP(f, lineage_sources(f->m, 3, take_lineage, &sum)), 0);
	assert_int_equal(sum, 311322);
	sum = 0;
	assert_int_equal(OP(f, lineage_products(f->m, 2, take_lineage, &sum)), 0);
	assert_int_equal(sum, 322);
	double values = 0;
	for (int i = 1; i < 5; i++)
		assert_int_equal(OP(f, metric_put(f->m, text("d"), text("RowCount"), i, i, 0)), 0);
	assert_int_equal(OP(f, metric_put(f->m, text("d"), text("RowCount"), 5, (double)NAN, 0)), -EDOM);
	assert_int_equal(OP(f, metric_list(f->m, text("d"), text("RowCount"), 4, 2, take_value, &values)), 0);
	assert_true(values > 31.9 && values < 32.1);
}

struct seen_values {
	size_t count;
	int64_t newest, oldest;
};

static int count_values(void *arg, int64_t time_ns, double value, uint64_t verdict) {
	struct seen_values *seen = arg;
	(void)value;
	assert_int_equal(verdict, 7);
	seen->newest = seen->count++ == 0 ? time_ns : seen->newest;
	seen->oldest = time_ns;
	return 0;
}

static void of_a_series_the_newest_values_are_kept(void **state) {
	struct fixture *f = *state;
	struct seen_values seen = {0}, other = {0};
	for (int i = 1; i <= METRIC_KEPT + 20; i++)
		assert_int_equal(OP(f, metric_put(f->m, text("d"), text("RowCount"), i / 2, i, 7)), 0);
	assert_int_equal(OP(f, metric_put(f->m, text("d"), text("Mean"), 1, 1, 7)), 0);
	assert_int_equal(OP(f, metric_put(f->m, text("e"), text("RowCount"), 1, 1, 7)), 0);
	assert_int_equal(OP(f, metric_list(f->m, text("d"), text("RowCount"), INT64_MAX, 0, count_values, &seen)), 0);
	assert_int_equal(seen.count, METRIC_KEPT);
	assert_int_equal(seen.newest, (METRIC_KEPT + 20) / 2);
	assert_int_equal(seen.oldest, 10);
	assert_int_equal(OP(f, metric_list(f->m, text("e"), text("RowCount"), INT64_MAX, 0, count_values, &other)), 0);
	assert_int_equal(other.count, 1);
}

static void the_series_of_a_subject_are_counted(void **state) {
	struct fixture *f = *state;
	uint64_t count = 99;
	bool has;
	assert_int_equal(OP(f, metric_series(f->m, text("d"), 10, &count)), 0);
	assert_int_equal(count, 0);
	for (int i = 0; i < 12; i++) {
		char name[] = {(char)('a' + i / 2), 0};
		assert_int_equal(OP(f, metric_put(f->m, text("d"), text(name), i, i, 0)), 0);
	}
	assert_int_equal(OP(f, metric_put(f->m, text("e"), text("z"), 1, 1, 0)), 0);
	assert_int_equal(OP(f, metric_series(f->m, text("d"), 100, &count)), 0);
	assert_int_equal(count, 6);
	assert_int_equal(OP(f, metric_series(f->m, text("d"), 4, &count)), 0);
	assert_int_equal(count, 4);
	assert_int_equal(OP(f, metric_has_series(f->m, text("d"), text("f"), &has)), 0);
	assert_true(has);
	assert_int_equal(OP(f, metric_has_series(f->m, text("d"), text("z"), &has)), 0);
	assert_false(has);
}

/* ---- segments ---- */

static int count_segments(void *arg, const struct segment_row *row) {
	assert_int_equal(row->zone, ZONE_RAW);
	++*(size_t *)arg;
	return 0;
}

static void a_segment_only_grows_and_stays_closed(void **state) {
	struct fixture *f = *state;
	struct segment_row row = {.number = 1, .id = {1}, .zone = ZONE_RAW, .key_version = 1, .bytes = 100}, got;
	assert_int_equal(OP(f, segment_row_put(&row, f->m)), 0);
	row.bytes = 200;
	assert_int_equal(OP(f, segment_row_put(&row, f->m)), 0);
	assert_int_equal(OP(f, segment_row_remove(f->m, 1)), -EPERM);
	row.bytes = 150;
	assert_int_equal(OP(f, segment_row_put(&row, f->m)), -EUCLEAN);
	row.bytes = 300;
	row.state = SEGMENT_CLOSED;
	assert_int_equal(OP(f, segment_row_put(&row, f->m)), 0);
	row.state = SEGMENT_OPEN;
	assert_int_equal(OP(f, segment_row_put(&row, f->m)), -EUCLEAN);
	assert_int_equal(OP(f, segment_row_get(f->m, 1, &got)), 0);
	assert_int_equal(got.bytes, 300);
	assert_int_equal(got.state, SEGMENT_CLOSED);
	uint64_t live;
	assert_int_equal(OP(f, segment_live_get(f->m, 1, &live)), -ENOENT);
	assert_int_equal(OP(f, segment_live_set(f->m, 1, 77)), 0);
	assert_int_equal(OP(f, segment_live_get(f->m, 1, &live)), 0);
	assert_int_equal(live, 77);
	size_t count = 0;
	assert_int_equal(OP(f, segment_row_list(f->m, count_segments, &count)), 0);
	assert_int_equal(count, 1);
	fixture_commit(f);
	assert_int_not_equal(raw_sql(f, "UPDATE segment SET bytes = 1"), SQLITE_OK);
	assert_int_not_equal(raw_sql(f, "UPDATE segment SET zone = 1"), SQLITE_OK);
	assert_int_equal(OP(f, segment_row_remove(f->m, 1)), 0);
}

/* ---- extended attributes ---- */

static int join_names(void *arg, struct bytes name, size_t value_size) {
	char *joined = arg;
	assert_true(value_size <= XATTR_VALUE_BYTES);
	strncat(joined, (const char *)name.data, name.size);
	strcat(joined, " ");
	return 0;
}

static void extended_attributes_follow_their_flags(void **state) {
	struct fixture *f = *state;
	struct node a = make(f, NODE_LANDING, "a", S_IFREG | 0644), b = make(f, NODE_LANDING, "b", S_IFREG | 0644),
	            node;
	static uint8_t big[XATTR_VALUE_BYTES + 1];
	char value[16], names[64] = "";
	size_t size = 0;
	assert_int_equal(OP(f, xattr_set(f->m, a.id, text("user.x"), text("1"), XATTR_REPLACE)), -ENODATA);
	assert_int_equal(OP(f, xattr_set(f->m, a.id, text("user.x"), text("1"), XATTR_CREATE)), 0);
	assert_int_equal(OP(f, xattr_set(f->m, a.id, text("user.x"), text("2"), XATTR_CREATE)), -EEXIST);
	assert_int_equal(OP(f, xattr_set(f->m, a.id, text("user.x"), text("22"), 0)), 0);
	assert_int_equal(OP(f, xattr_set(f->m, a.id, text("user.a"), text(""), 0)), 0);
	assert_int_equal(OP(f, xattr_set(f->m, a.id, text(""), text(""), 0)), -ERANGE);
	assert_int_equal(OP(f, xattr_set(f->m, a.id, text("user.b"), bytes_of(big, sizeof big), 0)), -E2BIG);
	assert_int_equal(OP(f, xattr_set(f->m, a.id, text("user.b"), bytes_of(big, sizeof big - 1), 0)), 0);
	assert_int_equal(OP(f, xattr_remove(f->m, a.id, text("user.b"))), 0);
	assert_int_equal(OP(f, xattr_set(f->m, 999, text("user.b"), text(""), 0)), -ESTALE);
	assert_int_equal(OP(f, xattr_get(f->m, a.id, text("user.x"), value, sizeof value, &size)), 0);
	assert_int_equal(size, 2);
	assert_memory_equal(value, "22", 2);
	assert_int_equal(OP(f, xattr_get(f->m, a.id, text("user.x"), value, 1, &size)), -ERANGE);
	assert_int_equal(OP(f, xattr_get(f->m, a.id, text("user.x"), NULL, 0, &size)), 0);
	assert_int_equal(OP(f, xattr_get(f->m, a.id, text("user.z"), value, sizeof value, &size)), -ENODATA);
	assert_int_equal(OP(f, xattr_list(f->m, a.id, join_names, names)), 0);
	assert_string_equal(names, "user.a user.x ");
	assert_int_equal(OP(f, xattr_copy(f->m, a.id, b.id)), 0);
	assert_int_equal(OP(f, tree_get(f->m, b.id, &node)), 0);
	assert_int_equal(node.xattrs, 2);
	assert_int_equal(OP(f, xattr_remove(f->m, b.id, text("user.a"))), 0);
	assert_int_equal(OP(f, xattr_remove(f->m, b.id, text("user.a"))), -ENODATA);
	assert_int_equal(OP(f, tree_get(f->m, b.id, &node)), 0);
	assert_int_equal(node.xattrs, 1);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
	        TEST(the_earliest_due_job_is_taken_first),
	        TEST(a_newer_version_supersedes_a_queued_job_but_no_running_one),
	        TEST(running_jobs_come_back_after_a_crash),
	        TEST(ended_jobs_are_pruned_a_part_at_a_time),
	        TEST(users_have_their_jobs_taken_in_turn),
	        TEST(a_job_from_before_the_clock_was_set_back_is_due),
	        TEST(verdicts_are_found_by_path_version_and_input),
	        TEST(the_last_policy_is_in_force_and_none_is_changed),
	        TEST(quarantine_is_decided_once),
	        TEST(deliveries_lineage_and_values_are_kept),
	        TEST(of_a_series_the_newest_values_are_kept),
	        TEST(the_series_of_a_subject_are_counted),
	        TEST(a_segment_only_grows_and_stays_closed),
	        TEST(extended_attributes_follow_their_flags),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
