#include "policy/privacy/person.h"

#include "policy/privacy/names.h"
#include "policy/privacy/words.h"

#include <string.h>
#include <strings.h>

enum {
	BOTH_KNOWN = 60, /* percent */
	ONE_KNOWN = 30,
	NONE_KNOWN = 20,
	WORDS_MOST = 24, /* of a run, particles among them */
	NAME_WORDS = 4
};

/* ---- the first look ---- */

/* Is one of the words that begin in these 64 bytes known? One that goes on behind them, or that a table of ASCII's
 * letters can't say, may be. */
static bool has_known(const char *text, uint64_t capitals, uint64_t letters, uint64_t others) {
	for (; capitals; capitals &= capitals - 1) {
		unsigned first = (unsigned)__builtin_ctzll(capitals);
		uint64_t rest = ~letters >> first;
		unsigned size = rest ? (unsigned)__builtin_ctzll(rest) : 64;
		if (first + size >= 64 || (others >> first & ((UINT64_C(1) << size) - 1)) ||
		        text[first + size] == '-' || (names_kind(text + first, size) & (NAME_GIVEN | NAME_SURNAME)))
			return true;
	}
	return false;
}

/* A capital begins a word where no letter stands before; characters beyond ASCII may be anything. */
bool person_may_be(const struct features *features, const char *text, size_t start, size_t end) {
	unsigned words = 0;
	bool is_known = false;
	uint64_t before = 0; /* 1: a letter */
	for (size_t at = start; at < end; at += 64) {
		uint64_t others = features_from(features->others, at);
		uint64_t letters = features_from(features->letters, at) | others;
		uint64_t capitals = (features_from(features->uppers, at) | others) & ~(letters << 1 | before);
		if (end - at < 64)
			capitals &= (UINT64_C(1) << (end - at)) - 1;
		before = letters >> 63;
		words += features_bits(capitals);
		if (words < 2 && end - at <= 64)
			break;
		is_known = is_known || has_known(text + at, capitals, letters, others);
	}
	return is_known && words > 1;
}

/* ---- words of a run ---- */

struct word {
	const char *text;
	size_t size;
	unsigned kind;
	bool is_capital, has_comma; /* behind it */
};

/* Where a word stands that no person's name has, all that was before it is of what that is called. */
static size_t take_words(struct table_cell run, struct word ret_words[static WORDS_MOST]) {
	size_t count = 0;
	for (size_t at = 0; at < run.size && count < WORDS_MOST;) {
		size_t size = 0;
		while (at + size < run.size && run.data[at + size] != ' ' && run.data[at + size] != ',')
			size++;
		struct word *word = &ret_words[count++];
		*word = (struct word){.text = run.data + at, .size = size, .kind = 0};
		at += size;
		word->has_comma = at < run.size && run.data[at] == ',';
		while (at < run.size && (run.data[at] == ' ' || run.data[at] == ','))
			at++;
		word->is_capital = !(word->text[0] >= 'a' && word->text[0] <= 'z');
		if (word->is_capital)
			word->kind = names_kind_of(word->text, word->size);
		if (word->kind & NAME_OF_THINGS)
			count = 0;
	}
	return count;
}

/* What everybody knows under a person's name. */
static bool is_known_thing(const struct word *first, const struct word *last) {
	static const char *const things[][2] = {{"jack", "russell"}, {"king", "charles"}, {"morgan", "stanley"},
	        {"philip", "morris"}, {"calvin", "klein"}, {"ralph", "lauren"}, {"hugo", "boss"}, {"ben", "jerry"},
	        {"jim", "beam"}, {"johnnie", "walker"}, {"tim", "hortons"}, {"santa", "maria"}, {"san", "jose"},
	        {"san", "martin"}, {"san", "juan"}, {"saint", "laurent"}, {"saint", "john"}, {"saint", "james"}};
	for (size_t i = 0; i < sizeof things / sizeof *things; i++)
		if (strlen(things[i][0]) == first->size && strlen(things[i][1]) == last->size &&
		        strncasecmp(things[i][0], first->text, first->size) == 0 &&
		        strncasecmp(things[i][1], last->text, last->size) == 0)
			return true;
	return false;
}

