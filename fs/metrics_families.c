#include "fs/metrics_families.h"

#include <stdlib.h>
#include <sys/statvfs.h>

#include "backend/gc.h"
#include "crypto/base/fault.h"
#include "fs/log.h"

#define LABELS(...) ((const struct exposition_label[]){__VA_ARGS__})

/* A family of one value. */
static void tell(Exposition *e, enum exposition_type type, const char *name, const char *unit, const char *help,
        uint64_t value) {
	const struct exposition_family family = {.name = name, .type = type, .unit = unit, .help = help};
	exposition_single(e, &family, value);
}

static void begin(Exposition *e, enum exposition_type type, const char *name, const char *unit, const char *help) {
	const struct exposition_family family = {.name = name, .type = type, .unit = unit, .help = help};
	exposition_family(e, &family);
}

static void tell_histogram(Exposition *e, const char *name, const char *help, const struct histogram_view *view) {
	begin(e, EXPOSITION_HISTOGRAM, name, "seconds", help);
	exposition_histogram(e, view, NULL, 0);
}

/* ---- the mount ---- */

static void tell_mount(const struct metrics_sources *from, const struct store_info *info, Exposition *e) {
	begin(e, EXPOSITION_INFO, "assayfs_build", NULL, "What is running.");
	exposition_count(e, 1, LABELS({"version", ASSAYFS_VERSION}), 1);
	begin(e, EXPOSITION_GAUGE, "assayfs_mount_timestamp_seconds", "seconds",
	        "When the vault was mounted, since 1970.");
	exposition_seconds(e, from->mounted_ns, NULL, 0);
	tell(e, EXPOSITION_GAUGE, "assayfs_mount_number", NULL, "How often the vault was mounted.", info->mount);
	tell(e, EXPOSITION_GAUGE, "assayfs_failed", NULL,
	        "1: a commit failed, and the vault takes no changes until it is mounted again.", info->failed);
	tell(e, EXPOSITION_GAUGE, "assayfs_recovered", NULL, "1: the mount before had not ended cleanly.",
	        info->recovered);
	tell(e, EXPOSITION_GAUGE, "assayfs_recovered_versions", NULL,
	        "Synced drafts that were sealed when the vault was opened after a crash.", info->recovered_versions);
	tell(e, EXPOSITION_GAUGE, "assayfs_dropped_drafts", NULL,
	        "Drafts that were never synced and were dropped when the vault was opened after a crash.",
	        info->dropped_drafts);
	tell(e, EXPOSITION_GAUGE, "assayfs_requeued_jobs", NULL, "Jobs that were running when the mount before ended.",
	        info->requeued_jobs);
	tell(e, EXPOSITION_GAUGE, "assayfs_damaged_metadata_files", NULL,
	        "Damaged files of the metadata that opening got around.", info->damaged);
}

/* ---- operations ---- */

static void tell_latency(void *arg, const struct operation_view *view) {
	exposition_histogram(arg, &view->latency, LABELS({"operation", view->name}), 1);
}

static void tell_errors(void *arg, const struct operation_view *view) {
	for (enum operation_error error = 0; error < OPERATION_ERRORS; error++)
		if (view->errors[error] > 0)
			exposition_count(arg, view->errors[error],
			        LABELS({"operation", view->name}, {"error", operation_error_name(error)}), 2);
}

static void tell_operations(const struct metrics_sources *from, Exposition *e) {
	struct operation_totals totals;
	operation_stats_totals(from->operations, &totals);
	begin(e, EXPOSITION_HISTOGRAM, "assayfs_operation_duration_seconds", "seconds",
	        "From the reading of a request of the kernel to its answer.");
	operation_stats_each(from->operations, tell_latency, e);
	begin(e, EXPOSITION_COUNTER, "assayfs_operation_errors", NULL,
	        "Requests that were answered with an error. Many are no trouble: ENOENT says that a name is free.");
	operation_stats_each(from->operations, tell_errors, e);
	tell(e, EXPOSITION_GAUGE, "assayfs_operations_running", NULL, "Requests that have no answer yet.",
	        totals.running);
	tell(e, EXPOSITION_COUNTER, "assayfs_operations_unmeasured", NULL,
	        "Requests that were not measured, since too many were running.", totals.unmeasured);
	tell(e, EXPOSITION_COUNTER, "assayfs_read_bytes", "bytes",
	        "Bytes of files given to the kernel; what its page cache has it does not ask for again.",
	        totals.read_bytes);
	tell(e, EXPOSITION_COUNTER, "assayfs_written_bytes", "bytes", "Bytes of files taken from the kernel.",
	        totals.written_bytes);
}

/* ---- the store ---- */

static void tell_cache(Exposition *e, const char *name, uint64_t value) {
	exposition_count(e, value, LABELS({"cache", name}), 1);
}

