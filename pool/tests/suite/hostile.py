"""Functions that misbehave, for workers in tests. Each takes and returns bytes."""

import atexit
import collections
import contextlib
import fcntl
import itertools
import os
import queue
import resource
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time


def echo(body):
    return body


def think(words):
    """Returns the words after 2 ms."""
    time.sleep(0.002)
    return words.encode()


def run(body):
    """Calls the function that the request names, with the rest of the request."""
    verb, _, rest = body.decode().partition(" ")
    return globals()[verb](rest)


def pid(_):
    return str(os.getpid()).encode()


def parent(_):
    return str(os.getppid()).encode()


def exit(code):
    print("the last words", file=sys.stderr)
    sys.exit(int(code))


def spin(_):
    while True:
        pass


def sleep(seconds):
    time.sleep(float(seconds))
    return b"slept"


def fail(message):
    raise LookupError(message)


def flood(size):
    os.write(2, b"x" * int(size))
    return b"flooded"


def pollute(_):
    print("from print")
    print("unflushed", end="")
    os.write(1, b"from write\n" * 10)
    subprocess.run(["echo", "from a subprocess"], check=True)
    return sys.stdin.read().encode() + b"clean"


def grandchild(_):
    """Leaves a process that holds this worker's stdout and stderr. Returns its id."""
    return str(subprocess.Popen(["sleep", "1000"]).pid).encode()


def wait_for_subprocess(_):
    subprocess.run(["sleep", "1000"], check=True)


def hold_the_interpreter(_):
    """A loop in C that holds the GIL, so that no other thread runs."""
    return str(sum(range(10**15))).encode()


def exit_with_grandchild(path):
    """As `grandchild`, but writes the id to a file, and the worker exits before it answers."""
    child = subprocess.Popen(["sleep", "1000"])
    with open(path, "w") as file:
        file.write(str(child.pid))
    os._exit(4)


def daemon(_):
    """Leaves an orphan in its own session, with no descriptor of this worker. Returns its id."""
    return _daemon(environment=None)


def nameless_daemon(_):
    """As `daemon`, with an empty environment."""
    return _daemon(environment={})


def _daemon(environment):
    script = (
        "import subprocess, sys; null = subprocess.DEVNULL; "
        "print(subprocess.Popen(sys.argv[1:], stdin=null, stdout=null, stderr=null).pid)"
    )
    sleep = [shutil.which("sleep"), "1000"]
    command = [sys.executable, "-c", script, *sleep]
    parent = subprocess.run(
        command, env=environment, start_new_session=True, stdout=subprocess.PIPE, check=True
    )
    return parent.stdout.strip()


