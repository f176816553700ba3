/*
 * The process that speaks HTTP: one thread, one loop.
 *
 *      poll ─┬─ MHD's epoll: requests ── a moment's memory ──┬─ fresh: answered
 *            │                                               └─ else: suspended, asked by a lane
 *            └─ lanes: answers ── memory ── all who wait for it are resumed
 */
#include "fs/http/front.h"

#include "crypto/base/bytes.h"
#include "crypto/base/fnv.h"
#include "fs/http/confine.h"
#include "fs/http/lanes.h"
#include "fs/http/page.h"
#include "fs/http/respond.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define CONNECTIONS_MAX 768
#define MEMORY_OF_CONNECTION ((size_t)24 << 10)
#define BODY_MAX 4096
#define DOCUMENTS_MAX 64
#define FRESH_MS 500
#define STALE_MS 3000 /* told while a newer one is made */
#define RIGHT_MS 2000
#define HEADERS_MS 5000 /* a connection may take this long for its headers, */
#define CROWDED_MS 1000 /* and this long when half of them are taken */
#define QUIET_MS 20000  /* between two requests */
#define ANSWER_MS 60000 /* for reading an answer, */
#define CROWDED_ANSWER_MS 10000
#define CROWDED_LIFE_MS 30000 /* and in all, however fast it is */
#define SWEEP_MS 250
#define WINDOW_MS 100 /* in each of which this many ms of a processor may be used: */
#define WINDOW_CPU_MS 5

struct document {
	char *key; /* right, method, path and parameters; NULL: free */
	char *body, *type;
	char etag[24];
	int64_t made_ms, asked_ms, used_ms;
};

struct link {
	struct link *next, **place;
	int fd;
	int64_t opened_ms, since_ms;
	bool is_waiting, has_asked; /* for headers; whether it ever sent any */
	char right[80];
	uint64_t token; /* hash of the Authorization header that the right is of */
	int64_t right_ms;
};

struct front {
	struct MHD_Daemon *daemon;
	Lanes *lanes;
	struct address address;
	struct document documents[DOCUMENTS_MAX];
	struct link *links;
	unsigned link_count;
	struct request *waiting; /* for a document that another one asked for */
};

struct request {
	struct request *next_waiting, **waiting_place;
	struct front *front;
	struct link *link;
	struct MHD_Connection *connection;
	char *body; /* of a POST */
	size_t body_size;
	bool is_too_long, is_answered, has_asked;
	char *key; /* of what was asked; NULL: not to be kept */
	int status;
	char *text, *type;
};

