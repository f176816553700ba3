/*
 * parse: a recursive descent over DQDL's sections. rule.c reads rules, condition.c conditions, tag.c labels and tags.
 */
#include "policy/dqdl/parser.h"

#include "crypto/base/fault.h"
#include "policy/table/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_VARIABLES 1000

struct Ruleset {
	Arena *arena;
	const struct dqdl_rule **rules;
	size_t rule_count;
	const struct dqdl_rule **analyzers;
	size_t analyzer_count;
	struct dqdl_pairs metadata;
	const char *primary;
	const char **additional;
	size_t additional_count;
	struct dqdl_diagnostic *warnings;
	size_t warning_count;
	const char *text;
};

/* Moves on from the last place asked for, as most are asked in order: text of one long line must not cost its square.
 */
static void locate(struct parser *parser, size_t at, uint32_t *ret_line, uint32_t *ret_column) {
	struct place *place = &parser->place;
	struct bytes text = parser->lexer.text;
	if (at < place->at)
		*place = (struct place){.at = parser->begin, .line = 1, .column = 1};
	for (; place->at < at && place->at < text.size; place->at++) {
		uint8_t c = text.data[place->at];
		if (c == '\n') {
			place->line++;
			place->column = 1;
		} else if ((c & 0xc0) != 0x80) {
			place->column++;
		}
	}
	*ret_line = place->line;
	*ret_column = place->column;
}

void parser_locate(struct parser *parser, struct dqdl_rule *rule) {
	locate(parser, parser->token.start, &rule->line, &rule->column);
}

int(parser_out_of_memory)(void) {
	return fault(ENOMEM, "out of memory while reading rules");
}

int(parser_error)(struct parser *parser, size_t at, const char *format, ...) {
	struct dqdl_diagnostic *diagnostic = parser->diagnostic;
	va_list args;
	va_start(args, format);
	(void)vsnprintf(diagnostic->message, sizeof diagnostic->message, format, args);
	va_end(args);
	locate(parser, at, &diagnostic->line, &diagnostic->column);
	return fault(EINVAL, "line %u, column %u: %s", diagnostic->line, diagnostic->column, diagnostic->message);
}

int(parser_unexpected)(struct parser *parser, const char *expected) {
	const struct token *token = &parser->token;
	int shown = (int)(token->end - token->start < 40 ? token->end - token->start : 40);
	const char *text = (const char *)parser->lexer.text.data + token->start;
	if (token->kind == TOKEN_END)
		return parser_error(parser, token->start, "found the end of the text, expected %s", expected);
	if (token->message)
		return parser_error(parser, token->start, "found %s, expected %s", token->message, expected);
	return parser_error(parser, token->start, "found %.*s, expected %s", shown, text, expected);
}

void parser_advance(struct parser *parser) {
	parser->consumed = parser->token.end;
	parser->token = lexer_next(&parser->lexer);
}

bool parser_accept(struct parser *parser, int kind) {
	if (parser->token.kind != kind)
		return false;
	parser_advance(parser);
	return true;
}

int parser_expect(struct parser *parser, int kind, const char *what) {
	return parser_accept(parser, kind) ? 0 : parser_unexpected(parser, what);
}

int parser_deeper(struct parser *parser) {
	if (++parser->depth > DQDL_MAX_DEPTH)
		return parser_error(parser, parser->token.start, "more than %u levels of parentheses", DQDL_MAX_DEPTH);
	return 0;
}

char *parser_text(struct parser *parser, struct token token) {
	return arena_text(parser->arena, (const char *)token.text.data, token.text.size);
}

char *parser_unescape(struct parser *parser, const char *text) {
	char *copy = arena_text(parser->arena, text, strlen(text));
	if (!copy)
		return NULL;
	char *to = copy;
	for (const char *from = copy; *from; from++) {
		/* A backslash before a newline stays, as Java's `.` does not match it. */
		if (*from == '\\' && from[1] && from[1] != '\n' && from[1] != '\r')
			from++;
		*to++ = *from;
	}
	*to = '\0';
	return copy;
}

