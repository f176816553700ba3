/* Reading a dataset of the policy document. */
#include "policy/policy_read.h"

#include "crypto/base/fault.h"
#include "policy/table/utf8.h"

#include <errno.h>
#include <stdio.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Marks the dataset as one that this version can't decide. The first reason stands. */
static int not_yet(struct reading *r, const Node *at, struct policy_dataset *dataset, const char *words) {
	if (dataset->unsupported)
		return 0;
	dataset->unsupported = read_print(r, "'%s' (" BUNDLE_POLICY " line %u) is not supported yet", words, at->line);
	return dataset->unsupported ? read_warn(r, at, dataset->unsupported) : read_no_memory();
}

/* ---- format ---- */

static int read_type(struct reading *r, const Node *value, void *target) {
	(void)r;
	static const char *const words[] = {"csv", "jsonl", "text", NULL};
	static const enum policy_file_type types[] = {POLICY_FILE_CSV, POLICY_FILE_JSONL, POLICY_FILE_TEXT};
	struct policy_format *format = target;
	unsigned choice;
	int rc = read_choice(value, "type", words, &choice);
	if (rc == 0)
		format->type = types[choice];
	return rc;
}

static int read_byte(const Node *value, const char *what, char *ret_byte) {
	if (value->kind != TREE_TEXT)
		return read_complain(value, "'%s' takes one character, in quotes", what);
	const char *text = strcmp(value->text, "\\t") == 0 ? "\t" : value->text;
	unsigned char byte = (unsigned char)text[0];
	if (strlen(text) != 1 || byte >= 0x7f || (byte < ' ' && byte != '\t'))
		return read_complain(
		        value, "'%s: %.20s' must be one ASCII character, like \";\" or \"\\t\"", what, value->text);
	*ret_byte = text[0];
	return 0;
}

static int read_delimiter(struct reading *r, const Node *value, void *target) {
	(void)r;
	struct policy_format *format = target;
	return read_byte(value, "delimiter", &format->delimiter);
}

static int read_byte_or_none(const Node *value, const char *what, char *ret_byte) {
	if (value->kind != TREE_TEXT || value->is_quoted || strcmp(value->text, "none") != 0)
		return read_byte(value, what, ret_byte);
	*ret_byte = POLICY_QUOTE_NONE;
	return 0;
}

static int read_quote(struct reading *r, const Node *value, void *target) {
	(void)r;
	struct policy_format *format = target;
	return read_byte_or_none(value, "quote", &format->quote);
}

static int read_escape(struct reading *r, const Node *value, void *target) {
	(void)r;
	struct policy_format *format = target;
	return read_byte_or_none(value, "escape", &format->escape);
}

static int read_header(struct reading *r, const Node *value, void *target) {
	(void)r;
	struct policy_format *format = target;
	bool has_header;
	int rc = read_flag(value, "header", &has_header);
	if (rc == 0)
		format->header = has_header ? POLICY_HEADER_YES : POLICY_HEADER_NO;
	return rc;
}

static int read_format(struct reading *r, const Node *value, void *target) {
	static const struct field fields[] = {{"type", read_type, false}, {"delimiter", read_delimiter, false},
	        {"quote", read_quote, false}, {"escape", read_escape, false}, {"header", read_header, false}};
	struct policy_dataset *dataset = target;
	int rc = read_fields(r, value, "a format", fields, COUNT(fields), &dataset->format);
	if (rc < 0)
		return rc;
	if (dataset->format.delimiter && dataset->format.delimiter == dataset->format.quote)
		return read_complain(value, "delimiter and quote can't be the same character");
	char escape = dataset->format.escape;
	if (escape && escape != POLICY_QUOTE_NONE &&
	        (escape == '"' || escape == '\'' || escape == dataset->format.delimiter))
		return read_complain(value, "escape can be neither a quote nor the delimiter");
	return 0;
}

/* ---- rules and references ---- */

static int read_rules(struct reading *r, const Node *value, void *target) {
	struct policy_dataset *dataset = target;
	int rc = read_text(r, value, "rules", &dataset->rules_file);
	if (rc < 0)
		return rc;
	struct bytes text;
	rc = policy_bundle_get(r->bundle, dataset->rules_file, &text);
	if (rc == -ENOENT)
		return fault(ENOENT, BUNDLE_POLICY ":%u:%u: there is no rules file %.200s beside the policy",
		        value->line, value->column, dataset->rules_file);
	if (rc < 0)
		return rc;
	size_t wrong = utf8_valid_prefix((const char *)text.data, text.size);
	if (wrong < text.size)
		return fault(EINVAL, "%.200s: byte %zu is not UTF-8 text; save the file as UTF-8", dataset->rules_file,
		        wrong + 1);
	char *copy = arena_copy(&r->policy->memory, text.data, text.size);
	if (!copy)
		return read_no_memory();
	dataset->rules = bytes_of(copy, text.size);
	return 0;
}

