#include "policy/privacy/detector.h"

#include "policy/privacy/person.h"

#include <ctype.h>
#include <string.h>

/* No letter, digit or underscore before or behind. */
#define ALONE(expression) "(?<![\\w])(?:" expression ")(?![\\w])"
/* Of digits with separators: nor a separator and a digit, which would make another number of it. */
#define NUMBER(expression) "(?<![\\w])(?<![\\d][-. ])(?:" expression ")(?![\\w])(?![-. ]\\d)"

/* No decimals of a number. */
#define NO_DECIMALS "(?<!\\d\\.)"

#define OCTET "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"
#define IPV4 OCTET "(?:\\." OCTET "){3}"
#define LABEL "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
#define HOST "(?:" LABEL "\\.)+(?:[a-z]{2,24}|xn--[a-z0-9-]{2,59})"

/* Parts of a date with a month's name; which names there are the validator knows. Behind one stands nothing that would
 * make another number of the year, or a time. */
#define DATE_ALONE(expression) "(?<![\\w])(?<![\\d][-./])(?i:" expression ")(?![\\w])(?![-./:]\\d)"
#define DAY "\\d{1,2}(?:st|nd|rd|th|er|re|e)?"
#define MONTH "[jfmasond][\\p{L}\\p{M}]{2,9}"
#define YEAR "(?:\\d{4}|\\d{2})"
#define BIRTH "birth born birthday birthdate dob bday naissance né née nÉ nÉe nee_le nee_en ddn anniversaire"

/* Letters beyond ASCII of scripts whose words stand between blanks: of others a sentence would be taken for a name. */
#define WIDE "a-z0-9\\p{Latin}\\p{Greek}\\p{Cyrillic}\\p{Mn}"
#define WIDE_LABEL "[" WIDE "](?:[" WIDE "-]{0,61}[" WIDE "])?"
#define WIDE_LOCAL "[" WIDE "!#$%&'*+/=?^_`{|}~-]+"

/* The hint, or the context, is enough. */
#define NO_NEEDS \
	{ 0, 0, 0, 0, 0 }

/* Whose names say that they hold persons' names, parts of these among them, and those which persons stand in. */
#define PERSON_PARTS                                                                                              \
	"first_name firstname fname last_name lastname lname surname given_name given_names givenname forename "  \
	"middle_name "                                                                                            \
	"family_name maiden_name nickname nom prénom prenom nom_de_famille vorname nachname apellido apellidos " \
	"nombre "
#define PERSON_COLUMNS                                                                                               \
	PERSON_PARTS "full_name fullname legal_name display_name person_name owner_name customer_name contact_name " \
	             "patient_name "                                                                                 \
	             "employee_name client_name applicant_name student_name parent_name guardian_name teacher_name " \
	             "tenant_name "                                                                                  \
	             "driver_name member_name user_real_name account_holder cardholder cardholder_name "             \
	             "beneficiary_name passenger_name "                                                              \
	             "insured_name doctor_name physician =owner =customer =contact =patient =employee =client "      \
	             "=applicant =student "                                                                          \
	             "=teacher =tenant =guardian =passenger =author "
#define PERSON_ROLES                                                                                              \
	"owner customer contact patient employee client applicant student parent guardian teacher tenant member " \
	"passenger "                                                                                              \
	"author mr mrs ms miss dr mme monsieur madame sir dear signed"

static const struct closer_look person_known = {.hint = person_hint,
        .find = person_find,
        .rate = person_rate,
        .is_other = person_is_thing,
        .is_keyed = person_is_keyed,
        .no_keys = PERSON_THINGS};
static const struct closer_look person_unknown = {.find = person_find, .rate = person_rate_unknown, .by_column = true};
static const struct closer_look person_single = {.by_column = true};

/* An address has "::", or six colons at least, which a time has not: with "::" or six as Hyperscan's hint all of the
 * lost-and-found file takes a fifth longer. */
static int find_ipv6(struct table_cell cell, size_t from, size_t *ret_start, size_t *ret_end) {
	unsigned colons = 0;
	*ret_start = *ret_end = from;
	for (size_t at = from; at < cell.size; at++) {
		colons += cell.data[at] == ':';
		if (colons == 6 || (cell.data[at] == ':' && at > from && cell.data[at - 1] == ':'))
			return -1;
	}
	return 0;
}

static const struct closer_look address_ipv6 = {.find = find_ipv6};

