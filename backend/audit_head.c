#include "backend/audit_head.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "backend/audit.h"
#include "backend/meta_private.h"
#include "crypto/secret.h"

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

static int sign_with(Meta *m, const Keyring *keyring, uint32_t version, struct audit_head *head) {
	_cleanup_(secret_key_wipe) struct secret_key seed;
	struct note_key key;
	int rc = keyring_get(keyring, AUDIT_KEY_NAME, version, seed.bytes, &head->key_version);
	if (rc == 0)
		rc = audit_succession_key(m, keyring, version, &key);
	if (rc == 0)
		checkpoint_sign(&key, seed.bytes, &head->checkpoint, head->signature);
	return rc;
}

static bool has_version(const Keyring *keyring, uint32_t version) {
	_cleanup_(secret_key_wipe) struct secret_key seed;
	return keyring_get(keyring, AUDIT_KEY_NAME, version, seed.bytes, NULL) == 0;
}

/* The last one of the chain (of an empty one that of the last head) signs once more, and hands on. Where it was lost
 * with a vault.json, the next vouches for what it had signed. */
static int sign_and_hand_on(Meta *m, const Keyring *keyring, const struct key_chain *chain, uint32_t newest,
        const struct audit_head *last, struct audit_head *head) {
	const uint32_t signer = chain->count ? key_chain_version(chain, chain->count) : last->key_version;
	const bool is_due = has_version(keyring, newest);
	int rc;
	if (is_due && chain->count && !audit_succession_holds(m, keyring, chain, chain->count)) {
		rc = audit_succession_put(m, keyring, signer, key_chain_key(chain, chain->count), newest,
		        &last->checkpoint, head->time_ns);
		return rc < 0 ? rc : sign_with(m, keyring, newest, head);
	}
	rc = sign_with(m, keyring, signer, head);
	if (rc == 0 && is_due)
		rc = audit_succession_put(m, keyring, signer, NULL, newest, &head->checkpoint, head->time_ns);
	return rc;
}

/* `last` NULL: there is none. */
static int sign_in_turn(
        Meta *m, const Keyring *keyring, uint32_t newest, const struct audit_head *last, struct audit_head *head) {
	struct key_chain chain = {0};
	if (!last || last->key_version >= newest)
		return sign_with(m, keyring, newest, head);
	int rc = audit_succession_has(m, newest);
	if (rc != 0)
		return rc < 0 ? rc : sign_with(m, keyring, newest, head);
	rc = audit_succession_chain(m, UINT64_MAX, &chain);
	if (rc == 0)
		rc = sign_and_hand_on(m, keyring, &chain, newest, last, head);
	key_chain_clear(&chain);
	return rc;
}

int audit_head_sign(Meta *m, const Keyring *keyring, uint32_t newest, int64_t time_ns, struct audit_head *ret_head) {
	struct audit_head head = {.time_ns = time_ns}, last;
	int rc = audit_root(m, &head.checkpoint.size, head.checkpoint.root);
	if (rc < 0 || head.checkpoint.size == 0)
		return rc;
	rc = audit_head_last(m, head.checkpoint.size, &last);
	if (rc == 0 && last.checkpoint.size == head.checkpoint.size)
		return 0;
	if (rc == 0 || rc == -ENOENT)
		rc = sign_in_turn(m, keyring, newest, rc == 0 ? &last : NULL, &head);
	if (rc == 0)
		rc = put(m, &head);
	if (rc < 0)
		return rc;
	*ret_head = head;
	return 1;
}

/* ---- as text ---- */

int audit_head_note(
        Meta *m, const Keyring *keyring, const struct audit_head *head, char ret_note[static CHECKPOINT_NOTE_BYTES]) {
	struct note_key key;
	int rc = audit_succession_key(m, keyring, head->key_version, &key);
	if (rc == 0)
		checkpoint_note(&key, &head->checkpoint, head->signature, ret_note);
	return rc;
}

/* The present ones first: a chain may be long. */
int audit_head_key(
        Meta *m, const Keyring *keyring, const struct key_chain *chain, uint32_t version, struct note_key *ret_key) {
	for (size_t i = chain->count + 1; chain->count > 0 && i-- > 0;)
		if (key_chain_version(chain, i) == version) {
			*ret_key = *key_chain_key(chain, i);
			return 0;
		}
	return audit_succession_key(m, keyring, version, ret_key);
}

/* The head's own signature, or one that is made now. */
static int add_line(Meta *m, const Keyring *keyring, const struct key_chain *chain, const struct audit_head *head,
        size_t index, char *note) {
	struct audit_head other = {.checkpoint = head->checkpoint};
	const uint32_t version = key_chain_version(chain, index);
	const bool is_own = version == head->key_version;
	char line[NOTE_LINE_BYTES];
	int rc = is_own || audit_succession_holds(m, keyring, chain, index) ? 0 : -ENOKEY;
	if (rc == 0 && !is_own)
		rc = sign_with(m, keyring, version, &other);
	if (rc < 0)
		return rc;
	note_line(key_chain_key(chain, index), is_own ? head->signature : other.signature, line);
	strcat(note, line);
	return 0;
}

