/* Which versions a lifecycle rule lets go, and which stay whatever it says. */
#include "backend/expire.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "backend/content.h"
#include "backend/record.h"
#include "tests/backend/gc_fixture.h"
#include "tests/backend/meta_fixture.h"

#define OP(f, call) (meta_begin((f)->m), meta_end((f)->m, (call)))
#define DAY (INT64_C(86400) * 1000000000)
#define FILE_MODE (S_IFREG | 0644)

struct told {
	uint64_t versions[64];
	size_t count;
	char last_path[128];
	uint64_t open_node; /* that somebody has open */
	int error;          /* to be given */
	size_t rests;
};

static int take(void *arg, const struct expire_found *found) {
	struct told *told = arg;
	if (told->error)
		return told->error;
	assert_true(told->count < 64);
	told->versions[told->count++] = found->version;
	(void)snprintf(told->last_path, sizeof told->last_path, "%s", found->path);
	return 0;
}

static bool is_open(void *arg, uint64_t node, uint64_t version) {
	(void)version;
	return ((struct told *)arg)->open_node == node;
}

static int rest(void *arg, int64_t took_ns, uint64_t looked) {
	struct told *told = arg;
	(void)took_ns;
	(void)looked;
	told->rests++;
	return 0;
}

static const struct actor nobody = {.exe = "test"};

static struct expire_options options_of(struct fixture *f, const struct expire_rule *rule, struct told *told) {
	return (struct expire_options){.meta = f->m,
	        .rules = rule,
	        .rule_count = 1,
	        .now_ns = f->now,
	        .actor = &nobody,
	        .is_open = is_open,
	        .each = take,
	        .rest = rest,
	        .arg = told};
}

static struct told run(struct fixture *f, struct expire_rule rule) {
	struct told told = {.count = 0};
	struct expire_sum sum;
	const struct expire_options options = options_of(f, &rule, &told);
	assert_int_equal(expire_run(&options, &sum), 0);
	assert_int_equal(sum.versions[rule.zone], told.count);
	return told;
}

static struct expire_rule landing(unsigned days, unsigned keep) {
	return (struct expire_rule){.name = "r", .zone = ZONE_LANDING, .prefix = "", .days = days, .keep = keep};
}

static void wait_days(struct fixture *f, int days) {
	fixture_commit(f);
	f->now += days * DAY;
}

static uint8_t state_of(struct fixture *f, uint64_t id) {
	struct version version;
	assert_int_equal(OP(f, version_get(f->m, id, &version)), 0);
	return version.state;
}

static uint64_t seal(struct fixture *f, uint64_t node, uint32_t mark) {
	return seal_version(f, node, ZONE_LANDING, 100, mark).id;
}

static void unlink_name(struct fixture *f, const char *name) {
	struct node left;
	assert_int_equal(OP(f, tree_unlink(f->m, NODE_LANDING, text(name), &left)), 0);
}

/* ---- the rules ---- */

static void a_version_goes_when_it_is_noncurrent_for_long_and_enough_newer_ones_are_there(void **state) {
	struct fixture *f = *state;
	struct node node = make(f, NODE_LANDING, "a", FILE_MODE);
	uint64_t ids[5];
	for (int i = 0; i < 5; i++) { /* sealed on the days 0, 10, 20, 30, 40 */
		ids[i] = seal(f, node.id, (uint32_t)i + 1);
		wait_days(f, 10);
	}
	/* Day 50: noncurrent for 40, 30, 20, 10 days. */
	assert_int_equal(run(f, landing(41, 0)).count, 0);
	struct told told = run(f, landing(20, 2));
	assert_int_equal(told.count, 2); /* the third is old enough, but one of the newest two */
	assert_string_equal(told.last_path, "Landing/a");
	assert_int_equal(state_of(f, ids[0]), VERSION_ERASED);
	assert_int_equal(state_of(f, ids[1]), VERSION_ERASED);
	assert_int_equal(state_of(f, ids[2]), VERSION_SEALED);
	assert_int_equal(run(f, landing(20, 2)).count, 0); /* what is gone does not count as newer */
	assert_int_equal(run(f, landing(20, 1)).count, 1);
	assert_int_equal(run(f, landing(20, 0)).count, 0); /* the fourth is noncurrent for 10 days */
	assert_int_equal(state_of(f, ids[4]), VERSION_SEALED);
	assert_int_equal(sql_value_of(f, "SELECT count(*) FROM map"), 2);
}

