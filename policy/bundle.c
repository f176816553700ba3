#include "policy/bundle.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

static const char magic[] = "assayfs-bundle-1\n";
#define MAGIC_BYTES (sizeof magic - 1)

struct entry {
	char *name;
	uint8_t *data;
	size_t size;
};

struct PolicyBundle {
	struct entry *entries; /* sorted by name, bytewise */
	size_t count;
};

int policy_bundle_new(PolicyBundle **ret_bundle) {
	PolicyBundle *bundle = calloc(1, sizeof *bundle);
	if (!bundle)
		return fault(ENOMEM, "no memory for a policy bundle");
	*ret_bundle = bundle;
	return 0;
}

void policy_bundle_free(PolicyBundle *bundle) {
	if (!bundle)
		return;
	for (size_t i = 0; i < bundle->count; i++) {
		free(bundle->entries[i].name);
		free(bundle->entries[i].data);
	}
	free(bundle->entries);
	free(bundle);
}

static bool is_name_byte(char c) {
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("._-/", c);
}

static bool is_name(const char *name, size_t length) {
	if (length == 0 || length > 255)
		return false;
	for (size_t i = 0; i < length; i++)
		if (name[i] == '\0' || !is_name_byte(name[i]))
			return false;
	for (size_t at = 0; at <= length;) {
		size_t part = 0;
		while (at + part < length && name[at + part] != '/')
			part++;
		if (part == 0 || (part == 1 && name[at] == '.') ||
		        (part == 2 && name[at] == '.' && name[at + 1] == '.'))
			return false;
		at += part + 1;
	}
	return true;
}

