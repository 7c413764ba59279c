"""Acts that neither end their call nor their worker. See `acts.py`."""

import asyncio
import atexit
import builtins
import contextlib
import ctypes
import faulthandler
import fcntl
import gc
import io
import locale
import os
import random
import resource
import signal
import sys
import tempfile
import threading
import time
import warnings

# What the acts of a worker leave behind, so that nothing is collected too early.
kept = []


class LeftByChild(BaseException):
    """Raised in a process that the function has forked, so that it returns there as well."""


# Exit handlers.


def exits_later(code):
    """The exit handlers end the process with another exit code."""
    atexit.register(os._exit, int(code))


def exit_handler_fails():
    atexit.register(lambda: 1 / 0)


# Signals.


def handle(name, how):
    def notes(*_):
        kept.append(how)

    def fails(*_):
        raise BufferError("from the handler")

    def leaves(*_):
        sys.exit(5)

    signum = getattr(signal, name)
    if signum == signal.SIGALRM:
        signal.setitimer(signal.ITIMER_REAL, 0)
    handlers = {"default": signal.SIG_DFL, "ignore": signal.SIG_IGN, "note": notes, "fail": fails, "leave": leaves}
    signal.signal(signum, handlers[how])


def timer():
    """A timer that fires every other millisecond from now on, also between calls."""
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
    # The exit of the interpreter removes the handler.
    atexit.register(signal.setitimer, signal.ITIMER_REAL, 0)


def block_signals():
    # An interpreter that ends by KeyboardInterrupt sends SIGINT to itself. If the main thread blocks
    # it, the status depends on whether another thread still runs.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - {signal.SIGINT, signal.SIGURG})


def wakeup_fd():
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    kept.append(reader)
    signal.set_wakeup_fd(writer)


# Threads.


def thread(daemon, what):
    def prints():
        for _ in range(10):
            print("from a thread", flush=True)
            time.sleep(0.005)

    def fails():
        raise SystemError("in a thread")

    def leaves():
        sys.exit(3)

    def spins():
        end = time.monotonic() + 0.02
        while time.monotonic() < end:
            pass

    def allocates():
        kept.append(bytearray(1 << 16))

    target = {"prints": prints, "fails": fails, "leaves": leaves, "spins": spins, "allocates": allocates}[what]
    threading.Thread(target=target, daemon=daemon == "daemon").start()


def thread_hooks():
    threading.settrace(lambda *_: None)
    threading.excepthook = lambda *_: 1 / 0
    sys.excepthook = sys.unraisablehook = lambda *_: 1 / 0


# Descriptors. The runtime's have the numbers from 200 on.


def close(fd):
    os.close(int(fd))


def dup_over(fd):
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, int(fd))


def close_range():
    os.closerange(3, 200)


def close_some():
    for fd in random.sample(range(200), 100):
        with contextlib.suppress(OSError):
            os.close(fd)


def do_not_block():
    for fd in range(200):
        with contextlib.suppress(OSError):
            fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_NONBLOCK)


def open_all():
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    opened = []
    with contextlib.suppress(OSError):
        while True:
            opened.append(os.open(os.devnull, os.O_RDONLY))
    # The next acts need some.
    for fd in opened[-16:]:
        os.close(fd)


def leak_files():
    for _ in range(5):
        open(os.devnull)  # noqa: SIM115


def write_to(fd):
    os.write(int(fd), b"to a descriptor\n" * 10)


def read_input():
    kept.append(sys.stdin.read())


def read_descriptor():
    kept.append(os.read(0, 100))


# The standard streams.


class Broken:
    encoding = "ascii"

    def __getattr__(self, name):
        raise LookupError(name)


def replace(name, how):
    values = {"none": lambda: None, "memory": io.StringIO, "broken": Broken}
    setattr(sys, name, values[how]())


def prints():
    print("from print")
    print("unflushed", end="")
    print("an error", file=sys.stderr)


