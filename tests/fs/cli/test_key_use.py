#!/usr/bin/env python3
"""Who used which key when, and a vault that locks itself, from the command line on a real mount.

usage: test_key_use.py ASSAYFS SOURCE ASSAYFS_AGED

ASSAYFS_AGED is the program that may lock itself after seconds (aged.c).

tests: backend/store_key_uses, fs/operations/open, fs/command/log_cloudtrail, fs/idle, fs/command/lock
"""
import csv
import errno
import io
import json
import os
import subprocess
import sys
import time

from backing import BackupTests
from cli import ASSAYFS
import program

if not os.path.exists("/dev/fuse"):
    print("skipped: /dev/fuse is missing")
    sys.exit(77)

USES = "key-decrypt,key-generate-data-key"
POLICY = """version: 1
datasets: [{name: data, match: "*.csv", rules: data.dqdl, settle: 100ms}]
workflows: [{name: arrive, dataset: data, from: Landing, to: Trusted, on: close}]
"""
RULES = "Rules = [ RowCount > 1 ]\n"
GOOD = b"name,kind\na,cat\nb,dog\nc,cat\n"
USER = 64011
AGED = program.for_everybody(sys.argv[3])


class Uses(BackupTests):
    def uses(self, *options):
        self.assayfs("sync", "mnt")
        lines = self.assayfs("log", "--json", "--event", USES, *options, "mnt").out.splitlines()
        return [json.loads(line) for line in lines]

    def shown(self, exe, event="key-decrypt"):
        return [(r.get("path"), r["detail"]) for r in self.uses("--event", event) if r["exe"] == exe]

    def cat(self, *names, exe="cat", user=None):
        done = subprocess.run([exe, *(os.path.join(self.mnt, name) for name in names)], capture_output=True, timeout=60, check=False, user=user)
        self.check(done.returncode == 0, f"{exe} {names}: {done.stderr.decode()}")
        return done.stdout

    def copy(self, name):
        subprocess.run(["cp", self.path("source"), os.path.join(self.mnt, name)], check=True, timeout=60)

    def test_the_first_use_is_recorded_and_the_others_are_counted(self):
        self.mounted("-o", "allow_other")
        for path in self.directory, self.mnt, os.path.join(self.mnt, "Landing"):
            os.chmod(path, 0o777)
        self.write("source", "some bytes\n" * 5000)
        for name in "abc":
            self.copy(f"Landing/{name}")
            os.chmod(os.path.join(self.mnt, "Landing", name), 0o666)
        self.check(self.shown("cp", "key-generate-data-key") == [("Landing/a", "alias/landing version 1")], f"{self.uses()}")
        for _ in range(3):
            self.cat("Landing/a", "Landing/b")
        self.check(self.shown("cat") == [("Landing/a", "alias/landing version 1")], f"{self.uses()}")
        self.cat("Landing/c", exe="md5sum")
        self.cat("Landing/b", user=USER)
        found = [r for r in self.uses() if r["exe"] in ("cat", "md5sum")]
        self.check([(r["exe"], r["uid"], r["path"]) for r in found] == [("cat", 0, "Landing/a"), ("md5sum", 0, "Landing/c"), ("cat", USER, "Landing/b")], f"{found}")
        self.check(all(r["gid"] == 0 and r["pid"] > 0 and r["node"] and r["version"] and r["outcome"] == "ok" for r in found), f"{found}")
        opened = self.json_lines("--exe", "cat", "--event", "key-decrypt,open")
        self.check([r["event"] for r in opened][:2] == ["key-decrypt", "open"], f"with the opening: {opened[:3]}")
        self.assayfs("lock", "mnt")
        self.check(("cat", "alias/landing version 1, 5 more times") in [(r["exe"], r["detail"]) for r in self.uses() if "path" not in r], f"{self.uses()}")
        self.assayfs("unlock", "--passfile", "pass", "mnt")
        self.cat("Landing/a")
        self.cat("Landing/a")
        self.assayfs("umount", "mnt")
        self.mount("-o", "allow_other")
        told = [r["detail"] for r in self.uses() if r["exe"] == "cat"]
        self.check(told[-2:] == ["alias/landing version 1", "alias/landing version 1, 1 more time"], f"{told}")

    def json_lines(self, *options):
        return [json.loads(line) for line in self.assayfs("log", "--json", *options, "mnt").out.splitlines()]

    def test_it_names_the_version_under_which_the_content_is_and_what_the_key_is_called(self):
        self.mounted()
        self.write("source", "old\n")
        self.copy("Landing/old")
        self.assayfs("key", "alias", "alias/inbox", "landing", "mnt")
        self.assayfs("key", "rotate", "landing", "mnt")
        self.copy("Landing/new")
        self.cat("Landing/old")
        self.cat("Landing/new")
        self.cat("Landing/old")
        self.check(self.shown("cat") == [("Landing/old", "alias/inbox version 1, id landing"), ("Landing/new", "alias/inbox version 2, id landing")], f"{self.shown('cat')}")
        self.check([d for _, d in self.shown("cp", "key-generate-data-key")] == ["alias/landing version 1", "alias/inbox version 2, id landing"], f"{self.uses()}")
        # A file of two versions: the opening tells of its beginning, the reading of the rest.
        with open(os.path.join(self.mnt, "Landing/both"), "wb") as file:
            file.write(b"x" * 65536)
        self.assayfs("sync", "mnt")
        self.assayfs("key", "rotate", "landing", "mnt")
        with open(os.path.join(self.mnt, "Landing/both"), "ab") as file:
            file.write(b"y" * 65536)
        self.assayfs("umount", "mnt")
        self.mount()
        self.check(len(self.cat("Landing/both")) == 131072, "its content")
        self.check([d for p, d in self.shown("cat") if p == "Landing/both"] == ["alias/inbox version 2, id landing", "alias/inbox version 3, id landing"], f"{self.shown('cat')}")

    def test_who_used_a_key_is_followed_by_its_id_over_a_change_of_its_name(self):
        self.mounted()
        self.write("source", "bytes\n")
        for name in "inbox", "post":
            self.assayfs("key", "alias", name, "landing", "mnt")
            self.assayfs("key", "rotate", "landing", "mnt")
            self.copy(f"Landing/{name}")
        self.copy("Landing/again")
        self.assayfs("umount", "mnt")  # what was counted is told
        self.mount()
        told = [r["detail"] for r in self.uses() if r["exe"] == "cp"]
        self.check(told == ["alias/inbox version 2, id landing", "alias/post version 3, id landing", "alias/post version 3, id landing, 1 more time"], f"{told}")
        changes = [r["detail"] for r in self.json_lines("--event", "key-rotate")]
        self.check(changes == ["alias/landing version 2", "alias/landing version 3"], f"{changes}")
        self.one_line(self.assayfs("key", "alias", "own-111111111111", "raw", "mnt", code=2), "looks like the id")

    def test_what_the_mount_does_by_itself_is_in_its_name(self):
        self.mounted()
        os.makedirs(self.path("policy"))
        self.write("policy/policy.yaml", POLICY)
        self.write("policy/data.dqdl", RULES)
        self.assayfs("policy", "apply", "policy", "mnt")
        self.write("source", GOOD.decode())
        self.copy("Landing/a.csv")
        self.assayfs("why", "--wait", "mnt/Landing/a.csv", code=None)
        deadline = time.monotonic() + 30
        while not os.path.exists(os.path.join(self.mnt, "Trusted/a.csv")) and time.monotonic() < deadline:
            time.sleep(0.1)
        own = {(r["event"], r["path"], r["detail"]) for r in self.uses() if r["exe"] == "assayfs"}
        for use in (("key-decrypt", "Landing/a.csv", "alias/landing version 1"), ("key-generate-data-key", "Raw/a.csv", "alias/raw version 1"),
                    ("key-decrypt", "Raw/a.csv", "alias/raw version 1"), ("key-generate-data-key", "Trusted/a.csv", "alias/trusted version 1")):
            self.check(use in own, f"no {use} in {own}")
        self.assayfs("key", "rotate", "--rewrap", "--wait", "trusted", "mnt")
        own = {(r["event"], r["detail"]) for r in self.uses() if r["exe"] == "assayfs"}
        self.check({("key-decrypt", "alias/trusted version 1"), ("key-generate-data-key", "alias/trusted version 2")} <= own, f"{own}")

    def test_in_strict_mode_the_use_is_durable_before_the_answer(self):
        self.mounted()
        self.write("source", "bytes\n")
        self.copy("Landing/a")
        self.assayfs("umount", "mnt")
        self.mount("--audit", "strict")
        self.cat("Landing/a")
        lines = self.assayfs("log", "--json", "--event", "key-decrypt", "mnt").out.splitlines()  # and no sync before
        self.check([json.loads(line)["exe"] for line in lines][-1:] == ["cat"], f"{lines}")

    def test_the_slot_is_in_the_record_of_the_mount_and_of_the_unlocking(self):
        self.mounted()
        slot = next(s["id"] for s in self.json("key", "list", "--json", "mnt")["slots"] if s["ours"])
        self.assayfs("lock", "mnt")
        self.assayfs("unlock", "--passfile", "pass", "mnt")
        self.assayfs("sync", "mnt")
        told = [(r["event"], r["detail"]) for r in self.json_lines("--event", "mount,unlock")]
        self.check(told == [("mount", f"slot {slot}, passphrase"), ("unlock", f"slot {slot}, passphrase")], f"{told}")

    def test_other_forms_have_it_as_the_service_would(self):
        self.mounted()
        self.write("source", "bytes\n")
        self.copy("Landing/a")
        self.cat("Landing/a")
        self.assayfs("sync", "mnt")
        trail = json.loads(self.assayfs("log", "--format", "cloudtrail", "--event", USES, "mnt").out)["Records"]
        self.check([(r["eventSource"], r["eventName"]) for r in trail] == [("kms.amazonaws.com", "GenerateDataKey"), ("kms.amazonaws.com", "Decrypt")], f"{trail}")
        arn = "arn:aws:kms:local:000000000000:alias/landing"
        for record in trail:
            self.check(record["resources"] == [{"accountId": "000000000000", "type": "AWS::KMS::Key", "ARN": arn}], f"{record}")
            self.check(record["requestParameters"]["keyId"] == arn and record["requestParameters"]["encryptionContext"] == {"aws:s3:arn": "arn:aws:s3:::Landing/a"}, f"{record}")
            self.check(record["readOnly"] is True and record["managementEvent"] is True and record["eventCategory"] == "Management", f"{record}")
            self.check(record["additionalEventData"]["assayfs"]["detail"] == "alias/landing version 1", f"{record}")
        self.check(trail[0]["requestParameters"]["keySpec"] == "AES_256" and trail[0]["userAgent"] == "cp", f"{trail[0]}")
        rows = list(csv.DictReader(io.StringIO(self.assayfs("log", "--format", "csv", "--event", USES, "mnt").out)))
        self.check([(r["event"], r["path"], r["detail"]) for r in rows] == [(e, "Landing/a", "alias/landing version 1") for e in ("key-generate-data-key", "key-decrypt")], f"{rows}")
        lines = [json.loads(x) for x in self.assayfs("log", "--format", "ocsf", "--event", USES, "mnt").out.splitlines()]
        self.check([x["activity_name"] for x in lines] == ["key-generate-data-key", "key-decrypt"] and all(x["status_detail"] == "alias/landing version 1" for x in lines), f"{lines}")

    def test_a_trail_has_changes_to_keys_as_changes(self):
        self.mounted()
        self.assayfs("key", "alias", "ours", "raw", "mnt")
        for verb in "rotate", "disable", "enable", "schedule-deletion", "cancel-deletion":
            self.assayfs("key", verb, "ours", "mnt")
        slot = self.json("key", "add", "--recovery", "--json", "mnt")["id"]
        self.assayfs("key", "remove", slot, "mnt")
        self.assayfs("lock", "mnt")
        self.assayfs("unlock", "--passfile", "pass", "mnt")
        self.assayfs("sync", "mnt")
        trail = json.loads(self.assayfs("log", "--format", "cloudtrail", "mnt").out)["Records"]
        found = {r["eventName"]: r for r in trail}
        kms = ("CreateAlias", "RotateKeyOnDemand", "DisableKey", "EnableKey", "ScheduleKeyDeletion", "CancelKeyDeletion")
        for name in (*kms, "AssayfsSlotAdd", "AssayfsSlotRemove", "AssayfsLock", "AssayfsUnlock"):
            record = found.get(name, {})
            self.check((record.get("readOnly"), record.get("managementEvent"), record.get("eventCategory")) == (False, True, "Management"), f"{name}: {record}")
        for name in kms:
            record = found.get(name, {})
            self.check(record.get("eventSource") == "kms.amazonaws.com" and record["requestParameters"]["keyId"] == "arn:aws:kms:local:000000000000:alias/raw"
                       and record["resources"][0]["type"] == "AWS::KMS::Key", f"{name}: {record}")
        self.check(slot in str(found["AssayfsSlotRemove"]["requestParameters"]), f"{found['AssayfsSlotRemove']}")
        self.check(found["AssayfsSlotAdd"]["eventSource"] == "assayfs" and found["AssayfsMount"]["readOnly"] is True, "others")

    # ---- a vault that locks itself ----

    def aged(self, *options):
        done = subprocess.run([AGED, "mount", "--passfile", "pass", *options, "v", "mnt"], cwd=self.directory, capture_output=True, timeout=60, check=False)
        self.check(done.returncode == 0, f"{options}: {done.stderr.decode()}")

    def is_locked(self):
        return self.json("status", "--json", "mnt")["locked"]

    def wait_for_lock(self):
        deadline = time.monotonic() + 60
        while not self.is_locked() and time.monotonic() < deadline:
            time.sleep(0.1)
        self.check(self.is_locked(), "it locked itself")

    def test_a_vault_that_nobody_uses_locks_itself(self):
        self.mounted()
        self.assayfs("umount", "mnt")
        self.aged("--idle-lock", "4s")
        with open(os.path.join(self.mnt, "Landing/a"), "wb") as file:
            file.write(b"a" * 5000)
        self.check(self.json("status", "--json", "mnt")["idle_lock_ms"] == 4000 and "after 4 s without use" in self.assayfs("status", "mnt").out, "status")
        self.check(self.json("key", "list", "--json", "mnt")["idle_lock_ms"] == 4000 and "after 4 s without use" in self.assayfs("key", "list", "mnt").out, "key list")
        # Used all the time: not locked. Names are no use.
        end = time.monotonic() + 7
        while time.monotonic() < end:
            with open(os.path.join(self.mnt, "Landing/a"), "rb") as file:
                file.read(1)
            time.sleep(0.5)
        self.check(not self.is_locked(), "locked while it was used")
        began = time.monotonic()
        while not self.is_locked() and time.monotonic() < began + 60:
            os.stat(os.path.join(self.mnt, "Landing/a"))
            os.listdir(os.path.join(self.mnt, "Landing"))
            time.sleep(0.3)
        self.check(self.is_locked(), "it locked itself while it was only listed")
        try:
            with open(os.path.join(self.mnt, "Landing/a"), "rb") as file:
                file.read()
            self.check(False, "it is to be read")
        except OSError as error:
            self.check(error.errno == errno.EACCES, f"{error}")
        locks = self.json_lines("--event", "lock")
        self.check([(r["detail"], r["exe"]) for r in locks] == [("no content was used for 4 s", os.path.basename(AGED)[:15])] or
                   [r["detail"] for r in locks] == ["no content was used for 4 s"], f"{locks}")
        self.assayfs("unlock", "--passfile", "pass", "mnt")
        self.check(self.get("Landing/a") == b"a" * 5000, "content")
        self.wait_for_lock()
        self.check(len(self.json_lines("--event", "lock")) == 2, "again after it was unlocked")

    def get(self, name):
        with open(os.path.join(self.mnt, name), "rb") as file:
            return file.read()

    def test_what_was_written_before_it_locks_is_kept(self):
        self.mounted()
        self.assayfs("umount", "mnt")
        self.aged()
        with open(os.path.join(self.mnt, "Landing/left-open"), "wb", buffering=0) as file:
            self.assayfs("lock", "--after", "1h", "mnt")
            done = subprocess.run([AGED, "lock", "--after", "1s", self.mnt], capture_output=True, timeout=60, check=False)
            self.check(done.returncode == 0, f"{done.stderr}")
            file.write(b"x" * 5000)  # in the kernel's memory alone when the second is over
            self.wait_for_lock()
        self.assayfs("unlock", "--passfile", "pass", "mnt")
        self.assayfs("lock", "--after", "off", "mnt")
        self.check(self.get("Landing/left-open") == b"x" * 5000, "it is lost")
        self.check(self.json("status", "--json", "mnt")["idle_lock_ms"] is None, "off")
        set_to = [r["detail"] for r in self.json_lines("--event", "lock-after")]
        self.check(set_to == ["after 60 min without use", "after 1 s without use", "never"], f"{set_to}")
        time.sleep(2)
        self.check(not self.is_locked(), "off is never")

    def test_a_time_that_is_too_short_or_none_is_a_slip(self):
        self.mounted()
        for text in "59s", "0s", "soon", "-5m":
            self.assayfs("lock", f"--after={text}", "mnt", code=2)
            self.assayfs("mount", f"--idle-lock={text}", "--passfile", "pass", "v", "mnt", code=2)
        done = subprocess.run([ASSAYFS, "lock", "--after", "1m", self.mnt], user=USER, group=USER, extra_groups=[], cwd="/", capture_output=True, timeout=60, check=False)
        self.check(done.returncode != 0, "another user")
        self.check(self.json("status", "--json", "mnt")["idle_lock_ms"] is None, "nothing was set")


sys.exit(Uses().run())
