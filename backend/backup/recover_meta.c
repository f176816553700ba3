/* The metadata of a vault that is recovered: checkpoint packs, the database that they give, archives of the log. */
#include "backend/audit_archive.h"
#include "backend/audit_retain.h"
#include "backend/backup/recover_internal.h"
#include "backend/meta.h"
#include "backend/metadb.h"
#include "backend/objects/versions.h"
#include "backend/store_internal.h"
#include "crypto/base/array.h"
#include "crypto/base/fault.h"
#include "crypto/digest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST_BYTES ((size_t)4 << 20)
#define PART_REQUESTS (LAYOUT_PART_BYTES / REQUEST_BYTES)

struct fetching {
	struct recovery *recovery;
	VaultIo *io;
	struct recovery_names parts; /* all below meta/, by name: by pack and part */
	uint64_t *packs;             /* those of the chain, falling */
	size_t count, room;
	uint8_t *buffer; /* LAYOUT_PART_BYTES */
	uint8_t root[LAYOUT_HASH_BYTES],
	        previous_root[LAYOUT_HASH_BYTES]; /* of the pack that is fetched, the one before */
	uint64_t bytes, of;
};

/* ---- one pack ---- */

/* Part 0 of a pack, and how many follow it as 1, 2, … What else is there is none of its parts. */
static int parts_of(const struct fetching *f, uint64_t pack, size_t *ret_first, size_t *ret_count) {
	size_t first = 0, count = 0;
	char name[LAYOUT_NAME_BYTES];
	while (first < f->parts.count && f->parts.found[first].parsed.number != pack)
		first++;
	while (first + count < f->parts.count && f->parts.found[first + count].parsed.number == pack &&
	        f->parts.found[first + count].parsed.part == count)
		count++;
	if (count == 0) {
		layout_part_name(pack, 0, name);
		return fault(EBADMSG, "object %s of %s is missing", name, f->recovery->place->url);
	}
	*ret_first = first;
	*ret_count = count;
	return 0;
}

/* A part into the buffer; `version` NULL: the latest. */
static int get_part(struct fetching *f, const struct recovery_found *part, const char *version, uint64_t size) {
	struct object_request requests[PART_REQUESTS];
	size_t count = 0;
	if (size == 0 || size > LAYOUT_PART_BYTES)
		return fault(EBADMSG, "object %s of %s has %" PRIu64 " bytes, which no part of a pack has", part->name,
		        f->recovery->place->url, size);
	for (uint64_t at = 0; at < size; at += REQUEST_BYTES)
		requests[count++] = (struct object_request){.what = OBJECT_GET,
		        .name = part->name,
		        .version = version,
		        .offset = at,
		        .into = f->buffer + at,
		        .size = size - at < REQUEST_BYTES ? (size_t)(size - at) : REQUEST_BYTES};
	int rc = objects_do(f->recovery->objects, requests, count);
	for (size_t i = 0; i < count && rc == 0; i++)
		if (requests[i].got < requests[i].size)
			rc = fault(EBADMSG, "object %s of %s is shorter than its listing says", part->name,
			        f->recovery->place->url);
	return rc;
}

/* Of the size that it must have; of part 0 that is what its head says. -EBADMSG with words. */
struct wanted {
	uint64_t pack;
	uint64_t bytes; /* of the pack; 0: part 0 is to tell */
};

static uint64_t part_bytes(uint64_t pack_bytes, uint32_t part) {
	uint64_t from = part * LAYOUT_PART_BYTES;
	return pack_bytes - from < LAYOUT_PART_BYTES ? pack_bytes - from : LAYOUT_PART_BYTES;
}

/* One version into the buffer, if it can be the part. */
static int try_part(struct fetching *f, const struct recovery_found *part, const char *version, uint64_t size,
        struct wanted *wanted) {
	uint64_t bytes = wanted->bytes;
	if (bytes && size != part_bytes(bytes, part->parsed.part))
		return fault(EBADMSG, "object %s of %s has %" PRIu64 " bytes and should have %" PRIu64, part->name,
		        f->recovery->place->url, size, part_bytes(bytes, part->parsed.part));
	int rc = get_part(f, part, version, size);
	if (rc < 0 || bytes)
		return rc;
	rc = metadb_pack_length(
	        f->recovery->keyring, f->recovery->vault_id, wanted->pack, f->root, bytes_of(f->buffer, size), &bytes);
	if (rc == 0 && size != part_bytes(bytes, 0))
		rc = fault(EBADMSG, "it has %" PRIu64 " bytes and should have %" PRIu64, size, part_bytes(bytes, 0));
	if (rc < 0)
		return rc == -EBADMSG ? fault(EBADMSG, "object %s of %s: %s", part->name, f->recovery->place->url,
		                                fault_message())
		                      : rc;
	wanted->bytes = bytes;
	return 0;
}

