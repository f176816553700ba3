/*
 * The client against a real server, started by services_s3.py: S3_ENDPOINT, S3_SERVER (its directory) and S3_SCRIPT
 * (scripts/s3-server) come from the environment. Access key AKTEST, secret key SKTEST, user "test".
 */
#include "backend/objects/objects.h"

#include "backend/objects/s3.h"
#include "crypto/base/deadline.h"
#include "tests/backend/scratch.h"

#include <signal.h>
#include <sodium/randombytes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define MIB ((size_t)1 << 20)

static struct objects_place place_at(const char *url) {
	return (struct objects_place){.url = url,
	        .endpoint = getenv("S3_ENDPOINT"),
	        .access_key = "AKTEST",
	        .secret_key = "SKTEST",
	        .region = "us-east-1"};
}

static Objects *open_at(const char *url) {
	Objects *objects = NULL;
	struct objects_place place = place_at(url);
	assert_rc(objects_open(&place, &objects));
	return objects;
}

/* With short pauses. */
static Objects *open_hasty(const char *url, const struct s3_tuning *tuning) {
	Objects *objects = NULL;
	void *s3 = NULL;
	struct objects_place place = place_at(url);
	assert_rc(s3_open(&place, tuning, &s3));
	assert_rc(objects_wrap(&s3_ops, s3, url, &objects));
	return objects;
}

static uint8_t *chance(size_t size) {
	uint8_t *data = malloc(size + 1);
	assert_non_null(data);
	randombytes_buf(data, size);
	return data;
}

static void run(const char *format, const char *what) {
	char command[1024];
	(void)snprintf(command, sizeof command, "%s %s %s >&2", getenv("S3_SCRIPT"), format, getenv("S3_SERVER"));
	if (what)
		(void)snprintf(command, sizeof command, "radosgw-admin -c %s/ceph.conf %s >/dev/null",
		        getenv("S3_SERVER"), what);
	assert_int_equal(system(command), 0); // NOLINT(cert-env33-c)
}

static pid_t server_pid(void) {
	char path[512];
	int pid = 0;
	(void)snprintf(path, sizeof path, "%s/run/client.rgw.pid", getenv("S3_SERVER"));
	FILE *file = fopen(path, "re");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%d", &pid), 1);
	(void)fclose(file);
	return pid;
}

struct counted {
	size_t count;
	uint64_t bytes;
	char last[OBJECT_NAME_MAX + 1];
	size_t removed;
	char version[S3_VERSION_BYTES];
};

static int count(void *arg, const struct object_info *object) {
	struct counted *counted = arg;
	assert_true(strcmp(object->name, counted->last) >= 0);
	(void)snprintf(counted->last, sizeof counted->last, "%s", object->name);
	if (!object->is_removed && !counted->version[0])
		(void)snprintf(counted->version, sizeof counted->version, "%s", object->version);
	assert_true(llabs(object->modified_s - time(NULL)) < 3600);
	counted->count++;
	counted->bytes += object->size;
	counted->removed += object->is_removed;
	return 0;
}

static void a_bucket_is_made_and_told_from_none(void **state) {
	(void)state;
	_cleanup_(objects_closep) Objects *objects = open_at("s3://first/some/prefix");
	assert_int_equal(objects_prepare(objects, false, false), -ENOENT);
	assert_int_equal(objects_put(objects, "a", bytes_of_string("x")), -ENOENT);
	struct counted counted = {0};
	assert_int_equal(objects_list(objects, "", count, &counted), -ENOENT);
	assert_rc(objects_prepare(objects, true, false));
	assert_rc(objects_prepare(objects, true, false));
	assert_rc(objects_prepare(objects, false, false));
	assert_int_equal(objects_prepare(objects, false, true), -ENOTSUP);
	assert_rc(objects_list(objects, "", count, &counted));
	assert_int_equal(counted.count, 0);
}

