"""The Python side of ostler: runs one function for one host, a call at a time.

The host writes frames to this process's stdin and reads frames from its stdout. A frame is

    u32 big-endian   length of what follows (5 + body)
    u8               kind
    u32 big-endian   request id
    ...              body

    host to worker   1 hello      id 0, body: protocol version, frame limit and flags, each u32. Flag 1: cancels may come.
                                  The flags may be missing, and there may be more, which is to be ignored
                     2 call       body: the request
                     3 shutdown   id 0, no body
                     4 ping       id as a call's, no body: is the worker well? Never while a call is under way
                     5 stream     id as a call's, body: the request, whose answer may come in parts
                     6 cancel     id of what is under way or was answered last, no body: its answer is no longer wanted
    worker to host   128 ready    id 0, body: protocol version; the answer to hello, after setup() has run
                     129 reply    the call's id, body: the result; or the stream's id, no body: it was the last part
                     130 error    the call's, stream's or ping's id, or 0 when the start failed; body: the exception's
                                  type, its message and the traceback, each a u32 length and UTF-8
                     131 pong     the ping's id, no body: the worker is well
                     132 part     the stream's id, body: a part of the result

A ping is answered by a pong, after the function health() of the user's module has run, if there is one. What that
raises is answered as an error with the ping's id, and the worker goes on serving. What it returns does not matter.

A stream is answered by the items of what the function returns, if that is an iterator (as a generator is): each is a
part, sent as soon as it is there. Where the host does not read, the write waits, and so does the generator. Whatever
ends the stream, the iterator is closed, if it can be, so that the `finally` blocks of a generator run. A result that is
no iterator is the one part. An asynchronous generator is no iterator.

A cancel raises `Cancelled` in the function that runs, once, and closes a generator. The exchange then ends as it would
have otherwise: with an error, or with a reply if the function caught that. A cancel that comes too late is ignored.

Needs nothing but the standard library of Python 3.9 or later.
"""

import contextlib
import fcntl
import functools
import importlib
import json
import os
import select
import signal
import socket
import struct
import sys
import threading
import time
import traceback

VERSION = 1
HELLO, CALL, SHUTDOWN, PING, STREAM, CANCEL = 1, 2, 3, 4, 5, 6
READY, REPLY, ERROR, PONG, PART = 128, 129, 130, 131, 132
REQUESTS = (CALL, STREAM, PING)
MAY_CANCEL = 1
HEADER = struct.Struct(">IBI")
KIND_AND_ID = 5
# The longest hello that is read, which is longer than those that are sent, so that more can be said in it one day.
MAX_HELLO = 1024
# What `next` is to return at the end of an iterator.
END = object()

# How often the watcher looks whether the parent is still the one that started this process, in seconds.
PARENT_POLL = 1.0
# How often it looks for a cancel of what runs, if any may come, in seconds.
CANCEL_POLL = 0.05
# How long an idle worker may take to leave by itself once its host is gone, in seconds.
LEAVE_GRACE = 1.0


