/*
 * treat: what stands in the place of personal data.
 *
 *     redact        bob@example.com     [EMAIL]
 *     mask          604-555-0199        ********0199              keep_last: 4
 *     hash          046 454 286         h1_5f0c…                  keyed BLAKE2b, 128 bits of it
 *     generalise    1980-05-12          1980
 *                   V6B 1A1             V6B
 *                   203.0.113.77        203.0.113.0/24            of IPv6 the /48
 *                   49.28273,-123.1207  49.28,-123.12
 *
 * Of a finding that is done to its own characters, of a column to each cell. The text is taken as it is written in the
 * file (quotes doubled, escapes of JSON) and the answer is written in the same way, so that nothing around it changes.
 *
 * A mask never shows all: of a text that is no longer than what it keeps it keeps nothing. What can't be generalised is
 * redacted. A hash is the same wherever the same text stands in the vault, whatever it is written in; the number
 * behind the h is the key's version.
 */
#pragma once

#include "policy/edit_list.h"
#include "policy/privacy/privacy.h"

#define TREAT_KEY_BYTES 32

/* What hashes are made with. */
struct treat_key {
	uint8_t bytes[TREAT_KEY_BYTES];
	uint32_t version;
};

/* A text that grows; all zero: empty. */
struct treated {
	char *text;
	size_t size, room;
};
void treated_release(struct treated *treated);

/*
 * Puts what stands for `raw`, which is written in that dialect, behind what `ret` holds. `name` is the entity's, for
 * PRIVACY_REDACT. -EBADMSG with words: no text of that dialect; -ENOMEM. Actions that leave a text alone or out put
 * nothing.
 */
int treat(const struct privacy_treatment *treatment, const char *name, const struct edit_dialect *dialect,
        const struct treat_key *key, const struct edit *edit, struct bytes raw, struct treated *ret);

/* Is the text what generalising makes of it, so that no more is to be done? */
bool treat_is_general(struct table_cell text);

/* Characters that may stand in what treat() writes of its own: a table whose delimiter is one of them can't be treated.
 */
bool treat_writes(char character);
