/* Looking at rows: hints, matches, what is told of them. */
#include "policy/privacy/scanner_internal.h"

#include "crypto/base/array.h"
#include "crypto/base/fault.h"
#include "policy/privacy/words.h"
#include "policy/table/utf8.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

enum {
	CONTEXT_BONUS = 35, /* percent */
	CONTEXT_LEAST = 50,
	CONTEXT_BYTES = 40, /* before and behind a match */
	LONG_MATCH =
	        256 /* bytes; if it is not valid, none that begins within it is looked for: that takes its square */
};

/* ---- matches ---- */

/* Words that begin or end farther away are none. */
static bool is_near(const struct use *use, struct table_cell cell, size_t start, size_t end) {
	size_t distance = use->own ? use->own->distance : CONTEXT_BYTES;
	size_t from = start > distance ? start - distance : 0;
	size_t to = cell.size - end > distance ? end + distance : cell.size;
	while (from < start && words_go_on(cell.data, from))
		from++;
	while (to > end && to < cell.size && words_go_on(cell.data, to))
		to--;
	return scanner_has_context(use, cell.data + from, start - from) ||
	       scanner_has_context(use, cell.data + end, to - end);
}

static int put_match(Scanner *scanner, const struct match *match) {
	struct match *matches =
	        array_room(scanner->matches, &scanner->match_room, scanner->match_count + 1, sizeof *matches);
	if (!matches)
		return scanner_no_memory();
	scanner->matches = matches;
	scanner->matches[scanner->match_count++] = *match;
	return 0;
}

static bool is_keyed(
        const Scanner *scanner, size_t use, size_t column, struct table_cell cell, size_t start, size_t end) {
	const struct closer_look *closer = scanner->uses[use].detector->closer;
	if (!closer || !closer->is_keyed)
		return false;
	bool may_be = column >= scanner->columns || !scanner->has_no_keys[use * scanner->columns + column];
	return may_be && closer->is_keyed(cell, start, end);
}

/* Of a match whose own score is known: what the words around it and the columns' names make of it. */
static unsigned score_of(const Scanner *scanner, size_t use, size_t column, struct table_cell cell,
        struct table_cell match, unsigned own) {
	const struct detector *detector = scanner->uses[use].detector;
	size_t start = (size_t)(match.data - cell.data);
	bool is_column = column < scanner->columns;
	bool has_context = (is_column && scanner->has_context[use * scanner->columns + column]) ||
	                   (!(detector->closer && detector->closer->by_column) &&
	                           is_near(&scanner->uses[use], cell, start, start + match.size)) ||
	                   is_keyed(scanner, use, column, cell, start, start + match.size);
	if (is_column && scanner->is_other[use * scanner->columns + column])
		own /= 2;
	if (!has_context)
		return detector->needs_context ? 0 : own;
	unsigned score = own + CONTEXT_BONUS;
	return score < CONTEXT_LEAST ? CONTEXT_LEAST : score > 100 ? 100 : score;
}

/* The score of a match alone, which may be narrowed; 0: it is none. */
static unsigned rate(const struct detector *detector, struct table_cell *match) {
	if (match->size == 0 || (detector->validate && !detector->validate(*match)))
		return 0;
	return detector->closer && detector->closer->rate ? detector->closer->rate(match) : detector->score;
}

static bool is_text(struct table_cell cell, const char *text) {
	return strlen(text) == cell.size && strncasecmp(text, cell.data, cell.size) == 0;
}

static bool is_ignored(const struct use *use, struct table_cell match) {
	for (size_t i = 0; use->own && i < use->own->ignore_count; i++)
		if (is_text(match, use->own->ignore[i]))
			return true;
	return false;
}

static size_t next_character(struct table_cell cell, size_t at) {
	while (at < cell.size && ((unsigned char)cell.data[at] & 0xc0) == 0x80)
		at++;
	return at;
}

