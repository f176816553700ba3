/* `assayfs check`: files against rules, without a vault: for pipelines and editors. */
#include "fs/command/check.h"
#include "fs/command/check_history.h"
#include "fs/command/when.h"

#include "crypto/base/fault.h"
#include "policy/crew.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* A FILE that could not be checked has its object for programs like any other. */
static void answer_unchecked(const struct invocation *call, const char *file, const char *why) {
	_cleanup_(check_result_freep) struct check_result *result = NULL;
	if (command_has(call, "json") && check_result_error(&result, "%s", why) == 0)
		(void)check_answer(call, file, result);
}

/* Says why a FILE can't be checked. What is not there is not found; whatever else the error, a file that can't be read
 * is neither passed nor failed. */
static int cannot_check(const struct invocation *call, int rc, const char *file) {
	char why[FAULT_MESSAGE_BYTES];
	snprintf(why, sizeof why, "%s", fault_message());
	int code = command_fault(call, rc, "checking %s", file);
	answer_unchecked(call, file, why);
	bool is_named_wrongly = rc == -ENOENT || rc == -ENOTDIR || rc == -EISDIR || rc == -EINVAL;
	return is_named_wrongly ? code : EXIT_UNDECIDED;
}

static int finish_rows(const struct invocation *call, RowsFile *rows) {
	bool done;
	int rc = rows_file_finish(rows, &done);
	if (rc < 0)
		return command_fault(call, rc, "--rows");
	if (!done)
		command_note(call, "--rows: nothing was written to %s, as the rows could not be judged",
		        command_value(call, "rows"));
	return EXIT_DONE;
}

static int check_and_answer(
        const struct invocation *call, const char *file, const struct check_job *job, Input *input, RowsFile *rows) {
	_cleanup_(preview_freep) Preview *preview = NULL;
	const struct check_input source = input_source(input);
	int rc = preview_new(job, &source, &preview);
	input_done(input);
	if (rc < 0)
		return cannot_check(call, rc, file);
	int code = rows ? finish_rows(call, rows) : EXIT_DONE;
	int written = command_has(call, "output") ? check_write_output(call, preview) : EXIT_DONE;
	bool is_taken = command_has(call, "output") && strcmp(command_value(call, "output"), "-") == 0;
	bool is_written = is_taken && preview_result(preview)->outcome == OUTCOME_PASSED;
	int answered = is_written ? EXIT_DONE : check_answer(call, file, preview_result(preview));
	code = code > written ? code : written;
	return code > answered ? code : answered;
}

/* A dataset that asks for what is not done yet lets nothing pass, as in a vault. */
static int answer_unsupported(const struct invocation *call, const char *file, const char *why) {
	_cleanup_(check_result_freep) struct check_result *result = NULL;
	int rc = check_result_error(&result, "%s", why);
	return rc < 0 ? cannot_check(call, rc, file) : check_answer(call, file, result);
}