static void what_is_put_is_got(void **state) {
	(void)state;
	_cleanup_(objects_closep) Objects *objects = open_at("s3://second/p");
	assert_rc(objects_prepare(objects, true, false));
	_cleanup_(freep) uint8_t *data = chance(17 * MIB);
	_cleanup_(freep) uint8_t *again = malloc(17 * MIB + 1);
	size_t got = 0;
	assert_rc(objects_put(objects, "empty", bytes_of(NULL, 0)));
	assert_rc(objects_put(objects, "a/b.c_d-e/17", bytes_of(data, 17 * MIB)));
	assert_rc(objects_get(objects, "a/b.c_d-e/17", 0, again, 17 * MIB + 1, &got));
	assert_int_equal(got, 17 * MIB);
	assert_memory_equal(again, data, got);
	assert_rc(objects_get(objects, "a/b.c_d-e/17", 12345, again, 1000, &got));
	assert_int_equal(got, 1000);
	assert_memory_equal(again, data + 12345, got);
	assert_rc(objects_get(objects, "a/b.c_d-e/17", 17 * MIB - 5, again, 1000, &got));
	assert_int_equal(got, 5);
	assert_rc(objects_get(objects, "a/b.c_d-e/17", 17 * MIB, again, 1000, &got));
	assert_int_equal(got, 0);
	assert_rc(objects_get(objects, "empty", 0, again, 1000, &got));
	assert_int_equal(got, 0);
	assert_rc(objects_get(objects, "empty", 0, again, 0, &got));
	assert_int_equal(objects_get(objects, "none", 0, again, 1000, &got), -ENOENT);
	assert_int_equal(objects_get(objects, "none", 0, again, 0, &got), -ENOENT);
	assert_rc(objects_remove(objects, "a/b.c_d-e/17"));
	assert_rc(objects_remove(objects, "a/b.c_d-e/17"));
	assert_int_equal(objects_get(objects, "a/b.c_d-e/17", 0, again, 1000, &got), -ENOENT);
}

static void long_objects_are_put_in_parts(void **state) {
	(void)state;
	_cleanup_(objects_closep) Objects *objects = open_at("s3://second/long");
	assert_rc(objects_prepare(objects, true, false));
	/* 32 MiB, 64 MiB less a byte: about a hundred in all. */
	const size_t sizes[] = {32 * MIB, 64 * MIB - 1};
	for (size_t i = 0; i < 2; i++) {
		_cleanup_(freep) uint8_t *data = chance(sizes[i]);
		_cleanup_(freep) uint8_t *again = NULL;
		size_t size = 0;
		struct object_request put = {
		        .what = OBJECT_PUT, .name = "x", .data = bytes_of(data, sizes[i]), .if_absent = true};
		assert_rc(objects_do(objects, &put, 1));
		assert_int_equal(objects_do(objects, &put, 1), -EEXIST);
		assert_rc(objects_get_all(objects, "x", 64 * MIB, &again, &size));
		assert_int_equal(size, sizes[i]);
		assert_memory_equal(again, data, size);
		assert_rc(objects_remove(objects, "x"));
	}
}

static void old_uploads_are_tidied_away(void **state) {
	(void)state;
	_cleanup_(objects_closep) Objects *objects = open_at("s3://second/tidy");
	assert_rc(objects_prepare(objects, true, false));
	char command[1024];
	/* An upload that nobody completes: begun by hand. */
	(void)snprintf(command, sizeof command,
	        "curl -sf --aws-sigv4 aws:amz:us-east-1:s3 -u AKTEST:SKTEST -H "
	        "'x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' -X POST "
	        "'%s/second/tidy/left?uploads=' >/dev/null",
	        getenv("S3_ENDPOINT"));
	assert_int_equal(system(command), 0); // NOLINT(cert-env33-c)
	assert_rc(objects_tidy(objects, time(NULL) - 1000));
	assert_rc(objects_tidy(objects, time(NULL) + 1000));
	assert_rc(objects_tidy(objects, time(NULL) + 1000));
}

static void a_list_of_thousands_is_whole(void **state) {
	(void)state;
	enum { MANY = 2345 };
	_cleanup_(objects_closep) Objects *objects = open_at("s3://second/many");
	assert_rc(objects_prepare(objects, true, false));
	static struct object_request requests[MANY];
	static char names[MANY][32];
	for (size_t i = 0; i < MANY; i++) {
		(void)snprintf(names[i], sizeof names[i], "%zu/%zx", i % 7, i * 7919);
		requests[i] = (struct object_request){
		        .what = OBJECT_PUT, .name = names[i], .data = bytes_of(names[i], strlen(names[i]))};
	}
	assert_rc(objects_do(objects, requests, MANY));
	struct counted counted = {0};
	assert_rc(objects_list(objects, "", count, &counted));
	assert_int_equal(counted.count, MANY);
	counted = (struct counted){0};
	assert_rc(objects_list(objects, "3/", count, &counted));
	assert_int_equal(counted.count, MANY / 7);
	for (size_t i = 0; i < MANY; i++)
		requests[i].what = OBJECT_REMOVE;
	assert_rc(objects_do(objects, requests, MANY));
	counted = (struct counted){0};
	assert_rc(objects_list(objects, "", count, &counted));
	assert_int_equal(counted.count, 0);
}

