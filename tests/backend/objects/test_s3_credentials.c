#include "backend/objects/s3_credentials.h"

#include "backend/objects/s3_profile.h"
#include "backend/objects/s3_site.h"
#include "tests/backend/scratch.h"

#include <stdio.h>
#include <string.h>

static const char *const variables[] = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION",
        "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "AWS_ENDPOINT_URL_S3",
        "AWS_ENDPOINT_URL", "AWS_CA_BUNDLE"};

/* A home of the test's own, and none of the environment's variables. */
static int setup(void **state) {
	char *home = calloc(1, 64);
	assert_non_null(home);
	scratch_directory(home);
	for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
		assert_int_equal(unsetenv(variables[i]), 0);
	assert_int_equal(setenv("HOME", home, 1), 0);
	*state = home;
	return 0;
}

static int teardown(void **state) {
	scratch_remove(*state);
	free(*state);
	return 0;
}

static void set(const char *name, const char *value) {
	assert_int_equal(setenv(name, value, 1), 0);
}

static void write_profile(const char *home, const char *name, const char *text) {
	char command[128];
	(void)snprintf(command, sizeof command, "mkdir -p %s/.aws", home);
	assert_int_equal(system(command), 0); // NOLINT(cert-env33-c)
	(void)snprintf(command, sizeof command, "%s/.aws", home);
	scratch_write(command, name, text, strlen(text));
}

static void expect(const struct objects_place *place, const char *wanted) {
	_cleanup_(secret_freep) struct s3_credentials *found = NULL;
	char said[sizeof *found + 8];
	assert_rc(s3_credentials_find(place, &found));
	(void)snprintf(said, sizeof said, "%s %s %s %s %s %s", found->access_key, found->secret_key,
	        found->session_token, found->region, found->endpoint, found->ca_bundle);
	assert_string_equal(said, wanted);
}

static const struct objects_place nothing = {.url = "s3://bucket"};

static void each_part_comes_from_the_first_that_says_it(void **state) {
	struct s3_credentials *none = NULL;
	assert_int_equal(s3_credentials_find(&nothing, &none), -ENOKEY);
	assert_null(none);
	set("AWS_ACCESS_KEY_ID", "half");
	assert_int_equal(s3_credentials_find(&nothing, &none), -EINVAL);
	assert_non_null(strstr(fault_message(), "AWS_SECRET_ACCESS_KEY is not"));
	unsetenv("AWS_ACCESS_KEY_ID");
	write_profile(*state, "config",
	        "[default]\nregion = cf\naws_access_key_id=ca\naws_secret_access_key=cs\nendpoint_url = http://c\n"
	        "[profile work]\nregion=wr\nca_bundle = /ca\n");
	expect(&nothing, "ca cs  cf http://c ");
	write_profile(*state, "credentials",
	        "[default]\naws_access_key_id = fa\naws_secret_access_key = fs\n[work]\naws_access_key_id=wa\n"
	        "aws_secret_access_key=ws\naws_session_token=wt\n");
	expect(&nothing, "fa fs  cf http://c ");
	set("AWS_PROFILE", "work");
	expect(&nothing, "wa ws wt wr  /ca");
	set("AWS_ACCESS_KEY_ID", "ea");
	expect(&nothing, "wa ws wt wr  /ca"); /* half of it is nothing */
	set("AWS_SECRET_ACCESS_KEY", "es");
	set("AWS_DEFAULT_REGION", "dr");
	set("AWS_ENDPOINT_URL", "http://e");
	set("AWS_CA_BUNDLE", "/bundle");
	expect(&nothing, "ea es  dr http://e /bundle");
	set("AWS_SESSION_TOKEN", "et");
	set("AWS_REGION", "er");
	set("AWS_ENDPOINT_URL_S3", "http://s");
	expect(&nothing, "ea es et er http://s /bundle");
	expect(&(struct objects_place){.url = "s3://b",
	               .endpoint = "http://g",
	               .access_key = "ga",
	               .secret_key = "gs",
	               .session_token = "",
	               .region = "gr"},
	        "ga gs  gr http://g /bundle");
}

static void another_service_has_its_own_endpoint(void **state) {
	(void)state;
	const struct aws_asked kms = {
	        .service = "KMS", .endpoint_variable = "AWS_ENDPOINT_URL_KMS", .otherwise_region = ""};
	_cleanup_(secret_freep) struct s3_credentials *found = NULL;
	_cleanup_(secret_freep) struct s3_credentials *again = NULL;
	assert_int_equal(aws_credentials_find(&kms, &found), -ENOKEY);
	assert_non_null(strstr(fault_message(), "for KMS"));
	set("AWS_ACCESS_KEY_ID", "ea");
	set("AWS_SECRET_ACCESS_KEY", "es");
	set("AWS_ENDPOINT_URL_S3", "http://s");
	set("AWS_ENDPOINT_URL", "http://e");
	assert_rc(aws_credentials_find(&kms, &found));
	assert_string_equal(found->region, "");
	assert_string_equal(found->endpoint, "http://e");
	set("AWS_ENDPOINT_URL_KMS", "http://k");
	assert_rc(aws_credentials_find(&kms, &again));
	assert_string_equal(again->endpoint, "http://k");
	unsetenv("AWS_ENDPOINT_URL_KMS");
}

