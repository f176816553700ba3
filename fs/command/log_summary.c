/* `assayfs log summary`: who touched what, how often, what was refused, and at what unusual hours. */
#include "fs/command/answer.h"
#include "fs/command/client.h"
#include "fs/command/command.h"
#include "fs/command/log_request.h"
#include "fs/command/progress.h"
#include "fs/words.h"

#include "crypto/base/fault.h"
#include "fs/audit_summary.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- the time zone ---- */

#define ZONE_FOLDER "/usr/share/zoneinfo/"
/* Changes of local time are looked for in steps that no two of them share, over the years that a log may be of. */
#define STEP_S (14 * 86400)
#define YEARS_BACK 20
#define CHANGES_MOST 500

static long offset_at(time_t at) {
	struct tm local;
	return localtime_r(&at, &local) ? local.tm_gmtoff : 0;
}

/* The first second of another offset in (low, high]. */
static time_t find_change(time_t low, time_t high) {
	long offset = offset_at(low);
	while (high - low > 1) {
		time_t middle = low + (high - low) / 2;
		if (offset_at(middle) == offset)
			low = middle;
		else
			high = middle;
	}
	return high;
}

/* The zone as the mount gets it, which has another one or none. */
static json_t *zone_changes(void) {
	json_t *changes = json_array();
	time_t end = time(NULL) + 366 * 86400, at = end - (time_t)YEARS_BACK * 366 * 86400;
	int rc = json_array_append_new(changes, json_pack("[I, I]", (json_int_t)0, (json_int_t)offset_at(at)));
	for (; rc == 0 && at < end && json_array_size(changes) < CHANGES_MOST; at += STEP_S) {
		if (offset_at(at) == offset_at(at + STEP_S))
			continue;
		time_t change = find_change(at, at + STEP_S);
		rc = json_array_append_new(
		        changes, json_pack("[I, I]", (json_int_t)change, (json_int_t)offset_at(change)));
	}
	if (rc) {
		json_decref(changes);
		return NULL;
	}
	return changes;
}

/* A name of a file below the system's zones; no other text, as a slip in it would count as UTC. */
static int choose_zone(const struct invocation *call) {
	char path[256];
	const char *name = command_value(call, "timezone");
	if (!name)
		return 0;
	int size = snprintf(path, sizeof path, ZONE_FOLDER "%s", name);
	bool is_name = *name && *name != '/' && !strstr(name, "..") && size > 0 && (size_t)size < sizeof path;
	if (strcmp(name, "UTC") != 0 &&
	        (!is_name || access(path, R_OK) != 0 || strcmp(name + strlen(name) - 1, "/") == 0))
		return command_fail(call, EXIT_USAGE,
		        "--timezone %s: there is no such zone; give one as Europe/Berlin or UTC", name);
	if (setenv("TZ", name, 1) != 0)
		return command_fail(call, EXIT_UNDECIDED, "out of memory");
	tzset();
	return 0;
}

/* ---- the answer ---- */

struct summing {
	Progress *progress;
	json_t *summary;
};

static int take_item(void *context, const json_t *item) {
	struct summing *summing = context;
	json_t *summary = json_object_get(item, "summary");
	if (summary && !summing->summary)
		summing->summary = json_incref(summary);
	else
		progress_set(summing->progress, answer_number(item, "done"), answer_number(item, "total"));
	return 0;
}

static const char *name_of(const json_t *item, char buffer[static ANSWER_NAME_BYTES]) {
	const char *name = answer_text(item, "user");
	if (answer_flag(item, "itself"))
		snprintf(buffer, ANSWER_NAME_BYTES, "%.48s (mount)", *name ? name : "?");
	else if (*name)
		snprintf(buffer, ANSWER_NAME_BYTES, "%.60s", name);
	else
		snprintf(buffer, ANSWER_NAME_BYTES, "%" PRIu64, answer_number(item, "uid"));
	return buffer;
}

static void time_cell(Table *table, const json_t *item, const char *name) {
	char time[WORDS_BYTES];
	table_cell(table, words_time(answer_time(item, name), time));
}

