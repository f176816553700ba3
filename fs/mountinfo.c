#include "fs/mountinfo.h"

#include "crypto/base/cleanup.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The kernel writes blank, tab, newline and backslash as \ooo. */
static void unescape(const char *from, size_t length, char *to, size_t room) {
	size_t used = 0;
	for (size_t i = 0; i < length && used + 1 < room; i++) {
		bool is_escape = from[i] == '\\' && i + 3 < length && from[i + 1] >= '0' && from[i + 1] <= '3' &&
		                 from[i + 2] >= '0' && from[i + 2] <= '7' && from[i + 3] >= '0' && from[i + 3] <= '7';
		if (is_escape) {
			to[used++] = (char)((from[i + 1] - '0') << 6 | (from[i + 2] - '0') << 3 | (from[i + 3] - '0'));
			i += 3;
		} else {
			to[used++] = from[i];
		}
	}
	to[used] = '\0';
}

/* The next field of a line, "" at its end. */
static const char *next_field(const char **at, size_t *ret_length) {
	const char *start = *at + strspn(*at, " ");
	*ret_length = strcspn(start, " \n");
	*at = start + *ret_length;
	return start;
}

/* 36 35 98:0 /root /mountpoint options optional… - type source superoptions */
static bool parse_line(const char *line, struct mountinfo *ret_mount) {
	size_t length;
	const char *at = line;
	if (sscanf(line, "%*u %*u %u:%u", &ret_mount->major, &ret_mount->minor) != 2)
		return false;
	for (int i = 0; i < 4; i++)
		(void)next_field(&at, &length);
	const char *field = next_field(&at, &length);
	unescape(field, length, ret_mount->mountpoint, sizeof ret_mount->mountpoint);
	do
		field = next_field(&at, &length);
	while (length && !(length == 1 && *field == '-'));
	if (length == 0)
		return false;
	field = next_field(&at, &length);
	unescape(field, length, ret_mount->type, sizeof ret_mount->type);
	field = next_field(&at, &length);
	unescape(field, length, ret_mount->source, sizeof ret_mount->source);
	field = next_field(&at, &length);
	const char *user = memmem(field, length, "user_id=", 8);
	ret_mount->user = user ? (uid_t)strtoul(user + 8, NULL, 10) : 0;
	return ret_mount->mountpoint[0] == '/';
}

static bool covers(const char *mountpoint, const char *path) {
	size_t length = strlen(mountpoint);
	if (length == 1)
		return true;
	return strncmp(mountpoint, path, length) == 0 && (path[length] == '\0' || path[length] == '/');
}

int mountinfo_find_in(const char *table, const char *path, struct mountinfo *ret_mount) {
	_cleanup_(freep) struct mountinfo *mount = malloc(sizeof *mount);
	if (!mount)
		return fault(ENOMEM, "reading the table of mounts: out of memory");
	size_t longest = 0;
	for (const char *line = table; *line; line += strcspn(line, "\n"), line += *line == '\n')
		if (parse_line(line, mount) && covers(mount->mountpoint, path) &&
		        strlen(mount->mountpoint) >= longest) {
			longest = strlen(mount->mountpoint);
			*ret_mount = *mount;
		}
	return longest ? 0 : fault(ENOENT, "%s is on no mount", path);
}

static int read_table(char **ret_table) {
	FILE *file = fopen("/proc/self/mountinfo", "re");
	if (!file)
		return fault_errno(errno, "opening /proc/self/mountinfo");
	size_t room = 0;
	char *table = NULL;
	ssize_t size = getdelim(&table, &room, '\0', file);
	(void)fclose(file);
	if (size < 0 || !table) {
		free(table);
		return fault(EIO, "reading /proc/self/mountinfo gave nothing");
	}
	*ret_table = table;
	return 0;
}

int mountinfo_find(const char *path, struct mountinfo *ret_mount) {
	_cleanup_(freep) char *table = NULL;
	int rc = read_table(&table);
	return rc ? rc : mountinfo_find_in(table, path, ret_mount);
}
