/* `assayfs key add`, `key remove`: ways to unlock a vault. */
#include "fs/command/answer.h"
#include "fs/command/key.h"
#include "fs/command/key_kms.h"
#include "fs/command/secrets.h"
#include "fs/words.h"

#include "crypto/base/fault.h"
#include "crypto/process.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SHORT_ID 8

/* ---- the request ---- */

static int add_texts(
        const struct invocation *call, const char *option, const char *all, const char *words, json_t *list) {
	for (const char *text = all;; text++) {
		size_t length = strcspn(text, ",");
		if (length == 0 || json_array_append_new(list, json_stringn(text, length)))
			return command_fail(call, EXIT_USAGE, "--%s %s: %s", option, all, words);
		text += length;
		if (!*text)
			return EXIT_DONE;
	}
}

/* The texts between commas of an option, of all its times; NULL: it is not given. */
static int comma_list(const struct invocation *call, const char *option, const char *words, json_t **ret_list) {
	_cleanup_(json_decrefp) json_t *list = command_has(call, option) ? json_array() : NULL;
	int code = EXIT_DONE;
	for (size_t i = 0; list && code == EXIT_DONE && i < call->value_count; i++)
		if (strcmp(call->values[i].option->name, option) == 0)
			code = add_texts(call, option, call->values[i].value, words, list);
	if (code == EXIT_DONE)
		*ret_list = steal_pointer(&list);
	return code;
}

int key_zone_list(const struct invocation *call, json_t **ret_list) {
	return comma_list(call, "zones", "zones with commas between them, like Raw,Trusted", ret_list);
}

/* Folders' own keys that a limited slot is to have, into the request. */
static int add_keys(const struct invocation *call, json_t *arguments) {
	json_t *keys = NULL;
	if (command_has(call, "keys") && !command_has(call, "zones"))
		return command_fail(
		        call, EXIT_USAGE, "--keys goes with --zones: a slot that is not limited holds every key");
	int code = comma_list(call, "keys", "keys with commas between them, like alias/animals,alias/birds", &keys);
	if (!code && keys)
		(void)json_object_set_new(arguments, "keys", keys);
	return code;
}

static int keep_item(void *context, const json_t *item) {
	json_t **slot = context;
	json_decref(*slot);
	*slot = json_incref((json_t *)(uintptr_t)item);
	return 0;
}

/* "Raw, Trusted": each once. */
static void print_each(const json_t *list) {
	for (size_t i = 0; i < json_array_size(list); i++) {
		bool is_first = true;
		for (size_t before = 0; before < i; before++)
			is_first &= !json_equal(json_array_get(list, before), json_array_get(list, i));
		_cleanup_(freep) char *safe = words_safe(json_string_value(json_array_get(list, i)));
		if (is_first)
			printf("%s%s", i ? ", " : "", safe ? safe : "?");
	}
}

static void print_made(const json_t *item, const json_t *zones, const json_t *keys) {
	const char *recovery = answer_text(item, "recovery_key");
	printf("Slot %.*s (%s) is there, and opens ", SHORT_ID, answer_text(item, "id"), answer_text(item, "type"));
	print_each(zones);
	printf("%s", zones && keys ? ", and of folders with a key of their own " : "");
	print_each(keys);
	printf("%s.\n", zones ? "; a mount by it is read-only" : "the vault");
	if (*recovery)
		printf("\nThe recovery key, shown this once:\n\n    %s\n\n"
		       "Write it down and keep it away from this machine: nobody can make it again.\n",
		        recovery);
}

int key_add_slot(const struct invocation *call, int dir, json_t *arguments) {
	_cleanup_(json_decrefp) json_t *item = NULL;
	json_t *zones = NULL;
	const char *label = command_value(call, "label");
	int code = key_zone_list(call, &zones);
	if (!code && arguments)
		code = add_keys(call, arguments);
	if (code) {
		json_decref(arguments);
		json_decref(zones);
		return code;
	}
	if (arguments && zones)
		(void)json_object_set(arguments, "zones", zones);
	_cleanup_(json_decrefp) json_t *told_zones = zones,
	                               *told_keys = json_incref(json_object_get(arguments, "keys"));
	if (arguments && label && json_object_set_new(arguments, "label", json_string(label))) {
		json_decref(arguments);
		return command_fail(call, EXIT_USAGE, "--label: a label is UTF-8 text");
	}
	code = key_ask(call, dir, "slot-add", arguments, keep_item, &item);
	if (code)
		return code;
	if (command_has(call, "json"))
		return command_print_json(call, json_incref(item));
	print_made(item, told_zones, told_keys);
	return EXIT_DONE;
}

/* ---- add ---- */

static int add_secret(const struct invocation *call) {
	_cleanup_(passphrase_freep) Passphrase *secret = NULL;
	_cleanup_(json_decrefp) json_t *arguments = NULL;
	unsigned long long kibibytes = 0, passes = 0;
	struct client_place place;
	const char *type = command_has(call, "keyfile") ? "keyfile" : "passphrase";
	int code = command_number(call, "argon-mem", 8, 4194304, &kibibytes);
	if (!code)
		code = command_number(call, "argon-ops", 1, 1000000, &passes);
	if (code)
		return code;
	/* Before anybody types something for nothing. */
	int rc = client_locate(command_operand(call, 0), &place);
	if (!rc)
		rc = process_harden();
	if (!rc)
		rc = secrets_get_added(call, place.mountpoint, &secret);
	if (rc)
		return command_fault(call, rc, "%s", "");
	arguments = json_pack("{s:s, s:o}", "type", type, "secret", key_secret_json(passphrase_bytes(secret)));
	if (arguments && kibibytes)
		(void)json_object_set_new(arguments, "argon_memory", json_integer((json_int_t)(kibibytes << 10)));
	if (arguments && passes)
		(void)json_object_set_new(arguments, "argon_passes", json_integer((json_int_t)passes));
	return key_add_slot(call, 0, steal_pointer(&arguments));
}

