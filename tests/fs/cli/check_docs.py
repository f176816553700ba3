#!/usr/bin/env python3
"""Holds the man page and the completion against the table of commands (`assayfs help --json`).

usage: check_docs.py ASSAYFS SOURCE
"""
import json
import os
import re
import shutil
import subprocess
import sys

assayfs, source = (os.path.abspath(path) for path in sys.argv[1:3])
table = json.loads(subprocess.run([assayfs, "help", "--json"], check=True, capture_output=True).stdout)
page = open(f"{source}/docs/assayfs.1", encoding="utf-8").read()
faults = []


def fault(words):
    faults.append(words)


def man_sections():
    """The text of each command's entry: from its `.It Nm Cm words` to the next."""
    sections = {}
    starts = list(re.finditer(r"^\.It Nm Cm ([a-z -]+?)(?: (?:Oo|Op|Ar|Fl)\b.*)?$", page, re.M))
    for i, start in enumerate(starts):
        end = starts[i + 1].start() if i + 1 < len(starts) else page.index(".Sh PASSPHRASES")
        sections[start.group(1).strip()] = page[start.start():end]
    return sections


sections = man_sections()
for command in table["commands"]:
    words = command["command"]
    section = sections.pop(words, None)
    if section is None:
        fault(f"the man page has no entry for '{words}'")
        continue
    for option in command["options"]:
        if not re.search(rf"Fl Fl {re.escape(option['name'])}(?![\w-])", section):
            fault(f"the man page's entry for '{words}' lacks --{option['name']}")
        if option["letter"] and not re.search(rf"Fl {option['letter']}\b", section):
            fault(f"the man page's entry for '{words}' lacks -{option['letter']}")
    known = {option["name"] for option in command["options"]} | {"help", "policy"}
    for name in re.findall(r"Fl Fl ([a-z-]+)", section):
        if name not in known:
            fault(f"the man page promises '{words}' an option --{name} that it has not")
    for operand in re.findall(r"[A-Z]{2,}", command["operands"]):
        if not re.search(rf"\b{operand}\b", section):
            fault(f"the man page's entry for '{words}' lacks {operand}")
for words in sections:
    fault(f"the man page promises a command '{words}'")

status = page[page.index(".Sh EXIT STATUS"):page.index(".Sh EXAMPLES")]
for code in table["exits"]:
    if f".It {code['code']}\n" not in status:
        fault(f"the man page lacks exit code {code['code']}")
for code in re.findall(r"^\.It (\d+)$", status, re.M):
    if int(code) not in [c["code"] for c in table["exits"]]:
        fault(f"the man page promises an exit code {code}")



# ---- events of the audit log: as the sources make them, in `assayfs log --event`, the man page and the completion ----

def events_of_sources():
    patterns = [r'\bevent = "([a-z-]+)"', r'call_(?:begin|prepare)\([^"()]*"([a-z-]+)"\)', r'event : "([a-z-]+)"',
                r'service_(?:require|require_writable|record_denied|record_denied_detail)\([^"{;]*?"([a-z-]+)"', r'store_record\(\s*&?\w+, "([a-z-]+)"',
                r'FUSE_SET_ATTR_[A-Z]+ \? "([a-z-]+)" : "([a-z-]+)"', r'FUSE_SET_ATTR_[A-Z |()_]+\)+\s+return "([a-z-]+)"',
                r'alarms_record\([^"{;]*?"([a-z-]+)"', r'require_reader\(\w+, peer, "([a-z-]+)"',
                r'require_owner\(\w+, "([a-z-]+)"', r'(?:require_|service_backup_)steward\(\w+, peer, "([a-z-]+)"',
                r'(?:key_change_record|change_state|find_key|service_key_steward)\([^"{;]*?"([a-z-]+)"',
                r'operation_virtual_refuse\([^"()]*"([a-z-]+)"\)']
    found = set()
    for floor in ("fs", "policy", "backend"):
        for directory, _, names in os.walk(f"{source}/{floor}"):
            for name in names:
                if name.endswith(".c"):
                    text = open(os.path.join(directory, name), encoding="utf-8").read()
                    for pattern in patterns:
                        for match in re.finditer(pattern, text):
                            found.update(group for group in match.groups() if group)
    return found


events = set(table["events"])
for event in sorted(events_of_sources() ^ events):
    fault(f"event '{event}' is made by the sources or known to 'assayfs log', not both")
log_section = man_sections()["log"]
for event in sorted(events):
    if not re.search(rf"(?<![a-z-]){event}(?![a-z-])", log_section):
        fault(f"the man page's entry for 'log' lacks the event {event}")
script = f"compopt() {{ :; }}; . {source}/scripts/completion.bash; _assayfs_argument --event ''; printf '%s\\n' \"${{COMPREPLY[@]}}\""
offered = set(subprocess.run(["bash", "-c", script], check=True, capture_output=True, text=True).stdout.split())
if offered != events:
    fault(f"the completion offers other events than there are: {sorted(offered ^ events)}")


def completions(line):
    """What bash offers at the end of `line`."""
    script = f"""
        compopt() {{ :; }}
        . {source}/scripts/completion.bash
        COMP_WORDS=({line} '{'--' if line.endswith('--') else ''}')
        [ -n "${{COMP_WORDS[-1]}}" ] || true
        COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        _assayfs
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    return set(subprocess.run(["bash", "-c", script], check=True, capture_output=True, text=True).stdout.split())


first = completions("assayfs")
for command in table["commands"]:
    words = command["command"].split()
    if words[0] not in first:
        fault(f"the completion does not offer '{words[0]}'")
    if len(words) == 3 and words[2] not in completions(f"assayfs {words[0]} {words[1]}"):
        fault(f"the completion does not offer '{command['command']}'")
    if len(words) > 1 and words[1] not in completions(f"assayfs {words[0]}"):
        fault(f"the completion does not offer '{command['command']}'")
    script = f". {source}/scripts/completion.bash; _assayfs_options '{command['command']}'"
    offered = set(subprocess.run(["bash", "-c", script], check=True, capture_output=True, text=True).stdout.split())
    wanted = {f"--{option['name']}" for option in command["options"]} | {"--help"}
    if offered != wanted:
        fault(f"the completion offers '{command['command']}' {sorted(offered)}, it has {sorted(wanted)}")

for command in table["commands"]:
    help_text = subprocess.run([assayfs, *command["command"].split(), "--help"], check=True, capture_output=True,
                               text=True).stdout
    for option in command["options"]:
        if (option["help"] is not None) != (f"--{option['name']}" in help_text):
            fault(f"'{command['command']} --help' and the table differ on --{option['name']}")
    if "Exit codes:" not in help_text or not help_text.startswith(f"Usage: assayfs {command['command']} "):
        fault(f"'{command['command']} --help' lacks usage or exit codes")

if shutil.which("mandoc"):
    lint = subprocess.run(["mandoc", "-Tlint", "-Wstyle", f"{source}/docs/assayfs.1"], capture_output=True, text=True)
    serious = [line for line in lint.stdout.splitlines() if "outdated mandoc.db" not in line and "Mdocdate" not in line
               and "referenced manual not found" not in line]
    faults.extend(serious)
else:
    print("mandoc is not installed: the man page's form is not checked")

for words in faults:
    print(words)
print(f"{len(table['commands'])} commands held against the man page and the completion, {len(faults)} faults")
sys.exit(1 if faults else 0)
