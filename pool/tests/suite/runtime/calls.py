"""Do starts, calls and streams work as the runtime says? See `rig.py`.

Each function whose name begins with `check_` is one question. Prints `ok` to stderr at the end.
"""

import array
import contextlib
import ctypes
import functools
import os
import signal
import struct
import sys
import types

from rig import CALL, STREAM, Failed, Instead, Pipes, fail, frame, instead, raised, run_checks, texts, unread, worker

HELLO, SHUTDOWN, PING, CANCEL = 1, 3, 4, 6


def hello(*fields):
    return frame(HELLO, 0, struct.pack(f">{len(fields)}I", *fields))


class Started(Exception):
    """The worker serves."""


def started(*frames, end=Started):
    """Starts a worker, and returns what it does then, what it has written, its pipes and its watcher."""
    pipes = Pipes(worker.MAX_HELLO)
    pipes.send(*frames)
    made = []

    class Watcher(worker.Watcher):
        def start(self):
            made.append(self)

    def serve(channel, watcher, shared, call, stream, batch, health):
        made.extend((call, stream, batch, health))
        if end:
            raise end

    # Forks of this script keep their channels.
    system = Instead(os, register_at_fork=lambda **_: None)
    with instead(Channel=lambda: pipes.channel, Watcher=Watcher, serve=serve, fail=fail, os=system):
        try:
            returned = worker.work("builtins:bytes", None, None, None, None)
        except (Started, Failed) as error:
            returned = error
    return returned, pipes, made


# Starts.


def check_a_hello_is_answered():
    for fields, flags in (
        ((1, 4096), b""),
        ((1, 4096, 0), b""),
        ((1, 4096, 0, 77), b""),
        ((1, 4096, 16), b""),
        ((1, 4096, 8), struct.pack(">II", 8, 0)),
        ((1, 4096, 2), struct.pack(">I", 2)),
        ((1, 4096, 0xFFFFFFF2), struct.pack(">I", 2)),
    ):
        end, pipes, (watcher, call, _, _, _) = started(hello(*fields))
        assert isinstance(end, Started)
        assert pipes.received() == [(128, 0, struct.pack(">I", 1) + flags)]
        assert pipes.channel.max_frame == 4096
        assert (watcher.cancellation, watcher.pause) == (None, 1.0)
        assert call(b"x" * 4091) == b"x" * 4091
        said = raised(ValueError, call, b"x" * 4092)
        assert said == "the reply has 4092 bytes, at most 4091 are allowed"


def check_a_flag_says_that_cancels_may_come():
    for flags in (1, 3):
        _, pipes, (watcher, *_) = started(hello(1, 4096, flags))
        assert watcher.cancellation.channel is pipes.channel
        assert watcher.pause == 0.05
        signal.signal(signal.SIGURG, signal.SIG_DFL)
    _, _, (watcher, *_) = started(hello(1, 4096, 2))
    assert watcher.cancellation is None


def check_another_first_frame_is_refused():
    refused = "the first frame of the host is not a hello"
    for first in (frame(CALL, 0, bytes(12)), frame(HELLO, 0, bytes(7))):
        end, pipes, _ = started(first)
        assert str(end) == refused and pipes.received() == []
    end, _, _ = started(hello(2, 4096))
    assert str(end) == "the host speaks version 2 of the protocol, this worker version 1"
    # The longest hello, then a hello that is one byte longer.
    end, _, _ = started(frame(HELLO, 0, struct.pack(">II", 1, 4096) + bytes(1024 - 5 - 8)))
    assert isinstance(end, Started)
    end, _, _ = started(frame(HELLO, 0, struct.pack(">II", 1, 4096) + bytes(1024 - 5 - 7)))
    assert "1025 bytes" in str(end)


def check_arguments_are_options():
    ran = []
    before = sys.path[:]
    parts = {"take_descriptors": lambda: ran.append("taken"), "work": lambda *given: ran.append(given) or 5}
    with instead(Host=lambda: "host", **parts):
        assert worker.main("of_test:f", "--json", "--path=/one", "--path=/two") == 5
        assert sys.path == ["/one", "/two", *before]
        sys.path[:] = before
        assert worker.main("of_test:f", "--path=--json", "--stdlib-json") == 5
        sys.path[:] = before
        assert worker.main("of_test:f", "--batch=20") == 5
    assert sys.path == before
    assert ran[::2] == ["taken"] * 3
    options = ("--json", None), ("--stdlib-json", None), (None, 20)
    assert ran[1::2] == [("of_test:f", form, longest, "host", None) for form, longest in options]


