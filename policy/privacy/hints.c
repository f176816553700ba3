#include "policy/privacy/hints.h"

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
	hints->list[hints->count++] = (struct hint){.id = id, .end = (size_t)to};
	return 0;
}

static int compare_hints(const void *one, const void *other) {
	const struct hint *a = one, *b = other;
	return a->end != b->end ? (a->end < b->end ? -1 : 1) : a->id < b->id ? -1 : a->id > b->id;
}

/* They mostly are. */
static bool is_sorted(const struct hints *hints) {
	for (size_t i = 1; i < hints->count; i++)
		if (hints->list[i].end < hints->list[i - 1].end)
			return false;
	return true;
}

int hints_find(HintFinder *finder, const char *text, size_t size, struct hints *hints) {
	hints->count = 0;
	if (!finder->database)
		return 0;
	hs_error_t code = hs_scan(finder->database, text, (unsigned)size, 0, finder->scratch, take_hint, hints);
	if (hints->is_out_of_memory)
		return out_of_memory();
	if (code != HS_SUCCESS)
		return fault(EIO, "looking for personal data: Hyperscan says %d", code);
	if (!is_sorted(hints))
		qsort(hints->list, hints->count, sizeof *hints->list, compare_hints);
	return 0;
}

void hints_release(struct hints *hints) {
	free(hints->list);
	*hints = (struct hints){0};
}
