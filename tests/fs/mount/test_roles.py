#!/usr/bin/env python3
"""The matrix of roles holds on the mount: who lacks the role gets EACCES, and a record of it.

usage: test_roles.py ASSAYFS SOURCE
"""
import errno
import json
import os
import shutil
import subprocess
import sys
import time

from gate import NAME, GateTests

if os.getuid() != 0 or not shutil.which("setpriv"):
    print("skipped: needs root and setpriv, to act as several users")
    sys.exit(77)

RULES = 'Rules = [ RowCount > 2 ]\n'
GOOD = b"name;kind\r\na;cat\r\nb;dog\r\nc;cat\r\n"
IDS = {"steward": 0, "ingester": 64001, "analyst": 64002, "auditor": 64003, "nobody": 64004}
POLICY = """version: 1
datasets:
  - {name: animals, match: "animals/*.csv", rules: animals.dqdl}
roles:
  steward: {users: [root]}
  ingester: {users: ["64001"]}
  analyst: {groups: ["64012"]}
  auditor: {users: ["64003"]}
"""
GROUPS = {"analyst": "64012"}

ATTEMPTS = {  # what is tried, and the roles that may
    "list Landing": ("ls Landing", "steward ingester"),
    "read Landing": (f"cat Landing/{NAME}", "steward ingester"),
    "write Landing": ("sh -c 'echo x >> Landing/mine.txt'", "steward ingester"),
    "create in Landing": ("sh -c 'mkdir Landing/d$$ && rmdir Landing/d$$'", "steward ingester"),
    "rename in Landing": ("sh -c 'touch Landing/m$$ && mv Landing/m$$ Landing/n$$ && rm Landing/n$$'", "steward ingester"),
    "read Raw": (f"cat Raw/{NAME}", "steward"),
    "list Raw": ("ls Raw", "steward"),
    "read Trusted": (f"cat Trusted/{NAME}", "steward analyst"),
    "list Trusted": ("ls Trusted/animals", "steward analyst"),
    "write Trusted": (f"cp good.csv Trusted/{NAME}", "steward"),
    "remove in Trusted": ("sh -c 'mkdir Trusted/d && rmdir Trusted/d'", "steward"),
    "a version of Trusted": (f"cat .assayfs/versions/Trusted/{NAME}/1", "steward analyst"),
    "a version of Landing": (f"cat .assayfs/versions/Landing/{NAME}/1", "steward ingester"),
    "Landing as it was": (f"cat .assayfs/at/2200-01-01/Landing/{NAME}", "steward ingester"),
    "Trusted as it was": (f"cat .assayfs/at/2200-01-01/Trusted/{NAME}", "steward analyst"),
    "the audit log": ("sh -c 'cat .assayfs/audit/*.jsonl'", "steward auditor"),
}


# Two who may write to Landing, and what either keeps from the other.
TWO = """version: 1
datasets:
  - {name: animals, match: "animals/*.csv", rules: animals.dqdl}
roles:
  steward: {users: [root]}
  ingester: {users: ["64001", "64002"]}
"""
# One request on the mount's socket, as the bytes of the command would not put it: prints the last answer.
ASK = r"""
import json, socket, struct, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
text = json.dumps({"command": sys.argv[2], "arguments": json.loads(sys.argv[3])}).encode()
s.sendall(struct.pack("<I", len(text)) + text)
file = s.makefile("rb")
while True:
    answer = json.loads(file.read(struct.unpack("<I", file.read(4))[0]))
    print(json.dumps(answer))
    if "end" in answer:
        break
"""


