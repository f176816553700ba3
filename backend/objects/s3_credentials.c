#include "backend/objects/s3_credentials.h"

#include "backend/objects/s3_profile.h"

#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_BYTES_MAX ((off_t)1 << 20)
/* Who may say a region or an endpoint before the profile does. */
#define GIVEN 3

/* A profile file, in memory that is wiped; `data` NULL when there is none. */
struct file {
	uint8_t *data;
	size_t size;
	bool is_config;
};

struct search {
	const char *profile;
	struct file credentials, config;
};

static void search_clear(struct search *search) {
	secret_freep(&search->credentials.data);
	secret_freep(&search->config.data);
}

static const char *home(void) {
	const char *given = getenv("HOME");
	if (given && given[0])
		return given;
	const struct passwd *user = getpwuid(getuid());
	return user ? user->pw_dir : "/nonexistent";
}

static bool is_given(const char *text) {
	return text && text[0];
}

/* A file that is not there, or is not ours to read, says nothing; where it was looked for is in the words later. */
static int read_file(const char *variable, const char *name, struct file *ret_file) {
	char path[PATH_MAX];
	const char *given = getenv(variable);
	if (is_given(given))
		(void)snprintf(path, sizeof path, "%s", given);
	else
		(void)snprintf(path, sizeof path, "%s/.aws/%s", home(), name);
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
		return 0;
	if (st.st_size > FILE_BYTES_MAX)
		return fault(EINVAL, "%s is too large for a file of profiles", path);
	_cleanup_(secret_freep) uint8_t *data = secret_alloc((size_t)st.st_size);
	if (!data)
		return -ENOMEM;
	ssize_t got = pread(fd, data, (size_t)st.st_size, 0);
	if (got < 0)
		return fault_errno(errno, "reading %s", path);
	ret_file->data = steal_pointer(&data);
	ret_file->size = (size_t)got;
	return 0;
}

static bool file_value(const struct file *file, const char *profile, const char *key, char *ret, size_t room) {
	return file->data &&
	       s3_profile_value(bytes_of(file->data, file->size), profile, file->is_config, key, ret, room);
}

static bool value(const struct search *search, const char *key, char *ret, size_t room) {
	return file_value(&search->credentials, search->profile, key, ret, room) ||
	       file_value(&search->config, search->profile, key, ret, room);
}

static bool is_there(const struct file *file, const char *profile) {
	return file->data && s3_profile_is_there(bytes_of(file->data, file->size), profile, file->is_config);
}

static int search_begin(struct search *search) {
	const char *named = getenv("AWS_PROFILE");
	search->profile = is_given(named) ? named : "default";
	search->config.is_config = true;
	int rc = read_file("AWS_SHARED_CREDENTIALS_FILE", "credentials", &search->credentials);
	if (rc == 0)
		rc = read_file("AWS_CONFIG_FILE", "config", &search->config);
	return rc;
}

/* Copies what is printable ASCII without spaces, which is all that a header or URL takes. */
static int copy(const struct aws_asked *asked, const char *what, const char *from, char *ret, size_t room) {
	size_t length = strlen(from);
	bool is_good = length < room;
	for (size_t i = 0; is_good && i < length; i++)
		is_good = from[i] > ' ' && from[i] < 0x7f;
	if (!is_good)
		return fault(EINVAL, "the %s for %s is too long, or has characters that it can't have", what,
		        asked->service);
	memmove(ret, from, length + 1);
	return 0;
}

static int copy_keys(const struct aws_asked *asked, const char *access_key, const char *secret_key, const char *token,
        struct s3_credentials *ret) {
	int rc = copy(asked, "access key", access_key, ret->access_key, sizeof ret->access_key);
	if (rc == 0)
		rc = copy(asked, "secret key", secret_key, ret->secret_key, sizeof ret->secret_key);
	if (rc == 0)
		rc = copy(asked, "session token", token ? token : "", ret->session_token, sizeof ret->session_token);
	return rc;
}

/* From one of the files, all of them. */
static bool keys_of_file(const struct file *file, const char *profile, struct s3_credentials *ret) {
	if (!file_value(file, profile, "aws_access_key_id", ret->access_key, sizeof ret->access_key) ||
	        !file_value(file, profile, "aws_secret_access_key", ret->secret_key, sizeof ret->secret_key))
		return false;
	if (!file_value(file, profile, "aws_session_token", ret->session_token, sizeof ret->session_token))
		ret->session_token[0] = '\0';
	return true;
}

