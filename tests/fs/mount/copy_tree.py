#!/usr/bin/env python3
"""A tar of thousands of files out of /usr goes in and comes back the same.

usage: copy_tree.py ASSAYFS SOURCE        ASSAYFS_FILES (2000; 20000 for the whole figure)

Copied by `tar -x`, and a part of it by `cp -a`; unmounted, mounted, compared with `diff -r --no-dereference`, and in all
that diff does not look at: modes, owners, times to the nanosecond, targets of links, which names are one file, attributes.
"""
import os
import stat
import subprocess
import sys
import time

from promise import Vault, count


def sample(directory, number):
    """Names below /usr, in the order of walking, with the directories on the way."""
    names = []
    for place, directories, files in os.walk("/usr"):
        directories.sort()
        for name in sorted(files):
            path = os.path.join(place, name)
            about = os.lstat(path)
            if stat.S_ISREG(about.st_mode) and about.st_size > 4 << 20:
                continue
            names.append(os.path.relpath(path, "/usr"))
    step = max(1, len(names) // number)
    chosen = names[::step][:number]
    with open(os.path.join(directory, "names"), "wb") as out:
        out.write(b"\0".join(os.fsencode(name) for name in chosen) + b"\0")
    return len(chosen)


def special(tree):
    """What /usr has too little of."""
    os.makedirs(f"{tree}/special/deep/" + "d" * 255)
    with open(f"{tree}/special/one", "wb") as file:
        file.write(b"linked")
    os.link(f"{tree}/special/one", f"{tree}/special/two")
    os.symlink("/nowhere/at/all", f"{tree}/special/dangling")
    os.mkfifo(f"{tree}/special/pipe")
    with open(f"{tree}/special/sparse", "wb") as file:
        file.truncate(3 << 20)
        os.pwrite(file.fileno(), b"end", (3 << 20) - 3)
    with open(os.fsencode(tree) + b"/special/\xff\xfe\n not utf-8", "wb"):
        pass
    for name, mode in (("set-uid", 0o4755), ("set-gid", 0o2755), ("none", 0), ("all", 0o777)):
        with open(f"{tree}/special/{name}", "wb") as file:
            file.write(name.encode())
        if os.getuid() == 0:
            os.chown(file.name, 1234, 4321)
        os.chmod(file.name, mode)
    os.setxattr(f"{tree}/special/one", "user.colour", b"\0blue\xff")
    os.utime(f"{tree}/special/one", ns=(123456789, 987654321987654321))
    os.chmod(f"{tree}/special", 0o1777)


def facts(root):
    found, first = {}, {}
    for place, directories, files in os.walk(os.fsencode(root)):
        for name in [b"."] + files + [d for d in directories if os.path.islink(os.path.join(place, d))]:
            path = os.path.join(place, name)
            about = os.lstat(path)
            relative = os.path.relpath(path, os.fsencode(root))
            kind = stat.S_IFMT(about.st_mode)
            attributes = {a: os.getxattr(path, a, follow_symlinks=False)
                          for a in os.listxattr(path, follow_symlinks=False) if not a.startswith("security.selinux")}
            one = first.setdefault(about.st_ino, relative) if about.st_nlink > 1 and not stat.S_ISDIR(kind) else relative
            found[relative] = {
                "mode": about.st_mode, "owner": (about.st_uid, about.st_gid), "mtime": about.st_mtime_ns,
                "size": about.st_size if not stat.S_ISDIR(kind) else 0, "links": 0 if stat.S_ISDIR(kind) else about.st_nlink,
                "target": os.readlink(path) if stat.S_ISLNK(kind) else None, "is": one, "attributes": attributes,
                "device": about.st_rdev}
    return found


def compare(v, a, b):
    begun = time.monotonic()
    done = subprocess.run(["diff", "-r", "--no-dereference", a, b], capture_output=True, check=False)
    # diff does not compare pipes, it says so; the facts below do.
    said = [line for line in done.stdout.splitlines() if b"is a fifo while file" not in line]
    v.check(not said and not done.stderr, f"diff: {said[:10]} {done.stderr[:500]}")
    took = time.monotonic() - begun
    left, right = facts(a), facts(b)
    v.check(left.keys() == right.keys(), f"names differ: {list(left.keys() ^ right.keys())[:10]}")
    wrong = [(name, {k: (left[name][k], right[name][k]) for k in left[name] if left[name][k] != right[name][k]})
             for name in left.keys() & right.keys() if left[name] != right[name]]
    v.check(not wrong, f"{len(wrong)} differ: {wrong[:8]}")
    print(f"{len(left)} names of {b} compared; diff took {took:.1f} s, {len(wrong)} differ")


def main():
    number = count("ASSAYFS_FILES", 2000)
    with Vault() as v:
        tree = v.path("tree")
        os.mkdir(tree)
        number = sample(v.directory, number)
        pack = ["tar", "--null", "--verbatim-files-from", "--xattrs", "--hard-dereference", "-C", "/usr", "-T", v.path("names"), "-c"]
        with subprocess.Popen(pack, stdout=subprocess.PIPE) as reader:
            subprocess.run(["tar", "--xattrs", "-xp", "-C", tree], stdin=reader.stdout, check=True)
        special(tree)
        archive = v.path("tree.tar")
        subprocess.run(["tar", "--xattrs", "-cf", archive, "-C", v.directory, "tree"], check=True)
        v.mount()
        begun = time.monotonic()
        subprocess.run(["tar", "--xattrs", "-xpf", archive, "-C", v.landing()], check=True)
        copied = time.monotonic() - begun
        v.run("sync", v.mnt)
        durable = time.monotonic() - begun
        size = os.path.getsize(archive)
        print(f"tar -x of {number} files, {size >> 20} MiB: {copied:.1f} s, durable after {durable:.1f} s: "
              f"{number / durable:.0f} files/s, {size / durable / 1e6:.0f} MB/s", flush=True)
        begun = time.monotonic()
        subprocess.run(["cp", "-a", tree + "/special", v.landing("special")], check=True)
        # tar sets no times of the directories above what it was asked for.
        v.umount()
        v.mount()
        compare(v, tree, v.landing("tree"))
        compare(v, tree + "/special", v.landing("special"))
        v.umount()
        begun = time.monotonic()
        v.fsck()
        print(f"fsck: {time.monotonic() - begun:.1f} s")
        return v.end()


sys.exit(main())
