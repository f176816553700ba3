/* number: values of number expressions, also of those that look back, and number conditions held against a metric. */
#include "policy/dqdl/dqdl.h"

#include "crypto/base/fault.h"
#include "policy/dqdl/compare.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static double apply(char operation, double left, double right) {
	switch (operation) {
	case '+':
		return left + right;
	case '-':
		return left - right;
	case '*':
		return left * right;
	default:
		return left / right;
	}
}

/* ---- expressions that look back ---- */

/* A number, or a list of them: what functions take and give. */
struct operand {
	bool is_list;
	double number;
	const double *list;
	size_t count;
	double *owned; /* by who evaluates; `list` may point to it */
};

static void operand_drop(struct operand *operand) {
	free(operand->owned);
}

static struct operand a_number(double value) {
	return (struct operand){.number = value};
}

static int evaluate(const struct dqdl_number *number, const struct dqdl_series *series, struct operand *ret_operand);

/* A list of one is as good as a number. */
static int evaluate_number(const struct dqdl_number *number, const struct dqdl_series *series, double *ret_value) {
	_cleanup_(operand_drop) struct operand operand = {0};
	int rc = evaluate(number, series, &operand);
	if (rc < 0)
		return rc;
	if (operand.is_list && operand.count != 1)
		return fault(EINVAL,
		        "%zu earlier values stand where one number is wanted: take avg, median, min, max, sum or index "
		        "of them",
		        operand.count);
	*ret_value = operand.is_list ? operand.list[0] : operand.number;
	return 0;
}

/* A whole number from `least` to `most` that stands in the rule itself. */
static int evaluate_count(
        const struct dqdl_number *number, const char *function, double least, double most, size_t *ret_count) {
	double value = 0;
	int rc = evaluate_number(number, NULL, &value);
	if (rc == -ENOMEM)
		return rc;
	if (rc < 0 || value != value || value < least || value > most || value != (double)(size_t)value)
		return fault(EINVAL, "%s() takes a whole number from %.0f to %.0f", function, least, most);
	*ret_count = (size_t)value;
	return 0;
}

static int call_last(const struct dqdl_number *call, const struct dqdl_series *series, struct operand *ret_operand) {
	size_t wanted = 1;
	int rc = call->part_count == 0 ? 0 : evaluate_count(call->parts[0], "last", 1, DQDL_HISTORY_MAX, &wanted);
	if (rc < 0)
		return rc;
	if (!series || series->count == 0)
		return -ENODATA;
	size_t count = wanted < series->count ? wanted : series->count;
	*ret_operand = (struct operand){.is_list = true, .list = series->values, .count = count};
	return 0;
}

/* index(last(10), 2): the third newest of at most ten. */
static int call_index(const struct dqdl_number *call, const struct dqdl_series *series, struct operand *ret_operand) {
	const struct dqdl_number *list = call->parts[0];
	_cleanup_(operand_drop) struct operand of = {0};
	size_t wanted = 1, at = 0;
	bool is_last = list->form == DQDL_NUMBER_CALL && strcmp(list->text, "last") == 0;
	if (!is_last)
		return fault(EINVAL, "index() takes last(k) and which of these values, the newest being 0");
	int rc = list->part_count == 0 ? 0 : evaluate_count(list->parts[0], "last", 1, DQDL_HISTORY_MAX, &wanted);
	if (rc >= 0)
		rc = evaluate_count(call->parts[1], "index", 0, (double)wanted - 1, &at);
	if (rc >= 0)
		rc = evaluate(list, series, &of);
	if (rc >= 0 && at >= of.count)
		rc = -ENODATA;
	if (rc < 0)
		return rc;
	*ret_operand = a_number(of.list[at]);
	return 0;
}

static int call_abs(const struct dqdl_number *call, const struct dqdl_series *series, struct operand *ret_operand) {
	_cleanup_(operand_drop) struct operand of = {0};
	int rc = evaluate(call->parts[0], series, &of);
	if (rc < 0)
		return rc;
	if (!of.is_list) {
		*ret_operand = a_number(fabs(of.number));
		return 0;
	}
	double *list = calloc(of.count, sizeof *list);
	if (!list)
		return fault(ENOMEM, "no memory for a rule's earlier values");
	for (size_t i = 0; i < of.count; i++)
		list[i] = fabs(of.list[i]);
	*ret_operand = (struct operand){.is_list = true, .list = list, .count = of.count, .owned = list};
	return 0;
}

