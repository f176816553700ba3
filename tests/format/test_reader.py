#!/usr/bin/env python3
"""docs/format.md and docs/audit-log.md against the disk: a reader made from them alone opens the kept vault, checks every
byte of it and what its rows say; a changed byte of any file it refuses. With ASSAYFS as second argument also new vaults,
mounted: their write-ahead log, the other cipher, a recovery key.

usage: test_reader.py FIXTURE [ASSAYFS]
"""
import fcntl
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile

import reader

FIXTURE = os.path.abspath(sys.argv[1])
ASSAYFS = os.path.abspath(sys.argv[2]) if len(sys.argv) > 2 else None
EVERY_SLOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../crypto/corpus/header/every-slot.json")
KNOWN_NAMES = r"vault\.json|meta\.db(?:-wal)?|meta/[1-9][0-9]*|meta/anchor-[12]|audit/[0-9a-f]{16}|segments/([0-9a-f]{2})/\1[0-9a-f]{62}"
PASSPHRASE = b"a vault kept as it was"
faults = []


def check(condition, words):
    if not condition:
        faults.append(words)


def check_all(vault):
    """What holds for every vault. Returns how much was checked, for a person to see."""
    counts = {"versions": vault.check_versions(), "verdicts": vault.check_verdicts(), "records": vault.check_audit(),
              "blocks": sum(len(segment.blocks) for segment in vault.segments.values())}
    check(vault.kv("meta.schema") == vault.schema.to_bytes(8, "little"), "meta.schema")
    check(vault.kv("meta.vault-id") == vault.header.vault, "meta.vault-id")
    state = [reader.u64(vault.kv("meta.state"), 8 * i) for i in range(12)]

    def count(query):
        return vault.db.execute(f"SELECT {query}").fetchone()[0]

    tables = ("node", "entry", "version", "mappage", "job")
    for following, table in zip(state, tables):
        check(following > count(f"coalesce(max(id), 0) FROM {table}"), f"the next {table} is {following}")
    check(state[5] == counts["records"], f"meta.state counts {state[5]} records")
    check(state[6] == vault.audit_records()[-1]["time_ns"], "meta.state: time of the last record")
    check(state[7] == count("count(*) FROM node"), f"meta.state counts {state[7]} nodes")
    check(state[8] == count("count(*) FROM node WHERE mode & 61440 = 16384"), f"meta.state counts {state[8]} directories")
    check(state[9] == count("count(*) FROM entry"), f"meta.state counts {state[9]} names")
    check(state[10] == count("count(*) FROM version"), f"meta.state counts {state[10]} versions")
    check(state[11] == count("coalesce(sum(size), 0) FROM version WHERE state IN (1, 2)"),
          f"meta.state counts {state[11]} bytes")
    check(count("max(audit_size) FROM commit_log") == counts["records"], "the last commit's records")
    check(count("count(*) FROM job WHERE kind NOT IN (1, 2, 3, 7, 8)") == 0, "a kind of job that the document lacks")
    return counts


def read_every_slot():
    """A kept vault.json with a slot of each type: each opens, to the keys that it should have and no others."""
    with open(EVERY_SLOT, "rb") as file:
        text = file.read()
    secrets = {"passphrase": b"every slot", "keyfile": bytes(range(40)), "kms": bytes(range(255, 223, -1)),
               "recovery": reader.recovery_key("9XPVKWT-JKDAJNK-PAS1F9P-3PCR5HY-57WDJQP-2VQ27FB-EQYD1J8-Z0SWFGY"),
               "recipient": reader.recipient_secret("ASSAYFS-SECRET-000G40R40M30E209185GR38E1W8124GK2GAHC5RR34D1P70X3RFMXAHM")}
    analyst = {("meta", 1), ("trusted", 1), ("trusted", 2)}
    everything = {(key["name"], key["version"]) for key in reader.Header(text).whole["keys"] if key["name"] != "gone"}
    held = {"recipient": analyst, "kms": analyst | {("project", 1)}}
    for kind, secret in secrets.items():
        keys = reader.Header(text).unlock(kind, secret)
        check(set(keys) == held.get(kind, everything), f"every-slot.json: {kind} holds {sorted(keys)}")
        check(keys["trusted", 1].hex() == "90f9fdcbba7ace048310f7e516912ebdd97e9ca9fe18f7e6ba7666b3f22aaa13", f"every-slot.json: {kind}: the key trusted.1")
        try:
            reader.Header(text).unlock(kind, secret[:-1] + bytes([secret[-1] ^ 1]))
            faults.append(f"every-slot.json: {kind} opens by another secret")
        except reader.Damage:
            pass
    for kind, member, was, now in (("kms", "arn", "key/1", "key/2"), ("kms", "wrapped", "Wlpa", "Wlpb"),
                                   ("keyfile", "salt", None, "AAAAAAAAAAAAAAAAAAAAAA==")):
        header = reader.Header(text)
        kdf = next(slot for slot in header.whole["slots"] if slot["type"] == kind)["kdf"]
        kdf[member] = kdf[member].replace(was, now, 1) if was else now
        try:
            header.unlock(kind, secrets[kind])
            faults.append(f"every-slot.json: {kind} opens with another {member}")
        except reader.Damage:
            pass


