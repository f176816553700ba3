#!/usr/bin/env python3
"""What a file came of and what came of it, in three forms; and that nobody is told a name that he may not read.

usage: test_lineage.py ASSAYFS SOURCE
"""
import errno
import json
import os
import shutil
import subprocess
import sys
import time

from acting import A, ActingTests, B, BAD, GOOD, WHO, writes

HOSTILE = "animals/q\" \\ & <b>\n];x [label=\"y.csv"


class LineageTests(ActingTests):
    def lineage(self, who, path, *more, code=0):
        done = self.command(who, "lineage", "mnt/" + path, "--json", *more, code=code)
        return json.loads(done.out) if done.returncode == 0 else {}

    def settled(self):
        """A file settles for a second before it is judged."""
        time.sleep(1.2)
        for _ in range(200):
            jobs = json.loads(self.command("steward", "status", "--json", "mnt", code=0).out)["jobs"]
            if jobs["queued"] + jobs["running"] == 0:
                return
            time.sleep(0.1)
        self.check(False, "checks do not end")

    def names(self, answer):
        return {f"{v['path']}@{v['number']}" for v in answer.get("versions", []) if not v["hidden"]}

    def test_all_is_found_from_each_end_with_verdict_and_policy(self):
        self.world()
        chain = {f"{zone}/{A}@1" for zone in ("Landing", "Raw", "Trusted")}
        for path in "Landing/" + A, "Raw/" + A, "Trusted/" + A, "Trusted/" + A + "@1":
            answer = self.lineage("steward", path)
            self.check(self.names(answer) == chain, f"{path}: {self.names(answer)}")
            self.check([t["kind"] for t in answer["ties"]] == ["input", "input"], f"{answer['ties']}")
            by_zone = {v["zone"]: v for v in answer["versions"]}
            why = self.json("why", "--json", "mnt/Trusted/" + A, user=1, group=1, env={**os.environ, "HOME": "/"})["verdict"]
            for zone in "Raw", "Trusted":
                verdict = by_zone[zone]["verdict"]
                self.check(verdict["outcome"] == "passed" and verdict["dataset"] == "animals", f"{verdict}")
                self.check(verdict["policy_sha256"] == why["policy"]["sha256"] and verdict["policy"] == why["policy"]["version"],
                           f"the policy of {zone}: {verdict}, {why['policy']}")
            self.check("verdict" not in by_zone["Landing"], "nobody judges Landing")
        text = self.command("steward", "lineage", "mnt/Raw/" + A, code=0).out
        for words in f"Raw/{A}@1", "came of", f"Landing/{A}@1", "led to", f"Trusted/{A}@1", "passed", "dataset animals, policy 1 (":
            self.check(words in text, f"{words!r} is not in:\n{text}")
        self.check("not told" not in text and "\x1b" not in text, text)

    def test_a_restore_a_delivery_and_a_newer_version_are_told(self):
        self.world()
        before = GOOD
        self.expect("ingester", writes(before + b"d;dog\r\n"), "Landing/" + A, 0, "a newer one")
        self.settled()
        self.expect("ingester", writes(before), "Landing/" + A, 0, "the first again")
        self.settled()
        answer = self.lineage("steward", "Landing/" + A, "--all")
        self.check({f"Landing/{A}@{n}" for n in (1, 2, 3)} <= self.names(answer), f"{self.names(answer)}")
        self.expect("ingester", writes(before), "Landing/" + A, 0, "and again")
        self.settled()
        answer = self.lineage("steward", "Landing/" + A)
        self.check(len(answer["deliveries"]) == 1 and answer["deliveries"][0]["path"] == "Landing/" + A, f"{answer['deliveries']}")
        self.command("ingester", "restore", f"mnt/Landing/{A}@2", code=0)
        self.settled()
        answer = self.lineage("steward", "Landing/" + A)
        self.check("restored" in [t["kind"] for t in answer["ties"]], f"{answer['ties']}")
        self.command("steward", "lineage", f"mnt/Landing/{A}@99", code=1)
        self.command("steward", "lineage", "mnt/Landing/never.csv", code=1)

    def test_what_was_refused_removed_or_erased_has_one_too(self):
        self.world()
        self.expect("ingester", writes(BAD), "Landing/" + B, 0, "a bad one")
        self.settled()
        answer = self.lineage("steward", "Landing/" + B)
        held = [v for v in answer["versions"] if v.get("quarantine")]
        self.check(len(held) == 1 and held[0]["verdict"]["outcome"] == "failed", f"{answer}")
        self.check(self.as_who("ingester", os.unlink, "Landing/" + A) == 0, "removed")
        self.check(f"Trusted/{A}@1" in self.names(self.lineage("steward", "Landing/" + A)), "of what was removed")
        self.expect("steward", writes(BAD), "Trusted/animals/direct.csv", errno.EPERM, "refused at its close")
        answer = self.lineage("steward", "Trusted/animals/direct.csv")
        self.check([v["zone"] for v in answer["versions"]] == ["staging"] and answer["versions"][0]["quarantine"]["state"] == "held",
                   f"{answer}")
        self.check("quarantine 2 of Trusted/animals/direct.csv" in
                   self.command("steward", "lineage", "mnt/Trusted/animals/direct.csv", code=0).out, "in words")
        self.command("steward", "erase", "--reason", "asked for", "mnt/Trusted/" + A, code=0)
        answer = self.lineage("steward", "Trusted/" + A)
        self.check({v["state"] for v in answer["versions"]} == {"erased"} and len(answer["versions"]) == 3, f"{answer}")
        self.check("erased" in self.command("steward", "lineage", "mnt/Trusted/" + A, code=0).out, "in words")

    def test_nobody_is_told_a_name_that_he_may_not_read(self):
        self.world(self.GRANTS)
        answer = self.lineage("analyst", "Trusted/" + A)
        self.check(self.names(answer) == {f"Trusted/{A}@1"} and answer["hidden"] == 2, f"an analyst reads Trusted alone: {answer}")
        for version in answer["versions"]:
            if version["hidden"]:
                self.check(set(version) == {"id", "zone", "hidden", "start"}, f"of one that is not told: {version}")
        for form in (), ("--dot",):
            done = self.command("analyst", "lineage", "mnt/Trusted/" + A, *form, code=0)
            self.check("Landing/" not in done.out and "Raw/" not in done.out and "not told to your user" in done.out, done.out)
        self.check(self.names(self.lineage("nobody", "Trusted/" + A)) == {f"Trusted/{A}@1"}, "by a grant")
        self.seen = 0
        for who, path in ("nobody", "Trusted/" + B), ("analyst", "Landing/" + A), ("analyst", "Raw/" + A), ("auditor", "Trusted/" + A):
            self.command(who, "lineage", "mnt/" + path, code=6)
            record = self.record_of(who, path, errno.EACCES, f"lineage by {who}")
            self.check(record.get("event") == "lineage", f"{record}")
        # A mode keeps who has the role out, of what he asks for and of what it came of.
        self.expect("steward", writes(GOOD), "Landing/animals/c.csv", 0, "his own")
        self.settled()
        self.expect("steward", lambda path: os.chmod(path, 0o600), "Landing/animals/c.csv", 0, "for himself")
        self.command("ingester", "lineage", "mnt/Landing/animals/c.csv", code=6)
        self.check(self.names(self.lineage("steward", "Raw/animals/c.csv")) >= {"Landing/animals/c.csv@1"}, "he himself")

    def test_graphviz_takes_whatever_a_file_is_called(self):
        self.world()
        self.expect("ingester", writes(GOOD), "Landing/" + HOSTILE, 0, "a hostile name")
        self.settled()
        done = self.command("steward", "lineage", "mnt/Landing/" + HOSTILE, "--dot", code=0)
        self.check(done.out.count(" -> ") == 2, done.out)
        if not shutil.which("dot"):
            print("graphviz is not installed: what --dot prints is not drawn")
            return
        drawn = subprocess.run(["dot", "-Tsvg"], input=done.stdout, capture_output=True, check=False)
        self.check(drawn.returncode == 0 and not drawn.stderr, f"dot: {drawn.stderr}\n{done.out}")
        self.check(drawn.stdout.count(b"<g id=\"node") == 3 and b"&lt;b&gt;" in drawn.stdout, drawn.stdout.decode())


sys.exit(LineageTests().run())
