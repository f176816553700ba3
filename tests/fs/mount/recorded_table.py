"""The tables of docs/audit-log.md, "What is recorded"."""
import re

BY_ROLE = "by role: "  # of a refusal: others the kernel makes by itself
# In each record.
ALWAYS = {"seq", "time", "event", "outcome", "uid", "gid", "pid", "exe"}


def cells(line):
    return [cell.strip().replace("`", "") for cell in line.strip().strip("|").replace("\\|", "\0").split("|")]


def words(cell):
    return [] if cell in ("–", "") else [word for word in re.split(r"[ ,]+", cell) if word]


def table_lines(page):
    with open(page, encoding="utf-8") as file:
        part = file.read().split("\n## What is recorded\n", 1)[1].split("\n## ", 1)[0]
    return [line for line in part.splitlines() if line.startswith("|")]


def named_events(page):
    """What any row names, also among its remarks."""
    return set(re.findall("`([a-z-]+)`", "\n".join(table_lines(page))))


def read_tables(page):
    """{operation: {granted: [event], refused: [event], only_role, fields: [of each that is granted: {name}]}} of all tables below the heading."""
    rows = {}
    for line in table_lines(page):
        if line.startswith("| ---") or line.startswith("| operation"):
            continue
        operation, granted, refused, fields = (cell.replace("\0", "|") for cell in cells(line)[:4])
        if operation in rows:
            raise ValueError(f"{operation} stands twice in {page}")
        only_role = refused.startswith(BY_ROLE)
        rows[operation] = {"granted": words(granted), "refused": words(refused.removeprefix(BY_ROLE)), "only_role": only_role,
                           "fields": [set(words(part)) for part in fields.split(";")]}
    return rows
