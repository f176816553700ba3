#include "tests/fs/unit.h"

#include "crypto/base/bytes.h"
#include "crypto/base/fault.h"
#include "fs/control.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#define ID "00112233445566778899aabbccddeeff"

struct fixture {
	char directory[64];
	char path[104];
	Control *control;
	atomic_int waiting, ended, gone;
};

static int echo(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	(void)context;
	return control_send(reply, json_pack("{s:I, s:i, s:O}", "uid", (json_int_t)peer->uid, "pid", (int)peer->pid,
	                                   "got", (json_t *)(uintptr_t)arguments));
}

static int refuse(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	(void)context;
	(void)peer;
	(void)arguments;
	(void)reply;
	return fault(ENOENT, "no file of that name");
}

static int follow(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	struct fixture *fixture = context;
	(void)peer;
	(void)arguments;
	int rc = control_send(reply, json_object());
	atomic_fetch_add(&fixture->waiting, 1);
	while (!rc)
		rc = control_wait(reply, 10000);
	if (rc == -EPIPE)
		atomic_fetch_add(&fixture->gone, 1);
	atomic_fetch_add(&fixture->ended, 1);
	return rc;
}

static int flood(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	struct fixture *fixture = context;
	(void)peer;
	(void)arguments;
	int rc = 0;
	while (!rc)
		rc = control_send(reply, json_pack("{s:s}", "words", "more than anybody reads"));
	atomic_fetch_add(&fixture->ended, 1);
	return rc;
}

static int set_up(void **state) {
	struct fixture *fixture = calloc(1, sizeof *fixture);
	snprintf(fixture->directory, sizeof fixture->directory, "/tmp/assayfs-control-XXXXXX");
	if (!fixture || !mkdtemp(fixture->directory))
		return -1;
	snprintf(fixture->path, sizeof fixture->path, "%s/%s", fixture->directory, ID);
	struct control_options options = {.vault_id = ID,
	        .owner = getuid(),
	        .directory = fixture->directory,
	        .request_ms = 300,
	        .answer_ms = 300};
	if (control_open(&options, &fixture->control) ||
	        control_register(fixture->control, "echo", CONTROL_OWNER, echo, NULL) ||
	        control_register(fixture->control, "fail", CONTROL_ANY, refuse, NULL) ||
	        control_register(fixture->control, "follow", CONTROL_ANY, follow, fixture) ||
	        control_register(fixture->control, "flood", CONTROL_ANY, flood, fixture) ||
	        control_start(fixture->control))
		return -1;
	*state = fixture;
	return 0;
}

static int tear_down(void **state) {
	struct fixture *fixture = *state;
	control_close(fixture->control, 0, NULL);
	int rc = access(fixture->path, F_OK) == 0 ? -1 : rmdir(fixture->directory);
	free(fixture);
	return rc;
}

static int dial(const struct fixture *fixture) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof address.sun_path, "%s", fixture->path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

static void ask(int fd, const char *command) {
	json_t *request = json_pack("{s:s, s:{s:i}}", "command", command, "arguments", "x", 7);
	assert_int_equal(wire_send(fd, request, WIRE_REQUEST_MAX, 1000), 0);
	json_decref(request);
}

/* The next message has this member; returns it as a number. */
static json_int_t expect(int fd, const char *member) {
	json_t *message = NULL;
	int rc = wire_receive(fd, WIRE_ANSWER_MAX, 20000, &message);
	if (rc)
		fail_msg("no message: %s", fault_message());
	const json_t *value = json_object_get(message, member);
	if (!value)
		fail_msg("the message has no '%s'", member);
	json_int_t number = json_integer_value(value);
	json_decref(message);
	return number;
}

static void wait_until(atomic_int *counter, int least) {
	for (int i = 0; i < 2000 && atomic_load(counter) < least; i++)
		usleep(10000);
	assert_true(atomic_load(counter) >= least);
}

static void a_handler_learns_who_asks_and_answers(void **state) {
	int fd = dial(*state);
	ask(fd, "echo");
	json_t *message = NULL;
	assert_int_equal(wire_receive(fd, WIRE_ANSWER_MAX, 20000, &message), 0);
	const json_t *item = json_object_get(message, "item");
	assert_int_equal(json_integer_value(json_object_get(item, "uid")), getuid());
	assert_int_equal(json_integer_value(json_object_get(item, "pid")), getpid());
	assert_int_equal(json_integer_value(json_object_get(json_object_get(item, "got"), "x")), 7);
	json_decref(message);
	assert_int_equal(expect(fd, "end"), 0);
	assert_int_equal(wire_receive(fd, WIRE_ANSWER_MAX, 20000, &message), -ENODATA);
	close(fd);
}

