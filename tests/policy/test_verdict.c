#include "policy/verdict.h"

#include "crypto/base/fault.h"
#include "crypto/digest.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct check_result *a_result(enum outcome outcome) {
	struct check_result *result = NULL;
	assert_int_equal(check_result_new(&result), 0);
	result->bytes_read = 52;
	result->has_rows = true;
	result->rows = 4;
	result->columns = 2;
	result->dialect = strdup("delimiter ';'");
	result->canonical = strdup("Rules = [ RowCount > 3, IsComplete \"State\" ]");
	struct check_rule *rule = check_result_add_rule(result, "RowCount > 3", OUTCOME_PASSED);
	assert_int_equal(check_rule_add_metric(rule, "Dataset.*.RowCount", 4.0), 0);
	rule = check_result_add_rule(result, "IsComplete \"State\"", outcome);
	assert_int_equal(check_rule_add_metric(rule, "Column.State.Completeness", 0.6), 0);
	rule->has_failing_rows = true;
	if (outcome != OUTCOME_PASSED) {
		assert_int_equal(
		        check_rule_set_reason(rule, "Value: 0.6 does not meet the constraint requirement!"), 0);
		rule->failing_rows = 2;
		assert_int_equal(check_rule_add_failing_line(rule, 3), 0);
		assert_int_equal(check_rule_add_failing_line(rule, 5), 0);
		assert_int_equal(check_result_say(result, outcome, "1 of 2 rules did not pass"), 0);
	}
	result->outcome = outcome;
	return result;
}

static struct verdict *a_verdict(enum outcome outcome, const char *path) {
	static const uint8_t vault[VERDICT_VAULT_ID_BYTES] = {1, 2, 3};
	static const struct policy_dataset dataset = {
	        .name = "animals", .rules_file = "animals.dqdl", .rules = {(const uint8_t *)"x", 1}};
	Policy *policy = NULL;
	struct verdict *verdict = NULL;
	assert_int_equal(policy_empty(&policy), 0);
	assert_int_equal(verdict_make(vault, path, policy, 7, &dataset, a_result(outcome), &verdict), 0);
	policy_free(policy);
	memset(verdict->input.sha256, 0xab, 32);
	verdict->input.size = 52;
	if (outcome == OUTCOME_PASSED) {
		verdict->has_output = true;
		verdict->output = verdict->input;
	}
	verdict->clock_ns = 1795449600123456000;
	verdict->started_ns = verdict->clock_ns;
	verdict->finished_ns = verdict->clock_ns + 1500000000;
	return verdict;
}

/* Not inlined: gcc 12 takes what it returns for a pointer to its own variable. */
__attribute__((noinline)) static char *json_of(const struct verdict *verdict, size_t *ret_size) {
	char *json = NULL;
	if (verdict_to_json(verdict, &json, ret_size) < 0)
		fail_msg("%s", fault_message());
	return json;
}

