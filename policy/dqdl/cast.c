#include "policy/dqdl/cast.h"

#include "crypto/base/fault.h"
#include "policy/dqdl/calendar.h"
#include "policy/dqdl/value.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

#define PRECISION_MAX 38u

const char *const cast_formats[] = {"yyyy-MM-dd", "dd-MM-yyyy", "MM-dd-yyyy", "yyyy/MM/dd", "dd/MM/yyyy", "MM/dd/yyyy",
        "yyyy-MM", "MM-yyyy", "yyyy/MM", "MM/yyyy", "MM-dd", "dd-MM", "MM/dd", "dd/MM", NULL};

/* ---- names ---- */

static int parse_decimal(const char *arguments, struct cast *ret_cast) {
	unsigned precision = 10, scale = 0;
	char close = ')', more = '\0';
	int fields = *arguments ? sscanf(arguments, "(%2u,%2u%c%c", &precision, &scale, &close, &more) : 0;
	if (fields == 1)
		fields = sscanf(arguments, "(%2u%c%c", &precision, &close, &more) == 2 ? 3 : -1;
	bool fits = (fields == 0 && !*arguments) || (fields == 3 && close == ')');
	if (!fits || precision < 1 || precision > PRECISION_MAX || scale > precision)
		return fault(EINVAL,
		        "DECIMAL%.40s is no type: DECIMAL(digits in all, up to 38, digits behind the point)",
		        arguments);
	*ret_cast = (struct cast){.type = CAST_DECIMAL, .precision = precision, .scale = scale};
	return 0;
}

int cast_parse(const char *name, struct cast *ret_cast) {
	static const struct {
		const char *name;
		enum cast_type type;
	} types[] = {{"BOOLEAN", CAST_BOOLEAN}, {"INTEGER", CAST_INTEGER}, {"INT", CAST_INTEGER}, {"LONG", CAST_LONG},
	        {"BIGINT", CAST_LONG}, {"FLOAT", CAST_FLOAT}, {"DOUBLE", CAST_DOUBLE}, {"DATE", CAST_DATE},
	        {"TIMESTAMP", CAST_TIMESTAMP}};
	char compact[64];
	size_t size = 0;
	for (const char *p = name; *p && size + 1 < sizeof compact; p++)
		if (*p != ' ')
			compact[size++] = *p;
	compact[size] = '\0';
	if (strncasecmp(compact, "DECIMAL", 7) == 0)
		return parse_decimal(compact + 7, ret_cast);
	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		if (strcasecmp(compact, types[i].name) != 0)
			continue;
		*ret_cast = (struct cast){.type = types[i].type};
		return 0;
	}
	return fault(EINVAL,
	        "\"%.60s\" is no data type: Boolean, Date, Timestamp, Integer, Long, Float, Double or DECIMAL(p,s)",
	        name);
}

/* ---- values ---- */

static bool is_digit(char c) {
	return c >= '0' && c <= '9';
}

static struct table_cell trimmed(struct table_cell cell) {
	while (cell.size > 0 && (unsigned char)cell.data[0] <= ' ')
		cell = (struct table_cell){.data = cell.data + 1, .size = cell.size - 1};
	while (cell.size > 0 && (unsigned char)cell.data[cell.size - 1] <= ' ')
		cell.size--;
	return cell;
}

static bool is_one_of(struct table_cell cell, const char *const *words) {
	for (; *words; words++)
		if (cell.size == strlen(*words) && strncasecmp(cell.data, *words, cell.size) == 0)
			return true;
	return false;
}

static bool is_boolean(struct table_cell cell) {
	static const char *const words[] = {"t", "true", "y", "yes", "1", "f", "false", "n", "no", "0", NULL};
	return is_one_of(cell, words);
}

