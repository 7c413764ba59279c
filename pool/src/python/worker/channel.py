"""The frames of a worker, and what it says on stderr."""

import contextlib
import io
import os
import struct
import sys
import traceback

# A longer body does not come at once, in bytes. It is read in place: what `os.read` returns is copied.
AT_ONCE = 1 << 16
# The tags of what may follow the texts of an error.
PLACE, IS_FINAL = 1, 2
# The longest place, in bytes.
MAX_PLACE = 200
# What ends the worker when the function raises it. Every other exception is an answer.
ENDINGS = (KeyboardInterrupt, SystemExit)


class Channel:
    """Reads and writes frames, on descriptors that no other code in this process knows."""

    # Whether the host takes entries behind the texts of an error.
    takes_entries = False

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

    def error_frame(self, request, error, message=None, is_final=False):
        """Returns the frame of the exception that is being handled.

        Its class is the user's: its name, `str` and traceback may raise anything.
        """
        own = own_frames_left_out(sys.exc_info()[2])
        kind = type(error)
        name = as_text(lambda: qualified_name(kind), "<the name of the exception failed>")
        message = as_text(message or (lambda: str(error)), "<str() of the exception failed>")
        trace = as_text(
            lambda: "".join(traceback.format_exception(kind, error, own)),
            "<the traceback of the exception failed>",
        )
        entries = b""
        if self.takes_entries:
            place = cut(as_text(lambda: place_of(own, request), ""), MAX_PLACE)
            entries = struct.pack(">BI", PLACE, len(place)) + place if place else b""
            entries += struct.pack(">BI", IS_FINAL, 0) if is_final else b""
        # All are cut to fit: the type to half of the room, so that some of the message is left.
        room = self.max_frame - KIND_AND_ID - 12 - len(entries)
        name = cut(name, room // 2)
        message = cut(message, room - len(name))
        trace = cut(trace, room - len(name) - len(message))
        body = b"".join(struct.pack(">I", len(text)) + text for text in (name, message, trace)) + entries
        return HEADER.pack(KIND_AND_ID + len(body), ERROR, request) + body

    def _read_rest(self, data, count):
        """Returns `count` bytes, which begin with `data`, or None at the end of the input."""
        # Without a buffer, this reads into the bytes that it returns, and no more than those.
        whole = data + io.BufferedReader(io.FileIO(self.input, closefd=False), 1).read(count - len(data))
        return whole if len(whole) == count else None


def own_frames_left_out(trace):
    """A traceback without its first frames, if they are the runtime's, which do not help the user."""
    while trace is not None and trace.tb_frame.f_globals is globals():
        trace = trace.tb_next
    return trace


def place_of(trace, request):
    """Where the exception was raised: the innermost line that is no library's.

    If there is none, the innermost one, but for a failed start: that is a line of the import.
    """
    place = library = ""
    while trace is not None:
        code = trace.tb_frame.f_code
        shown = f"{os.path.basename(code.co_filename)}:{trace.tb_lineno}, in {code.co_name}"
        if is_of_library(code.co_filename):
            library = shown
        else:
            place = shown
        trace = trace.tb_next
    return place or (library if request else "")


def is_of_library(file):
    # What has no file, such as the import system, begins with `<`.
    standard = file.startswith((os.path.dirname(os.__file__) + os.sep, "<"))
    return standard or not {"site-packages", "dist-packages"}.isdisjoint(file.split(os.sep))


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
