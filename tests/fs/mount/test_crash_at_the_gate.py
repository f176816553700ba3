#!/usr/bin/env python3
"""kill -9 of the daemon at any moment of a judgement ends, after a remount, in the same state as without it.

usage: test_crash_at_the_gate.py ASSAYFS SOURCE [ROUNDS [SEED]]
"""
import json
import os
import random
import signal
import subprocess
import sys
import time

from gate import ASSAYFS, GateTests, spoil, vancouver

ROUNDS = int(sys.argv[3]) if len(sys.argv) > 3 else 6
SEED = int(sys.argv[4]) if len(sys.argv) > 4 else random.SystemRandom().randrange(1 << 30)
POLICY = """version: 1
datasets:
  - {name: animals, match: "animals/*.csv", rules: animals.dqdl, nulls: empty, settle: 100ms}
"""


class CrashTests(GateTests):
    def mounted(self, *arguments, **options):
        super().mounted(*arguments, **options)
        self.pid = self.json("status", "--json", "mnt")["pid"]

    def crash(self):
        """Kills the daemon and mounts anew."""
        pid = self.pid
        os.kill(pid, signal.SIGKILL)
        for _ in range(400):
            if not os.path.exists(f"/proc/{pid}") or open(f"/proc/{pid}/stat", encoding="utf-8").read().split()[2] == "Z":
                break
            time.sleep(0.01)
        self.assayfs("umount", "mnt")
        self.mount()
        self.pid = self.json("status", "--json", "mnt").get("pid")

    def test_between_arrival_and_publication(self):
        """Good and bad files arrive, the daemon dies a random time later; all end in their state."""
        good, _ = vancouver()
        bad = spoil(good)
        print(f"       seed {SEED}, {ROUNDS} rounds")
        rng = random.Random(SEED)
        self.mounted(policy=POLICY)
        for i in range(ROUNDS):
            one, two = f"animals/good{i}.csv", f"animals/bad{i}.csv"
            mine = good + b"Cat;Black;2024-01-08;N%d;M;Lost\r\n" % i
            self.put("Landing/" + one, mine)
            self.put("Landing/" + two, bad)
            self.put("Landing/animals/again.csv", mine)  # has a former version from the second round on
            self.assayfs("sync", "mnt")
            time.sleep(rng.random() * 0.8)
            self.crash()
            self.check(self.get("Trusted/" + one) in (None, mine), f"round {i}: torn in Trusted")
            self.wait_for("Trusted/" + one, mine)
            self.wait_for("Trusted/animals/again.csv", mine)
            self.outcome("Landing/" + two, "failed")
            self.check(self.get("Trusted/" + two) is None, f"round {i}: a bad file is in Trusted")
            self.check(self.get("Raw/" + one) == mine and self.get("Raw/" + two) == bad, f"round {i}: Raw")
            for path in ("Raw/" + one, "Trusted/" + one, "Raw/" + two):
                versions = self.json("versions", "--json", self.at(path))["versions"]
                self.check(len(versions) == 1, f"round {i}: {path} has {len(versions)} versions")
        self.idle()
        self.assayfs("umount", "mnt")
        self.fsck()

    def test_of_a_file_that_is_split(self):
        """Whenever the daemon dies, the bad rows are held once, and Trusted shows what is left, or nothing yet."""
        good, _ = vancouver()
        rules = 'Rules = [ RowCount > 100, ColumnValues "State" in ["Lost", "Matched", "Found", NULL] ]\n'
        self.mounted(policy=POLICY.replace("settle", "on_failure: split, settle"), rules=rules)
        rng = random.Random(SEED + 2)
        for i in range(ROUNDS):
            path = f"animals/split{i}.csv"
            mixed = spoil(good, seed=i)
            lines = mixed.split(b"\r\n")
            rest = b"\r\n".join(line for line in lines if not line.rpartition(b";")[2].startswith(b"#"))
            self.put("Landing/" + path, mixed)
            self.assayfs("sync", "mnt")
            time.sleep(rng.random() * 1.2)
            self.crash()
            shown = self.get("Trusted/" + path)
            held = [row for row in self.json("quarantine", "list", "--json", "mnt") if row["path"] == "Landing/" + path]
            self.check(shown is None or (shown == rest and len(held) == 1), f"round {i}: published without what is held: {held}")
            self.wait_for("Trusted/" + path, rest)
            self.idle()
            held = [row for row in self.json("quarantine", "list", "--all", "--json", "mnt") if row["path"] == "Landing/" + path]
            self.check([(row["partial"], row["state"]) for row in held] == [(True, "held")], f"round {i}: {held}")
            rows = self.get(f".assayfs/quarantine/{held[0]['id']}/content") if held else b""
            self.check(rows.count(b"\r\n") == sum(b";#" in line for line in lines) + 1, f"round {i}: {rows[:200]}")
        self.assayfs("umount", "mnt")
        self.fsck()

    def fsck(self):
        done = subprocess.run([ASSAYFS, "fsck", "--passfile", self.path("pass"), self.path("v")], capture_output=True,
                              check=False, stdin=subprocess.DEVNULL, timeout=120)
        built = b"not built" not in done.stderr
        self.check(not built or done.returncode == 0, f"fsck: {done.returncode} {done.stdout} {done.stderr}")

    def test_during_direct_writes(self):
        """A writer into Trusted when the daemon dies: its name shows the former file or, published, the new one."""
        good, _ = vancouver()
        self.mounted(policy=POLICY)
        rng = random.Random(SEED + 1)
        former = good
        self.put("Landing/animals/x.csv", good)
        self.wait_for("Trusted/animals/x.csv", good)
        self.assayfs("sync", "mnt")
        for i in range(ROUNDS):
            new = good + b"Cat;Black;2024-01-08;N%d;M;Lost\r\n" % i
            self.outside("new.csv", new)
            writer = subprocess.Popen(["cp", self.path("new.csv"), self.at("Trusted/animals/x.csv")],
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(rng.random() * 0.3)
            self.crash()
            writer.wait(timeout=30)
            self.idle()  # what was closed when the daemon died is judged now
            shown = self.get("Trusted/animals/x.csv")
            self.check(shown in (former, new), f"round {i}: neither the former nor the new file but {shown and len(shown)} bytes")
            former = shown
        self.assayfs("umount", "mnt")
        self.fsck()

    def test_a_fsynced_draft_in_landing_is_recovered_and_arrives(self):
        good, _ = vancouver()
        self.mounted(policy=POLICY)
        os.makedirs(self.at("Landing/animals"))
        fds = []
        for name, content in (("r.csv", good), ("s.csv", spoil(good))):
            fd = os.open(self.at("Landing/animals/" + name), os.O_WRONLY | os.O_CREAT)
            fds.append(fd)
            os.write(fd, content)
            os.fsync(fd)
        self.crash_with(fds)
        self.wait_for("Trusted/animals/r.csv", good)
        self.outcome("Landing/animals/s.csv", "failed")
        self.check(self.get("Trusted/animals/s.csv") is None, "a bad one passed")

    # ---- what was written into Trusted directly, and fsynced

    def staged(self, name, content, fsync=True):
        fd = os.open(self.at("Trusted/animals/" + name), os.O_RDWR | os.O_CREAT)
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view):]
        if fsync:
            os.fsync(fd)
        return fd

    def held(self):
        """What is in quarantine: path to (content, verdict)."""
        found = {}
        for row in sorted(os.listdir(self.at(".assayfs/quarantine"))):
            with open(self.at(f".assayfs/quarantine/{row}/verdict.json"), encoding="utf-8") as file:
                verdict = json.load(file)
            self.check(verdict["path"] not in found, f"{verdict['path']} is in quarantine twice")
            found[verdict["path"]] = self.get(f".assayfs/quarantine/{row}/content"), verdict
        return found

    def test_what_was_fsynced_into_trusted_and_not_closed_is_in_quarantine(self):
        """Good, bad, over a published name, under a temporary one; what was not fsynced is gone. None is published."""
        good, _ = vancouver()
        bad, more = spoil(good), good + b"Cat;Black;2024-01-08;More;M;Lost\r\n"
        self.mounted(policy=POLICY)
        self.put("Landing/animals/there.csv", good)
        self.wait_for("Trusted/animals/there.csv", good)
        fds = [self.staged("good.csv", good), self.staged("bad.csv", bad), self.staged("there.csv", more),
               self.staged(".there.csv.Ab12Cd", more), self.staged("unsynced.csv", good, fsync=False)]
        os.close(self.staged(".closed.csv.Ab12Cd", bad))
        wanted = {"good.csv": good, "bad.csv": bad, "there.csv": more, ".there.csv.Ab12Cd": more,
                  ".closed.csv.Ab12Cd": bad}
        for turn in ("once", "again"):  # recovered twice ends the same
            self.crash_with(fds if turn == "once" else [])
            self.idle()
            held = self.held()
            self.check(set(held) == {"Trusted/animals/" + n for n in wanted}, f"{turn}: in quarantine {sorted(held)}")
            for name, content in wanted.items():
                got, verdict = held.get("Trusted/animals/" + name, (None, {}))
                self.check(got == content, f"{turn}: {name} in quarantine is not what was fsynced")
                self.check(verdict.get("outcome") == "error" and verdict.get("output") is None, f"{turn}: {name}: {verdict}")
            self.check(sorted(os.listdir(self.at("Trusted/animals"))) == ["there.csv"], "something was published")
            self.check(self.get("Trusted/animals/there.csv") == good, "the published file changed")
        self.check("not closed by its writer" in self.why("Trusted/animals/good.csv").get("text", ""),
                   f"why: {self.why('Trusted/animals/good.csv')}")
        records = self.records("--event", "verdict", "--path", "Trusted/animals/good.csv")
        self.check(len(records) == 1 and records[0]["uid"] == os.getuid(), f"records: {records}")
        self.assayfs("umount", "mnt")
        self.fsck()

    def test_what_was_being_closed_is_judged_after_the_crash(self):
        """The daemon dies while it judges: a good file is published then, a bad one refused; over something newer, no."""
        import threading
        good, _ = vancouver()
        large = good + good.split(b"\r\n", 1)[1] * 120  # its check takes long enough to be met
        self.mounted(policy=POLICY)
        os.makedirs(self.at("Trusted/animals"))
        closers = []
        for name, content in (("good.csv", large), ("bad.csv", spoil(large))):
            fd = self.staged(name, content)
            closers.append(threading.Thread(target=self.close_whatever, args=(fd,)))
        for closer in closers:
            closer.start()
        time.sleep(0.2)
        self.assayfs("sync", "mnt")
        self.check(os.listdir(self.at("Trusted/animals")) == [], "the check took no time: make the file larger")
        self.crash_with([])
        for closer in closers:
            closer.join()
        self.wait_for("Trusted/animals/good.csv", large, seconds=60)
        self.outcome("Trusted/animals/bad.csv", "failed", seconds=60)
        self.idle()
        self.check(self.get("Trusted/animals/bad.csv") is None, "a bad file was published")
        self.check(list(self.held()) == ["Trusted/animals/bad.csv"], f"in quarantine: {list(self.held())}")
        self.check(self.why("Trusted/animals/good.csv").get("outcome") == "passed", "published without a verdict")
        self.assayfs("umount", "mnt")
        self.fsck()

    @staticmethod
    def close_whatever(fd):
        try:
            os.close(fd)
        except OSError:
            pass

    def crash_with(self, fds):
        os.kill(self.pid, signal.SIGKILL)
        time.sleep(0.3)
        for fd in fds:
            try:
                os.close(fd)
            except OSError:
                pass
        self.assayfs("umount", "mnt")
        self.mount()
        self.pid = self.json("status", "--json", "mnt").get("pid")


if __name__ == "__main__":
    sys.exit(CrashTests().run())
