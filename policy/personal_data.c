#include "policy/personal_data.h"

#include "crypto/base/fault.h"
#include "policy/privacy/scan_rows.h"
#include "policy/safe_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

enum {
	SAMPLE_ROWS = 1000,
	ENTITIES_MAX = 100,
	NAME_SHOWN = 60, /* bytes of a column's name */
	LEAST_LOW = 50   /* percent, at low sensitivity */
};

/* Of one entity. */
struct tally {
	const char *entity; /* static */
	uint64_t count, line;
	size_t column; /* the first */
	unsigned best;
};

struct PersonalData {
	Scanner *scanner;
	const struct table_cell *names;
	size_t columns;
	bool *in_column, *in_name;
	struct tally tallies[ENTITIES_MAX];
	size_t tally_count;
	struct scan_rows rows;
	bool is_unclear;
};

static int no_memory(void) {
	return fault(ENOMEM, "no memory to look for personal data");
}

/* ---- looking ---- */

static int take_finding(void *context, const struct scan_finding *finding) {
	PersonalData *p = context;
	size_t i = 0;
	p->in_column[finding->column] = true;
	while (i < p->tally_count && strcmp(p->tallies[i].entity, finding->entity) != 0)
		i++;
	if (i == ENTITIES_MAX)
		return 0;
	if (i == p->tally_count)
		p->tallies[p->tally_count++] =
		        (struct tally){.entity = finding->entity, .line = finding->line, .column = finding->column};
	p->tallies[i].count++;
	p->tallies[i].best = finding->score > p->tallies[i].best ? finding->score : p->tallies[i].best;
	return 0;
}

static int take_name(void *context, const struct scan_finding *finding) {
	((PersonalData *)context)->in_name[finding->column] = true;
	return 0;
}

static int look(void *context, const struct table_rows *rows) {
	PersonalData *p = context;
	return scanner_rows(p->scanner, rows, take_finding, p);
}

int personal_data_new(const struct table_cell *names, size_t columns, PersonalData **ret_privacy) {
	_cleanup_(personal_data_freep) PersonalData *p = calloc(1, sizeof *p);
	if (!p)
		return no_memory();
	p->names = names;
	p->columns = columns;
	p->in_column = calloc(columns + 1, sizeof *p->in_column);
	p->in_name = calloc(columns + 1, sizeof *p->in_name);
	if (!p->in_column || !p->in_name)
		return no_memory();
	int rc = scanner_new(&(struct scan_options){.sensitivity = SCAN_HIGH}, &p->scanner);
	if (rc == 0 && columns > 0)
		rc = scan_names(p->scanner, names, columns, 1, take_name, p);
	if (rc == 0)
		rc = scanner_columns(p->scanner, names, columns);
	p->rows = (struct scan_rows){.scanner = p->scanner, .sample = SAMPLE_ROWS, .look = look, .context = p};
	if (rc == 0)
		*ret_privacy = steal_pointer(&p);
	return rc;
}

void personal_data_free(PersonalData *p) {
	if (!p)
		return;
	scanner_free(p->scanner);
	scan_rows_release(&p->rows);
	free(p->in_column);
	free(p->in_name);
	free(p);
}

int personal_data_rows(PersonalData *p, const struct table_rows *rows) {
	return scan_rows_add(&p->rows, rows);
}

int personal_data_end(PersonalData *p) {
	int rc = scan_rows_end(&p->rows);
	p->is_unclear = scanner_unclear_line(p->scanner) > 0;
	return rc;
}

/* ---- telling ---- */

bool personal_data_is_any(const PersonalData *p) {
	bool is = p->tally_count > 0;
	for (size_t i = 0; i < p->columns; i++)
		is = is || p->in_name[i];
	return is;
}

bool personal_data_in_column(const PersonalData *p, size_t column) {
	return p->in_column[column] || p->is_unclear;
}

bool personal_data_in_name(const PersonalData *p, size_t column) {
	return p->in_name[column];
}

static void put_tally(FILE *to, const PersonalData *p, const struct tally *tally) {
	struct table_cell name = p->names[tally->column];
	char shown[NAME_SHOWN + 1];
	fprintf(to, "    #    - %-22s # %" PRIu64 " time%s, first in line %" PRIu64, tally->entity, tally->count,
	        tally->count == 1 ? "" : "s", tally->line);
	if (p->in_name[tally->column] || name.size == 0 || name.size > NAME_SHOWN) {
		fprintf(to, ", column %zu", tally->column + 1);
	} else {
		(void)snprintf(shown, sizeof shown, "%.*s", (int)name.size, name.data);
		fputs(", column \"", to);
		safe_text_put(to, shown);
		fputc('"', to);
	}
	fputs(tally->best < LEAST_LOW ? "; at high sensitivity only\n" : "\n", to);
}

void personal_data_write(const PersonalData *p, FILE *to) {
	bool is_high = true;
	if (p->tally_count == 0)
		return;
	for (size_t i = 0; i < p->tally_count; i++)
		is_high = is_high && p->tallies[i].best < LEAST_LOW;
	fputs("    # What may be personal data was found in this file; as this policy stands, it is published as it "
	      "came.\n"
	      "    # Take the first # off each of these lines, and say what becomes of each: refuse (then this very\n"
	      "    # file does not pass), redact, mask, hash, generalise, drop_row, drop_column or report.\n"
	      "    #privacy:\n",
	        to);
	fputs(is_high ? "    #  sensitivity: high\n" : "", to);
	fputs("    #  action: refuse\n    #  detect:\n", to);
	for (size_t i = 0; i < p->tally_count; i++)
		put_tally(to, p, &p->tallies[i]);
}
