#!/usr/bin/env python3
"""What is recorded, operation by operation: docs/audit-log.md has the table, and each of its rows is done for real.

usage: recorded.py ASSAYFS SOURCE

An operation is granted, and refused by mode bits, by an ACL and by roles, to users of their own, each time by a process
of its own: the records that bear its pid are held against the row (events, outcome, errno, uid, gid, exe, path, path2,
bytes, and which other fields there are), one for one. A row without a case here fails, and so does a case without a row.
Root only.
"""
import ctypes
import errno
import fcntl
import json
import mmap
import os
import shutil
import socket
import subprocess
import sys
import time

from promise import ASSAYFS, Vault, skip
from recorded_doings import ACL, CUSTOM, GOOD, WORKFLOWS, acl, act_as, commands, daemon
from recorded_table import ALWAYS, named_events, read_tables

USER, ANALYST, NOBODY, GROUP = 64001, 64002, 64003, 64001
EXE = os.path.basename(os.path.realpath(sys.executable))
LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, RENAME_EXCHANGE, PUNCH_HOLE = -100, 2, 3
POLICY = """version: 1
datasets:
  - {name: data, match: "*.csv", rules: data.dqdl, settle: 100ms}
  - {name: parts, match: "parts/*.csv", rules: parts.dqdl, settle: 100ms, on_failure: split}
""" + WORKFLOWS
ROLES = f'roles: {{steward: {{users: [root]}}, ingester: {{users: ["{USER}"]}}, analyst: {{users: ["{ANALYST}"]}}}}\n'
SPLIT_RULES = 'Rules = [ ColumnValues "name" != EMPTY ]\n'
RULES = "Rules = [ RowCount > 2 ]\n"


def call(function, *arguments):
    ctypes.set_errno(0)
    if function(*arguments) < 0:
        raise OSError(ctypes.get_errno(), "refused")


# ---- what users do: each function gets the target's path, and in `f` the descriptor that root opened of it ----

def read_it(path, f):
    with open(path, "rb", buffering=0) as file:
        file.read(5)


def write_it(path, f):
    with open(path, "r+b", buffering=0) as file:
        file.write(b"changed")


def opens(flags):
    return lambda path, f: os.close(os.open(path, flags))


def empties(path, f):
    """And waits: the kernel sends a time of its own when it is closed, which is nobody's access."""
    opened = os.open(path, os.O_RDONLY | os.O_TRUNC)
    time.sleep(0.02)
    os.close(opened)


def executes(path, f):
    """In a child of its own, which shares nothing but the mount: what counts is its open."""
    os.execv(path, [path])


def copies(path, f):
    os.lseek(f, 0, os.SEEK_SET)
    os.copy_file_range(f, f, 3, 0, 8192)


def maps(path, f):
    with mmap.mmap(f, 0) as area:
        area[0:3] = b"map"


def locks(path, f):
    fcntl.flock(f, fcntl.LOCK_EX)
    fcntl.lockf(f, fcntl.LOCK_EX)
    fcntl.lockf(f, fcntl.LOCK_UN)


def listens(path, f):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)


def accesses(mode):
    def action(path, f):
        if not os.access(path, mode):
            raise PermissionError(errno.EACCES, "access")
    return action


def exchanges(path, f):
    call(LIBC.renameat2, AT_FDCWD, path.encode(), AT_FDCWD, (os.path.dirname(path) + "/second").encode(), RENAME_EXCHANGE)


def renames(path, f):
    os.rename(path, os.path.dirname(path) + "/second")


def links(path, f):
    os.link(path, os.path.dirname(path) + "/second")


def by_handle(path, f):
    handle = (ctypes.c_char * 136)()
    ctypes.cast(handle, ctypes.POINTER(ctypes.c_uint))[0] = 128
    mount = ctypes.c_int()
    call(LIBC.name_to_handle_at, AT_FDCWD, path.encode(), handle, ctypes.byref(mount), 0)
    call(LIBC.open_by_handle_at, f, handle, os.O_RDONLY)


