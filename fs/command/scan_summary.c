#include "fs/command/scan_summary.h"

#include "crypto/base/array.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void scan_summary_release(struct scan_summary *summary) {
	for (size_t i = 0; i < summary->count; i++)
		free(summary->counts[i].name);
	free(summary->counts);
	*summary = (struct scan_summary){0};
}

static int compare(const struct scan_count *count, const struct scan_finding *finding) {
	if (count->column != finding->column)
		return count->column < finding->column ? -1 : 1;
	return strcmp(count->entity, finding->entity);
}

/* Where the finding is counted, or is to be. */
static size_t place_of(const struct scan_summary *summary, const struct scan_finding *finding) {
	size_t from = 0, to = summary->count;
	while (from < to) {
		size_t middle = from + (to - from) / 2;
		if (compare(&summary->counts[middle], finding) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

static int make_place(struct scan_summary *summary, size_t place) {
	struct scan_count *counts = array_room(summary->counts, &summary->room, summary->count + 1, sizeof *counts);
	if (!counts)
		return fault(ENOMEM, "no memory to count what is found");
	summary->counts = counts;
	memmove(summary->counts + place + 1, summary->counts + place,
	        (summary->count - place) * sizeof *summary->counts);
	summary->counts[place] = (struct scan_count){0};
	summary->count++;
	return 0;
}

int scan_summary_add(struct scan_summary *summary, const struct scan_finding *finding, struct table_cell name) {
	size_t place = place_of(summary, finding);
	if (place == summary->count || compare(&summary->counts[place], finding) != 0) {
		int rc = make_place(summary, place);
		if (rc < 0)
			return rc;
		struct scan_count *made = &summary->counts[place];
		made->entity = finding->entity;
		made->column = finding->column;
		made->first_line = finding->line;
		made->name = name.data ? strndup(name.data, name.size) : NULL;
		made->name_size = name.size;
		if (name.data && !made->name)
			return fault(ENOMEM, "no memory to count what is found");
	}
	summary->counts[place].count++;
	return 0;
}