static bool are_alike(const struct word *a, const struct word *b) {
	return a->size == b->size && memcmp(a->text, b->text, a->size) == 0;
}

/* Both ways to write it; without a comma the surname comes first only if both have no other meaning. */
static unsigned rate_pair(const struct word *first, const struct word *last, bool has_comma, bool is_two) {
	unsigned a = first->kind, b = last->kind;
	if (are_alike(first, last) || is_known_thing(first, last))
		return 0;
	if (has_comma) {
		bool fits = (a & (NAME_SURNAME | NAME_SURNAME_TOO)) && (b & (NAME_GIVEN | NAME_GIVEN_TOO));
		return fits && ((a & NAME_SURNAME) || (b & NAME_GIVEN)) ? BOTH_KNOWN : 0;
	}
	bool is_given_first = ((a & NAME_GIVEN) && (b & (NAME_SURNAME | NAME_SURNAME_TOO))) ||
	                      ((a & NAME_GIVEN_TOO) && (b & NAME_SURNAME));
	if (is_given_first || ((a & NAME_SURNAME) && (b & NAME_GIVEN)))
		return BOTH_KNOWN;
	bool is_enough = first->size > 1 && last->size > 1; /* a letter alone is no name, as an initial it has a dot */
	return is_two && is_enough && ((a | b) & (NAME_GIVEN | NAME_SURNAME)) ? ONE_KNOWN : 0;
}

/* From one word to another: two to four with capitals, with one comma at most, behind the first. */
static unsigned rate_words(const struct word *words, size_t from, size_t to) {
	size_t capitals = 0;
	for (size_t i = from; i <= to; i++) {
		capitals += words[i].is_capital;
		if (words[i].has_comma && i < to && i > from)
			return 0;
	}
	if (!words[from].is_capital || !words[to].is_capital || capitals < 2 || capitals > NAME_WORDS)
		return 0;
	return rate_pair(&words[from], &words[to], words[from].has_comma, capitals == 2);
}

static struct table_cell text_of(const struct word *first, const struct word *last) {
	return (struct table_cell){.data = first->text, .size = (size_t)(last->text + last->size - first->text)};
}

/* The best, the first of these, the longest of these. */
unsigned person_rate(struct table_cell *match) {
	struct word words[WORDS_MOST];
	size_t count = take_words(*match, words);
	unsigned best = 0;
	for (size_t from = 0; from < count && best < BOTH_KNOWN; from++)
		for (size_t to = from + 1; to < count; to++) {
			unsigned score = rate_words(words, from, to);
			if (score == 0 || score < best ||
			        (score == best && text_of(&words[from], &words[to]).data != match->data))
				continue;
			best = score;
			*match = text_of(&words[from], &words[to]);
		}
	return best;
}

unsigned person_rate_unknown(struct table_cell *match) {
	struct word words[WORDS_MOST];
	size_t count = take_words(*match, words), last = 0, capitals = 0;
	for (size_t i = 0; i < count && capitals < NAME_WORDS; i++)
		if (words[i].is_capital) {
			capitals++;
			last = i;
		}
	if (capitals < 2)
		return 0;
	*match = text_of(&words[0], &words[last]);
	return NONE_KNOWN;
}

/* ---- columns ---- */

bool person_is_thing(const struct table_cell *columns, size_t count, size_t column) {
	if (!words_have_any("=name", columns[column].data, columns[column].size))
		return false;
	for (size_t i = 0; i < count; i++)
		if (words_have_any(
		            "breed species pet animal product sku brand model item", columns[i].data, columns[i].size))
			return true;
	return false;
}
