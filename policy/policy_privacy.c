/* Reading what the policy document says of personal data. */
#include "policy/policy_read.h"

#include "crypto/base/fault.h"
#include "policy/dqdl/calendar.h"
#include "policy/dqdl/pattern.h"
#include "policy/privacy/detector.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* What is read before it is known how it goes together. */
struct reading_privacy {
	struct privacy privacy;
	struct privacy_treatment standard; /* for what names none of its own */
	struct privacy_detect *detects;    /* room for all there may be */
};

/* ---- treatments ---- */

static int read_action(struct reading *r, const Node *value, void *target) {
	(void)r;
	unsigned which;
	int rc = read_choice(value, "action", privacy_action_words, &which);
	if (rc == 0)
		((struct privacy_treatment *)target)->action = (enum privacy_action)which;
	return rc;
}

static int read_keep_first(struct reading *r, const Node *value, void *target) {
	(void)r;
	return read_number(value, "keep_first", PRIVACY_KEEP_MAX, &((struct privacy_treatment *)target)->keep_first);
}

static int read_keep_last(struct reading *r, const Node *value, void *target) {
	(void)r;
	return read_number(value, "keep_last", PRIVACY_KEEP_MAX, &((struct privacy_treatment *)target)->keep_last);
}

static int check_treatment(const Node *at, const struct privacy_treatment *treatment) {
	if (treatment->action != PRIVACY_MASK && (treatment->keep_first > 0 || treatment->keep_last > 0))
		return read_complain(at, "'keep_first' and 'keep_last' belong to 'action: mask'");
	return 0;
}

/* ---- detect ---- */

static bool can_generalise(const char *entity) {
	static const char *const entities[] = {"CANADA_POSTAL_CODE", "DATE_OF_BIRTH", "GPS_COORDINATES", "IP_ADDRESS"};
	for (size_t i = 0; i < COUNT(entities); i++)
		if (strcmp(entities[i], entity) == 0)
			return true;
	return false;
}

static int check_entity(const Node *at, const struct reading_privacy *all, const struct privacy_detect *detect) {
	for (size_t i = 0; i < all->privacy.detect_count; i++)
		if (strcmp(all->detects[i].entity, detect->entity) == 0)
			return read_complain(at, "'%.80s' is there already", detect->entity);
	if (detect->treatment.action == PRIVACY_GENERALISE && !can_generalise(detect->entity))
		return read_complain(at,
		        "%.80s can't be generalised; DATE_OF_BIRTH, CANADA_POSTAL_CODE, IP_ADDRESS and "
		        "GPS_COORDINATES can, others be redacted",
		        detect->entity);
	return 0;
}

static int add_detect(const Node *at, struct reading_privacy *all, struct privacy_detect detect) {
	int rc = check_entity(at, all, &detect);
	if (rc == 0 && all->privacy.detect_count == PRIVACY_DETECTS_MAX)
		rc = read_complain(at, "more than %d detectors and patterns", PRIVACY_DETECTS_MAX);
	if (rc == 0)
		all->detects[all->privacy.detect_count++] = detect;
	return rc;
}

static int add_all(const Node *at, struct reading_privacy *all) {
	int rc = 0;
	for (const char *entity = NULL; rc == 0 && (entity = detector_next_entity(entity));)
		rc = add_detect(at, all, (struct privacy_detect){.entity = entity, .treatment = all->standard});
	return rc;
}

static int read_entity(struct reading *r, const Node *value, void *target) {
	const char *entity;
	int rc = read_text(r, value, "entity", &entity);
	if (rc < 0)
		return rc;
	for (const char *known = NULL; (known = detector_next_entity(known));)
		if (strcmp(known, entity) == 0) {
			((struct privacy_detect *)target)->entity = known;
			return 0;
		}
	return read_complain(
	        value, "there is no detector '%.80s'; `assayfs scan --list` names those there are", entity);
}

static int read_detect_action(struct reading *r, const Node *value, void *target) {
	return read_action(r, value, &((struct privacy_detect *)target)->treatment);
}

static int read_detect_first(struct reading *r, const Node *value, void *target) {
	return read_keep_first(r, value, &((struct privacy_detect *)target)->treatment);
}

