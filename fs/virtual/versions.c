#include "fs/virtual/providers.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/filesystem.h"

/* What a path below versions/ means. */
struct place {
	enum { NAMES, FILE_OF_VERSIONS, VERSION } kind;
	struct node node;       /* the directory or file */
	struct version version; /* VERSION */
	uint64_t parent;        /* FILE_OF_VERSIONS, VERSION: of the name */
	struct bytes name;
};

struct search {
	uint64_t ordinal;
	struct version found;
	bool has;
	virtual_emit_fn emit;
	void *emit_arg;
	int rc;
};

/* A version that was withdrawn or erased is not shown. */
static int match_ordinal(void *arg, uint64_t ordinal, const struct version *version) {
	struct search *search = arg;
	if (ordinal != search->ordinal)
		return 0;
	search->has = version->state == VERSION_SEALED;
	search->found = *version;
	return 1;
}

static int emit_ordinal(void *arg, uint64_t ordinal, const struct version *version) {
	struct search *search = arg;
	if (version->state != VERSION_SEALED)
		return 0;
	char name[24];
	snprintf(name, sizeof name, "%" PRIu64, ordinal);
	search->rc = search->emit(search->emit_arg, bytes_of_string(name), S_IFREG);
	return search->rc != 0;
}

static bool parse_ordinal(struct bytes text, uint64_t *ret) {
	uint64_t value = 0;
	if (text.size == 0 || text.size > 18 || text.data[0] == '0')
		return false;
	for (size_t i = 0; i < text.size; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		value = value * 10 + (uint64_t)(text.data[i] - '0');
	}
	*ret = value;
	return true;
}

static void split(struct bytes path, struct bytes *ret_parent, struct bytes *ret_last) {
	const uint8_t *slash = path.size ? memrchr(path.data, '/', path.size) : NULL;
	size_t before = slash ? (size_t)(slash - path.data) : 0;
	*ret_parent = bytes_of(path.data, before);
	*ret_last = slash ? bytes_of(slash + 1, path.size - before - 1) : path;
}

/* Parent and name of a path to a file, for version_list_path. */
static int resolve_file(Meta *m, struct bytes path, struct place *place) {
	struct bytes above;
	split(path, &above, &place->name);
	struct node parent;
	int rc = tree_resolve_past(m, above, &parent, NULL);
	place->parent = parent.id;
	return rc;
}

/* `path` without its last part is a file, and the last part a number. */
static int resolve_version(Meta *m, struct bytes path, struct place *place) {
	struct bytes file, last;
	split(path, &file, &last);
	struct search search = {0};
	if (file.size == 0 || !parse_ordinal(last, &search.ordinal))
		return -ENOENT;
	int rc = tree_resolve_past(m, file, &place->node, NULL);
	if (rc == 0 && !S_ISREG(place->node.mode))
		rc = -ENOENT;
	if (rc == 0)
		rc = resolve_file(m, file, place);
	if (rc == 0)
		rc = version_list_path(m, place->parent, place->name, match_ordinal, &search);
	if (rc < 0 || !search.has)
		return rc < 0 ? rc : -ENOENT;
	place->kind = VERSION;
	place->version = search.found;
	return 0;
}

static int resolve(Meta *m, const char *path, struct place *place) {
	struct bytes whole = bytes_of_string(path);
	int rc = whole.size ? tree_resolve_past(m, whole, &place->node, NULL) : tree_get(m, NODE_ROOT, &place->node);
	if (rc == -ENOENT || rc == -ENOTDIR)
		return resolve_version(m, whole, place);
	if (rc < 0)
		return rc;
	if (S_ISDIR(place->node.mode)) {
		place->kind = NAMES;
		return 0;
	}
	if (!S_ISREG(place->node.mode))
		return -ENOENT;
	place->kind = FILE_OF_VERSIONS;
	return resolve_file(m, whole, place);
}

/* Who may read the file may list its versions. */
static uint32_t read_to_search(uint32_t mode) {
	uint32_t read = mode & 0444;
	return read | read >> 2;
}

static void show(const struct place *place, struct node *ret) {
	*ret = (struct node){.id = place->node.id,
	        .xattrs = place->node.xattrs,
	        .zone = place->node.zone, /* roles count here as in the zone itself */
	        .uid = place->node.uid,
	        .gid = place->node.gid,
	        .mtime = place->node.mtime,
	        .ctime = place->node.ctime};
	switch (place->kind) {
	case NAMES:
		ret->mode = place->node.mode & ~0222u;
		break;
	case FILE_OF_VERSIONS:
		ret->mode = S_IFDIR | read_to_search(place->node.mode);
		ret->version = VIRTUAL_STANDS_FOR_FILE;
		break;
	case VERSION:
		*ret = (struct node){.id = place->version.node,
		        .xattrs = place->version.mode & VERSION_MODE_ACL ? 1 : 0, /* its ACL speaks for it */
		        .zone = place->node.zone,
		        .mode = S_IFREG | (place->version.mode & (VERSION_MODE_ACL | 0555)),
		        .uid = place->version.uid,
		        .gid = place->version.gid,
		        .size = place->version.size,
		        .mtime = place->version.mtime,
		        .ctime = place->version.sealed_time};
		break;
	}
}

static int stat_versions(struct filesystem *fs, const char *path, struct node *ret) {
	session_settle();
	struct place place;
	meta_begin(fs->meta);
	int rc = meta_end(fs->meta, resolve(fs->meta, path, &place));
	if (rc == 0)
		show(&place, ret);
	return rc;
}

struct names {
	virtual_emit_fn emit;
	void *arg;
	int rc;
};

static int emit_name(void *arg, struct bytes name, uint64_t cookie, const struct node *node) {
	struct names *names = arg;
	(void)cookie;
	if (!S_ISREG(node->mode) && !S_ISDIR(node->mode))
		return 0;
	names->rc = names->emit(names->arg, name, S_IFDIR);
	return names->rc != 0;
}

static int list_place(Meta *m, const char *path, virtual_emit_fn emit, void *arg) {
	struct place place;
	int rc = resolve(m, path, &place);
	if (rc < 0)
		return rc;
	if (place.kind == VERSION)
		return -ENOTDIR;
	struct names names = {.emit = emit, .arg = arg};
	struct search search = {.emit = emit, .emit_arg = arg};
	if (place.kind == NAMES)
		rc = tree_list(m, place.node.id, 0, 0, emit_name, &names, NULL);
	else
		rc = version_list_path(m, place.parent, place.name, emit_ordinal, &search);
	return rc < 0 ? rc : names.rc + search.rc;
}

static int list_versions(struct filesystem *fs, const char *path, virtual_emit_fn emit, void *arg) {
	session_settle();
	meta_begin(fs->meta);
	return meta_end(fs->meta, list_place(fs->meta, path, emit, arg));
}

static int open_version(struct filesystem *fs, const char *path, struct virtual_file *ret) {
	struct place place;
	meta_begin(fs->meta);
	int rc = meta_end(fs->meta, resolve(fs->meta, path, &place));
	if (rc < 0)
		return rc;
	if (place.kind != VERSION)
		return -EISDIR;
	return content_open(fs->store, place.version.node, place.version.id, &ret->content);
}

const struct virtual_provider virtual_versions = {
        .name = "versions", .stat = stat_versions, .list = list_versions, .open = open_version};
