"""Suites that the user has built elsewhere: --from DIR."""
import os
import re
import stat

from .mounted import CannotRun, Suite, need


def built(options, *parts):
    path = os.path.join(options.built, *parts)
    if not os.path.exists(path):
        raise CannotRun(f"{path} is missing: build the suite there first")
    return path


# ---- pjdfstest ----

def pjdfstest(mounted, options):
    """Each assertion is a case; the failing ones are named FILE:NUMBER."""
    tests = built(options, "tests")
    built(options, "pjdfstest")
    need("sh", "openssl")
    for folder, folders, names in os.walk(tests):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(folder, name)
            case = os.path.relpath(path, tests)
            if name.endswith(".t") and options.fits(case):
                yield from pjdfstest_file(mounted, path, case)


def pjdfstest_file(mounted, path, case):
    result = mounted.run(["sh", path], 300, cwd=mounted.folder_for(case.replace("/", "-")))
    passed = 0
    planned = re.search(r"^1\.\.(\d+)", result.output, re.M)
    for line in result.output.splitlines():
        found = re.match(r"(not )?ok (\d+)(.*)", line)
        if not found:
            continue
        if found.group(1) and "TODO" not in found.group(3):
            yield f"{case}:{found.group(2)}", "failed", found.group(3).strip()
        else:
            passed += 1
    total = len(re.findall(r"^(?:not )?ok ", result.output, re.M))
    if not planned or int(planned.group(1)) != total:
        yield case, "failed", f"it ended after {total} assertions: {result.last_line()}"
    yield case, "passed", "", passed


# ---- libfuse ----

def libfuse(mounted, options):
    """test/test_syscalls of libfuse: built as its meson.build does, or alone."""
    program = next((path for path in ("test/test_syscalls", "build/test/test_syscalls")
                    if os.path.exists(os.path.join(options.built, path))), "test/test_syscalls")
    result = mounted.run([built(options, program), mounted.folder_for("libfuse")], 300)
    state = {}
    for line in result.output.splitlines():
        found = re.search(r"\[(.+)\] (START|OK|SKIP)$", line)
        if found:
            state[found.group(1)] = {"START": "failed", "OK": "passed", "SKIP": "skipped"}[found.group(2)]
        elif state and line.strip() and not line.startswith("+"):
            state[list(state)[-1]] = "failed"
    for case, outcome in state.items():
        if options.fits(case):
            yield case, outcome, ""
    if result.status != 0 and "failed" not in state.values():
        yield "test_syscalls", "failed", result.last_line()


# ---- fsx, fsstress ----

def program_of(options, name):
    for parts in (("ltp",), ("testcases/kernel/fs/fsx-linux",), ("testcases/kernel/fs/fsstress",), ("testcases/bin",), ()):
        for spelling in (name, "fsx-linux" if name == "fsx" else name):
            path = os.path.join(options.built, *parts, spelling)
            if os.path.isfile(path) and os.stat(path).st_mode & stat.S_IXUSR:
                return path
    raise CannotRun(f"no {name} below {options.built}")


FSX = {
    "plain": [],
    "no-mmap": ["-R", "-W"],
    "aligned-direct": ["-Z", "-R", "-W", "-r", "4096", "-w", "4096", "-t", "4096"],
    "small": ["-l", "65536", "-o", "8192"],
    "large": ["-l", "16777216", "-o", "262144"],
    "closing": ["-c", "20"],
}


def fsx(mounted, options):
    program = program_of(options, "fsx")
    for number, (case, flags) in enumerate(FSX.items()):
        if not options.fits(case):
            continue
        folder = mounted.folder_for(f"fsx-{case}")
        result = mounted.run([program, "-q", "-S", str(number + 1), "-N", str(300 * options.seconds), "-P",
                              mounted.outside, *flags, "file"], 60 + 10 * options.seconds, cwd=folder)
        yield case, "passed" if result.status == 0 else "failed", result.last_line()


