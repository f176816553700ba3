/*
 * verdict: what was decided about one file, by which rules, in a form that can be checked away from the vault.
 *
 * The canonical form is JSON with sorted keys and no white space, so that the same verdict is always the same bytes;
 * the signature is Ed25519 over those bytes (with a prefix that no other signed thing has), kept beside them. Values of
 * cells never stand in it.
 *
 *     {"check":{…rules, metrics,
 * rows…},"clock":"…Z","dataset":"…","engine":"0.1.0","finished":"…Z","format":1,"input":{"sha256":"…","size":…},
 *      "job":"…","outcome":"passed","output":{…}|null,"path":"Landing/…","policy":{"sha256":"…","version":…},"references":[…],
 *      "ruleset":{"file":"…","sha256":"…"}|null,"started":"…Z","vault":"…"}
 *
 * A path that is not UTF-8 stands as "path_hex" instead of "path". "job" is check_job_hash(): what the check went by,
 * the history that rules looked back on and, if they look at it, the clock included; verdicts from before there was a
 * history have none. `check` has "analyzers" where there are any.
 *
 * Two further keys stand only where there is something to say. Of a file of which rows were withheld, `check` is about
 * what was published (so it passed), and
 *
 *     "split":{"check":{…of all rows: failed},"quarantine":{"sha256":"…","size":…},"rows_in":100,"rows_out":97,
 *              "rows_quarantined":3}
 *
 * Of a file that a steward let pass, `check` is what it came to (failed or error), "outcome" is "waived", and
 *
 *     "waiver":{"by":"anna","quarantine":7,"reason":"…","uid":1000,"until":"…Z"}
 */
#pragma once

#include "crypto/sign.h"
#include "policy/check.h"

#define VERDICT_FORMAT 1
#define VERDICT_HASH_BYTES 32
#define VERDICT_VAULT_ID_BYTES 16
#define VERDICT_JSON_MAX (2 * CHECK_RESULT_MAX + (1u << 20))
#define VERDICT_REFERENCES_MAX 64

struct verdict_content {
	uint8_t sha256[VERDICT_HASH_BYTES];
	uint64_t size;
};

struct verdict_reference {
	char *alias;
	char *path;
	uint8_t sha256[VERDICT_HASH_BYTES];
};

/* Some rows were withheld. */
struct verdict_split {
	struct check_result *check; /* of all rows; owned */
	uint64_t rows_in, rows_out, rows_quarantined;
	struct verdict_content quarantine; /* the CSV with the rows withheld */
};

/* A steward answers for it. Texts are owned. */
struct verdict_waiver {
	char *reason;
	char *by; /* the steward's name, as it was known */
	uint32_t uid;
	uint64_t quarantine; /* where it was held */
	int64_t until_ns;
};

/* Owns all it points to. Times are nanoseconds since 1970, UTC; written with microseconds. */
struct verdict {
	uint8_t vault[VERDICT_VAULT_ID_BYTES];
	char *path;    /* with its zone: Landing/animals/a.csv */
	char *dataset; /* NULL: no dataset governs it (outcome none) */
	uint64_t policy_version;
	uint8_t policy_sha256[VERDICT_HASH_BYTES];
	char *ruleset_file; /* NULL: none */
	uint8_t ruleset_sha256[VERDICT_HASH_BYTES];
	struct verdict_content input;
	bool has_output; /* published as these bytes */
	struct verdict_content output;
	struct verdict_reference *references;
	size_t reference_count;
	bool has_job;
	uint8_t job_sha256[VERDICT_HASH_BYTES]; /* what the check went by */
	int64_t clock_ns;
	int64_t started_ns, finished_ns;
	char *engine;
	struct check_result *check;    /* outcome, reason, rules, metrics */
	struct verdict_split *split;   /* NULL: published whole, or not */
	struct verdict_waiver *waiver; /* NULL: none */
};

/* An empty verdict, the caller's; freed with the result that it holds. -ENOMEM. */
int verdict_new(struct verdict **ret_verdict);
void verdict_free(struct verdict *verdict);
typedef struct verdict Verdict;
DEFINE_CLEANUP(Verdict, verdict_free);

/* Both accept NULL. */
void verdict_split_free(struct verdict_split *split);
void verdict_waiver_free(struct verdict_waiver *waiver);

/* Copies what the policy and the dataset say into a new verdict; `result` is taken over on success. */
int verdict_make(const uint8_t vault[static VERDICT_VAULT_ID_BYTES], const char *path, const Policy *policy,
        uint64_t policy_version, const struct policy_dataset *dataset, struct check_result *result,
        struct verdict **ret_verdict);

/* The canonical bytes, NUL-terminated, allocated; and back with strict checking: -EBADMSG unless writing it again gives
 * the very same bytes. */
int verdict_to_json(const struct verdict *verdict, char **ret_json, size_t *ret_size);
int verdict_from_json(struct bytes json, struct verdict **ret_verdict);

/* Signs and checks the canonical bytes as they stand, without parsing them: Ed25519 (crypto/sign.h) over the line
 * "assayfs verdict 1\n" and then the bytes. verdict_verify: 0, or -EBADMSG. */
int verdict_sign(struct bytes json, const uint8_t seed[static SIGN_SEED_BYTES],
        uint8_t ret_signature[static SIGN_SIGNATURE_BYTES]);
int verdict_verify(struct bytes json, const uint8_t signature[static SIGN_SIGNATURE_BYTES],
        const uint8_t public_key[static SIGN_PUBLIC_BYTES]);

/* What a person reads from `assayfs why`: the outcome, each rule that did not pass with the number found, and what to
 * do next. Lines of UTF-8 text, allocated. Names from the file and the document are shown with control bytes escaped.
 */
int verdict_text(const struct verdict *verdict, char **ret_text);

/* One word: none, pending, passed, failed, error, or waived. A missing verdict (NULL) is none. */
const char *verdict_word(const struct verdict *verdict);
