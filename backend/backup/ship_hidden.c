/*
 * Superblocks that are there only as earlier versions, since somebody removed or overwrote them: in a place under locks
 * that is an intruder, and numbering goes on behind them, so that what is shipped from now on is the newest for whoever
 * recovers.
 */
#include "backend/backup/ship_internal.h"
#include "backend/objects/versions.h"

#include "crypto/base/cleanup.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An intruder can put as many that open for nobody. */
#define HIDDEN_MOST 256

struct hidden {
	uint64_t above; /* numbers up to this one are of no interest */
	struct one {
		uint64_t number, size;
		char *version;
	} list[HIDDEN_MOST]; /* falling; of a number several */
	size_t count;
};

static void hidden_freep(struct hidden **slot) {
	struct hidden *hidden = *slot;
	for (size_t i = 0; hidden && i < hidden->count; i++)
		free(hidden->list[i].version);
	free(hidden);
}

static int take_version(void *arg, const struct object_info *object) {
	struct hidden *hidden = arg;
	struct layout_name name;
	layout_parse(object->name, &name);
	if (name.kind != LAYOUT_SUPER || name.number <= hidden->above || object->is_removed || !object->version[0])
		return 0;
	size_t at = hidden->count;
	while (at > 0 && hidden->list[at - 1].number < name.number)
		at--;
	if (at == HIDDEN_MOST)
		return 0;
	char *version = strdup(object->version);
	if (!version)
		return fault(ENOMEM, "no memory for the superblocks of the backup");
	if (hidden->count == HIDDEN_MOST)
		free(hidden->list[--hidden->count].version);
	memmove(&hidden->list[at + 1], &hidden->list[at], (hidden->count - at) * sizeof hidden->list[0]);
	hidden->list[at] = (struct one){.number = name.number, .size = object->size, .version = version};
	hidden->count++;
	return 0;
}

/* -EBADMSG: it is none of this vault's. */
static int read_version(struct ship *ship, const struct one *one, struct layout_super *ret) {
	char name[LAYOUT_NAME_BYTES];
	_cleanup_(freep) uint8_t *bytes = NULL;
	size_t size = 0;
	const struct object_version version = {.id = one->version, .size = one->size};
	layout_super_name(one->number, name);
	int rc = object_version_get(ship->objects, name, &version, LAYOUT_SUPER_BYTES_MAX, &bytes, &size);
	if (rc < 0)
		return rc == -ENOENT ? -EBADMSG : rc;
	return layout_super_open(store_keyring(ship->store), ship->vault_id, one->number, bytes_of(bytes, size), ret);
}

int ship_find_hidden(struct ship *ship) {
	_cleanup_(hidden_freep) struct hidden *hidden = calloc(1, sizeof *hidden);
	if (!hidden)
		return fault(ENOMEM, "no memory for the superblocks of the backup");
	hidden->above = ship->last.number;
	int rc = objects_versions(ship->objects, "super/", take_version, hidden);
	if (rc == -EACCES || rc == -ENOTSUP)
		return 0; /* who may not list them does not see them */
	for (size_t i = 0; rc == 0 && i < hidden->count; i++) {
		struct layout_super super = {0};
		rc = read_version(ship, &hidden->list[i], &super);
		if (rc == 0) {
			layout_super_clear(&ship->last);
			ship->last = super;
			return 1;
		}
		rc = rc == -EBADMSG ? 0 : rc;
	}
	return rc;
}
