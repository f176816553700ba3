#include "policy/gate/schedule.h"

#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"
#include "policy/gate/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#define SECOND_NS INT64_C(1000000000)
/* Later than this is not on time. */
#define GRACE_S 60
/* What was done lies so far ahead only when the clock was wrong then. */
#define AHEAD_NS (INT64_C(3) * 3600 * SECOND_NS)
/* While a run is going its end is also looked for: a job may end otherwise than by being run (erased). */
#define OPEN_LOOK_NS SECOND_NS

/* When a run was first seen in this mount: its time counts from there, by a clock that nobody sets. */
struct seen {
	uint64_t run;
	int64_t since_ms;
};

struct Schedule {
	struct schedule_options options;
	int wake_fd, timer_fd;
	pthread_t thread;
	bool has_thread;
	_Atomic bool stop;
	uint64_t first_run; /* runs from here on were made in this mount */
	int64_t looked_ns;  /* when it looked last; 0: not yet */
	struct seen *seen;
	size_t seen_count, seen_room;
	uint64_t policy_number; /* whose time is known */
	int64_t policy_ns;
};

struct look {
	Schedule *s;
	Meta *m;
	struct gate_policy *policy;
	int64_t now_ns, next_ns;
};

static void wake_at(struct look *look, int64_t at_ns) {
	if (at_ns < look->next_ns)
		look->next_ns = at_ns;
}

/* Trouble with one workflow is told, and keeps none of the others. */
static void tell(struct look *look, int rc, const char *workflow) {
	char words[FAULT_MESSAGE_BYTES + 300];
	if (rc >= 0 || rc == -ECANCELED || !look->s->options.failed)
		return;
	(void)snprintf(words, sizeof words, "workflow %s: %s", workflow, fault_message());
	look->s->options.failed(look->s->options.arg, words);
}

int schedule_next(const struct policy_workflow *workflow, int64_t after_s, int64_t *ret_s) {
	if (workflow->on != POLICY_ON_CRON || !workflow->is_enabled)
		return -ENOENT;
	return cron_next(&workflow->schedule, workflow->zone, after_s, ret_s);
}

/* ---- runs that have no end ---- */

static struct seen *seen_of(Schedule *s, uint64_t run) {
	for (size_t i = 0; i < s->seen_count; i++)
		if (s->seen[i].run == run)
			return &s->seen[i];
	if (s->seen_count == s->seen_room) {
		size_t room = s->seen_room ? 2 * s->seen_room : 16;
		struct seen *grown = reallocarray(s->seen, room, sizeof *grown);
		if (!grown)
			return NULL;
		s->seen = grown;
		s->seen_room = room;
	}
	s->seen[s->seen_count] = (struct seen){.run = run, .since_ms = monotonic_ms()};
	return &s->seen[s->seen_count++];
}

static void forget_seen(Schedule *s, uint64_t run) {
	for (size_t i = 0; i < s->seen_count; i++)
		if (s->seen[i].run == run)
			s->seen[i] = s->seen[--s->seen_count];
}

static int close_run(struct look *look, struct run *run, enum run_state state, const char *words) {
	meta_begin(look->m);
	int rc = run_close(look->m, look->policy->policy, run, state, words, &look->s->options.actor);
	rc = meta_end(look->m, rc);
	forget_seen(look->s, run->id);
	look->next_ns = 0; /* a retry, and what comes after it */
	return rc == -ENOENT ? 0 : rc;
}

static int end_late(struct look *look, struct run *run, const struct policy_workflow *workflow) {
	char words[200];
	const struct seen *seen = seen_of(look->s, run->id);
	int64_t left_ms = seen ? seen->since_ms + (int64_t)workflow->time_limit_s * 1000 - monotonic_ms() : INT64_MAX;
	if (workflow->time_limit_s == 0)
		return 0;
	if (left_ms > 0) {
		wake_at(look, look->now_ns + left_ms * 1000000);
		return 0;
	}
	uint64_t open = run->total - (run->passed + run->failed + run->errors + run->skipped);
	(void)snprintf(words, sizeof words,
	        "its time_limit of %u s was over, and %" PRIu64 " of %" PRIu64 " files were not checked",
	        workflow->time_limit_s, open, run->total);
	return close_run(look, run, RUN_TIMED_OUT, words);
}