static int find_keys(const struct aws_asked *asked, const struct search *search, struct s3_credentials *ret) {
	if (is_given(asked->access_key) != is_given(asked->secret_key))
		return fault(EINVAL, "an access key and a secret key go together");
	if (is_given(asked->access_key))
		return copy_keys(asked, asked->access_key, asked->secret_key, asked->session_token, ret);
	const char *access_key = getenv("AWS_ACCESS_KEY_ID");
	const char *secret_key = getenv("AWS_SECRET_ACCESS_KEY");
	if (is_given(access_key) && is_given(secret_key))
		return copy_keys(asked, access_key, secret_key, getenv("AWS_SESSION_TOKEN"), ret);
	if (keys_of_file(&search->credentials, search->profile, ret) ||
	        keys_of_file(&search->config, search->profile, ret))
		return copy_keys(asked, ret->access_key, ret->secret_key, ret->session_token, ret);
	if (is_given(access_key) != is_given(secret_key))
		return fault(EINVAL, "%s is set, but %s is not",
		        is_given(access_key) ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
		        is_given(access_key) ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
	if (is_given(getenv("AWS_PROFILE")) && !is_there(&search->credentials, search->profile) &&
	        !is_there(&search->config, search->profile))
		return fault(
		        EINVAL, "AWS_PROFILE names a profile that is in none of AWS's files: %.80s", search->profile);
	return fault(ENOKEY,
	        "no credentials for %s: neither AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY nor profile %.80s in "
	        "~/.aws/credentials or ~/.aws/config",
	        asked->service, search->profile);
}

/* The first that is given, else the profile's, else `otherwise`. */
static int find(const struct aws_asked *asked, const char *what, const char *const given[static GIVEN],
        const struct search *search, const char *key, const char *otherwise, char *ret, size_t room) {
	for (size_t i = 0; i < GIVEN; i++)
		if (is_given(given[i]))
			return copy(asked, what, given[i], ret, room);
	char of_profile[512];
	if (value(search, key, of_profile, sizeof of_profile))
		return copy(asked, what, of_profile, ret, room);
	return copy(asked, what, otherwise, ret, room);
}

int aws_credentials_find(const struct aws_asked *asked, struct s3_credentials **ret_credentials) {
	_cleanup_(secret_freep) struct s3_credentials *found = secret_alloc(sizeof *found);
	_cleanup_(search_clear) struct search search = {0};
	if (!found)
		return -ENOMEM;
	int rc = search_begin(&search);
	if (rc == 0)
		rc = find_keys(asked, &search, found);
	const char *const regions[GIVEN] = {asked->region, getenv("AWS_REGION"), getenv("AWS_DEFAULT_REGION")};
	if (rc == 0)
		rc = find(asked, "region", regions, &search, "region", asked->otherwise_region, found->region,
		        sizeof found->region);
	const char *const endpoints[GIVEN] = {
	        asked->endpoint, getenv(asked->endpoint_variable), getenv("AWS_ENDPOINT_URL")};
	if (rc == 0)
		rc = find(asked, "endpoint", endpoints, &search, "endpoint_url", "", found->endpoint,
		        sizeof found->endpoint);
	const char *const bundle = getenv("AWS_CA_BUNDLE");
	if (rc == 0 && (is_given(bundle) || !value(&search, "ca_bundle", found->ca_bundle, sizeof found->ca_bundle)))
		(void)snprintf(found->ca_bundle, sizeof found->ca_bundle, "%s", bundle ? bundle : "");
	if (rc < 0)
		return rc;
	*ret_credentials = steal_pointer(&found);
	return 0;
}

int s3_credentials_find(const struct objects_place *place, struct s3_credentials **ret_credentials) {
	struct aws_asked asked = {.service = "S3",
	        .endpoint_variable = "AWS_ENDPOINT_URL_S3",
	        .otherwise_region = "us-east-1",
	        .access_key = place->access_key,
	        .secret_key = place->secret_key,
	        .session_token = place->session_token,
	        .region = place->region,
	        .endpoint = place->endpoint};
	return aws_credentials_find(&asked, ret_credentials);
}