class Case:
    """`kind`: what the target is: file, dir, name (a file in a directory that counts), namedir, new, fifo, socket,
    link. `also`: events that what is done leaves besides. `second`: path2 is this name beside it."""

    def __init__(self, act, kind="file", also=(), code=errno.EACCES, second=None, size=None, uid=USER, refusals=True):
        self.act, self.kind, self.also, self.code, self.second = act, kind, also, code, second
        self.size, self.uid, self.refusals = size, uid, refusals


CASES = {
    "open for reading": Case(opens(os.O_RDONLY), also=["close"]),
    "open for writing": Case(opens(os.O_WRONLY), also=["close"]),
    "open with O_TRUNC": Case(opens(os.O_RDWR | os.O_TRUNC), also=["close"]),
    "open with O_RDONLY|O_TRUNC": Case(empties, also=["close"]),
    "open_by_handle_at": Case(by_handle, also=["close"], uid=0, refusals=False),
    "creat": Case(opens(os.O_WRONLY | os.O_CREAT), "new", also=["close"]),
    "open with O_TMPFILE": Case(opens(os.O_WRONLY | os.O_TMPFILE), "dir", also=["close"]),
    "execve": Case(executes, also=["close"]),
    "read": Case(lambda p, f: os.pread(f, 5, 0), refusals=False),
    "write": Case(lambda p, f: os.pwrite(f, b"x", 0), refusals=False),
    "mmap": Case(maps, refusals=False),
    "close of what was read": Case(read_it, also=["open"], size=8192, refusals=False),
    "close of what was written": Case(write_it, also=["open"], size=4096, refusals=False),
    "close of a duplicate": Case(lambda p, f: os.close(os.dup(f)), refusals=False),
    "fsync": Case(lambda p, f: os.fsync(f), refusals=False),
    "lseek": Case(lambda p, f: os.lseek(f, 0, os.SEEK_DATA), refusals=False),
    "flock, fcntl locks": Case(locks, refusals=False),
    "fallocate": Case(lambda p, f: os.posix_fallocate(f, 0, 30000), refusals=False),
    "fallocate that punches a hole": Case(
        lambda p, f: call(LIBC.fallocate, f, PUNCH_HOLE, ctypes.c_long(0), ctypes.c_long(4096)), refusals=False),
    "copy_file_range": Case(copies, refusals=False),
    "truncate": Case(lambda p, f: os.truncate(p, 3)),
    "ftruncate": Case(lambda p, f: os.ftruncate(f, 3), refusals=False),
    "chmod": Case(lambda p, f: os.chmod(p, 0o640), code=errno.EPERM),
    "chown": Case(lambda p, f: os.chown(p, 5, 5), code=errno.EPERM, uid=0),
    "utimensat": Case(lambda p, f: os.utime(p, (1, 2)), code=errno.EPERM),
    "setxattr": Case(lambda p, f: os.setxattr(p, "user.x", b"abc"), size=3),
    "removexattr": Case(lambda p, f: os.removexattr(p, "user.there")),
    "getxattr": Case(lambda p, f: os.getxattr(p, "user.there")),
    "listxattr": Case(lambda p, f: os.listxattr(p), refusals=False),
    "setfacl": Case(lambda p, f: os.setxattr(p, ACL, acl(6, 4)), code=errno.EPERM),
    "setfacl -b": Case(lambda p, f: os.removexattr(p, ACL), code=errno.EPERM),
    "getfacl": Case(lambda p, f: os.getxattr(p, ACL), refusals=False),
    "opendir": Case(lambda p, f: os.close(os.open(p, os.O_RDONLY | os.O_DIRECTORY)), "dir"),
    "readdir": Case(lambda p, f: os.listdir(f), "dir", refusals=False),
    "chdir": Case(lambda p, f: os.chdir(p), "dir"),
    "stat": Case(lambda p, f: os.stat(p), "within"),
    "fstat": Case(lambda p, f: os.fstat(f), refusals=False),
    "statfs": Case(lambda p, f: os.statvfs(p), refusals=False),
    "access": Case(accesses(os.R_OK)),
    "readlink": Case(lambda p, f: os.readlink(p), "withinlink"),
    "mkdir": Case(lambda p, f: os.mkdir(p), "new"),
    "mknod": Case(lambda p, f: os.mkfifo(p), "new"),
    "symlink": Case(lambda p, f: os.symlink("target", p), "new"),
    "bind of a socket": Case(lambda p, f: socket.socket(socket.AF_UNIX).bind(p), "new"),
    "link": Case(links, "name", second="second"),
    "unlink": Case(lambda p, f: os.unlink(p), "name"),
    "rmdir": Case(lambda p, f: os.rmdir(p), "namedir"),
    "rename": Case(renames, "name", second="second"),
    "rename that exchanges": Case(exchanges, "pair", second="second"),
    "open of a pipe": Case(opens(os.O_RDONLY | os.O_NONBLOCK), "fifo"),
    "connect to a socket": Case(listens, "socket"),
    "mkdir of what is there": Case(lambda p, f: os.mkdir(p), "there", refusals=False, code=errno.EEXIST),
}
# The kernel asks twice for a name that it knew: when it looks whether that still holds, and then as for any name.
TWICE = {"lookup", "open"}
TRUSTED = {"new": "new", "name": "kept.csv", "namedir": "kept", "pair": "kept.csv"}  # what roles are tried on
WRITES_F = {"write", "flock, fcntl locks", "mmap", "fallocate", "fallocate that punches a hole", "copy_file_range", "ftruncate"}


