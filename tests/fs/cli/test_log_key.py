#!/usr/bin/env python3
"""The audit log's key rotated: who knows any of its versions verifies the log; who stole an earlier one goes on with
none; archives, backups, kills; and verdicts after a rotation of theirs.

usage: test_log_key.py ASSAYFS SOURCE

tests: fs/command/log_verify, fs/command/log_check, fs/command/evidence, fs/virtual/tlog
"""
import base64
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

PYTHON = "/usr/bin/python3"  # Debian's, which the packages belong to
try:
    from nacl import signing
    import open_vault
except ImportError as missing:
    if os.path.realpath(sys.executable) != os.path.realpath(PYTHON) and os.path.exists(PYTHON):
        os.execv(PYTHON, [PYTHON, *sys.argv])
    print(f"skipped: {missing}; scripts/setup installs it")
    sys.exit(77)
from backing import BackupTests  # noqa: E402
from cli import ASSAYFS, SOURCE  # noqa: E402
sys.path += [os.path.join(SOURCE, "tests/fs/mount"), os.path.join(SOURCE, "tests/format")]
import evidence  # noqa: E402
import reader  # noqa: E402

if not os.path.exists("/dev/fuse"):
    print("skipped: /dev/fuse is missing")
    sys.exit(77)

PASSPHRASE = b"correct horse"
POLICY = """version: 1
datasets: [{name: data, match: "*.csv", rules: data.dqdl, settle: 100ms}]
workflows: [{name: arrive, dataset: data, from: Landing, to: Trusted, on: close}]
"""


def encoded(data):
    return base64.b64encode(data).decode()


class Key:
    """A version of the log's key, with its seed."""

    def __init__(self, origin, version, seed):
        self.origin, self.version, self.secret = origin, version, signing.SigningKey(seed)
        typed = b"\1" + bytes(self.secret.verify_key)
        self.id = hashlib.sha256(origin.encode() + b"\n" + typed).digest()[:4]
        self.text = f"{origin}+{self.id.hex()}+{encoded(typed)}"

    def sign(self, text):
        return self.secret.sign(text.encode()).signature

    def blob(self, text):
        return encoded(self.id + self.sign(text))


def hand_on(before, following, size, root, when=1764345600000000000, is_lost=False):
    """A line of `successions` (docs/audit-log.md); `is_lost`: the key before does not sign."""
    text = (f"assayfs audit key succession\n{before.origin}\n{before.version} {following.version}\n{size}\n{encoded(root)}\n{when}\n"
            f"{before.text}\n{following.text}\n")
    return (f"{before.version} {following.version} {size} {encoded(root)} {when} {before.text} {following.text} "
            f"{'-' if is_lost else encoded(before.sign(text))} {encoded(following.sign(text))}\n")


