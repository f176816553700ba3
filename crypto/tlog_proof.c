#include "crypto/tlog_proof.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/base/cleanup.h"
#include "crypto/base/fault.h"

#define FIRST_LINE "c2sp.org/tlog-proof@v1"
#define EXTRA "extra "
#define INDEX "index "

void tlog_proof_write(FILE *to, struct bytes entry, uint64_t index, const struct merkle_proof *path, const char *note) {
	char hash[BASE64_TEXT_BYTES(MERKLE_HASH_BYTES)];
	_cleanup_(freep) char *extra = malloc(BASE64_TEXT_BYTES(entry.size));
	fputs(FIRST_LINE "\n", to);
	if (extra) {
		base64_encode(entry, extra);
		fprintf(to, EXTRA "%s\n", extra);
	}
	fprintf(to, INDEX "%" PRIu64 "\n", index);
	for (size_t i = 0; i < path->count; i++) {
		base64_encode(bytes_of(path->hash[i], MERKLE_HASH_BYTES), hash);
		fprintf(to, "%s\n", hash);
	}
	fprintf(to, "\n%s", note);
}

/* ---- reading ---- */

static bool read_index(struct bytes line, uint64_t *ret) {
	char text[24], again[24];
	size_t length = line.size - (sizeof INDEX - 1);
	if (length == 0 || length >= sizeof text)
		return false;
	memcpy(text, line.data + sizeof INDEX - 1, length);
	text[length] = '\0';
	*ret = strtoull(text, NULL, 10);
	snprintf(again, sizeof again, "%" PRIu64, *ret);
	return strcmp(again, text) == 0;
}

static bool read_hash(struct bytes line, merkle_hash ret) {
	char text[BASE64_TEXT_BYTES(MERKLE_HASH_BYTES)];
	size_t size;
	if (line.size != sizeof text - 1)
		return false;
	memcpy(text, line.data, line.size);
	text[line.size] = '\0';
	return base64_decode(text, MERKLE_HASH_BYTES, ret, &size) == 0 && size == MERKLE_HASH_BYTES;
}

static int malformed(const char *why) {
	return fault(EINVAL, "this is no proof of a log (" FIRST_LINE "): %s", why);
}

int tlog_proof_parse(struct bytes text, struct tlog_proof *ret) {
	struct bytes line;
	*ret = (struct tlog_proof){0};
	if (!bytes_take_line(&text, &line) || line.size != sizeof FIRST_LINE - 1 || !bytes_begin_with(line, FIRST_LINE))
		return malformed("its first line is another");
	bool has_line = bytes_take_line(&text, &line);
	if (has_line && bytes_begin_with(line, EXTRA)) {
		ret->extra = bytes_of(line.data + sizeof EXTRA - 1, line.size - (sizeof EXTRA - 1));
		has_line = bytes_take_line(&text, &line);
	}
	if (!has_line || !bytes_begin_with(line, INDEX) || !read_index(line, &ret->index))
		return malformed("it does not say which entry, as 'index N'");
	while ((has_line = bytes_take_line(&text, &line)) && line.size > 0) {
		if (ret->path.count == MERKLE_LEVELS || !read_hash(line, ret->path.hash[ret->path.count++]))
			return malformed("a line of it is no hash, or there are too many");
	}
	if (!has_line)
		return malformed("it has no checkpoint");
	ret->note = text;
	return 0;
}

int tlog_proof_entry(const struct tlog_proof *proof, uint8_t *ret_entry, size_t capacity, size_t *ret_size) {
	if (proof->extra.size == 0)
		return -ENODATA;
	_cleanup_(freep) char *text = strndup((const char *)proof->extra.data, proof->extra.size);
	if (!text)
		return fault(ENOMEM, "reading a proof");
	int rc = base64_decode(text, capacity, ret_entry, ret_size);
	return rc < 0 ? malformed("the entry in it is no base64, or too long") : 0;
}

int tlog_proof_verify(const struct tlog_proof *proof, struct bytes entry, const struct note_key *key,
        struct checkpoint *ret_checkpoint) {
	merkle_hash leaf;
	int rc = checkpoint_open(proof->note, key, ret_checkpoint);
	if (rc < 0)
		return fault_while(rc, "the checkpoint");
	merkle_leaf(entry, leaf);
	rc = merkle_inclusion_verify(proof->index, ret_checkpoint->size, leaf, &proof->path, ret_checkpoint->root);
	return rc < 0 ? fault(EBADMSG, "this entry is not number %" PRIu64 " of the log of %" PRIu64 " that was signed",
	                        proof->index, ret_checkpoint->size)
	              : 0;
}
