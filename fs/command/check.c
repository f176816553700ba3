/* `assayfs check`: a file against rules, without a vault: for pipelines and editors. */
#include "fs/command/command.h"
#include "fs/command/input.h"
#include "fs/command/when.h"
#include "fs/command/words.h"

#include "crypto/base/fault.h"
#include "policy/bundle.h"
#include "policy/check.h"
#include "policy/policy.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The rules, wherever they come from. What `job` points to is here. */
struct rules {
	PolicyBundle *bundle;
	Policy *policy;
	struct policy_dataset own; /* with --rules */
	const struct policy_dataset *dataset;
	char *text;
	char path[PATH_MAX];
};

static void drop_rules(struct rules *rules) {
	policy_free(rules->policy);
	policy_bundle_free(rules->bundle);
	free(rules->text);
}

/* ---- from a file of rules ---- */

static int read_rules_file(const char *path, struct rules *rules) {
	FILE *file = fopen(path, "re");
	if (!file)
		return fault_errno(errno, "opening the rules %s", path);
	_cleanup_(freep) char *text = malloc(BUNDLE_FILE_MAX + 1);
	size_t size = text ? fread(text, 1, BUNDLE_FILE_MAX + 1, file) : 0;
	int error = ferror(file);
	(void)fclose(file);
	if (!text || error)
		return fault(text ? EIO : ENOMEM, "reading the rules %s", path);
	if (size > BUNDLE_FILE_MAX)
		return fault(EFBIG, "the rules %s are longer than %u bytes", path, BUNDLE_FILE_MAX);
	rules->text = steal_pointer(&text);
	rules->own = (struct policy_dataset){
	        .name = "check", .match = "**", .rules_file = path, .rules = bytes_of(rules->text, size)};
	rules->dataset = &rules->own;
	return 0;
}

/* a/b.csv -> a/b.dqdl */
static bool neighbour_of(const char *file, char *ret_path, size_t size) {
	const char *slash = strrchr(file, '/');
	const char *dot = strrchr(slash ? slash : file, '.');
	int stem = (int)(dot ? (size_t)(dot - file) : strlen(file));
	return snprintf(ret_path, size, "%.*s.dqdl", stem, file) < (int)size && access(ret_path, R_OK) == 0;
}

/* ---- from a policy's directory ---- */

static int read_policy(const char *directory, const char *path, struct rules *rules) {
	int rc = policy_bundle_read(directory, &rules->bundle);
	if (!rc)
		rc = policy_parse(rules->bundle, &rules->policy);
	if (rc)
		return rc;
	rules->dataset = policy_dataset_for(rules->policy, path);
	if (rules->dataset)
		return 0;
	char closest[POLICY_CLOSEST_BYTES];
	policy_closest_words(rules->policy, path, closest);
	return fault(ENODATA, "no dataset of %s governs %s%s%s (give the path it will have below Landing by --as)",
	        directory, path, *closest ? "; " : "", closest);
}

/* What is not there is not found; whatever else the error, a file that can't be read is neither passed nor failed. */
static int cannot_check(const struct invocation *call, int rc, const char *file) {
	int code = command_fault(call, rc, "checking %s", file);
	bool is_named_wrongly = rc == -ENOENT || rc == -ENOTDIR || rc == -EISDIR;
	return is_named_wrongly ? code : EXIT_UNDECIDED;
}

static int find_rules(const struct invocation *call, const char *file, struct rules *rules) {
	const char *policy = command_value(call, "policy"), *own = command_value(call, "rules");
	const char *as = command_value(call, "as");
	const char *slash = strrchr(file, '/');
	struct stat about;
	if (policy && own)
		return command_fail(call, EXIT_USAGE, "give either --rules or --policy, not both");
	int rc = 0;
	if (strcmp(file, "-") != 0 && stat(file, &about) < 0)
		rc = fault_errno(errno, "opening it"); /* before anybody is asked for rules */
	else if (policy)
		rc = read_policy(policy, as ? as : slash ? slash + 1 : file, rules);
	else if (own || neighbour_of(file, rules->path, sizeof rules->path))
		rc = read_rules_file(own ? own : rules->path, rules);
	else
		return command_fail(call, EXIT_USAGE,
		        "%s: by which rules? Give --rules FILE.dqdl or --policy POLICYDIR, or put the rules beside it "
		        "as %s",
		        file, rules->path);
	return rc ? cannot_check(call, rc, file) : 0;
}

/* ---- answering ---- */

static int exit_of(enum outcome outcome) {
	return outcome == OUTCOME_PASSED ? EXIT_DONE : outcome == OUTCOME_FAILED ? EXIT_NO : EXIT_UNDECIDED;
}

