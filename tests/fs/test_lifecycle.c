/* The policy's lifecycle, carried out by the mount: once a day, never by a clock that was set, and never in part. */
#include "fs/lifecycle.h"

#include "backend/audit.h"
#include "backend/version.h"
#include "tests/backend/gc_fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DAY_S INT64_C(86400)
#define NS INT64_C(1000000000)

/* Of the test's clock: by so much it is ahead of the machine's. One test at a time. */
static int64_t ahead_ns;

static int64_t now_ns(void) {
	struct timespec t;
	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * NS + t.tv_nsec + ahead_ns;
}

struct world {
	struct test_vault *v;
	Lifecycle *lifecycle;
	size_t rules;
	int error; /* of who gives the rules */
	unsigned given, taken_back;
};

static int give(void *arg, struct lifecycle_rules *ret) {
	static struct expire_rule rules[] = {
	        {.name = "r", .zone = ZONE_LANDING, .prefix = "", .days = 1},
	};
	struct world *w = arg;
	w->given++;
	if (w->error)
		return fault(-w->error, "the rules are not there");
	ret->list = rules;
	ret->count = w->rules;
	return 0;
}

static void take_back(void *arg, struct lifecycle_rules *rules) {
	(void)rules;
	((struct world *)arg)->taken_back++;
}

/* Its versions are two days old by the test's clock, which has gone on evenly ever since the lifecycle began. */
static int setup(void **state) {
	struct world *w = calloc(1, sizeof *w);
	void *vault = NULL;
	assert_non_null(w);
	assert_int_equal(gc_fixture_setup(&vault), 0);
	w->v = vault;
	w->rules = 1;
	ahead_ns = 2 * DAY_S * NS;
	const struct lifecycle_options options = {.store = w->v->store,
	        .rules = give,
	        .rules_done = take_back,
	        .arg = w,
	        .first_ms = 3600000,
	        .now_ns = now_ns};
	assert_rc(lifecycle_start(&options, &w->lifecycle));
	*state = w;
	return 0;
}

static int teardown(void **state) {
	struct world *w = *state;
	void *vault = w->v;
	lifecycle_stop(w->lifecycle);
	assert_int_equal(w->given, w->taken_back);
	assert_int_equal(test_vault_teardown(&vault), 0);
	free(w);
	return 0;
}

static void put_versions(struct world *w, const char *name, uint8_t count) {
	uint64_t node = test_vault_create(w->v, NODE_LANDING, name);
	Content *c = gc_open_content(w->v, node);
	for (uint8_t mark = 1; mark <= count; mark++) {
		gc_put_blocks(c, 0, 1, mark);
		gc_seal(c);
	}
	content_close(c);
	gc_commit(w->v);
}

static struct lifecycle_state state_of(struct world *w) {
	struct lifecycle_state state;
	lifecycle_state(w->lifecycle, &state);
	return state;
}

static int count_record(void *arg, const struct audit_entry *entry) {
	const char *outcome = entry->event.outcome;
	++((unsigned *)arg)[strcmp(outcome, "ok") == 0 ? 0 : 1];
	return 0;
}

static void expect_records(struct world *w, unsigned done, unsigned failed) {
	unsigned count[2] = {0};
	const struct audit_filter filter = {.event = "expire"};
	Meta *m = store_meta(w->v->store);
	meta_begin(m);
	assert_rc(meta_end(m, audit_query(m, &filter, count_record, count)));
	assert_int_equal(count[0], done);
	assert_int_equal(count[1], failed);
}

static void the_first_round_of_a_day_expires_and_the_others_count(void **state) {
	struct world *w = *state;
	put_versions(w, "a", 3);
	lifecycle_round(w->lifecycle);
	assert_int_equal(state_of(w).expired, 2);
	assert_int_equal(state_of(w).expired_bytes, 2 * SEGMENT_BLOCK_BYTES);
	put_versions(w, "b", 4);
	lifecycle_round(w->lifecycle);
	struct lifecycle_state now = state_of(w);
	assert_int_equal(now.expired, 2);
	assert_int_equal(now.due[ZONE_LANDING], 3);
	assert_int_equal(now.due_bytes[ZONE_LANDING], 3 * SEGMENT_BLOCK_BYTES);
	assert_int_equal(now.rules, 1);
	expect_records(w, 2, 0);
}

static int never_rest(void *arg, int64_t took_ns, uint64_t looked) {
	(void)arg;
	(void)took_ns;
	(void)looked;
	return 0;
}

