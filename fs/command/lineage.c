/*
 * `assayfs lineage`: what a file came of and what came of it; as a tree, as JSON, or for Graphviz.
 *
 *     Trusted/a.csv@2  2026-11-22 10:15 …        the version that was asked about
 *       came of
 *         Raw/a.csv@2  …                          indented: that came of it, and that of …
 *           Landing/a.csv@3  …
 *       led to
 */
#include "fs/command/answer.h"
#include "fs/command/client.h"
#include "fs/command/command.h"
#include "fs/words.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A chain of restores may be long; what is deeper is in the JSON. */
#define DEEPEST 40

struct lineage {
	json_t *versions, *ties, *deliveries; /* arrays */
	json_t *by_id;                        /* "17" ─► a version, borrowed from the array by reference */
	json_t *shown;                        /* ids that the tree has told of */
	uint64_t hidden, left_out;
};

static void lineage_end(struct lineage *l) {
	json_decref(l->versions);
	json_decref(l->ties);
	json_decref(l->deliveries);
	json_decref(l->by_id);
	json_decref(l->shown);
}

static const char *id_text(uint64_t id, char text[static 24]) {
	snprintf(text, 24, "%" PRIu64, id);
	return text;
}

static int take_item(void *context, const json_t *item) {
	struct lineage *l = context;
	const char *kind = answer_text(item, "item");
	json_t *copy = json_incref((json_t *)(uintptr_t)item);
	char id[24];
	int rc = 0;
	if (strcmp(kind, "version") == 0)
		rc = json_array_append(l->versions, copy) ||
		     json_object_set(l->by_id, id_text(answer_number(item, "id"), id), copy);
	else if (strcmp(kind, "tie") == 0)
		rc = json_array_append(l->ties, copy);
	else if (strcmp(kind, "delivery") == 0)
		rc = json_array_append(l->deliveries, copy);
	l->hidden += answer_number(item, "hidden") * (strcmp(kind, "end") == 0);
	l->left_out += answer_number(item, "left_out");
	json_object_del(copy, "item");
	json_decref(copy);
	return rc ? -ENOMEM : 0;
}

/* ---- a version in words ---- */

/* "Raw/a.csv@2", or what is said of one that may not be named. The caller frees it. */
static char *name_of(const json_t *version) {
	char path[ANSWER_PATH_BYTES], *text = NULL;
	uint64_t number = answer_number(version, "number"),
	         held = answer_number(json_object_get(version, "quarantine"), "id");
	_cleanup_(freep) char *safe = words_safe(answer_path(version, "path", path));
	const char *zone = answer_text(version, "zone");
	int length;
	if (answer_flag(version, "hidden"))
		length = asprintf(&text, "a version in %s that is not told to your user",
		        strcmp(zone, "staging") == 0 ? "quarantine or on its way into Trusted" : zone);
	else if (held && strcmp(zone, "staging") == 0)
		length = asprintf(&text, "quarantine %" PRIu64 " of %s", held, safe && *safe ? safe : "?");
	else if (number)
		length = asprintf(&text, "%s@%" PRIu64, safe ? safe : "?", number);
	else
		length = asprintf(&text, "%s", safe && *safe ? safe : "what was written into Trusted");
	return length < 0 ? NULL : text;
}

static void print_fate(FILE *out, const json_t *version) {
	const char *state = answer_text(version, "state");
	const json_t *held = json_object_get(version, "quarantine");
	if (strcmp(state, "erased") == 0 || strcmp(state, "withdrawn") == 0)
		fprintf(out, ", %s", state);
	else if (answer_flag(version, "current"))
		fprintf(out, ", current");
	if (held)
		fprintf(out, ", quarantine %" PRIu64 " %s", answer_number(held, "id"), answer_text(held, "state"));
}