class RoleTests(GateTests):
    def ask(self, uid, command, **arguments):
        """All answers to a request by that user; the last one has `end`."""
        vault = self.json("info", "--json", "v")["vault"]
        done = subprocess.run(["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", sys.executable, "-c",
                               ASK, "/run/assayfs/" + vault, command, json.dumps(arguments)], capture_output=True,
                              check=False, timeout=60, cwd="/")
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        self.check(answers and "end" in answers[-1], f"{command} was not answered: {done.stderr.decode()}")
        return answers or [{"end": 0}]

    def as_user(self, uid, script):
        return subprocess.run(["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", "sh", "-c", script],
                              cwd=self.mnt, capture_output=True, check=False, timeout=60)

    def two_ingesters(self):
        os.chmod(self.directory, 0o755)
        self.mounted(policy=None, options=("-o", "allow_other"))
        os.chmod(self.at("Landing"), 0o1777)
        self.policy(TWO, RULES)

    def test_restore_gives_nobody_what_another_user_kept_to_himself(self):
        self.two_ingesters()
        self.as_user(64001, "umask 077; echo SECRET > Landing/report.txt")
        self.assayfs("sync", "mnt")
        self.as_user(64001, "rm Landing/report.txt")
        self.as_user(64002, "echo mine > Landing/report.txt")
        self.assayfs("sync", "mnt")
        rows = self.json("versions", "--json", self.at("Landing/report.txt"))["versions"]
        secret = next((row["number"] for row in rows if row["uid"] == 64001), None)
        mine = next((row["number"] for row in rows if row["uid"] == 64002), None)
        self.check(secret and mine, f"{rows}")
        listed = [answer["item"]["uid"] for answer in self.ask(64002, "versions", path="Landing/report.txt") if "item" in answer]
        self.check(listed == [64002], f"versions lists those of {listed}")
        end = self.ask(64002, "restore", path="Landing/report.txt", number=secret)[-1]
        self.check(end["end"] == -errno.EACCES, f"{end}")
        self.check(self.get("Landing/report.txt") == b"mine\n", f"{self.get('Landing/report.txt')}")
        denied = [r for r in self.records("--outcome", "denied") if r["event"] == "restore" and r["uid"] == 64002]
        self.check(len(denied) == 1 and denied[0]["path"] == "Landing/report.txt", f"{denied}")
        self.check(self.ask(64002, "restore", path="Landing/report.txt", number=mine)[-1] == {"end": 0}, "his own")
        self.check(self.ask(0, "restore", path="Landing/report.txt", number=secret)[-1] == {"end": 0}, "root")
        self.check(self.get("Landing/report.txt") == b"SECRET\n", f"{self.get('Landing/report.txt')}")

    def test_a_request_names_a_path_as_the_tree_does(self):
        self.two_ingesters()
        self.put("Landing/animals/a.csv", GOOD)
        self.outcome("Landing/animals/a.csv", "passed")
        for path in ("Landing//animals/a.csv", "Landing/./animals/a.csv", "Landing/animals/../animals/a.csv", "/Landing/animals/a.csv",
                     "Landing/animals/a.csv/"):
            for command in ("restore", "versions", "why"):
                end = self.ask(0, command, path=path, number=1)[-1]
                self.check(end["end"] == -errno.EINVAL, f"{command} of {path}: {end}")
        odd = [r for r in self.records() if "//" in (r.get("path") or "") or "/." in (r.get("path") or "")]
        self.check(not odd, f"{odd}")

    def test_who_may_not_wait_for_the_end_is_recorded(self):
        self.two_ingesters()
        end = self.ask(64001, "attend")[-1]
        self.check(end["end"] == -errno.EACCES, f"{end}")
        denied = [r for r in self.records("--outcome", "denied") if r["event"] == "attend" and r["uid"] == 64001]
        self.check(len(denied) == 1, f"{denied}")

    def as_role(self, role, command):
        uid = str(IDS[role])
        words = ["setpriv", "--reuid", uid, "--regid", uid]
        words += ["--groups", GROUPS[role]] if role in GROUPS else ["--clear-groups"]
        return subprocess.run([*words, "sh", "-c", f"exec {command}"], cwd=self.mnt, capture_output=True, check=False,
                              timeout=60, env={**os.environ, "LC_ALL": "C"})

    def test_the_matrix(self):
        os.chmod(self.directory, 0o755)
        os.umask(0o000)  # mode bits let everybody: what is refused is refused by roles
        self.mounted(policy=None, options=("-o", "allow_other"))
        os.umask(0o000)
        os.makedirs(self.at("Landing/animals"))
        self.put("Landing/mine.txt", b"x")
        for zone in ("Landing", "Trusted"):
            os.chmod(self.at(zone), 0o777)
        reached = self.as_role("nobody", "stat Landing/mine.txt")
        self.check(reached.returncode == 0, f"without roles: {reached.stderr}")
        self.policy(POLICY, RULES)
        time.sleep(0.2)  # what the kernel kept of names goes with a notice of its own
        reached = self.as_role("nobody", "stat Landing/mine.txt")
        self.check(reached.returncode != 0, "a name that was cached before there were roles is still shown")
        self.put("Landing/" + NAME, GOOD)
        self.wait_for("Trusted/" + NAME, GOOD)
        self.write("good.csv", GOOD, mode=0o644)
        for path in ("Landing/mine.txt", "Landing/" + NAME, "Trusted/" + NAME, "Trusted/animals"):
            os.chmod(self.at(path), 0o777)
        self.assayfs("sync", "mnt")  # the tree as it was is what was committed
        for words, (command, allowed) in ATTEMPTS.items():
            command = command.replace("good.csv", self.path("good.csv"))
            for role in IDS:
                done = self.as_role(role, command)
                if role in allowed.split():
                    self.check(done.returncode == 0, f"{role} may not: {words}: {done.stderr.decode().strip()}")
                else:
                    self.check(done.returncode != 0, f"{role} may: {words}")
                    self.check(b"ermission denied" in done.stderr or b"cannot" in done.stderr,
                               f"{role}, {words}: {done.stderr.decode().strip()}")
        denied = self.records("--outcome", "denied")
        for role, uid in IDS.items():
            if role != "steward":
                mine = {record["event"] for record in denied if record["uid"] == uid}
                self.check({"opendir"} <= mine, f"records of what {role} was denied: {mine}")

    def clean_up(self):
        os.umask(0o022)
        super().clean_up()


if __name__ == "__main__":
    sys.exit(RoleTests().run())
