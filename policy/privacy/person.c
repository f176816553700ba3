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
	NAME_WORDS = 4,
	LONGEST_JOINT = 16, /* bytes: a comma, particles, blanks */
	BEFORE_NAME = 40,   /* bytes of a string of JSON */
	OBJECT_SIDE = 256   /* bytes of an object, before a name and behind */
};

static bool is_particle(const char *word, size_t size) {
	return (size == 1 && (*word == 'e' || *word == 'y')) || (names_kind(word, size) & NAME_PARTICLE);
}

/* ---- the first look ---- */

/* A word among ASCII's letters, up to 64 bytes of it. */
struct reach {
	size_t start, size;
	bool is_odd; /* other characters are in it, or a hyphen or apostrophe beside it makes it a part of one */
};

static bool is_hyphen(char c) {
	return c == '-' || c == '\'';
}

static struct reach reach_from(const struct features *features, const char *text, size_t start) {
	uint64_t others = features_from(features->others, start);
	uint64_t rest = ~(features_from(features->letters, start) | others);
	size_t size = rest ? (size_t)__builtin_ctzll(rest) : 64;
	bool is_odd = size > NAMES_SIZE_MOST || (others & ((UINT64_C(1) << size % 64) - 1));
	return (struct reach){.start = start, .size = size, .is_odd = is_odd || is_hyphen(text[start + size])};
}

/* At the text's beginning everything is odd. */
static struct reach reach_back(const struct features *features, const char *text, size_t end) {
	if (end < 64)
		return (struct reach){.is_odd = true};
	uint64_t others = features_from(features->others, end - 64);
	uint64_t rest = ~(features_from(features->letters, end - 64) | others);
	size_t size = rest ? (size_t)__builtin_clzll(rest) : 64;
	bool is_odd = size == 0 || size > NAMES_SIZE_MOST || (others && others >> (64 - size));
	return (struct reach){.start = end - size, .size = size, .is_odd = is_odd || is_hyphen(text[end - size - 1])};
}

/* The word that a capital begins, and the one before it. */
static bool is_hint(const struct features *features, const char *text, size_t capital) {
	struct reach word = reach_from(features, text, capital);
	if (word.is_odd || names_tell(text + capital, word.size))
		return true;
	size_t end = capital - 1;
	word = reach_back(features, text, end - (text[end - 1] == '.' || text[end - 1] == ','));
	return word.is_odd || names_tell(text + word.start, word.size) || text[word.start] == 'e' ||
	       text[word.start] == 'y';
}

int person_hint(const struct features *features, const char *text, size_t size, struct hints *hints, unsigned id) {
	for (size_t i = 0; i * 64 < size; i++)
		for (uint64_t pairs = features->pairs[i]; pairs; pairs &= pairs - 1) {
			size_t capital = i * 64 + (unsigned)__builtin_ctzll(pairs);
			if (capital >= size || !is_hint(features, text, capital))
				continue;
			int rc = hints_add(hints, id, capital + 1);
			if (rc < 0)
				return rc;
		}
	return 0;
}

/* ---- PERSON_RUN, without an engine ---- */

static bool is_upper(char c) {
	return c >= 'A' && c <= 'Z';
}

static bool is_letter(char c) {
	return is_upper((char)(c & ~0x20));
}

static bool is_letter_at(struct table_cell cell, size_t at) {
	return at < cell.size && is_letter(cell.data[at]);
}

static bool is_other(struct table_cell cell, size_t at) {
	return at < cell.size && (unsigned char)cell.data[at] >= 0x80;
}

/* Of what neither may stand before a run nor behind it. */
static bool is_of_word(char c) {
	return is_letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '@';
}

static bool may_begin(struct table_cell cell, size_t at) {
	if (!is_upper(cell.data[at]) || at == 0)
		return is_upper(cell.data[at]);
	char before = cell.data[at - 1];
	return !is_of_word(before) && before != '.' && before != '-' &&
	       !(before == '\'' && at > 1 && is_letter(cell.data[at - 2]));
}

/* Behind the word that a capital begins. */
static size_t word_end(struct table_cell cell, size_t at) {
	if (at + 1 < cell.size && cell.data[at + 1] == '.')
		return at + 2;
	for (at++; is_letter_at(cell, at) || (at < cell.size && is_hyphen(cell.data[at]) && is_letter_at(cell, at + 1));
	        at++)
		;
	return at;
}

