"""Which objects of a backup are needed, judged from docs/format.md and backend/backup/layout.h alone: what the tests of
orphans hold the program against. By the reader of tests/format, which shares no line with the program.

    superblocks    the newest 8, for a day the last of each hour, for 30 days the last of each day, counted from the newest
    packs, headers those that a kept superblock names
    extents        of segments in the database of a kept generation, within their length, and in no larger one that took
                   their place; or of segments that left after the oldest that is kept
    log archives   those in the newest database
    else           nothing: uploads that were not completed, markers of removals, names of no kind

Earlier versions of what is needed are counted (`former`): one of them may be the sound one, so they go with the last.
"""
import os
import re
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "format"))
import reader  # noqa: E402

NS = 10**9
NAMES = {"super": r"super/([0-9a-f]{16})", "pack": r"meta/([0-9a-f]{16})/([0-9a-f]{6})",
         "header": r"header/([0-9]{10}-[0-9a-f]{16})", "extent": r"segments/([0-9a-f]{64})/([0-9a-f]{8})-([0-9a-f]{8})",
         "audit": r"audit/([0-9a-f]{16})"}


def kept(generations):
    """Numbers of those that are kept: {number: time}."""
    found, newest = set(), max(generations.values(), default=0)
    last_hour = last_day = None
    for place, number in enumerate(sorted(generations, reverse=True)):
        time = generations[number]
        hour, day = time // (3600 * NS), time // (86400 * NS)
        if (place < 8 or time > newest or (hour != last_hour and newest - time <= 86400 * NS)
                or (day != last_day and newest - time <= 30 * 86400 * NS)):
            found.add(number)
        last_hour, last_day = hour, day
    return found


class Superblock:
    def __init__(self, key, vault, number, data):
        reader.need(data[:8] == b"ASSAYSUP" and reader.u16(data, 8) == 1 and data[16:32] == vault, f"superblock {number}")
        plain = reader.xchacha_open(key, data[32:56], data[56:72], data[72:], data[:32] + number.to_bytes(8, "little"),
                                    f"superblock {number}")
        reader.need(reader.u64(plain) == number, f"superblock {number}: its number")
        self.number, self.time, self.pack, self.base = (reader.u64(plain, at) for at in (0, 8, 24, 32))
        self.header = f"{reader.u64(plain, 40):010}-{plain[48:56].hex()}"
        self.leaving = {plain[128 + 40 * i:160 + 40 * i].hex(): reader.u64(plain, 160 + 40 * i)
                        for i in range(reader.u32(plain, 124))}


class Packs(reader.Metadata):
    """The database as of the last of the packs in `folder`/meta, without a meta.db."""

    def __init__(self, folder, vault, key):  # pylint: disable=super-init-not-called
        self.folder, self.vault = folder, vault
        self.page_key, self.pack_key = (reader.derive(key, "metadata " + name, vault) for name in ("page", "pack"))
        self.last = self.read_packs()
        self.count = self.last["pages"]
        self.pages = {number: self.open_page(number, self.packed[number]) if number in self.packed else bytes(reader.PAGE)
                      for number in range(1, self.count + 1)}


class Listing:
    """All that is in the bucket: {name: its versions}, and what is no object."""

    def __init__(self, s3, bucket, prefix):
        self.versions, self.strangers, self.former = {}, {}, 0
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for row in page.get("Versions", []):
                if row["Key"].startswith(prefix):
                    self.versions.setdefault(row["Key"][len(prefix):], []).append(row)
                    self.former += not row["IsLatest"]
                else:
                    self.strangers[row["Key"]] = "beside the backup"
            for row in page.get("DeleteMarkers", []):
                self.strangers[f"{row['Key']} {row['VersionId']}"] = "the marker of a removal"
        for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
            for row in page.get("Uploads", []):
                self.strangers[f"{row['Key']} {row['UploadId']}"] = "an upload that was not completed"
        self.names = {kind: [match for match in map(re.compile(pattern).fullmatch, sorted(self.versions)) if match]
                      for kind, pattern in NAMES.items()}
        self.extents = {}
        for match in self.names["extent"]:
            self.extents.setdefault(match[1], []).append((int(match[2], 16), int(match[3], 16)))


