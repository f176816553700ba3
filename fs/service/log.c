/* What `assayfs log` asks: records of the audit log, those that are durable, and new ones as they become so. */
#include "fs/service/internal.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_RECORDS 256
#define BATCH_BYTES ((size_t)2 << 20) /* a message may have 16 MiB */
/* So many records are looked at in one operation, wanted or not: some 10 ms, in which nobody else gets anywhere. */
#define SPAN_RECORDS 16384
#define FOLLOW_MS 250
#define LIMIT_MAX 1000000000

/* The request, with the strings that the filter points to. */
struct question {
	struct audit_filter filter;
	char path[WIRE_PATH_MAX + 4];
	bool is_exact; /* a path without wildcards: itself and what is below it */
	bool is_following;
	uint64_t limit;
};

struct batch {
	const struct question *question;
	json_t *lines;
	size_t count, bytes;
	uint64_t last; /* sequence of the last record that was looked at */
	bool is_full;
};

/* ---- the request ---- */

static int read_number(const json_t *arguments, const char *name, json_int_t most, json_int_t *ret, bool *ret_is_set) {
	const json_t *value = json_object_get(arguments, name);
	if (!value)
		return 0;
	if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > most)
		return fault(EPROTO, "'%s' is no number in its bounds", name);
	*ret = json_integer_value(value);
	if (ret_is_set)
		*ret_is_set = true;
	return 0;
}

static int read_numbers(const json_t *arguments, struct question *question) {
	struct audit_filter *filter = &question->filter;
	json_int_t uid = 0, since = 0, until = 0, limit = 0;
	int rc = read_number(arguments, "uid", UINT32_MAX, &uid, &filter->has_uid);
	if (!rc)
		rc = read_number(arguments, "since", INT64_MAX, &since, &filter->has_since);
	if (!rc)
		rc = read_number(arguments, "until", INT64_MAX, &until, &filter->has_until);
	if (!rc)
		rc = read_number(arguments, "limit", LIMIT_MAX, &limit, NULL);
	filter->uid = (uint32_t)uid;
	filter->since = since;
	filter->until = until;
	question->limit = (uint64_t)limit;
	return rc;
}

static int read_word(const json_t *arguments, const char *name, const char **ret) {
	const json_t *value = json_object_get(arguments, name);
	if (value && !json_is_string(value))
		return fault(EPROTO, "'%s' is no string", name);
	*ret = json_string_value(value);
	return 0;
}

static int read_path(const json_t *arguments, struct question *question) {
	const json_t *value = json_object_get(arguments, "path");
	if (!value)
		return 0;
	int rc = wire_path_get(value, question->path);
	if (rc)
		return rc;
	question->is_exact = !strpbrk(question->path, "*?[");
	if (!question->is_exact) {
		question->filter.path_glob = question->path;
		return 0;
	}
	for (size_t length = strlen(question->path); length && question->path[length - 1] == '/';)
		question->path[--length] = '\0';
	question->filter.path_prefix = question->path;
	return 0;
}

static int read_question(const json_t *arguments, struct question *question) {
	int rc = read_numbers(arguments, question);
	if (!rc)
		rc = read_word(arguments, "event", &question->filter.event);
	if (!rc)
		rc = read_word(arguments, "outcome", &question->filter.outcome);
	if (!rc)
		rc = read_word(arguments, "exe", &question->filter.exe);
	if (!rc)
		rc = read_path(arguments, question);
	question->is_following = json_is_true(json_object_get(arguments, "follow"));
	return rc;
}

/* ---- the answer ---- */

/* "Landing/a" is meant as itself and what is below it, not as "Landing/ab". */
static bool is_at_or_below(const char *path, const char *wanted) {
	size_t length = strlen(wanted);
	return path && strncmp(path, wanted, length) == 0 &&
	       (length == 0 || path[length] == '\0' || path[length] == '/');
}

static bool is_wanted(const struct question *question, const struct audit_event *event) {
	return !question->is_exact || is_at_or_below(event->path, question->path) ||
	       is_at_or_below(event->path2, question->path);
}

static int take_record(void *arg, const struct audit_entry *entry) {
	struct batch *batch = arg;
	batch->last = entry->seq;
	if (!is_wanted(batch->question, &entry->event))
		return 0;
	if (json_array_append_new(batch->lines, json_stringn(entry->line, entry->line_length)))
		return fault(ENOMEM, "reading the log: out of memory");
	batch->count++;
	batch->bytes += entry->line_length;
	batch->is_full = batch->count >= BATCH_RECORDS || batch->bytes >= BATCH_BYTES;
	return batch->is_full;
}

