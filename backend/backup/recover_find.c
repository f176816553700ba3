/* What is in a place of objects: vault.json, which generation is taken, and versions of both. */
#include "backend/backup/recover_internal.h"
#include "backend/objects/versions.h"
#include "backend/store_internal.h"
#include "crypto/base/array.h"
#include "crypto/base/fault.h"
#include "crypto/base/utc.h"
#include "crypto/digest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Each costs a stretching of the passphrase, or several. Anybody who can write there can put them. */
#define HEADERS_TRIED 64u
/* Memory × passes of all slots; a vault.json that asks for more comes after those that don't. */
#define HEADER_WORK_CHEAP ((uint64_t)8 << 30)

void recovery_notice(const struct recovery *recovery, const char *format, ...) {
	char words[FAULT_MESSAGE_BYTES];
	va_list arguments;
	va_start(arguments, format);
	(void)vsnprintf(words, sizeof words, format, arguments);
	va_end(arguments);
	if (recovery->options->notice)
		recovery->options->notice(recovery->options->arg, words);
}

/* ---- names ---- */

static int by_name(const void *a, const void *b) {
	return strcmp(((const struct recovery_found *)a)->name, ((const struct recovery_found *)b)->name);
}

static int add_name(struct recovery_names *names, const struct object_info *object, bool is_listed) {
	struct layout_name parsed;
	layout_parse(object->name, &parsed);
	if (parsed.kind != names->kind || strlen(object->name) >= LAYOUT_NAME_BYTES)
		return 0;
	struct recovery_found *found = array_room(names->found, &names->room, names->count + 1, sizeof *found);
	if (!found)
		return fault(ENOMEM, "no memory to list the backup");
	names->found = found;
	found = &found[names->count++];
	*found = (struct recovery_found){.parsed = parsed, .size = object->size, .is_listed = is_listed};
	(void)snprintf(found->name, sizeof found->name, "%s", object->name);
	return 0;
}

static int add_listed(void *arg, const struct object_info *object) {
	return add_name(arg, object, true);
}

static int add_version(void *arg, const struct object_info *object) {
	return object->is_removed ? 0 : add_name(arg, object, false);
}

/* One entry a name: the listed one, else the newest version. The sort is stable in no way, so the marks are merged. */
static void merge(struct recovery_names *names) {
	size_t kept = 0;
	if (names->count > 1)
		qsort(names->found, names->count, sizeof *names->found, by_name);
	for (size_t i = 0; i < names->count; i++) {
		struct recovery_found *found = &names->found[i];
		if (kept > 0 && strcmp(names->found[kept - 1].name, found->name) == 0) {
			if (found->is_listed)
				names->found[kept - 1] = *found;
			continue;
		}
		names->found[kept++] = *found;
	}
	names->count = kept;
}

int recovery_names(Objects *objects, const char *prefix, enum layout_kind kind, struct recovery_names *ret) {
	struct recovery_names names = {.kind = kind};
	int rc = objects_list(objects, prefix, add_listed, &names);
	if (rc == 0) {
		/* Who may not list versions, or has none, goes on with what is listed. */
		size_t listed = names.count;
		rc = objects_versions(objects, prefix, add_version, &names);
		if (rc == -EACCES || rc == -ENOTSUP) {
			names.count = listed;
			rc = 0;
		}
	}
	if (rc < 0) {
		free(names.found);
		return rc;
	}
	merge(&names);
	*ret = names;
	return 0;
}

/* ---- an object of which something tells what it must be ---- */

static int get_earlier(Objects *objects, const char *name, size_t limit, recovery_proof_fn *proves, void *arg,
        uint8_t **ret_data, size_t *ret_size) {
	struct object_versions versions;
	const struct object_version *version;
	int rc = object_versions_read(objects, name, &versions);
	if (rc == 0)
		rc = -ENOENT;
	for (size_t i = 0; rc < 0 && (version = object_versions_nth(&versions, i)); i++) {
		_cleanup_(freep) uint8_t *data = NULL;
		rc = object_version_get(objects, name, version, limit, &data, ret_size);
		if (rc == 0)
			rc = proves(arg, bytes_of(data, *ret_size));
		if (rc == 0)
			*ret_data = steal_pointer(&data);
	}
	object_versions_clear(&versions);
	return rc;
}

int recovery_get(Objects *objects, const char *name, size_t limit, recovery_proof_fn *proves, void *arg,
        uint8_t **ret_data, size_t *ret_size) {
	char words[FAULT_MESSAGE_BYTES];
	uint8_t *data = NULL;
	size_t size = 0;
	int rc = objects_get_all(objects, name, limit, &data, &size);
	if (rc == 0)
		rc = proves(arg, bytes_of(data, size));
	if (rc == -EFBIG)
		rc = fault(EBADMSG, "%s", fault_message());
	if (rc == -EBADMSG || rc == -ENOENT) {
		free(data);
		data = NULL;
		memcpy(words, fault_message(), sizeof words);
		if (get_earlier(objects, name, limit, proves, arg, &data, &size) == 0)
			rc = 0;
		else
			rc = rc == -ENOENT ? fault(ENOENT, "object %s of %s is missing", name, objects_url(objects))
			                   : fault(EBADMSG, "object %s of %s: %s", name, objects_url(objects), words);
	}
	if (rc < 0) {
		free(data);
		return rc;
	}
	*ret_data = data;
	*ret_size = size;
	return 0;
}

