#include "policy/sql/confine.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <time.h>

/* LIKE minds the case of letters, as everywhere but in SQLite. */
#define OPENING "PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF; PRAGMA case_sensitive_like=ON"
/* Between two looks at the budget: as few as keep what a statement takes in between small, and cost nothing yet. */
#define STEPS_AT_ONCE 200
/* What a step takes at most, but for those that call a function. */
#define STEP_NS 200

void sql_warm_up(void) {
	unsigned char byte;
	sqlite3_randomness(sizeof byte, &byte);
}

/* Processor time of the thread since the last look, in steps: one function may take as long as thousands. */
static uint64_t steps_of_time(struct sql_budget *budget) {
	struct timespec now;
	if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) < 0)
		return 0;
	int64_t ns = now.tv_sec * 1000000000LL + now.tv_nsec, since = budget->looked_ns;
	budget->looked_ns = ns;
	return since && ns > since ? (uint64_t)(ns - since) / STEP_NS : 0;
}

static int count_steps(void *arg) {
	struct sql_budget *budget = arg;
	uint64_t took = steps_of_time(budget);
	took = took > STEPS_AT_ONCE ? took : STEPS_AT_ONCE;
	budget->steps = budget->steps > took ? budget->steps - took : 0;
	budget->is_too_large = budget->memory > 0 && sqlite3_memory_used() > budget->memory;
	return budget->steps == 0 || budget->is_too_large;
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
		code = sqlite3_exec(db, OPENING, NULL, NULL, NULL);
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

/* Columns of tables that belong to nobody's rows are not read; a common table expression is no table. */
static int authorize(
        void *arg, int action, const char *first, const char *second, const char *database, const char *trigger) {
	const struct sql_watch *watch = arg;
	(void)database;
	(void)trigger;
	if (watch->is_own)
		return SQLITE_OK;
	switch (action) {
	case SQLITE_SELECT:
		return SQLITE_OK;
	case SQLITE_READ:
		return first && second && watch->read(watch->arg, first, second) ? SQLITE_OK : SQLITE_DENY;
	case SQLITE_FUNCTION:
		return second && is_harmless(second) ? SQLITE_OK : SQLITE_DENY;
	default:
		return SQLITE_DENY;
	}
}

void sql_confine(sqlite3 *db, struct sql_watch *watch) {
	(void)sqlite3_set_authorizer(db, authorize, watch);
}

/* "no such table" is the one fault that Glue has other words for. */
static int say_fault(sqlite3 *db, const struct sql_budget *budget, int code, const char *what, bool is_running) {
	static const char no_table[] = "no such table: ";
	if (code == SQLITE_NOMEM)
		return fault(ENOMEM, "%s: no memory", what);
	if (code == SQLITE_INTERRUPT && budget->is_too_large)
		return fault(EOVERFLOW, "%s: it takes too much memory", what);
	if (code == SQLITE_INTERRUPT)
		return fault(EOVERFLOW, "%s: it takes too many steps", what);
	const char *words = sqlite3_errmsg(db);
	if (strncmp(words, no_table, strlen(no_table)) == 0)
		return fault(EINVAL, "%s: the table %s is not found: there is primary, and the aliases of references",
		        what, words + strlen(no_table));
	/* of a statement that runs, what is quoted is a cell's */
	int shown = is_running ? (int)strcspn(words, "'\"") : (int)strlen(words);
	return fault(EINVAL, "%s: %.*s%s", what, shown, words, words[shown] ? "…" : "");
}

int sql_prepare(
        sqlite3 *db, const struct sql_budget *budget, const char *what, const char *sql, sqlite3_stmt **ret_statement) {
	sqlite3_stmt *statement = NULL, *more = NULL;
	const char *rest = NULL;
	int code = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, &rest);
	while (code == SQLITE_OK && !more && rest[0])
		code = sqlite3_prepare_v3(db, rest, -1, 0, &more, &rest);
	bool is_one = statement && !more && sqlite3_stmt_isexplain(statement) == 0; /* which asks no authorizer */
	(void)sqlite3_finalize(more);
	if (code == SQLITE_OK && is_one) {
		*ret_statement = statement;
		return 0;
	}
	(void)sqlite3_finalize(statement);
	return code == SQLITE_OK ? fault(EINVAL, "%s: it must be one SELECT", what)
	                         : say_fault(db, budget, code, what, false);
}

int sql_fault(sqlite3 *db, const struct sql_budget *budget, int code, const char *what) {
	return say_fault(db, budget, code, what, true);
}

bool sql_is_whole(double number) {
	return rint(number) == number && fabs(number) < 9e15;
}