static void the_canonical_form_is_this_to_the_byte(void **state) {
	(void)state;
	struct verdict *verdict = a_verdict(OUTCOME_FAILED, "Landing/animals/a.csv");
	size_t size;
	char *json = json_of(verdict, &size);
	char expected[4096], zeros[65], abs[65], rules[DIGEST_HEX_BYTES];
	memset(zeros, '0', 64);
	zeros[64] = abs[64] = '\0';
	for (size_t i = 0; i < 64; i++)
		abs[i] = i % 2 ? 'b' : 'a';
	uint8_t digest[32];
	sha256(bytes_of_string("x"), digest);
	digest_hex(digest, rules);
	snprintf(expected, sizeof expected,
	        "{\"check\":{\"bytes_read\":52,\"canonical\":\"Rules = [ RowCount > 3, IsComplete \\\"State\\\" ]\","
	        "\"columns\":2,\"dialect\":\"delimiter ';'\",\"outcome\":\"failed\",\"reason\":\"1 of 2 rules did not "
	        "pass\",\"rows\":4,\"rules\":[{\"failing_lines\":[],\"failing_rows\":null,\"metrics\":{\"Dataset.*."
	        "RowCount\":4.0},"
	        "\"outcome\":\"passed\",\"reason\":null,\"rule\":\"RowCount > "
	        "3\"},{\"failing_lines\":[3,5],\"failing_rows\":2,"
	        "\"metrics\":{\"Column.State.Completeness\":0.59999999999999998},\"outcome\":\"failed\",\"reason\":"
	        "\"Value: 0.6 "
	        "does not meet the constraint requirement!\",\"rule\":\"IsComplete \\\"State\\\"\"}],\"warnings\":[]},"
	        "\"clock\":\"2026-11-23T16:00:00.123456Z\",\"dataset\":\"animals\",\"engine\":\"" ASSAYFS_VERSION "\","
	        "\"finished\":\"2026-11-23T16:00:01.623456Z\",\"format\":1,\"input\":{\"sha256\":\"%s\",\"size\":52},"
	        "\"outcome\":\"failed\",\"output\":null,\"path\":\"Landing/animals/"
	        "a.csv\",\"policy\":{\"sha256\":\"%s\",\"version\":7},"
	        "\"references\":[],\"ruleset\":{\"file\":\"animals.dqdl\",\"sha256\":\"%s\"},\"started\":\"2026-11-"
	        "23T16:00:00.123456Z\","
	        "\"vault\":\"01020300000000000000000000000000\"}",
	        abs, zeros, rules);
	assert_string_equal(json, expected);
	free(json);
	verdict_free(verdict);
}

static void a_verdict_read_back_is_the_same(void **state) {
	(void)state;
	static const char *const paths[] = {"Landing/a.csv", "Landing/\xc3\xa9.csv", "Landing/\xff\x01\"\\.csv"};
	for (size_t i = 0; i < 3; i++) {
		struct verdict *verdict = a_verdict(OUTCOME_PASSED, paths[i]), *back = NULL;
		verdict->references = calloc(1, sizeof *verdict->references);
		verdict->reference_count = 1;
		verdict->references[0].alias = strdup("register");
		verdict->references[0].path = strdup("Trusted/r.csv");
		size_t size, size_again;
		char *json = json_of(verdict, &size);
		if (verdict_from_json(bytes_of(json, size), &back) < 0)
			fail_msg("%s", fault_message());
		assert_string_equal(back->path, paths[i]);
		assert_string_equal(back->references[0].alias, "register");
		assert_int_equal(back->finished_ns, verdict->finished_ns);
		char *again = json_of(back, &size_again);
		assert_string_equal(json, again);
		free(json);
		free(again);
		verdict_free(back);
		verdict_free(verdict);
	}
}

static void a_text_that_is_not_canonical_is_no_verdict(void **state) {
	(void)state;
	struct verdict *verdict = a_verdict(OUTCOME_FAILED, "Landing/a.csv"), *back = NULL;
	size_t size;
	char *json = json_of(verdict, &size);
	static const struct {
		const char *from, *to;
	} changes[] = {
	        {"{\"check\"", "{ \"check\""},
	        {"\"format\":1", "\"format\":2"},
	        {"\"format\":1", "\"format\":1.0"},
	        {"\"format\":1", "\"format\":1,\"extra\":1"},
	        {"\"format\":1", "\"format\":1,\"format\":1"},
	        {"\"outcome\":\"failed\",\"output\"", "\"outcome\":\"passed\",\"output\""},
	        {"\"size\":52", "\"size\":-52"},
	        {"\"size\":52", "\"size\":052"},
	        {"abab", "ABAB"},
	        {"\"clock\":\"2026-11-23T16:00:00.123456Z\"", "\"clock\":\"2026-11-23T16:00:60.123456Z\""},
	        {"\"clock\":\"2026-11-23T16:00:00.123456Z\"", "\"clock\":\"2026-13-23T16:00:00.123456Z\""},
	        {"\"path\":\"Landing/a.csv\"", "\"path_hex\":\"4c\""},
	        {"\"failing_lines\":[3,5]", "\"failing_lines\":[3,-5]"},
	        {"\"failing_lines\":[3,5]", "\"failing_lines\":\"3\""},
	        {"0.59999999999999998", "0.6"},
	        {"0.59999999999999998", "\"many\""},
	        {"\"vault\":\"0102", "\"vault\":\"02"},
	        {"\"reason\":\"1 of 2 rules did not pass\"", "\"reason\":null"},
	};
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		char changed[8192];
		assert_non_null(strstr(json, changes[i].from));
		size_t at = (size_t)(strstr(json, changes[i].from) - json);
		snprintf(changed, sizeof changed, "%.*s%s%s", (int)at, json, changes[i].to,
		        json + at + strlen(changes[i].from));
		if (verdict_from_json(bytes_of_string(changed), &back) != -EBADMSG)
			fail_msg("accepted with %s", changes[i].to);
	}
	for (size_t cut = 0; cut < size; cut++)
		assert_int_equal(verdict_from_json(bytes_of(json, cut), &back), -EBADMSG);
	assert_int_equal(verdict_from_json(bytes_of(json, size), &back), 0);
	verdict_free(back);
	free(json);
	verdict_free(verdict);
}

