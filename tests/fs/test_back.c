/* Who asks over HTTP, what he is told, and what the front is. */
#include "tests/fs/unit.h"

#include "fs/http/back.h"
#include "fs/http/token.h"
#include "tests/backend/test_vault.h"

#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

struct world {
	struct test_vault *v;
	Front *front;
	Back *back;
	unsigned rights;
	unsigned asked, denied;
	unsigned roles; /* of the last one who asked */
};

static int answer(void *arg, const struct control_peer *peer, const char *command, const json_t *arguments,
        size_t limit, json_t **ret_items) {
	struct world *w = arg;
	(void)limit;
	w->asked++;
	w->roles = peer->token_roles;
	*ret_items = json_pack("[{s:s, s:O}]", "command", command, "got", (json_t *)(uintptr_t)arguments);
	return 0;
}

static unsigned rights(void *arg, const struct control_peer *peer) {
	(void)peer;
	return ((struct world *)arg)->rights;
}

static void denied(void *arg, const struct control_peer *peer, const char *detail) {
	(void)peer;
	assert_non_null(strstr(detail, ": "));
	((struct world *)arg)->denied++;
}

static int set_up(void **state) {
	struct world *w = calloc(1, sizeof *w);
	void *vault = NULL;
	if (front_start("127.0.0.1:0", &w->front)) /* before the store has threads */
		return -1;
	if (test_vault_setup(&vault))
		return -1;
	w->v = vault;
	const struct back_options options = {
	        .front = w->front, .store = w->v->store, .ask = answer, .rights = rights, .denied = denied, .arg = w};
	*state = w;
	return back_start(&options, &w->back);
}

static int tear_down(void **state) {
	struct world *w = *state;
	void *vault = w->v;
	back_stop(w->back);
	front_stop(w->front);
	free(w);
	return test_vault_teardown(&vault);
}

static void make_token(struct world *w, const char *name, enum token_role role, char text[static TOKEN_TEXT_BYTES]) {
	Meta *m = store_meta(w->v->store);
	struct token token = {.role = role, .until_s = INT64_C(1) << 40};
	snprintf(token.name, sizeof token.name, "%s", name);
	meta_begin(m);
	assert_int_equal(meta_end(m, token_add(m, &token, text)), 0);
}

static int ask(struct world *w, const char *method, const char *path, const char *token, const char *body) {
	json_t *request = json_pack("{s:s, s:s, s:{}, s:s*, s:s*}", "method", method, "path", path, "parameters",
	        "token", token, "body", body);
	json_t *answered = back_answer(w->back, request);
	int status = (int)json_integer_value(json_object_get(answered, "status"));
	json_decref(request);
	json_decref(answered);
	return status;
}

static void test_nobody_is_told_nothing(void **state) {
	struct world *w = *state;
	json_t *request = json_object();
	w->rights = 1;
	json_t *answered = back_answer(w->back, request);
	assert_int_equal(json_integer_value(json_object_get(answered, "status")), 401);
	json_decref(request);
	json_decref(answered);
	assert_int_equal(ask(w, "GET", "/api/v1/status", NULL, NULL), 401);
	assert_int_equal(ask(w, "GET", "/api/v1/status", "assay_x", NULL), 401);
	assert_int_equal(ask(w, "GET", "/api/v1/there-is-no-such", "assay_x", NULL), 401);
	assert_int_equal(w->asked, 0);
}

static void test_denials_do_not_fill_the_log(void **state) {
	struct world *w = *state;
	for (int i = 0; i < 200; i++)
		assert_int_equal(ask(w, "GET", "/api/v1/status", "assay_x", NULL), 401);
	assert_in_range(w->denied, 1, 20);
}

