#include "crypto/succession.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/base/fault.h"

#define LOG "assayfs/8f2c"
#define SIZE(n) ((uint64_t)(n)*100)

/* The seed of version N begins with N. */
static struct note_key key_of(uint8_t version, const char *name) {
	const uint8_t seed[SIGN_SEED_BYTES] = {version};
	uint8_t public_key[SIGN_PUBLIC_BYTES];
	struct note_key key;
	sign_public(seed, public_key);
	assert_int_equal(note_key_make(name, public_key, &key), 0);
	return key;
}

/* From version N to the next, at N hundred records. */
static struct succession handed_on(uint8_t version, bool is_lost) {
	const uint8_t before[SIGN_SEED_BYTES] = {version}, next[SIGN_SEED_BYTES] = {(uint8_t)(version + 1)};
	struct succession s = {.before = key_of(version, LOG),
	        .next = key_of((uint8_t)(version + 1), LOG),
	        .version_before = version,
	        .version = version + 1u,
	        .at = {.size = SIZE(version), .root = {version, 9}},
	        .time_ns = INT64_C(1764345600000000000) + version};
	succession_sign(&s, is_lost ? NULL : before, next);
	return s;
}

static struct key_chain chain_of(int count) {
	struct key_chain chain = {.first = key_of(1, LOG)};
	for (int i = 1; i <= count; i++) {
		struct succession s = handed_on((uint8_t)i, false);
		assert_int_equal(key_chain_add(&chain, &s), 0);
	}
	return chain;
}

/* A checkpoint of so many records, signed by these versions. */
static void sign_note(uint64_t size, const char *versions, char *ret_note) {
	const struct checkpoint checkpoint = {.size = size, .root = {5}};
	checkpoint_body(LOG, &checkpoint, ret_note);
	strcat(ret_note, "\n");
	for (; *versions; versions++) {
		const uint8_t version = (uint8_t)(*versions - '0'), seed[SIGN_SEED_BYTES] = {version};
		struct note_key key = key_of(version, LOG);
		uint8_t signature[SIGN_SIGNATURE_BYTES];
		char line[NOTE_LINE_BYTES];
		checkpoint_sign(&key, seed, &checkpoint, signature);
		note_line(&key, signature, line);
		strcat(ret_note, line);
	}
}

static int open_note(const struct key_chain *chain, uint64_t size, const char *versions) {
	char note[4096];
	struct checkpoint opened = {0};
	sign_note(size, versions, note);
	int rc = key_chain_open(chain, bytes_of_string(note), &opened);
	assert_int_equal(opened.size, rc == 0 ? size : 0);
	return rc;
}

/* ---- one ---- */

static void a_line_is_read_as_it_was_written(void **state) {
	(void)state;
	for (int lost = 0; lost <= 1; lost++) {
		struct succession s = handed_on(1, lost), back;
		char line[SUCCESSION_LINE_BYTES], again[SUCCESSION_LINE_BYTES];
		succession_line(&s, line);
		assert_int_equal(succession_parse(bytes_of_string(line), &back), 0);
		assert_int_equal(succession_verify(&back), 0);
		assert_int_equal(back.is_broken, lost);
		assert_int_equal(back.at.size, 100);
		succession_line(&back, again);
		assert_string_equal(again, line);
		for (size_t i = 0; i < strlen(line); i++) {
			char kept = line[i];
			line[i] = kept == '1' ? '2' : '1';
			assert_true(succession_parse(bytes_of_string(line), &back) < 0 || succession_verify(&back) < 0);
			line[i] = kept;
		}
	}
}

static void no_line_is_read_but_in_its_one_spelling(void **state) {
	(void)state;
	struct succession s = handed_on(1, false), back;
	char line[SUCCESSION_LINE_BYTES], odd[SUCCESSION_LINE_BYTES + 8];
	succession_line(&s, line);
	static const char *const before[] = {" ", "0", "+", "4294967296"}, *const behind[] = {" ", " x", "="};
	for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
		(void)snprintf(odd, sizeof odd, "%s%.*s", before[i], (int)sizeof odd - 12, line);
		assert_int_equal(succession_parse(bytes_of_string(odd), &back), -EINVAL);
	}
	for (size_t i = 0; i < sizeof behind / sizeof *behind; i++) {
		(void)snprintf(odd, sizeof odd, "%s%s", line, behind[i]);
		assert_int_equal(succession_parse(bytes_of_string(odd), &back), -EINVAL);
	}
	assert_int_equal(succession_parse(bytes_of(line, strlen(line) - 1), &back), -EINVAL);
	assert_int_equal(succession_parse(bytes_of(line, strlen(line) + 1), &back), -EINVAL);
	assert_int_equal(succession_parse(bytes_of("", 0), &back), -EINVAL);
}

