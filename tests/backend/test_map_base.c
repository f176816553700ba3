/* Maps of large files, which rest on another version's: against a model that keeps every map whole. */
#include "backend/version.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/backend/meta_fixture.h"

#define OP(f, call) (meta_begin((f)->m), meta_end((f)->m, (call)))
#define PAGE_BYTES (4u << 20)
#define PAGES 60
#define RESTING "SELECT count(*) FROM map_base"
#define UNUSED "SELECT count(*) FROM mappage p WHERE NOT EXISTS (SELECT 1 FROM map WHERE mappage = p.id)"
#define SCHEMA "SELECT hex(substr(value, 1, 1)) FROM kv WHERE key = 'meta.schema'"

/* The mark of each page; 0: a hole. */
struct model {
	struct version version;
	uint32_t marks[PAGES];
};

static uint64_t file(struct fixture *f, const char *name) {
	return make(f, NODE_LANDING, name, S_IFREG | 0644).id;
}

static void put(struct fixture *f, struct model *draft, uint64_t page, uint32_t mark) {
	struct block_ref ref = ref_of(mark);
	assert_int_equal(OP(f, version_map_put(f->m, draft->version.id, page, &ref, mark ? 1 : 0)), 0);
	draft->marks[page] = mark;
}

static void begin(struct fixture *f, uint64_t node, const struct model *base, struct model *draft) {
	uint64_t base_id = base ? base->version.id : 0;
	*draft = base ? *base : (struct model){0};
	assert_int_equal(OP(f, version_draft(f->m, node, base_id, ZONE_LANDING, &draft->version)), 0);
	if (!base)
		assert_int_equal(OP(f, version_set_size(f->m, draft->version.id, (uint64_t)PAGES * PAGE_BYTES)), 0);
}

static void seal(struct fixture *f, struct model *draft) {
	assert_int_equal(OP(f, version_seal(f->m, draft->version.id, ORIGIN_WRITE, 0, NULL, &draft->version)), 0);
}

/* A version of `count` pages, marked from `mark` on. */
static void fill(struct fixture *f, uint64_t node, uint32_t count, uint32_t mark, struct model *ret) {
	begin(f, node, NULL, ret);
	for (uint32_t page = 0; page < count; page++)
		put(f, ret, page, mark + page);
	seal(f, ret);
}

/* One page changed. */
static void change(
        struct fixture *f, uint64_t node, const struct model *base, uint64_t page, uint32_t mark, struct model *ret) {
	begin(f, node, base, ret);
	put(f, ret, page, mark);
	seal(f, ret);
}

static int next_of_list(void *arg, uint64_t page, uint64_t page_id) {
	uint64_t **at = arg;
	assert_true(page_id > 0);
	*(*at)++ = page;
	return 0;
}

/* What the version shows, by each of the ways to ask. */
static void check(struct fixture *f, const struct model *model) {
	uint64_t listed[PAGES + 1], *at = listed, next = 0, id = model->version.id;
	assert_int_equal(OP(f, map_list(f->m, id, next_of_list, &at)), 0);
	const uint64_t *end = at;
	at = listed;
	for (uint64_t page = 0; page < PAGES; page++) {
		struct block_ref refs[MAP_PAGE_REFS];
		size_t count;
		assert_int_equal(OP(f, version_map_get(f->m, id, page, refs, &count)), 0);
		assert_int_equal(count ? refs[0].position : 0, model->marks[page]);
		if (!model->marks[page])
			continue;
		assert_int_equal(OP(f, version_map_next(f->m, id, next, &next)), 0);
		assert_int_equal(next++, page);
		assert_true(at < end);
		assert_int_equal(*at++, page);
	}
	assert_ptr_equal(at, end);
	assert_int_equal(OP(f, version_map_next(f->m, id, next, &next)), -ENXIO);
	if (model->version.state == VERSION_SEALED)
		assert_int_equal(OP(f, version_verify_hash(f->m, id)), 0);
}

static uint64_t rows_of(struct fixture *f, const struct model *model) {
	char sql[100];
	snprintf(sql, sizeof sql, "SELECT count(*) FROM map WHERE version = %lu", (unsigned long)model->version.id);
	return sql_value_of(f, sql);
}

