#!/usr/bin/env python3
"""What somebody tries who means ill, or whose program is unusual: roles, names in Trusted, closes by other threads.

usage: test_abuse.py ASSAYFS SOURCE
"""
import ctypes
import json
import os
import shutil
import subprocess
import sys
import threading
import time

from cli import ASSAYFS, Tests

if not os.path.exists("/dev/fuse"):
    print("skipped: /dev/fuse is missing")
    sys.exit(77)

CHEAP = ["--argon-mem", "1024", "--argon-ops", "1"]
GOOD = b"name,kind\na,cat\nb,dog\nc,cat\n"
BAD = b"name,kind\na,cat\nb,BAD\nc,cat\n"
POLICY = """version: 1
datasets:
  - {name: pets, match: "pets/*.csv", rules: pets.dqdl}
  - {name: lax, match: "lax/*.csv", rules: lax.dqdl}
"""
ROLES = """roles: {steward: {users: [root]}, ingester: {users: ["65531"], groups: ["65541"]}, analyst: {users: ["65532"]}}
"""


class AbuseTests(Tests):
    def mounted(self, policy=POLICY, options=()):
        self.write("pass", "correct horse\n")
        self.assayfs("init", *CHEAP, "--passfile", "pass", "v")
        os.makedirs(self.path("mnt"), exist_ok=True)
        self.assayfs("mount", *options, "--passfile", "pass", "v", "mnt")
        self.mnt = self.path("mnt")
        os.makedirs(self.path("policy"), exist_ok=True)
        self.write("policy/pets.dqdl", 'Rules = [ RowCount > 2, ColumnValues "kind" in ["cat", "dog"] ]\n')
        self.write("policy/lax.dqdl", "Rules = [ RowCount > 2 ]\n")
        self.policy(policy)

    def policy(self, policy):
        self.write("policy/policy.yaml", policy)
        self.assayfs("policy", "apply", "policy", "mnt")

    def clean_up(self):
        with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
            if f" {self.path('mnt')} " not in mounts.read():
                return
        self.unmount(self.path("mnt"))

    def at(self, path):
        return os.path.join(self.mnt, path)

    def write_trusted(self, path, content):
        os.makedirs(os.path.dirname(self.at(path)), exist_ok=True)
        with open(self.at(path), "wb") as file:
            file.write(content)

    def refused(self, error, words, call, *arguments):
        try:
            call(*arguments)
            self.faults.append(f"{words}: was allowed")
        except error:
            pass
        except OSError as other:
            self.faults.append(f"{words}: {other}")

    def closed_by_another_thread(self, path, content):
        """What close(2) says in a thread that did not open the file, while the one that did lives on."""
        os.makedirs(os.path.dirname(self.at(path)), exist_ok=True)
        fd = os.open(self.at(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.write(fd, content)
        said = []

        def close():
            try:
                os.close(fd)
                said.append(0)
            except OSError as error:
                said.append(error.errno)

        thread = threading.Thread(target=close)
        thread.start()
        thread.join()
        return said[0]

    def test_a_close_by_another_thread_is_the_writers_own(self):
        self.mounted()
        self.check(self.closed_by_another_thread("Trusted/pets/a.csv", GOOD) == 0, "a good file is refused")
        self.check(os.path.exists(self.at("Trusted/pets/a.csv")), "what close let pass is not there")
        self.check(self.closed_by_another_thread("Trusted/pets/b.csv", BAD) == 1, "close does not say EPERM")
        self.check(not os.path.exists(self.at("Trusted/pets/b.csv")), "a bad file is there")

    def test_a_governed_name_is_no_symbolic_link(self):
        self.mounted()
        self.write_trusted("Trusted/lax/bad.csv", BAD)
        os.mkdir(self.at("Trusted/pets"))
        os.symlink("inner", self.at("Trusted/pets/link"))  # names that nobody governs may be links
        self.refused(PermissionError, "a link under a governed name", os.symlink, "x", self.at("Trusted/pets/a.csv"))
        self.refused(PermissionError, "a link renamed to a governed name", os.rename, self.at("Trusted/pets/link"),
                     self.at("Trusted/pets/a.csv"))
        self.write_trusted("Trusted/pets/a.csv", GOOD)
        self.refused(PermissionError, "a link renamed over a published file", os.rename,
                     self.at("Trusted/pets/link"), self.at("Trusted/pets/a.csv"))
        os.rename(self.at("Trusted/pets/link"), self.at("Trusted/pets/other"))
        with open(self.at("Trusted/pets/a.csv"), "rb") as file:
            self.check(file.read() == GOOD, "the published file is another")

    def test_closes_that_wait_for_their_verdicts_hold_up_nobody_else(self):
        self.mounted()
        big = b"name,kind\n" + b"a,cat\nb,dog\n" * 100000  # beyond a small file: one is checked at a time
        os.makedirs(self.at("Trusted/pets"))
        files = [open(self.at(f"Trusted/pets/{i}.csv"), "wb", buffering=0) for i in range(40)]
        for file in files:
            file.write(big)
        done = []

        def close(file):
            try:
                file.close()
                done.append(file.name)
            except OSError as error:
                self.faults.append(f"{file.name}: {error}")

        threads = [threading.Thread(target=close, args=(file,)) for file in files]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        before = len(done)
        with open(self.at("Landing/other.txt"), "wb") as file:
            file.write(b"words")
        meanwhile = len(done) - before
        for thread in threads:
            thread.join()
        self.check(before < 20, "the checks were done too soon to tell")
        self.check(meanwhile <= 4, f"a write to Landing waited for {meanwhile} verdicts")
        self.check(len(os.listdir(self.at("Trusted/pets"))) == 40, "not all were published")

    def try_as(self, uid, gid, script):
        """0 when the shell script ends well as that user."""
        done = subprocess.run(["setpriv", "--reuid", str(uid), "--regid", str(gid), "--clear-groups", "sh", "-c", script],
                              capture_output=True, check=False, cwd="/", timeout=60)
        return done.returncode

    def test_who_lacks_the_role_gets_eacces_and_a_record(self):
        if os.getuid() != 0 or not shutil.which("setpriv"):
            return
        os.chmod(self.directory, 0o755)
        self.mounted(options=("-o", "allow_other"))
        for zone in ("Landing", "Trusted"):
            os.chmod(self.at(zone), 0o777)
        self.write_trusted("Trusted/pets/a.csv", GOOD)
        self.write_trusted("Landing/open.txt", b"words")
        os.chmod(self.at("Landing/open.txt"), 0o666)
        ingester, analyst, other, member = (65531, 65531), (65532, 65532), (65533, 65533), (65533, 65541)
        reads = {"Landing": f"cat {self.at('Landing/open.txt')}", "Trusted": f"cat {self.at('Trusted/pets/a.csv')}",
                 "list": f"ls {self.at('Landing')}"}
        writes = f"echo x >>{self.at('Landing/open.txt')} && touch {self.at('Landing')}/by-$(id -u)-$(id -g)"
        self.check(self.try_as(*other, writes) == 0, "without roles the mode bits decide")
        self.policy(POLICY + ROLES)
        for who, script, wanted in ((ingester, reads["Landing"], 0), (ingester, writes, 0), (member, writes, 0),
                                    (ingester, reads["Trusted"], 1), (analyst, reads["Trusted"], 0),
                                    (analyst, reads["Landing"], 1), (analyst, reads["list"], 2), (analyst, writes, 2),
                                    (other, reads["Landing"], 1), (other, reads["Trusted"], 1),
                                    (analyst, f"cat {self.at('.assayfs/versions/Landing/open.txt/1')}", 1),
                                    (ingester, f"cat {self.at('.assayfs/versions/Landing/open.txt/1')}", 0),
                                    (analyst, f"ls {self.at('.assayfs/verdicts/Landing')}", 2),
                                    (ingester, f"cat {self.at('.assayfs/verdicts/Trusted/pets/a.csv.json')}", 1),
                                    (analyst, f"cat {self.at('.assayfs/verdicts/Trusted/pets/a.csv.json')}", 0),
                                    (ingester, f"ls {self.at('.assayfs/at/now/Trusted')}", 2),
                                    (analyst, f"ls {self.mnt}", 0), (ingester, f"ls {self.at('Raw')}", 2),
                                    (analyst, f"touch {self.at('Trusted/tmp')}", 1),
                                    (other, f"chmod 600 {self.at('Landing')}/by-65533-65533", 1)):
            got = self.try_as(*who, script)
            self.check(got == wanted, f"{who}: {script}: exit status {got}, not {wanted}")
        denied = [json.loads(line) for line in
                  self.assayfs("log", "--json", "--outcome", "denied", "--user", "65533", "mnt").out.splitlines()]
        self.check({record["path"] for record in denied} >= {"Landing/open.txt", "Trusted/pets"}, f"{denied}")

    def test_a_position_in_the_hidden_tree_that_is_none_shows_nothing_else(self):
        self.mounted()
        libc = ctypes.CDLL(None, use_errno=True)
        names = set(os.listdir(self.at(".assayfs"))) | {".", ".."}
        fd = os.open(self.at(".assayfs"), os.O_RDONLY | os.O_DIRECTORY)
        for offset in [*range(1, 400), 1 << 40]:
            os.lseek(fd, offset, os.SEEK_SET)
            buffer = ctypes.create_string_buffer(65536)
            size = libc.syscall(217, fd, buffer, len(buffer))  # getdents64 of x86-64
            self.check(size >= 0, f"at {offset}: errno {ctypes.get_errno()}")
            at = 0
            while at < size:
                length = int.from_bytes(buffer.raw[at + 16:at + 18], "little")
                name = buffer.raw[at + 19:at + length].split(b"\0")[0].decode(errors="replace")
                self.check(name in names, f"at {offset}: {name!r}")
                at += length
        os.close(fd)

    def test_commands_go_no_further_than_the_modes_of_the_way(self):
        if os.getuid() != 0 or not shutil.which("setpriv"):
            return
        os.chmod(self.directory, 0o755)
        self.mounted(POLICY + ROLES, ("-o", "allow_other"))
        os.makedirs(self.at("Landing/private"))
        os.makedirs(self.at("Landing/shared"))
        for path in ("private/a.csv", "shared/b.csv", "shared/gone.csv"):
            for content in (GOOD, BAD):
                with open(self.at("Landing/" + path), "wb") as file:
                    file.write(content)
            os.chmod(self.at("Landing/" + path), 0o600 if "gone" in path else 0o666)
        with open(self.at("Landing/shared/gone.csv"), "ab") as file:
            file.write(b"x")
        self.assayfs("sync", "mnt")
        os.unlink(self.at("Landing/shared/gone.csv"))
        os.chmod(self.at("Landing/private"), 0o700)
        for words, path, wanted in (("versions", "Landing/private/a.csv", 6), ("why", "Landing/private/a.csv", 6),
                                    ("restore", "Landing/private/a.csv@1", 6), ("restore", "Raw/x.csv@1", 1),
                                    ("versions", "Landing/shared/b.csv", 0), ("restore", "Landing/shared/b.csv@1", 0)):
            done = subprocess.run(["setpriv", "--reuid", "65531", "--regid", "65531", "--clear-groups", ASSAYFS, words,
                                   self.at(path)], capture_output=True, check=False, cwd="/", timeout=60)
            self.check(done.returncode == wanted, f"{words} {path}: {done.returncode} {done.stderr.decode()}")
        with open(self.at("Landing/private/a.csv"), "rb") as file:
            self.check(file.read() == BAD, "a file behind a closed directory was restored")
        gone = subprocess.run(["setpriv", "--reuid", "65531", "--regid", "65531", "--clear-groups", ASSAYFS, "versions",
                               "--json", self.at("Landing/shared/gone.csv")], capture_output=True, check=False, cwd="/")
        self.check(b'"size": 29' not in gone.stdout and b'"size":29' not in gone.stdout, f"{gone.stdout}")
        denied = [json.loads(line) for line in
                  self.assayfs("log", "--json", "--outcome", "denied", "--user", "65531", "mnt").out.splitlines()]
        self.check({record["event"] for record in denied} >= {"versions", "why", "restore"}, f"{denied}")


if __name__ == "__main__":
    sys.exit(AbuseTests().run())
