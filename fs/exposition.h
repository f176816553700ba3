/*
 * exposition: numbers written down as Prometheus reads them: its text format 0.0.4, and OpenMetrics 1.0.0.
 *
 *     exposition_new ─ family ─ sample, sample, … ─ family ─ sample, … ─ exposition_end ─► text
 *
 *                        0.0.4                                    OpenMetrics
 *     counter "a_b"      # TYPE a_b_total counter                 # TYPE a_b counter
 *                        a_b_total{…} 1                           a_b_total{…} 1
 *     info "a"           # TYPE a_info gauge                      # TYPE a info
 *     unit "bytes"       (not said)                               # UNIT a_bytes bytes
 *     the end            (none)                                   # EOF
 *
 * The names of families are given without `_total` and `_info`. All samples of a family follow its beginning; one that
 * is begun twice, a name or label that is none, a unit that the name does not end in: exposition_end says so, and there
 * is no text. Values of labels may be any bytes: what is no UTF-8 becomes U+FFFD, and what would end the value is
 * escaped. A family without samples is written too: that it is there, and that nothing was counted yet.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "crypto/base/cleanup.h"
#include "crypto/base/histogram.h"

enum exposition_format { EXPOSITION_PROMETHEUS, EXPOSITION_OPENMETRICS };

/* For HTTP's Content-Type. */
const char *exposition_content_type(enum exposition_format format);

/* "prometheus" or "openmetrics"; -EINVAL with words. */
int exposition_format_of(const char *name, enum exposition_format *ret);

typedef struct Exposition Exposition;

/* -ENOMEM. */
int exposition_new(enum exposition_format format, Exposition **ret);
/* Accepts NULL. */
void exposition_free(Exposition *exposition);
DEFINE_CLEANUP(Exposition, exposition_free);

enum exposition_type { EXPOSITION_COUNTER, EXPOSITION_GAUGE, EXPOSITION_HISTOGRAM, EXPOSITION_INFO };

/* Texts are static, or live until exposition_end. */
struct exposition_family {
	const char *name;
	enum exposition_type type;
	const char *unit; /* a base unit in the plural (seconds, bytes, usd), which the name ends in; NULL: none */
	const char *help; /* one sentence */
};

struct exposition_label {
	const char *name, *value;
};

/* Begins a family. */
void exposition_family(Exposition *exposition, const struct exposition_family *family);

/* A sample of the family begun last, with so many labels (0: NULL will do): a whole number, any number, or nanoseconds,
 * which are written as seconds. The value of an info is 1. */
void exposition_count(
        Exposition *exposition, uint64_t value, const struct exposition_label *labels, size_t label_count);
void exposition_number(Exposition *exposition, double value, const struct exposition_label *labels, size_t label_count);
void exposition_seconds(Exposition *exposition, int64_t ns, const struct exposition_label *labels, size_t label_count);

/* All of a histogram: its buckets, sum and count. */
void exposition_histogram(Exposition *exposition, const struct histogram_view *view,
        const struct exposition_label *labels, size_t label_count);

/* A family of one sample without labels. */
void exposition_single(Exposition *exposition, const struct exposition_family *family, uint64_t value);

/* The text, NUL-terminated, allocated. -ENOMEM; -EINVAL with words: what was given makes no exposition. */
int exposition_end(Exposition *exposition, char **ret_text, size_t *ret_size);
