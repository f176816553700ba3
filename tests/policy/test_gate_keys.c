/* Arrivals that meet a key which is disabled wait for it. */
#include "backend/audit.h"
#include "backend/job.h"
#include "backend/store_keys.h"
#include "tests/policy/gate_world.h"

struct last {
	char detail[512];
	int err;
	size_t count;
};

static int take_entry(void *arg, const struct audit_entry *entry) {
	struct last *last = arg;
	(void)snprintf(last->detail, sizeof last->detail, "%s", entry->event.detail ? entry->event.detail : "");
	last->err = entry->event.err;
	last->count++;
	return 0;
}

static struct last troubles(struct world *w) {
	struct last last = {0};
	const struct audit_filter filter = {.event = "arrive", .outcome = "error"};
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, audit_query(m, &filter, take_entry, &last)), 0);
	return last;
}

static struct last wait_for_troubles(struct world *w, size_t count) {
	struct last last = troubles(w);
	for (int turn = 0; turn < 1500 && last.count < count; turn++) {
		nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
		last = troubles(w);
	}
	assert_true(last.count >= count);
	return last;
}

static int take_attempts(void *arg, const struct job *job) {
	*(uint64_t *)arg = job->attempts;
	return 0;
}

/* The queued arrival is tried again, and still waits. */
static void try_again(struct world *w) {
	uint64_t id = 0;
	assert_int_equal(gate_keys_back(w->gate), 0);
	for (int turn = 0; turn < 50; turn++)
		nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, job_list(m, 0, true, take_attempts, &id)), 0);
	assert_int_equal(id, 1);
}

static void an_arrival_waits_for_a_key_that_is_disabled(void **state) {
	struct world *w = *state;
	apply(w, policy_yaml);
	assert_int_equal(store_key_disable(w->store, "raw", NULL), 0);
	put(w, "Landing/animals/a.csv", "good");
	struct last last = wait_for_troubles(w, 1);
	assert_int_equal(last.err, EKEYREVOKED);
	shows(w, "Trusted/animals/a.csv", NULL);
	assert_non_null(strstr(last.detail, "will be tried again"));
	for (int times = 0; times < 3; times++)
		try_again(w);
	assert_int_equal(troubles(w).count, 1); /* it is told once */
	assert_int_equal(quarantined(w), 0);
	assert_int_equal(store_key_enable(w->store, "raw", NULL), 0);
	assert_int_equal(gate_keys_back(w->gate), 0);
	settle(w);
	shows(w, "Trusted/animals/a.csv", "good");
	assert_int_equal(outcome_of(w, "Landing/animals/a.csv"), OUTCOME_PASSED);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        WORLD(an_arrival_waits_for_a_key_that_is_disabled),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