static int read_detect_last(struct reading *r, const Node *value, void *target) {
	return read_keep_last(r, value, &((struct privacy_detect *)target)->treatment);
}

/* An action of its own begins with nothing kept, whatever the standard keeps. */
static void forget_standard(const Node *map, struct privacy_treatment *treatment) {
	for (size_t i = 0; i < map->count; i++)
		if (strcmp(map->keys[i]->text, "action") == 0)
			treatment->keep_first = treatment->keep_last = 0;
}

static int read_one_detect(struct reading *r, const Node *value, struct reading_privacy *all) {
	static const struct field fields[] = {{"entity", read_entity, true}, {"action", read_detect_action, false},
	        {"keep_first", read_detect_first, false}, {"keep_last", read_detect_last, false}};
	struct privacy_detect detect = {.treatment = all->standard};
	int rc;
	if (value->kind == TREE_MAP) {
		forget_standard(value, &detect.treatment);
		rc = read_fields(r, value, "a detector", fields, COUNT(fields), &detect);
	} else {
		rc = read_entity(r, value, &detect);
	}
	if (rc == 0)
		rc = check_treatment(value, &detect.treatment);
	return rc < 0 ? rc : add_detect(value, all, detect);
}

static int read_detect(struct reading *r, const Node *value, void *target) {
	struct reading_privacy *all = target;
	if (value->kind == TREE_TEXT && strcmp(value->text, "all") == 0)
		return add_all(value, all);
	const Node *const *items = value->kind == TREE_LIST ? value->values : &value;
	size_t count = value->kind == TREE_LIST ? value->count : 1;
	int rc = 0;
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = read_one_detect(r, items[i], all);
	return rc;
}

static int read_standard_action(struct reading *r, const Node *value, void *target) {
	return read_action(r, value, &((struct reading_privacy *)target)->standard);
}

static int read_standard_first(struct reading *r, const Node *value, void *target) {
	return read_keep_first(r, value, &((struct reading_privacy *)target)->standard);
}

static int read_standard_last(struct reading *r, const Node *value, void *target) {
	struct privacy_treatment *standard = &((struct reading_privacy *)target)->standard;
	return read_keep_last(r, value, standard);
}

/* ---- columns ---- */

static int read_column(struct reading *r, const Node *key, const Node *value, struct privacy_column *column) {
	static const struct field fields[] = {{"action", read_action, true}, {"keep_first", read_keep_first, false},
	        {"keep_last", read_keep_last, false}};
	int rc = read_text(r, key, "columns", &column->name);
	if (rc < 0)
		return rc;
	rc = value->kind == TREE_MAP
	             ? read_fields(r, value, "a column's treatment", fields, COUNT(fields), &column->treatment)
	             : read_action(r, value, &column->treatment);
	return rc < 0 ? rc : check_treatment(value, &column->treatment);
}

/* Names that differ in case alone would be one column's in a table that has it in a third. */
static int check_names(const Node *value, const struct privacy *privacy) {
	for (size_t i = 0; i < privacy->column_count; i++)
		for (size_t k = 0; k < i; k++)
			if (strcasecmp(privacy->columns[i].name, privacy->columns[k].name) == 0)
				return read_complain(value->keys[i], "'%.80s' is there already, as '%.80s'",
				        privacy->columns[i].name, privacy->columns[k].name);
	return 0;
}

static int read_columns(struct reading *r, const Node *value, void *target) {
	struct privacy *privacy = &((struct reading_privacy *)target)->privacy;
	if (value->kind != TREE_MAP)
		return read_complain(value, "'columns' is a map (column: action)");
	if (value->count > PRIVACY_COLUMNS_MAX)
		return read_complain(value, "'columns' names more than %d", PRIVACY_COLUMNS_MAX);
	struct privacy_column *columns = arena_take(&r->policy->memory, value->count + 1, sizeof *columns);
	int rc = columns ? 0 : read_no_memory();
	for (size_t i = 0; i < value->count && rc == 0; i++)
		rc = read_column(r, value->keys[i], value->values[i], &columns[i]);
	privacy->columns = columns;
	privacy->column_count = rc == 0 ? value->count : 0;
	return rc < 0 ? rc : check_names(value, privacy);
}

