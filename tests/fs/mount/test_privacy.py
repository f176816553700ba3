#!/usr/bin/env python3
"""Personal data, from a dataset's words to what Trusted shows; and that what was found stands nowhere else.

usage: test_privacy.py ASSAYFS SOURCE
"""
import csv
import io
import json
import os
import random
import subprocess
import sys

from gate import GateTests, vancouver

# Each is planted in files and searched for in all that the vault tells about them.
MAILS = ["quentin.xylo@example.com", "zuzu.wharfinger@example.org", "plover17@mail.example.net"]
PHONES = ["604-555-0142", "+1 778 555 0199"]
CARDS = ["4111111111111111", "5500 0055 5555 5559"]
SINS = ["130 692 544", "193 456 787"]
PLANTED = MAILS + PHONES + CARDS + SINS

POLICY = """version: 1
datasets:
  - name: people
    match: "people/*.csv"
    rules: animals.dqdl
    settle: 0s
    privacy:
      detect: [{entity: PHONE_NUMBER, action: mask, keep_last: 2}, {entity: CANADA_SIN, action: hash},
               {entity: CREDIT_CARD, action: drop_row}, EMAIL]
      action: redact
      columns: {notes: redact}
  - name: lines
    match: "people/*.jsonl"
    settle: 0s
    privacy: {detect: all, action: redact}
  - name: letters
    match: "letters/*"
    settle: 0s
    privacy: {detect: all, action: redact}
  - name: strict
    match: "strict/*"
    settle: 0s
    rules: animals.dqdl
    privacy: {detect: all}
workflows:
  - {name: arrive, dataset: people, from: Landing, to: Trusted, on: close}
  - {name: again, dataset: people, from: Raw, to: Trusted, on: demand}
"""
RULES = 'Rules = [ IsComplete "id" ]\n'


def luhn(text):
    digits = [int(c) for c in text if c.isdigit()]
    return sum(d if i % 2 else (d * 2 - 9 if d > 4 else d * 2) for i, d in enumerate(digits[::-1], 1)) % 10 == 0


def table(rows=500, seed=1):
    """A CSV in the manner of the world: `;`, CRLF, quotes where a cell needs them."""
    rng = random.Random(seed)
    to = io.StringIO()
    out = csv.writer(to, delimiter=";", lineterminator="\r\n")
    out.writerow(["id", "contact", "phone", "sin", "paid with", "notes", "remark"])
    for i in range(rows):
        remark = rng.choice(["", "plain; with a semicolon", f'he said "write to {rng.choice(MAILS)}" twice', "ünïcode"])
        card = rng.choice(CARDS) if i % 10 == 3 else ""
        out.writerow([i, rng.choice(MAILS + [""]), rng.choice(PHONES + [""]), rng.choice(SINS + [""]), card, rng.choice(["x", ""]),
                      remark])
    return to.getvalue().encode()


