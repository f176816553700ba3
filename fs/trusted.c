#include "fs/trusted_internal.h"

#include "backend/stale.h"
#include "crypto/base/fault.h"
#include "crypto/base/utc.h"
#include "crypto/secret.h"
#include "fs/access.h"
#include "fs/closer.h"
#include "fs/inode.h"
#include "fs/roles.h"
#include "fs/session.h"
#include "fs/staging.h"
#include "fs/tell.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How long a staged file waits for the LOOKUP of a thread that was answered ESTALE: it follows at once or never (an
 * open through /proc/self/fd looks nothing up). */
#define STAGED_WAIT_NS INT64_C(2000000000)

int trusted_below_of(Meta *m, uint64_t parent, struct bytes name, char ret_below[static TREE_PATH_MAX]) {
	char path[TREE_PATH_MAX];
	int rc = tree_path_of(m, parent, name, path, sizeof path, NULL);
	if (rc < 0)
		return rc;
	const char *slash = strchr(path, '/');
	snprintf(ret_below, TREE_PATH_MAX, "%s", slash ? slash + 1 : "");
	return 0;
}

/* The path that a staged file is to have, in a meta operation of its own. */
static int staged_below(Trusted *t, const struct staged *staged, char ret_below[static TREE_PATH_MAX]) {
	Meta *m = store_meta(t->store);
	meta_begin(m);
	return meta_end(m, trusted_below_of(m, staged->parent, bytes_of_string(staged->name), ret_below));
}

/* ---- Landing ---- */

static int trusted_arrived(void *gate, Meta *m, const struct gate_arrival *arrival) {
	Trusted *t = gate;
	if (arrival->version == 0) /* a directory: what stands below it got new names */
		return gate_arrived_directory(t->gate, m, arrival->path, arrival->node, arrival->actor);
	bool is_content = arrival->cause == GATE_CLOSE || arrival->cause == GATE_TRUNCATE;
	if (is_content) /* not of one name: of the node */
		return gate_arrived_everywhere(t->gate, m, arrival->node, arrival->version, arrival->actor);
	return gate_arrived(t->gate, m, arrival->path, arrival->node, arrival->version, arrival->actor);
}

/* ---- names ---- */

static int trusted_lookup(void *gate, Meta *m, const struct gate_caller *caller, uint64_t parent, struct bytes name,
        struct node *ret_node) {
	Trusted *t = gate;
	struct staged staged;
	if (!staging_meet(t->staging, parent, name, caller->actor->uid, caller->actor->pid,
	            meta_now(m) - STAGED_WAIT_NS, &staged))
		return tree_lookup(m, parent, name, ret_node);
	int rc = tree_get(m, staged.node, ret_node);
	if (staged.base_node != 0)
		ret_node->size = staged.base_size;
	return rc;
}

static void forget_expired(Trusted *t, Meta *m) {
	struct staged gone;
	while (staging_expire(t->staging, meta_now(m) - STAGED_WAIT_NS, &gone)) {
		(void)gate_staged_forget(m, gone.node);
		(void)tree_forget(m, gone.node);
	}
}

/* `below` is the path that it is meant for, kept for after a crash. */
static int stage(Trusted *t, Meta *m, const struct node *attributes, const struct staged *like, const char *below,
        const struct actor *actor, struct node *ret_node) {
	struct node fresh = *attributes;
	fresh.zone = ZONE_STAGING;
	forget_expired(t, m);
	int rc = tree_create_orphan(m, &fresh, ret_node);
	if (rc >= 0)
		rc = gate_staged_note(m, ret_node->id, below, actor);
	if (rc >= 0)
		rc = content_begin_check(t->store, m, ret_node);
	if (rc < 0)
		return rc;
	struct staged staged = *like;
	staged.node = ret_node->id;
	staged.made_ns = meta_now(m);
	return staging_add(t->staging, &staged);
}

