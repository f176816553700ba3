#include "backend/backup/backup.h"

#include "backend/audit.h"
#include "backend/backup/backup_internal.h"
#include "backend/segment_watch.h"
#include "backend/tree.h"
#include "backend/zone.h"
#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"
#include "crypto/secret.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define MS INT64_C(1000000)
#define WAIT_MS 100

/* ---- opening and closing ---- */

static void forget_secrets(struct backup_target *target) {
	secret_wipe(target->access_key, sizeof target->access_key);
	secret_wipe(target->secret_key, sizeof target->secret_key);
	secret_wipe(target->session_token, sizeof target->session_token);
}

static void free_targets(struct backup_target *targets) {
	if (targets)
		secret_wipe(targets, BACKUP_TARGETS_MAX * sizeof *targets);
	free(targets);
}

static int read_targets(Store *store, struct backup_target **ret_targets, size_t *ret_count) {
	Meta *m = store_meta(store);
	meta_begin(m);
	return meta_end(m, targets_read(m, ret_targets, ret_count));
}

static int start_all(Backup *backup) {
	struct backup_target *targets = NULL;
	size_t count = 0;
	int rc = read_targets(backup->store, &targets, &count);
	for (size_t i = 0; i < count && rc == 0; i++) {
		struct shipper *shipper = NULL;
		rc = shipper_start(backup, &targets[i], false, &shipper);
		if (rc < 0)
			break;
		pthread_mutex_lock(&backup->lock);
		backup->shippers[backup->count++] = shipper;
		pthread_mutex_unlock(&backup->lock);
	}
	free_targets(targets);
	return rc;
}

/* The directory is looked at now, before a mount may cover it. */
static void look_at_store(Backup *backup) {
	_cleanup_(freep) struct store_info *info = malloc(sizeof *info);
	backup->is_read_only = true;
	if (!info)
		return;
	store_info(backup->store, info);
	backup->is_read_only = info->read_only;
	backup->vault = apart_id_of(info->path);
}

int backup_open(Store *store, const struct backup_options *options, Backup **ret_backup) {
	Backup *backup = calloc(1, sizeof *backup);
	if (!backup)
		return fault(ENOMEM, "no memory for the backup");
	backup->store = store;
	if (options)
		backup->options = *options;
	look_at_store(backup);
	pthread_mutex_init(&backup->changing, NULL);
	pthread_mutex_init(&backup->lock, NULL);
	deadline_cond_init(&backup->changed);
	int rc = backup->is_read_only ? 0 : start_all(backup);
	if (rc < 0) {
		backup_close(backup, 0);
		return fault_while(rc, "the backup");
	}
	*ret_backup = backup;
	return 0;
}

void backup_close(Backup *backup, unsigned wait_ms) {
	if (!backup)
		return;
	int64_t deadline = monotonic_ns() + (int64_t)wait_ms * MS;
	pthread_mutex_lock(&backup->lock);
	struct shipper *shippers[BACKUP_TARGETS_MAX];
	size_t count = backup->count;
	memcpy(shippers, backup->shippers, sizeof shippers);
	for (size_t i = 0; i < count; i++)
		shippers[i]->end_ns = deadline;
	backup->count = 0;
	pthread_cond_broadcast(&backup->changed);
	pthread_mutex_unlock(&backup->lock);
	for (size_t i = 0; i < count; i++)
		shipper_end(shippers[i], deadline);
	pthread_cond_destroy(&backup->changed);
	pthread_mutex_destroy(&backup->lock);
	pthread_mutex_destroy(&backup->changing);
	free(backup);
}

/* ---- targets come and go ---- */

static int check_target(const Backup *backup, const struct backup_target *target) {
	if (backup->is_read_only)
		return fault(EROFS, "the vault is open for reading only");
	if (target->zones & ~TARGET_ZONES_ALL)
		return fault(EINVAL, "there are no such zones");
	int rc = reach_check(target->prefix);
	return rc < 0 ? rc : objects_check_url(target->url);
}