/* All that it says is under both signatures. */
static void each_of_the_two_must_have_signed_all_of_it(void **state) {
	(void)state;
	struct succession s = handed_on(1, false), other;
	for (int what = 0; what < 8; what++) {
		other = s;
		other.at.size += what == 0;
		other.at.root[0] ^= what == 1;
		other.time_ns += what == 2;
		other.version += what == 3;
		other.version_before += what == 4;
		other.by_before[0] ^= what == 5;
		other.by_next[0] ^= what == 6;
		if (what == 7)
			other.next = key_of(9, LOG);
		assert_int_equal(succession_verify(&other), -EBADMSG);
	}
	other = s;
	other.before = key_of(1, "assayfs/another");
	assert_int_equal(succession_verify(&other), -EBADMSG);
	assert_non_null(strstr(fault_message(), "can't be handed on"));
	assert_int_equal(succession_verify(&s), 0);
}

/* It is no checkpoint, nor the other way about. */
static void its_signature_serves_for_nothing_else(void **state) {
	(void)state;
	struct succession s = handed_on(1, false);
	assert_int_equal(checkpoint_verify(&s.before, &s.at, s.by_before), -EBADMSG);
	const uint8_t seed[SIGN_SEED_BYTES] = {1};
	checkpoint_sign(&s.before, seed, &s.at, s.by_before);
	assert_int_equal(succession_verify(&s), -EBADMSG);
}

/* ---- chains ---- */

static void a_chain_tells_whose_turn_it_is(void **state) {
	(void)state;
	struct key_chain chain = chain_of(3);
	static const struct {
		uint64_t size;
		size_t signer;
	} turns[] = {{0, 0}, {1, 0}, {100, 0}, {101, 1}, {200, 1}, {201, 2}, {300, 2}, {301, 3}, {UINT64_MAX, 3}};
	for (size_t i = 0; i < sizeof turns / sizeof *turns; i++)
		assert_int_equal(key_chain_signer(&chain, turns[i].size), turns[i].signer);
	for (uint8_t version = 1; version <= 4; version++) {
		struct note_key key = key_of(version, LOG);
		size_t index = 99;
		assert_int_equal(key_chain_find(&chain, &key, &index), 0);
		assert_int_equal(index, version - 1);
		assert_int_equal(key_chain_version(&chain, index), version);
		assert_memory_equal(key_chain_key(&chain, index)->id, key.id, sizeof key.id);
		assert_int_equal(key_chain_reaches_end(&chain, index), 0);
	}
	struct note_key other = key_of(5, LOG);
	size_t index;
	assert_int_equal(key_chain_find(&chain, &other, &index), -ENOKEY);
	key_chain_clear(&chain);
}

static void a_chain_takes_only_what_follows(void **state) {
	(void)state;
	struct key_chain chain = chain_of(2);
	struct succession s = handed_on(2, false), gap = handed_on(4, false), back = handed_on(3, false);
	const uint8_t before[SIGN_SEED_BYTES] = {3}, next[SIGN_SEED_BYTES] = {4};
	assert_int_equal(key_chain_add(&chain, &s), -EBADMSG);
	assert_int_equal(key_chain_add(&chain, &gap), -EBADMSG);
	assert_non_null(strstr(fault_message(), "does not follow"));
	back.at.size = 199;
	succession_sign(&back, before, next);
	assert_int_equal(key_chain_add(&chain, &back), -EBADMSG);
	back = handed_on(3, false);
	back.version = 3;
	succession_sign(&back, before, next);
	assert_int_equal(key_chain_add(&chain, &back), -EBADMSG);
	back = handed_on(3, false);
	back.by_before[3] ^= 1;
	assert_int_equal(key_chain_add(&chain, &back), -EBADMSG);
	assert_int_equal(chain.count, 2);
	key_chain_clear(&chain);
}

static void a_chain_is_read_from_lines(void **state) {
	(void)state;
	char text[3 * SUCCESSION_LINE_BYTES] = "", line[SUCCESSION_LINE_BYTES];
	struct key_chain chain = {0};
	for (uint8_t i = 1; i <= 3; i++) {
		struct succession s = handed_on(i, false);
		succession_line(&s, line);
		strcat(strcat(text, line), "\n");
	}
	assert_int_equal(key_chain_read(&chain, bytes_of_string(text)), 0);
	assert_int_equal(chain.count, 3);
	key_chain_clear(&chain);
	assert_int_equal(key_chain_read(&chain, bytes_of(text, strlen(text) - 1)), -EBADMSG);
	assert_non_null(strstr(fault_message(), "line 3"));
	key_chain_clear(&chain);
	text[0] = '3';
	assert_int_equal(key_chain_read(&chain, bytes_of_string(text)), -EBADMSG);
	assert_non_null(strstr(fault_message(), "line 1"));
	assert_int_equal(key_chain_read(&chain, bytes_of("", 0)), 0);
	assert_int_equal(chain.count, 0);
	key_chain_clear(&chain);
}

/* ---- checkpoints ---- */

