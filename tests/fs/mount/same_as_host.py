#!/usr/bin/env python3
"""The same system calls, made by several users on the mount and on a file system of the kernel's own, have the same
outcome: permissions, modes and access control lists, in an order that a seed gives. (promise, 120 s; root only)

usage: same_as_host.py ASSAYFS SOURCE
ASSAYFS_SEED, ASSAYFS_CALLS (default 3000). The other file system is that of ASSAYFS_HOST_DIR or the temporary files'.

One difference is meant and left out: where the mask of an ACL is empty Linux does not look at it. So the group's bits
and masks always have read here; tests/fs/mount/acl.sh shows what happens else. Of a call that fails for several reasons
another may be told: the kernel sees what is wrong with names before it asks the daemon for permission. Only directories
have set-gid: that of a file whose group may not execute it stays here when one outside the group writes (fs/access.h).

Left out, as the kernel has rules of its own for them that go by mode bits it only believes on its own file systems: hard
links to others' files (protected_hardlinks), O_CREAT of what is there in a sticky directory (protected_fifos, _regular).

The vault names roles, which all users here hold: so the kernel keeps no names, and a directory that was closed is closed
at once. (Else it is a moment later; tests/fs/mount/permissions.sh and acl.sh.)
"""
import errno
import multiprocessing
import os
import shutil
import stat
import struct
import sys
import tempfile

from promise import JOBS_POLICY, Vault, count, seed, skip

ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
NO_ID = 0xFFFFFFFF
# uid, gid, supplementary groups
USERS = [(0, 0, []), (64001, 64001, []), (64002, 64002, [64010]), (64003, 64010, [64011]), (64004, 64004, [64010, 64011])]
UIDS = [user[0] for user in USERS]
GIDS = [0, 64001, 64002, 64010, 64011]
KEYS = ["user.a", "user.b", "trusted.a", "security.a", "user.", "trusted.", "security.", "other.a", "user", "system.a"]
# d…: directories, f…: files, p…: pipes and sockets, l…: symbolic links. What is no directory is nobody's parent: else
# all would end at ENOTDIR soon.
PARENTS = ("", "d1/", "d2/", "d1/d3/")
NAMES = [a + b for a in PARENTS for b in ("d1", "d2", "d3", "f1", "f2", "p1", "p2", "l1")]


def pack(entries, version=2):
    return struct.pack("<I", version) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def random_acl(rng):
    named = lambda tag, ids: sorted({(tag, i): (tag, rng.randrange(8), i) for i in rng.sample(ids, rng.randrange(3))}.values(),
                                    key=lambda entry: entry[2])
    users, groups = named(2, UIDS), named(8, GIDS)
    entries = [(1, rng.randrange(8), NO_ID), *users, (4, rng.randrange(8), NO_ID), *groups]
    if users or groups or rng.random() < 0.2:
        entries.append((16, rng.randrange(8) | 4, NO_ID))
    else:
        entries[-1] = (4, rng.randrange(8) | 4, NO_ID)
    entries.append((32, rng.randrange(8), NO_ID))
    if rng.random() < 0.05:
        entries.pop(rng.randrange(len(entries)))
    return pack(entries, 2 if rng.random() > 0.02 else 3)


def random_mode(rng):
    return rng.randrange(0o1000) | 0o040 | rng.choice([0, 0, 0, 0o2000, 0o4000, 0o1000])


# ---- the calls: each of (path of the tree, name, arguments), giving what is compared ----

def do_open(root, name, flags, mode):
    os.close(os.open(root + name, flags, mode))


def do_stat(root, name):
    about = os.lstat(root + name)
    return about.st_mode, about.st_uid, about.st_gid, about.st_nlink if not stat.S_ISDIR(about.st_mode) else 0


def do_xattrs(root, name):
    listed = sorted(os.listxattr(root + name, follow_symlinks=False))
    return [(n, os.getxattr(root + name, n, follow_symlinks=False)) for n in listed if n != "security.selinux"]


