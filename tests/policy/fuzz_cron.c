/* A schedule, a newline, and a zone's name: any bytes. */
#include "policy/cron.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	_cleanup_(time_zone_freep) TimeZone *zone = NULL;
	_cleanup_(freep) char *text = malloc(size + 1);
	struct cron cron;
	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	char *name = strchr(text, '\n');
	if (name)
		*name++ = '\0';
	if (cron_parse(text, &cron) < 0 || time_zone_open(name && *name ? name : "UTC", &zone) < 0)
		return 0;
	int64_t at = INT64_C(1764374400) + (int64_t)size;
	for (int i = 0; i < 4; i++) {
		int64_t next;
		/* What is accepted is due some day, later each time. */
		if (cron_next(&cron, zone, at, &next) < 0 || next <= at)
			abort();
		at = next;
	}
	return 0;
}
