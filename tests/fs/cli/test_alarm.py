#!/usr/bin/env python3
"""Alarms as a user meets them: watched by a mount, told by webhook, mail and command, silenced, tested, tried again.

usage: test_alarm.py ASSAYFS SOURCE

Signatures are verified by openssl, not by the project's own code. tests: fs/service/alarm, fs/command/alarm
"""
import base64
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time

from cli import ASSAYFS, Tests

if not os.path.exists("/dev/fuse"):
    print("skipped: /dev/fuse is missing")
    sys.exit(77)

CHEAP = ["--argon-mem", "1024", "--argon-ops", "1"]
SPKI = bytes.fromhex("302a300506032b6570032100")  # what DER has before the 32 bytes of an Ed25519 key
for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
    os.environ.pop(name, None)


class Receiver:
    """A web server that keeps what was posted; `answer` is its status, or what it does instead."""

    def __init__(self):
        self.got, self.answer = [], 200
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((dict(self.headers), body))
                if callable(receiver.answer):
                    receiver.answer(self)
                    return
                self.send_response(receiver.answer)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class MailServer:
    """As much SMTP as one mail needs."""

    def __init__(self):
        self.mails, self.commands = [], []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection, connection.makefile("rwb") as file:
                self.talk(file)

    def talk(self, file):
        def say(line):
            file.write(line + b"\r\n")
            file.flush()
        say(b"220 test")
        for line in iter(file.readline, b""):
            word = line.strip()
            self.commands.append(word)
            if word.upper() == b"DATA":
                say(b"354 go on")
                mail = b""
                for line in iter(file.readline, b".\r\n"):
                    mail += line
                self.mails.append(mail)
            say(b"221 bye" if word.upper() == b"QUIT" else b"250 ok")

    def close(self):
        self.socket.close()


