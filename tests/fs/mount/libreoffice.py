#!/usr/bin/env python3
"""A real LibreOffice Calc edits governed files: headless, driven through UNO, in Landing and straight in Trusted.

usage: libreoffice.py ASSAYFS SOURCE

What it does when it saves (7.4, traced): it opens the file O_RDWR and keeps it open while the document is, beside a
lock `.~lock.NAME#`; on a save it takes the lock away, makes `luXXXX.tmp` empty, closes it, opens it anew, puts the lock
back, writes, tries O_CREAT|O_EXCL on the name, renames over it, chmods, opens the name O_RDWR and fsyncs.
test_programs.py does the same where there is no LibreOffice; what is learnt here belongs there.

Needs libreoffice-calc and python3-uno (`scripts/setup --services` installs them); says skipped without.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PYTHON = "/usr/bin/python3"  # Debian's, which python3-uno belongs to


def why_not():
    if not shutil.which("soffice"):
        return "soffice is not installed (scripts/setup --services)"
    if subprocess.run([PYTHON, "-c", "import uno"], capture_output=True, check=False).returncode != 0:
        return "python3-uno is not installed (scripts/setup --services)"
    return None


if why_not():
    print(f"skipped: {why_not()}")
    sys.exit(77)

from gate import NAME, GateTests  # noqa: E402

RULES = 'Rules = [ RowCount > 2, IsComplete "name", ColumnValues "kind" in ["cat", "dog"] ]\n'
GOOD = b"name;kind\na;cat\nb;dog\nc;cat\n"
BETTER = GOOD.replace(b"a;cat", b"a;dog")
BAD = GOOD.replace(b"a;cat", b"a;elk")

# Speaks with the office: a JSON list a line, an answer a line.
DRIVER = r"""
import json, sys, time
import uno
from com.sun.star.beans import PropertyValue
name = sys.argv[1]
def options(**values):
    return tuple(PropertyValue(key, 0, value, 0) for key, value in values.items())
resolver = uno.getComponentContext().ServiceManager.createInstance('com.sun.star.bridge.UnoUrlResolver')
for wait in range(600):
    try:
        context = resolver.resolve(f'uno:pipe,name={name};urp;StarOffice.ComponentContext')
        break
    except Exception:
        time.sleep(0.1)
desktop = context.ServiceManager.createInstanceWithContext('com.sun.star.frame.Desktop', context)
document = None
def answer(call, *values):
    global document
    if call == 'open':
        document = desktop.loadComponentFromURL(uno.systemPathToFileUrl(values[0]), '_blank', 0, options(
            FilterName='Text - txt - csv (StarCalc)', FilterOptions='59,34,76,1,,1033', Hidden=True))
        return 'opened' if document and not document.isReadonly() else 'read-only' if document else 'nothing'
    if call == 'cell':
        document.Sheets.getByIndex(0).getCellByPosition(values[0], values[1]).String = values[2]
    elif call == 'save':
        document.store()
    elif call == 'close':
        document.close(True)
    elif call == 'end':
        desktop.terminate()
    return 'done'
for line in sys.stdin:
    try:
        said = answer(*json.loads(line))
    except Exception as error:
        said = f'{type(error).__name__}: {error}'
    print(json.dumps(said), flush=True)
