/*
 * kms: a key that never leaves a key management service, which wraps our keys with it.
 *
 *     kms_generate ──► a new data key ──► in clear, to be used and wiped
 *                                    └──► wrapped, to be kept: opens only with that key and the same context
 *     kms_decrypt      wrapped ──► the data key
 *     kms_reencrypt    wrapped ──► wrapped under another key or context; the data key stays inside the service
 *     kms_describe     state, full name, day of deletion
 *
 * The key is named as the provider does it. AWS KMS (kms_aws.h), and whatever speaks its API:
 *
 *     arn:aws:kms:REGION:ACCOUNT:key/ID          its region counts over the environment's
 *     arn:aws:kms:REGION:ACCOUNT:alias/NAME
 *     alias/NAME, ID                             in the region and account of the credentials
 *
 * An alias may later mean another key: keep the ARN that came with what was wrapped, and open that to unwrap.
 *
 * The context is text that is authenticated with the wrapped key. It stands in the service's log in clear: ids in
 * hexadecimal, nothing of persons.
 *
 * The work is done by a small table of functions, one for each provider. All functions return 0 or a negative errno
 * with words (fault.h) that say what to do; the words never have keys or credentials in them. A call that fails in
 * passing is tried again until options.total_ms are over.
 *
 *     -EHOSTUNREACH  nobody is there (no such host, no way, refused, connection lost)
 *     -ETIMEDOUT     there is no answer in time
 *     -EBUSY         throttled, to the end
 *     -EIO           the service fails, to the end
 *     -EPROTO        its certificate can't be trusted
 *     -ENOKEY        no credentials anywhere
 *     -EACCES        credentials that are wrong or have expired
 *     -ETIME         our clock is off; by how much is in the words
 *     -EPERM         the credentials are good, but may not do this with this key
 *     -ENOENT        no such key or alias
 *     -EKEYREVOKED   the key is disabled
 *     -EKEYEXPIRED   the key is to be deleted; until that day its deletion can be cancelled
 *     -ENOTCONN      the key can't be used for now (its material or its store is away)
 *     -EKEYREJECTED  what is to be unwrapped was wrapped by another key, with another context, or is damaged
 *     -EBADMSG       the answer is not one: cut, too long, or none of this API
 *     -EINVAL        what is asked can't be: a name, an endpoint, a region, a kind of key
 *     -ECANCELED     kms_stop was called
 *
 * Data keys and the texts of answers lie in locked memory and are wiped (secret.h). What can't be helped: libcurl and
 * its TLS library have buffers of their own that an answer passes through, and free them without wiping. (Looked for in
 * all memory after a call over TLS: the key itself nowhere, its base64 twice, in those two.)
 *
 * A Kms belongs to one thread at a time, but for kms_stop.
 */
#pragma once

#include "crypto/base/bytes.h"
#include "crypto/base/cleanup.h"
#include "crypto/base/fault.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of a data key. */
#define KMS_KEY_BYTES 32
/* Longest wrapped key of any provider. */
#define KMS_WRAPPED_BYTES_MAX 6144
/* Longest full name of a key, with its NUL. */
#define KMS_ARN_BYTES 512
/* Pairs of a context, and the longest text of one. */
#define KMS_CONTEXT_MAX 8
#define KMS_CONTEXT_TEXT_MAX 256
#define KMS_DESCRIPTION_BYTES 512

typedef struct Kms Kms;

struct kms_pair {
	const char *name, *value;
};

/* Texts are the caller's. The order is of no matter. */
struct kms_context {
	const struct kms_pair *pairs;
	size_t count;
};

/* Zeros are the defaults. */
struct kms_options {
	const char
	        *endpoint; /* https://HOST[:PORT], http only to this machine; NULL: the environment's, else by region */
	unsigned total_ms; /* all attempts of a call and the pauses between them: 10,000 */
	unsigned attempt_ms; /* one attempt: 4,000 */
	unsigned connect_ms; /* until connected: 2,000 */
	unsigned pause_ms;   /* the longest first pause, doubled each time to 2 s; each is any part of it: 100 */
};

