#!/usr/bin/env python3
"""Pipes and sockets, which the kernel opens without asking, are opened by who may, and denials leave a record.
(promise, 120 s; root only)

usage: special.py ASSAYFS SOURCE
"""
import errno
import os
import socket
import stat
import sys

from promise import Vault, skip

OWNER, MEMBER, OTHER, GROUP = 64001, 64002, 64003, 64010
READ, WRITE, BOTH = os.O_RDONLY, os.O_WRONLY, os.O_RDWR
NONE = 0xFFFFFFFF


def as_user(uid, action):
    """What the action answers in a process of that user: 0 or an errno."""
    pid = os.fork()
    if pid == 0:
        code = 255
        try:
            os.setgroups([GROUP] if uid == MEMBER else [])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            action()
            code = 0
        except OSError as error:
            code = error.errno
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def opens(path, flags):
    """Without waiting for the other end: ENXIO is a yes."""
    def action():
        try:
            os.close(os.open(path, flags | os.O_NONBLOCK))
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
    return action


def connects(path):
    def action():
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(path)
    return action


def sends(path):
    def action():
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.sendto(b"x", path)
    return action


def check_pipe(v, path):
    os.mkfifo(path)
    os.chown(path, OWNER, GROUP)
    rows = [  # mode, uid, flags, allowed
        (0o600, OWNER, READ, True), (0o600, OWNER, BOTH, True), (0o600, MEMBER, READ, False), (0o600, OTHER, WRITE, False),
        (0o400, OWNER, READ, True), (0o400, OWNER, WRITE, False), (0o400, OWNER, BOTH, False),
        (0o240, OWNER, READ, False), (0o240, OWNER, WRITE, True), (0o240, MEMBER, READ, True), (0o240, MEMBER, WRITE, False),
        (0o602, OTHER, WRITE, True), (0o602, OTHER, READ, False), (0o602, MEMBER, WRITE, False), (0o602, OTHER, os.O_PATH, False),
        (0o604, OTHER, READ, True), (0o604, OTHER, READ | os.O_TRUNC, False), (0o606, OTHER, BOTH, True),
        (0o606, OTHER, os.O_PATH, True), (0o000, 0, BOTH, True), (0o600, OTHER, READ | os.O_CREAT, False),
    ]
    for mode, uid, flags, allowed in rows:
        os.chmod(path, mode)
        code = as_user(uid, opens(path, flags))
        v.check(code == (0 if allowed else errno.EACCES), f"pipe of mode {mode:o}: uid {uid}, flags {flags:o}: {code}")
    os.chmod(path, 0o600)
    v.check(as_user(OTHER, opens(path, READ | os.O_CREAT | os.O_EXCL)) == errno.EEXIST, "O_EXCL of a pipe that is there")
    v.check(as_user(OTHER, opens(path, READ | os.O_DIRECTORY)) == errno.ENOTDIR, "O_DIRECTORY of a pipe")
    link = path + ".link"
    os.symlink(os.path.basename(path), link)
    v.check(as_user(OTHER, opens(link, READ)) == errno.EACCES, "a pipe by a symbolic link")


def check_harmless(v, path):
    """What needs nothing of the file itself goes on for those who may not open it."""
    os.chmod(path, 0)
    actions = {
        "stat": lambda: os.stat(path),
        "access": lambda: os.access(path, os.F_OK),
        "getxattr": lambda: os.listxattr(path),
        "link": lambda: os.link(path, path + "2"),
        "rename": lambda: os.rename(path + "2", path + "3"),
        "unlink": lambda: os.unlink(path + "3"),
    }
    for name, action in actions.items():
        code = as_user(OWNER, action)
        v.check(code == 0, f"{name} of a pipe that one may not open: {code}")
    v.check(as_user(OTHER, lambda: os.stat(path)) == 0, "stat by another user")
    v.check(as_user(OTHER, lambda: os.chmod(path, 0o666)) == errno.EPERM, "chmod by another user")
    v.check(as_user(OWNER, lambda: os.chmod(path, 0o400)) == 0, "chmod by the owner")
    v.check(as_user(OWNER, lambda: os.utime(path)) == 0, "utime by the owner")


def check_acl(v, path):
    """user:OTHER:r--, and nobody else but the owner."""
    os.chmod(path, 0o600)
    entries = [(1, 6, NONE), (2, 4, OTHER), (4, 0, NONE), (16, 4, NONE), (32, 0, NONE)]
    value = b"\2\0\0\0" + b"".join(t.to_bytes(2, "little") + p.to_bytes(2, "little") + i.to_bytes(4, "little") for t, p, i in entries)
    os.setxattr(path, "system.posix_acl_access", value)
    v.check(as_user(OTHER, opens(path, READ)) == 0, "an ACL lets a user read a pipe")
    v.check(as_user(OTHER, opens(path, WRITE)) == errno.EACCES, "and not write it")
    v.check(as_user(MEMBER, opens(path, READ)) == errno.EACCES, "and others not read it")


def check_socket(v, path):
    for kind, action in (socket.SOCK_STREAM, connects), (socket.SOCK_DGRAM, sends):
        with socket.socket(socket.AF_UNIX, kind) as server:
            server.bind(path)
            if kind == socket.SOCK_STREAM:
                server.listen(16)
            os.chown(path, OWNER, GROUP)
            for mode, uid, allowed in ((0o600, OWNER, True), (0o600, OTHER, False), (0o644, OTHER, False), (0o602, OTHER, True),
                                       (0o620, MEMBER, True), (0o640, MEMBER, False), (0o400, OWNER, False), (0, 0, True)):
                os.chmod(path, mode)
                code = as_user(uid, action(path))
                v.check(code == (0 if allowed else errno.EACCES), f"socket of mode {mode:o}: uid {uid}, type {kind}: {code}")
            v.check(as_user(OTHER, lambda: socket.socket(socket.AF_UNIX).bind(path)) == errno.EADDRINUSE, "bind to its name")
        os.unlink(path)


def check_records(v):
    denied = [r for r in v.records("--event", "open") if r["outcome"] == "denied"]
    for name, detail, uid in (("pipe", "read", OTHER), ("pipe", "write", OWNER), ("pipe", "path", OTHER), ("socket", "connect", OTHER)):
        v.check(any(r.get("path") == f"Landing/dir/{name}" and r.get("detail") == detail and r["uid"] == uid for r in denied),
                f"no record of uid {uid} who was denied {name}, {detail}")


def main():
    if os.getuid() != 0:
        skip("needs root, to become several users")
    with Vault() as v:
        v.mount("-o", "allow_other")
        directory = v.landing("dir")
        os.mkdir(directory)
        os.chmod(directory, 0o777)
        pipe = os.path.join(directory, "pipe")
        check_pipe(v, pipe)
        v.check(stat.S_ISFIFO(os.lstat(pipe).st_mode), "a pipe is one")
        check_harmless(v, pipe)
        check_acl(v, pipe)
        check_socket(v, os.path.join(directory, "socket"))
        check_records(v)
        v.umount()
        return v.end()


sys.exit(main())
