"""scripts/bench policy: how fast a table is held against rules, beside DuckDB computing the same."""
import json
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time

from filesystems import Failed

HERE = os.path.dirname(os.path.abspath(__file__))
CITY_FILE = "vancouver/animal-control-inventory-lost-and-found.csv"
RULESETS = {
    "count": ("RowCount alone", 1000, "Rules = [ RowCount > 10 ]"),
    "rules": (
        "eight rules",
        400,
        'Rules = [ RowCount > 10000, ColumnCount = 6, IsComplete "Breed", Completeness "Color" > 0.9, '
        'ColumnValues "Date" matches "\\d{4}-\\d{2}-\\d{2}", ColumnLength "Name" <= 30, '
        'ColumnValues "Sex" in ["F","M","F/S","M/N","X",EMPTY], '
        'ColumnValues "State" in ["Lost","Matched","Found"] with threshold > 0.99 ]',
    ),
}


def city_rows():
    """Header and rows of the city's file, or of a table like it where that is not at hand."""
    path = os.path.join(os.environ.get("ASSAYFS_TEST_DATA", ""), CITY_FILE)
    if os.path.exists(path):
        with open(path, "rb") as file:
            header, _, rows = file.read().partition(b"\n")
        return header + b"\n", rows if rows.endswith(b"\n") else rows + b"\n", "the city's file"
    sexes, states = ["F", "M", "F/S", "M/N", "X", ""], ["Lost", "Matched", "Found"]
    rows = "".join(
        f"Cat - DSH Tabby {i % 1000};Orange w/white;20{i % 25:02}-{i % 12 + 1:02}-{i % 28 + 1:02};Animal {i};"
        f"{sexes[i % 6]};{states[i % 3]}\r\n"
        for i in range(20000)
    )
    return b"Breed;Color;Date;Name;Sex;State\r\n", rows.encode(), "made-up rows (no ASSAYFS_TEST_DATA)"


def write_table(path, size):
    header, rows, words = city_rows()
    with open(path, "wb") as file:
        file.write(header)
        for _ in range(max(1, (size - len(header)) // len(rows))):
            file.write(rows)
    with open(path, "rb") as file:  # into the page cache
        while file.read(1 << 20):
            pass
    return os.path.getsize(path), words


def timed(arguments, threads, **more):
    """(processor seconds, wall seconds, output) of a program on so many cores."""
    cores = sorted(os.sched_getaffinity(0))[:threads]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        arguments, capture_output=True, text=True, check=False, preexec_fn=lambda: os.sched_setaffinity(0, cores), **more
    )
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode > 1:
        raise Failed(f"{' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, wall, done.stdout


def install_duckdb(folder):
    """DuckDB's Node package in a folder of its own; the reason why not, or None."""
    if not shutil.which("npm") or not shutil.which("node"):
        return "npm is not installed"
    with open(os.path.join(folder, "package.json"), "w", encoding="utf-8") as file:
        file.write("{}")
    try:
        done = subprocess.run(
            ["npm", "install", "--no-save", "--no-audit", "--no-fund", "@duckdb/node-api"],
            cwd=folder, capture_output=True, text=True, timeout=300, check=False,
        )
    except subprocess.TimeoutExpired:
        return "npm install @duckdb/node-api: no answer in 300 s"
    return None if done.returncode == 0 else "npm install @duckdb/node-api: " + done.stderr.strip().splitlines()[-1]


def measure_assayfs(build, path, rules, threads, rounds):
    program = os.path.join(build, "fs", "assayfs")
    return [timed([program, "check", "--rules", rules, path], threads)[:2] for _ in range(rounds)]


def measure_duckdb(folder, path, name, threads, rounds):
    figures = []
    for _ in range(rounds):
        arguments = ["node", os.path.join(HERE, "duckdb.mjs"), path, name, str(threads)]
        said = json.loads(timed(arguments, threads, cwd=folder)[2])
        figures.append((said["cpu"], said["wall"]))
    return figures


def speed(figures, size, which):
    return size / statistics.median(f[which] for f in figures) / 1e6 if figures else None


def cell(value):
    return "–" if value is None else f"{value:,.0f}"


def faster(ours, theirs):
    return "–" if theirs is None else "met" if ours > theirs else "missed"


def measure_policy(options, build):
    """Measures, and returns the table as text."""
    size = (64 << 20) if options.quick else (1 << 30)
    folder = tempfile.mkdtemp(prefix="assayfs-bench-policy-", dir=options.tmpfs)
    try:
        path = os.path.join(folder, "table.csv")
        size, words = write_table(path, size)
        duckdb = os.path.join(folder, "duckdb")
        os.mkdir(duckdb)
        why_not = install_duckdb(duckdb)
        lines = [
            f"{words}, {size / 2**20:,.0f} MiB in memory; MB/s, median of {options.rounds}", "",
            "| | cores and threads | assayfs, processor | assayfs, wall | DuckDB, processor | DuckDB, wall | goal |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
        most = min(2, len(os.sched_getaffinity(0)))
        for name, (title, goal, text) in RULESETS.items():
            rules = os.path.join(folder, name + ".dqdl")
            with open(rules, "w", encoding="utf-8") as file:
                file.write(text)
            for threads in range(1, most + 1):
                ours = measure_assayfs(build, path, rules, threads, options.rounds)
                theirs = [] if why_not else measure_duckdb(duckdb, path, name, threads, options.rounds)
                cells = [speed(f, size, which) for f in (ours, theirs) for which in (0, 1)]
                met = "met" if cells[0] >= goal else "missed"
                wanted = f"{goal:,}: {met}" if threads == 1 else "faster: " + faster(cells[1], cells[3])
                lines.append(f"| {title} | {threads} | {' | '.join(cell(c) for c in cells)} | {wanted} |")
        if why_not:
            lines += ["", f"DuckDB was not measured: {why_not}"]
        return "\n".join(lines)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
