/* Names of persons: what is known, what is flagged, and what is not. */
#include "policy/privacy/person.h"

#include "policy/dqdl/pattern.h"
#include "policy/privacy/names.h"
#include "policy/table/utf8.h"

#include "tests/policy/chance.h"
#include "tests/policy/scanned.h"

static void names_are_known_in_any_case_and_with_marks(void **state) {
	(void)state;
	names_ready();
	static const struct {
		const char *word;
		unsigned kind;
	} words[] = {{"maria", NAME_GIVEN}, {"MARIA", NAME_GIVEN}, {"Smith", NAME_SURNAME}, {"José", NAME_GIVEN},
	        {"FRANÇOIS", NAME_GIVEN}, {"Müller", NAME_SURNAME}, {"Nguyễn", NAME_SURNAME}, {"Phương", NAME_GIVEN},
	        {"Jean-Pierre", NAME_GIVEN}, {"Ji-hoon", NAME_GIVEN}, {"O'Brien", NAME_SURNAME},
	        {"O\xe2\x80\x99"
	         "Connor",
	                NAME_SURNAME | NAME_GIVEN},
	        {"Smith-Xyz", NAME_SURNAME}, {"Victoria", NAME_GIVEN_TOO}, {"Park", NAME_SURNAME_TOO},
	        {"Thomas", NAME_GIVEN | NAME_SURNAME}, {"Jose\xcc\x81", NAME_GIVEN}, {"Xyzzy", 0}, {"", 0}, {"M", 0},
	        {"Мария", 0}, {"Mariasmith", 0}, {"Abdulrahmanabdulrahman", 0}, {"mariamaria", 0}, {"Smit", 0}};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		unsigned kind = names_kind_of(words[i].word, strlen(words[i].word));
		if (kind != words[i].kind)
			fail_msg("'%s' is %u, not %u", words[i].word, kind, words[i].kind);
	}
}

static void assert_persons(
        const char *column, enum scan_sensitivity sensitivity, const char *text, const char *expected) {
	static const char *const entities[] = {"PERSON_NAME"};
	_cleanup_(scanner_freep) Scanner *scanner =
	        scanner_of(&(struct scan_options){.sensitivity = sensitivity, .entities = entities, .entity_count = 1});
	struct spans spans = {.entity = "PERSON_NAME"};
	const struct table_cell name = {column, column ? strlen(column) : 0};
	if (column)
		assert_int_equal(scanner_columns(scanner, &name, 1), 0);
	scan(scanner, text, strlen(text), &spans);
	if (strcmp(spans.text, expected) != 0)
		fail_msg("'%s': '%s', not '%s'", text, spans.text, expected);
}

static void known_names_are_found_at_low(void **state) {
	(void)state;
	static const char *const found[][2] = {{"Mary Smith", "0-10"}, {"Smith, Mary", "0-11"},
	        {"Mary Ann Smith", "0-14"}, {"MARY SMITH", "0-10"}, {"the dog of Mary Smith is lost", "11-21"},
	        {"Call Mary Smith Today", "5-15"}, {"Dear Mr. John Brown, hello", "9-19"}, {"Nguyen Minh", "0-11"},
	        {"José García López", "0-17"}, {"Élodie Tremblay and François Gagné", "0-15;20-34"},
	        {"Mary J. Smith", "0-13"}, {"Maria de la Cruz", "0-16"}, {"Thomas O'Malley", "0-15"},
	        {"Harpreet Kaur Gill", "0-18"}, {"Mary Smith, John Jones", "0-10;12-22"}, {"'Mary Smith'", "1-11"},
	        {"Smith, Mary; Jones, John", "0-11;13-24"}, {"Jean-Pierre Roy", "0-15"}};
	for (size_t i = 0; i < sizeof found / sizeof *found; i++)
		assert_persons(NULL, SCAN_LOW, found[i][0], found[i][1]);
}

static void what_only_looks_like_names_is_not(void **state) {
	(void)state;
	static const char *const none[] = {"mary smith", "Black White", "Victoria Park", "Virginia Beach",
	        "German Shepherd", "Jack Russell Terrier", "Jack Russell", "King Charles", "Mary Smith Street",
	        "Smith Ltd", "Morgan Stanley", "Wong Wong", "Mary", "Smith", "xMary Smith", "Mary Smith2", "Mary_Smith",
	        "mary.Smith@example.com", "Mary-Smith", "Mary  Smith", "Mary\tSmith", "San Jose", "New York", "Mary Q",
	        "Maria Creek Drive"};
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		assert_persons(NULL, SCAN_LOW, none[i], "");
}

static void one_known_name_needs_context_or_high(void **state) {
	(void)state;
	assert_persons(NULL, SCAN_LOW, "Mary Qwerty", "");
	assert_persons(NULL, SCAN_HIGH, "Mary Qwerty", "0-11");
	assert_persons(NULL, SCAN_HIGH, "Xqzwy Smith", "0-11");
	assert_persons(NULL, SCAN_HIGH, "Smith X", "");
	assert_persons("customer_id", SCAN_LOW, "Mary Qwerty", "0-11");
	assert_persons(NULL, SCAN_LOW, "the patient Mary Qwerty", "12-23");
	assert_persons("name", SCAN_LOW, "Mary Qwerty", "");
	assert_persons(NULL, SCAN_HIGH, "Aqwe Xyrty", "");
}

