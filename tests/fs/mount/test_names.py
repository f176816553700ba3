#!/usr/bin/env python3
"""What a name in Trusted may come to: governed by a rename above it, by another policy, by way of a link; what may
stand beside its bytes; and paths that are longer than a path may be.

usage: test_names.py ASSAYFS SOURCE
"""
import ctypes
import errno
import os
import subprocess
import sys

from gate import GateTests

RULES = 'Rules = [ RowCount > 2 ]\n'
GOOD = b"name;kind\r\na;cat\r\nb;dog\r\nc;cat\r\n"
BAD = b"name;kind\r\nbad;bad\r\n"
JOBS = """version: 1
datasets:
  - {name: jobs, match: "jobs/*.csv", rules: animals.dqdl}
"""
MISC = """version: 1
datasets:
  - {name: misc, match: "misc/**", rules: animals.dqdl}
"""
BOTH = JOBS + MISC.split("\n", 2)[2]
LIBC = ctypes.CDLL(None, use_errno=True)
UTIME_OMIT = (1 << 30) - 2


class Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("ns", ctypes.c_long)]


class NameTests(GateTests):
    def refuses(self, wanted, call, *arguments):
        try:
            call(*arguments)
        except OSError as error:
            self.check(error.errno == wanted, f"{call.__name__}: {error}")
            return
        self.faults.append(f"{call.__name__}{str(arguments)[:200]} was allowed")

    def read_by_another(self, path):
        """What another process of the same user reads; None for nothing."""
        done = subprocess.run(["cat", self.at(path)], capture_output=True, check=False, timeout=30)
        return done.stdout if done.returncode == 0 else None

    def test_a_directory_with_a_temporary_file_is_not_renamed_to_a_governed_one(self):
        self.mounted(JOBS, RULES)
        self.put("Trusted/tmpdir/x.csv", BAD)
        self.refuses(errno.EPERM, os.rename, self.at("Trusted/tmpdir"), self.at("Trusted/jobs"))
        self.check(self.read_by_another("Trusted/jobs/x.csv") is None, "unjudged bytes under a governed name")
        os.unlink(self.at("Trusted/tmpdir/x.csv"))
        os.rename(self.at("Trusted/tmpdir"), self.at("Trusted/jobs"))
        self.put("Landing/jobs/x.csv", GOOD)
        self.wait_for("Trusted/jobs/x.csv", GOOD)

    def test_a_policy_that_governs_temporary_names_has_them_judged(self):
        self.mounted(MISC, RULES)
        self.put("Trusted/jobs/bad.csv", BAD)
        self.put("Trusted/jobs/good.csv", GOOD)
        self.put("Trusted/jobs/other.txt", BAD)
        writers = [os.open(self.at(f"Trusted/jobs/{name}.csv"), os.O_WRONLY | os.O_CREAT) for name in ("open", "written")]
        for writer in writers:
            os.write(writer, BAD)
        self.check(self.read_by_another("Trusted/jobs/bad.csv") == BAD, "a temporary file is its writer's")
        self.policy(BOTH, RULES)
        self.check(self.read_by_another("Trusted/jobs/bad.csv") is None, "unjudged bytes under a governed name")
        self.check(self.read_by_another("Trusted/jobs/open.csv") is None, "unjudged bytes of a file that is open")
        self.wait_for("Trusted/jobs/good.csv", GOOD)
        self.outcome("Trusted/jobs/bad.csv", "failed")
        os.close(writers[0])  # what it wrote went out under the former policy; it is judged nevertheless
        self.outcome("Trusted/jobs/open.csv", "failed")
        os.pwrite(writers[1], BAD, 0)
        self.refuses(errno.EPERM, os.close, writers[1])
        for name in ("open", "written"):
            self.check(self.read_by_another(f"Trusted/jobs/{name}.csv") is None, "refused, but there")
        self.check(self.read_by_another("Trusted/jobs/other.txt") == BAD, "what no dataset governs is its writer's still")
        self.refuses(errno.EPERM, self.put, "Trusted/jobs/bad.csv", BAD)
        self.put("Landing/jobs/bad.csv", GOOD)
        self.wait_for("Trusted/jobs/bad.csv", GOOD)

    def test_no_link_stands_where_a_dataset_governs_names_below(self):
        self.mounted(BOTH, RULES)
        self.put("Landing/misc/a/lenient.csv", GOOD)
        self.wait_for("Trusted/misc/a/lenient.csv", GOOD)
        for name in ("jobs", "misc/jobs"):
            self.refuses(errno.EPERM, os.symlink, "misc", self.at("Trusted/" + name))
        os.symlink("misc", self.at("Trusted/elsewhere"))
        self.refuses(errno.EPERM, os.rename, self.at("Trusted/elsewhere"), self.at("Trusted/jobs"))
        self.put("Landing/jobs/x.csv", GOOD)
        self.wait_for("Trusted/jobs/x.csv", GOOD)

    def test_attributes_bring_no_bytes_into_trusted(self):
        self.mounted(JOBS, RULES)
        self.put("Landing/jobs/x.csv", GOOD)
        os.setxattr(self.at("Landing/jobs/x.csv"), "user.note", b"of Landing")
        self.wait_for("Trusted/jobs/x.csv", GOOD)
        for path in ("Trusted/jobs/x.csv", "Trusted/jobs"):
            self.refuses(errno.EPERM, os.setxattr, self.at(path), "user.note", b"unjudged" * 1900)
            self.check(os.listxattr(self.at(path)) == [], f"{path}: {os.listxattr(self.at(path))}")
        denied = {record["path"] for record in self.records("--outcome", "denied") if record["event"] == "setxattr"}
        self.check(denied == {"Trusted/jobs/x.csv", "Trusted/jobs"}, f"{denied}")
        file = os.open(self.at("Trusted/jobs/y.csv"), os.O_WRONLY | os.O_CREAT)  # as cp -a does
        os.write(file, GOOD)
        os.setxattr(file, "user.note", b"of a draft")
        os.close(file)
        self.check(self.get("Trusted/jobs/y.csv") == GOOD, "not published")
        self.check(os.listxattr(self.at("Trusted/jobs/y.csv")) == [], "an attribute was published")

    def test_times_of_raw_are_nobodys_to_set_not_even_to_what_they_are(self):
        self.mounted(JOBS, RULES)
        self.put("Landing/jobs/x.csv", GOOD)
        self.wait_for("Trusted/jobs/x.csv", GOOD)
        path = self.at("Raw/jobs/x.csv")
        before = os.stat(path)
        times = (Timespec * 2)(Timespec(0, UTIME_OMIT), Timespec(*divmod(before.st_mtime_ns, 10**9)))
        rc = LIBC.utimensat(-100, os.fsencode(path), times, 0)
        self.check(rc != 0 and ctypes.get_errno() == errno.EPERM, f"utimensat: {rc}, {ctypes.get_errno()}")
        self.assayfs("umount", "mnt")
        self.mount()
        self.check(os.stat(path).st_ctime_ns == before.st_ctime_ns, "ctime has moved")
        denied = [record for record in self.records("--outcome", "denied") if record.get("path") == "Raw/jobs/x.csv"]
        self.check(len(denied) == 1, f"{denied}")

    def test_a_path_of_any_length_is_in_its_records(self):
        self.mounted(JOBS, RULES)
        level, levels = "x" * 203, 25
        whole = "Landing/" + "/".join([level] * levels)
        program = (f"import os\nos.chdir({self.at('Landing')!r})\n"
                   f"for i in range({levels}):\n os.mkdir({level!r}); os.chdir({level!r})\n"
                   "open('old', 'w').write('x'); os.rename('old', 'new'); open('new').read(); os.link('new', 'too')\n"
                   "open('new', 'w').write('y'); os.unlink('new'); os.mkdir('d'); os.rename('d', 'e')\n"
                   "os.chmod('..', 0o500); os.setresuid(65534, 65534, 65534)\ntry: open('none', 'w')\nexcept OSError: pass\n")
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
        self.check(done.returncode == 0, done.stderr)
        met = set()
        for record in self.records():
            if record.get("node", 1) != 1:  # the mount itself
                self.check(record.get("path") != "", f"no path: {record}")
            for field, name in (("path", "old"), ("path2", "new"), ("path", "new"), ("path", "too"), ("path", "d"), ("path2", "e"), ("path", "none")):
                if record.get(field + "_bytes") == len(whole) + 1 + len(name):
                    self.check(record[field] == (whole + "/" + name)[:4096], f"another path: {record}")
                    met.add((record["event"], field))
        self.check({("create", "path"), ("close", "path"), ("rename", "path"), ("rename", "path2"), ("open", "path"),
                    ("link", "path"), ("link", "path2"), ("unlink", "path"), ("mkdir", "path")} <= met, f"{met}")


if __name__ == "__main__":
    sys.exit(NameTests().run())
