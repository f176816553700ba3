#include "crypto/note.h"

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

/* The key of C2SP's signed-note, and key and note of the documentation of Go's sumdb/note. */
#define VKEY "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
#define GO_VKEY "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
#define GO_SEED "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
#define GO_TEXT                                                      \
	"If you think cryptography is the answer to your problem,\n" \
	"then you don't know what your problem is.\n"
#define GO_LINE                      \
	"\xe2\x80\x94 PeterNeumann " \
	"x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
#define WITNESS_LINE "\xe2\x80\x94 w.example/1 AAAAAQIDBA==\n"

static struct note_key key_of(const char *vkey) {
	struct note_key key;
	assert_int_equal(note_key_parse(vkey, &key), 0);
	return key;
}

static int open_text(const char *note, const struct note_key *key) {
	struct bytes text;
	return note_open(bytes_of_string(note), key, &text);
}

static void published_keys_are_read_and_written(void **state) {
	(void)state;
	static const char *const keys[] = {VKEY, GO_VKEY};
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		char text[NOTE_VKEY_BYTES];
		struct note_key key = key_of(keys[i]);
		note_key_format(&key, text);
		assert_string_equal(text, keys[i]);
	}
}

static void a_published_note_is_made_and_opened(void **state) {
	(void)state;
	struct note_key key = key_of(GO_VKEY);
	uint8_t seed[1 + SIGN_SEED_BYTES], public_key[SIGN_PUBLIC_BYTES], signature[SIGN_SIGNATURE_BYTES];
	char line[NOTE_LINE_BYTES];
	size_t size;
	assert_int_equal(base64_decode(GO_SEED, sizeof seed, seed, &size), 0);
	sign_public(seed + 1, public_key);
	assert_memory_equal(public_key, key.public_key, sizeof public_key);
	sign_make(seed + 1, bytes_of_string(GO_TEXT), signature);
	note_line(&key, signature, line);
	assert_string_equal(line, GO_LINE);
	struct bytes text;
	assert_int_equal(note_open(bytes_of_string(GO_TEXT "\n" GO_LINE), &key, &text), 0);
	assert_int_equal(text.size, strlen(GO_TEXT));
	assert_memory_equal(text.data, GO_TEXT, text.size);
}

static void other_signatures_are_skipped(void **state) {
	(void)state;
	struct note_key key = key_of(GO_VKEY), other = key_of(VKEY);
	assert_int_equal(open_text(GO_TEXT "\n" WITNESS_LINE GO_LINE WITNESS_LINE, &key), 0);
	assert_int_equal(open_text(GO_TEXT "\n" WITNESS_LINE, &key), -ENOKEY);
	assert_int_equal(open_text(GO_TEXT "\n" GO_LINE, &other), -ENOKEY);
	assert_int_equal(open_text(GO_TEXT "\n", &key), -ENOKEY);
}

/* An empty line within the text belongs to it: the last one counts. */
static void a_changed_text_is_noticed(void **state) {
	(void)state;
	struct note_key key = key_of(GO_VKEY);
	assert_int_equal(open_text("x" GO_TEXT "\n" GO_LINE, &key), -EBADMSG);
	assert_int_equal(open_text(GO_TEXT "x\n\n" GO_LINE, &key), -EBADMSG);
	assert_int_equal(open_text("a\n\n" GO_TEXT "\n" GO_LINE, &key), -EBADMSG);
}

