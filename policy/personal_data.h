/*
 * personal_data: in which columns of a table, and in whose names, may personal data stand, whatever a policy says of
 * it?
 *
 *     new ─▶ rows, rows, … ─▶ end ─▶ in which columns, and a draft of a dataset's privacy
 *      └───▶ in whose names
 *
 * For what is written into rules (suggest.c), and stands there for ever: every row is looked at, by all detectors at
 * high sensitivity. It keeps where things stand, and never what was found.
 */
#pragma once

#include "crypto/base/cleanup.h"
#include "policy/table/rows.h"

#include <stdio.h>

typedef struct PersonalData PersonalData;

/* For a table with these columns; the names must live as long. -ENOMEM; scanner_new()'s errors. */
int personal_data_new(const struct table_cell *names, size_t columns, PersonalData **ret_privacy);
void personal_data_free(PersonalData *privacy);
DEFINE_CLEANUP(PersonalData, personal_data_free);

/* Looks at rows, which are looked at no more behind the call; at the end at what still waits for the sample to be
 * whole. scanner_rows()'s errors. */
int personal_data_rows(PersonalData *privacy, const struct table_rows *rows);
int personal_data_end(PersonalData *privacy);

/* At the end: was anything found, in the column's cells, in its name (this is known at once)? Where a cell could not be
 * looked through, any column may hold something. */
bool personal_data_is_any(const PersonalData *privacy);
bool personal_data_in_column(const PersonalData *privacy, size_t column);
bool personal_data_in_name(const PersonalData *privacy, size_t column);

/* Writes the draft as comments, to stand in a dataset: in force it would refuse the very file. Nothing where nothing
 * was found in cells. */
void personal_data_write(const PersonalData *privacy, FILE *to);