const struct variable *parser_variable(const struct parser *parser, struct token name) {
	for (size_t i = 0; i < parser->variable_count; i++) {
		const struct variable *variable = &parser->variables[i];
		if (strlen(variable->name) == name.text.size &&
		        memcmp(variable->name, name.text.data, name.text.size) == 0)
			return variable;
	}
	return NULL;
}

static int warn(struct parser *parser, Ruleset *ruleset, size_t at, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

static int warn(struct parser *parser, Ruleset *ruleset, size_t at, const char *format, ...) {
	ruleset->warnings =
	        arena_grow(parser->arena, ruleset->warnings, ruleset->warning_count, sizeof *ruleset->warnings);
	if (!ruleset->warnings)
		return parser_out_of_memory();
	struct dqdl_diagnostic *warning = &ruleset->warnings[ruleset->warning_count++];
	va_list args;
	va_start(args, format);
	(void)vsnprintf(warning->message, sizeof warning->message, format, args);
	va_end(args);
	locate(parser, at, &warning->line, &warning->column);
	return 0;
}

typedef int parse_function(struct parser *parser, struct dqdl_rule **ret_rule);

/* = [ rule, … ] behind Rules or Analyzers. */
static int section_parse(
        struct parser *parser, parse_function *parse, const struct dqdl_rule ***ret_rules, size_t *ret_count) {
	const struct dqdl_rule **rules = NULL;
	size_t count = 0;
	int rc = parser_expect(parser, TOKEN_CHAR('='), "= and a list in square brackets");
	if (rc == 0)
		rc = parser_expect(parser, TOKEN_CHAR('['), "[ and a list of rules or analyzers");
	/* The token behind ] is not ours: text may follow that is no DQDL. */
	while (rc == 0 && !(count == 0 && parser->token.kind == TOKEN_CHAR(']'))) {
		struct dqdl_rule *rule = NULL;
		rules = arena_grow(parser->arena, rules, count, sizeof *rules);
		if (!rules)
			return parser_out_of_memory();
		rc = parse(parser, &rule);
		rules[count++] = rule;
		if (rc == 0 && !parser_accept(parser, TOKEN_CHAR(',')))
			break;
	}
	if (rc == 0)
		rc = parser_expect(parser, TOKEN_CHAR(']'), "a comma or ]");
	*ret_rules = rules;
	*ret_count = count;
	return rc;
}

/* A dictionary's value with brackets and quotes taken off; a list's parts stay divided by commas. */
static int dictionary_value(struct parser *parser, bool *ret_list, const char **ret_value) {
	size_t start = parser->token.start;
	*ret_list = parser_accept(parser, TOKEN_CHAR('['));
	int rc;
	do {
		rc = parser_expect(parser, TOKEN_STRING, "a string in double quotes");
	} while (rc == 0 && *ret_list && parser_accept(parser, TOKEN_CHAR(',')));
	if (rc == 0 && *ret_list)
		rc = parser_expect(parser, TOKEN_CHAR(']'), "a comma or ]");
	if (rc < 0)
		return rc;
	struct bytes text = parser->lexer.text;
	char *value = arena_text(parser->arena, (const char *)text.data + start, parser->consumed - start);
	if (!value)
		return parser_out_of_memory();
	const char *dropped = *ret_list ? "\"[] \t\r\n" : "\"";
	char *to = value;
	for (const char *from = value; *from; from++)
		if (!strchr(dropped, *from))
			*to++ = *from;
	*to = '\0';
	*ret_value = value;
	return 0;
}

static int set_sources(struct parser *parser, Ruleset *ruleset, const char *list) {
	ruleset->additional_count = 0;
	ruleset->additional = NULL;
	for (const char *from = list; *from;) {
		size_t size = strcspn(from, ",");
		ruleset->additional =
		        arena_grow(parser->arena, ruleset->additional, ruleset->additional_count, sizeof(char *));
		const char *name = arena_text(parser->arena, from, size);
		if (!ruleset->additional || !name)
			return parser_out_of_memory();
		ruleset->additional[ruleset->additional_count++] = name;
		from += size + (from[size] == ',');
	}
	return 0;
}

static int set_metadata(struct parser *parser, Ruleset *ruleset, const char *key, const char *value) {
	struct dqdl_pair *pair = arena_alloc(parser->arena, sizeof *pair);
	if (!pair)
		return parser_out_of_memory();
	*pair = (struct dqdl_pair){.key = key, .value = value};
	ruleset->metadata = (struct dqdl_pairs){.pairs = pair, .count = 1};
	return 0;
}

static int pair_parse(struct parser *parser, Ruleset *ruleset, bool sources) {
	struct token key = parser->token;
	bool list = false;
	const char *value = NULL;
	int rc = parser_expect(parser, TOKEN_STRING, "a name in double quotes");
	if (rc == 0)
		rc = parser_expect(parser, TOKEN_CHAR(':'), ": and a value");
	const char *raw = rc == 0 ? parser_text(parser, key) : NULL;
	const char *name = raw ? parser_unescape(parser, raw) : NULL;
	if (rc == 0 && !name)
		return parser_out_of_memory();
	size_t value_at = parser->token.start;
	if (rc == 0)
		rc = dictionary_value(parser, &list, &value);
	if (rc)
		return rc;
	if (!sources && strcmp(name, "Version") == 0)
		return set_metadata(parser, ruleset, "Version", value);
	if (sources && strcmp(name, "Primary") == 0) {
		ruleset->primary = value;
		return 0;
	}
	if (sources && strcmp(name, "AdditionalDataSources") == 0)
		return list ? set_sources(parser, ruleset, value)
		            : parser_error(parser, value_at, "AdditionalDataSources is a list in square brackets");
	return parser_error(parser, key.start, "found \"%.60s\", expected %s", name,
	        sources ? "\"Primary\" or \"AdditionalDataSources\"" : "\"Version\"");
}

static int dictionary_parse(struct parser *parser, Ruleset *ruleset, bool sources) {
	int rc = parser_expect(parser, TOKEN_CHAR('='), "= and a dictionary");
	if (rc == 0)
		rc = parser_expect(parser, TOKEN_CHAR('{'), "{ and a dictionary");
	do {
		if (rc == 0)
			rc = pair_parse(parser, ruleset, sources);
	} while (rc == 0 && parser_accept(parser, TOKEN_CHAR(',')));
	return rc < 0 ? rc : parser_expect(parser, TOKEN_CHAR('}'), "a comma or }");
}

static bool refers_to_variable(const char *text) {
	for (; (text = strchr(text, '$')); text++) {
		char c = text[1];
		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_')
			return true;
	}
	return false;
}

static int variable_value(struct parser *parser, struct variable *variable) {
	int kind = parser->token.kind;
	if (kind != TOKEN_STRING && kind != TOKEN_NULL && kind != TOKEN_EMPTY && kind != TOKEN_WHITESPACES_ONLY)
		return parser_unexpected(parser, "a string in double quotes (a date is none)");
	const char **values = NULL;
	union {
		const char *const *from;
		const void *any;
	} old = {.from = variable->values};
	values = arena_grow(parser->arena, old.any, variable->count, sizeof *values);
	const char *text = parser_text(parser, parser->token);
	if (!values || !text)
		return parser_out_of_memory();
	if (refers_to_variable(text))
		return parser_error(parser, parser->token.start, "a variable's value cannot refer to a variable");
	values[variable->count++] = text;
	variable->values = values;
	parser_advance(parser);
	return 0;
}

static int variable_parse(struct parser *parser, struct variable *variable) {
	uint8_t first = parser->token.text.data[0];
	if (first == '.' || first == '_')
		return parser_error(parser, parser->token.start, "a variable's name begins with neither . nor _");
	if (parser_variable(parser, parser->token))
		return parser_error(parser, parser->token.start, "the variable %.*s is defined twice",
		        (int)parser->token.text.size, (const char *)parser->token.text.data);
	*variable = (struct variable){.name = parser_text(parser, parser->token)};
	if (!variable->name)
		return parser_out_of_memory();
	parser_advance(parser);
	int rc = parser_expect(parser, TOKEN_CHAR('='), "Rules, Analyzers, or a variable's = and value");
	if (rc < 0)
		return rc;
	variable->is_list = parser_accept(parser, TOKEN_CHAR('['));
	do {
		rc = variable_value(parser, variable);
	} while (rc == 0 && variable->is_list && parser_accept(parser, TOKEN_CHAR(',')));
	if (rc == 0 && variable->is_list)
		rc = parser_expect(parser, TOKEN_CHAR(']'), "a comma or ]");
	return rc;
}

static int variables_parse(struct parser *parser) {
	struct variable *variables = NULL;
	while (parser->token.kind == TOKEN_NAME) {
		if (parser->variable_count == MAX_VARIABLES)
			return parser_error(parser, parser->token.start, "more than %d variables", MAX_VARIABLES);
		variables = arena_grow(parser->arena, variables, parser->variable_count, sizeof *variables);
		if (!variables)
			return parser_out_of_memory();
		int rc = variable_parse(parser, &variables[parser->variable_count]);
		if (rc < 0)
			return rc;
		parser->variables = variables;
		parser->variable_count++;
	}
	return 0;
}

static int rules_and_analyzers(struct parser *parser, Ruleset *ruleset) {
	size_t at = parser->token.start;
	bool rules = parser_accept(parser, TOKEN_RULES);
	int rc = 0;
	if (!rules && parser->token.kind != TOKEN_ANALYZERS)
		return parser_unexpected(parser, "Rules = [ … ] or Analyzers = [ … ]");
	if (rules)
		rc = section_parse(parser, rule_parse, &ruleset->rules, &ruleset->rule_count);
	if (rc == 0 && parser_accept(parser, TOKEN_ANALYZERS))
		rc = section_parse(parser, analyzer_parse, &ruleset->analyzers, &ruleset->analyzer_count);
	if (rc == 0 && ruleset->rule_count + ruleset->analyzer_count == 0)
		rc = parser_error(parser, at, "there is neither a rule nor an analyzer");
	return rc;
}

static int sections_parse(struct parser *parser, Ruleset *ruleset) {
	int rc = 0;
	if (parser_accept(parser, TOKEN_METADATA))
		rc = dictionary_parse(parser, ruleset, false);
	if (rc == 0 && parser_accept(parser, TOKEN_DATA_SOURCES))
		rc = dictionary_parse(parser, ruleset, true);
	if (rc == 0)
		rc = variables_parse(parser);
	if (rc == 0 && parser_accept(parser, TOKEN_DEFAULT_LABELS)) {
		struct dqdl_pairs labels;
		rc = labels_parse(parser, &labels);
		if (rc == 0)
			parser->default_labels = labels;
	}
	return rc < 0 ? rc : rules_and_analyzers(parser, ruleset);
}

/* Tags that a rule goes by here, in any case of letters. */
static bool is_known_tag(const char *key) {
	static const char *const known[] = {
	        "format", "ignoreCase", "uriRegex", "recentFiles", "hashAlgorithm", "timeZone", "matchFileName"};
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strcasecmp(key, known[i]) == 0)
			return true;
	return false;
}