/* The place may be written, and what is there is of this vault. */
static int try_target(Backup *backup, const struct backup_target *target, bool create) {
	_cleanup_(freep) struct ship *ship = calloc(1, sizeof *ship);
	_cleanup_(objects_closep) Objects *objects = NULL;
	if (!ship)
		return fault(ENOMEM, "no memory to try a target of the backup");
	int rc = shipper_open_place(backup, target, &objects);
	if (rc == 0)
		rc = objects_prepare(objects, create, target->lock_days > 0);
	if (rc < 0)
		return rc;
	rc = ship_init(ship, backup->store, target);
	ship->objects = objects;
	if (rc == 0)
		rc = ship_check(ship);
	ship_clear(ship);
	return rc;
}

static int record(Meta *m, const char *event, const struct backup_target *target, const struct actor *actor) {
	char words[3 * BACKUP_TEXT_BYTES + 200], zones[64] = "";
	for (enum zone zone = ZONE_LANDING; zone <= ZONE_TRUSTED; zone++)
		if (target->zones & 1u << zone)
			(void)snprintf(zones + strlen(zones), sizeof zones - strlen(zones), "%s%s", *zones ? ", " : "",
			        zone_name(zone));
	(void)snprintf(words, sizeof words,
	        "target %u: %s; zones: %s; lock days: %u; endpoint: %s; credentials: %s%s%s", target->number,
	        target->url, *zones ? zones : "all", target->lock_days, *target->endpoint ? target->endpoint : "none",
	        *target->access_key ? "its own" : "the daemon's", *target->prefix ? "; prefix: " : "", target->prefix);
	return audit_record(m, &(struct audit_event){.event = event, .actor = *actor, .detail = words}, NULL);
}

/* Its number is that of the rule with the same URL, or the next that is free. */
static int number_target(const Backup *backup, struct backup_target *target, size_t *ret_at) {
	uint32_t number = 1;
	size_t at = 0;
	for (; at < backup->count && strcmp(backup->shippers[at]->rule.url, target->url) != 0; at++)
		if (backup->shippers[at]->rule.number >= number)
			number = backup->shippers[at]->rule.number + 1;
	if (at == BACKUP_TARGETS_MAX)
		return fault(ENOSPC, "a vault has %d targets of its backup at most", BACKUP_TARGETS_MAX);
	target->number = at < backup->count ? backup->shippers[at]->rule.number : number;
	*ret_at = at;
	return 0;
}

static int keep_target(Backup *backup, const struct backup_target *target, const struct actor *actor) {
	Meta *m = store_meta(backup->store);
	int rc = store_space_check(backup->store, 0);
	if (rc < 0)
		return rc;
	meta_begin(m);
	rc = target_put(m, target);
	if (rc == 0)
		rc = record(m, "backup-add", target, actor);
	rc = meta_end(m, rc);
	return rc < 0 ? rc : store_commit_wait(backup->store);
}

/* What was not given stays as it was. */
static void merge(const struct backup_target *old, struct backup_target *target) {
	if (target->kept & BACKUP_KEEP_ZONES)
		target->zones = old->zones;
	if (target->kept & BACKUP_KEEP_PREFIX)
		memcpy(target->prefix, old->prefix, sizeof target->prefix);
	if (target->kept & BACKUP_KEEP_LOCK_DAYS)
		target->lock_days = old->lock_days;
	if (target->kept & BACKUP_KEEP_ENDPOINT)
		memcpy(target->endpoint, old->endpoint, sizeof target->endpoint);
	if (!(target->kept & BACKUP_KEEP_CREDENTIALS))
		return;
	memcpy(target->access_key, old->access_key, sizeof target->access_key);
	memcpy(target->secret_key, old->secret_key, sizeof target->secret_key);
	memcpy(target->session_token, old->session_token, sizeof target->session_token);
	memcpy(target->region, old->region, sizeof target->region);
}

static int check_apart(const Backup *backup, const struct backup_target *target) {
	int rc = apart_from_vault(target->url, &backup->vault);
	for (size_t i = 0; i < backup->count && rc == 0; i++)
		if (strcmp(backup->shippers[i]->rule.url, target->url) != 0)
			rc = apart_from_target(target->url, target->endpoint, backup->shippers[i]->rule.url,
			        backup->shippers[i]->rule.endpoint);
	return rc;
}