/* Where `name` stands, or would have to be put. */
static size_t place_of(const PolicyBundle *bundle, const char *name, bool *ret_found) {
	size_t low = 0, high = bundle->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(bundle->entries[middle].name, name);
		if (order == 0) {
			*ret_found = true;
			return middle;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_found = false;
	return low;
}

static size_t archive_size(const PolicyBundle *bundle) {
	size_t size = MAGIC_BYTES + 4;
	for (size_t i = 0; i < bundle->count; i++)
		size += 8 + strlen(bundle->entries[i].name) + bundle->entries[i].size;
	return size;
}

static int check_room(const PolicyBundle *bundle, const char *name, size_t size, bool is_new) {
	if (size > BUNDLE_FILE_MAX)
		return fault(EFBIG, "%s is larger than %u bytes, too large for a policy", name, BUNDLE_FILE_MAX);
	if (is_new && bundle->count >= BUNDLE_FILES_MAX)
		return fault(EFBIG, "a policy has at most %d files", BUNDLE_FILES_MAX);
	if (archive_size(bundle) + 8 + strlen(name) + size > BUNDLE_TOTAL_MAX)
		return fault(EFBIG, "the policy's files are larger than %u bytes together", BUNDLE_TOTAL_MAX);
	return 0;
}

static int insert(PolicyBundle *bundle, size_t place, const char *name, struct entry *ret_entry) {
	struct entry *grown = reallocarray(bundle->entries, bundle->count + 1, sizeof *grown);
	if (!grown)
		return fault(ENOMEM, "no memory for a policy bundle");
	bundle->entries = grown;
	char *copy = strdup(name);
	if (!copy)
		return fault(ENOMEM, "no memory for a policy bundle");
	memmove(grown + place + 1, grown + place, (bundle->count - place) * sizeof *grown);
	grown[place] = (struct entry){.name = copy};
	bundle->count++;
	*ret_entry = grown[place];
	return 0;
}

int policy_bundle_put(PolicyBundle *bundle, const char *name, struct bytes content) {
	if (!is_name(name, strlen(name)))
		return fault(EINVAL,
		        "a file of a policy can't be called '%.255s'; use letters, digits, '.', '_', '-' and '/'",
		        name);
	bool found;
	size_t place = place_of(bundle, name, &found);
	int rc = check_room(bundle, name, content.size, !found);
	if (rc < 0)
		return rc;
	_cleanup_(freep) uint8_t *copy = malloc(content.size + 1);
	if (!copy)
		return fault(ENOMEM, "no memory for %s", name);
	if (content.size > 0)
		memcpy(copy, content.data, content.size);
	copy[content.size] = '\0';
	struct entry added;
	if (!found && (rc = insert(bundle, place, name, &added)) < 0)
		return rc;
	free(bundle->entries[place].data);
	bundle->entries[place].data = steal_pointer(&copy);
	bundle->entries[place].size = content.size;
	return 0;
}

int policy_bundle_get(const PolicyBundle *bundle, const char *name, struct bytes *ret_content) {
	bool found;
	size_t place = place_of(bundle, name, &found);
	if (!found)
		return fault(ENOENT, "the policy has no file %s", name);
	*ret_content = bytes_of(bundle->entries[place].data, bundle->entries[place].size);
	return 0;
}

size_t policy_bundle_count(const PolicyBundle *bundle) {
	return bundle->count;
}

const char *policy_bundle_name(const PolicyBundle *bundle, size_t i) {
	return i < bundle->count ? bundle->entries[i].name : NULL;
}

static uint8_t *put_part(uint8_t *to, const void *data, size_t size) {
	le32_put(to, (uint32_t)size);
	if (size > 0)
		memcpy(to + 4, data, size);
	return to + 4 + size;
}

int policy_bundle_serialise(const PolicyBundle *bundle, uint8_t **ret_archive, size_t *ret_size) {
	size_t size = archive_size(bundle);
	uint8_t *archive = malloc(size);
	if (!archive)
		return fault(ENOMEM, "no memory for a policy bundle");
	memcpy(archive, magic, MAGIC_BYTES);
	uint8_t *at = archive + MAGIC_BYTES;
	le32_put(at, (uint32_t)bundle->count);
	at += 4;
	for (size_t i = 0; i < bundle->count; i++) {
		at = put_part(at, bundle->entries[i].name, strlen(bundle->entries[i].name));
		at = put_part(at, bundle->entries[i].data, bundle->entries[i].size);
	}
	*ret_archive = archive;
	*ret_size = size;
	return 0;
}

static int take_part(struct bytes *rest, size_t most, struct bytes *ret_part) {
	if (rest->size < 4)
		return fault(EBADMSG, "the policy archive is cut short");
	size_t size = le32_get(rest->data);
	if (size > most || size > rest->size - 4)
		return fault(EBADMSG, "the policy archive has a part of impossible length");
	*ret_part = bytes_of(rest->data + 4, size);
	*rest = bytes_of(rest->data + 4 + size, rest->size - 4 - size);
	return 0;
}

static int take_entry(struct bytes *rest, PolicyBundle *bundle) {
	struct bytes name, content;
	int rc = take_part(rest, 255, &name);
	if (rc < 0 || (rc = take_part(rest, BUNDLE_FILE_MAX, &content)) < 0)
		return rc;
	if (!is_name((const char *)name.data, name.size))
		return fault(EBADMSG, "the policy archive has a file without a proper name");
	char text[256];
	memcpy(text, name.data, name.size);
	text[name.size] = '\0';
	if (bundle->count > 0 && strcmp(bundle->entries[bundle->count - 1].name, text) >= 0)
		return fault(EBADMSG, "the policy archive is not in order at %s", text);
	rc = policy_bundle_put(bundle, text, content);
	return rc == -EFBIG ? fault_while(-EBADMSG, "the policy archive") : rc;
}

int policy_bundle_parse(struct bytes archive, PolicyBundle **ret_bundle) {
	if (archive.size > BUNDLE_TOTAL_MAX || archive.size < MAGIC_BYTES + 4 ||
	        memcmp(archive.data, magic, MAGIC_BYTES) != 0)
		return fault(EBADMSG, "this is no policy archive");
	uint32_t count = le32_get(archive.data + MAGIC_BYTES);
	if (count > BUNDLE_FILES_MAX)
		return fault(EBADMSG, "the policy archive has too many files");
	struct bytes rest = bytes_of(archive.data + MAGIC_BYTES + 4, archive.size - MAGIC_BYTES - 4);
	_cleanup_(policy_bundle_freep) PolicyBundle *bundle = NULL;
	int rc = policy_bundle_new(&bundle);
	for (uint32_t i = 0; rc == 0 && i < count; i++)
		rc = take_entry(&rest, bundle);
	if (rc < 0)
		return rc;
	if (rest.size > 0)
		return fault(EBADMSG, "the policy archive has bytes after its end");
	*ret_bundle = steal_pointer(&bundle);
	return 0;
}

int policy_bundle_sha256(const PolicyBundle *bundle, uint8_t ret_hash[static BUNDLE_HASH_BYTES]) {
	_cleanup_(freep) uint8_t *archive = NULL;
	size_t size;
	int rc = policy_bundle_serialise(bundle, &archive, &size);
	if (rc < 0)
		return rc;
	if (EVP_Digest(archive, size, ret_hash, NULL, EVP_sha256(), NULL) != 1)
		return fault(EIO, "SHA-256 of the policy failed");
	return 0;
}