static void a_version_of_a_large_file_has_only_the_rows_that_changed(void **state) {
	struct fixture *f = *state;
	uint64_t a = file(f, "a");
	struct model first, versions[30];
	fill(f, a, PAGES, 100, &first);
	change(f, a, &first, 7, 1, &versions[0]);
	assert_int_equal(rows_of(f, &versions[0]), 1);
	assert_int_equal(sql_value_of(f, RESTING), 1);
	/* Until they are so many that a version is full again: with 60 pages, 13. */
	uint64_t most = 0;
	for (uint32_t i = 1; i < 30; i++) {
		change(f, a, &versions[i - 1], 7 + i, i, &versions[i]);
		uint64_t rows = rows_of(f, &versions[i]);
		most = rows > most && rows < PAGES ? rows : most;
	}
	assert_int_equal(most, 13);
	assert_true(sql_value_of(f, "SELECT count(*) FROM map") < PAGES * 4 + 30 * 13);
	check(f, &first);
	for (size_t i = 0; i < 30; i++)
		check(f, &versions[i]);
	fixture_commit(f);
	fixture_reopen(f);
	for (size_t i = 0; i < 30; i++)
		check(f, &versions[i]);
}

static void a_small_file_rests_on_nothing(void **state) {
	struct fixture *f = *state;
	uint64_t a = file(f, "a");
	struct model first, second;
	fill(f, a, 8, 100, &first);
	change(f, a, &first, 3, 1, &second);
	assert_int_equal(sql_value_of(f, RESTING), 0);
	check(f, &second);
}

static void a_hole_or_a_cut_in_a_draft_shows_nothing_of_what_it_rests_on(void **state) {
	struct fixture *f = *state;
	uint64_t a = file(f, "a"), b = file(f, "b");
	struct model first, holed, cut, longer;
	fill(f, a, 40, 100, &first);
	begin(f, a, &first, &holed);
	put(f, &holed, 5, 1);
	put(f, &holed, 5, 0); /* of its own, and of the base too */
	put(f, &holed, 9, 0);
	put(f, &holed, 50, 0);
	check(f, &holed);
	begin(f, b, &first, &cut);
	assert_int_equal(OP(f, version_truncate_map(f->m, cut.version.id, 40)), 0);
	assert_int_equal(rows_of(f, &cut), 0); /* there was nothing */
	assert_int_equal(OP(f, version_truncate_map(f->m, cut.version.id, 20)), 0);
	for (size_t page = 20; page < PAGES; page++)
		cut.marks[page] = 0;
	check(f, &cut);
	seal(f, &cut);
	begin(f, b, &cut, &longer);
	put(f, &longer, 45, 5);
	assert_int_equal(OP(f, version_truncate_map(f->m, longer.version.id, 30)), 0);
	longer.marks[45] = 0;
	check(f, &longer);
	assert_int_equal(OP(f, version_truncate_map(f->m, longer.version.id, 0)), 0);
	memset(longer.marks, 0, sizeof longer.marks);
	check(f, &longer);
	assert_int_equal(OP(f, version_drop(f->m, longer.version.id, NULL)), 0);
	assert_int_equal(OP(f, version_drop(f->m, holed.version.id, NULL)), 0);
	check(f, &first);
	check(f, &cut);
	assert_int_equal(sql_value_of(f, UNUSED), 0);
}

/* An erased version keeps what others rest on, and the last of those takes it along. */
static void erasing_a_version_spares_what_rests_on_it(void **state) {
	struct fixture *f = *state;
	uint64_t a = file(f, "a");
	struct model first, second, third, draft;
	fill(f, a, PAGES, 100, &first);
	change(f, a, &first, 0, 1, &second);
	change(f, a, &second, 1, 2, &third); /* rows 0 and 1 */
	assert_int_equal(OP(f, version_erase(f->m, first.version.id)), 0);
	/* Both have a row 0 of their own. */
	assert_int_equal(rows_of(f, &first), PAGES - 1);
	check(f, &second);
	check(f, &third);
	begin(f, a, &third, &draft);
	put(f, &draft, 9, 9);
	assert_int_equal(OP(f, version_erase(f->m, second.version.id)), 0);
	assert_int_equal(rows_of(f, &first), PAGES - 2);
	check(f, &third);
	check(f, &draft);
	put(f, &draft, 30, 0); /* the draft rests on it no longer */
	check(f, &draft);
	check(f, &third);
	assert_int_equal(sql_value_of(f, UNUSED), 0);
	seal(f, &draft);
	assert_int_equal(OP(f, version_erase(f->m, third.version.id)), 0);
	assert_int_equal(rows_of(f, &first), 0);
	assert_int_equal(sql_value_of(f, RESTING), 0);
	check(f, &draft);
	assert_int_equal(sql_value_of(f, UNUSED), 0);
	assert_int_equal(sql_value_of(f, "SELECT count(*) FROM mappage"), PAGES - 1);
	assert_int_equal(sql_value_of(f, "SELECT count(*) FROM kv WHERE key = 'meta.door'"), 0);
}

