#include "policy/check_keep.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <inttypes.h>

/* Rows that nothing could be set beside as they stand (of another format than CSV, without quotes, or with escapes, by
 * which a rule's text would mean something else) are shown whole, each as one cell. */
int check_list_begin(const TableReader *reader, RowList **ret_list) {
	const struct csv_dialect *dialect = table_csv_dialect(reader);
	struct csv_dialect shown = dialect ? *dialect : (struct csv_dialect){.quote = '"'};
	if (!shown.quote || shown.escape)
		shown.delimiter = 0;
	if (!shown.quote)
		shown.quote = '"';
	shown.escape = 0;
	struct table_place names = table_place(reader);
	return row_list_new(shown.header ? names.offset + names.size : shown.bom ? 3 : 0, &shown, ret_list);
}

static int end_range(struct dropped_rows *dropped) {
	if (dropped->length == 0)
		return 0;
	int rc = row_list_add(dropped->list, dropped->offset, dropped->length, dropped->line, NULL, 0);
	dropped->length = 0;
	dropped->is_too_many |= rc == -E2BIG;
	return rc == -E2BIG ? 0 : rc;
}

int check_drop_row(struct dropped_rows *dropped, const TableReader *reader) {
	struct table_place place = table_place(reader);
	if (dropped->is_too_many)
		return 0;
	if (dropped->length > 0 && place.offset == dropped->offset + dropped->length) {
		dropped->length += place.size;
		return 0;
	}
	int rc = end_range(dropped);
	dropped->offset = place.offset;
	dropped->length = place.size;
	dropped->line = table_line(reader);
	return rc;
}

int check_drop_take(struct dropped_rows *dropped, const TableReader *reader, struct check_result *result) {
	int rc = end_range(dropped);
	if (rc < 0 || result->outcome != OUTCOME_PASSED || result->dropped == 0)
		return rc;
	if (!table_is_plain(reader))
		return check_result_say(result, OUTCOME_ERROR,
		        "the dataset's keep drops %" PRIu64 " of its rows, which can't be left out of a file that is "
		        "compressed, or in another encoding than UTF-8",
		        result->dropped);
	if (dropped->is_too_many)
		return check_result_say(result, OUTCOME_ERROR,
		        "the dataset's keep drops rows in so many places (more than %u, or %u MiB of them) that the "
		        "others can't be published without them",
		        ROW_LIST_ROWS_MAX, ROW_LIST_BYTES_MAX >> 20);
	result->withheld = steal_pointer(&dropped->list);
	return 0;
}
