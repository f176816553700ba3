/*
 * ship_place: whether a directory will do for what is shipped: copies that are to be there when the vault is not.
 *
 * Neither within a mounted vault, whichever, nor within a vault's own directory. A path that lies in a mount of assayfs
 * is known by the kernel's table alone, so that the mount's own process never waits for itself.
 */
#pragma once

/* 0; -EINVAL with words: it lies in a vault; other errors of finding it, in words. Relative paths count from where the
 * process stands. */
int ship_place_check(const char *directory);
