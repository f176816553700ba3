#include "fs/parts.h"

#include "backend/store_keys.h"
#include "crypto/base/fault.h"
#include "crypto/process.h"
#include "fs/backups.h"
#include "fs/compression.h"
#include "fs/http/back.h"
#include "fs/http/front.h"
#include "fs/lifecycle.h"
#include "fs/log.h"
#include "fs/retention.h"
#include "fs/service/service.h"
#include "fs/trusted.h"
#include "fs/watch/watch.h"
#include "policy/gate/gate.h"
#include "policy/worker.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

struct Parts {
	bool allow_other;
	atomic_bool is_mounted; /* the kernel can be notified */
	atomic_bool has_told_damage;
	struct filesystem *fs;
	Spawner *spawner;
	Gate *gate;
	Trusted *trusted;
	Service *service;
	Retention *retention;
	Lifecycle *lifecycle;
	Watch *watch;
	Backups *backups;
	Idle *idle;
	int64_t idle_after_ms;
	KmsWatch *kms;
	bool watches_kms;
	int64_t kms_offline_ms;
	const char *actions; /* NULL: the usual directory */
	const char *http;    /* NULL: it is not spoken */
	Front *front;
	Back *back;
};

static int prepare(void *state) {
	Parts *parts = state;
	const struct spawner_options options = {.lock_memory = process_must_lock()};
	int rc = spawner_start(&options, &parts->spawner);
	if (rc == 0)
		rc = watch_prepare(parts->actions, &parts->watch);
	return rc == 0 && parts->http ? front_start(parts->http, &parts->front) : rc;
}

/* Who mounts gets one line, which says what to run; the log gets all. */
static void damaged(void *arg, const char *words) {
	Parts *parts = arg;
	if (atomic_load(&parts->is_mounted) || atomic_exchange(&parts->has_told_damage, true))
		log_message(MESSAGE_DAMAGE, "%s", words);
	else
		log_starting(MESSAGE_DAMAGE, words);
}

static void tune(void *state, struct store_options *options) {
	options->arrived = gate_recovered;
	options->notice = damaged;
	options->notice_arg = state;
}

/* Jobs may run before the mount is there; then the kernel has nothing to forget. */
static void changed(void *arg, uint64_t parent_ino, struct bytes name, uint64_t old_ino) {
	Parts *parts = arg;
	if (atomic_load(&parts->is_mounted))
		filesystem_changed(parts->fs, parent_ino, name, old_ino);
}

static void erased(void *arg, uint64_t parent_ino, struct bytes name, uint64_t ino) {
	Parts *parts = arg;
	if (atomic_load(&parts->is_mounted))
		filesystem_erased(parts->fs, parent_ino, name, ino);
}

static void closed(void *arg) {
	Parts *parts = arg;
	if (atomic_load(&parts->is_mounted))
		filesystem_drop_content(parts->fs);
}

/* Not at the end of the mount, when the kernel has nothing of it any more. */
static int lock_vault(void *arg, const char *why) {
	Parts *parts = arg;
	if (!atomic_load(&parts->is_mounted) || store_is_locked(parts->fs->store))
		return 0;
	int rc = store_lock_for(parts->fs->store, NULL, why);
	if (rc == 0) {
		log_message(MESSAGE_OTHER, "the vault is locked: %s", why);
		closed(parts);
	}
	return rc;
}

static int start_idle(Parts *parts, struct filesystem *fs) {
	const struct idle_hooks hooks = {.write_back = closed, .lock = lock_vault, .arg = parts};
	int rc = idle_start(&hooks, &parts->idle);
	if (rc < 0)
		return rc;
	idle_set(parts->idle, parts->idle_after_ms);
	fs->idle = parts->idle;
	return 0;
}

static int start_kms(Parts *parts, struct filesystem *fs) {
	const struct kms_watch_options options = {.store = fs->store,
	        .is_unrecorded = fs->is_unrecorded,
	        .every_ms = kms_watch_every_ms(),
	        .offline_ms = parts->kms_offline_ms,
	        .lock = lock_vault,
	        .arg = parts};
	int rc = parts->watches_kms ? kms_watch_start(&options, &parts->kms) : 0;
	fs->kms = parts->kms;
	return rc;
}

