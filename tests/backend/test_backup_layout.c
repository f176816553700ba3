/* Names of a backup's objects, and superblocks. */
#include "backend/backup/inventory.h"
#include "backend/backup/layout.h"

#include "crypto/base/fault.h"
#include "tests/backend/meta_key.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t vault_id[LAYOUT_VAULT_ID_BYTES] = {1, 2, 3};
static const uint8_t other_id[LAYOUT_VAULT_ID_BYTES] = {1, 2, 4};

static struct layout_super super_of(struct layout_leaving *leaving, uint32_t count) {
	struct layout_super super = {.number = 7,
	        .time_ns = -5,
	        .commit = 99,
	        .pack = 12,
	        .base = 10,
	        .header = 3,
	        .bytes = UINT64_C(1) << 40,
	        .zones = 6,
	        .prefix_mark = layout_prefix_mark("a/"),
	        .leaving = leaving,
	        .leaving_count = count};
	memset(super.header_hash, 0xab, sizeof super.header_hash);
	memset(super.root, 0xcd, sizeof super.root);
	return super;
}

static void a_superblock_opens_as_it_was_sealed(void **state) {
	(void)state;
	struct layout_leaving leaving[2] = {{.id = {1}, .since = 5}, {.id = {2}, .since = 7}};
	struct layout_super super = super_of(leaving, 2), back;
	_cleanup_(freep) uint8_t *bytes = NULL;
	size_t size;
	assert_int_equal(layout_super_seal(meta_key_one(), 0, vault_id, &super, &bytes, &size), 0);
	assert_int_equal(size, 72 + 128 + 2 * 40);
	assert_memory_equal(bytes, "ASSAYSUP\1\0\0\0\0\0\0\0", 16);
	assert_int_equal(layout_super_open(meta_key_one(), vault_id, 7, bytes_of(bytes, size), &back), 0);
	assert_int_equal(back.number, 7);
	assert_int_equal(back.time_ns, -5);
	assert_int_equal(back.commit, 99);
	assert_int_equal(back.pack, 12);
	assert_int_equal(back.base, 10);
	assert_int_equal(back.header, 3);
	assert_int_equal(back.bytes, UINT64_C(1) << 40);
	assert_int_equal(back.zones, 6);
	assert_true(layout_prefix_mark("") == 0 && back.prefix_mark == layout_prefix_mark("a/"));
	assert_true(back.prefix_mark != 0 && back.prefix_mark != layout_prefix_mark("a"));
	assert_memory_equal(back.header_hash, super.header_hash, LAYOUT_HASH_BYTES);
	assert_memory_equal(back.root, super.root, LAYOUT_HASH_BYTES);
	assert_int_equal(back.leaving_count, 2);
	assert_memory_equal(back.leaving[1].id, leaving[1].id, LAYOUT_ID_BYTES);
	assert_int_equal(back.leaving[1].since, 7);
	layout_super_clear(&back);
	assert_null(back.leaving);
}

static void every_changed_byte_of_a_superblock_is_noticed(void **state) {
	(void)state;
	struct layout_leaving leaving[1] = {{.id = {1}, .since = 5}};
	struct layout_super super = super_of(leaving, 1), back;
	_cleanup_(freep) uint8_t *bytes = NULL;
	size_t size;
	assert_int_equal(layout_super_seal(meta_key_one(), 0, vault_id, &super, &bytes, &size), 0);
	for (size_t i = 0; i < size; i++) {
		bytes[i] ^= 0x10;
		assert_int_equal(
		        layout_super_open(meta_key_one(), vault_id, 7, bytes_of(bytes, size), &back), -EBADMSG);
		bytes[i] ^= 0x10;
	}
	for (size_t shorter = 0; shorter < size; shorter++)
		assert_int_equal(
		        layout_super_open(meta_key_one(), vault_id, 7, bytes_of(bytes, shorter), &back), -EBADMSG);
	assert_int_equal(layout_super_open(meta_key_one(), vault_id, 7, bytes_of(bytes, size), &back), 0);
	layout_super_clear(&back);
}