/* Ends the thread of one, before another one ships to the same place. */
static void take_out(Backup *backup, size_t at) {
	pthread_mutex_lock(&backup->lock);
	struct shipper *gone = backup->shippers[at];
	for (size_t i = at; i + 1 < backup->count; i++)
		backup->shippers[i] = backup->shippers[i + 1];
	backup->count--;
	pthread_mutex_unlock(&backup->lock);
	shipper_end(gone, 0);
}

/* One place has one URL. */
static void normalize(char *url) {
	size_t length = strlen(url);
	while (length > strlen("file:///") && url[length - 1] == '/')
		url[--length] = '\0';
}

static int add(Backup *backup, struct backup_target *target, bool create, const struct actor *actor) {
	size_t at = 0;
	normalize(target->url);
	int rc = check_target(backup, target);
	if (rc == 0)
		rc = number_target(backup, target, &at);
	if (rc == 0 && at < backup->count)
		merge(&backup->shippers[at]->rule, target);
	if (rc == 0)
		rc = check_apart(backup, target);
	if (rc == 0)
		rc = try_target(backup, target, create);
	if (rc < 0)
		return rc;
	target->added_ns = meta_now(store_meta(backup->store));
	target->paused = false;
	rc = keep_target(backup, target, actor);
	if (rc == 0 && at < backup->count)
		take_out(backup, at);
	struct shipper *shipper = NULL;
	if (rc == 0)
		rc = shipper_start(backup, target, true, &shipper);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&backup->lock);
	backup->shippers[backup->count++] = shipper;
	pthread_mutex_unlock(&backup->lock);
	return 0;
}

int backup_add(Backup *backup, struct backup_target *target, bool create, const struct actor *actor) {
	pthread_mutex_lock(&backup->changing);
	int rc = add(backup, target, create, actor);
	pthread_mutex_unlock(&backup->changing);
	bool is_named = rc < 0 && strncmp(fault_message(), target->url, strlen(target->url)) == 0;
	return is_named ? rc : fault_while(rc, "backup to %s", target->url);
}

static int forget_target(Backup *backup, const struct backup_target *target, const struct actor *actor) {
	Meta *m = store_meta(backup->store);
	meta_begin(m);
	int rc = target_remove(m, target->number);
	if (rc == 0)
		rc = record(m, "backup-remove", target, actor);
	rc = meta_end(m, rc);
	return rc < 0 ? rc : store_commit_wait(backup->store);
}

static size_t find(const Backup *backup, const char *url) {
	size_t at = 0;
	while (at < backup->count && strcmp(backup->shippers[at]->rule.url, url) != 0)
		at++;
	return at;
}

int backup_remove(Backup *backup, const char *url, const struct actor *actor) {
	pthread_mutex_lock(&backup->changing);
	size_t at = find(backup, url);
	int rc = at < backup->count ? forget_target(backup, &backup->shippers[at]->rule, actor)
	                            : fault(ENOENT, "there is no backup to %s", url);
	if (rc == 0)
		take_out(backup, at);
	pthread_mutex_unlock(&backup->changing);
	return rc;
}

/* ---- how it stands ---- */

/* What the store has by now, for all targets. */
struct now {
	uint64_t commit, versions, appended, bytes;
	int64_t time_ns;
};

/* Of a place that was not listed yet: what this mount committed is not there, as it alone ships there. */
static int64_t lag_of(Meta *m, uint64_t shipped, const struct now *now) {
	int64_t time_ns = 0;
	if (shipped >= now->commit || meta_commit_time(m, shipped + 1, &time_ns) < 0)
		return 0;
	return now->time_ns > time_ns ? now->time_ns - time_ns : 1;
}

static void look(
        Backup *backup, struct now *ret, struct backup_status *statuses, const uint64_t *firsts, size_t count) {
	Meta *m = store_meta(backup->store);
	struct tree_counts counts = {0};
	struct segment_sums sums = {0};
	uint64_t durable = store_durable_commit(backup->store);
	meta_begin(m);
	(void)tree_statfs(m, &counts);
	(void)segment_row_sums(m, &sums);
	*ret = (struct now){.commit = durable,
	        .versions = counts.versions,
	        .bytes = sums.bytes,
	        .appended = segment_appended(store_segments(backup->store)),
	        .time_ns = meta_now(m)};
	for (size_t i = 0; i < count; i++)
		statuses[i].lag_ns = lag_of(m, statuses[i].is_known ? statuses[i].commit : firsts[i], ret);
	(void)meta_end(m, 0);
}

