/* `assayfs cost`: what the vault costs this month. */
#include "fs/command/answer.h"
#include "fs/command/client.h"
#include "fs/command/command.h"
#include "fs/words.h"

#include "crypto/base/fault.h"

#include <stdlib.h>
#include <string.h>

static double amount(const json_t *item, const char *name) {
	return json_number_value(json_object_get(item, name));
}

/* Cents, or as many digits as show that it is not nothing; of GB-months, too. */
#define USD_BYTES 32
static const char *usd(double value, char words[static USD_BYTES]) {
	if (value > 0 && value < 0.0001)
		(void)snprintf(words, USD_BYTES, "< 0.0001");
	else
		(void)snprintf(words, USD_BYTES, value >= 0.995 || value <= 0 ? "%.2f" : "%.4f", value);
	return words;
}

static void add_pair(Table *table, const char *what, const json_t *pair) {
	char now[USD_BYTES], then[USD_BYTES];
	table_cell(table, what);
	table_cell(table, usd(amount(pair, "now"), now));
	table_cell(table, usd(amount(pair, "forecast"), then));
}

static void print_head(const json_t *item) {
	const json_t *prices = json_object_get(item, "prices"), *source = json_object_get(prices, "source");
	const json_t *profile = json_object_get(item, "profile"), *own = json_object_get(prices, "usd_per_gb_month");
	printf("Estimated charges of %s (UTC), USD, as %s: %s\n", answer_text(item, "month"),
	        answer_text(profile, "name"), answer_text(profile, "words"));
	if (json_is_number(own))
		printf("Prices: %.6g USD a GB and month, as the policy says (usd_per_gb_month)\n",
		        json_number_value(own));
	else
		printf("Prices: %s of %s; %s, %s, %s\n", answer_text(prices, "file"), answer_text(prices, "date"),
		        answer_text(source, "words"), answer_text(source, "date"), answer_text(source, "standing"));
	if (answer_flag(prices, "old"))
		printf("!! The price file is older than a year: put a newer one into the policy (costs: prices).\n");
	printf("%.1f hours of the month are counted, %.1f are left.\n\n", amount(item, "hours_counted"),
	        amount(item, "hours_left"));
}

static int print_zones(const json_t *item) {
	_cleanup_(table_freep) Table *table = table_new("Zone|>GB-months|>Storage|>Requests|>KMS|>So far|>Month's end");
	if (!table)
		return -ENOMEM;
	static const char *const kinds[] = {"storage", "requests", "kms", "now", "forecast"};
	const json_t *sums = json_object_get(item, "kinds");
	size_t i;
	json_t *zone;
	char words[USD_BYTES];
	double gb_months = 0;
	json_array_foreach(json_object_get(item, "zones"), i, zone) {
		const char *name = answer_text(zone, "zone");
		gb_months += amount(zone, "gb_months");
		table_cell(table, *name ? name : "(the vault)");
		table_cell(table, usd(amount(zone, "gb_months"), words));
		for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
			table_cell(table, usd(amount(zone, kinds[k]), words));
	}
	table_cell(table, "Together");
	table_cell(table, usd(gb_months, words));
	for (size_t k = 0; k < 3; k++)
		table_cell(table, usd(amount(json_object_get(sums, kinds[k]), "now"), words));
	table_cell(table, usd(amount(item, "now"), words));
	table_cell(table, usd(amount(item, "forecast"), words));
	return table_print(table, stdout);
}

static int print_lines(const json_t *item) {
	_cleanup_(table_freep) Table *table = table_new("|>So far|>Month's end");
	const json_t *seed = json_object_get(item, "seed");
	size_t i;
	json_t *service;
	if (!table)
		return -ENOMEM;
	add_pair(table, "Of it, what earlier versions add", json_object_get(item, "versions"));
	add_pair(table, "Of it, what is not freed yet", json_object_get(item, "dead"));
	if (json_is_object(json_object_get(item, "backups")))
		add_pair(table, "Beside it, what the backups hold", json_object_get(item, "backups"));
	add_pair(table, "The same on the seed platform", seed);
	json_array_foreach(json_object_get(seed, "services"), i, service) {
		char words[128];
		(void)snprintf(words, sizeof words, "  %s", answer_text(service, "words"));
		add_pair(table, words, service);
	}
	putchar('\n');
	int rc = table_print(table, stdout);
	if (!json_is_object(json_object_get(item, "backups")))
		printf("\nThere is no backup, so none adds anything.");
	printf("\nAn estimate: docs/costs.md says how it is made.\n");
	return rc;
}

static int print_profiles(const json_t *item) {
	_cleanup_(table_freep) Table *table = table_new("Profile|>USD a GB-month|");
	size_t i;
	json_t *profile;
	if (!table)
		return -ENOMEM;
	json_array_foreach(json_object_get(item, "profiles"), i, profile) {
		table_cell(table, answer_text(profile, "name"));
		table_cellf(table, "%.5f", amount(profile, "usd_per_gb_month"));
		table_cell(table, answer_text(profile, "words"));
	}
	return table_print(table, stdout);
}

static int print(const struct invocation *call, json_t *item) {
	if (command_has(call, "json"))
		return command_print_json(call, json_incref(item));
	int rc;
	if (command_has(call, "profiles"))
		rc = print_profiles(item);
	else {
		print_head(item);
		rc = print_zones(item);
		rc = rc ? rc : print_lines(item);
	}
	return rc ? command_fail(call, EXIT_UNDECIDED, "out of memory") : EXIT_DONE;
}

static int run_cost(const struct invocation *call) {
	_cleanup_(client_closep) Client *client = NULL;
	_cleanup_(json_decrefp) json_t *item = NULL;
	struct client_place place;
	int code = client_open_operand(call, 0, &place, &client);
	if (code)
		return code;
	int rc = client_ask(client, "costs", json_pack("{s:s?}", "profile", command_value(call, "profile")), &item);
	return rc ? command_fault(call, rc, "asking what the vault costs") : print(call, item);
}

const struct command command_cost = {
        .words = "cost",
        .operands = "[DIR]",
        .least = 0,
        .most = 1,
        .summary = "estimate what the vault costs this month",
        .details = "By zone and by storage, requests and KMS, so far and at the month's end, with what earlier "
                   "versions add and what the same would cost on the seed platform's services. Prices are those of "
                   "the policy (costs:), else of the price file in the program; their date and source are shown.",
        .options = (const struct command_option[]){OPTION_JSON,
                {"profile", 0, "PROFILE", "the storage to reckon with, in place of the policy's"},
                {"profiles", 0, NULL, "list the storage that the price file knows"}, {0}},
        .examples = (const struct command_example[]){{"assayfs cost /mnt/data", "this month's charges"},
                {"assayfs cost --profile s3-standard-ca-central-1", "as if it lay on S3"}, {0}},
        .exits = EXIT_BIT(EXIT_NO) | EXIT_BIT(EXIT_UNDECIDED) | EXIT_BIT(EXIT_NOT_MOUNTED) | EXIT_BIT(EXIT_DENIED),
        .run = run_cost,
};