int audit_head_served(Meta *m, const Keyring *keyring, const struct key_chain *chain, const struct audit_head *head,
        char ret_note[static AUDIT_HEAD_NOTE_BYTES]) {
	size_t at = chain->count;
	while (at > 0 && chain->list[at - 1].at.size > head->checkpoint.size)
		at--;
	if (chain->count == 0)
		return audit_head_note(m, keyring, head, ret_note);
	checkpoint_body(chain->first.name, &head->checkpoint, ret_note);
	strcat(ret_note, "\n");
	int rc = add_line(m, keyring, chain, head, at, ret_note);
	for (int count = 1; rc == 0 && count < AUDIT_HEAD_SIGNERS && at-- > 0; count++) {
		rc = add_line(m, keyring, chain, head, at, ret_note);
		rc = rc == -ENOKEY ? 0 : rc;
	}
	return rc;
}

/* ---- verifying ---- */

struct check {
	struct key_chain chain;
	uint32_t only_version;        /* of the first head */
	struct audit_head heads[256]; /* gathered first: nothing may be asked for within a list */
	size_t count;
};

static int gather(void *arg, const struct audit_head *head) {
	struct check *check = arg;
	check->heads[check->count++] = *head;
	return check->count == sizeof check->heads / sizeof *check->heads;
}

static int check_root(Meta *m, const struct checkpoint *checkpoint) {
	merkle_hash root;
	int rc = audit_root_at(m, checkpoint->size, root);
	if (rc == -EINVAL)
		return fault(EBADMSG, "audit: a head of %" PRIu64 " records is signed, the log is shorter",
		        checkpoint->size);
	if (rc == 0 && memcmp(root, checkpoint->root, sizeof root) != 0)
		return fault(EBADMSG, "audit: the first %" PRIu64 " records are not those that were signed",
		        checkpoint->size);
	return rc;
}

/* Before the key was ever handed on, all heads are one version's. */
static int check_turn(const struct check *check, const struct audit_head *head) {
	const struct key_chain *chain = &check->chain;
	uint32_t version = chain->count == 0 ? check->only_version
	                                     : key_chain_version(chain, key_chain_signer(chain, head->checkpoint.size));
	if (version == head->key_version)
		return 0;
	return fault(EBADMSG,
	        "audit: a head of %" PRIu64 " records is signed by version %u of the log's key; it was "
	        "version %u whose turn it was",
	        head->checkpoint.size, head->key_version, version);
}

static int check_head(Meta *m, const Keyring *keyring, struct check *check, const struct audit_head *head) {
	struct note_key key;
	if (check->only_version == 0)
		check->only_version = head->key_version;
	int rc = check_root(m, &head->checkpoint);
	if (rc == 0)
		rc = check_turn(check, head);
	if (rc == 0)
		rc = audit_head_key(m, keyring, &check->chain, head->key_version, &key);
	if (rc == 0)
		rc = checkpoint_verify(&key, &head->checkpoint, head->signature);
	return fault_while(rc, "audit: the signed head of %" PRIu64 " records", head->checkpoint.size);
}

/* Of one that was lost the keyring may have another of the same version. */
static int check_link(Meta *m, const Keyring *keyring, const struct key_chain *chain, size_t index) {
	const uint32_t version = key_chain_version(chain, index);
	const bool is_lost = index < chain->count && chain->list[index].is_broken;
	if (!is_lost && has_version(keyring, version) && !audit_succession_holds(m, keyring, chain, index))
		return fault(
		        EBADMSG, "audit: version %u of the log's key is another than it was handed on to", version);
	if (index == chain->count)
		return 0;
	return fault_while(check_root(m, &chain->list[index].at), "audit: the key's succession to version %u",
	        chain->list[index].version);
}

/* -ENOKEY: the keyring has no such key at all, so that who signed is not known. */
static int check_chain(Meta *m, const Keyring *keyring, const struct key_chain *chain) {
	struct note_key key;
	int rc = audit_succession_key(m, keyring, 0, &key);
	for (size_t i = 0; rc == 0 && chain->count > 0 && i <= chain->count; i++)
		rc = check_link(m, keyring, chain, i);
	return rc;
}

int audit_head_verify(Meta *m, const Keyring *keyring, uint64_t *ret_checked) {
	_cleanup_(freep) struct check *check = calloc(1, sizeof *check);
	uint64_t after = 0, checked = 0;
	if (!check)
		return fault(ENOMEM, "no memory to verify the log's signed heads");
	int rc = audit_succession_chain(m, UINT64_MAX, &check->chain);
	if (rc == 0)
		rc = check_chain(m, keyring, &check->chain);
	do {
		if (rc == 0) {
			check->count = 0;
			rc = audit_head_list(m, after, INT64_MAX, gather, check);
		}
		for (size_t i = 0; rc == 0 && i < check->count; i++, checked++) {
			after = check->heads[i].checkpoint.size;
			rc = check_head(m, keyring, check, &check->heads[i]);
		}
	} while (rc == 0 && check->count > 0);
	key_chain_clear(&check->chain);
	if (rc == 0 && ret_checked)
		*ret_checked = checked;
	return rc;
}