def fsstress(mounted, options):
    program = program_of(options, "fsstress")
    for processes in (1, 4):
        case = f"{processes}-processes"
        if options.fits(case):
            folder = mounted.folder_for(f"fsstress-{case}")
            result = mounted.run([program, "-d", folder, "-n", str(50 * options.seconds // processes), "-p",
                                  str(processes), "-s", str(processes)], 60 + 10 * options.seconds)
            gone = mounted.run(["rm", "-rf", folder], 300)
            good = result.status == 0 and gone.status == 0
            yield case, "passed" if good else "failed", (gone if result.status == 0 else result).last_line()


# ---- xfstests ----

# xfstests puts words of its own in the place of these wherever they stand in what a test prints.
XFSTESTS_VAULTS = ("vault-for-test", "vault-for-scratch")
XFSTESTS_USERS = ("fsgqa", "123456-fsgqa", "fsgqa2")


def xfstests(mounted, options):
    """The group quick, or the tests that --only fits. One at a time, so that one that hangs costs only itself."""
    check = built(options, "check")
    need("xfs_io", "mount", "getfacl", "bc")
    with open("/etc/passwd", encoding="utf-8") as users:
        known = [line.split(":")[0] for line in users]
    if any(user not in known for user in XFSTESTS_USERS):
        raise CannotRun("it wants the users " + ", ".join(XFSTESTS_USERS) + " (useradd --badname -m)")
    mounted.unmount()
    env = xfstests_environment(mounted, options)
    listed = mounted.run([check, "-fuse", "-n", "-g", "quick"], 300, cwd=options.built, env=env)
    cases = re.findall(r"^(generic/\d+)", listed.output, re.M)
    if not cases:
        raise CannotRun(f"it lists no case: {listed.last_line()}")
    for case in cases:
        if options.fits(case):
            yield xfstest(mounted, options, env, case)


def xfstests_environment(mounted, options):
    for name in XFSTESTS_VAULTS:
        mounted.make_vault(name)
        os.mkdir(os.path.join(mounted.folder, name + ".mnt"))
    mounted.link(os.path.join(options.scripts, "suite/mount.fuse.assayfs"), "/sbin/mount.fuse.assayfs")
    # df calls the type fuse.assayfs, and xfstests wants to see what FSTYP says.
    shim = os.path.join(mounted.folder, "bin")
    os.mkdir(shim)
    with open(os.path.join(shim, "df"), "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\n/bin/df \"$@\" | sed 's/fuse\\.assayfs/fuse/'\n")
    os.chmod(file.name, 0o755)
    return {"PATH": shim + ":" + os.environ["PATH"], "FSTYP": "fuse", "FUSE_SUBTYP": ".assayfs",
            "TEST_DEV": XFSTESTS_VAULTS[0], "TEST_DIR": os.path.join(mounted.folder, XFSTESTS_VAULTS[0] + ".mnt"),
            "SCRATCH_DEV": XFSTESTS_VAULTS[1],
            "SCRATCH_MNT": os.path.join(mounted.folder, XFSTESTS_VAULTS[1] + ".mnt"),
            "MOUNT_OPTIONS": "-oallow_other,suid,dev", "TEST_FS_MOUNT_OPTS": "-oallow_other,suid,dev",
            "RESULT_BASE": os.path.join(mounted.outside, "results"),
            "ASSAYFS": mounted.assayfs, "ASSAYFS_VAULTS": mounted.folder}


def xfstest(mounted, options, env, case):
    result = mounted.run([os.path.join(options.built, "check"), "-fuse", case], 300, cwd=options.built, env=env)
    if result.status == -1:
        for point in mounted.mounts():
            mounted.run(["umount", "-l", point], cwd="/")
        return case, "failed", "it did not end"
    found = re.search(rf"^{case}\s+(.*)", result.output, re.M)
    words = found.group(1).strip() if found else result.last_line()
    if "[not run]" in words or "[expunged]" in words:
        return case, "skipped", words
    return case, "passed" if result.status == 0 and found else "failed", words


# ---- LTP ----

LTP_CALLS = """access chdir chmod chown chroot close copy_file_range creat dup dup2 dup3 faccessat faccessat2 fallocate
fadvise fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fremovexattr fsetxattr
fstat fstatat fstatfs fstatvfs fsync ftruncate futimesat getcwd getdents getxattr inotify lchown lgetxattr link linkat
listxattr llistxattr llseek lremovexattr lseek lstat mkdir mkdirat mknod mknodat mmap msync name_to_handle_at open openat
openat2 open_by_handle_at posix_fadvise pread preadv preadv2 pwrite pwritev pwritev2 read readahead readdir readlink
readlinkat readv removexattr rename renameat renameat2 rmdir sendfile setxattr splice stat statfs statvfs statx symlink
symlinkat sync syncfs sync_file_range truncate umask unlink unlinkat utime utimensat utimes write writev""".split()


LTP_STRESS = ("fs_", "ftest", "gf", "inode", "iogen", "lftest", "linker", "openfile", "rwtest", "stream", "writetest")


def ltp_is_about_files(tag):
    return re.sub(r"(_?\d+)?(_?(16|64|A|B|C))?$", "", tag) in LTP_CALLS or tag.startswith(LTP_STRESS)


def ltp(mounted, options):
    """The programs of runtest/syscalls that are about files, and those of runtest/fs. DIR: where it is installed."""
    place = built(options, "testcases/bin")
    env = {"LTPROOT": options.built, "TMPDIR": mounted.folder_for("ltp"), "PATH": place + ":" + os.environ["PATH"],
           "LTP_TIMEOUT_MUL": "3", "LTP_COLORIZE_OUTPUT": "0",
           "LTP_SINGLE_FS_TYPE": "ext4"}  # of tests that make file systems of their own
    for name in ("syscalls", "fs"):
        with open(built(options, "runtest", name), encoding="utf-8") as file:
            lines = [line.split(None, 1) for line in file if line.strip() and not line.startswith("#")]
        for tag, command in lines:
            wanted = options.fits(tag) and (options.only or ltp_is_about_files(tag))
            if wanted:
                yield ltp_case(mounted, env, place, tag, command.strip())


def ltp_case(mounted, env, place, tag, command):
    if not os.path.exists(os.path.join(place, command.split(";")[-1].split()[0])):
        return tag, "skipped", "was not built"
    result = mounted.run(["sh", "-c", command], 200, cwd=env["TMPDIR"], env=env)
    if result.status == 32:
        return tag, "skipped", next((line for line in result.output.splitlines() if "TCONF" in line), "TCONF")
    wrong = next((line for line in result.output.splitlines() if re.search(r"TFAIL|TBROK|FAIL", line)), "")
    return tag, "passed" if result.status == 0 else "failed", (wrong or result.last_line())[:200]


SUITES = {
    "pjdfstest": Suite(pjdfstest, "POSIX calls and their errors (--from: its tree, built)", True),
    "libfuse": Suite(libfuse, "test_syscalls of libfuse (--from: its tree, with test/test_syscalls built)", True),
    "fsx": Suite(fsx, "random operations on one file (--from: xfstests or ltp)", True),
    "fsstress": Suite(fsstress, "random operations on a tree (--from: xfstests or ltp)", True),
    "xfstests": Suite(xfstests, "the group quick, for fuse (--from: its tree, built)", True),
    "ltp": Suite(ltp, "the programs about files (--from: where make install put it)", True),
}
