#include "fs/virtual/tlog.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "backend/audit.h"
#include "backend/audit_head.h"
#include "crypto/base/fault.h"
#include "crypto/base/utc.h"
#include "fs/filesystem.h"
#include "fs/virtual/lines.h"

#define NAME_CHECKPOINT "checkpoint"
#define NAME_CHECKPOINTS "checkpoints"
#define NAME_KEY "key"
#define NAME_PRUNED "pruned"
#define NAME_SUCCESSIONS "successions"
#define NAME_TILE "tile"

uint64_t tlog_size(struct filesystem *fs) {
	return store_durable_seq(fs->store);
}

static int text_of(const char *text, size_t size, struct virtual_file *ret) {
	char *copy = malloc(size + 1);
	if (!copy)
		return fault(ENOMEM, "reading the audit log");
	memcpy(copy, text, size);
	*ret = (struct virtual_file){.text = copy, .text_size = size};
	return 0;
}

/* ---- heads ---- */

/* In an operation. The caller clears the chain, of what is durable. */
static int durable_chain(struct filesystem *fs, struct key_chain *ret_chain) {
	return audit_succession_list(fs->meta, tlog_size(fs), ret_chain);
}

static int last_head(struct filesystem *fs, struct audit_head *ret_head, char ret_note[static AUDIT_HEAD_NOTE_BYTES]) {
	struct key_chain chain = {0};
	meta_begin(fs->meta);
	int rc = audit_head_last(fs->meta, tlog_size(fs), ret_head);
	if (rc == 0)
		rc = durable_chain(fs, &chain);
	if (rc == 0)
		rc = audit_head_served(fs->meta, store_keyring(fs->store), &chain, ret_head, ret_note);
	(void)meta_end(fs->meta, 0);
	key_chain_clear(&chain);
	return rc;
}

static int open_checkpoint(struct filesystem *fs, struct virtual_file *ret) {
	struct audit_head head;
	char note[AUDIT_HEAD_NOTE_BYTES];
	int rc = last_head(fs, &head, note);
	return rc < 0 ? rc : text_of(note, strlen(note), ret);
}

/* The newest that was handed on durably, as heads are held against that. In an operation. */
static int present_key(struct filesystem *fs, struct note_key *ret_key) {
	struct key_chain chain = {0};
	struct audit_head head;
	int rc = audit_head_last(fs->meta, tlog_size(fs), &head);
	uint32_t version = rc == 0 ? head.key_version : 0;
	if (rc == 0)
		rc = durable_chain(fs, &chain);
	if (rc == 0 && chain.count > 0)
		version = key_chain_version(&chain, chain.count);
	if (rc == 0 || rc == -ENOENT)
		rc = audit_head_key(fs->meta, store_keyring(fs->store), &chain, version, ret_key);
	key_chain_clear(&chain);
	return rc;
}

static int open_key(struct filesystem *fs, struct virtual_file *ret) {
	struct note_key key;
	char text[NOTE_VKEY_BYTES + 1];
	meta_begin(fs->meta);
	int rc = meta_end(fs->meta, present_key(fs, &key));
	if (rc < 0)
		return rc;
	note_key_format(&key, text);
	strcat(text, "\n");
	return text_of(text, strlen(text), ret);
}

static int open_successions(struct filesystem *fs, struct virtual_file *ret) {
	_cleanup_(freep) char *text = NULL;
	size_t size = 0;
	meta_begin(fs->meta);
	int rc = meta_end(fs->meta, audit_succession_text(fs->meta, tlog_size(fs), &text, &size));
	return rc < 0 ? rc : text_of(text ? text : "", size, ret);
}

struct heads {
	struct filesystem *fs;
	struct lines *lines;
	uint64_t *position;
	uint32_t version; /* of `key`; 0: none yet */
	struct note_key key;
	struct key_chain chain;
};

