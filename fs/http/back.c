#include "fs/http/back.h"

#include "crypto/base/fault.h"
#include "fs/control_wire.h"
#include "fs/http/caller.h"
#include "fs/http/chart_answer.h"
#include "fs/http/documents.h"
#include "fs/http/route.h"
#include "fs/http/token.h"
#include "fs/log.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define REQUEST_MAX (64u << 10)
#define DOCUMENT_MAX ((size_t)1 << 20)
#define SEND_MS 10000
/* Refusals are recorded, but nobody fills the log by asking: of the rest the count is told. */
#define RECORDS_A_SECOND 5

struct Back {
	struct back_options options;
	Documents *documents;
	pthread_t threads[FRONT_LANES];
	size_t thread_count;
	atomic_bool is_alive, is_ending;
	/* Guards what follows; taken alone. */
	pthread_mutex_t lock;
	time_t second;
	unsigned recorded;
	uint64_t unrecorded;
};

struct lane {
	Back *back;
	int fd;
};

/* ---- answers ---- */

static json_t *answer_text(int status, const char *right, const char *type, const char *body) {
	return json_pack("{s:i, s:s, s:s, s:s}", "status", status, "right", right, "type", type, "body", body);
}

static json_t *answer_error(int status, const char *right, const char *words) {
	_cleanup_(json_decrefp) json_t *object = json_pack("{s:s}", "error", words);
	_cleanup_(freep) char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
	return answer_text(status, right, "application/json", text ? text : "{\"error\":\"\"}");
}

static int status_of(int rc) {
	switch (-rc) {
	case EACCES:
	case EPERM:
		return 403;
	case ENOENT:
	case ENOSYS:
		return 404;
	case EOPNOTSUPP:
		return 405;
	case EINVAL:
	case EPROTO:
	case ERANGE:
		return 400;
	case EALREADY:
	case EBUSY:
	case EEXIST:
	case EROFS:
		return 409;
	case EMSGSIZE:
		return 413;
	case EAGAIN:
	case ECANCELED:
		return 503;
	default:
		return 500;
	}
}

static json_t *answer_fault(int rc, const char *right) {
	return answer_error(status_of(rc), right, *fault_message() ? fault_message() : strerror(-rc));
}

/* ---- refusals ---- */

static bool may_record(Back *back, uint64_t *ret_unrecorded) {
	time_t now = time(NULL);
	pthread_mutex_lock(&back->lock);
	if (now != back->second) {
		back->second = now;
		back->recorded = 0;
	}
	bool may = back->recorded < RECORDS_A_SECOND;
	if (may) {
		back->recorded++;
		*ret_unrecorded = back->unrecorded;
		back->unrecorded = 0;
	} else {
		back->unrecorded++;
	}
	pthread_mutex_unlock(&back->lock);
	return may;
}

static void record_denied(Back *back, const struct caller *caller, const char *method, const char *path) {
	char words[FAULT_MESSAGE_BYTES], detail[256];
	uint64_t unrecorded = 0;
	if (!may_record(back, &unrecorded))
		return;
	memcpy(words, fault_message(), sizeof words);
	int used = snprintf(detail, sizeof detail, "%.8s %.100s: %.100s", method, path, words);
	if (unrecorded && used > 0 && (size_t)used < sizeof detail)
		(void)snprintf(detail + used, sizeof detail - (size_t)used, "; %llu more before",
		        (unsigned long long)unrecorded);
	back->options.denied(back->options.arg, &caller->peer, detail);
	(void)fault(EACCES, "%s", words);
}

/* ---- documents ---- */

struct asking {
	Back *back;
	const struct caller *caller;
	unsigned rights; /* that he has now: what was made for him when he had others is not his any more */
	const struct route *route;
};

static int ask(void *arg, const char *command, const json_t *arguments, json_t **ret_items) {
	struct asking *asking = arg;
	const struct back_options *options = &asking->back->options;
	return options->ask(options->arg, &asking->caller->peer, command, arguments, DOCUMENT_MAX, ret_items);
}

/* Lines of the log are JSON already. */
static json_t *records_of(const json_t *items) {
	json_t *records = json_array();
	for (size_t i = 0; i < json_array_size(items); i++) {
		const json_t *lines = json_object_get(json_array_get(items, i), "lines");
		for (size_t k = 0; k < json_array_size(lines); k++)
			json_array_append_new(
			        records, json_loads(json_string_value(json_array_get(lines, k)), 0, NULL));
	}
	return json_pack("{s:o}", "records", records);
}

