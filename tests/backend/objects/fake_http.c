#include "tests/backend/objects/fake_http.h"

#include "crypto/base/deadline.h"
#include "tests/backend/scratch.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 256
#define HEAD_BYTES 16384
#define DRIP_MS 50

struct FakeHttp {
	fake_answer_fn *answer;
	void *arg;
	int listener;
	int stop[2]; /* a pipe, closed for writing when it is over */
	char url[64];
	pthread_t acceptor;
	pthread_t threads[CONNECTIONS_MAX];
	pthread_mutex_t mutex; /* guards what follows and the calls of `answer` */
	struct fake_counts counts;
	unsigned at_once;
};

struct connection {
	FakeHttp *fake;
	int fd;
};

/* false: the server is to stop. */
static bool wait_for(const FakeHttp *fake, int fd, int timeout_ms) {
	struct pollfd both[] = {{.fd = fake->stop[0], .events = POLLIN}, {.fd = fd, .events = POLLIN}};
	return poll(both, fd < 0 ? 1 : 2, timeout_ms) >= 0 && both[0].revents == 0;
}

static bool send_all(int fd, const void *data, size_t size) {
	for (size_t done = 0; done < size;) {
		ssize_t sent = send(fd, (const char *)data + done, size - done, MSG_NOSIGNAL);
		if (sent <= 0)
			return false;
		done += (size_t)sent;
	}
	return true;
}

/* Reads until the empty line; what is read behind it stays in the buffer. */
static char *read_head(const FakeHttp *fake, int fd, char *buffer, size_t *size) {
	for (;;) {
		buffer[*size] = '\0';
		char *end = strstr(buffer, "\r\n\r\n");
		if (end)
			return end + 4;
		if (*size >= HEAD_BYTES - 1 || !wait_for(fake, fd, -1))
			return NULL;
		ssize_t got = recv(fd, buffer + *size, HEAD_BYTES - 1 - *size, 0);
		if (got <= 0)
			return NULL;
		*size += (size_t)got;
	}
}

static bool read_body(const FakeHttp *fake, int fd, uint8_t *body, size_t have, size_t wanted) {
	while (have < wanted) {
		ssize_t got = wait_for(fake, fd, -1) ? recv(fd, body + have, wanted - have, 0) : 0;
		if (got <= 0)
			return false;
		have += (size_t)got;
	}
	return true;
}

void fake_header(const struct fake_request *request, const char *name, char *ret, size_t room) {
	size_t length = strlen(name);
	ret[0] = '\0';
	for (const char *line = strstr(request->head, "\r\n"); line && line[2] != '\r'; line = strstr(line + 2, "\r\n"))
		if (strncasecmp(line + 2, name, length) == 0 && line[2 + length] == ':') {
			const char *value = line + 3 + length + strspn(line + 3 + length, " ");
			(void)snprintf(ret, room, "%.*s", (int)strcspn(value, "\r\n"), value);
		}
}

/* By the clock: a server that was late once catches up. */
static bool send_body(const FakeHttp *fake, int fd, const struct fake_answer *answer) {
	int64_t due = monotonic_ms();
	size_t each = answer->drip_bytes ? answer->drip_bytes : answer->body.size;
	for (size_t done = 0; done < answer->body.size;) {
		size_t part = answer->body.size - done < each ? answer->body.size - done : each;
		if (!send_all(fd, answer->body.data + done, part))
			return false;
		done += part;
		due += DRIP_MS;
		int64_t left = answer->drip_bytes ? due - monotonic_ms() : 0;
		if (left > 0 && !wait_for(fake, -1, (int)left))
			return false;
	}
	return true;
}

static bool send_answer(const FakeHttp *fake, int fd, const struct fake_answer *answer, bool is_head) {
	char head[4096];
	if (answer->delay_ms && !wait_for(fake, -1, (int)answer->delay_ms))
		return false;
	if (answer->how == FAKE_HANG_UP)
		return false;
	int length = snprintf(head, sizeof head, "HTTP/1.1 %d Told\r\nContent-Length: %zu\r\n%s\r\n", answer->status,
	        answer->claimed ? answer->claimed : answer->body.size, answer->headers ? answer->headers : "");
	bool is_sent = send_all(fd, head, (size_t)length);
	if (answer->how == FAKE_STALL)
		return is_sent && wait_for(fake, -1, -1) && false;
	if (!is_head)
		is_sent = is_sent && send_body(fake, fd, answer);
	return is_sent && answer->how != FAKE_CUT;
}

