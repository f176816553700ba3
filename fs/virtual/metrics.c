#include "fs/virtual/providers.h"

#include <errno.h>
#include <sys/stat.h>

#include "fs/filesystem.h"

static int stat_metrics(struct filesystem *fs, const char *path, struct node *ret) {
	if (path[0] != '\0')
		return -ENOTDIR;
	int64_t now = meta_now(fs->meta);
	*ret = (struct node){
	        .mode = S_IFREG | 0444, .uid = fs->owner_uid, .gid = fs->owner_gid, .mtime = now, .ctime = now};
	return fs->metrics ? 0 : -ENOENT;
}

static int open_metrics(struct filesystem *fs, const char *path, struct virtual_file *ret) {
	if (path[0] != '\0')
		return -ENOTDIR;
	return fs->metrics ? metrics_text(fs->metrics, EXPOSITION_PROMETHEUS, &ret->text, &ret->text_size) : -ENOENT;
}

const struct virtual_provider virtual_metrics = {.name = "metrics", .stat = stat_metrics, .open = open_metrics};