/* As `assayfs lineage --json`: each kind of item in a list of its own. */
static json_t *lineage_of(const json_t *items, json_t *path) {
	static const char *const kinds[][2] = {{"version", "versions"}, {"tie", "ties"}, {"delivery", "deliveries"}};
	json_t *all = json_pack("{s:O, s:[], s:[], s:[]}", "path", path, "versions", "ties", "deliveries");
	for (size_t i = 0; all && i < json_array_size(items); i++) {
		_cleanup_(json_decrefp) json_t *item = json_copy(json_array_get(items, i));
		const char *kind = json_string_value(json_object_get(item, "item"));
		json_t *list = NULL;
		for (size_t k = 0; kind && k < sizeof kinds / sizeof kinds[0]; k++)
			if (strcmp(kind, kinds[k][0]) == 0)
				list = json_object_get(all, kinds[k][1]);
		bool is_end = kind && strcmp(kind, "end") == 0;
		json_object_del(item, "item");
		if (list)
			json_array_append(list, item);
		else if (is_end)
			json_object_update(all, item);
	}
	return all;
}

static int make_document(void *arg, json_t **ret) {
	struct asking *asking = arg;
	const struct route *route = asking->route;
	_cleanup_(json_decrefp) json_t *items = NULL;
	if (route->answer == ROUTE_CHART)
		return chart_answer(route->command, route->arguments, time(NULL), ask, asking, ret);
	int rc = ask(asking, route->command, route->arguments, &items);
	if (rc)
		return rc;
	if (route->answer == ROUTE_RECORDS)
		*ret = records_of(items);
	else if (route->answer == ROUTE_LIST)
		*ret = json_pack("{s:O}", route->list, items);
	else if (route->answer == ROUTE_LINEAGE)
		*ret = lineage_of(items, json_object_get(route->arguments, "path"));
	else
		*ret = json_array_size(items) ? json_incref(json_array_get(items, 0)) : json_object();
	return *ret ? 0 : fault(ENOMEM, "answering over HTTP: out of memory");
}

/* What changes is never answered from memory. */
static int get_document(struct asking *asking, json_t **ret) {
	_cleanup_(freep) char *arguments = json_dumps(asking->route->arguments, JSON_COMPACT | JSON_SORT_KEYS);
	_cleanup_(freep) char *key = NULL;
	if (asking->route->is_act)
		return make_document(asking, ret);
	if (!arguments || asprintf(&key, "%s %x\n%s\n%s", asking->caller->right, asking->rights, asking->route->command,
	                          arguments) < 0)
		return fault(ENOMEM, "answering over HTTP: out of memory");
	return documents_get(asking->back->documents, key, make_document, asking, ret);
}

static const char *type_of_metrics(const json_t *arguments) {
	const char *format = json_string_value(json_object_get(arguments, "format"));
	return format && strcmp(format, "openmetrics") == 0
	               ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
	               : "text/plain; version=0.0.4; charset=utf-8";
}

/* A mount that writes nothing (EROFS) watches no alarms, and reckons no costs. */
static bool is_absence(int rc) {
	return rc == -ENOSYS || rc == -ENOENT || rc == -EOPNOTSUPP || rc == -EROFS;
}

static json_t *answer_route(struct asking *asking) {
	_cleanup_(json_decrefp) json_t *document = NULL;
	int rc = get_document(asking, &document);
	/* The path is one, but this mount has no such thing, or nothing yet. */
	if (is_absence(rc) && !asking->route->is_act && asking->route->answer != ROUTE_TEXT)
		return answer_text(204, asking->caller->right, "application/json", "");
	if (rc)
		return answer_fault(rc, asking->caller->right);
	if (asking->route->answer == ROUTE_TEXT)
		return answer_text(200, asking->caller->right, type_of_metrics(asking->route->arguments),
		        json_string_value(json_object_get(document, "text")));
	_cleanup_(freep) char *text = json_dumps(document, JSON_COMPACT);
	return answer_text(
	        asking->route->is_act ? 202 : 200, asking->caller->right, "application/json", text ? text : "{}");
}

/* ---- a request ---- */

static const char *text_of(const json_t *request, const char *name) {
	const char *text = json_string_value(json_object_get(request, name));
	return text ? text : "";
}

/* What scrapes says which of the two formats it reads; a parameter says it louder. */
static void choose_format(const json_t *request, struct route *route) {
	const char *format = json_string_value(json_object_get(route->arguments, "format"));
	bool wants_open = format ? strcmp(format, "openmetrics") == 0
	                         : strstr(text_of(request, "accept"), "application/openmetrics-text") != NULL;
	if (route->answer == ROUTE_TEXT)
		json_object_set_new(route->arguments, "format", json_string(wants_open ? "openmetrics" : "prometheus"));
}

static int check_right(const struct caller *caller, unsigned rights, const struct route *route) {
	if (route->is_act && !caller->has_token)
		return fault(EACCES, "acts need a steward's token: Authorization: Bearer assay_…");
	if (route->is_act && !caller->peer.token_roles)
		return fault(EACCES, "this token may look, but not act");
	if (!caller->has_token && !rights)
		return fault(EACCES, "your user has no role here; a steward can give one in policy.yaml, under roles");
	return 0;
}

