#include "fs/exposition.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/base/fault.h"
#include "policy/table/utf8.h"

#define FAMILIES_MAX 256u

struct Exposition {
	enum exposition_format format;
	FILE *stream; /* into `text` */
	char *text;
	size_t size;
	const struct exposition_family *family; /* the last one: a copy below */
	struct exposition_family current;
	const char *names[FAMILIES_MAX];
	size_t name_count;
	const char *wrong; /* the first family that was none, and why */
	const char *why;
};

const char *exposition_content_type(enum exposition_format format) {
	return format == EXPOSITION_OPENMETRICS ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
	                                        : "text/plain; version=0.0.4; charset=utf-8";
}

int exposition_format_of(const char *name, enum exposition_format *ret) {
	if (strcmp(name, "prometheus") == 0)
		*ret = EXPOSITION_PROMETHEUS;
	else if (strcmp(name, "openmetrics") == 0)
		*ret = EXPOSITION_OPENMETRICS;
	else
		return fault(EINVAL, "'%s' is no format of metrics: prometheus or openmetrics", name);
	return 0;
}

int exposition_new(enum exposition_format format, Exposition **ret) {
	Exposition *e = calloc(1, sizeof *e);
	if (e)
		e->stream = open_memstream(&e->text, &e->size);
	if (!e || !e->stream) {
		free(e);
		return fault(ENOMEM, "writing metrics: out of memory");
	}
	e->format = format;
	*ret = e;
	return 0;
}

void exposition_free(Exposition *e) {
	if (!e)
		return;
	if (e->stream)
		(void)fclose(e->stream);
	free(e->text);
	free(e);
}

/* ---- what may be written ---- */

static void refuse(Exposition *e, const char *what, const char *why) {
	if (!e->why) {
		e->wrong = what;
		e->why = why;
	}
}

/* Without colons, which are for recording rules. */
static bool is_name(const char *name) {
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
	return name[0] && (name[0] < '0' || name[0] > '9') && strspn(name, letters) == strlen(name);
}

static bool ends_in(const char *name, const char *end) {
	size_t length = strlen(name), wanted = strlen(end);
	return length > wanted && memcmp(name + length - wanted, end, wanted) == 0 && name[length - wanted - 1] == '_';
}

static void check_family(Exposition *e, const struct exposition_family *family) {
	if (!is_name(family->name) || ends_in(family->name, "total") || ends_in(family->name, "info"))
		refuse(e, family->name, "is no name of a family");
	if (family->unit && !ends_in(family->name, family->unit))
		refuse(e, family->name, "does not end in its unit");
	for (size_t i = 0; i < e->name_count; i++)
		if (strcmp(e->names[i], family->name) == 0)
			refuse(e, family->name, "was begun before");
	if (e->name_count == FAMILIES_MAX)
		refuse(e, family->name, "is one family too many");
	else
		e->names[e->name_count++] = family->name;
}

/* ---- texts ---- */

/* Backslash and end of line in both; the quote ends a label's value, and OpenMetrics escapes it in help, too. */
static void put_escaped(Exposition *e, const char *text, bool quotes) {
	for (size_t left = strlen(text); left > 0;) {
		size_t valid = utf8_valid_prefix(text, left);
		for (size_t i = 0; i < valid; i++)
			if (text[i] == '\n')
				fputs("\\n", e->stream);
			else if (text[i] == '\\' || (text[i] == '"' && quotes))
				fprintf(e->stream, "\\%c", text[i]);
			else
				fputc(text[i], e->stream);
		if (valid < left)
			fputs("\xef\xbf\xbd", e->stream);
		valid += valid < left;
		text += valid;
		left -= valid;
	}
}

static const char *suffix_of(enum exposition_type type) {
	return type == EXPOSITION_COUNTER ? "_total" : type == EXPOSITION_INFO ? "_info" : "";
}

static const char *type_word(enum exposition_format format, enum exposition_type type) {
	switch (type) {
	case EXPOSITION_COUNTER:
		return "counter";
	case EXPOSITION_HISTOGRAM:
		return "histogram";
	case EXPOSITION_INFO:
		return format == EXPOSITION_OPENMETRICS ? "info" : "gauge";
	case EXPOSITION_GAUGE:
		break;
	}
	return "gauge";
}

