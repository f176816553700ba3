/* ADDR:PORT, and which Host may stand in a request. */
#include "tests/fs/unit.h"

#include "fs/http/address.h"

#include <netinet/in.h>

static void test_what_is_an_address(void **state) {
	static const char *const good[][2] = {{"127.0.0.1:9475", "127.0.0.1:9475"}, {"[::1]:80", "[::1]:80"},
	        {"localhost:0", "127.0.0.1:0"}, {"0.0.0.0:65535", "0.0.0.0:65535"}, {"[::]:1", "[::]:1"}};
	static const char *const bad[] = {"", ":", "127.0.0.1", "127.0.0.1:", ":80", "127.0.0.1:65536", "127.0.0.1:-1",
	        "127.0.0.1: 80", "::1:80", "[::1]", "[::1]80", "[::1:80", "[]:80", "[127.0.0.1]:80", "example.org:80",
	        "127.1:80", "1.2.3.4:80:80", "127.0.0.1:000080"};
	char text[ADDRESS_TEXT_BYTES];
	struct address address;
	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		assert_int_equal(address_parse(good[i][0], &address), 0);
		assert_string_equal(address_text(&address, text), good[i][1]);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(address_parse(bad[i], &address), -EINVAL);
}

static void test_what_is_loopback(void **state) {
	static const char *const inner[] = {"127.0.0.1:1", "127.255.0.9:1", "[::1]:1"};
	static const char *const outer[] = {"0.0.0.0:1", "[::]:1", "10.0.0.1:1", "128.0.0.1:1", "[fe80::1]:1"};
	struct address address;
	(void)state;
	for (size_t i = 0; i < sizeof inner / sizeof inner[0]; i++) {
		assert_int_equal(address_parse(inner[i], &address), 0);
		assert_true(address_is_loopback(&address));
	}
	for (size_t i = 0; i < sizeof outer / sizeof outer[0]; i++) {
		assert_int_equal(address_parse(outer[i], &address), 0);
		assert_false(address_is_loopback(&address));
	}
}

static void test_a_host_is_a_literal_with_the_port(void **state) {
	struct address address, web;
	(void)state;
	assert_int_equal(address_parse("127.0.0.1:9475", &address), 0);
	assert_int_equal(address_parse("127.0.0.1:80", &web), 0);
	assert_true(address_allows_host(&address, "127.0.0.1:9475"));
	assert_true(address_allows_host(&address, "localhost:9475"));
	assert_true(address_allows_host(&address, "[::1]:9475"));
	assert_true(address_allows_host(&web, "localhost"));
	assert_false(address_allows_host(&address, "localhost"));
	assert_false(address_allows_host(&address, "localhost:80"));
	assert_false(address_allows_host(&address, "rebind.example:9475"));
	assert_false(address_allows_host(&address, "127.0.0.1.rebind.example:9475"));
	assert_false(address_allows_host(&address, ""));
}

static void test_a_mapped_client_is_the_one_it_is(void **state) {
	struct address address;
	char text[ADDRESS_TEXT_BYTES];
	(void)state;
	assert_int_equal(address_parse("[::ffff:127.0.0.1]:77", &address), 0);
	address_unmap(&address);
	assert_string_equal(address_text(&address, text), "127.0.0.1:77");
	assert_int_equal(address_parse("[::1]:77", &address), 0);
	address_unmap(&address);
	assert_string_equal(address_text(&address, text), "[::1]:77");
}

int main(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_is_an_address),
	        cmocka_unit_test(test_what_is_loopback), cmocka_unit_test(test_a_host_is_a_literal_with_the_port),
	        cmocka_unit_test(test_a_mapped_client_is_the_one_it_is)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
