"""Does a function learn what the host says of its call? See `host.py`.

Each function whose name begins with `check_` is one question. Prints `ok` to stderr at the end.
"""

import struct

from host import BATCH, CANCELS, FUNCTION, NUMBER, PART, READY, REPLY, SESSION, STREAM, TIMEOUT, TRACEPARENT
from host import WITH_DETAILS, Worker, error
from rig import run_checks

KNOWN = """
import ostler, sys, threading, time

def told(request):
    return repr((ostler.session(), ostler.position(), ostler.traceparent(), ostler.cancelled())).encode()

def in_a_thread(request):
    said = []
    thread = threading.Thread(target=lambda: said.append(told(request)))
    thread.start()
    thread.join()
    return said[0]

def deadline(request):
    return repr(ostler.deadline()).encode()

def timeout(request):
    return repr(sys.modules["_ostler_worker"].timeout).encode()

def deadlines(request):
    # The time of each, not the time left.
    for _ in range(3):
        time.sleep(0.05)
        yield repr(ostler.deadline() + time.monotonic()).encode()
"""


def milliseconds(number):
    return TIMEOUT, struct.pack(">Q", number)


def seconds(answer):
    assert answer[0] in (REPLY, PART), answer
    return float(answer[1])


def check_a_function_is_told_of_its_call():
    worker = Worker(KNOWN, OSTLER_POSITION="3")
    details = (SESSION, "ö 1".encode()), (NUMBER, bytes(8)), (TRACEPARENT, b"00-aa-bb-01"), (77, b"unknown"), (78, b"")
    for function in ("told", "in_a_thread"):
        assert worker.named(function, b"", *details) == (REPLY, "('ö 1', 3, '00-aa-bb-01', False)".encode())
        # What was said concerned that call only.
        assert worker.named(function) == (REPLY, b"(None, 3, None, False)")
    worker.end()
    worker = Worker(KNOWN, "app:told")
    assert worker.call(b"", (SESSION, b"a")) == (REPLY, b"('a', None, None, False)")
    assert worker.call() == (REPLY, b"(None, None, None, False)")
    worker.end()
    # A host that never cancels.
    worker = Worker(KNOWN, "app:told", flags=WITH_DETAILS)
    assert worker.call() == (REPLY, b"(None, None, None, False)")
    worker.end()


def check_the_deadline_is_that_of_the_call():
    worker = Worker(KNOWN, timeout=600_000)
    assert worker.named("timeout") == (REPLY, b"600.0")
    assert 300 < seconds(worker.named("deadline")) <= 600
    assert 8700 < seconds(worker.named("deadline", b"", milliseconds(9_000_000))) <= 9000
    assert seconds(worker.named("deadline", b"", milliseconds(0))) == 0
    assert 300 < seconds(worker.named("deadline")) <= 600
    # The host waits anew for each part.
    worker.ask(STREAM, b"", [(FUNCTION, b"deadlines")])
    first, second, third = (seconds(worker.read()) for _ in range(3))
    assert second - first >= 0.05 and third - second >= 0.05, (first, second, third)
    assert worker.read() == (REPLY, b"")
    worker.end()
    # A host that does not say how long it waits.
    worker = Worker(KNOWN, "app:deadline", flags=CANCELS)
    assert worker.ready == (READY, struct.pack(">I", 1))
    assert worker.call() == (REPLY, b"None")
    worker.end()


MODULE = """
import functools, math, ostler
from os.path import join

def one(request): return b"1"
def setup(): pass
def health(): pass
def end_session(name): pass
@ostler.on_session_end
def forget(name): pass
@functools.lru_cache
def two(request): return b"2"
def _private(request): pass
class Class: pass
constant = 3
"""


def names(worker):
    """The functions in a worker's ready."""
    kind, body = worker.ready
    version, flags, count = struct.unpack_from(">III", body)
    assert (kind, version, flags & WITH_DETAILS) == (READY, 1, WITH_DETAILS)
    body, found = body[12:], []
    for _ in range(count):
        (length,) = struct.unpack_from(">I", body)
        found.append(body[4 : 4 + length].decode())
        body = body[4 + length :]
    assert body == b""
    return found


