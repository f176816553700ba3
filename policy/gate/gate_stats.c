#include "policy/gate/gate_stats.h"

#include "crypto/base/fault.h"
#include "policy/privacy/privacy.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct dataset_row {
	char *name;
	uint64_t verdicts[GATE_DECISIONS];
};

struct finding_row {
	char *detector;
	const char *action; /* static */
	uint64_t cells;
};

struct GateStats {
	struct histogram checks;
	pthread_mutex_t lock;                              /* guards what follows */
	struct dataset_row datasets[GATE_STATS_NAMES + 1]; /* the first: all that have no row of their own */
	size_t dataset_count;
	struct finding_row findings[GATE_STATS_NAMES + 1];
	size_t finding_count;
};

int gate_stats_new(GateStats **ret) {
	GateStats *stats = calloc(1, sizeof *stats);
	if (!stats)
		return fault(ENOMEM, "counting verdicts: out of memory");
	pthread_mutex_init(&stats->lock, NULL);
	stats->dataset_count = 1;
	stats->finding_count = 1;
	*ret = stats;
	return 0;
}

void gate_stats_free(GateStats *stats) {
	if (!stats)
		return;
	for (size_t i = 0; i < stats->dataset_count; i++)
		free(stats->datasets[i].name);
	for (size_t i = 0; i < stats->finding_count; i++)
		free(stats->findings[i].detector);
	pthread_mutex_destroy(&stats->lock);
	free(stats);
}

void gate_stats_checked(GateStats *stats, int64_t ns) {
	histogram_add(&stats->checks, ns);
}

static struct dataset_row *dataset_row(GateStats *stats, const char *name) {
	for (size_t i = 1; i < stats->dataset_count; i++)
		if (strcmp(stats->datasets[i].name, name) == 0)
			return &stats->datasets[i];
	char *copy = stats->dataset_count <= GATE_STATS_NAMES && *name ? strdup(name) : NULL;
	if (!copy)
		return &stats->datasets[0];
	stats->datasets[stats->dataset_count].name = copy;
	return &stats->datasets[stats->dataset_count++];
}

static struct finding_row *finding_row(GateStats *stats, const char *detector, const char *action) {
	for (size_t i = 1; i < stats->finding_count; i++)
		if (strcmp(stats->findings[i].action, action) == 0 &&
		        strcmp(stats->findings[i].detector, detector) == 0)
			return &stats->findings[i];
	char *copy = stats->finding_count <= GATE_STATS_NAMES ? strdup(detector) : NULL;
	if (!copy)
		return &stats->findings[0];
	stats->findings[stats->finding_count] = (struct finding_row){.detector = copy, .action = action};
	return &stats->findings[stats->finding_count++];
}

void gate_stats_know(GateStats *stats, const char *dataset) {
	pthread_mutex_lock(&stats->lock);
	(void)dataset_row(stats, dataset);
	pthread_mutex_unlock(&stats->lock);
}

static enum gate_decided decided_of(enum outcome outcome, bool is_waived) {
	if (is_waived)
		return GATE_WAIVED;
	return outcome == OUTCOME_PASSED ? GATE_PASSED : outcome == OUTCOME_FAILED ? GATE_FAILED : GATE_ERROR;
}

void gate_stats_decided(GateStats *stats, const char *dataset, enum outcome outcome, bool is_waived,
        const struct check_result *result) {
	pthread_mutex_lock(&stats->lock);
	dataset_row(stats, dataset ? dataset : "")->verdicts[decided_of(outcome, is_waived)]++;
	for (size_t i = 0; i < result->privacy.finding_count; i++) {
		const struct check_finding *finding = &result->privacy.findings[i];
		enum privacy_action action = finding->acts ? finding->action : PRIVACY_REPORT;
		finding_row(stats, finding->entity, privacy_action_words[action])->cells += finding->cells;
	}
	pthread_mutex_unlock(&stats->lock);
}

const char *gate_decided_word(enum gate_decided decided) {
	static const char *const words[GATE_DECISIONS] = {"passed", "failed", "error", "waived"};
	return words[decided];
}

void gate_stats_datasets(GateStats *stats, gate_dataset_fn *each, void *arg) {
	pthread_mutex_lock(&stats->lock);
	for (size_t i = 0; i < stats->dataset_count; i++) {
		const struct dataset_row *row = &stats->datasets[i];
		struct gate_dataset_view view = {.dataset = row->name ? row->name : ""};
		memcpy(view.verdicts, row->verdicts, sizeof view.verdicts);
		each(arg, &view);
	}
	pthread_mutex_unlock(&stats->lock);
}

void gate_stats_findings(GateStats *stats, gate_finding_fn *each, void *arg) {
	pthread_mutex_lock(&stats->lock);
	for (size_t i = 0; i < stats->finding_count; i++) {
		const struct finding_row *row = &stats->findings[i];
		const struct gate_finding_view view = {.detector = row->detector ? row->detector : "",
		        .action = row->action ? row->action : "",
		        .cells = row->cells};
		if (row->cells > 0)
			each(arg, &view);
	}
	pthread_mutex_unlock(&stats->lock);
}

void gate_stats_checks(GateStats *stats, struct histogram_view *ret) {
	histogram_read(&stats->checks, ret);
}
