/*
 * usage: how often files were sealed and opened, as a cloud would bill it: a version that is sealed would have been a
 * PUT, a regular file that is opened for reading a GET. Counts since the vault was opened; each may be added to and
 * read by any thread, without a lock. An operation that is undone stays counted: it was asked for.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "backend/meta.h"
#include "backend/zone.h"

#define USAGE_ZONES (ZONE_STAGING + 1)

struct usage {
	_Atomic uint64_t puts[USAGE_ZONES], gets[USAGE_ZONES];
};

/* Counts one; a zone that is none counts for ZONE_NONE. */
static inline void usage_put(struct usage *usage, unsigned zone) {
	atomic_fetch_add_explicit(&usage->puts[zone < USAGE_ZONES ? zone : 0], 1, memory_order_relaxed);
}
static inline void usage_get(struct usage *usage, unsigned zone) {
	atomic_fetch_add_explicit(&usage->gets[zone < USAGE_ZONES ? zone : 0], 1, memory_order_relaxed);
}

/* What was counted in this vault; lives as long as the Meta. Any thread, without the lock. */
struct usage *meta_usage(Meta *m);
