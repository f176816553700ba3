#include "policy/alarm/expression.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NODES_MAX 512u
#define ARGUMENTS_MAX 10u

enum kind {
	NUMBER,
	SERIES,
	NEGATE,
	ADD,
	SUBTRACT,
	MULTIPLY,
	DIVIDE,
	GREATER,
	AT_LEAST,
	LESS,
	AT_MOST,
	EQUAL,
	DIFFERENT,
	AND,
	OR,
	SUM,
	AVG,
	MIN,
	MAX,
	FILL,
	FILL_REPEAT,
	IF,
	RATE,
	ABS,
	DIFF
};

struct node {
	enum kind kind;
	double number;
	unsigned char series;
	unsigned char count; /* of arguments */
	unsigned short arguments[ARGUMENTS_MAX];
};

struct AlarmExpression {
	struct node nodes[NODES_MAX];
	size_t count;
	unsigned short root;
};

struct parsing {
	const char *text, *at;
	const char *const *names;
	size_t name_count;
	unsigned depth;
	unsigned column; /* of the mistake */
	AlarmExpression *expression;
};

/* ---- parsing ---- */

static __attribute__((format(printf, 2, 3))) int complain(struct parsing *p, const char *format, ...) {
	char words[256];
	va_list list;
	va_start(list, format);
	(void)vsnprintf(words, sizeof words, format, list);
	va_end(list);
	p->column = (unsigned)(p->at - p->text) + 1;
	return fault(EINVAL, "column %u: %s", p->column, words);
}

static void skip_blanks(struct parsing *p) {
	p->at += strspn(p->at, " \t\n");
}

/* Takes the words off, a letter must not follow one of letters. */
static bool take(struct parsing *p, const char *word) {
	size_t length = strlen(word);
	skip_blanks(p);
	if (strncmp(p->at, word, length) != 0)
		return false;
	p->at += length;
	return true;
}

static int new_node(struct parsing *p, enum kind kind, unsigned short *ret_node) {
	AlarmExpression *e = p->expression;
	if (e->count == NODES_MAX)
		return complain(p, "the expression has too many parts");
	e->nodes[e->count] = (struct node){.kind = kind};
	*ret_node = (unsigned short)e->count++;
	return 0;
}

static int join(
        struct parsing *p, enum kind kind, unsigned short left, unsigned short right, unsigned short *ret_node) {
	int rc = new_node(p, kind, ret_node);
	if (rc < 0)
		return rc;
	struct node *node = &p->expression->nodes[*ret_node];
	node->count = 2;
	node->arguments[0] = left;
	node->arguments[1] = right;
	return 0;
}

static int parse_any(struct parsing *p, unsigned short *ret_node);

static size_t word_length(const char *at) {
	return strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
}

static bool is_word(const char *at, size_t length, const char *word) {
	return strlen(word) == length && strncmp(at, word, length) == 0;
}

static int parse_number(struct parsing *p, unsigned short *ret_node) {
	size_t length = strspn(p->at, "0123456789.");
	size_t exponent = length > 0 && strchr("eE", p->at[length]) && p->at[length] ? 1 : 0;
	if (exponent) {
		exponent += p->at[length + 1] == '-' || p->at[length + 1] == '+';
		exponent += strspn(p->at + length + exponent, "0123456789");
	}
	char text[64], *end;
	if (length + exponent >= sizeof text)
		return complain(p, "a number of %zu digits", length);
	memcpy(text, p->at, length + exponent);
	text[length + exponent] = '\0';
	double number = strtod(text, &end);
	if (*end != '\0' || end == text || !isfinite(number))
		return complain(p, "'%s' is no number", text);
	int rc = new_node(p, NUMBER, ret_node);
	if (rc == 0) {
		p->expression->nodes[*ret_node].number = number;
		p->at += length + exponent;
	}
	return rc;
}

static int parse_name(struct parsing *p, size_t length, unsigned short *ret_node) {
	for (size_t i = 0; i < p->name_count; i++) {
		if (!is_word(p->at, length, p->names[i]))
			continue;
		int rc = new_node(p, SERIES, ret_node);
		if (rc == 0)
			p->expression->nodes[*ret_node].series = (unsigned char)i;
		p->at += length;
		return rc;
	}
	return complain(p, "there is no series '%.*s' under 'metrics'", (int)(length < 60 ? length : 60), p->at);
}