static void a_signature_holds_for_these_bytes_alone(void **state) {
	(void)state;
	uint8_t seed[SIGN_SEED_BYTES] = {9}, public_key[SIGN_PUBLIC_BYTES], signature[SIGN_SIGNATURE_BYTES];
	struct verdict *verdict = a_verdict(OUTCOME_PASSED, "Landing/a.csv");
	size_t size;
	char *json = json_of(verdict, &size);
	sign_public(seed, public_key);
	assert_int_equal(verdict_sign(bytes_of(json, size), seed, signature), 0);
	assert_int_equal(verdict_verify(bytes_of(json, size), signature, public_key), 0);
	json[size / 2] ^= 1;
	assert_int_equal(verdict_verify(bytes_of(json, size), signature, public_key), -EBADMSG);
	json[size / 2] ^= 1;
	signature[0] ^= 1;
	assert_int_equal(verdict_verify(bytes_of(json, size), signature, public_key), -EBADMSG);
	signature[0] ^= 1;
	/* Signed for another purpose, the same bytes are no verdict. */
	uint8_t other[SIGN_SIGNATURE_BYTES];
	sign_make(seed, bytes_of(json, size), other);
	assert_int_equal(verdict_verify(bytes_of(json, size), other, public_key), -EBADMSG);
	free(json);
	verdict_free(verdict);
}

static void a_person_is_told_the_rule_the_number_and_what_to_do(void **state) {
	(void)state;
	struct verdict *verdict = a_verdict(OUTCOME_FAILED, "Landing/animals/a\x1b[2J.csv");
	char *text = NULL;
	assert_int_equal(verdict_text(verdict, &text), 0);
	assert_null(strchr(text, 0x1b));
	static const char *const parts[] = {"Landing/animals/a\\x1b[2J.csv: failed, dataset animals\n",
	        "1 of 2 rules did not pass", "IsComplete \"State\"", "Column.State.Completeness = 0.6",
	        "2 rows, first on lines 3, 5", "policy: version 7", "rules animals.dqdl",
	        "judged: 2026-11-23 16:00:01 UTC", "next: correct the file"};
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		if (!strstr(text, parts[i]))
			fail_msg("'%s' is not in:\n%s", parts[i], text);
	assert_null(strstr(text, "RowCount > 3"));
	assert_string_equal(verdict_word(verdict), "failed");
	assert_string_equal(verdict_word(NULL), "none");
	free(text);
	verdict_free(verdict);
	verdict = a_verdict(OUTCOME_PASSED, "Trusted/a.csv");
	assert_int_equal(verdict_text(verdict, &text), 0);
	assert_non_null(strstr(text, "all 2 rules passed"));
	assert_null(strstr(text, "next:"));
	free(text);
	verdict_free(verdict);
}

static size_t times(const char *text, const char *words) {
	size_t count = 0;
	for (const char *at = text; (at = strstr(at, words)); at += strlen(words))
		count++;
	return count;
}