static bool move_one(void *arg, struct block_ref *ref) {
	ref->segment += *(const uint32_t *)arg;
	return true;
}

static void a_moved_block_is_told_to_all_that_rest_on_its_page(void **state) {
	struct fixture *f = *state;
	uint64_t a = file(f, "a"), page_id;
	struct model first, second, third;
	struct map_owner owner;
	uint32_t by = 7;
	bool changed = false;
	fill(f, a, PAGES, 100, &first);
	change(f, a, &first, 0, 1, &second);
	change(f, a, &second, 1, 2, &third);
	page_id = sql_value_of(f, "SELECT mappage FROM map WHERE page = 5");
	assert_int_equal(OP(f, version_map_owner(f->m, page_id, &owner)), 0);
	assert_int_equal(owner.version, first.version.id);
	assert_int_equal(owner.page, 5);
	assert_true(owner.hashes >= 3 * PAGES);
	assert_int_equal(OP(f, version_map_forward(f->m, page_id, move_one, &by, &changed)), 0);
	assert_true(changed);
	check(f, &first);
	check(f, &second);
	check(f, &third);
	assert_int_equal(OP(f, version_erase(f->m, first.version.id)), 0);
	assert_int_equal(OP(f, version_map_owner(f->m, page_id, &owner)), 0);
	assert_int_equal(owner.version, second.version.id);
	assert_int_equal(OP(f, version_map_forward(f->m, page_id, move_one, &by, &changed)), 0);
	check(f, &second);
	check(f, &third);
}

static void what_is_rested_on_can_not_be_changed_even_by_raw_sql(void **state) {
	struct fixture *f = *state;
	uint64_t a = file(f, "a"), b = file(f, "b");
	struct model first, second, draft;
	fill(f, a, PAGES, 100, &first);
	change(f, a, &first, 0, 1, &second);
	begin(f, b, &first, &draft);
	fixture_commit(f);
	static const char *const forbidden[] = {
	        "DELETE FROM map_base WHERE version = 2",
	        "UPDATE map_base SET base = 2 WHERE version = 3",
	        "INSERT INTO map_base (version, base) VALUES (1, 2)",
	        "DELETE FROM map_base WHERE version = 3; INSERT INTO map_base (version, base) VALUES (3, 2)",
	        "DELETE FROM map_base WHERE version = 3; INSERT INTO map_base (version, base) VALUES (3, 3)",
	        "INSERT INTO kv VALUES ('meta.door', x'00'); DELETE FROM map WHERE version = 1",
	        "INSERT INTO kv VALUES ('meta.door', x'00'); DELETE FROM map WHERE version = 1 AND page = 9",
	};
	for (size_t i = 0; i < sizeof forbidden / sizeof forbidden[0]; i++) {
		assert_int_equal(raw_sql(f, "BEGIN"), SQLITE_OK);
		assert_int_not_equal(raw_sql(f, forbidden[i]), SQLITE_OK);
		assert_int_equal(raw_sql(f, "ROLLBACK"), SQLITE_OK);
	}
	assert_int_equal(raw_sql(f, "DROP TRIGGER map_base_delete; DELETE FROM map_base WHERE version = 2"), SQLITE_OK);
	assert_int_equal(OP(f, version_verify_hash(f->m, second.version.id)), -EBADMSG);
}