def forked_daemon(_):
    """As `daemon`, but by two forks of this process, without another program."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        daemon = os.fork()
        if daemon:
            os.write(writer, str(daemon).encode())
        else:
            time.sleep(1000)
        os._exit(0)
    os.waitpid(child, 0)
    return os.read(reader, 100)


def niceness(_):
    return subprocess.run(["nice"], stdout=subprocess.PIPE, check=True).stdout.strip()


def limits(name):
    return " ".join(map(str, resource.getrlimit(getattr(resource, name)))).encode()


def descriptors(_):
    """The target of each open descriptor, one per line."""
    targets = []
    for name in os.listdir("/proc/self/fd"):
        try:
            targets.append(os.readlink(f"/proc/self/fd/{name}"))
        except FileNotFoundError:
            pass  # This was the descriptor of the listing itself.
    return "\n".join(targets).encode()


def many(size):
    return b"m" * int(size)


def text(_):
    return "not bytes"


def at_exit(path):
    """Registers an exit handler that creates the file after 1.5 s."""

    def leave():
        time.sleep(1.5)
        open(path, "w").close()

    atexit.register(leave)
    return b"registered"


def outputs():
    """The descriptors that may be the pipe for replies."""
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        with contextlib.suppress(OSError):
            writes = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY
            if fd > 2 and writes:
                yield fd


def silence(_):
    """Closes the pipe for replies, and keeps running."""
    for fd in list(outputs()):
        os.close(fd)
    time.sleep(1000)


def babble(_):
    """Replies, and writes something into the pipe for replies 10 ms later."""

    def later():
        time.sleep(0.01)
        for fd in list(outputs()):
            os.write(fd, b"babble")

    threading.Thread(target=later, daemon=True).start()
    return b"babbling"


def fill(words):
    """Yields blocks of this many bytes. Remembers how far it came and whether it was closed."""
    blocks, size = map(int, words.split())
    kept.clear()
    try:
        for number in range(blocks):
            kept.append(str(number))
            yield b"b" * size
    finally:
        kept.append("closed")


held = []


def hold(words):
    """As `fill`, but keeps a reference, so that the generator is not collected and closed."""
    held.append(fill(words))
    return held[-1]


def ahead(words):
    """Yields blocks of this many bytes, and writes to the file how many were requested."""
    blocks, size, path = words.split()
    with open(path, "wb") as file:
        for number in range(int(blocks)):
            os.pwrite(file.fileno(), struct.pack(">Q", number + 1), 0)
            yield b"b" * int(size)


def dawdle(words):
    """Returns the number after this many milliseconds. Multiples of 4 spin, others sleep."""
    number, millis = words.split()
    end = time.monotonic() + int(millis) / 1000
    while (left := end - time.monotonic()) > 0:
        if int(number) % 4:
            time.sleep(left)
    return number.encode()


def absorb(path):
    """Creates the file, sleeps, and returns the path although it is cancelled."""
    try:
        open(path, "x").close()
        time.sleep(1000)
    except BaseException as error:
        kept.append(repr(error))
    return path.encode()


def drip(_):
    """Yields once and then sleeps. Remembers that it was closed."""
    try:
        yield b"a drop"
        time.sleep(1000)
    finally:
        kept.append("closed")


def deaf(path):
    """Ignores the signal that cancels, creates the file, and sleeps."""
    signal.signal(signal.SIGURG, signal.SIG_IGN)
    open(path, "x").close()
    time.sleep(1000)


def compute(path):
    """Loops in C, which creates the file first, and never returns to the interpreter."""
    collections.deque(itertools.chain(map(os.mknod, [path]), itertools.repeat(0)), maxlen=0)


def fail_later(words):
    yield b"a part"
    raise LookupError(words)


def forget(_):
    kept.clear()
    return b""


def is_urgent_handled(_):
    return str(callable(signal.getsignal(signal.SIGURG))).encode()


def recall(_):
    """The words that were remembered so far."""
    return " ".join(kept).encode()


kept = []
sick = False


def remember(word):
    """The words that were remembered so far, including this one."""
    kept.append(word)
    return " ".join(kept).encode()


def hoard(mib):
    """Allocates this much memory, in MiB, and keeps it."""
    hoards.append(b"x" * (int(mib) << 20))
    return b"hoarded"


def hoard_below(mib):
    """As `hoard`, in a grandchild of the worker, which one of its threads started and waits for."""
    return _hoard_in_a_subprocess(mib, start_new_session=False)


def hoard_elsewhere(mib):
    """As `hoard_below`, in its own session and group. Exits when the worker closes the pipe."""
    return _hoard_in_a_subprocess(mib, start_new_session=True)


hoards = []


def _hoard_in_a_subprocess(mib, start_new_session):
    script = (
        "import sys; hoard = b'x' * (int(sys.argv[1]) << 20); "
        "print('hoarded', flush=True); sys.stdin.read()"
    )
    # `exit` follows, so that the shell does not replace itself with the subprocess.
    command = ["sh", "-c", f'{sys.executable} -c "$0" "$1"; exit', script, mib]
    said = queue.Queue()

    def start():
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen(command, start_new_session=start_new_session, **pipes) as process:
            said.put(process.stdout.readline().strip())
            process.wait()

    threading.Thread(target=start, daemon=True).start()
    return said.get()


def sicken(_):
    global sick
    sick = True
    return b"sick"


def health():
    if sick:
        raise RuntimeError("unhealthy")


def immortal(_):
    """From now on only SIGKILL ends this process: it ignores the end of its input and SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os._exit = lambda _: time.sleep(1000)
    atexit.register(time.sleep, 1000)
    return b"immortal"
