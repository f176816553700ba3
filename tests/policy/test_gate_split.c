/* Files of which rows are withheld. */
#include "policy/gate/internal.h"
#include "policy/row_list.h"
#include "tests/policy/gate_world.h"

/* ---- publishing without rows ---- */

static const char table[] = "a;b\n1;good\n2;evil\n3;evil\n4;good\n5;evil";
static const char rest[] = "a;b\n1;good\n4;good\n";

/* Rows 2, 3 and 5, of which the last has no newline. */
static RowList *evil_rows(void) {
	RowList *list = NULL;
	assert_int_equal(row_list_new(4, NULL, &list), 0);
	assert_int_equal(row_list_add(list, 11, 7, 3, NULL, 0), 0);
	assert_int_equal(row_list_add(list, 18, 7, 4, NULL, 0), 0);
	assert_int_equal(row_list_add(list, 32, 6, 6, NULL, 0), 0);
	return list;
}

/* Puts `text` into Landing, and tells the version of it without asking anybody. */
static struct node put_unjudged(struct world *w, const char *path, const char *text) {
	struct node node;
	put(w, path, text);
	assert_int_not_equal(resolve(w, path, &node), 0);
	return node;
}

/* Judges by decree, and publishes without the rows: `spoilt` and the verdict is about other bytes. */
static int publish_without(struct world *w, const struct node *node, RowList *rows, bool spoilt) {
	const struct altered altered = {.without = rows};
	_cleanup_(gate_policy_donep) struct gate_policy *policy = gate_policy(w->gate);
	struct judgement j = {.path = "Landing/other/a.csv",
	        .below = "animals/a.csv",
	        .policy = policy,
	        .dataset = policy_dataset_for(policy->policy, "animals/a.csv"),
	        .actor = somebody};
	struct publication p = {.source_node = node->id,
	        .source_version = node->version,
	        .below = j.below,
	        .policy = policy->number,
	        .altered = &altered,
	        .sha256 = j.output.sha256,
	        .actor = somebody};
	enum outcome outcome;
	Meta *m = store_meta(w->store);
	assert_int_equal(judge_version(w->gate, &j, node->id, node->version, NULL), 0);
	assert_int_equal(judge_output(w->gate, &j, node->id, node->version, &altered), 0);
	j.output.sha256[0] ^= spoilt;
	meta_begin(m);
	assert_int_equal(meta_end(m, judge_record(w->gate, m, &j, node->id, node->version, &p.verdict, &outcome)), 0);
	assert_int_equal(outcome, OUTCOME_PASSED);
	return publish(w->gate, &p);
}

static int keep_verdict(void *arg, const struct verdict_row *row) {
	struct verdict **to = arg;
	assert_int_equal(verdict_from_json(row->body, to), 0);
	assert_memory_equal(row->input_sha256, (*to)->input.sha256, 32);
	assert_memory_equal(row->output_sha256, (*to)->output.sha256, 32);
	return 0;
}

static void a_file_is_published_without_some_rows(void **state) {
	struct world *w = *state;
	_cleanup_(row_list_freep) RowList *rows = evil_rows();
	_cleanup_(verdict_freep) struct verdict *verdict = NULL;
	apply(w, policy_yaml);
	struct node node = put_unjudged(w, "Landing/other/a.csv", table);
	assert_int_equal(publish_without(w, &node, rows, false), 0);
	shows(w, "Trusted/animals/a.csv", rest);
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, verdict_latest_for_version(m, node.version, keep_verdict, &verdict)), 0);
	assert_int_equal(verdict->input.size, sizeof table - 1);
	assert_int_equal(verdict->output.size, sizeof rest - 1);
	assert_memory_not_equal(verdict->input.sha256, verdict->output.sha256, 32);
}

static void a_list_without_rows_leaves_nothing_out(void **state) {
	struct world *w = *state;
	_cleanup_(row_list_freep) RowList *rows = NULL;
	assert_int_equal(row_list_new(4, NULL, &rows), 0);
	apply(w, policy_yaml);
	struct node node = put_unjudged(w, "Landing/other/a.csv", table);
	assert_int_equal(publish_without(w, &node, rows, false), 0);
	shows(w, "Trusted/animals/a.csv", table);
}

static void other_bytes_than_the_verdicts_are_not_published(void **state) {
	struct world *w = *state;
	_cleanup_(row_list_freep) RowList *rows = evil_rows();
	apply(w, policy_yaml);
	struct node node = put_unjudged(w, "Landing/other/a.csv", table);
	assert_int_equal(publish_without(w, &node, rows, true), -EBADMSG);
	shows(w, "Trusted/animals/a.csv", NULL);
}

