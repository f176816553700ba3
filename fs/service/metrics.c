/* metrics: the figures of metrics.h, in either format. They tell sums and names of the policy, as `status` does. */
#include "fs/service/internal.h"

#include "crypto/base/fault.h"

#include <errno.h>

int service_metrics(void *context, const struct control_peer *peer, const json_t *arguments, ControlReply *reply) {
	const Service *service = context;
	const char *name = json_string_value(json_object_get(arguments, "format"));
	enum exposition_format format = EXPOSITION_PROMETHEUS;
	_cleanup_(freep) char *text = NULL;
	size_t size = 0;
	(void)peer;
	int rc = name ? exposition_format_of(name, &format) : 0;
	if (rc == 0 && !service->metrics)
		rc = fault(ENOENT, "this mount gathers no metrics");
	if (rc == 0)
		rc = metrics_text(service->metrics, format, &text, &size);
	if (rc < 0)
		return rc;
	json_t *item = json_pack("{s:s%, s:s}", "text", text, size, "content_type", exposition_content_type(format));
	return item ? control_send(reply, item) : fault(ENOMEM, "asking for metrics: out of memory");
}
