/*
 * suggest_privacy: is there personal data in the table that a policy is suggested for? For suggest.c.
 *
 *     new ─▶ rows, rows, … ─▶ end ─▶ in which columns, and a draft of the dataset's privacy
 *
 * Every row is looked at, by all detectors at high sensitivity: what is written into rules stands there for ever. It
 * keeps where things stand, and never what was found.
 */
#pragma once

#include "crypto/base/cleanup.h"
#include "policy/table/rows.h"

#include <stdio.h>

typedef struct SuggestPrivacy SuggestPrivacy;

/* For a table with these columns; the names must live as long. -ENOMEM; scanner_new()'s errors. */
int suggest_privacy_new(const struct table_cell *names, size_t columns, SuggestPrivacy **ret_privacy);
void suggest_privacy_free(SuggestPrivacy *privacy);
DEFINE_CLEANUP(SuggestPrivacy, suggest_privacy_free);

/* Looks at rows, which are looked at no more behind the call; at the end at what still waits for the sample to be
 * whole. scanner_rows()'s errors. */
int suggest_privacy_rows(SuggestPrivacy *privacy, const struct table_rows *rows);
int suggest_privacy_end(SuggestPrivacy *privacy);

/* At the end: was anything found, in the column's cells, in its name? Where a cell could not be looked through, any
 * column may hold something. */
bool suggest_privacy_is_any(const SuggestPrivacy *privacy);
bool suggest_privacy_in_column(const SuggestPrivacy *privacy, size_t column);
bool suggest_privacy_in_name(const SuggestPrivacy *privacy, size_t column);

/* Writes the draft as comments, to stand in a dataset: in force it would refuse the very file. Nothing where nothing
 * was found in cells. */
void suggest_privacy_write(const SuggestPrivacy *privacy, FILE *to);