/* Rows that begin and end anywhere in the pieces that are read, in a file of several, with a hole in it. */
static void rows_lie_across_pieces_and_holes(void **state) {
	struct world *w = *state;
	enum { PIECE = 1000, PIECES = 40, HOLE_FROM = 20480, HOLE_TO = 36864 };
	_cleanup_(content_closep) Content *content = NULL;
	_cleanup_(content_closep) Content *copy = NULL;
	static uint8_t whole[PIECE * PIECES], expected[PIECE * PIECES], got[PIECE * PIECES];
	struct version sealed;
	apply(w, policy_yaml);
	for (size_t i = 0; i < sizeof whole; i++)
		whole[i] = i < HOLE_FROM || i >= HOLE_TO ? (uint8_t)(1 + i % 251) : 0;
	assert_int_equal(content_open(w->store, make_name(w, "Landing/other/b.csv"), 0, &content), 0);
	assert_int_equal(content_write(content, 0, bytes_of(whole, HOLE_FROM)), 0);
	assert_int_equal(content_write(content, HOLE_TO, bytes_of(whole + HOLE_TO, sizeof whole - HOLE_TO)), 0);
	assert_int_equal(content_seal(content, ORIGIN_WRITE, 0, NULL, NULL, NULL, &sealed), 0);
	assert_int_equal(content_open(w->store, make_name(w, "Landing/other/copy.csv"), 0, &copy), 0);
	_cleanup_(row_list_freep) RowList *rows = NULL;
	assert_int_equal(row_list_new(10, NULL, &rows), 0);
	size_t size = 10;
	memcpy(expected, whole, size);
	for (size_t at = 10, n = 0; at < sizeof whole; n++) {
		size_t length = 1 + n * 37 % 700, left = sizeof whole - at;
		length = length < left ? length : left;
		if (n % 3 == 0)
			assert_int_equal(row_list_add(rows, at, length, n + 1, NULL, 0), 0);
		else {
			memcpy(expected + size, whole + at, length);
			size += length;
		}
		at += length;
	}
	struct gate_reader reader = {.source = content, .copy = copy, .rest.without = rows};
	uint8_t piece[PIECE];
	ssize_t read;
	size_t total = 0;
	while ((read = gate_read(&reader, piece, sizeof piece)) > 0) {
		memcpy(got + total, piece, (size_t)read);
		total += (size_t)read;
	}
	assert_int_equal(read, 0);
	assert_int_equal(total, size);
	assert_memory_equal(got, expected, size);
	assert_int_equal(content_size(copy), size);
	assert_int_equal(content_read(copy, 0, got, sizeof got, &total), 0);
	assert_memory_equal(got, expected, size);
}

/* ---- files that arrive ---- */

static const char strict[] =
        "Rules = [ RowCount > 2, IsUnique \"id\", ColumnValues \"State\" in [\"Lost\",\"Found\"] ]";

#define ARRIVED "id;State\n1;Lost\n2;Found\n3;\"g\"\"one\"\n2;Lost\n4;Found\n5;Lost\n"
#define THE_GOOD "id;State\n1;Lost\n4;Found\n5;Lost\n"
#define THE_BAD                                                                             \
	"line;rules;id;State\n"                                                             \
	"3;\"IsUnique \"\"id\"\"\";2;Found\n"                                               \
	"4;\"ColumnValues \"\"State\"\" in [\"\"Lost\"\",\"\"Found\"\"]\";3;\"g\"\"one\"\n" \
	"5;\"IsUnique \"\"id\"\"\";2;Lost\n"

struct rows {
	struct quarantine_row row[8];
	size_t count;
};

static int keep_row(void *arg, const struct quarantine_row *row) {
	struct rows *rows = arg;
	assert_true(rows->count < 8);
	rows->row[rows->count++] = *row;
	return 0;
}

static struct rows quarantine_of(struct world *w, bool only_held) {
	struct rows rows = {0};
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, quarantine_list(m, 0, only_held, keep_row, &rows)), 0);
	return rows;
}

static void holds(struct world *w, const struct quarantine_row *row, const char *expected) {
	_cleanup_(content_closep) Content *content = NULL;
	char text[4096] = "";
	size_t got = 0;
	assert_int_equal(content_open(w->store, row->node, row->version, &content), 0);
	assert_int_equal(content_read(content, 0, (uint8_t *)text, sizeof text - 1, &got), 0);
	assert_string_equal(text, expected);
}

