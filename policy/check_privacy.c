#include "policy/check_privacy.h"

#include "crypto/base/fault.h"
#include "policy/dqdl/value.h"
#include "policy/privacy/groups.h"
#include "policy/privacy/scan_rows.h"
#include "policy/privacy/treat.h"
#include "policy/table/column_names.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* What counting groups of rows may use. */
#define GROUP_BYTES (256u << 20)
#define NO_SLOT 0u

enum { REASONS_SHOWN = 3 };

struct CheckPrivacy {
	const struct check_job *job;
	struct check_result *result;
	Scanner *scanner; /* NULL: nothing is looked for */
	struct scan_allow *allow;
	const char **entities;
	Groups *groups;
	struct scan_rows rows;

	size_t columns;                           /* of a text: 1 */
	struct table_cell *names;                 /* NULL: a text */
	const struct privacy_treatment **treated; /* of each column its own, or NULL */
	uint32_t *column_finding;                 /* of a column that is treated as a whole: finding + 1 */
	uint32_t *slots;                          /* of detector and column: finding + 1 */
	uint64_t *filled;                         /* cells of a column that are not empty */
	uint64_t *last_lines;                     /* of each finding: to count cells, not matches */
	bool *is_hidden;                          /* columns whose names are personal data: told by their numbers */

	check_place_fn *each; /* in the second pass */
	void *each_context;
};

static int no_memory(void) {
	return fault(ENOMEM, "no memory to look for personal data");
}

/* ---- making ---- */

static int look(void *context, const struct table_rows *rows);

/* The detectors among what is to be found; patterns are always used. */
static size_t take_entities(const struct privacy *privacy, const char **ret_entities) {
	size_t count = 0;
	for (size_t i = 0; i < privacy->detect_count; i++) {
		bool is_pattern = false;
		for (size_t k = 0; k < privacy->pattern_count && !is_pattern; k++)
			is_pattern = strcmp(privacy->patterns[k].name, privacy->detects[i].entity) == 0;
		if (!is_pattern)
			ret_entities[count++] = privacy->detects[i].entity;
	}
	return count;
}

static int make_scanner(CheckPrivacy *p, const struct privacy *privacy) {
	p->entities = calloc(privacy->detect_count + 1, sizeof *p->entities);
	p->allow = calloc(privacy->allow_count + 1, sizeof *p->allow);
	if (!p->entities || !p->allow)
		return no_memory();
	for (size_t i = 0; i < privacy->allow_count; i++) {
		p->allow[i] =
		        (struct scan_allow){.text = privacy->allows[i].text, .is_regex = privacy->allows[i].is_regex};
		struct check_allowed *allowed = check_result_add_allowed(p->result, privacy->allows[i].owner);
		if (!allowed)
			return -ENOMEM;
	}
	const struct scan_options options = {.sensitivity = privacy->sensitivity,
	        .entities = p->entities,
	        .entity_count = take_entities(privacy, p->entities),
	        .patterns = privacy->patterns,
	        .pattern_count = privacy->pattern_count,
	        .allow = p->allow,
	        .allow_count = privacy->allow_count,
	        .is_treated = p->job->is_output};
	return scanner_new(&options, &p->scanner);
}

int check_privacy_new(const struct check_job *job, struct check_result *result, CheckPrivacy **ret_privacy) {
	_cleanup_(check_privacy_freep) CheckPrivacy *p = calloc(1, sizeof *p);
	if (!p)
		return no_memory();
	p->job = job;
	p->result = result;
	int rc = job->privacy ? make_scanner(p, job->privacy) : 0;
	if (rc == 0 && job->group_count > 0)
		rc = groups_new(job->groups, job->group_count, GROUP_BYTES, &p->groups);
	if (rc < 0)
		return rc;
	p->rows = (struct scan_rows){
	        .scanner = p->scanner, .sample = job->privacy ? job->privacy->sample : 0, .look = look, .context = p};
	*ret_privacy = steal_pointer(&p);
	return 0;
}

void check_privacy_free(CheckPrivacy *p) {
	if (!p)
		return;
	scanner_free(p->scanner);
	groups_free(p->groups);
	scan_rows_release(&p->rows);
	free(p->allow);
	free(p->entities);
	free(p->names);
	free(p->treated);
	free(p->column_finding);
	free(p->slots);
	free(p->filled);
	free(p->last_lines);
	free(p->is_hidden);
	free(p);
}

