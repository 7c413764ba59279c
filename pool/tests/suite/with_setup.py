"""A module that counts its setups."""

import os

setups = 0
setup_pid = None


def setup():
    global setups, setup_pid
    setups += 1
    setup_pid = os.getpid()


def count(_):
    return str(setups).encode()


def describe(_):
    """Ids of the process that ran `setup`, the parent and this process; the number of setups."""
    return f"{setup_pid} {os.getppid()} {os.getpid()} {setups}".encode()
