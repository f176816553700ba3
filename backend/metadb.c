#include "backend/metadb.h"

#include "backend/metacore.h"
#include "backend/sealvfs.h"
#include "crypto/base/fault.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

_Static_assert(METADB_PAGE_BYTES == META_PAGE_BYTES, "one page size");

struct MetaDb {
	struct meta_core core;
	SealVfs *vfs;
	sqlite3 *connection;
};

struct meta_core *metadb_core(MetaDb *db) {
	return &db->core;
}

static void free_db(MetaDb *db) {
	if (db->connection)
		(void)sqlite3_close_v2(db->connection);
	sealvfs_unregister(db->vfs);
	walchain_close(db->core.wal);
	anchors_close(db->core.anchors);
	packs_close(db->core.packs);
	vault_file_close(db->core.file);
	page_tags_free(&db->core.tags);
	meta_keys_free(db->core.keys);
	(void)pthread_mutex_destroy(&db->core.mutex);
	free(db);
}

void metadb_abandon(MetaDb *db) {
	if (!db)
		return;
	while (db->connection) {
		sqlite3_stmt *statement = sqlite3_next_stmt(db->connection, NULL);
		if (!statement)
			break;
		(void)sqlite3_finalize(statement);
	}
	free_db(db);
}

static int new_db(VaultIo *io, const Keyring *keyring, const uint8_t *vault_id, MetaDb **ret_db) {
	MetaDb *db = calloc(1, sizeof *db);
	if (!db)
		return fault(ENOMEM, "no memory for the metadata");
	(void)pthread_mutex_init(&db->core.mutex, NULL);
	db->core.io = io;
	int rc = meta_keys_new(keyring, vault_id, &db->core.keys);
	if (rc < 0) {
		free_db(db);
		return rc;
	}
	*ret_db = db;
	return 0;
}

static int execute(MetaDb *db, const char *sql) {
	int code = sqlite3_exec(db->connection, sql, NULL, NULL, NULL);
	return metadb_fault(db, code, "%s", sql);
}

/* SQLite counts its memory under a lock of its own, for nobody here: without it a create costs 5% less. Sub-journals
 * are files from their first byte, and so memory_file's. Before its first use in the process; later it is refused,
 * which harms nothing. */
static void configure_sqlite(void) {
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	(void)sqlite3_config(SQLITE_CONFIG_STMTJRNL_SPILL, 0);
}

static int open_connection(MetaDb *db, int flags) {
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, configure_sqlite);
	int rc = sealvfs_register(&db->core, &db->vfs);
	if (rc < 0)
		return rc;
	int code = sqlite3_open_v2(METADB_NAME, &db->connection, flags | SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
	        sealvfs_name(db->vfs));
	rc = metadb_fault(db, code, "opening %s", METADB_NAME);
	if (rc < 0)
		return rc;
	(void)sqlite3_extended_result_codes(db->connection, 1);
	/* Exclusive locking comes first: without it SQLite wants shared memory for a WAL database. Temporary files are
	 * in memory, as the VFS has no others: memory_file is quicker than what MEMORY would take. */
	return execute(db, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA temp_store=FILE; PRAGMA cache_spill=OFF; PRAGMA "
	                   "cache_size=-32768;"
	                   "PRAGMA mmap_size=0; PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF");
}

