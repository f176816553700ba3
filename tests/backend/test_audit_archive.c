/* Archives of the audit log: their bytes, and what is noticed. */
#include "backend/audit_archive.h"

#include "crypto/base/fault.h"
#include "crypto/digest.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LEAVES 900
#define LINE_BYTES 64

struct world {
	Keyring *keyring;
	merkle_hash leaves[LEAVES];
	uint64_t seen; /* lines that were given, from `first` on */
	uint64_t first;
};

static size_t line_of(uint64_t seq, char line[static LINE_BYTES]) {
	return (size_t)snprintf(line, LINE_BYTES, "{\"seq\":%lu,\"event\":\"open\"}", (unsigned long)seq);
}

static Keyring *keyring_of(uint8_t byte) {
	struct key_info info = {.name = "meta", .version = 1, .kind = KEY_SECRET, .state = KEY_ACTIVE};
	uint8_t key[KEYRING_KEY_BYTES];
	Keyring *keyring = NULL;
	memset(key, byte, sizeof key);
	assert_int_equal(keyring_new(&keyring), 0);
	assert_int_equal(keyring_add(keyring, &info, key), 0);
	return keyring;
}

static int setup(void **state) {
	struct world *w = calloc(1, sizeof *w);
	char line[LINE_BYTES];
	assert_non_null(w);
	w->keyring = keyring_of(7);
	for (uint64_t i = 0; i < LEAVES; i++)
		merkle_leaf(bytes_of(line, line_of(i, line)), w->leaves[i]);
	*state = w;
	return 0;
}

static int teardown(void **state) {
	struct world *w = *state;
	keyring_free(w->keyring);
	free(w);
	return 0;
}

static int fetch(void *context, unsigned level, uint64_t index, merkle_hash ret_hash) {
	struct world *w = context;
	if (level == 0) {
		memcpy(ret_hash, w->leaves[index], MERKLE_HASH_BYTES);
		return 0;
	}
	merkle_hash left;
	(void)fetch(w, level - 1, 2 * index, left);
	(void)fetch(w, level - 1, 2 * index + 1, ret_hash);
	merkle_node(left, ret_hash, ret_hash);
	return 0;
}

static struct audit_archive_head head_of(struct world *w, uint64_t first, uint64_t end, uint64_t size) {
	struct audit_archive_head head = {.cipher = AEAD_XCHACHA20POLY1305,
	        .first = first,
	        .end = end,
	        .oldest = 1000,
	        .newest = 2000,
	        .size = size};
	memset(head.vault_id, 9, sizeof head.vault_id);
	for (uint64_t i = 0; i < first; i++)
		assert_int_equal(merkle_frontier_append(&head.before, w->leaves[i], NULL, NULL), 0);
	assert_int_equal(merkle_root(size, fetch, w, head.root), 0);
	assert_int_equal(merkle_consistency_prove(end, size, fetch, w, &head.behind), 0);
	return head;
}

/* In chunks of at most 100 records. */
static int seal(struct world *w, struct audit_archive_head *head, uint8_t **ret_file, size_t *ret_size) {
	AuditArchive *archive = NULL;
	char lines[100 * LINE_BYTES];
	assert_int_equal(audit_archive_new(&archive), 0);
	for (uint64_t seq = head->first; seq < head->end;) {
		size_t size = 0;
		uint32_t count = 0;
		for (; count < 100 && seq < head->end; count++) {
			size += line_of(seq++, lines + size);
			lines[size++] = '\n';
		}
		assert_int_equal(audit_archive_add(archive, bytes_of(lines, size), count), 0);
	}
	assert_true(audit_archive_bytes(archive) > 0);
	int rc = audit_archive_seal(archive, w->keyring, head, ret_file, ret_size);
	audit_archive_free(archive);
	return rc;
}

