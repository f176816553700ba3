#include "fs/command/policy_notes.h"

#include "fs/command/when.h"
#include "fs/ship_place.h"

#include "crypto/base/fault.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

static void add_note(void *context, const char *words) {
	json_array_append_new(context, json_string(words));
}

/* Found at once, and not a day later in the log. */
static void note_ship(json_t *notes, const struct policy_audit *audit) {
	char words[512];
	struct stat about;
	if (!audit || !audit->ship)
		return;
	if (ship_place_check(audit->ship) == -EINVAL) {
		snprintf(words, sizeof words,
		        BUNDLE_POLICY ":%u: 'ship': %.400s; until then nothing is shipped or taken out", audit->line,
		        fault_message());
		add_note(notes, words);
		return;
	}
	if (stat(audit->ship, &about) == 0 && S_ISDIR(about.st_mode))
		return;
	snprintf(words, sizeof words,
	        BUNDLE_POLICY
	        ":%u: 'ship: %.300s' is no directory of this machine: until it is there, records of the log "
	        "are sealed, and neither shipped nor taken out",
	        audit->line, audit->ship);
	add_note(notes, words);
}

json_t *policy_notes(const Policy *policy) {
	json_t *notes = json_array();
	if (!notes)
		return NULL;
	for (size_t i = 0; i < policy_warning_count(policy); i++)
		add_note(notes, policy_warning(policy, i));
	note_ship(notes, policy_audit(policy));
	policy_ended(policy, when_now() / 1000000000, add_note, notes);
	return notes;
}
