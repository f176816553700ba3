#!/usr/bin/env python3
"""A policy that comes later, and what stands in Trusted already.

usage: test_recheck.py ASSAYFS SOURCE
"""
import os
import sys

from gate import GateTests

POLICY = """version: 1
datasets:
  - {name: animals, match: "animals/*.csv", rules: animals.dqdl, settle: 0s}
"""
WITHDRAW = POLICY.replace("settle: 0s", "settle: 0s, on_recheck_failure: withdraw") + """workflows:
  - {name: arrive, dataset: animals, from: Landing, to: Trusted, on: close}
  - {name: again, dataset: animals, from: Raw, to: Trusted, on: demand}
"""
SMALL, LARGE = b"a\n1\n2\n", b"a\n1\n2\n3\n4\n"


def at_least(rows):
    return f"Rules = [ RowCount >= {rows} ]\n"


class RecheckTests(GateTests):
    def begun(self, policy=POLICY):
        """small.csv and large.csv stand in Trusted; tiny.csv was refused."""
        self.mounted(policy, at_least(2))
        self.put("Landing/animals/small.csv", SMALL)
        self.put("Landing/animals/large.csv", LARGE)
        self.put("Landing/animals/tiny.csv", b"a\n1\n")
        self.wait_for("Trusted/animals/small.csv", SMALL)
        self.wait_for("Trusted/animals/large.csv", LARGE)
        self.outcome("Landing/animals/tiny.csv", "failed")
        self.idle()

    def named(self, name, rules, policy=POLICY):
        os.makedirs(self.path(name), exist_ok=True)
        self.write(name + "/policy.yaml", policy)
        self.write(name + "/animals.dqdl", rules)
        return name

    def test_a_dry_run_says_what_would_change_and_changes_nothing(self):
        self.begun()
        before = self.json("status", "--json", "mnt")["policy"]
        records = len(self.records())
        stricter = self.json("policy", "apply", "--dry-run", "--json", self.named("stricter", at_least(4)), "mnt", code=1)
        self.check([(c["path"], c["now"], c["then"]) for c in stricter["changes"]]
                   == [("Trusted/animals/small.csv", "passed", "failed")], f"stricter: {stricter}")
        self.check((stricter["files"], stricter["would_not_pass"], stricter["would_pass"]) == (5, 1, 0), f"{stricter}")
        milder = self.json("policy", "apply", "--dry-run", "--json", self.named("milder", at_least(1)), "mnt")
        self.check([(c["path"], c["now"], c["then"]) for c in milder["changes"]]
                   == [("Landing/animals/tiny.csv", "failed", "passed")], f"milder: {milder}")
        other = self.json("policy", "apply", "--dry-run", "--json",
                          self.named("other", at_least(1), POLICY.replace("animals/*", "plants/*")), "mnt", code=1)
        self.check({c["path"]: c["then"] for c in other["changes"]}
                   == {"Trusted/animals/small.csv": "none", "Trusted/animals/large.csv": "none"}, f"other: {other}")
        self.check(self.json("status", "--json", "mnt")["policy"] == before, "the policy in force is another")
        self.check(self.get("Trusted/animals/small.csv") == SMALL, "a dry run changed Trusted")
        self.check({r["event"] for r in self.records()[records:]} <= {"read-log", "open", "close", "opendir", "lookup"},
                   "a dry run left more in the log than what this test read")
        wrong = self.named("wrong", "Rules = [ RowCount > ]\n")
        self.assayfs("policy", "apply", "--dry-run", wrong, "mnt", code=1)
        self.assayfs("policy", "apply", "--dry-run", "--recheck", "stricter", "mnt", code=2)

    def test_a_recheck_withdraws_what_fails_and_says_so(self):
        self.begun()
        self.policy(POLICY, at_least(4))
        self.idle()
        self.check(self.get("Trusted/animals/small.csv") == SMALL, "what is trusted is kept when nothing is said")
        done = self.assayfs("policy", "apply", "--recheck", "policy", "mnt", code=1)
        self.check("withdrawn       Trusted/animals/small.csv: 1 of 1 rule did not pass" in done.out, done.out)
        self.check("2 files in Trusted checked, 1 withdrawn" in done.out, done.out)
        self.check(self.get("Trusted/animals/small.csv") is None, "it is still there")
        self.check(os.listdir(self.at("Trusted/animals")) == ["large.csv"], "the listing shows it")
        self.check(self.get("Trusted/animals/large.csv") == LARGE, "what passes is gone")
        withdrawn = self.records("--event", "withdraw")
        self.check([r["path"] for r in withdrawn] == ["Trusted/animals/small.csv"], f"records: {withdrawn}")
        self.check("policy 2, verdict " in withdrawn[0]["detail"], f"records: {withdrawn}")
        self.check(self.why("Trusted/animals/small.csv").get("outcome") == "failed", "why does not know it")
        self.check(any(q["path"] == "Trusted/animals/small.csv" for q in self.json("quarantine", "list", "--json", "mnt")),
                   "it is not in quarantine")
        again = self.assayfs("policy", "apply", "--recheck", "policy", "mnt")
        self.check("1 file in Trusted checked, 0 withdrawn." in again.out, again.out)
        # It comes back as any file does: by passing.
        self.put("Landing/animals/small.csv", LARGE + b"5\n")
        self.wait_for("Trusted/animals/small.csv", LARGE + b"5\n")
        self.idle()
        why = self.why("Trusted/animals/small.csv")
        self.check(why.get("outcome") == "passed" and why["verdict"]["path"] == "Landing/animals/small.csv",
                   f"why tells of the withdrawal yet: {why}")
        # What comes after it and is refused is what who asks wants to know.
        self.put("Landing/animals/small.csv", SMALL)
        self.outcome("Landing/animals/small.csv", "failed")
        self.check(self.why("Trusted/animals/small.csv").get("newer") == "failed", "why does not tell of what is newer")
        self.unmount(self.mnt)
        self.assayfs("fsck", "--passfile", "pass", "v")
        self.mount()
        self.check(self.get("Trusted/animals/small.csv") == LARGE + b"5\n", "after a new mount it is another")

    def test_what_is_allowed_no_longer_is_said(self):
        ended = POLICY.replace("settle: 0s}", "settle: 0s, privacy: {detect: EMAIL, allow: [\n"
                               "      {value: a@example.org, owner: anna, until: 2025-03-31}]}}")
        words = "policy.yaml:4: the allow entry of anna ended 2025-03-31"
        self.begun()
        name = self.named("ended", at_least(2), ended)
        self.check("note: " + words in self.assayfs("policy", "apply", "--dry-run", name, "mnt").out, "a dry run is silent")
        dry = self.json("policy", "apply", "--dry-run", "--json", name, "mnt")
        self.check(dry["warnings"] == [words], f"a dry run says {dry}")
        self.check("note: " + words in self.assayfs("policy", "apply", name, "mnt").out, "it is applied in silence")
        self.check(self.json("status", "--json", "mnt")["policy"]["warnings"] == [words], "status does not say it")

    def test_what_can_not_be_checked_stays(self):
        self.begun()
        self.policy(POLICY, 'Rules = [ RowCount > 0 where "abs(-9223372036854775807 - 1) > 0" ]\n')
        self.idle()
        done = self.assayfs("policy", "apply", "--recheck", "policy", "mnt", code=3)
        self.check("not checked     Trusted/animals/small.csv" in done.out, done.out)
        self.check(self.get("Trusted/animals/small.csv") == SMALL, "a check that could not be made emptied Trusted")

    def test_a_workflow_withdraws_where_the_policy_says_so(self):
        self.begun(WITHDRAW)
        self.policy(WITHDRAW, at_least(4))
        self.idle()
        self.put("Trusted/animals/own.csv", LARGE)  # no arrival: Raw has nothing of it
        self.assayfs("run", "again", "mnt", code=1)
        self.check(self.get("Trusted/animals/small.csv") is None, "it is still there")
        self.check(self.get("Trusted/animals/large.csv") == LARGE, "what passes is gone")
        self.check(self.get("Trusted/animals/own.csv") == LARGE, "what it did not judge is gone")


if __name__ == "__main__":
    sys.exit(RecheckTests().run())
