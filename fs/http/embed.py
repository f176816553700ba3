#!/usr/bin/env python3
"""Puts the files of the page into a C source, plain and packed. usage: embed.py OUT FILE…"""
import gzip
import hashlib
import os
import sys

TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
         ".svg": "image/svg+xml"}


def array(name, content):
    lines = [", ".join(str(b) for b in content[i:i + 24]) for i in range(0, len(content), 24)]
    return f"static const uint8_t {name}[] = {{\n" + ",\n".join(lines) + "};\n"


out, rows = ['#include "fs/http/page.h"\n'], []
for i, path in enumerate(sys.argv[2:]):
    with open(path, "rb") as file:
        content = file.read()
    name, ending = os.path.basename(path), os.path.splitext(path)[1]
    packed = gzip.compress(content, 9, mtime=0)
    out += [array(f"plain_{i}", content), array(f"packed_{i}", packed)]
    rows.append(f'{{"/{"" if name == "index.html" else name}", "{TYPES[ending]}", "\\"{hashlib.sha256(content).hexdigest()[:16]}\\"", '
                f"plain_{i}, sizeof plain_{i}, packed_{i}, sizeof packed_{i}}},")
out.append("const struct page_file page_files[] = {\n" + "\n".join(rows) + "\n{0}};\n")
with open(sys.argv[1], "w", encoding="utf-8") as file:
    file.write("\n".join(out))
