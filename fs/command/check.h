/*
 * check: what the parts of `assayfs check` share. Not for others.
 *
 *     check.c          the options, and one FILE after the other
 *     check_subject.c  by which rules a FILE is checked, and how it is read: --rules, --policy, --nulls, --type …
 *     check_rows.c     --rows: a line for each row
 *     check_output.c   --output: what would be published
 *     check_references.c  --ref: the other tables that rules name
 *     check_answer.c   the result, for people or as JSON
 *     check_parse.c    --parse-only
 */
#pragma once

#include "fs/command/command.h"
#include "fs/command/input.h"

#include "policy/bundle.h"
#include "policy/check.h"
#include "policy/policy.h"
#include "policy/preview.h"

/* ---- check_subject.c ---- */

/* What the options say, for all FILEs. */
struct check_subject {
	const struct invocation *call;
	PolicyBundle *bundle; /* with --policy */
	Policy *policy;
	char *rules; /* with --rules: its text */
	size_t rules_size;
	char *words; /* of --nulls, cut at commas */
	const char **null_words;
	size_t null_word_count;
	enum policy_nulls nulls;
	char *type_names;
	struct column_given *types; /* of --type */
	size_t type_count;
};

/* Reads what they name. 0, or an exit code after saying why. To be released in any case. */
int check_subject_read(const struct invocation *call, struct check_subject *ret_subject);
void check_subject_release(struct check_subject *subject);

/* A dataset as the options have it, for one FILE. `own` is for the rules that lie beside it. */
struct check_dataset {
	struct policy_dataset dataset;
	char *own;
	struct column_given *types;
	char own_path[4096];
};

/* The dataset that `file` is checked as. 0 or -errno with words; -EINVAL: nothing says by which rules. */
int check_subject_for(const struct check_subject *subject, const char *file, struct check_dataset *ret_dataset);
void check_dataset_release(struct check_dataset *dataset);

/* The text of a rules file ("-": standard input), NUL-terminated. -EFBIG over BUNDLE_FILE_MAX. */
int check_read_rules(const char *path, char **ret_text, size_t *ret_size);

/* ---- check_rows.c ---- */

typedef struct RowsFile RowsFile;

/* A file beside `path` that gets its name when all is in it; what is there and no regular file is written as it is.
 * `input` is what the rows are read from again. */
int rows_file_new(const char *path, Input *input, RowsFile **ret_file);

/* For the job. Valid as long as the file. */
const struct check_rows *rows_file_asks(const RowsFile *file);

/* Gives it its name, if the check came through all rows; else 0, and *ret_done is false. */
int rows_file_finish(RowsFile *file, bool *ret_done);

/* What did not get its name is removed. */
void rows_file_close(RowsFile *file);
DEFINE_CLEANUP(RowsFile, rows_file_close);

/* ---- check_output.c ---- */

/* Whether --output makes sense with what else is asked. EXIT_DONE, or EXIT_USAGE after saying why not. */
int check_output_usage(const struct invocation *call);

/* Writes what would be published where --output says, or notes that nothing would be. Returns an exit code. */
int check_write_output(const struct invocation *call, Preview *preview);

/* ---- check_references.c ---- */

typedef struct CheckReferences CheckReferences;

/* Whether the --ref options make sense. EXIT_DONE, or EXIT_USAGE after saying why not. */
int check_references_usage(const struct invocation *call);

/* Opens their files, for one FILE that is checked as that dataset; where it has a reference of that alias, the file is
 * read as the vault would read that. -ENODATA with words when one can't be opened. */
int check_references_open(
        const struct check_subject *subject, const struct policy_dataset *dataset, CheckReferences **ret_references);

/* Puts them into the job, for as long as they are open. */
void check_references_ask(const CheckReferences *references, struct check_job *job);
void check_references_close(CheckReferences *references);
DEFINE_CLEANUP(CheckReferences, check_references_close);

/* ---- check_answer.c ---- */

/* Prints what became of a FILE, as the options want it, and returns the exit code: that of the outcome, or
 * EXIT_UNDECIDED when it can't be printed. */
int check_answer(const struct invocation *call, const char *file, const struct check_result *result);

/* Prints a JSON value in one line. Takes over the caller's reference. Returns an exit code. */
int check_print_line(const struct invocation *call, json_t *value);

/* ---- check_parse.c ---- */

/* --parse-only: the rules alone. Returns an exit code. */
int check_parse_only(const struct invocation *call);
