/*
 * kind_files: rules about files, not about what stands in them. They are settled when all has been read, as the file
 * that is checked is one of them.
 *
 * Tags: uriRegex keeps the files whose path it is found in, then recentFiles the newest so many; matchFileName lets
 * FileUniqueness look at names instead of contents; timeZone (UTC or +hh:mm) says where a date or a time of day is
 * meant. Contents are told apart by SHA-256, which is what a vault keeps of its files; where hashAlgorithm says MD5 or
 * SHA-1 the question is the same, whether two files are alike, and so is the answer but for files made to collide.
 */
#include "policy/dqdl/compare.h"
#include "policy/dqdl/evaluator.h"

#include "crypto/base/fault.h"
#include "policy/dqdl/pattern.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- which files ---- */

/* The files of one of the rule's paths that its tags leave; pointers into what was told. */
struct chosen {
	const struct dqdl_file **files;
	size_t count;
};

static void chosen_free(struct chosen *chosen) {
	free((void *)chosen->files);
}

/* A tag's text without its quotes; false when there is none. */
static bool tag_text(const struct check *check, const char *key, char *ret_text, size_t room) {
	const char *written = check_tag(check->rule, key);
	if (!written)
		return false;
	size_t size = strlen(written);
	bool quoted = size >= 2 && written[0] == '"';
	(void)snprintf(ret_text, room, "%.*s", (int)(quoted ? size - 2 : size), quoted ? written + 1 : written);
	return true;
}

/* What was told of a path; settles the check when nothing was, or not all. */
static int find_files(
        const DqdlEvaluator *evaluator, struct check *check, const char *path, const struct dqdl_files **ret_files) {
	for (size_t i = 0; i < evaluator->options.file_list_count; i++) {
		const struct dqdl_files *files = &evaluator->options.file_lists[i];
		if (strcmp(files->path, path) != 0)
			continue;
		*ret_files = files;
		if (files->is_cut)
			return check_settle(
			        check, DQDL_ERROR, "there are more than %u files, which is too many", DQDL_FILES_MAX);
		return 0;
	}
	return check_settle(check, DQDL_ERROR, "what stands at \"%.200s\" is not known here", path);
}

static int compare_times(const void *one, const void *other) {
	const struct dqdl_file *const *a = one, *const *b = other;
	return ((*a)->mtime < (*b)->mtime) - ((*a)->mtime > (*b)->mtime);
}

static void keep_recent(const struct check *check, struct chosen *chosen) {
	char text[32];
	if (!tag_text(check, "recentFiles", text, sizeof text))
		return;
	unsigned long most = strtoul(text, NULL, 10);
	qsort((void *)chosen->files, chosen->count, sizeof *chosen->files, compare_times);
	if (most < chosen->count)
		chosen->count = most;
}

static int keep_matching(struct check *check, struct chosen *chosen) {
	_cleanup_(pattern_freep) Pattern *pattern = NULL;
	char regex[1024];
	if (!tag_text(check, "uriRegex", regex, sizeof regex))
		return 0;
	int rc = pattern_new(regex, 0, &pattern);
	if (rc == -ENOMEM)
		return rc;
	if (rc < 0)
		return check_settle(check, DQDL_ERROR, "uriRegex: %s", fault_message());
	size_t kept = 0;
	for (size_t i = 0; i < chosen->count; i++) {
		const char *path = chosen->files[i]->path;
		struct table_cell cell = {.data = path, .size = strlen(path)};
		enum pattern_answer answer = pattern_find(pattern, cell);
		if (answer == PATTERN_OVER_LIMIT)
			return check_settle(
			        check, DQDL_ERROR, "uriRegex takes more than %u steps", PATTERN_MATCH_LIMIT);
		if (answer != PATTERN_NONE)
			chosen->files[kept++] = chosen->files[i];
	}
	chosen->count = kept;
	return 0;
}

/* Of the rule's `parameter`, or of the file that is checked when it names none. Settles the check when that can't be
 * said, or there is not one file. */
