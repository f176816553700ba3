/* The courier: what it reaches, what it refuses, and what happens when it or a receiver is stuck or gone. */
#include "policy/courier.h"

#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"
#include "policy/alarm/metrics.h"
#include "policy/alarm/target.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

struct world {
	char actions[64];
	Courier *courier;
	int listener;
	char url[64];
};

static int set_up(void **state) {
	static struct world w;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;
	(void)snprintf(w.actions, sizeof w.actions, "/tmp/assayfs-courier-XXXXXX");
	assert_non_null(mkdtemp(w.actions));
	const struct courier_options options = {.actions = w.actions, .seconds = 1};
	assert_int_equal(courier_start(&options, &w.courier), 0);
	w.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(w.listener, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(w.listener, 16), 0);
	assert_int_equal(getsockname(w.listener, (struct sockaddr *)&address, &size), 0);
	(void)snprintf(w.url, sizeof w.url, "webhook:http://127.0.0.1:%u/", ntohs(address.sin_port));
	*state = &w;
	return 0;
}

static int tear_down(void **state) {
	struct world *w = *state;
	char command[128];
	courier_stop(w->courier);
	(void)close(w->listener);
	(void)snprintf(command, sizeof command, "rm -r %s", w->actions);
	return system(command);
}

static void add_action(const struct world *w, const char *name, const char *text, mode_t mode) {
	char path[128];
	(void)snprintf(path, sizeof path, "%s/%s", w->actions, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static int deliver(const struct world *w, const char *target, struct courier_outcome *ret) {
	const struct courier_delivery delivery = {
	        .target = target, .id = "msg_1", .body = "{}", .timestamp = "1", .signature = "v1a,x"};
	return courier_deliver(w->courier, &delivery, ret);
}

static void a_receiver_that_never_answers_holds_up_nobody(void **state) {
	const struct world *w = *state;
	struct courier_outcome outcome;
	int64_t start = monotonic_ms();
	assert_int_equal(deliver(w, w->url, &outcome), 0);
	assert_false(outcome.is_delivered);
	assert_true(monotonic_ms() - start < 9000);
	assert_non_null(strstr(outcome.words, "timed out"));
}

static void a_command_is_killed_with_all_that_it_started(void **state) {
	const struct world *w = *state;
	struct courier_outcome outcome;
	char path[128], text[256];
	(void)snprintf(text, sizeof text, "#!/bin/sh\n(sleep 3; touch %s/late) &\nsleep 30\n", w->actions);
	add_action(w, "slow", text, 0755);
	assert_int_equal(deliver(w, "command:slow", &outcome), 0);
	assert_non_null(strstr(outcome.words, "it ran for more than 1 s"));
	(void)snprintf(path, sizeof path, "%s/late", w->actions);
	(void)sleep(3);
	assert_int_equal(access(path, F_OK), -1);
}

static void only_what_nobody_else_can_write_is_run(void **state) {
	const struct world *w = *state;
	static const struct {
		const char *target;
		const char *words; /* NULL: it is run */
	} rows[] = {{"command:good", NULL}, {"command:open", "others may write to it"}, {"command:plain", "no program"},
	        {"command:link", "no program"}, {"command:none", "not in the directory"},
	        {"command:../good", "no such kind"}, {"command:", "no such kind"}, {"pigeon:x", "no such kind"}};
	char link[128];
	add_action(w, "good", "#!/bin/sh\n[ \"$(cat)\" = '{}' ] && [ \"$ASSAYFS_DELIVERY\" = msg_1 ]\n", 0755);
	add_action(w, "open", "#!/bin/sh\n", 0775);
	add_action(w, "plain", "#!/bin/sh\n", 0644);
	(void)snprintf(link, sizeof link, "%s/link", w->actions);
	assert_int_equal(symlink("good", link), 0);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct courier_outcome outcome;
		assert_int_equal(deliver(w, rows[i].target, &outcome), 0);
		if (outcome.is_delivered != !rows[i].words)
			fail_msg("%s: %s", rows[i].target, outcome.words);
		if (rows[i].words)
			assert_non_null(strstr(outcome.words, rows[i].words));
	}
	assert_int_equal(chmod(w->actions, 0777), 0);
	struct courier_outcome outcome;
	assert_int_equal(deliver(w, "command:good", &outcome), 0);
	assert_non_null(strstr(outcome.words, "others may write to the directory"));
}

static void without_the_courier_nothing_is_tried(void **state) {
	const struct world *w = *state;
	struct courier_outcome outcome;
	assert_true(courier_alive(w->courier));
	assert_int_equal(kill(courier_pid(w->courier), SIGKILL), 0);
	assert_int_equal(deliver(w, w->url, &outcome), -ECHILD);
	assert_non_null(strstr(fault_message(), "mounted again"));
	assert_false(courier_alive(w->courier));
}

static void *deliver_slowly(void *arg) {
	struct courier_outcome outcome;
	const struct world *w = arg;
	assert_int_equal(deliver(w, w->url, &outcome), 0);
	return NULL;
}

static void deliveries_go_on_beside_each_other(void **state) {
	struct world *w = *state;
	pthread_t threads[4];
	int64_t start = monotonic_ms();
	add_action(w, "quick", "#!/bin/sh\n", 0755);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, deliver_slowly, w), 0);
	struct courier_outcome outcome;
	assert_int_equal(deliver(w, "command:quick", &outcome), 0);
	assert_true(outcome.is_delivered);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_true(monotonic_ms() - start < 12000); /* each alone would take a second at least, and all have one */
}

