#include "tests/policy/policy_text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* The example of the design, whole. */
static const char example[] =
        "version: 1\n"
        "datasets:\n"
        "  - name: animal-lost-and-found\n"
        "    match: \"animals/lost-and-found*.csv\"     # glob below a zone; the first match wins\n"
        "    format: {type: csv, delimiter: \";\", header: true}   # detected where not given\n"
        "    keep: \"State IN ('Lost','Matched','Found')\"\n"
        "    rules: animals.dqdl                      # AWS Glue DQDL\n"
        "    references: {register: Trusted/animals/register.csv}\n"
        "    privacy: {detect: [EMAIL, PHONE_NUMBER, CANADA_SIN, CREDIT_CARD], action: refuse, allow: "
        "[\"311@vancouver.ca\"]}\n"
        "    on_failure: refuse                       # or split\n"
        "workflows:\n"
        "  - {name: on-arrival, dataset: animal-lost-and-found, from: Landing, to: Trusted, on: close}\n"
        "  - {name: project-anilost24-dqdp, dataset: animal-lost-and-found, from: Raw, to: Trusted, cron: \"59 23 * * "
        "0\", timezone: America/Vancouver}\n"
        "roles: {steward: {users: [root]}, ingester: {groups: [ingest]}, analyst: {groups: [analysts]}, auditor: "
        "{users: [audit]}}\n"
        "lifecycle: [{zone: Landing, keep_versions: 10, noncurrent_days: 30}]\n"
        "alarms: [{name: project-anilost2024-alarm, metric: EstimatedCharges, above: 38, unit: USD, notify: "
        "[\"webhook:http://127.0.0.1:9/alarm\"]}]\n";

#define DATASET "version: 1\ndatasets:\n  - name: a\n    match: \"*.csv\"\n    rules: r.dqdl\n"

/* ---- what is read ---- */

static void the_example_of_the_design_is_read_whole(void **state) {
	(void)state;
	Policy *policy = parse(example);
	assert_int_equal(policy_dataset_count(policy), 1);
	const struct policy_dataset *d = policy_dataset(policy, 0);
	assert_string_equal(d->name, "animal-lost-and-found");
	assert_int_equal(d->format.type, POLICY_FILE_CSV);
	assert_int_equal(d->format.delimiter, ';');
	assert_int_equal(d->format.quote, 0);
	assert_int_equal(d->format.header, POLICY_HEADER_YES);
	assert_string_equal(d->keep, "State IN ('Lost','Matched','Found')");
	assert_int_equal(d->rules.size, sizeof rules - 1);
	assert_memory_equal(d->rules.data, rules, sizeof rules - 1);
	assert_string_equal(d->references[0].alias, "register");
	assert_string_equal(d->references[0].path, "Trusted/animals/register.csv");
	assert_int_equal(d->privacy->detect_count, 4);
	assert_string_equal(d->privacy->detects[3].entity, "CREDIT_CARD");
	assert_int_equal(d->privacy->detects[3].treatment.action, PRIVACY_REFUSE);
	assert_string_equal(d->privacy->allows[0].text, "311@vancouver.ca");
	assert_int_equal(d->settle_ms, 1000);
	const struct policy_workflow *w = policy_workflow_named(policy, "project-anilost24-dqdp");
	assert_int_equal(w->on, POLICY_ON_CRON);
	assert_string_equal(w->cron, "59 23 * * 0");
	assert_string_equal(w->timezone, "America/Vancouver");
	assert_true(policy_runs_on_arrival(policy, d));
	assert_int_equal(policy_lifecycle(policy, 0)->noncurrent_versions, 10);
	assert_int_equal(policy_lifecycle(policy, 0)->noncurrent_days, 30);
	assert_string_equal(policy_lifecycle(policy, 0)->name, "rule in line 15");
	assert_string_equal(policy_lifecycle(policy, 0)->prefix, "");
	assert_true(policy_alarm(policy, 0)->rule.threshold > 37.9 &&
	            policy_alarm(policy, 0)->rule.comparison == ALARM_ABOVE);
	policy_free(policy);
}

