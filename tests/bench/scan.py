"""scripts/bench scan: how fast personal data is looked for, beside grep -P and ripgrep with the same expressions."""
import os
import random
import shutil
import subprocess
import tempfile

from filesystems import Failed
from policy import cell, speed, timed, write_table

GOAL = 400  # MB/s a core, all detectors
PRESIDIO = "15 KB/s"  # its users' figure for a table of 7 MB and 700,000 lines (microsoft/presidio, issue 1461)
SLOW_BYTES = 4 << 20  # what programs are given that need minutes for more


def made_up(folder, name, line, size):
    """A file of lines that are unlike one another."""
    chance = random.Random(7)
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        while file.tell() < size:
            file.write("".join(line(chance) for _ in range(10000)))
    return path, os.path.getsize(path)


def log_line(chance):
    r = chance.randrange
    return (
        f"2024-{r(12) + 1:02}-{r(28) + 1:02}T{r(24):02}:{r(60):02}:{r(60):02}.{r(10**6):06}Z INFO worker-{r(99)} request "
        f"{r(1 << 32):08x}-{r(1 << 16):04x} from 10.{r(256)}.{r(256)}.{r(256)} /api/v1/items/{r(10**6)} took {r(999)} ms\n"
    )


def table_line(chance):
    r = chance.randrange
    return (
        f"{10**8 + r(10**8)},{r(1 << 32):08x}-{r(1 << 16):04x}-4{r(1 << 12):03x}-a{r(1 << 12):03x}-{r(1 << 48):012x},"
        f"{r(10**5) / 100},{('Vancouver', 'New Westminster', 'Port Moody')[r(3)]},2024-0{r(9) + 1}-1{r(9)} 10:11:12\n"
    )


def head_of(path, size, folder):
    """The file, or a shorter one with its first lines."""
    if os.path.getsize(path) <= size:
        return path
    short = os.path.join(folder, "short-" + os.path.basename(path))
    with open(path, "rb") as source, open(short, "wb") as file:
        file.write(source.read(size).rpartition(b"\n")[0] + b"\n")
    return short


def measure(arguments, path, rounds, **more):
    """MB/s of processor time, median; None: it failed."""
    try:
        figures = [timed([*arguments, path], 1, **more) for _ in range(rounds)]
    except Failed:
        return None
    return speed(figures, os.path.getsize(path), 0)


def measure_scan(options, build):
    """Measures, and returns the table as text."""
    folder = tempfile.mkdtemp(prefix="assayfs-bench-scan-", dir=options.tmpfs)
    program = os.path.join(build, "fs", "assayfs")
    patterns = os.path.join(folder, "patterns")
    size = (32 << 20) if options.quick else (1 << 30)
    try:
        with open(patterns, "w", encoding="utf-8") as file:
            subprocess.run([os.path.join(build, "tests", "policy", "bench_policy_patterns")], stdout=file, check=True)
        city = os.path.join(folder, "city.csv")
        size, words = write_table(city, size)
        files = [
            (f"{words}, {size / 2**20:,.0f} MiB", city, GOAL),
            ("made-up table: ids, UUIDs, amounts, cities, times, 64 MiB", made_up(folder, "table.csv", table_line, 64 << 20)[0], None),
            ("made-up log lines, 64 MiB", made_up(folder, "log.txt", log_line, 64 << 20)[0], None),
        ]
        others = {"grep -P": ["grep", "-cP", "-f", patterns], "ripgrep": ["rg", "-cP", "-f", patterns]}
        lines = [
            f"MB/s of one core's processor time, median of {options.rounds}; Presidio, as its users say: {PRESIDIO}", "",
            f"| | low | high | {' | '.join(others)} (first 4 MiB) | goal at low |", "| --- | --- | --- | --- | --- | --- |",
        ]
        for title, path, goal in files:
            cells = [measure([program, "scan", "--sensitivity", s], path, options.rounds) for s in ("low", "high")]
            short = head_of(path, SLOW_BYTES, folder)
            for arguments in others.values():
                there = shutil.which(arguments[0])
                cells.append(measure(arguments, short, 1, env={**os.environ, "LC_ALL": "C.UTF-8"}) if there else None)
            met = "–" if goal is None else f"{goal}: " + ("met" if cells[0] >= goal else "missed")
            lines.append(f"| {title} | {' | '.join(fine(c) for c in cells)} | {met} |")
        lacking = [name for name, arguments in others.items() if not shutil.which(arguments[0])]
        return "\n".join(lines + ([f"\nnot installed: {', '.join(lacking)} (scripts/setup --bench)"] if lacking else []))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fine(value):
    """With a digit behind the point where it is small."""
    return cell(value) if value is None or value >= 10 else f"{value:.1f}"
