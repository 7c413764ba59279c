"""A module that starts a thread without the module `threading`, as a C library does."""

import _thread
import ctypes
import os
import time

how = os.environ["THREADS"]
libc = ctypes.CDLL(None)
thread = ctypes.c_ulong()


def end():
    """Ends the thread, as OpenBLAS does with its own at a fork."""
    if thread.value:
        assert libc.pthread_cancel(thread) == 0
        assert libc.pthread_join(thread, None) == 0
        thread.value = 0


def setup():
    if how == "low-level":
        _thread.start_new_thread(time.sleep, (1000,))
        return
    assert libc.pthread_create(ctypes.byref(thread), None, libc.pause, None) == 0
    if how == "native, ended at a fork":
        os.register_at_fork(before=end)
    if how == "native, ended":
        end()


def parent(_):
    return str(os.getppid()).encode()
