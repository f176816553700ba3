#!/usr/bin/env python3
"""No object is kept forever in a backup: kill -9 of the daemon and of Ceph's radosgw at random moments, and then all that
is in the bucket is needed.

usage: orphans.py ASSAYFS_HASTY SOURCE      ASSAYFS_BACKUP_KILLS (30)

tests: backend/backup/retain, backend/backup/merge

ASSAYFS_HASTY is the program for which what is needed no more goes after seconds (hasty.c), and for which days pass when the
test says so (aged.c). What is needed is judged by needed.py, not by the program. Among the services.
"""
import os
import signal
import time

import bucket  # first: it skips where something is missing
from needed import Judge
from promise import count

KILLS = count("ASSAYFS_BACKUP_KILLS", 30)
GRACE_S = 4
PASSES_S = 120  # what all of it takes to go at most; some seconds on an idle machine
POLICY = """version: 1
datasets:
  - {name: animals, match: "animals/*.csv", rules: animals.dqdl}
lifecycle:
  - {name: old drafts, zone: Landing, noncurrent_versions: 0, noncurrent_days: 1}
"""
RULES = 'Rules = [ RowCount > 1 ]\n'


class OrphanTests(bucket.BackupTests):
    def age(self, days):
        os.environ["ASSAYFS_TEST_AGE"] = self.path("age")
        self.write("age", f"{days}\n")

    def begin(self, keeps_versions):
        self.age(0)
        os.environ.setdefault("ASSAYFS_TEST_GRACE_S", str(GRACE_S))
        url = self.bucket()
        self.server.s3.create_bucket(Bucket=self.name)
        if keeps_versions:
            self.server.s3.put_bucket_versioning(Bucket=self.name, VersioningConfiguration={"Status": "Enabled"})
        self.mounted(POLICY, RULES)
        self.add(url=url)

    def before_passes(self):
        """What is there while the program stands still: what the kills left, and what is planted beside it."""
        pid = self.json("status", "--json", "mnt")["pid"]
        with open(self.path("v/vault.json"), "rb") as file:
            self.judging = Judge(self.server.s3, self.name, "vault/", file.read(), b"correct horse")
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(0.5)  # what it had asked the server for is done
            left, lacks, there = self.judging.judge()
            planted = self.plant()
            orphans = self.judging.judge()[0]
        finally:
            os.kill(pid, signal.SIGCONT)
        print(f"note: before the passes {len(orphans)} orphans, {len(left)} of the kills; there: {there}", flush=True)
        self.check(not lacks, f"kept generations lack {len(lacks)} things: {lacks[:5]}")
        self.check(planted and set(orphans) == set(left) | set(planted), f"the judge sees {orphans}, planted were {planted}")

    def put_object(self, name, data=b"left behind"):
        self.server.s3.put_object(Bucket=self.name, Key="vault/" + name, Body=data)

    def plant(self):
        """What rounds that were broken off may leave, of each kind; the names as the judge calls them."""
        segment = os.urandom(32).hex()
        names = [f"header/{7:010}-{os.urandom(8).hex()}", f"meta/{1 << 20:016x}/{0:06x}",
                 f"segments/{segment}/{0:08x}-{11:08x}", f"segments/{segment}/{11:08x}-{22:08x}"]
        for name in names:
            self.put_object(name)
        closed = [name for name, (size, is_closed) in self.judging.newest().items() if is_closed and size > 100]
        if closed:  # of what a shipment that was cut had sent, the next one may have sent a part again
            with open(self.path(f"v/segments/{closed[-1][:2]}/{closed[-1]}"), "rb") as file:
                names.append(f"segments/{closed[-1]}/{0:08x}-{100:08x}")
                self.put_object(names[-1], file.read(100))
        key = f"vault/segments/{segment}/{22:08x}-{33:08x}"
        upload = self.server.s3.create_multipart_upload(Bucket=self.name, Key=key)["UploadId"]
        self.server.s3.upload_part(Bucket=self.name, Key=key, UploadId=upload, PartNumber=1, Body=b"left behind")
        return [*names, f"{key} {upload}"]

    def grow_old(self, acknowledged):
        """So many generations that all of the time of the kills may go, and segments that are freed."""
        for path in [path for path, data in acknowledged.items() if data][::2]:
            os.remove(self.path("mnt/" + path))
            acknowledged[path] = None
        self.assayfs("sync", "mnt")
        self.age(2)
        freed = self.json("gc", "--wait", "--json", "mnt", timeout=300)
        self.check(freed["expired"]["versions"] > 0 and freed["freed"]["freed_bytes"] > 0, f"gc freed nothing: {freed}")
        for i in range(10):
            self.replace("Landing/w/last", os.urandom(50000))
            acknowledged["Landing/w/last"] = open(self.path("mnt/Landing/w/last"), "rb").read()
            self.sync(120)

    def until_needed(self):
        """Passes go by until nothing is left that is not needed; what was left last, and what is there."""
        end = time.monotonic() + PASSES_S
        while True:
            orphans, lacks, counts = self.judging.judge()
            if not orphans or time.monotonic() > end:
                return orphans, lacks, counts
            time.sleep(1)

    def listed(self):
        rows = self.json("recover", "--list", "--json", "--passfile", "pass", self.url)["generations"]
        return sorted(row["generation"] for row in rows)

    def kill_and_judge(self, kill_fn, keeps_versions):
        self.begin(keeps_versions)
        acknowledged = self.write_and_kill(kill_fn, KILLS, 2)
        self.sync(300)
        self.before_passes()
        begun = time.monotonic()
        self.grow_old(acknowledged)
        grown = time.monotonic() - begun
        after, lacks, there = self.until_needed()
        print(f"note: after them {len(after)} orphans ({grown:.0f} s, and {time.monotonic() - begun - grown:.0f} s); there: {there}",
              flush=True)
        self.check(not after, f"{len(after)} orphans stay: {list(after.items())[:5]}")
        self.check(not lacks, f"kept generations lack {len(lacks)} things: {lacks[:5]}")
        self.check(self.listed() == there["kept"], f"recover lists {self.listed()}, kept are {there['kept']}")
        self.check(not self.target()["trouble"], f"{self.target()}")
        self.ends_whole(acknowledged)

    def test_the_daemon_is_killed_and_no_orphan_stays(self):
        self.kill_and_judge(self.kill_daemon, keeps_versions=False)

    def test_the_server_is_killed_and_no_orphan_stays_in_a_bucket_with_versions(self):
        self.kill_and_judge(self.kill_server, keeps_versions=True)


if __name__ == "__main__":
    bucket.run(OrphanTests)
