#include "fs/virtual/providers.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "backend/audit.h"
#include "crypto/base/fault.h"
#include "fs/filesystem.h"

static int collect(struct filesystem *fs, struct tree_counts *counts, uint64_t *ret_records) {
	meta_begin(fs->meta);
	int rc = tree_statfs(fs->meta, counts);
	*ret_records = audit_size(fs->meta);
	return meta_end(fs->meta, rc);
}

static int render(struct filesystem *fs, char **ret_text, size_t *ret_size) {
	struct store_info info;
	struct tree_counts counts;
	uint64_t records;
	store_info(fs->store, &info);
	int rc = collect(fs, &counts, &records);
	if (rc < 0)
		return rc;
	char id[2 * STORE_VAULT_ID_BYTES + 1];
	for (size_t i = 0; i < STORE_VAULT_ID_BYTES; i++)
		snprintf(id + 2 * i, 3, "%02x", info.vault_id[i]);
	json_t *json = json_pack("{s:s, s:s, s:s, s:I, s:b, s:b, s:b, s:{s:I, s:I, s:I}, s:I, s:I, s:I, s:I, s:I}",
	        "version", ASSAYFS_VERSION, "vault", info.path, "vault_id", id, "mount", (json_int_t)info.mount,
	        "read_only", info.read_only || fs->read_only, "failed", info.failed, "recovered", info.recovered,
	        "recovery", "versions", (json_int_t)info.recovered_versions, "dropped_drafts",
	        (json_int_t)info.dropped_drafts, "requeued_jobs", (json_int_t)info.requeued_jobs, "names",
	        (json_int_t)counts.names, "directories", (json_int_t)counts.directories, "versions",
	        (json_int_t)counts.versions, "bytes", (json_int_t)counts.bytes, "audit_records", (json_int_t)records);
	char *text = json ? json_dumps(json, JSON_INDENT(2) | JSON_PRESERVE_ORDER) : NULL;
	json_decref(json);
	size_t length = text ? strlen(text) : 0;
	char *longer = text ? realloc(text, length + 2) : NULL;
	if (!longer) {
		free(text);
		return fault(ENOMEM, "writing status.json");
	}
	memcpy(longer + length, "\n", 2);
	*ret_text = longer;
	*ret_size = length + 1;
	return 0;
}

static int stat_status(struct filesystem *fs, const char *path, struct node *ret) {
	if (path[0] != '\0')
		return -ENOTDIR;
	int64_t now = meta_now(fs->meta);
	*ret = (struct node){
	        .mode = S_IFREG | 0444, .uid = fs->owner_uid, .gid = fs->owner_gid, .mtime = now, .ctime = now};
	return 0;
}

static int open_status(struct filesystem *fs, const char *path, struct virtual_file *ret) {
	return path[0] == '\0' ? render(fs, &ret->text, &ret->text_size) : -ENOTDIR;
}

const struct virtual_provider virtual_status = {.name = "status.json", .stat = stat_status, .open = open_status};
