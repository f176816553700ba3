#include "policy/privacy/validate.h"

#include "crypto/digest.h"
#include "policy/privacy/dates.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <libpsl.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { MOST_DIGITS = 40 };

/* The digits alone, as numbers; 0: none, or too many. */
static size_t take_digits(struct table_cell match, uint8_t ret_digits[static MOST_DIGITS]) {
	size_t count = 0;
	for (size_t i = 0; i < match.size; i++) {
		if (match.data[i] < '0' || match.data[i] > '9')
			continue;
		if (count == MOST_DIGITS)
			return 0;
		ret_digits[count++] = (uint8_t)(match.data[i] - '0');
	}
	return count;
}

/* Are the separators between digits all the same, and none doubled? Mixed ones are no way to write a number. */
static bool is_evenly_separated(struct table_cell match) {
	char separator = 0;
	for (size_t i = 0; i < match.size; i++) {
		char c = match.data[i];
		if (isalnum((unsigned char)c))
			continue;
		if ((separator && c != separator) || (i > 0 && !isalnum((unsigned char)match.data[i - 1])))
			return false;
		separator = c;
	}
	return true;
}

static bool are_all_alike(const uint8_t *digits, size_t count) {
	for (size_t i = 1; i < count; i++)
		if (digits[i] != digits[0])
			return false;
	return true;
}

static bool has_luhn(const uint8_t *digits, size_t count) {
	unsigned sum = 0;
	for (size_t i = 0; i < count; i++) {
		unsigned digit = digits[count - 1 - i];
		unsigned doubled = digit * 2 > 9 ? digit * 2 - 9 : digit * 2;
		sum += i % 2 ? doubled : digit;
	}
	return count > 0 && sum % 10 == 0;
}

static unsigned number_of(const uint8_t *digits, size_t count) {
	unsigned number = 0;
	for (size_t i = 0; i < count; i++)
		number = number * 10 + digits[i];
	return number;
}

/* ---- cards ---- */

/* The ranges of ISO/IEC 7812 that issuers use, by their first four digits and the lengths that go with them. */
bool validate_card(struct table_cell match) {
	static const struct {
		unsigned first, last;
		size_t least, most;
	} ranges[] = {
	        {4000, 4999, 13, 19},                                             /* Visa */
	        {5100, 5599, 16, 16}, {2221, 2720, 16, 16},                       /* Mastercard */
	        {3400, 3499, 15, 15}, {3700, 3799, 15, 15},                       /* American Express */
	        {3000, 3059, 14, 19}, {3095, 3095, 14, 19}, {3600, 3699, 14, 19}, /* Diners Club */
	        {3800, 3999, 14, 19}, {6011, 6011, 16, 19}, {6440, 6599, 16, 19}, /* and Discover */
	        {3528, 3589, 16, 19},                                             /* JCB */
	        {6200, 6299, 16, 19},                                             /* UnionPay */
	        {5018, 5018, 12, 19}, {5020, 5020, 12, 19}, {5038, 5038, 12, 19}, {6304, 6304, 12, 19},
	        {6759, 6763, 12, 19}, /* Maestro */
	};
	uint8_t digits[MOST_DIGITS];
	size_t count = take_digits(match, digits);
	if (count < 12 || !has_luhn(digits, count) || !is_evenly_separated(match))
		return false;
	unsigned start = number_of(digits, 4);
	for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
		if (start >= ranges[i].first && start <= ranges[i].last && count >= ranges[i].least &&
		        count <= ranges[i].most)
			return true;
	return false;
}

/* ---- IBAN ---- */

/* What is left of a number divided by 97 when a digit is written behind it, or a letter as 10 to 35. */
static unsigned add_to_rest(unsigned rest, char c) {
	unsigned value =
	        isdigit((unsigned char)c) ? (unsigned)(c - '0') : (unsigned)(toupper((unsigned char)c) - 'A' + 10);
	return (rest * (value > 9 ? 100 : 10) + value) % 97;
}

static size_t iban_length(const char country[static 2]) {
	static const char lengths[] =
	        "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 "
	        "DJ27 DK18 DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 "
	        "HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 "
	        "LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 "
	        "PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 "
	        "TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30 ";
	for (const char *at = lengths; *at; at += 5)
		if (toupper((unsigned char)country[0]) == at[0] && toupper((unsigned char)country[1]) == at[1])
			return (size_t)((at[2] - '0') * 10 + at[3] - '0');
	return 0;
}

