/*
 * dates: a day, in the ways that people write them.
 *
 *     1980-05-12   12/05/80   5.12.1980        numbers between two separators
 *     May 12th, 1980   12-MAY-80   1er févr. 1975        English and French months, whole or as they are shortened
 *
 * A month's case and its accents do not matter. Where the order leaves open which of two numbers is the day, the day is
 * there if one of them can be it.
 */
#pragma once

#include "policy/table/cell.h"

struct date {
	unsigned year;
	bool is_short; /* two digits of the year are all there is, and which hundred it was nobody says */
	bool is_mixed; /* its separators are not the same */
};

/* Reads the day with which the text begins: how many bytes of it; 0: with none that there is. */
size_t dates_read(struct table_cell text, struct date *ret_date);
