/*
 * What the audit log takes and keeps, through a whole vault on a disk:
 *
 *      bench_audit_append DIR append RECORDS THREADS      in operations of their own, the committer commits (batched)
 *      bench_audit_append DIR strict RECORDS THREADS      each waits until its record is durable
 *      bench_audit_append DIR week RECORDS                so many records on each of seven days: sizes, times of
 * queries
 *
 * The records: 40 users, 20,000 files in 500 directories, both by Zipf's law; opens, closes, creations, a few renames
 * and denials. A week's clock is made up (clock_gettime is wrapped), all else is as in a mount. Prints "name value"
 * lines, which scripts/bench audit turns into tables.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "backend/audit.h"
#include "backend/audit_retain.h"
#include "backend/store.h"
#include "crypto/base/fault.h"
#include "tests/backend/chance.h"

#define CHECK(call)                                                                  \
	do {                                                                         \
		int rc_ = (call);                                                    \
		if (rc_ < 0) {                                                       \
			fprintf(stderr, "%s: %d %s\n", #call, rc_, fault_message()); \
			exit(1);                                                     \
		}                                                                    \
	} while (0)

#define USERS 40
#define FILES 20000
#define DIRECTORIES 500
#define DRAWS 65536
#define DAY_NS (INT64_C(86400) * 1000000000)
#define PASSPHRASE "bench"

/* ---- a clock that can be put forward ---- */

static _Atomic int64_t ahead_ns;

