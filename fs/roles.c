#include "fs/roles.h"

bool roles_are_named(Gate *gate) {
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(gate);
	return policy_has_roles(held->policy);
}

/* What is staged is on its way into Trusted. */
static enum policy_place place_of(uint8_t zone) {
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

bool roles_permit_zone(Gate *gate, const struct gate_member *member, uint8_t zone, bool write) {
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(gate);
	struct policy_actor actor = actor_of(member);
	enum policy_access access = write && zone != ZONE_RAW ? POLICY_WRITE : POLICY_READ;
	return !policy_has_roles(held->policy) || policy_permits(held->policy, place_of(zone), access, &actor);
}

bool roles_permit_place(Gate *gate, const struct gate_member *member, enum policy_place place) {
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(gate);
	struct policy_actor actor = actor_of(member);
	return policy_permits(held->policy, place, POLICY_READ, &actor);
}