static bool serve_one(FakeHttp *fake, int fd, char *buffer, size_t *size) {
	char method[16];
	char target[4096];
	char value[64];
	char *rest = read_head(fake, fd, buffer, size);
	if (!rest || sscanf(buffer, "%15s %4095s", method, target) != 2)
		return false;
	struct fake_request request = {.method = method, .target = target, .head = buffer};
	fake_header(&request, "expect", value, sizeof value);
	if (value[0])
		(void)send_all(fd, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	fake_header(&request, "content-length", value, sizeof value);
	size_t wanted = strtoul(value, NULL, 10);
	size_t have = *size - (size_t)(rest - buffer);
	uint8_t *body = malloc(wanted + 1);
	have = have < wanted ? have : wanted;
	memcpy(body, rest, have);
	bool goes_on = read_body(fake, fd, body, have, wanted);
	struct fake_answer answer = {.status = 200};
	rest[-1] = '\0';
	request.body = bytes_of(body, wanted);
	pthread_mutex_lock(&fake->mutex);
	request.number = fake->counts.requests++;
	if (++fake->at_once > fake->counts.most_at_once)
		fake->counts.most_at_once = fake->at_once;
	if (goes_on)
		fake->answer(fake->arg, &request, &answer);
	pthread_mutex_unlock(&fake->mutex);
	goes_on = goes_on && send_answer(fake, fd, &answer, strcmp(method, "HEAD") == 0);
	pthread_mutex_lock(&fake->mutex);
	fake->at_once--;
	pthread_mutex_unlock(&fake->mutex);
	free(body);
	*size = 0; /* the client does not send ahead */
	return goes_on;
}

static void *serve(void *arg) {
	struct connection *connection = arg;
	char *buffer = malloc(HEAD_BYTES);
	size_t size = 0;
	while (serve_one(connection->fake, connection->fd, buffer, &size))
		continue;
	free(buffer);
	(void)close(connection->fd);
	free(connection);
	return NULL;
}

static void *accept_all(void *arg) {
	FakeHttp *fake = arg;
	while (wait_for(fake, fake->listener, -1)) {
		int fd = accept4(fake->listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		pthread_mutex_lock(&fake->mutex);
		unsigned at = fake->counts.connections++;
		pthread_mutex_unlock(&fake->mutex);
		struct connection *connection = malloc(sizeof *connection);
		if (!connection || at >= CONNECTIONS_MAX)
			abort();
		*connection = (struct connection){fake, fd};
		if (pthread_create(&fake->threads[at], NULL, serve, connection) != 0)
			abort();
	}
	return NULL;
}

FakeHttp *fake_http_open(fake_answer_fn *answer, void *arg) {
	FakeHttp *fake = calloc(1, sizeof *fake);
	assert_non_null(fake);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;
	fake->answer = answer;
	fake->arg = arg;
	fake->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fake->listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(fake->listener, 64), 0);
	assert_int_equal(getsockname(fake->listener, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(pipe(fake->stop), 0);
	(void)snprintf(fake->url, sizeof fake->url, "http://127.0.0.1:%u", ntohs(address.sin_port));
	assert_int_equal(pthread_mutex_init(&fake->mutex, NULL), 0);
	assert_int_equal(pthread_create(&fake->acceptor, NULL, accept_all, fake), 0);
	return fake;
}

void fake_http_close(FakeHttp *fake) {
	(void)close(fake->stop[1]);
	pthread_join(fake->acceptor, NULL);
	for (unsigned i = 0; i < fake->counts.connections; i++)
		pthread_join(fake->threads[i], NULL);
	(void)close(fake->stop[0]);
	(void)close(fake->listener);
	pthread_mutex_destroy(&fake->mutex);
	free(fake);
}

const char *fake_http_url(const FakeHttp *fake) {
	return fake->url;
}

struct fake_counts fake_http_counts(FakeHttp *fake) {
	pthread_mutex_lock(&fake->mutex);
	struct fake_counts counts = fake->counts;
	pthread_mutex_unlock(&fake->mutex);
	return counts;
}
