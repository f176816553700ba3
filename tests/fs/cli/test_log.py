#!/usr/bin/env python3
"""The audit log reviewed on a real mount: each filter alone and with each other, held against the lines themselves; the
forms it is printed in; and its summary.

usage: test_log.py ASSAYFS SOURCE

tests: fs/service/log_question
tests: fs/command/log_request
"""
import collections
import csv
import fnmatch
import io
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import time

from cli import ASSAYFS, Tests

if not os.path.exists("/dev/fuse"):
    print("skipped: /dev/fuse is missing")
    sys.exit(77)
if os.geteuid() != 0 or not shutil.which("setpriv"):
    print("skipped: only root can act as several users")
    sys.exit(77)

ODD = b"caf\xe9 =\n\".csv"
ONE, OTHER = 65533, 65532  # no user and no group has these numbers


def unescaped(text):
    return re.sub(rb"\\(x[0-9a-f]{2}|\\)", lambda m: b"\\" if m[1] == b"\\" else bytes([int(m[1][1:], 16)]), text.encode())


def field(record, name):
    """A text of a record as bytes; None when there is none."""
    if f"{name}_escaped" in record:
        return unescaped(record[f"{name}_escaped"])
    return record[name].encode() if name in record else None


class LogTests(Tests):
    def mounted(self):
        os.chmod(self.directory, 0o755)
        self.write("pass", "correct horse\n")
        self.assayfs("init", "--argon-mem", "1024", "--argon-ops", "1", "--passfile", "pass", "v")
        self.mnt = self.path("mnt")
        os.makedirs(self.mnt)
        self.assayfs("mount", "-o", "allow_other", "--passfile", "pass", "v", "mnt")
        os.chmod(os.path.join(self.mnt, "Landing"), 0o777)

    def clean_up(self):
        if f" {self.path('mnt')} " in open("/proc/self/mountinfo", encoding="utf-8").read():
            self.unmount(self.path("mnt"))

    def as_user(self, uid, gid, *command):
        return subprocess.run(["setpriv", "--reuid", str(uid), "--regid", str(gid), "--clear-groups", *command],
                              cwd=os.path.join(self.mnt, "Landing"), capture_output=True, check=False, timeout=60)

    def some_history(self):
        landing = os.path.join(self.mnt, "Landing")
        self.as_user(ONE, ONE, "mkdir", "a", "ab")
        self.as_user(ONE, ONE, "cp", "/etc/hostname", "a/x.csv")
        self.as_user(ONE, OTHER, "cp", "/etc/hostname", "a/y.txt")
        self.as_user(OTHER, OTHER, "cp", "a/x.csv", "ab.csv")
        self.as_user(OTHER, ONE, "cat", "a/x.csv")
        self.as_user(OTHER, ONE, "cp", "/etc/hostname", "a/denied.csv")
        self.as_user(ONE, ONE, "mv", "a/y.txt", "ab/z.csv")
        self.as_user(ONE, ONE, "chmod", "600", "a/x.csv")
        self.as_user(OTHER, OTHER, "cat", "a/x.csv")
        self.as_user(ONE, ONE, "rm", "ab/z.csv")
        with open(os.path.join(landing.encode(), ODD), "wb") as file:
            file.write(b"odd")
        records = self.records()
        self.check(len(records) > 20, f"only {len(records)} records")
        return records

    def lines(self, *options):
        return self.assayfs("log", *options, "mnt").stdout.decode().splitlines()

    def records(self, *options):
        return [json.loads(line) for line in self.lines("--format", "json", *options)]

    def filters(self, records):
        """Options, and what they mean of a record."""
        middle, late = records[len(records) // 2], records[-5]
        denied = next(r for r in records if r["outcome"] == "denied")
        moved = next(r for r in records if r["event"] == "rename")

        def any_path(record, test):
            return any(test(path) for path in (field(record, "path"), field(record, "path2")) if path is not None)

        def is_at(place):
            return lambda r: any_path(r, lambda path: path == place or path.startswith(place + b"/"))

        return {
            ("--since", middle["time"]): lambda r: r["time"] >= middle["time"],
            ("--until", late["time"]): lambda r: r["time"] <= late["time"],
            ("--user", str(ONE)): lambda r: r["uid"] == ONE,
            ("--user", "root"): lambda r: r["uid"] == 0,
            ("--group", str(ONE)): lambda r: r["gid"] == ONE,
            ("--group", "root"): lambda r: r["gid"] == 0,
            ("--event", "open,create,rename"): lambda r: r["event"] in ("open", "create", "rename"),
            ("--event", "close"): lambda r: r["event"] == "close",
            ("--outcome", "denied"): lambda r: r["outcome"] == "denied",
            ("--exe", "cp"): lambda r: r.get("exe") == "cp",
            ("--pid", str(denied["pid"])): lambda r: r.get("pid") == denied["pid"],
            ("--node", str(moved["node"])): lambda r: r.get("node") == moved["node"],
            ("--path", "Landing/a"): is_at(b"Landing/a"),
            ("--path", "Landing/ab/z.csv"): is_at(b"Landing/ab/z.csv"),
            ("--path", "Landing/*.csv"): lambda r: any_path(r, lambda path: path.count(b"/") == 1 and fnmatch.fnmatchcase(
                path, b"Landing/*.csv")),
            ("--path", "**/?.csv"): lambda r: any_path(r, lambda path: re.fullmatch(rb"(.*/)?[^/]\.csv", path, re.S)),
        }

    def test_each_filter_alone_and_with_each_other_gives_what_a_look_at_all_lines_gives(self):
        self.mounted()
        records = self.some_history()
        last = records[-1]["time"]
        filters = self.filters(records)
        alone = 0
        for count in (1, 2):
            for chosen in itertools.combinations(filters, count):
                if len({name for name, _ in chosen}) < count:
                    continue
                options = [word for pair in chosen for word in pair]
                want = [r["seq"] for r in records if all(filters[pair](r) for pair in chosen)]
                got = [r["seq"] for r in self.records(*options, *([] if "--until" in options else ["--until", last]))]
                self.check(got == want, f"{options}: {got}, not {want}")
                if count == 1:
                    self.check(0 < len(want) < len(records), f"{options} tells nothing apart")
                    alone += 1
                if "--until" not in options:
                    tail = [r["seq"] for r in self.records(*options, "--until", last, "--limit", "2")]
                    self.check(tail == want[-2:], f"{options}, the last two: {tail}, not {want[-2:]}")
        self.check(alone == len(filters), "a filter was left out")
        everything = [word for pair in filters for word in pair]
        self.check(self.records("--user", "1", "--node", "999999") == [], "records of nobody")
        self.check(self.assayfs("log", *everything, "mnt").returncode == 0, "all of them at once")

    def test_a_slip_in_a_filter_is_no_empty_log(self):
        self.mounted()
        for command in (["log"], ["log", "summary"]):
            for options, words in ((["--group", "no-such-group"], "there is no group 'no-such-group'"),
                                   (["--user", "no-such-user"], "there is no user 'no-such-user'"),
                                   (["--pid", "0"], "from 1 to"), (["--pid", "x"], "from 1 to"), (["--node", "-1"], "from 1 to"),
                                   (["--event", "open,creat"], "--event creat: the events are"),
                                   (["--event", "open,"], "the events are"), (["--event", ""], "the events are"),
                                   (["--outcome", "refused"], "ok, denied and error")):
                self.one_line(self.assayfs(*command, *options, "mnt", code=2), words)
            self.one_line(self.assayfs(*command, "--since", "@2000", "--until", "@1000", "mnt", code=2), "--since @2000 is later")
        self.one_line(self.assayfs("log", "--follow", "--until", "today", "mnt", code=2), "--follow goes on with new records")
        self.assayfs("log", "--since", "today", "--until", "today", "mnt")
        self.one_line(self.assayfs("log", "--format", "xml", "mnt", code=2), "text, json, csv, cloudtrail and ocsf")
        self.one_line(self.assayfs("log", "--format", "csv", "--json", "mnt", code=2), "--json is --format json")
        self.one_line(self.assayfs("log", "--format", "cloudtrail", "-f", "mnt", code=2), "--follow")
        self.one_line(self.assayfs("log", "summary", "--timezone", "../../etc/passwd", "mnt", code=2), "no such zone")
        self.one_line(self.assayfs("log", "summary", "--top", "0", "mnt", code=2), "from 1 to 1000")

    def test_reading_the_log_is_recorded_with_what_was_asked(self):
        self.mounted()
        self.lines("--event", "open,create", "--user", "0", "--path", "Landing/a b", "--since", "@1000", "--group", "7")
        self.assayfs("log", "summary", "--exe", "cp", "--pid", "9", "mnt")
        self.lines()
        details = [r.get("detail") for r in self.records("--event", "read-log")]
        self.check(details == ["since=1970-01-01T00:16:40.000000000Z uid=0 gid=7 event=open,create path=Landing/a b",
                               "summary pid=9 exe=cp", None], f"{details}")

    def test_a_table_holds_the_same_as_the_lines(self):
        self.mounted()
        records = self.some_history()
        text = self.assayfs("log", "--format", "csv", "--until", records[-1]["time"], "mnt").stdout.decode()
        self.check(text.count("\r\n") == text.count("\n") == len(records) + 1, "not one line a record")
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        self.check(len(rows) == len(records), f"{len(rows)} rows of {len(records)} records")
        odd = 0
        for row, record in zip(rows, records):
            escaped = row.pop("escaped").split()
            odd += bool(escaped)
            for name, cell in row.items():
                if name in ("time", "event", "outcome", "exe", "path", "path2", "detail"):
                    got = unescaped(cell) if name in escaped else cell.encode()
                    self.check(got == (field(record, name) or b""), f"{record}: {name} is {cell!r}")
                else:
                    self.check(cell == str(record.get(name, "")), f"{record}: {name} is {cell!r}")
        self.check(odd >= 2, "nothing was escaped")

    def test_other_systems_get_a_form_that_they_know(self):
        self.mounted()
        records = self.some_history()
        bounds = ["--until", records[-1]["time"], "mnt"]
        trail = self.json("log", "--format", "cloudtrail", *bounds)["Records"]
        self.check([r["additionalEventData"]["assayfs"]["seq"] for r in trail] == [r["seq"] for r in records], "others")
        self.check(len({r["eventID"] for r in trail}) == len(trail), "identifiers are not unique")
        again = self.json("log", "--format", "cloudtrail", *bounds)["Records"]
        self.check(again == trail, "another time it is another")
        for record, event in zip(records, trail):
            self.check(("errorCode" in event) == (record["outcome"] != "ok"), f"{event}")
            self.check(event["userIdentity"].get("principalId", str(record["uid"])) == str(record["uid"]), f"{event}")
        calls = collections.Counter((r["eventName"], r.get("errorCode")) for r in trail)
        for call in (("GetObject", None), ("PutObject", None), ("PutObject", "AccessDenied"), ("DeleteObject", None),
                     ("RenameObject", None), ("GetObject", "AccessDenied")):
            self.check(calls[call] > 0, f"no {call}: {calls}")
        self.check(self.json("log", "--format", "cloudtrail", "--user", "12345", "mnt") == {"Records": []}, "not empty")
        lines = self.lines("--format", "ocsf", *bounds[:-1])
        for record, event in itertools.zip_longest(records, map(json.loads, lines)):
            self.check(event["metadata"]["sequence"] == record["seq"] and event["type_uid"] == 100100 + event["activity_id"]
                       and (event["action_id"] == 2) == (record["outcome"] == "denied"), f"{event}")

    def test_a_table_can_be_followed(self):
        self.mounted()
        with subprocess.Popen([ASSAYFS, "log", "--follow", "--format", "csv", "--exe", "touch", self.mnt],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as follower:
            time.sleep(0.5)
            subprocess.run(["touch", os.path.join(self.mnt, "Landing/new.txt")], check=True)
            lines = [follower.stdout.readline(), follower.stdout.readline()]
            self.check(lines[0].startswith(b"seq,time,") and b",touch,Landing/new.txt," in lines[1], f"{lines}")
            self.assayfs("umount", "mnt")
            follower.wait(timeout=20)

    def test_the_summary_counts_what_the_lines_say(self):
        self.mounted()
        records = self.some_history()
        last = records[-1]["time"]
        summary = self.json("log", "summary", "--json", "--until", last, "--top", "1000", "mnt")
        self.check(summary["records"] == len(records), f"{summary['records']} of {len(records)}")
        for user in summary["users"]:
            own = [r for r in records if r["uid"] == user["uid"] and ("pid" not in r) == user["itself"]]
            self.check(user["records"] == len(own), f"{user}")
            self.check(user["opens"] == sum(r["event"] in ("open", "opendir") and r["outcome"] == "ok" for r in own), f"{user}")
            self.check(user["denials"] == sum(r["outcome"] == "denied" for r in own), f"{user}")
            written = sum(int(re.match(r"read \d+, written (\d+)", r["detail"])[1]) for r in own if r["event"] == "close")
            self.check(user["written_bytes"] == written, f"{user}: {written}")
        self.check(sum(user["records"] for user in summary["users"]) == len(records), "a user is missing")
        self.check({user["uid"] for user in summary["users"]} >= {0, ONE, OTHER}, "not these users")
        self.check(next(u for u in summary["users"] if u["uid"] == 0)["user"] == "root", "root has no name")
        paths = collections.Counter(p for r in records for p in (field(r, "path"), field(r, "path2")) if p is not None)
        got = {(bytes.fromhex(i["path"]["hex"]) if isinstance(i["path"], dict) else i["path"].encode()): i["records"]
               for i in summary["paths"]}
        self.check(got == paths and summary["paths_exact"], f"{got}, not {paths}")
        touched = collections.Counter((r["uid"], p) for r in records if "pid" in r
                                      for p in (field(r, "path"), field(r, "path2")) if p is not None)
        got = {(i["uid"], bytes.fromhex(i["path"]["hex"]) if isinstance(i["path"], dict) else i["path"].encode()): i["records"]
               for i in summary["touches"]}
        self.check(got == touched, f"{got}, not {touched}")
        refused = collections.Counter((r["uid"], r.get("path")) for r in records if r["outcome"] == "denied")
        got = {(i["uid"], i.get("path")): i["records"] for i in summary["refusals"]}
        self.check(got == refused and refused, f"{got}, not {refused}")
        only = self.json("log", "summary", "--json", "--until", last, "--user", str(OTHER), "--outcome", "denied", "mnt")
        self.check(only["records"] == sum(n for (uid, _), n in refused.items() if uid == OTHER), f"{only}")
        words = self.assayfs("log", "summary", "--until", last, "--top", "2", "--timezone", "Asia/Kolkata", "mnt").out
        for part in ("Who\n", "What\n", "Who touched what\n", "Refused\n", f"{len(records)} records", " IST", "and 1 other (", "Permission denied"):
            self.check(part in words, f"{part!r} is not in {words}")
        self.check(self.assayfs("log", "summary", "--user", "12345", "mnt").out == "No record is so.\n", "not none")

    def test_hours_are_those_of_the_zone(self):
        self.mounted()
        os.makedirs(os.path.join(self.mnt, "Landing/d"))
        hour = time.gmtime().tm_hour
        for zone, shift in (("UTC", 0), ("Etc/GMT+5", -5), ("Etc/GMT-11", 11)):
            summary = self.json("log", "summary", "--json", "--timezone", zone, "--event", "mkdir", "mnt")
            hours = [h["hour"] for h in summary["users"][0]["unusual"]]
            wanted = {(h + shift) % 24 for h in (hour, hour + 1)}
            self.check(all(h in wanted for h in hours), f"{zone}: {hours}, not {wanted}")
            if not any(6 <= h < 22 for h in wanted):
                self.check(hours, f"{zone}: the night is not told")


sys.exit(LogTests().run())
