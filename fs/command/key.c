/* `assayfs key rotate`, `disable`, `enable`, `schedule-deletion`, `cancel-deletion`, `alias`. */
#include "fs/command/key.h"

#include "crypto/base/fault.h"
#include "crypto/encoding.h"
#include "crypto/secret.h"
#include "fs/command/answer.h"
#include "fs/command/progress.h"
#include "fs/words.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* ---- shared ---- */

int key_fault(const struct invocation *call, int rc, const char *format, ...) {
	static const int noes[] = {EPERM, EKEYREVOKED, EKEYEXPIRED, ENOKEY, ENOTSUP, EBUSY, EEXIST, ENOSPC};
	char words[FAULT_MESSAGE_BYTES];
	va_list list;
	va_start(list, format);
	(void)vsnprintf(words, sizeof words, format, list);
	va_end(list);
	int code = command_fault(call, rc, "%s", words);
	for (size_t i = 0; i < sizeof noes / sizeof noes[0]; i++)
		code = rc == -noes[i] ? EXIT_NO : code;
	return code;
}

/* After it what the kernel has of files that are being written could not be sealed any more. */
static bool closes_content(const char *command) {
	return strcmp(command, "lock") == 0 || strcmp(command, "key-disable") == 0 ||
	       strcmp(command, "key-schedule-deletion") == 0;
}

/* ALIAS before DIR was left out, or comes after it: what stands there is a mount, and no name of a key. */
static int refuse_swapped(const struct invocation *call, int dir) {
	_cleanup_(freep) struct client_place *place = calloc(1, sizeof *place);
	const char *last = command_operand(call, dir);
	if (dir == 0 || !place || client_locate(last, place) == 0 ||
	        client_locate(command_operand(call, dir - 1), place) != 0)
		return EXIT_DONE;
	const char *mount = command_operand(call, dir - 1);
	return last ? command_fail(call, EXIT_USAGE, "%s is a mount: it comes last (usage: assayfs %s %s)", mount,
	                      call->command->words, call->command->operands)
	            : command_fail(call, EXIT_USAGE, "%s is a mount; what of it? (usage: assayfs %s %s)", mount,
	                      call->command->words, call->command->operands);
}

int key_ask(const struct invocation *call, int dir, const char *command, json_t *arguments, client_item *item,
        void *context) {
	struct client_place place;
	_cleanup_(client_closep) Client *client = NULL;
	int code = refuse_swapped(call, dir);
	if (code == EXIT_DONE)
		code = client_open_operand(call, dir, &place, &client);
	if (code) {
		json_decref(arguments);
		return code;
	}
	if (closes_content(command))
		(void)client_write_back(&place); /* what was written before stays, if it can */
	int rc = client_call(client, command, arguments, item, context);
	return rc ? key_fault(call, rc, "%s", "") : EXIT_DONE;
}

json_t *key_secret_json(struct bytes secret) {
	size_t size = BASE64_TEXT_BYTES(secret.size);
	char *text = malloc(size);
	if (!text)
		return NULL;
	base64_encode(secret, text);
	json_t *value = json_string(text);
	secret_wipe(text, size);
	free(text);
	return value;
}

static int keep_item(void *context, const json_t *item) {
	json_t **slot = context;
	json_decref(*slot);
	*slot = json_incref((json_t *)(uintptr_t)item);
	return 0;
}

/* Asks for a change of the key that operand 0 names; *ret_key (borrowed from *ret_item): how it is now. */
static int change_key(const struct invocation *call, const char *command, json_t *arguments, json_t **ret_item,
        const json_t **ret_key) {
	if (arguments && json_object_set_new(arguments, "key", json_string(command_operand(call, 0)))) {
		json_decref(arguments);
		return command_fail(call, EXIT_USAGE, "a key's name is UTF-8 text");
	}
	int code = key_ask(call, 1, command, arguments, keep_item, ret_item);
	*ret_key = json_object_get(*ret_item, "key");
	return code;
}

const char *key_time(const json_t *key, const char *name, char ret[static KEY_TIME_BYTES]) {
	const char *text = answer_text(key, name);
	(void)snprintf(ret, KEY_TIME_BYTES, "%.*s%s", (int)strcspn(text, ".Z"), text, *text ? "Z" : "?");
	return ret;
}