static int choose(const DqdlEvaluator *evaluator, struct check *check, size_t parameter, struct chosen *ret_chosen) {
	struct dqdl_files own = {.files = &evaluator->own_file, .count = 1};
	const struct dqdl_files *files = &own;
	int rc = check->rule->parameter_count
	                 ? find_files(evaluator, check, check->rule->parameters[parameter].value, &files)
	                 : 0;
	if (rc < 0 || check->settled)
		return rc;
	ret_chosen->files = calloc(files->count + 1, sizeof *ret_chosen->files);
	if (!ret_chosen->files)
		return evaluator_out_of_memory();
	ret_chosen->count = files->count;
	for (size_t i = 0; i < files->count; i++)
		ret_chosen->files[i] = &files->files[i];
	rc = keep_matching(check, ret_chosen);
	if (rc < 0 || check->settled)
		return rc;
	keep_recent(check, ret_chosen);
	return ret_chosen->count ? 0
	                         : check_settle(check, DQDL_FAILED, "there is no file at \"%.200s\"",
	                                   check->rule->parameters[parameter].value);
}

/* ---- how many conform ---- */

/* Holds the share of files that conform against the threshold, or wants all. */
static int settle_share(struct check *check, const char *metric, size_t conforming, size_t count) {
	const struct dqdl_condition *threshold = &check->rule->threshold;
	double share = (double)conforming / (double)count;
	bool holds = conforming == count;
	int rc = check_add_metric(check, metric, share);
	if (rc == 0)
		rc = check_add_metric(check, "FileCount", (double)count);
	if (rc < 0)
		return rc;
	if (threshold->kind != DQDL_CONDITION_NONE && dqdl_condition_holds(threshold, share, &holds) < 0)
		return check_settle(check, DQDL_ERROR, "%s", fault_message());
	if (holds)
		return check_pass(check);
	return check_settle(check, DQDL_FAILED, "%zu of %zu files do not conform", count - conforming, count);
}

/* ---- FileSize ---- */

/* A bare number is bytes. */
static int size_of(const struct dqdl_operand *operand, double *ret_bytes) {
	static const double units[] = {[DQDL_B] = 1,
	        [DQDL_KB] = 1024.0,
	        [DQDL_MB] = 1048576.0,
	        [DQDL_GB] = 1073741824.0,
	        [DQDL_TB] = 1099511627776.0};
	if (operand->form != DQDL_OPERAND_SIZE)
		return dqdl_number_value(operand->number, ret_bytes);
	*ret_bytes = (double)operand->amount * units[operand->unit];
	return 0;
}

typedef int operand_fn(const DqdlEvaluator *evaluator, struct check *check, size_t i, double *ret_value);

static int size_operand(const DqdlEvaluator *evaluator, struct check *check, size_t i, double *ret_value) {
	(void)evaluator;
	int rc = size_of(&check->rule->condition.operands[i], ret_value);
	return rc < 0 ? check_settle(check, DQDL_ERROR, "%s", fault_message()) : 0;
}

typedef double value_fn(const struct dqdl_file *file);

static double size_value(const struct dqdl_file *file) {
	return (double)file->size;
}

/* Each file's value against the condition. */
static int finish_each(
        DqdlEvaluator *evaluator, struct check *check, operand_fn *operand, value_fn *value, const char *metric) {
	const struct dqdl_condition *condition = &check->rule->condition;
	_cleanup_(chosen_free) struct chosen chosen = {0};
	_cleanup_(freep) double *operands = calloc(condition->operand_count + 1, sizeof *operands);
	int rc = operands ? choose(evaluator, check, 0, &chosen) : evaluator_out_of_memory();
	for (size_t i = 0; i < condition->operand_count && rc == 0 && !check->settled; i++)
		rc = operand(evaluator, check, i, &operands[i]);
	if (rc < 0 || check->settled)
		return rc;
	size_t conforming = 0;
	for (size_t i = 0; i < chosen.count; i++)
		conforming += dqdl_compare(condition->op, operands, condition->operand_count, value(chosen.files[i])) !=
		              condition->negated;
	return settle_share(check, metric, conforming, chosen.count);
}

static int finish_size(DqdlEvaluator *evaluator, struct check *check) {
	return finish_each(evaluator, check, size_operand, size_value, "FileSize.Compliance");
}

const struct check_kind kind_file_size = {.columns = KIND_COLUMNS_NONE, .finish = finish_size};

/* ---- FileFreshness ---- */

