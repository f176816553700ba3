#include "fs/ship_place.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/base/cleanup.h"
#include "crypto/base/fault.h"
#include "fs/mountinfo.h"

static bool is_mounted_vault(const char *path) {
	_cleanup_(freep) struct mountinfo *mount = calloc(1, sizeof *mount);
	return mount && path[0] == '/' && mountinfo_find(path, mount) == 0 && strcmp(mount->type, MOUNTINFO_TYPE) == 0;
}

/* Whether it, or a directory above it, holds a vault. */
static bool is_in_vault(const char *real) {
	char path[PATH_MAX + 16];
	size_t length = strlen(real);
	while (length > 0) {
		(void)snprintf(path, sizeof path, "%.*s/vault.json", (int)length, real);
		if (access(path, F_OK) == 0)
			return true;
		while (length > 0 && real[--length] != '/')
			;
	}
	return false;
}

static int refuse(const char *directory) {
	return fault(EINVAL,
	        "%.200s lies in a vault: what is shipped there would go with the vault; choose a directory outside",
	        directory);
}

int ship_place_check(const char *directory) {
	char real[PATH_MAX];
	if (is_mounted_vault(directory)) /* before anything there is asked for */
		return refuse(directory);
	if (!realpath(directory, real))
		return fault_errno(errno, "finding %.200s", directory);
	return is_mounted_vault(real) || is_in_vault(real) ? refuse(directory) : 0;
}
