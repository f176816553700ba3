/* `assayfs scan`: personal data in files, without a vault. */
#include "fs/command/command.h"
#include "fs/command/input.h"
#include "fs/command/scan_summary.h"
#include "fs/words.h"

#include "crypto/base/fault.h"
#include "policy/privacy/detector.h"
#include "policy/privacy/scan_file.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { ENTITIES_MAX = 100 };

struct scanning {
	const struct invocation *call;
	const char *file;
	struct scan_about about;
	struct scan_summary summary;
	uint64_t found;
};

/* ---- findings ---- */

/* Takes over the object. Where writing fails the scan ends, and what write said is told at the command's end. */
static int print_object(json_t *object) {
	int rc = object ? json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(3)) : -1;
	json_decref(object);
	if (rc < 0 && !ferror(stdout))
		return fault(ENOMEM, "printing JSON: out of memory");
	putchar('\n');
	return 0;
}

static json_t *file_json(const struct scanning *scanning) {
	return words_is_utf8(scanning->file) ? json_string(scanning->file) : json_null();
}

static json_t *column_json(struct table_cell name) {
	json_t *column = name.data ? json_stringn(name.data, name.size) : NULL;
	return column ? column : json_null();
}

static int print_finding_json(
        const struct scanning *scanning, const struct scan_finding *finding, struct table_cell name) {
	return print_object(json_pack("{s:o, s:s, s:I, s:o, s:I, s:I, s:f}", "file", file_json(scanning), "entity",
	        finding->entity, "line", (json_int_t)finding->line, "column", column_json(name), "start",
	        (json_int_t)finding->start, "end", (json_int_t)finding->end, "score", finding->score / 100.0));
}

static void print_column(struct table_cell name) {
	if (!name.data)
		return;
	_cleanup_(freep) char *copy = strndup(name.data, name.size);
	_cleanup_(freep) char *safe = copy ? words_safe(copy) : NULL;
	printf(" in column \"%s\"", safe ? safe : "?");
}

static int take_finding(void *context, const struct scan_finding *finding) {
	struct scanning *scanning = context;
	struct table_cell name = {0};
	int rc = 0;
	if (scanning->about.names)
		name = scanning->about.names[finding->column];
	scanning->found++;
	if (command_has(scanning->call, "summary"))
		return scan_summary_add(&scanning->summary, finding, name);
	if (command_has(scanning->call, "json")) {
		rc = print_finding_json(scanning, finding, name);
	} else {
		_cleanup_(freep) char *file = words_safe(scanning->file);
		printf("%s:%" PRIu64 ": %s", file ? file : "?", finding->line, finding->entity);
		print_column(name);
		printf(", characters %zu to %zu, %u%%\n", finding->start + 1, finding->end, finding->score);
	}
	return rc == 0 && ferror(stdout) ? fault(EIO, "standard output can't be written") : rc;
}

static int print_summary(const struct scanning *scanning) {
	_cleanup_(freep) char *file = words_safe(scanning->file);
	int rc = 0;
	for (size_t i = 0; i < scanning->summary.count && rc == 0; i++) {
		const struct scan_count *count = &scanning->summary.counts[i];
		struct table_cell name = {.data = count->name, .size = count->name_size};
		if (command_has(scanning->call, "json")) {
			rc = print_object(json_pack("{s:o, s:s, s:o, s:I, s:I}", "file", file_json(scanning), "entity",
			        count->entity, "column", column_json(name), "count", (json_int_t)count->count,
			        "first_line", (json_int_t)count->first_line));
			continue;
		}
		printf("%s: %s", file ? file : "?", count->entity);
		print_column(name);
		printf(", %" PRIu64 " time%s, first on line %" PRIu64 "\n", count->count, words_s(count->count),
		        count->first_line);
	}
	return rc;
}

/* ---- files ---- */

static int read_input(void *context, void *buffer, size_t size) {
	const struct check_input *input = context;
	return (int)input->read(input->context, buffer, size < INT_MAX ? size : INT_MAX);
}

static int scan_input(Scanner *scanner, const struct scan_file *file, Input *input, struct scanning *scanning) {
	struct check_input source = input_source(input);
	int rc = scan_file(scanner, file, (struct table_source){.read = read_input, .ctx = &source}, take_finding,
	        scanning, &scanning->about);
	input_done(input);
	int printed = print_summary(scanning); /* also of what was found until it failed */
	scan_summary_release(&scanning->summary);
	return rc < 0 ? rc : printed;
}

