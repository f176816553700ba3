"""Databases in the mount: what they wrote, after they or the daemon were killed."""
import os
import signal
import sqlite3
import subprocess
import time

from .mounted import CannotRun, Suite, need
from .programs import PROCESSES, in_parallel, outcome

# ---- SQLite ----

JOURNALS = ("delete", "truncate", "persist", "wal")
ROWS = 200


def insert_rows(number, path):
    base = sqlite3.connect(path, timeout=60, isolation_level=None)
    for row in range(ROWS):
        base.execute("BEGIN IMMEDIATE")
        base.execute("INSERT INTO t (writer, number, text) VALUES (?, ?, ?)", (number, row, "x" * (row * 13 % 3000)))
        base.execute("UPDATE total SET count = count + 1")
        base.execute("COMMIT")
    base.close()


def integrity(path):
    """The words of integrity_check, and the count that must agree with the rows."""
    base = sqlite3.connect(path)
    words = base.execute("PRAGMA integrity_check").fetchone()[0]
    rows, total = base.execute("SELECT (SELECT count(*) FROM t), (SELECT count FROM total)").fetchone()
    base.close()
    return words, rows, total


def sqlite(mounted, options):
    """Several writers in each journal mode, then the daemon is killed: what was committed is there."""
    folder = mounted.folder_for("sqlite")
    chosen = [journal for journal in JOURNALS if options.fits(journal)]
    for journal in chosen:
        path = os.path.join(folder, journal)
        base = sqlite3.connect(path)
        base.execute(f"PRAGMA journal_mode = {journal}")
        base.executescript("CREATE TABLE t (writer, number, text); CREATE INDEX i ON t (text, number);"
                           "CREATE TABLE total (count); INSERT INTO total VALUES (0)")
        base.close()
        good = in_parallel(insert_rows, path)
        found = integrity(path)
        want = ("ok", PROCESSES * ROWS, PROCESSES * ROWS)
        yield journal, "passed" if good and found == want else "failed", str(found)
    mounted.kill_daemon()
    for journal in chosen:
        found = integrity(os.path.join(folder, journal))
        yield f"{journal}-killed", "passed" if found == want else "failed", str(found)


# ---- PostgreSQL ----

SUMS = ("SELECT (SELECT coalesce(sum(delta), 0) FROM pgbench_history) = (SELECT sum(abalance) FROM pgbench_accounts)"
        " AND (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(bbalance) FROM pgbench_branches)"
        " AND (SELECT sum(bbalance) FROM pgbench_branches) = (SELECT sum(tbalance) FROM pgbench_tellers)")


class Server:
    """PostgreSQL with its data in the mount and its socket outside of it."""

    def __init__(self, mounted):
        versions = sorted(os.listdir("/usr/lib/postgresql")) if os.path.isdir("/usr/lib/postgresql") else []
        if not versions:
            raise CannotRun("postgresql is missing (scripts/setup --suites)")
        self.mounted = mounted
        self.programs = f"/usr/lib/postgresql/{versions[-1]}/bin"
        self.data = os.path.join(mounted.folder_for("postgresql"), "data")
        self.socket = os.path.join(mounted.outside, "socket")
        os.mkdir(self.socket)
        os.chmod(self.socket, 0o777)
        os.chmod(mounted.outside, 0o755)
        self.process = None

    def run(self, program, *words, seconds=300):
        return self.mounted.run([os.path.join(self.programs, program), *words], seconds, cwd="/", user="postgres")

    def client(self, program, *words, seconds=300):
        return self.run(program, "-h", self.socket, *words, seconds=seconds)

    def start(self):
        self.process = subprocess.Popen(
            [os.path.join(self.programs, "postgres"), "-D", self.data, "-k", self.socket, "-c", "listen_addresses="],
            user="postgres", cwd="/", start_new_session=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.mounted.groups.append(self.process.pid)
        for _ in range(300):
            if self.client("psql", "-d", "postgres", "-c", "SELECT 1").status == 0:
                return True
            if self.process.poll() is not None:
                return False
            time.sleep(0.2)
        return False

    def kill(self):
        """All of its processes at once, as a crash of the machine would."""
        self.mounted.end_group(self.process.pid)
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
        self.mounted.end_group(self.process.pid)

    def load(self, seconds):
        """pgbench in the background."""
        return subprocess.Popen([os.path.join(self.programs, "pgbench"), "-h", self.socket, "-n", "-c", "4", "-T",
                                 str(seconds), "postgres"], user="postgres", cwd="/", stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)

    def check(self):
        """Tables and indexes are sound, and money was neither made nor lost."""
        sound = self.client("pg_amcheck", "--heapallindexed", "--install-missing", "-d", "postgres")
        if sound.status:
            return outcome(sound)
        sums = self.client("psql", "-d", "postgres", "-tAc", SUMS)
        return "passed" if sums.output.strip() == "t" else "failed", sums.last_line()


def postgresql(mounted, options):
    need("psql")
    server = Server(mounted)
    made = server.run("initdb", "-k", "-A", "trust", "-D", server.data, seconds=600)
    yield "initdb", *outcome(made)
    if made.status or not server.start():
        yield "start", "failed", "no answer"
        return
    yield "fill", *outcome(server.client("pgbench", "-q", "-i", "-s", "5", "postgres"))
    bench = server.client("pgbench", "-n", "-c", "4", "-T", str(options.seconds), "postgres",
                          seconds=options.seconds + 120)
    rate = next((line for line in bench.output.splitlines() if line.startswith("tps")), bench.last_line())
    yield "pgbench", outcome(bench)[0], rate
    yield "check", *server.check()
    yield from killed(server, "server", lambda: None)
    yield from killed(server, "daemon", mounted.kill_daemon)
    server.stop()


def killed(server, case, also):
    load = server.load(60)
    time.sleep(5)
    if case == "daemon":
        also()
    server.kill()
    load.kill()
    load.wait()
    if not server.start():
        yield f"{case}-killed", "failed", "it does not start again"
        return
    yield f"{case}-killed", *server.check()


SUITES = {
    "sqlite": Suite(sqlite, "four writers in each journal mode, and the daemon killed"),
    "postgresql": Suite(postgresql, "initdb, pgbench, server and daemon killed, pg_amcheck"),
}
