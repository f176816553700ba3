/* The alarms of a policy over a series of samples: when they change, who is told, and what becomes of it. */
#include "fs/alarm/alarms.h"

#include "backend/store_keys.h"
#include "crypto/base/fault.h"
#include "crypto/encoding.h"
#include "crypto/sign.h"
#include "fs/actor.h"
#include "fs/alarm/key.h"
#include "fs/alarm/message.h"
#include "tests/backend/test_vault.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define MINUTES 100
#define START_S INT64_C(1795817400) /* 2026-11-27 22:10 UTC */

struct world {
	struct test_vault *v;
	struct gate_policy policy;
	double values[MINUTES]; /* of EstimatedCharges, a minute each; what is 0 is missing */
	size_t minute;          /* which it is */
	char actions[64];
	Courier *courier;
	Alarms *alarms;
	struct alarms_options options;
};

static int read_values(void *arg, const char *name, const char *labels, int64_t from_s, int64_t to_s, unsigned period_s,
        sample_point_fn *each, void *each_arg) {
	const struct world *w = arg;
	assert_int_equal(period_s, 60);
	for (size_t i = 0; i < w->minute; i++) {
		double value = w->values[i];
		const struct sample_point point = {
		        .time_s = START_S + 60 * (int64_t)i, .count = 1, .sum = value, .least = value, .most = value};
		if (strcmp(name, "EstimatedCharges") == 0 && !*labels && value > 0 && point.time_s >= from_s &&
		        point.time_s < to_s)
			assert_int_equal(each(each_arg, &point), 0);
	}
	return 0;
}

static struct gate_policy *hold(void *arg) {
	return &((struct world *)arg)->policy;
}

static void let_go(struct gate_policy *policy) {
	(void)policy;
}

static void use_policy(struct world *w, const char *text) {
	_cleanup_(policy_bundle_freep) PolicyBundle *bundle = NULL;
	assert_rc(policy_bundle_new(&bundle));
	assert_rc(policy_bundle_put(bundle, BUNDLE_POLICY, bytes_of_string(text)));
	policy_free(w->policy.policy);
	if (policy_parse(bundle, &w->policy.policy) < 0)
		fail_msg("%s", fault_message());
}

