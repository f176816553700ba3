#include "backend/objects/s3_site.h"

#include "crypto/base/cleanup.h"
#include "crypto/base/fault.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

static void free_part(char **part) {
	curl_free(*part);
}

static void free_url(CURLU **url) {
	curl_url_cleanup(*url);
}

static bool has(CURLU *url, CURLUPart part) {
	_cleanup_(free_part) char *text = NULL;
	return curl_url_get(url, part, &text, 0) == CURLUE_OK;
}

static int bad(const char *endpoint) {
	return fault(EINVAL, "'%.200s' is no endpoint; write http[s]://HOST[:PORT]", endpoint);
}

static int of_endpoint(const char *endpoint, const char *bucket, struct s3_site *site) {
	_cleanup_(free_url) CURLU *url = curl_url();
	_cleanup_(free_part) char *scheme = NULL;
	_cleanup_(free_part) char *host = NULL;
	_cleanup_(free_part) char *port = NULL;
	_cleanup_(free_part) char *path = NULL;
	if (!url)
		return fault(ENOMEM, "no memory for an endpoint");
	if (curl_url_set(url, CURLUPART_URL, endpoint, 0) != CURLUE_OK ||
	        curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
	        curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
	        curl_url_get(url, CURLUPART_PATH, &path, 0) != CURLUE_OK)
		return bad(endpoint);
	if ((strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0) || strcmp(path, "/") != 0 ||
	        has(url, CURLUPART_USER) || has(url, CURLUPART_PASSWORD) || has(url, CURLUPART_QUERY) ||
	        has(url, CURLUPART_FRAGMENT) || host[strcspn(host, "%\"<> ")])
		return bad(endpoint);
	/* Left out of the header Host when it is the scheme's own, as curl does. */
	bool has_port = curl_url_get(url, CURLUPART_PORT, &port, CURLU_NO_DEFAULT_PORT) == CURLUE_OK;
	for (char *c = host; *c; c++)
		*c = (char)(*c >= 'A' && *c <= 'Z' ? *c | 0x20 : *c);
	int length = snprintf(site->host, sizeof site->host, "%s%s%s", host, has_port ? ":" : "", has_port ? port : "");
	if (length >= (int)sizeof site->host)
		return bad(endpoint);
	(void)snprintf(site->base, sizeof site->base, "%s://%s", scheme, site->host);
	(void)snprintf(site->path, sizeof site->path, "/%s", bucket);
	return 0;
}

static int of_aws(const char *region, const char *bucket, struct s3_site *site) {
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-";
	if (!region[0] || strlen(region) > 40 || region[strspn(region, letters)])
		return fault(EINVAL, "'%.80s' is no region of AWS", region);
	const char *china = strncmp(region, "cn-", 3) == 0 ? ".cn" : "";
	bool by_path = strchr(bucket, '.') != NULL;
	(void)snprintf(site->host, sizeof site->host, "%.70s%ss3.%s.amazonaws.com%s", by_path ? "" : bucket,
	        by_path ? "" : ".", region, china);
	(void)snprintf(site->base, sizeof site->base, "https://%s", site->host);
	(void)snprintf(site->path, sizeof site->path, "%s%.70s", by_path ? "/" : "", by_path ? bucket : "");
	site->is_aws = true;
	return 0;
}

int s3_site_make(const char *endpoint, const char *region, const char *bucket, struct s3_site *ret_site) {
	struct s3_site site = {0};
	int rc = endpoint[0] ? of_endpoint(endpoint, bucket, &site) : of_aws(region, bucket, &site);
	if (rc == 0)
		*ret_site = site;
	return rc;
}
