"""Do coroutines and asynchronous generators run, and does a cancel end them? See `host.py`.

Each function whose name begins with `check_` is one question. Prints `ok` to stderr at the end.
"""

import struct

from host import BATCH, CALL, FUNCTION, PART, PING, PONG, REPLY, SHUTDOWN, STREAM, WITH_DETAILS, Worker, error
from rig import run_checks, until

SOURCE = """
import asyncio, contextlib, functools, gc, json, os, threading, time, weakref

events = []
loops = set()

async def setup():
    await asyncio.sleep(0)
    events.append("set up")

async def health():
    await asyncio.sleep(0)
    if "ill" in events:
        raise OSError("ill")

def seen(request):
    found = json.dumps(events).encode()
    events.clear()
    return found

async def echo(request):
    loops.add(id(asyncio.get_running_loop()))
    assert threading.current_thread() is threading.main_thread() and len(loops) == 1
    await asyncio.sleep(0.001)
    if request == b"ill":
        events.append("ill")
    return request

returns = functools.partial(echo)
returns.__module__ = __name__

def wrapped(request):
    return echo(request)

async def nothing(request):
    return 5

async def fails(request):
    try:
        await asyncio.sleep(0)
        raise KeyError("absent")
    finally:
        events.append("finally")

async def parts(request):
    try:
        for number in range(3):
            await asyncio.sleep(0.001)
            yield b"%d" % number
        if request:
            raise ValueError("no more")
    finally:
        await asyncio.sleep(0)
        events.append("closed")

async def made(request):
    return parts(request)

async def waits(request):
    events.append("waits")
    os.write(2, b"waits\\n")
    try:
        await asyncio.sleep(1000)
    except asyncio.CancelledError as caught:
        events.append([type(caught).__name__, isinstance(caught, Exception)])
        await asyncio.sleep(0.4)
        time.sleep(0.4)
        events.append("handled")
        raise

async def waits_for_a_task(request):
    await asyncio.create_task(waits(request))

async def endless(request):
    os.write(2, b"waits\\n")
    while True:
        yield b"part"
        await asyncio.sleep(0)

async def blocks(request):
    os.write(2, b"waits\\n")
    while True:
        time.sleep(0.001)

async def swallows(request):
    os.write(2, b"waits\\n")
    for _ in range(2):
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            events.append("swallowed")
    return b"in spite of it"

async def swallows_and_blocks(request):
    os.write(2, b"waits\\n")
    try:
        await asyncio.sleep(1000)
    except asyncio.CancelledError:
        events.append("swallowed")
    while True:
        time.sleep(0.001)

async def numbers(request):
    return iter((b"0", b"1", b"2"))

def wrapped_numbers(request):
    return numbers(request)

async def fails_when_cancelled(request):
    async def task():
        try:
            await waits(request)
        except asyncio.CancelledError:
            raise KeyError("cancelled")
    try:
        await asyncio.create_task(task())
    except KeyError as caught:
        events.append(type(caught).__name__)
        raise

async def cancels_itself(request):
    asyncio.current_task().cancel()
    try:
        await asyncio.sleep(1000)
    except asyncio.CancelledError as caught:
        return type(caught).__name__.encode()

async def no_bytes(request):
    try:
        yield "text"
    finally:
        await asyncio.sleep(0)
        events.append("closed")

class Counted:
    number = 0
    async def __anext__(self):
        self.number += 1
        if self.number == 3:
            raise StopAsyncIteration
        return b"%d" % self.number

def counted(request):
    return Counted()

class Error(Exception):
    pass

async def raises(request):
    gc.disable()
    error = Error()
    global raised
    raised = weakref.ref(error)
    try:
        raise error
    finally:
        del error

def is_freed(request):
    return str(raised() is None).encode()

def is_the_loop(request):
    return str(id(asyncio.get_event_loop()) in loops).encode()

async def leaves_a_task(request):
    async def task():
        try:
            await asyncio.sleep(1000)
        finally:
            # Longer than the generator needs.
            await asyncio.sleep(0.02)
            print("the task has ended")
    global left
    left = asyncio.create_task(task())
    return b""

async def leaves_a_generator(request):
    async def generator():
        try:
            yield
        finally:
            await asyncio.sleep(0)
            print("the generator has ended")
    global kept
    kept = generator()
    await kept.__anext__()
    return b""

async def leaves_a_stubborn_task(request):
    async def task():
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(1000)
    global left
    left = asyncio.create_task(task())
    return b""
"""