static int scan_one(const struct invocation *call, Scanner *scanner, const char *path) {
	_cleanup_(input_closep) Input *input = NULL;
	struct scanning scanning = {.call = call, .file = path};
	const struct scan_file file = {.form = command_has(call, "table")  ? SCAN_TABLE
	                                       : command_has(call, "text") ? SCAN_TEXT
	                                                                   : SCAN_DETECT,
	        .name = path};
	int rc = input_open(path, "looking for personal data", &input);
	if (rc < 0)
		return command_fault(call, rc, "%s", path);
	rc = scan_input(scanner, &file, input, &scanning);
	if (ferror(stdout))
		return EXIT_UNDECIDED;
	if (rc == 0 && scanning.about.left_out[0])
		command_note(call, "%s: not looked at: %s", path, scanning.about.left_out);
	if (rc == 0 && scanning.about.aside[0])
		command_note(call, "%s: not looked at: %s", path, scanning.about.aside);
	if (rc == 0 && scanning.about.cut_line)
		command_note(call, "%s: line %" PRIu64 " is longer than %u MiB, and was looked at in pieces", path,
		        scanning.about.cut_line, SCAN_LINE_MAX >> 20);
	if (rc == 0 && scanner_unclear_line(scanner) > 0)
		command_note(call,
		        "%s: line %" PRIu64 " has personal data with escapes of JSON in its midst (as u00e9 for a "
		        "letter), of which not all is "
		        "told",
		        path, scanner_unclear_line(scanner));
	if (rc == 0)
		return scanning.found ? EXIT_NO : EXIT_DONE;
	(void)command_fault(call, rc, "%s", path);
	if (rc == -EBADMSG && file.form == SCAN_DETECT)
		command_note(call, "hint: with --text it is looked at line by line, whatever its name is");
	return EXIT_UNDECIDED;
}

/* ---- the command ---- */

/* Names between commas, cut in place. */
static size_t split_entities(char *text, const char *ret_names[static ENTITIES_MAX]) {
	size_t count = 0;
	char *rest = NULL;
	for (char *name = strtok_r(text, ",", &rest); name && count < ENTITIES_MAX; name = strtok_r(NULL, ",", &rest))
		ret_names[count++] = name;
	return count;
}

static int make_scanner(const struct invocation *call, Scanner **ret_scanner) {
	const char *detect = command_value(call, "detect"), *sensitivity = command_value(call, "sensitivity");
	const char *names[ENTITIES_MAX];
	_cleanup_(freep) char *copy = detect ? strdup(detect) : NULL;
	bool is_high = sensitivity && strcmp(sensitivity, "high") == 0;
	if (sensitivity && !is_high && strcmp(sensitivity, "low") != 0)
		return fault(EINVAL, "--sensitivity: low or high, not '%.40s'", sensitivity);
	/* What a policy published has placeholders, whose words would make personal data of what stands beside them. */
	struct scan_options options = {.sensitivity = is_high ? SCAN_HIGH : SCAN_LOW, .is_treated = true};
	if (copy) {
		options.entity_count = split_entities(copy, names);
		options.entities = names;
	}
	return scanner_new(&options, ret_scanner);
}

static int list_detectors(const struct invocation *call) {
	json_t *names = command_has(call, "json") ? json_array() : NULL;
	for (const char *entity = detector_next_entity(NULL); entity; entity = detector_next_entity(entity)) {
		if (!command_has(call, "json"))
			puts(entity);
		else if (json_array_append_new(names, json_string(entity)) < 0)
			break;
	}
	return command_has(call, "json") ? command_print_json(call, json_pack("{s:o}", "detectors", names)) : EXIT_DONE;
}

static int run_scan(const struct invocation *call) {
	_cleanup_(scanner_freep) Scanner *scanner = NULL;
	int worst = EXIT_DONE;
	if (command_has(call, "list"))
		return list_detectors(call);
	if (call->operand_count == 0)
		return command_fail(call, EXIT_USAGE, "which file? Give FILE, or - for standard input");
	int rc = make_scanner(call, &scanner);
	if (rc < 0)
		return rc == -EINVAL ? command_fail(call, EXIT_USAGE, "%s", fault_message())
		                     : command_fault(call, rc, "making ready");
	for (int i = 0; i < call->operand_count && !ferror(stdout); i++) {
		int code = scan_one(call, scanner, call->operands[i]);
		worst = code > worst ? code : worst;
	}
	return worst;
}

const struct command command_scan = {
        .words = "scan",
        .operands = "[FILE…]",
        .least = 0,
        .most = INT_MAX,
        .summary = "look for personal data in files, without a vault",
        .details = "Prints where what stands, and never what: the entity, the line, in a table the column, the "
                   "characters and "
                   "how sure it is. Files named .csv, .tsv, .jsonl or .ndjson (also packed) are read as tables, whose "
                   "columns' names count as context; all others line by line. Placeholders that a policy wrote, such "
                   "as [EMAIL], are nothing. --summary prints a line for each entity and column instead. --list names "
                   "the detectors. FILE - is "
                   "standard input.\n"
                   "Exits with 0 when nothing was found, 1 when something was or a file is not there, 3 when one could "
                   "not be read.",
        .options = (const struct command_option[]){{"detect", 0, "A,B", "these alone (default: all)"},
                {"sensitivity", 0, "low|high", "what is most likely (default), or all that may be"},
                {"table", 0, NULL, "read it as a table, whatever its name is"},
                {"text", 0, NULL, "look at it line by line, whatever its name is"},
                {"summary", 0, NULL, "a line for each entity and column: how often, and where first"},
                {"list", 0, NULL, "name the detectors, and end"}, OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs scan customers.csv", "is there anything?"},
                {"assayfs scan --summary *.csv", "which columns hold what, and how often"},
                {"assayfs scan --detect EMAIL,CREDIT_CARD --json *.csv | jq -r .line", "on which lines"},
                {"git diff | assayfs scan --detect SECRET -", "no key goes out"}, {0}},
        .exits = EXIT_BIT(EXIT_NO) | EXIT_BIT(EXIT_UNDECIDED),
        .run = run_scan,
};
