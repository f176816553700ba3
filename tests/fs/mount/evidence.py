"""A log as its files (C2SP's tlog-tiles), for tests: copied as it was at an earlier size, and forged.

The tree is computed here by itself, after RFC 6962.
"""
import base64
import hashlib
import os
import shutil

WIDTH = 256


def leaf(entry):
    return hashlib.sha256(b"\0" + entry).digest()


def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def root(hashes):
    """Of any list of leaves' hashes."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    while len(hashes) > 1:
        level = [node(hashes[i], hashes[i + 1]) for i in range(0, len(hashes) - 1, 2)]
        hashes = level + hashes[len(level) * 2:]
    return hashes[0]


def tile_name(index, width):
    groups = [f"{index % 1000:03}"]
    while index >= 1000:
        index //= 1000
        groups.insert(0, f"x{index % 1000:03}")
    return "/".join(groups) + ("" if width == WIDTH else f".p/{width}")


def tiles(size):
    """(folder, name) of each tile of a log of that size."""
    level, count = 0, size
    while count:
        for index in range((count + WIDTH - 1) // WIDTH):
            name = tile_name(index, min(WIDTH, count - index * WIDTH))
            if level == 0:
                yield "entries", name
            yield str(level), name
        level, count = level + 1, count // WIDTH


class Head:
    """A line of `checkpoints`."""

    def __init__(self, line):
        size, self.root, self.signature, self.time = line.split()
        self.size = int(size)

    def note(self, origin):
        return f"{origin}\n{self.size}\n{self.root}\n\n— {origin} {self.signature}\n"


def heads(directory):
    with open(os.path.join(directory, "checkpoints"), encoding="ascii") as file:
        return [Head(line) for line in file]


def origin(directory):
    with open(os.path.join(directory, "key"), encoding="ascii") as file:
        return file.read().split("+")[0]


def copy(source, target, size):
    """The log as it was when a head of `size` records was signed."""
    kept = [head for head in heads(source) if head.size <= size]
    if not kept or kept[-1].size != size:
        raise RuntimeError(f"no head of {size} records was signed; the last are {kept[-3:]}")
    os.makedirs(target)
    shutil.copyfile(os.path.join(source, "key"), os.path.join(target, "key"))
    with open(os.path.join(target, "checkpoint"), "w", encoding="utf-8") as file:
        file.write(kept[-1].note(origin(source)))
    with open(os.path.join(target, "checkpoints"), "w", encoding="ascii") as file:
        file.writelines(f"{head.size} {head.root} {head.signature} {head.time}\n" for head in kept)
    for folder, name in tiles(size):
        path = os.path.join(target, "tile", folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        shutil.copyfile(os.path.join(source, "tile", folder, name), path)


def read_entries(directory, size):
    all_entries = []
    for folder, name in tiles(size):
        if folder != "entries":
            continue
        with open(os.path.join(directory, "tile", folder, name), "rb") as file:
            data = file.read()
        while data:
            end = 2 + int.from_bytes(data[:2], "big")
            all_entries.append(data[2:end])
            data = data[end:]
    return all_entries


def write_entries(directory, entries):
    for index in range((len(entries) + WIDTH - 1) // WIDTH):
        part = entries[index * WIDTH:(index + 1) * WIDTH]
        path = os.path.join(directory, "tile", "entries", tile_name(index, len(part)))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(b"".join(len(entry).to_bytes(2, "big") + entry for entry in part))


def write_hashes(directory, entries):
    level, hashes = 0, [leaf(entry) for entry in entries]
    while hashes:
        for index in range((len(hashes) + WIDTH - 1) // WIDTH):
            part = hashes[index * WIDTH:(index + 1) * WIDTH]
            path = os.path.join(directory, "tile", str(level), tile_name(index, len(part)))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(b"".join(part))
        hashes = [root(hashes[i:i + WIDTH]) for i in range(0, len(hashes) // WIDTH * WIDTH, WIDTH)]
        level += 1


def write_checkpoint(directory, size, root_hash, signature):
    name = origin(directory)
    with open(os.path.join(directory, "checkpoint"), "w", encoding="utf-8") as file:
        file.write(f"{name}\n{size}\n{base64.b64encode(root_hash).decode()}\n\n— {name} {signature}\n")


def last_signature(directory):
    return heads(directory)[-1].signature


# ---- forgeries: each changes the copy of a log of `size` records ----

def _change(directory, size, edit):
    entries = read_entries(directory, size)
    edit(entries)
    entries = entries[:size] + [b"{}"] * (size - len(entries))
    write_entries(directory, entries)
    return entries


def edited(directory, size):
    _change(directory, size, lambda e: e.__setitem__(size // 2, e[size // 2].replace(b'"uid"', b'"uId"')))


def removed(directory, size):
    _change(directory, size, lambda e: e.pop(size // 2))


def reordered(directory, size):
    def swap(entries):
        entries[1], entries[2] = entries[2], entries[1]
    _change(directory, size, swap)


def inserted(directory, size):
    _change(directory, size, lambda e: e.insert(size // 2, e[0]))


def cut(directory, size):
    """The last record is gone, and the tree is that of the others: only the signature stands in the way."""
    entries = read_entries(directory, size)[:-1]
    shutil.rmtree(os.path.join(directory, "tile"))
    write_entries(directory, entries)
    write_hashes(directory, entries)
    write_checkpoint(directory, size - 1, root([leaf(e) for e in entries]), last_signature(directory))


def rewritten(directory, size):
    """A record is another, and the whole tree with it."""
    entries = _change(directory, size, lambda e: e.__setitem__(size // 2, e[size // 2].replace(b'"uid"', b'"uId"')))
    write_hashes(directory, entries)
    write_checkpoint(directory, size, root([leaf(e) for e in entries]), last_signature(directory))


def hash_changed(directory, size):
    """A byte of a tile that stands above others."""
    folder, name = [tile for tile in tiles(size) if tile[0] != "entries"][-1]
    path = os.path.join(directory, "tile", folder, name)
    with open(path, "r+b") as file:
        first = file.read(1)
        file.seek(0)
        file.write(bytes([first[0] ^ 1]))


def tile_removed(directory, size):
    folder, name = list(tiles(size))[0]
    os.remove(os.path.join(directory, "tile", folder, name))


def signature_changed(directory, size):
    signature = bytearray(base64.b64decode(last_signature(directory)))
    signature[-1] ^= 1
    head = heads(directory)[-1]
    write_checkpoint(directory, size, base64.b64decode(head.root), base64.b64encode(signature).decode())


FORGERIES = [edited, removed, reordered, inserted, cut, rewritten, hash_changed, tile_removed, signature_changed]
