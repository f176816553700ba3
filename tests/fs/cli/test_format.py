#!/usr/bin/env python3
"""docs/format.md, held by sixty lines that were written from it: open_vault.py opens the header and the blocks of vaults that
the program has just made and of those that are kept, and nothing of which a bit was changed. A header that was written by the
description alone opens with the program.

usage: test_format.py ASSAYFS SOURCE
"""
import ast
import base64
import glob
import json
import os
import re
import struct
import subprocess
import sys

PYTHON = "/usr/bin/python3"  # Debian's, which the packages belong to
try:
    from nacl import public, signing
    import open_vault
except ImportError as missing:
    if os.path.realpath(sys.executable) != os.path.realpath(PYTHON) and os.path.exists(PYTHON):
        os.execv(PYTHON, [PYTHON, *sys.argv])
    print(f"skipped: {missing}; scripts/setup installs it")
    sys.exit(77)
from cli import SOURCE, Tests  # noqa: E402
sys.path.append(os.path.join(SOURCE, "tests/format"))
import reader  # noqa: E402

CIPHERS = ("aes-256-gcm", "xchacha20-poly1305")
PASSPHRASE = "correct horse"
BLOCK = 16384
KNOWN = bytes(i * i % 251 for i in range(40000))
TABLE = b"".join(b"%d;Cat;Brown;2024-01-%02d;Found\r\n" % (i * 7919, i % 28 + 1) for i in range(2000))
OWN = bytes(i * i % 241 for i in range(20000))
POLICIES = {"packed": "compression: {Landing: 3}\n", "own": "keys: [{match: own, key: animals}]\n"}
KEPT = os.path.join(SOURCE, "tests/fixtures/known")


def in_blocks(data):
    return [data[i:i + BLOCK] for i in range(0, len(data), BLOCK)]


def read(*path):
    with open(os.path.join(*path), "rb") as file:
        return file.read()


def segments(vault):
    return {os.path.basename(path): read(path) for path in sorted(glob.glob(os.path.join(vault, "segments/*/*")))}


def all_blocks(data, name, keys):
    blocks = []
    while True:
        try:
            blocks.append(open_vault.open_block(data, name, keys, len(blocks)))
        except ValueError as error:
            if "no such block" not in str(error):
                raise
            return blocks


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1:]


def canonical(whole):
    """As the description has it, written anew: what open_vault.py signs it only cuts out of the file."""
    def text(value):
        plain = json.dumps(value, sort_keys=True, separators=(",", ":"))
        return re.sub(r"\\(\\|u....)", lambda found: found[0][:2] + found[0][2:].upper(), plain)
    members = [f'"{name}":' + ("[\n" + ",\n".join(map(text, whole[name])) + "\n]" if isinstance(whole[name], list) else text(whole[name]))
               for name in sorted(whole)]
    return ("{\n" + ",\n".join(members) + "\n}\n").encode("ascii")


