/* What `assayfs log` asks: records of the audit log, those that are durable, and new ones as they become so. */
#include "fs/service/log_question.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_RECORDS 256
#define BATCH_BYTES ((size_t)2 << 20) /* a message may have 16 MiB */
#define FOLLOW_MS 250

struct batch {
	json_t *lines;
	size_t count, bytes;
};

/* ---- the answer ---- */

static int take_record(void *arg, const struct audit_entry *entry) {
	struct batch *batch = arg;
	if (json_array_append_new(batch->lines, json_stringn(entry->line, entry->line_length)))
		return fault(ENOMEM, "reading the log: out of memory");
	batch->count++;
	batch->bytes += entry->line_length;
	return batch->count >= BATCH_RECORDS || batch->bytes >= BATCH_BYTES;
}

static int send_batch(ControlReply *reply, struct batch *batch) {
	if (batch->count == 0) {
		json_decref(batch->lines);
		return 0;
	}
	return control_send(reply, json_pack("{s:o}", "lines", batch->lines));
}

/* The records from `next` on, which were about to be looked at, may have been pruned meanwhile: says so, once. */
static int tell_pruned(Service *service, struct log_question *question, uint64_t next, ControlReply *reply) {
	json_t *item = NULL;
	int rc = service_log_pruned(service, &question->filter, next, &item);
	json_int_t pruned = json_integer_value(json_object_get(item, "pruned"));
	if (rc || !item || pruned == question->told_pruned) {
		json_decref(item);
		return rc;
	}
	question->told_pruned = pruned;
	return control_send(reply, item);
}

/* Everything from filter.from_seq up to `before`. What a slice found is sent at once. */
static int send_range(Service *service, struct log_question *question, uint64_t before, ControlReply *reply) {
	_cleanup_(audit_search_freep) AuditSearch *search = NULL;
	if (question->filter.from_seq >= before)
		return 0;
	question->filter.before_seq = before;
	uint64_t next = question->filter.from_seq;
	int rc = audit_search_new(&question->filter, &search);
	while (!rc) {
		struct batch batch = {.lines = json_array()};
		if (!batch.lines)
			return fault(ENOMEM, "reading the log: out of memory");
		rc = log_question_slice(service, search, take_record, &batch, reply);
		if (rc < 0) {
			json_decref(batch.lines);
			return rc;
		}
		int sent = tell_pruned(service, question, next, reply);
		if (sent)
			json_decref(batch.lines);
		else
			sent = send_batch(reply, &batch);
		rc = sent ? sent : rc;
		next = audit_search_at(search);
	}
	question->filter.from_seq = before;
	return rc < 0 ? rc : 0;
}

static int keep_first(void *arg, const struct audit_entry *entry) {
	*(uint64_t *)arg = entry->seq;
	return 0;
}

/* Where the last `limit` records that are wanted begin. */
static int find_tail(Service *service, struct log_question *question, uint64_t before, ControlReply *reply) {
	_cleanup_(audit_search_freep) AuditSearch *search = NULL;
	struct audit_filter filter = question->filter;
	uint64_t first = before;
	filter.before_seq = before;
	filter.limit = question->limit;
	filter.newest_first = filter.without_line = true;
	int rc = audit_search_new(&filter, &search);
	while (!rc)
		rc = log_question_slice(service, search, keep_first, &first, reply);
	if (rc > 0)
		question->filter.from_seq = first;
	return rc < 0 ? rc : 0;
}

/* Who may not read the log any more (another policy, the end of what was lent) is told so, and it is recorded. */
static int follow(
        Service *service, const struct control_peer *peer, struct log_question *question, ControlReply *reply) {
	for (;;) {
		int rc = control_wait(reply, FOLLOW_MS);
		if (!rc)
			rc = service_require(service, peer, PLACE_AUDIT, POLICY_READ, "read-log", NULL);
		if (!rc)
			rc = send_range(service, question, store_durable_seq(service->store), reply);
		if (rc)
			return rc;
	}
}

int service_log(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	_cleanup_(freep) struct log_question *question = calloc(1, sizeof *question);
	if (!question)
		return fault(ENOMEM, "reading the log: out of memory");
	uint64_t before = 0;
	int rc = log_question_read(arguments, question);
	if (!rc)
		rc = log_question_admit(service, peer, question, &before);
	if (!rc && question->limit && before)
		rc = find_tail(service, question, before, reply);
	if (!rc)
		rc = send_range(service, question, before, reply);
	if (!rc && question->is_following)
		rc = follow(service, peer, question, reply);
	return rc;
}