static int read_reference(struct reading *r, const Node *key, const Node *value, struct policy_reference *reference) {
	reference->line = key->line;
	int rc = read_text(r, key, "references", &reference->alias);
	if (rc < 0 || (rc = read_text(r, value, key->text, &reference->path)) < 0)
		return rc;
	if (strcmp(key->text, "primary") == 0)
		return read_complain(key, "'primary' is the dataset's own name in rules; choose another");
	if (strncmp(reference->path, "Trusted/", 8) != 0 || reference->path[8] == '\0')
		return read_complain(value, "a reference is a file in Trusted, like Trusted/animals/register.csv");
	return 0;
}

static int read_references(struct reading *r, const Node *value, void *target) {
	struct policy_dataset *dataset = target;
	if (value->kind != TREE_MAP)
		return read_complain(value, "'references' is a map (alias: Trusted/file)");
	if (value->count > POLICY_REFERENCES_MAX)
		return read_complain(value, "a dataset has at most %d references", POLICY_REFERENCES_MAX);
	struct policy_reference *references = arena_take(&r->policy->memory, value->count + 1, sizeof *references);
	if (!references)
		return read_no_memory();
	for (size_t i = 0; i < value->count; i++) {
		int rc = read_reference(r, value->keys[i], value->values[i], &references[i]);
		if (rc < 0)
			return rc;
	}
	dataset->references = references;
	dataset->reference_count = value->count;
	return 0;
}

/* ---- when, and what then ---- */

static int read_keep(struct reading *r, const Node *value, void *target) {
	struct policy_dataset *dataset = target;
	return read_text(r, value, "keep", &dataset->keep);
}

static int read_on_failure(struct reading *r, const Node *value, void *target) {
	(void)r;
	static const char *const words[] = {"refuse", "split", NULL};
	struct policy_dataset *dataset = target;
	unsigned choice;
	int rc = read_choice(value, "on_failure", words, &choice);
	if (rc < 0)
		return rc;
	dataset->on_failure = choice == 0 ? POLICY_REFUSE : POLICY_SPLIT;
	return 0;
}

static int read_on_recheck(struct reading *r, const Node *value, void *target) {
	(void)r;
	static const char *const words[] = {"keep", "withdraw", NULL};
	struct policy_dataset *dataset = target;
	unsigned choice;
	int rc = read_choice(value, "on_recheck_failure", words, &choice);
	if (rc == 0)
		dataset->withdraw = choice == 1;
	return rc;
}

static int read_nulls(struct reading *r, const Node *value, void *target) {
	static const char *const words[] = {"glue", "empty", "none", NULL};
	struct policy_dataset *dataset = target;
	if (value->kind == TREE_LIST) {
		dataset->nulls = POLICY_NULLS_WORDS;
		const char **texts = arena_take(&r->policy->memory, value->count + 1, sizeof *texts);
		if (!texts)
			return read_no_memory();
		for (size_t i = 0; i < value->count; i++) {
			const Node *item = value->values[i];
			if (item->kind != TREE_TEXT)
				return read_complain(
				        item, "'nulls' is a list of texts that mean nothing, like [\"NA\", \"\"]");
			texts[i] = arena_copy(&r->policy->memory, item->text, strlen(item->text));
			if (!texts[i])
				return read_no_memory();
		}
		dataset->null_words = texts;
		dataset->null_word_count = value->count;
		return 0;
	}
	unsigned choice;
	int rc = read_choice(value, "nulls", words, &choice);
	if (rc == 0)
		dataset->nulls = (enum policy_nulls)choice;
	return rc;
}

static int read_column_type(struct reading *r, const Node *key, const Node *value, struct column_given *given) {
	int rc = read_text(r, key, "types", &given->name);
	if (rc < 0)
		return rc;
	if (value->kind != TREE_TEXT || column_type_of_word(value->text, &given->type) < 0)
		return read_complain(
		        value, "'%.40s' takes a type: text, number, date or boolean", key->text ? key->text : "");
	return 0;
}

static int read_types(struct reading *r, const Node *value, void *target) {
	struct policy_dataset *dataset = target;
	if (value->kind != TREE_MAP)
		return read_complain(value, "'types' is a map (column: text, number, date or boolean)");
	if (value->count > POLICY_TYPES_MAX)
		return read_complain(value, "'types' has more than %u columns", POLICY_TYPES_MAX);
	struct column_given *types = arena_take(&r->policy->memory, value->count + 1, sizeof *types);
	if (!types)
		return read_no_memory();
	for (size_t i = 0; i < value->count; i++) {
		int rc = read_column_type(r, value->keys[i], value->values[i], &types[i]);
		if (rc < 0)
			return rc;
	}
	dataset->types = types;
	dataset->type_count = value->count;
	return 0;
}

