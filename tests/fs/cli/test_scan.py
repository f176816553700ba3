#!/usr/bin/env python3
"""`assayfs scan`: personal data in files, as pipelines use it.

usage: test_scan.py ASSAYFS SOURCE
"""
import gzip
import json
import os
import re
import subprocess
import sys

from cli import ASSAYFS, SOURCE, Tests

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
        lines = self.assayfs("scan", "t.csv", "torn.csv", code=3).err.splitlines()
        self.check(lines[-1].startswith("assayfs scan: hint: with --text "), f"no way out is named: {lines}")
        self.one_line(self.assayfs("scan", "binary", code=3), "no text")
        self.one_line(self.assayfs("scan", "not there", code=1), "No such file")
        self.one_line(self.assayfs("scan", code=2), "which file")
        self.one_line(self.assayfs("scan", "--sensitivity", "some", "t.csv", code=2), "low or high")
        self.one_line(self.assayfs("scan", "--detect", "EMAIL,NOSE", "t.csv", code=2), "'NOSE'", "--list")
        self.write("empty.csv", "")
        self.assayfs("scan", "empty.csv")

    def test_only_what_is_asked_for(self):
        self.write("t.csv", TABLE)
        self.check([f["entity"] for f in self.found("--detect", "CREDIT_CARD", "t.csv")] == ["CREDIT_CARD"], "another")
        self.assayfs("scan", "--detect", "IBAN,SECRET", "t.csv")
        self.write("weak.csv", "a\n6045550199\n")
        self.assayfs("scan", "weak.csv")
        self.assayfs("scan", "--sensitivity", "high", "weak.csv", code=1)

    def test_a_summary_has_a_line_for_each_entity_and_column(self):
        self.write("t.csv", "mail,note\nann@example.com,x\nbob@example.com,y\n,eve@example.com and IP 10.1.2.3\n")
        self.write("notes", "nothing\nann@example.com\nann@example.com bob@example.com\n")
        summary = self.assayfs("scan", "--summary", "t.csv", "notes", code=1).out.splitlines()
        self.check(summary == ['t.csv: EMAIL in column "mail", 2 times, first on line 2',
                               't.csv: EMAIL in column "note", 1 time, first on line 4',
                               't.csv: IP_ADDRESS in column "note", 1 time, first on line 4',
                               "notes: EMAIL, 3 times, first on line 2"], f"{summary}")
        found = self.found("--summary", "t.csv", "notes")
        self.check(found[0] == {"file": "t.csv", "entity": "EMAIL", "column": "mail", "count": 2, "first_line": 2} and
                   found[3] == {"file": "notes", "entity": "EMAIL", "column": None, "count": 3, "first_line": 2} and
                   len(found) == 4, f"{found}")
        self.write("torn.csv", "mail,n\n" + "ann@example.com,1\n" * 3000 + "a\n")
        torn = self.assayfs("scan", "--summary", "torn.csv", code=3)
        self.check("EMAIL" in torn.out, "what was found until it failed is not told")
        self.write("none", "nothing\n")
        self.check(self.assayfs("scan", "--summary", "none").out == "", "of nothing there is a line")

    def test_what_is_redacted_has_nothing_new(self):
        self.write("redacted", "[PERSON_NAME] met Quentin Smith\n[STREET_ADDRESS], release 2.14.0.7\n"
                   "[PHONE_NUMBER] regarding order 6047831299\n[CANADA_SIN] 130692544 [REDACTED]\n")
        self.assayfs("scan", "redacted")
        self.assayfs("scan", "--detect", "BANK_ACCOUNT", "redacted")
        self.write("iban", "[IBAN] 12345678\n")
        self.assayfs("scan", "--detect", "BANK_ACCOUNT", "iban")
        self.write("not", "patient Quentin Smith\nphone 6047831299\n[see] phone 6047831299\n")
        self.check([f["line"] for f in self.found("not")] == [1, 2, 3], "words without brackets are no context")

    def test_names_of_columns_are_looked_at(self):
        self.write("nameless.csv", "bob@example.com;x\nann@example.org;y\n")
        result = self.assayfs("scan", "nameless.csv", code=1)
        self.check("bob@" not in result.out, result.out)
        found = self.found("nameless.csv")
        self.check([(f["entity"], f["line"], f["column"]) for f in found] == [
            ("EMAIL", 1, "column 1"), ("EMAIL", 2, "column 1")], f"{found}")
        result = self.assayfs("scan", "--summary", "nameless.csv", code=1)
        self.check("bob@" not in result.out and 'EMAIL in column "column 1", 2 times' in result.out, result.out)

    def test_what_is_not_looked_at_is_said(self):
        os.makedirs(self.path("d"), exist_ok=True)
        self.write("d/a.csv", "a,b\n1,2\n")
        subprocess.run(["gzip", "-k", self.path("d/a.csv")], check=True)
        self.check(self.assayfs("scan", "d/a.csv.gz").err == "", "its own name is something")
        os.rename(self.path("d/a.csv.gz"), self.path("d/b.csv.gz"))
        self.one_line(self.assayfs("scan", "d/b.csv.gz"), "another name than the file's")
        self.write("escaped", '\n{"a": "bob\\u0040example.com"}\n')
        result = self.assayfs("scan", "escaped", "d/a.csv")
        self.one_line(result, "escaped: line 2 has personal data with escapes of JSON in its midst")

    def test_what_write_says_is_told(self):
        self.write("t.csv", "mail\n" + "ann@example.com\n" * 1000)
        self.write("few.csv", "mail\nann@example.com\n")
        for arguments in (["--json"], [], ["--summary"], ["--summary", "--json"]):
            for name in "t.csv", "few.csv":
                with open("/dev/full", "wb") as full:
                    result = subprocess.run([ASSAYFS, "scan", *arguments, self.path(name), self.path(name)], stdout=full,
                                            stderr=subprocess.PIPE, check=False)
                self.check(result.returncode == 3 and result.stderr.count(b"\n") == 1 and
                           b"No space left on device" in result.stderr, f"{arguments} {name}: {result}")

    def test_documents_list_the_detectors(self):
        listed = self.assayfs("scan", "--list").out.split()
        self.check(self.json("scan", "--list", "--json") == {"detectors": listed}, "as JSON the list is another")
        self.check(listed == sorted(listed) and len(listed) >= 26, f"{listed}")
        with open(os.path.join(SOURCE, "docs", "privacy.md"), encoding="utf-8") as file:
            told = re.findall(r"^\| `([A-Z_]+)` \|", file.read(), re.M)
        self.check(told == listed, f"docs/privacy.md has {sorted(set(told) ^ set(listed))} otherwise")


sys.exit(ScanTests().run())