static struct lifecycle_ran ask(struct world *w, bool is_dry) {
	static const struct actor actor = {.uid = 7, .exe = "test"};
	struct lifecycle_ran ran;
	const struct lifecycle_request request = {.is_dry = is_dry, .actor = &actor, .rest = never_rest};
	assert_rc(lifecycle_run(w->lifecycle, &request, &ran));
	return ran;
}

static void who_asks_need_not_wait_for_the_next_day(void **state) {
	struct world *w = *state;
	put_versions(w, "a", 3);
	assert_int_equal(ask(w, true).sum.versions[ZONE_LANDING], 2);
	assert_int_equal(state_of(w).due[ZONE_LANDING], 2);
	assert_int_equal(ask(w, false).sum.versions[ZONE_LANDING], 2);
	assert_int_equal(state_of(w).due[ZONE_LANDING], 0);
	assert_int_equal(ask(w, false).sum.versions[ZONE_LANDING], 0);
	expect_records(w, 2, 0);
}

static void a_clock_that_leaps_ahead_or_back_expires_nothing(void **state) {
	struct world *w = *state;
	put_versions(w, "a", 3);
	static const int64_t leaps[] = {365 * DAY_S, -1 * DAY_S, 2 * 3600};
	for (size_t i = 0; i < sizeof leaps / sizeof leaps[0]; i++) {
		ahead_ns += leaps[i] * NS;
		lifecycle_round(w->lifecycle);
		assert_true(ask(w, false).is_clock_uneven);
		assert_true(state_of(w).is_clock_uneven);
		assert_int_equal(state_of(w).expired, 0);
		ahead_ns -= leaps[i] * NS;
	}
	expect_records(w, 0, 0);
	lifecycle_round(w->lifecycle); /* it was set right */
	assert_false(state_of(w).is_clock_uneven);
	assert_int_equal(state_of(w).expired, 2);
}

static void without_rules_nothing_is_done(void **state) {
	struct world *w = *state;
	w->rules = 0;
	put_versions(w, "a", 3);
	lifecycle_round(w->lifecycle);
	assert_int_equal(ask(w, false).rules, 0);
	assert_int_equal(state_of(w).expired, 0);
}

static void a_failure_is_on_record_once_a_day_and_tried_again(void **state) {
	struct world *w = *state;
	put_versions(w, "a", 3);
	w->error = -ENOMEM;
	lifecycle_round(w->lifecycle);
	lifecycle_round(w->lifecycle);
	assert_non_null(strstr(state_of(w).trouble, "the rules are not there"));
	expect_records(w, 0, 1);
	w->error = 0;
	lifecycle_round(w->lifecycle);
	assert_string_equal(state_of(w).trouble, "");
	assert_int_equal(state_of(w).expired, 2);
}

static int fail_rest(void *arg, int64_t took_ns, uint64_t looked) {
	(void)took_ns;
	(void)looked;
	return *(const int *)arg;
}

static void who_goes_away_ends_the_pass_before_anything_expired(void **state) {
	struct world *w = *state;
	static const struct actor actor = {.exe = "test"};
	int error = -EPIPE;
	struct lifecycle_ran ran;
	put_versions(w, "a", 3);
	const struct lifecycle_request request = {.actor = &actor, .rest = fail_rest, .arg = &error};
	assert_int_equal(lifecycle_run(w->lifecycle, &request, &ran), -EPIPE);
	assert_int_equal(state_of(w).expired, 0);
	expect_records(w, 0, 0);
}

static void what_a_content_shows_stays_until_it_is_closed(void **state) {
	struct world *w = *state;
	put_versions(w, "a", 2);
	struct version version;
	struct node node;
	Content *old = NULL;
	Meta *m = store_meta(w->v->store);
	meta_begin(m);
	int rc = tree_lookup(m, NODE_LANDING, bytes_of_string("a"), &node);
	if (rc == 0)
		rc = version_by_number(m, node.id, 1, &version);
	assert_rc(meta_end(m, rc));
	assert_rc(content_open(w->v->store, node.id, version.id, &old));
	assert_int_equal(ask(w, false).sum.kept_open, 1);
	gc_expect_blocks(old, 0, 1, 1);
	content_close(old);
	assert_int_equal(ask(w, false).sum.versions[ZONE_LANDING], 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
	const struct CMUnitTest tests[] = {
	        TEST(the_first_round_of_a_day_expires_and_the_others_count),
	        TEST(who_asks_need_not_wait_for_the_next_day),
	        TEST(a_clock_that_leaps_ahead_or_back_expires_nothing),
	        TEST(without_rules_nothing_is_done),
	        TEST(a_failure_is_on_record_once_a_day_and_tried_again),
	        TEST(who_goes_away_ends_the_pass_before_anything_expired),
	        TEST(what_a_content_shows_stays_until_it_is_closed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
