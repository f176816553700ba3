#include "backend/kms/kms_aws_answers.h"
#include "backend/kms/kms_aws_http.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* What AWS lets a clock be off, "Signature expired: … - 5 min.". */
#define SKEW_S 300

/* Words: the host, what was told, what to do about it. */
static int say(const struct kms_aws_attempt *attempt, int error, const char *what, const char *advice) {
	bool has_id = attempt->request_id[0] != '\0';
	return fault(error, "%.120s: %.500s%s%s%s%s%s", attempt->host, what, advice[0] ? "; " : "", advice,
	        has_id ? " (request " : "", attempt->request_id, has_id ? ")" : "");
}

/* ---- no answer ---- */

static int judge_broken(const struct kms_aws_attempt *attempt, bool *ret_is_passing) {
	const char *words = attempt->error[0] ? attempt->error : curl_easy_strerror(attempt->result);
	CURLcode result = attempt->result;
	*ret_is_passing = false;
	if (attempt->is_stopped)
		return fault(ECANCELED, "requests to KMS were stopped");
	if (attempt->is_too_long)
		return say(attempt, EBADMSG, "the answer is longer than any of KMS", "is the endpoint the right one?");
	if (result == CURLE_OUT_OF_MEMORY)
		return say(attempt, ENOMEM, words, "");
	if (result == CURLE_PEER_FAILED_VERIFICATION || result == CURLE_SSL_CACERT_BADFILE ||
	        result == CURLE_SSL_CERTPROBLEM)
		return say(attempt, EPROTO, words,
		        "is this machine's clock right? For a server of your own name its authority in AWS_CA_BUNDLE");
	if (result == CURLE_URL_MALFORMAT)
		return say(attempt, EINVAL, words, "");
	/* What is no HTTP looks to libcurl like its version 0.9. */
	if (result == CURLE_UNSUPPORTED_PROTOCOL || result == CURLE_WEIRD_SERVER_REPLY)
		return say(attempt, EBADMSG, words, "the answer is none of KMS: is the endpoint the right one?");
	*ret_is_passing = true;
	if (result == CURLE_OPERATION_TIMEDOUT)
		return say(attempt, ETIMEDOUT, words, "is the service slow, or the way to it?");
	/* A head that came, and not all of the rest. */
	if (attempt->status > 0)
		return say(attempt, EBADMSG, words, "the answer is cut");
	return say(attempt, EHOSTUNREACH, words, "is the network up, and the endpoint the right one?");
}

/* ---- errors that KMS tells ---- */

struct meaning {
	const char *code;
	int error;
	bool is_passing;
	const char *advice;
};

#define WHO "check the credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, the profile)"
#define MAY "allow it to these credentials, in the key's policy or theirs"
#define LATER "try again later"
#define NOT_OURS "it was wrapped by another key, or with another context, or is damaged"

/* "Common Errors" and "Errors" of Decrypt, GenerateDataKey, ReEncrypt and DescribeKey, AWS KMS API Reference. */
static const struct meaning meanings[] = {
        {"AccessDenied", EPERM, false, MAY},
        {"AccessDeniedException", EPERM, false, MAY},
        {"NotAuthorized", EPERM, false, MAY},
        {"OptInRequired", EPERM, false, "subscribe this account to KMS"},
        {"ExpiredToken", EACCES, false, "get a new session token"},
        {"ExpiredTokenException", EACCES, false, "get a new session token"},
        {"IncompleteSignature", EACCES, false, WHO},
        {"IncompleteSignatureException", EACCES, false, WHO},
        {"InvalidClientTokenId", EACCES, false, WHO},
        {"InvalidSignatureException", EACCES, false, WHO},
        {"MissingAuthenticationToken", EACCES, false, WHO},
        {"MissingAuthenticationTokenException", EACCES, false, WHO},
        {"SignatureDoesNotMatch", EACCES, false, WHO},
        {"UnrecognizedClientException", EACCES, false, WHO},
        {"NotFoundException", ENOENT, false, "check the key's name, account and region"},
        {"DisabledException", EKEYREVOKED, false, "enable the key: aws kms enable-key"},
        {"IncorrectKeyException", EKEYREJECTED, false, "it was wrapped by another key than this one"},
        {"InvalidCiphertextException", EKEYREJECTED, false, NOT_OURS},
        {"InvalidKeyUsageException", EINVAL, false, "take a symmetric key that encrypts and decrypts"},
        {"InvalidArnException", EINVAL, false, "check the key's name"},
        {"ValidationException", EINVAL, false, "check the key's name"},
        {"UnsupportedOperationException", EINVAL, false, "take a symmetric key that encrypts and decrypts"},
        {"Throttling", EBUSY, true, LATER},
        {"ThrottlingException", EBUSY, true, LATER},
        {"RequestLimitExceeded", EBUSY, true, LATER},
        {"LimitExceededException", EBUSY, true, LATER},
        {"TooManyRequestsException", EBUSY, true, LATER},
        {"DependencyTimeoutException", EIO, true, LATER},
        {"InternalFailure", EIO, true, LATER},
        {"KMSInternalException", EIO, true, LATER},
        {"KeyUnavailableException", EIO, true, LATER},
        {"ServiceUnavailable", EIO, true, LATER},
        {"ServiceUnavailableException", EIO, true, LATER},
        {"CloudHsmClusterInvalidConfigurationException", ENOTCONN, false, "mend the key's store"},
        {"CustomKeyStoreInvalidStateException", ENOTCONN, false, "connect the key's store"},
        {"XksKeyInvalidConfigurationException", ENOTCONN, false, "mend the key's store"},
};

