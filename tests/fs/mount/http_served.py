"""A mounted vault that speaks HTTP, for the tests of it."""
import http.client
import json
import os
import subprocess
import time
import unittest

from gate import GateTests

POLICY = """version: 1
datasets:
  - {name: animals, match: "*.csv", rules: animals.dqdl, settle: 100ms}
workflows:
  - {name: arrive, dataset: animals, from: Landing, to: Trusted, on: close}
  - {name: again, dataset: animals, from: Landing, to: Trusted, on: demand}
  - {name: weekly, dataset: animals, from: Raw, to: Trusted, cron: "59 23 * * 0", timezone: America/Vancouver}
alarms:
  - {name: charges, metric: EstimatedCharges, above: 38, unit: USD}
  - {name: refused, metric: Verdicts, dimensions: {dataset: animals, outcome: failed}, at_least: 1, period: 1m, missing: ignore}
"""
RULES = 'Rules = [ RowCount > 1 ]\n'
GOOD, BAD = "name\na\nb\n", "name\na\n"


def answer_of(host, port, path, method="GET", headers=None, body=None):
    connection = http.client.HTTPConnection(host, port, timeout=20)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    try:
        return answer.status, json.loads(text), answer.headers
    except ValueError:
        return answer.status, text.decode("utf-8", "replace"), answer.headers


class Served(GateTests):
    def __getattr__(self, name):
        """assertEqual and its kin: what they raise is a fault."""
        if not name.startswith("assert"):
            raise AttributeError(name)
        return getattr(unittest.TestCase(), name)

    def serve(self, address="127.0.0.1:0"):
        self.mounted(POLICY, RULES, ("--http", address))
        self.find()

    def find(self):
        about = json.loads(self.assayfs("status", "--json", "mnt").out)["http"]
        self.host, _, port = about["address"].rpartition(":")
        self.port = int(port)
        return about["alive"]

    def ask(self, path, method="GET", token=None, body=None, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
            body = json.dumps(body)
        return answer_of(self.host.strip("[]"), self.port, path, method, headers, body)

    def ask_as(self, uid, path):
        """The status that a process of that user gets."""
        pid = os.fork()
        if pid == 0:
            code = 255
            try:
                os.setgroups([])
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
                code = answer_of(self.host, self.port, path)[0] - 200
            finally:
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) + 200

    def until(self, found, seconds=10):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found():
                return True
            time.sleep(0.05)
        return False

    def token(self, name, role):
        return self.assayfs("token", "add", name, "--role", role, "mnt").out.strip()

    def front(self):
        pids = subprocess.run(["pgrep", "-x", "assayfs-http", "-P", str(self.daemon())], capture_output=True, text=True).stdout.split()
        return int(pids[0])

    def daemon(self):
        return json.loads(self.assayfs("status", "--json", "mnt").out)["pid"]