static void print_verdict(FILE *out, const json_t *verdict) {
	char time[WORDS_BYTES];
	const json_t *split = json_object_get(verdict, "split"), *waiver = json_object_get(verdict, "waiver");
	_cleanup_(freep) char *dataset = words_safe(answer_text(verdict, "dataset"));
	_cleanup_(freep) char *by = words_safe(answer_text(waiver, "by"));
	fprintf(out, "verdict %" PRIu64 " %s%s", answer_number(verdict, "id"),
	        waiver ? "waived" : answer_text(verdict, "outcome"),
	        answer_flag(verdict, "reused") ? " (of the same bytes before)" : "");
	fprintf(out, " %s, dataset %s, policy %" PRIu64 " (%.12s)", words_time(answer_time(verdict, "time_ns"), time),
	        dataset ? dataset : "?", answer_number(verdict, "policy"), answer_text(verdict, "policy_sha256"));
	if (split)
		fprintf(out, ", %" PRIu64 " of %" PRIu64 " rows withheld", answer_number(split, "rows_withheld"),
		        answer_number(split, "rows_in"));
	if (answer_flag(verdict, "redacted"))
		fprintf(out, ", redacted");
	if (waiver)
		fprintf(out, " by %s until %s", by ? by : "?", words_time(answer_time(waiver, "until_ns"), time));
}

static void print_details(const json_t *version, int indent) {
	const json_t *verdict = json_object_get(version, "verdict"), *held = json_object_get(version, "quarantine");
	char time[WORDS_BYTES], user[ANSWER_NAME_BYTES];
	if (verdict) {
		printf("%*s", indent, "");
		print_verdict(stdout, verdict);
		putchar('\n');
	}
	if (answer_time(held, "decided_ns"))
		printf("%*s%s %s by %s\n", indent, "", answer_text(held, "state"),
		        words_time(answer_time(held, "decided_ns"), time), answer_user(held, "decided_uid", user));
}

static void print_deliveries(const struct lineage *l, uint64_t id, int indent) {
	size_t i;
	json_t *delivery;
	json_array_foreach(l->deliveries, i, delivery) {
		char path[ANSWER_PATH_BYTES], time[WORDS_BYTES], user[ANSWER_NAME_BYTES];
		if (answer_number(delivery, "version") != id)
			continue;
		_cleanup_(freep) char *safe =
		        words_safe(json_object_get(delivery, "path") ? answer_path(delivery, "path", path)
		                                                     : "a name not told to you");
		printf("%*scame again %s by %s as %s\n", indent, "", words_time(answer_time(delivery, "time_ns"), time),
		        answer_user(delivery, "uid", user), safe ? safe : "?");
	}
}

/* How it is tied to the line above it, where that needs saying. */
static const char *tie_words(const char *kind, bool is_up) {
	if (strcmp(kind, "reference") == 0)
		return is_up ? "looked at " : "looked at for ";
	if (strcmp(kind, "restored") == 0)
		return is_up ? "restored from " : "restored as ";
	if (strcmp(kind, "cloned") == 0)
		return is_up ? "cloned from " : "cloned as ";
	return strcmp(kind, "withheld") == 0 ? is_up ? "rows of " : "withheld: " : "";
}

static void print_version(const struct lineage *l, const json_t *version, const char *tie, int indent) {
	char time[WORDS_BYTES], size[WORDS_BYTES], user[ANSWER_NAME_BYTES];
	_cleanup_(freep) char *name = name_of(version);
	printf("%*s%s%s", indent, "", tie, name ? name : "?");
	if (!answer_flag(version, "hidden")) {
		printf("  %s, %s, %s of %s", words_time(answer_time(version, "time_ns"), time),
		        words_size(answer_number(version, "size"), size), answer_text(version, "origin"),
		        answer_user(version, "uid", user));
		print_fate(stdout, version);
	}
	putchar('\n');
	if (answer_flag(version, "hidden"))
		return;
	print_details(version, indent + 4);
	print_deliveries(l, answer_number(version, "id"), indent + 4);
}

/* ---- the tree ---- */

