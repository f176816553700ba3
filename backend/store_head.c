/*
 * The log's signed heads: when they are signed, and what is remembered of them outside of the vault.
 *
 *     COMMIT's transaction ─ store_head_sign ─┐            ┌─► store_head_remember: the state directory
 *                                             └─ sync ─────┤
 *                                                          └─► may be served
 *
 * What stands outside was durable here before it was written there. So a vault whose log is shorter, or another, was
 * put back to an older copy, or lost what its disk had said to have.
 */
#include "backend/store_internal.h"
#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"
#include "crypto/secret.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- signing ---- */

/* Half the committer's interval, so that each of its own commits signs, and those that come more often don't. */
bool store_head_is_due(const Store *store) {
	return store->head_at_ms == 0 || monotonic_ms() - store->head_at_ms >= store->commit_ms / 2;
}

/* Who has it not, by a slot for reading, can't tell whose heads those are. */
static bool has_key(const Store *store) {
	_cleanup_(secret_key_wipe) struct secret_key seed;
	return keyring_get(store->keyring, AUDIT_KEY_NAME, 0, seed.bytes, NULL) == 0;
}

/* Told once. Who has no version of the key at all knows. */
static void note_unsigned(Store *store, uint32_t newest) {
	char line[300];
	if (store->head_unsigned || !store->notice || !has_key(store))
		return;
	store->head_unsigned = true;
	(void)snprintf(line, sizeof line,
	        "the audit log is not signed any more: version %u of its key is not in this older vault.json; "
	        "'assayfs key rotate audit' makes the next one, which takes over",
	        newest);
	store->notice(store->notice_arg, line);
}

/* In a transaction whose records are sealed. Who has not the log's key goes on without. */
static int sign(Store *store, int64_t time_ns) {
	struct audit_head head;
	uint32_t newest = 1;
	int rc = store_key_known(store->meta, AUDIT_KEY_NAME, &newest);
	if (rc == 0)
		rc = audit_head_sign(store->meta, store->keyring, newest, time_ns, &head);
	if (rc == -ENOKEY) {
		note_unsigned(store, newest);
		return 0;
	}
	if (rc < 0)
		return rc;
	if (rc > 0) {
		store->head = head;
		store->head_is_new = true;
		store->head_at_ms = monotonic_ms();
	}
	return 0;
}

void store_head_name_key(Store *store, const char *name, uint32_t version, char *words, size_t size) {
	struct note_key key;
	char text[NOTE_VKEY_BYTES];
	size_t used = strlen(words);
	if (strcmp(name, AUDIT_KEY_NAME) != 0 || audit_succession_key(store->meta, store->keyring, version, &key) < 0)
		return;
	note_key_format(&key, text);
	(void)snprintf(words + used, size - used, ": %s", text);
}

void store_head_want(Store *store) {
	atomic_store(&store->head_wanted, true);
}

int store_head_sealed(void *arg, int64_t time_ns) {
	Store *store = arg;
	bool signs = atomic_exchange(&store->head_wanted, false) || store_head_is_due(store);
	/* A commit that only kept a head which had waited leaves none. */
	atomic_store(&store->head_waits, !signs && audit_size(store->meta) != store->head.checkpoint.size);
	return signs ? sign(store, time_ns) : 0;
}

int store_head_sign_waiting(Store *store) {
	if (!atomic_load(&store->head_waits) || meta_pending(store->meta) > 0 || !store_head_is_due(store))
		return 0;
	atomic_store(&store->head_waits, false);
	return sign(store, meta_now(store->meta));
}

/* ---- the memory outside ---- */

static struct bytes vault_id(const Store *store) {
	return bytes_of(header_vault_id(store->header), HEADER_ID_BYTES);
}

/* Told once: the vault is as good as without that memory until it can be written again. */
static void note_forgotten(Store *store, int rc) {
	char line[FAULT_MESSAGE_BYTES + 200];
	if (!store->head_forgotten && store->notice) {
		(void)snprintf(line, sizeof line,
		        "the head of the audit log can't be kept outside of the vault, so an older copy put in its "
		        "place "
		        "would not be noticed: %s",
		        fault_message());
		store->notice(store->notice_arg, line);
	}
	store->head_forgotten = rc < 0;
}

/*
 * A vault that was recovered, or taken although it was older, becomes a branch with the first head that has a record of
 * this opening: an older one stands in the log that it comes from as well, and would let older copies of that in.
 */
static bool begin_branch(Store *store) {
	if (!store->head_forks)
		return true;
	if (store->head.checkpoint.size <= store->head_after)
		return false;
	store->head_since = store->head.checkpoint;
	store->head_forks = false;
	return true;
}

/* With the signatures of earlier versions, too: so a copy from before a rotation knows it for what it is. */
static int make_note(Store *store, char ret_note[static AUDIT_HEAD_NOTE_BYTES]) {
	struct key_chain chain = {0};
	meta_begin(store->meta);
	int rc = audit_succession_list(store->meta, store->head.checkpoint.size, &chain);
	if (rc == 0)
		rc = audit_head_served(store->meta, store->keyring, &chain, &store->head, ret_note);
	key_chain_clear(&chain);
	return meta_end(store->meta, rc);
}

