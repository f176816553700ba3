/*
 * token: who may ask at the HTTP address beside the users of this machine: a name, a role, an end, a secret.
 *
 *      assayfs token add NAME ──► "assay_" and 256 random bits in base64url, told once
 *      kv http.token-key          a random key of this vault
 *      kv http.token.NAME         JSON: {"hash": BLAKE2b of the whole text under that key, "role", "by", "made_s",
 * "until_s"}
 *
 * What is kept can't be turned back into a token, and a token tells nothing of the vault. All calls in an operation.
 */
#pragma once

#include "backend/meta.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define TOKEN_PREFIX "assay_"
#define TOKEN_TEXT_BYTES 64
#define TOKEN_NAME_BYTES 33
#define TOKENS_MAX 100
#define TOKEN_DAYS_DEFAULT 90
#define TOKEN_DAYS_MAX 3650

enum token_role {
	TOKEN_VIEWER,  /* numbers, names of datasets and workflows; no names of files */
	TOKEN_AUDITOR, /* and the audit log */
	TOKEN_STEWARD, /* and everything else; may run workflows and release */
	TOKEN_ROLES,
};

struct token {
	char name[TOKEN_NAME_BYTES];
	enum token_role role;
	uid_t by;
	int64_t made_s, until_s;
};

/* "viewer", "auditor", "steward"; and back: TOKEN_ROLES for none of them. */
const char *token_role_word(enum token_role role);
enum token_role token_role_named(const char *word);

/* What of the policy's roles it holds, as policy_actor has them. */
unsigned token_policy_roles(enum token_role role);

/* Makes one of `wanted`. -EINVAL: a name that is none (letters, digits, '-', '_', '.'; at most 32); -EEXIST; -E2BIG. */
int token_add(Meta *m, const struct token *wanted, char ret_text[static TOKEN_TEXT_BYTES]);

/* -ENOENT. */
int token_remove(Meta *m, const char *name);

/* All, by name. What the callback returns other than 0 ends the list and is returned. */
int token_list(Meta *m, int (*take)(void *arg, const struct token *token), void *arg);

/* Whose it is. -EACCES: nobody's, or it has ended at `now_s`; always in the same time for the same number of tokens. */
int token_check(Meta *m, const char *text, int64_t now_s, struct token *ret_token);