static void test_tokens(void **state) {
	struct world *w = *state;
	char viewer[TOKEN_TEXT_BYTES], steward[TOKEN_TEXT_BYTES];
	make_token(w, "viewer", TOKEN_VIEWER, viewer);
	make_token(w, "steward", TOKEN_STEWARD, steward);
	assert_int_equal(ask(w, "GET", "/api/v1/status", viewer, NULL), 200);
	assert_int_equal(w->roles, 0);
	assert_int_equal(ask(w, "GET", "/nowhere", viewer, NULL), 404);
	assert_int_equal(ask(w, "DELETE", "/api/v1/status", viewer, NULL), 405);
	assert_int_equal(ask(w, "POST", "/api/v1/run", viewer, "{\"workflow\":\"a\"}"), 403);
	unsigned before = w->asked;
	assert_int_equal(ask(w, "POST", "/api/v1/run", steward, "{\"workflow\":\"a\"}"), 202);
	assert_int_equal(ask(w, "POST", "/api/v1/run", steward, "{\"workflow\":\"a\"}"), 202);
	assert_int_equal(w->asked, before + 2); /* an act is never answered from memory */
	assert_int_not_equal(w->roles, 0);
	before = w->asked;
	for (int i = 0; i < 50; i++)
		assert_int_equal(ask(w, "GET", "/api/v1/pulse", steward, NULL), 200);
	assert_in_range(w->asked - before, 1, 3);
}

/* A connection of this very process, by its two addresses. */
static int ask_as_myself(struct world *w, const char *path) {
	struct address ours, theirs = {.size = sizeof theirs.socket};
	char local[ADDRESS_TEXT_BYTES], remote[ADDRESS_TEXT_BYTES];
	ours = *front_address(w->front);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&ours.socket, ours.size), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&theirs.socket, &theirs.size), 0);
	json_t *request = json_pack("{s:s, s:s, s:{}, s:s, s:s}", "method", "GET", "path", path, "parameters", "local",
	        address_text(&ours, local), "remote", address_text(&theirs, remote));
	json_t *answered = back_answer(w->back, request);
	int status = (int)json_integer_value(json_object_get(answered, "status"));
	const char *right = json_string_value(json_object_get(answered, "right"));
	char expected[32];
	snprintf(expected, sizeof expected, "uid:%u", (unsigned)getuid());
	if (status == 200)
		assert_string_equal(right, expected);
	json_decref(request);
	json_decref(answered);
	close(fd);
	return status;
}

static void test_a_user_of_this_machine(void **state) {
	struct world *w = *state;
	w->rights = 1;
	assert_int_equal(ask_as_myself(w, "/api/v1/status"), 200);
	w->rights = 0;
	assert_int_equal(ask_as_myself(w, "/api/v1/status"), 403);
}

static void test_what_was_made_for_other_rights_is_not_told(void **state) {
	struct world *w = *state;
	w->rights = 3;
	assert_int_equal(ask_as_myself(w, "/api/v1/status"), 200);
	unsigned before = w->asked;
	w->rights = 1; /* the policy took a role from him: at once, not when the document is old */
	assert_int_equal(ask_as_myself(w, "/api/v1/status"), 200);
	assert_int_equal(w->asked, before + 1);
}

static void test_beyond_this_machine_a_token_is_needed(void **state) {
	struct world *w = *state;
	struct address address;
	char text[TOKEN_TEXT_BYTES];
	assert_int_equal(address_parse("0.0.0.0:1", &address), 0);
	assert_int_equal(back_check(w->v->store, front_address(w->front)), 0);
	assert_int_equal(back_check(w->v->store, &address), -EPERM);
	make_token(w, "one", TOKEN_VIEWER, text);
	assert_int_equal(back_check(w->v->store, &address), 0);
}

static void test_a_port_that_is_taken(void **state) {
	struct world *w = *state;
	char text[ADDRESS_TEXT_BYTES];
	Front *second = NULL;
	assert_int_equal(front_start(address_text(front_address(w->front), text), &second), -EADDRINUSE);
	assert_null(second);
}

static void test_the_front_may_die(void **state) {
	struct world *w = *state;
	assert_true(atomic_load(back_alive(w->back)));
	assert_int_equal(kill(front_pid(w->front), SIGKILL), 0);
	for (int i = 0; i < 500 && atomic_load(back_alive(w->back)); i++)
		usleep(10000);
	assert_false(atomic_load(back_alive(w->back)));
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_nobody_is_told_nothing, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_denials_do_not_fill_the_log, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_tokens, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_a_user_of_this_machine, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_what_was_made_for_other_rights_is_not_told, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_beyond_this_machine_a_token_is_needed, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_a_port_that_is_taken, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_the_front_may_die, set_up, tear_down)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