int __real_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret) {
	int rc = __real_clock_gettime(clock, ret);
	if (rc != 0 || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
		return rc;
	int64_t ns = (int64_t)ret->tv_nsec + atomic_load(&ahead_ns);
	ret->tv_sec += ns / 1000000000;
	ret->tv_nsec = ns % 1000000000;
	return 0;
}

static double seconds(void) {
	struct timespec now;
	__real_clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- records ---- */

/* By Zipf's law, drawn beforehand so that drawing costs the measurement nothing. */
static uint32_t user_draws[DRAWS], file_draws[DRAWS];

static void draw_all(uint32_t *draws, uint32_t of, uint64_t *random) {
	double *up_to = calloc(of, sizeof *up_to), sum = 0;
	if (!up_to)
		exit(1);
	for (uint32_t i = 0; i < of; i++)
		up_to[i] = sum += 1.0 / (i + 1);
	for (size_t i = 0; i < DRAWS; i++) {
		double at = (double)chance_draw(random, UINT64_C(1) << 31) / (double)(UINT64_C(1) << 31) * sum;
		uint32_t low = 0, high = of - 1;
		while (low < high) {
			uint32_t middle = (low + high) / 2;
			if (up_to[middle] < at)
				low = middle + 1;
			else
				high = middle;
		}
		draws[i] = low;
	}
	free(up_to);
}

static void path_of(uint32_t file, char path[static 96]) {
	static const char *const zones[] = {"Landing", "Landing", "Raw", "Trusted"};
	snprintf(path, 96, "%s/department-%02u/project-%03u/measurements-%05u.csv", zones[file % 4],
	        file % DIRECTORIES / 25, file % DIRECTORIES, file);
}

static void record(Meta *m, uint64_t i) {
	static const char *const events[] = {"open", "close", "open", "close", "create", "close", "open", "rename"};
	static const char *const programs[] = {"cp", "python3", "rsync", "cat", "smbd", "bash", "vim", "R"};
	uint32_t draw = (uint32_t)(i / 2 * 40503 % DRAWS), file = file_draws[draw], user = user_draws[draw];
	char path[96], path2[96];
	path_of(file, path);
	struct audit_event event = {.event = events[i % 8],
	        .path = path,
	        .node = 1000 + file,
	        .actor = {.uid = 1000 + user, .gid = 100, .pid = (int32_t)(2000 + i / 20 % 30000)}};
	memcpy(event.actor.exe, programs[(user + i / 100) % 8], strlen(programs[(user + i / 100) % 8]));
	if (strcmp(event.event, "close") == 0) {
		event.version = 1 + i / 2;
		event.bytes = 512 + (i * 2654435761U) % 4000000;
	}
	if (strcmp(event.event, "rename") == 0) {
		path_of(file + 4, path2);
		event.path2 = path2;
	}
	if (i % 1000 == 0) {
		event.outcome = "denied";
		event.err = 13;
	}
	meta_begin(m);
	CHECK(meta_end(m, audit_record(m, &event, NULL)));
}

/* ---- the vault ---- */

static Store *open_store(const char *path) {
	struct store_secret secret = {.kind = STORE_PASSPHRASE, .bytes = bytes_of_string(PASSPHRASE)};
	struct store_options options = {0};
	Store *store = NULL;
	CHECK(store_open(path, &secret, &options, &store));
	return store;
}

static Store *make_store(const char *path) {
	struct store_init_options options = {.argon_memory = 8192, .argon_passes = 1};
	char recovery[STORE_RECOVERY_TEXT_BYTES];
	CHECK(store_init(path, bytes_of_string(PASSPHRASE), &options, recovery));
	return open_store(path);
}

/* ---- appending ---- */

struct work {
	Store *store;
	uint64_t first, count;
	bool waits;
};

static void *append(void *arg) {
	const struct work *work = arg;
	Meta *m = store_meta(work->store);
	for (uint64_t i = work->first; i < work->first + work->count; i++) {
		record(m, i);
		if (work->waits)
			CHECK(store_commit_wait(work->store));
	}
	return NULL;
}

/* Until all records are durable. */
static void bench_append(const char *path, uint64_t records, size_t threads, bool waits) {
	Store *store = make_store(path);
	pthread_t *list = calloc(threads, sizeof *list);
	struct work *works = calloc(threads, sizeof *works);
	if (!list || !works)
		exit(1);
	double start = seconds();
	for (size_t i = 0; i < threads; i++) {
		uint64_t each = records / threads;
		works[i] = (struct work){.store = store, .first = i * each, .count = each, .waits = waits};
		pthread_create(&list[i], NULL, append, &works[i]);
	}
	for (size_t i = 0; i < threads; i++)
		pthread_join(list[i], NULL);
	CHECK(store_commit_wait(store));
	printf("per_second %.0f\n", (double)(records / threads * threads) / (seconds() - start));
	free(list);
	free(works);
	CHECK(store_close(store));
}

/* ---- a week ---- */

static int count_record(void *arg, const struct audit_entry *entry) {
	(void)entry;
	++*(uint64_t *)arg;
	return 0;
}

static void query(Store *store, const char *name, const struct audit_filter *filter) {
	uint64_t count = 0;
	double start = seconds();
	meta_begin(store_meta(store));
	CHECK(audit_query(store_meta(store), filter, count_record, &count));
	(void)meta_end(store_meta(store), 0);
	printf("query_%s %.2f\nfound_%s %" PRIu64 "\n", name, (seconds() - start) * 1e3, name, count);
}

static void query_all(Store *store, int64_t begin) {
	int64_t day3 = begin + 3 * DAY_NS;
	query(store, "last_100", &(struct audit_filter){.newest_first = true, .limit = 100});
	query(store, "hour",
	        &(struct audit_filter){
	                .has_since = true, .since = day3, .has_until = true, .until = day3 + DAY_NS / 24});
	query(store, "denials_of_a_day",
	        &(struct audit_filter){.has_since = true,
	                .since = day3,
	                .has_until = true,
	                .until = day3 + DAY_NS,
	                .outcome = "denied"});
	query(store, "rare_user_week", &(struct audit_filter){.has_uid = true, .uid = 1000 + USERS - 1});
	uint32_t rarest = 0;
	for (size_t i = 0; i < DRAWS; i++)
		rarest = file_draws[i] > rarest ? file_draws[i] : rarest;
	char path[96];
	path_of(rarest, path);
	query(store, "rare_file_week", &(struct audit_filter){.path_prefix = path});
	query(store, "node_of_a_day",
	        &(struct audit_filter){.has_since = true,
	                .since = day3,
	                .has_until = true,
	                .until = day3 + DAY_NS,
	                .has_node = true,
	                .node = 1000 + 5000});
	query(store, "user_newest_1000",
	        &(struct audit_filter){.has_uid = true, .uid = 1007, .newest_first = true, .limit = 1000});
}

/* Spread over the day. */
static void bench_week(const char *path, uint64_t records) {
	Store *store = make_store(path);
	struct timespec now;
	__real_clock_gettime(CLOCK_REALTIME, &now);
	int64_t begin = now.tv_sec * INT64_C(1000000000);
	double start = seconds();
	for (uint64_t i = 0; i < 7 * records; i++) {
		atomic_store(&ahead_ns, (int64_t)i * (DAY_NS / (int64_t)records));
		record(store_meta(store), i);
	}
	CHECK(store_commit_wait(store));
	printf("per_second %.0f\n", (double)(7 * records) / (seconds() - start));
	CHECK(store_close(store));
	store = open_store(path);
	query_all(store, begin);
	start = seconds();
	meta_begin(store_meta(store));
	CHECK(audit_verify(store_meta(store), 0, NULL));
	(void)meta_end(store_meta(store), 0);
	printf("verify_s %.2f\n", seconds() - start);
	CHECK(store_close(store));
}

/* ---- archiving ---- */

/* Somebody who asks for something each millisecond, and how long he waits at most. */
struct bystander {
	Store *store;
	_Atomic bool is_done;
	double longest;
};

static void *stand_by(void *arg) {
	struct bystander *b = arg;
	while (!atomic_load(&b->is_done)) {
		double start = seconds();
		meta_begin(store_meta(b->store));
		(void)meta_end(store_meta(b->store), 0);
		double took = seconds() - start;
		b->longest = took > b->longest ? took : b->longest;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	return NULL;
}

static int archive_next(Store *store, struct audit_archived *ret) {
	const struct actor actor = {.exe = "bench"};
	int rc = audit_retain_archive(store, INT64_MAX, &actor, ret);
	if (rc > 0)
		CHECK(audit_retain_shipped(store, ret->first, ret->sha256, "/elsewhere", &actor));
	return rc;
}

static int prune_next(Store *store, struct audit_archived *ret) {
	const struct actor actor = {.exe = "bench"};
	return audit_retain_prune(store, INT64_MAX, &actor, ret);
}

static void do_all(Store *store, const char *name, int (*next)(Store *store, struct audit_archived *ret)) {
	struct bystander bystander = {.store = store};
	struct audit_archived archived;
	uint64_t bytes = 0, records = 0;
	pthread_t thread;
	pthread_create(&thread, NULL, stand_by, &bystander);
	double start = seconds();
	int rc;
	while ((rc = next(store, &archived)) > 0) {
		bytes += archived.bytes;
		records += archived.end - archived.first;
	}
	CHECK(rc);
	printf("%s_s %.2f\n%s_bytes %" PRIu64 "\n%s_records %" PRIu64 "\n", name, seconds() - start, name, bytes, name,
	        records);
	atomic_store(&bystander.is_done, true);
	pthread_join(thread, NULL);
	printf("%s_waited_ms %.1f\n", name, bystander.longest * 1e3);
}

/* All whole tiles of the vault that is there; then, as if they had been copied elsewhere, they are pruned. */
static void bench_archive(const char *path) {
	Store *store = open_store(path);
	do_all(store, "archive", archive_next);
	do_all(store, "prune", prune_next);
	CHECK(store_close(store));
}

int main(int argc, char **argv) {
	bool is_archive = argc == 3 && strcmp(argv[2], "archive") == 0;
	if (argc < 4 && !is_archive) {
		fprintf(stderr, "usage: bench_audit_append DIR append|strict|week|archive [RECORDS [THREADS]]\n");
		return 2;
	}
	uint64_t random = 7, records = is_archive ? 0 : strtoull(argv[3], NULL, 0);
	size_t threads = argc > 4 ? strtoul(argv[4], NULL, 0) : 1;
	char path[4096];
	snprintf(path, sizeof path, "%s/vault", argv[1]);
	draw_all(user_draws, USERS, &random);
	draw_all(file_draws, FILES, &random);
	if (is_archive)
		bench_archive(path);
	else if (strcmp(argv[2], "week") == 0)
		bench_week(path, records);
	else
		bench_append(path, records, threads ? threads : 1, strcmp(argv[2], "strict") == 0);
	return 0;
}
