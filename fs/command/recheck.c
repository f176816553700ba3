#include "fs/command/recheck.h"

#include "fs/command/answer.h"
#include "fs/command/progress.h"
#include "fs/words.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

struct answers {
	struct recheck_counts *counts;
	json_t *list; /* NULL: printed */
	Progress *progress;
	bool is_foreseen;
};

/* What becomes of a file, in a word or two, and counted. */
static const char *count_change(const struct answers *answers, const char *then) {
	struct recheck_counts *counts = answers->counts;
	if (strcmp(then, "passed") == 0) {
		counts->gained++;
		return "would pass";
	}
	if (strcmp(then, "error") == 0) {
		counts->errors++;
		return "not checked";
	}
	if (strcmp(then, "none") == 0 && !answers->is_foreseen)
		return "left";
	counts->lost++;
	return answers->is_foreseen ? "would not pass" : "withdrawn";
}

static void print_change(const struct answers *answers, const json_t *item, const char *what) {
	char path[ANSWER_PATH_BYTES];
	_cleanup_(freep) char *safe = words_safe(answer_path(item, "path", path));
	_cleanup_(freep) char *reason = words_safe(answer_text(item, "reason"));
	progress_hide(answers->progress);
	printf("%-14s  %s%s%s\n", what, safe ? safe : "?", reason && *reason ? ": " : "", reason ? reason : "");
}

static int take_answer(void *context, const json_t *item) {
	struct answers *answers = context;
	const char *then = answer_text(item, "then");
	if (*then) {
		const char *what = count_change(answers, then);
		if (answers->list)
			json_array_append(answers->list, (json_t *)(uintptr_t)item);
		else
			print_change(answers, item, what);
	}
	answers->counts->total = answer_number(item, "total");
	progress_set(answers->progress, answer_number(item, "done"), answers->counts->total);
	return 0;
}

int recheck_ask(Client *client, const char *archive, json_t *list, struct recheck_counts *ret_counts) {
	_cleanup_(progress_endp) Progress *progress =
	        progress_begin(archive ? "checking by the new policy" : "checking what is trusted", PROGRESS_COUNT, 0);
	struct answers answers = {
	        .counts = ret_counts, .list = list, .progress = progress, .is_foreseen = archive != NULL};
	*ret_counts = (struct recheck_counts){0};
	json_t *arguments = archive ? json_pack("{s:s}", "archive", archive) : json_object();
	return client_call(client, archive ? "policy-foresee" : "policy-recheck", arguments, take_answer, &answers);
}