static int trusted_create(void *gate, Meta *m, const struct gate_caller *caller, uint64_t parent, struct bytes name,
        const struct node *attributes, struct node *ret_node) {
	Trusted *t = gate;
	char below[TREE_PATH_MAX];
	int rc = trusted_below_of(m, parent, name, below);
	if (rc < 0)
		return rc;
	struct staged staged = {
	        .parent = parent,
	        .uid = caller->actor->uid,
	        .opener = caller->actor->pid,
	        .governed = gate_name_of(t->gate, below) == GATE_GOVERNED,
	};
	memcpy(staged.name, name.data, name.size);
	return stage(t, m, attributes, &staged, below, caller->actor, ret_node);
}

/* Who holds an inode's number (open_by_handle_at, /proc/PID/fd) reaches no more than who knows its name. */
static int staged_reach(void *gate, const struct gate_caller *caller, const struct node *node, int flags) {
	Trusted *t = gate;
	struct staged staged;
	if (!staging_find(t->staging, node->id, &staged) || staged.uid != caller->actor->uid)
		return -ESTALE;
	bool reads = (flags & O_ACCMODE) != O_WRONLY;
	return staged.governed && reads && staged.opener != caller->actor->pid ? -ESTALE : 0;
}

static int staged_path(void *gate, Meta *m, uint64_t node, char *ret_path, size_t capacity) {
	Trusted *t = gate;
	struct staged staged;
	if (!staging_find(t->staging, node, &staged))
		return -ENOENT;
	return tree_path_of(m, staged.parent, bytes_of_string(staged.name), ret_path, capacity, NULL);
}

/* vim compares the file that it opened with the one that it had looked at, and gives up when they differ. */
static uint64_t staged_ino(void *gate, uint64_t node) {
	struct staged staged;
	return staging_find(((Trusted *)gate)->staging, node, &staged) ? staged.shown_ino : 0;
}

/* Finds the name by which a published node stands in Trusted. */
static int split_path(Meta *m, const struct node *node, struct staged *ret_staged, char path[static TREE_PATH_MAX]) {
	int rc = tree_path(m, node->id, path, TREE_PATH_MAX, NULL);
	if (rc < 0)
		return rc;
	char *slash = strrchr(path, '/');
	if (!slash || strlen(slash + 1) > TREE_NAME_MAX)
		return -ESTALE;
	memcpy(ret_staged->name, slash + 1, strlen(slash + 1) + 1);
	*slash = '\0';
	struct node parent;
	rc = tree_resolve(m, bytes_of_string(path), &parent);
	*slash = '/';
	ret_staged->parent = parent.id;
	return rc;
}

static int trusted_open(void *gate, Meta *m, const struct gate_caller *caller, const struct node *node, int flags) {
	Trusted *t = gate;
	if (node->zone == ZONE_STAGING) {
		staging_opened(t->staging, node->id);
		return 0;
	}
	struct staged staged = {.uid = caller->actor->uid,
	        .thread = caller->actor->pid,
	        .opener = caller->actor->pid,
	        .governed = true,
	        .shown_ino = node->ino};
	char path[TREE_PATH_MAX];
	int rc = split_path(m, node, &staged, path);
	if (rc < 0)
		return rc;
	if (!(flags & O_TRUNC)) {
		staged.base_node = node->id;
		staged.base_version = node->version;
		staged.base_size = node->size;
	}
	struct node fresh;
	rc = stage(t, m, node, &staged, strchr(path, '/') + 1, caller->actor, &fresh);
	return rc < 0 ? rc : GATE_STAGED;
}

/* ---- content ---- */

enum { COPY_BYTES = 1 << 20 };

/* Trusted's blocks are sealed under another key than staging's, so they can't be shared: up to `limit` bytes are
 * copied. */
