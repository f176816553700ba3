/*
 * key: what the commands `assayfs key …`, `lock` and `unlock` share.
 */
#pragma once

#include "crypto/base/bytes.h"
#include "fs/command/client.h"
#include "fs/command/command.h"

#define KEY_EXITS (EXIT_BIT(EXIT_NO) | EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_NOT_MOUNTED) | EXIT_BIT(EXIT_DENIED))

/* As command_fault, but what the key or slot itself does not allow (it is vital, disabled, deleted, locked, the last
 * one, another's name) is EXIT_NO. */
int key_fault(const struct invocation *call, int rc, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Asks the mount at operand `dir`; `item` NULL: the answer's items are dropped. 0, or the exit code after saying what
 * went wrong. Takes over `arguments`. */
int key_ask(const struct invocation *call, int dir, const char *command, json_t *arguments, client_item *item,
        void *context);

/* A secret's bytes as the mount takes them: base64. NULL: no memory. What holds it is wiped when it is freed. */
json_t *key_secret_json(struct bytes secret);

#define KEY_TIME_BYTES 32

/* "2026-11-23T11:21:05.123456789Z" of an answer to the second; "?" where it is none. */
const char *key_time(const json_t *key, const char *name, char ret[static KEY_TIME_BYTES]);

/* --zones as a list, "zones": NULL where it is not given. 0, or EXIT_USAGE after saying why. */
int key_zone_list(const struct invocation *call, json_t **ret_list);

/* Has `arguments` (taken over) make a slot, and tells how it is called. */
int key_add_slot(const struct invocation *call, int dir, json_t *arguments);
