#include "policy/suggest.h"

#include "crypto/base/fault.h"
#include "policy/dqdl/suggest.h"
#include "policy/glob.h"
#include "policy/personal_data.h"
#include "policy/table/table.h"
#include "policy/table/utf8.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <time.h>

#define NAME_BYTES 64
/* A shorter stem with a star behind it would match what has nothing to do with this file. */
#define STEM_MIN 4

/* ---- names ---- */

/* The dataset's name: the file's without suffix and date, in lower-case letters, digits and single dashes. */
static void name_of(const char *stem, size_t length, char ret_name[static NAME_BYTES]) {
	size_t used = 0;
	for (size_t i = 0; i < length && used + 1 < NAME_BYTES; i++) {
		char c = stem[i];
		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		bool is_plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
		if (is_plain)
			ret_name[used++] = c;
		else if (used > 0 && ret_name[used - 1] != '-')
			ret_name[used++] = '-';
	}
	while (used > 0 && ret_name[used - 1] == '-')
		used--;
	ret_name[used] = '\0';
	if (used == 0)
		snprintf(ret_name, NAME_BYTES, "dataset");
}

/* How much of the stem stays when a date or number at its end goes: `lost-2026-11` and `lost_v2` are deliveries of one
 * thing. Nothing goes when nothing would stay. */
static size_t without_number(const char *stem, size_t length) {
	size_t kept = length;
	while (kept > 0 && strchr("0123456789-_. ", stem[kept - 1]))
		kept--;
	return kept > 0 ? kept : length;
}

/* Appends a part of a name to a pattern, its special bytes escaped. Bytes that are not UTF-8 can't stand in a document;
 * a question mark takes any. */
static void put_literal(FILE *to, const char *part, size_t length) {
	for (size_t i = 0; i < length;) {
		size_t valid = 0;
		for (size_t most = 1; most <= 4 && i + most <= length && valid == 0; most++)
			if (utf8_valid_prefix(part + i, most) == most)
				valid = most;
		unsigned char c = (unsigned char)part[i];
		if (valid == 0 || c < ' ' || c == 0x7f) {
			fputc('?', to);
			i++;
			continue;
		}
		if (strchr("*?[\\", c))
			fputc('\\', to);
		fwrite(part + i, 1, valid, to);
		i += valid;
	}
}

/* A pattern for the file and those that will follow it under a like name. */
static int pattern_of(const char *path, const char *stem, size_t kept, const char *suffix, char **ret_pattern) {
	size_t size = 0;
	char *pattern = NULL;
	FILE *to = open_memstream(&pattern, &size);
	if (!to)
		return fault(ENOMEM, "no memory for a suggestion");
	put_literal(to, path, (size_t)(stem - path));
	if (kept >= STEM_MIN) {
		put_literal(to, stem, kept);
		fputc('*', to);
	} else {
		put_literal(to, stem, (size_t)(suffix - stem));
	}
	put_literal(to, suffix, strlen(suffix));
	if (fclose(to) != 0) {
		free(pattern);
		return fault(ENOMEM, "no memory for a suggestion");
	}
	*ret_pattern = pattern;
	return 0;
}

/* ---- the document ---- */

static void put_quoted(FILE *to, const char *text) {
	fputc('"', to);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', to);
		fputc(*text, to);
	}
	fputc('"', to);
}

static void put_byte(FILE *to, const char *key, char byte) {
	if (byte == '\t')
		fprintf(to, ", %s: \"\\t\"", key);
	else
		fprintf(to, ", %s: \"%s%c\"", key, byte == '"' || byte == '\\' ? "\\" : "", byte);
}

/* NULL: JSON Lines. */
static void put_format(FILE *to, const struct csv_dialect *dialect) {
	if (!dialect) {
		fputs("{type: jsonl}", to);
		return;
	}
	fputs("{type: csv", to);
	if (dialect->delimiter)
		put_byte(to, "delimiter", dialect->delimiter);
	if (dialect->quote != '"')
		put_byte(to, "quote", dialect->quote);
	if (dialect->escape)
		put_byte(to, "escape", dialect->escape);
	fprintf(to, ", header: %s}", dialect->header ? "true" : "false");
}

/* What the document is made of. */
struct suggestion {
	char name[NAME_BYTES];
	char *pattern, *rules;
	TableReader *reader; /* for how the file is written */
	PersonalData *privacy;
	int64_t clock_ns;
};

static void suggestion_release(struct suggestion *s) {
	free(s->pattern);
	free(s->rules);
	personal_data_free(s->privacy);
	table_close(s->reader);
}

static void put_document(FILE *to, const struct suggestion *s) {
	time_t seconds = (time_t)(s->clock_ns / 1000000000);
	struct tm tm = {0};
	char day[32] = "";
	if (gmtime_r(&seconds, &tm))
		(void)strftime(day, sizeof day, " on %Y-%m-%d", &tm);
	fprintf(to,
	        "# Written by `assayfs policy suggest` from one file%s. Read it, change it, then `assayfs policy apply "
	        "DIR`.\n"
	        "version: 1\n"
	        "datasets:\n",
	        day);
	fprintf(to, "  - name: %s\n    match: ", s->name);
	put_quoted(to, s->pattern);
	fputs("    # below Landing; the first dataset that matches governs\n    format: ", to);
	put_format(to, table_csv_dialect(s->reader));
	fprintf(to, "\n    rules: %s.dqdl\n", s->name);
	personal_data_write(s->privacy, to);
}

