/*
 * control_wire: the messages on a mount's control socket.
 *
 *     message  = u32 length, little-endian | length bytes of JSON, one object, UTF-8
 *
 *     client ─► {"command":"log", "arguments":{…}}
 *            ◄─ {"item":{…}}                         any number
 *            ◄─ {"end":0}  or  {"end":-2, "words":"no file Landing/x"}
 *
 * Both ends treat what they get as hostile: a length is not believed before its bytes have come, nesting is bounded
 * before the parser sees it (jansson recurses), keys may not repeat, strings hold no NUL.
 *
 * Names are bytes and JSON strings are UTF-8: a path that is not UTF-8 travels as {"hex":"…"}.
 */
#pragma once

#include "crypto/base/bytes.h"

#include <jansson.h>
#include <stdbool.h>

#define WIRE_REQUEST_MAX (12u << 20) /* a policy bundle of 8 MiB in base64 */
#define WIRE_ANSWER_MAX (16u << 20)  /* a verdict's JSON with room */
#define WIRE_DEPTH_MAX 24
#define WIRE_PATH_MAX 4096 /* bytes, with the NUL */

/* From now on all that jansson frees in this process is wiped before: passphrases and keys travel in such messages. To
 * be called first. */
void wire_wipe_json(void);

/* Parses one message's JSON: an object; -EPROTO with words otherwise. *ret is the caller's. */
int wire_parse(struct bytes text, json_t **ret);

/* Sends `message`. timeout_ms bounds the whole sending; -1: none. -ETIMEDOUT: the peer reads too slowly; -EPIPE: it is
 * gone; -EMSGSIZE: longer than `limit`. Raises no SIGPIPE. */
int wire_send(int fd, const json_t *message, size_t limit, int timeout_ms);

/* Receives one message of at most `limit` bytes of JSON, within timeout_ms in all (-1: no bound). -ENODATA: the peer
 * closed before a message began; -EPROTO: it sent something else or only a part; -EMSGSIZE; -ETIMEDOUT. Memory grows
 * only as bytes arrive. */
int wire_receive(int fd, size_t limit, int timeout_ms, json_t **ret);

/* A path as JSON; NULL when memory is out. */
json_t *wire_path(const char *path);

/* And back, into a buffer of WIRE_PATH_MAX bytes. -EPROTO when it is neither form, too long, or holds a NUL. */
int wire_path_get(const json_t *value, char ret_path[static WIRE_PATH_MAX]);

/* The same for a path in the vault, relative to its root ("" is the root), which is taken as a name and recorded so:
 * one spelling each. -EINVAL for an empty component (a slash at either end, two in a row), "." and "..". */
int wire_vault_path_get(const json_t *value, char ret_path[static WIRE_PATH_MAX]);
