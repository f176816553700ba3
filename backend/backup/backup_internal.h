/*
 * backup_internal: what backup.c (targets come and go, questions) and shipper.c (the thread of one) share. Nobody else
 * includes it.
 */
#pragma once

#include "backend/backup/apart.h"
#include "backend/backup/backup.h"
#include "backend/backup/retain.h"
#include "backend/backup/ship.h"
#include "backend/backup/targets.h"

#include <pthread.h>

/* One target and its thread. Guarded by Backup.lock but for `ship`, which is the thread's (its atomics are anyone's).
 */
struct shipper {
	Backup *backup;
	struct backup_target rule;
	uint32_t zones; /* with staging */
	pthread_t thread;
	bool is_running, has_ended;
	bool stop;        /* at once */
	int64_t end_ns;   /* monotonic: ship what is committed until then, and end; 0: go on */
	bool urgent;      /* somebody waits */
	uint64_t tries;   /* attempts that have ended */
	Objects *objects; /* the thread uses it; others only stop it */
	struct ship ship;
	bool has_begun;  /* ship_begin came, and no error since */
	bool is_new;     /* backup_add began it, and no generation was put yet: its place may be empty */
	bool had_lost;   /* segments that can't be read here, after the last attempt */
	int64_t lost_ns; /* monotonic: when what could not be read here is tried again */
	uint64_t first;  /* the commit at which the thread began */
	Retain *retain;  /* the thread's */
	int64_t pass_ns; /* monotonic: when its next pass is due */
	/* How it stands; `target` and what is counted when it is asked are filled in then. */
	struct backup_status status;
	int rc; /* of the last attempt */
	/* What the generation has of segments that was shipped last, by this mount; number 0: none yet. */
	uint64_t shipped_number;
	struct segment_row *shipped;
	size_t shipped_count;
	struct bits files; /* of a rule with a prefix: nodes of what was below it at the last round */
	uint64_t versions; /* that there were at the checkpoint that is shipped */
	bool versions_known;
	int64_t pending_since;      /* monotonic: when it was seen that something is to be shipped; 0 */
	int64_t took_ns;            /* the last round */
	int64_t tried_ns, retry_ns; /* monotonic: when the last attempt ended; when it is tried again after a failure */
	unsigned failures;          /* in a row */
};

struct Backup {
	Store *store;
	struct backup_options options;
	bool is_read_only;
	struct apart_id vault; /* the vault's directory, when the backup was opened */
	/* Held while targets are added and removed; taken before all others. */
	pthread_mutex_t changing;
	/* Guards what follows. A leaf: nothing of the store is called with it held. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct shipper *shippers[BACKUP_TARGETS_MAX];
	size_t count;
};

/* Opens the place of a rule. */
int shipper_open_place(Backup *backup, const struct backup_target *rule, Objects **ret_objects);

/* Starts a thread; the rule is copied. `is_new`: somebody just said that what is there may be gone on from, and that an
 * empty place is no disk that is not mounted. */
int shipper_start(Backup *backup, const struct backup_target *rule, bool is_new, struct shipper **ret_shipper);

/* Ends it, at `deadline_ns` (monotonic) at the latest, and frees. Lock not held; it is in no list any more. */
void shipper_end(struct shipper *shipper, int64_t deadline_ns);
