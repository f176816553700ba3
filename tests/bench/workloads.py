"""What scripts/bench measures, and its goals. docs/performance.md tells it in words."""
import contextlib
import math
import os
import random
import statistics
import tarfile
import tempfile

from filesystems import Failed, disk_bytes, run, timed

MIB = 1 << 20


class Workload:
    """One row of the table. `better`: times the better of the others; `gocryptfs`: times that one; `share`: of nothing.
    `below`: the figure itself, which must be less."""

    def __init__(self, name, words, unit, better=None, gocryptfs=None, share=None, below=None):
        self.name, self.words, self.unit = name, words, unit
        self.better, self.gocryptfs, self.share, self.below = better, gocryptfs, share, below


WORKLOADS = {w.name: w for w in [
    Workload("seqwrite", "write 2 GiB in calls of 1 MiB, fsync", "MB/s", better=1.7, share=0.6),
    Workload("seqread", "read it, cold, in calls of 1 MiB", "MB/s", better=1.4, share=0.5),
    Workload("seqwrite-tmpfs", "the same write, all in memory", "MB/s", better=1.7, share=0.6),
    Workload("seqread-tmpfs", "the same read, all in memory", "MB/s", better=1.4, share=0.5),
    Workload("write4k", "write 1 GiB in calls of 4 KiB, fsync", "MB/s", better=3, share=0.6),
    Workload("write4k-tmpfs", "the same, all in memory", "MB/s", better=3, share=0.6),
    Workload("create", "create 20,000 files of 1 KiB", "files/s", better=1.0, gocryptfs=1.5, share=0.85),
    Workload("readall", "read them, cold", "files/s", better=1.3, share=0.85),
    Workload("ls", "ls -lR of them, cold", "files/s", better=1.5),
    Workload("find", "find -size +1k, cold", "files/s", better=1.5),
    Workload("rm", "rm -r, cold", "files/s", better=1.5),
    Workload("untar", "untar 30,000 files, 14 KiB each on average", "files/s", better=1.5),
    Workload("md5sum", "md5sum of them, cold", "files/s", better=1.5),
    Workload("randwrite", "write 4 KiB 65,536 times into 256 MiB, fsync", "/s", better=1.5, share=0.35),
    Workload("randread", "read 4 KiB 16,384 times of it, cold", "/s", better=1.0, share=0.8),
    Workload("randwrite-tmpfs", "the same writes, all in memory", "/s", better=1.5, share=0.35),
    Workload("randread-tmpfs", "the same reads, all in memory", "/s", better=1.0, share=0.8),
    Workload("append1", "append 4 KiB and fsync, one writer", "/s", better=1.0),
    Workload("append8", "the same, eight writers", "/s", better=4),
    Workload("version", "overwrite 4 KiB in 1 GiB, close: a version", "ms", below=5),
    Workload("version-disk", "what that adds on disk", "KiB", below=64),
    Workload("version-synced", "the same, synced after each, until a checkpoint", "KiB"),
    Workload("version-kept", "what of that stays after the unmount", "KiB", below=64),
    Workload("copy", "cp of 1 GiB beside it", "ms", below=50),
]}


class Sizes:
    """How much a scenario does."""

    def __init__(self, quick):
        self.sequential = (32 if quick else 2048) * MIB
        self.small_calls = (16 if quick else 1024) * MIB
        self.random = (8 if quick else 256) * MIB
        self.random_writes, self.random_reads = (2048, 512) if quick else (65536, 16384)
        self.files, self.folders = (400, 4) if quick else (20000, 20)
        self.tree = 300 if quick else 30000
        self.appends1, self.appends8 = (20, 10) if quick else (500, 250)
        self.large = (16 if quick else 1024) * MIB
        self.overwrites = 3 if quick else 100
        self.grown = (200, 2000) if quick else (10000, 1000000)
        self.versions = 20 if quick else 1000


class Run:
    """A scenario on one fresh file system: its steps note figures."""

    def __init__(self, fs, sizes, bench, note):
        self.fs, self.sizes, self.bench, self.note = fs, sizes, bench, note

    def path(self, name):
        return os.path.join(self.fs.work, name)

    def driver(self, *words):
        return float(run(os.path.join(self.fs.build, "tests/fs/bench_driver"), *words))

    @contextlib.contextmanager
    def step(self, name):
        """Before: nothing is on its way to the disk. After: what the daemon needed is noted."""
        self.fs.settle()
        self.fs.begin_memory()
        before = self.fs.processor_seconds()
        yield
        self.note(name, memory=self.fs.peak_memory(), processor=self.fs.processor_seconds() - before)

    def rate(self, name, amount, measure):
        with self.step(name):
            self.note(name, figure=amount / measure())

    def cold_rate(self, name, amount, measure):
        self.fs.make_cold()
        self.rate(name, amount, measure)


def run_sequential(r, suffix=""):
    size, file = r.sizes.sequential, r.path("large")
    r.rate("seqwrite" + suffix, size / 1e6, lambda: r.driver("write", file, size, MIB))
    r.cold_rate("seqread" + suffix, size / 1e6, lambda: r.driver("read", file, MIB))


def run_small_calls(r, suffix=""):
    size, file = r.sizes.small_calls, r.path("large")
    r.rate("write4k" + suffix, size / 1e6, lambda: r.driver("write", file, size, 4096))


