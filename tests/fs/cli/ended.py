"""A test that is told to end (a time limit, Ctrl-C in another window) cleans up as after a failure."""
import os
import signal
import sys

_TEST = os.getpid()


def _end(number, _frame):
    if os.getpid() != _TEST:  # a child has nothing of its own to clean up, and must not do it for the test
        os._exit(128 + number)
    sys.exit(f"ended by signal {number}")


for _number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(_number, _end)
