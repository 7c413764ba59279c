"""A worker that misbehaves. It writes its frames itself, so that it can write wrong ones.

    hostile.py START MARKER

START is what the first worker does instead of answering the handshake, or `good`. The first worker
creates the file MARKER and writes its process id to it; later workers find it and answer correctly.
After the start, each request is a verb and its arguments.
"""

import os
import select
import signal
import socket
import struct
import sys
import time

HELLO, CALL, SHUTDOWN, PING, READY, REPLY, ERROR, PONG, PART = 1, 2, 3, 4, 128, 129, 130, 131, 132


def read(count):
    data = b""
    while len(data) < count:
        piece = os.read(0, min(count - len(data), 1 << 20))
        if not piece:
            sys.exit(0)
        data += piece
    return data


def write(data, to=1):
    data = memoryview(data)
    while data:
        data = data[os.write(to, data) :]


def frame(kind, request, body=b""):
    return struct.pack(">IBI", 5 + len(body), kind, request) + body


def die(code, words):
    write(words.encode(), to=2)
    os._exit(code)


def child(run):
    """Forks a child that runs the function and exits. Returns its id."""
    pid = os.fork()
    if pid == 0:
        run()
        os._exit(0)
    return pid


def linger():
    time.sleep(1000)


def add_reply(request):
    """Shortly after an answer, replies to a request that was not made: to the next one, if ids are
    consecutive."""
    time.sleep(0.01)
    write(frame(REPLY, (request + 1) % 2**32, b"stolen"))


def add_reply_later(request):
    """As `add_reply`, once the test has created the file MARKER.go."""
    while not os.path.exists(sys.argv[2] + ".go"):
        time.sleep(0.001)
    add_reply(request)


NOISE = bytes((255 - 7 * number) % 256 for number in range(100_000))


# Starts: what the worker does instead of answering the handshake, after it has read it.


def start_mute():
    linger()


def start_exit():
    die(3, "no licence\n")


def start_exit_partial():
    write(frame(READY, 0, b"\0\0\0\1")[:7])
    die(4, "half a word\n")


def start_exit_zero():
    os._exit(0)


def start_grandchild():
    child(linger)
    die(5, "left a child\n")


def start_garbage():
    write(NOISE)
    linger()


def start_refuse_malformed():
    write(frame(ERROR, 0, b"\xff\xff\xff\xffValueError"))
    linger()


def start_ready_twice():
    write(frame(READY, 0, b"\0\0\0\1") * 2)


def start_ready_and_more():
    write(frame(READY, 0, b"\0\0\0\1"))
    add_reply_later(0)


def start_other_version():
    write(frame(READY, 0, b"\0\0\0\2"))
    linger()


# Starts that act before the worker has read anything.


def before_early():
    write(frame(REPLY, 7, b"too soon"))
    linger()


def before_stop():
    os.kill(os.getpid(), signal.SIGSTOP)


def before_deaf():
    os.close(0)
    linger()


# Verbs of requests. The return value is the reply; `None` means that none is sent, or that it was
# written already.


def do_pid(_, __):
    return str(os.getpid()).encode()


def do_many(_, size):
    return b"m" * int(size)


def do_hang(_, __):
    os.kill(os.getpid(), signal.SIGSTOP)
    linger()


def do_spin(_, __):
    while True:
        pass


def do_exit(_, code):
    die(int(code), "the last words\n")


def do_exit_partial(request, code):
    write(frame(REPLY, request, b"never whole")[:12])
    die(int(code), "in the middle\n")


def do_exit_after(request, _):
    write(frame(REPLY, request, b"and gone"))
    os._exit(0)


def do_ignore_term(_, __):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return b"ignored"


def do_ignore_end(_, __):
    """From now on, the worker ignores the end of its input."""
    sys.exit = lambda _: linger()
    return b"ignored"


def do_grandchildren(_, __):
    """Leaves processes that hold the pipes, and exits."""
    for _ in range(3):
        child(linger)
    die(4, "orphaned\n")


def do_fork_on_term(_, __):
    """Forks at each SIGTERM, and ignores the end of the input."""
    signal.signal(signal.SIGTERM, lambda *_: child(linger))
    return do_ignore_end(_, __)


def do_fork_chain(_, path):
    """Leaves a process that forks and exits repeatedly, for 60 s.

    All copies hold one connection to the socket at the path.
    """
    line = socket.socket(socket.AF_UNIX)
    line.connect(path.decode())

    def chain():
        until = time.monotonic() + 60
        while os.fork() == 0 and time.monotonic() < until:
            pass

    child(chain)
    line.close()
    return b"running"


