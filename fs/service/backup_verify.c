/*
 * What `assayfs backup verify` asks: what is in the backup read back, authenticated, and healed.
 *
 *     {"kind": "progress", …} and {"kind": "finding", …} in any order ─► {"kind": "summary", …} of each target, or
 *                                                                         {"kind": "failed", "url", "words"}
 */
#include "fs/service/backup.h"

#include "crypto/base/deadline.h"
#include "crypto/base/fault.h"
#include "fs/backups.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROGRESS_NS INT64_C(200000000)

struct verifying {
	ControlReply *reply;
	const char *url;
	int64_t told_ns;
};

static int send_finding(void *arg, const char *object, const char *words, bool healed) {
	const struct verifying *v = arg;
	return control_send(v->reply, json_pack("{s:s, s:s, s:s, s:s, s:b}", "kind", "finding", "url", v->url, "object",
	                                      object, "words", words, "healed", (int)healed));
}

/* A few times a second it is told; and each time it is looked whether somebody still wants to know. */
static int send_progress(void *arg, uint64_t bytes, uint64_t of) {
	struct verifying *v = arg;
	int rc = control_wait(v->reply, 0);
	int64_t now_ns = monotonic_ns();
	if (rc || now_ns - v->told_ns < PROGRESS_NS)
		return rc;
	v->told_ns = now_ns;
	return control_send(v->reply, json_pack("{s:s, s:s, s:I, s:I}", "kind", "progress", "url", v->url, "bytes",
	                                      (json_int_t)bytes, "of", (json_int_t)of));
}

/* What came of it, when it has ended, however it did. */
static int record_verify(Service *service, const struct control_peer *peer, const char *url, unsigned percent, int rc,
        const struct backup_verify_summary *sum) {
	char detail[AUDIT_DETAIL_MAX];
	int length = snprintf(detail, sizeof detail, "%.500s, %u %%: ", url, percent);
	size_t at = length > 0 && (size_t)length < sizeof detail ? (size_t)length : 0;
	if (rc)
		(void)snprintf(detail + at, sizeof detail - at, "%.900s", fault_message());
	else
		(void)snprintf(detail + at, sizeof detail - at,
		        "%" PRIu64 " objects, %" PRIu64 " bytes read back; %" PRIu64 " findings, %" PRIu64 " healed",
		        sum->objects, sum->bytes, sum->findings, sum->healed);
	bool is_good = rc == 0 && sum->findings == sum->healed;
	const struct audit_event record = {.event = "backup-verify",
	        .actor = service_actor(peer),
	        .outcome = is_good ? "ok" : "error",
	        .err = rc        ? -rc
	               : is_good ? 0
	                         : EIO,
	        .detail = detail};
	return service_record(service, &record);
}

static int send_summary(ControlReply *reply, const char *url, const struct backup_verify_summary *sum) {
	return control_send(
	        reply, json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "kind", "summary", "url", url, "objects",
	                       (json_int_t)sum->objects, "bytes", (json_int_t)sum->bytes, "findings",
	                       (json_int_t)sum->findings, "healed", (json_int_t)sum->healed, "segments",
	                       (json_int_t)sum->segments, "segments_left_out", (json_int_t)sum->segments_left_out));
}

/* A place that can't be read does not keep the next ones from being read. */
static int verify_one(Service *service, const struct control_peer *peer, const char *url, unsigned percent, bool heals,
        ControlReply *reply) {
	struct verifying v = {.reply = reply, .url = url};
	struct backup_verify_summary sum = {0};
	char words[FAULT_MESSAGE_BYTES] = "";
	int rc = backup_verify(service->backup, url, percent, heals, send_finding, send_progress, &v, &sum);
	if (rc)
		(void)snprintf(words, sizeof words, "%s", fault_message());
	int recorded = record_verify(service, peer, url, percent, rc, &sum);
	if (recorded)
		return recorded;
	if (rc)
		return control_send(reply, json_pack("{s:s, s:s, s:s}", "kind", "failed", "url", url, "words", words));
	return send_summary(reply, url, &sum);
}

int service_backup_verify(
        void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	Service *service = context;
	_cleanup_(freep) struct backup_status *list = NULL;
	const char *url = NULL;
	size_t count = 0;
	int64_t percent = 100;
	bool heals = !json_is_false(json_object_get(arguments, "heal"));
	int rc = service_backup_steward(service, peer, "backup-verify", false);
	if (!rc)
		rc = service_number(arguments, "percent", 100, 100, &percent);
	if (!rc && percent < 1)
		rc = fault(EINVAL, "a sample has 1 to 100 percent");
	if (!rc)
		rc = service_backup_url(service, arguments, &url);
	if (!rc)
		rc = backups_status(service->backup, &list, &count);
	for (size_t i = 0; !rc && i < count; i++)
		if (!url || strcmp(list[i].target.url, url) == 0)
			rc = verify_one(service, peer, list[i].target.url, (unsigned)percent, heals, reply);
	return rc;
}
