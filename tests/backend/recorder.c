#include "tests/backend/recorder_internal.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rec_vault {
	Recorder *recorder;
	VaultIo *inner;
};

struct rec_file {
	Recorder *recorder;
	VaultFile *inner;
	size_t number;
};

static void lock(Recorder *recorder) {
	(void)pthread_mutex_lock(&recorder->mutex);
}

static int unlock(Recorder *recorder, int rc) {
	(void)pthread_mutex_unlock(&recorder->mutex);
	return rc;
}

/* Mutex held. */
static struct op *add(Recorder *recorder, enum op_kind kind) {
	if (recorder->op_count == recorder->op_capacity) {
		recorder->op_capacity = recorder->op_capacity ? recorder->op_capacity * 2 : 256;
		recorder->ops = reallocarray(recorder->ops, recorder->op_capacity, sizeof *recorder->ops);
		if (!recorder->ops)
			abort();
	}
	struct op *op = &recorder->ops[recorder->op_count++];
	*op = (struct op){.kind = kind};
	return op;
}

static char *copy_text(const char *text) {
	char *copy = strdup(text);
	if (!copy)
		abort();
	return copy;
}

/* Whether this changing call fails by order of the test. Mutex held. */
static int ordered_failure(Recorder *recorder, const char *what) {
	if (recorder->fail_errnum == 0)
		return 0;
	if (recorder->fail_after > 1) {
		recorder->fail_after--;
		return 0;
	}
	return fault_errno(recorder->fail_errnum, "%s (ordered by the test)", what);
}

static uint64_t used(const Recorder *recorder) {
	uint64_t bytes = 0;
	for (size_t i = 0; i < recorder->now.name_count; i++)
		if (recorder->now.names[i].file != IMAGE_DIRECTORY)
			bytes += recorder->now.files[recorder->now.names[i].file].size;
	return bytes;
}

/* Whether the file may reach to `end`. Mutex held. */
static int fits(Recorder *recorder, size_t number, uint64_t end) {
	uint64_t size = recorder->now.files[number].size;
	if (recorder->capacity == UINT64_MAX || end <= size || used(recorder) + (end - size) <= recorder->capacity)
		return 0;
	return fault_errno(ENOSPC, "writing to the test's small disk");
}

/* Only sizes are kept of the present state. */
static void note_size(Recorder *recorder, size_t number, uint64_t size) {
	recorder->now.files[number].size = (size_t)size;
}

static void rec_close(void *opaque) {
	struct rec_vault *vault = opaque;
	vault_io_close(vault->inner);
	free(vault);
}

static int rec_lock(void *opaque) {
	struct rec_vault *vault = opaque;
	return vault_io_lock(vault->inner);
}

static int rec_mkdir(void *opaque, const char *name) {
	struct rec_vault *vault = opaque;
	Recorder *recorder = vault->recorder;
	lock(recorder);
	if (image_find(&recorder->now, name))
		return unlock(recorder, -EEXIST);
	int rc = ordered_failure(recorder, "making a directory");
	if (rc == 0)
		rc = vault_io_mkdir(vault->inner, name);
	if (rc == 0) {
		add(recorder, OP_MKDIR)->name = copy_text(name);
		image_set(&recorder->now, name, IMAGE_DIRECTORY);
	}
	return unlock(recorder, rc);
}

static int rec_remove(struct rec_vault *vault, const char *name, enum op_kind kind) {
	Recorder *recorder = vault->recorder;
	lock(recorder);
	int rc = ordered_failure(recorder, "removing a name");
	if (rc == 0)
		rc = kind == OP_UNLINK ? vault_io_unlink(vault->inner, name) : vault_io_rmdir(vault->inner, name);
	if (rc == 0) {
		add(recorder, kind)->name = copy_text(name);
		image_remove(&recorder->now, name);
	}
	return unlock(recorder, rc);
}

