/*
 * mountinfo: what the kernel says about mounts of assayfs (/proc/self/mountinfo, proc(5)).
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#define MOUNTINFO_PATH_MAX 4096
/* What a mount of assayfs has as its type there. */
#define MOUNTINFO_SUBTYPE "assayfs"
#define MOUNTINFO_TYPE "fuse." MOUNTINFO_SUBTYPE

struct mountinfo {
	char mountpoint[MOUNTINFO_PATH_MAX];
	char type[64];
	char source[MOUNTINFO_PATH_MAX];
	uid_t user; /* user_id= of a FUSE mount: who serves it */
	unsigned major, minor;
};

/* The mount with the longest mountpoint that is `path` (absolute, without links) or above it, in the table's text; the
 * last line of equals, which lies on top. -ENOENT: none. Lines that are malformed are passed over. */
int mountinfo_find_in(const char *table, const char *path, struct mountinfo *ret_mount);

/* The same with the kernel's present table. */
int mountinfo_find(const char *path, struct mountinfo *ret_mount);