static int take(void *arg, uint64_t seq, struct bytes line) {
	struct world *w = arg;
	char expected[LINE_BYTES];
	assert_int_equal(seq, w->first + w->seen++);
	assert_int_equal(line.size, line_of(seq, expected));
	assert_memory_equal(line.data, expected, line.size);
	return 0;
}

static int open_file(struct world *w, const uint8_t *file, size_t size) {
	struct audit_archive_head head;
	return audit_archive_open(bytes_of(file, size), w->keyring, NULL, NULL, NULL, &head);
}

static void what_was_sealed_is_read_back(void **state) {
	static const struct {
		uint64_t first, end, size;
	} rows[] = {{0, 256, 256}, {0, 768, 900}, {256, 512, 512}, {256, 768, 900}, {300, 701, 702}, {899, 900, 900}};
	struct world *w = *state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct audit_archive_head head = head_of(w, rows[i].first, rows[i].end, rows[i].size), got;
		uint8_t *file = NULL;
		size_t size = 0, length = 0;
		assert_int_equal(seal(w, &head, &file, &size), 0);
		w->first = rows[i].first;
		w->seen = 0;
		assert_int_equal(audit_archive_open(bytes_of(file, size), w->keyring, head.vault_id, take, w, &got), 0);
		assert_int_equal(w->seen, rows[i].end - rows[i].first);
		assert_int_equal(got.first, head.first);
		assert_int_equal(got.end, head.end);
		assert_int_equal(got.size, head.size);
		assert_int_equal(got.oldest, 1000);
		assert_int_equal(got.newest, 2000);
		assert_memory_equal(got.root, head.root, sizeof head.root);
		assert_int_equal(audit_archive_parse(bytes_of(file, size), &got, &length), 0);
		assert_in_range(length, 144, size);
		free(file);
	}
}

/* docs/audit-log.md */
static void the_head_has_its_bytes(void **state) {
	struct world *w = *state;
	struct audit_archive_head head = head_of(w, 256, 512, 700);
	uint8_t *file = NULL;
	size_t size = 0;
	assert_int_equal(seal(w, &head, &file, &size), 0);
	assert_memory_equal(file, "ASSAYLOG\1\0\2\0\1\0\0\0", 16);
	assert_memory_equal(file + 16, head.vault_id, 16);
	assert_memory_equal(file + 32, head.salt, 32);
	assert_int_equal(le64_get(file + 64), 256);
	assert_int_equal(le64_get(file + 72), 512);
	assert_int_equal(le64_get(file + 80), 1000);
	assert_int_equal(le64_get(file + 88), 2000);
	assert_int_equal(le64_get(file + 96), 700);
	assert_memory_equal(file + 104, head.root, 32);
	assert_int_equal(le16_get(file + 136), 1);
	assert_int_equal(le16_get(file + 138), head.behind.count);
	assert_int_equal(le32_get(file + 140), 3);
	assert_memory_equal(file + 144, head.before.hash[8], 32);
	size_t chunk = 144 + 32 * (1 + head.behind.count);
	assert_int_equal(le32_get(file + chunk), 100);
	assert_int_equal(le32_get(file + chunk + 4), 100 * strlen("{\"seq\":256,\"event\":\"open\"}\n"));
	/* nothing of what was recorded can be read */
	assert_null(memmem(file, size, "open", 4));
	free(file);
}

static void no_byte_can_be_changed_cut_off_or_added(void **state) {
	struct world *w = *state;
	struct audit_archive_head head = head_of(w, 256, 512, 700);
	uint8_t *file = NULL;
	size_t size = 0;
	assert_int_equal(seal(w, &head, &file, &size), 0);
	for (size_t i = 0; i < size; i++) {
		file[i] ^= (uint8_t)(1 << i % 8);
		int rc = open_file(w, file, size);
		assert_true(rc == -EBADMSG || (rc == -ENOKEY && i >= 12 && i < 16)); /* a key that is not there */
		file[i] ^= (uint8_t)(1 << i % 8);
	}
	for (size_t i = 0; i < size; i++)
		assert_int_equal(open_file(w, file, i), -EBADMSG);
	uint8_t *longer = calloc(1, size + 1);
	assert_non_null(longer);
	memcpy(longer, file, size);
	assert_int_equal(open_file(w, longer, size + 1), -EBADMSG);
	assert_int_equal(open_file(w, file, size), 0);
	free(longer);
	free(file);
}

