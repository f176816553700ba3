#!/usr/bin/env python3
"""A vault recovered from a directory that was filled as `backup add file://` fills it.

usage: test_recover.py ASSAYFS SOURCE SHIP
"""
import json
import os
import shutil
import subprocess
import sys
import time

from cli import ASSAYFS, Tests

SHIP = sys.argv[3]
CHEAP = ["--argon-mem", "1024", "--argon-ops", "1", "--passfile", "pass"]


class RecoverTests(Tests):
    def clean_up(self):
        for name in ("mnt", "mnt2"):
            if os.path.ismount(self.path(name)):
                self.unmount(self.path(name))

    def mount(self, vault="v", name="mnt"):
        os.makedirs(self.path(name), exist_ok=True)
        self.assayfs("mount", "--passfile", "pass", vault, name)
        return self.path(name)

    def ship(self, number, vault="v"):
        subprocess.run([SHIP, self.path(vault), "correct horse", self.url, str(number)], check=True, timeout=60)

    def vault(self):
        """A vault with two generations: `one` alone, and `one` changed beside a tree of others."""
        self.write("pass", "correct horse\n")
        os.mkdir(self.path("place"))
        self.url = "file://" + self.path("place")
        self.assayfs("init", *CHEAP, "v")
        mnt = self.mount()
        with open(f"{mnt}/Landing/one", "wb") as file:
            file.write(os.urandom(300000))
        shutil.copy(f"{mnt}/Landing/one", self.path("one-first"))
        self.unmount(mnt)
        self.ship(1)
        time.sleep(1.1)
        self.between = time.time()
        time.sleep(1.1)
        mnt = self.mount()
        with open(f"{mnt}/Landing/one", "r+b") as file:
            file.seek(100000)
            file.write(b"changed")
        os.mkdir(f"{mnt}/Landing/tree")
        for i in range(40):
            with open(f"{mnt}/Landing/tree/{i}.bin", "wb") as file:
                file.write(os.urandom(20000 * (i % 7)))
        shutil.copytree(f"{mnt}/Landing", self.path("was"))
        self.unmount(mnt)
        self.ship(2)
        shutil.rmtree(self.path("v"))

    def recover(self, *options, code=0):
        return self.assayfs("recover", "--passfile", "pass", *options, self.url, "again", code=code)

    def expect_equal(self, mnt):
        done = subprocess.run(["diff", "-r", self.path("was"), f"{mnt}/Landing"], capture_output=True, check=False)
        self.check(done.returncode == 0, done.stdout.decode()[:300] + done.stderr.decode()[:300])

    def test_full_recovery_gives_the_tree_its_versions_and_a_log_that_verifies(self):
        self.vault()
        result = json.loads(self.recover("--full", "--json").stdout)
        self.check(result["generation"] == 2 and result["complete"] and result["missing"] == 0, f"{result}")
        self.check(result["segments_fetched"] == result["segments"] > 0, f"{result}")
        self.check("Clean: every byte is accounted for" in self.assayfs("fsck", "--passfile", "pass", "again").out, "fsck")
        mnt = self.mount("again")
        self.expect_equal(mnt)
        versions = self.json("versions", "--json", f"{mnt}/Landing/one")
        self.check(len(versions["versions"]) == 2, f"{versions}")
        first = open(f"{mnt}/.assayfs/versions/Landing/one/1", "rb").read()
        self.check(first == open(self.path("one-first"), "rb").read(), "the first version is another")
        self.assayfs("log", "verify", mnt)
        records = self.assayfs("log", "--event", "recover", mnt).out
        self.check("generation 2" in records and self.url in records, records)

    def test_content_comes_when_it_is_read_and_the_mount_fetches_the_rest(self):
        self.vault()
        out = self.recover().out
        self.check("can be mounted now" in out and "generation 2" in out, out)
        self.check(os.path.exists(self.path("again/origin")), "no origin")
        found = self.json("fsck", "--json", "--passfile", "pass", "again")
        self.check(found["clean"] and found["in_backup"] > 0, f"{found}")
        self.check("recover --full" in self.assayfs("fsck", "--passfile", "pass", "again").out, "fsck does not say how")
        mnt = self.mount("again")
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
        self.check([g["generation"] for g in listed["generations"]] == [2, 1], f"{listed}")
        self.check("Generation" in self.assayfs("recover", "--list", "--passfile", "pass", self.url).out, "no table")
        self.recover("--at", "2020-01-01", code=1)
        self.check(not os.path.exists(self.path("again")), "a directory was made")
        self.recover("--at", f"@{int(self.between)}")
        mnt = self.mount("again")
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
        with open(self.path("place/" + name), "r+b") as file:
            file.seek(600)
            byte = file.read(1)
            file.seek(600)
            file.write(bytes([byte[0] ^ 1]))
        self.one_line(self.recover(code=1), name)
        self.check(not os.path.exists(self.path("again/vault.json")), "a vault was made of it")
        with open(self.path("place/" + name), "r+b") as file:
            file.seek(600)
            file.write(byte)
        self.recover("--full")
        self.check("Clean" in self.assayfs("fsck", "--passfile", "pass", "again").out, "fsck")

    def test_a_mount_whose_backup_is_away_says_so_and_goes_on_when_it_is_back(self):
        self.vault()
        self.recover()
        os.rename(self.path("place"), self.path("away"))
        mnt = self.mount("again")
        names = os.listdir(f"{mnt}/Landing/tree")
        self.check(len(names) == 40, f"{names}")
        try:
            open(f"{mnt}/Landing/one", "rb").read()
            self.check(False, "content came from nowhere")
        except OSError as error:
            self.check(error.errno == 5, f"{error}")
        os.rename(self.path("away"), self.path("place"))
        self.expect_equal(mnt)


sys.exit(RecoverTests().run())
