"""Programs that Debian has, and what several processes do to one file."""
import fcntl
import mmap
import multiprocessing
import os
import re
import shutil
import time

from .mounted import Suite, need

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


def outcome(result):
    return "passed" if result.status == 0 else "failed", "" if result.status == 0 else result.last_line()


# ---- load ----

def stress_ng(mounted, options):
    """Each stressor of the class by itself, with --verify."""
    need("stress-ng")
    listed = mounted.run(["stress-ng", "--class", "filesystem?"]).output
    names = listed.split(":", 1)[-1].split()
    seconds = max(2, options.seconds // 20)
    for name in names:
        if not options.fits(name):
            continue
        folder = mounted.folder_for(f"stress-{name}")
        result = mounted.run(["stress-ng", f"--{name}", "2", "--timeout", str(seconds), "--verify", "--temp-path",
                              folder], seconds + 120)
        if result.status in (3, 4) or "No stress workers invoked" in result.output:
            yield name, "skipped", next(iter(re.findall(r".*(?:skip|not implemented|ENOSYS|No stress).*", result.output)), "")
            continue
        wrong = [line for line in result.output.splitlines() if re.search(r"fail:|error:", line)]
        yield name, outcome(result)[0], (wrong[0] if wrong else outcome(result)[1])[:200]
        shutil.rmtree(folder, ignore_errors=True)


def dbench(mounted, options):
    need("dbench")
    for clients in (1, 8):
        result = mounted.run(["dbench", "-D", mounted.folder_for(f"dbench-{clients}"), "-t",
                              str(max(5, options.seconds // 3)), str(clients)], options.seconds + 300)
        found = re.search(r"^Throughput.*", result.output, re.M)
        yield f"{clients}-clients", "passed" if found and result.status == 0 else "failed", \
            found.group(0) if found else result.last_line()


FIO = {
    "sequential": ["--rw=write", "--bs=1m"],
    "random": ["--rw=randwrite", "--bs=4k"],
    "odd-sizes": ["--rw=randwrite", "--bsrange=512-70000", "--bs_unaligned"],
    "direct-aio": ["--rw=randwrite", "--bs=8k", "--ioengine=libaio", "--iodepth=16", "--direct=1"],
    "mmap": ["--rw=randwrite", "--bs=4k", "--ioengine=mmap"],
    "fsync": ["--rw=randwrite", "--bs=4k", "--fsync=64"],
    "mixed": ["--rw=randrw", "--bs=4k", "--verify_backlog=512"],
}


def fio(mounted, options):
    need("fio")
    for case, flags in FIO.items():
        if options.fits(case):
            result = mounted.run(["fio", "--name", case, "--directory", mounted.folder_for(f"fio-{case}"),
                                  f"--size={options.seconds}m", "--numjobs=2", "--verify=crc32c", "--do_verify=1",
                                  "--verify_fatal=1", "--group_reporting", *flags], 60 + 10 * options.seconds)
            yield case, *outcome(result)


# ---- people's work ----

def git(mounted, options):
    """A clone of this project, worked in."""
    del options
    need("git")
    place = os.path.join(mounted.folder_for("git"), "clone")
    steps = {
        "clone": ["git", "clone", "-q", SOURCE, place],
        "fsck": ["git", "-C", place, "fsck", "--full"],
        "branch": ["git", "-C", place, "checkout", "-q", "-b", "other", "HEAD~5"],
        "merge": ["git", "-C", place, "merge", "-q", "--ff-only", "@{-1}"],
        "gc": ["git", "-C", place, "gc", "-q", "--aggressive", "--prune=now"],
        "clean": ["sh", "-c", f"test -z \"$(git -C '{place}' status --porcelain)\""],
        "fsck-again": ["git", "-C", place, "fsck", "--full"],
    }
    for case, command in steps.items():
        yield case, *outcome(mounted.run(command, 600))


def build(mounted, options):
    """This project, built in the mount with two processes, and a part of its tests run from there."""
    del options
    need("git", "meson", "ninja", "gcc")
    place = os.path.join(mounted.folder_for("build"), "source")
    env = {"CCACHE_DISABLE": "1"}
    steps = {
        "clone": ["git", "clone", "-q", SOURCE, place],
        "setup": ["meson", "setup", place + "/out", place],
        "compile": ["ninja", "-C", place + "/out", "-j2"],
        "nothing-left": ["sh", "-c", f"ninja -C '{place}/out' | grep 'no work to do'"],
        "tests": ["meson", "test", "-C", place + "/out", "--no-rebuild", "crypto/aead", "backend/content"],
    }
    for case, command in steps.items():
        yield case, *outcome(mounted.run(command, 1200, env=env))


def rsync(mounted, options):
    """A tree with links, holes and attributes: there, again, and back."""
    del options
    need("rsync", "tar", "setfattr", "diff")
    tree, there, back = mounted.outside + "/tree", mounted.folder_for("there"), mounted.outside + "/back"
    shutil.copytree(os.path.join(SOURCE, "backend"), tree + "/code")
    os.mkdir(back)
    make = (f"cd '{tree}' && truncate -s 64M sparse && echo end >>sparse && ln code/tree.c hard && ln -s code soft && "
            "chmod 4711 hard && setfattr -n user.kind -v test code/tree.h && touch -d 1999-12-31 code/store.h && mkfifo pipe")
    flags = ["rsync", "-aHXS", "--numeric-ids"]
    compare = ["rsync", "-naHXSci", "--numeric-ids", "--delete"]
    steps = {
        "make": ["sh", "-c", make],
        "rsync": [*flags, tree + "/", there + "/"],
        "rsync-again": ["sh", "-c", f"test -z \"$({' '.join(compare)} '{tree}/' '{there}/')\""],
        "diff": ["diff", "-r", "--no-dereference", tree + "/code", there + "/code"],
        "tar": ["sh", "-c", f"tar --xattrs -cSf '{there}.tar' -C '{there}' . && mkdir '{there}2' && "
                            f"tar --xattrs -xSpf '{there}.tar' -C '{there}2'"],
        "tar-same": ["sh", "-c", f"test -z \"$({' '.join(compare)} '{tree}/' '{there}2/')\""],
        "back": [*flags, there + "2/", back + "/"],
        "back-same": ["sh", "-c", f"test -z \"$({' '.join(compare)} '{tree}/' '{back}/')\""],
    }
    for case, command in steps.items():
        yield case, *outcome(mounted.run(command, 300))


# ---- several processes, one file ----

PROCESSES, ROUNDS = 4, 300


def in_parallel(work, *arguments):
    """Whether all of them did their work."""
    workers = [multiprocessing.Process(target=work, args=(number, *arguments)) for number in range(PROCESSES)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        if worker.is_alive():
            worker.kill()
            worker.join()
    return all(worker.exitcode == 0 for worker in workers)


def add_under_lock(number, path, take):
    """Reads a number and writes it back one higher; without the lock, others' steps would be lost."""
    del number
    for _ in range(ROUNDS):
        with open(path, "r+", encoding="ascii") as file:
            take(file, fcntl.LOCK_EX)
            value = int(file.read() or 0)
            file.seek(0)
            file.write(str(value + 1))
            file.flush()
            take(file, fcntl.LOCK_UN)


def locks(mounted, options):
    folder = mounted.folder_for("locks")
    for case, take in (("flock", fcntl.flock), ("fcntl", fcntl.lockf)):
        path = os.path.join(folder, case)
        with open(path, "w", encoding="ascii"):
            pass
        good = options.fits(case) and in_parallel(add_under_lock, path, take)
        with open(path, encoding="ascii") as file:
            value = file.read()
        if options.fits(case):
            yield case, "passed" if good and value == str(PROCESSES * ROUNDS) else "failed", f"counted to {value}"


MAPPED = 4 << 20


def write_mapped(number, path):
    """Every fourth line of 64 bytes is this process's own."""
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), MAPPED) as memory:
        for at in range(number * 64, MAPPED, PROCESSES * 64):
            memory[at:at + 64] = bytes([number + 1]) * 64
        memory.flush()


def mapped(mounted, options):
    """Processes that write through mappings of one file, each its own lines of the same pages."""
    del options
    path = os.path.join(mounted.folder_for("mapped"), "file")
    with open(path, "wb") as file:
        file.truncate(MAPPED)
    good = in_parallel(write_mapped, path)
    want = b"".join(bytes([number + 1]) * 64 for number in range(PROCESSES)) * (MAPPED // (64 * PROCESSES))
    for case in ("cached", "after-remount"):
        with open(path, "rb") as file:
            yield case, "passed" if good and file.read() == want else "failed", ""
        if case == "cached":
            mounted.unmount()
            mounted.mount()


# ---- one folder with very many names ----

def names(mounted, options):
    """2,000 files for each of --seconds (500: a million): made, listed, met and removed."""
    count = 2000 * options.seconds
    folder = mounted.folder_for("names")

    def each(work):
        for number in range(count):
            work(os.path.join(folder, f"name-{number:08}"))

    def timed(work):
        begun = time.monotonic()
        good = work()
        spent = time.monotonic() - begun
        return "passed" if good is not False else "failed", f"{count} names in {spent:.1f} s"

    yield "create", *timed(lambda: each(lambda path: os.close(os.open(path, os.O_CREAT | os.O_WRONLY))))
    mounted.unmount()
    mounted.mount()
    yield "list", *timed(lambda: len(set(os.listdir(folder))) == count)
    yield "stat", *timed(lambda: each(os.stat))
    yield "missing", *timed(lambda: not any(os.path.exists(f"{folder}/none-{number}") for number in range(1000)))
    yield "unlink", *timed(lambda: each(os.unlink))
    yield "empty", *timed(lambda: os.listdir(folder) == [])
    os.rmdir(folder)


SUITES = {
    "stress-ng": Suite(stress_ng, "the class filesystem, with --verify"),
    "dbench": Suite(dbench, "what a file server does, with 1 and 8 clients"),
    "fio": Suite(fio, "writes that are verified (crc32c): buffered, direct, mapped"),
    "git": Suite(git, "a clone of this project, merged, packed and checked"),
    "build": Suite(build, "this project compiled in the mount"),
    "rsync": Suite(rsync, "rsync -aHXS and tar there and back"),
    "locks": Suite(locks, "flock and fcntl locks between processes"),
    "mapped": Suite(mapped, "processes that write through mappings of one file"),
    "names": Suite(names, "very many names in one folder"),
}
