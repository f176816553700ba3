/*
 * metadb: the vault's metadata database: SQLite in WAL mode through a VFS of our own, so that nothing of it stands
 * readable on the disk, nothing changes there unnoticed, and it opens by itself after a crash.
 *
 *     VAULT/meta.db      pages, each sealed (XChaCha20-Poly1305, random nonce); nonce and tag in the page's last 40
 * bytes VAULT/meta.db-wal  4096-byte sealed header, then one sealed record a frame, chained by their tags (walchain.h)
 *     VAULT/meta/N       one pack a checkpoint: the pages it changed and the Merkle root over all page tags (pack.h)
 *     VAULT/meta/anchor-1, -2  which pack and which log are the newest (anchor.h)
 *
 * How a commit becomes durable. SQLite runs with synchronous=NORMAL: COMMIT writes WAL frames and syncs nothing; the
 * store then calls metadb_sync(), outside its own lock, and one sync serves all who wait. OFF would be wrong: SQLite's
 * checkpoint would then write the database before the WAL that describes it is on the disk. NORMAL keeps the two syncs
 * that a checkpoint needs (WAL before, database after) and one of the fresh WAL header; FULL would sync each COMMIT
 * under the store's lock.
 *
 * How a checkpoint goes (metadb_checkpoint): sync WAL, copy its pages to meta.db, sync it, write and sync the pack,
 * empty the WAL and sync that. A crash at any point in between leaves a WAL whose frames cover every page that is half
 * written, and a pack that fits it or the one before.
 *
 * What damage does. A bad byte in a page, in a pack or in one anchor keeps nothing from being read: the others give
 * what it had, as far as the newest root vouches for it, and metadb_damage, the notices and metadb_verify tell of it.
 * What is refused as corruption (-EBADMSG, words name file and place): a page that neither database nor packs have as
 * it was last; packs that are genuine and of another history; a WAL that is damaged, old, gone, or cut below what it or
 * an anchor says was durable; both anchors gone. What is taken for a crash and dropped silently: the tail of the WAL
 * past the last commit, if nothing says that it was durable. A whole older state of the vault is consistent in itself
 * and can't be found here: it needs a memory outside the vault (metadb_last_pack() gives the number to remember).
 *
 * Memory: 16 bytes a page of the database for its tag (4 MiB a GiB), 20 bytes a frame of the WAL.
 *
 * Threads: the connection and all functions here belong to one thread at a time (the store's lock); only metadb_sync,
 * metadb_failed and metadb_wal_bytes may be called at any time from any thread. The vault must be locked
 * (vault_io_lock) while it is open for writing.
 *
 * Speed (tests/backend/bench_metadb.c, release build, 2 cores, one run beside stock SQLite with the same settings):
 * 22,000 rows a second into a table with a randomly ordered index, synced every 1,000 rows, 0.5 to 0.7 of stock; each
 * page is sealed into the log, opened again at the checkpoint, sealed into the database and copied to a pack. Look-ups
 * are as fast as stock's while the page cache holds what is used (32 MiB here; a page that misses it costs 5 µs more).
 */
#pragma once

#include "backend/reserve.h"
#include "backend/vault_io.h"
#include "crypto/keyring.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct MetaDb MetaDb;

#define METADB_NAME "meta.db"
#define METADB_VAULT_ID_BYTES 16
#define METADB_PAGE_BYTES 4096

enum metadb_flags {
	/* No byte of the vault is written; an interrupted state is read as it would be recovered. For fsck and info. */
	METADB_READ_ONLY = 1,
};

/*
 * Makes an empty database in `io` with its first pack. -EEXIST if there is one. What an interrupted creation left is
 * replaced. All durable when it returns 0.
 */
int metadb_create(VaultIo *io, const Keyring *keyring, const uint8_t vault_id[static METADB_VAULT_ID_BYTES]);

/*
 * Opens it, checks packs and WAL, drops a crash's tail. `io` must outlive the MetaDb; what is derived from the key
 * "meta", in all versions that the keyring has, is copied to locked memory. -ENOENT if no creation was ever completed,
 * -EBADMSG for corruption or a wrong key. -ENOKEY: the keyring has no such key, or, as far as that can be told, all
 * that is newest is under a newer version than it has.
 */
int metadb_open(VaultIo *io, const Keyring *keyring, const uint8_t vault_id[static METADB_VAULT_ID_BYTES],
        unsigned flags, MetaDb **ret_db);

/*
 * Writes that meet a full disk take room from `reserve` and try again (reserve.h). NULL takes it away. Not owned; must
 * outlive the MetaDb.
 */
void metadb_set_reserve(MetaDb *db, Reserve *reserve);