static void print_kin(struct lineage *l, const json_t *version, bool is_up, int depth) {
	const char *here = is_up ? "to" : "from", *there = is_up ? "from" : "to";
	uint64_t id = answer_number(version, "id");
	size_t i;
	json_t *tie;
	int indent = 4 + 2 * depth;
	json_array_foreach(l->ties, i, tie) {
		char text[24];
		if (answer_number(tie, here) != id)
			continue;
		id_text(answer_number(tie, there), text);
		const json_t *other = json_object_get(l->by_id, text);
		const char *words = tie_words(answer_text(tie, "kind"), is_up);
		if (!other)
			continue;
		if (json_object_get(l->shown, text)) {
			_cleanup_(freep) char *name = name_of(other);
			printf("%*s%s%s  (above)\n", indent, "", words, name ? name : "?");
		} else if (depth == DEEPEST) {
			printf("%*s… (--json has all)\n", indent, "");
			return;
		} else {
			json_object_set_new(l->shown, text, json_true());
			print_version(l, other, words, indent);
			print_kin(l, other, is_up, depth + 1);
		}
	}
}

static void print_direction(struct lineage *l, const json_t *start, bool is_up) {
	const char *here = is_up ? "to" : "from";
	size_t i, count = 0;
	json_t *tie;
	json_array_foreach(l->ties, i, tie) count += answer_number(tie, here) == answer_number(start, "id");
	printf("  %s%s\n", is_up ? "came of" : "led to", count ? "" : " nothing that is known");
	print_kin(l, start, is_up, 0);
}

static void print_missing(const struct lineage *l) {
	if (l->hidden)
		printf("%" PRIu64 " version%s not told to your user: roles or modes do not let it read the file.\n",
		        l->hidden, l->hidden == 1 ? " is" : "s are");
	if (l->left_out)
		printf("There is more: at least %" PRIu64 " further step%s left out.\n", l->left_out,
		        l->left_out == 1 ? " is" : "s are");
}

static void print_text(struct lineage *l) {
	size_t i;
	json_t *version;
	json_array_foreach(l->versions, i, version) {
		char text[24];
		if (!answer_flag(version, "start"))
			continue;
		json_object_set_new(l->shown, id_text(answer_number(version, "id"), text), json_true());
		print_version(l, version, "", 0);
		print_direction(l, version, true);
		print_direction(l, version, false);
	}
	print_missing(l);
}

/* ---- Graphviz ---- */

/* Inside "…", where a backslash escapes and &…; is an entity of HTML. The text is safe words: one line of UTF-8. */
static void dot_put(const char *text) {
	for (; text && *text; text++) {
		if (*text == '&')
			fputs("&amp;", stdout);
		else if (*text == '"' || *text == '\\')
			printf("\\%c", *text);
		else
			putchar(*text);
	}
}

static void dot_version(const json_t *version) {
	char time[WORDS_BYTES];
	const json_t *verdict = json_object_get(version, "verdict");
	_cleanup_(freep) char *name = name_of(version);
	const char *outcome = answer_text(verdict, "outcome");
	printf("  v%" PRIu64 " [label=\"", answer_number(version, "id"));
	dot_put(name);
	if (!answer_flag(version, "hidden"))
		printf("\\n%s", words_time(answer_time(version, "time_ns"), time));
	if (verdict) {
		fputs("\\n", stdout);
		_cleanup_(freep) char *dataset = words_safe(answer_text(verdict, "dataset"));
		dot_put(json_object_get(verdict, "waiver") ? "waived" : outcome);
		printf(", policy %" PRIu64 ", ", answer_number(verdict, "policy"));
		dot_put(dataset);
	}
	if (strcmp(answer_text(version, "state"), "erased") == 0)
		fputs("\\nerased", stdout);
	printf("\"%s%s];\n", answer_flag(version, "start") ? ", penwidth=2" : "",
	        answer_flag(version, "hidden") ? ", style=dashed" : "");
}