static void lifecycle_rules_are_read_with_the_words_of_s3(void **state) {
	(void)state;
	Policy *policy = parse("version: 1\nlifecycle:\n"
	                       "  - {name: old drafts, zone: Landing, prefix: animals/, noncurrent_versions: 3, "
	                       "noncurrent_days: 7}\n"
	                       "  - {zone: Trusted, noncurrent_versions: 0, noncurrent_days: 365}\n"
	                       "  - {zone: Raw}\n");
	assert_int_equal(policy_lifecycle_count(policy), 3);
	assert_int_equal(policy_warning_count(policy), 0);
	const struct policy_lifecycle *rule = policy_lifecycle(policy, 0);
	assert_string_equal(rule->name, "old drafts");
	assert_string_equal(rule->zone, "Landing");
	assert_string_equal(rule->prefix, "animals/");
	assert_int_equal(rule->noncurrent_versions, 3);
	assert_int_equal(rule->noncurrent_days, 7);
	assert_int_equal(policy_lifecycle(policy, 1)->noncurrent_versions, 0);
	assert_int_equal(policy_lifecycle(policy, 2)->noncurrent_versions, 10);
	assert_int_equal(policy_lifecycle(policy, 2)->noncurrent_days, 30);
	assert_null(policy_lifecycle(policy, 3));
	policy_free(policy);
}

static void levels_of_compression_are_read(void **state) {
	(void)state;
	Policy *policy = parse("version: 1\ncompression: {Landing: 3, Trusted: off}\n");
	assert_int_equal(policy_compression(policy)->landing, 3);
	assert_int_equal(policy_compression(policy)->raw, 0);
	assert_int_equal(policy_compression(policy)->trusted, 0);
	policy_free(policy);
	policy = parse("version: 1\n");
	assert_int_equal(policy_compression(policy)->landing, 0);
	policy_free(policy);
}

/* Those of `keys` go first, whatever datasets say; a dataset without one has none, also where a later one has. */
static void keys_of_their_own_are_read(void **state) {
	(void)state;
	Policy *policy = parse("version: 1\n"
	                       "datasets:\n"
	                       "  - {name: a, match: \"a/*.csv\", rules: animals.dqdl}\n"
	                       "  - {name: b, match: \"**/*.csv\", rules: animals.dqdl, key: alias/b-key}\n"
	                       "keys: [{match: \"c/**\", key: c.key}, {match: \"c/**\", key: other}]\n"
	                       "ignore: [\"*.tmp\"]\n");
	assert_int_equal(policy_key_count(policy), 4);
	assert_string_equal(policy_key_for(policy, "c/x.csv")->name, "c.key");
	assert_int_equal(policy_key_for(policy, "c/x.csv")->line, 5);
	assert_string_equal(policy_key_for(policy, "c/deep/x.tmp")->name, "c.key");
	assert_string_equal(policy_key_for(policy, "d/x.csv")->name, "b-key");
	assert_int_equal(policy_key_for(policy, "d/x.csv")->line, 4);
	assert_null(policy_key_for(policy, "a/x.csv"));
	assert_null(policy_key_for(policy, "d/x.txt"));
	assert_null(policy_key(policy, 2)->name);
	assert_null(policy_key(policy, 4));
	policy_free(policy);
	policy = parse("version: 1\n");
	assert_int_equal(policy_key_count(policy), 0);
	assert_null(policy_key_for(policy, "a"));
	policy_free(policy);
}

static void what_becomes_of_old_records_is_read(void **state) {
	(void)state;
	Policy *policy = parse("version: 1\naudit: {archive_after_days: 7, ship: /srv/logs, keep_days: 365}\n");
	assert_int_equal(policy_audit(policy)->archive_after_days, 7);
	assert_string_equal(policy_audit(policy)->ship, "/srv/logs");
	assert_int_equal(policy_audit(policy)->keep_days, 365);
	policy_free(policy);
	policy = parse("version: 1\naudit: {}\n");
	assert_int_equal(policy_audit(policy)->archive_after_days, 1);
	assert_null(policy_audit(policy)->ship);
	assert_int_equal(policy_audit(policy)->keep_days, 0);
	policy_free(policy);
	policy = parse("version: 1\n");
	assert_null(policy_audit(policy));
	policy_free(policy);
}

static void what_is_not_done_yet_is_said_and_never_ignored(void **state) {
	(void)state;
	Policy *policy = parse(example);
	char all[4096] = "";
	for (size_t i = 0; i < policy_warning_count(policy); i++)
		strncat(strncat(all, policy_warning(policy, i), 1000), "\n", 2);
	assert_null(strstr(all, "alarm"));
	policy_free(policy);
	static const char *const unsupported[] = {
	        "    complete: {marker: \"*.done\"}\n", "    complete: {sha256: \"*.sha256\"}\n"};
	for (size_t i = 0; i < sizeof unsupported / sizeof *unsupported; i++) {
		char yaml[512];
		snprintf(yaml, sizeof yaml, DATASET "%s", unsupported[i]);
		policy = parse(yaml);
		assert_non_null(policy_dataset(policy, 0)->unsupported);
		assert_non_null(strstr(policy_dataset(policy, 0)->unsupported, "line 6) is not supported yet"));
		policy_free(policy);
	}
}

