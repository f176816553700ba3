/* What `assayfs log summary` asks: the records that a question wants, summed up. {"done", "total"} …, {"summary"}. */
#include "fs/service/log_question.h"

#include "crypto/base/fault.h"
#include "fs/audit_summary.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ZONES_MOST 512
#define TOP 10
#define SLICES_A_NEWS 20

static int take_record(void *arg, const struct audit_entry *entry) {
	return audit_summary_add(arg, entry);
}

/* "zones": [[seconds since 1970, seconds east of UTC], …], ascending. */
static int read_zones(const json_t *arguments, struct audit_summary_zone zones[static ZONES_MOST], size_t *ret_count) {
	const json_t *list = json_object_get(arguments, "zones");
	size_t count = json_array_size(list);
	if (count > ZONES_MOST)
		return fault(EPROTO, "'zones' has more than %d changes", ZONES_MOST);
	for (size_t i = 0; i < count; i++) {
		const json_t *pair = json_array_get(list, i);
		json_int_t offset = json_integer_value(json_array_get(pair, 1));
		zones[i] = (struct audit_summary_zone){.from_s = json_integer_value(json_array_get(pair, 0))};
		if (json_array_size(pair) != 2 || offset < -86400 || offset > 86400 ||
		        (i && zones[i].from_s <= zones[i - 1].from_s))
			return fault(EPROTO, "'zones' is malformed");
		zones[i].offset_s = (int32_t)offset;
	}
	*ret_count = count;
	return 0;
}

/* What is not in the sums, as it was pruned before or while they were made. */
static int put_pruned(Service *service, const struct log_question *question, json_t *answer) {
	_cleanup_(json_decrefp) json_t *item = NULL;
	int rc = service_log_pruned(service, &question->filter, question->filter.from_seq, &item);
	return !rc && item && json_object_update(answer, item) ? fault(ENOMEM, "summing up the log") : rc;
}

static int begin_summary(const json_t *arguments, size_t *ret_top, AuditSummary **ret_summary) {
	struct audit_summary_zone zones[ZONES_MOST];
	size_t count;
	int rc = read_zones(arguments, zones, &count);
	const json_t *top = json_object_get(arguments, "top");
	if (!rc && top && (json_integer_value(top) < 1 || json_integer_value(top) > AUDIT_SUMMARY_TOP_MOST))
		rc = fault(EPROTO, "'top' is no number from 1 to %d", AUDIT_SUMMARY_TOP_MOST);
	if (rc)
		return rc;
	*ret_top = top ? (size_t)json_integer_value(top) : TOP;
	*ret_summary = audit_summary_new(zones, count);
	return *ret_summary ? 0 : fault(ENOMEM, "summing up the log: out of memory");
}

static int sum_up(Service *service, struct log_question *question, AuditSummary *summary, ControlReply *reply) {
	_cleanup_(audit_search_freep) AuditSearch *search = NULL;
	int rc = audit_search_new(&question->filter, &search);
	for (unsigned slice = 1; !rc; slice++) {
		rc = log_question_slice(service, search, take_record, summary, reply);
		uint64_t done, total;
		audit_search_progress(search, &done, &total);
		int sent = rc == 0 && slice % SLICES_A_NEWS == 0
		                   ? control_send(reply, json_pack("{s:I, s:I}", "done", (json_int_t)done, "total",
		                                                 (json_int_t)total))
		                   : 0;
		rc = sent ? sent : rc;
	}
	return rc < 0 ? rc : 0;
}

/* Names of those who are there only as numbers. */
static void put_names(json_t *list) {
	char buffer[4096];
	size_t i;
	json_t *item;
	json_array_foreach(list, i, item) {
		const char *name = service_user_name(
		        (uid_t)json_integer_value(json_object_get(item, "uid")), buffer, sizeof buffer);
		if (*name)
			(void)json_object_set_new(item, "user", json_string(name)); /* none, if it is no UTF-8 */
	}
}

int service_log_summary(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	_cleanup_(freep) struct log_question *question = calloc(1, sizeof *question);
	_cleanup_(audit_summary_freep) AuditSummary *summary = NULL;
	if (!question)
		return fault(ENOMEM, "reading the log: out of memory");
	uint64_t before = 0;
	size_t top = 0;
	question->is_summary = true;
	int rc = log_question_read(arguments, question);
	if (!rc)
		rc = begin_summary(arguments, &top, &summary);
	if (!rc)
		rc = log_question_admit(service, peer, question, &before);
	question->filter.before_seq = before;
	question->filter.without_line = true;
	if (!rc && before)
		rc = sum_up(service, question, summary, reply);
	_cleanup_(json_decrefp) json_t *answer = rc ? NULL : audit_summary_json(summary, top);
	if (!rc && answer)
		rc = put_pruned(service, question, answer);
	if (rc)
		return rc;
	put_names(json_object_get(answer, "users"));
	put_names(json_object_get(answer, "touches"));
	put_names(json_object_get(answer, "refusals"));
	return control_send(reply, answer ? json_pack("{s:O}", "summary", answer) : NULL);
}
