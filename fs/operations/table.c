#include "fs/operations/operations.h"

#include "fs/session.h"

static void operation_init(void *userdata, struct fuse_conn_info *connection) {
	(void)userdata;
	session_negotiate(connection);
}

const struct fuse_lowlevel_ops operations = {
        .init = operation_init,
        .lookup = operation_lookup,
        .forget = operation_forget,
        .forget_multi = operation_forget_multi,
        .getattr = operation_getattr,
        .setattr = operation_setattr,
        .access = operation_access,
        .statfs = operation_statfs,
        .readlink = operation_readlink,
        .mknod = operation_mknod,
        .mkdir = operation_mkdir,
        .symlink = operation_symlink,
        .link = operation_link,
        .unlink = operation_unlink,
        .rmdir = operation_rmdir,
        .rename = operation_rename,
        .opendir = operation_opendir,
        .readdir = operation_readdir,
        .readdirplus = operation_readdirplus,
        .releasedir = operation_releasedir,
        .fsyncdir = operation_fsyncdir,
        .open = operation_open,
        .create = operation_create,
        .release = operation_release,
        .read = operation_read,
        .write = operation_write,
        .flush = operation_flush,
        .fsync = operation_fsync,
        .fallocate = operation_fallocate,
        .lseek = operation_lseek,
        .copy_file_range = operation_copy_file_range,
        .getxattr = operation_getxattr,
        .setxattr = operation_setxattr,
        .listxattr = operation_listxattr,
        .removexattr = operation_removexattr,
};
