#include "crypto/base/histogram.h"

/* Spelled as OpenMetrics asks it of powers of ten, and always alike: who reads compares the text. */
static const struct {
	uint64_t ns;
	const char *text;
} bounds[HISTOGRAM_BOUNDS] = {
        {50000, "5e-05"},
        {100000, "0.0001"},
        {250000, "0.00025"},
        {500000, "0.0005"},
        {1000000, "0.001"},
        {2500000, "0.0025"},
        {5000000, "0.005"},
        {10000000, "0.01"},
        {25000000, "0.025"},
        {50000000, "0.05"},
        {100000000, "0.1"},
        {250000000, "0.25"},
        {500000000, "0.5"},
        {1000000000, "1.0"},
        {2500000000, "2.5"},
        {5000000000, "5.0"},
        {10000000000, "10.0"},
};

uint64_t histogram_bound_ns(size_t i) {
	return bounds[i].ns;
}

const char *histogram_bound_text(size_t i) {
	return bounds[i].text;
}

/* Most times are short: from below it is found in a few steps. */
static size_t bucket_of(uint64_t ns) {
	size_t i = 0;
	while (i < HISTOGRAM_BOUNDS && ns > bounds[i].ns)
		i++;
	return i;
}

void histogram_add(struct histogram *histogram, int64_t ns) {
	uint64_t time = ns > 0 ? (uint64_t)ns : 0;
	atomic_fetch_add_explicit(&histogram->sum_ns, time, memory_order_relaxed);
	atomic_fetch_add_explicit(&histogram->counts[bucket_of(time)], 1, memory_order_relaxed);
}

/* The count is the sum of what was seen in the buckets, so that the two agree whatever comes meanwhile. */
void histogram_read(const struct histogram *histogram, struct histogram_view *ret) {
	uint64_t count = 0;
	for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
		count += atomic_load_explicit(&histogram->counts[i], memory_order_relaxed);
		ret->up_to[i] = count;
	}
	ret->count = count + atomic_load_explicit(&histogram->counts[HISTOGRAM_BOUNDS], memory_order_relaxed);
	ret->sum_ns = atomic_load_explicit(&histogram->sum_ns, memory_order_relaxed);
}
