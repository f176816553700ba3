/* What a FILE is checked by: the rules' text or a policy's dataset, and what the options put over it. */
#include "fs/command/check.h"
#include "fs/command/when.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* ---- rules ---- */

int check_read_rules(const char *path, char **ret_text, size_t *ret_size) {
	bool is_stdin = strcmp(path, "-") == 0;
	FILE *file = is_stdin ? stdin : fopen(path, "re");
	if (!file)
		return fault_errno(errno, "opening the rules %s", path);
	errno = 0;
	_cleanup_(freep) char *text = malloc(BUNDLE_FILE_MAX + 2);
	size_t size = text ? fread(text, 1, BUNDLE_FILE_MAX + 1, file) : 0;
	int error = ferror(file) ? errno : 0;
	if (!is_stdin)
		(void)fclose(file);
	if (!text)
		return fault(ENOMEM, "reading the rules %s: out of memory", path);
	if (error)
		return fault_errno(error, "reading the rules %s", path);
	if (size > BUNDLE_FILE_MAX)
		return fault(EFBIG, "the rules %s are longer than %u bytes", path, BUNDLE_FILE_MAX);
	text[size] = '\0';
	*ret_text = steal_pointer(&text);
	*ret_size = size;
	return 0;
}

/* a/b.csv -> a/b.dqdl */
static bool neighbour_of(const char *file, char *ret_path, size_t size) {
	const char *slash = strrchr(file, '/');
	const char *dot = strrchr(slash ? slash : file, '.');
	int stem = (int)(dot ? (size_t)(dot - file) : strlen(file));
	return snprintf(ret_path, size, "%.*s.dqdl", stem, file) < (int)size && access(ret_path, R_OK) == 0;
}

static struct policy_dataset dataset_of_rules(const char *path, const char *text, size_t size) {
	return (struct policy_dataset){
	        .name = "check", .match = "**", .rules_file = path, .rules = bytes_of(text, size)};
}

/* ---- a policy's dataset ---- */

static int dataset_named(const struct check_subject *subject, const char *name, struct policy_dataset *ret_dataset) {
	const struct policy_dataset *dataset = policy_dataset_named(subject->policy, name);
	char names[400] = "";
	if (dataset) {
		*ret_dataset = *dataset;
		return 0;
	}
	for (size_t i = 0; i < policy_dataset_count(subject->policy) && strlen(names) < 300; i++)
		snprintf(names + strlen(names), sizeof names - strlen(names), "%s%.60s", i ? ", " : "",
		        policy_dataset(subject->policy, i)->name);
	return fault(ENODATA, "%s has no dataset %s; it has %s", command_value(subject->call, "policy"), name,
	        *names ? names : "none");
}

static int dataset_governing(
        const struct check_subject *subject, const char *file, struct policy_dataset *ret_dataset) {
	const char *as = command_value(subject->call, "as");
	const char *slash = strrchr(file, '/');
	const char *path = as ? as : slash ? slash + 1 : file;
	const struct policy_dataset *dataset = policy_dataset_for(subject->policy, path);
	if (dataset) {
		*ret_dataset = *dataset;
		return 0;
	}
	char closest[POLICY_CLOSEST_BYTES];
	policy_closest_words(subject->policy, path, closest);
	return fault(ENODATA,
	        "no dataset of %s governs %s%s%s (give the path it will have below Landing by --as, or --dataset)",
	        command_value(subject->call, "policy"), path, *closest ? "; " : "", closest);
}

/* ---- what the options put over it ---- */

static int read_null_words(struct check_subject *subject, const char *given) {
	subject->nulls = POLICY_NULLS_WORDS;
	subject->words = strdup(given);
	subject->null_words = calloc(strlen(given) + 1, sizeof *subject->null_words);
	if (!subject->words || !subject->null_words)
		return command_fail(subject->call, EXIT_UNDECIDED, "out of memory");
	for (char *rest = subject->words, *word; (word = strsep(&rest, ",")) != NULL;)
		subject->null_words[subject->null_word_count++] = word;
	return 0;
}

