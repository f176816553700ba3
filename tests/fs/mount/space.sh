#!/bin/sh
# Space that nobody needs any more comes back while the vault is mounted: a file that is rewritten in place within one
# open, and one that is removed before it was closed. (mount, 300 s)
. "$(dirname "$0")/../lib.sh"
export VAULT_GC_GRACE=500
mount_vault || exit 1
L=$M/Landing

stored() {
	du -sm "$V/segments" | cut -f1
}

# Until less than $1 MiB are stored; the collector looks every second, and removes after two walks.
shrinks_below() {
	for _ in $(seq 200); do
		[ "$(stored)" -ge "$1" ] || return 0
		sleep 0.5
	done
	echo "still $(stored) MiB"
	return 1
}

cat >"$T/rewrite" <<'END'
import os, sys
MIB = 1 << 20
path, passes, size = sys.argv[1], int(sys.argv[2]), 64
with open(path, "wb", buffering=0) as file:
    for turn in range(passes):
        for at in range(size):
            os.pwrite(file.fileno(), bytes([turn, at]) * (MIB // 2), at * MIB)
        os.fsync(file.fileno())
    if len(sys.argv) > 3:
        os.unlink(path)
END
check 'a GiB is written over 64 MiB' python3 "$T/rewrite" "$L/rewritten" 16
check 'most of it comes back' shrinks_below 200
cat >"$T/compare" <<'END'
import sys
MIB = 1 << 20
with open(sys.argv[1], "rb") as file:
    for at in range(64):
        assert file.read(MIB) == bytes([15, at]) * (MIB // 2), at
    assert not file.read(1)
END
check 'it reads as it was written last' python3 "$T/compare" "$L/rewritten"
recorded '.event == "gc" and .bytes > 60000000'

before=$(stored)
check 'what was never closed under a name' python3 "$T/rewrite" "$L/unlinked" 4 unlink
check 'comes back, but for a segment that is open' shrinks_below $((before + 70))
remount || exit 1
check 'it reads the same in the next mount' python3 "$T/compare" "$L/rewritten"
done_testing
