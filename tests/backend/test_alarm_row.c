/* Alarms' states, history and what is to be told. */
#include "backend/alarm_row.h"

#include "backend/meta_private.h"
#include "tests/backend/meta_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define DAY_NS (INT64_C(86400) * 1000000000)

static const char *const targets[] = {"webhook:http://a/", "command:b"};

static int do_change(struct fixture *f, const char *name, int64_t time_ns, size_t count) {
	const struct alarm_event event = {.alarm = name,
	        .time_ns = time_ns,
	        .before = ALARM_STATE_OK,
	        .after = ALARM_STATE_ALARM,
	        .reason = "because"};
	meta_begin(f->m);
	return meta_end(f->m, alarm_row_change(f->m, &event, targets, count, "{}", NULL));
}

static int count_event(void *arg, const struct alarm_event *event) {
	unsigned *count = arg;
	assert_string_equal(event->reason, "because");
	++*count;
	return 0;
}

static unsigned events(struct fixture *f, const char *name) {
	unsigned count = 0;
	meta_begin(f->m);
	assert_int_equal(meta_end(f->m, alarm_event_list(f->m, name, 100000, count_event, &count)), 0);
	return count;
}

static uint64_t actions(struct fixture *f, enum alarm_action_state state) {
	uint64_t count = 0;
	meta_begin(f->m);
	assert_int_equal(meta_end(f->m, alarm_action_count(f->m, state, &count)), 0);
	return count;
}

static int take_id(void *arg, const struct alarm_action *action) {
	*(uint64_t *)arg = action->id;
	return 1;
}

static uint64_t first(struct fixture *f, enum alarm_action_state state) {
	uint64_t id = 0;
	meta_begin(f->m);
	assert_int_equal(meta_end(f->m, alarm_action_list(f->m, state, 1, take_id, &id)), 0);
	return id;
}

static void mark(struct fixture *f, uint64_t id, enum alarm_action_state state) {
	meta_begin(f->m);
	assert_int_equal(meta_end(f->m, alarm_action_tried(f->m, id, state, 1, f->now, "HTTP 500")), 0);
}

static void a_change_and_its_actions_are_one(void **state) {
	struct fixture *f = *state;
	const struct alarm_event event = {.alarm = "a", .time_ns = 5, .after = ALARM_STATE_ALARM, .reason = "because"};
	assert_int_equal(events(f, NULL), 0);
	meta_begin(f->m);
	assert_int_equal(alarm_row_change(f->m, &event, targets, 2, "{}", NULL), 0);
	assert_int_equal(meta_end(f->m, -EIO), -EIO); /* undone as a whole */
	assert_int_equal(events(f, NULL) + actions(f, ALARM_ACTION_WAITING), 0);
	assert_int_equal(do_change(f, "a", 5, 2), 0);
	assert_int_equal(events(f, "a"), 1);
	assert_int_equal(events(f, "b"), 0);
	assert_int_equal(actions(f, ALARM_ACTION_WAITING), 2);
	fixture_commit(f);
	fixture_reopen(f);
	assert_int_equal(actions(f, ALARM_ACTION_WAITING), 2);
}

static int want_row(void *arg, const struct alarm_row *row) {
	const struct alarm_row *wanted = arg;
	assert_int_equal(row->state, wanted->state);
	assert_int_equal(row->silent_until_ns, wanted->silent_until_ns);
	assert_string_equal(row->reason, wanted->reason);
	return 0;
}

static void a_row_says_how_the_alarm_is(void **state) {
	struct fixture *f = *state;
	struct alarm_row wanted = {.reason = "Unchecked: Initial alarm creation"};
	meta_begin(f->m);
	assert_int_equal(alarm_row_get(f->m, "a", want_row, &wanted), -ENOENT);
	assert_int_equal(alarm_row_silence(f->m, "a", 9, ""), -ENOENT);
	assert_int_equal(alarm_row_begin(f->m, "a", 3), 0);
	assert_int_equal(alarm_row_get(f->m, "a", want_row, &wanted), 0);
	assert_int_equal(alarm_row_silence(f->m, "a", 9, "moving"), 0);
	assert_int_equal(meta_end(f->m, 0), 0);
	assert_int_equal(do_change(f, "a", 5, 0), 0);
	wanted = (struct alarm_row){.state = ALARM_STATE_ALARM, .reason = "because", .silent_until_ns = 9};
	meta_begin(f->m);
	assert_int_equal(alarm_row_begin(f->m, "a", 8), 0); /* stays as it is */
	assert_int_equal(alarm_row_get(f->m, "a", want_row, &wanted), 0);
	assert_int_equal(meta_end(f->m, 0), 0);
}