CALLS = {
    "setacl": lambda root, name, which, value: os.setxattr(root + name, which, value),
    "noacl": lambda root, name, which: os.removexattr(root + name, which),
    "chmod": lambda root, name, mode: os.chmod(root + name, mode),
    "chown": lambda root, name, uid, gid: os.lchown(root + name, uid, gid),
    "mkdir": lambda root, name, mode: os.mkdir(root + name, mode),
    "mknod": lambda root, name, mode: os.mknod(root + name, mode),
    "symlink": lambda root, name, target: os.symlink(target, root + name),
    "open": do_open,
    "access": lambda root, name, mask: os.access(root + name, mask),
    "list": lambda root, name: sorted(os.listdir(root + name)),
    "stat": do_stat,
    "xattrs": do_xattrs,
    "set": lambda root, name, key, value, flags: os.setxattr(root + name, key, value, flags),
    "unset": lambda root, name, key: os.removexattr(root + name, key),
    "unlink": lambda root, name: os.unlink(root + name),
    "rmdir": lambda root, name: os.rmdir(root + name),
    "rename": lambda root, name, other: os.rename(root + name, root + other),
    "touch": lambda root, name: os.utime(root + name),
}


def like(rng, *kinds):
    return rng.choice([n for n in NAMES if n.rpartition("/")[2][0] in kinds])


def random_name(rng, call, arguments):
    """Of the kind that the call makes; any one for those that make nothing."""
    if call == "mkdir":
        return like(rng, "d")
    if call == "symlink":
        return like(rng, "l")
    if call == "mknod":
        return like(rng, "f" if stat.S_ISREG(arguments[0]) else "p")
    if call == "open" and arguments[0] & os.O_CREAT:
        return like(rng, "f", "p")
    return rng.choice(NAMES)


def random_call(rng):
    call = rng.choices(list(CALLS), [14, 4, 8, 3, 8, 4, 2, 12, 8, 4, 2, 2, 3, 2, 2, 1, 3, 2])[0]
    arguments = {
        "setacl": lambda: (rng.choice([ACCESS, ACCESS, DEFAULT]), random_acl(rng)),
        "noacl": lambda: (DEFAULT,),
        "chmod": lambda: (random_mode(rng),),
        "chown": lambda: (rng.choice(UIDS), rng.choice(GIDS)),
        "mkdir": lambda: (random_mode(rng),),
        "mknod": lambda: (rng.choice([stat.S_IFREG, stat.S_IFIFO, stat.S_IFSOCK]) | random_mode(rng),),
        "symlink": lambda: (rng.choice(NAMES),),
        "open": lambda: (os.O_NONBLOCK | rng.choice([os.O_RDONLY, os.O_WRONLY, os.O_RDWR]) |
                         rng.choice([0, os.O_CREAT | os.O_EXCL, os.O_CREAT | os.O_EXCL, os.O_TRUNC]), random_mode(rng)),
        "access": lambda: (rng.randrange(8),),
        "set": lambda: (rng.choice(KEYS), b"x" * rng.randrange(40),
                        rng.choice([0, os.XATTR_CREATE, os.XATTR_REPLACE])),
        "unset": lambda: (rng.choice(KEYS),),
    }.get(call, tuple)()
    name = random_name(rng, call, arguments)
    if call in ("chmod", "open", "mknod") and name.rpartition("/")[2][0] != "d":
        arguments = (*arguments[:-1], arguments[-1] & ~0o2000)
    if call == "rename":
        arguments = (like(rng, name.rpartition("/")[2][0]),)
    return call, name, arguments, rng.choice([0, 0o022, 0o027, 0o002])


# ---- who makes them ----

def make(root, call, name, arguments, umask):
    os.umask(umask)
    try:
        return 0, CALLS[call](root, name, *arguments)
    except OSError as error:
        return error.errno, None