static void print_dot(const struct lineage *l) {
	size_t i;
	json_t *item;
	puts("digraph lineage {\n  rankdir=LR;\n  node [shape=box];");
	json_array_foreach(l->versions, i, item) dot_version(item);
	json_array_foreach(l->ties, i, item) printf("  v%" PRIu64 " -> v%" PRIu64 " [label=\"%s\"];\n",
	        answer_number(item, "from"), answer_number(item, "to"), answer_text(item, "kind"));
	if (l->left_out)
		printf("  more [label=\"… and more\", shape=plaintext];\n");
	puts("}");
}

/* ---- the command ---- */

/* PATH@N, unless a file has that very name: then it is the name. *ret_number 0: no number. The caller frees the path.
 */
static char *split_number(const char *operand, unsigned long long *ret_number) {
	const char *at = strrchr(operand, '@');
	char *end = NULL;
	*ret_number = 0;
	if (!at || at == operand || at[1] < '1' || at[1] > '9' || access(operand, F_OK) == 0)
		return strdup(operand);
	errno = 0;
	unsigned long long number = strtoull(at + 1, &end, 10);
	if (*end || errno || number > INT64_MAX)
		return strdup(operand);
	*ret_number = number;
	return strndup(operand, (size_t)(at - operand));
}

static int print(const struct invocation *call, const struct client_place *place, struct lineage *l) {
	if (command_has(call, "json"))
		return command_print_json(
		        call, json_pack("{s:o, s:O, s:O, s:O, s:I, s:I}", "path", wire_path(place->path), "versions",
		                      l->versions, "ties", l->ties, "deliveries", l->deliveries, "hidden",
		                      (json_int_t)l->hidden, "left_out", (json_int_t)l->left_out));
	if (command_has(call, "dot"))
		print_dot(l);
	else
		print_text(l);
	return ferror(stdout) ? EXIT_UNDECIDED : EXIT_DONE;
}

static int run_lineage(const struct invocation *call) {
	const char *operand = command_operand(call, 0);
	unsigned long long number = 0;
	_cleanup_(freep) char *path = split_number(operand, &number);
	_cleanup_(lineage_end) struct lineage l = {
	        json_array(), json_array(), json_array(), json_object(), json_object(), 0, 0};
	struct client_place place;
	_cleanup_(client_closep) Client *client = NULL;
	if (!path || !l.versions || !l.ties || !l.deliveries || !l.by_id || !l.shown)
		return command_fail(call, EXIT_UNDECIDED, "out of memory");
	int rc = client_open(path, &place, &client);
	if (rc)
		return command_fault(call, rc, "finding the vault of %s", path);
	rc = client_call(client, "lineage",
	        json_pack("{s:o, s:I, s:b}", "path", wire_path(place.path), "number", (json_int_t)number, "all",
	                (int)command_has(call, "all")),
	        take_item, &l);
	return rc ? command_fault(call, rc, "following the lineage of %s", operand) : print(call, &place, &l);
}

const struct command command_lineage = {
        .words = "lineage",
        .operands = "PATH[@N]",
        .least = 1,
        .most = 1,
        .summary = "show what a file came of, and what came of it",
        .details = "From Landing by way of Raw to Trusted: each version with its verdict, the policy that it was "
                   "judged by, "
                   "what a rule looked at, what was withheld, restored or delivered again. Begins at version N as "
                   "'assayfs "
                   "versions' counts, else at what the name shows, else at the last that it showed; so it works for "
                   "what was "
                   "refused, removed or erased. What your user may not read is not named, only counted.",
        .options = (const struct command_option[]){{"all", 0, NULL, "begin at every version that the name showed"},
                {"dot", 0, NULL, "print a graph for Graphviz"}, OPTION_JSON, {0}},
        .examples = (const struct command_example[]){{"assayfs lineage Trusted/animals/a.csv", "where it came from"},
                {"assayfs lineage Raw/animals/a.csv@2 --dot | dot -Tsvg > a.svg", "as a picture"}, {0}},
        .exits = EXIT_BIT(EXIT_NO) | EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_NOT_MOUNTED) | EXIT_BIT(EXIT_DENIED),
        .run = run_lineage,
};
