/* Patterns of one's own, and findings that are allowed. */
#include "policy/privacy/scan_pattern.h"

#include <errno.h>

#include "tests/policy/scanned.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char *const nothing[1];

/* Of these patterns alone, without the detectors. */
static Scanner *own_scanner(const struct scan_pattern *patterns, size_t count) {
	return scanner_of(&(struct scan_options){
	        .entities = nothing, .entity_count = 0, .patterns = patterns, .pattern_count = count});
}

static void assert_spans(Scanner *scanner, const char *text, const char *expected) {
	struct spans spans = {0};
	scan(scanner, text, strlen(text), &spans);
	if (strcmp(spans.text, expected) != 0)
		fail_msg("'%s': '%s', not '%s'", text, spans.text, expected);
}

static void own_patterns_are_found(void **state) {
	(void)state;
	static const struct scan_pattern patterns[] = {{.name = "STAFF", .regex = "\\bE\\d{6}\\b"},
	        {.name = "WHOLE", .regex = "^W-\\d+$"}, {.name = "BESIDE", .regex = "(?<=#)[a-z]+(?=;)"},
	        {.name = "TWICE", .regex = "\\b(\\w{3})-\\1\\b"}, {.name = "UPPER", .regex = "\\p{Lu}{3}9"}};
	_cleanup_(scanner_freep) Scanner *scanner = own_scanner(patterns, COUNT(patterns));
	assert_spans(scanner, "E123456, E1234567 and ann@example.com", "STAFF 0-7");
	assert_spans(scanner, "W-12", "WHOLE 0-4");
	assert_spans(scanner, "x W-12", "");
	assert_spans(scanner, "é #abc;", "BESIDE 3-6");
	assert_spans(scanner, "abc-abc abc-abd", "TWICE 0-7");
	assert_spans(scanner, "ÉÀÇ9", "UPPER 0-4");
}

/* Detectors and patterns beside one another; the pattern's own name is what is told. */
static void detectors_are_used_besides(void **state) {
	(void)state;
	static const char *const entities[] = {"EMAIL"};
	static const struct scan_pattern pattern = {.name = "STAFF", .regex = "E\\d{6}"};
	_cleanup_(scanner_freep) Scanner *scanner = scanner_of(&(struct scan_options){
	        .entities = entities, .entity_count = 1, .patterns = &pattern, .pattern_count = 1});
	assert_spans(scanner, "ann@example.com E123456 604-555-0199", "EMAIL 0-15;STAFF 16-23");
}

/* What Hyperscan can't be asked is asked of each cell: recursion, conditions, cells' ends in odd places. */
static void what_can_not_be_hinted_at_is_found_too(void **state) {
	(void)state;
	static const struct scan_pattern patterns[] = {{.name = "NAMED", .regex = "(?x) N \\d{3} # three digits"},
	        {.name = "IF", .regex = "(<)?I\\d(?(1)>)"}, {.name = "QUOTED", .regex = "\\Q[Q]\\E\\d"},
	        {.name = "KEPT", .regex = "K=\\K\\d{2}"}, {.name = "EITHER", .regex = "(?|x(7)|y(8))\\1"}};
	_cleanup_(scanner_freep) Scanner *scanner = own_scanner(patterns, COUNT(patterns));
	assert_spans(scanner, "N123", "NAMED 0-4");
	assert_spans(scanner, "<I5>", "IF 0-4");
	assert_spans(scanner, "[Q]1", "QUOTED 0-4");
	assert_spans(scanner, "K=12", "KEPT 2-4");
	assert_spans(scanner, "y88 x78", "EITHER 0-3");
}

static void keywords_must_stand_near_by(void **state) {
	(void)state;
	static const char *const keywords[] = {"staff number", "employee"};
	static const struct scan_pattern pattern = {
	        .name = "STAFF", .regex = "\\d{6}", .keywords = keywords, .keyword_count = 2, .distance = 15};
	_cleanup_(scanner_freep) Scanner *scanner = own_scanner(&pattern, 1);
	assert_spans(scanner, "123456", "");
	assert_spans(scanner, "Staff Number: 123456", "STAFF 14-20");
	assert_spans(scanner, "123456 (staff-number)", "STAFF 0-6");
	assert_spans(scanner, "number of staff: 123456", "");
	assert_spans(scanner, "unemployee 123456", "");
	assert_spans(scanner, "employee, here it comes: 123456", "");
	assert_spans(scanner, "an Xemployee, isa: 123456", ""); /* cut at 15 bytes it would be the word */
	const struct table_cell name = {"staffNumber", 11};
	assert_int_equal(scanner_columns(scanner, &name, 1), 0);
	assert_spans(scanner, "123456", "STAFF 0-6");
}

static void validators_and_exceptions_decide(void **state) {
	(void)state;
	static const char *const ignore[] = {"XX-0000"};
	static const struct scan_pattern patterns[] = {{.name = "MEMBER", .regex = "\\b\\d{8}\\b", .validator = "luhn"},
	        {.name = "CODE", .regex = "(?i)\\b[A-Z]{2}-\\d{4}", .ignore = ignore, .ignore_count = 1},
	        {.name = "WEAK", .regex = "~\\d", .score = 20}};
	_cleanup_(scanner_freep) Scanner *scanner = own_scanner(patterns, COUNT(patterns));
	assert_spans(scanner, "12345674 12345675", "MEMBER 0-8");
	assert_spans(scanner, "xx-0000 xx-0001", "CODE 8-15");
	assert_spans(scanner, "~1", ""); /* at low */
}