def serve(pipe, uid, gid, groups):
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    while (asked := pipe.recv()) is not None:
        pipe.send(make(*asked))


class User:
    """A process that makes calls as one user, on one tree and then on the other."""

    def __init__(self, uid, gid, groups):
        self.uid = uid
        self.pipe, other = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=serve, args=(other, uid, gid, groups), daemon=True)
        self.process.start()

    def make(self, *asked):
        self.pipe.send(asked)
        return self.pipe.recv()

    def end(self):
        self.pipe.send(None)
        self.process.join()


def words(outcome):
    return f"{errno.errorcode.get(outcome[0], outcome[0])} {outcome[1]}"


def is_same(call, host, mount):
    if call == "rename" and host[0] and mount[0]:
        return True
    by_name = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST)
    return host == mount or (host[0] in (errno.EACCES, errno.EPERM) and mount[0] in by_name)


def compare(v, users, trees, asked, number):
    """One call by one user on both trees, and how the names that it was about stand then."""
    user, (call, name, arguments, umask) = asked
    outcomes = [user.make(tree, call, name, arguments, umask) for tree in trees]
    same = v.check(is_same(call, *outcomes), f"call {number}: uid {user.uid} {call} {name} {arguments} umask {umask:o}: "
                            f"host {words(outcomes[0])}, mount {words(outcomes[1])}")
    for about in [name] + [a for a in arguments if a in NAMES]:
        for look in ("stat", "xattrs"):
            stands = [users[0].make(tree, look, about, (), 0) for tree in trees]
            same &= v.check(stands[0] == stands[1], f"after call {number} (uid {user.uid} {call} {name} {arguments}): "
                            f"{about}: host {words(stands[0])}, mount {words(stands[1])}")
    return same, outcomes[0][0]


def keeps_acls(directory):
    try:
        os.setxattr(directory, ACCESS, pack([(1, 7, NO_ID), (2, 7, 1), (4, 5, NO_ID), (16, 7, NO_ID), (32, 5, NO_ID)]))
        os.removexattr(directory, ACCESS)
        return True
    except OSError:
        return False


def run(v, host):
    rng = seed("same_as_host")
    v.mount("-o", "allow_other")
    everybody = ", ".join(f'"{uid}"' for uid in UIDS if uid)
    v.policy(f'{JOBS_POLICY}roles: {{steward: {{users: [root]}}, ingester: {{users: [{everybody}]}}}}\n',
             **{"jobs.dqdl": "Rules = [ RowCount > 0 ]\n"})
    trees = [os.path.join(host, "tree", ""), v.landing("tree/")]
    for tree in trees:
        os.mkdir(tree)
        os.chmod(tree, 0o777)
    users, outcomes = [User(*user) for user in USERS], {}
    for number in range(count("ASSAYFS_CALLS", 3000)):
        same, error = compare(v, users, trees, (rng.choice(users), random_call(rng)), number)
        outcomes[error] = outcomes.get(error, 0) + 1
        if not same:
            break
    for user in users:
        user.end()
    print("outcomes:", {errno.errorcode.get(e, "ok"): n for e, n in sorted(outcomes.items())})
    v.check(outcomes.get(0, 0) > 100 and outcomes.get(errno.EACCES, 0) > 20, "too little was tried to tell anything")


def main():
    if os.getuid() != 0:
        skip("needs root, to become several users")
    host = tempfile.mkdtemp(prefix="assayfs-host-", dir=os.environ.get("ASSAYFS_HOST_DIR"))
    try:
        os.chmod(host, 0o755)
        if not keeps_acls(host):
            skip(f"{host} keeps no access control lists; ASSAYFS_HOST_DIR names a directory that does")
        with Vault() as v:
            run(v, host)
            return v.end()
    finally:
        shutil.rmtree(host, ignore_errors=True)


sys.exit(main())
