/* A check's job as JSON, and back. */
#include "policy/check_json.h"

#include "crypto/base/fault.h"
#include "crypto/digest.h"
#include "policy/arena.h"
#include "policy/check_files.h"
#include "policy/privacy/scan_file.h"
#include "policy/privacy_job.h"

#include <errno.h>
#include <string.h>

struct CheckJobMemory {
	struct arena arena;
};

/* Every byte of the rules could be written as \u00xx, and what they look back on has names made of them. */
#define NS_PER_S 1000000000LL
#define JOB_MAX \
	(BUNDLE_FILE_MAX * 24 + CHECK_HISTORY_MAX * 32 + CHECK_FILES_TEXT * 6 + DQDL_FILES_MAX * 160 + (1u << 20))

/* What asks for columns or rows makes a table of a file; else its format or its name says. */
static bool is_text(const struct policy_dataset *dataset, const char *file_name) {
	bool is_table = dataset->rules.size > 0 || dataset->keep || dataset->group_count > 0 || !dataset->privacy ||
	                dataset->privacy->column_count > 0;
	return dataset->format.type == POLICY_FILE_TEXT ||
	       (dataset->format.type == POLICY_FILE_DETECT && !is_table && !scan_is_named_table(file_name));
}

struct check_job check_job_for(
        const struct policy_dataset *dataset, const char *file_name, uint64_t size, int64_t clock_ns) {
	return (struct check_job){
	        .dataset = dataset->name,
	        .file_name = file_name,
	        .size = size,
	        .format = dataset->format,
	        .is_text = is_text(dataset, file_name),
	        .nulls = dataset->nulls,
	        .null_words = dataset->null_words,
	        .null_word_count = dataset->null_word_count,
	        .types = dataset->types,
	        .type_count = dataset->type_count,
	        .rules = dataset->rules,
	        .rules_file = dataset->rules_file,
	        .keep = dataset->keep,
	        .privacy = dataset->privacy,
	        .allowed_at_s = clock_ns / NS_PER_S,
	        .groups = dataset->groups,
	        .group_count = dataset->group_count,
	        .clock_ns = clock_ns,
	};
}

uint64_t check_job_bytes(const struct check_job *job) {
	uint64_t bytes = job->size;
	for (size_t i = 0; i < job->reference_count; i++)
		if (__builtin_add_overflow(bytes, job->references[i].size, &bytes))
			return UINT64_MAX;
	return bytes;
}

/* Names are bytes; the worker needs the suffix only, so a name that is not UTF-8 may lose its letters. */
static bool put_file_name(json_t *object, const char *name) {
	json_t *text = json_string(name ? name : "");
	if (!text)
		text = json_string(strrchr(name, '.') ? "name" : "");
	return json_object_set_new(object, "file_name", text) == 0;
}

static bool put_format(json_t *object, const struct policy_format *format) {
	return json_put_int(object, "type", format->type) && json_put_int(object, "delimiter", format->delimiter) &&
	       json_put_int(object, "quote", format->quote) && json_put_int(object, "escape", format->escape) &&
	       json_put_int(object, "header", format->header);
}

static json_t *references_json(const struct check_job *job) {
	_cleanup_(json_decrefp) json_t *list = json_array();
	for (size_t i = 0; list && i < job->reference_count; i++) {
		const struct check_reference *reference = &job->references[i];
		_cleanup_(json_decrefp) json_t *object = json_object();
		if (!object || !json_put_text(object, "alias", reference->alias) ||
		        !put_file_name(object, reference->file_name) ||
		        !json_put_count(object, "size", reference->size) || !put_format(object, &reference->format) ||
		        json_array_append(list, object) != 0)
			return NULL;
	}
	return steal_pointer(&list);
}

static json_t *types_json(const struct check_job *job) {
	_cleanup_(json_decrefp) json_t *types = json_object();
	for (size_t i = 0; types && i < job->type_count; i++)
		if (json_object_set_new(types, job->types[i].name, json_integer(job->types[i].type)) != 0)
			return NULL;
	return steal_pointer(&types);
}

static json_t *series_json(const struct dqdl_series *series) {
	_cleanup_(json_decrefp) json_t *object = json_object();
	json_t *values = json_array();
	bool done = object && json_object_set_new(object, "values", values) == 0 &&
	            json_put_text(object, "name", series->name);
	for (size_t i = 0; done && i < series->count; i++)
		done = json_array_append_new(values, json_real(series->values[i])) == 0;
	return done ? steal_pointer(&object) : NULL;
}

