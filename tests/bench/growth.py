"""scripts/bench --growth: what a hundred times as many files, and a thousand versions, cost. On assayfs alone.

A vault is filled with N files, in 100 folders. Then the same is done in each: 10,000 more files in a new folder, which
is listed; 10,000 of the N looked up, cold and again; a mount. So only what else the vault holds differs.
"""
import os
import statistics
import subprocess
import time

from filesystems import Failed, drop_caches, run, timed
from report import number, table
from rounds import say

MIB = 1 << 20
PARTS = 4  # that many fill at once, as one can't keep the daemon busy
FOLDERS = 100
LOOKUPS = 10000
RSS_GOAL_MIB = 300
MOUNT_GOAL = 1.0
FACTOR_GOAL = 1.3


class Grown:
    """A vault with so many files: figures by name, three of each."""

    def __init__(self, fs, count, sizes):
        self.fs, self.count, self.sizes = fs, count, sizes
        self.figures, self.memory = {}, 0

    def note(self, name, figure):
        self.figures.setdefault(name, []).append(figure)

    def note_memory(self):
        self.memory = max(self.memory, self.fs.peak_memory())

    def driver_words(self, *words):
        return [os.path.join(self.fs.build, "tests/fs/bench_driver"), *(str(word) for word in words)]

    def driver(self, *words):
        return float(run(*self.driver_words(*words)))

    def part(self, number_of_part):
        return os.path.join(self.fs.work, f"part{number_of_part}")

    def fill(self):
        say(f"growth: {self.count} files")
        self.fs.begin_memory()
        start, fillers = time.perf_counter(), []
        for i in range(PARTS):
            os.mkdir(self.part(i))
            words = self.driver_words("create", self.part(i), FOLDERS // PARTS, self.count // PARTS, 1024)
            fillers.append(subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL))
        if any([filler.wait() for filler in fillers]):
            raise Failed("filling the vault failed")
        self.note("fill, files/s", self.count / (time.perf_counter() - start))
        self.note_memory()

    def remount(self):
        self.note_memory()
        self.fs.unmount()
        drop_caches()
        start = time.perf_counter()
        self.fs.mount()
        self.note("mount, cold, s", time.perf_counter() - start)
        self.fs.begin_memory()

    def look_up(self, name):
        """Names here and there, each once, so that none is answered by the kernel."""
        self.fs.settle()
        each = min(LOOKUPS, self.count) // PARTS
        seconds = sum(self.driver("stat", self.part(i), FOLDERS // PARTS, self.count // PARTS, each) for i in range(PARTS))
        self.note(name, PARTS * each / seconds)

    def measure(self, number_of_round):
        say(f"growth: among {self.count} files, round {number_of_round + 1}")
        folder = os.path.join(self.fs.work, f"new{number_of_round}")
        os.mkdir(folder)
        self.fs.settle()
        seconds = self.driver("create", folder, 1, self.sizes.grown[0], 1024)
        self.note("create 10,000, files/s", self.sizes.grown[0] / seconds)
        self.remount()
        self.look_up("look up, cold, /s")
        drop_caches(names_alone=True)
        self.look_up("look up again, /s")
        self.remount()
        seconds = timed("ls", "-l", os.path.join(folder, "folder000"))
        self.note("ls -l of 10,000, cold, files/s", self.sizes.grown[0] / seconds)
        self.note_memory()


def measure_versions(fs, versions):
    """Seconds of reading the newest: {what: (with one version, with many)}."""
    driver = os.path.join(fs.build, "tests/fs/bench_driver")
    found = {}
    kinds = [("1 MiB, each written anew", MIB, "write"), ("64 MiB, 4 KiB overwritten each time", 64 * MIB, "overwrite")]
    for what, size, change in kinds:
        say(f"growth: {versions} versions of {what}")
        once, often = os.path.join(fs.work, f"{change}-once"), os.path.join(fs.work, f"{change}-often")
        words = ("write", often, size, MIB) if change == "write" else ("overwrite", often)
        for file in (once, often):
            run(driver, "write", file, size, MIB)
        for _ in range(versions - 1):
            run(driver, *words)
        times = {once: [], often: []}
        for _ in range(5):
            for file, seconds in times.items():
                fs.make_cold()
                seconds.append(float(run(driver, "read", file, MIB)))
        found[what] = tuple(statistics.median(times[file]) for file in (once, often))
    return found


def is_time(name):
    return name.endswith(", s")


def growth_rows(small, large):
    for name, figures in small.figures.items():
        a, b = statistics.median(figures), statistics.median(large.figures[name])
        factor = b / a if is_time(name) else a / b
        goal = f"< {MOUNT_GOAL:g} s" if is_time(name) else f"< {FACTOR_GOAL:g}"
        met = b < MOUNT_GOAL if is_time(name) else factor < FACTOR_GOAL
        yield [name, number(a), number(b), f"{factor:.2f}", goal, "met" if met else "not met"]
    a, b = small.memory, large.memory
    met = "met" if b < RSS_GOAL_MIB else "not met"
    yield ["peak memory, MiB", number(a), number(b), f"{b / a:.2f}", f"< {RSS_GOAL_MIB}", met]


def version_rows(found):
    for what, (once, often) in found.items():
        met = "met" if often / once < FACTOR_GOAL else "not met"
        yield [f"read {what}, ms", number(1000 * once), number(1000 * often), f"{often / once:.2f}", f"< {FACTOR_GOAL:g}", met]


def measure_growth(bench):
    """The two tables, as text."""
    grown = []
    for count in bench.sizes.grown:
        with bench.fresh("assayfs") as fs:
            vault = Grown(fs, count, bench.sizes)
            vault.fill()
            for i in range(bench.options.rounds):
                vault.measure(i)
            grown.append(vault)
    with bench.fresh("assayfs") as fs:
        versions = measure_versions(fs, bench.sizes.versions)
    say("")
    bench.figures = {f"{v.count} files": v.figures for v in grown} | {"versions": versions}
    heads = [f"{count:,} files" for count in bench.sizes.grown]
    return (table(list(growth_rows(*grown)), ["", *heads, "factor", "goal", ""]) + "\n\n"
            + table(list(version_rows(versions)), ["", "1 version", f"{bench.sizes.versions:,}", "factor", "goal", ""]))
