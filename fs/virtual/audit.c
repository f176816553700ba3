#include "fs/virtual/providers.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "backend/audit.h"
#include "crypto/base/fault.h"
#include "fs/filesystem.h"
#include "fs/virtual/times.h"

#define DAY_SUFFIX ".jsonl"
/* What one query renders at most before the meta lock is given back. */
#define BATCH_BYTES (256u << 10)

/*
 * A reader goes through the day in order; a cursor remembers which record comes next and the bytes already rendered.
 * Going back starts anew from the day's first record.
 */
struct day_reader {
	struct filesystem *fs;
	int64_t since;
	uint64_t next_seq;
	uint64_t offset; /* in the file, of buffer's first byte */
	size_t used;     /* bytes in the buffer */
	size_t capacity;
	char *buffer;
	bool end;
};

static int keep_line(void *arg, const struct audit_entry *entry) {
	struct day_reader *reader = arg;
	if (reader->used + entry->line_length + 1 > reader->capacity)
		return 1;
	memcpy(reader->buffer + reader->used, entry->line, entry->line_length);
	reader->used += entry->line_length;
	reader->buffer[reader->used++] = '\n';
	reader->next_seq = entry->seq + 1;
	return 0;
}

/* Only what is durable: what a crash could take back is not served. (0 would mean all.) */
static uint64_t durable_end(struct filesystem *fs) {
	uint64_t records = store_durable_seq(fs->store);
	return records ? records : 1;
}

static struct audit_filter day_filter(struct filesystem *fs, int64_t since, uint64_t from_seq) {
	return (struct audit_filter){.has_since = true,
	        .has_until = true,
	        .since = since,
	        .until = since + VIRTUAL_DAY_NS,
	        .from_seq = from_seq,
	        .before_seq = durable_end(fs)};
}

static int refill(struct day_reader *reader) {
	reader->offset += reader->used;
	reader->used = 0;
	struct audit_filter filter = day_filter(reader->fs, reader->since, reader->next_seq);
	meta_begin(reader->fs->meta);
	int rc = meta_end(reader->fs->meta, audit_query(reader->fs->meta, &filter, keep_line, reader));
	reader->end = reader->used == 0;
	return rc;
}

static void rewind_day(struct day_reader *reader) {
	reader->next_seq = 0;
	reader->offset = 0;
	reader->used = 0;
}

static int read_day(void *state, uint64_t offset, uint8_t *out, size_t size, size_t *ret_got) {
	struct day_reader *reader = state;
	size_t got = 0;
	int rc = 0;
	if (offset < reader->offset)
		rewind_day(reader);
	reader->end = false;
	while (got < size) {
		if (offset + got >= reader->offset + reader->used) {
			rc = refill(reader);
			if (rc < 0 || reader->end)
				break;
			continue;
		}
		size_t from = (size_t)(offset + got - reader->offset);
		size_t part = reader->used - from < size - got ? reader->used - from : size - got;
		memcpy(out + got, reader->buffer + from, part);
		got += part;
	}
	*ret_got = got;
	return rc;
}

static void close_day(void *state) {
	struct day_reader *reader = state;
	free(reader->buffer);
	free(reader);
}

static bool parse_name(const char *name, int64_t *ret_since) {
	char day[16];
	size_t length = strlen(name);
	if (length != 10 + sizeof DAY_SUFFIX - 1 || strcmp(name + 10, DAY_SUFFIX) != 0)
		return false;
	memcpy(day, name, 10);
	day[10] = '\0';
	return virtual_parse_day(day, ret_since);
}

static int open_day(struct filesystem *fs, const char *path, struct virtual_file *ret) {
	int64_t since;
	if (!parse_name(path, &since))
		return -ENOENT;
	struct day_reader *reader = calloc(1, sizeof *reader);
	if (reader)
		reader->buffer = malloc(BATCH_BYTES);
	if (!reader || !reader->buffer) {
		free(reader);
		return fault(ENOMEM, "reading the audit log");
	}
	*reader = (struct day_reader){.fs = fs, .since = since, .capacity = BATCH_BYTES, .buffer = reader->buffer};
	*ret = (struct virtual_file){.read = read_day, .close = close_day, .state = reader};
	return 0;
}

static int keep_time(void *arg, const struct audit_entry *entry) {
	*(int64_t *)arg = entry->time_ns;
	return 1;
}

/* Time of the first or the last durable record of [since, until); -ENOENT when there is none. */
static int edge(struct filesystem *fs, int64_t since, int64_t until, bool last, int64_t *ret) {
	struct audit_filter filter = {.has_since = true,
	        .has_until = true,
	        .since = since,
	        .until = until,
	        .before_seq = durable_end(fs),
	        .limit = 1,
	        .newest_first = last};
	int64_t time = -1;
	meta_begin(fs->meta);
	int rc = meta_end(fs->meta, audit_query(fs->meta, &filter, keep_time, &time));
	if (rc < 0)
		return rc;
	if (time < 0)
		return -ENOENT;
	*ret = time;
	return 0;
}

/* mtime is the last record's, so that `tail -f` sees that there is more; the size is not known without reading all. */
static int stat_audit(struct filesystem *fs, const char *path, struct node *ret) {
	*ret = (struct node){.mode = S_IFDIR | 0500, .uid = fs->owner_uid, .gid = fs->owner_gid};
	if (path[0] == '\0')
		return 0;
	int64_t since;
	if (!parse_name(path, &since))
		return -ENOENT;
	ret->mode = S_IFREG | 0400;
	int rc = edge(fs, since, since + VIRTUAL_DAY_NS, true, &ret->mtime);
	ret->ctime = ret->mtime;
	return rc;
}

/* The days that have records: one small query a day with records, whatever the gaps between them. */
static int list_audit(struct filesystem *fs, const char *path, virtual_emit_fn emit, void *arg) {
	if (path[0] != '\0')
		return -ENOTDIR;
	int64_t time = 0;
	int rc;
	while ((rc = edge(fs, time, INT64_MAX, false, &time)) == 0) {
		char name[32];
		virtual_day_name(time, name);
		memcpy(name + 10, DAY_SUFFIX, sizeof DAY_SUFFIX);
		rc = emit(arg, bytes_of_string(name), S_IFREG);
		if (rc != 0)
			return rc;
		time = (time / VIRTUAL_DAY_NS + 1) * VIRTUAL_DAY_NS;
	}
	return rc == -ENOENT ? 0 : rc;
}

const struct virtual_provider virtual_audit = {
        .name = "audit", .stat = stat_audit, .list = list_audit, .open = open_day};
