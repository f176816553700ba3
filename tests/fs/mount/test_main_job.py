#!/usr/bin/env python3
"""A good file goes Landing → Raw → Trusted, byte for byte and in time; a bad one never, and says why.

usage: test_main_job.py ASSAYFS SOURCE
"""
import json
import shutil
import sys
import time

from gate import NAME, GateTests, spoil, vancouver

SECONDS = 2.5  # from close to Trusted, one of them settling


class MainJobTests(GateTests):
    def expected(self, path, table):
        """The metric of expected_metrics.json that a metric of a verdict is, or None."""
        parts = path.split(".")
        if parts[0] == "Dataset":
            return {"RowCount": table["rows"], "ColumnCount": table["columns"]}.get(parts[-1])
        return table["cols"].get(parts[1], {}).get("empty_is_null", {}).get(parts[2])

    def test_the_file_is_in_trusted_within_two_and_a_half_seconds_of_close_byte_for_byte(self):
        good, table = vancouver()
        self.mounted()
        source = self.outside("source.csv", good)
        took = []
        for i in range(3):
            name = f"animals/{i}.csv"
            self.put("Landing/animals/warm", b"")
            shutil.copyfile(source, self.at("Landing/" + name))
            took.append(self.wait_for("Trusted/" + name, good))
        print(f"       close to Trusted: {', '.join(f'{t:.2f}' for t in took)} s")
        self.check(max(took) <= SECONDS, f"too late: {took}")
        self.check(self.get("Raw/animals/0.csv") == good, "Raw has other bytes")
        verdict = json.loads(self.get(".assayfs/verdicts/Trusted/animals/0.csv.json") or b"{}")
        verdict = verdict.get("verdict", verdict)
        self.check(verdict.get("outcome") == "passed", f"{verdict}")
        rules = verdict["check"]["rules"]
        self.check(len(rules) == 8 and all(rule["outcome"] == "passed" for rule in rules), f"{rules}")
        if table is None:
            return
        metrics = {name: value for rule in rules for name, value in rule["metrics"].items()}
        compared = 0
        for name, value in metrics.items():
            wanted = self.expected(name, table)
            if wanted is not None:
                compared += 1
                self.check(value == wanted, f"{name} is {value!r}, expected {wanted!r}")
        self.check(compared >= 4, f"only {compared} metrics could be compared: {metrics}")

    def test_a_spoilt_file_stays_out_and_why_names_the_rule_and_the_number(self):
        good, _ = vancouver()
        bad = spoil(good)
        self.mounted()
        self.put("Landing/" + NAME, bad)
        self.outcome("Landing/" + NAME, "failed")
        self.check(self.get("Trusted/" + NAME) is None, "it is in Trusted")
        self.check(self.get("Raw/" + NAME) == bad, "Raw takes good and bad")
        words = self.assayfs("why", self.at("Landing/" + NAME), code=1).out
        lines = bad.split(b"\r\n")
        wrong = sum(line.endswith(b"#") for line in lines)
        self.check('ColumnValues "State"' in words, words)
        self.check(f"{wrong} of {len(lines) - 2} rows do not conform" in words, f"no {wrong} in: {words}")


if __name__ == "__main__":
    sys.exit(MainJobTests().run())
