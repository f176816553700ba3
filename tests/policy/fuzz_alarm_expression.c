/* An expression of alarms: any bytes; what parses is computed over points that are partly missing. */
#include "policy/alarm/expression.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
	static const char *const names[] = {"m1", "m2"};
	struct alarm_point a[5], b[5], out[5];
	const struct alarm_point *const series[] = {a, b};
	AlarmExpression *expression = NULL;
	unsigned column = 0;
	char *text = malloc(size + 1);
	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	for (size_t i = 0; i < 5; i++) {
		a[i] = (struct alarm_point){.is_there = i != 2, .value = (double)i};
		b[i] = (struct alarm_point){.is_there = i != 4, .value = 3 - (double)i};
	}
	int rc = alarm_expression_parse(text, names, 2, &column, &expression);
	if (rc < 0 && (column == 0 || column > strlen(text) + 1))
		abort();
	if (rc == 0 && alarm_expression_compute(expression, series, 5, 60, out) == 0)
		for (size_t i = 0; i < 5; i++)
			if (out[i].is_there && !isfinite(out[i].value))
				abort();
	alarm_expression_free(expression);
	free(text);
	return 0;
}
