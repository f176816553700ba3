#!/usr/bin/env python3
"""Workflows by hand and by themselves on a mount: the founding example with the Vancouver file, a schedule of each
minute, a kill in the middle of a run, and what is published and fails."""
import os
import re
import signal
import sys
import time

from gate import GateTests, NAME, RULES, vancouver

POLICY = """version: 1
datasets:
  - {name: list, match: "list.csv", rules: list.dqdl, settle: 0s}
  - name: animal-lost-and-found
    match: "animals/*.csv"
    rules: animals.dqdl
    nulls: empty
    settle: 0s%s
workflows:
  - {name: list, dataset: list, from: Landing, to: Trusted, on: close}
  - {name: on-arrival, dataset: animal-lost-and-found, from: Landing, to: Trusted, on: close}
  - {name: project-anilost24-dqdp, dataset: animal-lost-and-found, from: Raw, to: Trusted, cron: "59 23 * * 0",
     timezone: America/Vancouver, time_limit: 30m, retries: 2}
"""
MINUTELY = """  - {name: minutely, dataset: animal-lost-and-found, from: Raw, to: Trusted, cron: "* * * * *"}
  - {name: behind, dataset: animal-lost-and-found, from: Raw, to: Trusted, after: minutely}
"""
FOUNDING = "project-anilost24-dqdp"
SMALL = b"name;kind\r\na;cat\r\nb;dog\r\nc;cat\r\n"


