"""A worker that does what no worker should. It writes its frames itself, so that it can write them wrongly.

    hostile.py START MARKER

START is what it does instead of answering the handshake, or `good`. It does so if it is the one that creates the file
MARKER, and leaves its process id there; whoever comes later is good. From then on each request is a verb and its
arguments.
"""

import os
import signal
import socket
import struct
import sys
import time

HELLO, CALL, SHUTDOWN, PING, READY, REPLY, ERROR, PONG = 1, 2, 3, 4, 128, 129, 130, 131


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
    """The id of a child that runs the function and exits."""
    pid = os.fork()
    if pid == 0:
        run()
        os._exit(0)
    return pid


def linger():
    time.sleep(1000)


NOISE = bytes((255 - 7 * number) % 256 for number in range(100_000))


# What it does in place of the answer to the handshake, which it has read.


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
    die(5, "left somebody\n")


def start_garbage():
    write(NOISE)
    linger()


def start_refuse_malformed():
    write(frame(ERROR, 0, b"\xff\xff\xff\xffValueError"))
    linger()


def start_ready_twice():
    write(frame(READY, 0, b"\0\0\0\1") * 2)


def start_other_version():
    write(frame(READY, 0, b"\0\0\0\2"))
    linger()


# The same, before it has read anything.


def before_early():
    write(frame(REPLY, 7, b"too soon"))
    linger()


def before_stop():
    os.kill(os.getpid(), signal.SIGSTOP)


def before_deaf():
    os.close(0)
    linger()


# What it does at a request. What is returned is the reply; `None`: there is none, or it has been written.


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
    """From here on, the end of the input is no reason to leave."""
    sys.exit = lambda _: linger()
    return b"ignored"


def do_grandchildren(_, __):
    """Leaves processes behind that hold the pipes."""
    for _ in range(3):
        child(linger)
    die(4, "orphaned\n")


def do_fork_on_term(_, __):
    """Whoever is asked to leave brings one more."""
    signal.signal(signal.SIGTERM, lambda *_: child(linger))
    return do_ignore_end(_, __)


def do_fork_chain(_, path):
    """Leaves behind a process that is never the same for long. What all of them hold is a connection to the path."""
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
    """Leaves behind a process of another session, and so of another group, whose parent is gone."""
    told, tell = os.pipe()

    def between():
        os.setsid()
        write(str(child(linger)).encode(), to=tell)

    os.waitpid(child(between), 0)
    return os.read(told, 100)


def do_leave_group(_, __):
    """Moves to the group of a child, so that its own is empty."""
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
    """Answers now, and again once it is asked the next thing."""
    write(frame(REPLY, request, b"once"))
    read(9)
    write(frame(REPLY, request, b"twice"))
    linger()


def do_slowly(request, _):
    for byte in frame(REPLY, request, b"drop by drop"):
        write(bytes([byte]))
        time.sleep(0.001)


def do_close_stdout(_, __):
    os.close(1)
    linger()


def do_close_stdin(_, __):
    """Answers, and hears nothing from then on."""
    os.close(0)
    globals()["read"] = lambda _: linger()
    return b"deaf"


def do_huge(_, mib):
    """As big as one that is ended for it: by a signal that it cannot see coming."""
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
        # The verb is in the first part, and some have had enough then.
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
