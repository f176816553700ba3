#include "fs/costs.h"

#include "backend/usage.h"
#include "crypto/base/fault.h"
#include "fs/backups.h"
#include "fs/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct Costs {
	Store *store;
	Gate *gate;
	Levels *levels;
	const VerdictCounts *checks;
	Backup *backup; /* NULL: there is none */
	bool is_read_only;
	pthread_mutex_t lock; /* guards the rest; operations, and the levels' lock, begin with it held */
	Prices *prices;
	bool has_policy; /* prices are those of policy number `policy` */
	uint64_t policy;
	char profile[128];
	double usd_per_gb_month;
	uint64_t puts[USAGE_ZONES], gets[USAGE_ZONES], checked; /* were added */
};

int costs_new(
        Store *store, Gate *gate, bool is_read_only, Levels *levels, const VerdictCounts *checks, Costs **ret_costs) {
	_cleanup_(freep) struct store_info *info = calloc(1, sizeof *info);
	_cleanup_(prices_freep) Prices *prices = NULL;
	int rc = info ? prices_builtin(&prices) : fault(ENOMEM, "reckoning costs: out of memory");
	Costs *c = rc == 0 ? calloc(1, sizeof *c) : NULL;
	if (!c)
		return rc < 0 ? rc : fault(ENOMEM, "reckoning costs: out of memory");
	store_info(store, info);
	c->store = store;
	c->gate = gate;
	c->levels = levels;
	c->checks = checks;
	c->is_read_only = is_read_only || info->read_only;
	c->prices = steal_pointer(&prices);
	pthread_mutex_init(&c->lock, NULL);
	*ret_costs = c;
	return 0;
}

void costs_free(Costs *costs) {
	if (!costs)
		return;
	prices_free(costs->prices);
	pthread_mutex_destroy(&costs->lock);
	free(costs);
}

void costs_of_backup(Costs *costs, Backup *backup) {
	costs->backup = backup;
}

/* ---- prices ---- */

static int take_prices(Costs *c, const struct policy_costs *costs) {
	_cleanup_(prices_freep) Prices *prices = NULL;
	int rc = costs && costs->prices_file ? prices_parse(costs->prices_file, costs->prices, &prices)
	                                     : prices_builtin(&prices);
	if (rc < 0)
		return rc;
	prices_free(c->prices);
	c->prices = steal_pointer(&prices);
	c->usd_per_gb_month = costs ? costs->usd_per_gb_month : COST_OWN_PRICE_NONE;
	(void)snprintf(c->profile, sizeof c->profile, "%s", costs ? costs->profile : PRICES_THIS_DISK);
	return 0;
}

/* Those of the policy in force. */
static int refresh_prices(Costs *c) {
	_cleanup_(gate_policy_donep) struct gate_policy *held = gate_policy(c->gate);
	if (c->has_policy && c->policy == held->number)
		return 0;
	int rc = take_prices(c, policy_costs(held->policy));
	c->has_policy = rc == 0;
	c->policy = held->number;
	return rc;
}

/* ---- charges ---- */

/* What is sealed in staging counts as Landing's; of no zone as none's. */
static unsigned zone_billed(unsigned zone) {
	return zone == ZONE_STAGING ? ZONE_LANDING : zone;
}

struct counts {
	uint64_t puts[USAGE_ZONES], gets[USAGE_ZONES], checked;
};

static struct counts counts_now(const Costs *c) {
	const struct usage *usage = meta_usage(store_meta(c->store));
	struct counts now = {.checked = c->checks ? verdict_counts_checks(c->checks) : 0};
	for (unsigned zone = 0; zone < USAGE_ZONES; zone++) {
		now.puts[zone] = atomic_load(&usage->puts[zone]);
		now.gets[zone] = atomic_load(&usage->gets[zone]);
	}
	return now;
}

