#!/usr/bin/env python3
"""kill -9 of the daemon at any moment of a judgement ends, after a remount, in the same state as without it.

usage: test_crash_at_the_gate.py ASSAYFS SOURCE [ROUNDS [SEED]]
"""
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


if __name__ == "__main__":
    sys.exit(CrashTests().run())
