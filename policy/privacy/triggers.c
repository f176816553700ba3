#include "policy/privacy/triggers.h"

#include "crypto/base/array.h"
#include "crypto/base/fault.h"
#include "policy/privacy/words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static unsigned initial_of(const char *word) {
	return (unsigned char)*word & 31;
}

static int add_word(struct triggers *triggers, const char *word, size_t size, unsigned bit) {
	struct trigger *list = array_room(triggers->list, &triggers->room, triggers->count + 1, sizeof *list);
	if (!list)
		return fault(ENOMEM, "no memory to look for personal data");
	triggers->list = list;
	unsigned *first = &triggers->first[initial_of(word)];
	triggers->list[triggers->count++] =
	        (struct trigger){.text = word, .size = size, .bits = UINT64_C(1) << bit, .next = *first};
	*first = (unsigned)triggers->count;
	return 0;
}

int triggers_add(struct triggers *triggers, const char *list, unsigned bit) {
	int rc = 0;
	for (const char *item = list; *item && rc == 0;) {
		size_t length = strcspn(item, " "), at = 0, start = 0;
		size_t size = words_next(item, length, &at, &start);
		rc = size > 0 ? add_word(triggers, item + start, size, bit) : 0;
		item += length + strspn(item + length, " ");
	}
	return rc;
}

uint64_t triggers_in(const struct triggers *triggers, const char *text, size_t size) {
	uint64_t bits = 0;
	size_t at = 0, start = 0, length;
	while ((length = words_next(text, size, &at, &start)) > 0)
		for (unsigned i = triggers->first[initial_of(text + start)]; i > 0; i = triggers->list[i - 1].next) {
			const struct trigger *trigger = &triggers->list[i - 1];
			if (trigger->size == length && strncasecmp(trigger->text, text + start, length) == 0)
				bits |= trigger->bits;
		}
	return bits;
}

void triggers_release(struct triggers *triggers) {
	free(triggers->list);
	*triggers = (struct triggers){0};
}