/* ---- rotating ---- */

struct rotating {
	const struct invocation *call;
	json_t *rotated, *skipped;
	Progress *progress;
	uint64_t total, segments; /* bytes of the first look, and what is left by the last one */
	bool has_looked;
};

static void show_rewrap(struct rotating *r, const json_t *item) {
	uint64_t left = answer_number(item, "old_bytes");
	r->segments = answer_number(item, "old_segments");
	/* Or the bar stands still for no reason that could be seen, and without a terminal there is none. */
	if (!r->has_looked && r->segments > 0)
		command_note(r->call,
		        "waiting: what was sealed anew is removed a quarter of a minute after that, at the "
		        "earliest");
	if (!r->has_looked)
		r->progress = progress_begin("sealing anew", PROGRESS_BYTES, left);
	r->has_looked = true;
	r->total = left > r->total ? left : r->total;
	progress_set(r->progress, r->total - left, r->total);
}

/* How a key is after the wait, which is what counts then. */
static int take_present(struct rotating *r, json_t *now) {
	for (size_t i = 0; i < json_array_size(r->rotated); i++)
		if (strcmp(answer_text(json_array_get(r->rotated, i), "id"), answer_text(now, "id")) == 0)
			return json_array_set(r->rotated, i, now) ? -ENOMEM : 0;
	return 0; /* it was skipped */
}

static int take_rotated(void *context, const json_t *item) {
	struct rotating *r = context;
	json_t *key = json_object_get(item, "key"), *now = json_object_get(item, "now");
	if (now)
		return take_present(r, now);
	if (key)
		return json_array_append(r->rotated, key) ? -ENOMEM : 0;
	if (json_object_get(item, "skipped"))
		return json_array_append(r->skipped, (json_t *)(uintptr_t)item) ? -ENOMEM : 0;
	show_rewrap(r, item);
	return 0;
}

static void print_rotated(const struct rotating *r, unsigned long long every, bool is_whole) {
	for (size_t i = 0; i < json_array_size(r->rotated); i++) {
		const json_t *key = json_array_get(r->rotated, i);
		_cleanup_(freep) char *alias = words_safe(answer_text(key, "alias"));
		if (!command_has(r->call, "every"))
			printf("%s: version %" PRIu64 " seals from now on\n", alias ? alias : "?",
			        answer_number(key, "version"));
		else if (every)
			printf("%s: rotated by itself when its version is %llu day%s old\n", alias ? alias : "?", every,
			        words_s(every));
		else
			printf("%s: rotated by hand only\n", alias ? alias : "?");
	}
	for (size_t i = 0; i < json_array_size(r->skipped); i++) {
		const json_t *item = json_array_get(r->skipped, i);
		_cleanup_(freep) char *why = words_safe(answer_text(item, "why"));
		_cleanup_(freep) char *alias = words_safe(answer_text(item, "skipped"));
		printf("%s: left as it is: %s\n", alias ? alias : "?", why ? why : "?");
	}
	if (!is_whole)
		return;
	if (command_has(r->call, "rewrap") && !r->has_looked)
		printf("What older versions sealed is sealed anew in the background; 'assayfs key list' says how far "
		       "it is.\n");
	else if (r->has_looked && r->segments == 0)
		printf("All that older versions had sealed is sealed anew.\n");
}

static int check_rotate(const struct invocation *call, unsigned long long *ret_every) {
	bool is_all = command_has(call, "all"), rewraps = command_has(call, "rewrap");
	int code = command_number(call, "every", 0, 36500, ret_every);
	if (code)
		return code;
	if (is_all && call->operand_count == 2)
		return command_fail(call, EXIT_USAGE, "--all or ALIAS, not both");
	if (!is_all && call->operand_count == 0)
		return command_fail(call, EXIT_USAGE, "which key? give its ALIAS ('assayfs key list'), or --all");
	if (command_has(call, "every") && rewraps)
		return command_fail(
		        call, EXIT_USAGE, "--every says when to rotate, --rewrap what to do now; one of them");
	if (command_has(call, "wait") && !rewraps)
		return command_fail(call, EXIT_USAGE, "--wait goes with --rewrap");
	return EXIT_DONE;
}

