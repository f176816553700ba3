#include "policy/privacy/groups.h"

#include "crypto/base/bytes.h"
#include "crypto/base/fault.h"
#include "policy/dqdl/distinct.h"
#include "policy/table/column_names.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct counted {
	const struct privacy_groups *rule;
	size_t *columns;  /* of the table; the sensitive one is the last */
	Distinct *rows;   /* how many rows a group has */
	Distinct *pairs;  /* groups with a sensitive value */
	Distinct *values; /* how many of those a group has */
	uint64_t small, in_small, count;
	bool is_ended; /* words say why */
	bool is_failed;
	char words[300];
};

struct Groups {
	struct distinct_budget budget;
	struct counted *counted;
	size_t count;
	uint8_t *text; /* of a row's columns, with their sizes */
	size_t room;
};

static int no_memory(void) {
	return fault(ENOMEM, "no memory to count rows that are alike");
}

int groups_new(const struct privacy_groups *rules, size_t count, size_t bytes, Groups **ret_groups) {
	_cleanup_(groups_freep) Groups *groups = calloc(1, sizeof *groups);
	uint8_t key[DISTINCT_KEY_BYTES];
	if (!groups || !(groups->counted = calloc(count + 1, sizeof *groups->counted)))
		return no_memory();
	groups->budget.limit = bytes;
	randombytes_buf(key, sizeof key);
	for (; groups->count < count; groups->count++) {
		struct counted *counted = &groups->counted[groups->count];
		counted->rule = &rules[groups->count];
		counted->columns = calloc(counted->rule->column_count + 1, sizeof *counted->columns);
		counted->rows = distinct_new(key, &groups->budget, NULL);
		counted->pairs = distinct_new(key, &groups->budget, NULL);
		counted->values = distinct_new(key, &groups->budget, NULL);
		if (!counted->columns || !counted->rows || !counted->pairs || !counted->values) {
			groups->count++;
			return no_memory();
		}
	}
	*ret_groups = steal_pointer(&groups);
	return 0;
}

void groups_free(Groups *groups) {
	if (!groups)
		return;
	for (size_t i = 0; i < groups->count; i++) {
		struct counted *counted = &groups->counted[i];
		free(counted->columns);
		distinct_free(counted->rows);
		distinct_free(counted->pairs);
		distinct_free(counted->values);
	}
	free(groups->counted);
	free(groups->text);
	free(groups);
}

__attribute__((format(printf, 3, 4))) static void end(
        struct counted *counted, bool is_failed, const char *format, ...) {
	va_list list;
	va_start(list, format);
	counted->is_ended = true;
	counted->is_failed = is_failed;
	distinct_freep(&counted->rows); /* the others may need what it took */
	distinct_freep(&counted->pairs);
	distinct_freep(&counted->values);
	counted->rows = counted->pairs = counted->values = NULL;
	(void)vsnprintf(counted->words, sizeof counted->words, format, list);
	va_end(list);
}

int groups_header(Groups *groups, const struct table_cell *names, size_t count) {
	for (size_t i = 0; i < groups->count; i++) {
		struct counted *counted = &groups->counted[i];
		const struct privacy_groups *rule = counted->rule;
		for (size_t k = 0; k < rule->column_count + (rule->sensitive != NULL); k++) {
			const char *name = k < rule->column_count ? rule->columns[k] : rule->sensitive;
			size_t found = column_find(names, count, name, &counted->columns[k]);
			if (found == 0)
				end(counted, true, "the table has no column \"%.200s\"", name);
			else if (found > 1)
				end(counted, false, "several columns are called \"%.200s\"", name);
		}
	}
	return 0;
}

/* ---- rows ---- */

/* The cells with their sizes before them, so that no two rows that differ are one text; a NULL is no empty text. */
static int put_cell(Groups *groups, size_t *size, struct table_cell cell) {
	if (groups->room - *size < cell.size + 9) {
		size_t room = (*size + cell.size + 9) * 2;
		uint8_t *text = realloc(groups->text, room);
		if (!text)
			return no_memory();
		groups->text = text;
		groups->room = room;
	}
	groups->text[*size] = cell.data != NULL;
	le64_put(groups->text + *size + 1, cell.size);
	if (cell.size > 0)
		memcpy(groups->text + *size + 9, cell.data, cell.size);
	*size += 9 + cell.size;
	return 0;
}

