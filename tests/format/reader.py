"""Reads a vault from docs/format.md and docs/audit-log.md alone: shares no line with the program, so that what the
documents say is held against what stands on the disk. Any byte that does not fit raises Damage.

The primitives come from libsodium and libzstd through ctypes (BLAKE2b and SHA-256 from hashlib); SQLite reads the unsealed database.
"""
import base64
import ctypes
import hashlib
import json
import os
import re
import sqlite3
import struct
import tempfile
import time

sodium = ctypes.CDLL("libsodium.so.23")
zstd = ctypes.CDLL("libzstd.so.1")
if sodium.sodium_init() < 0:
    raise OSError("libsodium does not begin")

PAGE, RESERVED, SECTOR, FRAME = 4096, 40, 512, 4168
SLOT_TYPES = ["passphrase", "recovery", "keyfile", "recipient", "kms"]
ZONES = {1: "landing", 2: "raw", 3: "trusted", 4: "landing"}


class Damage(Exception):
    pass


class NoAes(Exception):
    """libsodium has AES-256-GCM only where the processor has it."""


def need(condition, words):
    if not condition:
        raise Damage(words)


def u16(data, at=0):
    return struct.unpack_from("<H", data, at)[0]


def u32(data, at=0):
    return struct.unpack_from("<I", data, at)[0]


def u64(data, at=0):
    return struct.unpack_from("<Q", data, at)[0]


# ---- primitives ----


def blake2b(data, key=b""):
    return hashlib.blake2b(data, key=key, digest_size=32).digest()


def derive(parent, purpose, context=b""):
    purpose = purpose.encode()
    return blake2b(b"assayfs derive 1" + struct.pack("<I", len(purpose)) + purpose + struct.pack("<Q", len(context)) + context,
                   parent)


def open_with(function, key, nonce, tag, sealed, associated, words):
    plain = ctypes.create_string_buffer(max(len(sealed), 1))
    rc = function(plain, None, sealed, ctypes.c_ulonglong(len(sealed)), tag, associated,
                  ctypes.c_ulonglong(len(associated)), nonce, key)
    need(rc == 0, f"{words} does not authenticate")
    return plain.raw[:len(sealed)]


def xchacha_open(key, nonce, tag, sealed, associated, words):
    return open_with(sodium.crypto_aead_xchacha20poly1305_ietf_decrypt_detached, key, nonce, tag, sealed, associated, words)


def segment_open(cipher, key, position, tag, sealed, associated, words):
    position = struct.pack("<Q", position)
    if cipher == 2:
        return xchacha_open(key, bytes(16) + position, tag, sealed, associated, words)
    need(cipher == 1, f"{words}: cipher {cipher}")
    if not sodium.crypto_aead_aes256gcm_is_available():
        raise NoAes
    return open_with(sodium.crypto_aead_aes256gcm_decrypt_detached, key, bytes(4) + position, tag, sealed, associated, words)


def check_signature(public, message, signature, words):
    need(sodium.crypto_sign_verify_detached(signature, message, ctypes.c_ulonglong(len(message)), public) == 0,
         f"{words}: the signature does not verify")


def public_of_seed(seed):
    public, secret = ctypes.create_string_buffer(32), ctypes.create_string_buffer(64)
    sodium.crypto_sign_seed_keypair(public, secret, seed)
    return public.raw


# ---- vault.json ----


