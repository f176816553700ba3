#include "policy/gate/internal.h"

#include "backend/acl.h"
#include "crypto/base/fault.h"
#include "crypto/digest.h"
#include "crypto/secret.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How often the name may be taken away under the copying. */
enum { PUBLISH_TURNS = 5 };

/* The node that will show the bytes, and what stood there. */
struct target {
	uint64_t node;
	bool is_new; /* an orphan until it is linked */
	uint64_t version;
	uint8_t sha256[32];
	bool has_sha256;
	uint64_t old_ino, parent_ino;
	char name[TREE_NAME_MAX + 1];
};

struct sealing {
	const struct publication *p;
	struct target *target;
	struct node source;
	bool has_moved; /* the name showed something else in the end: to be begun again */
};

static int target_existing(Meta *m, const char *path, const struct node *node, struct target *t) {
	if (!S_ISREG(node->mode))
		return fault(EEXIST, "%s is not a regular file", path);
	t->node = node->id;
	t->old_ino = node->ino;
	t->version = node->version;
	struct version version;
	if (node->version == 0)
		return 0;
	int rc = version_get(m, node->version, &version);
	if (rc < 0)
		return rc;
	t->has_sha256 = version.has_sha256;
	memcpy(t->sha256, version.sha256, sizeof t->sha256);
	return 0;
}

/* Finds the node at Trusted/below or makes an orphan for it, with the owner, mode and time that it is to have. */
static int target_prepare(Meta *m, const struct publication *p, struct node *ret_source, struct target *t) {
	int rc = p->like_node ? tree_get(m, p->like_node, ret_source) : -ENOENT;
	if (rc < 0)
		rc = tree_get(m, p->source_node, ret_source);
	if (rc < 0)
		return fault(-rc, "node %" PRIu64 " is gone", p->source_node);
	char path[TREE_PATH_MAX];
	snprintf(path, sizeof path, "Trusted/%s", p->below);
	struct node node;
	rc = tree_resolve(m, bytes_of_string(path), &node);
	if (rc >= 0)
		rc = target_existing(m, path, &node, t);
	else if (rc == -ENOENT) {
		struct node attributes = *ret_source;
		uint32_t permissions = 0;
		rc = acl_mode_of_copy(m, ret_source, &permissions);
		attributes.zone = ZONE_TRUSTED;
		attributes.mode = S_IFREG | permissions;
		if (rc >= 0)
			rc = tree_create_orphan(m, &attributes, &node);
		t->node = node.id;
		t->is_new = true;
	} else if (rc == -ENOTDIR)
		rc = fault(ENOTDIR, "a directory on the way to %s is a file there", path);
	if (rc >= 0 && p->only_over && *p->only_over != t->version)
		rc = fault(EBUSY, "Trusted/%s shows something newer by now", p->below);
	return rc;
}

/* Holes stay holes in what is published as it is. */
static int copy_as_it_is(const struct publication *p, Content *source, Content *target, uint8_t *chunk, uint8_t *hash) {
	struct gate_reader reader = {.source = source, .copy = target, .watch = p->watch};
	struct sha256 sha256;
	ssize_t got;
	sha256_init(&sha256);
	while ((got = gate_read(&reader, chunk, GATE_CHUNK_BYTES)) > 0)
		sha256_update(&sha256, bytes_of(chunk, (size_t)got));
	sha256_final(&sha256, hash);
	return (int)got;
}

static int copy_altered(const struct publication *p, Content *source, Content *target, uint8_t *chunk, uint8_t *hash) {
	_cleanup_(altered_end) struct altered_reader reader = {0};
	struct sha256 sha256;
	uint64_t written = 0;
	altered_begin(&reader, p->altered, source, p->watch);
	struct check_input input = altered_input(&reader);
	ssize_t got = 1;
	int rc = 0;
	sha256_init(&sha256);
	while (rc >= 0 && (got = input.read(input.context, chunk, GATE_CHUNK_BYTES)) > 0) {
		sha256_update(&sha256, bytes_of(chunk, (size_t)got));
		rc = content_write(target, written, bytes_of(chunk, (size_t)got));
		written += (size_t)got;
	}
	sha256_final(&sha256, hash);
	return rc < 0 ? rc : (int)got;
}