/* Not known: null, which is not the same as nothing. */
static json_t *history_json(const struct check_job *job) {
	_cleanup_(json_decrefp) json_t *list = job->knows_history ? json_array() : json_null();
	for (size_t i = 0; job->knows_history && list && i < job->history_count; i++)
		if (json_array_append_new(list, series_json(&job->history[i])) != 0)
			return NULL;
	return steal_pointer(&list);
}

int check_job_to_json(const struct check_job *job, char **ret_json, size_t *ret_size) {
	_cleanup_(json_decrefp) json_t *object = json_object();
	bool done =
	        object && put_file_name(object, job->file_name) && put_format(object, &job->format) &&
	        json_put_text(object, "dataset", job->dataset) &&
	        json_put_text(object, "rules_file", job->rules_file) && json_put_text(object, "keep", job->keep) &&
	        json_put_count(object, "size", job->size) && json_put_int(object, "mtime", job->mtime_s) &&
	        json_object_set_new(object, "files", check_files_json(job->file_lists, job->file_list_count)) == 0 &&
	        json_put_int(object, "clock_ns", job->clock_ns) && json_put_int(object, "nulls", job->nulls) &&
	        json_put_int(object, "passes", job->is_twice ? 2 : 1) &&
	        json_put_int(object, "is_text", job->is_text) && json_put_int(object, "may_split", job->may_split) &&
	        json_put_int(object, "is_output", job->is_output) &&
	        json_object_set_new(object, "privacy", privacy_job_json(job->privacy, job->allowed_at_s)) == 0 &&
	        json_object_set_new(object, "groups", privacy_groups_json(job->groups, job->group_count)) == 0 &&
	        json_object_set_new(object, "references", references_json(job)) == 0 &&
	        json_object_set_new(object, "null_words", check_texts_json(job->null_words, job->null_word_count)) ==
	                0 &&
	        json_object_set_new(object, "types", types_json(job)) == 0 &&
	        json_object_set_new(object, "history", history_json(job)) == 0 &&
	        json_object_set_new(object, "rules",
	                json_stringn(job->rules.size ? (const char *)job->rules.data : "", job->rules.size)) == 0;
	if (!done)
		return fault(EINVAL, "the rules are not UTF-8 text, or there is no memory");
	return json_strict_write(object, ret_json, ret_size);
}

int check_job_hash(const struct check_job *job, bool is_timeless, uint8_t ret_sha256[static 32]) {
	_cleanup_(freep) char *json = NULL;
	size_t size;
	struct check_job hashed = *job;
	if (is_timeless)
		hashed.clock_ns = 0;
	int rc = check_job_to_json(&hashed, &json, &size);
	if (rc >= 0)
		sha256(bytes_of(json, size), ret_sha256);
	return rc;
}

static int read_arena_text(struct arena *arena, const json_t *object, const char *key, const char **ret_text) {
	_cleanup_(freep) char *text = NULL;
	int rc = json_strict_text_or_null(object, key, &text);
	if (rc < 0 || !text)
		return rc;
	*ret_text = arena_copy(arena, text, strlen(text));
	return *ret_text ? 0 : fault(ENOMEM, "no memory for a job");
}

static int read_small(const json_t *object, const char *key, int64_t most, int *ret_number) {
	int64_t number;
	int rc = json_strict_int(object, key, &number);
	if (rc < 0)
		return rc;
	if (number < 0 || number > most)
		return fault(EBADMSG, "the job's '%s' is out of range", key);
	*ret_number = (int)number;
	return 0;
}

static int read_format(const json_t *object, struct policy_format *ret_format) {
	int type = 0, delimiter = 0, quote = 0, escape = 0, header = 0;
	int rc = read_small(object, "type", POLICY_FILE_TEXT, &type);
	if (rc < 0 || (rc = read_small(object, "delimiter", 127, &delimiter)) < 0 ||
	        (rc = read_small(object, "quote", 127, &quote)) < 0 ||
	        (rc = read_small(object, "escape", 127, &escape)) < 0 ||
	        (rc = read_small(object, "header", POLICY_HEADER_NO, &header)) < 0)
		return rc;
	*ret_format = (struct policy_format){.type = (enum policy_file_type)type,
	        .delimiter = (char)delimiter,
	        .quote = (char)quote,
	        .escape = (char)escape,
	        .header = (enum policy_header)header};
	return 0;
}

