/* `assayfs gc`: what the policy lets go goes, and what nobody needs any more is freed, now. */
#include "fs/command/answer.h"
#include "fs/command/client.h"
#include "fs/command/command.h"
#include "fs/command/progress.h"
#include "fs/words.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct collecting {
	json_t *goes;            /* of a dry run */
	json_t *expired, *freed; /* borrowed from `kept` */
	json_t *kept;
	Table *table;
	Progress *progress;
	bool is_dry;
};

/* ---- what the mount says ---- */

static void add_row(struct collecting *c, const json_t *item) {
	char path[ANSWER_PATH_BYTES], words[WORDS_BYTES];
	answer_path(item, "path", path);
	table_cell(c->table, path[0] ? path : "(no name is known)");
	table_cellf(c->table, "%" PRIu64, answer_number(item, "number"));
	table_cell(c->table, words_size(answer_number(item, "bytes"), words));
	table_cell(c->table, words_time(answer_time(item, "noncurrent_ns"), words));
	table_cell(c->table, answer_text(item, "rule"));
}

static int take_item(void *context, const json_t *item) {
	struct collecting *c = context;
	json_t *own = (json_t *)(uintptr_t)item;
	const char *kind = answer_text(item, "kind");
	if (strcmp(kind, "progress") == 0) {
		progress_label(c->progress, answer_text(item, "stage"));
		progress_set(c->progress, answer_number(item, "done"), answer_number(item, "total"));
		return 0;
	}
	if (strcmp(kind, "goes") == 0) {
		add_row(c, item);
		return json_array_append(c->goes, own) ? -ENOMEM : 0;
	}
	if (json_array_append(c->kept, own))
		return -ENOMEM;
	if (strcmp(kind, "expired") == 0)
		c->expired = own;
	if (strcmp(kind, "freed") == 0)
		c->freed = own;
	return 0;
}

/* ---- what is said of it ---- */

static void print_kept(const json_t *expired) {
	static const struct {
		const char *name, *words;
	} rows[] = {{"kept_lineage", "what Trusted shows came from"}, {"kept_held", "held in quarantine"},
	        {"kept_open", "open"}};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint64_t count = answer_number(expired, rows[i].name);
		if (count > 0)
			printf("%" PRIu64 " more %s as old, and stay%s: %s.\n", count, count == 1 ? "is" : "are",
			        count == 1 ? "s" : "", rows[i].words);
	}
}

static void print_expired(const struct collecting *c) {
	char size[WORDS_BYTES];
	uint64_t rules = answer_number(c->expired, "rules"), versions = answer_number(c->expired, "versions");
	if (rules == 0) {
		printf("The policy has no lifecycle rule: no version expires.\n");
		return;
	}
	if (answer_flag(c->expired, "clock_uneven")) {
		printf("The clock was set since the vault was mounted: no version expires until the vault is mounted "
		       "anew.\n");
		if (!c->is_dry)
			return;
	}
	if (c->is_dry && versions > 0)
		(void)table_print(c->table, stdout);
	printf("%" PRIu64 " version%s %s by %" PRIu64 " lifecycle rule%s, %s of files\n", versions, words_s(versions),
	        c->is_dry ? "would expire" : "expired", rules, words_s(rules),
	        words_size(answer_number(c->expired, "bytes"), size));
	print_kept(c->expired);
}

static void print_freed(const json_t *freed) {
	char dead[WORDS_BYTES], moved[WORDS_BYTES], bytes[WORDS_BYTES], live[WORDS_BYTES];
	uint64_t removed = answer_number(freed, "removed"), condemned = answer_number(freed, "condemned");
	printf("In closed segments: %s in use, %s dead; %s moved together\n",
	        words_size(answer_number(freed, "live_bytes"), live),
	        words_size(answer_number(freed, "dead_bytes"), dead),
	        words_size(answer_number(freed, "moved_bytes"), moved));
	printf("Freed: %s, %" PRIu64 " segment%s\n", words_size(answer_number(freed, "freed_bytes"), bytes), removed,
	        words_s(removed));
	if (!answer_flag(freed, "settled") && (condemned > 0 || answer_number(freed, "moved_bytes") > 0))
		printf("More is freed once it was found dead a second time, in about half a minute (--wait waits).\n");
}

