#include "backend/vault_io.h"

#include "backend/vault_io_posix.h"
#include "crypto/base/fault.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct VaultIo {
	const struct vault_io_ops *ops;
	void *vault;
	char *path;
};

struct VaultFile {
	VaultIo *io;
	void *file;
	char name[];
};

int vault_io_wrap(const struct vault_io_ops *ops, void *vault, const char *words, VaultIo **ret_io) {
	_cleanup_(freep) VaultIo *io = calloc(1, sizeof *io);
	if (!io)
		return fault(ENOMEM, "no memory to open vault %s", words);
	io->path = strdup(words);
	if (!io->path)
		return fault(ENOMEM, "no memory to open vault %s", words);
	io->ops = ops;
	io->vault = vault;
	*ret_io = steal_pointer(&io);
	return 0;
}

static int wrap_posix(int rc, void *vault, const char *path, VaultIo **ret_io) {
	if (rc < 0)
		return rc;
	rc = vault_io_wrap(&vault_io_posix_ops, vault, path, ret_io);
	if (rc < 0)
		vault_io_posix_ops.close(vault);
	return rc;
}

int vault_io_open(const char *path, VaultIo **ret_io) {
	void *vault = NULL;
	int rc = vault_io_posix_open(path, &vault);
	return wrap_posix(rc, vault, path, ret_io);
}

int vault_io_create(const char *path, VaultIo **ret_io) {
	void *vault = NULL;
	int rc = vault_io_posix_create(path, &vault);
	return wrap_posix(rc, vault, path, ret_io);
}

void vault_io_close(VaultIo *io) {
	if (!io)
		return;
	io->ops->close(io->vault);
	free(io->path);
	free(io);
}

const char *vault_io_path(const VaultIo *io) {
	return io->path;
}

static bool component_is_good(const char *component, size_t length) {
	if (length == 0 || (length == 1 && component[0] == '.'))
		return false;
	return !(length == 2 && component[0] == '.' && component[1] == '.');
}

/* Names come from code and from authenticated metadata, never from users; a bad one is a defect to be told, not obeyed.
 */
static int check_name(const char *name) {
	if (strlen(name) > VAULT_NAME_MAX)
		return fault(
		        ENAMETOOLONG, "name below the vault is longer than %d bytes: %.40s…", VAULT_NAME_MAX, name);
	const char *at = name;
	for (;;) {
		size_t length = strcspn(at, "/");
		if (!component_is_good(at, length))
			return fault(EINVAL, "\"%s\" is no name below a vault", name);
		if (at[length] == '\0')
			return 0;
		at += length + 1;
	}
}

static int check_directory(const char *name) {
	return name[0] == '\0' ? 0 : check_name(name);
}

void vault_io_directory_of(const char *name, char ret_directory[static VAULT_NAME_MAX + 1]) {
	const char *slash = strrchr(name, '/');
	size_t length = slash ? (size_t)(slash - name) : 0;
	if (length > VAULT_NAME_MAX)
		length = VAULT_NAME_MAX;
	memcpy(ret_directory, name, length);
	ret_directory[length] = '\0';
}

int vault_io_lock(VaultIo *io) {
	return io->ops->lock(io->vault);
}

int vault_io_mkdir(VaultIo *io, const char *name) {
	int rc = check_name(name);
	if (rc < 0)
		return rc;
	char part[VAULT_NAME_MAX + 1];
	for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
		size_t length = (size_t)(slash - name);
		memcpy(part, name, length);
		part[length] = '\0';
		rc = io->ops->mkdir(io->vault, part);
		if (rc < 0 && rc != -EEXIST)
			return rc;
	}
	rc = io->ops->mkdir(io->vault, name);
	if (rc == 0 || rc == -EEXIST)
		fault_clear(); /* nobody is to take "exists" for the words of what fails next */
	return rc == -EEXIST ? 0 : rc;
}

int vault_io_rmdir(VaultIo *io, const char *name) {
	int rc = check_name(name);
	return rc < 0 ? rc : io->ops->rmdir(io->vault, name);
}

int vault_io_rename(VaultIo *io, const char *from, const char *to) {
	int rc = check_name(from);
	if (rc == 0)
		rc = check_name(to);
	return rc < 0 ? rc : io->ops->rename(io->vault, from, to);
}

int vault_io_unlink(VaultIo *io, const char *name) {
	int rc = check_name(name);
	return rc < 0 ? rc : io->ops->unlink(io->vault, name);
}

int vault_io_sync_dir(VaultIo *io, const char *name) {
	int rc = check_directory(name);
	return rc < 0 ? rc : io->ops->sync_dir(io->vault, name);
}

int vault_io_list(VaultIo *io, const char *name, vault_io_entry_fn *entry, void *user) {
	int rc = check_directory(name);
	return rc < 0 ? rc : io->ops->list(io->vault, name, entry, user);
}

int vault_io_stat_size(VaultIo *io, const char *name, uint64_t *ret_size) {
	int rc = check_name(name);
	return rc < 0 ? rc : io->ops->stat_size(io->vault, name, ret_size);
}

int vault_io_free_space(VaultIo *io, uint64_t *ret_bytes) {
	return io->ops->free_space(io->vault, ret_bytes);
}

