#!/usr/bin/env python3
"""A vault recovered from what `backup add` shipped to a directory, after its daemon was killed and all of it removed.

usage: test_recover.py ASSAYFS SOURCE

tests: fs/command/recover
"""
import contextlib
import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

from backing import LosingTests, flip
from cli import ASSAYFS

if not os.path.exists("/dev/fuse"):
    print("skipped: /dev/fuse is missing")
    sys.exit(77)


class RecoverTests(LosingTests):
    def clean_up(self):
        super().clean_up()
        if os.path.ismount(self.path("again-mnt")):
            self.unmount(self.path("again-mnt"))

    def mount_again(self):
        os.makedirs(self.path("again-mnt"), exist_ok=True)
        self.assayfs("mount", "--passfile", "pass", "again", "again-mnt")
        return self.path("again-mnt")

    def vault(self):
        """A vault's backup: at first with `one` alone, then with `one` changed beside a tree of others."""
        self.mounted("-f")
        _, self.url = self.place()
        self.add(self.url, "--create")
        one = self.put("Landing/one", os.urandom(300000))
        shutil.copy(one, self.path("one-first"))
        self.is_whole(self.url)
        time.sleep(1.1)
        self.between = time.time()
        time.sleep(1.1)
        with open(one, "r+b") as file:
            file.seek(100000)
            file.write(b"changed")
        for i in range(40):
            self.put(f"Landing/tree/{i}.bin", os.urandom(20000 * (i % 7)))
        self.is_whole(self.url)
        self.lose()

    def recover(self, *options, code=0):
        return self.assayfs("recover", "--passfile", "pass", *options, self.url, "again", code=code)

    def expect_equal(self, mnt):
        done = subprocess.run(["diff", "-r", self.path("was"), f"{mnt}/Landing"], capture_output=True, check=False)
        self.check(done.returncode == 0, done.stdout.decode()[:300] + done.stderr.decode()[:300])

    def test_full_recovery_gives_the_tree_its_versions_and_a_log_that_verifies(self):
        self.vault()
        result = json.loads(self.recover("--full", "--json").stdout)
        self.check(result["generation"] >= 2 and result["complete"] and result["missing"] == 0, f"{result}")
        self.check(result["segments_fetched"] == result["segments"] > 0, f"{result}")
        self.check("Clean: every byte is accounted for" in self.assayfs("fsck", "--passfile", "pass", "again").out, "fsck")
        mnt = self.mount_again()
        self.expect_equal(mnt)
        versions = self.json("versions", "--json", f"{mnt}/Landing/one")
        self.check(len(versions["versions"]) == 2, f"{versions}")
        first = open(f"{mnt}/.assayfs/versions/Landing/one/1", "rb").read()
        self.check(first == open(self.path("one-first"), "rb").read(), "the first version is another")
        self.assayfs("log", "verify", mnt)
        records = self.assayfs("log", "--event", "recover", mnt).out
        self.check("from a backup: generation" in records and self.url in records, records)

    def test_content_comes_when_it_is_read_and_the_mount_fetches_the_rest(self):
        self.vault()
        out = self.recover().out
        self.check("can be mounted now" in out and "generation" in out, out)
        self.check(os.path.exists(self.path("again/origin")), "no origin")
        found = self.json("fsck", "--json", "--passfile", "pass", "again")
        self.check(found["clean"] and found["in_backup"] > 0, f"{found}")
        self.check("recover --full" in self.assayfs("fsck", "--passfile", "pass", "again").out, "fsck does not say how")
        mnt = self.mount_again()
        self.expect_equal(mnt)
        for _ in range(100):
            if not os.path.exists(self.path("again/origin")):
                break
            time.sleep(0.1)
        self.check(not os.path.exists(self.path("again/origin")), "the rest was not fetched")
        self.unmount(mnt)
        found = self.json("fsck", "--json", "--passfile", "pass", "again")
        self.check(found["clean"] and found["in_backup"] == 0, f"{found}")

    def test_an_earlier_point_in_time(self):
        self.vault()
        listed = self.json("recover", "--list", "--json", "--passfile", "pass", self.url)
        numbers = [g["generation"] for g in listed["generations"]]
        self.check(len(numbers) >= 2 and numbers == sorted(numbers, reverse=True), f"{listed}")
        self.check("Generation" in self.assayfs("recover", "--list", "--passfile", "pass", self.url).out, "no table")
        self.recover("--at", "2020-01-01", code=1)
        self.check(not os.path.exists(self.path("again")), "a directory was made")
        self.recover("--at", f"@{int(self.between)}")
        mnt = self.mount_again()
        self.check(os.listdir(f"{mnt}/Landing") == ["one"], f"{os.listdir(f'{mnt}/Landing')}")
        self.check(open(f"{mnt}/Landing/one", "rb").read() == open(self.path("one-first"), "rb").read(), "another content")

    def test_what_is_wrong_is_one_line_and_makes_nothing(self):
        self.vault()
        self.write("wrong", "incorrect horse\n")
        self.one_line(self.assayfs("recover", "--passfile", "wrong", self.url, "again", code=12))
        self.one_line(self.assayfs("recover", "--passfile", "pass", "ftp://x", "again", code=2), "s3://")
        self.one_line(self.assayfs("recover", "--passfile", "pass", self.url, code=2), "VAULT")
        self.one_line(self.assayfs("recover", "--passfile", "pass", "--list", "--full", self.url, code=2))
        os.mkdir(self.path("empty"))
        self.one_line(self.assayfs("recover", "--passfile", "pass", "file://" + self.path("empty"), "again", code=1), "empty")
        self.check(not os.path.exists(self.path("again")), "a directory was made")
        os.mkdir(self.path("again"))
        self.write("again/mine", "mine")
        self.one_line(self.recover(code=1), "not empty")
        self.check(os.listdir(self.path("again")) == ["mine"], "it was touched")

    def test_damage_in_the_backup_is_named(self):
        self.vault()
        packs = sorted(os.listdir(self.path("place/meta")))
        name = f"meta/{packs[-1]}/000000"
        flip(self.path("place/" + name), 600)
        self.one_line(self.recover(code=1), name)
        self.check(not os.path.exists(self.path("again/vault.json")), "a vault was made of it")
        flip(self.path("place/" + name), 600)
        self.recover("--full")
        self.check("Clean" in self.assayfs("fsck", "--passfile", "pass", "again").out, "fsck")

    def test_damaged_content_is_counted_and_the_exit_code_says_so(self):
        self.vault()
        folder = self.path("place/segments")
        names = sorted((os.path.join(at, name) for at, _, names in os.walk(folder) for name in names), key=os.path.getsize)
        with open(names[-1], "r+b") as file:
            file.seek(os.path.getsize(names[-1]) // 2)
            file.write(b"xyz")
        result = json.loads(self.recover("--full", "--json", code=1).stdout)
        self.check(result["damaged"] == 1 and not result["complete"] and result["missing"] == 0, f"{result}")
        self.check("Landing/" in self.assayfs("fsck", "--passfile", "pass", "again", code=1).out, "fsck names no file")
        shutil.rmtree(self.path("again"))
        out = self.recover("--full", code=1).out
        self.check("In 1 segment something does not authenticate" in out, out)

    def test_fsck_names_the_files_that_the_backup_lacks(self):
        self.vault()
        folder = self.path("place/segments")
        names = sorted((os.path.join(at, name) for at, _, names in os.walk(folder) for name in names), key=os.path.getsize)
        os.unlink(names[-1])
        out = self.recover("--full", code=1).out
        self.check("the backup has not all" in out, out)
        os.rename(self.path("place"), self.path("away"))
        out = self.assayfs("fsck", "--passfile", "pass", "again", code=1).out
        self.check("the backup has not all of it" in out and "Landing/" in out, out)

    def test_of_a_backup_by_prefix_what_it_took_comes_back_and_a_loss_is_told(self):
        self.mounted()
        _, self.url = self.place()
        for name, size in {"reports/a": 200000, "other/b": 300000, "reports/c": 250000}.items():
            self.put(f"Landing/{name}", os.urandom(size))
            self.end()  # each in a segment of its own
            self.mount()
        self.add(self.url, "--create", "--prefix", "reports/")
        self.is_whole(self.url)
        self.lose()
        result = json.loads(self.recover("--full", "--json").stdout)
        self.check(result["segments_fetched"] == 2 and result["damaged"] == 0, f"{result}")
        self.check(result["left_out"] == 1 and result["missing"] == 0 and result["complete"], f"{result}")
        mnt = self.mount_again()
        for name in ("a", "c"):
            with open(self.path(f"was/reports/{name}"), "rb") as was, open(f"{mnt}/Landing/reports/{name}", "rb") as file:
                self.check(was.read() == file.read(), f"reports/{name} is another")
        self.check(os.path.getsize(f"{mnt}/Landing/other/b") == 300000, "what was not taken has no size")
        try:
            with open(f"{mnt}/Landing/other/b", "rb") as file:
                file.read()
            self.check(False, "what was not taken is read")
        except OSError as error:
            self.check(error.errno == errno.EIO, f"{error}")
        self.unmount(mnt)
        shutil.rmtree(self.path("again"))
        # One of those that it took is gone from the place.
        folders = sorted(os.scandir(self.path("place/segments")), key=lambda folder: folder.name)
        self.check(len(folders) == 2, f"{folders}")
        shutil.rmtree(folders[0].path)
        for option in ("--list", "--full"):
            shutil.rmtree(self.path("again"), ignore_errors=True)
            result = json.loads(self.recover(*([] if option == "--list" else [option]), "--json", code=1).stdout)
            self.check(result["missing"] == 1 and result["left_out"] == 1, f"{option}: {result}")

    def test_what_an_earlier_rule_took_in_part_is_no_loss(self):
        self.mounted()
        _, self.url = self.place()
        self.put("Landing/aaa", os.urandom(100000))
        self.add(self.url, "--create", "--prefix", "a")
        self.is_whole(self.url)
        self.add(self.url, "--prefix", "z")
        self.is_whole(self.url)
        self.put("Landing/other", os.urandom(3000000))  # in the same segment
        self.is_whole(self.url)
        self.lose()
        result = json.loads(self.recover("--full", "--json").stdout)
        self.check(result["left_out"] == 1 and result["missing"] == 0, f"{result}")

    def test_what_is_in_quarantine_comes_back_by_whatever_prefix(self):
        self.mounted()
        _, self.url = self.place()
        self.write("good.csv", "id,amount\n1,10\n2,20\n3,30\n")
        self.assayfs("policy", "suggest", "good.csv", "-o", "policy")
        self.assayfs("policy", "apply", "policy", "mnt")
        self.put("Landing/other", os.urandom(100000))
        self.end()
        self.mount()
        self.add(self.url, "--create", "--prefix", "good")
        bad = b"id;amount\nx;y\n"
        with contextlib.suppress(PermissionError):  # it does not pass
            self.put("Trusted/good2.csv", bad)
        for _ in range(100):
            if self.json("quarantine", "list", "--json", "mnt", code=None):
                break
            time.sleep(0.1)
        self.is_whole(self.url)
        self.lose()
        self.recover("--full")
        mnt = self.mount_again()
        names = os.listdir(f"{mnt}/.assayfs/quarantine")
        self.check(len(names) == 1, f"{names}")
        with open(f"{mnt}/.assayfs/quarantine/{names[0]}/content", "rb") as file:
            self.check(file.read() == bad, "another content")

    def test_an_interrupted_recovery_is_said_to_be_one_and_a_whole_one_is_whole(self):
        self.vault()
        self.recover("--full")
        self.check("All of again is here" in self.recover("--full").out, "a vault that is whole")
        os.rename(self.path("again"), self.path("whole"))
        self.recover()
        os.unlink(self.path("again/vault.json"))
        os.makedirs(self.path("again-mnt"), exist_ok=True)
        self.one_line(self.assayfs("info", "again", code=7), "interrupted")
        self.one_line(self.assayfs("fsck", "--passfile", "pass", "again", code=7), "interrupted")
        self.one_line(self.assayfs("mount", "--passfile", "pass", "again", "again-mnt", code=7), "interrupted")
        self.recover("--full")
        self.check("Clean" in self.assayfs("fsck", "--passfile", "pass", "again").out, "fsck")

    def test_bit_rot_in_the_vault_is_mended_from_a_recovery_beside_it(self):
        self.vault()
        self.recover("--full")
        shutil.copytree(self.path("again"), self.path("drill"))
        names = sorted((os.path.join(at, name) for at, _, names in os.walk(self.path("again/segments")) for name in names),
                       key=os.path.getsize)
        name = os.path.relpath(names[-1], self.path("again"))
        flip(names[-1], os.path.getsize(names[-1]) // 2)
        self.check(name in self.assayfs("fsck", "--passfile", "pass", "again", code=1).out, "fsck does not name the file")
        shutil.copy(self.path("drill/" + name), names[-1])
        self.check("Clean" in self.assayfs("fsck", "--passfile", "pass", "again").out, "fsck")

    def go_on(self, name, *options):
        """Mounts it without a word, writes in it, unmounts."""
        os.makedirs(self.path("again-mnt"), exist_ok=True)
        done = self.assayfs("mount", *options, "--passfile", "pass", name, "again-mnt")
        if done.returncode:
            return
        self.check("older" not in done.err and "restore" not in done.err, f"{name}: {done.err}")
        with open(self.path("again-mnt/Landing/goes-on"), "ab") as file:
            file.write(os.urandom(1000))
        self.accepted[name] = self.assayfs("log", "--json", "--event", "accept-restore", "again-mnt").out.count("\n")
        self.assayfs("umount", "again-mnt")

    def copy(self, name, to):
        subprocess.run(["cp", "-a", self.path(name), self.path(to)], check=True)

    def refused(self, name):
        os.makedirs(self.path("again-mnt"), exist_ok=True)
        self.one_line(self.assayfs("mount", "--passfile", "pass", name, "again-mnt", code=1), "--accept-restore")
        told = self.json("fsck", "--json", "--passfile", "pass", name, code=None)
        self.check(told["older_copy"], f"fsck of {name}: {told}")

    def test_a_rehearsal_that_is_killed_leaves_the_live_vault_as_it_is(self):
        self.accepted = {}
        self.mounted("-f")
        _, self.url = self.place()
        self.add(self.url, "--create")
        self.put("Landing/one", os.urandom(300000))
        for _ in range(2):  # the backup has what is remembered of the live one
            self.is_whole(self.url)
            time.sleep(2)
        drill = self.begin("recover", "--passfile", "pass", self.url, "drill")
        while drill.poll() is None and not os.path.exists(self.path("drill/vault.json")):
            pass
        drill.kill()
        drill.communicate()
        self.recover_as("drill")
        self.daemon.send_signal(signal.SIGKILL)
        self.daemon.wait()
        self.assayfs("umount", "mnt", code=None)
        for name in "v", "drill", "v":
            self.go_on(name)

    def test_a_rehearsal_beside_the_live_vault_leaves_both_as_they_are(self):
        self.accepted = {}
        self.mounted("-f")
        _, self.url = self.place()
        self.add(self.url, "--create")
        self.put("Landing/one", os.urandom(300000))
        self.is_whole(self.url)
        self.recover_as("drill")  # mounted
        self.put("Landing/two", os.urandom(1000))
        self.is_whole(self.url)
        self.unmount(self.mnt)
        self.daemon.wait(60)
        self.copy("v", "then")
        self.copy("drill", "drill-then")
        self.recover_as("late")  # at rest
        self.copy("late", "late-then")
        for _ in range(2):
            for name in "drill", "v", "late":
                self.go_on(name)
                told = self.json("fsck", "--json", "--passfile", "pass", name)
                self.check(not told["older_copy"], f"fsck of {name}: {told}")
        self.check(self.accepted["v"] == 0, f"accept-restore: {self.accepted}")
        for name in "then", "drill-then", "late-then":
            self.refused(name)
        os.rename(self.path("v"), self.path("away"))
        self.copy("then", "v")
        self.refused("v")
        self.go_on("v", "--accept-restore")
        for name in "v", "away", "drill", "late":
            self.go_on(name)
        self.refused("then")
        self.check((self.accepted["v"], self.accepted["away"]) == (1, 0), f"accept-restore: {self.accepted}")

    def recover_as(self, name):
        self.assayfs("recover", "--full", "--passfile", "pass", self.url, name)

    def listing(self):
        return sorted(os.path.join(folder, name) for folder, _, names in os.walk(self.path("place")) for name in names)

    def test_the_recovered_vault_ships_when_it_is_told_to_and_is_recovered_again(self):
        self.vault()
        self.recover()
        mnt = self.mount_again()
        with open(f"{mnt}/Landing/later", "wb") as file:
            file.write(b"later")
        before = self.listing()
        told = self.json("backup", "status", "--json", "again-mnt", code=1)["targets"][0]
        self.check(told["state"] == "paused" and "backup add" in told["trouble"], f"{told}")
        self.one_line(self.assayfs("backup", "sync", "--timeout", "60", self.url, "again-mnt", code=1), "paused")
        self.check(self.listing() == before, "a vault that was recovered ships by itself")
        self.assayfs("backup", "add", self.url, "again-mnt")
        self.assayfs("backup", "sync", "--timeout", "60", self.url, "again-mnt")
        found = self.json("backup", "verify", "--json", "again-mnt")
        self.check(found.get("findings") == [], f"{found}")
        self.unmount(mnt)
        shutil.rmtree(self.path("again"))
        self.recover("--full")
        mnt = self.mount_again()
        self.check(open(f"{mnt}/Landing/later", "rb").read() == b"later", "what came later is gone")
        os.unlink(f"{mnt}/Landing/later")
        self.expect_equal(mnt)

    def test_a_mount_whose_backup_is_away_says_so_and_goes_on_when_it_is_back(self):
        self.vault()
        self.recover()
        os.rename(self.path("place"), self.path("away"))
        mnt = self.mount_again()
        names = os.listdir(f"{mnt}/Landing/tree")
        self.check(len(names) == 40, f"{names}")
        try:
            open(f"{mnt}/Landing/one", "rb").read()
            self.check(False, "content came from nowhere")
        except OSError as error:
            self.check(error.errno == 5, f"{error}")
        left = self.json("status", "--json", "again-mnt")["recall"]
        self.check(left and 0 < left["missing_bytes"] <= left["bytes"] and left["url"] == self.url and left["trouble"], f"{left}")
        self.check("Recovery: " in self.assayfs("status", "again-mnt").out, "status in words")
        os.rename(self.path("away"), self.path("place"))
        time.sleep(2.5)  # so long a place that was away is not asked
        self.expect_equal(mnt)

    def test_a_place_that_says_nothing_keeps_neither_names_nor_the_end_waiting(self):
        self.vault()
        self.recover()
        with open(self.path("again/origin"), encoding="utf-8") as file:
            origin = json.load(file)
        with socket.create_server(("127.0.0.1", 0), backlog=200) as silent:
            origin |= {"url": "s3://bucket/office", "endpoint": f"http://127.0.0.1:{silent.getsockname()[1]}", "region": "us-east-1"}
            self.write("again/origin", json.dumps(origin))
            os.makedirs(self.path("again-mnt"))
            env = dict(os.environ, AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b")
            mnt = self.path("again-mnt")
            with subprocess.Popen([ASSAYFS, "mount", "-f", "--passfile", "pass", "again", "again-mnt"], cwd=self.directory,
                                  env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL) as daemon:
                for _ in range(200):
                    if os.path.ismount(mnt):
                        break
                    time.sleep(0.05)
                readers = [subprocess.Popen(["cat", f"{mnt}/Landing/tree/{i % 39 + 1}.bin"], stdout=subprocess.DEVNULL,
                                            stderr=subprocess.DEVNULL) for i in range(80)]
                time.sleep(1)
                begin = time.monotonic()
                listed = subprocess.run(["ls", "-l", f"{mnt}/Landing", f"{mnt}/Raw"], capture_output=True, timeout=60, check=False)
                took = time.monotonic() - begin
                self.check(listed.returncode == 0 and took < 10, f"ls took {took:.1f} s: {listed.stderr}")
                begin = time.monotonic()
                daemon.send_signal(signal.SIGTERM)
                daemon.wait(60)
                took = time.monotonic() - begin
                self.check(took < 15, f"the end took {took:.1f} s")
                for reader in readers:
                    reader.wait(60)


sys.exit(RecoverTests().run())
