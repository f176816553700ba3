/* `assayfs erase`: a file gone for good, from all zones and from the disk. */
#include "fs/command/answer.h"
#include "fs/command/client.h"
#include "fs/command/command.h"
#include "fs/command/progress.h"
#include "fs/command/subject.h"
#include "fs/words.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Of one request: what its JSON has room for. */
#define PATHS_MOST 2000

struct erasing {
	json_t *goes, *shares, *left, *made;
	json_t *unclear, *names_left, *policies; /* of a subject: what was not understood, and names that hold it */
	Table *table;
	Progress *progress;
	bool is_dry, is_subject, has_sum, is_gone;
	uint64_t versions, bytes, names, referrers, segments, backups;
};

/* ---- what the mount says ---- */

/* Of a subject, a version that stays may be the corrected one of the same file; of a path it never is. */
static const char *words_of_place(const json_t *item, bool is_subject, char *words, size_t size) {
	uint64_t held = answer_number(item, "quarantine"), kept = answer_number(item, "kept");
	size_t used = 0;
	words[0] = '\0';
	if (held)
		used = (size_t)snprintf(words, size, "quarantine %" PRIu64, held);
	if (answer_flag(item, "shown"))
		used += (size_t)snprintf(words + used, size - used, "%sthe name ends", used ? ", " : "");
	if (kept)
		snprintf(words + used, size - used, "%skeeps %" PRIu64 " version%s %s", used ? ", " : "", kept,
		        kept == 1 ? "" : "s",
		        !is_subject ? "of other files"
		        : kept == 1 ? "that does not hold it"
		                    : "that do not hold it");
	return words;
}

static void add_row(struct erasing *e, const json_t *item) {
	char path[ANSWER_PATH_BYTES], words[WORDS_BYTES], about[128];
	answer_path(item, "path", path);
	table_cell(e->table, path[0] ? path : "(written for Trusted)");
	table_cellf(e->table, "%" PRIu64, answer_number(item, "versions"));
	table_cell(e->table, words_size(answer_number(item, "bytes"), words));
	table_cell(e->table, words_of_place(item, e->is_subject, about, sizeof about));
}

static void take_sum(struct erasing *e, const json_t *item) {
	e->has_sum = true;
	e->versions = answer_number(item, "versions");
	e->bytes = answer_number(item, "bytes");
	e->backups = answer_number(item, "backups");
	e->names = answer_number(item, "names");
	e->referrers = answer_number(item, "referrers");
}

/* A name is told once for each version that it shows. */
static bool is_in(const json_t *list, const json_t *item) {
	for (size_t i = 0; i < json_array_size(list); i++)
		if (json_equal(json_object_get(json_array_get(list, i), "path"), json_object_get(item, "path")))
			return true;
	return false;
}

static int take_item(void *context, const json_t *item) {
	struct erasing *e = context;
	const char *kind = answer_text(item, "kind");
	json_t *list = strcmp(kind, "goes") == 0      ? e->goes
	               : strcmp(kind, "shares") == 0  ? e->shares
	               : strcmp(kind, "left") == 0    ? e->left
	               : strcmp(kind, "made") == 0    ? e->made
	               : strcmp(kind, "unclear") == 0 ? e->unclear
	               : strcmp(kind, "name") == 0    ? e->names_left
	               : strcmp(kind, "policy") == 0  ? e->policies
	                                              : NULL;
	if (list == e->goes && list)
		add_row(e, item);
	if (list && list == e->names_left && is_in(list, item))
		return 0;
	if (list)
		return json_array_append(list, (json_t *)(uintptr_t)item) ? -ENOMEM : 0;
	if (strcmp(kind, "sum") == 0)
		take_sum(e, item);
	if (strcmp(kind, "search") == 0)
		progress_set(e->progress, answer_number(item, "done"), answer_number(item, "total"));
	if (strcmp(kind, "progress") == 0)
		progress_set(e->progress, answer_number(item, "total") - answer_number(item, "left"),
		        answer_number(item, "total"));
	if (strcmp(kind, "rewritten") == 0) {
		e->is_gone = true;
		e->segments = answer_number(item, "segments");
	}
	return 0;
}

