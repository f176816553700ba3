#include "tests/backend/faulty_io.h"

#include "crypto/base/fault.h"

#include <stdlib.h>

struct faulty {
	VaultIo *inner;
	faulty_fn *fail;
	void *arg;
};

struct faulty_file {
	struct faulty *faulty;
	VaultFile *inner;
};

static int ask(
        struct faulty *f, enum faulty_call call, const char *name, uint64_t offset, size_t size, size_t *written) {
	*written = 0;
	int rc = f->fail ? f->fail(f->arg, call, name, offset, size, written) : 0;
	return rc < 0 ? fault(-rc, "%s: a failure made by the test", name) : 0;
}

static void f_close(void *vault) {
	struct faulty *f = vault;
	vault_io_close(f->inner);
	free(f);
}

static int f_lock(void *vault) {
	return vault_io_lock(((struct faulty *)vault)->inner);
}

static int f_mkdir(void *vault, const char *name) {
	return vault_io_mkdir(((struct faulty *)vault)->inner, name);
}

static int f_rmdir(void *vault, const char *name) {
	return vault_io_rmdir(((struct faulty *)vault)->inner, name);
}

static int f_rename(void *vault, const char *from, const char *to) {
	return vault_io_rename(((struct faulty *)vault)->inner, from, to);
}

static int f_unlink(void *vault, const char *name) {
	struct faulty *f = vault;
	size_t written;
	int rc = ask(f, FAULTY_UNLINK, name, 0, 0, &written);
	return rc < 0 ? rc : vault_io_unlink(f->inner, name);
}

static int f_sync_dir(void *vault, const char *name) {
	struct faulty *f = vault;
	size_t written;
	int rc = ask(f, FAULTY_SYNC_DIR, name, 0, 0, &written);
	return rc < 0 ? rc : vault_io_sync_dir(f->inner, name);
}

static int f_list(void *vault, const char *name, vault_io_entry_fn *entry, void *user) {
	return vault_io_list(((struct faulty *)vault)->inner, name, entry, user);
}

static int f_stat_size(void *vault, const char *name, uint64_t *ret_size) {
	return vault_io_stat_size(((struct faulty *)vault)->inner, name, ret_size);
}

static int f_free_space(void *vault, uint64_t *ret_bytes) {
	struct faulty *f = vault;
	int rc = vault_io_free_space(f->inner, ret_bytes);
	size_t told = *ret_bytes;
	if (rc == 0 && f->fail)
		(void)f->fail(f->arg, FAULTY_FREE, "", 0, 0, &told);
	*ret_bytes = told;
	return rc;
}

static int f_open(void *vault, const char *name, unsigned flags, void **ret_file) {
	struct faulty *f = vault;
	size_t written;
	int rc = ask(f, FAULTY_OPEN, name, 0, flags, &written);
	if (rc < 0)
		return rc;
	struct faulty_file *file = calloc(1, sizeof *file);
	if (!file)
		return fault(ENOMEM, "no memory");
	file->faulty = f;
	rc = vault_file_open(f->inner, name, flags, &file->inner);
	if (rc < 0)
		free(file);
	else
		*ret_file = file;
	return rc;
}

static void f_file_close(void *opaque) {
	struct faulty_file *file = opaque;
	vault_file_close(file->inner);
	free(file);
}

static int f_read_at(void *opaque, uint64_t offset, uint8_t *ret_data, size_t size, size_t *ret_read) {
	return vault_file_read_at(((struct faulty_file *)opaque)->inner, offset, ret_data, size, ret_read);
}

static int f_write_at(void *opaque, uint64_t offset, struct bytes data) {
	struct faulty_file *file = opaque;
	size_t written;
	int rc = ask(file->faulty, FAULTY_WRITE, vault_file_name(file->inner), offset, data.size, &written);
	if (rc < 0) {
		if (written > 0)
			(void)vault_file_write_at(file->inner, offset, bytes_of(data.data, written));
		return rc;
	}
	return vault_file_write_at(file->inner, offset, data);
}

static int f_truncate(void *opaque, uint64_t size) {
	struct faulty_file *file = opaque;
	size_t written;
	int rc = ask(file->faulty, FAULTY_TRUNCATE, vault_file_name(file->inner), size, 0, &written);
	return rc < 0 ? rc : vault_file_truncate(file->inner, size);
}

static int f_allocate(void *opaque, uint64_t offset, uint64_t size) {
	struct faulty_file *file = opaque;
	size_t written;
	int rc = ask(file->faulty, FAULTY_WRITE, vault_file_name(file->inner), offset, size, &written);
	return rc < 0 ? rc : vault_file_allocate(file->inner, offset, size);
}

static int f_sync(void *opaque) {
	struct faulty_file *file = opaque;
	size_t written;
	int rc = ask(file->faulty, FAULTY_SYNC, vault_file_name(file->inner), 0, 0, &written);
	return rc < 0 ? rc : vault_file_sync(file->inner);
}

static int f_size(void *opaque, uint64_t *ret_size) {
	return vault_file_size(((struct faulty_file *)opaque)->inner, ret_size);
}

static void f_expect(void *opaque, uint64_t offset, size_t size) {
	struct faulty_file *file = opaque;
	size_t written = 0;
	if (file->faulty->fail)
		(void)file->faulty->fail(
		        file->faulty->arg, FAULTY_EXPECT, vault_file_name(file->inner), offset, size, &written);
	vault_file_expect(file->inner, offset, size);
}

static const struct vault_io_ops faulty_ops = {
        .close = f_close,
        .lock = f_lock,
        .mkdir = f_mkdir,
        .rmdir = f_rmdir,
        .rename = f_rename,
        .unlink = f_unlink,
        .sync_dir = f_sync_dir,
        .list = f_list,
        .stat_size = f_stat_size,
        .free_space = f_free_space,
        .open = f_open,
        .file_close = f_file_close,
        .read_at = f_read_at,
        .write_at = f_write_at,
        .truncate = f_truncate,
        .allocate = f_allocate,
        .sync = f_sync,
        .size = f_size,
        .expect = f_expect,
};

int faulty_io_open(const char *path, faulty_fn *fail, void *arg, VaultIo **ret_io) {
	struct faulty *f = calloc(1, sizeof *f);
	if (!f)
		return fault(ENOMEM, "no memory");
	f->fail = fail;
	f->arg = arg;
	int rc = vault_io_open(path, &f->inner);
	if (rc == 0)
		rc = vault_io_wrap(&faulty_ops, f, path, ret_io);
	if (rc < 0) {
		vault_io_close(f->inner);
		free(f);
	}
	return rc;
}
