#include "fs/compression.h"

#include "backend/segment.h"

void compression_apply(Store *store, const Policy *policy) {
	const struct policy_compression *levels = policy_compression(policy);
	SegmentStore *segments = store_segments(store);
	(void)segment_compress(segments, ZONE_LANDING, (int)levels->landing);
	(void)segment_compress(segments, ZONE_STAGING, (int)levels->landing);
	(void)segment_compress(segments, ZONE_RAW, (int)levels->raw);
	(void)segment_compress(segments, ZONE_TRUSTED, (int)levels->trusted);
}