static int add_counts(const Costs *c, Meta *m, int64_t now_s, const struct counts *now) {
	int rc = charge_add(m, now_s, ZONE_NONE, CHARGE_CHECKS, (double)(now->checked - c->checked));
	for (unsigned zone = 0; rc == 0 && zone < USAGE_ZONES; zone++) {
		const unsigned billed = zone_billed(zone);
		rc = charge_add(m, now_s, billed, CHARGE_PUTS, (double)(now->puts[zone] - c->puts[zone]));
		if (rc == 0)
			rc = charge_add(m, now_s, billed, CHARGE_GETS, (double)(now->gets[zone] - c->gets[zone]));
	}
	return rc;
}

/* Brings the charges to `now_s` and reads those of its month. */
static int accrue(Costs *c, int64_t now_s, const struct charge_levels *levels, struct charges *ret) {
	const struct counts now = counts_now(c);
	Meta *m = store_meta(c->store);
	int rc = store_space_check(c->store, 0);
	if (rc < 0)
		return rc;
	meta_begin(m);
	rc = charge_accrue(m, levels);
	if (rc == 0)
		rc = add_counts(c, m, now_s, &now);
	if (rc == 0)
		rc = charge_read(m, charge_month(now_s), ret);
	rc = meta_end(m, rc);
	if (rc < 0)
		return rc;
	memcpy(c->puts, now.puts, sizeof c->puts);
	memcpy(c->gets, now.gets, sizeof c->gets);
	c->checked = now.checked;
	return 0;
}

/* What lay there since the charges were last kept. */
static void add_levels(const struct charge_levels *last, int64_t now_s, struct charges *charges) {
	const int64_t begin = charge_month_begins(charge_month(now_s));
	const int64_t from = last->time_s > begin ? last->time_s : begin;
	if (now_s <= from || now_s - last->time_s > CHARGE_GAP_MAX_S)
		return;
	const double hours = (double)(now_s - from) / 3600;
	charges->quantity[ZONE_NONE][CHARGE_HOURS] += hours;
	for (unsigned zone = 0; zone < CHARGE_ZONES; zone++)
		for (enum charge_kind kind = 0; kind <= CHARGE_VERSIONS; kind++)
			charges->quantity[zone][kind] += last->bytes[zone][kind] * hours;
}

static void add_requests(const Costs *c, struct charges *charges) {
	const struct counts now = counts_now(c);
	charges->quantity[ZONE_NONE][CHARGE_CHECKS] += (double)(now.checked - c->checked);
	for (unsigned zone = 0; zone < USAGE_ZONES; zone++) {
		charges->quantity[zone_billed(zone)][CHARGE_PUTS] += (double)(now.puts[zone] - c->puts[zone]);
		charges->quantity[zone_billed(zone)][CHARGE_GETS] += (double)(now.gets[zone] - c->gets[zone]);
	}
}

/* What accrue would come to, without writing: whoever asks, each second perhaps, must not fill the disk, nor need it.
 */
static int foresee(Costs *c, int64_t now_s, struct charges *ret) {
	struct charge_levels last;
	Meta *m = store_meta(c->store);
	meta_begin(m);
	int rc = charge_read(m, charge_month(now_s), ret);
	if (rc == 0)
		rc = charge_last(m, &last);
	rc = meta_end(m, rc == -ENOENT ? 1 : rc); /* 1: nothing was kept yet */
	if (rc < 0)
		return rc;
	if (rc == 0)
		add_levels(&last, now_s, ret);
	add_requests(c, ret);
	return 0;
}

/* ---- the estimate ---- */

/* `keeps`: what it came to until now is kept, as once a minute. */
static int ask(Costs *c, int64_t now_s, const char *profile, bool keeps, struct cost_question *q) {
	struct levels levels;
	int rc = refresh_prices(c);
	if (rc < 0)
		return rc;
	const bool is_own = !profile || strcmp(profile, c->profile) == 0;
	*q = (struct cost_question){.prices = c->prices,
	        .profile = prices_profile_named(c->prices, profile ? profile : c->profile),
	        .usd_per_gb_month = is_own ? c->usd_per_gb_month : COST_OWN_PRICE_NONE,
	        .month = charge_month(now_s)};
	if (!q->profile)
		return fault(ENOENT, "%s has no profile '%.60s'; 'assayfs cost --profiles' lists those it has",
		        prices_name(c->prices), profile ? profile : c->profile);
	rc = levels_get(c->levels, now_s, &levels);
	if (rc < 0)
		return rc;
	q->levels = levels.charge;
	return keeps && !c->is_read_only ? accrue(c, now_s, &q->levels, &q->charges) : foresee(c, now_s, &q->charges);
}