static void it_opens_only_with_its_own_key_and_for_its_own_vault(void **state) {
	struct world *w = *state;
	struct audit_archive_head head = head_of(w, 0, 256, 256), got;
	uint8_t *file = NULL, other_vault[AUDIT_ARCHIVE_ID_BYTES] = {1};
	size_t size = 0;
	Keyring *other = keyring_of(8);
	assert_int_equal(seal(w, &head, &file, &size), 0);
	assert_int_equal(audit_archive_open(bytes_of(file, size), other, NULL, NULL, NULL, &got), -EBADMSG);
	assert_int_equal(audit_archive_open(bytes_of(file, size), w->keyring, other_vault, NULL, NULL, &got), -EBADMSG);
	assert_non_null(strstr(fault_message(), "another vault"));
	keyring_free(other);
	free(file);
}

/* Whoever has the key can seal what he likes, but not as records of this tree. */
static void records_of_another_tree_are_refused(void **state) {
	struct world *w = *state;
	struct audit_archive_head heads[4];
	for (size_t i = 0; i < 4; i++)
		heads[i] = head_of(w, 256, 512, 700);
	heads[0].root[0] ^= 1;
	heads[1].before.hash[8][0] ^= 1;
	heads[2].behind.hash[0][0] ^= 1;
	heads[3].behind.count--;
	for (size_t i = 0; i < 4; i++) {
		uint8_t *file = NULL;
		size_t size = 0;
		assert_int_equal(seal(w, &heads[i], &file, &size), 0);
		assert_int_equal(open_file(w, file, size), -EBADMSG);
		assert_non_null(strstr(fault_message(), "not those of its tree"));
		free(file);
	}
}

static void as_many_records_are_sealed_as_the_head_says(void **state) {
	struct world *w = *state;
	struct audit_archive_head head = head_of(w, 0, 256, 256);
	AuditArchive *archive = NULL;
	uint8_t *file = NULL;
	size_t size = 0;
	assert_int_equal(audit_archive_new(&archive), 0);
	assert_int_equal(audit_archive_add(archive, bytes_of("a\n", 2), 255), 0);
	assert_int_equal(audit_archive_seal(archive, w->keyring, &head, &file, &size), -EINVAL);
	assert_int_equal(audit_archive_add(archive, bytes_of(NULL, 0), 1), -EMSGSIZE);
	assert_int_equal(audit_archive_add(archive, bytes_of("", AUDIT_ARCHIVE_CHUNK_MAX + 1), 1), -EMSGSIZE);
	/* and lines that are not as many as the chunk says are noticed */
	assert_int_equal(audit_archive_add(archive, bytes_of("b\n", 2), 1), 0);
	assert_int_equal(audit_archive_seal(archive, w->keyring, &head, &file, &size), 0);
	assert_int_equal(open_file(w, file, size), -EBADMSG);
	assert_non_null(strstr(fault_message(), "lines"));
	audit_archive_free(archive);
	free(file);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(what_was_sealed_is_read_back, setup, teardown),
	        cmocka_unit_test_setup_teardown(the_head_has_its_bytes, setup, teardown),
	        cmocka_unit_test_setup_teardown(no_byte_can_be_changed_cut_off_or_added, setup, teardown),
	        cmocka_unit_test_setup_teardown(it_opens_only_with_its_own_key_and_for_its_own_vault, setup, teardown),
	        cmocka_unit_test_setup_teardown(records_of_another_tree_are_refused, setup, teardown),
	        cmocka_unit_test_setup_teardown(as_many_records_are_sealed_as_the_head_says, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
