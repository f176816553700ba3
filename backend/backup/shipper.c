/* The thread of one target: when it ships, and what it does when that fails. */
#include "backend/backup/backup_internal.h"

#include "backend/tree.h"
#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"
#include "crypto/secret.h"

#include <errno.h>
#include <sodium/randombytes.h>
#include <stdio.h>
#include <stdlib.h>

#define MS INT64_C(1000000)
#define TICK_MS 250
#define PAUSE_MS 1000
/* A rule that is older had its chance to put something. */
#define RULE_OLD_S 60

static void notice(struct shipper *s, enum backup_notice kind, const char *words) {
	Backup *backup = s->backup;
	if (!backup->options.notice)
		return;
	_cleanup_(freep) struct backup_status *status = malloc(sizeof *status);
	if (!status)
		return;
	pthread_mutex_lock(&backup->lock);
	*status = s->status;
	pthread_mutex_unlock(&backup->lock);
	backup->options.notice(backup->options.notice_arg, kind, status, words);
}

static void notice_lost(void *arg, const char *words) {
	notice(arg, BACKUP_NOTICE_LOST, words);
}

int shipper_open_place(Backup *backup, const struct backup_target *rule, Objects **ret_objects) {
	const struct objects_place place = {.url = rule->url,
	        .endpoint = *rule->endpoint ? rule->endpoint : NULL,
	        .access_key = rule->access_key,
	        .secret_key = rule->secret_key,
	        .session_token = rule->session_token,
	        .region = rule->region};
	if (backup->options.open)
		return backup->options.open(&place, ret_objects, backup->options.open_arg);
	return objects_open(&place, ret_objects);
}

/* ---- one attempt ---- */

static int open_place(struct shipper *s) {
	Objects *objects = NULL;
	if (s->ship.objects)
		return 0;
	int rc = shipper_open_place(s->backup, &s->rule, &objects);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&s->backup->lock);
	s->objects = s->ship.objects = objects;
	if (s->stop)
		objects_stop(objects);
	pthread_mutex_unlock(&s->backup->lock);
	return 0;
}

static void close_place(struct shipper *s) {
	pthread_mutex_lock(&s->backup->lock);
	Objects *objects = steal_pointer(&s->objects);
	s->ship.objects = NULL;
	pthread_mutex_unlock(&s->backup->lock);
	objects_close(objects);
}

/* Lock held. */
static void tell_there(struct shipper *s) {
	struct backup_status *status = &s->status;
	status->is_known = true;
	status->generation = s->ship.last.number;
	status->shipped_ns = s->ship.last.time_ns;
	status->commit = ship_has_rule(&s->ship) ? s->ship.last.commit : 0;
	status->generations = s->ship.inventory.super_count;
	status->stored_bytes = s->ship.inventory.bytes;
}

static bool has_lost(const struct shipper *s) {
	return atomic_load(&s->ship.lost_segments) > 0;
}

static int64_t least_pause(const struct shipper *s) {
	return s->backup->options.retry_ms ? s->backup->options.retry_ms : PAUSE_MS;
}

static int64_t most_pause(const struct shipper *s) {
	return least_pause(s) * 60;
}

/* Lock held. */
static void tell_lost(struct shipper *s) {
	uint64_t count = atomic_load(&s->ship.lost_segments);
	s->lost_ns = monotonic_ns() + most_pause(s) * MS;
	s->status.state = BACKUP_FAILED;
	(void)snprintf(s->status.trouble, sizeof s->status.trouble,
	        "%lu segment%s can't be backed up, as they can't be read here; the rest is there, and they are tried "
	        "again each minute: the log names them, assayfs fsck says what is in them",
	        (unsigned long)count, count == 1 ? "" : "s");
}

/* Lock held. */
static void tell_works(struct shipper *s) {
	s->status.retry_ns = 0;
	s->status.trouble[0] = '\0';
	s->status.state = BACKUP_IDLE;
	if (has_lost(s))
		tell_lost(s);
}

