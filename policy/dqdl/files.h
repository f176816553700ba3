/*
 * files: what the rules about files (FileSize, FileFreshness, FileUniqueness, FileMatch) are held against.
 *
 *     FileSize > 10 MB                     the file that is checked itself
 *     FileFreshness "Raw/animals/" > …     all files below a folder, at any depth
 *     FileMatch "Raw/a.csv" "Raw/b.csv"    one file each
 *
 * They look at no bytes: who runs the check tells, for each path that a rule names, what stands there.
 */
#pragma once

#include "policy/dqdl/dqdl.h"

#define DQDL_SHA256_BYTES 32

/* All files that the rules of one set may name together; what is more makes them errors. */
#define DQDL_FILES_MAX 10000u

struct dqdl_file {
	const char *path;
	uint64_t size;
	int64_t mtime; /* seconds since 1970 UTC */
	bool has_sha256;
	uint8_t sha256[DQDL_SHA256_BYTES];
};

/* What stands at a path as a rule names it. */
struct dqdl_files {
	const char *path;
	const struct dqdl_file *files;
	size_t count; /* 0: nothing stands there */
	bool is_cut;  /* there are more than may be told */
};

/* Calls `each` for each different path that rules and analyzers about files name; what it returns but 0 ends it. */
typedef int dqdl_path_fn(void *arg, const char *path);
int dqdl_file_paths(const Ruleset *ruleset, dqdl_path_fn *each, void *arg);

/* Does a rule ask for the SHA-256 of the file that is checked? */
bool dqdl_wants_own_sha256(const Ruleset *ruleset);