def check_coroutines_run():
    worker = Worker(SOURCE)
    assert worker.named("seen")[1] == b'["set up"]'
    for name in ("echo", "returns", "wrapped"):
        for body in (b"", b"words"):
            assert worker.named(name, body) == (REPLY, body), name
    # Synchronous code finds the event loop, too.
    assert worker.named("is_the_loop") == (REPLY, b"True")
    kind, message, *_ = error(worker.named("nothing"))
    assert (kind, message) == ("TypeError", "the function returned int: it must return bytes")
    kind, message, entries, trace = error(worker.named("fails"))
    assert (kind, message, entries) == ("KeyError", "'absent'", {1: "app.py:41, in fails"}), entries
    # The traceback begins with the function, and has no other exception as its cause.
    assert trace.count("  File ") == 1 and "During" not in trace, trace
    assert worker.named("seen")[1] == b'["finally"]'
    # The exception is freed without a garbage collection.
    assert error(worker.named("raises"))[0] == "app.Error"
    assert worker.named("is_freed") == (REPLY, b"True")
    worker.end()
    # A host that never cancels.
    worker = Worker(SOURCE, flags=WITH_DETAILS)
    assert worker.named("echo", b"x") == (REPLY, b"x")
    worker.end()


def check_json_takes_coroutines_too():
    source = "import functools\nasync def f(value): return [value]\ng = functools.partial(f)\n"
    for form in ("--json", "--stdlib-json"):
        for target in ("app:f", "app:g"):
            worker = Worker(source, target, form)
            assert worker.call(b'{"a": 1}') == (REPLY, b'[{"a":1}]')
            worker.end()


def check_batches_and_lists_take_coroutines():
    frame = struct.pack(">III", 2, 1, 2) + b"abc"
    for options, source in (
        ((), "async def f(request): return request * 2"),
        ((), "import functools\nasync def g(request): return request * 2\nf = functools.partial(g)"),
        (("--batch=5",), "async def f(requests): return [request * 2 for request in requests]"),
    ):
        worker = Worker(source, "app:f", *options, flags=11)
        worker.ask(BATCH, frame)
        assert [worker.read(), worker.read()] == [(REPLY, b"aa"), (REPLY, b"bcbc")]
        assert worker.call(b"d") == (REPLY, b"dd")
        worker.end()


def stream(worker, name, body=b""):
    worker.ask(STREAM, body, [(FUNCTION, name.encode())])
    answers = [worker.read()]
    while answers[-1][0] == PART:
        answers.append(worker.read())
    return answers


def check_asynchronous_generators_are_streams():
    worker = Worker(SOURCE)
    worker.named("seen")
    parts = [(PART, b"0"), (PART, b"1"), (PART, b"2")]
    for name in ("parts", "made"):
        assert stream(worker, name) == [*parts, (REPLY, b"")]
        answers = stream(worker, name, b"x")
        assert answers[:3] == parts and error(answers[3])[:2] == ("ValueError", "no more")
        assert worker.named("seen")[1] == b'["closed", "closed"]'
    # An iterator need not have `aclose`.
    assert stream(worker, "counted") == [(PART, b"1"), (PART, b"2"), (REPLY, b"")]
    # A generator whose part cannot be sent is closed at once.
    assert error(stream(worker, "no_bytes")[0])[0] == "TypeError"
    assert worker.named("seen")[1] == b'["closed"]'
    # The result of a coroutine is the only part, or an iterator of parts. A call takes no generator.
    for name in ("echo", "wrapped"):
        assert stream(worker, name, b"x") == [(PART, b"x"), (REPLY, b"")]
    for name in ("numbers", "wrapped_numbers"):
        assert stream(worker, name) == [*parts, (REPLY, b"")]
    assert error(worker.named("parts"))[1] == "the function returned a async_generator: use a stream"
    worker.end()


