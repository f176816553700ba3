#include "fs/virtual/providers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "backend/audit.h"
#include "crypto/base/fault.h"
#include "fs/filesystem.h"
#include "fs/virtual/lines.h"
#include "fs/virtual/times.h"
#include "fs/virtual/tlog.h"

#define DAY_SUFFIX ".jsonl"
struct day {
	struct lines *lines;
	uint64_t next_seq;
};

static int keep_line(void *arg, const struct audit_entry *entry) {
	struct day *day = arg;
	if (!lines_put(day->lines, entry->line, entry->line_length))
		return 1;
	day->next_seq = entry->seq + 1;
	return 0;
}

/* Only what is durable: what a crash could take back is not served. (0 would mean all.) */
static uint64_t durable_end(struct filesystem *fs) {
	uint64_t records = tlog_size(fs);
	return records ? records : 1;
}

/* The position is the sequence of the next record. */
static int more_of_day(struct filesystem *fs, int64_t since, uint64_t *position, struct lines *lines) {
	struct day day = {.lines = lines, .next_seq = *position};
	const struct audit_filter filter = {.has_since = true,
	        .has_until = true,
	        .since = since,
	        .until = since + VIRTUAL_DAY_NS,
	        .from_seq = *position,
	        .before_seq = durable_end(fs)};
	meta_begin(fs->meta);
	int rc = meta_end(fs->meta, audit_query(fs->meta, &filter, keep_line, &day));
	*position = day.next_seq;
	return rc;
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

static int open_audit(struct filesystem *fs, const char *path, struct virtual_file *ret) {
	int64_t since;
	return parse_name(path, &since) ? lines_open(fs, more_of_day, since, ret) : tlog_open(fs, path, ret);
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
		return tlog_stat(fs, path, ret);
	ret->mode = S_IFREG | 0400;
	int rc = edge(fs, since, since + VIRTUAL_DAY_NS, true, &ret->mtime);
	ret->ctime = ret->mtime;
	return rc;
}

/* The days that have records: one small query a day with records, whatever the gaps between them. */
static int list_days(struct filesystem *fs, virtual_emit_fn emit, void *arg) {
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

static int list_audit(struct filesystem *fs, const char *path, virtual_emit_fn emit, void *arg) {
	if (path[0] != '\0')
		return tlog_list(fs, path, emit, arg);
	int rc = list_days(fs, emit, arg);
	return rc ? rc : tlog_list_names(fs, emit, arg);
}

const struct virtual_provider virtual_audit = {
        .name = "audit", .stat = stat_audit, .list = list_audit, .open = open_audit};
