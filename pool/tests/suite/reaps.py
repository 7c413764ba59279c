"""A module that reaps its children before other code can. Otherwise as `hostile.py`."""

import os
import signal

import hostile

how = os.environ["REAPS"]


def reap(*_):
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    except ChildProcessError:
        pass


def setup():
    signal.signal(signal.SIGCHLD, signal.SIG_IGN if how == "ignore" else reap)


def run(body):
    if body == b"disposition":
        handler = signal.getsignal(signal.SIGCHLD)
        return getattr(handler, "name", getattr(handler, "__name__", "")).encode()
    return hostile.run(body)
