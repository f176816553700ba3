#include "policy/check_changes.h"

#include "crypto/base/array.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <stdlib.h>

const char check_only_by_landing[] =
        "it holds personal data that is to be changed, and only a file that comes by way of "
        "Landing is published otherwise than it came";

const char check_not_plain[] =
        "it is compressed, or in another encoding than UTF-8, so nothing can be left out of it or changed";

void changes_release(struct check_changes *changes) {
	row_list_free(changes->without);
	edit_list_free(changes->edits);
	free(changes->places);
}

int changes_add_place(void *context, const struct check_place *place) {
	struct check_changes *changes = context;
	struct check_place *places = array_room(changes->places, &changes->room, changes->count + 1, sizeof *places);
	if (!places)
		return fault(ENOMEM, "no memory to change a file");
	changes->places = places;
	changes->places[changes->count] = *place;
	changes->places[changes->count++].cell = (struct table_cell){0};
	return 0;
}

static bool is_stronger(const struct check_place *one, const struct check_place *other) {
	bool redacts = one->action == PRIVACY_REDACT, is_redacted = other->action == PRIVACY_REDACT;
	return redacts != is_redacted ? redacts : one->score > other->score;
}

void changes_merge(struct check_changes *changes) {
	size_t kept = 0;
	for (size_t i = 0; i < changes->count; i++) {
		const struct check_place place = changes->places[i];
		struct check_place *last = kept > 0 ? &changes->places[kept - 1] : NULL;
		if (!last || last->column != place.column || place.from >= last->to) {
			changes->places[kept++] = place;
			continue;
		}
		size_t from = last->from, to = place.to > last->to ? place.to : last->to;
		if (is_stronger(&place, last))
			*last = place;
		last->from = from;
		last->to = to;
	}
	changes->count = kept;
}

bool changes_drop_row(const struct check_changes *changes) {
	for (size_t i = 0; i < changes->count; i++)
		if (changes->places[i].action == PRIVACY_DROP_ROW)
			return true;
	return false;
}

int changes_edit(struct check_changes *changes, uint64_t offset, uint64_t length, size_t finding, unsigned flags) {
	const struct edit edit = {
	        .offset = offset - changes->removed, .length = length, .finding = finding, .flags = flags};
	return length > 0 ? edit_list_add(changes->edits, &edit) : 0;
}

int changes_leave_out(struct check_changes *changes, uint64_t offset, uint64_t length, uint64_t line,
        const size_t *reasons, size_t count) {
	int rc = row_list_add(changes->without, offset, length, line, reasons, count);
	if (rc == 0)
		changes->removed += length;
	return rc;
}

void changes_take(struct check_changes *changes, struct check_result *result) {
	row_list_free(result->withheld);
	result->withheld = NULL;
	if (changes->without && row_list_count(changes->without) > 0)
		result->withheld = steal_pointer(&changes->without);
	if (changes->edits && edit_list_count(changes->edits) > 0)
		result->edits = steal_pointer(&changes->edits);
	result->privacy.dropped = changes->dropped;
}