static void note_words(void *context, const char *words) {
	char(*all)[1000] = context;
	strncat(strncat(*all, words, 400), "\n", 2);
}

static void what_is_allowed_no_longer_is_told(void **state) {
	(void)state;
	Policy *policy = parse(DATASET "    privacy:\n      detect: EMAIL\n      allow:\n        - always@example.org\n"
	                               "        - {value: a@example.org, owner: anna, until: 2025-03-31}\n"
	                               "        - {value: b@example.org, owner: bob, until: 2027-03-31}\n");
	char all[1000] = "";
	policy_ended(policy, 1743465599, note_words, &all); /* the last second of 2025-03-31 */
	assert_string_equal(all, "");
	policy_ended(policy, 1743465600, note_words, &all);
	assert_string_equal(all, "policy.yaml:10: the allow entry of anna ended 2025-03-31\n");
	policy_free(policy);
}

static void a_plain_dataset_needs_nothing_more(void **state) {
	(void)state;
	Policy *policy = parse(
	        DATASET "    settle: 250ms\n    on_failure: refuse\n    nulls: [NA, \"\"]\n    format: {delimiter: "
	                "\"\\t\", quote: \"'\"}\n    on_recheck_failure: withdraw\n"
	                "    types: {Date: date, \"the id\": text}\n");
	const struct policy_dataset *d = policy_dataset(policy, 0);
	assert_null(d->unsupported);
	assert_int_equal(policy_warning_count(policy), 0);
	assert_int_equal(d->settle_ms, 250);
	assert_int_equal(d->nulls, POLICY_NULLS_WORDS);
	assert_string_equal(d->null_words[0], "NA");
	assert_string_equal(d->null_words[1], "");
	assert_int_equal(d->type_count, 2);
	assert_int_equal(d->types[0].type, COLUMN_DATE);
	assert_string_equal(d->types[1].name, "the id");
	assert_int_equal(d->format.delimiter, '\t');
	assert_int_equal(d->format.quote, '\'');
	assert_true(d->withdraw);
	assert_true(policy_runs_on_arrival(policy, d)); /* without any workflow */
	policy_free(policy);
}

static void the_first_dataset_that_matches_governs(void **state) {
	(void)state;
	Policy *policy = parse("version: 1\n"
	                       "datasets:\n"
	                       "  - {name: one, match: \"a/*.csv\", rules: r.dqdl}\n"
	                       "  - {name: all, match: \"**/*.csv\", rules: r.dqdl}\n");
	assert_string_equal(policy_dataset_for(policy, "a/x.csv")->name, "one");
	assert_string_equal(policy_dataset_for(policy, "b/x.csv")->name, "all");
	assert_null(policy_dataset_for(policy, "b/x.txt"));
	assert_string_equal(policy_dataset_closest(policy, "a/x.csvv", NULL)->name, "one");
	assert_null(policy_dataset_closest(policy, "zzzzzzzzzzzzzzzzzz", NULL));
	policy_free(policy);
}

static void what_keeps_a_file_from_its_dataset_is_said(void **state) {
	(void)state;
	Policy *policy = parse("version: 1\n"
	                       "datasets:\n"
	                       "  - {name: pots, match: \"pots/*.csv\", rules: r.dqdl}\n"
	                       "  - {name: pets, match: \"pets/*.csv\", rules: r.dqdl}\n"
	                       "  - {name: report, match: \"report.txt\", rules: r.dqdl}\n");
	static const struct {
		const char *path, *words;
	} cases[] = {
	        {"Pets/a.CSV", "the closest is dataset pets (match \"pets/*.csv\"): only upper and lower case differ"},
	        {"pets/2026/a.csv",
	                "the closest is dataset pets (match \"pets/*.csv\"): the name fits, the folder does "
	                "not (match \"**/*.csv\" would take any folder)"},
	        {"sub/report.txt",
	                "the closest is dataset report (match \"report.txt\"): the name fits, the folder does "
	                "not (match \"**/report.txt\" would take any folder)"},
	        {"report.text", "the closest is dataset report (match \"report.txt\")"},
	        {"nothing of the kind", ""},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char words[POLICY_CLOSEST_BYTES];
		policy_closest_words(policy, cases[i].path, words);
		assert_string_equal(words, cases[i].words);
	}
	policy_free(policy);
}