/* As listed, else the newest that is kept of which that can be so. */
static int get_latest_part(struct fetching *f, const struct recovery_found *part, struct wanted *wanted) {
	struct object_versions versions;
	const struct object_version *version;
	char words[FAULT_MESSAGE_BYTES];
	int rc = part->is_listed ? try_part(f, part, NULL, part->size, wanted)
	                         : fault(EBADMSG, "object %s of %s is missing", part->name, f->recovery->place->url);
	if (rc == -ENOENT)
		rc = fault(EBADMSG, "object %s of %s is missing", part->name, f->recovery->place->url);
	if (rc != -EBADMSG)
		return rc;
	memcpy(words, fault_message(), sizeof words);
	int listed = object_versions_read(f->recovery->objects, part->name, &versions);
	if (listed < 0)
		rc = listed;
	for (size_t i = 0; (rc == -EBADMSG || rc == -ENOENT) && (version = object_versions_nth(&versions, i)); i++)
		rc = try_part(f, part, version->id, version->size, wanted);
	object_versions_clear(&versions);
	return rc == -EBADMSG || rc == -ENOENT ? fault(EBADMSG, "%s", words) : rc;
}

static int write_part(struct fetching *f, VaultFile *file, uint32_t part, uint64_t size) {
	int rc = vault_file_write_at(file, part * LAYOUT_PART_BYTES, bytes_of(f->buffer, size));
	f->bytes += rc == 0 ? size : 0;
	if (f->recovery->options->progress)
		f->recovery->options->progress(f->recovery->options->arg, "metadata", f->bytes, f->of);
	return rc;
}

static int put_in_place(struct fetching *f, const char *temporary, const char *name) {
	int rc = vault_io_rename(f->io, temporary, name);
	return rc < 0 ? rc : vault_io_sync_dir(f->io, "meta");
}

/* *count: those that are listed; then those that the pack has. */
static int fetch_parts(struct fetching *f, uint64_t pack, size_t first, size_t *count, const char *name) {
	char temporary[METADB_PACK_NAME_BYTES + 8], missing[LAYOUT_NAME_BYTES];
	_cleanup_(vault_file_closep) VaultFile *file = NULL;
	struct wanted wanted = {.pack = pack};
	uint64_t parts = 1;
	(void)snprintf(temporary, sizeof temporary, "%s.tmp", name);
	int rc = vault_file_open(f->io, temporary, VAULT_FILE_WRITE | VAULT_FILE_CREATE, &file);
	if (rc == 0)
		rc = vault_file_truncate(file, 0);
	for (size_t i = 0; i < parts && rc == 0; i++) {
		if (i == *count) {
			layout_part_name(pack, (uint32_t)i, missing);
			return fault(EBADMSG, "object %s of %s is missing", missing, f->recovery->place->url);
		}
		rc = get_latest_part(f, &f->parts.found[first + i], &wanted);
		if (rc == 0)
			rc = write_part(f, file, (uint32_t)i, part_bytes(wanted.bytes, (uint32_t)i));
		parts = rc == 0 ? (wanted.bytes + LAYOUT_PART_BYTES - 1) / LAYOUT_PART_BYTES : 0;
	}
	*count = (size_t)parts;
	if (rc == 0)
		rc = vault_file_sync(file);
	return rc < 0 ? rc : put_in_place(f, temporary, name);
}

static int check(struct fetching *f, uint64_t pack, uint64_t *ret_previous) {
	return metadb_check_pack(
	        f->io, f->recovery->keyring, f->recovery->vault_id, pack, f->root, ret_previous, f->previous_root);
}

