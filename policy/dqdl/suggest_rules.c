/* suggest_rules: which rules a profile is worth, and their text. */
#include "policy/dqdl/profile.h"

#include <inttypes.h>
#include <stdlib.h>

#define MAX_COLUMN_RULES 10u
#define ENOUGH_ROWS 10u
#define SENTENCE_WORDS 5u
#define DAY_SECONDS 86400

/* What a rule of a column says, the strongest first. A column may have some. */
enum saying { KEY, UNIQUE, VOCABULARY, TYPE, FRESH, NOT_NEGATIVE, ONE_LENGTH, COMPLETE, PRESENT, SAYINGS };

struct writing {
	FILE *out;
	const DqdlProfile *profile;
	int64_t now;
	const struct profile_column *key; /* the first column whose values are all there and all different */
};

/* --- what holds --- */

static uint64_t absent(const struct profile_column *column) {
	return column->nulls + column->empties;
}

/* Of five words or more: somebody wrote a sentence. */
static bool is_sentence(const struct profile_value *value) {
	size_t words = 0;
	for (size_t i = 0; i < value->size; i++)
		words += value->text[i] != ' ' && (i == 0 || value->text[i - 1] == ' ');
	return words >= SENTENCE_WORDS;
}

static bool is_named_free_text(const char *name) {
	static const char *const words[] = {"note", "comment", "remark", "descri", "message", "memo", "free_text",
	        "freetext", "free text", "narrative", "commentaire", "remarque"};
	bool is = false;
	for (size_t i = 0; name && i < sizeof words / sizeof *words; i++)
		is = is || strcasestr(name, words[i]);
	return is;
}

/* What people write as they like, or what hardly comes twice, is no vocabulary, however few values there are. */
static bool is_free_text(const struct profile_column *column) {
	size_t once = 0, sentences = 0;
	for (size_t i = 0; i < column->vocabulary_size; i++) {
		once += column->vocabulary[i].count == 1;
		sentences += is_sentence(&column->vocabulary[i]);
	}
	return sentences > 0 || 2 * once > column->vocabulary_size || is_named_free_text(column->name);
}

static bool has_vocabulary(const struct profile_column *column) {
	return !column->no_vocabulary && column->vocabulary_size > 0 &&
	       column->values >= column->vocabulary_size * (uint64_t)ENOUGH_ROWS && !is_free_text(column);
}

/* The narrowest; one that only looks so because there is next to nothing is none. */
static enum profile_type type_of(const struct profile_column *column) {
	size_t type = 0;
	while (type < PROFILE_TEXT && column->is_no[type])
		type++;
	return column->values ? (enum profile_type)type : PROFILE_TEXT;
}

/* Amounts and times that happen to differ are no key. */
static bool is_unique(const struct writing *w, const struct profile_column *column) {
	enum profile_type type = type_of(column);
	return column->name && absent(column) == 0 && column->distinct && w->profile->rows >= ENOUGH_ROWS &&
	       type != PROFILE_DOUBLE && type != PROFILE_TIMESTAMP;
}

/* Days that leave the next delivery as much time again, and a day more, as a date has no hour; 0: it is not about what
 * has just happened. */
static unsigned fresh_days(const struct writing *w, const struct profile_column *column) {
	static const unsigned steps[] = {2, 3, 7, 14, 31, 62};
	int64_t age = w->now - column->oldest;
	if (absent(column) > 0 || w->profile->rows < ENOUGH_ROWS || column->newest > w->now + DAY_SECONDS)
		return 0;
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
		if (2 * age + DAY_SECONDS <= (int64_t)steps[i] * DAY_SECONDS)
			return steps[i];
	return 0;
}

static bool is_time(enum profile_type type) {
	return type == PROFILE_DATE || type == PROFILE_TIMESTAMP;
}

/* A set of sayings, one bit each. */
static unsigned sayings_of(const struct writing *w, const struct profile_column *column) {
	enum profile_type type = type_of(column);
	/* A share below a percent is no rule. */
	bool mostly = column->values * 100 >= w->profile->rows && column->values > 0;
	bool complete = absent(column) == 0, is_hidden = column->is_hidden;
	unsigned set = 0;
	if (!column->name)
		return 0;
	if (is_unique(w, column))
		set |= 1U << (column == w->key ? KEY : UNIQUE);
	if (mostly && !is_hidden && is_time(type) && fresh_days(w, column))
		set |= 1U << FRESH;
	if (set & (1U << KEY | 1U << UNIQUE))
		return set;
	if (!mostly)
		return 1U << PRESENT;
	if (has_vocabulary(column) && !is_time(type))
		return set | 1U << VOCABULARY;
	if (type != PROFILE_TEXT)
		set |= 1U << TYPE;
	if (!is_hidden && type >= PROFILE_INTEGER && type <= PROFILE_DOUBLE && column->least >= 0)
		set |= 1U << NOT_NEGATIVE;
	if (set)
		return set;
	return complete && column->shortest == column->longest && w->profile->rows >= ENOUGH_ROWS ? 1U << ONE_LENGTH
	                                                                                          : 1U << COMPLETE;
}

