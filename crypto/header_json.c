/*
 * The canonical form: members in the order of their names, no white space but a line end after each member of the
 * whole and each element of its lists, so that a change of one slot is one changed line.
 */
#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <time.h>

#include "crypto/base/fault.h"
#include "crypto/base/ready.h"
#include "crypto/header_impl.h"

#define MAGIC "assayfs vault"
#define SIGNED_WORDS "assayfs vault header 1\n"
#define SIGNER_WORDS "assayfs header signer 1\n"
/* The last second of the year 9999: the last with four digits. */
#define CREATED_MAX INT64_C(253402300799)
#define TIME_TEXT_BYTES 32
/* No field in base64 is longer than what a KMS wraps. */
#define FIELD_BYTES_MAX HEADER_KMS_WRAPPED_MAX

/* ---- names ---- */

const char *slot_type_name(enum slot_type type) {
	switch (type) {
	case SLOT_PASSPHRASE:
		return "passphrase";
	case SLOT_RECOVERY:
		return "recovery";
	case SLOT_KEYFILE:
		return "keyfile";
	case SLOT_RECIPIENT:
		return "recipient";
	case SLOT_KMS:
		return "kms";
	}
	return NULL;
}

const char *key_kind_name(enum key_kind kind) {
	return kind == KEY_ED25519 ? "ed25519" : "secret";
}

/* ---- out ---- */

static json_t *base64_json(const uint8_t *data, size_t size) {
	char text[BASE64_TEXT_BYTES(FIELD_BYTES_MAX)];
	base64_encode(bytes_of(data, size), text);
	return json_string(text);
}

