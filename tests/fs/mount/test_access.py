#!/usr/bin/env python3
"""Who may do what, run for real as each user, each followed by a look at its record: the roles of the policy.

usage: test_access.py ASSAYFS SOURCE
"""
import errno
import json
import os
import pwd
import subprocess
import sys

from acting import (A, ActingTests, B, GOOD, OK, WHO, appends, chmods, gets_attribute, lists, makes_and_removes,
                    reads, renames, sets_attribute, touches_and_unlinks, unlinks, writes)
from gate import ASSAYFS


# Words, what, path, {role: errno}; roles that are not named get EACCES.
MATRIX = [
    ("list Landing", lists, "Landing", {"steward": OK, "ingester": OK}),
    ("read Landing", reads, "Landing/" + A, {"steward": OK, "ingester": OK}),
    ("write Landing", appends, "Landing/mine.txt", {"steward": OK, "ingester": OK}),
    ("create, unlink in Landing", touches_and_unlinks, "Landing/new.txt", {"steward": OK, "ingester": OK}),
    ("mkdir in Landing", makes_and_removes, "Landing/folder", {"steward": OK, "ingester": OK}),
    ("rename in Landing", renames, "Landing/mine.txt", {"steward": OK, "ingester": OK}),
    ("chmod in Landing", chmods, "Landing/mine.txt", {"steward": errno.EPERM, "ingester": OK, "root": errno.EACCES}),
    ("set xattr in Landing", sets_attribute, "Landing/mine.txt", {"steward": OK, "ingester": OK}),
    ("list Raw", lists, "Raw", {"steward": OK}),
    ("read Raw", reads, "Raw/" + A, {"steward": OK}),
    ("write Raw", appends, "Raw/" + A, {}),  # a steward meets mode bits there; root as one gets EPERM: test_roles.py
    ("unlink in Raw", unlinks, "Raw/" + A, {}),
    ("list Trusted", lists, "Trusted/animals", {"steward": OK, "analyst": OK}),
    ("read Trusted", reads, "Trusted/" + A, {"steward": OK, "analyst": OK}),
    ("get xattr in Trusted", gets_attribute, "Trusted/" + A, {"steward": OK, "analyst": OK}),
    ("write Trusted", writes(GOOD), "Trusted/" + B, {"steward": OK}),
    ("mkdir in Trusted", makes_and_removes, "Trusted/folder", {"steward": OK}),
    ("set xattr in Trusted", sets_attribute, "Trusted/" + A, {"steward": errno.EPERM}),
    ("list the audit log", lists, ".assayfs/audit", {"steward": OK, "auditor": OK}),
    ("list quarantine", lists, ".assayfs/quarantine", {"steward": OK}),
    ("list the policy", lists, ".assayfs/policy", {"steward": OK}),
    ("a version of Trusted", reads, f".assayfs/versions/Trusted/{A}/1", {"steward": OK, "analyst": OK}),
    ("a version of Landing", reads, f".assayfs/versions/Landing/{A}/1", {"steward": OK, "ingester": OK}),
    ("Trusted as it was", reads, f".assayfs/at/2200-01-01/Trusted/{A}", {"steward": OK, "analyst": OK}),
    ("Raw as it was", reads, f".assayfs/at/2200-01-01/Raw/{A}", {"steward": OK}),
    ("a verdict of what is gone", reads, ".assayfs/verdicts/Landing/animals/gone.csv.json", {}),  # for who mounted, with a role
    ("a verdict of Trusted", reads, f".assayfs/verdicts/Trusted/{A}.json", {"steward": OK, "analyst": OK}),
]
# Words, command, who may. What a steward is let do may still find nothing to do (exit 1): it is not refused.
COMMANDS = [
    ("policy show", ["policy", "show", "mnt"], ["steward"]),
    ("policy apply", ["policy", "apply", "policy", "mnt"], ["steward"]),
    ("log", ["log", "--limit", "1", "mnt"], ["steward", "auditor"]),
    ("versions", ["versions", "mnt/Landing/" + A], ["steward", "ingester"]),
    ("restore", ["restore", "mnt/Landing/mine.txt@1"], ["steward", "ingester"]),
    ("run", ["run", "none", "mnt"], ["steward"]),
    ("quarantine list", ["quarantine", "list", "mnt"], ["steward"]),
    ("quarantine release", ["quarantine", "release", "1", "--reason", "x", "mnt"], ["steward"]),
    ("quarantine drop", ["quarantine", "drop", "1", "--reason", "x", "mnt"], ["steward"]),
    ("erase", ["erase", "--no-wait", "--reason", "x", "mnt/Landing/gone.txt"], ["steward"]),
    ("gc", ["gc", "mnt"], ["steward"]),
    ("gc dry run", ["gc", "--dry-run", "mnt"], ["steward"]),
    ("grant to another", ["grant", "--reason", "x", "--for", "1s", "--role", "analyst", "--user", "64999", "mnt"], ["steward"]),
    ("access of another", ["access", "Trusted/" + A, "--user", "64999", "mnt"], ["steward", "auditor"]),
]
EVENTS = {"gc dry run": "gc", "policy show": "policy-show", "policy apply": "policy-apply", "log": "read-log", "grant to another": "grant",
          "access of another": "access"}


