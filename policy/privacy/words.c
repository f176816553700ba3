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

/* The next word from *at on, behind which *at is then; of no size: there is none. */
static struct word next_word(const char *text, size_t size, size_t *at) {
	while (*at < size && !is_part(text[*at]))
		++*at;
	size_t from = *at;
	while (*at < size && is_part(text[*at]) &&
	        !(*at > from && isupper((unsigned char)text[*at]) && islower((unsigned char)text[*at - 1])))
		++*at;
	return (struct word){.text = text + from, .size = *at - from};
}

static bool is_listed(const char *list, struct word word) {
	for (const char *at = list; at && *at;) {
		size_t length = strcspn(at, " ");
		if (length == word.size && strncasecmp(at, word.text, length) == 0)
			return true;
		at += length + strspn(at + length, " ");
	}
	return false;
}

bool words_have_any(const char *list, const char *text, size_t size) {
	size_t at = 0;
	for (struct word word = next_word(text, size, &at); word.size > 0; word = next_word(text, size, &at))
		if (is_listed(list, word))
			return true;
	return false;
}

static bool begins_with(const char *phrase, const char *text, size_t size, size_t at) {
	size_t length = strlen(phrase), of_phrase = 0;
	for (;;) {
		struct word wanted = next_word(phrase, length, &of_phrase);
		if (wanted.size == 0)
			return true;
		struct word word = next_word(text, size, &at);
		if (word.size != wanted.size || strncasecmp(word.text, wanted.text, word.size) != 0)
			return false;
	}
}

bool words_have_phrase(const char *phrase, const char *text, size_t size) {
	for (size_t at = 0; at < size; (void)next_word(text, size, &at))
		if (begins_with(phrase, text, size, at))
			return true;
	return false;
}

bool words_are_there(const char *text, size_t size) {
	size_t at = 0;
	return next_word(text, size, &at).size > 0;
}

bool words_go_on(const char *text, size_t at) {
	return at > 0 && is_part(text[at - 1]) && is_part(text[at]);
}
