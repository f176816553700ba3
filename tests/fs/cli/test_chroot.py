#!/usr/bin/env python3
"""Vaults mounted in a chroot whose root is no mount, as in a build root: each is unmounted whatever others are there.

usage: test_chroot.py ASSAYFS SOURCE

tests: policy/sandbox
"""
import ctypes
import os
import shutil
import subprocess
import sys

from backing import CHEAP
from cli import ASSAYFS, Tests

if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
    print("skipped: not root, or /dev/fuse is missing")
    sys.exit(77)

CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE, MNT_DETACH = 0x20000, 0x1000, 0x4000, 0x40000, 2
libc = ctypes.CDLL(None, use_errno=True)


def mount(source, target, kind, flags):
    if libc.mount(source.encode(), target.encode(), kind, flags, None):
        raise OSError(ctypes.get_errno(), target)


def root_is_mount():
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        return any(line.split()[4] == "/" for line in file)


class Chroot(Tests):
    root = None

    def enter(self):
        """A root of its own, seen by this process alone: parts of the system's below a directory that is no mount."""
        if libc.unshare(CLONE_NEWNS):
            raise OSError(ctypes.get_errno(), "unshare")
        mount("none", "/", b"none", MS_REC | MS_PRIVATE)
        self.root = self.path("root")
        os.makedirs(self.root + "/tmp")
        for name in ("usr", "lib", "lib64", "bin", "etc", "dev", "proc", "run", "sys"):
            if os.path.isdir("/" + name):
                os.makedirs(f"{self.root}/{name}")
                mount(os.path.realpath("/" + name), f"{self.root}/{name}", b"none", MS_BIND | MS_REC)
        return self.root + "/tmp"

    def leave(self):
        for name in os.listdir(self.root) if self.root else ():
            libc.umount2(f"{self.root}/{name}".encode(), MNT_DETACH)

    def run_in(self, place, *arguments):
        """In the root, standing in `place`."""
        def go():
            if self.root:
                os.chroot(self.root)
            os.chdir("/tmp" if self.root else place)
        return subprocess.run(arguments, preexec_fn=go, capture_output=True, timeout=60, check=False,
                              env={**os.environ, "STATE_DIRECTORY": "/tmp/state" if self.root else place + "/state"})

    def test_one_is_unmounted_while_another_one_stays(self):
        place = self.enter() if root_is_mount() else self.directory
        shutil.copy(ASSAYFS, place + "/assayfs")
        with open(place + "/pass", "w", encoding="utf-8") as file:
            file.write("correct horse\n")
        os.chmod(place + "/pass", 0o600)
        for name in ("one", "two"):
            os.makedirs(f"{place}/{name}-mnt")
            done = self.run_in(place, "./assayfs", "init", *CHEAP, "--passfile", "pass", name)
            self.check(done.returncode == 0, f"init: {done.stderr.decode()}")
            done = self.run_in(place, "./assayfs", "mount", "--passfile", "pass", name, f"{name}-mnt")
            self.check(done.returncode == 0, f"mount: {done.stderr.decode()}")
        for name in ("one", "two"):  # the spawner of the second one has seen the first one's mount
            try:
                done = self.run_in(place, "timeout", "20", "./assayfs", "umount", f"{name}-mnt")
                self.check(done.returncode == 0, f"umount {name}: {done.returncode} {done.stderr.decode()}")
            finally:
                libc.umount2(f"{place}/{name}-mnt".encode(), MNT_DETACH)
        self.leave()


sys.exit(Chroot().run())