void store_head_remember(Store *store, bool durable) {
	char note[AUDIT_HEAD_NOTE_BYTES];
	bool is_first = store->head_forks;
	if (!store->head_is_new || !store->state_directory || !begin_branch(store))
		return;
	store->head_is_new = false;
	int rc = make_note(store, note);
	if (rc == 0) {
		const struct last_seen_branch branch = {.since = store->head_since, .note = bytes_of_string(note)};
		rc = last_seen_remember(store->state_directory, vault_id(store), &branch, durable || is_first);
	}
	if (rc < 0)
		note_forgotten(store, rc);
	else
		store->head_forgotten = false;
}

/* By whichever version of the log's key it was signed. In an operation. */
static int open_seen(Store *store, struct bytes note, struct checkpoint *ret) {
	_cleanup_(secret_key_wipe) struct secret_key seed;
	struct note_key key;
	uint32_t version = 0;
	int rc = keyring_get(store->keyring, AUDIT_KEY_NAME, 0, seed.bytes, &version);
	if (rc < 0)
		return rc;
	do {
		rc = audit_succession_key(store->meta, store->keyring, version, &key);
		if (rc == 0)
			rc = checkpoint_open(note, &key, ret);
	} while (rc == -ENOKEY && --version > 0);
	return rc;
}

static int not_ours(void) {
	char why[FAULT_MESSAGE_BYTES];
	(void)snprintf(why, sizeof why, "%s", fault_message());
	return fault(ESTALE, "what was kept of this vault's audit log is not what the vault has signed (%s)", why);
}

/* 0: the log goes on from there. -ESTALE with words: it does not. In an operation. */
static int compare(Store *store, const struct checkpoint *seen) {
	uint64_t size = audit_size(store->meta);
	merkle_hash root;
	if (seen->size > size)
		return fault(ESTALE,
		        "this vault's audit log has %" PRIu64 " records, but had %" PRIu64
		        " when it was last mounted here: the vault was put back to an older copy, or lost what had "
		        "been "
		        "written",
		        size, seen->size);
	int rc = audit_root_at(store->meta, seen->size, root);
	if (rc == 0 && memcmp(root, seen->root, sizeof root) != 0)
		rc = fault(ESTALE,
		        "the first %" PRIu64 " records of this vault's audit log are others than when it was last "
		        "mounted here: an older copy "
		        "was put back and used, or the log was changed",
		        seen->size);
	return rc;
}

/* Whether the log's beginning is that head: 1 or 0. In an operation. */
static int has_head(Store *store, const struct checkpoint *head) {
	merkle_hash root;
	if (head->size == 0)
		return 1;
	if (head->size > audit_size(store->meta))
		return 0;
	int rc = audit_root_at(store->meta, head->size, root);
	return rc < 0 ? rc : memcmp(root, head->root, sizeof root) == 0;
}

/* Of those whose first head is in the log the last one. In an operation. */
static int find_branch(Store *store, const struct last_seen *seen, const struct last_seen_branch **ret) {
	const struct last_seen_branch *found = NULL;
	for (size_t i = 0; i < seen->count; i++) {
		const struct last_seen_branch *branch = &seen->branches[i];
		int rc = has_head(store, &branch->since);
		if (rc < 0)
			return rc;
		if (rc > 0 && (!found || branch->since.size > found->since.size))
			found = branch;
	}
	if (!found)
		return fault(ESTALE,
		        "this vault's audit log, of %" PRIu64
		        " records, goes on from none of those that were mounted here: the vault was put back to an "
		        "older copy, or the log was changed",
		        audit_size(store->meta));
	*ret = found;
	return 0;
}

static int judge(Store *store, const struct last_seen *seen) {
	const struct last_seen_branch *branch = NULL;
	struct checkpoint head;
	meta_begin(store->meta);
	int rc = find_branch(store, seen, &branch);
	if (rc == 0) {
		rc = open_seen(store, branch->note, &head);
		if (rc < 0 && rc != -EIO && rc != -ENOMEM)
			rc = not_ours();
	}
	if (rc == 0)
		rc = compare(store, &head);
	if (rc == 0)
		store->head_since = branch->since;
	return meta_end(store->meta, rc);
}

/* 0 also when nothing was kept. Any other error than -ESTALE: whether there is something is not known. */
static int check_seen(Store *store) {
	struct last_seen seen = {0};
	int rc = last_seen_read(store->state_directory, vault_id(store), &seen);
	if (last_seen_is_other(rc))
		return not_ours();
	if (rc < 0)
		return rc == -ENOENT || rc == -ENOTDIR ? 0 : rc;
	rc = judge(store, &seen);
	last_seen_free(&seen);
	return rc;
}

int store_head_check(Store *store) {
	char path[4096] = "?";
	if (!store->state_directory || !has_key(store))
		return 0;
	meta_begin(store->meta);
	store->head_after = audit_size(store->meta);
	(void)meta_end(store->meta, 0);
	int rc = check_seen(store);
	if (rc != -ESTALE)
		return rc;
	(void)snprintf(store->restored, sizeof store->restored, "%s", fault_message());
	store->head_forks = true;
	if (store->accept_restore)
		return 0;
	(void)last_seen_path(store->state_directory, vault_id(store), path, sizeof path);
	return fault(ESTALE,
	        "%s (it was kept in %s). If that is meant, mount it with --accept-restore; the log will say so",
	        store->restored, path);
}

int store_head_record_restore(Store *store) {
	return store->restored[0] ? store_record(store, "accept-restore", 0, 0, store->restored) : 0;
}
