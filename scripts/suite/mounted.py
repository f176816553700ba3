"""A fresh vault, mounted; programs that are run in it; and the end of all of that, whatever happens."""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time


class CannotRun(Exception):
    """The suite or what it needs is not here."""


class Suite:
    """run(mounted, options) yields (case, "passed" | "failed" | "skipped", words[, count])."""

    def __init__(self, run, words, built=False):
        self.run, self.words, self.built = run, words, built


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            raise CannotRun(f"{program} is missing (scripts/setup --suites)")


class Result:
    def __init__(self, status, output):
        self.status, self.output = status, output

    def last_line(self):
        lines = [line for line in self.output.strip().splitlines() if line.strip()]
        return lines[-1].strip()[:200] if lines else ""


class Mounted:
    """`with Mounted(program) as m:` — m.landing is where suites work, m.outside a folder that is no part of it."""

    def __init__(self, assayfs):
        self.assayfs = os.path.realpath(assayfs)
        if not os.access(self.assayfs, os.X_OK):
            raise CannotRun(f"{assayfs} is missing: meson setup build -Dbuildtype=release && ninja -C build")
        if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
            raise CannotRun("it takes root and /dev/fuse")
        self.groups = []
        self.links = []

    def __enter__(self):
        self.folder = os.path.realpath(tempfile.mkdtemp(prefix="assayfs-suite-"))
        os.chmod(self.folder, 0o755)
        os.environ["STATE_DIRECTORY"] = os.path.join(self.folder, "state")
        self.outside = os.path.join(self.folder, "outside")
        self.mnt = os.path.join(self.folder, "mnt")
        self.landing = os.path.join(self.mnt, "Landing")
        for folder in (self.outside, self.mnt):
            os.mkdir(folder)
        try:
            self.make_vault("vault")
            self.mount()
        except BaseException:
            self.__exit__()
            raise
        return self

    def make_vault(self, name):
        """A vault in self.folder, with its recovery key beside it: mounting by passphrase costs a second."""
        path = os.path.join(self.folder, name)
        passfile = os.path.join(self.folder, "pass")
        self.write(passfile, "suites\n")
        made = subprocess.run([self.assayfs, "init", "--passfile", passfile, "--json", path], check=True,
                              stdout=subprocess.PIPE)
        self.write(path + ".key", json.loads(made.stdout)["recovery_key"])

    @staticmethod
    def write(path, text):
        with open(path, "w", encoding="utf-8", opener=lambda p, f: os.open(p, f, 0o600)) as file:
            file.write(text)

    def mount(self):
        vault = os.path.join(self.folder, "vault")
        for _ in range(50):
            mounted = subprocess.run([self.assayfs, "mount", "--recovery-key-file", vault + ".key", "-o",
                                      "allow_other,suid,dev", vault, self.mnt], check=False,
                                     stderr=subprocess.PIPE)
            if mounted.returncode != 4:  # 4: the daemon before is still closing it
                break
            time.sleep(0.1)
        if mounted.returncode:
            raise CannotRun(mounted.stderr.decode().strip())
        os.chmod(self.landing, 0o777)

    def unmount(self):
        subprocess.run(["umount", self.mnt], check=True)

    def kill_daemon(self):
        """As a power cut of the daemon: its memory is gone. Mounted again."""
        for pid in self.daemons():
            os.kill(pid, signal.SIGKILL)
        subprocess.run(["umount", "-f", "-l", self.mnt], check=False)
        self.mount()

    def daemons(self):
        """Processes of the vaults in our folder."""
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
            except OSError:
                continue
            if b"mount" in words and any(word.startswith(self.folder.encode()) for word in words):
                yield int(pid)

    def run(self, command, seconds=None, cwd=None, user=None, env=None):
        """A command in a process group of its own, with its output; -1 and its end when it takes too long."""
        with tempfile.TemporaryFile(dir=self.outside) as output:
            process = subprocess.Popen(command, cwd=cwd or self.landing, stdin=subprocess.DEVNULL, stdout=output,
                                       stderr=subprocess.STDOUT, start_new_session=True, user=user,
                                       env={**os.environ, **(env or {})})
            self.groups.append(process.pid)
            try:
                status = process.wait(seconds)
            except subprocess.TimeoutExpired:
                status = -1
            self.end_group(process.pid)
            self.wait_for(process)
            output.seek(0)
            return Result(status, output.read().decode("utf-8", "replace"))

    def wait_for(self, process):
        """Of one that was killed. If the mount does not answer it, not even that ends it: the connection is aborted."""
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            for point in self.mounts():
                subprocess.run(["umount", "-f", "-l", point], check=False)
            process.wait(10)

    def end_group(self, group):
        if group in self.groups:
            self.groups.remove(group)
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def folder_for(self, name):
        """A fresh folder in Landing/."""
        path = os.path.join(self.landing, name)
        os.makedirs(path)
        os.chmod(path, 0o777)
        return path

    def link(self, target, path):
        """A link that goes with the suite."""
        if os.path.realpath(path) == os.path.realpath(target):
            return  # somebody's own
        if os.path.lexists(path):
            raise CannotRun(f"{path} is something else")
        os.symlink(target, path)
        self.links.append(path)

    def mounts(self):
        with open("/proc/self/mountinfo", encoding="utf-8") as table:
            return [line.split()[4] for line in table if line.split()[4].startswith(self.folder + "/")]

    def __exit__(self, *_):
        for group in list(self.groups):
            self.end_group(group)
        for path in self.links:
            if os.path.islink(path):
                os.unlink(path)
        for point in reversed(self.mounts()):
            if subprocess.run(["umount", point], stderr=subprocess.DEVNULL, check=False).returncode:
                subprocess.run(["umount", "-f", "-l", point], check=False)
        for _ in range(100):
            left = list(self.daemons())
            if not left:
                break
            time.sleep(0.1)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)
