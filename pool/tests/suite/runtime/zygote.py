"""Does a zygote answer its host as the runtime says? See `rig.py`.

This script is the host. Each function whose name begins with `check_` is one question. Prints `ok`
to stderr at the end.
"""

import contextlib
import fcntl
import itertools
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import types

from rig import Exited, Instead, frame, run_checks, until
import runtime_files

TAG = "one;two:12345678"

# A module of a zygote. Its setup waits for the host, if it was told to.
MODULE = """
import asyncio, gc, os, signal, sys, time, weakref
sys.modules['of_test'] = sys.modules['__main__']
setups = []
garbage = []
class Cycle:
    def __init__(self):
        self.itself = self
async def setup():
    setups.append(os.getpid())
    garbage.append(weakref.ref(Cycle()))
    print('from setup')
    signal.signal(signal.SIGCHLD, reap)
    if os.environ.get('CLOSES'):
        os.closerange(0, 3)
    if os.environ.get('WAITS'):
        os.write(2, b'waits')
        time.sleep(1000)
def reap(*_):
    # In the zygote, it would take the exits of the workers.
    if os.getpid() == setups[0]:
        os.waitpid(-1, os.WNOHANG)
def has_loop():
    try:
        return bool(asyncio.get_event_loop())
    except RuntimeError:
        return False
def function(body):
    return repr(eval(body)).encode()
sys.path.insert(0, sys.argv[1])
import runtime_files
runtime = runtime_files.loaded(*sys.argv[2:])
runtime.PARENT_POLL = 0.01
sys.exit(runtime.main('of_test:function', '--zygote'))
"""


class Zygote:
    def __init__(self, **environment):
        self.control, other = socket.socketpair()
        command = [sys.executable, "-u", "-c", MODULE, os.path.dirname(runtime_files.__file__), *sys.argv[1:3]]
        environment = {**os.environ, "OSTLER_TAG": TAG, **environment}
        self.process = subprocess.Popen(
            command, stdin=other, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        )
        other.close()
        self.lines = self.control.makefile("r")

    def ask(self, line, descriptors=()):
        socket.send_fds(self.control, [line.encode() + b"\n"], descriptors)
        return self.lines.readline().strip()

    def waits(self):
        """Waits until the zygote has looked for its host several times."""

        def pauses():
            with open(f"/proc/{self.process.pid}/status") as file:
                return int(file.read().split("\nvoluntary_ctxt_switches:")[1].split()[0])

        before = pauses()
        until(lambda: pauses() > before + 3)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def end(self):
        """Closes the control socket, and returns how the zygote has ended."""
        self.lines.close()
        self.control.close()
        assert self.process.stdout.read() == b""
        self.process.stdout.close()
        said = self.process.stderr.read().decode()
        self.process.stderr.close()
        return self.process.wait(), said


class Worker:
    def __init__(self, zygote, tag="one;two:abcdefgh"):
        to_worker, self.write = os.pipe()
        self.read, from_worker = os.pipe()
        self.stderr, stderr = os.pipe()
        given = [to_worker, from_worker, stderr]
        word, pid = zygote.ask(f"fork {tag}", given).split()
        assert word == "forked"
        self.pid = int(pid)
        for fd in given:
            os.close(fd)
        os.write(self.write, frame(1, 0, struct.pack(">II", 1, 1 << 20)))
        assert self.answer() == (128, struct.pack(">I", 1))

    def answer(self):
        head = os.read(self.read, 9)
        if not head:
            return None
        length, kind, _ = struct.unpack(">IBI", head)
        return kind, os.read(self.read, length - 5) if length > 5 else b""

    def call(self, text):
        os.write(self.write, frame(2, 7, text.encode()))
        kind, reply = self.answer()
        assert kind == 129, reply
        return eval(reply)

    def close(self):
        for fd in (self.write, self.read, self.stderr):
            os.close(fd)


