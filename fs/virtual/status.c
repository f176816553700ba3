#include "fs/virtual/providers.h"

#include <errno.h>
#include <sys/stat.h>

#include "fs/filesystem.h"

static int stat_status(struct filesystem *fs, const char *path, struct node *ret) {
	if (path[0] != '\0')
		return -ENOTDIR;
	int64_t now = meta_now(fs->meta);
	*ret = (struct node){
	        .mode = S_IFREG | 0444, .uid = fs->owner_uid, .gid = fs->owner_gid, .mtime = now, .ctime = now};
	return fs->status ? 0 : -ENOENT;
}

static int open_status(struct filesystem *fs, const char *path, struct virtual_file *ret) {
	if (path[0] != '\0')
		return -ENOTDIR;
	return fs->status ? fs->status(fs->status_arg, ret->reader, &ret->text, &ret->text_size) : -ENOENT;
}

const struct virtual_provider virtual_status = {.name = "status.json", .stat = stat_status, .open = open_status};
