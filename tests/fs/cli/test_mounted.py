#!/usr/bin/env python3
"""The command on a mounted vault, from an empty directory to a file in Trusted and back.

usage: test_mounted.py ASSAYFS SOURCE

tests: fs/service/service
"""
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

from cli import ASSAYFS, SOURCE, Tests

if not os.path.exists("/dev/fuse"):
    print("skipped: /dev/fuse is missing")
    sys.exit(77)

CHEAP = ["--argon-mem", "1024", "--argon-ops", "1"]
GOOD = "name,kind\na,cat\nb,dog\nc,cat\n"
RULES = 'Rules = [ RowCount > 2, IsComplete "name", ColumnValues "kind" in ["cat", "dog"] ]\n'
POLICY = """version: 1
datasets:
  - name: pets
    match: "pets/*.csv"
    rules: pets.dqdl
workflows:
  - {name: on-arrival, dataset: pets, from: Landing, to: Trusted, on: close}
  - {name: again, dataset: pets, from: Raw, to: Trusted, on: demand}
"""


class MountedTests(Tests):
    def mounted(self, *options):
        self.write("pass", "correct horse\n")
        self.assayfs("init", *CHEAP, "--passfile", "pass", "v")
        os.makedirs(self.path("mnt"), exist_ok=True)
        self.assayfs("mount", *options, "--passfile", "pass", "v", "mnt")
        self.mnt = self.path("mnt")

    def clean_up(self):
        mounts = open("/proc/self/mountinfo", encoding="utf-8").read()
        if f" {self.path('mnt')} " in mounts:  # os.path.ismount says no of a mount whose process died
            self.unmount(self.path("mnt"))

    def put(self, path, content):
        full = os.path.join(self.mnt, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(content)
        return full

    def policy(self):
        os.makedirs(self.path("policy"), exist_ok=True)
        self.write("policy/policy.yaml", POLICY)
        self.write("policy/pets.dqdl", RULES)
        return self.assayfs("policy", "apply", "policy", "mnt")

    def outcome(self, path, *wanted):
        """The verdict on a path, as soon as it is one of `wanted`."""
        for _ in range(200):
            verdict = subprocess.run([ASSAYFS, "why", "--json", os.path.join(self.mnt, path)], capture_output=True,
                                     check=False, timeout=60)
            last = json.loads(verdict.stdout or b"{}").get("outcome")
            if last in wanted:
                return last
            time.sleep(0.05)
        self.faults.append(f"{path}: {last}, not one of {wanted} ({verdict.stderr.decode().strip()})")
        return last

    def test_umount_returns_when_the_vault_can_be_mounted_again(self):
        self.mounted()
        self.put("Landing/a.txt", "words")
        for _ in range(3):
            self.assayfs("umount", os.path.join(self.mnt, "Landing"))
            self.check(not os.path.ismount(self.mnt), "still mounted")
            self.assayfs("mount", "--passfile", "pass", "v", "mnt")
        self.check(open(os.path.join(self.mnt, "Landing/a.txt"), encoding="utf-8").read() == "words", "lost")

    def test_a_second_mount_is_refused_with_4(self):
        self.mounted()
        os.mkdir(self.path("other"))
        self.one_line(self.assayfs("mount", "--passfile", "pass", "v", "other", code=4))
        self.check(self.json("info", "--json", "v").get("mounted") is True, "info says it is not mounted")

    def test_umount_of_a_busy_mount_exits_4_and_keeps_it(self):
        self.mounted()
        with open(os.path.join(self.mnt, "Landing/open"), "w", encoding="utf-8"):
            self.one_line(self.assayfs("umount", "mnt", code=4), "fuser")
            self.check(os.path.ismount(self.mnt), "gone")
            self.assayfs("status", "mnt")

    def test_status_tells_a_newcomer_what_to_do_next(self):
        self.mounted()
        self.put("Landing/pets/a.csv", GOOD)
        self.assayfs("sync", "mnt")
        result = self.assayfs("status", "mnt")
        self.check(f"    assayfs policy suggest {self.mnt}/Landing/pets/a.csv -o policy\n" in result.out, result.out)
        self.check(f"    assayfs policy apply policy {self.mnt}\n" in result.out, result.out)
        self.assayfs("policy", "show", "mnt", code=1)
        status = self.json("status", "--json", "mnt")
        self.check(status["policy"] is None and status["zones"][0]["files"] == 1, f"{status}")

    def test_a_good_file_passes_and_a_bad_one_says_why(self):
        self.mounted()
        self.check("Policy 1" in self.policy().out, "not applied")
        self.put("Landing/pets/good.csv", GOOD)
        self.put("Landing/pets/bad.csv", GOOD.replace("dog", "bird"))
        self.outcome("Landing/pets/good.csv", "passed")
        self.check(open(os.path.join(self.mnt, "Trusted/pets/good.csv"), encoding="utf-8").read() == GOOD, "not the same")
        self.outcome("Landing/pets/bad.csv", "failed")
        self.check(not os.path.exists(os.path.join(self.mnt, "Trusted/pets/bad.csv")), "it is in Trusted")
        result = self.assayfs("why", os.path.join(self.mnt, "Landing/pets/bad.csv"), code=1)
        self.check('ColumnValues "kind"' in result.out and "1" in result.out, result.out)
        listed = self.json("quarantine", "list", "--json", "mnt")
        for row in listed:
            self.assayfs("quarantine", "show", str(row["id"]), "mnt")
        self.assayfs("quarantine", "show", "999", "mnt", code=1)
        status = self.json("status", "--json", "mnt")
        self.check(status["zones"][2]["outcomes"]["passed"] == 1, f"{status['zones']}")
        self.check(any("bad.csv" in failure["path"] for failure in status["failures"]), f"{status['failures']}")

    def test_the_hidden_tree_shows_verdicts_policies_and_quarantine(self):
        self.mounted()
        self.policy()
        self.put("Landing/pets/good.csv", GOOD)
        self.put("Landing/pets/bad.csv", GOOD.replace("dog", "wolf"))
        self.outcome("Landing/pets/good.csv", "passed")
        self.outcome("Landing/pets/bad.csv", "failed")
        hidden = os.path.join(self.mnt, ".assayfs")

        def read(path):
            return open(os.path.join(hidden, path), encoding="utf-8").read()

        def same(found, wanted):
            self.check(found == wanted, f"{found!r}, not {wanted!r}")

        same(".assayfs" in os.listdir(self.mnt), False)
        page = open(os.path.join(SOURCE, "docs/assayfs.1"), encoding="utf-8").read()
        for name in os.listdir(hidden):
            self.check(f"Pa .assayfs/{name}" in page, f"the man page lacks .assayfs/{name}")
        for name in re.findall(r"Pa \.assayfs/([a-z.]+)", page):
            self.check(os.path.lexists(os.path.join(hidden, name)), f"the man page promises .assayfs/{name}")
        same(os.getxattr(os.path.join(self.mnt, "Landing/pets/good.csv"), "user.assayfs.verdict"), b"passed")
        for zone in ("Landing", "Raw", "Trusted"):
            shown = json.loads(read(f"verdicts/{zone}/pets/good.csv.json"))
            same(shown["verdict"]["outcome"], "passed")
            same(len(shown["signature"]), 128)
        same(json.loads(read("verdicts/Landing/pets/bad.csv.json"))["verdict"]["outcome"], "failed")
        same(read("policy/current/pets.dqdl"), RULES)
        same(read("policy/1/policy.yaml"), POLICY)
        same(os.listdir(os.path.join(hidden, "quarantine")), ["1"])
        same(read("quarantine/1/content"), GOOD.replace("dog", "wolf"))
        same(json.loads(read("quarantine/1/verdict.json"))["path"], "Landing/pets/bad.csv")
        for path in ("quarantine/2", "quarantine/1/else", "policy/0", "policy/2", "policy/one",
                     "verdicts/Landing/none.json", "verdicts/Trusted/pets/bad.csv.json"):
            same(os.path.exists(os.path.join(hidden, path)), False)

    def test_a_name_in_trusted_that_nothing_governs_is_told_to_its_writer(self):
        self.mounted()
        self.policy()
        self.write("good", GOOD)

        def copy(name):
            done = subprocess.run(["cp", self.path("good"), os.path.join(self.mnt, "Trusted", name)],
                                  capture_output=True, check=False, timeout=60)
            self.check(done.returncode == 0, done.stderr.decode())
            return done.stderr.decode()

        told = copy("stray.csv")
        self.check("no dataset governs Trusted/stray.csv" in told and "assayfs status" in told, told)
        quiet = copy(".stray.csv.swp")  # an editor's temporary name
        self.check(quiet == "", quiet)

    def test_ungoverned_files_name_the_closest_pattern(self):
        self.mounted()
        self.policy()
        self.put("Landing/pats/a.csv", GOOD)
        self.assayfs("sync", "mnt")
        status = self.json("status", "--json", "mnt")
        segments = status["segments"]
        self.check(segments["bytes"] == status["versions"]["stored_bytes"] and segments["count"] > 0 and
                   0 == segments["condemned"] <= segments["reclaimable_bytes"] <= segments["bytes"],
                   f"status does not account for the segments: {segments}")
        self.check(status["ungoverned_count"] == 1 and status["ungoverned"][0]["closest_match"] == "pets/*.csv", f"{status}")
        self.put("Landing/Pets/a.CSV", GOOD)
        self.put("Landing/a.csv", GOOD)
        self.put("Landing/notes", GOOD)
        for path, words in (("pats/a.csv", "the name fits, the folder does not"), ("Pets/a.CSV", "only upper and lower"),
                            ("a.csv", '"**/*.csv" would take any folder'), ("notes", "stays where it is.")):
            result = self.assayfs("why", "mnt/Landing/" + path, code=3)  # nobody has judged it: that is no yes
            self.check("No dataset governs it" in result.out and words in result.out, result.out)
        self.check("(the closest is dataset pets" in self.assayfs("status", "mnt").out, "status does not say it")

    def test_suggested_commands_can_be_copied_whatever_the_names(self):
        self.write("pass", "correct horse\n")
        self.mnt = self.path("it's; my mnt")
        os.mkdir(self.mnt)
        made = self.assayfs("init", *CHEAP, "--passfile", "pass", "a $HOME, vault").out
        mount = made.split("Next: ")[1].strip().replace("assayfs mount ", "").replace(" DIR", "")
        self.check(mount == "'a $HOME, vault'", mount)
        self.assayfs("mount", "--passfile", "pass", "a $HOME, vault", self.mnt)
        try:
            self.put("Landing/two words.csv", GOOD)
            self.assayfs("sync", self.mnt)
            for told in (self.assayfs("status", self.mnt).out,
                         self.assayfs("why", self.mnt + "/Landing/two words.csv", code=3).out):
                lines = [line.strip() for line in told.splitlines() if line.startswith("    assayfs policy ")]
                self.check(len(lines) == 2, told)
                shutil.rmtree(self.path("policy"), ignore_errors=True)
                for line in lines:
                    done = subprocess.run(["sh", "-c", line.replace("assayfs", ASSAYFS, 1)], cwd=self.directory,
                                          capture_output=True, check=False, timeout=60)
                    self.check(done.returncode == 0, f"{line}: {done.stderr.decode()}")
                    next_line = done.stdout.decode().partition("then: ")[2].strip()
                    self.check(next_line in ("", lines[1]), next_line)
                self.assayfs("policy", "show", self.mnt)
                break  # the vault has a policy now
        finally:
            self.assayfs("umount", self.mnt)

    def test_why_says_how_to_get_a_policy_for_this_file(self):
        self.mounted()
        path = self.put("Landing/pets.csv", GOOD)
        told = self.assayfs("why", path, code=3).out
        self.check(f"    assayfs policy suggest {path} -o policy\n    assayfs policy apply policy {self.mnt}\n" in told, told)

    def test_status_json_is_one_document_at_both_doors(self):
        self.mounted()
        self.policy()
        self.put("Landing/pets/a.csv", GOOD)
        self.put("Landing/stray", "x")
        self.outcome("Landing/pets/a.csv", "passed")

        def stable(document):  # what moves while one looks
            return {key: value for key, value in document.items() if key not in ("free_bytes", "audit", "audit_records", "versions")}

        with open(os.path.join(self.mnt, ".assayfs/status.json"), encoding="utf-8") as file:
            hidden = json.load(file)
        shown = self.json("status", "--json", "mnt")
        self.check(hidden.keys() == shown.keys() and stable(hidden) == stable(shown), f"{hidden}\n{shown}")
        self.check(shown["vault"] == self.json("info", "--json", "v")["vault"] and shown["audit_records"] > 0, f"{shown}")

    def test_status_json_tells_no_names_to_who_may_not_read_them(self):
        if os.getuid() != 0 or not shutil.which("setpriv"):
            return
        os.chmod(self.directory, 0o755)
        self.mounted("-o", "allow_other")
        self.policy()
        self.put("Landing/pats/secret.csv", GOOD)
        self.put("Landing/pets/hidden.csv", GOOD.replace("dog", "wolf"))
        self.outcome("Landing/pets/hidden.csv", "failed")
        read = ["cat", os.path.join(self.mnt, ".assayfs/status.json")]
        nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
        for who, sees in (([], True), (nobody, False)):
            done = subprocess.run([*who, *read], capture_output=True, check=False, timeout=60)
            self.check(done.returncode == 0, done.stderr.decode())
            for name in (b"secret.csv", b"hidden.csv"):
                self.check((name in done.stdout) == sees, f"{who} {name}: {done.stdout.decode()}")

    def test_a_mount_with_ro_is_changed_by_nobody_and_recorded_all_the_same(self):
        self.mounted()
        self.policy()
        path = self.put("Landing/pets/a.csv", GOOD)
        self.outcome("Landing/pets/a.csv", "passed")
        self.assayfs("umount", "mnt")
        self.assayfs("mount", "-o", "ro", "--passfile", "pass", "v", "mnt")
        self.check(", read-only" in self.assayfs("status", "mnt").out, "status does not say it")
        self.check(open(path, encoding="utf-8").read() == GOOD, "not the same")
        try:
            self.put("Landing/b", "x")
            self.faults.append("written")
        except OSError as error:
            self.check(error.errno == 30, f"{error}")
        self.write("policy/pets.dqdl", RULES.replace("2", "1"))
        for words in (["policy", "apply", "policy", "mnt"], ["restore", path + "@1"], ["run", "again", "mnt"]):
            self.one_line(self.assayfs(*words, code=1), "mounted read-only")
        records = [json.loads(line) for line in self.assayfs("log", "--json", "--since", "-1h", "mnt").out.splitlines()]
        since = max(r["seq"] for r in records if r["event"] == "mount")
        found = {(r["event"], r["outcome"]) for r in records if r["seq"] > since}
        self.check({("open", "ok"), ("policy-apply", "denied"), ("restore", "denied"), ("run", "denied")} <= found, f"{found}")

    def test_a_slip_in_an_event_or_outcome_is_no_empty_log(self):
        self.mounted()
        self.one_line(self.assayfs("log", "--event", "creat", "mnt", code=2), "creat", "create, ", "verdict")
        self.one_line(self.assayfs("log", "--outcome", "refused", "mnt", code=2), "ok, denied and error")
        self.check(self.assayfs("log", "--event", "mount", "--outcome", "ok", "mnt").out != "", "no mount")

    def test_a_directory_has_no_verdict_and_no_versions(self):
        self.mounted()
        for path in ("mnt", "mnt/Landing"):
            self.one_line(self.assayfs("why", path, code=2))
        self.one_line(self.assayfs("versions", "mnt/Landing", code=2), "directory")
        self.one_line(self.assayfs("restore", "mnt/Landing@1", code=2))
        self.one_line(self.assayfs("why", "mnt/Landing/never", code=1))
        self.check(self.assayfs("restore", "mnt/Landing/never@1", code=1).err.count("Landing/never") <= 3, "doubled")
        os.mkdir(self.path("other"))
        self.check(self.assayfs("mount", "--passfile", "pass", "v", "other", code=4).err.startswith("assayfs mount: vault "),
                   "the vault is named twice")
        self.assayfs("umount", "mnt")
        self.one_line(self.assayfs("mount", "--passfile", "pass", "-o", "nix", "v", "other", code=2), "mount options nix: ",
                      "unknown option")

    def test_info_says_that_another_uses_the_vault(self):
        self.write("pass", "correct horse\n")
        self.assayfs("init", *CHEAP, "--passfile", "pass", "v")
        self.check("Mounted  no\n" in self.assayfs("info", "v").out, "not mounted, and it says so")
        folder = os.open(self.path("v"), os.O_RDONLY)
        fcntl.flock(folder, fcntl.LOCK_EX)
        self.check("Mounted  in use by another process" in self.assayfs("info", "v").out, "a lock is not seen")
        self.check(self.json("info", "--json", "v")["in_use"] is True, "nor in JSON")
        os.close(folder)

    def test_a_broken_policy_changes_nothing(self):
        self.mounted()
        self.policy()
        before = self.json("policy", "show", "--json", "mnt")
        self.write("policy/policy.yaml", POLICY + "unknown: 1\n")
        self.one_line(self.assayfs("policy", "apply", "policy", "mnt", code=1), "policy.yaml:9")
        self.check(self.json("policy", "show", "--json", "mnt") == before, "it changed")
        self.check(before["files"]["pets.dqdl"] == RULES, f"{before}")
        self.write("policy/policy.yaml", POLICY)
        self.check("already" in self.assayfs("policy", "apply", "policy", "mnt").out, "applied twice")

    def test_versions_are_listed_and_restored(self):
        self.mounted()
        path = None
        for words in ("one", "two", "three"):
            path = self.put("Landing/notes.txt", words)
        rows = self.json("versions", "--json", path)["versions"]
        self.check([row["number"] for row in rows] == [1, 2, 3] and rows[-1]["current"], f"{rows}")
        self.check("current" in self.assayfs("versions", path).out, "no current one")
        self.assayfs("restore", f"{path}@1")
        self.check(open(path, encoding="utf-8").read() == "one", "not restored")
        self.check(len(self.json("versions", "--json", path)["versions"]) == 4, "no new version")
        self.one_line(self.assayfs("restore", f"{path}@99", code=1), "version")
        os.unlink(path)
        self.check(len(self.json("versions", "--json", path)["versions"]) == 4, "versions of a removed file")
        self.assayfs("restore", f"{path}@2")
        self.check(open(path, encoding="utf-8").read() == "two", "not back")
        self.one_line(self.assayfs("versions", "mnt/Landing/never", code=1))

    def test_a_name_of_any_bytes_has_versions(self):
        self.mounted()
        name = os.path.join(os.fsencode(self.mnt), b"Landing/\xff\n\x1b[2J")
        with open(name, "wb") as file:
            file.write(b"x")
        found = self.json("versions", "--json", name)
        self.check(len(found["versions"]) == 1 and "hex" in found["path"], f"{found}")
        self.check("\\xff\\n\\x1b[2J: none" in self.assayfs("why", name, code=3).out, "why does not show it")
        self.one_line(self.assayfs("restore", name + b"@7", code=1))
        self.check(self.json("status", "--json", "mnt")["zones"][0]["files"] == 1, "status does not count it")
        self.check("Landing/" in self.assayfs("log", "--event", "create", "mnt").out, "the log does not show it")

    def test_other_users_get_what_their_role_allows_and_denials_are_recorded(self):
        if os.getuid() != 0 or not shutil.which("setpriv"):
            return
        os.chmod(self.directory, 0o755)
        self.mounted("-o", "allow_other")
        nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", ASSAYFS]
        for words in (["log"], ["policy", "show"], ["quarantine", "list"]):
            result = subprocess.run([*nobody, *words, self.mnt], capture_output=True, check=False, cwd="/")
            self.check(result.returncode == 6 and result.stderr.count(b"\n") == 1, f"{words}: {result}")
        records = [json.loads(line) for line in self.assayfs("log", "--json", "--outcome", "denied", "--user", "65534",
                                                             "mnt").out.splitlines()]
        self.check({r["event"] for r in records} >= {"read-log", "policy-show", "quarantine-list"}, f"{records}")
        status = subprocess.run([*nobody, "status", "--json", self.mnt], capture_output=True, check=False, cwd="/")
        self.check(status.returncode == 0 and json.loads(status.stdout)["ungoverned"] == [], f"{status}")

    def test_the_log_is_filtered_and_exact(self):
        self.mounted()
        self.put("Landing/a/x.txt", "x")
        self.put("Landing/ab.txt", "y")
        lines = self.assayfs("log", "--format", "json", "mnt").out.splitlines()
        records = [json.loads(line) for line in lines]
        self.check([r["seq"] for r in records] == list(range(len(records))), "sequence has gaps")
        below = [json.loads(line) for line in self.assayfs("log", "--json", "--path", "Landing/a", "mnt").out.splitlines()]
        self.check(below and all(r["path"] == "Landing/a" or r["path"].startswith("Landing/a/") for r in below), f"{below}")
        same = self.assayfs("log", "--json", "--path", os.path.join(self.mnt, "Landing/a"), "mnt").out.splitlines()
        self.check(len(same) == len(below), "a path of the file system is another")
        self.check(self.assayfs("log", "--until", "yesterday", "mnt").out == "", "records from before")
        self.check(len(self.assayfs("log", "-n", "2", "mnt").out.splitlines()) == 2, "not two")
        glob = self.assayfs("log", "--json", "--path", "Landing/*.txt", "--event", "create", "mnt").out.splitlines()
        self.check(len(glob) == 1, f"{glob}")
        text = self.assayfs("log", "--since", "-1h", "--user", str(os.getuid()), "mnt").out
        self.check("Landing/a/x.txt" in text, text)

    def test_follow_streams_new_records_and_ends_with_the_mount(self):
        self.mounted()
        follower = subprocess.Popen([ASSAYFS, "log", "--follow", "--json", "--path", "Landing/new.txt", self.mnt],
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(0.5)
        self.put("Landing/new.txt", "x")
        line = follower.stdout.readline()
        self.check(json.loads(line)["path"] == "Landing/new.txt", f"{line}")
        self.assayfs("umount", "mnt")
        try:
            self.check(follower.wait(timeout=20) == 0, f"{follower.returncode} {follower.stderr.read()}")
        except subprocess.TimeoutExpired:
            follower.send_signal(signal.SIGKILL)
            self.faults.append("it never ended")
        follower.stdout.close()
        follower.stderr.close()

    def test_run_judges_again_and_exits_by_the_outcome(self):
        self.mounted()
        self.policy()
        self.put("Landing/pets/good.csv", GOOD)
        self.outcome("Landing/pets/good.csv", "passed")
        self.assayfs("run", "again", "mnt")
        self.one_line(self.assayfs("run", "nothing", "mnt", code=1), "nothing")

    def test_the_status_has_a_file_once_that_failed_again_and_charges_and_no_backup(self):
        self.mounted()
        self.policy()
        for name in "one", "two":
            self.put(f"Landing/pets/{name}.csv", GOOD.replace("dog", "bird"))
            self.outcome(f"Landing/pets/{name}.csv", "failed")
        for name in "one", "one":
            self.put(f"Landing/pets/{name}.csv", GOOD.replace("dog", "bird" + "s" * 9))
            self.put(f"Landing/pets/{name}.csv", GOOD.replace("dog", "fish"))
            time.sleep(1.5)
            self.outcome(f"Landing/pets/{name}.csv", "failed")
        self.assayfs("run", "again", "mnt", code=1)
        status = self.json("status", "--json", "mnt")
        paths = [failure["path"] for failure in status["failures"]]
        self.check(len(paths) == len(set(paths)) and "Landing/pets/two.csv" in paths, f"{paths}")
        times = [failure["time_ns"] for failure in status["failures"]]
        self.check(times == sorted(times, reverse=True), "not the newest first")
        self.check("backup" in status and status["backup"] is None, "a backup that there is not")
        words = self.assayfs("status", "mnt").out
        self.check("\nCharges: 0.00 USD this month so far" in words and "\nBackup: none\n" in words, words)

    def test_suggest_writes_a_policy_that_the_file_passes(self):
        self.mounted()
        path = self.put("Landing/pets.csv", GOOD)
        self.assayfs("policy", "suggest", path, "-o", "suggested")
        self.assayfs("policy", "suggest", path, "-o", "suggested", code=1)
        self.assayfs("policy", "apply", "suggested", "mnt")
        self.outcome("Landing/pets.csv", "passed")

    def test_other_users_may_do_nothing_without_allow_other(self):
        if os.getuid() != 0 or not shutil.which("setpriv"):
            return
        self.mounted()
        os.chmod(self.directory, 0o755)
        vault = self.json("info", "--json", "v")["vault"]
        script = f"""
import socket, struct, json
s = socket.socket(socket.AF_UNIX); s.connect('/run/assayfs/{vault}')
"""
        result = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "python3", "-c", script],
                                capture_output=True, check=False)
        self.check(result.returncode != 0 and b"Permission" in result.stderr, f"{result}")

    def test_a_mount_whose_process_died_is_cleared_away(self):
        self.mounted()
        self.put("Landing/a.txt", "words")
        self.assayfs("sync", "mnt")
        pid = self.json("status", "--json", "mnt").get("pid")
        if not pid:
            self.faults.append("status tells no pid")
            return
        held = os.open(os.path.join(self.mnt, "Landing/a.txt"), os.O_RDONLY)  # does not keep a dead mount
        os.kill(pid, signal.SIGKILL)
        for _ in range(100):
            try:
                os.stat(self.mnt)
                time.sleep(0.05)
            except OSError:
                break
        self.one_line(self.assayfs("status", "mnt", code=5), "umount")
        self.assayfs("umount", "mnt")
        try:
            os.close(held)
        except OSError:
            pass  # it tells that nobody is there
        self.assayfs("mount", "--passfile", "pass", "v", "mnt")
        self.check(open(os.path.join(self.mnt, "Landing/a.txt"), encoding="utf-8").read() == "words", "lost")

    def stopped(self, pid):
        """kill(2) returns before the threads stop: one of them could still answer."""
        for _ in range(200):
            states = {open(f"/proc/{pid}/task/{task}/stat", encoding="utf-8").read().rpartition(")")[2].split()[0]
                      for task in os.listdir(f"/proc/{pid}/task")}
            if states == {"T"}:
                return
            time.sleep(0.05)
        self.faults.append(f"a process that was stopped is in {states}")

    def test_a_mount_whose_process_is_stuck_is_ended_by_force(self):
        self.mounted()
        self.put("Landing/a.txt", "words")
        self.assayfs("sync", "mnt")
        pid = self.json("status", "--json", "mnt")["pid"]
        os.kill(pid, signal.SIGSTOP)
        self.stopped(pid)
        waiting = subprocess.Popen(["cat", os.path.join(self.mnt, "Landing/not-there")], stderr=subprocess.DEVNULL)
        try:
            time.sleep(0.2)
            self.check(waiting.poll() is None, "nobody waits for the process that was stopped")
            self.assayfs("umount", "--force", "mnt", timeout=30)
            self.check(waiting.wait(30) != 0, "who waited was told that all is well")
        finally:
            waiting.kill()
            os.kill(pid, signal.SIGKILL)
        for _ in range(200):
            if not os.path.exists(f"/proc/{pid}"):
                break
            time.sleep(0.05)
        self.assayfs("mount", "--passfile", "pass", "v", "mnt")
        self.check(open(os.path.join(self.mnt, "Landing/a.txt"), encoding="utf-8").read() == "words", "lost")

    def test_the_recovery_key_opens_the_vault(self):
        self.write("pass", "correct horse\n")
        made = json.loads(self.assayfs("init", *CHEAP, "--json", "--passfile", "pass", "v").stdout)
        os.mkdir(self.path("mnt"))
        self.write("key", made["recovery_key"].lower().replace("-", " ") + "\n")
        self.assayfs("mount", "--recovery-key-file", "key", "v", "mnt")


sys.exit(MountedTests().run())
