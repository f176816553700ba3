/* Records as a person reads them; see log_format.h. */
#include "fs/command/log_format.h"
#include "fs/words.h"

#include "crypto/base/cleanup.h"

#include <inttypes.h>
#include <string.h>

static void print_safe(FILE *out, const char *text) {
	_cleanup_(freep) char *safe = words_safe(text);
	fputs(safe ? safe : "?", out);
}

static bool is_plain(const char *text) {
	for (; *text; text++)
		if (*text < 0x20 || *text > 0x7e)
			return false;
	return true;
}

/* A text of the record; where it is not UTF-8 it stands escaped already. */
static bool print_field(FILE *out, const json_t *record, const char *name, const char *before) {
	bool is_escaped;
	const char *text = log_text(record, name, &is_escaped);
	if (!text || !*text)
		return false;
	fputs(before, out);
	if (is_escaped && is_plain(text))
		fputs(text, out);
	else
		print_safe(out, text);
	return true;
}

/* 2026-11-23 10:15:02 CET  alice     write     ok      Landing/a.csv  1.4 MiB  [rsync 4711]  words */
static int print_text(struct log_sheet *sheet, const char *line, const json_t *record) {
	FILE *out = sheet->out;
	(void)line;
	char time[WORDS_BYTES] = "?", size[WORDS_BYTES];
	int64_t time_ns = log_time(record);
	if (time_ns)
		words_time(time_ns, time);
	const char *outcome = answer_text(record, "outcome");
	fprintf(out, "%s  %-10s %-12s %-6s", time, log_user(sheet, record), answer_text(record, "event"),
	        *outcome ? outcome : "ok");
	(void)print_field(out, record, "path", "  ");
	(void)print_field(out, record, "path2", " -> ");
	if (answer_number(record, "bytes"))
		fprintf(out, "  %s", words_size(answer_number(record, "bytes"), size));
	if (print_field(out, record, "exe", "  ["))
		fprintf(out, " %" PRIu64 "]", answer_number(record, "pid"));
	if (answer_number(record, "errno"))
		fprintf(out, "  %s", strerror((int)answer_number(record, "errno")));
	(void)print_field(out, record, "detail", "  ");
	putc('\n', out);
	return 0;
}

const struct log_format log_format_text = {.name = "text", .print = print_text};
