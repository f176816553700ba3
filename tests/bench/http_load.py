"""scripts/bench http: what the HTTP address costs the mount, under wrk and under clients that never end their request."""
import contextlib
import http.client
import json
import os
import random
import selectors
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time

from filesystems import Failed, run

SLOW, SECONDS, GOAL = 500, 10, 10.0
LOADS = ("wrk", "slow", "both", "other")


def answer_all(listener):
    """As little as a server can do: the same answer to whatever comes."""
    body = b"x" * 2048
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                selector.register(listener.accept()[0], selectors.EVENT_READ)
                continue
            with contextlib.suppress(OSError):
                if key.fileobj.recv(65536):
                    key.fileobj.sendall(answer)
                    continue
            selector.unregister(key.fileobj)
            key.fileobj.close()


class Other:
    """A server that has nothing to do with the mount: what wrk and any server cost it on this machine."""

    def __init__(self):
        with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
            self.port = listener.getsockname()[1]
            self.pid = os.fork()
            if self.pid == 0:
                try:
                    answer_all(listener)
                finally:
                    os._exit(1)

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


class Served:
    """A vault of its own, mounted with an HTTP address."""

    def __init__(self, program, folder):
        self.program, self.place = program, tempfile.mkdtemp(prefix="assayfs-bench-http-", dir=folder)
        self.mnt = os.path.join(self.place, "mnt")
        os.environ["STATE_DIRECTORY"] = os.path.join(self.place, "state")
        for name in ("mnt", "state"):
            os.mkdir(os.path.join(self.place, name))
        with open(os.path.join(self.place, "pass"), "w", encoding="ascii", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write("bench\n")
        self.vault, secret = os.path.join(self.place, "v"), ("--passfile", os.path.join(self.place, "pass"))
        run(program, "init", *secret, "--argon-mem", "8", "--argon-ops", "1", self.vault)
        run(program, "mount", *secret, "--http", "127.0.0.1:0", self.vault, self.mnt)
        about = json.loads(run(program, "status", "--json", self.mnt))
        self.host, _, port = about["http"]["address"].rpartition(":")
        self.port, self.daemon = int(port), about["pid"]

    def close(self):
        subprocess.run([self.program, "umount", self.mnt], check=False, capture_output=True, timeout=120)
        shutil.rmtree(self.place, ignore_errors=True)

    def resident_kb(self):
        """Of the daemon and those that it forked, the greatest."""
        with open(f"/proc/{self.daemon}/task/{self.daemon}/children", encoding="ascii") as file:
            pids = [self.daemon, *file.read().split()]
        figures = []
        for pid in pids:
            with open(f"/proc/{pid}/status", encoding="ascii") as file:
                figures.append(next(int(line.split()[1]) for line in file if line.startswith("VmRSS:")))
        return figures[0], max(figures[1:], default=0)

    def honest(self):
        """Milliseconds of one request that is meant."""
        began = time.monotonic()
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
        connection.close()
        if status != 200:
            raise Failed(f"/healthz answers {status}")
        return 1000 * (time.monotonic() - began)


@contextlib.contextmanager
def loaded(served, load, other):
    """wrk has what nothing else wants of the machine, as a client elsewhere would not have any of it."""
    slow = [socket.create_connection((served.host, served.port)) for _ in range(SLOW)] if load in ("slow", "both") else []
    for connection in slow:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: ")
    url = f"http://127.0.0.1:{other.port}/" if load == "other" else f"http://{served.host}:{served.port}/api/v1/status"
    wrk = subprocess.Popen(["nice", "-n", "19", "wrk", "-t1", "-c64", f"-d{SECONDS + 5}s", url],
                           stdout=subprocess.DEVNULL) if load in ("wrk", "both", "other") else None
    try:
        yield
    finally:
        if wrk:
            wrk.terminate()
            wrk.wait()
        for connection in slow:
            connection.close()


def work(served, mebibytes, files):
    """Mebibytes a second written with a sync and read again, and files made a second."""
    path, block = os.path.join(served.mnt, "Landing", "big.bin"), os.urandom(1 << 20)
    began = time.monotonic()
    with open(path, "wb", buffering=0) as file:
        for _ in range(mebibytes):
            file.write(block)
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 20):
            pass
    moved = 2 * mebibytes / (time.monotonic() - began)
    folder = tempfile.mkdtemp(dir=os.path.join(served.mnt, "Landing"))
    began = time.monotonic()
    for i in range(files):
        os.close(os.open(os.path.join(folder, str(i)), os.O_CREAT | os.O_WRONLY, 0o600))
    made = files / (time.monotonic() - began)
    os.unlink(path)
    return moved, made


def measure_pair(place, load, other, begins, sizes):
    """What nothing and the load give one after the other, in a vault of their own: what was removed before costs later."""
    served = Served(*place)
    try:
        work(served, sizes[0] // 4, sizes[1] // 4)  # warm
        got, worst = {}, 0
        for what in (None, load) if begins else (load, None):
            with loaded(served, what, other):
                got[what] = work(served, *sizes)
                if what:
                    worst = max(served.honest() for _ in range(5))
        return got[None], got[load], worst, served.resident_kb()
    finally:
        served.close()


def measure_http(options, build):
    sizes = (16, 200) if options.quick else (256, 3000)
    rounds = 1 if options.quick else max(options.rounds, 35)  # with 9 the files made differ by a tenth from run to run
    pairs, memory, order = {load: [] for load in LOADS}, (0, 0), random.Random(1)
    # In memory: what a disk does by itself differs by more than what is measured here.
    place, other = (os.path.join(build, "fs", "assayfs"), options.tmpfs), Other()
    try:
        for number in range(rounds):
            for load in order.sample(LOADS, len(LOADS)):
                without, with_load, worst, resident = measure_pair(place, load, other, number % 2, sizes)
                pairs[load].append((without, with_load, worst))
                memory = tuple(map(max, memory, resident))
    finally:
        other.close()
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"pairs": pairs, "resident_kb": memory}, file)
    return table(pairs, memory)


def table(pairs, memory):
    words = {"wrk": "wrk, 64 connections", "slow": f"{SLOW} that never end their request", "both": "both",
             "other": "the same wrk at another, trivial server"}
    lines = [f"medians of {len(pairs['wrk'])} pairs: without, with, in a vault of their own; in memory; wrk at the lowest priority", "",
             "| load on the address | written and read, MiB/s | | files made a second | | slowest honest answer, ms |",
             "| --- | --- | --- | --- | --- | --- |"]
    changes, idle = {}, [without for got in pairs.values() for without, _, _ in got]
    lines.append("| nothing | " + " | ".join(f"{statistics.median(column):,.0f} |" for column in zip(*idle)) + " |")
    for load, got in pairs.items():
        cells = []
        for column in (0, 1):
            ratio = statistics.median(with_load[column] / without[column] for without, with_load, _ in got)
            changes[load, column] = 100 * (ratio - 1)
            cells.append(f"{statistics.median(with_load[column] for _, with_load, _ in got):,.0f} | {changes[load, column]:+.1f}%")
        lines.append(f"| {words[load]} | {' | '.join(cells)} | {max(worst for _, _, worst in got):.0f} |")
    drop = -min(changes[load, column] for load in ("wrk", "slow", "both") for column in (0, 1))
    return "\n".join([*lines, "", f"greatest drop {drop:.1f}% (goal: below {GOAL:.0f}%: {'met' if drop < GOAL else 'missed'}); "
                                  f"resident at most: daemon {memory[0] >> 10} MiB, front {memory[1] >> 10} MiB"])
