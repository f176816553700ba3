/* quarantine: ID/content and ID/verdict.json of what did not pass and is held; for the user who mounted. */
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

#define CONTENT_NAME "content"
#define VERDICT_NAME "verdict.json"

struct held {
	struct quarantine_row row;
	char path[TREE_PATH_MAX]; /* the row's */
	uint64_t size;
	char *text; /* the verdict's body, when asked for */
	size_t text_size;
};

static int take_body(void *arg, const struct verdict_row *row) {
	struct held *held = arg;
	held->text = malloc(row->body.size + 1);
	if (!held->text)
		return fault(ENOMEM, "showing a verdict");
	memcpy(held->text, row->body.data, row->body.size);
	held->text[row->body.size] = '\n';
	held->text_size = row->body.size + 1;
	return 0;
}

/* "7/content": row 7 and "content"; "" for the directory. Only what is still held is shown. */
static int find(struct filesystem *fs, const char *path, bool with_body, struct held *held, const char **ret_file) {
	char *end;
	uint64_t id = strtoull(path, &end, 10);
	if (path[0] < '1' || path[0] > '9' || (*end != '\0' && *end != '/'))
		return -ENOENT;
	*ret_file = *end ? end + 1 : "";
	Meta *m = fs->meta;
	struct version version = {0};
	meta_begin(m);
	int rc = quarantine_get(m, id, &held->row, held->path);
	if (rc == 0 && held->row.state != QUARANTINE_HELD)
		rc = -ENOENT;
	if (rc == 0)
		rc = version_get(m, held->row.version, &version);
	held->size = version.size;
	if (rc == 0 && with_body)
		rc = verdict_get(m, held->row.verdict, take_body, held);
	return meta_end(m, rc);
}

static int stat_quarantine(struct filesystem *fs, const char *path, struct node *ret) {
	*ret = (struct node){.mode = S_IFDIR | 0500, .uid = fs->owner_uid, .gid = fs->owner_gid};
	if (path[0] == '\0')
		return 0;
	struct held held = {0};
	const char *file;
	int rc = find(fs, path, false, &held, &file);
	ret->mtime = ret->ctime = held.row.time_ns;
	if (rc < 0 || file[0] == '\0')
		return rc;
	ret->mode = S_IFREG | 0400;
	if (strcmp(file, CONTENT_NAME) == 0)
		ret->size = held.size;
	else if (strcmp(file, VERDICT_NAME) != 0)
		return -ENOENT;
	return 0;
}

struct listing {
	virtual_emit_fn emit;
	void *arg;
	int rc;
};

static int emit_id(void *arg, const struct quarantine_row *row) {
	struct listing *listing = arg;
	char name[24];
	snprintf(name, sizeof name, "%" PRIu64, row->id);
	listing->rc = listing->emit(listing->arg, bytes_of_string(name), S_IFDIR);
	return listing->rc != 0;
}

static int list_quarantine(struct filesystem *fs, const char *path, virtual_emit_fn emit, void *arg) {
	struct listing listing = {.emit = emit, .arg = arg};
	if (path[0] == '\0') {
		meta_begin(fs->meta);
		int rc = meta_end(fs->meta, quarantine_list(fs->meta, 0, true, emit_id, &listing));
		return rc < 0 ? rc : listing.rc;
	}
	struct held held = {0};
	const char *file;
	int rc = find(fs, path, false, &held, &file);
	if (rc == 0 && file[0] != '\0')
		rc = -ENOTDIR;
	if (rc == 0)
		rc = emit(arg, bytes_of_string(CONTENT_NAME), S_IFREG);
	return rc ? rc : emit(arg, bytes_of_string(VERDICT_NAME), S_IFREG);
}

static int open_quarantine(struct filesystem *fs, const char *path, struct virtual_file *ret) {
	struct held held = {0};
	const char *file;
	int rc = find(fs, path, true, &held, &file);
	if (rc == 0 && strcmp(file, VERDICT_NAME) == 0) {
		*ret = (struct virtual_file){.text = held.text, .text_size = held.text_size};
		return 0;
	}
	free(held.text);
	if (rc < 0)
		return rc;
	return strcmp(file, CONTENT_NAME) == 0 ? content_open(fs->store, held.row.node, held.row.version, &ret->content)
	                                       : -EISDIR;
}

const struct virtual_provider virtual_quarantine = {
        .name = "quarantine", .stat = stat_quarantine, .list = list_quarantine, .open = open_quarantine};