static int copy_base(Trusted *t, uint64_t node, uint64_t version, uint64_t limit, Content *to) {
	_cleanup_(content_closep) Content *from = NULL;
	_cleanup_(secret_heap_freep) uint8_t *chunk = malloc(COPY_BYTES);
	if (!chunk)
		return fault(ENOMEM, "copying a published file for its writer");
	int rc = content_open(t->store, node, version, &from);
	uint64_t offset = 0;
	for (size_t got = 1; rc >= 0 && got > 0 && offset < limit; offset += got) {
		size_t want = limit - offset < COPY_BYTES ? (size_t)(limit - offset) : COPY_BYTES;
		rc = content_read(from, offset, chunk, want, &got);
		if (rc >= 0 && got > 0)
			rc = content_write(to, offset, bytes_of(chunk, got));
	}
	return rc;
}

static int staged_opened(void *gate, struct Inode *inode) {
	Trusted *t = gate;
	uint64_t node, version;
	if (!staging_take_base(t->staging, inode->node, &node, &version))
		return 0;
	Content *content;
	int rc = inode_content(t->inodes, inode, &content);
	if (rc < 0)
		return rc;
	rc = copy_base(t, node, version, UINT64_MAX, content);
	/* Sealed in staging, so that a writer who changes nothing has an unchanged draft. */
	struct version sealed;
	if (rc >= 0)
		rc = content_seal(content, ORIGIN_WRITE, 0, NULL, NULL, NULL, &sealed);
	if (rc == -ENODATA)
		rc = 0;
	if (rc >= 0)
		inode_note_size(inode, content_size(content), false);
	inode_content_done(inode);
	return rc;
}

static int seal_temporary(Content *content) {
	struct version sealed;
	int rc = content_seal(content, ORIGIN_WRITE, 0, NULL, NULL, NULL, &sealed);
	return rc == -ENODATA ? 0 : rc;
}

/* A name that no dataset governs and that is no tool's temporary name either was probably meant to stay: without a word
 * the file would seem to be lost. */
static void tell_ungoverned(Trusted *t, const char *below, const struct actor *writer) {
	char words[FAULT_MESSAGE_BYTES];
	if (gate_ignores(t->gate, below))
		return;
	snprintf(words, sizeof words,
	        "no dataset governs Trusted/%.600s, so nobody else sees it, and it is gone when the vault is "
	        "unmounted: "
	        "rename it to a governed name, or copy it into Landing (assayfs status)",
	        below);
	tell_process(writer->pid, words);
}

void trusted_forget(Trusted *t, uint64_t node) {
	Meta *m = store_meta(t->store);
	struct staged staged;
	bool is_owed = staging_find(t->staging, node, &staged) && staged.owed;
	staging_remove(t->staging, node);
	meta_begin(m);
	(void)meta_end(m, is_owed ? gate_staged_judge(t->gate, m, node) : gate_staged_forget(m, node));
}

/* What is not, the last close after this one may tell; or else RELEASE sends it to quarantine. */
static bool is_whole(const Inode *inode, const struct staged *staged, const struct actor *opener, pid_t closer) {
	enum closer_word word = closer_word(opener, closer);
	return word == CLOSER_DONE ||
	       (word == CLOSER_EXITS &&
	               closer_is_last(closer, staged->shown_ino ? staged->shown_ino : inode->ino, staged->name));
}

static int staged_flush(void *gate, struct Inode *inode, const struct actor *opener, pid_t closer, bool dirty) {
	Trusted *t = gate;
	struct staged staged;
	char below[TREE_PATH_MAX];
	if (!staging_find(t->staging, inode->node, &staged))
		return 0;
	if (!dirty || (staged.governed && !is_whole(inode, &staged, opener, closer)))
		return 0;
	int rc = staged_below(t, &staged, below);
	if (rc < 0)
		return rc;
	Content *content;
	rc = inode_content(t->inodes, inode, &content);
	if (rc < 0)
		return rc;
	if (!staged.governed)
		rc = seal_temporary(content);
	else if (content_size(content) > 0)
		rc = tell_refusal(opener->pid, gate_judge_staged(t->gate, content, below, opener));
	inode_content_done(inode);
	if (rc == 0 && !staged.governed)
		tell_ungoverned(t, below, opener);
	return rc;
}

