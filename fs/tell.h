/*
 * tell: the words of a refusal, for the person whose program only gets an errno.
 *
 * A file system can answer close(2) with EPERM but not with a sentence. So the sentence goes, in one line, to the
 * standard error of the refused process when that is a terminal or a pipe; never to a file, never to a terminal that
 * the process does not hold itself for writing, and never waiting: a full pipe or a stopped terminal loses the line,
 * not time. Control bytes in names are replaced, so that a name can't drive the terminal.
 */
#pragma once

#include <sys/types.h>

/* Writes "assayfs: WORDS\n" to standard error of process `pid`, which waits for our reply. Best effort. */
void tell_process(pid_t pid, const char *words);

/* With rc of -EPERM tells the process what fault() last said in this thread. Returns rc. */
int tell_refusal(pid_t pid, int rc);