static void the_age_counts_from_the_day_at_which_a_version_ceased_to_be_current(void **state) {
	struct fixture *f = *state;
	struct node node = make(f, NODE_LANDING, "a", FILE_MODE);
	uint64_t first = seal(f, node.id, 1);
	wait_days(f, 1000);
	seal(f, node.id, 2);
	wait_days(f, 29);
	assert_int_equal(run(f, landing(30, 0)).count, 0);
	wait_days(f, 1);
	assert_int_equal(run(f, landing(30, 0)).versions[0], first);
}

static void the_last_version_of_a_removed_file_counts_from_its_removal(void **state) {
	struct fixture *f = *state;
	struct node node = make(f, NODE_LANDING, "a", FILE_MODE);
	uint64_t only = seal(f, node.id, 1);
	wait_days(f, 100);
	assert_int_equal(run(f, landing(1, 0)).count, 0);
	unlink_name(f, "a");
	assert_int_equal(run(f, landing(1, 0)).count, 0); /* in the commit that is open */
	wait_days(f, 2);
	assert_int_equal(run(f, landing(3, 0)).count, 0);
	assert_int_equal(run(f, landing(2, 1)).count, 0); /* one is kept */
	assert_int_equal(run(f, landing(2, 0)).versions[0], only);
	assert_int_equal(state_of(f, only), VERSION_ERASED);
}

/* As editors and rsync save: each version is a file of its own. */
static void files_that_took_the_name_count_as_newer_versions(void **state) {
	struct fixture *f = *state;
	uint64_t ids[4];
	for (int i = 0; i < 4; i++) {
		struct node node = make(f, NODE_LANDING, "new", FILE_MODE);
		ids[i] = seal(f, node.id, (uint32_t)i + 1);
		assert_int_equal(
		        OP(f, tree_rename(f->m, NODE_LANDING, text("new"), NODE_LANDING, text("a"), 0, NULL)), 0);
		wait_days(f, 10);
	}
	assert_int_equal(run(f, landing(10, 3)).count, 0);
	struct told told = run(f, landing(10, 2));
	assert_int_equal(told.count, 1);
	assert_int_equal(told.versions[0], ids[0]);
	assert_string_equal(told.last_path, "Landing/a");
	told = run(f, landing(10, 0));
	assert_int_equal(told.count, 2);
	assert_int_equal(state_of(f, ids[3]), VERSION_SEALED);
}

static void zone_and_prefix_say_of_which_files_a_rule_is(void **state) {
	struct fixture *f = *state;
	struct node dir = make(f, NODE_LANDING, "animals", S_IFDIR | 0755);
	struct node in = make(f, dir.id, "a", FILE_MODE), out = make(f, NODE_LANDING, "animals.csv", FILE_MODE);
	struct node raw = make(f, NODE_RAW, "a", FILE_MODE);
	uint64_t of_in = seal(f, in.id, 1), of_raw = seal_version(f, raw.id, ZONE_RAW, 1, 2).id;
	seal(f, out.id, 3);
	seal(f, in.id, 4);
	seal(f, out.id, 5);
	seal_version(f, raw.id, ZONE_RAW, 1, 6);
	wait_days(f, 5);
	struct expire_rule rule = landing(5, 0);
	rule.prefix = "animals/";
	struct told told = run(f, rule);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.versions[0], of_in);
	rule.zone = ZONE_RAW;
	rule.prefix = "b";
	assert_int_equal(run(f, rule).count, 0);
	rule.prefix = "a";
	told = run(f, rule);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.versions[0], of_raw);
}

