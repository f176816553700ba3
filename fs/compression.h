/*
 * compression: what the policy says under `compression`, told to the store. What waits in staging is Landing's.
 */
#pragma once

#include "backend/store.h"
#include "policy/policy.h"

/* Blocks that are written from now on are compressed so; those that are there stay as they are. Any thread. */
void compression_apply(Store *store, const Policy *policy);
