/*
 * types: the rule types of DQDL, their parameters, and what may be said with them.
 *
 * Facts from the public table of AWS's open parser (releases up to 1.0.6). A name may occur more than once, with
 * another number of parameters; the first that fits counts.
 */
#pragma once

#include "policy/dqdl/dqdl.h"

#define DQDL_MAX_PARAMETERS 3
#define DQDL_MAX_RETURNS 3

struct dqdl_type {
	const char *name;
	const char *parameters[DQDL_MAX_PARAMETERS];
	size_t parameter_count;
	size_t return_count;
	/* Kinds of condition, the first that fits counts; DQDL_CONDITION_NONE for a rule that is true or false. */
	enum dqdl_condition_kind returns[DQDL_MAX_RETURNS];
	enum dqdl_rule_id id;
	bool variadic; /* the last parameter may be given again and again */
	bool threshold;
	bool where;
	bool analyzer_only;
	bool excluded_in_rows; /* has no say on single rows inside a composite */
};

/* The type called `name` that takes `count` parameters; NULL if there is none. */
const struct dqdl_type *dqdl_type_find(const char *name, size_t count);

/* Each type with each number of parameters; NULL past the last. */
const struct dqdl_type *dqdl_type_at(size_t index);

/* The first type called `name` whatever its parameters; NULL if there is none. */
const struct dqdl_type *dqdl_type_named(const char *name);

/* The type whose name is nearest to what was written; NULL: none is near. */
const char *dqdl_type_nearest(const char *written);

/* Can the type only be true or false, so that it is no analyzer? */
bool dqdl_type_is_boolean(const struct dqdl_type *type);
