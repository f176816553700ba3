/* confine: what the process that speaks HTTP takes away from itself, once it listens and holds its lanes. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* Leaves open `fds` alone, which become 3, 4, … in order; /dev/null as standard input, output, error. 0 or -errno. */
int confine_descriptors(const int *fds, size_t count);

/* No files, no new connections (a network of its own; the listening socket stays in the old one), nobody's user where
 * it was root, low priority, `connections` descriptors, a bounded memory; dies with `parent`. -ESRCH: it is gone. */
int confine_process(pid_t parent, unsigned connections);

/* Last: only the system calls that serving needs; others fail with EPERM. -EPERM: no filter could be set. */
int confine_calls(void);