/* Of one part another version, of which the pack is whole; else as it was. */
static int mend_part(struct fetching *f, const char *name, uint64_t pack, const struct recovery_found *part,
        uint64_t *ret_previous) {
	struct object_versions versions;
	_cleanup_(vault_file_closep) VaultFile *file = NULL;
	uint64_t size = 0, from = part->parsed.part * LAYOUT_PART_BYTES;
	int rc = object_versions_read(f->recovery->objects, part->name, &versions);
	if (rc == 0 && versions.count > 1)
		rc = vault_file_open(f->io, name, VAULT_FILE_WRITE, &file);
	if (rc == 0 && file)
		rc = vault_file_size(file, &size);
	if (rc == 0)
		rc = -EBADMSG;
	/* The newest comes last again, so that what is there is what it was. */
	for (size_t i = versions.count; file && i-- > 0 && rc == -EBADMSG;) {
		if (from >= size || versions.list[i].size != part_bytes(size, part->parsed.part))
			continue;
		rc = get_part(f, part, versions.list[i].id, versions.list[i].size);
		if (rc == 0)
			rc = write_part(f, file, part->parsed.part, versions.list[i].size);
		if (rc == 0)
			rc = check(f, pack, ret_previous);
		if (rc == 0)
			rc = vault_file_sync(file);
	}
	object_versions_clear(&versions);
	return rc;
}

static int fetch_pack(struct fetching *f, uint64_t pack, uint64_t *ret_previous) {
	char name[METADB_PACK_NAME_BYTES], words[FAULT_MESSAGE_BYTES];
	size_t first = 0, count = 0;
	uint64_t size = 0;
	metadb_pack_name(pack, name);
	if (vault_io_stat_size(f->io, name, &size) == 0 && check(f, pack, ret_previous) == 0) {
		f->bytes += size; /* of a recovery that did not end */
		return 0;
	}
	int rc = parts_of(f, pack, &first, &count);
	if (rc == 0)
		rc = fetch_parts(f, pack, first, &count, name);
	if (rc < 0)
		return rc;
	rc = check(f, pack, ret_previous);
	if (rc != -EBADMSG)
		return rc;
	memcpy(words, fault_message(), sizeof words);
	for (size_t i = 0; i < count && rc == -EBADMSG; i++)
		rc = mend_part(f, name, pack, &f->parts.found[first + i], ret_previous);
	if (rc == -EBADMSG)
		rc = fault(EBADMSG, "object %s of %s%s: %s", f->parts.found[first].name, f->recovery->place->url,
		        count > 1 ? " or another part of this pack" : "", words);
	return rc;
}

/* ---- all of them ---- */

static int add_pack(struct fetching *f, uint64_t pack) {
	uint64_t *packs = array_room(f->packs, &f->room, f->count + 1, sizeof *packs);
	if (!packs)
		return fault(ENOMEM, "no memory for the checkpoint packs");
	f->packs = packs;
	f->packs[f->count++] = pack;
	return 0;
}

static int fetch_chain(struct fetching *f) {
	const struct layout_super *super = &f->recovery->super;
	memcpy(f->root, super->root, sizeof f->root);
	for (uint64_t pack = super->pack, previous = 0;; pack = previous) {
		int rc = pack >= super->base && pack > 0 && (f->count == 0 || pack < f->packs[f->count - 1])
		                 ? add_pack(f, pack)
		                 : fault(EBADMSG, "the packs of generation %" PRIu64 " don't go back to their base",
		                           super->number);
		if (rc == 0)
			rc = fetch_pack(f, pack, &previous);
		if (rc < 0 || previous == 0)
			return rc;
		memcpy(f->root, f->previous_root, sizeof f->root);
	}
}

static bool is_of_chain(const struct fetching *f, const char *name) {
	char number[24];
	for (size_t i = 0; i < f->count; i++) {
		(void)snprintf(number, sizeof number, "%" PRIu64, f->packs[i]);
		if (strcmp(name, number) == 0)
			return true;
	}
	return false;
}

struct strays {
	const struct fetching *f;
	char (*names)[VAULT_NAME_MAX + 1];
	size_t count, room;
};

static int gather_stray(void *user, const char *name, bool is_directory) {
	struct strays *strays = user;
	if (is_directory || is_of_chain(strays->f, name))
		return 0;
	void *names = array_room(strays->names, &strays->room, strays->count + 1, sizeof *strays->names);
	if (!names)
		return fault(ENOMEM, "no memory to list meta/");
	strays->names = names;
	(void)snprintf(strays->names[strays->count++], sizeof *strays->names, "meta/%s", name);
	return 0;
}

