#include "policy/privacy_job.h"

#include "crypto/base/fault.h"
#include "policy/check_json.h"

#include <errno.h>

/* ---- writing ---- */

static bool put_treatment(json_t *object, const struct privacy_treatment *treatment) {
	return json_put_int(object, "action", treatment->action) &&
	       json_put_int(object, "keep_first", treatment->keep_first) &&
	       json_put_int(object, "keep_last", treatment->keep_last);
}

/* Appends it if it is whole. */
static bool append(json_t *list, json_t *object, bool is_whole) {
	if (is_whole)
		return json_array_append_new(list, object) == 0;
	json_decref(object);
	return false;
}

static json_t *detects_json(const struct privacy *privacy) {
	_cleanup_(json_decrefp) json_t *list = json_array();
	for (size_t i = 0; list && i < privacy->detect_count; i++) {
		json_t *object = json_object();
		bool done = object && json_put_text(object, "entity", privacy->detects[i].entity) &&
		            put_treatment(object, &privacy->detects[i].treatment);
		if (!append(list, object, done))
			return NULL;
	}
	return steal_pointer(&list);
}

static json_t *columns_json(const struct privacy *privacy) {
	_cleanup_(json_decrefp) json_t *list = json_array();
	for (size_t i = 0; list && i < privacy->column_count; i++) {
		json_t *object = json_object();
		bool done = object && json_put_text(object, "name", privacy->columns[i].name) &&
		            put_treatment(object, &privacy->columns[i].treatment);
		if (!append(list, object, done))
			return NULL;
	}
	return steal_pointer(&list);
}

static json_t *allows_json(const struct privacy *privacy, int64_t clock_s) {
	_cleanup_(json_decrefp) json_t *list = json_array();
	for (size_t i = 0; list && i < privacy->allow_count; i++) {
		const struct privacy_allow *allow = &privacy->allows[i];
		if (allow->until_s != 0 && allow->until_s <= clock_s)
			continue;
		json_t *object = json_object();
		bool done = object && json_put_text(object, "text", allow->text) &&
		            json_put_int(object, "regex", allow->is_regex) &&
		            json_put_text(object, "owner", allow->owner);
		if (!append(list, object, done))
			return NULL;
	}
	return steal_pointer(&list);
}

static json_t *patterns_json(const struct privacy *privacy) {
	_cleanup_(json_decrefp) json_t *list = json_array();
	for (size_t i = 0; list && i < privacy->pattern_count; i++) {
		const struct scan_pattern *pattern = &privacy->patterns[i];
		json_t *object = json_object();
		bool done = object && json_put_text(object, "name", pattern->name) &&
		            json_put_text(object, "regex", pattern->regex) &&
		            json_put_text(object, "validator", pattern->validator) &&
		            json_object_set_new(object, "keywords",
		                    check_texts_json(pattern->keywords, pattern->keyword_count)) == 0 &&
		            json_put_int(object, "distance", pattern->distance) &&
		            json_object_set_new(
		                    object, "ignore", check_texts_json(pattern->ignore, pattern->ignore_count)) == 0 &&
		            json_put_int(object, "score", pattern->score);
		if (!append(list, object, done))
			return NULL;
	}
	return steal_pointer(&list);
}

json_t *privacy_job_json(const struct privacy *privacy, int64_t clock_s) {
	if (!privacy)
		return json_null();
	_cleanup_(json_decrefp) json_t *object = json_object();
	bool done = object && json_object_set_new(object, "detect", detects_json(privacy)) == 0 &&
	            json_object_set_new(object, "columns", columns_json(privacy)) == 0 &&
	            json_object_set_new(object, "patterns", patterns_json(privacy)) == 0 &&
	            json_object_set_new(object, "allow", allows_json(privacy, clock_s)) == 0 &&
	            json_put_int(object, "sensitivity", privacy->sensitivity) &&
	            json_put_int(object, "sample", privacy->sample) &&
	            json_object_set_new(object, "threshold", json_real(privacy->threshold)) == 0;
	return done ? steal_pointer(&object) : NULL;
}

