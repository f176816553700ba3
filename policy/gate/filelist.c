/* filelist: what stands in the vault at the paths that rules about files name. */
#include "policy/gate/internal.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct telling {
	Store *store;
	FileTellings *tellings;
};

static int64_t seconds_of(int64_t ns) {
	return ns / 1000000000 - (ns % 1000000000 < 0);
}

static int tell_file(void *arg, const char *path, const struct node *node) {
	struct telling *t = arg;
	Meta *m = store_meta(t->store);
	struct version version = {0};
	if (node->version == 0)
		return 0;
	meta_begin(m);
	int rc = meta_end(m, version_get(m, node->version, &version));
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	struct dqdl_file file = {.path = path,
	        .size = version.size,
	        .mtime = seconds_of(version.mtime),
	        .has_sha256 = version.has_sha256};
	memcpy(file.sha256, version.sha256, sizeof file.sha256);
	return file_tellings_add(t->tellings, &file);
}

/* A file, all files below a directory, or nothing; a path that lies in no zone leads to nothing. */
static int tell_path(void *arg, const char *path) {
	struct telling *t = arg;
	Meta *m = store_meta(t->store);
	char clean[TREE_PATH_MAX];
	struct node node;
	size_t size = strlen(path);
	int rc = file_tellings_path(t->tellings, path);
	while (size > 0 && path[size - 1] == '/')
		size--;
	path += strspn(path, "/");
	if (rc < 0 || size == 0 || size >= sizeof clean)
		return rc;
	(void)snprintf(clean, sizeof clean, "%.*s", (int)size, path);
	meta_begin(m);
	rc = meta_end(m, tree_resolve(m, bytes_of_string(clean), &node));
	if (rc < 0 || node.zone == ZONE_NONE)
		return rc == -ENOENT || rc == -ENOTDIR || rc == -ENAMETOOLONG || rc == -EINVAL || rc >= 0 ? 0 : rc;
	if (S_ISDIR(node.mode))
		return gate_walk(t->store, node.id, clean, tell_file, t);
	return S_ISREG(node.mode) ? tell_file(t, clean, &node) : 0;
}

int gate_tell_files(Gate *gate, struct bytes rules, FileTellings **ret_tellings) {
	_cleanup_(ruleset_freep) Ruleset *ruleset = NULL;
	_cleanup_(file_tellings_freep) FileTellings *tellings = NULL;
	int rc = dqdl_parse(rules, &ruleset, NULL);
	if (rc < 0) /* the check says so, with the line */
		return rc == -ENOMEM ? rc : 0;
	rc = file_tellings_new(&tellings);
	struct telling telling = {.store = gate->store, .tellings = tellings};
	if (rc == 0)
		rc = dqdl_file_paths(ruleset, tell_path, &telling);
	if (rc < 0)
		return fault_while(rc, "listing the files that the rules name");
	*ret_tellings = steal_pointer(&tellings);
	return 0;
}
