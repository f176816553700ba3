/* chance: numbers without a pattern, the same in each run. */
#pragma once

#include <stdint.h>

/* One below a number. */
static inline unsigned draw(unsigned below) {
	static uint64_t chance = 88172645463325252u;
	chance ^= chance << 13;
	chance ^= chance >> 7;
	chance ^= chance << 17;
	return (unsigned)(chance >> 20) % below;
}