/* A blank, perhaps behind a comma, perhaps particles, and a word. */
static bool take_word(struct table_cell cell, size_t *at) {
	size_t to = *at + (*at < cell.size && cell.data[*at] == ',');
	if (to >= cell.size || cell.data[to++] != ' ')
		return false;
	for (unsigned i = 0; i < 2; i++) {
		size_t end = to;
		while (is_letter_at(cell, end) && !is_upper(cell.data[end]))
			end++;
		if (end == to || end == cell.size || cell.data[end] != ' ' || !is_particle(cell.data + to, end - to))
			break;
		to = end + 1;
	}
	if (to >= cell.size || !is_upper(cell.data[to]))
		return false;
	*at = word_end(cell, to);
	return true;
}

/* Behind the longest run from a place on; 0: none begins there. */
static size_t run_end(struct table_cell cell, size_t at) {
	size_t longest = 0;
	at = word_end(cell, at);
	for (unsigned i = 0; i < 7 && take_word(cell, &at); i++) {
		if (at == cell.size || !is_of_word(cell.data[at]))
			longest = at;
		else if (cell.data[at - 1] == '.')
			longest = at - 1;
	}
	return longest;
}

int person_find(struct table_cell cell, size_t from, size_t *ret_start, size_t *ret_end) {
	if (from > 0 && is_other(cell, from - 1))
		return -1;
	for (size_t at = from; at < cell.size; at++) {
		if (is_other(cell, at))
			return -1;
		size_t end = may_begin(cell, at) ? run_end(cell, at) : 0;
		if (end == 0)
			continue;
		*ret_start = at;
		*ret_end = end;
		for (size_t i = end; i < end + LONGEST_JOINT; i++)
			if (is_other(cell, i)) /* the run may go on with it */
				return -1;
		return 1;
	}
	return 0;
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

/* ---- JSON ---- */

/* Back over blanks and one such character; false: another stands there. */
static bool step_back(struct table_cell cell, size_t *at, char wanted) {
	while (*at > 0 && (cell.data[*at - 1] == ' ' || cell.data[*at - 1] == '\t'))
		--*at;
	bool is_there = *at > 0 && cell.data[*at - 1] == wanted;
	*at -= is_there;
	return is_there;
}

/* Back to behind one of such characters, or so far as is looked. */
static size_t back_to(struct table_cell cell, size_t at, const char *stops, size_t most) {
	size_t least = at > most ? at - most : 0;
	while (at > least && !(cell.data[at - 1] && strchr(stops, cell.data[at - 1])))
		at--;
	return at;
}

/* The key before the string in which a place lies; of no size: there is none. */
static struct table_cell key_before(struct table_cell cell, size_t place) {
	struct table_cell none = {.data = cell.data, .size = 0};
	size_t at = back_to(cell, place, "\"", BEFORE_NAME);
	if (!step_back(cell, &at, '"') || !step_back(cell, &at, ':') || !step_back(cell, &at, '"'))
		return none;
	size_t from = back_to(cell, at, "\"", BEFORE_NAME);
	return (struct table_cell){.data = cell.data + from, .size = at - from};
}

bool person_is_keyed(struct table_cell cell, size_t start, size_t end) {
	struct table_cell key = key_before(cell, start);
	if (key.size != 4 || strncasecmp(key.data, "name", 4) != 0)
		return false;
	size_t from = back_to(cell, start, "{", OBJECT_SIDE), to = end;
	from = back_to(cell, from > 0 ? from - 1 : 0, "{},", BEFORE_NAME); /* the object's own key */
	while (to < cell.size && to - end < OBJECT_SIDE && cell.data[to] != '}')
		to++;
	return !words_have_any(PERSON_THINGS, cell.data + from, to - from);
}

/* ---- columns ---- */

bool person_is_thing(const struct table_cell *columns, size_t count, size_t column) {
	if (!words_have_any("=name", columns[column].data, columns[column].size))
		return false;
	for (size_t i = 0; i < count; i++)
		if (words_have_any(PERSON_THINGS, columns[i].data, columns[i].size))
			return true;
	return false;
}