struct function {
	const char *name;
	enum kind kind;
	unsigned char least, most;
};

static const struct function functions[] = {{"SUM", SUM, 1, ARGUMENTS_MAX}, {"AVG", AVG, 1, ARGUMENTS_MAX},
        {"MIN", MIN, 1, ARGUMENTS_MAX}, {"MAX", MAX, 1, ARGUMENTS_MAX}, {"FILL", FILL, 2, 2}, {"IF", IF, 2, 3},
        {"RATE", RATE, 1, 1}, {"ABS", ABS, 1, 1}, {"DIFF", DIFF, 1, 1}};

/* FILL(a, REPEAT): the word is no expression. */
static bool take_repeat(struct parsing *p, const struct function *function) {
	skip_blanks(p);
	return function->kind == FILL && is_word(p->at, word_length(p->at), "REPEAT") && take(p, "REPEAT");
}

static int parse_arguments(struct parsing *p, const struct function *function, struct node *node) {
	do {
		if (node->count == 1 && take_repeat(p, function)) {
			node->kind = FILL_REPEAT;
			break;
		}
		if (node->count == function->most)
			return complain(p, "%s takes no more than %u", function->name, function->most);
		int rc = parse_any(p, &node->arguments[node->count]);
		if (rc < 0)
			return rc;
		node->count++;
	} while (take(p, ","));
	if (!take(p, ")"))
		return complain(p, "a ',' or ')' is missing");
	if (node->kind != FILL_REPEAT && node->count < function->least)
		return complain(p, "%s takes at least %u", function->name, function->least);
	return 0;
}

static int parse_call(struct parsing *p, size_t length, unsigned short *ret_node) {
	for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
		if (!is_word(p->at, length, functions[i].name))
			continue;
		p->at += length;
		if (!take(p, "("))
			return complain(p, "'(' is missing behind %s", functions[i].name);
		struct node node = {.kind = functions[i].kind};
		int rc = parse_arguments(p, &functions[i], &node);
		if (rc == 0)
			rc = new_node(p, node.kind, ret_node);
		if (rc == 0)
			p->expression->nodes[*ret_node] = node;
		return rc;
	}
	return complain(p, "there is no function '%.*s'; there are SUM, AVG, MIN, MAX, FILL, IF, RATE, ABS, DIFF",
	        (int)(length < 60 ? length : 60), p->at);
}

static int parse_atom(struct parsing *p, unsigned short *ret_node) {
	if (take(p, "(")) {
		int rc = parse_any(p, ret_node);
		return rc < 0 ? rc : take(p, ")") ? 0 : complain(p, "')' is missing");
	}
	size_t length = word_length(p->at);
	if (strchr("0123456789.", *p->at) && *p->at)
		return parse_number(p, ret_node);
	if (length == 0)
		return complain(p, *p->at ? "here a number, a name, a function or '(' is wanted" : "it ends too early");
	return *p->at >= 'A' && *p->at <= 'Z' ? parse_call(p, length, ret_node) : parse_name(p, length, ret_node);
}

static int parse_sign(struct parsing *p, unsigned short *ret_node) {
	bool is_negative = false;
	while (take(p, "-"))
		is_negative = !is_negative;
	unsigned short inner;
	int rc = parse_atom(p, &inner);
	if (rc == 0 && is_negative) {
		rc = join(p, NEGATE, inner, inner, ret_node);
		if (rc == 0)
			p->expression->nodes[*ret_node].count = 1;
	} else if (rc == 0) {
		*ret_node = inner;
	}
	return rc;
}

/* Weakest first; each level's words, longer ones before those they begin with. */
static const struct operator{
	const char *word;
	enum kind kind;
	unsigned level;
}
operators[] = {{"OR", OR, 0}, {"AND", AND, 1}, {">=", AT_LEAST, 2}, {"<=", AT_MOST, 2}, {"==", EQUAL, 2},
        {"!=", DIFFERENT, 2}, {">", GREATER, 2}, {"<", LESS, 2}, {"+", ADD, 3}, {"-", SUBTRACT, 3}, {"*", MULTIPLY, 4},
        {"/", DIVIDE, 4}};