def check_a_module_lists_its_functions():
    worker = Worker(MODULE)
    assert names(worker) == ["one", "two"]
    assert [worker.named(name) for name in ("one", "two", "one")] == [(REPLY, b"1"), (REPLY, b"2"), (REPLY, b"1")]
    kind, message, entries, _ = error(worker.named("join"))
    assert (kind, message, entries) == ("LookupError", "the module has no function 'join': it has one, two", {})
    kind, message, *_ = error(worker.call())
    assert (kind, message) == ("LookupError", "the call names no function of the module: it has one, two")
    worker.end()
    worker = Worker(MODULE + "__all__ = ['join', 'one', 'constant', 'Class', '_private', 'setup']")
    assert names(worker) == ["join", "one", "_private"]
    worker.end()
    # The details of a batch name the function for all its requests.
    worker = Worker(MODULE, flags=11)
    worker.ask(BATCH, struct.pack(">III", 2, 0, 0), [(FUNCTION, b"two")])
    for _ in range(2):
        assert worker.read() == (REPLY, b"2")
    worker.end()
    # One function needs no name.
    worker = Worker(MODULE, "app:one")
    assert names(worker) == [] and worker.call(b"", (FUNCTION, b"two")) == (REPLY, b"1")
    worker.end()


def check_functions_that_cannot_be_listed_fail_the_start():
    worker = Worker(MODULE, flags=0)
    _, message, *_ = error(worker.ready)
    assert message == "the host does not name functions: this version of ostler runs one function"
    many = "\n".join(f"def {'f' * 1000}{number}(): pass" for number in range(1050))
    _, message, *_ = error(Worker(many).ready)
    assert message.startswith("the names of 1050 functions need ") and message.endswith("are allowed: set __all__")


SESSIONS = """
import asyncio, ostler, sys

ended = []
def seen(request):
    found = repr(ended).encode()
    ended.clear()
    return found

def end_session(name):
    ended.append((name, ostler.session()))
    if name == "fails":
        raise GeneratorExit("no such session")
    if name == "exits":
        sys.exit(3)

@ostler.on_session_end
async def later(name):
    await asyncio.sleep(0)
    ended.append(name + " later")

ostler.on_session_end(end_session)
"""


def check_the_module_learns_that_a_session_has_ended():
    worker = Worker(SESSIONS)
    worker.end_session("ö")
    worker.end_session("fails")
    answer = worker.named("seen")
    assert answer[1].decode() == repr(["ö later", ("ö", "ö"), "fails later", ("fails", "fails")]), answer
    # It happens between two calls, so the next request may be there already.
    worker.end_session("last")
    assert worker.named("seen", b"", (SESSION, b"other"))[1] == b"['last later', ('last', 'last')]"
    said = worker.end()
    assert said.startswith("\x1eostler\x1ferror\x1fostler\x1fthe end of session 'fails' raised\\nTraceback"), said
    assert said.endswith("GeneratorExit: no such session\x1e\n") and said.count("\n") == 1
    assert "ostler_worker" not in said
    # An exit is an exit.
    worker = Worker(SESSIONS)
    worker.end_session("exits")
    assert worker.process.wait() == 3


def check_a_copy_of_the_worker_does_not_go_on():
    source = """
import os
def end_session(name):
    global child
    child = os.fork()
def f(request): return b"%d" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""
    worker = Worker(source, "app:f")
    worker.end_session("a")
    assert worker.call() == (REPLY, b"2")
    assert "a process that the function had forked left the function" in worker.end()


def check_a_function_of_the_module_is_enough():
    source = "ended = []\ndef end_session(name): ended.append(name)\ndef f(request): return repr(ended).encode()"
    worker = Worker(source, "app:f")
    worker.end_session("a")
    assert worker.call() == (REPLY, b"['a']")
    worker.end()


def check_a_later_session_of_the_same_name_is_another_one():
    worker = Worker(SESSIONS)

    def seen(session, number):
        return worker.named("seen", b"", (SESSION, session), (NUMBER, struct.pack(">Q", number)))[1].decode()

    def ended(name):
        return [f"{name} later", (name, name)]

    assert seen(b"a", 1) == seen(b"b", 2) == seen(b"a", 1) == "[]"
    # The host can be late with the news that the first one has ended.
    assert seen(b"a", 3) == repr(ended("a"))
    worker.end_session("a", 1)
    worker.end_session("b", 2)
    assert seen(b"a", 3) == repr(ended("b"))
    worker.end_session("a", 3)
    assert seen(b"b", 4) == repr(ended("a"))
    worker.end()


def check_a_module_without_such_a_function_goes_on():
    worker = Worker("def f(request): return request", "app:f")
    worker.end_session("any")
    assert worker.call(b"x") == (REPLY, b"x") and worker.end() == ""


run_checks(globals())