def canonical(value):
    """Python escapes as the format does, but with lower-case digits, and DEL as well."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return re.sub(r"\\(\\|u[0-9a-f]{4})", lambda found: {"u007f": "\x7f", "\\": "\\\\"}.get(
        found[1], "\\u" + found[1][1:].upper()), text)


def canonical_file(whole):
    members = []
    for name in sorted(whole):
        value = whole[name]
        if name in ("keys", "signers", "slots"):
            text = "[\n" + ",\n".join(canonical(element) for element in value) + "\n]"
        else:
            text = canonical(value)
        members.append(f'"{name}":{text}')
    return ("{\n" + ",\n".join(members) + "\n}\n").encode()


class Header:
    def __init__(self, text):
        self.whole = json.loads(text)
        need(canonical_file(self.whole) == text, "vault.json is not in its canonical form")
        need(self.whole["magic"] == "assayfs vault" and self.whole["format"] == 1, "vault.json: magic or format")
        need(len(text) <= 4 << 20 and 1 <= len(self.whole["slots"]) <= 64, "vault.json: too much")
        self.vault = bytes.fromhex(self.whole["vault"])
        self.check_signatures(text)
        self.check_states()

    def check_signatures(self, text):
        signers = self.whole["signers"]
        for i, signer in enumerate(signers):
            public = base64.b64decode(signer["public"])
            message = b"assayfs header signer 1\n" + self.vault + struct.pack("<I", i) + public
            by = base64.b64decode(signers[max(i - 1, 0)]["public"])
            check_signature(by, message, base64.b64decode(signer["signature"]), f"signer {i}")
        unsigned = {name: value for name, value in self.whole.items() if name != "signature"}
        self.publics = [base64.b64decode(signer["public"]) for signer in signers]
        check_signature(self.publics[-1], b"assayfs vault header 1\n" + canonical_file(unsigned),
                        base64.b64decode(self.whole["signature"]), "vault.json")
        need(text == canonical_file(self.whole), "vault.json")

    def check_states(self):
        states = {}
        for key in self.whole["keys"]:
            states.setdefault(key["name"], set()).add(key["state"])
        for name, found in states.items():
            need(found <= {"active", "retired"} or (len(found) == 1 and found < {"disabled", "pending-deletion", "deleted"}
                                                    and name not in ("meta", "audit", "verdict", "header")),
                 f"states of {name}")
        for slot in self.whole["slots"]:
            need(all(states[box["name"]] != {"deleted"} for box in slot["boxes"]), "a box of a deleted key")
        need(any(box["name"] == "header" for slot in self.whole["slots"] for box in slot["boxes"]), "no full slot")

    def kek(self, slot, secret):
        kdf = slot["kdf"]
        salt = base64.b64decode(kdf.get("salt", ""))
        if slot["type"] == "recovery":
            return derive(secret, "recovery slot", salt)
        if slot["type"] == "keyfile":
            return derive(blake2b(secret), "key file slot", salt)
        kek = ctypes.create_string_buffer(32)
        if slot["type"] == "recipient":
            public, wrapped = checked_key(kdf["recipient"][18:].upper(), b"assayfs recipient 1"), base64.b64decode(kdf["wrapped"])
            need(len(wrapped) == 80, "what is wrapped for a recipient")
            rc = sodium.crypto_box_seal_open(kek, wrapped, ctypes.c_ulonglong(80), public, secret)
            need(rc == 0, "the slot is for another recipient")
            return kek.raw
        if slot["type"] == "kms":
            return secret
        rc = sodium.crypto_pwhash(kek, ctypes.c_ulonglong(32), secret, ctypes.c_ulonglong(len(secret)), salt,
                                  ctypes.c_ulonglong(kdf["passes"]), ctypes.c_size_t(kdf["memory"]), 2)
        need(rc == 0, "Argon2id")
        return kek.raw

    def associated(self, slot):
        kdf = slot["kdf"]
        number = SLOT_TYPES.index(slot["type"]) + 1
        data = (b"assayfs slot 1\n" + self.vault + bytes.fromhex(slot["id"])
                + struct.pack("<IQQ", number, kdf.get("memory", 0), kdf.get("passes", 0))
                + (base64.b64decode(kdf["salt"]) if "salt" in kdf else bytes(16)) + base64.b64decode(slot["public"]))
        if number >= 4:
            whose, wrapped = kdf["recipient" if number == 4 else "arn"].encode(), base64.b64decode(kdf["wrapped"])
            data += struct.pack("<I", len(whose)) + whose + struct.pack("<I", len(wrapped)) + wrapped
        return data

    def unlock(self, kind, secret):
        """All named keys of the slot of this type: {(name, version): key}."""
        for slot in self.whole["slots"]:
            if slot["type"] != kind:
                continue
            public = base64.b64decode(slot["public"])
            sealed = base64.b64decode(slot["sealed"])
            need(len(sealed) == 80, "a slot's sealed part")
            plain = xchacha_open(self.kek(slot, secret), base64.b64decode(slot["nonce"]), sealed[64:], sealed[:64],
                                 self.associated(slot), "the slot")
            need(plain[32:] in [base64.b64decode(signer["public"]) for signer in self.whole["signers"]],
                 "the slot's verification key")
            return self.open_boxes(slot, bytes.fromhex(slot["id"]), public, plain[:32])
        raise Damage(f"no slot of type {kind}")

    def open_boxes(self, slot, slot_id, public, secret):
        kinds = {(key["name"], key["version"]): key["kind"] for key in self.whole["keys"]}
        keys = {}
        for box in slot["boxes"]:
            place = (box["name"], box["version"])
            data = base64.b64decode(box["box"])
            plain = ctypes.create_string_buffer(64)
            rc = sodium.crypto_box_seal_open(plain, data, ctypes.c_ulonglong(len(data)), public, secret)
            need(rc == 0 and len(data) == 64 + 48, f"the box of {place}")
            context = (self.vault + slot_id + struct.pack("<II", 1 if kinds[place] == "secret" else 2, box["version"])
                       + box["name"].encode())
            need(derive(plain.raw[:32], "header box", context) == plain.raw[32:], f"the box of {place} is bound elsewhere")
            keys[place] = plain.raw[:32]
        return keys


def checked_key(digits, domain):
    alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    number = 0
    need(len(digits) == 56, "a key as text has 56 digits")
    for digit in digits:
        number = number << 5 | alphabet.index(digit)
    data = number.to_bytes(35, "big")
    need(blake2b(domain + data[:32])[:3] == data[32:], "the check bytes of a key as text")
    return data[:32]


def recovery_key(text):
    return checked_key(text.strip().replace("-", ""), b"assayfs recovery key 1")


def recipient_secret(text):
    need(text.startswith("ASSAYFS-SECRET-"), "a recipient's secret")
    return checked_key(text[15:], b"assayfs recipient secret 1")


# ---- the metadata ----


class Metadata:
    """Pages of meta.db, packs, and the log on top of them; `.pages` is the plain database."""

    def __init__(self, folder, vault, keys):
        """`keys` are those of "meta" by version."""
        self.folder, self.vault = folder, vault
        self.keys = {version: {name: derive(key, "metadata " + name, vault) for name in ("page", "wal", "pack")} for version, key in keys.items()}
        with open(os.path.join(folder, "meta.db"), "rb") as file:
            sealed = file.read()
        need(len(sealed) % PAGE == 0, "meta.db ends within a page")
        self.sealed = [sealed[i:i + PAGE] for i in range(0, len(sealed), PAGE)]
        self.last = self.read_packs()
        self.anchor = self.read_anchors()
        with open(os.path.join(folder, "meta.db-wal"), "rb") as file:
            log = file.read()
        self.frames = 0
        self.pages = {}
        if not log:
            need(not self.anchor["open"], "the log is gone")
            self.check_database()
            self.pages = {i + 1: self.open_page(i + 1, page) for i, page in enumerate(self.sealed)}
            self.count = len(self.sealed)
        else:
            self.read_log(log)

    def associated(self, purpose, rest):
        return self.vault + bytes([len(purpose)]) + purpose.encode() + rest

    def open_page(self, number, page):
        if page == bytes(PAGE):
            return page
        return self.open("page", page[4056:4080], page[4080:], page[:4056],
                         self.associated("page", struct.pack("<I", number)), f"page {number} of meta.db")[0] + bytes(RESERVED)

    def open(self, use, nonce, tag, sealed, associated, words):
        """What is sealed and under which version; those whose low byte the nonce ends with come first."""
        for version in sorted(self.keys, key=lambda version: (version & 255 != nonce[23], -version)):
            try:
                return xchacha_open(self.keys[version][use], nonce, tag, sealed, associated, words), version
            except Damage:
                pass
        raise Damage(f"{words} does not authenticate")

    def record(self, use, purpose, rest, data, words, version=None):
        """Of one version, where another record says which; without one, a pair."""
        plain, found = self.open(use, data[:24], data[24:40], data[40:], self.associated(purpose, rest), words)
        need(version in (None, found), f"{words} is under version {found}, not {version}")
        return plain if version else (plain, found)

    def read_packs(self):
        """The tags that the database must have after the last pack, held against each pack's root on the way."""
        names = sorted(int(name) for name in os.listdir(os.path.join(self.folder, "meta")) if not name.startswith("anchor-"))
        tags, former = {}, None
        self.packed = {}
        for number in names:
            with open(os.path.join(self.folder, "meta", str(number)), "rb") as file:
                data = file.read()
            head, version = self.record("pack", "pack head", struct.pack("<Q", number), data[:SECTOR], f"pack {number}")
            listed, pages = u32(head, 8), u32(head, 12)
            need(u32(head, 0) == 1 and u64(head, 16) == number, f"pack {number}: its head")
            need(not any(head[148:]), f"pack {number}: its head ends with zeros")
            if former:
                need(u64(head, 24) == former[0] and head[64:96] == former[1], f"pack {number}: the pack before")
            else:
                need(u32(head, 4) == 1, f"pack {number}: the first is no base")
            if u32(head, 4):
                tags, self.packed = {}, {}
            at = SECTOR
            entries = []
            for part in range((listed + 1023) // 1024):
                count = min(1024, listed - 1024 * part)
                size = 40 + 20 * count
                rest = struct.pack("<Q", number) + data[24:40] + struct.pack("<I", part)
                plain = self.record("pack", "pack list", rest, data[at:at + size], f"pack {number}: list {part}", version)
                entries += [(u32(plain, 20 * i), plain[20 * i + 4:20 * i + 20]) for i in range(count)]
                at += size
            need(len(data) == at + PAGE * listed, f"pack {number}: its length")
            for i, (page, tag) in enumerate(entries):
                content = data[at + PAGE * i:at + PAGE * (i + 1)]
                need(content[4080:] == tag, f"pack {number}: page {page} is another")
                self.open_page(page, content)
                tags[page], self.packed[page] = tag, content
            tags = {page: tag for page, tag in tags.items() if page <= pages}
            need(self.root(tags, pages) == head[32:64], f"pack {number}: the Merkle root")
            former = (number, head[32:64])
        need(former, "there is no pack")
        return {"number": former[0], "tags": tags, "pages": pages, "root": former[1]}

    def read_anchors(self):
        """The newer of the two: what the last pack and the log must be."""
        anchors = []
        for number in (1, 2):
            with open(os.path.join(self.folder, "meta", f"anchor-{number}"), "rb") as file:
                data = file.read()
            need(len(data) == SECTOR, f"anchor {number}: its length")
            plain, _ = self.record("pack", "anchor", bytes([number]), data, f"anchor {number}")
            need(u32(plain, 0) == 1 and u32(plain, 4) in (0, 1) and not any(plain[112:]), f"anchor {number}: its fields")
            anchors.append({"turn": u64(plain, 8), "open": u32(plain, 4), "generation": plain[64:96], "frames": u32(plain, 28),
                            "tag": plain[96:112]})
            need((u64(plain, 16), u32(plain, 24), plain[32:64]) == (self.last["number"], self.last["pages"], self.last["root"]),
                 f"anchor {number}: the last pack is another")
        need(anchors[0]["generation"] == anchors[1]["generation"] and anchors[0]["open"] == anchors[1]["open"], "two anchors")
        return max(anchors, key=lambda anchor: anchor["turn"])

    @staticmethod
    def root(tags, pages):
        nodes = []
        for leaf in range(pages // 256 + 1):
            last = min(256 * (leaf + 1), pages)
            nodes.append(blake2b(b"\0" + b"".join(tags.get(page, bytes(16)) for page in range(256 * leaf + 1, last + 1))))
        while len(nodes) > 1:
            nodes = [blake2b(b"\1" + b"".join(nodes[i:i + 128])) for i in range(0, len(nodes), 128)]
        return blake2b(b"\2" + struct.pack("<Q", pages) + nodes[0])

    def check_database(self):
        """meta.db is what the last pack says, to the byte."""
        need(len(self.sealed) == self.last["pages"], "meta.db has another length than the last pack says")
        for number, page in enumerate(self.sealed, 1):
            need(page[4080:] == self.last["tags"].get(number, bytes(16)), f"page {number} is not what the last pack says")

    def read_log(self, log):
        header, version = self.record("wal", "wal header", b"", log[:SECTOR], "the log's header")
        generation, sequence = header[32:64], u64(header, 64)
        need(not any(header[72:]) and sequence == self.last["number"], "the log's header")
        need(not any(log[2048:4096]), "the log's zeros")
        began = any(log[1536:2048])
        anew = range(0)
        if began:
            mark = self.record("wal", "wal checkpoint", generation, log[1536:2048], "the log's mark of a checkpoint", version)
            need(not any(mark[8:]), "the mark of a checkpoint ends with zeros")
            anew = range(u32(mark), u32(mark) + u32(mark, 4))
        else:
            self.check_database()
        marks = []
        for slot in (0, 1):
            mark = self.record("wal", "wal watermark", generation + bytes([slot]), log[SECTOR * (slot + 1):SECTOR * (slot + 2)],
                               f"watermark {slot}", version)
            marks.append((u64(mark), mark[8:24]))
        tags, changed, committed, at = [log[24:40]], {}, {}, 4096
        self.count = self.last["pages"]
        while at + FRAME <= len(log):
            number = len(tags)
            record = log[at:at + FRAME]
            try:
                plain = self.record("wal", "wal frame", generation + struct.pack("<I", number) + tags[-1], record, "", version)
            except Damage:
                break
            tags.append(record[24:40])
            page, size = struct.unpack(">II", plain[8:16])
            changed[page] = plain[32:]
            if size:
                committed.update(changed)
                self.count, self.frames, changed = size, number, {}
            at += FRAME
        need(self.anchor["open"] and self.anchor["generation"] == generation, "the log is not the one that is open")
        for frames, tag in [*marks, (self.anchor["frames"], self.anchor["tag"])][:3 if self.anchor["frames"] else 2]:
            need(frames < len(tags) and tags[frames] == tag, f"the log ends before frame {frames}, which was durable")
        for number in range(1, self.count + 1):
            if number in committed:
                self.pages[number] = committed[number]
            elif number <= len(self.sealed):
                page = self.sealed[number - 1]
                if number in anew and page[4080:] != self.last["tags"].get(number, bytes(16)):
                    page = self.packed[number]  # it was being sealed anew
                self.pages[number] = self.open_page(number, page)
            else:
                self.pages[number] = bytes(PAGE)

    def database(self):
        """The plain database, in a file of its own that goes with the connection."""
        self.file = tempfile.NamedTemporaryFile(suffix=".db")
        content = bytearray(b"".join(self.pages[number] for number in range(1, self.count + 1)))
        need(content[16:18] == b"\x10\x00" and content[20] == RESERVED, "the database's page size and reserved bytes")
        content[18:20] = b"\1\1"  # journal instead of a log: SQLite needs no second file to read it
        self.file.write(content)
        self.file.flush()
        connection = sqlite3.connect(self.file.name)
        connection.row_factory = sqlite3.Row
        connection.text_factory = bytes
        return connection


# ---- segments ----


def unpack(block, plain, words):
    """A zstd frame and zeros behind it."""
    zstd.ZSTD_findFrameCompressedSize.restype = zstd.ZSTD_decompress.restype = ctypes.c_size_t
    size = zstd.ZSTD_findFrameCompressedSize(block, ctypes.c_size_t(len(block)))
    need(len(block) - 64 < size <= len(block) and not any(block[size:]), f"{words}: its frame")
    text = ctypes.create_string_buffer(plain)
    need(zstd.ZSTD_decompress(text, ctypes.c_size_t(plain), block, ctypes.c_size_t(size)) == plain, f"{words}: how it is packed")
    return text.raw


class Segment:
    def __init__(self, folder, name, keys):
        path = os.path.join(folder, "segments", name[:2], name)
        with open(path, "rb") as file:
            self.data = file.read()
        data, words = self.data, f"segment {name[:8]}"
        need(data[:8] == b"ASSAYSEG" and u16(data, 8) in (1, 2, 3), f"{words}: magic or format")
        self.format = u16(data, 8)
        self.cipher, self.zone, self.version, self.id = data[10], data[11], u32(data, 12), data[48:80]
        need(self.id.hex() == name, f"{words}: another's id")
        key_name = data[16:48].rstrip(b"\0").decode()
        need(key_name == ZONES[self.zone], f"{words}: key {key_name} for zone {self.zone}")
        parent = keys[key_name, self.version]
        self.own, self.own_version = data[88:108].rstrip(b"\0").decode(), u32(data, 108)
        need((self.format == 3) == (self.own != "") == (self.own_version > 0), f"{words}: a key of its own, or zeros")
        if self.own:
            parent = derive(parent, "own key", keys[self.own, self.own_version])
        self.key = derive(parent, "segment", self.id)
        need(blake2b(data[:112], derive(self.key, "segment header"))[:16] == data[112:128], f"{words}: its header")
        self.blocks = {}  # offset: (batch, entry, plaintext)
        at = 128
        while at < len(data):
            at = self.read_batch(at, words)
        need(at == len(data), f"{words}: bytes behind the last batch")

    def part(self, position, length, part, flags=0):
        return self.id + struct.pack("<IIII", position, length, flags, part)

    def read_batch(self, at, words):
        data = self.data
        words = f"{words}: batch at {at}"
        need(data[at:at + 8] == b"ASSAYBAT", f"{words}: magic")
        salt, count, length = data[at + 8:at + 40], u32(data, at + 40), u32(data, at + 44)
        key = derive(self.key, "segment batch", salt)
        segment_open(self.cipher, key, at, data[at + 48:at + 64], b"", self.part(at, 0, 1) + data[at:at + 48], words)
        start, size = at + 64, 32 * count
        entries = segment_open(self.cipher, key, start, data[start + size:start + size + 16], data[start:start + size],
                               self.part(start, size, 2), f"{words}: directory")
        place = start + size + 16
        for i in range(count):
            node, version, offset, plain, flags = struct.unpack_from("<QQQII", entries, 32 * i)
            units = flags >> 8
            need((flags == 0 or flags & 255 == 1 and 1 <= units <= 240 and 64 * units < plain and self.format >= 2)
                 and 1 <= plain <= 16384, f"{words}: entry {i}")
            stored = 64 * units or plain
            tag = data[place + stored:place + stored + 16]
            block = segment_open(self.cipher, key, place, tag, data[place:place + stored],
                                 self.part(place, stored, 3, flags | plain << 16 if flags else 0), f"{words}: block {i}")
            if units:
                block = unpack(block, plain, f"{words}: block {i}")
            self.blocks[place] = (at, (node, version, offset), block, tag, (flags & 255, units))
            place += stored + 16
        need(place == at + length, f"{words}: its length")
        return place


# ---- the whole ----


class Vault:
    def __init__(self, folder, kind, secret):
        with open(os.path.join(folder, "vault.json"), "rb") as file:
            self.header = Header(file.read())
        self.keys = self.header.unlock(kind, secret)
        self.folder = folder
        self.meta = Metadata(folder, self.header.vault, {version: key for (name, version), key in self.keys.items() if name == "meta"})
        self.db = self.meta.database()
        self.schema = u64(self.kv("meta.schema"))
        need(self.schema in (1, 2, 3, 4, 5, 6), f"schema {self.schema}")
        need(self.db.execute("PRAGMA integrity_check").fetchone()[0] == b"ok", "the database is not sound")
        self.segments = {}
        rows = self.db.execute("SELECT * FROM segment").fetchall()
        listed = self.db.execute("SELECT * FROM segment_own").fetchall() if self.schema >= 6 else ()
        owns = {row["number"]: (row["name"].decode(), row["version"]) for row in listed}
        for row in rows:
            segment = Segment(folder, row["id"].hex(), self.keys)
            need((segment.zone, segment.version) == (row["zone"], row["key_version"]), "a segment's row")
            need(owns.get(row["number"], ("", 0)) == (segment.own, segment.own_version), "the row of a segment's own key")
            need(row["bytes"] == len(segment.data) or row["state"] == 0, "a segment's committed length")
            self.segments[row["number"]] = segment
        names = {name for _, _, files in os.walk(os.path.join(folder, "segments")) for name in files}
        known = {row["id"].hex() for row in rows}
        leaving = {key[len(b"gc.unlink."):].decode() for key, _ in self.kv_all("gc.unlink.")}
        need(known <= names <= known | leaving and not known & leaving, "segments that no row knows, or the other way round")
        self.check_condemned(rows)

    def kv_all(self, prefix):
        """Rows of kv whose key begins so."""
        return self.db.execute("SELECT key, value FROM kv WHERE substr(key, 1, ?) = ?", (len(prefix), prefix)).fetchall()

    def check_condemned(self, rows):
        states = {row["number"]: row["state"] for row in rows}
        for key, value in self.kv_all("gc.condemned."):
            need(states.get(int(key[len(b"gc.condemned."):])) in (1, 2) and len(value) == 16, "a condemned segment")

    def kv(self, key):
        row = self.db.execute("SELECT value FROM kv WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def map(self, version):
        """Its pages, and those of the version that its map rests on where it has none."""
        rests = self.schema >= 3 and self.db.execute("SELECT base FROM map_base WHERE version = ?", (version,)).fetchone()
        pages = self.map(rests["base"]) if rests else {}
        pages.update(self.db.execute("SELECT page, mappage FROM map WHERE version = ?", (version,)).fetchall())
        return pages

    def content(self, version):
        """The bytes of a version, each reference, page and hash on the way checked."""
        row = self.db.execute("SELECT * FROM version WHERE id = ?", (version,)).fetchone()
        content = bytearray(row["size"])
        hashed = b"assayfs version 1\0" + struct.pack("<Q", row["size"])
        for page, map_page in sorted(self.map(version).items()):
            refs, page_hash = self.db.execute("SELECT refs, hash FROM mappage WHERE id = ?", (map_page,)).fetchone()
            need(blake2b(b"assayfs map page 1\0" + refs) == page_hash, f"version {version}: page {page}")
            need(refs[-32:-28] != bytes(4) and len(refs) <= 8192, f"version {version}: page {page} ends with a hole")
            hashed += struct.pack("<Q", page) + page_hash
            for i in range(len(refs) // 32):
                segment, batch, position, plain, flags, units = struct.unpack_from("<IIIHBB", refs, 32 * i)
                if segment == 0:
                    continue
                at_batch, _, block, tag, how = self.segments[segment].blocks[position]
                need((at_batch, len(block), tag, how) == (batch, plain, refs[32 * i + 16:32 * i + 32], (flags, units)),
                     f"version {version}: a reference of page {page}")
                start = (page << 22) + (i << 14)
                block = block[:max(0, row["size"] - start)]
                content[start:start + len(block)] = block
        need(blake2b(hashed) == row["hash"], f"version {version}: its hash")
        need(row["sha256"] is None or hashlib.sha256(content).digest() == row["sha256"], f"version {version}: its SHA-256")
        return bytes(content)

    def look_up(self, path):
        node = 1
        for name in path.split("/"):
            row = self.db.execute("SELECT node FROM entry WHERE parent = ? AND name = ?", (node, name.encode())).fetchone()
            need(row, f"there is no {path}")
            node = row[0]
        return self.db.execute("SELECT * FROM node WHERE id = ?", (node,)).fetchone()

    def read(self, path):
        return self.content(self.look_up(path)["version"])

    def check_versions(self):
        versions = [row[0] for row in self.db.execute("SELECT id FROM version WHERE state IN (1, 2)")]
        for version in versions:
            self.content(version)
        return len(versions)

    def check_verdicts(self):
        rows = self.db.execute("SELECT * FROM verdict").fetchall()
        for row in rows:
            name, version = row["key_name"].decode().split("/")
            public = public_of_seed(self.keys[name, int(version)])
            check_signature(public, b"assayfs verdict 1\n" + row["body"], row["signature"], f"verdict {row['id']}")
            body = json.loads(row["body"])
            words = {2: "passed", 3: "failed", 4: "error"}
            need(body["outcome"] == words[row["outcome"]] and body["path"].encode() == row["path"], f"verdict {row['id']}")
            need(body["input"]["sha256"] == row["input_sha256"].hex(), f"verdict {row['id']}: its input")
        return len(rows)

    def policies(self):
        """The files of each policy."""
        found = []
        for row in self.db.execute("SELECT * FROM policy ORDER BY number"):
            bundle = row["bundle"]
            need(hashlib.sha256(bundle).digest() == row["sha256"], "a policy's hash")
            need(bundle.startswith(b"assayfs-bundle-1\n"), "a policy's bundle")
            at, files = 21, {}
            for _ in range(u32(bundle, 17)):
                size = u32(bundle, at)
                name = bundle[at + 4:at + 4 + size].decode()
                at += 4 + size
                files[name] = bundle[at + 4:at + 4 + u32(bundle, at)]
                at += 4 + u32(bundle, at)
            need(at == len(bundle) and list(files) == sorted(files), "a policy's bundle")
            found.append(files)
        return found

    # ---- docs/audit-log.md ----

    def audit_records(self):
        """Rows, then packs, as rows."""
        records = [dict(row) for row in self.db.execute("SELECT * FROM audit ORDER BY seq")]
        packs = self.db.execute("SELECT first, count, records FROM audit_pack ORDER BY first") if self.schema >= 2 else ()
        for first, count, pack in packs:
            need(first == len(records) and first // 256 == (first + count - 1) // 256, f"the pack of record {first}")
            records += read_pack(first, count, pack)
        need([record["seq"] for record in records] == list(range(len(records))), "the audit log has gaps")
        return records

    def audit_lines(self):
        strings = dict(self.db.execute("SELECT id, text FROM string").fetchall())
        return [audit_line(record, strings) for record in self.audit_records()]

    def check_audit(self):
        lines = self.audit_lines()
        leaves = [hashlib.sha256(b"\0" + line).digest() for line in lines]
        for level, idx, hashes in self.db.execute("SELECT level, idx, hashes FROM audit_tile"):
            for position in range(len(hashes) // 32):
                first = 256 ** level * (256 * idx + position)
                need(hashes[32 * position:32 * position + 32] == tree_root(leaves[first:first + 256 ** level]),
                     f"tile {level}/{idx}: hash {position}")
        frontier = self.kv("audit.frontier")
        need(u64(frontier) == len(lines), "the size of the audit log")
        wanted, at = b"", 0
        for bit in range(63, -1, -1):
            if len(leaves) >> bit & 1:
                wanted += tree_root(leaves[at:at + (1 << bit)])
                at += 1 << bit
        need(frontier[8:] == wanted, "the audit log's frontier")
        self.check_heads(leaves)
        return len(lines)

    def check_heads(self, leaves):
        heads = self.db.execute("SELECT * FROM audit_head ORDER BY size").fetchall() if self.schema >= 4 else []
        name = f"assayfs/{self.header.vault.hex()}"
        for head in heads:
            need(head["root"] == tree_root(leaves[:head["size"]]), f"the root of the head of {head['size']} records")
            text = f"{name}\n{head['size']}\n{base64.b64encode(head['root']).decode()}\n"
            public = public_of_seed(self.keys["audit", head["key"]])
            check_signature(public, text.encode(), head["signature"], f"the head of {head['size']} records")
        self.check_successions(leaves, heads, name)
        is_closed = self.kv("store.clean") == b"\1"
        need(not heads or not is_closed or heads[-1]["size"] == len(leaves), "the last head of a vault that was closed")


    def check_successions(self, leaves, heads, name):
        """Each version of the log's key has handed on to the next, and signed no head after that."""
        signer, at = heads[0]["key"] if heads else 1, 0
        for key, row in sorted(map(tuple, self.kv_all("audit.succession."))):
            before, version, size, root, when, old, new, by_old, by_new = row.decode().split(" ")
            text = f"assayfs audit key succession\n{name}\n{before} {version}\n{size}\n{root}\n{when}\n{old}\n{new}\n".encode()
            need(int(key[-8:], 16) == int(version) > int(before) == signer and int(size) >= at, f"how version {version} follows")
            for number, vkey, signature in ((before, old, by_old), (version, new, by_new)):
                public = public_of_seed(self.keys["audit", int(number)])
                identity = hashlib.sha256(name.encode() + b"\n\1" + public).digest()[:4].hex()
                need(vkey == f"{name}+{identity}+{base64.b64encode(bytes([1]) + public).decode()}", f"the verifier key of version {number}")
                check_signature(public, text, base64.b64decode(signature), f"the succession to version {version}")
            need(base64.b64decode(root) == tree_root(leaves[:int(size)]), "the root at a succession")
            need(all(head["key"] == signer for head in heads if at < head["size"] <= int(size)), "whose turn it was")
            signer, at = int(version), int(size)
        need(all(head["key"] == signer for head in heads if head["size"] > at), "whose turn it is")

    def archives(self):
        """Each archive of the log: its first record and its lines, all of it held against the whole log's tree."""
        leaves = [hashlib.sha256(b"\0" + line).digest() for line in self.audit_lines()]
        following, found = 0, []
        for key, row in self.kv_all("audit.archive."):
            with open(os.path.join(self.folder, "audit", key[-16:].decode()), "rb") as file:
                data = file.read()
            head, lines = self.read_archive(data)
            need(int(key[-16:], 16) == head["first"] == following, "archives follow one another")
            need((u64(row), u64(row, 24), row[32:64]) == (head["end"], len(data), hashlib.sha256(data).digest()), "the archive's row")
            need(row[8:24] == data[80:96], "the archive's times")
            need([hashlib.sha256(b"\0" + line).digest() for line in lines] == leaves[head["first"]:head["end"]], "its lines")
            need(head["root"] == tree_root(leaves[:head["size"]]), "its root")
            before, at = [], 0
            for bit in range(63, -1, -1):
                if head["first"] >> bit & 1:
                    before.append(tree_root(leaves[at:at + (1 << bit)]))
                    at += 1 << bit
            need(head["before"] == before, "its hashes before")
            need(head["behind"] == consistency(head["end"], leaves[:head["size"]], True), "its proof")
            following = head["end"]
            found.append((head["first"], lines))
        archived = self.kv("audit.archived") if found else bytes(8)
        need(u64(archived) == following, "audit.archived")
        return found

    def read_archive(self, data):
        need(data[:8] == b"ASSAYLOG" and u16(data, 8) == 1 and data[16:32] == self.header.vault, "the head of an archive")
        counts, chunks, at = (u16(data, 136), u16(data, 138)), u32(data, 140), 144
        hashes = [data[at + 32 * i:at + 32 * i + 32] for i in range(sum(counts))]
        at += 32 * sum(counts)
        key = derive(self.keys["meta", u32(data, 12)], "audit log archive", data[16:64])
        associated, lines = blake2b(data[:at]), []
        for number in range(chunks):
            records, size, packed = u32(data, at), u32(data, at + 4), u32(data, at + 8)
            sealed = data[at + 32:at + 32 + packed]
            plain = segment_open(u16(data, 10), key, number, data[at + 16:at + 32], sealed, associated + data[at:at + 16], "an archive")
            text = ctypes.create_string_buffer(size)
            need(zstd.ZSTD_decompress(text, ctypes.c_size_t(size), plain, ctypes.c_size_t(packed)) == size, "how an archive is packed")
            more = text.raw.split(b"\n")
            need(more.pop() == b"" and len(more) == records, "the lines of a chunk")
            lines += more
            at += 32 + packed
        need(at == len(data), "the end of an archive")
        return {"first": u64(data, 64), "end": u64(data, 72), "size": u64(data, 96), "root": data[104:136],
                "before": hashes[:counts[0]], "behind": hashes[counts[0]:]}, lines


def consistency(size, leaves, is_whole):
    """RFC 6962, 2.1.2: SUBPROOF."""
    if size == len(leaves):
        return [] if is_whole else [tree_root(leaves)]
    half = 1 << (len(leaves) - 1).bit_length() - 1
    if size <= half:
        return consistency(size, leaves[:half], is_whole) + [tree_root(leaves[half:])]
    return consistency(size - half, leaves[half:], False) + [tree_root(leaves[:half])]


def tree_root(leaves):
    """RFC 6962."""
    if len(leaves) <= 1:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    left = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(b"\1" + tree_root(leaves[:left]) + tree_root(leaves[left:])).digest()


class Pack:
    def __init__(self, data):
        self.data, self.at = data, 0

    def raw(self, size):
        need(self.at + size <= len(self.data), "a pack is short")
        self.at += size
        return self.data[self.at - size:self.at]

    def number(self):
        value, shift = 0, 0
        while True:
            byte = self.raw(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                need(value < 1 << 64 and (byte or shift == 7), "a number in a pack")
                return value

    def text(self):
        return self.raw(self.number())


def read_pack(first, count, data):
    pack, records, time_ns = Pack(data), [], None
    for seq in range(first, first + count):
        flags = int.from_bytes(pack.raw(2), "little")
        need(flags & 3 < 3 and flags < 1 << 13, f"record {seq}: flags")
        time_ns = int.from_bytes(pack.raw(8), "little", signed=True) if time_ns is None else time_ns + pack.number()
        record = {"seq": seq, "time_ns": time_ns, "outcome": flags & 3}
        for name in ("event", "exe", "uid", "gid"):
            record[name] = pack.number()
        for bit, name in ((2, "errno"), (3, "pid")):
            record[name] = pack.number() if flags >> bit & 1 else 0
        for bit, names in ((4, ("dir", "name", "cut")), (6, ("dir2", "name2", "cut2"))):
            there = flags >> bit & 1
            record[names[0]] = pack.number() if there else None
            record[names[1]] = pack.text() if there else None
            record[names[2]] = pack.number() if flags >> bit + 1 & 1 else None
        for bit, name in ((8, "node"), (9, "version"), (10, "bytes")):
            record[name] = pack.number() if flags >> bit & 1 else 0
        record["detail"] = pack.text() if flags >> 11 & 1 else None
        record["detail_cut"] = pack.number() if flags >> 12 & 1 else None
        records.append(record)
    need(pack.at == len(data), f"the pack of record {first} is too long")
    return records


def audit_text(name, value):
    """A member with a text: as it is, or escaped where it is not UTF-8."""
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        escaped = b"".join(b"\\\\" if byte == 0x5c else b"\\x%02x" % byte if byte < 0x20 or byte >= 0x7f else bytes([byte])
                           for byte in value)
        name, value = name + "_escaped", escaped
    inner = b"".join(b"\\" + bytes([byte]) if byte in b'"\\' else b"\\u%04x" % byte if byte < 0x20 or byte == 0x7f
                     else bytes([byte]) for byte in value)
    return b'"%s":"%s"' % (name.encode(), inner)


def audit_line(row, strings):
    seconds, nanoseconds = divmod(row["time_ns"], 10 ** 9)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{nanoseconds:09}Z"
    members = [b'"seq":%d' % row["seq"], b'"time":"%s"' % stamp.encode(), audit_text("event", strings[row["event"]]),
               b'"outcome":"%s"' % (b"ok", b"denied", b"error")[row["outcome"]]]
    if row["errno"]:
        members.append(b'"errno":%d' % row["errno"])
    members += [b'"uid":%d' % row["uid"], b'"gid":%d' % row["gid"]]
    if row["pid"]:
        members.append(b'"pid":%d' % row["pid"])
    if row["exe"]:
        members.append(audit_text("exe", strings[row["exe"]]))
    for name, directory, last, cut in (("path", "dir", "name", "cut"), ("path2", "dir2", "name2", "cut2")):
        if row[directory] is not None:
            path = strings[row[directory]] + b"/" + row[last] if row[directory] else row[last]
            members.append(audit_text(name, path))
            if row[cut] is not None:
                members.append(b'"%s_bytes":%d' % (name.encode(), row[cut]))
    for name in ("node", "version", "bytes"):
        if row[name]:
            members.append(b'"%s":%d' % (name.encode(), row[name]))
    if row["detail"] is not None:
        members.append(audit_text("detail", row["detail"]))
        if row["detail_cut"] is not None:
            members.append(b'"detail_bytes":%d' % row["detail_cut"])
    return b"{" + b",".join(members) + b"}"