static bool is_written(void *arg, uint64_t ino) {
	Parts *parts = arg;
	Inode *inode = inode_find(parts->fs->inodes, ino);
	if (!inode)
		return false;
	pthread_mutex_lock(&inode->lock);
	bool written = inode->writers > 0;
	pthread_mutex_unlock(&inode->lock);
	inode_put(parts->fs->inodes, inode);
	return written;
}

static int opened(void *state, struct filesystem *fs) {
	Parts *parts = state;
	const struct gate_options options = {.changed = changed,
	        .erased = erased,
	        .changed_arg = parts,
	        .is_written = is_written,
	        .mounter = fs->owner_uid};
	parts->fs = fs;
	if (spawner_spill_into(parts->spawner, fs->vault_path) < 0)
		log_message(MESSAGE_SPILL, "%s", fault_message());
	int rc = gate_start(fs->store, parts->spawner, &options, &parts->gate);
	if (rc == 0)
		rc = trusted_new(parts->gate, fs->store, &parts->trusted);
	if (rc < 0)
		return rc;
	struct gate_policy *held = gate_policy(parts->gate);
	compression_apply(fs->store, held->policy);
	gate_policy_done(held);
	trusted_attach(parts->trusted, fs->inodes);
	fs->gate = trusted_hooks(parts->trusted);
	return parts->front ? back_check(fs->store, front_address(parts->front)) : 0;
}

static void tell_retention(void *arg, struct retention_rules *ret) {
	Parts *parts = arg;
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(parts->gate);
	const struct policy_audit *audit = policy_audit(held->policy);
	*ret = (struct retention_rules){0};
	if (!audit)
		return;
	ret->archive_after_days = audit->archive_after_days;
	ret->keep_days = audit->keep_days;
	(void)snprintf(ret->ship, sizeof ret->ship, "%s", audit->ship ? audit->ship : "");
}

static int start_retention(Parts *parts, const struct filesystem *fs) {
	const struct retention_options options = {.store = fs->store, .rules = tell_retention, .arg = parts};
	return fs->read_only ? 0 : retention_start(&options, &parts->retention);
}

/* The policy is held as long as its rules are used: names and prefixes are its. */
static int give_rules(void *arg, struct lifecycle_rules *ret) {
	Parts *parts = arg;
	struct gate_policy *held = gate_policy(parts->gate);
	size_t count = policy_lifecycle_count(held->policy);
	ret->held = held;
	ret->count = 0;
	ret->list = calloc(count + 1, sizeof *ret->list);
	if (!ret->list)
		return fault(ENOMEM, "reading the policy's lifecycle: out of memory");
	for (size_t i = 0; i < count; i++) {
		const struct policy_lifecycle *rule = policy_lifecycle(held->policy, i);
		ret->list[ret->count++] = (struct expire_rule){.name = rule->name,
		        .zone = zone_of_path(rule->zone),
		        .prefix = rule->prefix,
		        .days = rule->noncurrent_days,
		        .keep = rule->noncurrent_versions};
	}
	return 0;
}

static void take_rules_back(void *arg, struct lifecycle_rules *rules) {
	(void)arg;
	free(rules->list);
	if (rules->held)
		gate_policy_done(rules->held);
}

static int start_lifecycle(Parts *parts, const struct filesystem *fs) {
	const struct lifecycle_options options = {
	        .store = fs->store, .rules = give_rules, .rules_done = take_rules_back, .arg = parts};
	return fs->read_only ? 0 : lifecycle_start(&options, &parts->lifecycle);
}

static int start_http(Parts *parts, const struct filesystem *fs) {
	const struct back_options options = {.front = parts->front,
	        .store = fs->store,
	        .ask = service_ask,
	        .rights = service_rights,
	        .denied = service_record_http_denied,
	        .arg = parts->service};
	if (!parts->front)
		return 0;
	int rc = back_start(&options, &parts->back);
	if (rc)
		return rc;
	service_tell_http(parts->service, front_address(parts->front), back_alive(parts->back));
	if (!address_is_loopback(front_address(parts->front)))
		log_starting(MESSAGE_OTHER,
		        "HTTP is spoken beyond this machine, and not encrypted: put a proxy with TLS before it "
		        "(docs/http.md)");
	return 0;
}

