/*
 * roles: what the policy in force lets somebody do, for the mount's hooks. Each call looks at the policy that is in
 * force then. Thread-safe.
 */
#pragma once

#include "fs/gate_hooks.h"
#include "policy/gate/gate.h"

/* Whether the policy names roles at all; without, mode bits alone decide. */
bool roles_are_named(Gate *gate);

/* Whether a role lets the member read (or write) in `zone` (enum zone); true while no roles are named. Raw has no
 * writers: that nobody changes it is said elsewhere, as EPERM, so asking to write there asks to read. */
bool roles_permit_zone(Gate *gate, const struct gate_member *member, uint8_t zone, bool write);

/* Whether a role lets the member read in `place`. */
bool roles_permit_place(Gate *gate, const struct gate_member *member, enum policy_place place);