/* `least` are enough: what was small is so no longer. */
static void note(struct counted *counted, uint64_t now, uint64_t least) {
	counted->count += now == 1;
	if (now < least) {
		counted->small += now == 1;
		counted->in_small++;
	} else if (now == least) {
		counted->small -= least > 1;
		counted->in_small -= least - 1;
	}
}

static int count_row(Groups *groups, struct counted *counted, const struct table_cell *cells, uint64_t line) {
	const struct privacy_groups *rule = counted->rule;
	uint64_t now = 0;
	size_t size = 0;
	int rc = 0;
	for (size_t k = 0; rc == 0 && k < rule->column_count; k++)
		rc = put_cell(groups, &size, cells[counted->columns[k]]);
	if (rc < 0)
		return rc;
	if (!rule->sensitive) {
		rc = distinct_add(counted->rows, groups->text, size, line, &now);
		if (rc == 0)
			note(counted, now, rule->k);
		return rc;
	}
	struct table_cell sensitive = cells[counted->columns[rule->column_count]];
	size_t group = size;
	rc = distinct_add(counted->rows, groups->text, group, line, &now);
	if (rc == 0 && now == 1) { /* without a value so far */
		counted->count++;
		counted->small++;
	}
	if (rc < 0 || !sensitive.data || sensitive.size == 0)
		return rc;
	if ((rc = put_cell(groups, &size, sensitive)) < 0 ||
	        (rc = distinct_add(counted->pairs, groups->text, size, line, &now)) < 0 || now > 1)
		return rc;
	rc = distinct_add(counted->values, groups->text, group, line, &now);
	if (rc == 0 && now == rule->l)
		counted->small--;
	return rc;
}

int groups_rows(Groups *groups, const struct table_rows *rows) {
	for (size_t i = 0; i < groups->count; i++) {
		struct counted *counted = &groups->counted[i];
		for (size_t row = 0; row < rows->count && !counted->is_ended; row++) {
			int rc = count_row(groups, counted, rows_at(rows, row), rows->lines[row]);
			if (rc == -E2BIG)
				end(counted, false, "there are more groups of rows than fit into memory");
			else if (rc < 0)
				return rc;
		}
	}
	return 0;
}

void groups_outcome(const Groups *groups, size_t i, struct groups_outcome *ret_outcome) {
	const struct counted *counted = &groups->counted[i];
	*ret_outcome = (struct groups_outcome){.is_decided = !counted->is_ended || counted->is_failed,
	        .has_passed = !counted->is_ended && counted->small == 0,
	        .groups = counted->count,
	        .small = counted->small,
	        .rows = counted->in_small};
	if (counted->is_ended)
		(void)snprintf(ret_outcome->words, sizeof ret_outcome->words, "%s", counted->words);
	else if (counted->small > 0 && counted->rule->sensitive)
		(void)snprintf(ret_outcome->words, sizeof ret_outcome->words,
		        "%" PRIu64 " of %" PRIu64 " groups of rows have fewer than %" PRIu64 " values of \"%.100s\"",
		        counted->small, counted->count, counted->rule->l, counted->rule->sensitive);
	else if (counted->small > 0)
		(void)snprintf(ret_outcome->words, sizeof ret_outcome->words,
		        "%" PRIu64 " of %" PRIu64 " groups have fewer than %" PRIu64 " rows, %" PRIu64
		        " rows together; generalise a column, or drop one",
		        counted->small, counted->count, counted->rule->k, counted->in_small);
}

char *groups_rule_text(const struct privacy_groups *rule) {
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	if (!out)
		return NULL;
	(void)fputs(rule->sensitive ? "l_diversity" : "k_anonymity", out);
	for (size_t i = 0; i < rule->column_count; i++)
		(void)fprintf(out, " \"%.200s\"", rule->columns[i]);
	if (rule->sensitive)
		(void)fprintf(out, " of \"%.200s\" l = %" PRIu64, rule->sensitive, rule->l);
	else
		(void)fprintf(out, " k = %" PRIu64, rule->k);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}
