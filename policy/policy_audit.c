/* `audit` of policy.yaml: what becomes of old records of the log. */
#include "policy/policy_read.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define DAYS_MOST 36500u

static int read_archive_after(struct reading *r, const Node *value, void *target) {
	(void)r;
	struct policy_audit *audit = target;
	return read_number_from(value, "archive_after_days", 1, DAYS_MOST, &audit->archive_after_days);
}

static int read_keep_days(struct reading *r, const Node *value, void *target) {
	(void)r;
	return read_number_from(value, "keep_days", 1, DAYS_MOST, &((struct policy_audit *)target)->keep_days);
}

static int read_ship(struct reading *r, const Node *value, void *target) {
	struct policy_audit *audit = target;
	int rc = read_text(r, value, "ship", &audit->ship);
	if (rc == 0 && audit->ship[0] != '/')
		return read_complain(
		        value, "'ship' is a directory of this machine, beginning with '/', like /srv/logs");
	return rc;
}

int read_audit(struct reading *r, const Node *value, void *target) {
	static const struct field fields[] = {{"archive_after_days", read_archive_after, false},
	        {"ship", read_ship, false}, {"keep_days", read_keep_days, false}};
	struct policy_audit *audit = &r->policy->audit;
	(void)target;
	*audit = (struct policy_audit){.archive_after_days = 1, .line = value->line};
	int rc = read_fields(r, value, "'audit'", fields, COUNT(fields), audit);
	if (rc < 0)
		return rc;
	if (audit->keep_days && !audit->ship)
		return read_complain(value, "'keep_days' needs 'ship': no record is taken out that was not shipped");
	if (audit->keep_days && audit->keep_days < audit->archive_after_days)
		return read_complain(value,
		        "'keep_days' is at least 'archive_after_days', here %u: first a record is archived",
		        audit->archive_after_days);
	return 0;
}

const struct policy_audit *policy_audit(const Policy *policy) {
	return policy->audit.line ? &policy->audit : NULL;
}
