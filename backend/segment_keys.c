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

/* Nothing is appended any more to what is sealed under another key than the present one. */
static void end_writer(SegmentStore *s, enum zone zone, uint32_t version) {
	pthread_mutex_lock(&s->lock);
	struct segment *segment = s->writer[zone];
	if (segment && segment->row.key_version != version) {
		segment->row.state = SEGMENT_CLOSED;
		s->writer[zone] = NULL;
	}
	pthread_mutex_unlock(&s->lock);
}

void segment_keys_changed(SegmentStore *s) {
	unsigned closed = 0;
	for (int zone = ZONE_LANDING; zone <= ZONE_STAGING; zone++) {
		uint32_t version = 0;
		int rc = zone_key(s, (enum zone)zone, &version);
		if (rc < 0 && rc != -ENOKEY)
			closed |= 1u << zone;
		end_writer(s, (enum zone)zone, version);
	}
	const unsigned newly = closed & ~s->closed_zones;
	s->closed_zones = closed;
	if (newly)
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
	return row.number ? keyring_get(s->keyring, zone_key_name(row.zone), row.key_version, key.bytes, NULL) : 0;
}

void segment_key_used(
        SegmentStore *s, uint32_t number, char ret_name[static KEYRING_NAME_MAX + 1], uint32_t *ret_version) {
	struct segment_row row = {0};
	pthread_mutex_lock(&s->lock);
	const struct segment *segment = number < s->table_size ? s->table[number] : NULL;
	if (segment)
		row = segment->row;
	pthread_mutex_unlock(&s->lock);
	(void)snprintf(ret_name, KEYRING_NAME_MAX + 1, "%s", segment ? zone_key_name(row.zone) : "");
	*ret_version = row.key_version;
}

bool segment_only_key(
        const SegmentStore *s, enum zone zone, char ret_name[static KEYRING_NAME_MAX + 1], uint32_t *ret_version) {
	const uint32_t least = s->key_least[zone];
	if (least == 0 || least != s->key_most[zone])
		return false;
	(void)snprintf(ret_name, KEYRING_NAME_MAX + 1, "%s", zone_key_name(zone));
	*ret_version = least;
	return true;
}

int segment_zone_check(SegmentStore *s, enum zone zone) {
	uint32_t version;
	return segment_zone_is_closed(s, zone) ? zone_key(s, zone, &version) : 0;
}

void segment_derivations(SegmentStore *s, struct segment_derivations *ret) {
	for (int zone = 0; zone <= ZONE_STAGING; zone++) {
		ret->seals[zone] = s->seals[zone];
		ret->opens[zone] = s->opens[zone];
	}
}
