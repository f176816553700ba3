#!/usr/bin/env python3
"""Backups in a real S3 server, Ceph's radosgw: a tree that comes back whole, damage, locks, and both sides killed.

usage: replicated.py ASSAYFS SOURCE      ASSAYFS_BACKUP_GIB (5), ASSAYFS_BACKUP_FILES (50000), ASSAYFS_BACKUP_KILLS (30)

tests: backend/backup/backup, backend/backup/recover, backend/objects/s3

Among the services. boto3 is a client of other people's: it flips the bits, and tries to remove what is locked. Times stand
beside those of restic, which stores the same tree in the same server in the same run.
"""
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

from gate import GateTests, vancouver  # first: it finds cli
from cli import SOURCE
from promise import count, seed, skip, wait_gone

try:
    import boto3
    from botocore.client import Config
    from botocore.exceptions import ClientError
except ImportError:
    skip("python3-boto3 is missing (scripts/setup --services)")
if not shutil.which("radosgw"):
    skip("radosgw is missing (scripts/setup --services)")

GIB = float(os.environ.get("ASSAYFS_BACKUP_GIB", 5))
FILES = count("ASSAYFS_BACKUP_FILES", 50000)
KILLS = count("ASSAYFS_BACKUP_KILLS", 30)


class Server:
    """radosgw with a store of its own."""

    def __init__(self, directory):
        self.directory = directory
        self.start()

    def script(self, *arguments):
        done = subprocess.run([os.path.join(SOURCE, "scripts/s3-server"), *arguments], check=True, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, timeout=300, env=dict(os.environ, S3_SERVER_STORE="bluestore"))
        return done.stdout.decode().splitlines()

    def start(self):
        self.url = next(line for line in self.script("start", self.directory) if line.startswith("http"))
        os.environ.update(AWS_ACCESS_KEY_ID="AKTEST", AWS_SECRET_ACCESS_KEY="SKTEST", AWS_ENDPOINT_URL=self.url,
                          AWS_DEFAULT_REGION="us-east-1")
        self.s3 = boto3.client("s3", endpoint_url=self.url, region_name="us-east-1", aws_access_key_id="AKTEST",
                               aws_secret_access_key="SKTEST",
                               config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 8}))

    def pid(self):
        return int(open(os.path.join(self.directory, "run/client.rgw.pid"), encoding="ascii").read())

    def kill_gateway(self):
        pid = self.pid()
        os.kill(pid, signal.SIGKILL)
        wait_gone(pid)

    def gateway(self):
        self.script("gateway", self.directory)

    def stop(self):
        self.script("stop", self.directory)

    def objects(self, bucket, prefix=""):
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return {row["Key"]: row["Size"] for page in pages for row in page.get("Contents", [])}


SERVER = None


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


