#!/usr/bin/env python3
"""Each of 1,000 scripted accesses, allowed and denied, has its record.

usage: accesses.py ASSAYFS SOURCE        ASSAYFS_ACCESSES (1000), ASSAYFS_SEED

Accesses are made one after the other by root and by another user (with allow_other), each on a name of its own, so that
the log can be asked for exactly that one: event, path, uid and outcome. Root only.
"""
import collections
import os
import sys

from promise import Vault, count, seed, skip

OTHER = 65534


def open_read(path):
    with open(path, "rb") as file:
        file.read()


def open_write(path):
    with open(path, "r+b") as file:
        file.write(b"changed")


def create(path):
    with open(path, "xb") as file:
        file.write(b"new")


# event, what is done, which needs an existing: file, dir, nothing
ACTS = {
    "open": (open_read, "file"),
    "open for writing": (open_write, "file"),
    "create": (create, None),
    "mkdir": (os.mkdir, None),
    "unlink": (os.unlink, "file"),
    "rmdir": (os.rmdir, "dir"),
    "rename": (lambda path: os.rename(path, path + ".new"), "file"),
    "link": (lambda path: os.link(path, path + ".link"), "file"),
    "symlink": (lambda path: os.symlink("target", path), None),
    "chmod": (lambda path: os.chmod(path, 0o640), "file"),
    "chown": (lambda path: os.chown(path, 1, 1), "file"),
    "truncate": (lambda path: os.truncate(path, 1), "file"),
    "setxattr": (lambda path: os.setxattr(path, "user.x", b"1"), "file"),
    "opendir": (os.listdir, "dir"),
}
EVENT = {"open for writing": "open"}


def act_as(uid, act, path):
    """Outcome of `act` done by `uid`: 'ok' or 'denied'. In a child, as a process can't come back from another uid."""
    child = os.fork()
    if child == 0:
        code = 3
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            act(path)
            code = 0
        except PermissionError:
            code = 1
        except OSError as error:
            print(path, error, flush=True)
            code = 2
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {0: "ok", 1: "denied"}.get(code, f"failed with {code}")


def main():
    if os.getuid() != 0:
        skip("needs root, to be two users")
    rng = seed("accesses")
    number = count("ASSAYFS_ACCESSES", 1000)
    with Vault() as v:
        v.mount("-o", "allow_other")
        os.makedirs(v.landing("open"))
        os.makedirs(v.landing("closed"))
        os.chmod(v.landing(), 0o755)
        os.chown(v.landing("open"), OTHER, OTHER)
        os.chmod(v.landing("closed"), 0o755)
        done = []
        for i in range(number):
            what = rng.choice(sorted(ACTS))
            act, needs = ACTS[what]
            uid = rng.choice([0, OTHER, OTHER])
            place = rng.choice(["open", "closed"])
            path = v.landing(f"{place}/{i}-{what.replace(' ', '-')}")
            if needs == "file":
                with open(path, "wb") as file:
                    file.write(b"content")
                os.chmod(path, 0o600)
            elif needs == "dir":
                os.mkdir(path)
                os.chmod(path, 0o700)
            if needs and place == "open":
                os.chown(path, OTHER, OTHER)
            done.append((EVENT.get(what, what), os.path.relpath(path, v.mnt), uid, act_as(uid, act, path), what))
        v.run("sync", v.mnt)
        found = collections.Counter((r["event"], r.get("path"), r["uid"], r["outcome"]) for r in v.records())
        outcomes = collections.Counter()
        missing = collections.Counter()
        for event, path, uid, outcome, what in done:
            outcomes[outcome] += 1
            if not found[(event, path, uid, outcome)]:
                missing[what, uid, outcome] += 1
                if missing[what, uid, outcome] == 1:
                    v.fault(f"no record: {what} of {path} by {uid}: {outcome}; there are: "
                            f"{[key for key in found if key[1] == path]}")
        print(f"{number} accesses: {dict(outcomes)}; {sum(missing.values())} without a record {dict(missing)}")
        v.check(outcomes["denied"] > number / 10 and set(outcomes) == {"ok", "denied"}, f"not as scripted: {outcomes}")
        v.umount()
        return v.end()


sys.exit(main())
