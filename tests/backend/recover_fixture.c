#include "tests/backend/recover_fixture.h"

#include "backend/audit.h"
#include "backend/backup/recall.h"
#include "backend/store_internal.h"
#include "tests/backend/gc_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void hear(void *arg, const char *words) {
	struct recover_world *w = arg;
	size_t used = strlen(w->notices);
	(void)snprintf(w->notices + used, sizeof w->notices - used, "%s\n", words);
}

void recover_write(struct test_vault *v, const char *name, uint8_t mark) {
	Content *c = gc_open_content(v, test_vault_create(v, NODE_LANDING, name));
	gc_put_blocks(c, 0, RECOVER_BLOCKS, mark);
	gc_seal(c);
	content_close(c);
	gc_close_segments(v);
}

void recover_rewrite(struct test_vault *v, const char *name, uint8_t mark) {
	struct node node;
	Meta *m = store_meta(v->store);
	meta_begin(m);
	assert_rc(meta_end(m, tree_lookup(m, NODE_LANDING, bytes_of_string(name), &node)));
	Content *c = gc_open_content(v, node.id);
	gc_put_blocks(c, 0, RECOVER_BLOCKS, mark);
	gc_seal(c);
	content_close(c);
	gc_commit(v);
}

/* Two generations: of `a` as 'x', and of `a` as 'y' with `b`. */
int recover_setup(void **state) {
	struct recover_world *w = calloc(1, sizeof *w);
	void *v = NULL;
	assert_non_null(w);
	assert_int_equal(gc_fixture_setup(&v), 0);
	w->v = v;
	w->shelf = shelf_new();
	(void)snprintf(w->target, sizeof w->target, "%s/again", w->v->path);
	(void)snprintf(w->state, sizeof w->state, "%s/state", w->v->path);
	w->place = (struct objects_place){.url = SHELF_URL};
	w->options = (struct recover_options){.notice = hear, .arg = w, .open = shelf_open, .open_arg = w->shelf};
	recover_write(w->v, "a", 'x');
	shelf_ship(w->shelf, w->v->store, 1);
	recover_rewrite(w->v, "a", 'y');
	recover_write(w->v, "b", 'b');
	shelf_ship(w->shelf, w->v->store, 2);
	*state = w;
	return 0;
}

int recover_teardown(void **state) {
	struct recover_world *w = *state;
	void *v = w->v;
	shelf_free(w->shelf);
	free(w);
	return test_vault_teardown(&v);
}

int recover_as(struct recover_world *w, const char *passphrase) {
	struct store_secret secret = {.kind = STORE_PASSPHRASE, .bytes = bytes_of_string(passphrase)};
	return recover_vault(&w->place, w->target, &secret, &w->options, &w->sum);
}

int recover_now(struct recover_world *w) {
	return recover_as(w, TEST_PASSPHRASE);
}

/* The recovered vault, open: segments come when they are wanted. */
struct test_vault recover_open(struct recover_world *w) {
	static struct recall_means means;
	means = (struct recall_means){.open = shelf_open, .open_arg = w->shelf};
	struct test_vault again = {.options = {.reserve_bytes = 8 << 20,
	                                   .gc_by_hand = true,
	                                   .recall_by_hand = true,
	                                   .recall = &means,
	                                   .notice = hear,
	                                   .notice_arg = w}};
	(void)snprintf(again.vault, sizeof again.vault, "%s", w->target);
	assert_rc(test_vault_open(w->target, &again.options, &again.store));
	return again;
}

int recover_read(struct test_vault *v, const char *name, uint8_t *ret_first) {
	struct node node;
	uint8_t block[2];
	size_t got = 0;
	Content *c = NULL;
	Meta *m = store_meta(v->store);
	meta_begin(m);
	int rc = meta_end(m, tree_lookup(m, NODE_LANDING, bytes_of_string(name), &node));
	if (rc < 0)
		return rc;
	assert_rc(content_open(v->store, node.id, 0, &c));
	assert_int_equal(content_size(c), RECOVER_BLOCKS * SEGMENT_BLOCK_BYTES);
	for (unsigned i = 0; i < RECOVER_BLOCKS && rc == 0; i++)
		rc = content_read(c, (uint64_t)i * SEGMENT_BLOCK_BYTES + SEGMENT_BLOCK_BYTES - 1, block, 1, &got);
	*ret_first = block[0];
	content_close(c);
	return rc;
}

void recover_expect_file(struct test_vault *v, const char *name, uint8_t mark) {
	struct node node;
	Meta *m = store_meta(v->store);
	meta_begin(m);
	assert_rc(meta_end(m, tree_lookup(m, NODE_LANDING, bytes_of_string(name), &node)));
	Content *c = gc_open_content(v, node.id);
	gc_expect_blocks(c, 0, RECOVER_BLOCKS, mark);
	content_close(c);
}

static int count_event(void *arg, const struct audit_entry *entry) {
	struct recover_world *w = arg;
	hear(w, entry->event.event);
	if (entry->event.detail)
		hear(w, entry->event.detail);
	return 0;
}

void recover_expect_record(struct recover_world *w, struct test_vault *v, const char *event, const char *detail) {
	Meta *m = store_meta(v->store);
	w->notices[0] = '\0';
	meta_begin(m);
	assert_rc(meta_end(m, audit_query(m, &(struct audit_filter){.event = event}, count_event, w)));
	if (!strstr(w->notices, detail))
		fail_msg("no record %s with %s, but %s", event, detail, w->notices);
}

int recover_tell(void *arg, const struct fsck_finding *finding) {
	char line[FSCK_WORDS_BYTES + 200];
	(void)snprintf(line, sizeof line, "of %s: %s", finding->path ? finding->path : "-", finding->words);
	hear(arg, line);
	return 0;
}

void recover_expect_sound(struct recover_world *w) {
	struct fsck_summary sum;
	struct store_secret secret = {.kind = STORE_PASSPHRASE, .bytes = bytes_of_string(TEST_PASSPHRASE)};
	w->notices[0] = '\0';
	assert_rc(fsck_run(w->target, &secret, recover_tell, w, &sum));
	if (sum.findings)
		fail_msg("fsck found: %s", w->notices);
}

bool recover_has(struct recover_world *w, const char *name) {
	char path[256];
	(void)snprintf(path, sizeof path, "%s/%s", w->target, name);
	return access(path, F_OK) == 0;
}

int recover_take_generation(void *arg, const struct recover_generation *generation) {
	struct recover_generations *generations = arg;
	generations->list[generations->count++] = *generation;
	return 0;
}
