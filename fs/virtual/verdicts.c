/*
 * verdicts: PATH.json for every file that was judged, under its path in Landing, Raw or Trusted.
 *
 * The file holds the canonical verdict to the byte, so that the signature beside it can be checked with any Ed25519
 * tool: {"key":"verdict/1","public_key":"…","signature":"…","verdict":{…}}
 */
#include "fs/virtual/providers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <sodium.h>

#include "backend/record.h"
#include "crypto/base/fault.h"
#include "crypto/keyring.h"
#include "crypto/sign.h"
#include "fs/filesystem.h"
#include "policy/gate/gate.h"

#define SUFFIX ".json"

/* A path below verdicts/ and what it means. */
struct judged {
	char path[TREE_PATH_MAX]; /* the file's */
	struct node node;         /* id 0: no file has the name any more */
	uint64_t verdict;
	int64_t time_ns;
};

static bool strip_suffix(const char *path, char ret_path[static TREE_PATH_MAX]) {
	size_t length = strlen(path), suffix = strlen(SUFFIX);
	if (length <= suffix || length - suffix >= TREE_PATH_MAX || strcmp(path + length - suffix, SUFFIX) != 0)
		return false;
	memcpy(ret_path, path, length - suffix);
	ret_path[length - suffix] = '\0';
	return true;
}

static int take_id(void *arg, const struct verdict_row *row) {
	struct judged *judged = arg;
	judged->verdict = row->id;
	judged->time_ns = row->time_ns;
	return 0;
}

/* The verdict on what stands there; where nothing does, or nothing that was judged, the last one on that path. */
static int find(Meta *m, const char *path, struct judged *judged) {
	enum outcome outcome;
	if (!strip_suffix(path, judged->path))
		return -ENOENT;
	int rc = tree_resolve(m, bytes_of_string(judged->path), &judged->node);
	if (rc == 0 && S_ISREG(judged->node.mode))
		rc = gate_outcome(m, judged->path, &judged->node, &outcome, &judged->verdict);
	else if (rc == -ENOENT || rc == -ENOTDIR)
		rc = 0;
	if (rc < 0)
		return rc;
	return judged->verdict ? verdict_get(m, judged->verdict, take_id, judged)
	                       : verdict_latest_for_path(m, bytes_of_string(judged->path), take_id, judged);
}

/* Who may read the file may read why it passed; of one that is gone only who mounted. */
static int describe(struct filesystem *fs, Meta *m, const char *path, struct node *ret) {
	struct judged judged = {0};
	struct node node;
	int rc = path[0] ? tree_resolve(m, bytes_of_string(path), &node) : tree_get(m, NODE_ROOT, &node);
	if (rc == 0 && S_ISDIR(node.mode)) {
		*ret = (struct node){.id = node.id,
		        .xattrs = node.xattrs,
		        .mode = node.mode & ~0222u,
		        .zone = node.zone, /* roles count here as they do there */
		        .uid = node.uid,
		        .gid = node.gid,
		        .mtime = node.mtime};
		return 0;
	}
	rc = find(m, path, &judged);
	if (rc < 0)
		return rc;
	/* Roles count also for root, and for what is gone. */
	*ret = (struct node){.mode = S_IFREG | 0400,
	        .zone = (uint8_t)zone_of_path(path),
	        .uid = fs->owner_uid,
	        .gid = fs->owner_gid};
	if (judged.node.id)
		*ret = (struct node){.id = judged.node.id,
		        .xattrs = judged.node.xattrs,
		        .mode = S_IFREG | (judged.node.mode & 0444),
		        .zone = judged.node.zone,
		        .uid = judged.node.uid,
		        .gid = judged.node.gid};
	ret->mtime = ret->ctime = judged.time_ns;
	return 0;
}

static int stat_verdicts(struct filesystem *fs, const char *path, struct node *ret) {
	meta_begin(fs->meta);
	return meta_end(fs->meta, describe(fs, fs->meta, path, ret));
}

struct listing {
	virtual_emit_fn emit;
	void *arg;
	int rc;
};