/* AWS Glue takes any; one that is misspelt would change nothing, unseen. */
static int warn_of_tags(struct parser *parser, Ruleset *ruleset, const struct dqdl_rule *rule) {
	if (rule->id == DQDL_COMPOSITE) {
		int rc = warn_of_tags(parser, ruleset, rule->left);
		return rc < 0 ? rc : warn_of_tags(parser, ruleset, rule->right);
	}
	for (size_t i = 0; i < rule->tags.count; i++) {
		if (is_known_tag(rule->tags.pairs[i].key))
			continue;
		int rc = warn(parser, ruleset, 0,
		        "the tag \"%.60s\" of %s changes nothing here; there are threshold, format, ignoreCase, "
		        "uriRegex, recentFiles, hashAlgorithm, timeZone and matchFileName",
		        rule->tags.pairs[i].key, rule->type);
		if (rc < 0)
			return rc;
		struct dqdl_diagnostic *warning = &ruleset->warnings[ruleset->warning_count - 1];
		warning->line = rule->line;
		warning->column = rule->column;
	}
	return 0;
}

static int add_warnings(struct parser *parser, Ruleset *ruleset) {
	const struct token *token = &parser->token;
	struct bytes text = parser->lexer.text;
	int shown = (int)(text.size - token->start < 60 ? text.size - token->start : 60);
	int rc = 0;
	if (parser->begin > 0)
		rc = warn(parser, ruleset, 0, "a byte order mark, which AWS Glue refuses");
	if (rc == 0 && parser->lexer.carriage_returns)
		rc = warn(parser, ruleset, 0, "CRLF newlines, which AWS Glue refuses");
	if (rc == 0 && parser->lexer.open_comment)
		rc = warn(parser, ruleset, text.size, "a comment without a newline at its end, which AWS Glue refuses");
	if (rc == 0 && token->kind != TOKEN_END)
		rc = warn(parser, ruleset, token->start, "ignored, as it stands behind the last bracket: %.*s", shown,
		        (const char *)text.data + token->start);
	for (size_t i = 0; rc == 0 && i < ruleset->rule_count; i++)
		rc = warn_of_tags(parser, ruleset, ruleset->rules[i]);
	return rc;
}

