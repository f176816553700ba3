#!/usr/bin/env python3
"""Lifecycle rules and `assayfs gc`: which versions expire, which never do, and that their space is free.

usage: test_gc.py ASSAYFS_AGED SOURCE
ASSAYFS_AGED is the program for which days pass when the test says so (aged.c).
"""
import os
import sys

from gate import GateTests

RULES = 'Rules = [ RowCount > 1, ColumnValues "kind" in ["cat", "dog"] ]\n'
DATASET = """version: 1
datasets:
  - {name: animals, match: "animals/*.csv", rules: animals.dqdl, settle: 0s}
"""
POLICY = DATASET + """lifecycle:
  - {name: old drafts, zone: Landing, noncurrent_versions: 1, noncurrent_days: 30}
  - {name: of animals, zone: Raw, prefix: animals/, noncurrent_versions: 0, noncurrent_days: 60}
  - {name: published, zone: Trusted, noncurrent_versions: 0, noncurrent_days: 60}
"""
GOOD = b"id;kind\n1;cat\n4;dog\n"
BAD = b"id;kind\n1;wolf\n4;dog\n"
PATH = "Landing/big.bin"
MIB = 1 << 20


class GcTests(GateTests):
    def age(self, days):
        with open(self.path("age"), "w", encoding="ascii") as file:
            file.write(f"{days}\n")

    def begin(self, policy=POLICY):
        os.environ["ASSAYFS_TEST_AGE"] = self.path("age")
        self.age(0)
        self.mounted(policy, RULES)

    def gc(self, *words, code=0):
        return self.json("gc", *words, "--json", "mnt", code=code)

    def rewrite(self, count, path=PATH):
        """So many versions of one file, each of 1 MiB of its own."""
        for _ in range(count):
            self.put(path, os.urandom(MIB))
        self.assayfs("sync", "mnt")

    def states(self, path):
        return [row["state"] for row in self.json("versions", "--json", self.at(path))["versions"]]

    def stored(self):
        return sum(os.stat(os.path.join(folder, name)).st_size
                   for folder, _, names in os.walk(self.path("v/segments")) for name in names)

    def test_old_versions_expire_and_their_space_is_free(self):
        self.begin()
        self.rewrite(12)
        newest = self.get(PATH)
        self.check(self.gc("--dry-run")["expired"]["versions"] == 0, "new versions would expire")
        self.age(31)
        dry = self.gc("--dry-run")
        self.check((dry["expired"]["versions"], dry["expired"]["bytes"], len(dry["goes"])) == (10, 10 * MIB, 10), f"{dry}")
        self.check(dry["goes"][0]["rule"] == "old drafts" and dry["goes"][0]["path"] == PATH, f"{dry['goes'][0]}")
        self.check(set(self.states(PATH)) == {"sealed"} and dry["freed"] is None, "a dry run changed something")
        self.check("10 versions would expire by 3 lifecycle rules" in self.assayfs("gc", "--dry-run", "mnt").out, "words")
        space = {zone["zone"]: zone for zone in self.json("status", "--json", "mnt")["space"]["zones"]}
        self.check(space["Landing"]["expirable_versions"] == 10 and space["Landing"]["reclaimable_bytes"] >= 10 * MIB, f"{space}")
        self.check("up to" in self.assayfs("status", "mnt").out, "status does not say what can be freed")
        before = self.stored()
        done = self.gc("--wait")
        self.check((done["expired"]["versions"], done["freed"]["settled"]) == (10, True), f"{done}")
        self.check(done["freed"]["freed_bytes"] >= 10 * MIB and self.stored() < before - 9 * MIB, f"{done}, {before} → {self.stored()}")
        self.check(self.states(PATH) == ["erased"] * 10 + ["sealed"] * 2, f"{self.states(PATH)}")
        self.check(self.get(PATH) == newest, "the file has changed")
        self.check(not os.path.exists(self.at(f".assayfs/versions/{PATH}/1")), "an expired version is shown")
        records = self.records("--event", "expire")
        self.check(len(records) == 10 and all(r["path"] == PATH and r["outcome"] == "ok" and r["bytes"] == MIB and
                                              r["detail"].startswith("old drafts: version ") for r in records), f"{records[:1]}")
        self.check([r["detail"] for r in self.records("--event", "gc") if r["detail"] == "asked for"] == ["asked for"], "no record of who asked")
        space = {zone["zone"]: zone for zone in self.json("status", "--json", "mnt")["space"]["zones"]}
        self.check(space["Landing"]["expirable_versions"] == 0 and space["Landing"]["dead_bytes"] < MIB, f"{space}")
        self.check(self.gc()["expired"]["versions"] == 0, "more expired")
        self.unmount(self.mnt)
        self.assayfs("fsck", "--passfile", "pass", "v")
        self.mount()
        self.check(self.get(PATH) == newest, "the file has changed after a remount")

    def test_what_is_open_is_read_on(self):
        self.begin()
        self.rewrite(4)
        self.age(31)
        with open(self.at(f".assayfs/versions/{PATH}/1"), "rb", buffering=0) as old:
            first = os.pread(old.fileno(), 4096, 0)
            done = self.gc()
            self.check((done["expired"]["versions"], done["expired"]["kept_open"]) == (1, 1), f"{done}")
            self.check(os.pread(old.fileno(), 4096, 0) == first and len(os.pread(old.fileno(), 4096, MIB - 4096)) == 4096, "it can't be read on")
        os.remove(self.at(PATH))
        self.assayfs("sync", "mnt")
        self.check(self.states(PATH)[0] == "sealed", f"{self.states(PATH)}")
        self.check(self.gc()["expired"]["versions"] == 2, "of a removed file the newest version alone stays")

    def test_what_trusted_came_from_and_what_is_held_stays(self):
        self.begin()
        self.put("Landing/animals/a.csv", GOOD)
        self.wait_for("Trusted/animals/a.csv", GOOD)
        self.put("Landing/animals/a.csv", BAD)
        self.idle()
        self.put("Landing/animals/a.csv", BAD + b"5;cat\n")
        self.idle()
        self.age(400)
        done = self.gc()
        self.check(done["expired"]["versions"] == 0 and done["expired"]["kept_lineage"] >= 2 and done["expired"]["kept_held"] >= 1, f"{done}")
        self.check(self.get("Trusted/animals/a.csv") == GOOD, "Trusted has changed")
        self.put("Landing/animals/a.csv", GOOD + b"6;dog\n")
        self.wait_for("Trusted/animals/a.csv", GOOD + b"6;dog\n")
        self.idle()
        done = self.gc()
        zones = {zone["zone"]: zone["versions"] for zone in done["expired"]["zones"]}
        self.check(zones["Raw"] >= 1 and zones["Trusted"] == 1 and done["expired"]["kept_held"] >= 1, f"{done}")
        self.check(self.get("Trusted/animals/a.csv") == GOOD + b"6;dog\n", "Trusted has changed")
        held = self.json("quarantine", "list", "--json", "mnt")
        for row in held:
            self.check(self.get(f".assayfs/quarantine/{row['id']}/content") is not None, f"what is held can't be read: {row}")
        self.check("passed" in self.assayfs("why", self.at("Trusted/animals/a.csv")).out, "what is published is not said to have passed")

    def test_without_rules_nothing_expires_and_who_may_not_is_refused(self):
        self.begin(DATASET)
        self.rewrite(3)
        self.age(4000)
        self.check("no lifecycle rule" in self.assayfs("gc", "mnt").out, "words")
        self.check(set(self.states(PATH)) == {"sealed"}, f"{self.states(PATH)}")
        self.assayfs("gc", "--dry-run", "--wait", "mnt", code=2)
        self.unmount(self.mnt)
        self.mount("-o", "ro")
        self.assayfs("gc", "mnt", code=1)
        self.check([r["outcome"] for r in self.records("--event", "gc")][-1] == "denied", "no record of the refusal")

    def test_a_bad_rule_is_told_with_its_line(self):
        self.begin()
        with open(self.path("policy/policy.yaml"), "a", encoding="utf-8") as file:
            file.write("  - {name: old drafts, zone: Raw}\n")
        words = self.assayfs("policy", "apply", "policy", "mnt", code=1).err
        self.check("policy.yaml:8:5: a lifecycle rule is called 'old drafts' already in line 5" in words, words)


if __name__ == "__main__":
    sys.exit(GcTests().run())
