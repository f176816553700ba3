#!/usr/bin/env python3
"""`assayfs check`, as pipelines and editors use it.

usage: test_check.py ASSAYFS SOURCE
"""
import json
import os
import subprocess
import sys

from cli import ASSAYFS, Tests

RULES = 'Rules = [ RowCount >= 2, IsUnique "id", ColumnValues "age" > 1, ColumnLength "name" < 9 where "id = \'2\'" ]\n'
GOOD = "id,name,age\n1,a,3\n2,b,4\n"
BAD = "id,name,age\n1,a,3\n2,b,\n2,c,1\n"
TEXTS = ["RowCount >= 2", 'IsUnique "id"', 'ColumnValues "age" > 1', 'ColumnLength "name" < 9 where "id = \'2\'"']


class CheckTests(Tests):
    def lines(self, result):
        return [json.loads(line) for line in result.out.splitlines()]

    def prepare(self):
        self.write("r.dqdl", RULES)
        self.write("good.csv", GOOD)
        self.write("bad.csv", BAD)
        self.write("torn.csv", "id,name,age\n1,a\n")

    def test_of_several_files_the_worst_counts(self):
        self.prepare()
        self.assayfs("check", "-r", "r.dqdl", "good.csv", "good.csv")
        self.assayfs("check", "-r", "r.dqdl", "good.csv", "bad.csv", "good.csv", code=1)
        self.assayfs("check", "-r", "r.dqdl", "torn.csv", "bad.csv", "good.csv", code=3)
        self.assayfs("check", "-r", "r.dqdl", "none.csv", "good.csv", code=1)
        result = self.assayfs("check", "-r", "r.dqdl", ".", "bad.csv", code=2)
        self.check("bad.csv: failed" in result.out, "the others are not checked")
        self.one_line(self.assayfs("check", code=2), "which file")

    def test_json_is_a_line_for_each_file_whatever_became_of_it(self):
        self.prepare()
        result = self.assayfs("check", "--json", "-r", "r.dqdl", "good.csv", "bad.csv", "torn.csv", "none.csv", code=3)
        found = self.lines(result)
        self.check([entry["file"] for entry in found] == ["good.csv", "bad.csv", "torn.csv", "none.csv"], f"{found}")
        self.check([entry["outcome"] for entry in found] == ["passed", "failed", "error", "error"], f"{found}")
        self.check([entry["rows"] for entry in found] == [2, 3, 0, 0], f"{found}")
        for entry in found:
            self.check(list(entry)[:3] == ["file", "rows", "outcome"], f"{list(entry)}")
            for key in ("canonical", "rules", "analyzers", "warnings", "reason", "dialect", "bytes_read", "columns"):
                self.check(key in entry, f"{key} is missing")
        self.check([rule["outcome"] for rule in found[1]["rules"]] == ["Passed", "Failed", "Failed", "Passed"],
                   f"{found[1]['rules']}")
        self.check([rule["rule"] for rule in found[1]["rules"]] == TEXTS, f"{found[1]['rules']}")
        self.check(found[1]["rules"][0]["metrics"] == {"Dataset.*.RowCount": 3.0}, f"{found[1]['rules'][0]}")
        self.check(found[1]["canonical"] == "Rules = [\n    " + ",\n    ".join(TEXTS) + "\n]", found[1]["canonical"])
        found = self.lines(self.assayfs("check", "--json", "-r", "none", "good.csv", "bad.csv", code=1))
        self.check([(entry["file"], entry["outcome"]) for entry in found] ==
                   [("good.csv", "error"), ("bad.csv", "error")], f"{found}")

    def test_rules_see_the_references_that_are_given(self):
        self.write("r.dqdl", 'Rules = [ ReferentialIntegrity "owner" "people.id" = 1.0, RowCountMatch "old" >= 1.0 ]\n')
        self.write("a.csv", "name,owner\nx,1\ny,2\n")
        self.write("b.csv", "name,owner\nx,3\ny,2\n")
        self.write("people.csv", "id;name\n1;Ann\n2;Bob\n")
        self.write("old.csv", "name,owner\nx,1\n")
        given = ("check", "-r", "r.dqdl", "--ref", "people=people.csv", "--ref", "old=old.csv")
        result = self.assayfs(*given, "--json", "a.csv", "b.csv", "a.csv", code=1)
        found = self.lines(result)
        self.check([entry["outcome"] for entry in found] == ["passed", "failed", "passed"], f"{found}")
        self.check(found[1]["rules"][0]["metrics"] == {"Column.people.ReferentialIntegrity": 0.5}, f"{found[1]}")
        self.check(found[1]["rules"][1]["metrics"] == {"Dataset.old.RowCountMatch": 2.0}, f"{found[1]}")
        self.assayfs(*given, "--rows", "rows.jsonl", "b.csv", code=1)
        with open(self.path("rows.jsonl"), encoding="utf-8") as file:
            self.check([json.loads(line)["result"] for line in file] == ["Failed", "Passed"], "rows are told otherwise")
        result = self.assayfs("check", "-r", "r.dqdl", "--ref", "people=people.csv", "a.csv", code=1)
        self.check('"old" not found in additional data sources' in result.out, result.out)
        result = self.assayfs("check", "-r", "r.dqdl", "--ref", "people=none.csv", "--json", "a.csv", code=3)
        self.check("--ref people=none.csv: No such file or directory" in self.lines(result)[0]["reason"], result.out)
        self.assayfs("check", "-r", "r.dqdl", "--ref", "people=.", "a.csv", code=3)
        self.write("torn.csv", "a,b\n1\n")
        result = self.assayfs("check", "-r", "r.dqdl", "--ref", "people=torn.csv", "a.csv", code=3)
        self.check('the reference "people" can\'t be read as a table: line 2' in result.out, result.out)
        for wrong in (["--ref", "people"], ["--ref", "=people.csv"], ["--ref", "people="], ["--ref", "primary=old.csv"],
                      ["--ref", "a=old.csv", "--ref", "a=people.csv"],
                      [word for i in range(17) for word in ("--ref", f"a{i}=old.csv")]):
            self.one_line(self.assayfs("check", "-r", "r.dqdl", *wrong, "a.csv", code=2), "--ref")

    def test_references_are_read_as_the_policy_says(self):
        os.makedirs(self.path("policy"), exist_ok=True)
        self.write("policy/policy.yaml", """version: 1
datasets:
  - {name: people, match: "people.csv", rules: r.dqdl, format: {header: false}}
  - {name: animals, match: "*.csv", rules: r.dqdl, references: {people: Trusted/people.csv}}
""")
        self.write("policy/r.dqdl", 'Rules = [ ReferentialIntegrity "owner" "people.col0" = 1.0 ]\n')
        self.write("a.csv", "name,owner\nx,id\ny,Bob\n")
        self.write("p.csv", "id,name\nBob,x\n")
        self.assayfs("check", "--policy", "policy", "--ref", "people=p.csv", "a.csv")
        self.assayfs("check", "--rules", "policy/r.dqdl", "--ref", "people=p.csv", "a.csv", code=1)

    def test_rows_are_written_whole(self):
        self.prepare()
        self.write("rows.jsonl", "older\n", mode=0o640)
        self.assayfs("check", "-r", "r.dqdl", "--rows", "rows.jsonl", "bad.csv", code=1)
        with open(self.path("rows.jsonl"), encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        count, unique, values, length = TEXTS
        self.check(rows == [
            {"row": 1, "result": "Passed", "pass": [unique, values], "fail": [], "skip": [count, length]},
            {"row": 2, "result": "Failed", "pass": [length], "fail": [unique, values], "skip": [count]},
            {"row": 3, "result": "Failed", "pass": [length], "fail": [unique, values], "skip": [count]}], f"{rows}")
        self.check(os.stat(self.path("rows.jsonl")).st_mode & 0o777 == 0o640, "the mode has changed")
        # What can't be judged leaves what is there.
        self.one_line(self.assayfs("check", "-r", "r.dqdl", "--rows", "rows.jsonl", "torn.csv", code=3), "nothing")
        self.check(len(open(self.path("rows.jsonl"), encoding="utf-8").read().splitlines()) == 3, "they are gone")
        os.symlink("rows.jsonl", self.path("link"))
        self.assayfs("check", "-r", "r.dqdl", "--rows", "link", "good.csv")
        self.check(os.path.islink(self.path("link")), "the link was replaced")
        self.check(len(open(self.path("rows.jsonl"), encoding="utf-8").read().splitlines()) == 2, "they are the old")
        self.one_line(self.assayfs("check", "-r", "r.dqdl", "--rows", ".", "good.csv", code=2), "directory")
        self.one_line(self.assayfs("check", "-r", "r.dqdl", "--rows", "no/x", "good.csv", code=1), "No such file")
        self.one_line(self.assayfs("check", "-r", "r.dqdl", "--rows", "x", "good.csv", "bad.csv", code=2), "one FILE")
        self.check(sorted(os.listdir(self.directory)) ==
                   ["bad.csv", "good.csv", "link", "r.dqdl", "rows.jsonl", "torn.csv"], f"{os.listdir(self.directory)}")

    def test_what_would_be_published_is_made_and_looked_through(self):
        os.makedirs(self.path("policy"), exist_ok=True)
        self.write("policy/policy.yaml", """version: 1
datasets:
  - name: people
    match: "*.csv"
    privacy: {detect: EMAIL, action: redact, columns: {born: generalise}}
    k_anonymity: {columns: [born], k: 2}
  - {name: letters, match: "*.txt", privacy: {detect: EMAIL, action: mask, keep_last: 16}}
""")
        self.write("a.csv", "id,mail,born\n1,bob@example.com,1980-01-02\n2,,1980-05-06\n")
        self.write("a.txt", "write to robert.smith@example.com\n")
        expected = "id,mail,born\n1,[EMAIL],1980\n2,,1980\n"
        result = self.assayfs("check", "-p", "policy", "--output", "out.csv", "a.csv")
        self.check("passed  k_anonymity" in result.out, result.out)
        self.check(open(self.path("out.csv"), encoding="utf-8").read() == expected, "it is otherwise")
        self.check(self.assayfs("check", "-p", "policy", "-o", "-", "a.csv").out == expected, "standard output has more")
        self.one_line(self.assayfs("check", "-p", "policy", "-o", "out.txt", "a.txt", code=3), "nothing was written")
        self.check(not os.path.exists(self.path("out.txt")), "it was written")
        self.one_line(self.assayfs("check", "-p", "policy", "-o", "x", "a.csv", "a.txt", code=2), "one FILE")
        self.one_line(self.assayfs("check", "-p", "policy", "-o", "-", "--json", "a.csv", code=2), "standard output")
        result = self.assayfs("check", "-p", "policy", "--as", "b.csv", "-", stdin=None,
                              input=open(self.path("a.csv"), "rb").read())
        self.check("it can be read once only" in result.out, result.out)
        result = self.assayfs("check", "-p", "policy", "--as", "b.csv", "-o", "piped", "-", code=3, stdin=None,
                              input=b"id,mail,born\n1,,1980\n2,,1980\n")
        self.one_line(result, "--output", "read once only")
        self.check(not [name for name in os.listdir(self.directory) if name.startswith("piped")], "something is left")
        self.one_line(self.assayfs("check", "-p", "policy", "-o", "no/x", "a.csv", code=3), "--output")

    def test_rows_of_standard_input_need_a_file_behind_it(self):
        self.prepare()
        result = self.assayfs("check", "-r", "r.dqdl", "--rows", "x", "-", code=3, stdin=None, input=GOOD.encode())
        self.one_line(result, "twice")
        with open(self.path("good.csv"), "rb") as file:
            result = self.assayfs("check", "-r", "r.dqdl", "--rows", "-", "--json", "-", stdin=file)
        self.check([list(line)[0] for line in self.lines(result)] == ["row", "row", "file"], result.out)
        with open("/dev/full", "wb") as full:
            result = subprocess.run([ASSAYFS, "check", "-r", "r.dqdl", "--rows", "/dev/full", "good.csv"],
                                    cwd=self.directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        self.check(result.returncode == 3 and b"No space" in result.stderr, f"{result}")
        self.check(os.path.exists("/dev/full"), "a device was replaced")

    def test_rules_alone_are_read_without_a_file(self):
        self.prepare()
        self.write("all.dqdl", 'x = "select 1"\nRules = [ CustomSql $x > 0 with threshold > 0.5, '
                               '(IsComplete "a" labels=["k"="v"] with t = "w") or (IsUnique "b" where "a > 1") ]\n'
                               'Analyzers = [ Completeness "a" ]\nRules = [ RowCount > 1 ]')
        found = self.json("check", "--rules", "all.dqdl", "--parse-only", "--json")
        self.check(found["valid"] is True and found["error"] is None, f"{found}")
        self.check([rule["type"] for rule in found["rules"]] == ["CustomSql", "Composite"], f"{found}")
        self.check(found["rules"][0]["params"] == {"CustomSqlStatement": "select 1"}, f"{found}")
        self.check(found["rules"][0]["threshold"] == "> 0.5" and found["rules"][0]["condition"] == "> 0", f"{found}")
        self.check(found["rules"][1]["op"] == "OR" and found["rules"][1]["nested"][1]["where"] == "a > 1", f"{found}")
        first = found["rules"][1]["nested"][0]
        self.check((first["labels"], first["tags"]) == ({"k": "v"}, {"t": "w"}), f"{first}")
        self.check(found["analyzers"][0]["text"] == 'Completeness "a"', f"{found}")
        self.check(found["warnings"][0]["line"] == 4 and "RowCount > 1" in found["warnings"][0]["message"], f"{found}")
        self.check(found["canonical"].startswith("Rules = [\n    CustomSql $x > 0"), f"{found}")
        self.write("bad.dqdl", "Rules = [\n  RowCount > ]\n")
        found = self.json("check", "--rules", "bad.dqdl", "--parse-only", "--json", code=1)
        self.check(found["valid"] is False and found["canonical"] is None and found["rules"] == [], f"{found}")
        self.check((found["error"]["line"], found["error"]["column"]) == (2, 14), f"{found}")
        self.check(found["error"]["message"].startswith("found ], expected a number"), f"{found}")
        self.one_line(self.assayfs("check", "--rules", "bad.dqdl", "--parse-only", code=1), "bad.dqdl:2:14: found ]")
        self.check("valid (4 rules" in self.assayfs("check", "-r", "r.dqdl", "--parse-only").out, "no sum")
        self.one_line(self.assayfs("check", "--rules", "none", "--parse-only", "--json", code=1), "No such file")
        self.one_line(self.assayfs("check", "--parse-only", code=2), "--rules")
        found = self.json("check", "-r", "-", "--parse-only", "--json", code=1, stdin=None, input=b"x" * (1 << 21))
        self.check("longer" in found["error"]["message"], f"{found}")

    def test_nulls_and_types_are_given(self):
        self.write("a.csv", "id,n,t\n1,,x\n2,5,\n3,NA,y\n")
        self.write("r.dqdl", 'Rules = [ IsComplete "n", IsComplete "t" ]')

        def outcomes(*options, code):
            found = self.json("check", "--json", "-r", "r.dqdl", *options, "a.csv", code=code)
            return [rule["outcome"][0] for rule in found["rules"]]

        self.check(outcomes(code=0) == ["P", "P"], "glue: a column with a word is one of texts")
        self.check(outcomes("--nulls", "empty", code=1) == ["F", "F"], "empty")
        self.check(outcomes("--nulls", "none", code=0) == ["P", "P"], "none")
        self.check(outcomes("--nulls", "NA", code=1) == ["F", "P"], "a word")
        self.check(outcomes("--nulls", "-,", code=1) == ["F", "F"], "the empty word")
        self.check(outcomes("--type", "n=number", code=1) == ["F", "P"], "a number")
        self.check(outcomes("--type", "n=number", "--type", "t=date", code=1) == ["F", "F"], "two types")
        self.check(outcomes("--type", "n=number", "--type", "n=text", code=0) == ["P", "P"], "the last one counts")
        self.check(self.json("check", "--json", "-r", "r.dqdl", "--type", "x=text", "a.csv", code=3)["reason"] ==
                   'a type is given for "x", but the table has no such column', "no words")
        self.one_line(self.assayfs("check", "-r", "r.dqdl", "--type", "n", "a.csv", code=2), "COLUMN=TYPE")
        self.one_line(self.assayfs("check", "-r", "r.dqdl", "--type", "n=x", "a.csv", code=2), "'x' is no type")

    def test_a_policy_gives_types_and_its_dataset_is_named(self):
        os.mkdir(self.path("policy"))
        self.write("policy/policy.yaml", "version: 1\ndatasets:\n"
                   "  - {name: pets, match: \"pets/*.csv\", rules: r.dqdl, types: {n: number, k: text}}\n"
                   "  - {name: sold, match: \"sold/*.csv\", rules: r.dqdl, keep: \"n > 1\"}\n")
        self.write("policy/r.dqdl", 'Rules = [ IsComplete "n" ]')
        self.write("a.csv", "n,k\nx,1\n,2\n")
        self.assayfs("check", "-p", "policy", "--dataset", "pets", "a.csv", code=1)
        self.assayfs("check", "-p", "policy", "--dataset", "pets", "--type", "n=text", "a.csv")
        self.assayfs("check", "-p", "policy", "--dataset", "pets", "--type", "k=number", "a.csv", code=1)
        self.one_line(self.assayfs("check", "-p", "policy", "--dataset", "cats", "a.csv", code=2), "pets, sold")
        self.one_line(self.assayfs("check", "--dataset", "pets", "a.csv", code=2), "--policy")

    def test_what_a_policy_allows_no_longer_is_noted(self):
        os.mkdir(self.path("policy"))
        self.write("policy/policy.yaml", "version: 1\ndatasets:\n"
                   "  - {name: pets, match: \"*.csv\", privacy: {detect: EMAIL, allow: [\n"
                   "      {value: a@example.org, owner: anna, until: 2025-03-31}]}}\n")
        self.write("a.csv", "n,k\nx,1\n")
        self.one_line(self.assayfs("check", "-p", "policy", "a.csv"),
                      "policy.yaml:4: the allow entry of anna ended 2025-03-31")

    def test_executed_cases_have_the_open_evaluators_rows(self):
        path = os.path.join(os.environ.get("ASSAYFS_TEST_DATA", ""), "dqdl/eval_deequ.jsonl")
        if not os.path.exists(path):
            print("skipped: no dqdl/eval_deequ.jsonl under ASSAYFS_TEST_DATA")
            return
        cases = 0
        with open(path, encoding="utf-8") as file:
            for case in map(json.loads, file):
                if "row_outcomes" not in case or case["refs"]:
                    continue
                rows = [case["data"]["columns"], *case["data"]["rows"]]
                self.write("a.csv", "".join(",".join(
                    "\\N" if cell is None else f'"{cell}"' for cell in row) + "\n" for row in rows))
                self.write("r.dqdl", case["ruleset"])
                result = subprocess.run([ASSAYFS, "check", "-d", ",", "-r", "r.dqdl", "--nulls", "\\N", "--rows", "rows",
                                         "--json", "a.csv"], cwd=self.directory, capture_output=True, check=False)
                found = json.loads(result.stdout)
                if any("not supported" in (rule["reason"] or "") for rule in found["rules"]):
                    continue
                with open(self.path("rows"), encoding="utf-8") as lines:
                    outcomes = [json.loads(line)["result"] for line in lines]
                self.check(outcomes == case["row_outcomes"], f"{case['ruleset']}: {outcomes}")
                metrics = {key: value for rule in found["rules"] for key, value in rule["metrics"].items()}
                for key, value in case.get("metrics", {}).items():
                    self.check(metrics.get(key) == value, f"{case['ruleset']}: {key} is {metrics.get(key)}")
                cases += 1
        self.check(cases >= 8, f"only {cases} cases")

    def test_rules_about_files_see_this_one(self):
        self.write("a.csv", "id\n1\n")
        self.write("r.dqdl", 'Rules = [ FileSize between 4 B and 6 B, FileFreshness > (now() - 1 days) ]')
        self.assayfs("check", "-r", "r.dqdl", "a.csv")
        os.utime(self.path("a.csv"), (1000000000, 1000000000))
        result = self.assayfs("check", "-r", "r.dqdl", "a.csv", code=1)
        self.check("failed  FileFreshness" in result.out and "passed  FileSize" in result.out, result.out)

    def test_rules_as_they_are_found_are_read_and_named_in_a_note(self):
        self.write("a.csv", "id\n1\n")
        for content, words in ((b"Rules = [\r\n  RowCount = 1\r\n]\r\n", "CRLF"),
                               (b"\xef\xbb\xbfRules = [ RowCount = 1 ]\n", "byte order mark"),
                               (b"Rules = [ RowCount = 1 ] # the end", "comment"),
                               (b"Rules = [ RowCount = 1 ]\nRules = [ RowCount = 2 ]\n", "Rules = [ RowCount = 2 ]"),
                               (b"Rules = [ RowCount = 1 ]", None)):
            self.write("r.dqdl", content)
            result = self.assayfs("check", "-r", "r.dqdl", "a.csv")
            found = self.json("check", "-r", "r.dqdl", "--json", "a.csv")
            notes = [line for line in result.out.splitlines() if line.startswith("note: ")]
            self.check(len(notes) == len(found["warnings"]) == (words is not None), f"{content}: {notes}")
            if words:
                self.check(words in notes[0] and "r.dqdl:" in notes[0] and words in found["warnings"][0], f"{notes}")


sys.exit(CheckTests().run())
