#!/usr/bin/env python3
"""Runs the commands of README.md's example, and those of the man page's EXAMPLES, as they stand and in their order, and
holds what they print against what is promised there.

usage: test_readme.py ASSAYFS SOURCE
"""
import os
import re
import shutil
import subprocess
import sys

from cli import ASSAYFS, SOURCE
from shown import ShownTests, steps_of

if not os.path.exists("/dev/fuse"):
    print("skipped: /dev/fuse is missing")
    sys.exit(77)


class ReadmeTests(ShownTests):
    def test_the_example_of_the_readme_does_what_it_says(self):
        text = self.document("README.md")
        steps = steps_of(text[text.index("## An example"):text.index("## How it works")])
        self.check(len(steps) > 15, f"only {len(steps)} commands were found")
        self.prepare()
        os.symlink(self.path("here/mnt"), self.path("mnt"))
        self.run_steps(steps)
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