class AccessTests(ActingTests):
    def test_each_role_does_what_the_matrix_says_and_each_leaves_its_record(self):
        self.world()
        rows = 0
        for words, what, path, allowed in MATRIX:
            for who in WHO:
                wanted = allowed.get(who, errno.EACCES)
                self.expect(who, what, path, wanted, words)
                is_silent = wanted == OK and what == gets_attribute  # reading one is no open
                record = {} if is_silent else self.record_of(who, path, wanted, words)
                print(f"{who:9} {words:26} {'allowed' if wanted == OK else errno.errorcode[wanted]:8} "
                      f"{record.get('event', '?'):9} {record.get('outcome', '?'):7} {record.get('path', '?')}")
                rows += 1
        self.check(rows >= 40, f"{rows} rows")

    def test_each_command_asks_for_the_role_and_not_for_the_socket(self):
        self.world()
        for words, arguments, allowed in COMMANDS:
            for who in WHO:
                done = self.command(who, *arguments)
                refused = done.returncode == 6
                self.check(refused == (who not in allowed), f"{words}: {who} ends with {done.returncode}: {done.err.strip()}")
                denied = [r for r in self.fresh(WHO[who][0]) if r["outcome"] == "denied" and
                          r["event"] == EVENTS.get(words, words.replace(" ", "-"))]
                self.check(bool(denied) == refused, f"{words}: {who}: {denied}")
                print(f"{who:9} {words:26} {'EACCES' if refused else 'allowed':8} {denied[-1]['event'] if denied else ''}")

    def test_who_mounts_without_a_role_can_still_unmount(self):
        self.world()
        self.expect("root", lists, "Landing", errno.EACCES, "list Landing")
        self.assayfs("umount", "mnt")
        self.check(not self.is_mounted(), "it is still mounted")

    def test_without_roles_mode_bits_say_what_others_reach_and_commands_are_who_mounted_s(self):
        os.chmod(self.directory, 0o755)
        self.mounted(policy=None, options=("-o", "allow_other"))
        self.put("Landing/open.txt", b"x")
        os.chmod(self.at("Landing/open.txt"), 0o644)
        self.put("Landing/closed.txt", b"x")
        os.chmod(self.at("Landing/closed.txt"), 0o600)
        self.assayfs("sync", "mnt")
        self.expect("nobody", reads, "Landing/open.txt", OK, "an open file")
        self.expect("nobody", reads, "Landing/closed.txt", errno.EACCES, "a closed file")
        self.expect("nobody", touches_and_unlinks, "Landing/new.txt", errno.EACCES, "a directory that is another's")
        for place in ("audit", "quarantine", "policy"):
            self.expect("nobody", lists, ".assayfs/" + place, errno.EACCES, place)
        for words, arguments, _ in COMMANDS[:3]:
            if words != "policy apply":
                done = self.command("nobody", *arguments)
                self.check(done.returncode == 6, f"{words}: {done.returncode} {done.err}")
        denied = {r["event"] for r in self.records("--outcome", "denied", "--user", "65534")}
        self.check({"open", "opendir", "create", "policy-show", "read-log"} <= denied, f"{denied}")

    # ---- why

    def test_access_says_what_the_mount_does(self):
        self.world(self.GRANTS)
        paths = ["Landing", "Landing/" + A, "Raw/" + A, "Trusted", "Trusted/" + A, "Trusted/" + B, "Trusted/plants"]
        names = {"steward": "daemon", "ingester": "games", "auditor": "backup", "nobody": "nobody", "root": "root"}
        for who, name in names.items():
            for path in paths:
                really = self.as_who(who, lists if path in ("Landing", "Trusted", "Trusted/plants") else reads, path)
                said = self.command("steward", "access", path, "--user", name, "--json", "mnt")
                answer = json.loads(said.out)
                self.check(answer["read"]["allowed"] == (really == 0) == (said.returncode == 0), f"{who}, {path}: {really}, {answer}")
                self.check(answer["read"]["why"], f"{who}, {path}: no words")
        self.check(pwd.getpwnam("nobody").pw_gid in answer["groups"] or answer["user"] == "root", f"{answer}")
        stopped = json.loads(self.command("steward", "access", "Landing/" + A, "--user", "nobody", "--json", "mnt").out)
        self.check(stopped["stopped_at"] == "Landing" and "ingester" in stopped["read"]["why"], f"{stopped}")
        self.expect("ingester", lambda p: os.chmod(p, 0o600), "Landing/mine.txt", OK, "chmod")
        closed = json.loads(self.command("auditor", "access", "Landing/mine.txt", "--user", "daemon", "--json", "mnt").out)
        self.check(not closed["read"]["allowed"] and "mode 0600" in closed["read"]["why"], f"{closed}")
        for path, shown in (("Landing/mine.txt", False), ("Landing", True)):  # "search" is no question of a file
            said = self.command("auditor", "access", path, "--user", "games", "mnt", code=0).out
            self.check(("  search  " in said) == shown and "  write   " in said, said)
        self.check(self.command("analyst", "access", "Trusted/" + A, "mnt").returncode == 0, "about oneself, by a group")
        self.command("ingester", "access", "Trusted/" + A, "--user", "nobody", "mnt", code=6)
        self.command("nobody", "access", ".assayfs/audit", "mnt", code=1)
        self.command("auditor", "access", ".assayfs/audit", "mnt", code=0)


if __name__ == "__main__":
    subprocess.run([ASSAYFS, "--version"], check=True, stdout=subprocess.DEVNULL)
    sys.exit(AccessTests().run())
