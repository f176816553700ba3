#include "fs/kms_watch.h"

#include "backend/audit.h"
#include "backend/store_keys.h"
#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"
#include "crypto/encoding.h"
#include "crypto/secret.h"
#include "fs/actor.h"
#include "fs/kms_slot.h"
#include "fs/log.h"
#include "fs/words.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WHY_BYTES 400

struct KmsWatch {
	struct kms_watch_options options;
	char vault[HEADER_ID_TEXT_BYTES];
	pthread_t thread;
	pthread_mutex_t lock; /* guards what follows; nothing is taken under it */
	pthread_cond_t wake;
	bool stop;
	Kms *asking; /* the call under way; NULL: none is */
	bool is_watched, is_up;
	int64_t last_s, last_boot_ms; /* of the last success, by the clock and since the start of the machine */
	char words[WHY_BYTES];
};

int64_t kms_watch_every_ms(void) {
	return 60000;
}

/* With the lock held. */
static void note_success(KmsWatch *watch) {
	watch->is_up = true;
	watch->last_s = (int64_t)time(NULL);
	watch->last_boot_ms = boottime_ms();
}

/* ---- the slot ---- */

struct finding {
	const char *vault;
	struct kms_slot *slot;
	bool is_found;
};

static int take_slot(void *arg, const struct slot_info *info, size_t index, bool is_ours) {
	struct finding *finding = arg;
	(void)index;
	if (!is_ours)
		return 0;
	finding->is_found = kms_slot_of(finding->vault, info, finding->slot) == 0;
	return 1;
}

static bool find_slot(const KmsWatch *watch, struct kms_slot *ret) {
	struct finding finding = {.vault = watch->vault, .slot = ret};
	(void)store_slot_list(watch->options.store, take_slot, &finding);
	return finding.is_found;
}

/* ---- asking ---- */

/* Whether the call may begin: kms_watch_stop ends it from here on. */
static bool begin_call(KmsWatch *watch, Kms *kms) {
	pthread_mutex_lock(&watch->lock);
	const bool goes_on = !watch->stop;
	watch->asking = goes_on ? kms : NULL;
	pthread_mutex_unlock(&watch->lock);
	return goes_on;
}

static void end_call(KmsWatch *watch) {
	pthread_mutex_lock(&watch->lock);
	watch->asking = NULL;
	pthread_mutex_unlock(&watch->lock);
}

/* Credentials are looked for anew each time: those of a session are renewed in their file. */
static int ask(KmsWatch *watch, const struct kms_slot *slot) {
	_cleanup_(kms_closep) Kms *kms = NULL;
	_cleanup_(secret_key_wipe) struct secret_key kek = {0};
	static_assert(sizeof kek.bytes == KMS_KEY_BYTES, "a key is as long as others");
	int rc = kms_open(slot->key, NULL, &kms);
	if (rc < 0)
		return rc;
	if (!begin_call(watch, kms))
		return fault(ECANCELED, "the mount ends");
	rc = kms_slot_unwrap(kms, slot, kek.bytes);
	end_call(watch);
	return rc;
}

/* What is said of the key, and not of the way to it or of who asks in general. */
static bool is_refusal(int rc) {
	return rc == -EKEYREVOKED || rc == -EKEYEXPIRED || rc == -EPERM || rc == -ENOENT || rc == -EKEYREJECTED;
}

/* ---- what follows ---- */

static void record(const KmsWatch *watch, const char *words, bool is_back) {
	struct audit_event event = {.event = "kms-away", .outcome = is_back ? "ok" : "error", .detail = words};
	Meta *m = store_meta(watch->options.store);
	if (watch->options.is_unrecorded)
		return;
	if (is_back)
		event.event = "kms-back";
	actor_of_daemon(&event.actor);
	meta_begin(m);
	int rc = meta_end(m, audit_record(m, &event, NULL));
	if (rc < 0)
		log_fault(rc, "recording that the key management service was asked");
}

/* Unless it was unlocked by another slot while the service was asked. */
static void lock_vault(const KmsWatch *watch, const struct kms_slot *asked, const char *why) {
	_cleanup_(freep) struct kms_slot *now = malloc(sizeof *now);
	if (now && (!find_slot(watch, now) || strcmp(now->slot, asked->slot) != 0))
		return;
	int rc = watch->options.lock(watch->options.arg, why);
	if (rc < 0)
		log_fault(rc, "locking the vault: %s", why);
}

static void take_success(KmsWatch *watch, const struct kms_slot *slot) {
	pthread_mutex_lock(&watch->lock);
	const bool was_up = watch->is_up;
	note_success(watch);
	pthread_mutex_unlock(&watch->lock);
	if (was_up)
		return;
	record(watch, slot->key, true);
	log_message(MESSAGE_OTHER, "the key management service answers again: %s", slot->key);
}

