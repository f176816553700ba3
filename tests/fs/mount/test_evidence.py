"""The audit log as evidence: served as C2SP's tlog-tiles, verified by `assayfs log verify` and, where it is built, by a
checker on Go's sumdb; what was edited, removed, reordered, inserted, forged or forked is refused by both.

usage: test_evidence.py ASSAYFS SOURCE FILL_LOG [CHECKER.go]     with a checker up to a million records, else 70,000
"""
import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys

import evidence
from promise import Vault, skip

FILL_LOG = sys.argv[3]
CHECKER_SOURCE = sys.argv[4] if len(sys.argv) > 4 else None
SIZES = [10, 300, 70000] + ([1000000] if CHECKER_SOURCE else [])


def audit(v):
    return os.path.join(v.mnt, ".assayfs", "audit")


def build_checker(v):
    if not CHECKER_SOURCE:
        return None
    if not shutil.which("go") or not os.path.isdir("/usr/share/gocode/src/golang.org/x/mod/sumdb"):
        skip("golang-go and golang-golang-x-mod-dev are missing: scripts/setup --services")
    env = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": "-buildvcs=false",
           "GOCACHE": v.path("go-cache"), "HOME": v.directory}
    subprocess.run(["go", "build", "-o", v.path("checker"), CHECKER_SOURCE], env=env, check=True, timeout=300)
    return v.path("checker")


class Verifiers:
    """Those there are, which must agree."""

    def __init__(self, v, key):
        self.v, self.key, self.checker = v, key, build_checker(v)

    def ours(self, directory, *older):
        done = self.v.run("log", "verify", "--json", "--key", self.key, *[word for path in older for word in ("--from", path)],
                          directory, code=None)
        self.v.check(done.returncode in (0, 1), f"log verify {directory}: exit {done.returncode}: {done.stderr.decode()}")
        answer = json.loads(done.stdout)
        self.v.check(answer["verified"] == (done.returncode == 0), f"exit code and answer differ: {answer}")
        return done.returncode == 0, answer.get("reason", "")

    def theirs(self, directory, *older):
        if not self.checker:
            return None
        done = subprocess.run([self.checker, directory, self.key, *older], capture_output=True, text=True, check=False,
                              timeout=600)
        return done.returncode == 0, done.stderr.strip()

    def expect(self, wanted, words, directory, *older):
        for name, verdict in (("log verify", self.ours(directory, *older[-1:])), ("sumdb", self.theirs(directory, *older))):
            if verdict is not None:
                self.v.check(verdict[0] == wanted, f"{name}: {words}: verified {verdict[0]}: {verdict[1]}")
                print(f"{name}: {words}: {'verified' if verdict[0] else verdict[1]}", flush=True)


def grow(v, size):
    """The log has `size` records once the vault is mounted: the mount's is the last of them."""
    subprocess.run([FILL_LOG, v.vault, v.passfile, str(size - 1)], check=True, timeout=300)
    v.mount()


def check_sizes(v, verifiers):
    older = []
    for size in SIZES:
        grow(v, size)
        copied = v.path(f"log-{size}")
        evidence.copy(audit(v), copied, size)
        verifiers.expect(True, f"{size} records", copied, *older)
        older.append(os.path.join(copied, "checkpoint"))
        if size == 300:
            verifiers.expect(True, "the mount itself", audit(v), *older[:1])
            subprocess.run(["cp", "-r", audit(v), v.path("log-whole")], check=True)
            verifiers.expect(True, "a copy by cp -r", v.path("log-whole"), *older[:1])
        v.umount()
        if size == 300:
            shutil.copytree(v.vault, v.path("vault-300"))
    return older


def check_forgeries(v, verifiers, older):
    for size in SIZES[1:3]:
        for forge in evidence.FORGERIES:
            forged = v.path("forged")
            shutil.copytree(v.path(f"log-{size}"), forged)
            forge(forged, size)
            verifiers.expect(False, f"{size} records, {forge.__name__}", forged)
            shutil.rmtree(forged)
    verifiers.expect(False, "shorter than what was seen", v.path("log-300"), older[2])


def other_key(name):
    typed = b"\1" + bytes(32)
    identity = hashlib.sha256(name.encode() + b"\n" + typed).digest()[:4].hex()
    return "+".join([name, identity, base64.b64encode(typed).decode()])


def check_other_key(v, verifiers):
    """A log that somebody else has signed by the same name."""
    done = v.run("log", "verify", "--key", other_key(verifiers.key.split("+")[0]), v.path("log-300"), code=1)
    v.check(b"no signature by the key" in done.stderr, f"another key: {done.stderr.decode()}")


