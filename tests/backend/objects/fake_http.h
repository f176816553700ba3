/*
 * fake_http: a server on the loopback that answers as a test tells it to, also wrongly. A thread for each connection.
 */
#pragma once

#include "crypto/base/bytes.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct FakeHttp FakeHttp;

struct fake_request {
	unsigned number; /* of all requests, from 0 */
	const char *method;
	const char *target;
	const char *head; /* the request line and headers as they came */
	struct bytes body;
};

struct fake_answer {
	int status;
	const char *headers; /* each with "\r\n"; NULL */
	struct bytes body;
	size_t claimed; /* Content-Length, if it is to be another than the body's; 0: the body's */
	enum {
		FAKE_ANSWER,
		FAKE_HANG_UP, /* close without an answer */
		FAKE_STALL,   /* send the head, and nothing more until the server is closed */
		FAKE_CUT,     /* close after the body */
	} how;
	unsigned delay_ms;
	size_t drip_bytes; /* send so much of the body every 50 ms; 0: all at once */
};

/* Fills in what is to be answered; `answer` is zeros, with status 200. One at a time. */
typedef void fake_answer_fn(void *arg, const struct fake_request *request, struct fake_answer *answer);

/* Listens on a free port. Fails the test when it can't. */
FakeHttp *fake_http_open(fake_answer_fn *answer, void *arg);
void fake_http_close(FakeHttp *fake);

/* "http://127.0.0.1:PORT". */
const char *fake_http_url(const FakeHttp *fake);

struct fake_counts {
	unsigned requests, connections, most_at_once;
};
struct fake_counts fake_http_counts(FakeHttp *fake);

/* The value of a header into ret, "" if it is not there. */
void fake_header(const struct fake_request *request, const char *name, char *ret, size_t room);