def check_a_host_that_is_gone_ends_the_worker():
    pipes = Pipes()
    pipes.end()
    system = Instead(os, register_at_fork=lambda **_: None)
    with instead(Channel=lambda: pipes.channel, Watcher=lambda *_: types.SimpleNamespace(start=int), os=system):
        assert worker.work("builtins:bytes", None, None, None, None) == 0
    assert pipes.received() == []
    # It may close its end before it reads whether the worker is ready.
    for target, code in (("builtins:bytes", 0), ("builtins:no_such_function", 1)):
        pipes = Pipes(worker.MAX_HELLO)
        pipes.send(hello(1, 4096))
        os.close(pipes.host_in)
        watcher = type("Silent", (worker.Watcher,), {"start": lambda self: None})
        with instead(Channel=lambda: pipes.channel, Watcher=watcher, os=system):
            assert worker.work(target, None, None, None, None) == code
    # It may close its end during a reply.
    assert started(hello(1, 4096), end=BrokenPipeError)[0] == 0
    assert started(hello(1, 4096), end=None)[0] == 0
    raised(BlockingIOError, lambda: started(hello(1, 4096), end=BlockingIOError))


def check_a_failed_start_is_answered():
    busy = []

    class Module(types.ModuleType):
        def setup(self):
            busy.append([thread for thread in watchers if thread.busy])
            raise GeneratorExit("no model")

    watchers = []
    before = worker.Watcher.__init__

    def init(self, *arguments):
        before(self, *arguments)
        watchers.append(self)

    sys.modules["of_test"] = module = Module("of_test")
    module.function = bytes
    worker.Watcher.__init__ = init
    pipes = Pipes(worker.MAX_HELLO)
    pipes.send(hello(1, 4096))
    system = Instead(os, register_at_fork=lambda **_: None)
    try:
        with instead(Channel=lambda: pipes.channel, os=system, fail=fail):
            worker.Watcher.start, start = (lambda _: None), worker.Watcher.start
            assert worker.work("of_test:function", None, None, None, None) == 1
    finally:
        worker.Watcher.__init__, worker.Watcher.start = before, start
    ((kind, request, body),) = pipes.received()
    assert (kind, request, texts(body)[:2]) == (130, 0, ["GeneratorExit", "no model"])
    # The watcher knows that the user's code runs.
    assert busy == [watchers]


def check_an_exit_of_the_setup_is_no_answer():
    module = types.ModuleType("of_test")
    module.setup = sys.exit
    sys.modules["of_test"] = module
    pipes = Pipes(worker.MAX_HELLO)
    pipes.send(hello(1, 4096))
    system = Instead(os, register_at_fork=lambda **_: None)
    watcher = contextlib.nullcontext()
    watcher.start = lambda: None
    with instead(Channel=lambda: pipes.channel, Watcher=lambda *_: watcher, os=system):
        raised(SystemExit, worker.work, "of_test:setup", None, None, None, None)
    assert pipes.received() == []


def check_what_a_target_names():
    ran = []
    module = types.ModuleType("of_test")
    module.Class = type("Class", (), {"method": staticmethod(bytes)})
    module.setup = lambda: ran.append("setup")
    module.health = lambda: ran.append("health")
    sys.modules["of_test"] = module
    loaded = worker.load("of_test:Class.method")()
    assert (loaded.function, loaded.functions) == (bytes, {})
    assert ran == ["setup"]
    loaded.health()
    assert ran == ["setup", "health"]
    loaded = worker.load("of_test:health")()
    assert (loaded.function, loaded.health) == (module.health, worker.healthy)
    module.setup, module.health = "no function", "no function"
    loaded = worker.load("of_test:Class")()
    assert (loaded.function, loaded.health) == (module.Class, worker.healthy)
    assert worker.healthy() is None


# Calls and streams.


def answers(function, form=None, most=10):
    read, write = worker.codec(form)
    return worker.answers(function, read, write, write, most, worker.unguarded, None)


def check_results_are_bytes():
    call, *_ = answers(lambda body: bytearray(body))
    assert call(b"0123456789") == b"0123456789"
    call, *_ = answers(lambda body: memoryview(body))
    assert call(b"ab") == b"ab"
    call, *_ = answers(lambda body: 5)
    assert raised(TypeError, call, b"") == "the function returned int: it must return bytes"
    call, *_ = answers(iter)
    assert raised(TypeError, call, b"") == "the function returned a bytes_iterator: use a stream"
    call, *_ = answers(lambda value: [value, "é\udc80"], form="--stdlib-json", most=20)
    assert call(b'{"a": 1}') == '[{"a":1},"é'.encode() + b"\xed\xb2\x80" + b'"]'
    # As read from a descriptor: the function gets bytes.
    call, *_ = answers(lambda body: str(type(body)).encode(), most=100)
    assert call(bytearray()) == b"<class 'bytes'>"


def check_a_result_for_shared_memory_is_not_copied():
    async def coroutine(body):
        return body

    data = bytearray(b"0123456789")
    for function in (lambda body: body, coroutine, lambda body: coroutine(body)):
        codec = worker.shared_codec(*worker.codec(None))
        call, *_ = worker.answers(function, *codec, 10, worker.unguarded, None)
        assert call(data).obj is data
        worker.close_loop()