static void what_is_no_note_is_refused(void **state) {
	(void)state;
	struct note_key key = key_of(GO_VKEY);
	static const char *const bad[] = {"", "\n", "\n\n", GO_LINE, GO_TEXT, GO_TEXT GO_LINE, "\n" GO_LINE,
	        GO_TEXT "\r\n" GO_LINE, GO_TEXT "\n" GO_LINE "x", GO_TEXT "\n- PeterNeumann AAAA\n",
	        GO_TEXT "\n\xe2\x80\x94 PeterNeumann\n", GO_TEXT "\n\xe2\x80\x94 PeterNeumann x08g\n" GO_LINE,
	        GO_TEXT "\n\xe2\x80\x94 Peter Neumann AAAAAQIDBA==\n" GO_LINE,
	        GO_TEXT "\n\xe2\x80\x94  AAAAAQIDBA==\n" GO_LINE, GO_TEXT "\n\xe2\x80\x94 P AAAAAQIDBB==\n" GO_LINE};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (open_text(bad[i], &key) != -EINVAL)
			fail_msg("%zu: %s is taken", i, bad[i]);
	/* An id that is ours with a signature of another length. */
	assert_int_equal(open_text(GO_TEXT "\n\xe2\x80\x94 PeterNeumann x08gowECAwQ=\n", &key), -EBADMSG);
}

static void too_many_signatures_are_refused(void **state) {
	(void)state;
	struct note_key key = key_of(GO_VKEY);
	char note[8192] = GO_TEXT "\n";
	for (int i = 0; i < NOTE_SIGNATURES_MAX - 1; i++)
		strcat(note, WITNESS_LINE);
	strcat(note, GO_LINE);
	assert_int_equal(open_text(note, &key), 0);
	strcat(note, WITNESS_LINE);
	assert_int_equal(open_text(note, &key), -EINVAL);
}

static void what_is_no_key_is_refused_in_words(void **state) {
	(void)state;
	struct note_key key;
	static const char *const bad[] = {"", "+", "name", "name+", "name+530d903a",
	        "a b+530d903a+AekyeRrm56hApGFkyQR4"
	        "ZCbV54Id2LKaANYcrnKv3U2k",
	        "+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
	        "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
	        "example.com/fop+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
	        "example.com/foo+530d903+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
	        "example.com/foo+530d903x+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
	        "example.com/foo+530d903a+AukyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
	        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2", VKEY "x", VKEY " "};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(note_key_parse(bad[i], &key), -EINVAL);
		assert_non_null(strstr(fault_message(), "no verifier key"));
	}
	const uint8_t public_key[SIGN_PUBLIC_BYTES] = {0};
	char longer[NOTE_NAME_MAX + 2];
	memset(longer, 'a', sizeof longer);
	longer[NOTE_NAME_MAX + 1] = '\0';
	assert_int_equal(note_key_make(longer, public_key, &key), -EINVAL);
	longer[NOTE_NAME_MAX] = '\0';
	assert_int_equal(note_key_make(longer, public_key, &key), 0);
	assert_int_equal(note_key_make("a+b", public_key, &key), -EINVAL);
}

static void who_signed_is_listed_by_name(void **state) {
	(void)state;
	static const char note[] = GO_TEXT "\n" WITNESS_LINE GO_LINE "\xe2\x80\x94 PeterNeumann AAAAAQIDBA==\n" GO_LINE;
	const struct note_key key = key_of(GO_VKEY);
	struct note_signers signers;
	assert_int_equal(note_list_signers(bytes_of_string(note), "PeterNeumann", &signers), 0);
	assert_int_equal(signers.count, 2);
	assert_memory_equal(signers.ids[0], key.id, sizeof key.id);
	assert_memory_equal(signers.ids[1], key.id, sizeof key.id);
	assert_int_equal(note_list_signers(bytes_of_string(note), "Peter", &signers), 0);
	assert_int_equal(signers.count, 0);
	assert_int_equal(note_list_signers(bytes_of_string(GO_TEXT), "Peter", &signers), -EINVAL);
	assert_int_equal(note_list_signers(bytes_of_string(GO_TEXT "\nline\n"), "Peter", &signers), -EINVAL);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(published_keys_are_read_and_written),
	        cmocka_unit_test(a_published_note_is_made_and_opened),
	        cmocka_unit_test(other_signatures_are_skipped),
	        cmocka_unit_test(a_changed_text_is_noticed),
	        cmocka_unit_test(what_is_no_note_is_refused),
	        cmocka_unit_test(too_many_signatures_are_refused),
	        cmocka_unit_test(what_is_no_key_is_refused_in_words),
	        cmocka_unit_test(who_signed_is_listed_by_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
