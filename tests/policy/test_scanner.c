/* Personal data in texts: what is found, where, and what is not. */
#include "policy/privacy/detector.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/policy/scanned.h"

/* ---- the cases of others ---- */

static const char *entity_here(const char *theirs) {
	static const char *const names[][2] = {{"CA_SIN", "CANADA_SIN"}, {"CREDIT_CARD", "CREDIT_CARD"},
	        {"CRYPTO", "CRYPTO_WALLET"}, {"EMAIL_ADDRESS", "EMAIL"}, {"IBAN_CODE", "IBAN"},
	        {"IP_ADDRESS", "IP_ADDRESS"}, {"MAC_ADDRESS", "MAC_ADDRESS"}, {"PHONE_NUMBER", "PHONE_NUMBER"},
	        {"UK_NHS", "UK_NHS_NUMBER"}, {"URL", "URL"}, {"US_ITIN", "USA_ITIN"}, {"US_SSN", "USA_SSN"}};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(names[i][0], theirs) == 0)
			return names[i][1];
	return NULL;
}

static size_t unescape(char *text) {
	char *to = text;
	for (const char *at = text; *at; at++) {
		if (*at == '\\' && at[1])
			*to++ = *++at == 't' ? '\t' : *at == 'n' ? '\n' : *at == 'r' ? '\r' : *at;
		else
			*to++ = *at;
	}
	*to = '\0';
	return (size_t)(to - text);
}

static size_t count_spans(const char *text) {
	size_t count = *text != '\0';
	for (; *text; text++)
		count += *text == ';';
	return count;
}

static void cases_of_presidio_are_found(void **state) {
	(void)state;
	const char *data = getenv("ASSAYFS_TEST_DATA");
	char path[1000], line[4000];
	if (!data)
		skip();
	(void)snprintf(path, sizeof path, "%s/pii/cases.tsv", data);
	FILE *file = fopen(path, "re");
	if (!file)
		skip();
	Scanner *scanner = NULL;
	assert_int_equal(scanner_new(&(struct scan_options){.sensitivity = SCAN_HIGH}, &scanner), 0);
	size_t total = 0, missed = 0;
	while (fgets(line, sizeof line, file)) {
		char *fields[5] = {line};
		for (size_t i = 1; i < 5 && fields[i - 1]; i++)
			if ((fields[i] = strchr(fields[i - 1], '\t')))
				*fields[i]++ = '\0';
		struct spans spans = {.entity = line[0] == '#' || !fields[4] ? NULL : entity_here(fields[0])};
		if (!spans.entity)
			continue;
		total++;
		size_t size = unescape(fields[1]), wanted = strtoul(fields[2], NULL, 10);
		scan(scanner, fields[1], size, &spans);
		bool fits = fields[3][0] ? strcmp(spans.text, fields[3]) == 0 : count_spans(spans.text) == wanted;
		if (fits)
			continue;
		missed++;
		print_message("%s '%s': %s, not %s %s\n", spans.entity, fields[1], spans.text, fields[2], fields[3]);
	}
	(void)fclose(file);
	scanner_free(scanner);
	print_message("%zu cases, %zu missed\n", total, missed);
	assert_true(total > 200 && missed * 50 <= total);
}

/* ---- evidence ---- */

static void assert_finds(enum scan_sensitivity sensitivity, const char *text, const char *expected) {
	_cleanup_(scanner_freep) Scanner *scanner = scanner_of(&(struct scan_options){.sensitivity = sensitivity});
	struct spans spans = {0};
	scan(scanner, text, strlen(text), &spans);
	if (strcmp(spans.text, expected) != 0)
		fail_msg("'%s': '%s', not '%s'", text, spans.text, expected);
}

static void words_near_by_decide_where_digits_do_not(void **state) {
	(void)state;
	assert_finds(SCAN_LOW, "order 536221234", "");
	assert_finds(SCAN_LOW, "my social security number is 536-22-1234", "USA_SSN 29-40");
	assert_finds(SCAN_LOW, "passport: Z12803456", "USA_PASSPORT_NUMBER 10-19");
	assert_finds(SCAN_LOW, "article Z12803456", "");
	assert_finds(SCAN_LOW, "born 1984-02-29", "DATE_OF_BIRTH 5-15");
	assert_finds(SCAN_HIGH, "sent 1984-02-29", "");
	assert_finds(SCAN_LOW, "appel au 604-555-0199", "PHONE_NUMBER 9-21");
	assert_finds(SCAN_LOW, "1600 Pennsylvania Ave", "STREET_ADDRESS 0-21");
	assert_finds(SCAN_LOW, "é é é ann@example.com", "EMAIL 6-21"); /* in code points */
	assert_finds(SCAN_LOW, "V6B 1A1", "CANADA_POSTAL_CODE 0-7");
}

