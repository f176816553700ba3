#!/usr/bin/env python3
"""No way leads a file that does not pass into Trusted: each door is tried while readers watch all of it.

usage: test_doors.py ASSAYFS SOURCE [DOOR…]

Each method door_… tries one way; its first line is the sentence that is printed. Afterwards the good file still stands
at its name, and no reader has met other bytes or another size anywhere in Trusted, not for an instant.
"""
import ctypes
import errno
import fcntl
import mmap
import os
import shutil
import struct
import subprocess
import sys
import time

from gate import ASSAYFS, NAME, GateTests, spoil, vancouver

NEW = "animals/new.csv"
LIBC = ctypes.CDLL(None, use_errno=True)
FICLONE = 0x40049409
RENAME_EXCHANGE = 2


def renameat2(source, target, flags):
    done = LIBC.syscall(316, -100, os.fsencode(source), -100, os.fsencode(target), flags)
    return 0 if done == 0 else ctypes.get_errno()


class DoorTests(GateTests):
    def test_no_door_leads_a_bad_file_into_trusted(self):
        """All doors on one mount, watched by two readers."""
        self.good, _ = vancouver()
        self.bad = spoil(self.good)
        self.mounted()
        self.source = self.outside("bad.csv", self.bad)
        self.outside("good.csv", self.good)
        self.landing = self.at("Landing/" + NAME)
        self.trusted = self.at("Trusted/" + NAME)
        self.new = self.at("Trusted/" + NEW)
        self.put("Landing/" + NAME, self.good)
        self.wait_for("Trusted/" + NAME, self.good)
        self.watch([self.good], (NAME, NEW), count=2)
        asked = sys.argv[3:]
        doors = [name for name in dir(self) if name.startswith("door_") and (not asked or name[5:] in asked)]
        for name in doors:
            faults = len(self.faults)
            try:
                getattr(self, name)()
            except Exception as error:
                self.faults.append(f"{type(error).__name__}: {error}")
            if self.get("Trusted/" + NAME) != self.good:
                self.faults.append("the good file does not stand at its name any more")
                self.restore_good()
            if self.get("Trusted/" + NEW) is not None:
                self.faults.append("there is a new file in Trusted")
                os.unlink(self.new)
            self.faults += self.seen()[:3]
            words = getattr(self, name).__doc__.strip().splitlines()[0]
            print(f"{'FAILED' if len(self.faults) > faults else 'ok    '} door: {words}", flush=True)
            self.faults[faults:] = [f"{name}: {fault}" for fault in self.faults[faults:]]
        self.idle()
        time.sleep(0.2)
        self.faults += [f"at last: {words}" for words in self.seen()]
        self.check(self.get("Trusted/" + NAME) == self.good, "the good file is gone")
        rounds, files = self.stop_readers()
        print(f"       {len(doors)} doors, watched {rounds} times, {files} files read")
        self.check(files > 100, "the readers did not get to read")

    def restore_good(self):
        with open(self.path("good.csv"), "rb") as source, open(self.trusted, "wb") as target:
            shutil.copyfileobj(source, target)

    def refused(self, *command, words="assayfs why", **options):
        """The command fails, and its standard error (a pipe) has the words."""
        done = subprocess.run(command, capture_output=True, check=False, timeout=60, **options)
        self.check(done.returncode != 0, f"{command[0]} was allowed")
        self.check(words in done.stderr.decode(), f"{command[0]} does not say {words!r}: {done.stderr.decode()!r}")
        return done

    def shell(self, script, **options):
        return subprocess.run(["sh", "-c", script], capture_output=True, check=False, timeout=60, cwd=self.directory,
                              env={**os.environ, "LC_ALL": "C", "BAD": self.source, "T": self.trusted, "N": self.new,
                                   "L": self.landing, "M": self.mnt}, **options)

    def fails(self, wanted, call, *arguments):
        """The call raises OSError with one of the errnos."""
        try:
            result = call(*arguments)
        except OSError as error:
            self.check(error.errno in wanted, f"{call.__name__}: {error}")
            return
        self.faults.append(f"{call.__name__} was allowed")
        if isinstance(result, int):
            try:
                os.close(result)
            except OSError:
                pass

    def closes_with_eperm(self, fd):
        self.fails({errno.EPERM}, os.close, fd)

    # ---- by way of Landing

    def door_01_cp_to_landing(self):
        """cp to Landing: refused by its verdict, why names rule and number, the former version stays"""
        shutil.copyfile(self.source, self.landing)
        self.outcome("Landing/" + NAME, "failed")
        done = subprocess.run([ASSAYFS, "why", self.landing], capture_output=True, check=False)
        self.check(b'ColumnValues "State"' in done.stdout and b" of " in done.stdout, done.stdout.decode())
        self.check(os.getxattr(self.landing, "user.assayfs.verdict") == b"failed", "user.assayfs.verdict")
        self.check(os.getxattr(self.trusted, "user.assayfs.newer") == b"failed", "user.assayfs.newer")

    def door_02_mv_from_landing(self):
        """mv Landing/new.csv Trusted/: is EXDEV, so mv copies and is refused; the source stays"""
        self.put("Landing/" + NEW, self.bad)
        self.refused("mv", self.at("Landing/" + NEW), self.at("Trusted/animals/"))
        self.check(self.get("Landing/" + NEW) == self.bad, "mv removed the source")
        self.fails({errno.EXDEV}, os.rename, self.at("Landing/" + NEW), self.new)
        os.unlink(self.at("Landing/" + NEW))

    def door_03_restore_in_landing(self):
        """restore of an old bad version in Landing: arrives, and is refused again"""
        self.put("Landing/" + NAME, self.good)
        self.outcome("Landing/" + NAME, "passed")
        self.check("user.assayfs.newer" not in os.listxattr(self.trusted), "listed")
        rows = self.json("versions", "--json", self.landing)["versions"]
        bad = next((row["number"] for row in rows if row["size"] == len(self.bad)), 2)
        self.assayfs("restore", f"{self.landing}@{bad}")
        self.check(self.get("Landing/" + NAME) in (self.good, self.bad), "Landing")
        self.outcome("Landing/" + NAME, "failed", "passed")
        self.put("Landing/" + NAME, self.bad)
        self.outcome("Landing/" + NAME, "failed")

    def door_04_restore_in_trusted(self):
        """restore in Trusted: a refused version is no version of Trusted"""
        rows = self.json("versions", "--json", self.trusted)["versions"]
        before = len(rows)
        for row in rows:
            data = self.get(f".assayfs/versions/Trusted/{NAME}/{row['number']}")
            self.check(data == self.good, f"version {row['number']} is not the good file")
        self.assayfs("restore", f"{self.trusted}@{before + 1}", code=1)

    # ---- cp and its like, straight into Trusted

    def door_10_cp_over_a_good_one(self):
        """cp over the good file: exits non-zero, and its standard error names assayfs why"""
        self.refused("cp", self.source, self.trusted)
        done = subprocess.run([ASSAYFS, "why", self.trusted], capture_output=True, check=False)
        self.check(b'ColumnValues "State"' in done.stdout, "why does not name the rule: " + done.stdout.decode())

    def door_11_cp_as_new(self):
        """cp as a new name: exits non-zero, and why knows that name"""
        self.refused("cp", self.source, self.new)
        done = subprocess.run([ASSAYFS, "why", self.new], capture_output=True, check=False)
        self.check(done.returncode == 1 and b'ColumnValues "State"' in done.stdout, done.stdout.decode())

    def door_12_cp_reflink(self):
        """cp --reflink=always and =auto from Landing and from outside"""
        for how in ("always", "auto"):
            for source in (self.landing, self.source):
                for target in (self.trusted, self.new):
                    done = subprocess.run(["cp", "--reflink=" + how, source, target], capture_output=True, check=False)
                    self.check(done.returncode != 0, f"cp --reflink={how} to {target} was allowed")

    def door_13_cp_a_and_install(self):
        """cp -a, cp --remove-destination, cp -f, install"""
        for command in (["cp", "-a"], ["cp", "-f"], ["install", "-m", "644"]):
            self.refused(*command, self.source, self.new)
        self.refused("cp", "-a", self.source, self.trusted)

    def door_14_cat(self):
        """cat > the good file, and > a new one"""
        for name in ("T", "N"):
            done = self.shell(f'cat "$BAD" > "${name}"; exit $?')
            del done  # the shell's own close hears of it, not cat's; what counts is what Trusted shows

    def door_15_dd_notrunc(self):
        """dd conv=notrunc into the good file, one block in its middle"""
        done = self.shell('dd if="$BAD" of="$T" bs=4096 count=40 seek=10 skip=10 conv=notrunc')
        self.check(done.returncode != 0 and b"assayfs why" in done.stderr, f"{done}")

    def door_16_append(self):
        """O_APPEND: a line more that does not conform"""
        fd = os.open(self.trusted, os.O_WRONLY | os.O_APPEND)
        os.write(fd, b"Cat;Black;2024-01-01;X;M;####\r\n")
        self.closes_with_eperm(fd)

    def door_17_tar(self):
        """tar -x over the good file and as new"""
        os.makedirs(self.path("t/animals"), exist_ok=True)
        for name in (NAME, NEW):
            shutil.copyfile(self.source, self.path("t/" + name))
        subprocess.run(["tar", "-C", self.path("t"), "-cf", self.path("t.tar"), "animals"], check=True)
        for options in ((), ("--overwrite",), ("--skip-old-files",)):
            subprocess.run(["tar", "-C", self.at("Trusted"), "-xf", self.path("t.tar"), *options,
                            "animals/new.csv"], capture_output=True, check=False)
        subprocess.run(["tar", "-C", self.at("Trusted"), "-xf", self.path("t.tar"), "--overwrite", NAME],
                       capture_output=True, check=False)

    # ---- truncation

    def door_20_truncate_by_path(self):
        """truncate(2) by path, to less, to nothing, and to more"""
        for size in (len(self.good) - 1000, 0, len(self.good) + 4096):
            self.fails({errno.EPERM}, os.truncate, self.trusted, size)

    def door_21_ftruncate(self):
        """ftruncate through a descriptor"""
        for size in (100, len(self.good) + 100):
            fd = os.open(self.trusted, os.O_RDWR)
            os.ftruncate(fd, size)
            self.closes_with_eperm(fd)
        fd = os.open(self.trusted, os.O_RDWR)
        os.ftruncate(fd, 0)
        os.close(fd)  # empty: waits for the last one, and is refused then

    def door_22_rdonly_trunc(self):
        """O_RDONLY|O_TRUNC, O_WRONLY|O_TRUNC without a write"""
        for flags in (os.O_RDONLY | os.O_TRUNC, os.O_WRONLY | os.O_TRUNC):
            try:
                os.close(os.open(self.trusted, flags))
            except OSError as error:
                self.check(error.errno in (errno.EPERM, errno.EACCES), f"{error}")

    def door_23_fallocate(self):
        """fallocate beyond the end, punch hole and zero range"""
        for mode, offset, length in ((0, len(self.good), 8192), (3, 4096, 8192), (16, 4096, 8192)):
            fd = os.open(self.trusted, os.O_RDWR)
            done = LIBC.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(length))
            if done == 0:
                self.closes_with_eperm(fd)
            else:
                os.close(fd)

    # ---- names

    def door_30_hard_link(self):
        """link(2): from Landing is EXDEV, inside Trusted EPERM; ln falls back on nothing"""
        self.fails({errno.EXDEV}, os.link, self.landing, self.new)
        self.fails({errno.EPERM}, os.link, self.trusted, self.new)
        self.refused("ln", self.landing, self.new, words="link")
        self.refused("cp", "-l", self.landing, self.new, words="link")

    def door_31_symlinks(self):
        """symbolic links: absolute, with .., and to a name that a dataset governs are EPERM"""
        for target in (self.landing, "../../Landing/" + NAME, "../../Landing", "x/../../../Landing/" + NAME, "..", "/"):
            for name in ("Trusted/animals/new.csv", "Trusted/animals/link", "Trusted/link"):
                self.fails({errno.EPERM}, os.symlink, target, self.at(name))
        self.fails({errno.EPERM}, os.symlink, "lost-and-found.csv", self.new)
        os.symlink("animals/lost-and-found.csv", self.at("Trusted/link"))
        self.fails({errno.EPERM}, os.rename, self.at("Trusted/link"), self.new)
        self.fails({errno.EPERM}, os.rename, self.at("Trusted/link"), self.trusted)
        os.unlink(self.at("Trusted/link"))

    def door_32_rename_over(self):
        """a temporary file in Trusted renamed over the good one, and to a new name"""
        for target in (self.trusted, self.new):
            tmp = self.at("Trusted/animals/.tmp.XyZ")
            shutil.copyfile(self.source, tmp)
            self.check(".tmp.XyZ" not in os.listdir(self.at("Trusted/animals")), "the temporary file is listed")
            self.fails({errno.EPERM}, os.rename, tmp, target)
            os.unlink(tmp)

    def door_33_rename_while_open(self):
        """a temporary file renamed while it is open for writing is EBUSY; closed and renamed, it passes"""
        tmp = self.at("Trusted/animals/.tmp.open")
        fd = os.open(tmp, os.O_RDWR | os.O_CREAT)
        os.write(fd, self.good)
        self.fails({errno.EBUSY}, os.rename, tmp, self.trusted)
        os.pwrite(fd, self.bad[5000:9000], 5000)
        os.close(fd)
        self.fails({errno.EPERM}, os.rename, tmp, self.trusted)
        with open(tmp, "wb") as file:
            file.write(self.good)
        os.rename(tmp, self.trusted)

    def door_34_exchange(self):
        """renameat2(EXCHANGE) inside Trusted, and with Landing"""
        tmp = self.at("Trusted/animals/.tmp.x")
        shutil.copyfile(self.source, tmp)
        self.check(renameat2(tmp, self.trusted, RENAME_EXCHANGE) in (errno.EPERM, errno.EXDEV), "exchange")
        self.check(renameat2(self.trusted, tmp, RENAME_EXCHANGE) in (errno.EPERM, errno.EXDEV), "exchange back")
        os.unlink(tmp)
        self.check(renameat2(self.landing, self.trusted, RENAME_EXCHANGE) == errno.EXDEV, "exchange with Landing")

    def door_35_directories(self):
        """directories: moved into Trusted, and moved inside it to where a dataset governs their files"""
        os.makedirs(self.at("Landing/d"), exist_ok=True)
        shutil.copyfile(self.source, self.at("Landing/d/new.csv"))
        self.fails({errno.EXDEV}, os.rename, self.at("Landing/d"), self.at("Trusted/d"))
        os.makedirs(self.at("Trusted/e"))
        shutil.copyfile(self.source, self.at("Trusted/e/new.csv"))  # no dataset governs it: private, temporary
        self.check(os.listdir(self.at("Trusted/e")) == [], "a temporary file is listed")
        self.fails({errno.EPERM, errno.ENOTEMPTY, errno.EEXIST}, os.rename, self.at("Trusted/e"), self.at("Trusted/animals"))
        self.fails({errno.EPERM}, os.rename, self.at("Trusted/animals"), self.at("Trusted/f"))
        self.fails({errno.EPERM}, os.rename, self.at("Trusted/e/new.csv"), self.new)
        os.unlink(self.at("Trusted/e/new.csv"))
        os.rmdir(self.at("Trusted/e"))
        shutil.rmtree(self.at("Landing/d"))

    def door_36_mknod(self):
        """mknod of a file, pipe, socket or device in Trusted is EPERM"""
        import socket
        for kind in (0o100644, 0o010644, 0o140644):
            self.fails({errno.EPERM}, os.mknod, self.new, kind)
        if os.getuid() == 0:
            self.fails({errno.EPERM}, os.mknod, self.new, 0o060644, os.makedev(7, 0))
        with socket.socket(socket.AF_UNIX) as listener:
            os.chdir(self.at("Trusted/animals"))
            try:
                self.fails({errno.EPERM}, listener.bind, "new.csv")
            finally:
                os.chdir("/")

    def door_37_tmpfile(self):
        """O_TMPFILE and linkat of it"""
        try:
            fd = os.open(self.at("Trusted/animals"), os.O_TMPFILE | os.O_RDWR)
        except OSError as error:
            self.check(error.errno in (errno.EOPNOTSUPP, errno.EPERM, errno.EISDIR), f"{error}")
            return
        os.write(fd, self.bad)
        self.fails({errno.EPERM, errno.EXDEV}, os.link, f"/proc/self/fd/{fd}", self.new)
        os.close(fd)

    # ---- descriptors

    def door_40_mmap(self):
        """mmap: written before and after close"""
        fd = os.open(self.trusted, os.O_RDWR)
        mapped = mmap.mmap(fd, len(self.good))
        mapped[5000:9000] = self.bad[5000:9000]
        self.closes_with_eperm(fd)
        mapped[9000:20000] = self.bad[9000:20000]
        mapped.flush()
        time.sleep(0.05)
        mapped.close()

    def door_41_mmap_of_an_unchanged_one(self):
        """mmap of the good file, closed unchanged (0), written after close"""
        fd = os.open(self.trusted, os.O_RDWR)
        mapped = mmap.mmap(fd, len(self.good))
        try:
            os.close(fd)
        except OSError as error:
            self.faults.append(f"close of an unchanged file: {error}")
        mapped[5000:9000] = self.bad[5000:9000]
        mapped.flush()
        mapped.close()

    def door_42_dup(self):
        """writing on through a dup after a good close"""
        fd = os.open(self.trusted, os.O_RDWR)
        again = os.dup(fd)
        os.write(fd, self.good)
        os.close(fd)
        os.pwrite(again, self.bad[5000:9000], 5000)
        self.closes_with_eperm(again)

    def door_43_fork(self):
        """a child writes on after the parent's good close, and one that outlives it"""
        fd = os.open(self.trusted, os.O_RDWR)
        os.write(fd, self.good)
        ready, go = os.pipe()
        child = os.fork()
        if child == 0:
            os.read(ready, 1)
            os.pwrite(fd, self.bad[5000:9000], 5000)
            os._exit(0)
        os.close(fd)
        os.write(go, b"x")
        os.waitpid(child, 0)
        os.close(ready)
        os.close(go)
        script = ("import os,sys,time\nfd=os.open(sys.argv[1],os.O_RDWR)\nb=open(sys.argv[2],'rb').read()\n"
                  "if os.fork(): os._exit(0)\ntime.sleep(.2)\nos.write(fd,b)\nos._exit(0)")
        subprocess.run([sys.executable, "-c", script, self.trusted, self.source], check=False, timeout=30)
        time.sleep(0.5)

    def writes(self, path, *parts, then=""):
        """A process of its own that writes the parts and then does something else."""
        script = f"import os, signal, time\nfd = os.open({path!r}, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)\n"
        for source, start, end in parts:
            script += f"data = open({source!r}, 'rb').read()[{start}:{end}]\nassert os.write(fd, data) == len(data)\n"
        return subprocess.Popen([sys.executable, "-c", script + then], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def door_43_killed_writer(self):
        """a writer that is killed halfway: what would pass is a part, which is not judged as a whole, in Trusted or Landing"""
        passes = self.path("good.csv")
        half = self.good.index(b"\n", len(self.good) * 3 // 4) + 1
        for path in (self.trusted, self.new, self.at("Landing/" + NEW)):
            writer = self.writes(path, (passes, 0, half), then="print('x', flush=True)\ntime.sleep(60)")
            writer.stdout.read(1)
            writer.kill()
            writer.wait()
            self.idle()
        time.sleep(1.2)
        self.idle()
        self.check(self.get("Landing/" + NEW) == self.good[:half], "Landing lost what was written")
        os.unlink(self.at("Landing/" + NEW))

    def door_43_opener_gone(self):
        """the opener ends while a child has more to write: nothing is judged before the child is done"""
        passes = self.path("good.csv")
        half = self.good.index(b"\n", len(self.good) * 3 // 4) + 1
        child = (f"if os.fork():\n    os._exit(0)\nprint('x', flush=True)\nos.read(0, 1)\n"
                 f"data = open({passes!r}, 'rb').read()[{half}:]\nassert os.write(fd, data) == len(data)\nos._exit(0)\n")
        writer = self.writes(self.trusted, (passes, 0, half), then=child)
        writer.stdout.read(1)
        writer.wait()
        time.sleep(0.3)
        self.check(self.get("Trusted/" + NAME) == self.good, "a part was published")
        writer.communicate(b"x")
        self.idle()

    def door_44_two_writers(self):
        """two writers of one name at a time, a good and a bad one, in both orders"""
        for first_is_bad in (True, False):
            one = os.open(self.trusted, os.O_WRONLY)
            two = os.open(self.trusted, os.O_WRONLY | os.O_TRUNC)
            contents = (self.bad, self.good) if first_is_bad else (self.good, self.bad)
            for i in range(0, len(self.good), 100_000):
                os.write(one, contents[0][i:i + 100_000])
                os.write(two, contents[1][i:i + 100_000])
            for fd, content in ((one, contents[0]), (two, contents[1])):
                if content is self.bad:
                    self.closes_with_eperm(fd)
                else:
                    os.close(fd)

    def door_45_proc_self_fd(self):
        """a closed file written on through /proc/self/fd of a reader, and of a writer"""
        reader = os.open(self.trusted, os.O_RDONLY)
        try:
            fd = os.open(f"/proc/self/fd/{reader}", os.O_WRONLY)
        except OSError as error:
            self.check(error.errno in (errno.ESTALE, errno.EPERM, errno.EACCES), f"reopen: {error}")
        else:
            os.pwrite(fd, self.bad[5000:9000], 5000)
            self.closes_with_eperm(fd)
        os.close(reader)
        writer = os.open(self.trusted, os.O_RDWR)
        try:
            again = os.open(f"/proc/self/fd/{writer}", os.O_WRONLY)
        except OSError:
            again = -1
        os.close(writer)
        if again >= 0:
            os.pwrite(again, self.bad[5000:9000], 5000)
            self.closes_with_eperm(again)

    def door_46_copy_file_range(self):
        """copy_file_range and FICLONE from Landing into a descriptor of Trusted"""
        source = os.open(self.landing, os.O_RDONLY)
        self.check(os.pread(source, len(self.bad), 0) == self.bad, "the test's Landing file is not the bad one")
        fd = os.open(self.trusted, os.O_RDWR)
        try:
            copied = 0
            while copied < len(self.bad):
                step = os.copy_file_range(source, fd, len(self.bad) - copied)
                if step == 0:
                    break
                copied += step
        except OSError as error:
            self.check(error.errno in (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP), f"{error}")
            os.close(fd)
        else:
            self.closes_with_eperm(fd)
        fd = os.open(self.trusted, os.O_RDWR)
        try:
            fcntl.ioctl(fd, FICLONE, source)
            self.faults.append("FICLONE was allowed")
        except OSError:
            pass
        os.close(fd)
        os.close(source)

    def door_47_odirect_and_osync(self):
        """O_DIRECT and O_SYNC writes, and fsync before close"""
        for flags in (os.O_SYNC, os.O_DIRECT):
            fd = os.open(self.trusted, os.O_RDWR | flags)
            page = mmap.mmap(-1, 4096)
            page[:] = self.bad[4096:8192]
            os.pwrite(fd, page, 4096)
            os.fsync(fd)
            time.sleep(0.05)
            self.closes_with_eperm(fd)

    # ---- attributes

    def door_50_verdict_attribute(self):
        """setxattr of user.assayfs.verdict is EPERM anywhere"""
        for path in (self.trusted, self.landing):
            for name in ("user.assayfs.verdict", "user.assayfs.newer"):
                self.fails({errno.EPERM}, os.setxattr, path, name, b"passed")
                self.fails({errno.EPERM}, os.removexattr, path, name)

    def door_51_modes(self):
        """a bad file with every kind of mode, and the good one made read-only or writable by all"""
        for mode in (0o000, 0o444, 0o777, 0o4755):
            os.chmod(self.source, mode)
            subprocess.run(["cp", "-p", self.source, self.new], capture_output=True, check=False)
            os.chmod(self.trusted, 0o644 if mode == 0 else mode & 0o777)
            subprocess.run(["cp", self.source, self.trusted], capture_output=True, check=False)
        os.chmod(self.source, 0o600)
        os.chmod(self.trusted, 0o644)

    def door_52_by_handle(self):
        """open_by_handle_at of a staging inode by another user, and by its number in any path"""
        fd = os.open(self.trusted, os.O_RDWR)
        os.pwrite(fd, self.bad[5000:9000], 5000)
        # What stat shows is the published file's number; the kernel's own stands in the handle.
        ino = number_of_handle(fd)
        if ino is None:
            self.closes_with_eperm(fd)
            return
        for folder, _, files in os.walk(self.at("Trusted")):
            for name in files:
                shown = os.open(os.path.join(folder, name), os.O_RDONLY)
                self.check(number_of_handle(shown) != ino, f"{name} has the staging inode")
                os.close(shown)
        if os.getuid() == 0 and shutil.which("setpriv"):
            handle = subprocess.run([sys.executable, "-c", HANDLE, self.trusted, str(ino)], capture_output=True,
                                    check=False, timeout=30)
            self.check(b"BYTES" not in handle.stdout, f"{handle.stdout}")
            again = subprocess.run([sys.executable, "-c", HANDLE, self.trusted, "0"], capture_output=True, check=False,
                                   timeout=30)
            self.check(b"BYTES" in again.stdout, f"the handle of the published file opens nothing: {again.stdout}")
        self.closes_with_eperm(fd)


class Handle(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("data", ctypes.c_ubyte * 128)]


def number_of_handle(fd):
    """The number by which the kernel knows the open file; None where it gives no handles."""
    handle, mount = Handle(128, 0), ctypes.c_int()
    if ctypes.CDLL(None).name_to_handle_at(fd, b"", ctypes.byref(handle), ctypes.byref(mount), 0x1000):  # AT_EMPTY_PATH
        return None
    high, low = struct.unpack_from("<II", bytes(handle.data[:handle.bytes]))
    return high << 32 | low


# Takes the handle of the published file, puts another number into it (not 0), and opens that.
HANDLE = r"""
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
class Handle(ctypes.Structure):
    _fields_ = [('bytes', ctypes.c_uint), ('type', ctypes.c_int), ('data', ctypes.c_ubyte * 128)]
handle, mount = Handle(128, 0), ctypes.c_int()
if libc.name_to_handle_at(-100, sys.argv[1].encode(), ctypes.byref(handle), ctypes.byref(mount), 0):
    sys.exit(0)
raw = bytearray(handle.data[:handle.bytes])
ino = int(sys.argv[2])
if ino:
    raw[0:4], raw[4:8] = struct.pack('<I', ino >> 32), struct.pack('<I', ino & 0xffffffff)
ctypes.memmove(handle.data, bytes(raw), len(raw))
dir = os.open(os.path.dirname(sys.argv[1]), os.O_RDONLY)
fd = libc.open_by_handle_at(dir, ctypes.byref(handle), os.O_RDONLY)
if fd >= 0:
    try: print('BYTES', os.read(fd, 10))
    except OSError as e: print(e)
else:
    print(os.strerror(ctypes.get_errno()))
"""

if __name__ == "__main__":
    sys.exit(DoorTests().run())
