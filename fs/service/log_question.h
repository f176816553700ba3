/*
 * log_question: what is asked of the audit log, of its records one by one or of their summary.
 *
 *      {"since": ns, "until": ns, "uid", "gid", "pid", "node", "event": "open" or [...], "outcome", "exe", "path",
 *       "limit", "follow"}       all may be missing; all that are there must hold
 */
#pragma once

#include "fs/service/internal.h"

/* Borrows the strings of the arguments. */
struct log_question {
	struct audit_filter filter;
	const char *events[AUDIT_FILTER_EVENTS_MAX];
	char path[WIRE_PATH_MAX + 4];
	bool is_following, is_summary;
	uint64_t limit;
	json_int_t told_pruned; /* that records before this one are in archives only */
};

/* -EPROTO with words for anything that is malformed. `ret` is all zero before. */
int log_question_read(const json_t *arguments, struct log_question *ret);

/*
 * What was asked, as the record of the reading has it: "uid=1000 event=open,create limit=5"; "" for everything. Longer
 * ones are cut at AUDIT_DETAIL_MAX.
 */
void log_question_words(const struct log_question *question, char ret_words[static AUDIT_DETAIL_MAX + 1]);

/*
 * Reading the log is an access, too: asks whether the peer may, records that it does, and says where the answer ends:
 * *ret_before is the first sequence that is not durable, after what was done before the question has become so.
 */
int log_question_admit(
        Service *service, const struct control_peer *peer, const struct log_question *question, uint64_t *ret_before);

/* One slice of a search, as audit_search_next, in an operation of its own. Others get at the lock in between. As
 * control_wait when nobody waits for the answer any more. */
int log_question_slice(Service *service, AuditSearch *search, audit_fn take, void *context, ControlReply *reply);