/* Of a recovery that did not end: packs of another generation, anchors, files being written. */
static int remove_strays(struct fetching *f) {
	struct strays strays = {.f = f};
	int rc = vault_io_list(f->io, "meta", gather_stray, &strays);
	for (size_t i = 0; i < strays.count && rc == 0; i++)
		rc = vault_io_unlink(f->io, strays.names[i]);
	free(strays.names);
	return rc;
}

static void count_bytes(struct fetching *f) {
	const struct layout_super *super = &f->recovery->super;
	for (size_t i = 0; i < f->parts.count; i++)
		if (f->parts.found[i].parsed.number >= super->base && f->parts.found[i].parsed.number <= super->pack)
			f->of += f->parts.found[i].size;
}

int recovery_metadata(struct recovery *recovery, VaultIo *io) {
	struct fetching f = {.recovery = recovery, .io = io, .buffer = malloc(LAYOUT_PART_BYTES)};
	const struct layout_super *super = &recovery->super;
	int rc = f.buffer ? 0 : fault(ENOMEM, "no memory to fetch the metadata");
	if (rc == 0)
		rc = recovery_names(recovery->objects, "meta/", LAYOUT_PART, &f.parts);
	if (rc == 0)
		rc = vault_io_mkdir(io, "meta");
	if (rc == 0)
		rc = vault_io_sync_dir(io, "");
	count_bytes(&f);
	if (rc == 0)
		rc = fetch_chain(&f);
	if (rc == 0)
		rc = remove_strays(&f);
	if (rc == 0)
		rc = metadb_from_packs(io, recovery->keyring, recovery->vault_id, super->pack, super->root);
	free(f.parts.found);
	free(f.packs);
	free(f.buffer);
	return rc;
}

/* ---- archives of the log ---- */

static int is_archive(void *arg, struct bytes object) {
	const struct audit_archived *archived = arg;
	uint8_t hash[DIGEST_BYTES];
	sha256(object, hash);
	return object.size == archived->bytes && digest_equal(hash, archived->sha256)
	               ? 0
	               : fault(EBADMSG, "its bytes are not those that the log says");
}

static bool is_there(VaultIo *io, const char *name, struct audit_archived *archived) {
	_cleanup_(freep) uint8_t *bytes = NULL;
	size_t size = 0;
	return vault_io_read_all(io, name, AUDIT_ARCHIVE_BYTES_MAX, &bytes, &size) == 0 &&
	       is_archive(archived, bytes_of(bytes, size)) == 0;
}

/* One that is lost takes nothing else with it: the vault is as whole without. */
static int fetch_archive(struct recovery *recovery, VaultIo *io, struct audit_archived *archived) {
	_cleanup_(freep) uint8_t *bytes = NULL;
	char name[AUDIT_RETAIN_NAME_BYTES], object[LAYOUT_NAME_BYTES];
	size_t size = 0;
	audit_retain_name(archived->first, name);
	layout_audit_name(archived->first, object);
	if (is_there(io, name, archived))
		return 0;
	int rc = recovery_get(recovery->objects, object, AUDIT_ARCHIVE_BYTES_MAX, is_archive, archived, &bytes, &size);
	if (rc == -EBADMSG || rc == -ENOENT) {
		recovery_notice(recovery, "%s: records %" PRIu64 " to %" PRIu64 " of the audit log%s", fault_message(),
		        archived->first, archived->end - 1,
		        archived->pruned ? " are in no other file of the vault" : " are in the database, too");
		return 0;
	}
	if (rc == 0)
		rc = vault_io_mkdir(io, "audit");
	return rc < 0 ? rc : vault_io_replace(io, name, bytes_of(bytes, size));
}

static int list_archives(struct recovery *recovery, VaultIo *io, struct audit_archived **ret_list, size_t *ret_count) {
	_cleanup_(metadb_abandonp) MetaDb *db = NULL;
	_cleanup_(meta_closep) Meta *meta = NULL;
	int rc = metadb_open(io, recovery->keyring, recovery->vault_id, METADB_READ_ONLY, &db);
	if (rc == 0)
		rc = meta_open(db, NULL, &meta);
	if (rc < 0)
		return rc;
	meta_begin(meta);
	return meta_end(meta, audit_retain_all(meta, ret_list, ret_count));
}

int recovery_archives(struct recovery *recovery, VaultIo *io) {
	_cleanup_(freep) struct audit_archived *list = NULL;
	size_t count = 0;
	int rc = list_archives(recovery, io, &list, &count);
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = fetch_archive(recovery, io, &list[i]);
	return rc;
}
