/* A verdict as a person wants to read it. */
#include "policy/verdict.h"

#include "crypto/base/fault.h"
#include "crypto/base/utc.h"
#include "crypto/digest.h"
#include "policy/privacy_text.h"
#include "policy/safe_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Rules and lines past these are counted, not listed. */
#define RULES_SHOWN 20
#define LINES_SHOWN 10
#define METRICS_SHOWN 20 /* of an analyzer */

static void put_time(FILE *to, int64_t ns) {
	char text[UTC_TEXT_BYTES];
	fputs(utc_words(ns, text), to);
}

static const char *plural(uint64_t count) {
	return count == 1 ? "" : "s";
}

/* Most reasons name the first lines themselves. */
static bool reason_has_lines(const struct check_rule *rule) {
	char words[40];
	if (!rule->reason || rule->failing_line_count == 0)
		return false;
	(void)snprintf(words, sizeof words, " on line%s %" PRIu64, rule->failing_line_count > 1 ? "s" : "",
	        rule->failing_lines[0]);
	return strstr(rule->reason, words) != NULL;
}

static void put_lines(FILE *to, const struct check_rule *rule) {
	if (!rule->has_failing_rows || rule->failing_rows == 0 || reason_has_lines(rule))
		return;
	fprintf(to, "      %" PRIu64 " row%s", rule->failing_rows, plural(rule->failing_rows));
	size_t shown = rule->failing_line_count < LINES_SHOWN ? rule->failing_line_count : LINES_SHOWN;
	for (size_t i = 0; i < shown; i++)
		fprintf(to, "%s%" PRIu64,
		        i > 0        ? ", "
		        : shown == 1 ? ", on line "
		                     : ", first on lines ",
		        rule->failing_lines[i]);
	fputc('\n', to);
}

/* A rule or an analyzer: what it is called, what was found, and at most so many metrics. */
static void put_findings(FILE *to, const char *word, const struct check_rule *rule, size_t metrics) {
	fprintf(to, "  %s  ", word);
	safe_text_put(to, rule->text);
	fputc('\n', to);
	if (rule->reason) {
		fputs("      ", to);
		safe_text_put(to, rule->reason);
		fputc('\n', to);
	}
	for (size_t i = 0; i < rule->metric_count && i < metrics; i++) {
		fputs("      ", to);
		safe_text_put(to, rule->metrics[i].name);
		fprintf(to, " = %.10g\n", rule->metrics[i].value);
	}
}

static void put_rule(FILE *to, const struct check_rule *rule) {
	put_findings(to, outcome_word(rule->outcome), rule, 4);
	put_lines(to, rule);
}

/* Whether the reason only sums up what put_rules lists. */
static bool reason_is_listed(const struct check_result *check) {
	_cleanup_(freep) char *summary = check_result_summary(check);
	return summary && strcmp(summary, check->reason) == 0;
}

static size_t count_rules(const struct check_result *check, enum outcome outcome) {
	size_t count = 0;
	for (size_t i = 0; i < check->rule_count; i++)
		count += check->rules[i].outcome == outcome;
	return count;
}

/* Rules that passed, but with words: they had nothing to compare with yet, or no rows. */
static void put_notes(FILE *to, const struct check_result *check) {
	size_t shown = 0;
	for (size_t i = 0; i < check->rule_count && shown < RULES_SHOWN; i++) {
		const struct check_rule *rule = &check->rules[i];
		if (rule->outcome != OUTCOME_PASSED || !rule->reason)
			continue;
		put_findings(to, outcome_word(rule->outcome), rule, 0);
		shown++;
	}
}

static void put_analyzers(FILE *to, const struct check_result *check) {
	for (size_t i = 0; i < check->analyzer_count && i < RULES_SHOWN; i++) {
		bool is_done = check->analyzers[i].outcome == OUTCOME_PASSED;
		put_findings(to, is_done ? "measured" : "not measured", &check->analyzers[i], METRICS_SHOWN);
	}
	if (check->analyzer_count > RULES_SHOWN)
		fprintf(to, "  … and %zu more analyzers\n", check->analyzer_count - RULES_SHOWN);
}

