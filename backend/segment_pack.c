#include "backend/segment_pack.h"

#include "crypto/base/fault.h"
#include "crypto/secret.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

struct SegmentPacker {
	ZSTD_CCtx *pack; /* made when one is needed */
	ZSTD_DCtx *unpack;
	uint8_t bytes[BLOCK_BYTES + BLOCK_TAG_BYTES];
};

int segment_packer_new(SegmentPacker **ret) {
	SegmentPacker *packer = calloc(1, sizeof *packer);
	if (!packer)
		return fault(ENOMEM, "no memory to compress blocks");
	*ret = packer;
	return 0;
}

void segment_packer_free(SegmentPacker *packer) {
	if (!packer)
		return;
	(void)ZSTD_freeCCtx(packer->pack);
	(void)ZSTD_freeDCtx(packer->unpack);
	secret_wipe(packer->bytes, sizeof packer->bytes);
	free(packer);
}

uint8_t *segment_packer_bytes(SegmentPacker *packer) {
	return packer->bytes;
}

uint8_t segment_pack(SegmentPacker *packer, int level, struct bytes plain, uint8_t *out) {
	/* No longer than that pays: zstd gives up where it does not fit. */
	const size_t most = plain.size / 16 * 15 / BLOCK_UNIT_BYTES * BLOCK_UNIT_BYTES;
	if (!packer->pack)
		packer->pack = ZSTD_createCCtx();
	if (!packer->pack || most == 0)
		return 0;
	const size_t size = ZSTD_compressCCtx(packer->pack, out, most, plain.data, plain.size, level);
	if (ZSTD_isError(size))
		return 0;
	const size_t units = (size + BLOCK_UNIT_BYTES - 1) / BLOCK_UNIT_BYTES;
	memset(out + size, 0, units * BLOCK_UNIT_BYTES - size);
	return (uint8_t)units;
}

int segment_unpack(SegmentPacker *packer, struct bytes packed, size_t plain, uint8_t *out) {
	if (!packer->unpack)
		packer->unpack = ZSTD_createDCtx();
	if (!packer->unpack)
		return fault(ENOMEM, "no memory to decompress a block");
	const size_t frame = ZSTD_findFrameCompressedSize(packed.data, packed.size);
	const size_t size =
	        ZSTD_isError(frame) ? frame : ZSTD_decompressDCtx(packer->unpack, out, plain, packed.data, frame);
	if (!ZSTD_isError(size) && size == plain)
		return 0;
	memset(out, 0, plain);
	return fault(EBADMSG, "a compressed block that does not give %zu bytes", plain);
}
