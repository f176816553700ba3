/*
 * How long a filter over a long audit log takes: bench_audit DIRECTORY [RECORDS [NAME]]; NAME may also be "summary".
 *
 * DIRECTORY gets a sealed database with RECORDS records (10,000,000 unless told otherwise) when it has none; it is
 * kept, so that the next run measures at once. NAME: that filter only. The records are those of 30 days of 40 users, on
 * 20,000 files in 500 directories; users, files and programs are as unevenly used as they are in practice (Zipf),
 * working hours are fuller than nights, and up to eight programs run at a time.
 *
 * A filter is read the way the mount does it: in slices, with the lock given back between them. `first` is the time to
 * the first record, `whole` to the end, `lock` the longest slice, `others wait` the longest that
 * another thread waited for it. Figures: docs/audit-log.md.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "backend/audit.h"
#include "backend/meta.h"
#include "backend/metadb.h"
#include "crypto/base/fault.h"
#include "fs/audit_summary.h"
#include "tests/backend/chance.h"
#include "tests/backend/meta_key.h"

#define USERS 40
#define FILES 20000
#define DIRECTORIES 500
#define PROGRAMS 20
#define AT_A_TIME 8
#define DAYS 30
#define SECOND INT64_C(1000000000)
#define DAY (86400 * SECOND)
#define BEGIN (INT64_C(1795737600) * SECOND) /* 2026-11-27 */
#define LOG_BYTES (UINT64_C(64) << 20)
#define RARE_UID 4242

static void must(int rc, const char *what) {
	if (rc >= 0)
		return;
	fprintf(stderr, "%s: %d %s\n", what, rc, fault_message());
	exit(1);
}

static double seconds(void) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- the records ---- */

static int64_t now_ns = BEGIN;
static int64_t clock_now(void *arg) {
	(void)arg;
	return now_ns;
}

/* What is drawn with a weight of 1 / rank. */
struct zipf {
	size_t count;
	double *sums;
};

static struct zipf zipf_new(size_t count) {
	struct zipf zipf = {.count = count, .sums = malloc(count * sizeof(double))};
	double sum = 0;
	for (size_t i = 0; i < count && zipf.sums; i++)
		zipf.sums[i] = sum += 1.0 / (double)(i + 1);
	return zipf;
}

