#include "backend/kms/kms_aws_answers.h"

#include "backend/kms/json_scan.h"
#include "backend/objects/s3_answers.h"
#include "crypto/encoding.h"
#include "crypto/secret.h"

#include <stdio.h>
#include <string.h>

static int lacks(const char *name) {
	return fault(EBADMSG, "the answer is none of KMS: '%s' is missing, twice, or not what it must be", name);
}

static int open_answer(struct bytes answer, struct json_value *ret_object) {
	int rc = json_scan(answer, ret_object);
	return rc < 0 ? fault(EBADMSG, "the answer is none of KMS: it is no JSON object, or is cut") : 0;
}

/* ---- members ---- */

static bool is_printable(const char *text) {
	for (; *text; text++)
		if (*text <= ' ' || *text > '~')
			return false;
	return true;
}

/* A member that must be there, of printable ASCII without spaces. */
static int get_word(const struct json_value *object, const char *name, char *ret, size_t room) {
	struct json_value value;
	if (json_scan_member(object, name, &value) < 0 || !json_scan_text(&value, ret, room) || !ret[0] ||
	        !is_printable(ret))
		return lacks(name);
	return 0;
}

static int get_arn(const struct json_value *object, const char *name, char ret_arn[static KMS_ARN_BYTES]) {
	int rc = get_word(object, name, ret_arn, KMS_ARN_BYTES);
	return rc == 0 && strncmp(ret_arn, "arn:", 4) != 0 ? lacks(name) : rc;
}

static int get_wrapped(const struct json_value *object, struct kms_wrapped *ret_wrapped) {
	static const char name[] = "CiphertextBlob";
	size_t room = BASE64_TEXT_BYTES(KMS_WRAPPED_BYTES_MAX);
	_cleanup_(freep) char *text = malloc(room);
	if (!text)
		return fault(ENOMEM, "no memory for a wrapped key");
	int rc = get_word(object, name, text, room);
	if (rc == 0 && (base64_decode(text, sizeof ret_wrapped->data, ret_wrapped->data, &ret_wrapped->size) < 0 ||
	                       ret_wrapped->size == 0))
		rc = lacks(name);
	return rc;
}

struct key_text {
	char text[BASE64_TEXT_BYTES(KMS_KEY_BYTES)];
};

static int get_key(const struct json_value *object, struct secret_key *ret_key) {
	static const char name[] = "Plaintext";
	struct json_value value;
	size_t size = 0;
	_cleanup_(secret_freep) struct key_text *text = secret_alloc(sizeof *text);
	if (!text)
		return -ENOMEM;
	if (json_scan_member(object, name, &value) < 0 || !json_scan_text(&value, text->text, sizeof text->text) ||
	        base64_decode(text->text, sizeof ret_key->bytes, ret_key->bytes, &size) < 0 || size != KMS_KEY_BYTES)
		return fault(EBADMSG, "the answer is none of KMS: 'Plaintext' is no key of %d bytes", KMS_KEY_BYTES);
	return 0;
}

/* ---- answers ---- */

int kms_aws_data_key_parse(struct bytes answer, uint8_t ret_key[static KMS_KEY_BYTES], struct kms_wrapped *ret_wrapped,
        char ret_arn[static KMS_ARN_BYTES]) {
	_cleanup_(secret_key_wipe) struct secret_key key = {0};
	_cleanup_(freep) struct kms_wrapped *wrapped = calloc(1, sizeof *wrapped);
	char arn[KMS_ARN_BYTES];
	struct json_value object;
	if (!wrapped)
		return fault(ENOMEM, "no memory for a wrapped key");
	int rc = open_answer(answer, &object);
	if (rc == 0)
		rc = get_arn(&object, "KeyId", arn);
	if (rc == 0)
		rc = get_wrapped(&object, wrapped);
	if (rc == 0)
		rc = get_key(&object, &key);
	if (rc < 0)
		return rc;
	memcpy(ret_key, key.bytes, KMS_KEY_BYTES);
	memcpy(ret_arn, arn, sizeof arn);
	*ret_wrapped = *wrapped;
	return 0;
}

int kms_aws_plaintext_parse(
        struct bytes answer, uint8_t ret_key[static KMS_KEY_BYTES], char ret_arn[static KMS_ARN_BYTES]) {
	_cleanup_(secret_key_wipe) struct secret_key key = {0};
	char arn[KMS_ARN_BYTES];
	struct json_value object;
	int rc = open_answer(answer, &object);
	if (rc == 0)
		rc = get_arn(&object, "KeyId", arn);
	if (rc == 0)
		rc = get_key(&object, &key);
	if (rc < 0)
		return rc;
	memcpy(ret_key, key.bytes, KMS_KEY_BYTES);
	memcpy(ret_arn, arn, sizeof arn);
	return 0;
}