/* All that one expression finds; where one match is not valid, another may begin within it. */
static int look_for(Scanner *scanner, size_t use, struct table_cell cell, uint64_t line, size_t column) {
	const struct detector *detector = scanner->uses[use].detector;
	unsigned least = scanner->sensitivity == SCAN_LOW ? SCANNER_LEAST_LOW : 1;
	size_t start, end;
	int rc = 0;
	for (size_t from = 0; from < cell.size && rc == 0;) {
		rc = scanner_find(scanner, use, cell, line, from, &start, &end);
		if (rc <= 0)
			return rc;
		struct table_cell match = {.data = cell.data + start, .size = end - start};
		unsigned own = rate(detector, &match);
		unsigned score = own && !is_ignored(&scanner->uses[use], match)
		                         ? score_of(scanner, use, column, cell, match, own)
		                         : 0;
		if (own > 0) {
			start = (size_t)(match.data - cell.data);
			end = start + match.size;
		}
		from = next_character(cell, own > 0 || match.size > LONG_MATCH ? end : start + 1);
		struct match found = {.use = use,
		        .finding = {.entity = detector->entity,
		                .line = line,
		                .column = column,
		                .from = start,
		                .to = end,
		                .score = score}};
		rc = score >= least ? put_match(scanner, &found) : 0;
	}
	return rc;
}

/* ---- what is told ---- */

/* In the order of places; of one entity only what no better or longer one covers. */
static int compare_matches(const void *one, const void *other) {
	const struct scan_finding *a = &((const struct match *)one)->finding;
	const struct scan_finding *b = &((const struct match *)other)->finding;
	if (a->from != b->from)
		return a->from < b->from ? -1 : 1;
	return a->to != b->to ? (a->to > b->to ? -1 : 1) : strcmp(a->entity, b->entity);
}

/* Does it take the other's place, which stands before it or behind it in their order? */
static bool is_better(const struct match *match, const struct match *other, bool is_before) {
	const struct scan_finding *a = &match->finding, *b = &other->finding;
	bool overlaps = a->from < b->to && b->from < a->to;
	return a->entity == b->entity && overlaps && (a->score > b->score || (a->score == b->score && is_before));
}

/* Matches of one use do not overlap: of those before it the last one of each can, of those behind what begins in it. */
static bool is_covered(const Scanner *scanner, size_t i) {
	const struct match *match = &scanner->matches[i];
	for (size_t use = 0; use < scanner->use_count; use++)
		if (scanner->last[use] && is_better(&scanner->matches[scanner->last[use] - 1], match, true))
			return true;
	for (size_t k = i + 1; k < scanner->match_count && scanner->matches[k].finding.from < match->finding.to; k++)
		if (is_better(&scanner->matches[k], match, false))
			return true;
	return false;
}

static bool is_allowed(Scanner *scanner, struct table_cell text) {
	for (size_t i = 0; i < scanner->allow_count; i++) {
		Pattern *pattern = scanner->allow_patterns[i];
		if (pattern ? pattern_find(pattern, text) != PATTERN_FOUND : !is_text(text, scanner->allow[i].text))
			continue;
		scanner->allowed[i] += !scanner->is_trial;
		return true;
	}
	return false;
}

uint64_t scanner_allowed(const Scanner *scanner, size_t i) {
	return scanner->allowed[i];
}

static int tell(Scanner *scanner, struct table_cell cell, scan_found *found, void *context) {
	int rc = 0;
	size_t at = 0, characters = 0; /* so many up to that byte */
	if (scanner->match_count > 1)
		qsort(scanner->matches, scanner->match_count, sizeof *scanner->matches, compare_matches);
	memset(scanner->last, 0, scanner->use_count * sizeof *scanner->last);
	for (size_t i = 0; i < scanner->match_count && rc >= 0; i++) {
		bool is_told = scanner->match_count == 1 || !is_covered(scanner, i);
		scanner->last[scanner->matches[i].use] = i + 1;
		struct scan_finding finding = scanner->matches[i].finding;
		size_t size = finding.to - finding.from;
		if (!is_told ||
		        is_allowed(scanner, (struct table_cell){.data = cell.data + finding.from, .size = size}))
			continue;
		characters += utf8_length(cell.data + at, finding.from - at);
		at = finding.from;
		finding.start = characters;
		finding.end = characters + utf8_length(cell.data + at, size);
		finding.cell = cell;
		rc = found(context, &finding);
	}
	scanner->match_count = 0;
	return rc < 0 ? rc : 0;
}

