#!/bin/sh
# Bytes come back as written: random writes, mmap, holes, 5 GiB sparse, append, unlinked but open. (mount, 180 s)
. "$(dirname "$0")/../lib.sh"
mount_vault || exit 1
L=$M/Landing
check 'bytes' "$2/bytes" "$L"
cp "$L/random" "$T/random"
remount || exit 1
same "$T/random" "$L/random"

check 'a sparse file takes no room' sh -c "truncate -s 6G '$L/sparse' && [ \$(du -sk '$V' | cut -f1) -lt 200000 ]"
check 'its size is right' test "$(stat -c %s "$L/sparse")" -eq 6442450944

check 'cp in Landing' cp "$L/random" "$L/clone"
same "$L/random" "$L/clone"
printf 'changed' | dd of="$L/clone" conv=notrunc status=none
same "$T/random" "$L/random"
check 'the clone is another file now' sh -c "! cmp -s '$L/random' '$L/clone'"

check 'execute a program' sh -c "cp /bin/true '$L/prog' && '$L/prog'"
done_testing
