#include "backend/census.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "backend/audit.h"
#include "tests/backend/meta_fixture.h"

#define OP(f, call) (meta_begin((f)->m), meta_end((f)->m, (call)))

static void add_segment(struct fixture *f, uint32_t number, uint8_t zone, uint64_t bytes) {
	struct segment_row row = {.number = number, .zone = zone, .key_version = 1, .bytes = bytes};
	memset(row.id, (int)number, sizeof row.id);
	assert_int_equal(OP(f, segment_row_put(&row, f->m)), 0);
}

static void stored_bytes_are_summed_by_zone(void **state) {
	struct fixture *f = *state;
	struct census_stored zones[CENSUS_ZONES];
	add_segment(f, 1, ZONE_RAW, 100);
	add_segment(f, 2, ZONE_RAW, 50);
	add_segment(f, 3, ZONE_TRUSTED, 7);
	assert_int_equal(OP(f, segment_live_set(f->m, 1, 60)), 0);
	assert_int_equal(OP(f, census_stored(f->m, zones)), 0);
	assert_int_equal(zones[ZONE_RAW].bytes, 150);
	assert_int_equal(zones[ZONE_RAW].dead, 40);
	assert_int_equal(zones[ZONE_TRUSTED].bytes, 7);
	assert_int_equal(zones[ZONE_TRUSTED].dead, 0); /* not looked at yet */
	assert_int_equal(zones[ZONE_LANDING].bytes, 0);
}

static void files_are_counted_some_at_a_time(void **state) {
	struct fixture *f = *state;
	struct census_files zones[CENSUS_ZONES] = {{0}};
	char name[2] = "a";
	for (int i = 0; i < 10; i++, name[0]++) {
		struct node node = make(f, NODE_LANDING, name, S_IFREG | 0644);
		if (i < 7)
			seal_version(f, node.id, ZONE_LANDING, 100, 1);
	}
	make(f, NODE_LANDING, "dir", S_IFDIR | 0755);
	uint64_t after = 0;
	int rounds = 0;
	while (OP(f, census_count(f->m, &after, 4, zones)) == 1)
		rounds++;
	assert_int_equal(rounds, 3); /* 15 nodes with the zones */
	assert_int_equal(zones[ZONE_LANDING].files, 10);
	assert_int_equal(zones[ZONE_LANDING].bytes, 700);
	assert_int_equal(zones[ZONE_RAW].files, 0);
}

static void a_version_that_is_sealed_counts_as_a_put(void **state) {
	struct fixture *f = *state;
	struct node node = make(f, NODE_LANDING, "a", S_IFREG | 0644);
	seal_version(f, node.id, ZONE_LANDING, 100, 1);
	seal_version(f, node.id, ZONE_LANDING, 100, 2);
	assert_int_equal(meta_usage(f->m)->puts[ZONE_LANDING], 2);
	usage_get(meta_usage(f->m), ZONE_RAW);
	usage_get(meta_usage(f->m), 77);
	assert_int_equal(meta_usage(f->m)->gets[ZONE_RAW], 1);
	assert_int_equal(meta_usage(f->m)->gets[ZONE_NONE], 1);
}

static void the_last_verdict_is_known(void **state) {
	struct fixture *f = *state;
	uint64_t id = 7;
	static const uint8_t output[32] = {1};
	assert_int_equal(OP(f, census_last_verdict(f->m, &id)), 0);
	assert_int_equal(id, 0);
	uint64_t made = make_verdict(f, VERDICT_PASSED, output);
	assert_int_equal(OP(f, census_last_verdict(f->m, &id)), 0);
	assert_int_equal(id, made);
}

static void count_record(void *arg, const struct audit_event *event, int64_t time_ns) {
	assert_string_equal(event->event, "open");
	assert_true(time_ns > 0);
	++*(int *)arg;
}

static void who_watches_the_log_is_told_each_record(void **state) {
	struct fixture *f = *state;
	int count = 0;
	audit_watch(f->m, count_record, &count);
	const struct audit_event event = {.event = "open", .path = "Landing/a"};
	assert_int_equal(OP(f, audit_record(f->m, &event, NULL)), 0);
	assert_int_equal(count, 1);
}

int main(void) {
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	        T(stored_bytes_are_summed_by_zone),
	        T(files_are_counted_some_at_a_time),
	        T(a_version_that_is_sealed_counts_as_a_put),
	        T(the_last_verdict_is_known),
	        T(who_watches_the_log_is_told_each_record),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
