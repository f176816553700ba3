#include "fs/command/policy_notes.h"

#include "fs/command/when.h"

static void add_note(void *context, const char *words) {
	json_array_append_new(context, json_string(words));
}

json_t *policy_notes(const Policy *policy) {
	json_t *notes = json_array();
	if (!notes)
		return NULL;
	for (size_t i = 0; i < policy_warning_count(policy); i++)
		add_note(notes, policy_warning(policy, i));
	policy_ended(policy, when_now() / 1000000000, add_note, notes);
	return notes;
}