static void print_rules(FILE *out, const char *name, const struct dqdl_rule *const *rules, size_t count) {
	(void)fprintf(out, "%s = [\n", name);
	for (size_t i = 0; i < count; i++)
		(void)fprintf(out, "    %s%s\n", rules[i]->text, i + 1 < count ? "," : "");
	(void)fputc(']', out);
}

static void print_sources(FILE *out, const Ruleset *ruleset) {
	bool primary = ruleset->primary && ruleset->primary[strspn(ruleset->primary, " \t\n")];
	if (!primary && ruleset->additional_count == 0)
		return;
	(void)fputs("DataSources = {\n", out);
	if (primary)
		(void)fprintf(
		        out, "    \"Primary\": \"%s\"%s\n", ruleset->primary, ruleset->additional_count ? "," : "");
	for (size_t i = 0; i < ruleset->additional_count; i++)
		(void)fprintf(
		        out, "%s\"%s\"", i == 0 ? "    \"AdditionalDataSources\": [ " : ", ", ruleset->additional[i]);
	(void)fputs(ruleset->additional_count ? " ]\n}\n\n" : "}\n\n", out);
}

static int make_text(Ruleset *ruleset) {
	_cleanup_(freep) char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	if (!out)
		return parser_out_of_memory();
	for (size_t i = 0; i < ruleset->metadata.count; i++)
		(void)fprintf(out, "Metadata = {\n    \"%s\": \"%s\"\n}\n\n", ruleset->metadata.pairs[i].key,
		        ruleset->metadata.pairs[i].value);
	print_sources(out, ruleset);
	if (ruleset->rule_count)
		print_rules(out, "Rules", ruleset->rules, ruleset->rule_count);
	if (ruleset->rule_count && ruleset->analyzer_count)
		(void)fputs("\n\n", out);
	if (ruleset->analyzer_count)
		print_rules(out, "Analyzers", ruleset->analyzers, ruleset->analyzer_count);
	if (fclose(out) != 0)
		return parser_out_of_memory();
	ruleset->text = arena_text(ruleset->arena, text, size);
	return ruleset->text ? 0 : parser_out_of_memory();
}