static int look_running(struct look *look, struct run *run, const struct policy_workflow *workflow) {
	meta_begin(look->m);
	int rc = run_get(look->m, run->id, run);
	if (rc >= 0)
		rc = run_settle(look->m, look->policy->policy, run, &look->s->options.actor);
	rc = meta_end(look->m, rc);
	if (rc > 0) {
		forget_seen(look->s, run->id);
		look->next_ns = 0;
	} else if (rc == 0 && !run_is_over(run)) {
		wake_at(look, look->now_ns + OPEN_LOOK_NS);
		rc = end_late(look, run, workflow);
	}
	return rc == -ENOENT ? 0 : rc;
}

static int look_queued(struct look *look, struct run *run, const struct policy_workflow *workflow) {
	if (run->cause == RUN_BY_HAND && run->id >= look->s->first_run)
		return 0; /* whoever asked for it is at it */
	if (run->due_ns > look->now_ns &&
	        run->due_ns < look->now_ns + workflow->retry_after_s * SECOND_NS + SECOND_NS) {
		wake_at(look, run->due_ns);
		return 0;
	}
	(void)seen_of(look->s, run->id);
	look->next_ns = 0;
	return run_carry_out(look->s->options.gate, look->policy, workflow, run, &look->s->options.actor);
}

static int take_next(void *arg, const struct run *run) {
	*(struct run *)arg = *run;
	return 1;
}

static void look_at_open(struct look *look) {
	struct run run = {0};
	for (uint64_t after = 0; !atomic_load(&look->s->stop); after = run.id) {
		run.id = 0;
		meta_begin(look->m);
		int rc = meta_end(look->m, run_list_open(look->m, after, take_next, &run));
		if (rc < 0 || run.id == 0)
			return;
		const struct policy_workflow *workflow = policy_workflow_named(look->policy->policy, run.workflow);
		if (!workflow)
			rc = close_run(look, &run, RUN_INTERRUPTED, "the policy has no such workflow any more");
		else if (run.state == RUN_QUEUED)
			rc = look_queued(look, &run, workflow);
		else
			rc = look_running(look, &run, workflow);
		tell(look, rc, run.workflow);
	}
}

/* ---- what comes by itself ---- */

static int begin(struct look *look, const struct policy_workflow *workflow, struct run *run) {
	struct run open;
	Meta *m = look->m;
	const struct actor *actor = &look->s->options.actor;
	(void)snprintf(run->workflow, sizeof run->workflow, "%s", workflow->name);
	run->attempt = 1;
	run->uid = actor->uid;
	meta_begin(m);
	int rc = run->state == RUN_QUEUED ? run_refuse_second(m, look->policy->policy, workflow->name, actor) : 0;
	if (rc == -EBUSY && run_find_open(m, workflow->name, &open) == 0) {
		run->state = RUN_SKIPPED;
		(void)snprintf(run->words, sizeof run->words, "run %" PRIu64 " was still going", open.id);
		rc = 0;
	}
	if (rc >= 0)
		rc = run_put(m, run, &run->id);
	if (rc >= 0 && run->state != RUN_QUEUED)
		rc = run_record_end(m, run, actor);
	rc = meta_end(m, rc);
	if (rc < 0 || run->state != RUN_QUEUED)
		return rc == -EEXIST ? 0 : rc;
	(void)seen_of(look->s, run->id);
	look->next_ns = 0;
	return run_carry_out(look->s->options.gate, look->policy, workflow, run, actor);
}

/* From when on times are to be run: behind the last that has a row. */
static int time_since(struct look *look, const struct policy_workflow *workflow, int64_t *ret_s) {
	int64_t last_ns = 0;
	meta_begin(look->m);
	int rc = meta_end(look->m, run_last_due(look->m, workflow->name, &last_ns));
	if (last_ns < look->s->policy_ns)
		last_ns = look->s->policy_ns;
	if (last_ns > look->now_ns + AHEAD_NS)
		last_ns = look->s->looked_ns != 0 && look->s->looked_ns < look->now_ns ? look->s->looked_ns
		                                                                       : look->now_ns;
	*ret_s = last_ns / SECOND_NS;
	return rc;
}