/* ---- what is said of it ---- */

static void print_paths(const json_t *list, const char *words) {
	size_t count = json_array_size(list);
	if (count > 0)
		printf("%s\n", words);
	for (size_t i = 0; i < count; i++) {
		char path[ANSWER_PATH_BYTES];
		_cleanup_(freep) char *safe = words_safe(answer_path(json_array_get(list, i), "path", path));
		printf("  %s\n", safe ? safe : "?");
	}
}

/* Where one looks at what was made of it: by a path and the number of `assayfs versions`. */
static void print_made(const json_t *list) {
	size_t count = json_array_size(list);
	if (count > 0)
		printf("Made of what is erased, and stay (look whom they tell of; --derived takes them, too):\n");
	for (size_t i = 0; i < count; i++) {
		const json_t *item = json_array_get(list, i);
		char path[ANSWER_PATH_BYTES];
		_cleanup_(freep) char *safe = words_safe(answer_path(item, "path", path));
		uint64_t held = answer_number(item, "quarantine"), number = answer_number(item, "number");
		if (held)
			printf("  .assayfs/quarantine/%" PRIu64 " (of %s)\n", held, safe ? safe : "?");
		else if (number)
			printf("  %s, version %" PRIu64 "%s\n", safe ? safe : "?", number,
			        answer_flag(item, "shown") ? "" : " (not shown)");
		else
			printf("  %s, a version that no name shows\n", safe && *safe ? safe : "(written for Trusted)");
	}
}

/* What an erasure of versions can't take away, or could not look through. */
static void print_rest(const struct erasing *e) {
	print_paths(
	        e->unclear, "Not understood, so that it may stand there still (neither tables nor text, or too long):");
	print_paths(e->names_left,
	        "It stands in these names ('assayfs erase PATH' takes the whole file with its name; the "
	        "log and the list of versions keep the name):");
	if (json_array_size(e->policies) > 0)
		printf("It stands in these policies, which are kept (apply one without it):\n");
	for (size_t i = 0; i < json_array_size(e->policies); i++) {
		printf("  ");
		subject_print_policy(json_array_get(e->policies, i));
	}
}

static void print_all(struct erasing *e) {
	char size[WORDS_BYTES];
	(void)table_print(e->table, stdout);
	print_made(e->made);
	print_paths(e->shares, "These files share bytes with it, by a copy made inside the vault, and keep them:");
	print_paths(e->left, e->is_subject
	                             ? "These have the same names and do not hold it, so they stay:"
	                             : "The same name, but not made of it, stays (name it, too, if it is meant):");
	print_rest(e);
	if (e->referrers)
		printf("%" PRIu64 " version%s of other files judged by looking at it; the verdicts hold its SHA-256.\n",
		        e->referrers, e->referrers == 1 ? " was" : "s were");
	size_t rows = json_array_size(e->goes);
	printf("%" PRIu64 " version%s in %zu place%s, %s, %s; %" PRIu64 " name%s", e->versions,
	        e->versions == 1 ? "" : "s", rows, rows == 1 ? "" : "s", words_size(e->bytes, size),
	        e->is_dry ? "would be erased" : "erased", e->names, e->names == 1 ? "" : "s");
	printf(e->is_dry ? " would end" : " ended");
	if (e->is_gone)
		printf("; %" PRIu64 " segment%s rewritten", e->segments, e->segments == 1 ? "" : "s");
	printf(".\n");
	if (e->backups)
		printf("What was shipped to backups stays there until the generations that have it go and locks end "
		       "(docs/backup.md).\n");
}

