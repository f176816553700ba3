#!/bin/sh
# Trees go in and come out as they were: cp -a, tar, diff, names of 255 bytes, links, a remount. (mount, 120 s)
. "$(dirname "$0")/../lib.sh"
mount_vault || exit 1
L=$M/Landing

mkdir "$T/src"
cd "$T/src" || exit 1
mkdir -p a/b/c empty 'with space' "$(printf 'latin\351')"
for i in 1 2 3 4 5; do head -c $((i * 7919)) /dev/urandom >a/b/file$i; done
: >a/empty
head -c 3000000 /dev/urandom >a/large
ln -s ../a/large empty/link
ln -s "$(printf 'x%.0s' $(seq 1000))" longlink
ln a/large hard
mkfifo pipe
name=$(printf 'n%.0s' $(seq 255))
echo long >"$name"
echo latin >"$(printf 'latin\351/f\377le')"
chmod 4750 a/b/file1
chmod 1777 empty
chmod 000 a/b/file2
touch -d '2001-02-03 04:05:06.789' a/b/file3
[ "$(id -u)" -ne 0 ] || chown 1234:4321 a/b/file4
cd / || exit 1

# What diff does not see: modes, owners, times, links.
describe() {
	(cd "$1" && find . -printf '%p %y %m %U:%G %n %l %T@\n' | sort)
}

check 'cp -a' cp -a "$T/src" "$L/copy"
# diff takes two fifos for different; describe holds them against each other.
check 'the copy is the same' diff -r -x pipe --no-dereference "$T/src" "$L/copy"
mkdir "$L/tar"
check 'tar' sh -c "tar -C '$T/src' --format=pax -cf - . | tar -C '$L/tar' -xpf -"
describe "$T/src" >"$T/src.txt"
describe "$L/copy" >"$T/copy.txt"
check 'attributes came along' diff "$T/src.txt" "$T/copy.txt"
refused 'File name too long' touch "$L/${name}n"

remount || exit 1
check 'the copy is the same after a remount' diff -r -x pipe --no-dereference "$T/src" "$L/copy"
check 'what tar unpacked is the same' diff -r -x pipe --no-dereference "$T/src" "$L/tar"
describe "$L/copy" >"$T/copy.txt"
check 'attributes are kept' diff "$T/src.txt" "$T/copy.txt"
describe "$L/tar" >"$T/tar.txt"
check 'attributes that tar set are kept' diff "$T/src.txt" "$T/tar.txt"

check 'rm -r' rm -r "$L/copy"
check 'nothing is left of it' test ! -e "$L/copy"
refused 'Operation not permitted' mkdir "$M/new"
refused 'Operation not permitted' mv "$M/Landing" "$M/Ablage"
refused 'Operation not permitted' rmdir "$M/Raw"
refused 'Operation not permitted' touch "$M/Raw/x"
refused 'Permission denied' touch "$M/Trusted/x"
refused 'Invalid cross-device link' ln "$L/tar/hard" "$M/Trusted/x"
done_testing
