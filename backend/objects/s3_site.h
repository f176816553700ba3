/*
 * s3_site: where a bucket's requests go.
 *
 *     no endpoint                     https://BUCKET.s3.REGION.amazonaws.com/KEY
 *     no endpoint, dots in the name   https://s3.REGION.amazonaws.com/BUCKET/KEY    (no certificate fits the other)
 *     endpoint                        ENDPOINT/BUCKET/KEY
 */
#pragma once

#include <stdbool.h>

struct s3_site {
	char base[600]; /* "https://host:8443" */
	char host[512]; /* as the header Host says it */
	char path[80];  /* "/bucket", or "" */
	bool is_aws;
};

/* `endpoint`: http[s]://host[:port], "": AWS by region. -EINVAL: it is none (a path, a user, another scheme), or the
 * region has other characters than letters, digits and '-'. */
int s3_site_make(const char *endpoint, const char *region, const char *bucket, struct s3_site *ret_site);
