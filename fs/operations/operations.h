/*
 * operations: the answers to the kernel's requests, one function a kind, in the sources of this folder.
 *
 * Each begins with a call (call.h), takes its decisions between call_enter and call_end, and replies once. Requests for
 * the tree .assayfs (virtual_is) go to the operation_virtual_… counterparts at once.
 */
#pragma once

#include <stdbool.h>

#include "fs/fuse.h"

/* The table for session_mount; its userdata is a struct filesystem. */
extern const struct fuse_lowlevel_ops operations;

/* lookup.c */
void operation_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void operation_forget(fuse_req_t req, fuse_ino_t ino, uint64_t lookups);
void operation_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);

/* attributes.c */
void operation_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void operation_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *values, int set, struct fuse_file_info *fi);
void operation_access(fuse_req_t req, fuse_ino_t ino, int mask);
void operation_statfs(fuse_req_t req, fuse_ino_t ino);

/* link.c */
void operation_readlink(fuse_req_t req, fuse_ino_t ino);
void operation_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void operation_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void operation_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void operation_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name);
void operation_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void operation_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);

/* rename.c */
void operation_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent, const char *new_name,
        unsigned flags);

/* directory.c */
void operation_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void operation_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void operation_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void operation_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void operation_fsyncdir(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *fi);

/* open.c */
void operation_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void operation_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi);
void operation_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

/* file.c */
void operation_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void operation_write(
        fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset, struct fuse_file_info *fi);
void operation_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void operation_fsync(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *fi);
void operation_fallocate(
        fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length, struct fuse_file_info *fi);
void operation_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *fi);
void operation_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t offset_in, struct fuse_file_info *fi_in,
        fuse_ino_t ino_out, off_t offset_out, struct fuse_file_info *fi_out, size_t length, int flags);

/* xattr.c */
void operation_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void operation_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags);
void operation_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void operation_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);

/* virtual.c: the same below .assayfs */
void operation_virtual_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void operation_virtual_getattr(fuse_req_t req, fuse_ino_t ino);
void operation_virtual_access(fuse_req_t req, fuse_ino_t ino, int mask);
void operation_virtual_readlink(fuse_req_t req, fuse_ino_t ino);
void operation_virtual_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void operation_virtual_readdir(
        fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, bool plus, struct fuse_file_info *fi);
void operation_virtual_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void operation_virtual_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void operation_virtual_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void operation_virtual_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *fi);
void operation_virtual_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
/* Every change there, of `name` in directory `ino` or (NULL) of what `ino` is: EROFS, with its record. */
void operation_virtual_refuse(fuse_req_t req, fuse_ino_t ino, const char *name, const char *event);