class Judge:
    """Of one bucket; what was read once is not read again."""

    def __init__(self, s3, bucket, prefix, vault_json, passphrase):
        self.s3, self.bucket, self.prefix = s3, bucket, prefix
        header = reader.Header(vault_json)
        self.vault, self.key = header.vault, header.unlock("passphrase", passphrase)["meta", 1]
        self.super_key = reader.derive(self.key, "backup superblock", self.vault)
        self.supers, self.databases, self.packs = {}, {}, {}

    def get(self, name):
        return self.s3.get_object(Bucket=self.bucket, Key=self.prefix + name)["Body"].read()

    def superblock(self, number):
        if number not in self.supers:
            self.supers[number] = Superblock(self.super_key, self.vault, number, self.get(f"super/{number:016x}"))
        return self.supers[number]

    def pack(self, listing, number):
        if number not in self.packs:
            parts = [match[0] for match in listing.names["pack"] if int(match[1], 16) == number]
            reader.need(parts, f"pack {number} is not there")
            self.packs[number] = b"".join(self.get(part) for part in parts)
        return self.packs[number]

    def database(self, listing, superblock):
        """({segment: (bytes, is closed)}, first records of archives) of a generation."""
        if superblock.number not in self.databases:
            with tempfile.TemporaryDirectory() as folder:
                os.mkdir(os.path.join(folder, "meta"))
                for number in range(superblock.base, superblock.pack + 1):
                    with open(os.path.join(folder, "meta", str(number)), "wb") as file:
                        file.write(self.pack(listing, number))
                rows = Packs(folder, self.vault, self.key).database()
                segments = {row["id"].hex(): (row["bytes"], row["state"] != 0) for row in rows.execute("SELECT * FROM segment")}
                archives = {row["key"][-16:].decode() for row in
                            rows.execute("SELECT key FROM kv WHERE substr(key, 1, 14) = 'audit.archive.'")}
                rows.close()
            self.databases[superblock.number] = segments, archives
        return self.databases[superblock.number]

    def newest(self):
        """{segment: (bytes, is closed)} of the newest generation that was judged."""
        return self.databases[max(self.databases)][0]

    def judge(self):
        """(orphans {name: why}, what is lacking, how many objects there are of each kind): all as it is at this moment."""
        for _ in range(10):
            try:
                return self.judge_once()
            except self.s3.exceptions.NoSuchKey:
                pass  # it went since it was listed
        raise reader.Damage("the bucket does not come to rest")

    def judge_once(self):
        listing = Listing(self.s3, self.bucket, self.prefix)
        there = {int(match[1], 16): self.superblock(int(match[1], 16)) for match in listing.names["super"]}
        numbers = kept({number: one.time for number, one in there.items()})
        needs = Needs([there[number] for number in sorted(numbers)])
        for one in needs.generations:
            needs.add(one, *self.database(listing, one))
        orphans = dict(listing.strangers)
        known = set()
        for kind, matches in listing.names.items():
            known |= {match[0] for match in matches}
            for match in matches:
                why = needs.why_not(kind, match, numbers, listing)
                if why:
                    orphans[match[0]] = why
        orphans.update((name, "a name of no kind") for name in listing.versions if name not in known)
        counts = {kind: len(matches) for kind, matches in listing.names.items()}
        return orphans, needs.lacking(listing), dict(counts, kept=sorted(numbers), former=listing.former, spared=needs.spared)


class Needs:
    """What kept generations, oldest first, need."""

    def __init__(self, generations):
        self.generations, self.headers, self.packs = generations, set(), set()
        self.segments, self.now, self.archives, self.spared = {}, {}, set(), 0

    def add(self, superblock, segments, archives):
        self.headers.add(superblock.header)
        self.packs.update(range(superblock.base, superblock.pack + 1))
        for name, (size, is_closed) in segments.items():
            self.segments[name] = max(size, self.segments.get(name, (0, False))[0]), is_closed
        self.now, self.archives = segments, archives

    def why_not(self, kind, match, numbers, listing):
        """Why the object is not needed; "" if it is."""
        if kind == "super":
            return "" if int(match[1], 16) in numbers else "a generation that is not kept"
        if kind == "header":
            return "" if match[1] in self.headers else "no kept generation names it"
        if kind == "pack":
            return "" if int(match[1], 16) in self.packs else "no kept generation names it"
        if kind == "audit":
            return "" if match[1] in self.archives else "no archive of the log"
        return self.why_no_extent(match, listing)

    def why_no_extent(self, match, listing):
        name, start, end = match[1], int(match[2], 16), int(match[3], 16)
        newest, oldest = self.generations[-1], self.generations[0].number
        if name not in self.segments:
            may_be = newest.leaving.get(name, 0) > oldest
            self.spared += may_be
            return "" if may_be else "no kept generation has that segment"
        size, is_closed = self.segments[name]
        if end > size:
            return f"the segment ends at {size:x}"
        larger = [one for one in listing.extents[name] if one != (start, end) and one[0] <= start and end <= one[1] <= size]
        return "a larger extent has all of it" if larger and is_closed and name in self.now else ""

    def lacking(self, listing):
        """What is needed and not there."""
        headers = {match[1] for match in listing.names["header"]}
        lacks = [f"header/{name}" for name in self.headers - headers]
        for name, (size, _) in self.segments.items():
            covered = 0
            for start, end in sorted(listing.extents.get(name, [])):
                covered = max(covered, end) if start <= covered else covered
            if covered < size:
                lacks.append(f"segments/{name}: bytes from {covered:x} of {size:x}")
        return lacks
