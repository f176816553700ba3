#!/usr/bin/env python3
"""Rules that hold a file against others in Trusted.

usage: test_references.py ASSAYFS SOURCE
"""
import hashlib
import json
import os
import sys

from gate import GateTests

POLICY = """version: 1
datasets:
  - {name: register, match: "register/*.csv", rules: register.dqdl, settle: 0s, format: {delimiter: "|"}}
  - name: animals
    match: "animals/*.csv"
    rules: animals.dqdl
    references: {register: Trusted/register/owners.csv}
    settle: 0s
workflows:
  - {name: again, dataset: animals, from: Landing, to: Trusted, on: demand}
  - {name: arrive, dataset: animals, from: Landing, to: Trusted, on: close}
"""
RULES = """Rules = [
    ReferentialIntegrity "owner" "register.id" = 1.0,
    RowCountMatch "register" <= 2.0,
    AggregateMatch "sum(fee)" "sum(register.paid)" <= 1.0
]
"""
OWNERS = b"id|paid\n1|10.5\n2|20\n"
GOOD = b"name,owner,fee\nDaisy,1,5\nBao,2,10\nLuna,2,15.5\n"
BAD = b"name,owner,fee\nDaisy,1,5\nBao,3,10\n"


class ReferenceTests(GateTests):
    def begun(self, rules=RULES):
        os.makedirs(self.path("policy"), exist_ok=True)
        self.write("policy/register.dqdl", 'Rules = [ IsUnique "id" ]\n')
        self.mounted(POLICY, rules)

    def verdict(self, path):
        found = json.loads(self.get(f".assayfs/verdicts/{path}.json") or b"{}")
        return found.get("verdict", found)

    def rule(self, path, number):
        return self.verdict(path)["check"]["rules"][number]

    def test_a_file_is_held_against_what_trusted_shows(self):
        self.begun()
        self.put("Landing/register/owners.csv", OWNERS)
        self.wait_for("Trusted/register/owners.csv", OWNERS)
        self.put("Landing/animals/good.csv", GOOD)
        self.wait_for("Trusted/animals/good.csv", GOOD)
        self.check(self.rule("Trusted/animals/good.csv", 0)["metrics"] == {"Column.register.ReferentialIntegrity": 1.0},
                   f"{self.verdict('Trusted/animals/good.csv')}")
        self.check(self.rule("Trusted/animals/good.csv", 2)["metrics"] == {"Column.fee,paid.AggregateMatch": 1.0},
                   f"{self.verdict('Trusted/animals/good.csv')}")
        self.check(self.verdict("Trusted/animals/good.csv")["references"] == [
            {"alias": "register", "path": "Trusted/register/owners.csv", "sha256": hashlib.sha256(OWNERS).hexdigest()}],
            f"{self.verdict('Trusted/animals/good.csv')['references']}")
        self.put("Landing/animals/bad.csv", BAD)
        self.outcome("Landing/animals/bad.csv", "failed")
        self.check(self.rule("Landing/animals/bad.csv", 1)["outcome"] == "passed", "another rule failed")
        self.check(self.rule("Landing/animals/bad.csv", 0)["failing_lines"] == [3], f"{self.verdict('Landing/animals/bad.csv')}")
        self.check(self.get("Trusted/animals/bad.csv") is None, "it was published")
        done = self.assayfs("why", self.at("Landing/animals/bad.csv"), code=1)
        self.check("held against: Trusted/register/owners.csv, as register, sha256 " in done.out, done.out)
        # The same bytes are right as soon as the register knows owner 3 and they come again.
        more = OWNERS + b"3|1\n"
        self.put("Landing/register/owners.csv", more)
        self.wait_for("Trusted/register/owners.csv", more)
        self.put("Landing/animals/bad.csv", BAD)
        self.wait_for("Trusted/animals/bad.csv", BAD)
        self.check(self.verdict("Trusted/animals/bad.csv")["references"][0]["sha256"] == hashlib.sha256(more).hexdigest(),
                   "the verdict names another version")

    def test_without_its_reference_nothing_is_decided(self):
        self.begun()
        self.put("Landing/animals/good.csv", GOOD)
        self.outcome("Landing/animals/good.csv", "error")
        said = self.verdict("Landing/animals/good.csv")
        self.check('the reference "register" is missing: there is no file Trusted/register/owners.csv yet'
                   in said["check"]["reason"], f"{said}")
        done = self.assayfs("why", self.at("Landing/animals/good.csv"), code=3)
        self.check("register" in done.out, done.out)
        self.check(self.get("Trusted/animals/good.csv") is None, "it was published")
        # A register that comes later changes nothing by itself; whoever asks for it gets it.
        self.put("Landing/register/owners.csv", OWNERS)
        self.wait_for("Trusted/register/owners.csv", OWNERS)
        self.idle()
        self.check(self.why("Landing/animals/good.csv")["outcome"] == "error", "it was judged again by itself")
        self.assayfs("run", "again", "mnt")
        self.wait_for("Trusted/animals/good.csv", GOOD)

    def test_a_register_that_was_refused_is_none(self):
        self.begun()
        self.put("Landing/register/owners.csv", OWNERS + b"1|1\n")
        self.outcome("Landing/register/owners.csv", "failed")
        self.put("Landing/animals/good.csv", GOOD)
        self.outcome("Landing/animals/good.csv", "error")

    def test_large_references_pass_by_large_files(self):
        self.begun('Rules = [ ReferentialIntegrity "owner" "register.id" > 0.5, RowCountMatch "register" = 1.0 ]\n')
        rows = 300000
        owners = b"id|paid\n" + b"".join(b"owner-%d|1\n" % i for i in range(rows))
        animals = b"name,owner,fee\n" + b"".join(b"x,owner-%d,1\n" % (i * 2) for i in range(rows))
        self.put("Landing/register/owners.csv", owners)
        self.wait_for("Trusted/register/owners.csv", owners, 60)
        self.put("Landing/animals/many.csv", animals)
        self.outcome("Landing/animals/many.csv", "failed", seconds=60)
        said = self.rule("Landing/animals/many.csv", 0)
        self.check(said["metrics"] == {"Column.register.ReferentialIntegrity": 0.5}, f"{said}")
        self.check(said["failing_rows"] == rows // 2, f"{said}")
        self.check(self.rule("Landing/animals/many.csv", 1)["outcome"] == "passed", "rows were lost")


if __name__ == "__main__":
    sys.exit(ReferenceTests().run())