static int print_json(const struct invocation *call, struct erasing *e) {
	json_t *all = json_pack("{s:b, s:O, s:O, s:O, s:O, s:O, s:O, s:O, s:I, s:I, s:I, s:I}", "dry_run",
	        (int)e->is_dry, "erased", e->goes, "shares", e->shares, "left", e->left, "made", e->made, "unclear",
	        e->unclear, "in_names", e->names_left, "in_policies", e->policies, "versions", (json_int_t)e->versions,
	        "bytes", (json_int_t)e->bytes, "names", (json_int_t)e->names, "referrers", (json_int_t)e->referrers);
	if (all && e->is_gone)
		json_object_set_new(all, "segments_rewritten", json_integer((json_int_t)e->segments));
	return command_print_json(call, all);
}

/* ---- asking ---- */

/* The paths as the vault has them; all of one mount. An exit code. */
static int locate_all(const struct invocation *call, const struct client_place *first, json_t *paths) {
	_cleanup_(freep) struct client_place *place = calloc(1, sizeof *place);
	if (!place)
		return command_fail(call, EXIT_UNDECIDED, "out of memory");
	for (int i = 0; i < call->operand_count; i++) {
		int rc = client_locate(call->operands[i], place);
		if (rc)
			return command_fault(call, rc, "finding the vault of %s", call->operands[i]);
		if (strcmp(place->vault_id, first->vault_id) != 0)
			return command_fail(
			        call, EXIT_USAGE, "%s lies in another vault; one vault at a time", call->operands[i]);
		json_array_append_new(paths, wire_path(place->path));
	}
	return EXIT_DONE;
}

/* What is asked for: paths, or whom. NULL with *ret_code where that makes no sense. */
static json_t *make_request(
        const struct invocation *call, const struct erasing *e, const struct client_place *place, int *ret_code) {
	const char *reason = command_value(call, "reason");
	_cleanup_(json_decrefp) json_t *paths = json_array();
	_cleanup_(subject_release) struct subject_lines lines = {0};
	int rc = e->is_subject ? subject_read(&lines) : 0;
	*ret_code = rc < 0 ? command_fault(call, rc, "reading whom it is about") : EXIT_DONE;
	if (!*ret_code && !e->is_subject)
		*ret_code = locate_all(call, place, paths);
	if (*ret_code)
		return NULL;
	json_t *request = json_pack("{s:s, s:b, s:b, s:b}", "reason", reason ? reason : "", "dry_run", (int)e->is_dry,
	        "wait", (int)!command_has(call, "no-wait"), "derived", (int)command_has(call, "derived"));
	bool done = request && (e->is_subject ? json_object_set_new(request, "subject", subject_json(&lines))
	                                      : json_object_set(request, "paths", paths)) == 0;
	if (!done)
		*ret_code = command_fail(call, EXIT_USAGE, "--reason, and whom it is about, must be UTF-8 text");
	if (!done)
		json_decref(request);
	return done ? request : NULL;
}

static int ask(const struct invocation *call, struct erasing *e) {
	struct client_place place;
	_cleanup_(client_closep) Client *client = NULL;
	int code = client_open_operand(call, 0, &place, &client);
	json_t *request = code ? NULL : make_request(call, e, &place, &code);
	if (code)
		return code;
	int rc = client_call(client, "erase", request, take_item, e);
	progress_hide(e->progress);
	if (rc && e->is_subject)
		return command_fault(call, rc, "erasing what holds it");
	return rc ? command_fault(call, rc, "erasing %s%s", call->operands[0], call->operand_count > 1 ? " …" : "")
	          : EXIT_DONE;
}

static int check_usage(const struct invocation *call, const struct erasing *e) {
	const char *reason = command_value(call, "reason");
	if (!e->is_dry && (!reason || !*reason))
		return command_fail(call, EXIT_USAGE, "--reason TEXT is needed; it stands in the audit log");
	if (e->is_subject && call->operand_count > 1)
		return command_fail(call, EXIT_USAGE, "with --subject the only operand is DIR, a path in the vault");
	if (!e->is_subject && command_has(call, "derived"))
		return command_fail(
		        call, EXIT_USAGE, "--derived goes with --subject; a PATH always takes what was made of it");
	if (!e->is_subject && call->operand_count == 0)
		return command_fail(call, EXIT_USAGE, "which file? Give PATH, or --subject");
	return EXIT_DONE;
}

