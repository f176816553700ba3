"""The cases of recorded.py that are no system calls: .assayfs, the commands, and what the daemon does by itself."""
import base64
import contextlib
import errno
import http.server
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time

from promise import ASSAYFS, is_gone  # it knows where what the command's tests share is
from fake_kms import FakeKms
from recorded_table import ALWAYS

ACL = "system.posix_acl_access"
NONE = 0xFFFFFFFF  # in an entry of an ACL that names nobody
STEWARD, INGESTER, NOBODY = 0, 64001, 64003
GOOD = b"name,kind\na,cat\nb,dog\nc,cat\n"
WORKFLOWS = """workflows:
  - {name: arrive, dataset: data, from: Landing, to: Trusted, on: close}
  - {name: again, dataset: data, from: Landing, to: Trusted, on: demand}
  - {name: look-again, dataset: data, from: Raw, to: Trusted, on: demand}
alarms: [{name: a test, metric: FreeBytes, below: 1}]
"""
BAD = b"name,kind\n"


def acl(other, user, mask=7):
    """As the kernel hands it on: all may do what the mode says, but INGESTER only `user`."""
    entries = [(1, 7, NONE), (2, user, INGESTER), (4, other, NONE), (16, mask, NONE), (32, other, NONE)]
    return b"\2\0\0\0" + b"".join(tag.to_bytes(2, "little") + bits.to_bytes(2, "little") + who.to_bytes(4, "little")
                                  for tag, bits, who in entries)