static size_t detect_of(const CheckPrivacy *p, const char *entity) {
	const struct privacy *privacy = p->job->privacy;
	size_t i = 0;
	while (i < privacy->detect_count && privacy->detects[i].entity != entity &&
	        strcmp(privacy->detects[i].entity, entity) != 0)
		i++;
	return i;
}

/* ---- columns ---- */

/* A column's name as a verdict shows it: of an own allocation; a text has none. */
static char *column_name(const CheckPrivacy *p, size_t column) {
	char *name = NULL;
	if (!p->names || !p->is_hidden || !p->is_hidden[column])
		return p->names ? strndup(p->names[column].data, p->names[column].size) : NULL;
	return asprintf(&name, "column %zu", column + 1) < 0 ? NULL : name;
}

static int add_finding(CheckPrivacy *p, const char *entity, size_t column, uint32_t *ret_slot) {
	_cleanup_(freep) char *name = column_name(p, column);
	if (p->names && !name)
		return no_memory();
	if (!check_result_add_finding(p->result, entity, name))
		return p->result->privacy.finding_count < CHECK_FINDINGS_MAX ? -ENOMEM : -E2BIG;
	size_t count = p->result->privacy.finding_count;
	uint64_t *lines = reallocarray(p->last_lines, count, sizeof *lines);
	if (!lines)
		return no_memory();
	p->last_lines = lines;
	lines[count - 1] = UINT64_MAX;
	*ret_slot = (uint32_t)count;
	return 0;
}

/* A treatment that the policy gives to a column. */
static int treat_column(CheckPrivacy *p, const struct privacy_column *given) {
	size_t column = 0, found = column_find(p->names, p->columns, given->name, &column);
	if (found == 0 && p->job->is_output)
		return 0; /* it was dropped */
	if (found == 0)
		/* not which it has: of a table without names they are the first row */
		return check_result_say(p->result, OUTCOME_FAILED,
		        "privacy names the column \"%.200s\", and the table has none of that name among its %zu",
		        given->name, p->columns);
	if (found != 1)
		return check_result_say(p->result, OUTCOME_FAILED,
		        "privacy names the column \"%.200s\", and several are called so", given->name);
	p->treated[column] = &given->treatment;
	if (!privacy_takes_column(given->treatment.action) || p->job->is_output)
		return 0;
	int rc = add_finding(p, CHECK_ENTITY_COLUMN, column, &p->column_finding[column]);
	if (rc < 0)
		return rc;
	struct check_finding *finding = &p->result->privacy.findings[p->column_finding[column] - 1];
	finding->of_column = true;
	finding->action = given->treatment.action;
	finding->score = 100;
	return 0;
}

/* ---- findings ---- */

/* Of a column that is treated as a whole nothing is found; but in what is to be published nothing may be left of it. */
static bool is_treated_already(const CheckPrivacy *p, const struct scan_finding *found, enum privacy_action action) {
	const struct privacy_treatment *treated = p->treated[found->column];
	if (!p->job->is_output)
		return treated && privacy_takes_column(treated->action);
	struct table_cell text = {.data = found->cell.data + found->from, .size = found->to - found->from};
	return action == PRIVACY_GENERALISE && treat_is_general(text);
}

static int finding_of(
        CheckPrivacy *p, const struct scan_finding *found, size_t detect, struct check_finding **ret_finding) {
	uint32_t *slot = &p->slots[detect * p->columns + found->column];
	const struct privacy_treatment *treated = p->treated[found->column];
	int rc = *slot == NO_SLOT ? add_finding(p, found->entity, found->column, slot) : 0;
	if (rc < 0)
		return rc;
	struct check_finding *finding = &p->result->privacy.findings[*slot - 1];
	finding->of_column = treated != NULL;
	finding->action = treated ? treated->action : p->job->privacy->detects[detect].treatment.action;
	*ret_finding = finding;
	return 0;
}

/* A finding is of one column, and each row begins on a line of its own: so its lines tell cells apart. */
static int count(CheckPrivacy *p, struct check_finding *finding, const struct scan_finding *found) {
	size_t index = (size_t)(finding - p->result->privacy.findings);
	finding->matches++;
	finding->score = found->score > finding->score ? found->score : finding->score;
	if (p->last_lines[index] == found->line)
		return 0;
	p->last_lines[index] = found->line;
	finding->cells++;
	return check_finding_add_line(finding, found->line);
}

