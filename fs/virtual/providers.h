/*
 * providers: those of the tree .assayfs that stand in this folder, one source each.
 */
#pragma once

#include "fs/virtual.h"

/* versions/PATH/N: what the name PATH showed over time, numbered from 1; a directory of PATH's is a directory. */
extern const struct virtual_provider virtual_versions;

/* at/TIME/PATH: the tree as it was at TIME: 2026-11-22T10:00:00Z, 2026-11-22 (its start, UTC) or @SECONDS. */
extern const struct virtual_provider virtual_at;

/* audit/YYYY-MM-DD.jsonl: the durable records of that day (UTC), one a line; beside them what tlog.h tells of. For the
 * user who mounted. */
extern const struct virtual_provider virtual_audit;

/* status.json: how the vault stands, the same document as `assayfs status --json` gives. */
extern const struct virtual_provider virtual_status;

/* metrics: the figures of the mount, as Prometheus reads them (fs/metrics.h); for everybody, as status.json is. */
extern const struct virtual_provider virtual_metrics;

/* verdicts/PATH.json: the signed verdict on the file at PATH, or the last one on that path. */
extern const struct virtual_provider virtual_verdicts;

/* policy/NUMBER/FILE and policy/current/FILE: what was and is in force; for the user who mounted. */
extern const struct virtual_provider virtual_policy;

/* quarantine/ID/content and quarantine/ID/verdict.json; for the user who mounted. */
extern const struct virtual_provider virtual_quarantine;