/* One that lost something has failed, whatever it does. */
static void tell_shipping(struct shipper *s) {
	pthread_mutex_lock(&s->backup->lock);
	if (!has_lost(s))
		s->status.state = BACKUP_SHIPPING;
	pthread_mutex_unlock(&s->backup->lock);
}

static int begin(struct shipper *s) {
	char words[160];
	int rc = ship_begin(&s->ship);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&s->backup->lock);
	uint64_t before = s->status.generation, now = s->ship.last.number;
	s->has_begun = true;
	tell_there(s);
	pthread_mutex_unlock(&s->backup->lock);
	if (now < before) {
		(void)snprintf(words, sizeof words,
		        "generation %lu was there, and the newest that is there now is %lu: somebody removed some",
		        (unsigned long)before, (unsigned long)now);
		notice(s, BACKUP_NOTICE_GONE, words);
	}
	return 0;
}

static bool is_old(const struct shipper *s) {
	struct timespec wall;
	(void)clock_gettime(CLOCK_REALTIME, &wall);
	return (wall.tv_sec - RULE_OLD_S) * 1000 * MS > s->rule.added_ns;
}

/* A disk that is not mounted is an empty directory: nothing shall be put there. Before every round at least the newest
 * superblock of a directory is looked for, which is cheap. */
static int check_place(struct shipper *s) {
	const struct ship *ship = &s->ship;
	struct layout_super super = {0};
	bool is_there = ship->last.number > 0;
	if (is_there && strncmp(s->rule.url, "file:", strlen("file:")) == 0) {
		int rc = ship_read_super(&s->ship, ship->last.number, &super);
		layout_super_clear(&super);
		if (rc == -ENOENT)
			return fault(ENOENT, "%s: the newest generation is not there any more; is its disk mounted?",
			        s->rule.url);
	}
	if (ship->inventory.objects == 0 && (is_there || (!s->is_new && is_old(s))))
		return fault(ENOENT, "%s is empty; was its disk mounted? To begin anew there: assayfs backup add %s",
		        s->rule.url, s->rule.url);
	return 0;
}

/* Of what was shipped, for who verifies it. Lock held. */
static void keep_rows(struct shipper *s, struct segment_row *rows) {
	free(s->shipped);
	s->shipped = rows;
	s->shipped_count = s->ship.checkpoint.segment_count;
	s->shipped_number = s->ship.last.number;
}

static int ship(struct shipper *s) {
	int64_t began = monotonic_ns();
	tell_shipping(s);
	int rc = check_place(s);
	if (rc == 0)
		rc = ship_round(&s->ship);
	if (rc < 0)
		return rc;
	const struct store_checkpoint *checkpoint = &s->ship.checkpoint;
	struct segment_row *rows = calloc(checkpoint->segment_count + 1, sizeof *rows);
	struct bits files = {0};
	if (!rows)
		return fault(ENOMEM, "no memory for the list of the segments");
	if (s->ship.reach && bits_copy(&files, reach_files(s->ship.reach)) < 0) {
		free(rows);
		return -ENOMEM;
	}
	if (checkpoint->segment_count)
		memcpy(rows, checkpoint->segments, checkpoint->segment_count * sizeof *rows);
	(void)retain_note(s->retain, &s->ship.last); /* else it is read */
	pthread_mutex_lock(&s->backup->lock);
	s->took_ns = monotonic_ns() - began;
	s->versions = s->ship.checkpoint.versions;
	s->versions_known = true;
	s->pending_since = 0;
	s->urgent = s->is_new = false;
	keep_rows(s, rows);
	bits_clear(&s->files);
	s->files = files;
	tell_there(s);
	tell_works(s); /* who waits need not wait for what else is done there */
	pthread_mutex_unlock(&s->backup->lock);
	return 0;
}

/* ---- generations ---- */

/* What goes on until a person does something. */
static bool needs_a_person(int rc) {
	return rc == -EACCES || rc == -ENOENT || rc == -EDQUOT || rc == -EPERM || rc == -EEXIST || rc == -ENOKEY ||
	       rc == -EINVAL || rc == -ENOTSUP || rc == -ENOTDIR || rc == -EROFS;
}

