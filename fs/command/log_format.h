/*
 * log_format: the forms in which `assayfs log` prints records.
 *
 *      text         for a person, a line a record
 *      json         the leaf itself: exactly the bytes that the log's tree hashes
 *      csv          RFC 4180, a header and a line a record
 *      cloudtrail   {"Records":[…]}: CloudTrail data events
 *      ocsf         a line a record: OCSF 1.4.0, File System Activity
 *
 * docs/audit-log.md has each one's fields. A record comes from a disk: whatever its members are, what is printed is
 * well-formed. What is no UTF-8 stands there escaped, as in the leaf, and something beside it says so.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "fs/command/answer.h"

/* Names of users that were looked up, as each look-up reads a file. */
#define LOG_NAMES 64
struct log_name {
	uint32_t uid;
	bool is_set;
	char text[ANSWER_NAME_BYTES];
};

/* Where records go, and of which vault they are. All zero but for what the caller sets. */
struct log_sheet {
	FILE *out;
	char vault_id[64]; /* lower-case hexadecimal */
	char host[65];     /* this machine's name */
	uint64_t count;    /* records that were printed */
	struct log_name names[LOG_NAMES];
};

struct log_format {
	const char *name;
	bool needs_end;                         /* without its end it is not well-formed, so it can't follow the log */
	bool is_leaf;                           /* prints the line; the record is NULL */
	void (*begin)(struct log_sheet *sheet); /* NULL: nothing before the first record */
	int (*print)(struct log_sheet *sheet, const char *line, const json_t *record);
	void (*end)(struct log_sheet *sheet); /* NULL: nothing; also after an error */
};

extern const struct log_format log_format_text, log_format_json, log_format_csv, log_format_cloudtrail, log_format_ocsf;

/* The one that is called so; NULL: none is. */
const struct log_format *log_format_find(const char *name);

/* Prints a record, a leaf without its newline. -EPROTO when it is no JSON object, -ENOMEM. */
int log_format_print(const struct log_format *format, struct log_sheet *sheet, const char *line);

/* ---- for the formats ---- */

/* A text of the record, NULL when it has none. *ret_is_escaped: it is not UTF-8, so that what is given is escaped
 * (docs/audit-log.md). */
const char *log_text(const json_t *record, const char *name, bool *ret_is_escaped);

/* The name of the user who did it, or its number. Valid until the next call. */
const char *log_user(struct log_sheet *sheet, const json_t *record);

/* "read 3, written 8", as the detail of a close has it. False: it does not. */
bool log_transfer(const json_t *record, uint64_t *ret_read, uint64_t *ret_written);

/* A UUID (version 8, RFC 9562) that is the record's in this vault: the start of SHA-256("assayfs audit record" ‖ vault
 * id ‖ ":" ‖ sequence). */
#define LOG_UUID_BYTES 37
void log_uuid(const struct log_sheet *sheet, const json_t *record, char ret_uuid[static LOG_UUID_BYTES]);

/* The time in nanoseconds since 1970; 0 when the record's is malformed. */
int64_t log_time(const json_t *record);

/* Whether the outcome is the one that is called so. */
bool log_outcome_is(const json_t *record, const char *outcome);

/* Prints an object as one line without its end. Takes over the reference; NULL is -ENOMEM. */
int log_put_object(struct log_sheet *sheet, json_t *object);

/* What other systems have no place for: the record's own members, but those in `but` (ends with NULL). NULL: no
 * memory. */
json_t *log_rest(const json_t *record, const char *const *but);
