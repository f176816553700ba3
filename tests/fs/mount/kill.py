#!/usr/bin/env python3
"""kill -9 of the daemon at a random moment under a mixed load, again and again.

usage: kill.py ASSAYFS SOURCE        ASSAYFS_KILL_ROUNDS (20), ASSAYFS_SEED

Each worker has a directory of its own and keeps a journal outside the vault: the state of its directory after each step
(a step is a point at which a crash may stop), and how far that was acknowledged by fsync of a file, fsync of the
directory, or `assayfs sync`. After the crash the directory must be in exactly one of the journal's states, not older
than the acknowledged one: so nothing acknowledged is lost, no file is torn, and nothing overtakes.

    journal   {"n":17, "state":{"f3":[sha256, length], …}} · {"n":18, "at_least":"f3", …} · {"ack":17}

Beside it: every file and every version that is there has its record, Trusted shows only what passed, all jobs end, and
fsck is clean before the recovery and after.
"""
import hashlib
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time

from promise import ASSAYFS, JOBS_POLICY, Vault, count, seed

ROUNDS_A_VAULT = 20
RULES = 'Rules = [ RowCount > 2, IsComplete "name", ColumnValues "kind" in ["cat", "dog"] ]\n'


def words(data):
    return [hashlib.sha256(data).hexdigest(), len(data)]