static int read_job_format(const json_t *object, struct check_job *job) {
	int nulls = 0;
	int rc = read_format(object, &job->format);
	if (rc == 0 && (rc = read_small(object, "nulls", POLICY_NULLS_WORDS, &nulls)) == 0)
		job->nulls = (enum policy_nulls)nulls;
	return rc;
}

static int read_references(struct arena *arena, const json_t *object, struct check_job *job) {
	const json_t *list;
	int rc = json_strict_array(object, "references", CHECK_REFERENCES_MAX, &list);
	if (rc < 0)
		return rc;
	struct check_reference *references = arena_take(arena, json_array_size(list) + 1, sizeof *references);
	if (!references)
		return fault(ENOMEM, "no memory for a job");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *item = json_array_get(list, i);
		struct check_reference *reference = &references[i];
		if ((rc = read_arena_text(arena, item, "alias", &reference->alias)) < 0 ||
		        (rc = read_arena_text(arena, item, "file_name", &reference->file_name)) < 0 ||
		        (rc = json_strict_count(item, "size", &reference->size)) < 0 ||
		        (rc = read_format(item, &reference->format)) < 0)
			return rc;
		if (!reference->alias)
			return fault(EBADMSG, "a reference of the job has no alias");
	}
	job->references = references;
	job->reference_count = json_array_size(list);
	return 0;
}

static int read_job_types(struct arena *arena, const json_t *object, struct check_job *job) {
	const json_t *types;
	int rc = json_strict_object(object, "types", &types);
	if (rc < 0)
		return rc;
	size_t count = json_object_size(types);
	if (count > POLICY_TYPES_MAX)
		return fault(EBADMSG, "the job gives more than %u types", POLICY_TYPES_MAX);
	struct column_given *list = arena_take(arena, count + 1, sizeof *list);
	/* jansson iterates through a value that it does not change, but does not say so. */
	json_t *mutable = (json_t *)(uintptr_t)types;
	const char *name;
	json_t *type;
	if (!list)
		return fault(ENOMEM, "no memory for a job");
	json_object_foreach(mutable, name, type) {
		struct column_given *given = &list[job->type_count];
		json_int_t number = json_is_integer(type) ? json_integer_value(type) : -1;
		if (number < COLUMN_TEXT || number > COLUMN_BOOLEAN)
			return fault(EBADMSG, "the job gives a column a type that there is not");
		given->type = (enum column_type)number;
		given->name = arena_copy(arena, name, strlen(name));
		if (!given->name)
			return fault(ENOMEM, "no memory for a job");
		job->type_count++;
	}
	job->types = list;
	return 0;
}

static int read_job_lists(struct arena *arena, const json_t *object, struct check_job *job) {
	const json_t *rules = json_object_get(object, "rules");
	const json_t *words;
	int rc = json_strict_array(object, "null_words", 10000, &words);
	if (rc < 0 || !json_is_string(rules))
		return rc < 0 ? rc : fault(EBADMSG, "the job has no rules");
	const char **list = arena_take(arena, json_array_size(words) + 1, sizeof *list);
	for (size_t i = 0; list && i < json_array_size(words); i++) {
		const char *word = json_string_value(json_array_get(words, i));
		list[i] = word ? arena_copy(arena, word, strlen(word)) : NULL;
		if (!list[i])
			return fault(word ? ENOMEM : EBADMSG, "the job's null words are not texts");
	}
	const char *text = arena_copy(arena, json_string_value(rules), json_string_length(rules));
	if (!list || !text)
		return fault(ENOMEM, "no memory for a job");
	job->null_words = list;
	job->null_word_count = json_array_size(words);
	job->rules = bytes_of(text, json_string_length(rules));
	return 0;
}