/* ---- vault.json ---- */

static int is_named_so(void *arg, struct bytes object) {
	const struct layout_name *parsed = arg;
	uint8_t hash[DIGEST_BYTES];
	char name[LAYOUT_NAME_BYTES];
	struct layout_name now;
	blake2b(object, hash);
	layout_header_name(parsed->number, hash, name);
	layout_parse(name, &now);
	return strcmp(now.hash, parsed->hash) == 0 ? 0 : fault(EBADMSG, "its bytes are not those that its name says");
}

/* What unlocking it costs, with this kind of secret. */
static uint64_t work_of(const struct recovery *recovery, const VaultHeader *header) {
	uint64_t work = 0;
	for (size_t i = 0; i < header_slot_count(header); i++) {
		struct slot_info slot;
		if (header_slot(header, i, &slot) == 0 && slot.type == SLOT_PASSPHRASE &&
		        recovery->secret->kind == STORE_PASSPHRASE)
			work += slot.kdf.memory * slot.kdf.passes;
	}
	return work;
}

/* Takes over what this vault.json opens. */
static int unlock(struct recovery *recovery, const VaultHeader *header, uint8_t **json, size_t size) {
	Keyring *keyring = NULL;
	const struct recover_options *options = recovery->options;
	int rc = options->unwrap ? options->unwrap(options->unwrap_arg, header) : 0;
	if (rc < 0)
		return rc;
	const struct slot_secret slot = store_slot_secret(recovery->secret);
	rc = header_unlock(header, &slot, &keyring);
	if (rc < 0)
		return rc;
	keyring_free(recovery->keyring);
	free(recovery->json);
	recovery->keyring = keyring;
	recovery->json = *json;
	recovery->json_size = size;
	recovery->header = header_generation(header);
	memcpy(recovery->vault_id, header_vault_id(header), sizeof recovery->vault_id);
	*json = NULL;
	return 0;
}

static int parse(uint8_t *json, size_t size, VaultHeader **ret) {
	int rc = header_parse(bytes_of(json, size), ret);
	return rc == -ENOMEM || rc == 0 ? rc : fault(EBADMSG, "%s", fault_message());
}

/* ---- which vault.json ---- */

struct headers {
	struct recovery *recovery;
	struct recovery_names names;
	unsigned tried, damaged;
	int rc; /* of the first that was no use; a rejected secret outweighs damage, no superblock outweighs both */
	char words[FAULT_MESSAGE_BYTES];
};

static void remember(struct headers *h, int rc) {
	static const int weights[] = {-ENOENT, -EBADMSG, -EKEYREJECTED, -ENODATA};
	size_t old = 0, new = 0;
	for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) {
		old = h->rc == weights[i] ? i + 1 : old;
		new = rc == weights[i] ? i + 1 : new;
	}
	if (new <= old)
		return;
	h->rc = rc;
	memcpy(h->words, fault_message(), sizeof h->words);
}

/* 1: it is the one; 0: it is none, or is dear and `is_cheap`. */
static int try_header(struct headers *h, const struct recovery_found *found, bool is_cheap) {
	_cleanup_(freep) uint8_t *json = NULL;
	_cleanup_(header_freep) VaultHeader *header = NULL;
	struct layout_name parsed = found->parsed;
	size_t size = 0;
	int rc = recovery_get(h->recovery->objects, found->name, HEADER_BYTES_MAX, is_named_so, &parsed, &json, &size);
	if (rc == 0)
		rc = parse(json, size, &header);
	if (rc == 0 && (work_of(h->recovery, header) <= HEADER_WORK_CHEAP) != is_cheap)
		return 0;
	if (rc == 0) {
		h->tried++;
		rc = unlock(h->recovery, header, &json, size);
		/* That it opens is not enough: it may be another vault's. */
		int has = rc == 0 ? recovery_has_super(h->recovery) : 0;
		if (has != 0)
			return has;
		if (rc == 0)
			rc = fault(ENODATA, "none of the superblocks there is of this vault: %s", fault_message());
	}
	if (rc != -EKEYREJECTED && rc != -EBADMSG && rc != -ENOENT && rc != -ENODATA)
		return fault_while(rc, "%s", found->name);
	h->damaged += is_cheap && (rc == -EBADMSG || rc == -ENOENT);
	remember(h, fault_while(rc, "%s", found->name));
	return 0;
}

/* Newest first: names begin with the generation. An older one is tried, as anybody who can write there can put a newer
 * one that opens for nobody; those that are dear to try come last. */
