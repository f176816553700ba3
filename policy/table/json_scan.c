#include "policy/table/json_scan.h"

#include "policy/table/utf8.h"

#include <stdint.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

static bool fail(struct json_scan *scan, const char *at, const char *wrong) {
	scan->at = at;
	scan->wrong = wrong;
	return false;
}

static inline const char *skip_space(const char *p, const char *end) {
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
		p++;
	return p;
}

bool json_scan_take(struct json_scan *scan, char c) {
	scan->at = skip_space(scan->at, scan->end);
	if (scan->at == scan->end || *scan->at != c)
		return false;
	scan->at++;
	return true;
}

bool json_scan_ends(struct json_scan *scan) {
	scan->at = skip_space(scan->at, scan->end);
	return scan->at == scan->end;
}

/* ---- strings ---- */

/* The first byte that is a quote, a backslash or a control character, or end. */
static inline const char *find_special(const char *p, const char *end) {
#ifdef __SSE2__
	const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), control = _mm_set1_epi8(0x1f);
	for (; p < end; p += 16) {
		__m128i chunk = _mm_loadu_si128((const __m128i *)(const void *)p);
		__m128i hit = _mm_or_si128(_mm_cmpeq_epi8(chunk, quote), _mm_cmpeq_epi8(chunk, backslash));
		hit = _mm_or_si128(hit, _mm_cmpeq_epi8(_mm_min_epu8(chunk, control), chunk));
		unsigned mask = (unsigned)_mm_movemask_epi8(hit);
		if (mask != 0) {
			p += __builtin_ctz(mask);
			return p < end ? p : end;
		}
	}
	return end;
#else
	while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p > 0x1f)
		p++;
	return p;
#endif
}