class PrivacyTests(GateTests):
    def setting(self, policy=POLICY):
        self.mounted(policy, RULES)

    def told(self):
        """All that the vault says, by every way that it has, but for the files themselves."""
        texts = {}
        for words in (["status"], ["log"], ["log", "--format", "json"], ["quarantine", "list", "--all"],
                      ["quarantine", "list", "--all", "--json"], ["status", "--json"], ["policy", "show"]):
            texts[" ".join(words)] = self.assayfs(*words, "mnt", code=None).stdout
        for folder in ("verdicts", "audit", "policy"):
            for place, _, names in os.walk(self.at(".assayfs/" + folder)):
                for name in names:
                    with open(os.path.join(place, name), "rb") as file:
                        texts[os.path.join(place, name)] = file.read()
        for place, _, names in os.walk(self.at("Landing")):
            for name in names:
                path = os.path.join(place, name)
                texts["why " + path] = self.assayfs("why", path, code=None).stdout
                texts["why --json " + path] = self.assayfs("why", "--json", path, code=None).stdout
        return texts

    def nothing_is_told(self):
        for where, text in self.told().items():
            for word in PLANTED:
                for form in (word, word.replace(" ", "").replace("-", "")):
                    self.check(form.encode() not in text, f"{where} tells {form}")

    def scan(self, path):
        done = self.assayfs("scan", "--sensitivity", "low", self.at(path), code=None)
        return done.returncode, done.out

    def test_what_is_published_is_the_file_but_for_what_was_found(self):
        self.setting()
        arrived = table()
        self.check(all(luhn(c) for c in CARDS + SINS), "the test's numbers are none")
        self.put("Landing/people/a.csv", arrived)
        self.outcome("Landing/people/a.csv", "passed")
        self.idle()
        published = self.get("Trusted/people/a.csv")
        self.check(self.get("Raw/people/a.csv") == arrived, "Raw has not what came")
        for word in PLANTED:
            self.check(word.encode() not in published, f"{word} is in Trusted")
        code, out = self.scan("Trusted/people/a.csv")
        self.check(code == 0, f"scanned again: {out}")
        before = [row for row in csv.reader(io.StringIO(arrived.decode()), delimiter=";") if not row[4] or row[0] == "id"]
        after = list(csv.reader(io.StringIO(published.decode()), delimiter=";"))
        self.check(len(before) == len(after), f"{len(before)} rows should be left, not {len(after)}")
        hashes = {}
        for one, other in zip(before[1:], after[1:]):
            self.check(one[0] == other[0] and other[1] == ("[EMAIL]" if one[1] else ""), f"{other}")
            self.check(other[2] == ("*" * (len(one[2]) - 2) + one[2][-2:] if one[2] else ""), f"{other}")
            self.check(hashes.setdefault(one[3], other[3]) == other[3], "a hash is not the same everywhere")
            self.check(other[5] == ("[REDACTED]" if one[5] else ""), f"{other}")
        self.check(len(set(hashes.values())) == len(hashes), "two values have one hash")
        # every byte that stands elsewhere is as it was: redacting by hand gives the same
        expected = arrived
        for mail in MAILS:
            expected = expected.replace(mail.encode(), b"[EMAIL]")
        for line in published.split(b"\r\n"):
            if b"[EMAIL]" in line and b"h1_" not in line and b"*" not in line and b"REDACTED" not in line:
                self.check(line in expected, f"a line is not as it was: {line}")
        self.nothing_is_told()
        why = self.assayfs("why", self.at("Landing/people/a.csv")).out
        self.check("redacted; first on lines" in why and "left out with its row" in why, why)
        self.check(any("personal data changed in" in r.get("detail", "") for r in self.records("--event", "verdict")), "no record")

    def test_hashes_join_files_of_one_vault(self):
        self.setting()
        self.put("Landing/people/a.csv", f"id;sin;notes\n1;{SINS[0]};\n2;{SINS[1]};\n".encode())
        self.put("Landing/people/b.csv", f'id,sin,notes\n7,"{SINS[1]}",\n'.encode())
        for name in ("a", "b"):
            self.outcome(f"Landing/people/{name}.csv", "passed")
        self.idle()
        a, b = self.get("Trusted/people/a.csv").decode(), self.get("Trusted/people/b.csv").decode()
        self.check(a.splitlines()[2].split(";")[1] == b.splitlines()[1].split(",")[1].strip('"'), f"{a} {b}")

    def test_texts_and_json_lines(self):
        self.setting()
        text = f"Dear Sir,\nwrite to {MAILS[0]} or call {PHONES[0]}.\n\nYours".encode()
        line = json.dumps({"a": f"x {MAILS[1]}", "b": {"c": [MAILS[2]]}, "n": int(CARDS[0])}).encode() + b"\n"
        self.put("Landing/letters/one.txt", text)
        self.put("Landing/people/a.jsonl", line)
        self.put("Landing/letters/two.bin", bytes(range(256)))
        self.outcome("Landing/letters/one.txt", "passed")
        self.outcome("Landing/people/a.jsonl", "passed")
        self.outcome("Landing/letters/two.bin", "error")
        self.idle()
        self.check(self.get("Trusted/letters/one.txt") == b"Dear Sir,\nwrite to [EMAIL] or call [PHONE_NUMBER].\n\nYours",
                   f"{self.get('Trusted/letters/one.txt')}")
        self.check(json.loads(self.get("Trusted/people/a.jsonl"))
                   == {"a": "x [EMAIL]", "b": {"c": ["[EMAIL]"]}, "n": "[CREDIT_CARD]"}, f"{self.get('Trusted/people/a.jsonl')}")
        self.check(self.get("Trusted/letters/two.bin") is None, "a binary file passed")
        self.nothing_is_told()

    def test_what_is_refused_stays_out_and_is_told_without_being_shown(self):
        self.setting()
        self.put("Landing/strict/a.csv", table())
        self.outcome("Landing/strict/a.csv", "failed")
        self.idle()
        why = self.assayfs("why", self.at("Landing/strict/a.csv"), code=1).out
        self.check("personal data: EMAIL in \"contact\"" in why and "refused" in why, why)
        self.outside("direct.csv", table())
        done = subprocess.run(["cp", "direct.csv", "mnt/Trusted/strict/b.csv"], cwd=self.directory, capture_output=True, check=False)
        self.check(done.returncode != 0 and self.get("Trusted/strict/b.csv") is None, f"it got in directly: {done}")
        done = subprocess.run(["cp", "direct.csv", "mnt/Trusted/people/b.csv"], cwd=self.directory, capture_output=True, check=False)
        self.check(done.returncode != 0 and self.get("Trusted/people/b.csv") is None, f"it got in unchanged: {done}")
        self.nothing_is_told()

    def test_a_run_by_hand_does_the_same_again(self):
        self.setting()
        self.put("Landing/people/a.csv", table())
        self.outcome("Landing/people/a.csv", "passed")
        self.idle()
        published = self.get("Trusted/people/a.csv")
        self.assayfs("run", "again", "mnt")
        self.check(self.get("Trusted/people/a.csv") == published, "another file")
        versions = self.json("versions", "--json", self.at("Trusted/people/a.csv"))
        self.check(len(versions["versions"]) == 1, f"{versions}")
        self.policy(POLICY.replace("action: mask, keep_last: 2", "action: redact"), RULES)
        self.assayfs("run", "again", "mnt")
        self.check(b"[PHONE_NUMBER]" in self.get("Trusted/people/a.csv"), "not by the new policy")

    def find(self, text, code=0):
        done = self.assayfs("find-subject", "--json", "mnt", stdin=None, input=text.encode(), code=code)
        return {(p["path"], p["number"]) for p in json.loads(done.stdout or b'{"places": []}')["places"] if p["found"]}

    def test_a_person_is_found_and_erased(self):
        self.setting()
        with_her = f"id;contact;notes\n1;{MAILS[0]};\n2;{MAILS[1]};\n".encode()
        without = f"id;contact;notes\n2;{MAILS[1]};\n".encode()
        self.put("Landing/people/a.csv", with_her)
        self.outcome("Landing/people/a.csv", "passed")
        self.put("Landing/people/a.csv", without)
        self.put("Landing/strict/b.csv", with_her)
        self.outcome("Landing/strict/b.csv", "failed")
        self.put("Landing/gone.txt", f"write to {MAILS[0].upper()}".encode())
        os.unlink(self.at("Landing/gone.txt"))
        self.idle()
        wanted = {("Landing/people/a.csv", 1), ("Raw/people/a.csv", 1), ("Landing/strict/b.csv", 1), ("Raw/strict/b.csv", 1),
                  ("Landing/gone.txt", 1)}
        self.check(self.find(" " + MAILS[0] + "\n") == wanted, f"{self.find(MAILS[0])}")
        self.find("nobody@example.net", code=1)
        # one person, several lines: none is passed over
        self.check(self.find(f"nobody@example.net\n\n{MAILS[0]}\n") == wanted, "the second line was not looked for")
        self.find("a b c\n" * 17, code=2)
        self.assayfs("find-subject", "mnt", code=2)  # nothing on standard input
        self.assayfs("erase", "--subject", "mnt", stdin=None, input=MAILS[0].encode(), code=2)  # no reason
        self.assayfs("erase", "--subject", "--dry-run", "mnt", stdin=None, input=MAILS[0].encode())
        self.check(self.find(MAILS[0]) == wanted, "a dry run erased something")
        done = self.assayfs("erase", "--subject", "--reason", "her right", "--json", "mnt", stdin=None, input=MAILS[0].encode())
        self.check(json.loads(done.stdout)["versions"] == 5, done.out)
        self.check(self.find(MAILS[0], code=1) == set(), "it is still there")
        self.check(self.get("Landing/people/a.csv") == without and self.get("Raw/people/a.csv") == without, "more went")
        self.check(self.get("Landing/strict/b.csv") is None, "a file that shows it is there")
        self.check(self.get(".assayfs/versions/Landing/people/a.csv/1") is None, "the old version is readable")
        self.nothing_is_told()
        self.assayfs("umount", "mnt")
        self.assayfs("fsck", "--passfile", "pass", "v")
        self.mount()
        self.check(self.find(MAILS[0], code=1) == set(), "it came back")

    def erase(self, text, *words, code=0):
        return self.assayfs("erase", "--subject", *words, "mnt", stdin=None, input=text.encode(), code=code)

    def test_what_was_made_of_what_is_erased_is_told(self):
        self.setting()
        self.put("Landing/letters/a.txt", f"Zelda Quux of Elm Street, {MAILS[0]}\n".encode())
        self.outcome("Landing/letters/a.txt", "passed")
        self.idle()
        dry = self.erase(MAILS[0], "--dry-run").out
        self.check("Made of what is erased, and stay" in dry and "  Trusted/letters/a.txt, version 1\n" in dry, dry)
        self.check("have the same names" not in dry, dry)
        dry = json.loads(self.erase(MAILS[0], "--dry-run", "--json").stdout)
        self.check([(m["path"], m["number"], m["shown"]) for m in dry["made"]] == [("Trusted/letters/a.txt", 1, True)], f"{dry}")
        self.check((dry["versions"], dry["left"]) == (2, []), f"{dry}")
        dry = json.loads(self.erase(MAILS[0], "--dry-run", "--derived", "--json").stdout)
        self.check((dry["versions"], dry["made"]) == (3, []), f"{dry}")
        self.assayfs("erase", "--derived", "--dry-run", self.at("Landing/letters/a.txt"), code=2)
        self.erase(MAILS[0], "--derived", "--reason", "her right")
        self.check(self.get("Trusted/letters/a.txt") is None, "what was made of it is there")

    def test_a_corrected_version_is_not_called_another_file(self):
        self.setting()
        self.put("Landing/letters/a.txt", f"to {MAILS[0]}\n".encode())
        self.outcome("Landing/letters/a.txt", "passed")
        self.put("Landing/letters/a.txt", b"to nobody\n")
        self.idle()
        dry = self.erase(MAILS[0], "--dry-run").out
        self.check("keeps 1 version that does not hold it" in dry and "of other files" not in dry, dry)
        self.check("2 versions in 2 places" in dry and "would be erased; 0 names would end" in dry, dry)

    def test_a_policy_that_holds_it_is_told(self):
        self.setting()
        self.policy(POLICY, f'# {MAILS[1]}\n' + RULES)
        done = self.assayfs("find-subject", "mnt", stdin=None, input=MAILS[1].encode())
        self.check("policy 2, file animals.dqdl: 1 line, line 1\n" in done.out, done.out)
        done = json.loads(self.assayfs("find-subject", "--json", "mnt", stdin=None, input=MAILS[1].encode()).stdout)
        self.check([(p["policy"], p["file"], p["lines"]) for p in done["policies"]] == [(2, "animals.dqdl", [1])], f"{done}")
        done = self.erase(MAILS[1], "--dry-run", code=1)
        self.check("It stands in these policies" in done.out and "policy 2, file animals.dqdl" in done.out, done.out)

    def test_what_was_written_for_trusted_is_found(self):
        self.setting()
        self.outside("direct.csv", b"id;place\n1;zebra crossing\n")
        os.makedirs(self.at("Trusted/strict"))
        subprocess.run(["cp", "direct.csv", "mnt/Trusted/strict/b.csv"], cwd=self.directory, check=True)
        self.idle()
        out = self.assayfs("find-subject", "mnt", stdin=None, input=b"zebra crossing").out
        self.check("(written for Trusted): " in out and "Trusted/strict/b.csv, version 1: " in out, out)

    def test_where_only_a_name_holds_it_is_told(self):
        self.setting()
        self.put(f"Landing/{MAILS[0]}.txt", b"nothing\n")
        self.put(f"Landing/{MAILS[0]}.txt", b"again nothing\n")
        self.idle()
        done = self.erase(MAILS[0], "--reason", "her right", code=1)
        self.check("assayfs erase PATH" in done.out and done.out.count(f"  Landing/{MAILS[0]}.txt\n") == 1, done.out)
        self.check("in names or policies alone" in done.err, done.err)
        done = json.loads(self.erase(MAILS[0], "--dry-run", "--json", code=1).stdout)
        self.check([p["path"] for p in done["in_names"]] == [f"Landing/{MAILS[0]}.txt"] and done["versions"] == 0, f"{done}")

    def test_the_lost_and_found_file_passes_as_it_is(self):
        content, _ = vancouver()
        self.mounted(POLICY, RULES)
        self.policy("version: 1\ndatasets:\n  - {name: a, match: 'a/*', settle: 0s, privacy: {detect: all}}\n")
        self.put("Landing/a/lost-and-found.csv", content)
        self.outcome("Landing/a/lost-and-found.csv", "passed")
        self.check(self.get("Trusted/a/lost-and-found.csv") == content, "it was changed")


if __name__ == "__main__":
    sys.exit(PrivacyTests().run())