void exposition_family(Exposition *e, const struct exposition_family *family) {
	const bool is_open = e->format == EXPOSITION_OPENMETRICS;
	const char *suffix = is_open ? "" : suffix_of(family->type);
	check_family(e, family);
	e->current = *family;
	e->family = &e->current;
	fprintf(e->stream, "# TYPE %s%s %s\n", family->name, suffix, type_word(e->format, family->type));
	if (is_open && family->unit)
		fprintf(e->stream, "# UNIT %s %s\n", family->name, family->unit);
	fprintf(e->stream, "# HELP %s%s ", family->name, suffix);
	put_escaped(e, family->help, is_open);
	fputc('\n', e->stream);
}

/* ---- samples ---- */

static void put_labels(Exposition *e, const struct exposition_label *labels, size_t count, const char *bound) {
	if (count == 0 && !bound)
		return;
	fputc('{', e->stream);
	for (size_t i = 0; i < count; i++) {
		if (!is_name(labels[i].name) || (bound && strcmp(labels[i].name, "le") == 0))
			refuse(e, labels[i].name, "is no name of a label");
		fprintf(e->stream, "%s%s=\"", i ? "," : "", labels[i].name);
		put_escaped(e, labels[i].value, true);
		fputc('"', e->stream);
	}
	if (bound)
		fprintf(e->stream, "%sle=\"%s\"", count ? "," : "", bound);
	fputc('}', e->stream);
}

/* The beginning of a line, up to its value. */
static void begin_sample(
        Exposition *e, const char *suffix, const struct exposition_label *labels, size_t count, const char *bound) {
	if (!e->family) {
		refuse(e, "a sample", "belongs to no family");
		return;
	}
	fprintf(e->stream, "%s%s", e->family->name, suffix);
	put_labels(e, labels, count, bound);
	fputc(' ', e->stream);
}

static void begin_plain(Exposition *e, const struct exposition_label *labels, size_t count) {
	if (e->family && e->family->type == EXPOSITION_HISTOGRAM)
		refuse(e, e->family->name, "is a histogram");
	begin_sample(e, e->family ? suffix_of(e->family->type) : "", labels, count, NULL);
}

void exposition_count(Exposition *e, uint64_t value, const struct exposition_label *labels, size_t count) {
	begin_plain(e, labels, count);
	fprintf(e->stream, "%" PRIu64 "\n", value);
}

void exposition_number(Exposition *e, double value, const struct exposition_label *labels, size_t count) {
	begin_plain(e, labels, count);
	if (isnan(value))
		fputs("NaN\n", e->stream);
	else if (isinf(value))
		fputs(value > 0 ? "+Inf\n" : "-Inf\n", e->stream);
	else
		fprintf(e->stream, "%.15g\n", value);
}

static void put_seconds(Exposition *e, int64_t ns) {
	const uint64_t size = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
	fprintf(e->stream, "%s%" PRIu64 ".%09" PRIu64 "\n", ns < 0 ? "-" : "", size / 1000000000, size % 1000000000);
}

void exposition_seconds(Exposition *e, int64_t ns, const struct exposition_label *labels, size_t count) {
	begin_plain(e, labels, count);
	put_seconds(e, ns);
}

void exposition_histogram(
        Exposition *e, const struct histogram_view *view, const struct exposition_label *labels, size_t count) {
	if (e->family && e->family->type != EXPOSITION_HISTOGRAM)
		refuse(e, e->family->name, "is no histogram");
	for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
		begin_sample(e, "_bucket", labels, count, histogram_bound_text(i));
		fprintf(e->stream, "%" PRIu64 "\n", view->up_to[i]);
	}
	begin_sample(e, "_bucket", labels, count, "+Inf");
	fprintf(e->stream, "%" PRIu64 "\n", view->count);
	begin_sample(e, "_sum", labels, count, NULL);
	put_seconds(e, (int64_t)view->sum_ns);
	begin_sample(e, "_count", labels, count, NULL);
	fprintf(e->stream, "%" PRIu64 "\n", view->count);
}

void exposition_single(Exposition *e, const struct exposition_family *family, uint64_t value) {
	exposition_family(e, family);
	exposition_count(e, value, NULL, 0);
}

int exposition_end(Exposition *e, char **ret_text, size_t *ret_size) {
	if (e->format == EXPOSITION_OPENMETRICS)
		fputs("# EOF\n", e->stream);
	bool failed = ferror(e->stream) != 0;
	failed = fclose(e->stream) != 0 || failed;
	e->stream = NULL;
	if (failed)
		return fault(ENOMEM, "writing metrics: out of memory");
	if (e->why)
		return fault(EINVAL, "writing metrics: %s %s", e->wrong, e->why);
	*ret_text = steal_pointer(&e->text);
	*ret_size = e->size;
	return 0;
}
