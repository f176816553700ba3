#include "fs/audit_kinds.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define OPEN AUDIT_KIND_OPEN
#define CHANGE AUDIT_KIND_CHANGE
#define OTHER AUDIT_KIND_OTHER

static const struct audit_event_kind kinds[] = {
        {"access", OTHER, AUDIT_ACTIVITY_GET_SECURITY, AUDIT_FILE_UNKNOWN, NULL},
        {"capture", OTHER, AUDIT_ACTIVITY_CREATE, AUDIT_FILE_REGULAR, "CopyObject"},
        {"chmod", CHANGE, AUDIT_ACTIVITY_SET_SECURITY, AUDIT_FILE_UNKNOWN, "PutObjectAcl"},
        {"chown", CHANGE, AUDIT_ACTIVITY_SET_SECURITY, AUDIT_FILE_UNKNOWN, "PutObjectAcl"},
        {"close", OTHER, AUDIT_ACTIVITY_OTHER, AUDIT_FILE_REGULAR, NULL},
        {"create", CHANGE, AUDIT_ACTIVITY_CREATE, AUDIT_FILE_REGULAR, NULL},
        {"erase", CHANGE, AUDIT_ACTIVITY_DELETE, AUDIT_FILE_REGULAR, "DeleteObject"},
        {"expire", CHANGE, AUDIT_ACTIVITY_DELETE, AUDIT_FILE_REGULAR, "DeleteObject"},
        {"getxattr", OTHER, AUDIT_ACTIVITY_GET_ATTRIBUTES, AUDIT_FILE_UNKNOWN, NULL},
        {"key-decrypt", OTHER, AUDIT_ACTIVITY_OTHER, AUDIT_FILE_REGULAR, "Decrypt"},
        {"key-generate-data-key", OTHER, AUDIT_ACTIVITY_OTHER, AUDIT_FILE_REGULAR, "GenerateDataKey"},
        {"link", CHANGE, AUDIT_ACTIVITY_CREATE, AUDIT_FILE_UNKNOWN, NULL},
        {"lookup", OTHER, AUDIT_ACTIVITY_GET_ATTRIBUTES, AUDIT_FILE_UNKNOWN, "HeadObject"},
        {"mkdir", CHANGE, AUDIT_ACTIVITY_CREATE, AUDIT_FILE_FOLDER, NULL},
        {"mknod", CHANGE, AUDIT_ACTIVITY_CREATE, AUDIT_FILE_UNKNOWN, NULL},
        {"mount", OTHER, AUDIT_ACTIVITY_MOUNT, AUDIT_FILE_UNKNOWN, NULL},
        {"open", OPEN, AUDIT_ACTIVITY_OPEN, AUDIT_FILE_REGULAR, NULL},
        {"opendir", OPEN, AUDIT_ACTIVITY_OPEN, AUDIT_FILE_FOLDER, "ListObjects"},
        {"publish", OTHER, AUDIT_ACTIVITY_UPDATE, AUDIT_FILE_REGULAR, "CopyObject"},
        {"removexattr", CHANGE, AUDIT_ACTIVITY_SET_ATTRIBUTES, AUDIT_FILE_UNKNOWN, NULL},
        {"rename", CHANGE, AUDIT_ACTIVITY_RENAME, AUDIT_FILE_UNKNOWN, "RenameObject"},
        {"restore", CHANGE, AUDIT_ACTIVITY_UPDATE, AUDIT_FILE_REGULAR, "CopyObject"},
        {"rmdir", CHANGE, AUDIT_ACTIVITY_DELETE, AUDIT_FILE_FOLDER, NULL},
        {"setxattr", CHANGE, AUDIT_ACTIVITY_SET_ATTRIBUTES, AUDIT_FILE_UNKNOWN, NULL},
        {"symlink", CHANGE, AUDIT_ACTIVITY_CREATE, AUDIT_FILE_SYMLINK, NULL},
        {"truncate", CHANGE, AUDIT_ACTIVITY_UPDATE, AUDIT_FILE_REGULAR, NULL},
        {"unlink", CHANGE, AUDIT_ACTIVITY_DELETE, AUDIT_FILE_UNKNOWN, "DeleteObject"},
        {"unmount", OTHER, AUDIT_ACTIVITY_UNMOUNT, AUDIT_FILE_UNKNOWN, NULL},
        {"utimes", CHANGE, AUDIT_ACTIVITY_SET_ATTRIBUTES, AUDIT_FILE_UNKNOWN, NULL},
        {"withdraw", OTHER, AUDIT_ACTIVITY_DELETE, AUDIT_FILE_REGULAR, "DeleteObject"},
};

