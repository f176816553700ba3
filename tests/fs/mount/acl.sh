#!/bin/sh
# Access control lists are set, listed, inherited and copied as elsewhere; they decide, and denials are recorded; they
# hold for versions and for what the kernel remembers; Raw and Trusted have none. (mount, 120 s; root only)
. "$(dirname "$0")/../lib.sh"
[ "$(id -u)" -eq 0 ] || skip 'needs root, to become somebody else'
command -v setpriv >/dev/null || skip 'setpriv is missing'
command -v setfacl >/dev/null || skip 'setfacl is missing (package acl)'
command -v perl >/dev/null || skip 'perl is missing'
mount_vault -o allow_other || exit 1
L=$M/Landing
chmod 755 "$L"
# uid N, group N, and perhaps a supplementary one
as() {
	who=$1
	shift
	case $who in
	member) setpriv --reuid 4002 --regid 4002 --groups 4100 "$@" ;;
	*) setpriv --reuid "$who" --regid "$who" --clear-groups "$@" ;;
	esac
}
denied() {
	event=$1
	path=$2
	who=$3
	shift 3
	refused 'ermi' as "$who" "$@"
	recorded ".event == \"$event\" and .path == \"$path\" and .outcome == \"denied\""
}
is_acl() { # FILE EXPECTED, entries in one line
	[ "$(getfacl -nac "$1" 2>/dev/null | grep -v '^default' | tr '\n' ' ' | sed 's/\t[^ ]*//g; s/ *$//')" = "$2" ]
}

# What an ACL gives and takes.
echo text >"$L/f"
chmod 644 "$L/f"
check 'set' setfacl -m u:4001:rw-,u:4003:---,g:4100:rw- "$L/f"
check 'get' is_acl "$L/f" 'user::rw- user:4001:rw- user:4003:--- group::r-- group:4100:rw- mask::rw- other::r--'
check 'stat shows the mask at once' test "$(stat -c %a "$L/f")" = 664
check 'ls shows that there is one' sh -c "ls -l '$L/f' | grep -q '^-rw-rw-r--+'"
check 'listed' sh -c "getfattr -m - '$L/f' 2>/dev/null | grep -q '^system.posix_acl_access$'"
check 'a named user writes' as 4001 sh -c "echo more >>'$L/f'"
check 'the member of a named group writes' as member sh -c "echo more >>'$L/f'"
check 'others read' as 4005 cat "$L/f" >/dev/null
denied open Landing/f 4005 sh -c "echo x >>'$L/f'"
denied open Landing/f 4003 cat "$L/f"
recorded '.event == "setxattr" and .path == "Landing/f" and .detail == "system.posix_acl_access" and .outcome == "ok"'
refused 'ermi' as 4001 setfacl -m u:4001:rwx "$L/f"
refused 'Operation not supported' setfattr -n system.posix_acl_access -v 0x01000000 "$L/f"
refused 'Invalid argument' setfattr -n system.posix_acl_access -v 0x0200000001000600ffffffff "$L/f"

# chmod changes the mask and nothing else of it; an empty mask is nobody's but the owner's (acl(5)).
check 'chmod' chmod 640 "$L/f"
check 'the mask' is_acl "$L/f" 'user::rw- user:4001:rw- user:4003:--- group::r-- group:4100:rw- mask::r-- other::---'
denied open Landing/f 4001 sh -c "echo x >>'$L/f'"
check 'reading is left' as 4001 cat "$L/f" >/dev/null
check 'chmod to an empty mask' chmod 604 "$L/f"
refused 'ermi' as 4001 cat "$L/f"
refused 'ermi' as 4003 cat "$L/f"
check 'and back' chmod 664 "$L/f"
check 'as it was' is_acl "$L/f" 'user::rw- user:4001:rw- user:4003:--- group::r-- group:4100:rw- mask::rw- other::r--'

# It stays with its file, and programs take it along.
check 'renamed' sh -c "mv '$L/f' '$L/g' && ln '$L/g' '$L/f'"
check 'under both names' as 4001 sh -c "echo more >>'$L/g'; echo more >>'$L/f'"
rm "$L/g"
check 'cp -a' cp -a "$L/f" "$L/copy"
check 'the copy has it' is_acl "$L/copy" "$(getfacl -nac "$L/f" 2>/dev/null | tr '\n' ' ' | sed 's/ *$//')"
check 'tar' sh -c "cd '$L' && tar --acls -cf - f | tar --acls -C '$T' -xf - && tar --acls -C '$T' -cf - f | (mkdir x && cd x && tar --acls -xf -)"
check 'tar has it' is_acl "$L/x/f" "$(getfacl -nac "$L/f" 2>/dev/null | tr '\n' ' ' | sed 's/ *$//')"
check 'an ACL that is a mode' setfacl -b "$L/copy"
check 'is not kept' sh -c "! getfattr -m - '$L/copy' 2>/dev/null | grep -q posix_acl"

