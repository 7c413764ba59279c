"""The worker runtime for Python: runs one function for one host, one call at a time.

The host writes frames to this process's stdin and reads frames from its stdout. A frame is

    u32 big-endian   length of what follows (5 + body)
    u8               kind
    u32 big-endian   request id
    ...              body

    host to worker   1 hello      id 0; body: protocol version, frame limit and flags, each u32.
                                  Flag 1: the host may send cancels. Flag 2: it may send batches
                                  if ready has the flag, too. Flag 4: the place of shared memory
                                  follows, which the worker uses if ready has the flag, too. The
                                  flags may be missing, and more bytes may follow, which the worker
                                  ignores
                     2 call       body: the request
                     3 shutdown   id 0, no body
                     4 ping       an id like a call's, no body: a health check, never during a call
                     5 stream     an id like a call's; body: a request that may get a reply in parts
                     6 cancel     id of the current or last request, no body: the host no longer
                                  needs its result
                     7 batch      an id like a call's; body: the number of requests, the length of
                                  each, each number u32, and then the requests, one after another.
                                  Answered by a reply or an error for each, in order, all with its
                                  id
                     8 shared     a call whose request is in shared memory; body: offset and length,
                       call       each u64
    worker to host   128 ready    id 0; body: protocol version and flags, each u32. No flags if the
                                  host has not set flag 2. Answers hello, after setup() has run
                     129 reply    the call's id; body: the result. Or the stream's id, no body: the
                                  stream has ended
                     130 error    the request's id, or 0 if the start failed; body: the exception's
                                  type, message and traceback, each a u32 length and UTF-8
                     131 pong     the ping's id, no body: the worker is healthy
                     132 part     the stream's id; body: a part of the result
                     133 shared   the call's id; body: where the result is in shared memory, as offset
                         reply    and length, each u64

A ping is answered by a pong, after the function health() of the user's module has run, if there is
one. If it raises, the answer is an error with the ping's id, and the worker keeps serving. Its
result does not matter.

If the function returns an iterator (such as a generator) for a stream, each item is a part and is
sent at once. When the host does not read, the write blocks, and the iterator with it. However the
stream ends, the iterator is closed if it has a close(), so the `finally` blocks of a generator run.
Any other result is the only part. An asynchronous generator is not an iterator.

The requests of a batch run like calls, one after another. The answers are written together, but the
host waits 10 ms for an answer at most, beside the time that the next request takes.

If the host offers shared memory, requests are memoryviews. A large one is a view of that memory. As
long as the function keeps it, or something made from it, the host uses the pipe, so what is kept
does not change.

A cancel raises `Cancelled` in the running function, and closes a generator. The request then ends as
usual: with an error, or with a reply if the function caught the exception. A cancel that comes too
late is ignored.

`Cancelled` is raised again if it was lost: if the function still runs 200 ms after it left the last
handler of the exception. A handler is an `except` or `finally` block or an `__exit__` that runs
because of the exception, with all that it calls. No handler is interrupted, however long it takes,
nor while it is suspended in a coroutine or generator. So a function that ends its work in the
handler and returns is interrupted once. An exception that an asyncio task, a callback or a
`__del__` swallowed is raised again and again until the function ends.

A process that the function forks has no access to the frames, and ends when it leaves the function.

Needs only the standard library of Python 3.9 or later.
"""

import contextlib
import enum
import fcntl
import functools
import gc
import importlib
import io
import json
import math
import os
import select
import signal
import stat
import struct
import sys
import threading
import time
import traceback
import types
import weakref
from itertools import accumulate, repeat

VERSION = 1
HELLO, CALL, SHUTDOWN, PING, STREAM, CANCEL, BATCH, SHARED_CALL = 1, 2, 3, 4, 5, 6, 7, 8
READY, REPLY, ERROR, PONG, PART, SHARED_REPLY = 128, 129, 130, 131, 132, 133
REQUESTS = (CALL, STREAM, PING, BATCH)
MAY_CANCEL, BATCHES, SHARED_MEMORY = 1, 2, 4
HEADER = struct.Struct(">IBI")
KIND_AND_ID = 5
# A longer body does not come at once, in bytes. It is read in place: what `os.read` returns is copied.
AT_ONCE = 1 << 16
# The longest hello that is accepted, in bytes. Longer than today's, so later hosts can add fields.
MAX_HELLO = 1024
# What `next` returns at the end of an iterator.
END = object()
# Private descriptors get numbers from here on, above those of other files.
PRIVATE = 200

