/* Access control lists: what is one, what it says beside the mode, and who may. */
#include "backend/acl.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/xattr.h"
#include "tests/backend/meta_fixture.h"

#define OP(f, call) (meta_begin((f)->m), meta_end((f)->m, (call)))

/* "u:rw- u1001:rw- g:r-- g50:rw- m:rw- o:---" as the kernel's bytes, entries as they stand. */
static size_t bytes_of_words(const char *words, uint8_t *to) {
	uint8_t *at = to;
	le32_put(at, 2);
	at += 4;
	for (; *words; words += strcspn(words, " "), words += *words == ' ') {
		char kind = *words;
		const char *colon = strchr(words, ':');
		bool is_named = colon > words + 1;
		uint16_t tag = kind == 'u' ? 1 : kind == 'g' ? 4 : kind == 'm' ? 0x10 : kind == 'o' ? 0x20 : 0x40;
		unsigned bits = (colon[1] == 'r' ? 4u : 0) | (colon[2] == 'w' ? 2u : 0) | (colon[3] == 'x' ? 1u : 0) |
		                (colon[3] == 'X' ? 8u : 0);
		le16_put(at, (uint16_t)(tag << (is_named ? 1 : 0)));
		le16_put(at + 2, (uint16_t)bits);
		le32_put(at + 4, is_named ? (uint32_t)strtoul(words + 1, NULL, 10) : UINT32_MAX);
		at += 8;
	}
	return (size_t)(at - to);
}

static int parse(const char *words, struct acl *ret) {
	uint8_t value[ACL_BYTES_MAX];
	return acl_parse(bytes_of(value, bytes_of_words(words, value)), ret);
}

static struct acl acl_of(const char *words) {
	struct acl acl = {0};
	assert_int_equal(parse(words, &acl), 0);
	return acl;
}

static void assert_says(const struct acl *acl, const char *words) {
	uint8_t value[ACL_BYTES_MAX], expected[ACL_BYTES_MAX];
	size_t size = acl_serialise(acl, value);
	assert_int_equal(size, bytes_of_words(words, expected));
	assert_memory_equal(value, expected, size);
}

static void only_what_is_an_acl_is_parsed(void **state) {
	(void)state;
	static const struct {
		const char *words;
		int rc;
	} rows[] = {
	        {"u:rwx g:r-x o:---", 0},
	        {"u:rwx g:r-x m:rwx o:---", 0},
	        {"u:rw- u5:rw- g:r-- g7:r-- m:rw- o:---", 0},
	        {"u:rw- u7:rw- u5:rw- g:r-- m:rw- o:---", 0}, /* by any order of ids */
	        {"u:rw- u5:rw- g:r-- o:---", -EINVAL},        /* no mask */
	        {"u:rw- g:r-- g5:r-- o:---", -EINVAL},
	        {"u:rw- u5:rw- u5:r-- g:r-- m:rw- o:---", -EINVAL}, /* twice */
	        {"u:rw- u:rw- g:r-- o:---", -EINVAL},
	        {"u:rw- g:r-- g:r-- o:---", -EINVAL},
	        {"u:rw- g:r-- m:r-- m:r-- o:---", -EINVAL},
	        {"u:rw- g:r-- o:--- o:---", -EINVAL},
	        {"g:r-- o:---", -EINVAL},
	        {"u:rw- o:---", -EINVAL},
	        {"u:rw- g:r--", -EINVAL},
	        {"g:r-- u:rw- o:---", -EINVAL}, /* out of order */
	        {"u:rw- g:r-- o:--- m:rwx", -EINVAL},
	        {"u:rwX g:r-- o:---", -EINVAL},                       /* no such permission */
	        {"u:rw- g:r-- o:--- z:---", -EINVAL},                 /* no such tag */
	        {"u:rw- u4294967295:r-- g:r-- m:r-- o:---", -EINVAL}, /* nobody's id */
	        {"", -EINVAL},
	};
	struct acl acl;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		int rc = parse(rows[i].words, &acl);
		if (rc != rows[i].rc)
			fail_msg("\"%s\" gave %d", rows[i].words, rc);
	}
}

