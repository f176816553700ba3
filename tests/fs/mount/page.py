#!/usr/bin/env python3
"""The page in a real Chromium: what it shows, how soon, for whom; and the HTTP address under load.

usage: page.py ASSAYFS SOURCE [--screenshots DIR]

Needs chromium, npm and wrk (scripts/setup --services); playwright-core and axe-core come from npm, in exactly these versions, into the folder of the build.
The pictures of --screenshots show a vault with real files, and a day and a month that were put into it (fill_samples).
"""
import os
import random
import shutil
import socket
import subprocess
import sys
import time

from gate import ASSAYFS, spoil, vancouver
from http_served import BAD, GOOD, Served

PACKAGES = ["playwright-core@1.48.2", "axe-core@4.10.2"]
SCREENSHOTS = os.path.abspath(sys.argv[sys.argv.index("--screenshots") + 1]) if "--screenshots" in sys.argv else ""
HERE = os.path.dirname(os.path.abspath(__file__))
LOADED_KB = 200 << 10  # resident, at most, of either process under load
KEPT_BY_SANITIZER_KB = 500 << 10  # of memory that was given back


STORY = """version: 1
datasets:
  - {name: animal-lost-and-found, match: "*.csv", rules: animals.dqdl, nulls: empty, settle: 100ms}
workflows:
  - {name: arrive, dataset: animal-lost-and-found, from: Landing, to: Trusted, on: close}
  - {name: project-anilost24-dqdp, dataset: animal-lost-and-found, from: Raw, to: Trusted, cron: "59 23 * * 0", timezone: America/Vancouver}
alarms:
  - {name: project-anilost2024-alarm, metric: EstimatedCharges, above: 38, unit: USD}
  - {name: refusals, metric: Verdicts, dimensions: {dataset: animal-lost-and-found, outcome: failed}, at_least: 1, period: 1m, missing: ignore}
costs: {profile: s3-standard-ca-central-1}
"""
STORY_RULES = """Rules = [
    RowCount > 10000,
    ColumnCount = 6,
    Completeness "Name" > 0.85,
    ColumnValues "State" in ["Lost", "Matched", "Found", NULL]
]
"""
RAW = 2  # the zone, in backend/charge.h


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
        """Until there is a line to draw: samples of two minutes."""
        points = lambda: self.ask("/api/v1/samples?series=StoredBytes&labels=zone%3DLanding")[1]["points"]
        for i in range(2):
            self.write(f"mnt/Landing/shelter-{i}.csv", GOOD * (40 * i + 1) if i else GOOD)
            self.assertTrue(self.until(lambda: len(points()) > i, 70), "nothing is measured")
        self.assayfs("run", "weekly", "mnt", code=1)  # one of the files fails again

    def storied(self):
        """A vault for pictures: real files, and before them a month of charges and a day of samples that lead up to it."""
        self.mounted(STORY, STORY_RULES)
        content = vancouver()[0]
        head, _, rows = content.partition(b"\r\n")
        for day in range(18, 28):
            whole = head + b"\r\n" + rows * 12
            self.put(f"Landing/lost-and-found-2026-11-{day}.csv", spoil(whole) if day in (21, 25) else whole)
        self.outcome("Landing/lost-and-found-2026-11-27.csv", "passed", seconds=60)
        self.assayfs("umount", "mnt")
        now, stored = int(time.time()) // 60 * 60, len(content) * 120
        self.filled([f"charge {RAW}:0 {now - 60} {2 * stored * 600}", f"charge {RAW}:1 {now - 60} {2 * stored * 60}", f"charge {RAW}:4 {now - 60} 2600"])
        self.mount("--http", "127.0.0.1:0")
        self.find()
        charged = self.ask("/api/v1/costs")[1]["now"]
        self.assayfs("umount", "mnt")
        self.filled(self.history(now, stored, charged))
        self.mount("--http", "127.0.0.1:0")
        self.find()
        self.assayfs("run", "project-anilost24-dqdp", "mnt", code=1)  # two of the ten are spoilt
        points = lambda: self.ask(f"/api/v1/samples?series=StoredBytes&labels=zone%3DRaw&from=@{now + 1}&to=@{now + 600}")[1]["points"]
        self.assertTrue(self.until(lambda: len(points()) >= 2, 150), "nothing is measured")

    @staticmethod
    def history(now, stored, charged):
        rng, lines, share = random.Random(7), [], 0.62
        for minute in range(-1440, 0):
            at = now + 60 * minute
            share += (0.38 / 10) * (minute % 144 == 0)
            lines += [f"StoredBytes zone={zone} {at} {stored * share * f:.0f}" for zone, f in (("Landing", 1.0), ("Raw", 1.0), ("Trusted", 0.8))]
            lines.append(f"EstimatedCharges - {at} {charged * (1 + 0.04 * minute / 1440)}")
            if minute % 48 == 0:
                lines.append(f"QualityScore dataset=animal-lost-and-found {at} {rng.choice([100, 100, 100, 100, 75, 50])}")
        return lines

    def filled(self, lines):
        program = os.path.join(os.environ["ASSAYFS_BUILD"], "tests", "fs", "fill_samples")
        subprocess.run([program, self.path("v"), "correct horse"], input="".join(line + "\n" for line in lines), text=True, check=True, timeout=60)

    def test_in_chromium(self):
        if SCREENSHOTS:
            self.storied()
        else:
            self.fill()
            self.measured()
        folder, mnt = packages(), self.path("mnt")
        spoil = (f"printf 'name\\na\\n' >'{mnt}/Landing/late.csv'; for i in $(seq 100); do "
                 f"'{ASSAYFS}' why --json '{mnt}/Landing/late.csv' | grep -q failed && exit 0; sleep 0.05; done; exit 1")
        said = self.path("said")
        with open(said, "w", encoding="utf-8") as file:  # and no pipe, which a process of the browser could hold
            done = subprocess.run(["node", os.path.join(HERE, "page.mjs"), f"http://{self.host}:{self.port}/", ASSAYFS, mnt, spoil, SCREENSHOTS], cwd=folder, stdin=subprocess.DEVNULL, stdout=file, stderr=file, timeout=120, check=False)
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