static int put_head(void *arg, const struct audit_head *head) {
	struct heads *heads = arg;
	char line[CHECKPOINT_LINE_BYTES], time[UTC_TEXT_BYTES], text[sizeof line + 1 + sizeof time];
	if (heads->version != head->key_version) {
		int rc = audit_head_key(heads->fs->meta, store_keyring(heads->fs->store), &heads->chain,
		        head->key_version, &heads->key);
		if (rc < 0)
			return rc;
		heads->version = head->key_version;
	}
	checkpoint_line(&heads->key, &head->checkpoint, head->signature, line);
	int length = snprintf(text, sizeof text, "%s %s", line, utc_stamp(head->time_ns, time));
	if (!lines_put(heads->lines, text, (size_t)length))
		return 1;
	*heads->position = head->checkpoint.size;
	return 0;
}

static int more_heads(struct filesystem *fs, int64_t arg, uint64_t *position, struct lines *lines) {
	struct heads heads = {.fs = fs, .lines = lines, .position = position};
	(void)arg;
	meta_begin(fs->meta);
	int rc = durable_chain(fs, &heads.chain);
	if (rc == 0)
		rc = audit_head_list(fs->meta, *position, tlog_size(fs), put_head, &heads);
	key_chain_clear(&heads.chain);
	return meta_end(fs->meta, rc);
}

/* ---- tiles ---- */

static uint64_t pruned(struct filesystem *fs) {
	meta_begin(fs->meta);
	uint64_t count = audit_pruned(fs->meta);
	(void)meta_end(fs->meta, 0);
	return count;
}

static int open_pruned(struct filesystem *fs, struct virtual_file *ret) {
	char text[24];
	int length = snprintf(text, sizeof text, "%" PRIu64 "\n", pruned(fs));
	return text_of(text, (size_t)length, ret);
}

/* Whether the log is long enough by now. */
static bool is_there(struct filesystem *fs, const struct tile *tile) {
	return tile->width <= tile_width(tlog_size(fs), tile->is_entries ? 0 : tile->level, tile->index);
}

/* -ENOENT: they were pruned, as whole tiles are. One operation, so that none is pruned meanwhile. */
static int each_entry(struct filesystem *fs, const struct tile *tile, audit_fn fn, void *arg) {
	uint64_t first = tile->index * TILE_WIDTH;
	const struct audit_filter filter = {.from_seq = first, .before_seq = first + tile->width};
	meta_begin(fs->meta);
	return meta_end(fs->meta, first < audit_pruned(fs->meta) ? -ENOENT : audit_query(fs->meta, &filter, fn, arg));
}

static int open_hashes(struct filesystem *fs, const struct tile *tile, struct virtual_file *ret) {
	uint8_t hashes[AUDIT_TILE_HASHES * AUDIT_HASH_BYTES];
	size_t count = 0;
	meta_begin(fs->meta);
	int rc = meta_end(fs->meta, audit_tile(fs->meta, tile->level, tile->index, hashes, &count));
	if (rc == 0 && count < tile->width)
		rc = fault(EUCLEAN, "audit: tile %u/%" PRIu64 " has %zu hashes instead of %u", tile->level, tile->index,
		        count, tile->width);
	return rc < 0 ? rc : text_of((const char *)hashes, (size_t)tile->width * AUDIT_HASH_BYTES, ret);
}

struct bundle {
	char *text;
	size_t used, room;
	unsigned count;
};

static int count_entry(void *arg, const struct audit_entry *entry) {
	*(uint64_t *)arg += entry->line_length + 2;
	return 0;
}

/* Programs that copy believe a size that is not 0, and some believe 0, too. */
static int stat_tile(struct filesystem *fs, const struct tile *tile, struct node *ret) {
	if (!is_there(fs, tile))
		return -ENOENT;
	ret->size = (uint64_t)tile->width * AUDIT_HASH_BYTES;
	if (!tile->is_entries)
		return 0;
	ret->size = 0;
	return each_entry(fs, tile, count_entry, &ret->size);
}

