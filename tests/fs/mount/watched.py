#!/usr/bin/env python3
"""What a mount watches by itself, end to end and in real minutes: samples, alarms on them, who is told, and how often.

tests: fs/watch/watch, fs/watch/activity

Among the services for its five minutes: a sample counts in the minute that it begins, which has to pass.
"""
import json
import os
import signal
import sys
import time

from gate import GateTests
from test_alarm import Receiver

WORKFLOWS = """workflows:
  - {name: list, dataset: list, from: Landing, to: Trusted, on: close}
  - {name: in, dataset: animals, from: Landing, to: Trusted, on: close}
  - {name: too, dataset: pets, from: Landing, to: Trusted, on: close}
  - {name: minutely, dataset: animals, from: Raw, to: Trusted, cron: "* * * * *"}
  - {name: again, dataset: pets, from: Raw, to: Trusted, cron: "* * * * *"}
"""
# What lies there for some minutes costs next to nothing: the expression stands for a month of a large vault.
POLICY = """version: 1
datasets:
  - {name: list, match: "*.csv", rules: list.dqdl, settle: 0s}
  - {name: animals, match: "animals/*.csv", rules: animals.dqdl, settle: 0s, references: {list: Trusted/gone.csv}}
  - {name: pets, match: "pets/*.csv", rules: animals.dqdl, settle: 0s, references: {list: Trusted/less.csv}}
costs: {usd_per_gb_month: 1000}
""" + WORKFLOWS
CHARGES = {"name": "charges", "metrics": {"c": {"metric": "EstimatedCharges"}}, "expression": "c * 1000000"}
SMALL = b"name;kind\r\na;cat\r\nb;dog\r\n"


class WatchedTests(GateTests):
    def alarms(self, *more):
        tell = {"period": "1m", "notify": [f"webhook:{self.receiver.url}/"]}
        rows = [{**CHARGES, "above": 38, **tell},
                {"name": "failed", "metric": "WorkflowFailed", "dimensions": {"workflow": "minutely"}, "above": 0, **tell},
                {"name": "stale", "metric": "StaleFiles", "at_least": 1, **tell}]
        rows += [{**row, **tell} for row in more]
        return POLICY + f"alarms: {json.dumps(rows)}\n"

    def states(self):
        return {alarm["name"]: alarm["state"] for alarm in self.json("alarm", "list", "--json", "mnt")["alarms"]}

    def told(self, state="ALARM"):
        bodies = [json.loads(body) for _, body in self.receiver.got]
        return sorted(body["AlarmName"] for body in bodies if body["NewStateValue"] == state)

    def gone_off(self):
        history = self.json("alarm", "history", "--json", "mnt")["history"]
        return sorted(event["name"] for event in history if event["kind"] == "StateUpdate" and event["after"] == "ALARM")

    def until(self, what, is_so, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if is_so():
                return
            time.sleep(0.25)
        self.check(False, f"{what}: not within {seconds} s; {self.states()}, {self.told()}")

    def next_minute(self):
        time.sleep(60 - time.time() % 60 + 5)

    def prepared(self):
        """One workflow can't check its file any more, another one refuses what it published."""
        self.mounted(policy=None)
        os.makedirs(self.path("policy"), exist_ok=True)
        self.write("policy/list.dqdl", "Rules = [ RowCount > 0 ]\n")
        self.policy(self.alarms(), 'Rules = [ ReferentialIntegrity "name" "list.name" = 1.0 ]\n')
        for name in ("gone", "less"):
            self.put(f"Landing/{name}.csv", b"name;x\r\na;1\r\nb;1\r\n")
        self.idle()
        for folder in ("animals", "pets"):
            self.put(f"Landing/{folder}/a.csv", SMALL)
            self.wait_for(f"Trusted/{folder}/a.csv", SMALL)
        self.put("Landing/big.bin", os.urandom(6000000))
        os.unlink(self.at("Trusted/gone.csv"))
        self.put("Landing/less.csv", b"name;x\r\na;1\r\nc;1\r\n")
        self.idle()

    def is_told_after_a_kill(self):
        """At least once, by the same id: while nobody takes it, it waits, over a kill, too."""
        self.receiver.answer = 503
        self.policy(self.alarms({"name": "killed", "metric": "ReplicationLag", "above": 1, "missing": "breaching"}),
                    'Rules = [ ReferentialIntegrity "name" "list.name" = 1.0 ]\n')
        self.until("tried", lambda: "killed" in self.told(), 30)
        pid = self.json("status", "--json", "mnt")["pid"]
        os.kill(pid, signal.SIGKILL)
        self.until_gone(pid)
        tried, self.receiver.answer = len(self.receiver.got), 200
        self.assayfs("umount", "mnt")
        self.mount()
        self.until("told after the kill", lambda: self.told().count("killed") > 1 and len(self.receiver.got) > tried, 30)
        ids = {headers["webhook-id"] for headers, body in self.receiver.got if json.loads(body)["AlarmName"] == "killed"}
        self.check(len(ids) == 1, f"ids: {ids}")

    def until_gone(self, pid):
        for _ in range(200):
            if not os.path.exists(f"/proc/{pid}") or open(f"/proc/{pid}/stat", encoding="utf-8").read().split()[2] == "Z":
                return
            time.sleep(0.05)

    def test_alarms_go_off_by_what_is_measured_and_are_told_once(self):
        self.receiver = Receiver()
        try:
            self.prepared()
            self.check(self.states()["charges"] == "INSUFFICIENT_DATA", f"{self.states()}")
            self.until("three alarms", lambda: set(self.states().values()) == {"ALARM"} and len(self.told()) >= 3, 270)
            history = [event for event in self.json("alarm", "history", "--json", "charges", "mnt")["history"]]
            self.check("ALARM" in json.dumps(history), f"{history}")
            records = self.records("--event", "alarm")
            self.check(all(any(name in str(record) for record in records) for name in self.states()), f"{records}")
            runs = self.json("runs", "minutely", "--json", "mnt")["runs"]
            self.check(runs and runs[0]["state"] == "failed" and runs[0]["cause"] == "schedule", f"{runs}")
            self.check(self.get("Trusted/pets/a.csv") == SMALL, "what is stale did not stay")
            self.assayfs("umount", "mnt")
            self.mount()
            self.check(set(self.states().values()) == {"ALARM"}, f"after the mount: {self.states()}")
            self.next_minute()
            # A run that ends beside the sample of its minute counts in the next: that alarm may go to OK and back.
            self.check(self.told() == self.gone_off(), f"told: {self.told()}, gone off: {self.gone_off()}")
            self.check([self.told().count(name) for name in ("charges", "stale")] == [1, 1], f"told: {self.told()}")
            self.is_told_after_a_kill()
        finally:
            self.receiver.close()


if __name__ == "__main__":
    sys.exit(WatchedTests().run())
