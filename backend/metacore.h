/*
 * metacore: what the SQLite VFS (sealvfs.c) and the metadata database (metadb.c) share: the open files, the keys, the
 * tags, and the one failure that ends all writing. Internal to metadb.
 */
#pragma once

#include "backend/metadb.h"
#include "backend/metaseal.h"
#include "backend/pack.h"
#include "backend/pagetags.h"
#include "backend/walchain.h"
#include "crypto/base/fault.h"

#include <pthread.h>
#include <sqlite3.h>

/* Sealing anew what is under older versions of the key (metareseal.c). */
struct meta_reseal {
	uint32_t version;      /* pages under those before it; 0: nothing is to be done */
	uint32_t next;         /* all pages before it are done, durably */
	bool has_asked;        /* for the base behind the last of them; those before may have older pages */
	uint64_t bad;          /* pages that neither the file nor the packs have undamaged */
	struct page_range due; /* of the checkpoint that is made now */
};

struct meta_core {
	VaultIo *io;
	struct meta_keys *keys; /* the connection's thread changes it, under `mutex` */
	VaultFile *file;
	WalChain *wal; /* NULL while the database is being created */
	Anchors *anchors;
	Packs *packs;
	struct page_tags tags;
	Reserve *reserve;
	struct meta_reseal reseal;
	bool wrong_size; /* the database file was cut or extended */
	metadb_notice_fn *notice;
	void *notice_arg;
	unsigned noticed;
	bool read_only;
	bool creating;
	bool main_open; /* by SQLite: a second ATTACH of the same file would see it without its log */

	pthread_mutex_t mutex; /* guards what follows; nothing else is taken while it is held */
	uint32_t all_new;      /* all pages were found to be under this version; 0: not known */
	int failed;
	char failed_words[FAULT_MESSAGE_BYTES];
	/* The last error of any kind, for the caller who gets SQLITE_IOERR; belongs to the connection's thread. */
	int last_error;
	char last_words[FAULT_MESSAGE_BYTES];
};

/* The core of an open database. */
struct meta_core *metadb_core(struct MetaDb *db);

/* Notes `rc` with the thread's words as the last error; returns rc. */
int core_note(struct meta_core *core, int rc);

/* As core_note, and no write is made from now on. */
int core_fail(struct meta_core *core, int rc);

/* 0, or the failure with its words. */
int core_failed(struct meta_core *core);

/*
 * Reads a page of the database file: checked, opened. A page that was never written is zeros. core_read_page takes a
 * damaged one from the packs and says so to `notice`; core_check_page does not.
 */
int core_read_page(struct meta_core *core, uint32_t page, uint8_t ret_plain[static META_PAGE_BYTES]);
int core_check_page(struct meta_core *core, uint32_t page, uint8_t ret_plain[static META_PAGE_BYTES]);

/* Reads the anchors and opens the packs and the file of the database, which may be missing with `may_lack_file`. */
int core_open_files(struct meta_core *core, VaultIo *io, bool may_lack_file);

/* What the log has to fit to: the last pack. */
struct wal_base core_wal_base(const struct meta_core *core);

/* Syncs the database file and writes the pack. */
int core_checkpointed(struct meta_core *core);

/*
 * Of a checkpoint. due: before it begins. pages: once the log's pages are in the file and before that is synced. made:
 * when its pack is durable. mend: what an interrupted one left of pages that were sealed anew is put back from the
 * packs, before anything is built on it.
 */
void core_reseal_due(struct meta_core *core);
int core_reseal_pages(struct meta_core *core);
void core_reseal_made(struct meta_core *core);
int core_reseal_mend(struct meta_core *core);

/* Puts a page back as a pack has it, or as zeros where it was never written. -ENOENT: none has it. */
int core_mend_page(struct meta_core *core, uint32_t page);

/* Builds the file of the database from the packs of `core`, which has no file open; it has the new one open then. */
int core_rebuild(struct meta_core *core);
