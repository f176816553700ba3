#!/usr/bin/env python3
"""The kernel caches only what everybody may see: what one user had looked up, listed or read is not shown to another who
may not, and each refusal has its record.

usage: caches.py ASSAYFS SOURCE       root only
"""
import errno
import os
import sys
import time

from promise import Vault, skip
from recorded_doings import ACL, acl, act_as

USER = 64001
SOON_S = 2.0  # the kernel is told of a closed directory by a thread
ROLES = 'version: 1\nroles: {steward: {users: [root]}}\n'


class Caches:
    def __init__(self, v):
        self.v, self.refused = v, []

    def answer(self, what, path, action):
        """What USER's process gets: 0 or an errno."""
        pid, code = act_as(USER, lambda: action(self.v.landing(path)))
        if code in (errno.EACCES, errno.EPERM):
            self.refused.append((what, pid))
        return code

    def at_once(self, what, path, action, code=errno.EACCES):
        got = self.answer(what, path, action)
        self.v.check(got == code, f"{what}: {errno.errorcode.get(got, got)}, not {errno.errorcode.get(code, code)}")

    def soon(self, what, path, action, code=errno.EACCES):
        """And then for good."""
        deadline = time.monotonic() + SOON_S
        while self.answer(what, path, action) != code and time.monotonic() < deadline:
            time.sleep(0.01)
        self.at_once(what, path, action, code)

    def make(self, directory, mode):
        os.mkdir(self.v.landing(directory))
        for name in ("a", "b"):
            with open(self.v.landing(f"{directory}/{name}"), "wb") as file:
                file.write(b"secret" * 5000)
            os.chmod(self.v.landing(f"{directory}/{name}"), 0o644)
        os.chmod(self.v.landing(directory), mode)

    def warm(self, directory):
        """Root looks at all of it, in each way that has the kernel remember something."""
        path = self.v.landing(directory)
        for name in os.listdir(path):
            os.stat(f"{path}/{name}")
            with open(f"{path}/{name}", "rb") as file:
                file.read()
        for entry in os.scandir(path):
            entry.stat()
        if not os.path.exists(path + "/none"):
            os.path.exists(path + "/none")


def stat(path):
    os.stat(path)


def read(path):
    with open(path, "rb") as file:
        file.read(6)


def directories(c):
    c.make("open", 0o755)
    c.warm("open")
    c.at_once("what all may see", "open/a", stat, 0)
    c.at_once("what is not there", "open/none", stat, errno.ENOENT)
    c.make("closed", 0o700)
    c.warm("closed")
    for name in "a", "none":  # whether it is there is not told either
        c.at_once("a name in a closed directory", f"closed/{name}", stat)
    c.at_once("a closed directory", "closed", os.listdir)
    c.warm("closed")
    c.at_once("a file in a closed directory", "closed/a", read)
    os.mkdir(c.v.landing("closed/inner"))
    os.chmod(c.v.landing("closed/inner"), 0o755)
    os.stat(c.v.landing("closed/inner"))
    c.at_once("below a closed directory", "closed/inner/x", stat)


def closing(c):
    def by_acl(path):
        os.setxattr(path, ACL, acl(5, 0))

    ways = {"chmod": lambda path: os.chmod(path, 0o700), "an ACL": by_acl,
            "a rename": lambda path: os.rename(path, c.v.landing("closed/" + os.path.basename(path)))}
    for number, (way, close) in enumerate(ways.items()):
        directory = f"way{number}"
        c.make(directory, 0o755)
        c.warm(directory)
        for name, code in (("a", 0), ("none", errno.ENOENT)):
            c.at_once(f"before {way}", f"{directory}/{name}", stat, code)
        close(c.v.landing(directory))
        where = f"closed/{directory}" if way == "a rename" else directory
        for name in "a", "none":
            c.soon(f"closed by {way}", f"{where}/{name}", stat)
            c.soon(f"closed by {way}", f"{where}/{name}", read)


def files(c):
    """Pages and ACLs: what root has read is in the kernel's cache, and is opened by the daemon all the same."""
    for number, close in enumerate((lambda path: os.chmod(path, 0o600), lambda path: os.setxattr(path, ACL, acl(4, 0)))):
        c.make(f"pages{number}", 0o755)
        c.warm(f"pages{number}")
        path = f"pages{number}/a"
        c.at_once("before it is closed", path, read, 0)
        held = os.open(c.v.landing(path), os.O_RDONLY)
        close(c.v.landing(path))
        c.at_once("a file that was closed", path, read)
        c.v.check(os.pread(held, 6, 0) == b"secret", "who has it open does not read on")
        os.close(held)


def roles(c):
    c.warm("open")
    c.at_once("before there are roles", "open/a", stat, 0)
    c.v.policy(ROLES)
    for name in "a", "none":
        c.soon("without a role", f"open/{name}", stat)
        c.soon("without a role", f"open/{name}", read)
    c.warm("open")
    c.at_once("without a role, warm again", "open/a", stat)


def main():
    if os.getuid() != 0:
        skip("needs root, to be another user")
    with Vault() as v:
        v.mount("-o", "allow_other")
        os.chmod(v.landing(), 0o755)
        c = Caches(v)
        for part in directories, closing, files, roles:
            part(c)
        found = {(r["pid"], r["uid"]) for r in v.records("--outcome", "denied")}
        for what, pid in c.refused:
            v.check((pid, USER) in found, f"{what}: refused without a record")
        print(f"{len(c.refused)} refusals, each with its record")
        v.umount()
        return v.end()


sys.exit(main())
