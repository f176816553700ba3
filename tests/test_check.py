#!/usr/bin/env python3
"""scripts/check finds what is wrong in a small bad tree, each thing once, and nothing in a good one.

usage: test_check.py SOURCE
"""
import os
import shutil
import subprocess
import sys
import tempfile

SOURCE = sys.argv[1]

GOOD = {
    "crypto/good.h": """/*
 * good: a module.
 */
#pragma once

/* Always 0. */
int good_make(void);
""",
    "crypto/good.c": """#include "crypto/good.h"

int good_make(void) {
\treturn 0;
}
""",
    "backend/user.c": """#include "crypto/good.h"
""",
    "tests/crypto/test_good.c": """#include "crypto/good.h"
""",
    "scripts/good": "#!/bin/sh\ntrue\n",
}

# What is changed or added, and what the check has to say of it.
BAD = [
    ({"crypto/good.c": '#include "backend/user.h"\n'}, "crypto/good.c:1: crypto/ includes backend/, which stands above it"),
    ({"crypto/good.c": '#include "good.h"\n'}, 'crypto/good.c:1: include "good.h" is not written from the root'),
    ({"crypto/good.c": "int  good;\n"}, "crypto/good.c:1: not formatted"),
    ({"crypto/good.h": "/* good: a module. */\n#pragma once\n\nint good_make(void);\n"}, "good_make() is public and not documented"),
    ({"crypto/good.h": "#pragma once\n\n/* Always 0. */\nint good_make(void);\n"}, "a header opens with the manual"),
    ({"tests/crypto/test_good.c": ""}, "crypto/good.h:1: no test includes it"),
    ({"crypto/good.c": "static int a;\n" * 1000}, "1000 lines"),
    ({"crypto/good.c": "int good_make(void) {\n" + "\tgood_make();\n" * 200 + "\treturn 0;\n}\n"}, "a function of 202 lines"),
    ({"scripts/good": "#!/bin/sh\nif\n"}, "scripts/good:1:"),
]


def check(files):
    with tempfile.TemporaryDirectory() as tree:
        shutil.copy(os.path.join(SOURCE, ".clang-format"), tree)
        for name, text in files.items():
            path = os.path.join(tree, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        done = subprocess.run([os.path.join(SOURCE, "scripts/check"), "--tree", tree], capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr


failed = 0
status, said = check(GOOD)
if status != 0:
    failed += 1
    print(f"the good tree: exit {status}, {said}")
for change, words in BAD:
    status, said = check({**GOOD, **change})
    if status != 1 or words not in said:
        failed += 1
        print(f"{list(change)[0]}: exit {status}, expected '{words}' in: {said}")
print(f"{len(BAD) + 1} trees, {failed} answers wrong")
sys.exit(1 if failed else 0)
