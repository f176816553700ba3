#include "fs/command/user.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* A uid or gid that was typed as a number; the last there could be is nobody's. */
static bool read_id(const char *text, uint32_t *ret_id) {
	char *end = NULL;
	errno = 0;
	unsigned long id = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end != '\0' || errno || id >= UINT32_MAX)
		return false;
	*ret_id = (uint32_t)id;
	return true;
}

int user_find(const struct invocation *call, const char *text, uid_t *ret_uid) {
	if (read_id(text, ret_uid))
		return 0;
	const struct passwd *entry = getpwnam(text);
	if (!entry)
		return command_fail(call, EXIT_USAGE, "there is no user '%s'; give a name or a uid", text);
	*ret_uid = entry->pw_uid;
	return 0;
}

int user_find_group(const struct invocation *call, const char *text, gid_t *ret_gid) {
	if (read_id(text, ret_gid))
		return 0;
	const struct group *entry = getgrnam(text);
	if (!entry)
		return command_fail(call, EXIT_USAGE, "there is no group '%s'; give a name or a gid", text);
	*ret_gid = entry->gr_gid;
	return 0;
}
