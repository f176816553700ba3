#!/usr/bin/env python3
"""The drill of docs/operations.md and the worked example of docs/example.md, run command by command; and the numbers of messages,
which three places have.

usage: test_operations.py ASSAYFS SOURCE
"""
import os
import re
import signal
import socket
import sys

from shown import ShownTests, steps_of

if not os.path.exists("/dev/fuse"):
    print("skipped: /dev/fuse is missing")
    sys.exit(77)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class OperationsTests(ShownTests):
    def test_the_drill_goes_as_it_says(self):
        text = self.document("docs/operations.md")
        steps = steps_of(text[text.index("## A drill"):])
        self.check(len(steps) > 25, f"only {len(steps)} commands were found")
        self.prepare()
        self.run_steps(steps)

    def test_the_example_rebuilds_the_platform(self):
        text = self.document("docs/example.md")
        for port in "9475", "9476":
            self.check(port in text, f"port {port} is not in the example")
            text = text.replace(port, str(free_port()))
        steps = steps_of(text)
        self.check(len(steps) > 60, f"only {len(steps)} commands were found")
        self.prepare()
        self.run_steps(steps)

    def clean_up(self):
        super().clean_up()
        try:
            os.kill(int(open(self.path("here/receiver.pid"), encoding="ascii").read()), signal.SIGTERM)
        except (FileNotFoundError, ProcessLookupError, ValueError):
            pass

    def test_the_numbers_of_messages_are_the_same_everywhere_and_once(self):
        numbers = re.findall(r'X\(\w+, "(\w+)"', self.document("fs/log.h"))
        self.check(len(numbers) > 10 and len(set(numbers)) == len(numbers) and all(re.fullmatch("[0-9a-f]{32}", n) for n in numbers),
                   f"{numbers}")
        self.check(re.findall(r"^-- (\w+)$", self.document("scripts/systemd/assayfs.catalog"), re.M) == numbers, "the catalog has others")
        self.check(re.findall(r"^\| `(\w{32})` \|", self.document("docs/operations.md"), re.M) == numbers, "docs/operations.md has others")


sys.exit(OperationsTests().run())