static void an_error_comes_with_its_number_and_words(void **state) {
	int fd = dial(*state);
	ask(fd, "fail");
	json_t *message = NULL;
	assert_int_equal(wire_receive(fd, WIRE_ANSWER_MAX, 20000, &message), 0);
	assert_int_equal(json_integer_value(json_object_get(message, "end")), -ENOENT);
	assert_string_equal(json_string_value(json_object_get(message, "words")), "no file of that name");
	json_decref(message);
	close(fd);
}

static void an_unknown_command_is_refused(void **state) {
	int fd = dial(*state);
	ask(fd, "format-the-disk");
	assert_int_equal(expect(fd, "end"), -ENOSYS);
	close(fd);
}

static void send_raw(int fd, const void *data, size_t size) {
	assert_int_equal(send(fd, data, size, MSG_NOSIGNAL), size);
}

static void send_text(int fd, uint32_t length, const char *text) {
	uint8_t head[4];
	le32_put(head, length);
	send_raw(fd, head, sizeof head);
	if (*text)
		send_raw(fd, text, strlen(text));
}

static void hostile_requests_are_answered_with_an_error(void **state) {
	static const char *const wrong[] = {"{", "[]", "7", "\"\"", "{}", "{\"command\":7,\"arguments\":{}}",
	        "{\"command\":\"echo\"}", "{\"command\":\"echo\",\"arguments\":[]}",
	        "{\"command\":\"echo\",\"command\":\"echo\",\"arguments\":{}}",
	        "{\"command\":\"\xff\",\"arguments\":{}}", "{\"command\":\"a\\u0000b\",\"arguments\":{}}"};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		int fd = dial(*state);
		send_text(fd, (uint32_t)strlen(wrong[i]), wrong[i]);
		if (expect(fd, "end") != -EPROTO)
			fail_msg("%s was taken", wrong[i]);
		close(fd);
	}
}

static void nesting_beyond_the_bound_never_reaches_the_parser(void **state) {
	enum { DEPTH = 100000 };
	char *text = malloc(DEPTH + 1);
	assert_non_null(text);
	memset(text, '[', DEPTH);
	text[DEPTH] = '\0';
	int fd = dial(*state);
	send_text(fd, DEPTH, text);
	assert_int_equal(expect(fd, "end"), -EPROTO);
	close(fd);
	free(text);
}

static void a_length_beyond_the_bound_is_refused_at_once(void **state) {
	int fd = dial(*state);
	send_text(fd, UINT32_MAX, "");
	assert_int_equal(expect(fd, "end"), -EMSGSIZE);
	close(fd);
}

static void who_never_sends_is_dropped(void **state) {
	int fd = dial(*state);
	send_text(fd, WIRE_REQUEST_MAX, "{\"command\":");
	assert_int_equal(expect(fd, "end"), -ETIMEDOUT);
	close(fd);
}

static void who_hangs_up_in_the_middle_does_no_harm(void **state) {
	for (size_t size = 0; size < 12; size++) {
		int fd = dial(*state);
		send_raw(fd, "\x20\0\0\0{\"command\":", size);
		close(fd);
	}
	int fd = dial(*state);
	ask(fd, "echo");
	(void)expect(fd, "item");
	close(fd);
}

static void who_never_reads_is_dropped(void **state) {
	struct fixture *fixture = *state;
	int fd = dial(fixture);
	ask(fd, "flood");
	wait_until(&fixture->ended, 1);
	close(fd);
}

static void a_follower_that_leaves_is_noticed_at_once(void **state) {
	struct fixture *fixture = *state;
	int fd = dial(fixture);
	ask(fd, "follow");
	(void)expect(fd, "item");
	wait_until(&fixture->waiting, 1);
	close(fd);
	wait_until(&fixture->gone, 1);
}

static void one_user_cannot_take_all_places(void **state) {
	struct fixture *fixture = *state;
	int fds[CONTROL_CONNECTIONS_PER_UID];
	for (size_t i = 0; i < CONTROL_CONNECTIONS_PER_UID; i++) {
		fds[i] = dial(fixture);
		ask(fds[i], "follow");
		(void)expect(fds[i], "item");
	}
	int refused = dial(fixture);
	assert_int_equal(expect(refused, "end"), -EAGAIN);
	close(refused);
	for (size_t i = 0; i < CONTROL_CONNECTIONS_PER_UID; i++)
		close(fds[i]);
	wait_until(&fixture->ended, CONTROL_CONNECTIONS_PER_UID);
}