/*
 * Words about damage that reading got around, while it does; at most METADB_NOTICES_MAX of them. From the connection's
 * thread; it must not use the MetaDb.
 */
#define METADB_NOTICES_MAX 16
typedef void metadb_notice_fn(void *arg, const char *words);
void metadb_set_notice(MetaDb *db, metadb_notice_fn *notice, void *arg);

/* The connection, with foreign keys on, schema not trusted. Belongs to `db`; never close it. */
sqlite3 *metadb_handle(MetaDb *db);

/*
 * Makes every transaction committed before the call durable. From any thread, also while the connection commits or
 * checkpoints; concurrent calls are safe, and one finds what the other already did. Cheap when there is nothing to do.
 * A failure is final: see metadb_failed.
 */
int metadb_sync(MetaDb *db);

/* Bytes in the WAL now: the store checkpoints when it passes a size it chose. */
uint64_t metadb_wal_bytes(MetaDb *db);

/*
 * Moves the WAL's content to the database, writes a pack, empties the WAL. All commits are durable afterwards. No
 * statement of the connection may be running (-EBUSY). -ENOSPC leaves everything as it was; try again with more room.
 * Other failures are final.
 */
int metadb_checkpoint(MetaDb *db);

/*
 * Checkpoints, closes and frees, also when it returns an error (the WAL then still holds what the checkpoint could not
 * move). Statements still there are finalized. A failed or read-only MetaDb is closed as it is.
 */
int metadb_close(MetaDb *db);

/* Closes without a checkpoint, as a crash would leave it, except that nothing is lost. NULL is allowed. */
void metadb_abandon(MetaDb *db);
DEFINE_CLEANUP(MetaDb, metadb_abandon);

/*
 * 0, or the negative errno of the write, sync or truncate that failed, with its words. From then on nothing is written
 * any more: what is on the disk is not known well enough to go on. Reading goes on.
 */
int metadb_failed(MetaDb *db);

/*
 * Turns the result code of a failed sqlite3 call on this connection into a negative errno with words; for I/O errors
 * the words are those that the failing read or write gave. SQLITE_FULL is -ENOSPC, CONSTRAINT -EINVAL, BUSY/LOCKED
 * -EBUSY, NOMEM -ENOMEM, CORRUPT/NOTADB -EBADMSG, READONLY -EROFS, else -EIO. OK, ROW and DONE are 0.
 */
