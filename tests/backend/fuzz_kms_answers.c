/* Feeds an answer of a server that nobody vouches for to all that reads one. What is taken for JSON, jansson takes too,
 * and reads the same. */
#include "backend/kms/json_scan.h"
#include "backend/kms/kms_aws_answers.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool is_so) {
	if (!is_so)
		abort();
}

static bool is_printable(const char *text) {
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			return false;
	return true;
}

/* The member as jansson has it, control characters as '?'. */
static void compare_member(const struct json_value *object, const json_t *theirs, const char *name) {
	static char text[1 << 16];
	struct json_value value;
	const json_t *member = json_object_get(theirs, name);
	int rc = json_scan_member(object, name, &value);
	if (rc == -EBADMSG)
		return;
	if (rc == -ENOENT) {
		expect(!member || json_is_null(member));
		return;
	}
	expect(member != NULL);
	expect(json_is_string(member) == (value.kind == JSON_SCAN_STRING));
	expect(json_is_number(member) == (value.kind == JSON_SCAN_NUMBER));
	expect(json_is_object(member) == (value.kind == JSON_SCAN_OBJECT));
	if (value.kind != JSON_SCAN_STRING || !json_scan_text(&value, text, sizeof text))
		return;
	const char *wanted = json_string_value(member);
	expect(strlen(wanted) == strlen(text));
	for (size_t i = 0; text[i]; i++)
		expect(text[i] == wanted[i] || (text[i] == '?' && ((uint8_t)wanted[i] < ' ' || wanted[i] == 0x7f)));
}

static void compare(struct bytes answer) {
	static const char *const names[] = {"Plaintext", "KeyId", "KeyMetadata", "__type", "message"};
	struct json_value object;
	if (json_scan(answer, &object) < 0)
		return;
	/* A member twice is told of those alone that are asked for. */
	json_t *theirs = json_loadb((const char *)answer.data, answer.size, JSON_DECODE_INT_AS_REAL, NULL);
	expect(json_is_object(theirs));
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		compare_member(&object, theirs, names[i]);
	json_decref(theirs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static struct kms_wrapped wrapped;
	struct bytes answer = bytes_of(data, size);
	struct kms_aws_error error;
	struct kms_description description;
	uint8_t key[KMS_KEY_BYTES];
	char arn[KMS_ARN_BYTES];
	compare(answer);
	if (kms_aws_error_parse(answer, &error) == 0)
		expect(is_printable(error.code) && is_printable(error.message));
	if (kms_aws_data_key_parse(answer, key, &wrapped, arn) == 0)
		expect(is_printable(arn) && wrapped.size > 0 && wrapped.size <= KMS_WRAPPED_BYTES_MAX);
	if (kms_aws_plaintext_parse(answer, key, arn) == 0)
		expect(strncmp(arn, "arn:", 4) == 0);
	if (kms_aws_rewrapped_parse(answer, &wrapped, arn) == 0)
		expect(wrapped.size > 0);
	if (kms_aws_description_parse(answer, &description) == 0)
		expect(is_printable(description.spec) && is_printable(description.state_text) &&
		        strlen(description.description) < KMS_DESCRIPTION_BYTES);
	return 0;
}