def check_fork(v, verifiers, older):
    """Whoever has the keys can go on from an older copy; the checkpoint that an auditor kept tells."""
    v.vault, kept = v.path("vault-300"), v.vault
    done = v.run("mount", "--passfile", v.passfile, v.vault, v.mnt, code=1)
    v.check(b"--accept-restore" in done.stderr and b"older copy" in done.stderr, f"an older copy: {done.stderr.decode()}")
    checked = v.run("fsck", "--json", "--passfile", v.passfile, v.vault, code=1)
    v.check("older copy" in (json.loads(checked.stdout)["older_copy"] or ""), f"fsck of an older copy: {checked.stdout}")
    v.mount("--accept-restore")
    accepted = v.records("--event", "accept-restore")
    v.check(len(accepted) == 1 and "had" in accepted[0]["detail"], f"accepting is recorded: {accepted}")
    v.umount()
    v.fsck("once it was accepted")
    shutil.copytree(v.vault, v.path("fork-300"))
    grow(v, 70000)
    evidence.copy(audit(v), v.path("forked"), 70000)
    verifiers.expect(True, "a fork by itself", v.path("forked"), *older[:2])
    verifiers.expect(False, "a forked history", v.path("forked"), older[2])
    v.umount()
    v.vault = v.path("fork-300")
    done = v.run("mount", "--passfile", v.passfile, v.vault, v.mnt, code=1)
    v.check(b"older copy" in done.stderr, f"an older copy of the fork: {done.stderr.decode()}")
    v.vault = kept
    v.mount()
    v.check(v.records("--event", "accept-restore") == [], "the vault that the fork comes from is asked about")
    v.umount()


def check_proofs(v, verifiers):
    grow(v, SIZES[-1] + 1000)
    key = verifiers.key
    for sequence in (0, 9, 255, 256, 69999):
        proof = v.run("log", "prove", str(sequence), "--key", key, v.mnt).stdout
        with open(v.path("proof"), "wb") as file:
            file.write(proof)
        record = json.loads(v.run("log", "check-proof", "--key", key, v.path("proof")).stdout)
        v.check(record["seq"] == sequence, f"the proof of {sequence} is that of {record}")
        with open(v.path("proof"), "wb") as file:
            file.write(proof.replace(b"index ", b"index 1"))
        v.run("log", "check-proof", "--key", key, v.path("proof"), code=1)
    v.run("log", "prove", "999999999", v.mnt, code=1)
    v.run("log", "prove", "x", v.mnt, code=2)
    v.umount()