/* Seconds that the tag timeZone is ahead of UTC. */
static int find_zone(struct check *check, int64_t *ret_ahead) {
	char zone[64];
	unsigned hours = 0, minutes = 0;
	char sign[2], more;
	*ret_ahead = 0;
	if (!tag_text(check, "timeZone", zone, sizeof zone) || strcasecmp(zone, "UTC") == 0 ||
	        strcasecmp(zone, "GMT") == 0 || strcmp(zone, "Z") == 0)
		return 0;
	const char *offset = strncasecmp(zone, "UTC", 3) == 0 || strncasecmp(zone, "GMT", 3) == 0 ? zone + 3 : zone;
	int fields = sscanf(offset, "%1[+-]%2u:%2u%c", sign, &hours, &minutes, &more);
	if ((fields != 2 && fields != 3) || hours > 18 || minutes > 59)
		return check_settle(check, DQDL_ERROR,
		        "timeZone \"%.60s\": give UTC or an offset as \"+02:00\"; the names of zones are not known "
		        "here",
		        zone);
	*ret_ahead = ((int64_t)hours * 3600 + (int64_t)minutes * 60) * (sign[0] == '-' ? -1 : 1);
	return 0;
}

static int time_operand(const DqdlEvaluator *evaluator, struct check *check, size_t i, double *ret_value) {
	static const int64_t unit_seconds[] = {[DQDL_MINUTES] = 60, [DQDL_HOURS] = 3600, [DQDL_DAYS] = 86400};
	const struct dqdl_operand *operand = &check->rule->condition.operands[i];
	int64_t now = evaluator->options.now - evaluator->options.now % 60, ahead, offset;
	int rc = find_zone(check, &ahead);
	if (rc < 0 || check->settled)
		return rc;
	int64_t local = now + ahead, today = local - ((local % 86400) + 86400) % 86400;
	switch ((int)operand->form) {
	case DQDL_OPERAND_DATE:
		*ret_value = (double)((int64_t)operand->days * 86400 - ahead);
		return 0;
	case DQDL_OPERAND_TIME:
		*ret_value = (double)(today + (int64_t)operand->minutes * 60 - ahead);
		return 0;
	case DQDL_OPERAND_NOW:
	case DQDL_OPERAND_NOW_OFFSET:
		offset = operand->form == DQDL_OPERAND_NOW ? 0 : operand->amount * unit_seconds[operand->unit];
		*ret_value = (double)(operand->minus ? now - offset : now + offset);
		return 0;
	default:
		return check_settle(check, DQDL_ERROR, "a file's time can't be compared with NULL");
	}
}

/* To the minute, as now() is. */
static double time_value(const struct dqdl_file *file) {
	return (double)(file->mtime - ((file->mtime % 60) + 60) % 60);
}

static int finish_freshness(DqdlEvaluator *evaluator, struct check *check) {
	return finish_each(evaluator, check, time_operand, time_value, "FileFreshness.Compliance");
}

const struct check_kind kind_file_freshness = {.columns = KIND_COLUMNS_NONE, .finish = finish_freshness};

/* ---- contents ---- */

static bool is_algorithm(const char *word) {
	static const char *const words[] = {"MD5", "SHA-1", "SHA1", "SHA-256", "SHA256"};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strcasecmp(word, words[i]) == 0)
			return true;
	return false;
}

/* Settles a check that can't be decided, as the digest of a file is not known or another one is asked for. */
static int need_sha256(struct check *check, const struct chosen *chosen) {
	char algorithm[32];
	if (tag_text(check, "hashAlgorithm", algorithm, sizeof algorithm) && !is_algorithm(algorithm))
		return check_settle(check, DQDL_ERROR, "hashAlgorithm %.30s: give MD5, SHA-1 or SHA-256", algorithm);
	for (size_t i = 0; i < chosen->count; i++)
		if (!chosen->files[i]->has_sha256)
			return check_settle(check, DQDL_ERROR,
			        "the SHA-256 of %.300s is not known: name files of Raw or Trusted",
			        chosen->files[i]->path);
	return 0;
}

static int compare_contents(const void *one, const void *other) {
	const struct dqdl_file *const *a = one, *const *b = other;
	return memcmp((*a)->sha256, (*b)->sha256, sizeof(*a)->sha256);
}

static const char *name_of(const struct dqdl_file *file) {
	const char *slash = strrchr(file->path, '/');
	return slash ? slash + 1 : file->path;
}

static int compare_names(const void *one, const void *other) {
	const struct dqdl_file *const *a = one, *const *b = other;
	return strcmp(name_of(*a), name_of(*b));
}

/* ---- FileUniqueness ---- */

