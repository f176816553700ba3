#include "policy/privacy/scanner_internal.h"

#include "crypto/base/fault.h"
#include "policy/privacy/names.h"
#include "policy/privacy/words.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { OWN_SCORE = 60 }; /* percent */

int scanner_no_memory(void) {
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
			return fault(EINVAL, "there is no detector '%.60s'; assayfs scan --list names them",
			        options->entities[i]);
	return 0;
}

static void note_needs(Scanner *scanner, const struct detector *detector) {
	for (unsigned with_letters = detector->needs.letters > 0; with_letters < 2; with_letters++)
		if (detector->needs.digits < scanner->least_digits[with_letters])
			scanner->least_digits[with_letters] = detector->needs.digits;
}

/* A word and so many digits are looked for together, if they can be. */
static int add_triggered(Scanner *scanner, struct use *use) {
	const struct detector *detector = use->detector;
	if (!use->by_context || detector->needs.digits == 0 || scanner->triggered_count == TRIGGERS_MOST)
		return 0;
	use->by_trigger = true;
	for (unsigned has_two = detector->needs.shape & SHAPE_NUMBERS ? 1 : 0; has_two < 2; has_two++)
		if (detector->needs.digits < scanner->triggering_digits[has_two])
			scanner->triggering_digits[has_two] = detector->needs.digits;
	scanner->triggered[scanner->triggered_count] = (size_t)(use - scanner->uses);
	return triggers_add(&scanner->triggers, detector->context, scanner->triggered_count++);
}

static int add_use(Scanner *scanner, const struct detector *detector, const struct scan_pattern *own) {
	struct use *use = &scanner->uses[scanner->use_count++];
	use->detector = detector;
	use->own = own;
	use->by_context = !own && (detector->needs_context ||
	                                  (scanner->sensitivity == SCAN_LOW && detector->score < SCANNER_LEAST_LOW));
	use->by_look = !own && detector->closer && detector->closer->hint;
	if (use->by_look)
		scanner->looks[scanner->look_count++] = scanner->use_count - 1;
	use->by_features = !own && !use->by_context && !detector->hint && detector->needs.digits > 0;
	if (use->by_features)
		note_needs(scanner, detector);
	int rc = add_triggered(scanner, use);
	return rc < 0 ? rc : pattern_new(detector->pattern, 0, &use->pattern);
}

/* Of one name there is one address. */
static const char *entity_named(const Scanner *scanner, const char *name) {
	for (size_t i = 0; i < scanner->use_count; i++)
		if (strcmp(scanner->uses[i].detector->entity, name) == 0)
			return scanner->uses[i].detector->entity;
	return name;
}

static int add_own(Scanner *scanner, const struct scan_pattern *pattern, struct detector *detector) {
	int rc = scanner_check_pattern(pattern);
	if (rc < 0)
		return rc;
	*detector = (struct detector){.entity = entity_named(scanner, pattern->name),
	        .pattern = pattern->regex,
	        .validate = pattern->validator ? validate_named(pattern->validator) : NULL,
	        .score = pattern->score ? pattern->score : OWN_SCORE,
	        .needs_context = pattern->keyword_count > 0};
	return add_use(scanner, detector, pattern);
}

static int add_uses(Scanner *scanner, const struct scan_options *options) {
	size_t count = 0;
	int rc = 0;
	while (detectors[count].entity)
		count++;
	scanner->uses = calloc(count + options->pattern_count + 1, sizeof *scanner->uses);
	scanner->last = calloc(count + options->pattern_count + 1, sizeof *scanner->last);
	scanner->looks = calloc(count + 1, sizeof *scanner->looks);
	scanner->own = calloc(options->pattern_count + 1, sizeof *scanner->own);
	if (!scanner->uses || !scanner->last || !scanner->looks || !scanner->own)
		return scanner_no_memory();
	for (size_t i = 0; i < count && rc == 0; i++)
		if (is_wanted(options, detectors[i].entity))
			rc = add_use(scanner, &detectors[i], NULL);
	for (size_t i = 0; i < options->pattern_count && rc == 0; i++)
		rc = add_own(scanner, &options->patterns[i], &scanner->own[i]);
	return rc;
}