static int64_t now_ms(clockid_t clock) {
	struct timespec now;
	(void)clock_gettime(clock, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

/* ---- a moment's memory ---- */

static void clear_document(struct document *document) {
	free(document->key);
	free(document->body);
	free(document->type);
	*document = (struct document){0};
}

static struct document *find_document(struct front *front, const char *key) {
	for (size_t i = 0; i < DOCUMENTS_MAX; i++)
		if (front->documents[i].key && strcmp(front->documents[i].key, key) == 0)
			return &front->documents[i];
	return NULL;
}

/* One for `key`, in place of the one that was used the longest ago. NULL: no memory. */
static struct document *make_document(struct front *front, const char *key) {
	struct document *place = find_document(front, key);
	if (place)
		return place;
	place = &front->documents[0];
	for (size_t i = 1; i < DOCUMENTS_MAX && place->key; i++)
		if (!front->documents[i].key || front->documents[i].used_ms < place->used_ms)
			place = &front->documents[i];
	clear_document(place);
	place->key = strdup(key);
	return place->key ? place : NULL;
}

static void keep_document(struct front *front, const struct request *request) {
	struct document *document = make_document(front, request->key);
	char *body = strdup(request->text), *type = strdup(request->type);
	if (!document || !body || !type) {
		free(body);
		free(type);
		return;
	}
	free(document->body);
	free(document->type);
	document->body = body;
	document->type = type;
	document->made_ms = document->used_ms = now_ms(CLOCK_MONOTONIC);
	(void)snprintf(
	        document->etag, sizeof document->etag, "\"%016" PRIx64 "\"", fnv1a(0, bytes_of(body, strlen(body))));
}

/* ---- a question ---- */

static enum MHD_Result take_parameter(void *arg, enum MHD_ValueKind kind, const char *name, const char *value) {
	(void)kind;
	json_t *parameters = arg;
	/* Twice the same, and what is no text, is told by the daemon as what it is: no value of its kind. */
	bool is_new = !json_object_get(parameters, name);
	json_t *text = is_new && value ? json_string(value) : NULL;
	(void)json_object_set_new(parameters, name, text ? text : json_null());
	return json_object_size(parameters) > 16 ? MHD_NO : MHD_YES;
}

static void put_addresses(struct front *front, const struct link *link, json_t *question) {
	struct address ours = {.size = sizeof ours.socket}, theirs = {.size = sizeof theirs.socket};
	char text[ADDRESS_TEXT_BYTES];
	(void)front;
	if (getsockname(link->fd, (struct sockaddr *)&ours.socket, &ours.size) < 0 ||
	        getpeername(link->fd, (struct sockaddr *)&theirs.socket, &theirs.size) < 0)
		return;
	address_unmap(&ours);
	address_unmap(&theirs);
	json_object_set_new(question, "local", json_string(address_text(&ours, text)));
	json_object_set_new(question, "remote", json_string(address_text(&theirs, text)));
}

static const char *token_of(struct MHD_Connection *connection) {
	static const char scheme[] = "Bearer ";
	const char *header = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization");
	return header && strncasecmp(header, scheme, strlen(scheme)) == 0 ? header + strlen(scheme) : NULL;
}

static json_t *make_question(struct request *request, const char *method, const char *path) {
	const char *accept = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, "Accept");
	const char *token = token_of(request->connection);
	json_t *parameters = json_object();
	(void)MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, take_parameter, parameters);
	json_t *question = json_pack("{s:s, s:s, s:o, s:s*, s:s*, s:s*}", "method", method, "path", path, "parameters",
	        parameters, "token", token, "accept", accept, "body", request->body);
	if (question)
		put_addresses(request->front, request->link, question);
	return question;
}

/* What tells documents of one right apart. NULL: not to be kept. */
static char *make_key(const struct request *request, const char *right, const json_t *question) {
	const char *path = json_string_value(json_object_get(question, "path"));
	_cleanup_(freep) char *parameters =
	        json_dumps(json_object_get(question, "parameters"), JSON_COMPACT | JSON_SORT_KEYS);
	const char *accept = json_string_value(json_object_get(question, "accept"));
	char *key = NULL;
	bool is_open = accept && strstr(accept, "openmetrics");
	if (request->body || !parameters || asprintf(&key, "%s\n%d%s\n%s", right, is_open, path, parameters) < 0)
		return NULL;
	return key;
}

static void stop_waiting(struct request *request) {
	if (request->waiting_place) {
		*request->waiting_place = request->next_waiting;
		if (request->next_waiting)
			request->next_waiting->waiting_place = request->waiting_place;
	}
	request->waiting_place = NULL;
	request->next_waiting = NULL;
}

static void start_waiting(struct request *request) {
	struct front *front = request->front;
	request->next_waiting = front->waiting;
	if (front->waiting)
		front->waiting->waiting_place = &request->next_waiting;
	request->waiting_place = &front->waiting;
	front->waiting = request;
}

static uint64_t token_hash(struct MHD_Connection *connection) {
	const char *token = token_of(connection);
	return token ? fnv1a(1, bytes_of(token, strlen(token))) : 0;
}

static void finish(struct request *request, int status, const char *type, const char *text) {
	request->is_answered = true;
	request->status = status;
	request->type = strdup(type);
	request->text = strdup(text);
	MHD_resume_connection(request->connection);
}

/* Those who wait for the same: they had that right, too. */
static void finish_waiting(struct front *front, const struct request *of) {
	for (struct request *at = front->waiting, *next; at; at = next) {
		next = at->next_waiting;
		if (!of->key || !at->key || strcmp(at->key, of->key) != 0)
			continue;
		stop_waiting(at);
		finish(at, of->status, of->type, of->text);
	}
}

/* Nothing came of it: the next one asks again. */
static void forget_asked(struct request *request) {
	struct document *document =
	        request->has_asked && request->key ? find_document(request->front, request->key) : NULL;
	if (document)
		document->asked_ms = 0;
}