/* A first transaction in memory-journal mode gives the file its page size; then it is WAL for ever. */
static int create_content(MetaDb *db) {
	int reserved = META_RESERVED_BYTES;
	int rc = open_connection(db, SQLITE_OPEN_CREATE);
	if (rc < 0)
		return rc;
	int code = sqlite3_file_control(db->connection, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved);
	rc = metadb_fault(db, code, "reserving bytes in the metadata's pages");
	if (rc == 0)
		rc = execute(db, "PRAGMA page_size=4096; PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF;"
		                 "PRAGMA auto_vacuum=NONE; PRAGMA encoding='UTF-8'; PRAGMA application_id=0x61737379;"
		                 "PRAGMA journal_mode=WAL");
	if (rc == 0)
		(void)sqlite3_db_config(db->connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	return rc;
}

/* Anchors are what makes it a database: they are written last. */
static int check_not_there(struct meta_core *core) {
	int rc = anchors_open(core->io, core->keys, false, &core->anchors);
	if (rc < 0 || anchors_none(core->anchors))
		return rc;
	return fault(EEXIST, "%s holds metadata already", vault_io_path(core->io));
}

static int create_files(MetaDb *db) {
	struct meta_core *core = &db->core;
	int rc = check_not_there(core);
	if (rc == 0)
		rc = vault_file_open(core->io, METADB_NAME, VAULT_FILE_WRITE | VAULT_FILE_CREATE, &core->file);
	if (rc == 0)
		rc = vault_file_truncate(core->file, 0);
	const struct wal_base none = {0};
	if (rc == 0) {
		rc = vault_io_unlink(core->io, WAL_NAME);
		rc = rc == -ENOENT ? 0 : rc;
	}
	if (rc == 0)
		rc = packs_create(core->io, core->keys, &core->packs);
	if (rc == 0)
		rc = walchain_open(core->io, core->keys, false, &none, NULL, &core->wal);
	return rc;
}

static int create_anchors(struct meta_core *core) {
	const struct pack_head *first = packs_last(core->packs);
	struct anchor anchor = {.pack_sequence = first->sequence, .pages = first->pages};
	memcpy(anchor.root, first->root, sizeof anchor.root);
	return anchors_put(core->anchors, &anchor);
}

int metadb_create(VaultIo *io, const Keyring *keyring, const uint8_t vault_id[static METADB_VAULT_ID_BYTES]) {
	_cleanup_(metadb_abandonp) MetaDb *db = NULL;
	int rc = new_db(io, keyring, vault_id, &db);
	if (rc < 0)
		return rc;
	db->core.creating = true;
	rc = create_files(db);
	if (rc == 0)
		rc = create_content(db);
	if (rc == 0)
		rc = vault_io_sync_dir(io, "");
	if (rc == 0)
		rc = core_checkpointed(&db->core);
	if (rc == 0)
		rc = create_anchors(&db->core);
	return fault_while(rc, "making the metadata of %s", vault_io_path(io));
}

/* Unless a checkpoint was interrupted the file is exactly as the last one left it. */
static int check_file_size(struct meta_core *core) {
	uint64_t size = 0;
	int rc = vault_file_size(core->file, &size);
	uint64_t expected = (uint64_t)core->tags.pages * META_PAGE_BYTES;
	core->wrong_size = rc == 0 && !walchain_checkpoint_began(core->wal) && size != expected;
	return rc;
}

static int open_files(MetaDb *db, VaultIo *io, bool read_only) {
	struct meta_core *core = &db->core;
	core->read_only = read_only;
	int rc = core_open_files(core, io, false);
	if (rc < 0)
		return rc;
	const struct wal_base base = core_wal_base(core);
	rc = walchain_open(io, core->keys, read_only, &base, core->anchors, &core->wal);
	if (rc == 0)
		rc = core_reseal_mend(core);
	return rc < 0 ? rc : check_file_size(core);
}

/* A first look at the schema makes SQLite read the log. */
static int settle_connection(MetaDb *db) {
	(void)sqlite3_db_config(db->connection, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	(void)sqlite3_db_config(db->connection, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	/* VACUUM attaches a temporary database, which is in memory; the VFS refuses any other. */
	(void)sqlite3_limit(db->connection, SQLITE_LIMIT_ATTACHED, 1);
	(void)sqlite3_wal_autocheckpoint(db->connection, 0);
	int rc = execute(db, "PRAGMA synchronous=NORMAL; SELECT count(*) FROM sqlite_schema");
	if (rc == 0 && db->core.read_only)
		rc = execute(db, "PRAGMA query_only=ON");
	return rc;
}

int metadb_open(VaultIo *io, const Keyring *keyring, const uint8_t vault_id[static METADB_VAULT_ID_BYTES],
        unsigned flags, MetaDb **ret_db) {
	_cleanup_(metadb_abandonp) MetaDb *db = NULL;
	int rc = new_db(io, keyring, vault_id, &db);
	if (rc == 0)
		rc = open_files(db, io, flags & METADB_READ_ONLY);
	if (rc == 0)
		rc = open_connection(db, 0);
	if (rc == 0)
		rc = settle_connection(db);
	if (rc < 0)
		return fault_while(rc, "opening the metadata of %s", vault_io_path(io));
	*ret_db = steal_pointer(&db);
	return 0;
}

void metadb_set_reserve(MetaDb *db, Reserve *reserve) {
	db->core.reserve = reserve;
	walchain_set_reserve(db->core.wal, reserve);
	packs_set_reserve(db->core.packs, reserve);
}

void metadb_set_notice(MetaDb *db, metadb_notice_fn *notice, void *arg) {
	db->core.notice = notice;
	db->core.notice_arg = arg;
}

sqlite3 *metadb_handle(MetaDb *db) {
	return db->connection;
}

int metadb_sync(MetaDb *db) {
	int rc = core_failed(&db->core);
	if (rc < 0 || db->core.read_only)
		return rc;
	return core_fail(&db->core, walchain_sync(db->core.wal));
}

uint64_t metadb_wal_bytes(MetaDb *db) {
	return walchain_bytes(db->core.wal);
}

int metadb_checkpoint(MetaDb *db) {
	int rc = core_failed(&db->core);
	if (rc < 0)
		return rc;
	if (db->core.read_only)
		return fault(EROFS, "%s is open for reading only", METADB_NAME);
	if (walchain_frames(db->core.wal) == 0)
		return 0;
	core_reseal_due(&db->core);
	int code = sqlite3_wal_checkpoint_v2(db->connection, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	return metadb_fault(db, code, "moving the log into the metadata");
}

int metadb_close(MetaDb *db) {
	for (sqlite3_stmt *statement; (statement = sqlite3_next_stmt(db->connection, NULL));)
		(void)sqlite3_finalize(statement);
	int rc = 0;
	if (!db->core.read_only) {
		if (!sqlite3_get_autocommit(db->connection))
			(void)sqlite3_exec(db->connection, "ROLLBACK", NULL, NULL, NULL);
		rc = metadb_checkpoint(db);
	}
	free_db(db);
	return rc;
}

int metadb_failed(MetaDb *db) {
	return core_failed(&db->core);
}

static int errno_of(int sqlite_code) {
	switch (sqlite_code & 0xff) {
	case SQLITE_FULL:
		return ENOSPC;
	case SQLITE_CONSTRAINT:
		return EINVAL;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return EBUSY;
	case SQLITE_NOMEM:
		return ENOMEM;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return EBADMSG;
	case SQLITE_READONLY:
		return EROFS;
	default:
		return EIO;
	}
}

int metadb_fault(MetaDb *db, int sqlite_code, const char *format, ...) {
	int code = sqlite_code & 0xff;
	if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE)
		return 0;
	char doing[256];
	va_list words;
	va_start(words, format);
	(void)vsnprintf(doing, sizeof doing, format, words);
	va_end(words);
	struct meta_core *core = &db->core;
	bool ours = core->last_error != 0 && (code == SQLITE_IOERR || code == SQLITE_FULL || code == SQLITE_CANTOPEN);
	if (!ours)
		return fault(errno_of(code), "%s: %s", doing, sqlite3_errmsg(db->connection));
	int rc = fault(-core->last_error, "%s: %s", doing, core->last_words);
	core->last_error = 0;
	return rc;
}

uint64_t metadb_last_pack(MetaDb *db) {
	return packs_last(db->core.packs)->sequence;
}

uint64_t metadb_base_pack(MetaDb *db) {
	return packs_base(db->core.packs);
}

void metadb_last_root(MetaDb *db, uint8_t ret_root[static 32]) {
	memcpy(ret_root, packs_last(db->core.packs)->root, 32);
}
