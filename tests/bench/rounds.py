"""The rounds of scripts/bench: fresh file systems, one after the other, and the figures that come of them."""
import contextlib
import json
import os
import shutil
import sys
import tempfile

from filesystems import KINDS
from workloads import Run, Sizes, make_tar


class Kept:
    """Figures that earlier runs wrote with --json; those of a later file stand for those of an earlier one."""

    def __init__(self, files):
        self.figures, self.memories, self.processor = {}, {}, {}
        for name in files:
            with open(name, encoding="utf-8") as file:
                kept = json.load(file)
            self.figures |= kept["figures"]
            self.memories |= kept["memory"]
            self.processor |= kept.get("processor", {})


class Bench:
    """All scenarios on all file systems, in rounds; keeps the figures."""

    def __init__(self, options, build):
        self.options, self.build, self.sizes = options, build, Sizes(options.quick)
        self.disk = tempfile.mkdtemp(prefix="assayfs-bench-", dir=options.dir)
        self.memory = tempfile.mkdtemp(prefix="assayfs-bench-", dir=options.tmpfs)
        self.figures, self.memories, self.processor = {}, {}, {}

    def close(self):
        for folder in (self.disk, self.memory):
            shutil.rmtree(folder, ignore_errors=True)

    def tar(self):
        """The archive, made when it is first asked for."""
        path = os.path.join(self.memory, "tree.tar")
        if not os.path.exists(path):
            make_tar(path, self.sizes.tree)
        return path

    def note(self, fs, name, figure=None, memory=None, processor=None):
        for kept, value in ((self.figures, figure), (self.memories, memory), (self.processor, processor)):
            if value is not None:
                kept.setdefault(name, {}).setdefault(fs, []).append(value)

    @contextlib.contextmanager
    def fresh(self, name, on_tmpfs=False):
        folder = tempfile.mkdtemp(prefix=name + "-", dir=self.memory if on_tmpfs else self.disk)
        fs = KINDS[name](folder, self.build)
        try:
            fs.make()
            fs.mount()
            yield fs
        finally:
            fs.close()

    def measure(self, scenario, peers):
        for number in range(self.options.rounds):
            # Another one begins in each round, so that no place in the row is always the same one's.
            turned = peers[number % len(peers) :] + peers[: number % len(peers)]
            for name in turned:
                say(f"{scenario.name}: round {number + 1} of {self.options.rounds}, {name}")
                with self.fresh(name, scenario.on_tmpfs) as fs:
                    scenario.steps(Run(fs, self.sizes, self, lambda *a, fs=name, **k: self.note(fs, *a, **k)))


def say(words):
    """What is being done, on a terminal's one line."""
    if sys.stderr.isatty():
        print(f"\r\033[K{words}", end="", file=sys.stderr, flush=True)
