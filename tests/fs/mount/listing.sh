#!/bin/sh
# What a listing spares: attributes of all names come with it, where names may be kept; elsewhere each is asked for.
# The daemon's own words tell what was asked. (mount, 60 s)
. "$(dirname "$0")/../lib.sh"
[ "$(id -u)" -eq 0 ] || skip 'only root may let others in'
mount_vault -o allow_other || exit 1
L=$M/Landing
mkdir "$L/open" "$L/shut"
for i in $(seq 1000); do
	echo "$i" >"$L/open/a-name-that-fills-the-pages-of-a-listing-$i"
	[ "$i" -gt 100 ] || echo "$i" >"$L/shut/$i"
done
ln "$L/open/a-name-that-fills-the-pages-of-a-listing-1" "$L/open/second"
chmod 700 "$L/shut"
unmount_vault || exit 1

# asked COMMAND…: how many look-ups it takes on a new mount.
asked() {
	"$VAULT_PROGRAM" mount -f -d -o allow_other "$V" "$M" 2>"$T/requests" &
	for _ in $(seq 200); do
		is_mounted && break
		sleep 0.05
	done
	"$@" >"$T/out"
	unmount_vault
	grep -c 'opcode: LOOKUP' "$T/requests"
}

# Both ways to the folder, and the two names of the file that has two.
count=$(asked find "$L/open" -type f -size -2 -links -9)
check "1,001 files take no more than 8 look-ups: $count" test "$count" -le 8
check 'find saw them all' test "$(wc -l <"$T/out")" -eq 1001

count=$(asked find "$L/shut" -type f -size -2 -links -9)
check "of a folder that is closed to others each is asked for: $count" test "$count" -ge 100
check 'find saw them all there' test "$(wc -l <"$T/out")" -eq 100

count=$(asked rm -r "$L/open")
check "their removal takes no more: $count" test "$count" -le 8
mount_vault -o allow_other
check 'they are gone' test ! -e "$L/open"
done_testing
