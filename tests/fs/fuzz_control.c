/* What a client sends to the mount's socket: the length, the JSON, the paths in it. */
#include "fs/control_wire.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_for_paths(const json_t *value) {
	char path[WIRE_PATH_MAX];
	if (wire_path_get(value, path) == 0) {
		json_t *again = wire_path(path);
		char back[WIRE_PATH_MAX];
		if (!again || wire_path_get(again, back) < 0 || strcmp(path, back) != 0)
			abort();
		json_decref(again);
		bool is_odd = strstr(path, "//") || *path == '/' || (*path && path[strlen(path) - 1] == '/');
		if (is_odd && wire_vault_path_get(value, back) == 0)
			abort();
	}
}

static void walk(const json_t *message) {
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)message, key, value) {
		look_for_paths(value);
		const char *inner_key;
		json_t *inner;
		json_object_foreach(value, inner_key, inner) look_for_paths(inner);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	int ends[2];
	json_t *message = NULL;
	if (wire_parse(bytes_of(data, size), &message) == 0) {
		walk(message);
		json_decref(message);
	}
	/* The same bytes as a stream: a length, then what comes. A socket's buffer holds 64 KiB at least. */
	if (size > 65536 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return 0;
	if (send(ends[0], data, size, MSG_NOSIGNAL) >= 0 || size == 0) {
		(void)shutdown(ends[0], SHUT_WR);
		message = NULL;
		if (wire_receive(ends[1], WIRE_REQUEST_MAX, 1000, &message) == 0)
			json_decref(message);
	}
	(void)close(ends[0]);
	(void)close(ends[1]);
	return 0;
}