static int figures(Costs *costs, int64_t now_s, bool keeps, struct cost *ret_cost) {
	struct cost_question question;
	pthread_mutex_lock(&costs->lock);
	int rc = ask(costs, now_s, NULL, keeps, &question);
	if (rc == 0)
		cost_estimate(&question, ret_cost);
	pthread_mutex_unlock(&costs->lock);
	return rc;
}

int costs_figures(Costs *costs, int64_t now_s, struct cost *ret_cost) {
	return figures(costs, now_s, false, ret_cost);
}

/* ---- as JSON ---- */

static json_t *pair_json(struct cost_pair pair) {
	return json_pack("{s:f, s:f}", "now", pair.now, "forecast", pair.forecast);
}

static json_t *source_json(const struct price_source *source) {
	return json_pack("{s:s, s:s, s:s}", "words", source->words, "date", source->date, "standing", source->standing);
}

static json_t *zones_json(const struct cost_question *q, const struct cost *cost) {
	json_t *list = json_array();
	for (unsigned i = 1; i <= CHARGE_ZONES; i++) { /* that of none last */
		const unsigned zone = i % CHARGE_ZONES;
		const struct cost_amount *now = &cost->now[zone], *then = &cost->forecast[zone];
		json_array_append_new(
		        list, json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "zone",
		                      zone_name((enum zone)zone), "gb_months", cost->gb_months[zone], "now",
		                      now->storage + now->requests + now->kms, "forecast",
		                      then->storage + then->requests + then->kms, "storage", now->storage, "requests",
		                      now->requests, "kms", now->kms, "puts", q->charges.quantity[zone][CHARGE_PUTS],
		                      "gets", q->charges.quantity[zone][CHARGE_GETS]));
	}
	return list;
}

static json_t *seed_json(const struct cost *cost) {
	json_t *list = json_array();
	for (size_t i = 0; i < COST_SERVICES; i++)
		json_array_append_new(
		        list, json_pack("{s:s, s:f, s:f}", "words", cost_service_words((enum cost_service)i), "now",
		                      cost->services[i].now, "forecast", cost->services[i].forecast));
	return json_pack("{s:f, s:f, s:s, s:o}", "now", cost->services_total.now, "forecast",
	        cost->services_total.forecast, "profile", PRICES_SEED_S3, "services", list);
}

static json_t *profiles_json(const Prices *prices) {
	json_t *list = json_array();
	const struct price_profile *p;
	for (size_t i = 0; (p = prices_profile(prices, i)); i++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:f}", "name", p->name, "words", p->words,
		                                    "usd_per_gb_month", p->tiers[0].usd_per_gb_month));
	return list;
}

static json_t *prices_json(const struct cost_question *q, int64_t now_s) {
	return json_pack("{s:s, s:s, s:b, s:o, s:o}", "file", prices_name(q->prices), "date", prices_date(q->prices),
	        "old", (int)prices_are_old(q->prices, now_s), "source", source_json(q->profile->source),
	        "usd_per_gb_month", q->usd_per_gb_month >= 0 ? json_real(q->usd_per_gb_month) : json_null());
}

static json_t *kinds_json(const struct cost *c) {
	return json_pack("{s:o, s:o, s:o}", "storage",
	        pair_json((struct cost_pair){c->now_all.storage, c->forecast_all.storage}), "requests",
	        pair_json((struct cost_pair){c->now_all.requests, c->forecast_all.requests}), "kms",
	        pair_json((struct cost_pair){c->now_all.kms, c->forecast_all.kms}));
}

