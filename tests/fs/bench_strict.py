#!/usr/bin/env python3
"""What --audit=strict costs: opens, creates and removals a second, batched and strict in turns, by 1 and by 8 processes.

usage: bench_strict.py ASSAYFS [DIRECTORY]       ASSAYFS_ROUNDS (5), ASSAYFS_SECONDS (1)

The vault is made in DIRECTORY (of the disk that is to be measured; default: the temporary one). Medians of the rounds.
"""
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ASSAYFS = os.path.abspath(sys.argv[1])
ROUNDS = int(os.environ.get("ASSAYFS_ROUNDS", "5"))
SECONDS = float(os.environ.get("ASSAYFS_SECONDS", "1"))


def open_again(path, _):
    os.close(os.open(path, os.O_RDONLY))


def create(path, number):
    os.close(os.open(f"{path}-{number}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def rename(path, number):
    os.rename(path + ("r" if number % 2 else ""), path + ("" if number % 2 else "r"))


def work(act, path, ready, go, done):
    number, stamp = 0, time.time_ns()
    os.mkdir(path)  # of its own: the kernel lets one at a time change a directory
    path = path + "/f"
    with open(path, "wb"):
        pass
    ready.release()
    go.wait()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        act(path, number if act is rename else stamp + number)
        number += 1
    done.put(number)


def rate(act, directory, processes):
    ready, go, done = multiprocessing.Semaphore(0), multiprocessing.Event(), multiprocessing.Queue()
    workers = [multiprocessing.Process(target=work, args=(act, f"{directory}/{act.__name__}-{time.time_ns()}-{i}", ready, go, done))
               for i in range(processes)]
    for worker in workers:
        worker.start()
    for _ in workers:
        ready.acquire()
    go.set()
    total = sum(done.get() for _ in workers)
    for worker in workers:
        worker.join()
    return total / SECONDS


def main():
    top = tempfile.mkdtemp(prefix="assayfs-strict-", dir=sys.argv[2] if len(sys.argv) > 2 else None)
    vault, mnt, secret = (os.path.join(top, name) for name in ("vault", "mnt", "pass"))
    os.mkdir(mnt)
    with open(secret, "w", encoding="utf-8", opener=lambda p, f: os.open(p, f, 0o600)) as file:
        file.write("what is measured\n")
    subprocess.run([ASSAYFS, "init", "--argon-mem", "1024", "--argon-ops", "1", "--passfile", secret, vault], check=True, stdout=subprocess.DEVNULL)
    found = {}
    try:
        for _ in range(ROUNDS):
            for mode in ("batched", "strict"):
                subprocess.run([ASSAYFS, "mount", "--audit", mode, "--passfile", secret, vault, mnt], check=True)
                for act in (open_again, create, rename):
                    for processes in (1, 8):
                        found.setdefault((act.__name__, processes, mode), []).append(rate(act, mnt + "/Landing", processes))
                subprocess.run([ASSAYFS, "umount", mnt], check=True)
        print("| a second | processes | batched | strict | strict takes, us more |\n| --- | --- | --- | --- | --- |")
        for (name, processes, mode), rates in found.items():
            if mode == "strict":
                batched, strict = statistics.median(found[name, processes, "batched"]), statistics.median(rates)
                print(f"| {name} | {processes} | {batched:,.0f} | {strict:,.0f} | {1e6 / strict - 1e6 / batched:,.0f} |")
    finally:
        if os.path.ismount(mnt):
            subprocess.run(["umount", "-l", mnt], check=False)
        shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    main()
