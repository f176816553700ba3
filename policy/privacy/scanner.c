#include "policy/privacy/scanner.h"

#include "crypto/base/fault.h"
#include "policy/dqdl/pattern.h"
#include "policy/privacy/detector.h"
#include "policy/privacy/features.h"
#include "policy/table/utf8.h"

#include <ctype.h>
#include <errno.h>
#include <hs/hs.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum {
	LEAST_LOW = 50, /* percent, at low sensitivity */
	CONTEXT_BONUS = 35,
	CONTEXT_LEAST = 50,
	CONTEXT_BYTES = 40, /* before and behind a match */
	MOST_IN_CELL = 1000 /* findings; what is more is not told */
};

struct use {
	const struct detector *detector;
	Pattern *pattern;
	bool by_context;  /* without a word of its context it is nothing, so that words are looked for in its stead */
	bool by_features; /* what its needs say is all that is looked for */
};

struct Scanner {
	enum scan_sensitivity sensitivity;
	struct use *uses;
	size_t use_count;
	unsigned least_digits[2]; /* with fewer no use by features has a match: without letters, with some */
	struct features features;
	hs_database_t *database;
	hs_scratch_t *scratch;
	bool *has_context; /* of each use and column: the column's name is one */
	bool asks;         /* any of them is */
	bool *is_asked;    /* of each column: a use that goes by context is asked of all its cells */
	size_t columns;
	struct scan_finding *findings; /* of one cell */
	size_t finding_count, finding_room;
};

static int out_of_memory(void) {
	return fault(ENOMEM, "no memory to look for personal data");
}

/* ---- making ---- */

static bool is_wanted(const struct scan_options *options, const char *entity) {
	for (size_t i = 0; i < options->entity_count; i++)
		if (strcmp(options->entities[i], entity) == 0)
			return true;
	return !options->entities;
}

static int check_entities(const struct scan_options *options) {
	for (size_t i = 0; options->entities && i < options->entity_count; i++)
		if (!detector_is_entity(options->entities[i]))
			return fault(EINVAL, "there is no detector '%.60s'; assayfs scan --help names them",
			        options->entities[i]);
	return 0;
}

static void note_needs(Scanner *scanner, const struct detector *detector) {
	for (unsigned with_letters = detector->needs.letters > 0; with_letters < 2; with_letters++)
		if (detector->needs.digits < scanner->least_digits[with_letters])
			scanner->least_digits[with_letters] = detector->needs.digits;
}

