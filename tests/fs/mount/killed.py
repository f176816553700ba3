#!/usr/bin/env python3
"""A mount whose process is killed lets everybody go: its clients, the vault, the process itself.

usage: killed.py ASSAYFS SOURCE        ASSAYFS_KILL_ROUNDS (5), ASSAYFS_SEED

tests: fs/guard

While files get second names, the kernel is told of it by a thread that waits for the directory's lock, which a client
holds while it waits for an answer. Without the guard four kills of five leave both waiting for ever (36 of 47).
"""
import multiprocessing
import os
import signal
import sys
import time

from promise import Vault, count, seed, wait_gone

CLIENTS = 6
PATIENCE_S = 30


def link_and_remove(directory, client):
    """Until the mount is gone."""
    number = 0
    try:
        while True:
            number += 1
            first, second = (os.path.join(directory, f"{client}-{number}-{name}") for name in ("first", "second"))
            os.close(os.open(first, os.O_CREAT | os.O_WRONLY, 0o644))
            os.link(first, second)
            os.rename(second, second + "-moved")
            os.unlink(first)
            os.unlink(second + "-moved")
    except OSError:
        pass


def guards(pid):
    """Of the process: its children of that name."""
    found = []
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        for child in file.read().split():
            with open(f"/proc/{child}/comm", encoding="ascii") as comm:
                if comm.read() == "assay-guard\n":
                    found.append(int(child))
    return found


def killed_while_names_change(v, rng, number):
    v.mount()
    guard, = guards(v.pid)
    directory = v.landing(f"links{number}")
    os.mkdir(directory)
    clients = [multiprocessing.Process(target=link_and_remove, args=(directory, client)) for client in range(CLIENTS)]
    for client in clients:
        client.start()
    time.sleep(rng.uniform(0.1, 0.4))
    try:
        v.kill()
    finally:
        for client in clients:
            client.join(PATIENCE_S)
            if client.is_alive():
                v.fault(f"round {number}: a client waits for the killed mount")
                client.kill()
    v.check(wait_gone(guard), f"round {number}: the guard stays")


def clean_end_leaves_no_guard(v):
    v.mount()
    guard, = guards(v.pid)
    os.kill(guard, signal.SIGINT)  # as Ctrl-C does, which all processes in the foreground get
    os.kill(guard, signal.SIGTERM)
    v.umount()
    v.check(wait_gone(guard), "the guard stays after umount")


def no_signal_of_others_ends_the_mount(v):
    v.mount()
    guard, = guards(v.pid)
    for number in (signal.SIGUSR1, signal.SIGRTMIN, signal.SIGHUP):
        os.kill(guard, number)
    os.kill(v.pid, signal.SIGUSR1)
    v.check(os.getsid(guard) == guard, "the guard dies with its caller's session")
    time.sleep(0.1)
    with open(v.landing("signalled"), "wb") as file:
        file.write(b"still there")
    v.umount()
    v.check(wait_gone(guard), "the guard stays")


def a_mount_without_its_guard_goes_on(v):
    v.mount()
    guard, = guards(v.pid)
    os.kill(guard, signal.SIGKILL)
    v.check(wait_gone(guard), "the guard can't be killed")
    with open(v.landing("later"), "wb") as file:
        file.write(b"still there")
    v.umount()
    v.mount()
    with open(v.landing("later"), "rb") as file:
        v.check(file.read() == b"still there", "what was written without the guard is not there")
    v.umount()


def a_stopped_guard_does_not_keep_the_mount_from_ending(v):
    v.mount()
    guard, = guards(v.pid)
    os.kill(guard, signal.SIGSTOP)
    v.umount()
    v.check(wait_gone(guard), "the stopped guard stays")


def main():
    rng = seed("killed")
    with Vault() as bystander, Vault() as v:
        bystander.mount()
        for number in range(count("ASSAYFS_KILL_ROUNDS", 5)):
            if not v.faults:
                killed_while_names_change(v, rng, number)
        if not v.faults:
            clean_end_leaves_no_guard(v)
            no_signal_of_others_ends_the_mount(v)
            a_mount_without_its_guard_goes_on(v)
            a_stopped_guard_does_not_keep_the_mount_from_ending(v)
            v.fsck()
        with open(bystander.landing("file"), "wb") as file:
            file.write(b"x")
        bystander.umount()
        return v.end()


sys.exit(main())
