#include "backend/kms/kms_aws_key.h"

#include <stdio.h>
#include <string.h>

#define ACCOUNT_DIGITS 12
#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"
#define WORDS LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS "-_"

/* ---- names ---- */

static int bad_key(const char *text) {
	return fault(EINVAL,
	        "'%.200s' is no key of AWS KMS; write arn:aws:kms:REGION:ACCOUNT:key/ID, its alias/NAME, or the id",
	        text);
}

/* Takes letters of the set and the colon behind them. */
static bool take_field(const char **at, const char *letters, size_t *ret_length) {
	size_t length = strspn(*at, letters);
	if (length == 0 || (*at)[length] != ':')
		return false;
	*at += length + 1;
	*ret_length = length;
	return true;
}

static bool is_alias(const char *text) {
	static const char start[] = "alias/";
	if (strncmp(text, start, sizeof start - 1) != 0)
		return false;
	text += sizeof start - 1;
	return text[0] && !text[strspn(text, WORDS "/")];
}

static bool is_id(const char *text) {
	return text[0] && !text[strspn(text, WORDS)];
}

static bool parse_arn(const char *text, struct kms_aws_key *key) {
	const char *at = text + strlen("arn:");
	size_t length = 0;
	if (strncmp(at, "aws", 3) != 0 || !take_field(&at, LOWER "-", &length) || strncmp(at, "kms:", 4) != 0)
		return false;
	at += strlen("kms:");
	const char *region = at;
	if (!take_field(&at, LOWER DIGITS "-", &length) || length >= sizeof key->region)
		return false;
	(void)snprintf(key->region, sizeof key->region, "%.*s", (int)length, region);
	if (!take_field(&at, DIGITS, &length) || length != ACCOUNT_DIGITS)
		return false;
	key->is_key_arn = strncmp(at, "key/", 4) == 0 && is_id(at + 4);
	return key->is_key_arn || is_alias(at);
}

int kms_aws_key_parse(const char *text, struct kms_aws_key *ret_key) {
	struct kms_aws_key key = {0};
	bool is_good = strlen(text) < sizeof key.id;
	if (is_good && strncmp(text, "arn:", 4) == 0)
		is_good = parse_arn(text, &key);
	else
		is_good = is_good && (is_alias(text) || is_id(text));
	if (!is_good)
		return bad_key(text);
	(void)snprintf(key.id, sizeof key.id, "%s", text);
	*ret_key = key;
	return 0;
}

/* ---- where it is ---- */

static bool ends_with(const char *text, const char *end) {
	size_t length = strlen(text);
	return length >= strlen(end) && strcmp(text + length - strlen(end), end) == 0;
}

/* The region in a host name of AWS, "kms.REGION.amazonaws.com", "vpce-….kms.REGION.vpce.amazonaws.com" and the like;
 * "" if it is none. */
static void region_of_host(const char *host, char ret[static KMS_AWS_REGION_BYTES]) {
	char name[512];
	ret[0] = '\0';
	(void)snprintf(name, sizeof name, "%.*s", (int)strcspn(host, ":"), host);
	if (!ends_with(name, ".amazonaws.com") && !ends_with(name, ".amazonaws.com.cn") && !ends_with(name, ".api.aws"))
		return;
	for (const char *label = name; label; label = strchr(label, '.')) {
		label += *label == '.';
		const char *next = strncmp(label, "kms.", 4) == 0 ? label + 4 : label + strlen("kms-fips.");
		if (strncmp(label, "kms.", 4) != 0 && strncmp(label, "kms-fips.", strlen("kms-fips.")) != 0)
			continue;
		size_t length = strcspn(next, ".");
		if (length < KMS_AWS_REGION_BYTES)
			(void)snprintf(ret, KMS_AWS_REGION_BYTES, "%.*s", (int)length, next);
		return;
	}
}

static bool is_this_machine(const char *host) {
	size_t length = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
	char name[64];
	if (length >= sizeof name)
		return false;
	(void)snprintf(name, sizeof name, "%.*s", (int)length, host);
	return strcmp(name, "localhost") == 0 || strcmp(name, "[::1]") == 0 ||
	       (strncmp(name, "127.", 4) == 0 && !name[strspn(name, DIGITS ".")]);
}

static int of_endpoint(
        const struct kms_aws_key *key, const char *endpoint, const char *region, struct kms_aws_site *site) {
	char region_there[KMS_AWS_REGION_BYTES];
	int rc = s3_site_make(endpoint, "", "", &site->http);
	if (rc < 0)
		return rc;
	if (strncmp(site->http.base, "http:", 5) == 0 && !is_this_machine(site->http.host))
		return fault(EINVAL, "%.200s would send keys in clear; write https://", endpoint);
	region_of_host(site->http.host, region_there);
	if (region_there[0] && region[0] && strcmp(region_there, region) != 0)
		return fault(EINVAL,
		        "the key is in region %s%s, and the endpoint %.200s in region %s; give that region's", region,
		        key->region[0] ? "" : " (by the environment or profile)", endpoint, region_there);
	if (!region[0])
		(void)snprintf(site->region, sizeof site->region, "%s", region_there[0] ? region_there : "us-east-1");
	return 0;
}

static int of_region(const char *region, struct kms_aws_site *site) {
	if (!region[0])
		return fault(EINVAL, "no region says where the key is: give its ARN, or set AWS_REGION");
	const char *china = strncmp(region, "cn-", 3) == 0 ? ".cn" : "";
	(void)snprintf(site->http.host, sizeof site->http.host, "kms.%s.amazonaws.com%s", region, china);
	(void)snprintf(site->http.base, sizeof site->http.base, "https://%s", site->http.host);
	site->http.is_aws = true;
	return 0;
}

int kms_aws_site_make(
        const struct kms_aws_key *key, const char *endpoint, const char *region, struct kms_aws_site *ret_site) {
	struct kms_aws_site site = {0};
	const char *counts = key->region[0] ? key->region : region;
	if (strlen(counts) >= sizeof site.region || counts[strspn(counts, LOWER DIGITS "-")])
		return fault(EINVAL, "'%.80s' is no region of AWS", counts);
	(void)snprintf(site.region, sizeof site.region, "%s", counts);
	int rc = endpoint[0] ? of_endpoint(key, endpoint, counts, &site) : of_region(counts, &site);
	if (rc == 0)
		*ret_site = site;
	return rc;
}
