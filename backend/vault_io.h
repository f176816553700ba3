/*
 * vault_io: every byte that a vault keeps on a local disk is read and written through here.
 *
 *     VaultIo    one vault directory, held by its descriptor: the path may be renamed or covered by a mount meanwhile
 *     VaultFile  one open file below it
 *
 * Names are relative to the vault ("meta.db", "meta/12", "segments/ab/cd"), without "..", "." or empty components; no
 * component may be a symbolic link (-ELOOP/-ENOTDIR), so nobody can lead the daemon out of the vault. Files are made
 * with mode 0600, directories with 0700, all descriptors are close-on-exec.
 *
 * The work is done by a small table of functions (struct vault_io_ops). The default talks to POSIX; a test puts a
 * recorder or a failing disk in its place with vault_io_wrap(), and the code above cannot tell.
 *
 * What a caller may assume after a power loss, and nothing more:
 *   - a file's data and size are kept once vault_file_sync() returned 0 after they were written;
 *   - a name made, renamed or removed is kept once vault_io_sync_dir() of its directory returned 0 afterwards;
 *   - anything not covered by such a call may be there or not, in any order, torn at 512-byte sectors.
 * After a sync failed the data must be taken for lost: Linux marks the pages clean (no retry can be trusted).
 *
 * All functions return 0 or a negative errno with words (fault.h), and may be called from any thread at once; two
 * writers of one range of one file need their own order.
 */
#pragma once

#include "crypto/base/bytes.h"
#include "crypto/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct VaultIo VaultIo;
typedef struct VaultFile VaultFile;

/* Longest name below the vault, without the final NUL. */
#define VAULT_NAME_MAX 255

/* How vault_file_open opens. */
enum vault_file_flags {
	VAULT_FILE_READ = 0,      /* for reading only */
	VAULT_FILE_WRITE = 1,     /* for reading and writing */
	VAULT_FILE_CREATE = 2,    /* make it if it is not there; needs WRITE */
	VAULT_FILE_EXCLUSIVE = 4, /* with CREATE: -EEXIST if it is there */
};

/*
 * Called for each entry of a directory, in no order ("." and ".." left out). A return other than 0 ends the listing and
 * is what vault_io_list returns.
 */
typedef int vault_io_entry_fn(void *user, const char *name, bool is_directory);

/*
 * The table. `vault` and `file` are the implementation's own. Each function does what the call of the same name below
 * promises, words included. Names have been checked before they arrive.
 */
struct vault_io_ops {
	void (*close)(void *vault);
	int (*lock)(void *vault);
	int (*mkdir)(void *vault, const char *name);
	int (*rmdir)(void *vault, const char *name);
	int (*rename)(void *vault, const char *from, const char *to);
	int (*unlink)(void *vault, const char *name);
	int (*sync_dir)(void *vault, const char *name);
	int (*list)(void *vault, const char *name, vault_io_entry_fn *entry, void *user);
	int (*stat_size)(void *vault, const char *name, uint64_t *ret_size);
	int (*free_space)(void *vault, uint64_t *ret_bytes);
	int (*open)(void *vault, const char *name, unsigned flags, void **ret_file);
	void (*file_close)(void *file);
	int (*read_at)(void *file, uint64_t offset, uint8_t *ret_data, size_t size, size_t *ret_read);
	int (*write_at)(void *file, uint64_t offset, struct bytes data);
	int (*truncate)(void *file, uint64_t size);
	int (*allocate)(void *file, uint64_t offset, uint64_t size);
	int (*sync)(void *file);
	int (*size)(void *file, uint64_t *ret_size);
	void (*expect)(void *file, uint64_t offset, size_t size); /* NULL: nothing is done */
};

/*
 * Opens the existing directory `path` as a vault. -ENOENT, -ENOTDIR, -EACCES as the system says. `path` is kept only
 * for words. The last component may be a symbolic link: the user chose it.
 */
int vault_io_open(const char *path, VaultIo **ret_io);

/*
 * Makes the directory `path` (mode 0700) and opens it. An existing directory is taken if it is empty; -ENOTEMPTY if it
 * is not. Syncs the parent, so that the vault's name survives.
 */
int vault_io_create(const char *path, VaultIo **ret_io);

/*
 * A vault whose work is done by `ops`; takes ownership of `vault` on success (ops->close frees it). `ops` must outlive
 * it. `words` names the vault in messages, copied.
 */
int vault_io_wrap(const struct vault_io_ops *ops, void *vault, const char *words, VaultIo **ret_io);

/* Closes; every VaultFile must have been closed. Gives the lock back. NULL is allowed. */
void vault_io_close(VaultIo *io);
DEFINE_CLEANUP(VaultIo, vault_io_close);

