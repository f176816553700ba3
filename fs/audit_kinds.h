/*
 * audit_kinds: what the events of the audit log are to those who review it: an opening, a change, and what other
 * systems would call them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum audit_kind {
	AUDIT_KIND_OTHER,  /* looked at, done by the mount, asked of it */
	AUDIT_KIND_OPEN,   /* a file or directory was opened */
	AUDIT_KIND_CHANGE, /* content, names or attributes are others now */
};

/* OCSF 1.4.0, class 1001: activity_id. */
enum audit_activity {
	AUDIT_ACTIVITY_CREATE = 1,
	AUDIT_ACTIVITY_READ = 2,
	AUDIT_ACTIVITY_UPDATE = 3,
	AUDIT_ACTIVITY_DELETE = 4,
	AUDIT_ACTIVITY_RENAME = 5,
	AUDIT_ACTIVITY_SET_ATTRIBUTES = 6,
	AUDIT_ACTIVITY_SET_SECURITY = 7,
	AUDIT_ACTIVITY_GET_ATTRIBUTES = 8,
	AUDIT_ACTIVITY_GET_SECURITY = 9,
	AUDIT_ACTIVITY_MOUNT = 12,
	AUDIT_ACTIVITY_UNMOUNT = 13,
	AUDIT_ACTIVITY_OPEN = 14,
	AUDIT_ACTIVITY_OTHER = 99,
};

/* OCSF: file.type_id. */
enum audit_file_type { AUDIT_FILE_UNKNOWN = 0, AUDIT_FILE_REGULAR = 1, AUDIT_FILE_FOLDER = 2, AUDIT_FILE_SYMLINK = 7 };

struct audit_event_kind {
	const char *event;
	enum audit_kind kind;
	enum audit_activity activity;
	enum audit_file_type file;
	const char *api; /* the call of S3 (of KMS: audit_is_key_use) that is nearest; NULL: none is */
};

/* An event that has no row of its own is AUDIT_KIND_OTHER and AUDIT_ACTIVITY_OTHER. Never NULL; static. */
const struct audit_event_kind *audit_event_kind(const char *event);

/* Whether the event tells of the use of a key; the detail of such a record begins with its alias. */
bool audit_is_key_use(const char *event);

/* The call of KMS that is nearest to what was done with a key; NULL: none is. Static. */
const char *audit_key_call(const char *event);

/* Whether the event is about keys, slots or the lock, other than a use: what a trail calls management. */
bool audit_manages_keys(const char *event);

/* Whether what the event names changes the vault, its rules or its keys, beside files (their kinds tell of these). */
bool audit_changes_vault(const char *event);

/*
 * The same of one record. An opening to read is the S3 call that reads, one to write nothing yet: a close that sealed a
 * version is the call that writes; but who was refused either was refused that call.
 */
struct audit_event_kind audit_record_kind(const char *event, const char *detail, bool is_denied, bool has_version);

/* "read 3, written 8", as the detail of a close has it (NULL: none): false for any other. No more than a JSON number
 * holds. */
bool audit_transfer(const char *detail, uint64_t *ret_read, uint64_t *ret_written);