static int add_allow(Scanner *scanner, const struct scan_options *options) {
	int rc = 0;
	scanner->allow = options->allow;
	scanner->allow_patterns = calloc(options->allow_count + 1, sizeof(Pattern *));
	scanner->allowed = calloc(options->allow_count + 1, sizeof *scanner->allowed);
	if (!scanner->allow_patterns || !scanner->allowed)
		return scanner_no_memory();
	for (; scanner->allow_count < options->allow_count && rc == 0; scanner->allow_count++) {
		const struct scan_allow *allow = &options->allow[scanner->allow_count];
		if (allow->is_regex)
			rc = pattern_new(allow->text, PATTERN_WHOLE, &scanner->allow_patterns[scanner->allow_count]);
		(void)fault_while(rc, "allowed: '%.60s'", allow->text);
	}
	return rc;
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

/* What hints at a use; no text: nothing does. */
static int expression_of(struct use *use, struct hint_expression *expression) {
	const struct detector *detector = use->detector;
	if (use->own) {
		int rc = hints_widen(detector->pattern, &expression->text);
		use->everywhere = rc == 0 && !expression->text;
		expression->flags = HINT_WIDE | HINT_CHARACTERS;
		return rc;
	}
	if (use->by_features || use->by_trigger || use->by_look || (detector->closer && detector->closer->by_column))
		return 0;
	expression->flags = detector->hint ? 0 : HINT_WIDE;
	expression->text = use->by_context ? words_expression(detector->context)
	                                   : strdup(detector->hint ? detector->hint : detector->pattern);
	return expression->text ? 0 : scanner_no_memory();
}

static int make_finder(Scanner *scanner) {
	size_t used = 0;
	int rc = 0;
	struct hint_expression *expressions = calloc(scanner->use_count + 1, sizeof *expressions);
	if (!expressions)
		return scanner_no_memory();
	for (size_t i = 0; i < scanner->use_count && rc == 0; i++) {
		expressions[used].id = (unsigned)i;
		rc = expression_of(&scanner->uses[i], &expressions[used]);
		scanner->asks_everywhere |= scanner->uses[i].everywhere;
		used += expressions[used].text != NULL;
	}
	if (rc == 0)
		rc = hints_new(expressions, used, &scanner->finder);
	for (size_t i = 0; i < used; i++)
		free(expressions[i].text);
	free(expressions);
	return rc;
}

int scanner_new(const struct scan_options *options, Scanner **ret_scanner) {
	_cleanup_(scanner_freep) Scanner *scanner = calloc(1, sizeof *scanner);
	if (!scanner)
		return scanner_no_memory();
	names_ready();
	scanner->sensitivity = options->sensitivity;
	scanner->is_treated = options->is_treated;
	scanner->triggering_digits[0] = scanner->triggering_digits[1] = UINT_MAX;
	scanner->least_digits[0] = scanner->least_digits[1] = UINT_MAX;
	int rc = check_entities(options);
	if (rc == 0)
		rc = add_uses(scanner, options);
	if (rc == 0)
		rc = add_allow(scanner, options);
	if (rc == 0)
		rc = make_finder(scanner);
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
	for (size_t i = 0; i < scanner->allow_count; i++)
		pattern_free(scanner->allow_patterns[i]);
	hints_free(scanner->finder);
	shadow_release(&scanner->shadow);
	hints_release(&scanner->hints);
	features_release(&scanner->features);
	triggers_release(&scanner->triggers);
	free(scanner->uses);
	free(scanner->own);
	free(scanner->allow_patterns);
	free(scanner->allowed);
	free(scanner->has_context);
	free(scanner->is_other);
	free(scanner->has_no_keys);
	free(scanner->is_asked);
	free(scanner->matches);
	free(scanner->last);
	free(scanner->looks);
	free(scanner);
}

/* ---- context ---- */

bool scanner_has_context(const struct use *use, const char *text, size_t size) {
	if (!use->own)
		return words_have_any(use->detector->context, text, size);
	for (size_t i = 0; i < use->own->keyword_count; i++)
		if (words_have_phrase(use->own->keywords[i], text, size))
			return true;
	return false;
}

void scanner_note_context(Scanner *scanner, size_t use, size_t column) {
	scanner->has_context[use * scanner->columns + column] = true;
	scanner->is_asked[column] |= scanner->uses[use].by_context;
}

int scanner_columns(Scanner *scanner, const struct table_cell *names, size_t count) {
	free(scanner->has_context);
	free(scanner->is_other);
	free(scanner->has_no_keys);
	free(scanner->is_asked);
	scanner->columns = count;
	scanner->unclear_line = 0;
	scanner->is_other = calloc(count * scanner->use_count + 1, sizeof *scanner->is_other);
	scanner->has_context = calloc(count * scanner->use_count + 1, sizeof *scanner->has_context);
	scanner->has_no_keys = calloc(count * scanner->use_count + 1, sizeof *scanner->has_no_keys);
	scanner->is_asked = calloc(count + 1, sizeof *scanner->is_asked);
	if (!scanner->has_context || !scanner->is_other || !scanner->has_no_keys || !scanner->is_asked)
		return scanner_no_memory();
	for (size_t use = 0; use < scanner->use_count; use++) {
		const struct closer_look *closer = scanner->uses[use].detector->closer;
		for (size_t i = 0; i < count; i++) {
			if (scanner_has_context(&scanner->uses[use], names[i].data, names[i].size))
				scanner_note_context(scanner, use, i);
			scanner->is_other[use * count + i] =
			        closer && closer->is_other && closer->is_other(names, count, i);
			scanner->has_no_keys[use * count + i] =
			        closer && words_have_any(closer->no_keys, names[i].data, names[i].size);
		}
	}
	return 0;
}

int scanner_find(Scanner *scanner, size_t use, struct table_cell cell, uint64_t line, size_t from, size_t *ret_start,
        size_t *ret_end) {
	const struct closer_look *closer = scanner->uses[use].detector->closer;
	int rc = closer && closer->find ? closer->find(cell, from, ret_start, ret_end) : -1;
	if (rc >= 0)
		return rc;
	enum pattern_answer answer = pattern_find_from(scanner->uses[use].pattern, cell, from, ret_start, ret_end);
	if (answer == PATTERN_OVER_LIMIT)
		return fault(EOVERFLOW, "line %" PRIu64 ": the expression for %s takes too many steps", line,
		        scanner->uses[use].detector->entity);
	return answer != PATTERN_NONE;
}