static int look_at_cron(struct look *look, const struct policy_workflow *workflow) {
	int64_t since_s, due_s, now_s = look->now_ns / SECOND_NS, next_s;
	uint64_t count = 0;
	int rc = time_since(look, workflow, &since_s);
	if (rc < 0)
		return rc;
	if (schedule_next(workflow, since_s > now_s ? since_s : now_s, &next_s) == 0)
		wake_at(look, next_s * SECOND_NS);
	if (cron_last(&workflow->schedule, workflow->zone, since_s, now_s, &due_s, &count) < 0)
		return 0;
	bool is_late = now_s - due_s > GRACE_S;
	struct run run = {.cause = is_late ? RUN_CATCHES_UP : RUN_BY_SCHEDULE, .due_ns = due_s * SECOND_NS};
	if (is_late && !workflow->catches_up) {
		run.state = RUN_MISSED;
		(void)snprintf(run.words, sizeof run.words, "%" PRIu64 " %s past while nothing was there to begin it",
		        count, count == 1 ? "time went" : "times went");
	} else if (count > 1) {
		(void)snprintf(run.words, sizeof run.words, "for %" PRIu64 " times that went past", count);
	}
	return begin(look, workflow, &run);
}

/* Has each of them ended well since the last run that they brought about? */
static int look_at_after(struct look *look, const struct policy_workflow *workflow) {
	struct run last = {0}, former;
	int64_t newest = 0;
	bool all = true;
	meta_begin(look->m);
	int rc = run_last_after(look->m, workflow->name, &last);
	if (rc == -ENOENT)
		rc = 0;
	for (size_t i = 0; rc >= 0 && all && i < workflow->after_count; i++) {
		rc = run_last_begun(look->m, workflow->after[i], &former);
		bool is_new = rc >= 0 && (former.ended_ns > last.due_ns || former.id > last.id) &&
		              former.ended_ns > look->s->policy_ns;
		all = is_new && former.state == RUN_SUCCEEDED;
		newest = all && former.ended_ns > newest ? former.ended_ns : newest;
		rc = rc == -ENOENT ? 0 : rc;
	}
	rc = meta_end(look->m, rc);
	if (rc < 0 || !all)
		return rc;
	struct run run = {.cause = RUN_AFTER, .due_ns = newest};
	return begin(look, workflow, &run);
}

static void look_at_workflows(struct look *look) {
	const Policy *policy = look->policy->policy;
	for (size_t i = 0; i < policy_workflow_count(policy) && !atomic_load(&look->s->stop); i++) {
		const struct policy_workflow *workflow = policy_workflow(policy, i);
		int rc = 0;
		if (workflow->is_enabled && workflow->on == POLICY_ON_CRON)
			rc = look_at_cron(look, workflow);
		else if (workflow->is_enabled && workflow->on == POLICY_ON_AFTER)
			rc = look_at_after(look, workflow);
		tell(look, rc, workflow->name);
	}
}

static int take_time(void *arg, const struct policy_row *row) {
	*(int64_t *)arg = row->time_ns;
	return 0;
}

/* What has to be known of the vault before. */
static int get_ready(Schedule *s, struct look *look) {
	int rc = 0;
	meta_begin(look->m);
	if (look->policy->number != s->policy_number) {
		rc = policy_current(look->m, take_time, &s->policy_ns);
		s->policy_number = rc >= 0 ? look->policy->number : 0;
	}
	return meta_end(look->m, rc);
}

