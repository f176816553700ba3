#include "policy/privacy_text.h"

#include "crypto/base/cleanup.h"
#include "policy/safe_text.h"

#include <inttypes.h>

/* What is more is counted, not listed. */
enum { FINDINGS_SHOWN = 20, LINES_SHOWN = 10 };

static const char *plural(uint64_t count) {
	return count == 1 ? "" : "s";
}

static const char *const done_words[PRIVACY_ACTIONS] = {[PRIVACY_REFUSE] = "refused",
        [PRIVACY_REDACT] = "redacted",
        [PRIVACY_MASK] = "masked",
        [PRIVACY_HASH] = "hashed",
        [PRIVACY_DROP_COLUMN] = "left out",
        [PRIVACY_DROP_ROW] = "left out with its row",
        [PRIVACY_GENERALISE] = "generalised",
        [PRIVACY_REPORT] = "reported"};

static void put_finding(FILE *to, const struct check_finding *finding) {
	_cleanup_(freep) char *name = check_finding_text(finding);
	size_t shown = finding->line_count < LINES_SHOWN ? finding->line_count : LINES_SHOWN;
	fputs("    ", to);
	safe_text_put(to, name ? name : finding->entity);
	if (finding->column)
		fprintf(to, ": %" PRIu64 " cell%s", finding->cells, plural(finding->cells));
	else
		fprintf(to, ": on %" PRIu64 " line%s", finding->cells, plural(finding->cells));
	if (finding->matches > finding->cells)
		fprintf(to, " (%" PRIu64 " times)", finding->matches);
	fprintf(to, ", %s", finding->acts ? done_words[finding->action] : "fewer than the threshold, so only reported");
	for (size_t i = 0; i < shown; i++)
		fprintf(to, "%s%" PRIu64,
		        i > 0                     ? ", "
		        : finding->line_count > 1 ? "; first on lines "
		                                  : "; on line ",
		        finding->lines[i]);
	fputc('\n', to);
}

void privacy_text_put(FILE *to, const struct check_result *check) {
	const struct check_privacy_result *privacy = &check->privacy;
	uint64_t allowed = 0;
	if (!check->has_privacy || (check->outcome == OUTCOME_ERROR && privacy->finding_count == 0))
		return;
	for (size_t i = 0; i < privacy->allowed_count; i++)
		allowed += privacy->allowed[i].count;
	fprintf(to, "  personal data (sensitivity %s):%s\n", privacy->sensitivity == SCAN_LOW ? "low" : "high",
	        privacy->finding_count == 0 ? " none found" : "");
	for (size_t i = 0; i < privacy->finding_count && i < FINDINGS_SHOWN; i++)
		put_finding(to, &privacy->findings[i]);
	if (privacy->finding_count > FINDINGS_SHOWN)
		fprintf(to, "    … and %zu more\n", privacy->finding_count - FINDINGS_SHOWN);
	if (allowed > 0)
		fprintf(to, "    %" PRIu64 " that the policy allows\n", allowed);
}