static int print_json(const struct invocation *call, const struct collecting *c) {
	json_t *expired = c->expired ? json_copy(c->expired) : json_null();
	json_t *freed = c->freed ? json_copy(c->freed) : json_null();
	json_object_del(expired, "kind");
	json_object_del(freed, "kind");
	json_t *all = json_pack("{s:b, s:o, s:o}", "dry_run", (int)c->is_dry, "expired", expired, "freed", freed);
	if (all && c->is_dry)
		json_object_set(all, "goes", c->goes);
	return command_print_json(call, all);
}

/* ---- asking ---- */

static int ask(const struct invocation *call, struct collecting *c) {
	struct client_place place;
	_cleanup_(client_closep) Client *client = NULL;
	int code = client_open_operand(call, 0, &place, &client);
	if (code)
		return code;
	json_t *request = json_pack("{s:b, s:b}", "dry_run", (int)c->is_dry, "wait", (int)command_has(call, "wait"));
	int rc = client_call(client, "gc", request, take_item, c);
	progress_hide(c->progress);
	return rc ? command_fault(call, rc, "freeing space in the vault on %s", place.mountpoint) : EXIT_DONE;
}

static int run_gc(const struct invocation *call) {
	_cleanup_(table_freep) Table *table = table_new("Path|>Version|>Size|Noncurrent since|Rule");
	_cleanup_(json_decrefp) json_t *goes = json_array();
	_cleanup_(json_decrefp) json_t *kept = json_array();
	struct collecting c = {.goes = goes, .kept = kept, .table = table, .is_dry = command_has(call, "dry-run")};
	if (c.is_dry && command_has(call, "wait"))
		return command_fail(call, EXIT_USAGE, "--dry-run frees nothing that --wait could wait for");
	if (!table || !goes || !kept)
		return command_fail(call, EXIT_UNDECIDED, "out of memory");
	_cleanup_(progress_endp) Progress *progress = progress_begin("looking at versions", PROGRESS_COUNT, 0);
	c.progress = progress;
	int code = ask(call, &c);
	/* What was done is said even when the rest did not go well. */
	if (!c.expired && !c.freed)
		return code;
	if (command_has(call, "json"))
		return print_json(call, &c) ? EXIT_UNDECIDED : code;
	if (c.expired)
		print_expired(&c);
	if (c.freed)
		print_freed(c.freed);
	return code;
}

const struct command command_gc = {
        .words = "gc",
        .operands = "[DIR]",
        .most = 1,
        .summary = "let old versions expire by the policy's lifecycle, and free what nobody needs",
        .details =
                "Versions that the lifecycle rules of the policy let go expire, as they do once a day by themselves; "
                "then the collector looks at all that is stored and frees what is dead. What it finds dead it removes "
                "when it is dead still half a minute later; --wait waits for that. Never expires what a name shows, "
                "what a file in Trusted came from, what is held in quarantine, and what somebody has open. --dry-run "
                "lists what would expire and changes nothing; bytes are of plaintext, and what other versions share "
                "stays. Stewards only; recorded.",
        .options = (const struct command_option[]){{"dry-run", 0, NULL, "list what would expire, and change nothing"},
                {"wait", 0, NULL, "wait until all that can be freed is"}, OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs gc --dry-run mnt", "what the rules would let go"},
                {"assayfs gc --wait mnt", "let it go, and wait until its space is free"}, {0}},
        .exits = EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_NO) | EXIT_BIT(EXIT_NOT_MOUNTED) | EXIT_BIT(EXIT_DENIED),
        .run = run_gc,
};
