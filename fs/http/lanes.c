#include "fs/http/lanes.h"

#include "fs/control_wire.h"

#include <errno.h>
#include <stdlib.h>

#define LANES_MAX 8
#define QUEUE_MAX 512
#define ASKED_A_SECOND 300
#define SEND_MS 2000
#define RECEIVE_MS 10000

struct question {
	struct question *next;
	json_t *message;
	void *arg; /* NULL: whoever asked is gone */
};

struct Lanes {
	size_t count;
	int fds[LANES_MAX];
	struct question *asked[LANES_MAX]; /* NULL: the lane is free */
	struct question *first, **end;
	size_t waiting;
	lanes_answered *answered;
	int64_t second;
	unsigned in_second;
};

Lanes *lanes_new(const int *fds, size_t count, lanes_answered *answered) {
	Lanes *lanes = count <= LANES_MAX ? calloc(1, sizeof *lanes) : NULL;
	if (!lanes)
		return NULL;
	lanes->count = count;
	for (size_t i = 0; i < count; i++)
		lanes->fds[i] = fds[i];
	lanes->answered = answered;
	lanes->end = &lanes->first;
	return lanes;
}

static void drop(struct question *question) {
	json_decref(question->message);
	free(question);
}

int lanes_ask(Lanes *lanes, json_t *question, void *arg) {
	struct question *item = lanes->waiting < QUEUE_MAX ? calloc(1, sizeof *item) : NULL;
	if (!item || !question) {
		json_decref(question);
		free(item);
		return -EAGAIN;
	}
	*item = (struct question){.message = question, .arg = arg};
	*lanes->end = item;
	lanes->end = &item->next;
	lanes->waiting++;
	return 0;
}

void lanes_forget(Lanes *lanes, void *arg) {
	for (size_t i = 0; i < lanes->count; i++)
		if (lanes->asked[i] && lanes->asked[i]->arg == arg)
			lanes->asked[i]->arg = NULL;
	for (struct question *at = lanes->first; at; at = at->next)
		if (at->arg == arg)
			at->arg = NULL;
}

void lanes_poll(const Lanes *lanes, struct pollfd *ret_fds) {
	for (size_t i = 0; i < lanes->count; i++)
		ret_fds[i] = (struct pollfd){.fd = lanes->fds[i], .events = POLLIN};
}

static bool take_answer(Lanes *lanes, size_t lane) {
	_cleanup_(json_decrefp) json_t *answer = NULL;
	struct question *question = lanes->asked[lane];
	if (!question || wire_receive(lanes->fds[lane], WIRE_ANSWER_MAX, RECEIVE_MS, &answer) < 0)
		return false;
	lanes->asked[lane] = NULL;
	if (question->arg)
		lanes->answered(question->arg, answer);
	drop(question);
	return true;
}

static struct question *take_first(Lanes *lanes) {
	struct question *question = lanes->first;
	lanes->first = question->next;
	if (!lanes->first)
		lanes->end = &lanes->first;
	lanes->waiting--;
	return question;
}

static bool send_next(Lanes *lanes, size_t lane) {
	struct question *question = take_first(lanes);
	if (!question->arg) {
		drop(question);
		return true;
	}
	lanes->asked[lane] = question;
	lanes->in_second++;
	return wire_send(lanes->fds[lane], question->message, WIRE_REQUEST_MAX, SEND_MS) == 0;
}

bool lanes_send(Lanes *lanes, int64_t now_ms) {
	if (now_ms / 1000 != lanes->second) {
		lanes->second = now_ms / 1000;
		lanes->in_second = 0;
	}
	for (size_t i = 0; i < lanes->count; i++)
		while (lanes->first && !lanes->asked[i] && lanes->in_second < ASKED_A_SECOND)
			if (!send_next(lanes, i))
				return false;
	return true;
}

bool lanes_run(Lanes *lanes, const struct pollfd *fds, int64_t now_ms) {
	for (size_t i = 0; i < lanes->count; i++)
		if (fds[i].revents && !take_answer(lanes, i))
			return false;
	return lanes_send(lanes, now_ms);
}

bool lanes_wait(const Lanes *lanes) {
	return lanes->first != NULL;
}

void lanes_free(Lanes *lanes) {
	if (!lanes)
		return;
	for (size_t i = 0; i < lanes->count; i++)
		if (lanes->asked[i])
			drop(lanes->asked[i]);
	while (lanes->first)
		drop(take_first(lanes));
	free(lanes);
}
