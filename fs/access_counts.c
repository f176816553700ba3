#include "fs/access_counts.h"

#include "backend/audit.h"
#include "crypto/base/fault.h"
#include "fs/audit_kinds.h"
#include "fs/unusual.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Users beyond these are judged as unknown ones. A power of two, twice as many as are held. */
#define SLOTS 2048

struct user {
	uint32_t uid;
	uint32_t hours[UNUSUAL_HOURS];
	uint64_t records; /* 0: an empty slot */
	int64_t first_ns;
};

struct AccessCounts {
	Store *store;
	_Atomic uint64_t denied, unusual;
	_Atomic int32_t offset_s;
	struct user users[SLOTS]; /* of the watcher alone, which the meta's lock keeps apart */
	size_t user_count;
	uint64_t told_denied, told_unusual, told_failures; /* of the collector */
};

/* NULL: there are too many others. */
static struct user *user_of(AccessCounts *c, uint32_t uid, int64_t time_ns) {
	size_t at = (size_t)(uid * UINT64_C(0x9e3779b97f4a7c15) >> 40) % SLOTS;
	for (; c->users[at].records; at = (at + 1) % SLOTS)
		if (c->users[at].uid == uid)
			return &c->users[at];
	if (c->user_count == SLOTS / 2)
		return NULL;
	c->user_count++;
	c->users[at] = (struct user){.uid = uid, .first_ns = time_ns};
	return &c->users[at];
}

static bool is_unusual(const struct user *user, unsigned hour, int64_t time_ns) {
	bool is_known = user && unusual_knows(user->records, time_ns - user->first_ns);
	return unusual_is(is_known, user ? user->hours[hour] : 0, user ? user->records : 0, hour);
}

static bool is_access(const struct audit_event *event, bool is_denied) {
	return is_denied ||
	       audit_record_kind(event->event, event->detail, false, event->version != 0).kind != AUDIT_KIND_OTHER;
}

/* The detail of a grant: "grant 3: steward to uid 1000, until …". */
static bool breaks_glass(const struct audit_event *event) {
	char words[32];
	if (strcmp(event->event, "grant") != 0 || !event->detail)
		return false;
	(void)snprintf(words, sizeof words, " to uid %" PRIu32 ",", event->actor.uid);
	return strstr(event->detail, words) != NULL;
}

static void watch(void *arg, const struct audit_event *event, int64_t time_ns) {
	AccessCounts *c = arg;
	/* A file that did not pass is refused, too, but nobody's access. */
	const bool is_denied =
	        event->outcome && strcmp(event->outcome, "denied") == 0 && strcmp(event->event, "verdict") != 0;
	if (is_denied)
		atomic_fetch_add_explicit(&c->denied, 1, memory_order_relaxed);
	if (event->actor.pid == 0)
		return; /* the mount by itself */
	const unsigned hour = unusual_hour_of(time_ns, atomic_load_explicit(&c->offset_s, memory_order_relaxed));
	struct user *user = user_of(c, event->actor.uid, time_ns);
	bool unusual = (is_unusual(user, hour, time_ns) && is_access(event, is_denied)) || breaks_glass(event);
	if (unusual)
		atomic_fetch_add_explicit(&c->unusual, 1, memory_order_relaxed);
	if (user) {
		user->records++;
		user->hours[hour]++;
	}
}

int access_counts_new(Store *store, AccessCounts **ret_counts) {
	AccessCounts *c = calloc(1, sizeof *c);
	if (!c)
		return fault(ENOMEM, "counting accesses: out of memory");
	Meta *m = store_meta(store);
	c->store = store;
	meta_begin(m);
	audit_watch(m, watch, c);
	(void)meta_end(m, 0);
	*ret_counts = c;
	return 0;
}

void access_counts_free(AccessCounts *counts) {
	if (!counts)
		return;
	Meta *m = store_meta(counts->store);
	meta_begin(m);
	audit_watch(m, NULL, NULL);
	(void)meta_end(m, 0);
	free(counts);
}

uint64_t access_counts_denied(const AccessCounts *counts) {
	return atomic_load(&counts->denied);
}

uint64_t access_counts_unusual(const AccessCounts *counts) {
	return atomic_load(&counts->unusual);
}

void access_counts_zone(AccessCounts *counts, int32_t offset_s) {
	atomic_store(&counts->offset_s, offset_s);
}

static void emit_since(struct sampler_round *round, const char *name, uint64_t now, uint64_t *told) {
	sampler_emit(round, name, "", (double)(now - *told));
	*told = now;
}

int access_counts_collect(void *arg, struct sampler_round *round) {
	AccessCounts *c = arg;
	struct store_audit_window window;
	struct tm local = {0};
	const time_t now = (time_t)sampler_now(round);
	if (localtime_r(&now, &local))
		access_counts_zone(c, (int32_t)local.tm_gmtoff);
	store_audit_window(c->store, &window);
	emit_since(round, "DeniedAccesses", access_counts_denied(c), &c->told_denied);
	emit_since(round, "UnusualAccesses", access_counts_unusual(c), &c->told_unusual);
	emit_since(round, "AuditFailures", window.refused, &c->told_failures);
	return 0;
}
