/*
 * profile: what suggest.c (looking at rows) and suggest_rules.c (writing rules) share. Not for others.
 */
#pragma once

#include "policy/dqdl/distinct.h"
#include "policy/dqdl/suggest.h"

#include <stdio.h>

#define PROFILE_VALUES_MAX 20u

struct profile_value {
	char *text;
	size_t size;
	uint64_t count;
};

/* What a column's cells could all be, the first that holds being the narrowest. */
enum profile_type {
	PROFILE_BOOLEAN,
	PROFILE_INTEGER,
	PROFILE_LONG,
	PROFILE_DOUBLE,
	PROFILE_DATE, /* as yyyy-MM-dd */
	PROFILE_TIMESTAMP,
	PROFILE_TEXT, /* whatever it is */
};

struct profile_column {
	char *name; /* as it stands between quotes in a rule; NULL if it cannot stand there */
	uint64_t nulls;
	uint64_t empties; /* empty, and under nulls: glue perhaps NULL */
	uint64_t values;
	struct column_kind kind;
	bool is_no[PROFILE_TEXT]; /* by type: a value is none */
	double least;             /* of numbers */
	int64_t oldest, newest;   /* of dates and times, seconds since 1970 UTC */
	size_t shortest;
	size_t longest;
	struct profile_value vocabulary[PROFILE_VALUES_MAX];
	size_t vocabulary_size;
	bool no_vocabulary;
	bool is_hidden;     /* no rule tells of its values */
	Distinct *distinct; /* NULL when a value has come twice, or there are too many to count */
};

struct DqdlProfile {
	const struct dqdl_nulls *nulls;
	struct distinct_budget budget;
	struct profile_column *columns;
	size_t count;
	uint64_t rows;
};

/* A text as it stands between quotes; the caller's. NULL when memory is short. */
char *profile_escape(const char *text, size_t size);

/* suggest_rules.c: writes the ruleset. */
void profile_write_rules(FILE *out, const DqdlProfile *profile, int64_t now);