/* English and French, however the month is written; only what can be a day, and only beside a word that says so. */
static void days_of_birth_have_months_with_names(void **state) {
	(void)state;
	static const char *const found[][2] = {{"born 12 May 1980", "5-16"}, {"date of birth: May 12, 1980", "15-27"},
	        {"dob: 12-May-1980", "5-16"}, {"DOB 05/12/80", "4-12"}, {"née le 12 mai 1980", "7-18"},
	        {"né le 1er janvier 1975", "6-22"}, {"Née le 1ER FÉVR. 1975", "7-21"}, {"born 12th May 1980", "5-18"},
	        {"born on the 12th of May, 1980", "12-29"}, {"born 12.Mai 1980", "5-16"}, {"dob 12MAY1980", "4-13"},
	        {"date de naissance : 3 déc. 1999", "20-31"}, {"date de naissance 3 decembre 99", "18-31"},
	        {"dob Sept. 5 1961", "4-16"}, {"dob 3 déc 99", "4-12"}, {"dob 1fév80", "4-10"},
	        {"born 29 Feb 1984", "5-16"}, {"born 7 août '61", "5-15"}, {"NÉE LE 31 JUIL. 1970", "7-20"},
	        {"birthday 1980-May-12", "9-20"}, {"dob: 80-05-12", "5-13"}, {"dob 12 de\u0301c. 1980", "4-17"},
	        {"dob 1980-05-12 00:00:00", "4-14"}, {"dob 1980-05-12T00:00:00Z", "4-14"}};
	static const char *const none[] = {"born 31 June 1980", "born 29 February 1981", "born 0 May 1980",
	        "born 12 May 1880", "born 12 men 1980", "born 12 Maybe 1980", "dob 40/40/80", "DOB 05/12/80/3",
	        "dob 1/05/12/80", "born 12 May 10:30", "met on 12 May 1980", "05/12/80", "12 mai 1980", "1.2.30",
	        "the 12th of May, 1980", "born 12 May 198", "born X12 May 1980"};
	for (size_t i = 0; i < sizeof found / sizeof *found; i++) {
		char expected[40];
		(void)snprintf(expected, sizeof expected, "DATE_OF_BIRTH %s", found[i][1]);
		assert_finds(SCAN_LOW, found[i][0], expected);
	}
	for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
		assert_finds(SCAN_LOW, none[i], "");
		assert_finds(SCAN_HIGH, none[i], "");
	}
}

/* A tenth of telephone numbers pass the NHS's check digit. */
static void a_telephone_number_is_no_health_number(void **state) {
	(void)state;
	char text[40], expected[40];
	unsigned valid = 0;
	for (unsigned i = 0; i < 60; i++) {
		(void)snprintf(text, sizeof text, "604-555-%04u", 180 + i);
		struct table_cell cell = {.data = text, .size = strlen(text)};
		valid += validate_nhs(cell);
		assert_finds(SCAN_LOW, text, "PHONE_NUMBER 0-12");
		if (!validate_nhs(cell))
			continue;
		(void)snprintf(text, sizeof text, "call 604-555-%04u now", 180 + i);
		assert_finds(SCAN_LOW, text, "PHONE_NUMBER 5-17");
		(void)snprintf(text, sizeof text, "nhs 604-555-%04u", 180 + i);
		assert_finds(SCAN_LOW, text, "PHONE_NUMBER 4-16;UK_NHS_NUMBER 4-16");
		(void)snprintf(text, sizeof text, "(604) 555-%04u", 180 + i);
		(void)snprintf(expected, sizeof expected, "PHONE_NUMBER 0-14");
		assert_finds(SCAN_LOW, text, expected);
	}
	assert_true(valid >= 4);
	assert_finds(SCAN_LOW, "943-476-5919", "PHONE_NUMBER 0-12");
	assert_finds(SCAN_LOW, "401-023-2137", "UK_NHS_NUMBER 0-12"); /* no exchange begins with 0 */
	assert_finds(SCAN_LOW, "943 476 5919", "PHONE_NUMBER 0-12;UK_NHS_NUMBER 0-12");
}

