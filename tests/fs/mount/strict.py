#!/usr/bin/env python3
"""No access without a record: --audit=strict survives kill -9, the window is known, and what can't be recorded is refused.

usage: strict.py ASSAYFS SOURCE FAILING_LOG       ASSAYFS_STRICT_ROUNDS (12), ASSAYFS_SEED

FAILING_LOG is the program on a disk that fails while a file is there (failing_log.c). Root only.
"""
import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time

from promise import Vault, count, is_mounted, seed, skip, wait_gone
from small_disk import Disk

FAILING = os.path.abspath(sys.argv[3])
OTHER = 64001


def opens(path):
    os.close(os.open(path, os.O_RDONLY))


def below_assayfs(v):
    return os.path.join(v.mnt, ".assayfs/versions/Landing/kept/1")


# Event, and how it is done by OTHER, who is refused `denied`; each on a name of its own.
ACTS = {
    "open": opens,
    "opendir": os.listdir,
    "create": lambda path: os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)),
    "mkdir": os.mkdir,
    "unlink": os.unlink,
    "rename": lambda path: os.rename(path, path + "-"),
    "chmod": lambda path: os.chmod(path, 0o600),
    "setxattr": lambda path: os.setxattr(path, "user.x", b"x"),
    "denied": opens,
}


def prepare(v, act, path):
    if act == "opendir":
        os.mkdir(path)
    elif act not in ("create", "mkdir"):
        with open(path, "wb") as file:
            file.write(b"content")
    if os.path.exists(path):
        os.chmod(path, 0o600 if act == "denied" else 0o755)
        os.chown(path, 0 if act == "denied" else OTHER, -1)


