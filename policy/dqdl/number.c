/* number: values of number expressions, and number conditions held against a metric. */
#include "policy/dqdl/dqdl.h"

#include "crypto/base/fault.h"

#include <errno.h>

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

int dqdl_number_value(const struct dqdl_number *number, double *ret_value) {
	double left;
	double right;
	int rc;
	switch (number->form) {
	case DQDL_NUMBER_LITERAL:
		*ret_value = number->value;
		return 0;
	case DQDL_NUMBER_NULL:
		return fault(EINVAL, "NULL has no value as a number");
	case DQDL_NUMBER_CALL:
		return fault(EOPNOTSUPP, "the function %s() (dynamic rules) is not supported yet", number->text);
	case DQDL_NUMBER_BINARY:
		rc = dqdl_number_value(number->parts[0], &left);
		if (rc == 0)
			rc = dqdl_number_value(number->parts[1], &right);
		if (rc == 0)
			*ret_value = apply(number->operation, left, right);
		return rc;
	default:
		return fault(EINVAL, "unknown number expression");
	}
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
	double value;
	double upper = 0;
	bool found = false;
	int rc = dqdl_number_value(condition->operands[0].number, &value);
	if (rc == 0 && condition->op == DQDL_BETWEEN)
		rc = dqdl_number_value(condition->operands[1].number, &upper);
	if (rc == 0)
		rc = find(condition, metric, &found);
	if (rc)
		return rc;
	bool holds = false;
	switch (condition->op) {
	case DQDL_BETWEEN:
		holds = metric > value && metric < upper;
		break;
	case DQDL_GREATER:
		holds = metric > value;
		break;
	case DQDL_GREATER_EQUAL:
		holds = metric >= value;
		break;
	case DQDL_LESS:
		holds = metric < value;
		break;
	case DQDL_LESS_EQUAL:
		holds = metric <= value;
		break;
	case DQDL_EQUAL:
	case DQDL_IN:
		holds = found;
		break;
	case DQDL_MATCHES:
	default:
		return fault(EINVAL, "a number cannot be held against a pattern");
	}
	*ret_holds = holds != condition->negated;
	return 0;
}
