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
static int publish_without(struct world *w, const struct node *node, const RowList *rows, bool spoilt) {
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
	        .without = rows,
	        .sha256 = j.output.sha256,
	        .actor = somebody};
	enum outcome outcome;
	Meta *m = store_meta(w->store);
	assert_int_equal(judge_version(w->gate, &j, node->id, node->version, NULL), 0);
	assert_int_equal(judge_output(w->gate, &j, node->id, node->version, rows), 0);
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
	struct gate_reader reader = {.source = content, .copy = copy, .without = rows};
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

int main(void) {
	const struct CMUnitTest tests[] = {
	        WORLD(a_file_is_published_without_some_rows),
	        WORLD(a_list_without_rows_leaves_nothing_out),
	        WORLD(other_bytes_than_the_verdicts_are_not_published),
	        WORLD(rows_lie_across_pieces_and_holes),
	};
	return cmocka_run_group_tests_name("gate_split", tests, NULL, NULL);
}
