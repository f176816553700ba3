#include "policy/prices.h"

#include "crypto/base/fault.h"
#include "policy/arena.h"
#include "policy/yaml_tree.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define YEAR_S (INT64_C(366) * 86400)
#define USD_MOST 1e6

typedef struct yaml_tree_node Node;

struct Prices {
	struct arena memory;
	const char *name, *date;
	int64_t date_s;
	struct price_source *sources;
	size_t source_count;
	struct price_profile *profiles;
	size_t profile_count;
	struct {
		double usd;
		const struct price_source *source;
	} services[PRICE_SERVICES];
};

static const char *const service_names[PRICE_SERVICES] = {"kms-key-month", "kms-10000-requests", "glue-dpu-hour",
        "cloudwatch-dashboard-month", "cloudwatch-alarm-month", "cloudtrail-100000-events"};

/* From policy/prices.json: scripts/embed. */
extern const uint8_t prices_embedded[];
extern const size_t prices_embedded_size;

/* ---- words ---- */

__attribute__((format(printf, 3, 4))) static int complain(
        const Prices *prices, const Node *at, const char *format, ...) {
	char words[FAULT_MESSAGE_BYTES];
	va_list list;
	va_start(list, format);
	vsnprintf(words, sizeof words, format, list);
	va_end(list);
	return fault(EINVAL, "%.200s:%u:%u: %.700s", prices->name, at->line, at->column, words);
}

static int no_memory(void) {
	return fault(ENOMEM, "no memory to read prices");
}

/* ---- values ---- */

static const Node *under(const Node *map, const char *key) {
	for (size_t i = 0; i < map->count; i++)
		if (strcmp(map->keys[i]->text, key) == 0)
			return map->values[i];
	return NULL;
}

/* `keys` are words, those from `needed` on may be missing. */
static int check_map(
        const Prices *p, const Node *map, const char *what, const char *const keys[], size_t count, size_t needed) {
	if (map->kind != TREE_MAP)
		return complain(p, map, "%s is an object, like {\"%s\": …}", what, keys[0]);
	for (size_t i = 0; i < map->count; i++) {
		size_t k = 0;
		while (k < count && strcmp(map->keys[i]->text, keys[k]) != 0)
			k++;
		if (k == count)
			return complain(p, map->keys[i], "%s has no \"%.60s\"; it begins with \"%s\"", what,
			        map->keys[i]->text, keys[0]);
	}
	for (size_t k = 0; k < needed; k++)
		if (!under(map, keys[k]))
			return complain(p, map, "%s needs \"%s\"", what, keys[k]);
	return 0;
}

static int copy_text(Prices *p, const Node *value, const char *what, const char **ret_text) {
	if (value->kind != TREE_TEXT || value->text[0] == '\0' || strlen(value->text) > 200)
		return complain(p, value, "\"%s\" is a text of at most 200 bytes", what);
	for (const char *c = value->text; *c; c++)
		if (iscntrl((unsigned char)*c))
			return complain(p, value, "\"%s\" has a control byte", what);
	char *copy = arena_take(&p->memory, strlen(value->text) + 1, 1);
	if (!copy)
		return no_memory();
	memcpy(copy, value->text, strlen(value->text));
	*ret_text = copy;
	return 0;
}

static int read_amount(const Prices *p, const Node *value, const char *what, double most, double *ret) {
	const char *text = value->kind == TREE_TEXT && !value->is_quoted ? value->text : "";
	char *end = NULL;
	double number = *text && text[strspn(text, "0123456789.")] == '\0' ? strtod(text, &end) : -1;
	if (!end || *end || number < 0 || number > most)
		return complain(p, value, "\"%s\" is a number from 0 to %.0f, like 0.025", what, most);
	*ret = number;
	return 0;
}

static int read_date(Prices *p, const Node *value, const char **ret_text, int64_t *ret_s) {
	struct tm tm = {0};
	const char *text = value->kind == TREE_TEXT ? value->text : "";
	const char *end = strlen(text) == 10 ? strptime(text, "%Y-%m-%d", &tm) : NULL;
	struct tm day = tm;
	time_t time = timegm(&day);
	if (!end || *end || day.tm_mday != tm.tm_mday)
		return complain(p, value, "\"date\" is a day, like \"2026-07-01\"");
	*ret_s = (int64_t)time;
	return copy_text(p, value, "date", ret_text);
}

static int find_source(const Prices *p, const Node *value, const struct price_source **ret) {
	for (size_t i = 0; value->kind == TREE_TEXT && i < p->source_count; i++)
		if (strcmp(p->sources[i].name, value->text) == 0) {
			*ret = &p->sources[i];
			return 0;
		}
	return complain(p, value, "\"source\" is the name of one of \"sources\"");
}