static int rec_rmdir(void *opaque, const char *name) {
	return rec_remove(opaque, name, OP_RMDIR);
}

static int rec_unlink(void *opaque, const char *name) {
	return rec_remove(opaque, name, OP_UNLINK);
}

static int rec_rename(void *opaque, const char *from, const char *to) {
	struct rec_vault *vault = opaque;
	Recorder *recorder = vault->recorder;
	lock(recorder);
	int rc = ordered_failure(recorder, "renaming");
	if (rc == 0)
		rc = vault_io_rename(vault->inner, from, to);
	if (rc == 0) {
		struct op *op = add(recorder, OP_RENAME);
		op->name = copy_text(from);
		op->to = copy_text(to);
		image_rename(&recorder->now, from, to);
	}
	return unlock(recorder, rc);
}

static int rec_sync_dir(void *opaque, const char *name) {
	struct rec_vault *vault = opaque;
	Recorder *recorder = vault->recorder;
	lock(recorder);
	size_t covers = recorder->op_count;
	int rc = unlock(recorder, ordered_failure(recorder, "syncing a directory"));
	/* No need to sync the real directory: what is judged is the replay. */
	if (rc < 0)
		return rc;
	lock(recorder);
	struct op *op = add(recorder, OP_SYNC_DIR);
	op->name = copy_text(name);
	op->covers = covers;
	return unlock(recorder, 0);
}

static int rec_list(void *opaque, const char *name, vault_io_entry_fn *entry, void *user) {
	struct rec_vault *vault = opaque;
	return vault_io_list(vault->inner, name, entry, user);
}

static int rec_stat_size(void *opaque, const char *name, uint64_t *ret_size) {
	struct rec_vault *vault = opaque;
	return vault_io_stat_size(vault->inner, name, ret_size);
}

static int rec_free_space(void *opaque, uint64_t *ret_bytes) {
	struct rec_vault *vault = opaque;
	Recorder *recorder = vault->recorder;
	lock(recorder);
	uint64_t taken = used(recorder);
	uint64_t capacity = recorder->capacity;
	(void)unlock(recorder, 0);
	if (capacity == UINT64_MAX)
		return vault_io_free_space(vault->inner, ret_bytes);
	*ret_bytes = taken < capacity ? capacity - taken : 0;
	return 0;
}

/* Mutex held. */
static int open_or_create(struct rec_vault *vault, const char *name, unsigned flags, struct rec_file *file) {
	Recorder *recorder = vault->recorder;
	const struct image_name *there = image_find(&recorder->now, name);
	bool creates = !there && (flags & VAULT_FILE_CREATE);
	int rc = creates ? ordered_failure(recorder, "making a file") : 0;
	if (rc == 0)
		rc = vault_file_open(vault->inner, name, flags, &file->inner);
	if (rc < 0)
		return rc;
	if (!there) {
		file->number = image_new_file(&recorder->now);
		struct op *op = add(recorder, OP_CREATE);
		op->name = copy_text(name);
		op->file = file->number;
		image_set(&recorder->now, name, file->number);
	} else {
		file->number = there->file;
	}
	return 0;
}

static int rec_open(void *opaque, const char *name, unsigned flags, void **ret_file) {
	struct rec_vault *vault = opaque;
	struct rec_file *file = calloc(1, sizeof *file);
	if (!file)
		abort();
	file->recorder = vault->recorder;
	lock(vault->recorder);
	int rc = unlock(vault->recorder, open_or_create(vault, name, flags, file));
	if (rc < 0)
		free(file);
	else
		*ret_file = file;
	return rc;
}

static void rec_file_close(void *opaque) {
	struct rec_file *file = opaque;
	vault_file_close(file->inner);
	free(file);
}

static int rec_read_at(void *opaque, uint64_t offset, uint8_t *ret_data, size_t size, size_t *ret_read) {
	struct rec_file *file = opaque;
	return vault_file_read_at(file->inner, offset, ret_data, size, ret_read);
}

