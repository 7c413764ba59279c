"""Do frames, errors, the host and its watcher work as the runtime says? See `rig.py`.

Each function whose name begins with `check_` is one question. Prints `ok` to stderr at the end.
"""

import contextlib
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import threading
import time
import types

from rig import Exited, Failed, Instead, Pipes, fail, frame, instead, raised, run_checks, texts, unread, until, worker


# Frames.


def check_frames_are_read():
    pipes = Pipes(64)
    pipes.send(frame(2, 7, b"body"), frame(4, 0xFFFFFFFF, b""), frame(2, 8, b"x" * 59))
    assert pipes.channel.read() == (2, 7, b"body")
    assert pipes.channel.read() == (4, 0xFFFFFFFF, b"")
    assert pipes.channel.read() == (2, 8, b"x" * 59)
    pipes.end()
    assert pipes.channel.read() is None


def check_wrong_lengths_are_refused():
    for length in (0, 4, 65, 1 << 31):
        pipes = Pipes(64)
        pipes.send(struct.pack(">IBI", length, 2, 1), b"x" * 100)
        with instead(fail=fail):
            said = raised(Failed, pipes.channel.read)
        assert said == f"the host sent a frame of {length} bytes, allowed are 5 to 64", said


def check_frames_come_in_pieces():
    whole = frame(2, 9, bytes(range(100)))
    pipes = Pipes()

    def send():
        for at in range(len(whole)):
            until(lambda: unread(pipes.channel.input) == 0)
            os.write(pipes.host_out, whole[at : at + 1])

    thread = threading.Thread(target=send)
    thread.start()
    assert pipes.channel.read() == (2, 9, bytes(range(100)))
    thread.join()


def check_a_read_takes_no_byte_of_the_next_frame():
    whole, behind = frame(2, 9, bytes(100)), frame(4, 10, bytes(100))
    pipes = Pipes()
    pipes.send(whole[:30])

    def send():
        until(lambda: unread(pipes.channel.input) == 0)
        pipes.send(whole[30:], behind)

    thread = threading.Thread(target=send)
    thread.start()
    assert pipes.channel.read() == (2, 9, bytes(100))
    assert pipes.channel.read() == (4, 10, bytes(100))
    thread.join()


def check_half_a_frame_is_none():
    whole = frame(2, 9, b"body")
    for at in range(len(whole)):
        pipes = Pipes()
        pipes.send(whole[:at])
        pipes.end()
        assert pipes.channel.read() is None, at


def check_writes_are_continued():
    pipes = Pipes()
    lengths = []

    def write(fd, data):
        lengths.append(len(data))
        return os.write(fd, data[:3])

    with instead(os=Instead(os, write=write)):
        pipes.channel.write(129, 5, b"0123")
    assert lengths == [13, 10, 7, 4, 1]
    assert pipes.received() == [(129, 5, b"0123")]


def check_a_closed_channel_is_not_used():
    pipes = Pipes()
    fds = [pipes.channel.input, pipes.channel.output]
    pipes.channel.close()
    for fd in fds:
        raised(OSError, os.fstat, fd)
    # Other files with their numbers stay open.
    others = [os.open(os.devnull, os.O_RDWR) for _ in fds]
    pipes.channel.close()
    for fd in others:
        os.fstat(fd)
        os.close(fd)
    with instead(fail=fail):
        said = raised(Failed, pipes.channel.write, 129, 1, b"")
    assert said == "a process that the function had forked left the function: end it with os._exit()"


def check_private_descriptors():
    fd = worker.private(2)
    assert fd >= 200 and not os.get_inheritable(fd)
    os.close(fd)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, limits[1]))
    fd = worker.private(2)
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert fd < 100 and not os.get_inheritable(fd)
    os.close(fd)


def check_only_pipes_are_copies():
    reader, writer = os.pipe()
    one, other = socket.socketpair()
    first, second = (os.open(os.devnull, os.O_RDWR) for _ in range(2))
    copies = [os.dup(reader), os.dup(one.fileno())]
    assert worker.is_copy(copies[0], reader) and worker.is_copy(copies[1], one.fileno())
    assert not worker.is_copy(one.fileno(), reader) and not worker.is_copy(one.fileno(), other.fileno())
    assert not worker.is_copy(first, second)
    for fd in (reader, writer, first, second, *copies):
        os.close(fd)