static json_t *rotate_request(const struct invocation *call, unsigned long long every) {
	bool is_all = command_has(call, "all");
	json_t *request =
	        json_pack("{s:b, s:b, s:b, s:s*}", "all", (int)is_all, "rewrap", (int)command_has(call, "rewrap"),
	                "wait", (int)command_has(call, "wait"), "key", is_all ? NULL : command_operand(call, 0));
	if (request && command_has(call, "every"))
		json_object_set_new(request, "every_days", json_integer((json_int_t)every));
	return request;
}

static int run_rotate(const struct invocation *call) {
	_cleanup_(json_decrefp) json_t *rotated = json_array();
	_cleanup_(json_decrefp) json_t *skipped = json_array();
	struct rotating r = {.call = call, .rotated = rotated, .skipped = skipped};
	unsigned long long every = 0;
	int code = check_rotate(call, &every);
	if (code)
		return code;
	json_t *request = rotate_request(call, every);
	if (!request)
		return command_fail(call, EXIT_USAGE, "a key's name is UTF-8 text");
	code = key_ask(call, command_has(call, "all") ? 0 : 1, "key-rotate", request, take_rotated, &r);
	progress_end(r.progress);
	if (command_has(call, "json"))
		return code ? code
		            : command_print_json(
		                      call, json_pack("{s:O, s:O}", command_has(call, "every") ? "every" : "rotated",
		                                    rotated, "skipped", skipped));
	/* What was done is said even when the rest did not go well. */
	print_rotated(&r, every, !code);
	return code;
}

const struct command command_key_rotate = {
        .words = "key rotate",
        .operands = "[ALIAS] [DIR]",
        .most = 2,
        .summary = "seal new data under a new version of a key",
        .details =
                "From its return on; what was sealed before stays readable. After a slot was removed rotate --all: who "
                "had it may have kept the keys, and opens nothing that is written later. --rewrap also has what older "
                "versions sealed sealed anew, in the background; it goes on after a crash. --all leaves out keys that "
                "are disabled. That of the log hands it on: who verifies it by an earlier key goes on to.\n"
                "With --every it is not rotated now, but by itself when its version is so old; 0 ends that.\n"
                "A steward by the policy decides, or who mounted; the audit log has it.",
        .options = (const struct command_option[]){{"all", 0, NULL, "every key that there is"},
                {"rewrap", 0, NULL, "seal older data anew, in the background"},
                {"wait", 0, NULL, "with --rewrap: wait until that is done"},
                {"every", 0, "DAYS", "rotate by itself; not now"}, OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs key rotate --all /mnt", "somebody has left"},
                {"assayfs key rotate --rewrap --wait raw /mnt", "nothing of Raw under the old version"},
                {"assayfs key rotate --every 365 trusted /mnt", "each year"}, {0}},
        .exits = KEY_EXITS,
        .run = run_rotate,
};

/* ---- states ---- */

static int print_state(const struct invocation *call, const json_t *key, const char *words) {
	_cleanup_(freep) char *alias = words_safe(answer_text(key, "alias"));
	if (command_has(call, "json"))
		return command_print_json(call, json_copy((json_t *)(uintptr_t)key));
	printf("%s: %s\n", alias ? alias : "?", words);
	return EXIT_DONE;
}

static int change_state(const struct invocation *call, const char *command, const char *words) {
	_cleanup_(json_decrefp) json_t *item = NULL;
	const json_t *key = NULL;
	int code = change_key(call, command, json_object(), &item, &key);
	return code ? code : print_state(call, key, words);
}

static int run_disable(const struct invocation *call) {
	return change_state(call, "key-disable", "disabled: what it sealed can't be read, and nothing new be sealed");
}

