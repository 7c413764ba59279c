"""A module whose process cannot tag its initial environment. As `hostile.py`."""

import errno
import os

from hostile import run

how = os.environ["HIDES_TAG"]


def refuse(*_):
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def setup():
    if how == "refuse":
        os.pwrite = refuse
        return
    # Writes over it, as code that sets the process title does.
    with open("/proc/self/environ", "rb") as file:
        environ = file.read()
    with open("/proc/self/stat", "rb") as file:
        begin = int(file.read().rpartition(b")")[2].split()[47])
    memory = os.open("/proc/self/mem", os.O_RDWR)
    os.pwrite(memory, bytes(len(environ)), begin)
    os.close(memory)