static int document_of(const struct suggestion *s, char **ret_text) {
	size_t size = 0;
	char *text = NULL;
	FILE *to = open_memstream(&text, &size);
	if (!to)
		return fault(ENOMEM, "no memory for a suggestion");
	put_document(to, s);
	if (fclose(to) != 0) {
		free(text);
		return fault(ENOMEM, "no memory for a suggestion");
	}
	*ret_text = text;
	return 0;
}

/* ---- the profile ---- */

static int read_for_table(void *context, void *buffer, size_t size) {
	const struct check_input *input = context;
	return (int)input->read(input->context, buffer, size < INT_MAX ? size : INT_MAX);
}

static int profile_rows(DqdlProfile *table, const struct table_rows *rows) {
	int rc = 0;
	for (size_t i = 0; i < rows->count && rc == 0; i++)
		rc = dqdl_profile_row(table, rows_at(rows, i));
	return rc;
}

/* What is somebody's stands in no rule. */
static void hide_columns(DqdlProfile *table, const PersonalData *privacy, size_t columns) {
	for (size_t i = 0; i < columns; i++) {
		if (personal_data_in_column(privacy, i))
			dqdl_profile_hide(table, i, DQDL_HIDE_VALUES);
		if (personal_data_in_name(privacy, i))
			dqdl_profile_hide(table, i, DQDL_HIDE_COLUMN);
	}
}

static int profile(struct suggestion *s) {
	static const struct dqdl_nulls nulls = {.mode = DQDL_NULLS_GLUE};
	_cleanup_(dqdl_profile_freep) DqdlProfile *table = NULL;
	const struct table_cell *names = table_header(s->reader);
	size_t columns = table_columns(s->reader);
	struct table_rows rows;
	int rc = dqdl_profile_new(names, columns, &nulls, &table);
	if (rc >= 0)
		rc = personal_data_new(names, columns, &s->privacy);
	while (rc >= 0 && (rc = table_next_rows(s->reader, &rows)) > 0) {
		rc = personal_data_rows(s->privacy, &rows);
		if (rc >= 0)
			rc = profile_rows(table, &rows);
	}
	if (rc >= 0)
		rc = personal_data_end(s->privacy);
	if (rc < 0)
		return rc;
	hide_columns(table, s->privacy, columns);
	return dqdl_profile_suggest(table, s->clock_ns / 1000000000, &s->rules);
}

static int profile_file(struct suggestion *s, const char *name, struct check_input *input) {
	struct table_options options = {.name = name};
	int rc = table_open(read_for_table, input, &options, &s->reader);
	if (rc >= 0)
		rc = profile(s);
	if (rc == -ENODATA)
		return fault(EINVAL, "%s is empty; rules can be made from a file with rows only", name);
	if (rc == -ENOTSUP || rc == -EBADMSG || rc == -EILSEQ || rc == -EMSGSIZE)
		return fault_while(-EINVAL, "%s can't be read as a table", name);
	return rc;
}

/* Where the suffix begins: `.csv`, and `.csv.gz` where the file is packed. A name that is all suffix has none. */
static const char *suffix_of(const char *stem) {
	static const char *const packed[] = {".gz", ".zst"};
	const char *end = stem + strlen(stem);
	const char *dot = strrchr(stem, '.');
	const char *suffix = dot && dot > stem ? dot : end;
	for (size_t i = 0; i < sizeof packed / sizeof *packed; i++) {
		const char *inner = strcmp(suffix, packed[i]) == 0 ? memrchr(stem, '.', (size_t)(suffix - stem)) : NULL;
		if (inner && inner > stem)
			return inner;
	}
	return suffix;
}

int policy_suggest(const char *file_name, struct check_input *input, int64_t clock_ns, PolicyBundle **ret_bundle) {
	const char *slash = strrchr(file_name, '/');
	const char *stem = slash ? slash + 1 : file_name;
	const char *suffix = suffix_of(stem);
	size_t kept = without_number(stem, (size_t)(suffix - stem));
	char rules_name[NAME_BYTES + 8];
	_cleanup_(suggestion_release) struct suggestion s = {.clock_ns = clock_ns};
	name_of(stem, kept, s.name);
	snprintf(rules_name, sizeof rules_name, "%s.dqdl", s.name);

	_cleanup_(freep) char *document = NULL;
	_cleanup_(policy_bundle_freep) PolicyBundle *bundle = NULL;
	int rc = profile_file(&s, stem, input);
	if (rc < 0 || (rc = pattern_of(file_name, stem, kept, suffix, &s.pattern)) < 0)
		return rc;
	rc = glob_check(s.pattern);
	if (rc < 0)
		return fault_while(rc, "no pattern can be made of the name %s", file_name);
	if ((rc = document_of(&s, &document)) < 0 || (rc = policy_bundle_new(&bundle)) < 0 ||
	        (rc = policy_bundle_put(bundle, BUNDLE_POLICY, bytes_of_string(document))) < 0 ||
	        (rc = policy_bundle_put(bundle, rules_name, bytes_of_string(s.rules))) < 0)
		return rc;
	*ret_bundle = steal_pointer(&bundle);
	return personal_data_is_any(s.privacy);
}
