"""scripts/suites counts what a suite says, fails for what nobody expects, and leaves nothing behind. (mount, 120 s)

usage: test_suites.py ASSAYFS SOURCE
"""
import os
import subprocess
import sys
import tempfile

ASSAYFS, SOURCE = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
SUITES = os.path.join(SOURCE, "scripts/suites")

# A suite as pjdfstest writes them: one that passes, one that fails, one that is only half there.
FILES = {
    "good/00.t": "echo 1..2; echo 'ok 1'; touch x && echo 'ok 2' || echo 'not ok 2'",
    "bad/00.t": "echo 1..3; echo 'ok 1'; echo 'not ok 2 - wrong'; echo 'not ok 3 # TODO later'",
    "short/00.t": "echo 1..9; echo 'ok 1'",
}

failures = []


def expect(words, holds):
    if not holds:
        failures.append(words)
        print("FAILED:", words)


def suites(*words):
    done = subprocess.run([SUITES, "--assayfs", ASSAYFS, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False, env={**os.environ, "TMPDIR": folder})
    return done.returncode, done.stdout


def left_behind():
    with open("/proc/mounts", encoding="utf-8") as mounts:
        return [name for name in os.listdir(folder) if name.startswith("assayfs-suite")] + \
            [line for line in mounts if folder in line]


def counts_of_a_suite_from_elsewhere():
    built = os.path.join(folder, "built")
    for name, text in {**{"tests/" + name: text for name, text in FILES.items()}, "pjdfstest": ""}.items():
        os.makedirs(os.path.dirname(os.path.join(built, name)), exist_ok=True)
        with open(os.path.join(built, name), "w", encoding="utf-8") as file:
            file.write(text + "\n")
    status, output = suites("--from", built, "pjdfstest")
    expect("a failure nobody expects is exit 1", status == 1)
    expect(f"it is counted: {output}", "7 ran, 5 passed, 2 failed" in output and output.strip().endswith(
        "failed: bad/00.t:2 short/00.t"))
    status, output = suites("--from", built, "--only", "good/*", "pjdfstest")
    expect(f"what passes is exit 0: {output}", status == 0 and "2 ran, 2 passed, 0 failed" in output)


def what_processes_do_to_one_file():
    status, output = suites("locks", "mapped")
    expect(f"locks and mappings hold: {output}", status == 0 and output.count("2 ran, 2 passed, 0 failed") == 2)


def wrong_usage():
    expect("an unknown suite is exit 2", suites("nonsense")[0] == 2)
    expect("a suite that has to be built says so", suites("ltp")[0] == 2)
    expect("a suite that is not there is exit 77", suites("--from", folder, "ltp")[0] == 77)


if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
    print("skipped: it takes root and /dev/fuse")
    sys.exit(77)
with tempfile.TemporaryDirectory() as folder:
    counts_of_a_suite_from_elsewhere()
    what_processes_do_to_one_file()
    wrong_usage()
    expect("nothing is left behind", not left_behind())
sys.exit(1 if failures else 0)