static void addresses_have_letters_of_all_languages(void **state) {
	(void)state;
	assert_finds(SCAN_LOW, "à jean-françois.côté@ville.québec.ca, svp", "EMAIL 2-36");
	assert_finds(SCAN_LOW, "françois@example.com", "EMAIL 0-20"); /* not of its end alone */
	assert_finds(SCAN_LOW, "ann@montréal.ca", "EMAIL 0-15");
	/* of a network's own hosts, which no public list has */
	assert_finds(SCAN_LOW, "ann@corp.local", "");
	assert_finds(SCAN_HIGH, "ann@corp.local", "EMAIL 0-14");
	assert_finds(SCAN_LOW, "mail ann@corp.local", "EMAIL 5-19");
	assert_finds(SCAN_LOW, "ann@example.com.Thanks", "EMAIL 0-15");
	assert_finds(SCAN_LOW, "ann@localhost, a@b", "");
	assert_finds(SCAN_LOW, "José@Example.com ann@example.com é", "EMAIL 0-16;EMAIL 17-32");
	assert_finds(SCAN_LOW, "Jose\u0301@example.com", "EMAIL 0-17");
	assert_finds(SCAN_LOW, "иван@почта.рф", "EMAIL 0-13");
	assert_finds(SCAN_LOW, "联系我们ann@example.com谢谢", "EMAIL 4-19");
	assert_finds(SCAN_LOW, "ann@example.comé", "EMAIL 0-15");
	assert_finds(SCAN_HIGH, "prix @été, côté@bord.éé", "");
}

/* What is nested has no column's name, but a key. */
static void keys_of_json_are_context(void **state) {
	(void)state;
	assert_finds(SCAN_LOW, "{\"name\": \"Mary Qwertz\"}", "PERSON_NAME 10-21");
	assert_finds(SCAN_LOW, "{\"id\":7,\"name\":\"Mary Qwertz\",\"x\":1}", "PERSON_NAME 16-27");
	assert_finds(SCAN_LOW, "{\"full_name\": \"Mary Qwertz\"}", "PERSON_NAME 15-26");
	assert_finds(SCAN_LOW, "{\"x\": {\"sku\": 1}, \"user\": {\"name\": \"Mary Qwertz\"}}", "PERSON_NAME 36-47");
	assert_finds(SCAN_LOW, "{\"sin\":\"130692544\"}", "CANADA_SIN 8-17");
	assert_finds(SCAN_LOW, "{\"customerSin\": 130692544}", "CANADA_SIN 16-25");
	assert_finds(SCAN_LOW, "{\"dateOfBirth\": \"12 May 1980\"}", "DATE_OF_BIRTH 17-28");
	assert_finds(SCAN_LOW, "{\"phone\": \"6045550199\"}", "PHONE_NUMBER 11-21");
	assert_finds(SCAN_LOW, "{\"title\": \"Mary Qwertz\"}", "");
	assert_finds(SCAN_LOW, "{\"file_name\": \"Mary Qwertz\"}", "");
	assert_finds(SCAN_LOW, "{\"name\": \"x\", \"y\": \"Mary Qwertz\"}", "");
	assert_finds(SCAN_LOW, "{\"name\": \"Mary Qwertz\", \"breed\": \"Poodle\"}", "");
	assert_finds(SCAN_LOW, "{\"product\": {\"name\": \"Mary Qwertz\"}}", "");
	assert_finds(SCAN_LOW, "name: Mary Qwertz", "");
	_cleanup_(scanner_freep) Scanner *scanner = scanner_of(&(struct scan_options){.sensitivity = SCAN_LOW});
	static const char text[] = "{\"name\": \"Mary Qwertz\"}";
	const struct table_cell names[] = {{"user", 4}, {"product", 7}};
	struct spans spans = {0};
	assert_int_equal(scanner_columns(scanner, &names[0], 1), 0);
	scan(scanner, text, sizeof text - 1, &spans);
	assert_string_equal(spans.text, "PERSON_NAME 10-21");
	assert_int_equal(scanner_columns(scanner, &names[1], 1), 0);
	scan(scanner, text, sizeof text - 1, &spans);
	assert_string_equal(spans.text, "");
}

