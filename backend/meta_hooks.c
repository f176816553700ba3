/* Who is told of what happens to operations and commits, and how many there are. */
#include "backend/meta_private.h"

void meta_on_seal(Meta *m, int (*sealed)(void *arg, int64_t time_ns), void *arg) {
	m->sealed = sealed;
	m->sealed_arg = arg;
}

void meta_on_end(Meta *m, void (*ended)(void *arg, bool is_kept), void *arg) {
	m->ended = ended;
	m->ended_arg = arg;
}

uint64_t meta_commit_id(const Meta *m) {
	return m->last.commit + 1;
}

uint64_t meta_pending(const Meta *m) {
	return m->pending;
}
