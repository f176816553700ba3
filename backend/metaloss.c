/* Going on without the newest commits, when somebody has decided so; or with the packs alone, from a backup. */
#include "backend/metadb.h"

#include "backend/metacore.h"
#include "crypto/base/fault.h"

#include <inttypes.h>
#include <stdio.h>

/* Anchors, the database file if it is there, packs: up to a root that is the newest that anything tells of. */
static int open_rest(struct meta_core *core) {
	int rc = anchors_open(core->io, core->keys, false, &core->anchors);
	if (rc == 0)
		rc = vault_file_open(core->io, METADB_NAME, VAULT_FILE_READ, &core->file);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	rc = packs_open(core->io, core->keys, true, anchors_now(core->anchors), core->file, &core->tags, &core->packs);
	return rc == -ENOENT ? fault(EBADMSG, "%s", fault_message()) : rc;
}

static int remove_log(struct meta_core *core) {
	int rc = vault_io_unlink(core->io, WAL_NAME);
	if (rc < 0)
		return rc == -ENOENT ? 0 : rc;
	return vault_io_sync_dir(core->io, "");
}

/* What can be had of the log when the anchors are not asked. A log that does not fit to the pack goes. */
static int take_log(struct meta_core *core, struct wal_position *ret_log) {
	const struct wal_base base = core_wal_base(core);
	*ret_log = (struct wal_position){0};
	int rc = walchain_open(core->io, core->keys, true, &base, NULL, &core->wal);
	if (rc == -EBADMSG)
		return remove_log(core);
	if (rc == 0)
		walchain_position(core->wal, ret_log);
	return rc;
}

static int accept(struct meta_core *core, metadb_finding_fn *told, void *user) {
	char words[160];
	struct anchor anchor = {0};
	int rc = open_rest(core);
	if (rc == 0)
		rc = take_log(core, &anchor.log);
	if (rc < 0)
		return rc;
	const struct pack_head *last = packs_last(core->packs);
	anchor.pack_sequence = last->sequence;
	anchor.pages = last->pages;
	anchor.log_open = anchor.log.frames > 0;
	memcpy(anchor.root, last->root, sizeof anchor.root);
	rc = anchors_put(core->anchors, &anchor);
	if (rc < 0)
		return rc;
	(void)snprintf(words, sizeof words,
	        "checkpoint %" PRIu64 " and %" PRIu32 " frames of the log were accepted as the newest; what was "
	        "committed after them is lost",
	        anchor.pack_sequence, anchor.log.frames);
	return told(user, WAL_NAME, -1, words);
}

int metadb_accept_loss(VaultIo *io, const Keyring *keyring, const uint8_t vault_id[static METADB_VAULT_ID_BYTES],
        metadb_finding_fn *told, void *user) {
	struct meta_core core = {.io = io, .read_only = true};
	int rc = meta_keys_new(keyring, vault_id, &core.keys);
	if (rc == 0)
		rc = accept(&core, told, user);
	walchain_close(core.wal);
	vault_file_close(core.file);
	packs_close(core.packs);
	anchors_close(core.anchors);
	page_tags_free(&core.tags);
	meta_keys_free(core.keys);
	return fault_while(rc, "going on without the newest commits of %s", vault_io_path(io));
}

/* ---- from packs alone ---- */

void metadb_pack_name(uint64_t sequence, char ret_name[static METADB_PACK_NAME_BYTES]) {
	(void)snprintf(ret_name, METADB_PACK_NAME_BYTES, PACK_DIRECTORY "/%" PRIu64, sequence);
}

int metadb_check_pack(VaultIo *io, const Keyring *keyring, const uint8_t vault_id[static METADB_VAULT_ID_BYTES],
        uint64_t sequence, const uint8_t root[static 32], uint64_t *ret_previous,
        uint8_t ret_previous_root[static 32]) {
	struct meta_keys *keys = NULL;
	struct pack_head head;
	int rc = meta_keys_new(keyring, vault_id, &keys);
	if (rc == 0)
		rc = pack_check(io, keys, sequence, root, &head);
	meta_keys_free(keys);
	if (rc < 0)
		return rc;
	*ret_previous = head.is_base ? 0 : head.previous;
	memcpy(ret_previous_root, head.previous_root, META_HASH_BYTES);
	return 0;
}

