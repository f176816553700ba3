/*
 * target: whom an alarm tells: `webhook:http(s)://…`, `mailto:ADDRESS` or `command:NAME`.
 */
#pragma once

#include <stdbool.h>

enum alarm_target { ALARM_TARGET_WEBHOOK, ALARM_TARGET_MAIL, ALARM_TARGET_COMMAND };

/*
 * Which it is; *ret_rest is what stands behind the colon. -EINVAL with words where it is none: an address or URL with
 * blanks, control characters or what would end a header; a command that is no plain name of a file.
 */
int alarm_target_parse(const char *text, enum alarm_target *ret_target, const char **ret_rest);

/* Is it a mail address that can stand in a header and in SMTP's commands as it is? */
bool alarm_address_fits(const char *address);

/* Printable ASCII without blanks and quotes, so that it is one word of a request. */
bool alarm_word_fits(const char *text);