static struct verdict *verdict_of(struct world *w, uint64_t id) {
	struct verdict *verdict = NULL;
	Meta *m = store_meta(w->store);
	meta_begin(m);
	assert_int_equal(meta_end(m, verdict_get(m, id, keep_verdict, &verdict)), 0);
	return verdict;
}

static void expect_split_once(struct world *w) {
	shows(w, "Raw/animals/a.csv", ARRIVED);
	shows(w, "Trusted/animals/a.csv", THE_GOOD);
	assert_int_equal(outcome_of(w, "Landing/animals/a.csv"), OUTCOME_PASSED);
	struct rows rows = quarantine_of(w, false);
	assert_int_equal(rows.count, 1);
	assert_true(rows.row[0].partial);
	holds(w, &rows.row[0], THE_BAD);
}

static void rows_that_fail_are_held_and_the_rest_is_published(void **state) {
	struct world *w = *state;
	world_split_by_rules(w, strict);
	put(w, "Landing/animals/a.csv", ARRIVED);
	settle(w);
	expect_split_once(w);
	_cleanup_(verdict_freep) struct verdict *verdict = verdict_of(w, quarantine_of(w, true).row[0].verdict);
	assert_string_equal(verdict_word(verdict), "passed");
	assert_non_null(verdict->split);
	assert_int_equal(verdict->split->rows_in, 6);
	assert_int_equal(verdict->split->rows_out, 3);
	assert_int_equal(verdict->split->rows_quarantined, 3);
	assert_int_equal(verdict->split->quarantine.size, sizeof THE_BAD - 1);
	assert_int_equal(verdict->split->check->outcome, OUTCOME_FAILED);
	assert_int_equal(verdict->check->rows, 3);
	assert_int_equal(verdict->input.size, sizeof ARRIVED - 1);
	assert_int_equal(verdict->output.size, sizeof THE_GOOD - 1);
}

static void a_good_file_is_published_whole(void **state) {
	struct world *w = *state;
	world_split_by_rules(w, strict);
	put(w, "Landing/animals/a.csv", THE_GOOD);
	settle(w);
	shows(w, "Trusted/animals/a.csv", THE_GOOD);
	assert_int_equal(quarantine_of(w, false).count, 0);
}

/* The file has seven rows, and what would be left of it has four. */
static void a_rest_that_does_not_pass_by_itself_is_not_published(void **state) {
	struct world *w = *state;
	world_split_by_rules(w, "Rules = [ RowCount > 4, IsUnique \"id\" ]");
	put(w, "Landing/animals/a.csv", ARRIVED);
	settle(w);
	shows(w, "Trusted/animals/a.csv", NULL);
	assert_int_equal(outcome_of(w, "Landing/animals/a.csv"), OUTCOME_FAILED);
	struct rows rows = quarantine_of(w, true);
	assert_int_equal(rows.count, 1);
	assert_false(rows.row[0].partial);
	_cleanup_(verdict_freep) struct verdict *verdict = verdict_of(w, rows.row[0].verdict);
	assert_null(verdict->split);
	if (!strstr(verdict->check->reason, "refused whole: without the 2 rows that did not pass"))
		fail_msg("%s", verdict->check->reason);
}

static void a_rule_on_the_whole_refuses_it_whole(void **state) {
	struct world *w = *state;
	world_split_by_rules(w, "Rules = [ RowCount > 100, IsUnique \"id\" ]");
	put(w, "Landing/animals/a.csv", ARRIVED);
	settle(w);
	shows(w, "Trusted/animals/a.csv", NULL);
	assert_int_equal(quarantine_of(w, true).count, 1);
	assert_false(quarantine_of(w, true).row[0].partial);
}

static void a_write_into_trusted_is_never_split(void **state) {
	struct world *w = *state;
	world_split_by_rules(w, strict);
	assert_int_equal(staged(w, "animals/a.csv", ARRIVED), -EPERM);
	shows(w, "Trusted/animals/a.csv", NULL);
	assert_false(quarantine_of(w, true).row[0].partial);
}

static void the_same_bytes_again_are_not_held_twice(void **state) {
	struct world *w = *state;
	world_split_by_rules(w, strict);
	put(w, "Landing/animals/a.csv", ARRIVED);
	settle(w);
	put(w, "Landing/animals/a.csv", ARRIVED);
	settle(w);
	expect_split_once(w);
	assert_int_equal(versions_of(w, "Trusted/animals/a.csv"), 1);
}

