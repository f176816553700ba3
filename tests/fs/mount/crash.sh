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

# Small fsyncs: what they said of bytes, size and time is there; a time that somebody set himself is not overtaken.
cat >"$T/small.py" <<-'EOF'
	import os, sys, time
	small, touched, done = sys.argv[1:]
	files = [os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644) for name in (small, touched)]
	def add(file, word):
	    os.write(file, word)
	    os.fsync(file)
	for word in b"one ", b"two ", b"three ":
	    for file in files:
	        add(file, word)
	os.utime(touched, (981173106, 981173106))
	os.fsync(files[1])  # a commit, after which small is synced once more
	add(files[0], b"four ")
	with open(done, "w") as file:
	    file.write(str(os.fstat(files[0]).st_mtime_ns))
	time.sleep(60)
EOF
python3 "$T/small.py" "$L/small" "$L/touched" "$T/mtime" &
small=$!
for _ in $(seq 100); do [ -s "$T/mtime" ] || sleep 0.1; done
check 'they are in their log' test -s "$V/synclog"
crash
kill "$small"
content=$(cat "$L/small")
check "small fsyncs are there: $content" test "$content" = 'one two three four '
mtime=$(python3 -c "import os; print(os.stat('$L/small').st_mtime_ns)")
check "with the time ($mtime)" test "$mtime" = "$(cat "$T/mtime")"
content=$(cat "$L/touched")
check "those before a touch, too: $content" test "$content" = 'one two three '
check 'whose time stays' test "$(stat -c %Y "$L/touched")" -eq 981173106

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
