/* `assayfs log archive`: old records sealed in files, copied elsewhere, and only then taken out of the vault's log. */
#include "fs/command/answer.h"
#include "fs/command/client.h"
#include "fs/command/command.h"
#include "fs/command/when.h"
#include "fs/ship_place.h"
#include "fs/words.h"

#include "backend/audit_archive.h"
#include "backend/audit_ship.h"
#include "crypto/base/array.h"
#include "crypto/base/fault.h"
#include "crypto/digest.h"
#include "crypto/encoding.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct work {
	const struct invocation *call;
	struct client_place place;
	json_t *archived, *shipped, *pruned;
};

/* ---- asking ---- */

static int keep_item(void *context, const json_t *item) {
	return json_array_append_new(context, json_deep_copy(item)) ? fault(ENOMEM, "out of memory") : 0;
}

/* One request; its items go to `list`. -errno. */
static int ask(const struct work *w, const char *request, json_t *arguments, client_item *item, void *context) {
	_cleanup_(client_closep) Client *client = NULL;
	int rc = client_connect(&w->place, &client);
	if (rc) {
		json_decref(arguments);
		return rc;
	}
	return client_call(client, request, arguments, item, context);
}

/* The first moment that an option's time means; `otherwise` where it was not given. An exit code. */
static int time_of(const struct invocation *call, const char *option, const char *otherwise, int64_t *ret_ns) {
	const char *text = command_value(call, option);
	struct when when;
	int rc = when_parse(text ? text : otherwise, when_now(), &when);
	if (rc) {
		(void)command_fault(call, rc, "reading --%s", option);
		return EXIT_USAGE;
	}
	*ret_ns = when.first;
	return EXIT_DONE;
}

/* ---- shipping ---- */

struct content {
	uint8_t *data;
	size_t size, room;
};

static int take_piece(void *context, const json_t *item) {
	struct content *content = context;
	const char *text = answer_text(item, "data");
	size_t most = strlen(text) / 4 * 3, got = 0;
	uint8_t *grown = array_room(content->data, &content->room, content->size + most + 1, 1);
	if (!grown)
		return fault(ENOMEM, "out of memory");
	content->data = grown;
	if (content->size + most > AUDIT_ARCHIVE_BYTES_MAX ||
	        base64_decode(text, content->room - content->size, content->data + content->size, &got))
		return fault(EPROTO, "the mount's answer is malformed");
	content->size += got;
	return 0;
}

static int ship(const struct work *w, const json_t *archive) {
	uint64_t first = answer_number(archive, "first"), last = answer_number(archive, "last");
	char place[AUDIT_SHIP_PLACE_BYTES], hex[DIGEST_HEX_BYTES];
	uint8_t digest[DIGEST_BYTES];
	struct content content = {0};
	int rc = ask(w, "log-archive-read", json_pack("{s:I}", "first", (json_int_t)first), take_piece, &content);
	if (!rc)
		rc = audit_ship(command_value(w->call, "to"), w->place.vault_id, first, last,
		        bytes_of(content.data, content.size), place, digest);
	free(content.data);
	if (rc)
		return fault_while(rc, "records %" PRIu64 " to %" PRIu64, first, last);
	digest_hex(digest, hex);
	rc = ask(w, "log-ship",
	        json_pack("{s:I, s:s, s:o}", "first", (json_int_t)first, "sha256", hex, "place", wire_path(place)),
	        keep_item, w->shipped);
	if (rc)
		return rc;
	json_t *item = json_pack(
	        "{s:I, s:I, s:o}", "first", (json_int_t)first, "last", (json_int_t)last, "place", wire_path(place));
	return json_array_append_new(w->shipped, item) ? fault(ENOMEM, "out of memory") : 0;
}

/* All that was not yet; in order, so that what is broken off goes on from there. */
static int ship_all(const struct work *w) {
	_cleanup_(json_decrefp) json_t *list = json_array();
	int rc = ship_place_check(command_value(w->call, "to"));
	if (rc < 0)
		return rc;
	rc = list ? ask(w, "log-archives", json_object(), keep_item, list) : fault(ENOMEM, "out of memory");
	size_t i;
	json_t *archive;
	json_array_foreach(list, i, archive) {
		if (!rc && !json_object_get(archive, "shipped"))
			rc = ship(w, archive);
	}
	return rc;
}

/* ---- what is said of it ---- */

static void print_list(const json_t *list) {
	_cleanup_(table_freep) Table *table = table_new(">First|>Last|From|To|>Size|State|Copy");
	size_t i;
	json_t *item;
	if (json_array_size(list) == 0) {
		printf("Nothing of the log is archived yet.\n");
		return;
	}
	json_array_foreach(list, i, item) {
		char words[WORDS_BYTES], place[ANSWER_PATH_BYTES];
		bool is_shipped = json_object_get(item, "shipped") != NULL;
		table_cellf(table, "%" PRIu64, answer_number(item, "first"));
		table_cellf(table, "%" PRIu64, answer_number(item, "last"));
		table_cell(table, words_time(answer_time(item, "oldest"), words));
		table_cell(table, words_time(answer_time(item, "newest"), words));
		table_cell(table, words_size(answer_number(item, "bytes"), words));
		table_cell(table, answer_flag(item, "pruned") ? "pruned" : is_shipped ? "shipped" : "sealed");
		table_cell(table, is_shipped ? answer_path(item, "place", place) : "");
	}
	(void)table_print(table, stdout);
}