"""


class Office:
    """A LibreOffice of one's own, with a profile in a temporary directory."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="assayfs-office-")
        os.environ["STATE_DIRECTORY"] = os.path.join(self.directory, "state")
        name = os.path.basename(self.directory)
        self.program = subprocess.Popen(
            ["soffice", "--headless", "--norestore", "--nologo", f"-env:UserInstallation=file://{self.directory}/profile",
             f"--accept=pipe,name={name};urp;"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        self.driver = subprocess.Popen([PYTHON, "-c", DRIVER, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, *words):
        self.driver.stdin.write(json.dumps(words) + "\n")
        self.driver.stdin.flush()
        line = self.driver.stdout.readline()
        if not line:
            raise RuntimeError(f"the office gave no answer to {words}")
        return json.loads(line)

    def end(self):
        try:
            self.driver.stdin.write('["end"]\n')
            self.driver.stdin.close()
            self.driver.wait(20)
            self.program.wait(20)
        except (OSError, subprocess.TimeoutExpired):
            pass
        for process in (self.driver, self.program):
            if process.poll() is None:
                process.kill()
        try:
            os.killpg(self.program.pid, signal.SIGKILL)  # soffice is a script, and the office its child
        except ProcessLookupError:
            pass
        self.driver.wait()
        self.program.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


class LibreOfficeTests(GateTests):
    office = None

    def mounted(self, *arguments, **options):
        super().mounted(rules=RULES, *arguments, **options)
        os.makedirs(self.at("Landing/animals"))
        self.landing, self.trusted = self.at("Landing/" + NAME), self.at("Trusted/" + NAME)
        self.put("Landing/" + NAME, GOOD)
        self.wait_for("Trusted/" + NAME, GOOD)
        self.office = Office()

    def clean_up(self):
        if self.office:
            self.office.end()
            self.office = None
        super().clean_up()

    def says(self, wanted, *words):
        said = self.office(*words)
        self.check(said == wanted, f"{words[0]}: {said}")

    def names(self, folder):
        return sorted(os.listdir(self.at(folder)))

    def verdicts(self, path):
        return [record["outcome"] for record in self.records("--event", "verdict") if record.get("path") == path]

    def versions(self, path):
        return len(self.json("versions", "--json", self.at(path))["versions"])

    def test_each_save_in_landing_arrives_once_and_the_lock_never_does(self):
        self.mounted()
        lock = f".~lock.{os.path.basename(NAME)}#"
        self.says("opened", "open", self.landing)
        self.check(self.names("Landing/animals") == [lock, os.path.basename(NAME)], f"{self.names('Landing/animals')}")
        for kind, content in (("dog", BETTER), ("cat", GOOD)):
            self.says("done", "cell", 1, 1, kind)
            self.says("done", "save")
            self.check(self.get("Landing/" + NAME) == content, f"Landing shows {self.get('Landing/' + NAME)}")
            self.wait_for("Trusted/" + NAME, content)
        self.says("done", "close")
        self.check(self.names("Landing/animals") == [os.path.basename(NAME)], "a lock or temporary file is left")
        time.sleep(1.5)  # longer than an arrival settles: what closing might have set off would have begun
        self.idle()
        self.check(len(self.verdicts("Landing/" + NAME)) == 3, f"{self.verdicts('Landing/' + NAME)}: not one a save")
        self.check(self.versions("Raw/" + NAME) == 3, "Raw has not one version a save")
        self.check(self.names("Raw/animals") == [os.path.basename(NAME)], f"{self.names('Raw/animals')}")
        captured = {record["path"] for record in self.records("--event", "capture")}
        self.check(captured == {"Raw/" + NAME}, f"captured: {captured}")

    def test_a_bad_save_in_landing_stays_there(self):
        self.mounted()
        self.says("opened", "open", self.landing)
        self.says("done", "cell", 1, 1, "elk")
        self.says("done", "save")
        self.outcome("Landing/" + NAME, "failed")
        self.check(self.get("Landing/" + NAME) == BAD, "Landing")
        self.check(self.get("Trusted/" + NAME) == GOOD, "Trusted")
        self.says("done", "close")

    def test_looking_at_a_file_in_trusted_makes_no_version_and_no_verdict(self):
        self.mounted()
        before = self.versions("Trusted/" + NAME), len(self.records("--event", "verdict"))
        self.says("opened", "open", self.trusted)
        self.says("done", "close")
        self.check(self.get("Trusted/" + NAME) == GOOD, "Trusted")
        self.check(self.names("Trusted/animals") == [os.path.basename(NAME)], f"{self.names('Trusted/animals')}")
        after = self.versions("Trusted/" + NAME), len(self.records("--event", "verdict"))
        self.check(before == after, f"versions and verdicts: {before}, then {after}")

    def test_a_good_save_in_trusted_is_shown_when_it_returns(self):
        self.mounted()
        self.watch([GOOD, BETTER])
        self.says("opened", "open", self.trusted)
        for kind, content in (("dog", BETTER), ("cat", GOOD)):
            self.says("done", "cell", 1, 1, kind)
            self.says("done", "save")
            self.check(self.get("Trusted/" + NAME) == content, f"Trusted shows {self.get('Trusted/' + NAME)}")
        self.says("done", "close")
        self.stop_readers()
        self.check(not self.seen(), f"a reader saw {self.seen()}")
        self.check(self.names("Trusted/animals") == [os.path.basename(NAME)], f"{self.names('Trusted/animals')}")
        self.check(self.verdicts("Trusted/" + NAME) == ["ok", "ok"], f"{self.verdicts('Trusted/' + NAME)}: not one a save")

    def test_a_bad_save_in_trusted_is_refused_and_leaves_nothing_behind(self):
        self.mounted()
        self.says("opened", "open", self.trusted)
        self.says("done", "cell", 1, 1, "elk")
        said = self.office("save")
        self.check(said != "done", "a bad save was allowed")
        self.check(self.get("Trusted/" + NAME) == GOOD, f"Trusted shows {self.get('Trusted/' + NAME)}")
        self.says("done", "cell", 1, 1, "dog")
        self.says("done", "save")
        self.check(self.get("Trusted/" + NAME) == BETTER, f"mended, Trusted shows {self.get('Trusted/' + NAME)}")
        self.says("done", "close")
        self.check(self.names("Trusted/animals") == [os.path.basename(NAME)], f"{self.names('Trusted/animals')}")


if __name__ == "__main__":
    sys.exit(LibreOfficeTests().run())
