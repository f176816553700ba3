#define PCRE2_CODE_UNIT_WIDTH 8

#include "policy/dqdl/pattern.h"

#include "crypto/base/fault.h"
#include "policy/dqdl/text_key.h"

#include <errno.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>

/* What was last answered on short texts: columns that a pattern is asked of are often codes that come again. It does
 * nothing for a column with more different values than entries, in no order: of 6,700 dates two thirds missed 2,048. */
#define MEMO_ENTRIES 256u

struct memo {
	struct text_key key;
	uint32_t size; /* and one, so that zeros are no entry */
	enum pattern_answer answer;
};

struct Pattern {
	pcre2_code *code;
	pcre2_match_data *match;
	pcre2_match_context *context;
	struct fixed_pattern fixed;
	struct memo memo[MEMO_ENTRIES];
};

static bool is_hex(const char *text, size_t digits) {
	return strspn(text, "0123456789abcdefABCDEF") >= digits;
}

char *pattern_translate(const char *before, const char *java, const char *behind) {
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	if (!out)
		return NULL;
	(void)fputs(before, out);
	for (const char *p = java; *p; p++) {
		if (p[0] == '\\' && p[1] == 'u' && is_hex(p + 2, 4)) {
			(void)fprintf(out, "\\x{%.4s}", p + 2);
			p += 5;
		} else {
			(void)fputc(*p, out);
			if (p[0] == '\\' && p[1])
				(void)fputc(*++p, out);
		}
	}
	(void)fputs(behind, out);
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static int compile(Pattern *pattern, const char *text, uint32_t options) {
	int error;
	PCRE2_SIZE at;
	pcre2_compile_context *context = pcre2_compile_context_create(NULL);
	if (!context)
		return fault(ENOMEM, "out of memory for a regular expression");
	(void)pcre2_set_newline(context, PCRE2_NEWLINE_ANY);
	(void)pcre2_set_parens_nest_limit(context, 100);
	pattern->code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, options, &error, &at, context);
	pcre2_compile_context_free(context);
	if (pattern->code)
		return 0;
	char words[160] = "";
	(void)pcre2_get_error_message(error, (PCRE2_UCHAR *)words, sizeof words);
	return fault(EINVAL, "the regular expression does not compile: %s (behind byte %zu)", words, at);
}

int pattern_new(const char *text, unsigned flags, Pattern **ret_pattern) {
	_cleanup_(pattern_freep) Pattern *pattern = calloc(1, sizeof *pattern);
	if (!pattern)
		return fault(ENOMEM, "out of memory for a regular expression");
	uint32_t options = PCRE2_UTF | (flags & PATTERN_FOLD_CASE ? PCRE2_CASELESS : 0) |
	                   (flags & PATTERN_WHOLE ? PCRE2_ANCHORED | PCRE2_ENDANCHORED : 0);
	int rc = compile(pattern, text, options);
	if (rc < 0)
		return rc;
	if (flags == 0)
		fixed_pattern_parse(text, &pattern->fixed);
	pattern->match = pcre2_match_data_create(1, NULL);
	pattern->context = pcre2_match_context_create(NULL);
	if (!pattern->match || !pattern->context)
		return fault(ENOMEM, "out of memory for a regular expression");
	(void)pcre2_set_match_limit(pattern->context, PATTERN_MATCH_LIMIT);
	/* Only steps end it: no deeper than there are steps, and no more than what that takes, in KiB. */
	(void)pcre2_set_depth_limit(pattern->context, PATTERN_MATCH_LIMIT);
	(void)pcre2_set_heap_limit(pattern->context, 128u << 10);
	*ret_pattern = steal_pointer(&pattern);
	return 0;
}

bool pattern_may_be_empty(const Pattern *pattern) {
	uint32_t may = 1;
	return pcre2_pattern_info(pattern->code, PCRE2_INFO_MATCHEMPTY, &may) < 0 || may;
}

void pattern_free(Pattern *pattern) {
	if (!pattern)
		return;
	pcre2_code_free(pattern->code);
	pcre2_match_data_free(pattern->match);
	pcre2_match_context_free(pattern->context);
	free(pattern);
}

enum pattern_answer pattern_find_from(
        Pattern *pattern, struct table_cell cell, size_t from, size_t *ret_start, size_t *ret_end) {
	/* The cell was looked at when it was asked from its start on: each time again would take its square. */
	uint32_t options = from > 0 ? PCRE2_NO_UTF_CHECK : 0;
	int rc = pcre2_match(
	        pattern->code, (PCRE2_SPTR)cell.data, cell.size, from, options, pattern->match, pattern->context);
	if (rc == PCRE2_ERROR_NOMATCH)
		return PATTERN_NONE;
	if (rc < 0)
		return PATTERN_OVER_LIMIT;
	const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(pattern->match);
	*ret_start = ends[0];
	*ret_end = ends[1];
	return ends[1] > ends[0] ? PATTERN_FOUND : PATTERN_FOUND_EMPTY;
}

static enum pattern_answer find(Pattern *pattern, struct table_cell cell) {
	size_t start, end;
	return pattern_find_from(pattern, cell, 0, &start, &end);
}

enum pattern_answer pattern_find(Pattern *pattern, struct table_cell cell) {
	enum fixed_answer fixed = pattern->fixed.size ? fixed_pattern_test(&pattern->fixed, cell) : FIXED_UNKNOWN;
	if (fixed != FIXED_UNKNOWN)
		return fixed == FIXED_YES ? PATTERN_FOUND : PATTERN_NONE;
	if (cell.size > TEXT_KEY_WHOLE)
		return find(pattern, cell);
	struct text_key key = text_key_of(cell);
	struct memo *memo = &pattern->memo[text_key_hash(key, cell.size) % MEMO_ENTRIES];
	uint32_t size = (uint32_t)cell.size + 1;
	if (memo->size == size && text_key_equals(memo->key, key))
		return memo->answer;
	*memo = (struct memo){.key = key, .size = size, .answer = find(pattern, cell)};
	return memo->answer;
}

enum fixed_answer pattern_try(const Pattern *pattern, struct table_cell cell) {
	if (pattern->fixed.size == 0)
		return FIXED_UNKNOWN;
	if (pattern->fixed.has_ranges && cell.size == pattern->fixed.size)
		return fixed_pattern_test_key(&pattern->fixed, text_key_near(cell));
	return fixed_pattern_test(&pattern->fixed, cell);
}
