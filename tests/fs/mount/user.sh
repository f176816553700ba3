#!/bin/sh
# An ordinary user mounts through fusermount3; allow_other is refused with the file and the line. (mount, 60 s; root
# only, who becomes that user in a mount namespace of his own where /dev/fuse is for everybody)
[ "$(id -u)" -eq 0 ] || { echo 'skipped: needs root, to become somebody else'; exit 77; }
if [ -z "${ASSAYFS_PRIVATE_MOUNTS:-}" ]; then
	unshare -m --propagation private true || { echo 'skipped: no mount namespace to be had'; exit 77; }
	ASSAYFS_PRIVATE_MOUNTS=1 exec unshare -m --propagation private "$0" "$@"
fi
. "$(dirname "$0")/../lib.sh"
command -v setpriv >/dev/null || skip 'setpriv is missing'
mknod -m 666 "$T/fuse" c 10 229 && mount --bind "$T/fuse" /dev/fuse || skip '/dev/fuse can not be put in its place'
trap 'clean_up; umount /dev/fuse; rm -rf "$T"' EXIT
as() {
	setpriv --reuid nobody --regid nogroup --clear-groups "$@"
}
cp "$VAULT_PROGRAM" "$T/program" # where nobody may reach it
VAULT_PROGRAM=$T/program
mkdir "$T/user"
chown nobody "$T/user" "$M"
V=$T/user/vault

check 'an ordinary user makes a vault' as "$VAULT_PROGRAM" init "$V"
printf '# nothing allowed\n' >"$T/fuse.conf"
[ -e /etc/fuse.conf ] && mount --bind "$T/fuse.conf" /etc/fuse.conf
refused 'user_allow_other' as "$VAULT_PROGRAM" mount -o allow_other "$V" "$M"
refused '/etc/fuse.conf' as "$VAULT_PROGRAM" mount -o allow_other "$V" "$M"
check 'and mounts it' as "$VAULT_PROGRAM" mount "$V" "$M"
check 'and writes' as sh -c "echo mine >'$M/Landing/f' && cat '$M/Landing/f' >/dev/null"
check 'the files are his' test "$(as stat -c %U "$M/Landing/f")" = nobody
refused 'Permission denied' ls "$M" # root is not let in either, by the kernel
check 'his name stands in the log' as sh -c \
	"'$VAULT_PROGRAM' sync '$M' && grep -q '\"exe\":\"dash\"\|\"exe\":\"sh\"' '$M'/.assayfs/audit/*.jsonl"
kill -TERM "$(daemon_pid)"
check 'a signal unmounts' wait_closed
check 'nothing is mounted' sh -c "! grep -q ' $M ' /proc/self/mountinfo"
check 'and mounts it again' as "$VAULT_PROGRAM" mount "$V" "$M"
check 'what he wrote is there' test "$(as cat "$M/Landing/f")" = mine
check 'unmount' as fusermount3 -u "$M"
check 'and the daemon ends' wait_closed
umount /etc/fuse.conf 2>/dev/null
done_testing