def check_workers_are_forked():
    zygote = Zygote()
    assert zygote.lines.readline() == "ready\n"
    assert zygote.ask("fork one;two:x").startswith("failed [Errno 24]")
    zygote.waits()
    before = zygote.descriptors()
    workers = [Worker(zygote), Worker(zygote, "one;two:short")]
    # It keeps no descriptor of its workers.
    assert zygote.descriptors() == before
    for worker, tag, initial in ((workers[0], b"abcdefgh", b"abcdefgh"), (workers[1], b"short", b"short...")):
        assert worker.pid == worker.call("os.getpid()") == worker.call("os.getpgid(0)")
        assert worker.call("os.environb[b'OSTLER_TAG']") == b"one;two:" + tag
        with open(f"/proc/{worker.pid}/environ", "rb") as file:
            assert b"OSTLER_TAG=one;two:" + initial in file.read().split(b"\0")
        # What the module has set, once.
        assert worker.call("setups") == [zygote.process.pid]
        assert worker.call("signal.getsignal(signal.SIGCHLD) is reap")
        assert worker.call("os.getppid()") == zygote.process.pid
        # A collection passes over what the workers share, of which nothing is garbage.
        assert not worker.call("any(one is setups for one in gc.get_objects())")
        assert worker.call("garbage[0]() is None")
        # Three standard streams, the frames, and what this call opens.
        assert worker.call("len(os.listdir('/proc/self/fd'))") == 6
        # The event loop of setup() was closed before the fork.
        assert worker.call("has_loop()") is False
        # Its input is empty, and that of its subprocesses.
        assert worker.call("os.read(0, 1)") == b""
        assert worker.call("os.spawnlp(os.P_WAIT, 'cat', 'cat')") == 0
        worker.call("os.write(1, b'words')")
        assert os.read(worker.stderr, 100) == b"words"
    with open(f"/proc/{zygote.process.pid}/environ", "rb") as file:
        assert b"OSTLER_TAG=" + TAG.encode() in file.read().split(b"\0")
    for worker, status in ((workers[0], "code 0"), (workers[1], "signal 9")):
        assert zygote.ask(f"status {worker.pid}") == "unknown"
        if status == "code 0":
            os.write(worker.write, frame(3, 0, b""))
        else:
            os.kill(worker.pid, signal.SIGKILL)
        assert worker.answer() is None
        until(lambda: zygote.ask(f"status {worker.pid}") != "unknown")
        # Its status can be asked again until it is reaped.
        assert zygote.ask(f"status {worker.pid}") == status
        assert zygote.ask(f"reap {worker.pid}") == "reaped"
        assert not os.path.exists(f"/proc/{worker.pid}")
        assert zygote.ask(f"status {worker.pid}") == zygote.ask(f"reap {worker.pid}") == "unknown"
        worker.close()
    assert zygote.end() == (0, "from setup\n")


def check_a_worker_gets_its_own_variables():
    zygote = Zygote()
    zygote.lines.readline()
    # The zygote needs several reads for this line.
    variables = b"NAME=a=b\0LONG=" + b"v" * 100_000
    worker = Worker(zygote, f"one;two:abcdefgh {variables.hex()}")
    assert worker.call("os.environ['NAME'], len(os.environ['LONG'])") == ("a=b", 100_000)
    worker.close()
    assert zygote.end() == (0, "from setup\n")


def check_a_running_worker_is_killed_and_reaped():
    zygote = Zygote()
    zygote.lines.readline()
    workers = [Worker(zygote), Worker(zygote)]
    # One joins the group of the other, in which there is a child.
    child = workers[1].call("os.spawnlp(os.P_NOWAIT, 'sleep', 'sleep', '1000')")
    workers[0].call(f"os.setpgid(0, {workers[1].pid})")
    for worker in workers:
        while (answer := zygote.ask(f"reap {worker.pid}")) == "alive":
            pass
        assert answer == "reaped" and not os.path.exists(f"/proc/{worker.pid}")
        worker.close()
    with open(f"/proc/{zygote.process.pid}/status") as file:
        assert "\nSigBlk:\t0000000000000000\n" in file.read()
    # It was killed with the group.
    until(lambda: not os.path.exists(f"/proc/{child}"))
    assert zygote.end() == (0, "from setup\n")


def check_a_module_may_close_the_standard_streams():
    zygote = Zygote(CLOSES="yes")
    zygote.lines.readline()
    # The descriptors that it receives get the numbers 0 to 2, which are free.
    worker = Worker(zygote)
    worker.call("os.write(1, b'words')")
    assert os.read(worker.stderr, 100) == b"words"
    assert worker.call("len(os.listdir('/proc/self/fd'))") == 6
    worker.close()
    assert zygote.end() == (0, "from setup\n")


def check_a_zygote_ends_while_it_loads():
    zygote = Zygote(WAITS="yes")
    assert zygote.process.stderr.read(16) == b"from setup\nwaits"
    assert zygote.end() == (-signal.SIGIO, "")


