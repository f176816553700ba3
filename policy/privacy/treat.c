#include "policy/privacy/treat.h"

#include "crypto/base/array.h"
#include "crypto/base/fault.h"
#include "crypto/digest.h"
#include "policy/privacy/dates.h"
#include "policy/table/json_scan.h"
#include "policy/table/window.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HASH_HEX = 32, V4_PREFIX = 24, V6_PREFIX = 48, DECIMALS = 2, GENERAL_MAX = 128 };

void treated_release(struct treated *treated) {
	free(treated->text);
	*treated = (struct treated){0};
}

static int put(struct treated *to, const char *text, size_t size) {
	if (size == 0)
		return 0;
	char *grown = array_room(to->text, &to->room, to->size + size, 1);
	if (!grown)
		return fault(ENOMEM, "no memory to treat personal data");
	to->text = grown;
	memcpy(to->text + to->size, text, size);
	to->size += size;
	return 0;
}

/* ---- as it is written, and back ---- */

/* Quotes are doubled or escaped inside of quotes; elsewhere a single one stands for itself, and is left. */
static int read_csv(const struct edit_dialect *dialect, struct bytes raw, struct treated *to) {
	const char *at = (const char *)raw.data, *end = at + raw.size;
	int rc = 0;
	while (rc == 0 && at < end) {
		bool has_next = at + 1 < end;
		bool is_doubled = dialect->quote && has_next && at[0] == dialect->quote && at[1] == dialect->quote;
		bool is_escaped = dialect->escape && has_next && at[0] == dialect->escape &&
		                  (at[1] == dialect->quote || at[1] == dialect->escape);
		at += is_doubled || is_escaped;
		rc = put(to, at++, 1);
	}
	return rc;
}

static int write_csv(const struct edit_dialect *dialect, const char *text, size_t size, struct treated *to) {
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < size; i++) {
		bool is_quote = dialect->quote && text[i] == dialect->quote;
		bool is_escape = dialect->escape && text[i] == dialect->escape;
		if (is_quote || is_escape)
			rc = put(to, dialect->escape ? &dialect->escape : &dialect->quote, 1);
		if (rc == 0)
			rc = put(to, &text[i], 1);
	}
	return rc;
}

/* What stands between the quotes of a string; nothing that is none gets to json_unescape(). */
static int read_json(struct bytes raw, struct treated *to) {
	_cleanup_(treated_release) struct treated quoted = {0};
	static const char slack[WINDOW_SLACK];
	int rc = put(&quoted, "\"", 1);
	if (rc == 0)
		rc = put(&quoted, (const char *)raw.data, raw.size);
	if (rc == 0)
		rc = put(&quoted, "\"", 1);
	size_t size = quoted.size;
	if (rc == 0)
		rc = put(&quoted, slack, sizeof slack);
	if (rc < 0)
		return rc;
	struct json_scan scan = {.at = quoted.text, .end = quoted.text + size};
	struct json_value value;
	if (!json_scan_key(&scan, &value) || scan.at != scan.end)
		return fault(EBADMSG, "what is to be treated is no part of a JSON string");
	size = value.escaped ? json_unescape(quoted.text + 1, raw.size) : raw.size;
	return put(to, quoted.text + 1, size);
}

static int write_json(const char *text, size_t size, struct treated *to) {
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < size; i++) {
		char escaped[8];
		unsigned char c = (unsigned char)text[i];
		if (c < ' ')
			rc = put(to, escaped, (size_t)snprintf(escaped, sizeof escaped, "\\u%04x", c));
		else if (c == '"' || c == '\\')
			rc = put(to, escaped, (size_t)snprintf(escaped, sizeof escaped, "\\%c", c));
		else
			rc = put(to, &text[i], 1);
	}
	return rc;
}

static int read_raw(const struct edit_dialect *dialect, const struct edit *edit, struct bytes raw, struct treated *to) {
	if (dialect->form == EDIT_JSON && !(edit->flags & EDIT_BARE))
		return read_json(raw, to);
	bool is_quoted = dialect->form == EDIT_CSV && !(edit->flags & EDIT_BARE);
	return is_quoted ? read_csv(dialect, raw, to) : put(to, (const char *)raw.data, raw.size);
}

