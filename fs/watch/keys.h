/* keys: how old the vault's keys are, how they are and how often they were used, as families of metrics.h. */
#pragma once

#include "backend/store.h"
#include "fs/metrics.h"

/* Adds them; the store must live until metrics_forget. -ENOSPC. */
int watch_add_key_families(Metrics *metrics, Store *store);