/* ---- crashes between the steps ---- */

/* What a job does with a version that stands in Landing already, up to the publication. */
static uint64_t check_and_split(struct world *w, const struct node *node) {
	_cleanup_(gate_policy_donep) struct gate_policy *policy = gate_policy(w->gate);
	_cleanup_(content_closep) Content *content = NULL;
	struct judgement j = {.path = "Landing/other/a.csv",
	        .below = "animals/a.csv",
	        .policy = policy,
	        .dataset = policy_dataset_for(policy->policy, "animals/a.csv"),
	        .actor = somebody,
	        .may_split = true};
	_cleanup_(split_release) struct split part = {0};
	assert_int_equal(content_open(w->store, node->id, node->version, &content), 0);
	struct gate_reader reader = {.source = content};
	struct check_input input = {.read = gate_read, .context = &reader, .again = gate_read_again};
	assert_int_equal(judge_check(w->gate, &j, input, content_size(content)), 0);
	if (split(w->gate, &j, node->id, node->version, &part) < 0)
		fail_msg("%s", fault_message());
	assert_non_null(part.altered.without);
	judgement_release(&j);
	return part.verdict;
}

static void after_a_crash_what_was_held_is_not_held_again(void **state) {
	struct world *w = *state;
	world_split_by_rules(w, strict);
	struct node node = put_unjudged(w, "Landing/other/a.csv", ARRIVED);
	uint64_t verdict = check_and_split(w, &node);
	world_crash(w); /* it was durable before anything could be published */
	struct rows rows = quarantine_of(w, false);
	assert_int_equal(rows.count, 1);
	assert_int_equal(rows.row[0].verdict, verdict);
	holds(w, &rows.row[0], THE_BAD);
	assert_int_equal(check_and_split(w, &node), verdict);
	assert_int_equal(quarantine_of(w, false).count, 1);
}

static void a_crash_before_it_was_sealed_leaves_nothing(void **state) {
	struct world *w = *state;
	_cleanup_(row_list_freep) RowList *rows = evil_rows();
	Content *partial = NULL;
	struct verdict_content written;
	struct check_result result = {.rule_count = 0};
	struct judgement j = {.path = "x", .checked.result = &result};
	apply(w, policy_yaml);
	struct node node = put_unjudged(w, "Landing/other/a.csv", table);
	assert_int_equal(partial_write(w->gate, &j, node.id, node.version, rows, &partial, &written), 0);
	uint64_t left = content_node(partial);
	assert_int_equal(store_commit_wait(w->store), 0);
	content_abandon(partial);
	world_crash(w);
	assert_int_equal(quarantine_of(w, false).count, 0);
	Meta *m = store_meta(w->store);
	struct node found;
	meta_begin(m);
	int rc = meta_end(m, tree_get(m, left, &found));
	assert_true(rc == -ESTALE || (rc == 0 && found.version == 0));
}

static void under_a_new_policy_the_rows_are_held_anew_in_place_of_the_former(void **state) {
	struct world *w = *state;
	world_split_by_rules(w, strict);
	struct node node = put_unjudged(w, "Landing/other/a.csv", ARRIVED);
	uint64_t verdict = check_and_split(w, &node);
	apply_rules(w, split_yaml, "Rules = [ IsUnique \"id\" ]");
	uint64_t again = check_and_split(w, &node);
	assert_int_not_equal(again, verdict);
	struct rows all = quarantine_of(w, false);
	assert_int_equal(all.count, 2);
	assert_int_equal(all.row[0].state, QUARANTINE_DROPPED);
	assert_int_equal(all.row[1].state, QUARANTINE_HELD);
	assert_int_equal(all.row[1].verdict, again);
}

/* ---- the CSV of what is held ---- */

