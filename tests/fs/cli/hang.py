"""Where processes stand that do not go on: for the words of a test that gave up waiting."""
import contextlib
import os
import shutil
import subprocess


def read(path):
    with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
        return " ".join(file.read().replace("\0", " ").split())
    return "?"


def links(pid):
    """What it has open, and where it stands."""
    with contextlib.suppress(OSError):
        for link in [f"/proc/{pid}/cwd", *(entry.path for entry in os.scandir(f"/proc/{pid}/fd"))]:
            with contextlib.suppress(OSError):
                yield os.readlink(link)


def tell(directory):
    """Of each other process with something open below the directory, a line for each thread: what it waits for in the
    kernel; and its stack, where there is gdb."""
    lines = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if int(pid) == os.getpid() or not any(link.startswith(directory) for link in links(pid)):
            continue
        lines.append(f"{pid}: {read(f'/proc/{pid}/cmdline')}")
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{pid}/task"):
                at = f"/proc/{pid}/task/{thread}"
                lines.append(f"  {thread} {read(f'{at}/comm')}: {read(f'{at}/wchan')}, syscall {read(f'{at}/syscall')}, {read(f'{at}/stack')}")
        if shutil.which("gdb"):
            done = subprocess.run(["gdb", "-p", pid, "-batch", "-ex", "thread apply all bt 16"], check=False,
                                  capture_output=True, timeout=60)
            lines.append(done.stdout.decode(errors="replace")[-20000:])
    return "\n".join(lines)
