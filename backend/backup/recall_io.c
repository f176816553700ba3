/* The VaultIo that fetches: what it is asked about segments that are not here, and passes on of all else. */
#include "backend/backup/recall_internal.h"
#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"
#include "crypto/base/utc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct recall_file {
	Recall *recall;
	struct recall_segment *segment; /* NULL: `file` is open */
	unsigned flags;
	pthread_mutex_t opening;
	VaultFile *_Atomic file; /* NULL until something of the segment is wanted */
	char name[];
};

static void file_close(void *opaque) {
	struct recall_file *file = opaque;
	vault_file_close(file->file);
	pthread_mutex_destroy(&file->opening);
	free(file);
}

static int file_open(void *vault, const char *name, unsigned flags, void **ret_file) {
	Recall *recall = vault;
	size_t name_bytes = strlen(name) + 1;
	struct recall_segment *segment = recall_named(recall, name);
	_cleanup_(freep) struct recall_file *file = calloc(1, sizeof *file + name_bytes);
	VaultFile *opened = NULL;
	if (!file)
		return fault(ENOMEM, "no memory to open %s", name);
	memcpy(file->name, name, name_bytes);
	file->recall = recall;
	file->flags = flags;
	if (segment && !(flags & VAULT_FILE_CREATE) && recall_is_missing(recall, segment))
		file->segment = segment;
	int rc = file->segment ? 0 : vault_file_open(recall->io, name, flags, &opened);
	if (rc < 0)
		return rc;
	file->file = opened;
	pthread_mutex_init(&file->opening, NULL);
	*ret_file = steal_pointer(&file);
	return 0;
}

/* Who reads can do nothing about why: it is an error of the disk to him. */
static int file_here(struct recall_file *file, VaultFile **ret) {
	VaultFile *opened = file->file;
	int rc = 0;
	if (!opened) {
		/* Without the lock: who waits for the place is counted there. */
		rc = recall_ensure(file->recall, file->segment, RECALL_READER);
		rc = rc < 0 && rc != -ENOENT ? fault(EIO, "%s", fault_message()) : rc;
		pthread_mutex_lock(&file->opening);
		opened = file->file;
		if (!opened && rc == 0)
			rc = vault_file_open(file->recall->io, file->name, file->flags, &opened);
		if (rc == 0)
			file->file = opened;
		pthread_mutex_unlock(&file->opening);
	}
	if (rc == 0)
		*ret = opened;
	return rc;
}

static int file_read_at(void *opaque, uint64_t offset, uint8_t *ret_data, size_t size, size_t *ret_read) {
	VaultFile *file = NULL;
	int rc = file_here(opaque, &file);
	return rc < 0 ? rc : vault_file_read_at(file, offset, ret_data, size, ret_read);
}

static int file_write_at(void *opaque, uint64_t offset, struct bytes data) {
	VaultFile *file = NULL;
	int rc = file_here(opaque, &file);
	return rc < 0 ? rc : vault_file_write_at(file, offset, data);
}

static int file_truncate(void *opaque, uint64_t size) {
	VaultFile *file = NULL;
	int rc = file_here(opaque, &file);
	return rc < 0 ? rc : vault_file_truncate(file, size);
}

static int file_allocate(void *opaque, uint64_t offset, uint64_t size) {
	VaultFile *file = NULL;
	int rc = file_here(opaque, &file);
	return rc < 0 ? rc : vault_file_allocate(file, offset, size);
}

static int file_sync(void *opaque) {
	struct recall_file *file = opaque;
	return file->file ? vault_file_sync(file->file) : 0;
}

static int file_size(void *opaque, uint64_t *ret_size) {
	struct recall_file *file = opaque;
	if (file->file)
		return vault_file_size(file->file, ret_size);
	*ret_size = file->segment->bytes;
	return 0;
}

static void file_expect(void *opaque, uint64_t offset, size_t size) {
	struct recall_file *file = opaque;
	if (file->file)
		vault_file_expect(file->file, offset, size);
}

static int io_lock(void *vault) {
	return vault_io_lock(((Recall *)vault)->io);
}

static int io_mkdir(void *vault, const char *name) {
	return vault_io_mkdir(((Recall *)vault)->io, name);
}

static int io_rmdir(void *vault, const char *name) {
	return vault_io_rmdir(((Recall *)vault)->io, name);
}

