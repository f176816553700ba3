/*
 * metrics: all figures of a mount in one text, as Prometheus reads it: .assayfs/metrics, and the control request
 * `metrics`, which the page at the HTTP address asks for /metrics.
 *
 *     operations (operation_stats.h) ─┐
 *     store, tables, disk ────────────┼─► providers, in the order they were added ─► exposition.h ─► text
 *     gate (gate_stats.h) ────────────┤
 *     whoever adds one ───────────────┘
 *
 * To add families, give metrics_add_provider a function, before the mount answers:
 *
 *     static void tell_alarms(void *arg, Exposition *exposition) {
 *             static const struct exposition_family state = {
 *                     .name = "assayfs_alarm_state", .type = EXPOSITION_GAUGE,
 *                     .help = "State of the alarm: 0 OK, 1 ALARM, 2 INSUFFICIENT_DATA."};
 *             exposition_family(exposition, &state);
 *             for (each alarm)
 *                     exposition_count(exposition, it->state,
 *                             &(struct exposition_label){"alarm", it->name}, 1);
 *     }
 *     metrics_add_provider(fs->metrics, tell_alarms, alarms);             (in fs/parts.c, beside its start)
 *
 * and a row for each family to docs/metrics.md, which a test holds against what a mount says. What a provider does must
 * not take longer with more files: it reads counters and sums, and walks no tree. Labels hold names of the policy
 * (datasets, workflows, alarms), never paths, users or what stands in a file. Names begin with assayfs_ and end in
 * their base unit.
 *
 * Thread-safe. One text is made at a time; providers are called with no other lock held.
 */
#pragma once

#include <stddef.h>

#include "crypto/base/cleanup.h"
#include "fs/exposition.h"

typedef struct Metrics Metrics;

/* -ENOMEM. */
int metrics_new(Metrics **ret);
/* Accepts NULL. */
void metrics_free(Metrics *metrics);
DEFINE_CLEANUP(Metrics, metrics_free);

/* Writes whole families. What it can't find out it leaves out. */
typedef void metrics_provider_fn(void *arg, Exposition *exposition);

/* `arg` must live until metrics_forget or metrics_free. -ENOSPC: there are too many providers. */
int metrics_add_provider(Metrics *metrics, metrics_provider_fn *provider, void *arg);

/* Takes all providers away, before what they ask is gone; returns when none runs any more. NULL is fine. */
void metrics_forget(Metrics *metrics);

/* The text, NUL-terminated, allocated. -ENOMEM; -EINVAL: a provider wrote what makes no exposition. */
int metrics_text(Metrics *metrics, enum exposition_format format, char **ret_text, size_t *ret_size);
