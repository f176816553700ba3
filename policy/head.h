/*
 * head: the first bytes of an input, looked at before it is read: is it empty, is it a format that we can't read?
 *
 *     struct head head;
 *     head_read(input, &head);                 reads up to HEAD_BYTES
 *     ... head.size, head_unsupported(...)
 *     struct check_input again = head_input(&head);        the whole input, from its first byte
 *     head_release(&head);
 */
#pragma once

#include "policy/check.h"

#define HEAD_BYTES (64u << 10)

struct head {
	struct check_input *input;
	uint8_t *bytes;
	size_t size, used;
};

/* -ENOMEM, or the input's own error. */
int head_read(struct check_input *input, struct head *ret_head);
void head_release(struct head *head);

/* The input with its head put back; valid as long as `head`. */
struct check_input head_input(struct head *head);

/* What the file is, when that is something that can't be read ("Parquet"), else NULL. Its name counts only when the
 * policy says nothing about the type. */
const char *head_unsupported(const struct head *head, const char *name, enum policy_file_type type);