static json_t *time_json(int64_t seconds) {
	char text[TIME_TEXT_BYTES];
	struct tm utc;
	time_t time = (time_t)seconds;
	if (!gmtime_r(&time, &utc) || strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
		return NULL;
	return json_string(text);
}

static json_t *keys_json(const VaultHeader *header) {
	json_t *list = json_array();
	for (size_t i = 0; i < header->key_count; i++) {
		const struct key_info *key = &header->keys[i];
		json_t *item = json_pack("{s:s, s:s, s:s, s:I}", "kind", key_kind_name(key->kind), "name", key->name,
		        "state", key_state_name(key->state), "version", (json_int_t)key->version);
		if (json_array_append_new(list, item) != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *signers_json(const VaultHeader *header) {
	json_t *list = json_array();
	for (size_t i = 0; i < header->signer_count; i++) {
		const struct signer *signer = &header->signers[i];
		json_t *item =
		        json_pack("{s:o, s:o}", "public", base64_json(signer->public_key, sizeof signer->public_key),
		                "signature", base64_json(signer->signature, sizeof signer->signature));
		if (json_array_append_new(list, item) != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *boxes_json(const struct slot *slot) {
	json_t *list = json_array();
	for (size_t i = 0; i < slot->box_count; i++) {
		const struct box *box = &slot->boxes[i];
		json_t *item = json_pack("{s:o, s:s, s:I}", "box", base64_json(box->data, sizeof box->data), "name",
		        box->name, "version", (json_int_t)box->version);
		if (json_array_append_new(list, item) != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *salted_json(const struct slot *slot) {
	return json_pack("{s:s, s:o}", "name", "blake2b", "salt", base64_json(slot->salt, sizeof slot->salt));
}

static json_t *recipient_json(const struct slot *slot) {
	char text[RECIPIENT_TEXT_BYTES];
	recipient_text(slot->recipient, text);
	return json_pack("{s:s, s:s, s:o}", "name", "x25519", "recipient", text, "wrapped",
	        base64_json(slot->wrapped, slot->wrapped_size));
}

/* Where the KEK comes from. */
static json_t *kdf_json(const struct slot *slot) {
	switch (slot->type) {
	case SLOT_PASSPHRASE:
		return json_pack("{s:I, s:s, s:I, s:o}", "memory", (json_int_t)slot->kdf.memory, "name", "argon2id",
		        "passes", (json_int_t)slot->kdf.passes, "salt", base64_json(slot->salt, sizeof slot->salt));
	case SLOT_RECOVERY:
	case SLOT_KEYFILE:
		return salted_json(slot);
	case SLOT_RECIPIENT:
		return recipient_json(slot);
	case SLOT_KMS:
		return json_pack("{s:s, s:s, s:o}", "arn", slot->kms_key, "name", "aws-kms", "wrapped",
		        base64_json(slot->wrapped, slot->wrapped_size));
	}
	return NULL;
}

static json_t *slots_json(const VaultHeader *header) {
	json_t *list = json_array();
	for (size_t i = 0; i < header->slot_count; i++) {
		const struct slot *slot = &header->slots[i];
		char id[HEADER_ID_TEXT_BYTES];
		hex_encode(bytes_of(slot->id, sizeof slot->id), id);
		json_t *item = json_pack("{s:o, s:s, s:o, s:s, s:o, s:o, s:o, s:s}", "boxes", boxes_json(slot), "id",
		        id, "kdf", kdf_json(slot), "label", slot->label, "nonce",
		        base64_json(slot->nonce, sizeof slot->nonce), "public",
		        base64_json(slot->public_key, sizeof slot->public_key), "sealed",
		        base64_json(slot->sealed, sizeof slot->sealed), "type", slot_type_name(slot->type));
		if (json_array_append_new(list, item) != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

/* Writes one value without white space; false when memory is short. */
static bool write_value(FILE *out, const json_t *value) {
	return json_dumpf(value, out, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY | JSON_ENSURE_ASCII) == 0;
}

static bool write_member(FILE *out, const char *name, const json_t *value, bool first) {
	bool good = value && fprintf(out, "%s\"%s\":", first ? "" : ",\n", name) > 0;
	if (!json_is_array(value))
		return good && write_value(out, value);
	good = good && fputs("[\n", out) >= 0;
	for (size_t i = 0; i < json_array_size(value); i++)
		good = good && (i == 0 || fputs(",\n", out) >= 0) && write_value(out, json_array_get(value, i));
	return good && fputs("\n]", out) >= 0;
}

static bool write_all(FILE *out, const json_t *whole, bool with_signature) {
	static const char *const sorted[] = {
	        "cipher", "created", "format", "generation", "keys", "magic", "signature", "signers", "slots", "vault"};
	bool good = fputs("{\n", out) >= 0;
	for (size_t i = 0; i < sizeof sorted / sizeof *sorted; i++)
		if (with_signature || strcmp(sorted[i], "signature") != 0)
			good = good && write_member(out, sorted[i], json_object_get(whole, sorted[i]), i == 0);
	return good && fputs("\n}\n", out) >= 0;
}

static int serialize(
        const VaultHeader *header, const char *before, bool with_signature, char **ret_text, size_t *ret_size) {
	json_auto_t *whole = json_pack("{s:s, s:o, s:i, s:I, s:o, s:s, s:o, s:o, s:o, s:s}", "cipher",
	        aead_cipher_name(header->cipher), "created", time_json(header->created), "format", HEADER_FORMAT,
	        "generation", (json_int_t)header->generation, "keys", keys_json(header), "magic", MAGIC, "signature",
	        base64_json(header->signature, sizeof header->signature), "signers", signers_json(header), "slots",
	        slots_json(header), "vault", header->vault_text);
	_cleanup_(freep) char *text = NULL;
	size_t size = 0;
	FILE *out = whole ? open_memstream(&text, &size) : NULL;
	if (!out)
		return fault(ENOMEM, "writing vault.json: out of memory");
	bool good = fputs(before, out) >= 0 && write_all(out, whole, with_signature);
	if (fclose(out) != 0 || !good)
		return fault(ENOMEM, "writing vault.json: out of memory");
	*ret_text = steal_pointer(&text);
	*ret_size = size;
	return 0;
}

int header_serialize(const VaultHeader *header, char **ret_json, size_t *ret_size) {
	char *text = NULL;
	size_t size = 0;
	if (header->slot_count == 0)
		return fault(EINVAL, "vault.json needs at least one slot that unlocks the vault");
	int rc = serialize(header, "", true, &text, &size);
	if (rc < 0)
		return rc;
	if (size > HEADER_BYTES_MAX) {
		free(text);
		return fault(EFBIG, "vault.json would be longer than %zu bytes: remove slots", HEADER_BYTES_MAX);
	}
	*ret_json = text;
	*ret_size = size;
	return 0;
}

int header_signed_bytes(const VaultHeader *header, char **ret_text, size_t *ret_size) {
	return serialize(header, SIGNED_WORDS, false, ret_text, ret_size);
}

/* ---- signatures ---- */

void signer_message(const VaultHeader *header, size_t index, uint8_t ret_message[static SIGNER_MESSAGE_BYTES]) {
	static_assert(sizeof SIGNER_WORDS - 1 == 24, "");
	memcpy(ret_message, SIGNER_WORDS, 24);
	memcpy(ret_message + 24, header->vault, HEADER_ID_BYTES);
	le32_put(ret_message + 24 + HEADER_ID_BYTES, (uint32_t)index);
	memcpy(ret_message + 28 + HEADER_ID_BYTES, header->signers[index].public_key, SIGN_PUBLIC_BYTES);
}

int header_check_signatures(const VaultHeader *header, const uint8_t trusted[static SIGN_PUBLIC_BYTES]) {
	size_t at = 0;
	while (at < header->signer_count && !digest_equal(header->signers[at].public_key, trusted))
		at++;
	if (at == header->signer_count)
		return fault(EBADMSG, "vault.json has been altered: its signing key is not this vault's");
	for (size_t next = at + 1; next < header->signer_count; next++) {
		uint8_t message[SIGNER_MESSAGE_BYTES];
		signer_message(header, next, message);
		if (sign_verify(header->signers[next - 1].public_key, bytes_of(message, sizeof message),
		            header->signers[next].signature) < 0)
			return fault(EBADMSG, "vault.json has been altered: signing key %zu was not made by this vault",
			        next);
	}
	_cleanup_(freep) char *text = NULL;
	size_t size = 0;
	int rc = header_signed_bytes(header, &text, &size);
	if (rc < 0)
		return rc;
	if (sign_verify(header->signers[header->signer_count - 1].public_key, bytes_of(text, size), header->signature) <
	        0)
		return fault(EBADMSG, "vault.json has been altered: its signature does not verify");
	return 0;
}

/* ---- in ---- */

/* Exactly `size` bytes of base64. */
static int take_base64(const char *text, const char *what, size_t size, uint8_t *ret_data) {
	size_t got = 0;
	int rc = base64_decode(text, size, ret_data, &got);
	return rc < 0 || got != size ? fault(EINVAL, "\"%s\" must be %zu bytes in base64", what, size) : 0;
}

static int take_name(const char *text, char ret_name[static KEYRING_NAME_MAX + 1]) {
	int rc = keyring_check_name(text);
	if (rc == 0)
		memcpy(ret_name, text, strlen(text) + 1);
	return rc;
}

static int take_version(json_int_t number, uint32_t *ret_version) {
	if (number < 1 || number > UINT32_MAX)
		return fault(EINVAL, "\"version\" must be from 1 to %u", UINT32_MAX);
	*ret_version = (uint32_t)number;
	return 0;
}

static int malformed(const json_error_t *error, const char *what) {
	return fault(EINVAL, "%s: %s", what, error->text);
}

static bool in_order(const char *name, uint32_t version, const char *next_name, uint32_t next_version) {
	int order = strcmp(name, next_name);
	return order < 0 || (order == 0 && version < next_version);
}

static int parse_key(json_t *item, struct key_info *ret_key) {
	const char *kind, *name, *state;
	json_int_t version;
	json_error_t error;
	if (json_unpack_ex(item, &error, 0, "{s:s, s:s, s:s, s:I !}", "kind", &kind, "name", &name, "state", &state,
	            "version", &version) != 0)
		return malformed(&error, "a key");
	int rc = take_name(name, ret_key->name);
	if (rc == 0)
		rc = take_version(version, &ret_key->version);
	if (rc < 0)
		return rc;
	ret_key->kind = strcmp(kind, "secret") == 0 ? KEY_SECRET : KEY_ED25519;
	ret_key->state = KEY_ACTIVE;
	while (ret_key->state < KEY_DELETED && strcmp(state, key_state_name(ret_key->state)) != 0)
		ret_key->state++;
	if (strcmp(kind, key_kind_name(ret_key->kind)) != 0 || strcmp(state, key_state_name(ret_key->state)) != 0)
		return fault(EINVAL, "key %s: its kind or state is not known", name);
	return 0;
}

static int parse_keys(json_t *list, VaultHeader *header) {
	size_t count = json_array_size(list);
	if (count < 1 || count > KEYRING_KEYS_MAX)
		return fault(EINVAL, "\"keys\" must list 1 to %d keys", KEYRING_KEYS_MAX);
	for (; header->key_count < count; header->key_count++) {
		struct key_info *key = array_grow(&header->keys, header->key_count, sizeof *key);
		if (!key)
			return fault(ENOMEM, "out of memory");
		int rc = parse_key(json_array_get(list, header->key_count), key);
		if (rc < 0)
			return rc;
		if (header->key_count > 0 && !in_order(key[-1].name, key[-1].version, key->name, key->version))
			return fault(EINVAL, "\"keys\" must be in the order of name and version, each once");
	}
	return header_check_catalog(header);
}

static int parse_signers(json_t *list, VaultHeader *header) {
	size_t count = json_array_size(list);
	if (count < 1 || count > KEYRING_KEYS_MAX)
		return fault(EINVAL, "\"signers\" must list 1 to %d keys", KEYRING_KEYS_MAX);
	for (; header->signer_count < count; header->signer_count++) {
		const char *public_key, *signature;
		json_error_t error;
		struct signer *signer = array_grow(&header->signers, header->signer_count, sizeof *signer);
		if (!signer)
			return fault(ENOMEM, "out of memory");
		if (json_unpack_ex(json_array_get(list, header->signer_count), &error, 0, "{s:s, s:s !}", "public",
		            &public_key, "signature", &signature) != 0)
			return malformed(&error, "a signer");
		int rc = take_base64(public_key, "public", sizeof signer->public_key, signer->public_key);
		if (rc == 0)
			rc = take_base64(signature, "signature", sizeof signer->signature, signer->signature);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int parse_argon2id(json_t *kdf, struct slot *slot) {
	json_error_t error;
	const char *name, *salt;
	json_int_t memory = 0, passes = 0;
	if (json_unpack_ex(kdf, &error, 0, "{s:I, s:s, s:I, s:s !}", "memory", &memory, "name", &name, "passes",
	            &passes, "salt", &salt) != 0)
		return malformed(&error, "\"kdf\"");
	if (strcmp(name, "argon2id") != 0)
		return fault(ENOTSUP, "key derivation \"%.40s\" is not known for passphrases", name);
	if (memory < 0 || passes < 0)
		return fault(EINVAL, "the costs of Argon2id cannot be negative");
	slot->kdf = (struct header_kdf){.memory = (uint64_t)memory, .passes = (uint64_t)passes};
	int rc = kdf_check(&slot->kdf);
	return rc == 0 ? take_base64(salt, "salt", sizeof slot->salt, slot->salt) : rc;
}

static int parse_salted(json_t *kdf, struct slot *slot) {
	json_error_t error;
	const char *name, *salt;
	if (json_unpack_ex(kdf, &error, 0, "{s:s, s:s !}", "name", &name, "salt", &salt) != 0)
		return malformed(&error, "\"kdf\"");
	if (strcmp(name, "blake2b") != 0)
		return fault(ENOTSUP, "key derivation \"%.40s\" is not known for slots of type \"%s\"", name,
		        slot_type_name(slot->type));
	return take_base64(salt, "salt", sizeof slot->salt, slot->salt);
}

/* From 1 to `most` bytes of base64, on the heap. */
static int take_wrapped(const char *text, size_t most, struct slot *slot) {
	slot->wrapped = malloc(most);
	if (!slot->wrapped)
		return fault(ENOMEM, "out of memory");
	int rc = base64_decode(text, most, slot->wrapped, &slot->wrapped_size);
	return rc < 0 || slot->wrapped_size == 0 ? fault(EINVAL, "\"wrapped\" must be 1 to %zu bytes in base64", most)
	                                         : 0;
}

static int parse_recipient(json_t *kdf, struct slot *slot) {
	json_error_t error;
	const char *name, *recipient, *wrapped;
	if (json_unpack_ex(kdf, &error, 0, "{s:s, s:s, s:s !}", "name", &name, "recipient", &recipient, "wrapped",
	            &wrapped) != 0)
		return malformed(&error, "\"kdf\"");
	if (strcmp(name, "x25519") != 0)
		return fault(ENOTSUP, "\"%.40s\" is not known for slots of type \"recipient\"", name);
	int rc = recipient_parse(bytes_of_string(recipient), slot->recipient);
	if (rc == 0)
		rc = take_wrapped(wrapped, RECIPIENT_WRAPPED_BYTES, slot);
	if (rc == 0 && slot->wrapped_size != RECIPIENT_WRAPPED_BYTES)
		rc = fault(EINVAL, "\"wrapped\" must be %d bytes in base64", RECIPIENT_WRAPPED_BYTES);
	return rc;
}

static int parse_kms(json_t *kdf, struct slot *slot) {
	json_error_t error;
	const char *key, *name, *wrapped;
	if (json_unpack_ex(kdf, &error, 0, "{s:s, s:s, s:s !}", "arn", &key, "name", &name, "wrapped", &wrapped) != 0)
		return malformed(&error, "\"kdf\"");
	if (strcmp(name, "aws-kms") != 0)
		return fault(ENOTSUP, "KMS \"%.40s\" is not known: a newer assayfs is needed", name);
	int rc = take_wrapped(wrapped, HEADER_KMS_WRAPPED_MAX, slot);
	if (rc < 0)
		return rc;
	const struct slot_kms kms = {.key = key, .wrapped = bytes_of(slot->wrapped, slot->wrapped_size)};
	rc = kms_check(&kms);
	if (rc == 0 && !duplicate(key, strlen(key) + 1, &slot->kms_key))
		rc = fault(ENOMEM, "out of memory");
	return rc;
}

static int parse_kdf(json_t *kdf, struct slot *slot) {
	switch (slot->type) {
	case SLOT_PASSPHRASE:
		return parse_argon2id(kdf, slot);
	case SLOT_RECOVERY:
	case SLOT_KEYFILE:
		return parse_salted(kdf, slot);
	case SLOT_RECIPIENT:
		return parse_recipient(kdf, slot);
	case SLOT_KMS:
		return parse_kms(kdf, slot);
	}
	return fault(ENOTSUP, "slots of this type are not known");
}

static int parse_boxes(json_t *list, const VaultHeader *header, struct slot *slot) {
	size_t count = json_array_size(list);
	if (!json_is_array(list) || count > header->key_count)
		return fault(EINVAL, "\"boxes\" must be a list of no more keys than there are");
	for (; slot->box_count < count; slot->box_count++) {
		const char *data, *name;
		json_int_t version;
		json_error_t error;
		struct box *box = array_grow(&slot->boxes, slot->box_count, sizeof *box);
		if (!box)
			return fault(ENOMEM, "out of memory");
		if (json_unpack_ex(json_array_get(list, slot->box_count), &error, 0, "{s:s, s:s, s:I !}", "box", &data,
		            "name", &name, "version", &version) != 0)
			return malformed(&error, "a box");
		int rc = take_base64(data, "box", sizeof box->data, box->data);
		if (rc == 0)
			rc = take_name(name, box->name);
		if (rc == 0)
			rc = take_version(version, &box->version);
		if (rc < 0)
			return rc;
		const struct key_info *key = header_find_key(header, box->name, box->version);
		if (!key || key->state == KEY_DELETED)
			return fault(EINVAL, "a box is for key %s version %u, which \"keys\" %s", box->name,
			        box->version, key ? "says is deleted" : "does not list");
		if (slot->box_count > 0 && !in_order(box[-1].name, box[-1].version, box->name, box->version))
			return fault(EINVAL, "\"boxes\" must be in the order of name and version, each once");
	}
	return 0;
}

static int take_type(const char *text, enum slot_type *ret_type) {
	for (enum slot_type type = SLOT_PASSPHRASE; type <= SLOT_KMS; type++)
		if (strcmp(text, slot_type_name(type)) == 0) {
			*ret_type = type;
			return 0;
		}
	return fault(ENOTSUP, "slots of type \"%.40s\" are not known: a newer assayfs is needed", text);
}

static int parse_slot(json_t *item, const VaultHeader *header, struct slot *slot) {
	json_t *boxes, *kdf;
	const char *id, *label, *nonce, *public_key, *sealed, *type;
	json_error_t error;
	if (json_unpack_ex(item, &error, 0, "{s:o, s:s, s:o, s:s, s:s, s:s, s:s, s:s !}", "boxes", &boxes, "id", &id,
	            "kdf", &kdf, "label", &label, "nonce", &nonce, "public", &public_key, "sealed", &sealed, "type",
	            &type) != 0)
		return malformed(&error, "a slot");
	if (strlen(label) >= sizeof slot->label)
		return fault(EINVAL, "\"label\" must be at most %zu bytes", sizeof slot->label - 1);
	memcpy(slot->label, label, strlen(label) + 1);
	int rc = take_type(type, &slot->type);
	if (rc == 0)
		rc = hex_decode(id, sizeof slot->id, slot->id);
	if (rc == 0)
		rc = parse_kdf(kdf, slot);
	if (rc == 0)
		rc = take_base64(nonce, "nonce", sizeof slot->nonce, slot->nonce);
	if (rc == 0)
		rc = take_base64(public_key, "public", sizeof slot->public_key, slot->public_key);
	if (rc == 0)
		rc = take_base64(sealed, "sealed", sizeof slot->sealed, slot->sealed);
	return rc == 0 ? parse_boxes(boxes, header, slot) : rc;
}

static int parse_slots(json_t *list, VaultHeader *header) {
	size_t count = json_array_size(list);
	if (count < 1 || count > HEADER_SLOTS_MAX)
		return fault(EINVAL, "\"slots\" must list 1 to %d slots", HEADER_SLOTS_MAX);
	while (header->slot_count < count) {
		struct slot *slot = array_grow(&header->slots, header->slot_count, sizeof *slot);
		if (!slot)
			return fault(ENOMEM, "out of memory");
		size_t at = header->slot_count++; /* counted first, so that its boxes are freed on failure */
		int rc = parse_slot(json_array_get(list, at), header, slot);
		if (rc < 0)
			return fault_while(rc, "slot %zu", at + 1);
		for (size_t other = 0; other < at; other++)
			if (memcmp(header->slots[other].id, slot->id, sizeof slot->id) == 0)
				return fault(EINVAL, "slot %zu: its id is there twice", at + 1);
	}
	return 0;
}

static int take_time(const char *text, int64_t *ret_seconds) {
	struct tm utc = {0};
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &utc);
	time_t seconds = end && *end == '\0' ? timegm(&utc) : -1;
	if (seconds < 0 || seconds > CREATED_MAX)
		return fault(EINVAL, "\"created\" must be a time like 2026-11-23T10:00:00Z");
	*ret_seconds = seconds;
	return 0;
}

/* Before anything else, so that a newer vault gets a sentence of its own. */
static int check_format(const json_t *whole) {
	const char *magic = json_string_value(json_object_get(whole, "magic"));
	const json_t *format = json_object_get(whole, "format");
	if (!magic || strcmp(magic, MAGIC) != 0 || !json_is_integer(format))
		return fault(EINVAL, "this is not the header of an assayfs vault");
	if (json_integer_value(format) != HEADER_FORMAT)
		return fault(ENOTSUP,
		        "the vault has format %lld and this assayfs knows only format %d: use a newer one",
		        (long long)json_integer_value(format), HEADER_FORMAT);
	return 0;
}

static int parse_whole(json_t *whole, VaultHeader *header) {
	const char *cipher, *created, *magic, *signature, *vault;
	json_t *keys, *signers, *slots;
	json_int_t format, generation;
	json_error_t error;
	int rc = check_format(whole);
	if (rc < 0)
		return rc;
	if (json_unpack_ex(whole, &error, 0, "{s:s, s:s, s:I, s:I, s:o, s:s, s:s, s:o, s:o, s:s !}", "cipher", &cipher,
	            "created", &created, "format", &format, "generation", &generation, "keys", &keys, "magic", &magic,
	            "signature", &signature, "signers", &signers, "slots", &slots, "vault", &vault) != 0)
		return fault(EINVAL, "%s", error.text);
	if (generation < 1)
		return fault(EINVAL, "\"generation\" counts from 1");
	header->generation = (uint64_t)generation;
	rc = aead_cipher_from_name(cipher, &header->cipher);
	if (rc == 0)
		rc = take_time(created, &header->created);
	if (rc == 0)
		rc = hex_decode(vault, sizeof header->vault, header->vault);
	if (rc == 0)
		rc = take_base64(signature, "signature", sizeof header->signature, header->signature);
	if (rc == 0)
		rc = parse_keys(keys, header);
	if (rc == 0)
		rc = parse_signers(signers, header);
	hex_encode(bytes_of(header->vault, sizeof header->vault), header->vault_text);
	return rc == 0 ? parse_slots(slots, header) : rc;
}

/* Nothing that a reader would take for the same may differ from what was signed: spaces, escapes, 1.0 for 1. */
static int check_canonical(const VaultHeader *header, struct bytes json) {
	_cleanup_(freep) char *text = NULL;
	size_t size = 0;
	int rc = header_serialize(header, &text, &size);
	if (rc < 0)
		return rc;
	if (size != json.size || memcmp(text, json.data, size) != 0)
		return fault(EINVAL, "it has been edited or reformatted: bring back the file as assayfs wrote it");
	return 0;
}

int header_parse(struct bytes json, VaultHeader **ret_header) {
	_cleanup_(header_freep) VaultHeader *header = calloc(1, sizeof *header);
	json_error_t error;
	crypto_ready();
	if (!header)
		return fault(ENOMEM, "reading vault.json: out of memory");
	if (json.size > HEADER_BYTES_MAX)
		return fault(EFBIG, "vault.json: longer than %zu bytes, so it is no vault header", HEADER_BYTES_MAX);
	json_auto_t *whole = json_loadb((const char *)json.data, json.size, JSON_REJECT_DUPLICATES, &error);
	if (!whole)
		return fault(EINVAL, "vault.json: line %d, column %d: %s", error.line, error.column, error.text);
	int rc = parse_whole(whole, header);
	if (rc == 0)
		rc = check_canonical(header, json);
	if (rc < 0)
		return fault_while(rc, "vault.json");
	*ret_header = steal_pointer(&header);
	return 0;
}
