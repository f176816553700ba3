"""What close(2) has made is there when it has returned, and stays: whoever asks at once, or changes it, or crashes.

ASSAYFS_CLOSE_ROUNDS: how often each thing is tried (default 60). (mount)
"""
import contextlib
import errno
import os
import resource
import subprocess
import sys
import time

from promise import Vault, count

LIMIT = 2 << 20
HOPELESS = 512 << 10
BLOCK = bytes(range(250)) * 40  # less than a block, so that it is sealed with the close
ROUNDS = count("ASSAYFS_CLOSE_ROUNDS", 60)


def write(path, data, flags=0):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o644)
    os.write(fd, data)
    os.close(fd)


def versions_of(vault, name):
    return sorted(os.listdir(os.path.join(vault.mnt, ".assayfs/versions/Landing", name)), key=int)


def texts_of(vault, *names):
    """What the versions below these names hold."""
    folders = [os.path.join(vault.mnt, ".assayfs/versions/Landing", name) for name in names]
    texts = set()
    for folder in filter(os.path.isdir, folders):
        for number in os.listdir(folder):
            with open(os.path.join(folder, number), "rb") as file:
                texts.add(file.read())
    return texts


def asked_at_once(vault):
    """Each question comes right after the close that it asks about."""
    for i in range(ROUNDS):
        name = vault.landing(f"asked-{i}")
        write(name, b"one")
        number = os.getxattr(name, "user.assayfs.version")
        vault.check(number == b"1", f"version {number} of {name} after its first close")
        write(name, b" two", os.O_APPEND)
        seen = versions_of(vault, f"asked-{i}")
        vault.check(seen == ["1", "2"], f"versions {seen} of {name} after its second close")
        write(name, b"three", os.O_TRUNC)
        told = vault.run("versions", name, "--json").stdout
        vault.check(told.count(b'"number"') == 3, f"assayfs versions of {name} tells {told}")


def changed_at_once(vault):
    """What follows a close never becomes part of its version, and takes none away."""
    for i in range(ROUNDS):
        first, second = vault.landing(f"changed-{i}"), vault.landing(f"renamed-{i}")
        write(first, b"one")
        os.truncate(first, 2)
        write(first, b"!!", os.O_APPEND)
        os.rename(first, second)
        os.chmod(second, 0o600)
        write(second, b"last", os.O_TRUNC)
        os.unlink(second)
        # A name's history goes by commits: what was sealed in an earlier one than the rename stands below the first name.
        texts = texts_of(vault, f"changed-{i}", f"renamed-{i}")
        vault.check(texts == {b"one", b"on", b"on!!", b"last"}, f"{second} had the versions {texts}")


def replaced_at_once(vault):
    """Emptied by the next open, or replaced by another file: it was a version before."""
    for i in range(ROUNDS):
        name, other = vault.landing(f"replaced-{i}"), vault.landing(f"other-{i}")
        write(name, b"one")
        write(name, b"two", os.O_TRUNC)
        write(other, b"three")
        write(name, b"two!", os.O_TRUNC)
        os.rename(other, name)
        texts = texts_of(vault, f"replaced-{i}", f"other-{i}")
        vault.check(texts == {b"one", b"two", b"two!", b"three"}, f"{name} had the versions {texts}")


def closed_twice(vault):
    """Duplicates that are closed one after the other: one version, one record of the close that made it."""
    for i in range(ROUNDS):
        fd = os.open(vault.landing(f"twice-{i}"), os.O_WRONLY | os.O_CREAT)
        other = os.dup(fd)
        os.write(fd, b"once")
        os.close(fd)
        os.close(other)
    made = [r["path"] for r in vault.records("--event", "close") if r.get("path", "").startswith("Landing/twice-")]
    vault.check(sorted(made) == sorted(f"Landing/twice-{i}" for i in range(ROUNDS)), f"records of closes: {len(made)}")


