/*
 * fuzz_input: what a fuzzer says, byte by byte; zeros when it says no more.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct input {
	const uint8_t *data;
	size_t size;
};

static inline uint8_t take(struct input *input) {
	if (input->size == 0)
		return 0;
	input->size--;
	return *input->data++;
}
