#include "backend/kms/kms.h"

#include "backend/kms/kms_aws.h"
#include "crypto/secret.h"

#include <stdio.h>
#include <string.h>

struct Kms {
	const struct kms_ops *ops;
	void *provider;
	char *key;
};

int kms_wrap(const struct kms_ops *ops, void *provider, const char *key, Kms **ret_kms) {
	_cleanup_(freep) Kms *kms = calloc(1, sizeof *kms);
	_cleanup_(freep) char *copy = strdup(key);
	if (!kms || !copy)
		return fault(ENOMEM, "no memory to reach a KMS");
	kms->ops = ops;
	kms->provider = provider;
	kms->key = steal_pointer(&copy);
	*ret_kms = steal_pointer(&kms);
	return 0;
}

/* "pkcs11:…", "vault://…": a word and a colon, which no name of AWS but an ARN begins with. */
static bool is_of_another(const char *key) {
	size_t word = strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789+-");
	return word > 0 && key[word] == ':' && strncmp(key, "arn:", 4) != 0;
}

int kms_open(const char *key, const struct kms_options *options, Kms **ret_kms) {
	void *provider = NULL;
	if (is_of_another(key))
		return fault(ENOTSUP,
		        "'%.80s' is of a provider of keys that is none of ours; AWS KMS is: arn:aws:kms:…", key);
	int rc = kms_aws_open(key, options, &provider);
	if (rc == 0)
		rc = kms_wrap(&kms_aws_ops, provider, key, ret_kms);
	if (rc < 0 && provider)
		kms_aws_ops.close(provider);
	return rc;
}

void kms_close(Kms *kms) {
	if (!kms)
		return;
	kms->ops->close(kms->provider);
	free(kms->key);
	free(kms);
}

const char *kms_key(const Kms *kms) {
	return kms->key;
}

/* ---- what is asked ---- */

/* Printable ASCII: what any provider authenticates as the same bytes. */
static bool is_plain(const char *text) {
	size_t length = strlen(text);
	for (const char *c = text; *c; c++)
		if (*c < ' ' || *c > '~')
			return false;
	return length > 0 && length <= KMS_CONTEXT_TEXT_MAX;
}

static int check_context(const struct kms_context *context) {
	if (context->count > KMS_CONTEXT_MAX)
		return fault(EINVAL, "a context of %zu pairs is too long", context->count);
	for (size_t i = 0; i < context->count; i++) {
		if (!is_plain(context->pairs[i].name) || !is_plain(context->pairs[i].value))
			return fault(EINVAL, "a context has a text that is empty, too long or not plain");
		for (size_t j = 0; j < i; j++)
			if (strcmp(context->pairs[i].name, context->pairs[j].name) == 0)
				return fault(EINVAL, "a context has '%s' twice", context->pairs[i].name);
	}
	return 0;
}

static int check_wrapped(struct bytes wrapped) {
	if (wrapped.size == 0 || wrapped.size > KMS_WRAPPED_BYTES_MAX)
		return fault(EKEYREJECTED, "a wrapped key of %zu bytes is none", wrapped.size);
	return 0;
}

static int while_about(const Kms *kms, int rc) {
	return fault_while(rc, "KMS key %.200s", kms->key);
}

int kms_generate(Kms *kms, const struct kms_context *context, uint8_t ret_key[static KMS_KEY_BYTES],
        struct kms_wrapped *ret_wrapped, char ret_arn[static KMS_ARN_BYTES]) {
	int rc = check_context(context);
	if (rc == 0)
		rc = kms->ops->generate(kms->provider, context, ret_key, ret_wrapped, ret_arn);
	if (rc < 0)
		secret_wipe(ret_key, KMS_KEY_BYTES);
	return while_about(kms, rc);
}

int kms_decrypt(Kms *kms, struct bytes wrapped, const struct kms_context *context,
        uint8_t ret_key[static KMS_KEY_BYTES], char ret_arn[static KMS_ARN_BYTES]) {
	int rc = check_wrapped(wrapped);
	if (rc == 0)
		rc = check_context(context);
	if (rc == 0)
		rc = kms->ops->decrypt(kms->provider, wrapped, context, ret_key, ret_arn);
	if (rc < 0)
		secret_wipe(ret_key, KMS_KEY_BYTES);
	return while_about(kms, rc);
}

int kms_reencrypt(Kms *kms, struct bytes wrapped, const struct kms_context *context, const char *to_key,
        const struct kms_context *to_context, struct kms_wrapped *ret_wrapped, char ret_arn[static KMS_ARN_BYTES]) {
	int rc = check_wrapped(wrapped);
	if (rc == 0)
		rc = check_context(context);
	if (rc == 0)
		rc = check_context(to_context);
	if (rc == 0)
		rc = kms->ops->reencrypt(
		        kms->provider, wrapped, context, to_key ? to_key : kms->key, to_context, ret_wrapped, ret_arn);
	return while_about(kms, rc);
}

int kms_describe(Kms *kms, struct kms_description *ret_description) {
	return while_about(kms, kms->ops->describe(kms->provider, ret_description));
}

bool kms_is_away(int rc) {
	switch (-rc) {
	case EHOSTUNREACH:
	case ETIMEDOUT:
	case EBUSY:
	case EIO:
	case EPROTO:
	case EBADMSG:
		return true;
	default:
		return false;
	}
}

void kms_stop(Kms *kms) {
	kms->ops->stop(kms->provider);
}
