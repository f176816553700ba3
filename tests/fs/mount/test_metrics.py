#!/usr/bin/env python3
"""The figures of a mount: in both formats, for whom, and as docs/metrics.md and the alert rules name them.

tests: fs/metrics_families

usage: test_metrics.py ASSAYFS SOURCE
"""
import glob
import json
import os
import re
import sys
import time

import exposition
from gate import generated
from metered import SOURCE, MeteredTests

# Names that a policy may give a dataset, for the worse.
HOSTILE = ['plain', 'qu"ote', 'back\\slash', 'new\nline', '}{,=# EOF', 'Tiere – 動物']
POLICY = "version: 1\ndatasets:\n" + "".join(
    f"  - {{name: {json.dumps(name)}, match: 'd{i}/*.csv', rules: animals.dqdl, nulls: empty, settle: 0s}}\n"
    for i, name in enumerate(HOSTILE)) + f'''workflows:
  - {{name: arrive, dataset: plain, from: Landing, to: Trusted, on: close}}
  - {{name: {json.dumps(HOSTILE[1])}, dataset: plain, from: Raw, to: Trusted, cron: "59 23 * * 0"}}
alarms: [{{name: {json.dumps(HOSTILE[2])}, metric: EstimatedCharges, above: 38}}]
'''
RULES = 'Rules = [ RowCount > 2, ColumnExists "Breed" ]\n'


def documented():
    """{name: (type, unit, labels)} of the tables in docs/metrics.md."""
    with open(os.path.join(SOURCE, "docs/metrics.md"), encoding="utf-8") as file:
        rows = [re.split(r"\s*\|\s*", line.strip("|\n ")) for line in file if line.startswith("| `assayfs_")]
    return {row[0].strip("`"): (row[1], row[2], set(re.findall(r"`([a-z_]+)`", row[3]))) for row in rows}