static void secrets_are_found(void **state) {
	(void)state;
	assert_finds(SCAN_LOW, "AKIAIOSFODNN7EXAMPLE", "SECRET 0-20");
	assert_finds(SCAN_LOW, "-----BEGIN OPENSSH PRIVATE KEY-----", "SECRET 0-35");
	assert_finds(SCAN_LOW, "token=ghp_0123456789abcdefghijABCDEFGHIJ012345", "SECRET 6-46");
	assert_finds(SCAN_LOW, "AKIAIOSFODNN7EXAMPLEX", "");
}

/* A column's name is context for its cells alone. */
static void columns_names_are_context(void **state) {
	(void)state;
	_cleanup_(scanner_freep) Scanner *scanner = scanner_of(&(struct scan_options){.sensitivity = SCAN_LOW});
	const struct table_cell names[] = {{"id", 2}, {"customerPhone", 13}, {"sin_number", 10}};
	char text[] = "6045550199,6045550199,435418165, behind it stands more";
	const struct table_cell cells[] = {{text, 10}, {text + 11, 10}, {text + 22, 9}};
	const uint64_t line = 2;
	const struct table_rows rows = {
	        .count = 1, .columns = 3, .cells = cells, .lines = &line, .text = text, .size = 31};
	struct spans spans = {.entity = "CANADA_SIN"};
	assert_int_equal(scanner_columns(scanner, names, 3), 0);
	assert_int_equal(scanner_rows(scanner, &rows, take_span, &spans), 0);
	assert_string_equal(spans.text, "0-9");
	spans = (struct spans){.entity = "PHONE_NUMBER"};
	assert_int_equal(scanner_rows(scanner, &rows, take_span, &spans), 0);
	assert_string_equal(spans.text, "0-10"); /* of the column that says so, not of the first */
}

static void only_what_is_asked_for_is_found(void **state) {
	(void)state;
	static const char *const entities[] = {"EMAIL", "SECRET"}, *const wrong[] = {"EMAIL", "EMAILS"};
	_cleanup_(scanner_freep) Scanner *scanner =
	        scanner_of(&(struct scan_options){.sensitivity = SCAN_HIGH, .entities = entities, .entity_count = 2});
	struct spans spans = {0};
	static const char text[] = "ann@example.com 604-555-0199 4012888888881881";
	scan(scanner, text, sizeof text - 1, &spans);
	assert_string_equal(spans.text, "EMAIL 0-15");
	Scanner *none = NULL;
	const struct scan_options options = {.entities = wrong, .entity_count = 2};
	assert_int_equal(scanner_new(&options, &none), -EINVAL);
	assert_non_null(strstr(fault_message(), "'EMAILS'"));
}

/* ---- what is none ---- */

enum { CELLS = 1000000 };

/* Numbers and texts as business tables have them: order numbers, times, versions, coordinates, codes, digests. */
static size_t make_cell(unsigned i, uint64_t chance, char text[static 64]) {
	unsigned a = (unsigned)chance, b = (unsigned)(chance >> 32);
	switch (i % 14) {
	case 0:
		return (size_t)snprintf(text, 64, "%010u", a);
	case 1:
		return (size_t)snprintf(text, 64, "ORD-%04u-%06u", a % 10000, b % 1000000);
	case 2:
		return (size_t)snprintf(text, 64, "20%02u-%02u-%02uT%02u:%02u:%02u.%06uZ", a % 30, b % 12 + 1,
		        a % 28 + 1, b % 24, a % 60, b % 60, a % 1000000);
	case 3:
		return (size_t)snprintf(text, 64, "%u.%u.%u", a % 30, b % 40, a % 100);
	case 4:
		return (size_t)snprintf(text, 64, "%u.%u.%u.%u", a % 20, b % 30, a % 40, b % 9999);
	case 5:
		return (size_t)snprintf(text, 64, "%u.%06u,-%u.%06u", a % 90, b % 1000000, b % 180, a % 1000000);
	case 6:
		return (size_t)snprintf(text, 64, "SKU%08X", a);
	case 7:
		return (size_t)snprintf(text, 64, "%08x%08x%08x%08x", a, b, a * 2654435761u, b * 2246822519u);
	case 8:
		return (size_t)snprintf(text, 64, "%u", 1500000000u + a % 300000000u);
	case 9:
		return (size_t)snprintf(
		        text, 64, "%08x-%04x-4%03x-a%03x-%08x%04x", a, b & 0xffff, a >> 20, b >> 20, b, a & 0xffff);
	case 10:
		return (size_t)snprintf(text, 64, "%c%c-%05u/%02u", 'A' + a % 26, 'A' + b % 26, a % 100000, b % 100);
	case 11:
		return (size_t)snprintf(text, 64, "%u.%08u%08u", a % 100, b % 100000000, a % 100000000);
	case 12:
		return (size_t)snprintf(text, 64, "-%u.%07u%05u;%u.%08u%08u", a % 180, b % 10000000, a % 100000, b % 90,
		        a, b % 100000000);
	default:
		return (size_t)snprintf(text, 64, "%u %u x %u cm, %u kg", a % 1000, b % 300, a % 300, b % 90);
	}
}