static void a_checkpoint_is_that_of_the_key_whose_turn_it_was(void **state) {
	(void)state;
	struct key_chain chain = chain_of(2);
	assert_int_equal(open_note(&chain, 100, "1"), 0);
	assert_int_equal(open_note(&chain, 150, "2"), 0);
	assert_int_equal(open_note(&chain, 150, "21"), 0);
	assert_int_equal(open_note(&chain, 250, "1234"), 0);
	assert_int_equal(open_note(&chain, 250, "4"), -ENOKEY);
	key_chain_clear(&chain);
	chain.first = key_of(1, LOG);
	assert_int_equal(open_note(&chain, 250, "1"), 0);
	assert_int_equal(open_note(&chain, 250, "2"), -ENOKEY);
}

/* Who stole an earlier key can't go on with the log. */
static void an_earlier_key_alone_does_not_count_after_it_was_handed_on(void **state) {
	(void)state;
	struct key_chain chain = chain_of(2);
	assert_int_equal(open_note(&chain, 101, "1"), -EBADMSG);
	assert_non_null(strstr(fault_message(), "version 1 of the log's key alone, which was handed on at 100"));
	assert_int_equal(open_note(&chain, 201, "12"), -EBADMSG);
	assert_non_null(strstr(fault_message(), "version 2 of the log's key alone"));
	char note[4096];
	struct checkpoint opened;
	sign_note(250, "31", note);
	char *dash = strstr(note, "\xe2\x80\x94");
	dash[30] = dash[30] == 'A' ? 'B' : 'A';
	assert_true(key_chain_open(&chain, bytes_of_string(note), &opened) < 0);
	key_chain_clear(&chain);
}

static int covers(const struct key_chain *chain, const char *versions) {
	char note[4096];
	sign_note(250, versions, note);
	return key_chain_covers(chain, bytes_of_string(note));
}

/* What was signed by a newer key tells that there is one. */
static void a_chain_has_all_the_keys_of_a_checkpoint_that_was_kept(void **state) {
	(void)state;
	struct key_chain chain = chain_of(2), alone = {.first = key_of(1, LOG)};
	assert_int_equal(covers(&chain, "321"), 0);
	assert_int_equal(covers(&chain, "31"), 0);
	assert_int_equal(covers(&chain, "1"), 0);
	assert_int_equal(covers(&alone, "1"), 0);
	assert_int_equal(covers(&chain, "4321"), -EBADMSG);
	assert_non_null(strstr(fault_message(), "is not among those by which the log was handed on"));
	assert_int_equal(covers(&chain, "3214"), -EBADMSG);
	assert_int_equal(covers(&chain, "231"), -EBADMSG);
	assert_int_equal(covers(&chain, "33"), -EBADMSG);
	assert_int_equal(covers(&alone, "21"), -EBADMSG);
	assert_int_equal(key_chain_covers(&chain, bytes_of_string("no note")), -EINVAL);
	key_chain_clear(&chain);
}

/* A key is not known by its id, which somebody can make another one for, nor by a line that does not verify. */
static void a_key_is_known_by_what_it_has_signed(void **state) {
	(void)state;
	struct key_chain chain = chain_of(2);
	struct note_key third = key_of(3, LOG);
	memcpy(chain.list[1].next.id, third.id, sizeof third.id);
	assert_int_equal(covers(&chain, "321"), 0);
	chain.list[1].next = key_of(4, LOG);
	memcpy(chain.list[1].next.id, third.id, sizeof third.id);
	assert_int_equal(covers(&chain, "321"), -EBADMSG);
	key_chain_clear(&chain);
}

static void a_broken_one_leads_back_but_not_on(void **state) {
	(void)state;
	struct key_chain chain = chain_of(1);
	struct succession lost = handed_on(2, true), after = handed_on(3, false);
	assert_int_equal(key_chain_add(&chain, &lost), 0);
	assert_int_equal(key_chain_add(&chain, &after), 0);
	assert_int_equal(key_chain_reaches_end(&chain, 0), -EBADMSG);
	assert_int_equal(key_chain_reaches_end(&chain, 1), -EBADMSG);
	assert_non_null(strstr(fault_message(), "version 2 was lost"));
	assert_int_equal(key_chain_reaches_end(&chain, 2), 0);
	assert_int_equal(key_chain_reaches_end(&chain, 3), 0);
	key_chain_clear(&chain);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_line_is_read_as_it_was_written),
	        cmocka_unit_test(no_line_is_read_but_in_its_one_spelling),
	        cmocka_unit_test(each_of_the_two_must_have_signed_all_of_it),
	        cmocka_unit_test(its_signature_serves_for_nothing_else),
	        cmocka_unit_test(a_chain_tells_whose_turn_it_is),
	        cmocka_unit_test(a_chain_takes_only_what_follows),
	        cmocka_unit_test(a_chain_is_read_from_lines),
	        cmocka_unit_test(a_checkpoint_is_that_of_the_key_whose_turn_it_was),
	        cmocka_unit_test(an_earlier_key_alone_does_not_count_after_it_was_handed_on),
	        cmocka_unit_test(a_chain_has_all_the_keys_of_a_checkpoint_that_was_kept),
	        cmocka_unit_test(a_key_is_known_by_what_it_has_signed),
	        cmocka_unit_test(a_broken_one_leads_back_but_not_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
