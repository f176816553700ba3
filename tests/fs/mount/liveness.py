#!/usr/bin/env python3
"""Nobody is kept waiting by what costs another user nothing: holes, links, names below .assayfs/at, copies, questions.

usage: liveness.py ASSAYFS SOURCE
"""
import os
import sys
import threading
import time

from promise import JOBS_POLICY, Vault

GIB = 1 << 30
TABLE = b"Name,State\nSesame,Lost\n"
PATIENCE_S = 120  # for what takes a second or two on an idle machine
LOOKUPS = 10000
ROUNDS = 8
# Or what was freed counts as the daemon's for 256 MB more.
os.environ["ASAN_OPTIONS"] = "quarantine_size_mb=1:thread_local_quarantine_size_kb=16"


def wait_for(words, condition):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"{words}: not within {PATIENCE_S} s")
        time.sleep(0.05)


def verdict(path):
    return os.getxattr(path, "user.assayfs.verdict")


def size_of(vault):
    return sum(os.lstat(os.path.join(at, name)).st_blocks * 512
               for at, _, names in os.walk(vault) for name in names)


def daemon_bytes(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def put(path, content):
    with open(path, "wb") as file:
        file.write(content)


def passed(path):
    put(path, TABLE)
    wait_for(path, lambda: verdict(path) == b"passed")


def holes(v):
    """Of 6 GiB that were never written, none reaches Raw; small files don't wait; the end of the mount doesn't either."""
    before = size_of(v.vault)
    names = [v.landing(f"jobs/holes{i}.csv") for i in range(4)]
    for name, length in zip(names, (6 * GIB, 6 * GIB, 1 << 40, (1 << 63) - 1)):
        put(name, b"")
        os.truncate(name, length)
    os.unlink(names[1])
    passed(v.landing("jobs/small.csv"))
    for name in (names[0], *names[2:]):
        wait_for(name, lambda name=name: verdict(name) == b"error")
        why = v.run("why", name, code=3).stdout
        v.check(b"holes" in why or b"GiB" in why, f"why does not tell what is the matter with {name}")
    v.check(not os.path.exists(os.path.join(v.mnt, "Raw/jobs/holes0.csv")), "holes came into Raw")
    grown = size_of(v.vault) - before
    print(f"the vault grew by {grown >> 10} KiB")
    v.check(grown < 64 << 20, f"the vault grew by {grown} bytes")


def links(v):
    """A close of a file with 1000 names makes one row, and all names arrive all the same."""
    first, count = v.landing("jobs/link.csv"), 1000
    passed(first)
    for i in range(count):
        os.link(first, v.landing(f"jobs/link{i}.csv"))
    status = lambda: verdict(v.landing(f"jobs/link{count - 1}.csv"))
    wait_for("links", lambda: status() == b"passed")
    with open(first, "ab") as file:
        file.write(b"Bao,Found\n")
    trusted = os.path.join(v.mnt, f"Trusted/jobs/link{count - 1}.csv")

    def shown():
        with open(trusted, "rb") as file:
            return file.read().endswith(b"Found\n")
    wait_for("the last of many names", shown)


def names_below_at(v):
    """What is looked up once is not kept for ever: sooner or later as many more names take no more room. (The first
    ones do, and what the sanitizer and the allocator do meanwhile is noise; kept names would take 3 MB each time.)"""
    grown = []
    while len(grown) < ROUNDS and (len(grown) < 2 or min(grown[1:]) > 640 << 10):
        before = daemon_bytes(v.pid)
        for i in range(LOOKUPS):
            os.stat(os.path.join(v.mnt, f".assayfs/at/2035-01-01T00:00:{len(grown):02d}.{i:09d}Z/Landing"))
        grown.append(daemon_bytes(v.pid) - before)
    print(f"each {LOOKUPS} names below at/: {[size >> 10 for size in grown]} KiB more")
    v.check(min(grown[1:]) <= 640 << 10, f"the daemon grew by {grown} bytes")


def questions(v):
    """A long log is looked at in parts, from either end; what is far apart in it is found all the same."""
    with open(v.landing("jobs/first.csv"), "wb") as file:
        file.write(TABLE)
    for _ in range(10000):
        with open(v.landing("jobs/small.csv"), "rb") as file:
            file.read(1)
    with open(v.landing("jobs/first.csv"), "rb") as file:
        file.read(1)
    asked = ["log", "--json", "--path", "Landing/jobs/first.csv", "--event", "open"]
    every = v.run(*asked, v.mnt).stdout.splitlines()
    v.check(len(every) == 1, f"{len(every)} records of one file")
    created = v.run("log", "--json", "--event", "create", "--path", "Landing/jobs/first.csv", "--limit", "1", v.mnt)
    v.check(len(created.stdout.splitlines()) == 1, "the first of many records was not found from the end")


def copies(v):
    """Forty unaligned copies inside the vault, and somebody else's stat."""
    source, other = v.landing("source"), v.landing("jobs/small.csv")
    put(source, b"")
    os.truncate(source, 300 << 20)
    results = []
    together = threading.Barrier(40)  # the first of the mount: the kernel must learn from none that there is no copying

    def copy(i):
        with open(source, "rb") as from_, open(v.landing(f"copy{i}"), "wb") as to:
            together.wait()
            results.append(os.copy_file_range(from_.fileno(), to.fileno(), 150 << 20, 1, 0))
    threads = [threading.Thread(target=copy, args=(i,)) for i in range(40)]
    begun, waited = time.monotonic(), 0.0
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        at = time.monotonic()
        os.stat(other)
        waited = max(waited, time.monotonic() - at)
        time.sleep(0.01)
    print(f"40 copies took {time.monotonic() - begun:.1f} s; a stat meanwhile {waited:.2f} s at most")
    v.check(len(results) == 40 and max(results) <= 4 << 20, f"one request copied {max(results)} bytes")


def main():
    with Vault() as v:
        os.mkdir(v.path("policy"))
        put(v.path("policy/policy.yaml"), JOBS_POLICY.encode())
        put(v.path("policy/jobs.dqdl"), b"Rules = [ RowCount > 0 ]\n")
        v.mount()
        v.run("policy", "apply", v.path("policy"), v.mnt)
        os.mkdir(v.landing("jobs"))
        for part in (holes, names_below_at, copies, questions, links):
            part(v)
            print(f"{part.__name__}: done", flush=True)
        put(v.landing("jobs/last.csv"), b"")
        os.truncate(v.landing("jobs/last.csv"), 60 << 20)
        begun = time.monotonic()
        v.umount()
        print(f"umount: {time.monotonic() - begun:.1f} s")
        return 1 if v.faults else 0


if __name__ == "__main__":
    sys.exit(main())