/* "keep" appends what it is told to the file `told`, a line each; "fails" does so and fails. */
static void add_action(const struct world *w, const char *name, int code) {
	char path[128];
	(void)snprintf(path, sizeof path, "%s/%s", w->actions, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	(void)fprintf(file, "#!/bin/sh\nread -r body\necho \"$ASSAYFS_DELIVERY $body\" >>%s/told\nexit %d\n",
	        w->actions, code);
	(void)fclose(file);
	assert_int_equal(chmod(path, 0755), 0);
}

static int set_up(void **state) {
	struct world *w = calloc(1, sizeof *w);
	void *vault = NULL;
	assert_non_null(w);
	(void)snprintf(w->actions, sizeof w->actions, "/tmp/assayfs-alarms-XXXXXX");
	assert_non_null(mkdtemp(w->actions));
	add_action(w, "keep", 0);
	add_action(w, "fails", 1);
	const struct courier_options courier = {.actions = w->actions, .seconds = 5};
	assert_rc(courier_start(&courier, &w->courier));
	assert_int_equal(test_vault_setup(&vault), 0);
	w->v = vault;
	static const unsigned soon[] = {10, 10};
	w->options = (struct alarms_options){.store = w->v->store,
	        .courier = w->courier,
	        .data = read_values,
	        .data_arg = w,
	        .policy = hold,
	        .policy_done = let_go,
	        .policy_arg = w,
	        .first_ms = 3600000,
	        .every_ms = 3600000,
	        .retry_ms = soon,
	        .retry_count = 2};
	*state = w;
	return 0;
}

static int tear_down(void **state) {
	struct world *w = *state;
	void *vault = w->v;
	char command[128];
	alarms_stop(w->alarms);
	courier_stop(w->courier);
	policy_free(w->policy.policy);
	(void)snprintf(command, sizeof command, "rm -r %s", w->actions);
	assert_int_equal(system(command), 0);
	assert_int_equal(test_vault_teardown(&vault), 0);
	free(w);
	return 0;
}

static void watch(struct world *w) {
	assert_rc(alarms_start(&w->options, &w->alarms));
}

/* The next minutes bring these values, and each a round. */
static void pass(struct world *w, const double *values, size_t count) {
	for (size_t i = 0; i < count; i++) {
		w->values[w->minute++] = values[i];
		assert_rc(alarms_round(w->alarms, (START_S + 60 * (int64_t)w->minute) * 1000000000 + 1));
	}
}
#define PASS(w, ...) pass(w, (const double[]){__VA_ARGS__}, sizeof((double[]){__VA_ARGS__}) / sizeof(double))

static unsigned told(const struct world *w, const char *words) {
	char path[128], line[ALARM_BODY_MAX + 256];
	unsigned count = 0;
	(void)snprintf(path, sizeof path, "%s/told", w->actions);
	FILE *file = fopen(path, "r");
	while (file && fgets(line, sizeof line, file))
		count += strstr(line, words) != NULL;
	if (file)
		(void)fclose(file);
	return count;
}

static void wait_told(const struct world *w, const char *words, unsigned wanted) {
	for (int tries = 0; tries < 500 && told(w, words) < wanted; tries++)
		(void)nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	assert_int_equal(told(w, words), wanted);
}

static uint64_t actions(const struct world *w, enum alarm_action_state state) {
	uint64_t count = 0;
	Meta *m = store_meta(w->v->store);
	meta_begin(m);
	assert_rc(meta_end(m, alarm_action_count(m, state, &count)));
	return count;
}

static void wait_actions(const struct world *w, enum alarm_action_state state, uint64_t wanted) {
	for (int tries = 0; tries < 500 && actions(w, state) != wanted; tries++)
		(void)nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	assert_int_equal(actions(w, state), wanted);
}

static int take_state(void *arg, const struct policy_alarm *alarm, const struct alarm_row *row) {
	(void)alarm;
	*(enum alarm_state *)arg = row->state;
	return 0;
}

static enum alarm_state state_of(struct world *w) {
	enum alarm_state state = ALARM_STATE_INSUFFICIENT_DATA;
	assert_rc(alarms_list(w->alarms, take_state, &state));
	return state;
}

#define FOUNDING "version: 1\nalarms: [{name: project-anilost2024-alarm, metric: EstimatedCharges, above: 38, unit: USD"

static void charges_above_38_dollars_are_told_once(void **state) {
	struct world *w = *state;
	use_policy(w, FOUNDING ", notify: [command:keep], notify_ok: [command:keep]}]\n");
	watch(w);
	PASS(w, 37, 38);
	assert_int_equal(state_of(w), ALARM_STATE_OK); /* 38 is not above 38 */
	wait_told(w, "\"NewStateValue\":\"OK\"", 1);
	PASS(w, 38.01);
	assert_int_equal(state_of(w), ALARM_STATE_ALARM);
	PASS(w, 39, 40, 41, 39, 39, 39);
	wait_told(w, "\"NewStateValue\":\"ALARM\",\"OldStateValue\":\"OK\"", 1);
	wait_actions(w, ALARM_ACTION_DONE, 2);
	assert_int_equal(told(w, "project-anilost2024-alarm"), 2);
	PASS(w, 1, 1, 1, 1); /* the month ended; the highest of five minutes is still above */
	assert_int_equal(state_of(w), ALARM_STATE_ALARM);
	PASS(w, 1);
	assert_int_equal(state_of(w), ALARM_STATE_OK);
	wait_told(w, "\"NewStateValue\":\"OK\"", 2);
}

static void a_receiver_that_is_down_ends_among_the_dead_letters(void **state) {
	struct world *w = *state;
	uint64_t count = 0;
	struct actor actor;
	actor_of_daemon(&actor);
	use_policy(w, FOUNDING ", notify: [command:fails]}]\n");
	watch(w);
	PASS(w, 50);
	wait_actions(w, ALARM_ACTION_DEAD, 1);
	assert_int_equal(told(w, "ALARM"), 3); /* at once, and twice again */
	add_action(w, "fails", 0);
	assert_rc(alarms_retry(w->alarms, 0, &actor, &count));
	assert_int_equal(count, 1);
	wait_actions(w, ALARM_ACTION_DONE, 1);
	assert_int_equal(told(w, "ALARM"), 4);
}

static void without_the_courier_what_is_to_be_told_waits(void **state) {
	struct world *w = *state;
	use_policy(w, FOUNDING ", notify: [command:keep]}]\n");
	assert_int_equal(kill(courier_pid(w->courier), SIGKILL), 0);
	watch(w);
	PASS(w, 50);
	wait_actions(w, ALARM_ACTION_WAITING, 1);
	assert_int_equal(state_of(w), ALARM_STATE_ALARM);
	assert_int_equal(actions(w, ALARM_ACTION_DEAD), 0);
	for (int tries = 0; tries < 500 && alarms_can_send(w->alarms); tries++)
		(void)nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	assert_false(alarms_can_send(w->alarms));
}

static void a_decision_survives_a_crash_and_is_not_made_again(void **state) {
	struct world *w = *state;
	use_policy(w, FOUNDING ", notify: [command:keep]}]\n");
	w->options.courier = NULL; /* killed between the decision and its delivery */
	watch(w);
	PASS(w, 50);
	assert_rc(store_commit_wait(w->v->store));
	alarms_stop(w->alarms);
	test_vault_crash(w->v);
	w->options.store = w->v->store;
	w->options.courier = w->courier;
	watch(w);
	PASS(w, 51);
	wait_actions(w, ALARM_ACTION_DONE, 1);
	assert_int_equal(actions(w, ALARM_ACTION_WAITING), 0);
	assert_int_equal(told(w, "ALARM"), 1);
}

static void who_is_silenced_or_not_enabled_tells_nobody(void **state) {
	struct world *w = *state;
	struct actor actor;
	actor_of_daemon(&actor);
	use_policy(w, FOUNDING ", notify: [command:keep], notify_ok: [command:keep]}]\n");
	watch(w);
	assert_int_equal(alarms_silence(w->alarms, "project-anilost2024-alarm", 1, "", &actor), -ENOENT);
	PASS(w, 37);
	wait_told(w, "\"OK\"", 1);
	wait_actions(w, ALARM_ACTION_DONE, 1); /* that it was told is kept a moment later */
	assert_rc(alarms_silence(w->alarms, "project-anilost2024-alarm", INT64_MAX, "moving", &actor));
	PASS(w, 50);
	assert_int_equal(state_of(w), ALARM_STATE_ALARM);
	use_policy(w, FOUNDING ", enabled: false, notify_ok: [command:keep]}]\n");
	assert_rc(alarms_silence(w->alarms, "project-anilost2024-alarm", 0, "", &actor));
	PASS(w, 1, 1, 1, 1, 1);
	assert_int_equal(state_of(w), ALARM_STATE_OK);
	assert_int_equal(actions(w, ALARM_ACTION_WAITING), 0);
	assert_int_equal(told(w, ""), 1);
}

static void an_expression_is_watched_as_one_series(void **state) {
	struct world *w = *state;
	use_policy(w, "version: 1\nalarms: [{name: rise, metrics: {m1: {metric: EstimatedCharges}}, expression: "
	              "\"DIFF(m1) * 2\", above: 9, period: 60, notify: command:keep}]\n");
	watch(w);
	PASS(w, 1, 5);
	assert_int_equal(state_of(w), ALARM_STATE_OK);
	PASS(w, 10);
	assert_int_equal(state_of(w), ALARM_STATE_ALARM);
	wait_told(w, "\"Expression\":\"DIFF(m1) * 2\"", 1);
}

static void what_cannot_wait_is_told_at_once(void **state) {
	struct world *w = *state;
	use_policy(w, "version: 1\nalarms: [{name: glass, metric: BreakGlassUses, above: 0, notify: command:keep}]\n");
	watch(w);
	assert_rc(alarms_round(w->alarms, meta_now(store_meta(w->v->store))));
	assert_int_equal(state_of(w), ALARM_STATE_OK);
	alarms_event(w->alarms, "BreakGlassUses");
	wait_told(w, "\"AlarmName\":\"glass\"", 1);
	assert_int_equal(state_of(w), ALARM_STATE_ALARM);
}

static void an_alarm_that_left_the_policy_is_forgotten(void **state) {
	struct world *w = *state;
	Meta *m = store_meta(w->v->store);
	enum alarm_state unused = ALARM_STATE_OK;
	w->options.courier = NULL;
	use_policy(w, FOUNDING ", notify: [command:keep]}]\n");
	watch(w);
	PASS(w, 50);
	assert_int_equal(actions(w, ALARM_ACTION_WAITING), 1);
	use_policy(w, "version: 1\n");
	PASS(w, 50);
	assert_int_equal(actions(w, ALARM_ACTION_WAITING), 0);
	meta_begin(m);
	assert_int_equal(meta_end(m, alarm_row_get(m, "project-anilost2024-alarm", NULL, &unused)), -ENOENT);
}

/* Which of the signatures are that key's: a bit for each, from the first on. */
static unsigned signed_by(const char *signatures, const char *key, const char *text) {
	uint8_t public_key[SIGN_PUBLIC_BYTES], bytes[SIGN_SIGNATURE_BYTES];
	char copy[ALARM_SIGNATURE_BYTES];
	size_t size = 0;
	unsigned found = 0, at = 0;
	assert_int_equal(strncmp(key, "whpk_", 5), 0);
	assert_rc(base64_decode(key + 5, sizeof public_key, public_key, &size));
	(void)snprintf(copy, sizeof copy, "%s", signatures);
	for (char *rest = copy, *one; (one = strsep(&rest, " ")); at++) {
		assert_int_equal(strncmp(one, "v1a,", 4), 0);
		assert_rc(base64_decode(one + 4, sizeof bytes, bytes, &size));
		found |= sign_verify(public_key, bytes_of_string(text), bytes) == 0 ? 1u << at : 0;
	}
	return found;
}

static void a_signature_is_that_of_the_printed_key(void **state) {
	struct world *w = *state;
	char signatures[ALARM_SIGNATURE_BYTES];
	struct alarm_keys keys;
	const int64_t now_ns = meta_now(store_meta(w->v->store));
	assert_rc(alarm_key_list(w->v->store, now_ns, &keys));
	assert_int_equal(keys.count, 1);
	assert_rc(alarm_key_sign(w->v->store, now_ns, "msg_1", "1795817400", "{}", signatures));
	assert_int_equal(signed_by(signatures, keys.keys[0].text, "msg_1.1795817400.{}"), 1);
	assert_int_equal(signed_by(signatures, keys.keys[0].text, "msg_2.1795817400.{}"), 0);
	assert_null(strchr(signatures, ' '));
}

/* So many sign at that time, each in its turn, and no other. */
static void expect_signers(struct world *w, int64_t now_ns, const struct alarm_key *wanted, size_t count) {
	char signatures[ALARM_SIGNATURE_BYTES];
	struct alarm_keys keys;
	assert_rc(alarm_key_list(w->v->store, now_ns, &keys));
	assert_int_equal(keys.count, count);
	assert_rc(alarm_key_sign(w->v->store, now_ns, "msg_1", "1", "{}", signatures));
	for (size_t i = 0; i < count; i++) {
		assert_string_equal(keys.keys[i].text, wanted[i].text);
		assert_int_equal(signed_by(signatures, wanted[i].text, "msg_1.1.{}"), 1u << i);
	}
	assert_int_equal(strlen(signatures), count * 93 - 1);
}

static void after_a_rotation_the_key_before_signs_too_for_a_week(void **state) {
	struct world *w = *state;
	const int64_t day = INT64_C(86400000000000);
	Meta *m = store_meta(w->v->store);
	struct alarm_keys first, keys;
	assert_rc(alarm_key_list(w->v->store, meta_now(m), &first));
	assert_rc(store_key_rotate(w->v->store, "audit", NULL, NULL));
	const int64_t now_ns = meta_now(m);
	assert_rc(alarm_key_list(w->v->store, now_ns, &keys));
	assert_int_equal(keys.count, 2);
	assert_string_not_equal(keys.keys[0].text, first.keys[0].text);
	assert_string_equal(keys.keys[1].text, first.keys[0].text);
	assert_in_range(keys.keys[1].until_ns, now_ns + 7 * day - day / 24, now_ns + 7 * day);
	expect_signers(w, now_ns, keys.keys, 2);
	expect_signers(w, keys.keys[1].until_ns - 1, keys.keys, 2);
	expect_signers(w, keys.keys[1].until_ns, keys.keys, 1);
	expect_signers(w, now_ns - 30 * day, keys.keys, 2); /* the clock was put back */
	assert_rc(store_key_rotate(w->v->store, "audit", NULL, NULL));
	assert_rc(alarm_key_list(w->v->store, now_ns, &keys));
	assert_int_equal(keys.count, 3); /* two in one week */
	expect_signers(w, now_ns, keys.keys, 3);
	for (int i = 0; i < 9; i++)
		assert_rc(store_key_rotate(w->v->store, "audit", NULL, NULL));
	assert_rc(alarm_key_list(w->v->store, now_ns, &keys));
	expect_signers(w, now_ns, keys.keys, ALARM_KEYS_MAX);
	expect_signers(w, now_ns + 8 * day, keys.keys, 1);
}

#define IN_A_VAULT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
	const struct CMUnitTest tests[] = {
	        IN_A_VAULT(charges_above_38_dollars_are_told_once),
	        IN_A_VAULT(a_receiver_that_is_down_ends_among_the_dead_letters),
	        IN_A_VAULT(without_the_courier_what_is_to_be_told_waits),
	        IN_A_VAULT(a_decision_survives_a_crash_and_is_not_made_again),
	        IN_A_VAULT(who_is_silenced_or_not_enabled_tells_nobody),
	        IN_A_VAULT(an_expression_is_watched_as_one_series),
	        IN_A_VAULT(what_cannot_wait_is_told_at_once),
	        IN_A_VAULT(an_alarm_that_left_the_policy_is_forgotten),
	        IN_A_VAULT(a_signature_is_that_of_the_printed_key),
	        IN_A_VAULT(after_a_rotation_the_key_before_signs_too_for_a_week),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
