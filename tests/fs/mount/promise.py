"""What the tests of the promises share: a vault of one's own with the real command, undone whatever happens.

usage of each test: TEST.py ASSAYFS SOURCE
"""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
import ended  # noqa: E402,F401  (what it does when imported)
import program  # noqa: E402

ASSAYFS = program.for_everybody(sys.argv[1])
KEY_USES = ("key-decrypt", "key-generate-data-key")
DYING_S = 30  # what a killed process takes at most; some milliseconds on an idle machine
CHEAP = ["--argon-mem", "1024", "--argon-ops", "1"]
PASSPHRASE = "correct horse battery staple"
# One dataset that is judged soon after it arrives; its rules are in jobs.dqdl.
JOBS_POLICY = """version: 1
datasets:
  - name: jobs
    match: "jobs/*.csv"
    settle: 100ms
    rules: jobs.dqdl
workflows:
  - {name: on-arrival, dataset: jobs, from: Landing, to: Trusted, on: close}
"""


def skip(words):
    print(f"skipped: {words}")
    sys.exit(77)


def seed(name):
    """The run's seed, from the environment or new; printed, so that a failure can be had again."""
    value = int(os.environ.get("ASSAYFS_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"{name}: ASSAYFS_SEED={value}", flush=True)
    return random.Random(value)


def count(variable, default):
    return int(os.environ.get(variable, default))


def is_mounted(path):
    """From the table, since os.path.ismount says no of a mount whose process died."""
    with open("/proc/self/mountinfo", encoding="utf-8") as table:
        return f" {path} " in table.read()


def is_gone(pid):
    """Ended with all its threads, even if nobody has asked for its exit status yet."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] in "ZX" and len(os.listdir(f"/proc/{pid}/task")) == 1
    except OSError:
        return True


def wait_gone(pid):
    """False: some thread of it can't end."""
    deadline = time.monotonic() + DYING_S
    while not is_gone(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


class Vault:
    """A vault in a temporary directory: `with Vault() as v:`. v.vault, v.mnt, v.path(name)."""

    def __init__(self, *init_options, inside=None):
        if not os.path.exists("/dev/fuse"):
            skip("/dev/fuse is missing")
        self.directory = os.path.realpath(tempfile.mkdtemp(prefix="assayfs-promise-"))
        os.environ["STATE_DIRECTORY"] = os.path.join(self.directory, "state")
        os.chmod(self.directory, 0o755)
        self.vault = os.path.join(inside, "vault") if inside else self.path("vault")
        self.mnt = self.path("mnt")
        self.passfile = self.path("pass")
        self.init_options = init_options
        self.faults = []
        self.pid = 0

    def __enter__(self):
        try:
            os.mkdir(self.mnt)
            with open(self.passfile, "w", encoding="utf-8", opener=lambda p, f: os.open(p, f, 0o600)) as file:
                file.write(PASSPHRASE + "\n")
            self.run("init", *CHEAP, *self.init_options, "--passfile", self.passfile, self.vault)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if is_mounted(self.mnt):
            subprocess.run(["umount", "-l", self.mnt], check=False)
            if self.pid:
                for _ in range(200):
                    if is_gone(self.pid):
                        break
                    time.sleep(0.05)
                else:
                    os.kill(self.pid, signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.directory, name)

    def landing(self, name=""):
        return os.path.join(self.mnt, "Landing", name)

    def fault(self, words):
        self.faults.append(words)
        print(f"FAILED: {words}", flush=True)

    def check(self, condition, words):
        if not condition:
            self.fault(words)
        return bool(condition)

    def run(self, *arguments, code=0, **options):
        """Runs the command; an exit code other than `code` (None: any) ends the test."""
        options.setdefault("timeout", 300)
        options.setdefault("cwd", self.directory)
        done = subprocess.run([ASSAYFS, *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=False, **options)
        if code is not None and done.returncode != code:
            raise RuntimeError(f"assayfs {' '.join(arguments)}: exit {done.returncode}, not {code}: "
                               f"{done.stderr.decode(errors='replace').strip()} "
                               f"{done.stdout.decode(errors='replace').strip()[:2000]}")
        return done

    def mount(self, *options, **how):
        self.run("mount", *options, "--passfile", self.passfile, self.vault, self.mnt, **how)
        self.pid = json.loads(self.run("status", "--json", self.mnt).stdout)["pid"]

    def forget(self):
        """What is kept outside of the vault: a copy of it that was put in its place is mounted as by another machine."""
        shutil.rmtree(self.path("state"), ignore_errors=True)

    def umount(self):
        self.run("umount", self.mnt)
        self.pid = 0

    def kill(self):
        """kill -9 of the daemon, and the dead mount cleared away."""
        os.kill(self.pid, signal.SIGKILL)
        if not self.check(wait_gone(self.pid), f"the killed process {self.pid} can't end"):
            self.run("umount", "--force", self.mnt, code=None)
        subprocess.run(["umount", "-l", self.mnt], check=not self.faults)
        self.pid = 0

    def records(self, *options, every=False):
        """Those that were asked for by name; else all but the uses of keys, which come at once or within the hour."""
        lines = self.run("log", "--format", "json", *options, self.mnt).stdout.splitlines()
        records = [json.loads(line) for line in lines]
        return [r for r in records if every or "--event" in options or r["event"] not in KEY_USES]

    def fsck(self, words="fsck"):
        done = self.run("fsck", "--json", "--passfile", self.passfile, self.vault, code=None)
        self.check(done.returncode == 0, f"{words}: exit {done.returncode}: {done.stderr.decode().strip()} "
                                         f"{done.stdout.decode()[:3000]}")
        return done

    def policy(self, text, options=(), **files):
        directory = self.path("policy")
        os.makedirs(directory, exist_ok=True)
        for name, content in {"policy.yaml": text, **files}.items():
            with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
                file.write(content)
        self.run("policy", "apply", *options, directory, self.mnt)

    def end(self):
        """The test's last word: its exit code."""
        print(f"{len(self.faults)} failed")
        return 1 if self.faults else 0