/* Pages that a mapping wrote after the last close are sealed, and so is a file that nothing was written to: without a
 * version its node would go with its last handle, and vim tries a directory by making and removing an empty file. */
static void release_temporary(Trusted *t, Inode *inode) {
	Meta *m = store_meta(t->store);
	struct node node;
	Content *content;
	meta_begin(m);
	int rc = meta_end(m, tree_get(m, inode->node, &node));
	if (rc < 0 || inode_content(t->inodes, inode, &content) < 0)
		return;
	if (node.version == 0)
		rc = content_touch(content);
	if (rc >= 0)
		(void)seal_temporary(content);
	inode_content_done(inode);
}

static void staged_release(void *gate, struct Inode *inode, const struct actor *opener) {
	Trusted *t = gate;
	struct staged staged;
	char below[TREE_PATH_MAX];
	pthread_mutex_lock(&inode->lock);
	bool is_last = inode->writers == 0;
	pthread_mutex_unlock(&inode->lock);
	if (!is_last || !staging_find(t->staging, inode->node, &staged))
		return;
	Content *content;
	if (!staged.governed) {
		release_temporary(t, inode);
		return;
	}
	if (staged_below(t, &staged, below) >= 0 && inode_content(t->inodes, inode, &content) >= 0) {
		if (content_is_dirty(content))
			(void)gate_refuse_staged(t->gate, content, below, opener);
		inode_content_done(inode);
	}
	trusted_forget(t, inode->node);
}

static int trusted_truncate(void *gate, const struct gate_caller *caller, const struct node *node, uint64_t size) {
	Trusted *t = gate;
	Meta *m = store_meta(t->store);
	struct node attributes = *node, fresh = {0};
	char path[TREE_PATH_MAX];
	attributes.zone = ZONE_STAGING;
	meta_begin(m);
	int rc = tree_path(m, node->id, path, sizeof path, NULL);
	if (rc >= 0)
		rc = tree_create_orphan(m, &attributes, &fresh);
	rc = meta_end(m, rc);
	_cleanup_(content_closep) Content *content = NULL;
	if (rc >= 0)
		rc = content_open(t->store, fresh.id, 0, &content);
	if (rc >= 0)
		rc = gate_key_content(t->gate, content, strchr(path, '/') + 1);
	if (rc >= 0)
		rc = copy_base(t, node->id, node->version, size, content);
	if (rc >= 0)
		rc = content_truncate(content, size);
	if (rc >= 0)
		rc = gate_judge_staged(t->gate, content, strchr(path, '/') + 1, caller->actor);
	return tell_refusal(caller->actor->pid, rc);
}

/* ---- user.assayfs.… ---- */

static int say(const char *word, char *ret_text, size_t capacity) {
	int length = snprintf(ret_text, capacity, "%s", word);
	return length < 0 || (size_t)length >= capacity ? -ERANGE : length;
}

/* Since when it does not pass any more. */
static int say_stale(Meta *m, const struct node *node, char *ret_text, size_t capacity) {
	struct stale stale;
	char since[UTC_TEXT_BYTES];
	int rc = node->version ? stale_get(m, node->version, &stale) : -ENOENT;
	if (rc < 0)
		return rc == -ENOENT ? -ENODATA : rc;
	int length = snprintf(ret_text, capacity, "%s", utc_stamp(stale.time_ns, since));
	return length < 0 || (size_t)length >= capacity ? -ERANGE : length;
}