static void history_is_bounded_by_days_and_number(void **state) {
	struct fixture *f = *state;
	for (int i = 0; i < 1010; i++)
		assert_int_equal(do_change(f, "a", i, 0), 0);
	assert_int_equal(do_change(f, "b", 1, 0), 0);
	assert_int_equal(events(f, "a"), ALARM_EVENTS_MAX);
	assert_int_equal(do_change(f, "a", 15 * DAY_NS, 1), 0);
	assert_int_equal(events(f, "a"), 1);
	assert_int_equal(events(f, "b"), 1);
	assert_int_equal(do_change(f, "a", 30 * DAY_NS, 0), 0);
	assert_int_equal(events(f, "a"), 2); /* one still waits to be told */
	mark(f, first(f, ALARM_ACTION_WAITING), ALARM_ACTION_DONE);
	assert_int_equal(do_change(f, "a", 31 * DAY_NS, 0), 0);
	assert_int_equal(events(f, "a"), 2);
}

static void dead_letters_are_sent_again_or_dropped(void **state) {
	struct fixture *f = *state;
	uint64_t count = 0;
	assert_int_equal(do_change(f, "a", 5, 2), 0);
	uint64_t one = first(f, ALARM_ACTION_WAITING);
	mark(f, one, ALARM_ACTION_DEAD);
	mark(f, first(f, ALARM_ACTION_WAITING), ALARM_ACTION_DEAD);
	assert_int_equal(actions(f, ALARM_ACTION_DEAD), 2);
	meta_begin(f->m);
	assert_int_equal(alarm_action_retry(f->m, 99, 7, &count), -ENOENT);
	assert_int_equal(alarm_action_retry(f->m, one, 7, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(alarm_action_drop(f->m, one, &count), -ENOENT); /* it waits */
	assert_int_equal(alarm_action_drop(f->m, 0, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(meta_end(f->m, 0), 0);
	assert_int_equal(actions(f, ALARM_ACTION_DEAD), 0);
	assert_int_equal(first(f, ALARM_ACTION_WAITING), one);
}

static void what_is_due_comes_by_its_time(void **state) {
	struct fixture *f = *state;
	int64_t next = 0;
	uint64_t id = 0;
	assert_int_equal(do_change(f, "a", 100, 1), 0);
	meta_begin(f->m);
	assert_int_equal(alarm_action_due(f->m, 99, 10, take_id, &id, &next), 0);
	assert_int_equal(id, 0);
	assert_int_equal(next, 100);
	assert_int_equal(alarm_action_due(f->m, 100, 10, take_id, &id, &next), 0);
	assert_int_not_equal(id, 0);
	assert_true(next == INT64_MAX);
	assert_int_equal(meta_end(f->m, 0), 0);
}

static void a_forgotten_alarm_tells_nothing_more(void **state) {
	struct fixture *f = *state;
	assert_int_equal(do_change(f, "a", 5, 2), 0);
	mark(f, first(f, ALARM_ACTION_WAITING), ALARM_ACTION_DEAD);
	meta_begin(f->m);
	assert_int_equal(alarm_row_forget(f->m, "a"), 0);
	assert_int_equal(meta_end(f->m, 0), 0);
	assert_int_equal(actions(f, ALARM_ACTION_WAITING), 0);
	assert_int_equal(actions(f, ALARM_ACTION_DEAD), 1);
	assert_int_equal(events(f, "a"), 1);
}

static void what_is_too_long_is_refused(void **state) {
	struct fixture *f = *state;
	char name[ALARM_NAME_MAX + 2];
	memset(name, 'x', sizeof name);
	name[sizeof name - 1] = '\0';
	assert_int_equal(do_change(f, name, 5, 0), -EINVAL);
	assert_int_equal(do_change(f, "", 5, 0), -EINVAL);
}

static void deliveries_have_names_of_their_own(void **unused) {
	(void)unused;
	char one[ALARM_ACTION_ID_BYTES], other[ALARM_ACTION_ID_BYTES];
	alarm_action_id(&(struct alarm_action){.id = 1, .event_ns = 2}, one);
	alarm_action_id(&(struct alarm_action){.id = 1, .event_ns = 3}, other);
	assert_string_equal(one, "msg_000000000000000200000001");
	assert_string_not_equal(one, other);
}

#define IN_A_VAULT(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void) {
	const struct CMUnitTest tests[] = {
	        IN_A_VAULT(a_change_and_its_actions_are_one),
	        IN_A_VAULT(a_row_says_how_the_alarm_is),
	        IN_A_VAULT(history_is_bounded_by_days_and_number),
	        IN_A_VAULT(dead_letters_are_sent_again_or_dropped),
	        IN_A_VAULT(what_is_due_comes_by_its_time),
	        IN_A_VAULT(a_forgotten_alarm_tells_nothing_more),
	        IN_A_VAULT(what_is_too_long_is_refused),
	        cmocka_unit_test(deliveries_have_names_of_their_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