#define PASS_AGAIN_S 60
#define TIDY_S 86400

static unsigned grace_s(const struct shipper *s) {
	return s->backup->options.grace_s ? s->backup->options.grace_s : BACKUP_GRACE_S;
}

static void tell_refusals(struct shipper *s, const struct retain_result *result) {
	char words[FAULT_MESSAGE_BYTES + 100];
	if (result->refused == 0)
		return;
	(void)snprintf(words, sizeof words, "%lu objects that are needed no more can't be removed: %s",
	        (unsigned long)result->refused, result->refusal);
	notice(s, BACKUP_NOTICE_REFUSED, words);
}

/* A failure is told once, and that it is over. */
static void tell_pass(struct shipper *s, int rc, const struct retain_result *result) {
	char words[FAULT_MESSAGE_BYTES] = "";
	if (rc == -ECANCELED)
		return;
	if (rc < 0)
		(void)snprintf(words, sizeof words, "%s", fault_message());
	pthread_mutex_lock(&s->backup->lock);
	bool had_failed = *s->status.pass_trouble;
	memcpy(s->status.pass_trouble, words, sizeof words);
	s->status.refused += result->refused;
	tell_there(s);
	if (result->generations > 0)
		s->status.generations = result->generations;
	pthread_mutex_unlock(&s->backup->lock);
	tell_refusals(s, result);
	if (rc < 0 && !had_failed)
		notice(s, BACKUP_NOTICE_PASS_FAILED, words);
	else if (rc == 0 && had_failed)
		notice(s, BACKUP_NOTICE_PASS_WORKS, "what is needed no more is removed, and locks are renewed, again");
}

/* What the listing shows to be missing is put anew, so that a round follows. That a pass fails is told, and no failure
 * of shipping. */
static int keep_house(struct shipper *s) {
	struct timespec wall;
	struct retain_result result = {0};
	(void)clock_gettime(CLOCK_REALTIME, &wall);
	/* What a killed upload left, of which nobody else is under way for so long. */
	(void)objects_tidy(s->ship.objects, wall.tv_sec - TIDY_S);
	int rc = retain_pass(s->retain, &s->ship, monotonic_ns() / (1000 * MS) + 1, wall.tv_sec, &result);
	tell_pass(s, rc, &result);
	bool soon = result.more || (rc < 0 && rc != -EBADMSG && !needs_a_person(rc));
	int64_t next = soon ? PASS_AGAIN_S : grace_s(s);
	s->pass_ns = monotonic_ns() + (next < grace_s(s) ? next : grace_s(s)) * 1000 * MS;
	return rc < 0 ? 0 : ship(s);
}

/* With a prefix nobody knows what is there of what before a round has looked. */
static bool is_behind(struct shipper *s) {
	bool has_looked = !s->ship.reach || s->shipped_number > 0;
	return !s->has_begun || !has_looked || !ship_has_rule(&s->ship) ||
	       store_durable_commit(s->backup->store) > s->ship.last.commit;
}

static bool is_ending(struct shipper *s) {
	pthread_mutex_lock(&s->backup->lock);
	bool ending = s->end_ns != 0 || s->stop;
	pthread_mutex_unlock(&s->backup->lock);
	return ending;
}

static int try(struct shipper *s) {
	int rc = open_place(s);
	if (rc == 0 && !s->has_begun)
		rc = begin(s);
	if (rc == 0 && (is_behind(s) || (has_lost(s) && monotonic_ns() >= s->lost_ns)))
		rc = ship(s);
	if (rc == 0 && monotonic_ns() >= s->pass_ns && !is_ending(s))
		rc = keep_house(s);
	return rc;
}

/* ---- what comes of it ---- */

static int64_t pause_of(const struct shipper *s, int rc) {
	int64_t least = least_pause(s), most = most_pause(s);
	int64_t pause = needs_a_person(rc) ? most : least << (s->failures < 10 ? s->failures - 1 : 10);
	pause = pause < most ? pause : most;
	/* Those of several vaults shall not come back all at once; never sooner than said. */
	return (pause + (int64_t)randombytes_uniform((uint32_t)(pause / 4) + 1)) * MS;
}

