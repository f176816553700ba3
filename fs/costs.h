/*
 * costs: what the mounted vault costs this month, by the prices of the policy in force.
 *
 *      each minute ─► levels ─► charges of the month, kept (backend/charge.h) ─► estimate (policy/cost.h)
 *      when asked ─► charges that were kept, and in memory what came since ──────┘
 *
 * Asking writes nothing: a page and a scraper ask each second. (They had the vault commit 115 KB each time.) Nor does a
 * mount that writes nothing.
 */
#pragma once

#include "backend/backup/backup.h"
#include "fs/levels.h"
#include "fs/verdict_counts.h"
#include "policy/cost.h"
#include "policy/gate/gate.h"

#include <jansson.h>

typedef struct Costs Costs;

/* All three must outlive it. `is_read_only`: what was charged is told, and nothing is added to it. `checks` may be
 * NULL. -ENOMEM; -EINVAL: the price file in the program. */
int costs_new(
        Store *store, Gate *gate, bool is_read_only, Levels *levels, const VerdictCounts *checks, Costs **ret_costs);
/* Accepts NULL. */
void costs_free(Costs *costs);
DEFINE_CLEANUP(Costs, costs_free);

/* Whose stored bytes are told, too. Before anybody asks; it must outlive the costs. NULL: of none. */
void costs_of_backup(Costs *costs, Backup *backup);

/* The estimate at `now_s`, USD, by the policy's profile. Any thread, in no operation. */
int costs_figures(Costs *costs, int64_t now_s, struct cost *ret_cost);

/*
 * The same in full, by that profile of the price file (NULL: the policy's). -ENOENT, with words: it has none of the
 * name.
 *
 *      {"month": "2026-11", "currency": "USD", "profile": {"name", "words"},
 *       "prices": {"file", "date", "old", "source": {"words", "date", "standing"}, "usd_per_gb_month" (null: the
 * tiers)}, "now", "forecast", "hours_counted", "hours_left", "kinds": {"storage": {"now", "forecast"}, "requests": …,
 * "kms": …}, "zones": [{"zone" ("": of none), "gb_months", "now", "forecast", "storage", "requests", "kms", "puts",
 * "gets"}], "versions": {"now", "forecast"}, "dead": …, "backups": null or {"now", "forecast", "stored_bytes"} (not
 * among the above), "seed": {"now", "forecast", "profile", "services": [{"words", "now", "forecast"}]}, "profiles":
 * [{"name", "words", "usd_per_gb_month"}]}
 */
int costs_json(Costs *costs, int64_t now_s, const char *profile, json_t **ret_json);

/* A collector: EstimatedCharges. */
int costs_collect(void *costs, struct sampler_round *round);

/* Keeps what came to be charged until now; a failure is logged. For sampler_at_ends. */
void costs_keep(void *costs, int64_t now_s);
