/*
 * charge: what was used in a month, for what it costs: byte-hours by zone and kind, and requests.
 *
 *      last levels ──────── time between two samples ────────► new levels
 *                  │ × bytes = byte-hours          │
 *                  └─ Nov ─┤ 2026-11-30T24:00Z ├─ Dec ┘     each part to its month
 *
 * Months are those of UTC, as AWS bills. Between two samples what lay there at the first counts; that is also so over a
 * time in which the vault was not mounted: what lies on the disk costs then, too. Prices come later (policy/cost.h), so
 * that another price file is right for the whole month.
 *
 * The clock: set back by up to a day, nothing is added until it has caught up; set back further it is taken as it is,
 * and so is one that leaps ahead by more than CHARGE_GAP_MAX_S, for which nothing is added.
 *
 * All between meta_begin and meta_end.
 */
#pragma once

#include "backend/meta.h"
#include "backend/zone.h"

#define CHARGE_ZONES (ZONE_TRUSTED + 1) /* ZONE_NONE: of no zone, or of all together */
#define CHARGE_GAP_MAX_S (INT64_C(400) * 86400)

enum charge_kind {
	CHARGE_CURRENT,    /* byte-hours on the disk: of what the files are now */
	CHARGE_NONCURRENT, /* byte-hours on the disk: of earlier versions */
	CHARGE_DEAD,       /* byte-hours on the disk: what nothing needs any more and is not freed yet */
	CHARGE_VERSIONS,   /* byte-hours of all versions, each with its whole size; of ZONE_NONE */
	CHARGE_PUTS,       /* versions sealed */
	CHARGE_GETS,       /* files opened for reading */
	CHARGE_CHECKS,     /* checks of files; of ZONE_NONE */
	CHARGE_HOURS,      /* hours that were added up; of ZONE_NONE */
	CHARGE_KINDS
};

/* What lies there at a time. */
struct charge_levels {
	int64_t time_s;
	double bytes[CHARGE_ZONES][CHARGE_VERSIONS + 1]; /* by zone and kind */
};

/* Used in a month: byte-hours, counts, hours. */
struct charges {
	double quantity[CHARGE_ZONES][CHARGE_KINDS];
};

/* 202611 of a time; the second at which a month begins; the month after it. */
unsigned charge_month(int64_t time_s);
int64_t charge_month_begins(unsigned month);
unsigned charge_month_next(unsigned month);

/* Adds what the last levels have used until `now`, which are the last from then on. The first only begins. */
int charge_accrue(Meta *m, const struct charge_levels *now);

/* Adds to the month that the time lies in. -EINVAL: no such kind, or less than nothing. */
int charge_add(Meta *m, int64_t time_s, unsigned zone, enum charge_kind kind, double quantity);

/* All of a month; zeros where there is nothing. */
int charge_read(Meta *m, unsigned month, struct charges *ret_charges);

/* The levels of the last accrual. -ENOENT: there was none yet. */
int charge_last(Meta *m, struct charge_levels *ret_levels);