def act_as(uid, action):
    """(pid, errno or 0) of what a process of that user does."""
    pid = os.fork()
    if pid == 0:
        code = 255
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            action()
            code = 0
        except OSError as error:
            code = error.errno
        finally:
            os._exit(code)
    return pid, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def ask(address, command, **arguments):
    """One request as the command sends it; a refusal is raised."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(address)
        text = json.dumps({"command": command, "arguments": arguments}).encode()
        s.sendall(struct.pack("<I", len(text)) + text)
        with s.makefile("rb") as file:
            while True:
                answer = json.loads(file.read(struct.unpack("<I", file.read(4))[0]))
                if "end" in answer:
                    break
    if answer["end"] < 0:
        raise OSError(-answer["end"], answer.get("words", ""))


# Row: command on the socket, its arguments (ID: of something in quarantine; PLACE: of a backup; SLOT, PASS: of the vault), and whether the record has their path.
COMMANDS = {
    "assayfs log": ("log", {}),
    "assayfs log summary": ("log-summary", {}),
    "assayfs log archive --list": ("log-archives", {}),
    "assayfs grant": ("grant", {"path": "Trusted/kept.csv", "reason": "a test", "for_ns": 10**12, "uid": 64009}),
    "assayfs grant --list": ("grant-list", {}),
    "assayfs grant --revoke": ("grant-revoke", {"number": 1}),
    "assayfs alarm list": ("alarm-list", {}),
    "assayfs alarm history": ("alarm-history", {}),
    "assayfs alarm test": ("alarm-test", {"name": "a test"}),
    "assayfs alarm silence": ("alarm-silence", {"name": "a test", "for_ns": 10**12}),
    "assayfs alarm retry": ("alarm-retry", {}),
    "assayfs alarm drop": ("alarm-drop", {}),
    "assayfs alarm key": ("alarm-key", {}),
    "assayfs backup add": ("backup-add", {"url": "PLACE", "create": True}),
    "assayfs backup status": ("backup-status", {}),
    "assayfs backup verify": ("backup-verify", {}),
    "assayfs backup sync": ("backup-sync", {"timeout_ms": 60000}),
    "assayfs backup remove": ("backup-remove", {"url": "PLACE"}),
    "assayfs token add": ("token-add", {"name": "recorded", "role": "viewer"}),
    "assayfs token list": ("token-list", {}),
    "assayfs token remove": ("token-remove", {"name": "recorded"}),
    "assayfs key list": ("key-list", {}),
    "assayfs key rotate": ("key-rotate", {"key": "raw"}),
    "assayfs key rotate --rewrap": ("key-rotate", {"key": "trusted", "rewrap": True}),
    "assayfs key disable": ("key-disable", {"key": "raw"}),
    "assayfs key schedule-deletion": ("key-schedule-deletion", {"key": "raw", "days": 7}),
    "assayfs key cancel-deletion": ("key-cancel-deletion", {"key": "raw"}),
    "assayfs key enable": ("key-enable", {"key": "raw"}),
    "assayfs key alias": ("key-alias", {"key": "raw", "alias": "recorded"}),
    "assayfs key add": ("slot-add", {"type": "recovery"}),
    "assayfs key remove": ("slot-remove", {"slot": "SLOT"}),
    "assayfs lock": ("lock", {}),
    "assayfs lock --after": ("lock-after", {"ms": 3600000}),
    "assayfs unlock": ("unlock", {"type": "passphrase", "secret": "PASS"}),
    "assayfs access": ("access", {"path": "Landing/kept.csv", "uid": 64009}),
    "assayfs status": ("status", {}),
    "assayfs umount": ("attend", {}),
    "assayfs sync": ("sync", {}),
    "assayfs versions": ("versions", {"path": "Landing/kept.csv"}),
    "assayfs lineage": ("lineage", {"path": "Landing/kept.csv"}),
    "assayfs why": ("why", {"path": "Landing/kept.csv"}),
    "assayfs restore": ("restore", {"path": "Landing/plain", "number": 1}),
    "assayfs run": ("run", {"workflow": "again"}),
    "assayfs runs": ("runs", {}),
    "assayfs policy show": ("policy-show", {}),
    "assayfs policy apply": ("policy-apply", {}),
    "assayfs policy apply --dry-run": ("policy-foresee", {}),
    "assayfs policy apply --recheck": ("policy-recheck", {}),
    "assayfs quarantine list": ("quarantine-list", {}),
    "assayfs quarantine show": ("quarantine-show", {"id": "ID"}),
    "assayfs quarantine show --rows": ("quarantine-rows", {"id": "ID"}),
    "assayfs quarantine drop": ("quarantine-drop", {"id": "ID", "reason": "a test"}),
    "assayfs quarantine release": ("quarantine-release", {"id": "ID", "reason": "a test", "waiver_until_ns": time.time_ns() + 10**12}),
    "assayfs find-subject": ("find-subject", {"values": ["somebody else"]}),
    "assayfs erase": ("erase", {"paths": ["Landing/plain"], "reason": "a test"}),
    "assayfs gc": ("gc", {}),
}
# What the record of a bundle is tried with: the command itself makes it.
BY_COMMAND = {"policy-apply": ["policy", "apply"], "policy-foresee": ["policy", "apply", "--dry-run"]}
# What is judged then bears the name of who asked.
JUDGED = {"capture", "deliver", "verdict", "publish", "supersede"}
VIRTUAL = ["open below .assayfs", "opendir below .assayfs", "look-up below .assayfs", "change below .assayfs"]
DAEMON = ["alarm", "alarm that reaches nobody", "init", "mount", "unmount", "recover", "capture", "deliver", "verdict", "publish", "supersede", "withdraw", "stale",
          "close at the end of the mount", "gc", "damage", "repair", "accept-restore", "key", "key management service", "key-found"]
USES = ["content is opened by a key", "content is sealed by a key", "the hour of a use has passed"]
VERIFY, ARCHIVE, HTTP = "assayfs log verify, key, prove", "assayfs log archive", "HTTP request"
CUSTOM = [*COMMANDS, *VIRTUAL, *DAEMON, *USES, VERIFY, ARCHIVE, HTTP]


def run_as_steward(v, *arguments):
    """(pid, exit code) of the command itself."""
    with subprocess.Popen([ASSAYFS, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=v.directory) as done:
        return done.pid, done.wait(60)


def put(path, content):
    with open(path, "wb") as file:
        file.write(content)


def hold(v):
    """Three in quarantine: {name: id}."""
    put(v.landing("plain"), b"plain")
    os.mkdir(v.landing("parts"))
    names = {"bad1.csv": BAD, "bad2.csv": BAD + BAD, "parts/a.csv": b"name,kind\na,cat\n,dog\nc,cat\n"}
    for name, content in names.items():
        put(v.landing(name), content)
    held = []
    deadline = time.monotonic() + 60
    while len(held) < len(names) and time.monotonic() < deadline:
        time.sleep(0.05)
        held = json.loads(v.run("quarantine", "list", "--json", v.mnt).stdout)
    return {os.path.basename(row["path"]): row["id"] for row in held}


def stands_for(v, of_row, row, value):
    """What a word of COMMANDS is on this mount; all else is itself."""
    if value == "ID":
        return of_row[row.split()[-1]]
    if value == "PLACE":
        return "file://" + v.path("backup")
    if value == "SLOT":
        return [slot["id"] for slot in json.loads(v.run("key", "list", "--json", v.mnt).stdout)["slots"] if slot["type"] == "recovery"][-1]
    if value == "PASS":
        with open(v.passfile, "rb") as file:
            return base64.b64encode(file.read().rstrip(b"\n")).decode()
    return value


def commands(test):
    v = test.v
    address = "/run/assayfs/" + json.loads(v.run("status", "--json", v.mnt).stdout)["vault"]
    ids = hold(v)
    of_row = {"show": ids["bad1.csv"], "--rows": ids["a.csv"], "drop": ids["bad1.csv"], "release": ids["bad2.csv"]}
    for row, (command, arguments) in COMMANDS.items():
        arguments = {key: stands_for(v, of_row, row, value) for key, value in arguments.items()}
        path = arguments.get("path", arguments.get("paths", [None])[0])
        has_path = {"path": path} if path else {}
        allowed = not test.rows[row]["refused"]
        pid, code = act_as(NOBODY, lambda: ask(address, command, **arguments))
        v.check(code == (0 if allowed else errno.EACCES), f"{row}: for who has no role {code}")
        test.expect(row, "refused by role", pid, test.denial(row, NOBODY, pid, path, errno.EACCES), False)
        if command == "attend":
            continue  # granted, it waits for the end, of which the daemon's rows tell
        exe, wanted = test.exe, 0
        if command in BY_COMMAND:
            exe = "assayfs"
            put(v.path("policy/data.dqdl"), b"Rules = [ RowCount > 1 ]\n")
            pid, code = run_as_steward(v, *BY_COMMAND[command], "policy", v.mnt)
        else:
            pid, code = act_as(STEWARD, lambda: ask(address, command, **arguments))
        v.check(code == wanted, f"{row}: for a steward {code}")
        about = {"outcome": "ok", "uid": 0, "gid": 0, "pid": pid, "exe": exe}
        own = [{**about, **has_path, "event": event} for event in test.rows[row]["granted"]]
        test.expect(row, "granted", pid, own, besides=JUDGED)
    by_mode(test, address)
    over_http(test)
    verifying(test)
    for command in ("log-archive", "log-ship", "log-prune"):  # what is granted comes at the end: it takes records away
        pid, code = act_as(NOBODY, lambda: ask(address, command))
        v.check(code == errno.EACCES, f"{command}: for who has no role {code}")
        wanted = test.denial(ARCHIVE, NOBODY, pid, None, errno.EACCES)
        test.expect(ARCHIVE, f"{command} refused", pid, [{**record, "event": command} for record in wanted], False)
    below_assayfs(test)


def by_mode(test, address):
    """An ingester, whose role would let him, meets another's file."""
    os.chmod(test.v.landing("kept.csv"), 0o600)
    for row, arguments in ("assayfs versions", {}), ("assayfs lineage", {}), ("assayfs restore", {"number": 1}):
        pid, code = act_as(INGESTER, lambda: ask(address, row.split()[1], path="Landing/kept.csv", **arguments))
        test.v.check(code == errno.EACCES, f"{row}: refused by mode, but {code}")
        test.expect(row, "refused by mode", pid, test.denial(row, INGESTER, pid, "Landing/kept.csv", errno.EACCES), False)