static void a_file_with_a_name_outside_of_the_prefix_stays(void **state) {
	struct fixture *f = *state;
	struct node node = make(f, NODE_LANDING, "tmp-a", FILE_MODE), after;
	assert_int_equal(OP(f, tree_link(f->m, node.id, NODE_LANDING, text("wanted"), &after)), 0);
	seal(f, node.id, 1);
	seal(f, node.id, 2);
	wait_days(f, 5);
	struct expire_rule rule = landing(1, 0);
	rule.prefix = "tmp-";
	assert_int_equal(run(f, rule).count, 0);
	unlink_name(f, "wanted");
	assert_int_equal(run(f, rule).count, 1);
}

static void a_clock_before_the_versions_expires_nothing(void **state) {
	struct fixture *f = *state;
	struct node node = make(f, NODE_LANDING, "a", FILE_MODE);
	seal(f, node.id, 1);
	seal(f, node.id, 2);
	wait_days(f, 10);
	struct told told = {.count = 0};
	struct expire_sum sum;
	struct expire_rule rule = landing(1, 0);
	struct expire_options options = options_of(f, &rule, &told);
	options.now_ns -= 5000 * DAY;
	assert_int_equal(expire_run(&options, &sum), 0);
	assert_int_equal(told.count, 0);
}

/* ---- what stays ---- */

static uint64_t publish(struct fixture *f, uint64_t node, uint64_t source) {
	static const uint8_t digest[32] = {7};
	struct version draft, sealed = {0};
	uint64_t verdict = make_verdict(f, VERDICT_PASSED, digest);
	struct node now;
	meta_begin(f->m);
	int rc = tree_get(f->m, node, &now);
	if (rc == 0)
		rc = version_draft(f->m, node, now.version, ZONE_TRUSTED, &draft);
	if (rc == 0)
		rc = version_seal(f->m, draft.id, ORIGIN_PUBLISH, verdict, digest, &sealed);
	if (rc == 0)
		rc = lineage_put(f->m, sealed.id, source, LINEAGE_INPUT);
	assert_int_equal(meta_end(f->m, rc), 0);
	return sealed.id;
}

static void what_trusted_shows_keeps_what_it_came_from(void **state) {
	struct fixture *f = *state;
	struct node landed = make(f, NODE_LANDING, "a", FILE_MODE), raw = make(f, NODE_RAW, "a", FILE_MODE);
	struct node trusted = make(f, NODE_TRUSTED, "a", FILE_MODE);
	uint64_t first = seal(f, landed.id, 1), captured = seal_version(f, raw.id, ZONE_RAW, 1, 2).id;
	assert_int_equal(OP(f, lineage_put(f->m, captured, first, LINEAGE_INPUT)), 0);
	uint64_t published = publish(f, trusted.id, captured);
	uint64_t second = seal(f, landed.id, 3), recaptured = seal_version(f, raw.id, ZONE_RAW, 1, 4).id;
	seal(f, landed.id, 5);
	wait_days(f, 100);
	struct expire_rule rule = landing(1, 0);
	struct told told = run(f, rule);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.versions[0], second);
	rule.zone = ZONE_RAW;
	assert_int_equal(run(f, rule).count, 0);
	rule.zone = ZONE_TRUSTED;
	assert_int_equal(run(f, rule).count, 0);
	publish(f, trusted.id, recaptured);
	wait_days(f, 100);
	assert_int_equal(run(f, rule).versions[0], published);
	rule.zone = ZONE_RAW;
	assert_int_equal(run(f, rule).versions[0], captured);
	assert_int_equal(run(f, landing(1, 0)).versions[0], first);
}

static void what_is_held_in_quarantine_stays(void **state) {
	struct fixture *f = *state;
	static const uint8_t digest[32] = {0};
	struct node node = make(f, NODE_LANDING, "a", FILE_MODE);
	uint64_t first = seal(f, node.id, 1), id = 0;
	struct quarantine_row row = {.path = text("Landing/a"),
	        .node = node.id,
	        .version = first,
	        .verdict = make_verdict(f, VERDICT_FAILED, digest)};
	assert_int_equal(OP(f, quarantine_put(f->m, &row, &id)), 0);
	seal(f, node.id, 2);
	wait_days(f, 10);
	assert_int_equal(run(f, landing(1, 0)).count, 0);
	assert_int_equal(OP(f, quarantine_decide(f->m, id, QUARANTINE_DROPPED, 0)), 0);
	assert_int_equal(run(f, landing(1, 0)).versions[0], first);
}