/* ---- allow ---- */

static int read_allow_value(struct reading *r, const Node *value, void *target) {
	return read_text(r, value, "value", &((struct privacy_allow *)target)->text);
}

static int read_allow_regex(struct reading *r, const Node *value, void *target) {
	struct privacy_allow *allow = target;
	if (allow->text)
		return read_complain(value, "what is allowed has either 'value:' or 'regex:', not both");
	allow->is_regex = true;
	_cleanup_(pattern_freep) Pattern *pattern = NULL;
	int rc = read_text(r, value, "regex", &allow->text);
	if (rc == 0 && (rc = pattern_new(allow->text, PATTERN_WHOLE, &pattern)) == -EINVAL)
		rc = fault_while(rc, BUNDLE_POLICY ":%u:%u: 'regex: %.100s'", value->line, value->column, allow->text);
	return rc;
}

static int read_allow_owner(struct reading *r, const Node *value, void *target) {
	return read_text(r, value, "owner", &((struct privacy_allow *)target)->owner);
}

static int read_allow_until(struct reading *r, const Node *value, void *target) {
	(void)r;
	return read_until(value, "allowed", &((struct privacy_allow *)target)->until_s);
}

/* One that nobody answers for, or that never ends, is found years later, and nobody knows why it is there. */
static int read_allow(struct reading *r, const Node *value, void *target) {
	static const struct field fields[] = {{"value", read_allow_value, false}, {"regex", read_allow_regex, false},
	        {"owner", read_allow_owner, true}, {"until", read_allow_until, true}};
	struct privacy_allow *allow = target;
	allow->line = value->line;
	if (value->kind == TREE_TEXT)
		return read_text(r, value, "allow", &allow->text);
	int rc = read_fields(r, value, "what is allowed", fields, COUNT(fields), allow);
	return rc < 0 || allow->text ? rc : read_complain(value, "what is allowed needs 'value:' or 'regex:'");
}

static int read_allows(struct reading *r, const Node *value, void *target) {
	struct privacy *privacy = &((struct reading_privacy *)target)->privacy;
	void *items = NULL;
	int rc = read_list_of(
	        r, value, "'allow'", sizeof(struct privacy_allow), read_allow, &items, &privacy->allow_count);
	privacy->allows = items;
	if (rc == 0 && privacy->allow_count > PRIVACY_ALLOWS_MAX)
		return read_complain(value, "'allow' has more than %d", PRIVACY_ALLOWS_MAX);
	return rc;
}

/* ---- patterns ---- */

struct reading_pattern {
	struct scan_pattern pattern;
	struct privacy_treatment treatment;
};

/* As many as a worker takes. */
static int read_some_texts(
        struct reading *r, const Node *value, const char *what, const char *const **ret_texts, size_t *ret_count) {
	if (value->kind == TREE_LIST && value->count > PRIVACY_TEXTS_MAX)
		return read_complain(value, "'%s' has more than %d", what, PRIVACY_TEXTS_MAX);
	return read_texts(r, value, what, ret_texts, ret_count);
}

/* It stands in verdicts and in files, so it is such as those of the detectors. */
static int read_pattern_name(struct reading *r, const Node *value, void *target) {
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
	const char *name;
	int rc = read_text(r, value, "name", &name);
	if (rc < 0)
		return rc;
	if (strlen(name) > 63 || name[strspn(name, letters)] != '\0')
		return read_complain(value,
		        "a pattern's name is of capital letters, digits and '_', at most 63, like CASE_NUMBER, not "
		        "'%.80s'",
		        name);
	if (detector_is_entity(name))
		return read_complain(value, "'%s' is a detector's name; choose another", name);
	((struct reading_pattern *)target)->pattern.name = name;
	return 0;
}

static int read_pattern_regex(struct reading *r, const Node *value, void *target) {
	return read_text(r, value, "regex", &((struct reading_pattern *)target)->pattern.regex);
}

static int read_pattern_validator(struct reading *r, const Node *value, void *target) {
	return read_text(r, value, "validator", &((struct reading_pattern *)target)->pattern.validator);
}

