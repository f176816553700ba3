/*
 * internal: what the parts of the service share. Each part is one file with handlers of control.h.
 */
#pragma once

#include "backend/audit.h"
#include "backend/tree.h"
#include "backend/version.h"
#include "fs/alarm/alarms.h"
#include "fs/service/service.h"

#include <pthread.h>

struct Service {
	Store *store;
	Meta *meta;
	Gate *gate;
	Spawner *spawner;
	Trusted *trusted;
	Alarms *alarms;       /* NULL: they are not watched */
	Costs *costs;         /* NULL: none are reckoned */
	Backup *backup;       /* NULL: none are made */
	Lifecycle *lifecycle; /* NULL: nothing expires */
	Idle *idle;           /* NULL: nothing locks by time */
	KmsWatch *kms;        /* NULL: no key management service is asked */
	Control *control;
	Metrics *metrics;
	void (*closed)(void *arg); /* NULL: nobody is to be told */
	void *closed_arg;
	uid_t mounter;
	bool is_read_only;    /* the store: nothing can be recorded */
	bool refuses_changes; /* the mount */
	int64_t started_ns;
	/* Of service_tell_http; guarded by the lock, which is taken alone. */
	pthread_mutex_t http_lock;
	const struct address *http;
	const atomic_bool *http_is_alive;
};

/* After how long the vault locks itself, in milliseconds; null: never. */
json_t *service_idle_json(const Service *service);

/* Content can't be read any more: the kernel shall not show what it has of it. */
void service_content_closed(const Service *service);

/* Who asks, as a record of the log names the peer. */
struct actor service_actor(const struct control_peer *peer);

/* The user's name as it is known now, "" for none; points into the buffer. */
const char *service_user_name(uid_t uid, char *buffer, size_t size);

/* Who asks, as roles see it, with the roles that are lent to him. Borrows the peer's groups. */
struct policy_actor service_policy_actor(const Service *service, const struct control_peer *peer);

/* Whether the peer's roles allow `access` to `place`. */
bool service_permits(const Service *service, const Policy *policy, const struct control_peer *peer,
        enum policy_place place, enum policy_access access);

/* Whether the peer is a steward by the policy itself: what is lent does not count. */
bool service_is_steward(const Service *service, const Policy *policy, const struct control_peer *peer);

/* service_permits by the policy in force; where `place` is a zone also by a grant of `path` (may be NULL). Nothing is
 * recorded. */
bool service_lets(Service *service, const struct control_peer *peer, enum policy_place place, enum policy_access access,
        const char *path);

/* service_lets as 0 or -EACCES. A denial is recorded as `event`
 * on `path` (NULL: none). */
int service_require(Service *service, const struct control_peer *peer, enum policy_place place,
        enum policy_access access, const char *event, const char *path);

/* -EROFS with words, recorded as a denied `event` on `path` (NULL: none), on a mount that changes nothing; else 0. */
int service_require_writable(Service *service, const struct control_peer *peer, const char *event, const char *path);

/* Why nothing is changed here: -o ro, or a limited slot. Only where refuses_changes. */
const char *service_read_only_words(const Service *service);

/* A change of keys that failed for the lock is no matter of who asks: -EBUSY in the place of its -EACCES. */
int service_key_locked(const Service *service, int rc);

/* Whether the peer may decide on keys: 0, or -errno with words; a denial is recorded as `event`. `changes`: the vault,
 * too. */
int service_key_steward(
        Service *service, const struct control_peer *peer, const char *event, const char *detail, bool changes);

/* What is lent now, `uid` NULL: to everybody. NULL: no memory. */
json_t *service_lent_json(Service *service, const uid_t *uid);

/* The policy's workflows (`only`: the one of that name), each with its next and its last run. */
int service_workflows_json(Service *service, const Policy *policy, const char *only, json_t **ret_list);

/* How the alarms are: how many, in ALARM, and notifications that wait or could not be delivered; with names only for
 * who may know them. null: they are not watched. */
json_t *service_alarms_json(Service *service, bool tells_names);

/* The worst of the backups' targets (backups_summary_json). null: there is none. */
json_t *service_backup_json(Service *service);
/* How much of a recovered vault is still to be fetched. null: nothing. */
json_t *service_recall_json(Service *service);

/* What lies in each zone, what is dead of it, and what could be freed; and how the lifecycle stands. */
int service_space_json(Service *service, json_t **ret_space);

/* The place that a path of the vault lies in; PLACE_COUNT for the root and .assayfs. */
enum policy_place service_place(const char *path);

/* -EINVAL with words for a path in no zone: no version, verdict or lineage is of it. */
int service_check_zone(const char *path);

/* Whether mode bits and ACL let the peer read (4), write (2) or search (1) the node; root always. Of a version, `node`
 * has what service_as_it_was gives. In an operation. */
