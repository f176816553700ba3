#!/usr/bin/env python3
"""Who may not open the vault: a wrong passphrase, a second mount; and who may: an ordinary user, through fusermount3.

usage: doors.py ASSAYFS SOURCE

The ordinary user gets a /dev/fuse for everybody in a mount namespace of this test's own: the machine's stays as it is.
"""
import json
import os
import shutil
import subprocess
import sys

import promise
from promise import Vault, is_mounted, skip

USER = 65534


def one_line(v, done, code, *parts):
    lines = done.stderr.decode().splitlines()
    v.check(done.returncode == code and len(lines) == 1 and all(part in lines[0] for part in parts) and not done.stdout,
            f"exit {done.returncode}, not {code}, or not one line with {parts}: {lines} {done.stdout}")


def wrong_passphrase(v):
    with open(v.path("wrong"), "w", encoding="ascii", opener=lambda p, f: os.open(p, f, 0o600)) as file:
        file.write("incorrect horse\n")
    for command in (["mount", "--passfile", v.path("wrong"), v.vault, v.mnt], ["mount", "--extpass", "echo no", v.vault, v.mnt],
                    ["mount", "-f", "--passfile", v.path("wrong"), v.vault, v.mnt],
                    ["fsck", "--passfile", v.path("wrong"), v.vault], ["fsck", "--json", "--passfile", v.path("wrong"), v.vault]):
        one_line(v, v.run(*command, code=None), 12, "passphrase")
    v.check(not is_mounted(v.mnt), "mounted with a wrong passphrase")


def second_mount(v):
    os.mkdir(v.path("other"))
    v.mount()
    one_line(v, v.run("mount", "--passfile", v.passfile, v.vault, v.path("other"), code=None), 4, "in use", str(v.pid))
    one_line(v, v.run("fsck", "--passfile", v.passfile, v.vault, code=None), 4, "in use")
    v.umount()


def ordinary_user(v):
    for tool in ("setpriv", "fusermount3"):
        if not shutil.which(tool):
            print(f"skipped: an ordinary user: {tool} is missing")
            return
    home = v.path("home")
    os.mkdir(home, 0o700)
    os.mkdir(home + "/mnt")
    shutil.copy(promise.ASSAYFS, v.path("assayfs"))
    shutil.copy(v.passfile, home + "/pass")
    for path in (home, home + "/mnt", home + "/pass"):
        os.chown(path, USER, USER)

    def as_user(*command, code=0):
        done = subprocess.run(["setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups", *command],
                              capture_output=True, check=False, cwd=home, timeout=60,
                              env={**os.environ, "HOME": home, "XDG_RUNTIME_DIR": home, "STATE_DIRECTORY": ""})
        v.check(done.returncode == code, f"{command} as an ordinary user: exit {done.returncode}: "
                                         f"{done.stderr.decode()} {done.stdout.decode()[:300]}")
        return done

    assayfs = v.path("assayfs")
    as_user(assayfs, "init", *promise.CHEAP, "--passfile", "pass", "vault")
    as_user(assayfs, "mount", "--passfile", "pass", "vault", "mnt")
    try:
        kept = sorted(name[32:] for name in os.listdir(home + "/.local/state/assayfs"))
        v.check(kept == [".checkpoint", ".checkpoint.lock"], "the log's head is not kept outside of the vault")
        as_user("sh", "-c", "echo words > mnt/Landing/a && cat mnt/Landing/a")
        status = json.loads(as_user(assayfs, "status", "--json", "mnt").stdout or b"{}")
        v.check(status.get("mounter") == USER, f"{status}")
        records = as_user(assayfs, "log", "--json", "--path", "Landing/a", "mnt").stdout.splitlines()
        v.check(len(records) >= 2 and all(json.loads(line)["uid"] == USER for line in records), f"{records}")
    finally:
        as_user(assayfs, "umount", "mnt")
        if is_mounted(home + "/mnt"):
            subprocess.run(["umount", "-l", home + "/mnt"], check=False)
    as_user(assayfs, "fsck", "--passfile", "pass", "vault")
    print("an ordinary user: init, mount, write, log, umount, fsck")


def own_fuse(v):
    """/dev/fuse for everybody, in this process's namespace only."""
    device = v.path("fuse")
    try:
        os.mknod(device, 0o666 | 0o020000, os.makedev(10, 229))
        os.chmod(device, 0o666)
    except OSError as error:
        print(f"skipped: an ordinary user: {error}")
        return False
    return subprocess.run(["mount", "--bind", device, "/dev/fuse"], check=False).returncode == 0


def main():
    if os.getuid() == 0 and not os.environ.get("ASSAYFS_PRIVATE_MOUNTS"):
        os.environ["ASSAYFS_PRIVATE_MOUNTS"] = "1"
        if subprocess.run(["unshare", "-m", "--propagation", "private", "true"], check=False).returncode:
            skip("no mount namespace to be had")
        os.execvp("unshare", ["unshare", "-m", "--propagation", "private", sys.executable, *sys.argv])
    with Vault() as v:
        wrong_passphrase(v)
        second_mount(v)
        if os.getuid() == 0 and own_fuse(v):
            try:
                ordinary_user(v)
            finally:
                subprocess.run(["umount", "/dev/fuse"], check=False)
        return v.end()


sys.exit(main())
