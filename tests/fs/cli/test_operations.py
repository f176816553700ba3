#!/usr/bin/env python3
"""The drill of docs/operations.md and the worked example of docs/example.md, run command by command; and the numbers of messages,
which three places have.

usage: test_operations.py ASSAYFS SOURCE
"""
import os
import re
import sys

from shown import ShownTests, steps_of

if not os.path.exists("/dev/fuse"):
    print("skipped: /dev/fuse is missing")
    sys.exit(77)

# Commands of the example that are not run yet: what they ask for is made elsewhere. Take a line out to have it run.
LATER = (
    "assayfs runs project-anilost24-dqdp mnt",
    "assayfs cost mnt",
    "assayfs alarm list mnt",
    "assayfs alarm history mnt",
    "assayfs mount --http 127.0.0.1:9475 vault mnt",
    "curl -s http://127.0.0.1:9475/metrics | grep -c '^assayfs_'",
    "curl -s http://127.0.0.1:9475/ | grep -c '<svg'",
)


class OperationsTests(ShownTests):
    def test_the_drill_goes_as_it_says(self):
        text = self.document("docs/operations.md")
        steps = steps_of(text[text.index("## A drill"):])
        self.check(len(steps) > 25, f"only {len(steps)} commands were found")
        self.prepare()
        self.run_steps(steps)

    def test_the_example_rebuilds_the_platform(self):
        steps = steps_of(self.document("docs/example.md"))
        now = [step for step in steps if step[0].split("   ")[0] not in LATER]
        self.check(len(now) > 15, f"only {len(now)} commands were found")
        missing = set(LATER) - {step[0].split("   ")[0] for step in steps}
        self.check(not missing, f"not in the example: {missing}")
        self.prepare()
        self.run_steps(now)

    def test_the_numbers_of_messages_are_the_same_everywhere_and_once(self):
        numbers = re.findall(r'X\(\w+, "(\w+)"', self.document("fs/log.h"))
        self.check(len(numbers) > 10 and len(set(numbers)) == len(numbers) and all(re.fullmatch("[0-9a-f]{32}", n) for n in numbers),
                   f"{numbers}")
        self.check(re.findall(r"^-- (\w+)$", self.document("scripts/systemd/assayfs.catalog"), re.M) == numbers, "the catalog has others")
        self.check(re.findall(r"^\| `(\w{32})` \|", self.document("docs/operations.md"), re.M) == numbers, "docs/operations.md has others")


sys.exit(OperationsTests().run())
