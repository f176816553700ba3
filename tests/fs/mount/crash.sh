#!/bin/sh
# kill -9: what was synced is there, what was closed more than a second ago too, nothing is torn, the mount comes back
# by itself. (mount, 120 s)
. "$(dirname "$0")/../lib.sh"
mount_vault || exit 1
L=$M/Landing
crash() {
	kill -9 "$(daemon_pid)"
	wait_closed
	unmount -l
	mount_vault || exit 1
}

head -c 5000000 /dev/urandom >"$T/synced"
head -c 300000 /dev/urandom >"$T/closed"
cp "$T/closed" "$L/closed"
sleep 2.5
echo before >"$L/changing"
"$VAULT_PROGRAM" sync "$L/changing"
cp "$T/synced" "$L/synced"
"$VAULT_PROGRAM" sync "$L/synced"
# A file that is being written: synced half way, then more.
exec 3>"$L/open"
cat "$T/closed" >&3
"$VAULT_PROGRAM" sync "$L/open"
echo unsynced >"$L/changing"
crash
exec 3>&-
same "$T/synced" "$L/synced"
same "$T/closed" "$L/closed"
same "$T/closed" "$L/open"
content=$(cat "$L/changing")
check "changing is whole: $content" test "$content" = before -o "$content" = unsynced

for round in 1 2 3; do
	(for i in $(seq 60); do
		cp "$T/closed" "$L/r$round.$i" && "$VAULT_PROGRAM" sync "$L/r$round.$i" && echo "r$round.$i" >>"$T/acknowledged"
	done) 2>/dev/null &
	sleep 0.7
	crash
	wait
done
check 'something was acknowledged' test -s "$T/acknowledged"
while read -r name; do
	same "$T/closed" "$L/$name"
done <"$T/acknowledged"
for file in "$L"/r*; do
	size=$(stat -c %s "$file")
	check "$file is whole ($size)" test "$size" -eq 300000 -o "$size" -eq 0
done
refused 'in use' "$VAULT_PROGRAM" mount "$V" "$T"
done_testing
