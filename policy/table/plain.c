#include "policy/table/plain.h"

int plain_open(struct plain *plain, struct table_source file, const struct unpack_limits *limits) {
	static const struct unpack_limits defaults = {0};
	int rc = peek_fill(&plain->file, file);
	if (rc < 0)
		return rc;
	plain->packing = packing_of(peek_head(&plain->file));
	if (plain->packing == PACKING_NONE)
		return 0;
	struct table_source packed = peek_source(&plain->file);
	rc = unpacker_new(plain->packing, &packed, limits ? limits : &defaults, &plain->unpacker);
	return rc < 0 ? rc : peek_fill(&plain->text, unpacker_source(plain->unpacker));
}

void plain_release(struct plain *plain) {
	peek_release(&plain->text);
	unpacker_free(plain->unpacker);
	peek_release(&plain->file);
	*plain = (struct plain){0};
}

struct peek *plain_peek(struct plain *plain) {
	return plain->packing == PACKING_NONE ? &plain->file : &plain->text;
}

const char *plain_aside(const struct plain *plain, const char *name) {
	return plain->unpacker ? unpacker_aside(plain->unpacker, name) : "";
}
