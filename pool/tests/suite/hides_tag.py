"""A module that writes over its initial environment, as code that sets the process title does."""

import os

from hostile import run


def setup():
    with open("/proc/self/environ", "rb") as file:
        environ = file.read()
    with open("/proc/self/stat", "rb") as file:
        begin = int(file.read().rpartition(b")")[2].split()[47])
    memory = os.open("/proc/self/mem", os.O_RDWR)
    os.pwrite(memory, bytes(len(environ)), begin)
    os.close(memory)
