#include "fs/virtual/providers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "fs/filesystem.h"
#include "fs/virtual/times.h"

#define TIME_TEXT_MAX 40

/* Splits "TIME/PATH" and finds the commit. */
static int begin(Meta *m, const char *path, uint64_t *ret_commit, struct bytes *ret_rest) {
	char text[TIME_TEXT_MAX];
	size_t length = strcspn(path, "/");
	if (length >= sizeof text)
		return -ENOENT;
	memcpy(text, path, length);
	text[length] = '\0';
	int64_t time_ns;
	if (!virtual_parse_time(text, &time_ns))
		return -ENOENT;
	*ret_rest = bytes_of_string(path[length] ? path + length + 1 : path + length);
	return meta_commit_at(m, time_ns, ret_commit);
}

/* A file that had no version yet, or whose version is not to be shown any more, was not there. */
static int check_shown(Meta *m, const struct node *node) {
	if (!S_ISREG(node->mode))
		return 0;
	struct version version;
	if (node->version == 0)
		return -ENOENT;
	int rc = version_get(m, node->version, &version);
	return rc < 0 ? rc : version.state == VERSION_SEALED ? 0 : -ENOENT;
}

static int resolve(Meta *m, const char *path, struct node *ret, uint64_t *ret_commit) {
	struct bytes rest;
	int rc = begin(m, path, ret_commit, &rest);
	if (rc == 0)
		rc = rest.size ? tree_resolve_at(m, rest, *ret_commit, ret) : tree_get(m, NODE_ROOT, ret);
	return rc ? rc : check_shown(m, ret);
}

static int stat_at(struct filesystem *fs, const char *path, struct node *ret) {
	if (path[0] == '\0') {
		*ret = (struct node){.mode = S_IFDIR | 0555, .uid = fs->owner_uid, .gid = fs->owner_gid};
		return 0;
	}
	uint64_t commit;
	meta_begin(fs->meta);
	int rc = meta_end(fs->meta, resolve(fs->meta, path, ret, &commit));
	if (rc == 0 && !S_ISLNK(ret->mode))
		ret->mode &= ~0222u;
	return rc;
}

struct names {
	Meta *meta;
	virtual_emit_fn emit;
	void *arg;
	int rc;
};

static int emit_name(void *arg, struct bytes name, uint64_t cookie, const struct node *node) {
	struct names *names = arg;
	(void)cookie;
	int rc = check_shown(names->meta, node);
	if (rc == -ENOENT)
		return 0;
	names->rc = rc < 0 ? rc : names->emit(names->arg, name, node->mode);
	return names->rc != 0;
}

static int list_tree(Meta *m, const char *path, struct names *names) {
	struct node dir;
	uint64_t commit;
	int rc = resolve(m, path, &dir, &commit);
	if (rc == 0)
		rc = tree_list_at(m, dir.id, commit, 0, 0, emit_name, names, NULL);
	return rc < 0 ? rc : names->rc;
}

static int list_at(struct filesystem *fs, const char *path, virtual_emit_fn emit, void *arg) {
	if (path[0] == '\0')
		return 0; /* any time is a name here: there is nothing to list */
	struct names names = {.meta = fs->meta, .emit = emit, .arg = arg};
	meta_begin(fs->meta);
	return meta_end(fs->meta, list_tree(fs->meta, path, &names));
}

static int open_at(struct filesystem *fs, const char *path, struct virtual_file *ret) {
	struct node node = {0};
	uint64_t commit;
	meta_begin(fs->meta);
	int rc = meta_end(fs->meta, resolve(fs->meta, path, &node, &commit));
	if (rc)
		return rc;
	if (!S_ISREG(node.mode))
		return -EINVAL;
	return content_open(fs->store, node.id, node.version, &ret->content);
}

static int readlink_at(struct filesystem *fs, const char *path, char *ret_target, size_t capacity, size_t *ret_length) {
	struct node node;
	uint64_t commit;
	meta_begin(fs->meta);
	int rc = resolve(fs->meta, path, &node, &commit);
	if (rc == 0)
		rc = tree_readlink(fs->meta, node.id, ret_target, capacity, ret_length);
	return meta_end(fs->meta, rc);
}

const struct virtual_provider virtual_at = {
        .name = "at", .stat = stat_at, .list = list_at, .open = open_at, .readlink = readlink_at};
