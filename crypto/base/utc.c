#include "crypto/base/utc.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#define NS_PER_SECOND INT64_C(1000000000)

static const char *write_time(int64_t time_ns, bool is_stamp, char *text) {
	/* Downwards, also before 1970. */
	time_t seconds = (time_t)(time_ns / NS_PER_SECOND - (time_ns % NS_PER_SECOND < 0));
	struct tm parts;
	if (!gmtime_r(&seconds, &parts) ||
	        strftime(text, UTC_TEXT_BYTES, is_stamp ? "%Y-%m-%dT%H:%M:%SZ" : "%Y-%m-%d %H:%M:%S UTC", &parts) == 0)
		(void)snprintf(text, UTC_TEXT_BYTES, "@%" PRId64, (int64_t)seconds);
	return text;
}

const char *utc_stamp(int64_t time_ns, char ret_text[static UTC_TEXT_BYTES]) {
	return write_time(time_ns, true, ret_text);
}

const char *utc_words(int64_t time_ns, char ret_text[static UTC_TEXT_BYTES]) {
	return write_time(time_ns, false, ret_text);
}