static void failed(struct shipper *s, int rc) {
	char words[FAULT_MESSAGE_BYTES];
	(void)snprintf(words, sizeof words, "%s", fault_message());
	pthread_mutex_lock(&s->backup->lock);
	bool is_first = s->failures++ == 0;
	int64_t pause = pause_of(s, rc), now = monotonic_ns();
	struct timespec wall;
	(void)clock_gettime(CLOCK_REALTIME, &wall);
	s->has_begun = false;
	s->retry_ns = now + pause;
	s->status.retry_ns = (int64_t)wall.tv_sec * 1000 * MS + wall.tv_nsec + pause;
	s->status.retries++;
	bool changes = s->status.state != BACKUP_FAILED && needs_a_person(rc);
	s->status.state = needs_a_person(rc) ? BACKUP_FAILED : BACKUP_RETRYING;
	memcpy(s->status.trouble, words, sizeof words);
	pthread_mutex_unlock(&s->backup->lock);
	if (is_first || changes)
		notice(s, BACKUP_NOTICE_FAILS, words);
}

static void went_well(struct shipper *s) {
	pthread_mutex_lock(&s->backup->lock);
	bool again = s->failures > 0 || (s->had_lost && !has_lost(s));
	s->had_lost = has_lost(s);
	s->failures = 0;
	s->retry_ns = 0;
	tell_works(s);
	again = again && !s->had_lost;
	pthread_mutex_unlock(&s->backup->lock);
	if (again)
		notice(s, BACKUP_NOTICE_WORKS, "works again");
}

static void attempt(struct shipper *s) {
	int rc = try(s);
	pthread_mutex_lock(&s->backup->lock);
	bool is_over = s->stop;
	pthread_mutex_unlock(&s->backup->lock);
	if (rc == 0)
		went_well(s);
	else if (!is_over)
		failed(s, rc);
	/* Credentials and certificates may be others the next time. */
	if (rc < 0)
		close_place(s);
	pthread_mutex_lock(&s->backup->lock);
	s->rc = rc;
	s->tries++;
	s->tried_ns = monotonic_ns();
	pthread_cond_broadcast(&s->backup->changed);
	pthread_mutex_unlock(&s->backup->lock);
}

/* ---- when ---- */

static int64_t rpo_ns(const struct shipper *s) {
	return (int64_t)(s->backup->options.rpo_ms ? s->backup->options.rpo_ms : BACKUP_RPO_MS) * MS;
}

static int64_t smaller(int64_t a, int64_t b) {
	return a < b ? a : b;
}

/* So late that several commits are shipped at once, so early that it has likely ended when the RPO has. */
static int64_t gathering_ns(const struct shipper *s) {
	int64_t rpo = rpo_ns(s), needed = smaller(2 * s->took_ns, rpo / 4 * 3);
	return rpo - needed - smaller(TICK_MS * MS, rpo / 8);
}

/* When an attempt is due; INT64_MAX: nothing is to be done. Lock held. */
static int64_t due_ns(struct shipper *s, bool behind, int64_t now) {
	bool hurries = s->urgent || s->end_ns;
	if (s->rule.paused)
		return INT64_MAX;
	if (s->failures > 0) {
		return hurries ? smaller(s->retry_ns, s->tried_ns + least_pause(s) * MS) : s->retry_ns;
	}
	if (!s->has_begun)
		return now;
	if (!behind) {
		s->urgent = false;
		int64_t next = has_lost(s) ? smaller(s->pass_ns, s->lost_ns) : s->pass_ns;
		return s->end_ns ? INT64_MAX : next;
	}
	if (!s->pending_since)
		s->pending_since = now;
	return hurries ? now : s->pending_since + gathering_ns(s);
}

