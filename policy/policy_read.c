/* The generic part of reading a policy document: keys, types, and what is said when they are wrong. */
#include "policy/policy_read.h"

#include "crypto/base/fault.h"
#include "policy/dqdl/calendar.h"
#include "policy/glob.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

int read_complain(const Node *at, const char *format, ...) {
	char words[FAULT_MESSAGE_BYTES];
	va_list list;
	va_start(list, format);
	vsnprintf(words, sizeof words, format, list);
	va_end(list);
	return fault(EINVAL, BUNDLE_POLICY ":%u:%u: %.960s", at->line, at->column, words);
}

int read_no_memory(void) {
	return fault(ENOMEM, "no memory for the policy");
}

char *read_print(struct reading *r, const char *format, ...) {
	char text[1024];
	va_list list;
	va_start(list, format);
	int length = vsnprintf(text, sizeof text, format, list);
	va_end(list);
	if (length < 0)
		return NULL;
	return arena_copy(&r->policy->memory, text, strlen(text));
}

int read_warn(struct reading *r, const Node *at, const char *words) {
	Policy *policy = r->policy;
	const char **grown = arena_take(&policy->memory, policy->warning_count + 1, sizeof *grown);
	char *text = read_print(r, BUNDLE_POLICY ":%u: %s", at->line, words);
	if (!grown || !text)
		return read_no_memory();
	if (policy->warning_count > 0)
		memcpy(grown, policy->warnings, policy->warning_count * sizeof *grown);
	grown[policy->warning_count++] = text;
	policy->warnings = grown;
	return 0;
}

static const char *kind_words(const Node *node) {
	return node->kind == TREE_MAP ? "a map (key: value)" : node->kind == TREE_LIST ? "a list" : "a single value";
}

/* ---- maps ---- */

static int unknown_key(const Node *key, const char *what, const struct field *fields, size_t count) {
	char known[512] = "";
	size_t used = 0;
	for (size_t i = 0; i < count && used < sizeof known; i++)
		used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "", fields[i].name);
	return read_complain(key, "unknown key '%.80s' in %s; there are: %s", key->text, what, known);
}

static const Node *value_of(const Node *map, const char *name) {
	for (size_t i = 0; i < map->count; i++)
		if (strcmp(map->keys[i]->text, name) == 0)
			return map->values[i];
	return NULL;
}

static const struct field *field_named(const struct field *fields, size_t count, const char *name) {
	for (size_t i = 0; i < count; i++)
		if (strcmp(fields[i].name, name) == 0)
			return &fields[i];
	return NULL;
}

int read_fields(
        struct reading *r, const Node *map, const char *what, const struct field *fields, size_t count, void *target) {
	if (map->kind != TREE_MAP)
		return read_complain(map, "%s is a map (key: value), but here is %s", what, kind_words(map));
	for (size_t i = 0; i < map->count; i++)
		if (!field_named(fields, count, map->keys[i]->text))
			return unknown_key(map->keys[i], what, fields, count);
	/* In the table's order, so that a value can rest on one read before it. */
	for (size_t i = 0; i < count; i++) {
		const Node *value = value_of(map, fields[i].name);
		if (!value && fields[i].is_required)
			return read_complain(map, "%s needs '%s:'", what, fields[i].name);
		int rc = value ? fields[i].read(r, value, target) : 0;
		if (rc < 0)
			return rc;
	}
	return 0;
}

int read_list_of(struct reading *r, const Node *list, const char *what, size_t size, read_value *read, void **ret_items,
        size_t *ret_count) {
	if (list->kind != TREE_LIST)
		return read_complain(
		        list, "%s is a list (lines that begin with '- '), but here is %s", what, kind_words(list));
	unsigned char *items = arena_take(&r->policy->memory, list->count + 1, size);
	if (!items)
		return read_no_memory();
	for (size_t i = 0; i < list->count; i++) {
		int rc = read(r, list->values[i], items + i * size);
		if (rc < 0)
			return rc;
	}
	*ret_items = items;
	*ret_count = list->count;
	return 0;
}

/* ---- values ---- */

static int need_text(const Node *value, const char *what) {
	if (value->kind != TREE_TEXT)
		return read_complain(value, "'%s' takes a single value, but here is %s", what, kind_words(value));
	if (value->text[0] == '\0')
		return read_complain(value, "'%s' has no value", what);
	return 0;
}