/* ---- of a list: `list` is the function's to change, and has at least one value ---- */

static int compare(const void *a, const void *b) {
	const double *left = a, *right = b;
	return (*left > *right) - (*left < *right);
}

static double sum_of(const double *list, size_t count) {
	long double sum = 0;
	for (size_t i = 0; i < count; i++)
		sum += list[i];
	return (double)sum;
}

static double average_of(double *list, size_t count, double argument) {
	(void)argument;
	return sum_of(list, count) / (double)count;
}

static double total_of(double *list, size_t count, double argument) {
	(void)argument;
	return sum_of(list, count);
}

static double deviation_of(double *list, size_t count, double argument) {
	double mean = average_of(list, count, argument);
	long double squares = 0;
	for (size_t i = 0; i < count; i++)
		squares += ((long double)list[i] - mean) * ((long double)list[i] - mean);
	return (double)sqrtl(squares / (long double)count);
}

static double percentile_of(double *list, size_t count, double percent) {
	qsort(list, count, sizeof *list, compare);
	double rank = percent / 100 * (double)(count - 1);
	size_t below = (size_t)rank;
	size_t above = below + 1 < count ? below + 1 : below;
	return list[below] + (rank - (double)below) * (list[above] - list[below]);
}

static double median_of(double *list, size_t count, double argument) {
	(void)argument;
	return percentile_of(list, count, 50);
}

static double least_of(double *list, size_t count, double argument) {
	(void)argument;
	return percentile_of(list, count, 0);
}

static double greatest_of(double *list, size_t count, double argument) {
	(void)argument;
	return percentile_of(list, count, 100);
}

typedef double reduce_function(double *list, size_t count, double argument);

static int reduce(const struct dqdl_number *call, const struct dqdl_series *series, reduce_function *function,
        struct operand *ret_operand) {
	_cleanup_(operand_drop) struct operand of = {0};
	double argument = 0;
	int rc = evaluate(call->parts[0], series, &of);
	if (rc >= 0 && call->part_count > 1)
		rc = evaluate_number(call->parts[1], series, &argument);
	if (rc < 0)
		return rc;
	if (argument < 0 || argument > 100 || argument != argument)
		return fault(EINVAL, "%s() takes a list and a number from 0 to 100", call->text);
	size_t count = of.is_list ? of.count : 1;
	_cleanup_(freep) double *list = calloc(count, sizeof *list);
	if (!list)
		return fault(ENOMEM, "no memory for a rule's earlier values");
	memcpy(list, of.is_list ? of.list : &of.number, count * sizeof *list);
	*ret_operand = a_number(function(list, count, argument));
	return 0;
}

static const struct function {
	const char *name;
	size_t least, most; /* arguments */
	int (*call)(const struct dqdl_number *call, const struct dqdl_series *series, struct operand *ret_operand);
	reduce_function *reduce;
} functions[] = {
        {.name = "last", .most = 1, .call = call_last},
        {.name = "index", .least = 2, .most = 2, .call = call_index},
        {.name = "abs", .least = 1, .most = 1, .call = call_abs},
        {.name = "avg", .least = 1, .most = 1, .reduce = average_of},
        {.name = "min", .least = 1, .most = 1, .reduce = least_of},
        {.name = "max", .least = 1, .most = 1, .reduce = greatest_of},
        {.name = "sum", .least = 1, .most = 1, .reduce = total_of},
        {.name = "std", .least = 1, .most = 1, .reduce = deviation_of},
        {.name = "median", .least = 1, .most = 1, .reduce = median_of},
        {.name = "percentile", .least = 2, .most = 2, .reduce = percentile_of},
};

static int call_function(
        const struct dqdl_number *call, const struct dqdl_series *series, struct operand *ret_operand) {
	for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
		const struct function *function = &functions[i];
		if (strcmp(function->name, call->text) != 0)
			continue;
		if (call->part_count < function->least || call->part_count > function->most)
			return fault(EINVAL, "%s() can't have %zu arguments", call->text, call->part_count);
		return function->call ? function->call(call, series, ret_operand)
		                      : reduce(call, series, function->reduce, ret_operand);
	}
	return fault(EINVAL,
	        "there is no function %.100s(): there are last, index, avg, median, min, max, sum, std, percentile and "
	        "abs",
	        call->text);
}

