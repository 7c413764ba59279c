"""Performs acts. A request is a JSON list of them, each a verb and its arguments.

Each does something to the process that real functions do, some of them by mistake. Those here may
end the call or the worker: `oracle.rs` knows how.
"""

import _thread
import asyncio
import builtins
import contextlib
import os
import signal
import sys
import threading
import time

import exceptions
import quiet_acts

# A test that runs in the background of a shell inherits ignored signals.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.pthread_sigmask(signal.SIG_SETMASK, [])


def run(acts):
    for act in acts:
        verb, *arguments = act.split()
        function = globals().get(verb)
        if function is None:
            function = getattr(quiet_acts, verb)
            # What a quiet act meets, such as a closed descriptor, is not what is tested.
            try:
                function(*arguments)
            except quiet_acts.LeftByChild:
                return "a reply of the child"
            except Exception as error:
                quiet_acts.kept.append(error)
        else:
            result = function(*arguments)
            if result is not None:
                return result
    return "done"


def check(number):
    """What a call returns if the worker is in order: its argument and its process id."""
    return [number, os.getpid()]


# Exceptions.


def raises(name):
    kind = getattr(builtins, name, None) or getattr(exceptions, name)
    raise kind("words")


def raises_from_handlers():
    """An exception with a cause and a context, each with its own."""
    try:
        try:
            raise KeyError("first")
        except KeyError as error:
            raise OSError(2, "second") from error
    except OSError:
        raise LookupError("third")  # noqa: B904


def raises_a_circle():
    """Two exceptions, each the context of the other."""
    one, other = ValueError("one"), TypeError("other")
    one.__context__, other.__context__ = other, one
    raise one


def raises_group():
    class BaseExceptionGroup(BaseException):
        """For Python 3.10 and earlier, which have no groups."""

        __module__ = "builtins"

    kind = getattr(builtins, "BaseExceptionGroup", BaseExceptionGroup)
    raise kind("several", [SystemExit(3), KeyboardInterrupt(), ValueError("one")])


def raises_with_notes():
    error = ValueError("words")
    error.__notes__ = 5
    raise error


def raises_bad_syntax():
    error = SyntaxError("words")
    error.filename, error.lineno, error.text, error.offset = object(), "one", 7, []
    raise error


def raises_much():
    raise ValueError("long " * 100_000)


def recurses():
    return recurses()


def allocates():
    return bytearray(1 << 62)


def in_a_finally():
    """An exception that replaces another one, and that another one suppresses."""
    try:
        raise SystemExit(3)
    finally:
        with contextlib.suppress(KeyError):
            raise KeyError
        raise EOFError("after all")


def raises_cancelled():
    raise asyncio.CancelledError("words")


# Ends of the process.


def exits(code):
    sys.exit(int(code))


def exits_with_text():
    sys.exit("the last words")


def exits_at_once(code):
    os._exit(int(code))


def kills(name):
    os.kill(os.getpid(), getattr(signal, name))
    time.sleep(1000)


def thread_exits_at_once(code):
    thread = threading.Thread(target=os._exit, args=[int(code)])
    thread.start()
    thread.join()


# Results.


def odd_result():
    return {1, 2}


def disguised():
    return exceptions.Disguised()


def parts(number):
    for part in range(int(number)):
        yield part


def parts_then(number, name):
    yield from parts(number)
    raise getattr(builtins, name)


def bad_part():
    """The second part cannot be sent, and the generator does not accept its end."""
    try:
        yield 0
        yield object()
    except GeneratorExit:
        yield 1


def bad_close():
    try:
        yield 0
        yield object()
    finally:
        raise BufferError("closed badly")


def endless():
    number = 0
    while True:
        yield number
        number += 1


def sleeps():
    time.sleep(1000)


def child_yields():
    """The child of this generator goes on with it."""
    yield 0
    child = os.fork()
    yield 1
    if child:
        os.waitpid(child, 0)
    yield 2


# Signals.


def signals(name):
    signal.raise_signal(getattr(signal, name))


def interrupts_main():
    thread = threading.Thread(target=_thread.interrupt_main)
    thread.start()
    thread.join()
