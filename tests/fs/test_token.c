/* Tokens: told once, kept as a hash, ended by the clock. */
#include "tests/fs/unit.h"

#include "fs/http/token.h"
#include "policy/policy.h"
#include "tests/backend/meta_fixture.h"

static int add(struct fixture *f, const char *name, enum token_role role, int64_t until_s,
        char text[static TOKEN_TEXT_BYTES]) {
	struct token token = {.role = role, .by = 7, .made_s = 10, .until_s = until_s};
	snprintf(token.name, sizeof token.name, "%s", name);
	meta_begin(f->m);
	return meta_end(f->m, token_add(f->m, &token, text));
}

static int check(struct fixture *f, const char *text, int64_t now_s, struct token *ret) {
	meta_begin(f->m);
	return meta_end(f->m, token_check(f->m, text, now_s, ret));
}

static void test_one_is_known_by_its_text_alone(void **state) {
	struct fixture *f = *state;
	char one[TOKEN_TEXT_BYTES], other[TOKEN_TEXT_BYTES], wrong[TOKEN_TEXT_BYTES];
	struct token found;
	assert_int_equal(check(f, "assay_x", 50, &found), -EACCES);
	assert_int_equal(add(f, "one", TOKEN_VIEWER, 100, one), 0);
	assert_int_equal(add(f, "other", TOKEN_STEWARD, 100, other), 0);
	assert_int_equal(strncmp(one, TOKEN_PREFIX, strlen(TOKEN_PREFIX)), 0);
	assert_int_equal(strlen(one), strlen(TOKEN_PREFIX) + 43);
	assert_string_not_equal(one, other);
	assert_int_equal(check(f, other, 50, &found), 0);
	assert_string_equal(found.name, "other");
	assert_int_equal(found.role, TOKEN_STEWARD);
	assert_int_equal(found.by, 7);
	memcpy(wrong, one, sizeof wrong);
	wrong[20] = wrong[20] == 'A' ? 'B' : 'A';
	assert_int_equal(check(f, wrong, 50, &found), -EACCES);
	assert_int_equal(check(f, one + strlen(TOKEN_PREFIX), 50, &found), -EACCES);
	assert_int_equal(check(f, "", 50, &found), -EACCES);
}

static void test_one_ends(void **state) {
	struct fixture *f = *state;
	char text[TOKEN_TEXT_BYTES];
	struct token found;
	assert_int_equal(add(f, "short", TOKEN_VIEWER, 100, text), 0);
	assert_int_equal(check(f, text, 99, &found), 0);
	assert_int_equal(check(f, text, 100, &found), -EACCES);
	meta_begin(f->m);
	assert_int_equal(meta_end(f->m, token_remove(f->m, "short")), 0);
	assert_int_equal(check(f, text, 50, &found), -EACCES);
	meta_begin(f->m);
	assert_int_equal(meta_end(f->m, token_remove(f->m, "short")), -ENOENT);
}

static int no_text(void *arg, const char *text, size_t size) {
	const char *secret = arg;
	return memmem(text, size, secret, strlen(secret)) != NULL;
}

static void test_the_text_is_not_kept(void **state) {
	struct fixture *f = *state;
	char text[TOKEN_TEXT_BYTES], value[512];
	size_t size;
	assert_int_equal(add(f, "kept", TOKEN_VIEWER, 100, text), 0);
	meta_begin(f->m);
	assert_int_equal(meta_kv_get(f->m, "http.token.kept", value, sizeof value, &size), 0);
	(void)meta_end(f->m, 0);
	assert_false(no_text(text + strlen(TOKEN_PREFIX), value, size));
}

static int count_one(void *arg, const struct token *token) {
	(void)token;
	++*(int *)arg;
	return 0;
}

static void test_names_and_bounds(void **state) {
	struct fixture *f = *state;
	char text[TOKEN_TEXT_BYTES], name[16];
	int count = 0;
	assert_int_equal(add(f, "", TOKEN_VIEWER, 100, text), -EINVAL);
	assert_int_equal(add(f, "a b", TOKEN_VIEWER, 100, text), -EINVAL);
	assert_int_equal(add(f, "a/b", TOKEN_VIEWER, 100, text), -EINVAL);
	for (int i = 0; i < TOKENS_MAX; i++) {
		snprintf(name, sizeof name, "t%d", i);
		assert_int_equal(add(f, name, TOKEN_VIEWER, 100, text), 0);
	}
	assert_int_equal(add(f, "more", TOKEN_VIEWER, 100, text), -E2BIG);
	meta_begin(f->m);
	assert_int_equal(token_remove(f->m, "t1"), 0);
	assert_int_equal(meta_end(f->m, token_list(f->m, count_one, &count)), 0);
	assert_int_equal(count, TOKENS_MAX - 1);
	assert_int_equal(add(f, "t2", TOKEN_VIEWER, 100, text), -EEXIST);
}

static void test_roles(void **state) {
	(void)state;
	for (enum token_role role = TOKEN_VIEWER; role < TOKEN_ROLES; role++)
		assert_int_equal(token_role_named(token_role_word(role)), role);
	assert_int_equal(token_role_named("ingester"), TOKEN_ROLES);
	assert_int_equal(token_policy_roles(TOKEN_VIEWER), 0);
	assert_int_equal(token_policy_roles(TOKEN_STEWARD), 1 << ROLE_STEWARD);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_one_is_known_by_its_text_alone, fixture_setup, fixture_teardown),
	        cmocka_unit_test_setup_teardown(test_one_ends, fixture_setup, fixture_teardown),
	        cmocka_unit_test_setup_teardown(test_the_text_is_not_kept, fixture_setup, fixture_teardown),
	        cmocka_unit_test_setup_teardown(test_names_and_bounds, fixture_setup, fixture_teardown),
	        cmocka_unit_test(test_roles)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