static void an_older_vault_is_raised_when_a_map_is_to_rest_on_another(void **state) {
	struct fixture *f = *state;
	uint64_t a = file(f, "a"), b = file(f, "b");
	struct model first, small, second;
	fill(f, a, PAGES, 100, &first);
	fill(f, b, 3, 1, &small);
	fixture_commit(f);
	make_version_2(f);
	check(f, &first);
	change(f, b, &small, 1, 9, &second);
	assert_int_equal(OP(f, version_erase(f->m, small.version.id)), 0);
	check(f, &second);
	assert_int_equal(sql_value_of(f, SCHEMA), 2);
	meta_begin(f->m);
	assert_int_equal(version_draft(f->m, a, first.version.id, ZONE_LANDING, &second.version), 0);
	assert_int_equal(meta_end(f->m, -ECANCELED), -ECANCELED);
	assert_int_equal(sql_value_of(f, SCHEMA), 2);
	change(f, a, &first, 4, 9, &second);
	assert_int_equal(sql_value_of(f, SCHEMA), 3);
	assert_int_equal(sql_value_of(f, RESTING), 1);
	fixture_commit(f);
	fixture_reopen(f);
	check(f, &first);
	check(f, &second);
}

static int refuse(void *arg) {
	(void)arg;
	return 1;
}

/* A mount whose commit fails goes on reading what was committed before. */
static void a_failed_commit_takes_the_new_schema_back(void **state) {
	struct fixture *f = *state;
	uint64_t a = file(f, "a");
	struct model first, second;
	fill(f, a, 40, 100, &first);
	fixture_commit(f);
	make_version_2(f);
	change(f, a, &first, 4, 9, &second);
	sqlite3_commit_hook(f->db, refuse, NULL);
	meta_begin(f->m);
	assert_int_equal(meta_commit(f->m, 0, NULL), -EIO);
	sqlite3_commit_hook(f->db, NULL, NULL);
	check(f, &first);
	fixture_reopen(f);
	check(f, &first);
}

/* What nobody shows any longer is gone, whichever way it was replaced. */
static void a_page_goes_with_the_last_that_shows_it(void **state) {
	struct fixture *f = *state;
	uint64_t a = file(f, "a"), b = file(f, "b");
	struct model first, small, other, draft;
	fill(f, a, 40, 100, &first);
	fill(f, a, 3, 100, &small);
	fill(f, a, 3, 100, &other);
	begin(f, b, &first, &draft);
	assert_int_equal(OP(f, version_erase(f->m, first.version.id)), 0);
	put(f, &draft, 5, 9); /* covers what the erased one lent */
	assert_int_equal(rows_of(f, &first), 39);
	put(f, &draft, 6, 0); /* the last that rests on it takes over */
	assert_int_equal(rows_of(f, &first), 0);
	assert_int_equal(sql_value_of(f, UNUSED), 0);
	check(f, &draft);
	assert_int_equal(OP(f, version_drop(f->m, draft.version.id, NULL)), 0);
	begin(f, b, &small, &draft); /* copied rows */
	assert_int_equal(OP(f, version_erase(f->m, small.version.id)), 0);
	put(f, &draft, 1, 9);
	put(f, &draft, 2, 0);
	assert_int_equal(OP(f, version_map_share(f->m, draft.version.id, 0, draft.version.id, 2)), 0);
	put(f, &draft, 0, 7);
	put(f, &draft, 2, 8);
	assert_int_equal(sql_value_of(f, UNUSED), 0);
	check(f, &draft);
}

static void nothing_is_read_by_an_erased_version(void **state) {
	struct fixture *f = *state;
	uint64_t a = file(f, "a"), b = file(f, "b"), c = file(f, "c");
	struct model first, second, draft;
	struct version reserved;
	fill(f, a, 40, 100, &first);
	change(f, a, &first, 7, 9, &second);
	assert_int_equal(OP(f, version_draft_reserve(f->m, b, first.version.id, ZONE_LANDING, &reserved)), 0);
	assert_int_equal(OP(f, version_erase(f->m, first.version.id)), 0);
	assert_int_equal(OP(f, version_draft_put(f->m, &reserved)), -ESTALE);
	version_draft_release(f->m, b);
	begin(f, c, NULL, &draft);
	assert_int_equal(OP(f, version_map_share(f->m, first.version.id, 8, draft.version.id, 1)), -ENOENT);
	check(f, &draft);
	check(f, &second);
}

/* ---- against the model ---- */

#define NODES 3
#define SEALED_MAX 40