static int trusted_attribute(void *gate, Meta *m, const struct node *node, const char *used, const char *name,
        char *ret_text, size_t capacity) {
	Trusted *t = gate;
	char path[TREE_PATH_MAX];
	struct staged staged;
	enum outcome outcome = OUTCOME_NONE;
	if (!S_ISREG(node->mode))
		return -ENODATA;
	if (staging_find(t->staging, node->id, &staged))
		return strcmp(name, "verdict") == 0 ? say("none", ret_text, capacity) : -ENODATA;
	int rc = used ? 0 : tree_path(m, node->id, path, sizeof path, NULL);
	if (used)
		snprintf(path, sizeof path, "%s", used);
	if (rc < 0)
		return rc == -ENOENT ? -ENODATA : rc;
	if (strcmp(name, "stale") == 0)
		return node->zone == ZONE_TRUSTED ? say_stale(m, node, ret_text, capacity) : -ENODATA;
	if (strcmp(name, "verdict") == 0)
		rc = gate_outcome(m, path, node, &outcome, NULL);
	else if (strcmp(name, "newer") == 0 && node->zone == ZONE_TRUSTED)
		rc = gate_newer(m, strchr(path, '/') + 1, &outcome);
	else
		return -ENODATA;
	if (rc < 0)
		return rc;
	if (strcmp(name, "newer") == 0 && outcome == OUTCOME_NONE)
		return -ENODATA;
	return say(outcome_word(outcome), ret_text, capacity);
}

/* ---- roles ---- */

static bool trusted_has_roles(void *gate) {
	return roles_are_named(((Trusted *)gate)->gate);
}

static bool trusted_has_grants(void *gate) {
	return roles_have_grants(((Trusted *)gate)->gate);
}

static bool trusted_permits(
        void *gate, const struct gate_member *member, const struct gate_wish *wish, struct gate_permit *ret_permit) {
	return roles_permit(((Trusted *)gate)->gate, member, wish, ret_permit);
}

static bool trusted_permits_place(
        void *gate, const struct gate_member *member, enum policy_place place, struct gate_permit *ret_permit) {
	return roles_permit_place(((Trusted *)gate)->gate, member, place, POLICY_READ, ret_permit);
}

/* ---- life ---- */

int trusted_new(Gate *gate, Store *store, Trusted **ret_trusted) {
	_cleanup_(freep) Trusted *t = calloc(1, sizeof *t);
	if (!t)
		return fault(ENOMEM, "preparing Trusted");
	int rc = staging_new(&t->staging);
	if (rc < 0)
		return rc;
	t->gate = gate;
	t->store = store;
	t->hooks = (struct gate_hooks){
	        .gate = t,
	        .permits = trusted_permits,
	        .permits_place = trusted_permits_place,
	        .has_roles = trusted_has_roles,
	        .has_grants = trusted_has_grants,
	        .arrived = trusted_arrived,
	        .trusted_lookup = trusted_lookup,
	        .trusted_create = trusted_create,
	        .trusted_open = trusted_open,
	        .staged_opened = staged_opened,
	        .staged_reach = staged_reach,
	        .staged_path = staged_path,
	        .staged_ino = staged_ino,
	        .staged_flush = staged_flush,
	        .staged_release = staged_release,
	        .trusted_truncate = trusted_truncate,
	        .trusted_rename = trusted_rename,
	        .trusted_unlink = trusted_unlink,
	        .trusted_change = trusted_change,
	        .attribute = trusted_attribute,
	};
	*ret_trusted = steal_pointer(&t);
	return 0;
}

void trusted_free(Trusted *trusted) {
	if (!trusted)
		return;
	staging_free(trusted->staging);
	free(trusted);
}

void trusted_attach(Trusted *trusted, InodeTable *inodes) {
	trusted->inodes = inodes;
}

const struct gate_hooks *trusted_hooks(Trusted *trusted) {
	return &trusted->hooks;
}

size_t trusted_temporary_count(const Trusted *trusted) {
	return staging_count(trusted->staging);
}