def check_a_view_is_bytes_in_one_piece():
    data, numbers = bytearray(b"abcdef"), array.array("I", [1, 2])
    assert worker.as_view(kept := bytes(data)) is kept
    assert worker.as_view(data).obj is data
    view = worker.as_view(memoryview(numbers))
    assert (view.obj, view.format, len(view)) == (numbers, "B", 2 * numbers.itemsize)
    # A view with gaps is copied, and so is an empty one, which cannot be cast.
    assert worker.as_view(memoryview(data)[::2]) == b"ace"
    assert worker.as_view(memoryview((ctypes.c_int * 3 * 0)())) == b""
    assert raised(TypeError, worker.as_view, 5) == "the function returned int: it must return bytes"
    # JSON is written as always, and read from bytes.
    read, write = worker.stdlib_codec()
    shared = worker.shared_codec(read, write)
    assert shared[1:] == (write, write) and shared[0](memoryview(b"[1]")) == [1]


def check_a_call_has_its_timeout_in_milliseconds():
    worker.current.tell(struct.pack(">BIQ", 3, 8, 9001))
    assert worker.current.timeout == 9.001
    worker.current.forget()
    assert worker.current.timeout is None


def check_parts_are_sent():
    sent, closed = [], []

    class Parts:
        def __init__(self, *items):
            self.items = list(items)

        def __next__(self):
            if not self.items:
                raise StopIteration
            return self.items.pop(0)

        def close(self):
            closed.append(len(sent))

    _, stream, _ = answers(lambda _: Parts(b"one", b"", b"0123456789"))
    stream(b"", sent.append)
    assert (sent, closed) == ([b"one", b"", b"0123456789"], [3])
    _, stream, _ = answers(lambda _: Parts(b"one", b"0123456789x"))
    said = raised(ValueError, stream, b"", sent.append)
    assert said == "the part has 11 bytes, at most 10 are allowed" and closed == [3, 4]
    _, stream, _ = answers(lambda _: b"whole")
    stream(b"", sent.append)
    assert sent[4:] == [b"whole"] and closed == [3, 4]


def served(*frames, call=None, stream=None, batch=None, health=None, cancellation=None):
    pipes = Pipes()
    pipes.send(*frames)
    pipes.end()
    watcher = worker.Watcher(pipes.channel, None)
    watcher.cancellation = cancellation
    with instead(fail=fail):
        worker.serve(pipes.channel, watcher, None, call, stream, batch, health)
    return pipes.received(), watcher, pipes


def check_requests_are_served():
    busy = []

    def stream(body, send):
        send(body + b"1")
        send(body + b"2")

    received, watcher, _ = served(
        frame(CALL, 7, b"body"),
        frame(CANCEL, 7, b""),
        frame(STREAM, 8, b"part"),
        frame(PING, 9, b""),
        call=lambda body: body * 2,
        stream=stream,
        health=lambda: busy.append(1),
    )
    assert received == [(129, 7, b"bodybody"), (132, 8, b"part1"), (132, 8, b"part2"), (129, 8, b""), (131, 9, b"")]
    assert busy == [1] and not watcher.dismissed
    # After a shutdown, it reads no more.
    received, watcher, pipes = served(frame(SHUTDOWN, 0, b""), frame(CALL, 7, b""))
    assert received == [] and watcher.dismissed and unread(pipes.channel.input) == 9
    for kind in (HELLO, 0, 8, 11, 129):
        said = raised(Failed, served, frame(kind, 7, b""))
        assert said == f"the host sent a frame of kind {kind} instead of a call, a stream or a ping"


def check_errors_are_served():
    def fails(*_):
        raise GeneratorExit("words")

    frames = [frame(kind, 7 + kind, b"") for kind in (CALL, STREAM, PING)]
    received, _, _ = served(*frames, call=fails, stream=fails, health=fails)
    assert [(kind, request) for kind, request, _ in received] == [(130, 9), (130, 12), (130, 11)]
    for _, _, body in received:
        assert texts(body)[:2] == ["GeneratorExit", "words"]
        # The traceback begins with the function.
        assert texts(body)[2].count("  File ") == 1, texts(body)[2]

    def exits(_):
        raise SystemExit(3)

    assert raised(SystemExit, functools.partial(served, call=exits), frame(CALL, 1, b"")) == "3"


def check_requests_are_running_while_they_are_served():
    ran = []
    cancellation = types.SimpleNamespace(running=None, end=lambda: ran.append("end"))
    served(frame(CALL, 7, b""), call=lambda _: ran.append(cancellation.running) or b"", cancellation=cancellation)
    assert ran == [7, "end"]


run_checks(globals())
