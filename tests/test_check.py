#!/usr/bin/env python3
"""scripts/check finds what is wrong in a small bad tree and nothing in a good one; so does its --tidy, if clang-tidy is here.

usage: test_check.py SOURCE
"""
import json
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
    ({"crypto/good.c": "#include <backend/user.h>\n"}, "crypto/good.c:1: crypto/ includes backend/, which stands above it"),
    ({"backend/user.h": '/* user. */\n#include "policy/policy.h"\n'}, "backend/user.h:2: backend/ includes policy/, which stands above it"),
    ({"policy/gate/a.c": '#include "fs/fuse.h"\n'}, "policy/gate/a.c:1: policy/ includes fs/, which stands above it"),
    ({"crypto/good.c": '#include "good.h"\n'}, 'crypto/good.c:1: include "good.h" is not written from the root'),
    ({"crypto/good.c": "int  good;\n"}, "crypto/good.c:1: not formatted"),
    ({"crypto/good.h": "/* good: a module. */\n#pragma once\n\nint good_make(void);\n"}, "good_make() is public and not documented"),
    ({"crypto/good.h": "/* good: a module. */\n#pragma once\n\nenum good good_make(void);\n"}, "good_make() is public and not documented"),
    ({"crypto/good.h": "/* good: a module. */\n#pragma once\n\nextern struct good *good_make(\n        int size);\n"},
     "good_make() is public and not documented"),
    ({"crypto/good.h": "/* good: a module. */\n#pragma once\n\nstatic inline int good_make(void) {\n\treturn 0;\n}\n"},
     "good_make() is public and not documented"),
    ({"crypto/good.h": "#pragma once\n\n/* Always 0. */\nint good_make(void);\n"}, "a header opens with the manual"),
    ({"tests/crypto/test_good.c": ""}, "crypto/good.h:1: no test includes it"),
    ({"tests/crypto/test_good.c": "", "backend/user.c": ""}, "crypto/good.h:1: no test includes it"),
    ({"crypto/good.c": "static int a;\n" * 1000}, "1000 lines"),
    ({"crypto/good.c": "int good_make(void) {\n" + "\tgood_make();\n" * 200 + "\treturn 0;\n}\n"}, "a function of 202 lines"),
    ({"crypto/good.c": "int good_make(\n        void) {\n" + "\tgood_make();\n" * 200 + "\treturn 0;\n}\n"}, "a function of 202 lines"),
    ({"scripts/good": "#!/bin/sh\nif\n"}, "scripts/good:1:"),
]


# What clang-tidy is shown, and what the check says of it; None: nothing.
START = '#include <stdlib.h>\n\n#define _cleanup_(closer) __attribute__((cleanup(closer)))\n\nvoid freep(void *slot);\nint good_make(void);\n\n'
TIDY = [
    ("int good_make(void) {\n\tchar *text = malloc(1);\n\treturn text ? 1 : 0;\n}\n", "crypto/good.c:10: Potential leak of memory pointed to by 'text'"),
    ("int good_make(void) {\n\t_cleanup_(freep) char *text = malloc(1);\n\treturn text ? 1 : 0;\n}\n", None),
    ("struct pair {\n\tchar *text;\n\tint size;\n};\n\nint take(struct pair *pair);\n\nint good_make(void) {\n\t_cleanup_(freep) char *text = malloc(1);\n"
     "\tstruct pair pair = {.text = text, .size = 1};\n\treturn text ? pair.size : 0;\n}\n", None),
    ("int good_make(void) {\n\t_cleanup_(freep) char *own = malloc(1);\n\tchar *text = own ? own : \"\";\n\treturn text == own;\n}\n", None),
    ("int good_make(void) {\n\tchar *text = malloc(1);\n\tfree(text);\n\treturn text ? *text : 0;\n}\n", "Use of memory after it is freed"),
    ("int good_make(void) {\n\tint *number = NULL;\n\treturn *number;\n}\n", "Dereference of null pointer"),
    ("int good_make(void) {\n\tint number;\n\treturn number;\n}\n", "Undefined or garbage value returned"),
]


def check(files, *options):
    with tempfile.TemporaryDirectory() as tree:
        for name in (".clang-format", ".clang-tidy"):
            shutil.copy(os.path.join(SOURCE, name), tree)
        for name, text in files.items():
            path = os.path.join(tree, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text.replace("TREE", tree))
        done = subprocess.run([os.path.join(SOURCE, "scripts/check"), "--tree", tree, *options], capture_output=True, text=True)
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
if shutil.which("clang-tidy-14"):
    for text, words in TIDY:
        compile_one = [{"directory": "TREE/build-test", "file": "../crypto/good.c", "command": "cc -I.. -c ../crypto/good.c"}]
        status, said = check({**GOOD, "crypto/good.c": START + text, "build-test/compile_commands.json": json.dumps(compile_one)}, "--tidy")
        if (status == 0) != (words is None) or (words or "") not in said:
            failed += 1
            print(f"--tidy: exit {status}, expected '{words}' in: {said}")
else:
    print("note: clang-tidy-14 is not here, so --tidy was not tried (scripts/setup)")
print(f"{len(BAD) + 1} trees, {failed} answers wrong")
sys.exit(1 if failed else 0)
