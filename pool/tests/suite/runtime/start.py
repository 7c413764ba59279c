"""Does the start of a worker read the runtime from its input, and no byte more? See `rig.py`.

Each function whose name begins with `check_` is one question. Prints `ok` to stderr at the end.
"""

import os
import subprocess
import sys

from rig import run_checks, unread, until

with open(os.path.join(os.path.dirname(sys.argv[2]), "bootstrap.py")) as file:
    BOOTSTRAP = file.read()
FIRST = b"""\f<first>
import linecache, os
def main(*arguments):
    line = linecache.getline('<second>', 1)
    os.write(1, repr((arguments, second, line, os.read(0, 100))).encode())
    return 3
"""
SECOND = b"\f<second>\nsecond = __name__, main.__code__.co_filename\n"


def start():
    command = [sys.executable, "-u", "-c", BOOTSTRAP, str(len(FIRST + SECOND)), "one", "two"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def check_the_runtime_comes_in_pieces():
    whole = FIRST + SECOND
    process = start()
    for at in range(0, len(whole), 50):
        until(lambda: unread(process.stdin.fileno()) == 0)
        piece = whole[at : at + 50]
        # The first frame is there before the runtime is.
        os.write(process.stdin.fileno(), piece + b"frame" if at + 50 >= len(whole) else piece)
    said, problem = process.communicate()
    line = SECOND.decode().partition("\n")[2]
    read = (("one", "two"), ("ostler_worker", "<first>"), line, b"frame")
    assert (eval(said), problem, process.returncode) == (read, b"", 3), (said, problem)


def check_a_host_may_end_before_the_start():
    for sent in (b"", FIRST[:5], FIRST, FIRST + SECOND[:5]):
        process = start()
        said, problem = process.communicate(sent)
        # It says nothing: a host that stops the worker knows why.
        assert (said, problem, process.returncode) == (b"", b"", 1), problem


run_checks(globals())