/* ---- rows ---- */

/* Looks into a cell for those expressions whose hints end in it, from the i-th on; *ret_next is the first behind. */
static int scan_cell(Scanner *scanner, const struct hints *hints, size_t i, size_t *ret_next, const char *text,
        struct table_cell cell, uint64_t line, size_t column) {
	size_t end = (size_t)(cell.data - text) + cell.size;
	int rc = 0;
	for (; i < hints->count && hints->list[i].end <= end && rc == 0; i++) {
		bool is_done = false; /* a longer match of the same, or another one of it, was there before */
		for (size_t k = i; k-- > 0 && hints->list[k].end > (size_t)(cell.data - text) && !is_done;)
			is_done = hints->list[k].id == hints->list[i].id;
		const struct use *use = &scanner->uses[hints->list[i].id];
		if (!is_done && (use->by_context || cell.size >= use->detector->needs.size))
			rc = look_for(scanner, hints->list[i].id, cell, line, column);
	}
	*ret_next = i;
	return rc;
}

static bool is_asked_of(const Scanner *scanner, size_t use, size_t column) {
	return column < scanner->columns && scanner->uses[use].by_context &&
	       scanner->has_context[use * scanner->columns + column];
}

/* What the column's name says enough of, and what must be asked of each cell. */
static int scan_asked(Scanner *scanner, struct table_cell cell, uint64_t line, size_t column) {
	bool is_asked = column < scanner->columns && scanner->is_asked[column];
	int rc = 0;
	if (!is_asked && !scanner->asks_everywhere)
		return 0;
	for (size_t use = 0; use < scanner->use_count && rc == 0; use++)
		if (scanner->uses[use].everywhere || (is_asked && is_asked_of(scanner, use, column)))
			rc = look_for(scanner, use, cell, line, column);
	return rc;
}

/* What is told by digits and letters, or by digits and a word. Most cells have no digit; most that have have no letter,
 * and too few. */
static int scan_featured(Scanner *scanner, const char *text, struct table_cell cell, uint64_t line, size_t column) {
	const struct features *features = &scanner->features;
	size_t start = (size_t)(cell.data - text), end = start + cell.size;
	if (!features_any(features->digits, start, end))
		return 0;
	unsigned digits = features_count(features->digits, start, end);
	bool has_letters = features_any(features->letters, start, end);
	bool has_two = features_two(features->digits, start, end);
	bool may_trigger = has_letters && digits >= scanner->triggering_digits[has_two];
	if (digits < scanner->least_digits[has_letters] && !may_trigger)
		return 0;
	const struct shapes shapes = shapes_of(features, start, end);
	int rc = 0;
	for (size_t i = 0; i < scanner->use_count && rc == 0; i++)
		if (scanner->uses[i].by_features && detector_may_match(scanner->uses[i].detector, &shapes))
			rc = look_for(scanner, i, cell, line, column);
	uint64_t triggers = may_trigger ? triggers_in(&scanner->triggers, cell.data, cell.size) : 0;
	for (; triggers && rc == 0; triggers &= triggers - 1) {
		size_t use = scanner->triggered[__builtin_ctzll(triggers)];
		if (detector_may_match(scanner->uses[use].detector, &shapes) && !is_asked_of(scanner, use, column))
			rc = look_for(scanner, use, cell, line, column);
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
		if (rc == 0)
			rc = scan_asked(scanner, cell, rows->lines[row], column);
		if (rc == 0)
			rc = scan_featured(scanner, rows->text, cell, rows->lines[row], column);
		cell.data = scanner->original + start;
		if (rc == 0 && scanner->match_count > 0)
			rc = tell(scanner, cell, found, context);
	}
	return rc;
}

