"""The file systems that scripts/bench compares, each in a folder of its own."""
import os
import shutil
import subprocess
import time

MOUNT_SECONDS = 60


class Failed(Exception):
    """A workload or a tool did not do what it was asked."""


def run(*words, **options):
    """Runs a program; its words are told when it fails. Returns what it printed."""
    done = subprocess.run([str(w) for w in words], stdin=subprocess.DEVNULL, capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise Failed(f"{' '.join(str(w) for w in words)}: exit {done.returncode}: {done.stderr.strip()[-400:]}")
    return done.stdout


def timed(*words):
    """Seconds that a program runs; what it prints goes nowhere."""
    start = time.perf_counter()
    done = subprocess.run([str(w) for w in words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    seconds = time.perf_counter() - start
    if done.returncode != 0:
        raise Failed(f"{' '.join(str(w) for w in words)}: exit {done.returncode}: {done.stderr.decode()[-400:]}")
    return seconds


def drop_caches(names_alone=False):
    """Of the whole machine. `names_alone`: what files hold stays."""
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
        file.write("2" if names_alone else "3")


def disk_bytes(folder):
    return int(run("du", "-s", "--block-size=1", folder).split()[0])


def wait_until_idle(process):
    """Until a daemon has done what it still had to (inodes to forget, commits), 3 s at most."""
    before, until = None, time.monotonic() + 3
    while time.monotonic() < until:
        with open(f"/proc/{process}/stat", encoding="utf-8") as file:
            ticks = file.read().rpartition(")")[2].split()[11:13]
        if ticks == before:
            return
        before = ticks
        time.sleep(0.1)


class FileSystem:
    """One of those that are compared, in a folder of its own; by itself, the plain folder."""

    name = "native"

    def __init__(self, folder, build):
        self.folder, self.build = folder, build
        self.store, self.top = os.path.join(folder, "store"), os.path.join(folder, "mnt")
        self.passfile = os.path.join(folder, "pass")
        self.daemon = None
        os.makedirs(self.top)
        os.makedirs(self.store)
        with open(self.passfile, "w", encoding="ascii") as file:
            file.write("bench\n")

    @property
    def work(self):
        """Where workloads write."""
        return self.store

    def make(self):
        """Makes what is then mounted."""

    def command(self):
        """Mounts in the foreground; None: there is nothing to mount."""
        return None

    def mount(self):
        command = self.command()
        if not command:
            return
        log = os.path.join(self.folder, "log")
        with open(log, "ab") as output:
            self.daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        until = time.monotonic() + MOUNT_SECONDS
        while not os.path.ismount(self.top):
            if self.daemon.poll() is not None or time.monotonic() > until:
                with open(log, encoding="utf-8", errors="replace") as file:
                    raise Failed(f"{self.name} does not mount: {file.read()[-400:]}")
            time.sleep(0.005)

    def unmount(self):
        if not self.daemon:
            return
        for _ in range(50):
            if subprocess.run(["umount", self.top], stderr=subprocess.DEVNULL).returncode == 0:
                break
            time.sleep(0.1)
        else:
            subprocess.run(["umount", "-l", self.top], check=False)
        try:
            self.daemon.wait(120)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()
        self.daemon = None

    def make_cold(self):
        self.unmount()
        drop_caches()
        self.mount()

    def sync(self):
        """All that was written is on disk."""
        os.sync()

    def settle(self):
        """Nothing that was done before is still under way."""
        os.sync()
        if self.daemon:
            wait_until_idle(self.daemon.pid)

    def begin_memory(self):
        """From here on peak_memory counts."""
        if self.daemon:
            with open(f"/proc/{self.daemon.pid}/clear_refs", "w", encoding="ascii") as file:
                file.write("5")

    def peak_memory(self):
        """MiB that the daemon had in memory at most; 0 without a daemon."""
        if not self.daemon:
            return 0
        with open(f"/proc/{self.daemon.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024

    def processor_seconds(self):
        """What the daemon has used of the processors so far. The clock's number is clock_getcpuclockid's."""
        return time.clock_gettime((~self.daemon.pid << 3) | 2) if self.daemon else 0.0

    def close(self):
        self.unmount()
        shutil.rmtree(self.folder, ignore_errors=True)


class Nothing(FileSystem):
    """tests/fs/nullfs.c: it forgets all at its end, so its caches alone are made cold."""

    name = "nothing"

    @property
    def work(self):
        return self.top

    def command(self):
        return [os.path.join(self.build, "tests/fs/nullfs"), "-o", "allow_other", self.top]

    def make_cold(self):
        drop_caches()


class Gocryptfs(FileSystem):
    name = "gocryptfs"

    @property
    def work(self):
        return self.top

    def make(self):
        run("gocryptfs", "-init", "-q", "-scryptn", 10, "-passfile", self.passfile, self.store)

    def command(self):
        return ["gocryptfs", "-fg", "-q", "-allow_other", "-passfile", self.passfile, self.store, self.top]


class Securefs(FileSystem):
    name = "securefs"

    @property
    def work(self):
        return self.top

    def make(self):
        run("securefs", "create", "--pass", "bench", "--pbkdf", "pkcs5-pbkdf2-hmac-sha256", "-r", 1, self.store)

    def command(self):
        return ["securefs", "mount", "--pass", "bench", "-o", "allow_other", self.store, self.top]


class Assayfs(FileSystem):
    """As a user has it: audit, versions, and the gate with a policy in force."""

    name = "assayfs"
    program = "fs/assayfs"
    argon = ["--argon-mem", "8192", "--argon-ops", "1"]

    @property
    def work(self):
        return os.path.join(self.top, "Landing")

    def assayfs(self, *words):
        return run(os.path.join(self.build, self.program), *words)

    def make(self):
        os.environ["STATE_DIRECTORY"] = os.path.join(self.folder, "state")
        os.rmdir(self.store)
        self.assayfs("init", "--passfile", self.passfile, "--no-recovery-key", *self.argon, self.store)
        policy = os.path.join(self.folder, "policy")
        os.makedirs(policy)
        with open(os.path.join(policy, "policy.yaml"), "w", encoding="ascii") as file:
            file.write('version: 1\ndatasets:\n  - name: arrivals\n    match: "arrivals/**/*.csv"\n    rules: arrivals.dqdl\n')
        with open(os.path.join(policy, "arrivals.dqdl"), "w", encoding="ascii") as file:
            file.write("Rules = [ RowCount > 0 ]\n")
        self.mount()
        self.assayfs("policy", "apply", policy, self.top)
        self.unmount()

    def command(self):
        return [os.path.join(self.build, self.program), "mount", "-f", "-o", "allow_other", "--passfile", self.passfile,
                self.store, self.top]

    def sync(self):
        self.assayfs("sync", self.top)
        os.sync()


class WithoutAudit(Assayfs):
    """tests/fs/without_audit.c: what the records cost."""

    name = "no-audit"
    program = "tests/fs/assayfs_without_audit"


KINDS = {kind.name: kind for kind in (FileSystem, Nothing, Gocryptfs, Securefs, Assayfs, WithoutAudit)}
PEERS = list(KINDS)
