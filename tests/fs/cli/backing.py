"""What the tests of backups share: a mount with targets, whether these are directories or buckets."""
import json
import os
import shutil
import signal
import subprocess
import time

from cli import ASSAYFS, Tests

CHEAP = ["--argon-mem", "1024", "--argon-ops", "1"]


class BackupTests(Tests):
    """`v` mounted on `mnt`. `environment`: of the mount and of each command, as the credentials of a server."""
    environment = {}

    def assayfs(self, *arguments, **options):
        options.setdefault("env", {**os.environ, **self.environment})
        return super().assayfs(*arguments, **options)

    def mounted(self, *options):
        self.mnt = self.path("mnt")
        self.write("pass", "correct horse\n")
        self.assayfs("init", *CHEAP, "--passfile", "pass", "v")
        os.makedirs(self.mnt)
        self.mount(*options)

    def mount(self, *options):
        self.assayfs("mount", *options, "--passfile", "pass", "v", "mnt")

    def clean_up(self):
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            mounted = f" {self.path('mnt')} " in file.read()
        if mounted:
            self.unmount(self.path("mnt"))

    def put(self, name, content):
        path = os.path.join(self.mnt, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        return path

    def get(self, name):
        with open(os.path.join(self.mnt, name), "rb") as file:
            return file.read()

    # ---- targets ----

    def place(self, name="place"):
        """A directory beside the vault: (its path, its URL)."""
        return self.path(name), "file://" + self.path(name)

    def add(self, url, *options, code=0):
        return self.assayfs("backup", "add", *options, url, "mnt", code=code)

    def targets(self, code=0):
        return self.json("backup", "status", "--json", "mnt", code=code).get("targets", [])

    def target(self, url, code=None):
        return next((target for target in self.targets(code=code) if target["url"] == url), None)

    def until(self, url, wanted, words, seconds=60):
        """Looks until `wanted` says yes to the target, which is returned."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.target(url)
            if found and wanted(found):
                return found
            if time.monotonic() > deadline:
                self.faults.append(f"{words} after {seconds} s: {found}")
                return found or {}
            time.sleep(0.2)

    def is_whole(self, url):
        """All that was written by now is there."""
        self.assayfs("backup", "sync", "--timeout", "100", url, "mnt")
        # The log's head may be signed a moment later, which is a commit.
        return self.until(url, lambda t: (t["pending"], t["failed"], t["lag_seconds"]) == (0, 0, 0), "not all is there", 20)

    def verify(self, *arguments, code=0):
        return self.json("backup", "verify", "--json", *arguments, "mnt", code=code)

    def records(self, *options):
        return [json.loads(line) for line in self.assayfs("log", "--json", *options, "mnt").out.splitlines()]

    def begin(self, *arguments):
        """The command, which goes on."""
        return subprocess.Popen([ASSAYFS, *arguments], cwd=self.directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, env={**os.environ, **self.environment})


def objects(place):
    """{name: size} of what a directory holds as a target."""
    return {os.path.relpath(os.path.join(folder, name), place): os.path.getsize(os.path.join(folder, name))
            for folder, _, names in os.walk(place) for name in names}


def replication(path):
    """What the file says of itself; None: no rule takes it."""
    try:
        return os.getxattr(path, "user.assayfs.replication")
    except OSError:
        return None


def flip(path, at=None):
    """One bit."""
    size = os.path.getsize(path)
    with open(path, "r+b") as file:
        file.seek(size // 2 if at is None else at)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))


class LosingTests(BackupTests):
    """Of a machine that is lost: the mount is killed at once, and nothing stays of vault and state directory."""
    daemon = None

    def mount(self, *options):
        """In the foreground, to be killed."""
        self.daemon = subprocess.Popen([ASSAYFS, "mount", *options, "--passfile", "pass", "v", "mnt"], cwd=self.directory,
                                       env={**os.environ, **self.environment},
                                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            if os.path.ismount(self.mnt):
                return
            time.sleep(0.05)
        self.faults.append("no mount after 10 s")

    def end(self):
        self.assayfs("umount", "mnt")
        self.daemon.wait()

    def lose(self):
        """What Landing had is in `was`."""
        shutil.copytree(f"{self.mnt}/Landing", self.path("was"))
        self.daemon.send_signal(signal.SIGKILL)
        self.daemon.wait()
        self.assayfs("umount", "mnt", code=None)
        shutil.rmtree(self.path("v"))
        shutil.rmtree(self.path("state"), ignore_errors=True)
