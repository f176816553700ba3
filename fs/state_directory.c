#include "fs/state_directory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/base/fault.h"

/* Only absolute paths count (XDG Base Directory Specification). */
static const char *directory_of(const char *variable) {
	const char *value = getenv(variable);
	return value && value[0] == '/' ? value : NULL;
}

int state_directory(uid_t uid, char *ret_path, size_t size) {
	const char *given = directory_of("STATE_DIRECTORY"), *state = directory_of("XDG_STATE_HOME");
	const char *home = directory_of("HOME");
	int length;
	if (given)
		length = snprintf(ret_path, size, "%.*s", (int)strcspn(given, ":"), given);
	else if (uid == 0)
		length = snprintf(ret_path, size, "/var/lib/assayfs");
	else if (state)
		length = snprintf(ret_path, size, "%s/assayfs", state);
	else if (home)
		length = snprintf(ret_path, size, "%s/.local/state/assayfs", home);
	else
		return fault(ENOENT, "no directory for the state of vaults: set XDG_STATE_HOME, or give --state-dir");
	return length < 0 || (size_t)length >= size ? fault(ENAMETOOLONG, "the directory for the state of vaults") : 0;
}