static int read_settle(struct reading *r, const Node *value, void *target) {
	(void)r;
	struct policy_dataset *dataset = target;
	const char *text = value->kind == TREE_TEXT ? value->text : "";
	size_t digits = strspn(text, "0123456789");
	unsigned long number = digits > 0 && digits < 8 ? strtoul(text, NULL, 10) : 0;
	const char *unit = text + digits;
	unsigned long scale = strcmp(unit, "ms") == 0  ? 1
	                      : strcmp(unit, "s") == 0 ? 1000
	                      : strcmp(unit, "m") == 0 ? 60000
	                                               : 0;
	if (digits == 0 || digits >= 8 || scale == 0 || number * scale > POLICY_SETTLE_MS_MAX)
		return read_complain(value, "'settle' is a time like 500ms, 2s or 5m, at most 60m, not '%.40s'", text);
	dataset->settle_ms = (unsigned)(number * scale);
	return 0;
}

static int read_marker(struct reading *r, const Node *value, void *target) {
	struct policy_dataset *dataset = target;
	return read_text(r, value, "marker", &dataset->complete_marker);
}

static int read_sha256(struct reading *r, const Node *value, void *target) {
	struct policy_dataset *dataset = target;
	return read_text(r, value, "sha256", &dataset->complete_sha256);
}

static int read_complete(struct reading *r, const Node *value, void *target) {
	static const struct field fields[] = {{"marker", read_marker, false}, {"sha256", read_sha256, false}};
	struct policy_dataset *dataset = target;
	int rc = read_fields(r, value, "'complete'", fields, COUNT(fields), dataset);
	if (rc < 0)
		return rc;
	if (!dataset->complete_marker == !dataset->complete_sha256)
		return read_complain(value, "'complete' takes either 'marker:' or 'sha256:'");
	return not_yet(r, value, dataset, "complete");
}

static int read_name(struct reading *r, const Node *value, void *target) {
	struct policy_dataset *dataset = target;
	return read_text(r, value, "name", &dataset->name);
}

static int read_match(struct reading *r, const Node *value, void *target) {
	struct policy_dataset *dataset = target;
	return read_pattern(r, value, "match", &dataset->match);
}

static int read_dataset_key(struct reading *r, const Node *value, void *target) {
	struct policy_dataset *dataset = target;
	return read_key_name(r, value, &dataset->key);
}

static bool drops_columns(const struct privacy *privacy) {
	for (size_t i = 0; i < privacy->detect_count; i++)
		if (privacy->detects[i].treatment.action == PRIVACY_DROP_COLUMN)
			return true;
	return false;
}

/* What says nothing lets nothing pass; and what only a table has can't be asked of a text. */
static int check_dataset(const Node *at, const struct policy_dataset *dataset) {
	if (!dataset->rules_file && !dataset->privacy)
		return read_complain(at, "a dataset needs 'rules:', or 'privacy:', or both");
	if (dataset->format.type != POLICY_FILE_TEXT)
		return 0;
	const char *what = dataset->rules_file                   ? "rules"
	                   : dataset->keep                       ? "keep"
	                   : dataset->group_count > 0            ? "k_anonymity"
	                   : dataset->on_failure == POLICY_SPLIT ? "on_failure: split"
	                   : dataset->privacy->column_count > 0  ? "privacy: columns"
	                   : drops_columns(dataset->privacy)     ? "action: drop_column"
	                                                         : NULL;
	return what ? read_complain(at, "'%s' is for tables, and the format's type is text", what) : 0;
}

int read_dataset(struct reading *r, const Node *value, void *target) {
	static const struct field fields[] = {
	        {"name", read_name, true},
	        {"match", read_match, true},
	        {"format", read_format, false},
	        {"key", read_dataset_key, false},
	        {"keep", read_keep, false},
	        {"rules", read_rules, false},
	        {"references", read_references, false},
	        {"privacy", read_privacy, false},
	        {"k_anonymity", read_k_anonymity, false},
	        {"l_diversity", read_l_diversity, false},
	        {"on_failure", read_on_failure, false},
	        {"on_recheck_failure", read_on_recheck, false},
	        {"nulls", read_nulls, false},
	        {"types", read_types, false},
	        {"settle", read_settle, false},
	        {"complete", read_complete, false},
	};
	struct policy_dataset *dataset = target;
	*dataset = (struct policy_dataset){.settle_ms = POLICY_SETTLE_MS_DEFAULT, .line = value->line};
	int rc = read_fields(r, value, "a dataset", fields, COUNT(fields), dataset);
	return rc < 0 ? rc : check_dataset(value, dataset);
}