class LogKeys(BackupTests):
    # ---- what the tests share ----

    @property
    def log(self):
        return os.path.join(self.mnt, ".assayfs", "audit")

    def rotate(self, *options):
        self.assayfs("key", "rotate", *options, "alias/audit", "mnt")

    def vkey(self):
        return self.assayfs("log", "key", "mnt").out.strip()

    def signed(self):
        """How many records the served head has."""
        return int(self.get(".assayfs/audit/checkpoint").split(b"\n")[1])

    def burst(self, count=20):
        """Records, until a head has them."""
        before, deadline = self.signed(), time.monotonic() + 20
        for i in range(count):
            self.put(f"Landing/{i}", b"x")
        self.assayfs("sync", "mnt")
        while self.signed() < before + count and time.monotonic() < deadline:
            time.sleep(0.1)

    def verified(self, key, *options, where="mnt", code=0):
        return self.json("log", "verify", "--json", "--key", key, *options, where, code=code)

    def refused(self, key, words, where, *options):
        answer = self.verified(key, *options, where=where, code=1)
        self.check(answer.get("verified") is False and words in answer.get("reason", ""), f"{where}: not {words!r}: {answer}")

    def copied(self, name):
        subprocess.run(["cp", "-r", self.log, self.path(name)], check=True)
        return name

    def seeds(self):
        """The versions of the log's key, by what the passphrase opens."""
        origin = "assayfs/" + json.loads(self.assayfs("info", "--json", "v").out)["vault"]
        with open(self.path("v/vault.json"), "rb") as file:
            keys = open_vault.open_header(file.read(), PASSPHRASE)
        return [Key(origin, version, keys[name, version]) for name, version in sorted(keys) if name == "audit"]

    def rotated(self, turns=3):
        """[verifier key] and [a checkpoint of each one's time], after bursts of records and rotations."""
        self.mounted()
        keys, checkpoints = [], []
        for turn in range(turns + 1):
            self.burst()
            keys.append(self.vkey())
            self.write(f"checkpoint-{turn}", self.get(".assayfs/audit/checkpoint"))
            checkpoints.append(f"checkpoint-{turn}")
            if turn < turns:
                self.rotate()
        return keys, checkpoints

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def entries(self, name):
        """Those of a copy, of fewer than 257 records; their tile may be wider than what is signed."""
        size = int(self.read(f"{name}/checkpoint").splitlines()[1])
        folder, found = self.path(f"{name}/tile/entries"), []
        tile = os.path.join(folder, "000")
        if not os.path.exists(tile):
            tile = os.path.join(f"{tile}.p", max(os.listdir(f"{tile}.p"), key=int))
        with open(tile, "rb") as file:
            data = file.read()
        while data and len(found) < size:
            end = 2 + int.from_bytes(data[:2], "big")
            found.append(data[2:end])
            data = data[end:]
        self.check(len(found) == size, f"{len(found)} records of {size}")
        return found

    def build(self, name, entries, heads, signers, successions=()):
        """A log of these records: a head of so many records is signed by that key each; the last one by all `signers`."""
        origin, folder = signers[0].origin, self.path(name)
        os.makedirs(folder)
        evidence.write_entries(folder, entries)
        evidence.write_hashes(folder, entries)
        lines = []
        for size, key in heads:
            root = evidence.root([evidence.leaf(e) for e in entries[:size]])
            text = f"{origin}\n{size}\n{encoded(root)}\n"
            lines.append(f"{size} {encoded(root)} {key.blob(text)} 2026-11-28T00:00:00Z\n")
        self.write(f"{name}/checkpoints", "".join(lines))
        self.write(f"{name}/checkpoint", text + "\n" + "".join(f"— {origin} {key.blob(text)}\n" for key in signers))
        self.write(f"{name}/key", signers[0].text + "\n")
        self.write(f"{name}/pruned", "0\n")
        if successions:
            self.write(f"{name}/successions", "".join(successions))
        return name

    @staticmethod
    def root(entries, size):
        return evidence.root([evidence.leaf(e) for e in entries[:size]])

    # ---- verifying ----

    def test_who_knows_any_of_its_keys_verifies_the_log(self):
        keys, checkpoints = self.rotated()
        self.check(len(set(keys)) == 4, f"the keys are {keys}")
        for at, key in enumerate(keys):
            for checkpoint in checkpoints:
                answer = self.verified(key, "--from", checkpoint)
                self.check((answer["verified"], answer["rotations"], answer["key"], answer["present_key"]) == (True, 3, key, keys[3]), f"{answer}")
            text = self.assayfs("log", "verify", "--key", key, "mnt").out
            self.check(f"key   {keys[3]}\n" in text, text)
            self.check((f"is version {at + 1}. It was handed on" in text) == (at < 3), text)
            with open(self.path("proof"), "wb") as file:
                file.write(self.assayfs("log", "prove", "5", "--key", key, "mnt").stdout)
            for other in keys:
                record = json.loads(self.assayfs("log", "check-proof", "--key", other, "proof").out)
                self.check(record["seq"] == 5, f"{record}")
        self.assayfs("log", "verify", "mnt")
        self.copied("copy")
        self.assayfs("umount", "mnt")
        self.assayfs("fsck", "--passfile", "pass", "v")
        for key in keys:
            self.verified(key, where="copy")
        reader.Vault(self.path("v"), "passphrase", PASSPHRASE).check_audit()
        self.mount()
        for key in keys:
            self.verified(key, "--from", checkpoints[1])

    def test_all_keys_are_told_and_named_in_the_log(self):
        keys, _ = self.rotated()
        told = self.json("log", "key", "--all", "--json", "mnt")
        self.check(told["key"] == keys[3] and [k["key"] for k in told["keys"]] == keys, f"{told}")
        self.check([k["version"] for k in told["keys"]] == [1, 2, 3, 4], f"{told}")
        self.check([k.get("signed_by_previous") for k in told["keys"]] == [None, True, True, True], f"{told}")
        since = [k["from_record"] for k in told["keys"]]
        self.check(since[0] == 0 and since == sorted(set(since)), f"{since}")
        served = self.read("mnt/.assayfs/audit/successions")
        self.check(served == "".join(k["succession"] + "\n" for k in told["keys"][1:]), "what is served")
        text = self.assayfs("log", "key", "--all", "mnt").out
        self.check(all(key in text for key in keys) and "version 4, since 20" in text, text)
        details = [r["detail"] for r in self.logged("--event", "key-rotate")]
        self.check(details == [f"alias/audit version {i + 1}: {keys[i]}" for i in (1, 2, 3)], f"{details}")
        for line in open(os.path.join(self.log, "checkpoints"), encoding="ascii"):
            size, blob = int(line.split()[0]), base64.b64decode(line.split()[2])
            signer = sum(size > n for n in since[1:])
            self.check(blob[:4].hex() == keys[signer].split("+")[1], f"the head of {size} records is not by version {signer + 1}")

    def logged(self, *filters):
        self.assayfs("sync", "mnt")
        return [json.loads(line) for line in self.assayfs("log", "--json", *filters, "mnt").out.splitlines()]

    def test_two_rotations_in_a_row_and_all_keys_at_once(self):
        self.mounted()
        first = self.vkey()
        self.rotate()
        self.rotate()
        found = self.json("key", "rotate", "--all", "--json", "mnt")
        self.check("alias/audit" in [k["alias"] for k in found["rotated"]], f"{found}")
        self.check("alias/audit" not in [row["skipped"] for row in found["skipped"]], f"{found}")
        self.check(self.verified(first)["rotations"] == 3, "three rotations")
        self.rotate("--every", "30")
        keys = {k["alias"]: k for k in self.json("key", "list", "--json", "mnt")["keys"]}
        self.check((keys["alias/audit"]["version"], keys["alias/audit"]["rotate_every_days"]) == (4, 30), f"{keys['alias/audit']}")
        self.assayfs("umount", "mnt")
        self.assayfs("fsck", "--passfile", "pass", "v")
        self.mount()
        self.verified(first)

    def test_of_many_rotations_the_last_eight_sign_and_any_leads_on(self):
        self.mounted()
        keys = [self.vkey()]
        for _ in range(11):
            self.rotate()
            keys.append(self.vkey())
        note = self.read("mnt/.assayfs/audit/checkpoint")
        ids = [base64.b64decode(line.split()[2])[:4].hex() for line in note.splitlines() if line.startswith("— ")]
        self.check(ids == [key.split("+")[1] for key in reversed(keys[4:])], f"{ids}")
        for key in keys:
            self.verified(key)
            self.assayfs("log", "prove", "2", "--key", key, "mnt")

    def test_verdicts_verify_by_the_version_that_signed_them(self):
        self.mounted()
        os.makedirs(self.path("policy"))
        self.write("policy/policy.yaml", POLICY)
        self.write("policy/data.dqdl", "Rules = [ RowCount > 1 ]\n")
        self.assayfs("policy", "apply", "policy", "mnt")
        for turn in range(3):
            self.put(f"Landing/{turn}.csv", b"name,kind\na,cat\nb,dog\n")
            self.assayfs("why", "--wait", f"mnt/Landing/{turn}.csv", code=None)
            deadline = time.monotonic() + 30
            while not os.path.exists(os.path.join(self.mnt, f"Trusted/{turn}.csv")) and time.monotonic() < deadline:
                time.sleep(0.1)
            self.assayfs("key", "rotate", "verdict", "mnt")
        for mounted in False, True:
            if mounted:
                self.assayfs("umount", "mnt")
                reader.Vault(self.path("v"), "passphrase", PASSPHRASE).check_verdicts()
                self.assayfs("fsck", "--passfile", "pass", "v")
                self.mount()
            with open(self.path("v/vault.json"), "rb") as file:
                keys = open_vault.open_header(file.read(), PASSPHRASE)
            for turn in range(3):
                text = self.get(f".assayfs/verdicts/Trusted/{turn}.csv.json").strip()
                shown = json.loads(text)
                public = signing.SigningKey(keys["verdict", turn + 1]).verify_key
                self.check((shown["key"], shown["public_key"]) == (f"verdict/{turn + 1}", bytes(public).hex()), f"{shown}")
                body = text[text.index(b'"verdict":') + len(b'"verdict":'):-1]
                public.verify(b"assayfs verdict 1\n" + body, bytes.fromhex(shown["signature"]))

    # ---- forgeries ----

    def test_what_was_changed_of_the_handing_on_is_refused(self):
        keys, _ = self.rotated(2)
        self.copied("log")
        whole = self.read("log/successions").splitlines(keepends=True)

        def forged(lines, words, known=keys):
            shutil.rmtree(self.path("forged"), ignore_errors=True)
            shutil.copytree(self.path("log"), self.path("forged"))
            self.write("forged/successions", "".join(lines))
            for key in known:
                self.refused(key, words, "forged")

        words = whole[1].split(" ")
        for at, what in ((2, "17"), (3, words[3][:-2] + "A="), (4, "5"), (7, words[8].strip()), (8, words[7] + "\n")):
            forged([whole[0], " ".join(words[:at] + [what] + words[at + 1:])], "")
        forged([whole[0], " ".join(words[:7] + [whole[0].split(" ")[7]] + words[8:])], "version 2 has not signed that version 3")
        forged([whole[0], " ".join(words[:7] + ["-"] + words[8:])], "version 2 was lost", keys[:2])
        forged([whole[1]], "none of its 2 keys", keys[:1])
        forged([whole[0]], "none of its 2 keys", keys[2:])
        forged([whole[0]], "was handed on to version 3, and 'successions' does not", keys[:2])
        forged([], "", keys)
        forged([whole[1], whole[0]], "does not follow")
        forged([whole[0], whole[0], whole[1]], "does not follow")
        forged([whole[0], whole[1], "nonsense\n"], "is no line that says")
        os.remove(self.path("forged/successions"))
        for key in keys:
            self.refused(key, "", "forged")

    def test_an_earlier_key_that_was_stolen_goes_on_with_no_log(self):
        self.rotated(1)
        self.copied("log")
        old, new = self.seeds()
        entries = self.entries("log")
        size, records = len(entries), [*entries, b'{"seq":%d,"forged":1}' % len(entries)]
        handed = int(self.read("log/successions").split(" ")[2])
        honest = hand_on(old, new, handed, self.root(entries, handed))
        self.build("honest", entries, [(handed, old), (size, new)], [new, old], [honest])
        for key in old, new:
            self.verified(key.text, where="honest")
        # The checkpoint, and a head among the others, by the old key alone.
        self.build("alone", records, [(handed, old), (size, new), (size + 1, old)], [old], [honest])
        for key in old, new:
            self.refused(key.text, f"is signed by version 1 of the log's key alone, which was handed on at {handed}", "alone")
        self.build("among", records, [(handed, old), (size, old), (size + 1, new)], [new, old], [honest])
        for key in old, new:
            self.refused(key.text, "is signed by version 1 of the log's key; it was version 2 whose turn it was", "among")
        # As if nothing had been handed on: nobody is taken in, as long as a record says otherwise.
        self.build("before", records, [(handed, old), (size + 1, old)], [old])
        self.refused(new.text, "no signature by the key", "before")
        self.refused(new.text, "is signed by the log's key", "before", "--from", "checkpoint-1")
        self.refused(old.text, "was handed on to version 2, and 'successions' does not", "before")
        # A log that goes another way from before that record: only who knows the old key, and kept nothing since, is.
        told = next(i for i, entry in enumerate(entries) if new.text.encode() in entry)
        self.build("fork", [*entries[:told], b'{"seq":%d,"forged":1}' % told], [(told + 1, old)], [old])
        self.verified(old.text, "--from", "checkpoint-0", where="fork")
        self.refused(old.text, "is signed by the log's key", "fork", "--from", "checkpoint-1")
        self.refused(new.text, "no signature by the key", "fork")

    def test_a_fork_where_the_key_was_handed_on_is_refused(self):
        self.rotated(1)
        self.copied("log")
        old, new = self.seeds()
        thief = Key(old.origin, 2, bytes(32))
        entries = self.entries("log")
        size, handed = len(entries), int(self.read("log/successions").split(" ")[2])
        own = [e.replace(new.text.encode(), thief.text.encode()) for e in entries]
        self.build("thief", own, [(handed, old), (size, thief)], [thief, old], [hand_on(old, thief, handed, self.root(own, handed))])
        self.refused(new.text, "none of its 2 keys", "thief")
        self.verified(old.text, "--from", "checkpoint-0", where="thief")
        done = self.assayfs("log", "verify", "--key", old.text, "--from", "checkpoint-1", "thief", code=1)
        self.check("handed on at" in done.err or "another one since" in done.err, done.err)
        # Both keys' holder hands on at another state of the log than is shown.
        line = hand_on(old, new, handed, self.root(own, handed))
        self.build("fork", entries, [(handed, old), (size, new)], [new, old], [line])
        for key in old, new:
            self.refused(key.text, "not those at which the log's key was handed on to version 2", "fork")
        # And in silence: no record names the new key.
        silent = [e.replace(new.text.encode(), b"") for e in entries]
        self.build("silent", silent, [(handed, old), (size, new)], [new, old], [hand_on(old, new, handed, self.root(silent, handed))])
        for key in old, new:
            self.refused(key.text, f"no record before {handed} says that the log's key was handed on", "silent")

    def test_a_stolen_older_key_does_not_lead_past_a_checkpoint_that_was_kept(self):
        self.rotated(2)
        self.copied("log")
        first, second, third = self.seeds()
        true = self.read("log/successions").splitlines(keepends=True)
        handed = [int(line.split(" ")[2]) for line in true]
        entries = self.entries("log")
        size, records = len(entries), [*entries, b'{"seq":%d,"forged":1}' % len(entries)]
        whole = self.build("whole", entries, [(handed[0], first), (handed[1], second), (size, third)], [third, second, first], true)
        for key in first, second, third:
            for turn in range(3):
                self.verified(key.text, "--from", f"checkpoint-{turn}", where=whole)
        # All true records, and one more, by the first key alone, as if it had never been handed on.
        self.build("silent", records, [(size + 1, first)], [first])
        self.write("silent/successions", "")
        named = [i for i, entry in enumerate(entries) if b"alias/audit version" in entry]
        self.check(len(named) == 2, f"{named}")
        self.refused(first.text, f"record {named[0]} says that the log's key was handed on to version 2, and 'successions' does not", "silent")
        self.refused(first.text, f"is signed by the log's key {third.origin}+{third.id.hex()} too", "silent", "--from", "checkpoint-2")
        self.refused(first.text, "is signed by the log's key", "silent", "--from", "checkpoint-1")
        self.refused(first.text, "was handed on to version 2", "silent", "--from", "checkpoint-0")
        # By the second, with the succession that leads to it.
        self.build("second", records, [(handed[0], first), (size + 1, second)], [second, first], true[:1])
        for key in first, second:
            self.refused(key.text, f"record {named[1]} says that the log's key was handed on to version 3, and 'successions' does not", "second")
            self.refused(key.text, "is signed by the log's key", "second", "--from", "checkpoint-2")
            self.refused(key.text, "was handed on to version 3", "second", "--from", "checkpoint-1")
        # The newer keys are put before the stolen one, which no key has to sign where one is said to be lost.
        fourth = Key(first.origin, 4, bytes(first.secret))
        self.build("around", records, [(size + 1, first)], [first], [true[1], hand_on(third, fourth, size, self.root(entries, size), is_lost=True)])
        os.remove(self.path("around/checkpoints"))
        self.refused(first.text, "or not in its place", "around", "--from", "checkpoint-2")
        # Where what was kept has no line by the stolen key, that can't be told from a loss: it is said.
        kept = self.read("checkpoint-2")
        self.write("cut", "".join(kept.splitlines(keepends=True)[:-1]))
        answer = self.verified(first.text, "--from", "cut", where="around")
        self.check((answer["lost_version"], answer["from"]) == (3, int(kept.split("\n")[1])), f"{answer}")
        # A line of another name (a witness) is nobody's business here; one in the log's name is.
        stranger = Key("witness.example/1", 1, bytes(32))
        self.write("witnessed", kept + f"— {stranger.origin} {stranger.blob('x')}\n")
        self.verified(first.text, "--from", "witnessed", where=whole)
        lines = kept.splitlines(keepends=True)
        self.write("reordered", "".join(lines[:-2] + [lines[-1], lines[-2]]))
        self.refused(first.text, "or not in its place", whole, "--from", "reordered")

    def test_names_elsewhere_in_a_record_hand_nothing_on(self):
        self.mounted()
        key = Key("assayfs/" + json.loads(self.assayfs("info", "--json", "v").out)["vault"], 2, bytes(32))
        os.makedirs(os.path.join(self.mnt, f"Landing/key-rotate/alias/audit version 2: {key.text}"))
        self.assayfs("key", "rotate", f"alias/audit version 2: {key.text}", "mnt", code=None)
        self.rotate("--every", "30")
        self.burst()
        self.check(any("alias/audit version 2: " in r["path"] for r in self.logged("--event", "mkdir")), "a path that reads like a rotation")
        self.verified(self.vkey())

    # ---- an older vault.json ----

    def put_back(self, source):
        """That vault.json in place of the vault's, and mounted so."""
        self.assayfs("umount", "mnt")
        shutil.copy(self.path(source), self.path("v/vault.json"))
        self.assayfs("mount", "--accept-restore", "--passfile", "pass", "v", "mnt")

    def test_a_version_that_was_lost_is_taken_over_from(self):
        self.mounted()
        first = self.vkey()
        shutil.copy(self.path("v/vault.json"), self.path("older.json"))
        self.rotate()
        lost = self.vkey()
        self.burst()
        self.write("kept", self.get(".assayfs/audit/checkpoint"))
        self.put_back("older.json")
        self.rotate()
        newest = self.vkey()
        self.check(len({first, lost, newest}) == 3, "three keys")
        self.burst()
        self.write("later", self.get(".assayfs/audit/checkpoint"))
        for checkpoint in "kept", "later":
            answer = self.verified(newest, "--from", checkpoint)
            self.check((answer["rotations"], answer["lost_version"]) == (2, 2 if checkpoint == "kept" else None), f"{answer}")
            text = self.assayfs("log", "verify", "--key", newest, "--from", checkpoint, "mnt").out
            self.check(("Version 2 of its key is said to be lost" in text) == (checkpoint == "kept"), text)
            for key in first, lost:
                self.refused(key, "was lost", "mnt", "--from", checkpoint)
        self.copied("copy")
        self.verified(newest, "--from", "kept", where="copy")

    def test_a_key_that_another_vault_json_brought_signs_nothing(self):
        self.mounted()
        self.assayfs("umount", "mnt")
        shutil.copytree(self.path("v"), self.path("branch"))
        self.assayfs("mount", "--passfile", "pass", "--state-dir", self.path("elsewhere"), "branch", "mnt")
        self.rotate()
        other = self.vkey()
        self.assayfs("umount", "mnt")
        self.mount()
        self.rotate()
        self.rotate()
        self.write("kept", self.get(".assayfs/audit/checkpoint"))
        self.put_back("branch/vault.json")
        self.rotate()
        newest = self.vkey()
        self.burst()
        found = [r["detail"] for r in self.logged("--event", "key-found")]
        self.check(any(f"alias/audit version 2 is active: {other}" in detail for detail in found), f"{found}")
        self.check(self.verified(newest, "--from", "kept")["rotations"] == 3, "the log goes on")

    # ---- archives, backups, kills ----

    def test_archives_from_before_and_after_and_what_was_pruned(self):
        self.mounted()
        keys = [self.vkey()]
        os.makedirs(self.path("shipped"))
        for turn in range(3):
            self.burst(200)
            self.rotate()
            keys.append(self.vkey())
            self.assayfs("log", "archive", "--before", "now", "--to", "shipped", *(["--prune", "now"] if turn else []), "mnt")
        self.write("kept", self.get(".assayfs/audit/checkpoint"))
        for key in keys:
            answer = self.verified(key, "--from", "kept")
            self.check(answer["pruned"] > 0 and answer["rotations"] == 3, f"{answer}")
        first = int(self.read("mnt/.assayfs/audit/successions").split(" ")[2])
        self.check(answer["pruned"] > first, "the record of the first rotation is in an archive only")
        shipped = sorted(os.listdir(self.path("shipped")))
        found = self.json("log", "open", "--verify", "--json", "--passfile", "pass", "v", *[f"shipped/{name}" for name in shipped])["archives"]
        self.check(len(found) == len(shipped) >= 2, f"{found}")
        lines = self.assayfs("log", "open", "--passfile", "pass", "v", *[f"shipped/{name}" for name in shipped]).out
        self.check(keys[1] in lines and keys[2] in lines, "the records of the rotations")
        self.copied("copy")
        for key in keys:
            self.verified(key, where="copy")
        # Where the records that name the keys are away, what was kept tells of them.
        self.write("copy/successions", "")
        self.refused(keys[0], "is signed by the log's key", "copy", "--from", "kept")
        self.assayfs("umount", "mnt")
        self.assayfs("fsck", "--passfile", "pass", "v")

    def test_a_backup_brings_back_the_keys_and_how_they_were_handed_on(self):
        self.mounted()
        first = self.vkey()
        _, url = self.place()
        self.add(url, "--create")
        self.burst()
        self.rotate()
        self.write("kept", self.get(".assayfs/audit/checkpoint"))
        second = self.vkey()
        self.assayfs("backup", "sync", "--timeout", "100", url, "mnt")
        self.assayfs("umount", "mnt")
        self.assayfs("recover", "--full", "--passfile", "pass", url, "again")
        self.assayfs("fsck", "--passfile", "pass", "again")
        self.assayfs("mount", "--passfile", "pass", "again", "mnt")
        self.rotate()
        for key in first, second, self.vkey():
            self.check(self.verified(key, "--from", "kept")["rotations"] == 2, "of what was recovered")

    def test_who_holds_no_key_of_the_log_is_where_he_was(self):
        self.mounted()
        public = self.assayfs("key", "recipient", "new", "ana").out.strip()
        self.assayfs("key", "add", "--recipient", public, "--zones", "Trusted", "mnt")
        self.rotate()
        key = self.vkey()
        self.assayfs("umount", "mnt")
        self.assayfs("mount", "--identity", "ana", "v", "mnt")
        self.assayfs("log", "verify", "--key", key, "mnt", code=None)
        self.assayfs("key", "rotate", "audit", "mnt", code=1)
        self.check(self.assayfs("log", "mnt").out != "", "he reads the log")
        self.assayfs("umount", "mnt")
        self.mount()
        self.verified(key)

    def test_kills_at_any_time_leave_a_log_that_verifies(self):
        self.mounted()
        first = self.vkey()
        self.assayfs("umount", "mnt")
        version = 1
        for _ in range(6):
            daemon = subprocess.Popen([ASSAYFS, "mount", "--foreground", "--passfile", "pass", "v", "mnt"], cwd=self.directory,
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                deadline = time.monotonic() + 30
                while not os.path.isdir(os.path.join(self.mnt, "Landing")) and time.monotonic() < deadline:
                    time.sleep(0.02)
                threading.Timer(random.uniform(0.05, 0.6), daemon.send_signal, [signal.SIGKILL]).start()
                while daemon.poll() is None and time.monotonic() < deadline:
                    done = subprocess.run([ASSAYFS, "key", "rotate", "--json", "audit", "mnt"], cwd=self.directory, capture_output=True, check=False,
                                          timeout=60)
                    version += done.returncode == 0
            finally:
                daemon.kill()
                daemon.wait(30)
            subprocess.run(["umount", "-l", self.mnt], check=False, capture_output=True)
            self.mount()
            answer = self.verified(first)
            self.check(answer.get("rotations", 0) + 1 >= version, f"{answer} after {version - 1} rotations")
            version = answer.get("rotations", 0) + 1
            self.verified(self.vkey())
            self.assayfs("umount", "mnt")
        self.mount()
        self.rotate()  # also in place of a half-written vault.json.tmp, which fsck would name
        self.verified(first)
        self.assayfs("umount", "mnt")
        self.assayfs("fsck", "--passfile", "pass", "v")


if __name__ == "__main__":
    sys.exit(LogKeys().run())
