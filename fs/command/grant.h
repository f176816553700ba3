/* grant: how something lent beside the roles is told, by `assayfs grant` and by `assayfs status`. */
#pragma once

#include <jansson.h>

/* Prints one that the mount told of, on a line of its own: what, to whom, until when, why. */
void grant_print(const json_t *grant);
