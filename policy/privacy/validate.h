/*
 * validate: what the digits of an identifier say about themselves: check digits, structure, ranges.
 *
 * Each takes a match as it stands in the text, with whatever separators its pattern lets through, and answers whether
 * it can be what it looks like. No context is looked at, and nothing is looked up: an identifier that was never issued
 * passes, if it could have been.
 *
 *     Luhn                     ISO/IEC 7812-1: cards, SIN (Canada Revenue Agency), OHIP
 *     mod 97                   ISO 13616 (IBAN), with the countries' lengths of SWIFT's registry, release 99
 *     mod 11                   NHS numbers (NHS Data Dictionary), BC PHN (BC Ministry of Health), TFN (ATO)
 *     Verhoeff                 Aadhaar (UIDAI)
 *     Base58Check, Bech32      Bitcoin addresses (BIP 13, BIP 173, BIP 350)
 *     SSN, ITIN                structure: SSA POMS RM 10201, IRS
 *     host names               the last label is in the Public Suffix List (libpsl)
 *     luhn, mod97              the check alone, of any number or text (mod 97 as in ISO 7064, without moving anything)
 */
#pragma once

#include "policy/table/cell.h"

/* May the text be one? */
typedef bool validate_function(struct table_cell match);

validate_function validate_card, validate_iban, validate_ssn, validate_itin, validate_sin, validate_phn, validate_ohip,
        validate_ramq, validate_nhs, validate_nino, validate_aadhaar, validate_tfn, validate_bitcoin, validate_segwit,
        validate_ipv4, validate_ipv6, validate_mac, validate_phone, validate_host, validate_email, validate_url,
        validate_date, validate_coordinates, validate_luhn, validate_mod97;

/* One by its name, which is the function's without "validate_"; NULL: there is none. */
validate_function *validate_named(const char *name);

/* The i-th name, in alphabetical order; NULL behind the last. */
const char *validate_name(size_t i);

/* Does a check digit decide, so that of other numbers of its length one in ten or so would pass? NULL does not. Those
 * are left out that have ranges or lengths besides. */
bool validate_has_check_digit(validate_function *validate);
