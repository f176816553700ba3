/*
 * subject_policy: whether a stored policy holds what is looked for.
 *
 * A steward may have written a list of values, an allowed text or a comment. Every policy that was ever in force is
 * kept, so all are read; as bytes, line by line, in any case of letters.
 */
#include "policy/gate/internal.h"

#include "backend/record.h"
#include "crypto/base/fault.h"
#include "policy/bundle.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* Of one file. */
enum { LINES_TOLD = 20 };

struct reading_policy {
	const char *const *values;
	size_t value_count;
	uint64_t number;
	gate_subject_fn *each;
	void *arg;
};

static int keep_bundle(void *arg, const struct policy_row *row) {
	return policy_bundle_parse(row->bundle, arg);
}

bool subject_stands_in(const char *text, const char *const *values, size_t count) {
	for (size_t i = 0; i < count; i++)
		if (strcasestr(text, values[i]))
			return true;
	return false;
}

/* `text` ends with NUL, and is cut into lines. */
static int search_text(const struct reading_policy *p, const char *name, char *text) {
	uint64_t lines[LINES_TOLD], number = 0;
	struct gate_subject found = {.path = name, .policy = p->number, .is_found = true, .lines = lines};
	for (char *at = text; at;) {
		char *end = strchr(at, '\n');
		if (end)
			*end = '\0';
		number++;
		if (subject_stands_in(at, p->values, p->value_count)) {
			if (found.line_count < LINES_TOLD)
				lines[found.line_count++] = number;
			found.cells++;
		}
		at = end ? end + 1 : NULL;
	}
	return found.cells > 0 ? p->each(p->arg, &found) : 0;
}

static int search_file(const struct reading_policy *p, const PolicyBundle *bundle, const char *name) {
	struct bytes content = {0};
	int rc = policy_bundle_get(bundle, name, &content);
	char *text = rc < 0 ? NULL : malloc(content.size + 1);
	if (!text)
		return rc < 0 ? rc : fault(ENOMEM, "no memory to look through a policy");
	for (size_t i = 0; i < content.size; i++)
		text[i] = content.data[i] == '\0' ? ' ' : (char)content.data[i];
	text[content.size] = '\0';
	rc = search_text(p, name, text);
	sodium_memzero(text, content.size);
	free(text);
	return rc;
}

int subject_search_policies(Gate *gate, const char *const *values, size_t count, gate_subject_fn *each, void *arg) {
	Meta *m = store_meta(gate->store);
	uint64_t last = 0;
	meta_begin(m);
	int rc = meta_end(m, policy_current_number(m, &last));
	for (uint64_t number = 1; rc >= 0 && number <= last; number++) {
		_cleanup_(policy_bundle_freep) PolicyBundle *bundle = NULL;
		const struct reading_policy p = {
		        .values = values, .value_count = count, .number = number, .each = each, .arg = arg};
		meta_begin(m);
		rc = meta_end(m, policy_get(m, number, keep_bundle, &bundle));
		for (size_t i = 0; rc >= 0 && i < policy_bundle_count(bundle); i++)
			rc = search_file(&p, bundle, policy_bundle_name(bundle, i));
	}
	return fault_while(rc, "looking through the policies");
}
