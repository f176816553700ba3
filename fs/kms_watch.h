/*
 * kms_watch: while a vault is mounted that a key management service unlocked, the service is asked again and again for
 * the slot's key, so that who may switch that key off has a say about what is open, too.
 *
 *     thread, each minute:  the slot that unlocks is one of a service?  ─ no ──► nothing is watched
 *                               │ yes
 *                               ▼ Decrypt, with the environment that the mount was started with
 *        given     ──► up; recorded `kms-back` if it was not
 *        refused   ──► (disabled, to be deleted, gone, no right) the owner's word: the vault is locked at once
 *        away      ──► (nobody there, throttled, credentials that have expired, a clock that is off) recorded
 *                      `kms-away`; the vault stays as it is, for `offline_ms` at most if that is set
 *
 * All of it is in a thread of its own with limits of time (kms.h), so a service that hangs holds up nothing;
 * kms_watch_stop ends a call under way within a second or so. Time is CLOCK_BOOTTIME: asleep counts. Any thread.
 */
#pragma once

#include "backend/store.h"
#include "crypto/base/cleanup.h"

#include <stdbool.h>
#include <stdint.h>

/* How often a mount asks, in milliseconds: a minute. (A function, so that a test's program has another.) */
int64_t kms_watch_every_ms(void);

typedef struct KmsWatch KmsWatch;

struct kms_watch_options {
	Store *store;
	bool is_unrecorded;                      /* nothing can be recorded here */
	int64_t every_ms, offline_ms;            /* offline_ms 0: it stays open, however long the service is away */
	int (*lock)(void *arg, const char *why); /* locks the vault; 0 or -errno */
	void *arg;
};

/* Starts the thread; the first question is after every_ms, as the service has just been asked. -EAGAIN, -ENOMEM. */
int kms_watch_start(const struct kms_watch_options *options, KmsWatch **ret_watch);
/* Accepts NULL. */
void kms_watch_stop(KmsWatch *watch);
DEFINE_CLEANUP(KmsWatch, kms_watch_stop);

/* The vault was unlocked: by what, is asked anew, and what the time without the service counts from. Accepts NULL. */
void kms_watch_restart(KmsWatch *watch);

struct kms_watch_status {
	bool is_watched, is_up;
	int64_t last_success_s; /* since 1970 */
	int64_t offline_ms;     /* since the last success; 0 while it is up */
	int64_t most_ms;        /* after which the vault locks; 0: never */
	char words[300];        /* what it said last, unless it is up */
};
/* Accepts NULL: nothing is watched. */
void kms_watch_status(KmsWatch *watch, struct kms_watch_status *ret);