class Scene:
    """A directory of its own for one try: `target`, what is closed to refuse it, `f`, and the path that is recorded."""

    def __init__(self, v, number, name, case, owner):
        self.top = v.landing(f"cases/{number}")
        os.mkdir(self.top)
        os.chmod(self.top, 0o777)
        inside = case.kind not in ("file", "dir", "fifo", "socket")
        self.closed = self.folder = os.path.join(self.top, "t")
        if inside or case.kind == "dir":
            os.mkdir(self.folder)
            os.chmod(self.folder, 0o777)
        self.target = self.folder if case.kind == "dir" else os.path.join(self.folder if inside else self.top, "f")
        self.server = None
        self.make(v, name, case, owner)
        if not inside:
            self.closed = self.target
        flags = os.O_RDWR if name in WRITES_F else os.O_RDONLY
        special = case.kind in ("new", "fifo", "socket", "namedir", "withinlink")
        self.f = os.open(self.folder if special and inside else self.top if special else self.target, flags)
        self.path = os.path.relpath(self.target, v.mnt)
        if case.kind == "file":
            os.posix_fadvise(self.f, 0, 0, os.POSIX_FADV_DONTNEED)  # what is read of the cache is not counted

    def make(self, v, name, case, owner):
        target = self.target
        if case.kind in ("namedir",):
            os.mkdir(target)
        elif case.kind == "withinlink":
            os.symlink("target", target)
        elif case.kind == "fifo":
            os.mkfifo(target)
        elif case.kind == "socket":
            self.server = socket.socket(socket.AF_UNIX)
            self.server.bind(target)
            self.server.listen()
        elif case.kind not in ("new", "dir"):
            if name == "execve":
                shutil.copyfile("/bin/true", target)
            else:
                with open(target, "wb") as file:
                    file.write(b"x" * 8192)
            if case.kind == "pair":
                shutil.copyfile(target, os.path.join(self.folder, "second"))
            os.setxattr(target, "user.there", b"1")
        if case.kind not in ("new", "withinlink"):
            os.chmod(target, 0o777)
            if name in ("setfacl -b", "getfacl"):
                os.setxattr(target, ACL, acl(7, 7))
            os.chown(target, owner, owner)

    def close(self, how, case):
        """Takes from USER what the case asks for."""
        lacks = 5 if case.kind in ("new", "name", "namedir", "pair") else 0
        if how == "mode":
            os.chmod(self.closed, 0o700 | lacks << 3 | lacks)
            if case.code == errno.EPERM:
                os.chmod(self.closed, 0o777)  # it is the owner's, whatever the mode says
        else:
            os.setxattr(self.closed, ACL, acl(7, 7 if case.code == errno.EPERM else lacks))
        if case.kind in ("within", "withinlink"):
            time.sleep(0.3)  # the kernel answers by itself until it was told to forget the name (threat-model.md)

    def end(self):
        os.close(self.f)
        if self.server:
            self.server.close()


