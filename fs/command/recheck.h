/* recheck: files held against another policy, for `assayfs policy apply` with --dry-run or --recheck. */
#pragma once

#include "fs/command/client.h"

#include <jansson.h>
#include <stdint.h>

struct recheck_counts {
	uint64_t total;  /* files that were looked at */
	uint64_t gained; /* did not pass, and would */
	uint64_t lost;   /* stand in Trusted, and would not pass; were withdrawn */
	uint64_t errors; /* could not be checked */
};

/*
 * Asks what would change by the policy in `archive` (base64 of a bundle), or, NULL, to check what is trusted by the one
 * in force and to withdraw what does not pass. Each file that changes is printed, or put into `list` (not NULL). The
 * mount's own error, with words.
 */
int recheck_ask(Client *client, const char *archive, json_t *list, struct recheck_counts *ret_counts);
