#!/bin/sh
# rename, exchange, link: every case, and what the records say. (mount, 60 s)
. "$(dirname "$0")/../lib.sh"
mount_vault || exit 1
mkdir "$M/Landing/r"
check 'all cases' "$2/rename" "$M/Landing/r"
recorded '.event == "rename" and .path == "Landing/r/a" and .path2 == "Landing/r/b"'
recorded '.event == "rename" and .outcome == "denied"'
recorded '.event == "link" and .path2 == "Landing/r/same"'
done_testing
