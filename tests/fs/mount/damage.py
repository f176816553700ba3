#!/usr/bin/env python3
"""Bytes of a vault changed, swapped, cut, zeroed, put back, deleted, added: each is found, none is read as truth.

usage: damage.py ASSAYFS SOURCE DAMAGE     ASSAYFS_FLIPS (200; 2000 for the whole figure), ASSAYFS_SEED

A vault is made by a real mount, with all three zones, versions, links, attributes, a policy and verdicts; copies of it
are kept at two earlier times. `damage` (damage.c) works on it at rest, and on another one that was killed. A few of the
changes are tried through a real mount.
"""
import hashlib
import os
import shutil
import subprocess
import sys
import time

from promise import JOBS_POLICY, PASSPHRASE, Vault, count, is_gone, is_mounted, seed

DAMAGE = os.path.abspath(sys.argv[3])
RULES = 'Rules = [ RowCount > 2 ]\n'


def put(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)


def fill(v, rng, stage):
    """What a stage adds: small and large files, new versions of old ones, links, attributes, one governed file."""
    for i in range(12):
        put(v.landing(f"dir{i % 3}/small{stage}-{i}"), rng.randbytes(rng.randrange(1, 3000)))
    put(v.landing("again"), rng.randbytes(50000))
    put(v.landing(f"large{stage}"), rng.randbytes(300000))
    os.setxattr(v.landing("again"), "user.stage", b"%d" % stage)
    os.symlink(f"large{stage}", v.landing(f"link{stage}"))
    put(v.landing(f"jobs/{stage}.csv"), b"a,b\n" + b"".join(b"%d,%d\n" % (i, stage) for i in range(500)))
    for _ in range(200):
        if os.path.exists(os.path.join(v.mnt, f"Trusted/jobs/{stage}.csv")):
            break
        time.sleep(0.05)
    else:
        v.fault("nothing came to Trusted")


def regular_files(v):
    for directory, _, names in os.walk(v.mnt):
        for name in names:
            path = os.path.join(directory, name)
            if not os.path.islink(path):
                yield path


def manifest(v, path):
    found = {}
    with open(path, "w", encoding="utf-8") as out:
        for name in sorted(regular_files(v)):
            with open(name, "rb") as file:
                found[name] = hashlib.sha256(file.read()).hexdigest()
            out.write(f"{found[name]} {os.path.relpath(name, v.mnt)}\n")
    return found


def damage(v, words, flips, rng, *older):
    begun = time.monotonic()
    done = subprocess.run([DAMAGE, v.vault, PASSPHRASE, v.path("manifest"), str(flips), str(rng.randrange(1 << 60)), *older],
                          capture_output=True, check=False, timeout=7200)
    lines = done.stdout.decode(errors="replace").splitlines()
    for line in lines[:60]:
        print(f"{words}: {line}")
    for line in lines[60:][-3:]:
        print(f"{words}: … {line}")
    print(f"{words}: {time.monotonic() - begun:.1f} s", flush=True)
    v.check(done.returncode == 0, f"{words}: exit {done.returncode} {done.stderr.decode(errors='replace')[-3000:]}")


def through_a_mount(v, rng, wanted, rounds):
    """A byte of a segment or of the database changed: an error or the right bytes through the kernel, too."""
    sound = v.vault
    errors = refused = 0
    for _ in range(rounds):
        v.vault = v.path("changed")
        shutil.copytree(sound, v.vault)
        names = [os.path.join(d, n) for d, _, files in os.walk(v.vault) for n in files
                 if n == "meta.db" or "segments" in d]
        name = rng.choice(names)
        with open(name, "r+b") as file:
            at = rng.randrange(os.path.getsize(name))
            byte = os.pread(file.fileno(), 1, at)
            os.pwrite(file.fileno(), bytes([byte[0] ^ 1 << rng.randrange(8)]), at)
        try:
            v.mount()
        except RuntimeError as error:
            refused += 1
            v.check("exit 12" not in str(error), f"a changed byte {at} of {name} is called a wrong passphrase: {error}")
        if is_mounted(v.mnt):
            right = 0
            for path, digest in wanted.items():
                try:
                    with open(path, "rb") as file:
                        v.check(hashlib.sha256(file.read()).hexdigest() == digest, f"{path}: wrong bytes")
                        right += 1
                except OSError:
                    errors += 1
            if "segments" in name:
                v.check(right > len(wanted) / 4, f"only {right} of {len(wanted)} files can be read: {at} of {name}")
            subprocess.run(["umount", v.mnt], check=True)
            for _ in range(400):
                if is_gone(v.pid):
                    break
                time.sleep(0.02)
        shutil.rmtree(v.vault)
    v.vault = sound
    print(f"through a mount: {rounds} changes, {refused} mounts refused, {errors} reads failed, none was wrong")


def main():
    rng = seed("damage")
    flips = count("ASSAYFS_FLIPS", 200)
    with Vault() as v:
        v.mount()
        v.policy(JOBS_POLICY, **{"jobs.dqdl": RULES})
        for stage in range(3):
            fill(v, rng, stage)
            wanted = manifest(v, v.path("manifest"))
            v.umount()
            if stage < 2:
                shutil.copytree(v.vault, v.path(f"older{stage}"))
                v.mount()
        damage(v, "at rest", flips * 3 // 4, rng, v.path("older0"), v.path("older1"))
        through_a_mount(v, rng, wanted, max(4, flips // 50))
        v.mount()
        fill(v, rng, 3)
        v.run("sync", v.mnt)
        manifest(v, v.path("manifest"))
        v.run("sync", v.mnt)
        v.kill()
        damage(v, "killed", flips - flips * 3 // 4, rng)
        return v.end()


sys.exit(main())