static void a_person_is_told_what_was_measured_and_what_could_not_be_compared(void **state) {
	(void)state;
	struct verdict *verdict = a_verdict(OUTCOME_PASSED, "Landing/a.csv");
	struct check_rule *analyzer = check_result_add_analyzer(verdict->check, "Mean \"age\"", OUTCOME_PASSED);
	assert_int_equal(check_rule_add_metric(analyzer, "Column.age.Mean", 5.5), 0);
	analyzer = check_result_add_analyzer(verdict->check, "Sum \"name\"", OUTCOME_FAILED);
	assert_int_equal(check_rule_set_reason(analyzer, "line 2 has a text"), 0);
	assert_int_equal(check_rule_set_reason(&verdict->check->rules[0], "not compared: there is no history yet"), 0);
	verdict->has_job = true;
	memset(verdict->job_sha256, 0xcd, sizeof verdict->job_sha256);
	size_t size;
	_cleanup_(freep) char *json = json_of(verdict, &size);
	_cleanup_(verdict_freep) struct verdict *back = NULL;
	assert_non_null(strstr(json, "\"job\":\"cdcd"));
	if (verdict_from_json(bytes_of(json, size), &back) < 0)
		fail_msg("%s", fault_message());
	assert_true(back->has_job);
	_cleanup_(freep) char *text = NULL;
	assert_int_equal(verdict_text(back, &text), 0);
	static const char *const parts[] = {"  all 2 rules passed\n",
	        "  passed  RowCount > 3\n      not compared: there is no",
	        "  measured  Mean \"age\"\n      Column.age.Mean = 5.5\n",
	        "  not measured  Sum \"name\"\n      line 2 has a text\n"};
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		if (!strstr(text, parts[i]))
			fail_msg("%s is not in:\n%s", parts[i], text);
	verdict_free(verdict);
}

static void nothing_is_said_twice(void **state) {
	(void)state;
	struct verdict *verdict = a_verdict(OUTCOME_FAILED, "Landing/a.csv");
	struct check_rule *rule = &verdict->check->rules[1];
	char *text = NULL;
	assert_int_equal(check_rule_set_reason(rule, "2 of 4 rows have no value; first on lines 3, 5"), 0);
	assert_int_equal(verdict_text(verdict, &text), 0);
	assert_int_equal(times(text, "1 of 2 rules did not pass"), 1);
	assert_int_equal(times(text, "on lines 3, 5"), 1);
	assert_int_equal(times(text, "reason:"), 0);
	free(text);
	verdict_free(verdict);

	verdict = a_verdict(OUTCOME_ERROR, "Landing/a.csv");
	free(verdict->check->reason);
	verdict->check->reason = check_result_summary(verdict->check);
	assert_string_equal(verdict->check->reason,
	        "rule 2, IsComplete \"State\": Value: 0.6 does not meet the constraint requirement!");
	assert_int_equal(verdict_text(verdict, &text), 0);
	assert_int_equal(times(text, "does not meet the constraint requirement!"), 1);
	assert_int_equal(times(text, "1 of 2 rules could not be decided:"), 1);
	free(text);
	/* What the rules don't say stands by itself. */
	free(verdict->check->reason);
	verdict->check->reason = strdup("the worker was killed");
	assert_int_equal(verdict_text(verdict, &text), 0);
	assert_int_equal(times(text, "  reason: the worker was killed\n"), 1);
	free(text);
	verdict_free(verdict);
}

/* ---- results ---- */

static void a_pass_that_its_own_rules_deny_is_not_believed(void **state) {
	(void)state;
	struct check_result *result = a_result(OUTCOME_PASSED), *back = NULL;
	char *json = NULL;
	size_t size;
	assert_int_equal(check_result_to_json(result, &json, &size), 0);
	assert_int_equal(check_result_from_json(bytes_of(json, size), &back), 0);
	check_result_free(back);
	back = NULL;
	free(json);
	result->rules[1].outcome = OUTCOME_FAILED;
	assert_int_equal(check_result_to_json(result, &json, &size), 0);
	assert_int_equal(check_result_from_json(bytes_of(json, size), &back), -EBADMSG);
	assert_non_null(strstr(fault_message(), "rule 2 is not"));
	free(json);
	check_result_free(result);
	assert_int_equal(check_result_new(&result), 0);
	result->outcome = OUTCOME_PASSED;
	assert_int_equal(check_result_to_json(result, &json, &size), 0);
	assert_int_equal(check_result_from_json(bytes_of(json, size), &back), -EBADMSG);
	assert_non_null(strstr(fault_message(), "without a rule"));
	free(json);
	check_result_free(result);
}

