#!/bin/sh
# Mounting itself: exit status and words of failures, wrong passphrase, twice, signals, what is open at the end.
# (mount, 60 s)
. "$(dirname "$0")/../lib.sh"
refused 'not a directory' "$VAULT_PROGRAM" mount "$V" "$V/vault.json"
refused 'no-such' "$VAULT_PROGRAM" mount "$V" "$T/no-such"
refused 'no-such' "$VAULT_PROGRAM" mount "$T/no-such" "$M"
refused 'option' "$VAULT_PROGRAM" mount -o nonsense=1 "$V" "$M"
VAULT_PASSPHRASE=wrong "$VAULT_PROGRAM" mount "$V" "$M" 2>/dev/null
check 'a wrong passphrase is exit 12' test $? -eq 12
check 'nothing is mounted' sh -c "! grep -q ' $M ' /proc/self/mountinfo"

mount_vault || exit 1
check 'it is a FUSE file system with our name' grep -q " $M .* fuse.assayfs $V " /proc/self/mountinfo
refused 'in use' "$VAULT_PROGRAM" mount "$V" "$T"
echo kept >"$M/Landing/kept"

# SIGTERM while a file is open with dirty pages: written back, sealed, closed.
exec 3>"$M/Landing/open"
head -c 200000 /dev/zero >&3
kill -TERM "$(daemon_pid)"
check 'the daemon ends' wait_closed
exec 3>&-
check 'and is not mounted' sh -c "! grep -q ' $M ' /proc/self/mountinfo"
mount_vault || exit 1
check 'what was closed is there' test "$(cat "$M/Landing/kept")" = kept
check 'what was open is there' test "$(stat -c %s "$M/Landing/open")" -eq 200000
check 'the last mount had ended cleanly' test -z "$(records | jq -c 'select(.event == "recover")')"

# Times of access: told at once although they are written later, and none is lost with a clean end. What cat(1) closed is
# released a moment after.
read_at() { stat --cached=never -c %X "$M/Landing/$1"; }
was_read() { for _ in $(seq 100); do test "$(read_at "$1")" -gt 978307200 && return; sleep 0.05; done; return 1; }
echo set >"$M/Landing/set"
touch -a -d @978307200 "$M/Landing/kept" "$M/Landing/set"
remount || exit 1 # what the kernel has in its cache it reads by itself
cat "$M/Landing/kept" "$M/Landing/set" >/dev/null
check 'stat tells when a file was read' was_read kept
check 'of each of them' was_read set
told=$(read_at kept)
touch -a -d @978307201 "$M/Landing/set"
check 'what is set after it counts' test "$(read_at set)" -eq 978307201
touch -m -d @978307202 "$M/Landing/kept"
check 'and another time is no matter' test "$(read_at kept)" -eq "$told"
remount || exit 1
check 'the next mount knows when a file was read' test "$(read_at kept)" -eq "$told"
check 'and what was set' test "$(read_at set)" -eq 978307201

# Read-only
remount -o ro || exit 1
refused 'Read-only file system' touch "$M/Landing/x"
check 'reading goes on' test "$(cat "$M/Landing/kept")" = kept

# In the foreground the exit status is that of the end.
unmount_vault
"$VAULT_PROGRAM" mount -f "$V" "$M" &
pid=$!
for _ in $(seq 100); do is_mounted && break; sleep 0.05; done
unmount
wait $pid
check 'exit status 0 at a clean end' test $? -eq 0

done_testing