static int open_head(const struct meta_keys *keys, uint64_t sequence, const uint8_t *root, struct bytes begin,
        struct pack_head *ret) {
	if (begin.size < PACK_HEAD_BYTES || pack_head_open(keys, sequence, begin.data, ret) < 0)
		return fault(EBADMSG, "the head of checkpoint pack %" PRIu64 " does not authenticate", sequence);
	if (memcmp(ret->root, root, META_HASH_BYTES) != 0)
		return fault(EBADMSG, "checkpoint pack %" PRIu64 " is of another history of this vault", sequence);
	return 0;
}

int metadb_pack_length(const Keyring *keyring, const uint8_t vault_id[static METADB_VAULT_ID_BYTES], uint64_t sequence,
        const uint8_t root[static 32], struct bytes begin, uint64_t *ret_bytes) {
	struct meta_keys *keys = NULL;
	struct pack_head head;
	int rc = meta_keys_new(keyring, vault_id, &keys);
	if (rc == 0)
		rc = open_head(keys, sequence, root, begin, &head);
	meta_keys_free(keys);
	if (rc == 0)
		*ret_bytes = pack_file_bytes(&head);
	return rc;
}

static int say_damage(void *user, const char *file, int64_t place, const char *words) {
	char copy[FAULT_MESSAGE_BYTES];
	(void)user;
	(void)place;
	(void)snprintf(copy, sizeof copy, "%s", words);
	return fault(EBADMSG, "%s: %s", file, copy);
}

static int check_last(const struct meta_core *core, uint64_t pack, const uint8_t *root) {
	const struct pack_head *last = packs_last(core->packs);
	if (last->sequence != pack)
		return fault(EBADMSG, "the newest checkpoint pack is %" PRIu64 " and should be %" PRIu64,
		        last->sequence, pack);
	if (memcmp(last->root, root, META_HASH_BYTES) != 0)
		return fault(EBADMSG,
		        "checkpoint pack %" PRIu64 " has another root than it should: it is of another "
		        "history of this vault",
		        pack);
	return packs_each_damage(core->packs, say_damage, NULL);
}

static int make_from_packs(struct meta_core *core, uint64_t pack, const uint8_t *root) {
	struct anchor anchor = {0};
	int rc = packs_open(core->io, core->keys, true, NULL, NULL, &core->tags, &core->packs);
	if (rc == 0)
		rc = check_last(core, pack, root);
	if (rc == 0)
		rc = core_rebuild(core);
	if (rc == 0)
		rc = remove_log(core);
	if (rc == 0)
		rc = anchors_open(core->io, core->keys, false, &core->anchors);
	if (rc < 0)
		return rc == -ENOENT ? fault(EBADMSG, "%s", fault_message()) : rc;
	const struct pack_head *last = packs_last(core->packs);
	anchor.pack_sequence = last->sequence;
	anchor.pages = last->pages;
	memcpy(anchor.root, last->root, sizeof anchor.root);
	return anchors_put(core->anchors, &anchor);
}

int metadb_from_packs(VaultIo *io, const Keyring *keyring, const uint8_t vault_id[static METADB_VAULT_ID_BYTES],
        uint64_t pack, const uint8_t root[static 32]) {
	struct meta_core core = {.io = io, .read_only = true};
	int rc = meta_keys_new(keyring, vault_id, &core.keys);
	if (rc == 0)
		rc = make_from_packs(&core, pack, root);
	vault_file_close(core.file);
	packs_close(core.packs);
	anchors_close(core.anchors);
	page_tags_free(&core.tags);
	meta_keys_free(core.keys);
	return rc;
}