/* Addresses in ASCII alone are found without. */
static int find_wide(struct table_cell cell, size_t from, size_t *ret_start, size_t *ret_end) {
	*ret_start = *ret_end = from;
	for (size_t at = from; at < cell.size; at++)
		if ((unsigned char)cell.data[at] >= 0x80)
			return -1;
	return 0;
}

static const struct closer_look wide_address = {.find = find_wide};

/* Three, three and four digits with hyphens are how North America writes telephone numbers, and one of these in eleven
 * passes for an NHS number: what can be such a one needs a word beside it. */
static unsigned rate_nhs(struct table_cell *match) {
	bool is_phone = memchr(match->data, '-', match->size) && validate_phone(*match);
	return is_phone ? 40 : 60;
}

static const struct closer_look health_number = {.rate = rate_nhs};

/* A host that the Public Suffix List does not end is one within a network (corp.local, hq.internal), or a sentence
 * without a blank behind its full stop: that begins with a capital, and the address ends before it. */
static unsigned rate_email(struct table_cell *match) {
	struct table_cell address = *match;
	while (!validate_email(address)) {
		const char *dot = memrchr(address.data, '.', address.size);
		bool is_sentence = dot && isupper((unsigned char)dot[1]) && !isupper((unsigned char)dot[-1]);
		if (!is_sentence)
			return 40;
		address.size = (size_t)(dot - address.data);
	}
	*match = address;
	return 95;
}

static const struct closer_look address_email = {.rate = rate_email};

