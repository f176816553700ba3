/*
 * grant: what is lent to a user for hours, beside the roles and grants of the policy document: a role, or a path and
 * what lies below it. A steward lends to anybody; who may break the glass lends to himself (the caller sees to that).
 *
 *     kv "grant.N" ─► JSON: who, what, until when, why                    kept until a later one is made
 *     kv "grant" ─► the last N, so that no number means two in the log
 *
 * A lent role gives no right to lend, so what is lent ends for good (the caller sees to that, too).
 *
 * Time: a grant ends by the clock, but not later because the clock was set back: while the vault is mounted time goes
 * on at least as fast as the machine runs, and a mount begins no earlier than the last commit before it.
 *
 * All may be called by any thread; those that ask, also in a meta operation.
 */
#pragma once

#include "policy/gate/gate.h"

#define GRANTS_MAX 64        /* at a time */
#define GRANTS_HIMSELF_MAX 8 /* of these, that one user gave himself */
#define GRANTS_SELVES_MAX 32 /* and all users themselves, so that stewards keep places */
#define GRANT_LONGEST_NS (INT64_C(7) * 24 * 3600 * 1000000000)

struct grant {
	uint64_t number;
	uint32_t uid; /* who has it */
	uint32_t by;  /* who gave it */
	int64_t made_ns, until_ns;
	enum policy_role role; /* ROLE_COUNT: a path */
	const char *path;      /* with its zone, of a file or of a directory with all below it; "" for a role */
	bool write;            /* of a path */
	const char *reason;
};

/*
 * Gives it: of `wish`, number, by and made_ns are set here, and until_ns is how long it shall last. *ret_grant, which
 * may be the wish itself, has the wish's texts. Recorded as event `grant`. -EINVAL with words: no reason, no time or
 * too long a one, a path in no zone, writing into Raw, no roles that something could be lent beside. -E2BIG: too many
 * at a time, of all, or of those that users gave themselves. Not durable yet.
 */
int gate_grant(Gate *gate, const struct grant *wish, const struct actor *actor, struct grant *ret_grant);

/* What, to whom, for how long and why, of a wish or of a grant: "role steward to uid 8 for 7200s: ill". Cut at `size`,
 * at least 1. */
void gate_grant_words(const struct grant *grant, char *ret_words, size_t size);

/* Ends it, recorded as event `grant-revoke`; -ENOENT when there is none, or no more. */
int gate_grant_revoke(Gate *gate, uint64_t number, const struct actor *actor);

/* Calls `each` for all that count now, the oldest first, until it returns other than 0, which is then returned. It may
 * keep what it is told of only while it runs, and must not ask here. */
typedef int gate_grant_fn(void *arg, const struct grant *grant);
int gate_grants(Gate *gate, gate_grant_fn *each, void *arg);

/* The roles that are lent to the user, as policy_actor has them, and of one of them by which grant (0: none). */
unsigned gate_lent_roles(Gate *gate, uint32_t uid);
uint64_t gate_lent_by(Gate *gate, uint32_t uid, enum policy_role role, int64_t *ret_until_ns);

/* The grant that lends the user `reach` of `path` (with its zone); 0: none. */
uint64_t gate_lent_path(Gate *gate, uint32_t uid, const char *path, enum policy_reach reach, int64_t *ret_until_ns);

/* Whether any grant counts now. */
bool gate_lends(Gate *gate);

/* The time that grants go by, ns since 1970. */
int64_t gate_grant_now(Gate *gate);