struct holding {
	struct fixture *f;
	uint64_t node, version;
	bool is_held;
};

/* Between looking and expiring. */
static int hold(void *arg, int64_t took_ns, uint64_t looked) {
	struct holding *holding = arg;
	static const uint8_t digest[32] = {0};
	uint64_t id = 0;
	(void)took_ns;
	if (looked == 0 || holding->is_held)
		return 0;
	holding->is_held = true;
	const struct quarantine_row row = {.path = text("Landing/a"),
	        .node = holding->node,
	        .version = holding->version,
	        .verdict = make_verdict(holding->f, VERDICT_FAILED, digest)};
	return OP(holding->f, quarantine_put(holding->f->m, &row, &id));
}

static void what_comes_into_quarantine_while_it_is_looked_stays_too(void **state) {
	struct fixture *f = *state;
	struct node node = make(f, NODE_LANDING, "a", FILE_MODE);
	uint64_t first = seal(f, node.id, 1);
	seal(f, node.id, 2);
	seal(f, node.id, 3);
	wait_days(f, 10);
	struct holding holding = {.f = f, .node = node.id, .version = first};
	struct expire_sum sum;
	struct expire_rule rule = landing(1, 0);
	const struct expire_options options = {.meta = f->m,
	        .rules = &rule,
	        .rule_count = 1,
	        .now_ns = f->now,
	        .actor = &nobody,
	        .rest = hold,
	        .arg = &holding};
	assert_int_equal(expire_run(&options, &sum), 0);
	assert_true(holding.is_held);
	assert_int_equal(sum.versions[ZONE_LANDING], 1);
	assert_int_equal(state_of(f, first), VERSION_SEALED);
}

static void what_is_open_stays_and_so_does_what_a_draft_was_begun_on(void **state) {
	struct fixture *f = *state;
	struct node node = make(f, NODE_LANDING, "a", FILE_MODE);
	seal(f, node.id, 1);
	seal(f, node.id, 2);
	unlink_name(f, "a");
	wait_days(f, 10);
	struct told told = {.open_node = node.id};
	struct expire_sum sum;
	struct expire_rule rule = landing(1, 0);
	const struct expire_options options = options_of(f, &rule, &told);
	assert_int_equal(expire_run(&options, &sum), 0);
	assert_int_equal(told.count, 0);
	assert_int_equal(sum.kept_open, 2);
	struct version draft;
	struct node now;
	assert_int_equal(OP(f, tree_get(f->m, node.id, &now)), 0);
	assert_int_equal(OP(f, version_draft(f->m, node.id, now.version, ZONE_LANDING, &draft)), 0);
	assert_int_equal(run(f, landing(1, 0)).count, 1);
	assert_int_equal(state_of(f, now.version), VERSION_SEALED);
	assert_int_equal(state_of(f, draft.id), VERSION_DRAFT);
}

static void a_dry_run_tells_the_same_and_changes_nothing(void **state) {
	struct fixture *f = *state;
	struct node node = make(f, NODE_LANDING, "a", FILE_MODE);
	for (uint32_t i = 1; i <= 50; i++)
		seal(f, node.id, i);
	wait_days(f, 10);
	struct told told = {.count = 0};
	struct expire_sum sum;
	struct expire_rule rule = landing(1, 9);
	struct expire_options options = options_of(f, &rule, &told);
	options.is_dry = true;
	assert_int_equal(expire_run(&options, &sum), 0);
	assert_int_equal(told.count, 40);
	assert_int_equal(sum.versions[ZONE_LANDING], 40);
	assert_int_equal(sum.bytes[ZONE_LANDING], 4000);
	assert_int_equal(sum.looked, 50);
	assert_int_equal(sql_value_of(f, "SELECT count(*) FROM version WHERE state = 3"), 0);
	assert_int_equal(run(f, landing(1, 9)).count, 40);
	assert_int_equal(sql_value_of(f, "SELECT count(*) FROM version WHERE state = 3"), 40);
}

/* ---- records and failures ---- */

