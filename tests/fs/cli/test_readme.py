#!/usr/bin/env python3
"""Runs the commands of README.md's example, and those of the man page's EXAMPLES, as they stand and in their order, and
holds what they print against what is promised there.

usage: test_readme.py ASSAYFS SOURCE

A line with only … stands for any lines; times, process numbers, the user's name and a policy's hash are not compared. A
passphrase is put in where one would be asked for.
"""
import getpass
import os
import re
import shutil
import subprocess
import sys

from cli import ASSAYFS, SOURCE, Tests

if not os.path.exists("/dev/fuse"):
    print("skipped: /dev/fuse is missing")
    sys.exit(77)

# What a person types at the prompts, and a cheap key derivation.
PROMPTS = f"""
assayfs() {{
	case $1 in
	init) shift; "{ASSAYFS}" init --argon-mem 1024 --argon-ops 1 --passfile "$PASS" "$@" >/dev/null ;;
	mount) shift; "{ASSAYFS}" mount --passfile "$PASS" "$@" ;;
	*) "{ASSAYFS}" "$@" ;;
	esac
}}
"""


def plain(line):
    """The line without what differs from run to run."""
    line = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [A-Z+0-9:-]+", "TIME", line)
    line = re.sub(r"\[(\S+) \d+\]", r"[\1 PID]", line)
    line = re.sub(r"sha256 [0-9a-f]{16}…", "sha256 …", line)
    line = re.sub(rf"\b(root|{getpass.getuser()})\b *", "USER ", line)
    return line.rstrip()


def fits(found, promised):
    if not promised:
        return not found
    if promised[0] == "…":
        return len(promised) == 1 or any(fits(found[i:], promised[1:]) for i in range(len(found)))
    return bool(found) and found[0] == promised[0] and fits(found[1:], promised[1:])


class ReadmeTests(Tests):
    def clean_up(self):
        mount = self.path("mnt")
        if os.path.ismount(mount):
            subprocess.run([ASSAYFS, "umount", mount], check=False, timeout=60)

    def run_line(self, line):
        """As a terminal would show it: both outputs through one pipe."""
        environment = dict(os.environ, PASS=self.path("pass"), TZ="UTC", LC_ALL="C.UTF-8")
        done = subprocess.run(["bash", "-c", PROMPTS + line], cwd=self.path("here"), env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=120)
        return done.returncode, [plain(text) for text in done.stdout.decode().splitlines()]

    def prepare(self):
        self.write("pass", "a passphrase\n")
        os.mkdir(self.path("here"))

    def test_the_example_of_the_readme_does_what_it_says(self):
        text = open(os.path.join(SOURCE, "README.md"), encoding="utf-8").read()
        text = text[text.index("## An example"):text.index("## How it works")]
        lines = [line for block in re.findall(r"```\n(.*?)```", text, re.S) for line in block.splitlines()]
        steps = []
        for line in lines:
            if line.startswith("$ "):
                steps.append((line[2:], []))
            else:
                steps[-1][1].append(plain(line))
        self.check(len(steps) > 15, f"only {len(steps)} commands were found")
        self.prepare()
        os.symlink(self.path("here/mnt"), self.path("mnt"))
        for command, promised in steps:
            code, found = self.run_line(command)
            wanted = 1 if "# exit code 1" in command else 0
            self.check(code == wanted, f"{command}: exit {code}")
            if not fits(found, promised):
                self.faults.append(f"{command}: promised\n         " + "\n         ".join(promised) + "\n       found\n         "
                                   + "\n         ".join(found))
        subprocess.run([ASSAYFS, "umount", self.path("here/mnt")], capture_output=True, check=False, timeout=60)

    def test_the_examples_of_the_man_page_work_in_their_order(self):
        page = open(os.path.join(SOURCE, "docs/assayfs.1"), encoding="utf-8").read()
        block = re.search(r"\.Sh EXAMPLES\n\.Bd [^\n]*\n(.*?)\.Ed", page, re.S).group(1)
        self.prepare()
        os.mkdir(self.path("mnt"))
        self.write("here/animals.csv", "id,name\n1,Daisy\n2,Luna\n")
        for line in block.splitlines():
            line = re.sub(r"/srv/vault\b", self.path("vault"), line)
            line = re.sub(r"/mnt\b", self.path("mnt"), line)
            code, found = self.run_line(line)
            self.check(code == 0, f"{line}: exit {code}: {found}")
        self.check(shutil.which("man") is None or len(block.splitlines()) > 6, "too few examples")


sys.exit(ReadmeTests().run())
