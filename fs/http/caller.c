#include "fs/http/caller.h"

#include "crypto/base/fault.h"
#include "fs/http/peer.h"
#include "fs/http/token.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void set_nobody(struct caller *caller) {
	caller->peer = (struct control_peer){.uid = CALLER_NOBODY, .gid = (gid_t)CALLER_NOBODY};
	caller->peer.groups = caller->groups;
	(void)snprintf(caller->peer.exe, sizeof caller->peer.exe, "http");
}

static int find_token(Store *store, const char *text, struct caller *ret) {
	struct token token;
	Meta *m = store_meta(store);
	meta_begin(m);
	int rc = meta_end(m, token_check(m, text, meta_now(m) / 1000000000, &token));
	if (rc)
		return rc;
	ret->has_token = true;
	ret->peer.token_roles = token_policy_roles(token.role);
	(void)snprintf(ret->peer.exe, sizeof ret->peer.exe, "http:%s", token.name);
	(void)snprintf(ret->right, sizeof ret->right, "token:%s:%s", token.name, token_role_word(token.role));
	return 0;
}

/* Without its groups a user can do less, never more. */
static void find_groups(struct caller *caller) {
	char memory[4096];
	struct passwd entry, *found = NULL;
	int count = CALLER_GROUPS_MAX;
	if (getpwuid_r(caller->peer.uid, &entry, memory, sizeof memory, &found) != 0 || !found)
		return;
	caller->peer.gid = found->pw_gid;
	if (getgrouplist(found->pw_name, found->pw_gid, caller->groups, &count) >= 0)
		caller->peer.group_count = (size_t)count;
}

static int find_user(const struct address *bound, const json_t *request, struct caller *ret) {
	const char *local = json_string_value(json_object_get(request, "local"));
	const char *remote = json_string_value(json_object_get(request, "remote"));
	struct address ours, theirs;
	uid_t uid;
	if (!local || !remote || address_parse(local, &ours) < 0 || address_parse(remote, &theirs) < 0 ||
	        address_port(&ours) != address_port(bound) || !address_is_loopback(&ours) ||
	        !address_is_loopback(&theirs))
		return fault(EACCES, "whose connection it is can't be told");
	if (peer_uid(&theirs, &ours, &uid) < 0)
		return fault(EACCES, "whose connection it is can't be told");
	ret->peer.uid = uid;
	find_groups(ret);
	(void)snprintf(ret->right, sizeof ret->right, "uid:%u", (unsigned)uid);
	return 0;
}

int caller_find(Store *store, const struct address *bound, const json_t *request, struct caller *ret) {
	const char *token = json_string_value(json_object_get(request, "token"));
	*ret = (struct caller){0};
	set_nobody(ret);
	if (token)
		return find_token(store, token, ret);
	if (!address_is_loopback(bound))
		return fault(EACCES, "a token is needed: Authorization: Bearer assay_…");
	return find_user(bound, request, ret);
}
