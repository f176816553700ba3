#include "policy/safe_text.h"

#include "policy/table/utf8.h"

#include <stdbool.h>
#include <string.h>

void safe_text_put(FILE *to, const char *text) {
	for (size_t size = strlen(text); size > 0;) {
		unsigned char c = (unsigned char)*text;
		size_t valid = c < 0x80 ? 1 : 0;
		for (size_t length = 2; valid == 0 && length <= 4 && length <= size; length++)
			if (utf8_valid_prefix(text, length) == length)
				valid = length;
		bool is_c1 = valid == 2 && c == 0xc2 && (unsigned char)text[1] < 0xa0;
		if (valid == 0 || is_c1 || c < ' ' || c == 0x7f) {
			fprintf(to, "\\x%02x", c);
			valid = 1;
		} else {
			fwrite(text, 1, valid, to);
		}
		text += valid;
		size -= valid;
	}
}