static void tell_caches(const struct store_stats *stats, Exposition *e) {
	begin(e, EXPOSITION_COUNTER, "assayfs_cache_hits", NULL, "Look-ups that a cache answered.");
	tell_cache(e, "metadata", stats->nodes.hits);
	tell_cache(e, "blocks", stats->blocks.hits);
	tell_cache(e, "ciphers", stats->segments.hits);
	begin(e, EXPOSITION_COUNTER, "assayfs_cache_misses", NULL, "Look-ups that a cache had no answer to.");
	tell_cache(e, "metadata", stats->nodes.misses);
	tell_cache(e, "blocks", stats->blocks.misses);
	tell_cache(e, "ciphers", stats->segments.misses);
}

static void tell_audit(const struct metrics_sources *from, Exposition *e) {
	struct store_audit_window window;
	store_audit_window(from->store, &window);
	tell(e, EXPOSITION_GAUGE, "assayfs_audit_durable_records", NULL,
	        "Records of the audit log that are on the disk.", store_durable_seq(from->store));
	tell(e, EXPOSITION_GAUGE, "assayfs_audit_window_records", NULL,
	        "Records of the audit log that a crash would take now.", window.records);
	begin(e, EXPOSITION_GAUGE, "assayfs_audit_window_seconds", "seconds",
	        "How long the oldest of them has waited.");
	exposition_seconds(e, window.oldest_ns, NULL, 0);
	begin(e, EXPOSITION_GAUGE, "assayfs_audit_window_longest_seconds", "seconds",
	        "The longest that a record has waited since the mount.");
	exposition_seconds(e, window.most_ns, NULL, 0);
	tell(e, EXPOSITION_COUNTER, "assayfs_audit_failures", NULL,
	        "Accesses that were refused since their record could not be written.", window.refused);
}

static void tell_collector(const struct metrics_sources *from, Exposition *e) {
	struct gc_totals totals = {0};
	if (store_gc(from->store))
		gc_totals(store_gc(from->store), &totals);
	tell(e, EXPOSITION_COUNTER, "assayfs_gc_walks", NULL, "Walks of the garbage collection.", totals.walks);
	tell(e, EXPOSITION_COUNTER, "assayfs_gc_failures", NULL, "Walks that came to no end.", totals.failures);
	tell(e, EXPOSITION_COUNTER, "assayfs_gc_removed_segments", NULL, "Segments that were removed.", totals.removed);
	tell(e, EXPOSITION_COUNTER, "assayfs_gc_freed_bytes", "bytes", "Their bytes.", totals.freed);
	tell(e, EXPOSITION_COUNTER, "assayfs_gc_moved_bytes", "bytes",
	        "Bytes of blocks that were moved out of nearly dead segments.", totals.moved);
	tell(e, EXPOSITION_GAUGE, "assayfs_gc_condemned_segments", NULL,
	        "Segments that go unless the next walk finds something alive in them.", totals.condemned);
}

static void tell_store(const struct metrics_sources *from, Exposition *e) {
	struct store_stats stats;
	store_stats(from->store, &stats);
	tell_histogram(e, "assayfs_commit_duration_seconds",
	        "Commits of the vault: segments, database and log are on the disk.", &stats.commits);
	tell(e, EXPOSITION_COUNTER, "assayfs_commit_failures", NULL, "Commits that failed.", stats.commit_failures);
	tell_histogram(e, "assayfs_sync_wait_duration_seconds",
	        "How long who asked for a sync waited for a commit; small syncs have a log of their own, and wait "
	        "less.",
	        &stats.waits);
	tell_caches(&stats, e);
	tell_audit(from, e);
	tell_collector(from, e);
}

/* ---- the disk, and what is kept on it ---- */

static void tell_disk(const struct store_info *info, Exposition *e) {
	struct statvfs disk;
	if (statvfs(info->path, &disk) < 0)
		return;
	tell(e, EXPOSITION_GAUGE, "assayfs_disk_free_bytes", "bytes",
	        "What the file system that the vault is on has left.", disk.f_bavail * disk.f_frsize);
	tell(e, EXPOSITION_GAUGE, "assayfs_disk_size_bytes", "bytes", "Its size.", disk.f_blocks * disk.f_frsize);
}

static const char *const zone_names[SEGMENT_ZONES] = {NULL, "Landing", "Raw", "Trusted", "staging"};

static void tell_zones(Exposition *e, const struct store_sums *sums, const char *name, const char *unit,
        const char *help, uint64_t (*value)(const struct segment_sums *)) {
	begin(e, EXPOSITION_GAUGE, name, unit, help);
	for (size_t zone = 1; zone < SEGMENT_ZONES; zone++)
		exposition_count(e, value(&sums->zones[zone]), LABELS({"zone", zone_names[zone]}), 1);
}

static uint64_t bytes_in(const struct segment_sums *sums) {
	return sums->bytes;
}

static uint64_t live_in(const struct segment_sums *sums) {
	return sums->live_bytes;
}