static int count_finding(void *context, const struct scan_finding *finding) {
	(void)finding;
	++*(unsigned *)context;
	return 0;
}

/* Less than one in a thousand cells, all detectors together. */
static void business_numbers_are_not_personal_data(void **state) {
	(void)state;
	_cleanup_(scanner_freep) Scanner *scanner = scanner_of(&(struct scan_options){.sensitivity = SCAN_LOW});
	enum { LOT = 1000 };
	static char text[LOT * 64 + ROWS_SLACK];
	static struct table_cell cells[LOT];
	static uint64_t lines[LOT];
	uint64_t chance = 88172645463325252u;
	unsigned found = 0;
	for (unsigned i = 0; i < CELLS; i += LOT) {
		char *at = text;
		for (unsigned k = 0; k < LOT; k++) {
			chance ^= chance << 13;
			chance ^= chance >> 7;
			chance ^= chance << 17;
			cells[k] = (struct table_cell){.data = at, .size = make_cell(i + k, chance, at)};
			at += cells[k].size;
			*at++ = '\n';
		}
		const struct table_rows rows = {.count = LOT,
		        .columns = 1,
		        .cells = cells,
		        .lines = lines,
		        .text = text,
		        .size = (size_t)(at - text)};
		assert_int_equal(scanner_rows(scanner, &rows, count_finding, &found), 0);
	}
	print_message("%u of %u cells are flagged\n", found, CELLS);
	assert_true(found * 1000ull < CELLS);
}

/* Each has a name in its place of the alphabet. */
static void detectors_are_listed(void **state) {
	(void)state;
	size_t count = 0;
	for (const char *entity = detector_next_entity(NULL); entity; entity = detector_next_entity(entity)) {
		assert_true(detector_is_entity(entity));
		count++;
	}
	assert_true(count >= 26);
	assert_false(detector_is_entity("NOBODY"));
}

static void many_matches_and_long_cells_end(void **state) {
	(void)state;
	_cleanup_(scanner_freep) Scanner *scanner = scanner_of(&(struct scan_options){.sensitivity = SCAN_HIGH});
	enum { SIZE = 1 << 20 };
	static char text[SIZE + ROWS_SLACK];
	static const char *const parts[] = {
	        "a@b.co ", "1234567890123456 ", "::::::::", "((((((((", "a.", "9-9-9-9-", "+1+1+1"};
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		unsigned found = 0;
		size_t size = strlen(parts[i]);
		for (size_t at = 0; at < SIZE; at++)
			text[at] = parts[i][at % size];
		const struct table_cell cell = {.data = text, .size = 100000};
		const uint64_t line = 1;
		const struct table_rows rows = {
		        .count = 1, .columns = 1, .cells = &cell, .lines = &line, .text = text, .size = 100000};
		int rc = scanner_rows(scanner, &rows, count_finding, &found);
		assert_true(rc == 0 || rc == -EOVERFLOW);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(cases_of_presidio_are_found),
	        cmocka_unit_test(words_near_by_decide_where_digits_do_not),
	        cmocka_unit_test(days_of_birth_have_months_with_names),
	        cmocka_unit_test(a_telephone_number_is_no_health_number),
	        cmocka_unit_test(addresses_have_letters_of_all_languages),
	        cmocka_unit_test(keys_of_json_are_context),
	        cmocka_unit_test(secrets_are_found),
	        cmocka_unit_test(columns_names_are_context),
	        cmocka_unit_test(only_what_is_asked_for_is_found),
	        cmocka_unit_test(business_numbers_are_not_personal_data),
	        cmocka_unit_test(detectors_are_listed),
	        cmocka_unit_test(many_matches_and_long_cells_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