int check_privacy_count(
        CheckPrivacy *p, const struct scan_finding *found, bool *ret_acts, struct check_place *ret_place) {
	size_t detect = detect_of(p, found->entity);
	struct check_finding *finding = NULL;
	*ret_acts = false;
	if (detect == p->job->privacy->detect_count)
		return 0;
	const struct privacy_treatment *treated = p->treated[found->column];
	enum privacy_action action = treated ? treated->action : p->job->privacy->detects[detect].treatment.action;
	if (is_treated_already(p, found, action))
		return 0;
	int rc = finding_of(p, found, detect, &finding);
	if (rc < 0)
		return rc;
	*ret_acts = action != PRIVACY_REPORT;
	*ret_place = (struct check_place){.line = found->line,
	        .column = found->column,
	        .from = found->from,
	        .to = found->to,
	        .finding = (size_t)(finding - p->result->privacy.findings),
	        .action = action,
	        .score = found->score,
	        .cell = found->cell};
	return count(p, finding, found);
}

static int take_finding(void *context, const struct scan_finding *found) {
	struct check_place place;
	bool acts;
	return check_privacy_count(context, found, &acts, &place);
}

/* ---- names ---- */

/* What is only reported counts as found in line 1; whatever else is to be done with it, names are not changed. */
static int take_name(void *context, const struct scan_finding *found) {
	CheckPrivacy *p = context;
	size_t detect = detect_of(p, found->entity);
	const struct privacy_treatment *treated = p->treated[found->column];
	if (detect == p->job->privacy->detect_count || (treated && treated->action == PRIVACY_DROP_COLUMN))
		return 0;
	p->is_hidden[found->column] = true;
	if (p->job->privacy->detects[detect].treatment.action == PRIVACY_REPORT)
		return take_finding(p, found);
	return check_result_say(p->result, p->job->is_output ? OUTCOME_ERROR : OUTCOME_FAILED,
	        "personal data: %s in the name of column %zu, and no action changes names (of a table without names "
	        "say 'format: {header: false}')",
	        found->entity, found->column + 1);
}

int check_privacy_header(CheckPrivacy *p, const struct table_cell *names, size_t columns) {
	const struct privacy *privacy = p->job->privacy;
	int rc = 0;
	p->columns = columns;
	if (names && !(p->names = cells_copy(names, columns)))
		return no_memory();
	if (p->groups)
		rc = groups_header(p->groups, names, columns);
	if (rc < 0 || !privacy)
		return rc;
	if (!names && privacy->column_count > 0)
		return fault(EINVAL, "privacy names columns, and the file has none");
	p->treated = calloc(columns + 1, sizeof *p->treated);
	p->is_hidden = calloc(columns + 1, sizeof *p->is_hidden);
	p->column_finding = calloc(columns + 1, sizeof *p->column_finding);
	p->filled = calloc(columns + 1, sizeof *p->filled);
	p->slots = calloc(privacy->detect_count * columns + 1, sizeof *p->slots);
	if (!p->treated || !p->is_hidden || !p->column_finding || !p->filled || !p->slots)
		return no_memory();
	for (size_t i = 0; i < privacy->column_count && rc == 0; i++)
		rc = treat_column(p, &privacy->columns[i]);
	if (rc == 0)
		rc = scanner_columns(p->scanner, names, names ? columns : 0);
	/* what a column is called is published, too */
	return rc < 0 || !names ? rc : scan_names(p->scanner, names, columns, 1, take_name, p);
}

/* ---- rows ---- */

static int count_filled(CheckPrivacy *p, const struct table_rows *rows) {
	for (size_t column = 0; column < rows->columns; column++) {
		if (p->column_finding[column] == NO_SLOT && p->job->privacy->threshold <= 0)
			continue;
		for (size_t row = 0; row < rows->count; row++) {
			struct table_cell cell = rows_at(rows, row)[column];
			p->filled[column] += cell.data && cell.size > 0;
		}
	}
	return 0;
}

static int look(void *context, const struct table_rows *rows) {
	CheckPrivacy *p = context;
	int rc = p->groups ? groups_rows(p->groups, rows) : 0;
	if (rc == 0 && p->scanner)
		rc = count_filled(p, rows);
	return rc < 0 || !p->scanner ? rc : scanner_rows(p->scanner, rows, take_finding, p);
}

int check_privacy_rows(CheckPrivacy *p, const struct table_rows *rows) {
	return scan_rows_add(&p->rows, rows);
}

/* ---- what it comes to ---- */

