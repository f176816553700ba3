/*
 * bundle: a policy as a set of named byte strings, policy.yaml and the rules files it names, and its one canonical
 * archive.
 *
 * The archive is what the vault stores and what the policy's hash covers. Entries are sorted by name, so the same files
 * always make the same bytes:
 *
 *     "assayfs-bundle-1\n"  | u32 count | count × ( u32 name length | name | u32 size | bytes )      little-endian
 *
 * Names are relative paths of [A-Za-z0-9._-] components; none is `.` or `..`, none is longer than 255 bytes together.
 */
#pragma once

#include "crypto/base/bytes.h"
#include "crypto/base/cleanup.h"

#define BUNDLE_FILES_MAX 256
#define BUNDLE_FILE_MAX (1u << 20)  /* bytes of one file */
#define BUNDLE_TOTAL_MAX (8u << 20) /* bytes of the archive */
#define BUNDLE_HASH_BYTES 32

/* The document that a policy is read from. */
#define BUNDLE_POLICY "policy.yaml"
/* Written by `policy apply`: the ids that the names in `roles` had then (see policy.h). */
#define BUNDLE_IDS "roles.ids"

typedef struct PolicyBundle PolicyBundle;

/* An empty bundle, the caller's. -ENOMEM. */
int policy_bundle_new(PolicyBundle **ret_bundle);
void policy_bundle_free(PolicyBundle *bundle);
DEFINE_CLEANUP(PolicyBundle, policy_bundle_free);

/* Puts a copy of `content` under `name`, in place of what was there. -EINVAL (bad name), -EFBIG, -ENOMEM. */
int policy_bundle_put(PolicyBundle *bundle, const char *name, struct bytes content);

/* The bytes under `name`, owned by the bundle until it is changed or freed; -ENOENT. */
int policy_bundle_get(const PolicyBundle *bundle, const char *name, struct bytes *ret_content);

/* Number of files, and the i-th one's name (in the archive's order). */
size_t policy_bundle_count(const PolicyBundle *bundle);
const char *policy_bundle_name(const PolicyBundle *bundle, size_t i);

/* The canonical archive, allocated for the caller to free. */
int policy_bundle_serialise(const PolicyBundle *bundle, uint8_t **ret_archive, size_t *ret_size);

/* Reads an archive back; -EBADMSG for anything that policy_bundle_serialise would not have written. */
int policy_bundle_parse(struct bytes archive, PolicyBundle **ret_bundle);

/* SHA-256 of the canonical archive: the policy's hash. */
int policy_bundle_sha256(const PolicyBundle *bundle, uint8_t ret_hash[static BUNDLE_HASH_BYTES]);

/*
 * Reads `directory`/policy.yaml and the rules and price files that it names, and no other file, for `policy apply`.
 * Links that lead out of the directory are refused. Errors name file, line and remedy; a missing policy.yaml is
 * -ENOENT.
 */
int policy_bundle_read(const char *directory, PolicyBundle **ret_bundle);