def read_fixture():
    vault = reader.Vault(FIXTURE, "passphrase", PASSPHRASE)
    counts = check_all(vault)
    print(f"the kept vault: {counts}")
    check(counts["versions"] >= 10 and counts["verdicts"] >= 2 and counts["blocks"] >= 8, f"too little was read: {counts}")
    check(vault.read("Landing/dir/plain") == b"words\nlater\n", "Landing/dir/plain")
    check(vault.read("Landing/blocks") == bytes(i * i % 251 for i in range(40000)), "Landing/blocks")
    sparse = vault.read("Landing/sparse")
    check(len(sparse) == 9000003 and sparse.strip(b"\0") == b"end", "Landing/sparse")
    check(vault.read("Trusted/good.csv") == b"id,name\n1,a\n2,b\n3,c\n", "Trusted/good.csv")
    check(vault.read("Raw/good.csv") == vault.read("Landing/good.csv") == b"id,name\n1,a\n,b\n3,c\n", "Raw/good.csv")
    check(vault.look_up("Landing/soft")["target"] == b"dir/plain", "the target of a link")
    check(b"RowCount > 2" in vault.policies()[0]["small.dqdl"], "the policy")
    check(vault.meta.frames == 0 and vault.kv("store.clean") == b"\1", "it was unmounted cleanly")