int metadb_fault(MetaDb *db, int sqlite_code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The sequence number of the last pack: rises with every checkpoint that changed something. */
uint64_t metadb_last_pack(MetaDb *db);

/* The pack that the last one rests on, which has all pages; 0: some are damaged, and the next will be one. */
uint64_t metadb_base_pack(MetaDb *db);

/* The Merkle root over all page tags in the last pack. */
void metadb_last_root(MetaDb *db, uint8_t ret_root[static 32]);

/*
 * Called for each finding: `file` below the vault, `place` the page (from 1) or frame (from 1) or -1, and what is
 * wrong. A return other than 0 ends the check and is what metadb_verify returns.
 */
typedef int metadb_finding_fn(void *user, const char *file, int64_t place, const char *words);

/*
 * Reads every byte of database, WAL and packs and tells what does not authenticate or does not fit. 0 when the check
 * could be made, whatever it found. For damage that keeps metadb_open from opening, its error is the finding.
 */
int metadb_verify(MetaDb *db, metadb_finding_fn *finding, void *user);

/* Tells the damage that opening got around: packs, an anchor, the database file's size. */
int metadb_damage(MetaDb *db, metadb_finding_fn *finding, void *user);

/*
 * Mends what can be mended without believing anything that the newest root does not vouch for: puts damaged pages back
 * as the packs hold them, cuts what was added to the database file, removes files that pretend to be newer packs.
 * (Opening has mended the anchors, and the next checkpoint that has something to move writes a base in place of packs
 * that are damaged, also those whose damage only this finds.) Each thing is verified before it is written, and in place
 * only where damage stood: a crash makes nothing worse, and a second run goes on. `mended` is told what was done, with
 * how in the words. Not on a read-only MetaDb
 * (-EROFS).
 */
int metadb_repair(MetaDb *db, metadb_finding_fn *mended, void *user);

/*
 * Builds meta.db anew from the packs: for a lost database file. The log stays and is replayed at the next opening. The
 * vault must not be open. -EBADMSG if a page is in no pack; the old files then still stand.
 */
int metadb_rebuild(VaultIo *io, const Keyring *keyring, const uint8_t vault_id[static METADB_VAULT_ID_BYTES]);

/*
 * For a vault that does not open because its log is damaged, old or gone, or because both anchors are: takes what there
 * is for the newest, the last checkpoint pack and as much of the log as fits to it, and writes the anchors so. What was
 * committed after that is lost; a log that does not fit is removed. Ask first. Pages are believed as little as ever:
 * the newest pack's root (or the anchors') must vouch for them, else -EBADMSG, and nothing was changed. `told` hears
 * what was given up. The vault must not be open.
 */
int metadb_accept_loss(VaultIo *io, const Keyring *keyring, const uint8_t vault_id[static METADB_VAULT_ID_BYTES],
        metadb_finding_fn *told, void *user);

/* ---- versions of the key ---- */

/*
 * The keyring has another newest version of "meta", and vault.json durably so: pages, packs and anchors are sealed
 * under it from now on, and the log from its next generation on, so with the next checkpoint; until then it is behind.
 * A database that was opened with a log that is behind is, too. -ENOKEY, -ENOMEM: all is as before.
 */
int metadb_take_keys(MetaDb *db, const Keyring *keyring);
bool metadb_is_behind(MetaDb *db);

/*
 * Seals anew what is under versions before `version`, from page `next` (1: the first) on: each checkpoint does
 * METADB_RESEAL_PAGES pages, and the last one writes a base; after that no file needs an older version. Where it was,
 * and that it was, is for the caller to keep: `next` of metadb_resealing holds for the state that the database had when
 * it was asked. `version` 0: ends it.
 *
 * The pages are written in place, within a checkpoint (sector 3 of the log says which, walchain.h), and listed in its
 * pack: so no file is needed twice, and writers wait for one piece at a time. Rewriting the file beside itself would
 * take its size, and VACUUM all of it in the log at once. Measured (release, 2 cores, 100 MB of database): 25 pieces of
 * 4 MiB, 40 to 55 ms each, 1.5 to 2 s in all with 0.35 s for the base.
 */
#define METADB_RESEAL_PAGES 1024
void metadb_reseal(MetaDb *db, uint32_t version, uint32_t next);

enum metadb_reseal_state {
	METADB_RESEAL_NONE,
	METADB_RESEAL_GOES_ON,
	METADB_RESEAL_DONE,
	METADB_RESEAL_STUCK, /* there is a page that nothing has undamaged: the rest is done, its packs must stay */
};
enum metadb_reseal_state metadb_resealing(MetaDb *db, uint32_t *ret_next);

/*
 * Room that it takes at most, from page `next` on, until the base is there and the packs before it go: each page in the
 * pack of its piece, and all of them once more in the base; so of the whole about twice the database. A checkpoint for
 * which there is less beside the reserve (metadb_set_reserve) does no piece, and makes no base.
 */
uint64_t metadb_reseal_bytes(MetaDb *db, uint32_t next);

/* Bytes of the database file, and of these about those under older versions than the newest, by their hints
 * (metaseal.h). From any thread; where there is an older version, and it was not none before, it reads some bytes of
 * each page: some 30 ms for 100 MB. */
int metadb_sealed_bytes(MetaDb *db, uint64_t *ret_bytes, uint64_t *ret_old);

/* The file of checkpoint pack `sequence` below the vault. */
#define METADB_PACK_NAME_BYTES 40
void metadb_pack_name(uint64_t sequence, char ret_name[static METADB_PACK_NAME_BYTES]);

/*
 * Reads one pack's file through by itself: -EBADMSG with words unless every byte is that of this vault's pack of this
 * number with the root `root`. *ret_previous: the pack before it, and its root; 0: it is a base.
 */
int metadb_check_pack(VaultIo *io, const Keyring *keyring, const uint8_t vault_id[static METADB_VAULT_ID_BYTES],
        uint64_t sequence, const uint8_t root[static 32], uint64_t *ret_previous, uint8_t ret_previous_root[static 32]);

/* How many bytes the pack has that begins so, as its head says. -EBADMSG: that is not this pack's head. */
int metadb_pack_length(const Keyring *keyring, const uint8_t vault_id[static METADB_VAULT_ID_BYTES], uint64_t sequence,
        const uint8_t root[static 32], struct bytes begin, uint64_t *ret_bytes);

/*
 * Makes anchors and meta.db from the packs alone, for a vault that is recovered: meta/ has those from a base up to
 * `pack`, whose root is `root`, and none above. What is there of a database is replaced. -EBADMSG: the packs don't give
 * that root. The vault must not be open.
 */
int metadb_from_packs(VaultIo *io, const Keyring *keyring, const uint8_t vault_id[static METADB_VAULT_ID_BYTES],
        uint64_t pack, const uint8_t root[static 32]);
