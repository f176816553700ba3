"""What the tests of backups in Ceph's radosgw share: the server, a vault with a backup in it, and who writes while one of
both is killed.

usage of each test: TEST.py ASSAYFS SOURCE
"""
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from gate import GateTests  # first: it finds cli
from cli import SOURCE
from promise import seed, skip, wait_gone

try:
    import boto3
    from botocore.client import Config
except ImportError:
    skip("python3-boto3 is missing (scripts/setup --services)")
if not shutil.which("radosgw"):
    skip("radosgw is missing (scripts/setup --services)")


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


class BackupTests(GateTests):
    server = None
    bucket_count = 0

    def bucket(self):
        BackupTests.bucket_count += 1
        self.name = f"assayfs-test-{os.getpid()}-{BackupTests.bucket_count}"
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

    # ---- kills ----

    def folder(self, name):
        try:
            os.mkdir(self.path(name))  # not those above it: where nothing is mounted nothing is made
        except FileExistsError:
            pass

    def replace(self, path, data):
        with open(self.path("mnt/" + path + ".new"), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.rename(self.path("mnt/" + path + ".new"), self.path("mnt/" + path))

    def writer(self, stop, acknowledged, rng):
        """fsynced files, some of them replaced or removed; {path: content, or None where there is none} of what was acknowledged."""
        n = 0
        while not stop.is_set():
            path = f"Landing/w/{rng.randrange(2000):04}"
            goes = acknowledged.get(path) and rng.random() < 0.3
            data = None if goes else f"{n} ".encode() + rng.randbytes(rng.choice([100, 5000, 40000, 300000]))
            n += 1
            try:
                self.folder("mnt/Landing/w")
                if goes:
                    os.remove(self.path("mnt/" + path))
                else:
                    self.replace(path, data)
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
        except FileNotFoundError:
            return data is None
        except OSError:
            return False

    def write_and_kill(self, kill_fn, kills, longest):
        """Kills while files are written; what was acknowledged."""
        rng = seed("kills")
        acknowledged, stop = {}, threading.Event()
        thread = threading.Thread(target=self.writer, args=(stop, acknowledged, random.Random(rng.random())))
        thread.start()
        try:
            for _ in range(kills):
                time.sleep(rng.uniform(0.2, longest))
                kill_fn()
        finally:
            stop.set()
            thread.join()
        print(f"note: {kills} kills, {len(acknowledged)} files acknowledged", flush=True)
        return acknowledged

    def kill_daemon(self):
        pid = self.json("status", "--json", "mnt")["pid"]
        os.kill(pid, signal.SIGKILL)
        wait_gone(pid)
        self.assayfs("umount", "mnt", code=None)
        self.mount()

    def kill_server(self):
        self.server.kill_gateway()
        time.sleep(0.5)
        self.server.gateway()


def run(tests):
    """All tests of the class, against a server that goes afterwards; ends the program."""
    store = tempfile.mkdtemp(prefix="assayfs-ceph-")
    code = 1
    try:
        tests.server = Server(store)
        try:
            code = tests().run()
        finally:
            tests.server.stop()
    finally:
        shutil.rmtree(store, ignore_errors=True)
    sys.exit(code)