static int emit_name(void *arg, struct bytes name, uint64_t cookie, const struct node *node) {
	struct listing *listing = arg;
	char with_suffix[TREE_NAME_MAX + sizeof SUFFIX];
	(void)cookie;
	if (S_ISDIR(node->mode)) {
		listing->rc = listing->emit(listing->arg, name, S_IFDIR);
	} else if (S_ISREG(node->mode) && name.size + strlen(SUFFIX) <= TREE_NAME_MAX) {
		memcpy(with_suffix, name.data, name.size);
		memcpy(with_suffix + name.size, SUFFIX, sizeof SUFFIX);
		listing->rc = listing->emit(listing->arg, bytes_of(with_suffix, name.size + strlen(SUFFIX)), S_IFREG);
	}
	return listing->rc != 0;
}

/* The names that stand there now; one whose file was never judged answers ENOENT when it is looked at. */
static int list_verdicts(struct filesystem *fs, const char *path, virtual_emit_fn emit, void *arg) {
	struct listing listing = {.emit = emit, .arg = arg};
	struct node node;
	Meta *m = fs->meta;
	meta_begin(m);
	int rc = path[0] ? tree_resolve(m, bytes_of_string(path), &node) : tree_get(m, NODE_ROOT, &node);
	if (rc == 0)
		rc = tree_list(m, node.id, 0, 0, emit_name, &listing, NULL);
	rc = meta_end(m, rc);
	return rc < 0 ? rc : listing.rc;
}

struct rendering {
	const struct filesystem *fs;
	char *text;
	size_t size;
};

/* Of the version that signed: "verdict/3". */
static int verdict_key(
        const struct filesystem *fs, struct bytes key_name, char ret_hex[static 2 * SIGN_PUBLIC_BYTES + 1]) {
	uint8_t seed[KEYRING_KEY_BYTES], public_key[SIGN_PUBLIC_BYTES];
	char name[32] = "";
	memcpy(name, key_name.data, key_name.size < sizeof name ? key_name.size : sizeof name - 1);
	const char *slash = strchr(name, '/');
	const uint32_t version = slash ? (uint32_t)strtoul(slash + 1, NULL, 10) : 0;
	int rc = keyring_get(store_keyring(fs->store), "verdict", version, seed, NULL);
	if (rc < 0)
		return rc;
	sign_public(seed, public_key);
	sodium_memzero(seed, sizeof seed);
	sodium_bin2hex(ret_hex, 2 * SIGN_PUBLIC_BYTES + 1, public_key, sizeof public_key);
	return 0;
}

static int render(void *arg, const struct verdict_row *row) {
	struct rendering *r = arg;
	char signature[2 * SIGN_SIGNATURE_BYTES + 1] = "", public_key[2 * SIGN_PUBLIC_BYTES + 1];
	int rc = verdict_key(r->fs, row->key_name, public_key);
	if (rc < 0)
		return rc;
	if (row->signature.size == SIGN_SIGNATURE_BYTES)
		sodium_bin2hex(signature, sizeof signature, row->signature.data, row->signature.size);
	int length =
	        asprintf(&r->text, "{\"key\":\"%.*s\",\"public_key\":\"%s\",\"signature\":\"%s\",\"verdict\":%.*s}\n",
	                (int)row->key_name.size, (const char *)row->key_name.data, public_key, signature,
	                (int)row->body.size, (const char *)row->body.data);
	if (length < 0) {
		r->text = NULL;
		return fault(ENOMEM, "showing a verdict");
	}
	r->size = (size_t)length;
	return 0;
}

static int open_verdict(struct filesystem *fs, const char *path, struct virtual_file *ret) {
	struct judged judged = {0};
	struct rendering rendering = {.fs = fs};
	meta_begin(fs->meta);
	int rc = find(fs->meta, path, &judged);
	if (rc == 0)
		rc = verdict_get(fs->meta, judged.verdict, render, &rendering);
	rc = meta_end(fs->meta, rc);
	if (rc < 0) {
		free(rendering.text);
		return rc;
	}
	*ret = (struct virtual_file){.text = rendering.text, .text_size = rendering.size};
	return 0;
}

const struct virtual_provider virtual_verdicts = {
        .name = "verdicts", .stat = stat_verdicts, .list = list_verdicts, .open = open_verdict};