/* `total` counts the values of all series. */
static int read_series(struct arena *arena, const json_t *object, struct dqdl_series *ret_series, size_t *total) {
	const json_t *list;
	const char *name = NULL;
	int rc = json_strict_array(object, "values", DQDL_HISTORY_MAX, &list);
	if (rc < 0 || (rc = read_arena_text(arena, object, "name", &name)) < 0)
		return rc;
	size_t count = json_array_size(list);
	if (!name || (*total += count) > CHECK_HISTORY_MAX)
		return fault(EBADMSG, "the job's history has no name, or is too long");
	double *values = arena_take(arena, count + 1, sizeof *values);
	if (!values)
		return fault(ENOMEM, "no memory for a job");
	for (size_t i = 0; i < count; i++) {
		const json_t *value = json_array_get(list, i);
		if (!json_is_real(value))
			return fault(EBADMSG, "the job's history has what is no number");
		values[i] = json_real_value(value);
	}
	*ret_series = (struct dqdl_series){.name = name, .values = values, .count = count};
	return 0;
}

static int read_history(struct arena *arena, const json_t *object, struct check_job *job) {
	const json_t *list;
	size_t total = 0;
	if (json_strict_is_null(object, "history"))
		return 0;
	int rc = json_strict_array(object, "history", CHECK_SERIES_MAX, &list);
	if (rc < 0)
		return rc;
	struct dqdl_series *series = arena_take(arena, json_array_size(list) + 1, sizeof *series);
	if (!series)
		return fault(ENOMEM, "no memory for a job");
	for (size_t i = 0; rc == 0 && i < json_array_size(list); i++)
		rc = read_series(arena, json_array_get(list, i), &series[i], &total);
	job->knows_history = true;
	job->history = series;
	job->history_count = json_array_size(list);
	return rc;
}

int check_job_from_json(struct bytes json, struct check_job *ret_job, CheckJobMemory **ret_memory) {
	_cleanup_(json_decrefp) json_t *object = NULL;
	_cleanup_(check_job_freep) CheckJobMemory *memory = calloc(1, sizeof *memory);
	if (!memory)
		return fault(ENOMEM, "no memory for a job");
	const json_t *files = NULL;
	int passes = 0, may_split = 0, is_output = 0, is_text = 0;
	struct check_job job = {0};
	int rc = json_strict_parse(json, "the job", JOB_MAX, SIZE_MAX, &object);
	if (rc < 0 || (rc = read_arena_text(&memory->arena, object, "dataset", &job.dataset)) < 0 ||
	        (rc = read_arena_text(&memory->arena, object, "file_name", &job.file_name)) < 0 ||
	        (rc = read_arena_text(&memory->arena, object, "rules_file", &job.rules_file)) < 0 ||
	        (rc = read_arena_text(&memory->arena, object, "keep", &job.keep)) < 0 ||
	        (rc = json_strict_count(object, "size", &job.size)) < 0 ||
	        (rc = json_strict_int(object, "clock_ns", &job.clock_ns)) < 0 ||
	        (rc = json_strict_int(object, "mtime", &job.mtime_s)) < 0 ||
	        (rc = json_strict_array(object, "files", DQDL_FILES_MAX, &files)) < 0 ||
	        (rc = check_files_read(&memory->arena, files, &job.file_lists, &job.file_list_count)) < 0 ||
	        (rc = read_small(object, "passes", 2, &passes)) < 0 ||
	        (rc = read_small(object, "may_split", 1, &may_split)) < 0 ||
	        (rc = read_small(object, "is_text", 1, &is_text)) < 0 ||
	        (rc = read_small(object, "is_output", 1, &is_output)) < 0 || (rc = read_job_format(object, &job)) < 0 ||
	        (rc = privacy_job_read(&memory->arena, object, "privacy", &job.privacy)) < 0 ||
	        (rc = privacy_groups_read(&memory->arena, object, "groups", &job.groups, &job.group_count)) < 0 ||
	        (rc = read_job_lists(&memory->arena, object, &job)) < 0 ||
	        (rc = read_references(&memory->arena, object, &job)) < 0 ||
	        (rc = read_job_types(&memory->arena, object, &job)) < 0 ||
	        (rc = read_history(&memory->arena, object, &job)) < 0)
		return rc;
	job.is_twice = passes == 2;
	job.is_text = is_text == 1;
	job.may_split = may_split == 1;
	job.is_output = is_output == 1;
	*ret_job = job;
	*ret_memory = steal_pointer(&memory);
	return 0;
}

void check_job_free(CheckJobMemory *memory) {
	if (!memory)
		return;
	arena_free(&memory->arena);
	free(memory);
}
