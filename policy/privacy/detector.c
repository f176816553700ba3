#include "policy/privacy/detector.h"

#include <string.h>

/* No letter, digit or underscore before or behind. */
#define ALONE(expression) "(?<![\\w])(?:" expression ")(?![\\w])"
/* Of digits with separators: nor a separator and a digit, which would make another number of it. */
#define NUMBER(expression) "(?<![\\w])(?<![\\d][-. ])(?:" expression ")(?![\\w])(?![-. ]\\d)"

#define OCTET "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"
#define IPV4 OCTET "(?:\\." OCTET "){3}"
#define LABEL "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
#define HOST "(?:" LABEL "\\.)+(?:[a-z]{2,24}|xn--[a-z0-9-]{2,59})"

const struct detector detectors[] = {
        {"AU_TFN", NULL, NUMBER("\\d{3}([ -]?)\\d{3}\\1\\d{3}"), validate_tfn, 10, false,
                "tfn tax australian australia"},
        {"BANK_ACCOUNT", NULL, NUMBER("\\d{7,17}"), NULL, 10, true,
                "account bank acct iban routing transit savings checking"},
        {"CANADA_BC_PHN", NULL, NUMBER("9\\d{3}([ -]?)\\d{3}\\1\\d{3}"), validate_phn, 35, false,
                "phn health msp carecard personal"},
        {"CANADA_DRIVERS_LICENSE", NULL, NUMBER("\\d{7}"), NULL, 5, true,
                "driver driver's drivers licence license dl icbc"},
        {"CANADA_OHIP", NULL, NUMBER("\\d{4}([ -]?)\\d{3}\\1\\d{3}(?:[ -]?[A-Z]{2})?"), validate_ohip, 15, false,
                "ohip health ontario card"},
        {"CANADA_PASSPORT_NUMBER", NULL, ALONE("[A-Z]{2}\\d{6}|[A-Z]\\d{6}[A-Z]{2}"), NULL, 10, true,
                "passport passeport"},
        {"CANADA_POSTAL_CODE", "[A-Za-z]\\d[A-Za-z][ -]\\d[A-Za-z]\\d",
                ALONE("(?i)[abceghj-nprstvxy]\\d[abceghj-nprstv-z][ -]\\d[abceghj-nprstv-z]\\d"), NULL, 60, false,
                "postal code address"},
        {"CANADA_POSTAL_CODE", NULL, ALONE("[ABCEGHJ-NPRSTVXY]\\d[ABCEGHJ-NPRSTV-Z]\\d[ABCEGHJ-NPRSTV-Z]\\d"), NULL, 40,
                false, "postal code address"},
        {"CANADA_QUEBEC_HIN", "[A-Z]{4}[ -]?\\d{4}[ -]?\\d{4}", ALONE("[A-Z]{4}[ -]?\\d{4}[ -]?\\d{4}"), validate_ramq,
                60, false, "ramq nam health santé maladie"},
        {"CANADA_SIN", "\\d{3}[ -]\\d{3}[ -]\\d{3}", NUMBER("\\d{3}([ -])\\d{3}\\1\\d{3}"), validate_sin, 70, false,
                "sin social insurance nas"},
        {"CANADA_SIN", NULL, NUMBER("\\d{9}"), validate_sin, 15, false, "sin social insurance nas"},
        {"CREDIT_CARD", "\\d{4}[- ]?\\d{4}[- ]?\\d{4}",
                ALONE("\\d{4}([- ]?)\\d{4}\\1\\d{4}\\1\\d{1,7}|\\d{4}([- ])\\d{6}\\2\\d{4,5}|\\d{12,19}"),
                validate_card, 95, false, "card credit visa mastercard amex cc"},
        {"CRYPTO_WALLET", "[13][1-9A-HJ-NP-Za-km-z]{25}", ALONE("[13][1-9A-HJ-NP-Za-km-z]{25,34}"), validate_bitcoin,
                99, false, "wallet bitcoin btc"},
        {"CRYPTO_WALLET", "[bB][cC]1[0-9a-zA-Z]{11}", ALONE("(?i)bc1[02-9ac-hj-np-z]{11,87}"), validate_segwit, 99,
                false, "wallet bitcoin btc"},
        {"CRYPTO_WALLET", "0x[0-9a-fA-F]{40}", ALONE("0x[0-9a-fA-F]{40}"), NULL, 60, false,
                "wallet ethereum eth address"},
        {"DATE_OF_BIRTH", NULL,
                NUMBER("(?:19|20)\\d{2}[-/.]\\d{1,2}[-/.]\\d{1,2}|\\d{1,2}[-/.]\\d{1,2}[-/.](?:19|20)\\d{2}"),
                validate_date, 25, true, "birth born birthday birthdate dob bday"},
        {"EMAIL", "@[A-Za-z0-9]",
                "(?i)(?<![\\w.+-])[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*@" HOST
                "(?![a-z0-9-])",
                validate_email, 95, false, "email e-mail mail"},
        {"GPS_COORDINATES", NULL, "(?<![\\w.])-?\\d{1,2}\\.\\d{4,}[,; ]{1,2}-?\\d{1,3}\\.\\d{4,}(?![\\w.])",
                validate_coordinates, 30, false, "gps latitude longitude lat lon coordinates location geo"},
        {"IBAN", "[A-Z]{2}\\d{2}[ -]?[A-Z0-9]{4}[ -]?[A-Z0-9]{4}",
                "(?<![A-Za-z0-9])[A-Z]{2}\\d{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,3})?(?![A-Za-z0-9])",
                validate_iban, 99, false, "iban bank account transaction"},
        {"IN_AADHAAR", "\\d{4}[ -]\\d{4}[ -]\\d{4}", NUMBER("\\d{4}([ -])\\d{4}\\1\\d{4}"), validate_aadhaar, 60, false,
                "aadhaar uidai"},
        {"IN_AADHAAR", NULL, NUMBER("\\d{12}"), validate_aadhaar, 15, false, "aadhaar uidai"},
        {"IP_ADDRESS", NULL, "(?<![\\w.:])" IPV4 "(?:/\\d{1,2}(?!\\d))?(?![\\w:])(?!\\.\\d)", validate_ipv4, 45, false,
                "ip ipv4 address host server client remote"},
        {"IP_ADDRESS", "[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:",
                "(?i)(?<![\\w:.])(?:[0-9a-f]{0,4}:){2,7}(?:" IPV4 "|[0-9a-f]{0,4})(?:%[a-z0-9]+)?(?:/\\d{1,3})?"
                "(?![\\w:])(?!\\.\\w)",
                validate_ipv6, 60, false, "ip ipv6 address host server client remote"},
        {"MAC_ADDRESS", "[0-9A-Fa-f]{2}[:-][0-9A-Fa-f]{2}[:-][0-9A-Fa-f]{2}[:-]",
                "(?i)(?<![\\w:-])[0-9a-f]{2}(?:([:-])[0-9a-f]{2})(?:\\1[0-9a-f]{2}){4}(?![\\w:-])", validate_mac, 80,
                false, "mac ethernet hardware wifi"},
        {"PHONE_NUMBER", "\\+\\d", "(?<![\\w+])\\+\\d{1,3}(?:[-. ]?\\(?\\d{1,4}\\)?){2,5}(?![\\w])", validate_phone, 70,
                false, "phone telephone tel mobile cell fax call"},
        {"PHONE_NUMBER", "\\d{3}[-. ]\\d{4}",
                "(?<![\\w+.(-])(?:\\d{1,3}[-. ])?(?:\\(\\d{3}\\) ?|\\d{3}[-. ])\\d{3}[-. ]\\d{4}(?![\\w-])",
                validate_phone, 60, false, "phone telephone tel mobile cell fax call"},
        {"PHONE_NUMBER", NULL, NUMBER("[2-9]\\d{2}[2-9]\\d{6}"), validate_phone, 10, false,
                "phone telephone tel mobile cell fax call"},
        {"SECRET", "A[KS]IA[0-9A-Z]{16}", ALONE("A(?:KIA|SIA)[0-9A-Z]{16}"), NULL, 95, false, "key aws secret access"},
        {"SECRET", "gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9]|glpat-[A-Za-z0-9]",
                ALONE("gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,}|glpat-[A-Za-z0-9_-]{20,}"), NULL, 99,
                false, "token"},
        {"SECRET", "sk_(?:live|test)_[A-Za-z0-9]|sk-[A-Za-z0-9_-]{32}|AIza[0-9A-Za-z_-]{35}",
                ALONE("sk_(?:live|test)_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{32,}|AIza[0-9A-Za-z_-]{35}"), NULL, 95, false,
                "key secret api"},
        {"SECRET", "xox[abeprs]-[A-Za-z0-9]", ALONE("xox[abeprs]-[A-Za-z0-9-]{10,}"), NULL, 95, false, "token slack"},
        {"SECRET", "eyJ[A-Za-z0-9_-]{8}", ALONE("eyJ[A-Za-z0-9_-]{8,}\\.eyJ[A-Za-z0-9_-]{8,}\\.[A-Za-z0-9_-]{8,}"),
                NULL, 90, false, "token jwt"},
        {"SECRET", "PRIVATE KEY", "-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----", NULL, 99, false, "key"},
        {"STREET_ADDRESS",
                " (?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Drive|Dr|Lane|Ln|Crescent|Cres|Court|Ct|Way|Place|Pl|"
                "Highway|Hwy)",
                ALONE("\\d{1,5} (?:[NSEW]\\.? )?(?:[A-Z0-9][\\w'.-]* "
                      "){1,3}(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|"
                      "Drive|Dr|Lane|Ln|Crescent|Cres|Court|Ct|Way|Place|Pl|Highway|Hwy)"),
                NULL, 60, false, "address street lives residence"},
        {"UK_NHS_NUMBER", "\\d{3}[ -]\\d{3}[ -]\\d{4}", NUMBER("\\d{3}([ -])\\d{3}\\1\\d{4}"), validate_nhs, 60, false,
                "nhs health"},
        {"UK_NHS_NUMBER", NULL, NUMBER("\\d{10}"), validate_nhs, 15, false, "nhs health"},
        {"UK_NINO", "[A-Za-z]{2} ?\\d{2} ?\\d{2} ?\\d{2} ?[A-Da-d]",
                ALONE("(?i)[abceghj-prstw-z][abceghj-nprstw-z] ?\\d{2} ?\\d{2} ?\\d{2} ?[a-d]"), validate_nino, 60,
                false, "nino national insurance"},
        {"URL", "://",
                "(?i)(?<![\\w@])(?:https?|ftps?|wss?)://(?:" HOST "|" IPV4 ")(?::\\d{1,5})?(?:[/?#][^\\s\"'<>]*)?",
                validate_url, 60, false, "url website link"},
        {"URL", NULL,
                "(?i)(?<![\\w@./:-])(?!www\\.[^.\\s]+(?![\\w.]))" HOST "(?::\\d{1,5})?(?:/[^\\s\"'<>]*)?(?![\\w@-])",
                validate_url, 20, false, "url website link site domain"},
        {"USA_DRIVING_LICENSE", NULL, ALONE("[A-Z]\\d{7,8}|[A-Z]\\d{12}|[A-Z]{1,2}\\d{5,6}"), NULL, 5, true,
                "driver driver's drivers licence license driving dl"},
        {"USA_ITIN", NULL, NUMBER("9\\d{2}([- ]?)\\d{2}\\1\\d{4}"), validate_itin, 40, false,
                "itin taxpayer tax individual"},
        {"USA_PASSPORT_NUMBER", NULL, ALONE("[A-Z]\\d{8}"), NULL, 10, true, "passport travel"},
        {"USA_SSN", "\\d{3}-\\d{2}-\\d{4}", NUMBER("\\d{3}-\\d{2}-\\d{4}"), validate_ssn, 55, false,
                "ssn social security"},
        {"USA_SSN", NULL, NUMBER("\\d{3}([ .])\\d{2}\\1\\d{4}"), validate_ssn, 30, false, "ssn social security"},
        {"USA_SSN", NULL, ALONE("\\d{9}|\\d{3}-\\d{6}|\\d{5}-\\d{4}"), validate_ssn, 5, false, "ssn social security"},
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