class FormatTests(Tests):
    mounted = None

    def clean_up(self):
        if self.mounted:
            self.unmount(self.mounted)
            self.mounted = None

    def make(self, cipher, **files):
        """A vault with these files in Landing, written one after the other and unmounted; `packed` after compression began,
        `own` with a key of its own."""
        vault, mnt = self.path(cipher), self.path("mnt")
        os.makedirs(mnt, exist_ok=True)
        self.write("pass", PASSPHRASE + "\n")
        self.assayfs("init", "--argon-mem", "8", "--argon-ops", "2", "--passfile", "pass", "--cipher", cipher, vault)
        self.assayfs("mount", "--passfile", "pass", vault, mnt)
        self.mounted = mnt
        for name, content in files.items():
            if name in POLICIES:
                os.makedirs(self.path("policy"), exist_ok=True)
                self.write("policy/policy.yaml", "version: 1\n" + POLICIES[name])
                self.assayfs("policy", "apply", self.path("policy"), mnt)
            with open(os.path.join(mnt, "Landing", name), "wb") as file:
                file.write(content)
                os.fsync(file.fileno())
        self.clean_up()
        return vault

    def open_vault(self, vault, segment, number, passphrase=PASSPHRASE):
        return subprocess.run([sys.executable, open_vault.__file__, vault, segment, str(number)], input=passphrase.encode() + b"\n",
                              capture_output=True, timeout=60, check=False)

    def refuses(self, words, function, *arguments):
        try:
            function(*arguments)
        except Exception:  # whichever: that it gives nothing
            return
        self.check(False, f"{words}: was changed, and nothing noticed")

    def fsck(self, vault, code=0):
        return self.assayfs("fsck", vault, "--passfile", "pass", code=code)

    def test_open_vault_has_sixty_lines_at_most(self):
        source = read(open_vault.__file__).decode()
        words = ast.parse(source).body[0]
        code = [line for number, line in enumerate(source.splitlines(), 1)
                if line.strip() and not line.strip().startswith("#") and not words.lineno <= number <= words.end_lineno]
        self.check(len(code) <= 60, f"{len(code)} lines of code")

    def test_what_the_program_wrote_is_opened(self):
        for cipher in CIPHERS:
            vault = self.make(cipher, known=KNOWN, packed=TABLE, own=OWN)
            keys = open_vault.open_header(read(vault, "vault.json"), PASSPHRASE.encode())
            names = {name for name, _ in keys if not name.startswith("own-")}
            self.check(len(keys) == 8 and names == {"landing", "raw", "trusted", "meta", "audit", "verdict", "header"}, f"{keys.keys()}")
            found = [block for name, data in segments(vault).items() for block in all_blocks(data, name, keys)]
            for block in in_blocks(KNOWN) + in_blocks(TABLE) + in_blocks(OWN):
                self.check(block in found, f"{cipher}: a block of {len(block)} bytes, {block[:16]}…, is not among {len(found)}")
            whole = reader.Vault(vault, "passphrase", PASSPHRASE.encode())
            self.check(sum(segment.own != "" for segment in whole.segments.values()) == 1, f"{cipher}: segments with a key of their own")
            self.check(whole.read("Landing/own") == OWN and whole.read("Landing/known") == KNOWN, f"{cipher}: the reader")
            for form, words in (2, "may have packed blocks"), (3, "has a key of its own"):
                self.check(any(data[8] == form for data in segments(vault).values()), f"{cipher}: no segment {words}")
            for name, data in segments(vault).items():
                if data[8] == 3:  # by the zone's key alone it does not open
                    own = next(name for name, _ in keys if name.startswith("own-"))
                    self.refuses("a key of its own", all_blocks, data, name, {**keys, (own, 1): bytes(32)})
            name = next(name for name, data in segments(vault).items() if KNOWN[:BLOCK] in all_blocks(data, name, keys))
            number = all_blocks(segments(vault)[name], name, keys).index(KNOWN[:BLOCK])
            opened = self.open_vault(vault, name, number)
            self.check(opened.returncode == 0 and opened.stdout == KNOWN[:BLOCK], f"{cipher}: {opened.stderr.decode()}")
            for wrong in ("incorrect horse", ""):
                opened = self.open_vault(vault, name, number, wrong)
                self.check(opened.returncode == 1 and not opened.stdout, f"{cipher}: {wrong!r} opens, too")
            segment = f"{cipher}/segments/{name[:2]}/{name}"
            for changed, at in ((f"{cipher}/vault.json", 300), (segment, 20), (segment, segments(vault)[name].index(b"ASSAYBAT") + 4000)):
                content = read(self.path(changed))
                self.write(changed, flipped(content, at))
                opened = self.open_vault(vault, name, number)
                self.check(opened.returncode == 1 and not opened.stdout, f"{changed}: byte {at} was changed, and it opens")
                self.write(changed, content)

    def test_a_bit_that_was_changed_is_refused(self):
        for cipher in CIPHERS:
            vault = self.make(cipher, known=KNOWN)
            header = read(vault, "vault.json")
            keys = open_vault.open_header(header, PASSPHRASE.encode())
            for at in range(len(header)):
                self.refuses(f"{cipher}: byte {at} of vault.json", open_vault.open_header, flipped(header, at), PASSPHRASE.encode())
            name, data = next(iter(segments(vault).items()))
            count, = struct.unpack_from("<I", data, 128 + 40)
            first = 128 + 64 + 32 * count + 16
            size = len(open_vault.open_block(data, name, keys, 0)) + 16
            for at in [*range(first), *range(first, first + size, 61), first + size - 1]:
                self.refuses(f"{cipher}: byte {at} of the segment", open_vault.open_block, flipped(data, at), name, keys, 0)
            self.refuses(f"{cipher}: the segment's name", open_vault.open_block, data, "0" * 64, keys, 0)
            self.check(open_vault.open_block(flipped(data, first), name, keys, 1) == KNOWN[BLOCK:2 * BLOCK], f"{cipher}: the block behind")

    def rotated(self, vault, forged=False):
        """vault.json with a new label and a second version of the key `header`, by the description; `forged`: without the first."""
        whole = json.loads(read(vault, "vault.json"))
        keys = open_vault.open_header(read(vault, "vault.json"), PASSPHRASE.encode())
        vault_id, slot = bytes.fromhex(whole["vault"]), whole["slots"][0]
        old, new = signing.SigningKey(keys["header", 1]), signing.SigningKey.generate()
        message = b"assayfs header signer 1\n" + vault_id + struct.pack("<I", 1) + bytes(new.verify_key)

        def text(data):
            return base64.b64encode(data).decode()
        whole["signers"].append({"public": text(bytes(new.verify_key)), "signature": text((new if forged else old).sign(message).signature)})
        at = [key["name"] for key in whole["keys"]].index("header")
        whole["keys"][at]["state"] = "retired"
        whole["keys"].insert(at + 1, {"kind": "ed25519", "name": "header", "state": "active", "version": 2})
        bound = open_vault.derive(bytes(new), b"header box", vault_id + bytes.fromhex(slot["id"]) + struct.pack("<II", 2, 2) + b"header")
        box = public.SealedBox(public.PublicKey(base64.b64decode(slot["public"]))).encrypt(bytes(new) + bound)
        slot["boxes"].insert([box["name"] for box in slot["boxes"]].index("header") + 1,
                             {"box": text(box), "name": "header", "version": 2})
        slot["label"] = 'für "später" \\u00fc ☂ 𝄞'
        whole["generation"] += 1
        del whole["signature"]
        signature = new.sign(b"assayfs vault header 1\n" + canonical(whole)).signature
        return canonical({**whole, "signature": text(signature)})

    def test_a_header_by_the_description_opens_with_the_program(self):
        vault = self.make(CIPHERS[0], known=KNOWN)
        genuine = read(vault, "vault.json")
        self.check(canonical(json.loads(genuine)) == genuine, "the program writes another canonical form")
        for forged in (False, True):
            header = self.rotated(vault, forged)
            self.write(f"{CIPHERS[0]}/vault.json", header)
            result = self.fsck(vault, code=1 if forged else 0)
            if forged:
                self.check("vault.json" in result.out + result.err, result.out + result.err)
                self.refuses("a signer", open_vault.open_header, header, PASSPHRASE.encode())
            else:
                self.check(("header", 2) in open_vault.open_header(header, PASSPHRASE.encode()), "the second version")
                keys = reader.Header(header).unlock("passphrase", PASSPHRASE.encode())
                self.check(("header", 2) in keys, "the second version, for the other reader")
                self.check(self.json("info", "--json", vault)["slots"][0]["label"] == 'für "später" \\u00fc ☂ 𝄞', "the label")
            self.write(f"{CIPHERS[0]}/vault.json", genuine)

    def test_what_is_kept_opens(self):
        for cipher in CIPHERS:
            vault = os.path.join(KEPT, cipher)
            keys = open_vault.open_header(read(vault, "vault.json"), b"a vault of two blocks")
            found = [block for name, data in segments(vault).items() for block in all_blocks(data, name, keys)]
            self.check(sorted(found) == sorted([read(KEPT, "first"), read(KEPT, "second")]), f"{cipher}: other blocks")
            self.refuses("the passphrase", open_vault.open_header, read(vault, "vault.json"), b"a vault of two block")
            formats = sorted(data[8] for data in segments(vault).values())
            self.check(formats == ([1] if cipher == CIPHERS[0] else [1, 2]), f"{cipher}: segments of the formats {formats}")


if not os.path.exists("/dev/fuse"):
    print("skipped: /dev/fuse is missing")
    sys.exit(77)
sys.exit(FormatTests().run())
