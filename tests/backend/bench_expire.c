/*
 * How long lifecycle rules take over many versions: bench_expire [VERSIONS [FILES]]. A Meta in memory; prints the time
 * of a dry run and of expiring, and the longest operation of each.
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

static void measure(struct fixture *f, const char *what, bool is_dry) {
	static const struct actor actor = {.exe = "bench"};
	const struct expire_rule rule = {.name = "r", .zone = ZONE_LANDING, .prefix = "file-", .days = 30, .keep = 10};
	struct expire_sum sum = {0}, all = {0};
	const struct expire_options options = {
	        .meta = f->m, .rules = &rule, .rule_count = 1, .now_ns = f->now, .actor = &actor, .is_dry = is_dry};
	const int64_t began = monotonic_ns();
	unsigned passes = 0;
	do {
		if (expire_run(&options, &sum) < 0)
			exit(1);
		all.versions[ZONE_LANDING] += sum.versions[ZONE_LANDING];
		all.longest_ns = sum.longest_ns > all.longest_ns ? sum.longest_ns : all.longest_ns;
		passes++;
	} while (sum.is_cut && !is_dry);
	printf("%s: %.2f s, %lu of %lu versions go, longest operation %.2f ms, %u pass(es)\n", what,
	        (double)(monotonic_ns() - began) / 1e9, (unsigned long)all.versions[ZONE_LANDING],
	        (unsigned long)sum.looked, (double)all.longest_ns / 1e6, passes);
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