def refuse_damage(directory):
    """One byte changed in every file, near its beginning, in its middle and at its end."""
    count = 0
    for folder, _, names in os.walk(FIXTURE):
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), FIXTURE)
            size = os.path.getsize(os.path.join(FIXTURE, path))
            for at in {9, size // 2, size - 1} if size else ():
                copy = os.path.join(directory, "copy")
                shutil.copytree(FIXTURE, copy)
                os.chmod(os.path.join(copy, path), 0o600)
                with open(os.path.join(copy, path), "r+b") as file:
                    file.seek(at)
                    byte = file.read(1)[0]
                    file.seek(at)
                    file.write(bytes([byte ^ 1]))
                try:
                    reader.Vault(copy, "passphrase", PASSPHRASE)
                    faults.append(f"{path}: byte {at} was changed, and nothing noticed")
                except (reader.Damage, ValueError, KeyError):
                    count += 1
                shutil.rmtree(copy)
    print(f"{count} changed bytes refused")
    check(count >= 18, f"only {count} changes were tried")


def run(*words, **options):
    return subprocess.run([ASSAYFS, *words], check=True, capture_output=True, timeout=120, **options).stdout


def check_names(vault, is_mounted):
    """What lies in the directory, who may read it, the lock."""
    found = set()
    for folder, folders, names in os.walk(vault):
        for name in names + folders:
            path = os.path.join(folder, name)
            mode = stat.S_IMODE(os.stat(path).st_mode)
            check(mode == (0o700 if os.path.isdir(path) else 0o600), f"{path} has mode {mode:o}")
        found.update(os.path.relpath(os.path.join(folder, name), vault) for name in names)
    known = {name for name in found if re.fullmatch(KNOWN_NAMES, name)}
    wanted = {"reserve"} if is_mounted else set()
    check(found - known == wanted, f"mounted {is_mounted}: {found - known}")
    for name in wanted:
        with open(os.path.join(vault, name), "rb") as file:
            check(not any(file.read().lstrip(b"\0")), "the reserve holds something")
    folder = os.open(vault, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        check(not is_mounted, "a mounted vault is not locked")
    except BlockingIOError:
        check(is_mounted, "the lock stays after the unmount")
    os.close(folder)


LARGE, STEP = 40 << 20, 4 << 20


def write_versions_of_a_large_file(path):
    """Each writes a word into another page of the map; from the second on their maps rest on the first's."""
    for number in range(12):
        with open(path, "r+b" if number else "wb") as file:
            for at in range(0, LARGE, STEP) if number == 0 else (number % 10 * STEP,):
                file.seek(at)
                file.write(b"version %2d" % number)


def check_versions_of_a_large_file(vault):
    resting = vault.db.execute("SELECT count(*) FROM map_base").fetchone()[0]
    check(resting >= 9, f"{resting} maps rest on another")
    content = vault.read("Landing/large")
    found = [int(content[at + 8:at + 10]) for at in range(0, LARGE, STEP)]
    check(found == [10, 11, 2, 3, 4, 5, 6, 7, 8, 9], f"the large file shows {found}")


TABLE = b"".join(b"%d;Cat - DSH;Brown;2024-01-%02d;Found\r\n" % (i * 7919, i % 28 + 1) for i in range(5000))


def write_packed(here, mnt):
    """From here on blocks of Landing are compressed."""
    os.makedirs(os.path.join(here, "policy"))
    with open(os.path.join(here, "policy/policy.yaml"), "w", encoding="ascii") as file:
        file.write("version: 1\ncompression: {Landing: 3}\n")
    run("policy", "apply", os.path.join(here, "policy"), mnt)
    with open(os.path.join(mnt, "Landing/packed"), "wb") as file:
        file.write(TABLE)


def read_new(directory, cipher):
    """A vault in use: the newest of it stands in the write-ahead log."""
    here = os.path.join(directory, cipher)
    os.makedirs(os.path.join(here, "mnt"))
    vault, mnt = os.path.join(here, "vault"), os.path.join(here, "mnt")
    with open(os.path.join(here, "pass"), "wb") as file:
        file.write(PASSPHRASE)
    os.chmod(os.path.join(here, "pass"), 0o600)
    made = json.loads(run("init", "--json", "--passfile", os.path.join(here, "pass"), "--argon-mem", "1024", "--argon-ops", "2",
                          "--cipher", cipher, vault))
    run("mount", "--passfile", os.path.join(here, "pass"), vault, mnt)
    try:
        wanted = os.urandom(100000)
        for name in ("first", "caf\udce9\n"):  # bytes that are not UTF-8 in a name, and so in the log
            with open(os.path.join(mnt, "Landing", name), "wb") as file:
                file.write(wanted)
        write_versions_of_a_large_file(os.path.join(mnt, "Landing", "large"))
        write_packed(here, mnt)
        for number in range(300):
            with open(os.path.join(mnt, "Landing", f"f{number}"), "wb"):
                pass
            if number == 150:
                run("log", "archive", "--before", "now", mnt)
        run("log", "archive", "--before", "now", mnt)
        run("sync", mnt)
        check_names(vault, True)
        copy = os.path.join(here, "copy")
        shutil.copytree(vault, copy)
        secret = reader.recovery_key(made["recovery_key"])
        used = reader.Vault(copy, "recovery", secret)
        check(used.meta.frames > 0, "the log of a vault in use is empty: nothing of it was read")
        print(f"a vault in use, {cipher}: {used.meta.frames} frames of the log, {check_all(used)}")
        check(used.read("Landing/first") == wanted, "Landing/first")
        check_versions_of_a_large_file(used)
        check(used.read("Landing/packed") == TABLE, "Landing/packed")
        packed = [how for segment in used.segments.values() for *_, how in segment.blocks.values() if how[0]]
        check(len(packed) >= len(TABLE) >> 14 and all(units < 200 for _, units in packed), f"{len(packed)} packed blocks")
        archives = used.archives()
        check(len(archives) == 2 and sum(len(lines) for _, lines in archives) % 256 == 0, f"{len(archives)} archives")
        check(any(b'"path_escaped":"Landing/caf\\\\xe9\\\\x0a"' in line for line in used.audit_lines()), "an escaped path")
        refuse_log_damage(copy, secret)
    finally:
        run("umount", mnt)
    check_names(vault, False)
    closed = reader.Vault(vault, "passphrase", PASSPHRASE)
    check(closed.meta.frames == 0 and closed.read("Landing/first") == wanted, "the vault after its unmount")
    check_all(closed)


def refuse_log_damage(vault, secret):
    path = os.path.join(vault, "meta.db-wal")
    with open(path, "rb") as file:
        log = file.read()
    for at in (100, 600, 1100, 3000, 4096 + 50, 4096 + 4168 + 2000):
        with open(path, "wb") as file:
            file.write(log[:at] + bytes([log[at] ^ 1]) + log[at + 1:])
        try:
            reader.Vault(vault, "recovery", secret)
            faults.append(f"the log: byte {at} was changed, and nothing noticed")
        except reader.Damage:
            pass
    with open(path, "wb") as file:
        file.write(log)


def main():
    with tempfile.TemporaryDirectory(prefix="assayfs-format-") as directory:
        try:
            if not ASSAYFS:
                read_every_slot()
                read_fixture()
                refuse_damage(directory)
            else:
                read_new(directory, "xchacha20-poly1305")
                read_new(directory, "aes-256-gcm")
        except reader.NoAes:
            print("skipped: this processor has no AES, and libsodium then no AES-256-GCM")
            return 77
    for words in faults:
        print(f"FAILED: {words}")
    return 1 if faults else 0


if ASSAYFS and not os.path.exists("/dev/fuse"):
    print("skipped: /dev/fuse is missing")
    sys.exit(77)
sys.exit(main())