# What ends the worker when the function raises it. Every other exception is an answer.
ENDINGS = (KeyboardInterrupt, SystemExit)

# How often the watcher checks that the parent is still the process that started this one, in
# seconds.
PARENT_POLL = 1.0
# How often it checks for a cancel, if the host may send cancels, in seconds.
CANCEL_POLL = 0.05
# How long after it left the last handler of `Cancelled` a function is interrupted again, in seconds.
CANCEL_PAUSE = 0.2
# How long the answers to a batch are held back, in seconds, and how large they grow meanwhile, in
# bytes.
BATCH_PAUSE = 0.01
BATCH_BUFFER = 1 << 16
# The smallest result that is sent in shared memory, in bytes.
LEAST_SHARED = 1 << 16
# How long an idle worker may take to exit by itself once its host is gone, in seconds.
EXIT_GRACE = 1.0


def take_descriptors():
    """Closes what this process has inherited besides 0, 1 and 2, and leaves other code no copy of 0 and 1.

    Other descriptors that the start of the interpreter has opened (`sitecustomize`, `.pth` files,
    agents) stay open. Python opens its own close-on-exec, so they are not inherited. A descriptor
    that is not close-on-exec was inherited if the parent has the same file open under the same
    number, and was opened by C code of this process if not.

    No number becomes free that code of this process may go on writing to.
    """
    parent = os.getppid()
    try:
        descriptors = [int(name) for name in os.listdir("/dev/fd")]
    except OSError:
        # There is no /proc.
        descriptors = range(1024)
    for fd in descriptors:
        # Some numbers are not open, such as that of the listing.
        with contextlib.suppress(OSError):
            if fd <= 2:
                continue
            inheritable = os.get_inheritable(fd)
            if is_copy(fd, 0):
                replace(fd, os.open(os.devnull, os.O_RDONLY), inheritable)
            elif is_copy(fd, 1):
                replace(fd, os.dup(2), inheritable)
            elif inheritable:
                inherited = is_same_file(fd, parent)
                if inherited is None:
                    replace(fd, os.open(os.devnull, os.O_RDWR), False)
                elif inherited:
                    os.close(fd)


def replace(fd, by, inheritable):
    os.dup2(by, fd, inheritable)
    os.close(by)


def is_copy(fd, standard):
    """Whether a descriptor is the same pipe or socket as 0 or 1."""
    of_standard = os.fstat(standard)
    is_pipe = stat.S_ISFIFO(of_standard.st_mode) or stat.S_ISSOCK(of_standard.st_mode)
    return is_pipe and os.path.samestat(os.fstat(fd), of_standard)


def is_same_file(fd, process):
    """Whether another process has the same open file under this number. None if /proc cannot tell."""

    def opened(process):
        file = os.stat(f"/proc/{process}/fd/{fd}")
        if stat.S_ISFIFO(file.st_mode) or stat.S_ISSOCK(file.st_mode):
            return file.st_dev, file.st_ino
        # Each process may have opened it for itself, at another position or with other flags.
        with open(f"/proc/{process}/fdinfo/{fd}") as info:
            return file.st_dev, file.st_ino, info.read()

    try:
        return opened("self") == opened(process)
    except FileNotFoundError:
        return False if os.path.exists(f"/proc/{process}/fd") else None
    except OSError:
        return None


def private(fd):
    """Duplicates a descriptor for this file's code only. Subprocesses do not inherit it.

    Code that writes to a number after it has closed it hits the lowest free number, not this one.
    """
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, PRIVATE)
    except OSError:
        # The limit of open files is lower.
        return os.dup(fd)


def redirect_standard_streams():
    """From here on, 0 is empty and 1 is stderr.

    No print, no printf in a C extension and no subprocess can write into what 1 was.
    """
    replace(0, os.open(os.devnull, os.O_RDONLY), True)
    os.dup2(2, 1)