static int add_uses(Scanner *scanner, const struct scan_options *options) {
	size_t count = 0;
	while (detectors[count].entity)
		count++;
	scanner->uses = calloc(count + 1, sizeof *scanner->uses);
	if (!scanner->uses)
		return out_of_memory();
	for (size_t i = 0; i < count; i++) {
		if (!is_wanted(options, detectors[i].entity))
			continue;
		struct use *use = &scanner->uses[scanner->use_count++];
		use->detector = &detectors[i];
		use->by_context = detectors[i].needs_context ||
		                  (scanner->sensitivity == SCAN_LOW && detectors[i].score < LEAST_LOW);
		use->by_features = !use->by_context && !detectors[i].hint && detectors[i].needs.digits > 0;
		if (use->by_features)
			note_needs(scanner, &detectors[i]);
		int rc = pattern_new(detectors[i].pattern, 0, &use->pattern);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Any of the words, in any case of letters; allocated. */
static char *words_expression(const char *words) {
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	if (!out)
		return NULL;
	(void)fputs("(?i)\\b(?:", out);
	for (const char *at = words; *at; at++) {
		if (*at == ' ')
			(void)fputc('|', out);
		else if (isalnum((unsigned char)*at) || (unsigned char)*at >= 0x80)
			(void)fputc(*at, out);
		else
			(void)fprintf(out, "\\x%02x", (unsigned)(unsigned char)*at);
	}
	(void)fputs(")\\b", out);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

static void free_texts(char ***texts) {
	for (size_t i = 0; *texts && (*texts)[i]; i++)
		free((*texts)[i]);
	free(*texts);
}

static char *expression_of(const struct use *use) {
	const struct detector *detector = use->detector;
	return use->by_context ? words_expression(detector->context)
	                       : strdup(detector->hint ? detector->hint : detector->pattern);
}

/* One database of all. */
static int compile(Scanner *scanner) {
	size_t count = scanner->use_count;
	_cleanup_(free_texts) char **expressions = calloc(count + 1, sizeof *expressions);
	_cleanup_(freep) unsigned *flags = calloc(count + 1, sizeof *flags);
	_cleanup_(freep) unsigned *ids = calloc(count + 1, sizeof *ids);
	hs_compile_error_t *error = NULL;
	if (!expressions || !flags || !ids)
		return out_of_memory();
	size_t used = 0;
	for (size_t i = 0; i < count; i++) {
		if (scanner->uses[i].by_features)
			continue;
		if (!(expressions[used] = expression_of(&scanner->uses[i])))
			return out_of_memory();
		flags[used] = scanner->uses[i].detector->hint ? 0 : HS_FLAG_PREFILTER;
		ids[used++] = (unsigned)i;
	}
	if (used == 0)
		return 0;
	hs_error_t code = hs_compile_multi((const char *const *)expressions, flags, ids, (unsigned)used, HS_MODE_BLOCK,
	        NULL, &scanner->database, &error);
	if (code != HS_SUCCESS) {
		int rc = fault(EINVAL, "the detectors' expressions do not compile: %s", error ? error->message : "");
		(void)hs_free_compile_error(error);
		return rc;
	}
	return hs_alloc_scratch(scanner->database, &scanner->scratch) == HS_SUCCESS ? 0 : out_of_memory();
}

/* ---- is the library to be relied on? ---- */

static int count_match(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *context) {
	(void)id;
	(void)from;
	(void)to;
	(void)flags;
	++*(unsigned *)context;
	return 0;
}

/* Of one that misses a match nothing would be said, and personal data would pass: so it is tried, at sizes and with
 * forms of expressions for which versions of it have failed. */
static int try_library(void) {
	static const char *const expressions[] = {"@[A-Za-z0-9]", "b[ao]b", "e[x-z]a", "(?i)\\bexample\\b"};
	static const unsigned flags[4], ids[4];
	static const size_t sizes[] = {10, 40, 67, 107, 167, 257, 592, 2000, 10000};
	static const char planted[] = " bob@example.com ";
	_cleanup_(freep) char *text = malloc(10000 + sizeof planted);
	hs_database_t *database = NULL;
	hs_scratch_t *scratch = NULL;
	hs_compile_error_t *error = NULL;
	bool works =
	        text &&
	        hs_compile_multi(expressions, flags, ids, 4, HS_MODE_BLOCK, NULL, &database, &error) == HS_SUCCESS &&
	        hs_alloc_scratch(database, &scratch) == HS_SUCCESS;
	for (size_t i = 0; works && i < sizeof sizes / sizeof *sizes; i++) {
		unsigned found = 0;
		memset(text, 'x', sizes[i]);
		memcpy(text + sizes[i], planted, sizeof planted);
		works = hs_scan(database, text, (unsigned)(sizes[i] + sizeof planted - 1), 0, scratch, count_match,
		                &found) == HS_SUCCESS &&
		        found == 4;
	}
	(void)hs_free_compile_error(error);
	(void)hs_free_scratch(scratch);
	(void)hs_free_database(database);
	return works ? 0
	             : fault(EIO,
	                       "the library that looks for patterns (libhs %s) misses what is there; nothing can be "
	                       "scanned",
	                       hs_version());
}

int scanner_new(const struct scan_options *options, Scanner **ret_scanner) {
	_cleanup_(scanner_freep) Scanner *scanner = calloc(1, sizeof *scanner);
	if (!scanner)
		return out_of_memory();
	scanner->sensitivity = options->sensitivity;
	scanner->least_digits[0] = scanner->least_digits[1] = UINT_MAX;
	int rc = check_entities(options);
	if (rc == 0)
		rc = add_uses(scanner, options);
	if (rc == 0)
		rc = try_library();
	if (rc == 0)
		rc = compile(scanner);
	if (rc < 0)
		return rc;
	*ret_scanner = steal_pointer(&scanner);
	return 0;
}

void scanner_free(Scanner *scanner) {
	if (!scanner)
		return;
	for (size_t i = 0; i < scanner->use_count; i++)
		pattern_free(scanner->uses[i].pattern);
	(void)hs_free_scratch(scanner->scratch);
	(void)hs_free_database(scanner->database);
	features_release(&scanner->features);
	free(scanner->uses);
	free(scanner->has_context);
	free(scanner->is_asked);
	free(scanner->findings);
	free(scanner);
}

/* ---- context ---- */

static bool is_word(char c) {
	return isalnum((unsigned char)c) || c == '\'' || (unsigned char)c >= 0x80;
}

/* Is the word one of the list, in any case of letters? */
static bool is_listed(const char *list, const char *word, size_t size) {
	for (const char *at = list; at && *at;) {
		size_t length = strcspn(at, " ");
		if (length == size && strncasecmp(at, word, size) == 0)
			return true;
		at += length + strspn(at + length, " ");
	}
	return false;
}

/* Words end at what is no letter, and where a lower case is followed by an upper one (emailAddress). */
static bool has_word(const char *list, const char *text, size_t size) {
	for (size_t at = 0; at < size;) {
		size_t from = at;
		while (at < size && is_word(text[at]) &&
		        !(at > from && isupper((unsigned char)text[at]) && islower((unsigned char)text[at - 1])))
			at++;
		if (at > from && is_listed(list, text + from, at - from))
			return true;
		at += at == from;
	}
	return false;
}

static bool is_near(const struct detector *detector, struct table_cell cell, size_t start, size_t end) {
	size_t from = start > CONTEXT_BYTES ? start - CONTEXT_BYTES : 0;
	size_t to = cell.size - end > CONTEXT_BYTES ? end + CONTEXT_BYTES : cell.size;
	return has_word(detector->context, cell.data + from, start - from) ||
	       has_word(detector->context, cell.data + end, to - end);
}

int scanner_columns(Scanner *scanner, const struct table_cell *names, size_t count) {
	free(scanner->has_context);
	free(scanner->is_asked);
	scanner->columns = count;
	scanner->asks = false;
	scanner->has_context = calloc(count * scanner->use_count + 1, sizeof *scanner->has_context);
	scanner->is_asked = calloc(count + 1, sizeof *scanner->is_asked);
	if (!scanner->has_context || !scanner->is_asked)
		return out_of_memory();
	for (size_t use = 0; use < scanner->use_count; use++)
		for (size_t i = 0; i < count; i++) {
			bool has = has_word(scanner->uses[use].detector->context, names[i].data, names[i].size);
			scanner->has_context[use * count + i] = has;
			scanner->is_asked[i] |= has && scanner->uses[use].by_context;
			scanner->asks |= scanner->is_asked[i];
		}
	return 0;
}

/* ---- one cell ---- */

static int put_finding(Scanner *scanner, const struct scan_finding *finding) {
	if (scanner->finding_count == scanner->finding_room) {
		size_t room = scanner->finding_room ? scanner->finding_room * 2 : 16;
		struct scan_finding *findings = reallocarray(scanner->findings, room, sizeof *findings);
		if (!findings)
			return out_of_memory();
		scanner->findings = findings;
		scanner->finding_room = room;
	}
	scanner->findings[scanner->finding_count++] = *finding;
	return 0;
}

static unsigned score_of(
        const Scanner *scanner, size_t use, size_t column, struct table_cell cell, size_t start, size_t end) {
	const struct detector *detector = scanner->uses[use].detector;
	bool is_named = scanner->has_context && scanner->has_context[use * scanner->columns + column];
	if (!is_named && !is_near(detector, cell, start, end))
		return detector->needs_context ? 0 : detector->score;
	unsigned score = detector->score + CONTEXT_BONUS;
	return score < CONTEXT_LEAST ? CONTEXT_LEAST : score > 100 ? 100 : score;
}

/* All that one expression finds; where one match is not valid, another may begin within it. */
static int look_for(Scanner *scanner, size_t use, struct table_cell cell, uint64_t line, size_t column) {
	const struct detector *detector = scanner->uses[use].detector;
	unsigned least = scanner->sensitivity == SCAN_LOW ? LEAST_LOW : 1;
	size_t start, end;
	enum pattern_answer answer;
	for (size_t from = 0; from < cell.size && scanner->finding_count < MOST_IN_CELL;) {
		answer = pattern_find_from(scanner->uses[use].pattern, cell, from, &start, &end);
		if (answer == PATTERN_OVER_LIMIT)
			return fault(EOVERFLOW, "line %" PRIu64 ": the expression for %s takes too many steps", line,
			        detector->entity);
		if (answer != PATTERN_FOUND)
			break;
		struct table_cell match = {.data = cell.data + start, .size = end - start};
		bool is_valid = !detector->validate || detector->validate(match);
		unsigned score = is_valid ? score_of(scanner, use, column, cell, start, end) : 0;
		from = is_valid ? end : start + 1;
		while (from < cell.size && ((unsigned char)cell.data[from] & 0xc0) == 0x80)
			from++;
		if (score < least)
			continue;
		struct scan_finding finding = {.entity = detector->entity,
		        .line = line,
		        .column = column,
		        .start = start,
		        .end = end,
		        .score = score};
		int rc = put_finding(scanner, &finding);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* In the order of places; of one entity only what no better or longer one covers. */
static int compare_findings(const void *one, const void *other) {
	const struct scan_finding *a = one, *b = other;
	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return a->end != b->end ? (a->end > b->end ? -1 : 1) : strcmp(a->entity, b->entity);
}

static bool is_covered(const Scanner *scanner, size_t i) {
	const struct scan_finding *finding = &scanner->findings[i];
	for (size_t k = 0; k < scanner->finding_count; k++) {
		const struct scan_finding *other = &scanner->findings[k];
		bool overlaps = other->start < finding->end && finding->start < other->end;
		bool is_other = k != i && other->entity == finding->entity && overlaps;
		if (is_other && (other->score > finding->score || (other->score == finding->score && k < i)))
			return true;
	}
	return false;
}

static int tell(Scanner *scanner, struct table_cell cell, scan_found *found, void *context) {
	int rc = 0;
	if (scanner->finding_count > 1)
		qsort(scanner->findings, scanner->finding_count, sizeof *scanner->findings, compare_findings);
	for (size_t i = 0; i < scanner->finding_count && rc >= 0; i++) {
		if (is_covered(scanner, i))
			continue;
		struct scan_finding finding = scanner->findings[i];
		finding.end = utf8_length(cell.data, finding.end);
		finding.start = utf8_length(cell.data, finding.start);
		rc = found(context, &finding);
	}
	scanner->finding_count = 0;
	return rc < 0 ? rc : 0;
}

/* ---- rows ---- */

/* What Hyperscan has hinted at in a text: which expressions, and where their matches end, ascending. */
struct hints {
	struct hint {
		unsigned use;
		size_t end;
	} * list;
	size_t count, room;
	bool is_out_of_memory;
};

static int take_hint(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *context) {
	struct hints *hints = context;
	(void)from;
	(void)flags;
	if (hints->count == hints->room) {
		size_t room = hints->room ? hints->room * 2 : 256;
		struct hint *list = reallocarray(hints->list, room, sizeof *list);
		hints->is_out_of_memory = !list;
		if (!list)
			return 1;
		hints->list = list;
		hints->room = room;
	}
	hints->list[hints->count++] = (struct hint){.use = id, .end = (size_t)to};
	return 0;
}

static void hints_release(struct hints *hints) {
	free(hints->list);
}

static int scan_text(Scanner *scanner, const char *text, size_t size, struct hints *hints) {
	hints->count = 0;
	if (!scanner->database)
		return 0;
	hs_error_t code = hs_scan(scanner->database, text, (unsigned)size, 0, scanner->scratch, take_hint, hints);
	if (hints->is_out_of_memory)
		return out_of_memory();
	return code == HS_SUCCESS ? 0 : fault(EIO, "looking for personal data: Hyperscan says %d", code);
}

/* Looks into a cell for those expressions whose hints end in it, from the i-th on; *ret_next is the first behind. */
static int scan_cell(Scanner *scanner, const struct hints *hints, size_t i, size_t *ret_next, const char *text,
        struct table_cell cell, uint64_t line, size_t column) {
	size_t end = (size_t)(cell.data - text) + cell.size;
	int rc = 0;
	for (; i < hints->count && hints->list[i].end <= end && rc == 0; i++) {
		bool is_done = false; /* a longer match of the same, or another one of it, was there before */
		for (size_t k = i; k-- > 0 && hints->list[k].end > (size_t)(cell.data - text) && !is_done;)
			is_done = hints->list[k].use == hints->list[i].use;
		const struct use *use = &scanner->uses[hints->list[i].use];
		if (!is_done && (use->by_context || cell.size >= use->detector->needs.size))
			rc = look_for(scanner, hints->list[i].use, cell, line, column);
	}
	*ret_next = i;
	return rc;
}

/* What the column's name says enough of. */
static int scan_asked(Scanner *scanner, struct table_cell cell, uint64_t line, size_t column) {
	int rc = 0;
	for (size_t use = 0; use < scanner->use_count && rc == 0; use++)
		if (scanner->uses[use].by_context && scanner->has_context[use * scanner->columns + column])
			rc = look_for(scanner, use, cell, line, column);
	return rc;
}

/* What is told by digits and letters. Most cells have no digit; most that have have no letter, and too few. */
static int scan_featured(Scanner *scanner, const char *text, struct table_cell cell, uint64_t line, size_t column) {
	const struct features *features = &scanner->features;
	size_t start = (size_t)(cell.data - text), end = start + cell.size;
	if (!features_any(features->digits, start, end))
		return 0;
	unsigned digits = features_count(features->digits, start, end);
	if (digits < scanner->least_digits[features_any(features->letters, start, end)])
		return 0;
	unsigned letters = features_count(features->letters, start, end);
	unsigned uppers = features_count(features->uppers, start, end);
	int rc = 0;
	for (size_t i = 0; i < scanner->use_count && rc == 0; i++) {
		const struct detector *detector = scanner->uses[i].detector;
		if (scanner->uses[i].by_features && digits >= detector->needs.digits &&
		        letters >= detector->needs.letters && uppers >= detector->needs.uppers &&
		        cell.size >= detector->needs.size)
			rc = look_for(scanner, i, cell, line, column);
	}
	return rc;
}

static int scan_row(Scanner *scanner, const struct table_rows *rows, size_t row, const struct hints *hints, size_t *i,
        scan_found *found, void *context) {
	const struct table_cell *cells = rows_at(rows, row);
	int rc = 0;
	for (size_t column = 0; column < rows->columns && rc == 0; column++) {
		struct table_cell cell = cells[column];
		if (!cell.data || cell.size == 0)
			continue;
		size_t start = (size_t)(cell.data - rows->text);
		while (*i < hints->count && hints->list[*i].end <= start)
			++*i; /* it ends before the cell: across a delimiter */
		rc = scan_cell(scanner, hints, *i, i, rows->text, cell, rows->lines[row], column);
		if (rc == 0 && scanner->is_asked && scanner->is_asked[column])
			rc = scan_asked(scanner, cell, rows->lines[row], column);
		if (rc == 0)
			rc = scan_featured(scanner, rows->text, cell, rows->lines[row], column);
		if (rc == 0 && scanner->finding_count > 0)
			rc = tell(scanner, cell, found, context);
	}
	return rc;
}

static int compare_hints(const void *one, const void *other) {
	const struct hint *a = one, *b = other;
	return a->end != b->end ? (a->end < b->end ? -1 : 1) : a->use < b->use ? -1 : a->use > b->use;
}

/* They mostly are. */
static bool is_sorted(const struct hints *hints) {
	for (size_t i = 1; i < hints->count; i++)
		if (hints->list[i].end < hints->list[i - 1].end)
			return false;
	return true;
}

int scanner_rows(Scanner *scanner, const struct table_rows *rows, scan_found *found, void *context) {
	_cleanup_(hints_release) struct hints hints = {0};
	int rc = scan_text(scanner, rows->text, rows->size, &hints);
	if (rc < 0)
		return rc;
	if (!is_sorted(&hints))
		qsort(hints.list, hints.count, sizeof *hints.list, compare_hints);
	if ((rc = features_look(&scanner->features, rows->text, rows->size)) < 0)
		return rc;
	size_t i = 0;
	for (size_t row = 0; row < rows->count && rc == 0; row++)
		rc = scan_row(scanner, rows, row, &hints, &i, found, context);
	return rc;
}
