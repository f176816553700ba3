#!/usr/bin/env python3
"""The page in a real Chromium: what it shows, how soon, for whom; and the HTTP address under load.

usage: page.py ASSAYFS SOURCE [--screenshots DIR]

Needs chromium, npm and wrk (scripts/setup --services); playwright-core and axe-core come from npm, in exactly these versions, into the folder of the build.
"""
import os
import shutil
import socket
import subprocess
import sys
import time

from gate import ASSAYFS
from http_served import BAD, GOOD, Served

PACKAGES = ["playwright-core@1.48.2", "axe-core@4.10.2"]
SCREENSHOTS = os.path.abspath(sys.argv[sys.argv.index("--screenshots") + 1]) if "--screenshots" in sys.argv else ""
HERE = os.path.dirname(os.path.abspath(__file__))
LOADED_KB = 200 << 10  # resident, at most, of either process under load
KEPT_BY_SANITIZER_KB = 500 << 10  # of memory that was given back


def skip(words):
    print(f"skipped: {words}")
    sys.exit(77)


def packages():
    """The folder in which they are installed."""
    folder = os.path.join(os.environ.get("ASSAYFS_BUILD", "/tmp/assayfs-page"), "page-packages")
    if not os.path.isdir(os.path.join(folder, "node_modules", "axe-core")):
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "package.json"), "w", encoding="utf-8") as file:
            file.write('{"private": true}\n')
        done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--save-exact", *PACKAGES], cwd=folder, capture_output=True, text=True, timeout=300)
        if done.returncode:
            skip(f"npm can't install {PACKAGES}: {done.stderr.strip()[-200:]}")
    return folder


def resident_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))


class PageTests(Served):
    def fill(self):
        self.serve()
        for i in range(6):
            self.write(f"mnt/Landing/shelter-{i}.csv", GOOD)
        self.write("mnt/Landing/<b>o'dd.csv", BAD)
        self.assertTrue(self.until(lambda: self.ask("/api/v1/refusals")[1]["refusals"]))
        time.sleep(1.5)

    def measured(self):
        """Until there is a line to draw: samples of two minutes, or of several for a picture."""
        minutes = 5 if SCREENSHOTS else 2
        points = lambda: self.ask("/api/v1/samples?series=StoredBytes&labels=zone%3DLanding")[1]["points"]
        for i in range(minutes):
            self.write(f"mnt/Landing/shelter-{i}.csv", GOOD * (40 * i + 1) if i else GOOD)
            self.assertTrue(self.until(lambda: len(points()) > i, 70), "nothing is measured")
        self.assayfs("run", "weekly", "mnt", code=1)  # one of the files fails again

    def test_in_chromium(self):
        self.fill()
        self.measured()
        folder, mnt = packages(), self.path("mnt")
        spoil = (f"printf 'name\\na\\n' >'{mnt}/Landing/late.csv'; for i in $(seq 100); do "
                 f"'{ASSAYFS}' why --json '{mnt}/Landing/late.csv' | grep -q failed && exit 0; sleep 0.05; done; exit 1")
        said = self.path("said")
        with open(said, "w", encoding="utf-8") as file:  # and no pipe, which a process of the browser could hold
            done = subprocess.run(["node", os.path.join(HERE, "page.mjs"), f"http://{self.host}:{self.port}/", f"'{ASSAYFS}' status --json '{mnt}'", spoil,
                                   SCREENSHOTS], cwd=folder, stdin=subprocess.DEVNULL, stdout=file, stderr=file, timeout=90, check=False)
        with open(said, encoding="utf-8") as file:
            for line in file.read().splitlines():
                self.check(not line.startswith("fault: "), line)
                print(f"       {line}")
        self.check(done.returncode == 0, f"node: {done.returncode}")

    def test_under_wrk_and_slow_clients_it_answers_in_bounded_memory(self):
        self.fill()
        daemon, front = self.daemon(), self.front()
        before = resident_kb(daemon)
        slow = [socket.create_connection((self.host, self.port)) for _ in range(500)]
        load = subprocess.Popen(["wrk", "-t1", "-c64", "-d10s", f"http://{self.host}:{self.port}/api/v1/status"], stdout=subprocess.PIPE, text=True)
        worst, most = 0, 0
        while load.poll() is None:
            for s in slow:
                try:
                    s.send(b"G")
                except OSError:
                    pass
            began = time.monotonic()
            self.assertEqual(self.ask("/healthz")[0], 200)
            worst = max(worst, time.monotonic() - began)
            most = max(most, resident_kb(front))
            time.sleep(0.2)
        for s in slow:
            s.close()
        print("       " + ", ".join(line.strip() for line in load.stdout.read().splitlines() if "Requests/sec" in line or "Non-2xx" in line))
        print(f"       the slowest honest answer {worst:.2f} s; front {most >> 10} MiB, daemon {before >> 10} -> {resident_kb(daemon) >> 10} MiB")
        self.check(worst < 10, f"an honest request took {worst:.1f} s")
        with open(f"/proc/{front}/maps", encoding="utf-8") as file:
            most -= KEPT_BY_SANITIZER_KB if "libasan" in file.read() else 0
        self.check(most < LOADED_KB and resident_kb(daemon) - before < LOADED_KB, "memory is not bounded")
        self.assertEqual(self.ask("/api/v1/status")[0], 200)


if __name__ == "__main__":
    for program in ("chromium", "npm", "node", "wrk"):
        if not shutil.which(program):
            skip(f"no {program}; scripts/setup --services installs it")
    sys.exit(PageTests().run())
