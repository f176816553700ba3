/* What columns consist of: numbers whose check digits chance does not explain. */
#include "policy/privacy/scanner_internal.h"

#include <errno.h>

enum {
	ROWS_MOST = 1000,     /* that are looked at */
	CELLS_LEAST = 20,     /* of a column that are not empty */
	SHARE_LEAST = 90,     /* percent of them that are such numbers */
	DIFFERENT_LEAST = 10, /* of these: one number over and over passes or does not, by the same chance */
	DIGITS_LEAST = 9,     /* of a number with a check digit */
	LONGEST = 30          /* bytes of it */
};

/* Of a column, as one detector's numbers. */
struct share {
	size_t cells, fitting; /* which are not empty */
	size_t different;
	struct table_cell seen[DIFFERENT_LEAST];
};

static struct table_cell trim(struct table_cell cell) {
	while (cell.size > 0 && (*cell.data == ' ' || *cell.data == '\t')) {
		cell.data++;
		cell.size--;
	}
	while (cell.size > 0 && (cell.data[cell.size - 1] == ' ' || cell.data[cell.size - 1] == '\t'))
		cell.size--;
	return cell;
}

static bool may_be_number(struct table_cell cell) {
	size_t digits = 0;
	for (size_t i = 0; i < cell.size && cell.size <= LONGEST; i++)
		digits += cell.data[i] >= '0' && cell.data[i] <= '9';
	return digits >= DIGITS_LEAST;
}

/* Is the whole cell one of an entity's numbers? */
static int fits(Scanner *scanner, const char *entity, struct table_cell cell, uint64_t line) {
	size_t start, end;
	int rc = 0;
	for (size_t use = 0; use < scanner->use_count && rc == 0; use++) {
		const struct detector *detector = scanner->uses[use].detector;
		if (detector->entity != entity || !validate_has_check_digit(detector->validate))
			continue;
		rc = scanner_find(scanner, use, cell, line, 0, &start, &end);
		if (rc > 0)
			rc = start == 0 && end == cell.size && detector->validate(cell);
	}
	return rc;
}

static void note_number(struct share *share, struct table_cell cell) {
	share->fitting++;
	for (size_t i = 0; i < share->different; i++)
		if (cell_equals(share->seen[i], cell.data, cell.size))
			return;
	if (share->different < DIFFERENT_LEAST)
		share->seen[share->different++] = cell;
}

static int sample_column(Scanner *scanner, const char *entity, const struct table_rows *rows, size_t column) {
	struct share share = {0};
	for (size_t row = 0; row < rows->count && row < ROWS_MOST; row++) {
		struct table_cell cell = rows_at(rows, row)[column];
		cell = cell.data ? trim(cell) : cell;
		if (!cell.data || cell.size == 0)
			continue;
		share.cells++;
		int rc = may_be_number(cell) ? fits(scanner, entity, cell, rows->lines[row]) : 0;
		if (rc < 0)
			return rc;
		if (rc > 0)
			note_number(&share, cell);
	}
	if (share.cells < CELLS_LEAST || share.fitting * 100 < share.cells * SHARE_LEAST ||
	        share.different < DIFFERENT_LEAST)
		return 0;
	for (size_t use = 0; use < scanner->use_count; use++)
		if (scanner->uses[use].detector->entity == entity &&
		        validate_has_check_digit(scanner->uses[use].detector->validate))
			scanner_note_context(scanner, use, column);
	return 0;
}

int scanner_sample(Scanner *scanner, const struct table_rows *rows) {
	int rc = 0;
	const char *done = NULL; /* an entity's uses stand together */
	for (size_t use = 0; use < scanner->use_count && rc == 0; use++) {
		const struct detector *detector = scanner->uses[use].detector;
		if (!validate_has_check_digit(detector->validate) || detector->entity == done)
			continue;
		done = detector->entity;
		for (size_t column = 0; column < scanner->columns && rc == 0; column++)
			rc = sample_column(scanner, done, rows, column);
	}
	return rc;
}
