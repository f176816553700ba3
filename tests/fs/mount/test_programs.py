#!/usr/bin/env python3
"""What everyday programs do when they save a file ends as the design's section on the gate says.

usage: test_programs.py ASSAYFS SOURCE

Each test names the sentence it shows.
"""
import ctypes
import errno
import fcntl
import os
import shutil
import subprocess
import sys
import time

from gate import NAME, GateTests

RULES = 'Rules = [ RowCount > 2, IsComplete "name", ColumnValues "kind" in ["cat", "dog"] ]\n'
GOOD = b"name;kind\r\na;cat\r\nb;dog\r\nc;cat\r\n"
BETTER = GOOD + b"d;dog\r\n"
BAD = GOOD.replace(b"dog", b"elk")


class ProgramTests(GateTests):
    def mounted(self, *arguments, **options):
        super().mounted(rules=RULES, *arguments, **options)
        os.makedirs(self.at("Landing/animals"))
        self.landing = self.at("Landing/" + NAME)
        self.trusted = self.at("Trusted/" + NAME)

    def run_program(self, *command, code=0, **options):
        done = subprocess.run(command, capture_output=True, check=False, timeout=60, cwd=self.directory, **options)
        if code is not None:
            self.check(done.returncode == code, f"{command[0]}: exit {done.returncode}: {done.stderr.decode()}")
        return done

    def verdicts(self, path):
        return [record for record in self.records("--event", "verdict") if record.get("path") == path]

    def publish(self, content=GOOD):
        self.put("Landing/" + NAME, content)
        self.wait_for("Trusted/" + NAME, content)

    # "a close after a change, or a rename, exchange or link, that gives a governed name new content in Landing/:
    #  so rsync's, vim's, LibreOffice's and Samba's write-elsewhere-then-rename arrive too"

    def test_rsync_into_landing_arrives_by_its_rename(self):
        self.mounted()
        source = self.outside(os.path.basename(NAME), GOOD)
        for content in (GOOD, BETTER):
            self.outside(os.path.basename(NAME), content)
            self.run_program("rsync", "-a", "--checksum", source, self.at("Landing/animals/"))
            self.wait_for("Trusted/" + NAME, content)
        self.check(len(self.verdicts("Landing/" + NAME)) == 2, f"{self.verdicts('Landing/' + NAME)}")
        self.check(os.listdir(self.at("Raw/animals")) == [os.path.basename(NAME)], "Raw has temporary names")

    def test_rsync_into_trusted_its_temporary_name_is_private_and_the_rename_is_the_gate(self):
        self.mounted()
        os.makedirs(self.at("Trusted/animals"))
        source = self.outside(os.path.basename(NAME), GOOD)
        self.run_program("rsync", "-a", source, self.at("Trusted/animals/"))
        self.check(self.get("Trusted/" + NAME) == GOOD, "a good file did not pass")
        self.check(os.stat(self.trusted).st_mtime == os.stat(source).st_mtime, "rsync -a: another time")
        self.outside(os.path.basename(NAME), BAD)
        done = self.run_program("rsync", "-a", "--checksum", source, self.at("Trusted/animals/"), code=None)
        self.check(done.returncode != 0 and b"assayfs why" in done.stderr, f"{done}")
        self.check(self.get("Trusted/" + NAME) == GOOD, "a bad file passed")
        self.check(os.listdir(self.at("Trusted/animals")) == [os.path.basename(NAME)], "temporary names are left")
        self.run_program("rsync", "-a", "--checksum", "--inplace", source, self.at("Trusted/animals/"), code=None)
        self.check(self.get("Trusted/" + NAME) == GOOD, "--inplace passed a bad file")

    def vim(self, path, command):
        return self.run_program("vim", "-u", "NONE", "-i", "NONE", "-N", "-es", "-c", "set ff=dos", "-c", command, "-c", "wq", path,
                                code=None)

    def test_vims_save_in_landing_arrives(self):
        self.mounted()
        self.publish()
        if shutil.which("vim"):
            self.vim(self.landing, "$put ='d;dog'")
        else:
            self.save_like_vim(self.landing, BETTER)
        self.wait_for("Trusted/" + NAME, BETTER)
        self.save_like_vim(self.landing, GOOD)
        self.wait_for("Trusted/" + NAME, GOOD)
        names = {record["path"] for record in self.records("--event", "capture")}
        self.check(names == {"Raw/" + NAME}, f"captured: {names}")  # "A visible ignore list (…) never arrives"

    def save_like_vim(self, path, content):
        """4913 to try the directory, the former file to NAME~, a new one, fsync, the former removed."""
        probe = os.path.join(os.path.dirname(path), "4913")
        os.close(os.open(probe, os.O_CREAT | os.O_WRONLY | os.O_EXCL | os.O_NOFOLLOW, 0o100664))
        os.unlink(probe)
        os.rename(path, path + "~")
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o664)
        os.write(fd, content)
        os.fsync(fd)
        os.close(fd)
        os.chmod(path, 0o644)
        os.unlink(path + "~")

    def test_vims_save_in_trusted_never_leaves_the_name_empty(self):
        self.mounted()
        self.publish()
        try:
            self.save_like_vim(self.trusted, BAD)
        except OSError as error:
            self.check(error.errno == errno.EPERM, f"{error}")
        self.check(self.get("Trusted/" + NAME) == GOOD, "the good file is gone")
        if not shutil.which("vim"):
            return
        for copy, content, line in (("yes", BETTER, "d;dog"), ("no", GOOD, None), ("auto", BETTER, "d;dog")):
            change = f"$put ='{line}'" if line else "$d"
            self.run_program("vim", "-u", "NONE", "-i", "NONE", "-N", "-es", "-c",
                             f"set ff=dos writebackup backupskip= backupcopy={copy}", "-c", change, "-c", "wq", self.trusted,
                             stdin=subprocess.DEVNULL)
            self.check(self.get("Trusted/" + NAME) == content, f"backupcopy={copy}: {self.get('Trusted/' + NAME)}")

    def test_a_writer_sees_the_file_that_it_opened(self):
        """vim gives up (E949) when what it opened for writing is another inode than it had looked at."""
        self.mounted()
        self.publish()
        before = os.stat(self.trusted)
        fd = os.open(self.trusted, os.O_WRONLY | os.O_TRUNC)
        opened = os.fstat(fd)
        self.check((opened.st_dev, opened.st_ino) == (before.st_dev, before.st_ino), f"{before.st_ino}, then {opened.st_ino}")
        os.write(fd, BETTER)
        self.check(os.fstat(fd).st_size == len(BETTER) and self.get("Trusted/" + NAME) == GOOD, "not a draft of its own")
        os.close(fd)
        self.check(self.get("Trusted/" + NAME) == BETTER, "not published")
        fd = os.open(os.path.join(os.path.dirname(self.trusted), "new.tmp"), os.O_WRONLY | os.O_CREAT)
        self.check(os.fstat(fd).st_ino not in (before.st_ino, os.stat(self.trusted).st_ino), "a new file bears another's number")
        os.close(fd)

    def lock_like_office(self, path):
        """A write lock on the file itself, and a file beside it that says who has it open."""
        folder, name = os.path.split(path)
        fd = os.open(path, os.O_RDWR)
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        beside = os.open(os.path.join(folder, f".~lock.{name}#"), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        os.pwrite(beside, b",user,host,23.11.2026 20:00,file:///home/user/.config/libreoffice/4;", 0)
        os.close(beside)
        return fd

    def save_like_office(self, path, content):
        """LibreOffice 7.4 as it was traced (libreoffice.py): opens to edit, saves, closes the document."""
        folder, name = os.path.split(path)
        beside = os.path.join(folder, f".~lock.{name}#")
        temporary = os.path.join(folder, "lu12345abc.tmp")
        document = self.lock_like_office(path)
        try:
            os.close(document)
            os.unlink(beside)
            os.close(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            new = os.open(temporary, os.O_RDWR | os.O_CREAT, 0o666)
            document = self.lock_like_office(path)
            os.close(document)
            os.pwrite(new, content, 0)
            os.close(new)
            try:
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666))
                self.faults.append("O_EXCL made a file that was there")
            except FileExistsError:
                pass
            os.rename(temporary, path)
            os.chmod(path, 0o644)
            document = os.open(path, os.O_RDWR)
            fcntl.lockf(document, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.fsync(document)
            os.close(document)
        finally:
            os.unlink(beside)
            if os.path.exists(temporary):
                os.unlink(temporary)

    def test_libreoffices_save_renamed_over_beside_a_lock_arrives_and_the_lock_never_does(self):
        self.mounted()
        self.publish()
        self.save_like_office(self.landing, BETTER)
        self.wait_for("Trusted/" + NAME, BETTER)
        self.check(len(self.verdicts("Landing/" + NAME)) == 2, f"{self.verdicts('Landing/' + NAME)}: not one a save")
        self.check(os.listdir(self.at("Raw/animals")) == [os.path.basename(NAME)], f"{os.listdir(self.at('Raw/animals'))}")
        self.save_like_office(self.trusted, GOOD)
        self.check(self.get("Trusted/" + NAME) == GOOD, "straight into Trusted")
        # The kernel still had times to write for the inode that was renamed over; syncfs told of an error there.
        self.assayfs("sync", "mnt")
        try:
            self.save_like_office(self.trusted, BAD)
            self.faults.append("a bad save was allowed")
        except PermissionError:
            pass
        self.check(self.get("Trusted/" + NAME) == GOOD, "after a bad save")
        self.check(os.listdir(self.at("Trusted/animals")) == [os.path.basename(NAME)], "names are left in Trusted")
        self.check(len(self.verdicts("Trusted/" + NAME)) == 2, f"{self.verdicts('Trusted/' + NAME)}: not one a save")

    def test_cp_a_and_tar_x_arrive_with_times_and_do_not_carry_the_verdict(self):
        self.mounted()
        os.makedirs(self.path("in/animals"))
        for name in ("x.csv", "y.csv"):
            self.outside("in/animals/" + name, GOOD)
            os.utime(self.path("in/animals/" + name), (1_000_000_000, 1_000_000_000))
        self.run_program("cp", "-a", self.path("in/animals/x.csv"), self.at("Landing/animals/"))
        self.run_program("tar", "-C", self.path("in"), "-cf", self.path("t.tar"), "animals/y.csv")
        self.run_program("tar", "-C", self.at("Landing"), "-xf", self.path("t.tar"))
        for name in ("x.csv", "y.csv"):
            self.wait_for("Trusted/animals/" + name, GOOD)
            self.check(os.stat(self.at("Trusted/animals/" + name)).st_mtime == 1_000_000_000, f"{name}: another time")
        # "`user.assayfs.*` answers by name and is not listed, so `cp -a` and `tar` don't carry it"
        self.check(os.getxattr(self.at("Landing/animals/x.csv"), "user.assayfs.verdict") == b"passed", "verdict")
        self.check(os.listxattr(self.at("Landing/animals/x.csv")) == [], "listed")
        self.run_program("cp", "-a", self.at("Trusted/animals/x.csv"), self.path("back.csv"))
        self.check(os.listxattr(self.path("back.csv")) == [], "carried")
        self.run_program("cp", "-a", self.path("in/animals/x.csv"), self.at("Trusted/animals/z.csv"))
        self.check(os.stat(self.at("Trusted/animals/z.csv")).st_mtime == 1_000_000_000, "cp -a into Trusted: time")
        self.run_program("tar", "-C", self.at("Trusted"), "-xf", self.path("t.tar"), "--overwrite")
        self.check(self.get("Trusted/animals/y.csv") == GOOD, "tar over Trusted")

    def test_ten_bursts_of_appending_are_judged_once_after_settling(self):
        # "It settles first (…), so that appended or half-sent files are judged once; a newer version supersedes a
        #  queued job, and the record says so."
        self.mounted()
        whole = b""
        for i in range(10):
            piece = b"name;kind\r\n" if i == 0 else b"n%d;cat\r\n" % i
            whole += piece
            self.run_program("sh", "-c", 'cat >> "$0"', self.landing, input=piece)
            time.sleep(0.15)
        self.wait_for("Trusted/" + NAME, whole)
        self.check(len(self.verdicts("Landing/" + NAME)) == 1, f"{len(self.verdicts('Landing/' + NAME))} verdicts")
        superseded = [r for r in self.records("--event", "supersede") if r.get("path") == "Landing/" + NAME]
        self.check(len(superseded) == 9, f"{len(superseded)} records of superseded jobs")

    def test_an_empty_file_is_failed_empty(self):
        self.mounted()
        self.publish()
        self.put("Landing/" + NAME, b"")
        self.outcome("Landing/" + NAME, "failed")
        words = self.assayfs("why", self.landing, code=1).out
        self.check("empty" in words, words)
        self.check(self.get("Trusted/" + NAME) == GOOD, "the former version is gone")
        self.run_program("cp", "/dev/null", self.trusted, code=None)
        self.run_program("touch", self.at("Trusted/animals/touched.csv"), code=None)
        time.sleep(0.3)
        self.check(self.get("Trusted/" + NAME) == GOOD, "an empty file passed")
        self.check(self.get("Trusted/animals/touched.csv") is None, "touch made a file in Trusted")

    def test_the_same_content_twice_is_a_delivery_and_no_version_of_raw(self):
        self.mounted()
        self.publish()
        self.run_program("cp", self.outside("again.csv", GOOD), self.landing)
        self.outcome("Landing/" + NAME, "passed")
        self.idle()
        self.check(len(self.json("versions", "--json", self.at("Raw/" + NAME))["versions"]) == 1, "a version in Raw")
        self.check(len(self.json("versions", "--json", self.trusted)["versions"]) == 1, "a version in Trusted")
        self.check(len(self.records("--event", "deliver")) == 1, "no record of the delivery")

    def test_a_file_without_a_dataset_stays_in_landing_and_status_names_the_closest_pattern(self):
        self.mounted()
        self.put("Landing/animal/stray.csv", BAD)
        self.check(os.getxattr(self.at("Landing/animal/stray.csv"), "user.assayfs.verdict") == b"none", "verdict")
        status = self.json("status", "--json", "mnt")
        self.check(status["ungoverned_count"] == 1, f"{status}")
        self.check(status["ungoverned"][0]["closest_match"] == "animals/*.csv", f"{status}")
        time.sleep(1.3)
        self.check(os.listdir(self.at("Raw")) == [] and os.listdir(self.at("Trusted")) == [], "it went on")

    def test_raw_is_changed_by_nobody_and_deleting_in_landing_touches_it_not(self):
        self.mounted()
        self.publish()
        raw = self.at("Raw/" + NAME)
        for call, arguments in ((os.unlink, (raw,)), (os.rename, (raw, raw + "2")), (os.truncate, (raw, 0)),
                                (os.chmod, (raw, 0o777)), (open, (raw, "wb")), (os.mkdir, (self.at("Raw/x"),)),
                                (os.link, (raw, raw + "2")), (os.setxattr, (raw, "user.x", b"1"))):
            try:
                call(*arguments)
                self.faults.append(f"{call.__name__} in Raw was allowed")
            except OSError as error:
                self.check(error.errno == errno.EPERM, f"{call.__name__}: {error}")
        os.unlink(self.landing)
        self.check(self.get("Raw/" + NAME) == GOOD and self.get("Trusted/" + NAME) == GOOD, "deleted with Landing's")

    def test_a_directory_renamed_or_moved_in_landing_gives_its_files_new_names_that_arrive(self):
        self.mounted()
        for i in range(3):
            self.put(f"Landing/inbox/sub/{i}.csv", GOOD if i else BAD)
        self.policy(POLICY_DEEP, RULES)
        os.rename(self.at("Landing/inbox"), self.at("Landing/animals/in"))
        for i in (1, 2):
            self.wait_for(f"Trusted/animals/in/sub/{i}.csv", GOOD)
        self.outcome("Landing/animals/in/sub/0.csv", "failed")
        self.check(self.get("Trusted/animals/in/sub/0.csv") is None, "a bad one passed")
        os.rename(self.at("Landing/animals/in"), self.at("Landing/animals/out"))
        self.assayfs("umount", "mnt")  # the job is a row: it outlives the mount
        self.mount()
        self.wait_for("Trusted/animals/out/sub/2.csv", GOOD)

    def test_exchange_link_and_restore_give_names_content_that_arrives(self):
        self.mounted()
        other = "animals/other.csv"
        self.publish()
        self.put("Landing/" + other, BETTER)
        self.wait_for("Trusted/" + other, BETTER)
        libc = ctypes.CDLL(None, use_errno=True)
        libc.syscall(316, -100, os.fsencode(self.landing), -100, os.fsencode(self.at("Landing/" + other)), 2)
        self.wait_for("Trusted/" + NAME, BETTER)
        self.wait_for("Trusted/" + other, GOOD)
        os.link(self.landing, self.at("Landing/animals/third.csv"))
        self.wait_for("Trusted/animals/third.csv", BETTER)
        self.assayfs("restore", self.landing + "@1")
        self.wait_for("Trusted/" + NAME, GOOD)
        # "Restores, truncations, mmap writes and recovery cross the gate: there is no second door."
        self.assayfs("restore", self.trusted + "@2")
        self.check(self.get("Trusted/" + NAME) == BETTER, "a version that passed is not restored in Trusted")
        self.policy(rules=RULES.replace("RowCount > 2", "RowCount < 4"))
        self.assayfs("restore", self.trusted + "@1")
        self.check(self.get("Trusted/" + NAME) == GOOD, "what passes the rules in force is not restored")
        refused = self.assayfs("restore", self.trusted + "@2", code=1)
        self.check("assayfs why" in refused.err, refused.err)
        self.check(self.get("Trusted/" + NAME) == GOOD, "restored what the rules in force refuse")

    def test_status_counts_the_temporary_files_that_wait_in_trusted(self):
        self.mounted()
        os.makedirs(self.at("Trusted/animals"))
        self.put("Trusted/animals/.tmp.1", GOOD)
        self.put("Trusted/animals/.tmp.2", GOOD)
        status = self.json("status", "--json", "mnt")
        self.check(status.get("temporary_in_trusted") == 2, f"{status.get('temporary_in_trusted')}")
        self.check("2 temporary files" in self.assayfs("status", "mnt").out, "not in words")
        os.rename(self.at("Trusted/animals/.tmp.1"), self.trusted)
        os.unlink(self.at("Trusted/animals/.tmp.2"))
        self.check(self.json("status", "--json", "mnt").get("temporary_in_trusted") == 0, "still counted")

    def test_appending_to_a_published_file_keeps_what_was_there(self):
        self.mounted()
        self.publish()
        with open(self.trusted, "ab") as file:
            self.check(os.fstat(file.fileno()).st_size == len(GOOD), "a writer sees another size")
            file.write(b"d;dog\r\n")
        self.check(self.get("Trusted/" + NAME) == BETTER, f"{self.get('Trusted/' + NAME)}")
        self.run_program("sh", "-c", 'printf "e;cat\\r\\n" >> "$0"', self.trusted, code=None)
        time.sleep(0.2)
        self.check(self.get("Trusted/" + NAME) in (BETTER, BETTER + b"e;cat\r\n"), f"{self.get('Trusted/' + NAME)}")

    def test_records_of_direct_writes_name_their_path(self):
        self.mounted()
        self.publish()
        self.run_program("cp", self.outside("b.csv", BETTER), self.trusted)
        self.run_program("cp", self.outside("bad.csv", BAD), self.trusted, code=1)
        records = [r for r in self.records("--path", "Trusted/" + NAME) if r.get("exe") == "cp"]
        events = [record["event"] for record in records]
        for event in ("open", "close", "verdict", "publish"):
            self.check(event in events, f"no {event} of cp: {events}")
        nameless = [r for r in self.records() if r["event"] in ("open", "close") and not r.get("path")]
        self.check(not nameless, f"without a path: {nameless[:2]}")


POLICY_DEEP = """version: 1
datasets:
  - name: deep
    match: "animals/**/*.csv"
    rules: animals.dqdl
"""

if __name__ == "__main__":
    sys.exit(ProgramTests().run())
