"""Starts workers as the host does, and speaks frames with them. The arguments are as in `rig.py`."""

import atexit
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

CANCELS, WITH_DETAILS = 1, 8
CALL, SHUTDOWN, PING, STREAM, CANCEL, BATCH, DETAILS, SESSION_ENDED = 2, 3, 4, 5, 6, 7, 9, 10
READY, REPLY, ERROR, PONG, PART = 128, 129, 130, 131, 132
FUNCTION, SESSION, TIMEOUT, TRACEPARENT, NUMBER = 1, 2, 3, 4, 5

RUNTIME = pathlib.Path(sys.argv[1]).parent
# The directory of the module that workers provide.
PACKAGE = pathlib.Path(__file__).resolve().parents[3] / "python"
FILES = [(f"<ostler_worker/{path.name}>", path) for path in sorted((RUNTIME / "worker").glob("*.py"))]
FILES.append(("<ostler>", PACKAGE / "ostler/__init__.py"))
SOURCE = "".join(f"\f{name}\n{path.read_text()}" for name, path in FILES).encode()
SCRATCH = pathlib.Path(tempfile.mkdtemp())
atexit.register(shutil.rmtree, SCRATCH)


def entry(tag, value):
    return struct.pack(">BI", tag, len(value)) + value


class Worker:
    """A worker that runs a module with this source."""

    def __init__(
        self,
        source,
        target="app",
        *options,
        flags=CANCELS | WITH_DETAILS,
        timeout=30_000,
        max_frame=1 << 20,
        **environment,
    ):
        self.directory = pathlib.Path(tempfile.mkdtemp(dir=SCRATCH))
        (self.directory / "app.py").write_text(source)
        bootstrap = (RUNTIME / "bootstrap.py").read_text()
        command = [sys.executable, "-u", "-c", bootstrap, str(len(SOURCE)), target, *options]
        self.process = subprocess.Popen(
            command,
            cwd=self.directory,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=open(self.directory / "stderr", "wb"),
        )
        self.id = 0
        self.write(SOURCE)
        # A later version may append fields.
        timeout = struct.pack(">Q", timeout) + b"more" if flags & WITH_DETAILS else b""
        self.send(1, 0, struct.pack(">III", 1, max_frame, flags) + timeout)
        self.ready = self.read()

    def write(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def send(self, kind, request, body=b""):
        self.write(struct.pack(">IBI", 5 + len(body), kind, request) + body)

    def read(self):
        self.length, kind, request = struct.unpack(">IBI", self.process.stdout.read(9))
        assert request == self.id, (request, self.id)
        return kind, self.process.stdout.read(self.length - 5)

    def ask(self, kind, body=b"", details=()):
        """Sends a request, with details as pairs of a tag and a value."""
        self.id += 1
        if details:
            self.send(DETAILS, self.id, b"".join(entry(tag, value) for tag, value in details))
        self.send(kind, self.id, body)

    def call(self, body=b"", *details):
        self.ask(CALL, body, details)
        return self.read()

    def cancel(self):
        self.send(CANCEL, self.id)

    def named(self, function, body=b"", *details):
        return self.call(body, (FUNCTION, function.encode()), *details)

    def end_session(self, name, number=1):
        self.send(SESSION_ENDED, 0, struct.pack(">Q", number) + name.encode())

    def said(self):
        return (self.directory / "stderr").read_text()

    def end(self):
        """Shuts the worker down. Returns what it has said."""
        self.send(SHUTDOWN, 0)
        assert self.process.wait() == 0, self.said()
        return self.said()


def error(answer):
    """The type, message, entries (text by tag) and traceback of an error."""
    kind, body = answer
    assert kind == ERROR, answer
    texts = []
    for _ in range(3):
        (length,) = struct.unpack_from(">I", body)
        texts.append(body[4 : 4 + length].decode())
        body = body[4 + length :]
    found = {}
    while body:
        tag, length = struct.unpack_from(">BI", body)
        found[tag] = body[5 : 5 + length].decode()
        assert 5 + length <= len(body), body
        body = body[5 + length :]
    return texts[0], texts[1], found, texts[2]
