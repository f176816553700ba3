#!/usr/bin/env python3
"""Who waits for a verdict holds up nobody else, and what is recorded of it is the verdict.

usage: test_waiting.py ASSAYFS SOURCE
"""
import errno
import os
import signal
import sys
import threading
import time

from gate import GateTests, generated

POLICY = """version: 1
datasets:
  - {name: animals, match: "animals/*.csv", rules: animals.dqdl, nulls: empty, settle: 0s}
  - {name: more, match: "animals/*/*.csv", rules: animals.dqdl, nulls: empty}
"""
RULES = 'Rules = [ RowCount > 2, Uniqueness "Name" >= 0, IsComplete "Date", ColumnValues "State" in ["Lost", "Matched", "Found"] ]\n'
THREADS = 32  # of the mount, for all requests


class WaitingTests(GateTests):
    def mounted(self, *arguments, **options):
        super().mounted(POLICY, RULES)
        os.makedirs(self.at("Trusted/animals"))

    def hold_up(self, count, work, what):
        """Runs work(i) in `count` threads while no check goes on; names are looked up meanwhile. Were each to take a thread
        of the mount, the look-ups would never end."""
        pid = self.json("status", "--json", "mnt")["pid"]
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            children = [int(child) for child in file.read().split()]
        self.check(children, "the daemon has no spawner of workers")
        threads = [threading.Thread(target=work, args=(i,)) for i in range(count)]
        looking = threading.Thread(target=lambda: [os.path.exists(self.at(f"Landing/nothing{i}")) for i in range(20)])
        try:
            for child in children:
                os.kill(child, signal.SIGSTOP)
            for thread in threads:
                thread.start()
            self.check(self.wait_till_all_wait(), f"{what} do not wait for their verdicts")
            looking.start()
            looking.join(timeout=20)
            self.check(not looking.is_alive(), "the look-ups wait for verdicts")
        finally:
            for child in children:
                os.kill(child, signal.SIGCONT)
        for thread in threads + [looking]:
            thread.join()

    def wait_till_all_wait(self):
        """Twice in a row: a look-up on the way to it is a request, too."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.all_wait():
                time.sleep(0.2)
                if self.all_wait():
                    return True
            time.sleep(0.005)
        return False

    @staticmethod
    def all_wait():
        """Whether as many threads of this process as the mount has are inside a request."""
        waiting = 0
        for task in os.listdir("/proc/self/task"):
            try:
                with open(f"/proc/self/task/{task}/wchan", encoding="ascii") as file:
                    waiting += "request_wait" in file.read()
            except OSError:
                pass
        return waiting >= THREADS

    def test_renames_that_are_judged_leave_the_mount_to_others(self):
        """In a directory each, as the kernel lets renames within one directory only follow each other."""
        self.mounted()
        count, content = THREADS + 8, generated(rows=40000)
        for i in range(count):
            self.put(f"Trusted/animals/d{i}/.new.csv.Ab12Cd", content + b"Corgi;Black;2024-01-08;N%d;M;Lost\r\n" % i)
        self.hold_up(count, lambda i: os.rename(self.at(f"Trusted/animals/d{i}/.new.csv.Ab12Cd"),
                                                self.at(f"Trusted/animals/d{i}/new.csv")), "renames")
        for i in range(count):
            self.check(os.listdir(self.at(f"Trusted/animals/d{i}")) == ["new.csv"], f"d{i}/new.csv was not published")

    def test_truncations_that_are_judged_leave_the_mount_to_others(self):
        self.mounted()
        count, content = THREADS + 8, generated(rows=40000)
        half = content.index(b"\r\n", len(content) // 2) + 2
        for i in range(count):
            self.put(f"Landing/animals/t{i}.csv", content)
        for i in range(count):
            self.wait_for(f"Trusted/animals/t{i}.csv", content, seconds=60)
        self.hold_up(count, lambda i: os.truncate(self.at(f"Trusted/animals/t{i}.csv"), half), "truncations")
        for i in range(count):
            self.check(self.get(f"Trusted/animals/t{i}.csv") == content[:half], f"t{i}.csv is not cut")

    def test_a_truncation_is_recorded_as_it_was_judged(self):
        self.mounted()
        content = generated(rows=100)
        two_rows = content.index(b"\r\n", content.index(b"\r\n", content.index(b"\r\n") + 1) + 1) + 2
        half = content.index(b"\r\n", len(content) // 2) + 2
        self.put("Trusted/animals/a.csv", content)
        path = self.at("Trusted/animals/a.csv")
        os.truncate(path, half)
        self.check(os.stat(path).st_size == half and self.get("Trusted/animals/a.csv") == content[:half], "not cut")
        try:
            os.truncate(path, two_rows)
            self.check(False, "a truncation that fails the rules was allowed")
        except OSError as error:
            self.check(error.errno == errno.EPERM, f"truncate: {error}")
        self.check(self.get("Trusted/animals/a.csv") == content[:half], "a refused truncation changed the file")
        records = self.records("--event", "truncate", "--path", "Trusted/animals/a.csv")
        self.check([r["outcome"] for r in records] == ["ok", "denied"], f"records: {records}")
        verdicts = self.records("--event", "verdict", "--path", "Trusted/animals/a.csv")
        self.check([v["outcome"] for v in verdicts] == ["ok", "ok", "denied"], f"verdicts: {verdicts}")

    def test_a_closed_temporary_file_that_is_truncated_stays_so(self):
        self.mounted()
        content = generated(rows=100)
        half = content.index(b"\r\n", len(content) // 2) + 2
        self.put("Trusted/animals/.a.csv.Ab12Cd", content)
        path = self.at("Trusted/animals/.a.csv.Ab12Cd")
        os.truncate(path, half)
        self.check(self.get("Trusted/animals/.a.csv.Ab12Cd") == content[:half], "the truncation was lost")
        os.rename(path, self.at("Trusted/animals/a.csv"))
        self.check(self.get("Trusted/animals/a.csv") == content[:half], "what was published is not what was cut")


if __name__ == "__main__":
    sys.exit(WaitingTests().run())
