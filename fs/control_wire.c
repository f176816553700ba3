#include "fs/control_wire.h"

#include "crypto/base/cleanup.h"
#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"
#include "crypto/encoding.h"
#include "crypto/secret.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define FIRST_BUFFER 4096

/* ---- secrets ---- */

void wire_wipe_json(void) {
	json_set_alloc_funcs(malloc, secret_heap_free);
}

/* ---- JSON ---- */

/* Deepest nesting of brackets outside strings. Text that is no JSON gives some number; the parser refuses it then. */
static size_t nesting(struct bytes text) {
	size_t depth = 0, deepest = 0;
	bool in_string = false;
	for (size_t i = 0; i < text.size; i++) {
		uint8_t byte = text.data[i];
		if (in_string) {
			if (byte == '\\')
				i++;
			else if (byte == '"')
				in_string = false;
		} else if (byte == '"') {
			in_string = true;
		} else if (byte == '{' || byte == '[') {
			deepest = ++depth > deepest ? depth : deepest;
		} else if ((byte == '}' || byte == ']') && depth) {
			depth--;
		}
	}
	return deepest;
}

int wire_parse(struct bytes text, json_t **ret) {
	if (text.size == 0)
		return fault(EPROTO, "an empty message");
	if (nesting(text) > WIRE_DEPTH_MAX)
		return fault(EPROTO, "a message nested deeper than %d", WIRE_DEPTH_MAX);
	json_error_t error;
	_cleanup_(json_decrefp) json_t *value =
	        json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, &error);
	if (!value)
		return fault(EPROTO, "a message that is no JSON: %s", error.text);
	if (!json_is_object(value))
		return fault(EPROTO, "a message that is no JSON object");
	*ret = steal_pointer(&value);
	return 0;
}

/* ---- the socket ---- */

static int64_t deadline_of(int timeout_ms) {
	return timeout_ms < 0 ? -1 : monotonic_ms() + timeout_ms;
}

/* Waits until `events` or the deadline (-1: none). */
static int wait_for(int fd, short events, int64_t deadline) {
	for (;;) {
		int left = -1;
		if (deadline >= 0) {
			int64_t rest = deadline - monotonic_ms();
			left = rest > 0 ? (int)rest : 0;
		}
		struct pollfd pollfd = {.fd = fd, .events = events};
		int ready = poll(&pollfd, 1, left);
		if (ready > 0)
			return 0;
		if (ready == 0)
			return fault(ETIMEDOUT, "the other end did not answer in time");
		if (errno != EINTR)
			return fault_errno(errno, "waiting on the control socket");
	}
}

static int send_all(int fd, const uint8_t *data, size_t size, int64_t deadline) {
	while (size) {
		ssize_t sent = send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent > 0) {
			data += sent;
			size -= (size_t)sent;
			continue;
		}
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && errno != EAGAIN)
			return fault_errno(errno == ECONNRESET ? EPIPE : errno, "writing to the control socket");
		int rc = wait_for(fd, POLLOUT, deadline);
		if (rc)
			return rc;
	}
	return 0;
}

int wire_send(int fd, const json_t *message, size_t limit, int timeout_ms) {
	_cleanup_(secret_heap_freep) char *text = json_dumps(message, JSON_COMPACT);
	if (!text)
		return fault(ENOMEM, "writing a message: out of memory");
	size_t size = strlen(text);
	if (size > limit)
		return fault(EMSGSIZE, "a message of %zu bytes is longer than %zu", size, limit);
	uint8_t head[4];
	le32_put(head, (uint32_t)size);
	int64_t deadline = deadline_of(timeout_ms);
	int rc = send_all(fd, head, sizeof head, deadline);
	return rc ? rc : send_all(fd, (const uint8_t *)text, size, deadline);
}

/* Up to `size` bytes; their number, which is less only at the end. */
static ssize_t receive_up_to(int fd, uint8_t *data, size_t size, int64_t deadline) {
	size_t done = 0;
	while (done < size) {
		ssize_t got = recv(fd, data + done, size - done, MSG_DONTWAIT);
		if (got == 0)
			break;
		if (got > 0) {
			done += (size_t)got;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno == ECONNRESET)
			break;
		if (errno != EAGAIN)
			return fault_errno(errno, "reading from the control socket");
		int rc = wait_for(fd, POLLIN, deadline);
		if (rc)
			return rc;
	}
	return (ssize_t)done;
}