# Generators and asyncio.


def abandoned_generator():
    def generator():
        try:
            yield 1
        finally:
            raise BufferError("while it is collected")

    iterator = generator()
    next(iterator)
    del iterator


def generator_in_a_circle():
    def generator(circle):
        with contextlib.suppress(ValueError):
            yield circle

    circle = []
    iterator = generator(circle)
    circle.append(iterator)
    next(iterator)
    del iterator, circle
    gc.collect()


def loop_runs():
    asyncio.run(asyncio.sleep(0))


def loop_is_left():
    """Leaves a loop that is not closed, with a task that is not done."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    kept.append(loop.create_task(asyncio.sleep(1000)))
    loop.run_until_complete(asyncio.sleep(0))


def loop_task_fails():
    async def main():
        asyncio.create_task(asyncio.wait_for(asyncio.sleep(10), 0))
        await asyncio.sleep(0.001)

    asyncio.run(main())


def coroutine_is_forgotten():
    asyncio.sleep(1)


# Processes.


def fork(how):
    """Forks, and waits for the child, which may do what a function does by mistake."""
    sys.stdout and sys.stdout.flush()
    # If the watchdog is armed, a forked copy hangs at exit: it waits for a thread that it does not have.
    faulthandler.cancel_dump_traceback_later()
    child = os.fork()
    if child == 0:
        if how == "returns":
            raise LeftByChild
        if how == "fails":
            raise BaseException("in a child")
        if how == "leaves":
            sys.exit(3)
        os._exit(0)
    os.waitpid(child, 0)


def fork_and_forget(how):
    child = os.fork()
    if child == 0:
        if how == "stays":
            time.sleep(1000)
        os._exit(0)


# The interpreter.


def setting(name):
    SETTINGS[name]()


def set_recursion_limit():
    frame, depth = sys._getframe(), 0
    while frame:
        frame, depth = frame.f_back, depth + 1
    sys.setrecursionlimit(depth + 60)


def forget_modules():
    for name in ("ast", "asyncio", "json", "linecache", "os", "select", "signal", "struct", "threading", "traceback"):
        sys.modules.pop(name, None)


def patch_builtins():
    def refuse(*_, **__):
        raise PermissionError

    builtins.print = builtins.open = builtins.input = builtins.__import__ = refuse


def remove_directory():
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)


def warnings_are_errors():
    warnings.simplefilter("error")
    kept.append(lambda: warnings.warn("a warning", stacklevel=1))
    kept[-1]()


def trace_that_fails():
    def trace(frame, *_):
        # A trace function that raises is removed.
        if frame.f_code.co_name == "traced":
            raise LookupError

    def traced():
        pass

    sys.settrace(trace)
    traced()


SETTINGS = {
    "environ": os.environ.clear,
    "root": lambda: os.chdir("/"),
    "path": sys.path.clear,
    "arguments": sys.argv.clear,
    "finders": sys.meta_path.clear,
    "umask": lambda: os.umask(0o777),
    "locale": lambda: locale.setlocale(locale.LC_ALL, "C"),
    "gc_off": gc.disable,
    "gc_often": lambda: gc.set_threshold(1),
    "gc_freeze": gc.freeze,
    "switches": lambda: sys.setswitchinterval(1e-6),
    "trace": lambda: sys.settrace(lambda *_: None),
    "profile": lambda: sys.setprofile(lambda *_: None),
    "faults": lambda: faulthandler.enable(file=2, all_threads=True),
    "traceback_later": lambda: faulthandler.dump_traceback_later(0.005, file=2),
    "digits": lambda: getattr(sys, "set_int_max_str_digits", id)(640),
    "linger": lambda: ctypes.CDLL(None).usleep(2000),
    "group": lambda: os.setpgid(0, 0),
    "core": lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
    "name": lambda: setattr(threading.main_thread(), "name", "other"),
    "main": lambda: sys.modules.pop("__main__", None),
}
