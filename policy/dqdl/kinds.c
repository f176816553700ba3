/* kinds: which kind of check each type of rule is. */
#include "policy/dqdl/evaluator.h"

static const struct check_kind *const kinds[] = {
        [DQDL_ROW_COUNT] = &kind_row_count,
        [DQDL_COLUMN_COUNT] = &kind_column_count,
        [DQDL_COLUMN_EXISTS] = &kind_column_exists,
        [DQDL_COMPLETENESS] = &kind_completeness,
        [DQDL_IS_COMPLETE] = &kind_is_complete,
        [DQDL_COLUMN_VALUES] = &kind_column_values,
        [DQDL_COLUMN_LENGTH] = &kind_column_length,
        [DQDL_IS_UNIQUE] = &kind_is_unique,
        [DQDL_UNIQUENESS] = &kind_tuple_metric,
        [DQDL_UNIQUE_VALUE_RATIO] = &kind_tuple_metric,
        [DQDL_DISTINCT_VALUES_COUNT] = &kind_tuple_metric,
        [DQDL_ENTROPY] = &kind_tuple_metric,
        [DQDL_DUPLICATE_ROW_COUNT] = &kind_duplicate_row_count,
        [DQDL_IS_PRIMARY_KEY] = &kind_primary_key,
        [DQDL_FILE_SIZE] = &kind_file_size,
        [DQDL_FILE_FRESHNESS] = &kind_file_freshness,
        [DQDL_FILE_UNIQUENESS] = &kind_file_uniqueness,
        [DQDL_FILE_MATCH] = &kind_file_match,
        [DQDL_MEAN] = &kind_numbers,
        [DQDL_SUM] = &kind_numbers,
        [DQDL_STANDARD_DEVIATION] = &kind_numbers,
        [DQDL_VARIANCE] = &kind_numbers,
        [DQDL_RANGE] = &kind_numbers,
        [DQDL_COLUMN_CORRELATION] = &kind_correlation,
        [DQDL_COLUMN_DATA_TYPE] = &kind_column_data_type,
        [DQDL_DATA_FRESHNESS] = &kind_data_freshness,
        [DQDL_COLUMN_NAMES_MATCH_PATTERN] = &kind_column_names,
        [DQDL_ROW_COUNT_MATCH] = &kind_row_count_match,
        [DQDL_REFERENTIAL_INTEGRITY] = &kind_reference_keys,
        [DQDL_DATASET_MATCH] = &kind_reference_keys,
        [DQDL_SCHEMA_MATCH] = &kind_schema_match,
        [DQDL_AGGREGATE_MATCH] = &kind_aggregate_match,
        [DQDL_CUSTOM_SQL] = &kind_custom_sql,
        [DQDL_ALL_STATISTICS] = &kind_all_statistics,
        [DQDL_DETECT_ANOMALIES] = &kind_unwatchable,
};

const struct check_kind *kind_of(const struct dqdl_rule *rule) {
	if (rule->id == DQDL_CUSTOM_SQL && rule->condition.kind == DQDL_CONDITION_NONE)
		return &kind_custom_sql_rows;
	return (size_t)rule->id < sizeof kinds / sizeof *kinds ? kinds[rule->id] : NULL;
}

const struct check_kind *kind_that_measures(const struct dqdl_rule *rule) {
	const struct check_kind *kind = rule->id == DQDL_CUSTOM_SQL ? &kind_custom_sql : kind_of(rule);
	if (rule->id == DQDL_COLUMN_VALUES || rule->id == DQDL_COLUMN_LENGTH)
		return &kind_extremes;
	return kind && kind->measures ? kind : NULL;
}
