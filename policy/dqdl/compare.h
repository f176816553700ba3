/* compare: a number held against what a condition's operands came to. Inline, as predicates ask it for every cell. */
#pragma once

#include "policy/dqdl/dqdl.h"

/* Without the condition's negation. `operands` are `count` numbers in the condition's order, but never fewer than one,
 * and two of DQDL_BETWEEN. Equality is that of doubles: NaN equals nothing. */
static inline bool dqdl_compare(enum dqdl_operator op, const double *operands, size_t count, double value) {
	bool found = false;
	switch (op) {
	case DQDL_BETWEEN:
		return value > operands[0] && value < operands[1];
	case DQDL_GREATER:
		return value > operands[0];
	case DQDL_GREATER_EQUAL:
		return value >= operands[0];
	case DQDL_LESS:
		return value < operands[0];
	case DQDL_LESS_EQUAL:
		return value <= operands[0];
	case DQDL_EQUAL:
	case DQDL_IN:
	case DQDL_MATCHES:
	default:
		for (size_t i = 0; i < count; i++)
			found |= value == operands[i];
		return found;
	}
}

/* How far a number that does not conform is from one that does: from the nearest of the operands, each of which bounds
 * what conforms or is all that does. NaN is infinitely far. */
static inline double dqdl_distance(const double *operands, size_t count, double value) {
	double distance = __builtin_inf();
	for (size_t i = 0; i < count; i++) {
		double away = value < operands[i] ? operands[i] - value : value - operands[i];
		distance = away < distance ? away : distance;
	}
	return distance;
}