struct world {
	struct fixture *f;
	uint64_t random;
	uint64_t nodes[NODES];
	struct model drafts[NODES]; /* version.id 0: none */
	struct model sealed[SEALED_MAX];
	size_t count;
	uint32_t mark;
};

static struct model *some_sealed(struct world *w) {
	return w->count ? &w->sealed[random_below(&w->random, w->count)] : NULL;
}

/* Full often enough, so that later ones rest on it. */
static void step_begin(struct world *w, struct model *draft, uint64_t node) {
	begin(w->f, node, random_below(&w->random, 8) ? some_sealed(w) : NULL, draft);
	if (draft->version.base)
		return;
	for (uint64_t page = 0, end = random_below(&w->random, PAGES); page < end; page++)
		put(w->f, draft, page, ++w->mark);
}

static void step_share(struct world *w, struct model *draft) {
	struct model *from = random_below(&w->random, 2) ? some_sealed(w) : draft;
	uint64_t source = random_below(&w->random, PAGES), page = random_below(&w->random, PAGES);
	if (!from)
		return;
	assert_int_equal(OP(w->f, version_map_share(w->f->m, from->version.id, source, draft->version.id, page)), 0);
	draft->marks[page] = from->marks[source];
}

static void step_truncate(struct world *w, struct model *draft) {
	uint64_t first = random_below(&w->random, PAGES + 5);
	assert_int_equal(OP(w->f, version_truncate_map(w->f->m, draft->version.id, first)), 0);
	for (; first < PAGES; first++)
		draft->marks[first] = 0;
}

static void step_end(struct world *w, struct model *draft) {
	if (w->count < SEALED_MAX && random_below(&w->random, 4)) {
		seal(w->f, draft);
		w->sealed[w->count++] = *draft;
	} else {
		assert_int_equal(OP(w->f, version_drop(w->f->m, draft->version.id, NULL)), 0);
	}
	draft->version.id = 0;
}

static void step_erase(struct world *w) {
	struct model *victim = some_sealed(w);
	if (!victim || w->count < SEALED_MAX / 2)
		return;
	int rc = OP(w->f, version_erase(w->f->m, victim->version.id));
	assert_true(rc == 0 || rc == -EBUSY);
	if (rc == 0)
		*victim = w->sealed[--w->count];
}

static bool move_some(void *arg, struct block_ref *ref) {
	ref->segment += (uint32_t)random_below(arg, 5);
	return true;
}

static void step_forward(struct world *w) {
	uint64_t pages = sql_value_of(w->f, "SELECT count(*) FROM mappage");
	char sql[100];
	bool changed;
	if (pages == 0)
		return;
	snprintf(sql, sizeof sql, "SELECT id FROM mappage ORDER BY id LIMIT 1 OFFSET %lu",
	        (unsigned long)random_below(&w->random, pages));
	uint64_t page_id = sql_value_of(w->f, sql);
	assert_int_equal(OP(w->f, version_map_forward(w->f->m, page_id, move_some, &w->random, &changed)), 0);
}

static void step_withdraw(struct world *w) {
	struct model *victim = some_sealed(w);
	if (victim && OP(w->f, version_withdraw(w->f->m, victim->version.id, 0)) == 0)
		victim->version.state = VERSION_WITHDRAWN;
}

/* Something of all that, taken back. */
static void step_undone(struct world *w) {
	Meta *m = w->f->m;
	struct model *from = some_sealed(w), *draft = &w->drafts[random_below(&w->random, NODES)];
	struct block_ref ref = ref_of(5);
	struct version version;
	if (!from || !draft->version.id)
		return;
	meta_begin(m);
	(void)version_map_put(m, draft->version.id, random_below(&w->random, PAGES), &ref, random_below(&w->random, 2));
	(void)version_map_share(m, from->version.id, 3, draft->version.id, random_below(&w->random, PAGES));
	(void)version_erase(m, from->version.id);
	if (random_below(&w->random, 2))
		(void)version_truncate_map(m, draft->version.id, random_below(&w->random, PAGES));
	else if (random_below(&w->random, 2))
		(void)version_drop(m, draft->version.id, NULL);
	else
		(void)version_seal(m, draft->version.id, ORIGIN_WRITE, 0, NULL, &version);
	assert_int_equal(meta_end(m, -ECANCELED), -ECANCELED);
}