def times_at_once(vault):
    """The times that stat shows don't change when the version has come, nor with a new mount."""
    shown = {}
    for i in range(ROUNDS):
        name = vault.landing(f"timed-{i}")
        fd = os.open(name, os.O_WRONLY | os.O_CREAT, 0o644)
        os.write(fd, b"timed")
        if i < 5:  # it comes to the mount when the clock that files are stamped by has gone on
            time.sleep(0.02)
        os.close(fd)
        shown[name] = os.stat(name).st_mtime_ns
    vault.umount()
    vault.mount()
    for name, mtime in shown.items():
        vault.check(os.stat(name).st_mtime_ns == mtime, f"{name}: its time was {mtime}")


def killed_at_once(vault):
    """What was synced after a close is not there without the close."""
    for i in range(max(ROUNDS // 6, 3)):
        closed = [vault.landing(f"closed-{i}-{k}") for k in range(8)]
        for name in closed:
            write(name, name.encode())
        fd = os.open(vault.landing(f"synced-{i}"), os.O_WRONLY | os.O_CREAT)
        os.fsync(fd)
        vault.kill()
        with contextlib.suppress(OSError):
            os.close(fd)
        vault.mount()
        for name in closed:
            with open(name, "rb") as file:
                vault.check(file.read() == name.encode(), f"{name} lost what had been closed before another's fsync")


def lost_at_once(vault):
    """A version that could not be made: close(2) says so, and nobody is shown what is not there. RELEASE tries once more.

    The daemon may write no file beyond a size (RLIMIT_FSIZE), which statvfs(3) does not tell."""
    vault.mount(restore_signals=False)  # SIGXFSZ stays ignored
    resource.prlimit(vault.pid, resource.RLIMIT_FSIZE, (LIMIT, LIMIT))
    told, shown = [], {}
    for i in range(LIMIT // len(BLOCK) + 20):
        name = vault.landing(f"lost-{i}")
        try:
            write(name, BLOCK)
            with open(name, "rb") as file:
                vault.check(file.read() == BLOCK, f"{name} is not what was written")
        except OSError as error:
            if error.errno in (errno.EFBIG, errno.EIO):
                told.append(name)
        time.sleep(0.02)  # what the kernel is told it has from a thread
        shown[name] = os.stat(name).st_size if os.path.exists(name) else None
    vault.check(told, "nobody was told of a version that could not be made")
    outcomes = {os.path.basename(r.get("path", "")): r["outcome"] for r in vault.records("--event", "close")}
    for name in told:
        expected = "ok" if shown[name] == len(BLOCK) else "error"
        vault.check(outcomes.get(os.path.basename(name)) == expected, f"{name}: {shown[name]} bytes, its close {outcomes}")
    vault.run("sync", vault.mnt)  # nothing is left to be committed while no file may grow
    hopeless = vault.landing("hopeless")  # more in one request than any file may have: RELEASE fails, too
    resource.prlimit(vault.pid, resource.RLIMIT_FSIZE, (HOPELESS, LIMIT))
    try:
        write(hopeless, os.urandom(2 * HOPELESS))
        vault.check(False, "close(2) did not say that there was no room")
    except OSError as error:
        vault.check(error.errno in (errno.EFBIG, errno.EIO), f"close(2) said {error}")
    resource.prlimit(vault.pid, resource.RLIMIT_FSIZE, (LIMIT, LIMIT))
    time.sleep(0.1)
    shown[hopeless] = os.stat(hopeless).st_size
    closed = [r for r in vault.records("--event", "close") if r.get("path") == "Landing/hopeless"]
    vault.check([r["outcome"] for r in closed] == ["error"], f"the close that lost its file is on record as {closed}")
    subprocess.run(["umount", vault.mnt], check=True)
    while subprocess.run(["pgrep", "-f", vault.mnt], capture_output=True, check=False).returncode == 0:
        time.sleep(0.05)
    vault.mount()
    for name, size in shown.items():
        there = os.stat(name).st_size if os.path.exists(name) else None
        vault.check(size == there, f"{name} had {size} bytes to see, and has {there}")


def main():
    with Vault() as vault:
        vault.mount()
        asked_at_once(vault)
        changed_at_once(vault)
        replaced_at_once(vault)
        closed_twice(vault)
        times_at_once(vault)
        killed_at_once(vault)
        vault.umount()
        lost_at_once(vault)
        vault.umount()
        vault.fsck()
        return vault.end()


sys.exit(main())