/* --- in words --- */

/* " with threshold >= SHARE", rounded down to hundredths or, close to 1, to tenths of that. */
static void write_share(FILE *out, const char *before, uint64_t part, uint64_t rows) {
	uint64_t hundredths = part * 100 / rows;
	if (hundredths < 99)
		(void)fprintf(out, "%s0.%02" PRIu64, before, hundredths);
	else
		(void)fprintf(out, "%s0.%03" PRIu64, before, part * 1000 / rows);
}

static void write_threshold(const struct writing *w, const struct profile_column *column) {
	if (column->values < w->profile->rows)
		write_share(w->out, " with threshold >= ", column->values, w->profile->rows);
}

/* "every value is", and how many rows have none. */
static void write_every(const struct writing *w, const struct profile_column *column, const char *what) {
	(void)fprintf(w->out, "    # every value is %s", what);
	if (absent(column) > 0)
		(void)fprintf(
		        w->out, "; %" PRIu64 " of %" PRIu64 " rows are without it", absent(column), w->profile->rows);
	(void)fputc('\n', w->out);
}

/* Cells that are missing in fewer than a row in twenty are let through by a threshold; more of them belong to the
 * vocabulary. */
static void write_vocabulary(const struct writing *w, const struct profile_column *column) {
	bool rare = absent(column) * 20 < w->profile->rows;
	(void)fprintf(w->out, "    # %zu %s in %" PRIu64 " rows\n    ColumnValues \"%s\" in [", column->vocabulary_size,
	        column->vocabulary_size == 1 ? "value" : "different values", w->profile->rows, column->name);
	for (size_t i = 0; i < column->vocabulary_size; i++) {
		char *text = profile_escape(column->vocabulary[i].text, column->vocabulary[i].size);
		(void)fprintf(w->out, "%s\"%s\"", i ? ", " : "", text ? text : "");
		free(text);
	}
	if (!rare && column->nulls)
		(void)fputs(", NULL", w->out);
	if (!rare && column->empties)
		(void)fputs(", EMPTY", w->out);
	(void)fputc(']', w->out);
	if (rare)
		write_threshold(w, column);
}

static void write_type(const struct writing *w, const struct profile_column *column) {
	static const struct {
		const char *words, *type, *tags;
	} types[] = {[PROFILE_BOOLEAN] = {"true or false", "Boolean", ""},
	        [PROFILE_INTEGER] = {"a whole number", "Integer", ""},
	        [PROFILE_LONG] = {"a whole number", "Long", ""},
	        [PROFILE_DOUBLE] = {"a number", "Double", ""},
	        [PROFILE_DATE] = {"a date", "Date", " with format = \"yyyy-MM-dd\""},
	        [PROFILE_TIMESTAMP] = {"a time", "Timestamp", ""}};
	enum profile_type type = type_of(column);
	write_every(w, column, types[type].words);
	(void)fprintf(w->out, "    ColumnDataType \"%s\" = \"%s\"", column->name, types[type].type);
	write_threshold(w, column);
	(void)fputs(types[type].tags, w->out);
}

static void write_complete(const struct writing *w, const struct profile_column *column) {
	const struct dqdl_nulls *nulls = w->profile->nulls;
	bool is_text = column_kind_is_text(&column->kind);
	if (absent(column) == 0) {
		/* As Glue reads a CSV, an empty cell among texts is a text: IsComplete could never fail there. */
		bool is_never_null = nulls->mode == DQDL_NULLS_NONE || (nulls->mode == DQDL_NULLS_GLUE && is_text);
		(void)fputs("    # no row is without it\n", w->out);
		(void)fprintf(w->out, is_never_null ? "    ColumnValues \"%s\" != EMPTY" : "    IsComplete \"%s\"",
		        column->name);
		return;
	}
	(void)fprintf(
	        w->out, "    # %" PRIu64 " of %" PRIu64 " rows are without it\n", absent(column), w->profile->rows);
	bool null = nulls->mode == DQDL_NULLS_GLUE && !is_text;
	if (column->empties == 0 || null) {
		(void)fprintf(w->out, "    Completeness \"%s\"", column->name);
		write_share(w->out, " >= ", column->values, w->profile->rows);
		return;
	}
	/* In a column of texts an empty cell is a text. NULL would pass != and makes the share larger, never smaller.
	 */
	(void)fprintf(w->out, "    ColumnValues \"%s\" != EMPTY", column->name);
	write_threshold(w, column);
}

