"""What the tests of documents share: the commands that a document shows are run as they stand, in their order, and what they
print is held against what stands below them.

A command begins with "$ ", its further lines (of a here-document) with "> ". A line with only … stands for any lines; times,
process numbers, the user's name, hashes and ids are not compared. A passphrase is put in where one would be asked for.
"""
import getpass
import os
import re
import subprocess

from cli import ASSAYFS, SOURCE, Tests

# What a person types at the prompts, and a cheap key derivation. A script and not a function: $! is the program itself.
PROMPTS = f"""#!/bin/bash
secret=(--passfile "$PASS")
[[ " $* " == *" --passfile "* || " $* " == *" --recovery-key"* ]] && secret=()
case $1 in
init) shift; if [[ " $* " == *" --json "* ]]; then exec "{ASSAYFS}" init --argon-mem 1024 --argon-ops 1 "${{secret[@]}}" "$@"; fi
	exec "{ASSAYFS}" init --argon-mem 1024 --argon-ops 1 "${{secret[@]}}" "$@" >/dev/null ;;
mount | fsck | recover) command=$1; shift; exec "{ASSAYFS}" "$command" "${{secret[@]}}" "$@" ;;
*) exec "{ASSAYFS}" "$@" ;;
esac
"""


def plain(line):
    """The line without what differs from run to run."""
    line = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [A-Z+0-9:-]+", "TIME", line)
    line = re.sub(r"\[(\S+) \d+\]", r"[\1 PID]", line)
    line = re.sub(r"sha256 [0-9a-f]{16}…", "sha256 …", line)
    line = re.sub(r"\([0-9a-f]{12}\)", "(HASH)", line)
    line = re.sub(r"\bown-[0-9a-f]{12}\b", "own-ID", line)
    line = re.sub(rf"\b(root|{getpass.getuser()})\b *", "USER ", line)
    return line.rstrip()


def fits(found, promised):
    if not promised:
        return not found
    if promised[0] == "…":
        return len(promised) == 1 or any(fits(found[i:], promised[1:]) for i in range(len(found)))
    return bool(found) and found[0] == promised[0] and fits(found[1:], promised[1:])


def steps_of(text):
    """Each command with the lines that it promises, in all blocks that show commands."""
    steps = []
    for block in re.findall(r"```\n(\$ .*?)```", text, re.S):
        for line in block.splitlines():
            if line.startswith("$ "):
                steps.append([line[2:], []])
            elif line.startswith("> ") or line == ">":
                steps[-1][0] += "\n" + line[2:]
            else:
                steps[-1][1].append(plain(line))
    return steps


class ShownTests(Tests):
    def clean_up(self):
        for mount in self.path("mnt"), self.path("here/mnt"):
            if os.path.ismount(mount) or not os.path.exists(mount):
                subprocess.run([ASSAYFS, "umount", mount], check=False, capture_output=True, timeout=60)

    def prepare(self):
        self.write("pass", "a passphrase\n")
        os.mkdir(self.path("here"))
        os.mkdir(self.path("bin"))
        self.write("bin/assayfs", PROMPTS, mode=0o755)

    def run_line(self, line):
        """As a terminal would show it: both outputs through one pipe."""
        environment = dict(os.environ, PASS=self.path("pass"), TZ="UTC", LC_ALL="C.UTF-8",
                           PATH=self.path("bin") + ":" + os.environ["PATH"])
        done = subprocess.run(["bash", "-c", line], cwd=self.path("here"), env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=240)
        return done.returncode, [plain(text) for text in done.stdout.decode().splitlines()]

    def run_steps(self, steps):
        for command, promised in steps:
            code, found = self.run_line(command)
            told = re.search(r"# exit code (\d+)", command)
            wanted = int(told.group(1)) if told else 0
            self.check(code == wanted, f"{command}: exit {code}: {found[-3:]}")
            if not fits(found, promised):
                self.faults.append(f"{command}: promised\n         " + "\n         ".join(promised) + "\n       found\n         "
                                   + "\n         ".join(found))

    def document(self, name):
        return open(os.path.join(SOURCE, name), encoding="utf-8").read()
