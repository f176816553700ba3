/* `assayfs key list`: the keys of a vault, and the slots that reach them. */
#include "fs/command/answer.h"
#include "fs/command/colour.h"
#include "fs/command/key.h"
#include "fs/words.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SHORT_ID 8
#define DAY_CHARACTERS 10 /* of an RFC 3339 time */

static int keep_item(void *context, const json_t *item) {
	json_t **slot = context;
	json_decref(*slot);
	*slot = json_incref((json_t *)(uintptr_t)item);
	return 0;
}

/* The day of a time; "" where it is not known. */
static void add_day(Table *table, const json_t *key, const char *name) {
	table_cellf(table, "%.*s", DAY_CHARACTERS, answer_text(key, name));
}

static bool is_alias_of(const char *alias, const char *id) {
	const char *slash = strchr(alias, '/');
	return slash && strcmp(slash + 1, id) == 0;
}

/* The id where it is another one, as it stands in vault.json. How many slots have it, as the ids would fill the line.
 */
static void add_key(Table *table, const json_t *key) {
	char size[WORDS_BYTES];
	uint64_t every = answer_number(key, "rotate_every_days"), old = answer_number(key, "old_bytes");
	const bool is_counted = json_is_integer(json_object_get(key, "uses"));
	const char *alias = answer_text(key, "alias"), *id = answer_text(key, "id");
	const char *going = answer_number(key, "waits_for_bytes") ? "waits for room"
	                    : answer_flag(key, "rewrapping")      ? "going"
	                                                          : "";
	table_cell(table, alias);
	table_cell(table, is_alias_of(alias, id) ? "" : id);
	table_cellf(table, "%" PRIu64, answer_number(key, "version"));
	table_cellf(table, "%s%s", answer_text(key, "state"), answer_flag(key, "here") ? "" : ", not in our slot");
	add_day(table, key, "created");
	add_day(table, key, "rotated");
	table_cellf(table, every ? "%" PRIu64 " days" : "", every);
	table_cellf(table, is_counted ? "%" PRIu64 : "", answer_number(key, "uses"));
	table_cellf(table, "%zu", json_array_size(json_object_get(key, "slots")));
	table_cell(table, answer_number(key, "bytes") ? words_size(answer_number(key, "bytes"), size) : "");
	table_cellf(table, "%s%s%s", old ? words_size(old, size) : "", old && *going ? ", " : "", going);
}

static int print_keys(const json_t *keys) {
	_cleanup_(table_freep) Table *table =
	        table_new("Key|Id|>Version|State|Created|Rotated|Every|>Uses|>Slots|>Sealed|>By older versions");
	size_t i;
	json_t *key;
	json_array_foreach(keys, i, key) if (table) add_key(table, key);
	return table ? table_print(table, stdout) : -ENOMEM;
}

static void print_deletions(const json_t *keys) {
	size_t i;
	json_t *key;
	json_array_foreach(keys, i, key) {
		_cleanup_(freep) char *alias = words_safe(answer_text(key, "alias"));
		char time[KEY_TIME_BYTES];
		if (*answer_text(key, "deletion"))
			colour_print(stdout, COLOUR_BAD, "!! %s is deleted at %s, and all that it sealed with it\n",
			        alias ? alias : "?", key_time(key, "deletion", time));
	}
}

/* "all", or those that it has. */
static void add_reach(Table *table, const json_t *slot) {
	const json_t *keys = json_object_get(slot, "keys");
	char text[256] = "";
	size_t used = 0;
	for (size_t i = 0; i < json_array_size(keys) && used < sizeof text; i++)
		used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i ? ", " : "",
		        json_string_value(json_array_get(keys, i)));
	table_cell(table, answer_flag(slot, "limited") ? text : "all");
}

static int print_slots(const json_t *slots) {
	_cleanup_(table_freep) Table *table = table_new("Slot|Type|Label|Reaches");
	size_t i;
	json_t *slot;
	json_array_foreach(slots, i, slot) {
		if (!table)
			break;
		table_cellf(table, "%.*s%s", SHORT_ID, answer_text(slot, "id"), answer_flag(slot, "ours") ? " *" : "");
		table_cell(table, answer_text(slot, "type"));
		table_cell(table, answer_text(slot, "label"));
		add_reach(table, slot);
	}
	return table ? table_print(table, stdout) : -ENOMEM;
}

/* The one may have been removed since. */
static bool has_ours(const json_t *slots) {
	size_t i;
	json_t *slot;
	json_array_foreach(slots, i, slot) if (answer_flag(slot, "ours")) return true;
	return false;
}

static int print_all(const struct invocation *call, const json_t *item) {
	const json_t *keys = json_object_get(item, "keys"), *slots = json_object_get(item, "slots");
	char time[WORDS_BYTES];
	int rc = print_keys(keys);
	print_deletions(keys);
	printf("\n");
	if (!rc)
		rc = print_slots(slots);
	if (has_ours(slots))
		printf("\n* by this one the vault was unlocked\n");
	if (answer_number(item, "idle_lock_ms"))
		printf("The vault locks itself after %s without use\n",
		        words_duration((int64_t)answer_number(item, "idle_lock_ms") * 1000000, time));
	if (answer_flag(item, "locked"))
		colour_print(
		        stdout, COLOUR_BAD, "!! The vault is locked: no content is to be had until 'assayfs unlock'\n");
	return rc ? command_fail(call, EXIT_UNDECIDED, "out of memory") : EXIT_DONE;
}

static int run_list(const struct invocation *call) {
	_cleanup_(json_decrefp) json_t *item = NULL;
	int code = key_ask(call, 0, "key-list", json_object(), keep_item, &item);
	if (code)
		return code;
	return command_has(call, "json") ? command_print_json(call, json_incref(item)) : print_all(call, item);
}

const struct command command_key_list = {
        .words = "key list",
        .operands = "[DIR]",
        .most = 1,
        .summary = "show the keys of a vault, and the slots that reach them",
        .details =
                "Of each key its highest version, its state, when it was made and last rotated, how often this mount "
                "used it (not of those that the vault itself needs), how many slots have it, how much is sealed under "
                "it, and how much of that under older versions "
                "('going': that is being sealed anew). Of each slot its kind, and which keys it reaches. For "
                "stewards, auditors and who mounted; without a mount 'assayfs info' shows part of it.",
        .options = (const struct command_option[]){OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs key list /mnt", "who reaches what"}, {0}},
        .exits = KEY_EXITS,
        .run = run_list,
};
