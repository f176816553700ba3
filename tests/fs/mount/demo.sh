#!/bin/sh
# The tour of scripts/demo, as root and as an ordinary user: it ends well, and leaves nothing behind. (mount, 120 s)
. "$(dirname "$0")/../lib.sh"
SOURCE=${ASSAYFS_SOURCE:?}
program=${ASSAYFS_BUILD:?}/fs/assayfs
command -v getfattr >/dev/null || skip 'getfattr is missing'
mkdir -m 1777 "$T/tmp"

# tour WORDS COMMAND…: no mount and no file is left.
tour() {
	words=$1
	shift
	if ! TMPDIR=$T/tmp ASSAYFS_DEMO_PROGRAM=$T/assayfs timeout 100 "$@" >"$T/tour" 2>&1; then
		check "$words" false
		tail -n 20 "$T/tour"
	fi
	check "$words leaves no file" test -z "$(ls -A "$T/tmp")"
	check "$words leaves no mount" sh -c "! grep -q ' $T/tmp/' /proc/self/mountinfo"
}
cp "$program" "$T/assayfs" # where an ordinary user may reach it
cp -r "$SOURCE/scripts" "$T/scripts"

tour 'the tour' "$T/scripts/demo"
check 'it shows the log' grep -q 'verdict      denied' "$T/tour"

# A file whose last column may say anything.
python3 -c 'print("id,words"); [print(f"{i},word {i * 7919 % 1000}") for i in range(300)]' >"$T/other file.csv"
chmod 644 "$T/other file.csv"
tour 'the tour of a file' "$T/scripts/demo" "$T/other file.csv"

refused "can't be read" "$T/scripts/demo" "$T/nothing.csv"
refused 'usage' "$T/scripts/demo" --nothing

# A step that doesn't do what it says ends the tour.
printf '#!/bin/sh\n[ "$1" = versions ] && exit 3\nexec %s "$@"\n' "$T/assayfs" >"$T/lame"
chmod 755 "$T/lame"
checks=$((checks + 1))
if TMPDIR=$T/tmp ASSAYFS_DEMO_PROGRAM=$T/lame timeout 100 "$T/scripts/demo" >"$T/tour" 2>&1; then
	check 'a step that fails ends the tour' false
fi
check 'and leaves no file' test -z "$(ls -A "$T/tmp")"

# An ordinary user; with a device that everybody may open, and with one that only root may.
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null && unshare -m --propagation private true; then
	cat >"$T/as-user" <<-USER
		#!/bin/sh
		mknod -m "\$1" $T/fuse-\$1 c 10 229 && mount --bind $T/fuse-\$1 /dev/fuse || exit 99
		shift
		exec setpriv --reuid nobody --regid nogroup --clear-groups "\$@"
	USER
	chmod 755 "$T/as-user"
	tour 'the tour of an ordinary user' unshare -m --propagation private "$T/as-user" 666 "$T/scripts/demo"
	refused "can't open /dev/fuse: as root, run 'chmod 666 /dev/fuse'" \
		unshare -m --propagation private "$T/as-user" 600 "$T/scripts/demo"
fi
done_testing
