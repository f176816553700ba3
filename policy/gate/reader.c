/* reader: how the gate reads what users left there: not without end, not when nobody wants it any more, and holes stay
 * holes. */
#include "policy/gate/internal.h"

#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- is it still wanted? ---- */

enum { LOOK_EVERY_MS = 500 };

/* What shows a newer version by now is still judged to the end: or a file that is appended to all the time never would
 * be. */
static int take_state(void *arg, const struct job *job) {
	*(uint8_t *)arg = job->state;
	return 0;
}

/* Its run was ended meanwhile. */
static bool is_withdrawn(Meta *m, const struct gate_watch *watch) {
	uint8_t state = JOB_RUNNING;
	int rc = watch->job->id ? job_get(m, watch->job->id, take_state, &state) : 0;
	return rc >= 0 && state == JOB_SUPERSEDED;
}

static bool is_gone(Meta *m, const struct gate_watch *watch) {
	struct node node;
	if (is_withdrawn(m, watch))
		return true;
	int rc = tree_resolve(m, bytes_of_string(watch->path), &node);
	return rc == -ENOENT || rc == -ENOTDIR || (rc >= 0 && node.id != watch->job->node);
}

int gate_watch_look(void *arg) {
	struct gate_watch *watch = arg;
	if (gate_is_stopping(watch->gate))
		return fault(ECANCELED, "the mount ends");
	if (!watch->job || monotonic_ms() < watch->next_look_ms)
		return 0;
	watch->next_look_ms = monotonic_ms() + LOOK_EVERY_MS;
	Meta *m = store_meta(watch->gate->store);
	meta_begin(m);
	bool gone = is_gone(m, watch);
	int rc = meta_end(m, 0);
	return rc < 0 || !gone ? rc : fault(ECANCELED, "the name is gone");
}

/* ---- reading ---- */

/* Where the next data is, if what was known of it is used up. */
static int find_data(struct gate_reader *r, uint64_t size) {
	if (r->offset < r->data_end)
		return 0;
	int rc = content_next_data(r->source, r->offset, &r->data_start, &r->data_end);
	if (rc == -ENXIO)
		r->data_start = r->data_end = size;
	return rc == -ENXIO ? 0 : rc;
}

static int read_data(struct gate_reader *r, uint8_t *buffer, size_t size, size_t *ret_got) {
	uint64_t left = r->data_end - r->offset;
	return content_read(r->source, r->offset, buffer, size < left ? size : (size_t)left, ret_got);
}

/* A hole at the end is nothing that was written. */
static int end_copy(struct gate_reader *r) {
	return r->copy && content_size(r->copy) < r->given ? content_truncate(r->copy, r->given) : 0;
}

/* One piece, of data or of a hole; it may come to nothing when rows are left out. */
static int read_piece(struct gate_reader *r, uint64_t total, uint8_t *buffer, size_t size, size_t *ret_kept) {
	size_t got = 0;
	int rc = find_data(r, total);
	if (rc < 0)
		return rc;
	bool is_hole = r->offset < r->data_start;
	if (is_hole) {
		uint64_t left = r->data_start - r->offset;
		got = size < left ? size : (size_t)left;
		memset(buffer, 0, got);
	} else {
		rc = read_data(r, buffer, size, &got);
	}
	if (rc < 0)
		return rc;
	size_t kept = row_rest_squeeze(&r->rest, r->offset, buffer, got);
	r->offset += got;
	if (r->copy && !is_hole && kept > 0)
		rc = content_write(r->copy, r->given, bytes_of(buffer, kept));
	r->given += kept;
	*ret_kept = kept;
	return rc;
}

ssize_t gate_read(void *context, void *buffer, size_t size) {
	struct gate_reader *r = context;
	uint64_t total = content_size(r->source);
	size_t kept = 0;
	while (kept == 0) {
		int rc = r->watch ? gate_watch_look(r->watch) : 0;
		if (rc >= 0 && r->offset >= total)
			return end_copy(r);
		if (rc >= 0)
			rc = read_piece(r, total, buffer, size, &kept);
		if (rc < 0)
			return rc;
	}
	return (ssize_t)kept;
}

int gate_read_again(void *context) {
	struct gate_reader *r = context;
	*r = (struct gate_reader){.source = r->source, .watch = r->watch, .rest.without = r->rest.without};
	return 0;
}

/* ---- what is not read at all ---- */

int gate_unfit(Content *content, struct gate_watch *watch, char ret_words[static GATE_WORDS_BYTES]) {
	uint64_t size = content_size(content), holes = 0, start = 0, end = 0;
	ret_words[0] = '\0';
	if (size > GATE_FILE_BYTES_MAX) {
		snprintf(ret_words, GATE_WORDS_BYTES,
		        "not read: it is %" PRIu64 " bytes long, and a file that is judged may have %" PRIu64 " GiB",
		        size, GATE_FILE_BYTES_MAX >> 30);
		return 0;
	}
	for (uint64_t offset = 0; offset < size && holes <= GATE_HOLE_BYTES_MAX; offset = end) {
		int rc = watch ? gate_watch_look(watch) : 0;
		if (rc >= 0)
			rc = content_next_data(content, offset, &start, &end);
		if (rc == -ENXIO)
			start = end = size;
		else if (rc < 0)
			return rc;
		holes += start - offset;
	}
	if (holes > GATE_HOLE_BYTES_MAX)
		snprintf(ret_words, GATE_WORDS_BYTES,
		        "not read: more than %" PRIu64 " MiB of its %" PRIu64
		        " bytes are holes, which were never written; write it whole",
		        GATE_HOLE_BYTES_MAX >> 20, size);
	return 0;
}

/* `path` names a component of the way to the file's place in a zone; ret_words stays as it is when nothing stands in
 * the way. */
static int look_in_the_way(Meta *m, const char *path, bool is_last, char ret_words[static GATE_WORDS_BYTES]) {
	struct node node;
	int rc = tree_resolve(m, bytes_of_string(path), &node);
	if (rc < 0)
		return rc;
	if (is_last ? S_ISREG(node.mode) : S_ISDIR(node.mode))
		return 0;
	snprintf(ret_words, GATE_WORDS_BYTES,
	        "not read: %.300s is a %s since an earlier file came under that name, and stays one; give this file "
	        "another name",
	        path, S_ISDIR(node.mode) ? "directory" : "file");
	return 0;
}

int gate_blocked(Meta *m, enum zone zone, const char *below, char ret_words[static GATE_WORDS_BYTES]) {
	char path[TREE_PATH_MAX + 8];
	int rc = 0;
	ret_words[0] = '\0';
	for (const char *end = below; rc >= 0 && !ret_words[0] && end; end = *end ? end + 1 : NULL) {
		end += strcspn(end, "/");
		snprintf(path, sizeof path, "%s/%.*s", zone_name(zone), (int)(end - below), below);
		rc = look_in_the_way(m, path, !*end, ret_words);
	}
	return rc == -ENOENT ? 0 : rc;
}