def check_hooks_may_be_coroutines():
    worker = Worker(SOURCE)
    worker.ask(PING)
    assert worker.read() == (PONG, b"")
    worker.named("echo", b"ill")
    worker.ask(PING)
    assert error(worker.read())[:2] == ("OSError", "ill")
    worker.end()
    answer = Worker("async def setup(): raise OSError('no model')\ndef f(r): pass", "app:f").ready
    assert error(answer)[:2] == ("OSError", "no model")


def cancelled(worker, name, kind=CALL):
    """Cancels a function once it waits. Returns the answer and what it has noted."""
    before = worker.said().count("waits\n")
    worker.ask(kind, b"", [(FUNCTION, name.encode())])
    until(lambda: worker.said().count("waits\n") > before)
    worker.cancel()
    answer = worker.read()
    while answer[0] == PART:
        answer = worker.read()
    return answer, worker.named("seen")[1].decode()


def check_a_cancel_ends_a_coroutine():
    worker = Worker(SOURCE)
    worker.named("seen")
    for _ in range(2):
        answer, noted = cancelled(worker, "waits")
        assert error(answer)[:2] == ("Cancelled", "the host no longer needs the result")
        # Its handler is not interrupted, although it takes longer than the pause.
        assert noted == '["waits", ["Cancelled", false], "handled"]', noted
    # A task that it waits for is cancelled as asyncio does it.
    answer, noted = cancelled(worker, "waits_for_a_task")
    assert error(answer)[0] == "Cancelled", answer
    assert noted == '["waits", ["CancelledError", false], "handled"]', noted
    # The task may fail instead.
    answer, noted = cancelled(worker, "fails_when_cancelled")
    assert error(answer)[:2] == ("KeyError", "'cancelled'"), answer
    assert noted.endswith(' "handled", "KeyError"]'), noted
    # The host did not cancel this call.
    assert worker.named("cancels_itself") == (REPLY, b"CancelledError")
    answer, _ = cancelled(worker, "endless", STREAM)
    assert error(answer)[0] == "Cancelled"
    # The loop goes on.
    assert worker.named("echo", b"x") == (REPLY, b"x")
    worker.end()


def check_a_coroutine_that_does_not_await_is_interrupted():
    worker = Worker(SOURCE)
    worker.named("seen")
    answer, _ = cancelled(worker, "blocks")
    kind, _, entries, _ = error(answer)
    assert (kind, entries[1].endswith("in blocks")) == ("Cancelled", True)
    assert worker.named("echo", b"x") == (REPLY, b"x")
    worker.end()


def check_a_swallowed_cancel_is_raised_again():
    worker = Worker(SOURCE)
    worker.named("seen")
    answer, noted = cancelled(worker, "swallows")
    assert (answer, noted) == ((REPLY, b"in spite of it"), '["swallowed", "swallowed"]')
    answer, noted = cancelled(worker, "swallows_and_blocks")
    assert (error(answer)[0], noted) == ("Cancelled", '["swallowed"]')
    worker.end()


def check_tasks_end_with_the_worker():
    worker = Worker(SOURCE)
    for name in ("leaves_a_task", "leaves_a_generator"):
        assert worker.named(name) == (REPLY, b"")
    assert worker.end() == "the task has ended\nthe generator has ended\n"
    # A task that ignores its cancellation does not keep the worker from exiting.
    worker = Worker(SOURCE)
    assert worker.named("leaves_a_stubborn_task") == (REPLY, b"")
    worker.send(SHUTDOWN, 0)
    assert worker.process.wait(60) == 0


def check_an_exit_in_a_coroutine_is_an_exit():
    worker = Worker("import sys\nasync def f(request): sys.exit(3)", "app:f")
    worker.ask(CALL)
    assert worker.process.wait() == 3


def check_functions_without_coroutines_have_no_loop():
    worker = Worker("import sys\ndef f(request): return str('asyncio' in sys.modules).encode()", "app:f")
    assert worker.call() == (REPLY, b"False")
    worker.end()


run_checks(globals())
