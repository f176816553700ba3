/* What a key management service is asked for a slot. */
#include "fs/kms_slot.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define VAULT "0123456789abcdef0123456789abcdef"
#define SLOT "fedcba9876543210fedcba9876543210"

static struct slot_info info_of(enum slot_type type) {
	return (struct slot_info){
	        .id = SLOT, .type = type, .kms = {.key = "arn:of-it", .wrapped = bytes_of_string("wrapped")}};
}

static int decrypt(void *provider, struct bytes wrapped, const struct kms_context *context,
        uint8_t ret_key[static KMS_KEY_BYTES], char ret_arn[static KMS_ARN_BYTES]) {
	const int *rc = provider;
	assert_int_equal(wrapped.size, strlen("wrapped"));
	assert_memory_equal(wrapped.data, "wrapped", wrapped.size);
	assert_int_equal(context->count, 2);
	assert_string_equal(context->pairs[0].name, "assayfs-slot");
	assert_string_equal(context->pairs[0].value, SLOT);
	assert_string_equal(context->pairs[1].name, "assayfs-vault");
	assert_string_equal(context->pairs[1].value, VAULT);
	if (*rc < 0)
		return fault(-*rc, "as the service says");
	memset(ret_key, 7, KMS_KEY_BYTES);
	memcpy(ret_arn, "arn:of-it", sizeof "arn:of-it");
	return 0;
}

static void close_it(void *provider) {
	(void)provider;
}

static void the_context_is_the_slots_and_the_vaults(void **state) {
	static const struct kms_ops ops = {.close = close_it, .decrypt = decrypt};
	struct kms_slot *slot = calloc(1, sizeof *slot);
	const struct slot_info info = info_of(SLOT_KMS);
	uint8_t kek[KMS_KEY_BYTES] = {0};
	int rc = 0;
	Kms *kms = NULL;
	(void)state;
	assert_non_null(slot);
	assert_int_equal(kms_slot_of(VAULT, &info, slot), 0);
	assert_string_equal(slot->key, "arn:of-it");
	assert_int_equal(kms_wrap(&ops, &rc, slot->key, &kms), 0);
	assert_int_equal(kms_slot_unwrap(kms, slot, kek), 0);
	assert_int_equal(kek[0], 7);
	rc = -EKEYREVOKED;
	assert_int_equal(kms_slot_unwrap(kms, slot, kek), -EKEYREVOKED);
	assert_non_null(strstr(fault_message(), "slot fedcba98, key arn:of-it"));
	kms_close(kms);
	free(slot);
}

static void other_slots_are_refused(void **state) {
	struct kms_slot *slot = calloc(1, sizeof *slot);
	struct slot_info info = info_of(SLOT_PASSPHRASE);
	(void)state;
	assert_non_null(slot);
	assert_int_equal(kms_slot_of(VAULT, &info, slot), -EINVAL);
	info = info_of(SLOT_KMS);
	info.kms.key = NULL;
	assert_int_equal(kms_slot_of(VAULT, &info, slot), -EINVAL);
	info = info_of(SLOT_KMS);
	info.kms.wrapped.size = HEADER_KMS_WRAPPED_MAX + 1;
	assert_int_equal(kms_slot_of(VAULT, &info, slot), -EINVAL);
	free(slot);
}

int main(void) {
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_context_is_the_slots_and_the_vaults),
	        cmocka_unit_test(other_slots_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
