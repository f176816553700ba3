/*
 * privacy: what a dataset wants of personal data in its files: what is looked for, and what is done with it.
 *
 *     privacy: {detect: [EMAIL, {entity: PHONE_NUMBER, action: mask, keep_last: 4}], columns: {notes: redact}, …}
 *
 * Plain data: policy_privacy.c reads it from the policy, privacy_job.c carries it to the worker, check_privacy.h looks
 * for it, and treat.h writes what stands in its place.
 */
#pragma once

#include "policy/privacy/scanner.h"

enum privacy_action {
	PRIVACY_REFUSE,      /* the file does not pass; when split, the row does not */
	PRIVACY_REDACT,      /* [EMAIL] stands there */
	PRIVACY_MASK,        /* **** */
	PRIVACY_HASH,        /* a keyed hash: the same text is the same hash in the whole vault */
	PRIVACY_DROP_COLUMN, /* the column goes, its name, too */
	PRIVACY_DROP_ROW,    /* the row goes; of a text the line */
	PRIVACY_GENERALISE,  /* a date's year, a postal code's first three, a network for an address */
	PRIVACY_REPORT,      /* it stands in the verdict, and in the file */
	PRIVACY_ACTIONS
};

/* "refuse", "redact", …; NULL behind the last, so that it is a list of words. */
extern const char *const privacy_action_words[PRIVACY_ACTIONS + 1];

/* Does it change what is published? */
static inline bool privacy_changes(enum privacy_action action) {
	return action != PRIVACY_REFUSE && action != PRIVACY_REPORT;
}

/* Is it done to all cells of a column that it is given to, whether anything is found in them or not? Other actions of
 * a column are those of what is found there. */
static inline bool privacy_takes_column(enum privacy_action action) {
	return privacy_changes(action) && action != PRIVACY_DROP_ROW;
}

#define PRIVACY_KEEP_MAX 16u

struct privacy_treatment {
	enum privacy_action action;
	unsigned keep_first, keep_last; /* of PRIVACY_MASK: characters that stay, at most PRIVACY_KEEP_MAX */
};

struct privacy_detect {
	const char *entity; /* of detector.h, or the name of one of the patterns */
	struct privacy_treatment treatment;
};

struct privacy_column {
	const char *name;
	struct privacy_treatment treatment;
};

/* A text that is no finding. */
struct privacy_allow {
	const char *text; /* as it stands in the file, or a regular expression for all of it */
	bool is_regex;
	const char *owner; /* who answers for it; NULL: nobody was named */
	int64_t until_s;   /* seconds since 1970, UTC: from then on it counts no more; 0: it always does */
	unsigned line;     /* where it stands in policy.yaml */
};

/* Each row is like as many others in the columns, which together might tell who it is; and with that, what stands in
 * the sensitive column is not the same for all of them. Sweeney 2002; Machanavajjhala et al. 2007 (distinct
 * l-diversity). */
struct privacy_groups {
	const char *const *columns;
	size_t column_count;
	uint64_t k;            /* rows that are alike, at least */
	const char *sensitive; /* NULL: k-anonymity alone */
	uint64_t l;            /* different values of it among them, at least */
};

struct privacy {
	const struct privacy_detect *detects; /* in the order of the policy; patterns behind */
	size_t detect_count;
	const struct privacy_column *columns;
	size_t column_count;
	const struct scan_pattern *patterns;
	size_t pattern_count;
	const struct privacy_allow *allows;
	size_t allow_count;
	enum scan_sensitivity sensitivity;
	unsigned sample;  /* rows that columns are judged by, see scanner_sample() */
	double threshold; /* share of a column's cells (0 to 1): where fewer match, it is reported alone */
};

#define PRIVACY_SAMPLE_DEFAULT 1000u
#define PRIVACY_SAMPLE_MAX 1000u /* as many as scanner_sample() looks at */
/* Bounds of a policy, and of what a worker takes. */
#define PRIVACY_DETECTS_MAX 200
#define PRIVACY_COLUMNS_MAX 1000
#define PRIVACY_PATTERNS_MAX 100
#define PRIVACY_ALLOWS_MAX 10000
#define PRIVACY_GROUPS_MAX 16
#define PRIVACY_TEXTS_MAX 1000 /* of one pattern, or columns of one group */

/* Does any treatment change what is published? NULL: none does. */
bool privacy_may_change(const struct privacy *privacy);

/* What is done with what is found of an entity, and with a column of that name; NULL: the policy says nothing of it. */
const struct privacy_treatment *privacy_of_entity(const struct privacy *privacy, const char *entity);
const struct privacy_treatment *privacy_of_column(const struct privacy *privacy, const char *column);