static int check_text(struct parser *parser) {
	struct bytes text = parser->lexer.text;
	if (text.size > DQDL_MAX_BYTES)
		return fault(EMSGSIZE, "a ruleset has at most %u bytes, this one %zu", DQDL_MAX_BYTES, text.size);
	size_t good = utf8_valid_prefix((const char *)text.data, text.size);
	if (good < text.size)
		return parser_error(parser, good, "found byte 0x%02x, expected UTF-8 text", text.data[good]);
	return 0;
}

int dqdl_parse(struct bytes text, Ruleset **ret_ruleset, struct dqdl_diagnostic *ret_diagnostic) {
	struct dqdl_diagnostic unheard;
	_cleanup_(ruleset_freep) Ruleset *ruleset = calloc(1, sizeof *ruleset);
	if (!ruleset || !(ruleset->arena = arena_new()))
		return parser_out_of_memory();
	struct parser parser = {
	        .arena = ruleset->arena,
	        .lexer = {.text = text},
	        .place = {.line = 1, .column = 1},
	        .diagnostic = ret_diagnostic ? ret_diagnostic : &unheard,
	};
	*parser.diagnostic = (struct dqdl_diagnostic){0};
	if (text.size >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0)
		parser.lexer.at = parser.begin = parser.place.at = 3;
	int rc = check_text(&parser);
	if (rc < 0)
		return rc;
	parser.token = lexer_next(&parser.lexer);
	rc = sections_parse(&parser, ruleset);
	if (rc == 0)
		rc = add_warnings(&parser, ruleset);
	if (rc == 0)
		rc = make_text(ruleset);
	if (rc < 0)
		return rc;
	*ret_ruleset = steal_pointer(&ruleset);
	return 0;
}

