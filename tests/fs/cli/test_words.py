#!/usr/bin/env python3
"""The command without a vault: help, bad usage, errors, check.

usage: test_words.py ASSAYFS SOURCE
"""
import os
import pty
import re
import subprocess
import sys

from cli import ASSAYFS, SOURCE, Tests

RULES = 'Rules = [ RowCount = 3, IsComplete "name", ColumnValues "kind" in ["cat", "dog"] ]\n'
GOOD = "name,kind\na,cat\nb,dog\nc,cat\n"


class WordsTests(Tests):
    def test_without_arguments_it_prints_help_and_exits_2(self):
        result = self.assayfs(code=2)
        self.check("Commands:" in result.err and not result.out, "help belongs on stderr here")

    def test_help_goes_to_standard_output(self):
        for words in ["--help"], ["-h"], ["help"]:
            result = self.assayfs(*words)
            self.check("Commands:" in result.out and not result.err, f"{words}: {result.err}")

    def test_version_names_itself(self):
        self.check(self.assayfs("--version").out.startswith("assayfs "), "no version")

    def test_each_command_explains_itself(self):
        table = self.json("help", "--json")
        self.check(len(table.get("commands", [])) >= 19, "the table is short")
        for command in table.get("commands", []):
            result = self.assayfs(*command["command"].split(), "--help")
            for part in ("Usage: assayfs " + command["command"], "Options:", "Exit codes:", command["summary"].split()[0]):
                self.check(part in result.out, f"{command['command']} --help lacks {part!r}")

    def test_the_columns_of_help_are_straight(self):
        env = {**os.environ, "LC_ALL": "C.UTF-8"}
        table = self.json("help", "--json")["commands"]
        lines = self.assayfs("--help", env=env).out.splitlines()
        for command in table:
            shape = f"  {command['command']} {command['operands']}".rstrip()
            self.check(f"{shape:<36}{command['summary']}" in lines or f"{shape}  {command['summary']}" in lines and len(shape) >= 36, shape)
        mount = next(command for command in table if command["command"] == "mount")
        lines = self.assayfs("mount", "--help", env=env).out.splitlines()
        for option in mount["options"]:
            shape = f"{'-' + option['letter'] + ', ' if option['letter'] else '    '}--{option['name']} {option['argument'] or ''}".rstrip()
            self.check(f"  {shape:<32} {option['help']}" in lines, shape)

    def test_an_unknown_command_names_the_nearest(self):
        self.one_line(self.assayfs("stauts", code=2), "'stauts'", "'assayfs status'")
        self.one_line(self.assayfs("frobnicate", code=2), "assayfs --help")

    def test_half_a_command_names_the_other_half(self):
        self.one_line(self.assayfs("policy", code=2), "policy apply", "policy suggest")
        self.one_line(self.assayfs("key", code=2), "say what to do", "'key recipient add'")

    def test_an_unknown_other_half_is_told_from_none(self):
        self.one_line(self.assayfs("key", "rotat", "raw", code=2), "there is no command 'key rotat'", "did you mean 'assayfs key rotate'?")
        self.one_line(self.assayfs("key", "transmogrify", "raw", code=2), "there is no command 'key transmogrify'", "one of: 'key list'")
        for words in (["help", "key"], ["key", "--help"]):
            shown = self.assayfs(*words)
            self.check("assayfs key rotate --help" in shown.out and "assayfs policy" not in shown.out, f"{words}: {shown.out}")
        self.one_line(self.assayfs("help", "keys", code=2), "there is no command 'keys'")

    def test_bad_usage_is_one_line_with_the_right_usage(self):
        for words in (["mount", "x"], ["mount"], ["log", "--nope"], ["check"], ["restore", "a"], ["restore", "a@x"],
                      ["log", "--since", "noon"], ["log", "--limit", "0"], ["log", "--format", "xml"],
                      ["quarantine", "show", "x"], ["versions"], ["why", "a", "b"], ["sync", "a", "b"],
                      ["log", "--user", "no-such-user-here"], ["mount", "--passfile", "a", "--recovery-key", "v", "d"],
                      ["init", "--passfile", "a", "--extpass", "b", "v"], ["init", "--cipher", "rot13", "v"]):
            self.one_line(self.assayfs(*words, code=2), f"assayfs {words[0]}")

    def test_outside_a_vault_it_says_so_and_exits_5(self):
        for words in (["status"], ["sync"], ["log"], ["versions", "a.csv"], ["why", "gone/a.csv"], ["restore", "a@1"],
                      ["policy", "show"], ["quarantine", "list"], ["run", "w"], ["umount", "."]):
            self.one_line(self.assayfs(*words, code=5), "in no mounted vault")

    def test_a_directory_without_a_vault_exits_7(self):
        self.one_line(self.assayfs("info", ".", code=7), "no vault")
        self.one_line(self.assayfs("info", "nowhere", code=7), "no such directory")
        self.one_line(self.assayfs("mount", ".", ".", code=7), "no vault")
        self.write("vault.json", "{}")
        self.one_line(self.assayfs("info", ".", code=7))

    def test_a_hostile_name_can_not_forge_lines(self):
        self.one_line(self.assayfs("versions", "a\n\x1b[2Jassayfs: all is well", code=5), "\\n\\x1b[2J")

    def test_an_answer_that_can_not_be_written_is_an_error(self):
        with open("/dev/full", "wb") as full:
            result = subprocess.run([ASSAYFS, "help"], stdout=full, stderr=subprocess.PIPE, check=False)
        self.check(result.returncode == 3 and b"standard output" in result.stderr, f"{result}")

    def test_no_terminal_and_no_source_says_what_to_give(self):
        self.one_line(self.assayfs("init", "v", code=2, start_new_session=True), "--passfile", "--extpass")
        self.check(not os.path.exists(self.path("v")), "something was made")

    # ---- check ----

    def test_check_passes_fails_and_errs_by_its_exit_code(self):
        self.write("r.dqdl", RULES)
        self.write("good.csv", GOOD)
        self.write("bad.csv", GOOD.replace("dog", "bird"))
        result = self.assayfs("check", "--rules", "r.dqdl", "good.csv")
        self.check("good.csv: passed" in result.out, result.out)
        result = self.assayfs("check", "--rules", "r.dqdl", "bad.csv", code=1)
        self.check("failed  ColumnValues" in result.out and "passed  RowCount = 3" in result.out, result.out)
        self.check("= 3" in result.out, "the number is not shown")
        self.write("r3.dqdl", 'Rules = [ ColumnValues "name" matches "\\w|\\d{4}" ]')
        result = self.assayfs("check", "--rules", "r3.dqdl", "good.csv")
        self.check('matches "\\w|\\d{4}"\n' in result.out, result.out)
        self.write("r2.dqdl", "Rules = [ Nonsense ]")
        result = self.assayfs("check", "--rules", "r2.dqdl", "good.csv", code=3)
        self.check("r2.dqdl:1:" in result.out + result.err, f"{result.out} {result.err}")

    def test_check_is_given_the_history_that_rules_look_back_on(self):
        self.write("r.dqdl", "Rules = [ RowCount > avg(last(2)) ] Analyzers = [ ColumnCount ]")
        self.write("good.csv", GOOD)
        first = self.assayfs("check", "-r", "r.dqdl", "good.csv").out
        self.check("not compared: no history was given" in first and "measured  ColumnCount\n" in first, first)
        self.write("h", "".join('{"name":"Dataset.*.RowCount","value":%d}\n' % rows for rows in (90, 2, 3)))
        self.assayfs("check", "-r", "r.dqdl", "--history", "h", "good.csv")
        self.write("h", '{"name":"Dataset.*.RowCount","value":9}\n')
        failed = self.assayfs("check", "-r", "r.dqdl", "--history", "h", "good.csv", code=1).out
        self.check("RowCount is 3; the rule wants > avg(last(2)), which is > 9" in failed, failed)
        self.write("h", "9\n")
        self.one_line(self.assayfs("check", "-r", "r.dqdl", "--history", "h", "good.csv", code=3), "line 1 of the history")

    def test_check_prints_json_with_the_same_exit_code(self):
        self.write("r.dqdl", RULES)
        self.write("good.csv", GOOD)
        self.write("bad.csv", GOOD + "d,bird\n")
        self.check(self.json("check", "--json", "-r", "r.dqdl", "good.csv").get("outcome") == "passed", "not passed")
        failed = self.json("check", "--json", "-r", "r.dqdl", "bad.csv", code=1)
        self.check(failed.get("outcome") == "failed" and len(failed.get("rules", [])) == 3, f"{failed}")

    def test_check_finds_rules_beside_the_file_and_reads_standard_input(self):
        self.write("a.dqdl", RULES)
        self.write("a.csv", GOOD)
        self.assayfs("check", "a.csv")
        with open(self.path("a.csv"), "rb") as file:
            self.assayfs("check", "-r", "a.dqdl", "-", stdin=file)
        self.write("b.csv", GOOD)
        self.one_line(self.assayfs("check", "b.csv", code=2), "--rules", "b.dqdl")
        self.one_line(self.assayfs("check", "-r", "a.dqdl", ".", code=2), "directory")

    def test_what_is_named_and_not_there_exits_1_and_a_thing_of_the_wrong_kind_2(self):
        self.write("a.dqdl", RULES)
        self.write("a.csv", GOOD)
        self.write("pass", "x")
        os.mkdir(self.path("policy"))
        self.write("policy/policy.yaml", "version: 1\n")
        for words in (["check", "none.csv"], ["check", "-r", "a.dqdl", "none.csv"], ["check", "-p", "policy", "none.csv"],
                      ["check", "-r", "none.dqdl", "a.csv"], ["check", "-p", "none", "a.csv"], ["check", "a.csv/none"],
                      ["policy", "suggest", "none"], ["policy", "apply", "none"], ["policy", "apply", "."],
                      ["init", "--passfile", "none", "v"], ["init", "--passfile", "pass", "none/v"]):
            self.one_line(self.assayfs(*words, code=1), "No such file" if words[-1] != "a.csv/none" else "Not a dir")
        for words in (["check", "-r", "a.dqdl", "."], ["policy", "suggest", "."],
                      ["policy", "apply", "policy/policy.yaml"], ["init", "--passfile", ".", "v"]):
            self.one_line(self.assayfs(*words, code=2), "directory")
        for words in (["umount", "none"], ["umount", "."], ["status", "none"], ["why", "a.csv"], ["sync", "."]):
            self.one_line(self.assayfs(*words, code=5))

    def test_an_error_names_each_thing_once(self):
        os.mkdir(self.path("full"))
        self.write("full/x", "")
        self.write("pass", "x")
        for words, code, line in (
                (["init", "--passfile", "pass", "full"], 1,
                 "full is not empty; a vault needs a directory of its own"),
                (["init", "--passfile", "pass", "a/b/c"], 1, "making vault directory a/b/c: No such file or directory"),
                (["policy", "apply", "none"], 1, "opening the policy directory none: No such file or directory"),
                (["mount", "full", "full"], 7, "mounting full: there is no vault in it (no vault.json)"),
                (["info", "full"], 7, "full: there is no vault in it (no vault.json)")):
            found = self.assayfs(*words, code=code).err.split(": ", 1)[1]
            self.check(found == line + "\n", found)

    def test_check_by_a_policy_names_the_closest_pattern(self):
        os.mkdir(self.path("policy"))
        self.write("policy/policy.yaml", "version: 1\ndatasets:\n  - name: pets\n    match: \"pets/*.csv\"\n    rules: pets.dqdl\n")
        self.write("policy/pets.dqdl", RULES)
        self.write("a.csv", GOOD)
        self.assayfs("check", "-p", "policy", "--as", "pets/a.csv", "a.csv")
        self.one_line(self.assayfs("check", "-p", "policy", "--as", "pats/a.csv", "a.csv", code=3), "pets/*.csv")
        self.one_line(self.assayfs("check", "-p", "policy", "--as", "pets/A.CSV", "a.csv", code=3), "upper and lower case")
        self.one_line(self.assayfs("check", "-p", "policy", "a.csv", code=3), "the folder does not", "**/*.csv")
        self.write("policy/policy.yaml", "version: 1\ndatasets:\n  - nmae: pets\n")
        self.one_line(self.assayfs("check", "-p", "policy", "a.csv", code=3), "policy.yaml:3")

    def test_the_policy_and_rules_of_the_documentation_are_understood(self):
        page = open(os.path.join(SOURCE, "docs/policy.md"), encoding="utf-8").read()
        policy = re.search(r"```yaml\n(.*?)```", page, re.S).group(1)
        rules = re.search(r"```\n(Rules = .*?)```", page, re.S).group(1)
        os.mkdir(self.path("policy"))
        self.write("policy/policy.yaml", policy)
        self.write("policy/animals.dqdl", rules)
        self.write("a.csv", "Breed;Color;Date;Name;Sex;State\nCat;;2024-01-01;;F;Lost\nDog;x;2024-01-02;Rex;M;Lost\n")
        checked = self.json("check", "--json", "-p", "policy", "--as", "animals/lost-and-found.csv", "a.csv", code=1)
        outcomes = [rule["outcome"] for rule in checked["rules"]]
        self.check(outcomes == ["Failed", "Passed", "Passed", "Passed", "Passed"], f"{checked['rules']}")
        # What it says of empty cells, held against the program.
        self.write("r.dqdl", 'Rules = [ IsComplete "Name", ColumnValues "Name" != EMPTY ]')
        checked = self.json("check", "--json", "-r", "r.dqdl", "a.csv", code=1)
        self.check([rule["outcome"] for rule in checked["rules"]] == ["Passed", "Failed"], f"{checked['rules']}")

    def test_progress_is_for_terminals_only(self):
        self.write("r.dqdl", RULES)
        self.write("a.csv", GOOD)
        self.check(self.assayfs("check", "-r", "r.dqdl", "a.csv").err == "", "something on stderr")
        main, side = pty.openpty()
        subprocess.run([ASSAYFS, "check", "-r", "r.dqdl", "a.csv"], stderr=side, stdout=subprocess.DEVNULL, check=True,
                       cwd=self.directory, env={**os.environ, "TERM": "xterm"})
        shown = os.read(main, 65536)
        self.check(b"checking" in shown and shown.endswith(b"\r\033[K"), f"{shown}")
        os.close(main)
        os.close(side)


sys.exit(WordsTests().run())