static int open_newest(struct headers *h) {
	for (unsigned dear = 0; dear < 2; dear++)
		for (size_t i = h->names.count; i-- > 0 && h->tried < HEADERS_TRIED;) {
			int rc = try_header(h, &h->names.found[i], dear == 0);
			if (rc == 1 && h->rc < 0)
				recovery_notice(h->recovery, "%s; going on with %s", h->words, h->names.found[i].name);
			if (rc != 0)
				return rc < 0 ? rc : 0;
		}
	if (h->rc == -EKEYREJECTED && h->tried > 1)
		return fault(EKEYREJECTED,
		        "%zu headers (vault.json) in %s, %u of them tried, %u damaged: none opened by this secret",
		        h->names.count, h->recovery->place->url, h->tried, h->damaged);
	return fault(h->rc == -ENODATA ? EBADMSG : h->rc ? -h->rc : ENOENT, "%s", h->words);
}

int recovery_open(struct recovery *recovery) {
	struct headers headers = {.recovery = recovery};
	int rc = recovery->options->open
	                 ? recovery->options->open(recovery->place, &recovery->objects, recovery->options->open_arg)
	                 : objects_open(recovery->place, &recovery->objects);
	if (rc == 0)
		rc = recovery_names(recovery->objects, "header/", LAYOUT_HEADER, &headers.names);
	if (rc == 0 && headers.names.count == 0)
		rc = fault(ENOENT, "%s has no backup of a vault: there is nothing below header/", recovery->place->url);
	if (rc == 0)
		rc = supers_read(recovery->objects, &recovery->supers);
	if (rc == 0)
		rc = open_newest(&headers);
	free(headers.names.found);
	return rc;
}

void recovery_clear(struct recovery *recovery) {
	layout_super_clear(&recovery->super);
	supers_free(recovery->supers);
	keyring_free(recovery->keyring);
	free(recovery->json);
	objects_close(recovery->objects);
}

/* ---- which superblock ---- */

struct choice {
	struct recovery *recovery;
	int64_t oldest_ns;
};

static int choose(void *arg, const struct layout_super *super) {
	struct choice *choice = arg;
	struct recovery *recovery = choice->recovery;
	choice->oldest_ns = super->time_ns;
	if (recovery->options->at_ns && super->time_ns > recovery->options->at_ns)
		return 0;
	recovery->super = *super;
	recovery->super.leaving = NULL; /* nothing here asks what leaves */
	recovery->super.leaving_count = 0;
	return 1;
}

static int is_the_header(void *arg, struct bytes object) {
	const struct layout_super *super = arg;
	uint8_t hash[DIGEST_BYTES];
	blake2b(object, hash);
	return digest_equal(hash, super->header_hash) ? 0 : fault(EBADMSG, "its bytes are not those of the superblock");
}

/* A newer vault.json has all keys of the older one, and who may unlock it now. */
static int take_header(struct recovery *recovery) {
	_cleanup_(freep) uint8_t *json = NULL;
	_cleanup_(header_freep) VaultHeader *header = NULL;
	char name[LAYOUT_NAME_BYTES];
	struct layout_super *super = &recovery->super;
	uint64_t opened = recovery->header;
	size_t size = 0;
	if (is_the_header(super, bytes_of(recovery->json, recovery->json_size)) == 0)
		return 0;
	layout_header_name(super->header, super->header_hash, name);
	int rc = recovery_get(recovery->objects, name, HEADER_BYTES_MAX, is_the_header, super, &json, &size);
	if (rc == 0)
		rc = parse(json, size, &header);
	if (rc == 0)
		rc = unlock(recovery, header, &json, size);
	if (rc == 0 || opened <= super->header || (rc != -EKEYREJECTED && rc != -EBADMSG && rc != -ENOENT))
		return rc == -ENOENT ? fault(EBADMSG, "%s", fault_message()) : fault_while(rc, "%s", name);
	recovery_notice(recovery, "%s does not open (%s): the newer vault.json of generation %" PRIu64 " is taken",
	        name, fault_message(), opened);
	return 0;
}

static int64_t realtime_ns(void) {
	struct timespec now;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int recovery_choose(struct recovery *recovery) {
	struct choice choice = {.recovery = recovery};
	char at[UTC_TEXT_BYTES], oldest[UTC_TEXT_BYTES];
	int rc = recovery_supers(recovery, choose, &choice);
	if (rc == 0)
		return fault(ENOENT, "%s has no generation as of %s or before: the oldest is of %s",
		        recovery->place->url, utc_stamp(recovery->options->at_ns, at),
		        utc_stamp(choice.oldest_ns, oldest));
	if (rc > 0 && recovery->options->at_ns > realtime_ns())
		recovery_notice(recovery, "%s is in the future: the newest generation, %" PRIu64 " of %s, is taken",
		        utc_stamp(recovery->options->at_ns, at), recovery->super.number,
		        utc_stamp(recovery->super.time_ns, oldest));
	return rc < 0 ? rc : take_header(recovery);
}
