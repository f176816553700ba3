#include "fs/command/answer.h"

#include "fs/control_wire.h"

#include <assert.h>
#include <pwd.h>
#include <stdio.h>

const char *answer_user(const json_t *item, const char *name, char buffer[static ANSWER_NAME_BYTES]) {
	const json_t *number = json_object_get(item, name);
	if (!json_is_integer(number)) {
		snprintf(buffer, ANSWER_NAME_BYTES, "?");
		return buffer;
	}
	struct passwd entry, *found = NULL;
	char memory[4096];
	uid_t uid = (uid_t)json_integer_value(number);
	if (getpwuid_r(uid, &entry, memory, sizeof memory, &found) == 0 && found)
		snprintf(buffer, ANSWER_NAME_BYTES, "%.60s", found->pw_name);
	else
		snprintf(buffer, ANSWER_NAME_BYTES, "%u", (unsigned)uid);
	return buffer;
}

const char *answer_path(const json_t *item, const char *name, char buffer[static ANSWER_PATH_BYTES]) {
	static_assert(ANSWER_PATH_BYTES == WIRE_PATH_MAX, "one path's length everywhere");
	if (wire_path_get(json_object_get(item, name), buffer) < 0)
		snprintf(buffer, ANSWER_PATH_BYTES, "?");
	return buffer;
}