static void add_user(Table *table, const json_t *user) {
	static const char *const numbers[] = {"records", "opens", "changes", "denials", "errors"};
	char name[ANSWER_NAME_BYTES], size[WORDS_BYTES];
	table_cell(table, name_of(user, name));
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		table_cellf(table, "%" PRIu64, answer_number(user, numbers[i]));
	table_cell(table, words_size(answer_number(user, "read_bytes"), size));
	table_cell(table, words_size(answer_number(user, "written_bytes"), size));
	time_cell(table, user, "first_ns");
	time_cell(table, user, "last_ns");
}

/* "12" is exact; of "~12" it may be some fewer. */
static void count_cell(Table *table, const json_t *item) {
	table_cellf(table, "%s%" PRIu64, answer_number(item, "over") ? "~" : "", answer_number(item, "records"));
}

static void add_path(Table *table, const json_t *item) {
	char path[ANSWER_PATH_BYTES];
	count_cell(table, item);
	table_cell(table, answer_path(item, "path", path));
}

static void add_touch(Table *table, const json_t *item) {
	char path[ANSWER_PATH_BYTES], name[ANSWER_NAME_BYTES];
	count_cell(table, item);
	table_cellf(table, "%" PRIu64, answer_number(item, "changes"));
	table_cell(table, name_of(item, name));
	table_cell(table, answer_path(item, "path", path));
	time_cell(table, item, "last_ns");
}

static void add_refusal(Table *table, const json_t *item) {
	char path[ANSWER_PATH_BYTES], name[ANSWER_NAME_BYTES];
	count_cell(table, item);
	table_cell(table, name_of(item, name));
	table_cell(table, json_object_get(item, "path") ? answer_path(item, "path", path) : "");
	time_cell(table, item, "last_ns");
	table_cell(table, answer_text(item, "event"));
	table_cell(table, answer_text(item, "reason"));
}

static void add_hours(Table *table, const json_t *user) {
	char name[ANSWER_NAME_BYTES];
	size_t i;
	json_t *hour;
	json_array_foreach(json_object_get(user, "unusual"), i, hour) {
		unsigned from = (unsigned)answer_number(hour, "hour");
		table_cell(table, name_of(user, name));
		table_cellf(table, "%02u:00 to %02u:00", from, (from + 1) % 24);
		table_cellf(table, "%" PRIu64, answer_number(hour, "records"));
		time_cell(table, hour, "last_ns");
		table_cell(table, strcmp(answer_text(user, "hours"), "known") == 0 ? "seldom active then" : "by night");
	}
}

/* A heading, and a row or more for each of `list`; nothing when there is none. */
static int print_part(
        const char *heading, const char *headers, const json_t *list, void (*add)(Table *, const json_t *)) {
	_cleanup_(table_freep) Table *table = table_new(headers);
	size_t i;
	json_t *item;
	if (!table)
		return -ENOMEM;
	json_array_foreach(list, i, item) add(table, item);
	if (table_rows(table) == 0)
		return 0;
	printf("\n%s\n", heading);
	return table_print(table, stdout);
}

static void print_more(const json_t *summary, const char *name, const char *words) {
	char more[32];
	snprintf(more, sizeof more, "%s_more", name);
	uint64_t count = answer_number(summary, more);
	if (count)
		printf("and %" PRIu64 " other%s%s (--top shows more)\n", count, words_s(count), words);
}

