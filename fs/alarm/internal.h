/* internal: what the parts of alarms share. */
#pragma once

#include "fs/alarm/alarms.h"

#include <pthread.h>
#include <stdatomic.h>

#define ALARMS_SENDERS_MAX 8
#define ALARMS_EVENTS 64

struct Alarms {
	struct alarms_options options;
	Meta *meta;
	char vault[2 * META_VAULT_ID_MAX + 1];
	pthread_mutex_t
	        round;        /* one evaluation, silence or test at a time; taken before `lock` and before meta_begin */
	pthread_mutex_t lock; /* all below; nothing is waited for while it is held */
	pthread_cond_t wake;
	pthread_t watcher, senders[ALARMS_SENDERS_MAX];
	size_t sender_count;
	bool has_watcher;
	bool stop, is_woken;
	uint64_t queued;                      /* grows when there may be something to send */
	uint64_t sending[ALARMS_SENDERS_MAX]; /* actions under way; 0: none */
	struct {
		const char *metric; /* of the table of metrics; NULL: none */
		int64_t time_s;
	} events[ALARMS_EVENTS];
	size_t next_event;
};

/* The retries' times, where none are given. */
extern const unsigned alarms_retry_ms[];
extern const size_t alarms_retry_count;

/* Of a sender's thread. */
void *alarms_send(void *alarms);

/* Tries a delivery once, signed now. */
int alarms_deliver(Alarms *a, const char *target, const char *id, const char *body, struct courier_outcome *ret);

/* Senders have something to look for. */
void alarms_queue(Alarms *a);

/* A record of the log in the running operation. */
int alarms_record(Alarms *a, const char *event, const struct actor *actor, const char *format, ...)
        __attribute__((format(printf, 4, 5)));
