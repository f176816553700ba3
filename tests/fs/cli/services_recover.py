#!/usr/bin/env python3
"""Recovery from a bucket of Ceph's radosgw, also after somebody with the credentials has deleted and overwritten in it.

usage: services_recover.py ASSAYFS SOURCE
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

from backing import LosingTests
from cli import ASSAYFS, SOURCE

SCRIPT = os.path.join(SOURCE, "scripts", "s3-server")
missing = [p for p in ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "curl") if not shutil.which(p)]
if missing or os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
    print(f"skipped: not root, no FUSE, or {missing} missing; scripts/setup --services")
    sys.exit(77)


class ServedRecovery(LosingTests):
    def clean_up(self):
        super().clean_up()
        if os.path.ismount(self.path("again-mnt")):
            self.unmount(self.path("again-mnt"))

    def curl(self, *arguments):
        done = subprocess.run(["curl", "-sS", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code}", "--aws-sigv4",
                               "aws:amz:us-east-1:s3", "--user", "AKTEST:SKTEST", "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD",
                               *arguments], capture_output=True, timeout=60, check=False)
        return done.stdout.decode()

    def listed(self, prefix):
        """{name: size} of all versions, without the prefix of the backup."""
        done = subprocess.run(["radosgw-admin", "-c", os.path.join(directory, "ceph.conf"), "bucket", "list", "--max-entries", "1000",
                               f"--bucket={self.bucket}"], capture_output=True, timeout=60, check=True)
        return {entry["name"][len("office/"):]: entry["meta"]["size"] for entry in json.loads(done.stdout)
                if entry["name"].startswith("office/" + prefix)}

    def vault(self, *options):
        self.bucket = "recovery" + self._testname.replace("_", "-")[:30].rstrip("-")
        self.url = f"s3://{self.bucket}/office"
        self.mounted("-f")
        self.add(self.url, "--create", *options)
        for i in range(60):
            self.put(f"Landing/tree/{i % 7}/{i}.bin", os.urandom(70000 * (i % 11)))
        self.put("Landing/large", os.urandom(90 << 20))
        self.is_whole(self.url)
        self.lose()

    def expect_whole(self):
        self.check("Clean: every byte is accounted for" in self.assayfs("fsck", "--passfile", "pass", "again").out, "fsck")
        os.makedirs(self.path("again-mnt"), exist_ok=True)
        self.assayfs("mount", "--passfile", "pass", "again", "again-mnt")
        done = subprocess.run(["diff", "-r", self.path("was"), self.path("again-mnt/Landing")], capture_output=True, check=False)
        self.check(done.returncode == 0, done.stdout.decode()[:300])
        self.assayfs("log", "verify", "again-mnt")
        self.unmount(self.path("again-mnt"))
        shutil.rmtree(self.path("again"))

    def recover(self, *options, code=0):
        return self.assayfs("recover", "--passfile", "pass", *options, self.url, "again", code=code)

    def test_a_bucket_gives_the_vault_back(self):
        self._testname = "plain"
        self.vault()
        begun = time.monotonic()
        print("      ", self.recover("--full").out.splitlines()[1], f"{time.monotonic() - begun:.1f} s")
        self.expect_whole()
        self.recover()
        os.makedirs(self.path("again-mnt"), exist_ok=True)
        self.assayfs("mount", "--passfile", "pass", "again", "again-mnt")
        done = subprocess.run(["diff", "-r", self.path("was"), self.path("again-mnt/Landing")], capture_output=True, check=False)
        self.check(done.returncode == 0, f"lazily: {done.stdout.decode()[:300]}")

    def test_what_was_deleted_and_overwritten_under_lock_comes_back(self):
        self._testname = "locked"
        self.vault("--lock-days", "1")
        garbage = self.write("garbage", os.urandom(1 << 20))
        newest = max(self.listed("super/"))
        packs = self.listed("meta/")
        extents = self.listed("segments/")
        self.check(newest and packs and len(extents) > 3, f"{newest} {packs} {extents}")
        for name in [newest, max(packs), *list(extents)[::3]]:
            answer = self.curl("-X", "DELETE", f"{ENDPOINT}/{self.bucket}/office/{name}")
            self.check(answer == "204", f"{name}: {answer}")
        for name in list(extents)[1::3]:
            size = int(extents[name])
            with open(garbage, "wb") as file:
                file.write(os.urandom(size))
            answer = self.curl("-T", garbage, f"{ENDPOINT}/{self.bucket}/office/{name}")
            self.check(answer == "200", f"{name}: {answer}")
        answer = self.curl(f"{ENDPOINT}/{self.bucket}/office/{newest}")
        self.check(answer == "404", f"the superblock was not deleted: {answer}")
        self.recover("--full")
        self.expect_whole()


directory = tempfile.mkdtemp(prefix="assayfs-s3.")
try:
    started = subprocess.run([SCRIPT, "start", directory], stdout=subprocess.PIPE, text=True, timeout=180, check=False)
    ENDPOINT = started.stdout.strip()
    if started.returncode != 0:
        with open(os.path.join(directory, "log", "start"), encoding="utf-8", errors="replace") as log:
            print(log.read()[-3000:])
        sys.exit(1)
    for variable in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[variable]
    ServedRecovery.environment = {"AWS_ACCESS_KEY_ID": "AKTEST", "AWS_SECRET_ACCESS_KEY": "SKTEST",
                                  "AWS_ENDPOINT_URL": ENDPOINT, "no_proxy": "*"}
    code = ServedRecovery().run()
finally:
    subprocess.run([SCRIPT, "stop", directory], timeout=60, check=False)
    shutil.rmtree(directory, ignore_errors=True)
sys.exit(code)
