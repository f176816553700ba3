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

CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 0x1000, 0x4000, 0x40000
libc = ctypes.CDLL(None, use_errno=True)


def mount(source, target, kind, flags):
    if libc.mount(source.encode(), target.encode(), kind, flags, None):
        raise OSError(ctypes.get_errno(), target)


class Chroot(Tests):
    def run_in(self, root, *arguments):
        """In the chroot; the namespace is this process's own."""
        return subprocess.run(arguments, preexec_fn=lambda: (os.chroot(root), os.chdir("/tmp")), capture_output=True, timeout=60, check=False,
                              env={**os.environ, "STATE_DIRECTORY": "/tmp/state"})

    def test_one_is_unmounted_while_another_one_stays(self):
        if libc.unshare(CLONE_NEWNS):
            raise OSError(ctypes.get_errno(), "unshare")
        mount("none", "/", b"none", MS_REC | MS_PRIVATE)
        root = self.path("root")
        os.makedirs(root + "/tmp")
        for name in ("usr", "lib", "lib64", "bin", "etc", "dev", "proc", "run", "sys"):
            if os.path.isdir("/" + name):
                os.makedirs(f"{root}/{name}")
                mount(os.path.realpath("/" + name), f"{root}/{name}", b"none", MS_BIND | MS_REC)
        shutil.copy(ASSAYFS, root + "/tmp/assayfs")
        with open(root + "/tmp/pass", "w", encoding="utf-8") as file:
            file.write("correct horse\n")
        os.chmod(root + "/tmp/pass", 0o600)
        program = "/tmp/assayfs"
        for name in ("one", "two"):
            os.makedirs(f"{root}/tmp/{name}-mnt")
            done = self.run_in(root, program, "init", *CHEAP, "--passfile", "pass", name)
            self.check(done.returncode == 0, f"init: {done.stderr.decode()}")
            done = self.run_in(root, program, "mount", "--passfile", "pass", name, f"{name}-mnt")
            self.check(done.returncode == 0, f"mount: {done.stderr.decode()}")
        for name in ("one", "two"):  # the spawner of the second one has seen the first one's mount
            try:
                done = self.run_in(root, "/usr/bin/timeout", "20", program, "umount", f"{name}-mnt")
                self.check(done.returncode == 0, f"umount {name}: {done.returncode} {done.stderr.decode()}")
            finally:
                libc.umount2(f"{root}/tmp/{name}-mnt".encode(), 2)
        for name in os.listdir(root):
            libc.umount2(f"{root}/{name}".encode(), 2)


sys.exit(Chroot().run())