#define LEVELS 5

static const struct operator* take_operator(struct parsing *p, unsigned level) {
	for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
		if (operators[i].level == level && take(p, operators[i].word))
			return &operators[i];
	return NULL;
}

static int parse_level(struct parsing *p, unsigned level, unsigned short *ret_node) {
	if (level == LEVELS)
		return parse_sign(p, ret_node);
	unsigned short left, right;
	const struct operator* operator;
	int rc = parse_level(p, level + 1, &left);
	while (rc == 0 && (operator= take_operator(p, level))) {
		rc = parse_level(p, level + 1, &right);
		if (rc == 0)
			rc = join(p, operator->kind, left, right, &left);
	}
	if (rc == 0)
		*ret_node = left;
	return rc;
}

static int parse_any(struct parsing *p, unsigned short *ret_node) {
	if (++p->depth > ALARM_EXPRESSION_DEPTH)
		return complain(p, "more than %u brackets within each other", ALARM_EXPRESSION_DEPTH);
	int rc = parse_level(p, 0, ret_node);
	p->depth--;
	return rc;
}

int alarm_expression_parse(const char *text, const char *const *names, size_t name_count, unsigned *ret_column,
        AlarmExpression **ret_expression) {
	_cleanup_(alarm_expression_freep) AlarmExpression *e = calloc(1, sizeof *e);
	struct parsing p = {.text = text, .at = text, .names = names, .name_count = name_count, .expression = e};
	if (!e)
		return fault(ENOMEM, "no memory for an expression");
	int rc = strlen(text) > ALARM_EXPRESSION_MAX || name_count > ALARM_METRICS_MAX
	                 ? complain(&p, "the expression is longer than %u bytes, or has more than %u series",
	                           ALARM_EXPRESSION_MAX, ALARM_METRICS_MAX)
	                 : parse_any(&p, &e->root);
	skip_blanks(&p);
	if (rc == 0 && *p.at)
		rc = complain(&p, "an operator is wanted here, or the end");
	if (rc < 0) {
		if (ret_column)
			*ret_column = p.column;
		return rc;
	}
	*ret_expression = steal_pointer(&e);
	return 0;
}

void alarm_expression_free(AlarmExpression *e) {
	free(e);
}

/* ---- computing: what is missing is NaN here ---- */

struct computing {
	const AlarmExpression *expression;
	const struct alarm_point *const *series;
	size_t count;
	unsigned period_s;
	double *values; /* of each node `count` */
};

static double binary(enum kind kind, double a, double b) {
	switch ((int)kind) {
	case ADD:
		return a + b;
	case SUBTRACT:
		return a - b;
	case MULTIPLY:
		return a * b;
	case DIVIDE:
		return a / b;
	case GREATER:
		return a > b;
	case AT_LEAST:
		return a >= b;
	case LESS:
		return a < b;
	case AT_MOST:
		return a <= b;
	case EQUAL:
		return !(a < b) && !(a > b);
	case DIFFERENT:
		return a < b || a > b;
	case AND:
		return fpclassify(a) != FP_ZERO && fpclassify(b) != FP_ZERO;
	default:
		return fpclassify(a) != FP_ZERO || fpclassify(b) != FP_ZERO;
	}
}

static const double *argument(const struct computing *c, const struct node *node, size_t i) {
	return c->values + node->arguments[i] * c->count;
}

struct gathered {
	double sum, least, most;
	size_t count;
};

static void gather(struct gathered *g, double value) {
	if (isnan(value))
		return;
	g->sum += value;
	g->least = g->count && g->least < value ? g->least : value;
	g->most = g->count && g->most > value ? g->most : value;
	g->count++;
}

static double gathered_value(const struct gathered *g, enum kind kind) {
	if (g->count == 0)
		return (double)NAN;
	return kind == SUM ? g->sum : kind == AVG ? g->sum / (double)g->count : kind == MIN ? g->least : g->most;
}