/* One operation for each batch, so that a long log does not hold the lock. *ret_next: where the next one begins. */
static int read_batch(Service *service, const struct question *question, uint64_t before, struct batch *ret_batch,
        uint64_t *ret_next) {
	*ret_batch = (struct batch){.question = question, .lines = json_array()};
	if (!ret_batch->lines)
		return fault(ENOMEM, "reading the log: out of memory");
	struct audit_filter filter = question->filter;
	filter.before_seq = before - filter.from_seq > SPAN_RECORDS ? filter.from_seq + SPAN_RECORDS : before;
	meta_begin(service->meta);
	int rc = meta_end(service->meta, audit_query(service->meta, &filter, take_record, ret_batch));
	*ret_next = ret_batch->is_full ? ret_batch->last + 1 : filter.before_seq;
	return rc;
}

static int send_batch(ControlReply *reply, struct batch *batch) {
	if (batch->count == 0) {
		json_decref(batch->lines);
		return 0;
	}
	return control_send(reply, json_pack("{s:o}", "lines", batch->lines));
}

/* Everything from filter.from_seq up to `before`. */
static int send_range(Service *service, struct question *question, uint64_t before, ControlReply *reply) {
	while (question->filter.from_seq < before) {
		struct batch batch;
		uint64_t next = before;
		int rc = read_batch(service, question, before, &batch, &next);
		if (rc) {
			json_decref(batch.lines);
			return rc;
		}
		question->filter.from_seq = next;
		rc = send_batch(reply, &batch);
		if (rc)
			return rc;
	}
	return 0;
}

struct tail {
	const struct question *question;
	uint64_t count, first;
};

static int count_record(void *arg, const struct audit_entry *entry) {
	struct tail *tail = arg;
	if (!is_wanted(tail->question, &entry->event))
		return 0;
	tail->first = entry->seq;
	return ++tail->count == tail->question->limit;
}

/* Where the last `limit` records that are wanted begin. */
static int find_tail(Service *service, struct question *question, uint64_t before) {
	struct tail tail = {.question = question, .first = before};
	struct audit_filter filter = question->filter;
	const uint64_t from = filter.from_seq;
	filter.newest_first = true;
	int rc = 0;
	for (uint64_t end = before; !rc && end > from && tail.count < question->limit; end = filter.from_seq) {
		filter.before_seq = end;
		filter.from_seq = end - from > SPAN_RECORDS ? end - SPAN_RECORDS : from;
		meta_begin(service->meta);
		rc = meta_end(service->meta, audit_query(service->meta, &filter, count_record, &tail));
	}
	if (!rc)
		question->filter.from_seq = tail.first;
	return rc;
}

static uint64_t durable(Service *service) {
	return store_durable_seq(service->store);
}

static int follow(Service *service, struct question *question, ControlReply *reply) {
	for (;;) {
		int rc = control_wait(reply, FOLLOW_MS);
		if (!rc)
			rc = send_range(service, question, durable(service), reply);
		if (rc)
			return rc;
	}
}

/* Reading the log is an access, too. */
static int record_reading(Service *service, const struct control_peer *peer) {
	if (service->is_read_only)
		return 0;
	const struct audit_event event = {.event = "read-log", .actor = service_actor(peer)};
	meta_begin(service->meta);
	return meta_end(service->meta, audit_record(service->meta, &event, NULL));
}

int service_log(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	_cleanup_(freep) struct question *question = calloc(1, sizeof *question);
	if (!question)
		return fault(ENOMEM, "reading the log: out of memory");
	int rc = read_question(arguments, question);
	if (!rc)
		rc = service_require(service, peer, PLACE_AUDIT, POLICY_READ, "read-log", NULL);
	if (!rc && !service->is_read_only)
		rc = store_commit_wait(service->store); /* what was done before the question is in the answer */
	uint64_t before = durable(service);
	json_t *pruned = NULL;
	if (!rc)
		rc = record_reading(service, peer);
	if (!rc && !question->limit)
		rc = service_log_pruned(service, question->filter.has_since, question->filter.since, &pruned);
	if (!rc && pruned)
		rc = control_send(reply, pruned);
	if (!rc && question->limit && before)
		rc = find_tail(service, question, before);
	if (!rc)
		rc = send_range(service, question, before, reply);
	if (!rc && question->is_following)
		rc = follow(service, question, reply);
	return rc;
}
