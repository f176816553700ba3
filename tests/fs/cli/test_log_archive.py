#!/usr/bin/env python3
"""Old records of the log: sealed, shipped, pruned, and read again away from the mount.

usage: test_log_archive.py ASSAYFS SOURCE

tests: fs/service/log_archive, fs/command/log_archive, fs/command/log_open
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import time

from cli import ASSAYFS, Tests

if not os.path.exists("/dev/fuse"):
    print("skipped: /dev/fuse is missing")
    sys.exit(77)

CHEAP = ["--argon-mem", "1024", "--argon-ops", "1"]
ROLES = """version: 1
roles: {steward: {users: [root]}, auditor: {users: ["65534"]}}
audit: {archive_after_days: 1, ship: /srv/logs, keep_days: 30}
"""


class ArchiveTests(Tests):
    def mounted(self, *options, files=300):
        self.mnt, self.ship = self.path("mnt"), self.path("ship")
        self.write("pass", "correct horse\n")
        self.assayfs("init", *CHEAP, "--passfile", "pass", "v")
        os.makedirs(self.mnt)
        os.makedirs(self.ship)
        self.assayfs("mount", *options, "--passfile", "pass", "v", "mnt")
        self.use(files)

    def use(self, files):
        for i in range(files):
            with open(os.path.join(self.mnt, "Landing", f"f{i}"), "w", encoding="utf-8") as file:
                file.write("x")

    def clean_up(self):
        if f" {self.path('mnt')} " in open("/proc/self/mountinfo", encoding="utf-8").read():
            self.unmount(self.path("mnt"))

    def lines(self, *options):
        return self.assayfs("log", "--json", *options, "mnt").out.splitlines()

    def shipped(self):
        return sorted(os.path.join(self.ship, name) for name in os.listdir(self.ship))

    def opened(self, *files, code=0):
        return self.assayfs("log", "open", "--passfile", "pass", "v", *files, code=code)

    def test_what_is_pruned_is_in_the_archives_line_by_line(self):
        self.mounted()
        before = self.lines()
        first = self.json("log", "archive", "--json", "--before", "now", "--to", "ship", "mnt")
        self.check([len(first[name]) for name in ("archived", "shipped", "pruned")] == [1, 1, 0], f"{first}")
        self.check(self.lines()[:len(before)] == before, "sealing changed the log")
        self.use(150)
        second = self.json("log", "archive", "--json", "--before", "now", "--to", "ship", "--prune", "now", "mnt")
        self.check([len(second[name]) for name in ("archived", "shipped", "pruned")] == [1, 1, 2], f"{second}")
        gone = second["pruned"][-1]["last"] + 1
        self.check(gone >= 768 and gone % 256 == 0, f"{gone} records were pruned")
        archived = self.opened(*self.shipped()).out.splitlines()
        self.check([json.loads(line)["seq"] for line in archived] == list(range(gone)), "not every record once")
        self.check(archived[:len(before)] == before[:gone], "the lines are others")
        left = self.lines()
        self.check(json.loads(left[0])["seq"] == gone, f"the log begins with {left[0]}")
        events = [json.loads(line)["event"] for line in left]
        for event in ("log-archive", "log-ship", "log-prune"):
            self.check(event in events, f"no record {event}")
        self.check(all(os.path.join(self.ship, name) in self.assayfs("log", "--event", "log-prune", "mnt").out
                       for name in os.listdir(self.ship)), "the log does not say where they are")
        self.assayfs("umount", "mnt")
        self.assayfs("fsck", "--passfile", "pass", "v")

    def test_what_was_signed_before_holds_for_the_pruned_log(self):
        self.mounted()
        self.assayfs("sync", "mnt")
        key = self.assayfs("log", "key", "mnt").out.strip().splitlines()[-1]
        for _ in range(100):
            checkpoint = open(os.path.join(self.mnt, ".assayfs/audit/checkpoint"), encoding="utf-8").read()
            if int(checkpoint.splitlines()[1]) > 600:
                break
            time.sleep(0.1)
        self.write("old", checkpoint)
        self.assayfs("log", "archive", "--before", "now", "--to", "ship", "--prune", "now", "mnt")
        verified = self.json("log", "verify", "--json", "--key", key, "--from", "old", "mnt")
        self.check(verified["pruned"] == 512 and verified["records"] > 600, f"{verified}")
        self.check("in archives" in self.assayfs("log", "verify", "mnt").out, "verify does not say what it did not see")
        self.one_line(self.assayfs("log", "prove", "5", "mnt", code=1), "record 5", "in an archive only", "before 512")
        self.assayfs("log", "prove", "512", "mnt")
        # where the pruned records' hashes are not those that were signed, it is noticed
        shutil.copytree(os.path.join(self.mnt, ".assayfs/audit"), self.path("copy"))
        tile = self.path("copy/tile/0/000")
        os.chmod(tile, 0o600)
        with open(tile, "r+b") as file:
            byte = file.read(1)
            file.seek(0)
            file.write(bytes([byte[0] ^ 1]))
        self.assayfs("log", "verify", "--key", key, "copy", code=1)

    def test_a_question_about_what_is_pruned_is_told_where_it_is(self):
        self.mounted()
        self.check("archives" not in self.assayfs("log", "mnt").err, "told before there is anything")
        self.assayfs("log", "archive", "--before", "now", "--to", "ship", "--prune", "now", "mnt")
        self.one_line(self.assayfs("log", "mnt"), "are in archives only (assayfs log archive --list)")
        self.check(self.assayfs("log", "-n", "1", "mnt").err == "", "told of what was not asked for")
        self.check(self.assayfs("log", "--since", "now", "mnt").err == "", "told of what was not asked for")

        self.one_line(self.assayfs("log", "summary", "mnt"), "are in archives only (assayfs log archive --list)")
        summary = self.json("log", "summary", "--json", "mnt")
        self.check(summary["pruned"] >= 256 and summary["pruned_before"] <= summary["first_ns"], f"{summary}")
        self.check("pruned" not in self.json("log", "summary", "--json", "--since", "now", "mnt"), "told of what was not asked for")

    def test_who_follows_is_told_of_what_was_pruned_before_he_read_it(self):
        self.mounted()
        with subprocess.Popen([ASSAYFS, "log", "--follow", "--json", self.mnt], stdout=subprocess.PIPE,
                              stderr=open(self.path("notes"), "wb")) as follower:
            first = json.loads(follower.stdout.readline())
            follower.send_signal(signal.SIGSTOP)
            self.use(3000)  # more than what waits on the way to him
            self.assayfs("sync", "mnt")
            self.assayfs("log", "archive", "--before", "now", "--to", "ship", "--prune", "now", "mnt")
            before = self.lines()[-1]
            follower.send_signal(signal.SIGCONT)
            read = [first["seq"]]
            for line in follower.stdout:
                read.append(json.loads(line)["seq"])
                if read[-1] >= json.loads(before)["seq"]:
                    break
            follower.terminate()
        gaps = [a for a, b in zip(read, read[1:]) if b != a + 1]
        with open(self.path("notes"), encoding="utf-8") as notes:
            told = notes.read().count("are in archives only")
        self.check(gaps, "nothing was pruned before it was read: the test shows nothing")
        self.check(told == 1, f"{gaps}, told {told} times")

    def test_what_was_not_shipped_is_not_pruned(self):
        self.mounted()
        self.check("Nothing" in self.assayfs("log", "archive", "--list", "mnt").out, "archives of a new vault")
        self.assayfs("log", "archive", "--before", "2020-01-01", "mnt")
        self.check("Nothing" in self.assayfs("log", "archive", "--list", "mnt").out, "records of today were archived")
        refused = self.assayfs("log", "archive", "--before", "now", "--prune", "now", "mnt", code=1)
        self.one_line(refused, "records 0 to 511 were archived, but not shipped: they stay", "--to")
        self.check(json.loads(self.lines()[0])["seq"] == 0, "pruned all the same")
        self.check("sealed" in self.assayfs("log", "archive", "--list", "mnt").out, "not listed")
        self.one_line(self.assayfs("log", "archive", "--to", "nowhere", "mnt", code=1), "nowhere")
        self.assayfs("log", "archive", "--to", "ship", "mnt")
        row = self.json("log", "archive", "--list", "--json", "mnt")["archives"][0]
        self.check(row["place"] == self.shipped()[0] and not row["pruned"], f"{row}")
        copies = [open(path, "rb").read() for path in (self.shipped()[0], self.path("v/" + row["file"]))]
        self.check(copies[0] == copies[1] and len(copies[0]) == row["bytes"], "the copy is another")

    def test_a_changed_file_is_told_and_nothing_of_it_printed(self):
        self.mounted()
        self.assayfs("log", "archive", "--before", "now", "--to", "ship", "mnt")
        path = self.shipped()[0]
        whole = open(path, "rb").read()
        self.check(b"Landing" not in whole, "names can be read in it")
        for content, words in ((whole[:300] + bytes([whole[300] ^ 1]) + whole[301:], "does not authenticate"),
                               (whole[:-1], "cut off"), (whole + b"x", "behind"), (b"words", "no archive")):
            self.write("bad", content)
            self.one_line(self.opened("bad", code=1), "bad", words)
            self.check(self.opened("bad", code=1).out == "", "records of a changed file")
        both = self.opened("bad", path, code=1)
        self.check(len(both.out.splitlines()) == 512, "the whole one was not printed")
        # in the vault itself nothing is pruned then
        with open(self.path("v/audit/0000000000000000"), "r+b") as file:
            file.write(b"x")
        self.one_line(self.assayfs("log", "archive", "--prune", "now", "mnt", code=3), "audit/0000000000000000")
        self.check(json.loads(self.lines()[0])["seq"] == 0, "pruned all the same")
        self.assayfs("umount", "mnt")
        self.check("audit/0000000000000000" in self.assayfs("fsck", "--passfile", "pass", "v", code=1).out, "fsck")

    def test_files_are_opened_with_vault_json_and_a_secret_alone(self):
        self.mounted()
        self.assayfs("log", "archive", "--before", "now", "--to", "ship", "mnt")
        self.assayfs("umount", "mnt")
        os.makedirs(self.path("kept"))
        shutil.copy(self.path("v/vault.json"), self.path("kept"))
        shutil.rmtree(self.path("v"))
        path = self.shipped()[0]
        verified = self.json("log", "open", "--verify", "--json", "--passfile", "pass", "kept", path)["archives"]
        self.check([verified[0][name] for name in ("first", "last")] == [0, 511], f"{verified}")
        self.check("whole; records 0 to 511" in self.assayfs("log", "open", "--verify", "--passfile", "pass", "kept", path).out, "verify")
        self.write("other", "wrong\n")
        self.assayfs("log", "open", "--passfile", "other", "kept", path, code=12)
        self.assayfs("log", "open", "--passfile", "pass", "ship", path, code=7)
        self.assayfs("log", "open", "--passfile", "pass", "kept", "nowhere", code=1)
        self.assayfs("log", "open", "--json", "--passfile", "pass", "kept", path, code=2)
        self.assayfs("init", *CHEAP, "--passfile", "pass", "v2")
        self.one_line(self.assayfs("log", "open", "--passfile", "pass", "v2", path, code=1), "another vault")

    def test_bad_use_says_what_would_be_right(self):
        self.mounted(files=0)
        self.one_line(self.assayfs("log", "archive", "--before", "soonish", "mnt", code=2), "soonish")
        self.one_line(self.assayfs("log", "archive", "--prune", "soonish", "mnt", code=2), "soonish")
        self.one_line(self.assayfs("log", "archive", "--list", "--to", "ship", "mnt", code=2), "--list")
        self.assayfs("umount", "mnt")
        self.assayfs("log", "archive", "mnt", code=5)

    def test_nothing_is_shipped_into_a_vault(self):
        self.mounted()
        self.assayfs("log", "archive", "--before", "now", "mnt")
        for place in ("v", "v/segments", "mnt/Landing"):
            self.one_line(self.assayfs("log", "archive", "--to", place, "mnt", code=2), "lies in a vault")
        listed = self.json("log", "archive", "--list", "--json", "mnt")["archives"]
        self.check(listed and not any("shipped" in row for row in listed), f"{listed}")

    def test_a_read_only_mount_archives_nothing(self):
        self.mounted()
        self.assayfs("umount", "mnt")
        self.assayfs("mount", "-o", "ro", "--passfile", "pass", "v", "mnt")
        self.one_line(self.assayfs("log", "archive", "--before", "now", "mnt", code=1), "read-only")
        self.check("Nothing" in self.assayfs("log", "archive", "--list", "mnt").out, "not listed")

    def test_only_stewards_change_what_is_kept_and_auditors_look(self):
        if os.geteuid() != 0:
            return
        self.mounted("-o", "allow_other")
        os.makedirs(self.path("policy"))
        self.write("policy/policy.yaml", ROLES)
        self.assayfs("policy", "apply", "policy", "mnt")
        os.chmod(self.directory, 0o755)
        self.assayfs("log", "archive", "--before", "now", "mnt")
        for uid, listed in ((65534, 0), (65533, 6)):
            as_user = {"user": uid, "group": uid, "extra_groups": []}
            self.assayfs("log", "archive", "--list", "mnt", code=listed, **as_user)
            self.assayfs("log", "archive", "--before", "now", "mnt", code=6, **as_user)
            self.assayfs("log", "archive", "--prune", "now", "mnt", code=6, **as_user)
        denied = [json.loads(line) for line in self.lines("--outcome", "denied", "--event", "log-archive")]
        self.check({row["uid"] for row in denied} == {65533, 65534}, f"{denied}")


if __name__ == "__main__":
    sys.exit(ArchiveTests().run())
