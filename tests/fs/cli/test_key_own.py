#!/usr/bin/env python3
"""Keys that folders and datasets have of their own, from the command line on a real mount: the life of a project.

usage: test_key_own.py ASSAYFS SOURCE ASSAYFS_AGED

ASSAYFS_AGED is the program for which days pass when the test says so (aged.c).

tests: policy/policy_keys, policy/gate/own_key, backend/store_key_own
"""
import errno
import fcntl
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import time

from backing import LosingTests, CHEAP
import program

if not os.path.exists("/dev/fuse"):
    print("skipped: /dev/fuse is missing")
    sys.exit(77)

AGED = program.for_everybody(sys.argv[3])
KEY = "alias/project-animallost-key"
POLICY = """version: 1
datasets:
  - {name: animals, match: "animals/*.csv", rules: data.dqdl, settle: 100ms, key: project-animallost-key, on_failure: split}
  - {name: plants, match: "plants/*.csv", rules: data.dqdl, settle: 100ms}
workflows:
  - {name: a, dataset: animals, from: Landing, to: Trusted, on: close}
  - {name: b, dataset: plants, from: Landing, to: Trusted, on: close}
"""
RULES = "Rules = [ RowCount > 1 ]\n"
GOOD = b"name,kind\na,cat\nb,dog\nc,cat\n"
ZONES = ("Landing", "Raw", "Trusted")
FICLONE = 0x40049409


