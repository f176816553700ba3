/* What `assayfs versions` asks: what a name showed over time. */
#include "fs/service/internal.h"

#include "crypto/base/fault.h"
#include "policy/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define VERSIONS_MAX 100000

struct listed {
	uint64_t ordinal;
	struct version version;
	enum outcome outcome;
};

struct listing {
	struct listed *rows;
	size_t count, room;
	const Service *service;
	const struct control_peer *peer;
	const struct node *present;
};

/* The mode of the file that is there speaks for its own versions. */
bool service_shows_version(const Service *service, const struct control_peer *peer, const struct node *present,
        const struct version *version) {
	if (version->state == VERSION_WITHDRAWN && version->zone == ZONE_TRUSTED && peer->uid != service->mounter)
		return false;
	const struct node as_it_was = service_as_it_was(version);
	return version->node == present->id || service_mode_allows(service->meta, &as_it_was, peer, 4);
}

static int take_version(void *arg, uint64_t ordinal, const struct version *version) {
	struct listing *listing = arg;
	if (!service_shows_version(listing->service, listing->peer, listing->present, version))
		return 0;
	if (listing->count == VERSIONS_MAX)
		return fault(E2BIG, "more than %d versions", VERSIONS_MAX);
	if (listing->count == listing->room) {
		size_t room = listing->room ? 2 * listing->room : 64;
		struct listed *rows = reallocarray(listing->rows, room, sizeof *rows);
		if (!rows)
			return fault(ENOMEM, "listing versions: out of memory");
		listing->rows = rows;
		listing->room = room;
	}
	listing->rows[listing->count++] = (struct listed){.ordinal = ordinal, .version = *version};
	return 0;
}

/* Parent and name of a path, also of one that is gone; then all that the name showed. In an operation. */
static int list_path(Meta *m, const char *path, struct listing *listing) {
	const char *slash = strrchr(path, '/');
	if (!slash)
		return fault(EISDIR, "%s is a directory; versions belong to files", *path ? path : "the vault's root");
	struct node parent;
	int rc = tree_resolve_past(m, bytes_of(path, (size_t)(slash - path)), &parent, NULL);
	if (!rc)
		rc = version_list_path(m, parent.id, bytes_of_string(slash + 1), take_version, listing);
	if (rc == -ENOENT)
		return fault(ENOENT, "no file ever had this name");
	return rc;
}

static int add_outcomes(Meta *m, struct listing *listing) {
	for (size_t i = 0; i < listing->count; i++) {
		int rc = gate_version_outcome(m, &listing->rows[i].version, &listing->rows[i].outcome);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int service_look_at_present(Meta *m, const char *path, const struct control_peer *peer, struct node *ret_node) {
	struct node node;
	int rc = service_may_reach(m, path, peer);
	if (rc)
		return rc;
	rc = tree_resolve(m, bytes_of_string(path), &node);
	if (rc == -ENOENT || rc == -ENOTDIR) {
		*ret_node = (struct node){0};
		return 0;
	}
	if (rc)
		return rc;
	if (S_ISDIR(node.mode))
		return fault(EISDIR, "it is a directory; versions belong to files");
	if (!service_mode_allows(m, &node, peer, 4))
		return fault(EACCES, "its mode does not let your user read it");
	*ret_node = node;
	return 0;
}

const char *service_state_word(uint8_t state) {
	static const char *const words[] = {"draft", "sealed", "withdrawn", "erased"};
	return state < sizeof words / sizeof words[0] ? words[state] : "?";
}

const char *service_origin_word(uint8_t origin) {
	static const char *const words[] = {"", "write", "recovered", "restore", "capture", "publish"};
	return origin < sizeof words / sizeof words[0] ? words[origin] : "?";
}

/* null where no backup's rule takes it. */
static json_t *replication_json(const Service *service, const struct version *version, const char *path) {
	enum backup_replication replication =
	        service->backup ? backup_of_version(service->backup, version, path) : BACKUP_NONE;
	return replication == BACKUP_NONE ? json_null() : json_string(backup_replication_word(replication));
}

static json_t *row_json(
        const Service *service, const struct listed *row, const struct node *present, const char *path) {
	const struct version *version = &row->version;
	json_t *item = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:s, s:s, s:b}", "id",
	        (json_int_t)version->id, "node", (json_int_t)version->node, "number", (json_int_t)row->ordinal,
	        "time_ns", (json_int_t)version->sealed_time, "mtime_ns", (json_int_t)version->mtime, "size",
	        (json_int_t)version->size, "mode", (json_int_t)(version->mode & 07777), "uid", (json_int_t)version->uid,
	        "gid", (json_int_t)version->gid, "origin", service_origin_word(version->origin), "state",
	        service_state_word(version->state), "verdict", outcome_word(row->outcome), "current",
	        (int)(present->id == version->node && present->version == version->id));
	if (item && version->has_sha256)
		json_object_set_new(item, "sha256", service_json_hex(version->sha256, sizeof version->sha256));
	json_object_set_new(item, "replication", replication_json(service, version, path));
	return item;
}

int service_versions(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	char path[WIRE_PATH_MAX];
	struct node present = {0};
	int rc = service_path(arguments, path);
	if (!rc)
		rc = service_check_zone(path);
	if (!rc)
		rc = service_require(service, peer, service_place(path), POLICY_READ, "versions", path);
	if (rc)
		return rc;
	struct listing listing = {.peer = peer, .service = service, .present = &present};
	meta_begin(service->meta);
	rc = service_look_at_present(service->meta, path, peer, &present);
	if (!rc)
		rc = list_path(service->meta, path, &listing);
	if (!rc && listing.count == 0 && !present.id)
		rc = fault(ENOENT, "no file ever had this name");
	if (!rc)
		rc = add_outcomes(service->meta, &listing);
	rc = meta_end(service->meta, rc);
	struct actor actor = service_actor(peer);
	if (rc == -EACCES)
		service_record_denied(service, &actor, "versions", path, EACCES);
	/* Sent outside the operation: a client that reads slowly must not hold the lock. */
	for (size_t i = 0; !rc && i < listing.count; i++)
		rc = control_send(reply, row_json(service, &listing.rows[i], &present, path));
	free(listing.rows);
	return rc;
}