static void of_two_that_put_if_absent_one_wins(void **state) {
	(void)state;
	_cleanup_(objects_closep) Objects *objects = open_at("s3://second/absent");
	assert_rc(objects_prepare(objects, true, false));
	struct object_request put = {
	        .what = OBJECT_PUT, .name = "s", .data = bytes_of_string("one"), .if_absent = true};
	assert_rc(objects_do(objects, &put, 1));
	put.data = bytes_of_string("other");
	assert_int_equal(objects_do(objects, &put, 1), -EEXIST);
	_cleanup_(freep) uint8_t *data = NULL;
	size_t size;
	assert_rc(objects_get_all(objects, "s", 10, &data, &size));
	assert_string_equal((char *)data, "one");
	/* At once, in one batch: the server's own condition decides. */
	struct object_request two[2];
	for (size_t i = 0; i < 2; i++)
		two[i] = (struct object_request){
		        .what = OBJECT_PUT, .name = "t", .data = bytes_of_string(i ? "b" : "a"), .if_absent = true};
	int rc = objects_do(objects, two, 2);
	print_message("two at once: %d, %d\n", two[0].rc, two[1].rc);
	assert_true(rc == -EEXIST || rc == 0);
}

static void a_lock_holds_until_it_ends(void **state) {
	(void)state;
	_cleanup_(objects_closep) Objects *objects = open_at("s3://locked/l");
	assert_rc(objects_prepare(objects, true, true));
	assert_rc(objects_prepare(objects, false, true));
	int64_t until = time(NULL) + 8;
	struct object_request put = {
	        .what = OBJECT_PUT, .name = "a", .data = bytes_of_string("kept"), .locked_until_s = until};
	assert_rc(objects_do(objects, &put, 1));
	assert_int_equal(objects_remove(objects, "a"), -EPERM);
	print_message("%s\n", fault_message());
	/* Putting it again keeps the locked version behind. */
	assert_rc(objects_put(objects, "a", bytes_of_string("newer")));
	struct counted counted = {0};
	assert_rc(objects_versions(objects, "a", count, &counted));
	assert_int_equal(counted.count, 2);
	assert_int_equal(objects_remove(objects, "a"), -EPERM);
	uint8_t into[10];
	size_t got;
	assert_rc(objects_get(objects, "a", 0, into, sizeof into, &got));
	assert_int_equal(got, 5);
	struct object_request old = {
	        .what = OBJECT_GET, .name = "a", .version = counted.version, .into = into, .size = sizeof into};
	assert_rc(objects_do(objects, &old, 1));
	assert_int_equal(old.got, 5);
	/* A lock is made longer, never shorter. */
	assert_rc(objects_lock(objects, "a", until + 2));
	assert_rc(objects_lock(objects, "a", until + 4));
	assert_rc(objects_lock(objects, "a", until));
	while (time(NULL) <= until + 4)
		(void)usleep(200000);
	assert_rc(objects_remove(objects, "a"));
	counted = (struct counted){0};
	assert_rc(objects_versions(objects, "", count, &counted));
	assert_int_equal(counted.count, 0);
	/* A bucket without locks refuses. */
	_cleanup_(objects_closep) Objects *plain = open_at("s3://second/l");
	put.locked_until_s = time(NULL) + 100;
	assert_int_equal(objects_do(plain, &put, 1), -ENOTSUP);
	assert_rc(objects_put(plain, "a", bytes_of_string("x")));
	assert_int_equal(objects_lock(plain, "a", time(NULL) + 100), -ENOTSUP);
}

static void a_long_object_is_locked_too(void **state) {
	(void)state;
	_cleanup_(objects_closep) Objects *objects = open_at("s3://locked/long");
	_cleanup_(freep) uint8_t *data = chance(33 * MIB);
	struct object_request put = {
	        .what = OBJECT_PUT, .name = "x", .data = bytes_of(data, 33 * MIB), .locked_until_s = time(NULL) + 15};
	assert_rc(objects_do(objects, &put, 1));
	assert_int_equal(objects_remove(objects, "x"), -EPERM);
}