static int read_pattern_keywords(struct reading *r, const Node *value, void *target) {
	struct scan_pattern *pattern = &((struct reading_pattern *)target)->pattern;
	return read_some_texts(r, value, "keywords", &pattern->keywords, &pattern->keyword_count);
}

static int read_pattern_distance(struct reading *r, const Node *value, void *target) {
	(void)r;
	return read_number(value, "distance", 1000, &((struct reading_pattern *)target)->pattern.distance);
}

static int read_pattern_ignore(struct reading *r, const Node *value, void *target) {
	struct scan_pattern *pattern = &((struct reading_pattern *)target)->pattern;
	return read_some_texts(r, value, "ignore", &pattern->ignore, &pattern->ignore_count);
}

static int read_pattern_score(struct reading *r, const Node *value, void *target) {
	(void)r;
	return read_number(value, "score", 100, &((struct reading_pattern *)target)->pattern.score);
}

static int read_pattern_action(struct reading *r, const Node *value, void *target) {
	return read_action(r, value, &((struct reading_pattern *)target)->treatment);
}

static int read_pattern_first(struct reading *r, const Node *value, void *target) {
	return read_keep_first(r, value, &((struct reading_pattern *)target)->treatment);
}

static int read_pattern_last(struct reading *r, const Node *value, void *target) {
	return read_keep_last(r, value, &((struct reading_pattern *)target)->treatment);
}

static int read_own_pattern(
        struct reading *r, const Node *value, struct reading_privacy *all, struct scan_pattern *ret_pattern) {
	static const struct field fields[] = {{"name", read_pattern_name, true}, {"regex", read_pattern_regex, true},
	        {"validator", read_pattern_validator, false}, {"keywords", read_pattern_keywords, false},
	        {"distance", read_pattern_distance, false}, {"ignore", read_pattern_ignore, false},
	        {"score", read_pattern_score, false}, {"action", read_pattern_action, false},
	        {"keep_first", read_pattern_first, false}, {"keep_last", read_pattern_last, false}};
	struct reading_pattern own = {.treatment = all->standard};
	if (value->kind == TREE_MAP)
		forget_standard(value, &own.treatment);
	int rc = read_fields(r, value, "a pattern", fields, COUNT(fields), &own);
	if (rc == 0)
		rc = check_treatment(value, &own.treatment);
	if (rc == 0 && scanner_check_pattern(&own.pattern) < 0)
		rc = fault_while(-EINVAL, BUNDLE_POLICY ":%u:%u", value->line, value->column);
	if (rc == 0)
		rc = add_detect(
		        value, all, (struct privacy_detect){.entity = own.pattern.name, .treatment = own.treatment});
	*ret_pattern = own.pattern;
	return rc;
}

static int read_patterns(struct reading *r, const Node *value, void *target) {
	struct reading_privacy *all = target;
	if (value->kind != TREE_LIST || value->count > PRIVACY_PATTERNS_MAX)
		return read_complain(
		        value, "'patterns' is a list of at most %d (lines that begin with '- ')", PRIVACY_PATTERNS_MAX);
	struct scan_pattern *patterns = arena_take(&r->policy->memory, value->count + 1, sizeof *patterns);
	int rc = patterns ? 0 : read_no_memory();
	for (size_t i = 0; i < value->count && rc == 0; i++)
		rc = read_own_pattern(r, value->values[i], all, &patterns[i]);
	all->privacy.patterns = patterns;
	all->privacy.pattern_count = value->count;
	return rc;
}

/* ---- evidence ---- */

static int read_sensitivity(struct reading *r, const Node *value, void *target) {
	(void)r;
	static const char *const words[] = {"low", "high", NULL};
	unsigned which;
	int rc = read_choice(value, "sensitivity", words, &which);
	if (rc == 0)
		((struct reading_privacy *)target)->privacy.sensitivity = which == 0 ? SCAN_LOW : SCAN_HIGH;
	return rc;
}

static int read_threshold(struct reading *r, const Node *value, void *target) {
	(void)r;
	double *threshold = &((struct reading_privacy *)target)->privacy.threshold;
	int rc = read_real(value, "threshold", threshold);
	return rc < 0 || (*threshold >= 0 && *threshold <= 1)
	               ? rc
	               : read_complain(value, "'threshold' is a share of a column's cells, from 0 to 1");
}

