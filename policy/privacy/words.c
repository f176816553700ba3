#include "policy/privacy/words.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

struct word {
	const char *text;
	size_t size;
};

static bool is_part(char c) {
	return isalnum((unsigned char)c) || c == '\'' || (unsigned char)c >= 0x80;
}

/* Does a word begin within letters, as in customerPhone? */
static bool is_hump(const char *text, size_t at) {
	return isupper((unsigned char)text[at]) && islower((unsigned char)text[at - 1]);
}

/* The next word from *at on, behind which *at is then; of no size: there is none. */
static struct word next_word(const char *text, size_t size, size_t *at) {
	while (*at < size && !is_part(text[*at]))
		++*at;
	size_t from = *at;
	while (*at < size && is_part(text[*at]) && !(*at > from && is_hump(text, *at)))
		++*at;
	return (struct word){.text = text + from, .size = *at - from};
}

size_t words_next(const char *text, size_t size, size_t *at, size_t *ret_start) {
	struct word word = next_word(text, size, at);
	*ret_start = (size_t)(word.text - text);
	return word.size;
}

/* Do a phrase's words stand in the text from a byte on? Then *at is behind them. */
static bool takes_phrase(const char *phrase, size_t length, const char *text, size_t size, size_t *at) {
	size_t of_phrase = 0, from = *at;
	for (;;) {
		struct word wanted = next_word(phrase, length, &of_phrase);
		if (wanted.size == 0)
			return true;
		struct word word = next_word(text, size, at);
		if (word.size == wanted.size && strncasecmp(word.text, wanted.text, word.size) == 0)
			continue;
		*at = from;
		return false;
	}
}

/* Most words of a list begin with another letter. */
static bool may_begin(const char *phrase, char c) {
	return ((*phrase ^ c) & ~0x20) == 0;
}

static bool takes_any(const char *list, const char *text, size_t size, size_t at) {
	while (at < size && !is_part(text[at]))
		at++;
	for (const char *item = list; at < size && *item;) {
		size_t length = strcspn(item, " "), to = at;
		bool is_whole = *item == '=';
		if (may_begin(item + is_whole, text[at]) && takes_phrase(item, length, text, size, &to) &&
		        (!is_whole || !words_are_there(text + to, size - to)))
			return true;
		item += length + strspn(item + length, " ");
	}
	return false;
}

bool words_have_any(const char *list, const char *text, size_t size) {
	for (size_t at = 0; list && at < size; (void)next_word(text, size, &at))
		if (takes_any(list, text, size, at))
			return true;
	return false;
}

bool words_have_phrase(const char *phrase, const char *text, size_t size) {
	for (size_t at = 0; at < size; (void)next_word(text, size, &at)) {
		size_t to = at;
		if (takes_phrase(phrase, strlen(phrase), text, size, &to))
			return true;
	}
	return false;
}

bool words_are_there(const char *text, size_t size) {
	size_t at = 0;
	return next_word(text, size, &at).size > 0;
}

bool words_go_on(const char *text, size_t at) {
	return at > 0 && is_part(text[at - 1]) && is_part(text[at]) && !is_hump(text, at);
}