static int take_finding(void *context, const struct scan_finding *finding) {
	*(struct scan_finding *)context = *finding;
	return 0;
}

static void places_are_told_in_bytes_too(void **state) {
	(void)state;
	static const struct scan_pattern pattern = {.name = "STAFF", .regex = "éE\\d", .score = 77};
	_cleanup_(scanner_freep) Scanner *scanner = own_scanner(&pattern, 1);
	char text[100] = "ééé éE1";
	const struct table_cell cell = {.data = text, .size = strlen(text)};
	const uint64_t line = 7;
	const struct table_rows rows = {
	        .count = 1, .columns = 1, .cells = &cell, .lines = &line, .text = text, .size = cell.size};
	struct scan_finding finding = {0};
	assert_int_equal(scanner_rows(scanner, &rows, take_finding, &finding), 0);
	assert_string_equal(finding.entity, "STAFF");
	assert_int_equal(finding.start, 4);
	assert_int_equal(finding.end, 7);
	assert_int_equal(finding.from, 7);
	assert_int_equal(finding.to, 11);
	assert_int_equal(finding.score, 77);
	assert_int_equal(finding.line, 7);
}

static void allowed_findings_are_counted_and_not_told(void **state) {
	(void)state;
	static const struct scan_allow allow[] = {{.text = "info@example.com"},
	        {.text = ".*@example\\.org", .is_regex = true}, {.text = "nobody@example.org"}};
	static const char *const entities[] = {"EMAIL", "IP_ADDRESS"};
	_cleanup_(scanner_freep) Scanner *scanner = scanner_of(&(struct scan_options){
	        .sensitivity = SCAN_HIGH, .entities = entities, .entity_count = 2, .allow = allow, .allow_count = 3});
	assert_spans(scanner, "Info@Example.com, ann@example.com", "EMAIL 18-33");
	assert_spans(scanner, "nobody@example.org bob@example.org", "");
	assert_spans(scanner, "info@example.com.au", "EMAIL 0-19"); /* the whole finding must be it */
	assert_spans(scanner, "xinfo@example.com", "EMAIL 0-17");
	assert_spans(scanner, "bob@EXAMPLE.org", "EMAIL 0-15");
	assert_int_equal(scanner_allowed(scanner, 0), 1);
	assert_int_equal(scanner_allowed(scanner, 1), 2);
	assert_int_equal(scanner_allowed(scanner, 2), 0);
}

/* A lesser match of the same that lies within does not come in its place. */
static void what_an_allowed_finding_covers_is_not_told(void **state) {
	(void)state;
	static const struct scan_allow allow = {.text = "::ffff:10.0.0.1"};
	static const char *const entities[] = {"IP_ADDRESS"};
	_cleanup_(scanner_freep) Scanner *scanner = scanner_of(&(struct scan_options){
	        .sensitivity = SCAN_HIGH, .entities = entities, .entity_count = 1, .allow = &allow, .allow_count = 1});
	assert_spans(scanner, "::ffff:10.0.0.1", "");
	assert_int_equal(scanner_allowed(scanner, 0), 1);
}

static void what_makes_no_sense_is_refused(void **state) {
	(void)state;
	static const char *const keywords[] = {"--"};
	static const struct {
		struct scan_pattern pattern;
		const char *words;
	} wrong[] = {{{.name = "A", .regex = "ab("}, "missing closing parenthesis (behind byte 3)"},
	        {{.name = "A", .regex = "a*"}, "no character"}, {{.name = "A", .regex = "\\b"}, "no character"},
	        {{.name = "A", .regex = "(?=a)"}, "no character"}, {{.name = "A"}, "no regular expression"},
	        {{.name = "A", .regex = "a", .validator = "lun"}, "'lun'; known: aadhaar, bitcoin, card, "},
	        {{.regex = "a"}, "without a name"}, {{.name = "", .regex = "a"}, "without a name"},
	        {{.name = "A", .regex = "a", .keywords = keywords, .keyword_count = 1}, "'--'"},
	        {{.name = "A", .regex = "a", .score = 101}, "101%"}};
	for (size_t i = 0; i < COUNT(wrong); i++) {
		Scanner *none = NULL;
		const struct scan_options options = {.patterns = &wrong[i].pattern, .pattern_count = 1};
		assert_int_equal(scanner_check_pattern(&wrong[i].pattern), -EINVAL);
		if (!strstr(fault_message(), wrong[i].words))
			fail_msg("%zu: '%s'", i, fault_message());
		assert_int_equal(scanner_new(&options, &none), -EINVAL);
	}
	Scanner *none = NULL;
	static const struct scan_allow allow = {.text = "a(", .is_regex = true};
	assert_int_equal(scanner_new(&(struct scan_options){.allow = &allow, .allow_count = 1}, &none), -EINVAL);
	assert_non_null(strstr(fault_message(), "allowed: 'a('"));
	assert_int_equal(
	        scanner_check_pattern(&(struct scan_pattern){.name = "A", .regex = "a", .validator = "tfn"}), 0);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(own_patterns_are_found),
	        cmocka_unit_test(detectors_are_used_besides),
	        cmocka_unit_test(what_can_not_be_hinted_at_is_found_too),
	        cmocka_unit_test(keywords_must_stand_near_by),
	        cmocka_unit_test(validators_and_exceptions_decide),
	        cmocka_unit_test(places_are_told_in_bytes_too),
	        cmocka_unit_test(allowed_findings_are_counted_and_not_told),
	        cmocka_unit_test(what_an_allowed_finding_covers_is_not_told),
	        cmocka_unit_test(what_makes_no_sense_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
