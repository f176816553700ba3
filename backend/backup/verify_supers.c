/*
 * Superblocks as a place has them. Nobody can make an old one again: one that does not open is put again from an older
 * version of the object, where the place keeps those, or a person has to remove it.
 */
#include "backend/backup/verify_internal.h"
#include "crypto/base/array.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define VERSION_BYTES 256
#define VERSIONS_MAX 64
#define SUPER_BYTES_MAX ((size_t)4 << 20)

struct versions {
	const char *name;
	char (*ids)[VERSION_BYTES]; /* newest first */
	size_t count, room;
};

static int take_version(void *arg, const struct object_info *object) {
	struct versions *versions = arg;
	if (strcmp(object->name, versions->name) != 0 || object->is_removed || !*object->version ||
	        strlen(object->version) >= VERSION_BYTES || versions->count == VERSIONS_MAX)
		return 0;
	void *grown = array_room(versions->ids, &versions->room, versions->count + 1, VERSION_BYTES);
	if (!grown)
		return fault(ENOMEM, "no memory for versions of a superblock");
	versions->ids = grown;
	(void)snprintf(versions->ids[versions->count++], VERSION_BYTES, "%s", object->version);
	return 0;
}

/* Puts a version again if it opens. -EBADMSG: it does not. */
static int put_version(struct verify *v, uint64_t number, const char *name, const char *version) {
	struct layout_super super = {0};
	_cleanup_(freep) uint8_t *bytes = malloc(SUPER_BYTES_MAX);
	_cleanup_(freep) struct object_request *request = calloc(1, sizeof *request);
	if (!bytes || !request)
		return fault(ENOMEM, "no memory to heal a superblock");
	*request = (struct object_request){
	        .what = OBJECT_GET, .name = name, .version = version, .into = bytes, .size = SUPER_BYTES_MAX};
	int rc = objects_do(v->ship.objects, request, 1);
	if (rc == 0)
		rc = layout_super_open(v->ship.key, v->ship.vault_id, number, bytes_of(bytes, request->got), &super);
	if (rc == 0)
		rc = verify_put(v, name, bytes_of(bytes, request->got));
	layout_super_clear(&super);
	return rc;
}

static int heal(struct verify *v, uint64_t number, const char *name) {
	struct versions versions = {.name = name};
	if (!v->heal)
		return -EPERM;
	int rc = objects_versions(v->ship.objects, name, take_version, &versions);
	if (rc == 0)
		rc = -EBADMSG;
	for (size_t i = 0; i < versions.count && (rc == -EBADMSG || rc == -ENOENT); i++)
		rc = put_version(v, number, name, versions.ids[i]);
	free(versions.ids);
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