static int io_rename(void *vault, const char *from, const char *to) {
	return vault_io_rename(((Recall *)vault)->io, from, to);
}

static int io_unlink(void *vault, const char *name) {
	Recall *recall = vault;
	struct recall_segment *segment = recall_named(recall, name);
	if (!segment)
		return vault_io_unlink(recall->io, name);
	pthread_mutex_lock(&recall->lock);
	segment->is_dropped = true;
	int rc = vault_io_unlink(recall->io, name);
	segment->is_here = false;
	pthread_mutex_unlock(&recall->lock);
	return rc;
}

static int io_sync_dir(void *vault, const char *name) {
	return vault_io_sync_dir(((Recall *)vault)->io, name);
}

static int io_list(void *vault, const char *name, vault_io_entry_fn *entry, void *user) {
	return vault_io_list(((Recall *)vault)->io, name, entry, user);
}

static int io_stat_size(void *vault, const char *name, uint64_t *ret_size) {
	Recall *recall = vault;
	const struct recall_segment *segment = recall_named(recall, name);
	if (!segment || !recall_is_missing(recall, segment))
		return vault_io_stat_size(recall->io, name, ret_size);
	*ret_size = segment->bytes;
	return 0;
}

static int io_free_space(void *vault, uint64_t *ret_bytes) {
	return vault_io_free_space(((Recall *)vault)->io, ret_bytes);
}

static void io_close(void *vault) {
	Recall *recall = vault;
	recall_stop(recall);
	for (size_t i = 0; i < recall->idle_count; i++)
		objects_close(recall->idle[i]);
	recall_forget_listing(recall);
	recall_free_place(&recall->place);
	vault_io_close(recall->io);
	free(recall->numbers);
	free(recall->segments);
	pthread_cond_destroy(&recall->changed);
	pthread_mutex_destroy(&recall->listing);
	pthread_mutex_destroy(&recall->lock);
	free(recall);
}

static const struct vault_io_ops recall_ops = {.close = io_close,
        .lock = io_lock,
        .mkdir = io_mkdir,
        .rmdir = io_rmdir,
        .rename = io_rename,
        .unlink = io_unlink,
        .sync_dir = io_sync_dir,
        .list = io_list,
        .stat_size = io_stat_size,
        .free_space = io_free_space,
        .open = file_open,
        .file_close = file_close,
        .read_at = file_read_at,
        .write_at = file_write_at,
        .truncate = file_truncate,
        .allocate = file_allocate,
        .sync = file_sync,
        .size = file_size,
        .expect = file_expect};

int recall_open(VaultIo *inner, const struct recall_means *means, VaultIo **ret_io, Recall **ret_recall) {
	Recall *recall = calloc(1, sizeof *recall);
	VaultIo *io = NULL;
	if (!recall)
		return fault(ENOMEM, "no memory to open vault %s", vault_io_path(inner));
	pthread_mutex_init(&recall->lock, NULL);
	pthread_mutex_init(&recall->listing, NULL);
	deadline_cond_init(&recall->changed);
	int rc = origin_read(inner, &recall->origin);
	if (rc == 0)
		rc = recall_use(recall, means);
	if (rc == 0)
		rc = vault_io_wrap(&recall_ops, recall, vault_io_path(inner), &io);
	if (rc < 0) {
		io_close(recall); /* without `inner`, which stays the caller's */
		return rc;
	}
	recall->io = inner;
	*ret_io = io;
	*ret_recall = recall;
	return 0;
}

/* ---- what the log says ---- */

const char *recall_url(const Recall *recall) {
	return recall->origin.url;
}

int recall_unrecorded(Recall *recall, char *ret_words, size_t size) {
	const struct vault_origin *origin = &recall->origin;
	char when[UTC_TEXT_BYTES];
	if (origin->is_recorded)
		return 0;
	(void)snprintf(ret_words, size, "from a backup: generation %" PRIu64 " of %s, at %s", origin->generation,
	        utc_stamp(origin->time_ns, when), origin->url);
	return 1;
}

int recall_recorded(Recall *recall) {
	pthread_mutex_lock(&recall->lock);
	struct vault_origin origin = recall->origin;
	origin.is_recorded = true;
	int rc = origin_write(recall->io, &origin);
	if (rc == 0)
		recall->origin = origin;
	pthread_mutex_unlock(&recall->lock);
	return rc;
}
