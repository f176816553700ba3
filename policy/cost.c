#include "policy/cost.h"

#define GB 1073741824.0
#define DAY_HOURS 24.0
/* A check on Glue takes at least 2 DPU, and is billed for at least a minute. */
#define GLUE_DPU_HOURS (2.0 / 60)
#define SERVICE(question, service) prices_service((question)->prices, service)

double cost_of_storage(const struct price_profile *profile, double gb_months) {
	double usd = 0, from = 0;
	for (size_t i = 0; i < profile->tier_count && gb_months > from; i++) {
		const struct price_tier *tier = &profile->tiers[i];
		double until = gb_months < tier->up_to_gb ? gb_months : tier->up_to_gb;
		usd += (until - from) * tier->usd_per_gb_month;
		from = until;
	}
	return usd;
}

/* What was used, or will have been at the month's end. */
struct use {
	double gb_months[CHARGE_ZONES][CHARGE_VERSIONS + 1];
	double puts[CHARGE_ZONES], gets[CHARGE_ZONES], checks;
	double part; /* of the month */
};

/* `hours`: how long the levels still lie there; `growth`: by what counts are multiplied. */
static struct use use_of(const struct cost_question *q, const struct cost *c, double hours, double growth) {
	struct use use = {.checks = q->charges.quantity[ZONE_NONE][CHARGE_CHECKS] * growth};
	use.part = (c->hours_counted + hours) / c->hours_of_month;
	for (unsigned zone = 0; zone < CHARGE_ZONES; zone++) {
		for (enum charge_kind kind = 0; kind <= CHARGE_VERSIONS; kind++)
			use.gb_months[zone][kind] =
			        (q->charges.quantity[zone][kind] + q->levels.bytes[zone][kind] * hours) / GB /
			        c->hours_of_month;
		use.puts[zone] = q->charges.quantity[zone][CHARGE_PUTS] * growth;
		use.gets[zone] = q->charges.quantity[zone][CHARGE_GETS] * growth;
	}
	return use;
}

static double stored(const struct use *use, unsigned zone) {
	return use->gb_months[zone][CHARGE_CURRENT] + use->gb_months[zone][CHARGE_NONCURRENT] +
	       use->gb_months[zone][CHARGE_DEAD];
}

static double sum(const double values[CHARGE_ZONES]) {
	double all = 0;
	for (unsigned zone = 0; zone < CHARGE_ZONES; zone++)
		all += values[zone];
	return all;
}

/* What a GB-month costs on average: tiers are of all together. */
static double price_per_gb(const struct cost_question *q, const struct use *use) {
	double all = 0;
	if (q->usd_per_gb_month >= 0)
		return q->usd_per_gb_month;
	for (unsigned zone = 0; zone < CHARGE_ZONES; zone++)
		all += stored(use, zone);
	return all > 0 ? cost_of_storage(q->profile, all) / all : 0;
}

static double requests(const struct price_profile *p, double puts, double gets) {
	return puts / 1000 * p->usd_per_1000_puts + gets / 1000 * p->usd_per_1000_gets;
}

static double price_zones(const struct cost_question *q, const struct use *use, struct cost_amount zones[CHARGE_ZONES],
        struct cost_amount *ret_all) {
	const struct price_profile *p = q->profile;
	const double per_gb = price_per_gb(q, use);
	struct cost_amount all = {0};
	for (unsigned zone = 0; zone < CHARGE_ZONES; zone++) {
		struct cost_amount *a = &zones[zone];
		a->storage = stored(use, zone) * per_gb;
		a->requests = requests(p, use->puts[zone], use->gets[zone]);
		a->kms = (use->puts[zone] + use->gets[zone]) / 10000 * p->usd_per_10000_kms;
		a->kms += zone == ZONE_NONE ? p->usd_per_key_month * use->part : 0;
		all.storage += a->storage;
		all.requests += a->requests;
		all.kms += a->kms;
	}
	*ret_all = all;
	return all.storage + all.requests + all.kms;
}

