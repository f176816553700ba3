#include "policy/history_file.h"

#include "crypto/base/fault.h"
#include "policy/dqdl/evaluate.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* The newest `depth` values of a series, in a ring while they come in. */
struct ring {
	double *values;
	size_t count; /* that came */
};

struct HistoryFile {
	struct dqdl_wanted *wanted;
	struct ring *rings;
	struct dqdl_series *series;
	size_t count;
	uint64_t line;
};

void history_file_free(HistoryFile *history) {
	if (!history)
		return;
	for (size_t i = 0; i < history->count; i++) {
		if (history->rings)
			free(history->rings[i].values);
		union {
			const double *given;
			double *owned;
		} values = {.given = history->series ? history->series[i].values : NULL};
		free(values.owned);
	}
	dqdl_wanted_free(history->wanted, history->count);
	free(history->rings);
	free(history->series);
	free(history);
}

static int no_memory(void) {
	return fault(ENOMEM, "no memory for the history of a check");
}

int history_file_new(struct bytes rules, HistoryFile **ret_history) {
	_cleanup_(history_file_freep) HistoryFile *history = calloc(1, sizeof *history);
	_cleanup_(ruleset_freep) Ruleset *ruleset = NULL;
	if (!history)
		return no_memory();
	int rc = dqdl_parse(rules, &ruleset, NULL);
	if (rc == -ENOMEM)
		return rc;
	if (rc >= 0 && (rc = dqdl_wanted_history(ruleset, &history->wanted, &history->count)) < 0)
		return rc;
	history->rings = calloc(history->count + 1, sizeof *history->rings);
	history->series = calloc(history->count + 1, sizeof *history->series);
	if (!history->rings || !history->series)
		return no_memory();
	*ret_history = steal_pointer(&history);
	return 0;
}

static int keep(HistoryFile *history, const char *name, double value) {
	for (size_t i = 0; i < history->count; i++) {
		const struct dqdl_wanted *wanted = &history->wanted[i];
		struct ring *ring = &history->rings[i];
		if (strcmp(wanted->name, name) != 0)
			continue;
		if (!ring->values)
			ring->values = calloc(wanted->depth, sizeof *ring->values);
		if (!ring->values)
			return no_memory();
		ring->values[ring->count++ % wanted->depth] = value;
	}
	return 0;
}

int history_file_line(HistoryFile *history, struct bytes line) {
	history->line++;
	if (line.size == 0)
		return 0;
	json_t *object = line.size > HISTORY_LINE_MAX
	                         ? NULL
	                         : json_loadb((const char *)line.data, line.size, JSON_REJECT_DUPLICATES, NULL);
	const char *name = json_string_value(json_object_get(object, "name"));
	const json_t *value = json_object_get(object, "value");
	bool is_right = name && json_is_number(value) && json_object_size(object) == 2;
	int rc =
	        is_right
	                ? keep(history, name, json_number_value(value))
	                : fault(EBADMSG,
	                          "line %llu of the history is not like {\"name\":\"Dataset.*.RowCount\",\"value\":12}",
	                          (unsigned long long)history->line);
	json_decref(object);
	return rc;
}

int history_file_give(HistoryFile *history, struct check_job *job) {
	for (size_t i = 0; i < history->count; i++) {
		const struct ring *ring = &history->rings[i];
		size_t depth = history->wanted[i].depth, count = ring->count < depth ? ring->count : depth;
		double *values = calloc(count + 1, sizeof *values);
		if (!values)
			return no_memory();
		for (size_t j = 0; j < count; j++)
			values[j] = ring->values[(ring->count - 1 - j) % depth];
		history->series[i] =
		        (struct dqdl_series){.name = history->wanted[i].name, .values = values, .count = count};
	}
	job->knows_history = true;
	job->history = history->series;
	job->history_count = history->count;
	return 0;
}