class MetricsTests(MeteredTests):
    def judged(self):
        """A mount that has done a little of everything."""
        self.mounted(POLICY, RULES)
        good = generated(rows=50)
        for i in range(len(HOSTILE)):
            self.put(f"Landing/d{i}/a.csv", good)
            self.wait_for(f"Trusted/d{i}/a.csv", good)
        self.put("Landing/d0/bad.csv", b"no table\r\n")
        self.outcome("Landing/d0/bad.csv", "failed", "error")
        self.idle()

    def test_what_happened_is_counted(self):
        self.judged()
        before = self.dump()
        with open(self.at("Landing/free.bin"), "wb") as file:
            file.write(b"x" * 300000)
            file.flush()
            os.fsync(file.fileno())
        for i in range(7):
            os.path.exists(self.at(f"Landing/none{i}"))
        try:
            os.unlink(self.at("Raw/d0/a.csv"))
        except PermissionError:
            pass
        after = self.dump()

        def grew(name, **labels):
            return (exposition.value(after, name, **labels) or 0) - (exposition.value(before, name, **labels) or 0)
        self.check(grew("assayfs_written_bytes_total") == 300000, "bytes written")
        self.check(grew("assayfs_operation_duration_seconds_count", operation="fsync") == 1, "fsync")
        self.check(grew("assayfs_operation_duration_seconds_count", operation="create") == 1, "create")
        self.check(grew("assayfs_operation_duration_seconds_count", operation="lookup") >= 7, "look-ups")
        self.check(grew("assayfs_operation_errors_total", operation="unlink", error="EPERM") == 1, "errors")
        self.check(grew("assayfs_commit_duration_seconds_count") >= 1, "commits")
        self.check(grew("assayfs_versions") == 1, "versions")
        self.check(grew("assayfs_audit_records") > 0, "records")
        self.check(exposition.value(after, "assayfs_operations_running") <= 2, "requests that nobody answered")
        self.check(exposition.value(after, "assayfs_policy_number") == 1, "policy")
        self.check(exposition.value(after, "assayfs_stored_bytes", zone="Trusted") > 0, "Trusted's bytes")
        self.check(exposition.value(after, "assayfs_quarantined") == 1, "quarantine")
        self.check(exposition.value(after, "assayfs_check_duration_seconds_count") >= len(HOSTILE), "checks")

    def test_each_dataset_is_told_by_its_name_whatever_that_holds(self):
        self.judged()
        families = self.dump()
        for name in HOSTILE:
            passed = exposition.value(families, "assayfs_verdicts_total", dataset=name, outcome="passed")
            self.check(passed == 1, f"{name!r}: {passed} passed")
        refused = [exposition.value(families, "assayfs_verdicts_total", dataset="plain", outcome=outcome)
                   for outcome in ("failed", "error")]
        self.check(sum(refused) == 1, f"refused: {refused}")

    def test_the_control_request_gives_both_formats(self):
        self.judged()
        item = self.asked(format="openmetrics")[0]["item"]
        open_families = exposition.read(item["text"].encode(), openmetrics=True)
        self.check(item["content_type"].startswith("application/openmetrics-text; version=1.0.0"), item["content_type"])
        self.check(open_families["assayfs_build"].kind == "info", "build")
        self.check(open_families["assayfs_read_bytes"].unit == "bytes", "unit of bytes read")
        item = self.asked(format="prometheus")[0]["item"]
        self.check(item["content_type"].startswith("text/plain; version=0.0.4"), item["content_type"])
        plain = exposition.read(item["text"].encode())
        self.check(len(plain) == len(open_families), "the formats have other families")
        self.check({name.removesuffix("_total").removesuffix("_info") for name in plain} == set(open_families), "names")
        for name in HOSTILE:
            self.check(exposition.value(open_families, "assayfs_verdicts_total", dataset=name, outcome="passed") == 1, name)
        self.check(self.asked(format="xml")[-1]["end"] < 0, "a format that there is not")

    def test_it_is_a_file_that_no_listing_of_the_root_shows(self):
        self.mounted(None)
        self.check(os.listdir(self.mnt) == sorted(os.listdir(self.mnt)) and ".assayfs" not in os.listdir(self.mnt), "shown")
        self.check("metrics" in os.listdir(self.at(".assayfs")), "not in .assayfs")
        self.check(os.stat(self.at(".assayfs/metrics")).st_mode & 0o777 == 0o444, "its mode")
        first, second = [exposition.value(self.dump(), "assayfs_operation_duration_seconds_count", operation="lookup")
                         for _ in range(2)]
        self.check(second > first, "the second reading is the first one")

    def test_no_path_no_user_and_nothing_of_a_file_is_a_label(self):
        self.judged()
        families = self.dump()
        known = {"operation", "error", "le", "cache", "zone", "state", "dataset", "outcome", "detector", "action", "version",
                 "alarm", "workflow", "kind", "target", "key", "use"}
        used = {label for family in families.values() for _, labels, _ in family.samples for label in labels}
        self.check(used <= known, f"labels: {used - known}")
        with open(self.at(".assayfs/metrics"), encoding="utf-8") as file:
            text = file.read()
        for word in ("d0/", "a.csv", "Breed", "root", self.directory):
            self.check(word not in text, f"{word} stands in it")

    def test_it_takes_no_longer_with_more_files(self):
        self.mounted(None)

        def took():
            times = []
            for _ in range(9):
                begin = time.perf_counter()
                self.dump()
                times.append(time.perf_counter() - begin)
            return sorted(times)[4]
        few = took()
        os.makedirs(self.at("Landing/many"))
        for i in range(3000):
            with open(self.at(f"Landing/many/{i}"), "wb") as file:
                file.write(b"x")
        self.assayfs("sync", "mnt")
        many = took()
        self.check(many < 3 * few + 0.02, f"{few * 1000:.1f} ms with few files, {many * 1000:.1f} with 3000")

    def test_the_documentation_has_each_metric_and_no_other(self):
        self.judged()
        families = self.dump()
        # Those of a mount that --kms unlocked are tested with one (cli/key_kms).
        rows = {name: row for name, row in documented().items() if not name.startswith("assayfs_kms_")}
        open_families = exposition.read(self.asked(format="openmetrics")[0]["item"]["text"].encode(), openmetrics=True)
        self.check(set(rows) == set(families), f"docs/metrics.md lacks {sorted(set(families) - set(rows))}, "
                                               f"has {sorted(set(rows) - set(families))} too many")
        for name in set(rows) & set(families):
            kind, unit, labels = rows[name]
            other = open_families[name.removesuffix("_total").removesuffix("_info")]
            self.check(kind == other.kind, f"{name} is a {other.kind}, docs/metrics.md says {kind}")
            self.check(unit == (other.unit or "—"), f"{name}: unit {other.unit}, docs/metrics.md says {unit}")
            used = {label for _, found, _ in families[name].samples for label in found} - {"le"}
            self.check(used == labels or not families[name].samples, f"{name}: labels {used}, docs/metrics.md says {labels}")

    def test_alert_rules_name_metrics_that_there_are(self):
        self.judged()
        families = self.dump()
        names = set(families) | {f"{name}_bucket" for name, family in families.items() if family.kind == "histogram"}
        for path in glob.glob(os.path.join(SOURCE, "scripts/prometheus/*.yml")):
            with open(path, encoding="utf-8") as file:
                used = set(re.findall(r"\bassayfs_[a-z_]+", file.read()))
            self.check(used <= names, f"{os.path.basename(path)}: {sorted(used - names)}")


if __name__ == "__main__":
    sys.exit(MetricsTests().run())