static int read_sample(struct reading *r, const Node *value, void *target) {
	(void)r;
	return read_number(value, "sample", PRIVACY_SAMPLE_MAX, &((struct reading_privacy *)target)->privacy.sample);
}

/* ---- the whole ---- */

int read_privacy(struct reading *r, const Node *value, void *target) {
	static const struct field fields[] = {{"action", read_standard_action, false},
	        {"keep_first", read_standard_first, false}, {"keep_last", read_standard_last, false},
	        {"detect", read_detect, false}, {"patterns", read_patterns, false}, {"columns", read_columns, false},
	        {"allow", read_allows, false}, {"sensitivity", read_sensitivity, false},
	        {"threshold", read_threshold, false}, {"sample", read_sample, false}};
	struct policy_dataset *dataset = target;
	struct reading_privacy all = {.privacy.sample = PRIVACY_SAMPLE_DEFAULT};
	all.detects = arena_take(&r->policy->memory, PRIVACY_DETECTS_MAX, sizeof *all.detects);
	struct privacy *privacy = arena_take(&r->policy->memory, 1, sizeof *privacy);
	if (!all.detects || !privacy)
		return read_no_memory();
	int rc = read_fields(r, value, "'privacy'", fields, COUNT(fields), &all);
	if (rc == 0)
		rc = check_treatment(value, &all.standard);
	if (rc < 0)
		return rc;
	if (all.privacy.detect_count == 0 && all.privacy.column_count == 0)
		return read_complain(value, "'privacy' needs 'detect:', 'patterns:' or 'columns:'");
	*privacy = all.privacy;
	privacy->detects = all.detects;
	dataset->privacy = privacy;
	return 0;
}

/* ---- k-anonymity ---- */

static int read_group_columns(struct reading *r, const Node *value, void *target) {
	struct privacy_groups *groups = target;
	return read_some_texts(r, value, "columns", &groups->columns, &groups->column_count);
}

static int read_count(const Node *value, const char *what, uint64_t *ret_count) {
	unsigned number;
	int rc = read_number_from(value, what, 2, 1000000, &number);
	*ret_count = rc == 0 ? number : 0;
	return rc;
}

static int read_k(struct reading *r, const Node *value, void *target) {
	(void)r;
	return read_count(value, "k", &((struct privacy_groups *)target)->k);
}

static int read_l(struct reading *r, const Node *value, void *target) {
	(void)r;
	return read_count(value, "l", &((struct privacy_groups *)target)->l);
}

static int read_sensitive(struct reading *r, const Node *value, void *target) {
	return read_text(r, value, "sensitive", &((struct privacy_groups *)target)->sensitive);
}

static int read_groups(struct reading *r, const Node *value, const struct field *fields, size_t count,
        struct policy_dataset *dataset) {
	const Node *const *items = value->kind == TREE_LIST ? value->values : &value;
	size_t more = value->kind == TREE_LIST ? value->count : 1, before = dataset->group_count;
	struct privacy_groups *groups = arena_take(&r->policy->memory, before + more + 1, sizeof *groups);
	if (!groups)
		return read_no_memory();
	if (before + more > PRIVACY_GROUPS_MAX)
		return read_complain(value, "more than %d rules on groups of rows", PRIVACY_GROUPS_MAX);
	if (before > 0)
		memcpy(groups, dataset->groups, before * sizeof *groups);
	int rc = 0;
	for (size_t i = 0; i < more && rc == 0; i++)
		rc = read_fields(r, items[i], "a rule on groups of rows", fields, count, &groups[before + i]);
	dataset->groups = groups;
	dataset->group_count = before + more;
	return rc;
}

int read_k_anonymity(struct reading *r, const Node *value, void *target) {
	static const struct field fields[] = {{"columns", read_group_columns, true}, {"k", read_k, true}};
	return read_groups(r, value, fields, COUNT(fields), target);
}

int read_l_diversity(struct reading *r, const Node *value, void *target) {
	static const struct field fields[] = {
	        {"columns", read_group_columns, true}, {"sensitive", read_sensitive, true}, {"l", read_l, true}};
	return read_groups(r, value, fields, COUNT(fields), target);
}