class Channel:
    """The frames from and to the host, on descriptors that nothing else in this process knows."""

    def __init__(self):
        # Duplicates are not inherited by subprocesses. What user code finds under 0 and 1 from here on is an empty
        # input and the error output: a print, a printf in a C extension and a subprocess cannot reach the frames.
        self.input = os.dup(0)
        self.output = os.dup(1)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        os.dup2(2, 1)
        self.max_frame = MAX_HELLO

    def read(self):
        """The next frame as (kind, id, body), or None when the host has closed its end."""
        header = self._read_exactly(HEADER.size)
        if header is None:
            return None
        length, kind, request = HEADER.unpack(header)
        if not KIND_AND_ID <= length <= self.max_frame:
            fail(f"a frame of {length} bytes, where {KIND_AND_ID} to {self.max_frame} are allowed")
        body = self._read_exactly(length - KIND_AND_ID)
        return None if body is None else (kind, request, body)

    def write(self, kind, request, body):
        frame = memoryview(HEADER.pack(KIND_AND_ID + len(body), kind, request) + body)
        while frame:
            frame = frame[os.write(self.output, frame) :]

    def write_error(self, request, error):
        # The first frames of the traceback are this file's own.
        own = error.__traceback__
        while own is not None and own.tb_frame.f_code.co_filename == __file__:
            own = own.tb_next
        kind = type(error)
        name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        try:
            message = str(error)
        except Exception:
            message = "<its text cannot be printed>"
        trace = "".join(traceback.format_exception(kind, error, own))
        texts = [text.encode("utf-8", "backslashreplace") for text in (name, message, trace)]
        # Whatever the limit: the type as a whole, and of the others what there is room for.
        room = max(0, self.max_frame - KIND_AND_ID - 12 - len(texts[0]))
        texts[1] = texts[1][:room]
        texts[2] = texts[2][: room - len(texts[1])]
        self.write(ERROR, request, b"".join(struct.pack(">I", len(text)) + text for text in texts))

    def _read_exactly(self, count):
        data = os.read(self.input, count) if count else b""
        if len(data) == count:
            return data
        parts = bytearray(data)
        while data:
            data = os.read(self.input, min(count - len(parts), 1 << 20))
            parts += data
            if len(parts) == count:
                return bytes(parts)
        return None


class Watcher(threading.Thread):
    """Ends this process when its host is gone. Code that runs inside `with watcher` gets no notice. And has an eye on
    cancels, once there is a `cancellation`.
    """

    def __init__(self, descriptor, forked):
        super().__init__(name="ostler-watcher", daemon=True)
        self.descriptor = descriptor
        # Of a worker that was forked, the parent is the zygote, which it may outlive.
        self.forked = forked
        self.parent = os.getppid()
        self.busy = False
        # Whether the host has said that it is over: then it sees to the end itself, as long as it is there.
        self.dismissed = False
        self.cancellation = None
        self.pause = CANCEL_POLL

    def __enter__(self):
        self.busy = True

    def __exit__(self, *_):
        self.busy = False
        if self.cancellation:
            self.cancellation.end()

    def run(self):
        poll = select.poll()
        # No event is asked for: a hang-up is reported all the same, and a frame does not wake this thread.
        poll.register(self.descriptor, 0)
        while not poll.poll(self.pause * 1000) and (self.forked or os.getppid() == self.parent):
            if self.cancellation:
                self.cancellation.look()
        if not self.busy:
            # The main thread sees the end of the input too, and runs what was registered for the exit.
            time.sleep(LEAVE_GRACE)
        while self.dismissed and os.getppid() == self.parent:
            time.sleep(PARENT_POLL)
        os._exit(1)


class Cancelled(BaseException):
    """Nobody wants the result of what runs. No Exception, so that code which handles those does not swallow it."""

    # In errors it has its bare name. There is no module to import it from.
    __module__ = "builtins"

    def __init__(self):
        super().__init__("nobody wants the result any more")


class Cancellation:
    """Interrupts what the main thread runs when the host cancels it: the watcher's thread reads the cancel, and has a
    signal sent to the main thread, whose handler raises `Cancelled`.

    Two rules keep frames and exceptions from going astray. The watcher's thread reads only under the lock, and while a
    request is `running`; the main thread says under the lock that none is any more, and only then answers and reads. So
    the watcher never takes the next request. And the handler raises only while it is `armed`, which it ends by that. All of
    that time is spent inside a `guard`, so that whoever calls a guarded function, and nobody else, is to expect `Cancelled`.
    """

    def __init__(self, channel):
        self.channel = channel
        self.lock = threading.Lock()
        self.running = None
        # What is running, once it is cancelled.
        self.cancelled = None
        self.armed = False
        # What was running when the watcher's thread last looked.
        self.seen = None
        self.input = select.poll()
        self.input.register(channel.input, select.POLLIN)
        self.main = threading.get_ident()
        # By default this signal is ignored, and nothing else is likely to send it.
        signal.signal(signal.SIGURG, self.interrupt)

    def end(self):
        with self.lock:
            self.running = self.cancelled = None

    def guard(self, function):
        def guarded(*arguments):
            try:
                self.armed = True
                if self.cancelled is not None:
                    raise Cancelled
                return function(*arguments)
            finally:
                # Interrupted just before this, it is done already.
                self.armed = False

        return guarded

    def interrupt(self, *_):
        if self.armed and self.cancelled is not None:
            self.armed = False
            raise Cancelled

    def look(self):
        with self.lock:
            # What has only just begun is left alone: most calls are over before anybody could cancel them.
            before, self.seen = self.seen, self.running
            if self.running is None or self.running != before:
                return
            if self.cancelled is None and self.input.poll(0):
                frame = self.channel.read()
                if frame is None:
                    return
                kind, request, _ = frame
                if kind != CANCEL:
                    fail(f"a frame of kind {kind} while request {self.running} was under way")
                if request == self.running:
                    self.cancelled = request
            if self.cancelled is not None and self.armed:
                # Again and again until it is raised: a signal that comes just before a system call does not interrupt it.
                signal.pthread_kill(self.main, signal.SIGURG)


