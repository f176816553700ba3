#include "backend/kms/kms_aws_key.h"

#include "tests/backend/scratch.h"

#include <string.h>

#define ACCOUNT ":111122223333:"
#define IRELAND "arn:aws:kms:eu-west-1" ACCOUNT

static void keys_are_named_as_aws_does(void **state) {
	(void)state;
	const struct {
		const char *name, *region;
		bool is_key_arn;
	} good[] = {
	        {IRELAND "key/1234abcd-12ab-34cd-56ef-1234567890ab", "eu-west-1", true},
	        {IRELAND "key/mrk-1234abcd12ab34cd56ef1234567890ab", "eu-west-1", true},
	        {IRELAND "alias/vault", "eu-west-1", false},
	        {IRELAND "alias/aws/s3", "eu-west-1", false},
	        {"arn:aws-cn:kms:cn-north-1" ACCOUNT "key/1", "cn-north-1", true},
	        {"arn:aws-us-gov:kms:us-gov-west-1" ACCOUNT "key/1", "us-gov-west-1", true},
	        {"alias/a_b-C/9", "", false},
	        {"1234abcd-12ab-34cd-56ef-1234567890ab", "", false},
	};
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		struct kms_aws_key key;
		assert_rc(kms_aws_key_parse(good[i].name, &key));
		assert_string_equal(key.id, good[i].name);
		assert_string_equal(key.region, good[i].region);
		assert_int_equal(key.is_key_arn, good[i].is_key_arn);
	}
}

static void other_names_are_refused(void **state) {
	(void)state;
	static char longer[600];
	memset(longer, 'a', sizeof longer - 1);
	const char *const bad[] = {"", "alias/", "key/1", "a b", "a\n", "alias/a.b", "arn:", "arn:aws:kms",
	        "arn:aws:s3:eu-west-1" ACCOUNT "key/1", "arn:aws:kms:" ACCOUNT "key/1", IRELAND, IRELAND "key/",
	        IRELAND "alias/", IRELAND "key/a/b", IRELAND "user/a", "arn:aws:kms:eu-west-1:1:key/1",
	        "arn:aws:kms:eu-west-1:1111222233334:key/1", "arn:aws:kms:evil.com" ACCOUNT "key/1",
	        "arn:gcp:kms:eu-west-1" ACCOUNT "key/1",
	        "arn:aws:kms:a-region-that-is-longer-than-any-region-of-aws-has-been" ACCOUNT "key/1", longer};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct kms_aws_key key = {.id = "untouched"};
		if (kms_aws_key_parse(bad[i], &key) != -EINVAL)
			fail_msg("taken: %.100s", bad[i]);
		assert_string_equal(key.id, "untouched");
	}
}

static void make(const char *name, const char *endpoint, const char *region, struct kms_aws_site *ret, int wanted) {
	struct kms_aws_key key;
	assert_rc(kms_aws_key_parse(name, &key));
	if (kms_aws_site_make(&key, endpoint, region, ret) != wanted)
		fail_msg("%s at '%s' in '%s' is not %d: %s", name, endpoint, region, wanted, fault_message());
}

static void a_key_has_its_address(void **state) {
	(void)state;
	const struct {
		const char *name, *endpoint, *region, *base, *signs_for;
	} good[] = {
	        {IRELAND "key/1", "", "", "https://kms.eu-west-1.amazonaws.com", "eu-west-1"},
	        {IRELAND "key/1", "", "us-east-1", "https://kms.eu-west-1.amazonaws.com", "eu-west-1"},
	        {"alias/a", "", "us-east-1", "https://kms.us-east-1.amazonaws.com", "us-east-1"},
	        {"arn:aws-cn:kms:cn-north-1" ACCOUNT "key/1", "", "", "https://kms.cn-north-1.amazonaws.com.cn",
	                "cn-north-1"},
	        {IRELAND "key/1", "https://kms-fips.eu-west-1.amazonaws.com", "us-east-1",
	                "https://kms-fips.eu-west-1.amazonaws.com", "eu-west-1"},
	        {"alias/a", "https://vpce-0a-b.kms.eu-west-3.vpce.amazonaws.com", "",
	                "https://vpce-0a-b.kms.eu-west-3.vpce.amazonaws.com", "eu-west-3"},
	        {"alias/a", "https://kms.example.org:8443/", "", "https://kms.example.org:8443", "us-east-1"},
	        {IRELAND "key/1", "http://127.0.0.1:5556", "", "http://127.0.0.1:5556", "eu-west-1"},
	        {IRELAND "key/1", "http://localhost:5556", "", "http://localhost:5556", "eu-west-1"},
	        {IRELAND "key/1", "http://[::1]:5556", "", "http://[::1]:5556", "eu-west-1"},
	};
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		struct kms_aws_site site;
		make(good[i].name, good[i].endpoint, good[i].region, &site, 0);
		assert_string_equal(site.http.base, good[i].base);
		assert_string_equal(site.region, good[i].signs_for);
		assert_int_equal(site.http.is_aws, good[i].endpoint[0] == '\0');
	}
}

static void keys_are_not_sent_in_clear_nor_elsewhere(void **state) {
	(void)state;
	struct kms_aws_site site = {.region = "untouched"};
	static const char *const clear[] = {"http://kms.example.org", "http://10.0.0.1:80",
	        "http://127.0.0.1.example.org", "http://localhost.example.org", "http://[::2]", "http://127.x"};
	for (size_t i = 0; i < sizeof clear / sizeof clear[0]; i++) {
		make(IRELAND "key/1", clear[i], "", &site, -EINVAL);
		assert_non_null(strstr(fault_message(), "in clear"));
	}
	make(IRELAND "key/1", "ftp://kms.example.org", "", &site, -EINVAL);
	make(IRELAND "key/1", "https://user@kms.example.org", "", &site, -EINVAL);
	make(IRELAND "key/1", "https://kms.us-east-1.amazonaws.com", "", &site, -EINVAL);
	assert_non_null(strstr(fault_message(), "us-east-1"));
	make("alias/a", "https://kms.us-east-1.amazonaws.com", "eu-west-1", &site, -EINVAL);
	assert_non_null(strstr(fault_message(), "by the environment"));
	make("alias/a", "", "", &site, -EINVAL);
	make("alias/a", "", "evil.com/x", &site, -EINVAL);
	assert_string_equal(site.region, "untouched");
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(keys_are_named_as_aws_does),
	        cmocka_unit_test(other_names_are_refused),
	        cmocka_unit_test(a_key_has_its_address),
	        cmocka_unit_test(keys_are_not_sent_in_clear_nor_elsewhere),
	};
	return cmocka_run_group_tests_name("kms_aws_key", tests, NULL, NULL);
}
