#include "fs/command/user.h"

#include <errno.h>
#include <pwd.h>
#include <stdint.h>
#include <stdlib.h>

int user_find(const struct invocation *call, const char *text, uid_t *ret_uid) {
	char *end = NULL;
	errno = 0;
	unsigned long uid = strtoul(text, &end, 10);
	if (*text >= '0' && *text <= '9' && *end == '\0' && !errno && uid < UINT32_MAX) {
		*ret_uid = (uid_t)uid;
		return 0;
	}
	const struct passwd *entry = getpwnam(text);
	if (!entry)
		return command_fail(call, EXIT_USAGE, "there is no user '%s'; give a name or a uid", text);
	*ret_uid = entry->pw_uid;
	return 0;
}