static int hex_digit(char c) {
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* \uXXXX at p; -1 if it is none. */
static int32_t code_unit(const char *p, const char *end) {
	int32_t code = 0;
	if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
		return -1;
	for (size_t i = 2; i < 6; i++) {
		int digit = hex_digit(p[i]);
		if (digit < 0)
			return -1;
		code = code * 16 + digit;
	}
	return code;
}

/* Length of the escape at p, whose code point is told; 0: it is none. */
static size_t escape_at(const char *p, const char *end, uint32_t *ret_code) {
	static const char letters[] = "\"\\/bfnrt", codes[] = "\"\\/\b\f\n\r\t";
	const char *letter = end - p >= 2 && p[1] ? strchr(letters, p[1]) : NULL;
	if (letter) {
		*ret_code = (uint32_t)codes[letter - letters];
		return 2;
	}
	int32_t high = code_unit(p, end);
	if (high <= 0 || (high >= 0xdc00 && high <= 0xdfff))
		return 0;
	*ret_code = (uint32_t)high;
	if (high < 0xd800 || high > 0xdbff)
		return 6;
	int32_t low = code_unit(p + 6, end);
	if (low < 0xdc00 || low > 0xdfff)
		return 0;
	*ret_code = 0x10000 + (((uint32_t)high - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
	return 12;
}

/* `at` stands behind the opening quote. */
static bool scan_string(struct json_scan *scan, struct json_value *ret_value) {
	const char *p = scan->at;
	uint32_t code;
	*ret_value = (struct json_value){.kind = JSON_KIND_STRING};
	for (;;) {
		p = find_special(p, scan->end);
		if (p == scan->end)
			return fail(scan, p, "the string is not closed on its line");
		if (*p == '"')
			break;
		if (*p != '\\')
			return fail(scan, p, "a control character in a string must be escaped");
		size_t length = escape_at(p, scan->end, &code);
		if (length == 0)
			return fail(scan, p, "this escape is no text");
		p += length;
		ret_value->escaped = true;
	}
	ret_value->text = (struct table_cell){.data = scan->at, .size = (size_t)(p - scan->at)};
	scan->at = p + 1;
	return true;
}

size_t json_unescape(char *text, size_t size) {
	const char *p = text, *end = text + size;
	char *to = text;
	uint32_t code = 0;
	while (p < end) {
		size_t length = *p == '\\' ? escape_at(p, end, &code) : 0;
		if (length == 0) {
			*to++ = *p++;
			continue;
		}
		to += utf8_put(to, code);
		p += length;
	}
	return (size_t)(to - text);
}

size_t json_escape_size(const char *at, const char *end, size_t *ret_bytes) {
	uint32_t code = 0;
	size_t length = at < end && *at == '\\' ? escape_at(at, end, &code) : 0;
	*ret_bytes = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	return length;
}

/* ---- the other values ---- */

static const char *skip_digits(const char *p, const char *end) {
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p;
}

static bool scan_number(struct json_scan *scan) {
	const char *p = scan->at, *end = scan->end;
	p += p < end && *p == '-';
	const char *digits = p;
	p = skip_digits(p, end);
	if (p == digits || (*digits == '0' && p - digits > 1))
		return fail(scan, digits, "this is no value");
	if (p < end && *p == '.') {
		digits = ++p;
		p = skip_digits(p, end);
		if (p == digits)
			return fail(scan, p, "a digit is missing behind the point");
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		p += p < end && (*p == '-' || *p == '+');
		digits = p;
		p = skip_digits(p, end);
		if (p == digits)
			return fail(scan, p, "a digit is missing in the exponent");
	}
	scan->at = p;
	return true;
}

static bool scan_word(struct json_scan *scan, const char *word) {
	size_t size = strlen(word);
	if ((size_t)(scan->end - scan->at) < size || memcmp(scan->at, word, size) != 0)
		return fail(scan, scan->at, "this is no value");
	scan->at += size;
	return true;
}

/* `at` stands behind the bracket that opens it. */
static bool scan_nested(struct json_scan *scan, unsigned depth, bool is_object) {
	struct json_value ignored;
	if (json_scan_take(scan, is_object ? '}' : ']'))
		return true;
	do {
		if (is_object) {
			if (!json_scan_key(scan, &ignored))
				return false;
			if (!json_scan_take(scan, ':'))
				return fail(scan, scan->at, "a colon is missing behind the key");
		}
		if (!json_scan_value(scan, depth, &ignored))
			return false;
	} while (json_scan_take(scan, ','));
	return json_scan_take(scan, is_object ? '}' : ']') ||
	       fail(scan, scan->at,
	               is_object ? "a comma or } is missing (one object stands on one line)"
	                         : "a comma or ] is missing (one object stands on one line)");
}

bool json_scan_key(struct json_scan *scan, struct json_value *ret_key) {
	return json_scan_take(scan, '"') ? scan_string(scan, ret_key)
	                                 : fail(scan, scan->at, "a key in quotes is missing");
}

bool json_scan_value(struct json_scan *scan, unsigned depth, struct json_value *ret_value) {
	const char *from = scan->at = skip_space(scan->at, scan->end);
	char first = from < scan->end ? *from : 0;
	bool done;
	*ret_value = (struct json_value){.kind = JSON_KIND_NUMBER};
	switch (first) {
	case '"':
		scan->at++;
		return scan_string(scan, ret_value);
	case '{':
	case '[':
		ret_value->kind = JSON_KIND_NESTED;
		if (depth == 0)
			return fail(scan, from, NULL);
		scan->at++;
		done = scan_nested(scan, depth - 1, first == '{');
		break;
	case 't':
	case 'f':
		ret_value->kind = JSON_KIND_BOOLEAN;
		done = scan_word(scan, first == 't' ? "true" : "false");
		break;
	case 'n':
		ret_value->kind = JSON_KIND_NULL;
		done = scan_word(scan, "null");
		break;
	default:
		done = scan_number(scan);
	}
	if (done)
		ret_value->text = (struct table_cell){.data = from, .size = (size_t)(scan->at - from)};
	return done;
}
