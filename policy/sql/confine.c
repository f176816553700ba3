#include "policy/sql/confine.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <string.h>

#define STEPS_AT_ONCE 1000

void sql_warm_up(void) {
	unsigned char byte;
	sqlite3_randomness(sizeof byte, &byte);
}

static int count_steps(void *arg) {
	struct sql_budget *budget = arg;
	budget->steps = budget->steps > STEPS_AT_ONCE ? budget->steps - STEPS_AT_ONCE : 0;
	return budget->steps == 0;
}

static void set_limits(sqlite3 *db) {
	static const struct {
		int what, most;
	} limits[] = {
	        {SQLITE_LIMIT_LENGTH, 32 << 20},
	        {SQLITE_LIMIT_SQL_LENGTH, 1 << 20},
	        {SQLITE_LIMIT_COLUMN, 32767},
	        {SQLITE_LIMIT_EXPR_DEPTH, 200},
	        {SQLITE_LIMIT_COMPOUND_SELECT, 20},
	        {SQLITE_LIMIT_VDBE_OP, 250000},
	        {SQLITE_LIMIT_FUNCTION_ARG, 32},
	        {SQLITE_LIMIT_ATTACHED, 0},
	        {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000},
	        {SQLITE_LIMIT_VARIABLE_NUMBER, 0},
	        {SQLITE_LIMIT_TRIGGER_DEPTH, 1},
	        {SQLITE_LIMIT_WORKER_THREADS, 0},
	};
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
		(void)sqlite3_limit(db, limits[i].what, limits[i].most);
}

int sql_open(struct sql_budget *budget, sqlite3 **ret_db) {
	sqlite3 *db = NULL;
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY | SQLITE_OPEN_NOMUTEX;
	int code = sqlite3_open_v2(":memory:", &db, flags, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_exec(db, "PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF", NULL, NULL, NULL);
	if (code != SQLITE_OK) {
		(void)sqlite3_close(db);
		return fault(ENOMEM, "no memory for SQL");
	}
	set_limits(db);
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
	sqlite3_progress_handler(db, STEPS_AT_ONCE, count_steps, budget);
	*ret_db = db;
	return 0;
}

void sql_closep(sqlite3 **db) {
	(void)sqlite3_close(*db);
	*db = NULL;
}

/* Nothing that reaches beyond the rows: neither the schema nor the connection nor chance. */
static bool is_harmless(const char *function) {
	static const char *const refused[] = {"load_extension", "random", "randomblob", "zeroblob", "sqlite_version",
	        "sqlite_source_id", "sqlite_compileoption_get", "sqlite_compileoption_used", "sqlite_log", "changes",
	        "total_changes", "last_insert_rowid", "sqlite_offset", "fts3_tokenizer"};
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
		if (sqlite3_stricmp(function, refused[i]) == 0)
			return false;
	return true;
}

static int authorize(
        void *arg, int action, const char *first, const char *second, const char *database, const char *trigger) {
	(void)arg;
	(void)database;
	(void)trigger;
	switch (action) {
	case SQLITE_SELECT:
		return SQLITE_OK;
	case SQLITE_READ:
		return first && strncmp(first, "sqlite_", 7) == 0 ? SQLITE_DENY : SQLITE_OK;
	case SQLITE_FUNCTION:
		return second && is_harmless(second) ? SQLITE_OK : SQLITE_DENY;
	default:
		return SQLITE_DENY;
	}
}

void sql_confine(sqlite3 *db) {
	(void)sqlite3_set_authorizer(db, authorize, NULL);
}

int sql_fault(sqlite3 *db, int code, const char *what) {
	if (code == SQLITE_NOMEM)
		return fault(ENOMEM, "%s: no memory", what);
	if (code == SQLITE_INTERRUPT)
		return fault(EOVERFLOW, "%s: it takes too many steps", what);
	return fault(EINVAL, "%s: %s", what, sqlite3_errmsg(db));
}