static void columns_of_names_need_no_known_one(void **state) {
	(void)state;
	static const char *const whole[] = {"full_name", "ownerName", "Customer Name", "owner", "Patient"};
	static const char *const parts[] = {"first_name", "LastName", "surname", "prénom", "nom"};
	for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
		assert_persons(whole[i], SCAN_LOW, "Aqwe Xyrty", "0-10");
		assert_persons(whole[i], SCAN_LOW, "Мария Иванова", "0-13");
		assert_persons(whole[i], SCAN_LOW, "Aqwe Xyrty Ltd", "");
		assert_persons(whole[i], SCAN_LOW, "Aqwe", "");
	}
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		assert_persons(parts[i], SCAN_LOW, "Aqwe", "0-4");
		assert_persons(parts[i], SCAN_LOW, " Élodie ", "1-7");
		assert_persons(parts[i], SCAN_LOW, "aqwe", "");
		assert_persons(parts[i], SCAN_LOW, "Aqwe, who says more", "");
	}
	assert_persons("customer_city", SCAN_LOW, "Aqwe Xyrty", "");
	assert_persons("name", SCAN_LOW, "Aqwe Xyrty", "");
	assert_persons("hostname", SCAN_LOW, "Aqwe Xyrty", "");
	assert_persons(NULL, SCAN_LOW, "surname: Aqwe Xyrty", ""); /* of a column alone */
}

/* A bare "name" beside a breed is an animal's, also one that a person might have. */
static void names_of_animals_are_less_sure(void **state) {
	(void)state;
	static const char *const entities[] = {"PERSON_NAME"};
	const struct table_cell animals[] = {{"Breed", 5}, {"Name", 4}, {"Owner", 5}},
	                        people[] = {{"City", 4}, {"Name", 4}, {"Owner", 5}};
	char text[100] = "Lab,Jasmine Wong,Mary Smith\n";
	const struct table_cell cells[] = {{text, 3}, {text + 4, 12}, {text + 17, 10}};
	const uint64_t line = 2;
	const struct table_rows rows = {
	        .count = 1, .columns = 3, .cells = cells, .lines = &line, .text = text, .size = strlen(text)};
	_cleanup_(scanner_freep) Scanner *scanner =
	        scanner_of(&(struct scan_options){.entities = entities, .entity_count = 1});
	struct spans spans = {.entity = "PERSON_NAME"};
	assert_int_equal(scanner_columns(scanner, animals, 3), 0);
	assert_int_equal(scanner_rows(scanner, &rows, take_span, &spans), 0);
	assert_string_equal(spans.text, "0-10");
	spans.text[0] = '\0';
	assert_int_equal(scanner_columns(scanner, people, 3), 0);
	assert_int_equal(scanner_rows(scanner, &rows, take_span, &spans), 0);
	assert_string_equal(spans.text, "0-12;0-10");
}

/* What finds runs without the engine finds what the engine finds. */
static void assert_found_alike(struct table_cell cell, bool is_run, size_t from, size_t to) {
	size_t start = 0, end = 0;
	int found = person_find(cell, 0, &start, &end);
	if (found >= 0 && (found != is_run || (is_run && (start != from || end != to))))
		fail_msg("'%.*s': %d, %zu-%zu, not %zu-%zu", (int)cell.size, cell.data, found, start, end, from, to);
	if (found < 0)
		assert_true(ascii_prefix(cell.data, cell.size) < cell.size);
}

/* The first look lets all through that the second finds, wherever in a text it stands. */
static void the_first_look_misses_nothing(void **state) {
	(void)state;
	static const char *const pieces[] = {"Mary", "Smith", "José", "Élodie", "van", "de", "Ji-hoon", "Kim",
	        "O'Brien", "X", "J.", "y", "'s", "d'", "2", " ", " ", " ", ", ", "-", "word", "é", "Abdulrahman",
	        "MacKenzie-Xyz", "Wong", "Street"};
	_cleanup_(pattern_freep) Pattern *run = NULL;
	_cleanup_(hints_release) struct hints hints = {0};
	struct features features = {0};
	unsigned found = 0;
	assert_int_equal(pattern_new(PERSON_RUN, 0, &run), 0);
	names_ready();
	for (unsigned round = 0; round < 100000; round++) {
		char text[400] = "";
		size_t before = draw(140), size = before;
		memset(text, draw(2) ? 'a' : ' ', before);
		for (unsigned left = draw(16); left > 0; left--) {
			const char *piece = pieces[draw(sizeof pieces / sizeof *pieces)];
			memcpy(text + size, piece, strlen(piece));
			size += strlen(piece);
		}
		size_t start = before < 3 ? 0 : before - draw(3), from = 0, to = 0;
		struct table_cell cell = {.data = text + start, .size = size - start};
		bool is_run = pattern_find_from(run, cell, 0, &from, &to) == PATTERN_FOUND;
		assert_found_alike(cell, is_run, from, to);
		if (!is_run)
			continue;
		struct table_cell match = {.data = cell.data + from, .size = to - from};
		if (person_rate(&match) == 0)
			continue;
		found++;
		assert_int_equal(features_look(&features, text, size), 0);
		hints.count = 0;
		assert_int_equal(person_hint(&features, text, size, &hints, 7), 0);
		bool is_hinted = false;
		for (size_t i = 0; i < hints.count; i++)
			is_hinted |=
			        hints.list[i].end > start + (size_t)(match.data - cell.data) && hints.list[i].id == 7;
		if (!is_hinted)
			fail_msg("'%s' from %zu", text, start);
	}
	print_message("%u found\n", found);
	assert_true(found > 1000);
	features_release(&features);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(names_are_known_in_any_case_and_with_marks),
	        cmocka_unit_test(known_names_are_found_at_low),
	        cmocka_unit_test(what_only_looks_like_names_is_not),
	        cmocka_unit_test(one_known_name_needs_context_or_high),
	        cmocka_unit_test(columns_of_names_need_no_known_one),
	        cmocka_unit_test(names_of_animals_are_less_sure),
	        cmocka_unit_test(the_first_look_misses_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