/* Files whose content (or name) no other one has, of all. */
static int finish_uniqueness(DqdlEvaluator *evaluator, struct check *check) {
	_cleanup_(chosen_free) struct chosen chosen = {0};
	char text[16];
	bool by_name = tag_text(check, "matchFileName", text, sizeof text) && strcasecmp(text, "true") == 0;
	int (*compare)(const void *, const void *) = by_name ? compare_names : compare_contents;
	int rc = choose(evaluator, check, 0, &chosen);
	if (rc == 0 && !check->settled && !by_name && chosen.count > 1)
		rc = need_sha256(check, &chosen);
	if (rc == 0 && !check->settled)
		rc = check_add_metric(check, "FileCount", (double)chosen.count);
	if (rc < 0 || check->settled)
		return rc;
	qsort((void *)chosen.files, chosen.count, sizeof *chosen.files, compare);
	size_t alone = 0;
	for (size_t i = 0; i < chosen.count; i++)
		alone += (i == 0 || compare(&chosen.files[i - 1], &chosen.files[i]) != 0) &&
		         (i + 1 == chosen.count || compare(&chosen.files[i], &chosen.files[i + 1]) != 0);
	return check_settle_metric(check, "FileUniquenessRatio", (double)alone / (double)chosen.count);
}

const struct check_kind kind_file_uniqueness = {.columns = KIND_COLUMNS_NONE, .finish = finish_uniqueness};

/* ---- FileMatch ---- */

static bool is_listed(const struct dqdl_condition *condition, const struct dqdl_file *file) {
	char hex[2 * DQDL_SHA256_BYTES + 1];
	for (size_t i = 0; i < sizeof file->sha256; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", file->sha256[i]);
	for (size_t i = 0; i < condition->operand_count; i++)
		if (condition->operands[i].form == DQDL_OPERAND_TEXT &&
		        strcasecmp(condition->operands[i].value, hex) == 0)
			return true;
	return false;
}

static int match_list(DqdlEvaluator *evaluator, struct check *check) {
	const struct dqdl_condition *condition = &check->rule->condition;
	_cleanup_(chosen_free) struct chosen chosen = {0};
	if (condition->op != DQDL_EQUAL && condition->op != DQDL_IN)
		return check_settle(check, DQDL_ERROR, "FileMatch compares digests by =, != and in alone");
	int rc = choose(evaluator, check, 0, &chosen);
	if (rc == 0 && !check->settled)
		rc = need_sha256(check, &chosen);
	char algorithm[32];
	if (rc == 0 && !check->settled && tag_text(check, "hashAlgorithm", algorithm, sizeof algorithm) &&
	        !strcasestr(algorithm, "256"))
		return check_settle(check, DQDL_ERROR,
		        "digests are held against the SHA-256 of a file, which is what a vault keeps: give those, not "
		        "%.30s",
		        algorithm);
	if (rc < 0 || check->settled)
		return rc;
	size_t conforming = 0;
	for (size_t i = 0; i < chosen.count; i++)
		conforming += is_listed(condition, chosen.files[i]) != condition->negated;
	return settle_share(check, "FileMatch.Compliance", conforming, chosen.count);
}

/* The same contents, each as often, whatever the names. */
static int match_paths(DqdlEvaluator *evaluator, struct check *check) {
	_cleanup_(chosen_free) struct chosen one = {0};
	_cleanup_(chosen_free) struct chosen other = {0};
	int rc = choose(evaluator, check, 0, &one);
	if (rc == 0 && !check->settled)
		rc = choose(evaluator, check, 1, &other);
	if (rc == 0 && !check->settled)
		rc = need_sha256(check, &one);
	if (rc == 0 && !check->settled)
		rc = need_sha256(check, &other);
	if (rc < 0 || check->settled)
		return rc;
	qsort((void *)one.files, one.count, sizeof *one.files, compare_contents);
	qsort((void *)other.files, other.count, sizeof *other.files, compare_contents);
	bool same = one.count == other.count;
	for (size_t i = 0; i < one.count && same; i++)
		same = compare_contents(&one.files[i], &other.files[i]) == 0;
	if (same)
		return check_pass(check);
	return check_settle(check, DQDL_FAILED, "the contents of %zu files are not those of the %zu others", one.count,
	        other.count);
}

static int finish_match(DqdlEvaluator *evaluator, struct check *check) {
	return check->rule->parameter_count == 2 ? match_paths(evaluator, check) : match_list(evaluator, check);
}

const struct check_kind kind_file_match = {.columns = KIND_COLUMNS_NONE, .finish = finish_match};
