/*
 * Superblocks as a place has them. Nobody can make an old one again: one that does not open is put again from an older
 * version of the object, where the place keeps those, or a person has to remove it.
 */
#include "backend/backup/verify_internal.h"
#include "backend/objects/versions.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Puts a version again if it opens. -EBADMSG: it does not. */
static int put_version(struct verify *v, uint64_t number, const char *name, const struct object_version *version) {
	struct layout_super super = {0};
	_cleanup_(freep) uint8_t *bytes = NULL;
	size_t size = 0;
	int rc = object_version_get(v->ship.objects, name, version, LAYOUT_SUPER_BYTES_MAX, &bytes, &size);
	if (rc == 0)
		rc = layout_super_open(
		        store_keyring(v->ship.store), v->ship.vault_id, number, bytes_of(bytes, size), &super);
	if (rc == 0)
		rc = verify_put(v, name, bytes_of(bytes, size));
	layout_super_clear(&super);
	return rc;
}

static int heal(struct verify *v, uint64_t number, const char *name) {
	struct object_versions versions;
	const struct object_version *version;
	if (!v->heal)
		return -EPERM;
	int rc = object_versions_read(v->ship.objects, name, &versions);
	if (rc == 0)
		rc = -EBADMSG;
	for (size_t i = 0; (rc == -EBADMSG || rc == -ENOENT) && (version = object_versions_nth(&versions, i)); i++)
		rc = put_version(v, number, name, version);
	object_versions_clear(&versions);
	return rc;
}

/* A shell's line that removes an object. Prefixes are of plain letters, directories need not be. */
static void say_removal(const struct verify *v, const char *name, char *into, size_t room) {
	const char *url = objects_url(v->ship.objects);
	static const char file[] = "file://";
	if (strncmp(url, file, sizeof file - 1) == 0)
		(void)snprintf(into, room, "rm '%s/%s'", url + sizeof file - 1, name);
	else
		(void)snprintf(into, room, "aws s3 rm '%s/%s'%s%s", url, name, *v->endpoint ? " --endpoint-url " : "",
		        v->endpoint);
}

static int tell(struct verify *v, uint64_t number, const char *name) {
	char words[FAULT_MESSAGE_BYTES], removal[2 * FAULT_MESSAGE_BYTES], all[4 * FAULT_MESSAGE_BYTES];
	(void)snprintf(words, sizeof words, "%s", fault_message());
	int rc = heal(v, number, name);
	say_removal(v, name, removal, sizeof removal);
	if (rc < 0)
		(void)snprintf(all, sizeof all,
		        "%s; as nobody knows what it needs, nothing is removed there until it is: %s", words, removal);
	return verify_tell(v, name, rc < 0 ? all : words, rc);
}

int verify_supers(struct verify *v) {
	int rc = 0;
	for (size_t i = 0; i < v->ship.inventory.super_count && rc == 0; i++) {
		struct layout_super super = {0};
		uint64_t number = v->ship.inventory.supers[i];
		char name[LAYOUT_NAME_BYTES];
		layout_super_name(number, name);
		rc = ship_read_super(&v->ship, number, &super);
		layout_super_clear(&super);
		if (rc == 0)
			rc = verify_count(v, 1, 0);
		else if (rc == -EBADMSG)
			rc = tell(v, number, name);
		else if (rc == -ENOENT)
			rc = 0; /* removed meanwhile, as it is not kept */
	}
	return rc;
}