def fail(problem):
    print(f"ostler worker: {problem}", file=sys.stderr, flush=True)
    os._exit(2)


def load(target):
    """The function that `module:function` names, and what is to run at a ping, after its module's setup() has run."""
    module_name, _, path = target.partition(":")
    module = importlib.import_module(module_name)
    function = module
    for name in path.split("."):
        function = getattr(function, name)
    setup = getattr(module, "setup", None)
    if callable(setup):
        setup()
    health = getattr(module, "health", None)
    # The function of the calls takes an argument, so that it is no probe, whatever its name.
    return function, health if callable(health) and health is not function else healthy


def healthy():
    pass


def unguarded(function):
    return function


def as_bytes(result):
    if not isinstance(result, (bytes, bytearray, memoryview)):
        raise TypeError(f"the function returned {type(result).__qualname__}, and must return bytes")
    return bytes(result)


def as_json(result):
    return json.dumps(result, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def answers(function, is_json, most, guard):
    """How a call and a stream are answered, if `most` bytes fit into a frame: two functions of the request."""
    read, write = (json.loads, as_json) if is_json else (bytes, as_bytes)

    def call(body):
        result = function(read(body))
        try:
            packed = write(result)
        except TypeError:
            if hasattr(result, "__next__"):
                raise TypeError(f"the function returned a {type(result).__qualname__}: call it as a stream") from None
            raise
        if len(packed) > most:
            raise ValueError(f"a reply of {len(packed)} bytes, where at most {most} are allowed")
        return packed

    begin, advance = guard(lambda body: function(read(body))), guard(next)

    def stream(body, send):
        result = begin(body)
        if not hasattr(result, "__next__"):
            result = iter((result,))
        try:
            while (item := advance(result, END)) is not END:
                packed = write(item)
                if len(packed) > most:
                    raise ValueError(f"a part of {len(packed)} bytes, where at most {most} are allowed")
                send(packed)
        finally:
            close = getattr(result, "close", None)
            if callable(close):
                close()

    return guard(call), stream


def serve(channel, watcher, call, stream, health):
    """Answers calls, streams and pings until the host says that it is over, or is gone."""
    cancellation = watcher.cancellation
    while True:
        frame = channel.read()
        if frame is None:
            return
        kind, request, body = frame
        if kind not in REQUESTS:
            if kind == SHUTDOWN:
                watcher.dismissed = True
                return
            if kind == CANCEL:
                # Of a request that has been answered.
                continue
            fail(f"a frame of kind {kind} where a call, a stream or a ping was expected")
        if cancellation:
            cancellation.running = request
        try:
            answer, result = REPLY, b""
            with watcher:
                if kind == CALL:
                    result = call(body)
                elif kind == STREAM:
                    stream(body, functools.partial(channel.write, PART, request))
                else:
                    health()
                    answer = PONG
        except (Exception, Cancelled) as error:
            channel.write_error(request, error)
        else:
            channel.write(answer, request, result)


class Zygote:
    """Loads the function once, and then forks a worker whenever the host says so.

    The host speaks to it through a socket, in lines. See `zygote/control.rs` in the host's source for what they say.
    """

    def __init__(self):
        self.control = socket.socket(fileno=os.dup(0))
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        os.dup2(2, 1)

    def load(self, target):
        # A host that is gone ends this process, whatever it is busy with: the socket's hang-up raises a signal that nobody
        # handles. From then on, it is noticed between two requests.
        fcntl.fcntl(self.control, fcntl.F_SETOWN, os.getpid())
        flags = fcntl.fcntl(self.control, fcntl.F_GETFL)
        fcntl.fcntl(self.control, fcntl.F_SETFL, flags | os.O_ASYNC)
        loaded = load(target)
        fcntl.fcntl(self.control, fcntl.F_SETFL, flags)
        threads = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
        if threads:
            fail(f"no zygote: a fork would lose the threads that the import or setup() has started: {', '.join(threads)}")
        return loaded

    def serve(self):
        """Serves the host until it is gone. Returns true in each worker, and false in the end."""
        self.control.sendall(b"ready\n")
        while True:
            line, descriptors, _, _ = socket.recv_fds(self.control, 1024, 3)
            if not line:
                return False
            verb, _, argument = line.decode().strip().partition(" ")
            if verb == "fork":
                try:
                    child = os.fork()
                except OSError as error:
                    child = None
                    answer = f"failed {error}"
                if child == 0:
                    self._become_worker(descriptors, argument)
                    return True
                if child:
                    # Here as well as there, so that it leads its group whichever of the two is first.
                    os.setpgid(child, child)
                    answer = f"forked {child}"
                for descriptor in descriptors:
                    os.close(descriptor)
            else:
                answer = {"status": self._status, "reap": self._reap}[verb](int(argument))
            self.control.sendall(answer.encode() + b"\n")

    def _become_worker(self, descriptors, mark):
        os.setpgid(0, 0)
        self.control.close()
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        # What this worker starts bears its mark.
        marks, _, _ = os.environ["OSTLER_MARK"].rpartition(mark.partition(":")[0])
        os.environ["OSTLER_MARK"] = marks + mark

    def _status(self, child):
        # It stays a zombie, and its id its own.
        ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        if ended is None:
            return "unknown"
        word = "code" if ended.si_code == os.CLD_EXITED else "signal"
        return f"{word} {ended.si_status}"

    def _reap(self, child):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        # It may have left its group.
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return "reaped"


def main(target, *options):
    sys.path[:0] = [option[len("--path=") :] for option in options if option.startswith("--path=")]
    loaded = None
    if "--zygote" in options:
        zygote = Zygote()
        loaded = zygote.load(target)
        if not zygote.serve():
            return 0
    return work(target, "--json" in options, loaded)


def work(target, speaks_json, loaded):
    """The life of a worker, from the handshake on."""
    channel = Channel()
    watcher = Watcher(channel.input, forked=loaded is not None)
    watcher.start()
    hello = channel.read()
    if hello is None:
        return 0
    kind, _, body = hello
    if kind != HELLO or len(body) < 8:
        fail("the first frame is not a hello")
    version, channel.max_frame, flags = struct.unpack_from(">III", body + bytes(4))
    if version != VERSION:
        fail(f"the host speaks version {version} of the protocol, and this worker {VERSION}")
    guard = unguarded
    if flags & MAY_CANCEL:
        watcher.cancellation = Cancellation(channel)
        guard = watcher.cancellation.guard
    else:
        watcher.pause = PARENT_POLL
    try:
        with watcher:
            function, health = loaded or load(target)
        call, stream = answers(function, speaks_json, channel.max_frame - KIND_AND_ID, guard)
    except Exception as error:
        channel.write_error(0, error)
        return 1
    channel.write(READY, 0, struct.pack(">I", VERSION))
    try:
        serve(channel, watcher, call, stream, guard(health))
    except BrokenPipeError:
        # The host closed its end while a reply was on its way: nobody is left to tell.
        pass
    return 0