const struct detector detectors[] = {
        {"AU_TFN", NULL, NUMBER("\\d{3}([ -]?)\\d{3}\\1\\d{3}"), validate_tfn, 10, false,
                "tfn tax australian australia", {9, 0, 0, 0, SHAPE_NUMBER}, NULL},
        {"BANK_ACCOUNT", NULL, NUMBER("\\d{7,17}"), NULL, 10, true,
                "account bank acct iban routing transit savings checking", {7, 0, 0, 7, SHAPE_NUMBER}, NULL},
        {"CANADA_BC_PHN", NULL, NUMBER("9\\d{3}([ -]?)\\d{3}\\1\\d{3}"), validate_phn, 35, false,
                "phn health msp carecard personal", {10, 0, 0, 0, SHAPE_NUMBER}, NULL},
        {"CANADA_DRIVERS_LICENSE", NULL, NUMBER("\\d{7}"), NULL, 5, true,
                "driver driver's drivers licence license dl icbc", {7, 0, 0, 7, SHAPE_NUMBER}, NULL},
        {"CANADA_OHIP", NULL, NUMBER("\\d{4}([ -]?)\\d{3}\\1\\d{3}(?:[ -]?[A-Z]{2})?"), validate_ohip, 15, false,
                "ohip health ontario card", {10, 0, 0, 0, SHAPE_NUMBER}, NULL},
        {"CANADA_PASSPORT_NUMBER", NULL, ALONE("[A-Z]{2}\\d{6}|[A-Z]\\d{6}[A-Z]{2}"), NULL, 10, true,
                "passport passeport", {6, 2, 2, 8, 0}, NULL},
        {"CANADA_POSTAL_CODE", NULL, ALONE("(?i)[abceghj-nprstvxy]\\d[abceghj-nprstv-z][ -]\\d[abceghj-nprstv-z]\\d"),
                NULL, 60, false, "postal code address", {3, 3, 0, 7, SHAPE_POSTAL}, NULL},
        {"CANADA_POSTAL_CODE", NULL, ALONE("[ABCEGHJ-NPRSTVXY]\\d[ABCEGHJ-NPRSTV-Z]\\d[ABCEGHJ-NPRSTV-Z]\\d"), NULL, 40,
                false, "postal code address", {3, 3, 3, 6, SHAPE_POSTAL}, NULL},
        {"CANADA_QUEBEC_HIN", NULL, ALONE("[A-Z]{4}[ -]?\\d{4}[ -]?\\d{4}"), validate_ramq, 60, false,
                "ramq nam health santé maladie", {8, 4, 4, 12, SHAPE_HIN}, NULL},
        {"CANADA_SIN", NULL, NUMBER("\\d{3}([ -])\\d{3}\\1\\d{3}"), validate_sin, 70, false, "sin social insurance nas",
                {9, 0, 0, 11, SHAPE_NUMBER | SHAPE_333}, NULL},
        {"CANADA_SIN", NULL, NUMBER("\\d{9}"), validate_sin, 15, false, "sin social insurance nas",
                {9, 0, 0, 0, SHAPE_NUMBER}, NULL},
        {"CREDIT_CARD", NULL,
                NO_DECIMALS ALONE("\\d{4}([- ]?)\\d{4}\\1\\d{4}\\1\\d{1,7}|\\d{4}([- ])\\d{6}\\2\\d{4,5}|\\d{12,19}"),
                validate_card, 95, false, "card credit visa mastercard amex cc", {12, 0, 0, 0, SHAPE_NUMBER}, NULL},
        {"CRYPTO_WALLET", NULL, ALONE("[13][1-9A-HJ-NP-Za-km-z]{25,34}"), validate_bitcoin, 99, false,
                "wallet bitcoin btc", {1, 1, 0, 26, SHAPE_LONG}, NULL},
        {"CRYPTO_WALLET", "[bB][cC]1", ALONE("(?i)bc1[02-9ac-hj-np-z]{11,87}"), validate_segwit, 99, false,
                "wallet bitcoin btc", {1, 2, 0, 14, 0}, NULL},
        {"CRYPTO_WALLET", "0x", ALONE("0x[0-9a-fA-F]{40}"), NULL, 60, false, "wallet ethereum eth address",
                {1, 1, 0, 42, 0}, NULL},
        {"DATE_OF_BIRTH", NULL,
                "(?<![\\w])(?<![\\d][-. ])"
                "(?:(?:19|20)\\d{2}[-/.]\\d{1,2}[-/.]\\d{1,2}|\\d{1,2}[-/.]\\d{1,2}[-/.](?:19|20)\\d{2})"
                "(?:(?=[T ]\\d{2}:\\d{2})|(?![\\w])(?![-. ]\\d))",
                validate_date, 25, true, BIRTH, {6, 0, 0, 8, SHAPE_NUMBER}, NULL},
        {"DATE_OF_BIRTH", NULL, DATE_ALONE("\\d{1,2}([-/.])\\d{1,2}\\1\\d{2}"), validate_date, 20, true, BIRTH,
                {4, 0, 0, 6, SHAPE_NUMBER | SHAPE_NUMBERS}, NULL},
        {"DATE_OF_BIRTH", NULL,
                DATE_ALONE(DAY "[-./ ]{0,2}(?:of )?" MONTH "[-./, ']{0,3}" YEAR "|" MONTH "[-./ ]{0,2}" DAY
                               "[-./, ']{1,3}" YEAR "|\\d{4}[-./ ]{0,2}" MONTH "[-./ ]{0,2}\\d{1,2}"),
                validate_date, 25, true, BIRTH, {3, 2, 0, 6, SHAPE_NUMBERS}, NULL},
        {"EMAIL", "@[A-Za-z0-9]",
                "(?i)(?<![\\w.+-])[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*@" HOST
                "(?![a-z0-9-])",
                NULL, 95, false, "email e-mail mail", NO_NEEDS, &address_email},
        {"EMAIL", "@[^\\x00-/:-@\\[-`{-\\x7f]",
                "(?i)(?<![" WIDE "_.+-])(?=[^\\s,;:<>\"()]{0,255}?[^\\x00-\\x7f])" WIDE_LOCAL "(?:\\." WIDE_LOCAL
                ")*@(?:" WIDE_LABEL "\\.)+[" WIDE "-]{2,63}(?![" WIDE "-])",
                validate_email, 95, false, "email e-mail mail", NO_NEEDS, &wide_address},
        {"GPS_COORDINATES", NULL, "(?<![\\w.])-?\\d{1,2}\\.\\d{4,}[,; ]{1,2}-?\\d{1,3}\\.\\d{4,}(?![\\w.])",
                validate_coordinates, 30, false, "gps latitude longitude lat lon coordinates location geo",
                {10, 0, 0, 0, SHAPE_NUMBER}, NULL},
        {"IBAN", NULL, "(?<![A-Za-z0-9])[A-Z]{2}\\d{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,3})?(?![A-Za-z0-9])",
                validate_iban, 99, false, "iban bank account transaction", {7, 2, 2, 15, SHAPE_IBAN}, NULL},
        {"IN_AADHAAR", NULL, NUMBER("\\d{4}([ -])\\d{4}\\1\\d{4}"), validate_aadhaar, 60, false, "aadhaar uidai",
                {12, 0, 0, 14, SHAPE_NUMBER | SHAPE_444}, NULL},
        {"IN_AADHAAR", NULL, NUMBER("\\d{12}"), validate_aadhaar, 15, false, "aadhaar uidai",
                {12, 0, 0, 0, SHAPE_NUMBER}, NULL},
        {"IP_ADDRESS", "\\d\\.\\d", "(?<![\\w.:])" IPV4 "(?:/\\d{1,2}(?!\\d))?(?![\\w:])(?!\\.\\d)", validate_ipv4, 45,
                false, "ip ipv4 address host server client remote", {4, 0, 0, 7, SHAPE_NUMBER}, NULL},
        {"IP_ADDRESS", ":[0-9A-Fa-f]{0,4}:",
                "(?i)(?<![\\w:.])(?:[0-9a-f]{0,4}:){2,7}(?:" IPV4 "|[0-9a-f]{0,4})(?:%[a-z0-9]+)?(?:/\\d{1,3})?"
                "(?![\\w:])(?!\\.\\w)",
                validate_ipv6, 60, false, "ip ipv6 address host server client remote", NO_NEEDS, &address_ipv6},
        {"MAC_ADDRESS", "[:-][0-9A-Fa-f]{2}[:-][0-9A-Fa-f]{2}[:-]",
                "(?i)(?<![\\w:-])[0-9a-f]{2}(?:([:-])[0-9a-f]{2})(?:\\1[0-9a-f]{2}){4}(?![\\w:-])", validate_mac, 80,
                false, "mac ethernet hardware wifi", {0, 0, 0, 17, 0}, NULL},
        {"PERSON_NAME", NULL, PERSON_RUN, NULL, 60, false, PERSON_COLUMNS PERSON_ROLES, NO_NEEDS, &person_known},
        {"PERSON_NAME", NULL, PERSON_RUN, NULL, 20, true, PERSON_COLUMNS, NO_NEEDS, &person_unknown},
        {"PERSON_NAME", NULL, PERSON_SINGLE, NULL, 25, true, PERSON_PARTS, NO_NEEDS, &person_single},
        {"PHONE_NUMBER", "\\+\\d", "(?<![\\w+])\\+\\d{1,3}(?:[-. ]?\\(?\\d{1,4}\\)?){2,5}(?![\\w])", validate_phone, 70,
                false, "phone telephone tel mobile cell fax call", NO_NEEDS, NULL},
        {"PHONE_NUMBER", NULL,
                "(?<![\\w+.(-])(?:\\d{1,3}[-. ])?(?:\\(\\d{3}\\) ?|\\d{3}[-. ])\\d{3}[-. ]\\d{4}(?![\\w-])",
                validate_phone, 60, false, "phone telephone tel mobile cell fax call",
                {10, 0, 0, 12, SHAPE_NUMBER | SHAPE_34}, NULL},
        {"PHONE_NUMBER", NULL, NUMBER("[2-9]\\d{2}[2-9]\\d{6}"), validate_phone, 10, false,
                "phone telephone tel mobile cell fax call", {10, 0, 0, 0, SHAPE_NUMBER}, NULL},
        {"SECRET", "AKIA|ASIA", ALONE("A(?:KIA|SIA)[0-9A-Z]{16}"), NULL, 95, false, "key aws secret access", NO_NEEDS,
                NULL},
        {"SECRET", "gh[pousr]_|github_pat_|glpat-",
                ALONE("gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,}|glpat-[A-Za-z0-9_-]{20,}"), NULL, 99,
                false, "token", NO_NEEDS, NULL},
        {"SECRET", "sk_(?:live|test)_|sk-|AIza",
                ALONE("sk_(?:live|test)_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{32,}|AIza[0-9A-Za-z_-]{35}"), NULL, 95, false,
                "key secret api", NO_NEEDS, NULL},
        {"SECRET", "xox[abeprs]-", ALONE("xox[abeprs]-[A-Za-z0-9-]{10,}"), NULL, 95, false, "token slack", NO_NEEDS,
                NULL},
        {"SECRET", "eyJ", ALONE("eyJ[A-Za-z0-9_-]{8,}\\.eyJ[A-Za-z0-9_-]{8,}\\.[A-Za-z0-9_-]{8,}"), NULL, 90, false,
                "token jwt", NO_NEEDS, NULL},
        {"SECRET", "PRIVATE KEY", "-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----", NULL, 99, false, "key",
                NO_NEEDS, NULL},
        {"STREET_ADDRESS",
                " (?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Drive|Dr|Lane|Ln|Crescent|Cres|Court|Ct|Way|Place|Pl|"
                "Highway|Hwy)",
                ALONE("\\d{1,5} (?:[NSEW]\\.? )?(?:[A-Z0-9][\\w'.-]* "
                      "){1,3}(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|"
                      "Drive|Dr|Lane|Ln|Crescent|Cres|Court|Ct|Way|Place|Pl|Highway|Hwy)"),
                NULL, 60, false, "address street lives residence", NO_NEEDS, NULL},
        {"UK_NHS_NUMBER", NULL, NUMBER("\\d{3}([ -])\\d{3}\\1\\d{4}"), validate_nhs, 60, false, "nhs health",
                {10, 0, 0, 12, SHAPE_NUMBER | SHAPE_334}, &health_number},
        {"UK_NHS_NUMBER", NULL, NUMBER("\\d{10}"), validate_nhs, 15, false, "nhs health", {10, 0, 0, 0, SHAPE_NUMBER},
                NULL},
        {"UK_NINO", NULL, ALONE("(?i)[abceghj-prstw-z][abceghj-nprstw-z] ?\\d{2} ?\\d{2} ?\\d{2} ?[a-d]"),
                validate_nino, 60, false, "nino national insurance", {6, 3, 0, 9, SHAPE_NINO}, NULL},
        {"URL", "://",
                "(?i)(?<![\\w@])(?:https?|ftps?|wss?)://(?:" HOST "|" IPV4 ")(?::\\d{1,5})?(?:[/?#][^\\s\"'<>]*)?",
                validate_url, 60, false, "url website link", NO_NEEDS, NULL},
        {"URL", "[A-Za-z0-9]\\.[A-Za-z]",
                "(?i)(?<![\\w@./:-])(?!www\\.[^.\\s]+(?![\\w.]))" HOST "(?::\\d{1,5})?(?:/[^\\s\"'<>]*)?(?![\\w@-])",
                validate_url, 20, false, "url website link site domain", NO_NEEDS, NULL},
        {"USA_DRIVING_LICENSE", NULL, ALONE("[A-Z]\\d{7,8}|[A-Z]\\d{12}|[A-Z]{1,2}\\d{5,6}"), NULL, 5, true,
                "driver driver's drivers licence license driving dl", {5, 1, 1, 6, 0}, NULL},
        {"USA_ITIN", NULL, NUMBER("9\\d{2}([- ]?)\\d{2}\\1\\d{4}"), validate_itin, 40, false,
                "itin taxpayer tax individual", {9, 0, 0, 0, SHAPE_NUMBER}, NULL},
        {"USA_PASSPORT_NUMBER", NULL, ALONE("[A-Z]\\d{8}"), NULL, 10, true, "passport travel", {8, 1, 1, 9, 0}, NULL},
        {"USA_SSN", NULL, NUMBER("\\d{3}-\\d{2}-\\d{4}"), validate_ssn, 55, false, "ssn social security",
                {9, 0, 0, 11, SHAPE_NUMBER | SHAPE_324}, NULL},
        {"USA_SSN", NULL, NUMBER("\\d{3}([ .])\\d{2}\\1\\d{4}"), validate_ssn, 30, false, "ssn social security",
                {9, 0, 0, 11, SHAPE_NUMBER | SHAPE_324}, NULL},
        {"USA_SSN", NULL, NO_DECIMALS ALONE("\\d{9}|\\d{3}-\\d{6}|\\d{5}-\\d{4}"), validate_ssn, 5, false,
                "ssn social security", {9, 0, 0, 0, SHAPE_NUMBER}, NULL},
        {0},
};

const char *detector_next_entity(const char *entity) {
	const char *next = NULL;
	for (const struct detector *detector = detectors; detector->entity; detector++)
		if ((!entity || strcmp(detector->entity, entity) > 0) && (!next || strcmp(detector->entity, next) < 0))
			next = detector->entity;
	return next;
}

bool detector_is_entity(const char *entity) {
	for (const struct detector *detector = detectors; detector->entity; detector++)
		if (strcmp(detector->entity, entity) == 0)
			return true;
	return false;
}

bool detector_may_match(const struct detector *detector, const struct shapes *shapes) {
	unsigned digits = detector->needs.shape & SHAPE_NUMBER ? shapes->number : shapes->digits;
	unsigned code = detector->needs.shape & ~(unsigned)SHAPE_NUMBER;
	return digits >= detector->needs.digits && shapes->letters >= detector->needs.letters &&
	       shapes->uppers >= detector->needs.uppers && shapes->size >= detector->needs.size &&
	       (shapes->codes & code) == code;
}