static void answered(void *arg, const json_t *answer) {
	struct request *request = arg;
	const char *right = json_string_value(json_object_get(answer, "right"));
	const char *type = json_string_value(json_object_get(answer, "type"));
	const char *text = json_string_value(json_object_get(answer, "body"));
	int status = (int)json_integer_value(json_object_get(answer, "status"));
	if (right && *right) {
		(void)snprintf(request->link->right, sizeof request->link->right, "%s", right);
		request->link->token = token_hash(request->connection);
		request->link->right_ms = now_ms(CLOCK_MONOTONIC);
	}
	if (status < 200 || status > 599 || !type || !text)
		finish(request, 503, "application/json", "{\"error\":\"the mount gave no answer\"}");
	else
		finish(request, status, type, text);
	finish_waiting(request->front, request);
	if (request->status == 200 && request->key && request->text && request->type)
		keep_document(request->front, request);
	else
		forget_asked(request);
}

/* 1: from memory; 0: to be asked for; -EAGAIN: that is done already, and nothing is there to be told meanwhile. */
static int from_memory(struct request *request, const struct document **ret) {
	int64_t now = now_ms(CLOCK_MONOTONIC);
	struct document *document = make_document(request->front, request->key);
	if (!document)
		return 0;
	bool is_asked = document->asked_ms > document->made_ms && now - document->asked_ms < STALE_MS;
	document->used_ms = now;
	if (document->body && now - document->made_ms < (is_asked ? STALE_MS : FRESH_MS)) {
		*ret = document;
		return 1;
	}
	if (is_asked)
		return -EAGAIN;
	document->asked_ms = now;
	request->has_asked = true;
	return 0;
}

static enum MHD_Result ask(struct request *request, const char *method, const char *path) {
	struct link *link = request->link;
	_cleanup_(json_decrefp) json_t *question = make_question(request, method, path);
	bool is_known = *link->right && link->token == token_hash(request->connection) &&
	                now_ms(CLOCK_MONOTONIC) - link->right_ms < RIGHT_MS;
	const struct document *document = NULL;
	if (!question)
		return respond_error(request->connection, 400, "the request is not UTF-8 text");
	int found = 0;
	if (is_known && (request->key = make_key(request, link->right, question)))
		found = from_memory(request, &document);
	if (found > 0)
		return respond_text(request->connection, 200, document->type, document->etag, document->body);
	if (found < 0)
		start_waiting(request);
	else if (lanes_ask(request->front->lanes, json_incref(question), request) < 0)
		return respond_error(request->connection, 503, "too much is asked at once");
	MHD_suspend_connection(request->connection);
	return MHD_YES;
}

/* ---- a request ---- */

static bool is_json(struct MHD_Connection *connection) {
	static const char type[] = "application/json";
	const char *given = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Type");
	return given && strncasecmp(given, type, strlen(type)) == 0 &&
	       (given[strlen(type)] == '\0' || given[strlen(type)] == ';');
}

static enum MHD_Result send_answer(const struct request *request) {
	char etag[24];
	if (!request->text || !request->type)
		return MHD_NO;
	(void)snprintf(
	        etag, sizeof etag, "\"%016" PRIx64 "\"", fnv1a(0, bytes_of(request->text, strlen(request->text))));
	return respond_text(request->connection, request->status, request->type, request->status == 200 ? etag : NULL,
	        request->text);
}

static enum MHD_Result handle(struct request *request, const char *method, const char *path) {
	struct MHD_Connection *connection = request->connection;
	const char *host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host");
	bool is_get = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
	if (request->is_answered)
		return send_answer(request);
	/* Behind a proxy the name is the proxy's; there a token is what counts, and no page of another site has one. */
	if (address_is_loopback(&request->front->address) &&
	        (!host || !address_allows_host(&request->front->address, host)))
		return respond_error(connection, 421, "this Host is not served here");
	if (strlen(path) > 1024)
		return respond_error(connection, 414, "the path is too long");
	if (is_get && strcmp(path, "/healthz") == 0)
		return respond_text(connection, 200, "text/plain", NULL, "ok\n");
	for (const struct page_file *file = page_files; is_get && file->path; file++)
		if (strcmp(file->path, path) == 0)
			return respond_file(connection, file);
	if (!is_get && strcmp(method, "POST") != 0)
		return respond_error(connection, 405, "not with this method");
	if (request->is_too_long)
		return respond_error(connection, 413, "the body is too long");
	if (!is_get && !is_json(connection))
		return respond_error(connection, 415, "the body has to be application/json");
	return ask(request, method, path);
}

