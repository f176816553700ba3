#include "policy/check_sample.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

static int read_bytes(void *context, void *buffer, size_t size) {
	struct bytes *left = context;
	size_t count = left->size < size ? left->size : size;
	if (count > 0)
		memcpy(buffer, left->data, count);
	*left = bytes_of(left->data + count, left->size - count);
	return (int)count;
}

/* Up to the last newline: a row that is cut off would look like another. */
static struct bytes whole_lines(const struct peek *peek) {
	struct bytes head = peek_head(peek);
	if (peek->whole || !head.data)
		return head;
	const uint8_t *end = memrchr(head.data, '\n', head.size);
	if (!end)
		end = memrchr(head.data, '\r', head.size);
	return bytes_of(head.data, end ? (size_t)(end - head.data) + 1 : 0);
}

static int show_rows(struct bytes lines, const struct table_options *options, DqdlEvaluator *evaluator) {
	_cleanup_(table_closep) TableReader *reader = NULL;
	const struct table_cell *cells;
	int rc = table_open(read_bytes, &lines, options, &reader);
	if (rc < 0)
		return rc == -ENOMEM ? rc : 0;
	while ((rc = table_next(reader, &cells)) > 0)
		if ((rc = dqdl_evaluator_sample(evaluator, cells, table_columns(reader))) < 0)
			return rc;
	return rc == -ENOMEM ? rc : 0;
}

int check_sample(struct table_source source, const struct table_options *options, DqdlEvaluator *evaluator,
        struct peek *peek, struct table_source *ret_source) {
	*ret_source = source;
	if (!dqdl_evaluator_asks_sql(evaluator))
		return 0;
	int rc = peek_fill(peek, source);
	*ret_source = peek_source(peek);
	return rc < 0 ? rc : show_rows(whole_lines(peek), options, evaluator);
}

int check_sample_warn(const DqdlEvaluator *evaluator, const TableReader *reader, struct check_result *result) {
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < table_columns(reader); i++) {
		uint64_t line, count = dqdl_evaluator_misfits(evaluator, i, &line);
		struct table_cell name = table_header(reader)[i];
		_cleanup_(freep) char *words = NULL;
		if (count == 0)
			continue;
		if (asprintf(&words,
		            "column \"%.*s\" holds numbers in the first rows; %" PRIu64
		            " later cell%s no number and NULL in SQL, the first on line %" PRIu64
		            "; give the column's type if it is one of texts",
		            (int)(name.size < 200 ? name.size : 200), name.data, count, count == 1 ? " is" : "s are",
		            line) < 0) {
			words = NULL;
			return fault(ENOMEM, "no memory for a check");
		}
		rc = check_result_warn(result, words);
	}
	return rc;
}
