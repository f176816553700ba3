#include "fs/kms_slot.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct kms_context kms_slot_context(const char *vault, const char *slot, struct kms_pair pairs[static KMS_SLOT_PAIRS]) {
	pairs[0] = (struct kms_pair){.name = "assayfs-slot", .value = slot};
	pairs[1] = (struct kms_pair){.name = "assayfs-vault", .value = vault};
	return (struct kms_context){.pairs = pairs, .count = KMS_SLOT_PAIRS};
}

int kms_slot_of(const char *vault, const struct slot_info *info, struct kms_slot *ret) {
	if (info->type != SLOT_KMS || !info->kms.key || info->kms.wrapped.size > sizeof ret->wrapped)
		return fault(EINVAL, "slot %.8s is none of a key management service", info->id);
	(void)snprintf(ret->vault, sizeof ret->vault, "%s", vault);
	(void)snprintf(ret->slot, sizeof ret->slot, "%s", info->id);
	(void)snprintf(ret->key, sizeof ret->key, "%s", info->kms.key);
	memcpy(ret->wrapped, info->kms.wrapped.data, info->kms.wrapped.size);
	ret->wrapped_size = info->kms.wrapped.size;
	return 0;
}

int kms_slot_unwrap(Kms *kms, const struct kms_slot *slot, uint8_t ret_kek[static KMS_KEY_BYTES]) {
	struct kms_pair pairs[KMS_SLOT_PAIRS];
	char arn[KMS_ARN_BYTES];
	const struct kms_context context = kms_slot_context(slot->vault, slot->slot, pairs);
	int rc = kms_decrypt(kms, bytes_of(slot->wrapped, slot->wrapped_size), &context, ret_kek, arn);
	return fault_while(rc, "slot %.8s, key %.300s", slot->slot, slot->key);
}