int schedule_look(Schedule *s, int64_t *ret_next_ns) {
	_cleanup_(gate_policy_donep) struct gate_policy *policy = gate_policy(s->options.gate);
	struct look look = {.s = s, .m = store_meta(s->options.store), .policy = policy, .next_ns = INT64_MAX};
	look.now_ns = s->options.now ? s->options.now(s->options.arg) : meta_now(look.m);
	int rc = policy_workflow_count(policy->policy) == 0 ? 0 : get_ready(s, &look);
	if (rc < 0)
		return rc;
	look_at_open(&look);
	look_at_workflows(&look);
	s->looked_ns = look.now_ns;
	*ret_next_ns = look.next_ns;
	return 0;
}

/* ---- the thread ---- */

/* By the clock that people set, and woken when they do. */
static void sleep_until(Schedule *s, int64_t at_ns) {
	struct itimerspec at = {0};
	uint64_t count;
	if (at_ns != INT64_MAX) {
		at.it_value.tv_sec = at_ns / SECOND_NS;
		at.it_value.tv_nsec = at_ns > 0 ? at_ns % SECOND_NS : 1;
	} else {
		at.it_value.tv_sec = INT32_MAX; /* a timer that is not set tells of no change of the clock either */
	}
	(void)timerfd_settime(s->timer_fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &at, NULL);
	struct pollfd fds[] = {{.fd = s->timer_fd, .events = POLLIN}, {.fd = s->wake_fd, .events = POLLIN}};
	(void)poll(fds, 2, -1);
	if (fds[0].revents)
		(void)!read(s->timer_fd, &count, sizeof count);
	if (fds[1].revents)
		(void)!read(s->wake_fd, &count, sizeof count);
}

static void *run_schedule(void *arg) {
	Schedule *s = arg;
	while (!atomic_load(&s->stop)) {
		int64_t next_ns = 0;
		fault_clear();
		int rc = schedule_look(s, &next_ns);
		if (rc < 0) {
			if (s->options.failed)
				s->options.failed(s->options.arg, fault_message());
			next_ns = meta_now(store_meta(s->options.store)) + 10 * SECOND_NS;
		}
		if (next_ns != 0 && !atomic_load(&s->stop))
			sleep_until(s, next_ns);
	}
	return NULL;
}

static int take_last(void *arg, const struct run *run) {
	*(uint64_t *)arg = run->id;
	return 1;
}

/* Before anybody of this mount can ask for a run: one that is being queued is not what a crash left. */
static int find_first_run(Schedule *s) {
	uint64_t last = 0;
	Meta *m = store_meta(s->options.store);
	meta_begin(m);
	int rc = meta_end(m, run_list(m, NULL, 0, take_last, &last));
	s->first_run = last + 1;
	return rc < 0 ? rc : 0;
}

static void attach(Schedule *s, int fd) {
	Gate *gate = s->options.gate;
	pthread_mutex_lock(&gate->lock);
	gate->schedule_fd = fd;
	pthread_mutex_unlock(&gate->lock);
}

int schedule_new(const struct schedule_options *options, Schedule **ret_schedule) {
	_cleanup_(schedule_stopp) Schedule *s = calloc(1, sizeof *s);
	if (!s)
		return fault(ENOMEM, "starting the schedule");
	s->options = *options;
	s->wake_fd = s->timer_fd = -1;
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->wake_fd < 0)
		return fault_errno(errno, "starting the schedule");
	s->timer_fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (s->timer_fd < 0)
		return fault_errno(errno, "starting the schedule");
	int rc = find_first_run(s);
	if (rc < 0)
		return rc;
	attach(s, s->wake_fd);
	*ret_schedule = steal_pointer(&s);
	return 0;
}

int schedule_start(Schedule *s) {
	int err = pthread_create(&s->thread, NULL, run_schedule, s);
	s->has_thread = err == 0;
	return err ? fault_errno(err, "starting the schedule's thread") : 0;
}

void schedule_stop(Schedule *s) {
	if (!s)
		return;
	atomic_store(&s->stop, true);
	if (s->wake_fd >= 0)
		(void)eventfd_write(s->wake_fd, 1);
	if (s->has_thread)
		(void)pthread_join(s->thread, NULL);
	attach(s, -1);
	closep(&s->wake_fd);
	closep(&s->timer_fd);
	free(s->seen);
	free(s);
}