void ruleset_free(Ruleset *ruleset) {
	if (!ruleset)
		return;
	arena_free(ruleset->arena);
	free(ruleset);
}

int ruleset_none(Ruleset **ret_ruleset) {
	_cleanup_(ruleset_freep) Ruleset *ruleset = calloc(1, sizeof *ruleset);
	if (!ruleset || !(ruleset->arena = arena_new()))
		return parser_out_of_memory();
	int rc = make_text(ruleset);
	if (rc < 0)
		return rc;
	*ret_ruleset = steal_pointer(&ruleset);
	return 0;
}

const char *dqdl_canonical(const Ruleset *ruleset) {
	return ruleset->text;
}

size_t ruleset_rules(const Ruleset *ruleset) {
	return ruleset->rule_count;
}

const struct dqdl_rule *ruleset_rule(const Ruleset *ruleset, size_t index) {
	return index < ruleset->rule_count ? ruleset->rules[index] : NULL;
}

size_t ruleset_analyzers(const Ruleset *ruleset) {
	return ruleset->analyzer_count;
}

const struct dqdl_rule *ruleset_analyzer(const Ruleset *ruleset, size_t index) {
	return index < ruleset->analyzer_count ? ruleset->analyzers[index] : NULL;
}

size_t ruleset_warnings(const Ruleset *ruleset) {
	return ruleset->warning_count;
}

const struct dqdl_diagnostic *ruleset_warning(const Ruleset *ruleset, size_t index) {
	return &ruleset->warnings[index];
}

const char *ruleset_primary_source(const Ruleset *ruleset) {
	return ruleset->primary;
}

size_t ruleset_additional_sources(const Ruleset *ruleset) {
	return ruleset->additional_count;
}

const char *ruleset_additional_source(const Ruleset *ruleset, size_t index) {
	return ruleset->additional[index];
}