static void names_of_unfinished_files_never_arrive(void **state) {
	(void)state;
	Policy *policy = parse("version: 1\n"
	                       "datasets: [{name: a, match: \"**\", rules: r.dqdl}]\n"
	                       "ignore: [\"*.tmp\", \"scratch/**\"]\n");
	static const char *const ignored[] = {".~lock.a.csv#", "d/.~lock.a.csv#", ".a.csv.swp", ".a.csv.swx", "4913",
	        "d/4913", "a.csv~", "~$a.xlsx", "a.csv.part", "a.csv.crdownload", ".a.csv.Xy12Zq", "d/.a.csv.Xy12Zq",
	        "a.tmp", "d/a.tmp", "scratch/a.csv"};
	static const char *const taken[] = {
	        "a.csv", "d/a.csv", "49130", ".hidden", "part", "a.part.csv", "x/scratch/a.csv"};
	for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) {
		if (!policy_ignored(policy, ignored[i]))
			fail_msg("%s should be ignored", ignored[i]);
		assert_null(policy_dataset_for(policy, ignored[i]));
	}
	for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
		if (policy_ignored(policy, taken[i]))
			fail_msg("%s should not be ignored", taken[i]);
		assert_non_null(policy_dataset_for(policy, taken[i]));
	}
	size_t count = 0;
	while (policy_ignore_pattern(policy, count))
		count++;
	assert_string_equal(policy_ignore_pattern(policy, count - 1), "scratch/**");
	policy_free(policy);
}

static void a_vault_without_a_policy_governs_nothing(void **state) {
	(void)state;
	Policy *policy = NULL;
	static const uint8_t zeros[32];
	assert_int_equal(policy_empty(&policy), 0);
	assert_true(policy_is_empty(policy));
	assert_null(policy_dataset_for(policy, "a.csv"));
	assert_true(policy_ignored(policy, "a.csv~"));
	assert_memory_equal(policy_sha256(policy), zeros, 32);
	struct policy_actor mounter = {.uid = 1000, .is_mounter = true}, other = {.uid = 0};
	assert_true(policy_role_holds(policy, ROLE_STEWARD, &mounter));
	assert_false(policy_role_holds(policy, ROLE_STEWARD, &other));
	policy_free(policy);
}

/* ---- what is refused ---- */

static void an_unknown_key_is_named_with_its_place_and_the_keys_there_are(void **state) {
	(void)state;
	static const char yaml[] = "version: 1\n"
	                           "datasets:\n"
	                           "  - name: a\n"
	                           "    formt: {type: csv}\n"
	                           "    match: \"*.csv\"\n"
	                           "    rules: r.dqdl\n";
	expect_refused(yaml, sizeof yaml - 1, -EINVAL,
	        "policy.yaml:4:5: unknown key 'formt' in a dataset; there are: name, match, format, key, keep, "
	        "rules, "
	        "references, "
	        "privacy, k_anonymity, l_diversity, on_failure, on_recheck_failure, nulls, types, settle, complete");
}

