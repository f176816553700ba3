/* Access control lists as setxattr(2) brings them: any bytes at all. */
#include "backend/acl.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool in_group(void *arg, uint32_t gid) {
	(void)arg;
	return gid & 1;
}

static bool is_same(const struct acl *one, const struct acl *other) {
	return one->count == other->count &&
	       memcmp(one->entries, other->entries, one->count * sizeof one->entries[0]) == 0;
}

/* What was parsed is parsed again from its own bytes, and no operation makes it invalid. */
static void check_round(const struct acl *acl) {
	static struct acl again;
	uint8_t value[ACL_BYTES_MAX];
	size_t length = acl_serialise(acl, value);
	if (length > sizeof value || acl_parse(bytes_of(value, length), &again) != 0 || !is_same(acl, &again))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static struct acl acl;
	if (acl_parse(bytes_of(data, size), &acl) != 0)
		return 0;
	check_round(&acl);
	uint32_t mode, inherited = data[size - 1] * 2u;
	bool is_minimal = acl_to_mode(&acl, &mode);
	if (acl_narrowest_mode(&acl) & ~0777u || (is_minimal && acl_narrowest_mode(&acl) != mode))
		abort();
	bool all = acl_allows_everybody(&acl, mode, 1);
	for (uint32_t uid = 0; uid < 4; uid++)
		if (!acl_allows(&acl, mode, uid, uid, in_group, NULL, 1) && all)
			abort();
	if (acl_inherit(&acl, &inherited) == is_minimal || inherited & ~mode & 0777)
		abort();
	acl_apply_mode(&acl, data[0]);
	check_round(&acl);
	return 0;
}
