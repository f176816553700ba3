#!/bin/sh
# Another user meets the mode bits, and each denial leaves a record with who it was. (mount, 60 s; root only)
. "$(dirname "$0")/../lib.sh"
[ "$(id -u)" -eq 0 ] || skip 'needs root, to become somebody else'
command -v setpriv >/dev/null || skip 'setpriv is missing'
mount_vault -o allow_other || exit 1
L=$M/Landing
# uid 4001, group 4001, supplementary group 4100
as() {
	setpriv --reuid 4001 --regid 4001 --groups 4100 "$@"
}
denied() {
	event=$1
	path=$2
	shift 2
	refused 'ermi' as "$@" # "Permission denied" or "Operation not permitted"
	recorded ".event == \"$event\" and .path == \"$path\" and .outcome == \"denied\" and .uid == 4001"
}

mkdir "$L/open" "$L/closed" "$L/sticky" "$L/group"
chmod 777 "$L/open"
chmod 750 "$L/closed"
chmod 1777 "$L/sticky"
chgrp 4100 "$L/group"
chmod 770 "$L/group"
echo secret >"$L/open/secret"
chmod 600 "$L/open/secret"
echo readable >"$L/open/readable"
echo x >"$L/closed/x"
echo x >"$L/sticky/x"
chmod 666 "$L/sticky/x"

denied open Landing/open/secret cat "$L/open/secret"
denied open Landing/open/readable sh -c "echo y >>'$L/open/readable'"
denied lookup Landing/closed/x cat "$L/closed/x"
denied opendir Landing/closed ls "$L/closed"
denied create Landing/new sh -c "echo y >'$L/new'"
denied mkdir Landing/newdir mkdir "$L/newdir"
denied unlink Landing/sticky/x rm -f "$L/sticky/x"
denied rename Landing/sticky/x mv "$L/sticky/x" "$L/open/x"
denied chmod Landing/open/readable chmod 777 "$L/open/readable"
denied chown Landing/open/readable chown 4001 "$L/open/readable"
denied utimes Landing/open/readable touch -d 2001-01-01 "$L/open/readable"
denied truncate Landing/open/readable perl -e 'truncate($ARGV[0], 0) or die "$!\n"' "$L/open/readable"
denied setxattr Landing/open/readable setfattr -n user.x -v y "$L/open/readable"
# The kernel's own check of this lets everything pass, since it leaves permissions to the mount.
[ "$(cat /proc/sys/fs/protected_hardlinks)" = 0 ] ||
	denied link Landing/open/readable ln "$L/open/readable" "$L/open/linked"
denied create Trusted/x sh -c "echo y >'$M/Trusted/x'"
denied create Raw/x sh -c "echo y >'$M/Raw/x'"
denied opendir .assayfs/audit ls "$M/.assayfs/audit"
denied opendir .assayfs/versions/Landing/open/secret ls "$M/.assayfs/versions/Landing/open/secret"

# What was moved to where not everybody may look is not found by the name that the kernel still had of it.
mkdir "$L/open/tree" "$L/private"
chmod 700 "$L/private"
for name in open/moved open/tree/leaf private/exchanged open/exchanged; do
	echo shown >"$L/$name"
done
mv "$L/open/moved" "$L/open/tree" "$L/private"
perl -e 'syscall(316, -100, $ARGV[0], -100, $ARGV[1], 2) == 0 or die "$!\n"' "$L/open/exchanged" "$L/private/exchanged"
sleep 0.5 # the kernel is told by a thread
for name in moved tree tree/leaf exchanged; do
	refused 'ermi' as stat "$L/private/$name"
done

# What the mode bits do allow.
check 'read what others may' as grep -q readable "$L/open/readable"
check 'write where the group may' as sh -c "echo z >'$L/group/z'"
check 'the new file is its maker'"'"'s' test "$(stat -c %u:%g "$L/group/z")" = 4001:4001
check 'chgrp to a group one is in' as chgrp 4100 "$L/group/z"
check 'remove one'"'"'s own in a sticky directory' as sh -c "echo y >'$L/sticky/mine' && rm '$L/sticky/mine'"
check 'the umask counts' as sh -c "umask 027 && echo y >'$L/open/masked' && [ \$(stat -c %a '$L/open/masked') = 640 ]"
recorded '.event == "create" and .path == "Landing/group/z" and .outcome == "ok" and .uid == 4001 and .exe != ""'

# Set-id bits go when somebody writes, and a directory that is closed takes its names out of the kernel's cache.
cp /bin/true "$L/open/suid"
chmod 6777 "$L/open/suid"
check 'write into a set-id file' as sh -c "echo x >>'$L/open/suid'"
check 'set-id is gone' test "$(stat -c %a "$L/open/suid")" = 777
check 'seen while it may be' as stat "$L/open/readable" >/dev/null
chmod 700 "$L/open"
sleep 0.3
refused 'Permission denied' as stat "$L/open/readable"
done_testing
