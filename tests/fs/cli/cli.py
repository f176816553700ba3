"""What the tests of the command share: running it, and checks that are counted."""
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

import ended  # noqa: F401  (what it does when imported)
import hang
import program

ASSAYFS = program.for_everybody(sys.argv[1])
SOURCE = sys.argv[2] if len(sys.argv) > 2 else "."


_documented = {}


def documented_exits(arguments):
    """The exit codes that `--help` promises for the command that these arguments name; None where they name none."""
    if not _documented:
        table = json.loads(subprocess.run([ASSAYFS, "help", "--json"], check=True, capture_output=True).stdout)
        for command in table["commands"]:
            _documented[command["command"]] = {row["code"] for row in command["exits"]}
    words = [str(word) for word in arguments[:3]]
    for count in 3, 2:
        if " ".join(words[:count]) in _documented:
            return _documented[" ".join(words[:count])]
    return _documented.get(words[0] if words else "")


class Tests:
    """Each method whose name begins with `test_` is one test in a directory of its own; its name reads as a sentence."""

    def run(self):
        failed = 0
        only = os.environ.get("ASSAYFS_TESTS", "")  # those with this in their names
        names = [name for name in dir(self) if name.startswith("test_") and only in name]
        for name in names:
            self.directory = tempfile.mkdtemp(prefix="assayfs-cli-")
            os.environ["STATE_DIRECTORY"] = os.path.join(self.directory, "state")
            self.faults = []
            try:
                getattr(self, name)()
            except Exception as error:  # a broken test is a failed test
                self.faults.append(f"{type(error).__name__}: {error}")
            finally:
                try:
                    self.clean_up()
                finally:
                    shutil.rmtree(self.directory, ignore_errors=True)
            print(f"{'FAILED' if self.faults else 'ok    '} {name[5:].replace('_', ' ')}")
            for words in self.faults:
                print(f"       {words}")
            failed += bool(self.faults)
        print(f"{len(names)} tests, {failed} failed")
        return 1 if failed else 0

    def clean_up(self):
        pass

    def unmount(self, mnt):
        """In a clean-up. A program that has ended may have children that are still ending, as rsync has: asks again."""
        for _ in range(50):
            with subprocess.Popen([ASSAYFS, "umount", mnt], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as done:
                try:
                    words = done.communicate(timeout=60)[1].decode()
                except subprocess.TimeoutExpired:
                    words = f"not within 60 s\n{hang.tell(self.directory)}"
                    done.kill()
                    break
            if done.returncode == 0:
                return
            time.sleep(0.1)
        self.faults.append(f"unmounting: {words}")
        subprocess.run(["umount", "-l", mnt], check=False)

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, content, mode=0o600):
        with open(self.path(name), "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def check(self, condition, words):
        if not condition:
            self.faults.append(words)

    def assayfs(self, *arguments, code=0, **options):
        """Runs the command; an exit code other than `code` (None: whatever) is a fault."""
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("cwd", self.directory)
        options.setdefault("timeout", 120)
        result = subprocess.run([ASSAYFS, *arguments], capture_output=True, **options)
        result.out = result.stdout.decode(errors="replace")
        result.err = result.stderr.decode(errors="replace")
        promised = documented_exits(arguments)
        if promised is not None and result.returncode not in promised:
            self.faults.append(f"{' '.join(map(repr, arguments))}: exit {result.returncode} is not among its documented "
                               f"{sorted(promised)}")
        if code is not None and result.returncode != code:
            self.faults.append(f"{' '.join(map(repr, arguments))}: exit {result.returncode}, not {code}; "
                               f"{result.err.strip() or result.out.strip()[:200]}")
        return result

    def ask(self, command, **arguments):
        """One request as the command sends it: its items, and how it ended."""
        vault = json.loads(self.assayfs("info", "--json", "v").out)["vault"]
        items = []
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(f"/run/assayfs/{vault}")
            text = json.dumps({"command": command, "arguments": arguments}).encode()
            s.sendall(struct.pack("<I", len(text)) + text)
            with s.makefile("rb") as file:
                while True:
                    answer = json.loads(file.read(struct.unpack("<I", file.read(4))[0]))
                    if "end" in answer:
                        return items, answer["end"], answer.get("words", "")
                    items.append(answer.get("item", answer))

    def mount_later(self, aged, days):
        """By the program (aged.c) for which so many days have passed."""
        self.write("age", str(days))
        environment = {**os.environ, "ASSAYFS_TEST_AGE": self.path("age")}
        done = subprocess.run([aged, "mount", "--passfile", "pass", "v", "mnt"], cwd=self.directory, env=environment, capture_output=True, timeout=120,
                              check=False)
        self.check(done.returncode == 0, f"mounting later: {done.stderr}")

    def one_line(self, result, *parts):
        """Standard error is exactly one line that holds all `parts`."""
        lines = result.err.splitlines()
        self.check(len(lines) == 1, f"not one line on stderr but {len(lines)}: {result.err!r}")
        for part in parts:
            self.check(part in result.err, f"stderr lacks {part!r}: {result.err!r}")
        return result

    def json(self, *arguments, code=0, **options):
        result = self.assayfs(*arguments, code=code, **options)
        try:
            return json.loads(result.stdout)
        except ValueError:
            self.faults.append(f"{arguments}: no JSON: {result.out[:200]!r} {result.err[:200]!r}")
            return {}