class OwnKeys(LosingTests):
    in_front = False

    def mount(self, *options):
        if self.in_front:
            super().mount(*options)
        else:
            self.assayfs("mount", *options, "--passfile", "pass", "v", "mnt")

    def apply(self, text, code=0):
        os.makedirs(self.path("policy"), exist_ok=True)
        self.write("policy/policy.yaml", text)
        self.write("policy/data.dqdl", RULES)
        return self.assayfs("policy", "apply", "policy", "mnt", code=code)

    def published(self, name, content=GOOD):
        """Through Landing and Raw into Trusted."""
        self.put("Landing/" + name, content)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                if self.get("Trusted/" + name) == content:
                    return
            except OSError:  # it is not there yet, or what is there can't be read
                pass
            time.sleep(0.05)
        self.check(False, f"{name} was not published: {self.assayfs('why', 'mnt/Landing/' + name, code=None).out}")

    def project(self):
        self.mounted()
        told = self.apply(POLICY).out
        self.check(f"Made the key {KEY}" in told, told)
        self.published("animals/a.csv")
        self.published("plants/p.csv")

    def key(self, alias=KEY):
        return next((key for key in self.json("key", "list", "--json", "mnt")["keys"] if key["alias"] == alias), None)

    def refused(self, name, error, mode="rb", words=""):
        try:
            with open(os.path.join(self.mnt, name), mode, buffering=0) as file:
                file.read(1) if mode == "rb" else file.write(b"x")
        except OSError as e:
            self.check(e.errno == error, f"{name}: {e}, not {errno.errorcode[error]} {words}")
            return
        self.check(False, f"{name}: not refused {words}")

    def is_open(self, folder, words=""):
        for zone in ZONES:
            name = f"{zone}/{folder}/{folder[0]}.csv"
            try:
                self.check(self.get(name) == GOOD, f"{name}: other content {words}")
            except OSError as e:
                self.check(False, f"{name}: {e} {words}")

    def is_shut(self, folder, error, words=""):
        for zone in ZONES:
            self.refused(f"{zone}/{folder}/{folder[0]}.csv", error, words=words)

    # ---- the life of a project ----

    def test_a_project_is_disabled_and_enabled_by_itself(self):
        self.project()
        self.assayfs("sync", "mnt")
        key = self.key()
        self.check(key["own"] and not key["vital"] and key["here"] and key["id"].startswith("own-") and "animal" not in key["id"], f"{key}")
        self.check((key["state"], key["version"]) == ("enabled", 1) and key["segments"] >= 3 and key["bytes"] > 0, f"{key}")
        self.check(key["seals"] > 0 and key["created"].endswith("Z"), f"{key}")
        self.check(not self.key("alias/raw")["own"], "a zone's")
        with open(self.path("v/vault.json"), "rb") as file:
            self.check(b"animallost" not in file.read(), "what the project is called stands in vault.json")
        self.check(len(self.records("--event", "key-create")) == 1, "one record")
        self.assayfs("key", "disable", KEY, "mnt")
        self.is_shut("animals", errno.EKEYREVOKED)
        self.is_open("plants")
        self.refused("Landing/animals/new.csv", errno.EKEYREVOKED, "wb")
        self.put("Landing/plants/q.csv", GOOD)
        self.assayfs("sync", "mnt")
        for event, path in ("open", "Raw/animals/a.csv"), ("create", "Landing/animals/new.csv"):
            denied = [r["errno"] for r in self.records("--event", event) if r["outcome"] == "denied" and r["path"] == path]
            self.check(denied == [errno.EKEYREVOKED], f"{event} {path}: {denied}")
        self.check(not os.path.exists(os.path.join(self.mnt, "Landing/animals/new.csv")), "an empty file was left")
        self.refused("Landing/animals/a.csv", errno.EKEYREVOKED, "wb", "emptied")
        # The zone's key can be sealed anew but for what lies under the project's, too; that is said, and not waited for.
        told = self.assayfs("key", "rotate", "--rewrap", "--wait", "landing", "mnt", code=1, timeout=60)
        self.check("need a key that is disabled" in told.err, told.err)
        self.assayfs("umount", "mnt")
        self.mount()
        self.is_shut("animals", errno.EKEYREVOKED, "after a mount")
        self.is_open("plants", "after a mount")
        self.assayfs("key", "enable", KEY, "mnt")
        self.is_open("animals", "enabled")
        self.put("Landing/animals/new.csv", GOOD)

    def test_a_project_is_rotated_and_sealed_anew_by_itself(self):
        self.project()
        raw = self.key("alias/raw")
        self.assayfs("key", "rotate", "--rewrap", "--wait", KEY, "mnt", timeout=300)
        key = self.key()
        self.check((key["version"], key["old_segments"]) == (2, 0) and key["segments"] > 0, f"{key}")
        self.check(self.key("alias/raw")["version"] == raw["version"], "the zone's, too")
        self.is_open("animals")
        self.is_open("plants")
        self.assayfs("umount", "mnt")
        self.assayfs("fsck", "--passfile", "pass", "v")
        self.mount()
        self.is_open("animals", "after a mount")

    def test_a_project_is_erased_by_itself_and_the_bytes_on_the_disk_say_so(self):
        self.project()
        name = self.key()["id"]
        self.assayfs("key", "schedule-deletion", "--days", "7", KEY, "mnt")
        self.is_shut("animals", errno.EKEYREVOKED)
        self.assayfs("umount", "mnt")
        with open(self.path("v/vault.json"), encoding="utf-8") as file:
            boxes = [box["name"] for slot in json.load(file)["slots"] for box in slot["boxes"]]
        self.check(boxes.count(name) == 2, f"{boxes.count(name)} boxes before")  # in each slot
        self.mount_later(AGED, 8)
        deadline = time.monotonic() + 90
        while self.key()["state"] != "deleted" and time.monotonic() < deadline:
            time.sleep(1)
        key = self.key()
        self.check((key["state"], key["slots"]) == ("deleted", []), f"{key}")
        self.is_shut("animals", errno.EKEYEXPIRED)
        self.is_open("plants")
        self.refused("Landing/animals/new.csv", errno.EKEYEXPIRED, "wb")
        self.assayfs("umount", "mnt")
        # What is left on the disk: no box of the key in any slot, in no file of the vault; and the project's segments,
        # whose headers name it, so that nothing else opens them.
        with open(self.path("v/vault.json"), encoding="utf-8") as file:
            whole = json.load(file)
        boxes = [box["name"] for slot in whole["slots"] for box in slot["boxes"]]
        self.check(name not in boxes and "raw" in boxes, "a box of it is there")
        self.check({k["state"] for k in whole["keys"] if k["name"] == name} == {"deleted"}, "how it is listed")
        segments = 0
        for path in glob.glob(self.path("v/segments/*/*")):
            with open(path, "rb") as file:
                head = file.read(112)
            segments += head[8] == 3 and head[88:108].rstrip(b"\0").decode() == name
        self.check(segments >= 3, f"{segments} segments of it")
        for path in glob.glob(self.path("v/**"), recursive=True):
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    self.check(GOOD not in file.read(), f"{path} has the content")
        self.assayfs("fsck", "--passfile", "pass", "v")
        self.mount()
        self.is_shut("animals", errno.EKEYEXPIRED, "after a mount")
        self.is_open("plants", "after a mount")
        # The policy has to name another one, and then the project begins anew.
        self.one_line(self.apply(POLICY + "ignore: [\"x\"]\n", code=1), "policy.yaml:3", "deleted")
        self.apply(POLICY.replace("project-animallost-key", "project-second"))
        self.published("animals/b.csv")
        # The same bytes at the same place are no longer taken for what is there, as that can't be read.
        os.unlink(os.path.join(self.mnt, "Landing/animals/a.csv"))
        self.published("animals/a.csv")
        self.is_open("animals", "delivered again")

    # ---- all ways in ----

    def test_what_is_withheld_and_what_waits_is_under_the_key_too(self):
        self.mounted()
        self.apply(POLICY)
        self.write("policy/data.dqdl", 'Rules = [ ColumnValues "kind" in ["cat", "dog"] ]\n')
        self.assayfs("policy", "apply", "policy", "mnt")
        self.put("Landing/animals/a.csv", GOOD + b"x,fish\n")
        path, deadline = os.path.join(self.mnt, "Trusted/animals/a.csv"), time.monotonic() + 30
        while not os.path.exists(path) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.put("Trusted/animals/direct.csv", GOOD)
        self.check(self.get("Trusted/animals/a.csv") == GOOD and self.get("Trusted/animals/direct.csv") == GOOD, "what passed")
        held = [item["id"] for item in self.json("quarantine", "list", "--json", "mnt", code=None)]
        self.check(len(held) == 1, f"{held}")
        withheld = f".assayfs/quarantine/{held[0]}/content"
        self.check(b"fish" in self.get(withheld), "what is withheld")
        name = self.key()["id"]
        self.assayfs("key", "disable", KEY, "mnt")
        self.refused(withheld, errno.EKEYREVOKED)
        self.refused("Trusted/animals/direct.csv", errno.EKEYREVOKED)
        self.refused("Trusted/animals/direct.csv", errno.EKEYREVOKED, "wb")
        self.refused("Trusted/animals/more.csv", errno.EKEYREVOKED, "wb")
        self.assayfs("umount", "mnt")
        owns = set()
        for path in glob.glob(self.path("v/segments/*/*")):
            with open(path, "rb") as file:
                head = file.read(112)
            owns.add((head[11], head[88:108].rstrip(b"\0").decode() if head[8] == 3 else ""))
        self.check(owns == {(zone, name) for zone in (1, 2, 3, 4)}, f"segments by zone and key: {owns}")

    # ---- which key ----

    def test_a_folder_has_a_key_and_goes_before_datasets(self):
        self.mounted()
        self.apply(POLICY + 'keys: [{match: "animals/**", key: alias/folder}, {match: "secret/**", key: secret}]\n')
        self.published("animals/a.csv")
        self.put("Landing/secret/deep/notes.txt", b"notes")
        self.put("Landing/open.txt", b"open")
        os.rename(os.path.join(self.mnt, "Landing/open.txt"), os.path.join(self.mnt, "Landing/secret/open.txt"))
        self.assayfs("sync", "mnt")
        self.check(self.key()["segments"] == 0 and self.key("alias/folder")["segments"] >= 3, "the list goes first")
        self.assayfs("key", "disable", "secret", "mnt")
        self.refused("Landing/secret/deep/notes.txt", errno.EKEYREVOKED)
        self.check(self.get("Landing/secret/open.txt") == b"open", "what was renamed into it keeps its key")
        self.assayfs("key", "enable", "secret", "mnt")
        self.put("Landing/secret/open.txt", b"anew")
        self.assayfs("key", "disable", "secret", "mnt")
        self.refused("Landing/secret/open.txt", errno.EKEYREVOKED, words="written anew")

    def test_what_is_written_in_the_folder_has_its_key_whatever_becomes_of_the_name(self):
        self.project()
        secret = os.urandom(1 << 20)
        with open(os.path.join(self.mnt, "Landing/animals/t.csv"), "wb") as file:  # renamed before the kernel has written it
            file.write(secret)
            file.flush()
            os.rename(os.path.join(self.mnt, "Landing/animals/t.csv"), os.path.join(self.mnt, "Landing/out"))
        self.put("Landing/decoy", b"")  # a name outside that was there first
        os.link(os.path.join(self.mnt, "Landing/decoy"), os.path.join(self.mnt, "Landing/animals/report.csv"))
        with open(os.path.join(self.mnt, "Landing/animals/report.csv"), "wb") as file:
            file.write(secret)
        self.assayfs("sync", "mnt")
        self.check(self.get("Landing/out") == secret and self.get("Landing/decoy") == secret, "both are there")
        self.assayfs("key", "disable", KEY, "mnt")
        self.refused("Landing/out", errno.EKEYREVOKED, words="renamed")
        self.refused("Landing/decoy", errno.EKEYREVOKED, words="linked")
        self.put("Landing/out", GOOD)  # begun anew, outside
        self.check(self.get("Landing/out") == GOOD, "anew")

    def test_clones_between_folders_are_copies(self):
        self.mounted()
        self.apply('version: 1\nkeys: [{match: "animals/**", key: animals}]\n')
        content = os.urandom(300000)
        self.put("Landing/animals/a", content)
        self.put("Landing/plants/p", content)
        for source, target in ("animals/a", "plants/clone"), ("plants/p", "animals/clone"), ("animals/a", "animals/same"):
            with open(os.path.join(self.mnt, "Landing", source), "rb") as one, open(os.path.join(self.mnt, "Landing", target), "wb") as other:
                try:
                    fcntl.ioctl(other, FICLONE, one.fileno())
                except OSError:
                    os.copy_file_range(one.fileno(), other.fileno(), len(content))
            self.check(self.get("Landing/" + target) == content, f"{source} to {target}")
        self.assayfs("sync", "mnt")
        self.assayfs("key", "disable", "animals", "mnt")
        self.check(self.get("Landing/plants/clone") == content, "outside of the folder")
        self.refused("Landing/animals/clone", errno.EKEYREVOKED)
        self.refused("Landing/animals/same", errno.EKEYREVOKED)

    def test_a_key_is_renamed_and_stays_the_projects(self):
        self.project()
        self.assayfs("key", "alias", "zoo", KEY, "mnt")
        name = self.key("alias/zoo")["id"]
        row = next(line for line in self.assayfs("key", "list", "mnt").out.splitlines() if "alias/zoo" in line)
        self.check(name in row, row)
        self.one_line(self.assayfs("key", "alias", KEY, "raw", "mnt", code=1), "what the policy calls", name)
        self.one_line(self.assayfs("key", "alias", "own-111111111111", "raw", "mnt", code=2), "looks like the id")
        self.assayfs("key", "rotate", KEY, "mnt")
        self.check(self.key("alias/zoo")["version"] == 2 and self.key("alias/raw")["version"] == 1, "by the policy's word")
        self.assayfs("umount", "mnt")
        self.mount()
        self.published("animals/a.csv", GOOD + b"d,cat\n")
        self.assayfs("key", "disable", "zoo", "mnt")
        self.is_shut("animals", errno.EKEYREVOKED)
        for word in "zoo", KEY[len("alias/"):]:  # each time as it was typed, the remedy, too
            told = self.assayfs("key", "rotate", word, "mnt", code=1)
            self.one_line(told, f"key alias/{word} is disabled", f"assayfs key enable alias/{word}'")
            self.check(name not in told.err, told.err)
        self.assayfs("key", "schedule-deletion", "zoo", "mnt")
        told = self.assayfs("key", "enable", "alias/zoo", "mnt", code=1)
        self.one_line(told, "the key alias/zoo is to be deleted")
        skipped = self.json("key", "rotate", "--all", "--json", "mnt")["skipped"]
        self.check([row["skipped"] for row in skipped] == ["alias/zoo"] and "alias/zoo is" in skipped[0]["why"], f"{skipped}")
        self.assayfs("key", "cancel-deletion", "zoo", "mnt")
        self.check("Made" not in self.apply(POLICY + "ignore: [\"x\"]\n").out, "another key was made")

    def test_what_waits_for_the_projects_key_is_told_so(self):
        self.project()
        self.assayfs("key", "disable", "raw", "mnt")
        better = GOOD + b"d,cat\n"
        self.put("Landing/animals/a.csv", better)
        self.assayfs("key", "disable", KEY, "mnt")
        self.assayfs("key", "enable", "raw", "mnt")
        for name in "Landing/animals/a.csv", "Trusted/animals/a.csv":
            item = self.json("why", "--json", "mnt/" + name, code=None)
            self.check(f"own key {KEY} is disabled" in item.get("waits_for_key", ""), f"{name}: {item}")
        told = self.assayfs("why", "mnt/Landing/animals/a.csv", code=3).out
        self.check("waits for a key" in told and KEY in told, told)
        self.assayfs("key", "enable", KEY, "mnt")
        told = self.assayfs("why", "--wait", "mnt/Trusted/animals/a.csv")
        self.check("passed" in told.out and self.get("Trusted/animals/a.csv") == better, f"{told}")
        self.check("waits_for_key" not in self.json("why", "--json", "mnt/Trusted/animals/a.csv"), "it waits no longer")

    def test_a_run_ends_although_the_projects_key_is_away(self):
        self.project()
        self.apply(POLICY + "  - {name: again, dataset: animals, from: Raw, to: Trusted, on: demand}\n")
        self.assayfs("key", "disable", KEY, "mnt")
        told = self.assayfs("run", "again", "mnt", code=None, timeout=60)
        self.check(told.returncode not in (0, 4), f"{told}")
        self.check(any("disabled" in r["detail"] for r in self.records("--event", "arrive") if r["outcome"] == "error"), "the record says why")
        self.assayfs("key", "enable", KEY, "mnt")
        self.assayfs("run", "again", "mnt", timeout=60)

    def test_wrong_names_are_refused_with_their_line(self):
        self.mounted()
        for name in "raw", "alias/trusted", "metadata", "a/b", "Ä", "'x y'", "''", "[a]", "a" * 58, "../x", "'a\\n'":
            result = self.apply(POLICY.replace("key: project-animallost-key", f"key: {name}"), code=1)
            self.one_line(result, "policy.yaml:3")
        self.one_line(self.apply('version: 1\nkeys: [{match: "a/**"}]\n', code=1), "policy.yaml:2")
        self.one_line(self.apply('version: 1\nkeys: [{match: "a/**", key: b, what: c}]\n', code=1), "policy.yaml:2")
        self.assayfs("key", "alias", "mine", "raw", "mnt")
        self.one_line(self.apply('version: 1\nkeys: [{match: "a/**", key: mine}]\n', code=1), "policy.yaml:2", "alias/mine")
        self.check(len(self.json("key", "list", "--json", "mnt")["keys"]) == 7, "none was made")

    # ---- slots ----

    def test_a_limited_slot_has_the_keys_that_it_names(self):
        self.project()
        for secret, extra in ("without", []), ("with", ["--keys", KEY]):
            self.write(secret, secret + " a passphrase\n")
            self.assayfs("key", "add", *CHEAP, "--new-passfile", secret, "--zones", "Trusted", *extra, "mnt")
        self.assayfs("key", "add", *CHEAP, "--new-passfile", "with", "--keys", KEY, "mnt", code=2)
        self.assayfs("key", "add", *CHEAP, "--new-passfile", "with", "--zones", "Raw", "--keys", "nothing", "mnt", code=1)
        self.assayfs("key", "add", *CHEAP, "--new-passfile", "with", "--zones", "Raw", "--keys", "trusted", "mnt", code=None)
        slots = self.json("key", "list", "--json", "mnt")["slots"]
        self.check(sum(KEY in slot["keys"] for slot in slots) == 3, f"{slots}")  # two full ones and that which names it
        self.assayfs("umount", "mnt")
        for secret in "without", "with":
            self.assayfs("mount", "--passfile", secret, "v", "mnt")
            self.check(self.get("Trusted/plants/p.csv") == GOOD, f"{secret}: others")
            self.refused("Raw/plants/p.csv", errno.ENOKEY, words=secret)
            if secret == "with":
                self.check(self.get("Trusted/animals/a.csv") == GOOD, "the slot that names it")
            else:
                self.refused("Trusted/animals/a.csv", errno.ENOKEY)
            self.refused("Raw/animals/a.csv", errno.ENOKEY, words=secret)
            self.assayfs("umount", "mnt")
        self.mount()
        self.assayfs("lock", "mnt")
        self.refused("Landing/animals/a.csv", errno.EACCES)
        self.assayfs("unlock", "--passfile", "pass", "mnt")
        self.is_open("animals", "unlocked")

    # ---- when things go wrong ----

    def test_a_mount_that_is_killed_loses_no_key(self):
        self.in_front = True
        self.mounted()
        self.apply(POLICY)
        self.put("Landing/animals/a.csv", GOOD)
        with open(os.path.join(self.mnt, "Landing/animals/a.csv"), "ab") as file:
            for _ in range(3):
                file.write(b"d,cat\n")
                file.flush()
                os.fsync(file.fileno())
            self.daemon.send_signal(signal.SIGKILL)
            self.daemon.wait()
        self.assayfs("umount", "mnt", code=None)
        self.mount()
        self.check(self.get("Landing/animals/a.csv") == GOOD + 3 * b"d,cat\n", "what was synced")
        self.check(self.key()["version"] == 1, "the key")
        self.end()

    def test_a_backup_has_it_and_is_verified_and_recovered(self):
        self.in_front = True
        self.mounted()
        self.apply(POLICY)
        self.published("animals/a.csv")
        _, url = self.place()
        self.add(url, "--create")
        self.is_whole(url)
        summary = self.verify(url)
        self.check(summary["findings"] == [], f"{summary}")
        self.lose()
        shutil.rmtree(self.path("was"))
        self.assayfs("recover", "--passfile", "pass", "--full", url, "v")
        self.mount()
        for zone in ZONES:
            self.check(self.get(f"{zone}/animals/a.csv") == GOOD, f"{zone} after the recovery")
        self.assayfs("key", "disable", KEY, "mnt")
        self.is_shut("animals", errno.EKEYREVOKED, "recovered")
        self.assayfs("key", "enable", KEY, "mnt")
        self.put("Landing/animals/new.csv", GOOD)
        self.end()


sys.exit(OwnKeys().run())
