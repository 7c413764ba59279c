"""A module that counts its setups."""

import os

setups = 0
maker = None


def setup():
    global setups, maker
    setups += 1
    maker = os.getpid()


def count(_):
    return str(setups).encode()


def whose(_):
    """Who ran the setup, this process's parent, this process, and how often."""
    return f"{maker} {os.getppid()} {os.getpid()} {setups}".encode()