# Default ACLs are inherited in place of the umask.
mkdir "$L/d"
check 'set a default' setfacl -d -m u:4001:rwx,o::- "$L/d"
(umask 077 && mkdir "$L/d/sub" && echo x >"$L/d/sub/f" && mknod "$L/d/sub/pipe" p && ln -s f "$L/d/sub/link")
check 'a directory' is_acl "$L/d/sub" 'user::rwx user:4001:rwx group::r-x mask::rwx other::---'
check 'and goes on' sh -c "getfacl -nc '$L/d/sub' 2>/dev/null | grep -q '^default:user:4001:rwx'"
check 'a file' is_acl "$L/d/sub/f" 'user::rw- user:4001:rwx group::r-x mask::rw- other::---'
check 'a pipe' is_acl "$L/d/sub/pipe" 'user::rw- user:4001:rwx group::r-x mask::rw- other::---'
check 'its user makes files' as 4001 sh -c "echo x >'$L/d/sub/mine'"
denied lookup Landing/d/sub/other 4005 sh -c "echo x >'$L/d/sub/other'"
check 'remove it' setfacl -k "$L/d"
check 'twice is no error' setfacl -k "$L/d"
check 'what is made then has none' sh -c "umask 022 && mkdir '$L/d/plain' && [ \$(stat -c %a '$L/d/plain') = 755 ]"
refused 'Permission denied' setfattr -n system.posix_acl_default -v 0x0200000001000600ffffffff04000400ffffffff20000400ffffffff "$L/f"

# Set-gid goes when somebody outside the group sets one.
echo x >"$L/setgid"
chown 4001:4100 "$L/setgid"
chmod 2775 "$L/setgid"
check 'set by one outside the group' as 4001 setfacl -m u:4005:r "$L/setgid"
check 'set-gid is gone' test "$(stat -c %a "$L/setgid")" = 775

# What the kernel remembers of a directory is forgotten when an ACL closes it to somebody.
mkdir -m 755 "$L/open"
echo x >"$L/open/f"
check 'seen while it may be' as 4005 stat "$L/open/f" >/dev/null
check 'closed to one' setfacl -m u:4005:--- "$L/open"
for _ in $(seq 50); do as 4005 stat "$L/open/f" >/dev/null 2>&1 || break; sleep 0.1; done
denied lookup Landing/open/f 4005 stat "$L/open/f"
check 'others go on' as 4001 stat "$L/open/f" >/dev/null
denied lookup Landing/open/f 4005 stat "$L/open/f"

# Versions: today's ACL speaks for them, as far as their mode allows; when it is gone they are their owner's.
echo secret >"$L/secret"
chmod 640 "$L/secret"
chown 4010:4100 "$L/secret"
check 'the group is shut out' setfacl -m u:4001:rw-,g::---,m::rw- "$L/secret"
echo newer >>"$L/secret"
S=.assayfs/versions/Landing/secret
check 'a named user reads a version' as 4001 cat "$M/$S/2" >/dev/null
denied opendir $S member ls "$M/$S"
refused 'ermi' as member cat "$M/$S/2"
refused 'ermi' as member cat "$M/.assayfs/at/2200-01-01/Landing/secret"
check 'as it was' as 4001 cat "$M/.assayfs/at/2200-01-01/Landing/secret" >/dev/null
setfacl -b "$L/secret"
chmod 640 "$L/secret"
check 'the group reads the file now' as member cat "$L/secret" >/dev/null
refused 'ermi' as member cat "$M/$S/2"
check 'its owner reads the version' as 4010 cat "$M/$S/2" >/dev/null

# The zones: their directories may be closed to some; below there are none.
check 'a zone' setfacl -m u:4005:--- "$M/Raw"
denied opendir Raw 4005 ls "$M/Raw"
check 'and opened' setfacl -b "$M/Raw"
refused 'Operation not permitted' setfacl -d -m u:4005:r "$M/Trusted"
recorded '.event == "setxattr" and .path == "Trusted" and .outcome == "denied"'

check 'an ACL that is a mode is a chmod' setfacl -m u::rwx,g::r-x,o::--- "$M/Raw"
check 'of the zone' test "$(stat -c %a "$M/Raw")" = 750
check 'and back' chmod 755 "$M/Raw"

remount -o allow_other || exit 1
check 'kept' is_acl "$L/f" 'user::rw- user:4001:rw- user:4003:--- group::r-- group:4100:rw- mask::rw- other::r--'
refused 'ermi' as 4003 cat "$L/f"
done_testing
