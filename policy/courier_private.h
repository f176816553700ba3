/* courier_private: what the courier and its messengers share; for courier.c and messenger.c only. */
#pragma once

#include "policy/courier.h"

#include <jansson.h>
#include <stdint.h>

#define COURIER_MAGIC 0x434f5552u
#define COURIER_PACKET_MAX (64u << 10)

struct courier_answer {
	uint32_t magic;
	uint32_t is_delivered, is_final;
	char words[COURIER_WORDS_BYTES];
};

struct messenger {
	const char *actions;
	unsigned seconds;
};

/* One delivery (a JSON object of texts) to its end: fills in the answer. In a process of its own, whose rights go. */
void messenger_deliver(const struct messenger *messenger, const json_t *delivery, struct courier_answer *ret_answer);

/* What a messenger for commands does. */
void messenger_command(
        const struct messenger *messenger, const char *name, const json_t *delivery, struct courier_answer *ret_answer);

/* A member of the delivery, "" where it is missing. */
const char *messenger_text(const json_t *delivery, const char *name);