static int rec_write_at(void *opaque, uint64_t offset, struct bytes data) {
	struct rec_file *file = opaque;
	Recorder *recorder = file->recorder;
	lock(recorder);
	int rc = ordered_failure(recorder, "writing");
	if (rc == 0)
		rc = fits(recorder, file->number, offset + data.size);
	if (rc == 0)
		rc = vault_file_write_at(file->inner, offset, data);
	if (rc == 0) {
		struct op *op = add(recorder, OP_WRITE);
		op->file = file->number;
		op->offset = offset;
		op->size = data.size;
		op->data = malloc(data.size);
		if (!op->data)
			abort();
		memcpy(op->data, data.data, data.size);
		if (offset + data.size > recorder->now.files[file->number].size)
			note_size(recorder, file->number, offset + data.size);
	}
	return unlock(recorder, rc);
}

static int rec_truncate(void *opaque, uint64_t size) {
	struct rec_file *file = opaque;
	Recorder *recorder = file->recorder;
	lock(recorder);
	int rc = ordered_failure(recorder, "setting a size");
	if (rc == 0)
		rc = fits(recorder, file->number, size);
	if (rc == 0)
		rc = vault_file_truncate(file->inner, size);
	if (rc == 0) {
		struct op *op = add(recorder, OP_TRUNCATE);
		op->file = file->number;
		op->size = size;
		note_size(recorder, file->number, size);
	}
	return unlock(recorder, rc);
}

static int rec_allocate(void *opaque, uint64_t offset, uint64_t size) {
	struct rec_file *file = opaque;
	Recorder *recorder = file->recorder;
	lock(recorder);
	int rc = ordered_failure(recorder, "reserving room");
	if (rc == 0)
		rc = fits(recorder, file->number, offset + size);
	if (rc == 0)
		rc = vault_file_allocate(file->inner, offset, size);
	if (rc == 0) {
		struct op *op = add(recorder, OP_ALLOCATE);
		op->file = file->number;
		op->offset = offset;
		op->size = size;
		if (offset + size > recorder->now.files[file->number].size)
			note_size(recorder, file->number, offset + size);
	}
	return unlock(recorder, rc);
}

static int rec_sync(void *opaque) {
	struct rec_file *file = opaque;
	Recorder *recorder = file->recorder;
	lock(recorder);
	size_t covers = recorder->op_count;
	int rc = unlock(recorder, ordered_failure(recorder, "syncing"));
	if (rc < 0)
		return rc;
	lock(recorder);
	struct op *op = add(recorder, OP_SYNC);
	op->file = file->number;
	op->covers = covers;
	return unlock(recorder, 0);
}

static int rec_size(void *opaque, uint64_t *ret_size) {
	struct rec_file *file = opaque;
	return vault_file_size(file->inner, ret_size);
}

static const struct vault_io_ops recorder_ops = {
        .close = rec_close,
        .lock = rec_lock,
        .mkdir = rec_mkdir,
        .rmdir = rec_rmdir,
        .rename = rec_rename,
        .unlink = rec_unlink,
        .sync_dir = rec_sync_dir,
        .list = rec_list,
        .stat_size = rec_stat_size,
        .free_space = rec_free_space,
        .open = rec_open,
        .file_close = rec_file_close,
        .read_at = rec_read_at,
        .write_at = rec_write_at,
        .truncate = rec_truncate,
        .allocate = rec_allocate,
        .sync = rec_sync,
        .size = rec_size,
};

int recorder_io(Recorder *recorder, VaultIo **ret_io) {
	struct rec_vault *vault = calloc(1, sizeof *vault);
	if (!vault)
		abort();
	vault->recorder = recorder;
	int rc = vault_io_open(recorder->path, &vault->inner);
	if (rc == 0)
		rc = vault_io_wrap(&recorder_ops, vault, recorder->path, ret_io);
	if (rc < 0) {
		vault_io_close(vault->inner);
		free(vault);
	}
	return rc;
}

