"""Users who try what they may and may not, each as himself in a process of his own: for the tests of access and of grants."""
import ctypes
import errno
import json
import os
import sys
import time

from gate import GateTests

if os.getuid() != 0:
    print("skipped: needs root, to act as several users")
    sys.exit(77)

RULES = 'Rules = [ RowCount > 2 ]\n'
GOOD = b"name;kind\r\na;cat\r\nb;dog\r\nc;cat\r\n"
BAD = b"name;kind\r\na;cat\r\n"
A, B = "animals/a.csv", "animals/b.csv"
# uid, gid, supplementary groups. The steward is an account that Debian has; root mounts, and has no role.
WHO = {"root": (0, 0, []), "steward": (1, 1, []), "ingester": (5, 60, []), "analyst": (33, 33, [64012]), "auditor": (34, 34, []),
       "nobody": (65534, 65534, [])}
HEAD = """version: 1
datasets:
  - {name: animals, match: "animals/*.csv", rules: animals.dqdl}
  - {name: plants, match: "plants/*.csv", rules: animals.dqdl}
"""
ROLES = """roles:
  steward: {users: [daemon]}
  ingester: {users: [games]}
  analyst: {groups: ["64012"]}
  auditor: {users: [backup]}
"""
OK = 0
LIBC = ctypes.CDLL(None, use_errno=True)
RENAME_EXCHANGE = 2


# ---- what is tried: functions that raise OSError, run as the user in a process of their own

def reads(path):
    with open(path, "rb") as file:
        file.read()


def lists(path):
    os.listdir(path)


def appends(path):
    with open(path, "ab") as file:
        file.write(b"x")


def writes(content):
    def write(path):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        os.write(fd, content)
        os.close(fd)
    return write


def makes_and_removes(path):
    os.mkdir(path)
    os.rmdir(path)


def renames(path):
    os.rename(path, path + ".moved")
    os.rename(path + ".moved", path)


def touches_and_unlinks(path):
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    os.unlink(path)


def chmods(path):
    os.chmod(path, os.stat(path).st_mode & 0o7777)


def sets_attribute(path):
    os.setxattr(path, "user.note", b"x")


def gets_attribute(path):
    try:
        os.getxattr(path, "user.none")
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise


def unlinks(path):
    os.unlink(path)


class ActingTests(GateTests):
    GRANTS = """grants:
  - {users: [nobody], path: "Trusted/animals/a.csv", access: read, until: 2199-12-31, reason: audit of 2026}
  - {users: [www-data], path: "Landing/drop/**", access: write, until: 2199-12-31, reason: feed}
  - {groups: ["64050"], dataset: plants, access: write, until: 2199-12-31, reason: plants by hand}
  - {users: [man], path: "Trusted/**", access: read, until: 2001-12-31, reason: long ago}
"""

    # ---- as whom

    def as_who(self, who, what, path):
        """The errno that the user gets, 0 for none."""
        uid, gid, groups = WHO[who] if isinstance(who, str) else who
        pid = os.fork()
        if pid == 0:
            code = 255
            try:
                os.setgroups(groups)
                os.setgid(gid)
                os.setuid(uid)
                os.umask(0)
                what(self.at(path))
                code = 0
            except OSError as error:
                code = error.errno
            finally:
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def command(self, who, *arguments, code=None):
        uid, gid, groups = WHO[who]
        return self.assayfs(*arguments, code=code, user=uid, group=gid, extra_groups=groups, env={**os.environ, "HOME": "/"})

    def expect(self, who, what, path, wanted, words):
        got = self.as_who(who, what, path)
        self.check(got == wanted, f"{words}: {who} gets {errno.errorcode.get(got, got)}, not {errno.errorcode.get(wanted, wanted)}")
        return got

    # ---- the log, which a steward reads

    def log_of(self, uid, *options):
        self.command("steward", "sync", "mnt", code=0)
        done = self.command("steward", "log", "--json", "--user", str(uid), *options, "mnt", code=0)
        return [json.loads(line) for line in done.out.splitlines()]

    seen = 0

    def fresh(self, uid):
        """The user's records since it was last asked, of whomever."""
        fresh = [r for r in self.log_of(uid, "--since", "-1 min") if r["seq"] > self.seen]
        self.seen = max([self.seen] + [r["seq"] for r in fresh])
        return fresh

    def record_of(self, who, path, wanted, words):
        """The record of what was tried: of the path, or (denied) of a directory on the way or a name in it."""
        outcome = "denied" if wanted in (errno.EACCES, errno.EPERM) else "ok"
        fresh = self.fresh(WHO[who][0])
        found = [r for r in fresh if r["outcome"] == outcome and self.is_about(r, path)
                 and (outcome == "ok" or r["errno"] == wanted)]
        self.check(found, f"{words}: no record '{outcome}' of {who} on {path}: "
                          f"{[(r['event'], r['outcome'], r.get('path')) for r in fresh]}")
        return found[-1] if found else {}

    @staticmethod
    def is_about(record, path):
        named = record.get("path") or ""
        return named == path or path.startswith(named + "/") or named.startswith(path)

    # ---- the world

    def world(self, more=""):
        self.seen = 0
        os.chmod(self.directory, 0o755)
        self.mounted(policy=None, options=("-o", "allow_other"))
        os.umask(0o000)  # mode bits let everybody: what is refused is refused by roles
        for zone in ("Landing", "Trusted"):
            os.chmod(self.at(zone), 0o777)
        os.makedirs(self.at("Landing/animals"))
        self.put("Landing/mine.txt", b"one\n")
        os.chown(self.at("Landing/mine.txt"), 5, 60)
        self.put("Landing/gone.txt", b"gone\n")
        self.put("Landing/own.txt", b"own\n")
        os.chown(self.at("Landing/own.txt"), 33, 33)
        self.policy(HEAD, RULES)
        self.put("Landing/" + A, GOOD)
        self.put("Landing/" + B, GOOD)
        self.put("Landing/plants/p.csv", GOOD)
        self.put("Landing/animals/gone.csv", GOOD)
        for path in (A, B, "plants/p.csv", "animals/gone.csv"):
            self.wait_for("Trusted/" + path, GOOD)
        os.unlink(self.at("Landing/animals/gone.csv"))
        self.idle()
        for path in ("Trusted/animals", "Trusted/plants"):
            os.chmod(self.at(path), 0o777)
        os.umask(0o022)
        self.hand_over(more)

    def hand_over(self, more=""):
        """From here on root, who mounted, has no role."""
        os.makedirs(self.path("policy"), exist_ok=True)
        self.write("policy/policy.yaml", HEAD + ROLES + more, mode=0o644)
        self.write("policy/animals.dqdl", RULES, mode=0o644)
        os.chmod(self.path("policy"), 0o755)
        self.assayfs("policy", "apply", "--hand-over", "policy", "mnt")
        self.command("steward", "sync", "mnt", code=0)
        time.sleep(0.2)  # what the kernel kept of names goes with a notice of its own

    def apply(self, more):
        self.write("policy/policy.yaml", HEAD + ROLES + more, mode=0o644)
        self.command("steward", "policy", "apply", "policy", "mnt", code=0)