/* Copies what is published and hashes what was copied: it is what the verdict lets out, to the byte. */
static int copy_judged(Store *store, const struct publication *p, Content *target) {
	_cleanup_(content_closep) Content *source = NULL;
	_cleanup_(secret_heap_freep) uint8_t *chunk = malloc(GATE_CHUNK_BYTES);
	uint8_t hash[32];
	if (!chunk)
		return fault(ENOMEM, "copying the judged file");
	int rc = content_open(store, p->source_node, p->source_version, &source);
	if (rc >= 0)
		rc = content_truncate(target, 0);
	if (rc >= 0)
		rc = content_touch(target);
	if (rc >= 0)
		rc = p->altered && altered_is_any(p->altered) ? copy_altered(p, source, target, chunk, hash)
		                                              : copy_as_it_is(p, source, target, chunk, hash);
	if (rc >= 0 && memcmp(hash, p->sha256, sizeof hash) != 0)
		rc = fault(EBADMSG, "the bytes read for Trusted/%s are not those that were judged", p->below);
	return rc;
}

static int record(
        Meta *m, const struct publication *p, uint64_t node, uint64_t version, uint64_t bytes, const char *what) {
	char path[TREE_PATH_MAX], detail[128];
	snprintf(path, sizeof path, "Trusted/%s", p->below);
	snprintf(detail, sizeof detail, "%s, verdict %" PRIu64, what, p->verdict);
	struct audit_event event = {
	        .event = "publish",
	        .actor = p->actor,
	        .path = path,
	        .node = node,
	        .version = version,
	        .bytes = bytes,
	        .detail = detail,
	};
	int rc = audit_record(m, &event, NULL);
	if (rc >= 0)
		rc = staged_published(m, p->source_node);
	if (rc >= 0 && p->release)
		rc = release_record(m, p->release, p->verdict);
	if (rc >= 0 && p->job != 0)
		rc = job_finish(m, p->job, p->verdict);
	return rc;
}

/* Judging takes its time: what the former name shows by now must not go unseen with it. */
static int remove_former_name(Meta *m, const struct publication *p) {
	if (p->from_parent == 0)
		return 0;
	struct node stands, gone;
	int rc = tree_lookup(m, p->from_parent, p->from_name, &stands);
	if (rc < 0)
		return rc;
	if (stands.id != p->source_node || stands.version != p->source_version)
		return fault(
		        EBUSY, "the file was changed while it was judged for Trusted/%s; rename it again", p->below);
	return tree_unlink(m, p->from_parent, p->from_name, &gone);
}

/* A verdict counts under the policy that it was given under; one that was stored meanwhile wants its own. And what was
 * erased is published by none. */
static int check_policy(Meta *m, const struct publication *p) {
	uint64_t number;
	int rc = gate_check_there(m, p->source_version);
	if (rc >= 0)
		rc = policy_current_number(m, &number);
	if (rc < 0 || number == p->policy)
		return rc;
	return fault(EAGAIN, "policy %" PRIu64 " came into force while Trusted/%s was judged under policy %" PRIu64,
	        number, p->below, p->policy);
}

/* Copying takes its time: what was found at the name may have been removed or replaced, and a version of it would be
 * seen by nobody. */
static int check_target(Meta *m, struct sealing *s) {
	char path[TREE_PATH_MAX];
	struct node stands;
	snprintf(path, sizeof path, "Trusted/%s", s->p->below);
	int rc = tree_resolve(m, bytes_of_string(path), &stands);
	if (rc < 0 && rc != -ENOENT)
		return rc;
	if (s->target->is_new ? rc == -ENOENT : rc >= 0 && stands.id == s->target->node)
		return 0;
	s->has_moved = true;
	return fault(EAGAIN, "Trusted/%s was removed or replaced while it was published", s->p->below);
}