/* ---- sections ---- */

/* One that check_map has found; were it none, a map, which no value is. */
static const Node *needed_under(const Node *map, const char *key) {
	const Node *value = under(map, key);
	return value ? value : map;
}

static int read_source(Prices *p, const Node *key, const Node *value, struct price_source *source) {
	static const char *const keys[] = {"words", "date", "standing"};
	int64_t ignored;
	int rc = check_map(p, value, "a source", keys, COUNT(keys), COUNT(keys));
	if (rc == 0)
		rc = copy_text(p, key, "the source's name", &source->name);
	if (rc == 0)
		rc = copy_text(p, needed_under(value, "words"), "words", &source->words);
	if (rc == 0)
		rc = read_date(p, needed_under(value, "date"), &source->date, &ignored);
	return rc ? rc : copy_text(p, needed_under(value, "standing"), "standing", &source->standing);
}

static int read_sources(Prices *p, const Node *map) {
	if (map->kind != TREE_MAP || map->count == 0)
		return complain(p, map, "\"sources\" is an object of sources by name");
	p->sources = arena_take(&p->memory, map->count, sizeof *p->sources);
	if (!p->sources)
		return no_memory();
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < map->count; i++, p->source_count++)
		rc = read_source(p, map->keys[i], map->values[i], &p->sources[i]);
	return rc;
}

static int read_tier(const Prices *p, const Node *value, bool is_last, double from_gb, struct price_tier *tier) {
	static const char *const keys[] = {"usd_per_gb_month", "up_to_gb"};
	int rc = check_map(p, value, "a tier", keys, COUNT(keys), is_last ? 1 : 2);
	if (rc == 0)
		rc = read_amount(p, needed_under(value, keys[0]), keys[0], USD_MOST, &tier->usd_per_gb_month);
	const Node *end = rc == 0 ? under(value, keys[1]) : NULL;
	tier->up_to_gb = HUGE_VAL;
	if (!end)
		return rc;
	if (is_last)
		return complain(p, end, "the last tier has no end: leave \"up_to_gb\" out");
	rc = read_amount(p, end, keys[1], 1e15, &tier->up_to_gb);
	if (rc == 0 && tier->up_to_gb <= from_gb)
		return complain(p, end, "each tier ends above the one before");
	return rc;
}

static int read_storage(const Prices *p, const Node *list, struct price_profile *profile) {
	if (list->kind != TREE_LIST || list->count == 0 || list->count > PRICES_TIERS_MAX)
		return complain(p, list, "\"storage\" is a list of 1 to %d tiers", PRICES_TIERS_MAX);
	int rc = 0;
	double from_gb = 0;
	for (size_t i = 0; rc == 0 && i < list->count; i++) {
		rc = read_tier(p, list->values[i], i + 1 == list->count, from_gb, &profile->tiers[i]);
		from_gb = profile->tiers[i].up_to_gb;
	}
	profile->tier_count = list->count;
	return rc;
}

static int read_profile(Prices *p, const Node *key, const Node *value, struct price_profile *profile) {
	static const char *const keys[] = {"words", "source", "storage", "usd_per_1000_puts", "usd_per_1000_gets",
	        "usd_per_key_month", "usd_per_10000_kms"};
	double *const amounts[] = {&profile->usd_per_1000_puts, &profile->usd_per_1000_gets,
	        &profile->usd_per_key_month, &profile->usd_per_10000_kms};
	int rc = check_map(p, value, "a profile", keys, COUNT(keys), COUNT(keys));
	if (rc == 0)
		rc = copy_text(p, key, "the profile's name", &profile->name);
	if (rc == 0)
		rc = copy_text(p, needed_under(value, "words"), "words", &profile->words);
	if (rc == 0)
		rc = find_source(p, needed_under(value, "source"), &profile->source);
	if (rc == 0)
		rc = read_storage(p, needed_under(value, "storage"), profile);
	for (size_t i = 0; rc == 0 && i < COUNT(amounts); i++)
		rc = read_amount(p, needed_under(value, keys[3 + i]), keys[3 + i], USD_MOST, amounts[i]);
	return rc;
}