static void numbers_that_are_not_finite_survive(void **state) {
	(void)state;
	struct check_result *result = a_result(OUTCOME_PASSED), *back = NULL;
	assert_int_equal(check_rule_add_metric(&result->rules[0], "a", (double)NAN), 0);
	assert_int_equal(check_rule_add_metric(&result->rules[0], "b", -(double)INFINITY), 0);
	char *json = NULL;
	size_t size;
	assert_int_equal(check_result_to_json(result, &json, &size), 0);
	assert_int_equal(check_result_from_json(bytes_of(json, size), &back), 0);
	size_t found = 0;
	for (size_t i = 0; i < back->rules[0].metric_count; i++) {
		const struct check_metric *metric = &back->rules[0].metrics[i];
		found += strcmp(metric->name, "a") == 0 && isnan(metric->value);
		found += strcmp(metric->name, "b") == 0 && isinf(metric->value) && metric->value < 0;
	}
	assert_int_equal(found, 2);
	free(json);
	check_result_free(back);
	check_result_free(result);
}

static void a_text_from_outside_is_made_fit_for_json(void **state) {
	(void)state;
	struct check_result *result = NULL, *back = NULL;
	char *json = NULL, *long_text = calloc(1, CHECK_TEXT_MAX + 10);
	size_t size;
	assert_int_equal(check_result_new(&result), 0);
	assert_int_equal(check_result_warn(result, "a\xff"
	                                           "b"),
	        0);
	memset(long_text, 'x', CHECK_TEXT_MAX - 1);
	strcpy(long_text + CHECK_TEXT_MAX - 1, "\xc3\xa9"); /* the cut falls into the letter */
	assert_int_equal(check_result_warn(result, long_text), 0);
	assert_int_equal(check_result_say(result, OUTCOME_ERROR, "x"), 0);
	assert_int_equal(check_result_say(result, OUTCOME_PASSED, "a later word"), 0);
	assert_int_equal(check_result_to_json(result, &json, &size), 0);
	assert_int_equal(check_result_from_json(bytes_of(json, size), &back), 0);
	assert_int_equal(back->outcome, OUTCOME_ERROR); /* an error is not talked away */
	assert_string_equal(back->reason, "x");
	assert_string_equal(back->warnings[0], "a?b");
	assert_int_equal(strlen(back->warnings[1]), CHECK_TEXT_MAX - 1);
	free(json);
	free(long_text);
	check_result_free(back);
	check_result_free(result);
}

static void an_answer_made_to_eat_memory_is_refused_before_it_is_read(void **state) {
	(void)state;
	struct check_result *back = NULL;
	char *bomb = malloc(CHECK_RESULT_MAX);
	memset(bomb, '[', CHECK_RESULT_MAX);
	assert_int_equal(check_result_from_json(bytes_of(bomb, CHECK_RESULT_MAX), &back), -EBADMSG);
	assert_non_null(strstr(fault_message(), "too long"));
	assert_int_equal(check_result_from_json(bytes_of(bomb, 100000), &back), -EBADMSG);
	free(bomb);
}

static struct verdict *a_split_verdict(void) {
	struct verdict *verdict = a_verdict(OUTCOME_PASSED, "Landing/a.csv");
	verdict->split = calloc(1, sizeof *verdict->split);
	assert_non_null(verdict->split);
	verdict->split->check = a_result(OUTCOME_FAILED);
	verdict->split->rows_in = 6;
	verdict->split->rows_out = 4;
	verdict->split->rows_quarantined = 2;
	verdict->split->quarantine.size = 99;
	return verdict;
}

static struct verdict *a_waived_verdict(void) {
	struct verdict *verdict = a_verdict(OUTCOME_FAILED, "Landing/a.csv");
	verdict->has_output = true;
	verdict->output = verdict->input;
	verdict->waiver = calloc(1, sizeof *verdict->waiver);
	assert_non_null(verdict->waiver);
	*verdict->waiver = (struct verdict_waiver){.reason = strdup("it is late\x1b["),
	        .by = strdup("anna"),
	        .uid = 1000,
	        .quarantine = 7,
	        .until_ns = verdict->clock_ns};
	return verdict;
}

