#!/usr/bin/env python3
"""A full disk with the gate at work: ENOSPC, nothing acknowledged is lost, and it goes on when there is room.

usage: full_disk.py ASSAYFS SOURCE

The vault is on a small tmpfs of its own. Root only.
"""
import errno
import hashlib
import json
import os
import subprocess
import sys
import time

from promise import JOBS_POLICY, Vault, is_mounted, seed, skip
from small_disk import Disk

ROWS = b"name,kind\n" + b"somebody,cat\n" * 20000


def write(path, content, acknowledged):
    """Writes and syncs; what came through is remembered. The errno, or 0."""
    try:
        with open(path, "wb", buffering=0) as file:
            at = 0
            while at < len(content):
                at += file.write(content[at:])
            os.fsync(file.fileno())
        acknowledged[path] = hashlib.sha256(content).hexdigest()
        return 0
    except OSError as error:
        acknowledged.pop(path, None)
        return error.errno


def verify(v, acknowledged, when):
    for path, digest in acknowledged.items():
        try:
            with open(path, "rb") as file:
                v.check(hashlib.sha256(file.read()).hexdigest() == digest, f"{when}: {path} is not what was acknowledged")
        except OSError as error:
            v.fault(f"{when}: {path}: {error}")
    print(f"{when}: {len(acknowledged)} acknowledged files are there", flush=True)


def jobs_end(v, when):
    jobs = None
    for _ in range(400):
        jobs = json.loads(v.run("status", "--json", v.mnt).stdout)["jobs"]
        if not jobs["queued"] and not jobs["running"]:
            return
        time.sleep(0.1)
    v.fault(f"{when}: jobs do not end: {jobs}")


def same(a, b):
    try:
        with open(a, "rb") as left, open(b, "rb") as right:
            return left.read() == right.read()
    except OSError:
        return False


def fill_up(v, rng, acknowledged):
    """Files of all sizes until none goes in any more."""
    codes = {}
    for size in (3000000, 400000, 30000, 1000):
        failures = number = 0
        while failures < 5 and number < 400:
            path = v.landing(f"fill-{size}-{number}")
            code = write(path, rng.randbytes(size), acknowledged)
            codes[code] = codes.get(code, 0) + 1
            failures += code != 0
            number += 1
    v.check(set(codes) == {0, errno.ENOSPC}, f"not only ENOSPC came: {codes}")
    print(f"filled: {codes[0]} files went in, {codes.get(errno.ENOSPC)} did not")


def scenario(v, disk, rng):
    acknowledged = {}
    v.mount()
    v.policy(JOBS_POLICY, **{"jobs.dqdl": "Rules = [ RowCount > 2 ]\n"})
    os.mkdir(v.landing("jobs"))
    write(v.landing("kept"), rng.randbytes(2000000), acknowledged)
    fill_up(v, rng, acknowledged)
    verify(v, acknowledged, "full")
    os.listdir(v.landing())
    # Arrivals on a full disk: refused, or taken and judged when there is room.
    arrivals = [path for path in (v.landing(f"jobs/{i}.csv") for i in range(4)) if write(path, ROWS, acknowledged) == 0]
    # Removing must work on a full disk; but the vault keeps versions, so it makes no room.
    os.unlink(v.landing("fill-3000000-0"))
    acknowledged.pop(v.landing("fill-3000000-0"), None)
    os.rename(v.landing("kept"), v.landing("still-kept"))
    acknowledged[v.landing("still-kept")] = acknowledged.pop(v.landing("kept"))
    # The kernel tells once that some of what was written did not go through.
    done = v.run("sync", v.mnt, code=None)
    v.check(done.returncode == 0 or b"No space left" in done.stderr, f"sync: {done.stderr}")
    v.run("sync", v.mnt)
    v.kill()
    v.mount()
    verify(v, acknowledged, "full, after kill -9")
    v.check(not os.path.exists(v.landing("fill-3000000-0")), "a removed file is back")
    v.umount()
    v.fsck("full")
    v.mount()
    disk.size("300m")
    time.sleep(0.5)
    v.check(write(v.landing("again"), rng.randbytes(5000000), acknowledged) == 0, "there is room, and no file goes in")
    arrivals.append(v.landing("jobs/later.csv"))
    v.check(write(arrivals[-1], ROWS, acknowledged) == 0, "there is room, and no arrival goes in")
    time.sleep(0.3)
    jobs_end(v, "with room again")
    for path in arrivals:
        v.check(same(path, path.replace("/Landing/", "/Trusted/")), f"{path} was not published after there was room")
    print(f"{len(arrivals)} arrivals judged, {len(arrivals) - 1} of them came while it was full")
    verify(v, acknowledged, "with room")
    v.umount()
    v.fsck("with room")
    v.mount()
    verify(v, acknowledged, "mounted again")
    v.umount()


def while_running(v, disk, rng):
    """The same without a remount in between: the disk grows under the mount."""
    acknowledged = {}
    disk.size("300m")
    v.mount()
    # Room for what arrives in Landing, and not for its way through Raw to Trusted.
    rows = b"name,kind\n" + b"somebody,cat\n" * 400000
    free = os.statvfs(disk.path)
    used = (free.f_blocks - free.f_bavail) * free.f_frsize
    # The vault keeps a reserve for itself, which has to fit first. A step is more than the file (5.2 MB), since the part of
    # it that was written in vain stays as a version; and less than the file three times.
    for more in range(0, 240, 8):
        disk.size(str(used + (more << 20)))
        came = v.landing(f"jobs/large-{more}.csv")
        code = write(came, rows, acknowledged)
        if code == 0:
            break
        v.check(code == errno.ENOSPC, f"no ENOSPC but {code}")
    else:
        v.fault("no arrival ever went in")
    time.sleep(2)
    status = json.loads(v.run("status", "--json", v.mnt).stdout)
    published = came.replace("/Landing/", "/Trusted/")
    print(f"grown under the mount by {more} MiB: jobs {status['jobs']}, published: {os.path.exists(published)}")
    v.check(not os.path.exists(published), "there was room for all: nothing was tried")
    v.check(write(v.landing("more"), rng.randbytes(9000000), {}) == errno.ENOSPC, "there is room")
    disk.size("400m")
    code = write(v.landing("more"), rng.randbytes(4000000), acknowledged)
    v.check(code == 0, f"it did not go on: {os.strerror(code)}")
    for _ in range(300):
        if same(came, published):
            break
        time.sleep(0.1)
    else:
        v.fault(f"not published after there was room: {v.run('why', came, code=None).stdout.decode()}")
    jobs_end(v, "grown under the mount")
    verify(v, acknowledged, "grown")
    v.umount()
    v.fsck("grown")


def main():
    if os.getuid() != 0:
        skip("needs root, for a small tmpfs")
    rng = seed("full_disk")
    outside = Vault()
    disk = Disk(outside.path("disk"), "64m")
    try:
        with Vault(inside=disk.path) as v:
            scenario(v, disk, rng)
            while_running(v, disk, rng)
            return v.end()
    finally:
        if not is_mounted(outside.mnt):
            disk.end()
            outside.__exit__()


sys.exit(main())
