# lib.sh: what the tests of the mount share. Sourced by each; the first argument of a test is the `vault` program.
#
# tests: fs/filesystem, tests: fs/log, tests: fs/parts, tests: fs/session, tests: fs/operations/handle, tests: fs/trusted
#
#     . "$(dirname "$0")/../lib.sh"       its own directory in $T, a vault $V mounted at $M; undone whatever happens
#
# A test ends with `done_testing`. Checks: `check WORDS COMMAND…`, `refused ERRNO-WORDS COMMAND…`, `same A B`.

set -u
VAULT_PROGRAM=$(realpath "${1:?the vault program}")
failures=0
checks=0

skip() {
	echo "skipped: $*"
	exit 77
}

[ -c /dev/fuse ] || skip "/dev/fuse is missing"
[ "$(id -u)" -eq 0 ] || command -v fusermount3 >/dev/null || skip "fusermount3 is missing"

T=$(mktemp -d "${TMPDIR:-/tmp}/assayfs-test.XXXXXX")
V=$T/vault
M=$T/mnt
export STATE_DIRECTORY=$T/state
mkdir "$M"
chmod 755 "$T"
# A daemon in the background has no standard error: what a sanitizer finds there is a failure, too.
mkdir -m 1777 "$T/sanitizer"
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1}:log_path=$T/sanitizer/asan"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}:log_path=$T/sanitizer/ubsan"

unmount_once() {
	if [ "$(id -u)" -eq 0 ]; then umount "$@" "$M"; else fusermount3 -u "$M"; fi
}

# A process that has ended is not quite gone while another (ps, pgrep of a test beside this one) looks at its memory: what
# it had mapped of the mount is let go then. Who is busy for longer is an error.
unmount() {
	for _ in $(seq 20); do
		unmount_once "$@" 2>"$T/unmount" && return 0
		grep -qi busy "$T/unmount" || break
		sleep 0.1
	done
	cat "$T/unmount" >&2
	return 1
}

is_mounted() {
	grep -q " $M " /proc/self/mountinfo
}

# Waits until no process has the vault any more (umount returns before the daemon has closed it). One that was killed has
# no arguments to be found by before its files are closed.
wait_closed() {
	for _ in $(seq 200); do
		if ! pgrep -f "mount .*$V $M" >/dev/null; then
			{ [ ! -d "$V" ] || flock -n "$V" true; } && return 0
		fi
		sleep 0.05
	done
	return 1
}

clean_up() {
	cd / || true
	if is_mounted; then
		unmount 2>/dev/null || { sleep 0.3; unmount -l 2>/dev/null; }
	fi
	if ! wait_closed; then
		pids=$(pgrep -f "mount .*$V $M")
		# shellcheck disable=SC2086 # a list of numbers
		[ -z "$pids" ] || kill -9 $pids
	fi
	rm -rf "$T"
}
trap clean_up EXIT
trap 'exit 1' INT TERM HUP

mount_vault() {
	"$VAULT_PROGRAM" mount "$@" "$V" "$M"
}

# A clean end: everything is closed when it returns.
unmount_vault() {
	unmount && wait_closed
}

remount() {
	unmount_vault && mount_vault "$@"
}

# Of the processes of the mount the one that started the others. (Numbers begin anew: it need not be the lowest.)
daemon_pid() {
	pids=$(pgrep -f "mount .*$V $M" | tr '\n' ' ')
	for pid in $pids; do
		parent=$(ps -o ppid= -p "$pid" | tr -d ' ')
		case " $pids" in *" $parent "*) ;; *) echo "$pid" && return ;; esac
	done
}

check() {
	checks=$((checks + 1))
	words=$1
	shift
	if "$@"; then return 0; fi
	failures=$((failures + 1))
	echo "FAILED: $words"
	return 1
}

# refused 'Permission denied' COMMAND…: the command fails, with these words.
refused() {
	checks=$((checks + 1))
	expected=$1
	shift
	if words=$("$@" 2>&1); then
		failures=$((failures + 1))
		echo "FAILED: was allowed: $*"
	elif ! printf '%s' "$words" | grep -qF -- "$expected"; then
		failures=$((failures + 1))
		echo "FAILED: $*: expected '$expected', got: $words"
	fi
}

same() {
	check "$1 and $2 are the same" cmp "$1" "$2"
}

# Records that became durable (a second at the latest), as lines of JSON.
records() {
	"$VAULT_PROGRAM" sync "$M"
	cat "$M"/.assayfs/audit/*.jsonl
}

# recorded 'jq condition' : at least one record fulfils it.
recorded() {
	check "a record has $1" test -n "$(records | jq -c "select($1)" | head -n 1)"
}

done_testing() {
	if is_mounted; then
		check 'unmount' unmount_vault
	fi
	if [ -n "$(ls "$T/sanitizer")" ]; then
		failures=$((failures + 1))
		echo 'FAILED: the sanitizers say'
		cat "$T"/sanitizer/*
	fi
	echo "$checks checks, $failures failed"
	[ "$failures" -eq 0 ]
	exit
}

"$VAULT_PROGRAM" init "$V" || exit 1
