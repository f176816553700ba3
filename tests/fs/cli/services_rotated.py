#!/usr/bin/env python3
"""All keys rotated under load, those of content, metadata and log, with what is sealed under older versions sealed anew, while the daemon is killed ten times.

usage: services_rotated.py ASSAYFS SOURCE [MIB [KILLS]]

10 GiB and ten kills unless told otherwise. No server is needed; it is among the services' tests as it takes minutes and 25 GiB.
"""
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

from backing import BackupTests

if not os.path.exists("/dev/fuse"):
    print("skipped: /dev/fuse is missing")
    sys.exit(77)

MIB = int(sys.argv[3]) if len(sys.argv) > 3 else 10240
KILLS = int(sys.argv[4]) if len(sys.argv) > 4 else 10
FILE_MIB = 16
SEED = int(os.environ.get("ASSAYFS_SEED", random.SystemRandom().randrange(2**32)))
if shutil.disk_usage(os.environ.get("TMPDIR", "/tmp")).free < MIB * 5 // 2 << 20:
    print(f"skipped: less than {MIB * 5 // 2048} GiB are free")
    sys.exit(77)


def content(name):
    """16 MiB that the name alone says, so that nothing has to be remembered."""
    return random.Random(name).randbytes(FILE_MIB << 20)


def digest(data):
    return hashlib.blake2b(data).digest()


class Rotated(BackupTests):
    def pid(self):
        return self.json("status", "--json", "mnt")["pid"]

    def keys(self):
        return {key["alias"]: key for key in self.json("key", "list", "--json", "mnt")["keys"]}

    def write_beside(self, deadline, acknowledged):
        """Files that are fsynced until the mount dies; each name once."""
        while time.monotonic() < deadline:
            name = f"load/{len(acknowledged)}-{random.randrange(10**9)}"
            data = random.Random(name).randbytes(random.randrange(1, 300000))
            try:
                with open(os.path.join(self.mnt, "Landing", name), "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
            except OSError:
                return
            acknowledged[name] = digest(data)

    def kill_after(self, seconds):
        def kill(pid):
            os.kill(pid, signal.SIGKILL)
        timer = threading.Timer(seconds, kill, [self.pid()])
        timer.start()
        return timer

    def begin_again(self):
        subprocess.run(["umount", "-l", self.mnt], check=False, capture_output=True)
        self.mount()

    def test_nothing_is_lost_and_no_version_is_unreadable(self):
        print(f"rotated: ASSAYFS_SEED={SEED}", flush=True)
        random.seed(SEED)
        self.mounted()
        os.makedirs(os.path.join(self.mnt, "Landing/load"))
        digests, acknowledged, began = {}, {}, time.monotonic()
        for i in range(MIB // FILE_MIB):
            data = content(f"{SEED} {i}")
            digests[f"big/{i}"] = digest(data)
            self.put(f"Landing/big/{i}", data)
        self.put("Landing/twice", b"first")
        self.assayfs("sync", "mnt")
        self.put("Landing/twice", b"second, and longer")
        self.assayfs("sync", "mnt")
        first_key = self.assayfs("log", "key", "mnt").out.strip()
        print(f"note: {MIB} MiB in {time.monotonic() - began:.0f} s", flush=True)
        for round_ in range(KILLS):
            timer = self.kill_after(random.uniform(1, 12))
            # Each third round a version more; the others go on with what is under way.
            if round_ % 3 == 0:
                self.assayfs("key", "rotate", "--all", "--rewrap", "mnt", code=None)
            self.write_beside(time.monotonic() + 15, acknowledged)
            timer.join()
            self.begin_again()
        self.assayfs("log", "verify", "--key", first_key, "mnt")
        began, least = time.monotonic(), self.keys()
        self.assayfs("key", "rotate", "--all", "--rewrap", "--wait", "mnt", timeout=1800)
        took, keys = time.monotonic() - began, self.keys()
        versions = {alias: key["version"] for alias, key in keys.items()}
        print(f"note: {KILLS} kills, {len(acknowledged)} files acknowledged, {versions}; the last rewrap {took:.0f} s", flush=True)
        for alias, key in keys.items():
            self.check(key["version"] == least[alias]["version"] + 1 and key["old_segments"] == 0 and key["old_bytes"] == 0, f"{key}")
        for name, wanted in {**digests, **acknowledged}.items():
            self.check(digest(self.get(f"Landing/{name}")) == wanted, f"{name} is another")
        for number, wanted in enumerate((b"first", b"second, and longer"), 1):
            self.check(self.get(f".assayfs/versions/Landing/twice/{number}") == wanted, f"version {number}")
        for key in ([], ["--key", first_key]):
            self.assayfs("log", "verify", *key, "mnt")
        self.assayfs("umount", "mnt")
        self.check("Clean" in self.assayfs("fsck", "--passfile", "pass", "v", timeout=1200).out, "fsck")


sys.exit(Rotated().run())
