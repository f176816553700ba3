/*
 * cost: what a month of a vault costs, from what was used and prices; no clock, no files, no database.
 *
 *      charges of the month ─┐
 *      levels now ───────────┼─► so far, at the month's end, by zone and storage / requests / KMS
 *      prices, profile ──────┘   what earlier versions add, what the same would be on the seed platform
 *
 * Storage is billed by GB-months, byte-hours / 2^30 / hours of the month; tiers are of all zones together, and each
 * zone bears its share of them. The forecast takes what lies there now to lie there to the end, and requests to go on
 * at the rate of the hours that were counted, at least a day's. docs/costs.md has the limits.
 */
#pragma once

#include "backend/charge.h"
#include "policy/prices.h"

#define COST_OWN_PRICE_NONE (-1.0)

struct cost_question {
	const Prices *prices;
	const struct price_profile *profile;
	double usd_per_gb_month; /* instead of the profile's tiers; COST_OWN_PRICE_NONE: as it says */
	unsigned month;          /* 202611 */
	struct charges charges;
	struct charge_levels levels; /* the last; their time says how much of the month is counted */
};

/* USD. */
struct cost_amount {
	double storage, requests, kms;
};

/* So far; at the month's end. */
struct cost_pair {
	double now, forecast;
};

/* What the seed platform's services would be, for the same use. */
enum cost_service {
	COST_S3_STORAGE,  /* all versions of the three zones, whole objects */
	COST_S3_REQUESTS, /* PUT and GET */
	COST_S3_REPLICA,  /* the same once more, with its PUTs */
	COST_KMS,         /* one key, a request for each PUT and GET */
	COST_GLUE,        /* each check: 2 DPU for a minute, the least that is billed */
	COST_DASHBOARD,
	COST_ALARM,
	COST_CLOUDTRAIL, /* each PUT and GET a data event */
	COST_SERVICES
};

struct cost {
	struct cost_amount now[CHARGE_ZONES], forecast[CHARGE_ZONES]; /* ZONE_NONE: of no zone (the key) */
	struct cost_amount now_all, forecast_all;
	struct cost_pair total;
	struct cost_pair noncurrent, dead; /* of storage: what earlier versions, and what is not freed yet, add */
	double gb_months[CHARGE_ZONES];
	double hours_counted, hours_left, hours_of_month;
	struct cost_pair services[COST_SERVICES], services_total;
};

/* Never fails: quantities are not negative, prices neither. */
void cost_estimate(const struct cost_question *question, struct cost *ret_cost);

/* "S3 storage, all versions": a line of the comparison, for people. */
const char *cost_service_words(enum cost_service service);

/* The price of so many GB-months under a profile's tiers, USD. */
double cost_of_storage(const struct price_profile *profile, double gb_months);