def killed_as_it_returns(v, act, path):
    """A process does it and kills the daemon as soon as it has its answer. Its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            daemon = os.pidfd_open(v.pid)
            os.setgroups([])
            os.setresgid(OTHER, OTHER, OTHER)
            os.setresuid(OTHER, OTHER, 0)
            try:
                ACTS[act](path)
                code = 0
            except PermissionError:
                code = 0 if act == "denied" else 1
            os.setresuid(-1, 0, -1)
            signal.pidfd_send_signal(daemon, signal.SIGKILL)
        except OSError as error:
            code = error.errno
        finally:
            os._exit(code)
    v.check(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, f"{act} failed")
    if not v.check(wait_gone(v.pid), "the killed process can't end"):
        v.run("umount", "--force", v.mnt, code=None)
    subprocess.run(["umount", "-l", v.mnt], check=False)
    return pid


def has_record(v, act, pid):
    wanted = ("open", "denied") if act == "denied" else (act, "ok")
    return any((r["event"], r["outcome"]) == wanted and r.get("pid") == pid for r in v.records())


def survives(rng):
    """Each kind of access in strict; and a few in batched, whose records kill -9 does take: else this would show nothing."""
    with Vault() as v:
        v.mount("-o", "allow_other,audit=strict")
        os.chmod(v.landing(), 0o777)
        lost = 0
        for number in range(count("ASSAYFS_STRICT_ROUNDS", 12)):
            act = list(ACTS)[number % len(ACTS)]
            path = v.landing(f"{act}-{number}")
            prepare(v, act, path)
            v.run("sync", v.mnt)
            time.sleep(rng.random() * 0.05)
            pid = killed_as_it_returns(v, act, path)
            v.mount("-o", "allow_other", "--audit=strict")
            v.check(has_record(v, act, pid), f"strict: {act} was granted, its record is lost")
        v.umount()
        for number in range(3):
            v.mount("-o", "allow_other", "--audit=batched")
            prepare(v, "open", v.landing(f"batched-{number}"))
            v.run("sync", v.mnt)
            pid = killed_as_it_returns(v, "open", v.landing(f"batched-{number}"))
            v.mount("-o", "allow_other")
            lost += not has_record(v, "open", pid)
            v.umount()
        v.check(lost > 0, "batched: kill -9 took no record")
        v.fsck()
        print(f"strict: no record lost; batched: {lost} of 3")
        return v.end()


def audit(v):
    return json.loads(v.run("status", "--json", v.mnt).stdout)["audit"]


def window():
    with Vault() as v:
        v.mount()
        with open(v.landing("f"), "wb"):
            pass
        v.run("sync", v.mnt)
        before = audit(v)
        for _ in range(50):
            opens(v.landing("f"))
        after = audit(v)
        v.check(before["mode"] == "batched" and before["refused"] == 0, f"{before}")
        v.check(after["not_durable"] + after["durable"] >= before["durable"] + 100, f"{before} {after}")
        words = v.run("status", v.mnt).stdout.decode()
        v.check("Audit log: batched" in words, words)
        deadline = time.monotonic() + 20
        while audit(v)["not_durable"] and time.monotonic() < deadline:
            time.sleep(0.1)
        rest = audit(v)
        v.check(rest["not_durable"] == 0 and rest["oldest_ms"] == 0 and rest["most_ms"] > 0, f"{rest}")
        text = json.load(open(os.path.join(v.mnt, ".assayfs/status.json"), encoding="utf-8"))
        v.check(text["audit"]["mode"] == "batched", f"{text['audit']}")
        v.umount()
        v.mount("--audit", "strict")
        for _ in range(20):
            opens(v.landing("f"))
        v.check(audit(v)["mode"] == "strict" and audit(v)["durable"] >= rest["durable"] + 20, f"{audit(v)}")
        v.umount()
        for wrong in (["--audit=always"], ["-o", "audit=yes"], ["--audit=strict", "-o", "audit=batched"]):
            done = v.run("mount", *wrong, "--passfile", v.passfile, v.vault, v.mnt, code=2)
            v.check(b"strict" in done.stderr and b"--audit=" in done.stderr, f"{wrong}: {done.stderr}")
        return v.end()


def many_at_once():
    """Threads that wait for records beside those that write, sync, rename, chmod and are refused: none waits for ever."""
    with Vault() as v:
        v.mount("-o", "allow_other", "--audit=strict")
        done, stop = [0] * 12, time.monotonic() + 4

        def work(number):
            path = v.landing(f"t{number}")
            os.mkdir(path)
            while time.monotonic() < stop:
                name = f"{path}/{done[number] % 7}"
                with open(name, "wb") as file:
                    file.write(b"x" * 70000)
                    if number % 3 == 0:
                        os.fsync(file.fileno())
                opens(name)
                os.rename(name, name + "-")
                os.chmod(path, 0o700 if done[number] % 2 else 0o755)
                if number % 4 == 0:
                    v.run("versions", name + "-", code=None)
                with contextlib.suppress(OSError):
                    os.unlink(v.landing(f"t{(number + 1) % 12}/{done[number] % 7}-"))
                done[number] += 1

        threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(len(done))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        if not v.check(not any(thread.is_alive() for thread in threads), f"some wait for ever: {done}"):
            os.kill(v.pid, signal.SIGKILL)
            return v.end()
        print(f"{sum(done)} rounds of 12 threads")
        v.umount()
        v.fsck()
        return v.end()


def mount_failing(v, sign, mode):
    environment = {**os.environ, "ASSAYFS_TEST_FAIL": sign}
    subprocess.run([FAILING, "mount", "-o", f"allow_other,audit={mode}", "--passfile", v.passfile, v.vault, v.mnt],
                   check=True, env=environment, stdin=subprocess.DEVNULL, timeout=60)
    v.pid = json.loads(v.run("status", "--json", v.mnt).stdout)["pid"]


def code_of(action, *arguments):
    try:
        action(*arguments)
        return 0
    except OSError as error:
        return error.errno


def in_words(path):
    """What a program's standard error says that may not open it."""
    return subprocess.run(["cat", path], capture_output=True, check=False, timeout=60).stderr.decode()


