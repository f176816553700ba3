/*
 * roles: what the policy in force, and what was lent beside it, let somebody do: the one decision, for the mount's
 * hooks, the commands and `assayfs access`. Each call looks at the policy and the grants that are in force then.
 * Thread-safe.
 */
#pragma once

#include "fs/gate_hooks.h"
#include "policy/gate/gate.h"
#include "policy/gate/grant.h"

/* Whether the policy names roles at all; without, mode bits alone decide. */
bool roles_are_named(Gate *gate);

/* Whether there are grants: of the policy, or lent. */
bool roles_have_grants(Gate *gate);

/*
 * Whether a role or a grant lets the member have what is wished; true while no roles are named. Raw has no writers:
 * that nobody changes it is said elsewhere, as EPERM, so asking to write there asks to read. *ret_permit says by what.
 */
bool roles_permit(
        Gate *gate, const struct gate_member *member, const struct gate_wish *wish, struct gate_permit *ret_permit);

/* Whether a role, also a lent one, lets the member read (or write) in `place`. While no roles are named: false. */
bool roles_permit_place(Gate *gate, const struct gate_member *member, enum policy_place place,
        enum policy_access access, struct gate_permit *ret_permit);

/* The place of policy.h that a zone is; PLACE_COUNT for none. */
enum policy_place roles_place_of(uint8_t zone);

/* "by grant 3", "by the grant in policy.yaml:12"; "" when no grant was needed. Returns `ret_words`. */
#define ROLES_WORDS_BYTES 64
const char *roles_grant_words(const struct gate_permit *permit, char ret_words[static ROLES_WORDS_BYTES]);