static int print_summary(const json_t *summary) {
	char first[WORDS_BYTES], last[WORDS_BYTES];
	uint64_t records = answer_number(summary, "records");
	if (records == 0) {
		puts("No record is so.");
		return 0;
	}
	printf("%" PRIu64 " record%s, %s to %s\n", records, words_s(records),
	        words_time(answer_time(summary, "first_ns"), first), words_time(answer_time(summary, "last_ns"), last));
	int rc = print_part("Who", "User|>Records|>Opens|>Changes|>Denied|>Errors|>Read|>Written|First|Last",
	        json_object_get(summary, "users"), add_user);
	print_more(summary, "users", "");
	if (rc == 0)
		rc = print_part("What", ">Records|Path", json_object_get(summary, "paths"), add_path);
	print_more(summary, "paths", answer_flag(summary, "paths_exact") ? "" : ", or more");
	if (rc == 0)
		rc = print_part("Who touched what", ">Records|>Changes|User|Path|Last",
		        json_object_get(summary, "touches"), add_touch);
	print_more(summary, "touches", answer_flag(summary, "touches_exact") ? "" : ", or more");
	if (rc == 0)
		rc = print_part("Refused", ">Times|User|Path|Last|Event|Why", json_object_get(summary, "refusals"),
		        add_refusal);
	print_more(summary, "refusals", answer_flag(summary, "refusals_exact") ? "" : ", or more");
	if (rc == 0)
		rc = print_part("At unusual hours", "User|Hour|>Records|Last|Why", json_object_get(summary, "users"),
		        add_hours);
	return rc;
}

static int ask(const struct invocation *call, json_t *arguments, json_t **ret_summary) {
	_cleanup_(client_closep) Client *client = NULL;
	struct summing summing = {0};
	int code = client_open_operand(call, 0, NULL, &client);
	if (code) {
		json_decref(arguments);
		return code;
	}
	summing.progress = progress_begin("reading the log", PROGRESS_COUNT, 0);
	int rc = client_call(client, "log-summary", arguments, take_item, &summing);
	progress_end(summing.progress);
	if (!rc && !summing.summary)
		rc = fault(EPROTO, "the mount's answer has no end");
	if (rc) {
		json_decref(summing.summary);
		return command_fault(call, rc, "reading the audit log");
	}
	*ret_summary = summing.summary;
	return 0;
}

static int build_request(const struct invocation *call, json_t *arguments) {
	unsigned long long top = 10;
	int code = choose_zone(call);
	if (!code)
		code = log_request_build(call, arguments);
	if (!code)
		code = command_number(call, "top", 1, AUDIT_SUMMARY_TOP_MOST, &top);
	if (!code && (json_object_set_new(arguments, "top", json_integer((json_int_t)top)) ||
	                     json_object_set_new(arguments, "zones", zone_changes())))
		code = command_fail(call, EXIT_UNDECIDED, "out of memory");
	return code;
}

static int run_summary(const struct invocation *call) {
	_cleanup_(json_decrefp) json_t *arguments = json_object(), *summary = NULL;
	int code = arguments ? build_request(call, arguments) : command_fail(call, EXIT_UNDECIDED, "out of memory");
	if (!code)
		code = ask(call, steal_pointer(&arguments), &summary);
	if (code)
		return code;
	log_request_note_pruned(call, summary);
	if (command_has(call, "json"))
		return command_print_json(call, steal_pointer(&summary));
	int rc = print_summary(summary);
	return rc ? command_fault(call, rc, "printing the summary") : EXIT_DONE;
}

const struct command command_log_summary = {
        .words = "log summary",
        .operands = "[DIR]",
        .most = 1,
        .summary = "sum up the audit log: who touched what, how often, what was refused, and at what hours",
        .details =
                "Of the records that the options name (as those of assayfs log do), all by default: each user's opens, "
                "changes, refusals and bytes; the paths that were touched most, and by whom; refusals by user and path "
                "with the "
                "last "
                "reason; and hours of the day at which a user was active but seldom is.\n"
                "An hour is unusual when less than one in a hundred of the user's records are in it, over at least 14 "
                "days and 100 records; of whom less is there, from 22:00 to 06:00. A number behind ~ may be some "
                "fewer.",
        .options = (const struct command_option[]){LOG_REQUEST_OPTIONS, {"top", 'n', "N", "so many of each (10)"},
                {"timezone", 0, "ZONE", "hours and times of this zone, as Europe/Berlin or UTC (the system's own)"},
                OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs log summary --since -30d", "the last month"},
                {"assayfs log summary --path Trusted --outcome denied", "who was kept from Trusted, and why"}, {0}},
        .exits = EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_NOT_MOUNTED) | EXIT_BIT(EXIT_DENIED),
        .run = run_summary,
};