/* A whole number whose magnitude is at most `most`, one more when it is negative. */
static bool is_whole(struct table_cell cell, uint64_t most) {
	size_t i = 0, digits = 0;
	bool negative = cell.size > 0 && cell.data[0] == '-';
	uint64_t value = 0, limit = most + negative;
	if (cell.size > 0 && (cell.data[0] == '-' || cell.data[0] == '+'))
		i++;
	for (; i < cell.size && is_digit(cell.data[i]); i++, digits++) {
		uint64_t digit = (uint64_t)(cell.data[i] - '0');
		if (value > (limit - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	if (digits > 0 && i < cell.size && cell.data[i] == '.')
		for (i++; i < cell.size && is_digit(cell.data[i]);)
			i++;
	return digits > 0 && i == cell.size;
}

static bool is_real(struct table_cell cell) {
	static const char *const words[] = {"nan", "infinity", "+infinity", "-infinity", "inf", "+inf", "-inf", NULL};
	double number;
	if (is_one_of(cell, words) || cell_number(cell, &number))
		return true;
	if (cell.size > 1 && strchr("fFdD", cell.data[cell.size - 1]))
		cell.size--;
	return is_digit(cell.data[cell.size - 1]) && cell_number(cell, &number);
}

/* Digits without sign and point, and how many stand before the point (which may be negative). */
struct decimal {
	const char *digits;
	size_t count; /* of characters, the point among them */
	long before;
};

static bool split_decimal(struct table_cell cell, struct decimal *ret_decimal) {
	double number;
	size_t i = cell.data[0] == '-' || cell.data[0] == '+', start = i;
	long exponent = 0, before = -1;
	if (!cell_number(cell, &number))
		return false;
	for (; i < cell.size && cell.data[i] != 'e' && cell.data[i] != 'E'; i++)
		if (cell.data[i] == '.')
			before = (long)(i - start);
	ret_decimal->digits = cell.data + start;
	ret_decimal->count = i - start;
	before = before < 0 ? (long)(i - start) : before;
	bool negative = i + 1 < cell.size && cell.data[i + 1] == '-';
	for (i++; i < cell.size && exponent < 100000; i++)
		if (is_digit(cell.data[i]))
			exponent = exponent * 10 + (cell.data[i] - '0');
	ret_decimal->before = before + (negative ? -exponent : exponent);
	return true;
}

/* The i-th digit, 0 being the first before which nothing stands; 0 where none is written. */
static unsigned digit_at(const struct decimal *decimal, long i) {
	const char *point = memchr(decimal->digits, '.', decimal->count);
	long digits = (long)decimal->count - (point != NULL);
	if (i < 0 || i >= digits)
		return 0;
	if (point && decimal->digits + i >= point)
		i++;
	return (unsigned)(decimal->digits[i] - '0');
}

/* Digits that count before the point, after rounding at `scale`: is it at most precision - scale? */
static bool is_decimal(const struct cast *cast, struct table_cell cell) {
	struct decimal decimal;
	if (!split_decimal(cell, &decimal))
		return false;
	long first = 0, digits = (long)decimal.count, room = (long)(cast->precision - cast->scale);
	while (first < digits && digit_at(&decimal, first) == 0)
		first++;
	if (first == digits || decimal.before - first < room)
		return true;
	if (decimal.before - first > room)
		return false;
	long end = decimal.before + (long)cast->scale;
	for (long i = first; i < end; i++)
		if (digit_at(&decimal, i) != 9)
			return true;
	return digit_at(&decimal, end) < 5;
}

/* yyyy, yyyy-m, yyyy-mm-dd, perhaps a time, behind a day anything. */
static bool is_date(struct table_cell cell) {
	int32_t days;
	if (cell.size < 4)
		return false;
	for (size_t i = 0; i < 4; i++)
		if (!is_digit(cell.data[i]))
			return false;
	if (cell.size == 4)
		return true;
	size_t digits = 0;
	while (5 + digits < cell.size && is_digit(cell.data[5 + digits]))
		digits++;
	if (cell.data[4] == '-' && 5 + digits == cell.size && (digits == 1 || digits == 2)) {
		int month = digits == 1 ? cell.data[5] - '0' : (cell.data[5] - '0') * 10 + cell.data[6] - '0';
		return month >= 1 && month <= 12;
	}
	return cell_date(cell, &days);
}

/* Each letter of the format is a digit of a year, a month or a day; the rest stands for itself. */
static bool is_formatted(const char *format, struct table_cell cell) {
	unsigned year = 2000, month = 1, day = 1; /* what is not there fits: 29 February is a day */
	unsigned *field = NULL;
	int32_t days;
	if (strlen(format) != cell.size)
		return false;
	for (size_t i = 0; i < cell.size; i++) {
		bool same = i > 0 && format[i] == format[i - 1];
		field = format[i] == 'y' ? &year : format[i] == 'M' ? &month : format[i] == 'd' ? &day : NULL;
		if (field ? !is_digit(cell.data[i]) : cell.data[i] != format[i])
			return false;
		if (field)
			*field = (same ? *field * 10 : 0) + (unsigned)(cell.data[i] - '0');
	}
	return date_days((int32_t)year, month, day, &days);
}

bool cast_fits(const struct cast *cast, struct table_cell cell) {
	int64_t seconds;
	cell = trimmed(cell);
	if (cell.size == 0)
		return false;
	switch (cast->type) {
	case CAST_BOOLEAN:
		return is_boolean(cell);
	case CAST_INTEGER:
		return is_whole(cell, INT32_MAX);
	case CAST_LONG:
		return is_whole(cell, INT64_MAX);
	case CAST_DECIMAL:
		return is_decimal(cast, cell);
	case CAST_DATE:
		return cast->format ? is_formatted(cast->format, cell) : is_date(cell);
	case CAST_TIMESTAMP:
		return is_date(cell) ? cell_time(cell, &seconds) || cell.size < 8 : false;
	case CAST_FLOAT:
	case CAST_DOUBLE:
	default:
		return is_real(cell);
	}
}
