/* Any bytes as a worker's list of edits, and the rest as the file: what is taken is read without a fault, and nothing
 * of a place that is redacted is left. */
#include "policy/edit_reader.h"

#include <stdlib.h>
#include <string.h>

enum { LIST_BYTES_MAX = 255 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ssize_t read_bytes(void *context, void *buffer, size_t size) {
	struct bytes *left = context;
	size_t got = left->size < size ? left->size : size;
	if (got > 0)
		memcpy(buffer, left->data, got);
	*left = bytes_of(left->data + got, left->size - got);
	return (ssize_t)got;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static const struct edit_meaning meanings[] = {{.treatment = {.action = PRIVACY_REDACT}, .name = "A"},
	        {.treatment = {.action = PRIVACY_MASK, .keep_first = 1, .keep_last = 2}, .name = "B"},
	        {.treatment = {.action = PRIVACY_HASH}, .name = "C"},
	        {.treatment = {.action = PRIVACY_GENERALISE}, .name = "D"},
	        {.treatment = {.action = PRIVACY_DROP_COLUMN}, .name = "E"}};
	static const struct treat_key key = {.version = 1};
	EditList *list = NULL;
	char out[100];
	if (size == 0 || data[0] >= size)
		return 0;
	struct bytes packed = bytes_of(data + 1, data[0]), file = bytes_of(data + 1 + data[0], size - 1 - data[0]);
	if (edit_list_parse(packed, file.size, sizeof meanings / sizeof *meanings, &list) < 0)
		return 0;
	if (edit_list_packed(list).size != packed.size ||
	        memcmp(edit_list_packed(list).data, packed.data, packed.size) != 0)
		abort();
	struct edit_reader reader = {
	        .from = {.read = read_bytes, .context = &file}, .list = list, .meanings = meanings, .key = &key};
	while (edit_read(&reader, out, 1 + size % sizeof out) > 0)
		;
	edit_reader_release(&reader);
	edit_list_free(list);
	return 0;
}
