#!/usr/bin/env python3
"""Backups to another directory, from the command line: what is there, what is found, what is refused.

usage: test_backup.py ASSAYFS SOURCE

tests: fs/service/backup, fs/command/backup, fs/command/backup_add, fs/command/backup_verify, fs/watch/replication
"""
import os
import shutil
import subprocess
import sys
import time

from backing import BackupTests, CHEAP, flip, objects, replication
from cli import ASSAYFS

if not os.path.exists("/dev/fuse"):
    print("skipped: /dev/fuse is missing")
    sys.exit(77)

CANARY = b"a canary that sings in no bucket. "
ROLES = """version: 1
roles: {steward: {users: [root, "64002"]}, ingester: {users: ["64001"]}, auditor: {users: ["64003"]}}
"""
INGESTER, STEWARD, AUDITOR, NOBODY = 64001, 64002, 64003, 64004


class Backups(BackupTests):
    def backed_up(self, *options, name="place"):
        """A mount with one target that has all: (directory, URL)."""
        self.mounted()
        place, url = self.place(name)
        self.put("Landing/canary-name.txt", CANARY * 3000)
        self.add(url, "--create", *options)
        self.is_whole(url)
        return place, url

    # ---- shipping ----

    def test_what_is_written_is_there_sealed_and_the_status_says_so(self):
        place, url = self.backed_up()
        names = objects(place)
        for folder in ("super/", "meta/", "segments/", "header/"):
            self.check(any(name.startswith(folder) for name in names), f"nothing in {folder}: {sorted(names)}")
        for name in names:
            with open(os.path.join(place, name), "rb") as file:
                content = file.read()
            self.check(b"canary" not in content and "canary" not in name, f"{name} says what it is")
        found = self.target(url, code=0)
        for key in ("url", "state", "pending", "failed", "lag_seconds", "pending_bytes", "lag_bytes", "generation", "shipped", "retry",
                    "trouble", "zones", "prefix", "lock_days", "endpoint", "generations", "stored_bytes", "refused"):
            self.check(key in found, f"no {key}: {found}")
        self.check(found["generation"] >= 1 and found["shipped"].endswith("Z") and found["trouble"] == "" and found["retry"] is None, f"{found}")
        self.check(found["zones"] == ["Landing", "Raw", "Trusted"] and found["shipped_bytes"] >= 3000 * len(CANARY), f"{found}")
        words = self.assayfs("backup", "status", "mnt").out
        self.check(url in words and "none" in words, words)
        status = self.json("status", "--json", "mnt")
        self.check(status["backup"]["targets"] == 1 and status["backup"]["lag_seconds"] == 0, f"{status['backup']}")
        self.check("\nBackup: 1 target, " in self.assayfs("status", "mnt").out, "status in words")
        added = [r for r in self.records("--event", "backup-add")]
        self.check(len(added) == 1 and url in added[0]["detail"] and added[0]["outcome"] == "ok", f"{added}")

    def test_it_goes_there_by_itself_within_seconds(self):
        _, url = self.backed_up()
        before = self.target(url)["generation"]
        self.put("Landing/later.txt", b"later")
        self.assayfs("sync", "mnt")
        self.until(url, lambda t: t["generation"] > before and t["lag_seconds"] == 0, "not shipped by itself", 30)

    def test_a_file_says_whether_it_is_there(self):
        self.mounted()
        _, all_url = self.place("all")
        path = self.put("Landing/a.txt", b"one")
        try:
            os.getxattr(path, "user.assayfs.replication")
            self.check(False, "it answers while there is no backup")
        except OSError:
            pass
        self.check(self.json("versions", "--json", path)["versions"][0]["replication"] is None, "no backup, but a word")
        self.add(all_url, "--create")
        self.is_whole(all_url)
        self.check(os.getxattr(path, "user.assayfs.replication") == b"COMPLETED", "not completed")
        self.check(self.json("versions", "--json", path)["versions"][0]["replication"] == "COMPLETED", "the version is not")
        self.check("COMPLETED" in self.assayfs("versions", path).out, "no column")

    def test_a_rule_takes_zones_alone(self):
        self.mounted()
        _, url = self.place()
        path = self.put("Landing/a.txt", b"one")
        self.add(url, "--create", "--zone", "Raw", "--zone", "Trusted")
        found = self.is_whole(url)
        self.check(found["zones"] == ["Raw", "Trusted"], f"{found}")
        try:
            self.check(False, f"Landing's file says {os.getxattr(path, 'user.assayfs.replication')}")
        except OSError:
            pass
        self.check("zone" in self.add(url, "--zone", "Attic", code=2).err, "a zone that there is not")

    def test_a_rule_takes_what_is_below_a_prefix(self):
        self.mounted()
        place, url = self.place()
        contents = {"Landing/reports/a.csv": os.urandom(200000), "Landing/other/b.csv": os.urandom(300000)}
        for name, content in contents.items():
            self.put(name, content)
            self.assayfs("umount", "mnt")  # each in a segment of its own
            self.mount()
        refused = self.add(url, "--create", "--prefix", "Landing/reports/", code=2).err
        self.check("--zone Landing --prefix 'reports/'" in refused, refused)
        self.check("begins with '/x'" in self.add(url, "--create", "--prefix", "/x", code=2).err, "a prefix that no path has")
        self.add(url, "--create", "--prefix", "reports/")
        found = self.is_whole(url)
        self.check(found["prefix"] == "reports/", f"{found}")
        segments = {name: size for name, size in objects(place).items() if name.startswith("segments/")}
        self.check(200000 < sum(segments.values()) < 300000, f"not the one segment: {segments}")
        words = [replication(os.path.join(self.mnt, name)) for name in contents]
        self.check(words == [b"COMPLETED", None], f"{words}")
        self.check("--prefix" not in self.assayfs("backup", "status", "mnt").out and
                   "reports/" in self.assayfs("backup", "status", "mnt").out, "the status says no prefix")
        self.check(self.verify()["findings"] == [], "what the rule does not take counts as gone")
        # What is renamed into it follows, and is not said to be there before.
        os.rename(place, place + ".away")
        os.rename(os.path.join(self.mnt, "Landing/other/b.csv"), os.path.join(self.mnt, "Landing/reports/b.csv"))
        self.until(url, lambda t: t["state"] in ("failed", "retrying"), "a place that is away is not missed")
        said = replication(os.path.join(self.mnt, "Landing/reports/b.csv"))
        self.check(said in (b"PENDING", b"FAILED"), f"what is not there is {said}")
        os.rename(place + ".away", place)
        self.is_whole(url)
        self.check(replication(os.path.join(self.mnt, "Landing/reports/b.csv")) == b"COMPLETED", "the renamed one")
        os.rename(os.path.join(self.mnt, "Landing/reports/a.csv"), os.path.join(self.mnt, "Landing/other/a.csv"))
        self.is_whole(url)
        self.check(replication(os.path.join(self.mnt, "Landing/other/a.csv")) == b"COMPLETED", "it was below it once")
        segments = {name: size for name, size in objects(place).items() if name.startswith("segments/")}
        self.check(sum(segments.values()) > 500000, f"the renamed one is not there: {segments}")
        self.put("Landing/other/c.csv", b"c" * 100000)
        told = self.add(url, "--zone", "all").out
        self.check("Prefix: reports/, as before" in told, told)
        told = self.add(url, "--prefix", "").out
        self.check("Prefix: none (before: reports/)" in told, told)
        self.is_whole(url)
        self.check(replication(os.path.join(self.mnt, "Landing/other/c.csv")) == b"COMPLETED", "all is not taken")
        added = [r["detail"] for r in self.records("--event", "backup-add")]
        self.check("prefix: reports/" in added[0] and "prefix" not in added[-1], f"{added}")

    def test_two_targets_both_have_all_and_after_a_mount_too(self):
        place, url = self.backed_up()
        other, other_url = self.place("other")
        self.add(other_url, "--create")
        self.is_whole(other_url)
        self.put("Landing/both.txt", os.urandom(100000))
        self.assayfs("backup", "sync", "--timeout", "100", "mnt")
        self.check([t["lag_seconds"] for t in self.targets()] == [0, 0], f"{self.targets()}")
        self.assayfs("umount", "mnt")
        self.mount()
        self.check(sorted(t["url"] for t in self.targets()) == sorted([url, other_url]), "forgotten with the mount")
        self.put("Landing/again.txt", b"again")
        for each in (url, other_url):
            self.is_whole(each)
        self.check(len([n for n in objects(place) if n.startswith("segments/")])
                   == len([n for n in objects(other) if n.startswith("segments/")]), "they differ")

    # ---- verifying ----

    def test_a_flipped_bit_is_named_and_healed(self):
        place, url = self.backed_up()
        self.check(self.verify()["findings"] == [], "a finding in a whole backup")
        segment = max((name for name in objects(place) if name.startswith("segments/")), key=objects(place).get)
        flip(os.path.join(place, segment))
        left = self.verify("--no-heal", url, code=1)
        self.check([f["object"] for f in left["findings"]] == [segment] and not left["findings"][0]["healed"], f"{left}")
        found = self.assayfs("backup", "verify", url, "mnt", code=1).out
        self.check(segment in found and "put anew" in found, found)
        whole = self.verify(url)
        self.check(whole["findings"] == [] and whole["targets"][0]["objects"] > 0 and whole["targets"][0]["bytes"] > 0, f"{whole}")
        done = [r for r in self.records("--event", "backup-verify")]
        outcomes = sorted(r["outcome"] for r in done)
        self.check(outcomes == ["error", "ok", "ok", "ok"], f"{done}")  # what was not healed
        self.check(all("objects" in r["detail"] and url in r["detail"] for r in done), f"{done}")
        self.check(any("1 findings, 1 healed" in r["detail"] for r in done), f"{done}")
        status = self.target(url)
        self.check(status["last_findings"] == 0 and status["last_verified"].endswith("Z"), f"{status}")

    def test_one_target_that_is_gone_does_not_keep_the_next_from_being_read(self):
        place, url = self.backed_up(name="a")
        _, other_url = self.place("b")
        self.add(other_url, "--create")
        self.is_whole(other_url)
        shutil.move(place, place + ".away")
        told = self.assayfs("backup", "verify", "mnt", code=3).out
        self.check(f"!! {url}: " in told and f"{other_url}: " in told and "nothing is wrong" in told, told)
        shutil.move(place + ".away", place)

    # ---- rules ----

    def test_what_is_not_given_again_stays_and_what_changes_is_said(self):
        self.mounted()
        _, url = self.place()
        self.add(url, "--create", "--zone", "Raw")
        self.check("Zones: Raw, as before" in self.add(url).out, "zones are dropped")
        self.check(self.target(url)["zones"] == ["Raw"], f"{self.target(url)}")
        told = self.add(url, "--zone", "all").out
        self.check("Zones: Landing, Raw, Trusted (before: Raw)" in told, told)
        self.check(self.target(url)["zones"] == ["Landing", "Raw", "Trusted"], f"{self.target(url)}")
        added = self.records("--event", "backup-add")
        self.check(any("zones: Raw; lock days: 0; endpoint: none" in r["detail"] for r in added), f"{added}")

    def test_what_is_gone_is_found_too(self):
        place, url = self.backed_up()
        part = next(name for name in sorted(objects(place), reverse=True) if name.startswith("meta/"))
        os.unlink(os.path.join(place, part))
        found = self.verify(url, code=1)["findings"]
        self.check(any(f["object"] == part or part.startswith(f["object"]) for f in found), f"{part}: {found}")
        self.check(self.verify("--sample", "50", url)["findings"] == [], "not healed")

    # ---- refused ----

    def test_wrong_targets_are_refused_and_not_kept(self):
        self.mounted()
        place, url = self.place()
        for wrong in ("http://example.org/x", "s3://", "bucket", "file://relative", "file:///a/../b"):
            self.one_line(self.add(wrong, "--create", code=2))
        self.one_line(self.add(url, code=1))  # it is not there, and was not to be made
        self.write("plain", "a file")
        self.add("file://" + self.path("plain"), "--create", code=None)
        self.add(url, "--create", "--lock-days", "36501", code=2)
        missing = self.add("file://" + self.path("a/b/c"), "--create", code=1)
        self.check(self.path("a") + " is missing" in missing.err, missing.err)
        inside = self.add("file://" + self.path("v/backup"), "--create", code=2)
        self.check("in the vault itself" in inside.err, inside.err)
        self.check(self.targets() == [] and not os.path.exists(place), "kept all the same")
        self.assayfs("backup", "remove", url, "mnt", code=1)
        self.assayfs("backup", "sync", "mnt", code=1)
        self.assayfs("backup", "verify", url, "mnt", code=1)
        self.assayfs("backup", "verify", "--sample", "101", "mnt", code=2)
        self.assayfs("backup", "sync", "nonsense", "mnt", code=2)
        self.assayfs("backup", "status", self.directory, code=5)

    def test_the_backup_of_another_vault_is_left_alone(self):
        place, url = self.backed_up()
        before = objects(place)
        self.assayfs("umount", "mnt")
        shutil.move(self.path("v"), self.path("first"))
        self.assayfs("init", *CHEAP, "--passfile", "pass", "v")
        self.mount()
        self.one_line(self.add(url, code=1))
        self.check(self.targets() == [] and objects(place) == before, "touched")

    def test_only_stewards_change_it(self):
        os.chmod(self.directory, 0o755)
        self.mounted("-o", "allow_other")
        os.makedirs(self.path("policy"))
        self.write("policy/policy.yaml", ROLES)
        self.assayfs("policy", "apply", "policy", "mnt")
        _, url = self.place()
        self.add(url, "--create")
        self.is_whole(url)
        tries = {"backup-add": ["backup", "add", "file:///nowhere", self.mnt], "backup-remove": ["backup", "remove", url, self.mnt],
                 "backup-verify": ["backup", "verify", url, self.mnt], "backup-sync": ["backup", "sync", url, self.mnt]}
        for uid in (INGESTER, AUDITOR, NOBODY):
            as_user = ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", ASSAYFS]
            for event, arguments in tries.items():
                done = subprocess.run([*as_user, *arguments], capture_output=True, check=False, timeout=60, cwd="/")
                self.check(done.returncode == 6, f"{event} by {uid}: {done.returncode} {done.stderr}")
            shown = subprocess.run([*as_user, "backup", "status", "--json", self.mnt], capture_output=True, check=False, timeout=60, cwd="/")
            self.check(shown.returncode == 0, f"status by {uid}: {shown.stderr}")
        # By the daemon's rights a directory could be anybody's.
        done = subprocess.run(["setpriv", "--reuid", str(STEWARD), "--regid", str(STEWARD), "--clear-groups", ASSAYFS, "backup", "add",
                               "--create", "file://" + self.path("rights"), self.mnt], capture_output=True, check=False, timeout=60, cwd="/")
        self.check(done.returncode == 6 and b"whoever mounted" in done.stderr, f"a directory by a steward: {done.returncode} {done.stderr}")
        self.check(not os.path.exists(self.path("rights")), "it was made")
        # Nor are the daemon's credentials anybody's.
        clean = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
        done = subprocess.run(["setpriv", "--reuid", str(STEWARD), "--regid", str(STEWARD), "--clear-groups", ASSAYFS, "backup", "add",
                               "s3://bucket/vault", self.mnt], capture_output=True, check=False, timeout=60, cwd="/", env=clean)
        self.check(done.returncode == 6 and b"bring yours" in done.stderr, f"a bucket by a steward: {done.returncode} {done.stderr}")
        denied = [(r["event"], r["uid"]) for r in self.records("--outcome", "denied") if r["event"].startswith("backup-")]
        self.check(sorted(denied) == sorted([("backup-add", STEWARD)] * 2 + [(event, uid) for event in tries for uid in (INGESTER, AUDITOR, NOBODY)]), f"{denied}")
        self.check(len(self.targets()) == 1, "changed by somebody else")

    # ---- trouble ----

    def test_a_target_that_is_gone_holds_nothing_up_and_catches_up(self):
        place, url = self.backed_up()
        shutil.move(place, place + ".away")
        self.put("Landing/meanwhile.txt", b"meanwhile" * 1000)
        self.assayfs("sync", "mnt")
        found = self.until(url, lambda t: t["state"] in ("retrying", "failed"), "nobody noticed")
        self.check(found.get("trouble") and found["lag_seconds"] > 0, f"{found}")
        self.check(self.assayfs("backup", "sync", "--timeout", "2", url, "mnt", code=None).returncode in (1, 3), "synced to nowhere")
        begun = time.monotonic()
        self.put("Landing/more.txt", b"more")
        self.check(time.monotonic() - begun < 5, "writing waits for the target")
        shutil.move(place + ".away", place)
        self.is_whole(url)  # by itself within a minute; who waits has it tried at once
        self.check(self.verify(url)["findings"] == [], "not whole afterwards")

    def test_after_a_mount_nothing_is_said_of_a_target_that_was_not_listed(self):
        place, url = self.backed_up()
        self.assayfs("umount", "mnt")
        shutil.move(place, place + ".away")
        self.mount()
        found = self.until(url, lambda t: t["trouble"], "nobody noticed")
        self.check(all(found[key] is None for key in ("lag_seconds", "pending", "failed", "pending_bytes", "lag_bytes")), f"{found}")
        words = self.assayfs("backup", "status", "mnt", code=None).out
        self.check("not known yet" in words and f"!! {url}: " in words and "next try " in words, words)
        self.check("not known yet" in self.assayfs("status", "mnt", code=None).out, "the status knows")
        with open(os.path.join(self.mnt, ".assayfs/metrics"), encoding="utf-8") as file:
            text = file.read()
        self.check(f'assayfs_backup_lag_seconds{{target="{url}"}}' in text and f'assayfs_backup_lag_bytes{{target="{url}"}}' not in text, "metrics")
        shutil.move(place + ".away", place)
        self.is_whole(url)
        self.check("!!" not in self.assayfs("backup", "status", "mnt").out, "trouble that is over")

    def test_an_unmount_waits_for_no_dead_target(self):
        place, url = self.backed_up()
        shutil.move(place, place + ".away")
        self.put("Landing/meanwhile.txt", b"meanwhile")
        self.assayfs("sync", "mnt")
        self.until(url, lambda t: t["state"] in ("retrying", "failed"), "nobody noticed")
        waiting = self.begin("backup", "sync", url, "mnt")
        time.sleep(0.5)
        begun = time.monotonic()
        self.assayfs("umount", "mnt")
        self.check(time.monotonic() - begun < 20, f"the unmount took {time.monotonic() - begun:.0f} s")
        self.check(waiting.wait(20) != 0, "it was not told")
        waiting.communicate()
        self.assayfs("fsck", "--passfile", "pass", "v")

    def test_a_full_target_is_said_and_goes_on_with_room(self):
        if os.getuid() != 0:
            return
        self.mounted()
        place, url = self.place()
        os.makedirs(place)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], check=True)
        try:
            self.put("Landing/small.txt", b"small")
            self.add(url)
            self.put("Landing/large.bin", os.urandom(3 << 20))
            self.assayfs("sync", "mnt")
            found = self.until(url, lambda t: t["state"] == "failed", "it does not say that it is full")
            self.check(found.get("failed", 0) > 0 and found.get("trouble"), f"{found}")
            self.assayfs("backup", "status", "mnt", code=1)
            self.check("!! " in self.assayfs("backup", "status", "mnt", code=1).out, "in words")
            subprocess.run(["mount", "-o", "remount,size=64m", place], check=True)
            self.is_whole(url)
            self.assayfs("umount", "mnt")
        finally:
            self.clean_up()
            subprocess.run(["umount", place], check=False)

    # ---- the end ----

    def test_a_target_that_is_removed_keeps_what_it_has(self):
        place, url = self.backed_up()
        self.assayfs("backup", "remove", url, "mnt")
        before = objects(place)
        self.put("Landing/after.txt", b"after")
        self.assayfs("sync", "mnt")
        time.sleep(1)
        self.check(self.targets() == [] and objects(place) == before, "something is still shipped, or was removed")
        self.check("There is no backup" in self.assayfs("backup", "status", "mnt").out, "status of none")
        self.check("\nBackup: none\n" in self.assayfs("status", "mnt").out, "none in status")
        self.assayfs("backup", "remove", url, "mnt", code=1)
        self.add(url)  # and again, to what is there
        self.is_whole(url)
        self.check([r["event"] for r in self.records() if r["event"].startswith("backup-") and r["outcome"] == "ok"]
                   == ["backup-add", "backup-remove", "backup-add"], "records")

    def test_figures_tell_of_the_target(self):
        _, url = self.backed_up()
        with open(os.path.join(self.mnt, ".assayfs/metrics"), encoding="utf-8") as file:
            text = file.read()
        for line in (f'assayfs_backup_state{{target="{url}"}} ', f'assayfs_backup_lag_seconds{{target="{url}"}} 0',
                     f'assayfs_backup_failed_versions{{target="{url}"}} 0', f'assayfs_backup_retries_total{{target="{url}"}} '):
            self.check(f"\n{line}" in text, f"no {line}")


if __name__ == "__main__":
    sys.exit(Backups().run())
