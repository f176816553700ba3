/*
 * apart: whether a place of a backup is apart from the vault and from the other places. A directory is known by its
 * device and inode, so that no other way to it counts; a bucket by its name, its endpoint and the prefix.
 *
 *     file:///a/b/c ─► the nearest directory that is there ─► its parents, up to the root
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* A directory; inode 0: not known. */
struct apart_id {
	uint64_t device, inode;
};

/* Of the directory at `path`; not known when it can't be looked at. */
struct apart_id apart_id_of(const char *path);

/* -EINVAL with words: the directory of `url` is the vault's or below it, by whatever way. 0 for buckets, and where the
 * vault's is not known. */
int apart_from_vault(const char *url, const struct apart_id *vault);

/* -EINVAL with words: the one place is in the other, either way. An endpoint may be "". Errors of looking. */
int apart_from_target(const char *url, const char *endpoint, const char *other, const char *other_endpoint);
