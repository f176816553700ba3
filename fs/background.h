/*
 * background: a process that goes on behind its parent's back, after it has said how its start went.
 */
#pragma once

#include <stdbool.h>

/* The child's end; in the foreground everything here does nothing. */
struct background {
	int report; /* pipe to the parent, -1: none (any more) */
};

/*
 * Forks. In the child (and, with `foreground`, in this process) returns 1 with *ret filled. In the parent waits until
 * the child reports or dies and returns 0, or the child's -errno with its words. Call it while there is one thread.
 */
int background_fork(bool foreground, struct background *ret);

/* In the child, once: rc 0: it is up; the parent returns, and this process leaves its terminal, session and directory.
 * rc < 0: the thread's fault words go to the parent with it. */
void background_report(struct background *background, int rc);