class Channel:
    """Reads and writes frames, on descriptors that no other code in this process knows."""

    def __init__(self):
        self.input = private(0)
        self.output = private(1)
        redirect_standard_streams()
        self.max_frame = MAX_HELLO

    def read(self):
        """Returns the next frame as (kind, id, body), or None if the host has closed its end."""
        header = os.read(self.input, HEADER.size)
        if len(header) < HEADER.size and (header := self._read_rest(header, HEADER.size)) is None:
            return None
        length, kind, request = HEADER.unpack(header)
        if not KIND_AND_ID <= length <= self.max_frame:
            fail(f"the host sent a frame of {length} bytes, allowed are {KIND_AND_ID} to {self.max_frame}")
        size = length - KIND_AND_ID
        body = os.read(self.input, size) if 0 < size <= AT_ONCE else b""
        if len(body) < size and (body := self._read_rest(body, size)) is None:
            return None
        return kind, request, body

    def close(self):
        """Call this in a process forked from this one, whose frames are not its own."""
        if self.output is not None:
            os.close(self.input)
            os.close(self.output)
            self.input = self.output = None

    def write(self, kind, request, body):
        self.send(HEADER.pack(KIND_AND_ID + len(body), kind, request) + body)

    def send(self, frames):
        if self.output is None:
            fail_as_copy()
        written = os.write(self.output, frames)
        while written < len(frames):
            written += os.write(self.output, memoryview(frames)[written:])

    def error_frame(self, request, error):
        """Returns the frame of the exception that is being handled.

        Its class is the user's: its name, `str` and traceback may raise anything.
        """
        # The traceback begins with frames of this file, which do not help the user.
        own = sys.exc_info()[2]
        while own is not None and own.tb_frame.f_code.co_filename == __file__:
            own = own.tb_next
        kind = type(error)
        name = as_text(lambda: qualified_name(kind), "<the name of the exception failed>")
        message = as_text(lambda: str(error), "<str() of the exception failed>")
        trace = as_text(
            lambda: "".join(traceback.format_exception(kind, error, own)),
            "<the traceback of the exception failed>",
        )
        # All are cut to fit: the type to half of the room, so that some of the message is left.
        room = self.max_frame - KIND_AND_ID - 12
        name = cut(name, room // 2)
        message = cut(message, room - len(name))
        trace = cut(trace, room - len(name) - len(message))
        body = b"".join(struct.pack(">I", len(text)) + text for text in (name, message, trace))
        return HEADER.pack(KIND_AND_ID + len(body), ERROR, request) + body

    def _read_rest(self, data, count):
        """Returns `count` bytes, which begin with `data`, or None at the end of the input."""
        # Without a buffer, this reads into the bytes that it returns, and no more than those.
        whole = data + io.BufferedReader(io.FileIO(self.input, closefd=False), 1).read(count - len(data))
        return whole if len(whole) == count else None


class SharedMemory:
    """The memory that this process shares with the host, for large requests and results.

    It is an area for requests, one of the same size for results, and a word that says whether the
    first area is in use: while the function keeps a view of a request that it has answered.
    """

    def __init__(self, process, descriptor, inode, area):
        import mmap

        self.area = area
        file = os.open(f"/proc/{process}/fd/{descriptor}", os.O_RDWR | os.O_CLOEXEC)
        try:
            opened = os.fstat(file)
            # The process may have this id in another namespace only.
            if opened.st_ino != inode or not stat.S_ISREG(opened.st_mode):
                raise OSError(f"descriptor {descriptor} of process {process} is another file")
            self.requests = mmap.mmap(file, area, prot=mmap.PROT_READ)
            self.results = mmap.mmap(file, area + mmap.ALLOCATIONGRANULARITY, offset=area)
            # A process that the function forks has no results.
            self.results.madvise(mmap.MADV_DONTFORK)
            # The two keep a duplicate each. Code that writes to a wrong number must not hit it.
            for number in map(int, os.listdir("/dev/fd")):
                with contextlib.suppress(OSError):
                    if number != file and os.path.samestat(os.fstat(number), opened):
                        replace(number, os.open(os.devnull, os.O_RDWR), False)
        finally:
            os.close(file)
        self.in_use = False
        # Each view of the requests holds a reference, whatever holds the view.
        self.references = sys.getrefcount(self.requests)

    def request(self, body):
        offset, length = struct.unpack(">QQ", body)
        return memoryview(self.requests)[offset : offset + length]

    def place(self, result, request):
        """Returns the kind and the body of the frame that answers a call.

        `request` is the body of the call's frame if its request is in this memory, else None.
        """
        length = len(result)
        if not LEAST_SHARED <= length <= self.area:
            # A view may be of the request.
            return REPLY, bytes(result)
        place = struct.pack(">QQ", self.area, length)
        if request and type(result) is memoryview and result.obj is self.requests and request[8:] == place[8:]:
            # It is the request.
            return SHARED_REPLY, request
        self.results[:length] = result
        return SHARED_REPLY, place

    def settle(self):
        """Call this before each answer, when only the function's own code may hold its request."""
        in_use = sys.getrefcount(self.requests) > self.references
        if in_use != self.in_use:
            self.in_use = in_use
            self.results[self.area] = in_use


def open_shared_memory(hello):
    """Returns the memory that the host offers, or None if this process cannot use it."""
    try:
        return SharedMemory(*struct.unpack_from(">IIQQ", hello, 12))
    except Exception as error:
        say(f"ostler worker: no shared memory, all frames use the pipe: {error}\n".encode())
        return None


def qualified_name(kind):
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def as_text(make, instead):
    """The text that `make` returns, as UTF-8. If it raises, `instead`."""
    try:
        return str.encode(make(), "utf-8", "backslashreplace")
    except ENDINGS:
        raise
    except BaseException:
        return instead.encode()


def cut(text, most):
    """The first `most` bytes of a text in UTF-8, without the part of a character at their end."""
    if len(text) > most:
        while most > 0 and text[most] & 0xC0 == 0x80:
            most -= 1
    return text[:most]


class Host:
    """The process that started this one, or the zygote of this one."""

    def __init__(self):
        self.parent = self.pid = os.getppid()
        self.started = self.start_time()

    def forked(self):
        """Call this in a process forked after `Host()` was called."""
        self.parent = os.getppid()

    def is_alive(self):
        # A zygote ends when its host does. A forked worker may outlive the zygote, but not the host.
        return os.getppid() == self.parent or (self.parent != self.pid and self.start_time() == self.started)

    def start_time(self):
        """Tells the host from a later process with its id. None if it has ended or cannot be read."""
        try:
            with open(f"/proc/{self.pid}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            return None
        return None if fields[0] in b"ZX" else fields[19]


class Watcher(threading.Thread):
    """Ends this process when its host is gone.

    Code that runs inside `with watcher` is not notified: the process exits at once. With a
    `cancellation`, this thread also checks for cancels.
    """

    def __init__(self, channel, host):
        super().__init__(name="ostler-watcher", daemon=True)
        self.channel = channel
        self.host = host
        self.busy = False
        # Whether the host has sent a shutdown: it then ends this process itself, while it lives.
        self.dismissed = False
        self.cancellation = None
        self.pause = CANCEL_POLL

    def __enter__(self):
        self.busy = True

    def __exit__(self, kind, error, trace):
        self.left(error)

    def left(self, error):
        """The user's code has returned, or raised this error."""
        if self.channel.output is None:
            # A copy of this process that the function has forked. It may exit as it likes.
            if not issubclass(type(error), ENDINGS):
                fail_as_copy(error)
            return
        self.busy = False
        if self.cancellation:
            self.cancellation.end()

    def run(self):
        poll = select.poll()
        # No event is requested: a hang-up is reported anyway, and a frame does not wake this
        # thread.
        poll.register(self.channel.input, 0)
        while not poll.poll(self.pause * 1000) and self.host.is_alive():
            if self.cancellation:
                self.cancellation.check()
        if not self.busy:
            # The main thread reads the end of the input too, and runs the exit handlers.
            time.sleep(EXIT_GRACE)
        while self.dismissed and self.host.is_alive():
            time.sleep(PARENT_POLL)
        os._exit(1)


# The deepest nesting of handlers that is looked through: of those that run, and of suspended ones,
# where each level takes a search of all objects.
MAX_NESTED = 100
MAX_HELD = 3
SUSPENDABLE = (types.CoroutineType, types.GeneratorType, types.AsyncGeneratorType)


class Cancelled(BaseException):
    """The host has cancelled the request.

    Not an Exception, so `except Exception` does not catch it.
    """

    # Errors show the bare name, because there is no module to import it from.
    __module__ = "builtins"

    def __init__(self):
        super().__init__("the host no longer needs the result")


class Cancellation:
    """Interrupts the main thread when the host cancels its request.

    The watcher's thread reads the cancel and sends a signal to the main thread, whose handler
    raises `Cancelled`. Two rules keep the threads apart:

    - The watcher's thread reads from the channel only under the lock, and only while a request is
      `running`. The main thread clears `running` under the lock before it answers and reads on, so
      the watcher's thread never reads the next request.
    - The handler raises only while it is `armed`. It is armed only inside a `guard`, so only callers
      of a guarded function must expect `Cancelled`. If it raises just before the guard disarms it,
      it stays armed, but raises no more: the exception is on its way to `serve`, which handles it.
    """

    def __init__(self, channel):
        self.channel = channel
        self.lock = threading.Lock()
        self.running = None
        # The running request, once it is cancelled.
        self.cancelled = None
        self.armed = False
        # A weak reference to the last `Cancelled` of the running request. If nothing holds the
        # exception any more, nothing handles it.
        self.raised = None
        # When to raise the next one, at the earliest.
        self.due = 0.0
        # The request that was running at the last check.
        self.seen = None
        self.input = select.poll()
        self.input.register(channel.input, select.POLLIN)
        self.main = threading.get_ident()
        # SIGURG is ignored by default, and unlikely to be used by other code.
        signal.signal(signal.SIGURG, self.interrupt)

    def end(self):
        with self.lock:
            self.running = self.cancelled = self.raised = None
            self.armed = False
            self.due = 0.0

    def guard(self, function):
        def guarded(*arguments):
            try:
                self.armed = True
                if self.cancelled is not None:
                    self.throw()
                return function(*arguments)
            finally:
                self.armed = False

        return guarded

    def throw(self):
        error = Cancelled()
        self.raised = weakref.ref(error)
        self.due = time.monotonic() + CANCEL_PAUSE
        try:
            raise error
        finally:
            # Its traceback keeps this frame. The frame must not keep it in turn, or it would live
            # on, with the variables of the user's frames, after it was handled.
            del error

    def interrupt(self, *_):
        """The handler of the signal. Runs in the main thread, between two steps of its code."""
        if self.armed and self.cancelled is not None and time.monotonic() >= self.due:
            # Another signal may interrupt this function.
            self.due = math.inf
            if not self.is_handled():
                self.throw()
            self.due = time.monotonic() + CANCEL_PAUSE

    def is_handled(self):
        """Whether the function is handling the last `Cancelled`."""
        error = self.raised and self.raised()
        if error is None:
            return False
        # What the interrupted code handles, then what was being handled when that was raised.
        handled = sys.exc_info()[1]
        for _ in range(MAX_NESTED):
            if handled is error:
                return True
            if handled is None:
                break
            handled = handled.__context__
        return is_held(error)

    def check(self):
        with self.lock:
            # A request that is new since the last check is skipped: most calls end before a cancel.
            before, self.seen = self.seen, self.running
            if self.running is None or self.running != before:
                return
            if self.cancelled is None and self.input.poll(0):
                frame = self.channel.read()
                if frame is None:
                    return
                kind, request, _ = frame
                if kind != CANCEL:
                    fail(f"the host sent a frame of kind {kind} during request {self.running}")
                if request == self.running:
                    self.cancelled = request
            if self.cancelled is not None and self.armed and time.monotonic() >= self.due:
                # Repeated at each check until it is raised: a signal that arrives just before a
                # system call does not interrupt the call.
                signal.pthread_kill(self.main, signal.SIGURG)


def is_held(error):
    """Whether a suspended coroutine or generator holds the exception, or one raised meanwhile.

    What else may hold it, such as a task or a list, does not handle it.
    """
    held = [error]
    for _ in range(MAX_HELD):
        holders = gc.get_referrers(*held)
        if any(isinstance(holder, SUSPENDABLE) for holder in holders):
            return True
        held = [holder for holder in holders if isinstance(holder, BaseException)]
        if not held:
            break
    return False


def fail(problem):
    say(f"ostler worker: {problem}\n".encode())
    os._exit(2)


def fail_as_copy(error=None):
    """Ends a process that the function has forked, and that has left the function."""
    if error is not None:
        say(as_text(lambda: "".join(traceback.format_exception(type(error), error, error.__traceback__)), ""))
    fail("a process that the function had forked left the function: end it with os._exit()")


def say(text):
    """Writes to the descriptor of stderr, whatever `sys.stderr` is."""
    with contextlib.suppress(OSError):
        os.write(2, text)


def load(target):
    """Imports `module:function` and runs the module's setup().

    Returns the function and the health check.
    """
    module_name, _, path = target.partition(":")
    module = importlib.import_module(module_name)
    function = module
    for name in path.split("."):
        function = getattr(function, name)
    setup = getattr(module, "setup", None)
    if callable(setup):
        setup()
    health = getattr(module, "health", None)
    # The function of the calls takes an argument, so it is not a health check, even if it is named
    # health.
    return function, health if callable(health) and health is not function else healthy


def healthy():
    pass


def unguarded(function):
    return function


def as_bytes(result):
    if type(result) is bytes:
        return result
    if not isinstance(result, (bytes, bytearray, memoryview)):
        raise TypeError(f"the function returned {type(result).__qualname__}: it must return bytes")
    return bytes(result)


def as_view(result):
    """As `as_bytes`, without a copy."""
    if type(result) is bytes or not isinstance(result, (bytes, bytearray, memoryview)):
        return as_bytes(result)
    view = memoryview(result)
    return view.cast("B") if view.c_contiguous and view.nbytes else view.tobytes()


# The options that name the form of requests and results. Without one, they are bytes.
FORMS = JSON, STDLIB_JSON = "--json", "--stdlib-json"


def shared_codec(read, write):
    """As the codec, for a host that offers shared memory, where requests may be views.

    Returns a third function: it writes the result of a call.
    """
    if read is bytes:
        return memoryview, as_bytes, as_view
    return lambda body: read(bytes(body)), write, write


def codec(form):
    """Returns two functions: one reads a request, the other writes a result."""
    if form is None:
        return bytes, as_bytes
    standard = stdlib_codec()
    if form == JSON:
        # What is installed under this name may be older, or broken.
        with contextlib.suppress(Exception):
            return orjson_codec(importlib.import_module("orjson"), *standard)
    return standard


def stdlib_codec():
    decode = json.JSONDecoder().decode
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=as_plain).encode

    def read(body):
        try:
            return decode(str(body, "utf-8"))
        except ValueError:
            pass
        # It is no JSON, or contains half a surrogate pair, or begins with a byte order mark.
        return json.loads(body)

    def write(result):
        return encode(result).encode("utf-8", "surrogatepass")

    return read, write


def as_plain(value):
    """What `json` does not write, and `orjson` does."""
    if isinstance(value, enum.Enum):
        return value.value
    if "uuid" in sys.modules and isinstance(value, sys.modules["uuid"].UUID):
        return str(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


# Shows each digit as 0.
ZEROS = bytes.maketrans(b"123456789", b"000000000")
# No number with fewer digits exceeds 64 bits.
MANY_DIGITS = b"0" * 19


def orjson_codec(orjson, read_standard, write_standard):
    """As `stdlib_codec`, several times faster. The values are the same.

    Where orjson may do something else, the standard codec does the work: orjson reads integers of
    more than 64 bits as floats, writes NaN as null, and refuses much of what `json` accepts.
    """
    loads, dumps = orjson.loads, orjson.dumps
    option = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS

    def read(body):
        if MANY_DIGITS not in body.translate(ZEROS):
            try:
                return loads(body)
            except ValueError:
                pass
        return read_standard(body)

    def write(result):
        try:
            packed = dumps(result, None, option)
            # NaN is not equal to what was written for it.
            if b"null" not in packed or loads(packed) == result:
                return packed
        except Exception:
            pass
        return write_standard(result)

    return read, write


def answers(function, read, write, write_call, most, guard, longest):
    """Returns three functions of a request's body, which answer a call, a stream and a batch.

    `read` and `write` are a codec, and `write_call` writes the result of a call. `most` is the
    largest body of a reply or part, in bytes. `longest` is None, or the longest list of requests
    that the function takes.
    """
    if longest:
        of_list = checked(function)

        def function(value):
            return unwrap(*of_list([value]))

    def pack(result, write=write):
        try:
            packed = write(result)
        except TypeError:
            if hasattr(result, "__next__"):
                raise TypeError(f"the function returned a {type(result).__qualname__}: use a stream") from None
            raise
        if len(packed) > most:
            raise ValueError(f"the reply has {len(packed)} bytes, at most {most} are allowed")
        return packed

    def call(body):
        return pack(function(read(body)), write_call)

    def one_of_many(body):
        return pack(function(read(body)))

    begin, advance = guard(lambda body: function(read(body))), guard(next)

    def stream(body, send):
        result = begin(body)
        if not hasattr(result, "__next__"):
            result = iter((result,))
        try:
            while (item := advance(result, END)) is not END:
                packed = write(item)
                if len(packed) > most:
                    raise ValueError(f"the part has {len(packed)} bytes, at most {most} are allowed")
                send(packed)
        finally:
            close = getattr(result, "close", None)
            if callable(close):
                close()

    if longest:
        each = guard(lambda outcome: pack(unwrap(outcome)))
        requests = functools.partial(outcomes, guard(of_list), guard(read), longest)
    else:
        # What reads and writes bytes may be left out.
        each = guard(function if read is bytes else one_of_many)
        requests = iter
    return guard(call), stream, functools.partial(answer_batch, requests, each, pack, most)


def checked(function):
    """Wraps a function of a list: checks its results, and marks those that are exceptions."""

    def of_list(values):
        results = function(values)
        if not isinstance(results, (list, tuple)):
            raise TypeError(f"the function returned a {type(results).__qualname__}: it must return a list")
        if len(results) != len(values):
            raise ValueError(f"the function returned {len(results)} results for {len(values)} requests")
        return [Raised(result) if isinstance(result, Exception) else result for result in results]

    return of_list


class Raised:
    """An exception that stands for a result."""

    def __init__(self, error):
        self.error = error
        # It is raised for each request, and each time its traceback gets longer.
        self.trace = error.__traceback__


def unwrap(outcome):
    """Returns a result, or raises what stands for one."""
    if isinstance(outcome, Raised):
        raise outcome.error.with_traceback(outcome.trace)
    return outcome


def outcomes(of_list, read, longest, bodies):
    """Yields an outcome for each request. Runs the function for lists of up to `longest` requests."""

    def attempt(function, argument):
        try:
            return function(argument)
        except BaseException as error:
            return Raised(error)

    for start in range(0, len(bodies), longest):
        values = [attempt(read, body) for body in bodies[start : start + longest]]
        readable = [value for value in values if not isinstance(value, Raised)]
        results = attempt(of_list, readable) if readable else ()
        results = repeat(results) if isinstance(results, Raised) else iter(results)
        for value in values:
            yield value if isinstance(value, Raised) else next(results)


class Heads(dict):
    """The heads of a request's replies, by the length of the reply."""

    def __init__(self, request):
        super().__init__()
        self.request = request

    def __missing__(self, length):
        head = self[length] = HEADER.pack(KIND_AND_ID + length, REPLY, self.request)
        return head


def answer_batch(requests, each, pack, most, channel, watcher, request, body):
    """Runs the requests of a batch one after another, and sends answers as often as it must.

    Returns the last ones. They are sent when the batch is over, because the host may then send the
    next request. `requests` iterates over what is made of the requests' bodies. `each` answers one,
    and `pack` makes bytes of what it returns if it is something else, or too long.
    """
    (count,) = struct.unpack_from(">I", body)
    places = list(accumulate(struct.unpack_from(f">{count}I", body, 4), initial=4 + 4 * count))
    requests = requests([body[start:end] for start, end in zip(places, places[1:])])
    # This loop is most of the cost of a short request, so it makes few calls.
    heads, answers, size, now = Heads(request), [], 0, time.monotonic
    add, due = answers.append, now() + BATCH_PAUSE
    for place, item in enumerate(requests):
        if size > BATCH_BUFFER or now() > due:
            channel.send(b"".join(answers))
            answers.clear()
            size, due = 0, now() + BATCH_PAUSE
        try:
            reply = each(item)
            if type(reply) is not bytes or len(reply) > most:
                reply = pack(reply)
            if channel.output is None:
                fail_as_copy()
        except ENDINGS:
            if channel.output is not None:
                channel.send(b"".join(answers))
            raise
        except BaseException as error:
            cancelled = watcher.cancellation and watcher.cancellation.cancelled is not None
            if cancelled or channel.output is None:
                # From here on, no signal interrupts this function.
                watcher.left(error)
            frame = channel.error_frame(request, error)
            add(frame)
            size += len(frame)
            if cancelled:
                # None of the others is wanted either.
                answers += [frame] * (count - place - 1)
                break
        else:
            length = len(reply)
            add(heads[length])
            add(reply)
            size += length
    return b"".join(answers)


def serve(channel, watcher, shared, call, stream, batch, health):
    """Answers requests until the host sends a shutdown or closes its end."""
    cancellation = watcher.cancellation
    while (frame := channel.read()) is not None:
        kind, request, body = frame
        if kind not in REQUESTS and not (shared and kind == SHARED_CALL):
            if kind == SHUTDOWN:
                watcher.dismissed = True
                return
            if kind == CANCEL:
                # For a request that was answered already.
                continue
            fail(f"the host sent a frame of kind {kind} instead of a call, a stream or a ping")
        if cancellation:
            cancellation.running = request
        answer, result = REPLY, b""
        # What follows is `with watcher` without its two calls.
        watcher.busy = True
        try:
            if kind == CALL:
                result = call(body)
            elif kind == BATCH:
                result = batch(channel, watcher, request, body)
            elif kind == SHARED_CALL:
                result = call(shared.request(body))
            elif kind == STREAM:
                stream(body, functools.partial(channel.write, PART, request))
            else:
                health()
                answer = PONG
        except ENDINGS as error:
            watcher.left(error)
            raise
        except BaseException as error:
            watcher.left(error)
            result = channel.error_frame(request, error)
            answer = ERROR
        else:
            if cancellation:
                watcher.left(None)
            watcher.busy = False
        # A forked copy has no results.
        if shared and channel.output is not None:
            if answer == REPLY and kind in (CALL, SHARED_CALL):
                answer, result = shared.place(result, body if kind == SHARED_CALL else None)
            shared.settle()
        if kind == BATCH or answer == ERROR:
            channel.send(result)
        else:
            channel.write(answer, request, result)


def main(target, *options):
    take_descriptors()
    sys.path[:0] = values_of("--path=", options)
    form = next((option for option in options if option in FORMS), None)
    longest = next(map(int, values_of("--batch=", options)), None)
    if "--zygote" not in options:
        return work(target, form, longest, Host(), None)
    zygote = Zygote()  # See zygote.py.
    loaded = zygote.load(target)
    # Imports for all workers what each of them needs.
    codec(form)
    return work(target, form, longest, zygote.host, loaded) if zygote.serve() else 0


def values_of(name, options):
    return [option[len(name) :] for option in options if option.startswith(name)]


def work(target, form, longest, host, loaded):
    """Runs a worker: the handshake, then serve(). Returns the exit code."""
    channel = Channel()
    # A copy that read or wrote frames would take them from this process.
    os.register_at_fork(after_in_child=channel.close)
    watcher = Watcher(channel, host)
    watcher.start()
    hello = channel.read()
    if hello is None:
        return 0
    kind, _, body = hello
    if kind != HELLO or len(body) < 8:
        fail("the first frame of the host is not a hello")
    version, channel.max_frame, flags = struct.unpack_from(">III", body + bytes(4))
    if version != VERSION:
        fail(f"the host speaks version {version} of the protocol, this worker version {VERSION}")
    guard = unguarded
    if flags & MAY_CANCEL:
        watcher.cancellation = Cancellation(channel)
        guard = watcher.cancellation.guard
    else:
        watcher.pause = PARENT_POLL
    shared, accepted = None, flags & BATCHES
    if flags & SHARED_MEMORY:
        shared = open_shared_memory(body)
        accepted |= SHARED_MEMORY if shared else 0
    try:
        with watcher:
            function, health = loaded or load(target)
            read, write = codec(form)
        write_call = write
        if flags & SHARED_MEMORY:
            read, write, write_call = shared_codec(read, write)
        most = channel.max_frame - KIND_AND_ID
        call, stream, batch = answers(function, read, write, write_call, most, guard, longest)
    except ENDINGS:
        raise
    except BaseException as error:
        channel.send(channel.error_frame(0, error))
        return 1
    ready = struct.pack(">II", VERSION, accepted) if accepted else struct.pack(">I", VERSION)
    channel.write(READY, 0, ready)
    try:
        serve(channel, watcher, shared, call, stream, batch, guard(health))
    except BrokenPipeError:
        # The host closed its end during a reply, and does not need it.
        pass
    return 0