bool service_mode_allows(Meta *m, const struct node *node, const struct control_peer *peer, unsigned bits);

/* A version's file, as far as permissions go. */
struct node service_as_it_was(const struct version *version);

/* Whether the mode bits let the peer search every directory that leads to the path, also of those that are gone: 0 or
 * -EACCES. In an operation. */
int service_may_reach(Meta *m, const char *path, const struct control_peer *peer);

/* What stands under the path now (id 0: nothing), and whether its mode, and those on the way, let the peer read it: 0,
 * -EACCES, or -EISDIR, with words. In an operation. */
int service_look_at_present(Meta *m, const char *path, const struct control_peer *peer, struct node *ret_node);

/* Whether `versions` of a name that shows `present` now (id 0: nothing) tells the peer of this one. In an operation. */
bool service_shows_version(const Service *service, const struct control_peer *peer, const struct node *present,
        const struct version *version);

/* How versions are called in answers. */
const char *service_state_word(uint8_t state);
const char *service_origin_word(uint8_t origin);

/* Records an access that is about to be granted: 0 when it may be (see store_audit_wait), else -errno with words. */
int service_record(Service *service, const struct audit_event *event);

/* Records that something was refused, alone. Nothing on a read-only vault. */
void service_record_denied(Service *service, const struct actor *actor, const char *event, const char *path, int error);

/* The same with a detail of its own, that is cut at AUDIT_DETAIL_MAX. */
void service_record_denied_detail(Service *service, const struct actor *actor, const char *event, const char *path,
        const char *detail, int error);

/* "path" of the arguments. */
int service_path(const json_t *arguments, char ret_path[static WIRE_PATH_MAX]);

/* "uid" of the arguments, or `self` where there is none. -EPROTO: it is no user's number. */
int service_uid(const json_t *arguments, uid_t self, uid_t *ret_uid);

/* A number of the arguments, 0 to `most`; `otherwise` where it is not given. -EPROTO */
int service_number(const json_t *arguments, const char *name, int64_t most, int64_t otherwise, int64_t *ret);

/* A list of zones' names as bits, 1 << enum zone. -EINVAL: one is none. */
int service_zones(const json_t *list, uint32_t *ret_zones);

/* A JSON path of bytes that need not end with NUL. */
json_t *service_json_path(struct bytes path);

/* "archive" of the arguments: a policy bundle, allocated. */
int service_policy_archive(const json_t *arguments, uint8_t **ret_archive, size_t *ret_size);

/* Lower-case hexadecimal as JSON. */
json_t *service_json_hex(const uint8_t *data, size_t size);

/* The last erasure that a path knew, from its record. time_ns 0: none. In an operation. */
struct service_erasure {
	int64_t time_ns;
	uint64_t node; /* that lost versions */
	uint32_t uid;
	char reason[AUDIT_DETAIL_MAX];
};
int service_last_erasure(Meta *m, const char *path, struct service_erasure *ret);

/* "values" or "subject" of the arguments: what is looked for. Borrows from the list. -EPROTO. */
struct service_subjects {
	const char *values[GATE_SUBJECTS_MAX];
	size_t count;
};
int service_subject_values(const json_t *list, struct service_subjects *ret);

/* What is told of a stored policy that holds one of them. */
json_t *service_subject_policy(const struct gate_subject *subject);

/* What a question of the log should know: when records that it wants from `next` on (by its filter's `since`, the rest
 * is not asked) are in archives only, an item that says so; else NULL. */
int service_log_pruned(Service *service, const struct audit_filter *filter, uint64_t next, json_t **ret_item);

control_handler service_costs, service_samples, service_gc;
control_handler service_log_archive, service_log_archive_read, service_log_archives, service_log_prune,
        service_log_ship, service_grant, service_grant_list, service_grant_revoke, service_access;
control_handler service_alarm_list, service_alarm_history, service_alarm_dead, service_alarm_test,
        service_alarm_silence, service_alarm_retry, service_alarm_drop, service_alarm_key;
control_handler service_backup_add, service_backup_status, service_backup_verify, service_backup_remove,
        service_backup_sync;
control_handler service_lineage, service_versions, service_restore, service_log, service_log_summary, service_metrics,
        service_status, service_policy_show, service_policy_apply, service_policy_foresee, service_policy_recheck,
        service_why, service_run, service_runs, service_quarantine_list, service_quarantine_show,
        service_quarantine_rows, service_quarantine_release, service_quarantine_drop, service_erase,
        service_find_subject, service_sync;
control_handler service_refusals, service_datasets, service_pulse, service_token_add, service_token_list,
        service_token_remove;
control_handler service_key_list, service_key_rotate, service_key_disable, service_key_enable,
        service_key_schedule_deletion, service_key_cancel_deletion, service_key_alias, service_slot_add,
        service_slot_remove, service_lock, service_lock_after, service_unlock;
