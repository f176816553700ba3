#!/usr/bin/env python3
"""What is granted beside the roles, by the policy and for hours, with broken glass; and what is no longer.

usage: test_grants.py ASSAYFS SOURCE
"""
import ctypes
import errno
import json
import os
import subprocess
import sys
import time

from acting import (A, ActingTests, B, BAD, GOOD, HEAD, LIBC, OK, RENAME_EXCHANGE, ROLES, WHO, appends, chmods, lists,
                    reads, renames, sets_attribute, unlinks, writes)
from gate import ASSAYFS


class GrantTests(ActingTests):
    def test_a_grant_gives_what_it_names_and_nothing_beside_it(self):
        self.world(self.GRANTS)
        self.expect("nobody", reads, "Trusted/" + A, OK, "what is granted")
        opened = [r for r in self.log_of(65534) if r["event"] == "open" and r["outcome"] == "ok"]
        self.check(opened and "by the grant in policy.yaml:11" in opened[-1].get("detail", ""), f"{opened}")
        for words, what, path in (("list on the way", lists, "Trusted"), ("list the folder", lists, "Trusted/animals"),
                                  ("a sibling", reads, "Trusted/" + B), ("a sibling's stat", os.stat, "Trusted/" + B),
                                  ("a name that is not there", os.stat, "Trusted/animals/none.csv"),
                                  ("another folder", os.stat, "Trusted/plants"), ("write", appends, "Trusted/" + A),
                                  ("unlink", unlinks, "Trusted/" + A), ("rename", renames, "Trusted/" + A),
                                  ("chmod", chmods, "Trusted/" + A), ("xattr", sets_attribute, "Trusted/" + A),
                                  ("Landing", reads, "Landing/" + A), ("Raw", reads, "Raw/" + A),
                                  ("the sibling's versions", reads, f".assayfs/versions/Trusted/{B}/1"),
                                  ("the sibling as it was", reads, f".assayfs/at/2200-01-01/Trusted/{B}"),
                                  ("the sibling's verdict", reads, f".assayfs/verdicts/Trusted/{B}.json"),
                                  ("the folder's versions", lists, ".assayfs/versions/Trusted/animals"),
                                  ("Landing's versions", reads, f".assayfs/versions/Landing/{A}/1")):
            self.expect("nobody", what, path, errno.EACCES, words)
            self.record_of("nobody", path, errno.EACCES, words)
        for path in (f".assayfs/versions/Trusted/{A}/1", f".assayfs/at/2200-01-01/Trusted/{A}", f".assayfs/verdicts/Trusted/{A}.json"):
            self.expect("nobody", reads, path, OK, path)
        self.expect("nobody", lists, f".assayfs/versions/Trusted/{A}", OK, "its versions")
        self.check(self.command("nobody", "versions", "mnt/Trusted/" + A).returncode == 0, "versions of it by command")
        self.check(self.command("nobody", "why", "mnt/Trusted/" + A).returncode == 0, "why by command")
        self.check(self.command("nobody", "versions", "mnt/Trusted/" + B).returncode == 6, "versions of a sibling by command")
        self.expect((6, 12, []), reads, "Trusted/" + A, errno.EACCES, "one that is over")
        shown = self.command("steward", "policy", "show", "mnt").out + self.command("steward", "status", "mnt").out
        self.check("policy.yaml:14: the grant of Trusted/** ended 2001-12-31" in shown, shown)

    def test_a_grant_of_write_covers_what_is_made_below_it_later(self):
        self.world(self.GRANTS)
        writer = "analyst"  # www-data
        os.umask(0)
        self.expect("steward", os.mkdir, "Landing/drop", OK, "its folder")
        self.expect("steward", lambda p: os.chmod(p, 0o777), "Landing/drop", OK, "open to all")
        self.expect(writer, os.mkdir, "Landing/drop/x", OK, "mkdir")
        self.expect(writer, os.mkdir, "Landing/drop/x/y", OK, "mkdir in what was just made")
        self.expect(writer, writes(b"1"), "Landing/drop/x/y/f", OK, "create")
        self.expect(writer, renames, "Landing/drop/x/y/f", OK, "rename")
        self.expect(writer, lists, "Landing/drop", OK, "list")
        self.expect(writer, chmods, "Landing/drop/x/y/f", OK, "chmod")
        self.expect(writer, lists, "Landing", errno.EACCES, "list the zone")
        self.expect(writer, os.rmdir, "Landing/drop", errno.EACCES, "the folder itself")
        self.expect(writer, lambda p: os.rename(p, os.path.dirname(os.path.dirname(p)) + "/out"), "Landing/drop/x",
                    errno.EACCES, "rename out of it")
        os.umask(0o022)
        self.expect("ingester", lambda p: os.link(p, os.path.dirname(p) + "/drop/x/in"), "Landing/mine.txt", OK, "a role links")
        self.expect((5, 60, []), unlinks, "Landing/drop/x/in", OK, "and unlinks")
        self.expect(writer, lambda p: os.link(p, os.path.dirname(p) + "/drop/in"), "Landing/own.txt", errno.EACCES,
                    "link into it what is his, and not granted")
        self.expect("steward", lambda p: os.chown(p, 1, 1), "Landing/drop/x/y/f", errno.EPERM, "a steward is no root")
        self.expect(writer, unlinks, "Landing/drop/x/y/f", OK, "unlink")
        self.expect(writer, writes(b"1"), "Landing/elsewhere.txt", errno.EACCES, "create beside it")

    MOVES = """grants:
  - {users: [www-data], path: "Landing/deep/**/in/*", access: write, until: 2199-12-31, reason: a feed of folders}
  - {users: [www-data], path: "Landing/feed/*", access: write, until: 2199-12-31, reason: a feed}
  - {users: [www-data], path: "Landing/mine/**", access: write, until: 2199-12-31, reason: his own}
  - {users: [www-data], path: "Landing/too/**", access: write, until: 2199-12-31, reason: his own as well}
"""

    def test_a_renamed_directory_takes_nothing_along_into_a_grant(self):
        self.world()
        writer = "analyst"  # www-data
        os.umask(0)

        def make(path):
            os.makedirs(path + "/deep/in/sub")
            for folder in ("feed/sub", "feed/none", "mine/sub", "mine/all/x", "too"):
                os.makedirs(f"{path}/{folder}")
            for file in ("deep/in/sub/secret", "feed/sub/secret", "mine/all/x/f"):
                os.close(os.open(f"{path}/{file}", os.O_WRONLY | os.O_CREAT, 0o666))

        def moves(to, flags=0):
            def move(path):
                if LIBC.renameat2(-100, os.fsencode(path), -100, os.fsencode(self.at("Landing/" + to)), flags):
                    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            return move

        self.expect("steward", make, "Landing", OK, "the folders")
        os.umask(0o022)
        self.apply(self.MOVES)
        time.sleep(0.2)
        for words, name, what in (("into the pattern's own folder", "deep/in/sub", moves("deep/in/in")),
                                  ("into what is his", "feed/sub", moves("mine/new")),
                                  ("over what is his", "feed/sub", moves("mine/sub")),
                                  ("out of what is his", "mine/all", moves("feed/all")),
                                  ("by exchange", "mine/sub", moves("feed/sub", RENAME_EXCHANGE)),
                                  ("by exchange the other way", "feed/sub", moves("mine/sub", RENAME_EXCHANGE))):
            self.expect(writer, what, "Landing/" + name, errno.EACCES, words)
            record = self.record_of(writer, "Landing/" + name, errno.EACCES, words)
            self.check(record.get("event") == "rename", f"{words}: {record}")
        self.expect(writer, reads, "Landing/feed/sub/secret", errno.EACCES, "what is not granted")
        self.expect(writer, moves("mine/none"), "Landing/feed/none", OK, "an empty one")
        self.expect(writer, moves("feed/none"), "Landing/mine/none", OK, "and back")
        self.expect(writer, moves("too/all"), "Landing/mine/all", OK, "from what is his into what is his")
        self.expect(writer, reads, "Landing/too/all/x/f", OK, "and all is there")
        self.expect("ingester", moves("mine/new"), "Landing/feed/sub", OK, "a role renames as ever")

    def test_what_a_grant_lets_write_into_trusted_is_checked(self):
        self.world(self.GRANTS)
        bo = (64051, 64051, [64050])
        self.expect(bo, writes(BAD), "Trusted/plants/p.csv", errno.EPERM, "a bad file")
        self.check(self.as_who((1, 1, []), reads, "Trusted/plants/p.csv") == OK, "the former is there")
        self.expect(bo, writes(GOOD + b"d;cow\r\n"), "Trusted/plants/p.csv", OK, "a good file")
        self.expect(bo, writes(GOOD), "Trusted/plants/q.csv", OK, "a new good file")
        self.expect(bo, writes(GOOD), "Trusted/" + A, errno.EACCES, "another dataset")
        self.expect(bo, lists, "Trusted/plants", errno.EACCES, "plants/*.csv are not all names")
        opened = [r for r in self.log_of(64051) if r["event"] in ("open", "create") and r["outcome"] == "ok"]
        self.check(opened and all("by the grant in policy.yaml:13" in r["detail"] for r in opened), f"{opened}")

    def test_the_policy_refuses_grants_that_make_no_sense(self):
        self.world()
        for line, words in (
                ('{users: [nobody], path: "Raw/**", access: write, until: 2199-12-31, reason: x}', "nobody writes into Raw"),
                ('{users: [nobody], path: "**", access: read, until: 2199-12-31, reason: x}', "must begin with Landing/"),
                ('{users: [nobody], path: "Trusted/**", access: read, reason: x}', "needs 'until:'"),
                ('{users: [nobody], path: "Trusted/**", access: read, until: 2199-12-31}', "needs 'reason:'"),
                ('{path: "Trusted/**", access: read, until: 2199-12-31, reason: x}', "whom it is for"),
                ('{users: [nobody], dataset: none, access: read, until: 2199-12-31, reason: x}', "no dataset 'none'"),
                ('{users: [no-such-account], dataset: animals, access: read, until: 2199-12-31, reason: x}', "no user"),
                ('{users: [nobody], dataset: animals, access: read, until: 2199-12-31, reason: x, more: 1}', "unknown key 'more'")):
            self.write("policy/policy.yaml", HEAD + ROLES + "grants:\n  - " + line + "\n", mode=0o644)
            done = self.command("steward", "policy", "apply", "policy", "mnt")
            self.check(done.returncode == 1 and words in done.err and "policy.yaml:11" in done.err, f"{line}: {done.err}")

    # ---- lent for hours

    def grant(self, who, *options, code=0):
        done = self.command(who, "grant", "--json", "--reason", "ticket 4711", *options, "mnt", code=code)
        return json.loads(done.out)["number"] if done.returncode == 0 else None

    def test_a_lent_path_counts_until_it_ends_and_says_so_in_the_log(self):
        self.world()
        self.expect("nobody", reads, "Trusted/" + A, errno.EACCES, "before")
        number = self.grant("steward", "--for", "4s", "--path", "Trusted/animals", "--user", "nobody")
        begin = time.monotonic()
        self.expect("nobody", reads, "Trusted/" + A, OK, "while it counts")
        self.expect("nobody", lists, "Trusted/animals", OK, "a folder with all below it")
        self.expect("nobody", lists, "Trusted", errno.EACCES, "the folder above")
        self.expect("nobody", reads, "Trusted/plants/p.csv", errno.EACCES, "beside it")
        self.expect("nobody", writes(GOOD), "Trusted/" + A, errno.EACCES, "reading is not writing")
        self.check(f"grant {number}" in self.command("steward", "access", "Trusted/" + A, "--user", "nobody", "mnt").out, "access")
        status = json.loads(self.command("steward", "status", "--json", "mnt").out)
        self.check([g["number"] for g in status["grants"]["active"]] == [number], f"{status.get('grants')}")
        self.check("!! 1 grant beside the roles" in self.command("auditor", "status", "mnt").out, "status warns")
        self.check(time.monotonic() - begin < 4, "the machine was too slow for what follows to mean something")
        time.sleep(max(0, begin + 4.2 - time.monotonic()))
        self.expect("nobody", reads, "Trusted/" + A, errno.EACCES, "after")
        self.check(json.loads(self.command("steward", "status", "--json", "mnt").out)["grants"]["count"] == 0, "it is over")
        log = self.log_of(65534)
        opened = [r for r in log if r["event"] == "open" and r["outcome"] == "ok"]
        self.check(len(opened) == 1 and opened[0]["detail"].endswith(f"by grant {number}"), f"{opened}")
        given = [r for r in self.log_of(1) if r["event"] == "grant"]
        self.check(len(given) == 1 and "ticket 4711" in given[0]["detail"] and "until 2" in given[0]["detail"] and
                   given[0]["path"] == "Trusted/animals", f"{given}")

    def test_a_revoked_grant_opens_nothing_more_and_what_is_open_stays_open(self):
        self.world()
        number = self.grant("steward", "--for", "1h", "--path", "Trusted/" + A, "--user", "nobody")
        ready, go = os.pipe(), os.pipe()

        def holds(path):
            fd = os.open(path, os.O_RDONLY)
            os.write(ready[1], b"x")
            os.read(go[0], 1)
            if os.pread(fd, 100, 0) != GOOD:
                raise OSError(errno.EIO, "")
            try:
                os.open(path, os.O_RDONLY)
            except PermissionError:
                return
            raise OSError(errno.EEXIST, "")
        pid = os.fork()
        if pid == 0:
            os._exit(self.as_who("nobody", holds, "Trusted/" + A))
        os.read(ready[0], 1)
        self.command("steward", "grant", "--revoke", str(number), "mnt", code=0)
        os.write(go[1], b"x")
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        self.check(code == 0, f"the open file, and opening it anew: {errno.errorcode.get(code, code)}")
        self.expect("nobody", os.stat, "Trusted/" + A, errno.EACCES, "its name")
        self.check([r["event"] for r in self.log_of(1) if r["event"].startswith("grant")] == ["grant", "grant-revoke"], "the log")
        self.command("steward", "grant", "--revoke", str(number), "mnt", code=1)

    def test_a_descriptor_keeps_what_it_was_opened_for_and_attributes_of_root_need_the_right_to_write(self):
        self.world()
        number = self.grant("steward", "--for", "1h", "--path", "Landing/own.txt", "--write", "--user", "www-data")
        ready, go = os.pipe(), os.pipe()

        def changes(path):
            fd = os.open(path, os.O_RDWR)
            os.write(ready[1], b"x")
            os.read(go[0], 1)
            os.ftruncate(fd, 1)
            if os.pread(fd, 10, 0) != b"o":
                raise OSError(errno.EIO, "")
            os.pwrite(fd, b"xy", 0)
            os.close(fd)
            for what in (lambda p: os.truncate(p, 0), chmods, os.stat):
                try:
                    what(path)
                except PermissionError:
                    continue
                raise OSError(errno.EEXIST, "")
        pid = os.fork()
        if pid == 0:
            os._exit(self.as_who("analyst", changes, "Landing/own.txt"))
        os.read(ready[0], 1)
        self.command("steward", "grant", "--revoke", str(number), "mnt", code=0)
        os.write(go[1], b"x")
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        self.check(code == 0, f"what was open, and then by its name: {errno.errorcode.get(code, code)}")
        self.grant("steward", "--for", "1h", "--path", "Landing/own.txt", "--user", "root")
        self.expect("root", reads, "Landing/own.txt", OK, "root, by a grant")
        for name in ("security.note", "trusted.note", "user.note"):
            self.expect("root", lambda p, n=name: os.setxattr(p, n, b"x"), "Landing/own.txt", errno.EACCES, name)

    def test_glass_is_broken_by_those_who_may_and_survives_a_remount(self):
        self.world("break_glass: {users: [nobody]}\n")
        self.expect("nobody", lists, "Landing", errno.EACCES, "before")
        self.command("nobody", "policy", "show", "mnt", code=6)
        self.check(self.grant("ingester", "--for", "1h", "--role", "steward", code=6) is None, "who is not listed")
        self.check(self.grant("nobody", "--for", "1h", "--role", "steward", "--user", "games", code=6) is None, "for another")
        denied = [r for who in (5, 65534) for r in self.log_of(who) if r["event"] == "grant"]
        self.check([r["outcome"] for r in denied] == ["denied", "denied"], f"{denied}")
        number = self.grant("nobody", "--for", "1h", "--role", "steward")
        self.expect("nobody", lists, "Landing", OK, "with the lent role")
        self.command("nobody", "policy", "show", "mnt", code=0)
        self.check(any("by himself" in r.get("detail", "") for r in self.log_of(65534)), "it is said in the log")
        listed = self.command("auditor", "grant", "--list", "mnt").out
        self.check("role steward to nobody" in listed and "ticket 4711" in listed, listed)
        # A lent role is none that could take the policy back: as it ends, he would have none.
        self.write("policy/policy.yaml", HEAD + ROLES.replace("daemon", "nobody"), mode=0o644)
        self.command("nobody", "policy", "apply", "policy", "mnt", code=0)
        self.write("policy/policy.yaml", HEAD + ROLES, mode=0o644)
        self.command("nobody", "policy", "apply", "policy", "mnt", code=6)
        self.command("nobody", "policy", "apply", "--hand-over", "policy", "mnt", code=0)
        self.assayfs("umount", "mnt")
        self.mount("-o", "allow_other")
        self.expect("nobody", lists, "Landing", OK, "after a remount")
        opened = [r for r in self.log_of(65534) if r["event"] == "opendir" and r["outcome"] == "ok"]
        self.check(opened and opened[-1].get("detail", "").endswith(f"by grant {number}"), f"{opened}")
        self.command("nobody", "grant", "--revoke", str(number), "mnt", code=0)
        self.expect("nobody", lists, "Landing", errno.EACCES, "given back")
        # Who mounted has the passphrase: he may, too.
        self.assayfs("grant", "--reason", "nobody is here", "--for", "1m", "--role", "auditor", "mnt")
        self.expect("root", lists, ".assayfs/audit", OK, "root, lent")
        self.expect("root", lists, "Landing", errno.EACCES, "an auditor")

    def test_a_lent_role_lends_nothing_so_what_is_lent_ends_for_good(self):
        self.world("break_glass: {users: [nobody]}\n")
        number = self.grant("steward", "--for", "1h", "--role", "steward", "--user", "games")
        own = self.grant("nobody", "--for", "1h", "--role", "steward")
        self.command("ingester", "policy", "show", "mnt", code=0)
        for who, to in (("ingester", "games"), ("ingester", "backup"), ("nobody", "games")):
            self.grant(who, "--for", "7d", "--role", "steward", "--user", to, code=6)
        listed = self.command("auditor", "grant", "--list", "mnt").out
        self.check(", by daemon: ticket 4711" in listed and ", by nobody himself: ticket 4711" in listed and
                   listed.count("\n") == 2, listed)
        denied = [r for r in self.log_of(5) if r["event"] == "grant"]
        self.check([(r["outcome"], r["errno"], r["detail"]) for r in denied] ==
                   [("denied", errno.EACCES, f"role steward to uid {uid} for 604800s: ticket 4711") for uid in (5, 34)], f"{denied}")
        # What he may not give he may not take either; who gave it is told.
        self.command("auditor", "grant", "--revoke", str(number), "mnt", code=6)
        denied = [r for r in self.log_of(34) if r["event"] == "grant-revoke"]
        self.check([r["detail"] for r in denied] == [f"grant {number}: role steward to uid 5 for 3600s: ticket 4711"], f"{denied}")
        said = self.command("steward", "grant", "--revoke", str(number), "mnt", code=0).out
        self.check("role steward to games" in said and ", by daemon: ticket 4711" in said, said)
        self.command("ingester", "policy", "show", "mnt", code=6)
        self.command("nobody", "grant", "--revoke", str(own), "mnt", code=0)

    def test_who_breaks_the_glass_leaves_places_for_stewards(self):
        self.world("break_glass: {users: [nobody]}\n")
        for _ in range(8):
            self.grant("nobody", "--for", "1h", "--role", "auditor")
        refused = self.command("nobody", "grant", "--reason", "x", "--for", "1h", "--role", "auditor", "mnt")
        self.check(refused.returncode != 0 and "nobody grants himself more than 8 at a time" in refused.err, refused.err)
        self.grant("steward", "--for", "1h", "--role", "analyst", "--user", "nobody")

    def test_a_policy_that_takes_the_role_from_who_applies_it_is_refused_and_recorded(self):
        self.world()
        self.write("policy/policy.yaml", HEAD + ROLES.replace("daemon", "nobody"), mode=0o644)
        self.command("steward", "policy", "apply", "policy", "mnt", code=6)
        denied = [(r["outcome"], r["errno"]) for r in self.log_of(1) if r["event"] == "policy-apply"]
        self.check(denied == [("denied", errno.EPERM)], f"{denied}")

    # ---- who follows the log

    def follower(self, who):
        uid, gid, groups = WHO[who]
        follower = subprocess.Popen([ASSAYFS, "log", "--follow", "--json", "mnt"], cwd=self.directory, user=uid, group=gid,
                                    extra_groups=groups, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 20
        while not self.read_log(uid, "ok") and time.monotonic() < deadline:
            time.sleep(0.1)
        return follower

    def read_log(self, uid, outcome):
        return [r for r in self.log_of(uid) if r["event"] == "read-log" and r["outcome"] == outcome]

    def expect_end(self, follower, uid, words):
        try:
            code = follower.wait(timeout=20)
        except subprocess.TimeoutExpired:
            follower.kill()
            code = None
        error = follower.communicate()[1]
        self.check(code == 6 and "no role" in error, f"{words}: he ends with {code}: {error}")
        denied = self.read_log(uid, "denied")
        self.check(len(denied) == 1 and denied[0]["errno"] == errno.EACCES, f"{words}: {denied}")

    def test_who_follows_the_log_does_so_no_longer_than_he_may_read_it(self):
        self.world()
        auditor = self.follower("auditor")
        self.grant("steward", "--for", "8s", "--role", "auditor", "--user", "nobody")
        lent = self.follower("nobody")
        self.check(lent.poll() is None and auditor.poll() is None, "they ended too early")
        self.write("policy/policy.yaml", HEAD + ROLES.replace("  auditor: {users: [backup]}\n", ""), mode=0o644)
        self.command("steward", "policy", "apply", "policy", "mnt", code=0)
        self.expect_end(auditor, 34, "another policy")
        self.expect_end(lent, 65534, "the end of what was lent")

    def test_a_grant_needs_a_reason_and_an_end(self):
        self.world()
        for options, words in ((["--reason", " ", "--for", "1h", "--role", "analyst"], "--reason"),
                               (["--reason", "x", "--role", "analyst"], "--for"),
                               (["--reason", "x", "--for", "8d", "--role", "analyst"], "7 days"),
                               (["--reason", "x", "--for", "0h", "--role", "analyst"], "time"),
                               (["--reason", "x", "--for", "-1h", "--role", "analyst"], "span of time"),
                               (["--reason", "x", "--for", "1h"], "--role"),
                               (["--reason", "x", "--for", "1h", "--role", "king"], "no role 'king'"),
                               (["--reason", "x", "--for", "1h", "--path", "Raw/" + A, "--write"], "Raw")):
            done = self.command("steward", "grant", *options, "mnt", code=2)
            self.check(words in done.err, f"{options}: {done.err}")
        self.check(json.loads(self.command("steward", "grant", "--list", "--json", "mnt").out) == {"grants": []}, "none was made")


if __name__ == "__main__":
    subprocess.run([ASSAYFS, "--version"], check=True, stdout=subprocess.DEVNULL)
    sys.exit(GrantTests().run())
