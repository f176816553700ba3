#!/usr/bin/env python3
"""Nothing of what is inside shows outside: random words as content, names, link targets, attributes, policy, passphrase.

usage: canaries.py ASSAYFS SOURCE

They are searched in every byte of the vault's directory while it is mounted, after an unmount, after a kill -9, and after
the recovery; in the log of the daemon's own words; and a core file is asked for, which must not come. Swap is not
searched: where there is some that is not encrypted, the daemon locks its memory or says that it can't, and that is shown
by VmLck of the process.
"""
import glob
import os
import signal
import subprocess
import sys
import time

import promise
from promise import Vault, is_gone, is_mounted, seed

POLICY = """version: 1
datasets:
  - name: {name}
    match: "{name}/*.csv"
    settle: 100ms
    rules: rules.dqdl
workflows:
  - {{name: on-arrival, dataset: {name}, from: Landing, to: Trusted, on: close}}
"""


class Canaries:
    def __init__(self, v, rng):
        self.v, self.rng, self.all = v, rng, {}

    def new(self, what):
        """32 random bytes that may stand in a name and in YAML; their hexadecimal is not searched, they are letters."""
        word = "".join(self.rng.choice("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") for _ in range(32))
        self.all[word.encode()] = what
        return word

    def raw(self, what):
        word = self.rng.randbytes(32)
        self.all[word] = what
        return word

    def search(self, when, directory):
        size = files = 0
        for place, _, names in os.walk(directory):
            for name in names:
                path = os.path.join(place, name)
                with open(path, "rb") as file:
                    content = os.fsencode(path) + b"\0" + file.read()
                size += len(content)
                files += 1
                for word, what in self.all.items():
                    # UTF-16, base64 and the like are not ways in which anything here is written.
                    self.v.check(word not in content, f"{when}: {what} is readable in {path}")
        print(f"{when}: {len(self.all)} canaries, none in {size} bytes of {files} files of {directory}")


def fill(v, canaries):
    name = canaries.new("the name of a dataset")
    os.makedirs(v.landing(canaries.new("a directory's name")))
    for i in range(10):
        with open(v.landing(canaries.new("a file's name")), "wb") as file:
            file.write(canaries.raw("content") + b"x" * (i * 5000) + canaries.raw("content at the end"))
            os.fsync(file.fileno())
    os.symlink(canaries.new("a link's target"), v.landing(canaries.new("a link's name")))
    path = v.landing(canaries.new("a file's name"))
    with open(path, "wb"):
        pass
    os.setxattr(path, "user." + canaries.new("an attribute's name"), canaries.raw("an attribute's value"))
    v.policy(POLICY.format(name=name),
             **{"rules.dqdl": f'Rules = [ RowCount > 1, ColumnExists "{canaries.new("a rule")[:32]}" ]\n'})
    os.makedirs(v.landing(name))
    with open(v.landing(f"{name}/{canaries.new('a governed name')}.csv"), "w", encoding="ascii") as file:
        file.write(f"{canaries.new('a column')},b\n" + f"{canaries.new('a cell')},1\n" * 50)
    time.sleep(1)
    # What was there once, and is not any more.
    gone = v.landing(canaries.new("a removed file's name"))
    with open(gone, "wb") as file:
        file.write(canaries.raw("removed content"))
    os.unlink(gone)
    v.run("sync", v.mnt)


def cores_of(pid, directory):
    found = glob.glob(os.path.join(directory, "core*")) + glob.glob(f"/var/lib/systemd/coredump/*{pid}*")
    return found + glob.glob(f"/var/crash/*{pid}*") + glob.glob(f"/tmp/core*{pid}*")


def no_core(v):
    """A process that is not dumpable leaves none when it aborts, and not even its user may attach to it (root may)."""
    with open(f"/proc/{v.pid}/limits", encoding="ascii") as limits:
        core = [line for line in limits if line.startswith("Max core file size")][0].split()
    v.check(core[4] == "0" and core[5] == "0", f"a core file may have {core[4:6]} bytes")
    locked = {}
    with open(f"/proc/{v.pid}/status", encoding="ascii") as status:
        for line in status:
            name, _, rest = line.partition(":")
            locked[name] = rest.split()[0] if rest.split() else ""
    with open("/proc/swaps", encoding="ascii") as swaps:
        has_swap = len(swaps.readlines()) > 1
    print(f"swap is {'on' if has_swap else 'off: there is none to search'}; the daemon has {locked['VmLck']} kB of "
          f"{locked['VmRSS']} kB locked")
    with open(f"/proc/{v.pid}/maps", encoding="ascii", errors="replace") as maps:
        is_sanitized = "libasan" in maps.read()  # which turns mlock into nothing
    v.check(is_sanitized or int(locked["VmLck"]) > 0, "the daemon has no locked memory")
    pid = v.pid
    before = set(cores_of(pid, v.directory)) | set(cores_of(pid, "/"))
    os.kill(pid, signal.SIGABRT)
    for _ in range(400):
        if is_gone(pid):
            break
        time.sleep(0.05)
    if is_mounted(v.mnt):
        subprocess.run(["umount", "-l", v.mnt], check=False)
    v.pid = 0
    after = set(cores_of(pid, v.directory)) | set(cores_of(pid, "/"))
    v.check(after == before, f"a core file came: {after - before}")
    print("SIGABRT: no core file")


def main():
    rng = seed("canaries")
    promise.PASSPHRASE = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(32))
    with Vault() as v:
        canaries = Canaries(v, rng)
        canaries.all[promise.PASSPHRASE.encode()] = "the passphrase"
        v.mount()
        fill(v, canaries)
        canaries.search("mounted", v.vault)
        v.umount()
        canaries.search("unmounted", v.vault)
        v.mount()
        fill(v, canaries)
        v.kill()
        canaries.search("killed", v.vault)
        v.mount()
        fill(v, canaries)
        no_core(v)
        canaries.search("aborted", v.vault)
        # The search itself can find: the policy's own directory and the passfile hold some.
        kept = v.faults
        v.faults = []
        sys.stdout.flush()
        with open(os.devnull, "w", encoding="ascii") as nowhere:
            saved, sys.stdout = sys.stdout, nowhere
            canaries.search("self-test", v.path("policy"))
            sys.stdout = saved
        kept += [] if v.faults else ["the search finds nothing even where it is"]
        v.faults = kept
        v.mount()
        v.umount()
        canaries.search("recovered", v.vault)
        v.fsck()
        return v.end()


sys.exit(main())
