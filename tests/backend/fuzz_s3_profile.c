/* Feeds a profile file, of either spelling. */
#include "backend/objects/s3_profile.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	char value[16];
	for (int config = 0; config < 2; config++) {
		struct bytes file = bytes_of(data, size);
		bool is_there = s3_profile_value(file, "work", config, "region", value, sizeof value);
		if (is_there && (value[0] == '\0' || !s3_profile_is_there(file, "work", config)))
			abort();
	}
	return 0;
}