static void a_full_place_says_so(void **state) {
	(void)state;
	_cleanup_(objects_closep) Objects *objects = open_at("s3://full/q");
	assert_rc(objects_prepare(objects, true, false));
	run(NULL, "quota set --quota-scope=bucket --bucket=full --uid=test --max-size=1M");
	run(NULL, "quota enable --quota-scope=bucket --bucket=full --uid=test");
	_cleanup_(freep) uint8_t *data = chance(3 * MIB);
	assert_int_equal(objects_put(objects, "large", bytes_of(data, 3 * MIB)), -EDQUOT);
	print_message("%s\n", fault_message());
	assert_rc(objects_put(objects, "small", bytes_of(data, 1000)));
}

static void wrong_credentials_are_refused(void **state) {
	(void)state;
	struct objects_place place = place_at("s3://second/p");
	place.secret_key = "WRONGSECRET";
	_cleanup_(objects_closep) Objects *objects = NULL;
	assert_rc(objects_open(&place, &objects));
	assert_int_equal(objects_prepare(objects, false, false), -EACCES);
	_cleanup_(freep) uint8_t *data = chance(16 * MIB);
	assert_int_equal(objects_put(objects, "a", bytes_of(data, 16 * MIB)), -EACCES);
	print_message("%s\n", fault_message());
	assert_null(strstr(fault_message(), "WRONGSECRET"));
	_cleanup_(objects_closep) Objects *unknown = NULL;
	place.access_key = "AKNOBODY";
	assert_rc(objects_open(&place, &unknown));
	struct counted counted = {0};
	assert_int_equal(objects_list(unknown, "", count, &counted), -EACCES);
	assert_null(strstr(fault_message(), "AKNOBODY"));
}

static void a_server_that_stands_still_is_left_and_found_again(void **state) {
	(void)state;
	static const struct s3_tuning tuning = {.pause_ms = 50, .stall_s = 1};
	_cleanup_(objects_closep) Objects *objects = open_hasty("s3://second/still", &tuning);
	assert_rc(objects_put(objects, "a", bytes_of_string("1")));
	pid_t pid = server_pid();
	assert_int_equal(kill(pid, SIGSTOP), 0);
	int rc = objects_put(objects, "a", bytes_of_string("2"));
	assert_int_equal(kill(pid, SIGCONT), 0);
	assert_int_equal(rc, -ETIMEDOUT);
	print_message("%s\n", fault_message());
	assert_rc(objects_put(objects, "a", bytes_of_string("3")));
	_cleanup_(freep) uint8_t *data = NULL;
	size_t size;
	assert_rc(objects_get_all(objects, "a", 10, &data, &size));
	assert_string_equal((char *)data, "3");
}

static void a_server_that_is_killed_is_found_again(void **state) {
	(void)state;
	static const struct s3_tuning tuning = {.pause_ms = 50, .stall_s = 5};
	_cleanup_(objects_closep) Objects *objects = open_hasty("s3://second/killed", &tuning);
	assert_rc(objects_put(objects, "a", bytes_of_string("1")));
	assert_int_equal(kill(server_pid(), SIGKILL), 0);
	(void)usleep(200000);
	assert_int_equal(objects_put(objects, "a", bytes_of_string("2")), -ECONNREFUSED);
	print_message("%s\n", fault_message());
	run("gateway", NULL);
	assert_rc(objects_put(objects, "a", bytes_of_string("3")));
}

int main(void) {
	if (!getenv("S3_ENDPOINT"))
		return 77;
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_bucket_is_made_and_told_from_none),
	        cmocka_unit_test(what_is_put_is_got),
	        cmocka_unit_test(long_objects_are_put_in_parts),
	        cmocka_unit_test(old_uploads_are_tidied_away),
	        cmocka_unit_test(a_list_of_thousands_is_whole),
	        cmocka_unit_test(of_two_that_put_if_absent_one_wins),
	        cmocka_unit_test(a_lock_holds_until_it_ends),
	        cmocka_unit_test(a_long_object_is_locked_too),
	        cmocka_unit_test(a_full_place_says_so),
	        cmocka_unit_test(wrong_credentials_are_refused),
	        cmocka_unit_test(a_server_that_stands_still_is_left_and_found_again),
	        cmocka_unit_test(a_server_that_is_killed_is_found_again),
	};
	return cmocka_run_group_tests_name("s3 against a server", tests, NULL, NULL);
}