def check_the_control_socket_is_private():
    zygote = Zygote()
    zygote.lines.readline()
    with open(f"/proc/{zygote.process.pid}/fdinfo/200") as info:
        flags = int(info.read().split("flags:")[1].split()[0], 8)
    assert not flags & os.O_NONBLOCK and flags & os.O_CLOEXEC
    # A hang-up raises no signal any more.
    assert not flags & fcntl.FASYNC
    assert zygote.end() == (0, "from setup\n")


runtime = vars(runtime_files.loaded(*sys.argv[1:3]))


@contextlib.contextmanager
def replaced(**values):
    before = {name: runtime[name] for name in values}
    runtime.update(values)
    try:
        yield
    finally:
        runtime.update(before)


def fail(problem):
    raise Exited(problem)


def not_permitted(*_):
    raise PermissionError


def check_threads_are_counted():
    # One is that of `faulthandler`, which Python does not know.
    assert runtime["count_threads"]() == 2
    with replaced(os=Instead(os, listdir=lambda _: os.stat("/no/such/path"))):
        assert runtime["count_threads"]() == 1


def refused(counts, forks_after=0):
    """What refuse_threads() says, what it does and how often it pauses, if the threads are counted like this.

    The child of its fork ends after a number of checks.
    """
    counts = iter(counts)
    ends = itertools.chain([0] * forks_after, [4711])
    done = []

    def waitpid(child, flags):
        assert (child, flags) == (4711, os.WNOHANG)
        # Like the real one, it tells an end once.
        return next(ends), 0

    system = Instead(
        os,
        fork=lambda: done.append("fork") or 4711,
        waitpid=waitpid,
        kill=lambda child, number: done.append((child, number)),
    )
    pauses = []
    clock = types.SimpleNamespace(sleep=pauses.append)
    with replaced(os=system, time=clock, fail=fail, count_threads=lambda: next(counts)):
        try:
            runtime["refuse_threads"]()
            return None, done, len(pauses)
        except Exited as end:
            return str(end).partition("fork loses: ")[2].partition(". Start")[0], done, len(pauses)


def check_threads_are_refused():
    assert refused([1]) == (None, [], 0)
    # They end at the fork, or a moment later.
    assert refused([3, 1]) == (None, ["fork"], 0)
    assert refused([3, 2, 2, 1]) == (None, ["fork"], 2)
    # The child of the fork is reaped first.
    assert refused([3, 1], forks_after=3) == (None, ["fork"], 3)
    assert refused([3] * 2000) == ("2 that Python does not know", ["fork"], 1000)
    killed = ["fork", (4711, signal.SIGKILL)]
    assert refused([3] * 2000, forks_after=5000) == ("2 that Python does not know", killed, 1000)
    done = threading.Event()
    thread = threading.Thread(target=done.wait, name="of Python", daemon=True)
    thread.start()
    assert refused([2] * 2000)[0] == "of Python"
    assert refused([3] * 2000)[0] == "of Python, 1 that Python does not know"
    done.set()
    thread.join()


def check_the_child_that_tells_which_threads_end_exits():
    with replaced(os=Instead(os, fork=lambda: 0, _exit=fail), count_threads=lambda: 3):
        try:
            runtime["refuse_threads"]()
        except Exited as end:
            assert str(end) == "0"
        else:
            raise AssertionError("it goes on")


def check_a_tag_that_cannot_be_replaced_is_told():
    os.environ["OSTLER_TAG"] = "one;two:notthere"
    tag = runtime["Tag"]()
    assert (tag.pools, tag.own) == (b"one;two", b"notthere")
    reader, writer = os.pipe()
    before = os.dup(2)
    os.dup2(writer, 2)
    tag.find()
    tag.replace("one;two:new")
    os.dup2(before, 2)
    for fd in (before, writer):
        os.close(fd)
    said = os.read(reader, 1000).decode()
    assert said.startswith("ostler worker: cannot replace the zygote's OSTLER_TAG: it is not in /proc/self/environ.")
    assert said.count("\n") == 1 and tag.places == []
    assert os.environ["OSTLER_TAG"] == "one;two:new"

    # The process can no longer write to its memory.
    tag.places = [0]
    with replaced(os=Instead(os, open=not_permitted)):
        tag.replace("one;two:newer")
    assert os.environ["OSTLER_TAG"] == "one;two:newer"


def check_a_worker_that_may_not_be_killed_is_alive():
    system = Instead(os, killpg=not_permitted, kill=not_permitted, waitpid=lambda *_: (0, 0))
    with replaced(os=system, exit_of=lambda _: None, POLL=0, SIGNALS=[]):
        assert runtime["Zygote"]._reap(None, 4711) == "alive"


run_checks(globals())