/* An entry is its length (u16, big-endian), then its bytes. */
static int put_entry(void *arg, const struct audit_entry *entry) {
	struct bundle *bundle = arg;
	size_t size = entry->line_length + 2;
	if (bundle->room - bundle->used < size) {
		size_t room = 2 * bundle->room + size;
		char *grown = realloc(bundle->text, room);
		if (!grown)
			return fault(ENOMEM, "reading the audit log");
		bundle->text = grown;
		bundle->room = room;
	}
	uint8_t *at = (uint8_t *)bundle->text + bundle->used;
	at[0] = (uint8_t)(entry->line_length >> 8);
	at[1] = (uint8_t)entry->line_length;
	memcpy(at + 2, entry->line, entry->line_length);
	bundle->used += size;
	bundle->count++;
	return 0;
}

static int open_entries(struct filesystem *fs, const struct tile *tile, struct virtual_file *ret) {
	struct bundle bundle = {0};
	uint64_t first = tile->index * TILE_WIDTH;
	int rc = each_entry(fs, tile, put_entry, &bundle);
	if (rc == 0 && bundle.count != tile->width)
		rc = fault(EUCLEAN, "audit: of the records %" PRIu64 " to %" PRIu64 " there are %u", first,
		        first + tile->width - 1, bundle.count);
	if (rc < 0) {
		free(bundle.text);
		return rc;
	}
	*ret = (struct virtual_file){.text = bundle.text, .text_size = bundle.used};
	return 0;
}

/* ---- folders of tiles ---- */

/* "tile/0", "tile/entries/x001/x234", "tile/0/273.p": where tiles of one level lie. */
struct folder {
	bool is_top;  /* "tile" itself */
	bool is_part; /* "….p": the widths of one tile */
	bool is_entries;
	unsigned level;
	uint64_t prefix; /* the groups of digits on the way, as a number; of a part the tile's index */
	uint64_t first;  /* tile that is there */
	uint64_t hashes; /* of the level */
};

/* A folder's path is what tiles' paths begin with: so one is made of it and read. That of a tile's parts stays when it
 * is full: whoever began to read the log before still asks for one. */
static bool folder_parse(const char *path, uint64_t size, struct folder *ret) {
	char text[VIRTUAL_PATH_MAX + 8];
	struct tile tile;
	*ret = (struct folder){.is_top = strcmp(path, NAME_TILE) == 0};
	if (ret->is_top)
		return true;
	size_t length = strlen(path);
	ret->is_part = length > 2 && strcmp(path + length - 2, ".p") == 0;
	snprintf(text, sizeof text, "%s%s", path, ret->is_part ? "/1" : "/000");
	if (!tile_path_parse(text, &tile))
		return false;
	ret->is_entries = tile.is_entries;
	ret->level = tile.level;
	ret->prefix = ret->is_part ? tile.index : tile.index / 1000;
	ret->hashes = size >> (8 * tile.level);
	return tile_width(size, tile.level, tile.index) > 0;
}

/* The number with at least so many digits between the two words. */
static int emit_number(virtual_emit_fn emit, void *arg, const char *before, int digits, unsigned number,
        const char *behind, mode_t mode) {
	char name[16];
	snprintf(name, sizeof name, "%s%0*u%s", before, digits, number, behind);
	return emit(arg, bytes_of_string(name), mode);
}

static int list_levels(uint64_t size, virtual_emit_fn emit, void *arg) {
	int rc = emit(arg, bytes_of_string("entries"), S_IFDIR);
	for (unsigned level = 0; rc == 0 && level < TILE_LEVELS && size >> (8 * level); level++)
		rc = emit_number(emit, arg, "", 1, level, "", S_IFDIR);
	return rc;
}

/* Full tiles as files, the last one as a folder of widths, and folders of those with more digits. */
static int list_folder(const struct folder *folder, virtual_emit_fn emit, void *arg) {
	uint64_t full = folder->hashes / TILE_WIDTH, tiles = (folder->hashes + TILE_WIDTH - 1) / TILE_WIDTH;
	int rc = 0;
	for (unsigned digit = 0; rc == 0 && digit < 1000; digit++) {
		uint64_t index = folder->prefix * 1000 + digit;
		if (index >= folder->first && index < full)
			rc = emit_number(emit, arg, "", 3, digit, "", S_IFREG);
		else if (index >= full && index < tiles)
			rc = emit_number(emit, arg, "", 3, digit, ".p", S_IFDIR);
		if (rc == 0 && index > 0 && index * 1000 < tiles)
			rc = emit_number(emit, arg, "x", 3, digit, "", S_IFDIR);
	}
	return rc;
}

