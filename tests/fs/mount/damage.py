#!/usr/bin/env python3
"""Bytes of a vault changed, swapped, cut, zeroed, put back, deleted, added: each is found, none is read as truth.

usage: damage.py ASSAYFS SOURCE DAMAGE     ASSAYFS_FLIPS (200; 2000 for the whole figure), ASSAYFS_SEED

A vault is made by a real mount, with all three zones, versions, links, attributes, a policy and verdicts; copies of it
are kept at two earlier times. `damage` (damage.c) works on it at rest, and on another one that was killed. A few of the
changes are tried through a real mount.
"""
import contextlib
import hashlib
import json
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


def small_fsyncs(v):
    """Some that go to their log: of bytes that the file has already, so that it is the same with and without them."""
    name = v.landing("again")
    with open(name, "rb") as file:
        content = file.read()
    file = os.open(name, os.O_RDWR)
    for at in range(0, 9000, 1000):
        os.pwrite(file, content[at:at + 1000], at)
        os.fsync(file)
    return file


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
        v.forget()
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


def flip(path, at):
    with open(path, "r+b") as file:
        at %= os.path.getsize(path)
        byte = os.pread(file.fileno(), 1, at)
        os.pwrite(file.fileno(), bytes([byte[0] ^ 1]), at)


def check_files(v, wanted, words):
    for path, digest in wanted.items():
        with open(path, "rb") as file:
            v.check(hashlib.sha256(file.read()).hexdigest() == digest, f"{words}: {path}: wrong bytes")


def packs(v):
    return sorted(int(name) for name in os.listdir(os.path.join(v.vault, "meta")) if name.isdigit())


def harms(v):
    """Damage of one metadata file, each of which another file makes good."""
    newest = f"meta/{packs(v)[-1]}"
    return {
        "a page": lambda: flip(os.path.join(v.vault, "meta.db"), 4096 * 3 + 7),
        "the head of the newest pack": lambda: flip(os.path.join(v.vault, newest), 50),
        "the list of the oldest pack": lambda: flip(os.path.join(v.vault, f"meta/{packs(v)[0]}"), 540),
        "a page in a pack": lambda: flip(os.path.join(v.vault, newest), -9),
        "a pack removed": lambda: os.unlink(os.path.join(v.vault, newest)),
        "an anchor removed": lambda: os.unlink(os.path.join(v.vault, "meta/anchor-1")),
        "a stray number": lambda: put(os.path.join(v.vault, "meta/999999"), b"x"),
        "the database cut": lambda: os.truncate(os.path.join(v.vault, "meta.db"), 5000),
    }


def mended(v, wanted):
    """Such a vault mounts, says so in a line, reads right; and the repair's exit codes are as promised."""
    sound = v.vault
    for words in harms(v):
        v.vault = v.path("changed")
        shutil.copytree(sound, v.vault)
        v.forget()
        harms(v)[words]()
        done = v.run("mount", "--passfile", v.passfile, v.vault, v.mnt)
        said = [line for line in done.stderr.decode().splitlines() if "fsck --repair" in line]
        if not words.startswith("a page"):  # which may be read only later, or never
            v.check(len(said) == 1, f"{words}: mount says {done.stderr}")
        v.pid = json.loads(v.run("status", "--json", v.mnt).stdout)["pid"]
        check_files(v, wanted, words)
        busy = v.run("fsck", "--repair", "--passfile", v.passfile, v.vault, code=None)
        v.check(busy.returncode == 4, f"{words}: fsck --repair of a mounted vault exits {busy.returncode}")
        if not words.startswith("a page"):
            v.check(any(record["event"] == "damage" for record in v.records()), f"{words}: no record of it")
        v.umount()
        shutil.rmtree(v.vault)
        shutil.copytree(sound, v.vault)
        v.forget()
        harms(v)[words]()
        done = v.run("fsck", "--repair", "--json", "--passfile", v.passfile, v.vault, code=None)
        found = json.loads(done.stdout)
        v.check(done.returncode == 0 and found["clean"] and all(item["repaired"] for item in found["list"]),
                f"{words}: the repair exits {done.returncode}: {found}")
        v.check(found["repaired"] > 0, f"{words}: the repair says nothing")
        v.fsck(f"{words}, repaired")
        v.mount()
        check_files(v, wanted, f"{words}, repaired")
        v.umount()
        shutil.rmtree(v.vault)
    v.vault = sound
    print(f"{len(harms(v))} kinds of damage: each mounts, reads right, and is repaired")


def blocks_are_named(v, wanted):
    """A block has no second copy: exit 1, and the user's file is named; the others read."""
    sound = v.vault
    v.vault = v.path("changed")
    shutil.copytree(sound, v.vault)
    v.forget()
    segment = max((os.path.join(d, n) for d, _, names in os.walk(os.path.join(v.vault, "segments")) for n in names),
                  key=os.path.getsize)
    flip(segment, os.path.getsize(segment) // 2)
    done = v.run("fsck", "--repair", "--json", "--passfile", v.passfile, v.vault, code=None)
    found = json.loads(done.stdout)
    named = {item["path"] for item in found["list"]} - {None}
    v.check(done.returncode == 1 and named and not found["repaired"], f"a damaged block: {done.returncode}: {found}")
    v.mount()
    lost = []
    for path, digest in wanted.items():
        try:
            with open(path, "rb") as file:
                v.check(hashlib.sha256(file.read()).hexdigest() == digest, f"{path}: wrong bytes")
        except OSError:
            lost.append(os.path.relpath(path, v.mnt))
    v.check(set(lost) <= named, f"{lost} can't be read, {named} were named")
    v.umount()
    shutil.rmtree(v.vault)
    v.vault = sound
    print(f"a damaged block: {sorted(named)} named, {lost} can't be read")


def a_log_taken_away(v):
    """After kill -9, of a mount that wrote no segment: refused, and no repair makes it good."""
    sound = v.vault
    v.vault = v.path("changed")
    shutil.copytree(sound, v.vault)
    v.forget()
    v.mount()
    os.mkdir(v.landing("made"))
    v.run("sync", v.mnt)
    v.kill()
    os.unlink(os.path.join(v.vault, "meta.db-wal"))
    for *command, operands in (["mount", [v.vault, v.mnt]], ["fsck", [v.vault]], ["fsck", "--repair", [v.vault]]):
        done = v.run(*command, "--passfile", v.passfile, *operands, code=None)
        v.check(done.returncode in ([1, 3] if command == ["mount"] else [1]) and b"meta.db-wal" in done.stdout + done.stderr,
                f"the log removed: {command} exits {done.returncode}: {done.stdout} {done.stderr}")
    v.check(not is_mounted(v.mnt), "it is mounted")
    shutil.rmtree(v.vault)
    v.vault = sound
    print("a log taken away is refused")


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
        mended(v, wanted)
        blocks_are_named(v, wanted)
        a_log_taken_away(v)
        v.forget()
        v.mount()
        fill(v, rng, 3)
        v.run("sync", v.mnt)
        manifest(v, v.path("manifest"))
        v.run("sync", v.mnt)
        file = small_fsyncs(v)
        v.kill()
        with contextlib.suppress(OSError):
            os.close(file)
        v.check(os.path.exists(os.path.join(v.vault, "synclog")), "there is no log of small fsyncs")
        damage(v, "killed", flips - flips * 3 // 4, rng)
        return v.end()


sys.exit(main())