static void files_may_lie_elsewhere(void **state) {
	char path[96];
	static const char text[] = "[default]\naws_access_key_id=a\naws_secret_access_key=s\n";
	scratch_write(*state, "elsewhere", text, strlen(text));
	(void)snprintf(path, sizeof path, "%s/elsewhere", (const char *)*state);
	set("AWS_SHARED_CREDENTIALS_FILE", path);
	expect(&nothing, "a s  us-east-1  ");
}

static void what_can_not_be_is_refused_without_saying_it(void **state) {
	(void)state;
	struct s3_credentials *none = NULL;
	struct objects_place place = {.url = "s3://bucket", .access_key = "key"};
	assert_int_equal(s3_credentials_find(&place, &none), -EINVAL);
	place.secret_key = "with\r\nnewline";
	assert_int_equal(s3_credentials_find(&place, &none), -EINVAL);
	assert_null(strstr(fault_message(), "newline"));
	char longer[300];
	memset(longer, 'k', sizeof longer);
	longer[299] = '\0';
	place.secret_key = longer;
	assert_int_equal(s3_credentials_find(&place, &none), -EINVAL);
	place.secret_key = "secret";
	place.region = "a b";
	assert_int_equal(s3_credentials_find(&place, &none), -EINVAL);
	set("AWS_PROFILE", "nowhere");
	assert_int_equal(s3_credentials_find(&nothing, &none), -EINVAL);
	assert_non_null(strstr(fault_message(), "nowhere"));
	place.region = NULL;
	expect(&place, "key secret  us-east-1  ");
}

static void profiles_are_read_line_by_line(void **state) {
	(void)state;
	static const char text[] =
	        "key = outside\n# [a]\n[ a ]\r\nKey = one \r\n; key = no\n  key = indented\nkey=two=2\n"
	        "nokey\n=\nempty =\n[profile b]\nkey = b\n[\"c d\"]\nkey=cd\n[profile 'e f']\nkey=ef\n"
	        "[unclosed\nkey = u\n[default]\nkey=d";
	struct bytes file = bytes_of(text, sizeof text - 1);
	const struct {
		const char *profile;
		bool is_config;
		const char *key, *wanted;
	} cases[] = {{"a", false, "key", "two=2"}, {"a", true, "key", NULL}, {"b", true, "key", "b"},
	        {"b", false, "key", NULL}, {"c d", false, "key", "cd"}, {"e f", true, "key", "ef"},
	        {"default", true, "key", "d"}, {"default", false, "key", "d"}, {"a", false, "empty", NULL},
	        {"a", false, "none", NULL}};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char value[8] = "";
		bool is_there =
		        s3_profile_value(file, cases[i].profile, cases[i].is_config, cases[i].key, value, sizeof value);
		assert_int_equal(is_there, cases[i].wanted != NULL);
		assert_string_equal(value, cases[i].wanted ? cases[i].wanted : "");
	}
	char small[5];
	assert_false(s3_profile_value(file, "a", false, "key", small, sizeof small));
	assert_true(s3_profile_is_there(file, "b", true));
	assert_false(s3_profile_is_there(file, "b", false));
}

static void a_bucket_has_its_address(void **state) {
	(void)state;
	struct s3_site site;
	const struct {
		const char *endpoint, *region, *bucket, *base, *host, *path;
	} good[] = {
	        {"", "eu-west-3", "bucket", "https://bucket.s3.eu-west-3.amazonaws.com",
	                "bucket.s3.eu-west-3.amazonaws.com", ""},
	        {"", "us-east-1", "a.b", "https://s3.us-east-1.amazonaws.com", "s3.us-east-1.amazonaws.com", "/a.b"},
	        {"", "cn-north-1", "bucket", "https://bucket.s3.cn-north-1.amazonaws.com.cn",
	                "bucket.s3.cn-north-1.amazonaws.com.cn", ""},
	        {"http://LocalHost:9000", "x", "bucket", "http://localhost:9000", "localhost:9000", "/bucket"},
	        {"https://h:443/", "x", "bucket", "https://h", "h", "/bucket"},
	        {"http://[::1]:80", "x", "bucket", "http://[::1]", "[::1]", "/bucket"},
	};
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		assert_rc(s3_site_make(good[i].endpoint, good[i].region, good[i].bucket, &site));
		assert_string_equal(site.base, good[i].base);
		assert_string_equal(site.host, good[i].host);
		assert_string_equal(site.path, good[i].path);
		assert_int_equal(site.is_aws, good[i].endpoint[0] == '\0');
	}
	static const char *const bad[] = {"localhost", "ftp://h", "http://", "http://h/path", "http://u:p@h",
	        "http://h?q", "http://h#f", "http://h:99999", "file:///x", "http://a b"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(s3_site_make(bad[i], "r", "bucket", &site), -EINVAL);
	assert_int_equal(s3_site_make("", "evil.com/x", "bucket", &site), -EINVAL);
	assert_int_equal(s3_site_make("", "", "bucket", &site), -EINVAL);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(each_part_comes_from_the_first_that_says_it, setup, teardown),
	        cmocka_unit_test_setup_teardown(another_service_has_its_own_endpoint, setup, teardown),
	        cmocka_unit_test_setup_teardown(files_may_lie_elsewhere, setup, teardown),
	        cmocka_unit_test_setup_teardown(what_can_not_be_is_refused_without_saying_it, setup, teardown),
	        cmocka_unit_test(profiles_are_read_line_by_line),
	        cmocka_unit_test(a_bucket_has_its_address),
	};
	return cmocka_run_group_tests_name("s3_credentials", tests, NULL, NULL);
}