static void a_superblock_is_of_its_number_vault_and_key_alone(void **state) {
	(void)state;
	struct layout_super super = super_of(NULL, 0), back;
	_cleanup_(freep) uint8_t *bytes = NULL;
	size_t size;
	Keyring *other = meta_key_versions(2, 3);
	assert_int_equal(layout_super_seal(meta_key_one(), 0, vault_id, &super, &bytes, &size), 0);
	assert_int_equal(layout_super_open(meta_key_one(), vault_id, 8, bytes_of(bytes, size), &back), -EBADMSG);
	assert_int_equal(layout_super_open(meta_key_one(), other_id, 7, bytes_of(bytes, size), &back), -EBADMSG);
	assert_non_null(strstr(fault_message(), "another vault"));
	assert_int_equal(layout_super_open(other, vault_id, 7, bytes_of(bytes, size), &back), -EBADMSG);
	assert_non_null(strstr(fault_message(), "superblock 7"));
	assert_non_null(strstr(fault_message(), "version 1 of alias/metadata"));
	keyring_free(other);
}

static void a_superblock_says_under_which_version_it_is(void **state) {
	(void)state;
	struct layout_super super = super_of(NULL, 0), back;
	Keyring *both = meta_key_versions(1, 2);
	uint8_t *bytes = NULL;
	size_t size;
	for (uint32_t version = 0; version <= 2; version++) {
		assert_int_equal(layout_super_seal(both, version, vault_id, &super, &bytes, &size), 0);
		assert_int_equal(le32_get(bytes + 12), version == 1 ? 0 : 2);
		assert_int_equal(layout_super_open(both, vault_id, 7, bytes_of(bytes, size), &back), 0);
		layout_super_clear(&back);
		int rc = layout_super_open(meta_key_one(), vault_id, 7, bytes_of(bytes, size), &back);
		assert_int_equal(rc, version == 1 ? 0 : -EBADMSG);
		if (rc == 0)
			layout_super_clear(&back);
		bytes[12] ^= 3;
		assert_int_equal(layout_super_open(both, vault_id, 7, bytes_of(bytes, size), &back), -EBADMSG);
		free(bytes);
	}
	assert_int_equal(layout_super_seal(meta_key_one(), 2, vault_id, &super, &bytes, &size), -ENOKEY);
	keyring_free(both);
}

static void numbers_that_cannot_be_are_refused_though_they_are_sealed(void **state) {
	(void)state;
	struct layout_leaving leaving[1] = {{.id = {1}, .since = 8}};
	struct layout_super back, wrong[] = {super_of(NULL, 0), super_of(NULL, 0), super_of(leaving, 1)};
	wrong[0].base = 0;
	wrong[1].base = 13;
	for (size_t i = 0; i < 3; i++) {
		_cleanup_(freep) uint8_t *bytes = NULL;
		size_t size;
		assert_int_equal(layout_super_seal(meta_key_one(), 0, vault_id, &wrong[i], &bytes, &size), 0);
		assert_int_equal(
		        layout_super_open(meta_key_one(), vault_id, 7, bytes_of(bytes, size), &back), -EBADMSG);
	}
	struct layout_super many = super_of(leaving, LAYOUT_LEAVING_MAX + 1);
	uint8_t *bytes = NULL;
	size_t size;
	assert_int_equal(layout_super_seal(meta_key_one(), 0, vault_id, &many, &bytes, &size), -EMSGSIZE);
}

static void names_are_read_as_they_are_written(void **state) {
	(void)state;
	char name[LAYOUT_NAME_BYTES];
	struct layout_name parsed;
	uint8_t id[LAYOUT_ID_BYTES] = {0xab, [31] = 0x0f}, hash[LAYOUT_HASH_BYTES] = {0x12, 0x34};

	layout_header_name(42, hash, name);
	assert_string_equal(name, "header/0000000042-1234000000000000");
	layout_parse(name, &parsed);
	assert_int_equal(parsed.kind, LAYOUT_HEADER);
	assert_int_equal(parsed.number, 42);
	assert_string_equal(parsed.hash, "1234000000000000");

	layout_extent_name(id, 0x1000000, 0x10000ab, name);
	assert_string_equal(name, "segments/ab0000000000000000000000000000000000000000000000000000000000000f/"
	                          "01000000-010000ab");
	layout_parse(name, &parsed);
	assert_int_equal(parsed.kind, LAYOUT_EXTENT);
	assert_memory_equal(parsed.id, id, sizeof id);
	assert_int_equal(parsed.from, 0x1000000);
	assert_int_equal(parsed.to, 0x10000ab);

	layout_part_name(0x1f, 2, name);
	assert_string_equal(name, "meta/000000000000001f/000002");
	layout_parse(name, &parsed);
	assert_int_equal(parsed.kind, LAYOUT_PART);
	assert_int_equal(parsed.number, 0x1f);
	assert_int_equal(parsed.part, 2);

	layout_audit_name(4096, name);
	assert_string_equal(name, "audit/0000000000001000");
	layout_parse(name, &parsed);
	assert_int_equal(parsed.kind, LAYOUT_AUDIT);
	assert_int_equal(parsed.number, 4096);

	layout_super_name(UINT64_MAX, name);
	assert_string_equal(name, "super/ffffffffffffffff");
	layout_parse(name, &parsed);
	assert_int_equal(parsed.kind, LAYOUT_SUPER);
	assert_true(parsed.number == UINT64_MAX);
}