int kms_aws_rewrapped_parse(struct bytes answer, struct kms_wrapped *ret_wrapped, char ret_arn[static KMS_ARN_BYTES]) {
	_cleanup_(freep) struct kms_wrapped *wrapped = calloc(1, sizeof *wrapped);
	char arn[KMS_ARN_BYTES];
	struct json_value object;
	if (!wrapped)
		return fault(ENOMEM, "no memory for a wrapped key");
	int rc = open_answer(answer, &object);
	if (rc == 0)
		rc = get_arn(&object, "KeyId", arn);
	if (rc == 0)
		rc = get_wrapped(&object, wrapped);
	if (rc < 0)
		return rc;
	memcpy(ret_arn, arn, sizeof arn);
	*ret_wrapped = *wrapped;
	return 0;
}

static enum kms_state state_of(const char *text) {
	if (strcmp(text, "Enabled") == 0)
		return KMS_ENABLED;
	if (strcmp(text, "Disabled") == 0)
		return KMS_DISABLED;
	return strcmp(text, "PendingDeletion") == 0 || strcmp(text, "PendingReplicaDeletion") == 0
	               ? KMS_PENDING_DELETION
	               : KMS_UNAVAILABLE;
}

/* What may be missing, or of other kinds with other servers. */
static void get_more(const struct json_value *metadata, struct kms_description *description) {
	struct json_value value;
	if (json_scan_member(metadata, "DeletionDate", &value) == 0)
		(void)json_scan_number(&value, &description->deletion_s);
	if (json_scan_member(metadata, "Description", &value) == 0)
		(void)json_scan_text(&value, description->description, sizeof description->description);
	/* CustomerMasterKeySpec is its name of old. */
	if (get_word(metadata, "KeySpec", description->spec, sizeof description->spec) < 0 &&
	        get_word(metadata, "CustomerMasterKeySpec", description->spec, sizeof description->spec) < 0)
		description->spec[0] = '\0';
	if (get_word(metadata, "KeyUsage", description->usage, sizeof description->usage) < 0)
		description->usage[0] = '\0';
}

int kms_aws_description_parse(struct bytes answer, struct kms_description *ret_description) {
	struct kms_description description = {0};
	struct json_value object;
	struct json_value metadata;
	struct json_value enabled;
	int rc = open_answer(answer, &object);
	if (rc == 0 && json_scan_member(&object, "KeyMetadata", &metadata) < 0)
		rc = lacks("KeyMetadata");
	if (rc == 0)
		rc = get_arn(&metadata, "Arn", description.arn);
	if (rc == 0)
		rc = get_word(&metadata, "KeyState", description.state_text, sizeof description.state_text);
	if (rc == 0 && json_scan_member(&metadata, "Enabled", &enabled) < 0)
		rc = lacks("Enabled");
	if (rc < 0)
		return rc;
	description.state = state_of(description.state_text);
	description.is_enabled = json_scan_is_true(&enabled);
	get_more(&metadata, &description);
	*ret_description = description;
	return 0;
}

/* ---- errors ---- */

/* "com.amazonaws.kms#Code", "Code:http://…": the code alone. */
static void take_code(const char *type, char *ret_code, size_t room) {
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.";
	const char *behind = strrchr(type, '#');
	const char *code = behind ? behind + 1 : type;
	size_t length = strspn(code, letters);
	if ((code[length] == '\0' || code[length] == ':') && length < room)
		(void)snprintf(ret_code, room, "%.*s", (int)length, code);
}

static int json_error(struct bytes answer, struct kms_aws_error *error) {
	struct json_value object;
	struct json_value value;
	char type[160];
	int rc = open_answer(answer, &object);
	if (rc < 0)
		return rc;
	if (json_scan_member(&object, "__type", &value) < 0 || !json_scan_text(&value, type, sizeof type))
		return lacks("__type");
	take_code(type, error->code, sizeof error->code);
	if (json_scan_member(&object, "message", &value) == 0 || json_scan_member(&object, "Message", &value) == 0)
		(void)json_scan_text(&value, error->message, sizeof error->message);
	return 0;
}

/* Whoever looks at the signature may stand before KMS and speak the older protocol. */
static int xml_error(struct bytes answer, struct kms_aws_error *error) {
	static const char *const paths[][2] = {
	        {"ErrorResponse/Error/Code", "ErrorResponse/Error/Message"},
	        {"ErrorResponse/Errors/Error/Code", "ErrorResponse/Errors/Error/Message"},
	};
	char code[sizeof error->code] = "";
	for (size_t i = 0; !code[0] && i < sizeof paths / sizeof paths[0]; i++)
		if (s3_text_parse(answer, paths[i][0], code, sizeof code) < 0 ||
		        s3_text_parse(answer, paths[i][1], error->message, sizeof error->message) < 0)
			return lacks("Code");
	take_code(code, error->code, sizeof error->code);
	return error->code[0] ? 0 : lacks("Code");
}

int kms_aws_error_parse(struct bytes answer, struct kms_aws_error *ret_error) {
	struct kms_aws_error error = {0};
	bool is_xml = bytes_begin_with(answer, "<");
	int rc = is_xml ? xml_error(answer, &error) : json_error(answer, &error);
	if (rc < 0)
		return rc;
	for (char *c = error.message; *c; c++)
		*c = (char)(*c >= ' ' && *c <= '~' ? *c : '?');
	*ret_error = error;
	return 0;
}
