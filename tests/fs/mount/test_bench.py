#!/usr/bin/env python3
"""That scripts/bench measures what it says: nullfs tells the truth about names and sizes, the driver does its work, and
the table has a figure for each workload. Speeds are not looked at.

usage: test_bench.py BUILD/tests/fs SOURCE
"""
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

BUILD, SOURCE = sys.argv[1:3]
DRIVER, NULLFS = os.path.join(BUILD, "bench_driver"), os.path.join(BUILD, "nullfs")
BENCH = os.path.join(SOURCE, "scripts", "bench")
SMALL = ["--quick", "--build", os.path.dirname(os.path.dirname(BUILD))]


def drive(*words):
    return float(subprocess.run([DRIVER, *map(str, words)], capture_output=True, text=True, check=True).stdout)


class Scratch(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="assayfs-test-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)


class NullfsTests(Scratch):
    def setUp(self):
        super().setUp()
        self.top = os.path.join(self.folder, "mnt")
        os.mkdir(self.top)
        daemon = subprocess.Popen([NULLFS, self.top], stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.end, daemon)
        while not os.path.ismount(self.top):
            self.assertIsNone(daemon.poll(), "nullfs does not mount")
            time.sleep(0.01)

    def end(self, daemon):
        with contextlib.suppress(subprocess.CalledProcessError):
            subprocess.run(["umount", self.top], check=True)
        words = daemon.communicate(timeout=30)[1]
        self.assertEqual((daemon.returncode, words), (0, ""))

    def at(self, *names):
        return os.path.join(self.top, *names)

    def forget(self):
        """The kernel knows nothing any more: what is asked then, nullfs answers."""
        os.sync()
        with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
            file.write("3")

    def names(self, *where):
        return sorted(os.listdir(self.at(*where)))

    def test_a_file_keeps_its_size_and_times_and_nothing_else(self):
        drive("write", self.at("file"), 10000, 4096)
        os.utime(self.at("file"), (1, 2))
        self.forget()
        about = os.stat(self.at("file"))
        self.assertEqual((about.st_size, about.st_atime, about.st_mtime), (10000, 1, 2))
        with open(self.at("file"), "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            self.assertEqual(file.read(), bytes(10000))
        os.truncate(self.at("file"), 10)
        self.assertEqual(os.stat(self.at("file")).st_size, 10)

    def test_names_come_go_and_are_renamed(self):
        os.mkdir(self.at("a"))
        drive("write", self.at("a", "file"), 5, 5)
        drive("write", self.at("other"), 6, 6)
        os.rename(self.at("a", "file"), self.at("other"))
        self.assertEqual((self.names(), self.names("a")), (["a", "other"], []))
        self.assertEqual(os.stat(self.at("other")).st_size, 5)
        os.rmdir(self.at("a"))
        os.unlink(self.at("other"))
        self.assertEqual(self.names(), [])
        self.assertRaises(FileNotFoundError, os.stat, self.at("other"))

    def test_a_long_directory_is_listed_whole_and_removed_while_it_is_read(self):
        drive("create", self.top, 2, 6000, 0)
        self.assertEqual(len(self.names("folder001")), 3000)
        os.unlink(self.at("folder001", "file0000001"))
        self.assertEqual(len(self.names("folder001")), 2999)
        self.assertRaises(OSError, os.rmdir, self.at("folder001"))
        subprocess.run(["rm", "-r", self.at("folder000"), self.at("folder001")], check=True)
        self.assertEqual(self.names(), [])


class DriverTests(Scratch):
    def at(self, name):
        return os.path.join(self.folder, name)

    def test_what_it_wrote_is_there_and_differs_from_place_to_place(self):
        drive("write", self.at("file"), 3 << 20, 4096)
        with open(self.at("file"), "rb") as file:
            pages = [file.read(4096) for _ in range(768)]
        self.assertEqual(len(set(pages)), 768)
        drive("randwrite", self.at("file"), 100)
        drive("overwrite", self.at("file"))
        self.assertEqual(os.stat(self.at("file")).st_size, 3 << 20)

    def test_files_are_spread_over_folders_and_appends_are_whole(self):
        drive("create", self.folder, 3, 9, 1024)
        sizes = [os.stat(os.path.join(top, name)).st_size for top, _, names in os.walk(self.folder) for name in names]
        self.assertEqual(sizes, 9 * [1024])
        drive("append", self.at("log"), 2, 5)
        self.assertEqual([os.stat(self.at(f"log.{i}")).st_size for i in (0, 1)], 2 * [5 * 4096])

    def test_what_fails_is_an_error_and_no_figure(self):
        for words in (["read", self.at("none"), 4096], ["randread", self.at("none"), 1], ["read"], ["nonsense"]):
            done = subprocess.run([DRIVER, *map(str, words)], capture_output=True, text=True, check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertEqual(done.stdout, "")


class TableTests(Scratch):
    """What is said of figures that are made up."""

    def row(self, name, processor=None, **speeds):
        """A figure is the median of three rounds, or the figures of all rounds are given."""
        figures = os.path.join(self.folder, "figures.json")
        rounds = {fs.replace("_", "-"): v if isinstance(v, list) else [v / 2, v, 9 * v] for fs, v in speeds.items()}
        with open(figures, "w", encoding="utf-8") as file:
            json.dump({"figures": {name: rounds}, "memory": {}, "processor": {name: processor} if processor else {}}, file)
        done = subprocess.run([BENCH, "--from", figures], capture_output=True, text=True, check=True)
        return [cell.strip() for cell in done.stdout.splitlines()[-1].split("|")[1:-1]]

    def test_a_goal_counts_against_the_better_of_the_others(self):
        row = self.row("create", native=500, nothing=200, gocryptfs=50, securefs=100, assayfs=180)
        self.assertEqual(row[2:], ["500", "200", "50.0", "100", "180", "1.80x", "0.90n", "1x, 1.5x gocryptfs, 0.85n", "met", "–"])
        row = self.row("create", native=500, nothing=200, gocryptfs=50, securefs=100, assayfs=80)
        self.assertEqual(row[7:11], ["0.80x", "0.40n", "1x, 1.5x gocryptfs, 0.85n", "not met: 1x, 0.85n"])

    def test_where_the_disk_is_the_limit_no_share_is_judged(self):
        row = self.row("readall", native=160, nothing=200, gocryptfs=50, securefs=100, assayfs=140)
        self.assertEqual(row[8:11], ["0.70n", "1.3x", "met"])
        row = self.row("append8", native=160, securefs=100, assayfs=140)
        self.assertEqual(row[9:11], ["4x", "not met: 4x (native: 1.6x)"])

    def test_what_must_be_small_is_judged_by_itself(self):
        self.assertEqual(self.row("version", assayfs=4.9)[9:11], ["< 5 ms", "met"])
        self.assertEqual(self.row("version", assayfs=5.1)[9:11], ["< 5 ms", "not met: < 5 ms"])

    def test_the_audit_logs_cost_is_time(self):
        self.assertEqual(self.row("create", assayfs=100, no_audit=104)[-3:], ["4.0% ± 0.0%", "–", "met"])
        self.assertEqual(self.row("version", assayfs=4.4, no_audit=4)[-3:], ["10.0% ± 0.0%", "–", "not met: < 5%"])

    def test_and_told_by_pairs_of_the_same_rounds(self):
        row = self.row("create", assayfs=[100, 50, 200], no_audit=[104, 53, 204], processor={"assayfs": [3], "no-audit": [2]})
        self.assertEqual(row[-3:], ["4.0% ± 1.2%", "50.0%", "met"])
        row = self.row("create", assayfs=[100], no_audit=[110], processor={"assayfs": [3], "no-audit": [0]})
        self.assertEqual(row[-3:], ["10.0%", "–", "not met: < 5%"])
        done = self.row("create", assayfs=[100], no_audit=[110, 120])
        self.assertNotIn("20.0%", done)  # rounds that have no partner say nothing


class BenchTests(Scratch):
    def bench(self, *words):
        return subprocess.run([BENCH, *words, "--dir", self.folder, "--tmpfs", self.folder], capture_output=True, text=True,
                              check=False)

    def test_the_table_has_each_workload_on_each_file_system(self):
        figures = os.path.join(self.folder, "figures.json")
        done = self.bench(*SMALL, "--peers", "native,nothing,assayfs", "--only", "files,copies", "--json", figures)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        with open(figures, encoding="utf-8") as file:
            kept = json.load(file)["figures"]
        for name in ("create", "readall", "ls", "find", "rm"):
            self.assertEqual(sorted(kept[name]), ["assayfs", "native", "nothing"])
            self.assertIn(f"\n| {name} ", done.stdout)
        self.assertEqual(sorted(kept["copy"]), ["assayfs"])
        self.assertEqual(self.bench("--from", figures).stdout, done.stdout)
        self.assertEqual(os.listdir(self.folder), ["figures.json"], "all is cleared away")

    def test_what_it_does_not_know_is_refused(self):
        for words in (["--only", "nonsense"], ["--peers", "ext9"], ["--nonsense"]):
            self.assertEqual(self.bench(*words).returncode, 2, words)


if __name__ == "__main__":
    if not os.path.exists("/dev/fuse") or os.geteuid() != 0 or not os.access("/proc/sys/vm/drop_caches", os.W_OK):
        print("skipped: needs root, /dev/fuse and a kernel whose caches it may drop")
        sys.exit(77)
    unittest.main(argv=sys.argv[:1])