/* The text of a verdict that is written, read back and shown; the verdict is freed. */
static char *shown_again(struct verdict *verdict) {
	struct verdict *back = NULL;
	size_t size;
	char *json = json_of(verdict, &size), *text = NULL;
	if (verdict_from_json(bytes_of(json, size), &back) < 0)
		fail_msg("%s", fault_message());
	assert_string_equal(verdict_word(back), verdict_word(verdict));
	assert_int_equal(verdict_text(back, &text), 0);
	free(json);
	verdict_free(back);
	verdict_free(verdict);
	return text;
}

static void has(const char *text, const char *words) {
	if (!strstr(text, words))
		fail_msg("'%s' is not in: %s", words, text);
}

static void withheld_rows_are_told_with_what_the_whole_came_to(void **state) {
	(void)state;
	_cleanup_(freep) char *text = shown_again(a_split_verdict());
	has(text, "Landing/a.csv: passed");
	has(text, "4 of 6 rows published; 2 that broke a rule are in quarantine");
	has(text, "failed  IsComplete \"State\"");
	has(text, "all 2 rules passed");
}

static void a_waiver_is_no_pass_and_says_whose_it_is(void **state) {
	(void)state;
	_cleanup_(freep) char *text = shown_again(a_waived_verdict());
	has(text, "Landing/a.csv: waived");
	has(text, "WAIVER EXPIRED on 2026-11-23 16:00:00 UTC, by anna (quarantine 7): it is late\\x1b[");
	has(text, "failed  IsComplete \"State\"");
	struct verdict *verdict = a_waived_verdict();
	verdict->waiver->until_ns = INT64_C(7000000000) * 1000000000;
	_cleanup_(freep) char *later = shown_again(verdict);
	has(later, "it did not pass, and is let through until 2191-");
}

static void what_speaks_against_itself_is_no_verdict(void **state) {
	(void)state;
	for (int i = 0; i < 7; i++) {
		struct verdict *verdict = i < 4 ? a_split_verdict() : a_waived_verdict(), *back = NULL;
		if (i == 0)
			verdict->split->rows_out = 5;
		if (i == 1)
			verdict->split->rows_quarantined = 0;
		if (i == 2)
			verdict->has_output = false;
		if (i == 3)
			verdict->split->check->outcome = OUTCOME_ERROR;
		if (i == 4)
			verdict->has_output = false;
		if (i == 5) {
			check_result_free(verdict->check);
			verdict->check = a_result(OUTCOME_PASSED);
		}
		if (i == 6)
			verdict->split = calloc(1, sizeof *verdict->split);
		if (i == 6)
			verdict->split->check = a_result(OUTCOME_FAILED);
		size_t size;
		char *json = json_of(verdict, &size);
		if (verdict_from_json(bytes_of(json, size), &back) != -EBADMSG)
			fail_msg("case %d was believed: %s", i, json);
		free(json);
		verdict_free(verdict);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_canonical_form_is_this_to_the_byte),
	        cmocka_unit_test(a_verdict_read_back_is_the_same),
	        cmocka_unit_test(a_text_that_is_not_canonical_is_no_verdict),
	        cmocka_unit_test(a_signature_holds_for_these_bytes_alone),
	        cmocka_unit_test(a_person_is_told_the_rule_the_number_and_what_to_do),
	        cmocka_unit_test(a_person_is_told_what_was_measured_and_what_could_not_be_compared),
	        cmocka_unit_test(nothing_is_said_twice),
	        cmocka_unit_test(a_pass_that_its_own_rules_deny_is_not_believed),
	        cmocka_unit_test(numbers_that_are_not_finite_survive),
	        cmocka_unit_test(a_text_from_outside_is_made_fit_for_json),
	        cmocka_unit_test(an_answer_made_to_eat_memory_is_refused_before_it_is_read),
	        cmocka_unit_test(withheld_rows_are_told_with_what_the_whole_came_to),
	        cmocka_unit_test(a_waiver_is_no_pass_and_says_whose_it_is),
	        cmocka_unit_test(what_speaks_against_itself_is_no_verdict),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