static void write_partial(
        struct world *w, const char *text, const RowList *rows, size_t columns, const char *expected) {
	_cleanup_(content_closep) Content *partial = NULL;
	_cleanup_(check_result_freep) struct check_result *result = NULL;
	struct verdict_content written;
	apply(w, policy_yaml);
	assert_int_equal(check_result_new(&result), 0);
	result->columns = columns;
	assert_non_null(check_result_add_rule(result, "IsComplete 'a'", OUTCOME_FAILED));
	assert_non_null(check_result_add_rule(result, "RowCount > 0", OUTCOME_PASSED));
	struct judgement j = {.path = "x", .checked.result = result};
	struct node node = put_unjudged(w, "Landing/other/a.csv", text);
	if (partial_write(w->gate, &j, node.id, node.version, rows, &partial, &written) < 0)
		fail_msg("%s", fault_message());
	char got[4096] = "";
	size_t size;
	assert_int_equal(content_read(partial, 0, (uint8_t *)got, sizeof got - 1, &size), 0);
	assert_string_equal(got, expected);
	assert_int_equal(written.size, size);
	(void)content_drop(partial);
}

static const size_t both[] = {0, 1};

static void rows_stand_in_the_dialect_of_their_file(void **state) {
	struct world *w = *state;
	_cleanup_(row_list_freep) RowList *rows = NULL;
	const struct csv_dialect dialect = {
	        .delimiter = '\t', .quote = '\'', .newline = CSV_NEWLINE_CRLF, .header = true, .bom = true};
	assert_int_equal(row_list_new(8, &dialect, &rows), 0);
	assert_int_equal(row_list_add(rows, 8, 5, 2, both, 2), 0);
	assert_int_equal(row_list_add(rows, 18, 3, 4, both, 1), 0);
	write_partial(w,
	        "\xef\xbb\xbf"
	        "a\tb\r\n1\tx\r\n2\ty\r\n3\tz",
	        rows, 2,
	        "line\trules\ta\tb\r\n"
	        "2\t'IsComplete ''a''; RowCount > 0'\t1\tx\r\n"
	        "4\t'IsComplete ''a'''\t3\tz\r\n");
}

static void columns_without_names_are_numbered(void **state) {
	struct world *w = *state;
	_cleanup_(row_list_freep) RowList *rows = NULL;
	const struct csv_dialect dialect = {.delimiter = '|', .quote = '"', .newline = CSV_NEWLINE_CR};
	assert_int_equal(row_list_new(0, &dialect, &rows), 0);
	assert_int_equal(row_list_add(rows, 0, 4, 1, both, 1), 0);
	write_partial(w, "1|x\r2|y\r", rows, 2, "line|rules|col0|col1\r1|\"IsComplete 'a'\"|1|x\r");
}

static void what_has_no_delimiter_stands_in_one_cell(void **state) {
	struct world *w = *state;
	_cleanup_(row_list_freep) RowList *rows = NULL;
	const struct csv_dialect dialect = {.quote = '"', .header = true};
	assert_int_equal(row_list_new(2, &dialect, &rows), 0);
	assert_int_equal(row_list_add(rows, 2, 8, 2, both, 1), 0);
	assert_int_equal(row_list_add(rows, 10, 9, 3, both, 1), 0);
	assert_int_equal(row_list_add(rows, 19, 1, 4, both, 1), 0);
	write_partial(w, "a\n{\"k\",1}\n\"qu,ote\"\n\n", rows, 1,
	        "line,rules,\"a\"\n"
	        "2,\"IsComplete 'a'\",\"{\"\"k\"\",1}\"\n"
	        "3,\"IsComplete 'a'\",\"qu,ote\"\n"
	        "4,\"IsComplete 'a'\",\"\"\n");
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        WORLD(a_file_is_published_without_some_rows),
	        WORLD(a_list_without_rows_leaves_nothing_out),
	        WORLD(other_bytes_than_the_verdicts_are_not_published),
	        WORLD(rows_lie_across_pieces_and_holes),
	        WORLD(rows_that_fail_are_held_and_the_rest_is_published),
	        WORLD(a_good_file_is_published_whole),
	        WORLD(a_rest_that_does_not_pass_by_itself_is_not_published),
	        WORLD(a_rule_on_the_whole_refuses_it_whole),
	        WORLD(a_write_into_trusted_is_never_split),
	        WORLD(the_same_bytes_again_are_not_held_twice),
	        WORLD(after_a_crash_what_was_held_is_not_held_again),
	        WORLD(a_crash_before_it_was_sealed_leaves_nothing),
	        WORLD(under_a_new_policy_the_rows_are_held_anew_in_place_of_the_former),
	        WORLD(rows_stand_in_the_dialect_of_their_file),
	        WORLD(columns_without_names_are_numbered),
	        WORLD(what_has_no_delimiter_stands_in_one_cell),
	};
	return cmocka_run_group_tests_name("gate_split", tests, NULL, NULL);
}
