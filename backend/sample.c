#include "backend/sample.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#include "backend/meta_private.h"

#define DAY_S INT64_C(86400)

/* Shortest first: each divides the next. */
static const struct tier {
	unsigned period_s;
	int64_t kept_s;
} tiers[] = {{60, 2 * DAY_S}, {300, 63 * DAY_S}, {3600, 455 * DAY_S}};
#define TIERS (sizeof tiers / sizeof tiers[0])
#define LONGEST tiers[TIERS - 1]

/* ---- names ---- */

static bool is_name(const char *text, size_t size) {
	if (size == 0 || size > SAMPLE_NAME_MAX)
		return false;
	for (size_t i = 0; i < size; i++)
		if (!isalnum((unsigned char)text[i]) && text[i] != '_')
			return false;
	return true;
}

static bool comes_before(const char *one, size_t one_size, const char *other, size_t other_size) {
	int order = memcmp(one, other, one_size < other_size ? one_size : other_size);
	return order < 0 || (order == 0 && one_size < other_size);
}

/* `key=value`, then the rest: keys in order and none twice. Values may hold anything but commas and control bytes. */
static bool are_labels(const char *labels) {
	const char *last = NULL;
	size_t last_size = 0;
	if (strlen(labels) > SAMPLE_LABELS_MAX)
		return false;
	for (const char *at = labels; *at;) {
		size_t key = strcspn(at, "=,"), end = strcspn(at, ",");
		if (at[key] != '=' || !is_name(at, key))
			return false;
		if (last && !comes_before(last, last_size, at, key))
			return false;
		for (size_t i = key; i < end; i++)
			if (iscntrl((unsigned char)at[i]))
				return false;
		if (at[end] == ',' && !at[end + 1])
			return false;
		last = at;
		last_size = key;
		at += end + (at[end] == ',');
	}
	return true;
}

/* ---- series ---- */

struct series {
	int64_t id, last_s;
};

/* -ENOENT. */
static int find_series(Meta *m, const char *name, const char *labels, struct series *ret) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int rc = SQL_START(
	        m, "SELECT id, last_s FROM series WHERE name = ? AND labels = ?", &stmt, v_text(name), v_text(labels));
	if (rc == 0)
		rc = sql_step(m, stmt);
	if (rc <= 0)
		return rc < 0 ? rc : -ENOENT;
	*ret = (struct series){sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 1)};
	return 0;
}

static int begin_series(Meta *m, const char *name, const char *labels, int64_t time_s, struct series *ret) {
	uint64_t count = 0;
	int rc = SQL_NUMBER(m, "SELECT count(*) FROM (SELECT 1 FROM series LIMIT ?)", &count, v_u64(SAMPLE_SERIES_MAX));
	if (rc == 0 && count >= SAMPLE_SERIES_MAX)
		return fault(EDQUOT, "samples: %s{%s} would be more than %d series", name, labels, SAMPLE_SERIES_MAX);
	if (rc == 0)
		rc = SQL_RUN(m, "INSERT INTO series (name, labels, last_s) VALUES (?, ?, ?)", v_text(name),
		        v_text(labels), v_i64(time_s));
	return rc < 0 ? rc : find_series(m, name, labels, ret);
}

/* The time is renewed once an hour: to know when a series has no rows left, that is enough. */
static int renew_series(Meta *m, const struct series *series, int64_t time_s) {
	if (time_s < series->last_s + LONGEST.period_s)
		return 0;
	return SQL_RUN(m, "UPDATE series SET last_s = ? WHERE id = ?", v_i64(time_s), v_i64(series->id));
}

/* ---- adding ---- */

static int check_sample(const char *name, const char *labels, int64_t time_s, double value) {
	if (!is_name(name, strlen(name)))
		return fault(EINVAL, "samples: no name of a series: letters and digits, at most %d", SAMPLE_NAME_MAX);
	if (!are_labels(labels))
		return fault(EINVAL, "samples: labels of %s are key=value, joined by commas in order of keys", name);
	if (time_s < 0)
		return fault(EINVAL, "samples: %s at a time before 1970", name);
	if (!isfinite(value) || fabs(value) > SAMPLE_VALUE_MAX)
		return fault(EINVAL, "samples: the value of %s is no number, or beyond measure", name);
	return 0;
}

static int add_to_tier(Meta *m, const struct tier *tier, int64_t series, int64_t time_s, double value) {
	return SQL_RUN(m,
	        "INSERT INTO sample (period, time_s, series, count, sum, least, most) VALUES (?1, ?2, ?3, 1, ?4, ?4, "
	        "?4) ON CONFLICT DO UPDATE SET count = count + 1, sum = sum + excluded.sum,"
	        " least = min(least, excluded.least), most = max(most, excluded.most)",
	        v_u64(tier->period_s), v_i64(time_s - time_s % tier->period_s), v_i64(series), v_real(value));
}

int sample_add(Meta *m, const char *name, const char *labels, int64_t time_s, double value) {
	struct series series;
	int rc = check_sample(name, labels, time_s, value);
	if (rc == 0)
		rc = meta_raise_schema(m, META_SCHEMA_WATCHED);
	if (rc < 0)
		return rc;
	rc = find_series(m, name, labels, &series);
	if (rc == -ENOENT)
		rc = begin_series(m, name, labels, time_s, &series);
	if (rc == 0)
		rc = renew_series(m, &series, time_s);
	for (size_t i = 0; rc == 0 && i < TIERS; i++)
		rc = add_to_tier(m, &tiers[i], series.id, time_s, value);
	return rc;
}

/* ---- reading ---- */