bool vault_io_has_plenty(VaultIo *io) {
	uint64_t bytes = 0;
	return vault_io_free_space(io, &bytes) == 0 && bytes >= VAULT_IO_PLENTY;
}

int vault_file_open(VaultIo *io, const char *name, unsigned flags, VaultFile **ret_file) {
	int rc = check_name(name);
	if (rc < 0)
		return rc;
	size_t name_bytes = strlen(name) + 1;
	_cleanup_(freep) VaultFile *file = calloc(1, sizeof *file + name_bytes);
	if (!file)
		return fault(ENOMEM, "no memory to open %s", name);
	memcpy(file->name, name, name_bytes);
	file->io = io;
	rc = io->ops->open(io->vault, name, flags, &file->file);
	if (rc < 0)
		return rc;
	*ret_file = steal_pointer(&file);
	return 0;
}

void vault_file_close(VaultFile *file) {
	if (!file)
		return;
	file->io->ops->file_close(file->file);
	free(file);
}

const char *vault_file_name(const VaultFile *file) {
	return file->name;
}

int vault_file_read_at(VaultFile *file, uint64_t offset, uint8_t *ret_data, size_t size, size_t *ret_read) {
	return file->io->ops->read_at(file->file, offset, ret_data, size, ret_read);
}

int vault_file_read_exactly(VaultFile *file, uint64_t offset, uint8_t *ret_data, size_t size) {
	size_t got = 0;
	int rc = vault_file_read_at(file, offset, ret_data, size, &got);
	if (rc < 0)
		return rc;
	if (got < size)
		return fault(EBADMSG, "%s ends at byte %" PRIu64 ", where %zu more were expected", file->name,
		        offset + got, size - got);
	return 0;
}

void vault_file_expect(VaultFile *file, uint64_t offset, size_t size) {
	if (file->io->ops->expect)
		file->io->ops->expect(file->file, offset, size);
}

int vault_file_write_at(VaultFile *file, uint64_t offset, struct bytes data) {
	return data.size == 0 ? 0 : file->io->ops->write_at(file->file, offset, data);
}

int vault_file_truncate(VaultFile *file, uint64_t size) {
	return file->io->ops->truncate(file->file, size);
}

int vault_file_allocate(VaultFile *file, uint64_t offset, uint64_t size) {
	return size == 0 ? 0 : file->io->ops->allocate(file->file, offset, size);
}

int vault_file_sync(VaultFile *file) {
	return file->io->ops->sync(file->file);
}

int vault_file_size(VaultFile *file, uint64_t *ret_size) {
	return file->io->ops->size(file->file, ret_size);
}

static int write_and_sync(VaultIo *io, const char *name, struct bytes data) {
	_cleanup_(vault_file_closep) VaultFile *file = NULL;
	int rc = vault_file_open(io, name, VAULT_FILE_WRITE | VAULT_FILE_CREATE, &file);
	if (rc == 0)
		rc = vault_file_truncate(file, 0);
	if (rc == 0)
		rc = vault_file_write_at(file, 0, data);
	if (rc == 0)
		rc = vault_file_sync(file);
	return rc;
}

int vault_io_replace(VaultIo *io, const char *name, struct bytes data) {
	char temporary[VAULT_NAME_MAX + 8];
	char directory[VAULT_NAME_MAX + 1];
	if (strlen(name) + 4 > VAULT_NAME_MAX)
		return fault(ENAMETOOLONG, "name below the vault is too long to be replaced: %.40s…", name);
	(void)snprintf(temporary, sizeof temporary, "%s.tmp", name);
	vault_io_directory_of(name, directory);
	int rc = write_and_sync(io, temporary, data);
	if (rc == 0)
		rc = vault_io_rename(io, temporary, name);
	if (rc < 0) {
		/* The words of the first failure are the ones to keep. */
		rc = fault_while(rc, "writing %s", name);
		char words[FAULT_MESSAGE_BYTES];
		memcpy(words, fault_message(), strlen(fault_message()) + 1);
		(void)vault_io_unlink(io, temporary);
		return fault(-rc, "%s", words);
	}
	return fault_while(vault_io_sync_dir(io, directory), "writing %s", name);
}

int vault_io_read_all(VaultIo *io, const char *name, size_t limit, uint8_t **ret_data, size_t *ret_size) {
	_cleanup_(vault_file_closep) VaultFile *file = NULL;
	int rc = vault_file_open(io, name, VAULT_FILE_READ, &file);
	if (rc < 0)
		return rc;
	uint64_t size = 0;
	rc = vault_file_size(file, &size);
	if (rc < 0)
		return rc;
	if (size > limit)
		return fault(EFBIG, "%s has %" PRIu64 " bytes, more than the %zu it may have", name, size, limit);
	_cleanup_(freep) uint8_t *data = calloc(1, (size_t)size + 1);
	if (!data)
		return fault(ENOMEM, "no memory to read %s", name);
	size_t got = 0;
	rc = vault_file_read_at(file, 0, data, (size_t)size, &got);
	if (rc < 0)
		return rc;
	*ret_data = steal_pointer(&data);
	*ret_size = got;
	return 0;
}