bool validate_iban(struct table_cell match) {
	char text[MOST_DIGITS];
	size_t count = 0;
	for (size_t i = 0; i < match.size; i++) {
		if (!isalnum((unsigned char)match.data[i]))
			continue;
		if (count == sizeof text)
			return false;
		text[count++] = match.data[i];
	}
	if (count < 15 || iban_length(text) != count)
		return false;
	unsigned rest = 0;
	for (size_t i = 0; i < count; i++)
		rest = add_to_rest(rest, text[(i + 4) % count]);
	return rest == 1;
}

/* ---- North America ---- */

/* Also numbers that were printed in advertisements and belong to nobody. */
bool validate_ssn(struct table_cell match) {
	static const unsigned never[] = {123456789, 987654320, 78051120, 219099999};
	uint8_t digits[MOST_DIGITS];
	if (take_digits(match, digits) != 9 || are_all_alike(digits, 9))
		return false;
	unsigned area = number_of(digits, 3), group = number_of(digits + 3, 2), serial = number_of(digits + 5, 4);
	for (size_t i = 0; i < sizeof never / sizeof *never; i++)
		if (number_of(digits, 9) == never[i])
			return false;
	for (size_t i = 0; i < match.size; i++)
		if (!isdigit((unsigned char)match.data[i]) && match.data[i] != '-' && match.data[i] != ' ' &&
		        match.data[i] != '.')
			return false;
	return area != 0 && area != 666 && area < 900 && group != 0 && serial != 0;
}

bool validate_itin(struct table_cell match) {
	uint8_t digits[MOST_DIGITS];
	if (take_digits(match, digits) != 9 || digits[0] != 9 || !is_evenly_separated(match))
		return false;
	unsigned group = number_of(digits + 3, 2);
	return (group >= 50 && group <= 65) || (group >= 70 && group <= 88) || (group >= 90 && group <= 92) ||
	       (group >= 94 && group <= 99);
}

/* No province gives numbers that begin with 0 or 8. */
bool validate_sin(struct table_cell match) {
	uint8_t digits[MOST_DIGITS];
	return take_digits(match, digits) == 9 && digits[0] != 0 && digits[0] != 8 && !are_all_alike(digits, 9) &&
	       is_evenly_separated(match) && has_luhn(digits, 9);
}

bool validate_phn(struct table_cell match) {
	static const unsigned weights[] = {2, 4, 8, 5, 10, 9, 7, 3};
	uint8_t digits[MOST_DIGITS];
	if (take_digits(match, digits) != 10 || digits[0] != 9 || !is_evenly_separated(match))
		return false;
	unsigned sum = 0;
	for (size_t i = 0; i < 8; i++)
		sum += digits[i + 1] * weights[i] % 11;
	return 11 - sum % 11 == digits[9];
}

bool validate_ohip(struct table_cell match) {
	uint8_t digits[MOST_DIGITS];
	return take_digits(match, digits) == 10 && digits[0] != 0 && !are_all_alike(digits, 10) && has_luhn(digits, 10);
}

