#include "policy/dqdl/files.h"

#include <string.h>

static bool is_about_files(const struct dqdl_rule *rule) {
	return rule->id == DQDL_FILE_MATCH || rule->id == DQDL_FILE_UNIQUENESS || rule->id == DQDL_FILE_FRESHNESS ||
	       rule->id == DQDL_FILE_SIZE;
}

/* ---- all leaves, whatever they lie in ---- */

typedef int leaf_fn(void *arg, const struct dqdl_rule *leaf);

static int each_leaf_of(const struct dqdl_rule *rule, leaf_fn *each, void *arg) {
	if (rule->id != DQDL_COMPOSITE)
		return each(arg, rule);
	int rc = each_leaf_of(rule->left, each, arg);
	return rc ? rc : each_leaf_of(rule->right, each, arg);
}

static int each_leaf(const Ruleset *ruleset, leaf_fn *each, void *arg) {
	int rc = 0;
	for (size_t i = 0; i < ruleset_rules(ruleset) && rc == 0; i++)
		rc = each_leaf_of(ruleset_rule(ruleset, i), each, arg);
	for (size_t i = 0; i < ruleset_analyzers(ruleset) && rc == 0; i++)
		rc = each_leaf_of(ruleset_analyzer(ruleset, i), each, arg);
	return rc;
}

/* ---- paths ---- */

struct place {
	const struct dqdl_rule *leaf;
	size_t parameter;
};

struct search {
	const char *path;
	struct place place;
	bool is_earlier;
};

/* Is the path named before the place where it was met? */
static int look_for(void *arg, const struct dqdl_rule *leaf) {
	struct search *search = arg;
	size_t end = leaf == search->place.leaf ? search->place.parameter : leaf->parameter_count;
	for (size_t i = 0; is_about_files(leaf) && i < end; i++)
		search->is_earlier |= strcmp(leaf->parameters[i].value, search->path) == 0;
	return search->is_earlier || leaf == search->place.leaf;
}

struct listing {
	const Ruleset *ruleset;
	dqdl_path_fn *each;
	void *arg;
};

static int list_leaf(void *arg, const struct dqdl_rule *leaf) {
	const struct listing *listing = arg;
	int rc = 0;
	for (size_t i = 0; is_about_files(leaf) && i < leaf->parameter_count && rc == 0; i++) {
		struct search search = {.path = leaf->parameters[i].value, .place = {.leaf = leaf, .parameter = i}};
		(void)each_leaf(listing->ruleset, look_for, &search);
		rc = search.is_earlier ? 0 : listing->each(listing->arg, search.path);
	}
	return rc;
}

int dqdl_file_paths(const Ruleset *ruleset, dqdl_path_fn *each, void *arg) {
	struct listing listing = {.ruleset = ruleset, .each = each, .arg = arg};
	return each_leaf(ruleset, list_leaf, &listing);
}

static int wants_sha256(void *arg, const struct dqdl_rule *leaf) {
	(void)arg;
	return leaf->id == DQDL_FILE_MATCH && leaf->parameter_count == 0;
}

bool dqdl_wants_own_sha256(const Ruleset *ruleset) {
	return each_leaf(ruleset, wants_sha256, NULL) != 0;
}