static int see_record(void *arg, const struct audit_entry *entry) {
	assert_string_equal(entry->event.path, "Landing/a");
	assert_int_equal(entry->event.bytes, 100);
	assert_non_null(strstr(entry->event.detail, "old stuff: version 1, noncurrent since 20"));
	++*(int *)arg;
	return 0;
}

static void each_has_a_record_that_names_the_rule(void **state) {
	struct fixture *f = *state;
	struct node node = make(f, NODE_LANDING, "a", FILE_MODE);
	seal(f, node.id, 1);
	seal(f, node.id, 2);
	wait_days(f, 10);
	struct expire_rule rule = landing(1, 0);
	rule.name = "old stuff";
	assert_int_equal(run(f, rule).count, 1);
	int seen = 0;
	const struct audit_filter filter = {.event = "expire"};
	assert_int_equal(OP(f, audit_query(f->m, &filter, see_record, &seen)), 0);
	assert_int_equal(seen, 1);
}

/* The last version's node is not there: the listing fails behind all that would go. */
static void an_error_anywhere_expires_nothing(void **state) {
	struct fixture *f = *state;
	struct node node = make(f, NODE_LANDING, "a", FILE_MODE), lost = make(f, NODE_LANDING, "b", FILE_MODE);
	for (uint32_t i = 1; i < 9; i++)
		seal(f, node.id, i);
	seal(f, lost.id, 10);
	seal(f, lost.id, 11);
	wait_days(f, 10);
	char sql[128];
	(void)snprintf(sql, sizeof sql, "UPDATE version SET node = 99999 WHERE node = %lu", (unsigned long)lost.id);
	assert_int_equal(raw_sql(f, "DROP TRIGGER version_update"), 0);
	assert_int_equal(raw_sql(f, sql), 0);
	struct told told = {.count = 0};
	struct expire_sum sum;
	struct expire_rule rule = landing(1, 0);
	const struct expire_options options = options_of(f, &rule, &told);
	assert_true(expire_run(&options, &sum) < 0);
	assert_int_equal(told.count, 0);
	assert_int_equal(sql_value_of(f, "SELECT count(*) FROM version WHERE state = 3"), 0);
}

static void who_is_told_can_end_it(void **state) {
	struct fixture *f = *state;
	struct node node = make(f, NODE_LANDING, "a", FILE_MODE);
	for (uint32_t i = 1; i <= 200; i++)
		seal(f, node.id, i);
	wait_days(f, 10);
	struct told told = {.error = -ECANCELED};
	struct expire_sum sum;
	struct expire_rule rule = landing(1, 0);
	const struct expire_options options = options_of(f, &rule, &told);
	assert_int_equal(expire_run(&options, &sum), -ECANCELED);
	uint64_t gone = sql_value_of(f, "SELECT count(*) FROM version WHERE state = 3");
	assert_in_range(gone, 1, 32); /* one operation */
}

static void without_rules_nothing_is_looked_at(void **state) {
	struct fixture *f = *state;
	struct expire_sum sum;
	const struct expire_options options = {.meta = f->m, .now_ns = f->now};
	assert_int_equal(expire_run(&options, &sum), 0);
	assert_int_equal(sum.looked, 0);
}

/* ---- in a vault ---- */

static bool shows(void *arg, uint64_t node, uint64_t version) {
	return content_may_show(arg, node, version);
}

static struct expire_sum run_in(struct test_vault *v) {
	static const struct expire_rule rule = {.name = "r", .zone = ZONE_LANDING, .prefix = "", .days = 1};
	struct expire_sum sum = {0};
	const struct expire_options options = {.meta = store_meta(v->store),
	        .rules = &rule,
	        .rule_count = 1,
	        .now_ns = meta_now(store_meta(v->store)) + 10 * DAY,
	        .actor = &nobody,
	        .is_open = shows,
	        .arg = v->store};
	gc_commit(v);
	assert_rc(expire_run(&options, &sum));
	gc_commit(v);
	return sum;
}