static void other_names_are_none_of_ours(void **state) {
	(void)state;
	static const char *const others[] = {"", "super", "super/", "super/1", "super/0000000000000000",
	        "super/00000000000000010", "super/000000000000000A", "super/0000000000000001/",
	        "Super/0000000000000001", "meta/0000000000000001", "meta/0000000000000001/",
	        "meta/0000000000000001/00000", "x/super/0000000000000001", "meta/0000000000000001/0000001", "audit/1",
	        "audit/000000000000000g", "header/0000000042", "header/0000000042-123400000000000",
	        "header/0000000042-12340000000000000", "header/000000004a-1234000000000000",
	        "segments/ab/00000000-00000001",
	        "segments/ab0000000000000000000000000000000000000000000000000000000000000f/00000001-00000001",
	        "segments/ab0000000000000000000000000000000000000000000000000000000000000f/00000002-00000001",
	        "segments/ab0000000000000000000000000000000000000000000000000000000000000f/00000000-00000001x",
	        "segments/AB0000000000000000000000000000000000000000000000000000000000000f/00000000-00000001"};
	struct layout_name parsed;
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		layout_parse(others[i], &parsed);
		if (parsed.kind != LAYOUT_OTHER)
			fail_msg("'%s' was taken for one of ours", others[i]);
	}
}

static uint32_t covered_of(struct inventory *there, const uint8_t *id, uint32_t from, uint32_t to) {
	char name[LAYOUT_NAME_BYTES];
	layout_extent_name(id, from, to, name);
	assert_int_equal(inventory_add(there, name, to - from), 0);
	return inventory_covered(there, id);
}

static void extents_that_shipping_does_not_cut_cover_nothing(void **state) {
	(void)state;
	const uint8_t id[LAYOUT_ID_BYTES] = {1}, other[LAYOUT_ID_BYTES] = {2};
	const uint32_t most = LAYOUT_EXTENT_BYTES;
	struct inventory there = {0};
	assert_int_equal(covered_of(&there, id, 0, 100), 100);
	assert_int_equal(covered_of(&there, id, 0, most + 1), 100);
	assert_int_equal(covered_of(&there, id, 100, 5000), 5000);
	assert_int_equal(covered_of(&there, id, 100, 200), 5000);
	assert_int_equal(covered_of(&there, id, 5000, most), most);
	assert_int_equal(covered_of(&there, id, most - 1, most + 10), most);
	/* It has 300 bytes: what goes beyond is forgotten, also once it is longer. */
	inventory_limit(&there, id, 300);
	assert_int_equal(inventory_covered(&there, id), 200);
	inventory_limit(&there, id, most);
	assert_int_equal(inventory_covered(&there, id), 200);
	assert_int_equal(covered_of(&there, id, 200, 400), 400);
	inventory_limit(&there, other, 1);
	assert_int_equal(inventory_covered(&there, other), 0);
	inventory_clear(&there);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_superblock_opens_as_it_was_sealed),
	        cmocka_unit_test(every_changed_byte_of_a_superblock_is_noticed),
	        cmocka_unit_test(a_superblock_is_of_its_number_vault_and_key_alone),
	        cmocka_unit_test(a_superblock_says_under_which_version_it_is),
	        cmocka_unit_test(numbers_that_cannot_be_are_refused_though_they_are_sealed),
	        cmocka_unit_test(names_are_read_as_they_are_written),
	        cmocka_unit_test(other_names_are_none_of_ours),
	        cmocka_unit_test(extents_that_shipping_does_not_cut_cover_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
