#include "policy/alarm/target.h"

#include "backend/alarm_row.h"
#include "crypto/base/fault.h"

#include <errno.h>
#include <string.h>

#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
#define COMMAND_MAX 100

bool alarm_word_fits(const char *text) {
	for (const char *at = text; *at; at++)
		if (*at <= ' ' || *at > '~' || strchr("\"<>\\^`{|}", *at))
			return false;
	return *text != '\0';
}

bool alarm_address_fits(const char *address) {
	const char *at = strchr(address, '@');
	size_t length = strlen(address);
	return alarm_word_fits(address) && length < 255 && at && at != address && at[1] && at[1] != '-' &&
	       address[0] != '-' && !strpbrk(address, ",;:()[]%?") && !strchr(at + 1, '@');
}

static bool command_fits(const char *name) {
	size_t length = strlen(name);
	return length > 0 && length <= COMMAND_MAX && strspn(name, NAME_LETTERS) == length && name[0] != '.' &&
	       name[0] != '-';
}

int alarm_target_parse(const char *text, enum alarm_target *ret_target, const char **ret_rest) {
	static const struct {
		const char *start;
		size_t length; /* of the kind, which the rest stands behind */
		enum alarm_target target;
	} kinds[] = {{"webhook:http://", 8, ALARM_TARGET_WEBHOOK}, {"webhook:https://", 8, ALARM_TARGET_WEBHOOK},
	        {"mailto:", 7, ALARM_TARGET_MAIL}, {"command:", 8, ALARM_TARGET_COMMAND}};
	if (strlen(text) > ALARM_TARGET_MAX)
		return fault(EINVAL, "is longer than %d bytes", ALARM_TARGET_MAX);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		const char *rest = text + kinds[i].length;
		if (strncmp(text, kinds[i].start, strlen(kinds[i].start)) != 0)
			continue;
		if (kinds[i].target == ALARM_TARGET_WEBHOOK && !alarm_word_fits(rest))
			return fault(EINVAL, "is no URL: blanks and the like are written %%20");
		if (kinds[i].target == ALARM_TARGET_MAIL && !alarm_address_fits(rest))
			return fault(EINVAL, "is no plain address like mailto:ops@example.org");
		if (kinds[i].target == ALARM_TARGET_COMMAND && !command_fits(rest))
			return fault(
			        EINVAL, "is no plain file name like command:page-ops, of letters, digits, . _ and -");
		*ret_target = kinds[i].target;
		*ret_rest = rest;
		return 0;
	}
	return fault(EINVAL, "must begin with webhook:http…, mailto: or command:");
}
