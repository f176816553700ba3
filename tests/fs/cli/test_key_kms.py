#!/usr/bin/env python3
"""A slot whose key a key management service holds, from the command line on a real mount.

usage: test_key_kms.py ASSAYFS SOURCE ASSAYFS_AGED

ASSAYFS_AGED is the program that asks the service three times a second while a vault is mounted (aged.c).

tests: fs/command/key_kms, fs/kms_slot, fs/kms_watch
"""
import errno
import json
import os
import subprocess
import sys
import time

from backing import BackupTests
from fake_kms import ARN, FakeKms
import program

if not os.path.exists("/dev/fuse"):
    print("skipped: /dev/fuse is missing")
    sys.exit(77)

AGED = program.for_everybody(sys.argv[3])


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

    # ---- while it is mounted ----

    def with_slot(self, environment):
        """A vault with content, unmounted, that the service opens."""
        self.mounted()
        self.put("Landing/a", b"content")
        self.opens(environment, "key", "add", "--kms", "alias/vault", "mnt")
        self.assayfs("umount", "mnt")

    def watched(self, environment, *options):
        """Mounted by the program that asks all the time."""
        done = subprocess.run([AGED, "mount", "--kms", *options, "v", "mnt"], cwd=self.directory, env={**os.environ, **environment},
                              capture_output=True, timeout=60, check=False)
        self.check(done.returncode == 0, f"mount {options}: {done.stderr.decode()}")

    def status(self):
        return self.json("status", "--json", "mnt")

    def until(self, what, words):  # pylint: disable=arguments-renamed
        deadline = time.monotonic() + 60
        while not what() and time.monotonic() < deadline:
            time.sleep(0.1)
        self.check(what(), f"{words}: {self.status()['kms']}")

    def is_locked(self):
        return self.status()["locked"]

    def told(self, *events):
        self.assayfs("sync", "mnt")
        return [(r["event"], r["outcome"], r.get("detail", "")) for r in self.records("--event", ",".join(events))]

    def put_back(self, kms, asks=2):
        """The service is well again, and was asked since."""
        kms.state = "Enabled"
        before = len(kms.asked)
        self.until(lambda: len(kms.asked) >= before + asks, "asked again")

    def test_a_mount_asks_again_and_says_whether_it_was_answered(self):
        kms = FakeKms()
        with kms.serving() as environment:
            self.with_slot(environment)
            self.watched(environment)
            self.until(lambda: len(kms.asked) > 4, "asked")
            status = self.status()
            self.check(status["unlocked_by"]["type"] == "kms" and status["unlocked_by"]["kms_key"] == ARN, f"{status['unlocked_by']}")
            self.check(status["kms"]["up"] and abs(status["kms"]["last_success_ns"] / 1e9 - time.time()) < 30, f"{status['kms']}")
            self.check({json.dumps(context) for _, context in kms.asked} == {json.dumps(kms.asked[0][1])}, f"{kms.asked}")
            words = self.assayfs("status", "mnt").out
            self.check("Unlocked by slot" in words and ARN in words and "gave the key" in words, words)
            metrics = self.get(".assayfs/metrics").decode()
            self.check("assayfs_kms_up 1" in metrics and "assayfs_kms_last_success_seconds" in metrics, "metrics")
            mounts = self.told("mount")
            self.check(mounts[-1][2] == f"slot {status['unlocked_by']['slot']}, kms {ARN}", f"{mounts}")
            for state in "Throttled", "Failing", "Expired":
                kms.state = state
                self.until(lambda: not self.status()["kms"]["up"], state)
                self.check("assayfs_kms_up 0" in self.get(".assayfs/metrics").decode(), f"{state}: metrics")
                self.check("!! The key management service gave the key last" in self.assayfs("status", "mnt").out, state)
                self.check(not self.is_locked() and self.get("Landing/a") == b"content", f"{state}: it stays open")
                self.put_back(kms)
                self.until(lambda: self.status()["kms"]["up"], f"{state}: up again")
            found = self.told("kms-away", "kms-back", "lock")
            self.check([(e, o) for e, o, _ in found] == [("kms-away", "error"), ("kms-back", "ok")] * 3, f"{found}")
        # And nobody is there.
        self.until(lambda: not self.status()["kms"]["up"], "away")
        self.check(not self.is_locked(), "no time was set")
        self.assayfs("umount", "mnt")

    def test_what_the_owner_refuses_locks_at_once(self):
        kms = FakeKms()
        with kms.serving() as environment:
            self.with_slot(environment)
            self.watched(environment)
            for state, word in ("Disabled", "disabled"), ("PendingDeletion", "delet"), ("AccessDenied", ""):
                kms.state = state
                self.until(self.is_locked, state)
                try:
                    self.get("Landing/a")
                    self.check(False, f"{state}: it is to be read")
                except OSError as error:
                    self.check(error.errno == errno.EACCES, f"{state}: {error}")
                why = self.told("lock")[-1][2]
                self.check(word in why and ARN in why, why)
                refused = self.opens(environment, "unlock", "--kms", "mnt", code=None)
                self.check(refused.returncode in (3, 6) and self.is_locked(), f"{state}: {refused.returncode} {refused.err}")
                kms.state = "Enabled"
                self.opens(environment, "unlock", "--kms", "mnt")
                self.check(not self.is_locked() and self.get("Landing/a") == b"content", f"{state}: unlocked")
                self.put_back(kms)
            self.check(len(self.told("lock")) == 3, "each once")
            unlocked = self.told("unlock")
            self.check(all(d.endswith(f"kms {ARN}") for _, o, d in unlocked if o == "ok") and len(unlocked) == 3, f"{unlocked}")
            # By another slot it is no more the service's.
            kms.state = "Disabled"
            self.until(self.is_locked, "disabled")
            self.assayfs("unlock", "--passfile", "pass", "mnt")
            time.sleep(1.5)
            self.check(not self.is_locked() and self.status()["kms"] is None, "unlocked by the passphrase")
            self.check("assayfs_kms_up" not in self.get(".assayfs/metrics").decode(), "no figure")
            self.assayfs("lock", "mnt")
            kms.state = "Enabled"
        self.one_line(self.opens(environment, "unlock", "--kms", "mnt", code=13), "could not be asked")
        self.check(self.is_locked(), "nobody was there")

    def test_after_so_long_without_the_service_it_locks(self):
        kms = FakeKms()
        with kms.serving() as environment:
            self.with_slot(environment)
            self.watched(environment, "--max-offline", "4s")
            time.sleep(5)
            self.check(not self.is_locked(), "it is up")
            kms.state = "Failing"
            began = time.monotonic()
            self.until(self.is_locked, "locked")
            self.check(time.monotonic() - began > 3, "not at once")
            found = self.told("kms-away", "lock")
            self.check([e for e, _, _ in found] == ["kms-away", "lock"] and "could not be asked for" in found[1][2], f"{found}")
            self.put_back(kms)
            self.check(self.is_locked(), "it stays locked")
            self.opens(environment, "unlock", "--kms", "mnt")
            self.check(self.get("Landing/a") == b"content", "unlocked")

    def test_a_service_that_hangs_holds_up_nothing(self):
        kms = FakeKms()
        with kms.serving() as environment:
            self.with_slot(environment)
            self.watched(environment)
            kms.state = "Hanging"
            before = len(kms.asked)
            self.until(lambda: len(kms.asked) > before, "asked")
            began = time.monotonic()
            self.put("Landing/b", b"more")
            self.check(self.get("Landing/b") == b"more" and self.status() is not None, "content")
            self.assayfs("umount", "mnt")
            took = time.monotonic() - began
            self.check(took < 15, f"it took {took:.1f} s")

    def test_options_that_do_not_go_together_are_a_slip(self):
        self.mounted()
        self.assayfs("umount", "mnt")
        self.one_line(self.assayfs("mount", "--max-offline", "8h", "--passfile", "pass", "v", "mnt", code=2), "--kms")
        for text in "59s", "soon":
            self.one_line(self.assayfs("mount", "--kms", f"--max-offline={text}", "v", "mnt", code=2), "--max-offline")
        self.mount()
        self.one_line(self.assayfs("unlock", "--kms", "--passfile", "pass", "mnt", code=2), "--kms")
        self.assayfs("lock", "mnt")
        self.one_line(self.assayfs("unlock", "--kms", "mnt", code=1), "no slot of a key management service")

    def test_a_vault_comes_back_from_its_backup_by_the_service(self):
        kms = FakeKms()
        with kms.serving() as environment:
            self.with_slot(environment)
            self.mount()
            place, url = self.place()
            os.makedirs(place, exist_ok=True)
            self.add(url)
            self.assayfs("backup", "sync", "--timeout", "100", url, "mnt")
            for _ in range(300):
                self.get(".assayfs/status.json")
            self.assayfs("sync", "mnt")
            self.assayfs("log", "archive", "--before", "now", "--to", self.directory, "mnt")
            self.assayfs("umount", "mnt")
            listed = json.loads(self.opens(environment, "recover", "--kms", "--list", "--json", url).out)
            self.check(len(listed["generations"]) > 0, f"{listed}")
            kms.state = "Disabled"
            self.one_line(self.opens(environment, "recover", "--kms", url, "again", code=3), "disabled")
            kms.state = "Enabled"
            self.opens(environment, "recover", "--kms", url, "again")
            self.opens(environment, "mount", "--kms", "again", "mnt")
            self.check(self.get("Landing/a") == b"content", "content")
            archives = [os.path.join("v/audit", name) for name in os.listdir(self.path("v/audit"))]
            told = self.opens(environment, "log", "open", "--kms", "v", *archives).out
            self.check('"event":"mount"' in told, told[:200])
        self.one_line(self.opens(environment, "recover", "--kms", url, "more", code=13), "could not be asked")


sys.exit(KmsKeys().run())
