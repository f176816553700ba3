/* `assayfs backup verify`: what is in the backup, read back and authenticated. */
#include "fs/command/answer.h"
#include "fs/command/backup.h"
#include "fs/command/colour.h"
#include "fs/command/progress.h"
#include "fs/words.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct verifying {
	Progress *progress;
	bool is_json;
	json_t *findings, *summaries;
	uint64_t found, failed;
};

static void print_finding(const json_t *item) {
	_cleanup_(freep) char *object = words_safe(answer_text(item, "object"));
	_cleanup_(freep) char *words = words_safe(answer_text(item, "words"));
	_cleanup_(freep) char *url = words_safe(answer_text(item, "url"));
	colour_print(stdout, COLOUR_BAD, "%s: %s: %s", url ? url : "?", object ? object : "?", words ? words : "?");
	printf("%s\n", answer_flag(item, "healed") ? "; put anew from the vault" : "");
}

/* One that can't be read; the others are all the same. */
static void print_failed(const json_t *item) {
	_cleanup_(freep) char *words = words_safe(answer_text(item, "words"));
	_cleanup_(freep) char *url = words_safe(answer_text(item, "url"));
	colour_print(stdout, COLOUR_BAD, "!! %s: %s\n", url ? url : "?", words ? words : "?");
}

static void print_summary(const json_t *item) {
	char size[WORDS_BYTES];
	_cleanup_(freep) char *url = words_safe(answer_text(item, "url"));
	uint64_t findings = answer_number(item, "findings"), left_out = answer_number(item, "segments_left_out");
	printf("%s: %" PRIu64 " object%s, %s read back and authenticated", url ? url : "?",
	        answer_number(item, "objects"), words_s(answer_number(item, "objects")),
	        words_size(answer_number(item, "bytes"), size));
	if (left_out > 0)
		printf(", %" PRIu64 " of %" PRIu64 " segments left out", left_out,
		        left_out + answer_number(item, "segments"));
	if (findings > 0)
		printf("; %" PRIu64 " wrong, %" PRIu64 " of them put anew\n", findings, answer_number(item, "healed"));
	else
		printf("; nothing is wrong\n");
}

static int take_item(void *context, const json_t *item) {
	struct verifying *v = context;
	const char *kind = answer_text(item, "kind");
	if (strcmp(kind, "progress") == 0) {
		progress_set(v->progress, answer_number(item, "bytes"), answer_number(item, "of"));
		return 0;
	}
	bool is_finding = strcmp(kind, "finding") == 0;
	bool has_failed = strcmp(kind, "failed") == 0;
	v->found += is_finding;
	v->failed += has_failed;
	if (v->is_json)
		return json_array_append(is_finding ? v->findings : v->summaries, (json_t *)(uintptr_t)item) ? -1 : 0;
	progress_hide(v->progress);
	if (is_finding)
		print_finding(item);
	else if (has_failed)
		print_failed(item);
	else
		print_summary(item);
	return 0;
}

static int run_verify(const struct invocation *call) {
	const char *url = NULL;
	int dir = 0;
	unsigned long long percent = 100;
	int code = backup_operands(call, &url, &dir);
	if (!code)
		code = command_number(call, "sample", 1, 100, &percent);
	if (code)
		return code;
	_cleanup_(progress_endp) Progress *progress = progress_begin("reading back", PROGRESS_BYTES, 0);
	_cleanup_(json_decrefp) json_t *findings = json_array();
	_cleanup_(json_decrefp) json_t *summaries = json_array();
	struct verifying v = {.progress = progress,
	        .is_json = command_has(call, "json"),
	        .findings = findings,
	        .summaries = summaries};
	code = backup_ask(call, dir, "backup-verify",
	        json_pack("{s:s*, s:I, s:b}", "url", url, "percent", (json_int_t)percent, "heal",
	                !command_has(call, "no-heal")),
	        take_item, &v);
	progress_hide(progress);
	if (v.is_json && command_print_json(call, json_pack("{s:O, s:O}", "findings", findings, "targets", summaries)))
		code = EXIT_UNDECIDED;
	if (code)
		return code;
	return v.found > 0 ? EXIT_NO : v.failed > 0 ? EXIT_UNDECIDED : EXIT_DONE;
}

const struct command command_backup_verify = {
        .words = "backup verify",
        .operands = "[URL] [DIR]",
        .most = 2,
        .summary = "read back what is in the backup, authenticate it, and heal it",
        .details = "For stewards. All that the newest generation of each target (or of URL) needs is read back: every "
                   "byte, or of a sample of its segments. What is damaged or gone is named by its object and put anew "
                   "from the vault. Exit code 1 when anything was wrong, healed or not; 3 when one can't be read. A "
                   "single argument that is no "
                   "URL is DIR.",
        .options = (const struct command_option[]){{"sample", 0, "PERCENT",
                                                           "of the segments, 1 to 100, one at least; all of the rest"},
                {"no-heal", 0, NULL, "only say what is wrong"}, OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs backup verify /mnt", "everything"},
                {"assayfs backup verify --sample 5 s3://bucket/vault /mnt", "a twentieth, each night"}, {0}},
        .exits = BACKUP_EXITS,
        .run = run_verify,
};
