/*
 * What the store and its caches did, and what stands in its tables. Sums are made by SQLite of rows that are few: there
 * is one for each 64 MiB of segments, and for each job and held file; none for a file.
 */
#include "backend/content_internal.h"
#include "backend/job.h"
#include "backend/meta_private.h"
#include "backend/segment_internal.h"
#include "backend/store_internal.h"
#include "crypto/base/fault.h"

void store_stats(Store *store, struct store_stats *ret) {
	histogram_read(&store->commit_times, &ret->commits);
	histogram_read(&store->wait_times, &ret->waits);
	ret->commit_failures = atomic_load(&store->commit_failures);
	meta_begin(store->meta);
	ret->nodes = node_cache_counts(store->meta->nodes);
	(void)meta_end(store->meta, 0);
	ret->blocks = content_cache_counts(store->cache);
	ret->segments = segment_cache_counts(store->segments);
}

/* In a vault that never had such a table, nothing is. */
static int count_stale(Meta *m, uint64_t *ret_count) {
	*ret_count = 0;
	return meta_has(m, META_SCHEMA_WATCHED)
	               ? SQL_NUMBER(m, "SELECT count(*) FROM stale WHERE version > ?", ret_count, v_u64(0))
	               : 0;
}

int store_sums(Store *store, struct store_sums *ret) {
	Meta *m = store->meta;
	struct store_sums sums = {0};
	meta_begin(m);
	int rc = segment_row_sums_by_zone(m, sums.zones);
	if (rc == 0)
		rc = tree_statfs(m, &sums.tree);
	if (rc == 0)
		rc = job_counts(m, &sums.jobs_queued, &sums.jobs_running);
	if (rc == 0)
		rc = SQL_NUMBER(
		        m, "SELECT count(*) FROM quarantine WHERE state = 0 AND id > ?", &sums.quarantined, v_u64(0));
	if (rc == 0)
		rc = count_stale(m, &sums.stale);
	sums.audit_records = audit_size(m);
	rc = meta_end(m, rc);
	if (rc == 0)
		*ret = sums;
	return fault_while(rc, "summing up the vault");
}
