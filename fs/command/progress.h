/*
 * progress: a line on the terminal that shows how far long work has come.
 *
 *     checking segments  [=========>          ]  47%  1.2 GiB of 2.6 GiB  310 MiB/s  4 s left
 *
 * It is drawn on stderr at most ten times a second, and only when stderr is a terminal that can go back to the start of
 * a line; otherwise nothing is written, so a log or a pipe sees only results. One thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct Progress Progress;

enum progress_unit { PROGRESS_COUNT, PROGRESS_BYTES };

/* Begins. total 0: not known (no bar, no time left). NULL when memory is out, which all calls below accept. `label` is
 * borrowed. */
Progress *progress_begin(const char *label, enum progress_unit unit, uint64_t total);

/* As progress_begin, drawing on `fd` with the clock given: for tests. `is_terminal` false: draws nothing. */
Progress *progress_begin_on(
        int fd, bool is_terminal, int64_t (*now_ns)(void), const char *label, enum progress_unit unit, uint64_t total);

/* How much is done by now, of how much; and perhaps another label. */
void progress_set(Progress *progress, uint64_t done, uint64_t total);
void progress_label(Progress *progress, const char *label);

/* Takes the line away: to be called before anything else is written to the terminal. The next progress_set draws it
 * again. */
void progress_hide(Progress *progress);

/* Takes the line away and frees. */
void progress_end(Progress *progress);
static inline void progress_endp(Progress **slot) {
	progress_end(*slot);
	*slot = 0;
}
