#!/usr/bin/env python3
"""Who may not list a directory, or whose roles don't reach a file, learns its names by no other way: not by watching, by a
descriptor of the path alone, nor by a file handle. And what may only be read is not changed. Each refusal has its record.

usage: unseen.py ASSAYFS SOURCE       root only
"""
import ctypes
import errno
import os
import struct
import sys
import time

from promise import Vault, skip
from recorded_doings import ACL, acl, act_as

STEWARD, NOBODY, GRANTEE = 64001, 64003, 64005
SOON_S = 2.0  # the kernel is told of a closed directory by a thread
# root has the passphrase, reads the log, and no zone.
ROLES = """version: 1
roles:
  steward: {users: ["64001"]}
  auditor: {users: [root]}
grants:
  - {users: ["64005"], path: "Landing/feed/**", access: read, until: 2199-12-31, reason: "test"}
"""
LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, HANDLE_INO64 = -100, 0x81
FAN_REPORT_FID, FAN_MARK_ADD, FAN_OPEN = 0x200, 1, 0x20
UTIME_OMIT = (1 << 30) - 2


def call(function, *arguments):
    result = function(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result


def watch(path):
    call(LIBC.inotify_add_watch, call(LIBC.inotify_init), path.encode(), 0xfff)


def mark(path):
    call(LIBC.fanotify_mark, call(LIBC.fanotify_init, FAN_REPORT_FID, 0), FAN_MARK_ADD, ctypes.c_uint64(FAN_OPEN), AT_FDCWD,
         path.encode())


def take_path(path):
    os.close(os.open(path, os.O_PATH))


def watch_from_within(path):
    os.chdir(path)
    watch(".")


def by_number(mnt, number):
    """A descriptor of the path alone, by what a file handle of that inode holds."""
    fid = struct.pack("<II", number >> 32, number & 0xffffffff) + struct.pack("<I", 0)
    handle = ctypes.create_string_buffer(struct.pack("<Ii", len(fid), HANDLE_INO64) + fid)
    here = os.open(mnt, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return call(LIBC.open_by_handle_at, here, handle, os.O_PATH)
    finally:
        os.close(here)


class Unseen:
    def __init__(self, v):
        self.v = v

    def gets(self, uid, action, code):
        pid, got = act_as(uid, action)
        self.v.check(got == code, f"{uid}, {action.__name__}: {errno.errorcode.get(got, got)}, not "
                                  f"{errno.errorcode.get(code, code)}")
        return pid

    def refuses(self, uid, what, path, event="lookup", code=errno.EACCES, detail=None):
        """What that user does with mnt/PATH: refused, with one record or (asked twice by the kernel) two."""
        def action():
            what(os.path.join(self.v.mnt, path))
        action.__name__ = f"{what.__name__} of {path}"
        pid = self.gets(uid, action, code)
        records = [r for r in self.v.records("--outcome", "denied") if r["pid"] == pid]
        self.v.check(records and all(r["event"] == event and r.get("path") == path for r in records),
                     f"{uid}, {action.__name__}: records {[(r['event'], r.get('path')) for r in records]}")
        self.v.check(not detail or all(r.get("detail") == detail for r in records), f"{action.__name__}: {records}")

    def allows(self, uid, what, path):
        def action():
            what(os.path.join(self.v.mnt, path))
        action.__name__ = f"{what.__name__} of {path}"
        self.gets(uid, action, 0)


def by_mode_bits(u):
    """No roles are named."""
    v = u.v
    for name, mode in (("open", 0o755), ("searched", 0o711), ("closed", 0o700), ("turned", 0o755), ("listed", 0o755)):
        os.mkdir(v.landing(name))
        os.chmod(v.landing(name), mode)
    for name in "open", "turned", "listed":
        u.allows(NOBODY, watch, "Landing/" + name)
    u.refuses(NOBODY, watch, "Landing/searched", detail="watch")
    u.refuses(NOBODY, watch, "Landing/closed", detail="watch")
    u.refuses(NOBODY, mark, "Landing/closed", detail="watch")
    u.allows(NOBODY, os.stat, "Landing/closed")
    u.allows(NOBODY, take_path, "Landing/closed")  # as everywhere
    os.chmod(v.landing("turned"), 0o711)
    os.setxattr(v.landing("listed"), ACL, acl(1, 1))
    deadline = time.monotonic() + SOON_S
    for name in "turned", "listed":
        path = v.landing(name)
        while act_as(NOBODY, lambda path=path: watch(path))[1] == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        u.refuses(NOBODY, watch, "Landing/" + name, detail="watch")


def by_roles(u):
    for uid in NOBODY, 0:
        for zone in "Landing", "Raw", "Trusted":
            u.refuses(uid, watch, zone, detail="watch")
        u.refuses(uid, take_path, "Landing", detail="path")
        u.allows(uid, os.stat, "Landing")
    u.refuses(NOBODY, mark, "Landing", detail="watch")
    u.refuses(GRANTEE, watch, "Landing", detail="watch")
    u.allows(GRANTEE, take_path, "Landing")
    u.allows(GRANTEE, watch_from_within, "Landing/feed")
    u.allows(STEWARD, watch, "Landing")
    u.allows(STEWARD, watch, "Landing/feed")


def by_handle(u, numbers):
    """Root may open any handle, but no role lets it in; what the kernel knows of the inode by others it is not asked for."""
    v = u.v
    for path, number in numbers.items():
        before = len(v.records("--outcome", "denied", "--path", path))
        try:
            os.close(by_number(v.mnt, number))
            v.fault(f"root has {path} by its number")
        except OSError as error:
            v.check(error.errno in (errno.ESTALE, errno.EACCES), f"{path} by its number: {error}")
        v.check(len(v.records("--outcome", "denied", "--path", path)) > before, f"{path} by its number: no record")
    for path in numbers:
        u.allows(STEWARD, os.lstat, path)
    for name in "path", "verdict", "version":
        def tells(path, name=name):
            held = by_number(v.mnt, numbers["Landing/secret"])
            os.getxattr(f"/proc/self/fd/{held}", "user.assayfs." + name)
        u.refuses(0, tells, "Landing/secret", event="getxattr")

    def follows(path):
        os.readlink("", dir_fd=by_number(v.mnt, numbers["Landing/link"]))
    u.refuses(0, follows, "Landing/link")
    u.allows(0, lambda path: os.getxattr(path, "user.assayfs.vault"), "Landing")


class Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("ns", ctypes.c_long)]


def only_mtime(ns):
    return (Timespec * 2)(Timespec(0, UTIME_OMIT), Timespec(ns // 10**9, ns % 10**9))


def set_mtime(path):
    call(LIBC.utimensat, AT_FDCWD, path.encode(), only_mtime(10**18), 0)


def times(u):
    """To set the mtime that a file has looks like what the kernel sends when only the ctime changed."""
    v = u.v
    path = v.landing("shown")
    with open(path, "wb") as file:
        file.write(b"x")
    os.chmod(path, 0o644)
    os.utime(path, ns=(10**18, 10**18))
    before = os.stat(path)
    u.refuses(NOBODY, set_mtime, "Landing/shown", event="utimes", code=errno.EPERM)
    v.check(os.stat(path).st_ctime_ns == before.st_ctime_ns, "who may only read set the ctime")
    os.chmod(path, 0o666)
    before = os.stat(path)

    def by_writer(path):
        call(LIBC.futimens, os.open(path, os.O_WRONLY), only_mtime(5 * 10**17))
    u.refuses(NOBODY, by_writer, "Landing/shown", event="utimes", code=errno.EPERM)
    v.check(os.stat(path).st_mtime_ns == before.st_mtime_ns, "who may only write set the mtime")

    def writes(path):
        with open(path, "r+b") as file:
            file.write(b"other")
            file.flush()
            time.sleep(2.5)  # longer ago than what counts as now
    u.allows(NOBODY, writes, "Landing/shown")
    v.check(os.stat(path).st_mtime_ns > before.st_mtime_ns, "what a write sets")
    os.chmod(path, 0o600)  # the kernel has a ctime to send, which another's sync may do
    os.link(path, path + "2")
    pid, code = act_as(NOBODY, os.sync)
    v.check(code == 0 and not [r for r in v.records("--outcome", "denied") if r["pid"] == pid], "sync by another was refused")


def the_root_itself(u):
    for what, event in ((lambda path: os.chmod(path, 0o700), "chmod"), (lambda path: os.chown(path, 1, 1), "chown"),
                        (lambda path: os.utime(path, (1, 1)), "utimes"),
                        (lambda path: os.setxattr(path, ACL, acl(7, 7)), "setxattr")):
        pid, code = act_as(0, lambda what=what: what(u.v.mnt))
        u.v.check(code == errno.EACCES, f"{event} of the mount's root: {errno.errorcode.get(code, code)}")
        records = [r for r in u.v.records("--outcome", "denied") if r["pid"] == pid]
        u.v.check([r["event"] for r in records] == [event], f"{event} of the mount's root: {records}")


def main():
    if os.getuid() != 0:
        skip("needs root, to be several users")
    with Vault() as v:
        u = Unseen(v)
        v.mount("-o", "allow_other")
        os.chmod(v.mnt, 0o755)
        os.chmod(v.landing(), 0o777)
        by_mode_bits(u)
        times(u)
        os.mkdir(v.landing("feed"))
        with open(v.landing("secret"), "wb") as file:
            file.write(b"secret")
        os.symlink("where", v.landing("link"))
        os.chmod(v.landing("feed"), 0o777)
        numbers = {path: os.lstat(os.path.join(v.mnt, path)).st_ino for path in ("Landing/secret", "Landing/link", "Landing/feed")}
        v.policy(ROLES, options=["--hand-over"])
        v.umount()
        v.mount("-o", "allow_other")
        by_handle(u, numbers)
        by_roles(u)
        the_root_itself(u)
        v.umount()
        v.fsck()
        return v.end()


if __name__ == "__main__":
    sys.exit(main())