static int start(void *state, struct filesystem *fs) {
	Parts *parts = state;
	int rc = backups_open(fs->store, &parts->backups);
	if (rc < 0)
		return rc;
	fs->backup = backups_backup(parts->backups);
	rc = start_kms(parts, fs);
	if (rc < 0)
		return rc;
	rc = watch_open(parts->watch, fs, parts->gate, parts->spawner);
	if (rc == 0)
		rc = start_lifecycle(parts, fs);
	if (rc == 0)
		rc = start_idle(parts, fs);
	if (rc < 0)
		return rc;
	const struct service_options options = {.store = fs->store,
	        .gate = parts->gate,
	        .spawner = parts->spawner,
	        .trusted = parts->trusted,
	        .metrics = watch_metrics(parts->watch),
	        .alarms = watch_alarms(parts->watch),
	        .costs = watch_costs(parts->watch),
	        .backup = fs->backup,
	        .lifecycle = parts->lifecycle,
	        .idle = parts->idle,
	        .kms = parts->kms,
	        .closed = closed,
	        .closed_arg = parts,
	        .mounter = fs->owner_uid,
	        .others = parts->allow_other,
	        .read_only = fs->read_only};
	atomic_store(&parts->is_mounted, true);
	rc = service_start(&options, &parts->service);
	if (rc == 0)
		rc = start_retention(parts, fs);
	if (rc == 0)
		rc = watch_start(parts->watch);
	if (rc == 0)
		rc = start_http(parts, fs);
	if (rc == 0) {
		fs->status_arg = parts->service;
		fs->status = service_status_text;
	}
	return rc;
}

static void stop(void *state) {
	Parts *parts = state;
	atomic_store(&parts->is_mounted, false);
	if (parts->fs)
		parts->fs->idle = NULL;
	if (parts->back)
		service_tell_http(parts->service, NULL, NULL);
	back_stop(steal_pointer(&parts->back));
	watch_hush(parts->watch);
	service_stop(parts->service);
	idle_stop(steal_pointer(&parts->idle));
	retention_stop(steal_pointer(&parts->retention));
	lifecycle_stop(steal_pointer(&parts->lifecycle));
	watch_stop(parts->watch);
	kms_watch_stop(steal_pointer(&parts->kms));
	if (parts->fs) {
		parts->fs->kms = NULL;
		parts->fs->gate = &gate_closed;
		parts->fs->status = NULL;
		parts->fs->backup = NULL;
	}
	trusted_freep(&parts->trusted);
	gate_stop(parts->gate);
	parts->gate = NULL;
	backups_close(steal_pointer(&parts->backups)); /* after who commits */
}

static void end(void *state, int outcome, const char *words) {
	Parts *parts = state;
	front_stop(steal_pointer(&parts->front));
	spawner_stop(parts->spawner);
	parts->spawner = NULL;
	service_end(parts->service, outcome, words);
	parts->service = NULL;
	watch_free(steal_pointer(&parts->watch));
}

int parts_new(bool allow_other, const char *http, Parts **ret_parts) {
	Parts *parts = calloc(1, sizeof *parts);
	if (!parts)
		return fault(ENOMEM, "mounting: out of memory");
	parts->allow_other = allow_other;
	parts->http = http;
	*ret_parts = parts;
	return 0;
}

void parts_actions(Parts *parts, const char *directory) {
	parts->actions = directory;
}

void parts_idle_lock(Parts *parts, int64_t after_ms) {
	parts->idle_after_ms = after_ms;
}

void parts_watch_kms(Parts *parts, int64_t offline_ms) {
	parts->watches_kms = true;
	parts->kms_offline_ms = offline_ms;
}

struct mount_part parts_row(Parts *parts) {
	return (struct mount_part){.prepare = prepare,
	        .tune = tune,
	        .opened = opened,
	        .start = start,
	        .stop = stop,
	        .end = end,
	        .state = parts};
}

void parts_free(Parts *parts) {
	free(parts);
}
