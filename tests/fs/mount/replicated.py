#!/usr/bin/env python3
"""Backups in a real S3 server, Ceph's radosgw: a tree that comes back whole, damage, locks, and both sides killed.

usage: replicated.py ASSAYFS SOURCE      ASSAYFS_BACKUP_GIB (5), ASSAYFS_BACKUP_FILES (50000), ASSAYFS_BACKUP_KILLS (30)

tests: backend/backup/backup, backend/backup/recover, backend/objects/s3

Among the services. boto3 is a client of other people's: it flips the bits, and tries to remove what is locked. Times stand
beside those of restic, which stores the same tree in the same server in the same run.
"""
import os
import shutil
import signal
import subprocess
import time

import bucket  # first: it skips where something is missing
from gate import vancouver
from promise import count, seed
from botocore.exceptions import ClientError

GIB = float(os.environ.get("ASSAYFS_BACKUP_GIB", 5))
FILES = count("ASSAYFS_BACKUP_FILES", 50000)
KILLS = count("ASSAYFS_BACKUP_KILLS", 30)


def make_tree(root, files, size, rng):
    """As many files, a hundredth of them with nine tenths of the bytes; what is in each can be told from its name."""
    large = max(1, files // 500)
    small_size = int(size * 0.15 / files)
    large_size = int(size * 0.85 / large)
    block = rng.randbytes(1 << 20)
    for i in range(files):
        folder = os.path.join(root, f"d{i // 500:03}")
        if i % 500 == 0:
            os.makedirs(folder)
        length = large_size if i % (files // large or 1) == 0 else rng.randrange(1, 2 * small_size)
        with open(os.path.join(folder, f"f{i:05}"), "wb") as file:
            file.write(f"{i} ".encode() + rng.randbytes(32))
            left = length
            while left > 0:
                at = rng.randrange(len(block) // 2)
                left -= file.write(block[at:at + min(left, len(block) // 2)])


class ReplicatedTests(bucket.BackupTests):
    def same_tree(self, one, two):
        done = subprocess.run(["diff", "-rq", "--no-dereference", one, two], capture_output=True, check=False, timeout=1800)
        self.check(done.returncode == 0, f"diff -r: {done.stdout.decode()[:400]} {done.stderr.decode()[:200]}")

    def history(self, mnt, path):
        return [[row.get(key) for key in ("number", "size", "outcome", "origin")]
                for row in self.json("versions", "--json", os.path.join(mnt, path))["versions"]]

    # ---- the tree, and restic beside it ----

    def restic(self, *arguments):
        environment = dict(os.environ, RESTIC_PASSWORD="x", RESTIC_REPOSITORY=f"s3:{self.server.url}/{self.name}-restic",
                           RESTIC_CACHE_DIR=self.path("restic-cache"))
        begun = time.monotonic()
        subprocess.run(["restic", *arguments], check=True, capture_output=True, env=environment, timeout=3600)
        return time.monotonic() - begun

    def test_a_tree_comes_back_whole_and_sooner_than_with_restic(self):
        rng = seed("tree")
        os.makedirs(self.path("tree"))
        make_tree(self.path("tree"), FILES, GIB * 2**30, rng)
        self.mounted()
        content, _ = vancouver()
        self.put("Landing/animals/lost-and-found.csv", content)
        self.wait_for("Trusted/animals/lost-and-found.csv", content)
        self.put("Landing/animals/lost-and-found.csv", content[:len(content) // 2])
        begun = time.monotonic()
        subprocess.run(["cp", "-a", self.path("tree"), self.path("mnt/Landing/tree")], check=True, timeout=1800)
        self.assayfs("sync", "mnt")
        copied = time.monotonic() - begun
        self.idle()
        self.add()
        backed = self.sync(1800)
        versions = self.history("mnt", "Landing/animals/lost-and-found.csv")
        verdict = self.json("why", "--json", "mnt/Trusted/animals/lost-and-found.csv")["verdict"]
        key = self.assayfs("log", "key", "mnt").out.strip()
        self.assayfs("umount", "mnt", timeout=300)
        shutil.rmtree(self.path("v"))
        shutil.rmtree(os.environ["STATE_DIRECTORY"], ignore_errors=True)
        lazy = self.recovered(name="lazy")
        begun = time.monotonic()
        self.mount_again("lazy")
        first = open(self.path("back/Trusted/animals/lost-and-found.csv"), "rb").read()
        lazy += time.monotonic() - begun
        self.check(first == content, "the first file differs")
        self.assayfs("umount", "back", timeout=300)
        shutil.rmtree(self.path("lazy"))
        full = self.recovered("--full")
        self.mount_again()
        self.same_tree(self.path("tree"), self.path("back/Landing/tree"))
        self.check(self.history("back", "Landing/animals/lost-and-found.csv") == versions, "versions differ")
        self.check(self.json("why", "--json", "back/Trusted/animals/lost-and-found.csv")["verdict"] == verdict, "verdicts differ")
        self.assayfs("log", "verify", "--key", key, "back")
        self.assayfs("umount", "back", timeout=300)
        self.assayfs("fsck", "--passfile", "pass", "again", timeout=900)
        shutil.rmtree(self.path("again"))
        print(f"note: {FILES} files, {GIB} GiB: copied in {copied:.1f} s; backup {backed:.1f} s, recovery of all {full:.1f} s, first file "
              f"after {lazy:.2f} s", flush=True)
        if not shutil.which("restic"):
            return
        self.restic("init")
        theirs = self.restic("backup", self.path("tree"))
        restored = self.restic("restore", "latest", "--target", self.path("restored"))
        print(f"note: restic: backup {theirs:.1f} s, restore {restored:.1f} s; ratios {theirs / backed:.2f} and {restored / full:.2f}",
              flush=True)
        self.check(backed < theirs, f"backup took {backed:.1f} s, restic's {theirs:.1f} s")
        self.check(full < restored, f"recovery took {full:.1f} s, restic's {restored:.1f} s")

    # ---- damage ----

    def flip(self, key):
        body = bytearray(self.server.s3.get_object(Bucket=self.name, Key=key)["Body"].read())
        body[len(body) // 2] ^= 1
        self.server.s3.put_object(Bucket=self.name, Key=key, Body=bytes(body))

    def test_a_flipped_bit_is_named_and_healed(self):
        self.mounted()
        self.put("Landing/a.bin", os.urandom(3000000))
        self.add()
        self.sync()
        self.assayfs("backup", "verify", "mnt")
        for kind in "vault/segments/", "vault/meta/":
            key = max(self.server.objects(self.name, kind).items(), key=lambda row: row[1])[0]
            self.flip(key)
            told = self.assayfs("backup", "verify", "mnt", code=1)
            self.check(key[len("vault/"):] in told.out + told.err, f"{key} is not named: {told.out} {told.err}")
            self.assayfs("backup", "verify", "mnt")
        key = max(self.server.objects(self.name, "vault/segments/").items(), key=lambda row: row[1])[0]
        self.server.s3.delete_object(Bucket=self.name, Key=key)
        self.assayfs("backup", "verify", "mnt", code=1)
        self.assayfs("backup", "verify", "mnt")
        self.recovered("--full")
        self.assayfs("fsck", "--passfile", "pass", "again")

    # ---- locks ----

    def test_what_is_locked_can_not_be_removed(self):
        self.mounted()
        self.put("Landing/a.bin", os.urandom(300000))
        self.add("--lock-days", "1")
        self.sync()
        versions = self.server.s3.list_object_versions(Bucket=self.name)["Versions"]
        self.check(len(versions) > 3, f"{len(versions)} objects")
        for row in versions:
            try:
                self.server.s3.delete_object(Bucket=self.name, Key=row["Key"], VersionId=row["VersionId"])
                self.check(False, f"{row['Key']} could be removed")
            except ClientError as error:
                self.check(error.response["ResponseMetadata"]["HTTPStatusCode"] == 403, f"{error}")
        # Who has the credentials writes over all and removes all: recovery finds what is under the lock.
        content = open(self.path("mnt/Landing/a.bin"), "rb").read()
        self.assayfs("umount", "mnt")
        for row in versions:
            self.server.s3.put_object(Bucket=self.name, Key=row["Key"], Body=b"gone")
            self.server.s3.delete_object(Bucket=self.name, Key=row["Key"])
        self.recovered("--full")
        self.mount_again()
        self.check(open(self.path("back/Landing/a.bin"), "rb").read() == content, "what was recovered differs")

    # ---- kills ----

    def killed(self, kill_fn):
        self.mounted(policy=None)
        self.add()
        self.ends_whole(self.write_and_kill(kill_fn, KILLS, 4))

    def test_the_daemon_is_killed_at_random_moments(self):
        self.killed(self.kill_daemon)

    def test_the_server_is_killed_at_random_moments(self):
        self.killed(self.kill_server)

    def test_a_server_that_hangs_blocks_nothing(self):
        self.mounted(policy=None)
        self.add()
        self.sync()
        os.kill(self.server.pid(), signal.SIGSTOP)
        try:
            begun = time.monotonic()
            for i in range(200):
                self.put(f"Landing/{i}.bin", os.urandom(10000))
            self.assayfs("sync", "mnt")
            self.check(time.monotonic() - begun < 20, "local work waited")
            time.sleep(7)
            self.check(self.target()["lag_seconds"] > 5, f"{self.target()}")
            begun = time.monotonic()
            self.assayfs("umount", "mnt")
            self.check(time.monotonic() - begun < 30, f"umount took {time.monotonic() - begun:.0f} s")
        finally:
            os.kill(self.server.pid(), signal.SIGCONT)
        self.mount()
        self.sync()
        self.check(self.target()["pending"] == 0, f"{self.target()}")

    # ---- another disk ----

    def test_the_same_to_another_folder(self):
        self.mounted()
        content = os.urandom(5000000)
        self.put("Landing/a.bin", content)
        url = "file://" + self.path("disk")
        self.add(url=url)
        self.add()
        self.sync()
        self.check(len(self.json("backup", "status", "--json", "mnt")["targets"]) == 2, "two targets")
        self.assayfs("umount", "mnt")
        for place in url, self.url:
            self.recovered("--full", url=place)
            self.mount_again()
            self.check(open(self.path("back/Landing/a.bin"), "rb").read() == content, f"{place} differs")
            self.assayfs("umount", "back")


if __name__ == "__main__":
    bucket.run(ReplicatedTests)
