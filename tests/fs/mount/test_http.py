#!/usr/bin/env python3
"""The page and the API over HTTP: who is told what, what is refused, and what a stranger can't do to the mount.

usage: test_http.py ASSAYFS SOURCE
"""
import json
import os
import signal
import socket
import sys
import time

from http_served import BAD, GOOD, POLICY, RULES, Served


class HttpTests(Served):
    def test_it_tells_what_status_tells_and_a_refusal_within_two_seconds(self):
        self.serve()
        self.write("mnt/Landing/good.csv", GOOD)
        self.assertTrue(self.until(lambda: os.path.exists(self.path("mnt/Trusted/good.csv"))))
        self.write("mnt/Landing/bad.csv", BAD)
        began = time.monotonic()
        self.assertTrue(self.until(lambda: self.ask("/api/v1/refusals")[1]["refusals"]))
        self.assertLess(time.monotonic() - began, 20)
        refusal = self.ask("/api/v1/refusals")[1]["refusals"][0]
        self.assertEqual((refusal["path"], refusal["outcome"]), ("Landing/bad.csv", "failed"))
        time.sleep(1)
        mine, theirs = json.loads(self.assayfs("status", "--json", "mnt").out), self.ask("/api/v1/status")[1]
        self.assertTrue(self.until(lambda: self.ask("/api/v1/status")[1]["zones"] == mine["zones"]), theirs)
        for key in ("vault", "quarantined", "policy", "jobs", "http"):
            self.assertEqual(mine[key], theirs[key])
        dataset = self.ask("/api/v1/datasets")[1]["datasets"][0]
        self.assertEqual((dataset["counts"], dataset["score"]), ({"passed": 1, "failed": 1}, 0))
        chart = self.ask("/api/v1/charts/quality?dataset=animals")[1]
        self.assertIn("<svg", chart["svg"])
        records = self.ask("/api/v1/log?event=verdict&path=Landing/bad.csv")[1]["records"]
        self.assertEqual([r["outcome"] for r in records], ["denied"])

    def test_it_tells_what_the_commands_print(self):
        self.serve()
        self.write("mnt/Landing/good.csv", GOOD)
        self.assertTrue(self.until(lambda: os.path.exists(self.path("mnt/Trusted/good.csv"))))
        self.assayfs("run", "again", "mnt")

        def printed(*words):
            return json.loads(self.assayfs(*words, "--json", "mnt").out)
        runs = printed("runs")
        self.assertEqual([run["workflow"] for run in runs["runs"]], ["again"])
        for path, words in (("runs", ("runs",)), ("runs?workflow=again&limit=1", ("runs", "again")), ("alarms", ("alarm", "list")), ("backup", ("backup", "status"))):
            self.assertTrue(self.until(lambda: self.ask(f"/api/v1/{path}")[1] == printed(*words)), f"{path}: {self.ask(f'/api/v1/{path}')[1]}")
        self.assertEqual([alarm["name"] for alarm in self.ask("/api/v1/alarms")[1]["alarms"]], ["charges", "refused"])
        costs = self.ask("/api/v1/costs")[1]
        self.assertEqual({key: costs[key] for key in ("month", "profile", "prices")}, {key: printed("cost")[key] for key in ("month", "profile", "prices")})
        self.assertEqual(self.ask("/api/v1/costs?profile=s3-standard-ca-central-1")[1]["profile"]["name"], "s3-standard-ca-central-1")
        lineage = self.ask("/api/v1/lineage?path=Trusted/good.csv")[1]
        mine = json.loads(self.assayfs("lineage", "--json", "mnt/Trusted/good.csv").out)
        self.assertEqual((len(lineage["versions"]), lineage), (3, mine))
        samples = self.ask("/api/v1/samples?series=EstimatedCharges")[1]
        self.assertEqual((samples["labels"], samples["period_s"], samples["to_s"] - samples["from_s"]), ("", 60, 10800))
        self.assertEqual(self.ask("/api/v1/samples?series=StoredBytes&labels=zone%3DRaw&from=-3d&period=5m")[1]["period_s"], 300)
        self.assertEqual(self.ask("/api/v1/samples?series=StoredBytes&from=-7d&period=60")[0], 400)
        self.assertEqual(self.ask("/api/v1/runs?workflow=none")[0], 204)

    def test_each_user_of_this_machine_gets_what_his_roles_allow(self):
        if os.getuid() != 0:
            return
        self.serve()
        self.assertEqual(self.ask_as(0, "/api/v1/status"), 200)
        self.assertEqual(self.ask_as(64003, "/api/v1/status"), 403)
        self.assertEqual(self.ask_as(64003, "/healthz"), 200)
        self.policy(POLICY + 'roles: {steward: {users: [root]}, auditor: {users: ["64004"]}}\n', RULES)
        self.assertEqual(self.ask_as(64004, "/api/v1/log"), 200)
        self.assertEqual(self.ask_as(64004, "/api/v1/quarantine"), 403)
        self.assertEqual(self.ask_as(64003, "/api/v1/pulse"), 403)

    def test_tokens_have_a_role_and_an_end(self):
        self.serve()
        self.write("mnt/Landing/bad.csv", BAD)
        self.assertTrue(self.until(lambda: self.ask("/api/v1/refusals")[1]["refusals"]))
        viewer, auditor, steward = (self.token(role, role) for role in ("viewer", "auditor", "steward"))
        refusal = self.ask("/api/v1/refusals", token=viewer)[1]["refusals"][0]
        self.assertNotIn("path", refusal)
        self.assertNotIn("bad.csv", json.dumps(self.ask("/api/v1/status", token=viewer)[1]))
        self.assertEqual([self.ask("/api/v1/log", token=t)[0] for t in (viewer, auditor, steward)], [403, 200, 200])
        self.assertEqual([self.ask("/api/v1/run", "POST", t, {"workflow": "again"})[0] for t in (None, viewer, auditor, steward)],
                         [401, 403, 403, 202])
        self.assertTrue(self.until(lambda: self.ask("/api/v1/runs?workflow=again")[1]["workflows"][0]["last"]["state"] == "succeeded"))
        run = self.ask("/api/v1/run", "POST", steward, {"workflow": "again"})[1]
        self.assertEqual((run["workflow"], run["cause"], run["counts"]["total"]), ("again", "by-hand", 1))
        self.assertEqual(self.ask("/api/v1/run", "POST", steward, {"workflow": "none"})[0] // 100, 4)
        self.assertEqual(self.ask("/api/v1/run", "POST", steward, {"workflow": "again"}, Content_Type="text/plain")[0], 415)
        self.assertEqual(self.ask("/api/v1/pulse", token=steward + "x")[0], 401)
        self.assertEqual(self.ask("/api/v1/pulse", token=steward + "x")[2]["WWW-Authenticate"], 'Bearer realm="assayfs"')
        self.assertEqual([row["name"] for row in json.loads(self.assayfs("token", "list", "--json", "mnt").out)["tokens"]],
                         ["auditor", "steward", "viewer"])
        self.assayfs("token", "remove", "viewer", "mnt")
        self.assertTrue(self.until(lambda: self.ask("/api/v1/pulse", token=viewer)[0] == 401))
        self.assayfs("token", "remove", "viewer", "mnt", code=1)
        self.assayfs("token", "add", "x", "--role", "king", "mnt", code=2)
        log = self.assayfs("log", "--event", "run", "mnt").out
        self.assertIn("http:steward", log)

    def test_beyond_this_machine_nothing_without_a_token(self):
        self.mounted(POLICY, RULES)
        token = self.token("viewer", "viewer")
        self.assayfs("umount", "mnt")
        self.assayfs("mount", "--http", "0.0.0.0:0", "--passfile", "pass", "v", "mnt")
        self.find()
        self.host = "127.0.0.1"
        self.assertEqual(self.ask("/api/v1/status")[:2], (401, {"error": "a token is needed: Authorization: Bearer assay_…"}))
        self.assertEqual(self.ask("/metrics")[0], 401)
        self.assertEqual(self.ask("/api/v1/status", token=token)[0], 200)

    def test_a_mount_beyond_this_machine_wants_a_token_first(self):
        self.mounted(POLICY, RULES)
        self.assayfs("umount", "mnt")
        done = self.assayfs("mount", "--http", "0.0.0.0:0", "--passfile", "pass", "v", "mnt", code=6)
        self.assertIn("assayfs token add", done.err)
        self.assayfs("mount", "--http", "nonsense", "--passfile", "pass", "v", "mnt", code=2)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            done = self.assayfs("mount", "--http", f"127.0.0.1:{taken.getsockname()[1]}", "--passfile", "pass", "v", "mnt", code=3)
        self.assertIn("another program listens", done.err)
        self.mount("--http", "127.0.0.1:0")

    def test_what_is_malformed(self):
        self.serve()
        self.assertEqual(self.ask("/api/v1/status", Host="rebind.example")[0], 421)
        self.assertEqual(self.ask("/api/v1/status", Host=f"localhost:{self.port}")[0], 200)
        for path, status in (("/nope", 404), ("/api/v1/log?x=1", 400), ("/api/v1/log?limit=0", 400), ("/api/v1/log?limit=1&limit=2", 400),
                             ("/api/v1/log?path=..", 400), ("/api/v1/" + "x" * 2000, 414), ("/api/v1/costs2", 404)):
            self.assertEqual(self.ask(path)[0], status, path)
        self.assertIn(self.ask("/", headers="x" * 60000)[0], (400, 413, 431))
        self.assertEqual([self.ask("/api/v1/status", method)[0] for method in ("DELETE", "PUT", "POST", "TRACE")], [405, 405, 415, 405])
        self.assertEqual(self.ask("/api/v1/run", "POST", None, {"workflow": "x" * 5000})[0], 413)
        status, text, headers = self.ask("/api/v1/status", "HEAD")
        self.assertEqual((status, text), (200, ""))
        self.assertEqual(headers["Cache-Control"], "no-store")
        page = self.ask("/")
        self.assertEqual(page[0], 200)
        self.assertTrue(page[2]["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'"))
        self.assertEqual(page[2]["X-Content-Type-Options"], "nosniff")
        etag = self.ask("/api/v1/datasets")[2]["ETag"]
        self.assertEqual(self.ask("/api/v1/datasets", If_None_Match=etag)[0], 304)

    def raw(self, *lines):
        with socket.create_connection((self.host, self.port), timeout=10) as s:
            s.sendall("".join(line + "\r\n" for line in lines).encode())
            return b"".join(iter(lambda: s.recv(65536), b""))

    def test_what_a_proxy_may_have_understood_otherwise_is_refused_and_nothing_behind_it_is_read(self):
        self.serve()
        host, json_type = f"Host: 127.0.0.1:{self.port}", "Content-Type: application/json"
        behind = ("GET /api/v1/status HTTP/1.1", host, "Connection: close", "")
        for headers in (("Content-Length: 5", "Transfer-Encoding: chunked"), ("Content-Length: 5", "Content-Length: 0"), (host, "Content-Length: 0")):
            answer = self.raw("POST /api/v1/run HTTP/1.1", host, json_type, *headers, "", "0", "", *behind)
            self.assertTrue(answer.startswith(b"HTTP/1.1 400"), answer)
            self.assertEqual(answer.count(b"HTTP/1.1 "), 1, answer)
        answer = self.raw("GET /api/v1/pulse HTTP/1.1", host, *["Authorization: Bearer x"] * 2, "Connection: close", "")
        self.assertTrue(answer.startswith(b"HTTP/1.1 400"), answer)

    def test_who_dawdles_shuts_nobody_out(self):
        self.serve()
        slow = []
        try:
            for _ in range(500):
                s = socket.create_connection((self.host, self.port), timeout=5)
                s.sendall(b"GET / HTTP/1.1\r\nX: ")
                slow.append(s)
            worst = 0
            for _ in range(20):
                began = time.monotonic()
                self.assertEqual(self.ask("/api/v1/pulse")[0], 200)
                worst = max(worst, time.monotonic() - began)
                for s in slow:
                    try:
                        s.send(b"y")
                    except OSError:
                        pass
                time.sleep(0.1)
            self.assertLess(worst, 10)
            self.assertTrue(self.until(lambda: all(self.is_shut(s) for s in slow), 30))
            resident = int(open(f"/proc/{self.front()}/statm", encoding="ascii").read().split()[1]) * 4096
            self.assertLess(resident, 300 << 20)
        finally:
            for s in slow:
                s.close()

    @staticmethod
    def is_shut(s):
        s.settimeout(0.001)
        try:
            return s.recv(4096) == b""
        except TimeoutError:
            return False
        except OSError:
            return True

    def test_the_mount_goes_on_without_it(self):
        self.serve()
        os.kill(self.front(), signal.SIGKILL)
        self.assertTrue(self.until(lambda: not self.find()))
        self.write("mnt/Landing/good.csv", GOOD)
        self.assertTrue(self.until(lambda: os.path.exists(self.path("mnt/Trusted/good.csv"))))
        self.assertIn("is gone", self.assayfs("status", "mnt").out)

    def test_it_dies_with_the_mount(self):
        self.serve()
        front = self.front()
        os.kill(self.daemon(), signal.SIGKILL)
        self.assertTrue(self.until(lambda: not os.path.exists(f"/proc/{front}") or "Z" in open(f"/proc/{front}/stat", encoding="ascii").read().split()[2]))

    def test_its_process_has_nothing(self):
        if os.getuid() != 0:
            return
        self.serve()
        status = open(f"/proc/{self.front()}/status", encoding="ascii").read()
        self.assertIn("Seccomp:\t2", status)
        self.assertIn("CapEff:\t0000000000000000", status)
        self.assertIn("Uid:\t65534", status)
        self.assertIn("NoNewPrivs:\t1", status)


if __name__ == "__main__":
    sys.exit(HttpTests().run())
