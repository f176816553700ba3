/*
 * cast: whether a text is one of a type's, which is to say whether Spark's CAST gives a value and not NULL.
 *
 *     BOOLEAN        t true y yes 1, f false n no 0
 *     INTEGER, LONG  a sign, digits, a fraction that falls away; within 32 or 64 bits
 *     FLOAT, DOUBLE  a decimal number with or without exponent, f or d behind it, NaN, Infinity
 *     DECIMAL(p,s)   rounded half up to s digits behind the point, at most p in all
 *     DATE           yyyy, yyyy-mm or yyyy-mm-dd, one digit for months and days is enough; behind a day, from a blank
 * or T on, anything; or exactly as the given format says TIMESTAMP      such a date, then hh:mm[:ss[.f]] and a zone (Z,
 * +hh:mm) if need be
 *
 * Upper and lower case, and blanks around a value, make no difference.
 */
#pragma once

#include "policy/table/cell.h"

#include <stdint.h>

enum cast_type {
	CAST_BOOLEAN,
	CAST_INTEGER,
	CAST_LONG,
	CAST_FLOAT,
	CAST_DOUBLE,
	CAST_DECIMAL,
	CAST_DATE,
	CAST_TIMESTAMP,
};

struct cast {
	enum cast_type type;
	unsigned precision, scale; /* DECIMAL */
	const char *format;        /* DATE: one of cast_formats; NULL: as Spark casts */
};

/* The date formats of a tag `format`, NULL at the end. */
extern const char *const cast_formats[];

/* "DATE", "decimal(10, 2)". -EINVAL with words for any other. */
int cast_parse(const char *name, struct cast *ret_cast);

/* Would the cast give a value? */
bool cast_fits(const struct cast *cast, struct table_cell cell);
