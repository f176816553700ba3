#include "fs/watch/replication.h"

#include "fs/backups.h"

#include <stdlib.h>

/* ---- samples ---- */

static double lag_seconds(const struct backup_status *status) {
	return (double)status->lag_ns / 1e9;
}

static double lag_bytes(const struct backup_status *status) {
	return (double)status->pending_bytes;
}

static double pending(const struct backup_status *status) {
	return (double)status->pending_versions;
}

static double failed(const struct backup_status *status) {
	return (double)status->failed_versions;
}

/* Before the place was listed only the lag is told, of what this mount committed. */
int replication_collect(void *backup, struct sampler_round *round) {
	static const struct {
		const char *series;
		double (*value)(const struct backup_status *status);
		bool always;
	} rows[] = {{"ReplicationLag", lag_seconds, true}, {"BytesPendingReplication", lag_bytes, false},
	        {"OperationsPendingReplication", pending, false}, {"OperationsFailedReplication", failed, false}};
	_cleanup_(freep) struct backup_status *list = NULL;
	char labels[SAMPLER_LABEL_BYTES];
	size_t count;
	int rc = backups_status(backup, &list, &count);
	for (size_t r = 0; rc == 0 && r < sizeof rows / sizeof rows[0]; r++) {
		double worst = 0;
		bool has_any = false;
		for (size_t i = 0; i < count; i++) {
			if (!rows[r].always && !list[i].is_known)
				continue;
			double value = rows[r].value(&list[i]);
			worst = value > worst ? value : worst;
			has_any = true;
			sampler_emit(round, rows[r].series, sampler_label("target", list[i].target.url, labels), value);
		}
		if (has_any)
			sampler_emit(round, rows[r].series, "", worst);
	}
	return rc;
}

/* ---- figures ---- */

#define LABEL(status) ((const struct exposition_label[]){{"target", (status)->target.url}})

struct family {
	struct exposition_family family;
	uint64_t (*value)(const struct backup_status *status); /* NULL: the lag, in seconds */
	bool (*has)(const struct backup_status *status);       /* NULL: always */
};

static bool is_known(const struct backup_status *status) {
	return status->is_known;
}

static bool is_verified(const struct backup_status *status) {
	return status->verified_ns > 0;
}

#define COUNT_OF(name, field)                                      \
	static uint64_t name(const struct backup_status *status) { \
		return (uint64_t)status->field;                    \
	}
COUNT_OF(state_of, state)
COUNT_OF(bytes_of_lag, pending_bytes)
COUNT_OF(pending_of, pending_versions)
COUNT_OF(failed_of, failed_versions)
COUNT_OF(generations_of, generations)
COUNT_OF(stored_of, stored_bytes)
COUNT_OF(shipped_bytes_of, shipped_bytes)
COUNT_OF(shipped_objects_of, shipped_objects)
COUNT_OF(retries_of, retries)
COUNT_OF(refused_of, refused)
COUNT_OF(lost_of, lost_segments)
COUNT_OF(findings_of, verify_findings)
COUNT_OF(verified_of, verified_ns / 1000000000)

static const struct family families[] = {
        {{"assayfs_backup_state", EXPOSITION_GAUGE, NULL,
                 "What a backup's target does: 0 starting, 1 idle, 2 shipping, 3 retrying, 4 failed, 5 paused."},
                state_of, NULL},
        {{"assayfs_backup_lag_seconds", EXPOSITION_GAUGE, "seconds",
                 "Age of the oldest commit that the target does not have; 0: it has all. Before it was listed: of this "
                 "mount's."},
                NULL, NULL},
        {{"assayfs_backup_lag_bytes", EXPOSITION_GAUGE, "bytes", "Sealed bytes that the target does not have yet."},
                bytes_of_lag, is_known},
        {{"assayfs_backup_pending_versions", EXPOSITION_GAUGE, NULL, "Versions that the target does not have yet."},
                pending_of, is_known},
        {{"assayfs_backup_failed_versions", EXPOSITION_GAUGE, NULL,
                 "Versions that can't be shipped until somebody mends what is wrong."},
                failed_of, is_known},
        {{"assayfs_backup_generations", EXPOSITION_GAUGE, NULL, "Generations that are kept there."}, generations_of,
                is_known},
        {{"assayfs_backup_stored_bytes", EXPOSITION_GAUGE, "bytes", "What the vault's objects there come to."},
                stored_of, is_known},
        {{"assayfs_backup_shipped_bytes", EXPOSITION_COUNTER, "bytes", "Bytes that were shipped since the mount."},
                shipped_bytes_of, NULL},
        {{"assayfs_backup_shipped_objects", EXPOSITION_COUNTER, NULL, "Objects that were shipped since the mount."},
                shipped_objects_of, NULL},
        {{"assayfs_backup_retries", EXPOSITION_COUNTER, NULL, "Attempts that failed and were made again."}, retries_of,
                NULL},
        {{"assayfs_backup_refused_removals", EXPOSITION_COUNTER, NULL,
                 "Removals of what is not needed any more that a lock refused."},
                refused_of, NULL},
        {{"assayfs_backup_lost_segments", EXPOSITION_GAUGE, NULL,
                 "Segments that are not backed up as they can't be read here."},
                lost_of, NULL},
        {{"assayfs_backup_verify_findings", EXPOSITION_GAUGE, NULL,
                 "What the last verify of the target since the mount found to be wrong, healed or not."},
                findings_of, is_verified},
        {{"assayfs_backup_verify_last_timestamp_seconds", EXPOSITION_GAUGE, "seconds",
                 "When the target was last verified since the mount."},
                verified_of, is_verified},
};

void replication_tell(Backup *backup, Exposition *e) {
	_cleanup_(freep) struct backup_status *list = NULL;
	size_t count = 0;
	(void)backups_status(backup, &list, &count);
	for (size_t f = 0; f < sizeof families / sizeof families[0]; f++) {
		exposition_family(e, &families[f].family);
		for (size_t i = 0; i < count; i++) {
			if (families[f].has && !families[f].has(&list[i]))
				continue;
			if (families[f].value)
				exposition_count(e, families[f].value(&list[i]), LABEL(&list[i]), 1);
			else
				exposition_number(e, lag_seconds(&list[i]), LABEL(&list[i]), 1);
		}
	}
}
