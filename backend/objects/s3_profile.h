/*
 * s3_profile: reads the profile files of AWS's tools (~/.aws/credentials, ~/.aws/config).
 *
 *     # comment                         [default]  [work]  ["a name"]           in credentials
 *     [profile work]                    [default]  [profile work]               in config
 *     region = eu-west-1
 *     s3 =
 *         addressing_style = path       lines that are set in: of no interest here
 *
 * What is read is untrusted: lines are cut at S3_PROFILE_LINE_MAX and what is no line of these is passed over.
 */
#pragma once

#include "crypto/base/bytes.h"

#include <stdbool.h>
#include <stddef.h>

#define S3_PROFILE_LINE_MAX 8192

/*
 * The value of a key (in lower case) in a profile's section into ret_value, NUL-terminated; the last one counts.
 * `is_config`: sections are spelled as in the file config. false: there is none, or it has no room, or is empty.
 */
bool s3_profile_value(
        struct bytes file, const char *profile, bool is_config, const char *key, char *ret_value, size_t room);

/* Whether the file has the section. */
bool s3_profile_is_there(struct bytes file, const char *profile, bool is_config);
