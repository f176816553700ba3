#include "fs/watch/keys.h"

#include "backend/store_keys.h"

#include <stdlib.h>
#include <time.h>

#define LABELS(...) ((const struct exposition_label[]){__VA_ARGS__})
#define SECOND_NS 1e9

struct keys {
	struct store_key *list;
	size_t count;
};

static int take_key(void *arg, const struct store_key *key) {
	struct keys *keys = arg;
	void *longer = realloc(keys->list, (keys->count + 1) * sizeof *keys->list);
	if (!longer)
		return 1;
	keys->list = longer;
	keys->list[keys->count++] = *key;
	return 0;
}

static void begin(Exposition *e, const char *name, enum exposition_type type, const char *unit, const char *help) {
	const struct exposition_family family = {.name = name, .type = type, .unit = unit, .help = help};
	exposition_family(e, &family);
}

static void tell_ages(const struct keys *keys, Exposition *e) {
	double now_s = (double)time(NULL);
	begin(e, "assayfs_key_age_seconds", EXPOSITION_GAUGE, "seconds", "Age of the highest version of the key.");
	for (size_t i = 0; i < keys->count; i++) {
		const struct store_key *key = &keys->list[i];
		const int64_t since_ns = key->rotated_ns ? key->rotated_ns : key->version == 1 ? key->created_ns : 0;
		if (since_ns && key->state != KEY_DELETED)
			exposition_number(e, now_s - (double)since_ns / SECOND_NS, LABELS({"key", key->alias}), 1);
	}
}

static void tell_states(const struct keys *keys, Exposition *e) {
	begin(e, "assayfs_key_enabled", EXPOSITION_GAUGE, NULL,
	        "1: the key seals and opens; 0: it is disabled, pending deletion or deleted.");
	for (size_t i = 0; i < keys->count; i++)
		exposition_count(e, keys->list[i].state == KEY_ACTIVE || keys->list[i].state == KEY_RETIRED,
		        LABELS({"key", keys->list[i].alias}), 1);
}

static void tell_uses(const struct keys *keys, Exposition *e) {
	begin(e, "assayfs_key_uses", EXPOSITION_COUNTER, NULL, "Times that a key was derived from it.");
	for (size_t i = 0; i < keys->count; i++) {
		const struct store_key *key = &keys->list[i];
		if (key->is_vital) /* not counted */
			continue;
		exposition_count(e, key->seals, LABELS({"key", key->alias}, {"use", "seal"}), 2);
		exposition_count(e, key->opens, LABELS({"key", key->alias}, {"use", "open"}), 2);
	}
}

static void tell_old(const struct keys *keys, Exposition *e) {
	begin(e, "assayfs_key_old_bytes", EXPOSITION_GAUGE, "bytes",
	        "Bytes in segments that earlier versions of the key sealed.");
	for (size_t i = 0; i < keys->count; i++)
		exposition_count(e, keys->list[i].old_bytes, LABELS({"key", keys->list[i].alias}), 1);
}

static void tell_keys(void *arg, Exposition *e) {
	struct keys keys = {0};
	if (store_key_list(arg, take_key, &keys) == 0) {
		tell_ages(&keys, e);
		tell_states(&keys, e);
		tell_uses(&keys, e);
		tell_old(&keys, e);
	}
	begin(e, "assayfs_locked", EXPOSITION_GAUGE, NULL, "1: 'assayfs lock' took the keys of content out of memory.");
	exposition_count(e, store_is_locked(arg), NULL, 0);
	free(keys.list);
}

int watch_add_key_families(Metrics *metrics, Store *store) {
	return metrics_add_provider(metrics, tell_keys, store);
}

/* ---- the key management service ---- */

static void tell_kms(void *arg, Exposition *e) {
	const struct filesystem *fs = arg;
	struct kms_watch_status kms;
	kms_watch_status(fs->kms, &kms);
	if (!kms.is_watched)
		return;
	begin(e, "assayfs_kms_up", EXPOSITION_GAUGE, NULL,
	        "1: the key management service gave the key when it was asked last; 0: it could not be asked, or "
	        "refused.");
	exposition_count(e, kms.is_up, NULL, 0);
	begin(e, "assayfs_kms_last_success_seconds", EXPOSITION_GAUGE, "seconds",
	        "When it gave the key last, in seconds since 1970.");
	exposition_number(e, (double)kms.last_success_s, NULL, 0);
}

int watch_add_kms_families(Metrics *metrics, struct filesystem *filesystem) {
	return metrics_add_provider(metrics, tell_kms, filesystem);
}

int watch_collect_kms(void *filesystem, struct sampler_round *round) {
	const struct filesystem *fs = filesystem;
	struct kms_watch_status kms;
	kms_watch_status(fs->kms, &kms);
	if (!kms.is_watched)
		return 0;
	sampler_emit(round, "KmsUp", "", kms.is_up);
	sampler_emit(round, "KmsOffline", "", (double)kms.offline_ms / 1e3);
	return 0;
}