static uint64_t beyond(uint64_t more, uint64_t less) {
	return more > less ? more - less : 0;
}

/* Lock held. */
static void fill(const struct shipper *s, const struct now *now, struct backup_status *status) {
	const struct ship *ship = &s->ship;
	status->shipped_bytes = atomic_load(&ship->put_bytes);
	status->shipped_objects = atomic_load(&ship->put_objects);
	status->lost_segments = atomic_load(&ship->lost_segments);
	if (!status->is_known)
		return;
	if (status->commit >= now->commit) {
		status->pending_bytes = atomic_load(&ship->lost_bytes);
		return;
	}
	/* Before the first checkpoint nobody knows what is there of what: all may be missing. */
	if (atomic_load(&ship->taken))
		status->pending_bytes =
		        atomic_load(&ship->missing) + beyond(now->appended, atomic_load(&ship->appended));
	else
		status->pending_bytes = now->bytes;
	status->pending_versions = beyond(now->versions, s->versions_known ? s->versions : 0);
	status->failed_versions = status->state == BACKUP_FAILED ? status->pending_versions : 0;
	if (status->state == BACKUP_IDLE)
		status->state = BACKUP_SHIPPING;
}

static const struct shipper *with_number(const Backup *backup, uint32_t number) {
	for (size_t i = 0; i < backup->count; i++)
		if (backup->shippers[i]->rule.number == number)
			return backup->shippers[i];
	return NULL;
}

static size_t status_read_only(Backup *backup, struct backup_status *ret, size_t room) {
	struct backup_target *targets = NULL;
	size_t count = 0;
	if (read_targets(backup->store, &targets, &count) < 0)
		return 0;
	for (size_t i = 0; i < count && i < room; i++) {
		ret[i] = (struct backup_status){
		        .target = targets[i], .has_credentials = targets[i].access_key[0] != '\0'};
		forget_secrets(&ret[i].target);
	}
	free_targets(targets);
	return count;
}

size_t backup_status(Backup *backup, struct backup_status *ret, size_t room) {
	struct now now;
	uint64_t firsts[BACKUP_TARGETS_MAX];
	if (backup->is_read_only)
		return status_read_only(backup, ret, room);
	pthread_mutex_lock(&backup->lock);
	size_t count = backup->count, told = count < room ? count : room;
	for (size_t i = 0; i < told; i++) {
		ret[i] = backup->shippers[i]->status;
		firsts[i] = backup->shippers[i]->first;
	}
	pthread_mutex_unlock(&backup->lock);
	look(backup, &now, ret, firsts, told);
	pthread_mutex_lock(&backup->lock);
	for (size_t i = 0; i < told; i++) {
		/* It may have gone meanwhile. */
		const struct shipper *s = with_number(backup, ret[i].target.number);
		if (s)
			fill(s, &now, &ret[i]);
	}
	pthread_mutex_unlock(&backup->lock);
	return count;
}

static bool takes(const struct shipper *s, const struct version *version, const char *path) {
	return (s->zones & 1u << version->zone) &&
	       (reach_takes(s->rule.prefix, path) || bits_has(&s->files, version->node));
}

/* Lock held. */
static enum backup_replication of_version(const struct shipper *s, const struct version *version) {
	bool is_reached = !*s->rule.prefix || bits_has(&s->files, version->node);
	if (atomic_load(&s->ship.lost_segments) > 0)
		return BACKUP_FAILED_VERSION;
	if (version->sealed > 0 && version->sealed <= s->status.commit && is_reached)
		return BACKUP_COMPLETED;
	if (s->status.state == BACKUP_FAILED)
		return BACKUP_FAILED_VERSION;
	bool is_later = version->sealed == 0 || version->sealed > s->first;
	return s->status.is_known || is_later ? BACKUP_PENDING : BACKUP_UNKNOWN;
}

