/* What a crash leaves, or an unmount with files still open: drafts, nodes without names, running jobs. */
#include "backend/audit.h"
#include "backend/job.h"
#include "backend/store_internal.h"
#include "backend/tree.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void store_daemon_actor(struct actor *ret) {
	*ret = (struct actor){.uid = getuid(), .gid = getgid(), .pid = getpid()};
	(void)snprintf(ret->exe, sizeof ret->exe, "%s", program_invocation_short_name);
}

int store_record_event(Store *store, struct audit_event record) {
	char path[TREE_PATH_MAX];
	store_daemon_actor(&record.actor);
	if (record.node && tree_path(store->meta, record.node, path, sizeof path, NULL) == 0)
		record.path = path;
	return audit_record(store->meta, &record, NULL);
}

int store_record(Store *store, const char *event, uint64_t node, uint64_t version, const char *detail) {
	return store_record_event(
	        store, (struct audit_event){.event = event, .node = node, .version = version, .detail = detail});
}

/* Rows gathered first, as nothing may be called from inside a listing. */
struct gathered {
	struct version *versions;
	uint64_t *nodes;
	size_t count, room;
};

static int more_room(void **list, size_t *room, size_t size) {
	size_t more = *room ? *room * 2 : 64;
	void *grown = realloc(*list, more * size);
	if (!grown)
		return fault(ENOMEM, "no memory for the drafts that were left");
	*list = grown;
	*room = more;
	return 0;
}

static int gather_version(void *arg, const struct version *version) {
	struct gathered *g = arg;
	int rc = g->count == g->room ? more_room((void **)&g->versions, &g->room, sizeof *g->versions) : 0;
	if (rc == 0)
		g->versions[g->count++] = *version;
	return rc;
}

static int gather_node(void *arg, const struct node *node) {
	struct gathered *g = arg;
	int rc = g->count == g->room ? more_room((void **)&g->nodes, &g->room, sizeof *g->nodes) : 0;
	if (rc == 0)
		g->nodes[g->count++] = node->id;
	return rc;
}

/*
 * Whether a draft is to be kept: somebody was promised it, and it is a person's. What the daemon itself was writing
 * (Raw, Trusted) its job writes again; and of a file without a name nobody can ask for anything, unless it waits in
 * staging for the gate.
 */
static bool is_kept(const struct version *draft, const struct node *node) {
	if (!draft->fsynced)
		return false;
	return draft->zone == ZONE_STAGING || (draft->zone == ZONE_LANDING && node->nlink > 0);
}

static int settle_draft(Store *store, const struct version *draft, const struct store_options *options) {
	struct node node;
	struct version sealed;
	int rc = tree_get(store->meta, draft->node, &node);
	if (rc < 0)
		return rc;
	if (!is_kept(draft, &node)) {
		store->dropped_drafts++;
		rc = store_record(
		        store, "recover", draft->node, draft->id, "a change that nobody had synced was dropped");
		if (rc == 0)
			rc = version_drop(store->meta, draft->id, &node.size);
		return rc == 0 ? tree_setattr(store->meta, draft->node, &node, TREE_SIZE, &node) : rc;
	}
	store->recovered_versions++;
	rc = version_seal(store->meta, draft->id, ORIGIN_RECOVERED, 0, NULL, &sealed);
	if (rc == 0)
		rc = store_record(store, "recover", draft->node, sealed.id, "a synced change became a version");
	if (rc == 0 && options->arrived)
		rc = options->arrived(store->meta, &sealed, options->arrived_arg);
	return rc;
}

static int settle_drafts(Store *store, const struct store_options *options) {
	struct gathered drafts = {0};
	int rc = version_drafts(store->meta, gather_version, &drafts);
	for (size_t i = 0; i < drafts.count && rc == 0; i++)
		rc = settle_draft(store, &drafts.versions[i], options);
	free(drafts.versions);
	return fault_while(rc, "settling what was being written");
}

static int forget_orphans(Store *store) {
	struct gathered orphans = {0};
	int rc = tree_orphans(store->meta, gather_node, &orphans);
	for (size_t i = 0; i < orphans.count && rc == 0; i++) {
		rc = tree_forget(store->meta, orphans.nodes[i]);
		if (rc == -EBUSY)
			rc = 0;
	}
	free(orphans.nodes);
	return fault_while(rc, "forgetting files without a name");
}

/* ---- the log of small fsyncs ---- */

static int kept_base(Store *store, uint64_t *ret_base) {
	uint8_t kept[8];
	size_t size;
	int rc = meta_kv_get(store->meta, STORE_KV_SYNCLOG, kept, sizeof kept, &size);
	if (rc == 0 && size != sizeof kept)
		rc = fault(EUCLEAN, "metadata: %s is malformed", STORE_KV_SYNCLOG);
	if (rc == 0)
		*ret_base = le64_get(kept);
	return rc;
}

int store_synclog_base(Store *store, uint64_t *ret_base) {
	struct meta_committed base = {0};
	meta_begin(store->meta);
	int rc = kept_base(store, &base.commit);
	if (rc == 0)
		rc = meta_commit_time(store->meta, base.commit, &base.time_ns);
	else if (rc == -ENOENT)
		rc = meta_last_commit(store->meta, &base);
	rc = meta_end(store->meta, rc);
	if (rc == 0)
		*ret_base = synclog_base(base.commit, base.time_ns);
	return rc;
}

int store_synclog_keep_base(Store *store) {
	struct meta_committed last;
	uint8_t base[8];
	uint64_t kept;
	int rc = kept_base(store, &kept);
	if (rc != -ENOENT)
		return rc;
	rc = meta_last_commit(store->meta, &last);
	le64_put(base, last.commit);
	return rc < 0 ? rc : meta_kv_put(store->meta, STORE_KV_SYNCLOG, bytes_of(base, sizeof base));
}

static int bring_back(void *arg, const struct synclog_record *record) {
	return content_replay(arg, record);
}

int store_synclog_bring_back(Store *store, uint64_t base, uint64_t *ret_count) {
	int rc = synclog_read(
	        store->io, store->keyring, header_vault_id(store->header), base, bring_back, store, ret_count);
	return fault_while(rc, "bringing back small fsyncs");
}

int store_settle(Store *store, const struct store_options *options) {
	int rc = settle_drafts(store, options);
	if (rc == 0)
		rc = forget_orphans(store);
	if (rc == 0)
		rc = job_requeue_running(store->meta, &store->requeued_jobs);
	return rc;
}
