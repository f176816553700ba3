#include "policy/privacy/scan_rows.h"

#include "crypto/base/cleanup.h"

static int look_at_waiting(struct scan_rows *s) {
	const struct table_rows *waiting = &s->batch.rows;
	int rc = 0;
	if (!s->is_sampled && s->scanner && s->sample > 0 && waiting->count > 0)
		rc = scanner_sample(s->scanner, waiting);
	s->is_sampled = true;
	if (rc == 0 && waiting->count > 0)
		rc = s->look(s->context, waiting);
	batch_clear(&s->batch);
	return rc;
}

int scan_rows_add(struct scan_rows *s, const struct table_rows *more) {
	s->is_sampled = s->is_sampled || !s->scanner || s->sample == 0;
	bool is_sample_whole = !s->is_sampled && s->batch.rows.count >= s->sample;
	bool goes_first = s->is_sampled && more->text && s->batch.rows.count > 0;
	int rc = 0;
	if (is_sample_whole || goes_first || !batch_fits(&s->batch, more))
		rc = look_at_waiting(s);
	if (rc < 0)
		return rc;
	return s->is_sampled && more->text ? s->look(s->context, more) : batch_add(&s->batch, more);
}

int scan_rows_end(struct scan_rows *s) {
	return look_at_waiting(s);
}

void scan_rows_release(struct scan_rows *s) {
	batch_release(&s->batch);
}

int scan_names(Scanner *scanner, const struct table_cell *names, size_t columns, uint64_t line, scan_found *found,
        void *context) {
	const struct table_rows row = {.count = 1, .columns = columns, .cells = names, .lines = &line};
	_cleanup_(batch_release) struct batch batch = {0};
	int rc = batch_add(&batch, &row);
	return rc < 0 ? rc : scanner_rows(scanner, &batch.rows, found, context);
}
