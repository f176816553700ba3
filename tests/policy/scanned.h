/*
 * scanned: one cell that was looked through, and what is said of it as text: "EMAIL 0-15;URL 3-15".
 */
#pragma once

#include "crypto/base/fault.h"
#include "policy/privacy/scanner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct spans {
	const char *entity; /* NULL: all */
	char text[1000];
};

static inline int take_span(void *context, const struct scan_finding *finding) {
	struct spans *spans = context;
	size_t used = strlen(spans->text);
	if (!spans->entity)
		(void)snprintf(spans->text + used, sizeof spans->text - used, "%s%s %zu-%zu", used ? ";" : "",
		        finding->entity, finding->start, finding->end);
	else if (strcmp(finding->entity, spans->entity) == 0)
		(void)snprintf(spans->text + used, sizeof spans->text - used, "%s%zu-%zu", used ? ";" : "",
		        finding->start, finding->end);
	return 0;
}

static inline void scan(Scanner *scanner, const char *text, size_t size, struct spans *spans) {
	char room[3000] = "";
	memcpy(room, text, size);
	const struct table_cell cell = {.data = room, .size = size};
	const uint64_t line = 1;
	const struct table_rows rows = {
	        .count = 1, .columns = 1, .cells = &cell, .lines = &line, .text = room, .size = size};
	spans->text[0] = '\0';
	if (scanner_rows(scanner, &rows, take_span, spans) < 0)
		fail_msg("%s: %s", text, fault_message());
}

static inline Scanner *scanner_of(const struct scan_options *options) {
	Scanner *scanner = NULL;
	if (scanner_new(options, &scanner) < 0)
		fail_msg("%s", fault_message());
	return scanner;
}