static double storage_price(const struct cost_question *q, double gb_months) {
	return q->usd_per_gb_month >= 0 ? q->usd_per_gb_month * gb_months : cost_of_storage(q->profile, gb_months);
}

/* What lies at all targets now, as if it had lain there as long as is counted: the vault keeps no history of it. Beside
 * the vault's own charges, since whose bill it is on is not known. null: there is no target. */
static json_t *backups_json(const Costs *c, const struct cost_question *q, const struct cost *cost) {
	_cleanup_(freep) struct backup_status *list = NULL;
	size_t count = 0;
	double bytes = 0;
	(void)backups_status(c->backup, &list, &count);
	for (size_t i = 0; i < count; i++)
		bytes += (double)list[i].stored_bytes;
	if (count == 0)
		return json_null();
	const double gb = bytes / (double)(1 << 30), hours = cost->hours_of_month;
	return json_pack("{s:f, s:f, s:I}", "now", storage_price(q, gb * cost->hours_counted / hours), "forecast",
	        storage_price(q, gb * (cost->hours_counted + cost->hours_left) / hours), "stored_bytes",
	        (json_int_t)bytes);
}

static json_t *report_json(const Costs *c, const struct cost_question *q, int64_t now_s) {
	struct cost cost;
	char month[16];
	cost_estimate(q, &cost);
	(void)snprintf(month, sizeof month, "%04u-%02u", q->month / 100, q->month % 100);
	return json_pack("{s:s, s:s, s:{s:s, s:s}, s:o, s:f, s:f, s:f, s:f, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
	        "month", month, "currency", "USD", "profile", "name", q->profile->name, "words", q->profile->words,
	        "prices", prices_json(q, now_s), "now", cost.total.now, "forecast", cost.total.forecast,
	        "hours_counted", cost.hours_counted, "hours_left", cost.hours_left, "kinds", kinds_json(&cost), "zones",
	        zones_json(q, &cost), "versions", pair_json(cost.noncurrent), "dead", pair_json(cost.dead), "backups",
	        backups_json(c, q, &cost), "seed", seed_json(&cost), "profiles", profiles_json(q->prices));
}

int costs_json(Costs *costs, int64_t now_s, const char *profile, json_t **ret_json) {
	struct cost_question question;
	json_t *json = NULL;
	pthread_mutex_lock(&costs->lock);
	int rc = ask(costs, now_s, profile, false, &question);
	if (rc == 0) {
		json = report_json(costs, &question, now_s);
		rc = json ? 0 : fault(ENOMEM, "reckoning costs: out of memory");
	}
	pthread_mutex_unlock(&costs->lock);
	if (rc == 0)
		*ret_json = json;
	return rc;
}

/* ---- samples ---- */

int costs_collect(void *arg, struct sampler_round *round) {
	struct cost cost;
	char label[SAMPLER_LABEL_BYTES];
	int rc = figures(arg, sampler_now(round), true, &cost);
	if (rc < 0)
		return rc;
	sampler_emit(round, "EstimatedCharges", "", cost.total.now);
	sampler_emit(round, "EstimatedCharges", "kind=storage", cost.now_all.storage);
	sampler_emit(round, "EstimatedCharges", "kind=requests", cost.now_all.requests);
	sampler_emit(round, "EstimatedCharges", "kind=kms", cost.now_all.kms);
	for (unsigned zone = ZONE_LANDING; zone < CHARGE_ZONES; zone++) {
		const struct cost_amount *a = &cost.now[zone];
		sampler_emit(round, "EstimatedCharges", sampler_label("zone", zone_name((enum zone)zone), label),
		        a->storage + a->requests + a->kms);
	}
	return 0;
}

void costs_keep(void *arg, int64_t now_s) {
	struct cost cost;
	int rc = figures(arg, now_s, true, &cost);
	if (rc < 0)
		log_fault(rc, "what it cost until now is not kept");
}