def do_escape(_, __):
    """Leaves an orphan in another session, and so in another group."""
    reader, writer = os.pipe()

    def between():
        os.setsid()
        write(str(child(linger)).encode(), to=writer)

    os.waitpid(child(between), 0)
    return os.read(reader, 100)


def do_leave_group(_, __):
    """Moves to the group of a child, so that the original group is empty."""
    other = child(linger)
    os.setpgid(other, other)
    os.setpgid(0, other)
    return do_ignore_end(_, __)


def do_flood(_, mib):
    for _ in range(int(mib)):
        write(b"x" * (1 << 20), to=2)
    return b"flooded"


def do_flood_for_ever(_, __):
    while True:
        write(NOISE, to=2)


def do_garbage(_, __):
    write(NOISE)
    linger()


def do_claim(_, length):
    write(struct.pack(">I", int(length)) + b"\x81\0\0\0\1")
    linger()


def do_twice(request, _):
    write(frame(REPLY, request, b"once") * 2)


def do_old_id(request, _):
    write(frame(REPLY, request - 1, b"old"))
    linger()


def do_again(request, _):
    """Replies, and replies to the same request again when the next one arrives."""
    write(frame(REPLY, request, b"once"))
    read(9)
    write(frame(REPLY, request, b"twice"))
    linger()


def do_extra(request, _):
    write(frame(REPLY, request, b"answered"))
    add_reply(request)


def do_extra_after_parts(request, _):
    write(frame(PART, request, b"part"))
    write(frame(REPLY, request))
    add_reply(request)


def do_extra_after_cancel(request, _):
    read(9)
    write(frame(REPLY, request, b"cancelled"))
    add_reply_later(request)


def do_extra_after_pong(request, _):
    """Sends a reply too many after the answer to the next health check."""
    write(frame(REPLY, request, b"answered"))
    length, kind, request = struct.unpack(">IBI", read(9))
    assert kind == PING
    write(frame(PONG, request))
    add_reply(request)


def do_guess(request, _):
    """Replies, and replies to the next request when it arrives, without having read it."""
    write(frame(REPLY, request, b"once"))
    select.select([0], [], [])
    write(frame(REPLY, (request + 1) % 2**32, b"stolen"))
    linger()


def do_silence_after(request, _):
    write(frame(REPLY, request, b"the last"))
    os.close(1)
    linger()


def do_slowly(request, _):
    for byte in frame(REPLY, request, b"drop by drop"):
        write(bytes([byte]))
        time.sleep(0.001)


def do_close_stdout(_, __):
    os.close(1)
    linger()


def do_close_stdin(_, __):
    """Closes its input and replies. It reads nothing from then on."""
    os.close(0)
    globals()["read"] = lambda _: linger()
    return b"deaf"


def do_huge(_, mib):
    """Allocates memory and is killed, as when the kernel runs out of memory."""
    hoard = b"x" * (int(mib) << 20)
    os.kill(os.getpid(), signal.SIGKILL if hoard else 0)


def do_print(_, __):
    print("50% done", flush=True)
    return b"done"


def do_print_after(request, _):
    write(frame(REPLY, request, b"done"))
    print("done", flush=True)


def do_malformed_error(request, _):
    write(frame(ERROR, request, b"\0\0\0\4Type\0\0\0\1"))


def do_other_kind(request, _):
    write(frame(READY, request, b"\0\0\0\1"))


def do_early_reply(request, _):
    write(frame(REPLY, request, b"foregone"))
    linger()


def serve():
    while True:
        length, kind, request = struct.unpack(">IBI", read(9))
        if kind == SHUTDOWN:
            sys.exit(0)
        if kind == PING:
            write(frame(PONG, request))
            continue
        # The verb is at the beginning. `early_reply` replies without reading the rest.
        first = read(min(length - 5, 64))
        verb, _, argument = first.partition(b" ")
        if verb != b"early_reply":
            read(length - 5 - len(first))
        answer = globals()["do_" + verb.decode()](request, argument)
        if answer is not None:
            write(frame(REPLY, request, answer))


def is_first(marker):
    try:
        file = os.open(marker, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        return False
    write(str(os.getpid()).encode(), to=file)
    os.close(file)
    return True


def main(start, marker):
    act = start if start != "good" and is_first(marker) else "good"
    if "before_" + act in globals():
        globals()["before_" + act]()
    length, kind, _ = struct.unpack(">IBI", read(9))
    read(length - 5)
    if "start_" + act in globals():
        globals()["start_" + act]()
    else:
        write(frame(READY, 0, b"\0\0\0\1"))
    serve()


main(*sys.argv[1:])
