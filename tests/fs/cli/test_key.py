#!/usr/bin/env python3
"""Keys, slots, locking, from the command line on a real mount.

usage: test_key.py ASSAYFS SOURCE ASSAYFS_AGED

ASSAYFS_AGED is the program for which days pass when the test says so (aged.c).

tests: fs/service/key, fs/service/slot, fs/command/key, fs/command/key_list, fs/command/key_slot, fs/command/key_recipient, fs/command/lock,
fs/watch/keys
"""
import errno
import json
import os
import pty
import shutil
import subprocess
import sys
import termios
import time

from backing import BackupTests, CHEAP
from cli import ASSAYFS, SOURCE
import program

sys.path.append(os.path.join(SOURCE, "tests/format"))
import reader  # noqa: E402

if not os.path.exists("/dev/fuse"):
    print("skipped: /dev/fuse is missing")
    sys.exit(77)

AGED = program.for_everybody(sys.argv[3])
POLICY = """version: 1
datasets: [{name: data, match: "*.csv", rules: data.dqdl, settle: 100ms}]
workflows: [{name: arrive, dataset: data, from: Landing, to: Trusted, on: close}]
"""
ROLES = """version: 1
roles: {steward: {users: [root, "64002"]}, auditor: {users: ["64003"]}}
"""
RULES = "Rules = [ RowCount > 1 ]\n"
GOOD = b"name,kind\na,cat\nb,dog\nc,cat\n"
STEWARD, AUDITOR, NOBODY = 64002, 64003, 64004
ALIASES = ["alias/audit", "alias/header", "alias/landing", "alias/metadata", "alias/raw", "alias/trusted", "alias/verdict"]
KEY_FIELDS = {"alias", "id", "version", "kind", "state", "vital", "here", "created", "rotated", "deletion", "rotate_every_days", "uses", "seals",
              "opens", "segments", "bytes", "old_segments", "old_bytes", "rewrapping", "waits_for_bytes", "own", "slots"}