json_t *back_answer(Back *back, const json_t *request) {
	struct caller caller;
	struct route route = {0};
	const char *method = text_of(request, "method"), *path = text_of(request, "path");
	fault_clear();
	int rc = caller_find(back->options.store, front_address(back->options.front), request, &caller);
	if (rc) {
		record_denied(back, &caller, method, path);
		return answer_error(401, "", fault_message());
	}
	struct timespec now;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	rc = route_find(method, path, json_object_get(request, "parameters"),
	        json_string_value(json_object_get(request, "body")), now.tv_sec * INT64_C(1000000000) + now.tv_nsec,
	        &route);
	unsigned rights = back->options.rights(back->options.arg, &caller.peer);
	bool is_denied = !rc && (rc = check_right(&caller, rights, &route)) < 0;
	if (is_denied)
		record_denied(back, &caller, method, path);
	json_t *answer;
	if (rc) {
		answer = answer_error(
		        is_denied && route.is_act && !caller.has_token ? 401 : status_of(rc), "", fault_message());
	} else {
		struct asking asking = {back, &caller, rights, &route};
		choose_format(request, &route);
		answer = answer_route(&asking);
	}
	json_decref(route.arguments);
	return answer;
}

/* ---- threads ---- */

static void tell_death(Back *back) {
	if (atomic_exchange(&back->is_alive, false) && !atomic_load(&back->is_ending))
		log_words("the process that speaks HTTP has ended; the mount goes on without it");
}

static void *serve(void *arg) {
	_cleanup_(freep) struct lane *lane = arg;
	for (;;) {
		_cleanup_(json_decrefp) json_t *request = NULL;
		if (wire_receive(lane->fd, REQUEST_MAX, -1, &request) < 0)
			break;
		_cleanup_(json_decrefp) json_t *answer = back_answer(lane->back, request);
		if (!answer)
			answer = json_pack("{s:i}", "status", 500);
		if (!answer || wire_send(lane->fd, answer, WIRE_ANSWER_MAX, SEND_MS) < 0)
			break;
	}
	tell_death(lane->back);
	return NULL;
}

static int start_thread(Back *back, size_t number) {
	struct lane *lane = malloc(sizeof *lane);
	sigset_t all, before;
	if (!lane)
		return fault(ENOMEM, "starting HTTP: out of memory");
	*lane = (struct lane){back, front_lane(back->options.front, number)};
	/* Signals are for the mount's main thread. */
	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	int error = pthread_create(&back->threads[number], NULL, serve, lane);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error) {
		free(lane);
		return fault_errno(error, "starting a thread for HTTP");
	}
	back->thread_count = number + 1;
	return 0;
}

static int count_token(void *arg, const struct token *token) {
	(void)token;
	++*(unsigned *)arg;
	return 0;
}

int back_check(Store *store, const struct address *address) {
	char text[ADDRESS_TEXT_BYTES];
	unsigned count = 0;
	if (address_is_loopback(address))
		return 0;
	Meta *m = store_meta(store);
	meta_begin(m);
	int rc = meta_end(m, token_list(m, count_token, &count));
	if (rc || count > 0)
		return rc;
	return fault(EPERM,
	        "%s is not loopback, and the vault has no token that others could show: mount with --http 127.0.0.1:0 "
	        "first and make one with 'assayfs token add'",
	        address_text(address, text));
}

int back_start(const struct back_options *options, Back **ret_back) {
	_cleanup_(back_stopp) Back *back = calloc(1, sizeof *back);
	if (!back)
		return fault(ENOMEM, "starting HTTP: out of memory");
	back->options = *options;
	atomic_init(&back->is_alive, true);
	pthread_mutex_init(&back->lock, NULL);
	back->documents = documents_new();
	int rc = back->documents ? 0 : fault(ENOMEM, "starting HTTP: out of memory");
	for (size_t i = 0; !rc && i < FRONT_LANES; i++)
		rc = start_thread(back, i);
	if (!rc)
		*ret_back = steal_pointer(&back);
	return rc;
}

const atomic_bool *back_alive(const Back *back) {
	return &back->is_alive;
}

void back_stop(Back *back) {
	if (!back)
		return;
	atomic_store(&back->is_ending, true);
	for (size_t i = 0; i < back->thread_count; i++)
		(void)shutdown(front_lane(back->options.front, i), SHUT_RDWR);
	for (size_t i = 0; i < back->thread_count; i++)
		pthread_join(back->threads[i], NULL);
	documents_freep(&back->documents);
	pthread_mutex_destroy(&back->lock);
	free(back);
}