static void compute_sums(const struct computing *c, const struct node *node, double *out) {
	struct gathered all = {0};
	for (size_t i = 0; node->count == 1 && i < c->count; i++)
		gather(&all, argument(c, node, 0)[i]);
	for (size_t i = 0; i < c->count; i++) {
		struct gathered one = all;
		for (size_t a = 0; node->count > 1 && a < node->count; a++)
			gather(&one, argument(c, node, a)[i]);
		out[i] = gathered_value(&one, node->kind);
	}
}

/* Since the last point that is there, a second; or since the one before it. */
static void compute_changes(const struct computing *c, const struct node *node, double *out) {
	const double *in = argument(c, node, 0);
	size_t last = SIZE_MAX;
	for (size_t i = 0; i < c->count; i++) {
		out[i] = (double)NAN;
		if (isnan(in[i]))
			continue;
		if (node->kind == RATE && last != SIZE_MAX)
			out[i] = (in[i] - in[last]) / ((double)(i - last) * c->period_s);
		else if (node->kind == DIFF && i > 0)
			out[i] = in[i] - in[i - 1];
		last = i;
	}
}

static double choose(const struct computing *c, const struct node *node, size_t i) {
	double condition = argument(c, node, 0)[i];
	if (isnan(condition))
		return (double)NAN;
	if (fpclassify(condition) != FP_ZERO)
		return argument(c, node, 1)[i];
	return node->count == 3 ? argument(c, node, 2)[i] : (double)NAN;
}

static double fill(const struct computing *c, const struct node *node, size_t i, double before) {
	double value = argument(c, node, 0)[i];
	if (!isnan(value))
		return value;
	return node->kind == FILL ? argument(c, node, 1)[i] : before;
}

static double compute_one(const struct computing *c, const struct node *node, size_t i, double before) {
	switch ((int)node->kind) {
	case NUMBER:
		return node->number;
	case SERIES:
		return c->series[node->series][i].is_there ? c->series[node->series][i].value : (double)NAN;
	case NEGATE:
		return -argument(c, node, 0)[i];
	case ABS:
		return fabs(argument(c, node, 0)[i]);
	case IF:
		return choose(c, node, i);
	case FILL:
	case FILL_REPEAT:
		return fill(c, node, i, before);
	default:
		break;
	}
	double a = argument(c, node, 0)[i], b = argument(c, node, 1)[i];
	return isnan(a) || isnan(b) ? (double)NAN : binary(node->kind, a, b);
}

/* Arguments were made before what they are arguments of. */
static void compute_node(const struct computing *c, size_t n) {
	const struct node *node = &c->expression->nodes[n];
	double *out = c->values + n * c->count;
	if (node->kind == SUM || node->kind == AVG || node->kind == MIN || node->kind == MAX)
		compute_sums(c, node, out);
	else if (node->kind == RATE || node->kind == DIFF)
		compute_changes(c, node, out);
	else
		for (size_t i = 0; i < c->count; i++)
			out[i] = compute_one(c, node, i, i > 0 ? out[i - 1] : (double)NAN);
	for (size_t i = 0; i < c->count; i++)
		out[i] = isfinite(out[i]) ? out[i] : (double)NAN;
}

int alarm_expression_compute(const AlarmExpression *e, const struct alarm_point *const *series, size_t count,
        unsigned period_s, struct alarm_point *ret_points) {
	_cleanup_(freep) double *values = calloc(e->count * count + 1, sizeof *values);
	struct computing c = {
	        .expression = e, .series = series, .count = count, .period_s = period_s, .values = values};
	if (!values)
		return fault(ENOMEM, "no memory to compute an expression");
	for (size_t n = 0; n < e->count; n++)
		compute_node(&c, n);
	for (size_t i = 0; i < count; i++) {
		double value = values[e->root * count + i];
		ret_points[i] = (struct alarm_point){
		        .is_there = !isnan(value), .value = isnan(value) ? 0 : value, .time_s = series[0][i].time_s};
	}
	return 0;
}
