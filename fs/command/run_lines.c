#include "fs/command/run_lines.h"

#include "fs/command/answer.h"
#include "fs/command/command.h"
#include "fs/words.h"

#include "crypto/base/cleanup.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void run_lines_print(const json_t *run) {
	const json_t *counts = json_object_get(run, "counts");
	char took[WORDS_BYTES];
	_cleanup_(freep) char *reason = words_safe(answer_text(run, "reason"));
	double seconds = json_number_value(json_object_get(run, "seconds"));
	printf("Run %" PRIu64 " %s", answer_number(run, "run"), answer_text(run, "state"));
	if (json_is_string(json_object_get(run, "ended")))
		printf(" in %s: %" PRIu64 " passed, %" PRIu64 " failed, %" PRIu64 " could not be checked",
		        words_duration((int64_t)(seconds * 1e9), took), answer_number(counts, "passed"),
		        answer_number(counts, "failed"), answer_number(counts, "errors"));
	else
		printf(": %" PRIu64 " files to check", answer_number(counts, "total"));
	printf("%s%s\n", reason && *reason ? "; " : "", reason ? reason : "");
}

/* With the moment at which it ended, or that it is going. What comes with each arrival is no run unless it was asked
 * for. */
static void cell_last(Table *table, const json_t *workflow) {
	const json_t *last = json_object_get(workflow, "last");
	if (!json_is_object(last))
		table_cell(table, strcmp(answer_text(workflow, "on"), "close") == 0 ? "" : "never");
	else if (json_is_string(json_object_get(last, "ended")))
		table_cellf(table, "%s %s", answer_text(last, "state"), answer_text(last, "ended"));
	else
		table_cell(table, answer_text(last, "state"));
}

static const char *next_words(const json_t *workflow) {
	const char *next = answer_text(workflow, "next"), *on = answer_text(workflow, "on");
	if (!answer_flag(workflow, "enabled"))
		return "not enabled";
	if (*next)
		return next;
	return strcmp(on, "close") == 0 ? "with each arrival" : strcmp(on, "after") == 0 ? "after others" : "by hand";
}

void run_lines_workflows(const json_t *workflows) {
	_cleanup_(table_freep) Table *table = table_new("Workflow|Next run|Last run");
	size_t i;
	const json_t *workflow;
	if (!table || json_array_size(workflows) == 0)
		return;
	json_array_foreach(workflows, i, workflow) {
		table_cell(table, answer_text(workflow, "name"));
		table_cell(table, next_words(workflow));
		cell_last(table, workflow);
	}
	(void)table_print(table, stdout);
	putchar('\n');
}

void run_lines_history(const json_t *runs) {
	_cleanup_(table_freep) Table *table =
	        table_new(">Run|Workflow|Cause|Due|>Took|State|>Passed|>Failed|>Errors|Reason");
	size_t i;
	const json_t *run;
	if (json_array_size(runs) == 0) {
		puts("Nothing has run yet.");
		return;
	}
	if (!table)
		return;
	json_array_foreach(runs, i, run) {
		const json_t *counts = json_object_get(run, "counts");
		char took[WORDS_BYTES];
		double seconds = json_number_value(json_object_get(run, "seconds"));
		table_cellf(table, "%" PRIu64, answer_number(run, "run"));
		table_cell(table, answer_text(run, "workflow"));
		table_cell(table, answer_text(run, "cause"));
		table_cell(table, answer_text(run, "due"));
		table_cell(table, seconds > 0 ? words_duration((int64_t)(seconds * 1e9), took) : "");
		table_cell(table, answer_text(run, "state"));
		table_cellf(table, "%" PRIu64, answer_number(counts, "passed"));
		table_cellf(table, "%" PRIu64, answer_number(counts, "failed"));
		table_cellf(table, "%" PRIu64, answer_number(counts, "errors"));
		table_cell(table, answer_text(run, "reason"));
	}
	(void)table_print(table, stdout);
}
