#!/usr/bin/env python3
"""The matrix of roles holds on the mount: who lacks the role gets EACCES, and a record of it.

usage: test_roles.py ASSAYFS SOURCE
"""
import os
import shutil
import subprocess
import sys

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


class RoleTests(GateTests):
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
        self.policy(POLICY, RULES)
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
