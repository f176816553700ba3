#!/bin/sh
# Versions: one for each change, none for an open that changes nothing; read back, as of a time, across a remount.
# (mount, 60 s)
. "$(dirname "$0")/../lib.sh"
mount_vault || exit 1
L=$M/Landing
versions() {
	find "$M/.assayfs/versions/Landing/$1" -mindepth 1 | wc -l
}
has_versions() {
	check "$1 has $2 versions, not $(versions "$1")" test "$(versions "$1")" -eq "$2"
}

echo one >"$L/f"
has_versions f 1
echo two >"$L/f"
has_versions f 2
echo more >>"$L/f"
has_versions f 3
: >>"$L/f" # opened for writing, not changed
has_versions f 3
cat "$L/f" >/dev/null
has_versions f 3
truncate -s 3 "$L/f"
has_versions f 4
: >"$L/f"
has_versions f 5
: >"$L/empty"
has_versions empty 1
check 'version 1' test "$(cat "$M/.assayfs/versions/Landing/f/1")" = one
check 'version 3' test "$(cat "$M/.assayfs/versions/Landing/f/3" | tr '\n' ' ')" = 'two more '
check 'version 4' test "$(cat "$M/.assayfs/versions/Landing/f/4")" = two
check 'version 5 is empty' test ! -s "$M/.assayfs/versions/Landing/f/5"

# Several descriptors: a version when the last writer is done.
exec 3>"$L/g" 4>>"$L/g"
echo a >&3
exec 3>&-
check 'no version while a writer is left' test "$(versions g)" -eq 0
echo b >&4
exec 4>&-
has_versions g 1

# close(2) has made the version when it returns, though a duplicate stays open; a child's close is nobody's word.
counts=$(python3 - "$L/dup" "$M/.assayfs/versions/Landing/dup" <<'END'
import os, sys
path, versions = sys.argv[1:]
first = os.open(path, os.O_WRONLY | os.O_CREAT)
second = os.dup(first)
os.write(first, b"one ")
os.close(first)
print(len(os.listdir(versions)))
child = os.fork()
if child == 0:
    os.write(second, b"two ")
    os._exit(0)
os.waitpid(child, 0)
print(len(os.listdir(versions)))
os.write(second, b"three")
os.close(second)
print(len(os.listdir(versions)))
END
)
check "versions after each close: 1 1 2, not $(echo $counts)" test "$(echo $counts)" = '1 1 2'
check 'the first close' test "$(cat "$M/.assayfs/versions/Landing/dup/1")" = 'one '
check 'the last close' test "$(cat "$M/.assayfs/versions/Landing/dup/2")" = 'one two three'
"$VAULT_PROGRAM" sync "$L"
records=$(cat "$M"/.assayfs/audit/*.jsonl | grep '"close"' | grep -c 'Landing/dup"')
check "two records of closes, not $records" test "$records" -eq 2

# Editors put a new file in place of the old one; the name keeps all its versions.
echo new >"$L/g.tmp" && mv "$L/g.tmp" "$L/g"
has_versions g 2
check 'the replaced one' test "$(head -n 1 "$M/.assayfs/versions/Landing/g/1")" = a
rm "$L/g"
has_versions g 2
cp "$M/.assayfs/versions/Landing/g/1" "$L/g"
check 'a version copied back' test "$(tail -n 1 "$L/g")" = b

sleep 1.1
then=$(date -u +%Y-%m-%dT%H:%M:%SZ)
sleep 1.1
echo later >"$L/f"
rm "$L/empty"
mkdir "$L/laterdir"
"$VAULT_PROGRAM" sync "$L"
check 'the tree as it was: content' test ! -s "$M/.assayfs/at/$then/Landing/f"
check 'the tree as it was: a removed file' test -e "$M/.assayfs/at/$then/Landing/empty"
check 'the tree as it was: nothing younger' test ! -e "$M/.assayfs/at/$then/Landing/laterdir"

remount || exit 1
has_versions f 6
check 'version 3 after a remount' test "$(tail -n 1 "$M/.assayfs/versions/Landing/f/3")" = more
check 'the tree as it was, after a remount' test -e "$M/.assayfs/at/$then/Landing/empty"
refused 'Read-only file system' sh -c "echo x >'$M/.assayfs/versions/Landing/f/1'"
refused 'Read-only file system' rm "$M/.assayfs/versions/Landing/f/1"
refused 'No such file' cat "$M/.assayfs/versions/Landing/f/99"
check '.assayfs is not listed' sh -c "! ls -a '$M' | grep -q assayfs"
# The times that a truncation by path shows are those that are kept: the kernel has its own clock's, and shows them.
perl -e 'truncate($ARGV[0], 2) or die "$!\n"' "$L/f"
shown=$(stat -c '%y %z' "$L/f")
remount || exit 1
check 'the times of a truncation stay what they were' test "$(stat -c '%y %z' "$L/f")" = "$shown"

done_testing
