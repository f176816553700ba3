#include "fs/metrics.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "crypto/base/fault.h"

#define PROVIDERS_MAX 16u

struct Metrics {
	pthread_mutex_t lock; /* guards the rest, and is held while a text is made: taken before all others */
	struct {
		metrics_provider_fn *tell;
		void *arg;
	} providers[PROVIDERS_MAX];
	size_t count;
};

int metrics_new(Metrics **ret) {
	Metrics *metrics = calloc(1, sizeof *metrics);
	if (!metrics)
		return fault(ENOMEM, "gathering metrics: out of memory");
	pthread_mutex_init(&metrics->lock, NULL);
	*ret = metrics;
	return 0;
}

void metrics_free(Metrics *metrics) {
	if (!metrics)
		return;
	pthread_mutex_destroy(&metrics->lock);
	free(metrics);
}

int metrics_add_provider(Metrics *metrics, metrics_provider_fn *provider, void *arg) {
	int rc = 0;
	pthread_mutex_lock(&metrics->lock);
	if (metrics->count == PROVIDERS_MAX) {
		rc = fault(ENOSPC, "gathering metrics: more than %u providers", PROVIDERS_MAX);
	} else {
		metrics->providers[metrics->count].tell = provider;
		metrics->providers[metrics->count++].arg = arg;
	}
	pthread_mutex_unlock(&metrics->lock);
	return rc;
}

void metrics_forget(Metrics *metrics) {
	if (!metrics)
		return;
	pthread_mutex_lock(&metrics->lock);
	metrics->count = 0;
	pthread_mutex_unlock(&metrics->lock);
}

int metrics_text(Metrics *metrics, enum exposition_format format, char **ret_text, size_t *ret_size) {
	_cleanup_(exposition_freep) Exposition *exposition = NULL;
	int rc = exposition_new(format, &exposition);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&metrics->lock);
	for (size_t i = 0; i < metrics->count; i++)
		metrics->providers[i].tell(metrics->providers[i].arg, exposition);
	pthread_mutex_unlock(&metrics->lock);
	return exposition_end(exposition, ret_text, ret_size);
}