static uint64_t records_of(const json_t *list) {
	uint64_t records = 0;
	size_t i;
	json_t *item;
	json_array_foreach(list, i, item) records += answer_number(item, "last") - answer_number(item, "first") + 1;
	return records;
}

static void print_sum(const char *done, const json_t *list) {
	size_t files = json_array_size(list);
	uint64_t records = records_of(list);
	printf("%s: %" PRIu64 " record%s in %zu file%s.\n", done, records, words_s(records), files, words_s(files));
}

static void print_work(const struct work *w) {
	print_sum("Archived", w->archived);
	if (command_has(w->call, "to"))
		print_sum("Shipped", w->shipped);
	if (command_has(w->call, "prune"))
		print_sum("Pruned", w->pruned);
}

/* ---- the command ---- */

static int check_usage(const struct invocation *call) {
	bool is_list = command_has(call, "list");
	if (is_list && (command_has(call, "before") || command_has(call, "to") || command_has(call, "prune")))
		return command_fail(
		        call, EXIT_USAGE, "--list changes nothing: it goes without --before, --to and --prune");
	return EXIT_DONE;
}

static int list_all(const struct work *w) {
	int rc = ask(w, "log-archives", json_object(), keep_item, w->archived);
	if (rc)
		return command_fault(w->call, rc, "listing the archives of the log");
	if (command_has(w->call, "json"))
		return command_print_json(w->call, json_pack("{s:O}", "archives", w->archived));
	print_list(w->archived);
	return EXIT_DONE;
}

static json_t *before_json(int64_t before_ns) {
	return json_pack("{s:I}", "before", (json_int_t)before_ns);
}

static int work_all(const struct work *w) {
	int64_t before = 0, prune = 0;
	int code = time_of(w->call, "before", "today", &before);
	if (!code && command_has(w->call, "prune"))
		code = time_of(w->call, "prune", "", &prune);
	if (code)
		return code;
	int rc = ask(w, "log-archive", before_json(before), keep_item, w->archived);
	if (!rc && command_has(w->call, "to"))
		rc = fault_while(ship_all(w), "shipping");
	if (!rc && command_has(w->call, "prune"))
		rc = ask(w, "log-prune", before_json(prune), keep_item, w->pruned);
	/* What was done is said even when the rest did not go well. */
	code = rc == -ESTALE ? command_fail(w->call, EXIT_NO, "%s (--to PLACE ships them)", fault_message())
	       : rc          ? command_fault(w->call, rc, "archiving the log")
	                     : EXIT_DONE;
	bool is_something = json_array_size(w->archived) || json_array_size(w->shipped) || json_array_size(w->pruned);
	if (code && !is_something)
		return code;
	if (!command_has(w->call, "json")) {
		print_work(w);
		return code;
	}
	int printed = command_print_json(w->call,
	        json_pack("{s:O, s:O, s:O}", "archived", w->archived, "shipped", w->shipped, "pruned", w->pruned));
	return code ? code : printed;
}

static int run_log_archive(const struct invocation *call) {
	Client *client = NULL;
	_cleanup_(json_decrefp) json_t *lists = json_pack("[[],[],[]]");
	struct work w = {.call = call,
	        .archived = json_array_get(lists, 0),
	        .shipped = json_array_get(lists, 1),
	        .pruned = json_array_get(lists, 2)};
	int code = lists ? check_usage(call) : command_fail(call, EXIT_UNDECIDED, "out of memory");
	if (!code)
		code = client_open_operand(call, 0, &w.place, &client);
	client_close(client); /* each request has a connection of its own */
	if (code)
		return code;
	return command_has(call, "list") ? list_all(&w) : work_all(&w);
}

const struct command command_log_archive = {
        .words = "log archive",
        .operands = "[DIR]",
        .most = 1,
        .summary = "seal old records of the log in files, ship these, and prune what was shipped",
        .details =
                "Records that are older than --before are sealed in files VAULT/audit/…, 256 at a time, up to 65,536 "
                "in each: the very lines that the log's tree hashes, and what proves that they are in it. Each file is "
                "read back and verified before it counts.\n"
                "--to copies those that were not shipped yet to a directory, reads the copies back and has the log "
                "say where they are. --prune takes records that are older than its TIME out of the log, so far as "
                "they were shipped; the hash tree keeps their hashes, so that all else goes on to verify. "
                "'assayfs log open' reads the files, wherever they are, with the vault's passphrase.\n"
                "It does what there is to do and no more, so that it may run every day. For stewards; --list for "
                "auditors too. Each step is in the log: log-archive, log-ship, log-prune.",
        .options = (const struct command_option[]){{"before", 0, "TIME",
                                                           "seal records from before TIME (the default: today)"},
                {"to", 0, "PLACE", "copy what is sealed to the directory PLACE"},
                {"prune", 0, "TIME", "take out shipped records from before TIME"},
                {"list", 0, NULL, "list what was archived, and change nothing"}, OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs log archive --to /srv/logs mnt",
                                                             "all days but this one, once a day"},
                {"assayfs log archive --before -7d --to /srv/logs --prune -365d mnt", "keeps a year at hand"},
                {"assayfs log archive --list mnt", "what lies where"}, {0}},
        .exits = EXIT_BIT(EXIT_NO) | EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_NOT_MOUNTED) | EXIT_BIT(EXIT_DENIED),
        .run = run_log_archive,
};
