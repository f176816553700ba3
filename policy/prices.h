/*
 * prices: what storage and services cost: a dated file, one of which the program has in it (policy/prices.json),
 * another an administrator may put into the policy.
 *
 *      {"format": 1, "date": "2026-07-01", "currency": "USD",
 *       "sources":  {NAME: {"words", "date", "standing"}},                 standing: documented, third party, …
 *       "profiles": {NAME: {"words", "source", "storage": [{"up_to_gb", "usd_per_gb_month"}, …, {"usd_per_gb_month"}],
 *                           "usd_per_1000_puts", "usd_per_1000_gets", "usd_per_key_month", "usd_per_10000_kms"}},
 *       "services": {NAME: {"usd", "per", "source"}}}
 *
 * A GB is 2^30 bytes, as AWS bills. Tiers are of all that is stored together; the last has no end. Each figure names
 * its source, each source its date: an estimate says where it is from. The file is read strictly: a key that is not
 * known is an error that names file, line and column. Prices do not change after they were read: any thread may ask.
 */
#pragma once

#include "crypto/base/bytes.h"
#include "crypto/base/cleanup.h"

#include <stdint.h>

#define PRICES_TIERS_MAX 8
#define PRICES_THIS_DISK "this-disk"
#define PRICES_SEED_S3 "s3-standard-ca-central-1" /* of the platform that a vault is compared with */

/* Where a figure is from. */
struct price_source {
	const char *name, *words, *date, *standing;
};

struct price_tier {
	double up_to_gb; /* infinite: the last */
	double usd_per_gb_month;
};

struct price_profile {
	const char *name, *words;
	const struct price_source *source;
	struct price_tier tiers[PRICES_TIERS_MAX];
	size_t tier_count;
	double usd_per_1000_puts, usd_per_1000_gets, usd_per_key_month, usd_per_10000_kms;
};

/* All of them are in every price file. */
enum price_service {
	PRICE_KMS_KEY_MONTH,
	PRICE_KMS_10000_REQUESTS,
	PRICE_GLUE_DPU_HOUR,
	PRICE_DASHBOARD_MONTH,
	PRICE_ALARM_MONTH,
	PRICE_CLOUDTRAIL_100000_EVENTS,
	PRICE_SERVICES
};

typedef struct Prices Prices;

/* Reads a file called `name` in messages. -EINVAL with `name:line:column: what is wrong; what would be right`. */
int prices_parse(const char *name, struct bytes text, Prices **ret_prices);

/* The file that the program has in it. */
int prices_builtin(Prices **ret_prices);

/* Accepts NULL. */
void prices_free(Prices *prices);
DEFINE_CLEANUP(Prices, prices_free);

/* "2026-07-01", and the name that the file had. */
const char *prices_date(const Prices *prices);
const char *prices_name(const Prices *prices);

/* Whether the file is older than a year at that time. */
bool prices_are_old(const Prices *prices, int64_t now_s);

/* In the order of the file; NULL past the last, or where none has the name. */
const struct price_profile *prices_profile(const Prices *prices, size_t i);
const struct price_profile *prices_profile_named(const Prices *prices, const char *name);
const struct price_source *prices_source(const Prices *prices, size_t i);

/* What a service costs, for what, and from where that is. */
double prices_service(const Prices *prices, enum price_service service);
const struct price_source *prices_service_source(const Prices *prices, enum price_service service);