static int evaluate(const struct dqdl_number *number, const struct dqdl_series *series, struct operand *ret_operand) {
	double left = 0, right = 0;
	int rc;
	switch (number->form) {
	case DQDL_NUMBER_LITERAL:
		*ret_operand = a_number(number->value);
		return 0;
	case DQDL_NUMBER_NULL:
		return fault(EINVAL, "NULL has no value as a number");
	case DQDL_NUMBER_CALL:
		return call_function(number, series, ret_operand);
	case DQDL_NUMBER_BINARY:
		rc = evaluate_number(number->parts[0], series, &left);
		if (rc >= 0)
			rc = evaluate_number(number->parts[1], series, &right);
		if (rc >= 0)
			*ret_operand = a_number(apply(number->operation, left, right));
		return rc;
	default:
		return fault(EINVAL, "unknown number expression");
	}
}

int dqdl_number_value_over(const struct dqdl_number *number, const struct dqdl_series *series, double *ret_value) {
	return evaluate_number(number, series, ret_value);
}

/* Calls inside a call count, too: avg(abs(last(3))). */
static size_t depth_of(const struct dqdl_number *number) {
	size_t depth = 0;
	if (number->form == DQDL_NUMBER_CALL) {
		double wanted = 1;
		bool is_last = strcmp(number->text, "last") == 0;
		if (is_last && number->part_count == 1 && evaluate_number(number->parts[0], NULL, &wanted) < 0)
			wanted = 1;
		depth = is_last && wanted > 1 ? wanted < DQDL_HISTORY_MAX ? (size_t)wanted : DQDL_HISTORY_MAX : 1;
	}
	for (size_t i = 0; i < number->part_count; i++) {
		size_t part = depth_of(number->parts[i]);
		depth = part > depth ? part : depth;
	}
	return depth;
}

size_t dqdl_condition_depth(const struct dqdl_condition *condition) {
	size_t depth = 0;
	for (size_t i = 0; condition->kind == DQDL_CONDITION_NUMBER && i < condition->operand_count; i++) {
		size_t operand = condition->operands[i].form == DQDL_OPERAND_NUMBER
		                         ? depth_of(condition->operands[i].number)
		                         : 0;
		depth = operand > depth ? operand : depth;
	}
	return depth;
}

int dqdl_number_value(const struct dqdl_number *number, double *ret_value) {
	if (depth_of(number) > 0)
		return fault(EOPNOTSUPP, "a function looks back on earlier values, which are not known here");
	return evaluate_number(number, NULL, ret_value);
}

/* Double.equals: compares the bits, with all NaN the same. */
static bool java_equal(double a, double b) {
	return memcmp(&a, &b, sizeof a) == 0 || (a != a && b != b);
}

static int find(const struct dqdl_condition *condition, double metric, bool *ret_found) {
	*ret_found = false;
	for (size_t i = 0; i < condition->operand_count; i++) {
		double value;
		int rc = dqdl_number_value(condition->operands[i].number, &value);
		if (rc < 0)
			return rc;
		*ret_found = *ret_found || java_equal(metric, value);
	}
	return 0;
}

int dqdl_condition_holds(const struct dqdl_condition *condition, double metric, bool *ret_holds) {
	if (condition->kind != DQDL_CONDITION_NUMBER || condition->operand_count == 0)
		return fault(EINVAL, "a metric needs a condition on numbers");
	if (condition->op == DQDL_MATCHES)
		return fault(EINVAL, "a number cannot be held against a pattern");
	double operands[2] = {0};
	bool holds = false;
	int rc = dqdl_number_value(condition->operands[0].number, &operands[0]);
	if (rc == 0 && condition->op == DQDL_BETWEEN)
		rc = dqdl_number_value(condition->operands[1].number, &operands[1]);
	if (rc == 0)
		rc = find(condition, metric, &holds);
	if (rc)
		return rc;
	if (condition->op != DQDL_EQUAL && condition->op != DQDL_IN)
		holds = dqdl_compare(condition->op, operands, 2, metric);
	*ret_holds = holds != condition->negated;
	return 0;
}