static void torn_and_foreign_bytes_are_refused(void **state) {
	(void)state;
	uint8_t value[ACL_BYTES_MAX + 8] = {0};
	struct acl acl = {.count = 77};
	size_t size = bytes_of_words("u:rwx g:r-x o:---", value);
	for (size_t cut = 0; cut < size; cut++)
		assert_int_equal(acl_parse(bytes_of(value, cut), &acl), -EINVAL);
	assert_int_equal(acl_parse(bytes_of(value, size + 1), &acl), -EINVAL);
	le32_put(value, 1);
	assert_int_equal(acl_parse(bytes_of(value, size), &acl), -EOPNOTSUPP);
	le32_put(value, 2);
	assert_int_equal(acl_parse(bytes_of(value, sizeof value), &acl), -E2BIG);
	assert_int_equal(acl.count, 77); /* set only on success */
}

static void the_largest_acl_is_kept_and_one_more_entry_is_not(void **state) {
	(void)state;
	static uint8_t value[ACL_BYTES_MAX + 8], again[ACL_BYTES_MAX];
	for (uint32_t named = ACL_ENTRIES_MAX - 4; named <= ACL_ENTRIES_MAX - 3; named++) {
		uint8_t *at = value + bytes_of_words("u:rwx", value);
		for (uint32_t i = 0; i < named; i++, at += 8) {
			le16_put(at, ACL_TAG_USER);
			le16_put(at + 2, 5);
			le32_put(at + 4, i);
		}
		uint8_t rest[32];
		size_t size = bytes_of_words("g:r-x m:r-x o:---", rest) - 4;
		memcpy(at, rest + 4, size);
		struct bytes whole = bytes_of(value, (size_t)(at - value) + size);
		static struct acl acl;
		bool fits = named == ACL_ENTRIES_MAX - 4;
		assert_int_equal(acl_parse(whole, &acl), fits ? 0 : -E2BIG);
		assert_int_equal(acl.count, ACL_ENTRIES_MAX);
		assert_int_equal(acl_serialise(&acl, again), ACL_BYTES_MAX);
		if (fits)
			assert_memory_equal(again, value, ACL_BYTES_MAX);
	}
}

