#include "backend/charge.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "backend/meta_private.h"

#define KEY "charge.last"
#define HOUR 3600.0
#define BACK_MAX_S 86400

/* As they stand in the table. */
static const char *const kind_names[CHARGE_KINDS] = {
        "current", "noncurrent", "dead", "versions", "puts", "gets", "checks", "hours"};

/* ---- months ---- */

unsigned charge_month(int64_t time_s) {
	const time_t time = (time_t)time_s;
	struct tm tm = {0};
	if (!gmtime_r(&time, &tm) || tm.tm_year < 0 || tm.tm_year > 8099)
		return 197001;
	return (unsigned)(tm.tm_year + 1900) * 100 + (unsigned)tm.tm_mon + 1;
}

int64_t charge_month_begins(unsigned month) {
	struct tm tm = {.tm_year = (int)(month / 100) - 1900, .tm_mon = (int)(month % 100) - 1, .tm_mday = 1};
	return (int64_t)timegm(&tm);
}

unsigned charge_month_next(unsigned month) {
	return month % 100 == 12 ? month + 100 - 11 : month + 1;
}

/* ---- rows ---- */

static int add(Meta *m, unsigned month, unsigned zone, enum charge_kind kind, double quantity) {
	if (quantity <= 0)
		return 0;
	return SQL_RUN(m,
	        "INSERT INTO charge (month, zone, kind, quantity) VALUES (?, ?, ?, ?)"
	        " ON CONFLICT DO UPDATE SET quantity = quantity + excluded.quantity",
	        v_u64(month), v_u64(zone), v_text(kind_names[kind]), v_real(quantity));
}

int charge_add(Meta *m, int64_t time_s, unsigned zone, enum charge_kind kind, double quantity) {
	if (zone >= CHARGE_ZONES || kind >= CHARGE_KINDS || !isfinite(quantity) || quantity < 0)
		return fault(EINVAL, "charges: no quantity of anything");
	int rc = meta_raise_schema(m, META_SCHEMA_WATCHED);
	return rc < 0 ? rc : add(m, charge_month(time_s), zone, kind, quantity);
}

static void take_row(sqlite3_stmt *stmt, struct charges *charges) {
	const uint64_t zone = column_u64(stmt, 0);
	const char *name = (const char *)sqlite3_column_text(stmt, 1);
	for (size_t kind = 0; zone < CHARGE_ZONES && name && kind < CHARGE_KINDS; kind++)
		if (strcmp(name, kind_names[kind]) == 0)
			charges->quantity[zone][kind] = sqlite3_column_double(stmt, 2);
}

int charge_read(Meta *m, unsigned month, struct charges *ret_charges) {
	struct charges charges = {0};
	_cleanup_(sql_donep) sqlite3_stmt *stmt = NULL;
	int rc = 0;
	if (meta_has(m, META_SCHEMA_WATCHED))
		rc = SQL_START(m, "SELECT zone, kind, quantity FROM charge WHERE month = ?", &stmt, v_u64(month));
	while (rc == 0 && stmt && (rc = sql_step(m, stmt)) == 1) {
		take_row(stmt, &charges);
		rc = 0;
		continue;
	}
	if (rc == 0)
		*ret_charges = charges;
	return rc;
}

/* ---- levels ---- */

/* Kept as they are in memory on every machine that this runs on: IEEE 754, little-endian. */
struct kept {
	int64_t time_s;
	double bytes[CHARGE_ZONES][CHARGE_VERSIONS + 1];
};
static_assert(sizeof(struct kept) == 8 + 8 * CHARGE_ZONES * (CHARGE_VERSIONS + 1), "on disk");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "on disk");

int charge_last(Meta *m, struct charge_levels *ret_levels) {
	struct kept kept;
	size_t size = 0;
	int rc = meta_kv_get(m, KEY, &kept, sizeof kept, &size);
	if (rc == -ERANGE || (rc == 0 && size != sizeof kept))
		return fault(EUCLEAN, "charges: the last levels are %zu bytes", size);
	if (rc < 0)
		return rc;
	ret_levels->time_s = kept.time_s;
	memcpy(ret_levels->bytes, kept.bytes, sizeof kept.bytes);
	return 0;
}

static int keep(Meta *m, const struct charge_levels *levels) {
	struct kept kept = {.time_s = levels->time_s};
	memcpy(kept.bytes, levels->bytes, sizeof kept.bytes);
	return meta_kv_put(m, KEY, bytes_of(&kept, sizeof kept));
}

static int add_hours(Meta *m, unsigned month, const struct charge_levels *levels, double hours) {
	int rc = add(m, month, ZONE_NONE, CHARGE_HOURS, hours);
	for (unsigned zone = 0; rc == 0 && zone < CHARGE_ZONES; zone++)
		for (enum charge_kind kind = 0; rc == 0 && kind <= CHARGE_VERSIONS; kind++)
			rc = add(m, month, zone, kind, levels->bytes[zone][kind] * hours);
	return rc;
}

static int add_until(Meta *m, const struct charge_levels *last, int64_t end_s) {
	int rc = 0;
	for (int64_t at = last->time_s; rc == 0 && at < end_s;) {
		const unsigned month = charge_month(at);
		int64_t until = charge_month_begins(charge_month_next(month));
		until = until < end_s ? until : end_s;
		rc = add_hours(m, month, last, (double)(until - at) / HOUR);
		at = until;
	}
	return rc;
}

int charge_accrue(Meta *m, const struct charge_levels *now) {
	struct charge_levels last, next = *now;
	int rc = meta_raise_schema(m, META_SCHEMA_WATCHED);
	if (rc < 0)
		return rc;
	rc = charge_last(m, &last);
	if (rc == -ENOENT)
		return keep(m, now);
	if (rc < 0)
		return rc;
	const int64_t gap = now->time_s - last.time_s;
	if (gap > 0 && gap <= CHARGE_GAP_MAX_S)
		rc = add_until(m, &last, now->time_s);
	else if (gap <= 0 && gap >= -BACK_MAX_S)
		next.time_s = last.time_s; /* until then all is paid for */
	return rc < 0 ? rc : keep(m, &next);
}
