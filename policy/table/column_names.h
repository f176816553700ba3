/*
 * column_names: which column somebody means by a name.
 */
#pragma once

#include "policy/table/cell.h"

/* How many columns are meant by that name (called exactly so, else without its escapes, else whatever the case), and
 * the last of them. */
size_t column_find(const struct table_cell *names, size_t count, const char *wanted, size_t *ret_index);
