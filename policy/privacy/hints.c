#include "policy/privacy/hints.h"

#include "crypto/base/array.h"
#include "crypto/base/fault.h"
#include "policy/privacy/widen.h"

#include <errno.h>
#include <hs/hs.h>
#include <stdlib.h>
#include <string.h>

struct HintFinder {
	hs_database_t *database; /* NULL: there are no expressions */
	hs_scratch_t *scratch;
};

static int out_of_memory(void) {
	return fault(ENOMEM, "no memory to look for personal data");
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

/* ---- expressions ---- */

static unsigned flags_of(unsigned flags) {
	return (flags & HINT_WIDE ? HS_FLAG_PREFILTER : 0) | (flags & HINT_CHARACTERS ? HS_FLAG_UTF8 : 0);
}

int hints_widen(const char *regex, char **ret_wide) {
	_cleanup_(freep) char *wide = NULL;
	hs_database_t *database = NULL;
	hs_compile_error_t *error = NULL;
	*ret_wide = NULL;
	int rc = widen(regex, &wide);
	if (rc < 0 || !wide)
		return rc;
	hs_error_t code =
	        hs_compile(wide, flags_of(HINT_WIDE | HINT_CHARACTERS), HS_MODE_BLOCK, NULL, &database, &error);
	(void)hs_free_compile_error(error);
	(void)hs_free_database(database);
	if (code == HS_SUCCESS)
		*ret_wide = steal_pointer(&wide);
	return 0;
}

static int compile(HintFinder *finder, const struct hint_expression *expressions, size_t count) {
	_cleanup_(freep) const char **texts = calloc(count, sizeof *texts);
	_cleanup_(freep) unsigned *flags = calloc(count, sizeof *flags);
	_cleanup_(freep) unsigned *ids = calloc(count, sizeof *ids);
	hs_compile_error_t *error = NULL;
	if (!texts || !flags || !ids)
		return out_of_memory();
	for (size_t i = 0; i < count; i++) {
		texts[i] = expressions[i].text;
		flags[i] = flags_of(expressions[i].flags);
		ids[i] = expressions[i].id;
	}
	hs_error_t code =
	        hs_compile_multi(texts, flags, ids, (unsigned)count, HS_MODE_BLOCK, NULL, &finder->database, &error);
	if (code != HS_SUCCESS) {
		int rc = fault(EINVAL, "the detectors' expressions do not compile: %s", error ? error->message : "");
		(void)hs_free_compile_error(error);
		return rc;
	}
	return hs_alloc_scratch(finder->database, &finder->scratch) == HS_SUCCESS ? 0 : out_of_memory();
}

int hints_new(const struct hint_expression *expressions, size_t count, HintFinder **ret_finder) {
	_cleanup_(hints_freep) HintFinder *finder = calloc(1, sizeof *finder);
	if (!finder)
		return out_of_memory();
	int rc = try_library();
	if (rc == 0 && count > 0)
		rc = compile(finder, expressions, count);
	if (rc < 0)
		return rc;
	*ret_finder = steal_pointer(&finder);
	return 0;
}

void hints_free(HintFinder *finder) {
	if (!finder)
		return;
	(void)hs_free_scratch(finder->scratch);
	(void)hs_free_database(finder->database);
	free(finder);
}

/* ---- finding ---- */

int hints_add(struct hints *hints, unsigned id, size_t end) {
	struct hint *list = array_room(hints->list, &hints->room, hints->count + 1, sizeof *list);
	if (!list)
		return out_of_memory();
	hints->list = list;
	hints->list[hints->count++] = (struct hint){.id = id, .end = end};
	return 0;
}

static int take_hint(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *context) {
	struct hints *hints = context;
	(void)from;
	(void)flags;
	hints->is_out_of_memory = hints_add(hints, id, (size_t)to) < 0;
	return hints->is_out_of_memory;
}

int hints_find(HintFinder *finder, const char *text, size_t size, struct hints *hints) {
	hints->count = 0;
	if (!finder->database)
		return 0;
	hs_error_t code = hs_scan(finder->database, text, (unsigned)size, 0, finder->scratch, take_hint, hints);
	if (hints->is_out_of_memory)
		return out_of_memory();
	return code == HS_SUCCESS ? 0 : fault(EIO, "looking for personal data: Hyperscan says %d", code);
}

static int compare_hints(const void *one, const void *other) {
	const struct hint *a = one, *b = other;
	return a->end != b->end ? (a->end < b->end ? -1 : 1) : a->id < b->id ? -1 : a->id > b->id;
}

/* Behind the last that is not before the one ahead of it. */
static size_t sorted_up_to(const struct hints *hints, size_t from) {
	size_t i = from + 1;
	while (i < hints->count && hints->list[i].end >= hints->list[i - 1].end)
		i++;
	return i < hints->count ? i : hints->count;
}

/* What begins at `middle` goes between what is before it. */
static int merge(struct hints *hints, size_t middle) {
	_cleanup_(freep) struct hint *first = calloc(middle, sizeof *first);
	if (!first)
		return out_of_memory();
	memcpy(first, hints->list, middle * sizeof *first);
	size_t from = 0, next = middle;
	for (size_t to = 0; from < middle; to++)
		hints->list[to] = next == hints->count || first[from].end <= hints->list[next].end
		                          ? first[from++]
		                          : hints->list[next++];
	return 0;
}

/* They mostly are, or are two lots. */
int hints_sort(struct hints *hints) {
	size_t middle = sorted_up_to(hints, 0);
	if (middle == hints->count)
		return 0;
	if (sorted_up_to(hints, middle) == hints->count)
		return merge(hints, middle);
	qsort(hints->list, hints->count, sizeof *hints->list, compare_hints);
	return 0;
}

void hints_release(struct hints *hints) {
	free(hints->list);
	*hints = (struct hints){0};
}
