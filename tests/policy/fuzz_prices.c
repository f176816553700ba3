/* Any bytes as a price file. */
#include "policy/cost.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	Prices *prices = NULL;
	if (prices_parse("prices.json", bytes_of(data, size), &prices) < 0)
		return 0;
	struct cost_question question = {.prices = prices, .usd_per_gb_month = COST_OWN_PRICE_NONE, .month = 202611};
	question.charges.quantity[ZONE_RAW][CHARGE_CURRENT] = 1e15;
	question.charges.quantity[ZONE_RAW][CHARGE_PUTS] = 1e6;
	for (size_t i = 0; (question.profile = prices_profile(prices, i)); i++) {
		struct cost cost;
		cost_estimate(&question, &cost);
		if (!(cost.total.now >= 0) || !(cost.total.forecast >= cost.total.now))
			abort();
	}
	prices_free(prices);
	return 0;
}
