"""What the tests of the gate share: a mounted vault under the Vancouver policy, and a reader that watches Trusted.

Made for the City of Vancouver's lost-and-found file; where that is not at hand a file of the same dialect (`;`, BOM,
CRLF) is generated, with the same header, so that the same rules hold.
"""
import json
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from cli import ASSAYFS, Tests  # noqa: E402

if not os.path.exists("/dev/fuse"):
    print("skipped: /dev/fuse is missing")
    sys.exit(77)

CHEAP = ["--argon-mem", "1024", "--argon-ops", "1"]
KEY_USES = ("key-decrypt", "key-generate-data-key")
NAME = "animals/lost-and-found.csv"
# By each rule: what expected_metrics.json says it must measure, by the names that Glue gives metrics.
RULES = """Rules = [
    RowCount > 10000,
    ColumnCount = 6,
    ColumnExists "Breed",
    IsComplete "Date",
    Completeness "Name" > 0.85,
    Uniqueness "Breed" < 0.5,
    ColumnValues "Sex" in ["M", "M/N", "F", "F/S", "X", NULL],
    ColumnValues "State" in ["Lost", "Matched", "Found", NULL]
]
"""
POLICY = """version: 1
datasets:
  - name: animal-lost-and-found
    match: "animals/*.csv"
    rules: animals.dqdl
    nulls: empty
"""


def generated(rows=17628, seed=20261123):
    """A file of the same dialect and header that the rules above pass."""
    rng = random.Random(seed)
    breeds = ["Cat - DSH", "Shiba Inu", "Corgi", "Pit Bull", "Bird - Lovebird", "Coonhound Sharpie X"]
    lines = ["\ufeffBreed;Color;Date;Name;Sex;State"]
    for _ in range(rows):
        lines.append(";".join((rng.choice(breeds), rng.choice(["Black", "Brown", "White & tan", "Orange w/white"]),
                               f"20{rng.randrange(10, 25)}-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}",
                               rng.choice(["Sesame", "Daisy", "Bao", "Dozer", "Not Provided", "N" + str(rng.random())]),
                               rng.choice(["M", "M/N", "F", "F/S", "X", ""]), rng.choice(["Lost", "Matched", "Found"]))))
    return ("\r\n".join(lines) + "\r\n").encode()


def vancouver():
    """(bytes of the file, expected metrics or None)."""
    folder = os.path.join(os.environ.get("ASSAYFS_TEST_DATA", "../shared/data"), "vancouver")
    try:
        with open(os.path.join(folder, "animal-control-inventory-lost-and-found.csv"), "rb") as file:
            content = file.read()
        with open(os.path.join(folder, "expected_metrics.json"), encoding="utf-8") as file:
            return content, json.load(file)["animal-control-inventory-lost-and-found.csv"]
    except FileNotFoundError:
        print("note: the Vancouver file is not here; a generated one of its dialect takes its place")
        return generated(), None


def spoil(content, share=0.4, seed=1):
    """40% of the last column becomes a value that no rule allows; as long as before, so that sizes tell nothing."""
    rng = random.Random(seed)
    lines = content.split(b"\r\n")
    for i in range(1, len(lines)):
        head, _, state = lines[i].rpartition(b";")
        if state and rng.random() < share:
            lines[i] = head + b";" + b"#" * len(state)
    return b"\r\n".join(lines)


READER = r"""
import hashlib, os, sys, time
mnt, report, allowed = sys.argv[1], sys.argv[2], set(sys.argv[3].split(','))
sizes = {int(s) for s in sys.argv[4].split(',')}
names = sys.argv[5].split(',')
seen = rounds = 0
def fault(words):
    with open(report, 'a') as f: f.write(words + '\n')
def look(path):
    global seen
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return
    try:
        about = os.fstat(fd)
        if not os.path.stat.S_ISREG(about.st_mode):
            return
        if about.st_size not in sizes:
            fault(f'{path}: size {about.st_size}')
        data = b''
        while True:
            piece = os.read(fd, 1 << 20)
            if not piece: break
            data += piece
        if hashlib.sha256(data).hexdigest() not in allowed:
            fault(f'{path}: {len(data)} bytes that are not a good file: {data[:60]!r}')
        seen += 1
    except OSError as e:
        pass
    finally:
        os.close(fd)
def stat(path):
    try:
        about = os.stat(path)
        if os.path.stat.S_ISREG(about.st_mode) and about.st_size not in sizes:
            fault(f'{path}: stat says size {about.st_size}')
    except OSError:
        pass
print('ready', flush=True)
while os.path.exists(report + '.go'):
    rounds += 1
    for base in ('Trusted', '.assayfs/at/2200-01-01/Trusted') if rounds % 8 == 0 else ('Trusted',):
        for folder, dirs, files in os.walk(os.path.join(mnt, base)):
            for name in files:
                look(os.path.join(folder, name))
    for name in names:
        stat(os.path.join(mnt, 'Trusted', name))
        look(os.path.join(mnt, 'Trusted', name))
print(rounds, seen, flush=True)
"""


