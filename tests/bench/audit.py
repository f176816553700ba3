"""scripts/bench audit: records a second by mode beside what auditd is said to reach, and a week of a million a day."""
import os
import shutil
import statistics
import tempfile

from filesystems import run

# Linux auditd as its published measurements have it: each event flushed, and none.
AUDITD = {"synchronous": 45, "no flush": 38000}
APPEND_GOAL, HOT_GOAL = 100000, 350
QUERIES = [
    ("last_100", "the last 100"),
    ("hour", "an hour, all of it"),
    ("denials_of_a_day", "what was refused on a day"),
    ("node_of_a_day", "one file on a day, by its number"),
    ("user_newest_1000", "a user's newest 1,000"),
    ("rare_user_week", "all of the user who does least, in the week"),
    ("rare_file_week", "one file's path, in the week"),
]


def measured(program, folder, *arguments):
    """The "name value" lines that the program prints, and the bytes that the vault then has by part."""
    place = tempfile.mkdtemp(prefix="assayfs-bench-audit-", dir=folder)
    try:
        lines = run(program, place, *map(str, arguments)).splitlines()
        figures = {name: float(value) for name, value in map(str.split, lines)}
        vault = os.path.join(place, "vault")
        packs = os.path.join(vault, "meta")
        figures["database"] = os.path.getsize(os.path.join(vault, "meta.db"))
        figures["packs"] = sum(os.path.getsize(os.path.join(packs, name)) for name in os.listdir(packs))
        return figures
    finally:
        shutil.rmtree(place, ignore_errors=True)


def median_rate(program, options, *arguments):
    return statistics.median(measured(program, options.dir, *arguments)["per_second"] for _ in range(options.rounds))


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
    figures = measured(program, options.dir, "week", a_day)
    records = 7 * a_day
    database, packs = figures["database"] / records, figures["packs"] / records
    met = "met" if database + packs <= HOT_GOAL else "missed"
    lines = [
        f"a week of {a_day:,} records a day: {database + packs:.0f} bytes a record on the disk (goal {HOT_GOAL}: {met}): "
        f"{database:.0f} in meta.db, {packs:.0f} in its second copy (meta/)", "",
        "| query | records | ms |", "| --- | --- | --- |",
    ]
    for name, words in QUERIES:
        lines.append(f"| {words} | {figures['found_' + name]:,.0f} | {figures['query_' + name]:,.1f} |")
    lines.append(f"| every record and tile verified | {records:,} | {figures['verify_s'] * 1000:,.0f} |")
    if "archive_bytes" in figures:
        lines += ["", f"archived: {figures['archive_bytes'] / records:.0f} bytes a record (goal 200), "
                      f"{records / figures['archive_s']:,.0f} records a second"]
    return "\n".join(lines)


def measure_audit(options, build):
    """Measures, and returns the tables as text."""
    program = os.path.join(build, "tests", "backend", "bench_audit_append")
    return rates(program, options) + "\n\n" + week(program, options)
