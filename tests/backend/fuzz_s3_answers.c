/* Feeds an answer of a server that nobody vouches for to all that reads one. */
#include "backend/objects/s3_answers.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct bytes answer = bytes_of(data, size);
	struct s3_error error;
	struct s3_page page = {0};
	char text[64];
	if (s3_error_parse(answer, &error) == 0)
		for (const char *c = error.message; *c; c++)
			if (*c < ' ' || *c > '~')
				abort();
	if (s3_page_parse(answer, &page) == 0) {
		for (size_t i = 0; i < page.count; i++)
			if (!page.entries[i].key || !page.entries[i].version)
				abort();
		if (page.is_truncated && !page.next)
			abort();
		s3_page_clear(&page);
	}
	(void)s3_text_parse(answer, "Retention/RetainUntilDate", text, sizeof text);
	return 0;
}
