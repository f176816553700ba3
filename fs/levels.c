#include "fs/levels.h"

#include "backend/census.h"
#include "backend/job.h"
#include "backend/record.h"
#include "backend/tree.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

/* Less than 2 ms under the lock. [measured] */
#define COUNT_BATCH 10000

struct Levels {
	Store *store;
	char path[4096];
	pthread_mutex_t lock; /* guards the rest; operations begin with it held */
	bool is_counted;
	int64_t counted_s;
	struct tree_counts counted_at;
	struct census_files zones[CENSUS_ZONES];
};

int levels_new(Store *store, Levels **ret_levels) {
	_cleanup_(freep) struct store_info *info = calloc(1, sizeof *info);
	Levels *l = calloc(1, sizeof *l);
	if (!l || !info) {
		free(l);
		return fault(ENOMEM, "counting what lies in the zones: out of memory");
	}
	store_info(store, info);
	memcpy(l->path, info->path, sizeof l->path);
	l->store = store;
	pthread_mutex_init(&l->lock, NULL);
	*ret_levels = l;
	return 0;
}

void levels_free(Levels *levels) {
	if (!levels)
		return;
	pthread_mutex_destroy(&levels->lock);
	free(levels);
}

/* ---- files ---- */

static bool are_same(const struct tree_counts *one, const struct tree_counts *other) {
	return one->nodes == other->nodes && one->directories == other->directories && one->names == other->names &&
	       one->versions == other->versions && one->bytes == other->bytes;
}

static bool is_due(const Levels *l, int64_t now_s, const struct tree_counts *counts) {
	if (!l->is_counted)
		return true;
	if (are_same(counts, &l->counted_at))
		return false;
	return counts->nodes < LEVELS_FEW_NODES || now_s < l->counted_s || now_s - l->counted_s >= LEVELS_COUNT_S;
}

static int count(Levels *l, int64_t now_s, const struct tree_counts *counts) {
	struct census_files zones[CENSUS_ZONES] = {{0}};
	Meta *m = store_meta(l->store);
	uint64_t after = 0;
	int rc = 1;
	while (rc == 1) {
		meta_begin(m);
		rc = meta_end(m, census_count(m, &after, COUNT_BATCH, zones));
	}
	if (rc < 0)
		return rc;
	memcpy(l->zones, zones, sizeof zones);
	l->counted_at = *counts;
	l->counted_s = now_s;
	l->is_counted = true;
	return 0;
}

/* ---- all ---- */

/* What the database is on the disk; packs of checkpoints beside it are about as much again at most. */
static double size_of_books(const Levels *l) {
	static const char *const names[] = {"meta.db", "meta.db-wal"};
	double bytes = 0;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		char path[sizeof l->path + 16];
		struct stat st;
		(void)snprintf(path, sizeof path, "%s/%s", l->path, names[i]);
		if (stat(path, &st) == 0)
			bytes += (double)st.st_blocks * 512;
	}
	return bytes;
}

static unsigned zone_billed(unsigned zone) {
	return zone == ZONE_STAGING ? ZONE_LANDING : zone;
}

static void put_levels(
        const Levels *l, const struct census_stored stored[CENSUS_ZONES], uint64_t versions, struct levels *ret) {
	double live[CHARGE_ZONES] = {0};
	for (unsigned zone = 0; zone < CENSUS_ZONES; zone++) {
		const unsigned billed = zone_billed(zone);
		ret->stored[billed] += stored[zone].bytes;
		ret->shown[billed] += (double)l->zones[zone].bytes;
		ret->files[billed] += zone == ZONE_STAGING ? 0 : l->zones[zone].files;
		ret->charge.bytes[billed][CHARGE_DEAD] += (double)stored[zone].dead;
		live[billed] += (double)(stored[zone].bytes - stored[zone].dead);
	}
	for (unsigned zone = 0; zone < CHARGE_ZONES; zone++) {
		const double current = live[zone] < ret->shown[zone] ? live[zone] : ret->shown[zone];
		ret->charge.bytes[zone][CHARGE_CURRENT] = current;
		ret->charge.bytes[zone][CHARGE_NONCURRENT] = live[zone] - current;
	}
	ret->charge.bytes[ZONE_NONE][CHARGE_CURRENT] += size_of_books(l);
	ret->charge.bytes[ZONE_NONE][CHARGE_VERSIONS] = (double)versions;
}

static int get(Levels *l, int64_t now_s, struct levels *ret) {
	struct census_stored stored[CENSUS_ZONES];
	struct tree_counts counts;
	Meta *m = store_meta(l->store);
	meta_begin(m);
	int rc = tree_statfs(m, &counts);
	if (rc == 0)
		rc = census_stored(m, stored);
	rc = meta_end(m, rc);
	if (rc == 0 && is_due(l, now_s, &counts))
		rc = count(l, now_s, &counts);
	if (rc < 0)
		return rc;
	struct levels levels = {.charge.time_s = now_s};
	put_levels(l, stored, counts.bytes, &levels);
	*ret = levels;
	return 0;
}

int levels_get(Levels *levels, int64_t now_s, struct levels *ret) {
	pthread_mutex_lock(&levels->lock);
	int rc = get(levels, now_s, ret);
	pthread_mutex_unlock(&levels->lock);
	return rc;
}

/* ---- samples ---- */

static int count_held(void *arg, const struct quarantine_row *row) {
	(void)row;
	++*(uint64_t *)arg;
	return 0;
}

static int collect_waiting(Levels *l, struct sampler_round *round) {
	Meta *m = store_meta(l->store);
	uint64_t queued = 0, running = 0, held = 0, stale = 0;
	meta_begin(m);
	int rc = job_counts(m, &queued, &running);
	if (rc == 0)
		rc = quarantine_list(m, 0, true, count_held, &held);
	if (rc == 0)
		rc = census_stale(m, &stale);
	rc = meta_end(m, rc);
	if (rc < 0)
		return rc;
	sampler_emit(round, "Waiting", "", (double)(queued + running));
	sampler_emit(round, "Quarantined", "", (double)held);
	sampler_emit(round, "StaleFiles", "", (double)stale);
	return 0;
}

int levels_collect(void *arg, struct sampler_round *round) {
	Levels *l = arg;
	struct levels levels;
	struct statvfs disk;
	char label[SAMPLER_LABEL_BYTES];
	int rc = levels_get(l, sampler_now(round), &levels);
	if (rc < 0)
		return rc;
	for (unsigned zone = ZONE_LANDING; zone < CHARGE_ZONES; zone++) {
		(void)sampler_label("zone", zone_name((enum zone)zone), label);
		sampler_emit(round, "StoredBytes", label, (double)levels.stored[zone]);
		sampler_emit(round, "CurrentBytes", label, levels.shown[zone]);
		sampler_emit(round, "NumberOfFiles", label, (double)levels.files[zone]);
	}
	if (statvfs(l->path, &disk) == 0)
		sampler_emit(round, "FreeBytes", "", (double)disk.f_bavail * (double)disk.f_frsize);
	return collect_waiting(l, round);
}