static void put_rules(FILE *to, const struct check_result *check) {
	size_t failed = count_rules(check, OUTCOME_FAILED), undecided = count_rules(check, OUTCOME_ERROR);
	size_t bad = check->rule_count - count_rules(check, OUTCOME_PASSED);
	if (check->rule_count == 0)
		return;
	if (bad == 0) {
		fprintf(to, check->rule_count == 1 ? "  the rule passed\n" : "  all %zu rules passed\n",
		        check->rule_count);
		return;
	}
	fprintf(to, "  %zu of %zu rule%s ", undecided ? undecided : failed, check->rule_count,
	        plural(check->rule_count));
	fputs(undecided ? "could not be decided" : "did not pass", to);
	if (undecided && failed)
		fprintf(to, ", %zu did not pass", failed);
	fputs(":\n", to);
	size_t shown = 0;
	for (size_t i = 0; i < check->rule_count && shown < RULES_SHOWN; i++) {
		if (check->rules[i].outcome == OUTCOME_PASSED)
			continue;
		put_rule(to, &check->rules[i]);
		shown++;
	}
	if (bad > shown)
		fprintf(to, "  … and %zu more\n", bad - shown);
}

static void put_references(FILE *to, const struct verdict *verdict) {
	for (size_t i = 0; i < verdict->reference_count; i++) {
		char hex[DIGEST_HEX_BYTES];
		digest_hex(verdict->references[i].sha256, hex);
		fputs("  held against: ", to);
		safe_text_put(to, verdict->references[i].path);
		fputs(", as ", to);
		safe_text_put(to, verdict->references[i].alias);
		fprintf(to, ", sha256 %.16s…\n", hex);
	}
}

/* What became of which rows, and what the whole file came to. */
static void put_split(FILE *to, const struct verdict_split *split) {
	fprintf(to,
	        "  %" PRIu64 " of %" PRIu64 " rows published; %" PRIu64 " that broke a rule %s in quarantine "
	        "(assayfs quarantine list)\n",
	        split->rows_out, split->rows_in, split->rows_quarantined, split->rows_quarantined == 1 ? "is" : "are");
	put_rules(to, split->check);
	privacy_text_put(to, split->check);
	fputs("  what was published, checked by itself:\n", to);
}

static void put_waiver(FILE *to, const struct verdict_waiver *waiver) {
	bool is_over = waiver->until_ns / 1000000000 <= (int64_t)time(NULL);
	fprintf(to, is_over ? "  WAIVER EXPIRED on " : "  it did not pass, and is let through until ");
	put_time(to, waiver->until_ns);
	fputs(", by ", to);
	safe_text_put(to, waiver->by);
	fprintf(to, " (quarantine %" PRIu64 "): ", waiver->quarantine);
	safe_text_put(to, waiver->reason);
	fputc('\n', to);
}

static void put_content(FILE *to, const char *what, const struct verdict_content *content) {
	char hex[DIGEST_HEX_BYTES];
	digest_hex(content->sha256, hex);
	fprintf(to, "  %s: %" PRIu64 " byte%s, sha256 %s\n", what, content->size, plural(content->size), hex);
}

