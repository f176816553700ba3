#include "policy/alarm/metrics.h"

#include "crypto/base/spelling.h"

#include <string.h>

/* What is there all the time is missed when it stops; what counts events has none when nothing happened. */
static const struct alarm_metric metrics[] = {
        {"EstimatedCharges", ALARM_MAXIMUM, ALARM_MISSING, 300, " zone kind "},
        {"StoredBytes", ALARM_MAXIMUM, ALARM_MISSING, 300, " zone "},
        {"CurrentBytes", ALARM_MAXIMUM, ALARM_MISSING, 300, " zone "},
        {"NumberOfFiles", ALARM_MAXIMUM, ALARM_MISSING, 300, " zone "},
        {"Verdicts", ALARM_SUM, ALARM_NOT_BREACHING, 300, " dataset outcome "},
        {"VerdictPassRate", ALARM_AVERAGE, ALARM_IGNORE, 300, " dataset "},
        {"QualityScore", ALARM_MINIMUM, ALARM_IGNORE, 300, " dataset "},
        {"WorkflowFailed", ALARM_SUM, ALARM_NOT_BREACHING, 60, " workflow "},
        {"WorkflowSucceeded", ALARM_SUM, ALARM_NOT_BREACHING, 60, " workflow "},
        {"WorkflowMissed", ALARM_SUM, ALARM_NOT_BREACHING, 60, " workflow "},
        {"AuditFailures", ALARM_SUM, ALARM_NOT_BREACHING, 60, ""},
        {"BreakGlassUses", ALARM_SUM, ALARM_NOT_BREACHING, 60, ""},
        {"DeniedAccesses", ALARM_SUM, ALARM_NOT_BREACHING, 300, ""},
        {"UnusualAccesses", ALARM_SUM, ALARM_NOT_BREACHING, 300, ""},
        {"Operations", ALARM_SUM, ALARM_MISSING, 300, ""},
        {"ReadBytes", ALARM_SUM, ALARM_MISSING, 300, ""},
        {"WrittenBytes", ALARM_SUM, ALARM_MISSING, 300, ""},
        {"FreeBytes", ALARM_MINIMUM, ALARM_MISSING, 300, ""},
        {"Waiting", ALARM_MAXIMUM, ALARM_MISSING, 300, ""},
        {"Quarantined", ALARM_MAXIMUM, ALARM_MISSING, 300, ""},
        {"ReplicationLag", ALARM_MAXIMUM, ALARM_MISSING, 300, " target "},
        {"BytesPendingReplication", ALARM_MAXIMUM, ALARM_MISSING, 300, " target "},
        {"OperationsPendingReplication", ALARM_MAXIMUM, ALARM_MISSING, 300, " target "},
        {"OperationsFailedReplication", ALARM_MAXIMUM, ALARM_MISSING, 300, " target "},
        {"KmsUp", ALARM_MINIMUM, ALARM_MISSING, 60, ""},
        {"KmsOffline", ALARM_MAXIMUM, ALARM_MISSING, 60, ""},
        {"StaleFiles", ALARM_MAXIMUM, ALARM_MISSING, 300, ""},
};
#define COUNT (sizeof metrics / sizeof *metrics)

const struct alarm_metric *alarm_metric_named(const char *name) {
	for (size_t i = 0; i < COUNT; i++)
		if (strcmp(metrics[i].name, name) == 0)
			return &metrics[i];
	return NULL;
}

const char *alarm_metric_nearest(const char *typed) {
	const char *names[COUNT];
	for (size_t i = 0; i < COUNT; i++)
		names[i] = metrics[i].name;
	return spelling_nearest(typed, names, COUNT);
}