int tlog_list(struct filesystem *fs, const char *path, virtual_emit_fn emit, void *arg) {
	struct folder folder;
	uint64_t size = tlog_size(fs);
	if (!folder_parse(path, size, &folder))
		return -ENOENT;
	folder.first = folder.is_entries ? pruned(fs) / TILE_WIDTH : 0;
	if (folder.is_top)
		return list_levels(size, emit, arg);
	if (folder.is_part) {
		unsigned width = tile_width(size, folder.level, folder.prefix);
		return emit_number(emit, arg, "", 1, width < TILE_WIDTH ? width : width - 1, "", S_IFREG);
	}
	return list_folder(&folder, emit, arg);
}

int tlog_list_names(struct filesystem *fs, virtual_emit_fn emit, void *arg) {
	static const char *const files[] = {NAME_CHECKPOINT, NAME_CHECKPOINTS, NAME_KEY, NAME_PRUNED, NAME_SUCCESSIONS};
	int rc = 0;
	(void)fs;
	for (size_t i = 0; rc == 0 && i < sizeof files / sizeof *files; i++)
		rc = emit(arg, bytes_of_string(files[i]), S_IFREG);
	return rc ? rc : emit(arg, bytes_of_string(NAME_TILE), S_IFDIR);
}

/* ---- all of it ---- */

static int stat_text(int (*open)(struct filesystem *, struct virtual_file *), struct filesystem *fs, struct node *ret) {
	struct virtual_file file = {0};
	int rc = open(fs, &file);
	ret->size = file.text_size;
	free(file.text);
	return rc;
}

static int stat_head(struct filesystem *fs, struct node *ret) {
	struct audit_head head;
	char note[AUDIT_HEAD_NOTE_BYTES];
	int rc = last_head(fs, &head, note);
	if (rc < 0)
		return rc;
	ret->size = strlen(note);
	ret->mtime = ret->ctime = head.time_ns;
	return 0;
}

int tlog_stat(struct filesystem *fs, const char *path, struct node *ret) {
	struct tile tile;
	struct folder folder;
	uint64_t size = tlog_size(fs);
	ret->mode = S_IFREG | 0400;
	if (strcmp(path, NAME_CHECKPOINT) == 0)
		return stat_head(fs, ret);
	if (strcmp(path, NAME_KEY) == 0)
		return stat_text(open_key, fs, ret);
	if (strcmp(path, NAME_PRUNED) == 0)
		return stat_text(open_pruned, fs, ret);
	if (strcmp(path, NAME_SUCCESSIONS) == 0)
		return stat_text(open_successions, fs, ret);
	if (strcmp(path, NAME_CHECKPOINTS) == 0)
		return 0;
	if (tile_path_parse(path, &tile))
		return stat_tile(fs, &tile, ret);
	ret->mode = S_IFDIR | 0500;
	return folder_parse(path, size, &folder) ? 0 : -ENOENT;
}

int tlog_open(struct filesystem *fs, const char *path, struct virtual_file *ret) {
	struct tile tile;
	if (strcmp(path, NAME_CHECKPOINT) == 0)
		return open_checkpoint(fs, ret);
	if (strcmp(path, NAME_CHECKPOINTS) == 0)
		return lines_open(fs, more_heads, 0, ret);
	if (strcmp(path, NAME_KEY) == 0)
		return open_key(fs, ret);
	if (strcmp(path, NAME_PRUNED) == 0)
		return open_pruned(fs, ret);
	if (strcmp(path, NAME_SUCCESSIONS) == 0)
		return open_successions(fs, ret);
	if (!tile_path_parse(path, &tile) || !is_there(fs, &tile))
		return -ENOENT;
	return tile.is_entries ? open_entries(fs, &tile, ret) : open_hashes(fs, &tile, ret);
}
