/*
 * Uses are counted in two counters that take turns. A waiter changes the turn and waits until the other counter is
 * empty, twice: a thread that drew its turn long ago may count itself where nobody looks in the first round. One that
 * counts itself only after the waiter looked takes or makes its references after that, too, and is no matter.
 */
#include "backend/segment_watch.h"
#include "backend/segment_internal.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define WAIT_MS 1000

uint64_t segment_appended(SegmentStore *s) {
	pthread_mutex_lock(&s->lock);
	uint64_t appended = s->appended;
	pthread_mutex_unlock(&s->lock);
	return appended;
}

/* Lock held. */
static bool is_closed(const struct segment *segment) {
	return segment && segment->told && segment->told_state != SEGMENT_OPEN && !segment->active;
}

int segment_closed_list(SegmentStore *s, struct segment_row **ret_rows, size_t *ret_count) {
	size_t n = 0;
	pthread_mutex_lock(&s->lock);
	for (uint32_t i = 0; i < s->table_size; i++)
		n += is_closed(s->table[i]);
	struct segment_row *rows = calloc(n ? n : 1, sizeof *rows);
	size_t count = 0;
	for (uint32_t i = 0; rows && i < s->table_size; i++) {
		if (is_closed(s->table[i]))
			rows[count++] = s->table[i]->row;
	}
	pthread_mutex_unlock(&s->lock);
	if (!rows)
		return fault(ENOMEM, "no memory to list %zu segments", n);
	*ret_rows = rows;
	*ret_count = count;
	return 0;
}

/* Lock held. */
static struct segment *find(const SegmentStore *s, uint32_t number) {
	return number < s->table_size ? s->table[number] : NULL;
}

bool segment_is_known(SegmentStore *s, uint32_t number) {
	pthread_mutex_lock(&s->lock);
	bool known = find(s, number) != NULL;
	pthread_mutex_unlock(&s->lock);
	return known;
}

uint32_t segment_next(SegmentStore *s, uint32_t number) {
	pthread_mutex_lock(&s->lock);
	uint32_t next = number < UINT32_MAX ? number + 1 : s->table_size;
	while (next < s->table_size && !s->table[next])
		next++;
	next = next < s->table_size ? next : 0;
	pthread_mutex_unlock(&s->lock);
	return next;
}

/* ---- notes ---- */

void segment_watch_begin(SegmentStore *s) {
	pthread_mutex_lock(&s->lock);
	s->watch.round++;
	s->watch.is_on = true;
	pthread_mutex_unlock(&s->lock);
}

void segment_watch_end(SegmentStore *s) {
	s->watch.is_on = false;
}

void segment_note(SegmentStore *s, const struct block_ref *refs, size_t n) {
	if (!s->watch.is_on)
		return;
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < n; i++) {
		struct segment *segment = find(s, refs[i].segment);
		if (segment)
			segment->noted = s->watch.round;
	}
	pthread_mutex_unlock(&s->lock);
}

bool segment_noted(SegmentStore *s, uint32_t number) {
	pthread_mutex_lock(&s->lock);
	const struct segment *segment = find(s, number);
	bool noted = segment && segment->noted == s->watch.round;
	pthread_mutex_unlock(&s->lock);
	return noted;
}

/* ---- uses ---- */

unsigned segment_use_begin(SegmentStore *s) {
	unsigned turn = s->watch.turn & 1;
	s->watch.uses[turn]++;
	return turn;
}

void segment_use_end(SegmentStore *s, unsigned turn) {
	s->watch.uses[turn]--;
}

static int wait_twice(SegmentStore *s) {
	static const struct timespec nap = {.tv_nsec = 1000000};
	int naps = 0;
	for (int i = 0; i < 2; i++) {
		unsigned old = s->watch.turn++ & 1;
		for (; s->watch.uses[old] > 0; naps++) {
			if (naps == WAIT_MS)
				return -EAGAIN;
			nanosleep(&nap, NULL);
		}
	}
	return 0;
}

/* Two that change the turn in between each other could both miss a counter. */
int segment_uses_wait(SegmentStore *s) {
	pthread_mutex_lock(&s->watch.waiting);
	int rc = wait_twice(s);
	pthread_mutex_unlock(&s->watch.waiting);
	return rc;
}

/* ---- leaving ---- */

int segment_forget(SegmentStore *s, uint32_t number, char ret_name[static SEGMENT_NAME_BYTES]) {
	pthread_mutex_lock(&s->lock);
	struct segment *segment = find(s, number);
	int rc = 0;
	if (!is_closed(segment))
		rc = fault(ENOENT, "the vault has no closed segment %u", number);
	else if (segment->users > 0)
		rc = -EBUSY;
	if (rc == 0) {
		segment_file_name(segment->row.id, ret_name);
		segment_table_remove(s, segment);
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}