/* From one moment that has rows to the next: with the series last in the key, two descents for each. */
#define READ                                                                                                 \
	"WITH RECURSIVE moment (t) AS"                                                                       \
	" (SELECT min(time_s) FROM sample WHERE period = ?1 AND time_s >= ?2 AND time_s < ?3 UNION ALL"      \
	" SELECT (SELECT min(time_s) FROM sample WHERE period = ?1 AND time_s > moment.t AND time_s < ?3)"   \
	" FROM moment WHERE moment.t IS NOT NULL)"                                                           \
	" SELECT s.time_s, s.count, s.sum, s.least, s.most FROM moment CROSS JOIN sample s ON s.period = ?1" \
	" AND s.time_s = moment.t AND s.series = ?4"

/* Sums rows up to periods. */
struct summing {
	int64_t period_s;
	sample_point_fn *each;
	void *arg;
	struct sample_point point; /* count 0: none yet */
};

static int end_point(struct summing *s) {
	int rc = s->point.count > 0 ? s->each(s->arg, &s->point) : 0;
	s->point.count = 0;
	return rc;
}

static int add_row(struct summing *s, sqlite3_stmt *stmt) {
	const int64_t time_s = sqlite3_column_int64(stmt, 0);
	const struct sample_point row = {.time_s = time_s - time_s % s->period_s,
	        .count = sqlite3_column_double(stmt, 1),
	        .sum = sqlite3_column_double(stmt, 2),
	        .least = sqlite3_column_double(stmt, 3),
	        .most = sqlite3_column_double(stmt, 4)};
	int rc = row.time_s == s->point.time_s ? 0 : end_point(s);
	if (s->point.count <= 0) {
		s->point = row;
		return rc;
	}
	s->point.count += row.count;
	s->point.sum += row.sum;
	if (row.least < s->point.least)
		s->point.least = row.least;
	if (row.most > s->point.most)
		s->point.most = row.most;
	return rc;
}

/* The beginning of the first period at or after the time. */
static int64_t period_from(int64_t time_s, unsigned period_s) {
	int64_t rest;
	if (time_s <= 0)
		return 0;
	rest = time_s % period_s;
	if (rest == 0)
		return time_s;
	return time_s > INT64_MAX - period_s ? INT64_MAX : time_s - rest + period_s;
}

int sample_read(Meta *m, const char *name, const char *labels, int64_t from_s, int64_t to_s, unsigned period_s,
        sample_point_fn *each, void *arg) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	struct summing summing = {.period_s = period_s, .each = each, .arg = arg};
	struct series series;
	size_t tier = TIERS;
	while (tier > 0 && (period_s == 0 || period_s % tiers[tier - 1].period_s != 0))
		tier--;
	if (tier == 0)
		return fault(EINVAL, "samples: a period of %u s is no multiple of a minute", period_s);
	if (!meta_has(m, META_SCHEMA_WATCHED))
		return 0;
	int rc = find_series(m, name, labels, &series);
	if (rc == -ENOENT)
		return 0;
	if (rc == 0)
		rc = SQL_START(m, READ, &stmt, v_u64(tiers[tier - 1].period_s), v_i64(period_from(from_s, period_s)),
		        v_i64(period_from(to_s, period_s)), v_i64(series.id));
	while (rc == 0 && (rc = sql_step(m, stmt)) == 1)
		rc = add_row(&summing, stmt);
	if (rc == 0)
		rc = end_point(&summing);
	return rc > 0 ? 0 : rc;
}

int sample_list(Meta *m, sample_series_fn *each, void *arg) {
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	if (!meta_has(m, META_SCHEMA_WATCHED))
		return 0;
	int rc = sql_start(m, "SELECT name, labels FROM series ORDER BY name, labels", NULL, 0, &stmt);
	while (rc == 0 && (rc = sql_step(m, stmt)) == 1)
		rc = each(arg, (const char *)sqlite3_column_text(stmt, 0), (const char *)sqlite3_column_text(stmt, 1));
	return rc > 0 ? 0 : rc;
}

/* ---- pruning ---- */

static int prune_tier(Meta *m, const struct tier *tier, int64_t now_s, uint64_t limit, uint64_t *ret_removed) {
	return SQL_RUN_CHANGED(m,
	        "DELETE FROM sample WHERE (period, time_s, series) IN (SELECT period, time_s, series FROM sample"
	        " WHERE period = ? AND time_s < ? ORDER BY time_s, series LIMIT ?)",
	        ret_removed, v_u64(tier->period_s), v_i64(now_s - tier->kept_s - tier->period_s + 1), v_u64(limit));
}

static int prune_series(Meta *m, int64_t now_s, uint64_t limit, uint64_t *ret_removed) {
	return SQL_RUN_CHANGED(m, "DELETE FROM series WHERE id IN (SELECT id FROM series WHERE last_s < ? LIMIT ?)",
	        ret_removed, v_i64(now_s - LONGEST.kept_s - 2 * LONGEST.period_s), v_u64(limit));
}

int sample_prune(Meta *m, int64_t now_s, unsigned limit, unsigned *ret_removed) {
	uint64_t removed = 0, some = 0;
	int rc = 0;
	for (size_t i = 0; meta_has(m, META_SCHEMA_WATCHED) && rc == 0 && i < TIERS && removed < limit; i++) {
		rc = prune_tier(m, &tiers[i], now_s, limit - removed, &some);
		removed += rc == 0 ? some : 0;
	}
	/* Only when there were no more rows to remove is a series without a recent sample one without rows. */
	if (meta_has(m, META_SCHEMA_WATCHED) && rc == 0 && removed < limit) {
		rc = prune_series(m, now_s, limit - removed, &some);
		removed += some;
	}
	if (rc == 0)
		*ret_removed = (unsigned)removed;
	return rc;
}