struct load {
	Recorder *recorder;
	VaultIo *io;
	const char *directory;
	int rc;
};

static int load_tree(Recorder *recorder, VaultIo *io, const char *directory);

static int load_entry(void *user, const char *name, bool is_directory) {
	struct load *load = user;
	char path[512];
	(void)snprintf(path, sizeof path, "%s%s%s", load->directory, load->directory[0] ? "/" : "", name);
	struct image *base = &load->recorder->base;
	if (is_directory) {
		image_set(base, path, IMAGE_DIRECTORY);
		return load_tree(load->recorder, load->io, path);
	}
	uint8_t *data = NULL;
	size_t size = 0;
	int rc = vault_io_read_all(load->io, path, SIZE_MAX / 2, &data, &size);
	if (rc < 0)
		return rc;
	size_t number = image_new_file(base);
	image_write(base, number, 0, bytes_of(data, size));
	image_set(base, path, number);
	free(data);
	return 0;
}

static int load_tree(Recorder *recorder, VaultIo *io, const char *directory) {
	struct load load = {.recorder = recorder, .io = io, .directory = directory};
	return vault_io_list(io, directory, load_entry, &load);
}

int recorder_open(const char *path, Recorder **ret_recorder) {
	_cleanup_(recorder_closep) Recorder *recorder = calloc(1, sizeof *recorder);
	if (!recorder)
		abort();
	(void)pthread_mutex_init(&recorder->mutex, NULL);
	recorder->path = copy_text(path);
	recorder->capacity = UINT64_MAX;
	_cleanup_(vault_io_closep) VaultIo *io = NULL;
	int rc = vault_io_open(path, &io);
	if (rc == 0)
		rc = load_tree(recorder, io, "");
	if (rc < 0)
		return rc;
	image_copy(&recorder->base, &recorder->now);
	for (size_t i = 0; i < recorder->now.file_count; i++) {
		free(recorder->now.files[i].data);
		recorder->now.files[i].data = NULL;
		recorder->now.files[i].capacity = 0;
	}
	*ret_recorder = steal_pointer(&recorder);
	return 0;
}

void recorder_close(Recorder *recorder) {
	if (!recorder)
		return;
	for (size_t i = 0; i < recorder->op_count; i++) {
		free(recorder->ops[i].name);
		free(recorder->ops[i].to);
		free(recorder->ops[i].data);
	}
	free(recorder->ops);
	if (recorder->state_directory[0])
		replay_remove(recorder->state_directory);
	image_free(&recorder->base);
	image_free(&recorder->now);
	(void)pthread_mutex_destroy(&recorder->mutex);
	free(recorder->path);
	free(recorder);
}

void recorder_mark(Recorder *recorder, uint64_t n) {
	lock(recorder);
	add(recorder, OP_MARK)->mark = n;
	(void)unlock(recorder, 0);
}

size_t recorder_count(Recorder *recorder) {
	lock(recorder);
	size_t count = 0;
	for (size_t i = 0; i < recorder->op_count; i++)
		count += recorder->ops[i].kind != OP_MARK;
	(void)unlock(recorder, 0);
	return count;
}

void recorder_fail_after(Recorder *recorder, size_t countdown, int errnum) {
	lock(recorder);
	recorder->fail_after = countdown;
	recorder->fail_errnum = countdown ? errnum : 0;
	(void)unlock(recorder, 0);
}

void recorder_set_capacity(Recorder *recorder, uint64_t bytes) {
	lock(recorder);
	recorder->capacity = bytes;
	(void)unlock(recorder, 0);
}

uint64_t recorder_used(Recorder *recorder) {
	lock(recorder);
	uint64_t bytes = used(recorder);
	(void)unlock(recorder, 0);
	return bytes;
}