/* Of two the last one would win without a word. */
static const char *given_twice(const struct invocation *call) {
	for (size_t i = 0; i < call->value_count; i++)
		for (size_t k = i + 1; k < call->value_count; k++) {
			const char *name = call->values[i].option->name;
			if (call->values[i].option == call->values[k].option && call->values[i].value &&
			        strcmp(name, "zones") != 0 && strcmp(name, "keys") != 0)
				return name;
		}
	return NULL;
}

static int run_add(const struct invocation *call) {
	const char *twice = given_twice(call);
	if (twice)
		return command_fail(call, EXIT_USAGE, "--%s is given twice: one slot at a time", twice);
	const char *recipient = command_value(call, "recipient"), *kms = command_value(call, "kms");
	bool is_recovery = command_has(call, "recovery");
	if (is_recovery + command_has(call, "new-passfile") + command_has(call, "keyfile") + (recipient != NULL) +
	                (kms != NULL) >
	        1)
		return command_fail(call, EXIT_USAGE,
		        "one of --new-passfile, --recovery, --recipient, --keyfile and --kms, not more");
	if (is_recovery && command_has(call, "zones"))
		return command_fail(call, EXIT_USAGE, "a recovery key is for all keys; --zones goes with the others");
	if (kms)
		return key_kms_add(call, kms);
	if (is_recovery)
		return key_add_slot(call, 0, json_pack("{s:s}", "type", "recovery"));
	if (recipient)
		return key_add_slot(call, 0, json_pack("{s:s, s:s}", "type", "recipient", "recipient", recipient));
	return add_secret(call);
}

const struct command command_key_add = {
        .words = "key add",
        .operands = "[DIR]",
        .most = 1,
        .summary = "add a slot: one more way to unlock a vault",
        .details =
                "A new passphrase (asked for twice on a terminal), a recovery key, a key file, or somebody's recipient "
                "('assayfs key recipient new'); what opens a slot already is refused. Nothing that is stored is "
                "written anew. To change a passphrase, add "
                "the new one and remove the slot of the old one.\n"
                "With --zones the slot is limited: it holds the keys of these zones and of the metadata, and not the "
                "others, so that its holder can't read them whatever he does; a mount by it is read-only. Folders "
                "that have a key of their own ('key:' in policy.yaml) it reads where --keys names that. The names "
                "of all files are in the metadata (docs/keys.md).\n"
                "Labels stand in vault.json for everybody to read. A steward by the policy decides, or who mounted; "
                "the audit log has it.",
        .options = (const struct command_option[]){{"new-passfile", 0, "FILE", "read the new passphrase from FILE"},
                {"recovery", 0, NULL, "make a recovery key, and print it this once"},
                {"recipient", 0, "PUBLIC", "for whoever has the secret of this recipient"},
                {"keyfile", 0, "FILE", "all bytes of FILE, which should be random"},
                {"kms", 0, "KEY", "a key of AWS KMS: ARN, alias/NAME or id"},
                {"zones", 0, "ZONE[,ZONE]", "for reading these of Landing, Raw, Trusted only; repeatable"},
                {"keys", 0, "KEY[,KEY]", "with --zones: folders' own keys that it holds, too"},
                {"label", 0, "TEXT", "what people call it"}, {"argon-mem", 0, "KIB", NULL},
                {"argon-ops", 0, "PASSES", NULL}, OPTION_JSON, {0}},
        .examples =
                (const struct command_example[]){{"assayfs key add --label 'Bo, laptop' /mnt", "asks for a passphrase"},
                        {"assayfs key add --recipient assayfs-recipient-… --zones Trusted /mnt",
                                "an analyst reads Trusted, and can't read Raw"},
                        {0}},
        .exits = KEY_EXITS | EXIT_BIT(EXIT_AWAY),
        .run = run_add,
};

/* ---- remove ---- */

static int run_remove(const struct invocation *call) {
	json_t *request = json_pack("{s:s}", "slot", command_operand(call, 0));
	if (!request)
		return command_fail(call, EXIT_USAGE, "a slot's id is hexadecimal");
	_cleanup_(json_decrefp) json_t *item = NULL;
	int code = key_ask(call, 1, "slot-remove", request, keep_item, &item);
	json_t *slot = json_object_get(item, "removed");
	if (code)
		return code;
	if (command_has(call, "json"))
		return command_print_json(call, json_incref(slot));
	_cleanup_(freep) char *label = words_safe(answer_text(slot, "label"));
	printf("Slot %.*s (%s%s%s) is removed and opens the vault no more. Who had it may have kept the keys, and "
	       "reads what they sealed: 'assayfs key rotate --all' seals what is written from then on under others, "
	       "names and the log's text, too; with --rewrap also what there is.\n",
	        SHORT_ID, answer_text(slot, "id"), answer_text(slot, "type"), label && *label ? ": " : "",
	        label ? label : "");
	return EXIT_DONE;
}

const struct command command_key_remove = {
        .words = "key remove",
        .operands = "SLOT [DIR]",
        .least = 1,
        .most = 2,
        .summary = "remove a slot",
        .details = "SLOT is its id, or the beginning of it ('assayfs key list'). The last one that reaches all keys "
                   "stays. An older copy of vault.json is opened by it as ever, so rotate the keys after it. A steward "
                   "by the policy decides, or who mounted.",
        .options = (const struct command_option[]){OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs key remove 4f2a /mnt", "somebody has left"}, {0}},
        .exits = KEY_EXITS,
        .run = run_remove,
};
