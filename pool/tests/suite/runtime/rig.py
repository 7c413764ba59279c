"""Loads the Python runtime and replaces what surrounds it.

The arguments are the directory of the worker's files, and the file of the zygote.
"""

import contextlib
import faulthandler
import fcntl
import os
import struct
import sys
import termios
import time

# No script takes that long, unless it hangs.
faulthandler.dump_traceback_later(600, exit=True)
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))
from runtime_files import loaded

worker = loaded(sys.argv[1])


CALL, STREAM, BATCH, REPLY, ERROR, PART = 2, 5, 7, 129, 130, 132


class Failed(Exception):
    """`fail` was called, which would end the process."""


class Exited(BaseException):
    """The process would have ended."""


class Instead:
    """A module with other values for some of its names."""

    def __init__(self, module, **values):
        self.module = module
        self.__dict__.update(values)

    def __getattr__(self, name):
        return getattr(self.module, name)


@contextlib.contextmanager
def instead(**values):
    """Other values for some names of the runtime."""
    before = {name: getattr(worker, name) for name in values}
    vars(worker).update(values)
    try:
        yield
    finally:
        vars(worker).update(before)


def fail(problem):
    raise Failed(problem)


def raised(kind, function, *arguments):
    try:
        function(*arguments)
    except kind as error:
        return str(error)
    raise AssertionError(f"it raises no {kind}")


def frame(kind, request, body):
    return struct.pack(">IBI", 5 + len(body), kind, request) + body


def unread(fd):
    count = bytearray(4)
    fcntl.ioctl(fd, termios.FIONREAD, count)
    return int.from_bytes(count, sys.byteorder)


def until(is_so):
    while not is_so():
        time.sleep(0.001)


class Pipes:
    """A channel on pipes, and their other ends."""

    def __init__(self, max_frame=1024):
        self.channel = object.__new__(worker.Channel)
        self.channel.input, self.host_out = os.pipe()
        self.host_in, self.channel.output = os.pipe()
        self.channel.max_frame = max_frame

    def send(self, *frames):
        os.write(self.host_out, b"".join(frames))

    def end(self):
        os.close(self.host_out)

    def received(self):
        """The frames that the channel has written."""
        data = b""
        while unread(self.host_in):
            data += os.read(self.host_in, 1 << 20)
        frames = []
        while data:
            length, kind, request = struct.unpack_from(">IBI", data)
            frames.append((kind, request, data[9 : 4 + length]))
            data = data[4 + length :]
        return frames


def texts(body):
    """The three texts of an error."""
    found = []
    while body:
        (length,) = struct.unpack_from(">I", body)
        found.append(body[4 : 4 + length].decode())
        body = body[4 + length :]
    return found


def batch(*requests, id=9):
    numbers = (len(requests), *map(len, requests))
    return frame(BATCH, id, struct.pack(f">{len(numbers)}I", *numbers) + b"".join(requests))


def served(function, *frames, form=None, longest=None, guard=worker.unguarded, cancellation=None, now=lambda: 1.0):
    """Serves the frames. Returns what was written, write by write, and how it ended."""
    pipes = Pipes(1 << 16)
    pipes.send(*frames)
    pipes.end()
    watcher = worker.Watcher(pipes.channel, None)
    watcher.cancellation = cancellation
    read, write = worker.codec(form)
    call, stream, of_batch = worker.answers(function, read, write, write, 4000, guard, longest)
    writes, end = [], None
    send = pipes.channel.send

    def sent(frames):
        send(frames)
        writes.append((watcher.busy, pipes.received()))

    pipes.channel.send = sent
    served.channel = pipes.channel
    with instead(fail=fail, time=Instead(time, monotonic=now)):
        try:
            worker.serve(pipes.channel, watcher, None, call, stream, of_batch, None)
        except (Failed, KeyboardInterrupt, SystemExit) as error:
            end = type(error)
    return writes, end


def replies(*bodies, id=9):
    return [(REPLY, id, body) for body in bodies]


def run_checks(script):
    """Calls each function of a script whose name begins with `check_`."""
    for name, function in list(script.items()):
        if name.startswith("check_"):
            function()
    print("ok", file=sys.stderr)
