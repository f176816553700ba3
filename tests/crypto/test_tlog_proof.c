#include "crypto/tlog_proof.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LEAVES 300

static const uint8_t seed[SIGN_SEED_BYTES] = {9};
static merkle_hash leaves[LEAVES];

static struct bytes entry_of(size_t i, char room[static 32]) {
	snprintf(room, 32, "{\"seq\":%zu}", i);
	return bytes_of_string(room);
}

static int fetch(void *context, unsigned level, uint64_t index, merkle_hash ret_hash) {
	merkle_hash right;
	if (level == 0) {
		memcpy(ret_hash, leaves[index], MERKLE_HASH_BYTES);
		return 0;
	}
	(void)fetch(context, level - 1, 2 * index, ret_hash);
	(void)fetch(context, level - 1, 2 * index + 1, right);
	merkle_node(ret_hash, right, ret_hash);
	return 0;
}

static struct note_key the_key(void) {
	struct note_key key;
	uint8_t public_key[SIGN_PUBLIC_BYTES];
	sign_public(seed, public_key);
	assert_int_equal(note_key_make("log", public_key, &key), 0);
	return key;
}

/* A proof of entry `index`, allocated. */
static char *make(size_t index) {
	struct note_key key = the_key();
	struct checkpoint head = {.size = LEAVES};
	struct merkle_proof path;
	uint8_t signature[SIGN_SIGNATURE_BYTES];
	char note[CHECKPOINT_NOTE_BYTES], room[32], *text = NULL;
	size_t size;
	for (size_t i = 0; i < LEAVES; i++)
		merkle_leaf(entry_of(i, room), leaves[i]);
	assert_int_equal(merkle_root(LEAVES, fetch, NULL, head.root), 0);
	assert_int_equal(merkle_inclusion_prove(index, LEAVES, fetch, NULL, &path), 0);
	checkpoint_sign(&key, seed, &head, signature);
	checkpoint_note(&key, &head, signature, note);
	FILE *to = open_memstream(&text, &size);
	tlog_proof_write(to, entry_of(index, room), index, &path, note);
	assert_int_equal(fclose(to), 0);
	return text;
}

static int check(const char *text) {
	struct note_key key = the_key();
	struct tlog_proof proof;
	struct checkpoint head;
	uint8_t entry[64];
	size_t size;
	int rc = tlog_proof_parse(bytes_of_string(text), &proof);
	if (rc == 0)
		rc = tlog_proof_entry(&proof, entry, sizeof entry, &size);
	return rc < 0 ? rc : tlog_proof_verify(&proof, bytes_of(entry, size), &key, &head);
}

static void each_entry_is_proved(void **state) {
	(void)state;
	static const size_t at[] = {0, 1, 255, 256, LEAVES - 1};
	for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
		char *text = make(at[i]);
		assert_int_equal(check(text), 0);
		free(text);
	}
}

/* Nothing of it can be another: each byte is changed in turn. */
static void a_changed_proof_proves_nothing(void **state) {
	(void)state;
	char *text = make(42);
	size_t length = strlen(text);
	for (size_t i = 0; i < length; i++) {
		char before = text[i];
		text[i] = (char)(before == 'A' ? 'B' : 'A');
		if (check(text) == 0)
			fail_msg("byte %zu may be another: %s", i, text);
		text[i] = before;
	}
	for (size_t cut = 0; cut < length; cut++) {
		char *shorter = strndup(text, cut);
		assert_int_not_equal(check(shorter), 0);
		free(shorter);
	}
	free(text);
}

static void another_entry_or_place_is_refused(void **state) {
	(void)state;
	struct note_key key = the_key();
	struct tlog_proof proof;
	struct checkpoint head;
	char *text = make(42);
	assert_int_equal(tlog_proof_parse(bytes_of_string(text), &proof), 0);
	assert_int_equal(tlog_proof_verify(&proof, bytes_of_string("{\"seq\":43}"), &key, &head), -EBADMSG);
	assert_int_equal(tlog_proof_verify(&proof, bytes_of_string("{\"seq\":42}"), &key, &head), 0);
	assert_int_equal(head.size, LEAVES);
	proof.index = 43;
	assert_int_equal(tlog_proof_verify(&proof, bytes_of_string("{\"seq\":42}"), &key, &head), -EBADMSG);
	proof.index = 42;
	proof.path.count--;
	assert_int_equal(tlog_proof_verify(&proof, bytes_of_string("{\"seq\":42}"), &key, &head), -EBADMSG);
	free(text);
}

static void what_is_no_proof_is_refused(void **state) {
	(void)state;
	static const char *const bad[] = {"", "c2sp.org/tlog-proof@v2\nindex 1\n\n", "c2sp.org/tlog-proof@v1\n",
	        "c2sp.org/tlog-proof@v1\nindex 01\n\nx", "c2sp.org/tlog-proof@v1\nindex -1\n\nx",
	        "c2sp.org/tlog-proof@v1\nindex 18446744073709551616\n\nx", "c2sp.org/tlog-proof@v1\nindex 1\nAAAA\n\nx",
	        "c2sp.org/tlog-proof@v1\nindex 1\n", "c2sp.org/tlog-proof@v1\nextra AAAA\nextra AAAA\nindex 1\n\nx"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(check(bad[i]), -EINVAL);
	assert_int_equal(check("c2sp.org/tlog-proof@v1\nindex 1\n\nx"), -ENODATA);
	assert_int_equal(check("c2sp.org/tlog-proof@v1\nextra A\nindex 1\n\nx"), -EINVAL);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(each_entry_is_proved),
	        cmocka_unit_test(a_changed_proof_proves_nothing),
	        cmocka_unit_test(another_entry_or_place_is_refused),
	        cmocka_unit_test(what_is_no_proof_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