static int write_raw(
        const struct edit_dialect *dialect, const struct edit *edit, const struct treated *text, struct treated *to) {
	if (dialect->form == EDIT_CSV && !(edit->flags & EDIT_BARE))
		return write_csv(dialect, text->text, text->size, to);
	if (dialect->form != EDIT_JSON)
		return put(to, text->text, text->size);
	size_t quotes = edit->flags & EDIT_BARE ? 1 : 0;
	int rc = put(to, "\"", quotes);
	if (rc == 0)
		rc = write_json(text->text, text->size, to);
	return rc < 0 ? rc : put(to, "\"", quotes);
}

/* ---- treatments ---- */

static int redact(const char *name, struct treated *to) {
	char text[80];
	int size = snprintf(text, sizeof text, "[%.70s]", name);
	return put(to, text, (size_t)size);
}

static bool begins_character(char byte) {
	return ((unsigned char)byte & 0xc0) != 0x80;
}

static int mask(const struct privacy_treatment *treatment, const struct treated *from, struct treated *to) {
	size_t count = 0, at = 0, first = treatment->keep_first, last = treatment->keep_last;
	for (size_t i = 0; i < from->size; i++)
		count += begins_character(from->text[i]);
	if (first + last >= count)
		first = last = 0;
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < from->size; i++) {
		bool begins = begins_character(from->text[i]);
		at += begins;
		if (at <= first || at > count - last)
			rc = put(to, &from->text[i], 1);
		else if (begins)
			rc = put(to, "*", 1);
	}
	return rc;
}

static int hash(const struct treat_key *key, const struct treated *from, struct treated *to) {
	uint8_t digest[DIGEST_BYTES];
	char hex[DIGEST_HEX_BYTES], text[32 + HASH_HEX];
	blake2b_keyed(key->bytes, bytes_of(from->text, from->size), digest);
	digest_hex(digest, hex);
	int size = snprintf(text, sizeof text, "h%u_%.*s", key->version, HASH_HEX, hex);
	return put(to, text, (size_t)size);
}

/* ---- generalising: each answers with the general text, or 0 where it is not of that kind ---- */

/* A year, or a day with all of it, perhaps with a time behind: nothing else has a year to be told. */
static size_t general_year(const char *text, char *ret) {
	struct date date = {0};
	size_t size = strlen(text);
	const char *behind = text + dates_read((struct table_cell){.data = text, .size = size}, &date);
	bool is_year = size == 4 && strspn(text, "0123456789") == size;
	bool has_time = (*behind == 'T' || *behind == ' ') && behind[1 + strspn(behind + 1, "0123456789:.+-Z")] == '\0';
	bool is_date = behind > text && !date.is_short && !date.is_mixed && (*behind == '\0' || has_time);
	unsigned year = is_year ? (unsigned)strtoul(text, NULL, 10) : date.year;
	if ((!is_year && !is_date) || year < 1800 || year > 2200)
		return 0;
	return (size_t)snprintf(ret, GENERAL_MAX, "%04u", year);
}

static size_t general_postal(const char *text, char *ret) {
	size_t size = strlen(text);
	if (size < 3 || !isalpha((unsigned char)text[0]) || !isdigit((unsigned char)text[1]) ||
	        !isalpha((unsigned char)text[2]) || (size != 3 && size != 6 && size != 7))
		return 0;
	return (size_t)snprintf(ret, GENERAL_MAX, "%.3s", text);
}

