#!/bin/sh
# Holes, files without a name, handles, O_DIRECT: what databases and copying programs ask for. (mount, 60 s)
. "$(dirname "$0")/../lib.sh"
mount_vault -o allow_other || exit 1
mkdir -m 777 "$M/Landing/c"
check 'all calls' "$2/calls" "$M/Landing/c"
recorded '.event == "create" and .path == "Landing/c" and (.detail | contains("nameless"))'
remount || exit 1
check 'a hole takes no room after a remount' sh -c "cd '$M/Landing/c' && [ \$(tr -d '\\0' <hole | wc -c) -eq 49152 ]"
check 'what was linked is there' grep -q nameless "$M/Landing/c/tmpfile"
check 'what was not is gone' sh -c "[ ! -e '$M/Landing/c/tmpfile2' ]"
done_testing