/* Four letters of the name, then year, month (50 more for women) and day of birth, and two digits more. */
bool validate_ramq(struct table_cell match) {
	uint8_t digits[MOST_DIGITS];
	if (take_digits(match, digits) != 8)
		return false;
	unsigned month = number_of(digits + 2, 2) % 50, day = number_of(digits + 4, 2);
	return number_of(digits + 2, 2) <= 62 && month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

/* The North American plan has neither area codes nor exchanges that begin with 0 or 1. */
bool validate_phone(struct table_cell match) {
	uint8_t digits[MOST_DIGITS];
	size_t count = take_digits(match, digits);
	if (count < 7 || count > 15 || are_all_alike(digits, count))
		return false;
	bool is_international = memchr(match.data, '+', match.size) != NULL;
	bool is_american = is_international ? digits[0] == 1 : count == 10 || (count == 11 && digits[0] == 1);
	const uint8_t *area = digits + (count == 11);
	if (is_american)
		return (count == 10 || count == 11) && area[0] >= 2 && area[3] >= 2;
	return is_international ? digits[0] != 0 && count >= 8 : count >= 11;
}

/* ---- elsewhere ---- */

bool validate_nhs(struct table_cell match) {
	uint8_t digits[MOST_DIGITS];
	if (take_digits(match, digits) != 10 || are_all_alike(digits, 10) || !is_evenly_separated(match))
		return false;
	unsigned sum = 0;
	for (unsigned i = 0; i < 9; i++)
		sum += digits[i] * (10 - i);
	return (11 - sum % 11) % 11 == digits[9];
}

bool validate_nino(struct table_cell match) {
	static const char never[] = "BG GB KN NK NT TN ZZ ";
	if (match.size < 2)
		return false;
	char two[3] = {(char)toupper((unsigned char)match.data[0]), (char)toupper((unsigned char)match.data[1])};
	return strstr(never, two) == NULL;
}

bool validate_aadhaar(struct table_cell match) {
	static const char product[10][11] = {"0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
	        "5987604321", "6598710432", "7659821043", "8765932104", "9876543210"};
	static const char permutation[8][11] = {"0123456789", "1576283094", "5803796142", "8916043527", "9453126870",
	        "4286573901", "2793806415", "7046913258"};
	uint8_t digits[MOST_DIGITS];
	if (take_digits(match, digits) != 12 || digits[0] < 2 || are_all_alike(digits, 12) ||
	        !is_evenly_separated(match))
		return false;
	int check = 0;
	for (size_t i = 0; i < 12; i++)
		check = product[check][permutation[i % 8][digits[11 - i]] - '0'] - '0';
	return check == 0;
}

bool validate_tfn(struct table_cell match) {
	static const unsigned weights[] = {1, 4, 3, 7, 5, 8, 6, 9, 10};
	uint8_t digits[MOST_DIGITS];
	if (take_digits(match, digits) != 9 || are_all_alike(digits, 9) || !is_evenly_separated(match))
		return false;
	unsigned sum = 0;
	for (size_t i = 0; i < 9; i++)
		sum += digits[i] * weights[i];
	return sum % 11 == 0;
}

/* ---- Bitcoin ---- */

bool validate_bitcoin(struct table_cell match) {
	static const char alphabet[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
	uint8_t bytes[25] = {0}, once[DIGEST_BYTES], twice[DIGEST_BYTES];
	for (size_t i = 0; i < match.size; i++) {
		const char *found = match.data[i] ? strchr(alphabet, match.data[i]) : NULL;
		if (!found)
			return false;
		unsigned carry = (unsigned)(found - alphabet);
		for (size_t k = sizeof bytes; k-- > 0;) {
			carry += bytes[k] * 58u;
			bytes[k] = (uint8_t)carry;
			carry >>= 8;
		}
		if (carry)
			return false;
	}
	sha256(bytes_of(bytes, 21), once);
	sha256(bytes_of(once, sizeof once), twice);
	return (bytes[0] == 0 || bytes[0] == 5) && memcmp(twice, bytes + 21, 4) == 0;
}

static uint32_t bech32_step(uint32_t check, unsigned value) {
	static const uint32_t generator[] = {0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3};
	uint32_t top = check >> 25;
	check = (check & 0x1ffffff) << 5 ^ value;
	for (unsigned i = 0; i < 5; i++)
		check ^= top >> i & 1 ? generator[i] : 0;
	return check;
}

bool validate_segwit(struct table_cell match) {
	static const char alphabet[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
	uint32_t check = 1;
	bool has_upper = false, has_lower = false;
	if (match.size < 14 || match.size > 90)
		return false;
	for (size_t i = 0; i < 2; i++)
		check = bech32_step(check, (unsigned)"bc"[i] >> 5);
	check = bech32_step(check, 0);
	for (size_t i = 0; i < 2; i++)
		check = bech32_step(check, (unsigned)"bc"[i] & 31);
	for (size_t i = 0; i < match.size; i++) {
		has_upper |= isupper((unsigned char)match.data[i]) != 0;
		has_lower |= islower((unsigned char)match.data[i]) != 0;
		if (i < 3)
			continue;
		const char *found = strchr(alphabet, tolower((unsigned char)match.data[i]));
		if (!found || !*found)
			return false;
		check = bech32_step(check, (unsigned)(found - alphabet));
	}
	return !(has_upper && has_lower) && (check == 1 || check == 0x2bc830a3);
}

/* ---- networks ---- */

/* What inet_pton takes, of the match up to a zone or a prefix. */
static bool is_address(int family, struct table_cell match, const char *stop) {
	char text[INET6_ADDRSTRLEN + 1];
	uint8_t address[16];
	size_t size = 0;
	while (size < match.size && !strchr(stop, match.data[size]))
		size++;
	if (size >= sizeof text)
		return false;
	memcpy(text, match.data, size);
	text[size] = '\0';
	return inet_pton(family, text, address) == 1;
}

bool validate_ipv4(struct table_cell match) {
	return is_address(AF_INET, match, "/");
}

bool validate_ipv6(struct table_cell match) {
	return is_address(AF_INET6, match, "%/");
}

bool validate_mac(struct table_cell match) {
	bool has_other = false;
	for (size_t i = 0; i < match.size; i++)
		has_other |= isxdigit((unsigned char)match.data[i]) && match.data[i] != '0';
	return has_other && is_evenly_separated(match);
}

/* Is the last label one that names end with? */
bool validate_host(struct table_cell match) {
	char host[256];
	size_t size = match.size;
	while (size > 0 && match.data[size - 1] == '.')
		size--;
	if (size == 0 || size >= sizeof host)
		return false;
	for (size_t i = 0; i < size; i++)
		host[i] = match.data[i] >= 'A' && match.data[i] <= 'Z' ? (char)(match.data[i] | 0x20) : match.data[i];
	host[size] = '\0';
	const char *dot = strrchr(host, '.');
	return dot && dot > host &&
	       psl_is_public_suffix2(psl_builtin(), dot + 1, PSL_TYPE_ANY | PSL_TYPE_NO_STAR_RULE) == 1 &&
	       psl_is_public_suffix2(psl_builtin(), host, PSL_TYPE_ANY | PSL_TYPE_NO_STAR_RULE) == 0;
}

bool validate_email(struct table_cell match) {
	const char *at = memrchr(match.data, '@', match.size);
	size_t before = at ? (size_t)(at - match.data) : 0;
	return before > 0 && validate_host((struct table_cell){.data = at + 1, .size = match.size - before - 1});
}

bool validate_url(struct table_cell match) {
	const char *host = match.data, *end = match.data + match.size;
	const char *slashes = memmem(match.data, match.size, "://", 3);
	if (slashes)
		host = slashes + 3;
	size_t size = 0;
	while (host + size < end && !strchr("/:?#", host[size]))
		size++;
	if (validate_ipv4((struct table_cell){.data = host, .size = size}))
		return slashes != NULL;
	return validate_host((struct table_cell){.data = host, .size = size});
}

/* ---- dates and places ---- */

/* A day that a person alive may have been born on, in any of the usual orders; of a year of two digits, any. */
bool validate_date(struct table_cell match) {
	struct date date;
	return match.size > 0 && dates_read(match, &date) == match.size &&
	       (date.is_short || (date.year >= 1900 && date.year <= 2100));
}

bool validate_coordinates(struct table_cell match) {
	char text[80], *end;
	if (match.size >= sizeof text)
		return false;
	memcpy(text, match.data, match.size);
	text[match.size] = '\0';
	double latitude = strtod(text, &end);
	end += strspn(end, ",; \t");
	double longitude = strtod(end, NULL);
	return fabs(latitude) <= 90 && fabs(longitude) <= 180 && (latitude != 0 || longitude != 0);
}

/* ---- checks alone ---- */

bool validate_luhn(struct table_cell match) {
	uint8_t digits[MOST_DIGITS];
	size_t count = take_digits(match, digits);
	return !are_all_alike(digits, count) && has_luhn(digits, count);
}

bool validate_mod97(struct table_cell match) {
	unsigned rest = 0;
	for (size_t i = 0; i < match.size; i++)
		if (isalnum((unsigned char)match.data[i]))
			rest = add_to_rest(rest, match.data[i]);
	return rest == 1;
}

/* ---- by name ---- */

static const struct {
	const char *name;
	validate_function *validate;
} named[] = {{"aadhaar", validate_aadhaar}, {"bitcoin", validate_bitcoin}, {"card", validate_card},
        {"coordinates", validate_coordinates}, {"date", validate_date}, {"email", validate_email},
        {"host", validate_host}, {"iban", validate_iban}, {"ipv4", validate_ipv4}, {"ipv6", validate_ipv6},
        {"itin", validate_itin}, {"luhn", validate_luhn}, {"mac", validate_mac}, {"mod97", validate_mod97},
        {"nhs", validate_nhs}, {"nino", validate_nino}, {"ohip", validate_ohip}, {"phn", validate_phn},
        {"phone", validate_phone}, {"ramq", validate_ramq}, {"segwit", validate_segwit}, {"sin", validate_sin},
        {"ssn", validate_ssn}, {"tfn", validate_tfn}, {"url", validate_url}};

const char *validate_name(size_t i) {
	return i < sizeof named / sizeof *named ? named[i].name : NULL;
}

validate_function *validate_named(const char *name) {
	for (size_t i = 0; i < sizeof named / sizeof *named; i++)
		if (strcmp(named[i].name, name) == 0)
			return named[i].validate;
	return NULL;
}

bool validate_has_check_digit(validate_function *validate) {
	static validate_function *const all[] = {
	        validate_sin, validate_phn, validate_ohip, validate_nhs, validate_aadhaar, validate_tfn};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (all[i] == validate)
			return true;
	return false;
}
