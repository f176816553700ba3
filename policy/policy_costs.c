/* `costs` of policy.yaml: what storage costs. */
#include "policy/policy_read.h"

#include "policy/prices.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static int read_profile_name(struct reading *r, const Node *value, void *target) {
	return read_text(r, value, "profile", &((struct policy_costs *)target)->profile);
}

static int read_own_price(struct reading *r, const Node *value, void *target) {
	struct policy_costs *costs = target;
	(void)r;
	int rc = read_real(value, "usd_per_gb_month", &costs->usd_per_gb_month);
	if (rc == 0 && (costs->usd_per_gb_month < 0 || costs->usd_per_gb_month > 1000))
		return read_complain(value, "'usd_per_gb_month' is from 0 to 1000, like 0.02");
	return rc;
}

/* The file is read here, so that a mistake in it is told when the policy is applied. */
static int read_prices(struct reading *r, const Node *value, void *target) {
	struct policy_costs *costs = target;
	_cleanup_(prices_freep) Prices *prices = NULL;
	int rc = read_text(r, value, "prices", &costs->prices_file);
	if (rc == 0 && (rc = policy_bundle_get(r->bundle, costs->prices_file, &costs->prices)) < 0)
		return read_complain(
		        value, "'prices' names %.200s, which is not in the policy's directory", costs->prices_file);
	if (rc == 0)
		rc = prices_parse(costs->prices_file, costs->prices, &prices);
	if (rc < 0)
		return rc;
	void *copy = arena_take(&r->policy->memory, costs->prices.size + 1, 1);
	if (!copy)
		return read_no_memory();
	memcpy(copy, costs->prices.data, costs->prices.size);
	costs->prices = bytes_of(copy, costs->prices.size);
	return 0;
}

static int check_profile(const Node *at, const struct policy_costs *costs) {
	_cleanup_(prices_freep) Prices *prices = NULL;
	int rc =
	        costs->prices_file ? prices_parse(costs->prices_file, costs->prices, &prices) : prices_builtin(&prices);
	if (rc == 0 && !prices_profile_named(prices, costs->profile))
		return read_complain(at, "%s has no profile '%.60s'; the first it has are '%s' and '%s'",
		        costs->prices_file ? costs->prices_file : "the price file of this assayfs", costs->profile,
		        prices_profile(prices, 0)->name, prices_profile(prices, 1)->name);
	return rc;
}

int read_costs(struct reading *r, const Node *value, void *target) {
	static const struct field fields[] = {{"prices", read_prices, false}, {"profile", read_profile_name, false},
	        {"usd_per_gb_month", read_own_price, false}};
	struct policy_costs *costs = &r->policy->costs;
	(void)target;
	*costs = (struct policy_costs){.profile = PRICES_THIS_DISK, .usd_per_gb_month = -1, .line = value->line};
	int rc = read_fields(r, value, "'costs'", fields, COUNT(fields), costs);
	return rc < 0 ? rc : check_profile(value, costs);
}

const struct policy_costs *policy_costs(const Policy *policy) {
	return policy->costs.line ? &policy->costs : NULL;
}
