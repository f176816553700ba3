#!/usr/bin/env python3
"""Opens a vault's header and one block of a segment by docs/format.md alone, in sixty lines that share none with the program.

usage: open_vault.py VAULT SEGMENT-ID BLOCK <PASSPHRASE

PASSPHRASE is that of the first passphrase slot, BLOCK counts from 0 within the segment. The block's plaintext goes to
standard output; whatever does not authenticate ends in an exception. Of Debian: python3-nacl, -cryptography, -zstandard.
"""
import base64, hashlib, json, pathlib, sys, zstandard
from struct import iter_unpack, pack, unpack_from
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from nacl import public, pwhash, secret, signing


def need(condition, words):
    if not condition:
        raise ValueError(words)


def derive(parent, purpose, context=b""):
    data = b"assayfs derive 1" + pack("<I", len(purpose)) + purpose + pack("<Q", len(context)) + context
    return hashlib.blake2b(data, key=parent, digest_size=32).digest()


def aead_open(cipher, key, nonce, sealed, ad):
    # PyNaCl's Aead is XChaCha20-Poly1305.
    return AESGCM(key).decrypt(nonce[-12:], sealed, ad) if cipher == 1 else secret.Aead(key).decrypt(sealed, ad, nonce)


def binary(item, *names):
    return [base64.b64decode(item[name]) for name in names]


def check_signatures(text, whole, vault, trusted):
    keys, signatures = zip(*(binary(signer, "public", "signature") for signer in whole["signers"]))
    for i in range(keys.index(trusted) + 1, len(keys)):
        signing.VerifyKey(keys[i - 1]).verify(b"assayfs header signer 1\n" + vault + pack("<I", i) + keys[i], signatures[i])
    signature, = binary(whole, "signature")
    signed = text.replace(b'\n"signature":"' + base64.b64encode(signature) + b'",', b"", 1)
    signing.VerifyKey(keys[-1]).verify(b"assayfs vault header 1\n" + signed, signature)


def open_header(text, passphrase):
    whole = json.loads(text)
    need(whole["magic"] == "assayfs vault" and whole["format"] == 1, "no vault of format 1")
    slot = next(slot for slot in whole["slots"] if slot["type"] == "passphrase")
    vault, slot_id, kdf = bytes.fromhex(whole["vault"]), bytes.fromhex(slot["id"]), slot["kdf"]
    (salt,), (slot_public, nonce, sealed) = binary(kdf, "salt"), binary(slot, "public", "nonce", "sealed")
    associated = b"assayfs slot 1\n" + vault + slot_id + pack("<IQQ", 1, kdf["memory"], kdf["passes"]) + salt + slot_public
    opened = aead_open(2, pwhash.argon2id.kdf(32, passphrase, salt, kdf["passes"], kdf["memory"]), nonce, sealed, associated)
    check_signatures(text, whole, vault, opened[32:])
    boxes = {(box["name"], box["version"]): public.SealedBox(public.PrivateKey(opened[:32])).decrypt(*binary(box, "box")) for box in slot["boxes"]}
    kinds = {(key["name"], key["version"]): ["", "secret", "ed25519"].index(key["kind"]) for key in whole["keys"]}
    for (name, version), box in boxes.items():
        context = vault + slot_id + pack("<II", kinds[name, version], version) + name.encode()
        need(derive(box[:32], b"header box", context) == box[32:], f"the box of {name} belongs elsewhere")
    return {name_version: box[:32] for name_version, box in boxes.items()}


def open_block(data, name, keys, wanted):
    magic, form, cipher, version, key_name, segment, own, own_version, tag = unpack_from("<8sHBxI32s32s8x20sI16s", data)
    zone, own = (keys.get((text.rstrip(b"\0").decode(), number)) for text, number in ((key_name, version), (own, own_version)))
    key, at = derive(derive(zone, b"own key", own) if form == 3 else zone, b"segment", segment), 128
    right_tag = hashlib.blake2b(data[:112], key=derive(key, b"segment header"), digest_size=32).digest()[:16]
    need(magic == b"ASSAYSEG" and form in (1, 2, 3) and segment.hex() == name and tag == right_tag, "the segment's header")
    while data[at:at + 8] == b"ASSAYBAT":
        (salt, count, length), start = unpack_from("<8x32sII", data, at), at

        def part(kind, at, size, flags=0, skip=0, key=derive(key, b"segment batch", salt)):
            associated = segment + pack("<IIII", at, size, flags, kind) + data[at:at + skip]
            return aead_open(cipher, key, bytes(16) + pack("<Q", at), data[at + skip:at + skip + size + 16], associated)
        # The batch's header has no plaintext.
        entries, at = part(1, at, 0, skip=48) + part(2, at + 64, 32 * count), at + 64 + 32 * count + 16
        for plain, flags in iter_unpack("<24xII", entries):
            stored = (flags >> 8) * 64 or plain
            if wanted == 0:
                block = part(3, at, stored, flags and flags | plain << 16)
                return zstandard.ZstdDecompressor().decompress(block, plain) if flags else block
            at, wanted = at + stored + 16, wanted - 1
        need(at == start + length, "a batch has another length")
    raise ValueError("the segment has no such block")


if __name__ == "__main__":
    folder, name, number = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    named_keys = open_header((folder / "vault.json").read_bytes(), sys.stdin.buffer.readline().rstrip(b"\n"))
    sys.stdout.buffer.write(open_block((folder / "segments" / name[:2] / name).read_bytes(), name, named_keys, number))