json_t *privacy_groups_json(const struct privacy_groups *groups, size_t count) {
	_cleanup_(json_decrefp) json_t *list = json_array();
	for (size_t i = 0; list && i < count; i++) {
		json_t *object = json_object();
		bool done = object &&
		            json_object_set_new(object, "columns",
		                    check_texts_json(groups[i].columns, groups[i].column_count)) == 0 &&
		            json_put_count(object, "k", groups[i].k) &&
		            json_put_text(object, "sensitive", groups[i].sensitive) &&
		            json_put_count(object, "l", groups[i].l);
		if (!append(list, object, done))
			return NULL;
	}
	return steal_pointer(&list);
}

/* ---- reading ---- */

struct reader {
	struct arena *arena;
	int rc; /* the first error */
};

static bool is_well(const struct reader *r) {
	return r->rc >= 0;
}

/* A text, or NULL for null. */
static const char *take_text(struct reader *r, const json_t *object, const char *key) {
	_cleanup_(freep) char *text = NULL;
	const char *copy = NULL;
	if (is_well(r))
		r->rc = json_strict_text_or_null(object, key, &text);
	if (is_well(r) && text && !(copy = arena_copy(r->arena, text, strlen(text))))
		r->rc = fault(ENOMEM, "no memory for a job");
	return copy;
}

static const char *take_some_text(struct reader *r, const json_t *object, const char *key) {
	const char *text = take_text(r, object, key);
	if (is_well(r) && !text)
		r->rc = fault(EBADMSG, "the job's '%s' is missing", key);
	return text ? text : "";
}

static unsigned take_number(struct reader *r, const json_t *object, const char *key, unsigned most) {
	uint64_t number = 0;
	if (is_well(r))
		r->rc = json_strict_count(object, key, &number);
	if (is_well(r) && number > most)
		r->rc = fault(EBADMSG, "the job's '%s' is out of range", key);
	return is_well(r) ? (unsigned)number : 0;
}

/* Zeroed room for as many items as the list has. */
static void *take_list(
        struct reader *r, const json_t *object, const char *key, size_t most, size_t size, const json_t **ret_list) {
	*ret_list = NULL;
	if (is_well(r))
		r->rc = json_strict_array(object, key, most, ret_list);
	void *items = is_well(r) ? arena_take(r->arena, json_array_size(*ret_list) + 1, size) : NULL;
	if (is_well(r) && !items)
		r->rc = fault(ENOMEM, "no memory for a job");
	if (!items)
		*ret_list = NULL;
	return items;
}

static size_t take_texts(struct reader *r, const json_t *object, const char *key, const char *const **ret_texts) {
	const json_t *list;
	const char **texts = take_list(r, object, key, PRIVACY_TEXTS_MAX, sizeof *texts, &list);
	size_t count = json_array_size(list);
	for (size_t i = 0; i < count && is_well(r); i++) {
		const char *text = json_string_value(json_array_get(list, i));
		texts[i] = text ? arena_copy(r->arena, text, strlen(text)) : NULL;
		if (!texts[i])
			r->rc = fault(text ? ENOMEM : EBADMSG, "the job's '%s' are not texts", key);
	}
	*ret_texts = texts;
	return is_well(r) ? count : 0;
}

static struct privacy_treatment take_treatment(struct reader *r, const json_t *object) {
	return (struct privacy_treatment){
	        .action = (enum privacy_action)take_number(r, object, "action", PRIVACY_ACTIONS - 1),
	        .keep_first = take_number(r, object, "keep_first", PRIVACY_KEEP_MAX),
	        .keep_last = take_number(r, object, "keep_last", PRIVACY_KEEP_MAX)};
}

static void take_detects(struct reader *r, const json_t *object, struct privacy *privacy) {
	const json_t *list;
	struct privacy_detect *detects = take_list(r, object, "detect", PRIVACY_DETECTS_MAX, sizeof *detects, &list);
	for (size_t i = 0; i < json_array_size(list) && is_well(r); i++) {
		const json_t *item = json_array_get(list, i);
		detects[i] = (struct privacy_detect){
		        .entity = take_some_text(r, item, "entity"), .treatment = take_treatment(r, item)};
	}
	privacy->detects = detects;
	privacy->detect_count = json_array_size(list);
}

