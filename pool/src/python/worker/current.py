"""What the host has said about the running call, and about sessions that have ended."""

import struct
import time

# The tags of details.
FUNCTION, SESSION, TIMEOUT, TRACEPARENT, SESSION_NUMBER = 1, 2, 3, 4, 5


def entries(body):
    """The entries of a frame by their tag."""
    found, at = {}, 0
    while at < len(body):
        tag, length = struct.unpack_from(">BI", body, at)
        at += 5
        found[tag] = body[at : at + length]
        at += length
    return found


class Current:
    """What is known of the running call. The module `ostler` reads it, in any thread."""

    def __init__(self):
        self.cancellation = None
        # What is called when a session ends, with its name.
        self.session_ends = []
        # The numbers of the sessions that have called and have not ended, by their names.
        self.numbers = {}
        # How long the host waits for an answer, in seconds, and how long if nothing else is said.
        self.timeout = self.usual_timeout = None
        # When the host began to wait. None between two calls.
        self.began = None
        self.function = self.session = self.traceparent = self.body = None

    def tell(self, body):
        """Takes the body of the details of the next request.

        If its session has the name of an earlier one, that one is over, whenever the host says so.
        """
        # Most calls have the same details as the last one.
        if body != self.body:
            self.body, self.found = body, entries(body)
        found = self.found
        self.function = as_str(found.get(FUNCTION))
        session, number = as_str(found.get(SESSION)), found.get(SESSION_NUMBER)
        if session is not None and self.numbers.setdefault(session, number) != number:
            self.call_session_ends(session)
            self.numbers[session] = number
        self.session = session
        self.traceparent = as_str(found.get(TRACEPARENT))
        if TIMEOUT in found:
            self.timeout = int.from_bytes(found[TIMEOUT], "big") / 1000

    def forget(self):
        """The call has ended, and so has what the host has said about it."""
        self.timeout = self.usual_timeout
        self.function = self.session = self.traceparent = None

    def deadline(self):
        began, timeout = self.began, self.timeout
        return None if None in (began, timeout) else max(0.0, began + timeout - time.monotonic())

    def cancelled(self):
        return self.cancellation is not None and self.cancellation.cancelled is not None

    def end_session(self, body):
        """Takes the body of what the host says of a session that has ended."""
        number, name = body[:8], str(body[8:], "utf-8")
        # A later session of the same name is another one.
        if self.numbers.get(name, number) == number:
            self.numbers.pop(name, None)
            self.call_session_ends(name)

    def call_session_ends(self, name):
        """Calls what the module has for the end of a session. Only an exit of the worker gets out."""
        self.session = name
        for function in self.session_ends:
            try:
                settled(function(name))
            except ENDINGS:
                raise
            except BaseException as error:
                report(f"the end of session {name!r}", error)
        self.session = None


def as_str(text):
    return None if text is None else str(text, "utf-8")


current = Current()
