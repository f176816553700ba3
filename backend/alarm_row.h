/*
 * alarm_row: the states of alarms, their history, and what is to be told of it to whom.
 *
 *     alarm_row_change ──► alarm         the state that it is in now
 *                     ├──► alarm_event   one row: from, to, why            14 days, at most 1,000 an alarm
 *                     └──► alarm_action  one row a target                  waiting ──► done
 *                                                                              └─────► dead ──► waiting (again)
 *
 * A change and what it sets going are rows of one operation, so that a crash loses and doubles neither. What is done
 * outside of the vault can't be in it: a notification whose answer was not kept any more is sent again after the crash.
 * Delivery is at least once, and each has an id (alarm_action_id) that stays the same, by which a receiver drops
 * repeats.
 *
 * All between meta_begin and meta_end. Times are nanoseconds since 1970, UTC.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/meta.h"

#define ALARM_NAME_MAX 255
#define ALARM_REASON_MAX 1023 /* as CloudWatch's StateReason */
#define ALARM_TARGET_MAX 2048
#define ALARM_BODY_MAX 16384
#define ALARM_EVENTS_MAX 1000u /* of one alarm */
#define ALARM_EVENT_DAYS 14
#define ALARM_DEAD_MAX 1000u /* of all alarms: then the oldest goes */

enum alarm_state { ALARM_STATE_INSUFFICIENT_DATA, ALARM_STATE_OK, ALARM_STATE_ALARM };

/* As CloudWatch spells them: INSUFFICIENT_DATA, OK, ALARM. */
const char *alarm_state_word(enum alarm_state state);

struct alarm_row {
	const char *name;
	enum alarm_state state;
	int64_t since_ns;
	const char *reason;
	int64_t silent_until_ns; /* 0: it speaks */
	const char *silent_reason;
};

enum alarm_event_kind {
	ALARM_EVENT_STATE,    /* another state */
	ALARM_EVENT_SILENCED, /* for a while nobody is told */
	ALARM_EVENT_SPEAKS,   /* a silence was taken back */
	ALARM_EVENT_TEST,     /* somebody tried its targets */
	ALARM_EVENT_NOTICE,   /* something that is no state: glass was broken */
};

/* In words for JSON: "StateUpdate", "Silenced", … */
const char *alarm_event_word(enum alarm_event_kind kind);

struct alarm_event {
	uint64_t id;
	const char *alarm;
	int64_t time_ns;
	enum alarm_event_kind kind;
	enum alarm_state before, after;
	bool is_silent; /* nobody was told, as the alarm was silenced */
	const char *reason;
};

enum alarm_action_state { ALARM_ACTION_WAITING, ALARM_ACTION_DONE, ALARM_ACTION_DEAD };

struct alarm_action {
	uint64_t id, event;
	const char *alarm;
	int64_t event_ns;
	const char *target; /* webhook:…, mailto:…, command:… */
	enum alarm_action_state state;
	unsigned attempts;
	int64_t due_ns;
	const char *error; /* of the last attempt */
	const char *body;
};

/* What a delivery is called, the same for each attempt: "msg_", the event's time and the action's number in
 * hexadecimal. */
#define ALARM_ACTION_ID_BYTES 48
void alarm_action_id(const struct alarm_action *action, char ret_id[static ALARM_ACTION_ID_BYTES]);

typedef int alarm_row_fn(void *arg, const struct alarm_row *row);
typedef int alarm_event_fn(void *arg, const struct alarm_event *event);
typedef int alarm_action_fn(void *arg, const struct alarm_action *action);

/* Calls `each` with the alarm's row: -ENOENT when nothing is known of it. */
int alarm_row_get(Meta *m, const char *name, alarm_row_fn *each, void *arg);
/* By name. */
int alarm_row_list(Meta *m, alarm_row_fn *each, void *arg);

/* An alarm that is new: INSUFFICIENT_DATA, not checked yet. One that is there stays as it is. */
int alarm_row_begin(Meta *m, const char *name, int64_t now_ns);

/*
 * Stores the event, for ALARM_EVENT_STATE the alarm's new state, and one waiting action with `body` for each target;
 * then removes what is too old or too much. *ret_event (may be NULL): its number.
 */
int alarm_row_change(Meta *m, const struct alarm_event *event, const char *const *targets, size_t target_count,
        const char *body, uint64_t *ret_event);

/* Nobody is told of the alarm until then; 0: it speaks again. -ENOENT. */
int alarm_row_silence(Meta *m, const char *name, int64_t until_ns, const char *reason);

/* The alarm is in no policy any more: its row goes and what waits is not sent; its history stays. */
int alarm_row_forget(Meta *m, const char *name);

/* Newest first; `name` NULL: of all alarms. */
int alarm_event_list(Meta *m, const char *name, unsigned limit, alarm_event_fn *each, void *arg);

/* Of that state, by when they are due; `limit` 0: all. */
int alarm_action_list(Meta *m, enum alarm_action_state state, unsigned limit, alarm_action_fn *each, void *arg);
/* Those that wait and are due, of at most `limit`; *ret_next_ns: when the next one is, INT64_MAX: none waits. */
int alarm_action_due(Meta *m, int64_t now_ns, unsigned limit, alarm_action_fn *each, void *arg, int64_t *ret_next_ns);
/* Of an event, by number. */
int alarm_action_of(Meta *m, uint64_t event, alarm_action_fn *each, void *arg);

/* How an attempt went. waiting: again at due_ns; done; dead. */
int alarm_action_tried(
        Meta *m, uint64_t id, enum alarm_action_state state, unsigned attempts, int64_t due_ns, const char *error);

/* Dead ones wait again from the first attempt on, or go for good; id 0: all. *ret_count: how many. */
int alarm_action_retry(Meta *m, uint64_t id, int64_t now_ns, uint64_t *ret_count);
int alarm_action_drop(Meta *m, uint64_t id, uint64_t *ret_count);

/* How many of the state. */
int alarm_action_count(Meta *m, enum alarm_action_state state, uint64_t *ret_count);