class Keys(BackupTests):
    # ---- what the tests share ----

    def listed(self, mnt="mnt"):
        """({alias: key}, [slot])"""
        found = self.json("key", "list", "--json", mnt)
        return {key["alias"]: key for key in found["keys"]}, found["slots"]

    def key(self, alias):
        return self.listed()[0][alias]

    def with_zones(self):
        """A mount with the same file in all three zones."""
        self.mounted("-o", "allow_other")
        os.makedirs(self.path("policy"))
        self.write("policy/policy.yaml", POLICY)
        self.write("policy/data.dqdl", RULES)
        self.assayfs("policy", "apply", "policy", "mnt")
        self.put("Landing/a.csv", GOOD)
        self.assayfs("why", "--wait", "mnt/Landing/a.csv", code=None)
        deadline = time.monotonic() + 30
        while not os.path.exists(os.path.join(self.mnt, "Trusted/a.csv")) and time.monotonic() < deadline:
            time.sleep(0.1)
        for zone in ("Landing", "Raw", "Trusted"):
            self.check(self.get(f"{zone}/a.csv") == GOOD, f"nothing in {zone}")

    def refused(self, name, error, mode="rb", words=""):
        """What somebody is told who opens and reads (or writes) it."""
        try:
            with open(os.path.join(self.mnt, name), mode, buffering=0) as file:
                file.read(1) if mode == "rb" else file.write(b"x")
        except OSError as e:
            self.check(e.errno == error, f"{name}: {e}, not {errno.errorcode[error]} {words}")
            return
        self.check(False, f"{name}: not refused {words}")

    def told(self, name, key, words, mode="read"):
        """Who is refused for want of a key is told which, through a pipe, and so is who reads the record."""
        tried = subprocess.run(["cat", os.path.join(self.mnt, name)], capture_output=True, check=False) if mode == "read" else \
            subprocess.run(["cp", "/etc/hostname", os.path.join(self.mnt, name)], capture_output=True, check=False)
        said = tried.stderr.decode()
        self.check(tried.returncode == 1 and said.startswith("assayfs: ") and key in said and words in said, f"{name}: told {said!r}")
        records = [r for r in self.records("--event", "open,create") if r.get("path") == name and r["outcome"] == "denied"]
        detail = records[-1]["detail"] if records else ""
        self.check(detail.startswith(mode) and key in detail and words in detail, f"{name}: recorded {detail!r}")

    def recipient(self, name):
        """A new key pair: (its file, its public text)."""
        return self.path(name), self.assayfs("key", "recipient", "new", name).out.strip()

    def denied(self, event):
        return [r for r in self.records("--event", event) if r["outcome"] == "denied"]

    def records(self, *filters):
        self.assayfs("sync", "mnt")
        text = self.assayfs("log", "--json", *filters, "mnt").out
        return [json.loads(line) for line in text.splitlines()]

    def as_user(self, uid, *arguments):
        return subprocess.run([ASSAYFS, *arguments], cwd="/", user=uid, group=uid, extra_groups=[], capture_output=True, timeout=60, check=False)

    # ---- list ----

    def test_a_new_vault_has_its_keys_and_two_slots(self):
        self.mounted()
        self.put("Landing/a", b"something")
        self.assayfs("sync", "mnt")
        keys, slots = self.listed()
        self.check(sorted(keys) == ALIASES, f"{sorted(keys)}")
        for alias, key in keys.items():
            self.check(set(key) == KEY_FIELDS, f"{alias}: {set(key) ^ KEY_FIELDS}")
            self.check((key["version"], key["state"], key["deletion"], key["here"]) == (1, "enabled", None, True), f"{key}")
            self.check(key["created"].endswith("Z") and key["rotated"] is None, f"{key}")
            self.check((key["uses"] is None) == (key["seals"] is None) == (key["opens"] is None) == key["vital"], f"{key}")
            self.check(sorted(key["slots"]) == sorted(slot["id"] for slot in slots), f"{key['slots']}")
        self.check([keys[a]["vital"] for a in ("alias/metadata", "alias/audit", "alias/raw")] == [True, True, False], "which are vital")
        self.check(keys["alias/metadata"]["id"] == "meta" and keys["alias/landing"]["seals"] > 0, f"{keys['alias/landing']}")
        self.check(sorted((s["type"], s["limited"], s["ours"]) for s in slots) == [("passphrase", False, True), ("recovery", False, False)], f"{slots}")
        for slot in slots:
            self.check(len(slot["id"]) == 32 and sorted(slot["keys"]) == ALIASES, f"{slot}")
        words = self.assayfs("key", "list", "mnt").out
        for part in ("alias/raw", "enabled", "passphrase", " *", "all"):
            self.check(part in words, f"no {part}: {words}")
        metrics = self.get(".assayfs/metrics").decode()
        self.check('assayfs_key_uses_total{key="alias/raw",use="seal"} ' in metrics and 'uses_total{key="alias/audit"' not in metrics, "uses")
        for part in ('assayfs_key_age_seconds{key="alias/raw"} ', 'assayfs_key_enabled{key="alias/raw"} 1', "assayfs_locked 0"):
            self.check(part in metrics, f"no {part}")

    # ---- rotating ----

    def test_a_rotated_key_seals_anew_and_opens_what_was(self):
        self.mounted()
        self.put("Landing/old", b"old" * 1000)
        told = self.assayfs("key", "rotate", "landing", "mnt").out
        self.check("alias/landing: version 2 " in told, told)
        self.put("Landing/new", b"new" * 1000)
        self.assayfs("sync", "mnt")
        key = self.key("alias/landing")
        self.check(key["version"] == 2 and key["old_segments"] >= 1 and key["segments"] > key["old_segments"], f"{key}")
        self.check(self.get("Landing/old") == b"old" * 1000 and self.get("Landing/new") == b"new" * 1000, "content")
        self.assayfs("umount", "mnt")
        self.mount()
        self.check(self.get("Landing/old") == b"old" * 1000 and self.get("Landing/new") == b"new" * 1000, "content after a mount")
        self.check(len(self.records("--event", "key-rotate")) == 1, "one record")

    def test_what_older_versions_sealed_is_sealed_anew_with_rewrap(self):
        self.mounted()
        content = os.urandom(300000)
        self.put("Landing/old", content)
        told = self.assayfs("key", "rotate", "--rewrap", "--wait", "alias/landing", "mnt")
        self.check("sealed anew." in told.out, told.out)
        self.check(told.err.count("\n") == 1 and "assayfs key rotate: waiting: " in told.err, told.err)
        key = self.key("alias/landing")
        self.check((key["version"], key["old_segments"], key["old_bytes"], key["rewrapping"]) == (2, 0, 0, False), f"{key}")
        self.check(self.get("Landing/old") == content, "content")
        self.assayfs("umount", "mnt")
        self.assayfs("fsck", "--passfile", "pass", "v")

    def test_all_are_rotated_but_those_that_can_not_be(self):
        self.mounted()
        self.assayfs("key", "disable", "raw", "mnt")
        found = self.json("key", "rotate", "--all", "--json", "mnt")
        self.check("alias/landing" in [k["alias"] for k in found["rotated"]] and "alias/header" in [k["alias"] for k in found["rotated"]], f"{found}")
        skipped = {row["skipped"]: row["why"] for row in found["skipped"]}
        self.check(set(skipped) == {"alias/raw"}, f"{skipped}")
        self.check(self.key("alias/metadata")["version"] == self.key("alias/audit")["version"] == 2, "those of the metadata and the log")
        self.check(self.key("alias/raw")["version"] == 1 and self.key("alias/trusted")["version"] == 2, "versions")
        for arguments in (["rotate", "mnt", "--all", "raw"], ["rotate"], ["rotate", "--wait", "raw"], ["rotate", "--rewrap", "--every", "3", "raw"],
                          ["rotate", "--every", "-3", "raw"]):
            self.assayfs("key", *arguments, code=2)
        self.one_line(self.assayfs("key", "rotate", "raw", "mnt", code=1), "key alias/raw is disabled", "assayfs key enable")
        self.one_line(self.assayfs("key", "rotate", "none", "mnt", code=1), "there is no key none", "alias/raw")

    def test_a_key_is_rotated_by_itself_when_that_was_said(self):
        self.mounted()
        self.assayfs("key", "rotate", "--every", "90", "trusted", "mnt")
        key = self.key("alias/trusted")
        self.check((key["version"], key["rotate_every_days"]) == (1, 90), f"{key}")
        self.check("90 days" in self.assayfs("key", "list", "mnt").out, "list")
        self.assayfs("key", "rotate", "--every", "0", "trusted", "mnt")
        self.check(self.key("alias/trusted")["rotate_every_days"] == 0, "it was ended")

    def test_a_rotation_that_failed_promises_nothing(self):
        self.mounted()
        for arguments in (["nokey", "mnt"], ["--json", "nokey", "mnt"], ["--wait", "nokey", "mnt"], ["raw", "v"]):
            tried = self.assayfs("key", "rotate", "--rewrap", *arguments, code=None)
            self.check(tried.returncode != 0 and tried.out == "" and tried.err, f"{arguments}: {tried.out!r} {tried.err!r}")

    def test_what_the_verbs_answer_is_how_the_key_is(self):
        self.mounted()
        self.put("Landing/old", b"x" * 100000)

        def is_so(found, alias, words):
            here = self.key(alias)
            for name in set(here) - {"uses", "seals", "opens"}:
                self.check(found.get(name) == here[name], f"{words}: {name}: {found.get(name)}, not {here[name]}")
            self.check(len(here["slots"]) == 2, f"{here}")

        found = self.json("key", "rotate", "--rewrap", "--wait", "--json", "landing", "mnt")["rotated"]
        is_so(found[0], "alias/landing", "rotate")
        self.check(len(found) == 1 and (found[0]["rewrapping"], found[0]["old_segments"]) == (False, 0), f"{found}")
        for verb in (["disable"], ["enable"], ["schedule-deletion", "--days", "9"], ["cancel-deletion"], ["enable"]):
            is_so(self.json("key", *verb, "--json", "raw", "mnt"), "alias/raw", verb)
        is_so(self.json("key", "alias", "--json", "ours", "raw", "mnt"), "alias/ours", "alias")
        told = self.json("key", "rotate", "--every", "30", "--json", "trusted", "mnt")
        self.check(set(told) == {"every", "skipped"} and told["every"][0]["rotate_every_days"] == 30 and told["every"][0]["version"] == 1, f"{told}")

    # ---- states ----

    def test_a_disabled_key_makes_exactly_its_data_unreadable(self):
        self.with_zones()
        found = self.json("key", "disable", "--json", "alias/raw", "mnt")
        self.check(found["state"] == "disabled" and found["alias"] == "alias/raw", f"{found}")
        self.refused("Raw/a.csv", errno.EKEYREVOKED)
        self.check(self.get("Landing/a.csv") == GOOD and self.get("Trusted/a.csv") == GOOD, "the others go on")
        self.check(os.stat(os.path.join(self.mnt, "Raw/a.csv")).st_size == len(GOOD), "its size is known")
        denial = [r for r in self.records("--event", "open") if r.get("path") == "Raw/a.csv" and r["outcome"] == "denied"]
        self.check(denial and denial[-1]["errno"] == errno.EKEYREVOKED, f"{denial}")
        status = self.json("status", "--json", "mnt")["keys"]
        self.check(status == {"disabled": 1, "pending_deletion": 0, "away": [{"alias": "alias/raw", "id": "raw", "state": "disabled"}]}, f"{status}")
        self.check("!! alias/raw is disabled" in self.assayfs("status", "mnt").out, "status")
        self.told("Raw/a.csv", "alias/raw", "is disabled")
        words = self.assayfs("info", "v").out
        self.check("raw.1 (disabled)" in words and " landing.1 " in words, f"info: {words}")
        self.check('assayfs_key_enabled{key="alias/raw"} 0' in self.get(".assayfs/metrics").decode(), "metric")
        earlier = ".assayfs/versions/Raw/a.csv/1"  # by that way, too, and on record
        self.refused(earlier, errno.EKEYREVOKED)
        denial = [r for r in self.records("--event", "open") if r.get("path") == earlier and r["outcome"] == "denied"]
        self.check(denial and denial[-1]["errno"] == errno.EKEYREVOKED, f"{denial}")
        self.assayfs("umount", "mnt")
        self.mount()
        self.refused("Raw/a.csv", errno.EKEYREVOKED, words="after a mount")
        # Who is looked for is found in what can be read, and the rest is named.
        told = self.assayfs("find-subject", "mnt", stdin=None, input=b"dog\n", code=None)
        self.check("Landing/a.csv" in told.out and "Raw/a.csv" in told.out + told.err, f"{told}")
        self.assayfs("key", "enable", "raw", "mnt")
        self.check(self.get("Raw/a.csv") == GOOD, "enabled again")

    def test_what_arrives_waits_for_a_disabled_key_and_is_told_so(self):
        self.with_zones()
        self.assayfs("key", "disable", "raw", "mnt")
        better = GOOD + b"d,cow\n"
        self.put("Landing/a.csv", better)
        deadline = time.monotonic() + 30
        while "alias/raw is disabled" not in (told := self.assayfs("why", "mnt/Landing/a.csv", code=None).out) and time.monotonic() < deadline:
            time.sleep(0.1)
        self.check("waits for a key" in told and "alias/raw is disabled" in told, told)
        time.sleep(6)  # attempts come each two seconds, at first
        failed = [r for r in self.records("--event", "arrive") if r["outcome"] == "error"]
        self.check(len(failed) == 1 and "alias/raw" in failed[0]["detail"], f"told once: {failed}")
        waiting = subprocess.Popen([ASSAYFS, "why", "--wait", "mnt/Landing/a.csv"], cwd=self.directory, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        said = waiting.stderr.readline()
        self.check("waits for a key" in said and "alias/raw is disabled" in said and waiting.poll() is None, said)
        began = time.monotonic()
        self.assayfs("key", "enable", "raw", "mnt")
        out, rest = waiting.communicate(timeout=60)
        self.check(waiting.returncode == 0 and "passed" in out and rest == "", f"{waiting.returncode} {out} {rest}")
        while self.get("Trusted/a.csv") != better and time.monotonic() < began + 20:
            time.sleep(0.1)
        self.check(self.get("Trusted/a.csv") == better, "it is taken up at once")

    def test_what_is_erased_while_a_key_is_away_says_what_it_waits_for(self):
        self.mounted()
        self.put("Landing/kept", os.urandom(50000))
        self.put("Landing/secret", b"secret" * 1000)
        self.assayfs("sync", "mnt")
        self.assayfs("key", "disable", "landing", "mnt")
        began = time.monotonic()
        told = self.assayfs("erase", "--reason", "on request", "mnt/Landing/secret", code=None)
        self.check(told.returncode != 0 and "it is erased, but" in told.err and "key is enabled" in told.err, f"{told}")
        self.check(time.monotonic() - began < 30, "it came to an end")
        self.assayfs("key", "enable", "landing", "mnt")
        self.assayfs("gc", "mnt")
        self.check(self.get("Landing/kept") != b"" and not os.path.exists(os.path.join(self.mnt, "Landing/secret")), "the other stays")

    def test_what_is_open_and_in_memory_is_disabled_too(self):
        self.mounted()
        path = self.put("Landing/a", os.urandom(500000))
        with open(path, "rb", buffering=0) as file:
            file.read(10)
            self.assayfs("key", "disable", "landing", "mnt")
            for at in 0, 400000:  # of the first the kernel had a page
                try:
                    os.pread(file.fileno(), 4096, at)
                    self.check(False, f"it was read at {at}")
                except OSError as e:
                    self.check(e.errno == errno.EKEYREVOKED, f"{e}")
        self.refused("Landing/new", errno.EKEYREVOKED, "wb")
        self.assayfs("key", "enable", "landing", "mnt")
        self.put("Landing/new", b"new")

    def test_keys_that_the_vault_needs_are_neither_disabled_nor_deleted(self):
        self.mounted()
        for alias in "metadata", "audit", "header", "verdict":
            for verb in "disable", "schedule-deletion":
                self.one_line(self.assayfs("key", verb, alias, "mnt", code=1), f"alias/{alias}")
        self.assayfs("sync", "mnt")

    def test_a_deletion_is_scheduled_within_bounds_and_cancelled(self):
        self.with_zones()
        for days in "6", "31", "0", "-7", "x", "":
            self.assayfs("key", "schedule-deletion", "--days", days, "raw", "mnt", code=2)
        self.check(self.key("alias/raw")["state"] == "enabled", "nothing was done")
        before = time.time()
        self.assayfs("key", "schedule-deletion", "--days", "7", "raw", "mnt")
        key = self.key("alias/raw")
        when = time.strftime("%Y-%m-%dT%H", time.gmtime(before + 7 * 86400))
        self.check(key["state"] == "pending-deletion" and key["deletion"][:11] == when[:11], f"{key}")
        warning = [line for line in self.assayfs("key", "list", "mnt").out.splitlines() if line.startswith("!! alias/raw is deleted at ")]
        self.check(len(warning) == 1 and key["deletion"][:19] + "Z," in warning[0], f"the list warns to the second: {warning}")
        self.one_line(self.assayfs("key", "schedule-deletion", "--days", "30", "raw", "mnt", code=1), "already", "cancel")
        self.check(self.key("alias/raw")["deletion"] == key["deletion"], "the day was moved")
        self.refused("Raw/a.csv", errno.EKEYREVOKED)
        status = self.json("status", "--json", "mnt")["keys"]
        self.check(status["pending_deletion"] == 1 and status["away"][0]["deletion"] == key["deletion"], f"{status}")
        self.check(f"!! alias/raw is deleted at {key['deletion']}" in self.assayfs("status", "mnt").out, "status")
        self.assayfs("key", "enable", "raw", "mnt", code=1)
        self.assayfs("key", "cancel-deletion", "raw", "mnt")
        key = self.key("alias/raw")
        self.check((key["state"], key["deletion"]) == ("disabled", None), f"{key}")
        self.refused("Raw/a.csv", errno.EKEYREVOKED)
        self.one_line(self.assayfs("key", "cancel-deletion", "raw", "mnt", code=1), "no deletion to be cancelled", "is disabled")
        self.assayfs("key", "enable", "raw", "mnt")
        self.one_line(self.assayfs("key", "cancel-deletion", "raw", "mnt", code=1), "no deletion to be cancelled", "is enabled")
        self.check(self.get("Raw/a.csv") == GOOD, "enabled again")
        self.check(self.json("status", "--json", "mnt")["keys"] == {"disabled": 0, "pending_deletion": 0, "away": []}, "nothing is away")
        self.check("alias/" not in self.assayfs("status", "mnt").out, "status")

    def test_a_key_is_deleted_when_its_time_has_come_and_what_it_sealed_with_it(self):
        self.with_zones()
        self.assayfs("key", "rotate", "--every", "365", "trusted", "mnt")
        self.assayfs("key", "schedule-deletion", "--days", "10", "raw", "mnt")
        self.assayfs("umount", "mnt")
        self.mount_later(AGED, 9)
        self.check(self.key("alias/raw")["state"] == "pending-deletion", "not before")
        time.sleep(62 - time.time() % 60)
        self.check(self.key("alias/raw")["state"] == "pending-deletion", "nor after a minute")
        self.write("age", "11")
        self.check(self.key("alias/raw")["state"] == "pending-deletion", "a minute has to pass")
        deadline = time.monotonic() + 90
        while self.key("alias/raw")["state"] != "deleted" and time.monotonic() < deadline:
            time.sleep(1)
        key = self.key("alias/raw")
        self.check((key["state"], key["deletion"], key["slots"]) == ("deleted", None, []), f"{key}")
        self.refused("Raw/a.csv", errno.EKEYEXPIRED)
        self.check(self.get("Landing/a.csv") == GOOD and self.get("Trusted/a.csv") == GOOD, "the others go on")
        self.put("Landing/a.csv", GOOD + b"d,cow\n")
        time.sleep(5)
        failed = [r["detail"] for r in self.records("--event", "arrive") if r["outcome"] == "error"]
        self.check(len(failed) == 1 and "given up" in failed[0] and "deleted" in failed[0], f"given up at once: {failed}")
        for verb in "enable", "cancel-deletion", "rotate":
            self.one_line(self.assayfs("key", verb, "raw", "mnt", code=1), "deleted")
        deleted = self.records("--event", "key-delete")
        self.check(len(deleted) == 1 and "raw" in deleted[0]["detail"] and deleted[0]["exe"] == os.path.basename(AGED), f"{deleted}")
        self.assayfs("umount", "mnt")
        self.mount()
        self.refused("Raw/a.csv", errno.EKEYEXPIRED, words="after a mount")
        self.assayfs("umount", "mnt")
        self.assayfs("fsck", "--passfile", "pass", "v")
        self.mount_later(AGED, 366)
        key = self.key("alias/trusted")
        self.check(key["version"] == 2 and self.key("alias/landing")["version"] == 1, f"rotated by itself: {key}")

    def test_a_key_has_the_name_that_one_gives_it(self):
        self.mounted()
        told = self.assayfs("key", "alias", "project-animallost-key", "trusted", "mnt").out
        self.check(told == "alias/project-animallost-key: from now on the name of the key trusted (its id stays trusted)\n", told)
        self.check(self.key("alias/project-animallost-key")["id"] == "trusted", "the name")
        self.assayfs("key", "disable", "alias/project-animallost-key", "mnt")
        self.assayfs("key", "enable", "alias/trusted", "mnt")  # its own goes on to work
        self.one_line(self.assayfs("key", "alias", "alias/project-animallost-key", "raw", "mnt", code=1), "the name of another key already, whose id is trusted")
        self.assayfs("key", "alias", "clean", "raw", "mnt")
        self.one_line(self.assayfs("key", "alias", "raw", "trusted", "mnt", code=1), "the name of another key already, by itself; it is called alias/clean")
        self.assayfs("key", "alias", "no/such name", "trusted", "mnt", code=2)
        _, slots = self.listed()
        self.check("alias/project-animallost-key" in slots[0]["keys"], f"{slots[0]}")

    def test_a_mount_in_the_place_of_a_key_is_told_from_one(self):
        self.mounted()
        for arguments in (["disable"], ["rotate"], ["remove"], ["alias", "x"], ["recipient", "add"]):
            self.one_line(self.assayfs("key", *arguments, "mnt", code=2), "mnt is a mount; what of it?", "usage: assayfs key " + arguments[0])
        self.one_line(self.assayfs("key", "rotate", "mnt", "raw", code=2), "mnt is a mount: it comes last")
        self.one_line(self.assayfs("key", "rotate", "raw", "v", code=5), "no mounted vault")

    # ---- slots ----

    def test_a_passphrase_is_changed_while_mounted(self):
        self.mounted()
        self.put("Landing/a", b"something")
        self.write("new", "another horse\n")
        made = self.json("key", "add", *CHEAP, "--new-passfile", "new", "--label", "Bö", "--json", "mnt")
        self.check(made["type"] == "passphrase" and made["label"] == "Bö" and made["recovery_key"] is None, f"{made}")
        old = next(s["id"] for s in self.listed()[1] if s["ours"])
        self.one_line(self.assayfs("key", "add", *CHEAP, "--new-passfile", "new", "mnt", code=1), f"this passphrase opens slot {made['id'][:8]} already, Bö")
        self.check("by this one the vault" in self.assayfs("key", "list", "mnt").out, "the legend")
        self.assayfs("key", "remove", old[:8], "mnt")
        self.check("by this one the vault" not in self.assayfs("key", "list", "mnt").out, "a legend of nothing")
        self.assayfs("umount", "mnt")
        self.assayfs("mount", "--passfile", "pass", "v", "mnt", code=12)
        self.assayfs("mount", "--passfile", "new", "v", "mnt")
        self.check(self.get("Landing/a") == b"something", "content")
        slot = next(s for s in self.listed()[1] if s["ours"])
        self.check((slot["id"], slot["label"]) == (made["id"], "Bö"), f"{slot}")

    def test_a_new_passphrase_is_asked_for_twice(self):
        self.mounted()

        def typed(*lines):
            pid, terminal = pty.fork()
            if pid == 0:
                os.chdir(self.directory)
                os.execv(ASSAYFS, [ASSAYFS, "key", "add", *CHEAP, "mnt"])
            seen = b""
            for prompt, line in zip((b": ", b"again: "), lines):
                while not seen.endswith(prompt):
                    seen += os.read(terminal, 1000)
                while termios.tcgetattr(terminal)[3] & termios.ECHO:  # what comes before that is thrown away
                    time.sleep(0.01)
                seen = b""
                os.write(terminal, line)
            try:
                while os.read(terminal, 1000):
                    pass
            except OSError:  # its other end is closed
                pass
            os.close(terminal)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

        self.check(typed(b"one\n", b"two\n") == 2, "two that differ")
        self.check(typed(b"typed\n", b"typed\n") == 0, "two that are the same")
        self.assayfs("umount", "mnt")
        self.write("typed", "typed")
        self.assayfs("mount", "--passfile", "typed", "v", "mnt")

    def test_a_key_file_and_a_recovery_key_open_what_they_were_added_to(self):
        self.mounted()
        self.put("Landing/a", b"something")
        self.write("key", os.urandom(64) + b"\0\n")
        self.write("short", b"short")
        self.assayfs("key", "add", "--keyfile", "key", "mnt")
        self.one_line(self.assayfs("key", "add", "--keyfile", "short", "mnt", code=2), "short")
        self.assayfs("key", "add", "--keyfile", "none", "mnt", code=1)
        recovery = self.json("key", "add", "--recovery", "--json", "mnt")["recovery_key"]
        self.write("recovery", recovery + "\n")
        self.assayfs("umount", "mnt")
        for option in ["--keyfile", "key"], ["--recovery-key-file", "recovery"]:
            self.assayfs("mount", *option, "v", "mnt")
            self.check(self.get("Landing/a") == b"something", f"content by {option}")
            self.assayfs("umount", "mnt")
            self.assayfs("fsck", *option, "v")
        self.write("other", os.urandom(64))
        self.assayfs("mount", "--keyfile", "other", "v", "mnt", code=12)
        self.assayfs("mount", "--keyfile", "key", "--passfile", "pass", "v", "mnt", code=2)
        self.assayfs("mount", "--identity", "recovery", "v", "mnt", code=None)

    def test_a_recipient_has_a_secret_of_its_own(self):
        self.mounted()
        secret, public = self.recipient("bo")
        self.check(public.startswith("assayfs-recipient-") and os.stat(secret).st_mode & 0o777 == 0o600, f"{public}")
        with open(secret, encoding="ascii") as file:
            text = file.read()
        self.check(text.startswith("ASSAYFS-SECRET-") and text.endswith("\n"), "the file")
        self.one_line(self.assayfs("key", "recipient", "new", "bo", code=1), "bo")
        self.assayfs("key", "recipient", "add", "--label", "Bo", public, "mnt")
        slot = next(s for s in self.listed()[1] if s["type"] == "recipient")
        self.check((slot["recipient"], slot["label"], slot["limited"]) == (public, "Bo", False), f"{slot}")
        self.assayfs("key", "recipient", "add", public, "mnt", code=1)  # has one
        told = self.one_line(self.assayfs("key", "add", "--recipient", text.strip(), "mnt", code=2))
        self.check(text.strip() not in told.err, "the secret is repeated")
        self.assayfs("key", "recipient", "add", "assayfs-recipient-0", "mnt", code=2)
        self.assayfs("umount", "mnt")
        self.assayfs("mount", "--identity", "bo", "v", "mnt")
        self.put("Landing/a", b"written by Bo")

    def test_an_analyst_reads_trusted_and_has_not_the_key_of_raw(self):
        self.with_zones()
        _, public = self.recipient("ana")
        made = self.json("key", "add", "--recipient", public, "--zones", "Trusted", "--json", "mnt")
        slot = next(s for s in self.listed()[1] if s["id"] == made["id"])
        self.check(slot["limited"] and sorted(slot["keys"]) == ["alias/metadata", "alias/trusted"], f"{slot}")
        self.assayfs("umount", "mnt")
        told = self.assayfs("mount", "--identity", "ana", "v", "mnt")
        self.check("read-only" in told.err, f"it says so: {told.err}")
        self.check(self.get("Trusted/a.csv") == GOOD, "Trusted is read")
        self.check(sorted(os.listdir(os.path.join(self.mnt, "Raw"))) == ["a.csv"], "names are to be seen")
        self.refused("Raw/a.csv", errno.ENOKEY)
        self.refused("Landing/a.csv", errno.ENOKEY)
        self.refused("Landing/new", errno.EROFS, "wb")
        keys, slots = self.listed()
        self.check(keys["alias/trusted"]["here"] and not keys["alias/raw"]["here"], f"{keys['alias/raw']}")
        self.check([s["id"] for s in slots if s["ours"]] == [made["id"]], f"{slots}")
        for verb in (["rotate", "trusted"], ["disable", "trusted"], ["add", "--recovery"], ["remove", made["id"]]):
            self.one_line(self.assayfs("key", *verb, "mnt", code=1), "limited")
        status = self.json("status", "--json", "mnt")
        self.check(status["read_only"] is True, "the status")
        self.assayfs("umount", "mnt")
        self.assayfs("fsck", "--passfile", "pass", "v")

    def test_who_was_removed_opens_nothing_that_is_written_after_a_rotation(self):
        self.mounted()
        _, public = self.recipient("bo")
        self.assayfs("key", "recipient", "add", public, "mnt")
        self.put("Landing/before", b"before")
        self.assayfs("sync", "mnt")
        shutil.copy(self.path("v/vault.json"), self.path("kept"))
        slot = next(s for s in self.listed()[1] if s["type"] == "recipient")
        told = self.assayfs("key", "remove", slot["id"], "mnt").out
        self.check("key rotate --all" in told, told)
        self.assayfs("key", "rotate", "--all", "mnt")
        self.put("Landing/after", b"after")
        self.assayfs("umount", "mnt")
        self.assayfs("mount", "--identity", "bo", "v", "mnt", code=1)  # there is no slot of that type
        shutil.copytree(self.path("v"), self.path("copy"))
        shutil.copy(self.path("kept"), self.path("copy/vault.json"))
        for options in [], ["--accept-restore"], ["-o", "ro"]:
            told = self.assayfs("mount", "--identity", "bo", *options, "--state-dir", self.path("elsewhere"), "copy", "mnt", code=3)
            self.one_line(told, "version 2 of the key alias/metadata", "vault.json")
        self.assayfs("fsck", "--identity", "bo", "--repair", "--accept-loss", "copy", code=None)
        self.assayfs("mount", "--identity", "bo", "--accept-restore", "--state-dir", self.path("elsewhere"), "copy", "mnt", code=3)
        shutil.copy(self.path("v/vault.json"), self.path("copy/vault.json"))  # nothing was harmed
        self.assayfs("fsck", "--passfile", "pass", "copy")

    def test_the_keys_of_content_alone_keep_who_was_removed_from_content(self):
        self.mounted()
        self.put("Landing/before", b"before")
        self.assayfs("sync", "mnt")
        shutil.copy(self.path("v/vault.json"), self.path("kept"))
        self.assayfs("key", "rotate", "landing", "mnt")
        self.put("Landing/after", b"after")
        self.assayfs("umount", "mnt")
        shutil.copytree(self.path("v"), self.path("copy"))
        shutil.copy(self.path("kept"), self.path("copy/vault.json"))
        told = self.assayfs("mount", "--passfile", "pass", "--state-dir", self.path("elsewhere"), "copy", "mnt", code=1)
        self.one_line(told, "an older one was put back", "--accept-restore")
        self.assayfs("mount", "--passfile", "pass", "--accept-restore", "--state-dir", self.path("elsewhere"), "copy", "mnt")
        self.check(len(self.records("--event", "key-found")) == 1, "the log does not say so")
        self.check(self.get("Landing/before") == b"before", "what he had")
        self.refused("Landing/after", errno.ENOKEY)

    def test_the_metadata_go_through_rotations_with_backup_and_recovery(self):
        self.mounted()
        _, url = self.place()
        self.add(url, "--create")
        times = []
        for turn, name in enumerate(["one", "two", "three"]):
            self.put(f"Landing/{name}", name.encode())
            self.is_whole(url)
            times.append(time.time())
            time.sleep(1.2)
            told = self.assayfs("key", "rotate", *(["--rewrap", "--wait"] if turn else []), "metadata", "mnt").out
            self.check(f"alias/metadata: version {turn + 2} " in told, told)
            key = self.key("alias/metadata")
            self.check((key["old_bytes"] > 0, key["rewrapping"]) == (turn == 0, False) and key["bytes"] > 0, f"{key}")
        self.put("Landing/four", b"four")
        self.is_whole(url)
        self.check(self.verify() is not None, "the backup is whole")
        self.assayfs("umount", "mnt")
        self.assayfs("fsck", "--passfile", "pass", "v")
        vault = reader.Vault(self.path("v"), "passphrase", b"correct horse")
        self.check(vault.read("Landing/four") == b"four" and vault.read("Landing/one") == b"one", "another reader")
        for at, names in [(None, "one two three four"), (times[0], "one"), (times[1], "one two")]:
            self.assayfs("recover", "--full", "--passfile", "pass", *(["--at", f"@{int(at)}"] if at else []), url, "back")
            self.assayfs("fsck", "--passfile", "pass", "back")
            self.assayfs("mount", "-o", "ro", "--passfile", "pass", "--state-dir", self.path(f"state-{at}"), "back", "mnt")
            self.check(sorted(os.listdir(self.path("mnt/Landing"))) == sorted(names.split()), f"{at}: {os.listdir(self.path('mnt/Landing'))}")
            self.assayfs("umount", "mnt")
            shutil.rmtree(self.path("back"))

    def test_the_metadata_are_sealed_anew_while_there_is_room(self):
        if os.getuid() != 0:
            return
        disk, hog = self.path("v"), self.path("v/hog")
        os.makedirs(disk)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", disk], check=True)

        def fill():
            with open(hog, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, os.statvfs(disk).f_bavail * 4096 - (2 << 20))

        try:
            self.mounted()
            for number in range(4000):
                self.put(f"Landing/{number:0200}", b"")
            self.put("Landing/content", b"to be read")
            self.assayfs("sync", "mnt")
            reserve = os.stat(self.path("v/reserve")).st_size
            fill()
            told = self.assayfs("key", "rotate", "--rewrap", "metadata", "mnt", code=1)
            self.one_line(told, "nothing was rotated", "MiB of room")
            self.check(self.key("alias/metadata")["version"] == 1, "it was rotated")
            os.remove(hog)
            waiting = subprocess.Popen([ASSAYFS, "key", "rotate", "--rewrap", "--wait", "metadata", "mnt"], cwd=self.directory,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            while not self.key("alias/metadata")["rewrapping"]:
                self.check(waiting.poll() is None, "it has ended")
            fill()
            told = waiting.communicate(timeout=60)[1]
            self.check(waiting.returncode == 1 and "MiB of room" in told, f"{waiting.returncode}: {told}")
            time.sleep(2)
            key = self.key("alias/metadata")
            self.check(key["rewrapping"] and key["waits_for_bytes"] > 2 << 20, f"{key}")
            self.check("waits for room" in self.assayfs("key", "list", "mnt").out, "the list")
            self.check("waits for room" in self.assayfs("status", "mnt").out, "the status")
            # The disk serves others as before.
            self.check(os.stat(self.path("v/reserve")).st_size == reserve, "it took the reserve")
            self.check(self.get("Landing/content") == b"to be read", "what is read")
            os.remove(self.path("mnt/Landing/content"))
            self.put("Landing/more", b"")
            os.remove(hog)
            for _ in range(300):
                key = self.key("alias/metadata")
                if not key["rewrapping"]:
                    break
                time.sleep(0.1)
            self.check((key["rewrapping"], key["old_bytes"], key["waits_for_bytes"]) == (False, 0, 0), f"{key}")
            self.assayfs("umount", "mnt")
            self.assayfs("fsck", "--passfile", "pass", "v")
        finally:
            self.clean_up()
            subprocess.run(["umount", disk], check=False)

    def test_a_key_file_and_a_recipient_bring_the_vault_back_from_its_backup(self):
        self.mounted()
        self.put("Landing/a", b"something")
        self.write("key", os.urandom(64))
        _, public = self.recipient("bo")
        self.assayfs("key", "add", "--keyfile", "key", "mnt")
        self.assayfs("key", "recipient", "add", public, "mnt")
        _, url = self.place()
        self.add(url, "--create")
        self.assayfs("backup", "sync", "--timeout", "100", url, "mnt")
        self.assayfs("umount", "mnt")
        for name, secret in ("one", ["--keyfile", "key"]), ("two", ["--identity", "bo"]):
            self.assayfs("recover", "--full", *secret, url, name)
            self.assayfs("fsck", *secret, name)

    def test_the_last_slot_stays(self):
        self.mounted()
        _, public = self.recipient("ana")
        self.assayfs("key", "add", "--recipient", public, "--zones", "Trusted", "mnt")
        _, slots = self.listed()
        recovery = next(s for s in slots if s["type"] == "recovery")
        ours = next(s for s in slots if s["ours"])
        gone = self.json("key", "remove", "--json", recovery["id"][:8], "mnt")
        self.check(gone == {"id": recovery["id"], "type": "recovery", "label": recovery["label"]}, f"{gone}")
        self.one_line(self.assayfs("key", "remove", ours["id"], "mnt", code=1), "last")
        self.assayfs("key", "remove", "0", "mnt", code=None)
        self.assayfs("key", "remove", recovery["id"], "mnt", code=1)
        self.check(len(self.listed()[1]) == 2, "the others stay")

    def test_what_makes_no_slot_is_refused_before_anything_is_done(self):
        self.mounted()
        self.write("new", "another\n")
        for options in (["--recovery", "--new-passfile", "new"], ["--recovery", "--zones", "Raw"], ["--new-passfile", "new", "--zones", ""],
                        ["--new-passfile", "new", "--zones", "Raw,,Trusted"], ["--new-passfile", "new", "--zones", "Attic"],
                        ["--recipient", "nobody"], ["--new-passfile", "pass", "--keyfile", "new"]):
            self.one_line(self.assayfs("key", "add", *CHEAP, *options, "mnt", code=2))
        self.check(len(self.listed()[1]) == 2, "a slot was made")

    # ---- locking ----

    def test_a_locked_mount_stays_and_gives_no_content(self):
        self.with_zones()
        self.assayfs("lock", "mnt")
        self.assayfs("lock", "mnt")
        for zone in "Landing", "Raw", "Trusted":
            self.refused(f"{zone}/a.csv", errno.EACCES)
        self.refused("Landing/new", errno.EACCES, "wb")
        self.check(os.stat(os.path.join(self.mnt, "Raw/a.csv")).st_size == len(GOOD), "its size is known")
        self.check(self.json("key", "list", "--json", "mnt")["locked"] is True, "the list says it")
        self.check("!! The vault is locked" in self.assayfs("key", "list", "mnt").out, "the list says it")
        self.check(self.json("status", "--json", "mnt")["locked"] is True, "the status")
        self.check("!! Locked" in self.assayfs("status", "mnt").out, "the status in words")
        self.check("assayfs_locked 1" in self.get(".assayfs/metrics").decode(), "metric")
        self.told("Landing/new.csv", "locked", "'assayfs unlock'", "write")
        self.told("Raw/a.csv", "locked", "'assayfs unlock'")
        tried = [r for r in self.records("--event", "open") if r.get("path") == "Raw/a.csv" and r["outcome"] == "denied"]
        self.check(tried and tried[-1]["errno"] == errno.EACCES, f"recorded: {tried}")
        self.write("wrong", "wrong\n")
        self.assayfs("unlock", "--passfile", "wrong", "mnt", code=12)
        self.refused("Raw/a.csv", errno.EACCES, words="after a wrong passphrase")
        self.assayfs("unlock", "--passfile", "pass", "mnt")
        self.check(self.get("Raw/a.csv") == GOOD, "unlocked")
        self.put("Landing/new", b"new")
        self.check([r["outcome"] for r in self.records("--event", "unlock")] == ["denied", "ok"], f"{self.records('--event', 'unlock')}")
        self.check(len(self.records("--event", "lock")) == 1, "one record of the locking")

    def test_a_lock_is_no_matter_of_who_asks_and_unlocking_says_what_lacks(self):
        self.mounted()
        self.write("k1", os.urandom(64))
        self.assayfs("key", "add", "--keyfile", "k1", "--zones", "Raw", "mnt")
        self.one_line(self.assayfs("unlock", "--keyfile", "k1", "mnt"), "is not locked")
        self.assayfs("lock", "mnt")
        for arguments in (["rotate", "raw"], ["rotate", "--all"], ["add", "--recovery"]):
            self.one_line(self.assayfs("key", *arguments, "mnt", code=1), "locked")
        ours = next(slot["id"] for slot in self.listed()[1] if slot["ours"])
        self.one_line(self.assayfs("unlock", "--keyfile", "k1", "mnt", code=1), "limited", ours[:8])
        self.write("wrong", "no such passphrase\n")
        self.assayfs("unlock", "--passfile", "wrong", "mnt", code=12)
        unlock = self.assayfs("unlock", "--passfile", "pass", "mnt")
        self.check(unlock.err == "", unlock.err)
        self.check([r["outcome"] for r in self.records("--event", "unlock")] == ["denied", "denied", "ok"], f"{self.records('--event', 'unlock')}")

    def test_what_was_written_before_the_lock_is_kept_and_nothing_after(self):
        self.mounted()
        with open(os.path.join(self.mnt, "Landing/a"), "w+b", buffering=0) as file:
            file.write(b"before")  # it may be in the kernel alone
            self.assayfs("lock", "mnt")
            try:
                os.pread(file.fileno(), 10, 0)
                self.check(False, "it was read")
            except OSError as e:
                self.check(e.errno == errno.EACCES, f"{e}")
            self.assayfs("unlock", "--passfile", "pass", "mnt")
            self.check(os.pread(file.fileno(), 10, 0) == b"before", "what was written before is gone")
        self.check(self.get("Landing/a") == b"before", "after the close")

    def test_a_request_that_is_none_of_the_command_s_is_refused(self):
        self.mounted()
        secret = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQQ=="
        for request in ({"type": "recipient"}, {"type": "recipient", "recipient": 7}, {"type": "keyfile", "zones": "Trusted", "secret": secret},
                        {"type": "keyfile", "zones": [], "secret": secret}, {"type": "keyfile", "zones": {}, "secret": secret},
                        {"type": "keyfile", "zones": [7], "secret": secret}, {"type": "keyfile"}, {"type": "kms", "secret": secret}, {"type": 7}, {}):
            items, end, words = self.ask("slot-add", **request)
            self.check(end < 0 and not items and words, f"{request}: {items} {end} {words}")
        self.check(len(self.listed()[1]) == 2, "a slot was made")

    def test_zones_add_up_and_what_is_one_is_given_once(self):
        self.mounted()
        public = self.recipient("id")[1]
        told = self.assayfs("key", "add", "--recipient", public, "--zones", "Trusted", "--zones", "Raw,Trusted", "mnt").out
        self.check("opens Trusted, Raw; a mount by it is read-only" in told, told)
        limited = [slot for slot in self.listed()[1] if slot["limited"]]
        self.check(len(limited) == 1 and {"alias/raw", "alias/trusted"} < set(limited[0]["keys"]) and "alias/landing" not in limited[0]["keys"], f"{limited}")
        self.write("k1", os.urandom(64))
        for options in (["--keyfile", "k1", "--keyfile", "k1"], ["--label", "a", "--label", "b", "--keyfile", "k1"]):
            self.one_line(self.assayfs("key", "add", *options, "mnt", code=2), f"{options[0]} is given twice")
        self.check("opens the vault." in self.assayfs("key", "add", "--keyfile", "k1", "mnt").out, "all of it")

    def test_a_secret_that_is_not_there_is_called_what_it_is(self):
        self.mounted()
        for size, words in ((31, "needs"), ((1 << 20) + 1, "is longer than")):
            self.write("odd", b"x" * size)
            self.one_line(self.assayfs("key", "add", "--keyfile", "odd", "mnt", code=2), "the key file odd", words)
        self.write("long", b"x" * 1100)
        self.one_line(self.assayfs("key", "add", "--new-passfile", "long", "mnt", code=2), "is longer than")
        options = {"start_new_session": True, "code": None}
        self.one_line(self.assayfs("key", "add", "mnt", **options), "no terminal", "--new-passfile FILE")
        self.one_line(self.assayfs("unlock", "--recovery-key", "mnt", **options), "no terminal", "--recovery-key-file FILE")
        self.one_line(self.assayfs("unlock", "mnt", **options), "no terminal", "--passfile FILE or --extpass COMMAND")
        self.one_line(self.assayfs("unlock", "--recovery-key-file", "none", "mnt", code=1), "opening the recovery key's file none")
        self.one_line(self.assayfs("unlock", "--identity", "none", "mnt", code=1), "opening the identity's file none")
        self.one_line(self.assayfs("unlock", "--passfile", "none", "mnt", code=1), "opening the passphrase's file none")

    def test_a_line_of_fstab_unlocks_by_any_slot(self):
        self.mounted()
        self.write("k1", os.urandom(64))
        secret, public = self.recipient("id")
        self.assayfs("key", "add", "--keyfile", "k1", "mnt")
        self.assayfs("key", "add", "--recipient", public, "mnt")
        for own in "idle-lock=1m", "passfile=pass", "kms":
            self.one_line(self.assayfs("mount", "-o", f"allow_other,{own},ro", "v", "mnt", code=2), f"-o {own}: that is an option of its own, --{own}")
        for option, slot in ((f"keyfile={self.path('k1')}", "keyfile"), (f"identity={secret}", "recipient")):
            self.assayfs("umount", "mnt")
            done = subprocess.run(["sh", os.path.join(SOURCE, "scripts/mount.fuse.assayfs"), self.path("v"), self.mnt, "-o", f"nofail,{option},idle-lock=1h"],
                                  env={**os.environ, "ASSAYFS": ASSAYFS}, capture_output=True, timeout=60, check=False)
            self.check(done.returncode == 0, f"{option}: {done.stderr.decode()}")
            self.check([x["type"] for x in self.listed()[1] if x["ours"]] == [slot], f"{option}: by another")
            self.check(self.json("status", "--json", "mnt")["idle_lock_ms"] == 3600000, f"{option}: idle-lock")

    def test_a_version_that_an_older_file_does_not_know_is_not_made_again(self):
        self.mounted()
        shutil.copy(self.path("v/vault.json"), self.path("old"))
        self.assayfs("key", "rotate", "landing", "mnt")
        self.assayfs("umount", "mnt")
        shutil.copy(self.path("v/vault.json"), self.path("newer"))
        shutil.copy(self.path("old"), self.path("v/vault.json"))
        self.assayfs("mount", "--accept-restore", "--passfile", "pass", "v", "mnt")
        self.check(self.key("alias/landing")["version"] == 1, "not the older file")
        self.assayfs("key", "rotate", "landing", "mnt")
        self.check(self.key("alias/landing")["version"] == 3, f"{self.key('alias/landing')}")
        # The file that was set aside has the generation that the vault's has now, and is another one.
        self.assayfs("umount", "mnt")
        generations = [json.loads(open(self.path(name)).read())["generation"] for name in ("newer", "v/vault.json")]
        self.check(generations[0] == generations[1], f"{generations}")
        shutil.copy(self.path("v/vault.json"), self.path("present"))
        shutil.copy(self.path("newer"), self.path("v/vault.json"))
        self.one_line(self.assayfs("mount", "--passfile", "pass", "v", "mnt", code=None), "another one of generation", "--accept-restore")
        shutil.copy(self.path("present"), self.path("v/vault.json"))
        self.mount()

    def test_what_a_crash_left_of_a_changed_vault_json_goes_with_the_next_mount(self):
        self.mounted()
        self.assayfs("umount", "mnt")
        shutil.copy(self.path("v/vault.json"), self.path("v/vault.json.tmp"))
        self.check("Clean" in self.assayfs("fsck", "--passfile", "pass", "v").out, "no damage")
        os.link(self.path("v/vault.json.tmp"), self.path("watched"))
        self.mount()
        self.check(not os.path.exists(self.path("v/vault.json.tmp")), "it is gone")
        with open(self.path("watched"), "rb") as file:
            self.check(not file.read().strip(b"\0"), "and so is what stood in it")

    # ---- who may ----

    def test_stewards_and_who_mounted_decide_and_denials_are_on_record(self):
        if os.getuid() != 0:
            return
        self.mounted("-o", "allow_other")
        os.chmod(self.directory, 0o755)
        os.makedirs(self.path("policy"))
        self.write("policy/policy.yaml", ROLES)
        self.assayfs("policy", "apply", "policy", "mnt")
        verbs = {"key-rotate": ["key", "rotate", "raw"], "key-disable": ["key", "disable", "raw"], "key-enable": ["key", "enable", "raw"],
                 "key-schedule-deletion": ["key", "schedule-deletion", "raw"], "key-cancel-deletion": ["key", "cancel-deletion", "raw"],
                 "key-alias": ["key", "alias", "x", "raw"], "slot-add": ["key", "add", "--recovery"], "slot-remove": ["key", "remove", "abcd"],
                 "lock": ["lock"], "key-list": ["key", "list"]}
        for event, verb in verbs.items():
            done = self.as_user(NOBODY, *verb, self.mnt)
            self.check(done.returncode == 6, f"{verb}: {done.returncode} {done.stderr}")
            self.check((b"auditors" in done.stderr) == (event == "key-list"), f"{verb}: {done.stderr}")
            self.check(len(self.denied(event)) == 1 and self.denied(event)[0]["uid"] == NOBODY, f"{event}: {self.denied(event)}")
        self.check(self.as_user(AUDITOR, "key", "list", self.mnt).returncode == 0, "an auditor sees the keys")
        self.check(self.as_user(AUDITOR, "lock", self.mnt).returncode == 6, "and does not lock")
        self.check(self.as_user(STEWARD, "key", "rotate", "raw", self.mnt).returncode == 0, "a steward rotates")
        self.assayfs("grant", "--role", "steward", "--reason", "a test", "--for", "1h", "--user", str(NOBODY), "mnt")
        self.check(self.as_user(NOBODY, "key", "rotate", "raw", self.mnt).returncode == 6, "a role that is lent gives no keys")
        rotated = [r for r in self.records("--event", "key-rotate") if r["outcome"] == "ok"]
        self.check([r["uid"] for r in rotated] == [STEWARD] and "raw" in rotated[0]["detail"], f"{rotated}")

    def test_a_mount_for_reading_changes_no_key(self):
        self.mounted()
        self.assayfs("umount", "mnt")
        self.mount("-o", "ro")
        for verb in (["rotate", "raw"], ["disable", "raw"], ["add", "--recovery"]):
            self.one_line(self.assayfs("key", *verb, "mnt", code=1), "read-only (-o ro)")
        self.assayfs("lock", "mnt")
        self.assayfs("unlock", "--passfile", "pass", "mnt")
        self.check(len(self.listed()[0]) == len(ALIASES), "they are listed")


sys.exit(Keys().run())
