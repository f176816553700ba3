#include "fs/roles.h"

#include <inttypes.h>
#include <stdio.h>

bool roles_are_named(Gate *gate) {
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(gate);
	return policy_has_roles(held->policy);
}

bool roles_have_grants(Gate *gate) {
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(gate);
	return policy_grant_count(held->policy) > 0 || gate_lends(gate);
}

/* What is staged is on its way into Trusted. */
enum policy_place roles_place_of(uint8_t zone) {
	switch ((enum zone)zone) {
	case ZONE_LANDING:
		return PLACE_LANDING;
	case ZONE_RAW:
		return PLACE_RAW;
	case ZONE_TRUSTED:
	case ZONE_STAGING:
		return PLACE_TRUSTED;
	case ZONE_NONE:
		break;
	}
	return PLACE_COUNT;
}

static struct policy_actor actor_of(const struct gate_member *member) {
	return (struct policy_actor){
	        .uid = member->uid, .gid = member->gid, .groups = member->groups, .group_count = member->group_count};
}

/* By a role of one's own, else by a lent one. */
static bool permits_place(Gate *gate, const Policy *policy, struct policy_actor *actor, enum policy_place place,
        enum policy_access access, struct gate_permit *ret_permit) {
	if (policy_permitting_role(policy, place, access, actor, &ret_permit->role))
		return true;
	actor->lent = policy_has_roles(policy) ? gate_lent_roles(gate, actor->uid) : 0;
	if (!actor->lent || !policy_permitting_role(policy, place, access, actor, &ret_permit->role))
		return false;
	ret_permit->grant = gate_lent_by(gate, actor->uid, ret_permit->role, &ret_permit->until_ns);
	return true;
}

static bool permits_path(Gate *gate, const Policy *policy, const struct policy_actor *actor,
        const struct gate_wish *wish, struct gate_permit *ret_permit) {
	if (policy_grant_count(policy) > 0) {
		int64_t now_s = gate_grant_now(gate) / 1000000000;
		const struct policy_grant *grant = policy_granted(policy, actor, wish->path, wish->reach, now_s);
		if (grant) {
			ret_permit->line = grant->line;
			ret_permit->until_ns = grant->until_s * 1000000000;
			return true;
		}
	}
	ret_permit->grant = gate_lent_path(gate, actor->uid, wish->path, wish->reach, &ret_permit->until_ns);
	return ret_permit->grant != 0;
}

bool roles_permit(
        Gate *gate, const struct gate_member *member, const struct gate_wish *wish, struct gate_permit *ret_permit) {
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(gate);
	struct policy_actor actor = actor_of(member);
	struct gate_wish asked = *wish;
	*ret_permit = (struct gate_permit){.role = ROLE_COUNT};
	if (!policy_has_roles(held->policy))
		return true;
	if (asked.zone == ZONE_RAW && policy_reach_writes(asked.reach))
		asked.reach = POLICY_REACH_READ;
	enum policy_access access = policy_reach_writes(asked.reach) ? POLICY_WRITE : POLICY_READ;
	if (permits_place(gate, held->policy, &actor, roles_place_of(asked.zone), access, ret_permit))
		return true;
	return asked.path && permits_path(gate, held->policy, &actor, &asked, ret_permit);
}

bool roles_permit_place(Gate *gate, const struct gate_member *member, enum policy_place place,
        enum policy_access access, struct gate_permit *ret_permit) {
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(gate);
	struct policy_actor actor = actor_of(member);
	*ret_permit = (struct gate_permit){.role = ROLE_COUNT};
	return permits_place(gate, held->policy, &actor, place, access, ret_permit);
}

const char *roles_grant_words(const struct gate_permit *permit, char ret_words[static ROLES_WORDS_BYTES]) {
	ret_words[0] = '\0';
	if (permit->grant)
		snprintf(ret_words, ROLES_WORDS_BYTES, "by grant %" PRIu64, permit->grant);
	else if (permit->line)
		snprintf(ret_words, ROLES_WORDS_BYTES, "by the grant in policy.yaml:%u", permit->line);
	return ret_words;
}