static void step_aside(struct world *w) {
	switch (random_below(&w->random, 8)) {
	case 0:
		fixture_commit(w->f);
		fixture_reopen(w->f);
		break;
	case 1:
		step_withdraw(w);
		break;
	case 2:
	case 3:
		step_forward(w);
		break;
	default:
		step_undone(w);
	}
}

static void step(struct world *w) {
	size_t node = random_below(&w->random, NODES);
	struct model *draft = &w->drafts[node];
	uint64_t what = random_below(&w->random, 16);
	if (what == 0)
		step_erase(w);
	else if (draft->version.id == 0)
		step_begin(w, draft, w->nodes[node]);
	else if (what == 1)
		step_truncate(w, draft);
	else if (what == 2)
		put(w->f, draft, random_below(&w->random, PAGES), 0);
	else if (what < 5)
		step_share(w, draft);
	else if (what < 10)
		step_end(w, draft);
	else
		put(w->f, draft, random_below(&w->random, PAGES), ++w->mark);
}

/* Rows of erased versions that none rests on. */
#define IDLE                                                                                               \
	"SELECT count(*) FROM map b JOIN version v ON v.id = b.version AND v.state = 3 WHERE NOT EXISTS (" \
	"SELECT 1 FROM map_base d WHERE d.base = b.version AND NOT EXISTS (SELECT 1 FROM map o"            \
	" WHERE o.version = d.version AND o.page = b.page))"
#define HAS_BASES "SELECT count(*) FROM sqlite_schema WHERE name = 'map_base'"

static void check_world(struct world *w) {
	for (size_t i = 0; i < w->count; i++)
		check(w->f, &w->sealed[i]);
	for (size_t i = 0; i < NODES; i++)
		if (w->drafts[i].version.id)
			check(w->f, &w->drafts[i]);
}

static void run_world(struct fixture *f, uint64_t seed) {
	struct world *w = calloc(1, sizeof *w);
	*w = (struct world){.f = f, .random = seed};
	for (size_t i = 0; i < NODES; i++) {
		char name[8];
		snprintf(name, sizeof name, "%zu", i);
		w->nodes[i] = file(f, name);
	}
	fixture_commit(f);
	if (seed % 3 == 1)
		make_version_1(f);
	else if (seed % 3 == 2)
		make_version_2(f);
	for (size_t i = 0; i < 400; i++) {
		if (random_below(&w->random, 6) == 0)
			step_aside(w);
		step(w);
		if (i % 25 == 0)
			check_world(w);
		assert_int_equal(sql_value_of(f, UNUSED), 0);
		assert_int_equal(sql_value_of(f, HAS_BASES) ? sql_value_of(f, IDLE) : 0, 0);
		assert_int_equal(sql_value_of(f, "SELECT count(*) FROM kv WHERE key = 'meta.door'"), 0);
	}
	check_world(w);
	assert_true(sql_value_of(f, RESTING) > 0);
	fixture_commit(f);
	assert_int_equal(sql_value_of(f, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
	free(w);
}

static void whatever_is_done_each_version_shows_what_it_showed(void **state) {
	(void)state;
	for (uint64_t seed = 1; seed <= 24; seed++) {
		void *own = NULL;
		assert_int_equal(fixture_setup(&own), 0);
		run_world(own, seed);
		assert_int_equal(fixture_teardown(&own), 0);
	}
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
	        TEST(a_version_of_a_large_file_has_only_the_rows_that_changed),
	        TEST(a_small_file_rests_on_nothing),
	        TEST(a_hole_or_a_cut_in_a_draft_shows_nothing_of_what_it_rests_on),
	        TEST(erasing_a_version_spares_what_rests_on_it),
	        TEST(a_moved_block_is_told_to_all_that_rest_on_its_page),
	        TEST(what_is_rested_on_can_not_be_changed_even_by_raw_sql),
	        TEST(an_older_vault_is_raised_when_a_map_is_to_rest_on_another),
	        TEST(a_failed_commit_takes_the_new_schema_back),
	        TEST(a_page_goes_with_the_last_that_shows_it),
	        TEST(nothing_is_read_by_an_erased_version),
	        TEST(whatever_is_done_each_version_shows_what_it_showed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
