#include "backend/audit_head.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "backend/audit.h"
#include "backend/meta_private.h"
#include "crypto/secret.h"

#define KEY_NAME "audit"
#define ORIGIN_START "assayfs/"

static int make_key(Meta *m, const uint8_t seed[static SIGN_SEED_BYTES], struct note_key *ret_key) {
	char name[sizeof ORIGIN_START + HEX_TEXT_BYTES(META_VAULT_ID_MAX)] = ORIGIN_START;
	uint8_t id[META_VAULT_ID_MAX], public_key[SIGN_PUBLIC_BYTES];
	hex_encode(bytes_of(id, meta_vault_id(m, id)), name + sizeof ORIGIN_START - 1);
	sign_public(seed, public_key);
	return note_key_make(name, public_key, ret_key);
}

int audit_head_key(Meta *m, const Keyring *keyring, uint32_t version, struct note_key *ret_key) {
	_cleanup_(secret_key_wipe) struct secret_key seed;
	int rc = keyring_get(keyring, KEY_NAME, version, seed.bytes, NULL);
	return rc < 0 ? rc : make_key(m, seed.bytes, ret_key);
}

/* ---- rows ---- */

#define COLUMNS "size, root, time_ns, key, signature"

static int read_head(sqlite3_stmt *stmt, struct audit_head *ret) {
	*ret = (struct audit_head){.checkpoint.size = column_u64(stmt, 0),
	        .time_ns = sqlite3_column_int64(stmt, 2),
	        .key_version = column_u32(stmt, 3)};
	int rc = column_exact(stmt, 1, ret->checkpoint.root, sizeof ret->checkpoint.root, "the root of a signed head");
	return rc < 0 ? rc : column_exact(stmt, 4, ret->signature, sizeof ret->signature, "a signed head");
}

int audit_head_last(Meta *m, uint64_t most, struct audit_head *ret_head) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	if (!meta_has(m, META_SCHEMA_AUDIT_HEAD))
		return -ENOENT;
	int rc = SQL_START(
	        m, "SELECT " COLUMNS " FROM audit_head WHERE size <= ? ORDER BY size DESC LIMIT 1", &stmt, v_u64(most));
	if (rc == 0)
		rc = sql_step(m, stmt);
	if (rc <= 0)
		return rc < 0 ? rc : -ENOENT;
	return read_head(stmt, ret_head);
}

int audit_head_list(Meta *m, uint64_t after, uint64_t most, audit_head_fn *each, void *arg) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	if (!meta_has(m, META_SCHEMA_AUDIT_HEAD))
		return 0;
	int rc = SQL_START(m, "SELECT " COLUMNS " FROM audit_head WHERE size > ? AND size <= ? ORDER BY size", &stmt,
	        v_u64(after), v_u64(most));
	while (rc == 0 && (rc = sql_step(m, stmt)) == 1) {
		struct audit_head head;
		rc = read_head(stmt, &head);
		if (rc == 0)
			rc = each(arg, &head);
	}
	return rc > 0 ? 0 : rc;
}

static int put(Meta *m, const struct audit_head *head) {
	int rc = meta_raise_schema(m, META_SCHEMA_AUDIT_HEAD);
	if (rc < 0)
		return rc;
	return SQL_RUN(m, "INSERT INTO audit_head (" COLUMNS ") VALUES (?, ?, ?, ?, ?)", v_u64(head->checkpoint.size),
	        v_blob(head->checkpoint.root, sizeof head->checkpoint.root), v_i64(head->time_ns),
	        v_u64(head->key_version), v_blob(head->signature, sizeof head->signature));
}

/* ---- signing ---- */

int audit_head_sign(Meta *m, const Keyring *keyring, int64_t time_ns, struct audit_head *ret_head) {
	_cleanup_(secret_key_wipe) struct secret_key seed;
	struct audit_head head = {.time_ns = time_ns}, last;
	struct note_key key;
	int rc = audit_root(m, &head.checkpoint.size, head.checkpoint.root);
	if (rc < 0 || head.checkpoint.size == 0)
		return rc;
	rc = audit_head_last(m, head.checkpoint.size, &last);
	if (rc == 0 && last.checkpoint.size == head.checkpoint.size)
		return 0;
	if (rc == 0 || rc == -ENOENT)
		rc = keyring_get(keyring, KEY_NAME, 0, seed.bytes, &head.key_version);
	if (rc == 0)
		rc = make_key(m, seed.bytes, &key);
	if (rc < 0)
		return rc;
	checkpoint_sign(&key, seed.bytes, &head.checkpoint, head.signature);
	rc = put(m, &head);
	if (rc < 0)
		return rc;
	*ret_head = head;
	return 1;
}

int audit_head_note(
        Meta *m, const Keyring *keyring, const struct audit_head *head, char ret_note[static CHECKPOINT_NOTE_BYTES]) {
	struct note_key key;
	int rc = audit_head_key(m, keyring, head->key_version, &key);
	if (rc == 0)
		checkpoint_note(&key, &head->checkpoint, head->signature, ret_note);
	return rc;
}

/* ---- verifying ---- */

struct check {
	struct audit_head heads[256]; /* gathered first: nothing may be asked for within a list */
	size_t count;
};

static int gather(void *arg, const struct audit_head *head) {
	struct check *check = arg;
	check->heads[check->count++] = *head;
	return check->count == sizeof check->heads / sizeof *check->heads;
}

static int check_head(Meta *m, const Keyring *keyring, const struct audit_head *head) {
	struct note_key key;
	merkle_hash root;
	const struct checkpoint *checkpoint = &head->checkpoint;
	int rc = audit_root_at(m, checkpoint->size, root);
	if (rc == -EINVAL)
		return fault(EBADMSG, "audit: a head of %" PRIu64 " records is signed, the log is shorter",
		        checkpoint->size);
	if (rc == 0 && memcmp(root, checkpoint->root, sizeof root) != 0)
		return fault(EBADMSG, "audit: the first %" PRIu64 " records are not those that were signed",
		        checkpoint->size);
	if (rc == 0)
		rc = audit_head_key(m, keyring, head->key_version, &key);
	if (rc == 0)
		rc = checkpoint_verify(&key, checkpoint, head->signature);
	return fault_while(rc, "audit: the signed head of %" PRIu64 " records", checkpoint->size);
}

int audit_head_verify(Meta *m, const Keyring *keyring, uint64_t *ret_checked) {
	_cleanup_(freep) struct check *check = malloc(sizeof *check);
	uint64_t after = 0, checked = 0;
	int rc = check ? 0 : fault(ENOMEM, "no memory to verify the log's signed heads");
	do {
		if (rc == 0) {
			check->count = 0;
			rc = audit_head_list(m, after, INT64_MAX, gather, check);
		}
		for (size_t i = 0; rc == 0 && i < check->count; i++, checked++) {
			after = check->heads[i].checkpoint.size;
			rc = check_head(m, keyring, &check->heads[i]);
		}
	} while (rc == 0 && check->count > 0);
	if (rc == 0 && ret_checked)
		*ret_checked = checked;
	return rc;
}
