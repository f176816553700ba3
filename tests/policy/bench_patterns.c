/* The detectors' expressions as one, for programs that find lines: what scripts/bench scan gives to grep and ripgrep.
 */
#include "policy/privacy/detector.h"

#include <stdio.h>

int main(void) {
	const char *before = "(?|"; /* each counts its references from 1 */
	for (const struct detector *detector = detectors; detector->entity; detector++) {
		if (detector->closer && detector->closer->by_column)
			continue; /* of columns of names alone */
		printf("%s(?:%s)", before, detector->pattern);
		before = "|";
	}
	puts(")");
	return 0;
}
