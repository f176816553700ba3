/* caller: who asks at the HTTP address, and whether he is told anything. */
#pragma once

#include "backend/store.h"
#include "fs/control.h"
#include "fs/http/address.h"

#include <jansson.h>

#define CALLER_GROUPS_MAX 256
/* A token's holder is no user of this machine: kernel's overflow id, which nobody logs in with. */
#define CALLER_NOBODY ((uid_t)-2)

struct caller {
	struct control_peer peer; /* points into this */
	gid_t groups[CALLER_GROUPS_MAX];
	bool has_token;
	char right[64]; /* what documents may be told apart by: "uid:1000", "token:NAME:viewer" */
};

/*
 * From {"token","local","remote"} of a request. -EACCES with words: nobody that is known; the peer then is as far known
 * as it goes, for the record.
 */
int caller_find(Store *store, const struct address *bound, const json_t *request, struct caller *ret);