def check_an_unreadable_process_tells_nothing():
    def stat(_):
        raise PermissionError

    with instead(os=Instead(os, stat=stat)):
        assert worker.is_same_file(0, os.getppid()) is None


# Errors.


def error_of(function, max_frame=1024):
    """The texts of the error that the runtime makes of what a function raises."""
    pipes = Pipes(max_frame)
    try:
        function()
    except BaseException as error:
        pipes.channel.send(pipes.channel.error_frame(3, error))
    ((kind, request, body),) = pipes.received()
    assert (kind, request) == (130, 3)
    return texts(body), len(body)


def check_texts_fit_exactly():
    def fails():
        raise type("N" * 2000, (Exception,), {})("m" * 2000)

    (name, message, trace), size = error_of(fails)
    room = 1024 - 5 - 12
    assert size == room + 12
    assert name.startswith("__main__.NN")
    assert (len(name), len(message), len(trace)) == (room // 2, room - room // 2, 0)

    def fails_shortly():
        raise KeyError("m" * 900)

    (name, message, trace), size = error_of(fails_shortly)
    assert (name, message) == ("KeyError", "'" + "m" * 900 + "'")
    assert (size, len(trace)) == (room + 12, room - 8 - 902)
    (name, message, trace), size = error_of(fails_shortly, 1 << 20)
    assert trace.startswith("Traceback (most recent call last):\n  File ") and trace.endswith(message + "\n")


def untold():
    """An exception whose type, message and traceback cannot be told."""

    class Nameless(type):
        def __getattribute__(cls, name):
            raise KeyError

    class Fails(Exception, metaclass=Nameless):
        def __str__(self):
            raise KeyError

    return Fails()


def check_an_exception_that_cannot_be_told():
    def fails():
        raise untold()

    told, _ = error_of(fails)
    missing = ("the name", "str()", "the traceback")
    assert told == [f"<{what} of the exception failed>" for what in missing], told


def check_cuts_are_between_characters():
    text = "aé水𠮷z".encode()
    whole = {0: 0, 1: 1, 2: 1, 3: 3, 4: 3, 5: 3, 6: 6, 7: 6, 8: 6, 9: 6, 10: 10, 11: 11, 12: 11}
    for most, length in whole.items():
        assert worker.cut(text, most) == text[:length], most
    # A text that is no text has no characters to keep.
    assert worker.cut(b"\x80\x80\x80", 2) == b""


def check_texts_of_any_kind():
    assert worker.as_text(lambda: "a\udc80b", "no") == b"a\\udc80b"
    assert worker.as_text(lambda: 1 / 0, "no") == b"no"
    assert worker.as_text(lambda: 5, "no") == b"no"
    raised(SystemExit, worker.as_text, sys.exit, "no")
    assert worker.qualified_name(KeyError) == "KeyError"
    assert worker.qualified_name(worker.Cancelled) == "Cancelled"
    assert worker.qualified_name(json.JSONDecodeError) == "json.decoder.JSONDecodeError"


# The host and its watcher.


def check_a_host_is_told_from_others():
    host = worker.Host()
    assert host.is_alive() and host.started is not None
    # The process has another parent now, and was not forked by a zygote.
    host.parent = host.pid = os.getpid()
    host.started = host.start_time()
    assert host.started and not host.is_alive()

    def uptime():
        with open("/proc/uptime") as file:
            return float(file.read().split()[0]) * os.sysconf("SC_CLK_TCK")

    before = uptime()
    child = os.fork()
    if child == 0:
        time.sleep(1000)
        os._exit(0)
    try:
        # The time of its start, and nothing else.
        host.pid = child
        assert before - 2 <= float(host.start_time()) <= uptime() + 2
        # The parent was a zygote, and is gone.
        host.parent, host.pid = 0, child
        host.started = host.start_time()
        assert host.started and host.is_alive()
        host.started = "another"
        assert not host.is_alive()
        host.started = host.start_time()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    # A zombie.
    assert host.start_time() is None and not host.is_alive()
    os.waitpid(child, 0)
    assert host.start_time() is None
    host.forked()
    assert host.parent == os.getppid() and host.is_alive()


class Host:
    """A host that is alive at the first checks."""

    def __init__(self, checks):
        self.checks = checks

    def is_alive(self):
        self.checks -= 1
        return self.checks >= 0


def watched(checks, hang_up, **state):
    """Runs a watcher. Returns its exit code and what it slept."""
    pipes = Pipes()
    watcher = worker.Watcher(pipes.channel, Host(checks))
    vars(watcher).update({"pause": 0.01, **state})
    if hang_up:
        pipes.end()
    else:
        # It does not wake up for a frame.
        pipes.send(frame(2, 1, b""))
    slept = []

    def leave(code):
        raise Exited(code)

    with instead(os=Instead(os, _exit=leave), time=Instead(time, sleep=slept.append)):
        return raised(Exited, watcher.run), slept


def check_the_watcher_ends_the_process():
    assert watched(9, True, busy=True) == ("1", [])
    assert watched(9, True) == ("1", [1.0])
    assert watched(0, False, busy=True) == ("1", [])
    assert watched(3, False) == ("1", [1.0])
    # The host waits for the end of a dismissed worker, as long as it lives.
    assert watched(3, True, dismissed=True) == ("1", [1.0, 1.0, 1.0, 1.0])
    checked = []
    cancellation = types.SimpleNamespace(check=lambda: checked.append(1))
    assert watched(3, False, busy=True, cancellation=cancellation) == ("1", [])
    assert len(checked) == 3


def check_the_watcher_waits_for_a_pause():
    waits = []

    class Poll:
        def register(self, fd, events):
            waits.append((fd, events))

        def poll(self, milliseconds):
            waits.append(milliseconds)
            return len(waits) == 4

    pipes = Pipes()
    watcher = worker.Watcher(pipes.channel, Host(9))
    watcher.busy = True

    def leave(code):
        raise Exited(code)

    with instead(select=Instead(select, poll=Poll), os=Instead(os, _exit=leave)):
        raised(Exited, watcher.run)
    assert waits == [(pipes.channel.input, 0), 50.0, 50.0, 50.0]


def check_the_watcher_knows_when_it_is_busy():
    pipes = Pipes()
    ended = []
    watcher = worker.Watcher(pipes.channel, Host(9))
    assert not watcher.busy and watcher.daemon and watcher.name == "ostler-watcher"
    with watcher:
        assert watcher.busy
    assert not watcher.busy
    watcher.cancellation = types.SimpleNamespace(end=lambda: ended.append(watcher.busy))
    with contextlib.suppress(KeyError), watcher:
        raise KeyError
    assert ended == [False]


def check_a_copy_ends_when_it_leaves_the_function():
    def leaves(error):
        pipes = Pipes()
        pipes.channel.close()
        watcher = worker.Watcher(pipes.channel, Host(9))
        watcher.cancellation = types.SimpleNamespace(end=lambda: 1 / 0)
        said = []
        with instead(fail=fail, say=said.append):
            try:
                with watcher:
                    if error:
                        raise error
            except (Failed, SystemExit) as end:
                return type(end), b"".join(said).decode()

    assert leaves(None) == (Failed, "")
    kind, said = leaves(KeyError("words"))
    assert kind is Failed and said.endswith("KeyError: 'words'\n")
    assert said.startswith("Traceback (most recent call last):\n  File ")
    assert leaves(untold()) == (Failed, "")
    assert leaves(SystemExit(3)) == (SystemExit, "")


def check_a_problem_is_told():
    reader, writer = os.pipe()

    def leave(code):
        raise Exited(code)

    before = os.dup(2)
    os.dup2(writer, 2)
    try:
        with instead(os=Instead(os, _exit=leave)):
            assert raised(Exited, worker.fail, "words") == "2"
            os.close(2)
            assert raised(Exited, worker.fail, "other words") == "2"
    finally:
        os.dup2(before, 2)
        os.close(before)
    os.close(writer)
    assert os.read(reader, 100) == b"ostler worker: words\n"


run_checks(globals())
