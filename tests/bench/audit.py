"""scripts/bench audit: records a second by mode beside what auditd is said to reach, and a week of a million a day."""
import contextlib
import os
import shutil
import statistics
import tempfile

from filesystems import run

# Linux auditd as its published measurements have it: each event flushed, and none.
AUDITD = {"synchronous": 45, "no flush": 38000}
APPEND_GOAL, HOT_GOAL, ARCHIVED_GOAL = 100000, 350, 200
TILE_BYTES = 33  # a hash, and its share of the tiles above and of their rows
QUERIES = [
    ("last_100", "the last 100"),
    ("hour", "an hour, all of it"),
    ("denials_of_a_day", "what was refused on a day"),
    ("node_of_a_day", "one file on a day, by its number"),
    ("user_newest_1000", "a user's newest 1,000"),
    ("rare_user_week", "all of the user who does least, in the week"),
    ("rare_file_week", "one file's path, in the week"),
]


@contextlib.contextmanager
def place_in(folder):
    place = tempfile.mkdtemp(prefix="assayfs-bench-audit-", dir=folder)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def measured(program, place, *arguments):
    """The "name value" lines that the program prints."""
    lines = run(program, place, *map(str, arguments)).splitlines()
    return {name: float(value) for name, value in map(str.split, lines)}


def bytes_below(place, *names):
    """Of a part of the vault: one file, or all in a folder."""
    path = os.path.join(place, "vault", *names)
    return sum(map(os.path.getsize, [os.path.join(path, name) for name in os.listdir(path)] if os.path.isdir(path) else [path]))


def median_rate(program, options, *arguments):
    figures = []
    for _ in range(options.rounds):
        with place_in(options.dir) as place:
            figures.append(measured(program, place, *arguments)["per_second"])
    return statistics.median(figures)


def rates(program, options):
    many, few = (20000, 200) if options.quick else (1000000, 3000)
    batched = [median_rate(program, options, "append", many, threads) for threads in (1, 4)]
    waiting = [median_rate(program, options, "strict", few * threads, threads) for threads in (1, 8)]
    met = "met" if batched[0] >= APPEND_GOAL else "missed"
    return "\n".join([
        f"records a second until all are durable, median of {options.rounds}; auditd as published, on another machine", "",
        "| assayfs | | auditd | |", "| --- | --- | --- | --- |",
        f"| batched, 1 thread (goal {APPEND_GOAL:,}: {met}) | {batched[0]:,.0f} | no flush | {AUDITD['no flush']:,} |",
        f"| batched, 4 threads | {batched[1]:,.0f} | | |",
        f"| each waits until its record is durable, 1 thread | {waiting[0]:,.0f} | synchronous | {AUDITD['synchronous']:,} |",
        f"| the same, 8 threads that share commits | {waiting[1]:,.0f} | | |",
    ])


def week(program, options):
    a_day = 10000 if options.quick else 1000000
    records = 7 * a_day
    with place_in(options.dir) as place:
        figures = measured(program, place, "week", a_day)
        database, copy = (bytes_below(place, name) / records for name in ("meta.db", "meta"))
        old = measured(program, place, "archive")
        files = bytes_below(place, "audit") / old["archive_records"]
    met = "met" if database + copy <= HOT_GOAL else "missed"
    lines = [
        f"a week of {a_day:,} records a day: {database + copy:.0f} bytes a record on the disk (goal {HOT_GOAL}: {met}): "
        f"{database:.0f} in meta.db, {copy:.0f} in its second copy (meta/)", "",
        "| query | records | ms |", "| --- | --- | --- |",
    ]
    for name, words in QUERIES:
        lines.append(f"| {words} | {figures['found_' + name]:,.0f} | {figures['query_' + name]:,.1f} |")
    lines.append(f"| every record and tile verified | {records:,} | {figures['verify_s'] * 1000:,.0f} |")
    kept = files + 2 * TILE_BYTES
    met = "met" if kept <= ARCHIVED_GOAL else "missed"
    lines += [
        "", f"archived and pruned: {kept:.0f} bytes a record (goal {ARCHIVED_GOAL}: {met}): {files:.0f} in the archive, "
        f"{TILE_BYTES} for its hash in the tree, and in the second copy as much", "",
        "| | records a second | longest wait of somebody else meanwhile, ms |", "| --- | --- | --- |",
    ]
    for name, words in (("archive", "sealed, synced, read back, verified"), ("prune", "verified once more, pruned")):
        rate = old[name + "_records"] / max(old[name + "_s"], 0.01)
        lines.append(f"| {words} | {rate:,.0f} | {old[name + '_waited_ms']:,.0f} |")
    return "\n".join(lines)


def measure_audit(options, build):
    """Measures, and returns the tables as text."""
    program = os.path.join(build, "tests", "backend", "bench_audit_append")
    return rates(program, options) + "\n\n" + week(program, options)