/* In the meta operation that seals the version: the name, the inode number, the lineage, the record, all or none. */
static int show(Meta *m, const struct version *sealed, void *arg) {
	struct sealing *s = arg;
	struct target *t = s->target;
	uint64_t parent;
	struct bytes name;
	struct node node;
	int rc = check_policy(m, s->p);
	if (rc >= 0)
		rc = check_target(m, s);
	if (rc >= 0)
		rc = gate_make_parents(m, ZONE_TRUSTED, s->p->below, &s->source, &parent, &name);
	if (rc < 0)
		return rc;
	memcpy(t->name, name.data, name.size);
	t->name[name.size] = '\0';
	struct node directory;
	rc = tree_get(m, parent, &directory);
	t->parent_ino = directory.ino;
	if (rc >= 0)
		rc = remove_former_name(m, s->p);
	if (rc >= 0 && t->is_new)
		rc = tree_link(m, t->node, parent, name, &node);
	else if (rc >= 0) {
		uint64_t ino;
		rc = tree_new_ino(m, t->node, &ino);
	}
	if (rc >= 0)
		rc = lineage_put(m, sealed->id, s->p->source_version, LINEAGE_INPUT);
	if (rc >= 0)
		rc = stale_clear(m, t->version);
	if (rc >= 0)
		rc = record(m, s->p, t->node, sealed->id, sealed->size, "published");
	return rc;
}

static void forget_orphan(Meta *m, const struct target *t) {
	if (!t->is_new)
		return;
	meta_begin(m);
	(void)meta_end(m, tree_forget(m, t->node)); /* if it stays, it is an unnamed empty node: fsck's to sweep */
}

/* The same bytes stand there already: no version, but the record and the end of the job. */
static int already_shown(Gate *gate, struct sealing *s) {
	Meta *m = store_meta(gate->store);
	const struct publication *p = s->p;
	const struct target *t = s->target;
	meta_begin(m);
	int rc = check_policy(m, p);
	if (rc >= 0)
		rc = check_target(m, s);
	if (rc >= 0)
		rc = remove_former_name(m, p);
	if (rc >= 0)
		rc = stale_clear(m, t->version);
	if (rc >= 0)
		rc = record(m, p, t->node, t->version, 0, "unchanged");
	return meta_end(m, rc);
}

static int seal_and_show(Gate *gate, const struct publication *p, struct sealing *s) {
	_cleanup_(content_closep) Content *target = NULL;
	int rc = content_open(gate->store, s->target->node, 0, &target);
	if (rc >= 0)
		rc = gate_key_content(gate, target, p->below);
	if (rc >= 0)
		rc = copy_judged(gate->store, p, target);
	struct version sealed;
	if (rc >= 0)
		rc = content_seal(target, ORIGIN_PUBLISH, p->verdict, p->sha256, show, s, &sealed);
	if (rc < 0 && target)
		(void)content_drop(target);
	return rc;
}

static int publish_once(Gate *gate, const struct publication *p, bool *ret_has_moved) {
	Meta *m = store_meta(gate->store);
	struct target target = {0};
	struct sealing s = {.p = p, .target = &target};
	*ret_has_moved = false;
	meta_begin(m);
	int rc = meta_end(m, target_prepare(m, p, &s.source, &target));
	if (rc < 0)
		return fault_while(rc, "publishing Trusted/%s", p->below);
	bool is_same = target.has_sha256 && memcmp(target.sha256, p->sha256, sizeof target.sha256) == 0;
	rc = is_same ? gate_key_is_same(gate, target.version, p->below, &is_same) : 0;
	if (rc < 0)
		return rc;
	if (is_same) {
		rc = already_shown(gate, &s);
		*ret_has_moved = s.has_moved;
		return rc;
	}
	if (!target.is_new) {
		/* what a version keeps of time and mode is its node's when it is sealed */
		struct node node;
		meta_begin(m);
		rc = meta_end(m, tree_setattr(m, target.node, &s.source, TREE_MTIME, &node));
	}
	if (rc >= 0)
		rc = seal_and_show(gate, p, &s);
	*ret_has_moved = s.has_moved;
	if (rc < 0) {
		forget_orphan(m, &target);
		return fault_while(rc, "publishing Trusted/%s", p->below);
	}
	if (gate->options.changed)
		gate->options.changed(
		        gate->options.changed_arg, target.parent_ino, bytes_of_string(target.name), target.old_ino);
	return 0;
}

int publish(Gate *gate, const struct publication *p) {
	bool has_moved = true;
	int rc = -EAGAIN;
	for (int turn = 0; has_moved && turn < PUBLISH_TURNS; turn++)
		rc = publish_once(gate, p, &has_moved);
	return rc;
}