static void write_rule(const struct writing *w, const struct profile_column *column, enum saying saying) {
	const char *name = column->name;
	switch (saying) {
	case KEY:
		(void)fprintf(
		        w->out, "    # no value comes twice, none is missing: the key\n    IsPrimaryKey \"%s\"", name);
		break;
	case UNIQUE:
		(void)fprintf(w->out, "    # no value comes twice\n    IsUnique \"%s\"", name);
		break;
	case VOCABULARY:
		write_vocabulary(w, column);
		break;
	case TYPE:
		write_type(w, column);
		break;
	case FRESH:
		(void)fprintf(w->out,
		        "    # every row is of these days: an old delivery is noticed\n    DataFreshness \"%s\" <= %u "
		        "days",
		        name, fresh_days(w, column));
		break;
	case NOT_NEGATIVE:
		(void)fprintf(w->out, "    # no number is negative\n    ColumnValues \"%s\" >= 0", name);
		write_threshold(w, column);
		break;
	case ONE_LENGTH:
		(void)fprintf(w->out, "    # every value has the same length\n    ColumnLength \"%s\" = %zu", name,
		        column->longest);
		break;
	case COMPLETE:
		write_complete(w, column);
		break;
	case PRESENT:
	case SAYINGS:
	default:
		(void)fprintf(w->out, "    # hardly ever filled\n    ColumnExists \"%s\"", name);
		break;
	}
}

/* --- the ruleset --- */

/* The greatest number of one leading digit below `rows`: 17,628 gives 10,000. */
static uint64_t lower_bound(uint64_t rows) {
	uint64_t below = rows - 1;
	uint64_t unit = 1;
	while (below / unit >= 10)
		unit *= 10;
	return below / unit * unit;
}

/* How many of each kind are written: the strongest kinds whose rules all fit; of the last kind the first columns. */
static void share_out(const struct writing *w, size_t ret_room[static SAYINGS]) {
	size_t room = MAX_COLUMN_RULES;
	for (size_t i = 0; i < w->profile->count; i++)
		for (size_t saying = 0; saying < SAYINGS; saying++)
			ret_room[saying] += sayings_of(w, &w->profile->columns[i]) >> saying & 1;
	for (size_t saying = 0; saying < SAYINGS; saying++) {
		ret_room[saying] = ret_room[saying] < room ? ret_room[saying] : room;
		room -= ret_room[saying];
	}
}

static void write_column(const struct writing *w, const struct profile_column *column, size_t room[static SAYINGS]) {
	unsigned set = sayings_of(w, column);
	for (size_t saying = 0; saying < SAYINGS; saying++) {
		if (!(set >> saying & 1) || room[saying] == 0)
			continue;
		room[saying]--;
		(void)fputs(",\n", w->out);
		write_rule(w, column, (enum saying)saying);
	}
}

void profile_write_rules(FILE *out, const DqdlProfile *profile, int64_t now) {
	struct writing w = {.out = out, .profile = profile, .now = now};
	size_t room[SAYINGS] = {0};
	for (size_t i = 0; i < profile->count && !w.key; i++)
		w.key = is_unique(&w, &profile->columns[i]) ? &profile->columns[i] : NULL;
	(void)fprintf(out,
	        "# Suggested from a table of %" PRIu64 " rows and %zu columns. Read it, change it, make it yours.\n",
	        profile->rows, profile->count);
	(void)fputs("Rules = [\n", out);
	if (profile->rows > 0)
		(void)fprintf(out, "    # an empty or cut-off delivery is noticed\n    RowCount > %" PRIu64 ",\n",
		        lower_bound(profile->rows));
	(void)fprintf(out, "    # a column more or less is noticed\n    ColumnCount = %zu", profile->count);
	share_out(&w, room);
	for (size_t i = 0; i < profile->count; i++)
		write_column(&w, &profile->columns[i], room);
	(void)fputs("\n]\n", out);
}