static double kind_cost(const struct cost_question *q, const struct use *use, enum charge_kind kind) {
	double gb_months = 0;
	for (unsigned zone = 0; zone < CHARGE_ZONES; zone++)
		gb_months += use->gb_months[zone][kind];
	return gb_months * price_per_gb(q, use);
}

static double price_services(const struct cost_question *q, const struct use *use, double ret[COST_SERVICES]) {
	const struct price_profile *s3 = prices_profile_named(q->prices, PRICES_SEED_S3);
	const double puts = sum(use->puts), gets = sum(use->gets);
	ret[COST_S3_STORAGE] = cost_of_storage(s3, use->gb_months[ZONE_NONE][CHARGE_VERSIONS]);
	ret[COST_S3_REQUESTS] = requests(s3, puts, gets);
	/* The tiers are of the account: the replica's GB come on top of the others. */
	ret[COST_S3_REPLICA] = cost_of_storage(s3, 2 * use->gb_months[ZONE_NONE][CHARGE_VERSIONS]) -
	                       ret[COST_S3_STORAGE] + requests(s3, puts, 0);
	ret[COST_KMS] = SERVICE(q, PRICE_KMS_KEY_MONTH) * use->part +
	                (puts + gets) / 10000 * SERVICE(q, PRICE_KMS_10000_REQUESTS);
	ret[COST_GLUE] = use->checks * GLUE_DPU_HOURS * SERVICE(q, PRICE_GLUE_DPU_HOUR);
	ret[COST_DASHBOARD] = SERVICE(q, PRICE_DASHBOARD_MONTH) * use->part;
	ret[COST_ALARM] = SERVICE(q, PRICE_ALARM_MONTH) * use->part;
	ret[COST_CLOUDTRAIL] = (puts + gets) / 100000 * SERVICE(q, PRICE_CLOUDTRAIL_100000_EVENTS);
	double all = 0;
	for (size_t i = 0; i < COST_SERVICES; i++)
		all += ret[i];
	return all;
}

static double hours_left(const struct cost_question *q) {
	const int64_t end = charge_month_begins(charge_month_next(q->month));
	const int64_t begin = charge_month_begins(q->month);
	int64_t at = q->levels.time_s < begin ? begin : q->levels.time_s;
	return at < end ? (double)(end - at) / 3600 : 0;
}

void cost_estimate(const struct cost_question *q, struct cost *ret_cost) {
	struct cost c = {.hours_counted = q->charges.quantity[ZONE_NONE][CHARGE_HOURS], .hours_left = hours_left(q)};
	double now[COST_SERVICES], forecast[COST_SERVICES];
	c.hours_of_month =
	        (double)(charge_month_begins(charge_month_next(q->month)) - charge_month_begins(q->month)) / 3600;
	const double rated = c.hours_counted > DAY_HOURS ? c.hours_counted : DAY_HOURS;
	const struct use so_far = use_of(q, &c, 0, 1), all = use_of(q, &c, c.hours_left, 1 + c.hours_left / rated);
	for (unsigned zone = 0; zone < CHARGE_ZONES; zone++)
		c.gb_months[zone] = stored(&so_far, zone);
	c.total.now = price_zones(q, &so_far, c.now, &c.now_all);
	c.total.forecast = price_zones(q, &all, c.forecast, &c.forecast_all);
	c.noncurrent =
	        (struct cost_pair){kind_cost(q, &so_far, CHARGE_NONCURRENT), kind_cost(q, &all, CHARGE_NONCURRENT)};
	c.dead = (struct cost_pair){kind_cost(q, &so_far, CHARGE_DEAD), kind_cost(q, &all, CHARGE_DEAD)};
	c.services_total.now = price_services(q, &so_far, now);
	c.services_total.forecast = price_services(q, &all, forecast);
	for (size_t i = 0; i < COST_SERVICES; i++)
		c.services[i] = (struct cost_pair){now[i], forecast[i]};
	*ret_cost = c;
}

const char *cost_service_words(enum cost_service service) {
	static const char *const words[COST_SERVICES] = {"S3 storage, all versions", "S3 requests", "S3 replica",
	        "KMS, one key", "Glue data quality", "CloudWatch dashboard", "CloudWatch alarm",
	        "CloudTrail data events"};
	return words[service];
}