class AlarmTests(Tests):
    def mounted(self, alarms, more="", options=()):
        self.mnt = self.path("mnt")
        self.write("pass", "correct horse\n")
        self.assayfs("init", *CHEAP, "--passfile", "pass", "v")
        os.makedirs(self.mnt)
        self.options = options
        self.mount()
        self.apply(alarms, more)

    def mount(self):
        """In the foreground: a process that can be killed."""
        self.daemon = subprocess.Popen([ASSAYFS, "mount", "--foreground", *self.options, "--passfile", "pass", "v", "mnt"],
                                       cwd=self.directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.wait("mounted", lambda: os.path.isdir(os.path.join(self.mnt, "Landing")))

    def apply(self, alarms, more=""):
        os.makedirs(self.path("policy"), exist_ok=True)
        self.write("policy/policy.yaml", f"version: 1\n{more}alarms: {json.dumps(alarms)}\n")
        return self.assayfs("policy", "apply", "policy", "mnt")

    def clean_up(self):
        if hasattr(self, "mnt") and f" {self.mnt} " in open("/proc/self/mountinfo", encoding="utf-8").read():
            self.unmount(self.mnt)
        if hasattr(self, "daemon"):
            self.daemon.kill()
            self.daemon.wait(30)

    def wait(self, what, is_so, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if is_so():
                return
            time.sleep(0.05)
        self.check(False, f"{what}: not within {seconds} s")

    def states(self):
        return {a["name"]: a["state"] for a in self.json("alarm", "list", "--json", "mnt")["alarms"]}

    def keys(self):
        """Those that `assayfs alarm key` prints, the present one first."""
        return [line.split()[0] for line in self.assayfs("alarm", "key", "mnt").out.splitlines()]

    def is_by(self, key, signature, headers, body):
        """By openssl."""
        self.check(key.startswith("whpk_"), f"key {key}")
        self.check(signature.startswith("v1a,"), signature)
        with open(self.path("key.der"), "wb") as file:
            file.write(SPKI + base64.b64decode(key[5:], validate=True))
        with open(self.path("signature"), "wb") as file:
            file.write(base64.b64decode(signature[4:], validate=True))
        with open(self.path("signed"), "wb") as file:
            file.write(f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body)
        return subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey",
                               self.path("key.der"), "-rawin", "-in", self.path("signed"), "-sigfile",
                               self.path("signature")], capture_output=True, check=False).returncode == 0

    def verify(self, headers, body):
        """From what the command prints."""
        keys = self.keys()
        self.check(len(keys) == 1, f"keys {keys}")
        return self.is_by(keys[0], headers["webhook-signature"], headers, body)

    def test_after_a_rotation_both_keys_sign(self):
        receiver = Receiver()
        try:
            self.mounted([{"name": "a", "metric": "FreeBytes", "below": 1, "notify": [f"webhook:{receiver.url}/"]}])
            old, = self.keys()
            self.assayfs("key", "rotate", "audit", "mnt")
            keys = self.keys()
            self.check(len(keys) == 2 and keys[1] == old != keys[0], f"{keys}")
            answer = self.json("alarm", "key", "--json", "mnt")
            self.check(answer["key"] == keys[0] and [k["key"] for k in answer["previous"]] == [old], f"{answer}")
            until = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 7 * 86400))
            self.check(answer["previous"][0]["until"][:10] == until, f"{answer}")
            for mounted in False, True:
                if mounted:
                    self.assayfs("umount", "mnt")
                    self.mount()
                self.assayfs("alarm", "test", "a", "mnt")
                headers, body = receiver.got[-1]
                signatures = headers["webhook-signature"].split(" ")
                self.check([[self.is_by(key, signature, headers, body) for signature in signatures] for key in keys] ==
                           [[True, False], [False, True]], f"{signatures}")
        finally:
            receiver.close()

    # What is missing counts as breaching, so an alarm on what nobody measures goes off by itself.
    SILENT_SERIES = {"metric": "ReplicationLag", "at_least": 3600, "missing": "breaching"}

    def test_a_change_is_told_once_and_signed(self):
        receiver = Receiver()
        try:
            self.mounted([{"name": "lag", **self.SILENT_SERIES, "notify": [f"webhook:{receiver.url}/alarm"]}])
            self.wait("told", lambda: receiver.got)
            headers, body = receiver.got[0]
            self.check(self.verify(headers, body), "the signature is not that of the key")
            self.check(not self.verify(headers, body + b" "), "a changed body passes")
            self.check(abs(int(headers["webhook-timestamp"]) - time.time()) < 60, "the timestamp")
            self.check("." not in headers["webhook-id"], "a full stop in the id")
            told = json.loads(body)
            self.check((told["AlarmName"], told["OldStateValue"], told["NewStateValue"], told["type"]) ==
                       ("lag", "INSUFFICIENT_DATA", "ALARM", "alarm.state"), f"{told}")
            self.check(told["Trigger"]["MetricName"] == "ReplicationLag" and told["Trigger"]["Threshold"] == 3600 and
                       told["Trigger"]["ComparisonOperator"] == "GreaterThanOrEqualToThreshold", f"{told}")
            self.check(self.states() == {"lag": "ALARM"}, "the list")
            self.check("!! 1 of 1 alarm in ALARM" in self.assayfs("status", "mnt").out, "the status does not say so")
            alarms = self.json("status", "--json", "mnt")["alarms"]
            self.check((alarms["total"], alarms["alarm"], alarms["in_alarm"][0]["name"]) == (1, 1, "lag"), f"{alarms}")
            self.apply([{"name": "lag", **self.SILENT_SERIES, "notify": [f"webhook:{receiver.url}/alarm"]},
                        {"name": "other", "metric": "FreeBytes", "below": 1}])
            self.wait("the other one", lambda: "other" in self.states())
            time.sleep(1)
            self.check(len(receiver.got) == 1, "told again without a change")
            history = self.json("alarm", "history", "--json", "lag", "mnt")["history"]
            self.check([(e["before"], e["after"], e["actions"][0]["state"]) for e in history] ==
                       [("INSUFFICIENT_DATA", "ALARM", "done")], f"{history}")
            log = self.assayfs("log", "--event", "alarm", "mnt").out
            self.check("lag: INSUFFICIENT_DATA -> ALARM" in log, log)
            self.apply([])
            self.wait("gone from the list", lambda: self.states() == {})
            self.check(self.json("alarm", "history", "--json", "lag", "mnt")["history"], "its history went with it")
        finally:
            receiver.close()

    def test_all_kinds_of_targets_are_tested(self):
        receiver, mail = Receiver(), MailServer()
        actions = self.path("actions")
        os.makedirs(actions, mode=0o755)
        self.write("actions/keep", f"#!/bin/sh\ncat >{self.path('kept')}\nenv >{self.path('env')}\n"
                                   f"ls /proc/self/fd | wc -l >{self.path('fds')}\n")
        self.write("actions/open", "#!/bin/sh\n")
        self.write("actions/fails", "#!/bin/sh\nexit 3\n")
        os.chmod(self.path("actions/keep"), 0o755)
        os.chmod(self.path("actions/fails"), 0o755)
        os.chmod(self.path("actions/open"), 0o777)
        targets = [f"webhook:{receiver.url}/", "mailto:ops@example.org", "command:keep", "command:open",
                   "command:fails", "command:none"]
        os.environ["ASSAYFS_SECRET_OF_THE_TEST"] = "x"
        try:
            self.mounted([{"name": "träge", "metric": "FreeBytes", "below": 1, "notify": targets}],
                         f"mail: {{server: \"smtp://127.0.0.1:{mail.port}\", from: assayfs@example.org}}\n",
                         ("--actions", actions))
            answer = self.assayfs("alarm", "test", "--json", "träge", "mnt", code=1)
            tried = {t["target"]: (t["delivered"], t["words"]) for t in json.loads(answer.out)["targets"]}
            self.check([tried[t][0] for t in targets] == [True, True, True, False, False, False], f"{tried}")
            self.check("others may write" in tried["command:open"][1] and "exit code 3" in tried["command:fails"][1] and
                       "not in the directory" in tried["command:none"][1], f"{tried}")
            told = json.loads(receiver.got[0][1])
            self.check(told["type"] == "alarm.test" and told["AlarmName"] == "träge", f"{told}")
            self.check(json.load(open(self.path("kept"), encoding="utf-8")) == told, "the command got something else")
            self.check("SECRET" not in open(self.path("env"), encoding="utf-8").read(), "the environment is not clean")
            self.check(int(open(self.path("fds"), encoding="utf-8").read()) <= 6, "descriptors of the mount")
            self.check(b"MAIL FROM:<assayfs@example.org>" in mail.commands and
                       b"RCPT TO:<ops@example.org>" in mail.commands, f"{mail.commands}")
            head, text = mail.mails[0].split(b"\r\n\r\n", 1)
            self.check(b"\r\nTo: <ops@example.org>\r\n" in head and b"This is a test" in base64.b64decode(text), f"{head}")
            self.check(self.states() == {"träge": "INSUFFICIENT_DATA"}, "a test changed the state")
            self.check("träge" in self.assayfs("log", "--event", "alarm-test", "mnt").out, "no record of the test")
        finally:
            os.environ.pop("ASSAYFS_SECRET_OF_THE_TEST")
            receiver.close()
            mail.close()

    def test_hostile_receivers_end_as_failures(self):
        receiver = Receiver()

        def redirect(handler):
            handler.send_response(302)
            handler.send_header("Location", "file:///etc/passwd" if len(receiver.got) % 2 else receiver.url)
            handler.end_headers()

        def huge(handler):
            handler.send_response(500)
            handler.end_headers()
            try:
                for _ in range(1000):
                    handler.wfile.write(b"x" * 65536)
            except OSError:
                receiver.stopped = True

        try:
            self.mounted([{"name": "a", "metric": "FreeBytes", "below": 1, "notify": [f"webhook:{receiver.url}/"]}])
            for answer, words in ((redirect, "redirects are not followed"), (redirect, "redirects are not followed"),
                                  (huge, "HTTP 500"), (404, "HTTP 404")):
                receiver.answer = answer
                before = len(receiver.got)
                out = self.assayfs("alarm", "test", "a", "mnt", code=1).out
                self.check(words in out and "FAILED" in out, out)
                self.check(len(receiver.got) == before + 1, "it was asked again")
            self.check(receiver.stopped, "all of a huge answer was taken")
        finally:
            receiver.close()

    def test_silence_keeps_the_history(self):
        receiver = Receiver()
        targets = {"notify": [f"webhook:{receiver.url}/"], "notify_insufficient": [f"webhook:{receiver.url}/"]}
        try:
            self.mounted([{"name": "lag", **self.SILENT_SERIES, **targets}])
            self.wait("told", lambda: len(receiver.got) == 1)
            self.assayfs("alarm", "silence", "lag", "--for", "2h", "--reason", "moving", "mnt")
            self.check("silent until" in self.assayfs("alarm", "list", "mnt").out, "the list does not say so")
            self.apply([{"name": "lag", **self.SILENT_SERIES, "missing": "missing", **targets}])
            self.wait("changed", lambda: self.states()["lag"] == "INSUFFICIENT_DATA")
            time.sleep(1)
            self.check(len(receiver.got) == 1, "a silenced alarm told")
            history = self.json("alarm", "history", "--json", "lag", "mnt")["history"]
            self.check([(e["kind"], e["silent"]) for e in history] ==
                       [("StateUpdate", True), ("Silenced", False), ("StateUpdate", False)], f"{history}")
            self.assayfs("alarm", "silence", "lag", "--off", "mnt")
            self.apply([{"name": "lag", **self.SILENT_SERIES, **targets}])
            self.wait("told again", lambda: len(receiver.got) == 2)
            self.assayfs("alarm", "silence", "none", "--for", "2h", "mnt", code=1)
            self.assayfs("alarm", "silence", "lag", "mnt", code=2)
        finally:
            receiver.close()

    def test_what_a_killed_mount_decided_is_told_by_the_next(self):
        receiver = Receiver()
        receiver.answer = 503
        try:
            self.mounted([{"name": "lag", **self.SILENT_SERIES, "notify": [f"webhook:{receiver.url}/"]}])
            self.wait("tried", lambda: receiver.got)
            first = receiver.got[0][0]["webhook-id"]
            self.assayfs("sync", "mnt")
            self.daemon.kill()
            self.daemon.wait(30)
            self.assayfs("umount", "mnt")
            receiver.answer = 200
            self.mount()
            self.wait("told by the next mount", lambda: self.json("alarm", "history", "--json", "lag", "mnt")
                      ["history"][0]["actions"][0]["state"] == "done", 30)
            self.check({h["webhook-id"] for h, _ in receiver.got} == {first}, "another id")
            self.check(len(self.json("alarm", "history", "--json", "lag", "mnt")["history"]) == 1, "decided twice")
        finally:
            receiver.close()


if __name__ == "__main__":
    sys.exit(AlarmTests().run())
