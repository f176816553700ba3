/*
 * How long lifecycle rules take over many versions: bench_expire [VERSIONS [FILES]]. A Meta in memory; prints the time
 * of a dry run and of expiring, and how long their operations took.
 */
#include "backend/expire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "crypto/base/deadline.h"
#include "tests/backend/meta_fixture.h"

#define DAY (INT64_C(86400) * 1000000000)

static void make_versions(struct fixture *f, unsigned files, unsigned versions) {
	for (unsigned i = 0; i < files; i++) {
		char name[32];
		(void)snprintf(name, sizeof name, "file-%u", i);
		struct node node = make(f, NODE_LANDING, name, S_IFREG | 0644);
		for (unsigned k = 0; k < versions / files; k++)
			seal_version(f, node.id, ZONE_LANDING, 1000, i * 31 + k + 1);
		if (i % 1000 == 999)
			fixture_commit(f);
	}
	fixture_commit(f);
	f->now += 100 * DAY;
}

#define TIMES_MOST 1000000u
static int64_t times[TIMES_MOST];
static size_t time_count;

static int note(void *arg, int64_t took_ns, uint64_t looked) {
	(void)arg;
	(void)looked;
	if (time_count < TIMES_MOST)
		times[time_count++] = took_ns;
	return 0;
}

static int compare(const void *a, const void *b) {
	const int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
	return (left > right) - (left < right);
}

/* The longest is also how long something else had the processor meanwhile. */
static void print_times(void) {
	qsort(times, time_count, sizeof *times, compare);
	printf("  %zu operations: half under %.2f ms, 99%% under %.2f, 99.9%% under %.2f, the longest %.2f\n",
	        time_count, (double)times[time_count / 2] / 1e6, (double)times[time_count * 99 / 100] / 1e6,
	        (double)times[time_count * 999 / 1000] / 1e6, (double)times[time_count - 1] / 1e6);
	time_count = 0;
}

static void measure(struct fixture *f, const char *what, bool is_dry) {
	static const struct actor actor = {.exe = "bench"};
	const struct expire_rule rule = {.name = "r", .zone = ZONE_LANDING, .prefix = "file-", .days = 30, .keep = 10};
	struct expire_sum sum = {0};
	uint64_t gone = 0;
	const struct expire_options options = {.meta = f->m,
	        .rules = &rule,
	        .rule_count = 1,
	        .now_ns = f->now,
	        .actor = &actor,
	        .is_dry = is_dry,
	        .rest = note};
	const int64_t began = monotonic_ns();
	unsigned passes = 0;
	do {
		if (expire_run(&options, &sum) < 0)
			exit(1);
		gone += sum.versions[ZONE_LANDING];
		passes++;
	} while (sum.is_cut && !is_dry);
	printf("%s: %.2f s, %lu versions go, %u pass(es)\n", what, (double)(monotonic_ns() - began) / 1e9,
	        (unsigned long)gone, passes);
	print_times();
}

int main(int argc, char **argv) {
	unsigned versions = argc > 1 ? (unsigned)atoi(argv[1]) : 100000,
	         files = argc > 2 ? (unsigned)atoi(argv[2]) : 1000;
	void *state = NULL;
	if (fixture_setup(&state) != 0 || files == 0)
		return 1;
	struct fixture *f = state;
	make_versions(f, files, versions);
	measure(f, "dry run", true);
	measure(f, "expiring", false);
	measure(f, "again", true);
	return fixture_teardown(&state);
}