enum backup_replication backup_of_version(Backup *backup, const struct version *version, const char *path) {
	enum backup_replication worst = BACKUP_NONE, one;
	pthread_mutex_lock(&backup->lock);
	for (size_t i = 0; i < backup->count; i++) {
		const struct shipper *s = backup->shippers[i];
		if (!takes(s, version, path))
			continue;
		one = of_version(s, version);
		worst = one > worst ? one : worst;
	}
	pthread_mutex_unlock(&backup->lock);
	return worst;
}

const char *backup_replication_word(enum backup_replication replication) {
	static const char *const words[] = {[BACKUP_NONE] = "",
	        [BACKUP_PENDING] = "PENDING",
	        [BACKUP_COMPLETED] = "COMPLETED",
	        [BACKUP_UNKNOWN] = "",
	        [BACKUP_FAILED_VERSION] = "FAILED"};
	return words[replication];
}

/* ---- waiting ---- */

struct waiting {
	const char *url; /* NULL: all */
	uint64_t commit;
	uint64_t tries[BACKUP_TARGETS_MAX]; /* that had ended when the waiting began, by number of the target */
	uint32_t numbers[BACKUP_TARGETS_MAX];
	size_t count;
};

static uint64_t tries_before(const struct waiting *w, uint32_t number) {
	for (size_t i = 0; i < w->count; i++)
		if (w->numbers[i] == number)
			return w->tries[i];
	return 0;
}

/* Lock held. 1: all is there; 0: not yet; negative: what ails one, which only a person mends. */
static int look_at_targets(Backup *backup, const struct waiting *w) {
	bool is_there = true;
	for (size_t i = 0; i < backup->count; i++) {
		struct shipper *s = backup->shippers[i];
		if (w->url && strcmp(w->url, s->rule.url) != 0)
			continue;
		if (s->status.commit >= w->commit) {
			if (atomic_load(&s->ship.lost_segments) > 0)
				return fault(EIO, "%s: %.900s", s->rule.url, s->status.trouble);
			continue;
		}
		if (s->status.state == BACKUP_PAUSED)
			return fault(EAGAIN, "%s: %.900s", s->rule.url, s->status.trouble);
		is_there = false;
		s->urgent = true;
		/* An attempt that began before the call may have failed of what is mended now. */
		if (s->status.state == BACKUP_FAILED && s->rc < 0 && s->tries > tries_before(w, s->rule.number) + 1)
			return fault(-s->rc, "%s: %.900s", s->rule.url, s->status.trouble);
	}
	return is_there;
}

static int time_is_up(Backup *backup, const struct waiting *w) {
	for (size_t i = 0; i < backup->count; i++) {
		const struct shipper *s = backup->shippers[i];
		if ((!w->url || strcmp(w->url, s->rule.url) == 0) && s->status.commit < w->commit && *s->status.trouble)
			return fault(ETIME, "not all is in the backup %s yet: %.900s", s->rule.url, s->status.trouble);
	}
	return fault(ETIME, "not all is in the backup yet");
}

static int wait_for_targets(Backup *backup, struct waiting *w, int64_t deadline) {
	for (size_t i = 0; i < backup->count; i++) {
		w->numbers[w->count] = backup->shippers[i]->rule.number;
		w->tries[w->count++] = backup->shippers[i]->tries;
	}
	for (;;) {
		if (w->url && find(backup, w->url) == backup->count)
			return fault(ENOENT, "there is no backup to %s", w->url);
		int rc = look_at_targets(backup, w);
		if (rc != 0)
			return rc < 0 ? rc : 0;
		if (monotonic_ns() >= deadline)
			return time_is_up(backup, w);
		pthread_cond_broadcast(&backup->changed);
		struct timespec until = deadline_after_ms(WAIT_MS);
		(void)pthread_cond_timedwait(&backup->changed, &backup->lock, &until);
	}
}

int backup_sync(Backup *backup, const char *url, unsigned timeout_ms) {
	int64_t deadline = monotonic_ns() + (int64_t)timeout_ms * MS;
	if (backup->is_read_only)
		return fault(EROFS, "the vault is open for reading only");
	int rc = store_commit_wait(backup->store);
	if (rc < 0)
		return rc;
	struct waiting w = {.url = url, .commit = store_durable_commit(backup->store)};
	pthread_mutex_lock(&backup->lock);
	rc = wait_for_targets(backup, &w, deadline);
	pthread_mutex_unlock(&backup->lock);
	return rc;
}
