#include "policy/dqdl/value.h"

#include "crypto/base/fault.h"
#include "policy/dqdl/calendar.h"

#include <errno.h>
#include <locale.h>
#include <pthread.h>
#include <stdlib.h>
#include <strings.h>

struct table_cell *cells_copy(const struct table_cell *cells, size_t count) {
	size_t size = 0;
	for (size_t i = 0; i < count; i++)
		size += cells[i].size;
	struct table_cell *copy = malloc((count + 1) * sizeof *copy + size);
	char *text = copy ? (char *)(copy + count + 1) : NULL;
	for (size_t i = 0; copy && i < count; i++) {
		copy[i] = (struct table_cell){.data = cells[i].data ? text : NULL, .size = cells[i].size};
		if (cells[i].size > 0)
			memcpy(text, cells[i].data, cells[i].size);
		text += cells[i].size;
	}
	return copy;
}

bool cell_is_listed(const struct dqdl_nulls *nulls, struct table_cell cell) {
	for (size_t i = 0; i < nulls->count; i++)
		if (cell_equals(cell, nulls->list[i], strlen(nulls->list[i])))
			return true;
	return false;
}

static locale_t c_locale;

static void make_locale(void) {
	c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

/* The slow way, for numbers of many digits or with an exponent; the program's locale must not matter. */
static bool slow_number(const char *text, size_t size, double *ret_number) {
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	char copy[400];
	char *end;
	(void)pthread_once(&once, make_locale);
	if (size >= sizeof copy || !c_locale)
		return false;
	memcpy(copy, text, size);
	copy[size] = '\0';
	*ret_number = strtod_l(copy, &end, c_locale);
	return end == copy + size;
}

static bool is_digit(char c) {
	return c >= '0' && c <= '9';
}

static bool is_blank(char c) {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool cell_number(struct table_cell cell, double *ret_number) {
	static const double powers[] = {
	        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
	const char *p = cell.data;
	const char *end = p + cell.size;
	while (p < end && is_blank(*p))
		p++;
	while (p < end && is_blank(end[-1]))
		end--;
	const char *start = p;
	if (p < end && (*p == '-' || *p == '+'))
		p++;
	uint64_t digits = 0;
	size_t count = 0;
	size_t behind_point = 0;
	bool point = false;
	for (; p < end && (is_digit(*p) || (*p == '.' && !point)); p++) {
		if (*p == '.') {
			point = true;
			continue;
		}
		digits = count < 18 ? digits * 10 + (uint64_t)(*p - '0') : digits;
		count++;
		behind_point += point;
	}
	if (count == 0)
		return false;
	/* Up to 15 digits and powers of ten up to 10^15 are exact as doubles, so one division rounds correctly. */
	if (p == end && count <= 15) {
		double value = (double)digits / powers[behind_point];
		*ret_number = *start == '-' ? -value : value;
		return true;
	}
	if (p < end && *p != 'e' && *p != 'E')
		return false;
	return slow_number(start, (size_t)(end - start), ret_number);
}

/* One or two digits; moves *p behind them. */
static bool small_number(const char **p, const char *end, unsigned int *ret_number) {
	const char *at = *p;
	if (at == end || !is_digit(*at))
		return false;
	unsigned int number = (unsigned int)(*at++ - '0');
	if (at < end && is_digit(*at))
		number = number * 10 + (unsigned int)(*at++ - '0');
	*p = at;
	*ret_number = number;
	return true;
}

bool cell_date(struct table_cell cell, int32_t *ret_days) {
	const char *p = cell.data;
	const char *end = p + cell.size;
	unsigned int century;
	unsigned int year;
	unsigned int month;
	unsigned int day;
	if (cell.size < 8 || !is_digit(p[1]) || !is_digit(p[3]) || p[4] != '-')
		return false;
	if (!small_number(&p, end, &century) || !small_number(&p, end, &year))
		return false;
	p++;
	if (!small_number(&p, end, &month) || p == end || *p++ != '-' || !small_number(&p, end, &day))
		return false;
	if (p < end && *p != ' ' && *p != 'T')
		return false;
	return date_days((int32_t)(century * 100 + year), month, day, ret_days);
}

/* hh:mm[:ss[.f]] as seconds of the day; *p moves behind it. */
static bool time_of_day(const char **p, const char *end, int64_t *ret_seconds) {
	unsigned int hours = 0, minutes = 0, seconds = 0;
	if (!small_number(p, end, &hours) || *p == end || **p != ':')
		return false;
	++*p;
	if (!small_number(p, end, &minutes))
		return false;
	if (*p < end && **p == ':') {
		++*p;
		if (!small_number(p, end, &seconds))
			return false;
	}
	if (*p < end && **p == '.')
		for (++*p; *p < end && is_digit(**p);)
			++*p;
	*ret_seconds = (int64_t)hours * 3600 + (int64_t)minutes * 60 + (int64_t)seconds;
	return hours < 24 && minutes < 60 && seconds < 60;
}

/* Z, UTC, +hh, +hhmm or +hh:mm; nothing is UTC. Seconds that the zone is ahead. */
static bool zone_offset(const char *p, const char *end, int64_t *ret_seconds) {
	unsigned int hours = 0, minutes = 0;
	*ret_seconds = 0;
	while (p < end && *p == ' ')
		p++;
	if (p == end || (end - p == 1 && (*p == 'Z' || *p == 'z')) || (end - p == 3 && strncasecmp(p, "UTC", 3) == 0))
		return true;
	char sign = *p++;
	if ((sign != '+' && sign != '-') || !small_number(&p, end, &hours))
		return false;
	if (p < end && *p == ':')
		p++;
	if (p < end && !small_number(&p, end, &minutes))
		return false;
	*ret_seconds = ((int64_t)hours * 3600 + (int64_t)minutes * 60) * (sign == '-' ? -1 : 1);
	return p == end && hours <= 18 && minutes < 60;
}

bool cell_time(struct table_cell cell, int64_t *ret_seconds) {
	const char *p = cell.data, *end = cell.data + cell.size;
	int32_t days;
	int64_t seconds = 0, ahead = 0;
	if (!cell_date(cell, &days))
		return false;
	while (p < end && *p != ' ' && *p != 'T')
		p++;
	if (p + 1 < end) {
		p++;
		if (!time_of_day(&p, end, &seconds) || !zone_offset(p, end, &ahead))
			return false;
	}
	*ret_seconds = (int64_t)days * 86400 + seconds - ahead;
	return true;
}

static bool is_boolean(struct table_cell cell) {
	return (cell.size == 4 && strncasecmp(cell.data, "true", 4) == 0) ||
	       (cell.size == 5 && strncasecmp(cell.data, "false", 5) == 0);
}

int column_type_of_word(const char *word, enum column_type *ret_type) {
	static const struct {
		const char *word;
		enum column_type type;
	} words[] = {{"text", COLUMN_TEXT}, {"number", COLUMN_NUMBER}, {"date", COLUMN_DATE},
	        {"boolean", COLUMN_BOOLEAN}, {"string", COLUMN_TEXT}, {"varchar", COLUMN_TEXT}, {"char", COLUMN_TEXT},
	        {"byte", COLUMN_NUMBER}, {"short", COLUMN_NUMBER}, {"int", COLUMN_NUMBER}, {"integer", COLUMN_NUMBER},
	        {"long", COLUMN_NUMBER}, {"bigint", COLUMN_NUMBER}, {"float", COLUMN_NUMBER}, {"double", COLUMN_NUMBER},
	        {"decimal", COLUMN_NUMBER}, {"timestamp", COLUMN_DATE}, {"bool", COLUMN_BOOLEAN}};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strcasecmp(word, words[i].word) == 0) {
			*ret_type = words[i].type;
			return 0;
		}
	return fault(EINVAL, "'%.40s' is no type of a column; there are text, number, date and boolean", word);
}

struct column_kind column_kind_given(enum column_type type) {
	return (struct column_kind){.seen = true,
	        .given = true,
	        .no_number = type != COLUMN_NUMBER,
	        .no_date = type != COLUMN_DATE,
	        .no_boolean = type != COLUMN_BOOLEAN};
}

/* cell_date() without the day that it is; written YYYY-MM-DD, up to the 28th, no calendar is asked. Of eight rules over
 * the lost-and-found file, whose dates are looked at for what an empty one would mean, it saves a tenth of the time. */
static bool is_date(struct table_cell cell) {
	const char *p = cell.data;
	int32_t days;
	if (cell.size != 10 || p[4] != '-' || p[7] != '-')
		return cell_date(cell, &days);
	bool digits = is_digit(p[0]) & is_digit(p[1]) & is_digit(p[2]) & is_digit(p[3]) & is_digit(p[5]) &
	              is_digit(p[6]) & is_digit(p[8]) & is_digit(p[9]);
	int month = (p[5] - '0') * 10 + p[6] - '0', day = (p[8] - '0') * 10 + p[9] - '0';
	if (digits && month >= 1 && month <= 12 && day >= 1 && day <= 28)
		return true;
	return cell_date(cell, &days);
}

void column_kind_see(struct column_kind *kind, struct table_cell cell) {
	double number;
	if (kind->given)
		return;
	kind->seen = true;
	if (!kind->no_number && !cell_number(cell, &number))
		kind->no_number = true;
	if (!kind->no_date && !is_date(cell))
		kind->no_date = true;
	if (!kind->no_boolean && !is_boolean(cell))
		kind->no_boolean = true;
}

bool column_kind_is_text(const struct column_kind *kind) {
	return !kind->seen || (kind->no_number && kind->no_date && kind->no_boolean);
}