class ReplicatedTests(GateTests):
    bucket_count = 0

    def bucket(self):
        ReplicatedTests.bucket_count += 1
        self.name = f"assayfs-test-{os.getpid()}-{ReplicatedTests.bucket_count}"
        self.url = f"s3://{self.name}/vault"
        return self.url

    def clean_up(self):
        for mnt in "mnt", "back":
            if f" {self.path(mnt)} " in open("/proc/self/mountinfo", encoding="utf-8").read():
                self.unmount(self.path(mnt))

    def add(self, *options, url=None, code=0):
        return self.assayfs("backup", "add", "--create", *options, url or self.bucket(), "mnt", code=code)

    def sync(self, seconds=900):
        begun = time.monotonic()
        self.assayfs("backup", "sync", "--timeout", str(seconds), "mnt", timeout=seconds + 60)
        return time.monotonic() - begun

    def target(self, url=None):
        rows = self.json("backup", "status", "--json", "mnt", code=None)["targets"]
        return next((row for row in rows if row["url"] == (url or self.url)), {})

    def recovered(self, *options, url=None, name="again"):
        shutil.rmtree(self.path(name), ignore_errors=True)
        begun = time.monotonic()
        self.assayfs("recover", *options, "--passfile", "pass", url or self.url, name, timeout=1800)
        return time.monotonic() - begun

    def mount_again(self, name="again"):
        os.makedirs(self.path("back"), exist_ok=True)
        self.assayfs("mount", "--passfile", "pass", name, "back", timeout=120)

    def same_tree(self, one, two):
        done = subprocess.run(["diff", "-rq", "--no-dereference", one, two], capture_output=True, check=False, timeout=1800)
        self.check(done.returncode == 0, f"diff -r: {done.stdout.decode()[:400]} {done.stderr.decode()[:200]}")

    def history(self, mnt, path):
        return [[row.get(key) for key in ("number", "size", "outcome", "origin")]
                for row in self.json("versions", "--json", os.path.join(mnt, path))["versions"]]

    # ---- the tree, and restic beside it ----

    def restic(self, *arguments):
        environment = dict(os.environ, RESTIC_PASSWORD="x", RESTIC_REPOSITORY=f"s3:{SERVER.url}/{self.name}-restic",
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
        body = bytearray(SERVER.s3.get_object(Bucket=self.name, Key=key)["Body"].read())
        body[len(body) // 2] ^= 1
        SERVER.s3.put_object(Bucket=self.name, Key=key, Body=bytes(body))

    def test_a_flipped_bit_is_named_and_healed(self):
        self.mounted()
        self.put("Landing/a.bin", os.urandom(3000000))
        self.add()
        self.sync()
        self.assayfs("backup", "verify", "mnt")
        for kind in "vault/segments/", "vault/meta/":
            key = max(SERVER.objects(self.name, kind).items(), key=lambda row: row[1])[0]
            self.flip(key)
            told = self.assayfs("backup", "verify", "mnt", code=1)
            self.check(key[len("vault/"):] in told.out + told.err, f"{key} is not named: {told.out} {told.err}")
            self.assayfs("backup", "verify", "mnt")
        key = max(SERVER.objects(self.name, "vault/segments/").items(), key=lambda row: row[1])[0]
        SERVER.s3.delete_object(Bucket=self.name, Key=key)
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
        versions = SERVER.s3.list_object_versions(Bucket=self.name)["Versions"]
        self.check(len(versions) > 3, f"{len(versions)} objects")
        for row in versions:
            try:
                SERVER.s3.delete_object(Bucket=self.name, Key=row["Key"], VersionId=row["VersionId"])
                self.check(False, f"{row['Key']} could be removed")
            except ClientError as error:
                self.check(error.response["ResponseMetadata"]["HTTPStatusCode"] == 403, f"{error}")
        # Who has the credentials writes over all and removes all: recovery finds what is under the lock.
        content = open(self.path("mnt/Landing/a.bin"), "rb").read()
        self.assayfs("umount", "mnt")
        for row in versions:
            SERVER.s3.put_object(Bucket=self.name, Key=row["Key"], Body=b"gone")
            SERVER.s3.delete_object(Bucket=self.name, Key=row["Key"])
        self.recovered("--full")
        self.mount_again()
        self.check(open(self.path("back/Landing/a.bin"), "rb").read() == content, "what was recovered differs")

    # ---- kills ----

    def folder(self, name):
        try:
            os.mkdir(self.path(name))  # not those above it: where nothing is mounted nothing is made
        except FileExistsError:
            pass

    def writer(self, stop, acknowledged, rng):
        """fsynced files, some of them replaced; {path: content} of what was acknowledged."""
        n = 0
        while not stop.is_set():
            path = f"Landing/w/{rng.randrange(2000):04}"
            data = f"{n} ".encode() + rng.randbytes(rng.choice([100, 5000, 40000, 300000]))
            n += 1
            try:
                self.folder("mnt/Landing/w")
                with open(self.path("mnt/" + path + ".new"), "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                os.rename(self.path("mnt/" + path + ".new"), self.path("mnt/" + path))
                folder = os.open(self.path("mnt/Landing/w"), os.O_RDONLY)
                os.fsync(folder)
                os.close(folder)
                acknowledged[path] = data
            except OSError:
                acknowledged.pop(path, None)  # the one or the other
                time.sleep(0.02)

    def ends_whole(self, acknowledged):
        self.sync(600)
        self.assayfs("backup", "verify", "mnt", timeout=600)
        self.assayfs("umount", "mnt")
        self.recovered("--full")
        self.mount_again()
        lost = [path for path, data in acknowledged.items() if not self.has(path, data)]
        self.check(not lost, f"{len(lost)} of {len(acknowledged)} acknowledged files are lost: {lost[:5]}")
        self.assayfs("log", "verify", "back")
        self.assayfs("umount", "back")
        self.assayfs("fsck", "--passfile", "pass", "again", timeout=600)

    def has(self, path, data):
        try:
            with open(self.path("back/" + path), "rb") as file:
                return file.read() == data
        except OSError:
            return False

    def killed(self, kill_fn):
        rng = seed("kills")
        self.mounted(policy=None)
        self.add()
        acknowledged, stop = {}, threading.Event()
        thread = threading.Thread(target=self.writer, args=(stop, acknowledged, random.Random(rng.random())))
        thread.start()
        try:
            for _ in range(KILLS):
                time.sleep(rng.uniform(0.2, 4))
                kill_fn()
        finally:
            stop.set()
            thread.join()
        print(f"note: {KILLS} kills, {len(acknowledged)} files acknowledged", flush=True)
        self.ends_whole(acknowledged)

    def kill_daemon(self):
        pid = self.json("status", "--json", "mnt")["pid"]
        os.kill(pid, signal.SIGKILL)
        wait_gone(pid)
        self.assayfs("umount", "mnt", code=None)
        self.mount()

    def test_the_daemon_is_killed_at_random_moments(self):
        self.killed(self.kill_daemon)

    def kill_server(self):
        SERVER.kill_gateway()
        time.sleep(0.5)
        SERVER.gateway()

    def test_the_server_is_killed_at_random_moments(self):
        self.killed(self.kill_server)

    def test_a_server_that_hangs_blocks_nothing(self):
        self.mounted(policy=None)
        self.add()
        self.sync()
        os.kill(SERVER.pid(), signal.SIGSTOP)
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
            os.kill(SERVER.pid(), signal.SIGCONT)
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
    import tempfile
    store = tempfile.mkdtemp(prefix="assayfs-ceph-")
    SERVER = Server(store)
    code = 1
    try:
        code = ReplicatedTests().run()
    finally:
        SERVER.stop()
        shutil.rmtree(store, ignore_errors=True)
    sys.exit(code)
