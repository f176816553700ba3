#include "backend/sealvfs.h"

#include "backend/memory_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct SealVfs {
	sqlite3_vfs vfs;
	char name[40];
	struct meta_core *core;
	sqlite3_vfs *system; /* for time, sleep and randomness */
};

struct seal_file {
	sqlite3_file base;
	struct meta_core *core;
};

static struct meta_core *core_of(sqlite3_file *file) {
	struct seal_file *seal = (struct seal_file *)(void *)file;
	return seal->core;
}

static int code_of(int rc, int other) {
	if (rc == -ENOSPC)
		return SQLITE_FULL;
	return rc == -ENOMEM ? SQLITE_IOERR_NOMEM : other;
}

/* A read that failed. */
static int bad_read(struct meta_core *core, int rc) {
	return code_of(core_note(core, rc), SQLITE_IOERR_READ);
}

/* A change that failed ends all changes. */
static int bad_change(struct meta_core *core, int rc, int code) {
	return code_of(core_note(core, core_fail(core, rc)), code);
}

/* Before each change. */
static int may_change(struct meta_core *core) {
	if (core->read_only)
		return core_note(core, fault(EROFS, "%s is open for reading only", METADB_NAME));
	return core_note(core, core_failed(core));
}

static int done(int amount, size_t got, void *data) {
	if (got == (size_t)amount)
		return SQLITE_OK;
	memset((uint8_t *)data + got, 0, (size_t)amount - got);
	return SQLITE_IOERR_SHORT_READ;
}

/* While the log is not empty its newest page 1 is the true one: an interrupted checkpoint may have torn the file's. */
static int read_page(struct meta_core *core, uint32_t page, uint8_t *ret_plain) {
	uint32_t frame = page == 1 && core->wal ? walchain_newest_frame(core->wal, 1) : 0;
	return frame ? walchain_read_page(core->wal, frame, ret_plain) : core_read_page(core, page, ret_plain);
}

static int main_read(sqlite3_file *file, void *data, int amount, sqlite3_int64 offset) {
	struct meta_core *core = core_of(file);
	/* Not the file's: of one that was cut the packs have the rest, and what was added is nobody's. */
	uint32_t pages = core->tags.pages;
	int rc = 0;
	size_t got = 0;
	while (rc == 0 && got < (size_t)amount) {
		uint64_t at = (uint64_t)offset + got;
		uint32_t page = (uint32_t)(at / META_PAGE_BYTES) + 1;
		size_t within = (size_t)(at % META_PAGE_BYTES);
		size_t part = META_PAGE_BYTES - within;
		part = part < (size_t)amount - got ? part : (size_t)amount - got;
		if (page > pages && !(page == 1 && core->wal && walchain_newest_frame(core->wal, 1)))
			break;
		uint8_t plain[META_PAGE_BYTES];
		rc = read_page(core, page, plain);
		if (rc == 0)
			memcpy((uint8_t *)data + got, plain + within, part);
		got += part;
	}
	return rc < 0 ? bad_read(core, rc) : done(amount, got, data);
}

static int main_write(sqlite3_file *file, const void *data, int amount, sqlite3_int64 offset) {
	struct meta_core *core = core_of(file);
	if (may_change(core) < 0)
		return SQLITE_IOERR_WRITE;
	if (amount != META_PAGE_BYTES || offset % META_PAGE_BYTES != 0)
		return bad_change(core,
		        fault(EIO, "SQLite wrote %d bytes at %" PRId64 " of %s, which is no page", amount,
		                (int64_t)offset, METADB_NAME),
		        SQLITE_IOERR_WRITE);
	uint32_t page = (uint32_t)(offset / META_PAGE_BYTES) + 1;
	uint8_t sealed[META_PAGE_BYTES];
	meta_page_seal(core->keys, page, data, sealed);
	int rc = page_tags_put(&core->tags, page, sealed + META_PAGE_TAG_AT);
	if (rc == 0)
		rc = reserve_write_at(core->reserve, core->file, (uint64_t)offset, bytes_of(sealed, sizeof sealed));
	if (rc == -ENOSPC && !core->creating)
		return code_of(core_note(core, rc), SQLITE_IOERR_WRITE); /* a checkpoint; the log still has it */
	return rc < 0 ? bad_change(core, rc, SQLITE_IOERR_WRITE) : SQLITE_OK;
}

static int main_truncate(sqlite3_file *file, sqlite3_int64 size) {
	struct meta_core *core = core_of(file);
	if (may_change(core) < 0)
		return SQLITE_IOERR_TRUNCATE;
	int rc = page_tags_resize(&core->tags, (uint32_t)(size / META_PAGE_BYTES));
	if (rc == 0)
		rc = vault_file_truncate(core->file, (uint64_t)size);
	return rc < 0 ? bad_change(core, rc, SQLITE_IOERR_TRUNCATE) : SQLITE_OK;
}