static bool has_rest(const struct erasing *e) {
	return json_array_size(e->unclear) + json_array_size(e->names_left) + json_array_size(e->policies) > 0;
}

static int run_erase(const struct invocation *call) {
	_cleanup_(table_freep) Table *table = table_new("Path|>Versions|>Size|");
	_cleanup_(json_decrefp) json_t *lists = json_pack("[[],[],[],[],[],[],[]]");
	struct erasing e = {.table = table,
	        .goes = json_array_get(lists, 0),
	        .shares = json_array_get(lists, 1),
	        .left = json_array_get(lists, 2),
	        .unclear = json_array_get(lists, 3),
	        .names_left = json_array_get(lists, 4),
	        .made = json_array_get(lists, 5),
	        .policies = json_array_get(lists, 6),
	        .is_dry = command_has(call, "dry-run"),
	        .is_subject = command_has(call, "subject")};
	int code = check_usage(call, &e);
	if (code)
		return code;
	if (!table || !lists)
		return command_fail(call, EXIT_UNDECIDED, "out of memory");
	_cleanup_(progress_endp) Progress *progress =
	        progress_begin(e.is_subject ? "looking through versions" : "emptying segments", PROGRESS_COUNT, 0);
	e.progress = progress;
	code = ask(call, &e);
	/* What was erased is said even when the rest did not go well; and where it stands when nothing was. */
	if ((e.has_sum || has_rest(&e)) && command_has(call, "json"))
		code = print_json(call, &e) ? EXIT_UNDECIDED : code;
	else if (e.has_sum)
		print_all(&e);
	else
		print_rest(&e);
	return code == EXIT_DONE && json_array_size(e.unclear) > 0 ? EXIT_UNDECIDED : code;
}

const struct command command_erase = {
        .words = "erase",
        .operands = "[PATH… | DIR]",
        .least = 0,
        .most = PATHS_MOST,
        .summary = "erase a file for good: all versions, from all zones and from the disk",
        .details = "A path in Landing, Raw or Trusted, also of a file that was removed, or .assayfs/quarantine/ID. All "
                   "that "
                   "it ever showed goes, and what was made of it: the captured versions in Raw, what was published in "
                   "Trusted, what is held in quarantine, rows that were withheld. It cannot be undone. --dry-run lists "
                   "what "
                   "would go and changes nothing; look at it first.\n"
                   "The command waits, about half a minute, until the segments that held the bytes are emptied and "
                   "removed; "
                   "what else they held is kept. That goes on when the command is broken off, or at the next mount. A "
                   "file "
                   "that is open for writing is not erased. What a backup got stays there until its generations go and "
                   "its locks end. Stewards only; recorded with the reason.\n"
                   "With --subject, each line of standard input is looked for as find-subject does; the "
                   "versions that hold any of them go, and no others: of a table from which somebody was taken out the "
                   "newer version stays. What was made of them and does not hold it, as a redacted text in Trusted, is "
                   "listed and stays, unless --derived is given. Files that could not be understood are named, and the "
                   "exit code is 3.",
        .options = (const struct command_option[]){{"subject", 0, NULL,
                                                           "the versions that hold what stands on standard input"},
                {"derived", 0, NULL, "with --subject: also what was made of these versions"},
                {"reason", 0, "TEXT", "why, as the audit log keeps it; needed"},
                {"dry-run", 0, NULL, "list what would go, and change nothing"},
                {"no-wait", 0, NULL, "return when it is erased, before its segments are gone"}, OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs erase --dry-run Landing/customers.csv",
                                                             "what there is of it"},
                {"assayfs erase Landing/customers.csv --reason 'request 2026-17'", "gone"},
                {"assayfs erase --subject --dry-run mnt < address.txt", "what holds this person's address"}, {0}},
        .exits = EXIT_BIT(EXIT_NO) | EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_BUSY) | EXIT_BIT(EXIT_NOT_MOUNTED) |
                 EXIT_BIT(EXIT_DENIED),
        .run = run_erase,
};
