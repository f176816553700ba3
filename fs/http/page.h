/* page: the files of fs/http/page/, as the build put them into the program (scripts/embed). They hold no data of a
 * vault. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct page_file {
	const char *path; /* of the request; NULL ends the list */
	const char *type, *etag;
	const uint8_t *plain;
	size_t plain_size;
	const uint8_t *packed; /* by gzip */
	size_t packed_size;
};

extern const struct page_file page_files[];