def over_http(test):
    """Whose connection it is the kernel knows, which process asked it does not say: such records have no pid."""
    v, row = test.v, test.rows[HTTP]
    host, _, port = json.loads(v.run("status", "--json", v.mnt).stdout)["http"]["address"].rpartition(":")

    def look():
        with socket.create_connection((host, int(port))) as s:
            s.sendall(f"GET /api/v1/status HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
            status = int(s.makefile("rb").readline().split()[1])
            if status == 403:
                raise OSError(errno.EACCES, "refused")
    "".encode("idna")  # loaded here: who it is then may not read where Python has it
    for uid, wanted in (NOBODY, errno.EACCES), (STEWARD, 0):
        _, code = act_as(uid, look)
        v.check(code == wanted, f"{HTTP}: for uid {uid} {code}")
    v.run("sync", v.mnt)
    found = [r for r in v.records() if r["event"] == "http"]
    v.check([(r["event"], r["outcome"], r["errno"], r["uid"], r["exe"], r.get("pid", 0)) for r in found]
            == [(row["refused"][0], "denied", errno.EACCES, NOBODY, "http", 0)], f"{HTTP}: {found}")


def verifying(test):
    """They read files, some of them twice: no other records, and of no others."""
    v = test.v
    row = test.rows[VERIFY]
    v.run("sync", v.mnt)
    for command in (["verify"], ["key"], ["prove", "0"]):
        pid, code = run_as_steward(v, "log", *command, v.mnt)
        found = [r for r in v.records() if r.get("pid") == pid]
        v.check(code == 0 and {r["event"] for r in found} == set(row["granted"]), f"log {command[0]}: {code}, {found}")
        for r in found:
            v.check(set(r) - ALWAYS == row["fields"][0] and (r["path"] + "/").startswith(".assayfs/audit/"), f"log {command[0]}: {r}")
        pid, _ = act_as(NOBODY, lambda: os.execv(ASSAYFS, [ASSAYFS, "log", command[0], *command[1:], v.mnt]))
        v.run("sync", v.mnt)
        found = [r for r in v.records() if r.get("pid") == pid]
        v.check(found and all([r["event"]] == row["refused"] and r["outcome"] == "denied" for r in found),
                f"log {command[0]} of who has no role: {found}")


def below_assayfs(test):
    v = test.v
    own = ".assayfs/versions/Landing/kept.csv"
    tries = [  # row, who, path, what is done, errno
        ("open below .assayfs", STEWARD, own + "/1", read, 0),
        ("open below .assayfs", STEWARD, ".assayfs/status.json", write, errno.EROFS),
        ("opendir below .assayfs", STEWARD, ".assayfs/audit", os.listdir, 0),
        ("opendir below .assayfs", NOBODY, ".assayfs/audit", os.listdir, errno.EACCES),
        ("opendir below .assayfs", INGESTER, own, os.listdir, errno.EACCES),
        ("look-up below .assayfs", STEWARD, own + "/1", os.stat, 0),
        ("look-up below .assayfs", INGESTER, own + "/1", os.stat, errno.EACCES),
        ("change below .assayfs", STEWARD, ".assayfs/status.json", os.unlink, errno.EROFS),
    ]
    for row, uid, path, act, wanted in tries:
        pid, code = act_as(uid, lambda: act(os.path.join(v.mnt, path)))
        v.check(code == wanted, f"{row}: {path} by {uid}: {code}")
        about = {"outcome": "ok", "uid": uid, "gid": uid, "pid": pid, "exe": test.exe, "path": path}
        granted = [{**about, "event": event} for event in test.rows[row]["granted"]]
        test.expect(row, f"{path} by {uid}", pid, granted if wanted == 0 else test.denial(row, uid, pid, path, wanted), wanted == 0)


def write(path):
    os.close(os.open(path, os.O_WRONLY))


def read(path):
    with open(path, "rb") as file:
        file.read()


# ---- what the daemon does by itself ----

class Daemon:
    """Its records bear the name of whoever gave it the occasion, or of its own process."""

    def __init__(self, test):
        self.test, self.v = test, test.v

    def put_as(self, *contents):
        """The pid of an ingester's process that writes them one after the other."""
        def action():
            for content in contents:
                put(self.v.landing("way.csv"), content)
        return act_as(INGESTER, action)[0]

    def wait_for(self, pid, event, times=1):
        deadline = time.monotonic() + 60
        records = []
        while time.monotonic() < deadline:
            records = [record for record in self.v.records() if record.get("pid") == pid]
            if [record["event"] for record in records].count(event) >= times:
                break
            time.sleep(0.1)
        return records

    def check(self, what, records, events, exe=None):
        """Exactly these, in this order; each as its row says."""
        events = [event for event in events]
        if not self.v.check([r["event"] for r in records] == events, f"{what}: {[r['event'] for r in records]}, not {events}"):
            return
        for record in records:
            row = self.test.rows.get(record["event"])
            has = set(record) - ALWAYS
            self.v.check(ALWAYS <= set(record) and (exe is None or record["exe"] == exe), f"{what}: {record}")
            if row and record["event"] in DAEMON:
                self.v.check(row["granted"] == [record["event"]] and has == row["fields"][0] | (has & {"bytes"}),
                             f"{what}: {record['event']} has {sorted(has)}, the table says {row}")

    def arrivals(self):
        judged = ["capture", "verdict", "publish"]
        exe = self.test.exe
        pid = self.put_as(GOOD)
        self.check("arrival", self.wait_for(pid, "publish"), ["create", "close", *judged], exe)
        pid = self.put_as(GOOD)
        self.check("the same again", self.wait_for(pid, "publish"), ["open", "close", "deliver", "verdict", "publish"], exe)
        pid = self.put_as(GOOD + b"d,cat\n", GOOD + b"e,cat\n")
        self.check("twice", self.wait_for(pid, "publish"), ["open", "close", "open", "supersede", "close", *judged], exe)

    def decisions(self):
        put(self.v.path("policy/data.dqdl"), b"Rules = [ RowCount > 5 ]\n")
        run_as_steward(self.v, "policy", "apply", "--keep", "policy", self.v.mnt)
        pid, _ = run_as_steward(self.v, "run", "look-again", self.v.mnt)
        records = [r for r in self.wait_for(pid, "run", 2) if r.get("path") == "Trusted/way.csv"]
        self.check("look again", records, ["stale"], "assayfs")
        put(self.v.path("policy/data.dqdl"), b"Rules = [ RowCount > 4 ]\n")
        pid, _ = run_as_steward(self.v, "policy", "apply", "--recheck", "policy", self.v.mnt)
        records = [r for r in self.wait_for(pid, "withdraw") if r.get("path") == "Trusted/way.csv"]
        self.check("recheck", records, ["verdict", "withdraw"], "assayfs")
        pid, _ = run_as_steward(self.v, "erase", self.v.landing("way.csv"), "--reason", "a test")
        self.wait_for(pid, "erase", 3)
        gone = [r for r in self.wait_for(self.v.pid, "gc", 2) if r["event"] == "gc"]
        self.v.check({"bytes", "detail"} == set(gone[-1]) - ALWAYS, f"gc: {gone[-1]}")

    def alarms(self):
        """One that goes off, and tells a receiver that wants to hear no more."""
        v = self.v

        class Gone(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_error(410)

            def log_message(self, *_):
                pass

        with http.server.HTTPServer(("127.0.0.1", 0), Gone) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            with open(v.path("policy/policy.yaml"), encoding="utf-8") as file:
                policy = file.read()
            put(v.path("policy/policy.yaml"), policy.replace("alarms: [", "alarms: [{name: gone, metric: FreeBytes, above: 0, "
                f'missing: breaching, notify: "webhook:http://127.0.0.1:{server.server_port}/"}}, ').encode())
            run_as_steward(v, "policy", "apply", "policy", v.mnt)
            records = self.wait_for(v.pid, "alarm-dead")
            server.shutdown()
        for row, event in ("alarm", "alarm"), ("alarm that reaches nobody", "alarm-dead"):
            found = [r for r in records if r["event"] == event and "gone" in r["detail"]]  # at a full minute others, too
            table = self.test.rows[row]
            v.check(len(found) == 1 and table["granted"] == [event] and [set(r) - ALWAYS for r in found] == table["fields"],
                    f"{row}: {found}, the table says {table}")

    def mounts(self):
        v = self.v
        with open(v.landing("left"), "wb", buffering=0) as left:
            left.write(b"left")
            pids = [v.pid]
            v.run("sync", v.mnt)
            os.kill(v.pid, signal.SIGTERM)
            deadline = time.monotonic() + 60
            while not is_gone(v.pid) and time.monotonic() < deadline:
                time.sleep(0.05)
            with contextlib.suppress(OSError):
                left.close()
        v.mount("-o", "allow_other")
        pids.append(v.pid)
        v.kill()
        v.mount("-o", "allow_other")
        pids.append(v.pid)
        v.umount()
        flip(os.path.join(v.vault, "meta.db"), 5)
        pids.append(run_as_steward(v, "fsck", "--repair", "--passfile", v.passfile, v.vault)[0])
        flip(os.path.join(v.vault, "meta/anchor-1"), 0)
        v.mount("-o", "allow_other")
        pids.append(v.pid)
        records = v.records()
        self.uses()
        self.check("init", records[:1], ["init"], "assayfs")
        of = [[r for r in records if r.get("pid") == pid and r["event"] not in {*JUDGED, "gc", "alarm", "alarm-dead"}] for pid in pids]
        # To have what is cached written back, it opens its own root.
        ends = [["mount", "opendir", "close", "unmount"], ["mount"], ["mount", "recover", "unmount"], ["repair"], ["mount", "damage"]]
        for number, (found, events) in enumerate(zip(of, ends)):
            self.check(f"process {number} of the vault", found, events, "assayfs")
        row = self.test.rows["close at the end of the mount"]
        closes = [set(r) - ALWAYS for r in of[0] if r["event"] == "close"]
        self.v.check(row["granted"] == ["close"] and closes == row["fields"], f"close: {closes}, the table says {row}")
        v.umount()


    def uses(self):
        """Of keys, by this very program as user 0, whatever else was done; and how many more there were."""
        v = self.v
        records = v.records("--event", "key-decrypt,key-generate-data-key")
        opens = [r for r in records if r["event"] == "key-decrypt" and "path" in r and not r["exe"].startswith("assayfs")]
        seals = [r for r in records if r["event"] == "key-generate-data-key" and "path" in r]
        more = [r for r in records if " more time" in r["detail"]]
        for row, found in zip(USES, (opens, seals, more)):
            table = self.test.rows[row]
            v.check(found and all([r["event"]] == table["granted"] or found is more for r in found), f"{row}: {found}")
            v.check(all([set(r) - ALWAYS] == table["fields"] or "version" not in r for r in found), f"{row}: {found}, the table says {table}")
        v.check(any(r["path"].startswith("Landing/") and r["detail"] == "alias/landing version 1" for r in opens), f"of Landing: {opens}")
        own = {(r["event"], r["detail"]) for r in records if r["exe"] == "assayfs" and "path" in r}
        for use in ("key-decrypt", "alias/landing version 1"), ("key-generate-data-key", "alias/raw version 1"), ("key-generate-data-key", "alias/trusted version 1"):
            v.check(use in own, f"the mount's own: no {use} in {own}")

    def restored(self):
        """An older copy in the vault's place."""
        v = self.v
        shutil.copytree(v.vault, v.path("older"))
        v.mount("-o", "allow_other")
        put(v.landing("newer"), b"newer")
        v.umount()
        shutil.rmtree(v.vault)
        os.rename(v.path("older"), v.vault)
        v.mount("-o", "allow_other", "--accept-restore")
        self.check("restored", [r for r in v.records() if r.get("pid") == v.pid], ["mount", "accept-restore"], "assayfs")

    def keys(self):
        """One that is rotated by itself, in a program for which a year has passed; then a vault.json that the log does not know."""
        v = self.v
        run_as_steward(v, "key", "rotate", "--every", "90", "landing", v.mnt)
        v.umount()
        shutil.copy(os.path.join(v.vault, "vault.json"), v.path("older.json"))
        aged = os.path.join(os.environ.get("ASSAYFS_BUILD", "."), "tests/fs/assayfs_aged")
        if os.path.exists(aged):
            put(v.path("age"), b"400")
            subprocess.run([aged, "mount", "--passfile", v.passfile, v.vault, v.mnt], check=True, env={**os.environ, "ASSAYFS_TEST_AGE": v.path("age")})
            found = [r for r in v.records() if r["event"] == "key-rotate" and r["exe"].startswith("assayfs_aged")]
            v.check([set(r) - ALWAYS for r in found] == self.test.rows["key"]["fields"], f"rotated by itself: {found}")
            v.run("umount", v.mnt)
            self.service(aged)
        else:
            run_as_steward(v, "key", "rotate", "landing", v.mnt)
        shutil.copy(v.path("older.json"), os.path.join(v.vault, "vault.json"))
        v.mount("-o", "allow_other", "--accept-restore")
        found = [r for r in v.records() if r["event"] == "key-found"]
        v.check([set(r) - ALWAYS for r in found] == self.test.rows["key-found"]["fields"], f"another vault.json: {found}")

    def service(self, aged):
        """A key management service that fails for a while, asked by a program that does so all the time."""
        v, kms, row = self.v, FakeKms(), self.test.rows["key management service"]

        def waits_for(event):
            deadline = time.monotonic() + 60
            while not (found := v.records("--event", event)) and time.monotonic() < deadline:
                time.sleep(0.1)
            return found

        with kms.serving() as environment:
            environment = {**os.environ, **environment}
            v.mount("-o", "allow_other")
            subprocess.run([ASSAYFS, "key", "add", "--kms", "alias/vault", v.mnt], check=True, env=environment, stdout=subprocess.DEVNULL)
            v.umount()
            subprocess.run([aged, "mount", "--kms", v.vault, v.mnt], check=True, env=environment)
            kms.state = "Failing"
            found = waits_for("kms-away")
            kms.state = "Enabled"
            found += waits_for("kms-back")
            v.run("umount", v.mnt)
        v.check([r["event"] for r in found] == row["granted"] and [set(r) - ALWAYS for r in found] == row["fields"], f"service: {found}, the table says {row}")

    def archived(self):
        v = self.v
        os.mkdir(v.path("ship"))
        pid, code = run_as_steward(v, "log", "archive", "--before", "now", "--to", "ship", "--prune", "now", v.mnt)
        row = self.test.rows[ARCHIVE]
        records = [r for r in v.records() if r.get("pid") == pid]
        v.check(code == 0 and [r["event"] for r in records] == row["granted"] and [set(r) - ALWAYS for r in records] == row["fields"],
                f"log archive: {code}, {records}, the table says {row}")


def flip(path, page):
    with open(path, "r+b") as file:
        file.seek(4096 * page + 100)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))


def daemon(test):
    own = Daemon(test)
    own.arrivals()
    own.decisions()
    own.alarms()
    own.mounts()
    own.restored()
    own.keys()
    own.archived()