class Worker:
    """One writer. `state` is what its directory should hold; every step is told to the journal before and after."""

    def __init__(self, directory, journal, rng):
        self.directory = directory
        self.journal = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.rng = rng
        self.state = {}  # name: content
        self.said = {}   # name: words(content)
        self.n = 0
        self.dirfd = None

    def path(self, name):
        return os.path.join(self.directory, name)

    def tell(self, **what):
        os.write(self.journal, (json.dumps(what) + "\n").encode())

    def about(self, **changes):
        """These may become the state at any time from now on: step after step. None: the name is gone."""
        for name, content in changes.items():
            if content is None:
                self.state.pop(name, None)
                self.said.pop(name, None)
            else:
                self.state[name] = content
                self.said[name] = words(content)
        self.n += 1
        self.tell(n=self.n, state=self.said)

    def about_prefix(self, name, content, least):
        """The file may hold any beginning of `content` of at least `least` bytes."""
        self.n += 1
        state = dict(self.said)
        sizes = {least, len(content), *range(least // 4096 * 4096 + 4096, len(content), 4096)}  # as pages are written back
        state[name] = [words(content[:size]) for size in sorted(sizes)]
        self.tell(n=self.n, state=state)

    def done(self):
        """All steps told are done: what comes later may say that they are acknowledged."""
        self.tell(done=self.n)

    def acknowledged(self):
        self.tell(ack=self.n)

    def random_bytes(self, most):
        size = self.rng.choice([0, 1, 100, 4096, 16384, 16385, 40000, most])
        return f"{self.directory} {self.n} ".encode()[:size] + self.rng.randbytes(max(0, size - 20))

    def sync_directory(self):
        os.fsync(self.dirfd)
        self.acknowledged()

    def write(self, name, content, flags=0, sync=False):
        if not content:
            sync = True  # an emptied file becomes a version with its RELEASE, which close does not wait for
        fresh = name not in self.state
        if fresh:
            self.about(**{name: b""})
        self.about(**{name: content})
        fd = os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | flags, 0o644)
        try:
            at = 0
            while at < len(content):
                at += os.write(fd, content[at:at + 131072])
            if sync:
                os.fsync(fd)
                self.acknowledged()
        finally:
            os.close(fd)
        self.done()

    # ---- what a worker does ----

    def pick(self):
        return self.rng.choice(sorted(self.state)) if self.state else None

    def some_name(self):
        return f"f{self.rng.randrange(12)}"

    def do_write(self):
        self.write(self.some_name(), self.random_bytes(120000), sync=self.rng.random() < 0.4)

    def do_replace(self):
        """As editors do: write elsewhere, fsync, rename, fsync the directory."""
        name = self.some_name()
        content = self.random_bytes(60000)
        self.write("tmp", content, sync=self.rng.random() < 0.7)
        self.about(**{"tmp": None, name: content})
        os.rename(self.path("tmp"), self.path(name))
        self.done()
        if self.rng.random() < 0.5:
            self.sync_directory()

    def do_overwrite(self):
        """In place, without cutting: only the closed state counts."""
        name = self.pick()
        if not name or not self.state[name]:
            return
        old = bytearray(self.state[name])
        parts = []
        for _ in range(self.rng.randrange(1, 5)):
            at = self.rng.randrange(len(old))
            data = self.rng.randbytes(self.rng.choice([1, 100, 5000]))
            parts.append((at, data))
            if at + len(data) > len(old):
                old.extend(bytes(at + len(data) - len(old)))
            old[at:at + len(data)] = data
        self.about(**{name: bytes(old)})
        with open(self.path(name), "r+b", buffering=0) as file:
            for at, data in parts:
                os.pwrite(file.fileno(), data, at)
            if self.rng.random() < 0.4:
                os.fsync(file.fileno())
                self.acknowledged()
        self.done()

    def do_truncate(self):
        name = self.pick()
        if not name:
            return
        size = self.rng.randrange(len(self.state[name]) + 1000)
        content = self.state[name][:size]
        self.about(**{name: content + bytes(size - len(content))})
        os.truncate(self.path(name), size)
        self.done()

    def do_append(self):
        """A log: synced, then more, in one open file."""
        name = f"log{self.rng.randrange(2)}"
        content = self.state.get(name, b"")
        if name not in self.state:
            self.about(**{name: b""})
        fd = os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            synced = len(content)
            for _ in range(self.rng.randrange(1, 4)):
                more = self.rng.randbytes(512 * self.rng.randrange(1, 20))
                content += more
                self.about_prefix(name, content, synced)
                os.write(fd, more)
                self.about(**{name: content})
                os.fsync(fd)
                self.acknowledged()
                synced = len(content)
        finally:
            os.close(fd)
        self.done()

    def do_patch(self):
        """As a database does: a page in place or at the end, fsync, again and again in one open file."""
        name = f"db{self.rng.randrange(2)}"
        content = bytearray(self.state.get(name, b""))
        if name not in self.state:
            self.about(**{name: b""})
        fd = os.open(self.path(name), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            for _ in range(self.rng.randrange(10, 200)):
                at = 4096 * self.rng.randrange(min(len(content) // 4096 + 1, 50))
                data = self.rng.randbytes(self.rng.choice([1, 700, 4096]))
                content.extend(bytes(max(0, at - len(content))))
                content[at:at + len(data)] = data
                self.about(**{name: bytes(content)})
                os.pwrite(fd, data, at)
                os.fsync(fd)
                self.acknowledged()
        finally:
            os.close(fd)
        self.done()

    def do_unlink(self):
        name = self.pick()
        if not name:
            return
        self.about(**{name: None})
        os.unlink(self.path(name))
        self.done()
        if self.rng.random() < 0.3:
            self.sync_directory()

    def do_rename(self):
        old, new = self.pick(), self.some_name()
        if not old or old == new:
            return
        self.about(**{new: self.state[old], old: None})
        os.rename(self.path(old), self.path(new))
        self.done()

    def do_many(self):
        for _ in range(20):
            self.write(f"small{self.rng.randrange(40)}", self.rng.randbytes(self.rng.randrange(300)))
        if self.rng.random() < 0.5:
            self.sync_directory()

    def do_big(self):
        self.write("big", self.rng.randbytes(1 << 20) * self.rng.randrange(2, 8), sync=self.rng.random() < 0.5)

    def do_job(self):
        bad = self.rng.random() < 0.3
        rows = "".join(f"{self.rng.randrange(10 ** 6)},{'bird' if bad else self.rng.choice(['cat', 'dog'])}\n"
                       for _ in range(self.rng.randrange(3, 200)))
        self.write(f"{'bad' if bad else 'good'}{self.rng.randrange(4)}.csv", f"name,kind\n{rows}".encode(),
                   sync=self.rng.random() < 0.3)
        time.sleep(0.02)

    def work(self, what):
        try:
            self.dirfd = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
            while True:
                getattr(self, "do_" + self.rng.choice(what))()
        except OSError as error:
            self.tell(ended=str(error))


KINDS = {
    "mixed": ["write", "replace", "overwrite", "truncate", "append", "unlink", "rename"],
    "small": ["many", "rename", "unlink", "replace"],
    "big": ["big", "overwrite", "truncate", "append"],
    "synced": ["patch", "patch", "append"],
    "jobs": ["job"],
}


def work(directory, journal, state_seed, what):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Worker(directory, journal, random.Random(state_seed)).work(what)


def syncer(mnt, journals):
    """`assayfs sync` again and again: what was done before it began is acknowledged when it returns."""
    while True:
        sizes = {name: os.path.getsize(name) for name in journals if os.path.exists(name)}
        if subprocess.run([ASSAYFS, "sync", mnt], capture_output=True, check=False).returncode != 0:
            return
        for name, size in sizes.items():
            with open(name, "rb") as file:
                before = [json.loads(line) for line in file.read(size).split(b"\n")[:-1] if line]
            done = [entry["done"] for entry in before if "done" in entry]
            if done:
                with open(name, "ab", buffering=0) as file:
                    file.write((json.dumps({"ack": done[-1]}) + "\n").encode())
        time.sleep(0.05)


def fits(state, found):
    if state.keys() != found.keys():
        return False
    for name, one in state.items():
        if found[name] != one and not (one and isinstance(one[0], list) and found[name] in one):
            return False
    return True


def brief(content):
    if not content:
        return "missing"
    if isinstance(content[0], list):
        return "one of " + " ".join(brief(one) for one in content)
    return f"{content[0][:6]}/{content[1]}"


def found_in(directory):
    found = {}
    for name in os.listdir(directory):
        with open(os.path.join(directory, name), "rb") as file:
            found[name] = words(file.read())
    return found


def verify_directory(v, directory, journal, figures):
    entries = []
    if os.path.exists(journal):
        with open(journal, "rb") as file:
            entries = [json.loads(line) for line in file.read().splitlines()]
    states = [(0, {})] + [(entry["n"], entry["state"]) for entry in entries if "n" in entry]
    ack = max([entry["ack"] for entry in entries if "ack" in entry], default=0)
    found = found_in(directory)
    figures["steps"] += len(states) - 1
    figures["acknowledged"] += ack
    figures["files"] += len(found)
    if any(number >= ack and fits(state, found) for number, state in states):
        return
    older = [number for number, state in states if fits(state, found)]
    v.fault(f"{directory}: in none of the states {ack}…{states[-1][0]} (older ones that fit: {older[-3:]})")
    for number, state in states[ack:]:
        wrong = {name: f"{brief(state.get(name))} is {brief(found.get(name))}" for name in state.keys() | found.keys()
                 if not fits({name: state.get(name)}, {name: found.get(name)})}
        print(f"    state {number}: {wrong}")
    print(f"    the journal's last: {str(entries[-1])[:300]}")


def verify_records(v, directories, figures):
    """Each name and each version has a record of its own."""
    records = v.records(every=True)
    v.check([r["seq"] for r in records] == list(range(len(records))), "the log has gaps")
    made, sealed = set(), set()
    for r in records:
        if r["outcome"] != "ok":
            continue
        made.update(path for path in (r.get("path"), r.get("path2")) if isinstance(path, str))
        if "version" in r and r["event"] != "open":
            sealed.add((r["node"], r["version"]))
    for directory in directories:
        for name in os.listdir(directory):
            path = os.path.relpath(os.path.join(directory, name), v.mnt)
            v.check(path in made, f"{path} is there without a record")
            if name not in ("f1", "log0", "big"):
                continue
            for version in json.loads(v.run("versions", "--json", os.path.join(directory, name)).stdout)["versions"]:
                figures["versions"] += 1
                v.check((version["node"], version["id"]) in sealed, f"{path}: version {version} without a record")
    figures["records"] += len(records)


def verify_trusted(v, figures):
    """All jobs end; Trusted shows what passed and nothing else."""
    landing, trusted = v.landing("jobs"), os.path.join(v.mnt, "Trusted/jobs")
    for _ in range(600):
        jobs = json.loads(v.run("status", "--json", v.mnt).stdout)["jobs"]
        if not jobs["queued"] and not jobs["running"]:
            break
        time.sleep(0.05)
    else:
        v.fault(f"jobs never ended: {jobs}")
    shown = found_in(trusted) if os.path.isdir(trusted) else {}
    v.check(not any(name.startswith("bad") for name in shown), f"a bad file is in Trusted: {sorted(shown)}")
    for name, content in found_in(landing).items():
        if name.startswith("good") and content[1]:
            v.check(shown.get(name) == content, f"Trusted/jobs/{name} is {shown.get(name)}, Landing's is {content}")
    figures["published"] += len(shown)


def one_round(v, number, rng, figures):
    base = f"r{number}"
    jobs = {}
    # With nothing else going on, small fsyncs go to their log.
    synced = number % 3 == 2
    for index, kind in enumerate(["synced"] * 3 if synced else ["mixed", "mixed", "small", "big"]):
        jobs[f"{v.landing(base)}-{index}"] = kind
    for directory in jobs:
        os.mkdir(directory)
    journals = {}
    for directory in [*jobs] + ([] if synced else [v.landing("jobs")]):
        journals[directory] = v.path(f"journal-{base}-{os.path.basename(directory)}")
    v.run("sync", v.mnt)
    children = [multiprocessing.Process(target=work, args=(directory, journals[directory], rng.randrange(1 << 60),
                                                           KINDS[jobs.get(directory, "jobs")]))
                for directory in journals]
    children.append(multiprocessing.Process(target=syncer, args=(v.mnt, list(journals.values()))))
    for child in children:
        child.start()
    time.sleep(rng.uniform(0.02, figures["longest"]))
    try:
        v.kill()
    finally:
        for child in children:
            child.join(20)
            if child.is_alive():
                v.fault("a worker did not end with the mount")
                child.kill()
                child.join()
    if number % 4 == 0:
        v.fsck(f"round {number}, before recovery")
    begun = time.monotonic()
    v.mount()
    figures["slowest mount"] = max(figures["slowest mount"], time.monotonic() - begun)
    for directory in jobs:
        verify_directory(v, directory, journals[directory], figures)
    verify_trusted(v, figures)
    if number % 4 == 1:
        verify_records(v, list(jobs), figures)
        v.umount()
        v.fsck(f"round {number}, after recovery")
        v.mount()
    for journal in journals.values():
        if os.path.exists(journal):
            os.unlink(journal)


def main():
    rng = seed("kill")
    rounds = count("ASSAYFS_KILL_ROUNDS", 20)
    figures = {"rounds": 0, "steps": 0, "acknowledged": 0, "files": 0, "versions": 0, "records": 0, "published": 0,
               "slowest mount": 0, "longest": float(os.environ.get("ASSAYFS_KILL_SECONDS", 1.5))}
    failed = 0
    while figures["rounds"] < rounds and not failed:
        with Vault() as v:
            v.mount()
            v.policy(JOBS_POLICY, **{"jobs.dqdl": RULES})
            os.mkdir(v.landing("jobs"))
            for _ in range(min(ROUNDS_A_VAULT, rounds - figures["rounds"])):
                one_round(v, figures["rounds"], rng, figures)
                figures["rounds"] += 1
                if v.faults:
                    break
            v.umount()
            v.fsck("at the end")
            failed += len(v.faults)
    print(figures)
    print(f"{figures['rounds']} rounds, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
