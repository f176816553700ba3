#!/usr/bin/env python3
"""The S3 client against Ceph's radosgw. usage: services_s3.py PROGRAM SOURCE"""
import os
import shutil
import subprocess
import sys
import tempfile

program, source = sys.argv[1:]
script = os.path.join(source, "scripts", "s3-server")
missing = [p for p in ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "curl") if not shutil.which(p)]
if missing or os.geteuid() != 0:
    print(f"skipped: {'not root' if not missing else ', '.join(missing) + ' missing; scripts/setup --services'}")
    sys.exit(77)
directory = tempfile.mkdtemp(prefix="assayfs-s3.")
try:
    started = subprocess.run([script, "start", directory], stdout=subprocess.PIPE, text=True, timeout=180)
    if started.returncode != 0:
        with open(os.path.join(directory, "log", "start"), encoding="utf-8", errors="replace") as log:
            print(log.read()[-3000:])
        sys.exit(1)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {"S3_ENDPOINT": started.stdout.strip(), "S3_SERVER": directory, "S3_SCRIPT": script,
                    "no_proxy": "*"}
    sys.exit(subprocess.run([program], env=environment, timeout=500).returncode)
finally:
    subprocess.run([script, "stop", directory], timeout=60)
    shutil.rmtree(directory, ignore_errors=True)
