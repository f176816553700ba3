#!/usr/bin/env python3
"""A slot whose key a key management service holds, from the command line on a real mount.

usage: test_key_kms.py ASSAYFS SOURCE

tests: fs/command/key_kms
"""
import os
import sys

from backing import BackupTests
from fake_kms import ARN, FakeKms

if not os.path.exists("/dev/fuse"):
    print("skipped: /dev/fuse is missing")
    sys.exit(77)


class KmsKeys(BackupTests):
    def opens(self, environment, *arguments, code=0):
        return self.assayfs(*arguments, code=code, env={**os.environ, **environment})

    def test_a_vault_is_mounted_by_a_key_that_never_leaves_the_service(self):
        kms = FakeKms()
        self.mounted()
        self.put("Landing/a", b"content")
        with kms.serving() as environment:
            told = self.opens(environment, "key", "add", "--kms", "alias/vault", "--label", "of the office", "mnt").out
            self.check("(kms)" in told, told)
            vault = self.json("status", "--json", "mnt")["vault"]
            slot = next(s for s in self.json("key", "list", "--json", "mnt")["slots"] if s["type"] == "kms")
            context = {"assayfs-slot": slot["id"], "assayfs-vault": vault}
            self.check(kms.asked == [("GenerateDataKey", context)], f"{kms.asked}")
            self.assayfs("umount", "mnt")
            self.opens(environment, "mount", "--kms", "v", "mnt")
            self.check(self.get("Landing/a") == b"content", "another content")
            self.check(kms.asked[1:] == [("Decrypt", context)], f"{kms.asked}")
            self.assayfs("umount", "mnt")
            self.check("Clean" in self.opens(environment, "fsck", "--kms", "v").out, "fsck")
            # What names it is authentic, so that nobody asks for another key.
            with open(self.path("v/vault.json"), "rb") as file:
                text = file.read()
            self.check(ARN.encode() in text and b"AKIDEXAMPLE" not in text and b"127.0.0.1" not in text, "vault.json")
            kms.state = "Disabled"
            self.one_line(self.opens(environment, "mount", "--kms", "v", "mnt", code=3), "disabled", ARN)
            kms.state = "Enabled"
            self.write("v/vault.json", text.replace(slot["id"].encode(), b"0" * 32))
            self.one_line(self.opens(environment, "mount", "--kms", "v", "mnt", code=12), "context")
            self.write("v/vault.json", text)
        # Nobody is there: an exit code of its own, and the other ways to unlock go on.
        self.one_line(self.opens(environment, "mount", "--kms", "v", "mnt", code=13), "could not be asked")
        self.mount()

    def test_what_makes_no_slot_is_refused(self):
        kms = FakeKms()
        self.mounted()
        with kms.serving() as environment:
            kms.state = "Disabled"
            self.one_line(self.opens(environment, "key", "add", "--kms", "alias/vault", "mnt", code=3), "disabled")
            self.one_line(self.opens(environment, "key", "add", "--kms", "no key", "mnt", code=2), "no key")
        self.one_line(self.opens(environment, "key", "add", "--kms", "alias/vault", "mnt", code=13), "could not be asked")
        self.check(len(self.json("key", "list", "--json", "mnt")["slots"]) == 2, "a slot was made")
        self.assayfs("umount", "mnt")
        self.one_line(self.opens(environment, "mount", "--kms", "v", "mnt", code=1), "no slot of a key management service")
        self.one_line(self.opens(environment, "mount", "--kms", "--passfile", "pass", "v", "mnt", code=2), "--kms")
        self.mount()


sys.exit(KmsKeys().run())