static int main_sync(sqlite3_file *file, int flags) {
	(void)flags;
	struct meta_core *core = core_of(file);
	if (core->creating)
		return SQLITE_OK; /* metadb_create syncs once, at its end */
	if (may_change(core) < 0)
		return SQLITE_IOERR_FSYNC;
	int rc = core_note(core, core_checkpointed(core));
	return rc < 0 ? code_of(rc, SQLITE_IOERR_FSYNC) : SQLITE_OK;
}

static int main_size(sqlite3_file *file, sqlite3_int64 *ret_size) {
	struct meta_core *core = core_of(file);
	*ret_size = (sqlite3_int64)core->tags.pages * META_PAGE_BYTES;
	return SQLITE_OK;
}

static int wal_read(sqlite3_file *file, void *data, int amount, sqlite3_int64 offset) {
	struct meta_core *core = core_of(file);
	size_t got = 0;
	int rc = walchain_read(core->wal, (uint64_t)offset, data, (size_t)amount, &got);
	return rc < 0 ? bad_read(core, rc) : done(amount, got, data);
}

static int wal_write(sqlite3_file *file, const void *data, int amount, sqlite3_int64 offset) {
	struct meta_core *core = core_of(file);
	if (may_change(core) < 0)
		return SQLITE_IOERR_WRITE;
	int rc = walchain_write(core->wal, (uint64_t)offset, bytes_of(data, (size_t)amount));
	return rc < 0 ? bad_change(core, rc, SQLITE_IOERR_WRITE) : SQLITE_OK;
}

static int wal_truncate(sqlite3_file *file, sqlite3_int64 size) {
	struct meta_core *core = core_of(file);
	if (may_change(core) < 0)
		return SQLITE_IOERR_TRUNCATE;
	int rc = size == 0 ? walchain_reset(core->wal)
	                   : fault(EIO, "SQLite cut %s to %" PRId64 " bytes", WAL_NAME, (int64_t)size);
	return rc < 0 ? bad_change(core, rc, SQLITE_IOERR_TRUNCATE) : SQLITE_OK;
}

static int wal_sync(sqlite3_file *file, int flags) {
	(void)flags;
	struct meta_core *core = core_of(file);
	if (may_change(core) < 0)
		return SQLITE_IOERR_FSYNC;
	/* SQLite syncs the log on two occasions: its fresh header, and before it copies the log to the database. */
	int rc = walchain_frames(core->wal) ? walchain_begin_checkpoint(core->wal, &core->reseal.due)
	                                    : walchain_sync(core->wal);
	return rc < 0 ? bad_change(core, rc, SQLITE_IOERR_FSYNC) : SQLITE_OK;
}

static int wal_size(sqlite3_file *file, sqlite3_int64 *ret_size) {
	*ret_size = (sqlite3_int64)walchain_size(core_of(file)->wal);
	return SQLITE_OK;
}

static int file_close(sqlite3_file *file) {
	file->pMethods = NULL;
	return SQLITE_OK;
}

static int file_lock(sqlite3_file *file, int level) {
	(void)file;
	(void)level;
	return SQLITE_OK;
}

static int file_check_reserved(sqlite3_file *file, int *ret_reserved) {
	(void)file;
	*ret_reserved = 0;
	return SQLITE_OK;
}

static int file_control(sqlite3_file *file, int operation, void *argument) {
	(void)file;
	if (operation != SQLITE_FCNTL_PERSIST_WAL)
		return SQLITE_NOTFOUND;
	*(int *)argument = 1;
	return SQLITE_OK;
}

static int file_sector_size(sqlite3_file *file) {
	(void)file;
	return META_PAGE_BYTES;
}

