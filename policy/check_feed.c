#include "policy/check_feed.h"

#include "crypto/base/fault.h"
#include "policy/table/batch.h"

#include <stdio.h>

static int show(const struct check_feed_also *also, const struct table_rows *rows) {
	return also->rows && rows->count > 0 ? also->rows(also->context, rows) : 0;
}

static int feed_alone(TableReader *reader, DqdlEvaluator *evaluator, const struct check_feed_also *also) {
	struct table_rows rows;
	int rc;
	while ((rc = table_next_rows(reader, &rows)) > 0)
		if ((rc = dqdl_evaluator_rows(evaluator, &rows)) < 0 || (rc = show(also, &rows)) < 0)
			return rc;
	return rc;
}

/* ---- with a crew ---- */

struct feeding {
	TableReader *reader;
	DqdlEvaluator *evaluator;
	const struct check_feed_also *also;
	struct table_rows next; /* what was read, but did not fit into the batch before; count 0: nothing */
	struct batch batches[2];
	const struct batch *fed; /* one of them */
};

static void feeding_release(struct feeding *feeding) {
	batch_release(&feeding->batches[0]);
	batch_release(&feeding->batches[1]);
}

/* Reads until the batch is full. 1, 0 when the table has ended, or an error. */
static int fill(struct feeding *feeding, struct batch *batch) {
	int rc = 1;
	batch_clear(batch);
	for (;;) {
		if (feeding->next.count == 0 && (rc = table_next_rows(feeding->reader, &feeding->next)) <= 0)
			return rc;
		if (!batch_fits(batch, &feeding->next))
			return 1;
		if ((rc = batch_add(batch, &feeding->next)) < 0)
			return rc;
		feeding->next.count = 0;
	}
}

static int feed_part(void *context, size_t part) {
	const struct feeding *feeding = context;
	return dqdl_evaluator_part(feeding->evaluator, part, &feeding->fed->rows);
}

/* Of two errors the reader's counts, in its words. */
static int end(Crew *crew, int rc) {
	char words[FAULT_MESSAGE_BYTES];
	(void)snprintf(words, sizeof words, "%s", fault_message());
	int of_parts = crew_end(crew);
	return rc < 0 ? fault(-rc, "%s", words) : of_parts < 0 ? of_parts : rc;
}

static int feed_with(Crew *crew, struct feeding *feeding) {
	size_t parts = dqdl_evaluator_parts(feeding->evaluator);
	int rc = 1;
	crew_begin(crew, feed_part, feeding, 0);
	for (size_t i = 0; rc > 0; i = 1 - i) {
		struct batch *batch = &feeding->batches[i];
		rc = fill(feeding, batch);
		int shown = rc >= 0 ? show(feeding->also, &batch->rows) : 0;
		if ((rc = end(crew, shown < 0 ? shown : rc)) < 0)
			return rc;
		feeding->fed = batch;
		dqdl_evaluator_count(feeding->evaluator, &batch->rows);
		crew_begin(crew, feed_part, feeding, batch->rows.count ? parts : 0);
	}
	return end(crew, rc);
}

int check_feed(TableReader *reader, DqdlEvaluator *evaluator, Crew *crew, const struct check_feed_also *also) {
	_cleanup_(feeding_release) struct feeding feeding = {.reader = reader, .evaluator = evaluator, .also = also};
	return crew ? feed_with(crew, &feeding) : feed_alone(reader, evaluator, also);
}