/* The names of those that act so, as many as are told in a sentence. */
static char *name_findings(const CheckPrivacy *p, bool (*is_meant)(const struct check_finding *)) {
	const struct check_privacy_result *privacy = &p->result->privacy;
	const char *what = p->names ? "cell" : "line";
	char *text = NULL;
	size_t size, shown = 0, meant = 0;
	FILE *out = open_memstream(&text, &size);
	if (!out)
		return NULL;
	for (size_t i = 0; i < privacy->finding_count; i++) {
		const struct check_finding *finding = &privacy->findings[i];
		if (!is_meant(finding) || ++meant > REASONS_SHOWN)
			continue;
		_cleanup_(freep) char *name = check_finding_text(finding);
		(void)fprintf(out, "%s%.200s (%" PRIu64 " %s%s, first in line %" PRIu64 ")", shown++ > 0 ? ", " : "",
		        name ? name : finding->entity, finding->cells, what, finding->cells == 1 ? "" : "s",
		        finding->line_count > 0 ? finding->lines[0] : 0);
	}
	if (meant > REASONS_SHOWN)
		(void)fprintf(out, " and %zu more", meant - REASONS_SHOWN);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

static bool refuses(const struct check_finding *finding) {
	return finding->acts && finding->action == PRIVACY_REFUSE;
}

static bool is_left(const struct check_finding *finding) {
	return finding->acts && finding->action != PRIVACY_REPORT;
}

static void settle_thresholds(CheckPrivacy *p) {
	struct check_privacy_result *privacy = &p->result->privacy;
	double threshold = p->job->privacy->threshold;
	for (size_t detect = 0; p->names && detect < p->job->privacy->detect_count && threshold > 0; detect++)
		for (size_t column = 0; column < p->columns; column++) {
			uint32_t slot = p->slots[detect * p->columns + column];
			if (slot == NO_SLOT)
				continue;
			struct check_finding *finding = &privacy->findings[slot - 1];
			finding->acts = (double)finding->cells >= threshold * (double)p->filled[column];
		}
}

/* What drops the column: the finding + 1, or NO_SLOT. */
static uint32_t find_dropping(const CheckPrivacy *p, size_t column) {
	const struct check_privacy_result *privacy = &p->result->privacy;
	for (size_t detect = 0; p->names && detect < p->job->privacy->detect_count; detect++) {
		uint32_t slot = p->slots[detect * p->columns + column];
		if (slot != NO_SLOT && privacy->findings[slot - 1].acts &&
		        privacy->findings[slot - 1].action == PRIVACY_DROP_COLUMN)
			return slot;
	}
	return NO_SLOT;
}

/* Columns that are treated as a whole: because the policy names them, or because of what is in them. */
static void settle_columns(CheckPrivacy *p) {
	struct check_privacy_result *privacy = &p->result->privacy;
	for (size_t column = 0; column < p->columns; column++) {
		uint32_t slot = p->column_finding[column];
		if (slot != NO_SLOT)
			privacy->findings[slot - 1].cells = privacy->findings[slot - 1].matches = p->filled[column];
		else
			p->column_finding[column] = find_dropping(p, column);
	}
}

/* Behind what rules said. */
static int say(CheckPrivacy *p, enum outcome outcome, const char *before, const char *names) {
	_cleanup_(freep) char *former = p->result->reason ? strdup(p->result->reason) : NULL;
	return check_result_say(
	        p->result, outcome, "%s%s%s%s", former ? former : "", former ? "; " : "", before, names);
}

static int settle_findings(CheckPrivacy *p) {
	bool (*is_meant)(const struct check_finding *) = p->job->is_output ? is_left : refuses;
	const struct check_privacy_result *privacy = &p->result->privacy;
	bool any = false;
	for (size_t i = 0; i < privacy->allowed_count; i++)
		p->result->privacy.allowed[i].count = scanner_allowed(p->scanner, i);
	for (size_t i = 0; i < privacy->finding_count; i++)
		any = any || is_meant(&privacy->findings[i]);
	if (!any)
		return 0;
	_cleanup_(freep) char *names = name_findings(p, is_meant);
	if (!names)
		return no_memory();
	return p->job->is_output ? say(p, OUTCOME_ERROR, "what would be published still shows personal data: ", names)
	                         : say(p, OUTCOME_FAILED, "personal data: ", names);
}

int check_privacy_settle_groups(CheckPrivacy *p) {
	int rc = 0;
	bool has_failed = p->result->outcome == OUTCOME_FAILED;
	for (size_t i = 0; p->groups && i < p->job->group_count && rc == 0; i++) {
		struct groups_outcome found;
		groups_outcome(p->groups, i, &found);
		_cleanup_(freep) char *text = groups_rule_text(&p->job->groups[i]);
		enum outcome outcome = !found.is_decided  ? OUTCOME_ERROR
		                       : found.has_passed ? OUTCOME_PASSED
		                                          : OUTCOME_FAILED;
		struct check_rule *rule = text ? check_result_add_rule(p->result, text, outcome) : NULL;
		if (!rule)
			return no_memory();
		if (outcome == OUTCOME_PASSED)
			continue;
		rc = check_rule_set_reason(rule, found.words);
		if (rc == 0 && (!has_failed || outcome == OUTCOME_ERROR))
			rc = check_result_say(p->result, outcome, "%s: %s", text, found.words);
		has_failed = has_failed || outcome == OUTCOME_FAILED;
	}
	return rc;
}

/* A column that goes goes with its name, also when all its cells are empty. */
static bool is_to_be_changed(const struct check_finding *finding) {
	bool is_there = finding->matches > 0 || finding->action == PRIVACY_DROP_COLUMN;
	return finding->acts && privacy_changes(finding->action) && is_there;
}

int check_privacy_say_unseen(struct check_result *result, const char *what, const char *remedy) {
	return check_result_say(
	        result, OUTCOME_ERROR, "not all of it can be looked through for personal data: %s; %s", what, remedy);
}

bool check_privacy_changes(const CheckPrivacy *p) {
	const struct check_privacy_result *privacy = &p->result->privacy;
	for (size_t i = 0; i < privacy->finding_count; i++)
		if (is_to_be_changed(&privacy->findings[i]) && !p->job->is_output)
			return true;
	return false;
}

static const char asked_of_output[] =
        "k_anonymity and l_diversity are asked of what is published, which is changed, so "
        "they are not decided here";

int check_privacy_end(CheckPrivacy *p) {
	int rc = scan_rows_end(&p->rows);
	if (rc == 0 && p->scanner) {
		p->result->has_privacy = true;
		p->result->privacy.sensitivity = p->job->privacy->sensitivity;
		p->result->privacy.threshold = p->job->privacy->threshold;
		settle_thresholds(p);
		settle_columns(p);
		rc = settle_findings(p);
	}
	if (rc == 0 && p->scanner && scanner_unclear_line(p->scanner) > 0)
		rc = check_result_say(p->result, OUTCOME_ERROR,
		        "line %" PRIu64
		        ": there is personal data with escapes of JSON in its midst (\\u00e9 for a letter, \\/ for /), "
		        "which are not changed in their place: write the characters themselves",
		        scanner_unclear_line(p->scanner));
	if (rc < 0 || !check_privacy_changes(p))
		return rc < 0 ? rc : check_privacy_settle_groups(p);
	return p->job->only_tells && p->groups ? check_result_warn(p->result, asked_of_output) : 0;
}

/* ---- the second pass ---- */

static int place_finding(void *context, const struct scan_finding *found) {
	CheckPrivacy *p = context;
	size_t detect = detect_of(p, found->entity);
	const struct privacy_treatment *treated = p->treated[found->column];
	if (detect == p->job->privacy->detect_count || (treated && privacy_takes_column(treated->action)))
		return 0;
	uint32_t slot = p->slots[detect * p->columns + found->column];
	if (slot == NO_SLOT)
		return fault(EBUSY, "line %" PRIu64 ": personal data that was not there at first", found->line);
	const struct check_finding *finding = &p->result->privacy.findings[slot - 1];
	if (!finding->acts || finding->action == PRIVACY_REPORT)
		return 0;
	const struct check_place place = {.line = found->line,
	        .column = found->column,
	        .from = found->from,
	        .to = found->to,
	        .finding = slot - 1,
	        .action = finding->action,
	        .score = found->score,
	        .cell = found->cell};
	return p->each(p->each_context, &place);
}

int check_privacy_places(CheckPrivacy *p, const struct table_rows *rows, check_place_fn *each, void *context) {
	p->each = each;
	p->each_context = context;
	return p->scanner ? scanner_rows(p->scanner, rows, place_finding, p) : 0;
}

bool check_privacy_column(const CheckPrivacy *p, size_t column, enum privacy_action *ret_action, size_t *ret_finding) {
	if (!p->column_finding || p->column_finding[column] == NO_SLOT)
		return false;
	*ret_finding = p->column_finding[column] - 1;
	*ret_action = p->result->privacy.findings[*ret_finding].action;
	return true;
}

Scanner *check_privacy_scanner(CheckPrivacy *p) {
	return p->scanner;
}
