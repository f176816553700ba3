/* keys: how old the vault's keys are, how they are and how often they were used, as families of metrics.h. */
#pragma once

#include "backend/store.h"
#include "fs/filesystem.h"
#include "fs/metrics.h"
#include "fs/sampler.h"

/* Whether the key management service that unlocked the vault answers. `filesystem` is a struct filesystem; without a
 * watched service there is neither figure nor sample. */
int watch_add_kms_families(Metrics *metrics, struct filesystem *filesystem);
int watch_collect_kms(void *filesystem, struct sampler_round *round);

/* Adds them; the store must live until metrics_forget. -ENOSPC. */
int watch_add_key_families(Metrics *metrics, Store *store);
