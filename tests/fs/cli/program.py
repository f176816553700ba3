"""The program under test where any user may run it: a tree below a closed home directory (/root) is no place for that."""
import atexit
import os
import shutil
import tempfile


def for_everybody(path):
    """`path`, or a copy of it that goes with this process."""
    path = os.path.abspath(path)
    above = path
    while above != "/":
        above = os.path.dirname(above)
        if not os.stat(above).st_mode & 0o001:
            return _copy(path)
    return path


def _copy(path):
    folder, owner = tempfile.mkdtemp(prefix="assayfs-program-"), os.getpid()
    os.chmod(folder, 0o755)
    atexit.register(lambda: os.getpid() == owner and shutil.rmtree(folder, ignore_errors=True))
    return shutil.copy(path, folder)