static void the_bytes_go_with_a_walk_that_was_asked_for_and_what_is_open_is_read_on(void **state) {
	struct test_vault *v = *state;
	uint64_t node = test_vault_create(v, NODE_LANDING, "a"), before = 0, after = 0;
	struct version version;
	Content *c = gc_open_content(v, node), *old = NULL;
	for (uint8_t mark = 1; mark <= 6; mark++) {
		gc_put_blocks(c, 0, 64, mark);
		gc_seal(c);
	}
	Meta *m = store_meta(v->store);
	meta_begin(m);
	assert_rc(meta_end(m, version_by_number(m, node, 2, &version)));
	assert_rc(content_open(v->store, node, version.id, &old));
	struct expire_sum sum = run_in(v);
	assert_int_equal(sum.versions[ZONE_LANDING], 4); /* not the second, which is open, nor the last */
	assert_int_equal(sum.kept_open, 1);
	gc_expect_blocks(old, 0, 64, 2);
	gc_files(v, &before);
	for (int i = 0; i < 4; i++) {
		(void)gc_ask(store_gc(v->store));
		gc_walk_and_wait(v);
	}
	gc_files(v, &after);
	assert_true(after < before / 2);
	gc_expect_blocks(old, 0, 64, 2);
	gc_expect_blocks(c, 0, 64, 6);
	content_close(old);
	assert_int_equal(run_in(v).versions[ZONE_LANDING], 1);
	content_close(c);
	assert_rc(store_close(v->store));
	v->store = NULL;
	gc_expect_sound(v);
	assert_rc(test_vault_open(v->vault, &v->options, &v->store));
}

static void a_walk_that_was_asked_for_says_when_it_has_ended_and_whether_more_is_to_do(void **state) {
	struct test_vault *v = *state;
	Gc *gc = store_gc(v->store);
	struct gc_progress progress;
	uint64_t node = test_vault_create(v, NODE_LANDING, "a");
	Content *c = gc_open_content(v, node);
	gc_put_blocks(c, 0, 64, 1);
	gc_seal(c);
	gc_put_blocks(c, 0, 64, 2);
	gc_seal(c);
	content_close(c);
	assert_int_equal(run_in(v).versions[ZONE_LANDING], 1);
	uint64_t walk = gc_ask(gc);
	gc_progress(gc, walk, &progress);
	assert_false(progress.has_ended);
	gc_walk_and_wait(v);
	gc_progress(gc, walk, &progress);
	assert_true(progress.has_ended);
	assert_false(progress.has_failed);
	assert_false(progress.is_settled); /* what is dead is condemned, or moved together, and goes with a later one */
	for (int i = 0; i < 6 && !progress.is_settled; i++) {
		gc_walk_and_wait(v);
		gc_progress(gc, walk, &progress);
	}
	assert_true(progress.is_settled);
	gc_progress(gc, gc_ask(gc), &progress);
	assert_false(progress.has_ended);
}

#define META(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
#define VAULT(test) cmocka_unit_test_setup_teardown(test, gc_fixture_setup, test_vault_teardown)

int main(void) {
	const struct CMUnitTest tests[] = {
	        META(a_version_goes_when_it_is_noncurrent_for_long_and_enough_newer_ones_are_there),
	        META(the_age_counts_from_the_day_at_which_a_version_ceased_to_be_current),
	        META(the_last_version_of_a_removed_file_counts_from_its_removal),
	        META(files_that_took_the_name_count_as_newer_versions),
	        META(zone_and_prefix_say_of_which_files_a_rule_is),
	        META(a_file_with_a_name_outside_of_the_prefix_stays),
	        META(a_clock_before_the_versions_expires_nothing),
	        META(what_trusted_shows_keeps_what_it_came_from),
	        META(what_is_held_in_quarantine_stays),
	        META(what_comes_into_quarantine_while_it_is_looked_stays_too),
	        META(what_is_open_stays_and_so_does_what_a_draft_was_begun_on),
	        META(a_dry_run_tells_the_same_and_changes_nothing),
	        META(each_has_a_record_that_names_the_rule),
	        META(an_error_anywhere_expires_nothing),
	        META(who_is_told_can_end_it),
	        META(without_rules_nothing_is_looked_at),
	        VAULT(the_bytes_go_with_a_walk_that_was_asked_for_and_what_is_open_is_read_on),
	        VAULT(a_walk_that_was_asked_for_says_when_it_has_ended_and_whether_more_is_to_do),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