class Recorded:
    def __init__(self, v, rows):
        self.v, self.rows, self.expected, self.number, self.exe = v, rows, [], 0, EXE

    def expect(self, row, how, pid, records, fields=True, besides=()):
        """`records`: what must be there of that pid, each a dict of fields that must be so; `besides`: events of others
        that may."""
        self.expected.append((row, how, pid, records, fields, besides))

    def try_granted(self, name, case):
        self.number += 1
        scene = Scene(self.v, self.number, name, case, case.uid)
        pid, code = act_as(case.uid, lambda: case.act(scene.target, scene.f))
        wanted = case.code if case.kind == "there" else 0
        self.v.check(code == wanted, f"{name}: granted, but {errno.errorcode.get(code, code)}")
        self.expect(name, "granted", pid, self.granted(name, case, scene, pid))
        scene.end()

    def granted(self, name, case, scene, pid):
        about = {"outcome": "ok", "uid": case.uid, "gid": case.uid, "pid": pid, "exe": EXE, "path": scene.path}
        records = []
        for event in self.rows[name]["granted"]:
            record = {**about, "event": event}
            if case.second:
                record["path2"] = os.path.join(os.path.dirname(scene.path), case.second)
            if case.size is not None:
                record["bytes"] = case.size
            records.append(record)
        if name == "open with O_TMPFILE":
            case_also = [{"event": "close", "outcome": "ok", "pid": pid}]
        else:
            case_also = [{**about, "event": event} for event in case.also]
        return records + case_also

    def denial(self, name, uid, pid, path, code, path2=None):
        record = {"outcome": "denied", "errno": code, "uid": uid, "gid": uid, "pid": pid, "exe": EXE}
        record |= {"path": path} if path else {}
        record |= {"path2": path2} if path2 else {}
        return [{**record, "event": event} for event in self.rows[name]["refused"]]

    def try_closed(self, name, case, how):
        self.number += 1
        scene = Scene(self.v, self.number, name, case, 0)
        scene.close(how, case)
        pid, code = act_as(USER, lambda: case.act(scene.target, scene.f))
        self.v.check(code == case.code, f"{name}: refused by {how}, but {errno.errorcode.get(code, code)}")
        second = case.second and os.path.join(os.path.dirname(scene.path), case.second)
        wanted = self.denial(name, USER, pid, scene.path, case.code, second)
        self.expect(name, f"refused by {how}", pid, [] if self.rows[name]["only_role"] else wanted, False)
        scene.end()

    def try_role(self, name, case):
        """Mode bits would let them: names are tried in Trusted by who may only read there, the rest by who has no role."""
        if case.kind in TRUSTED:
            uid, target, f = ANALYST, os.path.join(self.v.mnt, "Trusted", TRUSTED[case.kind]), -1
            path = os.path.relpath(target, self.v.mnt)
            second = case.second and "Trusted/" + case.second
            pid, code = act_as(uid, lambda: case.act(target, f))
            wanted = self.denial(name, uid, pid, path, errno.EACCES, second)
        else:
            uid = NOBODY
            self.number += 1
            scene = Scene(self.v, self.number, name, case, uid)
            looked_up = case.kind not in ("file", "dir")
            f = os.open(scene.target, os.O_PATH | (os.O_NOFOLLOW if case.kind == "withinlink" else 0))
            os.set_inheritable(f, True)
            target = scene.target if looked_up else f"/proc/self/fd/{f}"
            pid, code = act_as(uid, lambda: case.act(target, f))
            wanted = self.denial(name, uid, pid, "Landing/cases" if looked_up else scene.path, errno.EACCES)
            wanted = [{**record, "event": "lookup"} if looked_up else record for record in wanted]
            os.close(f)
            scene.end()
        self.v.check(code == errno.EACCES, f"{name}: refused by role, but {errno.errorcode.get(code, code)}")
        self.expect(name, "refused by role", pid, wanted, False)

    def compare(self):
        found = {}
        for record in self.v.records():
            found.setdefault(record.get("pid"), []).append(record)
        pids = [expected[2] for expected in self.expected]
        self.v.check(len(set(pids)) == len(pids), "two processes had the same pid")
        for row, how, pid, wanted, has_fields, besides in self.expected:
            records = [record for record in found.get(pid, []) if record["event"] not in besides]
            self.compare_one(f"{row}, {how}", wanted, records, self.rows[row] if has_fields else None)

    def compare_one(self, what, wanted, records, row):
        """Each of `wanted` once, in order; what the kernel asks twice may come twice; nothing else."""
        left, fields = list(records), row["fields"][:len(row["granted"])] if row else []
        for number, want in enumerate(wanted):
            same = [record for record in left if all(record.get(key) == value for key, value in want.items())]
            if not self.v.check(same, f"{what}: no record {want}; there are {records}"):
                continue
            twice = len(same) > 1 and want["outcome"] == "denied" and want["event"] in TWICE
            for record in same[:1 + twice]:
                left.remove(record)
            has = set(same[0])
            self.v.check(ALWAYS <= has, f"{what}: a record lacks a field: {same[0]}")
            if number < len(fields):
                due = fields[number]
                self.v.check(has - ALWAYS == due, f"{what}: it has {sorted(has - ALWAYS)}, the table says {sorted(due)}")
        self.v.check(not left, f"{what}: records that the table does not promise: {left}")