const struct command command_key_disable = {
        .words = "key disable",
        .operands = "ALIAS [DIR]",
        .least = 1,
        .most = 2,
        .summary = "let nobody read what a key sealed, until it is enabled",
        .details = "At once, what is in memory and open, too: reading exactly its data fails (EKEYREVOKED). Names, "
                   "sizes and the audit log stay. The keys of metadata and of the log can't be disabled.",
        .options = (const struct command_option[]){OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs key disable raw /mnt", "nobody reads Raw"}, {0}},
        .exits = KEY_EXITS,
        .run = run_disable,
};

static int run_enable(const struct invocation *call) {
	return change_state(call, "key-enable", "enabled");
}

const struct command command_key_enable = {
        .words = "key enable",
        .operands = "ALIAS [DIR]",
        .least = 1,
        .most = 2,
        .summary = "let a disabled key seal and open again",
        .options = (const struct command_option[]){OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs key enable raw /mnt", "as before"}, {0}},
        .exits = KEY_EXITS,
        .run = run_enable,
};

static int run_schedule_deletion(const struct invocation *call) {
	_cleanup_(json_decrefp) json_t *item = NULL;
	const json_t *key = NULL;
	unsigned long long days = 30;
	char words[128], time[KEY_TIME_BYTES];
	int code = command_number(call, "days", 7, 30, &days);
	if (!code)
		code = change_key(
		        call, "key-schedule-deletion", json_pack("{s:I}", "days", (json_int_t)days), &item, &key);
	if (code)
		return code;
	snprintf(words, sizeof words, "disabled now, and deleted at %s unless that is cancelled",
	        key_time(key, "deletion", time));
	return print_state(call, key, words);
}

const struct command command_key_schedule_deletion = {
        .words = "key schedule-deletion",
        .operands = "ALIAS [DIR]",
        .least = 1,
        .most = 2,
        .summary = "delete a key, and with it all that it sealed, in 7 to 30 days",
        .details =
                "Disables it at once. When the time has come the key is taken out of the vault, and what it sealed is "
                "noise for ever: there is no way back. An older copy of vault.json (a backup's, too) with a slot's "
                "secret still has it; docs/keys.md says what to do about these. The vault has to be mounted for it; "
                "where the clock was set meanwhile it waits for the next mount. To have another day, cancel it first.",
        .options = (const struct command_option[]){{"days", 0, "DAYS", "from 7 to 30 (default 30)"}, OPTION_JSON, {0}},
        .examples =
                (const struct command_example[]){
                        {"assayfs key schedule-deletion --days 7 raw /mnt", "a crypto-erasure of Raw in a week"}, {0}},
        .exits = KEY_EXITS,
        .run = run_schedule_deletion,
};

static int run_cancel_deletion(const struct invocation *call) {
	return change_state(call, "key-cancel-deletion", "disabled, and not deleted; 'assayfs key enable' enables it");
}

const struct command command_key_cancel_deletion = {
        .words = "key cancel-deletion",
        .operands = "ALIAS [DIR]",
        .least = 1,
        .most = 2,
        .summary = "keep a key that was to be deleted",
        .details = "It stays disabled. Where no deletion is scheduled there is nothing to cancel (exit code 1).",
        .options = (const struct command_option[]){OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs key cancel-deletion raw /mnt", "it was a mistake"}, {0}},
        .exits = KEY_EXITS,
        .run = run_cancel_deletion,
};

/* ---- names ---- */

/* NAME is the new one, ALIAS the one that there is. */
static int run_alias(const struct invocation *call) {
	_cleanup_(json_decrefp) json_t *item = NULL;
	json_t *request = json_pack("{s:s, s:s}", "alias", command_operand(call, 0), "key", command_operand(call, 1));
	if (!request)
		return command_fail(call, EXIT_USAGE, "a key's name is UTF-8 text");
	int code = key_ask(call, 2, "key-alias", request, keep_item, &item);
	if (code)
		return code;
	const json_t *key = json_object_get(item, "key");
	_cleanup_(freep) char *before = words_safe(command_operand(call, 1)), *id = words_safe(answer_text(key, "id"));
	char words[256];
	(void)snprintf(words, sizeof words, "from now on the name of the key %.80s (its id stays %s)",
	        before ? before : "?", id ? id : "?");
	return print_state(call, key, words);
}

const struct command command_key_alias = {
        .words = "key alias",
        .operands = "NAME ALIAS [DIR]",
        .least = 2,
        .most = 3,
        .summary = "give the key ALIAS the name NAME",
        .details =
                "With or without 'alias/' before it. The name that the key had by itself goes on to work, and so does "
                "the word that the policy has for it. What finds another key is refused.",
        .options = (const struct command_option[]){OPTION_JSON, {0}},
        .examples =
                (const struct command_example[]){
                        {"assayfs key alias project-animallost-key trusted /mnt", "what the team calls it"}, {0}},
        .exits = KEY_EXITS,
        .run = run_alias,
};
