"""A file system of a size that a test can change."""
import os
import subprocess

from promise import skip


class Disk:
    def __init__(self, path, size):
        self.path = path
        os.mkdir(path)
        self.size(size, "mount", "-t", "tmpfs", "tmpfs", path)

    def size(self, size, *command):
        command = command or ("mount", self.path)
        done = subprocess.run([command[0], "-o", ("" if len(command) > 2 else "remount,") + f"size={size}", *command[1:]],
                              capture_output=True, check=False)
        if done.returncode:
            skip(f"no tmpfs here: {done.stderr.decode().strip()}")

    def end(self):
        subprocess.run(["umount", "-l", self.path], check=False)
