"""Functions that a worker had better not have. Each takes and returns bytes."""

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
    """Answers with the words, after a moment."""
    time.sleep(0.002)
    return words.encode()


def run(body):
    """Does what the request says."""
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
    """Leaves a process behind that holds this worker's stdout and stderr; answers with its id."""
    return str(subprocess.Popen(["sleep", "1000"]).pid).encode()


def wait_for_subprocess(_):
    subprocess.run(["sleep", "1000"], check=True)


def hold_the_interpreter(_):
    """A loop in C that lets no other thread of this interpreter run."""
    return str(sum(range(10**15))).encode()


def exit_with_grandchild(path):
    """As `grandchild`, with the id written to a file; and the worker is gone before it answers."""
    child = subprocess.Popen(["sleep", "1000"])
    with open(path, "w") as file:
        file.write(str(child.pid))
    os._exit(4)


def daemon(_):
    """Leaves an orphan behind in a session of its own, that holds nothing of this worker; answers with its id."""
    return _daemon(environment=None)


def nameless_daemon(_):
    """As `daemon`, with nothing in its environment."""
    return _daemon(environment={})


def _daemon(environment):
    script = "import subprocess, sys; null = subprocess.DEVNULL; print(subprocess.Popen(sys.argv[1:], stdin=null, stdout=null, stderr=null).pid)"
    sleep = [shutil.which("sleep"), "1000"]
    command = [sys.executable, "-c", script, *sleep]
    return subprocess.run(command, env=environment, start_new_session=True, stdout=subprocess.PIPE, check=True).stdout.strip()


def forked_daemon(_):
    """As `daemon`, by two forks of this process and no other program."""
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
    """What each open descriptor is, one on a line."""
    targets = []
    for name in os.listdir("/proc/self/fd"):
        try:
            targets.append(os.readlink(f"/proc/self/fd/{name}"))
        except FileNotFoundError:
            pass  # It was the listing's own.
    return "\n".join(targets).encode()


def many(size):
    return b"m" * int(size)


def text(_):
    return "not bytes"


def at_exit(path):
    """Leaves a file behind when this process exits, which takes its time."""

    def leave():
        time.sleep(1.5)
        open(path, "w").close()

    atexit.register(leave)
    return b"registered"


def silence(_):
    """Closes the pipe that replies go out on, and lives on."""
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        with contextlib.suppress(OSError):
            writes = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY
            if fd > 2 and writes:
                os.close(fd)
    time.sleep(1000)


def fill(words):
    """Yields so many blocks of so many bytes, and keeps in mind how far it came and whether it was closed."""
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
    """As `fill`, with a generator that is not closed by being forgotten."""
    held.append(fill(words))
    return held[-1]


def ahead(words):
    """Yields so many blocks of so many bytes. How many have been asked for, it writes to the file that is named."""
    blocks, size, path = words.split()
    with open(path, "wb") as file:
        for number in range(int(blocks)):
            os.pwrite(file.fileno(), struct.pack(">Q", number + 1), 0)
            yield b"b" * int(size)


def dawdle(words):
    """Answers with the number after so many milliseconds, in steps, some of which are interrupted and some are not."""
    number, millis = words.split()
    end = time.monotonic() + int(millis) / 1000
    while (left := end - time.monotonic()) > 0:
        if int(number) % 4:
            time.sleep(left)
    return number.encode()


def absorb(words):
    """Answers with the words, although it is cancelled."""
    try:
        time.sleep(1000)
    except BaseException as error:
        kept.append(repr(error))
    return words.encode()


def drip(_):
    """Yields once and then takes for ever; keeps in mind that it was closed."""
    try:
        yield b"a drop"
        time.sleep(1000)
    finally:
        kept.append("closed")


def deaf(_):
    """Is not to be interrupted by the signal that cancels."""
    signal.signal(signal.SIGURG, signal.SIG_IGN)
    time.sleep(1000)


def compute(_):
    """Does not return to the interpreter."""
    collections.deque(itertools.repeat(0), maxlen=0)


def fail_later(words):
    yield b"a part"
    raise LookupError(words)


def forget(_):
    kept.clear()
    return b""


def is_urgent_handled(_):
    return str(callable(signal.getsignal(signal.SIGURG))).encode()


def recall(_):
    """What has been remembered so far."""
    return " ".join(kept).encode()


kept = []
sick = False


def remember(word):
    """What has been remembered so far, this word included."""
    kept.append(word)
    return " ".join(kept).encode()


def hoard(mib):
    """Holds that much memory from here on."""
    hoards.append(b"x" * (int(mib) << 20))
    return b"hoarded"


def hoard_below(mib):
    """As `hoard`, in a grandchild of the worker's, which a thread of it started and waits for."""
    return _hoard_in_a_subprocess(mib, start_new_session=False)


def hoard_elsewhere(mib):
    """As `hoard_below`, in a session, and so in a group, of its own. It ends with the worker's end of its pipe."""
    return _hoard_in_a_subprocess(mib, start_new_session=True)


hoards = []


def _hoard_in_a_subprocess(mib, start_new_session):
    script = "import sys; hoard = b'x' * (int(sys.argv[1]) << 20); print('hoarded', flush=True); sys.stdin.read()"
    # The shell has more to do after it, so that it does not become the subprocess itself.
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
        raise RuntimeError("not well")


def immortal(_):
    """From here on, only a kill ends this process: not its end of input, and not SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os._exit = lambda _: time.sleep(1000)
    atexit.register(time.sleep, 1000)
    return b"immortal"
