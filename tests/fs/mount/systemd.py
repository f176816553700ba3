#!/usr/bin/env python3
"""assayfs@.service and a line of /etc/fstab under a real systemd: the host's own, as PID 1 of a container on the host's /usr.

usage: systemd.py ASSAYFS SOURCE

The container (systemd-nspawn --volatile=yes) has an empty root in memory, no network, and what `meson install` installs in an
overlay on /usr; its vaults lie in a directory of the test, which is looked at again when the container has shut down.
Needs root and systemd-container (`scripts/setup --services` installs it); says skipped without.
"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))


def why_not():
    if os.getuid() != 0:
        return "needs root, to start a container"
    if not shutil.which("systemd-nspawn"):
        return "systemd-nspawn is not installed (scripts/setup --services)"
    if not os.path.exists("/dev/fuse"):
        return "/dev/fuse is missing"
    return None


if why_not():
    print(f"skipped: {why_not()}")
    sys.exit(77)

from cli import ASSAYFS, SOURCE, Tests  # noqa: E402

BOOTED = ("running", "degraded", "starting")
MESSAGES = dict(re.findall(r'X\((\w+), "(\w+)"', open(os.path.join(SOURCE, "fs/log.h"), encoding="utf-8").read()))


class SystemdTests(Tests):
    """One container, whose story the one test tells in order."""

    nspawn = None

    def boot(self):
        usr, vaults = self.path("usr"), self.path("srv")
        for folder in "bin", "sbin", "lib/systemd/system", "lib/systemd/catalog", "lib/tmpfiles.d":
            os.makedirs(os.path.join(usr, folder))
        os.makedirs(vaults, exist_ok=True)
        os.chmod(self.directory, 0o755)
        # What `meson install` puts there; the build's own tree may be of another prefix.
        shutil.copy(ASSAYFS, os.path.join(usr, "bin/assayfs"))
        for name in "mount.fuse.assayfs", "umount.fuse.assayfs":
            shutil.copy(os.path.join(SOURCE, "scripts/mount.fuse.assayfs"), os.path.join(usr, "sbin", name))
        unit = open(os.path.join(SOURCE, "scripts/systemd/assayfs@.service.in"), encoding="utf-8").read()
        self.write("usr/lib/systemd/system/assayfs@.service", unit.replace("@bindir@", "/usr/bin"), mode=0o644)
        shutil.copy(os.path.join(SOURCE, "scripts/systemd/assayfs.catalog"), os.path.join(usr, "lib/systemd/catalog/assayfs.catalog"))
        shutil.copy(os.path.join(SOURCE, "scripts/systemd/assayfs.tmpfiles"), os.path.join(usr, "lib/tmpfiles.d/assayfs.conf"))
        self.console = open(self.path("console"), "wb")
        self.nspawn = subprocess.Popen(
            ["systemd-nspawn", "-D", "/", "--volatile=yes", "--private-network", "--register=no", "--keep-unit", "--bind=/dev/fuse", "--capability=CAP_IPC_LOCK",
             f"--machine=assayfs-{os.getpid()}", f"--overlay-ro=/usr:{usr}:/usr", f"--bind={vaults}:/srv", "--console=pipe",
             "--boot", "systemd.unit=basic.target", "systemd.firstboot=off"],
            stdin=subprocess.DEVNULL, stdout=self.console, stderr=subprocess.STDOUT, start_new_session=True)
        for _ in range(300):
            children = subprocess.run(["pgrep", "-P", str(self.nspawn.pid), "-x", "systemd"], capture_output=True, text=True, check=False)
            if children.stdout.strip():
                self.leader = children.stdout.split()[0]
                state = self.inside("systemctl", "is-system-running", code=None).stdout.strip()
                if state in BOOTED and self.inside("test", "-S", "/run/systemd/journal/socket", code=None).returncode == 0:
                    return
            time.sleep(0.1)
        raise RuntimeError(f"the container does not boot: {open(self.path('console'), encoding='utf-8', errors='replace').read()[-2000:]}")

    def inside(self, *words, code=0, stdin=None):
        done = subprocess.run(["nsenter", "-t", self.leader, "-a", "env", "-i", "PATH=/usr/sbin:/usr/bin", *words], input=stdin,
                              capture_output=True, text=True, check=False, timeout=120)
        if code is not None and done.returncode != code:
            self.faults.append(f"{' '.join(words)}: exit {done.returncode}; {done.stderr.strip() or done.stdout.strip()[-300:]}")
        return done

    def shell(self, script, code=0):
        return self.inside("sh", "-c", script, code=code)

    def show(self, unit, what):
        return self.inside("systemctl", "show", "-P", what, unit).stdout.strip()

    def until(self, words, holds, seconds=40):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if holds():
                return True
            time.sleep(0.2)
        self.faults.append(f"not within {seconds} s: {words}")
        return False

    def entries(self, name):
        out = self.inside("journalctl", "-o", "json", "--no-pager", f"MESSAGE_ID={MESSAGES[name]}").stdout
        return [json.loads(line) for line in out.splitlines() if line.startswith("{")]

    def clean_up(self):
        if self.nspawn and self.nspawn.poll() is None:
            self.nspawn.send_signal(signal.SIGTERM)  # nspawn kills all that is in it
            try:
                self.nspawn.wait(30)
            except subprocess.TimeoutExpired:
                self.nspawn.kill()
                self.nspawn.wait()
        if self.faults:
            print(f"the journal's end:\n{getattr(self, 'tail', '')}")

    def make_vault(self, name):
        self.inside("assayfs", "init", "--argon-mem", "1024", "--argon-ops", "1", "--no-recovery-key", "--passfile", "/etc/assayfs/v.pass",
                    f"/srv/{name}")

    # ---- the chapters

    def it_starts(self):
        self.shell("systemd-tmpfiles --create assayfs.conf; umask 077; echo secret > /etc/assayfs/v.pass; mkdir -p /mnt/v /mnt/f")
        self.check(self.shell("stat -c %a /etc/assayfs").stdout.strip() == "700", "tmpfiles.d makes /etc/assayfs for root alone")
        self.make_vault("v")
        self.shell("printf 'VAULT=/srv/v\\nMOUNTPOINT=/mnt/v\\n' > /etc/assayfs/v.conf")
        # Shorter times; and of a sanitizer's build no search for leaks at the end, which traces the process: the unit forbids it.
        self.shell("mkdir -p /run/systemd/system/assayfs@.service.d; printf '[Service]\\nWatchdogSec=4\\nTimeoutAbortSec=2\\n"
                   "RestartSec=0.2\\nEnvironment=ASAN_OPTIONS=detect_leaks=0\\n' > /run/systemd/system/assayfs@.service.d/test.conf; systemctl daemon-reload")
        self.shell("journalctl --update-catalog")
        # By another process of the same system, at once: READY was not sent before the mount answered, nor in a namespace.
        self.shell("systemctl start assayfs@v && test \"$(stat -f -c %T /mnt/v)\" = fuseblk -o \"$(stat -f -c %T /mnt/v)\" = fuse "
                   "&& ls /mnt/v/Landing && assayfs status /mnt/v")
        self.check(self.show("assayfs@v", "ActiveState") == "active", "it is active")
        self.check(self.show("assayfs@v", "StatusText") == "Vault mounted on /mnt/v", self.show("assayfs@v", "StatusText"))
        pid = self.show("assayfs@v", "MainPID")
        self.check(self.shell(f"readlink /proc/{pid}/exe").stdout.strip() == "/usr/bin/assayfs", "the main process is the daemon")

    def the_journal_has_it(self):
        self.until("mounted is in the journal", lambda: self.entries("MOUNTED"))
        entry = (self.entries("MOUNTED") or [{}])[-1]
        self.check(entry.get("VAULT") == "/srv/v" and len(entry.get("VAULT_ID", "")) == 32, f"fields: {entry}")
        self.check(entry.get("_SYSTEMD_UNIT") == "assayfs@v.service" and entry.get("PRIORITY") == "6", f"fields: {entry}")
        out = self.inside("journalctl", "--no-pager", "-x", f"MESSAGE_ID={MESSAGES['MOUNTED']}").stdout
        self.check("The vault /srv/v answers." in out, f"the catalog's words: {out[-600:]}")

    def it_stops_clean_under_a_writer(self):
        self.shell("dd if=/dev/urandom of=/srv/wanted bs=1M count=48 status=none; cp /srv/wanted /mnt/v/Landing/wanted; "
                   "head -c 5000 /dev/zero > /mnt/v/Landing/open; "
                   "(exec 7>>/mnt/v/Landing/open; head -c 3000 /dev/zero >&7; exec sleep 300) >/dev/null 2>&1 & echo $! > /run/writer; sleep 0.5")
        begin = time.monotonic()
        self.inside("systemctl", "stop", "assayfs@v")
        print(f"       stopped with 48 MiB just written and a file open for writing in {time.monotonic() - begin:.1f} s")
        self.check(self.show("assayfs@v", "Result") == "success", self.show("assayfs@v", "Result"))
        self.check(self.entries("ENDED"), "the vault's end is in the journal")
        self.shell("kill $(cat /run/writer); assayfs fsck --passfile /etc/assayfs/v.pass /srv/v")
        self.shell("systemctl start assayfs@v && cmp /srv/wanted /mnt/v/Landing/wanted && test \"$(stat -c %s /mnt/v/Landing/open)\" = 8000")
        self.check(not self.entries("RECOVERED"), "nothing had to be recovered")

    def it_comes_back_when_it_is_killed(self):
        self.shell("echo synced > /mnt/v/Landing/synced; assayfs sync /mnt/v")
        for words, kill in ("killed", "KILL"), ("stopped dead", "STOP"):
            pid = self.show("assayfs@v", "MainPID")
            seen = len(self.entries("RECOVERED"))
            if pid == "0":  # to kill means: the whole process group
                raise RuntimeError("no daemon runs that could be killed")
            begin = time.monotonic()
            self.inside("kill", f"-{kill}", pid)
            back = self.until(f"{words}: another process serves", lambda pid=pid: self.show("assayfs@v", "ActiveState") == "active" and
                              self.show("assayfs@v", "MainPID") not in (pid, "0"))
            print(f"       {words}: served again after {time.monotonic() - begin:.1f} s")
            self.check(back and self.shell("cat /mnt/v/Landing/synced", code=None).stdout == "synced\n", f"{words}: what was synced is there")
            self.check(len(self.entries("RECOVERED")) > seen, f"{words}: the recovery is in the journal")
        self.check("watchdog" in self.inside("journalctl", "-u", "assayfs@v", "--no-pager").stdout.lower(), "it was the watchdog")
        time.sleep(6)  # longer than the watchdog's time: it beats
        self.check(self.show("assayfs@v", "NRestarts") == "2", f"it beats: {self.show('assayfs@v', 'NRestarts')} restarts")

    def a_wrong_passphrase_is_not_tried_again(self):
        self.make_vault("w")
        self.shell("printf 'VAULT=/srv/w\\nMOUNTPOINT=/mnt/w\\n' > /etc/assayfs/w.conf; echo wrong > /etc/assayfs/w.pass; mkdir -p /mnt/w")
        self.inside("systemctl", "start", "assayfs@w", code=1)
        time.sleep(1)
        self.check(self.show("assayfs@w", "ActiveState") == "failed" and self.show("assayfs@w", "NRestarts") == "0",
                   f"{self.show('assayfs@w', 'ActiveState')} after {self.show('assayfs@w', 'NRestarts')} restarts")
        self.check(self.entries("NOT_CLOSED"), "why is in the journal")
        self.check("secret" not in self.inside("journalctl", "--no-pager", "-o", "export").stdout, "no passphrase is")

    def fstab_mounts_it(self):
        self.make_vault("f")
        self.shell("printf '/srv/f /mnt/f fuse.assayfs passfile=/etc/assayfs/v.pass,allow_other,nofail,x-systemd.mount-timeout=60 0 0\\n"
                   "/srv/none /mnt/none fuse.assayfs passfile=/etc/assayfs/v.pass,nofail,_netdev,noauto 0 0\\n' > /etc/fstab; systemctl daemon-reload")
        self.check(self.inside("systemctl", "cat", "mnt-f.mount").stdout.count("Type=fuse.assayfs") == 1, "systemd makes a unit of the line")
        self.shell("mount -a && echo by fstab > /mnt/f/Landing/x && umount /mnt/f && ! mountpoint -q /mnt/f")
        # umount came back when the vault was closed: no process is left that has it open.
        self.shell("! pgrep -af '^assayfs mount.*/srv/f' && systemctl start mnt-f.mount && grep 'by fstab' /mnt/f/Landing/x")
        self.inside("assayfs", "status", "/mnt/f")
        self.check(json.loads(self.inside("assayfs", "status", "--json", "/mnt/f").stdout or "{}").get("recovered") is False,
                   "the end before was clean")
        self.shell("echo at the shutdown > /mnt/f/Landing/y")

    def it_is_well_formed_and_not_exposed(self):
        done = self.inside("systemd-analyze", "verify", "--man=no", "assayfs@v.service")
        wrong = [line for line in done.stderr.splitlines() if "assayfs" in line]
        self.check(not wrong, f"systemd-analyze verify: {wrong}")
        out = self.inside("systemd-analyze", "security", "--no-pager", "assayfs@v.service").stdout
        level = re.search(r"Overall exposure level for assayfs@v.service: ([0-9.]+)", out)
        print(f"       {level.group(0) if level else out[-300:]}")
        self.check(level and float(level.group(1)) < 6.5, "the exposure has grown: see what the unit no longer has")

    def shutdown_is_clean(self):
        self.shell("dd if=/srv/wanted of=/mnt/v/Landing/last bs=1M status=none")
        self.tail = self.inside("journalctl", "--no-pager", "-n", "40").stdout
        self.shell("systemctl poweroff", code=None)
        self.nspawn.wait(90)
        mnt = self.path("again")
        os.makedirs(mnt)
        self.write("pass", "secret\n")
        for name, file in ("v", "last"), ("f", "y"):
            vault = self.path(f"srv/{name}")
            self.assayfs("fsck", "--passfile", "pass", vault)
            self.assayfs("mount", "--accept-restore", "--passfile", "pass", vault, mnt)
            try:
                self.check(self.json("status", "--json", mnt)["recovered"] is False, f"{name}: the shutdown left it to be recovered")
                self.check(os.path.getsize(os.path.join(mnt, "Landing", file)) > 0, f"{name}: {file} is not there")
                if file == "last":
                    same = open(os.path.join(mnt, "Landing/last"), "rb").read() == open(self.path("srv/wanted"), "rb").read()
                    self.check(same, "what was in the page cache at the shutdown is not all there")
            finally:
                self.unmount(mnt)

    def test_a_vault_is_a_service_from_its_start_to_the_shutdown(self):
        self.boot()
        for chapter in (self.it_starts, self.the_journal_has_it, self.it_stops_clean_under_a_writer, self.it_comes_back_when_it_is_killed,
                        self.a_wrong_passphrase_is_not_tried_again, self.fstab_mounts_it, self.it_is_well_formed_and_not_exposed,
                        self.shutdown_is_clean):
            before = len(self.faults)
            chapter()
            print(f"  {'FAILED' if len(self.faults) > before else 'ok    '} {chapter.__name__.replace('_', ' ')}")
            for fault in self.faults[before:]:
                print(f"         {fault}", flush=True)
            if len(self.faults) > before and self.nspawn.poll() is None:
                self.tail = self.inside("journalctl", "--no-pager", "-n", "60", code=None).stdout


sys.exit(SystemdTests().run())