/* Waits until an attempt is due; false: the thread shall end. */
static bool wait_for_work(struct shipper *s) {
	Backup *backup = s->backup;
	int64_t tick = smaller(TICK_MS * MS, rpo_ns(s) / 8 + MS);
	for (;;) {
		bool behind = is_behind(s);
		pthread_mutex_lock(&backup->lock);
		int64_t now = monotonic_ns(), due = due_ns(s, behind, now);
		bool ends =
		        s->stop || (s->end_ns && (s->rule.paused || now >= s->end_ns || (!behind && s->failures == 0)));
		if (!ends && due > now) {
			struct timespec until = deadline_after_ns(smaller(due - now, tick));
			(void)pthread_cond_timedwait(&backup->changed, &backup->lock, &until);
		}
		pthread_mutex_unlock(&backup->lock);
		if (ends || due <= now)
			return !ends;
	}
}

static void *run(void *arg) {
	struct shipper *s = arg;
	while (wait_for_work(s))
		attempt(s);
	close_place(s);
	pthread_mutex_lock(&s->backup->lock);
	s->has_ended = true;
	pthread_cond_broadcast(&s->backup->changed);
	pthread_mutex_unlock(&s->backup->lock);
	return NULL;
}

/* ---- beginning and end ---- */

static void free_shipper(struct shipper *s) {
	ship_clear(&s->ship);
	retain_free(s->retain);
	bits_clear(&s->files);
	free(s->shipped);
	secret_wipe(&s->rule, sizeof s->rule);
	free(s);
}

static void tell_paused(struct shipper *s) {
	s->status.state = BACKUP_PAUSED;
	(void)snprintf(s->status.trouble, sizeof s->status.trouble,
	        "paused, as this vault was recovered from a backup, and the vault that it was may still ship there; "
	        "when it does not any more: assayfs backup add %s",
	        s->rule.url);
}

int shipper_start(Backup *backup, const struct backup_target *rule, bool is_new, struct shipper **ret_shipper) {
	struct shipper *s = calloc(1, sizeof *s);
	if (!s)
		return fault(ENOMEM, "no memory for a target of the backup");
	s->backup = backup;
	s->rule = *rule;
	s->is_new = is_new;
	s->zones = target_zones(rule);
	s->first = store_durable_commit(backup->store);
	s->ship.notice = notice_lost;
	s->ship.orphan_s = backup->options.orphan_s ? backup->options.orphan_s : BACKUP_ORPHAN_S;
	s->ship.notice_arg = s;
	s->status.target = *rule;
	s->status.has_credentials = rule->access_key[0] != '\0';
	if (rule->paused)
		tell_paused(s);
	secret_wipe(s->status.target.access_key, sizeof s->status.target.access_key);
	secret_wipe(s->status.target.secret_key, sizeof s->status.target.secret_key);
	secret_wipe(s->status.target.session_token, sizeof s->status.target.session_token);
	int rc = ship_init(&s->ship, backup->store, rule);
	s->ship.locked_since_s = rule->added_ns / (1000 * MS) + 1;
	if (rc == 0)
		rc = retain_new(grace_s(s), &s->retain);
	if (rc == 0) {
		rc = pthread_create(&s->thread, NULL, run, s);
		rc = rc ? fault_errno(rc, "starting the backup to %s", rule->url) : 0;
	}
	if (rc < 0) {
		free_shipper(s);
		return rc;
	}
	s->is_running = true;
	*ret_shipper = s;
	return 0;
}

void shipper_end(struct shipper *s, int64_t deadline_ns) {
	Backup *backup = s->backup;
	pthread_mutex_lock(&backup->lock);
	s->end_ns = deadline_ns;
	pthread_cond_broadcast(&backup->changed);
	while (!s->has_ended && monotonic_ns() < deadline_ns) {
		struct timespec until = deadline_after_ns(smaller(deadline_ns - monotonic_ns(), 100 * MS));
		(void)pthread_cond_timedwait(&backup->changed, &backup->lock, &until);
	}
	s->stop = true;
	if (s->objects)
		objects_stop(s->objects);
	pthread_cond_broadcast(&backup->changed);
	pthread_mutex_unlock(&backup->lock);
	pthread_join(s->thread, NULL);
	free_shipper(s);
}
