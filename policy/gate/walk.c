/*
 * walk: versions that are met by following what ties them to others, each once, whatever circle they stand in.
 *
 *      push ─► seen already? ── no ─► queue ─► next
 *                                      └─ more than `most`: only counted
 */
#include "policy/gate/internal.h"

#include <stdlib.h>

int version_walk_push(struct version_walk *walk, uint64_t version) {
	if (version == 0 || gate_versions_has(&walk->seen, version))
		return 0;
	if (walk->most && walk->seen.count >= walk->most) {
		walk->left_out++;
		return 0;
	}
	int rc = erase_plan_room((void **)&walk->queue, &walk->room, walk->count, sizeof *walk->queue);
	if (rc < 0)
		return rc;
	walk->queue[walk->count++] = version;
	return gate_versions_add(&walk->seen, version);
}

bool version_walk_next(struct version_walk *walk, uint64_t *ret_version) {
	if (walk->next == walk->count)
		return false;
	*ret_version = walk->queue[walk->next++];
	return true;
}

void version_walk_free(struct version_walk *walk) {
	gate_versions_free(&walk->seen);
	free(walk->queue);
	*walk = (struct version_walk){0};
}
