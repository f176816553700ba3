/*
 * files: a directory as a place of objects: an object is a file of that name.
 *
 *     DIRECTORY/segments/ab…/00000000-01000000     the object "segments/ab…/00000000-01000000"
 *     DIRECTORY/segments/ab…/~5f0c…                one that is being written; no object's name has a '~'
 *
 * An object is written beside, synced and renamed, and its directory synced: it is there whole or not at all, and once
 * objects_put returns a power cut does not take it back. Sub-directories are made as needed and removed when empty. No
 * symbolic link below the directory is followed, nor told as an object; nor is anything else that is no object.
 *
 * The directory is opened anew by each call, so that its disk can be unmounted in between. A place of files has neither
 * versions nor locks (-ENOTSUP).
 */
#pragma once

#include "backend/objects/objects.h"

/* `directory` is absolute and need not be there yet. For objects_wrap with files_ops. -ENOMEM. */
int files_open(const char *directory, void **ret_place);

extern const struct objects_ops files_ops;