static void take_columns(struct reader *r, const json_t *object, struct privacy *privacy) {
	const json_t *list;
	struct privacy_column *columns = take_list(r, object, "columns", PRIVACY_COLUMNS_MAX, sizeof *columns, &list);
	for (size_t i = 0; i < json_array_size(list) && is_well(r); i++) {
		const json_t *item = json_array_get(list, i);
		columns[i] = (struct privacy_column){
		        .name = take_some_text(r, item, "name"), .treatment = take_treatment(r, item)};
	}
	privacy->columns = columns;
	privacy->column_count = json_array_size(list);
}

static void take_allows(struct reader *r, const json_t *object, struct privacy *privacy) {
	const json_t *list;
	struct privacy_allow *allows = take_list(r, object, "allow", PRIVACY_ALLOWS_MAX, sizeof *allows, &list);
	for (size_t i = 0; i < json_array_size(list) && is_well(r); i++) {
		const json_t *item = json_array_get(list, i);
		allows[i] = (struct privacy_allow){.text = take_some_text(r, item, "text"),
		        .is_regex = take_number(r, item, "regex", 1) == 1,
		        .owner = take_text(r, item, "owner")};
	}
	privacy->allows = allows;
	privacy->allow_count = json_array_size(list);
}

static void take_patterns(struct reader *r, const json_t *object, struct privacy *privacy) {
	const json_t *list;
	struct scan_pattern *patterns = take_list(r, object, "patterns", PRIVACY_PATTERNS_MAX, sizeof *patterns, &list);
	for (size_t i = 0; i < json_array_size(list) && is_well(r); i++) {
		const json_t *item = json_array_get(list, i);
		struct scan_pattern *pattern = &patterns[i];
		pattern->name = take_some_text(r, item, "name");
		pattern->regex = take_some_text(r, item, "regex");
		pattern->validator = take_text(r, item, "validator");
		pattern->keyword_count = take_texts(r, item, "keywords", &pattern->keywords);
		pattern->distance = take_number(r, item, "distance", 1000);
		pattern->ignore_count = take_texts(r, item, "ignore", &pattern->ignore);
		pattern->score = take_number(r, item, "score", 100);
	}
	privacy->patterns = patterns;
	privacy->pattern_count = json_array_size(list);
}

static double take_share(struct reader *r, const json_t *object, const char *key) {
	const json_t *value = json_object_get(object, key);
	double share = json_is_real(value) ? json_real_value(value) : -1;
	if (is_well(r) && !(share >= 0 && share <= 1))
		r->rc = fault(EBADMSG, "the job's '%s' is no share", key);
	return share;
}

int privacy_job_read(struct arena *arena, const json_t *object, const char *key, const struct privacy **ret_privacy) {
	struct reader r = {.arena = arena};
	const json_t *item;
	*ret_privacy = NULL;
	if (json_strict_is_null(object, key))
		return 0;
	r.rc = json_strict_object(object, key, &item);
	if (!is_well(&r))
		return r.rc;
	struct privacy *privacy = arena_take(arena, 1, sizeof *privacy);
	if (!privacy)
		return fault(ENOMEM, "no memory for a job");
	take_detects(&r, item, privacy);
	take_columns(&r, item, privacy);
	take_patterns(&r, item, privacy);
	take_allows(&r, item, privacy);
	privacy->sensitivity = (enum scan_sensitivity)take_number(&r, item, "sensitivity", SCAN_HIGH);
	privacy->sample = take_number(&r, item, "sample", PRIVACY_SAMPLE_MAX);
	privacy->threshold = take_share(&r, item, "threshold");
	*ret_privacy = privacy;
	return r.rc;
}

int privacy_groups_read(struct arena *arena, const json_t *object, const char *key,
        const struct privacy_groups **ret_groups, size_t *ret_count) {
	struct reader r = {.arena = arena};
	const json_t *list;
	struct privacy_groups *groups = take_list(&r, object, key, PRIVACY_GROUPS_MAX, sizeof *groups, &list);
	for (size_t i = 0; i < json_array_size(list) && is_well(&r); i++) {
		const json_t *item = json_array_get(list, i);
		groups[i].column_count = take_texts(&r, item, "columns", &groups[i].columns);
		groups[i].k = take_number(&r, item, "k", 1000000);
		groups[i].sensitive = take_text(&r, item, "sensitive");
		groups[i].l = take_number(&r, item, "l", 1000000);
	}
	*ret_groups = groups;
	*ret_count = json_array_size(list);
	return r.rc;
}