static size_t zipf_draw(const struct zipf *zipf, uint64_t *random) {
	double at = zipf->sums[zipf->count - 1] * (double)chance_draw(random, 1u << 30) / (double)(1u << 30);
	size_t low = 0, high = zipf->count - 1;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (zipf->sums[middle] < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* A program that goes through files of a directory. */
struct run {
	uint32_t uid, gid;
	int32_t pid;
	size_t program, file, left, step;
};

static const char *const programs[PROGRAMS] = {"python3", "cp", "rsync", "cat", "bash", "vim", "grep", "ls", "sed", "R",
        "java", "git", "tar", "less", "awk", "scp", "duckdb", "sort", "tail", "xxd"};

static void path_of(size_t file, char path[static 96]) {
	static const char *const zones[] = {"Landing", "Landing", "Trusted", "Raw"};
	size_t directory = file * 7919 % DIRECTORIES;
	snprintf(path, 96, "%s/department-%zu/project-%zu/report-%05zu.csv", zones[directory % 4], directory % 20,
	        directory, file);
}

static void fill(MetaDb *db, Meta *m, uint64_t records) {
	struct zipf users = zipf_new(USERS), files = zipf_new(FILES), names = zipf_new(PROGRAMS);
	static const char *const events[] = {
	        "lookup", "open", "close", "getxattr", "open", "close", "create", "rename"};
	struct run runs[AT_A_TIME] = {0};
	uint64_t random = 1;
	int32_t pid = 1000;
	double start = seconds();
	for (uint64_t i = 0; i < records; i++) {
		struct run *run = &runs[chance_draw(&random, AT_A_TIME)];
		if (run->left == 0) {
			size_t user = zipf_draw(&users, &random);
			pid = pid < 4194303 ? pid + 1 + (int32_t)chance_draw(&random, 3) : 1000;
			*run = (struct run){.uid = 1000 + (uint32_t)user,
			        .gid = 100 + (uint32_t)user % 6,
			        .pid = pid,
			        .program = zipf_draw(&names, &random),
			        .file = zipf_draw(&files, &random),
			        .left = 1 + chance_draw(&random, 80)};
		}
		bool is_rare = i % (records / 20 + 1) == records / 40;
		char path[96], path2[96];
		path_of(run->file, path);
		path_of(run->file + 1, path2);
		/* By day ten times as much as by night. */
		int64_t hour = now_ns % DAY / (3600 * SECOND);
		now_ns += (int64_t)chance_draw(&random, (uint64_t)(2 * DAYS * DAY / (int64_t)records)) *
		          (hour >= 7 && hour < 19 ? 6 : 54) / 10;
		struct audit_event event = {.event = events[run->step % 8],
		        .actor = {.uid = is_rare ? RARE_UID : run->uid,
		                .gid = is_rare ? RARE_UID : run->gid,
		                .pid = run->pid},
		        .path = path,
		        .path2 = run->step % 8 == 7 ? path2 : NULL,
		        .node = 1000 + run->file,
		        .version = run->step % 4 == 2 ? i + 1 : 0,
		        .bytes = run->step % 4 == 2 ? 1000 + chance_draw(&random, 1u << 20) : 0};
		snprintf(event.actor.exe, sizeof event.actor.exe, "%s", is_rare ? "gdb" : programs[run->program]);
		if (i % 5000 == 0)
			event = (struct audit_event){.event = "verdict",
			        .actor = event.actor,
			        .path = path,
			        .outcome = i % 10000 ? "ok" : "denied",
			        .detail = "failed: dataset reports, policy 1: 1 of 6 rules did not pass"};
		else if (chance_draw(&random, 500) == 0) {
			event.outcome = "denied";
			event.err = 13;
		}
		meta_begin(m);
		must(meta_end(m, audit_record(m, &event, NULL)), "recording");
		run->left--;
		if (++run->step % 4 == 0 && chance_draw(&random, 2))
			run->file = zipf_draw(&files, &random);
		if (i % 4000 == 3999 || i + 1 == records) {
			meta_begin(m);
			must(meta_commit(m, 0, NULL), "commit");
			if (metadb_wal_bytes(db) > LOG_BYTES)
				must(metadb_checkpoint(db), "checkpoint");
		}
		if (i % 1000000 == 999999)
			fprintf(stderr, "%" PRIu64 " records, %.1f us each\n", i + 1,
			        (seconds() - start) * 1e6 / (double)(i + 1));
	}
}

/* ---- the filters ---- */

struct named {
	const char *name;
	struct audit_filter filter;
};

struct measured {
	uint64_t count;
	double start, first;
};

static int take(void *arg, const struct audit_entry *entry) {
	struct measured *measured = arg;
	if (measured->count++ == 0)
		measured->first = seconds() - measured->start;
	return entry->line_length == 0;
}

/* Somebody else who needs the lock for a moment each millisecond. */
struct bystander {
	Meta *m;
	atomic_bool ends;
	double longest;
};

static void *stand_by(void *arg) {
	struct bystander *b = arg;
	while (!b->ends) {
		double start = seconds();
		meta_begin(b->m);
		meta_end(b->m, 0);
		double took = seconds() - start;
		b->longest = took > b->longest ? took : b->longest;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	return NULL;
}

static void measure(Meta *m, const struct named *named) {
	struct bystander bystander = {.m = m};
	pthread_t thread;
	must(-pthread_create(&thread, NULL, stand_by, &bystander), "thread");
	struct measured measured = {.start = seconds()};
	AuditSearch *search = NULL;
	double longest = 0;
	int rc = audit_search_new(&named->filter, &search);
	while (rc == 0) {
		double begin = seconds();
		meta_begin(m);
		rc = meta_end(m, audit_search_next(m, search, AUDIT_SLICE_NS, take, &measured));
		double took = seconds() - begin;
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
		longest = took > longest ? took : longest;
	}
	must(rc, named->name);
	audit_search_free(search);
	double whole = seconds() - measured.start;
	bystander.ends = true;
	pthread_join(thread, NULL);
	printf("%-36s first %7.1f ms  whole %7.1f ms  lock %5.1f ms  others wait %5.1f ms  %9" PRIu64 " records\n",
	        named->name, measured.first * 1e3, whole * 1e3, longest * 1e3, bystander.longest * 1e3, measured.count);
	fflush(stdout);
}

static int sum_up(void *arg, const struct audit_entry *entry) {
	return audit_summary_add(arg, entry);
}

/* What `assayfs log summary` does over everything. */
static void measure_summary(Meta *m) {
	const struct audit_filter all = {.without_line = true};
	AuditSummary *summary = audit_summary_new(NULL, 0);
	AuditSearch *search = NULL;
	double start = seconds();
	int rc = audit_search_new(&all, &search);
	while (rc == 0) {
		meta_begin(m);
		rc = meta_end(m, audit_search_next(m, search, AUDIT_SLICE_NS, sum_up, summary));
	}
	must(rc, "summary");
	json_t *json = audit_summary_json(summary, 10);
	printf("%-38s whole %8.1f ms, %zu users\n", "summary", (seconds() - start) * 1e3,
	        json_array_size(json_object_get(json, "users")));
	json_decref(json);
	audit_search_free(search);
	audit_summary_free(summary);
}

static const struct named filters[] = {
        {"an hour", {.has_since = true,
                            .since = BEGIN + 10 * DAY + 10 * 3600 * SECOND,
                            .has_until = true,
                            .until = BEGIN + 10 * DAY + 11 * 3600 * SECOND}},
        {"rare user", {.has_uid = true, .uid = RARE_UID}},
        {"a user", {.has_uid = true, .uid = 1030}},
        {"busiest user, last 100", {.has_uid = true, .uid = 1000, .newest_first = true, .limit = 100}},
        {"no such user", {.has_uid = true, .uid = 9}},
        {"rare group", {.has_gid = true, .gid = RARE_UID}},
        {"process", {.has_pid = true, .pid = 70001}},
        {"rare program", {.exe = "gdb"}},
        {"node", {.has_node = true, .node = 1000 + 15000}},
        {"verdicts denied", {.event = "verdict", .outcome = "denied"}},
        {"denied", {.outcome = "denied"}},
        {"denied to a user", {.outcome = "denied", .has_uid = true, .uid = 1020}},
        {"directory", {.path_at = "Landing/department-13/project-333/"}},
        {"path, seldom", {.path_at = "Landing/department-0/project-0/report-19500.csv"}},
        {"path, in the busiest directory", {.path_at = "Landing/department-0/project-0/report-15000.csv"}},
        {"pattern with a start", {.path_glob = "Landing/department-13/**/report-15???.csv"}},
        {"pattern without", {.path_glob = "**/report-15123.csv"}},
        {"program and user and event", {.exe = "xxd", .has_uid = true, .uid = 1039, .event = "create"}},
        {"user, denied, verdict", {.has_uid = true, .uid = 1039, .event = "verdict", .outcome = "denied"}},
        {"user and group that never meet", {.has_uid = true, .uid = 1000, .has_gid = true, .gid = 101}},
        {"user and group never meet, last 100",
                {.has_uid = true, .uid = 1000, .has_gid = true, .gid = 101, .newest_first = true, .limit = 100}},
};

int main(int argc, char **argv) {
	if (argc < 2) {
		fprintf(stderr, "usage: bench_audit DIRECTORY [RECORDS [NAME]]\n");
		return 2;
	}
	const uint8_t vault_id[METADB_VAULT_ID_BYTES] = {1};
	const struct meta_clock clock = {clock_now, NULL};
	uint64_t records = argc > 2 ? strtoull(argv[2], NULL, 0) : 10000000;
	struct stat status;
	bool is_new = stat(argv[1], &status) != 0;
	VaultIo *io = NULL;
	MetaDb *db = NULL;
	Meta *m = NULL;
	must(is_new ? vault_io_create(argv[1], &io) : vault_io_open(argv[1], &io), "directory");
	if (is_new)
		must(metadb_create(io, meta_key_one(), vault_id), "create");
	must(metadb_open(io, meta_key_one(), vault_id, 0, &db), "open");
	if (is_new)
		must(meta_create(db, &(struct meta_init){.vault_id = bytes_of("bench", 5)}, &clock), "tables");
	must(meta_open(db, &clock, &m), "tables");
	if (is_new)
		fill(db, m, records);
	for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++)
		if (argc < 4 || strcmp(argv[3], filters[i].name) == 0)
			measure(m, &filters[i]);
	if (argc < 4 || strcmp(argv[3], "summary") == 0)
		measure_summary(m);
	meta_close(m);
	must(metadb_close(db), "close");
	vault_io_close(io);
	return 0;
}
