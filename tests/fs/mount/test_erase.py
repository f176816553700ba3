#!/usr/bin/env python3
"""The right of erasure, as a steward asks for it: what goes, what stays, who may, and that the old segments are gone.

usage: test_erase.py ASSAYFS SOURCE
"""
import errno
import os
import shutil
import subprocess
import sys
import time

from gate import ASSAYFS, GateTests

POLICY = """version: 1
datasets:
  - {name: animals, match: "animals/*.csv", rules: animals.dqdl, settle: 0s, on_failure: split}
  - {name: plants, match: "plants/*.csv", rules: animals.dqdl, settle: 0s}
"""
ROLES = "roles: {steward: {users: [root]}, ingester: {users: ['64001']}, analyst: {users: ['64002']}}\n"
RULES = 'Rules = [ RowCount > 1, ColumnValues "kind" in ["cat", "dog"] ]\n'
GOOD = b"id;kind\n1;cat\n4;dog\n"
MIXED = b"id;kind\n1;cat\n2;wolf\n4;dog\n"
PATH, OTHER = "Landing/animals/a.csv", "Landing/animals/other.csv"


class EraseTests(GateTests):
    def segments(self):
        return {os.path.join(folder, name) for folder, _, names in os.walk(self.path("v/segments")) for name in names}

    def erase(self, *words, code=0):
        return self.assayfs("erase", *words, "--reason", "request 17", code=code)

    def published(self, content=GOOD):
        self.mounted(POLICY, RULES)
        self.put(PATH, content)
        self.put(OTHER, GOOD + b"5;cat\n")
        self.wait_for("Trusted/animals/a.csv", GOOD)
        self.wait_for("Trusted/animals/other.csv", GOOD + b"5;cat\n")
        self.idle()

    def check_other(self):
        for zone in ("Landing", "Raw", "Trusted"):
            self.check(self.get(f"{zone}/animals/other.csv") == GOOD + b"5;cat\n", f"the neighbour in {zone} has changed")

    def check_gone(self, name="animals/a.csv"):
        for zone in ("Landing", "Raw", "Trusted"):
            path = f"{zone}/{name}"
            self.check(self.get(path) is None, f"{path} is there")
            self.check(os.path.basename(path) not in os.listdir(os.path.dirname(self.at(path))), f"{path} is listed")
            self.check(not os.path.exists(self.at(f".assayfs/versions/{path}/1")), f"a version of {path} is shown")
            self.check(self.get(f".assayfs/at/2200-01-01/{path}") is None, f"{path} is in the tree as it was")
        states = [row["state"] for row in self.json("versions", "--json", self.at(PATH))["versions"]]
        self.check(states and set(states) == {"erased"}, f"versions: {states}")

    def test_a_file_is_gone_from_everywhere_and_from_the_disk(self):
        self.published()
        before = self.segments()
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        dry = self.json("erase", "--dry-run", "--json", self.at(PATH))
        self.check((dry["dry_run"], dry["versions"], dry["names"]) == (True, 3, 3), f"{dry}")
        self.check(self.get("Trusted/animals/a.csv") == GOOD and self.segments() == before, "a dry run changed something")
        reader = os.open(self.at(PATH), os.O_RDONLY)
        self.check(os.pread(reader, 3, 0) == GOOD[:3], "it can't be read before")
        done = self.erase(self.at(PATH))
        self.check("3 versions in 3 places, 60 B, erased; 3 names ended; " in done.out and "segments rewritten" in done.out, done.out)
        self.check_gone()
        self.check(self.get(f".assayfs/at/{moment}/{PATH}") is None, "it is there as it was then")
        try:
            self.check(False, f"who has it open reads {os.pread(reader, 100, 0)}")
        except OSError as error:
            self.check(error.errno == errno.ESTALE, f"who has it open gets {error}")
        os.close(reader)
        self.check(not (before & self.segments()), "an old segment is on the disk")
        self.check_other()
        self.check([(r["path"], r["outcome"], "request 17" in r["detail"]) for r in self.records("--event", "erase")]
                   == [(f"{zone}/animals/a.csv", "ok", True) for zone in ("Landing", "Raw", "Trusted")], "records")
        for zone in ("Landing", "Raw", "Trusted"):
            why = self.assayfs("why", self.at(f"{zone}/animals/a.csv"), code=1).out
            self.check(f"{zone}/animals/a.csv: erased on {time.strftime('%Y-%m-', time.gmtime())}" in why and f"(uid {os.getuid()}): request 17" in why and "passed" not in why, why)
        why = self.json("why", "--json", self.at(PATH), code=1)
        self.check((why["outcome"], why["erased"]["reason"], why["erased"]["uid"]) == ("erased", "request 17", os.getuid()), f"{why}")
        self.erase(self.at(PATH), code=1)
        # The name is free, and the next mount finds all in order.
        self.put(PATH, GOOD + b"6;dog\n")
        self.wait_for("Trusted/animals/a.csv", GOOD + b"6;dog\n")
        self.check("passed" in self.assayfs("why", self.at(PATH)).out, "the new file is said to be erased")
        self.unmount(self.mnt)
        self.assayfs("fsck", "--passfile", "pass", "v")
        self.mount()
        self.check_other()

    def test_what_is_held_of_it_goes_too(self):
        self.published(MIXED)
        held = self.json("quarantine", "list", "--json", "mnt")
        self.check(len(held) == 1 and held[0]["partial"], f"{held}")
        self.put("Landing/plants/b.csv", MIXED)
        self.outcome("Landing/plants/b.csv", "failed")
        self.idle()
        dry = self.json("erase", "--dry-run", "--json", self.at(".assayfs/quarantine/1/content"))
        self.check(sorted(row.get("quarantine", 0) for row in dry["erased"]) == [0, 0, 0, 1], f"{dry}")
        done = self.erase("--no-wait", self.at(PATH), self.at(".assayfs/quarantine/2"))
        self.check("6 versions in 6 places" in done.out, done.out)
        self.check(self.json("quarantine", "list", "--json", "mnt") == [], "it is held still")
        states = [row["state"] for row in self.json("quarantine", "list", "--all", "--json", "mnt")]
        self.check(states == ["erased", "erased"], f"{states}")
        why = self.assayfs("why", self.at("Landing/plants/b.csv"), code=1).out
        self.check("erased on 2" in why and "copy the file" not in why, why)
        for held in ("1", "2"):
            self.check(self.get(f".assayfs/quarantine/{held}/content") is None, f"the rows of {held} are shown")
        self.assayfs("quarantine", "show", "--rows", "1", "mnt", code=3)
        self.check_gone()
        self.check(self.get("Raw/plants/b.csv") is None and self.get("Landing/plants/b.csv") is None, "what was refused is there")
        self.check_other()

    def test_what_is_not_waited_for_goes_on_at_the_next_mount(self):
        self.published()
        before = self.segments()
        self.erase("--no-wait", self.at(PATH))
        self.unmount(self.mnt)
        self.check(before & self.segments(), "nothing was left to do")
        self.mount()
        end = time.monotonic() + 90
        while before & self.segments() and time.monotonic() < end:
            time.sleep(0.25)
        self.check(not (before & self.segments()), "an old segment is on the disk")
        self.check_other()
        self.unmount(self.mnt)
        self.assayfs("fsck", "--passfile", "pass", "v")

    def test_what_it_refuses_changes_nothing(self):
        self.published()
        self.assayfs("erase", self.at(PATH), code=2)
        self.erase(self.at("Landing/animals"), code=2)
        self.erase(self.at(PATH), self.at("Landing/animals/none.csv"), code=1)
        with open(self.at(PATH), "ab") as writer:
            done = self.erase(self.at("Trusted/animals/a.csv"), code=4)
            self.check("Landing/animals/a.csv is open for writing" in done.err, done.err)
            del writer
        self.idle()
        self.check(self.get("Trusted/animals/a.csv") == GOOD, "it is gone")
        self.check(self.records("--event", "erase") == [], "a record of what was not done")
        outside = self.outside("x.csv", GOOD)
        self.erase(outside, code=5)

    def test_a_copy_that_shares_its_bytes_is_named_and_stays(self):
        self.published()
        subprocess.run(["cp", "--reflink=auto", self.at(PATH), self.at("Landing/copy")], check=True)
        dry = self.json("erase", "--dry-run", "--json", self.at(PATH))
        shared = [row["path"] for row in dry["shares"]]
        self.check(shared in (["Landing/copy"], []), f"{shared}")  # by the kernel and cp at hand
        self.erase("--no-wait", self.at(PATH))
        self.check(self.get("Landing/copy") == GOOD, "the copy is gone, too")

    def test_only_a_steward_erases(self):
        if os.getuid() != 0 or not shutil.which("setpriv"):
            return
        os.chmod(self.directory, 0o755)
        self.mounted(POLICY + ROLES, RULES, options=("-o", "allow_other"))
        self.put(PATH, GOOD)
        self.wait_for("Trusted/animals/a.csv", GOOD)
        self.idle()
        for user in ("64001", "64002"):
            for words in (["--reason", "x"], ["--dry-run"]):
                done = subprocess.run(["setpriv", "--reuid", user, "--regid", user, "--clear-groups", ASSAYFS, "erase", *words,
                                       self.at("Trusted/animals/a.csv")], cwd="/", capture_output=True, check=False, timeout=60)
                self.check(done.returncode == 6 and b"no role" in done.stderr, f"{user} {words}: {done}")
        self.check(self.get("Trusted/animals/a.csv") == GOOD, "somebody erased it")
        denied = [(r["uid"], r["path"]) for r in self.records("--event", "erase", "--outcome", "denied")]
        self.check(sorted(denied) == [(uid, "Trusted/animals/a.csv") for uid in (64001, 64001, 64002, 64002)], f"{denied}")


if __name__ == "__main__":
    sys.exit(EraseTests().run())
