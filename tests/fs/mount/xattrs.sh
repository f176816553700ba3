#!/bin/sh
# Extended attributes are kept; those of assayfs answer by name, are not listed and can't be set. (mount, 60 s)
. "$(dirname "$0")/../lib.sh"
command -v setfattr >/dev/null || skip 'setfattr is missing (package attr)'
mount_vault || exit 1
f=$M/Landing/f
echo x >"$f"
check 'set' setfattr -n user.colour -v blue "$f"
check 'get' test "$(getfattr --only-values -n user.colour "$f" 2>/dev/null)" = blue
check 'list' sh -c "getfattr '$f' 2>/dev/null | grep -q '^user.colour$'"
head -c 60000 /dev/urandom | base64 -w 0 | head -c 60000 >"$T/value"
check 'a large one' setfattr -n user.large -v "$(cat "$T/value")" "$f"
check 'the large one' sh -c "getfattr --only-values -n user.large '$f' 2>/dev/null | cmp - '$T/value'"
check 'remove' setfattr -x user.colour "$f"
refused 'No such attribute' setfattr -x user.colour "$f"
check 'directories have them too' setfattr -n user.a -v b "$M/Landing"

check 'its version' test "$(getfattr --only-values -n user.assayfs.version "$f" 2>/dev/null)" = 1
check 'its path' test "$(getfattr --only-values -n user.assayfs.path "$f" 2>/dev/null)" = Landing/f
check 'its verdict' test "$(getfattr --only-values -n user.assayfs.verdict "$f" 2>/dev/null)" = none
check 'the vault' sh -c "getfattr --only-values -n user.assayfs.vault '$M' 2>/dev/null | grep -Eq '^[0-9a-f]{32}$'"
check 'not listed' sh -c "! getfattr '$f' 2>/dev/null | grep -q user.assayfs"
refused 'Operation not permitted' setfattr -n user.assayfs.verdict -v passed "$f"
refused 'No such attribute' getfattr -n user.assayfs.nonsense "$f"
cp --preserve=xattr "$f" "$M/Landing/g"
check 'cp takes the others along' getfattr -n user.large "$M/Landing/g" >/dev/null 2>&1

remount || exit 1
check 'kept' sh -c "getfattr --only-values -n user.large '$f' 2>/dev/null | cmp - '$T/value'"
recorded '.event == "setxattr" and .path == "Landing/f" and .detail == "user.colour"'
recorded '.event == "setxattr" and .outcome == "denied" and .detail == "user.assayfs.verdict"'
done_testing