static void take_body(struct request *request, const char *data, size_t size) {
	if (request->body_size + size > BODY_MAX) {
		request->is_too_long = true;
		return;
	}
	char *grown = realloc(request->body, request->body_size + size + 1);
	if (!grown) {
		request->is_too_long = true;
		return;
	}
	memcpy(grown + request->body_size, data, size);
	request->body = grown;
	request->body_size += size;
	request->body[request->body_size] = '\0';
}

struct counts {
	unsigned host, length, coding, right;
};

static enum MHD_Result count_header(void *arg, enum MHD_ValueKind kind, const char *name, const char *value) {
	struct counts *counts = arg;
	(void)kind;
	(void)value;
	counts->host += strcasecmp(name, "Host") == 0;
	counts->length += strcasecmp(name, "Content-Length") == 0;
	counts->coding += strcasecmp(name, "Transfer-Encoding") == 0;
	counts->right += strcasecmp(name, "Authorization") == 0;
	return MHD_YES;
}

/* A proxy may have understood it otherwise: where one request ends (RFC 9112, 6.3 and 11.2), or whose it is. */
static bool is_ambiguous(const struct counts *counts) {
	return counts->host > 1 || counts->right > 1 || counts->length + counts->coding > 1;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *path, const char *method,
        const char *version, const char *data, size_t *size, void **memory) {
	(void)version;
	struct front *front = arg;
	struct request *request = *memory;
	if (!request) {
		const union MHD_ConnectionInfo *info =
		        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
		request = info && info->socket_context ? calloc(1, sizeof *request) : NULL;
		if (!request)
			return MHD_NO;
		*request = (struct request){.front = front, .link = info->socket_context, .connection = connection};
		*memory = request;
		struct counts counts = {0};
		(void)MHD_get_connection_values(connection, MHD_HEADER_KIND, count_header, &counts);
		if (is_ambiguous(&counts))
			return respond_error(connection, 400, "headers that must be there once are there twice");
		/* What has a body is waited for like headers. */
		request->link->is_waiting = counts.length + counts.coding > 0;
		request->link->has_asked = false;
		return MHD_YES;
	}
	if (*size > 0) {
		take_body(request, data, *size);
		*size = 0;
		return MHD_YES;
	}
	if (!request->is_answered)
		request->link->since_ms = now_ms(CLOCK_MONOTONIC);
	request->link->is_waiting = false;
	return handle(request, method, path);
}

/* Who asked for it has left before the answer came: those who waited with him ask again. */
static void give_up(struct request *request) {
	request->status = 503;
	request->type = strdup("application/json");
	request->text = strdup("{\"error\":\"ask again\"}");
	forget_asked(request);
	if (request->type && request->text)
		finish_waiting(request->front, request);
}

static void on_completed(
        void *arg, struct MHD_Connection *connection, void **memory, enum MHD_RequestTerminationCode code) {
	struct front *front = arg;
	struct request *request = *memory;
	(void)connection;
	(void)code;
	if (!request)
		return;
	lanes_forget(front->lanes, request);
	stop_waiting(request);
	if (request->has_asked && !request->is_answered)
		give_up(request);
	request->link->is_waiting = true;
	request->link->has_asked = true;
	request->link->since_ms = now_ms(CLOCK_MONOTONIC);
	free(request->body);
	free(request->key);
	free(request->text);
	free(request->type);
	free(request);
	*memory = NULL;
}

/* ---- connections ---- */

static void on_connection(
        void *arg, struct MHD_Connection *connection, void **memory, enum MHD_ConnectionNotificationCode code) {
	struct front *front = arg;
	struct link *link = *memory;
	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (!link)
			return;
		*link->place = link->next;
		if (link->next)
			link->next->place = link->place;
		front->link_count--;
		free(link);
		*memory = NULL;
		return;
	}
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	const int64_t now = now_ms(CLOCK_MONOTONIC);
	link = info ? calloc(1, sizeof *link) : NULL;
	if (!link)
		return;
	*link = (struct link){.next = front->links,
	        .place = &front->links,
	        .fd = info->connect_fd,
	        .opened_ms = now,
	        .since_ms = now,
	        .is_waiting = true};
	if (front->links)
		front->links->place = &link->next;
	front->links = link;
	front->link_count++;
	*memory = link;
}

