#!/usr/bin/env python3
"""What does not pass: rows that are withheld, and what a steward decides about what is held.

usage: test_quarantine.py ASSAYFS SOURCE
"""
import datetime
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
RULES = 'Rules = [ RowCount > 1, IsUnique "id", ColumnValues "kind" in ["cat", "dog"] ]\n'
MIXED = b"id;kind\r\n1;cat\r\n2;dog\r\n3;wolf\r\n2;cat\r\n4;dog\r\n"
GOOD = b"id;kind\r\n1;cat\r\n4;dog\r\n"
HELD = (b"line;rules;id;kind\r\n"
        b'3;"IsUnique ""id""";2;dog\r\n'
        b'4;"ColumnValues ""kind"" in [""cat"",""dog""]";3;wolf\r\n'
        b'5;"IsUnique ""id""";2;cat\r\n')
PATH = "Landing/animals/a.csv"


def later(days=30):
    return (datetime.date.today() + datetime.timedelta(days=days)).isoformat()


class QuarantineTests(GateTests):
    def held(self):
        return self.json("quarantine", "list", "--json", "mnt")

    def split(self, policy=POLICY):
        self.mounted(policy, RULES)
        self.put(PATH, MIXED)
        self.wait_for("Trusted/animals/a.csv", GOOD)
        self.idle()

    def refused(self, path="Landing/plants/a.csv"):
        """The id of a file that is held whole."""
        self.mounted(POLICY, RULES)
        self.put(path, MIXED)
        self.outcome(path, "failed")
        self.idle()
        held = self.held()
        self.check([row["path"] for row in held] == [path], f"held: {held}")
        return str(held[0]["id"]) if held else "0"

    def test_rows_that_fail_are_held_and_the_rest_is_published(self):
        self.split()
        self.check(self.get("Raw/animals/a.csv") == MIXED, "Raw has not what came")
        held = self.held()
        self.check([(row["path"], row["partial"], row["reason"]) for row in held]
                   == [(PATH, True, "2 of 3 rules did not pass")], f"held: {held}")
        rows = self.assayfs("quarantine", "show", "--rows", "1", "mnt")
        self.check(rows.stdout == HELD, f"rows: {rows.stdout}")
        self.check(self.get(".assayfs/quarantine/1/content") == HELD, "the hidden tree shows other rows")
        why = self.assayfs("why", self.at(PATH)).out
        for words in ("passed, dataset animals", "2 of 5 rows published; 3 that broke a rule are in quarantine",
                      'failed  IsUnique "id"', "what was published, checked by itself:", "all 3 rules passed"):
            self.check(words in why, f"'{words}' is not in: {why}")
        verdict = self.json("why", "--json", self.at("Trusted/animals/a.csv"))["verdict"]
        split = verdict.get("split", {})
        self.check((split.get("rows_in"), split.get("rows_out"), split.get("rows_quarantined")) == (5, 2, 3), f"{split}")
        self.check((verdict["input"]["size"], verdict["output"]["size"]) == (len(MIXED), len(GOOD)), f"{verdict}")
        self.check(any("3 of 5 rows withheld" in r.get("detail", "") for r in self.records("--event", "verdict")), "no record")
        self.check(any("the rows" in r.get("detail", "") for r in self.records("--event", "quarantine-show")),
                   "who read what is held left no record")
        self.assayfs("quarantine", "show", "--rows", "--json", "1", "mnt", code=2)

    def test_what_is_left_of_a_split_file_is_withdrawn_with_it(self):
        policy = POLICY.replace("on_failure: split}", "on_failure: split, on_recheck_failure: withdraw}") + """workflows:
  - {name: arrive, dataset: animals, from: Landing, to: Trusted, on: close}
  - {name: again, dataset: animals, from: Raw, to: Trusted, on: demand}
"""
        self.split(policy)
        self.assayfs("run", "again", "mnt")
        self.check(self.get("Trusted/animals/a.csv") == GOOD and len(self.held()) == 1, "a run that changes nothing did")
        self.policy(policy, "Rules = [ RowCount > 100 ]\n")
        self.idle()
        self.assayfs("run", "again", "mnt", code=1)
        self.check(self.get("Trusted/animals/a.csv") is None, "it is still there")

    def test_json_lines_are_split_too(self):
        lines = [b'{"id":1,"kind":"cat"}\n', b'{"id":2,"kind":"wolf, grey"}\n', b'{"id":3,"kind":"dog"}\n', b'{"id":4,"kind":"cat"}']
        self.mounted(POLICY.replace("animals/*.csv", "animals/*"), RULES)
        self.put("Landing/animals/a.jsonl", b"".join(lines))
        self.wait_for("Trusted/animals/a.jsonl", lines[0] + lines[2] + lines[3])
        rows = self.assayfs("quarantine", "show", "--rows", "1", "mnt")
        self.check(rows.stdout == b'line,rules,row\n2,"ColumnValues ""kind"" in [""cat"",""dog""]",'
                   b'"{""id"":2,""kind"":""wolf, grey""}"\n', f"rows: {rows.stdout}")

    def test_what_is_not_split(self):
        """A rule on the whole, a rest that fails by itself, a file of which no row passes, a write into Trusted."""
        self.mounted(POLICY, RULES)
        cases = {"few": (b"id;kind\n1;cat\n", "RowCount > 1 is about the file"),
                 "rest": (b"id;kind\n1;cat\n2;wolf\n", "the rest does not pass either"),
                 "none": (b"id;kind\n1;fox\n2;wolf\n", "no row passed")}
        for name, (content, words) in cases.items():
            self.put(f"Landing/animals/{name}.csv", content)
            self.outcome(f"Landing/animals/{name}.csv", "failed")
            why = self.assayfs("why", self.at(f"Landing/animals/{name}.csv"), code=1).out
            self.check("refused whole" in why and words in why, f"{name}: {why}")
            self.check(self.get(f"Trusted/animals/{name}.csv") is None, f"{name} is in Trusted")
        self.check(not any(row["partial"] for row in self.held()), f"{self.held()}")
        self.outside("direct.csv", MIXED)
        done = subprocess.run(["cp", "direct.csv", "mnt/Trusted/animals/"], cwd=self.directory, capture_output=True, check=False)
        self.check(done.returncode != 0 and self.get("Trusted/animals/direct.csv") is None, f"a direct write was split: {done}")
        whole = self.assayfs("quarantine", "show", "--rows", str(self.held()[0]["id"]), "mnt", code=2)
        self.check("whole file" in whole.err, whole.err)

    def test_what_still_fails_is_not_released(self):
        held = self.refused()
        self.assayfs("quarantine", "release", held, "mnt", code=2)  # no reason
        done = self.assayfs("quarantine", "release", held, "--reason", "please", "mnt", code=1)
        self.check("it still does not pass" in done.err and "--waiver-until" in done.err, done.err)
        for date in ("2001-01-01", "never", "yesterday"):
            self.assayfs("quarantine", "release", held, "--reason", "x", "--waiver-until", date, "mnt", code=2)
        self.check(self.get("Trusted/plants/a.csv") is None, "it is in Trusted")
        self.check(len(self.held()) == 1, "a refused release left something")
        self.check([(r["outcome"], "it does not pass" in r["detail"]) for r in self.records("--event", "quarantine-release")]
                   == [("denied", True)], "the attempt has no record")
        self.assayfs("quarantine", "release", "99", "--reason", "x", "mnt", code=1)
        self.assayfs("quarantine", "release", "x", "--reason", "x", "mnt", code=2)

    def test_what_passes_by_now_is_released(self):
        held = self.refused()
        self.policy(POLICY.replace("settle: 0s}", "settle: 59m}"), "Rules = [ RowCount > 1 ]\n")
        done = self.assayfs("quarantine", "release", held, "--reason", "rule 2 was wrong", "mnt")
        self.check("passes now and is in Trusted" in done.out, done.out)
        self.check(self.get("Trusted/plants/a.csv") == MIXED, "it is not in Trusted")
        self.assayfs("quarantine", "release", held, "--reason", "again", "mnt", code=1)
        self.assayfs("quarantine", "drop", held, "--reason", "again", "mnt", code=1)
        self.check([row["state"] for row in self.json("quarantine", "list", "--all", "--json", "mnt")] == ["released"], "state")
        self.check(self.json("status", "--json", "mnt")["waived"]["count"] == 0, "a pass counts as waived")

    def test_a_waiver_lets_it_through_and_is_seen_everywhere(self):
        held = self.refused()
        done = self.json("quarantine", "release", held, "--reason", "the register is late", "--waiver-until", later(),
                         "--json", "mnt")
        self.check(done.get("waived") is True and done.get("path") == "Landing/plants/a.csv", f"{done}")
        self.check(self.get("Trusted/plants/a.csv") == MIXED, "it is not in Trusted")
        why = self.json("why", "--json", self.at("Trusted/plants/a.csv"))
        self.check((why["outcome"], why["verdict"]["outcome"]) == ("waived", "waived"), f"{why['outcome']}")
        waiver = why["verdict"]["waiver"]
        self.check((waiver["by"], waiver["reason"], waiver["quarantine"]) == ("root", "the register is late", int(held)), f"{waiver}")
        text = self.assayfs("why", self.at("Trusted/plants/a.csv")).out
        self.check(": waived" in text and "let through until" in text and "the register is late" in text, text)
        self.check('failed  IsUnique "id"' in text, text)
        status = self.json("status", "--json", "mnt")["waived"]
        self.check((status["count"], status["expired"]) == (1, 0), f"{status}")
        self.check("Waived in Trusted: 1 file" in self.assayfs("status", "mnt").out, "status does not say it")
        record = self.records("--event", "quarantine-release")[-1]
        self.check(record["outcome"] == "ok" and "waived" in record["detail"] and "the register is late" in record["detail"], f"{record}")
        # It is seen after a new mount, and ends with the file that it is about.
        self.unmount(self.mnt)
        self.assayfs("fsck", "--passfile", "pass", "v")
        self.mount()
        self.check(self.json("status", "--json", "mnt")["waived"]["count"] == 1, "forgotten by a new mount")
        self.put("Landing/plants/a.csv", GOOD)
        self.wait_for("Trusted/plants/a.csv", GOOD)
        self.check(self.json("status", "--json", "mnt")["waived"]["count"] == 0, "it outlived its file")

    def test_a_waiver_that_is_over_is_said_to_be(self):
        held = self.refused()
        end = time.time() + 1.5
        until = datetime.datetime.fromtimestamp(end, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        self.assayfs("quarantine", "release", held, "--reason", "for a moment", "--waiver-until", until, "mnt")
        while time.time() <= end + 0.01:
            time.sleep(0.05)
        why = self.assayfs("why", self.at("Trusted/plants/a.csv"), code=3)
        self.check("WAIVER EXPIRED" in why.out, why.out)
        self.check("1 EXPIRED" in self.assayfs("status", "mnt").out, "status does not say it")
        self.check(self.get("Trusted/plants/a.csv") == MIXED, "it went by itself")
        self.assayfs("policy", "apply", "--recheck", "policy", "mnt", code=1)
        self.check(self.get("Trusted/plants/a.csv") is None, "a recheck left it there")

    def test_what_is_newer_is_not_replaced(self):
        held = self.refused()
        self.put("Landing/plants/a.csv", GOOD)
        self.wait_for("Trusted/plants/a.csv", GOOD)
        done = self.assayfs("quarantine", "release", held, "--reason", "x", "--waiver-until", later(), "mnt", code=1)
        self.check("newer" in done.err, done.err)
        self.check(self.get("Trusted/plants/a.csv") == GOOD, "the newer file is gone")

    def test_a_split_file_is_released_whole(self):
        self.split()
        self.assayfs("quarantine", "release", "1", "--reason", "both 2s are right", "--waiver-until", later(), "mnt")
        self.check(self.get("Trusted/animals/a.csv") == MIXED, "not the whole file")
        self.check(self.held() == [], "still held")

    def test_what_is_dropped_is_not_waited_for(self):
        held = self.refused()
        self.assayfs("quarantine", "drop", held, "mnt", code=2)
        done = self.assayfs("quarantine", "drop", held, "--reason", "a test file", "mnt")
        self.check("Landing/plants/a.csv is not waited for" in done.out, done.out)
        self.check(self.held() == [], "still held")
        self.check("a test file" in self.records("--event", "quarantine-drop")[-1]["detail"], "no record")
        self.check(self.get("Landing/plants/a.csv") == MIXED, "Landing lost it")

    def as_user(self, user, *words):
        return subprocess.run(["setpriv", "--reuid", user, "--regid", user, "--clear-groups", ASSAYFS, *words, self.mnt],
                              cwd="/", capture_output=True, check=False, timeout=60)

    def test_only_a_steward_decides(self):
        if os.getuid() != 0 or not shutil.which("setpriv"):
            return
        os.chmod(self.directory, 0o755)
        self.mounted(POLICY + ROLES, RULES, options=("-o", "allow_other"))
        self.put("Landing/plants/a.csv", MIXED)
        self.outcome("Landing/plants/a.csv", "failed")
        self.idle()
        for user in ("64001", "64002"):
            for words in (["release", "1", "--reason", "x", "--waiver-until", later()], ["drop", "1", "--reason", "x"],
                          ["show", "1"], ["show", "--rows", "1"], ["list"]):
                done = self.as_user(user, "quarantine", *words)
                self.check(done.returncode == 6 and b"no role" in done.stderr, f"{user} {words}: {done}")
        self.check(len(self.held()) == 1 and self.get("Trusted/plants/a.csv") is None, "somebody decided")
        denied = [r["event"] for r in self.records("--outcome", "denied") if r["uid"] in (64001, 64002)]
        self.check(denied.count("quarantine-release") == 2 and denied.count("quarantine-drop") == 2, f"{denied}")


if __name__ == "__main__":
    sys.exit(QuarantineTests().run())
