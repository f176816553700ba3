/* Feeds the reading of VAULT/origin. What is taken is written and read again as the same. */
#include "backend/backup/origin.h"
#include "backend/objects/objects.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_printable(const char *text, size_t room) {
	size_t length = strnlen(text, room);
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	return length < room;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	struct vault_origin origin;
	memset(&origin, 0xff, sizeof origin);
	if (origin_parse(bytes_of(data, size), &origin) < 0)
		return 0;
	if (!is_printable(origin.url, sizeof origin.url) || !is_printable(origin.endpoint, sizeof origin.endpoint) ||
	        !is_printable(origin.region, sizeof origin.region) || origin.time_ns < 0 ||
	        objects_check_url(origin.url) < 0)
		abort();
	return 0;
}