class RunTests(GateTests):
    def begun(self, policy=POLICY % "", rules=RULES):
        self.mounted(policy=None)
        os.makedirs(self.path("policy"), exist_ok=True)
        self.write("policy/list.dqdl", "Rules = [ RowCount > 0 ]\n")
        self.policy(policy, rules)

    def runs(self, *arguments):
        return self.json("runs", "--json", *arguments, "mnt")["runs"]

    def workflow(self, name):
        return [w for w in self.json("status", "--json", "mnt")["workflows"] if w["name"] == name][0]

    def test_the_founding_example(self):
        content, _ = vancouver()
        self.begun()
        self.put("Landing/" + NAME, content)
        self.wait_for("Trusted/" + NAME, content)
        told = self.workflow(FOUNDING)
        self.check(re.fullmatch(r"\d{4}-\d\d-\d\dT23:59:00-0[78]:00", told["next"]), f"next: {told['next']}")
        self.check(told["last"] is None, f"{told}")
        done = self.assayfs("run", FOUNDING, "mnt")
        self.check(re.search(r"Run 1 succeeded in .*: 1 passed, 0 failed, 0 could not be checked", done.out), done.out)
        run = self.runs(FOUNDING)[0]
        self.check((run["cause"], run["state"], run["counts"]["passed"]) == ("by-hand", "succeeded", 1), f"{run}")
        last = self.workflow(FOUNDING)["last"]
        self.check(last["state"] == "succeeded" and last["ended"] and last["counts"]["total"] == 1, f"{last}")
        self.check(FOUNDING in self.assayfs("status", "mnt").out, "status does not name it")
        self.check("nothing of that name" not in self.assayfs("runs", "nothing", "mnt", code=1).err, "runs of nothing")
        details = [record["detail"] for record in self.records("--event", "run")]
        self.check(len(details) == 2 and "begins (by-hand)" in details[0] and "run 1 succeeded" in details[1], f"{details}")

    def test_each_minute_by_itself(self):
        self.begun(POLICY % "" + MINUTELY, "Rules = [ RowCount > 2 ]\n")
        self.put("Landing/animals/a.csv", SMALL)
        self.wait_for("Trusted/animals/a.csv", SMALL)
        deadline = time.monotonic() + 75
        while time.monotonic() < deadline and not self.runs("behind"):
            time.sleep(0.5)
        self.idle()
        first, behind = self.runs("minutely"), self.runs("behind")
        self.check(len(first) == 1 and first[0]["cause"] == "schedule" and first[0]["due"][17:] == "00Z", f"{first}")
        self.check(len(behind) == 1 and (behind[0]["cause"], behind[0]["state"]) == ("after", "succeeded"), f"{behind}")

    def test_a_kill_amid_a_run_neither_loses_nor_doubles_it(self):
        self.begun(rules="Rules = [ RowCount > 2 ]\n")
        names = [f"Trusted/animals/{i}.csv" for i in range(150)]
        for name in names:
            self.put(name.replace("Trusted", "Landing"), SMALL)
        self.idle(60)
        self.policy(POLICY % "", "Rules = [ RowCount > 2, ColumnCount = 2 ]\n")
        self.assayfs("run", "--no-wait", FOUNDING, "mnt")
        pid = self.json("status", "--json", "mnt")["pid"]
        os.kill(pid, signal.SIGKILL)
        for _ in range(200):
            if not os.path.exists(f"/proc/{pid}") or open(f"/proc/{pid}/stat", encoding="utf-8").read().split()[2] == "Z":
                break
            time.sleep(0.05)
        self.assayfs("umount", "mnt")
        self.mount()
        self.idle(60)
        for _ in range(100):
            runs = self.runs(FOUNDING)
            if not runs or runs[0]["state"] != "running":
                break
            time.sleep(0.1)
        # The audit record of the run was durable before the command returned, and the run with it.
        self.check(len(runs) == 1, f"{runs}")
        counts = runs[0]["counts"]
        self.check(runs[0]["state"] == "succeeded" and counts["total"] == len(names), f"{runs}")
        self.check(counts["passed"] == len(names), f"{counts}")
        self.assayfs("run", FOUNDING, "mnt")
        self.check(len(self.runs(FOUNDING)) == 2, "there are more runs")

    def test_what_is_published_and_fails_is_stale(self):
        self.begun(POLICY % "\n    references: {list: Trusted/list.csv}", 'Rules = [ ReferentialIntegrity "name" "list.name" = 1.0 ]\n')
        self.put("Landing/list.csv", b"name;x\r\na;1\r\nb;1\r\nc;1\r\n")
        self.idle()
        self.put("Landing/animals/a.csv", SMALL)
        self.wait_for("Trusted/animals/a.csv", SMALL)
        self.check("user.assayfs.stale" not in self.attributes("Trusted/animals/a.csv"), "stale at first")
        self.put("Landing/list.csv", b"name;x\r\na;1\r\nb;1\r\n")
        self.idle()
        self.assayfs("run", FOUNDING, "mnt", code=1)
        told = self.attributes("Trusted/animals/a.csv")
        self.check(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]+Z", told.get("user.assayfs.stale", "")), f"{told}")
        self.check(told["user.assayfs.verdict"] == "passed" and "user.assayfs.newer" not in told, f"{told}")
        self.check(self.get("Trusted/animals/a.csv") == SMALL, "it did not stay")
        why = self.json("why", "--json", self.at("Trusted/animals/a.csv"))
        self.check(why["outcome"] == "passed" and "stale since" in why["text"] and why["stale"]["verdict"]["check"]["outcome"] == "failed", f"{why}")
        self.check(self.json("status", "--json", "mnt")["stale_files"] == 1, "status does not count it")
        self.put("Landing/list.csv", b"name;x\r\na;1\r\nb;1\r\nc;1\r\n")
        self.idle()
        self.assayfs("run", FOUNDING, "mnt")
        self.check("user.assayfs.stale" not in self.attributes("Trusted/animals/a.csv"), "stale for good")

    def attributes(self, path):
        told = {}
        for name in ("verdict", "newer", "stale"):
            try:
                told["user.assayfs." + name] = os.getxattr(self.at(path), "user.assayfs." + name).decode()
            except OSError:
                continue
        return told


if __name__ == "__main__":
    sys.exit(RunTests().run())