static void take_failure(KmsWatch *watch, const struct kms_slot *slot, int rc) {
	char why[WHY_BYTES], time[WORDS_BYTES];
	(void)snprintf(why, sizeof why, "%.*s", WHY_BYTES - 1, fault_message());
	pthread_mutex_lock(&watch->lock);
	const bool is_new = watch->is_up;
	watch->is_up = false;
	memcpy(watch->words, why, sizeof watch->words);
	const int64_t since_ms = boottime_ms() - watch->last_boot_ms;
	pthread_mutex_unlock(&watch->lock);
	if (is_new) {
		record(watch, why, false);
		log_message(MESSAGE_OTHER, "the key management service: %s", why);
	}
	if (is_refusal(rc)) {
		lock_vault(watch, slot, why);
	} else if (watch->options.offline_ms > 0 && since_ms >= watch->options.offline_ms) {
		(void)snprintf(why, sizeof why, "the key management service could not be asked for %s",
		        words_duration(since_ms * INT64_C(1000000), time));
		lock_vault(watch, slot, why);
	}
}

static void look(KmsWatch *watch) {
	_cleanup_(freep) struct kms_slot *slot = malloc(sizeof *slot);
	if (!slot)
		return;
	const bool is_found = find_slot(watch, slot);
	pthread_mutex_lock(&watch->lock);
	watch->is_watched = is_found;
	pthread_mutex_unlock(&watch->lock);
	if (!is_found)
		return;
	int rc = ask(watch, slot);
	if (rc == -ECANCELED)
		return;
	if (rc == 0)
		take_success(watch, slot);
	else
		take_failure(watch, slot, rc);
}

/* ---- life ---- */

static void *run(void *arg) {
	KmsWatch *watch = arg;
	pthread_mutex_lock(&watch->lock);
	while (!watch->stop) {
		const struct timespec at = deadline_after_ms((unsigned)watch->options.every_ms);
		int error = 0;
		while (!watch->stop && error == 0)
			error = pthread_cond_timedwait(&watch->wake, &watch->lock, &at);
		if (watch->stop)
			break;
		pthread_mutex_unlock(&watch->lock);
		look(watch);
		pthread_mutex_lock(&watch->lock);
	}
	pthread_mutex_unlock(&watch->lock);
	return NULL;
}

static void free_watch(KmsWatch *watch) {
	pthread_cond_destroy(&watch->wake);
	pthread_mutex_destroy(&watch->lock);
	free(watch);
}

int kms_watch_start(const struct kms_watch_options *options, KmsWatch **ret_watch) {
	_cleanup_(freep) struct store_info *info = calloc(1, sizeof *info);
	KmsWatch *watch = calloc(1, sizeof *watch);
	if (!watch || !info) {
		free(watch);
		return fault(ENOMEM, "no memory to watch the key management service");
	}
	watch->options = *options;
	store_info(options->store, info);
	hex_encode(bytes_of(info->vault_id, sizeof info->vault_id), watch->vault);
	pthread_mutex_init(&watch->lock, NULL);
	deadline_cond_init(&watch->wake);
	watch->is_watched = true;
	note_success(watch);
	int error = pthread_create(&watch->thread, NULL, run, watch);
	if (error) {
		free_watch(watch);
		return fault_errno(error, "starting the thread that asks the key management service");
	}
	*ret_watch = watch;
	return 0;
}

void kms_watch_stop(KmsWatch *watch) {
	if (!watch)
		return;
	pthread_mutex_lock(&watch->lock);
	watch->stop = true;
	if (watch->asking)
		kms_stop(watch->asking);
	pthread_cond_signal(&watch->wake);
	pthread_mutex_unlock(&watch->lock);
	pthread_join(watch->thread, NULL);
	free_watch(watch);
}

void kms_watch_restart(KmsWatch *watch) {
	if (!watch)
		return;
	struct kms_slot *slot = malloc(sizeof *slot);
	const bool is_found = slot && find_slot(watch, slot);
	free(slot);
	pthread_mutex_lock(&watch->lock);
	watch->is_watched = is_found;
	watch->last_boot_ms = boottime_ms();
	pthread_mutex_unlock(&watch->lock);
}

void kms_watch_status(KmsWatch *watch, struct kms_watch_status *ret) {
	*ret = (struct kms_watch_status){0};
	if (!watch)
		return;
	pthread_mutex_lock(&watch->lock);
	*ret = (struct kms_watch_status){.is_watched = watch->is_watched,
	        .is_up = watch->is_up,
	        .last_success_s = watch->last_s,
	        .offline_ms = watch->is_up ? 0 : boottime_ms() - watch->last_boot_ms,
	        .most_ms = watch->options.offline_ms};
	if (!watch->is_up)
		(void)snprintf(ret->words, sizeof ret->words, "%.*s", (int)sizeof ret->words - 1, watch->words);
	pthread_mutex_unlock(&watch->lock);
}
