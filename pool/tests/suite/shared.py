"""Functions for workers that share memory with their host."""

import gc
import os
import signal
import time

kept = []


def place(request):
    """Where the request is: in the shared memory, or in bytes that came through the pipe."""
    assert type(request) is memoryview and request.readonly
    return type(request.obj).__name__


def copy(request):
    return place(request) and bytes(request)


def copy_any(request):
    return bytes(request)


def run(request):
    """Calls the function that the first line of the request names."""
    verb, _, _ = bytes(request[:64]).partition(b"\n")
    return globals()[verb.decode()](request)


def where(request):
    return place(request).encode()


def whole(request):
    return request


def part(request):
    return request[1:]


def every_second(request):
    return request[::2]


def numbers(request):
    return request[: len(request) // 4 * 4].cast("I")


def keep(request):
    """Keeps a part of the request, and says where the request is."""
    kept.append(request[1:])
    return where(request)


def show(_):
    return bytes(kept[0])


def forget(request):
    kept.clear()
    return where(request)


def refuse(request):
    raise ValueError(request[0])


def refuse_in_a_cycle(request):
    """Raises an exception that refers to itself, and so to the request, until the next collection."""
    gc.collect()
    error = ValueError(request[0])
    error.itself = error
    raise error


def collect(request):
    gc.collect()
    return where(request)


def kill_parent(request):
    os.kill(os.getppid(), signal.SIGKILL)
    return where(request)


def exit(_):
    os._exit(3)


def spin(_):
    while True:
        time.sleep(0.001)


def fork(request):
    """Returns twice: in a forked process, too."""
    if not (child := os.fork()):
        return request
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return bytes(request[:1]) * (1 << 20) if status == 2 else b"%d" % status


def parts(request):
    yield place(request).encode()
    yield request