static int read_nulls(struct check_subject *subject) {
	static const char *const words[] = {
	        [POLICY_NULLS_GLUE] = "glue", [POLICY_NULLS_EMPTY] = "empty", [POLICY_NULLS_NONE] = "none"};
	const char *given = command_value(subject->call, "nulls");
	for (size_t i = 0; given && i < sizeof words / sizeof *words; i++)
		if (strcmp(given, words[i]) == 0) {
			subject->nulls = (enum policy_nulls)i;
			return 0;
		}
	return given ? read_null_words(subject, given) : 0;
}

/* Where a column's type stands among `count`, or `count`. */
static size_t type_at(const struct column_given *types, size_t count, const char *name) {
	size_t at = 0;
	while (at < count && strcmp(types[at].name, name) != 0)
		at++;
	return at;
}

/* One --type COLUMN=TYPE; the name is cut off in place. A later one stands for an earlier one of the same name. */
static int read_type(struct check_subject *subject, char *given) {
	char *equals = strrchr(given, '=');
	struct column_given type = {.name = given};
	if (!equals || equals == given)
		return command_fail(
		        subject->call, EXIT_USAGE, "--type %s: give COLUMN=TYPE, like --type age=number", given);
	if (column_type_of_word(equals + 1, &type.type) < 0)
		return command_fail(subject->call, EXIT_USAGE, "--type %s: %s", given, fault_message());
	*equals = '\0';
	size_t at = type_at(subject->types, subject->type_count, type.name);
	subject->types[at] = type;
	subject->type_count += at == subject->type_count;
	return 0;
}

static int read_types(struct check_subject *subject) {
	const struct invocation *call = subject->call;
	size_t bytes = 1;
	for (size_t i = 0; i < call->value_count; i++)
		if (strcmp(call->values[i].option->name, "type") == 0)
			bytes += strlen(call->values[i].value) + 1;
	subject->types = calloc(call->value_count + 1, sizeof *subject->types);
	char *at = subject->type_names = malloc(bytes);
	if (!subject->types || !subject->type_names)
		return command_fail(call, EXIT_UNDECIDED, "out of memory");
	for (size_t i = 0; i < call->value_count; i++) {
		if (strcmp(call->values[i].option->name, "type") != 0)
			continue;
		size_t size = strlen(call->values[i].value) + 1;
		int code = read_type(subject, memcpy(at, call->values[i].value, size));
		at += size;
		if (code)
			return code;
	}
	return 0;
}

/* ---- all together ---- */

static int check_options(const struct invocation *call) {
	const char *delimiter = command_value(call, "delimiter");
	const char *rules = command_value(call, "rules");
	if (command_has(call, "policy") && rules)
		return command_fail(call, EXIT_USAGE, "give either --rules or --policy, not both");
	if (command_has(call, "dataset") && !command_has(call, "policy"))
		return command_fail(call, EXIT_USAGE, "--dataset is one of a policy's: give --policy POLICYDIR, too");
	if (delimiter && strlen(delimiter) != 1 && strcmp(delimiter, "\\t") != 0)
		return command_fail(
		        call, EXIT_USAGE, "--delimiter %s: give one character, or \\t for a tab", delimiter);
	if (call->operand_count > 1 && command_has(call, "as"))
		return command_fail(
		        call, EXIT_USAGE, "--as is the path of one FILE; %d are given", call->operand_count);
	if (call->operand_count > 1 && command_has(call, "rows"))
		return command_fail(
		        call, EXIT_USAGE, "--rows takes the rows of one FILE; %d are given", call->operand_count);
	for (int i = 0; rules && strcmp(rules, "-") == 0 && i < call->operand_count; i++)
		if (strcmp(call->operands[i], "-") == 0)
			return command_fail(call, EXIT_USAGE, "standard input can't be both the rules and the FILE");
	return 0;
}

/* What is not there is not found; whatever else the error, it can't be checked. */
static int exit_of_error(int rc, int code) {
	return rc == -ENOENT || rc == -ENOTDIR || rc == -EISDIR ? code : EXIT_UNDECIDED;
}

static bool has_dataset(const struct check_subject *subject) {
	struct policy_dataset found;
	return dataset_named(subject, command_value(subject->call, "dataset"), &found) == 0;
}