static void each_mistake_is_told_with_line_and_column(void **state) {
	(void)state;
	static const struct {
		const char *yaml, *words;
	} cases[] = {
	        {"", "policy.yaml:1:1: the file is empty"},
	        {"# nothing\n", "policy.yaml:1:1: the file is empty"},
	        {"datasets: []\n", "policy.yaml:1:1: the policy needs 'version:'"},
	        {"version: 2\n", "policy.yaml:1:10: this assayfs reads 'version: 1', not 2"},
	        {"version: \"1\"\n", "policy.yaml:1:10: 'version: 1' must be a whole number"},
	        {"version: [1]\n", "policy.yaml:1:10: 'version' takes a single value, but here is a list"},
	        {"- version: 1\n", "policy.yaml:1:1: the policy is a map (key: value), but here is a list"},
	        {"version: 1\nversion: 1\n", "policy.yaml:2:1: 'version' is here twice, first in line 1"},
	        {"version: 1\nrules: x\n",
	                "policy.yaml:2:1: unknown key 'rules' in the policy; there are: version, datasets"},
	        {"version: 1\ndatasets: {a: b}\n", "policy.yaml:2:11: 'datasets' is a list"},
	        {"version: 1\ndatasets: [a]\n",
	                "policy.yaml:2:12: a dataset is a map (key: value), but here is a single value"},
	        {"version: 1\ndatasets:\n  - {match: \"*\", rules: r.dqdl}\n",
	                "policy.yaml:3:5: a dataset needs 'name:'"},
	        {"version: 1\ndatasets:\n  - {name: a, match: \"*\"}\n",
	                "policy.yaml:3:5: a dataset needs 'rules:', or 'privacy:', or both"},
	        {"version: 1\ndatasets:\n  - {name: a, match: \"/a\", rules: r.dqdl}\n",
	                "policy.yaml:3:22: 'match: /a': an empty component at byte 1"},
	        {DATASET "  - name: a\n    match: x\n    rules: r.dqdl\n",
	                "policy.yaml:6:5: a dataset is called 'a' already in line 3"},
	        {DATASET "    format: {type: xlsx}\n",
	                "policy.yaml:6:20: 'type: xlsx' is not one of: csv, jsonl, text"},
	        {DATASET "    format: {delimiter: \";;\"}\n",
	                "policy.yaml:6:25: 'delimiter: ;;' must be one ASCII character"},
	        {DATASET "    format: {header: maybe}\n",
	                "policy.yaml:6:22: 'header: maybe' is not one of: false, true"},
	        {DATASET "    format: {delimiter: \"'\", quote: \"'\"}\n", "policy.yaml:6:13: delimiter and quote"},
	        {DATASET "    settle: 5\n", "policy.yaml:6:13: 'settle' is a time like 500ms, 2s or 5m"},
	        {DATASET "    settle: 100m\n", "policy.yaml:6:13: 'settle' is a time"},
	        {DATASET "    complete: {}\n", "policy.yaml:6:15: 'complete' takes either"},
	        {DATASET "    nulls: perhaps\n", "policy.yaml:6:12: 'nulls: perhaps' is not one of: glue, empty, none"},
	        {DATASET "    types: [a]\n", "policy.yaml:6:12: 'types' is a map"},
	        {DATASET "    types: {a: texts}\n",
	                "policy.yaml:6:16: 'a' takes a type: text, number, date or boolean"},
	        {DATASET "    types: {a: [text]}\n", "policy.yaml:6:16: 'a' takes a type"},
	        {DATASET "    privacy: {detect: [E_MAIL]}\n", "policy.yaml:6:24: there is no detector 'E_MAIL'"},
	        {DATASET "    privacy: {action: refuse}\n",
	                "policy.yaml:6:14: 'privacy' needs 'detect:', 'patterns:' or 'columns:'"},
	        {DATASET "    references: {r: Landing/r.csv}\n", "policy.yaml:6:21: a reference is a file in Trusted"},
	        {DATASET "    references: {primary: Trusted/r.csv}\n",
	                "policy.yaml:6:18: 'primary' is the dataset's own name"},
	        {DATASET "    references: {a: Trusted/r, b: Trusted/r, c: Trusted/r, d: Trusted/r, e: Trusted/r, f: "
	                 "Trusted/r, "
	                 "g: Trusted/r, h: Trusted/r, i: Trusted/r, j: Trusted/r, k: Trusted/r, l: Trusted/r, m: "
	                 "Trusted/r, n: "
	                 "Trusted/r, o: Trusted/r, p: Trusted/r, q: Trusted/r}\n",
	                "policy.yaml:6:17: a dataset has at most 16 references"},
	        {DATASET "workflows: [{name: w, dataset: b, from: Landing, to: Trusted, on: close}]\n",
	                "policy.yaml:6: workflow w is for a dataset 'b' that is not there"},
	        {DATASET "workflows: [{name: w, dataset: a, from: Raw, to: Trusted, on: close}]\n",
	                "policy.yaml:6:13: 'on: close' is an arrival"},
	        {DATASET "workflows: [{name: w, dataset: a, from: Raw, to: Trusted, cron: \"59 24 * * 0\"}]\n",
	                "policy.yaml:6:65: 'cron: 59 24 * * 0': the hour (field 2 of five)"},
	        {DATASET "workflows: [{name: w, dataset: a, from: Raw, to: Trusted, cron: \"59 23 * *\"}]\n",
	                "policy.yaml:6:65: 'cron: 59 23 * *'"},
	        {DATASET "workflows: [{name: w, dataset: a, from: Raw, to: Trusted, cron: \"0 0 * * * *\"}]\n",
	                "policy.yaml:6:65: 'cron: 0 0 * * * *' has more than five fields"},
	        {DATASET "workflows: [{name: w, dataset: a, from: Raw, to: Trusted, cron: \"0 0 5-1 * *\"}]\n",
	                "policy.yaml:6:65: 'cron: 0 0 5-1 * *': the day of the month (field 3 of five)"},
	        {DATASET "workflows: [{name: w, dataset: a, from: Raw, to: Trusted, cron: \"0 0 1, * *\"}]\n",
	                "policy.yaml:6:65: 'cron: 0 0 1, * *': the day of the month"},
	        {DATASET "workflows: [{name: w, dataset: a, from: Raw, to: Trusted, cron: \"0 0 * * *\", timezone: "
	                 "../etc}]\n",
	                "policy.yaml:6:88: 'timezone': '../etc' is no time zone's name"},
	        {DATASET "workflows: [{name: w, dataset: a, from: Raw, to: Trusted, cron: \"0 0 30 2 *\"}]\n",
	                "policy.yaml:6:65: 'cron: 0 0 30 2 *' never runs"},
	        {DATASET "workflows: [{name: w, dataset: a, from: Raw, to: Trusted, after: x}]\n",
	                "policy.yaml:6: workflow w is to run after 'x', which is not there"},
	        {DATASET "workflows: [{name: w, dataset: a, from: Raw, to: Trusted, after: w}]\n",
	                "policy.yaml:6: workflow w runs after 'w', which waits for w in turn: a circle"},
	        {DATASET "workflows: [{name: w, dataset: a, from: Raw, to: Trusted, on: demand, time_limit: 5}]\n",
	                "policy.yaml:6:83: 'time_limit' is a time like 30s, 30m or 2h"},
	        {DATASET "workflows: [{name: w, dataset: a, from: Raw, to: Raw, on: demand}]\n",
	                "policy.yaml:6:13: a workflow goes from Landing or Raw to Trusted"},
	        {"version: 1\nroles: {ingester: {users: [root]}}\n", "policy.yaml:2:8: 'roles' without a steward"},
	        {"version: 1\nroles: {king: {users: [root]}}\n",
	                "policy.yaml:2:9: unknown key 'king' in 'roles'; there are: steward"},
	        {"version: 1\naudit: {ship: logs}\n", "policy.yaml:2:15: 'ship' is a directory of this machine"},
	        {"version: 1\naudit: {keep_days: 365}\n", "policy.yaml:2:8: 'keep_days' needs 'ship'"},
	        {"version: 1\naudit: {archive_after_days: 7, ship: /srv/logs, keep_days: 6}\n",
	                "policy.yaml:2:8: 'keep_days' is at least 'archive_after_days', here 7"},
	        {"version: 1\naudit: {archive_after_days: 0}\n", "policy.yaml:2:29: 'archive_after_days: 0' must be"},
	        {"version: 1\naudit: {keep: 6}\n", "policy.yaml:2:9: unknown key 'keep' in 'audit'"},
	        {"version: 1\naudit: [7]\n", "policy.yaml:2:8: 'audit'"},
	        {"version: 1\nlifecycle: [{zone: Landing, keep_versions: many}]\n",
	                "policy.yaml:2:44: 'keep_versions: many' must be a whole number"},
	        {"version: 1\nlifecycle: [{zone: Landing, noncurrent_versions: 1001}]\n",
	                "policy.yaml:2:50: 'noncurrent_versions: 1001' must be a whole number"},
	        {"version: 1\nlifecycle: [{zone: Landing, noncurrent_days: 0}]\n",
	                "policy.yaml:2:46: 'noncurrent_days: 0' must be a whole number"},
	        {"version: 1\nlifecycle: [{noncurrent_days: 30}]\n", "policy.yaml:2:13: "},
	        {"version: 1\nlifecycle: [{zone: landing}]\n", "policy.yaml:2:20: "},
	        {"version: 1\nlifecycle: [{zone: Raw, prefix: /a}]\n",
	                "policy.yaml:2:33: 'prefix' is how paths below the zone begin, like animals/"},
	        {"version: 1\nlifecycle: [{zone: Raw, prefix: Raw/a}]\n",
	                "policy.yaml:2:33: 'prefix' is how paths below the zone begin: without 'Raw/'"},
	        {"version: 1\nlifecycle: [{zone: Raw, days: 3}]\n",
	                "policy.yaml:2:25: unknown key 'days' in a lifecycle rule; there are: name, zone, prefix"},
	        {"version: 1\nlifecycle:\n  - {name: a, zone: Raw}\n  - {name: a, zone: Landing}\n",
	                "policy.yaml:4:5: a lifecycle rule is called 'a' already in line 3"},
	        {"version: 1\nlifecycle: [{name: \"a\\tb\", zone: Raw}]\n",
	                "policy.yaml:2:20: a lifecycle rule's name has no control characters"},
	        {"version: 1\nkeys: [{match: \"a/**\"}]\n", "policy.yaml:2:"},
	        {"version: 1\nkeys: [{match: \"a/**\", key: raw}]\n",
	                "policy.yaml:2:29: 'key: raw' is a key of the vault itself"},
	        {"version: 1\nkeys: [{match: \"a/**\", key: alias/metadata}]\n",
	                "policy.yaml:2:29: 'key: metadata' is a key of the vault itself"},
	        {"version: 1\nkeys: [{match: \"a/**\", key: A}]\n", "policy.yaml:2:29: 'key: A': a key is called by"},
	        {"version: 1\nkeys: [{match: \"a/**\", key: alias/}]\n",
	                "policy.yaml:2:29: 'key: alias/': a key is called by"},
	        {"version: 1\nkeys: [{match: \"a/**\", key: alias/alias/a}]\n",
	                "policy.yaml:2:29: 'key: alias/alias/a'"},
	        {"version: 1\nkeys: [{match: \"a/**\", key: a, zone: Raw}]\n",
	                "policy.yaml:2:32: unknown key 'zone' in an entry of 'keys'; there are: match, key"},
	        {"version: 1\ncompression: {Landing: 20}\n", "policy.yaml:2:24: 'Landing: 20' must be a whole number"},
	        {"version: 1\ncompression: {Raw: 0}\n", "policy.yaml:2:20: 'Raw: 0' must be a whole number"},
	        {"version: 1\ncompression: {raw: 3}\n",
	                "policy.yaml:2:15: unknown key 'raw' in 'compression'; there are: Landing, Raw, Trusted"},
	        {"version: 1\ncompression: 3\n", "policy.yaml:2:14: 'compression'"},
	        {"version: 1\nlifecycle: {zone: Raw}\n", "policy.yaml:2:12: 'lifecycle'"},
	        {"version: 1\nalarms: [{name: a, metric: StoredBytes, notify: []}]\n",
	                "policy.yaml:2:10: an alarm needs 'above:'"},
	        {"version: 1\nalarms: [{name: a, metric: StoredBytes, above: 3x}]\n",
	                "policy.yaml:2:48: 'above' takes a number"},
	        {"version: 1\nalarms: [{name: a, metric: StoredBytes, above: 3, notify: [\"pigeon:x\"]}]\n",
	                "policy.yaml:2:59: 'notify: pigeon:x' must begin with webhook"},
	        {"version: 1\nalarms: [{name: a, metric: StoredByts, above: 3}]\n",
	                "policy.yaml:2:28: there is no metric 'StoredByts'; did you mean 'StoredBytes'?"},
	        {"version: 1\nalarms: [{name: a, metric: StoredBytes, above: 3, below: 2}]\n",
	                "policy.yaml:2:58: an alarm has one of 'above:'"},
	        {"version: 1\nalarms: [{name: a, metric: StoredBytes, above: 3, dimensions: {zoo: Raw}}]\n",
	                "policy.yaml:2:64: StoredBytes has no dimension 'zoo'; there are: zone"},
	        {"version: 1\nalarms: [{name: a, metric: StoredBytes, above: 3, period: 90}]\n",
	                "policy.yaml:2:59: 'period' is 60 (seconds) or a multiple"},
	        {"version: 1\nalarms: [{name: a, metric: StoredBytes, above: 3, period: 1h, of: 25}]\n",
	                "policy.yaml:2:10: 25 periods of 3600 s are longer than a day"},
	        {"version: 1\nalarms: [{name: a, metric: StoredBytes, above: 3, datapoints: 3, of: 2}]\n",
	                "policy.yaml:2:10: 'datapoints: 3' of 'of: 2' periods"},
	        {"version: 1\nalarms: [{name: a, metric: StoredBytes, above: 3, missing: maybe}]\n",
	                "policy.yaml:2:60: 'missing: maybe' is not one of: missing, ignore, breaching, notBreaching"},
	        {"version: 1\nalarms: [{name: a, above: 3}]\n",
	                "policy.yaml:2:10: an alarm needs 'metric:', or 'metrics:'"},
	        {"version: 1\nalarms: [{name: a, metrics: {m1: {metric: StoredBytes}}, expression: m1 + m2, above: "
	         "3}]\n",
	                "policy.yaml:2:70: 'expression': column 6: there is no series 'm2'"},
	        {"version: 1\nalarms: [{name: a, metric: StoredBytes, above: 3, notify: [\"mailto:a@b.c\"]}]\n",
	                "policy.yaml:2:59: 'notify: mailto:a@b.c' needs a server"},
	        {"version: 1\nalarms: [{name: a, metric: StoredBytes, above: 3, notify: [\"command:../x\"]}]\n",
	                "policy.yaml:2:59: 'notify: command:../x' is no plain file name"},
	        {"version: 1\nmail: {server: \"http://x\", from: a@b.c}\n", "policy.yaml:2:16: 'server' is like smtp"},
	        {"version: 1\nmail: {server: \"smtp://x\", from: \"a@b.c\\r\\nBcc: x\"}\n",
	                "policy.yaml:2:34: 'from' is a plain address"},
	        {"version: 1\nignore: [\"a/\"]\n", "policy.yaml:2:10: 'ignore: a/': an empty component"},
	        {"version: 1\nignore: [\n", "policy.yaml:3:1: "},
	        {"version: 1\n\tdatasets: []\n", "policy.yaml:2:1: found a tab character"},
	        {"version: 1\n---\nversion: 1\n", "policy.yaml:2:1: a second document begins"},
	        {"version: !!int 1\n", "policy.yaml:1:10: tags"},
	        {"version: &a 1\n", "policy.yaml:1:10: anchors and aliases are not accepted"},
	        {"version: 1\nignore: *a\n", "policy.yaml:2:9: anchors and aliases are not accepted"},
	        {"version: 1\nignore: [\"a\\0b\"]\n", "policy.yaml:2:10: the text has a NUL byte"},
	        {"version: 1\n? [a]\n: b\n", "policy.yaml:2:3: a key must be a plain text"},
	        {"version: 1\n# \xff\n", "policy.yaml:2:3: byte 0xff is not UTF-8 text"},
	        {"\xff\xfev\0", "policy.yaml:1:1: the file is UTF-16"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		expect_refused(cases[i].yaml, strlen(cases[i].yaml), -EINVAL, cases[i].words);
	static const char missing[] = "version: 1\ndatasets:\n  - {name: a, match: x, rules: nowhere.dqdl}\n";
	expect_refused(missing, sizeof missing - 1, -ENOENT, "policy.yaml:3:32: there is no rules file nowhere.dqdl");
}

static void a_time_zone_that_this_machine_does_not_know_is_refused(void **state) {
	(void)state;
	if (access("/usr/share/zoneinfo/UTC", R_OK) != 0)
		skip(); /* without tzdata no name can be looked up */
	static const char yaml[] =
	        DATASET "workflows: [{name: w, dataset: a, from: Raw, to: Trusted, cron: \"*/5 0-6,23 1 1 "
	                "7\", timezone: Mars/Olympus}]\n";
	expect_refused(yaml, sizeof yaml - 1, -EINVAL,
	        "policy.yaml:6:95: 'timezone': this machine knows no time zone 'Mars/Olympus'");
}

static void a_bomb_of_a_document_is_refused(void **state) {
	(void)state;
	static char deep[4000], wide[BUNDLE_FILE_MAX];
	memset(deep, '[', sizeof deep);
	memcpy(deep, "version: 1\nignore: ", 19);
	expect_refused(deep, sizeof deep, -EINVAL, "policy.yaml:2:24: the document is nested too deeply");
	memset(wide, ',', sizeof wide);
	memcpy(wide, "version: 1\nignore: [", 20);
	for (size_t i = 20; i + 1 < sizeof wide; i += 2)
		wide[i] = 'a';
	expect_refused(wide, sizeof wide, -EINVAL, "policy.yaml:2:");
	assert_non_null(strstr(fault_message(), "too many entries"));
	static char keys[BUNDLE_FILE_MAX];
	size_t used = 0;
	for (size_t i = 0; i < 2000; i++)
		used += (size_t)snprintf(keys + used, sizeof keys - used, "k%zu: 1\n", i);
	expect_refused(keys, used, -EINVAL, "policy.yaml:513:1: more than 512 keys");
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_example_of_the_design_is_read_whole),
	        cmocka_unit_test(lifecycle_rules_are_read_with_the_words_of_s3),
	        cmocka_unit_test(levels_of_compression_are_read),
	        cmocka_unit_test(keys_of_their_own_are_read),
	        cmocka_unit_test(what_becomes_of_old_records_is_read),
	        cmocka_unit_test(what_is_not_done_yet_is_said_and_never_ignored),
	        cmocka_unit_test(what_is_allowed_no_longer_is_told),
	        cmocka_unit_test(a_plain_dataset_needs_nothing_more),
	        cmocka_unit_test(the_first_dataset_that_matches_governs),
	        cmocka_unit_test(what_keeps_a_file_from_its_dataset_is_said),
	        cmocka_unit_test(names_of_unfinished_files_never_arrive),
	        cmocka_unit_test(a_vault_without_a_policy_governs_nothing),
	        cmocka_unit_test(an_unknown_key_is_named_with_its_place_and_the_keys_there_are),
	        cmocka_unit_test(each_mistake_is_told_with_line_and_column),
	        cmocka_unit_test(a_time_zone_that_this_machine_does_not_know_is_refused),
	        cmocka_unit_test(a_bomb_of_a_document_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