static uint64_t dead_in(const struct segment_sums *sums) {
	return sums->counted_bytes > sums->live_bytes ? sums->counted_bytes - sums->live_bytes : 0;
}

static uint64_t uncounted_in(const struct segment_sums *sums) {
	return sums->bytes - sums->counted_bytes;
}

static uint64_t segments_in(const struct segment_sums *sums) {
	return sums->segments;
}

static void tell_kept(const struct store_sums *sums, Exposition *e) {
	tell_zones(e, sums, "assayfs_segments", NULL, "Segments of the zone.", segments_in);
	tell_zones(e, sums, "assayfs_stored_bytes", "bytes", "Bytes of the zone's segments on the disk.", bytes_in);
	tell_zones(e, sums, "assayfs_live_bytes", "bytes",
	        "Of these what some version shows, as the last walk of the garbage collection counted.", live_in);
	tell_zones(e, sums, "assayfs_dead_bytes", "bytes", "Of these what no version shows.", dead_in);
	tell_zones(e, sums, "assayfs_uncounted_bytes", "bytes", "Of these what no walk has counted yet.", uncounted_in);
	tell(e, EXPOSITION_GAUGE, "assayfs_files", NULL, "Files, directories and links, open without a name, too.",
	        sums->tree.nodes);
	tell(e, EXPOSITION_GAUGE, "assayfs_names", NULL, "Names in directories.", sums->tree.names);
	tell(e, EXPOSITION_GAUGE, "assayfs_versions", NULL, "Versions of files that are kept.", sums->tree.versions);
	tell(e, EXPOSITION_GAUGE, "assayfs_versions_bytes", "bytes", "Their bytes, as if no two shared any.",
	        sums->tree.bytes);
	tell(e, EXPOSITION_GAUGE, "assayfs_audit_records", NULL, "Records of the audit log.", sums->audit_records);
	tell(e, EXPOSITION_GAUGE, "assayfs_quarantined", NULL, "What is held in quarantine and waits for a decision.",
	        sums->quarantined);
	tell(e, EXPOSITION_GAUGE, "assayfs_stale_files", NULL,
	        "Files that Trusted shows though they did not pass when they were judged again.", sums->stale);
	begin(e, EXPOSITION_GAUGE, "assayfs_jobs", NULL, "Jobs of the gate.");
	exposition_count(e, sums->jobs_queued, LABELS({"state", "queued"}), 1);
	exposition_count(e, sums->jobs_running, LABELS({"state", "running"}), 1);
}

/* ---- the gate ---- */

static void tell_dataset(void *arg, const struct gate_dataset_view *view) {
	for (enum gate_decided decided = 0; decided < GATE_DECISIONS; decided++)
		exposition_count(arg, view->verdicts[decided],
		        LABELS({"dataset", view->dataset}, {"outcome", gate_decided_word(decided)}), 2);
}

static void tell_finding(void *arg, const struct gate_finding_view *view) {
	exposition_count(arg, view->cells, LABELS({"detector", view->detector}, {"action", view->action}), 2);
}

static void tell_gate(const struct metrics_sources *from, Exposition *e) {
	GateStats *stats = gate_stats(from->gate);
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(from->gate);
	struct histogram_view checks;
	gate_stats_checks(stats, &checks);
	tell(e, EXPOSITION_GAUGE, "assayfs_policy_number", NULL, "The policy in force; 0: there is none.",
	        held->number);
	begin(e, EXPOSITION_COUNTER, "assayfs_verdicts", NULL,
	        "Verdicts since the mount. The dataset is empty where none governs the file.");
	gate_stats_datasets(stats, tell_dataset, e);
	begin(e, EXPOSITION_COUNTER, "assayfs_findings", NULL,
	        "Cells, or lines of a text, in which personal data was found since the mount.");
	gate_stats_findings(stats, tell_finding, e);
	tell_histogram(e, "assayfs_check_duration_seconds", "Checks of files in a worker.", &checks);
	tell(e, EXPOSITION_GAUGE, "assayfs_checks_alive", NULL,
	        "0: what starts workers is gone, and each check is an error until the vault is mounted again.",
	        from->spawner && spawner_alive(from->spawner));
}

static void tell_all(void *arg, Exposition *e) {
	const struct metrics_sources *from = arg;
	_cleanup_(freep) struct store_info *info = calloc(1, sizeof *info);
	_cleanup_(freep) struct store_sums *sums = calloc(1, sizeof *sums);
	if (!info || !sums)
		return;
	store_info(from->store, info);
	tell_mount(from, info, e);
	tell_operations(from, e);
	tell_store(from, e);
	tell_disk(info, e);
	int rc = store_sums(from->store, sums);
	if (rc == 0)
		tell_kept(sums, e);
	else
		log_fault(rc, "metrics leave out what the vault holds");
	tell_gate(from, e);
}

int metrics_add_families(Metrics *metrics, const struct metrics_sources *sources) {
	return metrics_add_provider(metrics, tell_all, (void *)(uintptr_t)sources);
}
