/*
 * expire_internal: what the sources of expire share. Nobody else includes it.
 */
#pragma once

#include "backend/expire.h"

/* Versions that are held in quarantine, or were when the pass began. */
struct expire_held {
	uint64_t *ids; /* ascending */
	size_t count, room;
	uint64_t last; /* rows of quarantine up to here were read */
};

/* Why a version stays. */
enum expire_reason {
	EXPIRE_GOES,
	EXPIRE_NOT_DUE, /* by the rules, or it is current */
	EXPIRE_LINEAGE,
	EXPIRE_HELD,
	EXPIRE_OPEN,
};

struct expire_judged {
	enum expire_reason reason;
	struct version version;
	const struct expire_rule *rule;
	int64_t since_ns;
	bool is_shown_by_node; /* the node has no name, and this as its current version */
	char path[TREE_PATH_MAX];
};

/* Judges a version. In an operation, in which the held ones are up to date. */
int expire_judge(const struct expire_options *options, const struct expire_held *held, const struct version *version,
        struct expire_judged *ret);