/* The vault's path as it was given, for words. Belongs to `io`. */
const char *vault_io_path(const VaultIo *io);

/*
 * Takes the vault for this process alone, until vault_io_close or the end of the process. -EBUSY if another one has
 * it; the words name that process where /proc/locks tells. An flock on the directory itself: it leaves no file behind
 * and cannot become stale.
 */
int vault_io_lock(VaultIo *io);

/* Makes the directory `name` and the missing ones above it. 0 if it is there. Does not sync. */
int vault_io_mkdir(VaultIo *io, const char *name);

/* Removes an empty directory. -ENOTEMPTY, -ENOENT. */
int vault_io_rmdir(VaultIo *io, const char *name);

/* Renames within the vault; replaces a file `to` in one step. Durable after sync_dir of both directories. */
int vault_io_rename(VaultIo *io, const char *from, const char *to);

/* Removes a file. -ENOENT if there is none. */
int vault_io_unlink(VaultIo *io, const char *name);

/* Makes the entries of directory `name` ("" is the vault itself) durable. */
int vault_io_sync_dir(VaultIo *io, const char *name);

/*
 * Calls `entry` for each entry of directory `name` ("" is the vault itself). A listing that could not be read to its
 * end is an error, never a shorter listing; what `entry` gathered until then must be thrown away. -ENOENT if the
 * directory is not there.
 */
int vault_io_list(VaultIo *io, const char *name, vault_io_entry_fn *entry, void *user);

/* The size in bytes of the regular file `name`. -ENOENT if it is not there, -EISDIR for a directory. */
int vault_io_stat_size(VaultIo *io, const char *name, uint64_t *ret_size);

/* Bytes that this user may still write on the vault's file system. */
int vault_io_free_space(VaultIo *io, uint64_t *ret_bytes);
/* Whether there is so much that files may be filled ahead for speed: nothing that counts could miss it. */
#define VAULT_IO_PLENTY ((uint64_t)256 << 20)
bool vault_io_has_plenty(VaultIo *io);

/* Opens a regular file; flags as above. -ENOENT, -EEXIST, -EISDIR. */
int vault_file_open(VaultIo *io, const char *name, unsigned flags, VaultFile **ret_file);

/* Closes without syncing. NULL is allowed. */
void vault_file_close(VaultFile *file);
DEFINE_CLEANUP(VaultFile, vault_file_close);

/* The name it was opened by, for words. Belongs to `file`. */
const char *vault_file_name(const VaultFile *file);

/* Reads up to `size` bytes at `offset`; fewer only at the end of the file. */
int vault_file_read_at(VaultFile *file, uint64_t offset, uint8_t *ret_data, size_t size, size_t *ret_read);

/* As read_at, but fewer than `size` bytes are -EBADMSG ("… ends at …"). */
int vault_file_read_exactly(VaultFile *file, uint64_t offset, uint8_t *ret_data, size_t size);

/* Says that the range will be read in a moment, so that the disk may begin with it: a hint, never an error. */
void vault_file_expect(VaultFile *file, uint64_t offset, size_t size);

/* Writes all of `data` at `offset`, or fails; after a failure the range holds any mix of old and new. */
int vault_file_write_at(VaultFile *file, uint64_t offset, struct bytes data);

/* Sets the size; a grown part reads as zeros. */
int vault_file_truncate(VaultFile *file, uint64_t size);

/*
 * Gives the range real disk blocks and lets the file reach to its end, without changing what is there. -ENOSPC if there
 * is no room. Where the file system has no such call, zeros are written behind the old end.
 */
int vault_file_allocate(VaultFile *file, uint64_t offset, uint64_t size);

/* Makes data and size durable (fdatasync). Its name needs vault_io_sync_dir too. */
int vault_file_sync(VaultFile *file);

/* The size in bytes. */
int vault_file_size(VaultFile *file, uint64_t *ret_size);

/*
 * Puts `data` in the file `name` in one step: after a power loss it has the old content or the new, and the new once
 * this returned 0. Writes NAME.tmp, syncs, renames, syncs the directory; leaves no NAME.tmp behind when it fails.
 */
int vault_io_replace(VaultIo *io, const char *name, struct bytes data);

/*
 * The whole file, in memory that the caller frees. -EFBIG if it is longer than `limit` bytes. One more byte than
 * *ret_size is there and is 0, so that text can be read as a string.
 */
int vault_io_read_all(VaultIo *io, const char *name, size_t limit, uint8_t **ret_data, size_t *ret_size);

/* The directory part of `name` ("" if there is none), for sync_dir. */
void vault_io_directory_of(const char *name, char ret_directory[static VAULT_NAME_MAX + 1]);