def operations(test):
    for name, case in CASES.items():
        test.try_granted(name, case)
        for how in ("mode", "acl") if case.refusals else ():
            test.try_closed(name, case, how)


def wait_for(v, path):
    deadline = time.monotonic() + 60
    while not os.path.exists(os.path.join(v.mnt, path)) and time.monotonic() < deadline:
        time.sleep(0.05)
    v.check(os.path.exists(os.path.join(v.mnt, path)), f"{path} did not come")


def roles(test):
    v = test.v
    v.policy(POLICY + ROLES, **{"data.dqdl": RULES, "parts.dqdl": SPLIT_RULES})
    os.chmod(os.path.join(v.mnt, "Trusted"), 0o777)
    with open(v.landing("kept.csv"), "wb") as file:
        file.write(GOOD)
    os.mkdir(os.path.join(v.mnt, "Trusted/kept"))
    wait_for(v, "Trusted/kept.csv")
    for name, case in CASES.items():
        if case.kind == "pair":
            os.mkdir(os.path.join(v.mnt, "Trusted/second"))
        if case.refusals:
            test.try_role(name, case)


def main():
    if os.getuid() != 0:
        skip("needs root, to be several users")
    page = os.path.join(os.path.abspath(sys.argv[2]), "docs/audit-log.md")
    rows = read_tables(page)
    with Vault() as v:
        v.mount("-o", "allow_other", "--http", "127.0.0.1:0")
        os.mkdir(v.landing("cases"))
        os.chmod(v.landing("cases"), 0o777)
        os.chmod(v.landing(), 0o777)
        test = Recorded(v, rows)
        known = set(CASES) | set(CUSTOM)
        for name in sorted(known ^ set(rows)):
            v.fault(f"{name}: {'no row in docs/audit-log.md' if name in known else 'a row without a case'}")
        for event in sorted(set(json.loads(v.run("help", "--json").stdout)["events"]) - named_events(page)):
            v.fault(f"{event}: an event that no row of docs/audit-log.md names")
        operations(test)
        roles(test)
        commands(test)
        test.compare()
        daemon(test)
        return v.end()


sys.exit(main())