class GateTests(Tests):
    def mounted(self, policy=POLICY, rules=RULES, options=()):
        self.write("pass", "correct horse\n")
        self.assayfs("init", *CHEAP, "--passfile", "pass", "v")
        os.makedirs(self.path("mnt"), exist_ok=True)
        self.mnt = self.path("mnt")
        self.mount(*options)
        if policy:
            self.policy(policy, rules)

    def mount(self, *options):
        self.assayfs("mount", *options, "--passfile", "pass", "v", "mnt")

    def policy(self, policy=POLICY, rules=RULES):
        os.makedirs(self.path("policy"), exist_ok=True)
        self.write("policy/policy.yaml", policy)
        self.write("policy/animals.dqdl", rules)
        return self.assayfs("policy", "apply", "policy", "mnt")

    def is_mounted(self):
        with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
            return f" {self.path('mnt')} " in mounts.read()

    def clean_up(self):
        self.stop_readers()
        if self.is_mounted():
            self.unmount(self.path("mnt"))

    # ---- files

    def at(self, path):
        return os.path.join(self.mnt, path)

    def put(self, path, content):
        os.makedirs(os.path.dirname(self.at(path)), exist_ok=True)
        with open(self.at(path), "wb") as file:
            file.write(content)
        return self.at(path)

    def get(self, path):
        """The bytes, or None when there is no such file."""
        try:
            with open(self.at(path), "rb") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def outside(self, name, content):
        return self.write(name, content)

    def why(self, path):
        done = subprocess.run([ASSAYFS, "why", "--json", self.at(path)], capture_output=True, check=False, timeout=60)
        return json.loads(done.stdout or b"{}")

    def outcome(self, path, *wanted, seconds=20):
        """The verdict on a path, as soon as it is one of `wanted`."""
        end, last = time.monotonic() + seconds, None
        while time.monotonic() < end:
            last = self.why(path).get("outcome")
            if last in wanted:
                return last
            time.sleep(0.05)
        self.faults.append(f"{path}: {last}, not one of {wanted}")
        return last

    def wait_for(self, path, content, seconds=20):
        """Waits until the file has these bytes; the time that took, or a fault."""
        begin = time.monotonic()
        while time.monotonic() - begin < seconds:
            if self.get(path) == content:
                return time.monotonic() - begin
            time.sleep(0.01)
        self.faults.append(f"{path} did not become what it should within {seconds} s")
        return seconds

    def idle(self, seconds=30):
        """Waits until no check is queued or running."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            status = self.json("status", "--json", "mnt")
            pending = status.get("zones", [{}])[0].get("outcomes", {}).get("pending")
            jobs = status.get("jobs", {})
            if pending == 0 and jobs.get("queued") == jobs.get("running") == 0:
                return
            time.sleep(0.05)
        self.faults.append("the gate has not come to rest")

    def records(self, *options):
        """Those that were asked for by name; else all but the uses of keys."""
        self.assayfs("sync", "mnt")
        records = [json.loads(line) for line in self.assayfs("log", "--json", *options, "mnt").out.splitlines()]
        return [r for r in records if "--event" in options or r["event"] not in KEY_USES]

    # ---- who watches

    readers = ()

    def watch(self, contents, names=(NAME,), count=1):
        """Starts processes that read all of Trusted all the time and note whatever is not one of `contents`."""
        import hashlib
        hashes = ",".join(hashlib.sha256(c).hexdigest() for c in contents)
        sizes = ",".join(str(len(c)) for c in contents)
        self.report = self.path("report")
        open(self.report + ".go", "w", encoding="utf-8").close()
        self.readers = [subprocess.Popen([sys.executable, "-c", READER, self.mnt, self.report, hashes, sizes,
                                          ",".join(names)], stdout=subprocess.PIPE) for _ in range(count)]
        for reader in self.readers:
            reader.stdout.readline()

    def seen(self):
        """What the readers noted since the last call."""
        try:
            with open(self.report, encoding="utf-8", errors="replace") as file:
                lines = file.read().splitlines()
            os.unlink(self.report)
            return lines
        except FileNotFoundError:
            return []

    def stop_readers(self):
        """(rounds, files read) of all readers together."""
        rounds = files = 0
        if self.readers and os.path.exists(self.report + ".go"):
            os.unlink(self.report + ".go")
        for reader in self.readers:
            try:
                out = reader.communicate(timeout=30)[0].split()
                rounds, files = rounds + int(out[0]), files + int(out[1])
            except (subprocess.TimeoutExpired, IndexError, ValueError):
                reader.kill()
                reader.wait()
                self.faults.append("a reader of Trusted broke down")
        self.readers = ()
        return rounds, files
