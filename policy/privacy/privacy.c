#include "policy/privacy/privacy.h"

#include "policy/table/column_names.h"

#include <string.h>

const char *const privacy_action_words[PRIVACY_ACTIONS + 1] = {[PRIVACY_REFUSE] = "refuse",
        [PRIVACY_REDACT] = "redact",
        [PRIVACY_MASK] = "mask",
        [PRIVACY_HASH] = "hash",
        [PRIVACY_DROP_COLUMN] = "drop_column",
        [PRIVACY_DROP_ROW] = "drop_row",
        [PRIVACY_GENERALISE] = "generalise",
        [PRIVACY_REPORT] = "report",
        [PRIVACY_ACTIONS] = NULL};

bool privacy_may_change(const struct privacy *privacy) {
	bool may = false;
	for (size_t i = 0; privacy && i < privacy->detect_count; i++)
		may = may || privacy_changes(privacy->detects[i].treatment.action);
	for (size_t i = 0; privacy && i < privacy->column_count; i++)
		may = may || privacy_changes(privacy->columns[i].treatment.action);
	return may;
}

const struct privacy_treatment *privacy_of_entity(const struct privacy *privacy, const char *entity) {
	for (size_t i = 0; i < privacy->detect_count; i++)
		if (strcmp(privacy->detects[i].entity, entity) == 0)
			return &privacy->detects[i].treatment;
	return NULL;
}

const struct privacy_treatment *privacy_of_column(const struct privacy *privacy, const char *column) {
	struct table_cell name = {.data = column, .size = strlen(column)};
	size_t ignored;
	for (size_t i = 0; i < privacy->column_count; i++)
		if (column_find(&name, 1, privacy->columns[i].name, &ignored) == 1)
			return &privacy->columns[i].treatment;
	return NULL;
}
