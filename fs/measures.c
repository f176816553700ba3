#include "fs/measures.h"

#include "crypto/base/fault.h"
#include "fs/access_counts.h"
#include "fs/levels.h"
#include "fs/verdict_counts.h"

#include <errno.h>
#include <stdlib.h>

struct Measures {
	Sampler *sampler;
	Levels *levels;
	VerdictCounts *verdicts;
	AccessCounts *accesses;
	Costs *costs;
};

static int make_parts(Measures *m, Store *store, Gate *gate, bool is_read_only) {
	int rc = sampler_new(store, is_read_only, &m->sampler);
	if (rc == 0)
		rc = levels_new(store, &m->levels);
	if (rc == 0)
		rc = verdict_counts_new(store, &m->verdicts);
	if (rc == 0)
		rc = access_counts_new(store, &m->accesses);
	return rc ? rc : costs_new(store, gate, is_read_only, m->levels, m->verdicts, &m->costs);
}

/* Verdicts before costs: a check is billed in the round that counts it. */
static int add_collectors(Measures *m) {
	const struct {
		const char *what;
		sampler_collect_fn *collect;
		void *arg;
	} rows[] = {{"what lies in the zones", levels_collect, m->levels},
	        {"verdicts", verdict_counts_collect, m->verdicts}, {"accesses", access_counts_collect, m->accesses},
	        {"costs", costs_collect, m->costs}};
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < sizeof rows / sizeof rows[0]; i++)
		rc = sampler_add(m->sampler, rows[i].what, rows[i].collect, rows[i].arg);
	sampler_at_ends(m->sampler, costs_keep, m->costs);
	return rc;
}

int measures_new(Store *store, Gate *gate, bool is_read_only, Measures **ret_measures) {
	_cleanup_(measures_stopp) Measures *m = calloc(1, sizeof *m);
	if (!m)
		return fault(ENOMEM, "starting what measures: out of memory");
	int rc = make_parts(m, store, gate, is_read_only);
	if (rc == 0)
		rc = add_collectors(m);
	if (rc < 0)
		return rc;
	*ret_measures = steal_pointer(&m);
	return 0;
}

Sampler *measures_sampler(Measures *measures) {
	return measures->sampler;
}

Costs *measures_costs(Measures *measures) {
	return measures->costs;
}

int measures_start(Measures *measures) {
	return sampler_start(measures->sampler);
}

void measures_stop(Measures *measures) {
	if (!measures)
		return;
	sampler_stop(measures->sampler);
	costs_free(measures->costs);
	access_counts_free(measures->accesses);
	verdict_counts_free(measures->verdicts);
	levels_free(measures->levels);
	free(measures);
}