static void targets_are_strict(void **unused) {
	(void)unused;
	static const struct {
		const char *text;
		bool fits;
	} rows[] = {{"webhook:http://127.0.0.1:9/alarm", true}, {"webhook:https://x/a?b=c", true},
	        {"webhook:file:///etc/passwd", false}, {"webhook:http://a b", false},
	        {"webhook:http://a\r\nHost: b", false}, {"mailto:a@b.c", true}, {"mailto:a", false},
	        {"mailto:@b", false}, {"mailto:a@b\r\nBcc: c@d", false}, {"mailto:a@b,c@d", false},
	        {"mailto:a@b?cc=c@d", false}, {"mailto:<a@b>", false}, {"mailto:-oX@b", false},
	        {"command:page-ops.sh", true}, {"command:a/b", false}, {"command:.hidden", false},
	        {"command:-rf", false}, {"command:a b", false}, {"", false}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		enum alarm_target kind;
		const char *rest;
		if ((alarm_target_parse(rows[i].text, &kind, &rest) == 0) != rows[i].fits)
			fail_msg("%s", rows[i].text);
	}
}

static void metrics_are_known_by_name(void **unused) {
	(void)unused;
	assert_int_equal(alarm_metric_named("EstimatedCharges")->statistic, ALARM_MAXIMUM);
	assert_int_equal(alarm_metric_named("EstimatedCharges")->period_s, 300);
	assert_null(alarm_metric_named("estimatedcharges"));
	assert_string_equal(alarm_metric_nearest("EstimatedCharge"), "EstimatedCharges");
}

static void *hush_soon(void *arg) {
	const struct timespec moment = {.tv_nsec = 200000000};
	(void)nanosleep(&moment, NULL);
	courier_hush(arg);
	return NULL;
}

static void unmounting_waits_for_no_receiver(void **state) {
	const struct world *w = *state;
	struct courier_outcome outcome;
	pthread_t thread;
	int64_t start = monotonic_ms();
	assert_int_equal(pthread_create(&thread, NULL, hush_soon, w->courier), 0);
	assert_int_equal(deliver(w, w->url, &outcome), -ECANCELED);
	assert_int_equal(deliver(w, w->url, &outcome), -ECANCELED);
	assert_true(monotonic_ms() - start < 900); /* the limit of a delivery is a second here */
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void a_courier_that_is_stopped_holds_up_nobody(void **state) {
	const struct world *w = *state;
	struct courier_outcome outcome;
	int rc = 0;
	assert_int_equal(kill(courier_pid(w->courier), SIGSTOP), 0);
	courier_hush(w->courier); /* so that no answer is waited for: what is tried is the handing over */
	(void)alarm(60);          /* where it blocks, this ends the test */
	for (int i = 0; i < 10000 && rc != -EAGAIN; i++)
		rc = deliver(w, w->url, &outcome);
	(void)alarm(0);
	assert_int_equal(rc, -EAGAIN);
}

#define WITH_COURIER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
	const struct CMUnitTest tests[] = {
	        WITH_COURIER(a_receiver_that_never_answers_holds_up_nobody),
	        WITH_COURIER(a_command_is_killed_with_all_that_it_started),
	        WITH_COURIER(only_what_nobody_else_can_write_is_run),
	        WITH_COURIER(without_the_courier_nothing_is_tried),
	        WITH_COURIER(deliveries_go_on_beside_each_other),
	        WITH_COURIER(unmounting_waits_for_no_receiver),
	        WITH_COURIER(a_courier_that_is_stopped_holds_up_nobody),
	        cmocka_unit_test(targets_are_strict),
	        cmocka_unit_test(metrics_are_known_by_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