struct kms_wrapped {
	uint8_t data[KMS_WRAPPED_BYTES_MAX];
	size_t size;
};

enum kms_state { KMS_ENABLED, KMS_DISABLED, KMS_PENDING_DELETION, KMS_UNAVAILABLE };

struct kms_description {
	char arn[KMS_ARN_BYTES]; /* of the key, also when an alias was asked for */
	enum kms_state state;
	char state_text[32];                     /* as the provider says it */
	bool is_enabled;                         /* as the provider says it: may be used now */
	int64_t deletion_s;                      /* when it is deleted, seconds since 1970; 0: never */
	char spec[48], usage[48];                /* "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT" */
	char description[KMS_DESCRIPTION_BYTES]; /* UTF-8 of somebody else, cut; control characters are '?' */
};

/* The table. `provider` is the implementation's own. Contexts and sizes were checked. */
struct kms_ops {
	void (*close)(void *provider);
	int (*generate)(void *provider, const struct kms_context *context, uint8_t ret_key[static KMS_KEY_BYTES],
	        struct kms_wrapped *ret_wrapped, char ret_arn[static KMS_ARN_BYTES]);
	int (*decrypt)(void *provider, struct bytes wrapped, const struct kms_context *context,
	        uint8_t ret_key[static KMS_KEY_BYTES], char ret_arn[static KMS_ARN_BYTES]);
	int (*reencrypt)(void *provider, struct bytes wrapped, const struct kms_context *context, const char *to_key,
	        const struct kms_context *to_context, struct kms_wrapped *ret_wrapped,
	        char ret_arn[static KMS_ARN_BYTES]);
	int (*describe)(void *provider, struct kms_description *ret_description);
	void (*stop)(void *provider); /* from any thread */
};

/* Opens by the key's name; nothing is sent yet. Texts are copied. `options` may be NULL. -EINVAL: no such name, or the
 * region or endpoint that it would need is not known, or is another's; -ENOTSUP: a provider that is none of ours;
 * -ENOKEY: no credentials anywhere. */
int kms_open(const char *key, const struct kms_options *options, Kms **ret_kms);

/* For implementations and tests; takes ownership of `provider` on success. `ops` must outlive it; `key` is copied. */
int kms_wrap(const struct kms_ops *ops, void *provider, const char *key, Kms **ret_kms);

/* Frees; NULL is fine. */
void kms_close(Kms *kms);
DEFINE_CLEANUP(Kms, kms_close);

/* As it was opened. */
const char *kms_key(const Kms *kms);

/* A new random data key. `ret_key` should lie in secret memory; on failure it is wiped. `ret_arn`: of the key that
 * wrapped it. */
int kms_generate(Kms *kms, const struct kms_context *context, uint8_t ret_key[static KMS_KEY_BYTES],
        struct kms_wrapped *ret_wrapped, char ret_arn[static KMS_ARN_BYTES]);

/* Unwraps what this key wrapped with this context. `ret_key` as above. */
int kms_decrypt(Kms *kms, struct bytes wrapped, const struct kms_context *context,
        uint8_t ret_key[static KMS_KEY_BYTES], char ret_arn[static KMS_ARN_BYTES]);

/* Wraps anew what this key wrapped: under `to_key` (named as for kms_open, of the same provider and region; NULL: this
 * one) with `to_context`. `ret_arn`: of the key that wraps it now. */
int kms_reencrypt(Kms *kms, struct bytes wrapped, const struct kms_context *context, const char *to_key,
        const struct kms_context *to_context, struct kms_wrapped *ret_wrapped, char ret_arn[static KMS_ARN_BYTES]);

/* What the provider says of the key; an alias is resolved. Ask it before kms_generate: nothing else tells how long a
 * key will last. */
int kms_describe(Kms *kms, struct kms_description *ret_description);

/* Whether an error of these says that the service could not be asked (nobody there, throttled, failing, its answer or
 * certificate none), so that what was known of the key before is all that is known: not that the key, or who asks, was
 * refused. */
bool kms_is_away(int rc);

/* Ends the call under way, within a second or so, and all later ones with -ECANCELED. From any thread. */
void kms_stop(Kms *kms);
