/*
 * What measuring costs: bench_measures [FILES [RECORDS]], on a vault of its own below TMPDIR. With the release build:
 *
 *     see docs/performance.md, "Measuring once a minute"
 */
#include "backend/audit.h"
#include "backend/census.h"
#include "backend/sample.h"
#include "fs/access_counts.h"
#include "fs/measures.h"
#include "tests/backend/test_vault.h"

#include <inttypes.h>
#include <sys/stat.h>
#include <time.h>

#include "crypto/base/fault.h"

#define MINUTES 60
#define SERIES 60

static double seconds(void) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Bytes that this process has written. */
static double written(void) {
	char line[128];
	unsigned long long bytes = 0;
	FILE *file = fopen("/proc/self/io", "r");
	while (file && fgets(line, sizeof line, file))
		(void)sscanf(line, "wchar: %llu", &bytes);
	if (file)
		(void)fclose(file);
	return (double)bytes;
}

static int emit_some(void *arg, struct sampler_round *round) {
	char label[SAMPLER_LABEL_BYTES], number[16];
	(void)arg;
	for (int i = 0; i < SERIES; i++) {
		(void)snprintf(number, sizeof number, "%d", i);
		sampler_emit(round, "Series", sampler_label("number", number, label), i);
	}
	return 0;
}

static void bench_rounds(Store *store) {
	Sampler *sampler = NULL;
	if (sampler_new(store, false, &sampler) < 0 || sampler_add(sampler, "a test", emit_some, NULL) < 0)
		exit(1);
	const int64_t begin = 1800000000;
	(void)sampler_round(sampler, begin - 60);
	(void)store_commit_wait(store);
	double since = seconds(), before = written(), rounds = 0;
	for (int i = 0; i < MINUTES; i++) {
		double one = seconds();
		(void)sampler_round(sampler, begin + i * 60);
		rounds += seconds() - one;
		(void)store_commit_wait(store);
	}
	printf("a round of %d series: %.0f us, with its commit %.1f ms, %.0f bytes written\n", SERIES,
	        rounds * 1e6 / MINUTES, (seconds() - since) * 1e3 / MINUTES, (written() - before) / MINUTES);
	sampler_stop(sampler);
}

static void bench_records(Store *store, int count) {
	Meta *m = store_meta(store);
	const struct audit_event event = {
	        .event = "open", .path = "Landing/a", .actor = {.uid = 1000, .pid = 7, .exe = "cp"}};
	for (int watched = 0; watched < 2; watched++) {
		AccessCounts *counts = NULL;
		if (watched && access_counts_new(store, &counts) < 0)
			exit(1);
		double since = seconds();
		for (int i = 0; i < count; i++) {
			meta_begin(m);
			(void)meta_end(m, audit_record(m, &event, NULL));
		}
		printf("a record %s: %.0f ns\n", watched ? "that is counted" : "that nobody counts",
		        (seconds() - since) * 1e9 / count);
		access_counts_free(counts);
	}
}

static void bench_census(struct test_vault *v, int files) {
	Meta *m = store_meta(v->store);
	char name[32];
	for (int i = 0; i < files; i++) {
		struct node attributes = {.mode = S_IFREG | 0644}, node;
		(void)snprintf(name, sizeof name, "f%d", i);
		meta_begin(m);
		(void)meta_end(
		        m, tree_create(m, NODE_LANDING, bytes_of_string(name), &attributes, (struct bytes){0}, &node));
	}
	(void)store_commit_wait(v->store);
	struct census_files zones[CENSUS_ZONES] = {{0}};
	uint64_t after = 0;
	double since = seconds(), longest = 0;
	for (int more = 1; more == 1;) {
		double one = seconds();
		meta_begin(m);
		more = meta_end(m, census_count(m, &after, 10000, zones));
		longest = seconds() - one > longest ? seconds() - one : longest;
	}
	printf("counting %d files: %.0f ms, the longest under the lock %.1f ms\n", files, (seconds() - since) * 1e3,
	        longest * 1e3);
}

static int count_point(void *arg, const struct sample_point *point) {
	(void)point;
	++*(int *)arg;
	return 0;
}

static void bench_reading(Store *store) {
	Meta *m = store_meta(store);
	int count = 0;
	double since = seconds();
	meta_begin(m);
	(void)meta_end(m, sample_read(m, "Series", "number=7", 0, INT64_MAX, 60, count_point, &count));
	printf("reading %d points: %.0f us\n", count, (seconds() - since) * 1e6);
}

int main(int argc, char **argv) {
	void *state = NULL;
	if (test_vault_setup(&state))
		return 1;
	struct test_vault *v = state;
	bench_rounds(v->store);
	bench_reading(v->store);
	bench_records(v->store, argc > 2 ? atoi(argv[2]) : 100000);
	bench_census(v, argc > 1 ? atoi(argv[1]) : 200000);
	return test_vault_teardown(&state);
}