def run_files(r):
    files, folders, top = r.sizes.files, r.sizes.folders, r.path("files")
    os.mkdir(top)
    r.rate("create", files, lambda: r.driver("create", top, folders, files, 1024))
    r.cold_rate("readall", files, lambda: r.driver("readall", top, folders, files))
    r.cold_rate("ls", files, lambda: timed("ls", "-lR", top))
    r.cold_rate("find", files, lambda: timed("find", top, "-size", "+1k"))
    r.cold_rate("rm", files, lambda: timed("rm", "-r", top))


def run_tree(r):
    tar, top = r.bench.tar(), r.path("tree")
    os.mkdir(top)
    r.rate("untar", r.sizes.tree, lambda: timed("tar", "-xf", tar, "-C", top))
    words = f"find '{top}' -type f -print0 | xargs -0 md5sum"
    r.cold_rate("md5sum", r.sizes.tree, lambda: timed("sh", "-c", words))


def run_random(r, suffix=""):
    file = r.path("random")
    r.driver("write", file, r.sizes.random, MIB)
    calls = r.sizes.random_writes
    r.rate("randwrite" + suffix, calls, lambda: r.driver("randwrite", file, calls))
    calls = r.sizes.random_reads
    r.cold_rate("randread" + suffix, calls, lambda: r.driver("randread", file, calls))


def run_append(r):
    file, once, each = r.path("appended"), r.sizes.appends1, r.sizes.appends8
    r.rate("append1", once, lambda: r.driver("append", file, 1, once))
    r.rate("append8", 8 * each, lambda: r.driver("append", file + "s", 8, each))


def run_versions(r):
    file = r.path("large")
    r.driver("write", file, r.sizes.large, MIB)
    r.fs.sync()
    with r.step("version"):
        times = [r.driver("overwrite", file) for _ in range(r.sizes.overwrites)]
    r.note("version", figure=1000 * statistics.median(times))
    r.fs.unmount()
    unmounted = disk_bytes(r.fs.store)
    for name, synced in (("version-disk", False), ("version-synced", True)):
        r.fs.mount()
        r.fs.sync()
        mounted = disk_bytes(r.fs.store)
        for _ in range(r.sizes.overwrites):
            r.driver("overwrite", file)
            if synced:
                r.fs.sync()
        r.fs.sync()
        r.note(name, figure=(disk_bytes(r.fs.store) - mounted) / 1024 / r.sizes.overwrites)
        r.fs.unmount()
    r.note("version-kept", figure=(disk_bytes(r.fs.store) - unmounted) / 1024 / 2 / r.sizes.overwrites)
    r.fs.mount()


def run_copy(r):
    file = r.path("large")
    r.driver("write", file, r.sizes.large, MIB)
    with r.step("copy"):
        r.note("copy", figure=1000 * timed("cp", "--reflink=auto", file, file + ".copy"))
    r.fs.make_cold()
    if run("cmp", file, file + ".copy"):
        raise Failed("the copy differs")


class Scenario:
    """Steps on one fresh file system. `everywhere`: on all file systems, else on assayfs alone."""

    def __init__(self, name, steps, workloads, on_tmpfs=False, everywhere=True):
        self.name, self.steps, self.workloads = name, steps, workloads
        self.on_tmpfs, self.everywhere = on_tmpfs, everywhere


SCENARIOS = [
    Scenario("sequential", run_sequential, ["seqwrite", "seqread"]),
    Scenario("sequential-tmpfs", lambda r: run_sequential(r, "-tmpfs"), ["seqwrite-tmpfs", "seqread-tmpfs"], on_tmpfs=True),
    Scenario("small-calls", run_small_calls, ["write4k"]),
    Scenario("small-calls-tmpfs", lambda r: run_small_calls(r, "-tmpfs"), ["write4k-tmpfs"], on_tmpfs=True),
    Scenario("files", run_files, ["create", "readall", "ls", "find", "rm"]),
    Scenario("tree", run_tree, ["untar", "md5sum"]),
    Scenario("random", run_random, ["randwrite", "randread"]),
    Scenario("random-tmpfs", lambda r: run_random(r, "-tmpfs"), ["randwrite-tmpfs", "randread-tmpfs"], on_tmpfs=True),
    Scenario("appends", run_append, ["append1", "append8"]),
    Scenario("versions", run_versions, ["version", "version-disk", "version-synced", "version-kept"], everywhere=False),
    Scenario("copies", run_copy, ["copy"], everywhere=False),
]


# ---- a tree as large as a kernel's ----


def tree_sizes(count):
    """Sizes of files: median 4 KiB, mean 14 KiB, as in a kernel's sources. The same each time."""
    chance = random.Random(1)
    spread = math.sqrt(2 * math.log(14 / 4))
    return [min(int(chance.lognormvariate(math.log(4096), spread)), 4 * MIB) for _ in range(count)]


def make_tar(path, count):
    noise = random.Random(2).randbytes(8 * MIB)
    folder = os.path.dirname(path)
    with tarfile.open(path, "w") as tar, tempfile.TemporaryDirectory(dir=folder) as scratch:
        piece = os.path.join(scratch, "piece")
        for number, size in enumerate(tree_sizes(count)):
            at = number * 4099 % (4 * MIB)
            with open(piece, "wb") as file:
                file.write(noise[at : at + size])
            tar.add(piece, f"part{number // 1000:03}/section{number // 16:05}/source{number:06}.c")
