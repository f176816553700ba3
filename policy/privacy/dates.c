#include "policy/privacy/dates.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { PARTS = 3, NAME_BYTES = 16, GAP_MOST = 3 };

struct part {
	unsigned number, month; /* a month's name; 0: it is a number */
	size_t digits;
};

static bool is_digit_at(struct table_cell text, size_t at) {
	return at < text.size && isdigit((unsigned char)text.data[at]);
}

static bool is_letter_at(struct table_cell text, size_t at) {
	return at < text.size && (isalpha((unsigned char)text.data[at]) || (unsigned char)text.data[at] >= 0x80);
}

static size_t letters_at(struct table_cell text, size_t at) {
	size_t size = 0;
	while (is_letter_at(text, at + size))
		size++;
	return size;
}

/* ---- names of months ---- */

/* In lower case and without accents, whether these are characters of their own or stand behind the letter. */
static bool fold(const char *name, size_t size, char ret[static NAME_BYTES]) {
	static const char *const accents[][2] = {
	        {"é", "e"}, {"É", "e"}, {"û", "u"}, {"Û", "u"}, {"\u0301", ""}, {"\u0302", ""}};
	size_t used = 0;
	for (size_t i = 0; i < size;) {
		const char *plain = NULL;
		for (size_t k = 0; k < sizeof accents / sizeof *accents && !plain; k++)
			if (size - i >= 2 && memcmp(name + i, accents[k][0], 2) == 0)
				plain = accents[k][1];
		if ((!plain && (unsigned char)name[i] >= 0x80) || used + 1 == NAME_BYTES)
			return false;
		if (!plain || *plain)
			ret[used++] = plain ? *plain : (char)tolower((unsigned char)name[i]);
		i += plain ? 2 : 1;
	}
	ret[used] = '\0';
	return used > 0;
}

/* From 1; 0: it is none. */
static unsigned month_of(const char *name, size_t size) {
	static const char *const months[] = {" jan january janv janvier ", " feb february fev fevr fevrier ",
	        " mar march mars ", " apr april avr avril ", " may mai ", " jun june juin ",
	        " jul july juil juill juillet ", " aug august aou aout ", " sep sept september septembre ",
	        " oct october octobre ", " nov november novembre ", " dec december decembre "};
	char plain[NAME_BYTES], wanted[NAME_BYTES + 2];
	if (!fold(name, size, plain))
		return 0;
	(void)snprintf(wanted, sizeof wanted, " %s ", plain);
	for (unsigned i = 0; i < 12; i++)
		if (strstr(months[i], wanted))
			return i + 1;
	return 0;
}

/* ---- parts ---- */

/* 1st, 2nd, 3rd, 12th; 1er, 2e. */
static bool is_ordinal(const char *text, size_t size) {
	static const char ends[] = " st nd rd th er re e ";
	char wanted[5];
	return size <= 2 && snprintf(wanted, sizeof wanted, " %.*s ", (int)size, text) > 2 && strcasestr(ends, wanted);
}

/* A number, perhaps with what makes an ordinal of it, or a month, perhaps with a full stop. Behind it: 0, it is none.
 */
static size_t take_part(struct table_cell text, size_t at, bool is_last, struct part *ret) {
	*ret = (struct part){0};
	if (!is_digit_at(text, at)) {
		size_t size = letters_at(text, at);
		ret->month = size > 0 ? month_of(text.data + at, size) : 0;
		return ret->month ? at + size : 0;
	}
	for (; is_digit_at(text, at) && ret->digits <= 4; at++, ret->digits++)
		ret->number = ret->number * 10 + (unsigned)(text.data[at] - '0');
	if (ret->digits == 3 || ret->digits > 4)
		return 0;
	size_t size = letters_at(text, at);
	return ret->digits <= 2 && !is_last && is_ordinal(text.data + at, size) ? at + size : at;
}

/* What stands between two parts: its size. */
static size_t gap_at(struct table_cell text, size_t at) {
	size_t size = 0;
	while (at + size < text.size && size < GAP_MOST && text.data[at + size] &&
	        strchr(" -/.,'", text.data[at + size]))
		size++;
	if (size > 0 && text.size - at - size > 3 && strncasecmp(text.data + at + size, "of ", 3) == 0)
		size += 3;
	return size;
}

/* ---- days ---- */

static bool is_day(unsigned year, unsigned month, unsigned day) {
	static const unsigned days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool is_leap = year % 4 == 0 && (year < 100 || year % 100 != 0 || year % 400 == 0);
	return month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1] && (month != 2 || day < 29 || is_leap);
}

/* With two digits of it: of which hundred it is is not known. */
static bool is_with_year(const struct part *year, const struct part *one, const struct part *other) {
	if ((year->digits != 4 && year->digits != 2) || one->digits > 2 || other->digits > 2)
		return false;
	if (one->month || other->month)
		return is_day(year->number, one->month + other->month, one->month ? other->number : one->number);
	return is_day(year->number, one->number, other->number) || is_day(year->number, other->number, one->number);
}

/* Which is the year; NULL: none can be. Where no name tells it, one of two digits stands rather behind. */
static const struct part *year_of(const struct part parts[static PARTS]) {
	if (parts[2].month || (parts[0].month && parts[1].month))
		return NULL;
	if (parts[0].digits != 4 && is_with_year(&parts[2], &parts[0], &parts[1]))
		return &parts[2];
	bool may_be_first = parts[0].digits == 4 || (parts[0].digits == 2 && parts[2].digits == 2 && !parts[1].month);
	return may_be_first && !parts[0].month && is_with_year(&parts[0], &parts[1], &parts[2]) ? &parts[0] : NULL;
}

size_t dates_read(struct table_cell text, struct date *ret_date) {
	struct part parts[PARTS];
	size_t at = 0, gaps[PARTS] = {0}, places[PARTS] = {0};
	for (size_t i = 0; i < PARTS; i++) {
		at = take_part(text, at, i == 2, &parts[i]);
		if (at == 0)
			return 0;
		places[i] = at;
		gaps[i] = i < 2 ? gap_at(text, at) : 0;
		at += gaps[i];
	}
	bool has_name = parts[0].month || parts[1].month;
	bool is_separated = has_name || (gaps[0] == 1 && gaps[1] == 1 && strchr("-/.", text.data[places[0]]) &&
	                                        strchr("-/.", text.data[places[1]]));
	const struct part *year = is_separated ? year_of(parts) : NULL;
	if (!year)
		return 0;
	*ret_date = (struct date){.year = year->number,
	        .is_short = year->digits == 2,
	        .is_mixed = !has_name && text.data[places[0]] != text.data[places[1]]};
	return at;
}