static void note_ended(void *context, const char *words) {
	const struct invocation *const *call = context;
	command_note(*call, "%s", words);
}

int check_subject_read(const struct invocation *call, struct check_subject *ret_subject) {
	*ret_subject = (struct check_subject){.call = call};
	const char *policy = command_value(call, "policy"), *rules = command_value(call, "rules");
	int code = check_options(call);
	if (code || (code = read_nulls(ret_subject)) || (code = read_types(ret_subject)))
		return code;
	int rc = 0;
	if (policy && (rc = policy_bundle_read(policy, &ret_subject->bundle)) == 0)
		rc = policy_parse(ret_subject->bundle, &ret_subject->policy);
	else if (rules)
		rc = check_read_rules(rules, &ret_subject->rules, &ret_subject->rules_size);
	if (rc < 0)
		return exit_of_error(rc, command_fault(call, rc, "checking"));
	if (ret_subject->policy && command_has(call, "dataset") && !has_dataset(ret_subject))
		return command_fail(call, EXIT_USAGE, "%s", fault_message());
	if (ret_subject->policy)
		policy_ended(ret_subject->policy, when_now() / 1000000000, note_ended, &call);
	return 0;
}

void check_subject_release(struct check_subject *subject) {
	policy_free(subject->policy);
	policy_bundle_free(subject->bundle);
	free(subject->rules);
	free(subject->words);
	free(subject->null_words);
	free(subject->type_names);
	free(subject->types);
}

static int find_dataset(const struct check_subject *subject, const char *file, struct check_dataset *found) {
	const char *name = command_value(subject->call, "dataset");
	struct policy_dataset *dataset = &found->dataset;
	size_t size = 0;
	if (subject->policy)
		return name ? dataset_named(subject, name, dataset) : dataset_governing(subject, file, dataset);
	if (subject->rules) {
		*dataset = dataset_of_rules(command_value(subject->call, "rules"), subject->rules, subject->rules_size);
		return 0;
	}
	if (!neighbour_of(file, found->own_path, sizeof found->own_path))
		return fault(EINVAL,
		        "by which rules? Give --rules FILE.dqdl or --policy POLICYDIR, or put the rules beside it "
		        "as %s",
		        found->own_path);
	int rc = check_read_rules(found->own_path, &found->own, &size);
	if (rc == 0)
		*dataset = dataset_of_rules(found->own_path, found->own, size);
	return rc;
}

/* Those of --type, then the policy's own for other columns. */
static int merge_types(const struct check_subject *subject, struct check_dataset *found) {
	struct policy_dataset *dataset = &found->dataset;
	size_t count = subject->type_count;
	found->types = calloc(count + dataset->type_count + 1, sizeof *found->types);
	if (!found->types)
		return fault(ENOMEM, "out of memory");
	for (size_t i = 0; i < count; i++)
		found->types[i] = subject->types[i];
	for (size_t i = 0; i < dataset->type_count; i++) {
		if (type_at(subject->types, subject->type_count, dataset->types[i].name) == subject->type_count)
			found->types[count++] = dataset->types[i];
	}
	dataset->types = found->types;
	dataset->type_count = count;
	return 0;
}

int check_subject_for(const struct check_subject *subject, const char *file, struct check_dataset *ret_dataset) {
	struct policy_dataset *dataset = &ret_dataset->dataset;
	const char *delimiter = command_value(subject->call, "delimiter");
	int rc = find_dataset(subject, file, ret_dataset);
	if (rc < 0)
		return rc;
	if (delimiter)
		dataset->format.delimiter = strcmp(delimiter, "\\t") == 0 ? '\t' : delimiter[0];
	if (command_has(subject->call, "nulls")) {
		dataset->nulls = subject->nulls;
		dataset->null_words = subject->null_words;
		dataset->null_word_count = subject->null_word_count;
	}
	return subject->type_count > 0 ? merge_types(subject, ret_dataset) : 0;
}

void check_dataset_release(struct check_dataset *dataset) {
	free(dataset->own);
	free(dataset->types);
}