def check_pruned(v, verifiers, older):
    """Records that are in archives only: their hashes hold the tree together, and all others are proved as before."""
    v.mount()
    shipped = os.fsencode(v.path("shipped")) + b"\xe9"
    os.mkdir(shipped)
    v.run("log", "archive", "--before", "now", "--to", shipped, "--prune", "now", v.mnt)
    answer = json.loads(v.run("log", "verify", "--json", "--key", verifiers.key, "--from", older[2], v.mnt).stdout)
    v.check(answer["pruned"] >= 69000 and answer["records"] > answer["pruned"], f"after pruning: {answer}")
    v.check(not os.path.exists(os.path.join(audit(v), "tile/entries/000")), "what was pruned is served")
    v.check("000" not in os.listdir(os.path.join(audit(v), "tile/entries")), "what was pruned is listed")
    v.run("log", "prove", "0", "--key", verifiers.key, v.mnt, code=1)
    v.run("log", "prove", str(answer["pruned"]), "--key", verifiers.key, v.mnt)
    subprocess.run(["cp", "-r", audit(v), v.path("lie")], check=True)
    for number, code in ((answer["pruned"], 0), (answer["pruned"] - 256, 1), (answer["records"] // 256 * 256 + 512, 1), (7, 1)):
        with open(v.path("lie/pruned"), "w", encoding="ascii") as file:
            file.write(f"{number}\n")
        v.run("log", "verify", "--key", verifiers.key, v.path("lie"), code=code)
    with open(v.path("lie/pruned"), "w", encoding="ascii") as file:
        file.write("0\n")
    v.run("log", "verify", "--key", verifiers.key, v.path("lie"), code=1)
    shutil.copytree(v.path("log-70000"), v.path("taken"))
    os.remove(v.path("taken/tile/entries/000"))
    with open(v.path("taken/pruned"), "w", encoding="ascii") as file:
        file.write("256\n")
    done = v.run("log", "verify", "--key", verifiers.key, v.path("taken"), code=1)
    v.check(b"no record says" in done.stderr, f"taken away and said to be pruned: {done.stderr.decode()}")
    v.umount()


def copy_rotated(v, target):
    """With the checkpoint as it is served: signed by all versions of the key."""
    kept = {}
    for name in ("checkpoint", "successions"):
        with open(os.path.join(audit(v), name), "rb") as file:
            kept[name] = file.read()
    evidence.copy(audit(v), target, int(kept["checkpoint"].split(b"\n")[1]))
    for name, content in kept.items():
        with open(os.path.join(target, name), "wb") as file:
            file.write(content)


def check_rotated(v, verifiers, older):
    """The key is rotated between records: who knows the first, a middle or the last one verifies, by either program."""
    v.mount()
    keys, kept = [verifiers.key], list(older)
    for turn in range(3):
        for i in range(50):
            with open(os.path.join(v.mnt, "Landing", f"{turn}-{i}"), "wb") as file:
                file.write(b"x")
        v.run("key", "rotate", "audit", v.mnt)
        keys.append(v.run("log", "key", v.mnt).stdout.decode().strip())
        note = v.path(f"note-{turn}")
        with open(os.path.join(audit(v), "checkpoint"), "rb") as file, open(note, "wb") as copy:
            copy.write(file.read())
        kept.append(note)
    v.umount()
    v.mount()
    copy_rotated(v, v.path("log-rotated"))
    for at, key in enumerate(keys):
        verifiers.key = key
        # A program that knows of no successions knows a checkpoint by its own key, and by those before.
        since = kept if at == 0 else kept[len(older) + at - 1:]
        verifiers.expect(True, f"after three rotations, version {at + 1}", v.path("log-rotated"), *since)
    answer = json.loads(v.run("log", "verify", "--json", "--key", keys[0], "--from", kept[0], v.path("log-rotated")).stdout)
    v.check((answer["rotations"], answer["present_key"]) == (3, keys[3]), f"{answer}")
    check_old_signature(v, verifiers, keys)
    verifiers.key = keys[0]
    v.umount()


def check_old_signature(v, verifiers, keys):
    """Only the first key's signature is left on the checkpoint, as who stole it would have it."""
    path = v.path("log-rotated/checkpoint")
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines(keepends=True)
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(lines[:4] + lines[-1:])
    verifiers.key = keys[3]
    verifiers.expect(False, "the first key alone, by the last", v.path("log-rotated"))
    verifiers.key = keys[0]
    done, words = verifiers.ours(v.path("log-rotated"))
    v.check(not done and "version 1 of the log's key alone" in words, f"the first key alone, by the first: {words}")


def check_prints(v, verifiers):
    """What is printed is what was verified, and nothing of what was not."""
    copied = v.path("log-300")
    printed = v.run("log", "verify", "--print", "--key", verifiers.key, copied).stdout.splitlines()
    v.check(printed == evidence.read_entries(copied, 300), f"{len(printed)} records are printed")
    v.run("log", "verify", "--print", "--json", copied, code=2)
    shutil.copytree(copied, v.path("changed"))
    evidence.edited(v.path("changed"), 300)
    done = v.run("log", "verify", "--print", "--key", verifiers.key, v.path("changed"), code=1)
    v.check(not done.stdout, f"of a changed log is printed: {done.stdout[:200]}")


def check_odd_files(v, verifiers):
    """A list of heads that was cut, and what is no file at all: an answer, and no waiting."""
    for name, words in (("checkpoints", b"does not have the head"), ("tile/0/000", b"0 bytes"), ("key", b"")):
        odd = v.path("odd")
        shutil.copytree(v.path("log-300"), odd)
        path = os.path.join(odd, name)
        open(path, "w", encoding="ascii").close()
        key = ["--key", verifiers.key] if name != "key" else []
        done = v.run("log", "verify", *key, odd, code=1, timeout=20)
        v.check(words in done.stderr, f"{name} empty: {done.stderr.decode()}")
        os.remove(path)
        os.mkfifo(path)
        done = v.run("log", "verify", *key, odd, code=1, timeout=20)
        v.check(b"no regular file" in done.stderr, f"{name} a pipe: {done.stderr.decode()}")
        shutil.rmtree(odd)
    shutil.copytree(v.path("log-300"), v.path("odd"))
    with open(v.path("odd/checkpoint"), "wb") as file:
        file.write(bytes(70000))
    v.run("log", "verify", "--key", verifiers.key, v.path("odd"), code=1)
    os.mkfifo(v.path("pipe"))
    v.run("log", "verify", "--key", verifiers.key, "--from", v.path("pipe"), v.path("log-300"), code=2, timeout=20)


def check_refusals(v):
    v.mount()
    v.run("log", "verify", "--key", "nonsense", v.mnt, code=2)
    v.run("log", "verify", "--from", v.path("pass"), v.mnt, code=2)
    v.run("log", "verify", "--from", v.path("missing"), v.mnt, code=1)
    v.run("log", "verify", v.directory, code=5)
    for name in ("tile/0/1", "tile/9/000", "tile/0/x000/000", "tile/0/000.p/0", "tile/entries/000", "tile/0/x999/999", "tile/entries/x999/999"):
        v.check(not os.path.exists(os.path.join(audit(v), name)), f"{name} is there")
    v.umount()


def main():
    with Vault() as v:
        v.mount()
        key = v.run("log", "key", v.mnt).stdout.decode().strip()
        v.umount()
        verifiers = Verifiers(v, key)
        older = check_sizes(v, verifiers)
        check_forgeries(v, verifiers, older)
        check_other_key(v, verifiers)
        check_proofs(v, verifiers)
        check_rotated(v, verifiers, older)
        check_prints(v, verifiers)
        check_odd_files(v, verifiers)
        check_pruned(v, verifiers, older)
        check_refusals(v)
        check_fork(v, verifiers, older)
        return v.end()


if __name__ == "__main__":
    sys.exit(main())
