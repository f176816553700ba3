#!/usr/bin/env python3
"""A real Prometheus scrapes a mount, and what the alert rules say of it reaches a real Alertmanager.

usage: prometheus.py ASSAYFS SOURCE
"""
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request

import exposition
from gate import generated
from metered import SOURCE, MeteredTests

PROGRAMS = ("prometheus", "prometheus-alertmanager", "promtool")
for program in PROGRAMS:
    if not shutil.which(program):
        print(f"skipped: {program} is missing (scripts/setup --services)")
        sys.exit(77)
RULES = os.path.join(SOURCE, "scripts/prometheus")
# The rule wants more than four verdicts in an hour, and half of them refusals.
FIRES = "AssayfsRefusalsHigh"
POLICY = """version: 1
datasets:
  - {name: "hostile \\"name\\"", match: "animals/*.csv", rules: animals.dqdl, nulls: empty, settle: 0s}
"""
PARSE = """
import importlib, json, sys
families = importlib.import_module(sys.argv[1]).text_string_to_metric_families(sys.stdin.read())
print(json.dumps([(s.name, sorted(s.labels.items()), s.value) for family in families for s in family.samples]))
"""
DQDL = "Rules = [ RowCount > 10 ]\n"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


class PrometheusTests(MeteredTests):
    children = ()

    def clean_up(self):
        for child in self.children:
            child.terminate()
        for child in self.children:
            try:
                child.wait(timeout=20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self.children = ()
        super().clean_up()

    def promtool(self, *arguments, stdin=None):
        done = subprocess.run(["promtool", *arguments], input=stdin, capture_output=True, check=False, timeout=60)
        self.check(done.returncode == 0, f"promtool {' '.join(arguments)}: {done.stdout.decode()} {done.stderr.decode()}")
        return done

    def served(self):
        """Where the mount's metrics are to be had, and a token that gives them."""
        self.mounted(POLICY, DQDL, ("--http", "127.0.0.1:0"))
        address = self.json("status", "--json", "mnt")["http"]["address"]
        return address, self.json("token", "add", "prometheus", "--role", "viewer", "--json", "mnt")["token"]

    def run_server(self, name, *arguments):
        with open(self.path(name + ".log"), "wb") as log:
            self.children = [*self.children, subprocess.Popen([name, *arguments], stdout=log, stderr=log, cwd=self.directory)]

    def until(self, question, what, seconds=60):
        """The first answer that is something."""
        end, last = time.monotonic() + seconds, None
        while time.monotonic() < end:
            try:
                last = question()
                if last:
                    return last
            except OSError as error:
                last = error
            time.sleep(0.2)
        logs = "".join(open(self.path(f"{name}.log"), encoding="utf-8").read()[-600:] for name in PROGRAMS[:2]
                       if os.path.exists(self.path(f"{name}.log")))
        self.faults.append(f"{what} within {seconds} s; {last} {logs}")
        return None

    def refuse_some(self, count, start=0):
        for i in range(start, start + count):
            self.put(f"Landing/animals/bad{i}.csv", generated(rows=2, seed=i))
            self.outcome(f"Landing/animals/bad{i}.csv", "failed")

    def test_promtool_finds_nothing_in_what_a_mount_says(self):
        self.mounted(POLICY, DQDL)
        self.put("Landing/animals/a.csv", generated(rows=20))
        self.outcome("Landing/animals/a.csv", "passed")
        self.refuse_some(1)
        with open(self.at(".assayfs/metrics"), "rb") as file:
            text = file.read()
        done = self.promtool("check", "metrics", stdin=text)
        self.check(not done.stdout and not done.stderr, f"{done.stdout.decode()} {done.stderr.decode()}")

    def test_the_rules_and_the_configuration_are_good(self):
        self.promtool("check", "config", os.path.join(RULES, "prometheus.yml"))
        self.promtool("check", "rules", os.path.join(RULES, "assayfs.rules.yml"))
        self.promtool("test", "rules", os.path.join(RULES, "assayfs.rules.test.yml"))

    def test_the_parser_of_prometheus_reads_what_ours_reads(self):
        self.mounted(POLICY, DQDL)
        self.refuse_some(1)
        for name, module in (("prometheus", "prometheus_client.parser"),
                             ("openmetrics", "prometheus_client.openmetrics.parser")):
            text = self.asked(format=name)[0]["item"]["text"]
            # The package is Debian's, and so is the Python that finds it.
            done = subprocess.run(["/usr/bin/python3", "-c", PARSE, module], input=text.encode(), capture_output=True,
                                  check=False, timeout=60)
            self.check(done.returncode == 0, f"{name}: {done.stderr.decode()}")
            theirs = {(found, tuple(map(tuple, labels))): value for found, labels, value in json.loads(done.stdout or b"[]")}
            ours = {(found, tuple(sorted(labels.items()))): value
                    for family in exposition.read(text.encode(), name == "openmetrics").values()
                    for found, labels, value in family.samples}
            self.check(theirs == ours, f"{name}: they differ: {set(theirs.items()) ^ set(ours.items())}")

    def test_a_refusal_becomes_an_alert_at_alertmanager(self):
        address, token = self.served()
        ports = {name: free_port() for name in ("prometheus", "alertmanager")}
        self.write("alertmanager.yml", "route: {receiver: nobody, group_wait: 1s}\nreceivers: [{name: nobody}]\n")
        self.write("token", token + "\n")
        # As scripts/prometheus/prometheus.yml, but for the addresses and that it does not wait for a quarter of a minute.
        self.write("prometheus.yml", f"""
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{os.path.join(os.path.abspath(RULES), "assayfs.rules.yml")}]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["127.0.0.1:{ports['alertmanager']}"]}}]}}]}}
scrape_configs:
  - {{job_name: assayfs, authorization: {{credentials_file: {self.path("token")}}}, static_configs: [{{targets: ["{address}"]}}]}}
  - {{job_name: by-user, static_configs: [{{targets: ["{address}"]}}]}}
  - {{job_name: stranger, authorization: {{credentials: {token[:-1]}x}}, static_configs: [{{targets: ["{address}"]}}]}}
""")
        self.run_server("prometheus-alertmanager", "--config.file=alertmanager.yml", "--storage.path=alertmanager",
                        f"--web.listen-address=127.0.0.1:{ports['alertmanager']}", "--cluster.listen-address=")
        self.run_server("prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=prometheus",
                        f"--web.listen-address=127.0.0.1:{ports['prometheus']}")
        api, alerts = (f"http://127.0.0.1:{ports['prometheus']}/api/v1", f"http://127.0.0.1:{ports['alertmanager']}/api/v2/alerts")

        def ask(query):
            return get(f"{api}/query?{urllib.parse.urlencode({'query': query})}")["data"]["result"]
        self.until(lambda: ask('up{job="assayfs"} == 1'), "Prometheus did not scrape the mount")
        self.until(lambda: ask('assayfs_verdicts_total{dataset="hostile \\"name\\"", outcome="failed"} == 0'),
                   "the dataset is not known before its first verdict")
        self.check(get(alerts) == [], "there are alerts before anything happened")
        self.refuse_some(8)
        self.until(lambda: ask(f'ALERTS{{alertname="{FIRES}", alertstate="firing"}}'), "the rule did not fire")
        got = self.until(lambda: [a for a in get(alerts) if a["labels"]["alertname"] == FIRES], "Alertmanager got nothing")
        if got:
            labels = got[0]["labels"]
            self.check(labels["dataset"] == 'hostile "name"' and labels["severity"] == "warning", f"labels: {labels}")
            self.check(got[0]["status"]["state"] == "active", f"state: {got[0]['status']}")
            self.check("100% of the files" in got[0]["annotations"]["summary"], f"{got[0]['annotations']}")
        targets = get(f"{api}/targets")["data"]["activeTargets"]
        health = {target["labels"]["job"]: target["health"] for target in targets}
        self.check(health == {"assayfs": "up", "by-user": "up", "stranger": "down"}, f"targets: {targets}")


if __name__ == "__main__":
    sys.exit(PrometheusTests().run())
