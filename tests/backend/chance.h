/*
 * chance: what a random test draws, from a seed that it prints, so that a failure can be had again.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* ASSAYFS_TEST_SEED, or else the time; printed. */
static inline uint64_t chance_seed(void) {
	const char *given = getenv("ASSAYFS_TEST_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
	printf("seed %lu\n", (unsigned long)seed);
	return seed;
}

/* The number in the environment's `variable`, or else `otherwise`. */
static inline size_t chance_count(const char *variable, size_t otherwise) {
	const char *given = getenv(variable);
	return given ? strtoul(given, NULL, 10) : otherwise;
}

/* The next number below `below`: Knuth's MMIX generator (TAOCP vol. 2, 3.3.4), its high bits. */
static inline uint64_t chance_draw(uint64_t *random, uint64_t below) {
	*random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (*random >> 33) % below;
}
