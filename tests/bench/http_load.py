"""scripts/bench http: what the HTTP address costs the mount, under wrk and under clients that never end their request."""
import contextlib
import http.client
import json
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import time

from filesystems import Failed, run

SLOW, SECONDS, GOAL = 500, 10, 10.0
LOADS = ("none", "wrk", "slow", "both")


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
def loaded(served, load):
    """wrk has what nothing else wants of the machine, as a client elsewhere would not have any of it."""
    slow = [socket.create_connection((served.host, served.port)) for _ in range(SLOW)] if load in ("slow", "both") else []
    for connection in slow:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: ")
    url = f"http://{served.host}:{served.port}/api/v1/status"
    wrk = subprocess.Popen(["nice", "-n", "19", "wrk", "-t1", "-c64", f"-d{SECONDS + 5}s", url],
                           stdout=subprocess.DEVNULL) if load in ("wrk", "both") else None
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


def measure_http(options, build):
    mebibytes, files = (16, 200) if options.quick else (256, 3000)
    rates, latencies, memory = {load: [] for load in LOADS}, {load: [] for load in LOADS}, (0, 0)
    served = Served(os.path.join(build, "fs", "assayfs"), options.dir)
    try:
        work(served, mebibytes, files)  # warm
        for _ in range(1 if options.quick else max(options.rounds, 5)):
            for load in LOADS:
                with loaded(served, load):
                    rates[load].append(work(served, mebibytes, files))
                    latencies[load].append(max(served.honest() for _ in range(5)))
                    memory = tuple(map(max, memory, served.resident_kb()))
    finally:
        served.close()
    medians = {load: [statistics.median(column) for column in zip(*rates[load])] for load in LOADS}
    words = {"none": "nothing", "wrk": "wrk, 64 connections", "slow": f"{SLOW} that never end their request", "both": "both"}
    lines = [f"medians of {len(rates['none'])} rounds, loads in turn; wrk at the lowest priority", "",
             "| load on the address | written and read, MiB/s | | files made a second | | slowest honest answer, ms |",
             "| --- | --- | --- | --- | --- | --- |"]
    for load in LOADS:
        cells = [f"{value:,.0f} | {100 * (value / base - 1):+.1f}%" for value, base in zip(medians[load], medians["none"])]
        lines.append(f"| {words[load]} | {' | '.join(cells)} | {max(latencies[load]):.0f} |")
    drop = max(100 * (1 - value / base) for load in LOADS for value, base in zip(medians[load], medians["none"]))
    lines += ["", f"greatest drop {drop:.1f}% (goal: below {GOAL:.0f}%: {'met' if drop < GOAL else 'missed'}); "
                  f"resident at most: daemon {memory[0] >> 10} MiB, front {memory[1] >> 10} MiB"]
    return "\n".join(lines)
