#include "backend/backup/one_file.h"

#include "crypto/base/fault.h"

#include <stdlib.h>
#include <string.h>

static void close_vault(void *vault) {
	(void)vault;
}

static int open_one(void *vault, const char *name, unsigned flags, void **ret_file) {
	struct one_file *file = vault;
	if (strcmp(name, file->name) != 0)
		return fault(ENOENT, "no %s", name);
	if (flags & VAULT_FILE_WRITE)
		return fault(EROFS, "%s is only read", name);
	*ret_file = file;
	return 0;
}

static int take_piece(struct one_file *file, uint64_t piece) {
	uint64_t offset = piece * file->piece;
	if (file->at == piece + 1 || !file->fetch)
		return 0;
	file->at = 0;
	size_t size = file->size - offset < file->piece ? (size_t)(file->size - offset) : file->piece;
	int rc = file->fetch(file->arg, offset, file->data, size);
	if (rc < 0) {
		file->rc = file->rc ? file->rc : rc;
		return rc;
	}
	file->at = piece + 1;
	return 0;
}

static int read_one(void *handle, uint64_t offset, uint8_t *ret_data, size_t size, size_t *ret_read) {
	struct one_file *file = handle;
	size_t done = 0;
	while (done < size && offset + done < file->size) {
		uint64_t at = offset + done, piece = at / file->piece;
		int rc = take_piece(file, piece);
		if (rc < 0)
			return rc;
		size_t inside = (size_t)(at % file->piece), there = file->piece - inside;
		there = there < size - done ? there : size - done;
		there = there < file->size - at ? there : (size_t)(file->size - at);
		memcpy(ret_data + done, file->data + inside, there);
		done += there;
	}
	*ret_read = done;
	return 0;
}

static int size_of_one(void *handle, uint64_t *ret_size) {
	*ret_size = ((struct one_file *)handle)->size;
	return 0;
}

int one_file_open(struct one_file *file, VaultIo **ret_io) {
	static const struct vault_io_ops ops = {.close = close_vault,
	        .open = open_one,
	        .file_close = close_vault,
	        .read_at = read_one,
	        .size = size_of_one};
	return vault_io_wrap(&ops, file, "the backup", ret_io);
}