static void the_modes_group_bits_are_the_mask(void **state) {
	(void)state;
	static const struct {
		const char *words;
		uint32_t mode, chmod;
		bool is_minimal;
		const char *after;
	} rows[] = {
	        {"u:rwx g:r-x o:--x", 0751, 0640, true, "u:rw- g:r-- o:---"},
	        {"u:rw- g:r-- m:rwx o:---", 0670, 0705, false, "u:rwx g:r-- m:--- o:r-x"},
	        {"u:rw- u5:rwx g:--- m:r-- o:---", 0640, 0060, false, "u:--- u5:rwx g:--- m:rw- o:---"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct acl acl = acl_of(rows[i].words);
		uint32_t mode = 0;
		assert_int_equal(acl_to_mode(&acl, &mode), rows[i].is_minimal);
		assert_int_equal(mode, rows[i].mode);
		acl_apply_mode(&acl, S_IFREG | rows[i].chmod);
		assert_says(&acl, rows[i].after);
	}
}

static void what_is_made_gets_of_a_default_acl_what_its_mode_has(void **state) {
	(void)state;
	static const struct {
		const char *defaults;
		uint32_t asked;
		bool is_stored;
		const char *access;
		uint32_t mode;
	} rows[] = {
	        {"u:rwx g:r-x o:r-x", 0666, false, "u:rw- g:r-- o:r--", 0644},
	        {"u:rwx u5:rwx g:r-x m:rwx o:---", 0666, true, "u:rw- u5:rwx g:r-x m:rw- o:---", 0660},
	        {"u:rwx u5:rwx g:r-x m:rwx o:r-x", S_IFDIR | 02700, true, "u:rwx u5:rwx g:r-x m:--- o:---",
	                S_IFDIR | 02700},
	        {"u:--- g:--- m:r-- o:---", 0777, true, "u:--- g:--- m:r-- o:---", 0040},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct acl acl = acl_of(rows[i].defaults);
		uint32_t mode = rows[i].asked;
		assert_int_equal(acl_inherit(&acl, &mode), rows[i].is_stored);
		assert_says(&acl, rows[i].access);
		assert_int_equal(mode, rows[i].mode);
	}
}

/* ---- who may ---- */

enum { FILES_GROUP = 50, TEAM = 60, GUESTS = 70 };

static unsigned questions;

static bool is_one_of(void *arg, uint32_t gid) {
	questions++;
	for (const uint32_t *groups = arg; *groups; groups++)
		if (*groups == gid)
			return true;
	return false;
}

static void the_first_entry_that_fits_decides(void **state) {
	(void)state;
	static const struct {
		const char *words;
		uint32_t uid, groups[4];
		unsigned wanted;
		bool may;
	} rows[] = {
	        {"u:rwx u5:r-- g:rwx m:rwx o:rwx", 5, {FILES_GROUP}, 4, true},
	        {"u:rwx u5:r-- g:rwx m:rwx o:rwx", 5, {FILES_GROUP}, 2, false}, /* though group and others may */
	        {"u:rwx u5:rwx g:rwx m:r-- o:rwx", 5, {0}, 2, false},           /* the mask */
	        {"u:rwx u5:--- g:r-- m:rwx o:r--", 6, {0}, 4, true},
	        {"u:rwx g:--- g60:r-- m:rwx o:rwx", 6, {FILES_GROUP}, 4, false},       /* of the group: not as others */
	        {"u:rwx g:--- g60:r-- m:rwx o:---", 6, {FILES_GROUP, TEAM}, 4, true},  /* one group is enough */
	        {"u:rwx g:r-- g60:-w- m:rwx o:---", 6, {FILES_GROUP, TEAM}, 6, false}, /* but it must give all */
	        {"u:rwx g:r-- g60:rw- m:r-- o:rw-", 6, {TEAM}, 6, false},
	        {"u:rwx g:r-- g60:rw- m:r-- o:rw-", 6, {GUESTS}, 6, true},
	        {"u:rwx g:r-- g60:--- m:rwx o:r--", 6, {TEAM}, 4, false},
	        {"u:rwx g:r-- g60:--- m:rwx o:---", 6, {GUESTS}, 4, false},
	        {"u:rwx u5:r-- g:r-- m:--- o:r--", 5, {0}, 4, false}, /* an empty mask, acl(5): not as others */
	        {"u:rwx g:r-- m:rwx o:---", 6, {FILES_GROUP}, 0, true},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct acl acl = acl_of(rows[i].words);
		uint32_t mode, groups[4];
		(void)acl_to_mode(&acl, &mode);
		memcpy(groups, rows[i].groups, sizeof groups);
		if (acl_allows(&acl, mode, rows[i].uid, FILES_GROUP, is_one_of, groups, rows[i].wanted) != rows[i].may)
			fail_msg("\"%s\": uid %u wants %u", rows[i].words, rows[i].uid, rows[i].wanted);
	}
}

static void the_mode_has_the_last_word_on_mask_and_others(void **state) {
	(void)state;
	struct acl acl = acl_of("u:rwx u5:rwx g:rwx m:rwx o:rwx");
	uint32_t none[1] = {0};
	assert_false(acl_allows(&acl, 0747, 5, FILES_GROUP, is_one_of, none, 2));
	assert_true(acl_allows(&acl, 0747, 5, FILES_GROUP, is_one_of, none, 4));
	assert_false(acl_allows(&acl, 0770, 6, FILES_GROUP, is_one_of, none, 4));
}

static void groups_are_asked_for_only_when_the_answer_depends_on_them(void **state) {
	(void)state;
	static const struct {
		const char *words;
		unsigned questions;
	} rows[] = {
	        {"u:rwx u5:r-- g:r-- m:rwx o:---", 0},          /* the user's own entry */
	        {"u:rwx g:r-- g60:r-- g70:rw- m:rwx o:r--", 0}, /* all give it */
	        {"u:rwx g:-w- g60:-w- g70:-w- m:rwx o:-w-", 0}, /* none does */
	        {"u:rwx g:r-- g60:--- g70:rw- m:rwx o:r--", 1},
	        {"u:rwx g:r-- g60:--- g70:--- m:rwx o:---", 1},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct acl acl = acl_of(rows[i].words);
		uint32_t mode, none[1] = {0};
		(void)acl_to_mode(&acl, &mode);
		questions = 0;
		(void)acl_allows(&acl, mode, 5, FILES_GROUP, is_one_of, none, 4);
		if (questions != rows[i].questions)
			fail_msg("\"%s\": asked %u times", rows[i].words, questions);
	}
}

static void everybody_means_all_who_are_named(void **state) {
	(void)state;
	static const struct {
		const char *words;
		bool all;
	} rows[] = {
	        {"u:--x g:--x o:--x", true},
	        {"u:rwx u5:--x g:r-x g6:--x m:--x o:--x", true},
	        {"u:rwx u5:rw- g:r-x m:rwx o:r-x", false},
	        {"u:rwx g:r-x g5:rw- m:rwx o:r-x", false},
	        {"u:rwx g:r-- m:rwx o:r-x", false},
	        {"u:rwx g:rwx m:rw- o:r-x", false},
	        {"u:rw- g:r-x m:rwx o:r-x", false},
	        {"u:rwx g:r-x m:rwx o:r--", false},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct acl acl = acl_of(rows[i].words);
		uint32_t mode;
		(void)acl_to_mode(&acl, &mode);
		if (acl_allows_everybody(&acl, mode, 1) != rows[i].all)
			fail_msg("\"%s\"", rows[i].words);
	}
}

/* For all ACLs of a small world, and all who live in it: who may by the copy's mode, may by the ACL. */
static void a_copy_without_the_acl_gives_nobody_more(void **state) {
	(void)state;
	uint64_t seed = 1;
	for (unsigned turn = 0; turn < 20000; turn++) {
		struct acl acl = acl_of("u:rwx u5:rwx u6:rwx g:rwx g60:rwx m:rwx o:rwx");
		for (size_t i = 0; i < acl.count; i++)
			acl.entries[i].permissions = (uint16_t)random_below(&seed, 8);
		uint32_t mode, copy = acl_narrowest_mode(&acl);
		(void)acl_to_mode(&acl, &mode);
		uint32_t uid = 5 + (uint32_t)random_below(&seed, 3);
		uint32_t first[] = {FILES_GROUP, TEAM, GUESTS}, groups[3] = {0};
		groups[0] = first[random_below(&seed, 3)];
		groups[1] = groups[0] == TEAM && random_below(&seed, 2) ? FILES_GROUP : 0;
		unsigned wanted = 1u << random_below(&seed, 3);
		bool by_mode = (is_one_of(groups, FILES_GROUP) ? copy >> 3 : copy) & wanted;
		if (by_mode && !acl_allows(&acl, mode, uid, FILES_GROUP, is_one_of, groups, wanted))
			fail_msg("turn %u: uid %u gets %u by mode %o", turn, uid, wanted, copy);
	}
	struct acl plain = acl_of("u:rw- g:r-- o:r--"), named = acl_of("u:rw- u5:rw- g:r-- m:rw- o:r--");
	assert_int_equal(acl_narrowest_mode(&plain), 0644);
	assert_int_equal(acl_narrowest_mode(&named), 0644); /* and takes nothing without need */
}

/* ---- kept ---- */

static void an_acl_is_kept_with_its_node(void **state) {
	struct fixture *f = *state;
	struct node dir = make(f, NODE_LANDING, "d", S_IFDIR | 0755), node = dir;
	struct acl acl = acl_of("u:rwx u5:rwx g:r-x m:rwx o:r-x"), got;
	enum acl_type type;
	assert_true(acl_is_name("system.posix_acl_default", &type));
	assert_int_equal(type, ACL_TYPE_DEFAULT);
	assert_false(acl_is_name("system.posix_acl", &type));
	assert_int_equal(OP(f, acl_get(f->m, &node, ACL_TYPE_ACCESS, &got)), -ENODATA);
	assert_int_equal(OP(f, acl_set(f->m, dir.id, ACL_TYPE_ACCESS, &acl)), 0);
	assert_int_equal(
	        OP(f, acl_get(f->m, &node, ACL_TYPE_ACCESS, &got)), -ENODATA); /* xattrs is 0 still: not asked */
	assert_int_equal(OP(f, tree_get(f->m, dir.id, &node)), 0);
	assert_int_equal(OP(f, acl_get(f->m, &node, ACL_TYPE_DEFAULT, &got)), -ENODATA);
	assert_int_equal(OP(f, acl_get(f->m, &node, ACL_TYPE_ACCESS, &got)), 0);
	assert_says(&got, "u:rwx u5:rwx g:r-x m:r-x o:r-x"); /* the mode's group bits */
	uint32_t copy = 0;
	assert_int_equal(OP(f, acl_mode_of_copy(f->m, &node, &copy)), 0);
	assert_int_equal(copy, 0755);
	assert_int_equal(OP(f, acl_set(f->m, dir.id, ACL_TYPE_ACCESS, NULL)), 0);
	assert_int_equal(OP(f, acl_set(f->m, dir.id, ACL_TYPE_ACCESS, NULL)), 0); /* none is there: no error */
	assert_int_equal(OP(f, acl_get(f->m, &node, ACL_TYPE_ACCESS, &got)), -ENODATA);
}

static void what_is_kept_and_is_no_acl_is_no_permission(void **state) {
	struct fixture *f = *state;
	struct node node = make(f, NODE_LANDING, "f", S_IFREG | 0644);
	struct acl got;
	assert_int_equal(OP(f, xattr_set(f->m, node.id, text(ACL_ACCESS_XATTR), text("nonsense"), 0)), 0);
	assert_int_equal(OP(f, tree_get(f->m, node.id, &node)), 0);
	assert_int_equal(OP(f, acl_get(f->m, &node, ACL_TYPE_ACCESS, &got)), -EUCLEAN);
	uint32_t copy;
	assert_int_equal(OP(f, acl_mode_of_copy(f->m, &node, &copy)), -EUCLEAN);
}

static void a_version_says_that_its_file_had_an_acl(void **state) {
	struct fixture *f = *state;
	struct node node = make(f, NODE_LANDING, "f", S_IFREG | 0644);
	struct acl acl = acl_of("u:rw- u5:rw- g:r-- m:rw- o:r--");
	assert_int_equal(seal_version(f, node.id, ZONE_LANDING, 1, 1).mode, S_IFREG | 0644);
	assert_int_equal(OP(f, xattr_set(f->m, node.id, text("user.x"), text("y"), 0)), 0);
	assert_int_equal(seal_version(f, node.id, ZONE_LANDING, 1, 2).mode, S_IFREG | 0644);
	assert_int_equal(OP(f, acl_set(f->m, node.id, ACL_TYPE_ACCESS, &acl)), 0);
	struct version version = seal_version(f, node.id, ZONE_LANDING, 1, 3), got;
	assert_int_equal(version.mode, VERSION_MODE_ACL | S_IFREG | 0644);
	assert_int_equal(OP(f, version_get(f->m, version.id, &got)), 0);
	assert_int_equal(got.mode, version.mode);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(only_what_is_an_acl_is_parsed),
	        cmocka_unit_test(torn_and_foreign_bytes_are_refused),
	        cmocka_unit_test(the_largest_acl_is_kept_and_one_more_entry_is_not),
	        cmocka_unit_test(the_modes_group_bits_are_the_mask),
	        cmocka_unit_test(what_is_made_gets_of_a_default_acl_what_its_mode_has),
	        cmocka_unit_test(the_first_entry_that_fits_decides),
	        cmocka_unit_test(the_mode_has_the_last_word_on_mask_and_others),
	        cmocka_unit_test(groups_are_asked_for_only_when_the_answer_depends_on_them),
	        cmocka_unit_test(everybody_means_all_who_are_named),
	        cmocka_unit_test(a_copy_without_the_acl_gives_nobody_more),
	        cmocka_unit_test_setup_teardown(an_acl_is_kept_with_its_node, fixture_setup, fixture_teardown),
	        cmocka_unit_test_setup_teardown(
	                what_is_kept_and_is_no_acl_is_no_permission, fixture_setup, fixture_teardown),
	        cmocka_unit_test_setup_teardown(
	                a_version_says_that_its_file_had_an_acl, fixture_setup, fixture_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
