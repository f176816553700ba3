/*
 * When a key is taken away: which zones are closed, so that no cipher of theirs is taken from the cache or kept in it;
 * the cache itself goes. Whoever derived one before goes on with it for the one batch that he is at.
 */
#include "backend/segment_internal.h"

#include <errno.h>
#include <stdio.h>

/* Under this key new segments of the zone begin. */
static int zone_key(const SegmentStore *s, enum zone zone, uint32_t *ret_version) {
	_cleanup_(secret_key_wipe) struct secret_key key;
	return keyring_get(s->keyring, zone_key_name(zone), 0, key.bytes, ret_version);
}

/* Under this own key new segments begin; 0: it can't be had. */
static uint32_t own_version(const SegmentStore *s, const char *own) {
	_cleanup_(secret_key_wipe) struct secret_key key;
	uint32_t version = 0;
	return own[0] && keyring_get(s->keyring, own, 0, key.bytes, &version) == 0 ? version : 0;
}

/* Nothing is appended any more to what is sealed under another key than the present one. */
static void end_writers(SegmentStore *s, enum zone zone, uint32_t version) {
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < WRITERS_MAX; i++) {
		struct segment *segment = s->writers[i];
		if (!segment || segment->row.zone != zone)
			continue;
		if (segment->row.key_version == version && segment->row.own_version == own_version(s, segment->row.own))
			continue;
		segment->row.state = SEGMENT_CLOSED;
		s->writers[i] = NULL;
	}
	pthread_mutex_unlock(&s->lock);
}

int segment_own_check(const SegmentStore *s, const char *own) {
	_cleanup_(secret_key_wipe) struct secret_key key;
	return own[0] ? keyring_get(s->keyring, own, 0, key.bytes, NULL) : 0;
}

/* Which segments are shut by their own keys; true: some that was not. Neighbours often have the same. */
static bool shut_owns(SegmentStore *s) {
	const char *last = "";
	bool is_shut = false, newly = false;
	if (!s->has_own)
		return false;
	pthread_mutex_lock(&s->lock);
	for (uint32_t i = 0; i < s->table_size; i++) {
		struct segment *segment = s->table[i];
		if (!segment || !segment->row.own[0])
			continue;
		if (strcmp(segment->row.own, last) != 0)
			is_shut = segment_own_check(s, segment->row.own) < 0;
		last = segment->row.own;
		newly |= is_shut && !segment->is_shut;
		segment->is_shut = is_shut;
	}
	pthread_mutex_unlock(&s->lock);
	return newly;
}

void segment_keys_changed(SegmentStore *s) {
	unsigned closed = 0;
	for (int zone = ZONE_LANDING; zone <= ZONE_STAGING; zone++) {
		uint32_t version = 0;
		int rc = zone_key(s, (enum zone)zone, &version);
		if (rc < 0 && rc != -ENOKEY)
			closed |= 1u << zone;
		end_writers(s, (enum zone)zone, version);
	}
	const unsigned newly = closed & ~s->closed_zones;
	s->closed_zones = closed;
	if (shut_owns(s) || newly)
		segment_batch_keys_drop(s);
}

int segment_key_check(SegmentStore *s, uint32_t number) {
	_cleanup_(secret_key_wipe) struct secret_key key;
	struct segment_row row = {0};
	pthread_mutex_lock(&s->lock);
	const struct segment *segment = number < s->table_size ? s->table[number] : NULL;
	if (segment)
		row = segment->row;
	pthread_mutex_unlock(&s->lock);
	int rc = row.number ? keyring_get(s->keyring, zone_key_name(row.zone), row.key_version, key.bytes, NULL) : 0;
	return rc == 0 && row.own[0] ? keyring_get(s->keyring, row.own, row.own_version, key.bytes, NULL) : rc;
}

void segment_key_used(
        SegmentStore *s, uint32_t number, char ret_name[static KEYRING_NAME_MAX + 1], uint32_t *ret_version) {
	struct segment_row row = {0};
	pthread_mutex_lock(&s->lock);
	const struct segment *segment = number < s->table_size ? s->table[number] : NULL;
	if (segment)
		row = segment->row;
	pthread_mutex_unlock(&s->lock);
	const char *name = !row.number ? "" : row.own[0] ? row.own : zone_key_name(row.zone);
	(void)snprintf(ret_name, KEYRING_NAME_MAX + 1, "%s", name);
	*ret_version = row.own[0] ? row.own_version : row.key_version;
}

bool segment_only_key(
        const SegmentStore *s, enum zone zone, char ret_name[static KEYRING_NAME_MAX + 1], uint32_t *ret_version) {
	const uint32_t least = s->key_least[zone];
	if (s->has_own || least == 0 || least != s->key_most[zone])
		return false;
	(void)snprintf(ret_name, KEYRING_NAME_MAX + 1, "%s", zone_key_name(zone));
	*ret_version = least;
	return true;
}

int segment_zone_check(SegmentStore *s, enum zone zone) {
	uint32_t version;
	return segment_zone_is_closed(s, zone) ? zone_key(s, zone, &version) : 0;
}

void segment_own(SegmentStore *s, uint32_t number, char ret_own[static OWN_KEY_BYTES]) {
	ret_own[0] = '\0';
	if (!s->has_own)
		return;
	pthread_mutex_lock(&s->lock);
	if (number < s->table_size && s->table[number])
		memcpy(ret_own, s->table[number]->row.own, OWN_KEY_BYTES);
	pthread_mutex_unlock(&s->lock);
}

bool segment_any_own(const SegmentStore *s) {
	return s->has_own;
}

void segment_own_derivations(SegmentStore *s, const char *own, uint64_t *ret_seals, uint64_t *ret_opens) {
	*ret_seals = *ret_opens = 0;
	pthread_mutex_lock(&s->lock);
	for (uint32_t i = 0; i < s->table_size; i++) {
		const struct segment *segment = s->table[i];
		if (!segment || strcmp(segment->row.own, own) != 0)
			continue;
		*ret_seals += segment->seals;
		*ret_opens += segment->opens;
	}
	pthread_mutex_unlock(&s->lock);
}

void segment_derivations(SegmentStore *s, struct segment_derivations *ret) {
	for (int zone = 0; zone <= ZONE_STAGING; zone++) {
		ret->seals[zone] = s->seals[zone];
		ret->opens[zone] = s->opens[zone];
	}
}