/* In the user's own folder for such files; where none can be made, what does not fit into memory is an error then. */
static int open_spill(const struct check_job *job, const Input *input, int *ret_fd, Spill **ret_spill) {
	const char *folder = getenv("TMPDIR");
	if (input_is_lasting(input) && !check_job_may_spill(job))
		return 0;
	_cleanup_(closep) int at = open(folder && folder[0] ? folder : "/var/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = at < 0 ? -1 : spill_open_file(at);
	if (fd < 0)
		return 0;
	*ret_fd = fd;
	return spill_new(fd, ret_spill);
}

static int check_opened(
        const struct check_subject *subject, const char *file, const struct policy_dataset *dataset, Input *input) {
	const struct invocation *call = subject->call;
	_cleanup_(rows_file_closep) RowsFile *rows = NULL;
	_cleanup_(check_references_closep) CheckReferences *references = NULL;
	_cleanup_(crew_freep) Crew *crew = crew_for(input_size(input));
	_cleanup_(closep) int spill_fd = -1;
	_cleanup_(spill_freep) Spill *spill = NULL;
	_cleanup_(history_file_freep) HistoryFile *history = NULL;
	const char *slash = strrchr(file, '/');
	if (dataset->unsupported)
		return answer_unsupported(call, file, dataset->unsupported);
	struct check_job job = check_job_for(dataset, slash ? slash + 1 : file, input_size(input), when_now());
	int rc = command_has(call, "rows") ? rows_file_new(command_value(call, "rows"), input, &rows) : 0;
	if (rc >= 0)
		rc = check_history_read(call, dataset->rules, &job, &history);
	if (rc == 0)
		rc = check_references_open(subject, dataset, &references);
	if (rc == 0)
		rc = open_spill(&job, input, &spill_fd, &spill);
	if (rc < 0)
		return cannot_check(call, rc, file);
	check_references_ask(references, &job);
	job.mtime_s = input_mtime(input);
	job.may_split = dataset->on_failure == POLICY_SPLIT;
	job.crew = crew;
	job.spill = spill;
	job.rows = rows ? rows_file_asks(rows) : NULL;
	return check_and_answer(call, file, &job, input, rows);
}

static int check_file(const struct invocation *call, const char *file, const struct check_subject *subject) {
	_cleanup_(input_closep) Input *input = NULL;
	_cleanup_(freep) struct check_dataset *found = calloc(1, sizeof *found);
	if (!found)
		return cannot_check(call, fault(ENOMEM, "out of memory"), file);
	/* Before anybody is asked for rules. */
	int rc = input_open(file, "checking", &input);
	if (rc == 0)
		rc = check_subject_for(subject, file, found);
	int code = rc < 0 ? cannot_check(call, rc, file) : check_opened(subject, file, &found->dataset, input);
	check_dataset_release(found);
	return code;
}

/* The codes are in the order of what is worse: passed, failed, named wrongly, could not be checked. */
static int check_files(const struct invocation *call, const struct check_subject *subject) {
	int worst = EXIT_DONE;
	for (int i = 0; i < call->operand_count; i++) {
		int code = check_file(call, call->operands[i], subject);
		worst = code > worst ? code : worst;
	}
	return worst;
}

static int run_check(const struct invocation *call) {
	if (command_has(call, "parse-only"))
		return check_parse_only(call);
	if (call->operand_count == 0)
		return command_fail(call, EXIT_USAGE, "which file? Give FILE, or - for standard input");
	int usage = check_references_usage(call);
	if (usage == EXIT_DONE)
		usage = check_output_usage(call);
	if (usage != EXIT_DONE)
		return usage;
	struct check_subject subject;
	int code = check_subject_read(call, &subject);
	char why[FAULT_MESSAGE_BYTES];
	snprintf(why, sizeof why, "%s", fault_message());
	if (code == EXIT_DONE)
		code = check_files(call, &subject);
	else if (code != EXIT_USAGE)
		for (int i = 0; i < call->operand_count; i++)
			answer_unchecked(call, call->operands[i], why);
	check_subject_release(&subject);
	return code;
}

const struct command command_check = {
        .words = "check",
        .operands = "[FILE…]",
        .least = 0,
        .most = INT_MAX,
        .summary = "check files against rules, without a vault",
        .details =
                "Prints each rule's outcome and the number that was found. The rules are those of --rules, of the "
                "dataset in --policy that governs the file, or of a file beside it with the suffix .dqdl. FILE - is "
                "standard input.\n"
                "Exits with 0 when all passed, 1 when a file failed or is not there, 3 when one could not be checked; "
                "of several files the worst counts. With --json each FILE is an object in a line of its own. "
                "--rows writes for each row of the FILE which rules it passes, fails, and which say nothing about it.\n"
                "What the dataset's privacy would change is changed and looked through again, as before it is "
                "published, and --output writes it; its hashes are those of no vault.",
        .options = (const struct command_option[]){{"rules", 'r', "RULES.dqdl",
                                                           "check by these rules (- is standard input)"},
                {"policy", 'p', "POLICYDIR", "check as the policy in this directory would"},
                {"as", 0, "PATH", "with --policy: the path that the file will have below Landing"},
                {"dataset", 0, "NAME", "with --policy: check as this dataset, whatever the path"},
                {"ref", 0, "ALIAS=FILE", "another table, which rules name by ALIAS; may be given again"},
                {"delimiter", 'd', "C", "the character between fields (default: detected; \\t is a tab)"},
                {"nulls", 0, "WHICH", "which cells are NULL: glue (default), empty, none, or words such as NA,-"},
                {"type", 0, "COLUMN=TYPE", "text, number, date or boolean, in place of what the cells look like"},
                {"rows", 0, "OUT.jsonl", "write what each row passes and fails, a JSON object a row"},
                {"output", 'o', "FILE", "write what would be published: without what is left out, and changed"},
                {"history", 0, "FILE", "earlier metrics for rules that look back, oldest first"},
                {"parse-only", 0, NULL, "only read the rules, and say what they are or where they are wrong"},
                OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs check --rules animals.dqdl a.csv", "rule by rule"},
                {"assayfs check -p policy/ --as animals/a.csv a.csv", "as the vault would"},
                {"assayfs check -r animals.dqdl --json *.csv | jq -r 'select(.outcome != \"passed\").file'",
                        "the files that do not pass"},
                {"assayfs check -r animals.dqdl --rows rows.jsonl a.csv", "and each row's rules"},
                {"assayfs check -r animals.dqdl --ref owners=o.csv a.csv", "with rules that look at owners"},
                {"assayfs check -r animals.dqdl --parse-only", "are these rules?"}, {0}},
        .exits = EXIT_BIT(EXIT_NO) | EXIT_BIT(EXIT_UNDECIDED),
        .run = run_check,
};