/* As many as it takes, each taking what it may get; how many users that are. */
static size_t users_until_full(void) {
	size_t taken = 0, users = 0;
	for (; control_has_place(taken, 0, false); users++)
		for (size_t own = 0; control_has_place(taken, own, false); own++)
			taken++;
	assert_true(
	        control_has_place(taken, 0, true) && control_has_place(taken, CONTROL_CONNECTIONS_PER_UID - 1, true));
	return users;
}

static void a_few_users_cannot_take_all_places(void **state) {
	(void)state;
	assert_true(users_until_full() > 5);
	assert_false(control_has_place(CONTROL_CONNECTIONS_MAX, 0, true));
	assert_false(control_has_place(0, CONTROL_CONNECTIONS_PER_UID, true));
}

static void *ask_many(void *context) {
	for (int i = 0; i < 50; i++) {
		int fd = dial(context);
		ask(fd, "echo");
		(void)expect(fd, "item");
		(void)expect(fd, "end");
		close(fd);
	}
	return NULL;
}

static void many_at_once_are_all_answered(void **state) {
	pthread_t threads[8];
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_many, *state), 0);
	for (size_t i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
}

static void the_end_of_the_mount_ends_followers_and_is_told_to_who_attends(void **state) {
	struct fixture *fixture = *state;
	int follower = dial(fixture), attending = dial(fixture);
	ask(attending, "attend");
	(void)expect(attending, "item");
	ask(follower, "follow");
	(void)expect(follower, "item");
	control_stop(fixture->control);
	assert_int_equal(expect(follower, "end"), -ECANCELED);
	struct pollfd silent = {.fd = attending, .events = POLLIN};
	assert_int_equal(poll(&silent, 1, 0), 0);
	control_close(fixture->control, -EIO, "the disk is gone");
	fixture->control = NULL;
	json_t *message = NULL;
	assert_int_equal(wire_receive(attending, WIRE_ANSWER_MAX, 20000, &message), 0);
	assert_int_equal(json_integer_value(json_object_get(message, "end")), -EIO);
	assert_string_equal(json_string_value(json_object_get(message, "words")), "the disk is gone");
	json_decref(message);
	close(follower);
	close(attending);
}

static void who_gave_up_waiting_for_the_end_leaves_its_place(void **state) {
	struct fixture *fixture = *state;
	for (size_t i = 0; i < 40; i++) {
		int fd = dial(fixture);
		ask(fd, "attend");
		(void)expect(fd, "item");
		close(fd);
		int other = dial(fixture); /* by the time it is answered, the one before has been kept */
		ask(other, "echo");
		(void)expect(other, "item");
		(void)expect(other, "end");
		close(other);
	}
	struct pollfd refused = {.fd = dial(fixture), .events = POLLIN};
	ask(refused.fd, "attend");
	(void)expect(refused.fd, "item");
	assert_int_equal(poll(&refused, 1, 500), 0); /* no end: it waits */
	close(refused.fd);
}

static void stopping_does_not_wait_for_who_does_not_read(void **state) {
	struct fixture *fixture = *state;
	struct control_options options = {
	        .vault_id = "ab", .owner = getuid(), .directory = fixture->directory, .answer_ms = 600000};
	Control *control = NULL;
	assert_int_equal(control_open(&options, &control), 0);
	assert_int_equal(control_register(control, "flood", CONTROL_ANY, flood, fixture), 0);
	assert_int_equal(control_start(control), 0);
	struct fixture other = {0};
	snprintf(other.path, sizeof other.path, "%s/ab", fixture->directory);
	int fd = dial(&other);
	ask(fd, "flood");
	(void)expect(fd, "item");
	control_close(control, 0, NULL); /* would take ten minutes */
	assert_true(atomic_load(&fixture->ended) >= 1);
	close(fd);
}

static void a_stale_socket_is_replaced_and_a_live_one_is_not(void **state) {
	struct fixture *fixture = *state;
	struct control_options options = {.vault_id = ID, .owner = getuid(), .directory = fixture->directory};
	Control *second = NULL;
	assert_int_equal(control_open(&options, &second), -EBUSY);
	options.vault_id = "cd";
	char path[104];
	snprintf(path, sizeof path, "%s/cd", fixture->directory);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	int stale = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(stale, (struct sockaddr *)&address, sizeof address), 0);
	close(stale);
	assert_int_equal(control_open(&options, &second), 0);
	struct stat about;
	assert_int_equal(stat(path, &about), 0);
	assert_int_equal(about.st_mode & 0777, 0600);
	control_close(second, 0, NULL);
}