def refused_when_it_fails(mode):
    with Vault() as v:
        sign = v.path("fails")
        mount_failing(v, sign, mode)
        os.chmod(v.landing(), 0o777)
        for name in ("f", "g", "kept"):
            with open(v.landing(name), "wb") as file:
                file.write(b"content")
        os.chmod(v.landing("g"), 0o600)
        v.run("sync", v.mnt)
        held, listed = os.open(v.landing("f"), os.O_RDONLY), os.open(v.landing(), os.O_RDONLY)
        v.run("sync", v.mnt)
        with open(sign, "wb"):
            pass
        if mode == "batched":  # one that was granted within the window has the commit fail
            v.check(code_of(opens, v.landing("f")) == 0, "batched: refused before it failed")
            done = v.run("sync", v.mnt, code=None)
            v.check(done.returncode == 3, f"sync: {done}")
        acts = {"open": (opens, v.landing("f")), "opendir": (os.listdir, v.mnt), "mkdir": (os.mkdir, v.landing("d")),
                "unlink": (os.unlink, v.landing("g")), "chmod": (os.chmod, v.landing("g"), 0o644),
                "setxattr": (os.setxattr, v.landing("g"), "user.x", b"1"),
                "a version": (opens, below_assayfs(v)), "the log": (os.listdir, os.path.join(v.mnt, ".assayfs/audit"))}
        for name, (act, *arguments) in acts.items():
            code = code_of(act, *arguments)
            v.check(code == errno.EIO, f"{mode}: {name} is answered {errno.errorcode.get(code, code)}")
        os.unlink(sign)  # it stays so
        words = in_words(v.landing("f"))
        v.check("audit log" in words and "mount it again" in words, f"{mode}: cat says {words!r}")
        v.check(b"content" == os.pread(held, 7, 0) and "f" in os.listdir(listed), f"{mode}: what is open is not read on")
        v.check(code_of(os.stat, v.landing("g")) == 0, f"{mode}: stat is refused")
        done = v.run("log", v.mnt, code=None)
        v.check(done.returncode == 3 and done.stdout == b"", f"{mode}: the log is read: {done}")
        now = audit(v)
        v.check(now["refused"] >= len(acts) and now["not_durable"] > 0 and now["mode"] == mode, f"{mode}: {now}")
        words = v.run("status", v.mnt).stdout.decode()
        v.check("refused since the record could not be written" in words and "A commit failed" in words, words)
        refused = denied(v)
        os.close(held)
        os.close(listed)
        v.run("umount", v.mnt, code=None)
        v.pid = 0
        v.mount()
        v.check(code_of(opens, v.landing("g")) == 0 and not os.path.exists(v.landing("d")), f"{mode}: after the next mount")
        v.check(not any(r.get("pid") == refused for r in v.records()), f"{mode}: a refused one has a record")
        v.umount()
        v.fsck()
        return v.end()


def denied(v):
    """One who would be refused anyway gets no other answer."""
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setresuid(OTHER, OTHER, OTHER)
        os._exit(code_of(opens, v.landing("g")))
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    v.check(code == errno.EIO, f"a denial without a record: {code}")
    return pid


def full_disk(rng):
    """Reading goes on for a while on a full disk; then it is refused, with words; with room again it goes on."""
    outside = Vault()
    disk = Disk(outside.path("disk"), "40m")
    try:
        with Vault(inside=disk.path) as v:
            v.mount("--audit=strict")
            with open(v.landing("f"), "wb") as file:
                file.write(b"content")
            v.run("sync", v.mnt)
            with open(os.path.join(disk.path, "others"), "wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(rng.randbytes(1 << 16))
            granted, code, stop = 0, 0, time.monotonic() + 100
            while code == 0 and time.monotonic() < stop:
                code = code_of(opens, v.landing("f"))
                granted += code == 0
            v.check(code == errno.ENOSPC and granted > 20, f"full: after {granted}: {errno.errorcode.get(code, code)}")
            words = in_words(v.landing("f"))
            v.check("audit log has no room" in words, f"full: cat says {words!r}")
            v.check(audit(v)["refused"] >= 2, f"full: {audit(v)}")
            print(f"full: {granted} opens were granted before {errno.errorcode.get(code, code)}")
            disk.size("300m")
            v.check(code_of(opens, v.landing("f")) == 0, "there is room, and nothing may be opened")
            v.kill()
            v.mount()
            mine = [r for r in v.records("--event", "open") if r.get("pid") == os.getpid() and r["detail"] == "read"]
            v.check(len(mine) == granted + 1, f"{granted + 1} were granted, {len(mine)} have a record")
            v.umount()
            v.fsck("full")
            return v.end()
    finally:
        if not is_mounted(outside.mnt):
            disk.end()
            outside.__exit__()


def read_only_medium():
    """Nothing could be recorded there, so nothing is shown."""
    with Vault() as v:
        subprocess.run(["mount", "--bind", v.vault, v.vault], check=True)
        try:
            subprocess.run(["mount", "-o", "remount,bind,ro", v.vault], check=True)
            for options in ([], ["-o", "ro"], ["--audit=strict"]):
                done = v.run("mount", *options, "--passfile", v.passfile, v.vault, v.mnt, code=None)
                v.check(done.returncode == 1 and not is_mounted(v.mnt), f"{options}: {done}")
                v.check(b"no access could be recorded; mount a copy" in done.stderr, f"{options}: {done.stderr}")
        finally:
            subprocess.run(["umount", v.vault], check=False)
        return v.end()


def main():
    if os.getuid() != 0:
        skip("needs root, to be another user and for a small tmpfs")
    rng = seed("strict")
    codes = [survives(rng), window(), many_at_once(), refused_when_it_fails("batched"), refused_when_it_fails("strict"),
             full_disk(rng), read_only_medium()]
    return int(any(codes))


sys.exit(main())