static struct meaning meaning_of_status(long status) {
	if (status == 429)
		return (struct meaning){NULL, EBUSY, true, LATER};
	if (status == 401 || status == 403)
		return (struct meaning){NULL, EACCES, false, WHO};
	if (status >= 500)
		return (struct meaning){NULL, EIO, true, LATER};
	return (struct meaning){NULL, EINVAL, false, ""};
}

/* "arn:… is pending deletion.": of the states that this is told of, the one that has its own error. */
static struct meaning meaning_of_state(const char *message) {
	if (strcasestr(message, "deletion"))
		return (struct meaning){NULL, EKEYEXPIRED, false,
		        "cancel its deletion while there is time, and enable it: aws kms cancel-key-deletion"};
	if (strcasestr(message, "disabled"))
		return (struct meaning){NULL, EKEYREVOKED, false, "enable the key: aws kms enable-key"};
	return (struct meaning){NULL, ENOTCONN, false, "see aws kms describe-key for what it lacks"};
}

static struct meaning meaning_of(long status, const struct kms_aws_error *error) {
	if (strcmp(error->code, "KMSInvalidStateException") == 0)
		return meaning_of_state(error->message);
	for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++)
		if (strcmp(error->code, meanings[i].code) == 0)
			return meanings[i];
	return meaning_of_status(status);
}

/* ---- what codes alone don't tell ---- */

static bool is_about_signature(const struct kms_aws_error *error) {
	static const char *const codes[] = {"InvalidSignatureException", "SignatureDoesNotMatch", "RequestExpired",
	        "RequestExpiredException", "RequestTimeTooSkewed"};
	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
		if (strcmp(error->code, codes[i]) == 0)
			return true;
	return false;
}

/* Whether the signature is refused for its time; our clock less the server's, 0: it doesn't say. */
static bool is_skewed(const struct kms_aws_attempt *attempt, const struct kms_aws_error *error, int64_t *ret_ahead_s) {
	time_t theirs = curl_getdate(attempt->date, NULL);
	int64_t ahead_s = theirs > 0 ? attempt->now_s - (int64_t)theirs : 0;
	bool is_told = strncmp(error->code, "Request", 7) == 0 || strstr(error->message, "Signature expired") ||
	               strstr(error->message, "Signature not yet current");
	if (!is_about_signature(error) || !(is_told || ahead_s >= SKEW_S || ahead_s <= -SKEW_S))
		return false;
	*ret_ahead_s = ahead_s;
	return true;
}

static int say_skew(const struct kms_aws_attempt *attempt, int64_t ahead_s) {
	char what[120] = "the service refuses the time of the request";
	if (ahead_s)
		(void)snprintf(what, sizeof what, "this machine's clock is %lld s %s the service's",
		        (long long)(ahead_s > 0 ? ahead_s : -ahead_s), ahead_s > 0 ? "ahead of" : "behind");
	return say(attempt, ETIME, what, "set this machine's clock");
}

/* "Credential should be scoped to a valid region", "Invalid arn eu-west-1". */
static bool is_of_region(const struct kms_aws_error *error) {
	return (is_about_signature(error) && strstr(error->message, "valid region")) ||
	       (strcmp(error->code, "NotFoundException") == 0 && strncmp(error->message, "Invalid arn ", 12) == 0);
}

/* A server may say to whom it denied something: the names of persons and roles are of use, what signs is not. */
static bool tells_credentials(const struct s3_credentials *credentials, const char *message) {
	return strstr(message, credentials->access_key) || strstr(message, credentials->secret_key) ||
	       (credentials->session_token[0] && strstr(message, credentials->session_token));
}

static int judge_error(const struct kms_aws_attempt *attempt, bool *ret_is_passing) {
	struct kms_aws_error error = {0};
	bool is_error = kms_aws_error_parse(attempt->answer, &error) == 0;
	int64_t ahead_s = 0;
	char what[520];
	struct meaning meaning = meaning_of(attempt->status, &error);
	*ret_is_passing = meaning.is_passing || attempt->status >= 500;
	if (!is_error && attempt->status < 500 && attempt->status != 429) {
		(void)snprintf(what, sizeof what, "HTTP %ld, and no error of KMS", attempt->status);
		return say(attempt, EBADMSG, what, "is the endpoint the right one?");
	}
	if (is_skewed(attempt, &error, &ahead_s))
		return say_skew(attempt, ahead_s);
	const char *message = tells_credentials(attempt->credentials, error.message) ? "" : error.message;
	(void)snprintf(what, sizeof what, "%s%s%s (HTTP %ld)", error.code[0] ? error.code : "refused",
	        message[0] ? ": " : "", message, attempt->status);
	if (is_of_region(&error))
		return say(attempt, EINVAL, what, "the endpoint is of another region than the key: give that region's");
	return say(attempt, meaning.error, what, meaning.advice);
}

int kms_aws_judge(const struct kms_aws_attempt *attempt, bool *ret_is_passing) {
	if (attempt->result != CURLE_OK)
		return judge_broken(attempt, ret_is_passing);
	if (attempt->status != 200)
		return judge_error(attempt, ret_is_passing);
	*ret_is_passing = false;
	return 0;
}