static void print_rule(const struct check_rule *rule) {
	/* Rules have backslashes of their own, to be read and copied as they are. */
	_cleanup_(freep) char *text = words_line(rule->text);
	_cleanup_(freep) char *reason = rule->reason ? words_line(rule->reason) : NULL;
	printf("%-6s  %s\n", outcome_word(rule->outcome), text ? text : "?");
	if (reason)
		printf("        %s\n", reason);
	for (size_t i = 0; i < rule->metric_count; i++) {
		_cleanup_(freep) char *name = words_safe(rule->metrics[i].name);
		printf("        %s = %.15g\n", name ? name : "?", rule->metrics[i].value);
	}
}

static void print_result(const char *file, const struct check_result *result) {
	_cleanup_(freep) char *safe = words_safe(file);
	for (size_t i = 0; i < result->rule_count; i++)
		print_rule(&result->rules[i]);
	for (size_t i = 0; i < result->warning_count; i++) {
		_cleanup_(freep) char *warning = words_line(result->warnings[i]);
		printf("note: %s\n", warning ? warning : "?");
	}
	printf("%s: %s", safe ? safe : "?", outcome_word(result->outcome));
	if (result->reason) {
		_cleanup_(freep) char *reason = words_line(result->reason);
		printf(": %s", reason ? reason : "?");
	}
	if (result->has_rows)
		printf(" (%" PRIu64 " row%s, %" PRIu64 " column%s)", result->rows, words_s(result->rows),
		        result->columns, words_s(result->columns));
	if (result->has_dropped)
		printf("; %" PRIu64 " more row%s dropped by keep", result->dropped, words_s(result->dropped));
	putchar('\n');
}

static int answer_json(const struct invocation *call, const char *file, const struct check_result *result) {
	_cleanup_(freep) char *text = NULL;
	size_t size;
	int rc = check_result_to_json(result, &text, &size);
	if (rc)
		return command_fault(call, rc, "printing the result");
	json_t *json = json_loadb(text, size, 0, NULL);
	json_object_set_new(json, "file", words_is_utf8(file) ? json_string(file) : json_null());
	return command_print_json(call, json);
}

static int check_file(const struct invocation *call, const char *file, const struct rules *rules) {
	_cleanup_(input_closep) Input *input = NULL;
	_cleanup_(check_result_freep) struct check_result *result = NULL;
	int rc = input_open(file, "checking", &input);
	if (rc)
		return cannot_check(call, rc, file);
	const char *slash = strrchr(file, '/');
	struct check_job job = check_job_for(rules->dataset, slash ? slash + 1 : file, input_size(input), when_now());
	const char *delimiter = command_value(call, "delimiter");
	if (delimiter)
		job.format.delimiter = strcmp(delimiter, "\\t") == 0 ? '\t' : delimiter[0];
	struct check_input source = input_source(input);
	rc = check_run(check_table, &job, &source, NULL, &result);
	input_done(input);
	if (rc)
		return cannot_check(call, rc, file);
	int printed = EXIT_DONE;
	if (command_has(call, "json"))
		printed = answer_json(call, file, result);
	else
		print_result(file, result);
	return printed ? printed : exit_of(result->outcome);
}

static int run_check(const struct invocation *call) {
	const char *file = command_operand(call, 0);
	const char *delimiter = command_value(call, "delimiter");
	if (delimiter && strlen(delimiter) != 1 && strcmp(delimiter, "\\t") != 0)
		return command_fail(
		        call, EXIT_USAGE, "--delimiter %s: give one character, or \\t for a tab", delimiter);
	struct rules *rules = calloc(1, sizeof *rules);
	if (!rules)
		return command_fail(call, EXIT_UNDECIDED, "out of memory");
	int code = find_rules(call, file, rules);
	if (!code)
		code = check_file(call, file, rules);
	drop_rules(rules);
	free(rules);
	return code;
}

const struct command command_check = {
        .words = "check",
        .operands = "FILE",
        .least = 1,
        .most = 1,
        .summary = "check a file against rules, without a vault",
        .details =
                "Prints each rule's outcome and the number that was found. The rules are those of --rules, of the "
                "dataset in "
                "--policy that governs the file, or of a file beside it with the suffix .dqdl. Exits with 0 when all "
                "passed, 1 when one failed or FILE is not there, 3 when it could not be checked. FILE - is standard "
                "input.",
        .options = (const struct command_option[]){{"rules", 'r', "RULES.dqdl", "check by these rules"},
                {"policy", 'p', "POLICYDIR", "check as the policy in this directory would"},
                {"as", 0, "PATH", "with --policy: the path that the file will have below Landing"},
                {"delimiter", 'd', "C", "the character between fields (default: detected; \\t is a tab)"}, OPTION_JSON,
                {0}},
        .examples = (const struct command_example[]){{"assayfs check --rules animals.dqdl a.csv", "rule by rule"},
                {"assayfs check -p policy/ --as animals/a.csv a.csv", "as the vault would"}, {0}},
        .exits = EXIT_BIT(EXIT_NO) | EXIT_BIT(EXIT_UNDECIDED),
        .run = run_check,
};
