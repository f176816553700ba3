/* `assayfs scan`: personal data in files, without a vault. */
#include "fs/command/command.h"
#include "fs/command/input.h"
#include "fs/command/words.h"

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
	uint64_t found;
};

/* ---- findings ---- */

static json_t *finding_json(const struct scanning *scanning, const struct scan_finding *finding) {
	struct table_cell name = {0};
	if (scanning->about.names)
		name = scanning->about.names[finding->column];
	json_t *column = name.data ? json_stringn(name.data, name.size) : json_null();
	return json_pack("{s:o, s:s, s:I, s:o, s:I, s:I, s:f}", "file",
	        words_is_utf8(scanning->file) ? json_string(scanning->file) : json_null(), "entity", finding->entity,
	        "line", (json_int_t)finding->line, "column", column ? column : json_null(), "start",
	        (json_int_t)finding->start, "end", (json_int_t)finding->end, "score", finding->score / 100.0);
}

static int print_finding(void *context, const struct scan_finding *finding) {
	struct scanning *scanning = context;
	scanning->found++;
	if (command_has(scanning->call, "json")) {
		json_t *object = finding_json(scanning, finding);
		int rc = object ? json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(3)) : -1;
		json_decref(object);
		putchar('\n');
		return rc < 0 ? fault(ENOMEM, "printing JSON: out of memory") : 0;
	}
	_cleanup_(freep) char *file = words_safe(scanning->file);
	printf("%s:%" PRIu64 ": %s", file ? file : "?", finding->line, finding->entity);
	if (scanning->about.names) {
		struct table_cell cell = scanning->about.names[finding->column];
		_cleanup_(freep) char *copy = strndup(cell.data, cell.size);
		_cleanup_(freep) char *name = copy ? words_safe(copy) : NULL;
		printf(" in column \"%s\"", name ? name : "?");
	}
	printf(", characters %zu to %zu, %u%%\n", finding->start + 1, finding->end, finding->score);
	return 0;
}

/* ---- files ---- */

static int read_input(void *context, void *buffer, size_t size) {
	const struct check_input *input = context;
	return (int)input->read(input->context, buffer, size < INT_MAX ? size : INT_MAX);
}

static int scan_one(const struct invocation *call, Scanner *scanner, const char *path, uint64_t *found) {
	_cleanup_(input_closep) Input *input = NULL;
	struct scanning scanning = {.call = call, .file = path};
	const struct scan_file file = {.form = command_has(call, "table")  ? SCAN_TABLE
	                                       : command_has(call, "text") ? SCAN_TEXT
	                                                                   : SCAN_DETECT,
	        .name = path};
	int rc = input_open(path, "looking for personal data", &input);
	if (rc < 0)
		return command_fault(call, rc, "%s", path);
	struct check_input source = input_source(input);
	rc = scan_file(scanner, &file, (struct table_source){.read = read_input, .ctx = &source}, print_finding,
	        &scanning, &scanning.about);
	input_done(input);
	*found += scanning.found;
	if (rc == 0 && scanning.about.left_out[0])
		command_note(call, "%s: not looked at: %s", path, scanning.about.left_out);
	if (rc == 0 && scanning.about.aside[0])
		command_note(call, "%s: not looked at: %s", path, scanning.about.aside);
	if (rc == 0 && scanning.about.cut_line)
		command_note(call, "%s: line %" PRIu64 " is longer than %u MiB, and was looked at in pieces", path,
		        scanning.about.cut_line, SCAN_LINE_MAX >> 20);
	if (rc == 0)
		return scanning.found ? EXIT_NO : EXIT_DONE;
	(void)command_fault(call, rc, "%s", path);
	if (rc == -EBADMSG && file.form == SCAN_DETECT)
		command_note(call, "--text looks at it line by line, whatever its name is");
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
	struct scan_options options = {.sensitivity = is_high ? SCAN_HIGH : SCAN_LOW};
	if (copy) {
		options.entity_count = split_entities(copy, names);
		options.entities = names;
	}
	return scanner_new(&options, ret_scanner);
}

static void list_detectors(void) {
	for (const char *entity = detector_next_entity(NULL); entity; entity = detector_next_entity(entity))
		puts(entity);
}

static int run_scan(const struct invocation *call) {
	_cleanup_(scanner_freep) Scanner *scanner = NULL;
	uint64_t found = 0;
	int worst = EXIT_DONE;
	if (command_has(call, "list")) {
		list_detectors();
		return EXIT_DONE;
	}
	if (call->operand_count == 0)
		return command_fail(call, EXIT_USAGE, "which file? Give FILE, or - for standard input");
	int rc = make_scanner(call, &scanner);
	if (rc < 0)
		return rc == -EINVAL ? command_fail(call, EXIT_USAGE, "%s", fault_message())
		                     : command_fault(call, rc, "making ready");
	for (int i = 0; i < call->operand_count; i++) {
		int code = scan_one(call, scanner, call->operands[i], &found);
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
                   "columns' names count as context; all others line by line. --list names the detectors. FILE - is "
                   "standard input.\n"
                   "Exits with 0 when nothing was found, 1 when something was or a file is not there, 3 when one could "
                   "not be read.",
        .options = (const struct command_option[]){{"detect", 0, "A,B", "these alone (default: all)"},
                {"sensitivity", 0, "low|high", "what is most likely (default), or all that may be"},
                {"table", 0, NULL, "read it as a table, whatever its name is"},
                {"text", 0, NULL, "look at it line by line, whatever its name is"},
                {"list", 0, NULL, "name the detectors, and end"}, OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs scan customers.csv", "is there anything?"},
                {"assayfs scan --detect EMAIL,CREDIT_CARD --json *.csv | jq -r .column | sort | uniq -c",
                        "which columns hold which"},
                {"git diff | assayfs scan --detect SECRET -", "no key goes out"}, {0}},
        .exits = EXIT_BIT(EXIT_NO) | EXIT_BIT(EXIT_UNDECIDED),
        .run = run_scan,
};
