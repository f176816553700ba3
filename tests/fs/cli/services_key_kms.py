#!/usr/bin/env python3
"""A vault whose key moto holds, over TLS with signatures and permissions, through the real command.

usage: services_key_kms.py ASSAYFS SOURCE ASSAYFS_AGED

moto still gives disabled keys: what a refusal does is in test_key_kms.py, with a stub that is strict.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "backend", "kms"))
from backing import BackupTests  # noqa: E402
import program  # noqa: E402
from services_kms import REGION, Server, make_certificate, server_command  # noqa: E402

AGED = program.for_everybody(sys.argv[3])
COMMAND, ROOT = server_command()
if not COMMAND or not os.path.exists("/dev/fuse"):
    print("skipped: moto_server or /dev/fuse is missing; scripts/setup --services")
    sys.exit(77)


class Moto(BackupTests):
    def opens(self, environment, *arguments, code=0):
        return self.assayfs(*arguments, code=code, env=environment)

    def test_a_vault_by_a_key_of_a_real_server(self):
        directory = tempfile.mkdtemp(prefix="assayfs-moto.", dir=ROOT + "/tmp" if ROOT else None)
        make_certificate(directory)
        server = Server(COMMAND, ROOT, directory)
        try:
            self.check(server.wait(), "moto begins")
            environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
            environment |= {"AWS_ENDPOINT_URL_KMS": f"https://{server.host}", "AWS_CA_BUNDLE": server.bundle, "AWS_REGION": REGION,
                            "HOME": directory, "no_proxy": "*"} | server.make()
            self.a_life(server, environment)
        finally:
            server.stop()
            shutil.rmtree(directory, ignore_errors=True)

    def a_life(self, server, environment):
        self.mounted()
        self.put("Landing/a", b"content")
        self.opens(environment, "key", "add", "--kms", "alias/vault", "mnt")
        place, url = self.place()
        os.makedirs(place, exist_ok=True)
        self.add(url)
        self.assayfs("backup", "sync", "--timeout", "100", url, "mnt")
        self.assayfs("umount", "mnt")
        server.kms("RotateKeyOnDemand", KeyId=environment["KMS_KEY"])  # what was wrapped before still opens
        done = subprocess.run([AGED, "mount", "--kms", "v", "mnt"], cwd=self.directory, env=environment, capture_output=True, timeout=60, check=False)
        self.check(done.returncode == 0, f"mount: {done.stderr.decode()}")
        time.sleep(3)
        status = self.json("status", "--json", "mnt")
        self.check(status["kms"]["up"] and status["unlocked_by"]["kms_key"] == environment["KMS_KEY"], f"{status['kms']} {status['unlocked_by']}")
        self.assayfs("lock", "mnt")
        weak = environment | {"AWS_ACCESS_KEY_ID": environment["KMS_WEAK_ACCESS_KEY"], "AWS_SECRET_ACCESS_KEY": environment["KMS_WEAK_SECRET_KEY"]}
        wrong = environment | {"AWS_SECRET_ACCESS_KEY": "wrong"}
        self.opens(weak, "unlock", "--kms", "mnt", code=6)
        self.check(self.opens(wrong, "unlock", "--kms", "mnt", code=None).returncode != 0, "wrong credentials")
        self.check(self.json("status", "--json", "mnt")["locked"], "still locked")
        session = environment | {"AWS_ACCESS_KEY_ID": environment["KMS_SESSION_ACCESS_KEY"], "AWS_SECRET_ACCESS_KEY": environment["KMS_SESSION_SECRET_KEY"],
                                 "AWS_SESSION_TOKEN": environment["KMS_SESSION_TOKEN"]}
        self.opens(session, "unlock", "--kms", "mnt")
        self.check(self.get("Landing/a") == b"content", "content")
        self.assayfs("umount", "mnt")
        self.opens(environment, "recover", "--kms", url, "again")
        self.opens(environment, "mount", "--kms", "again", "mnt")
        self.check(self.get("Landing/a") == b"content", "content of what was recovered")


sys.exit(Moto().run())
