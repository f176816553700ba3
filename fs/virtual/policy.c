/* policy: NUMBER/FILE for every policy that was ever in force, and current/FILE; for the user who mounted. */
#include "fs/virtual/providers.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "backend/record.h"
#include "crypto/base/fault.h"
#include "fs/filesystem.h"
#include "policy/bundle.h"

struct stored {
	PolicyBundle *bundle;
	int64_t time_ns;
};

static int parse_row(void *arg, const struct policy_row *row) {
	struct stored *stored = arg;
	stored->time_ns = row->time_ns;
	return policy_bundle_parse(row->bundle, &stored->bundle);
}

/* "3/policy.yaml": the bundle of policy 3, and the rest of the path ("" for the directory itself). */
static int find(struct filesystem *fs, const char *path, struct stored *stored, const char **ret_file) {
	const char *slash = strchr(path, '/');
	size_t length = slash ? (size_t)(slash - path) : strlen(path);
	char name[24];
	if (length == 0 || length >= sizeof name)
		return -ENOENT;
	memcpy(name, path, length);
	name[length] = '\0';
	char *end;
	uint64_t number = strtoull(name, &end, 10);
	bool current = strcmp(name, "current") == 0;
	if (!current && (*end != '\0' || name[0] < '1' || name[0] > '9'))
		return -ENOENT;
	*ret_file = slash ? slash + 1 : "";
	meta_begin(fs->meta);
	return meta_end(fs->meta, current ? policy_current(fs->meta, parse_row, stored)
	                                  : policy_get(fs->meta, number, parse_row, stored));
}

static int stat_policy(struct filesystem *fs, const char *path, struct node *ret) {
	*ret = (struct node){.mode = S_IFDIR | 0500, .uid = fs->owner_uid, .gid = fs->owner_gid};
	if (path[0] == '\0')
		return 0;
	struct stored stored = {0};
	const char *file;
	int rc = find(fs, path, &stored, &file);
	_cleanup_(policy_bundle_freep) PolicyBundle *bundle = stored.bundle;
	ret->mtime = ret->ctime = stored.time_ns;
	if (rc < 0 || file[0] == '\0')
		return rc;
	struct bytes content;
	rc = policy_bundle_get(bundle, file, &content);
	ret->mode = S_IFREG | 0400;
	ret->size = content.size;
	return rc;
}

struct listing {
	virtual_emit_fn emit;
	void *arg;
	int rc;
};

static int emit_number(void *arg, const struct policy_row *row) {
	struct listing *listing = arg;
	char name[24];
	snprintf(name, sizeof name, "%" PRIu64, row->number);
	listing->rc = listing->emit(listing->arg, bytes_of_string(name), S_IFDIR);
	return listing->rc != 0;
}

static int list_numbers(struct filesystem *fs, virtual_emit_fn emit, void *arg) {
	struct listing listing = {.emit = emit, .arg = arg};
	struct stored current = {0};
	const char *file;
	if (find(fs, "current", &current, &file) == 0)
		listing.rc = emit(arg, bytes_of_string("current"), S_IFDIR);
	policy_bundle_free(current.bundle);
	if (listing.rc != 0)
		return listing.rc;
	meta_begin(fs->meta);
	int rc = meta_end(fs->meta, policy_list(fs->meta, emit_number, &listing));
	return rc < 0 ? rc : listing.rc;
}

static int list_policy(struct filesystem *fs, const char *path, virtual_emit_fn emit, void *arg) {
	if (path[0] == '\0')
		return list_numbers(fs, emit, arg);
	struct stored stored = {0};
	const char *file;
	int rc = find(fs, path, &stored, &file);
	_cleanup_(policy_bundle_freep) PolicyBundle *bundle = stored.bundle;
	if (rc == 0 && file[0] != '\0')
		rc = -ENOTDIR;
	for (size_t i = 0; rc == 0 && i < policy_bundle_count(bundle); i++)
		rc = emit(arg, bytes_of_string(policy_bundle_name(bundle, i)), S_IFREG);
	return rc;
}

static int open_policy(struct filesystem *fs, const char *path, struct virtual_file *ret) {
	struct stored stored = {0};
	const char *file;
	struct bytes content;
	int rc = find(fs, path, &stored, &file);
	_cleanup_(policy_bundle_freep) PolicyBundle *bundle = stored.bundle;
	if (rc == 0)
		rc = policy_bundle_get(bundle, file, &content);
	if (rc)
		return rc;
	char *text = malloc(content.size + 1);
	if (!text)
		return fault(ENOMEM, "showing a policy");
	memcpy(text, content.data, content.size);
	*ret = (struct virtual_file){.text = text, .text_size = content.size};
	return 0;
}

const struct virtual_provider virtual_policy = {
        .name = "policy", .stat = stat_policy, .list = list_policy, .open = open_policy};