static size_t general_network(const char *text, char *ret) {
	char address[INET6_ADDRSTRLEN + 1] = "", written[INET6_ADDRSTRLEN];
	uint8_t bytes[16];
	size_t size = strcspn(text, "/%");
	long prefix = text[size] == '/' ? strtol(text + size + 1, NULL, 10) : 128;
	if (size >= sizeof address)
		return 0;
	memcpy(address, text, size);
	int family = inet_pton(AF_INET, address, bytes) == 1 ? AF_INET : AF_INET6;
	if (family == AF_INET6 && inet_pton(AF_INET6, address, bytes) != 1)
		return 0;
	long most = family == AF_INET ? V4_PREFIX : V6_PREFIX;
	prefix = prefix < 0 || prefix > most ? most : prefix;
	for (long bit = prefix; bit < 128; bit++)
		bytes[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
	if (!inet_ntop(family, bytes, written, sizeof written))
		return 0;
	return (size_t)snprintf(ret, GENERAL_MAX, "%s/%ld", written, prefix);
}

/* One of two numbers, with its decimals cut: not rounded, so that the place stays in the square that it is in. */
static size_t cut_decimals(const char **at, double most, char *ret, size_t room) {
	char *end = NULL;
	size_t integer = (size_t)(**at == '-') + strspn(*at + (**at == '-'), "0123456789");
	size_t decimals = (*at)[integer] == '.' ? strspn(*at + integer + 1, "0123456789") : 0;
	double number = strtod(*at, &end);
	if (decimals == 0 || integer > 4 || number > most || number < -most || end != *at + integer + 1 + decimals)
		return 0;
	size_t kept = integer + 1 + (decimals < DECIMALS ? decimals : DECIMALS);
	(void)snprintf(ret, room, "%.*s", (int)kept, *at);
	*at = end;
	return kept;
}

static size_t general_place(const char *text, char *ret) {
	const char *at = text;
	size_t used = cut_decimals(&at, 90, ret, GENERAL_MAX), between = strspn(at, ",; ");
	if (used == 0 || between == 0 || between > 3)
		return 0;
	memcpy(ret + used, at, between);
	at += between;
	size_t second = cut_decimals(&at, 180, ret + used + between, GENERAL_MAX - used - between);
	return second > 0 && *at == '\0' ? used + between + second : 0;
}

/* 0: nothing of it can be told in general. */
static size_t generalise(const char *text, size_t size, char ret[static GENERAL_MAX]) {
	static size_t (*const ways[])(const char *, char *) = {
	        general_year, general_postal, general_network, general_place};
	char copy[GENERAL_MAX];
	size_t found = 0;
	if (size == 0 || size >= sizeof copy || memchr(text, '\0', size))
		return 0;
	memcpy(copy, text, size);
	copy[size] = '\0';
	for (size_t i = 0; i < sizeof ways / sizeof *ways && found == 0; i++)
		found = ways[i](copy, ret);
	return found;
}

bool treat_is_general(struct table_cell text) {
	char general[GENERAL_MAX];
	size_t size = generalise(text.data, text.size, general);
	return size > 0 && size == text.size && memcmp(general, text.data, size) == 0;
}

bool treat_writes(char character) {
	return isalnum((unsigned char)character) || (character && strchr("[]*_/.:- ", character));
}

static int treat_text(const struct privacy_treatment *treatment, const char *name, const struct treat_key *key,
        const struct treated *from, struct treated *to) {
	char general[GENERAL_MAX];
	size_t size;
	switch (treatment->action) {
	case PRIVACY_REDACT:
		return redact(name, to);
	case PRIVACY_MASK:
		return mask(treatment, from, to);
	case PRIVACY_HASH:
		return hash(key, from, to);
	case PRIVACY_GENERALISE:
		size = generalise(from->text, from->size, general);
		return size > 0 ? put(to, general, size) : redact(name, to);
	case PRIVACY_REFUSE:
	case PRIVACY_DROP_COLUMN:
	case PRIVACY_DROP_ROW:
	case PRIVACY_REPORT:
	case PRIVACY_ACTIONS:
		break;
	}
	return 0;
}

int treat(const struct privacy_treatment *treatment, const char *name, const struct edit_dialect *dialect,
        const struct treat_key *key, const struct edit *edit, struct bytes raw, struct treated *ret) {
	_cleanup_(treated_release) struct treated text = {0}, done = {0};
	if (edit->flags & EDIT_WHOLE || !privacy_takes_column(treatment->action))
		return 0;
	int rc = read_raw(dialect, edit, raw, &text);
	if (rc == 0)
		rc = treat_text(treatment, name, key, &text, &done);
	return rc < 0 ? rc : write_raw(dialect, edit, &done, ret);
}