static int read_profiles(Prices *p, const Node *map) {
	if (map->kind != TREE_MAP)
		return complain(p, map, "\"profiles\" is an object of profiles by name");
	p->profiles = arena_take(&p->memory, map->count + 1, sizeof *p->profiles);
	if (!p->profiles)
		return no_memory();
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < map->count; i++, p->profile_count++)
		rc = read_profile(p, map->keys[i], map->values[i], &p->profiles[i]);
	static const char *const needed[] = {PRICES_THIS_DISK, PRICES_SEED_S3};
	for (size_t i = 0; rc == 0 && i < COUNT(needed); i++)
		if (!prices_profile_named(p, needed[i]))
			rc = complain(p, map, "\"profiles\" needs \"%s\"", needed[i]);
	return rc;
}

static int read_services(Prices *p, const Node *map) {
	static const char *const keys[] = {"usd", "per", "source"};
	int rc = check_map(p, map, "\"services\"", service_names, PRICE_SERVICES, PRICE_SERVICES);
	for (size_t i = 0; rc == 0 && i < PRICE_SERVICES; i++) {
		const Node *value = needed_under(map, service_names[i]);
		const char *per;
		rc = check_map(p, value, "a service", keys, COUNT(keys), COUNT(keys));
		if (rc == 0)
			rc = read_amount(p, needed_under(value, "usd"), "usd", USD_MOST, &p->services[i].usd);
		if (rc == 0)
			rc = copy_text(p, needed_under(value, "per"), "per", &per);
		if (rc == 0)
			rc = find_source(p, needed_under(value, "source"), &p->services[i].source);
	}
	return rc;
}

static int read_document(Prices *p, const Node *root) {
	static const char *const keys[] = {"format", "date", "currency", "sources", "profiles", "services"};
	if (!root)
		return fault(EINVAL, "%.200s:1:1: the file is empty; it begins with {\"format\": 1", p->name);
	int rc = check_map(p, root, "a price file", keys, COUNT(keys), COUNT(keys));
	if (rc < 0)
		return rc;
	const Node *format = needed_under(root, "format"), *currency = needed_under(root, "currency");
	if (format->kind != TREE_TEXT || strcmp(format->text, "1") != 0)
		return complain(p, format, "this assayfs reads \"format\": 1");
	if (currency->kind != TREE_TEXT || strcmp(currency->text, "USD") != 0)
		return complain(p, currency, "\"currency\" is \"USD\": figures are not converted");
	rc = read_date(p, needed_under(root, "date"), &p->date, &p->date_s);
	if (rc == 0)
		rc = read_sources(p, needed_under(root, "sources"));
	if (rc == 0)
		rc = read_profiles(p, needed_under(root, "profiles"));
	return rc ? rc : read_services(p, needed_under(root, "services"));
}

int prices_parse(const char *name, struct bytes text, Prices **ret_prices) {
	_cleanup_(prices_freep) Prices *p = calloc(1, sizeof *p);
	_cleanup_(yaml_tree_freep) YamlTree *tree = NULL;
	if (!p)
		return no_memory();
	char *copy = arena_take(&p->memory, strlen(name) + 1, 1);
	if (!copy)
		return no_memory();
	memcpy(copy, name, strlen(name));
	p->name = copy;
	int rc = yaml_tree_parse(name, text, &tree); /* JSON is YAML, and this tree knows its lines */
	if (rc == 0)
		rc = read_document(p, yaml_tree_root(tree));
	if (rc < 0)
		return rc;
	*ret_prices = steal_pointer(&p);
	return 0;
}

int prices_builtin(Prices **ret_prices) {
	return prices_parse("prices.json", bytes_of(prices_embedded, prices_embedded_size), ret_prices);
}

void prices_free(Prices *prices) {
	if (!prices)
		return;
	arena_free(&prices->memory);
	free(prices);
}

/* ---- asking ---- */

const char *prices_date(const Prices *prices) {
	return prices->date;
}

const char *prices_name(const Prices *prices) {
	return prices->name;
}

bool prices_are_old(const Prices *prices, int64_t now_s) {
	return now_s - prices->date_s > YEAR_S;
}

const struct price_profile *prices_profile(const Prices *prices, size_t i) {
	return i < prices->profile_count ? &prices->profiles[i] : NULL;
}

const struct price_profile *prices_profile_named(const Prices *prices, const char *name) {
	for (size_t i = 0; i < prices->profile_count; i++)
		if (strcmp(prices->profiles[i].name, name) == 0)
			return &prices->profiles[i];
	return NULL;
}

const struct price_source *prices_source(const Prices *prices, size_t i) {
	return i < prices->source_count ? &prices->sources[i] : NULL;
}

double prices_service(const Prices *prices, enum price_service service) {
	return prices->services[service].usd;
}

const struct price_source *prices_service_source(const Prices *prices, enum price_service service) {
	return prices->services[service].source;
}