int read_text(struct reading *r, const Node *value, const char *what, const char **ret_text) {
	int rc = need_text(value, what);
	if (rc < 0)
		return rc;
	char *copy = arena_copy(&r->policy->memory, value->text, strlen(value->text));
	if (!copy)
		return read_no_memory();
	*ret_text = copy;
	return 0;
}

int read_texts(
        struct reading *r, const Node *value, const char *what, const char *const **ret_texts, size_t *ret_count) {
	const Node *const *items = value->kind == TREE_LIST ? value->values : &value;
	size_t count = value->kind == TREE_LIST ? value->count : 1;
	const char **texts = arena_take(&r->policy->memory, count + 1, sizeof *texts);
	if (!texts)
		return read_no_memory();
	for (size_t i = 0; i < count; i++) {
		int rc = read_text(r, items[i], what, &texts[i]);
		if (rc < 0)
			return rc;
	}
	*ret_texts = texts;
	*ret_count = count;
	return 0;
}

int read_pattern(struct reading *r, const Node *value, const char *what, const char **ret_pattern) {
	const char *pattern;
	int rc = read_text(r, value, what, &pattern);
	if (rc < 0)
		return rc;
	rc = glob_check(pattern);
	if (rc < 0)
		return fault_while(rc, BUNDLE_POLICY ":%u:%u: '%s: %.200s'", value->line, value->column, what, pattern);
	*ret_pattern = pattern;
	return 0;
}

int read_number(const Node *value, const char *what, unsigned most, unsigned *ret_number) {
	return read_number_from(value, what, 0, most, ret_number);
}

int read_number_from(const Node *value, const char *what, unsigned least, unsigned most, unsigned *ret_number) {
	int rc = need_text(value, what);
	if (rc < 0)
		return rc;
	size_t digits = strspn(value->text, "0123456789");
	unsigned long number = digits > 0 && digits < 10 ? strtoul(value->text, NULL, 10) : 0;
	if (value->is_quoted || value->text[digits] != '\0' || digits == 0 || digits >= 10 || number < least ||
	        number > most)
		return read_complain(
		        value, "'%s: %.40s' must be a whole number from %u to %u", what, value->text, least, most);
	*ret_number = (unsigned)number;
	return 0;
}

int read_real(const Node *value, const char *what, double *ret_number) {
	const char *text = value->kind == TREE_TEXT ? value->text : "";
	char *end = NULL;
	double number = text[strspn(text, "0123456789.-")] == '\0' ? strtod(text, &end) : 0;
	if (!end || end == text || *end != '\0' || value->is_quoted || !isfinite(number))
		return read_complain(value, "'%s' takes a number like 38 or 0.5", what);
	*ret_number = number;
	return 0;
}

int read_choice(const Node *value, const char *what, const char *const words[], unsigned *ret_choice) {
	int rc = need_text(value, what);
	if (rc < 0)
		return rc;
	char known[256] = "";
	size_t used = 0;
	for (unsigned i = 0; words[i]; i++) {
		if (strcmp(value->text, words[i]) == 0) {
			*ret_choice = i;
			return 0;
		}
		if (used < sizeof known)
			used += (size_t)snprintf(
			        known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "", words[i]);
	}
	return read_complain(value, "'%s: %.80s' is not one of: %s", what, value->text, known);
}

int read_flag(const Node *value, const char *what, bool *ret_flag) {
	static const char *const words[] = {"false", "true", "no", "yes", NULL};
	unsigned choice;
	int rc = read_choice(value, what, words, &choice);
	if (rc == 0 && value->is_quoted)
		return read_complain(value, "'%s' is true or false, without quotes", what);
	if (rc == 0)
		*ret_flag = choice % 2 == 1;
	return rc;
}

/* The day that is named is the last one. */
int read_until(const Node *value, const char *what, int64_t *ret_until_s) {
	const char *text = value->kind == TREE_TEXT ? value->text : "";
	unsigned year = 0, month = 0, day = 0;
	int end = 0;
	int32_t days;
	bool is_date = strlen(text) == 10 && sscanf(text, "%4u-%2u-%2u%n", &year, &month, &day, &end) == 3 && end == 10;
	if (!is_date || !date_days((int32_t)year, month, day, &days))
		return read_complain(value, "'until' is the last day on which it is %s, like 2027-03-31", what);
	*ret_until_s = ((int64_t)days + 1) * 86400;
	return 0;
}