/* Where in the rows' text anything may be. */
static int look_at_text(Scanner *scanner, const char *text, size_t size) {
	int rc = hints_find(scanner->finder, text, size, &scanner->hints);
	if (rc == 0)
		rc = features_look(&scanner->features, text, size);
	for (size_t i = 0; i < scanner->look_count && rc == 0; i++) {
		unsigned use = (unsigned)scanner->looks[i];
		rc = scanner->uses[use].detector->closer->hint(&scanner->features, text, size, &scanner->hints, use);
	}
	return rc == 0 ? hints_sort(&scanner->hints) : rc;
}

static bool is_word(const char *word, size_t size, const char *name) {
	return strlen(name) == size && memcmp(name, word, size) == 0;
}

/* What was written in the place of other entities than those that are asked for is no context either. */
static bool is_placeholder(const void *context, const char *word, size_t size) {
	const Scanner *scanner = context;
	for (size_t i = 0; i < scanner->use_count; i++)
		if (is_word(word, size, scanner->uses[i].detector->entity))
			return true;
	for (const struct detector *detector = detectors; detector->entity; detector++)
		if (is_word(word, size, detector->entity))
			return true;
	return is_word(word, size, "REDACTED");
}

uint64_t scanner_unclear_line(const Scanner *scanner) {
	return scanner->unclear_line;
}

static int scan_all(Scanner *scanner, const struct table_rows *rows, scan_found *found, void *context) {
	size_t i = 0;
	int rc = look_at_text(scanner, rows->text, rows->size);
	for (size_t row = 0; row < rows->count && rc == 0; row++)
		rc = scan_row(scanner, rows, row, &scanner->hints, &i, found, context);
	return rc;
}

/* ---- what escapes hide ---- */

/* What was found in some cells. */
struct counted {
	uint64_t count, characters;
};

struct counting {
	struct counted *rows;
	const struct table_rows *of;
	size_t at;
};

static int count_finding(void *context, const struct scan_finding *finding) {
	struct counting *counting = context;
	while (counting->at + 1 < counting->of->count && counting->of->lines[counting->at] != finding->line)
		counting->at++;
	counting->rows[counting->at].count++;
	counting->rows[counting->at].characters += finding->end - finding->start;
	return 0;
}

static int count_in(Scanner *scanner, const struct table_rows *rows, struct counted *counted) {
	struct counting counting = {.rows = counted, .of = rows};
	scanner->original = rows->text;
	return scan_all(scanner, rows, count_finding, &counting);
}

/* More than blanks leave, or something longer, stands where escapes are undone. */
static int look_behind_escapes(Scanner *scanner) {
	const struct shadow *shadow = &scanner->shadow;
	size_t count = shadow->rows.count;
	_cleanup_(freep) struct counted *counted = calloc(2 * count, sizeof *counted);
	if (!counted)
		return scanner_no_memory();
	scanner->is_trial = true;
	int rc = count_in(scanner, &shadow->blanked, counted);
	if (rc == 0)
		rc = count_in(scanner, &shadow->undone, counted + count);
	scanner->is_trial = false;
	for (size_t i = 0; i < count && rc == 0 && scanner->unclear_line == 0; i++) {
		const struct counted *blanked = &counted[i], *undone = &counted[count + i];
		if (undone->count > blanked->count || undone->characters > blanked->characters)
			scanner->unclear_line = shadow->rows.lines[i];
	}
	return rc;
}

int scanner_rows(Scanner *scanner, const struct table_rows *rows, scan_found *found, void *context) {
	const struct table_rows *shadow = rows;
	scanner->match_count = 0;
	int rc = shadow_of(&scanner->shadow, rows, scanner->is_treated ? is_placeholder : NULL, scanner, &shadow);
	scanner->original = rows->text;
	if (rc == 0)
		rc = scan_all(scanner, shadow, found, context);
	return rc == 0 && scanner->shadow.has_undone ? look_behind_escapes(scanner) : rc;
}