static int file_characteristics(sqlite3_file *file) {
	(void)file;
	/* A record is sealed as one, so a torn one is found; nothing beside the bytes written changes. */
	return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods main_methods = {
        .iVersion = 1,
        .xClose = file_close,
        .xRead = main_read,
        .xWrite = main_write,
        .xTruncate = main_truncate,
        .xSync = main_sync,
        .xFileSize = main_size,
        .xLock = file_lock,
        .xUnlock = file_lock,
        .xCheckReservedLock = file_check_reserved,
        .xFileControl = file_control,
        .xSectorSize = file_sector_size,
        .xDeviceCharacteristics = file_characteristics,
};

static const sqlite3_io_methods wal_methods = {
        .iVersion = 1,
        .xClose = file_close,
        .xRead = wal_read,
        .xWrite = wal_write,
        .xTruncate = wal_truncate,
        .xSync = wal_sync,
        .xFileSize = wal_size,
        .xLock = file_lock,
        .xUnlock = file_lock,
        .xCheckReservedLock = file_check_reserved,
        .xFileControl = file_control,
        .xSectorSize = file_sector_size,
        .xDeviceCharacteristics = file_characteristics,
};

static int memory_sync(sqlite3_file *file, int flags) {
	(void)file;
	(void)flags;
	return SQLITE_OK;
}

static const sqlite3_io_methods memory_methods = {
        .iVersion = 1,
        .xClose = memory_file_close,
        .xRead = memory_file_read,
        .xWrite = memory_file_write,
        .xTruncate = memory_file_truncate,
        .xSync = memory_sync,
        .xFileSize = memory_file_size,
        .xLock = file_lock,
        .xUnlock = file_lock,
        .xCheckReservedLock = file_check_reserved,
        .xFileControl = file_control,
        .xSectorSize = file_sector_size,
        .xDeviceCharacteristics = file_characteristics,
};

static SealVfs *vfs_of(sqlite3_vfs *vfs) {
	return vfs->pAppData;
}

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags) {
	struct meta_core *core = vfs_of(vfs)->core;
	struct seal_file *seal = (struct seal_file *)(void *)file;
	file->pMethods = NULL;
	if (!name && (flags & SQLITE_OPEN_DELETEONCLOSE)) {
		memory_file_open(file, flags & SQLITE_OPEN_SUBJOURNAL);
		file->pMethods = &memory_methods;
		if (ret_flags)
			*ret_flags = flags;
		return SQLITE_OK;
	}
	seal->core = core;
	if ((flags & SQLITE_OPEN_MAIN_DB) && name && strcmp(name, METADB_NAME) == 0 && !core->main_open) {
		file->pMethods = &main_methods;
		core->main_open = true;
	} else if ((flags & SQLITE_OPEN_WAL) && name && strcmp(name, WAL_NAME) == 0 && core->wal)
		file->pMethods = &wal_methods;
	if (!file->pMethods) {
		(void)core_note(core,
		        fault(EPERM, "SQLite wanted to open %s beside the metadata; that would leave rows unsealed",
		                name ? name : "a file"));
		return SQLITE_CANTOPEN;
	}
	if (ret_flags)
		*ret_flags = flags;
	return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_directory) {
	(void)vfs;
	(void)name;
	(void)sync_directory;
	return SQLITE_IOERR_DELETE_NOENT; /* journals are never made, and the log is emptied, not removed */
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret_there) {
	(void)flags;
	struct meta_core *core = vfs_of(vfs)->core;
	*ret_there = strcmp(name, METADB_NAME) == 0 ||
	             (strcmp(name, WAL_NAME) == 0 && core->wal && walchain_size(core->wal) > 0);
	return SQLITE_OK;
}

static int vfs_full_pathname(sqlite3_vfs *vfs, const char *name, int room, char *ret_name) {
	(void)vfs;
	return snprintf(ret_name, (size_t)room, "%s", name) < room ? SQLITE_OK : SQLITE_CANTOPEN;
}

static int vfs_randomness(sqlite3_vfs *vfs, int room, char *ret_bytes) {
	sqlite3_vfs *system = vfs_of(vfs)->system;
	return system->xRandomness(system, room, ret_bytes);
}

static int vfs_sleep(sqlite3_vfs *vfs, int microseconds) {
	sqlite3_vfs *system = vfs_of(vfs)->system;
	return system->xSleep(system, microseconds);
}

static int vfs_time(sqlite3_vfs *vfs, double *ret_days) {
	sqlite3_vfs *system = vfs_of(vfs)->system;
	return system->xCurrentTime(system, ret_days);
}

static int vfs_last_error(sqlite3_vfs *vfs, int room, char *ret_words) {
	(void)snprintf(ret_words, (size_t)room, "%s", vfs_of(vfs)->core->last_words);
	return 0;
}

int sealvfs_register(struct meta_core *core, SealVfs **ret_vfs) {
	SealVfs *seal = calloc(1, sizeof *seal);
	if (!seal)
		return fault(ENOMEM, "no memory for the metadata's VFS");
	seal->core = core;
	seal->system = sqlite3_vfs_find(NULL);
	size_t longest =
	        memory_file_bytes() > sizeof(struct seal_file) ? memory_file_bytes() : sizeof(struct seal_file);
	/* The address makes the name unique among the vaults open in this process. */
	(void)snprintf(seal->name, sizeof seal->name, "assay-%p", (void *)seal);
	seal->vfs = (sqlite3_vfs){
	        .iVersion = 1,
	        .szOsFile = (int)longest,
	        .mxPathname = VAULT_NAME_MAX,
	        .zName = seal->name,
	        .pAppData = seal,
	        .xOpen = vfs_open,
	        .xDelete = vfs_delete,
	        .xAccess = vfs_access,
	        .xFullPathname = vfs_full_pathname,
	        .xRandomness = vfs_randomness,
	        .xSleep = vfs_sleep,
	        .xCurrentTime = vfs_time,
	        .xGetLastError = vfs_last_error,
	};
	if (!seal->system || sqlite3_vfs_register(&seal->vfs, 0) != SQLITE_OK) {
		free(seal);
		return fault(EIO, "SQLite did not take the metadata's VFS");
	}
	*ret_vfs = seal;
	return 0;
}

void sealvfs_unregister(SealVfs *vfs) {
	if (!vfs)
		return;
	(void)sqlite3_vfs_unregister(&vfs->vfs);
	free(vfs);
}

const char *sealvfs_name(const SealVfs *vfs) {
	return vfs->name;
}
