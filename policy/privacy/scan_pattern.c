#include "policy/privacy/scan_pattern.h"

#include "crypto/base/fault.h"
#include "policy/dqdl/pattern.h"
#include "policy/privacy/validate.h"
#include "policy/privacy/words.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int check_regex(const struct scan_pattern *pattern) {
	_cleanup_(pattern_freep) Pattern *compiled = NULL;
	int rc = pattern_new(pattern->regex, 0, &compiled);
	if (rc < 0)
		return rc;
	return pattern_may_be_empty(compiled)
	               ? fault(EINVAL, "the regular expression may match no character at all, which is everywhere")
	               : 0;
}

static int check_validator(const char *name) {
	char known[400] = "";
	if (!name || validate_named(name))
		return 0;
	for (size_t i = 0; validate_name(i); i++) {
		size_t used = strlen(known);
		(void)snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", validate_name(i));
	}
	return fault(EINVAL, "there is no validator '%.40s'; known: %s", name, known);
}

static int check_keywords(const struct scan_pattern *pattern) {
	for (size_t i = 0; i < pattern->keyword_count; i++)
		if (!words_are_there(pattern->keywords[i], strlen(pattern->keywords[i])))
			return fault(EINVAL, "the keyword '%.40s' has neither letter nor digit", pattern->keywords[i]);
	return 0;
}

int scanner_check_pattern(const struct scan_pattern *pattern) {
	if (!pattern->name || !*pattern->name)
		return fault(EINVAL, "a pattern without a name");
	int rc = pattern->regex ? check_regex(pattern) : fault(EINVAL, "there is no regular expression");
	if (rc == 0)
		rc = check_validator(pattern->validator);
	if (rc == 0)
		rc = check_keywords(pattern);
	if (rc == 0 && pattern->score > 100)
		rc = fault(EINVAL, "a score of %u%% is over 100%%", pattern->score);
	return fault_while(rc, "pattern '%.60s'", pattern->name);
}
