"""What the tests of the metrics share: a mount whose figures are read, from the file and by the control request."""
import json
import os
import socket
import struct

import exposition
from gate import GateTests
from cli import SOURCE  # noqa: F401  (gate says where it is)


class MeteredTests(GateTests):
    def dump(self):
        with open(self.at(".assayfs/metrics"), "rb") as file:
            return exposition.read(file.read())

    def asked(self, **arguments):
        """The answers to the control request."""
        vault = self.json("info", "--json", "v")["vault"]
        folders = ["/run/assayfs", os.path.join(os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}"), "assayfs"),
                   f"/tmp/assayfs-{os.getuid()}"]
        where = next(path for path in (os.path.join(folder, vault) for folder in folders) if os.path.exists(path))
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(30)
            s.connect(where)
            request = json.dumps({"command": "metrics", "arguments": arguments}).encode()
            s.sendall(struct.pack("<I", len(request)) + request)
            with s.makefile("rb") as stream:
                answers = []
                while not answers or "end" not in answers[-1]:
                    answers.append(json.loads(stream.read(struct.unpack("<I", stream.read(4))[0])))
        return answers