static void put_origin(FILE *to, const struct verdict *verdict) {
	char hex[DIGEST_HEX_BYTES];
	put_content(to, "file", &verdict->input);
	if (verdict->has_output &&
	        memcmp(verdict->output.sha256, verdict->input.sha256, sizeof verdict->output.sha256) != 0)
		put_content(to, "published", &verdict->output);
	if (verdict->check->has_rows)
		fprintf(to, "  table: %" PRIu64 " row%s, %" PRIu64 " column%s\n", verdict->check->rows,
		        plural(verdict->check->rows), verdict->check->columns, plural(verdict->check->columns));
	if (verdict->check->has_dropped)
		fprintf(to, "  dropped: %" PRIu64 " more row%s that the dataset's keep does not let through\n",
		        verdict->check->dropped, plural(verdict->check->dropped));
	if (verdict->check->privacy.dropped > 0)
		fprintf(to, "  left out: %" PRIu64 " of the rows, for their personal data\n",
		        verdict->check->privacy.dropped);
	if (verdict->check->dialect) {
		fputs("  read as: ", to);
		safe_text_put(to, verdict->check->dialect);
		fputc('\n', to);
	}
	put_references(to, verdict);
	digest_hex(verdict->policy_sha256, hex);
	fprintf(to, "  policy: version %" PRIu64 ", sha256 %.16s…", verdict->policy_version, hex);
	if (verdict->ruleset_file) {
		fputs(", rules ", to);
		safe_text_put(to, verdict->ruleset_file);
	}
	fputs("\n  judged: ", to);
	put_time(to, verdict->finished_ns);
	fputc('\n', to);
}

static void put_next(FILE *to, const struct verdict *verdict) {
	if (verdict->waiver) {
		fputs("next: before the waiver ends, correct the file and copy it in again; or a steward releases it "
		      "anew "
		      "(assayfs quarantine release)\n",
		        to);
		return;
	}
	const char *rules = verdict->ruleset_file ? verdict->ruleset_file : "policy.yaml";
	switch (verdict->check->outcome) {
	case OUTCOME_FAILED:
		fputs("next: correct the file and copy it in again; or, if a rule is wrong, a steward changes ", to);
		safe_text_put(to, rules);
		fputs(" and runs `assayfs policy apply POLICYDIR`\n", to);
		break;
	case OUTCOME_ERROR:
		fputs("next: the file was neither accepted nor refused, so it is not in Trusted; remove the cause "
		      "named above, "
		      "then copy the file in again, or, if the policy was the cause, apply a corrected one\n",
		        to);
		break;
	case OUTCOME_PENDING:
		fputs("next: wait; `assayfs status` shows the queue\n", to);
		break;
	case OUTCOME_NONE:
		fputs("next: `assayfs policy suggest FILE -o POLICYDIR` writes a dataset for it\n", to);
		break;
	case OUTCOME_PASSED:
		break;
	}
}

static void put_verdict(FILE *to, const struct verdict *verdict) {
	safe_text_put(to, verdict->path);
	fprintf(to, ": %s", verdict_word(verdict));
	if (verdict->dataset) {
		fputs(", dataset ", to);
		safe_text_put(to, verdict->dataset);
	} else {
		fputs(", no dataset governs it", to);
	}
	fputc('\n', to);
	if (verdict->waiver)
		put_waiver(to, verdict->waiver);
	if (verdict->split)
		put_split(to, verdict->split);
	if (verdict->check->reason && !reason_is_listed(verdict->check)) {
		fputs("  reason: ", to);
		safe_text_put(to, verdict->check->reason);
		fputc('\n', to);
	}
	put_rules(to, verdict->check);
	put_notes(to, verdict->check);
	put_analyzers(to, verdict->check);
	privacy_text_put(to, verdict->check);
	for (size_t i = 0; i < verdict->check->warning_count; i++) {
		fputs("  warning: ", to);
		safe_text_put(to, verdict->check->warnings[i]);
		fputc('\n', to);
	}
	put_origin(to, verdict);
	put_next(to, verdict);
}

int verdict_text(const struct verdict *verdict, char **ret_text) {
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);
	if (!to)
		return fault(ENOMEM, "no memory to show a verdict");
	put_verdict(to, verdict);
	bool has_failed = ferror(to) != 0;
	if (fclose(to) != 0 || has_failed) {
		free(text);
		return fault(ENOMEM, "no memory to show a verdict");
	}
	*ret_text = text;
	return 0;
}
