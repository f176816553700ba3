#include "fs/service/log_question.h"

#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"
#include "fs/words.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#define LIMIT_MAX 1000000000
/* The lock is free for so long after a slice that was not short: a thread that takes it again at once would leave those
 * asleep who wait for it. */
#define PAUSE_NS 100000
#define SHORT_NS 1000000

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

static int read_numbers(const json_t *arguments, struct log_question *question) {
	struct audit_filter *filter = &question->filter;
	json_int_t uid = 0, gid = 0, pid = 0, node = 0, since = 0, until = 0, limit = 0;
	const struct {
		const char *name;
		json_int_t most, *ret;
		bool *ret_is_set;
	} numbers[] = {{"uid", UINT32_MAX, &uid, &filter->has_uid}, {"gid", UINT32_MAX, &gid, &filter->has_gid},
	        {"pid", INT32_MAX, &pid, &filter->has_pid}, {"node", INT64_MAX, &node, &filter->has_node},
	        {"since", INT64_MAX, &since, &filter->has_since}, {"until", INT64_MAX, &until, &filter->has_until},
	        {"limit", LIMIT_MAX, &limit, NULL}};
	int rc = 0;
	for (size_t i = 0; !rc && i < sizeof numbers / sizeof numbers[0]; i++)
		rc = read_number(arguments, numbers[i].name, numbers[i].most, numbers[i].ret, numbers[i].ret_is_set);
	filter->uid = (uint32_t)uid;
	filter->gid = (uint32_t)gid;
	filter->pid = (int32_t)pid;
	filter->node = (uint64_t)node;
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

/* One as a string, several as an array of strings. */
static int read_events(const json_t *arguments, struct log_question *question) {
	const json_t *value = json_object_get(arguments, "event");
	if (!json_is_array(value))
		return read_word(arguments, "event", &question->filter.event);
	size_t count = json_array_size(value);
	if (count == 0 || count > AUDIT_FILTER_EVENTS_MAX)
		return fault(EPROTO, "'event' lists none or more than %d", AUDIT_FILTER_EVENTS_MAX);
	for (size_t i = 0; i < count; i++) {
		question->events[i] = json_string_value(json_array_get(value, i));
		if (!question->events[i])
			return fault(EPROTO, "'event' lists what is no string");
	}
	question->filter.events = question->events;
	question->filter.event_count = count;
	return 0;
}

/* A path without wildcards means itself and what is below it. */
static int read_path(const json_t *arguments, struct log_question *question) {
	const json_t *value = json_object_get(arguments, "path");
	if (!value)
		return 0;
	int rc = wire_path_get(value, question->path);
	if (rc)
		return rc;
	if (strpbrk(question->path, "*?["))
		question->filter.path_glob = question->path;
	else
		question->filter.path_at = question->path;
	return 0;
}

int log_question_read(const json_t *arguments, struct log_question *question) {
	int rc = read_numbers(arguments, question);
	if (!rc)
		rc = read_events(arguments, question);
	if (!rc)
		rc = read_word(arguments, "outcome", &question->filter.outcome);
	if (!rc)
		rc = read_word(arguments, "exe", &question->filter.exe);
	if (!rc)
		rc = read_path(arguments, question);
	question->is_following = json_is_true(json_object_get(arguments, "follow"));
	return rc;
}

/* ---- in words ---- */

struct words {
	char *at;
	size_t left; /* without the NUL */
};

static void add(struct words *words, const char *text) {
	size_t size = strlen(text);
	if (size > words->left)
		size = words->left;
	memcpy(words->at, text, size);
	words->at += size;
	words->left -= size;
	*words->at = '\0';
}

static void add_word(struct words *words, bool is_first, const char *name, const char *value) {
	add(words, is_first ? "" : " ");
	add(words, name);
	add(words, value);
}

static void add_text(struct words *words, const char *start, const char *name, const char *value) {
	if (value)
		add_word(words, words->at == start, name, value);
}

static void add_number(struct words *words, const char *start, const char *name, bool is_set, uint64_t value) {
	char text[24];
	snprintf(text, sizeof text, "%" PRIu64, value);
	add_text(words, start, name, is_set ? text : NULL);
}

static void add_time(struct words *words, const char *start, const char *name, bool is_set, int64_t value) {
	char text[WORDS_BYTES];
	add_text(words, start, name, is_set ? words_time_utc(value, text) : NULL);
}

void log_question_words(const struct log_question *question, char ret_words[static AUDIT_DETAIL_MAX + 1]) {
	const struct audit_filter *f = &question->filter;
	struct words words = {ret_words, AUDIT_DETAIL_MAX};
	*ret_words = '\0';
	add_text(&words, ret_words, "", question->is_summary ? "summary" : NULL);
	add_time(&words, ret_words, "since=", f->has_since, f->since);
	add_time(&words, ret_words, "until=", f->has_until, f->until);
	add_number(&words, ret_words, "uid=", f->has_uid, f->uid);
	add_number(&words, ret_words, "gid=", f->has_gid, f->gid);
	add_number(&words, ret_words, "pid=", f->has_pid, (uint64_t)f->pid);
	add_number(&words, ret_words, "node=", f->has_node, f->node);
	add_text(&words, ret_words, "event=", f->event);
	for (size_t i = 0; i < f->event_count; i++) {
		add(&words, i ? "," : words.at == ret_words ? "event=" : " event=");
		add(&words, f->events[i]);
	}
	add_text(&words, ret_words, "outcome=", f->outcome);
	add_text(&words, ret_words, "exe=", f->exe);
	add_number(&words, ret_words, "limit=", question->limit != 0, question->limit);
	add_text(&words, ret_words, "", question->is_following ? "follow" : NULL);
	add_text(
	        &words, ret_words, "path=", f->path_glob ? f->path_glob : f->path_at); /* last, as it may hold blanks */
}

/* ---- the answer's bounds ---- */

static int record_reading(Service *service, const struct control_peer *peer, const struct log_question *question) {
	char words[AUDIT_DETAIL_MAX + 1];
	log_question_words(question, words);
	const struct audit_event event = {
	        .event = "read-log", .actor = service_actor(peer), .detail = *words ? words : NULL};
	return service_record(service, &event);
}

int log_question_admit(
        Service *service, const struct control_peer *peer, const struct log_question *question, uint64_t *ret_before) {
	int rc = service_require(service, peer, PLACE_AUDIT, POLICY_READ, "read-log", NULL);
	if (!rc && !service->is_read_only)
		rc = store_commit_wait(service->store);
	uint64_t before = store_durable_seq(service->store);
	if (!rc)
		rc = record_reading(service, peer, question);
	if (!rc)
		*ret_before = before;
	return rc;
}

int log_question_slice(Service *service, AuditSearch *search, audit_fn take, void *context, ControlReply *reply) {
	int gone = control_wait(reply, 0);
	if (gone)
		return gone;
	meta_begin(service->meta);
	int64_t start = monotonic_ns();
	int rc = meta_end(service->meta, audit_search_next(service->meta, search, AUDIT_SLICE_NS, take, context));
	if (rc == 0 && monotonic_ns() - start > SHORT_NS)
		nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
	return rc;
}
