#!/usr/bin/env python3
"""Vaults without a mount: init, info, wrong passphrases, fsck.

usage: test_vault.py ASSAYFS SOURCE
"""
import json
import os
import pty
import re
import select
import subprocess
import sys

from cli import ASSAYFS, Tests

CHEAP = ["--argon-mem", "1024", "--argon-ops", "1"]


class VaultTests(Tests):
    def init(self, name="v", *more):
        self.write("pass", "correct horse\n")
        return self.assayfs("init", *CHEAP, "--passfile", "pass", *more, name)

    def test_init_prints_the_recovery_key_once_and_what_comes_next(self):
        result = self.init()
        key = re.search(r"^ {4}([0-9A-Z-]{63})$", result.out, re.M)
        self.check(key and "Write it down" in result.out, result.out)
        self.check("assayfs mount" in result.out and "Argon2id with 1.0 MiB, 1 pass)" in result.out, result.out)
        self.check("correct horse" not in result.out + result.err, "the passphrase was shown")

    def test_init_as_json_and_without_a_recovery_key(self):
        made = json.loads(self.init("v", "--json").stdout)
        self.check(len(made["vault"]) == 32 and made["recovery_key"].count("-") == 7, f"{made}")
        made = json.loads(self.init("w", "--json", "--no-recovery-key").stdout)
        self.check(made["recovery_key"] is None, f"{made}")
        slots = self.json("info", "--json", "w")["slots"]
        self.check([slot["type"] for slot in slots] == ["passphrase"], f"{slots}")

    def test_init_leaves_alone_what_is_there(self):
        os.mkdir(self.path("v"))
        self.write("v/mine", "mine")
        self.write("pass", "x")
        self.one_line(self.assayfs("init", *CHEAP, "--passfile", "pass", "v", code=1), "v")
        self.check(os.listdir(self.path("v")) == ["mine"], f"{os.listdir(self.path('v'))}")

    def test_info_tells_the_header_and_no_secret(self):
        self.init("v", "--cipher", "xchacha20-poly1305")
        info = self.json("info", "--json", "v")
        self.check(info["cipher"] == "xchacha20-poly1305" and info["mounted"] is False, f"{info}")
        self.check({key["name"] for key in info["keys"]} >= {"landing", "raw", "trusted", "meta", "audit"}, f"{info}")
        text = self.assayfs("info", "v").out
        self.check(info["vault"] in text and "passphrase" in text and "recovery" in text, text)

    def test_a_wrong_passphrase_exits_12_with_one_line(self):
        self.init()
        os.mkdir(self.path("mnt"))
        self.write("wrong", "incorrect horse\n")
        self.one_line(self.assayfs("mount", "--passfile", "wrong", "v", "mnt", code=12), "v")
        self.one_line(self.assayfs("mount", "--extpass", "echo nope", "v", "mnt", code=12))
        self.one_line(self.assayfs("mount", "--recovery-key-file", "wrong", "v", "mnt", code=2))

    def test_a_passfile_that_others_can_read_is_warned_of(self):
        self.write("open", "correct horse\n", mode=0o644)
        result = self.assayfs("init", *CHEAP, "--passfile", "open", "v")
        self.check("warning" in result.err and "chmod 600" in result.err, result.err)

    def test_the_passphrase_is_asked_for_twice_without_echo(self):
        pid, main = pty.fork()
        if pid == 0:
            os.chdir(self.directory)
            os.execv(ASSAYFS, [ASSAYFS, "init", *CHEAP, "v"])
        shown = b""
        for prompt in (b"New passphrase for vault v: ", b"The same again: "):
            while prompt not in shown:
                ready, _, _ = select.select([main], [], [], 60)
                if not ready:
                    break
                shown += os.read(main, 4096)
            self.check(prompt in shown, f"{shown}")
            while True:  # until the echo is off
                import termios
                if not termios.tcgetattr(main)[3] & termios.ECHO:
                    break
            os.write(main, b"typed horse\n")
        while True:
            try:
                more = os.read(main, 4096)
            except OSError:
                break
            if not more:
                break
            shown += more
        _, status = os.waitpid(pid, 0)
        self.check(status == 0 and b"typed horse" not in shown, f"{status} {shown}")
        os.close(main)

    def test_a_mountpoint_that_is_none_is_told_before_the_passphrase(self):
        self.init()
        self.one_line(self.assayfs("mount", "v", "nowhere", code=1, start_new_session=True), "mkdir")
        self.one_line(self.assayfs("mount", "v", "pass", code=2, start_new_session=True), "no directory")
        os.makedirs(self.path("full/of"))
        self.one_line(self.assayfs("mount", "v", "full", code=2, start_new_session=True), "not empty")
        os.mkdir(self.path("v/inside"))
        for place in "v", "v/inside", "./v/../v":
            self.one_line(self.assayfs("mount", "v", place, code=2, start_new_session=True), "outside of it")
        os.rmdir(self.path("v/inside"))

    def test_the_passphrase_stands_in_no_argument_and_no_environment(self):
        self.write("pass", "correct horse\n")
        script = f"tr '\\0' ' ' </proc/$PPID/cmdline >{self.directory}/seen; tr '\\0' ' ' </proc/$PPID/environ >>{self.directory}/seen; cat pass"
        self.assayfs("init", *CHEAP, "--extpass", script, "v")
        seen = open(self.path("seen"), "rb").read()
        self.check(seen and b"correct horse" not in seen, f"{seen}")

    def test_fsck_of_a_sound_vault_is_clean_and_a_changed_byte_is_named(self):
        self.init()
        self.check("Clean" in self.assayfs("fsck", "--passfile", "pass", "v").out, "not clean")
        found = self.json("fsck", "--json", "--passfile", "pass", "v")
        self.check(found["clean"] is True and found["list"] == [], f"{found}")
        with open(self.path("v/meta.db"), "r+b") as file:
            file.seek(5000)
            byte = file.read(1)
            file.seek(5000)
            file.write(bytes([byte[0] ^ 1]))
        self.check("meta.db" in self.assayfs("fsck", "--passfile", "pass", "v", code=1).out, "meta.db is not named")
        found = self.json("fsck", "--json", "--passfile", "pass", "v", code=1)
        self.check(found["clean"] is False and any(f["file"] == "meta.db" for f in found["list"]), f"{found}")

    def flip(self, name, at):
        with open(self.path(name), "r+b") as file:
            file.seek(at)
            byte = file.read(1)
            file.seek(at)
            file.write(bytes([byte[0] ^ 1]))

    def test_repair_puts_right_what_has_a_second_copy_and_says_how(self):
        self.init()
        self.check("Clean" in self.assayfs("fsck", "--repair", "--passfile", "pass", "v").out, "a sound vault")
        self.flip("v/meta.db", 5000)
        self.flip("v/meta/1", 100)
        os.unlink(self.path("v/meta/anchor-1"))
        result = self.assayfs("fsck", "--passfile", "pass", "v", code=1)
        self.check("3 problems found" in result.out and "fsck --repair" in result.out, result.out)
        result = self.assayfs("fsck", "--repair", "--passfile", "pass", "v")
        lines = result.out.splitlines()
        self.check(sum(" -- repaired: " in line for line in lines) == 3, result.out)
        self.check("3 problems repaired." in lines and lines[-1].startswith("Clean"), result.out)
        self.check("Clean" in self.assayfs("fsck", "--passfile", "pass", "v").out, "not clean after the repair")
        self.flip("v/meta/anchor-2", 300)
        found = self.json("fsck", "--repair", "--json", "--passfile", "pass", "v")
        self.check(found["clean"] is True and found["findings"] == 0 and found["repaired"] == 1, f"{found}")
        self.check([(f["file"], bool(f["repaired"])) for f in found["list"]] == [("meta/anchor-2", True)], f"{found}")

    def test_repair_leaves_what_nothing_vouches_for_and_exits_1(self):
        self.init()
        self.write("v/stray", "x")
        self.flip("v/meta.db", 5000)
        result = self.assayfs("fsck", "--repair", "--passfile", "pass", "v", code=1)
        self.check("stray: this does not belong to the vault -- not repaired" in result.out, result.out)
        self.check("1 problem repaired." in result.out and "1 problem left" in result.out, result.out)
        for anchor in ("1", "2"):
            self.flip(f"v/meta/anchor-{anchor}", 77)
        found = self.json("fsck", "--repair", "--json", "--passfile", "pass", "v", code=1)
        self.check(found["clean"] is False and found["repaired"] == 0, f"{found}")
        self.check(found["list"][0]["file"] == "meta/anchor-1" and found["list"][0]["repaired"] is None, f"{found}")
        self.write("wrong", "incorrect horse\n")
        self.one_line(self.assayfs("fsck", "--repair", "--passfile", "wrong", "v", code=12), "v")
        self.one_line(self.assayfs("fsck", "--accept-loss", "--passfile", "pass", "v", code=2), "--repair")
        os.unlink(self.path("v/stray"))
        result = self.assayfs("fsck", "--repair", "--accept-loss", "--passfile", "pass", "v")
        self.check("were accepted as the newest" in result.out and "Clean" in result.out, result.out)

    def test_fsck_names_a_file_that_does_not_belong_to_the_vault(self):
        self.init()
        self.write("v/stray\n", "x")
        result = self.assayfs("fsck", "--passfile", "pass", "v", code=1)
        self.check("stray\\n: " in result.out and len(result.out.splitlines()) == 3, result.out)

    def test_fsck_with_a_wrong_passphrase_or_no_vault(self):
        self.init()
        self.write("wrong", "incorrect horse\n")
        self.one_line(self.assayfs("fsck", "--passfile", "wrong", "v", code=12), "v")
        self.one_line(self.assayfs("fsck", "--passfile", "pass", "nowhere", code=7), "nowhere")
        os.mkdir(self.path("empty"))
        self.one_line(self.assayfs("fsck", "--passfile", "pass", "empty", code=7), "empty")


sys.exit(VaultTests().run())