/* Reads `size` bytes into memory that doubles as they come, so that a length alone costs nothing. realloc would leave
 * what was read behind. */
static int receive_body(int fd, size_t size, int64_t deadline, uint8_t **ret_data) {
	_cleanup_(secret_heap_freep) uint8_t *data = NULL;
	size_t done = 0, room = 0;
	while (done < size) {
		room = room ? 2 * room : FIRST_BUFFER;
		room = room < size ? room : size;
		uint8_t *larger = malloc(room);
		if (!larger)
			return fault(ENOMEM, "reading a message of %zu bytes: out of memory", size);
		if (done)
			memcpy(larger, data, done);
		secret_heap_free(data);
		data = larger;
		ssize_t got = receive_up_to(fd, data + done, room - done, deadline);
		if (got < 0)
			return (int)got;
		done += (size_t)got;
		if (done < room)
			return fault(EPROTO, "a message that ended after %zu of %zu bytes", done, size);
	}
	*ret_data = steal_pointer(&data);
	return 0;
}

int wire_receive(int fd, size_t limit, int timeout_ms, json_t **ret) {
	int64_t deadline = deadline_of(timeout_ms);
	uint8_t head[4];
	ssize_t got = receive_up_to(fd, head, sizeof head, deadline);
	if (got < 0)
		return (int)got;
	if (got == 0)
		return fault(ENODATA, "the other end has closed the connection");
	if (got < (ssize_t)sizeof head)
		return fault(EPROTO, "a message that ended within its length");
	size_t size = le32_get(head);
	if (size > limit)
		return fault(EMSGSIZE, "a message of %zu bytes is longer than %zu", size, limit);
	_cleanup_(secret_heap_freep) uint8_t *data = NULL;
	int rc = receive_body(fd, size, deadline, &data);
	return rc ? rc : wire_parse(bytes_of(data, size), ret);
}

/* ---- paths ---- */

json_t *wire_path(const char *path) {
	json_t *plain = json_string(path); /* NULL when it is not UTF-8 */
	if (plain)
		return plain;
	struct bytes bytes = bytes_of_string(path);
	_cleanup_(freep) char *hex = malloc(HEX_TEXT_BYTES(bytes.size));
	if (!hex)
		return NULL;
	hex_encode(bytes, hex);
	return json_pack("{s:s}", "hex", hex);
}

int wire_path_get(const json_t *value, char ret_path[static WIRE_PATH_MAX]) {
	const json_t *hex = json_object_get(value, "hex");
	size_t size = json_string_length(hex ? hex : value);
	const char *text = json_string_value(hex ? hex : value);
	if (!text || (hex && json_object_size(value) != 1))
		return fault(EPROTO, "a path is missing or not a string");
	size = hex ? size / 2 : size;
	if (size >= WIRE_PATH_MAX)
		return fault(ENAMETOOLONG, "a path is longer than %d bytes", WIRE_PATH_MAX - 1);
	if (hex && hex_decode(text, size, (uint8_t *)ret_path) < 0)
		return fault(EPROTO, "a path's hexadecimal form is malformed");
	if (!hex)
		memcpy(ret_path, text, size);
	if (memchr(ret_path, '\0', size))
		return fault(EPROTO, "a path holds a NUL byte");
	ret_path[size] = '\0';
	return 0;
}

static bool is_plain_name(const char *at, size_t length) {
	return length > 0 && !(length == 1 && at[0] == '.') && !(length == 2 && at[0] == '.' && at[1] == '.');
}

int wire_vault_path_get(const json_t *value, char ret_path[static WIRE_PATH_MAX]) {
	char path[WIRE_PATH_MAX];
	int rc = wire_path_get(value, path);
	if (rc < 0)
		return rc;
	for (const char *at = path; *path && at;) {
		size_t length = strcspn(at, "/");
		if (!is_plain_name(at, length))
			return fault(EINVAL,
			        "a path in the vault has no empty part, no '.' and no '..': write it as it is listed, "
			        "from Landing, Raw or Trusted on");
		at = at[length] == '/' ? at + length + 1 : NULL;
	}
	memcpy(ret_path, path, strlen(path) + 1);
	return 0;
}