/* Who sends or takes a byte now and then is never idle; what counts is when the whole came, or went. */
static bool is_over(const struct link *link, bool is_crowded, int64_t now) {
	int64_t patience = is_crowded ? CROWDED_ANSWER_MS : ANSWER_MS;
	if (link->is_waiting)
		patience = is_crowded ? CROWDED_MS : link->has_asked ? QUIET_MS : HEADERS_MS;
	return now - link->since_ms > patience || (is_crowded && now - link->opened_ms > CROWDED_LIFE_MS);
}

static void sweep(struct front *front, int64_t now) {
	bool is_crowded = front->link_count > CONNECTIONS_MAX / 2;
	for (struct link *link = front->links; link; link = link->next)
		if (is_over(link, is_crowded, now))
			(void)shutdown(link->fd, SHUT_RDWR);
}

/* ---- the loop ---- */

static int start_daemon(struct front *front, int listener) {
	bool is_local = address_is_loopback(&front->address);
	front->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, front,
	        MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
	        MHD_OPTION_CONNECTION_MEMORY_LIMIT, MEMORY_OF_CONNECTION, MHD_OPTION_CONNECTION_TIMEOUT, 30u,
	        MHD_OPTION_PER_IP_CONNECTION_LIMIT, is_local ? 0u : CONNECTIONS_MAX / 4u, MHD_OPTION_NOTIFY_COMPLETED,
	        on_completed, front, MHD_OPTION_NOTIFY_CONNECTION, on_connection, front, MHD_OPTION_END);
	return front->daemon ? 0 : -EIO;
}

/* Load on the page must not become load on the mount: what is above a twentieth of a processor waits. */
static void keep_measure(int64_t *window_ms, int64_t *window_cpu_ms) {
	int64_t now = now_ms(CLOCK_MONOTONIC), cpu = now_ms(CLOCK_PROCESS_CPUTIME_ID);
	if (now - *window_ms >= WINDOW_MS) {
		*window_ms = now;
		*window_cpu_ms = cpu;
	} else if (cpu - *window_cpu_ms >= WINDOW_CPU_MS) {
		struct timespec rest = {.tv_nsec = (WINDOW_MS - (now - *window_ms)) * 1000000};
		(void)nanosleep(&rest, NULL);
	}
}

static int wait_ms(struct front *front) {
	MHD_UNSIGNED_LONG_LONG wanted = SWEEP_MS;
	if (MHD_get_timeout(front->daemon, &wanted) != MHD_YES || wanted > SWEEP_MS)
		wanted = SWEEP_MS;
	return lanes_wait(front->lanes) && wanted > 20 ? 20 : (int)wanted;
}

static void serve(struct front *front) {
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(front->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	int64_t swept = 0, window = 0, window_cpu = 0;
	for (;;) {
		struct pollfd fds[FRONT_LANES + 1];
		lanes_poll(front->lanes, fds);
		fds[FRONT_LANES] = (struct pollfd){.fd = info->epoll_fd, .events = POLLIN};
		(void)poll(fds, FRONT_LANES + 1, wait_ms(front));
		int64_t now = now_ms(CLOCK_MONOTONIC);
		if (!lanes_run(front->lanes, fds, now) || MHD_run(front->daemon) != MHD_YES ||
		        !lanes_send(front->lanes, now))
			return;
		if (now - swept > SWEEP_MS) {
			sweep(front, now);
			swept = now;
		}
		keep_measure(&window, &window_cpu);
	}
}

_Noreturn void front_main(
        int listener, const int lanes[static FRONT_LANES], const struct address *address, pid_t parent) {
	enum { LISTENER = STDERR_FILENO + 1 };
	int fds[FRONT_LANES + 1] = {listener};
	struct front *front = calloc(1, sizeof *front); /* too much for the stack */
	if (!front)
		_exit(1);
	front->address = *address;
	memcpy(fds + 1, lanes, FRONT_LANES * sizeof *lanes);
	json_object_seed(0);
	if (confine_descriptors(fds, FRONT_LANES + 1) < 0 || confine_process(parent, CONNECTIONS_MAX) < 0)
		_exit(1);
	for (int i = 0; i < FRONT_LANES; i++)
		fds[i] = LISTENER + 1 + i;
	front->lanes = lanes_new(fds, FRONT_LANES, answered);
	if (!front->lanes || start_daemon(front, LISTENER) < 0 || confine_calls() < 0)
		_exit(1);
	serve(front);
	_exit(0);
}
