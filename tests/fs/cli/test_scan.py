#!/usr/bin/env python3
"""`assayfs scan`: personal data in files, as pipelines use it.

usage: test_scan.py ASSAYFS SOURCE
"""
import gzip
import json
import os
import re
import sys

from cli import SOURCE, Tests

TABLE = 'name,email,note\nAnn,ann@example.com,call 604-555-0199\nBob,,"card 4012 8888 8888 1881, é"\n'


class ScanTests(Tests):
    def found(self, *arguments, code=1, **more):
        result = self.assayfs("scan", "--json", *arguments, code=code, **more)
        return [json.loads(line) for line in result.out.splitlines()]

    def test_a_table_tells_its_columns(self):
        self.write("t.csv", TABLE)
        found = self.found("t.csv")
        self.check([(f["entity"], f["line"], f["column"], f["start"], f["end"]) for f in found] == [
            ("EMAIL", 2, "email", 0, 15), ("PHONE_NUMBER", 2, "note", 5, 17), ("CREDIT_CARD", 3, "note", 5, 24)], f"{found}")
        self.check(all(0 < f["score"] <= 1 and f["file"] == "t.csv" for f in found), f"{found}")
        self.write("t.csv.gz", gzip.compress(TABLE.encode()))
        self.check([f["entity"] for f in self.found("t.csv.gz")] == [f["entity"] for f in found], "packed, it is another")
        self.write("t.jsonl", json.dumps({"a": "x", "mail": "ann@example.com"}) + "\n")
        self.check([(f["column"], f["start"]) for f in self.found("t.jsonl")] == [("mail", 0)], "JSON Lines")

    def test_what_is_found_is_not_told(self):
        self.write("t.csv", TABLE)
        for arguments in (("t.csv",), ("--json", "t.csv"), ("--text", "t.csv")):
            result = self.assayfs("scan", *arguments, code=1)
            for value in ("ann@example.com", "604-555", "4012"):
                self.check(value not in result.out + result.err, f"{arguments} tells {value}")

    def test_text_is_looked_at_line_by_line(self):
        self.write("notes", "nothing here\nmail ann@example.com\n" + "x" * 3000000 + " bob@example.com\nlast 10.0.0.1")
        found = self.found("notes")
        self.check([(f["entity"], f["line"], f["column"]) for f in found] ==
                   [("EMAIL", 2, None), ("EMAIL", 3, None)], f"{found}")
        with open(self.write("key", "AKIAIOSFODNN7EXAMPLE\n"), "rb") as file:
            found = self.found("-", stdin=file)
        self.check([(f["entity"], f["file"], f["end"]) for f in found] == [("SECRET", "-", 20)], f"{found}")

    def test_codes_tell_nothing_something_and_not_known(self):
        self.write("none.csv", "a,b\n1,2\n")
        self.write("t.csv", TABLE)
        self.write("torn.csv", "a,b\n1\n")
        self.write("binary", b"PK\3\4\0\0ann@example.com\0")
        self.assayfs("scan", "none.csv")
        self.assayfs("scan", "none.csv", "t.csv", code=1)
        self.check("--text" in self.assayfs("scan", "t.csv", "torn.csv", code=3).err, "no way out is named")
        self.one_line(self.assayfs("scan", "binary", code=3), "no text")
        self.one_line(self.assayfs("scan", "not there", code=1), "No such file")
        self.one_line(self.assayfs("scan", code=2), "which file")
        self.one_line(self.assayfs("scan", "--sensitivity", "some", "t.csv", code=2), "low or high")
        self.one_line(self.assayfs("scan", "--detect", "EMAIL,NOSE", "t.csv", code=2), "'NOSE'")
        self.write("empty.csv", "")
        self.assayfs("scan", "empty.csv")

    def test_only_what_is_asked_for(self):
        self.write("t.csv", TABLE)
        self.check([f["entity"] for f in self.found("--detect", "CREDIT_CARD", "t.csv")] == ["CREDIT_CARD"], "another")
        self.assayfs("scan", "--detect", "IBAN,SECRET", "t.csv")
        self.write("weak.csv", "a\n6045550199\n")
        self.assayfs("scan", "weak.csv")
        self.assayfs("scan", "--sensitivity", "high", "weak.csv", code=1)

    def test_documents_list_the_detectors(self):
        listed = self.assayfs("scan", "--list").out.split()
        self.check(listed == sorted(listed) and len(listed) >= 26, f"{listed}")
        with open(os.path.join(SOURCE, "docs", "privacy.md"), encoding="utf-8") as file:
            told = re.findall(r"^\| `([A-Z_]+)` \|", file.read(), re.M)
        self.check(told == listed, f"docs/privacy.md has {sorted(set(told) ^ set(listed))} otherwise")


sys.exit(ScanTests().run())
