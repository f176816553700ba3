#include "tests/backend/memory_io.h"

#include "crypto/base/fault.h"

#include <stdlib.h>
#include <string.h>

struct memory_vault {
	const struct memory_file *files;
	size_t count;
};

static const struct memory_file *find(const struct memory_vault *vault, const char *name) {
	for (size_t i = 0; i < vault->count; i++)
		if (strcmp(vault->files[i].name, name) == 0)
			return &vault->files[i];
	return NULL;
}

static void memory_close(void *vault) {
	free(vault);
}

static int memory_list(void *opaque, const char *name, vault_io_entry_fn *entry, void *user) {
	struct memory_vault *vault = opaque;
	size_t length = strlen(name);
	for (size_t i = 0; i < vault->count; i++) {
		const char *path = vault->files[i].name;
		if (strncmp(path, name, length) != 0 || path[length] != '/')
			continue;
		int rc = entry(user, path + length + 1, false);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int memory_open(void *opaque, const char *name, unsigned flags, void **ret_file) {
	struct memory_vault *vault = opaque;
	const struct memory_file *file = find(vault, name);
	if (!file)
		return fault(ENOENT, "no %s", name);
	if (flags & VAULT_FILE_WRITE)
		return fault(EROFS, "%s is in memory", name);
	const void **handle = malloc(sizeof *handle);
	if (!handle)
		abort();
	*handle = file;
	*ret_file = handle;
	return 0;
}

static void memory_file_close(void *handle) {
	free(handle);
}

static const struct memory_file *file_of(void *handle) {
	return *(const struct memory_file **)handle;
}

static int memory_read_at(void *handle, uint64_t offset, uint8_t *ret_data, size_t size, size_t *ret_read) {
	struct bytes content = file_of(handle)->content;
	size_t there = offset < content.size ? content.size - (size_t)offset : 0;
	*ret_read = there < size ? there : size;
	if (*ret_read)
		memcpy(ret_data, content.data + offset, *ret_read);
	return 0;
}

static int memory_size(void *handle, uint64_t *ret_size) {
	*ret_size = file_of(handle)->content.size;
	return 0;
}

static const struct vault_io_ops memory_ops = {
        .close = memory_close,
        .list = memory_list,
        .open = memory_open,
        .file_close = memory_file_close,
        .read_at = memory_read_at,
        .size = memory_size,
};

int memory_io_open(const struct memory_file *files, size_t count, VaultIo **ret_io) {
	struct memory_vault *vault = malloc(sizeof *vault);
	if (!vault)
		abort();
	*vault = (struct memory_vault){.files = files, .count = count};
	int rc = vault_io_wrap(&memory_ops, vault, "memory", ret_io);
	if (rc < 0)
		free(vault);
	return rc;
}
