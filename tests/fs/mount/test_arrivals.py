#!/usr/bin/env python3
"""Arrivals by other ways than one file at one name, and files of which one may argue what they are.

usage: test_arrivals.py ASSAYFS SOURCE
"""
import os
import sys

from gate import GateTests

POLICY = """version: 1
datasets:
  - {name: animals, match: "animals/*.csv", rules: animals.dqdl, settle: 0s}
  - {name: strict, match: "strict/*.csv", rules: strict.dqdl, settle: 0s}
"""
TABLE = b"Name,State\nSesame,Lost\n"


class ArrivalTests(GateTests):
    def mounted(self, *arguments, **options):
        super().mounted(policy=None)
        os.makedirs(self.path("policy"), exist_ok=True)
        self.write("policy/strict.dqdl", 'Rules = [ ColumnValues "State" in ["Found"] ]\n')
        self.policy(POLICY, 'Rules = [ ColumnExists "Name" ]\n')
        for folder in ("animals", "strict", "other"):
            os.makedirs(self.at("Landing/" + folder))

    # ---- hard links

    def test_each_governed_name_of_a_file_arrives(self):
        """Written through one name, changed through another, linked later: each dataset judges its own name."""
        self.mounted()
        names = [self.at("Landing/" + n) for n in ("other/a.csv", "animals/a.csv", "animals/b.csv", "strict/a.csv")]
        self.put("Landing/other/a.csv", b"")
        for name in names[1:3]:
            os.link(names[0], name)
        with open(names[0], "wb") as file:  # by the name that no dataset governs
            file.write(TABLE)
        self.wait_for("Trusted/animals/a.csv", TABLE)
        self.wait_for("Trusted/animals/b.csv", TABLE)
        os.link(names[1], names[3])  # link(2) gives a governed name
        self.outcome("Landing/strict/a.csv", "failed")
        self.check(self.get("Trusted/strict/a.csv") is None, "another dataset's rules let it pass")
        self.outcome("Landing/animals/a.csv", "passed")
        for name, word in ((names[0], b"none"), (names[1], b"passed"), (names[3], b"failed")):
            self.check(os.getxattr(name, "user.assayfs.verdict") == word, f"verdict of {name}: not {word}")
        with open(names[3], "ab") as file:  # and by the one that failed
            file.write(b"Bao,Found\n")
        self.wait_for("Trusted/animals/b.csv", TABLE + b"Bao,Found\n")
        os.truncate(names[2], len(TABLE))
        self.wait_for("Trusted/animals/a.csv", TABLE)
        self.check(self.get("Trusted/other/a.csv") is None, "a name that nobody governs was published")

    def test_records_name_the_link_that_was_used(self):
        self.mounted()
        one, two = self.put("Landing/other/one", b"x"), self.at("Landing/other/two")
        os.stat(one)  # the kernel may keep the name now, for as long as it is the only one
        os.link(one, two)
        for path in (one, two, one, two):
            with open(path, "rb"):
                pass
            os.chmod(path, 0o600)
        self.assayfs("sync", "mnt")
        for event in ("open", "chmod"):
            paths = [r["path"] for r in self.records("--event", event) if "/other/" in r.get("path", "")]
            self.check(paths[-4:] == ["Landing/other/one", "Landing/other/two"] * 2, f"{event}: {paths}")

    def test_a_link_to_a_directory_shows_nothing_under_another_datasets_names(self):
        self.mounted()
        self.put("Landing/animals/a.csv", TABLE)
        self.wait_for("Trusted/animals/a.csv", TABLE)
        os.symlink("animals", self.at("Trusted/same"))  # no dataset governs names below it
        for make in (lambda: os.symlink("animals", self.at("Trusted/strict")),
                     lambda: os.rename(self.at("Trusted/same"), self.at("Trusted/strict"))):
            try:
                make()
                self.check(False, "a way from strict/*.csv to what passed other rules")
            except PermissionError:
                pass
        self.check(self.get("Trusted/strict/a.csv") is None and self.get("Trusted/same/a.csv") == TABLE, "what links show")

    def test_a_file_that_is_open_for_writing_is_not_restored(self):
        self.mounted()
        path = self.put("Landing/other/r", b"one")
        self.put("Landing/other/r", b"two")
        self.assayfs("sync", "mnt")
        with open(path, "r+b", buffering=0) as file:
            self.assayfs("restore", path + "@1", code=4)
            file.write(b"TWO")  # would be EROFS on what the restore left behind
        self.check(self.get("Landing/other/r") == b"TWO", "the writer's change")
        with open(path, "rb"):  # a reader is in nobody's way
            self.assayfs("restore", path + "@1")
        self.check(self.get("Landing/other/r") == b"one", "the restored version")

    # ---- nothing in it

    def test_a_table_with_a_header_and_no_rows_is_judged_by_its_rules(self):
        """No bytes: `failed: empty`, whatever the rules. A header alone is a table of no rows: the rules decide."""
        self.mounted()
        header = b"Name,State\n"
        self.put("Landing/animals/header.csv", header)  # ColumnExists "Name": holds of no rows as well
        self.put("Landing/animals/nothing.csv", b"")
        self.wait_for("Trusted/animals/header.csv", header)
        self.outcome("Landing/animals/nothing.csv", "failed")
        self.check("empty" in str(self.why("Landing/animals/nothing.csv")), f"{self.why('Landing/animals/nothing.csv')}")
        self.policy(POLICY, "Rules = [ RowCount > 0 ]\n")
        self.put("Landing/animals/header2.csv", header)
        self.outcome("Landing/animals/header2.csv", "failed")
        self.check("RowCount" in str(self.why("Landing/animals/header2.csv")), "why does not name the rule")
        self.check(self.get("Trusted/animals/header2.csv") is None, "no rows passed a rule that wants some")
        for name in ("header3.csv", "nothing3.csv"):  # the same by a direct write
            os.makedirs(self.at("Trusted/animals"), exist_ok=True)
            fd = os.open(self.at("Trusted/animals/" + name), os.O_WRONLY | os.O_CREAT)
            os.write(fd, header if name.startswith("header") else b"")
            try:
                os.close(fd)
                self.check(name == "nothing3.csv", "a direct write of no rows was not refused")
            except PermissionError:
                pass
        self.check(sorted(os.listdir(self.at("Trusted/animals"))) == ["header.csv"], "what is in Trusted")


if __name__ == "__main__":
    sys.exit(ArrivalTests().run())
