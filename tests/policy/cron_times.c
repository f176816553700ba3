/* For tests: when a schedule is due. Arguments: ZONE AFTER COUNT; a schedule a line on standard input. Prints the times
 * of each in one line; "never" where there is none. */
#include "policy/cron.h"

#include "crypto/base/fault.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
	_cleanup_(time_zone_freep) TimeZone *zone = NULL;
	char line[256];
	if (argc != 4 || time_zone_open(argv[1], &zone) < 0) {
		(void)fprintf(stderr, "cron_times: ZONE AFTER COUNT: %s\n", fault_message());
		return 2;
	}
	while (fgets(line, sizeof line, stdin)) {
		struct cron cron;
		line[strcspn(line, "\n")] = '\0';
		int64_t at = strtoll(argv[2], NULL, 10);
		if (cron_parse(line, &cron) < 0) {
			(void)printf("error %s\n", fault_message());
			continue;
		}
		for (int i = atoi(argv[3]); i > 0; i--) {
			if (cron_next(&cron, zone, at, &at) < 0) {
				(void)printf("never");
				break;
			}
			(void)printf("%" PRId64 " ", at);
		}
		(void)printf("\n");
	}
	return 0;
}
