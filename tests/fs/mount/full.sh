#!/bin/sh
# A full disk: ENOSPC, what was acknowledged stays, and it goes on when there is room. (mount, 120 s; root only)
. "$(dirname "$0")/../lib.sh"
[ "$(id -u)" -eq 0 ] || skip 'needs root, for a small tmpfs'
mkdir "$T/small"
mount -t tmpfs -o size=48m tmpfs "$T/small" || skip 'no tmpfs here'
trap 'clean_up 2>/dev/null; umount "$T/small"; rm -rf "$T"' EXIT
V=$T/small/vault
"$VAULT_PROGRAM" init "$V" || exit 1
export VAULT_RESERVE=8388608
mount_vault || exit 1
L=$M/Landing
head -c 5000000 /dev/urandom >"$T/kept"
cp "$T/kept" "$L/kept"
"$VAULT_PROGRAM" sync "$L/kept"

refused 'No space left' sh -c "head -c 100000000 /dev/urandom >'$L/large' && '$VAULT_PROGRAM' sync '$L/large'"
refused 'No space left' sh -c "for i in 1 2 3 4 5 6 7 8; do cp '$T/kept' '$L/more.'\$i || exit 1; done"
recorded '.event == "close" and .path == "Landing/large" and .outcome == "error" and .errno == 28'
# The kernel is told after the close: it may show its own size for a moment still.
sleep 1
shown=$(stat -c %s "$L/large")
check "a part of it is there ($shown)" test "$shown" -gt 0 -a "$shown" -lt 60000000
same "$T/kept" "$L/kept"
check 'reading and listing go on' ls -l "$L" >/dev/null
remount || exit 1
check 'no size that is not so' test "$(stat -c %s "$L/large")" -eq "$shown"
same "$T/kept" "$L/kept"

umount "$M" && wait_closed
mount -o remount,size=200m "$T/small"
mount_vault || exit 1
check 'there is room again' sh -c "cp '$T/kept' '$L/again' && '$VAULT_PROGRAM' sync '$L/again'"
same "$T/kept" "$L/again"
unmount_vault
done_testing