const struct audit_event_kind *audit_event_kind(const char *event) {
	static const struct audit_event_kind other = {"", OTHER, AUDIT_ACTIVITY_OTHER, AUDIT_FILE_UNKNOWN, NULL};
	size_t low = 0, high = sizeof kinds / sizeof kinds[0];
	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = strcmp(kinds[middle].event, event);
		if (order == 0)
			return &kinds[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return &other;
}

bool audit_is_key_use(const char *event) {
	return strcmp(event, "key-decrypt") == 0 || strcmp(event, "key-generate-data-key") == 0;
}

const char *audit_key_call(const char *event) {
	static const char *const calls[][2] = {{"key-alias", "CreateAlias"},
	        {"key-cancel-deletion", "CancelKeyDeletion"}, {"key-create", "CreateKey"}, {"key-delete", "DeleteKey"},
	        {"key-disable", "DisableKey"}, {"key-enable", "EnableKey"}, {"key-list", "ListKeys"},
	        {"key-rotate", "RotateKeyOnDemand"}, {"key-schedule-deletion", "ScheduleKeyDeletion"}};
	for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
		if (strcmp(calls[i][0], event) == 0)
			return calls[i][1];
	return NULL;
}

bool audit_manages_keys(const char *event) {
	return !audit_is_key_use(event) &&
	       (strncmp(event, "key-", strlen("key-")) == 0 || strncmp(event, "slot-", strlen("slot-")) == 0 ||
	               strcmp(event, "lock") == 0 || strcmp(event, "lock-after") == 0 || strcmp(event, "unlock") == 0);
}

bool audit_changes_vault(const char *event) {
	static const char *const events[] = {"accept-restore", "alarm-drop", "alarm-retry", "alarm-silence", "attend",
	        "backup-add", "backup-remove", "backup-sync", "gc", "grant", "grant-revoke", "init", "log-archive",
	        "log-prune", "log-ship", "policy-apply", "policy-recheck", "quarantine-drop", "quarantine-release",
	        "recover", "repair", "run", "stale", "supersede", "token-add", "token-remove"};
	for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
		if (strcmp(events[i], event) == 0)
			return true;
	return audit_manages_keys(event) && strcmp(event, "key-list") != 0 && strcmp(event, "key-found") != 0;
}

struct audit_event_kind audit_record_kind(const char *event, const char *detail, bool is_denied, bool has_version) {
	struct audit_event_kind kind = *audit_event_kind(event);
	bool is_to_write = detail && strncmp(detail, "write", strlen("write")) == 0;
	if (strcmp(event, "open") == 0 && !is_to_write)
		kind.api = "GetObject";
	if (is_denied && (strcmp(event, "create") == 0 || (strcmp(event, "open") == 0 && is_to_write)))
		kind.api = "PutObject";
	if (strcmp(event, "close") == 0 && has_version) {
		kind.kind = CHANGE;
		kind.activity = AUDIT_ACTIVITY_UPDATE;
		kind.api = "PutObject";
	}
	return kind;
}

bool audit_transfer(const char *detail, uint64_t *ret_read, uint64_t *ret_written) {
	uint64_t read = 0, written = 0;
	if (!detail || sscanf(detail, "read %" SCNu64 ", written %" SCNu64, &read, &written) != 2)
		return false;
	*ret_read = read <= INT64_MAX ? read : INT64_MAX;
	*ret_written = written <= INT64_MAX ? written : INT64_MAX;
	return true;
}