static void a_directory_that_others_can_write_is_refused(void **state) {
	struct fixture *fixture = *state;
	struct control_options options = {.vault_id = "ef", .owner = getuid(), .directory = fixture->directory};
	Control *second = NULL;
	assert_int_equal(chmod(fixture->directory, 0777), 0);
	assert_int_equal(control_open(&options, &second), -EPERM);
	assert_int_equal(chmod(fixture->directory, 0700), 0);
	char link[96];
	snprintf(link, sizeof link, "%s/link", fixture->directory);
	assert_int_equal(symlink(".", link), 0);
	options.directory = link;
	assert_true(control_open(&options, &second) < 0);
	assert_int_equal(unlink(link), 0);
}

static void a_name_that_is_no_vault_id_is_refused(void **state) {
	struct fixture *fixture = *state;
	struct control_options options = {.vault_id = "../x", .owner = getuid(), .directory = fixture->directory};
	Control *second = NULL;
	assert_int_equal(control_open(&options, &second), -EINVAL);
}

static void paths_of_any_bytes_travel_unchanged(void **state) {
	(void)state;
	static const char *const paths[] = {"", "Landing/a.csv", "Landing/\xff\xfe\n", "żółw"};
	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
		char back[WIRE_PATH_MAX];
		json_t *value = wire_path(paths[i]);
		assert_int_equal(wire_path_get(value, back), 0);
		assert_string_equal(back, paths[i]);
		json_decref(value);
	}
}

static void malformed_paths_are_refused(void **state) {
	(void)state;
	static const char *const wrong[] = {"[7]", "[null]", "[{}]", "[{\"hex\":\"0\"}]", "[{\"hex\":\"zz\"}]",
	        "[{\"hex\":\"00\"}]", "[{\"hex\":\"41\",\"x\":1}]", "[{\"hex\":7}]"};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		char back[WIRE_PATH_MAX];
		json_t *list = json_loads(wrong[i], 0, NULL);
		assert_non_null(list);
		if (wire_path_get(json_array_get(list, 0), back) >= 0)
			fail_msg("%s was taken", wrong[i]);
		json_decref(list);
	}
	char back[WIRE_PATH_MAX], *text = malloc(WIRE_PATH_MAX + 1);
	assert_non_null(text);
	memset(text, 'x', WIRE_PATH_MAX);
	text[WIRE_PATH_MAX] = '\0';
	json_t *value = json_string(text);
	assert_int_equal(wire_path_get(value, back), -ENAMETOOLONG);
	json_decref(value);
	free(text);
}

static void a_path_in_the_vault_has_one_spelling(void **state) {
	(void)state;
	static const char *const right[] = {
	        "", "Landing", "Landing/a.csv", "Landing/..a/.b./...", "Landing/\xff\xfe\n"};
	static const char *const wrong[] = {"/", "/Landing", "Landing/", "Landing//a.csv", "Landing/./a.csv", ".", "..",
	        "Landing/..", "Landing/x/../a.csv", "Landing/a.csv/."};
	char back[WIRE_PATH_MAX];
	for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
		json_t *value = wire_path(right[i]);
		assert_int_equal(wire_vault_path_get(value, back), 0);
		assert_string_equal(back, right[i]);
		json_decref(value);
	}
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		json_t *value = json_string(wrong[i]);
		if (wire_vault_path_get(value, back) != -EINVAL)
			fail_msg("%s was taken", wrong[i]);
		json_decref(value);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(a_handler_learns_who_asks_and_answers, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(an_error_comes_with_its_number_and_words, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(an_unknown_command_is_refused, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(hostile_requests_are_answered_with_an_error, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(nesting_beyond_the_bound_never_reaches_the_parser, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_length_beyond_the_bound_is_refused_at_once, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(who_never_sends_is_dropped, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(who_hangs_up_in_the_middle_does_no_harm, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(who_never_reads_is_dropped, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_follower_that_leaves_is_noticed_at_once, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(one_user_cannot_take_all_places, set_up, tear_down),
	        cmocka_unit_test(a_few_users_cannot_take_all_places),
	        cmocka_unit_test_setup_teardown(many_at_once_are_all_answered, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(
	                the_end_of_the_mount_ends_followers_and_is_told_to_who_attends, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(who_gave_up_waiting_for_the_end_leaves_its_place, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(stopping_does_not_wait_for_who_does_not_read, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_stale_socket_is_replaced_and_a_live_one_is_not, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_directory_that_others_can_write_is_refused, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_name_that_is_no_vault_id_is_refused, set_up, tear_down),
	        cmocka_unit_test(paths_of_any_bytes_travel_unchanged),
	        cmocka_unit_test(malformed_paths_are_refused),
	        cmocka_unit_test(a_path_in_the_vault_has_one_spelling),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
