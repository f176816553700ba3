"""Versions are made a moment after close(2) has returned: nobody can tell, not by asking at once and not by a crash.

ASSAYFS_LATE_ROUNDS: how often each thing is tried (default 60). (mount)
"""
import contextlib
import os
import sys

from promise import Vault, count

ROUNDS = count("ASSAYFS_LATE_ROUNDS", 60)


def write(path, data, flags=0):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o644)
    os.write(fd, data)
    os.close(fd)


def versions_of(vault, name):
    return sorted(os.listdir(os.path.join(vault.mnt, ".assayfs/versions/Landing", name)), key=int)


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
        folder = os.path.join(vault.mnt, ".assayfs/versions/Landing", f"renamed-{i}")
        texts = [open(os.path.join(folder, number), "rb").read() for number in sorted(os.listdir(folder), key=int)]
        vault.check(texts == [b"one", b"on", b"on!!", b"last"], f"{second} had the versions {texts}")


def replaced_at_once(vault):
    """Emptied by the next open, or replaced by another file: it was a version before."""
    for i in range(ROUNDS):
        name, other = vault.landing(f"replaced-{i}"), vault.landing(f"other-{i}")
        write(name, b"one")
        write(name, b"two", os.O_TRUNC)
        write(other, b"three")
        write(name, b"two!", os.O_TRUNC)
        os.rename(other, name)
        folder = os.path.join(vault.mnt, ".assayfs/versions/Landing", f"replaced-{i}")
        texts = [open(os.path.join(folder, number), "rb").read() for number in sorted(os.listdir(folder), key=int)]
        vault.check(texts == [b"one", b"two", b"two!", b"three"], f"{name} had the versions {texts}")


def times_at_once(vault):
    """The times that stat shows don't change when the version has come, nor with a new mount."""
    shown = {}
    for i in range(ROUNDS):
        name = vault.landing(f"timed-{i}")
        write(name, b"timed")
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


def main():
    with Vault() as vault:
        vault.mount()
        asked_at_once(vault)
        changed_at_once(vault)
        replaced_at_once(vault)
        times_at_once(vault)
        killed_at_once(vault)
        vault.umount()
        vault.fsck()
        return vault.end()


sys.exit(main())
